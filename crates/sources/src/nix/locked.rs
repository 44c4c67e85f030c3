//! What the lock says of store paths.
//!
//! ```toml
//! roots = [ { attribute = "nixpkgs#ripgrep", system = "x86_64-linux", output = "out", path = "HASH-NAME" } ]
//! paths = [ { path = "HASH-NAME", nar = "sha256:…", nar_size = 664, references = […], file = "sha256:…", size = 268, … } ]
//! ```
//!
//! **Guarantees**: sorted by path; what is read back passes [`LockedNix::check`] before anything is done with it: every reference
//! and root is one of the paths.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_base::store::Expected;
use serde::Deserialize;
use serde::Serialize;

use super::NixError;
use super::closure::Closure;
use super::key::Signature;
use super::key::TrustedKeys;
use super::narinfo::Compression;
use super::narinfo::MAX_NAR;
use super::narinfo::NarUrl;
use super::narinfo::PathInfo;
use super::narinfo::Verified;
use super::store_path::StorePath;

/// What is locked for one platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedNix {
    /// What was asked for, in that order.
    pub roots: Vec<LockedRoot>,
    /// All that it needs, sorted by path.
    pub paths: Vec<LockedPath>,
}

/// One output that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedRoot {
    /// What its link is called, where the manifest says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The agent whose program it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The package that it was resolved from, as the manifest names it: `nixpkgs#ripgrep`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attribute: Option<String>,
    /// Nix's name of the platform: `x86_64-linux`.
    pub system: String,
    /// The revision of the flake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The output, where it was resolved from an attribute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Where it is.
    pub path: StorePath,
}

/// One store path, exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPath {
    /// Its base name.
    pub path: StorePath,
    /// SHA-256 of its NAR. This is what was vouched for, and what is in the image.
    pub nar: Digest,
    /// Size of its NAR in bytes.
    pub nar_size: u64,
    /// What it refers to.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub references: BTreeSet<StorePath>,
    /// What it was built by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deriver: Option<StorePath>,
    /// Its content address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// Its signatures, in the order of their text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<Signature>,
    /// SHA-256 of the file as it is downloaded; of the NAR, where a local store has the path.
    pub file: Digest,
    /// Size of that file in bytes.
    pub size: u64,
    /// How it is compressed.
    pub compression: Compression,
    /// Where it is, below its cache; nothing, where a local store has the path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<NarUrl>,
}

/// Nix's name of a platform.
pub fn system(platform: Platform) -> String {
    format!("{}-{}", platform.arch.machine(), platform.os())
}

impl LockedPath {
    /// Locks a path whose file has this hash and size.
    pub(super) fn new(verified: &Verified, file: Digest, size: u64) -> Self {
        let info = verified.info().clone();
        Self {
            path: info.path,
            nar: info.nar_hash,
            nar_size: info.nar_size,
            references: info.references,
            deriver: info.deriver,
            ca: info.ca,
            signatures: info.signatures,
            file,
            size,
            compression: verified.file().map_or(Compression::None, |file| file.compression),
            url: verified.file().map(|file| file.url.clone()),
        }
    }

    /// Locks a path by its NAR alone, as a store of this machine has it.
    pub fn in_store(verified: &Verified) -> Self {
        let info = verified.info();
        Self {
            compression: Compression::None,
            url: None,
            ..Self::new(verified, info.nar_hash.clone(), info.nar_size)
        }
    }

    /// The file as it is downloaded.
    pub fn expected(&self) -> Expected {
        Expected { digest: self.file.clone(), size: Some(self.size) }
    }

    /// Whether it is from a store of this machine, which alone vouches for it.
    pub fn is_local(&self) -> bool {
        self.url.is_none()
    }

    /// Whether a trusted key signed what is locked: a lock is a file, and proves nothing by itself.
    pub fn vouched(&self, keys: &TrustedKeys) -> Result<(), NixError> {
        let info = PathInfo {
            path: self.path.clone(),
            nar_hash: self.nar.clone(),
            nar_size: self.nar_size,
            references: self.references.clone(),
            deriver: self.deriver.clone(),
            ca: self.ca.clone(),
            signatures: self.signatures.clone(),
        };
        let refused = |source| NixError::Unvouched { path: self.path.clone(), source: Box::new(source) };
        info.signer(keys).map(drop).map_err(refused)
    }

    /// Holds a decompressed NAR to what was vouched for. The hash of a downloaded file proves nothing: no key signed it.
    pub fn check_nar(&self, digest: &Digest, size: u64) -> Result<(), NixError> {
        if size != self.nar_size {
            return Err(NixError::other_size(&self.path, size, self.nar_size));
        }
        if *digest != self.nar {
            return Err(NixError::other_hash(&self.path, digest, &self.nar));
        }
        Ok(())
    }
}

impl LockedNix {
    /// Locks a closure. `files` has each path of it.
    pub fn new(roots: Vec<LockedRoot>, closure: &Closure, files: Vec<LockedPath>) -> Result<Self, NixError> {
        let mut paths = files;
        paths.sort_by(|one, other| one.path.cmp(&other.path));
        let locked = Self { roots, paths };
        locked.check()?;
        if !locked.paths.iter().map(|path| &path.path).eq(closure.paths().keys()) {
            return Err(NixError::Lock("it has other paths than the closure".into()));
        }
        Ok(locked)
    }

    /// Whether its parts fit each other.
    pub fn check(&self) -> Result<(), NixError> {
        let wrong = |reason: String| Err(NixError::Lock(reason));
        if let Some(pair) = self.paths.windows(2).find(|pair| pair[0].path >= pair[1].path) {
            return wrong(format!("`{}` comes after `{}`, or twice", pair[1].path, pair[0].path));
        }
        for path in &self.paths {
            if let Some(reference) = path.references.iter().find(|reference| self.path(reference).is_none()) {
                return wrong(format!("`{}` refers to `{reference}`, which is not there", path.path));
            }
            if path.nar_size > MAX_NAR || path.size > MAX_NAR {
                return wrong(format!("`{}` is larger than {MAX_NAR} bytes", path.path));
            }
        }
        match self.roots.iter().find(|root| self.path(&root.path).is_none()) {
            Some(root) => wrong(format!("`{}` is asked for and not there", root.path)),
            None => Ok(()),
        }
    }

    /// One of its paths.
    pub fn path(&self, path: &StorePath) -> Option<&LockedPath> {
        let found = self.paths.binary_search_by(|locked| locked.path.cmp(path));
        found.ok().map(|at| &self.paths[at])
    }

    /// How many bytes each root's closure has.
    pub fn closure_sizes(&self) -> BTreeMap<StorePath, u64> {
        let size = |root: &StorePath| {
            let mut seen = BTreeSet::new();
            let mut open = vec![root];
            while let Some(path) = open.pop() {
                if seen.insert(path) {
                    open.extend(self.path(path).into_iter().flat_map(|locked| &locked.references));
                }
            }
            let sizes = seen.into_iter().filter_map(|path| self.path(path));
            sizes.fold(0_u64, |sum, locked| sum.saturating_add(locked.nar_size))
        };
        self.roots.iter().map(|root| (root.path.clone(), size(&root.path))).collect()
    }
}

#[cfg(test)]
mod tests;
