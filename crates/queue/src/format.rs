//! PFQ1: one sealed file (docs/queue.md).
//!
//! ```text
//!   0   4  magic `PFQ1`                 16  8  created, ms since the epoch      all big-endian
//!   4   1  version 1                    24 32  salt, random
//!   5   1  direction `i`, `o` or `s`    56  …  ciphertext of the body
//!   6   2  reserved, 0                   …  16 tag
//!   8   8  sequence
//!
//!   message key = HKDF-SHA256(ikm = session key, salt, info = "pinfold queue v1" ‖ direction), 32 bytes
//!   AES-256-GCM, nonce of 12 zero bytes, additional data = header ‖ name of the sandbox
//! ```
//!
//! Each message has a key of its own, so there is no nonce to keep: a crash cannot use one twice.
//!
//! **Refuses** a header that is not exactly this, another direction or sequence than the place says, and every tag that does not
//! match.

use std::fmt;

use ring::aead;
use ring::aead::Aad;
use ring::aead::LessSafeKey;
use ring::aead::Nonce;
use ring::aead::UnboundKey;
use ring::hkdf;
use ring::rand::SecureRandom as _;
use ring::rand::SystemRandom;

use crate::key::SandboxId;
use crate::key::SessionKey;

/// First bytes of every file.
pub const MAGIC: [u8; 4] = *b"PFQ1";
/// The only version.
pub const VERSION: u8 = 1;
/// Bytes of a header.
pub const HEADER: usize = 56;
/// Bytes of a tag.
pub const TAG: usize = 16;
/// Most bytes of a message's body.
pub const BODY_MAX: usize = 1 << 20;
/// Most bytes of the body of a state.
pub const STATE_MAX: usize = 4 << 20;

const SALT: usize = 32;
const INFO: &[u8] = b"pinfold queue v1";

/// Who a file is from and for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the host to the worker.
    ToWorker,
    /// From the worker to the host.
    FromWorker,
    /// From a writer to itself.
    State,
}

impl Direction {
    /// Its byte in a header.
    pub const fn byte(self) -> u8 {
        match self {
            Self::ToWorker => b'i',
            Self::FromWorker => b'o',
            Self::State => b's',
        }
    }

    /// Most bytes of a body.
    pub const fn body_max(self) -> usize {
        match self {
            Self::ToWorker | Self::FromWorker => BODY_MAX,
            Self::State => STATE_MAX,
        }
    }

    /// Most bytes of a file.
    pub const fn file_max(self) -> usize {
        HEADER + self.body_max() + TAG
    }

    fn of(byte: u8) -> Option<Self> {
        [Self::ToWorker, Self::FromWorker, Self::State].into_iter().find(|one| one.byte() == byte)
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ToWorker => "to the worker",
            Self::FromWorker => "from the worker",
            Self::State => "a side's own state",
        })
    }
}

/// What stands before the ciphertext, readable by everybody and changeable by nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who it is from and for.
    pub direction: Direction,
    /// Its place among the files of its direction; of a state, how often it was written.
    pub seq: u64,
    /// Milliseconds since the epoch, by its writer's clock.
    pub created: u64,
    /// Random, never used twice with a key.
    pub salt: [u8; SALT],
}

impl Header {
    /// One with a new salt.
    pub fn new(direction: Direction, seq: u64, created: u64) -> Result<Self, FormatError> {
        let mut salt = [0; SALT];
        SystemRandom::new().fill(&mut salt).map_err(|_| FormatError::NoRandomness)?;
        Ok(Self { direction, seq, created, salt })
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = VERSION;
        bytes[5] = self.direction.byte();
        bytes[8..16].copy_from_slice(&self.seq.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.created.to_be_bytes());
        bytes[24..].copy_from_slice(&self.salt);
        bytes
    }

    /// The header of a file, of which nothing is proved yet.
    pub fn parse(file: &[u8]) -> Result<Self, FormatError> {
        let Some((header, _)) = file.split_first_chunk::<HEADER>() else {
            let known = file.len().min(MAGIC.len());
            return Err(if file[..known] == MAGIC[..known] {
                FormatError::Truncated(file.len())
            } else {
                FormatError::Magic
            });
        };
        if header[..4] != MAGIC {
            return Err(FormatError::Magic);
        }
        if header[4] != VERSION {
            return Err(FormatError::Version(header[4]));
        }
        let direction = Direction::of(header[5]).ok_or(FormatError::UnknownDirection(header[5]))?;
        if header[6..8] != [0, 0] {
            return Err(FormatError::Reserved);
        }
        let number = |at: usize| header[at..at + 8].iter().fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
        let mut salt = [0; SALT];
        salt.copy_from_slice(&header[24..]);
        Ok(Self { direction, seq: number(8), created: number(16), salt })
    }
}

/// Why bytes are no file of this place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// It begins otherwise.
    #[error("it does not begin with `PFQ1`")]
    Magic,
    /// Another version.
    #[error("version {0} of the format is not known")]
    Version(u8),
    /// A direction that there is none of.
    #[error("direction {0:#04x} is not known")]
    UnknownDirection(u8),
    /// Bytes that must be 0.
    #[error("reserved bytes are not 0")]
    Reserved,
    /// It ends before the header and the tag do.
    #[error("it ends after {0} bytes")]
    Truncated(usize),
    /// It is larger than any message.
    #[error("{0} bytes are more than a message may have")]
    TooLarge(usize),
    /// Made for the other side.
    #[error("it is {found}, and stands where what is {expected} does")]
    Direction {
        /// What the header says.
        found: Direction,
        /// What the place says.
        expected: Direction,
    },
    /// Another place.
    #[error("it is number {found}, and stands in the place of {expected}")]
    Sequence {
        /// What the header says.
        found: u64,
        /// What its name says.
        expected: u64,
    },
    /// Not sealed with this key for this sandbox, or changed since.
    #[error("its tag does not match: another key or sandbox, or its bytes were changed")]
    Tag,
    /// The kernel gave no random bytes.
    #[error("the kernel gives no random bytes")]
    NoRandomness,
}

/// Seals a body. Fails where it is larger than [`Direction::body_max`].
pub fn seal(
    key: &SessionKey,
    sandbox: &SandboxId,
    header: &Header,
    body: &[u8],
) -> Result<Vec<u8>, FormatError> {
    if body.len() > header.direction.body_max() {
        return Err(FormatError::TooLarge(body.len()));
    }
    let bytes = header.to_bytes();
    let mut file = Vec::with_capacity(HEADER + body.len() + TAG);
    file.extend_from_slice(&bytes);
    file.extend_from_slice(body);
    let tag = message_key(key, header)
        .seal_in_place_separate_tag(nonce(), additional(&bytes, sandbox), &mut file[HEADER..])
        .map_err(|_| FormatError::TooLarge(body.len()))?;
    file.extend_from_slice(tag.as_ref());
    Ok(file)
}

/// Opens the file that stands in this place; `seq` is nothing where the place says no number (a state). The body takes the place of
/// the file, so that a large one is not there twice.
pub fn open(
    key: &SessionKey,
    sandbox: &SandboxId,
    expected: Direction,
    seq: Option<u64>,
    mut file: Vec<u8>,
) -> Result<(Header, Vec<u8>), FormatError> {
    let header = Header::parse(&file)?;
    if header.direction != expected {
        return Err(FormatError::Direction { found: header.direction, expected });
    }
    if let Some(expected) = seq
        && header.seq != expected
    {
        return Err(FormatError::Sequence { found: header.seq, expected });
    }
    if file.len() < HEADER + TAG {
        return Err(FormatError::Truncated(file.len()));
    }
    if file.len() > expected.file_max() {
        return Err(FormatError::TooLarge(file.len()));
    }
    let mut bytes = [0; HEADER];
    bytes.copy_from_slice(&file[..HEADER]);
    let length = message_key(key, &header)
        .open_within(nonce(), additional(&bytes, sandbox), &mut file, HEADER..)
        .map_err(|_| FormatError::Tag)?
        .len();
    file.truncate(length);
    Ok((header, file))
}

/// The key of one message.
fn message_key(key: &SessionKey, header: &Header) -> LessSafeKey {
    let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, &header.salt).extract(key.expose());
    let direction = [header.direction.byte()];
    let info = [INFO, &direction];
    let key = secret.expand(&info, &aead::AES_256_GCM).map(UnboundKey::from);
    LessSafeKey::new(key.expect("HKDF-SHA256 gives 32 bytes"))
}

/// Zeros: the key is used once.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; aead::NONCE_LEN])
}

fn additional(header: &[u8; HEADER], sandbox: &SandboxId) -> Aad<Vec<u8>> {
    Aad::from([header, sandbox.as_str().as_bytes()].concat())
}

#[cfg(test)]
mod tests;
