//! Deflate streams (RFC 1951) as publishers ship them: decoded strictly, with the boundaries of their blocks.
//!
//! A layer can take over blocks that a publisher has already compressed ([`crate::encode`]); for that it must know at
//! which bit each block of an archive begins, and which of the decoded bytes it stands for. [`Decoder`] reports that
//! while it decodes, [`crate::decoded`] keeps it beside the decoded form as [`Blocks`], [`DeflateSources`] gives it to the layer's writer.
//!
//! **Guarantees**: memory does not grow with the input (a window and two small buffers); positions are exact to the bit;
//! the result does not depend on how the reader cuts its bytes.
//!
//! **Refuses** exactly what zlib refuses inside a stream (module `inflate`) and in gzip headers and trailers (module `gzip`): others
//! would read such a stream differently. Behind the last member only zero bytes may follow, as GNU tar pads its output.

mod blocks;
mod code;
mod gzip;
mod inflate;
mod input;
mod recorder;

use std::io;
use std::ops::Range;
use std::sync::Arc;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::Kind;

pub use blocks::Blocks;
pub use blocks::BlocksError;
pub use blocks::MAX_BLOCKS;
pub use gzip::Decoder;
pub use recorder::Recorder;

/// How a block is compressed (RFC 1951, section 3.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BlockKind {
    /// Not at all.
    Stored,
    /// With the fixed codes.
    Fixed,
    /// With codes of its own.
    Dynamic,
}

/// What a gzip header says about the encoder's effort (RFC 1952, section 2.3.1, XFL).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effort {
    /// The fastest algorithm: level 1.
    Fastest,
    /// Any other, or unknown.
    Other,
}

/// One block of a deflate stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its bits in the source, from its header to the end of its data; bit 0 is the lowest of the source's first byte.
    pub bits: Range<u64>,
    /// The bytes it decodes to, counted over all streams of the source.
    pub output: Range<u64>,
    /// How it is compressed.
    pub kind: BlockKind,
    /// Whether it is marked as the final block of its stream.
    pub last: bool,
    /// CRC-32 of what its stream decodes to up to the end of this block.
    pub crc: u32,
    /// What its stream says about the encoder.
    pub effort: Effort,
}

impl Block {
    /// The same block where `bytes` more are decoded before it: a stream of an archive that is decoded entry by entry.
    #[must_use]
    pub fn behind(mut self, bytes: u64) -> Self {
        self.output = self.output.start + bytes..self.output.end + bytes;
        self
    }
}

/// Why a deflate stream is refused.
#[derive(Debug, thiserror::Error)]
pub enum InflateError {
    /// The source could not be read.
    #[error("failed to read the compressed stream")]
    Source(#[source] io::Error),
    /// The stream breaks a rule of its format.
    #[error("the compressed stream is invalid at bit {bit}: {what}")]
    Invalid {
        /// Where in the source.
        bit: u64,
        /// The rule.
        what: &'static str,
    },
    /// The stream stops before its end.
    #[error("the compressed stream is cut short at bit {bit}")]
    Truncated {
        /// Where in the source.
        bit: u64,
    },
    /// The decoded bytes are not those that were compressed.
    #[error("the decoded bytes have CRC-32 {actual:08x}, the stream's trailer says {expected:08x}")]
    Checksum {
        /// What the trailer says.
        expected: u32,
        /// That of the decoded bytes.
        actual: u32,
    },
    /// More or fewer bytes were decoded than were compressed.
    #[error("{actual} bytes (modulo 2^32) were decoded, the stream's trailer says {expected}")]
    Size {
        /// What the trailer says.
        expected: u32,
        /// Bytes decoded, modulo 2^32.
        actual: u32,
    },
}

impl Diagnose for InflateError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Source(error) => Diagnosis::Inner(error),
            _ => Diagnosis::Own(Kind::Integrity),
        }
    }
}

impl From<InflateError> for io::Error {
    fn from(error: InflateError) -> Self {
        match error {
            InflateError::Source(source) => source,
            InflateError::Truncated { .. } => Self::new(io::ErrorKind::UnexpectedEof, error),
            _ => Self::new(io::ErrorKind::InvalidData, error),
        }
    }
}

/// Gives the deflate blocks behind the decoded form of an archive, for layers that copy them.
pub trait DeflateSources: Send + Sync {
    /// The blocks of an archive; `None` when it is not a deflate source (or has more than [`MAX_BLOCKS`]). The answer
    /// depends on the archive's bytes alone, since the layer's bytes depend on the answer.
    fn blocks(&self, archive: &Digest) -> io::Result<Option<Arc<Blocks>>>;

    /// Fills `buffer` with the bytes of the compressed archive from `offset` on.
    fn read_at(&self, archive: &Digest, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

/// No archives: everything is compressed here.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSources;

impl DeflateSources for NoSources {
    fn blocks(&self, _: &Digest) -> io::Result<Option<Arc<Blocks>>> {
        Ok(None)
    }

    fn read_at(&self, archive: &Digest, _: u64, _: &mut [u8]) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::NotFound, format!("archive {archive} is not in the store")))
    }
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
