//! The names of the store, `index.json`, and what becomes of them when that file is damaged.
//!
//! Every change is written to a copy as well. Nobody but us writes the copy, while `index.json` may be another tool's work: it is
//! believed when it can be read and has our stamp, or was written anew and leads to blobs that are there.
//!
//! **Guarantees**: a file that cannot be read, that is gone, that was written to and names something that is not there, or that has
//! other bytes than the copy at the same length, gives way to the copy; without one, the images have lost their names, and builds
//! give them again. At the same length a tool gives a name to another image that is there, and nothing else. Nothing here fails for
//! damage.

use std::io;

use fs_err as fs;
use pinfold_base::store::stamp;
use rustix::fs::FlockOperation;

use super::ImageStore;
use crate::ImageError;
use crate::layout::INDEX_NAME;
use crate::model::Descriptor;
use crate::model::Index;
use crate::model::MAX_DOCUMENT;
use crate::model::Raw;
use crate::model::media;

/// The copy.
const COPY_NAME: &str = "names.json";

impl ImageStore {
    /// Makes what is missing. The caller holds the lock.
    pub(super) fn begin_names(&self) -> Result<(), ImageError> {
        let root = self.layout.root();
        match (root.join(INDEX_NAME).exists(), root.join(COPY_NAME).exists()) {
            (true, _) => Ok(()),
            (false, true) => self.mend().map(drop),
            (false, false) => self.write_names(&Raw::compose(Index::new(Vec::new()))?),
        }
    }

    /// The names. Takes the lock when they have to be mended.
    pub(super) fn names(&self) -> Result<Raw<Index>, ImageError> {
        if let Some(index) = self.sound_names()? {
            return Ok(index);
        }
        let _lock = self.lock(FlockOperation::LockExclusive)?;
        self.names_held()
    }

    /// The names, for a caller that holds the lock.
    pub(super) fn names_held(&self) -> Result<Raw<Index>, ImageError> {
        match self.sound_names()? {
            Some(index) => Ok(index),
            None => self.mend(),
        }
    }

    /// Changes the names in one step. The caller holds the lock.
    pub(super) fn change_names(&self, change: impl FnOnce(&mut Vec<Descriptor>)) -> Result<(), ImageError> {
        let mut index = self.names_held()?.value().clone();
        index.media_type = Some(media::OCI_INDEX.into());
        change(&mut index.manifests);
        self.write_names(&Raw::compose(index)?)
    }

    /// `index.json`, unless it is damaged.
    fn sound_names(&self) -> Result<Option<Raw<Index>>, ImageError> {
        let Some(index) = readable(self.layout.read_index())? else { return Ok(None) };
        let stamped =
            fs::symlink_metadata(self.layout.root().join(INDEX_NAME)).as_ref().is_ok_and(stamp::is_stamped);
        if stamped {
            return Ok(Some(index));
        }
        let Some(copy) = self.copy()? else { return Ok(Some(index)) };
        let leads = |entry: &Descriptor| self.contains(&entry.digest);
        let anew = (copy.bytes().len() != index.bytes().len() || is_moved(copy.value(), index.value()))
            && index.value().manifests.iter().all(leads);
        Ok((anew || copy.bytes() == index.bytes()).then_some(index))
    }

    /// Puts the copy in the place of `index.json`.
    fn mend(&self) -> Result<Raw<Index>, ImageError> {
        let file = self.layout.root().join(INDEX_NAME);
        let index = match self.copy()? {
            Some(copy) => copy,
            None => Raw::compose(Index::new(Vec::new()))?,
        };
        self.layout.put_away(&file, INDEX_NAME)?;
        self.layout.report("the list of the images");
        self.write_names(&index)?;
        Ok(index)
    }

    fn copy(&self) -> Result<Option<Raw<Index>>, ImageError> {
        readable(self.layout.read_small(COPY_NAME, MAX_DOCUMENT).and_then(Raw::parse))
    }

    fn write_names(&self, index: &Raw<Index>) -> Result<(), ImageError> {
        // The copy first: a crash in between leaves the old names with their stamp, or the new ones with a copy that agrees.
        self.layout.write_small(COPY_NAME, index.bytes())?;
        self.layout.write_index(index)?;
        Ok(stamp::stamp(&self.layout.root().join(INDEX_NAME))?)
    }
}

/// Whether `new` is `old` with other images behind some names. What a disk does to a digest leads nowhere, and what it does to anything
/// else leaves the digest as it was.
fn is_moved(old: &Index, new: &Index) -> bool {
    let all = old.manifests.iter().zip(&new.manifests);
    let mut other = all.filter(|(old, new)| old != new).peekable();
    let some = other.peek().is_some();
    old.manifests.len() == new.manifests.len() && some && other.all(|(old, new)| old.digest != new.digest)
}

/// `None` for what is damaged or not there.
fn readable(read: Result<Raw<Index>, ImageError>) -> Result<Option<Raw<Index>>, ImageError> {
    match read {
        Ok(index) => Ok(Some(index)),
        Err(ImageError::Io(error)) if error.kind() != io::ErrorKind::InvalidData => Err(error.into()),
        Err(_) => Ok(None),
    }
}
