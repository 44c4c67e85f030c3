//! The proxy's event loop: connections that wait for a head or greet in TLS, tunnels, and partings.
//!
//! A connection is in one of four states, or in the hands of a job ([`crate::serve::job`]):
//!
//! ```text
//!   Reading ─(head whole)─► job ─┬─► Greeting ─(names are right, server has answered)─► Tunnel ─► closed
//!                                ├─► Tunnel                    (`tcp:` rules)
//!                                └─► Parting ─► closed         (refused, or one request done)
//! ```
//!
//! Every state but Tunnel has a deadline of seconds, so connections that say nothing cannot hold a place; and when all
//! places are taken, the oldest connection that has not finished its head gives up its place to the new one.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::authority::Target;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use rustix::net::SendFlags;
use rustix::net::Shutdown;
use rustix::net::SocketFlags;

use crate::events::poll::Poller;
use crate::events::poll::Ready;
use crate::events::poll::Slots;
use crate::events::pump::Pair;
use crate::events::pump::Progress;
use crate::events::pump::Scratch;
use crate::relay::Preamble;
use crate::serve::Shared;
use crate::serve::greet::Greeter;
use crate::serve::greet::Outcome;
use crate::serve::job::InHand;
use crate::serve::job::answer;
use crate::serve::journal::Event;
use crate::serve::journal::Note;
use crate::serve::pool::Pool;
use crate::wire::greeting::GreetingError;
use crate::wire::head::HEAD_MAX;
use crate::wire::hello::HelloError;

const WAKE: u64 = u64::MAX;
const LISTENER: u64 = u64::MAX - 1;
/// How often deadlines are looked at.
const TICK: Duration = Duration::from_secs(1);
/// How long a refused client may take to read why.
const PART: Duration = Duration::from_secs(2);
/// How long a server may take to answer a hello.
const ANSWER: Duration = Duration::from_secs(60);
/// Bytes of heads and greetings that may be held for all connections together.
const HELD: usize = 16 << 20;
/// Tunnels that may wait for a thread; each holds its head.
const DIALS_WAITING: usize = 512;
/// Requests that may wait for a thread.
const REQUESTS_WAITING: usize = 64;
/// Bytes of the relay's preamble.
const PREAMBLE: usize = 2;
/// A fatal alert `access_denied` (RFC 8446, section 6.2), so that a refused TLS client says more than "connection reset".
const ACCESS_DENIED: [u8; 7] = [0x15, 3, 3, 0, 2, 2, 49];

/// A tunnel on its way: what it is for, for the journal.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) target: Target,
    pub(crate) reason: String,
    pub(crate) address: SocketAddr,
    pub(crate) since: Instant,
}

impl Record {
    fn note(&self, event: Event, allowed: bool) -> Note {
        let mut note = Note::new(event, &self.target, allowed);
        note.reason.clone_from(&self.reason);
        note.address = Some(self.address.to_string());
        note
    }
}

/// A connection that a job gives back.
#[derive(Debug)]
pub(crate) enum Handoff {
    /// The client was told that the tunnel is open; it must now greet in TLS with the right name. `bytes` came already.
    Greeting { client: OwnedFd, upstream: OwnedFd, bytes: Vec<u8>, record: Record },
    /// Anything may be spoken.
    Tunnel { client: OwnedFd, upstream: OwnedFd, bytes: Vec<u8>, record: Record },
    /// All is said; the client is to read it.
    Parting { client: OwnedFd },
}

#[derive(Debug)]
enum Connection {
    Reading { client: OwnedFd, bytes: Vec<u8>, until: Instant },
    Greeting { greeter: Greeter, until: Instant, record: Record },
    Tunnel { pair: Pair, record: Record },
    Parting { client: OwnedFd, until: Instant },
}

impl Connection {
    /// Bytes held for it before it is served.
    fn held(&self) -> usize {
        match self {
            Self::Reading { bytes, .. } => bytes.len(),
            Self::Greeting { greeter, .. } => greeter.held(),
            Self::Tunnel { .. } | Self::Parting { .. } => 0,
        }
    }
}

/// What reading gave.
enum Read {
    /// More may come.
    More,
    /// Enough came to go on.
    Enough,
    /// The client has gone.
    Gone,
}

#[derive(Debug)]
pub(crate) struct Serving {
    listener: UnixListener,
    poller: Poller,
    shared: Arc<Shared>,
    connections: Slots<Connection>,
    scratch: Scratch,
    runnable: Vec<usize>,
    /// Bytes of heads and greetings that are held now.
    held: usize,
    dials: Arc<Pool>,
    requests: Arc<Pool>,
}

impl Serving {
    pub(crate) fn new(listener: UnixListener, poller: Poller, shared: Arc<Shared>) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        // A longer queue than the standard library asks for; the kernel cuts it to its own limit.
        rustix::net::listen(&listener, 1024)?;
        poller.watch_level(&listener, LISTENER)?;
        poller.watch_level(&shared.waker, WAKE)?;
        let limits = shared.limits;
        Ok(Self {
            listener,
            poller,
            connections: Slots::new(),
            scratch: Scratch::new(),
            runnable: Vec::new(),
            held: 0,
            dials: Pool::new("proxy-dial", limits.dials, DIALS_WAITING),
            requests: Pool::new("proxy-request", limits.requests, REQUESTS_WAITING),
            shared,
        })
    }

    pub(crate) fn run(&mut self) -> io::Result<()> {
        let result = self.serve();
        self.dials.stop();
        self.requests.stop();
        result
    }

    fn serve(&mut self) -> io::Result<()> {
        let mut ready = Vec::new();
        let mut next_tick = Instant::now() + TICK;
        loop {
            let timeout = if !self.runnable.is_empty() {
                Some(Duration::ZERO)
            } else if self.connections.len() > 0 {
                Some(TICK)
            } else {
                // Idle: no wake-ups at all.
                None
            };
            ready.clear();
            self.poller.wait(timeout, &mut ready)?;
            if self.shared.stopping.load(Ordering::SeqCst) {
                return Ok(());
            }
            let now = Instant::now();
            for event in &ready {
                match event.token {
                    WAKE => self.take_back(now),
                    LISTENER => self.accept(now),
                    _ => self.note(*event),
                }
            }
            for slot in std::mem::take(&mut self.runnable) {
                self.advance(slot, now);
            }
            if now >= next_tick {
                next_tick = now + TICK;
                self.close_overdue(now);
            }
            self.shared.watched.store(self.connections.len(), Ordering::Relaxed);
        }
    }

    fn note(&mut self, event: Ready) {
        let slot = (event.token / 2) as usize;
        if let Some(connection) = self.connections.get_mut(slot) {
            if let Connection::Tunnel { pair, .. } = connection {
                pair.ready((event.token % 2) as usize, event.readable, event.writable);
            }
            self.runnable.push(slot);
        }
    }

    fn accept(&mut self, now: Instant) {
        // One at a time: the listener is level-triggered, so what is left comes with the next wait, after other work.
        match rustix::net::accept_with(&self.listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(client) => {
                let places = self.connections.len() + self.shared.busy.load(Ordering::Relaxed);
                if places < self.shared.limits.connections || self.make_room() {
                    let until = now + self.shared.limits.head;
                    self.insert(Connection::Reading { client, bytes: Vec::new(), until });
                }
            }
            Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                // Without room for one more the listener would be ready for ever: give one up, or pause.
                if !self.make_room() {
                    thread::sleep(Duration::from_millis(10));
                }
            }
            Err(_) => {}
        }
    }

    /// Closes the connection that is nearest to its deadline; one that was admitted keeps its place.
    fn make_room(&mut self) -> bool {
        let oldest = self
            .connections
            .iter()
            .filter_map(|(slot, connection)| match connection {
                Connection::Greeting { greeter, .. } if greeter.is_admitted() => None,
                Connection::Reading { until, .. }
                | Connection::Greeting { until, .. }
                | Connection::Parting { until, .. } => Some((*until, slot)),
                Connection::Tunnel { .. } => None,
            })
            .min();
        oldest.is_some_and(|(_, slot)| self.take(slot).is_some())
    }

    /// Takes a connection out, and its bytes from the account.
    fn take(&mut self, slot: usize) -> Option<Connection> {
        let connection = self.connections.remove(slot)?;
        self.held = self.held.saturating_sub(connection.held());
        Some(connection)
    }

    /// Watches a connection and gives it its first turn. One that cannot be watched is closed.
    fn insert(&mut self, connection: Connection) {
        let slot = self.connections.next() as u64;
        let watch = |[first, second]: [&OwnedFd; 2]| {
            self.poller.watch(first, 2 * slot)?;
            self.poller.watch(second, 2 * slot + 1)
        };
        let watched = match &connection {
            Connection::Reading { client, .. } | Connection::Parting { client, .. } => {
                self.poller.watch(client, 2 * slot)
            }
            Connection::Greeting { greeter, .. } => watch(greeter.ends()),
            Connection::Tunnel { pair, .. } => watch([pair.end(0), pair.end(1)]),
        };
        if watched.is_ok() {
            self.held += connection.held();
            let slot = self.connections.insert(connection);
            self.runnable.push(slot);
        }
    }

    /// Connections that jobs have given back.
    fn take_back(&mut self, now: Instant) {
        self.shared.waker.clear();
        let inbox = std::mem::take(&mut *self.shared.inbox.lock().unwrap_or_else(PoisonError::into_inner));
        for connection in inbox {
            match connection {
                Handoff::Greeting { client, upstream, bytes, record } => {
                    let until = now + self.shared.limits.head;
                    let host = record.target.host.clone();
                    let (greeter, outcome) = Greeter::new(client, upstream, host, &bytes);
                    match outcome {
                        Ok(()) => self.insert(Connection::Greeting { greeter, until, record }),
                        Err(error) => {
                            let reason = reason_of(&error, &record.target);
                            self.refuse_greeting(greeter, record, reason, now);
                        }
                    }
                }
                Handoff::Tunnel { client, upstream, bytes, record } => {
                    let pair = Pair::new([client, upstream], [bytes, Vec::new()], [0; 2], now);
                    self.insert(Connection::Tunnel { pair, record });
                }
                Handoff::Parting { client } => self.part(client, now),
            }
        }
    }

    fn advance(&mut self, slot: usize, now: Instant) {
        match self.connections.get_mut(slot) {
            None => {}
            Some(Connection::Tunnel { pair, .. }) => match pair.drive(&mut self.scratch, now) {
                Progress::Waiting => {}
                Progress::Again => self.runnable.push(slot),
                Progress::Finished => self.close(slot),
            },
            Some(Connection::Reading { client, bytes, .. }) => {
                let before = bytes.len();
                let read = read_until(client, bytes, PREAMBLE + HEAD_MAX, head_is_whole);
                self.held += bytes.len() - before;
                match read {
                    Read::More => self.stay_within_bounds(),
                    Read::Gone => self.close(slot),
                    Read::Enough => self.dispatch(slot, now),
                }
            }
            Some(Connection::Greeting { greeter, record, .. }) => {
                let before = greeter.held();
                let outcome = greeter.drive();
                self.held = (self.held + greeter.held()).saturating_sub(before);
                match outcome {
                    Outcome::Waiting => self.stay_within_bounds(),
                    Outcome::Again => self.runnable.push(slot),
                    Outcome::Begun => self.admit(slot, now),
                    Outcome::Done => self.join(slot, now),
                    Outcome::Ended => self.end_greeting(slot, now),
                    Outcome::Refused(error) => {
                        let reason = reason_of(&error, &record.target);
                        self.refuse(slot, reason, now);
                    }
                }
            }
            Some(Connection::Parting { client, .. }) => {
                let mut sink = [0; 4096];
                for _ in 0..16 {
                    match rustix::net::recv(&*client, &mut sink, RecvFlags::DONTWAIT) {
                        Ok((_, 1..)) => {}
                        Err(Errno::AGAIN) => return,
                        _ => return self.close(slot),
                    }
                }
                self.runnable.push(slot);
            }
        }
    }

    /// Gives up those that have waited longest while too many bytes are held.
    fn stay_within_bounds(&mut self) {
        while self.held > HELD && self.make_room() {}
    }

    /// The head is whole: a job takes the connection.
    fn dispatch(&mut self, slot: usize, now: Instant) {
        let Some(Connection::Reading { client, bytes, .. }) = self.take(slot) else { return };
        self.poller.forget(&client);
        let (first, head) = (bytes[0..PREAMBLE].try_into().unwrap_or([0, 0]), &bytes[PREAMBLE..]);
        let Some(preamble) = Preamble::decode(first) else { return };
        let pool = if head.starts_with(b"CONNECT ") { &self.dials } else { &self.requests };
        if !pool.has_room() {
            let reason = "too many requests at once; try again";
            let mut note = Note::new(Event::Malformed, &"", false);
            reason.clone_into(&mut note.reason);
            // It is refused whether or not that can be recorded.
            let _ = self.shared.record(&note);
            let text = answer(503, reason);
            // The client may be gone; a new socket has room for so few bytes.
            let _ = rustix::net::send(&client, &text, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
            let _ = rustix::net::shutdown(&client, Shutdown::Write);
            self.insert(Connection::Parting { client, until: now + PART });
            return;
        }
        // Without a second descriptor for it the connection is closed.
        if let Ok(in_hand) = InHand::new(&self.shared, client) {
            let head = head.to_vec();
            pool.submit(move || in_hand.run(preamble, &head));
        }
    }

    /// The first hello is right: that is recorded, and it goes on.
    fn admit(&mut self, slot: usize, now: Instant) {
        let Some(Connection::Greeting { greeter, until, record }) = self.connections.get_mut(slot) else {
            return;
        };
        if self.shared.record(&record.note(Event::Connect, true)).is_err() {
            return self.refuse(slot, "the decision cannot be recorded".into(), now);
        }
        greeter.admit();
        *until = now + ANSWER;
        self.runnable.push(slot);
    }

    /// The server has answered: from now on the tunnel is bytes.
    fn join(&mut self, slot: usize, now: Instant) {
        let Some(Connection::Greeting { greeter, record, .. }) = self.take(slot) else { return };
        for end in greeter.ends() {
            self.poller.forget(end);
        }
        self.insert(Connection::Tunnel { pair: greeter.into_pair(now), record });
    }

    /// One side has gone before there was a tunnel.
    fn end_greeting(&mut self, slot: usize, now: Instant) {
        let Some(Connection::Greeting { greeter, record, .. }) = self.take(slot) else { return };
        if greeter.is_admitted() {
            self.record_end(&record, greeter.bytes());
        }
        self.part(greeter.into_client(), now);
    }

    /// What is said in the tunnel is refused.
    fn refuse(&mut self, slot: usize, reason: String, now: Instant) {
        if let Some(Connection::Greeting { greeter, record, .. }) = self.take(slot) {
            self.refuse_greeting(greeter, record, reason, now);
        }
    }

    fn refuse_greeting(&mut self, greeter: Greeter, mut record: Record, reason: String, now: Instant) {
        record.reason = reason;
        // It is refused whether or not that can be recorded.
        let _ = self.shared.record(&record.note(Event::Connect, false));
        let speaks_tls = greeter.speaks_tls();
        let client = greeter.into_client();
        if speaks_tls {
            let _ = rustix::net::send(&client, &ACCESS_DENIED, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        }
        self.part(client, now);
    }

    /// All is said; the client may read it.
    fn part(&mut self, client: OwnedFd, now: Instant) {
        self.poller.forget(&client);
        // The end is part of what the client waits for; it may be gone already.
        let _ = rustix::net::shutdown(&client, Shutdown::Write);
        self.insert(Connection::Parting { client, until: now + PART });
    }

    fn record_end(&self, record: &Record, [sent, received]: [u64; 2]) {
        let mut note = record.note(Event::Closed, true);
        note.sent = Some(sent);
        note.received = Some(received);
        note.milliseconds = u64::try_from(record.since.elapsed().as_millis()).ok();
        // The connection was allowed and recorded as such; it is over either way.
        let _ = self.shared.record(&note);
    }

    fn close(&mut self, slot: usize) {
        if let Some(Connection::Tunnel { mut pair, record }) = self.take(slot) {
            pair.release(&mut self.scratch);
            self.record_end(&record, pair.bytes());
        }
    }

    fn close_overdue(&mut self, now: Instant) {
        let idle = self.shared.limits.tunnel;
        let overdue: Vec<usize> = self
            .connections
            .iter()
            .filter(|(_, connection)| match connection {
                Connection::Reading { until, .. }
                | Connection::Greeting { until, .. }
                | Connection::Parting { until, .. } => *until <= now,
                Connection::Tunnel { pair, .. } => {
                    now.saturating_duration_since(pair.moved()) >= idle
                        || pair.leave_at().is_some_and(|at| at <= now)
                }
            })
            .map(|(slot, _)| slot)
            .collect();
        for slot in overdue {
            match self.connections.get_mut(slot) {
                Some(Connection::Greeting { greeter, .. }) => {
                    let reason = if greeter.is_admitted() {
                        "the server did not answer TLS in time"
                    } else {
                        "no TLS was begun in the tunnel in time"
                    };
                    self.refuse(slot, reason.into(), now);
                }
                _ => self.close(slot),
            }
        }
    }
}

/// Why a greeting is refused, with what would help.
fn reason_of(error: &GreetingError, target: &Target) -> String {
    match error {
        GreetingError::Hello(HelloError::NotTls) => format!("{error}; a rule `tcp:{target}` would allow it"),
        _ => error.to_string(),
    }
}

/// Reads what is there, until `enough` (given the bytes and how many were there before) or `limit`.
fn read_until(
    client: &OwnedFd,
    bytes: &mut Vec<u8>,
    limit: usize,
    enough: impl Fn(&[u8], usize) -> bool,
) -> Read {
    let mut piece = [0; 4096];
    loop {
        let before = bytes.len();
        match rustix::net::recv(client, &mut piece, RecvFlags::DONTWAIT) {
            Ok((_, 0)) => return Read::Gone,
            Ok((_, count)) => bytes.extend_from_slice(&piece[..count]),
            Err(Errno::AGAIN) => return Read::More,
            Err(Errno::INTR) => continue,
            Err(_) => return Read::Gone,
        }
        if bytes.len() >= limit || enough(bytes, before) {
            return Read::Enough;
        }
    }
}

/// Whether preamble and head have come, or cannot be right whatever comes. Looks only at what is new.
fn head_is_whole(bytes: &[u8], before: usize) -> bool {
    let Some(head) = bytes.get(PREAMBLE..) else { return false };
    if Preamble::decode([bytes[0], bytes[1]]).is_none()
        || head.first().is_some_and(|byte| !byte.is_ascii_uppercase())
    {
        return !head.is_empty();
    }
    let from = before.saturating_sub(PREAMBLE + 3);
    head.get(from..).is_some_and(|new| new.windows(4).any(|window| window == b"\r\n\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_head_is_found_at_any_cut() {
        let text = b"\x01\x00GET / HTTP/1.1\r\nHost: a\r\n\r\nbody";
        let end = text.len() - 4;
        for cut in 0..text.len() {
            for before in 0..=cut {
                // As if the bytes had come in two pieces, the first without an end.
                if before < end {
                    assert_eq!(head_is_whole(&text[..cut], before), cut >= end, "{before} {cut}");
                }
            }
        }
        assert!(head_is_whole(b"\x03\x00GET", 0));
        assert!(head_is_whole(b"\x01\x00\x16", 0));
        assert!(!head_is_whole(b"\x01\x00", 0));
        assert!(!head_is_whole(b"\x01", 0));
    }
}
