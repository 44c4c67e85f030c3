//! One file of a directory that somebody else may fill.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::io::Errno;

use super::Spool;
use super::SpoolError;
use super::name;
use super::single;

/// Nothing is waited for, followed or handed on.
const READ: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY)
    .union(OFlags::CLOEXEC);

const INSIDE: ResolveFlags =
    ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_XDEV);

/// How often a file is opened that is gone from its name by then. Who writes once is met again at the second turn.
const TURNS: usize = 100;

/// Why a file is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is no regular file.
    #[error("it is {0}")]
    Kind(&'static str),
    /// It has other names, by which it may be changed.
    #[error("it has more than one name")]
    Names,
    /// It is larger than a file of this place may be.
    #[error("it has {size} bytes, more than {max}")]
    Size {
        /// By its inode.
        size: u64,
        /// What may be.
        max: usize,
    },
    /// Each time it was opened, another had taken its place.
    #[error("it is replaced faster than it can be read")]
    Changing,
    /// It is on another file system than the directory.
    #[error("something is mounted there")]
    Mounted,
    /// It may not be read.
    #[error("it may not be read")]
    Closed,
}

/// Why there are no bytes.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Because of what the file is.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Because of the machine.
    #[error(transparent)]
    Failed(#[from] SpoolError),
}

impl Spool {
    /// The bytes of a message, at most `max`; nothing where it is gone.
    pub fn read(&self, seq: u64, max: usize) -> Result<Option<Vec<u8>>, ReadError> {
        self.read_named(&name(seq), max)
    }

    /// The bytes of a file that is known by name, at most `max`; nothing where there is none.
    pub fn read_named(&self, name: &str, max: usize) -> Result<Option<Vec<u8>>, ReadError> {
        single(name)?;
        for _ in 0..TURNS {
            // Before it is opened: that alone may make a device do something. What is there by then is looked at again.
            let named = rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW);
            let Some(stat) = there(name, named)? else { return Ok(None) };
            if stat.st_nlink == 0 {
                continue;
            }
            check(&stat, max)?;
            let Some(file) = there(name, self.open_inside(name))? else { return Ok(None) };
            let Some(stat) = there(name, rustix::fs::fstat(&file))? else { return Ok(None) };
            // It was removed or replaced since it was opened: what stands under its name now is what counts.
            if stat.st_nlink == 0 {
                continue;
            }
            let size = check(&stat, max)?;
            return Ok(Some(filled(&file, name, size)?));
        }
        Err(Refusal::Changing.into())
    }

    /// Opens a name of this directory. Older kernels, and gVisor, lack openat2 (`ENOSYS`; `EPERM` of a filter that does not know it):
    /// for a single component that is no link, what it adds is that nothing is mounted there.
    fn open_inside(&self, name: &str) -> Result<OwnedFd, Errno> {
        match rustix::fs::openat2(&self.directory, name, READ, Mode::empty(), INSIDE) {
            Err(Errno::NOSYS | Errno::PERM) => self.open_by_component(name),
            result => result,
        }
    }

    fn open_by_component(&self, name: &str) -> Result<OwnedFd, Errno> {
        let file = rustix::fs::openat(&self.directory, name, READ, Mode::empty())?;
        let (inside, here) = (rustix::fs::fstat(&file)?, rustix::fs::fstat(&self.directory)?);
        if inside.st_dev == here.st_dev { Ok(file) } else { Err(Errno::XDEV) }
    }
}

/// The bytes of an open file that had this size.
fn filled(file: &OwnedFd, name: &str, size: usize) -> Result<Vec<u8>, SpoolError> {
    let mut bytes = vec![0; size];
    let mut filled = 0;
    while filled < size {
        match rustix::io::read(file, &mut bytes[filled..]) {
            // It became shorter meanwhile.
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(SpoolError::at("read", name)(errno)),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// What a call gave; nothing where the file is gone.
fn there<T>(name: &str, result: Result<T, Errno>) -> Result<Option<T>, ReadError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NOENT) => Ok(None),
        Err(Errno::ACCESS | Errno::PERM) => Err(Refusal::Closed.into()),
        Err(Errno::LOOP | Errno::MLINK) => Err(Refusal::Kind("a link").into()),
        Err(Errno::XDEV) => Err(Refusal::Mounted.into()),
        Err(Errno::NXIO | Errno::NODEV) => Err(Refusal::Kind("no regular file").into()),
        Err(errno) => Err(SpoolError::at("read", name)(errno).into()),
    }
}

/// The size of a file that may be read.
fn check(stat: &rustix::fs::Stat, max: usize) -> Result<usize, Refusal> {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(Refusal::Kind("a directory")),
        FileType::Symlink => return Err(Refusal::Kind("a link")),
        FileType::Fifo => return Err(Refusal::Kind("a pipe")),
        FileType::Socket => return Err(Refusal::Kind("a socket")),
        _ => return Err(Refusal::Kind("a device")),
    }
    if stat.st_nlink != 1 {
        return Err(Refusal::Names);
    }
    let size = u64::try_from(stat.st_size).unwrap_or(u64::MAX);
    match usize::try_from(size) {
        Ok(size) if size <= max => Ok(size),
        _ => Err(Refusal::Size { size, max }),
    }
}

impl From<ReadError> for io::Error {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Failed(failed) => failed.source,
            ReadError::Refused(refusal) => Self::other(refusal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is done where openat2 is missing refuses the same.
    #[test]
    fn without_openat2_links_are_not_followed_either() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path()).unwrap();
        fs_err::write(dir.path().join("state"), "x").unwrap();
        std::os::unix::fs::symlink("state", dir.path().join("link")).unwrap();
        assert!(spool.open_by_component("state").is_ok());
        assert_eq!(spool.open_by_component("link").unwrap_err(), Errno::LOOP);
        let root = Spool::open(std::path::Path::new("/")).unwrap();
        assert_eq!(root.open_by_component("proc").unwrap_err(), Errno::XDEV, "a mount");
        assert_eq!(root.open_inside("proc").unwrap_err(), Errno::XDEV, "as with openat2");
    }
}
