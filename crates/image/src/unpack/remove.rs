//! Removing things below a directory handle. No link is followed, and a directory is entered by its handle.

use std::ffi::CStr;
use std::io;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::AtFlags;
use rustix::fs::Dir;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;

/// Removes whatever has this name. Says whether it was something that can have names below it (a directory, a link).
pub(super) fn entry(parent: BorrowedFd<'_>, name: &CStr) -> io::Result<bool> {
    let kind = FileType::from_raw_mode(rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode);
    if kind == FileType::Directory {
        let dir = open(parent, name)?;
        for (child, _) in children(&dir)? {
            entry(std::os::fd::AsFd::as_fd(&dir), &child)?;
        }
        rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?;
    } else {
        rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
    }
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

/// Removes a whole directory by its path, which pinfold chose.
pub(super) fn tree(path: &Path) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::other("the root directory is never removed"));
    };
    let parent = fs_err::File::open(parent)?;
    let name = std::ffi::CString::new(name.as_bytes())?;
    match entry(std::os::fd::AsFd::as_fd(parent.file()), &name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map(drop),
    }
}
