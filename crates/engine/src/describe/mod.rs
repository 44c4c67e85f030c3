//! What packages an image has: read out of the image itself, and joined with where they were fetched from.
//!
//! ```text
//! layers ─► Contents ─► debian    dpkg's status and lists     ─┐
//!                       npm       package.json                ─┼► Package, each with its files ─► Description ─► spdx │ cyclonedx
//!                       python    dist-info, egg-info         ─┤        ▲
//!                       nix       names of store paths        ─┤
//!                       component binaries and the base        ─┘     Origins: the lock, or what was noted when it was built
//! ```
//!
//! [`side`] is one platform read whole; of it are made [`diff`] (two of them, or two locks), [`explain`] (one path) and [`page`] (HTML for a
//! person).
//!
//! [`describe`] reads an image of any tool; [`Description`] answers which package and which component a path is of. Packages are known
//! by their package URLs (purl-spec); one that lies in several places is one package. A file that dpkg has is dpkg's alone, whatever
//! else would claim it: scanners see it so, too.
//!
//! **Guarantees**: what is told is in the order of package URLs and paths, and depends on nothing but the image and its [`Origins`].
//! Nothing of the image is run; names and versions are its own words, to be printed as `Shown`.
//! **Refuses**: what [`pinfold_image::contents`] refuses. A database that cannot be read is noted, and the rest told.

pub mod cyclonedx;
mod debian;
pub mod diff;
pub mod explain;
mod generated;
mod license;
pub mod lock;
mod nix;
mod npm;
mod origins;
pub mod page;
mod python;
mod save;
pub mod sbom;
pub mod side;
pub mod spdx;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use pinfold_archive::Contents as Bytes;
use pinfold_archive::Metadata;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::Platform;
use pinfold_image::Image;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::compose::annotation;
use pinfold_image::contents;
use pinfold_image::contents::Contents;
use pinfold_image::contents::Detail;
use pinfold_image::contents::Found;
use pinfold_image::contents::What;
use pinfold_image::inspect;
use pinfold_image::inspect::LayerSummary;
use pinfold_image::inspect::PlatformSummary;
use pinfold_sources::nix::StorePath;
use serde::Serialize;

pub use self::license::License;
pub use self::origins::Download;
pub use self::origins::Origins;
pub use self::save::SaveError;
pub use self::save::folder;
pub use self::save::save;
use crate::build::contract;
use crate::build::contract::Contract;
use crate::context::Context;
use crate::project::recipe::AGENT_LABEL;
use crate::sources::nix::Named;
use crate::sources::purl_part;

/// Longest file of a tree that is read, in bytes.
const MAX_KEPT: u64 = 64 << 20;
/// Where os-release(5) looks.
const OS_RELEASE: [&str; 2] = ["/etc/os-release", "/usr/lib/os-release"];

/// What kind of package it is, and so who told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackageKind {
    /// A binary package of Debian or of what is made like it.
    Deb,
    /// An npm package.
    Npm,
    /// A Python distribution.
    Python,
    /// Store paths of Nix of one name and version.
    Nix,
    /// A program that came by its address, or an agent that says nothing of itself.
    Generic,
    /// The image below.
    Base,
}

/// One package of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Package {
    /// Its package URL: `pkg:deb/debian/curl@8.5.0-2?arch=amd64&distro=debian-12`. No two have the same.
    pub purl: String,
    /// What kind it is.
    pub kind: PackageKind,
    /// Its name, with its scope: `@openai/codex`.
    pub name: String,
    /// Its version, as it says; of a base its digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The architecture of a Debian package.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// The source package of a Debian package and its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<(String, String)>,
    /// Who makes it: `Name <mail>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supplier: Option<String>,
    /// The licence that it declares.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<License>,
    /// What it is, in one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// The component that it belongs to, where the image says: `debian/curl`, `agent/codex-cli`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// The files that tell of it, in order; none of a package that only its layer tells of.
    pub told_by: Vec<String>,
    /// The layers that its files are in, as diff_ids, the lowest first.
    pub layers: Vec<Digest>,
    /// How many paths it has, directories aside.
    pub files: usize,
    /// Their bytes. Names of one file count each.
    pub size: u64,
    /// The archive that it came out of, where the lock or what was noted of the build names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub download: Option<Download>,
    /// Package URLs of the packages of this image that it depends on.
    pub depends: BTreeSet<String>,
}

/// The distribution, as os-release(5) names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Os {
    /// `ID`: `debian`.
    pub id: String,
    /// `VERSION_ID`: `12`.
    pub version: Option<String>,
    /// `PRETTY_NAME`.
    pub name: Option<String>,
}

/// What one platform of an image has.
#[derive(Clone, Debug)]
pub struct Description {
    /// The platform.
    pub platform: Platform,
    /// What the image was asked for as.
    pub image: String,
    /// The title that its manifest has.
    pub title: Option<String>,
    /// Digest of its manifest.
    pub manifest: Digest,
    /// What tells what is said of it here from what other versions of this program say, or with other origins.
    pub identity: Digest,
    /// When it was made, as it says.
    pub created: Option<String>,
    /// Its distribution.
    pub os: Option<Os>,
    /// Its layers, lowest first.
    pub layers: Vec<LayerSummary>,
    /// Its packages, by package URL.
    pub packages: Vec<Package>,
    /// What could not be read of it.
    pub notes: Vec<String>,
    /// Its paths.
    pub contents: Contents,
    of: Ownership,
}

impl Description {
    /// What documents call it: its title, else its digest. It is not what it was asked for as, which differs from place to place.
    pub fn name(&self) -> String {
        self.title.clone().unwrap_or_else(|| self.manifest.to_string())
    }

    /// The package that a path came with. None has what was generated, or written by the user.
    pub fn package_of(&self, path: &ImagePath) -> Option<&Package> {
        self.packages.get(*self.of.packages.get(path)?)
    }

    /// The component that a path came with, where the image says.
    pub fn component_of(&self, path: &ImagePath) -> Option<&str> {
        self.of.components.get(path).map(String::as_str)
    }

    /// The package of this URL.
    pub fn package(&self, purl: &str) -> Option<&Package> {
        let at = self.packages.binary_search_by(|package| package.purl.as_str().cmp(purl)).ok()?;
        self.packages.get(at)
    }
}

/// Whose each path is. Directories are no package's.
#[derive(Clone, Debug, Default)]
struct Ownership {
    packages: BTreeMap<ImagePath, usize>,
    components: BTreeMap<ImagePath, String>,
}

/// Reads all layers of one platform of an image and tells its packages.
pub fn describe(
    context: &Context,
    source: &ImageSource,
    platform: Platform,
    origins: &Origins,
) -> Result<Description, ImageError> {
    let image = source.image(platform)?;
    let contents = contents::read(source, &image, &is_read, &*context.reporter)?;
    Ok(described(source.name(), (platform, &image), contents, origins))
}

/// The same with digests of contents, and what layers replaced of each other.
pub fn describe_closely(
    context: &Context,
    source: &ImageSource,
    platform: Platform,
    origins: &Origins,
) -> Result<Description, ImageError> {
    let image = source.image(platform)?;
    let contents = contents::look(source, &image, &is_read, Detail::Close, &*context.reporter)?;
    Ok(described(source.name(), (platform, &image), contents, origins))
}

/// The same of what was read before: of all files for which [`is_read`] says so.
pub fn described(
    name: &str,
    (platform, image): (Platform, &Image),
    contents: Contents,
    origins: &Origins,
) -> Description {
    let summary = inspect::platform(platform, image);
    let annotations = &image.manifest.value().annotations;
    let base = annotations
        .get(annotation::BASE_NAME)
        .map(|name| Below { name: name.clone(), digest: annotations.get(annotation::BASE_DIGEST).cloned() });
    let title =
        annotations.get(annotation::TITLE).map(|title| sbom::text(title)).filter(|title| !title.is_empty());
    let described = Described::of(contents, &summary, base, &origins.on(platform));
    let identity = sbom::identity(&summary.manifest, origins);
    Description { title, identity, ..described.done(name, &summary) }
}

/// Whether the content of a file is wanted to tell packages: for readers of layers that look for other things as well.
pub fn is_read(path: &ImagePath) -> bool {
    let shown = path.to_string();
    debian::is_read(&shown)
        || npm::is_read(path)
        || python::is_read(path)
        || OS_RELEASE.contains(&shown.as_str())
        || shown == contract::PATH
}

/// The image below, as the manifest names it.
struct Below {
    name: String,
    digest: Option<String>,
}

/// What was found so far.
struct Described {
    contents: Contents,
    os: Option<Os>,
    packages: Vec<Package>,
    of: Ownership,
    notes: Vec<String>,
}

impl Described {
    fn of(contents: Contents, summary: &PlatformSummary, base: Option<Below>, origins: &Origins) -> Self {
        let mut notes = Vec::new();
        let os = os(&contents);
        let debs = debian::installed(&contents, &mut notes);
        let lists = debian::owners(&contents, &debs);
        let is_deb = |path: &ImagePath| debian::owner(&lists, path).is_some();
        let mut npms = npm::packages(&contents, &mut notes);
        npms.retain(|one| !one.dir.join("package.json").is_ok_and(|path| is_deb(&path)));
        let mut pythons = python::packages(&contents);
        pythons.retain(|one| !is_deb(&one.told_by));
        let dirs: BTreeMap<ImagePath, usize> =
            npms.iter().enumerate().map(|(number, one)| (one.dir.clone(), number)).collect();
        let recorded = python::owners(&contents, &pythons);
        let stored = nix::store_paths(&contents);
        let placed: BTreeMap<&[u8], usize> = stored.keys().map(Vec::as_slice).zip(0..).collect();
        let contract = contract(&contents);

        // Everything that was told, in one row; equal ones become one.
        let mut told: Vec<Package> = Vec::new();
        let first_npm = debs.len();
        let first_python = first_npm + npms.len();
        let first_nix = first_python + pythons.len();
        told.extend(debs.iter().map(|one| of_deb(one, os.as_ref())));
        told.extend(npms.iter().map(of_npm));
        told.extend(pythons.iter().map(of_python));
        told.extend(stored.values().map(of_nix));
        let shift = |all: Vec<Vec<usize>>, by: usize| {
            all.into_iter().map(move |needs| needs.into_iter().map(|one| one + by).collect::<Vec<usize>>())
        };
        let needs = shift(debian::depends(&debs), 0)
            .chain(shift(npm::depends(&npms, &dirs), first_npm))
            .chain(shift(python::depends(&pythons), first_python));
        let purls: Vec<String> = told.iter().map(|one| one.purl.clone()).collect();
        for (package, needs) in told.iter_mut().zip(needs) {
            package.depends = needs.into_iter().filter_map(|one| purls.get(one).cloned()).collect();
            package.depends.remove(&package.purl);
        }
        let mut all = Packages::default();
        let numbers: Vec<usize> = told.into_iter().map(|one| all.put(one)).collect();

        // Whose each path is.
        let components = Components::of(summary, contract.as_ref(), origins, base);
        let mut of = Ownership::default();
        for (path, found) in &contents.paths {
            let deb = debian::owner(&lists, path);
            let store_path = nix::base_name(path).filter(|name| stored.contains_key(*name));
            let other = || {
                let npm = npm::around(&dirs, path).next().map(|number| first_npm + number);
                let python = || recorded.get(path).map(|number| first_python + number);
                let nix = || store_path.and_then(|name| placed.get(name)).map(|number| first_nix + number);
                npm.or_else(python).or_else(nix)
            };
            let owner = deb.or_else(other).and_then(|number| numbers.get(number).copied());
            let source =
                deb.and_then(|number| debs.get(number)).map(|deb| format!("debian/{}", deb.source.0));
            let package = owner.and_then(|number| all.list.get(number));
            let target = match &found.what {
                What::Link(target) => Some(&target[..]),
                _ => None,
            };
            // What a package brings along in its own `node_modules` is of its component.
            let around = npm::around(&dirs, path).filter_map(|number| npms.get(number));
            let store_path = store_path.and_then(|name| stored.get(name)).map(nix::component);
            let exact =
                store_path.into_iter().chain(source).chain(around.map(|npm| format!("npm/{}", npm.name)));
            if let Some(component) = components.find(path, found.layer, exact, package, target) {
                of.components.insert(path.clone(), component);
            }
            if let Some(owner) = owner.filter(|_| found.what != What::Directory) {
                of.packages.insert(path.clone(), owner);
            }
        }
        for package in &mut all.list {
            let told = package.told_by.first().and_then(|path| ImagePath::new(path).ok());
            let deb = package.source.as_ref().map(|(source, _)| format!("debian/{source}"));
            // dpkg's database is a file of all of them.
            package.component = match package.kind {
                PackageKind::Deb => deb.filter(|component| components.named.contains(component.as_str())),
                PackageKind::Nix => Some(format!("nix/{}", package.name))
                    .filter(|name| components.named.contains(name.as_str())),
                _ => told.and_then(|path| of.components.get(&path).cloned()),
            };
            if let Some(origin) = origins.get(&package.purl) {
                package.download = Some(origin.download.clone());
                package.component = package.component.take().or_else(|| origin.component.clone());
            }
        }
        components.fill(&mut all, &mut of, &contents);
        for (path, owner) in &of.packages {
            let (Some(package), Some(found)) = (all.list.get_mut(*owner), contents.paths.get(path)) else {
                continue;
            };
            package.files += 1;
            package.size = package.size.saturating_add(found.size);
        }
        Self { contents, os, packages: all.list, of, notes }
    }

    /// Puts everything in order.
    fn done(self, image: &str, summary: &PlatformSummary) -> Description {
        let Self { contents, os, mut packages, mut of, notes } = self;
        let mut layers: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); packages.len()];
        for (path, owner) in &of.packages {
            if let (Some(layers), Some(found)) = (layers.get_mut(*owner), contents.paths.get(path)) {
                layers.insert(found.layer);
            }
        }
        for (package, numbers) in packages.iter_mut().zip(layers) {
            let of_told = |path: &String| Some(contents.paths.get(&ImagePath::new(path).ok()?)?.layer);
            // A package without a file of its own is where it is told of.
            let numbers = if numbers.is_empty() {
                package.told_by.iter().filter_map(of_told).collect()
            } else {
                numbers
            };
            let diff_id = |number: usize| summary.layers.get(number).map(|layer| layer.diff_id.clone());
            package.layers = numbers.into_iter().filter_map(diff_id).collect();
        }
        let mut order: Vec<usize> = (0..packages.len()).collect();
        order.sort_by(|one, other| packages[*one].purl.cmp(&packages[*other].purl));
        let mut places = vec![0; order.len()];
        for (place, number) in order.iter().enumerate() {
            places[*number] = place;
        }
        for owner in of.packages.values_mut() {
            *owner = places[*owner];
        }
        packages.sort_by(|one, other| one.purl.cmp(&other.purl));
        Description {
            platform: summary.platform,
            image: image.to_owned(),
            title: None,
            manifest: summary.manifest.clone(),
            identity: summary.manifest.clone(),
            created: summary.created.clone(),
            os,
            layers: summary.layers.clone(),
            packages,
            notes,
            contents,
            of,
        }
    }
}

/// Packages, each URL once.
#[derive(Default)]
struct Packages {
    list: Vec<Package>,
    by_purl: BTreeMap<String, usize>,
}

impl Packages {
    /// The number of a package, which is put unless there is one of its URL.
    fn put(&mut self, package: Package) -> usize {
        if let Some(&number) = self.by_purl.get(&package.purl) {
            let there = &mut self.list[number];
            there.told_by.extend(package.told_by);
            there.told_by.sort();
            there.told_by.dedup();
            there.depends.extend(package.depends);
            there.license = there.license.take().or(package.license);
            return number;
        }
        self.by_purl.insert(package.purl.clone(), self.list.len());
        self.list.push(package);
        self.list.len() - 1
    }
}

/// What layers, the contract in the image and the build say of components.
struct Components<'a> {
    /// Those of each layer.
    layers: Vec<BTreeSet<&'a str>>,
    /// All of them.
    named: BTreeSet<&'a str>,
    /// By the URL of the package that is the component's.
    by_purl: BTreeMap<&'a str, &'a str>,
    /// Programs that the contract names, where several components share a layer.
    by_path: BTreeMap<&'a str, &'a str>,
    versions: BTreeMap<&'a str, &'a str>,
    base: Option<Below>,
    origins: &'a Origins,
}

impl<'a> Components<'a> {
    fn of(
        summary: &'a PlatformSummary,
        contract: Option<&'a Contract>,
        origins: &'a Origins,
        base: Option<Below>,
    ) -> Self {
        let layers: Vec<BTreeSet<&str>> = summary
            .layers
            .iter()
            .map(|layer| layer.components.iter().map(String::as_str).collect())
            .collect();
        let named = layers.iter().flatten().copied().collect();
        let mut found = Self {
            layers,
            named,
            by_purl: BTreeMap::new(),
            by_path: BTreeMap::new(),
            versions: BTreeMap::new(),
            base,
            origins,
        };
        for tool in contract.into_iter().flat_map(|contract| &contract.tools) {
            let Some(component) = tool.component.as_deref() else { continue };
            found.by_path.insert(&tool.path, component);
            found.versions.insert(component, &tool.version);
            found.by_purl.extend(tool.purl.as_deref().map(|purl| (purl, component)));
        }
        for (purl, origin) in origins.iter() {
            found.by_purl.extend(origin.component.as_deref().map(|component| (purl, component)));
        }
        for (label, version) in &summary.runtime.labels {
            if let Some(agent) = label.strip_prefix(AGENT_LABEL) {
                let component = found.named.iter().find(|name| name.strip_prefix("agent/") == Some(agent));
                found.versions.extend(component.map(|component| (*component, version.as_str())));
            }
        }
        found
    }

    /// The component of a path, among those of its layer: the first of those that its package may be of, else what the build or the
    /// contract says, else the only one there is.
    fn find(
        &self,
        path: &ImagePath,
        layer: usize,
        mut exact: impl Iterator<Item = String>,
        package: Option<&Package>,
        target: Option<&[u8]>,
    ) -> Option<String> {
        let here = self.layers.get(layer)?;
        let is_here = |name: &&str| here.contains(*name);
        let known = || package.and_then(|package| self.by_purl.get(package.purl.as_str())).copied();
        let told = || self.by_path.get(path.to_string().as_str()).copied();
        let only = || here.first().copied().filter(|_| here.len() == 1);
        exact.find(|name| here.contains(name.as_str())).or_else(|| {
            let other = known().filter(is_here).or_else(|| told().filter(is_here)).or_else(only);
            let other = other.or_else(|| generated::of(path, target, here));
            other.map(str::to_owned)
        })
    }

    /// Gives each component that is fetched and that no package stands for yet one of its own, and the paths of a component that
    /// no package has to the package that stands for it.
    fn fill(&self, all: &mut Packages, of: &mut Ownership, contents: &Contents) {
        let mut standing: BTreeMap<&str, usize> = BTreeMap::new();
        for &component in &self.named {
            let Some((prefix, name)) = component.split_once('/') else { continue };
            if !matches!(prefix, "agent" | "binary" | "build" | "base") {
                continue;
            }
            let mine = all.list.iter().enumerate().filter(|(_, package)| {
                package.component.as_deref() == Some(component) && package.kind != PackageKind::Deb
            });
            // Of packages in each other the outermost.
            let outermost = mine.min_by_key(|(_, package)| {
                let path = package.told_by.first().map(String::as_str).unwrap_or_default();
                (path.matches('/').count(), path.to_owned())
            });
            let number = match outermost.filter(|_| prefix == "agent") {
                Some((number, _)) => number,
                None => all.put(self.own(component, prefix, name)),
            };
            standing.insert(component, number);
        }
        for (path, _) in contents.paths.iter().filter(|(_, found)| found.what != What::Directory) {
            let number = of.components.get(path).and_then(|component| standing.get(component.as_str()));
            if let Some(&number) = number.filter(|_| !of.packages.contains_key(path)) {
                of.packages.insert(path.clone(), number);
            }
        }
    }

    /// The package that a component is which says nothing of itself.
    fn own(&self, component: &str, prefix: &str, name: &str) -> Package {
        let generic = |version: Option<&str>| {
            let version = version.map(|version| format!("@{}", purl_part(version))).unwrap_or_default();
            format!("pkg:generic/{}{version}", purl_part(component))
        };
        if prefix == "base"
            && let Some(base) = &self.base
        {
            let digest = base.digest.as_deref();
            let short =
                base.name.rsplit('/').next().unwrap_or_default().split([':', '@']).next().unwrap_or_default();
            let purl = match digest {
                Some(digest) => format!(
                    "pkg:oci/{}@{}",
                    purl_part(&short.to_ascii_lowercase()),
                    digest.replace(':', "%3A")
                ),
                None => generic(None),
            };
            return Package {
                component: Some(component.to_owned()),
                version: digest.map(str::to_owned),
                ..Package::new(PackageKind::Base, purl, &base.name)
            };
        }
        let noted = self.by_purl.iter().find(|(_, of)| **of == component).map(|(purl, _)| *purl);
        let version = self.versions.get(component).copied();
        let version = version.or_else(|| Some(noted?.rsplit_once('@')?.1)).map(str::to_owned);
        let purl = noted.map_or_else(|| generic(version.as_deref()), str::to_owned);
        let download = self.origins.get(&purl).map(|origin| origin.download.clone());
        Package {
            component: Some(component.to_owned()),
            version,
            download,
            ..Package::new(PackageKind::Generic, purl, name)
        }
    }
}

impl Package {
    fn new(kind: PackageKind, purl: String, name: &str) -> Self {
        Self {
            purl,
            kind,
            name: name.to_owned(),
            version: None,
            arch: None,
            source: None,
            supplier: None,
            license: None,
            summary: None,
            component: None,
            told_by: Vec::new(),
            layers: Vec::new(),
            files: 0,
            size: 0,
            download: None,
            depends: BTreeSet::new(),
        }
    }
}

fn of_deb(deb: &debian::Deb, os: Option<&Os>) -> Package {
    let vendor = os.map_or("debian", |os| os.id.as_str());
    let release = os.and_then(|os| Some(format!("{}-{}", os.id, os.version.as_deref()?)));
    let mut purl =
        format!("pkg:deb/{}/{}@{}", purl_part(vendor), purl_part(&deb.name), purl_part(&deb.version));
    let qualifiers = [("arch", Some(deb.arch.clone())), ("distro", release)];
    for (name, value) in qualifiers {
        let Some(value) = value.filter(|value| !value.is_empty()) else { continue };
        purl.push(if purl.contains('?') { '&' } else { '?' });
        purl.push_str(&format!("{name}={}", purl_part(&value)));
    }
    Package {
        version: Some(deb.version.clone()),
        arch: Some(deb.arch.clone()).filter(|arch| !arch.is_empty()),
        source: Some(deb.source.clone()),
        supplier: deb.maintainer.clone(),
        license: deb.license.clone(),
        summary: deb.summary.clone(),
        told_by: vec![deb.told_by.to_string()],
        ..Package::new(PackageKind::Deb, purl, &deb.name)
    }
}

fn of_npm(npm: &npm::Npm) -> Package {
    let purl = crate::sources::npm::purl(&npm.name, &npm.version);
    Package {
        version: Some(npm.version.clone()),
        supplier: npm.author.clone(),
        license: npm.license.clone(),
        summary: npm.summary.clone(),
        told_by: npm.dir.join("package.json").iter().map(ToString::to_string).collect(),
        ..Package::new(PackageKind::Npm, purl, &npm.name)
    }
}

fn of_python(python: &python::Python) -> Package {
    let name = python.name.to_ascii_lowercase().replace('_', "-");
    let purl = format!("pkg:pypi/{}@{}", purl_part(&name), purl_part(&python.version));
    Package {
        version: Some(python.version.clone()),
        supplier: python.author.clone(),
        license: python.license.clone(),
        summary: python.summary.clone(),
        told_by: vec![python.told_by.to_string()],
        ..Package::new(PackageKind::Python, purl, &python.name)
    }
}

fn of_nix(path: &StorePath) -> Package {
    let Named { name, version } = Named::of(path);
    let purl = format!("pkg:generic/{}@{}", purl_part(&nix::component(path)), purl_part(&version));
    Package { version: Some(version), ..Package::new(PackageKind::Nix, purl, name) }
}

/// What a Debian package brings to call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Commands {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its source package.
    pub source: String,
    /// The first line of its description.
    pub summary: Option<String>,
    /// The files, in order of path.
    pub paths: Vec<ImagePath>,
}

/// The commands that the Debian packages of these names bring to a tree, by package.
pub(crate) fn commands(tree: &Tree, bytes: &dyn Bytes, names: &BTreeSet<&str>) -> io::Result<Vec<Commands>> {
    const USUAL: [&str; 5] = ["/usr/bin", "/usr/sbin", "/usr/games", "/bin", "/sbin"];
    let contents = of_tree(tree, bytes, &|path| debian::tells(&path.to_string()))?;
    let debs = debian::installed(&contents, &mut Vec::new());
    let lists = debian::owners(&contents, &debs);
    let mut found: BTreeMap<&str, Commands> = BTreeMap::new();
    for deb in debs.iter().filter(|deb| names.contains(deb.name.as_str())) {
        found.entry(&deb.name).or_insert_with(|| Commands {
            name: deb.name.clone(),
            version: deb.version.clone(),
            source: deb.source.0.clone(),
            summary: deb.summary.clone(),
            paths: Vec::new(),
        });
    }
    for (path, _) in tree.iter().filter(|(_, node)| !node.is_directory()) {
        let usual = path.parent().is_some_and(|dir| USUAL.contains(&dir.to_string().as_str()));
        let owner = debian::owner(&lists, path).filter(|_| usual).and_then(|number| debs.get(number));
        if let Some(found) = owner.and_then(|deb| found.get_mut(deb.name.as_str())) {
            found.paths.push(path.clone());
        }
    }
    Ok(found.into_values().collect())
}

/// A tree as an image would have it, in one layer, with the content of wanted files.
fn of_tree(tree: &Tree, bytes: &dyn Bytes, keep: &dyn Fn(&ImagePath) -> bool) -> io::Result<Contents> {
    let mut contents = Contents::default();
    for (path, node) in tree.iter() {
        let what = match &node.kind {
            NodeKind::Directory => What::Directory,
            NodeKind::File(_) | NodeKind::Hardlink(_) => What::File(Arc::default()),
            NodeKind::Symlink(target) => What::Link(target.clone()),
        };
        if matches!(what, What::File(_))
            && keep(path)
            && let Some(content) = tree.content(path)
        {
            contents.kept.insert(path.clone(), bytes.read(content, MAX_KEPT)?);
        }
        let Metadata { mode, uid, gid, .. } = node.meta;
        contents.paths.insert(path.clone(), Found { layer: 0, what, mode, uid, gid, size: node.size() });
    }
    Ok(contents)
}

fn os(contents: &Contents) -> Option<Os> {
    let text = OS_RELEASE.iter().find_map(|path| contents.kept.get(&contents.real(path.as_bytes()).ok()?))?;
    let text = String::from_utf8_lossy(text);
    let value = |wanted: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(wanted)?.strip_prefix('='))?;
        Some(line.trim().trim_matches(['"', '\'']).to_owned()).filter(|value| !value.is_empty())
    };
    Some(Os { id: value("ID")?, version: value("VERSION_ID"), name: value("PRETTY_NAME") })
}

fn contract(contents: &Contents) -> Option<Contract> {
    let path = ImagePath::new(contract::PATH).ok()?;
    serde_json::from_slice(contents.kept.get(&path)?).ok()
}

#[cfg(test)]
mod tests;
