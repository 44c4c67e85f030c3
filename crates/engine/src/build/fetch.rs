//! `fetch`: everything the lock names, into the store; and `vendor`, which keeps it in a directory of the user's.
//!
//! ```text
//! VENDOR/sha256/HEX    VENDOR/sha512/HEX      one file per input, named by its digest
//! ```
//!
//! Sources in order: vendored inputs, the machine's mirrors, the snapshot archive.
//!
//! **Guarantees**: an archive is in the store only under the digest that the lock has for it, whichever source it came from.
//! Where mirrors are is looked up only for an archive that is neither in the store nor vendored.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use fs_err as fs;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::Reporter;
use pinfold_base::http::HttpError;
use pinfold_base::http::SafeUrl;
use pinfold_base::http::Source;
use pinfold_base::report::Running;
use pinfold_base::report::Stage;
use pinfold_base::store::Expected;
use pinfold_base::store::StoreError;
use pinfold_base::store::matches;
use pinfold_base::store::persist;
use pinfold_base::text;
use serde::Serialize;

use crate::build::heal::healing;
use crate::consent::Agreed;
use crate::context::Context;
use crate::context::Network;
use crate::project::Project;
use crate::project::lock::Lock;
use crate::run::RunError;
use crate::run::given;
use crate::run::named;
use crate::sources::Archive;
use crate::sources::Remotes;
use crate::sources::SourceError;

/// Downloads at once: enough to fill a line, few enough for a mirror's patience.
const CONNECTIONS: NonZeroUsize = NonZeroUsize::new(8).expect("8 is not 0");

/// Why fetching failed.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// An archive could not be had.
    #[error("cannot fetch `{what}`")]
    Download {
        /// The package and its version.
        what: String,
        /// What happened.
        #[source]
        source: HttpError,
    },
    /// A package is gone from Debian's archive, and from every snapshot archive that is named.
    #[error("cannot fetch `{what}`")]
    Superseded {
        /// The package and its version.
        what: String,
        /// What happened.
        #[source]
        source: HttpError,
    },
    /// The file at an address of the manifest's own is not the one that was locked.
    #[error("cannot fetch `{what}`")]
    Replaced {
        /// The program and its version.
        what: String,
        /// What `--upgrade` calls it.
        name: String,
        /// What happened.
        #[source]
        source: HttpError,
    },
    /// A source knows no place to fetch from.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A download has changed since it was fetched. It was set aside.
    #[error("the download of `{what}` has changed on the disk")]
    Damaged {
        /// The package and its version.
        what: String,
    },
    /// A vendored file could not be written.
    #[error("cannot write to the vendor directory")]
    Vendor(#[source] std::io::Error),
    /// A link on the way to the vendor directory may be an agent's.
    #[error(transparent)]
    Loose(Box<RunError>),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Diagnose for FetchError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Download { source, .. }
            | Self::Superseded { source, .. }
            | Self::Replaced { source, .. } => Diagnosis::Inner(source),
            Self::Source(error) => Diagnosis::Inner(error),
            Self::Store(error) => Diagnosis::Inner(error),
            Self::Damaged { .. } => Diagnosis::Own(Kind::Integrity),
            Self::Vendor(error) => Diagnosis::Inner(error),
            Self::Loose(error) => Diagnosis::Inner(&**error),
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Download { source, .. } if source.is_not_found() => Some(
                "what was locked is no longer there: `pinfold lock` takes what is; or build with `--vendor DIR` from kept inputs"
                    .into(),
            ),
            Self::Superseded { .. } => Some(
                "archives drop superseded versions: `pinfold lock` takes the current ones; or build with `--vendor DIR` from \
                 kept inputs, or set `debian.snapshot` to a snapshot archive"
                    .into(),
            ),
            Self::Replaced { name, .. } => Some(format!(
                "the file at its address was replaced: if the new one is wanted, `pinfold lock --upgrade {}` takes it",
                text::word(name)
            )),
            Self::Damaged { .. } => Some("it was set aside: `pinfold fetch` brings it back".into()),
            Self::Download { source: HttpError::Offline { .. }, .. } => {
                Some("run `pinfold fetch` once with a network, or name kept inputs with `--vendor DIR`".into())
            }
            _ => None,
        }
    }
}

/// What was fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Fetched {
    /// Archives the lock names for these platforms.
    pub total: usize,
    /// Those that were not in the store.
    pub fetched: usize,
    /// Their bytes, where the lock knows them.
    pub bytes: u64,
}

/// What a lock names for `platforms`, each archive once.
fn archives<'a>(lock: &'a Lock, platforms: &[Platform]) -> Vec<Archive<'a>> {
    let mut seen = BTreeSet::new();
    let all = platforms.iter().flat_map(|&platform| lock.archives(platform));
    all.filter(|archive| seen.insert(archive.digest)).collect()
}

/// Fetches what is missing or of a wrong size, in parallel; everything is verified while it streams into the store.
pub fn fetch(
    context: &Context,
    project: &Agreed<Project>,
    lock: &Lock,
    platforms: &[Platform],
) -> Result<Fetched, FetchError> {
    healing(context, || attempt(context, project, lock, platforms, |_| ()))
}

/// The same for a build: each archive is decoded while others still come. What cannot be is told where it is placed.
pub(super) fn fetch_and_decode(
    context: &Context,
    project: &Agreed<Project>,
    lock: &Lock,
    platforms: &[Platform],
) -> Result<Fetched, FetchError> {
    let decode = |archive: &Archive<'_>| drop(context.decoded.decode(archive.digest, archive.format));
    healing(context, || attempt(context, project, lock, platforms, decode))
}

fn attempt(
    context: &Context,
    project: &Agreed<Project>,
    lock: &Lock,
    platforms: &[Platform],
    then: impl Fn(&Archive<'_>) + Sync,
) -> Result<Fetched, FetchError> {
    let archives = archives(lock, platforms);
    let total = archives.len();
    let holds = |archive: &Archive<'_>| {
        context.store.holds(&Expected { digest: archive.digest.clone(), size: archive.size })
    };
    let mut missing: Vec<Archive<'_>> = archives.into_iter().filter(|archive| !holds(archive)).collect();
    if missing.is_empty() {
        return Ok(Fetched { total, fetched: 0, bytes: 0 });
    }
    // The largest first, so that none is left to come alone at the end; and before them those of which nobody knows how large they
    // are, so that this is known soon.
    missing.sort_by_key(|archive| std::cmp::Reverse(archive.size.unwrap_or(u64::MAX)));
    let whole = Running::begin(
        &*context.reporter,
        Stage::Fetch,
        match missing.len() {
            1 => "1 archive".to_owned(),
            n => format!("{n} archives"),
        },
        Some(missing.iter().filter_map(|archive| archive.size).sum()).filter(|known| *known > 0),
    );
    let remotes = Remotes::new(context, project);
    let bytes = AtomicU64::new(0);
    let count = AtomicUsize::new(0);
    crate::build::parallel::each(CONNECTIONS, &missing, |archive| {
        let part = whole.part(archive.size);
        download(&remotes, archive, &part)?;
        part.done();
        count.fetch_add(1, Ordering::Relaxed);
        bytes.fetch_add(archive.size.unwrap_or_default(), Ordering::Relaxed);
        then(archive);
        Ok::<(), FetchError>(())
    })?;
    Ok(Fetched { total, fetched: count.into_inner(), bytes: bytes.into_inner() })
}

/// Hashes every download of a lock that this process has not hashed yet, and removes the decoded forms: they are made anew. A wrong
/// one is an error, after which it is fetched again.
pub(super) fn forget(context: &Context, lock: &Lock, platforms: &[Platform]) -> Result<(), FetchError> {
    let archives = archives(lock, platforms);
    crate::build::parallel::each(context.threads, &archives, |archive| {
        if !context.store.is_checked(archive.digest) && !context.store.check(archive.digest)? {
            return Err(FetchError::Damaged { what: archive.what.clone() });
        }
        Ok(context.decoded.remove(archive.digest).map_err(StoreError::from)?)
    })
}

/// One archive into the store: from vendored inputs, else from the mirrors. Who these are is asked only when they are needed:
/// that can read configuration and start `npm`, and a build that has everything starts nothing.
fn download(remotes: &Remotes<'_>, archive: &Archive<'_>, reporter: &dyn Reporter) -> Result<(), FetchError> {
    let context = remotes.context;
    let failed = |source| FetchError::Download { what: archive.what.clone(), source };
    let kept = kept(context, archive.digest);
    if kept.is_empty()
        && let Some(brought) = archive.origin.bring(remotes, &archive.what, reporter)
    {
        return Ok(brought?);
    }
    let mut nowhere = None;
    let later = std::iter::once_with(|| archive.origin.locate(remotes)).flat_map(|found| {
        found.unwrap_or_else(|error| {
            nowhere = Some(error);
            Vec::new()
        })
    });
    let result = context.http().map_err(failed)?.download(
        kept.into_iter().chain(later),
        &Expected { digest: archive.digest.clone(), size: archive.size },
        &archive.what,
        &context.store,
        reporter,
    );
    match (result, nowhere) {
        (Ok(()), _) => Ok(()),
        // Nothing could be tried, and it is not that the network is switched off.
        (Err(HttpError::Offline { .. }), Some(nowhere)) if context.network() == Network::Online => {
            Err(nowhere.into())
        }
        (Err(source), _) if source.is_other_file() && archive.origin.address().is_some() => {
            Err(FetchError::Replaced { what: archive.what.clone(), name: archive.component.clone(), source })
        }
        (Err(source), _) if source.is_not_found() && archive.origin.has_snapshots() => {
            Err(FetchError::Superseded { what: archive.what.clone(), source })
        }
        (Err(error), _) => Err(failed(error)),
    }
}

/// Vendored copies.
fn kept(context: &Context, digest: &Digest) -> Vec<Source> {
    let files = context.vendor.iter().map(|folder| vendored(folder, digest));
    let there = files.filter(|path| path.is_file());
    there
        .filter_map(|path| SafeUrl::from_path(&std::path::absolute(&path).unwrap_or(path)).ok())
        .map(Source::open)
        .collect()
}

fn vendored(folder: &Path, digest: &Digest) -> std::path::PathBuf {
    folder.join(digest.algorithm().name()).join(digest.hex())
}

/// Copies every input of all platforms into `folder` (fetching what is missing). A link in the project is not followed there.
pub fn vendor(
    context: &Context,
    project: &Agreed<Project>,
    lock: &Lock,
    folder: &Path,
) -> Result<Fetched, FetchError> {
    let folder = &beyond_links(context, folder)?;
    let platforms = &project.manifest.platforms;
    healing(context, || {
        let fetched = attempt(context, project, lock, platforms, |_| ())?;
        copy(context, &archives(lock, platforms), folder).map(|bytes| Fetched { bytes, ..fetched })
    })
}

/// Where a directory really is, if no agent can have led it there.
fn beyond_links(context: &Context, folder: &Path) -> Result<PathBuf, FetchError> {
    let given = || given::all(context);
    named::real(folder, None, context.environment.home(), &given)
        .map_err(|error| FetchError::Loose(Box::new(error)))
}

/// Copies archives of the store into `folder`, each hashed before; what is there already stays when it is what its name says. How
/// many bytes they are.
fn copy(context: &Context, archives: &[Archive<'_>], folder: &Path) -> Result<u64, FetchError> {
    let mut bytes = 0;
    // Also where there is nothing to keep: `--vendor` is given a folder that is there.
    fs::create_dir_all(folder).map_err(FetchError::Vendor)?;
    for archive in archives {
        let target = vendored(folder, archive.digest);
        let source = context.store.path(archive.digest);
        let size = fs::metadata(&source).map_err(FetchError::Vendor)?.len();
        bytes += size;
        let there = fs::metadata(&target).is_ok_and(|there| there.is_file() && there.len() == size);
        if there && matches(&target, archive.digest)? {
            continue;
        }
        if !context.store.is_checked(archive.digest) && !context.store.check(archive.digest)? {
            return Err(FetchError::Damaged { what: archive.what.clone() });
        }
        let parent = &beyond_links(context, target.parent().unwrap_or(folder))?;
        fs::create_dir_all(parent).map_err(FetchError::Vendor)?;
        let mut temporary = tempfile::NamedTempFile::new_in(parent).map_err(FetchError::Vendor)?;
        let mut reader = fs::File::open(&source).map_err(FetchError::Vendor)?;
        std::io::copy(&mut reader, temporary.as_file_mut()).map_err(FetchError::Vendor)?;
        persist(temporary, &target)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
