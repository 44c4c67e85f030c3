//! `[npm]` of the manifest and of the lock.

use std::collections::BTreeMap;
use std::path::Path;

use pinfold_base::Platform;
use pinfold_sources::npm::Placement;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use super::Npm;
use crate::project::manifest::ManifestError;
use crate::project::manifest::value::TextOr;
use crate::sources::Section;

/// One npm package asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NpmPackage {
    /// npm version range, tag or exact version.
    pub version: String,
    /// Commands to link into `/usr/local/bin`; all of the package's `bin` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bin: Option<Vec<String>>,
    /// Why its install script may be left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scripts: Option<String>,
}

/// One npm package: a range, or a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum NpmPackageFile {
    /// Only the version range.
    Version(String),
    /// With details.
    Detailed(NpmPackage),
}

impl<'de> Deserialize<'de> for NpmPackageFile {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match TextOr::deserialize(deserializer)? {
            TextOr::Text(range) => Self::Version(range),
            TextOr::Table(package) => Self::Detailed(package),
        })
    }
}

/// `[npm]` as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct NpmFile {
    /// `["name", "name@range"]`.
    packages: Option<Vec<String>>,
    /// Packages with details: `name = "range"` or `name = { version, bin, scripts }`.
    package: BTreeMap<String, NpmPackageFile>,
    /// Address of an npm registry, instead of the machine's own.
    registry: Option<String>,
}

/// What `[npm]` means.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NpmRequest {
    /// `name` or `name@range`, with the commands to link on PATH (all of the package's when empty).
    pub packages: BTreeMap<String, NpmPackage>,
    /// Registry, when the machine's own configuration shall not decide. Not part of the request: the lock holds no addresses.
    #[serde(skip)]
    pub registry: Option<String>,
}

impl Section for Npm {
    type Typed = Option<NpmFile>;
    type Request = NpmRequest;
    type Locked = BTreeMap<Platform, Vec<Placement>>;

    fn overlaid(preset: Self::Typed, over: Self::Typed) -> Self::Typed {
        let (Some(mut base), Some(over)) = (preset.clone(), over.clone()) else { return over.or(preset) };
        base.package.extend(over.package);
        Some(NpmFile {
            packages: over.packages.or(base.packages),
            package: base.package,
            registry: over.registry.or(base.registry),
        })
    }

    fn meaning(typed: Self::Typed, _: &Path) -> Result<Self::Request, ManifestError> {
        let typed = typed.unwrap_or_default();
        let mut packages = BTreeMap::new();
        for request in typed.packages.unwrap_or_default() {
            // The first character may be the `@` of a scope.
            let at = request.get(1..).and_then(|rest| rest.find('@')).map(|at| at + 1);
            let (name, version) = match at {
                Some(at) => (&request[..at], &request[at + 1..]),
                None => (request.as_str(), "latest"),
            };
            let package = NpmPackage { version: version.to_owned(), bin: None, scripts: None };
            packages.insert(name.to_owned(), package);
        }
        for (name, package) in typed.package {
            let package = match package {
                NpmPackageFile::Version(version) => NpmPackage { version, bin: None, scripts: None },
                NpmPackageFile::Detailed(package) => package,
            };
            packages.insert(name, package);
        }
        for (name, package) in &packages {
            if name.is_empty() || name.contains(char::is_whitespace) || package.version.is_empty() {
                return Err(ManifestError::value(
                    "npm.packages",
                    format!("`{name}@{}` is no package", package.version),
                ));
            }
        }
        Ok(NpmRequest { packages, registry: typed.registry })
    }
}
