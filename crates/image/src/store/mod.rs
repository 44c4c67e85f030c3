//! The image store: one OCI layout for all images of a user, shared by several processes.
//!
//! ```text
//! DATA/images/oci-layout, index.json, blobs/sha256/HEX, tmp/     as in [`crate::layout`]
//! DATA/images/partial/ALG-HEX                                    a download cut short, to be resumed (owned by `base::http`)
//! DATA/images/lock                                               held while names change or blobs are removed
//! DATA/images/names.json                                         a copy of index.json, in case that is damaged
//! DATA/images/damaged/HEX                                        set aside: what did not match its name any more (removed by `gc`)
//! ```
//!
//! The entries of `index.json` are the roots: what none of them reaches is removed by [`ImageStore::gc`], unless it is young.
//! `org.opencontainers.image.ref.name` of an entry is the full `name:tag`, so that two names do not collide and skopeo finds
//! them as `oci:DIR:name:tag`. [`OWNER`] says which project an entry comes from; one that has it and no name is what that project
//! runs, and of these the newest [`KEPT`] stay. One that came from a registry as one platform of an index has the index's digest as
//! [`INDEX`], so that it is found by that, too; its bytes are as they came. None of these [`NOTES`] leaves the store.
//!
//! **Guarantees**: a name always leads to an image that is complete; names change in one step, for all processes; a crash
//! leaves only files in `tmp` and unnamed blobs, both harmless. What the disk does to a blob or to `index.json` afterwards is
//! noticed by whoever meets it, taken out of the way and reported: a damaged blob is then a missing one, a damaged `index.json` is
//! what its copy says.

mod gc;
mod names;
mod sink;

pub use gc::GcMode;
pub use gc::GcReport;
pub use sink::INDEX;
pub use sink::RESOLVED;
pub use sink::Upstream;

use std::collections::BTreeMap;
use std::io;
use std::io::Read;

use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use fs_err::File;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use pinfold_base::Algorithm;
use pinfold_base::Digest;
use pinfold_base::store::Damage;
use pinfold_base::store::Expected;
use rustix::fs::FlockOperation;
use rustix::fs::OFlags;

use crate::ImageError;
use crate::Reference;
use crate::blobs::BlobRead;
use crate::blobs::Blobs;
use crate::blobs::OnDamage;
use crate::blobs::read_document;
use crate::compose::annotation;
use crate::layout::Custody;
use crate::layout::INDEX_NAME;
use crate::layout::Layout;
use crate::model::Descriptor;
use crate::model::Document;
use crate::model::Index;
use crate::model::Raw;
use crate::sink::is_index;
use crate::sink::parts;

/// Annotation of an entry: the project that it comes from, for people.
pub const OWNER: &str = "dev.pinfold.project";
/// All annotations of entries that never leave the store, nor come into it from outside.
pub const NOTES: [&str; 3] = [OWNER, INDEX, RESOLVED];
/// Unnamed entries that stay of a project: what it runs, and what it ran before.
pub const KEPT: usize = 2;
/// Names listed in an error that says a name is unknown.
const KNOWN_SHOWN: usize = 8;

/// The store below one data folder.
#[derive(Clone, Debug)]
pub struct ImageStore {
    layout: Layout,
}

/// A named image of the store.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedImage {
    /// `name:tag`; `None` for an entry that another tool added under no name or a strange one.
    pub reference: Option<Reference>,
    /// The project that it comes from, where that is known.
    pub owner: Option<String>,
    /// Where it came from, if from elsewhere.
    pub upstream: Upstream,
    /// The index or image manifest.
    pub descriptor: Descriptor,
}

impl ImageStore {
    /// Opens the store below `data` (`DATA/images`), creating it.
    pub fn open(data: &Path) -> Result<Self, ImageError> {
        Self::reporting(data, &Damage::default())
    }

    /// The same. What is found damaged in it is told to `damage`.
    pub fn reporting(data: &Path, damage: &Damage) -> Result<Self, ImageError> {
        let root = data.join("images");
        fs::create_dir_all(&root)?;
        // Whoever only looks at a store that is there does not wait for those who change it.
        let there =
            ["oci-layout", INDEX_NAME, "blobs/sha256", "tmp"].iter().all(|name| root.join(name).exists());
        let _lock =
            if there { None } else { Some(Lock::hold(&root.join("lock"), FlockOperation::LockExclusive)?) };
        let store = Self { layout: Layout::kept(&root, damage)? };
        if !there {
            store.begin_names()?;
        }
        Ok(store)
    }

    /// The layout behind it.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Where a blob is or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.layout.blob_path(digest)
    }

    /// Whether the blob is here.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.blob_path(digest).is_file()
    }

    /// Whether the blob is here and what is expected: of that size, and hashed when it was written to. One that is not is set aside.
    pub fn holds(&self, expected: &Expected) -> Result<bool, ImageError> {
        self.layout.holds(expected)
    }

    /// Hashes a blob: whether it is what its name says. One that is not is set aside.
    pub fn check(&self, digest: &Digest) -> Result<bool, ImageError> {
        self.layout.check_blob(digest)
    }

    /// All blobs that are here, in order of digest.
    pub fn blobs(&self) -> Result<Vec<Digest>, ImageError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.layout.root().join("blobs/sha256"))? {
            let name = entry?.file_name();
            found.extend(name.to_str().and_then(|hex| Digest::from_hex(Algorithm::Sha256, hex).ok()));
        }
        found.sort();
        Ok(found)
    }

    /// Stores a file; see [`Layout::put_file`].
    pub fn put_file(
        &self,
        source: &Path,
        digest: &Digest,
        size: u64,
        origin: Custody,
    ) -> Result<(), ImageError> {
        let _lock = self.lock(FlockOperation::LockShared)?;
        self.layout.put_file(source, digest, size, origin)
    }

    /// Stores what a reader gives, verified. Bytes come in without holding the lock.
    pub fn put_reader(&self, reader: impl Read, digest: &Digest, size: u64) -> Result<(), ImageError> {
        {
            // Whether an old blob is still there must not be asked while `gc` removes it.
            let _lock = self.lock(FlockOperation::LockShared)?;
            if self.layout.refresh(&Expected { digest: digest.clone(), size: Some(size) })? {
                return Ok(());
            }
        }
        self.layout.put_reader(reader, digest, size)
    }

    /// Stores a document.
    pub fn put_document<T: Document>(&self, document: &Raw<T>) -> Result<(), ImageError> {
        let _lock = self.lock(FlockOperation::LockShared)?;
        self.layout.put_document(document)
    }

    /// Gives an image a name, taking the name from whatever had it, and says whose that was. Fails when a blob of the image is
    /// missing: a name never leads to half an image. The reference needs a tag.
    pub fn tag(
        &self,
        reference: &Reference,
        descriptor: &Descriptor,
        owner: Option<&str>,
    ) -> Result<Option<String>, ImageError> {
        let name = reference.name_and_tag().ok_or_else(|| ImageError::Reference {
            text: reference.to_string(),
            reason: "a tag is needed to name an image",
        })?;
        let mut entry = without_notes(descriptor);
        entry.annotations.insert(annotation::REF_NAME.into(), name);
        entry.annotations.extend(owner.map(|owner| (OWNER.to_owned(), owner.to_owned())));
        self.enter(entry)
    }

    /// Puts an entry in the place of the one that has its name, and says whose that was. An image that is here already stays known
    /// as a platform of its index.
    fn enter(&self, mut entry: Descriptor) -> Result<Option<String>, ImageError> {
        let _lock = self.lock(FlockOperation::LockExclusive)?;
        self.hold_parts(&entry)?;
        let name = ref_name(&entry).map(str::to_owned);
        let mut before = None;
        self.change_names(|entries| {
            let of = entries
                .iter()
                .filter(|old| old.digest == entry.digest)
                .find_map(|old| old.annotations.get(INDEX));
            if let Some(index) = of {
                entry.annotations.entry(INDEX.to_owned()).or_insert_with(|| index.clone());
            }
            let old = entries.iter().find(|old| ref_name(old) == name.as_deref());
            before = old.and_then(|old| old.annotations.get(OWNER).cloned());
            entries.retain(|old| ref_name(old) != name.as_deref());
            entries.push(entry);
            in_order(entries);
        })?;
        Ok(before)
    }

    /// Keeps an image for the project that runs it, without a name, and lets go of those that it ran long ago. `instead_of` is the
    /// name that earlier versions gave it: this very image loses it, unless somebody is known to have given it.
    pub fn keep(
        &self,
        owner: &str,
        descriptor: &Descriptor,
        instead_of: &Reference,
    ) -> Result<(), ImageError> {
        let _lock = self.lock(FlockOperation::LockExclusive)?;
        self.hold_parts(descriptor)?;
        let mut entry = descriptor.clone();
        entry.annotations.insert(OWNER.into(), owner.into());
        let old_name = instead_of.name_and_tag();
        self.change_names(|entries| {
            entries.retain(|old| {
                let ours = old.annotations.contains_key(OWNER);
                !(is_kept(old, owner) && old.digest == entry.digest)
                    && (ours
                        || ref_name(old).is_none()
                        || ref_name(old) != old_name.as_deref()
                        || old.digest != entry.digest)
            });
            entries.push(entry);
            let mut surplus = entries.iter().filter(|old| is_kept(old, owner)).count().saturating_sub(KEPT);
            entries.retain(|old| {
                let goes = surplus > 0 && is_kept(old, owner);
                surplus -= usize::from(goes);
                !goes
            });
            in_order(entries);
        })
    }

    /// What a project runs and ran, the newest last.
    pub fn kept(&self, owner: &str) -> Result<Vec<Descriptor>, ImageError> {
        let index = self.names()?;
        Ok(index.value().manifests.iter().filter(|entry| is_kept(entry, owner)).map(without_notes).collect())
    }

    /// Makes all parts of an image young. The caller holds the lock.
    fn hold_parts(&self, descriptor: &Descriptor) -> Result<(), ImageError> {
        for part in parts(self, descriptor)? {
            let expected = Expected { digest: part.digest.clone(), size: Some(part.size) };
            if !self.layout.refresh(&expected)? {
                return Err(ImageError::MissingBlob { digest: part.digest, place: self.location() });
            }
        }
        Ok(())
    }

    /// Takes a name away; the image stays until `gc`. Says what had the name.
    pub fn untag(&self, reference: &Reference) -> Result<Descriptor, ImageError> {
        let _lock = self.lock(FlockOperation::LockExclusive)?;
        let name = reference.name_and_tag();
        let entries = self.names_held()?.value().manifests.clone();
        let found = entries.into_iter().find(|entry| name.is_some() && ref_name(entry) == name.as_deref());
        let found = found.ok_or_else(|| self.not_found(&reference.to_string()))?;
        self.change_names(|entries| entries.retain(|entry| ref_name(entry) != name.as_deref()))?;
        Ok(found)
    }

    /// Takes away all names of an image, and what keeps it without one.
    pub fn forget(&self, digest: &Digest) -> Result<(), ImageError> {
        let _lock = self.lock(FlockOperation::LockExclusive)?;
        self.change_names(|entries| entries.retain(|entry| entry.digest != *digest))
    }

    /// All entries, in order of name.
    pub fn list(&self) -> Result<Vec<NamedImage>, ImageError> {
        let index = self.names()?;
        Ok(Self::named(&index))
    }

    fn named(index: &Raw<Index>) -> Vec<NamedImage> {
        let mut entries: Vec<NamedImage> = index.value().manifests.iter().map(named).collect();
        entries.sort_by(|a, b| a.reference.cmp(&b.reference));
        entries
    }

    /// Finds an image by `name`, `name:tag` or `name@digest`; a digest may also be that of one platform's manifest, or of the index
    /// that one was taken from.
    pub fn resolve(&self, reference: &Reference) -> Result<Descriptor, ImageError> {
        Ok(self.find(reference)?.descriptor)
    }

    /// The same with what is known of it.
    pub fn find(&self, reference: &Reference) -> Result<NamedImage, ImageError> {
        let index = self.names()?;
        let entries = &index.value().manifests;
        let name = entry_name(reference);
        if let Some(found) = entries.iter().find(|entry| ref_name(entry) == Some(&name)) {
            return Ok(named(found));
        }
        let Some(digest) = reference.digest() else {
            return Err(self.not_found(&reference.to_string()));
        };
        let of_name = |entry: &&Descriptor| match ref_name(entry) {
            Some(name) => name.parse::<Reference>().is_ok_and(|name| name.name() == reference.name()),
            // What a project runs has no name, and is called by the project's.
            // Names with a registry are somebody else's.
            None => entry.annotations.contains_key(OWNER) && reference.registry().is_none(),
        };
        for entry in entries.iter().filter(of_name) {
            let found = named(entry);
            if found.descriptor.digest == *digest || found.upstream.index.as_ref() == Some(digest) {
                return Ok(found);
            }
            if is_index(entry) {
                let index: Raw<Index> = read_document(self, entry)?;
                if let Some(part) = index.value().manifests.iter().find(|part| part.digest == *digest) {
                    let upstream = Upstream { index: Some(entry.digest.clone()), ..found.upstream };
                    // What an index from elsewhere says of its parts is nobody's word here.
                    let descriptor = Descriptor { annotations: BTreeMap::new(), ..part.clone() };
                    return Ok(NamedImage { upstream, descriptor, ..found });
                }
            }
        }
        Err(self.not_found(&reference.to_string()))
    }

    fn not_found(&self, reference: &str) -> ImageError {
        let entries = self.layout.read_index().map(|index| Self::named(&index)).unwrap_or_default();
        let known = entries.iter().filter_map(|entry| entry.reference.as_ref().map(ToString::to_string));
        ImageError::NotFound {
            reference: reference.into(),
            place: "the store".into(),
            known: known.take(KNOWN_SHOWN).collect(),
        }
    }

    fn lock(&self, how: FlockOperation) -> Result<Lock, ImageError> {
        Ok(Lock::hold(&self.layout.root().join("lock"), how)?)
    }
}

impl Blobs for ImageStore {
    fn location(&self) -> String {
        "the store".into()
    }

    fn open(&self, digest: &Digest) -> Result<(BlobRead, u64), ImageError> {
        self.layout.open(digest).map_err(|error| match error {
            ImageError::MissingBlob { digest, .. } => {
                ImageError::MissingBlob { digest, place: self.location() }
            }
            error => error,
        })
    }

    fn is_checked(&self, blob: &Descriptor) -> Result<bool, ImageError> {
        self.layout.holds(&Expected { digest: blob.digest.clone(), size: Some(blob.size) })
    }

    fn on_damage(&self) -> Option<OnDamage> {
        self.layout.on_damage()
    }
}

/// Names in order; what has none stays in the order in which it came.
fn in_order(entries: &mut [Descriptor]) {
    entries.sort_by(|a, b| ref_name(a).cmp(&ref_name(b)));
}

/// Whether an entry is what a project runs.
fn is_kept(entry: &Descriptor, owner: &str) -> bool {
    ref_name(entry).is_none() && entry.annotations.get(OWNER).is_some_and(|found| found == owner)
}

/// What an entry says.
fn named(entry: &Descriptor) -> NamedImage {
    NamedImage {
        reference: ref_name(entry).and_then(|name| name.parse().ok()),
        owner: entry.annotations.get(OWNER).cloned(),
        upstream: Upstream::of(entry),
        descriptor: without_notes(entry),
    }
}

/// As it may leave the store.
fn without_notes(entry: &Descriptor) -> Descriptor {
    let mut entry = entry.clone();
    entry.annotations.retain(|name, _| !NOTES.contains(&name.as_str()));
    entry
}

/// What an entry is called: `name:tag`, or `name@digest` where there is no tag. A digest says more than a tag.
fn entry_name(reference: &Reference) -> String {
    match reference.digest() {
        Some(digest) => format!("{}@{digest}", reference.name()),
        None => reference.to_string(),
    }
}

pub(crate) fn ref_name(descriptor: &Descriptor) -> Option<&str> {
    descriptor.annotations.get(annotation::REF_NAME).map(String::as_str)
}

/// An advisory lock between processes and threads, released when dropped or when the process dies.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// A layout may be from elsewhere: no link is followed out of it, and nothing is waited for.
    fn open(path: &Path) -> io::Result<File> {
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
        let mut options = fs::OpenOptions::new();
        options.create(true).truncate(false).write(true).custom_flags(flags.cast_signed());
        options.open(path)
    }

    /// Takes the lock for itself; `None` while somebody has it.
    pub(crate) fn try_hold(path: &Path) -> io::Result<Option<Self>> {
        let file = Self::open(path)?;
        loop {
            match rustix::fs::flock(file.file(), FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(Self { _file: file })),
                Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for the lock.
    pub(crate) fn hold(path: &Path, how: FlockOperation) -> io::Result<Self> {
        let file = Self::open(path)?;
        loop {
            match rustix::fs::flock(file.file(), how) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
