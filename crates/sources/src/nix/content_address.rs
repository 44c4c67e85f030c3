//! Content addresses: paths whose name follows from what is in them.
//!
//! ```text
//! text:sha256:HASH             a text, its references part of the name
//! fixed:r:sha256:HASH          a tree, by the hash of its NAR; with references as a source
//! fixed:sha256:HASH            a file, by the hash of its bytes
//! ```
//!
//! A narinfo's `CA` is not signed, and the database of an image hands it on: it is held to the path, which is.

use std::collections::BTreeSet;

use pinfold_base::Digest;

use super::base32;
use super::hash;
use super::store_path::STORE;
use super::store_path::StorePath;

/// The longest text that is read, in bytes.
const MAX: usize = 256;

/// How a content address stands to its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The path follows from it.
    Holds,
    /// Another path follows from it.
    Other,
    /// It is of a kind that is not known here.
    Unknown,
}

/// Holds `ca` to the path whose references these are.
pub fn judge(ca: &str, path: &StorePath, references: &BTreeSet<StorePath>) -> Standing {
    if ca.len() > MAX {
        return Standing::Unknown;
    }
    let others: Vec<&StorePath> = references.iter().filter(|reference| *reference != path).collect();
    let to_itself = others.len() < references.len();
    let listed =
        |kind: &str| others.iter().fold(kind.to_owned(), |text, reference| format!("{text}:{reference}"));
    let made = if let Some(digest) = ca.strip_prefix("text:").and_then(hash::parse) {
        if to_itself {
            return Standing::Other;
        }
        named(&listed("text"), &digest, path.name())
    } else if let Some(digest) = ca.strip_prefix("fixed:r:").and_then(hash::parse) {
        let itself = if to_itself { ":self" } else { "" };
        named(&format!("{}{itself}", listed("source")), &digest, path.name())
    } else if let Some(digest) = ca.strip_prefix("fixed:").and_then(hash::parse) {
        if !references.is_empty() {
            return Standing::Other;
        }
        let inner = Digest::sha256(format!("fixed:out:sha256:{}:", digest.hex()).as_bytes());
        named("output:out", &inner, path.name())
    } else {
        return Standing::Unknown;
    };
    if made == path.base_name() { Standing::Holds } else { Standing::Other }
}

/// The base name of what is `kind`, has this hash and this name.
fn named(kind: &str, digest: &Digest, name: &str) -> String {
    let text = format!("{kind}:sha256:{}:{STORE}:{name}", digest.hex());
    format!("{}-{name}", base32::encode(&hash::folded(&Digest::sha256(text.as_bytes()))))
}
