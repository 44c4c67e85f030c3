//! Unpacked images, each once, shared by all sandboxes.
//!
//! ```text
//! DATA/rootfs/HEX/                whole root of the image whose manifest has this SHA-256
//! DATA/rootfs/locks/HEX           held while that root is made or removed, and shared by who is about to use it
//! DATA/rootfs/tmp/.pinfold-…/     being made or removed; left over after a crash, see `sweep` and `abandoned`
//! ```
//!
//! **Guarantees**: a root under its digest is whole, verified and synced, because it is renamed there last; of several
//! processes that want the same one, one unpacks and the others wait. One that was given out is not removed while its [`HeldRoot`]
//! lives.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use fs_err as fs;
use pinfold_base::Algorithm;
use pinfold_base::Digest;
use pinfold_base::Reporter;
use pinfold_base::directory;
use pinfold_base::directory::Size;
use pinfold_base::store::temporary;
use rustix::fs::FlockOperation;

use super::Options;
use super::Temporary;
use super::UnpackError;
use super::into;
use crate::Image;
use crate::ImageSource;
use crate::store::Lock;
use crate::trust::Admitted;

/// How long to wait where somebody holds what is not there (any more).
const AGAIN: Duration = Duration::from_millis(10);

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

/// A root that is there and stays while this lives.
#[derive(Debug)]
pub struct HeldRoot {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it was unpacked for this.
    pub made: bool,
    _hold: Lock,
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
        source: &Admitted<ImageSource>,
        image: &Image,
        reporter: &dyn Reporter,
    ) -> Result<HeldRoot, UnpackError> {
        let manifest = image.manifest.digest();
        let path = self.path(manifest);
        let mut made = false;
        loop {
            let hold = Lock::hold(&self.lock_file(manifest), FlockOperation::LockShared)?;
            if path.is_dir() {
                // Another image's options may have been laxer about what will be mounted on.
                super::check_rootfs(&path, &self.options.mount_targets)?;
                return Ok(HeldRoot { path, made, _hold: hold });
            }
            drop(hold);
            // Not waited for: who has made it meanwhile may hold it for long, and then it is there. Who makes it now is waited for
            // above.
            let Some(_lock) = Lock::try_hold(&self.lock_file(manifest))? else {
                std::thread::sleep(AGAIN);
                continue;
            };
            if !path.is_dir() {
                let temporary = Temporary::create(&self.root.join("tmp"))?;
                into(source, image, &temporary.path, &self.options, reporter)?;
                temporary.keep_as(&path)?;
                made = true;
            }
        }
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

    /// Removes a root unless somebody holds it: whether it is gone.
    pub fn remove(&self, manifest: &Digest) -> Result<bool, UnpackError> {
        self.remove_unless(manifest, |_| false)
    }

    /// The same, unless it is `in_use`. That is asked while nobody can begin to use it: who is about to holds it until it is seen.
    pub fn remove_unless(
        &self,
        manifest: &Digest,
        in_use: impl FnOnce(&Path) -> bool,
    ) -> Result<bool, UnpackError> {
        let path = self.path(manifest);
        if !path.is_dir() {
            return Ok(true);
        }
        let Some(_lock) = Lock::try_hold(&self.lock_file(manifest))? else { return Ok(false) };
        if in_use(&path) {
            return Ok(false);
        }
        if path.is_dir() {
            // Under its name it is whole or not there at all, even if removing is cut short.
            let mut temporary = Temporary::create(&self.root.join("tmp"))?;
            fs::rename(&path, temporary.path.join("removed"))?;
            temporary.kept = true;
            directory::remove(&temporary.path)?;
        }
        Ok(true)
    }

    /// What killed processes left of what they were making or removing; removed if `remove` says so.
    pub fn sweep(&self, remove: bool) -> Result<Size, UnpackError> {
        Ok(temporary::sweep(&self.root.join("tmp"), remove)?)
    }

    /// What earlier versions left when they crashed: roots that were begun longer than `age` ago. What this one begins says itself
    /// whether somebody is at it, however long that takes ([`RootfsStore::sweep`]).
    pub fn abandoned(&self, age: Duration) -> Result<Vec<PathBuf>, UnpackError> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.root.join("tmp"))? {
            let entry = entry?;
            if temporary::is_own(&entry.path()) {
                continue;
            }
            let old =
                |time: SystemTime| SystemTime::now().duration_since(time).is_ok_and(|passed| passed >= age);
            if entry.metadata()?.modified().is_ok_and(old) {
                found.push(entry.path());
            }
        }
        found.sort();
        Ok(found)
    }

    fn lock_file(&self, manifest: &Digest) -> PathBuf {
        self.root.join("locks").join(manifest.hex())
    }
}
