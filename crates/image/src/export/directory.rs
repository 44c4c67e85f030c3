//! A layout outside of the store: one that is there gets blobs first and the name last, a new one appears whole.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_base::Reporter;
use pinfold_base::beside::BesideFolder;
use pinfold_base::store::Expected;
use pinfold_base::store::PARTIAL;
use pinfold_base::store::TEMPORARY;
use rustix::fs::FlockOperation;

use super::Named;
use super::parent_of;
use crate::ImageError;
use crate::blobs::Blobs;
use crate::layout::Layout;
use crate::layout::sync_parent;
use crate::model::Descriptor;
use crate::model::Raw;
use crate::model::media;
use crate::sink::Sink;
use crate::store::Lock;
use crate::store::ref_name;

/// A layout being filled.
pub(super) struct DirectorySink<'a> {
    layout: Layout,
    named: Named,
    state: State,
    reporter: &'a dyn Reporter,
}

enum State {
    /// It is there, and nobody else changes it.
    Locked { _lock: Lock },
    /// It gets this name when it is whole.
    New { dir: BesideFolder, path: PathBuf },
}

impl<'a> DirectorySink<'a> {
    pub(super) fn open(path: &Path, named: Named, reporter: &'a dyn Reporter) -> Result<Self, ImageError> {
        let exists = match fs::read_dir(path) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error.into()),
        };
        if exists {
            let layout = Layout::open(path)?;
            let lock = Lock::hold(&path.join("lock"), FlockOperation::LockExclusive)?;
            return Ok(Self { layout, named, state: State::Locked { _lock: lock }, reporter });
        }
        fs::create_dir_all(parent_of(path))?;
        let dir = BesideFolder::new(path)?;
        let layout = Layout::create(dir.path())?;
        Ok(Self { layout, named, state: State::New { dir, path: path.into() }, reporter })
    }
}

impl Sink for DirectorySink<'_> {
    fn has(&mut self, blob: &Descriptor) -> Result<bool, ImageError> {
        self.layout.refresh(&Expected { digest: blob.digest.clone(), size: Some(blob.size) })
    }

    fn put_blob(&mut self, from: &dyn Blobs, blob: &Descriptor) -> Result<(), ImageError> {
        self.put_blobs(from, std::slice::from_ref(blob))
    }

    fn put_blobs(&mut self, from: &dyn Blobs, blobs: &[Descriptor]) -> Result<(), ImageError> {
        let has = |blob: &Descriptor| {
            self.layout.refresh(&Expected { digest: blob.digest.clone(), size: Some(blob.size) })
        };
        self.layout.take(from, blobs, has, self.reporter)
    }

    fn put_manifest(&mut self, manifest: &Descriptor, bytes: &[u8]) -> Result<(), ImageError> {
        self.layout.put_reader(bytes, &manifest.digest, manifest.size)
    }

    fn finish(self, root: &Descriptor) -> Result<(), ImageError> {
        let mut named = root.clone();
        self.named.write(&mut named);
        let mut index = self.layout.read_index()?.value().clone();
        index.media_type = Some(media::OCI_INDEX.into());
        index.manifests.retain(|old| match &self.named.tag {
            Some(tag) => ref_name(old) != Some(tag),
            None => ref_name(old).is_some() || old.digest != root.digest,
        });
        index.manifests.push(named);
        index.manifests.sort_by(|a, b| (ref_name(a), &a.digest).cmp(&(ref_name(b), &b.digest)));
        self.layout.write_index(&Raw::compose(index)?)?;
        // Blobs were renamed out of it, so it is empty; other writers of the layout may have theirs in it.
        for folder in [TEMPORARY, PARTIAL] {
            let _ = fs::remove_dir(self.layout.root().join(folder));
        }
        if let State::New { dir, path } = self.state {
            fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755))?;
            // An empty directory in the way is replaced, anything else was refused at the start.
            fs::rename(dir.path(), &path)?;
            dir.keep();
            sync_parent(&path)?;
        }
        Ok(())
    }
}
