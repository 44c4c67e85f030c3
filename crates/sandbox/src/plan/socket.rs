//! Whether anybody listens on a Unix socket, and who.
//!
//! **Guarantees**: a socket counts as nobody's only when the kernel says that no program has it: a file of a program that was
//! killed stays for ever, and no program can take it again. Whatever is not known counts as somebody's.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;

use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::net::SocketAddrUnix;
use rustix::net::SocketFlags;
use rustix::net::SocketType;

use crate::start::sys;

/// Who has a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Listener {
    /// No program.
    Nobody,
    /// A program, and its process where the kernel says so.
    Somebody(Option<u32>),
}

/// Asks by connecting, without waiting, to the very socket that is open (`O_PATH`). `name` is what it is called.
pub(crate) fn listener(socket: impl AsFd, name: &OsStr) -> Listener {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let Ok(own) = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None) else {
        return Listener::Somebody(None);
    };
    let Ok(address) = SocketAddrUnix::new(format!("/proc/self/fd/{}", socket.as_fd().as_raw_fd())) else {
        return Listener::Somebody(None);
    };
    match rustix::net::connect(&own, &address) {
        // Nobody has it, or has not begun to listen.
        Err(Errno::CONNREFUSED) if !is_bound(name) => Listener::Nobody,
        Ok(()) => Listener::Somebody(sys::peer(&own)),
        Err(_) => Listener::Somebody(None),
    }
}

/// Whether a program of this network has a socket of this name, in whichever directory: it may have said a relative path.
fn is_bound(name: &OsStr) -> bool {
    let Ok(all) = fs_err::read("/proc/net/unix") else { return true };
    let name = name.as_bytes();
    // The path is the last column, and there for those that have one.
    all.split(|byte| *byte == b'\n')
        .any(|line| line.strip_suffix(name).is_some_and(|before| matches!(before.last(), Some(b'/' | b' '))))
}
