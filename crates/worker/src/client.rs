//! One request to the model's socket, and the streamed answer to it.
//!
//! **Guarantees**: ends after [`TIME`], or at once when the worker is to stop; the heart goes on beating. No proxy, no redirect, no
//! second connection.

use std::fmt;
use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;
use std::time::Duration;
use std::time::Instant;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::net::SendFlags;
use rustix::net::SocketAddrUnix;
use rustix::net::SocketFlags;
use rustix::net::SocketType;

use crate::http;
use crate::http::Answer;
use crate::provider;
use crate::provider::Reader;
use crate::provider::Said;
use crate::pulse::Pulse;
use crate::pulse::Woken;
use crate::sse;

/// How long a request and its answer may take.
pub(crate) const TIME: Duration = Duration::from_secs(5 * 60);
/// Bytes of an error's body that are read.
const ERROR: usize = 64 << 10;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// The socket is not there, or nobody listens.
    NoSocket(Errno),
    /// The connection broke.
    Broken(Errno),
    /// What came is no HTTP.
    Http(http::Wrong),
    /// A status other than 200.
    Status {
        /// The status.
        status: u16,
        /// What the provider says.
        message: String,
        /// Seconds to wait, where it says so.
        after: Option<u64>,
    },
    /// A body that is no stream of events; its type.
    Kind(String),
    /// The provider's events.
    Provider(provider::Wrong),
    /// It took too long.
    Time,
    /// The worker is to stop.
    Stopped,
}

impl Failed {
    /// A word for it.
    pub(crate) fn code(&self) -> String {
        match self {
            Self::NoSocket(_) => "unreachable".into(),
            Self::Broken(_) | Self::Http(http::Wrong::Cut) | Self::Provider(provider::Wrong::Cut) => {
                "cut".into()
            }
            Self::Http(_)
            | Self::Kind(_)
            | Self::Provider(provider::Wrong::Event | provider::Wrong::Large) => "junk".into(),
            Self::Status { status, .. } => status.to_string(),
            Self::Provider(provider::Wrong::Provider { kind, .. }) => kind.clone(),
            Self::Time => "timeout".into(),
            Self::Stopped => "stopped".into(),
        }
    }

    /// Whether the same request may be answered later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            // 408, 409, 425 and 429 are about the moment; 529 is Anthropic's "overloaded".
            Self::Status { status, .. } => matches!(status, 408 | 409 | 425 | 429 | 500..=599),
            Self::Provider(provider::Wrong::Provider { kind, .. }) => !matches!(
                kind.as_str(),
                "invalid_request_error"
                    | "authentication_error"
                    | "permission_error"
                    | "INVALID_ARGUMENT"
                    | "PERMISSION_DENIED"
            ),
            Self::Provider(provider::Wrong::Large) | Self::Http(http::Wrong::Large) | Self::Stopped => false,
            _ => true,
        }
    }

    /// Seconds that the provider wants to be left alone.
    pub(crate) fn after(&self) -> Option<u64> {
        if let Self::Status { after, .. } = self { *after } else { None }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSocket(error) => write!(f, "the model's socket cannot be reached: {error}"),
            Self::Broken(error) => write!(f, "the connection to the model broke: {error}"),
            Self::Http(wrong) => wrong.fmt(f),
            Self::Status { status, message, .. } => write!(f, "the provider answers {status}: {message}"),
            Self::Kind(kind) => {
                write!(f, "the provider answers no stream of events but `{}`", kind.escape_debug())
            }
            Self::Provider(wrong) => wrong.fmt(f),
            Self::Time => write!(f, "no complete answer within {} seconds", TIME.as_secs()),
            Self::Stopped => f.write_str("the worker is to stop"),
        }
    }
}

/// Connects with a Unix socket. The connection does not block.
pub(crate) fn connect(socket: &str) -> Result<OwnedFd, Errno> {
    let fd = rustix::net::socket_with(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
        None,
    )?;
    rustix::net::connect(&fd, &SocketAddrUnix::new(socket)?)?;
    Ok(fd)
}

/// What is done once while an answer is waited for, should it not come before this time.
pub(crate) struct Meanwhile<'a> {
    /// When.
    pub(crate) at: Instant,
    /// What; where it fails, nothing more is waited for.
    pub(crate) then: &'a mut dyn FnMut(&mut Pulse) -> Enough,
}

/// Sends bytes to a socket and gives what comes back to `take`, until that says that it has enough, or the other side closes.
pub(crate) fn exchange(
    pulse: &mut Pulse,
    socket: &str,
    request: &[u8],
    time: Duration,
    mut meanwhile: Option<Meanwhile<'_>>,
    mut take: impl FnMut(&[u8]) -> Result<Enough, Failed>,
) -> Result<(), Failed> {
    let until = Instant::now() + time;
    let fd = connect(socket).map_err(Failed::NoSocket)?;
    let mut rest = request;
    let mut bytes = vec![0; 16 << 10];
    loop {
        let flags = if rest.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        let next = meanwhile.as_ref().map_or(until, |meanwhile| meanwhile.at.min(until));
        match pulse.wait(fd.as_fd(), flags, next) {
            Woken::Ready => {}
            Woken::Deadline if next < until => {
                if let Some(meanwhile) = meanwhile.take()
                    && (meanwhile.then)(pulse) == Enough::Yes
                {
                    return Err(Failed::Stopped);
                }
                continue;
            }
            Woken::Deadline => return Err(Failed::Time),
            Woken::Stop => return Err(Failed::Stopped),
        }
        if !rest.is_empty() {
            match rustix::net::send(&fd, rest, SendFlags::NOSIGNAL) {
                Ok(count) => rest = &rest[count..],
                Err(Errno::AGAIN | Errno::INTR) => {}
                // It may have answered before it closed.
                Err(Errno::PIPE | Errno::CONNRESET) => rest = &[],
                Err(error) => return Err(Failed::Broken(error)),
            }
        }
        match rustix::io::read(&fd, &mut bytes) {
            Ok(0) => return Ok(()),
            Ok(count) => {
                if take(&bytes[..count])? == Enough::Yes {
                    return Ok(());
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(Failed::Broken(error)),
        }
    }
}

/// Whether more is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Enough {
    /// Nothing more.
    Yes,
    /// More.
    No,
}

/// Asks a provider.
pub(crate) fn ask(
    pulse: &mut Pulse,
    socket: &str,
    request: &[u8],
    meanwhile: Option<Meanwhile<'_>>,
    reader: Reader,
) -> Result<Said, Failed> {
    let (mut answer, mut body) = (Answer::default(), Vec::new());
    let (mut stream, mut events) = (sse::Stream::default(), Vec::new());
    let mut reader = reader;
    exchange(pulse, socket, request, TIME, meanwhile, |bytes| {
        answer.take(bytes, &mut body).map_err(Failed::Http)?;
        let Some(head) = answer.head() else { return Ok(Enough::No) };
        if head.status != 200 {
            return Ok(if answer.is_done() || body.len() > ERROR { Enough::Yes } else { Enough::No });
        }
        if head.kind != "text/event-stream" {
            return Err(Failed::Kind(head.kind.clone()));
        }
        stream.take(&body, &mut events).map_err(|_| Failed::Provider(provider::Wrong::Large))?;
        body.clear();
        for event in events.drain(..) {
            reader.take(&event).map_err(Failed::Provider)?;
        }
        Ok(if answer.is_done() || reader.is_done() { Enough::Yes } else { Enough::No })
    })?;
    let Some(head) = answer.head() else { return Err(Failed::Http(http::Wrong::Cut)) };
    if head.status != 200 {
        body.truncate(ERROR);
        return Err(Failed::Status {
            status: head.status,
            message: provider::refusal(&body),
            after: head.retry_after,
        });
    }
    if !reader.is_done() {
        answer.end().map_err(Failed::Http)?;
    }
    reader.end().map_err(Failed::Provider)
}
