//! The way to a file of the host, gone step by step over descriptors.
//!
//! **Guarantees**: what is returned is one open file, and everything that decided which one it is — each directory on its
//! real path, each directory that holds a link that was followed — was looked at on the same descriptors: it belongs to root
//! or to the user, nobody else can write to it, and it is no [`Place`] that a sandbox has. A directory that all may write to
//! counts as safe when it is sticky (`/tmp`): entries of root and of the user cannot be replaced there.
//!
//! **Refuses** everything else, also for the part of a path that is there when its rest is missing.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::ffi::OsStringExt;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::Dir;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Stat;

use super::command::interpreter;

/// Links that are followed, as the kernel's own limit (path_resolution(7)).
const LINKS_MAX: u32 = 40;
/// Directories whose files a package manager replaces: as root nothing else tells the system's files from the user's.
const SYSTEM: [&str; 6] = ["/usr", "/bin", "/sbin", "/lib", "/nix/store", "/gnu/store"];
/// Below those, what an administrator put there by hand.
const BY_HAND: &str = "/usr/local";

/// A place of the host that a sandbox has, and in whose files no key may be looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    path: PathBuf,
    what: String,
    had: Had,
    /// Device and inode: the same directory under another name (a bind mount) is the same place.
    identity: Option<(u64, u64)>,
}

/// What a sandbox does or did with a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Had {
    Writes,
    Wrote,
    Reads,
}

impl Place {
    /// What a sandbox may write to. `what` says in a word or two whose it is.
    pub fn writable(path: impl AsRef<Path>, what: &str) -> Self {
        Self::new(path.as_ref(), what, Had::Writes)
    }

    /// What a sandbox that is gone could write to: nothing in it is executed, since nobody knows what was left there.
    pub fn former(path: impl AsRef<Path>, what: &str) -> Self {
        Self::new(path.as_ref(), what, Had::Wrote)
    }

    /// What a sandbox sees without being able to change it: a program may lie there, a key may not.
    pub fn readable(path: impl AsRef<Path>, what: &str) -> Self {
        Self::new(path.as_ref(), what, Had::Reads)
    }

    fn new(path: &Path, what: &str, had: Had) -> Self {
        let path = fs_err::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let identity = rustix::fs::stat(&path).ok().map(|stat| identity(&stat));
        Self { path, what: what.to_owned(), had, identity }
    }

    /// Its real path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.had != Had::Reads
    }

    pub(super) fn is_former(&self) -> bool {
        self.had == Had::Wrote
    }

    /// `the workspace PATH`
    pub(crate) fn told(&self) -> String {
        format!("{} `{}`", self.what, self.path.display())
    }

    pub(crate) fn doing(&self) -> &'static str {
        match self.had {
            Had::Writes => "may write to",
            Had::Wrote => "may have written to",
            Had::Reads => "can read",
        }
    }

    pub(crate) fn has(&self, step: &Path, stat: &Stat) -> bool {
        step.starts_with(&self.path) || self.identity == Some(identity(stat))
    }
}

fn identity(stat: &Stat) -> (u64, u64) {
    (stat.st_dev, stat.st_ino)
}

/// Whether links are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Links {
    Follow,
    Refuse,
}

/// A file at the end of its way.
#[derive(Debug)]
pub(super) struct Found {
    /// Opened with `O_PATH`.
    pub(super) fd: OwnedFd,
    pub(super) stat: Stat,
    /// Its real path.
    pub(super) path: PathBuf,
    /// Only root can have decided what is found here.
    pub(super) system: bool,
}

impl Found {
    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }

    /// The same file for reading: by its descriptor, not by its name.
    pub(super) fn readable(&self) -> io::Result<fs_err::File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = rustix::fs::open(super::descriptor(self.fd.as_fd()), flags, Mode::empty())?;
        Ok(fs_err::File::from_parts(fd.into(), &self.path))
    }
}

/// Why a way is not gone to its end.
#[derive(Debug)]
pub(super) enum Astray {
    /// It leads through a place of a sandbox.
    Within(Place),
    /// Somebody else can decide what is found.
    Loose { at: PathBuf, problem: &'static str },
    /// A link where there was none.
    Link(PathBuf),
    /// Nothing there, or it cannot be looked at.
    Io(io::Error),
}

impl From<rustix::io::Errno> for Astray {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Io(error.into())
    }
}

/// A directory that was entered.
struct Step {
    fd: OwnedFd,
    stat: Stat,
    path: PathBuf,
}

/// Goes to `path`, which is absolute. None of `places` may have a part in it.
pub(super) fn walk(path: &Path, links: Links, places: &[Place]) -> Result<Found, Astray> {
    let mut left: VecDeque<OsString> = VecDeque::new();
    lay(path, &mut left);
    let root = rustix::fs::open("/", LOOK | OFlags::DIRECTORY, Mode::empty())?;
    let stat = rustix::fs::fstat(&root)?;
    let mut way = vec![Step { fd: root, stat, path: "/".into() }];
    let mut followed = 0;
    while let Some(name) = left.pop_front() {
        if name == ".." {
            if way.len() > 1 {
                way.pop();
            }
            continue;
        }
        let here = way.last().ok_or(rustix::io::Errno::NOENT)?;
        let fd = match rustix::fs::openat(&here.fd, &*name, LOOK | OFlags::NOFOLLOW, Mode::empty()) {
            Ok(fd) => fd,
            Err(error) => {
                // Who may write here may put something there.
                judge(&way, places)?;
                return Err(error.into());
            }
        };
        let stat = rustix::fs::fstat(&fd)?;
        let place = here.path.join(&name);
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => {
                if links == Links::Refuse {
                    return Err(Astray::Link(place));
                }
                followed += 1;
                if followed > LINKS_MAX {
                    return Err(rustix::io::Errno::LOOP.into());
                }
                // Whose link it is does not decide about the file: what is held is the real path.
                judge(&way, places)?;
                owned(&place, &stat)?;
                let target = rustix::fs::readlinkat(&fd, "", Vec::new())?;
                let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                if target.has_root() {
                    way.truncate(1);
                }
                lay(&target, &mut left);
            }
            FileType::Directory => way.push(Step { fd, stat, path: place }),
            _ if left.is_empty() => return arrive(way, Step { fd, stat, path: place }, places),
            _ => return Err(rustix::io::Errno::NOTDIR.into()),
        }
    }
    let last = way.pop().ok_or(rustix::io::Errno::NOENT)?;
    arrive(way, last, places)
}

const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

fn arrive(mut way: Vec<Step>, last: Step, places: &[Place]) -> Result<Found, Astray> {
    way.push(last);
    let system = judge(&way, places)?;
    let Step { fd, stat, path } = way.pop().ok_or(rustix::io::Errno::NOENT)?;
    Ok(Found { fd, stat, system: system && is_system(&path), path })
}

/// Puts the parts of `path` before what is left. `..` stays: it goes back over directories that were entered, not over text.
fn lay(path: &Path, left: &mut VecDeque<OsString>) {
    for part in path.components().rev() {
        match part {
            Component::Normal(name) => left.push_front(name.to_owned()),
            Component::ParentDir => left.push_front("..".into()),
            _ => {}
        }
    }
}

/// Looks at each step; whether all are root's.
fn judge(way: &[Step], places: &[Place]) -> Result<bool, Astray> {
    let within = way.iter().find_map(|step| places.iter().find(|place| place.has(&step.path, &step.stat)));
    if let Some(place) = within {
        return Err(Astray::Within(place.clone()));
    }
    let mut system = true;
    for Step { stat, path, .. } in way {
        system &= owned(path, stat)?;
        let sticky =
            stat.st_mode & 0o1000 != 0 && FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if stat.st_mode & 0o022 != 0 && !sticky && !is_special(stat) {
            return Err(Astray::Loose { at: path.clone(), problem: "can be written to by others" });
        }
    }
    Ok(system)
}

/// Devices and sockets: their mode says who may use them.
fn is_special(stat: &Stat) -> bool {
    !matches!(FileType::from_raw_mode(stat.st_mode), FileType::Directory | FileType::RegularFile)
}

/// Whether it is root's; an error when it is neither root's nor the user's.
fn owned(path: &Path, stat: &Stat) -> Result<bool, Astray> {
    let user = rustix::process::geteuid().as_raw();
    match stat.st_uid {
        0 => Ok(true),
        owner if owner == user => Ok(false),
        _ => Err(Astray::Loose { at: path.to_owned(), problem: "belongs to another user" }),
    }
}

/// For root, whose own files are root's too, the path has to say it.
fn is_system(path: &Path) -> bool {
    let below = SYSTEM.iter().any(|dir| path.starts_with(dir)) && !path.starts_with(BY_HAND);
    below || !rustix::process::geteuid().is_root()
}

/// Whether `text` names `place`: its path stands there, not as part of a longer name.
pub(super) fn mentions(text: &[u8], place: &Path) -> bool {
    let path = place.as_os_str().as_bytes();
    let named = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.".contains(byte);
    path.len() > 1
        && (0..text.len()).any(|start| {
            text[start..].starts_with(path)
                && (path[0] == b'$' || !text[..start].last().is_some_and(named))
                && !text.get(start + path.len()).is_some_and(named)
        })
}

/// Folders of a `PATH` in which only root and the user decide what is found, with their links resolved away from places.
pub(super) fn folders(path: &OsStr, places: &[Place]) -> Vec<PathBuf> {
    let folders =
        path.as_bytes().split(|byte| *byte == b':').map(|folder| Path::new(OsStr::from_bytes(folder)));
    let safe = |folder: &&Path| {
        folder.is_absolute()
            && walk(folder, Links::Follow, places).is_ok_and(|found| found.kind() == FileType::Directory)
    };
    folders.filter(safe).map(Path::to_owned).collect()
}

/// The entries that a folder may have, to be looked through.
const ENTRIES_MAX: usize = 20_000;

/// Why a folder is in no `PATH` of a program that looks there by itself: an entry that leads to what a sandbox may write to,
/// by a link, by the interpreter of a script, or by a second name of which nobody knows where it is. `None` when there is none.
/// Of folders of the system only links count: what else is in there is root's.
pub(super) fn trap(folder: &Path, places: &[Place]) -> Option<String> {
    let found = match walk(folder, Links::Follow, places) {
        Ok(found) if found.kind() == FileType::Directory => found,
        _ => return Some(format!("`{}` cannot be looked through", folder.display())),
    };
    if places.is_empty() {
        return None;
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = rustix::fs::open(super::descriptor(found.fd.as_fd()), flags, Mode::empty());
    let Ok(entries) = opened.and_then(Dir::new) else {
        return Some(format!("`{}` cannot be looked through", folder.display()));
    };
    for (index, entry) in entries.enumerate() {
        let Some(entry) = entry.ok().filter(|_| index < ENTRIES_MAX) else {
            return Some(format!("`{}` cannot be looked through", folder.display()));
        };
        if matches!(entry.file_name().to_bytes(), b"." | b"..") {
            continue;
        }
        let is_link = matches!(entry.file_type(), FileType::Symlink | FileType::Unknown);
        if found.system && !is_link {
            continue;
        }
        let path = found.path.join(OsStr::from_bytes(entry.file_name().to_bytes()));
        let led = |place: &Place| Some(format!("`{}` there leads to {}", path.display(), place.told()));
        match walk(&path, Links::Follow, places) {
            Err(Astray::Within(place)) => return led(&place),
            Ok(file) if !file.system && file.kind() == FileType::RegularFile => {
                if file.stat.st_nlink > 1 {
                    return Some(format!("`{}` there has a second name (a hard link)", path.display()));
                }
                // Each word: what `env` is given is looked for in the same folders, or has a path.
                let words = interpreter(&file).ok().flatten().unwrap_or_default();
                let named = words.iter().flat_map(|word| word.split_whitespace()).map(Path::new);
                for word in named.filter(|word| word.is_absolute()) {
                    if let Err(Astray::Within(place)) = walk(word, Links::Follow, places) {
                        return led(&place);
                    }
                }
            }
            _ => {}
        }
    }
    None
}
