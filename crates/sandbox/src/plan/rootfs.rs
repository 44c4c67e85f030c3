//! Looking at an unpacked image and at mount sources without following links.

use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::directory;
use pinfold_base::directory::Entry;
use pinfold_base::directory::Mounts;
use pinfold_base::directory::Next;
use pinfold_base::directory::Seen;
use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::plan::refusal::Refusal;
use crate::plan::socket::is_somebodys;

/// How often a tree that changes is searched.
const TRIES_MAX: u32 = 3;
/// Directories that are covered because they could not be looked into, at most; with more of them the mount is refused.
const CLOSED_MAX: usize = 1000;
/// Bytes of the path of a directory that is covered (PATH_MAX is 4096, and the mount's own target goes before).
const COVERED_PATH_MAX: usize = 2048;
/// Sockets that are covered, at most; with more of them the mount is refused.
pub(crate) const SOCKETS_MAX: usize = 200;
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

/// What a search for Unix sockets found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Sockets that a program may listen on.
    pub(crate) sockets: Vec<Socket>,
    /// Directories that cannot be listed by the caller, who is their owner inside and could open them there.
    pub(crate) closed: Vec<Closed>,
}

/// A socket that a program of this machine has.
#[derive(Debug)]
pub(crate) struct Socket {
    /// Relative to where the search began; empty for the source itself.
    pub(crate) path: PathBuf,
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

/// A directory that could not be looked into.
#[derive(Debug)]
pub(crate) struct Closed {
    /// Relative to where the search began; empty for that directory itself.
    pub(crate) path: PathBuf,
    pub(crate) device: u64,
    pub(crate) inode: u64,
}

/// Looks for Unix sockets at and below `source`, links not followed. A tree that changes under the search is searched again.
pub(crate) fn scan(source: &Path) -> io::Result<Scan> {
    let mut tries = 0;
    loop {
        tries += 1;
        match scan_once(source) {
            Err(error) if error.raw_os_error() == Some(libc::ESTALE) && tries < TRIES_MAX => {}
            result => return result,
        }
    }
}

fn scan_once(source: &Path) -> io::Result<Scan> {
    let mut scan = Scan::default();
    let look = rustix::fs::open(source, LOOK, Mode::empty())?;
    let stat = rustix::fs::fstat(&look)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Socket => {
            scan.sockets.extend(socket(&look, OsStr::new(""), PathBuf::new()));
            return Ok(scan);
        }
        FileType::Directory => {}
        _ => return Ok(scan),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let root = match rustix::fs::openat(&look, ".", flags, Mode::empty()) {
        Err(Errno::ACCESS) => {
            scan.closed.push(Closed { path: PathBuf::new(), device: stat.st_dev, inode: stat.st_ino });
            return Ok(scan);
        }
        root => root?,
    };
    let mut seen = 0_u64;
    // What is mounted below is mounted inside, too.
    directory::walk(root, Mounts::Cross, |found| {
        match found {
            Seen::Entry(entry) => {
                seen += 1;
                if seen > SCAN_LIMIT {
                    return Err(io::Error::new(io::ErrorKind::QuotaExceeded, "too many files"));
                }
                if entry.kind == FileType::Socket && scan.sockets.len() < SOCKETS_MAX {
                    let name = OsStr::from_bytes(entry.name.to_bytes());
                    scan.sockets.extend(socket(entry.parent, name, entry.path.to_owned()));
                }
            }
            Seen::Unreadable(entry, _) => {
                if scan.closed.len() == CLOSED_MAX {
                    let problem = "too many directories that cannot be looked into";
                    return Err(io::Error::new(io::ErrorKind::PermissionDenied, problem));
                }
                scan.closed.extend(closed(source, &entry));
            }
            Seen::Entering(_) | Seen::Leaving(_) => {}
        }
        Ok(Next::On)
    })?;
    Ok(scan)
}

/// The socket `name` in a directory, or the one that is open itself; `None` for one that nobody has any more.
fn socket(parent: impl AsFd, name: &OsStr, path: PathBuf) -> Option<Socket> {
    let found = if name.is_empty() {
        parent.as_fd().try_clone_to_owned().ok()?
    } else {
        match rustix::fs::openat(&parent, name, LOOK, Mode::empty()) {
            Ok(found) => found,
            // It is gone.
            Err(Errno::NOENT) => return None,
            Err(_) => return Some(Socket { path, device: 0, inode: 0 }),
        }
    };
    let stat = rustix::fs::fstat(&found).ok()?;
    is_somebodys(&found).then_some(Socket { path, device: stat.st_dev, inode: stat.st_ino })
}

/// The directory to cover for one that cannot be listed: itself, or where its path is too long to mount on, one above. `None`
/// when it is gone.
fn closed(source: &Path, entry: &Entry<'_>) -> Option<Closed> {
    if entry.path.as_os_str().len() <= COVERED_PATH_MAX {
        let stat = rustix::fs::statat(entry.parent, entry.name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let (device, inode) = (stat.st_dev, stat.st_ino);
        return Some(Closed { path: entry.path.to_owned(), device, inode });
    }
    let mut path = PathBuf::new();
    for name in entry.path {
        if path.as_os_str().len() + name.len() >= COVERED_PATH_MAX {
            break;
        }
        path.push(name);
    }
    let stat = rustix::fs::lstat(source.join(&path)).ok()?;
    Some(Closed { path, device: stat.st_dev, inode: stat.st_ino })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn first_socket(source: &Path) -> Option<PathBuf> {
        let Scan { sockets, closed } = scan(source).unwrap();
        assert!(closed.is_empty(), "{closed:?}");
        sockets.first().map(|socket| {
            if socket.path.as_os_str().is_empty() { source.to_owned() } else { source.join(&socket.path) }
        })
    }

    #[test]
    fn a_socket_that_nobody_has_any_more_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let [stream, datagram] = ["stream.sock", "datagram.sock"].map(|name| dir.path().join(name));
        let (one, two) = (
            UnixListener::bind(&stream).unwrap(),
            std::os::unix::net::UnixDatagram::bind(&datagram).unwrap(),
        );
        let found = || {
            let mut found: Vec<PathBuf> =
                scan(dir.path()).unwrap().sockets.into_iter().map(|socket| socket.path).collect();
            found.sort();
            found
        };
        assert_eq!(found(), [Path::new("datagram.sock"), Path::new("stream.sock")]);
        // Whoever listens has not noticed.
        one.set_nonblocking(true).unwrap();
        assert_eq!(one.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        two.set_nonblocking(true).unwrap();
        assert_eq!(two.recv(&mut [0]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        // A process that another test is starting has them, too, until it is executed.
        let comes_to = |expected: &[&str]| {
            let begun = std::time::Instant::now();
            while found() != expected.iter().map(PathBuf::from).collect::<Vec<_>>() {
                assert!(begun.elapsed() < std::time::Duration::from_secs(60), "{:?}", found());
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        };
        drop(one);
        comes_to(&["datagram.sock"]);
        drop(two);
        comes_to(&[]);
        assert!(stream.exists() && datagram.exists());
        // Bound, and not yet listened on: it will be.
        let socket =
            rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None);
        let address = rustix::net::SocketAddrUnix::new(dir.path().join("later.sock")).unwrap();
        rustix::net::bind(socket.as_ref().unwrap(), &address).unwrap();
        assert_eq!(found(), [Path::new("later.sock")]);
    }

    /// What cannot be listed is told, with the directory itself or one above it that can be mounted on.
    #[test]
    fn what_cannot_be_looked_into_is_told() {
        use rustix::thread::CapabilitySet;
        let mut own = rustix::thread::capabilities(None).unwrap();
        own.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH;
        rustix::thread::set_capabilities(None, own).unwrap();
        let close = |path: &Path| {
            fs_err::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
            fs_err::symlink_metadata(path).unwrap()
        };
        let dir = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(dir.path().join("a/closed/inner")).unwrap();
        let _listener = UnixListener::bind(dir.path().join("a/closed/inner/agent.sock")).unwrap();
        let data = close(&dir.path().join("a/closed"));
        let found = scan(dir.path()).unwrap();
        assert_eq!((found.sockets.len(), found.closed.len()), (0, 1));
        let closed = &found.closed[0];
        use std::os::unix::fs::MetadataExt;
        assert_eq!((closed.path.as_path(), closed.inode), (Path::new("a/closed"), data.ino()));
        assert_eq!(closed.device, data.dev());
        // The source itself.
        let found = scan(&dir.path().join("a/closed")).unwrap();
        assert_eq!(found.closed[0].path, Path::new(""));
        // Deeper than a path can say.
        let name = "n".repeat(200);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let mut at = rustix::fs::open(dir.path(), flags, Mode::empty()).unwrap();
        for _ in 0..40 {
            rustix::fs::mkdirat(&at, &name, Mode::RWXU).unwrap();
            at = rustix::fs::openat(&at, &name, flags, Mode::empty()).unwrap();
        }
        rustix::fs::mkdirat(&at, "closed", Mode::empty()).unwrap();
        let found = scan(dir.path()).unwrap();
        let covered = found.closed.iter().find(|closed| closed.path.starts_with(&name)).unwrap();
        let depth = covered.path.components().count();
        assert_eq!((found.closed.len(), depth), (2, 10));
        directory::remove(&dir.path().join(&name)).unwrap();
        directory::remove(&dir.path().join("a")).unwrap();
    }

    #[test]
    fn sockets_are_found_at_any_depth_and_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        fs_err::create_dir_all(&deep).unwrap();
        fs_err::write(deep.join("file"), "").unwrap();
        assert_eq!(first_socket(dir.path()), None);
        let socket = deep.join("agent.sock");
        let _listener = UnixListener::bind(&socket).unwrap();
        assert_eq!(first_socket(dir.path()).as_ref(), Some(&socket));
        assert_eq!(first_socket(&socket).as_ref(), Some(&socket));
        assert_eq!(first_socket(&deep.join("file")), None);
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
        assert_eq!(first_socket(&mounted), None);
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
