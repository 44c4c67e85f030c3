//! The greeting of a tunnel with its two ends: what [`Greeting`] lets through is passed on at once, in both directions.
//!
//! **Guarantees**: nothing goes to the server before the caller has recorded that it may; a side is read only while what it
//! said before was taken by the other, so a greeting holds one hello and one piece of each direction.

use std::os::fd::OwnedFd;
use std::time::Instant;

use pinfold_base::authority::Host;

use crate::events::end::Came;
use crate::events::end::End;
use crate::events::end::Flushed;
use crate::events::end::Sent;
use crate::events::pump::Pair;
use crate::wire::greeting::Greeting;
use crate::wire::greeting::GreetingError;

/// Bytes read at once.
const PIECE: usize = 4096;
/// Pieces passed on before another connection has its turn.
const TURN: usize = 64;

/// What a greeting came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// Nothing to do until one of the sockets is ready.
    Waiting,
    /// Another turn; there is more to move right now.
    Again,
    /// The first hello is right: it goes on once the caller has said [`Greeter::admit`].
    Begun,
    /// The server has answered: what follows is bytes.
    Done,
    /// One side has ended.
    Ended,
    /// It goes no further.
    Refused(GreetingError),
}

/// A tunnel whose TLS is being begun.
#[derive(Debug)]
pub(crate) struct Greeter {
    client: End,
    upstream: End,
    greeting: Greeting,
    /// Whether hellos may go on.
    admitted: bool,
    /// What may go to the server, and to the client.
    forth: Vec<u8>,
    back: Vec<u8>,
    /// Bytes that have gone so far, to the server and to the client.
    bytes: [u64; 2],
    /// The server has said all it had to say.
    ended: bool,
}

impl Greeter {
    /// A tunnel to `host`; `ahead` is what the client has said already.
    pub(crate) fn new(
        client: End,
        upstream: OwnedFd,
        host: Host,
        ahead: &[u8],
    ) -> (Self, Result<(), GreetingError>) {
        let mut greeter = Self {
            client,
            upstream: upstream.into(),
            greeting: Greeting::new(host),
            admitted: false,
            forth: Vec::new(),
            back: Vec::new(),
            bytes: [0; 2],
            ended: false,
        };
        let outcome = greeter.greeting.client(ahead, &mut greeter.forth);
        (greeter, outcome)
    }

    /// The client's socket and the server's.
    pub(crate) fn ends(&self) -> [&OwnedFd; 2] {
        [self.client.socket(), self.upstream.socket()]
    }

    /// Whether the hello was admitted.
    pub(crate) fn is_admitted(&self) -> bool {
        self.admitted
    }

    /// Whether the client has begun to speak TLS, so that it understands an alert.
    pub(crate) fn speaks_tls(&self) -> bool {
        self.greeting.speaks_tls()
    }

    /// From now on hellos go on.
    pub(crate) fn admit(&mut self) {
        self.admitted = true;
    }

    /// Bytes held.
    pub(crate) fn held(&self) -> usize {
        self.greeting.held() + self.forth.len() + self.back.len() + self.client.held()
    }

    /// Bytes passed on, to the server and to the client.
    pub(crate) fn bytes(&self) -> [u64; 2] {
        self.bytes
    }

    /// The client, to tell it why there is no tunnel.
    pub(crate) fn into_client(self) -> End {
        self.client
    }

    /// The tunnel, once the greeting is done.
    pub(crate) fn into_pair(self, now: Instant) -> Pair {
        Pair::new([self.client, self.upstream], [self.forth, self.back], self.bytes, now)
    }

    /// Moves what can be moved now.
    pub(crate) fn drive(&mut self) -> Outcome {
        for _ in 0..TURN {
            match self.step() {
                Ok(None) => {}
                Ok(Some(outcome)) => return outcome,
                Err(error) => return Outcome::Refused(error),
            }
        }
        Outcome::Again
    }

    /// One piece of each direction; nothing when more can be moved.
    fn step(&mut self) -> Result<Option<Outcome>, GreetingError> {
        if self.greeting.is_done() {
            self.greeting.client(&[], &mut self.forth)?;
            return Ok(Some(Outcome::Done));
        }
        if self.greeting.has_begun() && !self.admitted {
            return Ok(Some(Outcome::Begun));
        }
        let mut moved = false;
        let mut gone = false;
        let [forth, back] = &mut self.bytes;
        if self.client.unsent() > 0 {
            gone = self.client.flush() == Flushed::Refused;
        }
        for (to, bytes, count) in
            [(&mut self.upstream, &mut self.forth, forth), (&mut self.client, &mut self.back, back)]
        {
            if !bytes.is_empty() {
                match to.send(bytes) {
                    Sent::Bytes(sent) => {
                        bytes.drain(..sent);
                        *count += sent as u64;
                        moved = true;
                    }
                    Sent::Full => {}
                    Sent::Refused => gone = true,
                }
            }
        }
        if gone || (self.ended && self.back.is_empty() && self.client.unsent() == 0) {
            return Ok(Some(Outcome::Ended));
        }
        let mut piece = [0; PIECE];
        if self.admitted && self.back.is_empty() && !self.ended {
            match self.upstream.receive(&mut piece) {
                Came::Ended | Came::Broken => {
                    self.ended = true;
                    moved = true;
                }
                Came::Bytes(count) => {
                    self.greeting.server(&piece[..count])?;
                    self.back.extend_from_slice(&piece[..count]);
                    moved = true;
                }
                Came::Nothing => {}
            }
        }
        // What the server has just said comes first: it may be what the client's next words answer.
        if self.forth.is_empty() && !self.greeting.is_done() {
            match self.client.receive(&mut piece) {
                // A client that leaves before the server has answered wants no tunnel.
                Came::Ended | Came::Broken => return Ok(Some(Outcome::Ended)),
                Came::Bytes(count) => {
                    self.greeting.client(&piece[..count], &mut self.forth)?;
                    moved = true;
                }
                Came::Nothing => {}
            }
        }
        Ok((!moved).then_some(Outcome::Waiting))
    }
}
