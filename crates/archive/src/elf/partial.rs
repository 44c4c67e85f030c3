//! An ELF file that passes by in chunks, once, and is not kept.
//!
//! ```text
//!   chunk ─► head    the first [`HEAD`] bytes: headers, and in most files the tables of names and versions
//!         └► parts   ranges that the reader asked for while they were still to come (the dynamic section, most often)
//! ```
//!
//! What the reader asks for when it has passed by already is [`Partial::missing`] at the end; the file then has to pass
//! again, at most [`PASSES`] times in all.
//!
//! **Guarantees**: at most [`HELD_MAX`] bytes are held, of files that are no ELF file none; no chunk is read twice.

use std::ops::Range;

use super::Elf;
use super::reader;
use super::reader::Source;
use super::reader::Stop;

/// Bytes that are kept from the start of a file. node's tables of names are in its first 8 MiB.
pub const HEAD: u64 = 16 << 20;
/// Most bytes held of one file.
pub const HELD_MAX: u64 = 32 << 20;
/// Most times that a file has to pass by. Two are enough but for files whose program headers are not in the head.
pub const PASSES: u32 = 3;

/// An ELF file of which a part has passed by.
#[derive(Debug)]
pub struct Partial {
    size: u64,
    /// Bytes to keep from its start.
    head_max: u64,
    /// How many bytes passed by in this pass.
    at: u64,
    pass: u32,
    head: Vec<u8>,
    parts: Vec<Part>,
    state: State,
}

/// What came of a file that passed by.
#[derive(Debug)]
pub enum Passed {
    /// An ELF file.
    Elf(Box<Elf>),
    /// Something else.
    NotElf,
    /// It begins as an ELF file, and no loader would take it, or it is beyond our limits: what is wrong.
    Malformed(&'static str),
    /// It has to pass by again: feed it from its start.
    Again(Partial),
}

/// A range that was asked for, and what passed by of it.
#[derive(Debug)]
struct Part {
    range: Range<u64>,
    bytes: Vec<u8>,
}

impl Part {
    fn is_whole(&self) -> bool {
        self.bytes.len() as u64 == self.range.end - self.range.start
    }
}

/// What is known.
#[derive(Debug)]
enum State {
    /// To be read when this many bytes have passed by; `None` when what is missing will not come in this pass.
    Reading(Option<u64>),
    Elf(Box<Elf>),
    NotElf,
    Malformed(&'static str),
}

impl Partial {
    /// Of a file of `size` bytes, before its first chunk.
    pub fn new(size: u64) -> Self {
        Self::with_head(size, HEAD)
    }

    /// The same that keeps another number of bytes from the start, between the 64 of the header and [`HEAD`]: the fewer, the
    /// more often a file has to pass.
    pub fn with_head(size: u64, head: u64) -> Self {
        let state = if size < 16 { State::NotElf } else { State::Reading(Some(16)) };
        Self {
            size,
            head_max: head.clamp(64, HEAD),
            at: 0,
            pass: 1,
            head: Vec::new(),
            parts: Vec::new(),
            state,
        }
    }

    /// Whether further chunks make no difference.
    pub fn is_settled(&self) -> bool {
        !matches!(self.state, State::Reading(_))
    }

    /// The ranges that it has to see, in order and apart from each other.
    pub fn missing(&self) -> Vec<Range<u64>> {
        self.parts.iter().filter(|part| !part.is_whole()).map(|part| part.range.clone()).collect()
    }

    /// The next bytes of the file. More than its size is not looked at.
    pub fn feed(&mut self, mut chunk: &[u8]) {
        while !chunk.is_empty() {
            let State::Reading(next) = self.state else { return };
            // Up to the point where the reader finds what it asked for; at least to the next byte.
            let next = next.map_or(u64::MAX, |next| next.max(self.at + 1)) - self.at;
            let (now, later) =
                chunk.split_at(usize::try_from(next).map_or(chunk.len(), |n| n.min(chunk.len())));
            self.keep(now);
            chunk = later;
            if let State::Reading(Some(next)) = self.state
                && self.at >= next
            {
                self.look();
            }
        }
    }

    /// What came of it, when all chunks were fed.
    pub fn end(mut self) -> Passed {
        if matches!(self.state, State::Reading(_)) {
            if self.at < self.size {
                return Passed::Malformed("it ends early");
            }
            self.look();
        }
        match self.state {
            State::Elf(elf) => Passed::Elf(elf),
            State::NotElf => Passed::NotElf,
            State::Malformed(why) => Passed::Malformed(why),
            State::Reading(_) if self.pass >= PASSES => {
                Passed::Malformed("its tables lie so that they cannot be followed")
            }
            State::Reading(_) => {
                for part in self.parts.iter_mut().filter(|part| !part.is_whole()) {
                    part.bytes.clear();
                }
                let next = self.parts.iter().filter(|part| !part.is_whole()).map(|part| part.range.end).max();
                Passed::Again(Self { at: 0, pass: self.pass + 1, state: State::Reading(next), ..self })
            }
        }
    }

    /// Keeps of the bytes that pass by what is wanted.
    fn keep(&mut self, bytes: &[u8]) {
        let passing = self.at..self.at + bytes.len() as u64;
        let head = self.head.len() as u64;
        if passing.start == head && head < self.head_max {
            let room =
                usize::try_from(self.head_max - head).map_or(bytes.len(), |room| room.min(bytes.len()));
            self.head.extend_from_slice(&bytes[..room]);
        }
        for part in &mut self.parts {
            let from = part.range.start + part.bytes.len() as u64;
            let to = part.range.end.min(passing.end);
            if from >= passing.start && from < to {
                let inside = (from - passing.start) as usize..(to - passing.start) as usize;
                part.bytes.extend_from_slice(&bytes[inside]);
            }
        }
        self.at = passing.end;
    }

    /// Reads what can be read, and asks for what is missing.
    fn look(&mut self) {
        self.state = match reader::elf(self) {
            Ok(elf) => State::Elf(Box::new(elf)),
            Err(Stop::NotElf) => State::NotElf,
            Err(Stop::Malformed(why)) => State::Malformed(why),
            // Nothing here does I/O.
            Err(Stop::Io(_)) => State::Malformed("it cannot be read"),
            Err(Stop::Missing(ranges)) => self.ask(ranges),
        };
        if self.is_settled() {
            (self.head, self.parts) = (Vec::new(), Vec::new());
        }
    }

    fn ask(&mut self, ranges: Vec<Range<u64>>) -> State {
        let mut next = None;
        let head = self.head.len() as u64;
        for range in merged(ranges) {
            let asked =
                self.parts.iter().any(|part| part.range.start <= range.start && range.end <= part.range.end);
            // What the head will hold is no part of its own.
            if range.end > self.head_max && !asked {
                let held: u64 = self.parts.iter().map(|part| part.range.end - part.range.start).sum();
                if HEAD + held + (range.end - range.start) > HELD_MAX {
                    return State::Malformed("its tables are too large");
                }
                // Its beginning may be in the head.
                let start = usize::try_from(range.start.min(head)).unwrap_or(self.head.len());
                self.parts.push(Part { range: range.clone(), bytes: self.head[start..].to_vec() });
            }
            if range.start >= self.at || self.at <= head {
                next = next.max(Some(range.end));
            }
        }
        self.parts.sort_by_key(|part| (part.range.start, part.range.end));
        State::Reading(next)
    }

    /// The bytes of a range, where they passed by and were kept.
    fn held(&self, range: &Range<u64>) -> Option<&[u8]> {
        let inside = |start: u64, bytes: &'_ [u8]| {
            let from = range.start.checked_sub(start)?;
            Some(usize::try_from(from).ok()?..usize::try_from(range.end - start).ok()?)
                .filter(|inside| inside.end <= bytes.len())
        };
        if let Some(inside) = inside(0, &self.head) {
            return Some(&self.head[inside]);
        }
        self.parts.iter().find_map(|part| Some(&part.bytes[inside(part.range.start, &part.bytes)?]))
    }
}

impl Source for Partial {
    fn size(&self) -> u64 {
        self.size
    }

    fn expect(&self, ranges: &[Range<u64>]) -> Result<(), Stop> {
        let missing: Vec<Range<u64>> =
            ranges.iter().filter(|range| !range.is_empty() && self.held(range).is_none()).cloned().collect();
        if missing.is_empty() { Ok(()) } else { Err(Stop::Missing(missing)) }
    }

    fn bytes(&self, offset: u64, size: u64) -> Result<Vec<u8>, Stop> {
        let range = offset..offset + size;
        self.held(&range).map(<[u8]>::to_vec).ok_or_else(|| Stop::Missing(vec![range]))
    }
}

/// The ranges in order, those that touch as one.
fn merged(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => merged.push(range),
        }
    }
    merged
}
