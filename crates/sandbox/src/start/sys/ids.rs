//! Ids of the host for a sandbox of root's: maps that only root can write, and a namespace for mounts.

use std::os::fd::OwnedFd;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::process::WaitOptions;

use super::check;

/// Writes the maps of the user namespace that `pid` is in.
pub(crate) fn map_ids(pid: Pid, uids: &str, gids: &str) -> rustix::io::Result<()> {
    for (name, map) in [("uid_map", uids), ("gid_map", gids)] {
        let path = format!("/proc/{}/{name}", pid.as_raw_nonzero());
        let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
        rustix::io::write(&file, map.as_bytes())?;
    }
    Ok(())
}

/// A user namespace for mounts, and the process that it was made with, which ends by itself.
#[derive(Debug)]
pub(crate) struct Exchanged {
    pub(crate) namespace: OwnedFd,
    _process: Waited,
}

/// A process that is waited for when this is dropped, not earlier: a start would wait for it to have its turn.
#[derive(Debug)]
struct Waited(Pid);

impl Drop for Waited {
    fn drop(&mut self) {
        while let Err(Errno::INTR) = rustix::process::waitpid(Some(self.0), WaitOptions::empty()) {}
    }
}

/// A user namespace in which 0 and `uid` are exchanged, 0 and `gid` of groups, and every other id is itself. Root only.
pub(crate) fn exchanged_with_root(uid: u32, gid: u32) -> rustix::io::Result<Exchanged> {
    let (waits, ends) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let flags = (libc::CLONE_NEWUSER | libc::SIGCHLD).cast_unsigned();
    // SAFETY: without CLONE_VM and without a stack the call behaves as fork; the child closes a number, reads, and ends: system
    // calls only, which is allowed whatever other threads held at the time.
    let pid = match check(unsafe { libc::syscall(libc::SYS_clone, libc::c_ulong::from(flags), 0, 0, 0, 0) })?
    {
        0 => {
            drop(ends);
            let _ = rustix::io::read(&waits, &mut [0; 1]);
            super::exit_now(0)
        }
        pid => i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?,
    };
    let process = Waited(pid);
    let namespace = map_ids(pid, &exchange(uid), &exchange(gid)).and_then(|()| {
        let path = format!("/proc/{}/ns/user", pid.as_raw_nonzero());
        rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    });
    // It ends now, also where this fails and it is waited for at once.
    drop(ends);
    Ok(Exchanged { namespace: namespace?, _process: process })
}

/// The lines of a map (user_namespaces(7)) that exchanges 0 and `id`. The last id of all is none.
fn exchange(id: u32) -> String {
    let (below, above) = (id - 1, id + 1);
    format!("0 {id} 1\n1 1 {below}\n{id} 0 1\n{above} {above} {}\n", u32::MAX - above)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every id but the last is mapped once in both directions, and only two are not mapped to themselves.
    #[test]
    fn two_ids_are_exchanged_and_all_others_kept() {
        for id in [1, 2, 524_289, u32::MAX - 2] {
            let lines: Vec<Vec<u64>> = exchange(id)
                .lines()
                .map(|line| line.split(' ').map(|field| field.parse().unwrap()).collect())
                .collect();
            let outside = |inside: u64| {
                let line = lines.iter().find(|line| (line[0]..line[0] + line[2]).contains(&inside));
                line.map(|line| inside - line[0] + line[1])
            };
            let id = u64::from(id);
            for (inside, expected) in [(0, id), (id, 0), (id + 1, id + 1), (4_294_967_294, 4_294_967_294)] {
                if inside < 4_294_967_295 && !(inside == 4_294_967_294 && id == inside) {
                    assert_eq!(outside(inside), Some(expected), "{id}: {inside}");
                }
            }
            assert_eq!(lines.iter().map(|line| line[2]).sum::<u64>(), 4_294_967_295);
            assert_eq!(outside(4_294_967_295), None);
        }
    }
}
