//! From an image's name to what a cluster is told: its registry, repository and the digest that the tag leads to now.
//!
//! **Guarantees**: what is given out was asked of the registry, unless pinfold is offline and the digest was said.

use pinfold_image::Reference;
use pinfold_image::place::remote;
use pinfold_image::registry::RegistryError;
use pinfold_image::registry::Remote;
use pinfold_image::registry::Which;
use pinfold_image::registry::pull::first;

use super::error::KubeError;
use crate::context::Context;
use crate::context::Network;
use crate::ship::ShipError;
use crate::ship::connect;

/// `HOST/REPOSITORY@DIGEST` of the index or manifest that a name means now.
pub(super) fn pinned(context: &Context, text: &str) -> Result<String, KubeError> {
    of(context, &remote(text)?)
}

/// The same of a name that was read.
pub(super) fn of(context: &Context, reference: &Reference) -> Result<String, KubeError> {
    let remote = Remote::of(reference).map_err(ShipError::from)?;
    let said = match &remote.which {
        Which::Digest(digest) => Some(digest.clone()),
        Which::Tag(_) => None,
    };
    let digest = match (context.network(), said) {
        (Network::Offline, Some(digest)) => digest,
        (Network::Offline, None) => {
            return Err(ShipError::Offline { reference: reference.clone() }.into());
        }
        (Network::Online, _) => {
            let clients = connect::reading(context, &remote)?;
            let found = first(&clients, |client| client.head_manifest(&remote.which))?;
            let missing =
                || RegistryError::Missing { what: format!("`{reference}`"), host: remote.host.clone() };
            found.ok_or_else(missing)?.digest
        }
    };
    Ok(format!("{}/{}@{digest}", remote.host, remote.repository))
}
