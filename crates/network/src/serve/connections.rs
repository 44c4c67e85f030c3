//! The proxy's event loop: connections that wait for a head or greet in TLS, tunnels, and partings.
//!
//! A connection is in one of five states, or in the hands of a job ([`crate::serve::job`]):
//!
//! ```text
//!   Shaking ─► Reading ─(known, head whole)─► job ─┬─► Greeting ─(names are right, server has answered)─► Tunnel ─► closed
//!   (TLS)                                          ├─► Tunnel                    (`tcp:` rules)
//!                                                  └─► Parting ─► closed         (refused, or one request done)
//! ```
//!
//! Every state but Tunnel has a deadline of seconds, so connections that say nothing cannot hold a place; and when all
//! places are taken, the oldest connection that has not finished its head gives up its place to the new one. So it is with
//! hand-shakes, of which there may be fewer. A proxy for many has several loops: the first takes connections and deals them out.
//! When lists are read anew, every loop looks at its connections: who is not known any more, or may not reach what its tunnel leads to,
//! loses them.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::authority::Target;
use rustix::io::Errno;
use rustix::net::SocketFlags;

use crate::events::end::Came;
use crate::events::end::End;
use crate::events::end::Ending;
use crate::events::end::Flushed;
use crate::events::end::tune;
use crate::events::poll::Poller;
use crate::events::poll::Ready;
use crate::events::poll::Slots;
use crate::events::pump::Pair;
use crate::events::pump::Progress;
use crate::events::pump::Scratch;
use crate::events::session::Session;
use crate::serve::Listener;
use crate::serve::Pools;
use crate::serve::Shared;
use crate::serve::greet::Greeter;
use crate::serve::greet::Outcome;
use crate::serve::job::InHand;
use crate::serve::job::answer;
use crate::serve::journal::Event;
use crate::serve::journal::Note;
use crate::serve::members::Member;
use crate::serve::members::Members;
use crate::serve::members::Seat;
use crate::serve::reading::Read;
use crate::serve::reading::Reading;
use crate::tls::PROTOCOL;
use crate::wire::greeting::GreetingError;
use crate::wire::hello::HelloError;
use crate::wire::preamble::UNKNOWN;

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
/// Why a sandbox loses a connection.
const NOT_ANY_MORE: &str = "the sandbox may not reach it any more";
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

/// A connection that is given to an event loop, by a job or by the one that takes connections.
#[derive(Debug)]
pub(crate) enum Handoff {
    /// Somebody has connected.
    New { socket: OwnedFd, peer: IpAddr },
    /// The client was told that the tunnel is open; it must now greet in TLS with the right name. `bytes` came already.
    Greeting { client: End, seat: Seat, upstream: OwnedFd, bytes: Vec<u8>, record: Record },
    /// Anything may be spoken.
    Tunnel { client: End, seat: Seat, upstream: OwnedFd, bytes: Vec<u8>, record: Record },
    /// All is said, or cut; the client is to read it.
    Parting { client: End, seat: Seat, ending: Ending },
}

#[derive(Debug)]
enum Connection {
    Shaking { client: End, peer: IpAddr, until: Instant },
    Reading(Reading),
    Greeting { greeter: Greeter, seat: Seat, until: Instant, record: Record },
    Tunnel { pair: Pair, seat: Seat, record: Record },
    Parting { client: End, seat: Option<Seat>, ending: Ending, until: Instant },
}

impl Connection {
    /// Bytes held for it before it is served.
    fn held(&self) -> usize {
        match self {
            Self::Shaking { client, .. } => client.held(),
            Self::Reading(reading) => reading.held(),
            Self::Greeting { greeter, .. } => greeter.held(),
            Self::Tunnel { .. } | Self::Parting { .. } => 0,
        }
    }

    /// When it is overdue, unless it was admitted.
    fn until(&self) -> Option<Instant> {
        match self {
            Self::Greeting { greeter, .. } if greeter.is_admitted() => None,
            Self::Shaking { until, .. } | Self::Greeting { until, .. } | Self::Parting { until, .. } => {
                Some(*until)
            }
            Self::Reading(reading) => Some(reading.until),
            Self::Tunnel { .. } => None,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Serving {
    /// Which of the loops it is; the first has the listener until the proxy drains.
    number: usize,
    listener: Option<Listener>,
    poller: Poller,
    shared: Arc<Shared>,
    pools: Pools,
    members: Arc<Members>,
    connections: Slots<Connection>,
    /// Hand-shakes by age: where they are, and their deadlines, by which one that is over is told.
    shaking: VecDeque<(usize, Instant)>,
    scratch: Scratch,
    runnable: Vec<usize>,
    /// Bytes of heads and greetings that are held now.
    held: usize,
    /// Which loop gets the next connection.
    turn: usize,
}

impl Serving {
    pub(crate) fn new(
        number: usize,
        listener: Option<Listener>,
        poller: Poller,
        shared: Arc<Shared>,
        pools: Pools,
    ) -> io::Result<Self> {
        if let Some(listener) = &listener {
            rustix::io::ioctl_fionbio(listener.socket(), true)?;
            // A longer queue than the standard library asks for; the kernel cuts it to its own limit.
            rustix::net::listen(listener.socket(), listener.queue())?;
            poller.watch_level(listener.socket(), LISTENER)?;
        }
        poller.watch_level(&shared.loops[number].waker, WAKE)?;
        Ok(Self {
            number,
            listener,
            poller,
            pools,
            members: shared.members(),
            connections: Slots::new(),
            shaking: VecDeque::new(),
            scratch: Scratch::new(),
            runnable: Vec::new(),
            held: 0,
            turn: 0,
            shared,
        })
    }

    pub(crate) fn run(&mut self) -> io::Result<()> {
        let result = self.serve();
        // One loop that ends ends all.
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.wake();
        self.pools.stop();
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
                    WAKE => self.woken(now),
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
            self.shared.loops[self.number].watched.store(self.connections.len(), Ordering::Relaxed);
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

    fn woken(&mut self, now: Instant) {
        self.shared.loops[self.number].waker.clear();
        if self.shared.draining.load(Ordering::SeqCst) {
            // Closing it refuses who connects from now on, so that they go to another replica.
            self.listener = None;
        }
        let members = self.shared.members();
        if !Arc::ptr_eq(&members, &self.members) {
            self.members = members;
            self.look_again(now);
        }
        self.take_back(now);
    }

    /// Lists were read anew: who is not known any more, or may not do what it does, loses its connections.
    fn look_again(&mut self, now: Instant) {
        let mut lost = Vec::new();
        let slots: Vec<usize> = self.connections.iter().map(|(slot, _)| slot).collect();
        for slot in slots {
            let members = &self.members;
            let stays = match self.connections.get_mut(slot) {
                Some(
                    Connection::Reading(Reading { seat: Some(seat), .. })
                    | Connection::Parting { seat: Some(seat), .. },
                ) => seat.renew(members),
                Some(Connection::Greeting { seat, record, .. } | Connection::Tunnel { seat, record, .. }) => {
                    may_stay(seat, record, members)
                }
                _ => true,
            };
            if !stays {
                lost.push(slot);
            }
        }
        for slot in lost {
            self.lose(slot, now);
        }
    }

    /// Closes a connection that may not stay.
    fn lose(&mut self, slot: usize, now: Instant) {
        match self.connections.get_mut(slot) {
            Some(Connection::Tunnel { pair, record, .. }) => {
                NOT_ANY_MORE.clone_into(&mut record.reason);
                pair.cut();
                self.close(slot);
            }
            Some(Connection::Greeting { .. }) => self.refuse(slot, NOT_ANY_MORE.into(), now),
            _ => self.close(slot),
        }
    }

    fn accept(&mut self, now: Instant) {
        let Some(listener) = &self.listener else { return };
        // One at a time: the listener is level-triggered, so what is left comes with the next wait, after other work.
        match rustix::net::acceptfrom_with(listener.socket(), SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok((socket, peer)) => {
                self.shared.counts.accepted.fetch_add(1, Ordering::Relaxed);
                if self.shared.places_taken() >= self.shared.limits.connections && !self.make_room() {
                    return;
                }
                let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok()).map(|peer| peer.ip());
                match (self.members.only(), peer) {
                    (Some(only), _) => {
                        let seat = Seat::take(only, None, usize::MAX);
                        let until = now + self.shared.limits.head;
                        self.insert(Connection::Reading(Reading::new(socket.into(), None, seat, until)));
                    }
                    (None, Some(peer)) => {
                        tune(&socket);
                        let to = self.turn % self.shared.loops.len();
                        self.turn = to + 1;
                        if to == self.number {
                            self.shake(socket, peer, now);
                        } else {
                            self.shared.hand_off(to, Handoff::New { socket, peer });
                        }
                    }
                    (None, None) => {}
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

    /// TLS begins. There are only so many hand-shakes at once: the oldest gives way.
    fn shake(&mut self, socket: OwnedFd, peer: IpAddr, now: Instant) {
        let most = (self.shared.limits.shakes / self.shared.loops.len()).max(1);
        while self.shaking.len() >= most {
            self.end_oldest_shake();
        }
        let Some(config) = self.shared.server_tls() else { return };
        let Ok(session) = Session::server(config) else { return };
        let until = now + self.shared.limits.head;
        let client = End::encrypted(socket, session);
        let slot = self.connections.next();
        self.insert(Connection::Shaking { client, peer, until });
        self.shaking.push_back((slot, until));
    }

    /// Closes the oldest hand-shake, if the first in the row is one still.
    fn end_oldest_shake(&mut self) {
        let Some((slot, deadline)) = self.shaking.pop_front() else { return };
        let shaking = self.connections.get_mut(slot);
        if matches!(shaking, Some(Connection::Shaking { until, .. }) if *until == deadline) {
            self.shared.counts.shakes_failed.fetch_add(1, Ordering::Relaxed);
            self.close(slot);
        }
    }

    /// Forgets hand-shakes that are over.
    fn forget_shakes(&mut self) {
        while let Some((slot, deadline)) = self.shaking.front().copied() {
            let shaking = self.connections.get_mut(slot);
            if matches!(shaking, Some(Connection::Shaking { until, .. }) if *until == deadline) {
                return;
            }
            self.shaking.pop_front();
        }
    }

    /// Closes the connection that is nearest to its deadline; one that was admitted keeps its place.
    fn make_room(&mut self) -> bool {
        let oldest = self
            .connections
            .iter()
            .filter_map(|(slot, connection)| connection.until().map(|until| (until, slot)))
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
            Connection::Shaking { client, .. }
            | Connection::Reading(Reading { client, .. })
            | Connection::Parting { client, .. } => self.poller.watch(client.socket(), 2 * slot),
            Connection::Greeting { greeter, .. } => watch(greeter.ends()),
            Connection::Tunnel { pair, .. } => watch([pair.end(0), pair.end(1)]),
        };
        if watched.is_ok() {
            self.held += connection.held();
            if matches!(connection, Connection::Tunnel { .. }) {
                self.shared.counts.tunnels.fetch_add(1, Ordering::Relaxed);
            }
            let slot = self.connections.insert(connection);
            self.runnable.push(slot);
        }
    }

    /// Connections that jobs have given back, or that were taken for this loop.
    fn take_back(&mut self, now: Instant) {
        let inbox = self.shared.loops[self.number].take_inbox();
        for connection in inbox {
            match connection {
                Handoff::New { socket, peer } => self.shake(socket, peer, now),
                Handoff::Greeting { client, mut seat, upstream, bytes, record } => {
                    let until = now + self.shared.limits.head;
                    let host = record.target.host.clone();
                    let stays = may_stay(&mut seat, &record, &self.members);
                    let (greeter, outcome) = Greeter::new(client, upstream, host, &bytes);
                    match outcome {
                        _ if !stays => self.refuse_greeting(greeter, seat, record, NOT_ANY_MORE.into(), now),
                        Ok(()) => self.insert(Connection::Greeting { greeter, seat, until, record }),
                        Err(error) => {
                            let reason = reason_of(&error, &record.target);
                            self.refuse_greeting(greeter, seat, record, reason, now);
                        }
                    }
                }
                Handoff::Tunnel { client, mut seat, upstream, bytes, record } => {
                    let stays = may_stay(&mut seat, &record, &self.members);
                    let pair = Pair::new([client, upstream.into()], [bytes, Vec::new()], [0; 2], now);
                    let slot = self.connections.next();
                    self.insert(Connection::Tunnel { pair, seat, record });
                    if !stays {
                        self.lose(slot, now);
                    }
                }
                Handoff::Parting { client, seat, ending } => self.part(client, Some(seat), ending, now),
            }
        }
    }

    fn advance(&mut self, slot: usize, now: Instant) {
        match self.connections.get_mut(slot) {
            None => {}
            Some(Connection::Tunnel { pair, seat, .. }) => {
                let before = pair.bytes();
                let progress = pair.drive(&mut self.scratch, now);
                let after = pair.bytes();
                seat.member().policy.counts.add_bytes(after[0] - before[0], after[1] - before[1]);
                match progress {
                    Progress::Waiting => {}
                    Progress::Again => self.runnable.push(slot),
                    Progress::Finished => self.close(slot),
                }
            }
            Some(Connection::Shaking { client, .. }) => {
                let before = client.held();
                let shaken = client.shake();
                self.held = (self.held + client.held()).saturating_sub(before);
                match shaken {
                    Ok(true) => self.shaken(slot, now),
                    Ok(false) => self.stay_within_bounds(),
                    Err(_) => {
                        self.shared.counts.shakes_failed.fetch_add(1, Ordering::Relaxed);
                        self.close(slot);
                    }
                }
            }
            Some(Connection::Reading(reading)) => {
                let before = reading.held();
                let read = reading.advance(&self.shared);
                self.held = (self.held + reading.held()).saturating_sub(before);
                match read {
                    Read::More => self.stay_within_bounds(),
                    Read::Gone => self.close(slot),
                    Read::Whole => self.dispatch(slot, now),
                    Read::Unknown => self.turn_away(slot, now),
                    Read::Crowded => self.turn_away_crowd(slot, now),
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
            Some(Connection::Parting { client, ending, .. }) => {
                // Once all of it is out the end is told; before, there is nothing to do but to wait.
                if client.unsent() > 0 && client.finish(*ending) == Flushed::Refused {
                    return self.close(slot);
                }
                let mut sink = [0; 4096];
                for _ in 0..16 {
                    match client.receive(&mut sink) {
                        Came::Bytes(_) => {}
                        Came::Nothing => return,
                        Came::Ended | Came::Broken => return self.close(slot),
                    }
                }
                self.runnable.push(slot);
            }
        }
    }

    /// TLS is spoken: now the preamble is awaited.
    fn shaken(&mut self, slot: usize, now: Instant) {
        let Some(Connection::Shaking { client, peer, .. }) = self.take(slot) else { return };
        self.forget_shakes();
        if !client.session().is_some_and(|session| session.speaks(PROTOCOL)) {
            self.shared.counts.shakes_failed.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.poller.forget(client.socket());
        let until = now + self.shared.limits.head;
        self.insert(Connection::Reading(Reading::new(client, Some(peer), None, until)));
    }

    /// Nobody has this token, or not there.
    fn turn_away(&mut self, slot: usize, now: Instant) {
        let Some(Connection::Reading(Reading { mut client, peer, .. })) = self.take(slot) else { return };
        self.shared.record_unknown(peer, now);
        // The client may be gone; a new socket has room for so few bytes.
        let _ = client.send(&answer(403, UNKNOWN));
        self.part(client, None, Ending::Whole, now);
    }

    /// The sandbox has as many connections as one may have.
    fn turn_away_crowd(&mut self, slot: usize, now: Instant) {
        let Some(Connection::Reading(Reading { mut client, .. })) = self.take(slot) else { return };
        self.shared.counts.crowded.fetch_add(1, Ordering::Relaxed);
        let _ = client.send(&answer(503, "this sandbox has too many connections; try again"));
        self.part(client, None, Ending::Whole, now);
    }

    /// Gives up those that have waited longest while too many bytes are held.
    fn stay_within_bounds(&mut self) {
        while self.held > HELD && self.make_room() {}
    }

    /// The head is whole: a job takes the connection.
    fn dispatch(&mut self, slot: usize, now: Instant) {
        let Some(Connection::Reading(reading)) = self.take(slot) else { return };
        let Reading { mut client, seat: Some(seat), preamble: Some(preamble), bytes, .. } = reading else {
            return;
        };
        self.poller.forget(client.socket());
        let owner = seat.member().sandbox.number;
        let pool = if bytes.starts_with(b"CONNECT ") { &self.pools.dials } else { &self.pools.requests };
        if !pool.has_room(owner) {
            let reason = "too many requests at once; try again";
            let mut note = Note::new(Event::Malformed, &"", false);
            reason.clone_into(&mut note.reason);
            // It is refused whether or not that can be recorded.
            let _ = self.shared.record(&note, seat.member());
            // The client may be gone; a new socket has room for so few bytes.
            let _ = client.send(&answer(503, reason));
            self.part(client, Some(seat), Ending::Whole, now);
            return;
        }
        // Without a second descriptor for it the connection is closed.
        if let Ok(in_hand) = InHand::new(&self.shared, self.number, client, seat) {
            pool.submit(owner, move || in_hand.run(preamble, &bytes));
        }
    }

    /// The first hello is right: that is recorded, and it goes on.
    fn admit(&mut self, slot: usize, now: Instant) {
        let Some(Connection::Greeting { greeter, seat, until, record }) = self.connections.get_mut(slot)
        else {
            return;
        };
        if self.shared.record(&record.note(Event::Connect, true), seat.member()).is_err() {
            return self.refuse(slot, "the decision cannot be recorded".into(), now);
        }
        greeter.admit();
        *until = now + ANSWER;
        self.runnable.push(slot);
    }

    /// The server has answered: from now on the tunnel is bytes.
    fn join(&mut self, slot: usize, now: Instant) {
        let Some(Connection::Greeting { greeter, seat, record, .. }) = self.take(slot) else { return };
        for end in greeter.ends() {
            self.poller.forget(end);
        }
        let [sent, received] = greeter.bytes();
        seat.member().policy.counts.add_bytes(sent, received);
        self.insert(Connection::Tunnel { pair: greeter.into_pair(now), seat, record });
    }

    /// One side has gone before there was a tunnel.
    fn end_greeting(&mut self, slot: usize, now: Instant) {
        let Some(Connection::Greeting { greeter, seat, record, .. }) = self.take(slot) else { return };
        if greeter.is_admitted() {
            self.record_end(&record, seat.member(), greeter.bytes());
        }
        self.part(greeter.into_client(), Some(seat), Ending::Whole, now);
    }

    /// What is said in the tunnel is refused.
    fn refuse(&mut self, slot: usize, reason: String, now: Instant) {
        if let Some(Connection::Greeting { greeter, seat, record, .. }) = self.take(slot) {
            self.refuse_greeting(greeter, seat, record, reason, now);
        }
    }

    fn refuse_greeting(
        &mut self,
        greeter: Greeter,
        seat: Seat,
        mut record: Record,
        reason: String,
        now: Instant,
    ) {
        record.reason = reason;
        // It is refused whether or not that can be recorded.
        let _ = self.shared.record(&record.note(Event::Connect, false), seat.member());
        let speaks_tls = greeter.speaks_tls();
        let mut client = greeter.into_client();
        if speaks_tls {
            let _ = client.send(&ACCESS_DENIED);
        }
        self.part(client, Some(seat), Ending::Whole, now);
    }

    /// All is said; the client may read it.
    fn part(&mut self, mut client: End, seat: Option<Seat>, ending: Ending, now: Instant) {
        self.poller.forget(client.socket());
        // The end is part of what the client waits for; it may be gone already.
        let _ = client.finish(ending);
        self.insert(Connection::Parting { client, seat, ending, until: now + PART });
    }

    fn record_end(&self, record: &Record, member: &Member, [sent, received]: [u64; 2]) {
        let mut note = record.note(Event::Closed, true);
        note.sent = Some(sent);
        note.received = Some(received);
        note.milliseconds = u64::try_from(record.since.elapsed().as_millis()).ok();
        // The connection was allowed and recorded as such; it is over either way.
        let _ = self.shared.record(&note, member);
    }

    fn close(&mut self, slot: usize) {
        if let Some(Connection::Tunnel { mut pair, seat, record }) = self.take(slot) {
            self.shared.counts.tunnels.fetch_sub(1, Ordering::Relaxed);
            pair.release(&mut self.scratch);
            self.record_end(&record, seat.member(), pair.bytes());
        }
    }

    fn close_overdue(&mut self, now: Instant) {
        let idle = self.shared.limits.tunnel;
        let mut overdue = Vec::new();
        for (slot, connection) in self.connections.iter() {
            let late = match connection {
                Connection::Shaking { until, .. }
                | Connection::Reading(Reading { until, .. })
                | Connection::Greeting { until, .. }
                | Connection::Parting { until, .. } => *until <= now,
                Connection::Tunnel { pair, .. } => {
                    let late = now.saturating_duration_since(pair.moved()) >= idle
                        || pair.leave_at().is_some_and(|at| at <= now);
                    if late {
                        pair.cut();
                    }
                    late
                }
            };
            if late {
                overdue.push(slot);
            }
        }
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
                Some(Connection::Shaking { .. }) => {
                    self.shared.counts.shakes_failed.fetch_add(1, Ordering::Relaxed);
                    self.close(slot);
                }
                _ => self.close(slot),
            }
        }
        self.forget_shakes();
    }
}

/// Whether a sandbox may keep what leads to this target.
fn may_stay(seat: &mut Seat, record: &Record, members: &Members) -> bool {
    seat.renew(members) && seat.member().policy.allow.admits(&record.target).is_some()
}

/// Why a greeting is refused, with what would help.
fn reason_of(error: &GreetingError, target: &Target) -> String {
    match error {
        GreetingError::Hello(HelloError::NotTls) => format!("{error}; a rule `tcp:{target}` would allow it"),
        _ => error.to_string(),
    }
}
