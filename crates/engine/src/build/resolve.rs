//! `lock`: asks archives and registries what exists, and writes down what was found. The only room that does.
//!
//! ```text
//! manifest, recipes ─► each source: what exists, chosen ─► layers ─► fetch ─► place ─► ledger ─► Lock
//! ```
//!
//! `lock` fetches and places everything once, because that tells what stands for each install script. A run's lock is for all
//! platforms too and is placed for the one that runs: it has no ledger until each of them was placed ([`complete`]). A lock that
//! came out so before is not placed again (`still`). What is locked and still allowed stays; `--upgrade` moves it.
//!
//! **Guarantees**: but for the ledger, a lock does not depend on who placed what: layers are planned by what the lock and the
//! registries say of sizes.
//!
//! **Refuses**: names to move that nothing has, and other bytes for a version that was locked, unless that is what shall move.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use pinfold_archive::Component;
use pinfold_archive::decoded::Format;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_base::text;
use pinfold_image::model::MAX_LAYERS_WRITTEN;
use pinfold_image::plan;
use pinfold_image::plan::ComponentSize;
use pinfold_image::plan::Sharing;
use pinfold_sources::debian::place::LedgerEntry;
use serde::Serialize;

use crate::build::bounds;
use crate::build::compose;
use crate::build::fetch;
use crate::build::fetch::FetchError;
use crate::build::heal::healing;
use crate::build::place;
use crate::build::place::PlaceError;
use crate::build::still;
use crate::consent::Agreed;
use crate::context::Context;
use crate::project::Project;
use crate::project::lock::COMPAT;
use crate::project::lock::Lock;
use crate::project::lock::LockError;
use crate::project::lock::Saved;
use crate::project::lock::diff;
use crate::project::lock::diff::Change;
use crate::project::lock::diff::Replaced;
use crate::project::lock::request;
use crate::project::lock::v1::LockedLayer;
use crate::sources;
use crate::sources::Asking;
use crate::sources::Date;
use crate::sources::Making;
use crate::sources::NoSuch;
use crate::sources::Remotes;
use crate::sources::STILL;
use crate::sources::SourceError;
pub use crate::sources::Upgrade;
use crate::sources::base::LockedBase;

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

impl Outcome {
    fn of(old: Option<&Lock>, lock: Lock, notes: Vec<String>) -> Self {
        Self {
            differs: old.is_none_or(|old| *old != lock && !is_without_ledger(old, &lock)),
            had_lock: old.is_some(),
            components: diff::versions(&lock).len(),
            changes: diff::changes(old, &lock),
            notes,
            written: false,
            lock,
        }
    }

    /// What is locked, in one line: agents and their versions, and how many packages there are beside them.
    pub fn summary(&self) -> String {
        let versions = diff::versions(&self.lock);
        let told = sources::ALL.iter().filter_map(|(_, source)| {
            let own = versions.iter().filter_map(|(component, version)| {
                let (prefix, name) = component.split_once('/')?;
                (prefix == source.prefix()).then_some((name, version.as_str()))
            });
            let own: Vec<(&str, &str)> = own.collect();
            (!own.is_empty()).then(|| source.summary(&own))
        });
        let told: Vec<String> = told.collect();
        if told.is_empty() { "nothing to fetch".into() } else { told.join(", ") }
    }
}

/// Why locking failed.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The lock file.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A source found nothing that fits.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// What shall move is not there.
    #[error(transparent)]
    NoSuch(#[from] NoSuch),
    /// A version that was locked has other bytes now.
    #[error(transparent)]
    Replaced(#[from] ReplacedError),
    /// Fetching.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Placing.
    #[error(transparent)]
    Place(#[from] PlaceError),
}

impl Diagnose for ResolveError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Inner(match self {
            Self::Lock(error) => error,
            Self::Source(error) => error,
            Self::NoSuch(error) => error,
            Self::Replaced(error) => error,
            Self::Fetch(error) => error,
            Self::Place(error) => error,
        })
    }
}

/// Versions that were locked have other bytes now.
#[derive(Debug, thiserror::Error)]
#[error("what was locked was replaced under the same version:")]
pub struct ReplacedError(pub Vec<Replaced>);

impl Diagnose for ReplacedError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Integrity)
    }

    fn lines(&self) -> Vec<Shown> {
        let each = self.0.iter().map(|Replaced { what, locked, found, .. }| {
            shown!("  {what}: {locked} was locked, {found} is there now")
        });
        std::iter::once(Shown::of(self)).chain(each).collect()
    }

    fn own_hint(&self) -> Option<String> {
        let mut names: Vec<String> =
            self.0.iter().map(|replaced| text::word(&replaced.component).to_string()).collect();
        names.dedup();
        Some(format!(
            "it may be an attack: ask whoever publishes it; `pinfold lock --upgrade {}` accepts what is there now",
            names.join(" ")
        ))
    }
}

/// Whether `old` is `new` but for the ledger that a run has left out.
fn is_without_ledger(old: &Lock, new: &Lock) -> bool {
    old.ledger.is_empty() && *old == Lock { ledger: BTreeMap::new(), ..new.clone() }
}

/// Seconds since the epoch: for checking validity and ages, never for anything that is written.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs())
}

/// Resolves the project and writes its lock.
pub fn lock(
    context: &Context,
    project: &Agreed<Project>,
    upgrade: &Upgrade,
) -> Result<Outcome, ResolveError> {
    lock_for(context, project, upgrade, &project.manifest.platforms, Making::Anew)
}

/// The same for a verb that is about `here` alone: nothing of another platform is fetched.
pub(super) fn lock_for(
    context: &Context,
    project: &Agreed<Project>,
    upgrade: &Upgrade,
    here: &[Platform],
    making: Making,
) -> Result<Outcome, ResolveError> {
    let mut outcome = healing(context, || resolve(context, project, upgrade, here, making))?;
    for note in &outcome.notes {
        context.reporter.note(&format!("note: {note}"));
    }
    outcome.written = outcome.lock.save(&project.lock_place())? == Saved::Written;
    bounds::keep(context);
    Ok(outcome)
}

/// Resolves anew and compares; writes nothing.
pub fn check(context: &Context, project: &Agreed<Project>) -> Result<Outcome, ResolveError> {
    let all = &project.manifest.platforms;
    healing(context, || resolve(context, project, &Upgrade::All, all, Making::Anew))
}

fn resolve(
    context: &Context,
    project: &Agreed<Project>,
    upgrade: &Upgrade,
    here: &[Platform],
    making: Making,
) -> Result<Outcome, ResolveError> {
    let manifest = &project.manifest;
    let old = project.inputs.lock()?;
    let upgrade = &upgrade.among(project, old)?;
    // What was checked and placed before, and may not move now.
    let known = old.filter(|_| *upgrade == Upgrade::Nothing);
    let known = known.and_then(|old| Some((old, still::recall(context, project, old)?)));
    let remotes = Remotes::resolving(context, project, known.is_some());
    let asking = Asking { remotes: &remotes, old, upgrade, making, now: now() };
    let mut lock = Lock {
        version: 1,
        compat: COMPAT,
        encoders: compose::encoders(),
        preset: project.preset.clone(),
        request: request::parts(project),
        ..Lock::default()
    };
    let mut notes = Vec::new();
    for (_, source) in sources::ALL {
        notes.extend(source.resolve(&asking, &mut lock)?);
    }
    let replaced = old.map(|old| diff::replaced(old, &lock, Some(project))).unwrap_or_default();
    let refused = |replaced: &Replaced| !replaced.typed && !upgrade.moves(&replaced.component);
    let replaced: Vec<Replaced> = replaced.into_iter().filter(refused).collect();
    if !replaced.is_empty() {
        return Err(ReplacedError(replaced).into());
    }
    let dates = sources::ALL.iter().filter_map(|(_, source)| source.date(&lock));
    lock.epoch = dates.max().map_or(STILL, Date::seconds);
    if let Some((old, known)) = known {
        let same = Lock { layers: old.layers.clone(), ledger: old.ledger.clone(), ..lock.clone() };
        if same == *old {
            notes.extend(known.notes);
            return Ok(Outcome::of(Some(old), same, notes));
        }
    }
    let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
    for (_, source) in sources::ALL {
        sizes.extend(source.bytes(&asking, &lock)?);
    }
    fetch::fetch_and_decode(context, project, &lock, here)?;
    let mut ledger = BTreeMap::new();
    let mut placing: Vec<String> = Vec::new();
    for &platform in here {
        let placed = place::place(context, project, &lock, platform)?;
        for note in placed.notes {
            if !notes.contains(&note) && !placing.contains(&note) {
                placing.push(note);
            }
        }
        for (component, size) in compose::component_sizes(&placed.tree) {
            // What no archive brings is generated, and that all goes to one layer.
            sizes.entry(component).or_insert(size);
        }
        ledger.insert(platform, placed.ledger);
    }
    let below = lock.base.iter().flat_map(LockedBase::layers).max().unwrap_or(0);
    lock.layers = layers(project, &sizes, &sources::built_on(&lock), below, old);
    if complete(&mut lock, &manifest.platforms, &ledger) {
        still::remember(context, project, &lock, &placing);
    } else if let Some(old) = old.filter(|old| still_tells(old, &lock, &ledger)) {
        lock.ledger = old.ledger.clone();
    }
    notes.extend(placing);
    Ok(Outcome::of(old, lock, notes))
}

/// What stands for install scripts on each platform that was placed.
pub(super) type Ledger = BTreeMap<Platform, Vec<LedgerEntry>>;

/// Writes down what stands for each install script, once that is known of all `platforms`. Whether it is.
pub(super) fn complete(lock: &mut Lock, platforms: &[Platform], placed: &Ledger) -> bool {
    let whole = platforms.iter().all(|platform| placed.contains_key(platform));
    if whole {
        let some = placed.iter().filter(|(_, entries)| !entries.is_empty());
        lock.ledger = some.map(|(platform, entries)| (*platform, entries.clone())).collect();
    }
    whole
}

/// Whether what stands for install scripts in `old` stands for them in `new` too: the packages are the same, the answers are, and
/// what was `placed` now says so where it was.
fn still_tells(old: &Lock, new: &Lock, placed: &Ledger) -> bool {
    let packages = |lock: &Lock| -> Vec<(Platform, String)> {
        let all = Platform::ALL.into_iter().flat_map(|platform| {
            let archives = lock.archives(platform).into_iter();
            archives.filter(|archive| archive.format == Format::Deb).map(move |archive| (platform, archive))
        });
        all.map(|(platform, archive)| (platform, archive.digest.to_string())).collect()
    };
    let none = Vec::new();
    ["scripts", "debian.debconf"].iter().all(|&key| old.request.get(key) == new.request.get(key))
        && packages(old) == packages(new)
        && placed.iter().all(|(platform, entries)| old.ledger.get(platform).unwrap_or(&none) == entries)
}

/// Which component goes to which layer, above so many of a base.
fn layers(
    project: &Project,
    sizes: &BTreeMap<String, u64>,
    built_on: &BTreeMap<String, BTreeSet<Component>>,
    below: usize,
    old: Option<&Lock>,
) -> Vec<LockedLayer> {
    let manifest = &project.manifest;
    let sizes: Vec<ComponentSize> = sizes
        .iter()
        .map(|(component, &bytes)| ComponentSize {
            component: component.as_str().into(),
            bytes,
            volatility: sources::volatility(project, component),
            sharing: if manifest.layers.alone.contains(component) || sources::is_base(component) {
                Sharing::Alone
            } else {
                Sharing::Auto
            },
            built_on: built_on.get(component).cloned().unwrap_or_default(),
        })
        .collect();
    let previous = old.map(|lock| plan::Assignment {
        layers: lock
            .layers
            .iter()
            .map(|layer| plan::LayerPlan { name: layer.name.clone(), components: layer.components.clone() })
            .collect(),
    });
    plan::Assignment::new(&sizes, previous.as_ref(), manifest.layers.max.min(MAX_LAYERS_WRITTEN - below))
        .layers
        .into_iter()
        .map(|layer| LockedLayer { name: layer.name, components: layer.components })
        .collect()
}

#[cfg(test)]
mod tests;
