//! The worker's side of its two directories: what came in, what goes out, and the state between them.
//!
//! ```text
//!   put ─► state.pending ─► keep: out/state replaced ─► out/SEQ published ─► acknowledged by the host ─► removed
//! ```
//!
//! **Guarantees**: a message is published only once the state that names it is on the disk, and one that the state on the disk names
//! is not removed, so an end between any two steps neither loses a message nor sends another in its place. A full disk is waited
//! for. What is held is not done yet: after an end before it is kept, its task is worked on again. It is kept within [`Held::until`],
//! whatever is waited for meanwhile.
//!
//! **Refuses** a state that cannot be opened: without it, tasks would be done twice.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use pinfold_queue::Content;
use pinfold_queue::Direction;
use pinfold_queue::Header;
use pinfold_queue::Message;
use pinfold_queue::SandboxId;
use pinfold_queue::SessionKey;
use pinfold_queue::Spool;
use pinfold_queue::SpoolError;
use pinfold_queue::Watch;
use pinfold_queue::format;
use pinfold_queue::spool::FILES_MAX;
use pinfold_queue::spool::Listing;
use pinfold_queue::spool::ReadError;
use rustix::io::Errno;

use crate::exit::Exit;
use crate::pulse::ALIVE;
use crate::pulse::Pulse;
use crate::pulse::Woken;
use crate::state::State;

/// The state's file.
const STATE: &str = "state";
/// Failures in a row after which the queue is damaged.
const FAILURES: u32 = 3;
/// Messages that are kept together, at most.
const HELD: usize = 128;
/// Bytes of them from which on nothing more is held.
const HELD_BYTES: usize = 256 << 10;
/// How long a message is held, at least and at most.
const LINGER: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(200));
/// Of the time, one part in so many goes by with writing the state while messages are held.
const SHARE: u32 = 5;

/// Messages that wait for the next time that the state is kept.
#[derive(Debug)]
struct Held {
    /// When that is.
    until: Instant,
    messages: usize,
    bytes: usize,
}

/// A file of the host's.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A message.
    Message(Message),
    /// None of ours, why.
    Unreadable(String),
    /// It is gone.
    Gone,
}

/// Both directories.
#[derive(Debug)]
pub(crate) struct Desk {
    key: SessionKey,
    sandbox: SandboxId,
    input: Spool,
    output: Spool,
    watch: Watch,
    /// What is known; on the disk after [`Desk::keep`].
    pub(crate) state: State,
    /// How often the state was written.
    count: u64,
    /// What was put and not kept.
    held: Option<Held>,
    /// How long the state took to be kept, the last time.
    took: Duration,
    /// Whether the key has opened something.
    proved: bool,
    /// Messages that the state on the disk names as not published.
    named: BTreeSet<u64>,
    /// Our files that are there, each with the host's files that it acknowledges.
    out: BTreeMap<u64, Vec<u64>>,
    /// Those of them that say nothing else.
    acks: BTreeSet<u64>,
    /// The host's files that one of ours acknowledges.
    covered: BTreeSet<u64>,
    /// Acknowledged by the host; to be removed once the state no longer names them.
    settled: BTreeSet<u64>,
}

impl Desk {
    /// Opens the directories and the state, and publishes what an end in the middle has left.
    pub(crate) fn open(queue: &str, id: &str, key: SessionKey, pulse: &mut Pulse) -> Result<Self, Exit> {
        let sandbox =
            SandboxId::new(id).ok_or_else(|| Exit::Usage("`--id` is no name of a sandbox".into()))?;
        let damaged = |error: SpoolError| Exit::Damaged(error.to_string());
        let open = |name: &str| Spool::open(&Path::new(queue).join(name)).map_err(damaged);
        let (input, output) = (open("in")?, open("out")?);
        let was_used = output.changed(ALIVE).is_some();
        pulse.begin(open("out")?);
        let watch = Watch::new([input.as_fd()]);
        output.sweep().map_err(damaged)?;
        let mut desk = Self {
            key,
            sandbox,
            input,
            output,
            watch,
            state: State::default(),
            count: 0,
            held: None,
            took: Duration::ZERO,
            proved: false,
            named: BTreeSet::new(),
            out: BTreeMap::new(),
            acks: BTreeSet::new(),
            covered: BTreeSet::new(),
            settled: BTreeSet::new(),
        };
        desk.load()?;
        if desk.count == 0 && was_used {
            // Its state is lost, and with it the numbers that were given away: fewer than milliseconds went by since.
            desk.state.next = desk.state.next.max(now());
        }
        desk.publish(pulse, Spool::publish_all)?;
        Ok(desk)
    }

    /// Reads the state, and what of our own is there.
    fn load(&mut self) -> Result<(), Exit> {
        let name = self.sandbox.as_str().to_owned();
        let damaged = |error: &dyn std::fmt::Display| {
            Exit::Damaged(format!("out/state: {error} (`pinfold queue {name} heal` puts it aside)"))
        };
        let max = Direction::State.file_max();
        if let Some(file) = self.output.read_named(STATE, max).map_err(|error| damaged(&error))? {
            let (header, body) = format::open(&self.key, &self.sandbox, Direction::State, None, file)
                .map_err(|error| damaged(&error))?;
            self.count = header.seq;
            self.state = serde_json::from_slice(&body).map_err(|error| damaged(&error))?;
            self.proved = true;
        }
        self.named = self.state.pending.iter().map(|pending| pending.seq).collect();
        let listing =
            self.output.list(&[STATE, ALIVE]).map_err(|error| Exit::Damaged(format!("out: {error}")))?;
        for seq in listing.messages {
            self.state.next = self.state.next.max(seq + 1);
            // Only this worker writes here; of another key, or damaged, it acknowledges nothing.
            let file = self.output.read(seq, Direction::FromWorker.file_max()).ok().flatten();
            let message = file.and_then(|file| self.opened(Direction::FromWorker, seq, file).ok());
            self.note(seq, message.as_ref());
        }
        Ok(())
    }

    fn note(&mut self, seq: u64, message: Option<&Message>) {
        let acks = message.map(|message| message.acks.clone()).unwrap_or_default();
        if message.is_some_and(|message| message.content == Content::Ack) {
            self.acks.insert(seq);
        }
        self.covered.extend(acks.iter().copied());
        self.out.insert(seq, acks);
    }

    fn opened(&mut self, direction: Direction, seq: u64, file: Vec<u8>) -> Result<Message, String> {
        let (_, body) = format::open(&self.key, &self.sandbox, direction, Some(seq), file)
            .map_err(|error| error.to_string())?;
        self.proved = true;
        Message::parse(direction, &body).map_err(|error| error.to_string())
    }

    /// Whether the key has opened something, so that what it does not open is damaged by itself.
    pub(crate) fn has_proved_its_key(&self) -> bool {
        self.proved
    }

    /// What lies there from the host. What the host removed is forgotten, and so are our acknowledgements of it.
    pub(crate) fn incoming(&mut self, pulse: &mut Pulse) -> Result<Listing, Exit> {
        let listing = trying(pulse, || self.input.list(&[]))?;
        let there = |seq: &u64| {
            listing.messages.binary_search(seq).is_ok()
                || (listing.count > listing.messages.len()
                    && listing.messages.last().is_none_or(|last| seq > last))
        };
        self.covered.retain(there);
        let gone: Vec<u64> =
            self.acks.iter().copied().filter(|ack| !self.out[ack].iter().any(there)).collect();
        self.settle(&gone);
        Ok(listing)
    }

    /// One file of the host's.
    pub(crate) fn read(&mut self, seq: u64, pulse: &mut Pulse) -> Result<Incoming, Exit> {
        let mut refused = None;
        let file = trying(pulse, || match self.input.read(seq, Direction::ToWorker.file_max()) {
            Ok(file) => Ok(file),
            Err(ReadError::Refused(refusal)) => {
                refused = Some(refusal.to_string());
                Ok(None)
            }
            Err(ReadError::Failed(error)) => Err(error),
        })?;
        if let Some(why) = refused {
            return Ok(Incoming::Unreadable(why));
        }
        let Some(file) = file else { return Ok(Incoming::Gone) };
        Ok(match self.opened(Direction::ToWorker, seq, file) {
            Ok(message) => Incoming::Message(message),
            Err(why) => Incoming::Unreadable(why),
        })
    }

    /// Whether a message of ours that is still there acknowledges this file of the host's.
    pub(crate) fn covers(&self, seq: u64) -> bool {
        self.covered.contains(&seq)
    }

    /// The host has these messages of ours.
    pub(crate) fn settle(&mut self, seqs: &[u64]) {
        self.settled.extend(seqs.iter().copied().filter(|seq| self.out.contains_key(seq)));
    }

    /// Whether so many messages of ours wait that no more work should be begun.
    pub(crate) fn is_full(&self) -> bool {
        self.out.len() + self.state.pending.len() >= FILES_MAX / 2
    }

    /// Puts a message into the state. What does not fit is the caller's error.
    pub(crate) fn put(&mut self, message: &Message) -> Result<(), Exit> {
        let bytes = self.state.put(message).map_err(|error| Exit::Bug(error.to_string()))?;
        self.covered.extend(message.acks.iter().copied());
        let linger = (self.took * (SHARE - 1)).clamp(LINGER.0, LINGER.1);
        let held =
            self.held.get_or_insert_with(|| Held { until: Instant::now() + linger, messages: 0, bytes: 0 });
        held.messages += 1;
        held.bytes += bytes;
        Ok(())
    }

    /// Keeps what was put, or lets it wait for what follows at once: who holds keeps as soon as nothing does.
    pub(crate) fn hold(&mut self, pulse: &mut Pulse) -> Result<(), Exit> {
        let full =
            |held: &Held| held.messages >= HELD || held.bytes >= HELD_BYTES || held.until <= Instant::now();
        if self.held.as_ref().is_some_and(full) { self.keep(pulse) } else { Ok(()) }
    }

    /// Until when messages are held, where some are.
    pub(crate) fn held_until(&self) -> Option<Instant> {
        self.held.as_ref().map(|held| held.until)
    }

    /// Keeps what is held.
    pub(crate) fn release(&mut self, pulse: &mut Pulse) -> Result<(), Exit> {
        if self.held.is_some() { self.keep(pulse) } else { Ok(()) }
    }

    /// Writes the state to the disk, then publishes what is pending.
    pub(crate) fn keep(&mut self, pulse: &mut Pulse) -> Result<(), Exit> {
        let begun = Instant::now();
        self.held = None;
        let body = serde_json::to_vec(&self.state).map_err(|error| Exit::Bug(error.to_string()))?;
        self.count += 1;
        let state = self.sealed(Direction::State, self.count, &body)?;
        drop(body);
        let named = self.state.pending.iter().map(|pending| pending.seq).collect();
        self.publish(pulse, |output, files| output.replace_and_publish(STATE, &state, files))?;
        self.named = named;
        self.took = begun.elapsed();
        Ok(())
    }

    /// Seals what is pending and gives it to `out`, which puts it into the directory.
    fn publish(
        &mut self,
        pulse: &mut Pulse,
        out: impl Fn(&Spool, &[(u64, Vec<u8>)]) -> Result<(), SpoolError>,
    ) -> Result<(), Exit> {
        let (mut files, mut messages) = (Vec::new(), Vec::new());
        for pending in std::mem::take(&mut self.state.pending) {
            let body = serde_json::to_vec(&pending.body).map_err(|error| Exit::Bug(error.to_string()))?;
            let message =
                Message::parse(Direction::FromWorker, &body).map_err(|error| Exit::Bug(error.to_string()))?;
            if !self.out.contains_key(&pending.seq) {
                files.push((pending.seq, self.sealed(Direction::FromWorker, pending.seq, &body)?));
            }
            messages.push((pending.seq, message));
        }
        trying(pulse, || out(&self.output, &files))?;
        for (seq, message) in messages {
            self.note(seq, Some(&message));
        }
        Ok(())
    }

    fn sealed(&self, direction: Direction, seq: u64, body: &[u8]) -> Result<Vec<u8>, Exit> {
        Header::new(direction, seq, now())
            .and_then(|header| format::seal(&self.key, &self.sandbox, &header, body))
            .map_err(|error| Exit::Bug(error.to_string()))
    }

    /// Removes what the host has, as far as the state on the disk does not name it.
    pub(crate) fn clear(&mut self, pulse: &mut Pulse) -> Result<(), Exit> {
        let gone: Vec<u64> = self.settled.difference(&self.named).copied().collect();
        if gone.is_empty() {
            return Ok(());
        }
        trying(pulse, || self.output.remove_all(gone.iter().copied()))?;
        for seq in gone {
            self.settled.remove(&seq);
            self.out.remove(&seq);
            self.acks.remove(&seq);
        }
        Ok(())
    }

    /// Nothing is to be done: everything is removed that can be, then something is waited for.
    pub(crate) fn rest(&mut self, pulse: &mut Pulse) -> Result<(), Exit> {
        if !self.settled.is_empty() {
            self.keep(pulse)?;
            self.clear(pulse)?;
        }
        pulse.beat();
        match self.watch.wait(pulse.rest(), Some(pulse.signals())) {
            pinfold_queue::watch::Woken::Other => Err(Exit::Stopped),
            _ => Ok(()),
        }
    }

    /// There was something to do: more may come soon.
    pub(crate) fn hurry(&mut self) {
        self.watch.hurry();
    }
}

/// Milliseconds since the epoch.
fn now() -> u64 {
    let passed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
}

/// Does something to the disk: waits where it is full, gives up where it fails again and again.
fn trying<T>(pulse: &mut Pulse, mut step: impl FnMut() -> Result<T, SpoolError>) -> Result<T, Exit> {
    let mut failures = 0;
    loop {
        let error = match step() {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let full = [Errno::NOSPC, Errno::DQUOT]
            .iter()
            .any(|full| error.source.raw_os_error() == Some(full.raw_os_error()));
        let time = if full { Duration::from_secs(1) } else { Duration::from_millis(250) };
        if !full {
            failures += 1;
            if failures >= FAILURES {
                return Err(Exit::Damaged(error.to_string()));
            }
        }
        if pulse.pause(time) == Woken::Stop {
            return Err(Exit::Stopped);
        }
    }
}
