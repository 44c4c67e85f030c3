//! The lock that a verb works with: the one that lies there while it answers the manifest, else one that is made now.
//!
//! **Guarantees**: what is locked and still allowed stays; what is written is told, with the versions that moved. Only a project
//! that was agreed to is locked again, as by `lock` itself.
//! **Refuses**: with [`LockUse::Locked`] whatever would have to be written; always a lock that another pinfold has made for other
//! layers, which no change of the manifest is behind.

use pinfold_base::Platform;

use super::compose;
use super::goal;
use super::resolve;
use super::resolve::Ledger;
use super::resolve::ResolveError;
use crate::consent::Agreed;
use crate::context::Context;
use crate::project::Project;
use crate::project::lock::COMPAT;
use crate::project::lock::Lock;
use crate::project::lock::LockError;
use crate::project::lock::held::Gist;
use crate::project::lock::held::Held;
use crate::project::lock::request;
use crate::sources;
use crate::sources::Making;
use crate::sources::Trust;
use crate::sources::Upgrade;

/// What a verb may do about the lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LockUse {
    /// Make one when there is none, and bring it up to date with the manifest.
    #[default]
    Update,
    /// Fail unless there is one that answers the manifest (`--locked`).
    Locked,
}

/// A lock that answers the manifest.
#[derive(Debug)]
pub struct Settled<'a> {
    /// What a start needs of it.
    pub(super) gist: Gist,
    source: Source<'a>,
    allowed: LockUse,
    /// What the user was told when it was made.
    told: Vec<String>,
}

#[derive(Debug)]
enum Source<'a> {
    /// It was there, and is read whole only when it is needed.
    Held(&'a Held),
    /// It was written now.
    Made(Box<Lock>),
}

impl Settled<'_> {
    /// All of it.
    pub fn lock(&self) -> Result<&Lock, LockError> {
        match &self.source {
            Source::Held(held) => held.lock(),
            Source::Made(lock) => Ok(lock),
        }
    }

    /// Whether the user was told so when it was made.
    pub(super) fn has_told(&self, note: &str) -> bool {
        self.told.iter().any(|told| told == note)
    }

    /// Whether it was written now.
    pub fn is_made(&self) -> bool {
        matches!(self.source, Source::Made(_))
    }

    /// Writes down what stands for install scripts, where a run has left it out, every platform was placed now, and the file is
    /// still this lock.
    pub(super) fn complete(
        &self,
        context: &Context,
        project: &Project,
        placed: &Ledger,
    ) -> Result<(), LockError> {
        let lock = self.lock()?;
        if self.allowed == LockUse::Locked || !lock.ledger.is_empty() {
            return Ok(());
        }
        let mut whole = lock.clone();
        let place = project.lock_place();
        if resolve::complete(&mut whole, &project.manifest.platforms, placed)
            && !whole.ledger.is_empty()
            && Lock::load(&place)?.as_ref() == Some(lock)
        {
            whole.save(&place)?;
            let file = project.lock_file.display();
            context.reporter.note(&format!("`{file}` says now what stands for each install script"));
        }
        Ok(())
    }

    /// Keeps for the next time what a start needs of it.
    pub(super) fn remember(&self, context: &Context, project: &Project) {
        let data = context.home.data();
        match &self.source {
            Source::Held(held) => held.remember(data),
            Source::Made(lock) => {
                let held = Held::new(lock.render(), &project.lock_file);
                if held.gist().is_ok() {
                    held.remember(data);
                }
            }
        }
    }
}

/// The project's lock, written when need be and `allowed`.
pub fn settle<'a>(
    context: &Context,
    project: &'a Agreed<Project>,
    allowed: LockUse,
) -> Result<Settled<'a>, ResolveError> {
    settle_for(context, project, allowed, &project.manifest.platforms)
}

/// The same for a verb that is about `here` alone: the lock is for all platforms, what is fetched for it is not.
pub fn settle_for<'a>(
    context: &Context,
    project: &'a Agreed<Project>,
    allowed: LockUse,
    here: &[Platform],
) -> Result<Settled<'a>, ResolveError> {
    let wanting = match project.inputs.held()? {
        None => LockError::Missing { file: project.lock_file.clone() },
        Some(held) => {
            let gist = held.gist()?;
            match wanting(project, gist) {
                None => {
                    let gist = gist.clone();
                    return Ok(Settled { gist, source: Source::Held(held), allowed, told: Vec::new() });
                }
                Some(wanting) => wanting,
            }
        }
    };
    let file = project.lock_file.display();
    match &wanting {
        LockError::Stale { moved } if allowed == LockUse::Update => {
            let keys: Vec<String> = moved.iter().map(|key| format!("`{key}`")).collect();
            let keys = keys.join(", ");
            context.reporter.note(&format!("{keys} changed since `{file}` was written: locking again"));
        }
        LockError::Missing { .. } if allowed == LockUse::Update => {}
        _ => return Err(wanting.into()),
    }
    // Locking is most of a first build. Without the turn two of them do the same work, and no harm.
    let turn = goal::turn(context, project).ok();
    if turn.as_ref().is_some_and(|turn| turn.waited)
        && let Ok(Some(lock)) = Lock::load(&project.lock_place())
    {
        let gist = Gist::of(&lock);
        if self::wanting(project, &gist).is_none() && agreed_to(context, project, &gist) {
            return Ok(Settled { gist, source: Source::Made(Box::new(lock)), allowed, told: Vec::new() });
        }
    }
    let outcome = resolve::lock_for(context, project, &Upgrade::Nothing, here, Making::Missing)?;
    if outcome.had_lock && !outcome.changes.is_empty() {
        context.reporter.changes(&outcome.changes);
    }
    if outcome.written {
        context.reporter.note(&format!("`{file}` written: {}", outcome.summary()));
    }
    let (gist, told) = (Gist::of(&outcome.lock), outcome.notes);
    Ok(Settled { gist, source: Source::Made(Box::new(outcome.lock)), allowed, told })
}

/// Whether a lock that came while this project was waited for names no address but those that the user was asked about.
fn agreed_to(context: &Context, project: &Agreed<Project>, gist: &Gist) -> bool {
    let trusts = sources::ALL.iter().flat_map(|(_, source)| source.trusts(project, &context.environment));
    let known: Vec<String> = trusts
        .filter_map(|trust| match trust {
            Trust::Address { address, .. } => Some(address),
            _ => None,
        })
        .collect();
    gist.addresses.iter().all(|address| known.contains(address))
}

/// Why the lock that is there cannot be used as it is.
pub(crate) fn wanting(project: &Project, gist: &Gist) -> Option<LockError> {
    let moved = request::moved(&request::parts(project), &gist.request);
    if !moved.is_empty() {
        return Some(LockError::Stale { moved });
    }
    if gist.compat != COMPAT {
        return Some(LockError::Older { locked: gist.compat });
    }
    let ours = compose::encoders();
    (gist.encoders != ours).then(|| LockError::Encoder { locked: gist.encoders.clone(), ours })
}
