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

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use fs_err as fs;
use pinfold_base::Diagnose;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::http::HttpError;
use pinfold_base::http::SafeUrl;
use pinfold_base::http::Source;
use pinfold_base::store::Expected;
use pinfold_base::store::persist;
use pinfold_sources::binary::BinaryError;
use pinfold_sources::binary::LockedBinary;
use pinfold_sources::debian::locked::LockedDeb;
use pinfold_sources::npm::LockedNpm;
use serde::Serialize;

use crate::build::origins::OriginError;
use crate::build::origins::Origins;
use crate::context::Context;
use crate::context::Network;
use crate::project::Project;
use crate::project::lock::Lock;

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
    /// The machine's configuration names no place to fetch from.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// A program's address.
    #[error(transparent)]
    Binary(#[from] BinaryError),
    /// A vendored file could not be written.
    #[error("cannot write to the vendor directory")]
    Vendor(#[source] std::io::Error),
    /// The store.
    #[error(transparent)]
    Store(#[from] pinfold_base::store::StoreError),
}

impl Diagnose for FetchError {
    fn kind(&self) -> Kind {
        match self {
            Self::Download { source, .. } => source.kind(),
            Self::Origin(error) => error.kind(),
            Self::Binary(error) => error.kind(),
            Self::Vendor(_) => Kind::System,
            Self::Store(error) => error.kind(),
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Download { source, .. } if source.is_not_found() => Some(
                "archives drop superseded versions: `pinfold lock` takes the current ones; or build with `--vendor DIR` from \
                 kept inputs, or set `debian.snapshot` to a snapshot archive"
                    .into(),
            ),
            Self::Download { source: HttpError::Offline { .. }, .. } => {
                Some("run `pinfold fetch` once with a network, or name kept inputs with `--vendor DIR`".into())
            }
            Self::Download { source, .. } => source.hint(),
            Self::Origin(error) => error.hint(),
            Self::Binary(error) => error.hint(),
            Self::Vendor(error) => pinfold_base::store::io_hint(error),
            Self::Store(error) => error.hint(),
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

/// One archive to have.
#[derive(Clone, Debug)]
pub struct Item {
    /// For people: name, version, architecture.
    pub what: String,
    /// Digest and, where locked, size.
    pub expected: Expected,
    origin: Origin,
}

#[derive(Clone, Debug)]
enum Origin {
    Debian(LockedDeb),
    Npm(LockedNpm),
    Url(LockedBinary),
}

/// Everything a lock names for `platforms`, each archive once.
pub fn items(lock: &Lock, platforms: &[Platform]) -> Vec<Item> {
    let mut found: Vec<Item> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    let mut add = |item: Item| {
        if seen.insert(item.expected.digest.clone()) {
            found.push(item);
        }
    };
    for &platform in platforms {
        for deb in lock.debian.iter().filter_map(|debian| debian.packages.get(&platform)).flatten() {
            add(Item {
                what: format!("{} {} ({})", deb.name, deb.version, deb.arch),
                expected: Expected { digest: deb.sha256.clone(), size: Some(deb.size) },
                origin: Origin::Debian(deb.clone()),
            });
        }
        let agents = lock.agents.iter().filter_map(|agent| agent.packages.get(&platform));
        let placed = lock.npm.get(&platform).into_iter().flatten().map(|placement| &placement.package);
        for package in agents.chain(placed) {
            add(Item {
                what: package.id(),
                expected: Expected { digest: package.integrity.clone(), size: package.size },
                origin: Origin::Npm(package.clone()),
            });
        }
        for binary in lock.binaries.get(&platform).into_iter().flatten() {
            add(Item {
                what: format!("{} {} ({platform})", binary.name, binary.version),
                expected: Expected { digest: binary.sha256.clone(), size: Some(binary.size) },
                origin: Origin::Url(binary.clone()),
            });
        }
    }
    found
}

/// Fetches what is missing, in parallel; everything is verified while it streams into the store.
pub fn fetch(
    context: &Context,
    project: &Project,
    lock: &Lock,
    platforms: &[Platform],
) -> Result<Fetched, FetchError> {
    let items = items(lock, platforms);
    let total = items.len();
    let missing: Vec<Item> =
        items.into_iter().filter(|item| !context.store.contains(&item.expected.digest)).collect();
    if missing.is_empty() {
        return Ok(Fetched { total, fetched: 0, bytes: 0 });
    }
    let origins = Origins::new(&project.manifest, &context.environment);
    let bytes = AtomicU64::new(0);
    let count = AtomicUsize::new(0);
    crate::build::parallel::each(CONNECTIONS, &missing, |item| {
        download(context, &origins, lock, item)?;
        count.fetch_add(1, Ordering::Relaxed);
        bytes.fetch_add(item.expected.size.unwrap_or_default(), Ordering::Relaxed);
        Ok::<(), FetchError>(())
    })?;
    Ok(Fetched { total, fetched: count.into_inner(), bytes: bytes.into_inner() })
}

/// One archive into the store: from vendored inputs, else from the mirrors. Who these are is asked only when they are needed:
/// that can read configuration and start `npm`, and a build that has everything starts nothing.
fn download(context: &Context, origins: &Origins<'_>, lock: &Lock, item: &Item) -> Result<(), FetchError> {
    let failed = |source| FetchError::Download { what: item.what.clone(), source };
    let mut nowhere = None;
    let later = std::iter::once_with(|| mirrors(context, origins, lock, item)).flat_map(|found| {
        found.unwrap_or_else(|error| {
            nowhere = Some(error);
            Vec::new()
        })
    });
    let sources = kept(context, item).into_iter().chain(later);
    let result = context.http().map_err(failed)?.download(
        sources,
        &item.expected,
        &item.what,
        &context.store,
        &*context.reporter,
    );
    match (result, nowhere) {
        (Ok(()), _) => Ok(()),
        // Nothing could be tried, and it is not that the network is switched off.
        (Err(HttpError::Offline { .. }), Some(nowhere)) if context.network() == Network::Online => {
            Err(nowhere)
        }
        (Err(error), _) => Err(failed(error)),
    }
}

/// Vendored copies.
fn kept(context: &Context, item: &Item) -> Vec<Source> {
    let files = context.vendor.iter().map(|folder| vendored(folder, &item.expected.digest));
    let there = files.filter(|path| path.is_file());
    there
        .filter_map(|path| SafeUrl::from_path(&std::path::absolute(&path).unwrap_or(path)).ok())
        .map(Source::open)
        .collect()
}

/// The machine's mirrors, then the snapshot archive.
fn mirrors(
    context: &Context,
    origins: &Origins<'_>,
    lock: &Lock,
    item: &Item,
) -> Result<Vec<Source>, FetchError> {
    Ok(match &item.origin {
        Origin::Debian(deb) => origins.deb(deb, lock)?,
        Origin::Npm(package) => vec![origins.tarball(context, package)?],
        Origin::Url(binary) => vec![binary.source()?],
    })
}

fn vendored(folder: &Path, digest: &Digest) -> std::path::PathBuf {
    folder.join(digest.algorithm().name()).join(digest.hex())
}

/// Copies every input of all platforms into `folder` (fetching what is missing).
pub fn vendor(
    context: &Context,
    project: &Project,
    lock: &Lock,
    folder: &Path,
) -> Result<Fetched, FetchError> {
    let platforms = &project.manifest.platforms;
    let fetched = fetch(context, project, lock, platforms)?;
    let mut bytes = 0;
    for item in items(lock, platforms) {
        let target = vendored(folder, &item.expected.digest);
        let source = context.store.path(&item.expected.digest);
        bytes += fs::metadata(&source).map_err(FetchError::Vendor)?.len();
        if target.is_file() {
            continue;
        }
        let parent = target.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(FetchError::Vendor)?;
        let mut temporary = tempfile::NamedTempFile::new_in(parent).map_err(FetchError::Vendor)?;
        let mut reader = fs::File::open(&source).map_err(FetchError::Vendor)?;
        std::io::copy(&mut reader, temporary.as_file_mut()).map_err(FetchError::Vendor)?;
        persist(temporary, &target)?;
    }
    Ok(Fetched { total: fetched.total, fetched: fetched.fetched, bytes })
}
