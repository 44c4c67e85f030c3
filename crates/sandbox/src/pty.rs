//! The user's terminal while a sandbox is on it: raw mode that is always undone, its size, and passing bytes both ways.

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::termios::OptionalActions;
use rustix::termios::Termios;
use rustix::termios::Winsize;

use crate::error::SandboxError;
use crate::sandbox::Exit;
use crate::sandbox::Running;

/// How often the size of the user's terminal is looked at. Asking needs no signal handler, which a library must not own.
pub(crate) const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };

/// Raw mode, until dropped: also when the program panics, and when the sandbox is killed.
#[derive(Debug)]
pub struct RawMode<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> RawMode<'a> {
    /// Puts `terminal` into raw mode; `None` when it is no terminal.
    pub fn enter(terminal: BorrowedFd<'a>) -> Option<Self> {
        let before = rustix::termios::tcgetattr(terminal).ok()?;
        let mut raw = before.clone();
        raw.make_raw();
        rustix::termios::tcsetattr(terminal, OptionalActions::Now, &raw).ok()?;
        Some(Self { terminal, before })
    }
}

impl Drop for RawMode<'_> {
    fn drop(&mut self) {
        let _ = rustix::termios::tcsetattr(self.terminal, OptionalActions::Drain, &self.before);
    }
}

/// Lines and columns of a terminal; 24 by 80 for what is none.
pub fn size(terminal: impl AsFd) -> (u16, u16) {
    match rustix::termios::tcgetwinsize(terminal) {
        Ok(Winsize { ws_row: rows @ 1.., ws_col: columns @ 1.., .. }) => (rows, columns),
        _ => (24, 80),
    }
}

/// Sets the size of a sandbox's terminal; the program gets `SIGWINCH`.
pub(crate) fn resize(master: impl AsFd, rows: u16, columns: u16) {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let _ = rustix::termios::tcsetwinsize(master, size);
}

/// Writes all bytes, waiting where the other side is slow.
pub(crate) fn write_all(fd: impl AsFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(&fd, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut fds = [PollFd::new(&fd, PollFlags::OUT)];
                rustix::event::poll(&mut fds, None)?;
            }
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// Connects a running sandbox's terminal with the user's until the program ends.
pub fn forward(
    running: &mut Running,
    input: BorrowedFd<'_>,
    output: BorrowedFd<'_>,
) -> Result<Exit, SandboxError> {
    let Some(master) = running
        .terminal()
        .map(|master| master.try_clone_to_owned())
        .transpose()
        .map_err(SandboxError::supervisor("copy the terminal"))?
    else {
        return running.finish();
    };
    let _raw = RawMode::enter(input);
    let mut shown = (0, 0);
    let mut buffer = [0_u8; 16 << 10];
    let mut listening = true;
    loop {
        let now = size(input);
        if now != shown {
            resize(&master, now.0, now.1);
            shown = now;
        }
        let mut fds = vec![
            PollFd::new(&master, PollFlags::IN),
            PollFd::from_borrowed_fd(running.control(), PollFlags::IN),
        ];
        if listening {
            fds.push(PollFd::from_borrowed_fd(input, PollFlags::IN));
        }
        match rustix::event::poll(&mut fds, Some(&LOOK)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(SandboxError::supervisor("wait for the terminal")(errno)),
        }
        let [from_program, ended, from_user] =
            [0, 1, 2].map(|index| fds.get(index).is_some_and(|fd| !fd.revents().is_empty()));
        drop(fds);
        if from_program {
            // The end of the last program on it is EIO.
            match rustix::io::read(&master, &mut buffer) {
                Ok(n @ 1..) => {
                    let _ = write_all(output, &buffer[..n]);
                    continue;
                }
                _ => break,
            }
        }
        if from_user {
            match rustix::io::read(input, &mut buffer) {
                Ok(0) | Err(Errno::IO) => listening = false,
                Ok(n) => {
                    let _ = write_all(&master, &buffer[..n]);
                }
                Err(_) => {}
            }
        }
        if ended && !from_program {
            break;
        }
    }
    running.finish()
}
