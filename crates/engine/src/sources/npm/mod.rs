//! npm packages beside those of the agents: `[npm]`. Programs of recipes come from the same registries ([`program`]).

mod asked;
mod section;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use fs_err as fs;
use pinfold_archive::Component;
use pinfold_archive::decoded::Format;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::ImagePath;
use pinfold_base::Platform;
use pinfold_base::http;
use pinfold_base::http::SafeUrl;
use pinfold_base::report::Running;
use pinfold_base::report::Stage;
use pinfold_image::plan::Volatility;
use pinfold_sources::npm;
use pinfold_sources::npm::AgeRule;
use pinfold_sources::npm::InstallScripts;
use pinfold_sources::npm::LockedNpm;
use pinfold_sources::npm::MissingTime;
use pinfold_sources::npm::NpmError;
use pinfold_sources::npm::PackageTemplate;
use pinfold_sources::npm::PlatformPackage;
use pinfold_sources::npm::Registry;
use pinfold_sources::npm::ResolvedPackage;
use pinfold_sources::npm::config::Setting;
use pinfold_sources::npm::shrinkwrap::MAX_SHRINKWRAP;

pub use section::NpmFile;
pub use section::NpmPackage;
pub use section::NpmPackageFile;
pub use section::NpmRequest;

use super::Archive;
use super::Asking;
use super::Date;
use super::Locate;
use super::Placed;
use super::Placing;
use super::Remotes;
use super::STILL;
use super::Server;
use super::Source;
use super::SourceError;
use super::Trust;
use super::counted;
use super::json;
use crate::build::fetch;
use crate::context::Environment;
use crate::context::Network;
use crate::project::Project;
use crate::project::lock::Lock;
use crate::project::manifest;
use crate::project::manifest::Skipped;
use crate::project::recipe::NpmOrigin;

/// What is resolved, for people.
const ITEM: &str = "npm packages";

/// npm registries.
#[derive(Clone, Copy, Debug)]
pub struct Npm;

/// Something of a registry cannot be locked.
#[derive(Debug, thiserror::Error)]
#[error("cannot lock `{what}`")]
struct NotLockable {
    what: String,
    source: NpmError,
}

impl Diagnose for NotLockable {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Inner(&self.source)
    }
}

impl Source for Npm {
    fn prefix(&self) -> &'static str {
        "npm"
    }

    fn names(&self, project: &Project) -> Vec<String> {
        project.manifest.sources.npm.packages.keys().cloned().collect()
    }

    fn request(&self, project: &Project) -> Option<String> {
        let wanted = &project.manifest.sources.npm;
        if wanted.packages.is_empty() { None } else { json(wanted) }
    }

    fn trusts(&self, project: &Project, environment: &Environment) -> Vec<Trust> {
        let named = project.manifest.sources.npm.registry.as_ref();
        let settings = settings(project);
        if named.is_none() && settings.is_empty() {
            return Vec::new();
        }
        let machine = machine(project, environment);
        // Where the machine names no registry, npm's own is the one that it has.
        let own = |key: &str, address: &str| {
            let Some((layers, url)) = machine.as_ref().zip(SafeUrl::parse(address).ok()) else {
                return false;
            };
            match layers.address(key) {
                Some(machine) => url.same_place(&machine),
                None => !layers.names_a_registry() && npm::config::is_built_in(&url),
            }
        };
        let registry = named.filter(|address| !own("registry", address));
        let registry = registry.map(|address| Trust::address("npm packages", address));
        let beyond = |setting: &Setting| {
            let Setting { key, value, variables } = setting;
            !variables.is_empty() || !own(key, value)
        };
        registry.into_iter().chain(settings.into_iter().filter(beyond).map(Trust::Npmrc)).collect()
    }

    fn resolve(&self, asking: &Asking<'_>, lock: &mut Lock) -> Result<Vec<String>, SourceError> {
        let Remotes { context, project, .. } = asking.remotes;
        let manifest = &project.manifest;
        let packages = &manifest.sources.npm.packages;
        if packages.is_empty() {
            return Ok(Vec::new());
        }
        let item = ITEM;
        let failed = |source| SourceError::of(NotLockable { what: item.into(), source });
        let running = Running::begin(&*context.reporter, Stage::Resolve, item, None);
        let locked = asking.old.into_iter().flat_map(|lock| lock.npm.values().flatten());
        let locked = locked.map(|placement| &placement.package);
        let stays = |package: &&LockedNpm| !asking.upgrade.moves(&format!("npm/{}", package.name));
        let kept = npm::tree::Kept::new(locked.filter(stays));
        let request = |(name, package): (&String, &NpmPackage)| npm::Request {
            name: name.clone(),
            spec: package.version.clone(),
            scripts: answer(package.scripts.as_ref()),
        };
        let skipped = manifest.scripts.iter().filter_map(|(name, skipped)| match skipped {
            Skipped::All(reason) => Some((name.clone(), reason.clone())),
            // Those of Debian alone have names of their own there.
            Skipped::Some(_) => None,
        });
        let request = npm::tree::TreeRequest {
            requests: &packages.iter().map(request).collect::<Vec<_>>(),
            platforms: &manifest.platforms,
            age: age(asking),
            answers: &skipped.collect(),
            keep: &kept,
        };
        let registry = registry(asking.remotes).map_err(failed)?;
        let resolved = npm::tree::resolve_tree(&registry, &request, |package| shrinkwrap(asking, package));
        drop(running);
        let resolved = resolved.map_err(|Failed(error)| error)?;
        let mut notes = resolved.notes;
        notes.extend(resolved.scripts.iter().map(|script| {
            format!(
                "{} {}: `{}` is left out: {}",
                script.package, script.version, script.script, script.reason
            )
        }));
        lock.npm = resolved.placements;
        Ok(notes)
    }

    fn archives<'a>(&self, lock: &'a Lock, platform: Platform) -> Vec<Archive<'a>> {
        let placements = lock.npm.get(&platform).into_iter().flatten();
        let archive = |placement: &'a npm::Placement| {
            let package = &placement.package;
            archive(package, format!("npm/{}", package.name), &package.version)
        };
        placements.map(archive).collect()
    }

    fn bytes(&self, asking: &Asking<'_>, lock: &Lock) -> Result<BTreeMap<String, u64>, SourceError> {
        let of = |placement: &'_ npm::Placement| format!("npm/{}", placement.package.name);
        told(asking, |platform| {
            let placements = lock.npm.get(&platform).into_iter().flatten();
            placements.map(|placement| (of(placement), &placement.package)).collect()
        })
    }

    fn date(&self, lock: &Lock) -> Option<Date> {
        let packages = lock.npm.values().flatten().map(|placement| &placement.package);
        packages.filter_map(|package| package.published).map(Date::Published).max()
    }

    fn place(&self, placing: &Placing<'_>) -> Result<Placed, SourceError> {
        let placements = placing.lock.npm.get(&placing.platform).into_iter().flatten();
        let installed = placements.map(|placement| installed(placing, placement));
        let installed = installed.collect::<Result<Vec<_>, _>>()?;
        let programs = ImagePath::new("usr/local/bin")?;
        let placed = npm::place::install(installed, &programs, &placing.context.decoded, STILL);
        let npm::Placed { tree, notes, .. } = placed.map_err(SourceError::of)?;
        Ok(Placed { tree, notes, ..Placed::default() })
    }

    fn summary(&self, components: &[(&str, &str)]) -> String {
        counted(components.len(), "npm package")
    }

    fn volatility(&self, _: &Project, _: &str) -> Volatility {
        Volatility::Weekly
    }
}

/// Why a tree cannot be resolved: what a registry says, or a tarball that had to be looked into.
struct Failed(SourceError);

impl From<NpmError> for Failed {
    fn from(source: NpmError) -> Self {
        Self(SourceError::of(NotLockable { what: ITEM.into(), source }))
    }
}

/// The shrinkwrap in a package's tarball, which is fetched for it.
fn shrinkwrap(asking: &Asking<'_>, package: &LockedNpm) -> Result<Option<Vec<u8>>, Failed> {
    let Remotes { context, project, .. } = *asking.remotes;
    let platform = Platform::ALL[0];
    let placement = npm::Placement {
        dir: format!("node_modules/{}", package.name),
        package: package.clone(),
        bins: BTreeMap::new(),
        requested: false,
    };
    let alone = Lock { npm: BTreeMap::from([(platform, vec![placement])]), ..Lock::default() };
    fetch::fetch(context, project, &alone, &[platform]).map_err(|error| Failed(SourceError::of(error)))?;
    let listing =
        super::listing(context, &package.id(), &package.integrity, Format::Tar, &|_| ()).map_err(Failed)?;
    let opened = npm::Package::open(package, &listing, &context.decoded);
    let file =
        opened.and_then(|package| package.read("npm-shrinkwrap.json", MAX_SHRINKWRAP, &context.decoded));
    file.map_err(|error| Failed(SourceError::of(error)))
}

/// One version of a recipe's program that all platforms have. `kept` is the version that was locked.
pub(super) fn program(
    asking: &Asking<'_>,
    title: &str,
    origin: &NpmOrigin,
    kept: Option<&str>,
) -> Result<ResolvedPackage, SourceError> {
    let packages = origin.platforms.iter().map(|(name, package)| {
        (name.0, PackageTemplate { name: package.package.clone(), version: package.version.clone() })
    });
    let wanted = PlatformPackage {
        title: title.to_owned(),
        versions_from: Some(origin.package.clone()),
        spec: origin.version.clone(),
        packages: packages.collect(),
        scripts: answer(origin.scripts.as_ref()),
    };
    let platforms = &asking.remotes.project.manifest.platforms;
    registry(asking.remotes)
        .and_then(|registry| {
            npm::platform::resolve_platform_package(&registry, &wanted, platforms, &age(asking), kept)
        })
        .map_err(|source| SourceError::of(NotLockable { what: title.to_owned(), source }))
}

/// What the registries say of the sizes of each platform's packages, which are parts of the components named beside them. Where
/// they are silent it is nothing: such a package shares its layer.
pub(super) fn told<'a>(
    asking: &Asking<'_>,
    packages: impl Fn(Platform) -> Vec<(String, &'a LockedNpm)>,
) -> Result<BTreeMap<String, u64>, SourceError> {
    if Platform::ALL.into_iter().all(|platform| packages(platform).is_empty()) {
        return Ok(BTreeMap::new());
    }
    let registry = registry(asking.remotes).map_err(SourceError::of)?;
    let bytes = |package: &LockedNpm| {
        let packument = registry.packument(&package.name).ok();
        packument.and_then(|packument| packument.release(&package.version)?.unpacked).unwrap_or_default()
    };
    let sized = |(component, package): (String, &'a LockedNpm)| (component, bytes(package));
    Ok(super::largest(|platform| packages(platform).into_iter().map(sized).collect()))
}

/// A locked tarball, as part of `component`.
pub(super) fn archive<'a>(package: &'a LockedNpm, component: String, version: &str) -> Archive<'a> {
    Archive {
        component,
        version: version.to_owned(),
        what: package.id(),
        digest: &package.integrity,
        size: package.size,
        format: Format::Tar,
        origin: Box::new(InRegistry(package)),
    }
}

/// The package URL of an npm package (purl-spec, "npm"): packages are matched by it.
pub(crate) fn purl(name: &str, version: &str) -> String {
    format!("pkg:npm/{}@{}", super::purl_part(name), super::purl_part(version))
}

/// A tarball, relative to its registry.
struct InRegistry<'a>(&'a LockedNpm);

impl Locate for InRegistry<'_> {
    fn path(&self) -> Option<&str> {
        Some(&self.0.path)
    }

    fn purl(&self) -> Option<String> {
        Some(purl(&self.0.name, &self.0.version))
    }

    fn locate(&self, remotes: &Remotes<'_>) -> Result<Vec<http::Source>, SourceError> {
        let source = registry(remotes).and_then(|registry| registry.source(self.0));
        Ok(vec![source.map_err(SourceError::of)?])
    }
}

/// What the project's `.npmrc` says about registries and logins, before variables are filled in.
fn settings(project: &Project) -> Vec<Setting> {
    let npmrc = project.inputs.npmrc();
    npmrc.map(|npmrc| npm::config::settings(&String::from_utf8_lossy(&npmrc.bytes))).unwrap_or_default()
}

fn answer(reason: Option<&String>) -> InstallScripts {
    match reason {
        Some(reason) => InstallScripts::Answered { reason: reason.clone() },
        None => InstallScripts::Refuse,
    }
}

fn age(asking: &Asking<'_>) -> AgeRule {
    let policy = &asking.remotes.project.manifest.policy;
    let missing = match policy.missing_time {
        manifest::MissingTime::Refuse => MissingTime::Refuse,
        manifest::MissingTime::Accept => MissingTime::Accept,
    };
    AgeRule { min_age: policy.min_age.0, now: asking.now, missing }
}

/// The registry of a package.
pub(super) fn server(remotes: &Remotes<'_>, package: &str) -> Server {
    let source = registry(remotes).and_then(|registry| registry.document(package));
    Server { what: "npm registry".into(), source: source.map_err(SourceError::of) }
}

/// The registries as the manifest, `.npmrc` files and the environment name them.
fn registry(remotes: &Remotes<'_>) -> Result<Arc<Registry>, NpmError> {
    let Remotes { context, project, .. } = *remotes;
    remotes.kept(|| {
        let manifest = &project.manifest;
        let named = manifest.sources.npm.registry.as_deref();
        let own = project.inputs.npmrc().map(|npmrc| String::from_utf8_lossy(&npmrc.bytes).into_owned());
        let mut layers = npm::config::Layers::read(named, own, context.environment.texts())?;
        let mut config = npm::Config::new(&layers);
        let needed = remotes.resolving || context.network() == Network::Online;
        if needed && matches!(config, Err(npm::config::ConfigError::NoRegistry)) {
            layers.asked = asked::registry(context, project, remotes.settled);
            config = npm::Config::new(&layers);
        }
        let client = context.http().map_err(|source| NpmError::Http { package: "npm".into(), source })?;
        Ok(Registry::new(config?, client.clone()))
    })
}

/// The configuration of machine and caller, without the project's. What lies in the project is no machine's: a home directory
/// can be a project too, and an agent may write to it.
fn machine(project: &Project, environment: &Environment) -> Option<npm::config::Layers> {
    let folder = fs::canonicalize(&project.manifest.directory).ok()?;
    let outside = |file: &Path| fs::canonicalize(file).is_ok_and(|real| !real.starts_with(&folder));
    npm::config::Layers::of_machine(environment.texts(), outside).ok()
}

/// One package, with the commands that are linked.
fn installed(placing: &Placing<'_>, placement: &npm::Placement) -> Result<npm::Installed, SourceError> {
    let locked = &placement.package;
    let listing = placing.listing(&locked.id(), &locked.integrity, Format::Tar)?;
    let dir = placement.path(&ImagePath::new("usr/local/lib")?)?;
    let asked = &placing.project.manifest.sources.npm.packages;
    let asked = placement.dir.strip_prefix("node_modules/").and_then(|name| asked.get(name));
    let wanted = asked.and_then(|package| package.bin.as_ref()).filter(|_| placement.requested);
    let mut bins = placement.bins.clone();
    bins.retain(|command, _| wanted.is_none_or(|wanted| wanted.contains(command)));
    let package = npm::Package::open(locked, &listing, &placing.context.decoded).map_err(SourceError::of)?;
    let (requested, owner) = (placement.requested, Component::new("npm", &locked.name));
    Ok(npm::Installed { package, dir, bins, requested, owner })
}
