//! Looking at an unpacked image and at mount sources without following links.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::AtFlags;
use rustix::fs::Dir;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::plan::refusal::Refusal;

/// Entries that are looked at before the search for sockets gives up (and the mount is refused).
const SCAN_LIMIT: u64 = 20_000_000;

/// What stands at a path of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// A directory with these permission bits.
    Directory(u32),
    /// Anything but a directory or link.
    File,
    /// Nothing.
    Missing,
}

/// The root directory of an image, held open.
#[derive(Debug)]
pub(crate) struct RootDirectory(OwnedFd);

const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl RootDirectory {
    pub(crate) fn open(path: &Path) -> Result<Self, Errno> {
        rustix::fs::open(path, LOOK | OFlags::DIRECTORY, Mode::empty()).map(Self)
    }

    /// What stands at `target` (absolute, clean). A link anywhere on the way is a refusal.
    pub(crate) fn look(&self, target: &Path) -> Result<Found, Refusal> {
        let failed = |errno: Errno| Refusal::Rootfs { path: target.to_owned(), source: errno.into() };
        let mut at = rustix::fs::openat(&self.0, ".", LOOK, Mode::empty()).map_err(failed)?;
        let mut walked = PathBuf::from("/");
        for name in target.components().skip(1) {
            walked.push(name);
            at = match rustix::fs::openat(&at, name.as_os_str(), LOOK, Mode::empty()) {
                Ok(next) => next,
                Err(Errno::NOENT) => return Ok(Found::Missing),
                Err(Errno::NOTDIR) => return Err(Refusal::TargetKind(target.to_owned())),
                Err(errno) => return Err(failed(errno)),
            };
            let kind = FileType::from_raw_mode(rustix::fs::fstat(&at).map_err(failed)?.st_mode);
            if kind == FileType::Symlink {
                return Err(Refusal::LinkInImage { target: target.to_owned(), link: walked });
            }
        }
        let mode = rustix::fs::fstat(&at).map_err(failed)?.st_mode;
        Ok(if FileType::from_raw_mode(mode) == FileType::Directory {
            Found::Directory(mode & 0o7777)
        } else {
            Found::File
        })
    }
}

/// The first Unix socket at or below `source`, links not followed. Directories that the caller cannot read cannot be read
/// inside either (same id), so they are passed over.
pub(crate) fn first_socket(source: &Path) -> io::Result<Option<PathBuf>> {
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let stat = rustix::fs::lstat(source)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Socket => return Ok(Some(source.to_owned())),
        FileType::Directory => {}
        _ => return Ok(None),
    }
    let mut pending = vec![source.to_owned()];
    let mut seen = 0_u64;
    while let Some(directory) = pending.pop() {
        let fd = match rustix::fs::open(
            &directory,
            flags | OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NONBLOCK,
            Mode::empty(),
        ) {
            Ok(fd) => fd,
            Err(Errno::ACCESS | Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            Err(errno) => return Err(errno.into()),
        };
        for entry in Dir::new(fd)? {
            let entry = entry?;
            seen += 1;
            if seen > SCAN_LIMIT {
                return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "too many files"));
            }
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let path = directory.join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(name));
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    match rustix::fs::statat(rustix::fs::CWD, &path, AtFlags::SYMLINK_NOFOLLOW) {
                        Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                        Err(_) => continue,
                    }
                }
                known => known,
            };
            match kind {
                FileType::Socket => return Ok(Some(path)),
                FileType::Directory => pending.push(path),
                _ => {}
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn sockets_are_found_at_any_depth_and_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        fs_err::create_dir_all(&deep).unwrap();
        fs_err::write(deep.join("file"), "").unwrap();
        assert_eq!(first_socket(dir.path()).unwrap(), None);
        let socket = deep.join("agent.sock");
        let _listener = UnixListener::bind(&socket).unwrap();
        assert_eq!(first_socket(dir.path()).unwrap().as_ref(), Some(&socket));
        assert_eq!(first_socket(&socket).unwrap().as_ref(), Some(&socket));
        assert_eq!(first_socket(&deep.join("file")).unwrap(), None);
    }

    /// Inside, a link leads to what is mounted there, not to the host's file.
    #[test]
    fn links_are_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (mounted, other) = (dir.path().join("mounted"), dir.path().join("other"));
        fs_err::create_dir_all(&mounted).unwrap();
        fs_err::create_dir_all(&other).unwrap();
        let _listener = UnixListener::bind(other.join("agent.sock")).unwrap();
        symlink(&other, mounted.join("directory")).unwrap();
        symlink(other.join("agent.sock"), mounted.join("socket")).unwrap();
        symlink(&mounted, mounted.join("loop")).unwrap();
        assert_eq!(first_socket(&mounted).unwrap(), None);
    }

    #[test]
    fn what_stands_at_a_path_is_told() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir(dir.path().join("a")).unwrap();
        fs_err::write(dir.path().join("a/file"), "").unwrap();
        symlink("a", dir.path().join("link")).unwrap();
        let root = RootDirectory::open(dir.path()).unwrap();
        assert!(matches!(root.look(Path::new("/a")), Ok(Found::Directory(_))));
        assert_eq!(root.look(Path::new("/a/file")).unwrap(), Found::File);
        assert_eq!(root.look(Path::new("/a/none/deeper")).unwrap(), Found::Missing);
        assert!(matches!(root.look(Path::new("/a/file/deeper")), Err(Refusal::TargetKind(_))));
        assert!(matches!(root.look(Path::new("/link/file")), Err(Refusal::LinkInImage { .. })));
    }
}
