//! Files and directories that are being written, under names of their own, and what becomes of them when their writer is killed.
//!
//! Whoever writes one holds a lock on it (flock(2)), which ends with the process. So what nobody holds is nobody's, however young
//! it is, and what is held is left alone, however old.
//!
//! **Guarantees**: [`sweep`] removes nothing that is being written; a writer that was overtaken by it between making a name and
//! locking it begins again. On a file system without locks nothing is removed.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use rustix::fs::FlockOperation;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::directory;
use crate::directory::Size;

/// How their names begin.
pub const PREFIX: &str = ".pinfold-own-";

/// A file that is being written. It is removed when it is dropped, and when its writer is killed.
pub fn file(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    loop {
        let file = tempfile::Builder::new().prefix(PREFIX).tempfile_in(folder)?;
        if claim(file.as_file())? {
            return Ok(file);
        }
    }
}

/// A directory that is being written.
#[derive(Debug)]
pub struct Directory {
    /// Where it is.
    pub path: PathBuf,
    _claim: fs::File,
}

/// Makes a directory that is being written. Removing or renaming it is up to its writer; it is removed when that is killed.
pub fn directory(folder: &Path) -> io::Result<Directory> {
    loop {
        let path = tempfile::Builder::new().prefix(PREFIX).tempdir_in(folder)?.keep();
        match fs::File::open(&path) {
            Ok(opened) if claim(opened.file())? => return Ok(Directory { path, _claim: opened }),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
}

/// Locks what was just made. Whether it is still there.
fn claim(made: impl AsFd) -> io::Result<bool> {
    loop {
        match rustix::fs::flock(&made, FlockOperation::LockShared) {
            Err(Errno::INTR) => {}
            // No locks here: then nobody sweeps either.
            Ok(()) | Err(_) => return Ok(rustix::fs::fstat(&made)?.st_nlink > 0),
        }
    }
}

/// What killed writers left in `folder`, removed if `remove` says so.
pub fn sweep(folder: &Path, remove: bool) -> io::Result<Size> {
    let mut found = Size::default();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let path = entry?.path();
        if !is_own(&path) {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        // Gone meanwhile, or nothing that we make.
        let Ok(opened) = rustix::fs::open(&path, flags, Mode::empty()) else { continue };
        if rustix::fs::flock(&opened, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        let Ok(data) = fs::symlink_metadata(&path) else { continue };
        if data.is_dir() {
            let size = directory::size(&path);
            found.files += size.files;
            found.bytes += size.bytes;
            // What cannot be removed is told by `gc`.
            let _ = remove && directory::remove(&path).is_ok();
        } else {
            found.files += 1;
            found.bytes += data.len();
            let _ = remove && fs::remove_file(&path).is_ok();
        }
    }
    Ok(found)
}

/// Whether the name is one of ours.
pub fn is_own(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_nobody_writes_any_more_goes_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let mut held = file(dir.path()).unwrap();
        held.write_all(b"half").unwrap();
        let (folder, other) = (directory(dir.path()).unwrap(), dir.path().join("w-other"));
        fs::write(&other, "1").unwrap();
        // As if their writers had been killed.
        let (_, left) = file(dir.path()).unwrap().keep().unwrap();
        fs::write(&left, "12345").unwrap();
        let left_folder = directory(dir.path()).unwrap().path;
        fs::write(left_folder.join("a"), "123").unwrap();
        let looked = sweep(dir.path(), false).unwrap();
        assert!(looked.files >= 2 && looked.bytes >= 8 && left.exists(), "{looked:?}");
        assert_eq!(sweep(dir.path(), true).unwrap(), looked);
        assert!(!left.exists() && !left_folder.exists());
        assert!(held.path().exists() && folder.path.exists() && other.exists());
        assert_eq!(sweep(dir.path(), true).unwrap(), Size::default());
        assert_eq!(sweep(&dir.path().join("nowhere"), true).unwrap(), Size::default());
    }
}
