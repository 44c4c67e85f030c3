//! What can go wrong while store paths are resolved.

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::Shown;
use pinfold_base::http::HttpError;
use pinfold_base::http::ParseUrlError;

use super::conf::ConfError;
use super::database::DatabaseError;
use super::hash;
use super::key::KeyError;
use super::local::LocalError;
use super::narinfo::NarInfoError;
use super::store_path::StorePath;
use super::store_path::StorePathError;

/// Resolving failed.
#[derive(Debug, thiserror::Error)]
pub enum NixError {
    /// Not a store path.
    #[error(transparent)]
    StorePath(#[from] StorePathError),
    /// A key that is to be trusted is none.
    #[error("a key that is to be trusted cannot be read")]
    Key(#[from] KeyError),
    /// Nix's configuration on this machine is not usable.
    #[error(transparent)]
    Conf(#[from] ConfError),
    /// A place for store paths is none.
    #[error("`{text}` is not a place that has store paths: {reason}")]
    Place {
        /// As written, shortened.
        text: Shown,
        /// What is wrong.
        reason: Shown,
    },
    /// Nothing says where store paths come from.
    #[error("no binary cache is known: neither the manifest nor this machine's `nix.conf` names one")]
    NoCache,
    /// Nothing says whom to trust.
    #[error(
        "no key of a binary cache is trusted: neither the manifest nor this machine's `nix.conf` names one"
    )]
    NoKey,
    /// The server could not be asked.
    #[error("failed to read {what} of the binary cache `{cache}`")]
    Http {
        /// What was asked for.
        what: String,
        /// Which cache.
        cache: String,
        /// Why.
        source: Box<HttpError>,
    },
    /// An address cannot be made.
    #[error("the address of {what} at the binary cache `{cache}` is refused")]
    Url {
        /// Of what.
        what: String,
        /// Which cache.
        cache: String,
        /// Why.
        source: ParseUrlError,
    },
    /// What a server says of itself is not what a cache says.
    #[error("`{cache}` is not a binary cache that can be used: {reason}")]
    NotACache {
        /// Its address.
        cache: String,
        /// Why.
        reason: String,
    },
    /// What a cache says of a path is refused.
    #[error("what the binary cache `{cache}` says of `{path}` is refused")]
    NarInfo {
        /// The path.
        path: StorePath,
        /// Which cache.
        cache: String,
        /// Why.
        source: Box<NarInfoError>,
    },
    /// A path that nobody has.
    #[error("no place has `{path}`{}: {} said no", needed(.chain), .asked.join(", "))]
    Missing {
        /// The path.
        path: StorePath,
        /// Who refers to it, a root first.
        chain: Vec<StorePath>,
        /// Who was asked.
        asked: Vec<String>,
    },
    /// A path of which nobody could say what can be trusted.
    #[error("`{path}` cannot be taken{}", needed(.chain))]
    Path {
        /// The path.
        path: StorePath,
        /// Who refers to it, a root first.
        chain: Vec<StorePath>,
        /// Why.
        source: Box<NixError>,
    },
    /// A closure beyond the limits.
    #[error("the closure has more than {limit}{}", needed(.chain))]
    TooMuch {
        /// Of what.
        limit: String,
        /// Where that was noticed, a root first.
        chain: Vec<StorePath>,
    },
    /// A NAR that is another than was vouched for.
    #[error("the NAR of `{path}` is not what was signed: it has {found}, expected {expected}")]
    Nar {
        /// The path.
        path: StorePath,
        /// Hash or size of what there is.
        found: String,
        /// Hash or size of what was vouched for.
        expected: String,
    },
    /// What the lock says of a path is not what a trusted key signed.
    #[error("what the lock says of `{path}` is refused")]
    Unvouched {
        /// The path.
        path: StorePath,
        /// Why.
        source: Box<NarInfoError>,
    },
    /// The lock has a path from a store of this machine, and nobody named one.
    #[error(
        "the lock has `{0}` from a store of this machine, and neither the manifest nor this machine's `nix.conf` names one"
    )]
    NoStore(StorePath),
    /// A lock whose parts do not fit each other.
    #[error("the lock's store paths do not fit each other: {0}")]
    Lock(String),
    /// A store of this machine cannot be read.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// The image's database cannot be written.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

fn needed(chain: &[StorePath]) -> String {
    match chain {
        [] => String::new(),
        chain => {
            let chain: Vec<&str> = chain.iter().map(StorePath::base_name).collect();
            format!(" (needed by {})", chain.join(" → "))
        }
    }
}

impl NixError {
    /// A NAR with another hash.
    pub(super) fn other_hash(path: &StorePath, found: &Digest, expected: &Digest) -> Self {
        Self::Nar { path: path.clone(), found: hash::written(found), expected: hash::written(expected) }
    }

    /// A NAR with another size.
    pub(super) fn other_size(path: &StorePath, found: u64, expected: u64) -> Self {
        Self::Nar {
            path: path.clone(),
            found: format!("{found} bytes"),
            expected: format!("{expected} bytes"),
        }
    }
}

impl Diagnose for NixError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Conf(source) => Diagnosis::Inner(source),
            Self::Http { source, .. } => Diagnosis::Inner(&**source),
            Self::Path { source, .. } => Diagnosis::Inner(&**source),
            Self::Local(source) => Diagnosis::Inner(source),
            Self::Database(source) => Diagnosis::Inner(source),
            Self::StorePath(_) | Self::Key(_) | Self::Place { .. } | Self::NoCache | Self::NoKey => {
                Diagnosis::Own(Kind::Usage)
            }
            Self::NotACache { .. } | Self::Missing { .. } => Diagnosis::Own(Kind::Network),
            Self::Url { .. }
            | Self::NarInfo { .. }
            | Self::TooMuch { .. }
            | Self::Nar { .. }
            | Self::Unvouched { .. }
            | Self::NoStore(_)
            | Self::Lock(_) => Diagnosis::Own(Kind::Integrity),
        }
    }

    fn own_hint(&self) -> Option<String> {
        Some(match self {
            Self::Place { .. } => {
                "expected `https://HOST/PATH`, `file:///DIRECTORY`, the path of a directory that `nix copy --to` filled, or `local`".into()
            }
            Self::NoCache => {
                "set `caches` with `url` and `keys` in the manifest's `[nix]`, or `substituters` and `trusted-public-keys` in \
                 `~/.config/nix/nix.conf`"
                    .into()
            }
            Self::NoKey => {
                "set `keys` of the cache in the manifest's `[nix]`, or `trusted-public-keys` in `~/.config/nix/nix.conf`".into()
            }
            Self::NotACache { .. } => {
                "check the address: what `nix copy --to` filled has a file `nix-cache-info` at its top".into()
            }
            Self::NoStore(_) => "name the store in `caches`, or lock again with `pinfold lock --upgrade`".into(),
            Self::NarInfo { source, .. } | Self::Unvouched { source, .. } => match &**source {
                NarInfoError::Unsigned { .. } => {
                    "if whoever signs there is to be trusted, add the key (`NAME:BASE64`) to `trusted-public-keys` of `nix.conf` or to the \
                     cache's `keys`; what was built locally is signed with `nix store sign`"
                        .into()
                }
                NarInfoError::Forged { key } if matches!(self, Self::Unvouched { .. }) => format!(
                    "it was changed since it was locked: lock again with `pinfold lock --upgrade`; or the key `{key}` in `nix.conf` or `keys` \
                     is not the cache's"
                ),
                NarInfoError::Forged { key } => format!(
                    "use another cache, and tell its operator; or the key `{key}` in `nix.conf` or `keys` is not the cache's"
                ),
                _ => "use another cache, and tell its operator".into(),
            },
            Self::Missing { .. } => {
                "unfree and changed packages are in no public cache: fill a cache of your own (`nix copy --to file:///DIRECTORY PATH`) and \
                 name it, name a local store that has it, or take the program from another source"
                    .into()
            }
            Self::Nar { .. } => "the cache has something else than what was signed: use another".into(),
            Self::Lock(_) => "lock again: `pinfold lock`".into(),
            _ => return None,
        })
    }
}
