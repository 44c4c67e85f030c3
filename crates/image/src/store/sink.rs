//! An image on its way into the store, and what the store notes of where it came from.
//!
//! **Guarantees**: what is written of an image's upstream is the caller's, never what a document from outside says of itself.

use pinfold_base::Digest;
use pinfold_base::Reporter;
use pinfold_base::store::Expected;
use rustix::fs::FlockOperation;

use super::ImageStore;
use super::entry_name;
use crate::ImageError;
use crate::Reference;
use crate::blobs::Blobs;
use crate::compose::annotation;
use crate::model::Descriptor;
use crate::sink::Sink;

/// Annotation of an entry: the index that this manifest of one platform was taken from.
pub const INDEX: &str = "dev.pinfold.index";
/// Annotation of an entry: when its registry was asked what the tag leads to, RFC 3339.
pub const RESOLVED: &str = "dev.pinfold.resolved";

/// Where an image came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upstream {
    /// The index whose manifest for one platform it is.
    pub index: Option<Digest>,
    /// When a registry was asked what its tag leads to, RFC 3339.
    pub resolved: Option<String>,
}

impl Upstream {
    /// What an entry of the store says.
    pub(super) fn of(entry: &Descriptor) -> Self {
        Self {
            index: entry.annotations.get(INDEX).and_then(|text| text.parse().ok()),
            resolved: entry.annotations.get(RESOLVED).cloned(),
        }
    }

    fn write(&self, entry: &mut Descriptor) {
        let index = self.index.as_ref().map(|digest| (INDEX.to_owned(), digest.to_string()));
        let resolved = self.resolved.as_ref().map(|time| (RESOLVED.to_owned(), time.clone()));
        entry.annotations.extend(index.into_iter().chain(resolved));
    }
}

impl ImageStore {
    /// A sink for an image that gets this name.
    pub fn sink<'a>(&'a self, reference: &'a Reference, reporter: &'a dyn Reporter) -> impl Sink + use<'a> {
        self.receive(reference, Upstream::default(), reporter)
    }

    /// The same for one that comes from elsewhere. Without a tag it is called by its digest.
    pub fn receive<'a>(
        &'a self,
        reference: &'a Reference,
        upstream: Upstream,
        reporter: &'a dyn Reporter,
    ) -> impl Sink + use<'a> {
        StoreSink { store: self, reference, upstream, reporter }
    }

    /// Notes anew when a registry was asked what the tag leads to that an image has here.
    pub fn resolved(&self, reference: &Reference, time: &str) -> Result<(), ImageError> {
        let _lock = self.lock(FlockOperation::LockExclusive)?;
        let name = entry_name(reference);
        self.change_names(|entries| {
            for entry in entries.iter_mut().filter(|entry| super::ref_name(entry) == Some(&name)) {
                entry.annotations.insert(RESOLVED.to_owned(), time.to_owned());
            }
        })
    }
}

/// Writes an image to the store. Blobs come in without holding the lock; whether one is there must not be asked while `gc` removes it.
struct StoreSink<'a> {
    store: &'a ImageStore,
    reference: &'a Reference,
    upstream: Upstream,
    reporter: &'a dyn Reporter,
}

impl StoreSink<'_> {
    fn has(&self, blob: &Descriptor) -> Result<bool, ImageError> {
        let _lock = self.store.lock(FlockOperation::LockShared)?;
        self.store.layout.refresh(&Expected { digest: blob.digest.clone(), size: Some(blob.size) })
    }
}

impl Sink for StoreSink<'_> {
    fn has(&mut self, blob: &Descriptor) -> Result<bool, ImageError> {
        Self::has(self, blob)
    }

    fn put_blob(&mut self, from: &dyn Blobs, blob: &Descriptor) -> Result<(), ImageError> {
        self.put_blobs(from, std::slice::from_ref(blob))
    }

    fn put_blobs(&mut self, from: &dyn Blobs, blobs: &[Descriptor]) -> Result<(), ImageError> {
        self.store.layout.take(from, blobs, |blob| Self::has(self, blob), self.reporter)
    }

    fn put_manifest(&mut self, manifest: &Descriptor, bytes: &[u8]) -> Result<(), ImageError> {
        let _lock = self.store.lock(FlockOperation::LockShared)?;
        self.store.layout.put_reader(bytes, &manifest.digest, manifest.size)
    }

    fn finish(self, root: &Descriptor) -> Result<(), ImageError> {
        if let Some(expected) = self.reference.digest()
            && *expected != root.digest
            && self.upstream.index.as_ref() != Some(expected)
        {
            let (what, expected) = (format!("image `{}`", self.reference), expected.clone());
            return Err(ImageError::WrongDigest { what, expected, actual: root.digest.clone() });
        }
        // What an index from outside says beside its entries is not taken for notes of the store.
        let mut entry = Descriptor {
            platform: root.platform.clone(),
            ..Descriptor::new(&root.media_type, root.digest.clone(), root.size)
        };
        self.upstream.write(&mut entry);
        entry.annotations.insert(annotation::REF_NAME.into(), entry_name(self.reference));
        self.store.enter(entry).map(drop)
    }
}
