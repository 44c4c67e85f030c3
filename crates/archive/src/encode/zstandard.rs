//! zstd frames, one per segment (RFC 8878, section 3.1: frames may be concatenated).

use zstd::bulk::Compressor;

use super::EncodeError;

/// Bytes of tar per frame. Changing it changes every digest.
pub(super) const SEGMENT: usize = 4 << 20;

/// The encoder and its revision, as the lock names it.
pub(super) fn encoder() -> String {
    format!("zstd-{}", zstd::zstd_safe::version_string())
}

/// Compresses whole segments, each to a frame that names its content size.
pub(super) struct Segments {
    encoder: Compressor<'static>,
}

impl Segments {
    pub(super) fn new(level: u8) -> Result<Self, EncodeError> {
        let encoder = Compressor::new(i32::from(level)).map_err(|_| EncodeError::Encoder("zstd"))?;
        Ok(Self { encoder })
    }

    /// Puts `segment` as one frame into `out`, which is empty.
    pub(super) fn compress(&mut self, segment: &[u8], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.reserve(zstd::zstd_safe::compress_bound(segment.len()));
        self.encoder.compress_to_buffer(segment, out).map_err(|_| EncodeError::Encoder("zstd"))?;
        Ok(())
    }
}
