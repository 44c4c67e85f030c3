//! Removing things below a directory handle. No link is followed, and a directory is entered by its handle.

use std::ffi::CStr;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use pinfold_base::directory;
use rustix::fs::AtFlags;
use rustix::fs::Dir;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;

/// Removes whatever has this name. Says whether it was something that can have names below it (a directory, a link).
pub(super) fn entry(parent: BorrowedFd<'_>, name: &CStr) -> io::Result<bool> {
    let kind = FileType::from_raw_mode(rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode);
    directory::remove_at(parent, name)?;
    Ok(matches!(kind, FileType::Directory | FileType::Symlink))
}

/// Opens a directory for listing, making it accessible for its owner first.
pub(super) fn open(parent: BorrowedFd<'_>, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(parent, name, flags, Mode::empty()) {
        Ok(dir) => {
            // Best effort: an unreadable directory of ours must not stop its own removal.
            let _ = rustix::fs::fchmod(&dir, Mode::from_raw_mode(0o700));
            Ok(dir)
        }
        Err(Errno::ACCESS) => {
            // It was found to be a directory, and below a handle of ours only we change names.
            rustix::fs::chmodat(parent, name, Mode::from_raw_mode(0o700), AtFlags::empty())?;
            Ok(rustix::fs::openat(parent, name, flags, Mode::empty())?)
        }
        Err(error) => Err(error.into()),
    }
}

/// Names and kinds in a directory.
pub(super) fn children(dir: &OwnedFd) -> io::Result<Vec<(std::ffi::CString, FileType)>> {
    let mut found = Vec::new();
    for child in Dir::read_from(dir)? {
        let child = child?;
        if ![c".", c".."].contains(&child.file_name()) {
            found.push((child.file_name().to_owned(), child.file_type()));
        }
    }
    Ok(found)
}
