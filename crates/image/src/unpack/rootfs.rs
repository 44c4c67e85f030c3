//! Unpacked images, each once, shared by all sandboxes.
//!
//! ```text
//! DATA/rootfs/HEX/                whole root of the image whose manifest has this SHA-256
//! DATA/rootfs/locks/HEX           held while that root is made or removed
//! DATA/rootfs/tmp/.pinfold-…/     being made; left over after a crash, see `abandoned`
//! ```
//!
//! **Guarantees**: a root under its digest is whole, verified and synced, because it is renamed there last; of several
//! processes that want the same one, one unpacks and the others wait.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use fs_err as fs;
use pinfold_base::Algorithm;
use pinfold_base::Digest;
use pinfold_base::Reporter;
use pinfold_base::directory;
use rustix::fs::FlockOperation;

use super::Options;
use super::Temporary;
use super::UnpackError;
use super::into;
use crate::Image;
use crate::ImageSource;
use crate::store::Lock;

/// The roots below one data folder.
#[derive(Clone, Debug)]
pub struct RootfsStore {
    root: PathBuf,
    options: Options,
}

/// A root that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnpackedRoot {
    /// Digest of the image manifest.
    pub manifest: Digest,
    /// Where it is.
    pub path: PathBuf,
}

impl RootfsStore {
    /// Opens the store below `data` (`DATA/rootfs`), creating it. All its roots are unpacked with the same options.
    pub fn open(data: &Path, options: Options) -> Result<Self, UnpackError> {
        let root = data.join("rootfs");
        for dir in ["locks", "tmp"] {
            fs::create_dir_all(root.join(dir))?;
        }
        Ok(Self { root, options })
    }

    /// Where the root of a manifest is or would be.
    pub fn path(&self, manifest: &Digest) -> PathBuf {
        self.root.join(manifest.hex())
    }

    /// The root of an image, unpacked now if it is not there yet.
    pub fn get(
        &self,
        source: &ImageSource,
        image: &Image,
        reporter: &dyn Reporter,
    ) -> Result<UnpackedRoot, UnpackError> {
        let manifest = image.manifest.digest().clone();
        let path = self.path(&manifest);
        if !path.is_dir() {
            let _lock = self.lock(&manifest)?;
            if !path.is_dir() {
                let temporary = Temporary::create(&self.root.join("tmp"))?;
                into(source, image, &temporary.path, &self.options, reporter)?;
                temporary.keep_as(&path)?;
            }
        }
        // Another image's options may have been laxer about what will be mounted on.
        super::check_rootfs(&path, &self.options.mount_targets)?;
        Ok(UnpackedRoot { manifest, path })
    }

    /// All roots, in order of digest.
    pub fn list(&self) -> Result<Vec<UnpackedRoot>, UnpackError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            let name = entry.file_name();
            let digest = name.to_str().and_then(|hex| Digest::from_hex(Algorithm::Sha256, hex).ok());
            if let Some(manifest) = digest {
                found.push(UnpackedRoot { manifest, path: entry.path() });
            }
        }
        found.sort_by(|a, b| a.manifest.cmp(&b.manifest));
        Ok(found)
    }

    /// Removes a root. Whether a sandbox still uses it is for the caller to know.
    pub fn remove(&self, manifest: &Digest) -> Result<(), UnpackError> {
        let _lock = self.lock(manifest)?;
        let path = self.path(manifest);
        if path.is_dir() {
            // Under its name it is whole or not there at all, even if removing is cut short.
            let mut temporary = Temporary::create(&self.root.join("tmp"))?;
            fs::rename(&path, temporary.path.join("removed"))?;
            temporary.kept = true;
            directory::remove(&temporary.path)?;
        }
        Ok(())
    }

    /// What crashed processes left, and what could not be removed before: roots that were begun longer than `age` ago.
    pub fn abandoned(&self, age: Duration) -> Result<Vec<PathBuf>, UnpackError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.root.join("tmp"))? {
            let entry = entry?;
            let old =
                |time: SystemTime| SystemTime::now().duration_since(time).is_ok_and(|passed| passed >= age);
            if entry.metadata()?.modified().is_ok_and(old) {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    }

    fn lock(&self, manifest: &Digest) -> Result<Lock, UnpackError> {
        Ok(Lock::hold(&self.root.join("locks").join(manifest.hex()), FlockOperation::LockExclusive)?)
    }
}
