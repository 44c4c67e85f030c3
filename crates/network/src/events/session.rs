//! TLS over a socket that never blocks, for both sides: what came is decrypted piece by piece, what goes is encrypted at once.
//!
//! ```text
//!   socket ─► incoming (less than a record) ─► decrypt ─► plain (what nobody has taken yet)
//!   socket ◄─ outgoing (what the socket would not take) ◄─ encrypt ◄─ bytes
//! ```
//!
//! Records are read and written through one buffer of the thread, so a session at rest holds its keys and no buffer.
//!
//! **Guarantees**: an end that was not announced (`close_notify`, RFC 8446, section 6.1) is [`Came::Broken`], never an end; nothing is
//! taken to be sent while more than what one call encrypts waits for the socket.

use std::cell::RefCell;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustls::ClientConfig;
use rustls::ServerConfig;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::ConnectionState;
use rustls::unbuffered::EncodeError;
use rustls::unbuffered::EncryptError;
use rustls::unbuffered::InsufficientSizeError;
use rustls::unbuffered::UnbufferedStatus;
use rustls_pki_types::ServerName;

use super::end::Came;
use super::end::Flushed;
use super::end::Sent;
use super::end::send;

/// The least that is read from a socket at once.
const LEAST: usize = 4 << 10;
/// The most plain bytes of a record, and what protecting one adds at most (RFC 8446, section 5.2).
const RECORD: usize = 16 << 10;
const ADDED: usize = 5 + 256;
/// Room for an alert or a change of keys beside records.
const BESIDE: usize = 512;
/// Reads in a row that give no data, before that is taken for ill will.
const EMPTY: usize = 64;
/// States that a session may go through while it is moved once; more than a peer that follows the protocol causes with one flight.
const STEPS: usize = 1 << 16;

thread_local! {
    /// What this thread reads records into, and encrypts them into.
    static WIRE: RefCell<[Vec<u8>; 2]> = const { RefCell::new([Vec::new(), Vec::new()]) };
}

enum Side {
    Server(UnbufferedServerConnection),
    Client(UnbufferedClientConnection),
}

/// What moving a session came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// There may be more to do.
    On,
    /// The peer's next bytes are needed, or ours may be sent.
    Rest,
}

/// One connection's TLS.
pub(crate) struct Session {
    side: Side,
    /// Bytes of the peer that are no whole record yet.
    incoming: Vec<u8>,
    /// Decrypted and not taken: `plain[taken..]`.
    plain: Vec<u8>,
    taken: usize,
    /// Encrypted and not sent: `outgoing[sent..]`.
    outgoing: Vec<u8>,
    sent: usize,
    established: bool,
    /// The peer has said that it says no more.
    ended: bool,
    /// Why there is nothing more to be had from it.
    broken: Option<String>,
    /// We have said that we say no more.
    finished: bool,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("established", &self.established)
            .field("ended", &self.ended)
            .field("broken", &self.broken)
            .finish_non_exhaustive()
    }
}

impl Session {
    /// The side that was connected to.
    pub(crate) fn server(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        Ok(Self::new(Side::Server(UnbufferedServerConnection::new(config)?)))
    }

    /// The side that connects.
    pub(crate) fn client(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> Result<Self, rustls::Error> {
        let mut session = Self::new(Side::Client(UnbufferedClientConnection::new(config, name)?));
        // It speaks first; what could be wrong with that is told when it is sent.
        let _ = session.advance(&mut [], &mut []);
        Ok(session)
    }

    fn new(side: Side) -> Self {
        Self {
            side,
            incoming: Vec::new(),
            plain: Vec::new(),
            taken: 0,
            outgoing: Vec::new(),
            sent: 0,
            established: false,
            ended: false,
            broken: None,
            finished: false,
        }
    }

    /// Whether both have agreed on this protocol.
    pub(crate) fn speaks(&self, protocol: &[u8]) -> bool {
        let agreed = match &self.side {
            Side::Server(connection) => connection.alpn_protocol(),
            Side::Client(connection) => connection.alpn_protocol(),
        };
        agreed == Some(protocol)
    }

    /// Why it broke off, in rustls' words or the system's.
    pub(crate) fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }

    /// Bytes that are held.
    pub(crate) fn held(&self) -> usize {
        self.incoming.len() + (self.plain.len() - self.taken) + (self.outgoing.len() - self.sent)
    }

    /// Bytes that wait for the socket.
    pub(crate) fn unsent(&self) -> usize {
        self.outgoing.len() - self.sent
    }

    /// Whether decrypted bytes are there to be taken.
    pub(crate) fn has_plain(&self) -> bool {
        self.taken < self.plain.len()
    }

    /// Moves the hand-shake on; true once it is over.
    pub(crate) fn shake(&mut self, socket: &OwnedFd) -> Result<bool, String> {
        loop {
            let flushed = self.flush(socket);
            if let Some(why) = &self.broken {
                return Err(why.clone());
            }
            if self.ended || flushed == Flushed::Refused {
                return Err("the connection was closed".into());
            }
            if self.established {
                return Ok(true);
            }
            if self.fill(socket, &mut []) == Came::Nothing {
                return Ok(false);
            }
        }
    }

    /// Takes decrypted bytes. Nothing only when nothing more can be had without waiting.
    pub(crate) fn receive(&mut self, socket: &OwnedFd, piece: &mut [u8]) -> Came {
        for _ in 0..EMPTY {
            if self.has_plain() {
                let count = piece.len().min(self.plain.len() - self.taken);
                piece[..count].copy_from_slice(&self.plain[self.taken..self.taken + count]);
                self.taken += count;
                if !self.has_plain() {
                    (self.plain, self.taken) = (Vec::new(), 0);
                }
                return Came::Bytes(count);
            }
            if self.ended {
                return Came::Ended;
            }
            if self.broken.is_some() {
                return Came::Broken;
            }
            match self.fill(socket, piece) {
                // A record without data, such as a change of keys; an answer to it may have to go.
                Came::Bytes(0) => {
                    self.flush(socket);
                }
                came => return came,
            }
        }
        self.broken = Some("the peer sends records without data".into());
        Came::Broken
    }

    /// Reads from the socket once and decrypts what is whole into `piece`, and what does not fit there into `plain`.
    fn fill(&mut self, socket: &OwnedFd, piece: &mut [u8]) -> Came {
        WIRE.with_borrow_mut(|[wire, _]| {
            let have = self.incoming.len();
            let wanted = have + piece.len().max(LEAST);
            if wire.len() < wanted {
                wire.resize(wanted, 0);
            }
            let count = loop {
                match rustix::net::recv(socket, &mut wire[have..wanted], RecvFlags::DONTWAIT) {
                    Ok((_, count)) => break count,
                    Err(Errno::AGAIN) => return Came::Nothing,
                    Err(Errno::INTR) => {}
                    Err(error) => {
                        self.broken = Some(std::io::Error::from(error).to_string());
                        return Came::Broken;
                    }
                }
            };
            if count == 0 {
                self.broken = Some("the connection was cut".into());
                return Came::Broken;
            }
            wire[..have].copy_from_slice(&self.incoming);
            self.incoming = Vec::new();
            let bytes = &mut wire[..have + count];
            match self.advance(bytes, piece) {
                Ok((used, produced)) => {
                    self.incoming = bytes[used..].to_vec();
                    Came::Bytes(produced)
                }
                // What was decrypted before it broke is the peer's own.
                Err(()) if self.has_plain() => Came::Bytes(0),
                Err(()) => Came::Broken,
            }
        })
    }

    /// Lets the session look at `bytes`: how many are done with, and how many plain ones went to `piece`.
    fn advance(&mut self, bytes: &mut [u8], piece: &mut [u8]) -> Result<(usize, usize), ()> {
        let (mut used, mut produced) = (0, 0);
        for _ in 0..STEPS {
            let mut buffers = Buffers {
                piece: &mut *piece,
                produced: &mut produced,
                plain: &mut self.plain,
                outgoing: &mut self.outgoing,
                established: &mut self.established,
                ended: &mut self.ended,
            };
            let (discard, step) = match &mut self.side {
                Side::Server(connection) => {
                    take(connection.process_tls_records(&mut bytes[used..]), &mut buffers)
                }
                Side::Client(connection) => {
                    take(connection.process_tls_records(&mut bytes[used..]), &mut buffers)
                }
            };
            used += discard;
            match step {
                Ok(Step::On) => {}
                Ok(Step::Rest) => return Ok((used, produced)),
                Err(error) => {
                    // It is not asked for anything any more, not for an alert either: it may not be after an error.
                    self.broken = Some(error);
                    // What went to `piece` must not be lost: it is taken before the break is seen.
                    if produced > 0 {
                        self.plain = [&piece[..produced], &self.plain[self.taken..]].concat();
                        self.taken = 0;
                    }
                    return Err(());
                }
            }
        }
        self.broken = Some("the peer's TLS records lead nowhere".into());
        Err(())
    }

    /// Encrypts bytes and sends what the socket takes; the rest is held. Takes all or nothing.
    pub(crate) fn send(&mut self, socket: &OwnedFd, bytes: &[u8]) -> Sent {
        match self.flush(socket) {
            Flushed::Done => {}
            Flushed::Full => return Sent::Full,
            Flushed::Refused => return Sent::Refused,
        }
        if !self.established {
            return Sent::Full;
        }
        if self.finished || self.broken.is_some() {
            return Sent::Refused;
        }
        WIRE.with_borrow_mut(|[_, wire]| {
            let mut room = bytes.len() + bytes.len().div_ceil(RECORD) * ADDED + BESIDE;
            loop {
                if wire.len() < room {
                    wire.resize(room, 0);
                }
                match self.encrypt(bytes, wire) {
                    Ok(count) => return self.put(socket, &wire[..count], bytes.len()),
                    Err(Some(needed)) if needed > room => room = needed,
                    Err(_) => {
                        self.broken.get_or_insert_with(|| "it can encrypt nothing more".into());
                        return Sent::Refused;
                    }
                }
            }
        })
    }

    /// Sends encrypted bytes, and holds what the socket would not take.
    fn put(&mut self, socket: &OwnedFd, wire: &[u8], taken: usize) -> Sent {
        let mut at = 0;
        while at < wire.len() {
            match send(socket, &wire[at..]) {
                Sent::Bytes(count) => at += count,
                Sent::Full => break,
                Sent::Refused => return Sent::Refused,
            }
        }
        (self.outgoing, self.sent) = (wire[at..].to_vec(), 0);
        Sent::Bytes(taken)
    }

    /// How many bytes were written, or how many there must be room for.
    fn encrypt(&mut self, bytes: &[u8], wire: &mut [u8]) -> Result<usize, Option<usize>> {
        // The session looks at what is left of the peer's bytes: with others in their place it would lose count of them.
        match &mut self.side {
            Side::Server(connection) => {
                written(connection.process_tls_records(&mut self.incoming), bytes, wire)
            }
            Side::Client(connection) => {
                written(connection.process_tls_records(&mut self.incoming), bytes, wire)
            }
        }
    }

    /// Sends what waits.
    pub(crate) fn flush(&mut self, socket: &OwnedFd) -> Flushed {
        while self.sent < self.outgoing.len() {
            match send(socket, &self.outgoing[self.sent..]) {
                Sent::Bytes(count) => self.sent += count,
                Sent::Full => return Flushed::Full,
                Sent::Refused => {
                    (self.outgoing, self.sent) = (Vec::new(), 0);
                    return Flushed::Refused;
                }
            }
        }
        (self.outgoing, self.sent) = (Vec::new(), 0);
        Flushed::Done
    }

    /// Says that nothing more is said, and sends what the socket takes of it.
    pub(crate) fn finish(&mut self, socket: &OwnedFd) -> Flushed {
        if !self.finished && self.established && self.broken.is_none() {
            self.finished = true;
            let mut wire = [0; BESIDE];
            let closing = match &mut self.side {
                Side::Server(connection) => {
                    closing(connection.process_tls_records(&mut self.incoming), &mut wire)
                }
                Side::Client(connection) => {
                    closing(connection.process_tls_records(&mut self.incoming), &mut wire)
                }
            };
            self.outgoing.extend_from_slice(&wire[..closing.unwrap_or(0)]);
        }
        self.flush(socket)
    }
}

/// Where what a session gives goes.
struct Buffers<'a> {
    piece: &'a mut [u8],
    produced: &'a mut usize,
    plain: &'a mut Vec<u8>,
    outgoing: &'a mut Vec<u8>,
    established: &'a mut bool,
    ended: &'a mut bool,
}

/// Deals with one state: how many bytes are done with, and what is next.
fn take<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    buffers: &mut Buffers<'_>,
) -> (usize, Result<Step, String>) {
    let UnbufferedStatus { mut discard, state } = status;
    let step = match state {
        Err(error) => Err(error.to_string()),
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                None => break Ok(Step::On),
                Some(Err(error)) => break Err(error.to_string()),
                Some(Ok(record)) => {
                    discard += record.discard;
                    let room = &mut buffers.piece[*buffers.produced..];
                    // In order: once something did not fit, all that follows waits behind it.
                    let fits =
                        if buffers.plain.is_empty() { room.len().min(record.payload.len()) } else { 0 };
                    room[..fits].copy_from_slice(&record.payload[..fits]);
                    *buffers.produced += fits;
                    buffers.plain.extend_from_slice(&record.payload[fits..]);
                }
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            let at = buffers.outgoing.len();
            let needed = match data.encode(&mut []) {
                Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size, .. })) => {
                    required_size
                }
                Ok(_) | Err(_) => 0,
            };
            buffers.outgoing.resize(at + needed, 0);
            match data.encode(&mut buffers.outgoing[at..]) {
                Ok(_) => Ok(Step::On),
                Err(error) => Err(error.to_string()),
            }
        }
        // It is held, and goes before anything else.
        Ok(ConnectionState::TransmitTlsData(transmit)) => {
            transmit.done();
            Ok(Step::On)
        }
        Ok(ConnectionState::WriteTraffic(_)) => {
            *buffers.established = true;
            Ok(Step::Rest)
        }
        Ok(ConnectionState::PeerClosed) => {
            *buffers.ended = true;
            Ok(Step::On)
        }
        Ok(ConnectionState::BlockedHandshake | ConnectionState::Closed) => Ok(Step::Rest),
        // Early data is switched off; what else there may be is not known.
        Ok(_) => Err("the session is in a state that is not known".into()),
    };
    (discard, step)
}

/// Encrypts where that can be done: the number of bytes, or how many there must be room for.
fn written<Data>(
    status: UnbufferedStatus<'_, '_, Data>,
    bytes: &[u8],
    wire: &mut [u8],
) -> Result<usize, Option<usize>> {
    match status.state {
        Ok(ConnectionState::WriteTraffic(mut traffic)) => match traffic.encrypt(bytes, wire) {
            Ok(count) => Ok(count),
            Err(EncryptError::InsufficientSize(InsufficientSizeError { required_size, .. })) => {
                Err(Some(required_size))
            }
            Err(_) => Err(None),
        },
        _ => Err(None),
    }
}

/// Writes the closing message.
fn closing<Data>(status: UnbufferedStatus<'_, '_, Data>, wire: &mut [u8]) -> Option<usize> {
    match status.state {
        Ok(ConnectionState::WriteTraffic(mut traffic)) => traffic.queue_close_notify(wire).ok(),
        _ => None,
    }
}
