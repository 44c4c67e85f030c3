//! The user's word: what a project or an image asks for beyond the defaults, and whether the user agreed.
//!
//! Manifest, recipes, lock and `.npmrc` lie in the workspace, where an agent can write: what they say about the next thing the
//! host does may be the agent's own wish (CVE-2026-25725 is of this kind). So what widens a sandbox, and what makes the host
//! itself fetch or read beyond its own configuration, counts only after the user's word, and the word is kept outside of every
//! workspace ([`record`]). What narrows is free, and an ordinary project asks nothing.
//!
//! ```text
//!   Project, Wishes ─► asks ─► agree (the kept word covers each by its digest) ─► Agreed<Project>, Agreed<Wishes>
//!                           └► Reading ─► accept (the user names its digest: `pinfold policy accept`)
//! ```
//!
//! **Guarantees**: an [`Agreed`] comes out of this room only, and only when every ask of the very value inside was agreed to;
//! what locks, fetches, builds and runs takes nothing else. An ask is held by the digest of everything it means ([`Ask`]).
//! **Refuses**: whatever was not agreed to, and records of another form than today's.
//!
//! Forgetting to ask does not compile:
//!
//! ```
//! # use pinfold_engine::{build, consent, context::Context, project::Project};
//! fn asked(context: &Context, project: Project, options: &build::Options) {
//!     if let Ok(project) = consent::agree(context, project) {
//!         let _ = build::build(context, &project, options);
//!     }
//! }
//! ```
//! ```compile_fail,E0308
//! # use pinfold_engine::{build, consent, context::Context, project::Project};
//! fn forgotten(context: &Context, project: Project, options: &build::Options) {
//!     let _ = build::build(context, &project, options);
//! }
//! ```
//! ```compile_fail,E0423
//! # use pinfold_engine::{consent, project::Project};
//! fn made_up(project: Project) -> consent::Agreed<Project> {
//!     consent::Agreed(project)
//! }
//! ```

mod address;
mod ask;
mod error;
mod reading;
mod record;
mod subject;
mod wishes;

use std::ops::Deref;

pub use self::ask::Ask;
pub use self::ask::Told;
pub use self::ask::Verbs;
pub use self::error::ConsentError;
pub(crate) use self::error::listed;
pub(crate) use self::reading::Part;
pub use self::reading::Reading;
pub use self::subject::Subject;
pub use self::wishes::Wishes;
use crate::context::Context;
use crate::context::Environment;
use crate::project::Project;

/// Something whose every ask the user has agreed to.
#[derive(Debug)]
pub struct Agreed<T>(T);

impl<T> Deref for Agreed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A project that may be locked, fetched and built: each thing that this makes the host fetch or read was agreed to.
pub fn agree(context: &Context, project: Project) -> Result<Agreed<Project>, ConsentError> {
    recall(context, &project);
    record::check(context, Subject::of(&project), &ask::of_project(&context.environment, &project))?;
    Ok(Agreed(project))
}

/// The same for what is run: everything that a project's or image's sandboxes are to have was agreed to as well.
pub fn agree_to_run(
    context: &Context,
    subject: Subject,
    project: Project,
    wishes: Wishes,
) -> Result<(Agreed<Project>, Agreed<Wishes>), ConsentError> {
    recall(context, &project);
    record::check(context, subject, &asks(&context.environment, Some(&project), &wishes))?;
    Ok((Agreed(project), Agreed(wishes)))
}

/// The same for an image that is there.
pub fn agree_to_image(
    context: &Context,
    subject: Subject,
    wishes: Wishes,
) -> Result<Agreed<Wishes>, ConsentError> {
    record::check(context, subject, &asks(&context.environment, None, &wishes))?;
    Ok(Agreed(wishes))
}

/// A lock whose addresses were read before is not read for them again.
fn recall(context: &Context, project: &Project) {
    if let Ok(Some(held)) = project.inputs.held() {
        held.recall(context.home.data());
    }
}

/// Everything that a project asks for, or a run of it or of an image, in a fixed order.
pub fn asks(environment: &Environment, project: Option<&Project>, wishes: &Wishes) -> Vec<Ask> {
    ask::of_run(environment, project, wishes)
}

/// Of what a request asks for, what the user has not agreed to.
pub(crate) fn open(context: &Context, Part { subject, asks }: &Part) -> Vec<Told> {
    let mut told = record::told(context, subject, asks);
    told.retain(|told| !told.agreed);
    told
}

/// The user agrees to everything that a project makes the host itself fetch, read and trust.
pub fn accept(context: &Context, project: Project) -> Result<Agreed<Project>, ConsentError> {
    record::keep(context, &Subject::of(&project), &ask::of_project(&context.environment, &project))?;
    Ok(Agreed(project))
}

#[cfg(test)]
mod tests;
