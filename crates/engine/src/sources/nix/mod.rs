//! Store paths of Nix: `[nix]`. No Nix is needed, neither here nor in the image.
//!
//! ```text
//! lock    roots ─► closure, by what trusted keys or a store of this machine vouch for ─► [nix."linux/amd64"]
//! image   /nix/store/HASH-NAME      of root, the same bytes in every image
//!         /nix/var, /etc/nix        database, roots of the garbage collector, settings ([`state`])
//!         /nix/profile              bin, etc, lib, sbin and share of the roots as one ([`profile`])
//! ```
//!
//! The program of an agent is a root too, where the manifest says so ([`agents`]).
//!
//! A component is a package by its name without the version, so that an upgrade stays in its layer; it may have several store paths.
//!
//! **Guarantees**: a store path is placed only as what was vouched for ([`store::Placed`]), and of a lock only what a trusted key
//! signed, or a store of this machine has that somebody named.
//! **Refuses**: programs of another platform among the roots.

mod agents;
mod names;
mod places;
mod profile;
mod resolve;
mod section;
pub(crate) mod set;
mod state;
mod store;
mod tarred;
#[cfg(test)]
mod tests;
mod under;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use pinfold_archive::Component;
use pinfold_archive::decoded::Format;
use pinfold_base::ImagePath;
use pinfold_base::Platform;
use pinfold_base::Reporter;
use pinfold_base::Shown;
use pinfold_base::http;
use pinfold_base::http::SafeUrl;
use pinfold_base::report::Running;
use pinfold_base::report::Stage;
use pinfold_image::plan::Volatility;
use pinfold_sources::nix::Closure;
use pinfold_sources::nix::LockedNix;
use pinfold_sources::nix::LockedPath;
use pinfold_sources::nix::LockedRoot;
use pinfold_sources::nix::NixError;
use pinfold_sources::nix::Place;
use pinfold_sources::nix::StorePath;
use pinfold_sources::nix::Verified;
use pinfold_sources::nix::closure::Limits;
use pinfold_sources::nix::flake::Flake;
use pinfold_sources::nix::narinfo::NarUrl;

pub(crate) use agents::versions;
pub(crate) use names::Named;
pub use section::NixFile;
pub use section::NixRequest;
pub use section::Root;
pub use section::RootFile;
pub(crate) use section::check;

use self::places::Places;
use self::resolve::Names;
use self::section::roots;
use self::under::Under;
use super::Archive;
use super::Asking;
use super::Date;
use super::Laying;
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
use crate::context::Environment;
use crate::project::Project;
use crate::project::inputs::Read;
use crate::project::lock::Lock;

/// How the names of its components begin.
const PREFIX: &str = "nix";

/// Where commands of the roots are, in an image that has any.
pub(crate) const COMMANDS: &str = "/nix/profile/bin";

/// Stores of Nix and binary caches.
#[derive(Clone, Copy, Debug)]
pub struct Nix;

/// The command that makes the resolution file of a project on a machine with Nix.
pub fn resolution_command(project: &Project) -> Result<String, SourceError> {
    resolve::command(project)
}

impl Source for Nix {
    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn names(&self, project: &Project) -> Vec<String> {
        let roots = roots(project);
        let paths =
            roots.iter().flat_map(|root| Platform::ALL.into_iter().filter_map(|platform| root.on(platform)));
        let packages = roots.iter().filter_map(|root| root.package());
        let packages = packages.flat_map(|package| [package.title().to_owned(), package.attribute()]);
        paths.map(|path| names::package(path).to_owned()).chain(packages).collect()
    }

    fn request(&self, project: &Project) -> Option<String> {
        let wanted = &project.manifest.sources.nix;
        let agents: Vec<&Root> = section::agents(project).collect();
        let names = project.inputs.resolution().and_then(Result::ok).map(Read::sha256);
        match (names, agents.is_empty()) {
            (_, true) if wanted.roots.is_empty() => None,
            (None, true) => json(wanted),
            (Some(names), true) => json(&(wanted, names)),
            (names, false) => json(&(wanted, names, agents)),
        }
    }

    fn trusts(&self, project: &Project, environment: &Environment) -> Vec<Trust> {
        let roots = roots(project);
        let packages = roots.iter().copied().filter_map(Root::package);
        let flakes: BTreeSet<&Flake> = packages.map(|package| &package.flake).collect();
        let is_asked =
            |flake: &&Flake| !matches!(flake, Flake::Registered(_)) && project.inputs.resolution().is_none();
        let flakes = flakes.into_iter().filter(is_asked).map(|flake| Trust::Flake(flake.to_string()));
        let wanted = &project.manifest.sources.nix.caches;
        if wanted.is_empty() {
            return flakes.collect();
        }
        let machine = places::machine(project, environment).unwrap_or_default();
        let known = machine.substituters.values().chain(machine.trusted_substituters.values());
        let known: Vec<Place> = known.filter_map(|value| value.text.parse().ok()).collect();
        let is_known = |place: &Place| {
            known.iter().any(|known| match (known, place) {
                (Place::Cache { url: known, .. }, Place::Cache { url, .. }) => url.same_place(known),
                (known, place) => known == place,
            })
        };
        let address = |place: &Place| match place {
            Place::Cache { url, .. } => Trust::address("store paths of Nix", url.expose().expose()),
            Place::Local { root, list } => {
                let store = SafeUrl::from_path(&root.join("nix/store"));
                let mut store =
                    store.map_or_else(|_| Shown::from(root.as_path()).to_string(), |url| url.to_string());
                if let Some(list) = list {
                    store = format!("{store}, by the list {}", Shown::from(list.as_path()));
                }
                Trust::address("store paths of this machine's Nix, which nobody signed", &store)
            }
        };
        let places = wanted.iter().map(|cache| &cache.place).filter(|place| !is_known(place)).map(address);
        let trusted: BTreeSet<&str> =
            machine.trusted_public_keys.values().map(|key| key.text.as_str()).collect();
        let keys = wanted.iter().flat_map(|cache| &cache.keys).map(ToString::to_string);
        let keys = keys.filter(|key| !trusted.contains(key.as_str())).map(Trust::StoreKey);
        flakes.chain(places).chain(keys).collect()
    }

    fn stands_on(&self, project: &Project, environment: &Environment) -> Result<Option<String>, SourceError> {
        if roots(project).is_empty() {
            return Ok(None);
        }
        places::stands_on(project, environment).map(Some)
    }

    /// Store paths do not move by themselves: what is locked for the same roots stays, and nobody is asked. Of other roots, names
    /// that were locked stay what they were.
    fn resolve(&self, asking: &Asking<'_>, lock: &mut Lock) -> Result<Vec<String>, SourceError> {
        let Remotes { context, project, .. } = asking.remotes;
        let wanted = roots(project);
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let moves = |path: &LockedPath| asking.upgrade.moves(&component(&path.path));
        let same = asking.old.is_some_and(|old| old.request.get(PREFIX) == lock.request.get(PREFIX));
        let known = |root: &Root, platform| -> Vec<LockedRoot> {
            let titles = root.package().map(|package| [package.title().to_owned(), package.attribute()]);
            let titles: Vec<String> =
                titles.iter().flatten().map(|name| format!("{PREFIX}/{name}")).collect();
            let agent = root.agent.as_ref().map(|agent| format!("agent/{agent}"));
            let named = titles.iter().chain(&agent).any(|name| asking.upgrade.moves(name));
            let old = asking.old.filter(|_| !named).and_then(|old| old.nix.get(&platform));
            let roots: Vec<LockedRoot> =
                old.map(|old| resolve::known(&old.roots, root).cloned().collect()).unwrap_or_default();
            if roots.iter().any(|root| asking.upgrade.moves(&component(&root.path))) {
                Vec::new()
            } else {
                roots
            }
        };
        let mut names: Option<Names> = None;
        for &platform in &project.manifest.platforms {
            let old = asking.old.and_then(|old| old.nix.get(&platform));
            let stays = || {
                let mut names = wanted.iter().filter(|root| root.package().is_some());
                names.all(|root| !known(root, platform).is_empty())
            };
            if let Some(old) = old.filter(|old| same && !old.paths.iter().any(moves) && stays()) {
                old.check().map_err(SourceError::of)?;
                lock.nix.insert(platform, old.clone());
                continue;
            }
            let item = format!("store paths of Nix for {platform}");
            let running = Running::begin(&*context.reporter, Stage::Resolve, item, None);
            let places = Places::of(asking.remotes)?;
            let names = match &mut names {
                Some(names) => names,
                None => names
                    .insert(Names::of(asking, &wanted, &|root, platform| !known(root, platform).is_empty())?),
            };
            let mut roots = Vec::new();
            for root in &wanted {
                match (root.package(), root.on(platform)) {
                    (Some(package), _) => match known(root, platform) {
                        old if !old.is_empty() && !names.is_file() => {
                            roots.extend(resolve::renamed(root, old));
                        }
                        _ => {
                            roots.extend(names.roots(root, package, platform)?);
                        }
                    },
                    (None, Some(path)) => roots.push(resolve::given(root, path, platform)),
                    (None, None) => {}
                }
            }
            let paths: Vec<StorePath> = roots.iter().map(|root| root.path.clone()).collect();
            let closure =
                Closure::of(&paths, &places.origins(), &Limits::default()).map_err(SourceError::of)?;
            let kept = |path: &Verified| {
                let old = old?.path(&path.info().path).filter(|old| !moves(old))?;
                let same = old.nar == path.info().nar_hash && old.url.is_some() == path.file().is_some();
                same.then(|| old.clone())
            };
            let locked = |path: &Verified| match (kept(path), &places.caches) {
                (Some(old), _) => Ok(old),
                (None, Some(caches)) => caches.lock(path, &context.store, &*context.reporter),
                (None, None) => Ok(LockedPath::in_store(path)),
            };
            let files = closure.paths().values().map(locked).collect::<Result<Vec<_>, NixError>>();
            drop(running);
            let locked = files.and_then(|files| LockedNix::new(roots, &closure, files));
            lock.nix.insert(platform, locked.map_err(SourceError::of)?);
        }
        Ok(resolve::apart(lock.nix.values()))
    }

    fn bytes(&self, _: &Asking<'_>, lock: &Lock) -> Result<BTreeMap<String, u64>, SourceError> {
        let all = |platform| lock.nix.get(&platform).into_iter().flat_map(|locked| &locked.paths);
        let of = |path: &LockedPath| (component(&path.path), path.nar_size);
        Ok(super::largest(|platform| all(platform).map(of).collect()))
    }

    fn archives<'a>(&self, lock: &'a Lock, platform: Platform) -> Vec<Archive<'a>> {
        let archive = |path: &'a LockedPath| Archive {
            component: component(&path.path),
            version: names::version(&path.path),
            what: path.path.base_name().to_owned(),
            digest: &path.file,
            size: Some(path.size),
            format: Format::Nar,
            origin: Box::new(InStore(path)),
        };
        lock.nix.get(&platform).into_iter().flat_map(|locked| &locked.paths).map(archive).collect()
    }

    fn date(&self, _: &Lock) -> Option<Date> {
        None
    }

    fn place(&self, placing: &Placing<'_>) -> Result<Placed, SourceError> {
        if roots(placing.project).is_empty() {
            return Ok(Placed::default());
        }
        let wanted = &placing.project.manifest.sources.nix;
        let missing = || SourceError::not_locked(PREFIX, placing.platform);
        let locked = placing.lock.nix.get(&placing.platform).ok_or_else(missing)?;
        locked.check().map_err(SourceError::of)?;
        places::check(placing.context, placing.project, locked)?;
        let under = Under::of(placing)?;
        let mut tree = state::of(locked, wanted, placing, under)?;
        tree.complete(&Component::generated("base"), STILL)?;
        let store = store::Placed::of(tree, placing, locked)?;
        let profile = profile::of(&store, locked, placing, under)?;
        let agents = agents::of(&store, locked, placing)?;
        let mut tree = store.into_tree();
        tree.merge(profile.tree)?;
        tree.merge(agents)?;
        let (tree, laying) = match under {
            None => (tree, Laying::Beside),
            Some(under) => (under.laid(placing.before, tree, locked, state::owner(placing))?, Laying::Whole),
        };
        let stores = BTreeSet::from([ImagePath::new("nix/store")?]);
        Ok(Placed { tree, laying, notes: profile.notes, stores, ..Placed::default() })
    }

    fn summary(&self, components: &[(&str, &str)]) -> String {
        counted(components.len(), "Nix package")
    }

    fn servers(&self, remotes: &Remotes<'_>) -> Vec<Server> {
        if roots(remotes.project).is_empty() {
            return Vec::new();
        }
        let what = || "binary cache of Nix".to_owned();
        let places = match Places::of(remotes) {
            Ok(places) => places,
            Err(error) => return vec![Server { what: what(), source: Err(error) }],
        };
        let about = |caches: &pinfold_sources::nix::Caches| -> Vec<Server> {
            let about = caches.caches().iter().map(|cache| caches.about(cache).map_err(SourceError::of));
            about.map(|source| Server { what: what(), source }).collect()
        };
        places.caches.iter().flat_map(about).collect()
    }

    /// The name of a store path follows from those that it refers to; an agent is a link to one.
    fn built_on(&self, lock: &Lock) -> BTreeMap<String, BTreeSet<Component>> {
        let mut built_on: BTreeMap<String, BTreeSet<Component>> = BTreeMap::new();
        for (agent, root) in lock.nix.values().flat_map(agents::locked) {
            built_on.entry(format!("agent/{agent}")).or_default().insert(owner(&root.path));
        }
        for path in lock.nix.values().flat_map(|locked| &locked.paths) {
            let on = built_on.entry(component(&path.path)).or_default();
            on.insert(owner(&path.path));
            on.extend(path.references.iter().map(owner));
        }
        built_on
    }

    /// What others build on moves with the whole package set; what was asked for, with each of its versions, and agents daily.
    fn volatility(&self, project: &Project, name: &str) -> Volatility {
        if section::agents(project).any(|root| root.is_called(name)) {
            Volatility::Volatile
        } else if self.names(project).iter().any(|root| root == name) {
            Volatility::Weekly
        } else {
            Volatility::Stable
        }
    }
}

/// The component that a store path is part of.
fn component(path: &StorePath) -> String {
    format!("{PREFIX}/{}", names::package(path))
}

/// The same as an owner.
fn owner(path: &StorePath) -> Component {
    Component::new(PREFIX, names::package(path))
}

/// A NAR: at the caches, or made of what a store of this machine has.
struct InStore<'a>(&'a LockedPath);

impl Locate for InStore<'_> {
    fn locate(&self, remotes: &Remotes<'_>) -> Result<Vec<http::Source>, SourceError> {
        let places = Places::of(remotes)?;
        let caches = places.caches.as_ref().ok_or_else(|| SourceError::of(NixError::NoCache))?;
        caches.sources(self.0).map_err(SourceError::of)
    }

    fn path(&self) -> Option<&str> {
        self.0.url.as_ref().map(NarUrl::as_str)
    }

    fn bring(&self, remotes: &Remotes<'_>, what: &str, _: &dyn Reporter) -> Option<Result<(), SourceError>> {
        self.0.url.is_none().then(|| self.dump(remotes, what))
    }
}

impl InStore<'_> {
    fn dump(&self, remotes: &Remotes<'_>, what: &str) -> Result<(), SourceError> {
        let places = Places::of(remotes)?;
        let Self(locked) = self;
        let mut refused = None;
        for local in &places.locals {
            if local.info(&locked.path).map_err(SourceError::of)?.is_none() {
                continue;
            }
            let writer = remotes.context.store.writer(what, locked.expected());
            let mut writer = writer.map_err(SourceError::of)?;
            match local.dump(locked, &mut writer) {
                Ok(()) => return writer.finish().map(drop).map_err(SourceError::of),
                Err(error) => refused = refused.or(Some(error)),
            }
        }
        let missing = || NixError::Missing {
            path: locked.path.clone(),
            chain: Vec::new(),
            asked: places.origins().iter().flat_map(|origin| origin.names()).collect(),
        };
        Err(SourceError::of(refused.unwrap_or_else(missing)))
    }
}
