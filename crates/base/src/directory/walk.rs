//! Telling a visitor every entry of a directory, at any depth.

use std::ffi::CStr;
use std::ffi::CString;
use std::ffi::OsStr;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::RawDir;
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::BATCH;
use super::LIST;
use super::identify;
use super::list;
use super::trail::Back;
use super::trail::Trail;

/// Bytes of names that are kept of directories yet to be entered. Beyond, outer directories are listed again from where they
/// stood.
const PENDING_MAX: usize = 16 << 20;

/// One name in a directory.
#[derive(Debug)]
pub struct Entry<'a> {
    /// Where it stands, relative to where the walk began. It may be longer than the kernel takes.
    pub path: &'a Path,
    /// The last part of the path.
    pub name: &'a CStr,
    /// What it is; links are not followed.
    pub kind: FileType,
    /// The number of its inode by the directory's listing; 0 where it is told once more without one.
    pub inode: u64,
    /// The directory it stands in.
    pub parent: BorrowedFd<'a>,
}

/// What a visitor is told.
#[derive(Debug)]
pub enum Seen<'a> {
    /// A name. In a tree that somebody changes, or in one with more than [`PENDING_MAX`] bytes of names to come back to, a name
    /// may be told twice.
    Entry(Entry<'a>),
    /// A directory that was told before is entered.
    Entering(Entry<'a>),
    /// Everything in the directory that was entered last has been told.
    Leaving(&'a Path),
    /// A directory that was told before cannot be listed, or not to its end; in the latter case its name is `.`.
    Unreadable(Entry<'a>, Errno),
}

/// What a visitor wants next. Only what it says of a directory's [`Seen::Entry`] decides about entering it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Go on.
    On,
    /// Do not enter this directory.
    Skip,
    /// End here.
    Stop,
}

/// Whether other mounts are entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mounts {
    /// They are.
    Cross,
    /// They are told as the directories they are, and not entered.
    Stay,
}

/// A directory that is being listed.
#[derive(Debug, Default)]
struct Level {
    /// Directories of the last batch that are yet to be entered, each with the position at which it is read.
    pending: Vec<(CString, u64)>,
    /// Where the next batch begins.
    position: u64,
    /// Whether the descriptor stands somewhere else.
    moved: bool,
    ended: bool,
    /// Length of the path of this directory.
    path: usize,
}

/// Tells `visit` all that is in the directory `root`. Ends with an error when the visitor does, or when a directory was moved
/// away while it was listed (`ESTALE`).
pub fn walk(
    root: OwnedFd,
    mounts: Mounts,
    mut visit: impl FnMut(Seen<'_>) -> io::Result<Next>,
) -> io::Result<()> {
    let mut trail = Trail::begin(root)?;
    let mount = trail.identity();
    let mut path: Vec<u8> = Vec::new();
    let mut levels = vec![Level::default()];
    let mut buffer = Vec::with_capacity(BATCH);
    let mut held = 0;
    while let Some(level) = levels.last_mut() {
        path.truncate(level.path);
        if let Some((name, _)) = level.pending.pop() {
            held -= name.count_bytes();
            push(&mut path, &name);
            let opened = list(trail.here(), &name).and_then(|fd| Ok((identify(&fd)?.0, fd)));
            let (identity, fd) = match opened {
                Ok(opened) => opened,
                // It is gone, or is something else by now.
                Err(Errno::NOENT) => continue,
                Err(Errno::NOTDIR | Errno::LOOP) => {
                    if let Some(kind) = kind(trail.here(), &name)
                        && visit(Seen::Entry(entry(&path, &name, kind, trail.here())))? == Next::Stop
                    {
                        return Ok(());
                    }
                    continue;
                }
                Err(errno) => {
                    let closed = entry(&path, &name, FileType::Directory, trail.here());
                    if visit(Seen::Unreadable(closed, errno))? == Next::Stop {
                        return Ok(());
                    }
                    continue;
                }
            };
            if mounts == Mounts::Stay && !identity.same_mount(mount) {
                continue;
            }
            if visit(Seen::Entering(entry(&path, &name, FileType::Directory, trail.here())))? == Next::Stop {
                return Ok(());
            }
            trail.push(fd, identity);
            levels.push(Level { path: path.len(), ..Level::default() });
            continue;
        }
        if !level.ended {
            let read = batch(&trail, level, &mut buffer, &mut path, &mut visit, &mut held)?;
            if read == Next::Stop {
                return Ok(());
            }
            if held > PENDING_MAX {
                held = evict(&mut levels);
            }
            continue;
        }
        levels.pop();
        if let Some(outer) = levels.last_mut() {
            if visit(Seen::Leaving(as_path(&path)))? == Next::Stop {
                return Ok(());
            }
            outer.moved |= trail.back()? == Back::Opened;
        }
    }
    Ok(())
}

/// Reads one buffer of the current directory and tells what is in it.
fn batch(
    trail: &Trail,
    level: &mut Level,
    buffer: &mut Vec<u8>,
    path: &mut Vec<u8>,
    visit: &mut impl FnMut(Seen<'_>) -> io::Result<Next>,
    held: &mut usize,
) -> io::Result<Next> {
    let here = trail.here();
    if std::mem::take(&mut level.moved) {
        rustix::fs::seek(here, SeekFrom::Start(level.position))?;
    }
    let mut entries = RawDir::new(here, buffer.spare_capacity_mut());
    loop {
        let entry_read = match entries.next() {
            // The latter when somebody removed the directory.
            None | Some(Err(Errno::NOENT)) => {
                level.ended = true;
                return Ok(Next::On);
            }
            Some(Err(errno)) => {
                level.ended = true;
                path.truncate(level.path);
                return visit(Seen::Unreadable(entry(path, c".", FileType::Directory, here), errno));
            }
            Some(Ok(read)) => read,
        };
        let from = std::mem::replace(&mut level.position, entry_read.next_entry_cookie());
        let (name, inode) = (entry_read.file_name(), entry_read.ino());
        if ![c".", c".."].contains(&name) {
            let kind = match entry_read.file_type() {
                FileType::Unknown => kind(here, name),
                known => Some(known),
            };
            if let Some(kind) = kind {
                path.truncate(level.path);
                push(path, name);
                let next = visit(Seen::Entry(Entry { inode, ..entry(path, name, kind, here) }))?;
                if next == Next::Stop {
                    return Ok(Next::Stop);
                }
                if next == Next::On && kind == FileType::Directory {
                    *held += name.count_bytes();
                    level.pending.push((name.to_owned(), from));
                }
            }
        }
        if entries.is_buffer_empty() {
            // In the order of the directory.
            level.pending.reverse();
            return Ok(Next::On);
        }
    }
}

/// Lets go of what outer directories have yet to enter; they are read again from there. Gives back what is still held.
fn evict(levels: &mut [Level]) -> usize {
    let Some((current, outer)) = levels.split_last_mut() else { return 0 };
    for level in outer {
        if let Some((_, from)) = level.pending.last() {
            level.position = *from;
            level.moved = true;
            level.ended = false;
            level.pending = Vec::new();
        }
    }
    current.pending.iter().map(|(name, _)| name.count_bytes()).sum()
}

fn kind(parent: BorrowedFd<'_>, name: &CStr) -> Option<FileType> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    Some(FileType::from_raw_mode(stat.st_mode))
}

fn push(path: &mut Vec<u8>, name: &CStr) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name.to_bytes());
}

fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

fn entry<'a>(path: &'a [u8], name: &'a CStr, kind: FileType, parent: BorrowedFd<'a>) -> Entry<'a> {
    Entry { path: as_path(path), name, kind, inode: 0, parent }
}

/// How much there is in a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Everything that is not a directory.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// What is in the directory at `path`, as far as it can be read; nothing where there is none.
pub fn size(path: &Path) -> Size {
    let mut size = Size::default();
    if let Ok(root) = rustix::fs::open(path, LIST, Mode::empty()) {
        // What is told is the least that there is.
        let _ = walk(root, Mounts::Stay, |seen| {
            if let Seen::Entry(Entry { kind, parent, name, .. }) = seen
                && kind != FileType::Directory
                && let Ok(stat) = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
            {
                size.files += 1;
                size.bytes += u64::try_from(stat.st_size).unwrap_or_default();
            }
            Ok(Next::On)
        });
    }
    size
}
