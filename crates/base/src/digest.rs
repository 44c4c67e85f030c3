//! Digests in the spelling of OCI descriptors (`sha256:…`), of Debian (bare hexadecimal) and of npm (`sha512-…base64`).
//!
//! One hash implementation stands behind [`Hasher`], so that it can be changed in one place.

use std::fmt;
use std::io;
use std::io::Read;
use std::io::Write;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::Serialize;
use sha2::Digest as _;

/// The hash functions that pinfold accepts. SHA-1 and MD5 are never trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256, 32 bytes.
    Sha256,
    /// SHA-512, 64 bytes.
    Sha512,
}

impl Algorithm {
    /// The name in an OCI digest and in a store path.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Length of the digest in bytes.
    pub const fn size(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// A digest: algorithm and value. Ordered and printed as `algorithm:hex`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    bytes: Box<[u8]>,
}

/// Text that is not a digest.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not a digest: expected {expected}")]
pub struct ParseDigestError {
    text: String,
    expected: &'static str,
}

impl Digest {
    /// SHA-256 of `bytes`.
    pub fn sha256(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(bytes);
        hasher.finish()
    }

    /// A digest from its raw value; `None` when the length is wrong.
    pub fn from_bytes(algorithm: Algorithm, bytes: &[u8]) -> Option<Self> {
        (bytes.len() == algorithm.size()).then(|| Self { algorithm, bytes: bytes.into() })
    }

    /// Reads bare lower-case hexadecimal, as in a Debian `Packages` file.
    pub fn from_hex(algorithm: Algorithm, hex: &str) -> Result<Self, ParseDigestError> {
        let wrong = || ParseDigestError {
            text: hex.chars().take(140).collect(),
            expected: match algorithm {
                Algorithm::Sha256 => "64 lower-case hexadecimal digits",
                Algorithm::Sha512 => "128 lower-case hexadecimal digits",
            },
        };
        let digits = hex.as_bytes();
        if digits.len() != algorithm.size() * 2 {
            return Err(wrong());
        }
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        let mut bytes = Vec::with_capacity(algorithm.size());
        for pair in digits.chunks_exact(2) {
            let (Some(high), Some(low)) = (value(pair[0]), value(pair[1])) else { return Err(wrong()) };
            bytes.push(high << 4 | low);
        }
        Ok(Self { algorithm, bytes: bytes.into() })
    }

    /// Reads a Subresource Integrity string as npm's `dist.integrity` has it. Of several hashes the strongest is taken;
    /// SHA-1 alone is an error (W3C SRI, section 3.3).
    pub fn from_sri(text: &str) -> Result<Self, ParseDigestError> {
        let wrong = || ParseDigestError {
            text: text.chars().take(140).collect(),
            expected: "`sha512-` or `sha256-` followed by base64",
        };
        let mut best: Option<Self> = None;
        for word in text.split_ascii_whitespace() {
            let word = word.split('?').next().unwrap_or(word);
            let (algorithm, value) = if let Some(value) = word.strip_prefix("sha512-") {
                (Algorithm::Sha512, value)
            } else if let Some(value) = word.strip_prefix("sha256-") {
                (Algorithm::Sha256, value)
            } else {
                continue;
            };
            let bytes = STANDARD.decode(value).map_err(|_| wrong())?;
            let digest = Self::from_bytes(algorithm, &bytes).ok_or_else(wrong)?;
            if best.as_ref().is_none_or(|best| best.algorithm < digest.algorithm) {
                best = Some(digest);
            }
        }
        best.ok_or_else(wrong)
    }

    /// Which hash function made it.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The raw value.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The value in lower-case hexadecimal.
    pub fn hex(&self) -> String {
        use fmt::Write as _;
        self.bytes.iter().fold(String::with_capacity(self.bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// The first twelve hexadecimal digits, for people.
    pub fn short(&self) -> String {
        let mut hex = self.hex();
        hex.truncate(12);
        hex
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            Some(("sha256", hex)) => Self::from_hex(Algorithm::Sha256, hex),
            Some(("sha512", hex)) => Self::from_hex(Algorithm::Sha512, hex),
            _ => Err(ParseDigestError {
                text: text.chars().take(140).collect(),
                expected: "`sha256:` or `sha512:` followed by hexadecimal digits",
            }),
        }
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A running hash.
#[derive(Clone, Debug)]
pub enum Hasher {
    /// SHA-256.
    Sha256(sha2::Sha256),
    /// SHA-512.
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// A hash of nothing yet.
    pub fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => Self::Sha512(sha2::Sha512::new()),
        }
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    /// The digest of everything added.
    pub fn finish(self) -> Digest {
        match self {
            Self::Sha256(hash) => {
                Digest { algorithm: Algorithm::Sha256, bytes: hash.finalize().as_slice().into() }
            }
            Self::Sha512(hash) => {
                Digest { algorithm: Algorithm::Sha512, bytes: hash.finalize().as_slice().into() }
            }
        }
    }
}

/// Passes bytes on to a writer, hashing and counting them.
#[derive(Debug)]
pub struct HashingWriter<W> {
    inner: W,
    hasher: Hasher,
    written: u64,
}

impl<W: Write> HashingWriter<W> {
    /// Wraps `inner`.
    pub fn new(algorithm: Algorithm, inner: W) -> Self {
        Self { inner, hasher: Hasher::new(algorithm), written: 0 }
    }

    /// Bytes passed on so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The wrapped writer, the digest and the number of bytes.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.inner, self.hasher.finish(), self.written)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buf)?;
        self.hasher.update(&buf[..n]);
        self.written += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Hashes and counts what is read through it.
#[derive(Debug)]
pub struct HashingReader<R> {
    inner: R,
    hasher: Hasher,
    read: u64,
}

impl<R: Read> HashingReader<R> {
    /// Wraps `inner`.
    pub fn new(algorithm: Algorithm, inner: R) -> Self {
        Self { inner, hasher: Hasher::new(algorithm), read: 0 }
    }

    /// The wrapped reader, the digest and the number of bytes.
    pub fn finish(self) -> (R, Digest, u64) {
        (self.inner, self.hasher.finish(), self.read)
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.hasher.update(&buf[..n]);
        self.read += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // FIPS 180-4 examples, as printed by `sha256sum` and `openssl dgst -sha512 -binary | base64`.
    const ABC_256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const ABC_SRI: &str =
        "sha512-3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==";

    #[test]
    fn known_vectors() {
        assert_eq!(Digest::sha256(b"abc").hex(), ABC_256);
        let mut hasher = Hasher::new(Algorithm::Sha512);
        hasher.update(b"abc");
        assert_eq!(hasher.finish(), Digest::from_sri(ABC_SRI).unwrap());
    }

    #[test]
    fn spelling_round_trips() {
        let digest: Digest = format!("sha256:{ABC_256}").parse().unwrap();
        assert_eq!(digest.to_string(), format!("sha256:{ABC_256}"));
        assert_eq!(digest.short(), "ba7816bf8f01");
    }

    #[test]
    fn sri_takes_the_strongest_and_refuses_sha1() {
        let both = format!("sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J0= {ABC_SRI}");
        assert_eq!(Digest::from_sri(&both).unwrap().algorithm(), Algorithm::Sha512);
        assert!(Digest::from_sri("sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J0=").is_err());
        assert!(Digest::from_sri("sha512-AAAA").is_err());
    }

    #[test]
    fn upper_case_and_short_hex_are_refused() {
        assert!(Digest::from_hex(Algorithm::Sha256, &ABC_256.to_uppercase()).is_err());
        assert!(Digest::from_hex(Algorithm::Sha256, &ABC_256[1..]).is_err());
        assert!("md5:00".parse::<Digest>().is_err());
    }
}
