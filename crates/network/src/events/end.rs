//! One end of a connection: a socket, and the TLS that is spoken over it where any is.
//!
//! ```text
//!   receive, send   what can be done now, never waiting     event loops
//!   Patient         the same as `Read` and `Write`, waiting so long and no longer     jobs
//! ```
//!
//! **Guarantees**: an end that TLS did not announce is told apart from one that it did ([`Came::Broken`], [`Came::Ended`]).

use std::io;
use std::io::Read;
use std::io::Write;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::time::Duration;
use std::time::Instant;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::net::SendFlags;
use rustix::net::Shutdown;

use super::session::Session;

/// What a read came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// So many bytes.
    Bytes(usize),
    /// None now.
    Nothing,
    /// None any more, in order.
    Ended,
    /// None any more: a reset, or TLS that was cut or is wrong.
    Broken,
}

/// What became of bytes that were offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// So many were taken.
    Bytes(usize),
    /// None now.
    Full,
    /// None any more.
    Refused,
}

/// What became of bytes that were taken before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// The socket has them.
    Done,
    /// Some wait for it.
    Full,
    /// It takes none any more.
    Refused,
}

/// How an end is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All was said.
    Whole,
    /// Something was cut: who reads must not take it for whole.
    Cut,
}

/// Offers bytes to a socket, without waiting.
pub(crate) fn send(to: &OwnedFd, bytes: &[u8]) -> Sent {
    loop {
        match rustix::net::send(to, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
            Ok(count) => return Sent::Bytes(count),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Sent::Full,
            Err(_) => return Sent::Refused,
        }
    }
}

/// Prepares a connection over a network: small writes leave at once, and a peer that is gone without a word is noticed. What the
/// kernel does not know of that costs time alone.
pub(crate) fn tune(socket: &OwnedFd) {
    use rustix::net::sockopt;
    let _ = sockopt::set_tcp_nodelay(socket, true);
    let _ = sockopt::set_socket_keepalive(socket, true);
    let _ = sockopt::set_tcp_keepidle(socket, Duration::from_secs(60));
    let _ = sockopt::set_tcp_keepintvl(socket, Duration::from_secs(15));
    let _ = sockopt::set_tcp_keepcnt(socket, 4);
}

/// A connected socket, plain or with TLS.
#[derive(Debug)]
pub(crate) struct End {
    socket: OwnedFd,
    session: Option<Box<Session>>,
}

impl From<OwnedFd> for End {
    /// A plain one.
    fn from(socket: OwnedFd) -> Self {
        Self { socket, session: None }
    }
}

impl End {
    /// One whose TLS begins.
    pub(crate) fn encrypted(socket: OwnedFd, session: Session) -> Self {
        Self { socket, session: Some(Box::new(session)) }
    }

    /// The socket, to be watched.
    pub(crate) fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// The TLS over it.
    pub(crate) fn session(&self) -> Option<&Session> {
        self.session.as_deref()
    }

    /// Moves a hand-shake on; true once bytes can be had and sent.
    pub(crate) fn shake(&mut self) -> Result<bool, String> {
        match &mut self.session {
            Some(session) => session.shake(&self.socket),
            None => Ok(true),
        }
    }

    /// Bytes that are held for it, read or written.
    pub(crate) fn held(&self) -> usize {
        self.session.as_ref().map_or(0, |session| session.held())
    }

    /// Bytes that were taken and wait for the socket.
    pub(crate) fn unsent(&self) -> usize {
        self.session.as_ref().map_or(0, |session| session.unsent())
    }

    /// Reads what is there.
    pub(crate) fn receive(&mut self, piece: &mut [u8]) -> Came {
        if let Some(session) = &mut self.session {
            return session.receive(&self.socket, piece);
        }
        loop {
            match rustix::net::recv(&self.socket, &mut *piece, RecvFlags::DONTWAIT) {
                Ok((_, 0)) => return Came::Ended,
                Ok((_, count)) => return Came::Bytes(count),
                Err(Errno::AGAIN) => return Came::Nothing,
                Err(Errno::INTR) => {}
                Err(_) => return Came::Broken,
            }
        }
    }

    /// Offers bytes. With TLS all of them are taken, or none while others wait.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Sent {
        match &mut self.session {
            Some(session) => session.send(&self.socket, bytes),
            None => send(&self.socket, bytes),
        }
    }

    /// Sends what waits.
    pub(crate) fn flush(&mut self) -> Flushed {
        self.session.as_mut().map_or(Flushed::Done, |session| session.flush(&self.socket))
    }

    /// Tells the peer that nothing more is said. To be called again while it is [`Flushed::Full`].
    pub(crate) fn finish(&mut self, ending: Ending) -> Flushed {
        let flushed = match (&mut self.session, ending) {
            (Some(session), Ending::Whole) => session.finish(&self.socket),
            // Without the closing message: that is how the peer knows.
            (Some(session), Ending::Cut) => session.flush(&self.socket),
            (None, _) => Flushed::Done,
        };
        if flushed == Flushed::Done {
            // Fails when the other side is gone, and then there is nobody left to tell.
            let _ = rustix::net::shutdown(&self.socket, Shutdown::Write);
        }
        flushed
    }

    /// Closing it resets it, where its kind of socket knows that: no reader takes what came for whole.
    pub(crate) fn reset(&self) {
        // Unix sockets know no reset.
        let _ = rustix::net::sockopt::set_socket_linger(&self.socket, Some(Duration::ZERO));
    }

    /// The same end for who waits: for bytes `read`, for room `write`.
    pub(crate) fn patient(self, read: Duration, write: Duration) -> Patient {
        Patient { end: self, read, write }
    }
}

impl AsFd for End {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// An end whose reads and writes wait.
#[derive(Debug)]
pub(crate) struct Patient {
    end: End,
    read: Duration,
    write: Duration,
}

impl Patient {
    /// The end, for who does not wait.
    pub(crate) fn into_end(self) -> End {
        self.end
    }

    fn wait(&self, direction: PollFlags, patience: Duration) -> io::Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            match rustix::event::poll(&mut [PollFd::new(&self.end, direction)], Some(&timeout)) {
                Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl AsFd for Patient {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.end.as_fd()
    }
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.end.receive(buffer) {
                Came::Bytes(count) => return Ok(count),
                Came::Ended => return Ok(0),
                Came::Broken => return Err(io::ErrorKind::ConnectionReset.into()),
                Came::Nothing => self.wait(PollFlags::IN, self.read)?,
            }
        }
    }
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.end.send(bytes) {
                Sent::Bytes(count) => {
                    self.flush()?;
                    return Ok(count);
                }
                Sent::Full => self.wait(PollFlags::OUT, self.write)?,
                Sent::Refused => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        loop {
            match self.end.flush() {
                Flushed::Done => return Ok(()),
                Flushed::Full => self.wait(PollFlags::OUT, self.write)?,
                Flushed::Refused => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
    }
}
