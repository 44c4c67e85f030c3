//! The system calls that `rustix` does not offer safely. The only files with `unsafe`; every block says why it is sound.

mod copy;
mod ids;
mod memory;
mod probe;
mod process;
mod signals;

use std::ffi::CString;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;

pub(crate) use copy::Copy;
pub(crate) use copy::FAILED;
pub(crate) use copy::Failed;
pub(crate) use copy::Identity;
pub(crate) use copy::Program;
pub(crate) use ids::Exchanged;
pub(crate) use ids::exchanged_with_root;
pub(crate) use ids::map_ids;
pub(crate) use memory::settle;
pub(crate) use probe::landlock_abi;
pub(crate) use probe::try_user_namespace;
pub(crate) use process::Control;
pub(crate) use process::Forked;
pub(crate) use process::Streams;
pub(crate) use process::add_variables;
pub(crate) use process::exit_now;
pub(crate) use process::fork_single_threaded;
pub(crate) use process::give_up_terminal;
pub(crate) use process::new_cgroup_namespace;
pub(crate) use process::new_session;
pub(crate) use process::new_user_namespace;
pub(crate) use process::spawn_supervisor;
pub(crate) use process::spawn_tied;
use rustix::io::Errno;
pub(crate) use signals::Blocked;
pub use signals::Endings;
pub(crate) use signals::reset_all;
pub use signals::say_when_interrupted;

/// The result of a raw call as `Result`.
fn check(result: libc::c_long) -> rustix::io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error().raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error))
    } else {
        Ok(result)
    }
}

/// Attributes a mount can be given besides those it has; none can be taken away.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MountAttributes(u64);

impl MountAttributes {
    pub(crate) const READ_ONLY: Self = Self(libc::MOUNT_ATTR_RDONLY);
    pub(crate) const NO_SUID: Self = Self(libc::MOUNT_ATTR_NOSUID);
    pub(crate) const NO_DEV: Self = Self(libc::MOUNT_ATTR_NODEV);
    pub(crate) const NO_EXEC: Self = Self(libc::MOUNT_ATTR_NOEXEC);

    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Which mounts an attribute goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// One mount.
    One,
    /// And everything mounted below it.
    Below,
}

/// Adds attributes to the mount that `fd` refers to (mount_setattr(2), Linux 5.12).
pub(crate) fn restrict_mount(
    fd: impl AsFd,
    attributes: MountAttributes,
    depth: Depth,
) -> rustix::io::Result<()> {
    let attr = libc::mount_attr { attr_set: attributes.0, attr_clr: 0, propagation: 0, userns_fd: 0 };
    set_attributes(fd, attr, depth)
}

/// Maps the ids of files seen through the mount that `fd` refers to by a user namespace. The mount must not be attached yet,
/// and its file system must know how (EINVAL).
pub(crate) fn map_mount(fd: impl AsFd, namespace: impl AsFd, depth: Depth) -> rustix::io::Result<()> {
    let userns_fd = namespace.as_fd().as_raw_fd().cast_unsigned().into();
    let attr_set = libc::MOUNT_ATTR_IDMAP;
    set_attributes(fd, libc::mount_attr { attr_set, attr_clr: 0, propagation: 0, userns_fd }, depth)
}

fn set_attributes(fd: impl AsFd, attr: libc::mount_attr, depth: Depth) -> rustix::io::Result<()> {
    let recursive = if depth == Depth::Below { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty string with its NUL, `attr` lives until the call returns and its true size is given.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            fd.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | recursive,
            &raw const attr,
            size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}

/// Installs a system-call filter for this thread and its children (seccomp(2)). `no_new_privs` must be set.
pub(crate) fn install_filter(program: &[libc::sock_filter]) -> rustix::io::Result<()> {
    let program = libc::sock_fprog {
        len: libc::c_ushort::try_from(program.len()).map_err(|_| Errno::TOOBIG)?,
        filter: program.as_ptr().cast_mut(),
    };
    // SAFETY: the kernel copies `len` instructions, which live until the call returns, and does not write to them.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) })
        .map(drop)
}

/// Marks every descriptor from `first` on close-on-exec.
pub(crate) fn close_on_exec_from(first: u32) -> rustix::io::Result<()> {
    // SAFETY: changes a flag of descriptors; none is closed, so no owner is left with a stale number.
    let all = check(unsafe {
        libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
    });
    match all {
        // gVisor's kernel has the call without the flag, older ones have neither.
        Err(Errno::INVAL | Errno::NOSYS) => {
            for number in first.cast_signed()..1024 {
                // SAFETY: as above; a number that is not open answers EBADF.
                unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
            }
            Ok(())
        }
        result => result.map(drop),
    }
}

/// Brings the loopback interface of this network namespace up.
pub(crate) fn loopback_up() -> rustix::io::Result<()> {
    let socket = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    let mut request = interface(&socket, "lo")?;
    // SAFETY: SIOCGIFFLAGS has just filled this member of the union.
    unsafe { request.ifr_ifru.ifru_flags |= (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short };
    // SAFETY: the ioctl reads the structure it is given, which outlives the call.
    check(unsafe {
        libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) as libc::c_long
    })
    .map(drop)
}

/// Whether an interface of the network namespace that `socket` belongs to is up.
pub(crate) fn is_up(socket: impl AsFd, name: &str) -> rustix::io::Result<bool> {
    let request = interface(socket, name)?;
    // SAFETY: SIOCGIFFLAGS has just filled this member of the union.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    Ok(i32::from(flags) & libc::IFF_UP != 0)
}

/// An interface with its flags.
fn interface(socket: impl AsFd, name: &str) -> rustix::io::Result<libc::ifreq> {
    // SAFETY: `ifreq` is plain data for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays the name's end.
    if name.len() >= request.ifr_name.len() {
        return Err(Errno::NAMETOOLONG);
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from.cast_signed() as libc::c_char;
    }
    // SAFETY: the ioctl reads the name and fills in the flags of the structure it is given, which outlives the call.
    check(unsafe {
        libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCGIFFLAGS as _, &raw mut request) as libc::c_long
    })?;
    Ok(request)
}

/// Replaces this process. Returns only on failure.
pub(crate) fn execute(path: &CString, args: &[CString], env: &[CString]) -> Errno {
    let pointers = |list: &[CString]| {
        list.iter().map(|text| text.as_ptr()).chain([std::ptr::null()]).collect::<Vec<_>>()
    };
    let (args, env) = (pointers(args), pointers(env));
    // SAFETY: both lists end in a null pointer and point to NUL-terminated strings that outlive the call.
    unsafe { libc::execve(path.as_ptr(), args.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error().raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error)
}

/// Takes ownership of a descriptor that the start contract says is open (see [`crate::start::spawn`]).
pub(crate) fn inherited(number: i32) -> rustix::io::Result<std::os::fd::OwnedFd> {
    // SAFETY: the number is only borrowed for the check that it is open; EBADF is the answer when it is not.
    let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_setfd(borrowed, rustix::io::FdFlags::CLOEXEC)?;
    // SAFETY: it is open, and this freshly started process has no other owner for it: the program calls `dispatch` first.
    Ok(unsafe { <std::os::fd::OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(number) })
}
