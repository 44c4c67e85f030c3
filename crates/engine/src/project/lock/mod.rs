//! The lock: `pinfold.lock`, what was resolved, for all platforms. Committed beside the manifest.
//!
//! [`v1`] is the file format; [`request`] says which part of the manifest a lock answers, so that a stale lock can name the
//! key that moved; [`diff`] says what changed; [`held`] is a lock beside its project, read when it is needed. A lock is made by [`crate::build::resolve`].
//!
//! **Guarantees**: a lock is byte-reproducible (sorted, no clock), holds no absolute address, and `build` needs nothing else
//! beside the user's own files to give the same image.
//! **Refuses**: a lock of a newer format or `compat` level, unknown keys, and, in a build, one whose request differs.

pub mod diff;
pub mod held;
pub mod request;
pub mod v1;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use fs_err as fs;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::store;

pub use v1::Lock;

use super::folder::Folder;
use super::folder::OpenError;
use super::folder::Opened;
use crate::sources;
use crate::sources::Archive;

/// The lock's usual file name.
pub const FILE_NAME: &str = "pinfold.lock";

/// Raised with every change of pinfold that alters a digest for an equal lock. A lock of a lower level is read, so that
/// `lock` keeps its versions, and not built.
///
/// - 2: Claude Code's settings answer its question about auto mode.
/// - 3: npm packages are placed as npm places them: their commands are linked at every depth, `.gitignore` is renamed, the
///   first line of a linked script ends in a newline; each package that is asked for has its own tree; a published shrinkwrap
///   is followed. `/etc/hosts` names this machine, and login shells keep the image's `PATH`. One
///   compressed file by URL is undone, local authorities are in the bundle.
/// - 4: install scripts of Debian packages that are not those a recipe was made for are evaluated; before, the recipe was
///   used for them all the same.
/// - 5: what Debian packages cache when they are installed, and programs need, is made: the keystore of Java,
///   compiled settings, lists of modules, file capabilities.
///   Install scripts run in dpkg's order, which decides about ids of users, and triggers are processed.
/// - 6: of alternatives with one priority the linked one stays; debconf's questions of kind `select` have no answer without a
///   default; triggers are processed as often as dpkg does; what `systemd-sysusers` makes is locked as it does, and profiles of
///   PAM with one priority stand as `pam-auth-update` sorts them.
/// - 7: `package.json` of each recipe's npm package is placed, and `/usr/share/pinfold/image.json` is made.
/// - 8: a file of a Debian package that is equal to another's and replaces it is the later one's, in the lists too; a file takes the
///   place of a directory as with dpkg. `grep` shows no lines of what is no text, awk's `substr` cuts fractions off.
pub const COMPAT: u32 = 8;

/// Largest lock accepted, in bytes.
const MAX_SIZE: u64 = 64 << 20;

/// Why a lock cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// It cannot be read or written.
    #[error("cannot access the lock")]
    Io(#[from] io::Error),
    /// It could not be read with its project.
    #[error(transparent)]
    Read(Arc<LockError>),
    /// It is not a lock of ours.
    #[error("`{}` is not a lock of this version of pinfold: {message}", .file.display())]
    Format {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        message: String,
    },
    /// The manifest asks for something else than what was locked.
    #[error("the lock is stale: {} changed since it was written", keys(.moved))]
    Stale {
        /// Manifest keys that moved.
        moved: Vec<String>,
    },
    /// It was made before a change of what an equal lock becomes.
    #[error("the lock was made by an older pinfold: it has compat level {locked}, this version has {COMPAT}")]
    Older {
        /// Its level.
        locked: u32,
    },
    /// Its layers were planned for another encoder.
    #[error("the lock was made for other layer encoders: {}", encoders(.locked, .ours))]
    Encoder {
        /// As locked, by compression.
        locked: BTreeMap<String, String>,
        /// Ours.
        ours: BTreeMap<String, String>,
    },
    /// What was kept of it is not what it says.
    #[error("the record `{}` is not of this lock", .record.display())]
    Record {
        /// The record, which was removed.
        record: PathBuf,
    },
    /// There is none, and none may be made.
    #[error("there is no lock at `{}`", .file.display())]
    Missing {
        /// Where it was expected.
        file: PathBuf,
    },
}

fn keys(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn encoders(locked: &BTreeMap<String, String>, ours: &BTreeMap<String, String>) -> String {
    let moved = ours.iter().filter(|(name, id)| locked.get(*name) != Some(id));
    moved
        .map(|(name, id)| {
            format!("`{}`, this version has `{id}`", locked.get(name).map_or("none", String::as_str))
        })
        .collect::<Vec<_>>()
        .join("; ")
}

impl Diagnose for LockError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Io(error) => Diagnosis::Inner(error),
            Self::Read(error) => Diagnosis::Inner(&**error),
            Self::Format { .. }
            | Self::Stale { .. }
            | Self::Older { .. }
            | Self::Encoder { .. }
            | Self::Missing { .. } => Diagnosis::Own(Kind::Usage),
            Self::Record { .. } => Diagnosis::Own(Kind::System),
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Older { .. } => {
                Some("`pinfold lock` takes it on and keeps its versions; layers get new digests".into())
            }
            Self::Encoder { .. } => Some(
                "`pinfold lock` takes the new encoder on; layers get new digests, their content stays".into(),
            ),
            Self::Stale { .. } => {
                Some("`pinfold lock` brings it up to date and keeps what is still allowed".into())
            }
            Self::Missing { .. } => Some("`pinfold lock` writes it; commit it beside the manifest".into()),
            Self::Format { .. } => Some("remove it and run `pinfold lock`, or use a newer pinfold".into()),
            Self::Record { .. } => Some("it was removed; try again".into()),
            Self::Io(_) | Self::Read(_) => None,
        }
    }
}

impl Lock {
    /// Every archive of `platform`, in the order of sources: the one list of what is fetched, vendored, decoded and placed.
    pub fn archives(&self, platform: Platform) -> Vec<Archive<'_>> {
        sources::ALL.iter().flat_map(|(_, source)| source.archives(self, platform)).collect()
    }

    /// Reads the lock at `file`; `None` when there is none.
    pub fn load(file: &Path) -> Result<Option<Self>, LockError> {
        let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty());
        let folder = Folder::open(parent.unwrap_or(Path::new("."))).map_err(io::Error::from)?;
        let opened = folder.find(file.file_name().unwrap_or_default().as_ref()).map_err(io::Error::from)?;
        opened.map(|opened| Self::read(&opened, file)).transpose()
    }

    /// Reads a lock that was opened; `file` is for messages.
    pub(super) fn read(opened: &Opened, file: &Path) -> Result<Self, LockError> {
        Self::parse(&Self::text(opened, file)?, file)
    }

    /// The text of a lock that was opened; `file` is for messages.
    pub(super) fn text(opened: &Opened, file: &Path) -> Result<String, LockError> {
        let wrong = |message: &str| LockError::Format { file: file.into(), message: message.into() };
        let bytes = match opened.bytes(MAX_SIZE) {
            Err(OpenError::TooLong { .. }) => return Err(wrong("it is larger than 64 MiB")),
            bytes => bytes.map_err(io::Error::from)?,
        };
        let no_text = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        Ok(String::from_utf8(bytes).map_err(no_text)?)
    }

    /// Writes the lock to `file`, whole or not at all. Nothing is touched when the bytes are there already.
    pub fn save(&self, file: &Path) -> Result<Saved, LockError> {
        use std::io::Write as _;
        let text = self.render();
        if fs::read(file).is_ok_and(|old| old == text.as_bytes()) {
            return Ok(Saved::Unchanged);
        }
        let directory =
            file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sweep(directory);
        let mut temporary = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(directory)?;
        temporary.write_all(text.as_bytes())?;
        pinfold_base::store::persist(temporary, file)
            .map_err(|error| LockError::Io(io::Error::other(error.to_string())))?;
        Ok(Saved::Written)
    }
}

/// How the name of a lock begins that is being written.
const UNFINISHED: &str = ".pinfold.lock-";

/// Removes what processes have left that were killed while they wrote a lock here. It is only tidying: failures are no matter.
fn sweep(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let old =
            || entry.metadata().ok()?.modified().ok()?.elapsed().ok().filter(|age| *age >= store::GRACE);
        if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) && old().is_some() {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// What saving a lock did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// The file had these bytes already.
    Unchanged,
    /// It was written.
    Written,
}

#[cfg(test)]
mod tests;
