//! Two connected ends whose bytes are passed to each other, without blocking: one [`Pair`] of an event loop.
//!
//! ```text
//!        end 0  ── flow 0 ──►  end 1
//!        end 0  ◄── flow 1 ──  end 1
//! ```
//!
//! Bytes go through one [`Scratch`] shared by all pairs of a loop. Only what the receiving end would not take is kept with
//! the pair, and the sum of that is bounded: when [`STALLED`] bytes wait in all pairs together, reads shrink to
//! [`SMALL`]. An idle pair therefore costs its two descriptors and this struct, no buffer; with TLS, its keys.
//!
//! **Guarantees**: an end of one side becomes an end (`shutdown`) of the other after the last byte; a side that no longer
//! takes bytes is still read, and what it says is thrown away, so that the answer it sent before reaches the other side
//! instead of a reset. Where TLS is on one side, what was cut on either is cut on the other, never ended.

use std::os::fd::OwnedFd;
use std::time::Duration;
use std::time::Instant;

use super::end::Came;
use super::end::End;
use super::end::Ending;
use super::end::Flushed;
use super::end::Sent;

/// Bytes read at once.
const CHUNK: usize = 256 << 10;
/// Bytes read at once while much waits.
const SMALL: usize = 4 << 10;
/// Bytes that may wait in all pairs of a loop before reads become small.
const STALLED: usize = 8 << 20;
/// Reads of one flow before another pair has its turn.
const TURN: usize = 8;
/// How long a pair may stay when one side no longer takes bytes and the other way is done.
const LINGER: Duration = Duration::from_secs(2);

/// The buffer all pairs of a loop read into.
#[derive(Debug)]
pub(crate) struct Scratch {
    bytes: Vec<u8>,
    stalled: usize,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new(), stalled: 0 }
    }

    fn chunk(&mut self) -> &mut [u8] {
        if self.bytes.is_empty() {
            self.bytes = vec![0; CHUNK];
        }
        let size = if self.stalled < STALLED { CHUNK } else { SMALL };
        &mut self.bytes[..size]
    }
}

/// What a pair needs next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Nothing until the poller says so.
    Waiting,
    /// Another turn; there is more to move right now.
    Again,
    /// Nothing any more: both ways are closed.
    Finished,
}

/// One direction.
#[derive(Debug, Default)]
struct Flow {
    /// Read, and not yet taken by the receiver: `waiting[sent..]`.
    waiting: Vec<u8>,
    sent: usize,
    bytes: u64,
    /// The sender has ended, and how.
    ended: Option<Ending>,
    /// The receiver has been told of the end.
    closed: bool,
    /// The receiver takes nothing any more.
    refused: bool,
}

impl Flow {
    fn done(&self) -> bool {
        self.closed || (self.refused && self.ended.is_some())
    }
}

/// Two ends, watched by the loop's poller.
#[derive(Debug)]
pub(crate) struct Pair {
    ends: [End; 2],
    flows: [Flow; 2],
    /// Bytes that the ends hold, as they stand in the loop's budget.
    held: usize,
    readable: [bool; 2],
    writable: [bool; 2],
    moved: Instant,
    leave_at: Option<Instant>,
}

impl Pair {
    /// A pair that goes on with what was begun: `waiting` is sent before anything else, to end 1 and to end 0, and `bytes`
    /// have gone already.
    pub(crate) fn new(ends: [End; 2], waiting: [Vec<u8>; 2], bytes: [u64; 2], now: Instant) -> Self {
        let [forth, back] = waiting;
        Self {
            ends,
            flows: [
                Flow { waiting: forth, bytes: bytes[0], ..Flow::default() },
                Flow { waiting: back, bytes: bytes[1], ..Flow::default() },
            ],
            held: 0,
            readable: [true; 2],
            writable: [true; 2],
            moved: now,
            leave_at: None,
        }
    }

    /// One of the two sockets.
    pub(crate) fn end(&self, side: usize) -> &OwnedFd {
        self.ends[side].socket()
    }

    /// Bytes that have left for the other side: from end 0, from end 1.
    pub(crate) fn bytes(&self) -> [u64; 2] {
        [self.flows[0].bytes, self.flows[1].bytes]
    }

    /// When the last byte moved.
    pub(crate) fn moved(&self) -> Instant {
        self.moved
    }

    /// When the pair is to be closed whatever it does, if that is decided.
    pub(crate) fn leave_at(&self) -> Option<Instant> {
        self.leave_at
    }

    /// The poller saw something at `side`.
    pub(crate) fn ready(&mut self, side: usize, readable: bool, writable: bool) {
        self.readable[side] |= readable;
        self.writable[side] |= writable;
    }

    /// Moves what can be moved now.
    pub(crate) fn drive(&mut self, scratch: &mut Scratch, now: Instant) -> Progress {
        let mut again = false;
        for side in [0, 1] {
            again |= self.drive_flow(side, scratch, now);
        }
        let held = self.ends[0].held() + self.ends[1].held();
        scratch.stalled = (scratch.stalled + held).saturating_sub(self.held);
        self.held = held;
        // A session that broke takes nothing and gives nothing.
        if self.ends.iter().any(|end| {
            end.session().is_some_and(|session| session.broken().is_some() && !session.has_plain())
        }) {
            self.cut();
            return Progress::Finished;
        }
        let [forth, back] = &self.flows;
        if forth.done() && back.done() {
            return Progress::Finished;
        }
        // One side refuses bytes and has said all it had to say: the other gets a moment to notice.
        let parting = (forth.refused && back.done()) || (back.refused && forth.done());
        if parting && self.leave_at.is_none() {
            self.leave_at = Some(now + LINGER);
        }
        if again { Progress::Again } else { Progress::Waiting }
    }

    /// Where TLS is on one side, closing the pair now is seen as a cut on both.
    pub(crate) fn cut(&self) {
        let [first, second] = &self.ends;
        if first.session().is_some() || second.session().is_some() {
            first.reset();
            second.reset();
        }
    }

    /// Gives back what the pair holds of the loop's budget; to be called before it is dropped.
    pub(crate) fn release(&mut self, scratch: &mut Scratch) {
        for flow in &mut self.flows {
            scratch.stalled = scratch.stalled.saturating_sub(flow.waiting.len());
            flow.waiting = Vec::new();
            flow.sent = 0;
        }
        scratch.stalled = scratch.stalled.saturating_sub(self.held);
        self.held = 0;
    }

    /// True when the flow could go on at once but its turn is over.
    fn drive_flow(&mut self, from: usize, scratch: &mut Scratch, now: Instant) -> bool {
        let to = 1 - from;
        for _ in 0..TURN {
            let flow = &mut self.flows[from];
            if flow.closed {
                return false;
            }
            if self.ends[to].unsent() > 0 && !flow.refused {
                if !self.writable[to] {
                    return false;
                }
                let before = self.ends[to].unsent();
                match self.ends[to].flush() {
                    Flushed::Done => {}
                    Flushed::Full => self.writable[to] = false,
                    Flushed::Refused => flow.refused = true,
                }
                if self.ends[to].unsent() < before {
                    self.moved = now;
                }
                continue;
            }
            if !flow.waiting.is_empty() {
                if !self.writable[to] && !flow.refused {
                    return false;
                }
                match self.ends[to].send(&flow.waiting[flow.sent..]) {
                    Sent::Bytes(count) => {
                        flow.sent += count;
                        flow.bytes += count as u64;
                        self.moved = now;
                    }
                    Sent::Full => self.writable[to] = false,
                    Sent::Refused => {
                        flow.refused = true;
                        flow.sent = flow.waiting.len();
                    }
                }
                if flow.sent < flow.waiting.len() {
                    continue;
                }
                scratch.stalled = scratch.stalled.saturating_sub(flow.waiting.len());
                flow.waiting = Vec::new();
                flow.sent = 0;
                continue;
            }
            if let Some(ending) = flow.ended {
                if ending == Ending::Cut && self.ends[to].session().is_none() {
                    // Telling it of an end would be telling it that all was said.
                    self.ends[to].reset();
                    flow.closed = true;
                    return false;
                }
                if self.ends[to].finish(ending) == Flushed::Full {
                    self.writable[to] = false;
                } else {
                    flow.closed = true;
                }
                return false;
            }
            if !self.readable[from] || (!self.writable[to] && !flow.refused) {
                return false;
            }
            let chunk = scratch.chunk();
            let count = match self.ends[from].receive(&mut *chunk) {
                Came::Bytes(count) => count,
                Came::Nothing => {
                    self.readable[from] = false;
                    return false;
                }
                Came::Ended => {
                    flow.ended = Some(Ending::Whole);
                    continue;
                }
                // What came before a reset is passed on. Without TLS it ends the flow like an orderly end.
                Came::Broken => {
                    let encrypted = self.ends.iter().any(|end| end.session().is_some());
                    flow.ended = Some(if encrypted { Ending::Cut } else { Ending::Whole });
                    continue;
                }
            };
            if flow.refused {
                continue;
            }
            let mut sent = 0;
            match self.ends[to].send(&chunk[..count]) {
                Sent::Bytes(taken) => {
                    sent = taken;
                    flow.bytes += taken as u64;
                    self.moved = now;
                }
                Sent::Full => self.writable[to] = false,
                Sent::Refused => {
                    flow.refused = true;
                    continue;
                }
            }
            if sent < count {
                flow.waiting = chunk[sent..count].to_vec();
                scratch.stalled += flow.waiting.len();
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    /// Outer sockets for the test, and the pair between the inner ones.
    fn pair(first: &[u8]) -> (UnixStream, UnixStream, Pair) {
        let (left, inner_left) = UnixStream::pair().unwrap();
        let (right, inner_right) = UnixStream::pair().unwrap();
        left.set_nonblocking(true).unwrap();
        right.set_nonblocking(true).unwrap();
        let pair = Pair::new(
            [inner_left, inner_right].map(|socket| End::from(OwnedFd::from(socket))),
            [first.to_vec(), vec![]],
            [0; 2],
            Instant::now(),
        );
        (left, right, pair)
    }

    fn poke(pair: &mut Pair, scratch: &mut Scratch) -> Progress {
        for side in [0, 1] {
            pair.ready(side, true, true);
        }
        pair.drive(scratch, Instant::now())
    }

    #[test]
    fn bytes_ends_and_the_first_bytes_arrive_in_order() {
        let (mut left, mut right, mut pair) = pair(b"first ");
        let mut scratch = Scratch::new();
        left.write_all(b"question").unwrap();
        left.shutdown(std::net::Shutdown::Write).unwrap();
        right.write_all(b"answer").unwrap();
        assert_eq!(poke(&mut pair, &mut scratch), Progress::Waiting);
        let mut text = String::new();
        right.read_to_string(&mut text).unwrap();
        assert_eq!(text, "first question");
        right.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(poke(&mut pair, &mut scratch), Progress::Finished);
        text.clear();
        left.read_to_string(&mut text).unwrap();
        assert_eq!(text, "answer");
        assert_eq!(pair.bytes(), [14, 6]);
    }

    #[test]
    fn a_slow_receiver_stops_the_sender_and_nothing_is_lost() {
        let (mut left, mut right, mut pair) = pair(b"");
        let mut scratch = Scratch::new();
        let mut fed = 0usize;
        let block: Vec<u8> = (0..=255).cycle().take(64 << 10).collect();
        // Nobody reads at `right`: the amount taken must stop growing.
        for _ in 0..1000 {
            match left.write(&block[fed % 256..]) {
                Ok(count) => fed += count,
                Err(_) => {
                    if poke(&mut pair, &mut scratch) == Progress::Waiting && left.write(&block[..1]).is_err()
                    {
                        break;
                    }
                }
            }
        }
        assert!(fed < 4 << 20, "{fed} bytes were taken for a receiver that reads nothing");
        assert!(scratch.stalled <= CHUNK);
        drop(left.shutdown(std::net::Shutdown::Write));
        let mut taken = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            poke(&mut pair, &mut scratch);
            match right.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => taken.extend_from_slice(&buffer[..count]),
                Err(_) => {}
            }
        }
        assert_eq!(scratch.stalled, 0);
        assert!(taken.len() >= fed);
    }

    #[test]
    fn an_answer_survives_a_receiver_that_stopped_listening() {
        let (mut left, mut right, mut pair) = pair(b"");
        let mut scratch = Scratch::new();
        right.write_all(b"no").unwrap();
        drop(right);
        left.write_all(&[7; 1000]).unwrap();
        let mut now = Instant::now();
        for _ in 0..4 {
            poke(&mut pair, &mut scratch);
            let _ = left.write_all(&[7; 1000]);
        }
        let mut answer = [0; 2];
        left.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"no");
        // The sender goes on for ever: the pair is to be left after a moment all the same.
        now += LINGER;
        assert!(pair.leave_at().is_some_and(|at| at <= now + LINGER));
    }

    #[test]
    fn much_waiting_makes_reads_small() {
        let mut scratch = Scratch::new();
        assert_eq!(scratch.chunk().len(), CHUNK);
        scratch.stalled = STALLED;
        assert_eq!(scratch.chunk().len(), SMALL);
        let (_left, _right, mut pair) = pair(b"");
        pair.flows[0].waiting = vec![0; STALLED];
        pair.release(&mut scratch);
        assert_eq!(scratch.stalled, 0);
    }
}
