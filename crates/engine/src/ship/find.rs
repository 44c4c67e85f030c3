//! The image that text means, wherever it is.
//!
//! ```text
//! NAME ─ in the store ─► it        HOST/NAME ─ not in the store ─► pulled, unless somebody says otherwise
//! oci:DIR, oci-archive:FILE, docker-archive:FILE ─► read there        docker://HOST/NAME ─► read there, nothing is kept
//! ```
//!
//! **Guarantees**: what is given out to be used was let in by the user's rules.

use pinfold_base::Platform;
use pinfold_base::store::Expected;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::ImageStore;
use pinfold_image::Place;
use pinfold_image::Reference;
use pinfold_image::compose::annotation;
use pinfold_image::model::Descriptor;
use pinfold_image::registry::Client;
use pinfold_image::registry::RegistryBlobs;
use pinfold_image::registry::RegistryError;
use pinfold_image::registry::Remote;
use pinfold_image::registry::pull::first;
use pinfold_image::sink::is_index;
use pinfold_image::sink::parts;
use pinfold_image::trust::Admitted;

use super::admit;
use super::connect;
use super::error::ShipError;
use super::pull::Platforms;
use super::pull::pull;
use crate::context::Context;
use crate::context::Network;
use crate::keep::images;
use crate::keep::images::FindError;

/// When a registry is asked for an image that is named with it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pull {
    /// When the store does not have it.
    #[default]
    Missing,
    /// Each time: its tag may lead to another image by now.
    Always,
    /// Never.
    Never,
}

/// How an image is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// When a registry is asked.
    pub pull: Pull,
    /// For which platforms.
    pub platforms: Platforms,
}

/// The image that text means, let in by the user's rules: for whatever unpacks it, runs it or gives it away.
pub fn find(context: &Context, text: &str, finding: Finding) -> Result<Admitted<ImageSource>, ShipError> {
    match text.parse()? {
        Place::Registry(reference) => {
            let (clients, source) = open(context, &reference)?;
            admit::source(context, &clients, &reference, source)
        }
        Place::Store(reference) if reference.registry().is_some() => {
            bring(context, &context.images()?, &reference, finding)?;
            match images::find(context, text) {
                Err(FindError::Image(ImageError::NotFound { .. })) => Err(ShipError::NotHere { reference }),
                found => Ok(found?),
            }
        }
        Place::Store(_) | Place::Location(_) => Ok(images::find(context, text)?),
    }
}

/// The same, to be looked at only. Nothing is kept of what the store does not have.
pub fn look(context: &Context, text: &str) -> Result<ImageSource, ShipError> {
    let reference = match text.parse()? {
        Place::Registry(reference) => return Ok(open(context, &reference)?.1),
        Place::Store(reference) => reference,
        Place::Location(_) => return Ok(images::look(context, text)?),
    };
    match images::look(context, text) {
        Err(ImageError::NotFound { .. })
            if reference.registry().is_some() && context.network() == Network::Online =>
        {
            Ok(open(context, &reference)?.1)
        }
        found => Ok(found?),
    }
}

/// Sees to it that the store has an image that is named with its registry.
fn bring(
    context: &Context,
    store: &ImageStore,
    reference: &Reference,
    finding: Finding,
) -> Result<(), ShipError> {
    let wanted = reference.registry().is_some()
        && match finding.pull {
            Pull::Always => true,
            Pull::Missing => !is_here(store, reference, finding.platforms)?,
            Pull::Never => false,
        };
    if wanted && context.network() == Network::Offline {
        return Err(ShipError::Offline { reference: reference.clone() });
    }
    if wanted {
        pull(context, reference, finding.platforms)?;
    }
    Ok(())
}

/// Whether the store has it. What came as one platform of an index is not there for another one.
fn is_here(store: &ImageStore, reference: &Reference, platforms: Platforms) -> Result<bool, ImageError> {
    let found = match store.find(reference) {
        Ok(found) => found,
        Err(ImageError::NotFound { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    let root = &found.descriptor;
    // What a disk has taken away comes from where it came from.
    if found.upstream.resolved.is_some() && !is_whole(store, root)? {
        return Ok(false);
    }
    if is_index(root) || found.upstream.index.is_none() {
        return Ok(true);
    }
    let wanted = match platforms {
        Platforms::All => return Ok(false),
        Platforms::One(platform) => Some(platform),
        Platforms::Host => Platform::host(),
    };
    let of = root.platform.as_ref().and_then(pinfold_image::model::DescriptorPlatform::platform);
    Ok(of.is_none() || of == wanted)
}

/// Whether all parts of an image are there and what they should be.
fn is_whole(store: &ImageStore, root: &Descriptor) -> Result<bool, ImageError> {
    let looked = parts(store, root).and_then(|parts| {
        let held =
            |part: &Descriptor| store.holds(&Expected { digest: part.digest.clone(), size: Some(part.size) });
        parts.iter().try_fold(true, |all, part| Ok(all & held(part)?))
    });
    match looked {
        Err(ImageError::Io(error)) => Err(error.into()),
        looked => Ok(looked.unwrap_or(false)),
    }
}

/// An image where its registry has it. Its documents are read when they are wanted.
fn open(context: &Context, reference: &Reference) -> Result<(Vec<Client>, ImageSource), ShipError> {
    let remote = Remote::of(reference)?;
    if context.network() == Network::Offline {
        return Err(ShipError::Offline { reference: reference.clone() });
    }
    let clients = connect::reading(context, &remote)?;
    let found = first(&clients, |client| client.get_manifest(&remote.which, None))?.ok_or_else(|| {
        RegistryError::Missing { what: format!("`{reference}`"), host: remote.host.clone() }
    })?;
    let blobs = RegistryBlobs::new(clients.clone()).with(&found);
    let mut root = found.descriptor;
    // What it is called where it came from, for whoever writes it elsewhere.
    root.annotations.insert(annotation::REF_NAME.into(), reference.to_string());
    let name = Place::Registry(reference.clone()).to_string();
    Ok((clients, ImageSource::new(&name, root, Box::new(blobs))))
}
