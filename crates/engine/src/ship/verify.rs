//! `verify --key`: what a key has signed of an image, in its registry or by what was kept of it.
//!
//! **Guarantees**: nothing is admitted by looking: this only tells. All that is demanded is proved, by the key that is asked for, of
//! the digest that the image has now; else the error says what is missing or wrong.

use std::collections::BTreeSet;
use std::path::Path;

use pinfold_base::Digest;
use pinfold_image::ImageError;
use pinfold_image::Reference;
use pinfold_image::model::Found;
use pinfold_image::registry::Client;
use pinfold_image::registry::Remote;
use pinfold_image::registry::legacy;
use pinfold_image::sign::Bundle;
use pinfold_image::sign::PROVENANCE;
use pinfold_image::sign::PublicKey;
use pinfold_image::sign::SIGNATURE;
use pinfold_image::trust::Proofs;
use pinfold_image::trust::Rule;
use pinfold_image::trust::TrustError;
use pinfold_image::trust::Why;
use pinfold_image::trust::prove;
use serde::Serialize;

use super::connect;
use super::error::ShipError;
use super::key;
use super::proofs::Kept;
use super::proofs::RegistryProofs;
use crate::context::Context;

/// Where proofs are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// In the image's registry.
    Registry,
    /// On this machine, of an image of the store.
    Kept,
}

/// One thing that the key has signed of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proof {
    /// `signature`, `provenance`, or the URI of another predicate.
    pub predicate: String,
    /// In which form: a `bundle`, or `legacy`.
    pub form: &'static str,
    /// What it is about.
    pub subject: Vec<Digest>,
    /// The key, by the SHA-256 that bundles call it by.
    pub key: String,
}

/// An image with what is proved of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proved {
    /// As it was asked for.
    pub reference: String,
    /// What that leads to.
    pub digest: Digest,
    /// What the key has signed of it.
    pub proofs: Vec<Proof>,
}

/// Looks what the key of a file has signed of an image. Each of `require` must be proved; without any, the signature.
pub fn verify(
    context: &Context,
    reference: &Reference,
    at: At,
    file: &Path,
    require: &BTreeSet<String>,
) -> Result<Proved, ShipError> {
    let keys = [key::public(file)?];
    let rule = Rule::new("*".parse()?, keys.to_vec(), require.clone())?;
    let looking = Looking { reference, keys: &keys, rule: &rule };
    match at {
        At::Kept => {
            let found = context.images()?.find(reference)?;
            let kept = Kept::of(context);
            let digest = &found.descriptor.digest;
            match (looking.at(digest, &kept, None), &found.upstream.index) {
                (Err(ShipError::Unproved { .. }), Some(index)) => looking.at(index, &kept, None),
                (result, _) => result,
            }
        }
        At::Registry => {
            let remote = Remote::of(reference)?;
            // The registry itself: a mirror need not have what is attached.
            let client = connect::reading(context, &remote)?.pop();
            let missing = || ImageError::NotFound {
                reference: reference.to_string(),
                place: remote.host.clone(),
                known: Vec::new(),
            };
            let client = client.ok_or_else(missing)?;
            let Found { descriptor, .. } = client.get_manifest(&remote.which, None)?.ok_or_else(missing)?;
            looking.at(&descriptor.digest, &RegistryProofs(&client), Some(&client))
        }
    }
}

struct Looking<'a> {
    reference: &'a Reference,
    keys: &'a [PublicKey; 1],
    rule: &'a Rule,
}

impl Looking<'_> {
    fn at(&self, digest: &Digest, proofs: &dyn Proofs, client: Option<&Client>) -> Result<Proved, ShipError> {
        let Self { reference, keys, rule } = self;
        let bundles = proofs.bundles(digest)?;
        let verified = bundles.iter().filter_map(|bytes| Bundle::parse(bytes).ok()?.verify(*keys).ok());
        let mut proofs: Vec<Proof> = verified
            .filter(|statement| statement.names(digest))
            .map(|statement| Proof {
                predicate: word(&statement.predicate_type),
                form: "bundle",
                subject: statement.subject,
                key: keys[0].hint(),
            })
            .collect();
        let missing = prove(rule, &reference.to_string(), digest, &bundles).err();
        // As cosign does: where there is any bundle, the older form is not asked for.
        let alone = bundles.is_empty() && rule.require().eq([SIGNATURE]);
        let legacy = match client.filter(|_| alone) {
            Some(client) => legacy::verify(client, digest, *keys)?,
            None => legacy::Verdict::None,
        };
        match (missing, legacy) {
            (Some(_), legacy::Verdict::By(key)) => proofs.push(Proof {
                predicate: word(SIGNATURE),
                form: "legacy",
                subject: vec![digest.clone()],
                key: key.hint(),
            }),
            (Some(TrustError::Refused { predicate, why, .. }), legacy) => {
                let why = if matches!(legacy, legacy::Verdict::Others) { Why::OtherKey } else { why };
                return Err(ShipError::Unproved {
                    image: reference.to_string(),
                    digest: digest.clone(),
                    problem: problem(&word(&predicate), why),
                });
            }
            (Some(error), _) => return Err(error.into()),
            (None, _) => {}
        }
        proofs.sort_by_key(|proof| (proof.predicate != word(SIGNATURE), proof.predicate.clone()));
        Ok(Proved { reference: reference.to_string(), digest: digest.clone(), proofs })
    }
}

/// A predicate in a word where there is one.
fn word(predicate: &str) -> String {
    match predicate {
        SIGNATURE => "signature".into(),
        PROVENANCE => "provenance".into(),
        other => other.to_owned(),
    }
}

/// What is missing or wrong.
fn problem(predicate: &str, why: Why) -> String {
    match why {
        Why::Missing => format!("it has no {predicate}"),
        Why::Unreadable => format!("what is attached to it is no {predicate} that can be read"),
        Why::OtherKey => format!("its {predicate} is by another key"),
        Why::OtherPredicate => format!("the key has signed other statements about it, and no {predicate}"),
        Why::OtherDigest => format!("the {predicate} attached to it is of another image"),
    }
}
