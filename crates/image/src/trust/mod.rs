//! Whether an image may be used: the user's rules, and the proof that they are met.
//!
//! ```text
//!   Rule      which images, by name ([`Pattern`])      whose signatures count (keys)      what they must say (predicates)
//!   Found ─► admit (the longest pattern that fits; one bundle of its keys for each predicate) ─► Admitted<Found>
//! ```
//!
//! **Guarantees**: an [`Admitted`] comes out of this room only, and only when its bytes have the digest that names them and the
//! rule for its name, if there is one, is met; what pulls, unpacks and runs takes nothing else. Names are compared as registries
//! understand them: another spelling of a host is no way around a rule.
//!
//! **Refuses**: an image that nothing is attached to, that other keys have signed, that the right key has signed for something
//! else or with another predicate, each by its name. A signature for a predicate proves that predicate only: provenance does not
//! stand for the signature. What others attach beside a proof does not hinder.
//!
//! Forgetting it does not compile:
//!
//! ```
//! # use pinfold_image::{Reference, model::Found, trust::{Admitted, Proofs, Rules, admit}};
//! fn unpack(_: &Admitted<Found>) {}
//! fn asked(rules: &Rules, name: &Reference, found: Found, proofs: &dyn Proofs) {
//!     if let Ok((found, _)) = admit(rules, name, found, proofs) {
//!         unpack(&found);
//!     }
//! }
//! ```
//! ```compile_fail,E0308
//! # use pinfold_image::{model::Found, trust::Admitted};
//! fn unpack(_: &Admitted<Found>) {}
//! fn forgotten(found: Found) {
//!     unpack(&found);
//! }
//! ```
//! ```compile_fail,E0423
//! # use pinfold_image::{model::Found, trust::Admitted};
//! fn made_up(found: Found) -> Admitted<Found> {
//!     Admitted(found)
//! }
//! ```
//! ```compile_fail,E0596
//! # use pinfold_image::{model::Found, trust::Admitted};
//! fn changed(found: &mut Admitted<Found>) {
//!     found.bytes.clear();
//! }
//! ```

mod error;
mod rule;

use std::ops::Deref;

use pinfold_base::Digest;

pub use error::TrustError;
pub use error::Why;
pub use rule::Pattern;
pub use rule::Rule;
pub use rule::Rules;

use crate::ImageError;
use crate::ImageSource;
use crate::Reference;
use crate::model::Descriptor;
use crate::model::Found;
use crate::sign::Bundle;
use crate::sign::SignError;

/// Most bundles that are looked at for one image.
pub const MAX_PROOFS: usize = 64;

/// Something that the user's rules let in.
#[derive(Debug)]
pub struct Admitted<T>(T);

impl<T> Deref for Admitted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// Where signatures are found: a registry, or what was kept of it.
pub trait Proofs {
    /// Everything that is attached to the document and may be a bundle, as bytes that nobody has judged.
    fn bundles(&self, of: &Digest) -> Result<Vec<Vec<u8>>, ImageError>;
}

/// Where an image comes from.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// A project made it on this machine.
    Made,
    /// A directory or a file that the user named. Only a rule for everything is meant for it.
    Place,
    /// A name, with its registry where it has one. Its tag and digest are no matter.
    Name(&'a Reference),
}

/// Lets a document in that came from a registry. With it come the bundles that counted, to be kept.
pub fn admit(
    rules: &Rules,
    name: &Reference,
    found: Found,
    proofs: &dyn Proofs,
) -> Result<(Admitted<Found>, Vec<Vec<u8>>), TrustError> {
    let told = name.to_string();
    check(&told, &found)?;
    let counted = match rules.of(Some(name)) {
        Some(rule) => judge(rule, &told, &found.descriptor.digest, proofs)?,
        None => Vec::new(),
    };
    Ok((Admitted(found), counted))
}

/// Fails when the bytes are not those that the descriptor names.
fn check(name: &str, Found { descriptor, bytes }: &Found) -> Result<(), ImageError> {
    let Descriptor { digest, size, .. } = descriptor;
    let actual = bytes.len() as u64;
    if *size != actual {
        return Err(ImageError::WrongSize { what: name.into(), expected: *size, actual });
    }
    let actual = Digest::sha256(bytes);
    if *digest != actual {
        return Err(ImageError::WrongDigest { what: name.into(), expected: digest.clone(), actual });
    }
    Ok(())
}

/// Lets an image in that a project made on this machine: its inputs were judged when it was built.
pub fn made(source: ImageSource) -> Admitted<ImageSource> {
    Admitted(source)
}

/// Lets an image in that is on this machine. What is read of it is held to its digests by its readers. `index` is known to name it:
/// what is proved of all platforms is proved of this one.
pub fn admit_source(
    rules: &Rules,
    source: ImageSource,
    index: Option<&Digest>,
    origin: Origin<'_>,
    proofs: &dyn Proofs,
) -> Result<Admitted<ImageSource>, TrustError> {
    let rule = match origin {
        Origin::Made => None,
        Origin::Place => rules.of(None),
        Origin::Name(name) => rules.of(Some(name)),
    };
    let judged = |rule, digest| judge(rule, source.name(), digest, proofs);
    if let Some(rule) = rule {
        match (judged(rule, &source.root().digest), index) {
            (Err(TrustError::Refused { .. }), Some(index)) => judged(rule, index)?,
            (result, _) => result?,
        };
    }
    Ok(Admitted(source))
}

/// The bundles that meet a rule: for each predicate the first that does.
fn judge(rule: &Rule, name: &str, digest: &Digest, proofs: &dyn Proofs) -> Result<Vec<Vec<u8>>, TrustError> {
    prove(rule, name, digest, &proofs.bundles(digest)?)
}

/// Of these bundles those that meet a rule. For whoever only wants to know: nothing is let in by it.
pub fn prove(
    rule: &Rule,
    name: &str,
    digest: &Digest,
    bundles: &[Vec<u8>],
) -> Result<Vec<Vec<u8>>, TrustError> {
    let mut counted = Vec::new();
    for predicate in rule.require() {
        // Of several reasons the one that came nearest is told.
        let mut why = Why::Missing;
        let meets = |bytes: &&Vec<u8>| match one(rule, predicate, digest, bytes) {
            Ok(()) => true,
            Err(reason) => {
                why = why.max(reason);
                false
            }
        };
        match bundles.iter().take(MAX_PROOFS).find(meets) {
            Some(bytes) if counted.contains(bytes) => {}
            Some(bytes) => counted.push(bytes.clone()),
            None => {
                return Err(TrustError::Refused {
                    image: name.into(),
                    digest: digest.clone(),
                    rule: rule.images().to_string(),
                    predicate: predicate.into(),
                    why,
                });
            }
        }
    }
    Ok(counted)
}

/// Whether one bundle proves a predicate of a digest.
fn one(rule: &Rule, predicate: &str, digest: &Digest, bytes: &[u8]) -> Result<(), Why> {
    let statement = match Bundle::parse(bytes).and_then(|bundle| bundle.verify(rule.keys())) {
        Ok(statement) => statement,
        Err(SignError::Unsigned { .. }) => return Err(Why::OtherKey),
        Err(_) => return Err(Why::Unreadable),
    };
    match (statement.predicate_type == predicate, statement.names(digest)) {
        (true, true) => Ok(()),
        (true, false) => Err(Why::OtherDigest),
        (false, _) => Err(Why::OtherPredicate),
    }
}

#[cfg(test)]
mod tests;
