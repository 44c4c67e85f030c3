//! What both sides know before the first message: the session's key and the sandbox's name.

use std::fmt;
use std::hint::black_box;

use ring::rand::SecureRandom as _;
use ring::rand::SystemRandom;

use crate::format::FormatError;

/// Bytes of a key.
pub const KEY: usize = 32;

/// The key of one sandbox's queues. It has no `Display`, its `Debug` says nothing, and its bytes are overwritten when it is dropped
/// (as far as safe code can: what the compiler copied meanwhile stays).
#[derive(Clone)]
pub struct SessionKey([u8; KEY]);

impl SessionKey {
    /// A new one, of the kernel's randomness.
    pub fn generate() -> Result<Self, FormatError> {
        let mut bytes = [0; KEY];
        SystemRandom::new().fill(&mut bytes).map_err(|_| FormatError::NoRandomness)?;
        Ok(Self(bytes))
    }

    /// The one that a file held; nothing unless these are exactly 32 bytes, not all of them the same.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; KEY] = bytes.try_into().ok()?;
        // A file that was made and never written has zeros.
        bytes.iter().any(|byte| *byte != bytes[0]).then_some(Self(bytes))
    }

    /// The bytes, to be handed over.
    pub fn expose(&self) -> &[u8; KEY] {
        &self.0
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionKey(…)")
    }
}

impl Drop for SessionKey {
    fn drop(&mut self) {
        self.0.fill(0);
        black_box(&mut self.0);
    }
}

/// The name of a sandbox, which every tag covers: a message of one is none of another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxId(String);

impl SandboxId {
    /// Longest name, in bytes.
    pub const MAX: usize = 64;

    /// A name as sandboxes have: 1 to 64 letters, digits and `@._-`, a letter or digit first.
    pub fn new(name: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"@._-".contains(&byte);
        let good = (1..=Self::MAX).contains(&name.len())
            && name.as_bytes()[0].is_ascii_alphanumeric()
            && name.bytes().all(allowed);
        good.then(|| Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_shown() {
        let key = SessionKey::from_bytes(&std::array::from_fn::<u8, 32, _>(|n| n as u8)).unwrap();
        assert_eq!(format!("{key:?}"), "SessionKey(…)");
        assert_eq!(key.expose()[31], 31);
    }

    #[test]
    fn only_32_bytes_that_somebody_chose_are_a_key() {
        for bytes in [&[][..], &[1, 2], &[0; 32], &[7; 32], &[1; 33]] {
            assert!(SessionKey::from_bytes(bytes).is_none(), "{bytes:?}");
        }
        assert_ne!(SessionKey::generate().unwrap().expose(), SessionKey::generate().unwrap().expose());
    }

    #[test]
    fn names_are_those_of_sandboxes() {
        for good in ["w1", "a@b.c-d_e", "9"] {
            assert_eq!(SandboxId::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "-w", ".w", "a/b", "a b", "ä", &"a".repeat(65)] {
            assert!(SandboxId::new(bad).is_none(), "{bad:?}");
        }
    }
}
