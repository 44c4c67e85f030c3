//! What the lock says of Debian packages.

use pinfold_base::Digest;
use serde::Deserialize;
use serde::Serialize;

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
    /// Whether it was asked for (or is part of the base), as opposed to pulled in by another package.
    pub manual: bool,
}

/// Where a suite's packages were resolved from and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedSuite {
    /// Suite name as asked for.
    pub name: String,
    /// `Codename` of the signed Release.
    pub codename: String,
    /// `debian` or `debian-security`: the archive's name at the Debian snapshot archive.
    pub archive: String,
    /// SHA-256 of the InRelease file.
    pub inrelease: Digest,
    /// `Date` of the Release in seconds since the epoch.
    pub date: u64,
}
