//! Whether a proxy is there and knows this sandbox, asked once, before anything relies on it.
//!
//! **Guarantees**: the token leaves only after the proxy's certificate was checked, as in the relay. Each address has [`WITHIN`] at most; no
//! thread is made. **Refuses** to take silence, or what is no answer of HTTP, for one.

use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use rustls::ClientConnection;

use super::Upstream;
use crate::identity::Token;
use crate::tls::ClientTls;
use crate::tls::PROTOCOL;
use crate::tls::TlsError;
use crate::wire::preamble::HostNaming;
use crate::wire::preamble::Preamble;
use crate::wire::preamble::Proven;
use crate::wire::preamble::RouteId;
use crate::wire::preamble::UNKNOWN;

/// How long an address may take to answer.
const WITHIN: Duration = Duration::from_secs(5);
/// What of an answer is looked at.
const ANSWER: usize = 8 << 10;
/// A question that no policy needs to allow: whatever the proxy says to it, it has known the token.
const QUESTION: &[u8] =
    b"GET http://pinfold.invalid/ HTTP/1.1\r\nHost: pinfold.invalid\r\nConnection: close\r\n\r\n";

/// Why a proxy is not proved to be there.
#[derive(Debug, thiserror::Error)]
pub enum ProveError {
    /// The settings cannot lead to one.
    #[error(transparent)]
    Settings(#[from] TlsError),
    /// No address answers.
    #[error("it is not reached at {at}")]
    NotReached {
        /// The last that was tried.
        at: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// Something answers, and is not the proxy.
    #[error("what answers at {at} is not known to be the proxy: {problem}")]
    NotKnown {
        /// Where.
        at: SocketAddr,
        /// What is wrong with its certificate, or its TLS.
        problem: String,
    },
    /// It does not know this token, or not from this address.
    #[error("the proxy at {at} does not know this sandbox")]
    Unknown {
        /// Where.
        at: SocketAddr,
    },
    /// It does not speak as it should.
    #[error("the proxy at {at} gives no answer that is one")]
    NoAnswer {
        /// Where.
        at: SocketAddr,
    },
}

impl Diagnose for ProveError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Settings(error) => return Diagnosis::Inner(error),
            Self::NotReached { .. } | Self::NoAnswer { .. } => Kind::Network,
            Self::NotKnown { .. } => Kind::Integrity,
            Self::Unknown { .. } => Kind::Refused,
        })
    }
}

impl Upstream {
    /// Asks the addresses in turn, and says which of them has answered this token. A supervisor's socket needs no proof: there is no other
    /// way to it.
    pub fn prove(&self) -> Result<Option<SocketAddr>, ProveError> {
        let Self::Tls { addresses, name, ca, token } = self else { return Ok(None) };
        let tls = ClientTls::new(ca, name)?;
        let mut last = None;
        for &at in addresses {
            match ask(at, &tls, token) {
                Ok(()) => return Ok(Some(at)),
                // Replicas come and go; whom one of them does not know none does.
                Err(error @ ProveError::Unknown { .. }) => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| TlsError::Name(name.clone()).into()))
    }
}

/// Asks one of them.
fn ask(at: SocketAddr, tls: &ClientTls, token: &Token) -> Result<(), ProveError> {
    let (mut session, mut socket) = greet(at, tls).map_err(|error| failed(at, error))?;
    let mut stream = rustls::Stream::new(&mut session, &mut socket);
    let preamble = Preamble { route: RouteId::PROXY, host: HostNaming::Free };
    let asked = stream
        .write_all(&Proven { preamble, token: token.clone() }.encode())
        .and_then(|()| stream.write_all(QUESTION))
        .and_then(|()| stream.flush());
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    let is_unknown = |answer: &[u8]| answer.windows(UNKNOWN.len()).any(|part| part == UNKNOWN.as_bytes());
    while answer.len() < ANSWER && !is_unknown(&answer) {
        match stream.read(&mut buffer) {
            Ok(length @ 1..) => answer.extend_from_slice(&buffer[..length]),
            // Whom it does not know it need not hear to the end.
            Err(error) if answer.is_empty() => return Err(failed(at, asked.err().unwrap_or(error))),
            _ => break,
        }
    }
    if is_unknown(&answer) {
        return Err(ProveError::Unknown { at });
    }
    if answer.starts_with(b"HTTP/1.") { Ok(()) } else { Err(ProveError::NoAnswer { at }) }
}

fn failed(at: SocketAddr, error: io::Error) -> ProveError {
    match error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) {
        Some(problem) => ProveError::NotKnown { at, problem: problem.to_string() },
        None => ProveError::NotReached { at, source: error },
    }
}

/// A connection whose other end is the proxy.
fn greet(at: SocketAddr, tls: &ClientTls) -> io::Result<(ClientConnection, TcpStream)> {
    let until = Instant::now() + WITHIN;
    let mut socket = TcpStream::connect_timeout(&at, WITHIN)?;
    let mut session =
        ClientConnection::new(tls.config.clone(), tls.name.clone()).map_err(io::Error::other)?;
    while session.is_handshaking() {
        // Each read has what is left: a peer that sends a byte now and then is not waited for longer.
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        socket.set_write_timeout(Some(left))?;
        match session.complete_io(&mut socket) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            result => result.map(drop)?,
        }
    }
    if session.alpn_protocol() != Some(PROTOCOL) {
        return Err(io::Error::other(rustls::Error::NoApplicationProtocol));
    }
    socket.set_read_timeout(Some(WITHIN))?;
    socket.set_write_timeout(Some(WITHIN))?;
    Ok((session, socket))
}
