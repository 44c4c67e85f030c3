//! Keys and signatures of binary caches: `NAME:BASE64`, ed25519 (RFC 8032).
//!
//! A key signs what a cache says of a path, and counts only when the machine or the user trusts it by its whole text. Names only say
//! which key to try.
//!
//! **Refuses**: weak keys (of a small order: anything verifies with them), signatures that have a second spelling.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::VerifyingKey;
use pinfold_base::Shown;
use pinfold_base::shown;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de;

/// The longest name, in bytes.
const MAX_NAME: usize = 256;

/// Text that is no key or signature.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is not a {what}: {reason}")]
pub struct KeyError {
    text: Shown,
    what: &'static str,
    reason: &'static str,
}

/// A public key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    name: Box<str>,
    key: VerifyingKey,
}

/// A signature with the name of its key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signature {
    name: Box<str>,
    bytes: [u8; 64],
}

/// The keys that are trusted.
#[derive(Clone, Debug, Default)]
pub struct TrustedKeys(Vec<PublicKey>);

/// Splits `NAME:BASE64`, whose value has `N` bytes.
fn named<const N: usize>(
    text: &str,
    what: &'static str,
    length: &'static str,
) -> Result<(Box<str>, [u8; N]), KeyError> {
    // A value may be a secret, put there by mistake: it is not repeated.
    let wrong = |reason| {
        let name: String = text.split(':').next().unwrap_or_default().chars().take(40).collect();
        KeyError { text: shown!("{name}:…"), what, reason }
    };
    let (name, value) = text.split_once(':').ok_or_else(|| wrong("expected `NAME:BASE64`"))?;
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(wrong("its name is empty, too long, or has other than ASCII letters and signs"));
    }
    let bytes = STANDARD.decode(value).map_err(|_| wrong("what follows its name is not base64"))?;
    let bytes = bytes.try_into().map_err(|_| wrong(length))?;
    Ok((name.into(), bytes))
}

impl PublicKey {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        const WHAT: &str = "public key";
        let (name, bytes) = named::<32>(text, WHAT, "expected 32 bytes (a secret key has 64)")?;
        let wrong = |reason| KeyError { text: shown!("{name}:…"), what: WHAT, reason };
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| wrong("no ed25519 key has these bytes"))?;
        if key.is_weak() {
            return Err(wrong("anybody can sign for it"));
        }
        Ok(Self { name, key })
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, STANDARD.encode(self.key.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Signature {
    /// The name of its key.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl FromStr for Signature {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let (name, bytes) = named::<64>(text, "signature", "expected 64 bytes")?;
        Ok(Self { name, bytes })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, STANDARD.encode(self.bytes))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl TrustedKeys {
    /// Reads keys.
    pub fn parse<'a>(keys: impl IntoIterator<Item = &'a str>) -> Result<Self, KeyError> {
        let mut all: Vec<PublicKey> = Vec::new();
        for key in keys {
            let key = key.parse()?;
            if !all.contains(&key) {
                all.push(key);
            }
        }
        Ok(Self(all))
    }

    /// Whether none is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Their names, in the order in which they were given.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(PublicKey::name)
    }

    /// The trusted key that signed `text`, if one of these signatures is its.
    pub(super) fn signer(&self, text: &[u8], signatures: &[Signature]) -> Option<&PublicKey> {
        self.0.iter().find(|key| {
            signatures.iter().filter(|signature| signature.name == key.name).any(|signature| {
                let signature = ed25519_dalek::Signature::from_bytes(&signature.bytes);
                key.key.verify_strict(text, &signature).is_ok()
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "fixture-1:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
    /// Test 1 of RFC 8032, section 7.1: the signature of nothing.
    const NOTHING: &str =
        "fixture-1:5VZDAMNgrHKQhuLMgG6CioSHfx645dl02HPgZSJJAVVfuIIVkKM7rMYeOXAc+bRr0lv18FlbviRlUUFDjnoQCw==";

    #[test]
    fn the_test_vector_of_the_rfc_verifies() {
        let keys = TrustedKeys::parse([KEY, KEY]).unwrap();
        assert_eq!(keys.names().collect::<Vec<_>>(), ["fixture-1"]);
        let signature: Signature = NOTHING.parse().unwrap();
        assert_eq!(signature.to_string(), NOTHING);
        assert_eq!(keys.0[0].to_string(), KEY);
        let all = [signature.clone()];
        assert!(keys.signer(b"", &all).is_some());
        assert!(keys.signer(b"x", &all).is_none(), "other text");
        let renamed = Signature { name: "fixture-2".into(), ..signature };
        assert!(keys.signer(b"", &[renamed]).is_none(), "the name says which key");
    }

    #[test]
    fn what_is_no_key_is_refused_and_no_secret_shown() {
        let secret =
            "k:nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg==";
        for (text, why) in [
            ("", "nothing"),
            ("nocolon", "no value"),
            (":11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "no name"),
            ("a b:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", "a blank"),
            ("k:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo", "no padding"),
            ("k:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPc=", "short"),
            ("k:AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "weak"),
            (secret, "a secret key"),
        ] {
            let error = text.parse::<PublicKey>().expect_err(why);
            assert!(!error.to_string().contains("nWGxne"), "{error}");
        }
        assert!(KEY.parse::<Signature>().is_err());
    }
}
