//! Whether any program has a Unix socket, and the names that programs of a network have bound.
//!
//! **Guarantees**: a socket counts as nobody's only when the kernel says that no program has it: a file of a program that was
//! killed stays for ever, and no program can take it again. Whatever is not known counts as somebody's. Whoever listens is not
//! disturbed: the question is put in the wrong way, and there is no connection.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::net::SocketAddrUnix;
use rustix::net::SocketFlags;
use rustix::net::SocketType;

/// Whether a program has the very socket that is open (`O_PATH`). A stream that is asked as if it took datagrams says that it is
/// of another type (EPROTOTYPE), whether it listens yet or not; one that takes them learns nothing of a connect(2).
pub(crate) fn is_somebodys(socket: impl AsFd) -> bool {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let Ok(own) = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None) else {
        return true;
    };
    let Ok(address) = SocketAddrUnix::new(format!("/proc/self/fd/{}", socket.as_fd().as_raw_fd())) else {
        return true;
    };
    rustix::net::connect(&own, &address) != Err(Errno::CONNREFUSED)
}

/// The paths to which programs in the network of a process have bound sockets, as they said them (proc_net_unix(5)).
pub(crate) fn bound(process: &str) -> Vec<PathBuf> {
    let table = fs_err::read(format!("/proc/{process}/net/unix")).unwrap_or_default();
    table.split(|byte| *byte == b'\n').filter_map(path_in).map(Path::to_owned).collect()
}

/// The path in a line of the table: what comes after seven columns.
fn path_in(line: &[u8]) -> Option<&Path> {
    let mut rest = line;
    for _ in 0..7 {
        rest = rest.trim_ascii_start();
        rest = &rest[rest.iter().position(|byte| *byte == b' ')?..];
    }
    let path = rest.strip_prefix(b" ")?;
    (!path.is_empty()).then(|| Path::new(OsStr::from_bytes(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bound_paths_are_read_from_the_kernels_table() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a name.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(bound("self").contains(&path));
        assert_eq!(
            path_in(b"Num       RefCount Protocol Flags    Type St Inode Path"),
            Some(Path::new("Path"))
        );
        assert_eq!(path_in(b"0000000000000000: 00000002 00000000 00010000 0001 01 12345"), None);
    }
}
