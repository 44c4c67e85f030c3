//! Streams for tests: made by two foreign encoders or bit by bit, read by two foreign decoders.

use flate2::Compress;
use flate2::Compression;
use flate2::Decompress;
use flate2::FlushCompress;
use flate2::FlushDecompress;
use flate2::Status;
use miniz_oxide::deflate::core::CompressionStrategy;

/// Bytes that compress to about a third, by a xorshift generator.
pub(crate) fn text(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 16);
    let mut random = Random(seed | 1);
    while bytes.len() < len {
        bytes.extend_from_slice(format!("{:x} ", random.next() % 5000).as_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Bytes that do not compress.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed | 1);
    (0..len).map(|_| random.next() as u8).collect()
}

/// A xorshift generator, the same on every machine.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }
}

/// How a sample is compressed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Encoder {
    /// zlib-rs at this level, flushed after every so many bytes.
    Zlib(u32, FlushCompress, usize),
    /// miniz_oxide at this level with this strategy.
    Miniz(i32, CompressionStrategy),
}

/// A bare stream.
pub(crate) fn deflate(bytes: &[u8], encoder: Encoder) -> Vec<u8> {
    match encoder {
        Encoder::Zlib(level, flush, every) => {
            let mut encoder = Compress::new(Compression::new(level), false);
            let mut out = Vec::with_capacity(bytes.len() * 2 + 1024);
            for chunk in bytes.chunks(every) {
                encoder.compress_vec(chunk, &mut out, flush).unwrap();
                out.reserve(bytes.len() + 1024);
            }
            assert_eq!(
                encoder.compress_vec(&[], &mut out, FlushCompress::Finish).unwrap(),
                Status::StreamEnd
            );
            assert_eq!(encoder.total_in(), bytes.len() as u64);
            out
        }
        Encoder::Miniz(level, strategy) => {
            let flags =
                miniz_oxide::deflate::core::create_comp_flags_from_zip_params(level, 0, strategy as i32);
            let mut encoder = miniz_oxide::deflate::core::CompressorOxide::new(flags);
            let mut out = Vec::new();
            let (status, _) = miniz_oxide::deflate::core::compress_to_output(
                &mut encoder,
                bytes,
                miniz_oxide::deflate::core::TDEFLFlush::Finish,
                |part| {
                    out.extend_from_slice(part);
                    true
                },
            );
            assert_eq!(status, miniz_oxide::deflate::core::TDEFLStatus::Done);
            out
        }
    }
}

/// A gzip member around a bare stream.
pub(crate) fn member(stream: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3];
    file.extend_from_slice(stream);
    file.extend_from_slice(&crc32fast::hash(bytes).to_le_bytes());
    file.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    file
}

/// What zlib-rs makes of a stream: the bytes and how much it read, or `None` when it refuses.
pub(crate) fn zlib(stream: &[u8], mut decoder: Decompress) -> Option<(Vec<u8>, usize)> {
    let mut out = Vec::with_capacity(64 << 10);
    loop {
        let rest = &stream[usize::try_from(decoder.total_in()).unwrap()..];
        let before = (decoder.total_in(), decoder.total_out());
        match decoder.decompress_vec(rest, &mut out, FlushDecompress::None) {
            Ok(Status::StreamEnd) => return Some((out, usize::try_from(decoder.total_in()).unwrap())),
            Ok(_) if (decoder.total_in(), decoder.total_out()) != before || out.len() == out.capacity() => {
                out.reserve(64 << 10);
            }
            _ => return None,
        }
    }
}

/// What miniz_oxide makes of a bare stream.
pub(crate) fn miniz(stream: &[u8]) -> Option<Vec<u8>> {
    miniz_oxide::inflate::decompress_to_vec(stream).ok()
}

/// Bits, lowest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bits {
    pub(crate) bytes: Vec<u8>,
    pub(crate) len: usize,
}

impl Bits {
    /// Appends the lowest `count` bits of `value`.
    pub(crate) fn put(&mut self, value: u64, count: usize) -> &mut Self {
        for bit in 0..count {
            if self.len.is_multiple_of(8) {
                self.bytes.push(0);
            }
            self.bytes[self.len / 8] |= ((value >> bit & 1) as u8) << (self.len % 8);
            self.len += 1;
        }
        self
    }

    /// Appends a Huffman code, whose first bit is its highest.
    pub(crate) fn code(&mut self, code: u64, count: usize) -> &mut Self {
        for bit in (0..count).rev() {
            self.put(code >> bit & 1, 1);
        }
        self
    }

    /// Appends a symbol of the fixed code for literals and lengths (RFC 1951, section 3.2.6).
    pub(crate) fn fixed(&mut self, symbol: u64) -> &mut Self {
        match symbol {
            0..=143 => self.code(0x30 + symbol, 8),
            144..=255 => self.code(0x190 + symbol - 144, 9),
            256..=279 => self.code(symbol - 256, 7),
            _ => self.code(0xc0 + symbol - 280, 8),
        }
    }

    /// Appends the header of a dynamic block whose code lengths are given as written symbols: `(symbol, extra bits)`.
    /// `code` are the lengths of the code-length code by symbol; its codes are given out canonically.
    pub(crate) fn dynamic(
        &mut self,
        (literals, distances): (u64, u64),
        code: [u8; 19],
        symbols: &[(u64, u64)],
    ) -> &mut Self {
        self.put(literals - 257, 5).put(distances - 1, 5).put(15, 4);
        for place in [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15] {
            self.put(u64::from(code[place]), 3);
        }
        let codes = canonical(&code);
        for &(symbol, extra) in symbols {
            let at = usize::try_from(symbol).unwrap();
            self.code(codes[at], usize::from(code[at]));
            self.put(
                extra,
                match symbol {
                    16 => 2,
                    17 => 3,
                    18 => 7,
                    _ => 0,
                },
            );
        }
        self
    }

    /// Up to the next byte.
    pub(crate) fn align(&mut self) -> &mut Self {
        self.put(0, (8 - self.len % 8) % 8)
    }
}

/// The codes that RFC 1951, section 3.2.2 gives to these lengths, by the algorithm printed there.
pub(crate) fn canonical(lengths: &[u8]) -> Vec<u64> {
    let mut next = [0_u64; 17];
    for bits in 1..=16_usize {
        let shorter = lengths.iter().filter(|&&len| usize::from(len) == bits - 1 && len > 0).count();
        next[bits] = (next[bits - 1] + shorter as u64) << 1;
    }
    lengths
        .iter()
        .map(|&len| {
            let code = next[usize::from(len)];
            next[usize::from(len)] += 1;
            code
        })
        .collect()
}
