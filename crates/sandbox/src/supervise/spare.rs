//! Empty directories kept for the next run, so that stand-ins need not be made and removed each time.
//!
//! ```text
//!   DATA/stand-ins/HEX      HEX: SHA-256 of the place that it stood in and will stand in again, and of the directory there
//! ```
//!
//! To make and remove a directory costs a file system an inode and a block each time, and some wait for the disk then; to move
//! one costs neither.
//!
//! **Guarantees**: a directory comes back to the one place that it was at. Whoever has it open from before, another sandbox
//! with the same workspace say, reaches with it what it reached by its name then, and no other place or project. Only what is
//! empty and as it was made is kept or used ([`MARK`]); nothing that holds anything is removed.
//! **Refuses** nothing: where it cannot be moved (another file system) it is made and removed.

use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use pinfold_base::Digest;
use rustix::fs::AtFlags;
use rustix::fs::Dir;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::RenameFlags;
use rustix::io::Errno;

use crate::plan::MARK;
use crate::plan::is_empty;

/// Folder of what is kept, beside that of the sandboxes.
const FOLDER: &str = "stand-ins";

/// So many are kept; with one more all of them go.
const KEPT_MAX: usize = 512;

/// How a stand-in's mode is.
pub(super) const MODE: u32 = 0o755;

/// What is kept. The default keeps nothing.
#[derive(Debug, Default)]
pub(super) struct Spare {
    folder: Option<OwnedFd>,
}

impl Spare {
    /// That of the sandboxes of which `folder` is one.
    pub(super) fn beside(folder: &Path) -> Self {
        let sandboxes = folder.parent();
        Self { folder: sandboxes.and_then(|sandboxes| open(&sandboxes.with_file_name(FOLDER)).ok()) }
    }

    /// Moves the one of `place` there, which is in `parent`. `false` when there is none that can be moved.
    pub(super) fn take(&self, parent: impl AsFd, place: &Path) -> rustix::io::Result<bool> {
        let (Some(folder), Some(name)) = (&self.folder, place.file_name()) else { return Ok(false) };
        let Ok(kept) = kept(&parent, place) else { return Ok(false) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(found) = rustix::fs::openat(folder, &kept, flags, Mode::empty()) else { return Ok(false) };
        if !is_unused(&found) {
            return Ok(false);
        }
        match rustix::fs::renameat_with(folder, &kept, &parent, name, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Err(Errno::EXIST),
            Err(_) => Ok(false),
        }
    }

    /// Moves the directory `open`, which stands at `place` in `parent`, here. `false` when it stays where it is.
    pub(super) fn keep(&self, parent: impl AsFd, place: &Path, open: &OwnedFd) -> bool {
        let (Some(folder), Some(name)) = (&self.folder, place.file_name()) else { return false };
        if !is_unused(open) {
            return false;
        }
        // Each directory in it is one link more (where the file system counts them).
        if rustix::fs::fstat(folder)
            .is_ok_and(|data| usize::try_from(data.st_nlink).is_ok_and(|links| links > 2 + KEPT_MAX))
        {
            clear(folder);
        }
        let Ok(kept) = kept(&parent, place) else { return false };
        if rustix::fs::renameat_with(&parent, name, folder, &kept, RenameFlags::NOREPLACE).is_err() {
            return false;
        }
        if !is_unused(open) {
            // Somebody has put something there in this moment.
            let _ = rustix::fs::renameat_with(folder, &kept, &parent, name, RenameFlags::NOREPLACE);
        }
        true
    }
}

fn open(path: &Path) -> std::io::Result<OwnedFd> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// The name here of what stands at `place` in `parent`. Another directory at the same path is another place.
fn kept(parent: impl AsFd, place: &Path) -> rustix::io::Result<String> {
    let data = rustix::fs::fstat(parent)?;
    let mut all = format!("{} {} ", data.st_dev, data.st_ino).into_bytes();
    all.extend(place.as_os_str().as_bytes());
    Ok(Digest::sha256(&all).hex())
}

/// Whether a directory is as it was made.
fn is_unused(directory: &OwnedFd) -> bool {
    let Ok(data) = rustix::fs::fstat(directory) else { return false };
    let mode = Mode::from_raw_mode(data.st_mode);
    FileType::from_raw_mode(data.st_mode) == FileType::Directory
        && data.st_uid == rustix::process::geteuid().as_raw()
        && mode == Mode::from_raw_mode(MODE)
        && data.st_mtime == MARK
        && is_empty(directory)
}

/// Removes what is empty.
fn clear(folder: &OwnedFd) {
    for entry in Dir::read_from(folder).into_iter().flatten().flatten() {
        let _ = rustix::fs::unlinkat(folder, entry.file_name(), AtFlags::REMOVEDIR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_goes_and_what_holds_anything_stays() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a", "b/mine", "c"] {
            fs_err::create_dir_all(dir.path().join(name)).unwrap();
        }
        clear(&open(dir.path()).unwrap());
        let left = fs_err::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["b"]);
    }
}
