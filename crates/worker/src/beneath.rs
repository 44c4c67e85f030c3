//! Files below a directory, by its descriptor, whatever a path says.
//!
//! Where the kernel has `openat2`, it resolves (`RESOLVE_BENEATH`, `RESOLVE_NO_MAGICLINKS`): links may lead about below the root,
//! never out of it. Elsewhere (gVisor) each component is opened by itself and no link is followed at all.
//!
//! **Guarantees**: nothing outside of the root is opened or made, also where names are exchanged meanwhile; nothing blocks (no
//! FIFO is waited for). **Refuses** what is no regular file where one is wanted.

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::fs::Stat;
use rustix::io::Errno;

/// Attempts where names move below the call (`openat2(2)`, `EAGAIN`).
const ATTEMPTS: usize = 16;
/// Components of a path.
const COMPONENTS: usize = 128;

/// How paths are resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Kernel,
    Components,
}

/// A directory, and what is below it.
#[derive(Debug)]
pub(crate) struct Root {
    fd: OwnedFd,
    way: Way,
}

/// A directory below a root, and a name in it.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    /// The directory.
    pub(crate) parent: OwnedFd,
    /// The name: no `/`, not `.` or `..`.
    pub(crate) name: &'a str,
}

impl Root {
    /// Opens a directory of the sandbox's own.
    pub(crate) fn open(path: &str) -> Result<Self, Errno> {
        let fd = rustix::fs::open(
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let tried = rustix::fs::openat2(
            &fd,
            ".",
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
        );
        let way = if tried.is_ok() { Way::Kernel } else { Way::Components };
        Ok(Self { fd, way })
    }

    /// The same without `openat2`, as where it is missing.
    #[cfg(test)]
    pub(crate) fn by_components(mut self) -> Self {
        self.way = Way::Components;
        self
    }

    /// Opens what a path leads to.
    pub(crate) fn at(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        // `openat2` knows which flags go together (`EINVAL`).
        let more = if flags.contains(OFlags::PATH) {
            OFlags::CLOEXEC
        } else {
            OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK
        };
        let flags = flags | more;
        let path = relative(path)?;
        match self.way {
            Way::Kernel => {
                let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
                for _ in 0..ATTEMPTS {
                    match rustix::fs::openat2(&self.fd, path, flags, Mode::empty(), resolve) {
                        Err(Errno::AGAIN | Errno::INTR) => {}
                        result => return result,
                    }
                }
                Err(Errno::AGAIN)
            }
            Way::Components => {
                let mut fd = self.fd.as_fd().try_clone_to_owned().map_err(|_| Errno::MFILE)?;
                let parts = components(path)?;
                let step = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let Some((last, before)) = parts.split_last() else {
                    return rustix::fs::openat(&fd, ".", flags, Mode::empty());
                };
                for part in before {
                    fd = rustix::fs::openat(&fd, *part, step, Mode::empty())?;
                }
                rustix::fs::openat(&fd, *last, flags | OFlags::NOFOLLOW, Mode::empty())
            }
        }
    }

    /// Opens a regular file to be read.
    pub(crate) fn file(&self, path: &str) -> Result<(OwnedFd, Stat), Errno> {
        let fd = self.at(path, OFlags::RDONLY)?;
        let stat = rustix::fs::fstat(&fd)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok((fd, stat)),
            FileType::Directory => Err(Errno::ISDIR),
            _ => Err(Errno::NXIO),
        }
    }

    /// Opens a directory to be listed.
    pub(crate) fn directory(&self, path: &str) -> Result<OwnedFd, Errno> {
        self.at(path, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// The directory that a file is in, and the file's name; directories on the way are made.
    pub(crate) fn place<'a>(&self, path: &'a str) -> Result<Place<'a>, Errno> {
        let path = relative(path)?;
        let parts = components(path)?;
        let (name, before) = parts.split_last().ok_or(Errno::ISDIR)?;
        if path.ends_with('/') {
            return Err(Errno::ISDIR);
        }
        let mut parent = self.at(".", OFlags::PATH | OFlags::DIRECTORY)?;
        let mut way = String::new();
        for part in before {
            if !way.is_empty() {
                way.push('/');
            }
            way.push_str(part);
            let flags = OFlags::PATH | OFlags::DIRECTORY;
            parent = match self.at(&way, flags) {
                Err(Errno::NOENT) => {
                    // In the directory that was reached, not by the path once more. A link to nowhere is an error.
                    match rustix::fs::mkdirat(&parent, *part, Mode::from_raw_mode(0o777)) {
                        Ok(()) | Err(Errno::EXIST) => self.at(&way, flags)?,
                        Err(error) => return Err(error),
                    }
                }
                result => result?,
            };
        }
        Ok(Place { parent, name })
    }
}

impl Place<'_> {
    /// What is there, itself where it is a link; nothing where nothing is.
    pub(crate) fn stat(&self) -> Result<Option<Stat>, Errno> {
        match rustix::fs::statat(&self.parent, self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a file there, whole or not at all; a file that is there keeps its permission bits.
    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), Errno> {
        let mode = match self.stat()? {
            None => Mode::from_raw_mode(0o666),
            Some(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => Mode::from_raw_mode(stat.st_mode & 0o777),
                FileType::Directory => return Err(Errno::ISDIR),
                FileType::Symlink => return Err(Errno::LOOP),
                _ => return Err(Errno::NXIO),
            },
        };
        // One name only: what an end in the middle left is written over.
        let new = ".pinfold-write";
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let _ = rustix::fs::unlinkat(&self.parent, new, AtFlags::empty());
        let fd = rustix::fs::openat(&self.parent, new, flags, mode)?;
        let written = all(fd.as_fd(), bytes)
            .and_then(|()| rustix::fs::fsync(&fd))
            .and_then(|()| rustix::fs::renameat(&self.parent, new, &self.parent, self.name));
        if written.is_err() {
            let _ = rustix::fs::unlinkat(&self.parent, new, AtFlags::empty());
        }
        written
    }
}

/// Writes all bytes.
fn all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::write(fd, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// At most `limit` bytes of a file from `offset` on.
pub(crate) fn read(fd: impl AsFd, offset: u64, limit: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; limit];
    let mut count = 0;
    while count < limit {
        match rustix::io::pread(fd.as_fd(), &mut bytes[count..], offset.saturating_add(count as u64)) {
            Ok(0) => break,
            Ok(read) => count += read,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(count);
    Ok(bytes)
}

/// A path that can be one below a root.
fn relative(path: &str) -> Result<&str, Errno> {
    if path.contains('\0') {
        return Err(Errno::INVAL);
    }
    if path.starts_with('/') {
        return Err(Errno::XDEV);
    }
    Ok(if path.is_empty() { "." } else { path })
}

/// The components, of which none leads upwards.
fn components(path: &str) -> Result<Vec<&str>, Errno> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err(Errno::XDEV);
    }
    if parts.len() > COMPONENTS {
        return Err(Errno::NAMETOOLONG);
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use fs_err as fs;

    use super::*;

    fn roots(path: &Path) -> [Root; 2] {
        let open = || Root::open(path.to_str().unwrap()).unwrap();
        [open(), open().by_components()]
    }

    #[test]
    fn nothing_outside_is_reached_by_any_path() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("root");
        fs::create_dir_all(root.join("in")).unwrap();
        fs::write(scratch.path().join("secret"), "secret").unwrap();
        fs::write(root.join("in/file"), "word").unwrap();
        symlink("../secret", root.join("up")).unwrap();
        symlink("/etc/hostname", root.join("absolute")).unwrap();
        symlink("/proc/self/root", root.join("magic")).unwrap();
        symlink("..", root.join("in/above")).unwrap();
        symlink(scratch.path(), root.join("folder")).unwrap();
        for root in roots(&root) {
            // Control: what is below is read.
            let (fd, _) = root.file("in/file").unwrap();
            assert_eq!(read(&fd, 0, 100).unwrap(), b"word");
            assert_eq!(read(&fd, 2, 100).unwrap(), b"rd");
            for path in [
                "../secret",
                "up",
                "absolute",
                "magic/etc/hostname",
                "in/../../secret",
                "in/above/../secret",
                "folder/secret",
                "/etc/hostname",
                "in/file\0x",
                "/proc/self/root/etc/hostname",
                "",
            ] {
                assert!(root.file(path).is_err(), "{path:?} by {:?}", root.way);
            }
            for path in
                ["../new", "folder/new", "magic/tmp/new", "in/../../new", "up", "in", ".", "new/", "/tmp/new"]
            {
                let written = root.place(path).and_then(|place| place.write(b"x"));
                assert!(written.is_err(), "{path:?} by {:?}", root.way);
            }
        }
        assert_eq!(fs::read_to_string(scratch.path().join("secret")).unwrap(), "secret");
        assert!(!scratch.path().join("new").exists());
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let scratch = tempfile::tempdir().unwrap();
        let fifo = |name: &str| {
            rustix::fs::mknodat(rustix::fs::CWD, scratch.path().join(name), FileType::Fifo, Mode::RWXU, 0)
                .unwrap();
        };
        fifo("fifo");
        let _socket = std::os::unix::net::UnixListener::bind(scratch.path().join("socket")).unwrap();
        symlink("/dev/zero", scratch.path().join("device")).unwrap();
        for root in roots(scratch.path()) {
            for name in ["fifo", "socket", "device"] {
                assert!(root.file(name).is_err(), "{name}");
                assert!(root.place(name).unwrap().write(b"x").is_err(), "{name}");
            }
        }
        assert!(fs::symlink_metadata(scratch.path().join("fifo")).is_ok());
    }

    #[test]
    fn files_are_written_whole_into_directories_that_are_made() {
        let scratch = tempfile::tempdir().unwrap();
        for (number, root) in roots(scratch.path()).into_iter().enumerate() {
            let path = format!("{number}/a/b/file");
            root.place(&path).unwrap().write(b"one").unwrap();
            let file = scratch.path().join(&path);
            fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
            fs::hard_link(&file, scratch.path().join(format!("{number}/link"))).unwrap();
            root.place(&path).unwrap().write(b"two").unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), "two");
            assert_eq!(std::os::unix::fs::MetadataExt::mode(&fs::metadata(&file).unwrap()) & 0o777, 0o640);
            // A file with another name elsewhere is not changed by that name's content here.
            assert_eq!(fs::read_to_string(scratch.path().join(format!("{number}/link"))).unwrap(), "one");
            assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
        }
    }
}
