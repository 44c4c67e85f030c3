//! An image of a registry into the store of this machine.
//!
//! ```text
//! look: HEAD tag ─ what is here ─► Looked::Here         take: manifest of the platform ─► configuration ─► layers, several at once ─► name
//!       GET tag or digest ───────► Looked::Found ─► (admitted?) ─┘
//! ```
//!
//! Of an index one platform's manifest is kept, unless all are asked for. Documents and layers keep the bytes that they came in,
//! whatever vocabulary they are in: their digests stay. The digest that was asked for finds the image afterwards, be it the
//! index's or the manifest's.
//!
//! **Guarantees**: only the one document that the name leads to is read before it is [`Admitted`]; of the image's documents all
//! are sound before the first layer is fetched; the name comes last, so that it never leads to half an image. What was cut short is
//! gone on with. A tag that still leads to what is here costs one request, a digest that is here none.
//! **Refuses**: what is no image, and an image without the platform that was asked for.

use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_base::Reporter;
use pinfold_base::store::Expected;
use serde::Serialize;

use super::Client;
use super::RegistryBlobs;
use super::RegistryError;
use super::Remote;
use super::Which;
use crate::ImageError;
use crate::ImageSource;
use crate::ImageStore;
use crate::Reference;
use crate::model::Descriptor;
use crate::model::Found;
use crate::sink::copy;
use crate::sink::is_index;
use crate::sink::parts;
use crate::store::NamedImage;
use crate::store::Upstream;
use crate::trust::Admitted;

/// How often what was removed meanwhile is fetched again.
const AGAIN: u32 = 3;

/// What of an image is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// This platform's, and nothing else.
    Platform(Platform),
    /// This machine's, or the image as it is where it is of one platform alone.
    Host(Platform),
    /// All platforms, with their index.
    All,
}

/// What a name leads to.
#[derive(Debug)]
pub enum Looked {
    /// What is here, whole.
    Here(Pulled),
    /// This document.
    Found(Found),
}

/// An image that is here now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Pulled {
    /// Its name.
    pub reference: String,
    /// What the name leads to in the registry: an index or a manifest.
    pub digest: Digest,
    /// What is kept of it.
    pub kept: Digest,
    /// The platforms of that.
    pub platforms: Vec<Platform>,
    /// Blobs that were fetched.
    pub fetched: usize,
    /// Blobs that were here.
    pub there: usize,
    /// Bytes of those that were fetched.
    pub bytes: u64,
    /// Nothing was to be done.
    pub unchanged: bool,
}

/// Asks what a name leads to. `look_here` says whether what is here may be the answer. Of several clients the first that knows answers,
/// and the last one's word is the last.
pub fn look(
    clients: &[Client],
    store: &ImageStore,
    reference: &Reference,
    wanted: Wanted,
    look_here: bool,
) -> Result<Looked, RegistryError> {
    let which = Remote::of(reference)?.which;
    let here = match store.find(reference) {
        Ok(found) if look_here => Some(found),
        Err(ImageError::Io(error)) => return Err(error.into()),
        // What is damaged here is fetched again.
        Ok(_) | Err(_) => None,
    };
    let missing = || {
        let host = clients.last().map(Client::host).unwrap_or_default();
        RegistryError::Missing { what: format!("`{reference}`"), host }
    };
    let get = |which: &Which, expected: Option<&Descriptor>| {
        first(clients, |client| client.get_manifest(which, expected))
    };
    let Some(here) = here else {
        return Ok(Looked::Found(get(&which, None)?.ok_or_else(missing)?));
    };
    let there = match &which {
        // What has this digest has it for ever.
        Which::Digest(digest) => {
            if let Some(kept) = suits(store, &here, digest, reference, wanted)? {
                return Ok(Looked::Here(kept));
            }
            None
        }
        Which::Tag(_) => {
            let there = first(clients, |client| client.head_manifest(&which))?.ok_or_else(missing)?;
            if let Some(kept) = suits(store, &here, &there.digest, reference, wanted)? {
                return Ok(Looked::Here(kept));
            }
            Some(there)
        }
    };
    if let Some(there) = there
        && let Some(found) = get(&Which::Digest(there.digest.clone()), Some(&there))?
    {
        return Ok(Looked::Found(found));
    }
    // By its digest, or the tag was moved since and what it led to is gone.
    Ok(Looked::Found(get(&which, None)?.ok_or_else(missing)?))
}

/// What the first client says that knows; what is wrong with another than the last does not hinder.
pub fn first<T>(
    clients: &[Client],
    ask: impl Fn(&Client) -> Result<Option<T>, RegistryError>,
) -> Result<Option<T>, RegistryError> {
    let Some((last, others)) = clients.split_last() else { return Ok(None) };
    for client in others {
        match ask(client) {
            Ok(Some(found)) => return Ok(Some(found)),
            Ok(None) => {}
            Err(error) => tracing::info!(%error, host = client.host(), "passed over"),
        }
    }
    ask(last)
}

/// What is here, if it is what the registry calls `digest`, of the wanted platform, and whole.
fn suits(
    store: &ImageStore,
    here: &NamedImage,
    digest: &Digest,
    reference: &Reference,
    wanted: Wanted,
) -> Result<Option<Pulled>, RegistryError> {
    let root = &here.descriptor;
    let all = root.digest == *digest;
    if !all && here.upstream.index.as_ref() != Some(digest) {
        return Ok(None);
    }
    let source = ImageSource::new(&reference.to_string(), root.clone(), Box::new(store.clone()));
    let looked = source.platforms().and_then(|platforms| {
        let mut there = 0;
        for part in parts(store, root)? {
            there += 1;
            if !store.holds(&Expected { digest: part.digest, size: Some(part.size) })? {
                return Ok(None);
            }
        }
        Ok(Some((platforms, there)))
    });
    let (platforms, there) = match looked {
        Ok(Some(looked)) => looked,
        Err(ImageError::Io(error)) => return Err(error.into()),
        Ok(None) | Err(_) => return Ok(None),
    };
    let fits = match wanted {
        Wanted::Platform(platform) => platforms.contains_key(&platform),
        Wanted::Host(platform) => platforms.contains_key(&platform) || all && !is_index(root),
        Wanted::All => all,
    };
    Ok(fits.then(|| Pulled {
        reference: reference.to_string(),
        digest: digest.clone(),
        kept: root.digest.clone(),
        platforms: platforms.into_keys().collect(),
        fetched: 0,
        there,
        bytes: 0,
        unchanged: true,
    }))
}

/// Brings an image into the store under its name. `resolved` is when its tag was asked for, RFC 3339.
pub fn take(
    clients: &[Client],
    store: &ImageStore,
    reference: &Reference,
    found: &Admitted<Found>,
    wanted: Wanted,
    resolved: &str,
    reporter: &dyn Reporter,
) -> Result<Pulled, ImageError> {
    let name = reference.to_string();
    let blobs = RegistryBlobs::new(clients.to_vec()).with(found);
    let source = ImageSource::new(&name, found.descriptor.clone(), Box::new(blobs));
    let (root, platforms) = chosen(&source, wanted)?;
    let all = parts(source.blobs(), &root)?;
    let mut missing = Vec::new();
    for part in &all {
        if !store.holds(&Expected { digest: part.digest.clone(), size: Some(part.size) })? {
            missing.push(part);
        }
    }
    let pulled = Pulled {
        digest: found.descriptor.digest.clone(),
        kept: root.digest.clone(),
        platforms,
        fetched: missing.len(),
        there: all.len() - missing.len(),
        bytes: missing.iter().fold(0_u64, |sum, part| sum.saturating_add(part.size)),
        unchanged: false,
        reference: name,
    };
    let upstream = Upstream {
        index: (pulled.digest != pulled.kept).then(|| pulled.digest.clone()),
        resolved: Some(resolved.to_owned()),
    };
    let mut times = 0;
    loop {
        let from = source.blobs().location();
        match copy(source.blobs(), &root, store.receive(reference, upstream.clone(), reporter)) {
            // Somebody removed another image that had them, too.
            Err(ImageError::MissingBlob { place, .. }) if place != from && times < AGAIN => times += 1,
            copied => return copied.map(|()| pulled),
        }
    }
}

/// What of an image is kept, its documents looked at.
fn chosen(source: &ImageSource, wanted: Wanted) -> Result<(Descriptor, Vec<Platform>), ImageError> {
    let platform = match wanted {
        Wanted::All if is_index(source.root()) => {
            return Ok((source.root().clone(), source.images()?.into_keys().collect()));
        }
        Wanted::Platform(platform) | Wanted::Host(platform) if is_index(source.root()) => platform,
        Wanted::Platform(platform) => platform,
        Wanted::Host(_) | Wanted::All => {
            let image = source.image_of(source.root())?;
            return Ok((source.root().clone(), image.config.value().platform().into_iter().collect()));
        }
    };
    // Asking the image gives the error that lists what there is.
    source.image(platform)?;
    let root = source.platforms()?.remove(&platform).unwrap_or_else(|| source.root().clone());
    Ok((root, vec![platform]))
}

#[cfg(test)]
mod tests;
