//! Decoders: gzip, xz, zstd, bzip2, lzip and the older lzma, behind one `Read`.
//!
//! **Guarantees**: every member, stream or frame of the input is read and every checksum checked (lzma has none); the end of the input is the
//! end of the last of them. An input that ends early, or goes on with something else (zeros included), is an
//! [`io::ErrorKind::InvalidData`] or [`io::ErrorKind::UnexpectedEof`], never a short read. Memory is bounded whatever the
//! input asks for ([`MAX_WINDOW`]).
//!
//! How much comes out is not limited here: callers count ([`crate::decoded`] does).

mod lzma;

use std::io;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;

/// The largest window that a decoder keeps for an input: 128 MiB, twice what `xz -9` asks for, and zstd's own default.
pub const MAX_WINDOW: u64 = 128 << 20;

/// How bytes are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// xz.
    Xz,
    /// Zstandard (RFC 8878).
    Zstd,
    /// bzip2.
    Bzip2,
    /// lzma, what xz was before (`xz --format=lzma`).
    Lzma,
    /// lzip.
    Lzip,
}

/// How many bytes tell how an input is compressed.
const START: usize = 13;

impl Compression {
    /// How an input is compressed, told by its first bytes (13 are enough). Anything unknown counts as not compressed.
    pub fn detect(start: &[u8]) -> Self {
        // The skippable frames of zstd (0x184D2A50 to 5F) may come first too.
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, 0x38, 0x50, 0x90, ..] => Self::Bzip2,
            [b'L', b'Z', b'I', b'P', 1, ..] => Self::Lzip,
            _ if is_lzma(start) => Self::Lzma,
            _ => Self::None,
        }
    }

    /// Looks at the first bytes of `inner` and gives them back in front of the rest.
    pub fn peek<R: Read>(mut inner: R) -> io::Result<(Self, impl Read + use<R>)> {
        let mut start = Vec::with_capacity(START);
        inner.by_ref().take(START as u64).read_to_end(&mut start)?;
        Ok((Self::detect(&start), io::Cursor::new(start).chain(inner)))
    }
}

/// Whether an lzma header is plausible; it has no name of its own. The rules are those of liblzma: usual properties, a
/// dictionary of 2^n or 2^n + 2^(n-1) bytes, and a length that is unknown or below 256 GiB.
fn is_lzma(start: &[u8]) -> bool {
    let Some(header) = start.first_chunk::<START>() else { return false };
    let [0x5d, d0, d1, d2, d3, length @ ..] = *header else { return false };
    let (dictionary, length) = (u32::from_le_bytes([d0, d1, d2, d3]), u64::from_le_bytes(length));
    let two = dictionary.is_power_of_two() || dictionary % 3 == 0 && (dictionary / 3).is_power_of_two();
    (dictionary >= 4096 && two || dictionary == u32::MAX) && (length == u64::MAX || length < 1 << 38)
}

/// Says of a decoder's refusal which limit it met.
struct Limited<R> {
    inner: R,
    asks: &'static str,
    most: u64,
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| refusal(error, self.asks, self.most))
    }
}

/// A decoder's refusal of an input that asks for too much, in our words: it is the input that is wrong, not the system.
fn refusal(error: io::Error, asks: &str, most: u64) -> io::Error {
    // The libraries have no kind of their own for it, only these words.
    const WORDS: [&str; 4] = [
        "requires too much memory",
        "needed memory too big",
        "dict size too large",
        "exceeds configured limit",
    ];
    let text = error.to_string();
    if !WORDS.iter().any(|words| text.contains(words)) {
        return error;
    }
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{asks} of more than {} MiB, the most that is kept", most >> 20),
    )
}

/// A decoder whose library has no kind of its own for what is wrong with an input: it is given one here.
struct Judged<D> {
    decoder: D,
    /// Whether what it reads from failed by itself.
    failed: Arc<AtomicBool>,
}

impl<D: Read> Read for Judged<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.decoder.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::Other if !self.failed.load(Ordering::Relaxed) => {
                io::Error::new(io::ErrorKind::InvalidData, error)
            }
            _ => error,
        })
    }
}

/// What a judged decoder reads from.
struct Source<R> {
    inner: R,
    failed: Arc<AtomicBool>,
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).inspect_err(|error| {
            if error.kind() != io::ErrorKind::Interrupted {
                self.failed.store(true, Ordering::Relaxed);
            }
        })
    }
}

/// Decodes `inner`.
pub fn decoder<'a>(
    compression: Compression,
    inner: impl Read + Send + 'a,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    decoder_within(compression, inner, MAX_WINDOW)
}

/// The same with a window of at most so many bytes, which are at least zstd's smallest (1 KiB).
pub fn decoder_within<'a>(
    compression: Compression,
    inner: impl Read + Send + 'a,
    most: u64,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    let kibibytes = u32::try_from(most >> 10).unwrap_or(u32::MAX);
    let failed = Arc::new(AtomicBool::new(false));
    let source = Source { inner, failed: Arc::clone(&failed) };
    Ok(match compression {
        Compression::None => Box::new(source.inner),
        Compression::Gzip => Box::new(MultiGzDecoder::new(source.inner)),
        Compression::Xz => {
            let inner = XzReader::new_mem_limit(source, true, kibibytes);
            let decoder = Limited { inner, asks: "the xz stream asks for a dictionary", most };
            Box::new(Judged { decoder, failed })
        }
        Compression::Bzip2 => Box::new(MultiBzDecoder::new(source.inner)),
        Compression::Lzma => Box::new(Judged { decoder: lzma::Lzma::new(source, most)?, failed }),
        Compression::Lzip => Box::new(Judged { decoder: lzma::Lzip::new(source, most), failed }),
        Compression::Zstd => {
            let mut inner = zstd::stream::read::Decoder::new(source)?;
            inner.window_log_max(most.ilog2())?;
            let decoder = Limited { inner, asks: "the zstd frame asks for a window", most };
            Box::new(Judged { decoder, failed })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tar::is_damage;

    // `printf 'hello\n' | gzip -n`, `| xz -9`, `| zstd`, `| bzip2`, `| xz --format=lzma`, each printed by `xxd -i`. The lzip has the lzma's
    // body between header and trailer as its manual says; `xz -d --format=lzip` of xz 5.4 reads it.
    const GZIP: &[u8] = &[
        0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0xe7, 0x02,
        0x00, 0x20, 0x30, 0x3a, 0x36, 0x06, 0x00, 0x00, 0x00,
    ];
    const XZ: &[u8] = &[
        0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00, 0x04, 0xe6, 0xd6, 0xb4, 0x46, 0x02, 0x00, 0x21, 0x01, 0x1c,
        0x00, 0x00, 0x00, 0x10, 0xcf, 0x58, 0xcc, 0x01, 0x00, 0x05, 0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x0a, 0x00,
        0x00, 0x00, 0xa5, 0x60, 0x97, 0xf1, 0x94, 0xf6, 0xfd, 0xe0, 0x00, 0x01, 0x1e, 0x06, 0xc1, 0x2f, 0xa4,
        0x1d, 0x1f, 0xb6, 0xf3, 0x7d, 0x01, 0x00, 0x00, 0x00, 0x00, 0x04, 0x59, 0x5a,
    ];
    const ZSTD: &[u8] = &[
        0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x58, 0x31, 0x00, 0x00, 0x68, 0x65, 0x6c, 0x6c, 0x6f, 0x0a, 0x53, 0x88,
        0xbd, 0x91,
    ];

    const BZIP2: &[u8] = &[
        0x42, 0x5a, 0x68, 0x39, 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, 0xc1, 0xc0, 0x80, 0xe2, 0x00, 0x00, 0x01,
        0x41, 0x00, 0x00, 0x10, 0x02, 0x44, 0xa0, 0x00, 0x30, 0xcd, 0x00, 0xc3, 0x46, 0x29, 0x97, 0x17, 0x72,
        0x45, 0x38, 0x50, 0x90, 0xc1, 0xc0, 0x80, 0xe2,
    ];
    const LZMA: &[u8] = &[
        0x5d, 0x00, 0x00, 0x80, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00, 0x34, 0x19, 0x49,
        0xee, 0x8d, 0xdd, 0x3d, 0x3a, 0xdf, 0xff, 0xff, 0xdd, 0x12, 0x00, 0x00,
    ];
    const LZIP: &[u8] = &[
        0x4c, 0x5a, 0x49, 0x50, 0x01, 0x17, 0x00, 0x34, 0x19, 0x49, 0xee, 0x8d, 0xdd, 0x3d, 0x3a, 0xdf, 0xff,
        0xff, 0xdd, 0x12, 0x00, 0x00, 0x20, 0x30, 0x3a, 0x36, 0x06, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x2a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    ];

    fn decoded(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let (compression, start) = Compression::peek(bytes)?;
        let mut out = Vec::new();
        decoder(compression, start)?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn every_stream_is_read() {
        for (expected, bytes) in [
            (Compression::Gzip, GZIP),
            (Compression::Xz, XZ),
            (Compression::Zstd, ZSTD),
            (Compression::Bzip2, BZIP2),
            (Compression::Lzip, LZIP),
        ] {
            assert_eq!(Compression::detect(bytes), expected);
            assert_eq!(decoded(bytes).unwrap(), b"hello\n");
            assert_eq!(decoded(&[bytes, bytes, bytes].concat()).unwrap(), b"hello\nhello\nhello\n");
        }
        // An lzma is one stream.
        assert_eq!(
            (Compression::detect(LZMA), decoded(LZMA).unwrap()),
            (Compression::Lzma, b"hello\n".to_vec())
        );
        assert!(decoded(&[LZMA, LZMA].concat()).is_err());
        for not in [&LZMA[..12], b"]\0\0\0\0\0\0\0\0\0\0\0\0", b"BZh9 is no bzip2", b"LZIP\x02"] {
            assert_eq!(Compression::detect(not), Compression::None, "{}", not.escape_ascii());
        }
        assert_eq!(decoded(b"plain").unwrap(), b"plain");
        assert_eq!(decoded(b"").unwrap(), b"");
    }

    #[test]
    fn what_ends_early_or_goes_on_is_an_error() {
        for bytes in [GZIP, XZ, ZSTD, BZIP2, LZMA, LZIP] {
            let compression = Compression::detect(bytes);
            let read = |bytes: &[u8]| {
                let mut out = Vec::new();
                decoder(compression, bytes).and_then(|mut decoder| decoder.read_to_end(&mut out))
            };
            for cut in 1..bytes.len() {
                let error = read(&bytes[..cut]).unwrap_err();
                assert!(is_damage(&error), "{compression:?} cut at {cut}: {error:?}");
            }
            for tail in [&b"garbage that follows"[..], b"x", b"\0"] {
                assert!(
                    read(&[bytes, tail].concat()).is_err_and(|error| is_damage(&error)),
                    "{compression:?} and {}",
                    tail.escape_ascii()
                );
            }
            // Half of a second stream.
            assert!(read(&[bytes, &bytes[..bytes.len() / 2]].concat()).is_err(), "{compression:?}");
        }
    }

    #[test]
    fn damage_is_noticed() {
        for bytes in [GZIP, XZ, ZSTD, BZIP2, LZIP] {
            let compression = Compression::detect(bytes);
            let mut harmed = bytes.to_vec();
            let at = bytes.windows(3).position(|part| part == b"hel").unwrap_or(12);
            harmed[at] ^= 1;
            let mut out = Vec::new();
            let error = decoder(compression, &harmed[..]).unwrap().read_to_end(&mut out).unwrap_err();
            assert!(is_damage(&error), "{compression:?}: {error:?}");
        }
    }

    #[test]
    fn what_the_source_says_is_no_damage() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the line is dead"))
            }
        }
        for bytes in [GZIP, XZ, ZSTD, BZIP2, LZMA, LZIP] {
            let compression = Compression::detect(bytes);
            let half = bytes[..bytes.len() * 3 / 4].chain(Broken);
            let error = decoder(compression, half).unwrap().read_to_end(&mut Vec::new()).unwrap_err();
            assert!(!is_damage(&error), "{compression:?}: {error:?}");
        }
    }
}
