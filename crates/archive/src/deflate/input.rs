//! Bits out of a reader, the least significant bit of each byte first (RFC 1951, section 3.1.1).
//!
//! **Invariant**: `bits` holds `count` valid bits; what stands above them is either zero or equal to the bits that the next
//! bytes of the buffer would bring, so that taking those bytes again changes nothing.

use std::io;
use std::io::Read;

/// Bytes read from the source at a time.
const BUFFER: usize = 64 << 10;

/// Bytes that must be in the buffer for [`Input::take_word`] to be called twice.
pub(super) const TWO_WORDS: usize = 16;

/// A bit reader that knows its position in the source.
#[derive(Debug)]
pub(super) struct Input<R> {
    source: R,
    buffer: Box<[u8]>,
    /// Next byte of the buffer to be taken.
    pub(super) next: usize,
    /// End of the valid bytes of the buffer.
    end: usize,
    /// Position of the buffer's first byte in the source.
    offset: u64,
    ended: bool,
    /// Bits taken from the buffer but not used.
    pub(super) bits: u64,
    /// How many.
    pub(super) count: u32,
}

impl<R: Read> Input<R> {
    /// Reads `source`, whose first byte has position `offset`.
    pub(super) fn new(source: R, offset: u64) -> Self {
        Self {
            source,
            buffer: vec![0; BUFFER].into(),
            next: 0,
            end: 0,
            offset,
            ended: false,
            bits: 0,
            count: 0,
        }
    }

    /// Position of the next bit in the source.
    pub(super) fn position(&self) -> u64 {
        (self.offset + self.next as u64) * 8 - u64::from(self.count)
    }

    /// The valid bytes of the buffer; [`Input::next`] counts from its start.
    pub(super) fn buffered(&self) -> &[u8] {
        &self.buffer[..self.end]
    }

    /// Gives whole bytes that were taken as bits back to the buffer.
    pub(super) fn give_back(&mut self) {
        self.next -= (self.count / 8) as usize;
        self.count %= 8;
        self.bits &= (1 << self.count) - 1;
    }

    /// Sees to it that the buffer holds at least `bytes` (64 at most) unless the source ends before; says how many.
    pub(super) fn fill(&mut self, bytes: usize) -> io::Result<usize> {
        if self.end - self.next < bytes && !self.ended {
            // Bytes given back are not new ones: without counting them a caller that takes them again would never end.
            let wanted = bytes + (self.count / 8) as usize;
            self.give_back();
            self.buffer.copy_within(self.next..self.end, 0);
            self.offset += self.next as u64;
            (self.next, self.end) = (0, self.end - self.next);
            while self.end < wanted && !self.ended {
                match self.source.read(&mut self.buffer[self.end..]) {
                    Ok(0) => self.ended = true,
                    Ok(n) => self.end += n,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(self.end - self.next)
    }

    /// Takes bytes one by one until at least `wanted` bits (56 at most) are there or the source ends.
    pub(super) fn gather(&mut self, wanted: u32) -> io::Result<()> {
        while self.count < wanted && self.fill(1)? > 0 {
            self.bits |= u64::from(self.buffer[self.next]) << self.count;
            self.next += 1;
            self.count += 8;
        }
        Ok(())
    }

    /// The next `wanted` bits (32 at most), or `None` at the end of the source.
    pub(super) fn take(&mut self, wanted: u32) -> io::Result<Option<u32>> {
        self.gather(wanted)?;
        if self.count < wanted {
            return Ok(None);
        }
        let value = self.bits & ((1 << wanted) - 1);
        self.drop_bits(wanted);
        Ok(Some(value as u32))
    }

    /// Passes over bits that are there.
    pub(super) fn drop_bits(&mut self, bits: u32) {
        self.bits >>= bits;
        self.count -= bits;
    }

    /// Passes over the rest of a byte that has begun.
    pub(super) fn align(&mut self) {
        self.drop_bits(self.count % 8);
        self.give_back();
    }

    /// The next byte, at a byte boundary; `None` at the end of the source.
    pub(super) fn byte(&mut self) -> io::Result<Option<u8>> {
        self.give_back();
        if self.fill(1)? == 0 {
            return Ok(None);
        }
        let byte = self.buffer[self.next];
        self.next += 1;
        Ok(Some(byte))
    }
}
