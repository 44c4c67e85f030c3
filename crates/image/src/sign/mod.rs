//! Signatures as sigstore bundles (DSSE, in-toto), made and checked with keys: nothing but bytes and keys.
//!
//! ```text
//!   Statement ─► DSSE payload ─► PAE ─► Signer ─► Bundle          subject and predicate, what is signed, what is attached
//!   bytes ─► Bundle::parse ─► verify(keys) ─► Statement           nothing of a payload is read before a key has signed it
//!   file ─► SHA-256 ─► FileSignature                              beside the file, for who has it from anywhere
//! ```
//!
//! **Guarantees**: what [`SecretKey`] signs is deterministic (RFC 6979): the same statement and key give the same bytes, so a
//! repeated signature is found as the one that is there. A statement comes out of a bundle only after one of the keys asked for
//! has verified it. A secret key shows itself nowhere.
//!
//! **Refuses**: keys other than P-256 for signing (Ed25519 verifies only), keys that are no PKCS#8 or SPKI in PEM; bundles of
//! other versions, with other payload types, several signatures, unknown or repeated fields, or base64 that could be written in
//! another way. A verified statement says what a key's owner said: which subject and predicate are wanted is the caller's
//! question ([`Statement::names`]).

mod blob;
mod bundle;
mod dsse;
mod error;
mod key;
mod statement;

pub use blob::FileSignature;
pub use bundle::Bundle;
pub use bundle::MEDIA_TYPE;
pub use dsse::MAX_BUNDLE;
pub use error::SignError;
pub use key::PublicKey;
pub use key::SecretKey;
pub use key::Signer;
pub use statement::PROVENANCE;
pub use statement::SIGNATURE;
pub use statement::Statement;

#[cfg(test)]
mod tests;
