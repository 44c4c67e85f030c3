//! Where images are written to, and the one way there: [`copy`].
//!
//! ```text
//! has? ─ no ─► put_blob (configuration, layers) … ─► put_manifest (image manifests, then their index) … ─► finish (the name)
//! ```
//!
//! **Guarantees**: what something names is there before it ([`Order::ChildrenFirst`]), and the name comes last, so that a copy that
//! is cut short leaves blobs that nothing leads to, and never half an image. Content is verified while it is read, and a sink gives
//! it its digest as a name only when it was read to its end. What a sink has is not sent again.

use std::collections::BTreeSet;
use std::io::Read;

use pinfold_base::Digest;

use crate::ImageError;
use crate::blobs::BlobRead;
use crate::blobs::Blobs;
use crate::blobs::VerifiedReader;
use crate::blobs::open_verified;
use crate::blobs::read_document;
use crate::blobs::unwrap_io;
use crate::model::Descriptor;
use crate::model::Index;
use crate::model::Manifest;
use crate::model::Raw;
use crate::model::media;

/// A place that takes one image: the store, a layout, an archive.
pub trait Sink {
    /// In which order it takes the parts.
    fn order(&self) -> Order {
        Order::ChildrenFirst
    }

    /// Whether it has this blob, whole, and keeps it until the image has its name.
    fn has(&mut self, blob: &Descriptor) -> Result<bool, ImageError>;

    /// Takes a configuration or a layer. The content has to be read to its end, which is where it turns out to be right; a failure
    /// leaves nothing under its digest.
    fn put_blob(&mut self, blob: &Descriptor, content: VerifiedReader<BlobRead>) -> Result<(), ImageError>;

    /// Takes an index or an image manifest, verified.
    fn put_manifest(&mut self, manifest: &Descriptor, bytes: &[u8]) -> Result<(), ImageError>;

    /// Gives the image the name that the sink was made for. Until now nothing leads to it.
    fn finish(self, root: &Descriptor) -> Result<(), ImageError>
    where
        Self: Sized;
}

/// In which order a sink takes the parts of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// What is named before what names it: for sinks whose parts can be seen as they come.
    ChildrenFirst,
    /// By digest: for files that appear whole, and whose bytes shall not depend on how they were made.
    ByDigest,
}

/// Writes the image behind `root` to a sink.
pub fn copy(blobs: &dyn Blobs, root: &Descriptor, mut sink: impl Sink) -> Result<(), ImageError> {
    let mut parts = parts(blobs, root)?;
    if sink.order() == Order::ByDigest {
        parts.sort_by(|a, b| a.digest.cmp(&b.digest));
    }
    for part in parts {
        if is_index(&part) || is_manifest(&part) {
            let mut bytes = Vec::new();
            open_verified(blobs, &part)?.read_to_end(&mut bytes).map_err(unwrap_io)?;
            sink.put_manifest(&part, &bytes)?;
        } else if !sink.has(&part)? {
            sink.put_blob(&part, open_verified(blobs, &part)?)?;
        }
    }
    sink.finish(root)
}

/// What an image consists of, each part once and after all that it names: layers, configurations, manifests, the index. Fails when a
/// document is missing or wrong; layers and configurations are not looked at.
pub fn parts(blobs: &dyn Blobs, root: &Descriptor) -> Result<Vec<Descriptor>, ImageError> {
    let mut parts = Vec::new();
    let mut seen: BTreeSet<Digest> = BTreeSet::new();
    // A part comes twice: first its children are pushed above it, then it is taken itself.
    let mut pending = vec![(root.clone(), false)];
    while let Some((part, children_are_done)) = pending.pop() {
        if children_are_done {
            parts.push(part);
            continue;
        }
        if !seen.insert(part.digest.clone()) {
            continue;
        }
        let children = if is_index(&part) {
            let index: Raw<Index> = read_document(blobs, &part)?;
            index.value().manifests.clone()
        } else if is_manifest(&part) {
            let manifest: Raw<Manifest> = read_document(blobs, &part)?;
            [manifest.value().layers.clone(), vec![manifest.value().config.clone()]].concat()
        } else {
            Vec::new()
        };
        pending.push((part, true));
        pending.extend(children.into_iter().rev().map(|child| (child, false)));
    }
    Ok(parts)
}

/// Whether a descriptor is of an index, by its media type.
pub fn is_index(descriptor: &Descriptor) -> bool {
    [media::OCI_INDEX, media::DOCKER_LIST].contains(&descriptor.media_type.as_str())
}

pub(crate) fn is_manifest(descriptor: &Descriptor) -> bool {
    [media::OCI_MANIFEST, media::DOCKER_MANIFEST].contains(&descriptor.media_type.as_str())
}

#[cfg(test)]
mod tests;
