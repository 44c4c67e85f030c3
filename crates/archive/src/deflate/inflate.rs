//! One raw deflate stream (RFC 1951), decoded piece by piece.
//!
//! The window holds the 32 KiB that distances can reach and the piece that is being decoded; when it is full the piece is
//! handed out and its end moved to the front. The state between two pieces is the kind of the block and what is left of
//! it, so a piece may end anywhere.
//!
//! **Refuses** what zlib refuses: a reserved block type, a stored length that does not match its complement, bad codes
//! ([`super::code`]), repeats that run over or have nothing to repeat, no end-of-block code, distances that reach before
//! the start of the stream, an end before the final block is complete.

use std::io;
use std::io::Read;
use std::ops::Range;

use super::Block;
use super::BlockKind;
use super::Effort;
use super::InflateError;
use super::code;
use super::code::Codes;
use super::input::Input;
use super::input::TWO_WORDS;

/// How far back a distance can reach.
pub(super) const REACH: usize = 32 << 10;

/// Bytes decoded at a time. It has no influence on the result.
const PIECE: usize = 256 << 10;

/// What one turn of the decoding loop writes at most: three literals or one match, rounded up to the copies' step.
const TURN: usize = 3 + 258 + STEP;

/// Matches are copied in steps of this many bytes, the last one over the end of the match.
const STEP: usize = 16;

/// The order in which the lengths of the code-length code are written (section 3.2.7).
const LENGTHS_ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// Where in the stream the decoder stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the header of a block.
    Between,
    /// In a stored block with so many bytes to come.
    Stored(usize),
    /// In a block with fixed codes.
    Fixed,
    /// In a block with its own codes.
    Dynamic,
    /// Behind the final block.
    Ended,
}

/// What [`Inflate::step`] came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The window is full.
    Full,
    /// A block ended.
    Block(Block),
}

/// The decoder.
#[derive(Debug)]
pub(super) struct Inflate<R> {
    pub(super) input: Input<R>,
    state: State,
    window: Box<[u8]>,
    /// End of what is decoded in the window.
    at: usize,
    /// What of the window has been handed out.
    given: usize,
    /// First byte of the window that belongs to this stream.
    floor: usize,
    /// Bytes decoded before the first one in the window, over all streams.
    before: u64,
    /// The block being decoded: its first bit, its first byte, and whether it is the final one.
    block: (u64, u64, bool),
    fixed: Box<Codes>,
    dynamic: Box<Codes>,
}

impl<R: Read> Inflate<R> {
    pub(super) fn new(input: Input<R>) -> Self {
        Self {
            input,
            state: State::Between,
            window: vec![0; REACH + PIECE].into(),
            at: 0,
            given: 0,
            floor: 0,
            before: 0,
            block: (0, 0, false),
            fixed: Codes::fixed(),
            dynamic: Codes::new(),
        }
    }

    /// Begins the next stream: nothing before it can be reached.
    pub(super) fn restart(&mut self) {
        self.state = State::Between;
        self.floor = self.at;
    }

    /// Whether the final block is behind.
    pub(super) fn ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Bytes decoded so far, over all streams.
    pub(super) fn position(&self) -> u64 {
        self.before + self.at as u64
    }

    /// What has been decoded and not yet handed out.
    pub(super) fn pending(&self) -> Range<usize> {
        self.given..self.at
    }

    /// The bytes of a range of the window.
    pub(super) fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.window[range]
    }

    /// Marks everything as handed out and makes room. Ranges given before are void.
    pub(super) fn make_room(&mut self) {
        self.given = self.at;
        if self.at > REACH {
            let gone = self.at - REACH;
            self.window.copy_within(gone..self.at, 0);
            self.at = REACH;
            self.given = REACH;
            self.floor = self.floor.saturating_sub(gone);
            self.before += gone as u64;
        }
    }

    /// Decodes until a block ends or the window is full.
    pub(super) fn step(&mut self) -> Result<Step, InflateError> {
        if self.state == State::Between {
            self.begin_block()?;
        }
        let kind = match self.state {
            State::Stored(left) => {
                let left = self.stored(left)?;
                self.state = State::Stored(left);
                if left > 0 {
                    return Ok(Step::Full);
                }
                BlockKind::Stored
            }
            State::Fixed | State::Dynamic => {
                if !self.coded()? {
                    return Ok(Step::Full);
                }
                if self.state == State::Fixed { BlockKind::Fixed } else { BlockKind::Dynamic }
            }
            State::Between | State::Ended => return Err(self.invalid("data after the final block")),
        };
        let (start, output, last) = self.block;
        self.state = if last { State::Ended } else { State::Between };
        Ok(Step::Block(Block {
            bits: start..self.input.position(),
            output: output..self.position(),
            kind,
            last,
            crc: 0,
            effort: Effort::Other,
        }))
    }

    pub(super) fn invalid(&self, what: &'static str) -> InflateError {
        InflateError::Invalid { bit: self.input.position(), what }
    }

    fn bits(&mut self, count: u32) -> Result<u32, InflateError> {
        self.input.take(count)?.ok_or(InflateError::Truncated { bit: self.input.position() })
    }

    fn begin_block(&mut self) -> Result<(), InflateError> {
        let start = self.input.position();
        let header = self.bits(3)?;
        self.block = (start, self.position(), header & 1 == 1);
        self.state = match header >> 1 {
            0 => {
                self.input.align();
                let length = self.bits(16)?;
                if self.bits(16)? != length ^ 0xffff {
                    return Err(self.invalid("the length of a stored block does not match its complement"));
                }
                self.input.give_back();
                State::Stored(length as usize)
            }
            1 => State::Fixed,
            2 => {
                self.read_codes()?;
                State::Dynamic
            }
            _ => return Err(self.invalid("a block has the reserved type 3")),
        };
        Ok(())
    }

    /// The header of a dynamic block (section 3.2.7).
    fn read_codes(&mut self) -> Result<(), InflateError> {
        let literals = self.bits(5)? as usize + 257;
        let distances = self.bits(5)? as usize + 1;
        let written = self.bits(4)? as usize + 4;
        if literals > 286 || distances > 30 {
            return Err(self.invalid("a block has too many length or distance codes"));
        }
        let mut lengths = [0; 19];
        for &place in &LENGTHS_ORDER[..written] {
            lengths[place] = self.bits(3)? as u8;
        }
        let mut table = [0; 1 << code::LENGTHS_ROOT];
        code::set_code_lengths(&mut table, &lengths)
            .map_err(|_| self.invalid("the code of the code lengths is over-subscribed or incomplete"))?;

        let mut lengths = [0_u8; 286 + 30];
        let total = literals + distances;
        let mut at = 0;
        while at < total {
            self.input.gather(code::LENGTHS_ROOT)?;
            let entry = table[(self.input.bits & ((1 << code::LENGTHS_ROOT) - 1)) as usize];
            let length = entry & 0xff;
            if length > self.input.count {
                return Err(InflateError::Truncated { bit: self.input.position() });
            }
            self.input.drop_bits(length);
            let (value, times) = match entry >> 16 {
                16 => match lengths[..at].last() {
                    Some(&last) => (last, 3 + self.bits(2)?),
                    None => {
                        return Err(self.invalid("a code length is repeated, but there is none before it"));
                    }
                },
                17 => (0, 3 + self.bits(3)?),
                18 => (0, 11 + self.bits(7)?),
                symbol => (symbol as u8, 1),
            };
            let Some(run) = lengths[..total].get_mut(at..at + times as usize) else {
                return Err(self.invalid("a repeated code length runs over the last code"));
            };
            run.fill(value);
            at += run.len();
        }
        let (literals, distances) = lengths[..total].split_at(literals);
        if literals[256] == 0 {
            return Err(self.invalid("a block has no end-of-block code"));
        }
        if self.dynamic.set_literals(literals).is_err() {
            return Err(self.invalid("the code of literals and lengths is over-subscribed or incomplete"));
        }
        if self.dynamic.set_distances(distances).is_err() {
            return Err(self.invalid("the code of distances is over-subscribed or incomplete"));
        }
        Ok(())
    }

    /// Copies stored bytes; says how many are still to come.
    fn stored(&mut self, mut left: usize) -> Result<usize, InflateError> {
        while left > 0 && self.at < self.window.len() {
            let there = self.input.fill(1)?;
            if there == 0 {
                return Err(InflateError::Truncated { bit: self.input.position() });
            }
            let n = left.min(there).min(self.window.len() - self.at);
            let from = self.input.next;
            self.window[self.at..self.at + n].copy_from_slice(&self.input.buffered()[from..from + n]);
            self.input.next += n;
            self.at += n;
            left -= n;
        }
        Ok(left)
    }

    /// Decodes codes until the block ends (true) or the window is full.
    fn coded(&mut self) -> Result<bool, InflateError> {
        loop {
            if self.at + TURN > self.window.len() {
                return Ok(false);
            }
            if self.input.fill(TWO_WORDS)? >= TWO_WORDS {
                if self.fast()? {
                    return Ok(true);
                }
            } else if self.slow()? {
                return Ok(true);
            }
        }
    }

    /// Decodes while buffer and window have room for a whole turn; true at the end of the block.
    fn fast(&mut self) -> Result<bool, InflateError> {
        let codes = if self.state == State::Fixed { &*self.fixed } else { &*self.dynamic };
        let (literals, distances) = (&codes.literals, &codes.distances);
        let Input { mut next, mut bits, mut count, .. } = self.input;
        let source = self.input.buffered();
        let window = &mut self.window[..];
        let (mut at, floor) = (self.at, self.floor);
        let source_end = source.len() - TWO_WORDS;
        let window_end = window.len() - TURN;

        // Takes as many whole bytes as fit, so that at least 56 bits are there.
        macro_rules! take_word {
            () => {
                let mut word = [0; 8];
                word.copy_from_slice(&source[next..next + 8]);
                bits |= u64::from_le_bytes(word) << count;
                next += ((63 - count) >> 3) as usize;
                count |= 56;
            };
        }
        macro_rules! pass {
            ($entry:expr) => {
                bits >>= $entry & 63;
                count -= $entry & 63;
            };
        }
        macro_rules! literal {
            ($entry:expr) => {
                pass!($entry);
                window[at] = ($entry >> 16) as u8;
                at += 1;
            };
        }
        const LITERAL_MASK: u64 = (1 << code::LITERAL_ROOT) - 1;
        const DISTANCE_MASK: u64 = (1 << code::DISTANCE_ROOT) - 1;

        let outcome = loop {
            if next > source_end || at > window_end {
                break Ok(false);
            }
            take_word!();
            let mut entry = literals[(bits & LITERAL_MASK) as usize];
            // Three literals of the root take 33 bits, a long code with its extra bits 20 more.
            if entry & code::LITERAL != 0 {
                literal!(entry);
                entry = literals[(bits & LITERAL_MASK) as usize];
                if entry & code::LITERAL != 0 {
                    literal!(entry);
                    entry = literals[(bits & LITERAL_MASK) as usize];
                    if entry & code::LITERAL != 0 {
                        literal!(entry);
                        continue;
                    }
                }
            }
            if entry & code::EXCEPTION != 0 {
                if entry & code::LINK != 0 {
                    let mask = (1_u64 << (entry >> 8 & 15)) - 1;
                    let second = (bits >> code::LITERAL_ROOT & mask) as usize;
                    entry = literals[((entry >> 16) as usize + second) % code::LITERAL_TABLE];
                    if entry & code::LITERAL != 0 {
                        literal!(entry);
                        continue;
                    }
                }
                if entry & code::EXCEPTION != 0 {
                    if entry & code::END == 0 {
                        break Err("a length code has no meaning");
                    }
                    pass!(entry);
                    break Ok(true);
                }
            }
            let extra = bits & ((1_u64 << (entry & 63)) - 1);
            let length = (entry >> 16) as usize + (extra >> (entry >> 8 & 15)) as usize;
            pass!(entry);

            take_word!();
            let mut entry = distances[(bits & DISTANCE_MASK) as usize];
            if entry & code::EXCEPTION != 0 {
                if entry & code::LINK != 0 {
                    let mask = (1_u64 << (entry >> 8 & 15)) - 1;
                    let second = (bits >> code::DISTANCE_ROOT & mask) as usize;
                    entry = distances[((entry >> 16) as usize + second) % code::DISTANCE_TABLE];
                }
                if entry & code::EXCEPTION != 0 {
                    break Err("a distance code has no meaning");
                }
            }
            let extra = bits & ((1_u64 << (entry & 63)) - 1);
            let distance = (entry >> 16) as usize + (extra >> (entry >> 8 & 15)) as usize;
            pass!(entry);
            if distance > at - floor {
                break Err(TOO_FAR);
            }
            copy_match(window, at, distance, length);
            at += length;
        };
        self.at = at;
        (self.input.next, self.input.bits, self.input.count) = (next, bits, count);
        outcome.map_err(|what| self.invalid(what))
    }

    /// Decodes one code near the end of the source, where each bit may be missing; true at the end of the block.
    fn slow(&mut self) -> Result<bool, InflateError> {
        let codes = if self.state == State::Fixed { &self.fixed } else { &self.dynamic };
        self.input.gather(48)?;
        let mut bits = self.input.bits;
        let available = self.input.count;
        let mut used = 0;
        let mut look_up = |table: &[u32], root: u32| {
            let mut entry = table[(bits & ((1 << root) - 1)) as usize];
            if entry & (code::LITERAL | code::LINK | code::EXCEPTION) == code::LINK | code::EXCEPTION {
                let mask = (1_u64 << (entry >> 8 & 15)) - 1;
                entry = table[(entry >> 16) as usize + (bits >> root & mask) as usize];
            }
            let extra = bits & ((1_u64 << (entry & 63)) - 1);
            bits >>= entry & 63;
            used += entry & 63;
            (
                entry,
                used <= available,
                (entry >> 16 & 0x7fff) as usize + (extra >> (entry >> 8 & 15)) as usize,
            )
        };
        let truncated = InflateError::Truncated { bit: self.input.position() + u64::from(available) };
        let (entry, there, length) = look_up(&codes.literals, code::LITERAL_ROOT);
        if entry & code::LITERAL != 0 {
            if !there {
                return Err(truncated);
            }
            self.window[self.at] = (entry >> 16) as u8;
            self.at += 1;
            self.input.drop_bits(used);
            return Ok(false);
        }
        if entry & code::EXCEPTION != 0 {
            return match (entry & code::END != 0, there) {
                (_, false) => Err(truncated),
                (false, true) => Err(self.invalid("a length code has no meaning")),
                (true, true) => {
                    self.input.drop_bits(used);
                    Ok(true)
                }
            };
        }
        let (entry, there, distance) = look_up(&codes.distances, code::DISTANCE_ROOT);
        if !there {
            return Err(truncated);
        }
        if entry & code::EXCEPTION != 0 {
            return Err(self.invalid("a distance code has no meaning"));
        }
        if distance > self.at - self.floor {
            return Err(self.invalid(TOO_FAR));
        }
        copy_match(&mut self.window, self.at, distance, length);
        self.at += length;
        self.input.drop_bits(used);
        Ok(false)
    }
}

const TOO_FAR: &str = "a distance reaches before the start of the stream";

/// Repeats `length` bytes from `distance` before `at`. May write up to a step more behind them.
#[expect(clippy::inline_always, reason = "it stands in the innermost loop, once per match")]
#[inline(always)]
fn copy_match(window: &mut [u8], at: usize, distance: usize, length: usize) {
    let end = at + length;
    let (mut from, mut to) = (at - distance, at);
    if distance >= STEP {
        while to < end {
            let mut step = [0; STEP];
            step.copy_from_slice(&window[from..from + STEP]);
            window[to..to + STEP].copy_from_slice(&step);
            (from, to) = (from + STEP, to + STEP);
        }
    } else if distance == 1 {
        let byte = window[from];
        window[at..end].fill(byte);
    } else {
        // The repeated part doubles with each copy.
        while to < end {
            let n = (to - from).min(end - to);
            window.copy_within(from..from + n, to);
            to += n;
        }
    }
}

impl From<io::Error> for InflateError {
    fn from(error: io::Error) -> Self {
        Self::Source(error)
    }
}
