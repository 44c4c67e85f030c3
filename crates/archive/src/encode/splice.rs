//! A run of foreign blocks as bytes of the layer, without shifting a bit.
//!
//! ```text
//! layer     | empty blocks … |first byte| bytes of the archive as they are |last byte| 00 00 ff ff |
//! bits      0                p                                                        e  000 pad
//! ```
//!
//! Our own segments end on a byte boundary, a foreign block begins anywhere in a byte. Shifting it would cost time and break
//! stored blocks, whose bytes are aligned. Instead empty blocks are written until the layer stands at the same bit of a
//! byte as the archive does (its *phase*): an empty block with fixed codes has 10 bits, one with codes of its own can have
//! 91. Then all bytes but the first and the last are copied. An empty stored block leads back to a byte boundary, at the end
//! and wherever a run goes on in the next stream; the mark of a final block is cleared.

use std::ops::Range;

use crate::deflate::Block;

/// Bytes of the archive copied by one job.
const COPY: u64 = 1 << 20;

/// The end of an empty stored block: its length and the complement.
const STORED_END: [u8; 4] = [0, 0, 0xff, 0xff];

/// An empty block with fixed codes: not final, type 1, end of block.
const EMPTY_FIXED: (u128, u32) = (0b010, 10);

/// An empty block with codes of its own, 91 bits, lowest first:
/// not final, type 2; 257 literals (5 bits), 1 distance (5), 18 code lengths (4);
/// in the order 16 17 18 0 8 … 14 1: length 1 for symbols 18 and 1, else 0 (18 × 3);
/// code 18 is `1`, code 1 is `0`: 138 zeros, 117 zeros (8 each), literal 255, end of block, the distance (1 each);
/// literal 255 is `0`, end of block `1`.
const EMPTY_DYNAMIC: (u128, u32) = {
    let fields: [(u128, u32); 11] = [
        (0b100, 3),
        (0, 5),
        (0, 5),
        (14, 4),
        // Symbol 18 is the third, symbol 1 the eighteenth.
        (1 << 6 | 1 << 51, 54),
        (1 | 127 << 1, 8),
        (1 | (117 - 11) << 1, 8),
        (0, 1),
        (0, 1),
        (0, 1),
        (1, 1),
    ];
    let (mut bits, mut len, mut at) = (0, 0, 0);
    while at < fields.len() {
        bits |= fields[at].0 << len;
        len += fields[at].1;
        at += 1;
    }
    (bits, len)
};

/// A byte of the archive that is not copied as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Patch {
    /// Which byte of the archive.
    pub(super) at: u64,
    /// Bits of it that stay.
    pub(super) keep: u8,
    /// Bits that are set then.
    pub(super) set: u8,
}

/// A piece of the layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Bytes of the archive, with some of them changed.
    Copy {
        /// Which bytes of the archive; 1 MiB at most.
        range: Range<u64>,
        /// Changes within the range, in order.
        patches: Vec<Patch>,
    },
}

/// The parts that a run of blocks consists of, from a byte boundary to a byte boundary. A stream that opens inside the
/// run must do so on a byte boundary.
pub(super) fn parts(blocks: &[Block]) -> Vec<Part> {
    let mut splice = Splice::default();
    let mut at = 0;
    while let Some(first) = blocks.get(at) {
        // As far as the bits join: to the end of the stream or of the run.
        let len = blocks[at..].iter().position(|block| block.last).map_or(blocks.len() - at, |last| last + 1);
        let stream = &blocks[at..at + len];
        splice.lead_to((first.bits.start % 8) as u32);
        splice.copy(stream);
        splice.align();
        at += len;
    }
    splice.flush();
    splice.parts
}

/// The layer as far as it is laid out.
#[derive(Debug, Default)]
struct Splice {
    parts: Vec<Part>,
    /// Bytes that are complete but not yet a part.
    bytes: Vec<u8>,
    /// The byte being filled: which byte of the archive its lower bits are from, the mask of these bits, bits set by us.
    source: Option<(u64, u8)>,
    set: u8,
    /// How many bits of it are filled, 0 to 7.
    phase: u32,
}

impl Splice {
    fn put(&mut self, mut bits: u128, mut len: u32) {
        while len > 0 {
            let n = len.min(8 - self.phase);
            self.set |= ((bits & ((1 << n) - 1)) as u8) << self.phase;
            self.phase += n;
            (bits, len) = (bits >> n, len - n);
            if self.phase == 8 {
                self.finish_byte();
            }
        }
    }

    /// The byte being filled is full.
    fn finish_byte(&mut self) {
        match self.source.take() {
            None => self.bytes.push(self.set),
            Some((at, keep)) => {
                self.flush();
                self.parts
                    .push(Part::Copy { range: at..at + 1, patches: vec![Patch { at, keep, set: self.set }] });
            }
        }
        (self.set, self.phase) = (0, 0);
    }

    /// Empty blocks from a byte boundary to a phase. A block of 91 bits changes the parity, those of 10 bits do the rest.
    fn lead_to(&mut self, phase: u32) {
        if phase % 2 == 1 {
            self.put(EMPTY_DYNAMIC.0, EMPTY_DYNAMIC.1);
        }
        while self.phase != phase {
            self.put(EMPTY_FIXED.0, EMPTY_FIXED.1);
        }
    }

    /// Copies blocks that join bit by bit; the layer is in the phase of the first.
    fn copy(&mut self, stream: &[Block]) {
        let (Some(first), Some(last)) = (stream.first(), stream.last()) else { return };
        let (start, end) = (first.bits.start, last.bits.end);
        self.flush();
        let mut patches = Vec::new();
        if self.phase > 0 {
            patches.push(Patch { at: start / 8, keep: 0xff << self.phase, set: self.set });
        }
        if last.last {
            let (at, bit) = (last.bits.start / 8, last.bits.start % 8);
            patches.push(Patch { at, keep: !(1 << bit), set: 0 });
        }
        (self.set, self.phase) = (0, 0);
        let mut patches = patches.into_iter().peekable();
        let mut at = start / 8;
        while at < end / 8 {
            let range = at..(end / 8).min(at + COPY);
            let mut inside = Vec::new();
            while let Some(patch) = patches.next_if(|patch| range.contains(&patch.at)) {
                inside.push(patch);
            }
            at = range.end;
            self.parts.push(Part::Copy { range, patches: inside });
        }
        // What begins the last byte is the archive's, what follows is ours.
        self.phase = (end % 8) as u32;
        if self.phase > 0 {
            let mut keep = 0xff >> (8 - self.phase);
            for patch in patches {
                keep &= patch.keep;
                self.set |= patch.set;
            }
            self.source = Some((end / 8, keep));
        }
    }

    /// An empty stored block.
    fn align(&mut self) {
        self.put(0, 3);
        self.put(0, (8 - self.phase) % 8);
        self.bytes.extend_from_slice(&STORED_END);
    }

    fn flush(&mut self) {
        if !self.bytes.is_empty() {
            self.parts.push(Part::Bytes(std::mem::take(&mut self.bytes)));
        }
    }
}
