//! From a lock and fetched archives to one tree per platform, every node owned by one component.
//!
//! ```text
//! archives ─► decoded ─► sources, in the order of their list ─► the user's files ─► parents, times, set-id bits ─► Tree
//! ```
//!
//! **Guarantees**: the user's own entries win where [`overlay`] says so; what is placed follows links to directories, such as
//! those of the merged `/usr`; every directory has the time [`STILL`], but for those in a store ([`Placed::stores`]).
//! **Refuses**: two components that claim one path ([`ConflictError`] names both).

use std::collections::BTreeSet;
use std::io;
use std::sync::Mutex;
use std::sync::PoisonError;

use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::NodeKind;
use pinfold_archive::decoded::Format;
use pinfold_archive::decoded::Shadowed;
use pinfold_archive::tree::ConflictError;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::report::Running;
use pinfold_base::report::Stage;

use crate::build::bits;
use crate::build::bits::BitsError;
use crate::build::contract;
use crate::build::local;
use crate::build::local::LocalError;
use crate::build::overlay;
use crate::build::overlay::OverlayError;
use crate::build::parallel;
use crate::context::Context;
use crate::project::Project;
use crate::project::lock::Lock;
use crate::project::manifest::environment::Under;
use crate::project::manifest::environment::environment;
use crate::sources;
use crate::sources::Laying;
use crate::sources::Placed;
use crate::sources::Placing;
use crate::sources::STILL;
use crate::sources::SourceError;

/// Why a tree cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// A source cannot place its part.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A file of the user's cannot be placed.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// An entry of the user's cannot be laid over the rest.
    #[error(transparent)]
    Overlay(#[from] OverlayError),
    /// The policy on set-id bits cannot be followed.
    #[error(transparent)]
    Bits(#[from] BitsError),
    /// What was placed cannot be read back.
    #[error("cannot read what was placed")]
    Read(#[from] io::Error),
    /// Two components claim one path.
    #[error(transparent)]
    Conflict(#[from] ConflictError),
}

impl Diagnose for PlaceError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Source(error) => Diagnosis::Inner(error),
            Self::Local(error) => Diagnosis::Inner(error),
            Self::Overlay(error) => Diagnosis::Inner(error),
            Self::Bits(error) => Diagnosis::Inner(error),
            Self::Read(error) => Diagnosis::Inner(error),
            Self::Conflict(_) => Diagnosis::Own(Kind::Usage),
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Conflict(_) => {
                Some("leave one of the two components out, or place the file elsewhere".into())
            }
            _ => None,
        }
    }
}

/// What a machine is called in a sandbox.
pub(crate) const HOSTNAME: &str = "pinfold";

/// Decodes every archive of a platform that is not decoded yet, on all threads. Gives what the user should know of them.
fn decode(context: &Context, lock: &Lock, platform: Platform) -> Result<Vec<String>, PlaceError> {
    let notes = Mutex::new(BTreeSet::new());
    let archives = lock.archives(platform);
    let sizes: Vec<u64> = archives.iter().map(|archive| context.store.size(archive.digest)).collect();
    let item = format!("files of {platform}");
    let whole = Running::begin(&*context.reporter, Stage::Place, item, Some(sizes.iter().sum()));
    let archives: Vec<_> = archives.into_iter().zip(sizes).collect();
    parallel::each(context.threads, &archives, |(archive, size)| {
        let part = whole.part(Some(*size));
        let listing =
            sources::listing(context, &archive.what, archive.digest, archive.format, &|n| part.count(n))?;
        part.done();
        let told = listing.shadowed.iter().filter_map(Shadowed::note);
        let told = told.map(|note| format!("{}: {note}", archive.what));
        notes.lock().unwrap_or_else(PoisonError::into_inner).extend(told);
        Ok::<_, PlaceError>(())
    })?;
    Ok(notes.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect())
}

/// The whole tree of one platform, root and parents included.
pub fn place(
    context: &Context,
    project: &Project,
    lock: &Lock,
    platform: Platform,
) -> Result<Placed, PlaceError> {
    let manifest = &project.manifest;
    let told = decode(context, lock, platform)?;
    let mut placed = Placed { notes: told, ..Placed::default() };
    for (_, source) in sources::ALL {
        let below = placed.below.as_deref();
        let part =
            source.place(&Placing { context, project, lock, platform, below, before: &placed.tree })?;
        match part.laying {
            Laying::Beside if placed.tree.is_empty() => placed.tree = part.tree,
            Laying::Beside => placed.tree.merge(part.tree)?,
            Laying::Whole => placed.tree = part.tree,
        }
        placed.ledger.extend(part.ledger);
        placed.notes.extend(part.notes);
        placed.yields.extend(part.yields);
        placed.stores.extend(part.stores);
        placed.below = placed.below.or(part.below);
    }
    let Placed { mut tree, ledger, mut notes, yields, stores, below, .. } = placed;
    let base = Component::generated("base");
    tree.complete(&base, STILL)?;
    let own = local::tree(project, platform, lock.epoch, &context.store)?;
    for (path, node) in own.iter() {
        if let NodeKind::File(Content::Range { archive, .. }) = &node.kind {
            sources::listing(context, &path.to_string(), archive, Format::Raw, &|_| ())?;
        }
    }
    let replaced = overlay::lay(&mut tree, own, &local::replacing(project, platform), &yields)?;
    notes.extend(
        replaced
            .iter()
            .filter(|one| one.of.as_str().starts_with("debian/"))
            .map(|one| format!("`{}` is as the manifest says, not as `{}` ships it", one.path, one.of)),
    );
    local::hosts(&mut tree, &base, HOSTNAME)?;
    // A manifest whose variables cannot be worked out has been refused when it was read.
    let variables = environment(
        &manifest.image.env,
        &project.recipes,
        &Under::of(below.as_deref()),
        &sources::folders(&manifest.sources),
    );
    let variables = variables.unwrap_or_default();
    if let Some(path) = variables.get("PATH") {
        local::login_path(&mut tree, &base, path)?;
    }
    contract::lay(&mut tree, &context.decoded, project, lock, platform)?;
    tree.complete(&base, STILL)?;
    let kept = |path: &ImagePath| stores.iter().any(|store| path != store && path.starts_with(store));
    for (_, node) in tree.iter_mut().filter(|(path, node)| node.is_directory() && !kept(path)) {
        node.meta.mtime = STILL;
    }
    notes.extend(bits::settle(&mut tree, manifest)?);
    Ok(Placed { tree, ledger, notes, yields, stores, below, ..Placed::default() })
}

#[cfg(test)]
mod tests;
