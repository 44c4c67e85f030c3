//! Unix sockets at paths of any length. An address has 108 bytes for a path (unix(7)), and folders of users may be longer: then the
//! socket is reached through its folder, which is open meanwhile (`/proc/self/fd/N/NAME`).
//!
//! **Guarantees**: a path that fits is given to the kernel as it is. **Refuses** what the kernel does: names too long by themselves.

use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::Mode;
use rustix::fs::OFlags;

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
}
