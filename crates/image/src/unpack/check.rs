//! Whether a root can be mounted on. A link at `/dev` or `/proc` makes a runtime mount, or write, where the link leads
//! (CVE-2026-41579 and its older siblings).

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use fs_err::File;
use pinfold_base::ImagePath;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::UnpackError;

/// Where every runtime mounts or writes.
const ALWAYS: [&str; 7] = ["dev", "dev/pts", "dev/shm", "etc", "proc", "sys", "tmp"];

/// Checks that the usual mount targets, and `further` ones, are directories or missing: neither they nor what is above
/// them may be links or files.
pub fn check_rootfs(root: &Path, further: &[ImagePath]) -> Result<(), UnpackError> {
    check_handle(&File::open(root)?, further)
}

pub(super) fn check_handle(root: &File, further: &[ImagePath]) -> Result<(), UnpackError> {
    let always = ALWAYS.iter().filter_map(|name| ImagePath::new(name).ok());
    for path in always.chain(further.iter().cloned()) {
        check(root, &path)?;
    }
    Ok(())
}

fn check(root: &File, path: &ImagePath) -> Result<(), UnpackError> {
    let mut at: Option<OwnedFd> = None;
    for name in path.components() {
        let dir = at.as_ref().map_or(root.file().as_fd(), AsFd::as_fd);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = match rustix::fs::openat(dir, OsStr::from_bytes(name), flags, Mode::empty()) {
            Ok(found) => found,
            Err(Errno::NOENT) => return Ok(()),
            Err(error) => return Err(io::Error::from(error).into()),
        };
        match FileType::from_raw_mode(rustix::fs::fstat(&found).map_err(io::Error::from)?.st_mode) {
            FileType::Directory => at = Some(found),
            kind => {
                let found = if kind == FileType::Symlink { "a symbolic link" } else { "no directory" };
                return Err(UnpackError::MountTarget { path: path.clone(), found });
            }
        }
    }
    Ok(())
}
