//! `lock`: asks archives and registries what exists, and writes down what was found. The only room that does.
//!
//! ```text
//! manifest, recipes ─► each source: what exists, chosen ─► fetch ─► place ─► layers, ledger ─► Lock
//! ```
//!
//! Everything is fetched and placed once, because the lock says what stands for each install script and which component
//! goes to which layer. What is locked and still allowed stays; `--upgrade` moves it.

use std::collections::BTreeMap;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
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
use crate::consent::Agreed;
use crate::context::Context;
use crate::project::Project;
use crate::project::lock::COMPAT;
use crate::project::lock::Lock;
use crate::project::lock::LockError;
use crate::project::lock::Saved;
use crate::project::lock::diff;
use crate::project::lock::diff::Change;
use crate::project::lock::request;
use crate::project::lock::v1::LockedLayer;
use crate::sources;
use crate::sources::Asking;
use crate::sources::Date;
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

/// Why locking failed.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The lock file.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A source found nothing that fits.
    #[error(transparent)]
    Source(#[from] SourceError),
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
            Self::Fetch(error) => error,
            Self::Place(error) => error,
        })
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
    let remotes = Remotes::new(context, project);
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
    let dates = sources::ALL.iter().filter_map(|(_, source)| source.date(&lock));
    lock.epoch = dates.max().map_or(STILL, Date::seconds);
    fetch::fetch(context, project, &lock, &manifest.platforms)?;
    let mut sizes: BTreeMap<String, u64> = BTreeMap::new();
    for &platform in &manifest.platforms {
        let placed = place::place(context, project, &lock, platform)?;
        for note in placed.notes {
            if !notes.contains(&note) {
                notes.push(note);
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
    let changes = diff::changes(old, &lock);
    Ok(Outcome {
        differs: old != Some(&lock),
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
