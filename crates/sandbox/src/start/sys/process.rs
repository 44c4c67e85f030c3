//! Making processes.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Child;
use std::process::Command;

use rustix::io::Errno;
use rustix::process::Pid;

use super::check;
use crate::start::own;

/// Which side of a fork this is.
#[derive(Debug)]
pub(crate) enum Forked {
    /// The parent, with the child's id in the parent's namespace.
    Parent(Pid),
    /// The child.
    Child,
}

fn forked(result: rustix::io::Result<libc::c_long>) -> rustix::io::Result<Forked> {
    let raw = i32::try_from(result?).map_err(|_| Errno::SRCH)?;
    Ok(Pid::from_raw(raw).map_or(Forked::Child, Forked::Parent))
}

/// How many threads this process has.
fn threads() -> usize {
    fs_err::read_dir("/proc/self/task").map_or(usize::MAX, Iterator::count)
}

/// Forks. Refused (EBUSY) when there are other threads: their locks would stay taken in the child for ever.
pub(crate) fn fork_single_threaded() -> rustix::io::Result<Forked> {
    if threads() != 1 {
        return Err(Errno::BUSY);
    }
    // SAFETY: there is only this thread, so the child's copy of every lock and allocator is consistent.
    forked(check(unsafe { libc::fork() }.into()))
}

/// Puts this process into a new user namespace. Refused (EINVAL, by the kernel) when there are other threads.
pub(crate) fn new_user_namespace() -> rustix::io::Result<()> {
    // SAFETY: changes the credentials of the only thread; no memory and no descriptor table is unshared.
    check(unsafe { libc::unshare(libc::CLONE_NEWUSER) }.into()).map(drop)
}

/// Puts this process into a new cgroup namespace, whose root is the group it is in now.
pub(crate) fn new_cgroup_namespace() -> rustix::io::Result<()> {
    // SAFETY: changes what this process sees of control groups; no memory and no descriptor table is unshared.
    check(unsafe { libc::unshare(libc::CLONE_NEWCGROUP) }.into()).map(drop)
}

/// Begins a session. rustix believes the id that is returned, which gVisor's kernel may give as 0.
pub(crate) fn new_session() -> rustix::io::Result<()> {
    // SAFETY: changes the session of this process only.
    check(unsafe { libc::setsid() }.into()).map(drop)
}

/// Lets go of the terminal on standard input, so that another session can take it. Process 1 is not ended by the SIGHUP
/// that comes with it.
pub(crate) fn give_up_terminal() -> rustix::io::Result<()> {
    // SAFETY: the request has no argument and touches no memory.
    check(unsafe { libc::ioctl(0, libc::TIOCNOTTY as _) }.into()).map(drop)
}

/// Ends this process without running destructors or exit handlers, which belong to the process it was forked from.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` only ends the process.
    unsafe { libc::_exit(code) }
}

/// Standard streams for a copy of this program.
#[derive(Debug)]
pub(crate) struct Streams {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

/// Starts this program once more under the name `name`, with its own environment, the given descriptors as 3, 4, … and
/// nothing else above 2.
#[expect(clippy::disallowed_methods, reason = "this room starts processes")]
pub(crate) fn spawn_supervisor(
    name: &str,
    streams: Streams,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<Child> {
    // Copies above all target numbers, so that no target is overwritten before it has been copied itself.
    const ABOVE: i32 = 64;
    let copies = descriptors
        .iter()
        .map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, ABOVE))
        .collect::<Result<Vec<_>, _>>()?;
    let numbers: Vec<i32> = copies.iter().map(AsRawFd::as_raw_fd).collect();
    let mut command = Command::new(own::held());
    command.arg0(name).stdin(streams.stdin).stdout(streams.stdout).stderr(streams.stderr);
    let arrange = move || {
        // SAFETY: signal-safe calls on numbers that were opened before the fork. Close-on-exec is set on the rest, not
        // closed, because the standard library still needs its own pipe.
        unsafe {
            for (target, number) in (3..).zip(&numbers) {
                if libc::dup2(*number, target) < 0 {
                    return Err(io::Error::last_os_error());
                }
            }
        }
        super::close_on_exec_from(3 + numbers.len() as u32).map_err(io::Error::from)
    };
    // SAFETY: the closure allocates nothing and calls only dup2 and close_range.
    unsafe { command.pre_exec(arrange) };
    command.spawn()
}

/// Gives this process more variables. Refused (EBUSY) when there are other threads, which could read them meanwhile.
pub(crate) fn add_variables(more: &[(OsString, OsString)]) -> rustix::io::Result<()> {
    if threads() != 1 {
        return Err(Errno::BUSY);
    }
    for (name, value) in more {
        // SAFETY: there is only this thread, so nobody reads or writes the environment.
        unsafe { std::env::set_var(name, value) };
    }
    Ok(())
}

/// What a program started by [`spawn_tied`] gets besides its streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Control {
    /// Standard input is a terminal, and becomes the one that controls its session.
    Terminal,
    /// Nothing.
    None,
}

/// Starts a program in a session of its own that is killed with the calling thread, with `lifeline` as descriptor 3.
pub(crate) fn spawn_tied(
    command: &mut Command,
    control: Control,
    lifeline: BorrowedFd<'_>,
) -> io::Result<Child> {
    let lifeline = rustix::io::fcntl_dupfd_cloexec(lifeline, 64)?;
    let number = lifeline.as_raw_fd();
    let arrange = move || {
        // SAFETY: signal-safe calls on numbers that were opened before the fork and outlive it.
        let results = unsafe {
            [
                libc::setsid(),
                if control == Control::Terminal { libc::ioctl(0, libc::TIOCSCTTY as _, 0) } else { 0 },
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL),
                libc::dup2(number, 3),
            ]
        };
        if results.iter().any(|result| *result < 0) { Err(io::Error::last_os_error()) } else { Ok(()) }
    };
    // SAFETY: the closure allocates nothing and makes only system calls.
    unsafe { command.pre_exec(arrange) };
    let child = command.spawn();
    drop(lifeline);
    child
}
