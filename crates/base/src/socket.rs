//! Unix sockets at paths of any length. An address has 108 bytes for a path (unix(7)), and folders of users may be longer: then the
//! socket is reached through its folder, which is open meanwhile (`/proc/self/fd/N/NAME`).
//!
//! A file of a socket outlives its owner: [`take`] listens where one was left, and nowhere else.
//!
//! **Guarantees**: a path that fits is given to the kernel as it is. **Refuses** what the kernel does: names too long by themselves.

use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::net::SocketAddrUnix;
use rustix::net::SocketFlags;
use rustix::net::SocketType;

/// Longest path in an address; a zero is behind it.
const MAX_PATH: usize = 107;

/// Binds a socket to a path with nothing at it, and listens.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    reached(path, |path| UnixListener::bind(path))
}

/// Connects with the socket at a path.
pub fn connect(path: &Path) -> io::Result<UnixStream> {
    reached(path, |path| UnixStream::connect(path))
}

/// Why nobody can listen at a path.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// Something else than a socket is there.
    #[error("something else than a socket is there")]
    NoSocket,
    /// Somebody listens there.
    #[error("somebody listens there already")]
    Listening,
    /// The kernel refuses.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Listens at a path: in the place of a socket that nobody listens on any more, and of nothing else.
pub fn take(path: &Path) -> Result<UnixListener, TakeError> {
    match rustix::fs::lstat(path) {
        Err(Errno::NOENT) => {}
        Err(errno) => return Err(TakeError::Io(errno.into())),
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Socket => {
            return Err(TakeError::NoSocket);
        }
        Ok(_) if is_listened_to(path)? => return Err(TakeError::Listening),
        Ok(_) => rustix::fs::unlink(path).map_err(io::Error::from)?,
    }
    Ok(listen(path)?)
}

/// Whether somebody listens on a socket, found out without waiting for them.
fn is_listened_to(path: &Path) -> io::Result<bool> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let asked = reached(path, |path| Ok(rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)))?;
    match asked {
        Err(Errno::CONNREFUSED) => Ok(false),
        // Their queue is full, or they take no streams: they are there. Whom we may not ask may be, too.
        Ok(()) | Err(Errno::AGAIN | Errno::INPROGRESS | Errno::PROTOTYPE | Errno::ACCESS | Errno::PERM) => {
            Ok(true)
        }
        Err(errno) => Err(errno.into()),
    }
}

fn reached<T>(path: &Path, call: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return call(path) };
    if path.as_os_str().as_bytes().len() <= MAX_PATH {
        return call(path);
    }
    let folder = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    call(&PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_socket_is_where_it_was_put_however_long_its_path() {
        let scratch = tempfile::tempdir().unwrap();
        for folder in ["short".to_owned(), "long".repeat(40)] {
            let path = scratch.path().join(folder).join("s.sock");
            fs_err::create_dir(path.parent().unwrap()).unwrap();
            let listener = listen(&path).unwrap();
            assert!(fs_err::symlink_metadata(&path).is_ok());
            let mut client = connect(&path).unwrap();
            client.write_all(b"word").unwrap();
            drop(client);
            let mut said = String::new();
            listener.accept().unwrap().0.read_to_string(&mut said).unwrap();
            assert_eq!(said, "word");
        }
        let long = scratch.path().join("long".repeat(40)).join("t.sock");
        assert!(UnixListener::bind(&long).is_err(), "the control");
        assert_eq!(connect(&long).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn only_the_socket_of_somebody_who_is_gone_is_replaced() {
        let scratch = tempfile::tempdir().unwrap();
        for folder in ["short".to_owned(), "long".repeat(40)] {
            let folder = scratch.path().join(folder);
            fs_err::create_dir(&folder).unwrap();
            let path = folder.join("s.sock");
            drop(take(&path).unwrap());
            assert!(fs_err::symlink_metadata(&path).is_ok(), "it was left");
            let listener = take(&path).unwrap();
            assert!(matches!(take(&path), Err(TakeError::Listening)));
            // Whoever was asked still has the socket.
            connect(&path).unwrap();
            drop(listener);
            take(&path).unwrap();
            // Nobody takes what waits there, and nobody is waited for.
            let full = folder.join("full.sock");
            let socket = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
            let bound = reached(&full, |path| Ok(rustix::net::bind(&socket, &SocketAddrUnix::new(path)?)?));
            bound.unwrap();
            rustix::net::listen(&socket, 0).unwrap();
            let _first = connect(&full).unwrap();
            assert!(matches!(take(&full), Err(TakeError::Listening)));
            let datagrams = folder.join("d.sock");
            let socket = reached(&datagrams, |path| std::os::unix::net::UnixDatagram::bind(path)).unwrap();
            assert!(matches!(take(&datagrams), Err(TakeError::Listening)));
            drop(socket);
            for name in ["file", "folder", "link"] {
                let path = folder.join(name);
                match name {
                    "file" => fs_err::write(&path, "precious").unwrap(),
                    "folder" => fs_err::create_dir(&path).unwrap(),
                    _ => fs_err::os::unix::fs::symlink("file", &path).unwrap(),
                }
                assert!(matches!(take(&path), Err(TakeError::NoSocket)), "{name}");
                assert!(fs_err::symlink_metadata(&path).is_ok(), "{name}");
            }
            assert_eq!(fs_err::read_to_string(folder.join("file")).unwrap(), "precious");
        }
    }
}
