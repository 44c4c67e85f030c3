//! Starting a copy of this program in new namespaces.
//!
//! Between clone(2) and execveat(2) the child only makes system calls, on values that were prepared before: the caller may
//! have other threads, whose locks would stay taken in the child for ever. What fails is told as [`Failed`] on the control
//! socket.

use std::ffi::CStr;
use std::ffi::CString;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::mount::OpenTreeFlags;
use rustix::net::SendFlags;
use rustix::process::Pid;
use rustix::process::Signal;

use super::Depth;
use super::MountAttributes;
use super::Streams;
use super::check;

/// Copies of descriptors stand above all numbers that the copy is given, so that none is overwritten before it is used. This,
/// or more where the copy is given more.
const ABOVE: i32 = 64;

/// What the copy is executed from.
#[derive(Debug)]
pub(crate) enum Program {
    /// The file at `path`, through a mount of the copy's own that is read-only, if it is still the file behind `own`.
    Mounted { path: CString, own: OwnedFd },
    /// This file as it is.
    File(OwnedFd),
}

/// Whose ids the copy has, as 0 in its new user namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Identity {
    /// The caller's own user and group.
    Own { uid: u32, gid: u32 },
    /// Others, which whoever started the copy maps for it; then a byte on the first descriptor lets it go on.
    Given,
}

/// A copy that is to be started.
#[derive(Debug)]
pub(crate) struct Copy<'a> {
    /// `CLONE_NEW…` flags; a new user namespace is always among them.
    pub(crate) namespaces: libc::c_int,
    pub(crate) ids: Identity,
    pub(crate) program: &'a Program,
    pub(crate) name: &'a CStr,
    pub(crate) streams: &'a Streams,
    /// These become 3, 4, …; the first is the control socket. Nothing else above 2 is left open.
    pub(crate) descriptors: &'a [BorrowedFd<'a>],
}

/// What failed before the copy was executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    DeathSignal = 1,
    IdMap,
    Program,
    Descriptors,
    Execute,
}

impl Failed {
    pub(crate) const ALL: [Self; 5] =
        [Self::DeathSignal, Self::IdMap, Self::Program, Self::Descriptors, Self::Execute];
}

/// First byte of the report of a failure; [`Failed`] as a byte and the error's number, little-endian, follow.
pub(crate) const FAILED: u8 = b'F';

impl Copy<'_> {
    /// Starts it; it has an empty environment, and ends when the calling thread does.
    pub(crate) fn start(&self) -> rustix::io::Result<Pid> {
        let Streams { stdin, stdout, stderr } = self.streams;
        let sources = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]
            .into_iter()
            .chain(self.descriptors.iter().copied())
            .map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, self.above()))
            .collect::<Result<Vec<_>, _>>()?;
        let ids = match self.ids {
            Identity::Own { uid, gid } => vec![
                (c"/proc/self/setgroups", "deny".to_owned()),
                (c"/proc/self/uid_map", format!("0 {uid} 1")),
                (c"/proc/self/gid_map", format!("0 {gid} 1")),
            ],
            Identity::Given => Vec::new(),
        };
        let flags = (self.namespaces | libc::CLONE_NEWUSER | libc::SIGCHLD).cast_unsigned();
        // SAFETY: without CLONE_VM and without a stack the call behaves as fork. The child does not return from here and
        // makes system calls only (see the module's text), which is allowed whatever other threads held at the time.
        let pid = check(unsafe { libc::syscall(libc::SYS_clone, libc::c_ulong::from(flags), 0, 0, 0, 0) })?;
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            return Ok(pid);
        }
        let (failed, errno) = self.become_copy(&sources, &ids);
        let [a, b, c, d] = errno.raw_os_error().to_le_bytes();
        if let Some(control) = sources.get(3) {
            let _ = rustix::net::send(control, &[FAILED, failed as u8, a, b, c, d], SendFlags::NOSIGNAL);
        }
        super::exit_now(125)
    }

    fn above(&self) -> i32 {
        i32::try_from(self.descriptors.len() + 8).map_or(ABOVE, |wanted| wanted.max(ABOVE))
    }

    /// Waits until the ids are mapped, and becomes the one that is 0.
    fn take_ids(control: &OwnedFd) -> rustix::io::Result<()> {
        let (_, length) = rustix::net::recv(control, &mut [0_u8; 1][..], rustix::net::RecvFlags::empty())?;
        if length == 0 {
            return Err(Errno::PIPE);
        }
        let (user, group) = (rustix::process::Uid::ROOT, rustix::process::Gid::ROOT);
        rustix::thread::set_thread_groups(&[])?;
        rustix::thread::set_thread_res_gid(group, group, group)?;
        rustix::thread::set_thread_res_uid(user, user, user)
    }

    /// The child. Returns only on failure. Allocates nothing and takes no lock.
    fn become_copy(&self, sources: &[OwnedFd], ids: &[(&CStr, String)]) -> (Failed, Errno) {
        if let Err(errno) = rustix::process::set_parent_process_death_signal(Some(Signal::KILL)) {
            return (Failed::DeathSignal, errno);
        }
        // `setgroups` first: without it an ordinary user may not map groups, since dropping a group could gain access.
        for (path, line) in ids {
            let written = rustix::fs::open(*path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
                .and_then(|file| rustix::io::write(&file, line.as_bytes()));
            if let Err(errno) = written {
                return (Failed::IdMap, errno);
            }
        }
        let mounted;
        let program = match self.program {
            Program::File(file) => file,
            Program::Mounted { path, own } => match mount_read_only(path, own) {
                Ok(mount) => {
                    mounted = mount;
                    &mounted
                }
                Err(errno) => return (Failed::Program, errno),
            },
        };
        if let (Identity::Given, Some(control)) = (self.ids, sources.get(3)) {
            // Other ids let go of the death signal.
            let taken = Self::take_ids(control)
                .and_then(|()| rustix::process::set_parent_process_death_signal(Some(Signal::KILL)));
            if let Err(errno) = taken {
                return (Failed::IdMap, errno);
            }
        }
        let program = match rustix::io::fcntl_dupfd_cloexec(program, self.above()) {
            Ok(program) => program,
            Err(errno) => return (Failed::Descriptors, errno),
        };
        for (target, source) in (0..).zip(sources) {
            // SAFETY: makes `target` a copy of an open descriptor. What was there before belonged to the parent's values,
            // which this process never touches again.
            if let Err(errno) = check(unsafe { libc::dup2(source.as_raw_fd(), target) }.into()) {
                return (Failed::Descriptors, errno);
            }
        }
        if let Err(errno) = super::close_on_exec_from(sources.len() as u32) {
            return (Failed::Descriptors, errno);
        }
        let args = [self.name.as_ptr(), std::ptr::null()];
        let env = [std::ptr::null::<libc::c_char>()];
        // SAFETY: the path is an empty string, both lists end in a null pointer, and everything outlives the call.
        let result = check(unsafe {
            libc::syscall(
                libc::SYS_execveat,
                program.as_raw_fd(),
                c"".as_ptr(),
                args.as_ptr(),
                env.as_ptr(),
                libc::AT_EMPTY_PATH,
            )
        });
        (Failed::Execute, result.err().unwrap_or(Errno::IO))
    }
}

/// The file at `path` through a detached mount of its own, which nobody can write through: not the owner of the file, and
/// not with any capability, since a mount that was never attached and whose descriptor is closed cannot be changed. Refused
/// (ESTALE) when the file is not the one behind `own`.
fn mount_read_only(path: &CStr, own: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let look = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    // `own` was opened in another mount namespace, from which nothing can be mounted here.
    let file = rustix::fs::open(path, look, Mode::empty())?;
    let (found, wanted) = (rustix::fs::fstat(&file)?, rustix::fs::fstat(own)?);
    if (found.st_dev, found.st_ino) != (wanted.st_dev, wanted.st_ino) {
        return Err(Errno::STALE);
    }
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let mount = rustix::mount::open_tree(file.as_fd(), c"", flags)?;
    super::restrict_mount(&mount, MountAttributes::READ_ONLY, Depth::One)?;
    Ok(mount)
}
