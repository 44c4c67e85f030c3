//! One HTTP/1.1 request and its answer, passed between a client of the sandbox and a server, body by body as it comes.
//!
//! ```text
//!   client ── head, rewritten by the caller ──► server
//!          ── body: counted, or chunks read and written anew ──►
//!          ◄── head, written anew; interim answers dropped ──
//!          ◄── body, each piece at once ──
//! ```
//!
//! One request per connection, on both sides (`Connection: close`), so there is no second message whose beginning two
//! parsers might see at different places. **Guarantees**: a body is passed on whole or the connection breaks visibly
//! (never a shorter body that looks complete); a piece of the answer is written to the client before the next is waited
//! for; a client that goes away ends the request at the server; every wait has a limit.
//!
//! **Refuses** a switch of protocols, and, where a key must not come back, an answer in a compressed form or in parts: neither
//! is asked for there.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::time::Duration;
use std::time::Instant;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustls::ClientConnection;
use rustls::StreamOwned;

use crate::events::end::Patient;
use crate::route::line;
use crate::secret::redact::Redactor;
use crate::wire::body::ChunkDecoder;
use crate::wire::body::ChunkError;
use crate::wire::body::LAST_CHUNK;
use crate::wire::body::write_chunk;
use crate::wire::head::Body;
use crate::wire::head::HEAD_MAX;
use crate::wire::head::HeadError;
use crate::wire::head::RequestHead;
use crate::wire::head::ResponseHead;
use crate::wire::head::Version;
use crate::wire::head::is_hop_by_hop;
use crate::wire::head::parse_response;

/// Bytes moved at once.
const PIECE: usize = 16 << 10;
/// Interim answers (1xx) before the final one.
const INTERIM_MAX: usize = 8;

/// Why an exchange broke off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExchangeError {
    #[error("the client's connection failed")]
    Client(#[source] io::Error),
    #[error("the client went away")]
    ClientGone,
    #[error("the request's body ended early")]
    RequestCut,
    #[error(transparent)]
    Chunks(#[from] ChunkError),
    #[error("the expectation is not `100-continue`")]
    Expectation,
    #[error("the server's connection failed")]
    Server(#[source] io::Error),
    #[error("the server did not answer in time")]
    Late,
    #[error("the server's answer is malformed: {0}")]
    Answer(#[source] HeadError),
    #[error("the server's answer ended early")]
    AnswerCut,
    #[error("the server wants to change the protocol")]
    Upgrade,
    #[error("the server's answer is compressed though that was not asked for")]
    Compressed,
    #[error("the server's answer is a part though none was asked for")]
    Partial,
}

impl ExchangeError {
    /// The status to answer with, while nothing was answered yet.
    pub(crate) fn status(&self) -> u16 {
        match self {
            Self::Client(_) | Self::ClientGone | Self::RequestCut | Self::Chunks(_) => 400,
            Self::Expectation => 417,
            Self::Late => 504,
            _ => 502,
        }
    }
}

/// The connection to a server.
#[derive(Debug)]
pub(crate) enum Upstream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Upstream {
    /// Whether a read would give something without waiting for the network.
    fn has_plaintext(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => !stream.conn.wants_read(),
        }
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }
}

impl AsFd for Upstream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }
}

impl Read for Upstream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Upstream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// An exchange under way, and what can be said of it when it is over or broken.
pub(crate) struct Exchange<'a> {
    client: &'a mut Patient,
    /// Bytes the client has sent after the head.
    ahead: Vec<u8>,
    upstream: Upstream,
    request: &'a RequestHead,
    /// Takes the key out of the answer, on credential routes.
    redactor: Option<Redactor>,
    patience: Duration,
    /// Whether the client has got a part of the answer.
    pub(crate) answered: bool,
    pub(crate) sent: u64,
    pub(crate) received: u64,
}

impl<'a> Exchange<'a> {
    /// An exchange that waits at most `patience` for each piece of the answer. The client has its own.
    pub(crate) fn new(
        client: &'a mut Patient,
        ahead: Vec<u8>,
        upstream: Upstream,
        request: &'a RequestHead,
        redactor: Option<Redactor>,
        patience: Duration,
    ) -> Self {
        Self { client, ahead, upstream, request, redactor, patience, answered: false, sent: 0, received: 0 }
    }

    /// Sends `head` and the body, passes the answer back, and says its status.
    pub(crate) fn run(&mut self, head: &[u8]) -> Result<u16, ExchangeError> {
        match self.upload(head) {
            Ok(()) => self.download(),
            // A server may answer and close before it has read the whole body: its answer counts.
            Err(ExchangeError::Server(error)) => self.download().map_err(|later| match later {
                ExchangeError::AnswerCut | ExchangeError::Server(_) => ExchangeError::Server(error),
                later => later,
            }),
            Err(error) => Err(error),
        }
    }

    fn upload(&mut self, head: &[u8]) -> Result<(), ExchangeError> {
        if let Some(expect) = self.request.fields.iter().find(|field| field.is("Expect")) {
            if !expect.value.eq_ignore_ascii_case(b"100-continue") {
                return Err(ExchangeError::Expectation);
            }
            self.client.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").map_err(ExchangeError::Client)?;
        }
        self.send(head)?;
        match self.request.body {
            Body::None | Body::UntilClose => {}
            Body::Length(length) => self.upload_counted(length)?,
            Body::Chunked => self.upload_chunks()?,
        }
        self.upstream.flush().map_err(ExchangeError::Server)
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), ExchangeError> {
        self.upstream.write_all(bytes).map_err(ExchangeError::Server)?;
        self.sent += bytes.len() as u64;
        Ok(())
    }

    fn upload_counted(&mut self, length: u64) -> Result<(), ExchangeError> {
        let mut left = length;
        let mut piece = std::mem::take(&mut self.ahead);
        let mut buffer = vec![0; PIECE];
        while left > 0 {
            let count = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
            self.send(&piece[..count])?;
            left -= count as u64;
            if left > 0 {
                piece.clear();
                piece.extend_from_slice(self.read_client(&mut buffer)?);
            }
        }
        Ok(())
    }

    fn upload_chunks(&mut self) -> Result<(), ExchangeError> {
        let mut decoder = ChunkDecoder::default();
        let mut piece = std::mem::take(&mut self.ahead);
        let mut buffer = vec![0; PIECE];
        let (mut data, mut out) = (Vec::new(), Vec::new());
        loop {
            data.clear();
            decoder.decode(&piece, &mut data)?;
            out.clear();
            write_chunk(&mut out, &data);
            if decoder.is_done() {
                out.extend_from_slice(LAST_CHUNK);
            }
            self.send(&out)?;
            if decoder.is_done() {
                return Ok(());
            }
            self.upstream.flush().map_err(ExchangeError::Server)?;
            piece.clear();
            piece.extend_from_slice(self.read_client(&mut buffer)?);
        }
    }

    fn read_client<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], ExchangeError> {
        loop {
            match self.client.read(buffer) {
                Ok(0) => return Err(ExchangeError::RequestCut),
                Ok(count) => return Ok(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ExchangeError::Client(error)),
            }
        }
    }

    fn download(&mut self) -> Result<u16, ExchangeError> {
        // From here on all waiting is done in `wait`, where the client's leaving is seen: a TLS record that carries no
        // data (a session ticket) must not leave us blocked in a read.
        self.upstream.socket().set_nonblocking(true).map_err(ExchangeError::Server)?;
        let mut bytes = Vec::new();
        let mut buffer = vec![0; PIECE];
        let mut interim = 0;
        let head = loop {
            match parse_response(&bytes).map_err(ExchangeError::Answer)? {
                Some((head, length)) => {
                    bytes.drain(..length);
                    match head.status {
                        101 => return Err(ExchangeError::Upgrade),
                        100..=199 if interim == INTERIM_MAX => {
                            return Err(ExchangeError::Answer(HeadError::FirstLine));
                        }
                        100..=199 => interim += 1,
                        _ => break head,
                    }
                }
                None if bytes.len() > HEAD_MAX => return Err(ExchangeError::Answer(HeadError::TooLong)),
                None => {
                    let piece = self.read_upstream(&mut buffer)?;
                    if piece.is_empty() {
                        return Err(ExchangeError::AnswerCut);
                    }
                    bytes.extend_from_slice(piece);
                }
            }
        };
        let body = if self.request.method == "HEAD" { Body::None } else { head.body };
        if self.redactor.is_some() && body != Body::None && is_compressed(&head) {
            return Err(ExchangeError::Compressed);
        }
        if self.redactor.is_some() && head.status == 206 {
            return Err(ExchangeError::Partial);
        }
        let chunked =
            matches!(body, Body::Chunked | Body::UntilClose) && self.request.version == Version::Http11;
        let out = self.answer_head(&head, chunked);
        self.answer(&out)?;
        self.download_body(body, chunked, bytes, &mut buffer)?;
        Ok(head.status)
    }

    fn answer_head(&self, head: &ResponseHead, chunked: bool) -> Vec<u8> {
        let echoes = |bytes: &[u8]| self.redactor.as_ref().is_some_and(|redactor| redactor.finds(bytes));
        let reason = if echoes(head.reason.as_bytes()) { "" } else { &head.reason };
        let mut out = Vec::with_capacity(1024);
        line(&mut out, &[b"HTTP/1.1 ", head.status.to_string().as_bytes(), b" ", reason.as_bytes()]);
        for field in &head.fields {
            let echo = echoes(&field.value) || echoes(field.name.as_bytes());
            if !is_hop_by_hop(field, &head.fields) && !echo {
                line(&mut out, &[field.name.as_bytes(), b": ", &field.value]);
            }
        }
        match head.body {
            Body::Length(length) => line(&mut out, &[b"Content-Length: ", length.to_string().as_bytes()]),
            _ if chunked => line(&mut out, &[b"Transfer-Encoding: chunked"]),
            _ => {}
        }
        line(&mut out, &[b"Connection: close"]);
        line(&mut out, &[]);
        out
    }

    fn download_body(
        &mut self,
        body: Body,
        chunked: bool,
        ahead: Vec<u8>,
        buffer: &mut [u8],
    ) -> Result<(), ExchangeError> {
        let mut left = match body {
            Body::None => return Ok(()),
            Body::Length(length) => length,
            Body::Chunked | Body::UntilClose => u64::MAX,
        };
        let mut decoder = ChunkDecoder::default();
        let mut piece = ahead;
        let (mut data, mut clean, mut out) = (Vec::new(), Vec::new(), Vec::new());
        let mut ended = left == 0;
        loop {
            data.clear();
            if body == Body::Chunked {
                decoder.decode(&piece, &mut data)?;
                ended = decoder.is_done();
            } else {
                let count = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
                data.extend_from_slice(&piece[..count]);
                if body != Body::UntilClose {
                    left -= count as u64;
                    ended = left == 0;
                }
            }
            clean.clear();
            match &mut self.redactor {
                None => clean.extend_from_slice(&data),
                Some(redactor) => {
                    redactor.feed(&data, &mut clean);
                    if ended {
                        redactor.finish(&mut clean);
                    }
                }
            }
            out.clear();
            if chunked {
                write_chunk(&mut out, &clean);
                if ended {
                    out.extend_from_slice(LAST_CHUNK);
                }
            } else {
                out.extend_from_slice(&clean);
            }
            self.answer(&out)?;
            if ended {
                return Ok(());
            }
            piece.clear();
            piece.extend_from_slice(self.read_upstream(buffer)?);
            if piece.is_empty() {
                if body != Body::UntilClose {
                    return Err(ExchangeError::AnswerCut);
                }
                ended = true;
            }
        }
    }

    fn answer(&mut self, bytes: &[u8]) -> Result<(), ExchangeError> {
        if !bytes.is_empty() {
            self.answered = true;
            self.client.write_all(bytes).map_err(ExchangeError::Client)?;
            self.received += bytes.len() as u64;
        }
        Ok(())
    }

    /// The next bytes of the answer, none at its orderly end.
    fn read_upstream<'b>(&mut self, buffer: &'b mut [u8]) -> Result<&'b [u8], ExchangeError> {
        let deadline = Instant::now() + self.patience;
        let mut waited = self.upstream.has_plaintext();
        loop {
            if !waited {
                self.wait(deadline)?;
            }
            waited = false;
            match self.upstream.read(buffer) {
                Ok(count) => return Ok(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => waited = true,
                // TLS without its closing message: what came may have been cut by anybody.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(ExchangeError::AnswerCut);
                }
                Err(error) => return Err(ExchangeError::Server(error)),
            }
        }
    }

    /// Waits for the server, or for the client to leave.
    fn wait(&self, deadline: Instant) -> Result<(), ExchangeError> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let timeout = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            let mut watched =
                [PollFd::new(&self.upstream, PollFlags::IN), PollFd::new(&*self.client, PollFlags::RDHUP)];
            match rustix::event::poll(&mut watched, Some(&timeout)) {
                Ok(0) => return Err(ExchangeError::Late),
                Ok(_) if !watched[1].revents().is_empty() => return Err(ExchangeError::ClientGone),
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(ExchangeError::Server(error.into())),
            }
        }
    }
}

fn is_compressed(head: &ResponseHead) -> bool {
    head.fields
        .iter()
        .any(|field| field.is("Content-Encoding") && !field.value.eq_ignore_ascii_case(b"identity"))
}
