//! The parts of a gzip member (RFC 1952, RFC 1951).

use flate2::Compress;
use flate2::Compression;
use flate2::FlushCompress;
use flate2::Status;

use super::EncodeError;

/// The encoder and its revision, as the lock names it. Another revision may give other bytes.
pub(super) const ENCODER: &str = "zlib-rs-0.6.8";

/// Bytes of tar per segment. Changing it changes every digest.
pub(super) const SEGMENT: usize = 1 << 20;

/// The encoder's output depends on how its input is cut into calls; so it is always cut every 64 KiB of the segment.
const FEED: usize = 64 << 10;

/// Magic, deflate, no flags, no time, XFL 0, operating system unknown.
pub(super) const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// An empty final block with fixed codes, from a byte boundary to the end of its second byte.
pub(super) const LAST_BLOCK: [u8; 2] = [3, 0];

/// CRC-32 and length modulo 2^32, both little-endian.
pub(super) fn trailer(crc: u32, size: u64) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes[..4].copy_from_slice(&crc.to_le_bytes());
    bytes[4..].copy_from_slice(&(size as u32).to_le_bytes());
    bytes
}

/// Appends stored blocks (RFC 1951, section 3.2.4) of all bytes to `out`, from one byte boundary to another.
pub(super) fn store(bytes: &[u8], out: &mut Vec<u8>) {
    const MOST: usize = u16::MAX as usize;
    out.reserve(bytes.len() + 5 * bytes.len().div_ceil(MOST));
    for block in bytes.chunks(MOST) {
        // Not the last block, and of no compression; the rest of the byte is skipped.
        let length = block.len() as u16;
        out.push(0);
        out.extend(length.to_le_bytes());
        out.extend((!length).to_le_bytes());
        out.extend(block);
    }
}

/// Deflates whole segments; reset for each, so that a segment's bytes depend on nothing before it.
#[derive(Debug)]
pub(super) struct Segments {
    encoder: Compress,
    /// What the encoder writes to, kept at its length: where a `Vec` is to grow, all of its room is filled with zeros first, at each call.
    room: Vec<u8>,
}

impl Segments {
    pub(super) fn new(level: u8) -> Self {
        Self { encoder: Compress::new(Compression::new(u32::from(level)), false), room: Vec::new() }
    }

    /// Appends `segment` deflated and ended by a sync flush to `out`, which is empty.
    pub(super) fn deflate(&mut self, segment: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let failed = || EncodeError::Encoder("gzip");
        self.encoder.reset();
        // Room for the worst case (stored blocks), so that the encoder never has to stop for want of space.
        let worst = segment.len() + segment.len() / 512 + FEED;
        self.room.resize(self.room.len().max(worst), 0);
        let mut written = 0;
        let mut pieces = segment.chunks(FEED).peekable();
        while let Some(mut piece) = pieces.next() {
            let flush = if pieces.peek().is_some() { FlushCompress::None } else { FlushCompress::Sync };
            loop {
                let before = self.encoder.total_in();
                let room = self.room.get_mut(written..).ok_or_else(failed)?;
                let status = self.encoder.compress(piece, room, flush).map_err(|_| failed())?;
                let taken = usize::try_from(self.encoder.total_in() - before).map_err(|_| failed())?;
                piece = piece.get(taken..).ok_or_else(failed)?;
                written = usize::try_from(self.encoder.total_out()).map_err(|_| failed())?;
                // Space left means that everything was taken and the flush is complete.
                if written < self.room.len() {
                    break;
                }
                if status != Status::Ok {
                    return Err(failed());
                }
                self.room.resize(written + FEED, 0);
            }
            if !piece.is_empty() {
                return Err(failed());
            }
        }
        out.extend_from_slice(self.room.get(..written).ok_or_else(failed)?);
        Ok(())
    }
}
