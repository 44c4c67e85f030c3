//! Whether a file that is named by its digest has changed since it was hashed, told without reading it.
//!
//! Whoever hashes a file gives it one fixed modification time, the stamp. Everything that writes to the file afterwards takes the
//! stamp away, and then the file is in doubt: it is hashed, and gets its stamp back or is refused. A stamp lies in the inode, so
//! names that share one share the doubt as well.
//!
//! **Guarantees**: a file without the stamp, or of another size than expected, is never believed unread. **Does not find** what
//! a disk changes behind the file system's back; whoever reads such a file to its end does, and takes the stamp away ([`doubt`]).

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use fs_err as fs;
use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::Timespec;
use rustix::fs::Timestamps;
use rustix::fs::UTIME_NOW;
use rustix::fs::UTIME_OMIT;
use rustix::io::Errno;

use super::Expected;
use super::StoreError;
use super::matches;

/// The stamp: 2001-09-09T01:46:40Z, which file systems of every granularity can keep.
const STAMP: i64 = 1_000_000_000;

/// What a look at a file found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looked {
    /// It is what its name says.
    Right,
    /// It is not.
    Wrong,
    /// There is no such file.
    Missing,
}

/// Looks at a file that should be what `expected` names. It is read only when it is in doubt.
pub fn look(path: &Path, expected: &Expected) -> Result<Looked, StoreError> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Looked::Missing),
        Err(error) => return Err(error.into()),
    };
    if !found.is_file() || expected.size.is_some_and(|size| size != found.len()) {
        return Ok(Looked::Wrong);
    }
    if is_stamped(&found) {
        return Ok(Looked::Right);
    }
    match matches(path, &expected.digest) {
        Ok(true) => {}
        Ok(false) => return Ok(Looked::Wrong),
        // Another process has taken it away meanwhile.
        Err(StoreError::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(Looked::Missing),
        Err(error) => return Err(error),
    }
    stamp(path)?;
    Ok(Looked::Right)
}

/// Whether the file has not been written to since it got its stamp.
pub fn is_stamped(file: &Metadata) -> bool {
    (file.mtime(), file.mtime_nsec()) == (STAMP, 0)
}

/// Notes that the bytes of a file were hashed and are right.
pub fn stamp(path: &Path) -> io::Result<()> {
    set(path, Timespec { tv_sec: STAMP, tv_nsec: 0 })
}

/// Notes that the bytes of a file are in doubt, for all of its names.
pub fn doubt(path: &Path) -> io::Result<()> {
    set(path, Timespec { tv_sec: 0, tv_nsec: UTIME_NOW })
}

/// Makes a file look young to whoever goes by the time that its inode changed, and keeps its stamp.
pub fn touch(path: &Path) -> io::Result<()> {
    set(path, Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT })
}

fn set(path: &Path, modified: Timespec) -> io::Result<()> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: modified };
    match rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW) {
        // Another user's file, or a folder that is only read: it stays in doubt, which costs time and nothing else.
        Ok(()) | Err(Errno::PERM | Errno::ACCESS | Errno::ROFS | Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;

    #[test]
    fn what_was_written_to_is_read_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let (path, other) = (dir.path().join("a"), dir.path().join("b"));
        let expected = Expected { digest: Digest::sha256(b"hello"), size: Some(5) };
        assert_eq!(look(&path, &expected).unwrap(), Looked::Missing);
        fs::write(&path, "hello").unwrap();
        fs::hard_link(&path, &other).unwrap();
        assert!(!is_stamped(&fs::metadata(&path).unwrap()));
        assert_eq!(look(&path, &expected).unwrap(), Looked::Right);
        assert!(is_stamped(&fs::metadata(&other).unwrap()));
        touch(&path).unwrap();
        assert!(is_stamped(&fs::metadata(&path).unwrap()));
        // Through one name, seen through the other.
        fs::write(&other, "hallo").unwrap();
        assert_eq!(look(&path, &expected).unwrap(), Looked::Wrong);
        // A stamp is believed: this is what a disk does, and what nobody sees without reading.
        stamp(&path).unwrap();
        assert_eq!(look(&other, &expected).unwrap(), Looked::Right);
        doubt(&path).unwrap();
        assert_eq!(look(&other, &expected).unwrap(), Looked::Wrong);
        fs::write(&path, "hell").unwrap();
        stamp(&path).unwrap();
        assert_eq!(look(&path, &expected).unwrap(), Looked::Wrong, "by its size");
    }
}
