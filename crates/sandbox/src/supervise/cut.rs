//! Taking a pod's network away: what a node gave it, whatever that was, is deleted from the pod's network namespace before anything of
//! the sandbox runs. That nothing is left is proved from inside, by process 1.
//!
//! **Guarantees**: only this one thread is in the pod's namespace, and ends there. Interfaces that are down are left: a kernel with
//! modules for tunnels has some in every namespace that nobody can delete.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::net::RecvFlags;
use rustix::net::SendFlags;
use rustix::net::SocketFlags;
use rustix::net::SocketType;
use rustix::thread::LinkNameSpaceType;

use crate::start::proof;
use crate::start::sys;

/// rtnetlink(7), netlink(7).
const DELETE_LINK: u16 = 17;
const REQUEST_WITH_ANSWER: u16 = 1 | 4;
const ANSWER: u16 = 2;
/// A header, and what says which interface.
const LENGTH: usize = 32;

/// Deletes all interfaces but loopback in the network namespace at `path`.
pub(super) fn network(path: &str) -> io::Result<()> {
    let namespace = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let made = std::thread::Builder::new().name("cut".into()).spawn(move || within(&namespace))?;
    made.join().unwrap_or_else(|_| Err(io::Error::other("the thread that cuts the network ended")))
}

fn within(namespace: &OwnedFd) -> io::Result<()> {
    rustix::thread::move_into_link_name_space(
        std::os::fd::AsFd::as_fd(namespace),
        Some(LinkNameSpaceType::Network),
    )?;
    let table = fs_err::read_to_string("/proc/thread-self/net/dev")?;
    let inet = rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    let netlink = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        // The protocol of number 0, which is routing's.
        None,
    )?;
    for name in proof::interfaces(&table) {
        match sys::is_up(&inet, name) {
            Ok(false) | Err(Errno::NODEV) => continue,
            Ok(true) => {}
            Err(errno) => return Err(errno.into()),
        }
        let index = rustix::net::netdevice::name_to_index(&inet, name)?;
        rustix::net::send(&netlink, &request(index), SendFlags::empty())?;
        let mut answer = [0; 4096];
        let length = rustix::net::recv(&netlink, &mut answer, RecvFlags::empty())?.0;
        match judged(&answer[..length]) {
            0 => {}
            errno if errno == Errno::NODEV.raw_os_error() => {}
            errno => return Err(io::Error::from_raw_os_error(errno)),
        }
    }
    Ok(())
}

/// A request to delete an interface.
fn request(index: u32) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    bytes[..4].copy_from_slice(&(LENGTH as u32).to_ne_bytes());
    bytes[4..6].copy_from_slice(&DELETE_LINK.to_ne_bytes());
    bytes[6..8].copy_from_slice(&REQUEST_WITH_ANSWER.to_ne_bytes());
    bytes[20..24].copy_from_slice(&index.to_ne_bytes());
    bytes
}

/// The error number in an answer; 0 is none.
fn judged(answer: &[u8]) -> i32 {
    let broken = Errno::PROTO.raw_os_error();
    if answer.get(4..6) != Some(&ANSWER.to_ne_bytes()) {
        return broken;
    }
    let Some(Ok(number)) = answer.get(16..20).map(<[u8; 4]>::try_from) else { return broken };
    i32::from_ne_bytes(number).checked_neg().unwrap_or(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_and_an_answer_are_as_the_kernel_has_them() {
        let bytes = request(7);
        assert_eq!((bytes.len(), bytes[0], bytes[4], bytes[6], bytes[20]), (32, 32, 17, 5, 7));
        let mut answer = [0_u8; 36];
        answer[4] = 2;
        assert_eq!(judged(&answer), 0);
        answer[16..20].copy_from_slice(&(-1_i32).to_ne_bytes());
        assert_eq!(judged(&answer), Errno::PERM.raw_os_error());
        answer[4] = 3;
        assert_eq!(judged(&answer), Errno::PROTO.raw_os_error());
        assert_eq!(judged(&[]), Errno::PROTO.raw_os_error());
    }
}
