//! `lock`: asks archives and registries what exists, and writes down what was found. The only room that does.
//!
//! ```text
//! manifest, recipes ─► Debian walk, npm versions, binaries' digests ─► fetch ─► place ─► layers, ledger ─► Lock
//! ```
//!
//! Everything is fetched and placed once, because the lock says what stands for each install script and which component
//! goes to which layer. What is locked and still allowed stays; `--upgrade` moves it.

use std::collections::BTreeMap;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use pinfold_base::Algorithm;
use pinfold_base::Diagnose;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::report::Stage;
use pinfold_image::plan;
use pinfold_image::plan::ComponentSize;
use pinfold_image::plan::Sharing;
use pinfold_image::plan::Volatility;
use pinfold_sources::binary;
use pinfold_sources::binary::BinaryError;
use pinfold_sources::binary::BinaryRequest;
use pinfold_sources::binary::LockedBinary;
use pinfold_sources::debian::lock as debian;
use pinfold_sources::npm;
use serde::Serialize;

use crate::build::compose;
use crate::build::fetch;
use crate::build::fetch::FetchError;
use crate::build::origins::OriginError;
use crate::build::origins::Origins;
use crate::build::place;
use crate::build::place::PlaceError;
use crate::context::Context;
use crate::project::Project;
use crate::project::lock::COMPAT;
use crate::project::lock::Lock;
use crate::project::lock::LockError;
use crate::project::lock::Saved;
use crate::project::lock::diff;
use crate::project::lock::diff::Change;
use crate::project::lock::request;
use crate::project::lock::v1::LockedAgent;
use crate::project::lock::v1::LockedDebian;
use crate::project::lock::v1::LockedLayer;
use crate::project::manifest;
use crate::project::manifest::Manifest;
use crate::project::recipe::Recipe;
use crate::project::recipe::RecipeKind;

/// Which locked versions may move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upgrade {
    /// None that is still allowed.
    Nothing,
    /// These packages and agents.
    Only(Vec<String>),
    /// All.
    All,
}

impl Upgrade {
    fn moves(&self, name: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::Only(names) => names.iter().any(|wanted| wanted == name),
            Self::All => true,
        }
    }
}

/// What locking gave.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The lock.
    #[serde(skip)]
    pub lock: Lock,
    /// Versions that changed.
    pub changes: Vec<Change>,
    /// What the user should know.
    pub notes: Vec<String>,
    /// Whether the file was written.
    pub written: bool,
    /// Whether the lock differs from the one before.
    pub differs: bool,
    /// Whether there was a lock before.
    pub had_lock: bool,
    /// Number of components with a version.
    pub components: usize,
}

/// Why locking failed.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The lock file.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// Where to fetch from.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// npm.
    #[error("cannot lock `{what}`")]
    Npm {
        /// The agent or package.
        what: String,
        /// What happened.
        #[source]
        source: npm::NpmError,
    },
    /// A program by URL.
    #[error(transparent)]
    Binary(#[from] BinaryError),
    /// A digest of the manifest is none.
    #[error("`sha256` of the binary `{name}` is wrong")]
    Digest {
        /// Its name.
        name: String,
        /// What is wrong.
        #[source]
        source: pinfold_base::digest::ParseDigestError,
    },
    /// Fetching.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Placing.
    #[error(transparent)]
    Place(#[from] Box<PlaceError>),
    /// Debian packages that an agent needs, but there is no Debian in the image.
    #[error("agent `{agent}` needs Debian packages ({}), and the manifest has no `[debian]`", .packages.join(", "))]
    NoDebian {
        /// The agent.
        agent: String,
        /// What it needs.
        packages: Vec<String>,
    },
}

impl From<PlaceError> for ResolveError {
    fn from(error: PlaceError) -> Self {
        Self::Place(Box::new(error))
    }
}

impl Diagnose for ResolveError {
    fn kind(&self) -> Kind {
        match self {
            Self::Lock(error) => error.kind(),
            Self::Origin(error) => error.kind(),
            Self::Npm { source, .. } => source.kind(),
            Self::Binary(error) => error.kind(),
            Self::Fetch(error) => error.kind(),
            Self::Place(error) => error.kind(),
            Self::NoDebian { .. } | Self::Digest { .. } => Kind::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Lock(error) => error.hint(),
            Self::Origin(error) => error.hint(),
            Self::Npm { source, .. } => source.hint(),
            Self::Binary(error) => error.hint(),
            Self::Digest { .. } => None,
            Self::Fetch(error) => error.hint(),
            Self::Place(error) => error.hint(),
            Self::NoDebian { .. } => Some("add `[debian]` with `suite = \"bookworm\"`".into()),
        }
    }
}

/// Seconds since the epoch: for checking validity and ages, never for anything that is written.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs())
}

/// Resolves the project and writes its lock.
pub fn lock(context: &Context, project: &Project, upgrade: &Upgrade) -> Result<Outcome, ResolveError> {
    let mut outcome = resolve(context, project, upgrade)?;
    for note in &outcome.notes {
        context.reporter.note(&format!("note: {note}"));
    }
    outcome.written = outcome.lock.save(&project.lock_file)? == Saved::Written;
    Ok(outcome)
}

/// Resolves anew and compares; writes nothing.
pub fn check(context: &Context, project: &Project) -> Result<Outcome, ResolveError> {
    resolve(context, project, &Upgrade::All)
}

fn resolve(context: &Context, project: &Project, upgrade: &Upgrade) -> Result<Outcome, ResolveError> {
    let manifest = &project.manifest;
    let recipes = &project.recipes;
    let old = Lock::load(&project.lock_file)?;
    let origins = Origins::new(manifest, &context.environment);
    let mut notes = Vec::new();
    let debian = debian_part(context, manifest, recipes, old.as_ref(), upgrade, &origins, &mut notes)?;
    let agents = agents_part(context, recipes, old.as_ref(), upgrade, &origins, &mut notes)?;
    let npm = npm_part(context, manifest, old.as_ref(), upgrade, &origins, &mut notes)?;
    let binaries = binaries_part(context, manifest, old.as_ref())?;
    // The newest date of the metadata; without Debian, of the newest package.
    let dates = debian.iter().flat_map(|debian| &debian.suites).map(|suite| suite.date).max();
    let packages = agents.iter().flat_map(|agent| agent.packages.values());
    let published = || packages.chain(npm.values().flatten().map(|placement| &placement.package));
    let epoch = dates.or_else(|| published().filter_map(|package| package.published).max());
    let mut lock = Lock {
        version: 1,
        compat: COMPAT,
        epoch: epoch.unwrap_or(place::STILL),
        encoders: compose::encoders(),
        preset: project.preset.clone(),
        request: request::parts(manifest, recipes),
        debian,
        agents,
        npm,
        binaries,
        layers: Vec::new(),
        ledger: BTreeMap::new(),
    };
    fetch::fetch(context, project, &lock, &manifest.platforms)?;
    let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
    for &platform in &manifest.platforms {
        let placed = place::place(context, &lock, recipes, manifest, platform)?;
        for (component, size) in compose::component_sizes(&placed.tree) {
            let largest = sizes.entry(component).or_default();
            *largest = size.max(*largest);
        }
        if !placed.ledger.is_empty() {
            lock.ledger.insert(platform, placed.ledger);
        }
    }
    lock.layers = layers(project, &sizes, old.as_ref());
    let changes = diff::changes(old.as_ref(), &lock);
    Ok(Outcome {
        differs: old.as_ref() != Some(&lock),
        had_lock: old.is_some(),
        components: diff::versions(&lock).len(),
        changes,
        notes,
        written: false,
        lock,
    })
}

/// Which component goes to which layer.
fn layers(project: &Project, sizes: &BTreeMap<String, u64>, old: Option<&Lock>) -> Vec<LockedLayer> {
    let manifest = &project.manifest;
    let runtime = |name: &str| {
        project.recipes.iter().any(|recipe| recipe.name == name && recipe.kind == RecipeKind::Runtime)
    };
    let sizes: Vec<ComponentSize> = sizes
        .iter()
        .map(|(component, &bytes)| ComponentSize {
            component: component.as_str().into(),
            bytes,
            volatility: match component.split_once('/') {
                Some(("agent", name)) if runtime(name) => Volatility::Weekly,
                Some(("agent", _)) => Volatility::Volatile,
                Some(("npm" | "binary", _)) => Volatility::Weekly,
                _ => Volatility::Stable,
            },
            sharing: if manifest.layers.alone.contains(component) { Sharing::Alone } else { Sharing::Auto },
        })
        .collect();
    let previous = old.map(|lock| plan::Assignment {
        layers: lock
            .layers
            .iter()
            .map(|layer| plan::LayerPlan { name: layer.name.clone(), components: layer.components.clone() })
            .collect(),
    });
    plan::Assignment::new(&sizes, previous.as_ref(), manifest.layers.max)
        .layers
        .into_iter()
        .map(|layer| LockedLayer { name: layer.name, components: layer.components })
        .collect()
}

fn debian_part(
    context: &Context,
    manifest: &Manifest,
    recipes: &[Recipe],
    old: Option<&Lock>,
    upgrade: &Upgrade,
    origins: &Origins<'_>,
    notes: &mut Vec<String>,
) -> Result<Option<LockedDebian>, ResolveError> {
    let Some(wanted) = &manifest.debian else {
        return match recipes.iter().find(|recipe| !recipe.debian.is_empty()) {
            // An executable alone, as `FROM scratch`: allowed, but only when nothing is missing by the recipe's own word.
            Some(recipe) if manifest.user.is_some() => {
                Err(ResolveError::NoDebian { agent: recipe.name.clone(), packages: recipe.debian.clone() })
            }
            _ => Ok(None),
        };
    };
    let mut packages = wanted.packages.clone();
    for needed in recipes.iter().flat_map(|recipe| &recipe.debian) {
        let there = |package: &String| package.split('=').next() == Some(needed);
        if !packages.iter().any(there) {
            packages.push(needed.clone());
        }
    }
    let request = debian::Request {
        suites: wanted.suites.clone(),
        components: wanted.components.clone(),
        base: match wanted.base {
            manifest::Base::Minbase => debian::Base::Minbase,
            manifest::Base::Essential => debian::Base::Essential,
            manifest::Base::None => debian::Base::None,
        },
        packages,
        recommends: if wanted.recommends { debian::Recommends::Install } else { debian::Recommends::Skip },
        platforms: manifest.platforms.clone(),
    };
    let old = old.and_then(|lock| lock.debian.as_ref());
    let previous = debian::Previous {
        suites: old.map(|debian| debian.suites.clone()).unwrap_or_default(),
        packages: old.map(|debian| debian.packages.clone()).unwrap_or_default(),
        upgrade: match upgrade {
            Upgrade::Nothing => debian::Upgrade::Keep,
            Upgrade::Only(names) => debian::Upgrade::Names(names.clone()),
            Upgrade::All => debian::Upgrade::All,
        },
    };
    let item = format!("Debian {}", wanted.suites.join(", "));
    context.reporter.begin(Stage::Resolve, &item, None);
    let resolution = origins.resolve_debian(context, &request, &previous, now());
    context.reporter.end(&item);
    let resolution = resolution?;
    notes.extend(resolution.notes);
    Ok(Some(LockedDebian { suites: resolution.suites, packages: resolution.packages }))
}

fn agents_part(
    context: &Context,
    recipes: &[Recipe],
    old: Option<&Lock>,
    upgrade: &Upgrade,
    origins: &Origins<'_>,
    notes: &mut Vec<String>,
) -> Result<Vec<LockedAgent>, ResolveError> {
    let mut locked = Vec::new();
    for recipe in recipes {
        context.reporter.begin(Stage::Resolve, &recipe.title, None);
        let kept = old
            .and_then(|lock| lock.agents.iter().find(|agent| agent.name == recipe.name))
            .filter(|_| !upgrade.moves(&recipe.name));
        let resolved = origins.resolve_agent(context, recipe, kept, now());
        context.reporter.end(&recipe.title);
        let (agent, told) =
            resolved.map_err(|source| ResolveError::Npm { what: recipe.title.clone(), source })?;
        notes.extend(told);
        locked.push(agent);
    }
    Ok(locked)
}

fn npm_part(
    context: &Context,
    manifest: &Manifest,
    old: Option<&Lock>,
    upgrade: &Upgrade,
    origins: &Origins<'_>,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<Platform, Vec<npm::Placement>>, ResolveError> {
    if manifest.npm.packages.is_empty() {
        return Ok(BTreeMap::new());
    }
    context.reporter.begin(Stage::Resolve, "npm packages", None);
    let locked =
        old.into_iter().flat_map(|lock| lock.npm.values().flatten()).map(|placement| &placement.package);
    let kept = npm::tree::Kept::new(locked.filter(|package| !upgrade.moves(&package.name)));
    let resolved = origins.resolve_npm(context, &kept, now());
    context.reporter.end("npm packages");
    let resolved = resolved.map_err(|source| ResolveError::Npm { what: "npm packages".into(), source })?;
    notes.extend(resolved.notes);
    for script in resolved.scripts {
        notes.push(format!(
            "{} {}: `{}` is left out: {}",
            script.package, script.version, script.script, script.reason
        ));
    }
    Ok(resolved.placements)
}

/// Programs by URL: what is locked for the same address stays; anything else is fetched to learn its digest.
fn binaries_part(
    context: &Context,
    manifest: &Manifest,
    old: Option<&Lock>,
) -> Result<BTreeMap<Platform, Vec<LockedBinary>>, ResolveError> {
    let mut locked: BTreeMap<Platform, Vec<LockedBinary>> = BTreeMap::new();
    for wanted in &manifest.binaries {
        let urls = wanted.url.iter().map(|(name, url)| (name.0, url.replace("{version}", &wanted.version)));
        let mut sha256 = BTreeMap::new();
        for (name, hex) in &wanted.sha256 {
            let digest = Digest::from_hex(Algorithm::Sha256, hex)
                .map_err(|source| ResolveError::Digest { name: wanted.name.clone(), source })?;
            sha256.insert(name.0, digest);
        }
        let request = BinaryRequest {
            name: wanted.name.clone(),
            version: wanted.version.clone(),
            urls: urls.collect(),
            sha256,
            format: binary::BinaryFormat::Auto,
            members: Vec::new(),
        };
        for &platform in manifest.platforms.iter().filter(|platform| request.urls.contains_key(platform)) {
            let previous = old.and_then(|lock| lock.binaries.get(&platform)).into_iter().flatten();
            let previous = previous.into_iter().find(|binary| binary.name == wanted.name);
            let http = context.http().map_err(OriginError::from)?;
            let file = binary::lock(http, &context.store, &request, platform, previous, &*context.reporter)?;
            locked.entry(platform).or_default().push(file);
        }
    }
    Ok(locked)
}
