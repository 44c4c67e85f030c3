//! Whether the user's rules let an image of a registry in.

use pinfold_base::Digest;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::Reference;
use pinfold_image::model::Found;
use pinfold_image::registry::Client;
use pinfold_image::trust;
use pinfold_image::trust::Admitted;
use pinfold_image::trust::Origin;
use pinfold_image::trust::Proofs;

use super::error::ShipError;
use super::proofs::Kept;
use super::proofs::RegistryProofs;
use crate::context::Context;

/// What is attached to an image in all places that it is read from: a mirror may have it, and need not.
pub(crate) struct Attached<'a>(pub(crate) &'a [Client]);

impl Proofs for Attached<'_> {
    fn bundles(&self, of: &Digest) -> Result<Vec<Vec<u8>>, ImageError> {
        let Some((last, others)) = self.0.split_last() else { return Ok(Vec::new()) };
        // Who is no registry of signatures hinders nobody; the registry itself has the last word.
        let mut found: Vec<Vec<u8>> =
            others.iter().filter_map(|client| RegistryProofs(client).bundles(of).ok()).flatten().collect();
        match RegistryProofs(last).bundles(of) {
            Ok(more) => found.extend(more),
            Err(error) if found.is_empty() => return Err(error),
            Err(error) => tracing::info!(%error, "signatures of mirrors only"),
        }
        Ok(found)
    }
}

/// Whether there is a rule for an image.
pub(super) fn is_ruled(context: &Context, reference: &Reference) -> Result<bool, ShipError> {
    Ok(context.settings()?.trust.of(Some(reference)).is_some())
}

/// Lets a document in that a registry gave. The proofs that counted are kept, so that it can be judged without the registry later.
pub(crate) fn document(
    context: &Context,
    clients: &[Client],
    reference: &Reference,
    found: Found,
) -> Result<Admitted<Found>, ShipError> {
    let digest = found.descriptor.digest.clone();
    let rules = &context.settings()?.trust;
    let (found, proofs) = trust::admit(rules, reference, found, &Attached(clients))?;
    Kept::of(context).keep(&digest, &proofs)?;
    Ok(found)
}

/// Lets an image in that is read where its registry has it.
pub(super) fn source(
    context: &Context,
    clients: &[Client],
    reference: &Reference,
    source: ImageSource,
) -> Result<Admitted<ImageSource>, ShipError> {
    let rules = &context.settings()?.trust;
    Ok(trust::admit_source(rules, source, None, Origin::Name(reference), &Attached(clients))?)
}
