//! Where images are written to, and the one way there: [`copy`].
//!
//! ```text
//! is_there? ─ no ─► put_blobs (configurations, layers) ─► put_manifest (image manifests, then their index) … ─► finish (the name)
//! ```
//!
//! **Guarantees**: what something names is there before it ([`Order::ChildrenFirst`]), and the name comes last, so that a copy that
//! is cut short leaves blobs that nothing leads to, and never half an image. A sink gives content its digest as a name only when
//! that was verified: while it is read ([`open_verified`]), or by whoever kept it ([`Blobs::is_checked`]) or takes it. What a sink has
//! is not sent again.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use pinfold_base::Digest;

use crate::ImageError;
use crate::blobs::Blobs;
use crate::blobs::open_verified;
use crate::blobs::read_document;
use crate::blobs::unwrap_io;
use crate::model::Descriptor;
use crate::model::Index;
use crate::model::Manifest;
use crate::model::Raw;
use crate::model::media;

/// Most parts of an image, all platforms and what is nested together.
const MAX_PARTS: usize = 20_000;

/// How deep indexes may stand in indexes: tools write two.
const MAX_NESTED: usize = 8;

/// A place that takes one image: the store, a layout, an archive.
pub trait Sink {
    /// In which order it takes the parts.
    fn order(&self) -> Order {
        Order::ChildrenFirst
    }

    /// Whether the image is there already under its name, whole. Then nothing else is asked for. A sink that cannot tell cheaply says
    /// no.
    fn is_there(&mut self, _: &Descriptor) -> Result<bool, ImageError> {
        Ok(false)
    }

    /// Whether it has this blob, whole, and keeps it until the image has its name.
    fn has(&mut self, blob: &Descriptor) -> Result<bool, ImageError>;

    /// Takes a configuration or a layer from where it is. Content that is [opened verified](open_verified) has to be read to its end,
    /// which is where it turns out to be right; a failure leaves nothing under its digest.
    fn put_blob(&mut self, from: &dyn Blobs, blob: &Descriptor) -> Result<(), ImageError>;

    /// Takes all configurations and layers of an image that it does not have: one after the other, unless a sink knows better.
    fn put_blobs(&mut self, from: &dyn Blobs, blobs: &[Descriptor]) -> Result<(), ImageError> {
        for blob in blobs {
            if !self.has(blob)? {
                self.put_blob(from, blob)?;
            }
        }
        Ok(())
    }

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
    if sink.is_there(root)? {
        return Ok(());
    }
    let mut parts = parts(blobs, root)?;
    match sink.order() {
        Order::ChildrenFirst => {
            let (documents, contents): (Vec<_>, Vec<_>) = parts.into_iter().partition(is_document);
            sink.put_blobs(blobs, &contents)?;
            documents.iter().try_for_each(|part| put(blobs, part, &mut sink))?;
        }
        Order::ByDigest => {
            parts.sort_by(|a, b| a.digest.cmp(&b.digest));
            parts.iter().try_for_each(|part| put(blobs, part, &mut sink))?;
        }
    }
    sink.finish(root)
}

/// One part.
fn put(blobs: &dyn Blobs, part: &Descriptor, sink: &mut impl Sink) -> Result<(), ImageError> {
    if is_document(part) {
        let mut bytes = Vec::new();
        open_verified(blobs, part)?.read_to_end(&mut bytes).map_err(unwrap_io)?;
        return sink.put_manifest(part, &bytes);
    }
    sink.put_blobs(blobs, std::slice::from_ref(part))
}

/// Does some work for each of several blobs, `parallel` of them at once and the large ones first, so that none is left alone at the
/// end. After a failure nothing further is begun; the first is what went wrong, others may only follow from it.
pub(crate) fn several<E: Send>(
    blobs: &[Descriptor],
    parallel: usize,
    work: impl Fn(&Descriptor) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let mut blobs: Vec<&Descriptor> = blobs.iter().collect();
    blobs.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.digest.cmp(&b.digest)));
    let next = AtomicUsize::new(0);
    let failed: Mutex<Option<E>> = Mutex::new(None);
    let worker = || {
        while let Some(blob) = blobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = work(blob) {
                next.store(blobs.len(), Ordering::Relaxed);
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..parallel.min(blobs.len()) {
            scope.spawn(worker);
        }
        worker();
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// Whether something names other parts of an image.
pub(crate) fn is_document(part: &Descriptor) -> bool {
    is_index(part) || is_manifest(part)
}

/// What an image consists of, each part once and after all that it names: layers, configurations, manifests, the index. Fails when a
/// document is missing or wrong, indexes are nested too deep, or a blob is named as two different things; layers and configurations are not looked at.
pub fn parts(blobs: &dyn Blobs, root: &Descriptor) -> Result<Vec<Descriptor>, ImageError> {
    let mut parts = Vec::new();
    let mut seen: BTreeMap<Digest, Descriptor> = BTreeMap::new();
    // A part comes twice: first its children are pushed above it, then it is taken itself.
    let mut pending = vec![(root.clone(), 1, false)];
    while let Some((part, depth, children_are_done)) = pending.pop() {
        if seen.len() > MAX_PARTS {
            return Err(ImageError::rule(
                format!("image `{}`", root.digest),
                format!("it has more than {MAX_PARTS} parts"),
            ));
        }
        if children_are_done {
            parts.push(part);
            continue;
        }
        if let Some(before) = seen.get(&part.digest) {
            let documents = is_document(&part) || is_document(before);
            if part.size != before.size || (documents && part.media_type != before.media_type) {
                let reason = format!("`{}` is named twice, as different things", part.digest);
                return Err(ImageError::rule(format!("image `{}`", root.digest), reason));
            }
            continue;
        }
        seen.insert(part.digest.clone(), part.clone());
        let children = if is_index(&part) {
            if depth > MAX_NESTED {
                let reason = format!("its indexes are nested more than {MAX_NESTED} deep");
                return Err(ImageError::rule(format!("image `{}`", root.digest), reason));
            }
            let index: Raw<Index> = read_document(blobs, &part)?;
            index.value().manifests.clone()
        } else if is_manifest(&part) {
            let manifest: Raw<Manifest> = read_document(blobs, &part)?;
            [manifest.value().layers.clone(), vec![manifest.value().config.clone()]].concat()
        } else {
            Vec::new()
        };
        pending.push((part, depth, true));
        pending.extend(children.into_iter().rev().map(|child| (child, depth + 1, false)));
    }
    Ok(parts)
}

/// Whether a descriptor is of an index, by its media type.
pub fn is_index(descriptor: &Descriptor) -> bool {
    [media::OCI_INDEX, media::DOCKER_LIST].contains(&descriptor.media_type.as_str())
}

/// Whether a descriptor is of an image manifest, by its media type.
pub fn is_manifest(descriptor: &Descriptor) -> bool {
    [media::OCI_MANIFEST, media::DOCKER_MANIFEST].contains(&descriptor.media_type.as_str())
}

#[cfg(test)]
mod tests;
