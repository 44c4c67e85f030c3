//! The relay's event loop: connections on their way to the other end, those that are through, and refused ones that read why.

use std::io;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::SendFlags;
use rustix::net::SocketFlags;

use super::LISTENERS;
use super::Preamble;
use super::Relay;
use super::STOP;
use super::upstream;
use super::upstream::Way;
use crate::events::end::End;
use crate::events::poll::Ready;
use crate::events::poll::Slots;
use crate::events::pump::Pair;
use crate::events::pump::Progress;
use crate::events::pump::Scratch;
use crate::tls::PROTOCOL;
use crate::wire::preamble::Proven;

/// How long a connection may wait for room in the supervisor's queue, or for an address of the proxy that is reached.
const QUEUE: Duration = Duration::from_secs(5);
/// How long one address may take for a connection and its TLS.
const ATTEMPT: Duration = Duration::from_secs(3);
/// How often deadlines are looked at.
const TICK: Duration = Duration::from_secs(1);
/// How often a connection that waits for room is tried again.
const RETRY: Duration = Duration::from_millis(10);
/// A connection that had an answer and was silent for so long may be closed to make room.
const STALE: Duration = Duration::from_secs(60);

/// Refused clients kept for a moment; older ones are closed at once.
const PARTING: usize = 128;

const GONE: &[u8] = b"HTTP/1.1 502 Bad Gateway\r\n\
    Content-Type: text/plain\r\nConnection: close\r\nContent-Length: 72\r\n\r\n\
    pinfold: the supervisor's proxy is gone, so nothing leaves this sandbox\n";
const UNREACHED: &[u8] = b"HTTP/1.1 502 Bad Gateway\r\n\
    Content-Type: text/plain\r\nConnection: close\r\nContent-Length: 67\r\n\r\n\
    pinfold: the proxy is not reached, so nothing leaves this sandbox.\n";

/// A client that waits for room in the supervisor's queue, or for its turn at an address.
#[derive(Debug)]
struct Waiting {
    client: OwnedFd,
    preamble: Preamble,
    until: Instant,
}

/// A connection of the relay.
#[derive(Debug)]
enum Connection {
    /// The proxy's address is being reached; nothing of the client was read yet.
    Opening { waiting: Waiting, upstream: End, number: usize, since: Instant },
    /// Bytes go both ways.
    Through(Pair),
}

impl Connection {
    /// When it last moved, if it has had no answer yet.
    fn unanswered(&self) -> Option<Instant> {
        match self {
            Self::Opening { since, .. } => Some(*since),
            Self::Through(pair) => (pair.bytes()[1] == 0).then(|| pair.moved()),
        }
    }
}

#[derive(Debug)]
pub(super) struct Serving {
    relay: Relay,
    connections: Slots<Connection>,
    queue: Vec<Waiting>,
    /// Refused clients and when to close them, oldest first.
    parting: Vec<(OwnedFd, Instant)>,
    scratch: Scratch,
    runnable: Vec<usize>,
}

impl Serving {
    pub(super) fn new(relay: Relay) -> Self {
        Self {
            relay,
            connections: Slots::new(),
            queue: Vec::new(),
            parting: Vec::new(),
            scratch: Scratch::new(),
            runnable: Vec::new(),
        }
    }

    pub(super) fn run(&mut self) -> io::Result<()> {
        let mut ready = Vec::new();
        let mut next_tick = Instant::now() + TICK;
        loop {
            let timeout = if !self.runnable.is_empty() {
                Some(Duration::ZERO)
            } else if !self.queue.is_empty() {
                Some(RETRY)
            } else if self.connections.len() > 0 || !self.parting.is_empty() {
                Some(TICK)
            } else {
                // Idle: no wake-ups at all.
                None
            };
            ready.clear();
            self.relay.poller.wait(timeout, &mut ready)?;
            let now = Instant::now();
            for event in &ready {
                match event.token {
                    STOP => {
                        self.relay.stop.clear();
                        return Ok(());
                    }
                    token if token >= LISTENERS => self.accept((token - LISTENERS) as usize, now),
                    _ => self.note(*event),
                }
            }
            for slot in std::mem::take(&mut self.runnable) {
                self.drive(slot, now);
            }
            for waiting in std::mem::take(&mut self.queue) {
                self.connect(waiting, now);
            }
            if now >= next_tick {
                next_tick = now + TICK;
                self.close_overdue(now);
            }
        }
    }

    fn note(&mut self, event: Ready) {
        let slot = (event.token / 2) as usize;
        if let Some(connection) = self.connections.get_mut(slot) {
            if let Connection::Through(pair) = connection {
                pair.ready((event.token % 2) as usize, event.readable, event.writable);
            }
            self.runnable.push(slot);
        }
    }

    fn drive(&mut self, slot: usize, now: Instant) {
        match self.connections.get_mut(slot) {
            None => {}
            Some(Connection::Through(pair)) => match pair.drive(&mut self.scratch, now) {
                Progress::Waiting => {}
                Progress::Again => self.runnable.push(slot),
                Progress::Finished => self.close(slot),
            },
            Some(Connection::Opening { upstream, .. }) => match upstream.shake() {
                Ok(false) => {}
                Ok(true) if upstream.session().is_some_and(|session| session.speaks(PROTOCOL)) => {
                    self.opened(slot, now);
                }
                Ok(true) | Err(_) => self.not_opened(slot, now),
            },
        }
    }

    /// The proxy is there: the preamble goes ahead, and then the client's bytes.
    fn opened(&mut self, slot: usize, now: Instant) {
        let Some(Connection::Opening { waiting, upstream, number, .. }) = self.connections.remove(slot)
        else {
            return;
        };
        self.relay.poller.forget(upstream.socket());
        let Way::Proxy(proxy) = &mut self.relay.way else { return };
        proxy.reached(number);
        let proven = Proven { preamble: waiting.preamble, token: proxy.token.clone() };
        self.join(waiting.client, upstream, proven.encode().to_vec(), now);
    }

    /// The next address, or the same one later.
    fn not_opened(&mut self, slot: usize, now: Instant) {
        if let Some(Connection::Opening { waiting, number, .. }) = self.connections.remove(slot) {
            if let Way::Proxy(proxy) = &mut self.relay.way {
                proxy.failed(number, now);
            }
            self.queue.push(waiting);
        }
    }

    fn close(&mut self, slot: usize) {
        if let Some(Connection::Through(mut pair)) = self.connections.remove(slot) {
            pair.release(&mut self.scratch);
        }
    }

    fn accept(&mut self, number: usize, now: Instant) {
        let Some((preamble, listener)) = self.relay.listeners.get(number) else { return };
        let preamble = *preamble;
        // One at a time: the listener is level-triggered, so what is left comes with the next wait, after other work.
        match rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(client) => {
                // Small writes of the agent are to leave at once; a failure only costs latency, and a Unix socket does so anyway.
                let _ = rustix::net::sockopt::set_tcp_nodelay(&client, true);
                let places = self.relay.limits.connections;
                if self.connections.len() + self.queue.len() >= places && !self.make_room(now) {
                    return;
                }
                self.connect(Waiting { client, preamble, until: now + QUEUE }, now);
            }
            Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                // Without room for one more the listener would be ready for ever: give one up, or pause.
                if !self.make_room(now) {
                    thread::sleep(RETRY);
                }
            }
            Err(_) => {}
        }
    }

    /// Closes the connection that has waited longest without an answer, or one that is long silent.
    fn make_room(&mut self, now: Instant) -> bool {
        let unanswered = self
            .connections
            .iter()
            .filter_map(|(slot, connection)| Some((connection.unanswered()?, slot)))
            .min();
        let stale = || {
            self.connections
                .iter()
                .filter_map(|(slot, connection)| match connection {
                    Connection::Through(pair) => Some((pair.moved(), slot)),
                    Connection::Opening { .. } => None,
                })
                .filter(|(moved, _)| now.saturating_duration_since(*moved) >= STALE)
                .min()
        };
        match unanswered.or_else(stale) {
            Some((_, slot)) => {
                self.close(slot);
                true
            }
            None => false,
        }
    }

    fn connect(&mut self, waiting: Waiting, now: Instant) {
        match &mut self.relay.way {
            Way::Socket(socket) => match upstream::open(socket) {
                Ok(upstream) => {
                    // A new socket has room for two bytes; if they do not fit, the peer is gone.
                    let preamble = waiting.preamble.encode();
                    if rustix::net::send(&upstream, &preamble, SendFlags::NOSIGNAL) == Ok(preamble.len()) {
                        self.join(waiting.client, upstream.into(), Vec::new(), now);
                    } else {
                        self.refuse(waiting.client, now);
                    }
                }
                Err(Errno::AGAIN) if now < waiting.until => self.queue.push(waiting),
                Err(_) => self.refuse(waiting.client, now),
            },
            Way::Proxy(_) if now >= waiting.until => self.refuse(waiting.client, now),
            Way::Proxy(proxy) => {
                // While all of them rest it waits.
                let Some(number) = proxy.choose(now) else { return self.queue.push(waiting) };
                if let Ok(upstream) = proxy.dial(number) {
                    self.begin(waiting, upstream, number, now);
                } else {
                    proxy.failed(number, now);
                    self.queue.push(waiting);
                }
            }
        }
    }

    /// Watches a connection that is being opened. One that cannot be watched is closed.
    fn begin(&mut self, waiting: Waiting, upstream: End, number: usize, now: Instant) {
        let slot = self.connections.next() as u64;
        if self.relay.poller.watch(upstream.socket(), 2 * slot + 1).is_ok() {
            let opening = Connection::Opening { waiting, upstream, number, since: now };
            let slot = self.connections.insert(opening);
            self.runnable.push(slot);
        }
    }

    /// The client is told, and kept for a moment: closing a socket at once, with bytes unread, would reset it, and the
    /// answer might be lost.
    fn refuse(&mut self, client: OwnedFd, now: Instant) {
        let why = match self.relay.way {
            Way::Socket(_) => GONE,
            Way::Proxy(_) => UNREACHED,
        };
        if tell(&client, why) {
            if self.parting.len() >= PARTING {
                self.parting.remove(0);
            }
            self.parting.push((client, now + TICK));
        }
    }

    /// Passes bytes both ways; `first` goes ahead of the client's.
    fn join(&mut self, client: OwnedFd, upstream: End, first: Vec<u8>, now: Instant) {
        let slot = self.connections.next() as u64;
        let poller = &self.relay.poller;
        let watched =
            poller.watch(&client, 2 * slot).and_then(|()| poller.watch(upstream.socket(), 2 * slot + 1));
        if watched.is_ok() {
            let pair = Pair::new([client.into(), upstream], [first, Vec::new()], [0; 2], now);
            let slot = self.connections.insert(Connection::Through(pair));
            self.runnable.push(slot);
        }
    }

    fn close_overdue(&mut self, now: Instant) {
        self.parting.retain(|(_, at)| *at > now);
        let mut late = Vec::new();
        let mut overdue = Vec::new();
        for (slot, connection) in self.connections.iter() {
            match connection {
                Connection::Opening { since, .. } if now.saturating_duration_since(*since) >= ATTEMPT => {
                    late.push(slot);
                }
                Connection::Through(pair)
                    if now.saturating_duration_since(pair.moved()) >= self.relay.limits.idle
                        || pair.leave_at().is_some_and(|at| at <= now) =>
                {
                    pair.cut();
                    overdue.push(slot);
                }
                _ => {}
            }
        }
        for slot in overdue {
            self.close(slot);
        }
        for slot in late {
            self.not_opened(slot, now);
        }
    }
}

/// Tells a client that there is no way out. False when it is gone already.
fn tell(client: &OwnedFd, why: &[u8]) -> bool {
    rustix::net::send(client, why, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).is_ok()
        && rustix::net::shutdown(client, rustix::net::Shutdown::Write).is_ok()
}
