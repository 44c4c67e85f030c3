//! `lock`: asks archives and registries what exists, and writes down what was found. The only room that does.
//!
//! ```text
//! manifest, recipes ─► each source: what exists, chosen ─► fetch ─► place ─► layers, ledger ─► Lock
//! ```
//!
//! Everything is fetched and placed once, because the lock says what stands for each install script and which component goes to
//! which layer. A lock that came out so before is not placed again (`still`). What is locked and still allowed stays; `--upgrade`
//! moves it.
//!
//! **Refuses**: names to move that nothing has, and other bytes for a version that was locked, unless that is what shall move.

use std::collections::BTreeMap;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_base::text;
use pinfold_image::plan;
use pinfold_image::plan::ComponentSize;
use pinfold_image::plan::Sharing;
use serde::Serialize;

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
use crate::sources::NoSuch;
use crate::sources::Remotes;
use crate::sources::STILL;
use crate::sources::SourceError;
pub use crate::sources::Upgrade;

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
            differs: old != Some(&lock),
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
    let mut outcome = healing(context, || resolve(context, project, upgrade))?;
    for note in &outcome.notes {
        context.reporter.note(&format!("note: {note}"));
    }
    outcome.written = outcome.lock.save(&project.lock_place())? == Saved::Written;
    Ok(outcome)
}

/// Resolves anew and compares; writes nothing.
pub fn check(context: &Context, project: &Agreed<Project>) -> Result<Outcome, ResolveError> {
    healing(context, || resolve(context, project, &Upgrade::All))
}

fn resolve(context: &Context, project: &Agreed<Project>, upgrade: &Upgrade) -> Result<Outcome, ResolveError> {
    let manifest = &project.manifest;
    let old = project.inputs.lock()?;
    let upgrade = &upgrade.among(project, old)?;
    // What was checked and placed before, and may not move now.
    let known = old.filter(|_| *upgrade == Upgrade::Nothing);
    let known = known.and_then(|old| Some((old, still::recall(context, project, old)?)));
    let remotes = Remotes::resolving(context, project, known.is_some());
    let asking = Asking { remotes: &remotes, old, upgrade, now: now() };
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
    let name =
        |component: &str| component.split_once('/').map_or_else(String::new, |(_, name)| name.to_owned());
    let replaced =
        replaced.into_iter().filter(|replaced| !replaced.typed && !upgrade.moves(&name(&replaced.component)));
    let replaced: Vec<Replaced> = replaced.collect();
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
    fetch::fetch(context, project, &lock, &manifest.platforms)?;
    let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
    let mut placing: Vec<String> = Vec::new();
    for &platform in &manifest.platforms {
        let placed = place::place(context, project, &lock, platform)?;
        for note in placed.notes {
            if !notes.contains(&note) && !placing.contains(&note) {
                placing.push(note);
            }
        }
        for (component, size) in compose::component_sizes(&placed.tree) {
            let largest = sizes.entry(component).or_default();
            *largest = size.max(*largest);
        }
        if !placed.ledger.is_empty() {
            lock.ledger.insert(platform, placed.ledger);
        }
    }
    lock.layers = layers(project, &sizes, old);
    still::remember(context, project, &lock, &placing);
    notes.extend(placing);
    Ok(Outcome::of(old, lock, notes))
}

/// Which component goes to which layer.
fn layers(project: &Project, sizes: &BTreeMap<String, u64>, old: Option<&Lock>) -> Vec<LockedLayer> {
    let manifest = &project.manifest;
    let sizes: Vec<ComponentSize> = sizes
        .iter()
        .map(|(component, &bytes)| ComponentSize {
            component: component.as_str().into(),
            bytes,
            volatility: sources::volatility(project, component),
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

#[cfg(test)]
mod tests;
