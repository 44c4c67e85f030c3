//! The blocks of one archive, kept beside its decoded form.
//!
//! ```text
//! file     "pinfold blocks 1\n" | number of blocks | block | block | … | SHA-256 of all before (32 bytes)
//! block    bits << 4 | kind << 2 | last << 1 | opens
//!          [first bit << 1 | fastest, first byte]       where `opens`: first byte it decodes to
//!          bytes it decodes to
//!          CRC-32 (4 bytes, little-endian)
//! ```
//! Numbers are LEB128. `opens` marks the first block of a stream.
//!
//! **Refuses**: other versions, a wrong checksum, more than [`MAX_BLOCKS`], a stream that opens anywhere but behind a
//! final block, output that goes back, positions beyond 2^60. A file that is refused is made again from the archive.

use pinfold_base::Digest;

use super::Block;
use super::BlockKind;
use super::Effort;

/// Most blocks that are kept, written and accepted. A real archive of 400 MB has 9000; one with more than this is made
/// of tiny blocks and not worth copying from.
pub const MAX_BLOCKS: usize = 1 << 18;

const MAGIC: &[u8] = b"pinfold blocks 1\n";
const CHECKSUM: usize = 32;
const LIMIT: u64 = 1 << 60;

/// The blocks of one archive in order: where they stand in the compressed file, and what they decode to.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Blocks {
    blocks: Vec<Block>,
}

/// Bytes that are no list of blocks.
#[derive(Debug, thiserror::Error)]
#[error("this is no list of deflate blocks: {0}")]
pub struct BlocksError(&'static str);

impl Blocks {
    /// The blocks in order. `None` where [`Blocks::push`] says no.
    pub fn new(blocks: impl IntoIterator<Item = Block>) -> Option<Self> {
        let mut kept = Self::default();
        blocks.into_iter().all(|block| kept.push(&block)).then_some(kept)
    }

    /// Adds the next block; false when there are [`MAX_BLOCKS`] already, or it does not follow on the one before: bit by bit
    /// and byte by byte within a stream; anywhere in the source, and anywhere behind in the output, where a stream opens.
    #[must_use]
    pub fn push(&mut self, block: &Block) -> bool {
        let follows = match self.blocks.last() {
            None => true,
            Some(before) if before.last => before.output.end <= block.output.start,
            Some(before) => (before.bits.end, before.output.end) == (block.bits.start, block.output.start),
        };
        let good = follows && self.blocks.len() < MAX_BLOCKS;
        if good {
            self.blocks.push(block.clone());
        }
        good
    }

    /// All blocks, in order.
    pub fn all(&self) -> &[Block] {
        &self.blocks
    }

    /// Whether the block with this index is the first of its stream, so that it cannot reach back.
    pub fn opens(&self, index: usize) -> bool {
        index == 0 || self.blocks.get(index - 1).is_some_and(|before| before.last)
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        write_number(&mut bytes, self.blocks.len() as u64);
        let mut opens = true;
        for block in &self.blocks {
            let kind = match block.kind {
                BlockKind::Stored => 0,
                BlockKind::Fixed => 1,
                BlockKind::Dynamic => 2,
            };
            let bits = block.bits.end - block.bits.start;
            write_number(&mut bytes, bits << 4 | kind << 2 | u64::from(block.last) << 1 | u64::from(opens));
            if opens {
                let fastest = u64::from(block.effort == Effort::Fastest);
                write_number(&mut bytes, block.bits.start << 1 | fastest);
                write_number(&mut bytes, block.output.start);
            }
            write_number(&mut bytes, block.output.end - block.output.start);
            bytes.extend_from_slice(&block.crc.to_le_bytes());
            opens = block.last;
        }
        let checksum = Digest::sha256(&bytes);
        bytes.extend_from_slice(checksum.bytes());
        bytes
    }

    /// Reads a file's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, BlocksError> {
        let end = bytes.len().checked_sub(CHECKSUM).ok_or(BlocksError("it is too short"))?;
        let (bytes, checksum) = bytes.split_at(end);
        let mut rest = bytes.strip_prefix(MAGIC).ok_or(BlocksError("it has another version"))?;
        if Digest::sha256(bytes).bytes() != checksum {
            return Err(BlocksError("its checksum does not match"));
        }
        let count = usize::try_from(read_number(&mut rest)?).unwrap_or(usize::MAX);
        if count > MAX_BLOCKS {
            return Err(BlocksError("it has too many blocks"));
        }
        let mut blocks = Vec::with_capacity(count);
        let (mut bit, mut output, mut effort, mut opens) = (0, 0, Effort::Other, true);
        for _ in 0..count {
            let head = read_number(&mut rest)?;
            if (head & 1 == 1) != opens {
                return Err(BlocksError("a stream begins in the wrong place"));
            }
            if opens {
                let start = read_number(&mut rest)?;
                effort = if start & 1 == 1 { Effort::Fastest } else { Effort::Other };
                bit = advance(0, start >> 1)?;
                let first = advance(0, read_number(&mut rest)?)?;
                if first < output {
                    return Err(BlocksError(
                        "the output of a stream begins before the one before it has ended",
                    ));
                }
                output = first;
            }
            let kind = match head >> 2 & 3 {
                0 => BlockKind::Stored,
                1 => BlockKind::Fixed,
                2 => BlockKind::Dynamic,
                _ => return Err(BlocksError("a block has an unknown kind")),
            };
            let bits = bit..advance(bit, head >> 4)?;
            let bytes = output..advance(output, read_number(&mut rest)?)?;
            let (crc, behind) = rest.split_first_chunk().ok_or(BlocksError("it is too short"))?;
            rest = behind;
            (bit, output, opens) = (bits.end, bytes.end, head & 2 == 2);
            blocks.push(Block {
                bits,
                output: bytes,
                kind,
                last: opens,
                crc: u32::from_le_bytes(*crc),
                effort,
            });
        }
        if rest.is_empty() {
            Ok(Self { blocks })
        } else {
            Err(BlocksError("something stands behind its end"))
        }
    }
}

fn advance(position: u64, by: u64) -> Result<u64, BlocksError> {
    position.checked_add(by).filter(|&sum| sum < LIMIT).ok_or(BlocksError("a position is too large"))
}

fn write_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read_number(bytes: &mut &[u8]) -> Result<u64, BlocksError> {
    let mut number = 0_u64;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(BlocksError("it is too short"))?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(BlocksError("a number is too large"))
}
