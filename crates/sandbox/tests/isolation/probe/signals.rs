//! Probes of what reaches other processes without a file: signals and their relatives, and watches.

use std::ffi::CString;

use super::Found;
use super::all;
use super::call;
use super::expect;

/// Every call that names a process, on one of the host's: there is none of that number here.
pub(super) fn unreachable(pid: usize) -> Found {
    // `siginfo_t` of a signal that a process may make up: SI_QUEUE.
    let mut info = [0_u8; 128];
    info[8..12].copy_from_slice(&(-1_i32).to_ne_bytes());
    let memory = info.as_ptr() as usize;
    let (read, _write) = std::io::pipe().unwrap();
    let pipe = std::os::fd::AsRawFd::as_raw_fd(&read) as usize;
    // F_OWNER_PID and the id, as `struct f_owner_ex`.
    let owner = [1_i32, i32::try_from(pid).unwrap()];
    all([
        ("kill", call(libc::SYS_kill, [pid, 0, 0, 0, 0, 0])),
        ("tgkill", call(libc::SYS_tgkill, [pid, pid, 0, 0, 0, 0])),
        ("tkill", call(libc::SYS_tkill, [pid, 0, 0, 0, 0, 0])),
        ("pidfd_open", call(libc::SYS_pidfd_open, [pid, 0, 0, 0, 0, 0])),
        ("rt_sigqueueinfo", call(libc::SYS_rt_sigqueueinfo, [pid, 0, memory, 0, 0, 0])),
        ("F_SETOWN", call(libc::SYS_fcntl, [pipe, libc::F_SETOWN as usize, pid, 0, 0, 0])),
        ("F_SETOWN_EX", call(libc::SYS_fcntl, [pipe, 15, owner.as_ptr() as usize, 0, 0, 0])),
        ("prlimit64", call(libc::SYS_prlimit64, [pid, 7, 0, memory, 0, 0])),
        ("setpriority", call(libc::SYS_setpriority, [libc::PRIO_PROCESS as usize, pid, 19, 0, 0, 0])),
        ("sched_setaffinity", call(libc::SYS_sched_setaffinity, [pid, 128, memory, 0, 0, 0])),
        ("getpgid", call(libc::SYS_getpgid, [pid, 0, 0, 0, 0, 0])),
    ]
    .map(|(name, result)| expect(name, result, libc::ESRCH)))
}

/// Where the host's processes can be named after all: root's may not be signalled or traced.
pub(super) fn root(pid: usize) -> Found {
    const PTRACE_SEIZE: usize = 0x4206;
    let traced = call(libc::SYS_ptrace, [PTRACE_SEIZE, pid, 0, 0, 0, 0]);
    if traced.is_ok() {
        call(libc::SYS_ptrace, [17, pid, 0, 0, 0, 0]).ok();
    }
    all([
        expect("kill", call(libc::SYS_kill, [pid, 0, 0, 0, 0, 0]), libc::EPERM),
        expect("ptrace", traced, libc::EPERM),
    ])
}

/// Watches what is seen of the image and of the host, until a line comes; nothing may have been seen.
pub(super) fn watch(paths: &[String]) -> Found {
    let fd = call(libc::SYS_inotify_init1, [libc::IN_NONBLOCK as usize, 0, 0, 0, 0, 0])
        .map_err(|errno| format!("inotify: errno {errno}"))? as usize;
    for path in paths {
        let name = CString::new(path.as_str()).unwrap();
        let wanted = (libc::IN_CREATE | libc::IN_DELETE | libc::IN_MODIFY) as usize;
        call(libc::SYS_inotify_add_watch, [fd, name.as_ptr() as usize, wanted, 0, 0, 0])
            .map_err(|errno| format!("{path}: errno {errno}"))?;
    }
    println!("watching");
    let _ = std::io::stdin().read_line(&mut String::new());
    let mut buffer = [0_u8; 4096];
    match call(libc::SYS_read, [fd, buffer.as_mut_ptr() as usize, buffer.len(), 0, 0, 0]) {
        Err(libc::EAGAIN) => Ok(()),
        other => Err(format!("events: {other:?}")),
    }
}
