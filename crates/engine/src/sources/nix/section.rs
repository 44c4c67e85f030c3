//! `[nix]` of the manifest and of the lock.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr as _;

use pinfold_base::Platform;
use pinfold_sources::nix::LockedNix;
use pinfold_sources::nix::Place;
use pinfold_sources::nix::PublicKey;
use pinfold_sources::nix::StorePath;
use pinfold_sources::nix::flake::Package;
use pinfold_sources::nix::flake::PackageError;
use pinfold_sources::nix::store_path::STORE;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use super::Nix;
use super::names;
use super::set::Set;
use crate::project::Project;
use crate::project::manifest::ManifestError;
use crate::project::manifest::PlatformName;
use crate::project::manifest::value::TextOr;
use crate::project::recipe::Recipe;
use crate::sources::Section;

/// Something of the store that is asked for, with details.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RootTable {
    /// What its link among the roots of the image's garbage collector is called; the name in the store path unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The package, as `FLAKE#NAME` with `^OUTPUTS` where not its usual outputs are meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<String>,
    /// The store path, where all platforms have the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// The store path on linux/amd64.
    #[serde(rename = "linux/amd64", skip_serializing_if = "Option::is_none")]
    amd64: Option<String>,
    /// The store path on linux/arm64.
    #[serde(rename = "linux/arm64", skip_serializing_if = "Option::is_none")]
    arm64: Option<String>,
}

/// Something of the store that is asked for: a store path, a package, or a table with a store path for each platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum RootFile {
    /// `/nix/store/HASH-NAME`, on every platform; or `FLAKE#NAME`.
    Text(String),
    /// With details.
    Table(RootTable),
}

impl<'de> Deserialize<'de> for RootFile {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match TextOr::deserialize(deserializer)? {
            TextOr::Text(text) => Self::Text(text),
            TextOr::Table(table) => Self::Table(table),
        })
    }
}

/// A binary cache and whose signatures count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CacheTable {
    /// `https://HOST/PATH`, `file:///DIRECTORY`, or what may stand alone.
    url: String,
    /// Keys that are trusted beside those of the machine, as `NAME:BASE64`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keys: Vec<String>,
}

/// Where store paths may be: an address, a directory that `nix copy --to file://` filled, `/nix/store` of this machine (or
/// another directory of that name), or a table with keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum CacheFile {
    /// Only the place.
    Place(String),
    /// With keys.
    Table(CacheTable),
}

impl<'de> Deserialize<'de> for CacheFile {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match TextOr::deserialize(deserializer)? {
            TextOr::Text(place) => Self::Place(place),
            TextOr::Table(table) => Self::Table(table),
        })
    }
}

/// `[nix]` as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct NixFile {
    /// A named set of roots, with environment and mounts: `base`, `rust`, `python`, or the path of a file of the project.
    profile: Option<String>,
    /// What shall be in the image's store, with all that it refers to.
    roots: Option<Vec<RootFile>>,
    /// A file of the project with what Nix says of the packages among the roots; without one, the `nix` of this machine is asked.
    resolution: Option<PathBuf>,
    /// Where it is fetched from, instead of the substituters of this machine's `nix.conf`.
    caches: Option<Vec<CacheFile>>,
    /// Settings of the image's own `/etc/nix/nix.conf`, besides those that it needs.
    conf: BTreeMap<String, String>,
}

/// What is asked for, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Root {
    /// As the manifest calls it.
    pub name: Option<String>,
    /// The agent whose program it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Where it is.
    pub paths: RootPaths,
}

/// Where a root is, by platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum RootPaths {
    /// The same on all.
    Same(StorePath),
    /// Each its own.
    Each(BTreeMap<PlatformName, StorePath>),
    /// Where Nix says that a package is.
    Package(Package),
}

impl Root {
    /// Where the program of an agent is. It is called as the agent is, where nothing else is said.
    pub(crate) fn of_agent(name: &str, typed: &RootFile) -> Result<Self, ManifestError> {
        let root = root(AGENTS, typed.clone())?;
        let called = root.name.unwrap_or_else(|| name.to_owned());
        Ok(Self { name: Some(called), agent: Some(name.to_owned()), ..root })
    }

    /// Whether it is known, or can be asked for, on each of these platforms.
    pub(crate) fn covers(&self, key: &str, platforms: &[Platform]) -> Result<(), ManifestError> {
        let lacks = |platform: &&Platform| self.package().is_none() && self.on(**platform).is_none();
        let Some(platform) = platforms.iter().find(lacks) else { return Ok(()) };
        let known = Platform::ALL.into_iter().find_map(|other| self.on(other));
        let known = known.map(ToString::to_string).unwrap_or_default();
        Err(wrong(
            key,
            format!(
                "the root that has `{known}` has no store path for {platform}: add \
                 `\"{platform}\" = \"/nix/store/…\"` to it, or leave {platform} out of `platforms`"
            ),
        ))
    }

    /// Its store path on a platform, where the manifest gives one.
    pub fn on(&self, platform: Platform) -> Option<&StorePath> {
        match &self.paths {
            RootPaths::Same(path) => Some(path),
            RootPaths::Each(paths) => paths.get(&PlatformName(platform)),
            RootPaths::Package(_) => None,
        }
    }

    /// Whether its component is called so, as far as the manifest says.
    pub(super) fn is_called(&self, name: &str) -> bool {
        let mut paths = Platform::ALL.into_iter().filter_map(|platform| self.on(platform));
        paths.any(|path| names::package(path) == name)
            || self.package().is_some_and(|package| package.title() == name)
    }

    /// The package that it is, where the manifest names one.
    pub fn package(&self) -> Option<&Package> {
        match &self.paths {
            RootPaths::Package(package) => Some(package),
            RootPaths::Same(_) | RootPaths::Each(_) => None,
        }
    }
}

/// A place that the manifest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheRequest {
    /// Where.
    pub place: Place,
    /// Whose signatures count, beside those of the machine's keys.
    pub keys: Vec<PublicKey>,
}

/// What `[nix]` means.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NixRequest {
    /// What is asked for, in that order: where two have one command, the first counts.
    pub roots: Vec<Root>,
    /// The file that says what packages are. What is in it is a part of the request, not its name.
    #[serde(skip)]
    pub resolution: Option<PathBuf>,
    /// Where it is. Not part of the request: the lock holds no addresses.
    #[serde(skip)]
    pub caches: Vec<CacheRequest>,
    /// Settings of the image's `nix.conf`. Not part of the request: nothing is chosen by them.
    #[serde(skip)]
    pub conf: BTreeMap<String, String>,
}

fn wrong(key: &str, message: impl Into<String>) -> ManifestError {
    ManifestError::value(key, message)
}

/// The keys under which roots stand.
const ROOTS: &str = "nix.roots";
const AGENTS: &str = "agents";

fn store_path(key: &str, text: &str) -> Result<StorePath, ManifestError> {
    StorePath::parse(text).map_err(|error| wrong(key, error.to_string()))
}

fn root(key: &str, typed: RootFile) -> Result<Root, ManifestError> {
    let RootTable { name, package, path, amd64, arm64 } = match typed {
        RootFile::Text(text) if text.contains('#') => {
            RootTable { package: Some(text), ..RootTable::default() }
        }
        RootFile::Text(path) => RootTable { path: Some(path), ..RootTable::default() },
        RootFile::Table(table) => table,
    };
    let plain = |name: &String| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte);
        !name.is_empty() && name.len() <= 100 && !name.starts_with('.') && name.bytes().all(known)
    };
    if let Some(name) = name.as_ref().filter(|name| !plain(name)) {
        return Err(wrong(key, format!("`{name}` is no name: expected letters, digits, `+`, `-`, `.`, `_`")));
    }
    let each = [(Platform::ALL[0], &amd64), (Platform::ALL[1], &arm64)];
    let each = each.into_iter().filter_map(|(platform, path)| Some((PlatformName(platform), path.as_ref()?)));
    let each: BTreeMap<PlatformName, StorePath> =
        each.map(|(name, path)| Ok((name, store_path(key, path)?))).collect::<Result<_, ManifestError>>()?;
    let paths = match (package, path, each.is_empty()) {
        (Some(package), None, true) => {
            RootPaths::Package(package.parse().map_err(|error: PackageError| wrong(key, error.to_string()))?)
        }
        (None, Some(path), true) => RootPaths::Same(store_path(key, &path)?),
        (None, None, false) => RootPaths::Each(each),
        _ => {
            return Err(wrong(
                key,
                "a root is `{ path = \"/nix/store/…\" }`, `{ package = \"nixpkgs#…\" }`, or has a store path for each platform: \
                 `{ \"linux/amd64\" = \"/nix/store/…\", \"linux/arm64\" = \"/nix/store/…\" }`",
            ));
        }
    };
    Ok(Root { name, agent: None, paths })
}

fn cache(typed: CacheFile) -> Result<CacheRequest, ManifestError> {
    let CacheTable { url, keys } = match typed {
        CacheFile::Place(url) => CacheTable { url, keys: Vec::new() },
        CacheFile::Table(table) => table,
    };
    let refused = |error: &dyn std::fmt::Display| wrong("nix.caches", error.to_string());
    // The store itself is meant where its directory is named.
    let local = url.strip_suffix(STORE).filter(|root| root.is_empty() || root.starts_with('/'));
    let place = match local {
        Some("") => Place::Local { root: "/".into(), list: None },
        Some(root) => Place::Local { root: root.into(), list: None },
        None => Place::from_str(&url).map_err(|error| refused(&error))?,
    };
    let keys = keys.iter().map(|key| PublicKey::from_str(key));
    let keys = keys.collect::<Result<Vec<_>, _>>().map_err(|error| refused(&error))?;
    Ok(CacheRequest { place, keys })
}

impl NixFile {
    /// The set that is named, taken out.
    pub(crate) fn take_profile(&mut self) -> Option<String> {
        self.profile.take()
    }

    /// Adds the roots of a set behind its own.
    pub(crate) fn add_roots(&mut self, set: &Set) {
        let own = self.roots.get_or_insert_default();
        let others: Vec<RootFile> = set.roots.iter().filter(|root| !own.contains(root)).cloned().collect();
        own.extend(others);
    }
}

/// Roots that are programs of agents.
pub(super) fn agents(project: &Project) -> impl Iterator<Item = &Root> {
    project.recipes.iter().filter_map(Recipe::root)
}

/// All that a project asks for: what `[nix]` names, then the programs of agents.
pub(super) fn roots(project: &Project) -> Vec<&Root> {
    project.manifest.sources.nix.roots.iter().chain(agents(project)).collect()
}

/// Whether `[nix]` says something of roots where there are none.
pub(crate) fn check(wanted: &NixRequest, recipes: &[Recipe]) -> Result<(), ManifestError> {
    let mut roots = wanted.roots.iter().chain(recipes.iter().filter_map(Recipe::root)).peekable();
    if roots.peek().is_none() && !wanted.conf.is_empty() {
        return Err(wrong("nix.conf", "it is for an image with `roots`"));
    }
    if wanted.resolution.is_some() && !roots.any(|root| root.package().is_some()) {
        return Err(wrong("nix.resolution", "it is for roots that are names of packages"));
    }
    Ok(())
}

impl Section for Nix {
    type Typed = Option<NixFile>;
    type Request = NixRequest;
    type Locked = BTreeMap<Platform, LockedNix>;

    fn overlaid(preset: Self::Typed, over: Self::Typed) -> Self::Typed {
        let (Some(base), Some(over)) = (preset.clone(), over.clone()) else { return over.or(preset) };
        let mut conf = base.conf;
        conf.extend(over.conf);
        Some(NixFile {
            profile: over.profile.or(base.profile),
            roots: over.roots.or(base.roots),
            resolution: over.resolution.or(base.resolution),
            caches: over.caches.or(base.caches),
            conf,
        })
    }

    fn meaning(typed: Self::Typed, _: &Path) -> Result<Self::Request, ManifestError> {
        let typed = typed.unwrap_or_default();
        let roots = typed.roots.unwrap_or_default().into_iter().map(|typed| root(ROOTS, typed));
        let roots = roots.collect::<Result<Vec<_>, _>>()?;
        let caches =
            typed.caches.unwrap_or_default().into_iter().map(cache).collect::<Result<Vec<_>, _>>()?;
        for (name, value) in &typed.conf {
            let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if name.is_empty() || !name.bytes().all(known) || value.contains(['\n', '\r', '#']) {
                return Err(wrong("nix.conf", format!("`{name} = {value}` is no setting of nix.conf(5)")));
            }
        }
        Ok(NixRequest { roots, resolution: typed.resolution, caches, conf: typed.conf })
    }

    fn fits(wanted: &Self::Request, platforms: &[Platform]) -> Result<(), ManifestError> {
        for &platform in platforms {
            let mut titles = BTreeSet::new();
            for root in &wanted.roots {
                let title = match (&root.name, root.on(platform)) {
                    // What Nix calls a package is not known yet.
                    (None, _) if root.package().is_some() => continue,
                    (Some(name), _) if root.package().is_some() => Some(name.as_str()),
                    (name, path) => path.map(|path| name.as_deref().unwrap_or_else(|| path.name())),
                };
                root.covers(ROOTS, &[platform])?;
                let Some(title) = title else { continue };
                if !titles.insert(title) {
                    return Err(wrong(
                        ROOTS,
                        format!(
                            "two roots are called `{title}` on {platform}: give one a name, as in \
                             `{{ path = \"/nix/store/…\", name = \"other\" }}`"
                        ),
                    ));
                }
            }
        }
        Ok(())
    }
}
