//! What the lock says of Debian packages.

use std::collections::BTreeMap;
use std::sync::Arc;

use pinfold_base::Digest;
use serde::Deserialize;
use serde::Serialize;

use super::lock::mirrors::archive_of;

/// One binary package, exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedDeb {
    /// Binary package name.
    pub name: String,
    /// Full version, with epoch and revision.
    pub version: String,
    /// `amd64`, `arm64` or `all`.
    pub arch: String,
    /// Name of the source package it was built from (the component it belongs to).
    pub source: String,
    /// SHA-256 of the .deb.
    pub sha256: Digest,
    /// Size of the .deb in bytes.
    pub size: u64,
    /// `Filename` of the index: a path relative to the archive's root, never absolute.
    pub path: String,
    /// The suite it came from, by name in the lock (`bookworm-security`).
    pub suite: String,
    /// The archive that has the suite, where it is not Debian's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// Whether it was asked for (or is part of the base), as opposed to pulled in by another package.
    pub manual: bool,
    /// What the signed index says of its relations to others.
    #[serde(skip)]
    pub indexed: Indexed,
}

/// Fields that decide which packages go together.
pub const RELATIONS: [&str; 6] = ["Pre-Depends", "Depends", "Conflicts", "Breaks", "Replaces", "Provides"];

/// Those fields of a package as an index has them. They are there where the package was chosen just now, are in no lock, and make
/// no difference between two packages: the digest does.
#[derive(Clone, Debug, Default)]
pub struct Indexed(Option<Arc<BTreeMap<&'static str, String>>>);

impl Indexed {
    /// As the index has them, without those that are missing.
    pub fn new(fields: BTreeMap<&'static str, String>) -> Self {
        Self(Some(Arc::new(fields)))
    }

    /// The fields, where they are known.
    pub fn fields(&self) -> Option<&BTreeMap<&'static str, String>> {
        self.0.as_deref()
    }
}

impl PartialEq for Indexed {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Indexed {}

/// Where a suite's packages were resolved from and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedSuite {
    /// Suite name as asked for.
    pub name: String,
    /// `Codename` of the signed Release.
    pub codename: String,
    /// `debian` or `debian-security`, the archive's name at the Debian snapshot archive; of a further archive, where it is
    /// without scheme and login (`apt.example/node`), or the name of the machine's apt source.
    pub archive: String,
    /// SHA-256 of the InRelease file.
    pub inrelease: Digest,
    /// `Date` of the Release in seconds since the epoch.
    pub date: u64,
}

impl LockedSuite {
    /// Whether a package came from it.
    pub fn has(&self, deb: &LockedDeb) -> bool {
        self.name == deb.suite && self.archive == deb.archive.as_deref().unwrap_or(archive_of(&deb.suite))
    }

    /// What its packages say of their archive: nothing, where the suite's name says it.
    pub fn archive_beyond(&self) -> Option<String> {
        (self.archive != archive_of(&self.name)).then(|| self.archive.clone())
    }
}
