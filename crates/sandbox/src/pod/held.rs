//! The program of a pod while it runs: what of it is heard and passed on.
//!
//! With a terminal of process 1's it is a session as any lasting one ([`session`]), and those who attach come by a socket; without
//! one it has the container's own streams.

use std::os::fd::AsFd as _;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::process::Pid;

use super::error::PodError;
use super::task::RUN_DIRECTORY;
use crate::error::SandboxError;
use crate::plan::guards::Guard;
use crate::start::spawn::one;
use crate::start::step::StepError;
use crate::supervise::foreground::Asked;
use crate::supervise::foreground::Supervised;
use crate::supervise::log::BoundedLog;
use crate::supervise::session;
use crate::types::Exit;

/// How long those who are attached have to leave: the kernel ends them with process 1.
const LEAVE: Duration = Duration::from_secs(2);

/// Where whoever attaches finds the session.
pub(super) fn socket() -> PathBuf {
    Path::new(RUN_DIRECTORY).join("attach.sock")
}

/// The program, held by process 1 itself.
#[derive(Debug)]
pub(super) struct Held {
    program: Pid,
    terminal: Option<OwnedFd>,
    /// Two bytes when the program has ended: whether by a signal, and its number or the code.
    ended: OwnedFd,
    exit: Option<Exit>,
}

impl Held {
    /// Reaps from now on, on a thread.
    pub(super) fn reaping(program: Pid, terminal: Option<OwnedFd>) -> Result<Self, StepError> {
        use crate::start::step::At as _;
        use crate::start::step::Step;
        let (ended, tells) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).at(Step::Fork)?;
        one::thread("reaper", move || {
            let bytes = match one::reap(program) {
                Some(Exit::Code(code)) => [0, code],
                Some(Exit::Signal(signal)) => [1, signal],
                None => [0, 125],
            };
            let _ = rustix::io::write(&tells, &bytes);
        })?;
        Ok(Self { program, terminal, ended, exit: None })
    }

    /// Follows the program to its end, with nobody to attach.
    pub(super) fn follow(&mut self, asked: &mut Asked) -> Exit {
        loop {
            let mut fds = vec![PollFd::new(&self.ended, PollFlags::IN)];
            fds.extend(asked.descriptor().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
            let polled = rustix::event::poll(&mut fds, asked.timeout(false).as_ref());
            let over = !fds[0].revents().is_empty();
            drop(fds);
            match polled {
                Err(errno) if errno != Errno::INTR => break,
                _ if over => break,
                _ => asked.serve(self),
            }
        }
        self.take()
    }

    /// Follows it to its end, for whoever attaches at `listener`. What was shown is kept within bounds as `guard` says.
    pub(super) fn serve(&mut self, listener: &UnixListener, guard: &Guard, asked: &mut Asked) -> Exit {
        let log = BoundedLog::open(&Path::new(RUN_DIRECTORY).join("log"), guard);
        let served = session::serve(self, listener, log, asked);
        let _ = fs_err::remove_file(socket());
        session::let_go(&served.told, LEAVE);
        served.exit
    }

    fn take(&mut self) -> Exit {
        if let Some(exit) = self.exit {
            return exit;
        }
        let mut bytes = [0; 2];
        let read = loop {
            match rustix::io::read(&self.ended, &mut bytes) {
                Err(Errno::INTR) => {}
                result => break result,
            }
        };
        let exit = match (read, bytes) {
            (Ok(2), [0, code]) => Exit::Code(code),
            (Ok(2), [_, signal]) => Exit::Signal(signal),
            _ => Exit::Code(125),
        };
        self.exit = Some(exit);
        exit
    }
}

impl Supervised for Held {
    fn terminal(&self) -> Option<BorrowedFd<'_>> {
        self.terminal.as_ref().map(|master| master.as_fd())
    }

    fn ended(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }

    fn pipes(&mut self) -> [Option<OwnedFd>; 3] {
        [None, None, None]
    }

    fn signal(&self, number: u8) -> Result<(), SandboxError> {
        one::signal(self.program, i32::from(number));
        Ok(())
    }

    fn kill(&mut self) -> Result<(), SandboxError> {
        // What else there is goes with process 1.
        one::signal(self.program, libc::SIGKILL);
        Ok(())
    }

    fn finish(&mut self) -> Result<Exit, SandboxError> {
        Ok(self.take())
    }
}

/// Listens for those who attach: this user alone.
pub(super) fn listen() -> Result<UnixListener, PodError> {
    let path = socket();
    let failed = |source| PodError::Listen { path: path.clone(), source };
    // What an earlier container of the pod has left.
    let _ = fs_err::remove_file(&path);
    let before = rustix::process::umask(Mode::from_raw_mode(0o177));
    let listener = pinfold_base::socket::listen(&path);
    rustix::process::umask(before);
    let listener = listener.map_err(failed)?;
    fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    Ok(listener)
}
