//! The greeting of a tunnel: all that client and server say in the open before TLS hides it (RFC 8446, sections 4.1 and 5.1).
//!
//! ```text
//!   client ── ClientHello ──────────────────► server        judged: its name is the tunnel's host
//!          ── early data, CCS, alerts ──────►               passed as they come
//!          ◄─────────────── HelloRetryRequest ──            known by its random; the greeting goes on
//!          ── CCS, ClientHello ─────────────►               judged again
//!          ◄─────────────────────── ServerHello ──          from here on the tunnel is bytes
//! ```
//!
//! A server chooses whom it plays by the name in a hello, and after a HelloRetryRequest it may choose again. So every hello
//! is judged, and bytes are only bytes once the server has answered with its real ServerHello: no client that follows the
//! protocol says anything in the open after that.
//!
//! **Guarantees**: no byte of a hello is passed on before the whole of it was judged; what is passed on is what came, byte
//! for byte; however the bytes are cut, the outcome is the same. Held are at most one hello and one record's head.
//!
//! **Refuses** a hello that was not asked for (a second one in the first flight, one beside a HelloRetryRequest, a third), a
//! second HelloRetryRequest, records of other kinds, hellos cut by other records, and an answer that is not TLS.
//!
//! What this cannot see: a name inside an encrypted hello (ECH), and the hello of a renegotiation, which TLS 1.2 encrypts.

use pinfold_base::authority::Host;

use crate::wire::hello::HELLO_MAX;
use crate::wire::hello::Hello;
use crate::wire::hello::HelloError;
use crate::wire::hello::parse_hello;

/// SHA-256 of `HelloRetryRequest`: the random of a ServerHello that is one (RFC 8446, section 4.1.3).
const RETRY_RANDOM: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91, 0xc2,
    0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];
/// Kind and length of a handshake message, version and random of a ServerHello.
const ANSWER_START: usize = 4 + 2 + 32;
/// The longest fragment in the open, and of a protected record (RFC 8446, sections 5.1 and 5.2).
const FRAGMENT_MAX: usize = 1 << 14;
const PROTECTED_MAX: usize = FRAGMENT_MAX + 256;
const HEAD: usize = 5;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// Why a tunnel's greeting breaks off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GreetingError {
    /// The client's bytes are no acceptable hello.
    #[error(transparent)]
    Hello(#[from] HelloError),
    /// The hello names another host.
    #[error("the server name of TLS is `{0}`, not the host of the tunnel")]
    OtherName(Host),
    /// The hello names no host where one must be named.
    #[error("TLS names no server")]
    NoName,
    /// A hello that the server did not ask for.
    #[error("TLS sends a second hello that was not asked for")]
    Unasked,
    /// A record that cannot stand there.
    #[error("a TLS record of the client is out of place")]
    Client,
    /// The server's answer is neither a ServerHello nor a HelloRetryRequest nor an alert.
    #[error("the server's answer in the tunnel is not the beginning of TLS")]
    Answer,
    /// A HelloRetryRequest after one.
    #[error("the server asks for a third TLS hello")]
    Retries,
}

/// What the client may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Client {
    /// Its first hello, and nothing before it.
    First,
    /// No hello: the server is to answer.
    Waits,
    /// Its second hello; the middlebox mode's CCS and what is left of early data may come first.
    Second,
    /// No hello any more.
    Retried,
}

/// The greeting of one tunnel: bytes of both sides go in, what may be passed on comes out.
#[derive(Debug)]
pub struct Greeting {
    host: Host,
    client: Client,
    /// The client's bytes that are not judged yet: records from the start of a hello, or the head of one record.
    held: Vec<u8>,
    /// How far `held` was looked at: up to here are whole records of an unfinished hello.
    whole: usize,
    /// Bytes of a client's record that pass without a look.
    passing: usize,
    /// The head of the server's record that is being read, as far as it has come.
    head: Vec<u8>,
    /// Kind of the server's record, and its bytes that are to come.
    record: (u8, usize),
    /// The beginning of the server's message, and how much of the message is to come once that is known.
    answer: Vec<u8>,
    rest: usize,
    done: bool,
}

impl Greeting {
    /// The greeting of a tunnel that was opened for `host`.
    pub fn new(host: Host) -> Self {
        Self {
            host,
            client: Client::First,
            held: Vec::new(),
            whole: 0,
            passing: 0,
            head: Vec::new(),
            record: (0, 0),
            answer: Vec::new(),
            rest: 0,
            done: false,
        }
    }

    /// Whether a hello was judged and passed on.
    pub fn has_begun(&self) -> bool {
        self.client != Client::First
    }

    /// Whether the client has begun as one begins TLS.
    pub fn speaks_tls(&self) -> bool {
        self.has_begun() || self.held.first() == Some(&HANDSHAKE)
    }

    /// Whether the server has answered: from now on all is passed on.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Bytes that are held.
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Takes bytes of the client and appends what may go to the server.
    pub fn client(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), GreetingError> {
        let mut bytes = bytes;
        while !bytes.is_empty() || self.done {
            if self.done {
                out.append(&mut self.held);
                out.extend_from_slice(bytes);
                return Ok(());
            }
            if self.passing > 0 {
                let (now, after) = bytes.split_at(bytes.len().min(self.passing));
                out.extend_from_slice(now);
                self.passing -= now.len();
                bytes = after;
                continue;
            }
            // Up to the end of a record's head, then up to the end of the record.
            let wanted = match self.held.get(self.whole..self.whole + HEAD) {
                None => HEAD - (self.held.len() - self.whole),
                Some(head) => HEAD + length_of(head) - (self.held.len() - self.whole),
            };
            let (now, after) = bytes.split_at(bytes.len().min(wanted));
            self.held.extend_from_slice(now);
            bytes = after;
            if self.held.len() > HELLO_MAX {
                return Err(HelloError::TooLong.into());
            }
            self.look(out)?;
        }
        Ok(())
    }

    /// Judges what is held as far as it can be judged.
    fn look(&mut self, out: &mut Vec<u8>) -> Result<(), GreetingError> {
        let record = &self.held[self.whole..];
        if self.client == Client::First || self.whole > 0 {
            // Nothing but a hello may come; what else it is, its own reader says best.
            if !matches!(record, [] | [HANDSHAKE] | [HANDSHAKE, 3] | [HANDSHAKE, 3, ..]) {
                parse_hello(&self.held)?;
            }
        }
        let [kind, major, minor, _, _, fragment @ ..] = record else {
            return match record {
                [HANDSHAKE, ..] if matches!(self.client, Client::Waits | Client::Retried) => {
                    Err(GreetingError::Unasked)
                }
                _ => Ok(()),
            };
        };
        let length = length_of(record);
        if *kind == HANDSHAKE {
            if matches!(self.client, Client::Waits | Client::Retried) {
                return Err(GreetingError::Unasked);
            }
            if fragment.len() < length && length <= FRAGMENT_MAX {
                return Ok(());
            }
            let Some(hello) = parse_hello(&self.held)? else {
                self.whole = self.held.len();
                return Ok(());
            };
            self.judge(&hello)?;
            self.client = if self.client == Client::First { Client::Waits } else { Client::Retried };
            self.whole = 0;
            out.append(&mut self.held);
            return Ok(());
        }
        let fits = match *kind {
            CHANGE_CIPHER_SPEC => length == 1,
            ALERT => length == 2,
            APPLICATION_DATA => (1..=PROTECTED_MAX).contains(&length),
            _ => false,
        };
        if self.client == Client::First || self.whole > 0 || !fits || *major != 3 || *minor > 4 {
            return Err(GreetingError::Client);
        }
        self.passing = length;
        out.append(&mut self.held);
        Ok(())
    }

    fn judge(&self, hello: &Hello) -> Result<(), GreetingError> {
        match (&self.host, &hello.server_name) {
            (Host::Name(name), Some(Host::Name(said))) if name == said => Ok(()),
            // To an address no name is sent (RFC 6066, section 3).
            (Host::Address(_), None) => Ok(()),
            (_, Some(said)) => Err(GreetingError::OtherName(said.clone())),
            (_, None) => Err(GreetingError::NoName),
        }
    }

    /// Takes bytes of the server, all of which go to the client unless there is an error.
    pub fn server(&mut self, bytes: &[u8]) -> Result<(), GreetingError> {
        let mut bytes = bytes;
        while !self.done && !bytes.is_empty() {
            let (kind, left) = self.record;
            if left == 0 {
                let (now, after) = bytes.split_at(bytes.len().min(HEAD - self.head.len()));
                self.head.extend_from_slice(now);
                bytes = after;
                self.begin_record()?;
                continue;
            }
            let (now, after) = bytes.split_at(bytes.len().min(left));
            self.record.1 -= now.len();
            bytes = after;
            if kind == HANDSHAKE {
                self.read_answer(now)?;
            }
        }
        Ok(())
    }

    fn begin_record(&mut self) -> Result<(), GreetingError> {
        let version = matches!(self.head[..], [_] | [_, 3] | [_, 3, 0..=4, ..]);
        let kind = self.head[0];
        // Between the fragments of a message nothing else may stand.
        let fits = match kind {
            HANDSHAKE => matches!(self.client, Client::Waits | Client::Retried),
            CHANGE_CIPHER_SPEC => self.client == Client::Second && self.answer.is_empty(),
            ALERT => self.answer.is_empty(),
            _ => false,
        };
        if !version || !fits {
            return Err(GreetingError::Answer);
        }
        if self.head.len() == HEAD {
            let length = length_of(&self.head);
            let most = if kind == HANDSHAKE { FRAGMENT_MAX } else { 2 };
            if !(1..=most).contains(&length) {
                return Err(GreetingError::Answer);
            }
            self.record = (kind, length);
            self.head.clear();
        }
        Ok(())
    }

    fn read_answer(&mut self, fragment: &[u8]) -> Result<(), GreetingError> {
        let mut fragment = fragment;
        if self.answer.len() < ANSWER_START {
            let (now, after) = fragment.split_at(fragment.len().min(ANSWER_START - self.answer.len()));
            self.answer.extend_from_slice(now);
            fragment = after;
            if self.answer[0] != 2 {
                return Err(GreetingError::Answer);
            }
            let [_, a, b, c, _, _, random @ ..] = &self.answer[..] else { return Ok(()) };
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            if !(2 + 32..=HELLO_MAX).contains(&length) {
                return Err(GreetingError::Answer);
            }
            if random.len() < RETRY_RANDOM.len() {
                return Ok(());
            }
            if *random != RETRY_RANDOM {
                self.done = true;
                return Ok(());
            }
            if self.client == Client::Retried {
                return Err(GreetingError::Retries);
            }
            self.rest = length - 2 - 32;
        }
        // The rest of the HelloRetryRequest; the client is to speak next.
        self.rest = self.rest.checked_sub(fragment.len()).ok_or(GreetingError::Answer)?;
        if self.rest == 0 {
            if self.record.1 > 0 {
                return Err(GreetingError::Answer);
            }
            self.answer.clear();
            self.client = Client::Second;
        }
        Ok(())
    }
}

/// The length in a record's head.
fn length_of(head: &[u8]) -> usize {
    usize::from(u16::from_be_bytes([head[3], head[4]]))
}

#[cfg(test)]
pub(crate) mod tests;
