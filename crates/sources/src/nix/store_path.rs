//! Store paths: `/nix/store/HASH-NAME`.
//!
//! ```text
//! /nix/store/s3zc23mfbdjaczxaagdzk9g112hazri7-tiny-hello-1.0
//!            └──────── 32 digits ───────────┘ └── name ────┘    both together: the base name
//! ```
//!
//! **Guarantees**: a [`StorePath`] is ASCII, one component of a path, at most 244 bytes, and orders as its text does.
//! **Refuses**: other directories, names that Nix refuses (its newest rules), paths below a store path.

use std::fmt;

use pinfold_base::Shown;
use pinfold_base::shown;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de;

use super::base32;

/// The directory that every store path is in. The paths of another are other paths, by other hashes.
pub const STORE: &str = "/nix/store";

/// Digits of the hash.
const HASH: usize = 32;
/// The longest name, in bytes.
const MAX_NAME: usize = 211;

/// Text that is no store path.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not a store path: {reason}")]
pub struct StorePathError {
    /// The text, shortened.
    pub text: Shown,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// The path of one thing in the store, by its base name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorePath(Box<str>);

impl StorePath {
    /// Reads the whole path.
    pub fn parse(path: &str) -> Result<Self, StorePathError> {
        let base = path.strip_prefix(STORE).and_then(|rest| rest.strip_prefix('/'));
        let base = base.ok_or_else(|| wrong(path, "expected `/nix/store/HASH-NAME`"))?;
        Self::checked(base, path)
    }

    /// Reads a base name, as the fields of a narinfo have it.
    pub fn of_base_name(base: &str) -> Result<Self, StorePathError> {
        Self::checked(base, base)
    }

    fn checked(base: &str, shown: &str) -> Result<Self, StorePathError> {
        let bytes = base.as_bytes();
        let Some((hash, [b'-', name @ ..])) = bytes.split_at_checked(HASH) else {
            return Err(wrong(shown, "expected 32 digits, `-` and a name"));
        };
        if base32::decode::<20>(hash).is_none() {
            return Err(wrong(shown, "its hash is not 32 digits of Nix's base 32"));
        }
        check_name(name).map_err(|reason| wrong(shown, reason))?;
        Ok(Self(base.into()))
    }

    /// Its name in the store.
    pub fn base_name(&self) -> &str {
        &self.0
    }

    /// The 32 digits, by which caches name it.
    pub fn hash(&self) -> &str {
        &self.0[..HASH]
    }

    /// What it calls itself, usually name and version.
    pub fn name(&self) -> &str {
        &self.0[HASH + 1..]
    }
}

/// Nix's rules for names.
fn check_name(name: &[u8]) -> Result<(), &'static str> {
    let known = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-._?=".contains(byte);
    match name {
        [] => Err("it has no name"),
        _ if name.len() > MAX_NAME => Err("its name is longer than 211 bytes"),
        _ if !name.iter().all(known) => {
            Err("its name has something else than letters, digits, `+`, `-`, `.`, `_`, `?` and `=`")
        }
        b"." | b".." | [b'.', b'-', ..] | [b'.', b'.', b'-', ..] => Err("its name means a directory"),
        _ => Ok(()),
    }
}

fn wrong(text: &str, reason: &'static str) -> StorePathError {
    let short: String = text.chars().take(300).collect();
    StorePathError { text: shown!("{short}"), reason }
}

impl fmt::Display for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{STORE}/{}", self.0)
    }
}

impl fmt::Debug for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// By its base name: a lock says some thousands of them.
impl Serialize for StorePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for StorePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let base = String::deserialize(deserializer)?;
        Self::of_base_name(&base).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "s3zc23mfbdjaczxaagdzk9g112hazri7-tiny-hello-1.0";

    #[test]
    fn a_path_is_its_base_name_in_the_store() {
        let path = StorePath::parse(&format!("/nix/store/{HELLO}")).unwrap();
        assert_eq!(path, StorePath::of_base_name(HELLO).unwrap());
        assert_eq!((path.hash(), path.name()), ("s3zc23mfbdjaczxaagdzk9g112hazri7", "tiny-hello-1.0"));
        assert_eq!(path.to_string(), format!("/nix/store/{HELLO}"));
    }

    #[test]
    fn what_nix_calls_no_store_path_is_none() {
        let hash = "s3zc23mfbdjaczxaagdzk9g112hazri7";
        let named = |name: &str| StorePath::of_base_name(&format!("{hash}-{name}"));
        for name in ["a", "+-._?=0Az", ".hidden", "-dash", "..a", &"n".repeat(211)] {
            assert!(named(name).is_ok(), "{name}");
        }
        for name in ["", ".", "..", ".-a", "..-a", "a/b", "a b", "a\n", "ä", "a~", "a:", &"n".repeat(212)] {
            assert!(named(name).is_err(), "{name}");
        }
        for path in [
            HELLO,
            "/nix/store",
            "/nix/store/",
            &format!("/nix/store//{HELLO}"),
            &format!("/nix/store/{HELLO}/bin"),
            &format!("/gnu/store/{HELLO}"),
            &format!("/nix/store/{}", HELLO.to_uppercase()),
            &format!("/nix/store/{}", HELLO.replace("s3z", "e3z")),
            "/nix/store/äääääääääääääääääääääääääääääääääääääää",
            &format!("/nix/store/{hash}"),
        ] {
            assert!(StorePath::parse(path).is_err(), "{path}");
        }
    }
}
