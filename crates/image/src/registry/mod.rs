//! Images in registries: the distribution specification's requests, and what real registries make of them.
//!
//! ```text
//! Remote ─► Endpoint ─► Client ─► HEAD, GET, PUT manifests │ HEAD, GET, download blobs │ tags
//!                         │
//!                       Tokens ◄─ Keyring (what the user has for a host)
//! referrers   what is attached to an image        blobs   a repository as a place to read from
//! attach      how it gets there
//! legacy      signatures in cosign's older form   shared  what stands under a tag that several write
//! push, pull  whole images, from and to the store of this machine
//! ```
//!
//! **Guarantees**: a document is given out only when its bytes have the digest that it is known by; credentials go to the host that
//! asked for them and the realm that it names; no error, no log and no `Debug` shows a secret; what a server may send is
//! bounded.
//!
//! **Refuses**: documents that [`crate::model`] refuses, digests that are no SHA-256 (registries rename others), the old `schema 1`,
//! documents over 4 MiB.

pub mod attach;
mod blobs;
pub mod challenge;
mod client;
mod endpoint;
mod error;
#[cfg(test)]
mod hostile;
pub mod legacy;
pub mod pull;
pub mod push;
mod put;
#[cfg(test)]
mod quirks;
pub mod referrers;
mod shared;
#[cfg(test)]
mod tests;
mod token;
mod upload;

use std::fmt;

use pinfold_base::Algorithm;
use pinfold_base::Digest;
use pinfold_base::Shown;
use pinfold_base::authority::Authority;
use pinfold_base::http::Reply;
use pinfold_base::http::Secret;
use serde::Deserialize;

pub use blobs::RegistryBlobs;
pub use blobs::whole_blob;
pub use client::Access;
pub use client::Again;
pub use client::Call;
pub use client::Client;
pub use client::To;
pub use endpoint::Endpoint;
pub use error::RegistryError;

use crate::Reference;

/// The longest error body that is read, in bytes.
const MAX_ERROR: u64 = 64 << 10;
/// Most of a server's own words in an error, in columns.
const MAX_SAID: usize = 300;
/// What stands for words that repeat a secret.
const WITHHELD: &str = "its words are not shown, since a secret is in them";

/// An image in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// The registry, as it is written: a host with or without a port.
    pub host: String,
    /// The repository there.
    pub repository: String,
    /// Which image of it.
    pub which: Which,
}

/// Which image of a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    /// What a tag leads to now.
    Tag(String),
    /// This one.
    Digest(Digest),
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => f.write_str(tag),
            Self::Digest(digest) => write!(f, "{digest}"),
        }
    }
}

impl Remote {
    /// Where a name leads. Its registry must be written; a digest goes before a tag.
    pub fn of(reference: &Reference) -> Result<Self, RegistryError> {
        let wrong = |reason| RegistryError::Name { text: reference.to_string(), reason };
        let host = reference.registry().ok_or_else(|| wrong("names no registry"))?;
        // Another spelling of an address would be a way around a rule for it.
        if Authority::parse(host.as_bytes()).is_err() {
            return Err(wrong(
                "names a registry that is no host; an address is written as four decimal numbers",
            ));
        }
        let which = match (reference.digest(), reference.tag()) {
            (Some(digest), _) if digest.algorithm() != Algorithm::Sha256 => {
                return Err(wrong("names its image by another digest than SHA-256, which registries rename"));
            }
            (Some(digest), _) => Which::Digest(digest.clone()),
            (None, tag) => Which::Tag(tag.unwrap_or("latest").to_owned()),
        };
        Ok(Self { host: host.to_owned(), repository: reference.repository().to_owned(), which })
    }
}

/// What the user has for a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credentials {
    /// Nothing.
    Anonymous,
    /// A name and a password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A token that tokens are given out for.
    Identity(Secret),
    /// A token for the registry itself.
    Token(Secret),
}

/// Finds what the user has for registries.
pub trait Keyring: Send + Sync {
    /// What there is for a host, as files of logins call it. Asked once for each host and client.
    fn find(&self, key: &str, repository: &str) -> Result<Credentials, RegistryError>;
}

/// A keyring with nothing on it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Nobody;

impl Keyring for Nobody {
    fn find(&self, _: &str, _: &str) -> Result<Credentials, RegistryError> {
        Ok(Credentials::Anonymous)
    }
}

#[derive(Deserialize)]
struct Errors {
    errors: Vec<OneError>,
}

#[derive(Deserialize)]
struct OneError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

/// What a registry says about its refusal: code and message of its first error, unless it repeats a secret. Pages of proxies say
/// nothing.
fn said(reply: Reply) -> Shown {
    let Ok((reply, bytes)) = reply.with_bytes(MAX_ERROR) else { return Shown::new("") };
    let errors = serde_json::from_slice::<Errors>(&bytes).ok();
    let Some(first) = errors.and_then(|errors| errors.errors.into_iter().next()) else {
        return Shown::new("");
    };
    let words = [first.code, first.message];
    let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| !word.is_empty()).collect();
    let words = words.join(": ");
    if reply.may_show(&words) { Shown::new(&words).within(MAX_SAID) } else { Shown::new(WITHHELD) }
}
