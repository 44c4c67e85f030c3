//! What the lock says of npm packages.

use std::collections::BTreeMap;

use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::image_path::PathError;
use serde::Deserialize;
use serde::Serialize;

use super::NpmError;
use super::packument::Release;
use super::registry::Registry;

/// One version of one package, exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedNpm {
    /// Package name, with its scope. The scope also says which registry it comes from.
    pub name: String,
    /// Exact version.
    pub version: String,
    /// The packument's `dist.integrity`.
    pub integrity: Digest,
    /// Path of the tarball relative to the registry, never absolute.
    pub path: String,
    /// Size of the tarball in bytes; packuments do not tell, it is known once fetched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// When it was published, in seconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<u64>,
}

impl LockedNpm {
    /// Locks a release.
    pub fn new(registry: &Registry, package: &str, release: &Release) -> Result<Self, NpmError> {
        let version = release.version.clone();
        let integrity = release
            .integrity
            .clone()
            .ok_or_else(|| NpmError::NoIntegrity { package: package.to_owned(), version: version.clone() })?;
        let path = registry.tarball_path(package, &version, release.tarball.as_deref())?;
        Ok(Self {
            name: package.to_owned(),
            version,
            integrity,
            path,
            size: None,
            published: release.published,
        })
    }

    /// `name@version`, for people.
    pub fn id(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

/// A package and the directory it stands in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placement {
    /// Relative to the directory that holds the tree: `node_modules/a/node_modules/b`.
    pub dir: String,
    /// What stands there.
    pub package: LockedNpm,
    /// Its commands: name → path inside the package.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bins: BTreeMap<String, String>,
    /// Whether it was asked for, rather than pulled in by another package.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub requested: bool,
}

impl Placement {
    /// Its directory below `root`.
    pub fn path(&self, root: &ImagePath) -> Result<ImagePath, PathError> {
        root.join(&self.dir)
    }
}
