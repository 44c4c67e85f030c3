//! Where signatures are found: attached to an image in its registry, or kept of that on this machine.
//!
//! ```text
//! RegistryProofs   referrers (bundles by what is said of them first) ─► up to 64 manifests ─► the one layer that is a bundle,
//!                  the smallest first, up to 24 MiB
//! Kept             DATA/proofs/HEX/HEX.json     of the image with the digest HEX, named by their own digest
//! ```
//!
//! **Guarantees**: what hinders reading is an error, never taken for "nothing is attached". What is no bundle, cannot be understood
//! or is not there any more does not hinder. Nothing that is found here is a proof before a key has verified it
//! ([`pinfold_image::trust`]), so that it matters to nobody who wrote it.

use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use fs_err as fs;
use pinfold_base::Algorithm;
use pinfold_base::Digest;
use pinfold_base::beside::BesideFile;
use pinfold_base::directory;
use pinfold_base::private_folder;
use pinfold_image::ImageError;
use pinfold_image::model::Descriptor;
use pinfold_image::model::Manifest;
use pinfold_image::model::Raw;
use pinfold_image::registry::Client;
use pinfold_image::registry::RegistryError;
use pinfold_image::registry::Which;
use pinfold_image::registry::referrers;
use pinfold_image::registry::whole_blob;
use pinfold_image::sign::MAX_BUNDLE;
use pinfold_image::sign::MEDIA_TYPE;
use pinfold_image::trust::MAX_PROOFS;
use pinfold_image::trust::Proofs;

use crate::context::Context;

/// The folder of kept proofs, in the data folder.
pub const FOLDER: &str = "proofs";
/// Most bytes of bundles that are looked at for one image.
const MAX_TOGETHER: u64 = 24 << 20;
/// What a kept bundle's name ends with.
const SUFFIX: &str = ".json";

/// What is attached to images of a repository.
#[derive(Debug)]
pub struct RegistryProofs<'a>(pub &'a Client);

impl Proofs for RegistryProofs<'_> {
    fn bundles(&self, of: &Digest) -> Result<Vec<Vec<u8>>, ImageError> {
        Ok(self.of_entries(&referrers::list(self.0, of)?)?)
    }
}

impl RegistryProofs<'_> {
    /// The bundles among what is listed.
    pub(super) fn of_entries(&self, listed: &[Descriptor]) -> Result<Vec<Vec<u8>>, RegistryError> {
        let mut entries: Vec<&Descriptor> =
            listed.iter().filter(|entry| entry.digest.algorithm() == Algorithm::Sha256).collect();
        // What an entry says of itself only decides what is looked at first: old entries say nothing, and anybody can say anything.
        entries.sort_by_key(|entry| match entry.artifact_type.as_deref() {
            Some(MEDIA_TYPE) => 0,
            None => 1,
            Some(_) => 2,
        });
        let mut layers = Vec::new();
        for entry in entries.iter().take(MAX_PROOFS) {
            match self.layer(&entry.digest) {
                Ok(layer) => layers.extend(layer),
                Err(error) if is_nobodys(&error) => {}
                Err(error) => return Err(error),
            }
        }
        // Signatures are small: what is large and beside them costs them nothing.
        layers.sort_by_key(|layer| layer.size);
        let (mut found, mut left) = (Vec::new(), MAX_TOGETHER);
        for layer in layers {
            let Some(rest) = left.checked_sub(layer.size) else { break };
            left = rest;
            match whole_blob(self.0, &layer) {
                Ok(bundle) => found.push(bundle),
                Err(error) if is_nobodys(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// The bundle that a manifest names, if it does.
    fn layer(&self, manifest: &Digest) -> Result<Option<Descriptor>, RegistryError> {
        let Some(found) = self.0.get_manifest(&Which::Digest(manifest.clone()), None)? else {
            return Ok(None);
        };
        let Ok(manifest) = Raw::<Manifest>::parse_as(found.bytes, Some(&found.descriptor.media_type)) else {
            return Ok(None);
        };
        match manifest.value().layers.as_slice() {
            [layer] if layer.media_type == MEDIA_TYPE && layer.size <= MAX_BUNDLE => Ok(Some(layer.clone())),
            _ => Ok(None),
        }
    }
}

/// Whether it is only what somebody attached that cannot be used, not the registry.
fn is_nobodys(error: &RegistryError) -> bool {
    matches!(
        error,
        RegistryError::Missing { .. }
            | RegistryError::TooLarge { .. }
            | RegistryError::Kind { .. }
            | RegistryError::Schema1 { .. }
            | RegistryError::Image(_)
    )
}

/// Bundles that were kept of images that came from registries.
#[derive(Clone, Debug)]
pub struct Kept {
    folder: PathBuf,
}

impl Kept {
    /// Those of this user.
    pub fn of(context: &Context) -> Self {
        Self { folder: context.home.data().join(FOLDER) }
    }

    /// Where those of an image are.
    fn of_image(&self, image: &Digest) -> PathBuf {
        self.folder.join(image.hex())
    }

    /// Keeps bundles of an image, beside those that are kept of it.
    pub fn keep(&self, of: &Digest, bundles: &[Vec<u8>]) -> io::Result<()> {
        if bundles.is_empty() {
            return Ok(());
        }
        let folder = self.of_image(of);
        private_folder(&folder)?;
        for bundle in bundles {
            let file = folder.join(format!("{}{SUFFIX}", Digest::sha256(bundle).hex()));
            if fs::read(&file).is_ok_and(|there| there == *bundle) {
                continue;
            }
            let mut new = BesideFile::new(&file)?;
            new.write_all(bundle)?;
            new.persist_as_it_is()?;
        }
        Ok(())
    }

    /// Forgets what is kept of images other than these, unless it is young: an image may be on its way.
    pub fn sweep(&self, age: Duration, keep: impl Fn(&str) -> bool) -> io::Result<()> {
        for entry in entries(&self.folder)? {
            let old = fs::metadata(&entry)?.modified()?.elapsed().is_ok_and(|elapsed| elapsed >= age);
            if old && entry.file_name().and_then(|name| name.to_str()).is_none_or(|name| !keep(name)) {
                directory::remove(&entry).map_err(io::Error::other)?;
            }
        }
        Ok(())
    }
}

impl Proofs for Kept {
    fn bundles(&self, of: &Digest) -> Result<Vec<Vec<u8>>, ImageError> {
        let mut found = Vec::new();
        for file in entries(&self.of_image(of))? {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with('.') || !name.ends_with(SUFFIX) {
                continue;
            }
            let mut bytes = Vec::new();
            fs::File::open(&file)?.take(MAX_BUNDLE).read_to_end(&mut bytes)?;
            found.push(bytes);
        }
        Ok(found)
    }
}

/// What is in a folder, in order of name; nothing where there is none.
fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let listed = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut paths = listed.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests;
