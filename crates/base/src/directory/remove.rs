//! Removing a directory with everything in it.
//!
//! ```text
//!   top ── 1 ── 2 ── … ── 15 ── deeper      depth first, each directory by its descriptor
//!    └─ .pinfold-removed-0 ◄──────┘         what is deeper is moved up and removed from there
//! ```
//!
//! A directory that its owner has closed is opened for the owner first, through a descriptor of the directory itself: a
//! link that takes its place meanwhile is not what is changed.

use std::error::Error;
use std::ffi::CStr;
use std::ffi::CString;
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::RawDir;
use rustix::fs::RenameFlags;
use rustix::fs::SeekFrom;
use rustix::io::Errno;

use super::BATCH;
use super::Identity;
use super::identify;
use super::list;
use crate::error::Diagnose;
use crate::error::Diagnosis;
use crate::error::Kind;
use crate::text::word;

/// Directories that are open at once, each below the one before.
const LEVELS_MAX: usize = 16;
/// How often a directory is listed from the start because it had something left that was not there before.
const PASSES_MAX: u32 = 64;
/// How many remains are told by name.
const TOLD_MAX: usize = 8;

/// Something that could not be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftBehind {
    /// Where it stands, below what was to be removed.
    pub path: PathBuf,
    /// What the kernel said.
    pub errno: Errno,
}

/// What could not be removed. Everything else is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remains {
    /// What was to be removed.
    pub path: PathBuf,
    /// The first few.
    pub told: Vec<LeftBehind>,
    /// How many in all.
    pub count: u64,
}

impl fmt::Display for Remains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot remove `{}`", self.path.display())?;
        if let Some(first) = self.told.first() {
            let reason = match first.errno {
                Errno::XDEV => "something is mounted there".into(),
                errno => io::Error::from(errno).to_string(),
            };
            if first.path.as_os_str().is_empty() {
                write!(f, ": {reason}")?;
            } else {
                write!(f, ": `{}` stays: {reason}", first.path.display())?;
            }
        }
        if self.count > 1 {
            write!(f, ", and {} more", self.count - 1)?;
        }
        Ok(())
    }
}

impl Error for Remains {}

impl Diagnose for Remains {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::System)
    }

    fn own_hint(&self) -> Option<String> {
        let path = word(&self.path);
        match self.told.first()?.errno {
            Errno::XDEV | Errno::BUSY => {
                Some(format!("unmount what is mounted below `{path}`, then try again"))
            }
            Errno::ACCESS | Errno::PERM => Some(format!(
                "it belongs to another user or was made immutable: as root, `chattr -R -ia {path}` and `rm -r {path}`"
            )),
            Errno::ROFS => Some("the file system is read-only; try again when it can be written".into()),
            _ => None,
        }
    }
}

impl From<Remains> for io::Error {
    fn from(remains: Remains) -> Self {
        let kind = remains.told.first().map_or(io::ErrorKind::Other, |first| Self::from(first.errno).kind());
        Self::new(kind, remains)
    }
}

/// Removes what stands at `path`, whatever it is; nothing there is no error. A link is removed, not followed.
pub fn remove(path: &Path) -> Result<(), Remains> {
    let failed = |errno| Remains {
        path: path.to_owned(),
        told: vec![LeftBehind { path: PathBuf::new(), errno }],
        count: 1,
    };
    let name = path.file_name().ok_or_else(|| failed(Errno::INVAL))?;
    let name = CString::new(name.as_bytes()).map_err(|_| failed(Errno::INVAL))?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::open(parent, flags, Mode::empty()) {
        Ok(parent) => {
            remove_at(parent.as_fd(), &name).map_err(|remains| Remains { path: path.to_owned(), ..remains })
        }
        Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err(failed(errno)),
    }
}

/// Removes what has this name in `parent`; nothing there is no error.
pub fn remove_at(parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Remains> {
    let mut removal = Removal::default();
    removal.run(parent, name);
    if removal.count == 0 {
        return Ok(());
    }
    let path = PathBuf::from(OsStr::from_bytes(name.to_bytes()));
    Err(Remains { path, told: removal.told, count: removal.count })
}

/// A directory whose content is being removed.
#[derive(Debug)]
struct Level {
    fd: OwnedFd,
    name: CString,
    /// Directories of the last batch.
    pending: Vec<CString>,
    ended: bool,
    passes: u32,
    /// Whether anything was removed since the list began.
    removed: bool,
    /// Whether anything in it stays, and has been told.
    left: bool,
}

#[derive(Debug, Default)]
struct Removal {
    levels: Vec<Level>,
    /// Numbers of the directories that were moved up and wait for their turn.
    moved: std::ops::Range<u64>,
    top: Option<Identity>,
    told: Vec<LeftBehind>,
    count: u64,
}

fn moved_name(number: u64) -> CString {
    CString::new(format!(".pinfold-removed-{number}")).unwrap_or_default()
}

impl Removal {
    fn run(&mut self, parent: BorrowedFd<'_>, name: &CStr) {
        match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return,
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {}
            _ => match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => return,
                Err(Errno::ISDIR) => {}
                Err(errno) => return self.tell(None, errno),
            },
        }
        self.enter(Some(parent), name);
        let mut buffer = Vec::with_capacity(BATCH);
        while let Some(level) = self.levels.last_mut() {
            if let Some(name) = level.pending.pop() {
                self.deeper(&name);
            } else if !level.ended {
                self.batch(&mut buffer);
            } else if self.levels.len() == 1 && !self.moved.is_empty() {
                let name = moved_name(self.moved.start);
                self.moved.start += 1;
                self.deeper(&name);
            } else {
                self.close(parent);
            }
        }
    }

    /// Notes that `name` in the current directory (or that directory itself) stays.
    fn tell(&mut self, name: Option<&CStr>, errno: Errno) {
        self.count += 1;
        if let Some(level) = self.levels.last_mut() {
            level.left = true;
        }
        if self.told.len() < TOLD_MAX {
            // The outermost name is the one that was to be removed.
            let names = self.levels.iter().skip(1).map(|level| level.name.as_c_str()).chain(name);
            let path = names.map(|name| OsStr::from_bytes(name.to_bytes())).collect();
            self.told.push(LeftBehind { path, errno });
        }
    }

    /// Makes `name` in `outside`, or else in the current directory, the current directory.
    fn enter(&mut self, outside: Option<BorrowedFd<'_>>, name: &CStr) {
        let Some(parent) = outside.or_else(|| self.levels.last().map(|level| level.fd.as_fd())) else {
            return;
        };
        match open(parent, name, self.top) {
            Ok((fd, identity)) => {
                self.top.get_or_insert(identity);
                let name = name.to_owned();
                let pending = Vec::new();
                let (ended, removed, left) = (false, false, false);
                self.levels.push(Level { fd, name, pending, ended, passes: 0, removed, left });
            }
            Err(Errno::NOENT) => {}
            Err(errno) => {
                // What cannot be listed may be empty, and what is no directory any more can go as well.
                let gone = errno != Errno::XDEV
                    && (rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR).is_ok()
                        || rustix::fs::unlinkat(parent, name, AtFlags::empty()).is_ok());
                match (gone, self.levels.last_mut()) {
                    (true, Some(level)) => level.removed = true,
                    (true, None) => {}
                    (false, Some(_)) => self.tell(Some(name), errno),
                    (false, None) => self.tell(None, errno),
                }
            }
        }
    }

    /// Enters a directory of the current one, or moves it up where that would be too deep.
    fn deeper(&mut self, name: &CStr) {
        if self.levels.len() < LEVELS_MAX {
            return self.enter(None, name);
        }
        let [top, .., level] = &mut self.levels[..] else { return };
        // Moving a directory changes its `..`, for which it must be writable.
        let result = open(level.fd.as_fd(), name, self.top).and_then(|_| {
            loop {
                let target = moved_name(self.moved.end);
                // Whatever has this name already has its turn as well.
                self.moved.end += 1;
                match rustix::fs::renameat_with(&level.fd, name, &top.fd, &target, RenameFlags::NOREPLACE) {
                    Err(Errno::EXIST) => {}
                    // A file system that knows no such flag.
                    Err(Errno::INVAL) => return rustix::fs::renameat(&level.fd, name, &top.fd, &target),
                    result => return result,
                }
            }
        });
        match result {
            Ok(()) => level.removed = true,
            Err(Errno::NOENT) => {}
            Err(errno) => self.tell(Some(name), errno),
        }
    }

    /// Reads one buffer of the current directory, removes the files in it and notes the directories.
    fn batch(&mut self, buffer: &mut Vec<u8>) {
        let Some(level) = self.levels.last_mut() else { return };
        let mut left = Vec::new();
        let mut entries = RawDir::new(&level.fd, buffer.spare_capacity_mut());
        let failed = loop {
            let entry = match entries.next() {
                None | Some(Err(Errno::NOENT)) => {
                    level.ended = true;
                    break None;
                }
                Some(Err(errno)) => {
                    level.ended = true;
                    break Some(errno);
                }
                Some(Ok(entry)) => entry,
            };
            let name = entry.file_name();
            if ![c".", c".."].contains(&name) {
                if entry.file_type() == FileType::Directory {
                    level.pending.push(name.to_owned());
                } else {
                    match rustix::fs::unlinkat(&level.fd, name, AtFlags::empty()) {
                        Ok(()) => level.removed = true,
                        Err(Errno::NOENT) => {}
                        Err(Errno::ISDIR) => level.pending.push(name.to_owned()),
                        Err(errno) => left.push((name.to_owned(), errno)),
                    }
                }
            }
            if entries.is_buffer_empty() {
                break None;
            }
        };
        for (name, errno) in left {
            self.tell(Some(&name), errno);
        }
        if let Some(errno) = failed {
            self.tell(None, errno);
        }
    }

    /// Removes the current directory, whose content is gone, and goes back to the one above.
    fn close(&mut self, outside: BorrowedFd<'_>) {
        let Some(mut level) = self.levels.pop() else { return };
        let parent = self.levels.last().map_or(outside, |parent| parent.fd.as_fd());
        match rustix::fs::unlinkat(parent, &level.name, AtFlags::REMOVEDIR) {
            Ok(()) => {
                if let Some(parent) = self.levels.last_mut() {
                    parent.removed = true;
                }
            }
            Err(Errno::NOENT) => {}
            // Lists may leave out what is there while entries are removed, and somebody may have made more.
            Err(Errno::NOTEMPTY | Errno::EXIST)
                if level.removed
                    && !level.left
                    && level.passes < PASSES_MAX
                    && rustix::fs::seek(&level.fd, SeekFrom::Start(0)).is_ok() =>
            {
                level.passes += 1;
                level.removed = false;
                level.ended = false;
                self.levels.push(level);
            }
            Err(_) if level.left => {
                if let Some(parent) = self.levels.last_mut() {
                    parent.left = true;
                }
            }
            Err(errno) => {
                let name = (!self.levels.is_empty()).then_some(level.name.as_c_str());
                self.tell(name, errno);
            }
        }
    }
}

/// Opens a directory for listing and changing, making it accessible to its owner where it is not. `EXDEV` where it is not
/// seen through the mount of `top`: nothing is changed then.
fn open(
    parent: BorrowedFd<'_>,
    name: &CStr,
    top: Option<Identity>,
) -> rustix::io::Result<(OwnedFd, Identity)> {
    let inside = |identity: Identity| match top {
        Some(top) if !identity.same_mount(top) => Err(Errno::XDEV),
        _ => Ok(identity),
    };
    match list(parent, name) {
        Err(Errno::ACCESS) => {
            let look = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = rustix::fs::openat(parent, name, look, Mode::empty())?;
            let identity = inside(identify(&fd)?.0)?;
            // The one way to change the mode of just what this descriptor stands for (before Linux 6.6).
            let itself = format!("/proc/self/fd/{}", fd.as_raw_fd());
            rustix::fs::chmod(itself, Mode::RWXU).map_err(|_| Errno::ACCESS)?;
            Ok((list(&fd, c".")?, identity))
        }
        result => {
            let fd = result?;
            let (identity, mode) = identify(&fd)?;
            let identity = inside(identity)?;
            if !mode.contains(Mode::RWXU) {
                // Where this fails, so will removing what is in it.
                let _ = rustix::fs::fchmod(&fd, Mode::RWXU);
            }
            Ok((fd, identity))
        }
    }
}
