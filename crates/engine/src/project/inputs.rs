//! What a project reads of its directory beside manifest and recipes: its lock, npm's settings, keys, Nix's answers, sources of `[[file]]`.
//!
//! **Guarantees**: each is opened once, when the project is, by the descriptor of the project's directory ([`Folder`]). What
//! the user is asked about and what verbs read is the same file, or the same bytes, whatever happens to the names meanwhile.
//! What cannot be had is an error where it is needed, and is not looked for again.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use pinfold_base::Digest;
use pinfold_base::Platform;

use super::folder::Folder;
use super::folder::OpenError;
use super::folder::Opened;
use super::folder::Source;
use super::lock::Lock;
use super::lock::LockError;
use super::lock::held::Gist;
use super::lock::held::Held;
use super::manifest::File;
use super::manifest::Manifest;
use super::manifest::PlatformName;
use crate::sources::debian::DebianRequest;

/// The most that is read of an `.npmrc`, in bytes.
const MAX_NPMRC: u64 = 1 << 20;
/// The most that is read of a file of keys, in bytes.
const MAX_KEYS: u64 = 64 << 20;
/// So many sources of `[[file]]` stay open; of the others, those up to [`SMALL`] are read at once.
const OPEN: usize = 128;
/// See [`OPEN`].
const SMALL: u64 = 256 << 10;

/// A file of the project whose text was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Its bytes.
    pub bytes: Arc<[u8]>,
    /// Where it lies, when that is not in the project.
    pub outside: Option<PathBuf>,
}

impl Read {
    fn of(opened: &Opened, max: u64) -> Result<Self, OpenError> {
        Ok(Self { bytes: opened.bytes(max)?.into(), outside: opened.outside().map(Path::to_owned) })
    }

    /// SHA-256 of the bytes, in hexadecimal.
    pub fn sha256(&self) -> String {
        Digest::sha256(&self.bytes).hex()
    }
}

/// Everything that was opened.
#[derive(Clone, Debug)]
pub struct Inputs {
    folder: Folder,
    lock: Result<Option<Held>, Arc<LockError>>,
    lock_outside: Option<PathBuf>,
    npmrc: Option<Read>,
    keyrings: BTreeMap<PathBuf, Result<Read, OpenError>>,
    resolution: Option<Result<Read, OpenError>>,
    sources: BTreeMap<PathBuf, Result<Source, OpenError>>,
}

impl Inputs {
    /// Opens what `manifest` names in `folder`, and what lies there by a name of its own.
    pub(crate) fn open(folder: Folder, manifest: &Manifest, lock_file: &Path) -> Result<Self, OpenError> {
        let lock = folder.find(lock_file.file_name().unwrap_or_default().as_ref())?;
        let lock_outside = lock.as_ref().and_then(|opened| opened.outside().map(Path::to_owned));
        let text = lock.map(|opened| Lock::text(&opened, lock_file)).transpose();
        let lock = text.map(|text| text.map(|text| Held::new(text, lock_file))).map_err(Arc::new);
        let npmrc = match folder.find(Path::new(".npmrc")) {
            // Another user's file is not for us, and says nothing.
            Err(OpenError::Io { errno: rustix::io::Errno::ACCESS, .. }) => None,
            found => found?,
        };
        let npmrc = npmrc.map(|opened| Read::of(&opened, MAX_NPMRC)).transpose()?;
        let keyrings = manifest.sources.debian.iter().flat_map(DebianRequest::keyrings);
        let read = |file: &PathBuf| folder.file(file).and_then(|opened| Read::of(&opened, MAX_KEYS));
        let keyrings = keyrings.map(|file| (file.clone(), read(file))).collect();
        let names = manifest.sources.nix.resolution.as_ref();
        let resolution = names.map(|file| {
            folder.file(file).and_then(|opened| Read::of(&opened, pinfold_sources::nix::flake::MAX_ANSWER))
        });
        let mut sources = BTreeMap::new();
        for name in
            manifest.files.iter().flat_map(|file| file.source.iter().chain(file.source_platform.values()))
        {
            if sources.contains_key(name) {
                continue;
            }
            let source = match folder.source(name) {
                Ok(Source::File(opened)) if sources.len() >= OPEN && opened.size() <= SMALL => {
                    opened.read(SMALL).map(Source::File)
                }
                source => source,
            };
            sources.insert(name.clone(), source);
        }
        Ok(Self { folder, lock, lock_outside, npmrc, keyrings, resolution, sources })
    }

    /// The project's directory.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// The lock as it was; `None` when there was none.
    pub fn lock(&self) -> Result<Option<&Lock>, LockError> {
        self.held()?.map(Held::lock).transpose()
    }

    /// What a start needs of the lock.
    pub fn gist(&self) -> Result<Option<&Gist>, LockError> {
        self.held()?.map(Held::gist).transpose()
    }

    /// The lock as it was opened.
    pub(crate) fn held(&self) -> Result<Option<&Held>, LockError> {
        self.lock.as_ref().map(Option::as_ref).map_err(|error| LockError::Read(error.clone()))
    }

    /// Where the lock lies, when that is not in the project.
    pub fn lock_outside(&self) -> Option<&Path> {
        self.lock_outside.as_deref()
    }

    /// The project's `.npmrc`.
    pub fn npmrc(&self) -> Option<&Read> {
        self.npmrc.as_ref()
    }

    /// The keys in a file that `[debian]` or one of its archives names.
    pub fn keyring(&self, file: &Path) -> Option<Result<&Read, &OpenError>> {
        self.keyrings.get(file).map(Result::as_ref)
    }

    /// All such keys.
    pub fn keyrings(&self) -> impl Iterator<Item = Result<&Read, &OpenError>> {
        self.keyrings.values().map(Result::as_ref)
    }

    /// What Nix says of the names in `[nix]`, where a file says it.
    pub fn resolution(&self) -> Option<Result<&Read, &OpenError>> {
        self.resolution.as_ref().map(Result::as_ref)
    }

    /// Every source of a `[[file]]`, with where it lies.
    pub fn sources<'a>(&'a self, file: &'a File) -> impl Iterator<Item = &'a Source> {
        let names = file.source.iter().chain(file.source_platform.values());
        names.filter_map(|name| self.sources.get(name)?.as_ref().ok())
    }

    /// The source of a `[[file]]` on a platform; `None` where it has none for it.
    pub fn source(&self, file: &File, platform: Platform) -> Option<Result<&Source, &OpenError>> {
        let name = file.source_platform.get(&PlatformName(platform)).or(file.source.as_ref())?;
        self.sources.get(name).map(Result::as_ref)
    }
}
