//! The user's terminal while a sandbox is on it: raw mode that is always undone, its size, and writing to it whole.

pub mod escape;
pub mod screen;

use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::termios::OptionalActions;
use rustix::termios::Termios;
use rustix::termios::Winsize;

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
        // What has come in since is thrown away: answers to a program that is gone are not to be typed into the shell.
        let _ = rustix::termios::tcsetattr(self.terminal, OptionalActions::Flush, &self.before);
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
