//! Programs that are built on the host before they are locked: `[[build]]`.
//!
//! ```text
//! worker = true                   the worker that pinfold carries (`carried`); nothing is run
//! pinfold = true                  pinfold itself (`itself`); likewise
//! cargo | go | command + output   a tool of this machine (`tool`), outside of any sandbox, after the user's word (`make`)
//!    └─► store, by SHA-256 ─► [builds] of the lock: path, SHA-256 and size for each platform ─► component `build/PATH`
//! ```
//!
//! When a tool is run: by `pinfold lock` always; by another verb that makes the lock or brings it up to date, only for an entry of
//! which that lock has nothing; never with `--locked` or `--offline`, and by nothing else. A lock of another machine's, whose program
//! is not here, is built again by `pinfold lock`, and what comes out must be what is locked, unless `--upgrade` says otherwise.
//!
//! **Guarantees**: what is placed has the SHA-256 that is locked. **Refuses**: what is no program of the platform.

mod carried;
mod itself;
mod make;
mod section;
#[cfg(test)]
mod tests;
mod tool;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use pinfold_archive::Component;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::Tree;
use pinfold_archive::decoded::Format;
use pinfold_archive::decoded::MemberKind;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::Reporter;
use pinfold_base::http;
use pinfold_base::store::Expected;
use pinfold_base::text;
use pinfold_image::plan::Volatility;

pub use self::section::Build;
pub use self::section::BuildFile;
pub use self::section::By;
pub use self::section::LockedBuild;
pub use self::section::Made;
use super::Archive;
use super::Asking;
use super::Date;
use super::Locate;
use super::Making;
use super::Placed;
use super::Placing;
use super::Remotes;
use super::STILL;
use super::Section;
use super::Source;
use super::SourceError;
use super::Trust;
use super::json;
use crate::context::Context;
use crate::context::Environment;
use crate::context::Network;
use crate::project::Project;
use crate::project::lock::Lock;
use crate::project::manifest::ManifestError;

/// How the names of its components begin.
const PREFIX: &str = "build";

/// Programs of the user's own sources, and the worker.
#[derive(Clone, Copy, Debug)]
pub struct Builds;

/// A locked program is not to be had.
#[derive(Debug, thiserror::Error)]
enum BuildError {
    /// It was built on another machine, or removed here.
    #[error(
        "`{path}` for {platform} was built with {by}, and what came out ({sha256}) is not on this machine"
    )]
    Absent { path: String, platform: Platform, by: &'static str, sha256: Digest },
    /// Something else comes out.
    #[error("`{path}` for {platform} is {locked} in the lock, and this machine builds {built}")]
    Differs { path: String, platform: Platform, locked: Digest, built: Digest },
    /// It was never built, and nothing may be run.
    #[error("`{path}` is not built yet, and `--offline` runs no tool of this machine")]
    Offline { path: String },
}

impl Diagnose for BuildError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Differs { .. } => Kind::Integrity,
            Self::Absent { .. } | Self::Offline { .. } => Kind::Usage,
        })
    }

    fn own_hint(&self) -> Option<String> {
        Some(match self {
            Self::Absent { .. } => {
                "`pinfold lock` builds it again, by tools of this machine; or name kept inputs with `--vendor DIR`".into()
            }
            Self::Differs { path, .. } => format!(
                "the sources or the tools differ from those that were locked: `pinfold lock --upgrade {}` takes what this machine builds",
                text::word(format!("{PREFIX}{path}"))
            ),
            Self::Offline { .. } => "run `pinfold lock` once without `--offline`".into(),
        })
    }
}

impl Section for Builds {
    type Typed = Vec<BuildFile>;
    type Request = Vec<Build>;
    type Locked = BTreeMap<Platform, Vec<LockedBuild>>;

    fn overlaid(mut preset: Self::Typed, over: Self::Typed) -> Self::Typed {
        preset.retain(|old| !over.iter().any(|new| old.path == new.path));
        preset.extend(over);
        preset
    }

    fn meaning(typed: Self::Typed, _: &Path) -> Result<Self::Request, ManifestError> {
        section::meaning(typed)
    }

    fn fits(wanted: &Self::Request, platforms: &[Platform]) -> Result<(), ManifestError> {
        let idle = wanted.iter().find(|build| !platforms.iter().any(|platform| build.is_for(*platform)));
        match idle {
            Some(build) => Err(ManifestError::value(
                format!("build `{}`", build.path),
                "its `platforms` name none of the image's",
            )),
            None => Ok(()),
        }
    }
}

impl Source for Builds {
    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn names(&self, project: &Project) -> Vec<String> {
        project.manifest.sources.build.iter().map(Build::name).collect()
    }

    fn request(&self, project: &Project) -> Option<String> {
        let wanted: Vec<_> = project.manifest.sources.build.iter().map(Build::request).collect();
        if wanted.is_empty() { None } else { json(&wanted) }
    }

    fn trusts(&self, project: &Project, _: &Environment) -> Vec<Trust> {
        let run = project.manifest.sources.build.iter().filter(|build| build.made.runs());
        run.map(|build| Trust::Build(Box::new(build.clone()))).collect()
    }

    fn resolve(&self, asking: &Asking<'_>, lock: &mut Lock) -> Result<Vec<String>, SourceError> {
        let mut notes = Vec::new();
        for &platform in &asking.remotes.project.manifest.platforms {
            let wanted = asking.remotes.project.manifest.sources.build.iter();
            for build in wanted.filter(|build| build.is_for(platform)) {
                let locked = locked(asking, build, platform, &mut notes)?;
                lock.builds.entry(platform).or_default().push(locked);
            }
        }
        Ok(notes)
    }

    fn bytes(&self, _: &Asking<'_>, lock: &Lock) -> Result<BTreeMap<String, u64>, SourceError> {
        // Programs are not compressed where they come from.
        let of = |build: &LockedBuild| (format!("{PREFIX}/{}", build.name()), build.size);
        let all = |platform| lock.builds.get(&platform).into_iter().flatten().map(of).collect();
        Ok(super::largest(all))
    }

    fn archives<'a>(&self, lock: &'a Lock, platform: Platform) -> Vec<Archive<'a>> {
        let archive = |build: &'a LockedBuild| Archive {
            component: format!("{PREFIX}/{}", build.name()),
            // What was built has no other version than what it is.
            version: build.sha256.short(),
            what: format!("{} {} ({platform})", build.path, build.sha256.short()),
            digest: &build.sha256,
            size: Some(build.size),
            format: Format::Raw,
            origin: Box::new(Built { build, platform }),
        };
        lock.builds.get(&platform).into_iter().flatten().map(archive).collect()
    }

    fn date(&self, _: &Lock) -> Option<Date> {
        None
    }

    fn place(&self, placing: &Placing<'_>) -> Result<Placed, SourceError> {
        let Placing { project, lock, platform, .. } = *placing;
        let mut tree = Tree::new();
        for build in project.manifest.sources.build.iter().filter(|build| build.is_for(platform)) {
            let path = build.path.to_string();
            let component = || format!("{PREFIX}/{}", build.name());
            let found = lock.builds.get(&platform).into_iter().flatten().find(|locked| locked.path == path);
            let found = found.ok_or_else(|| SourceError::not_locked(component(), platform))?;
            let listing = placing.listing(&component(), &found.sha256, Format::Raw)?;
            let (uid, gid) = build.owner.ids(project.manifest.user.as_ref());
            let owner = Component::new(PREFIX, &build.name());
            for entry in &listing.data {
                if let MemberKind::File { content } = &entry.kind {
                    let meta = Metadata::root(build.mode.0, STILL).owned_by(uid, gid);
                    tree.add(build.path.0.clone(), Node::file(&owner, meta, content.clone()))?;
                }
            }
        }
        Ok(tree.into())
    }

    fn volatility(&self, _: &Project, _: &str) -> Volatility {
        Volatility::Volatile
    }
}

/// What the lock has of a program from now on.
fn locked(
    asking: &Asking<'_>,
    build: &Build,
    platform: Platform,
    notes: &mut Vec<String>,
) -> Result<LockedBuild, SourceError> {
    let Remotes { context, project, .. } = asking.remotes;
    let path = build.path.to_string();
    let old = asking.old.and_then(|lock| lock.builds.get(&platform)).into_iter().flatten();
    let old = old.into_iter().find(|old| old.path == path && old.made == build.mark());
    let is_here = old.is_some_and(|old| holds(context, old));
    let locked = |sha256, size| LockedBuild {
        path: path.clone(),
        by: build.made.by(),
        made: build.mark(),
        sha256,
        size,
    };
    let moves = asking.upgrade.moves(&format!("{PREFIX}/{}", build.name()));
    if !build.made.runs() {
        let carried = given(context, build.made.by(), platform);
        return match (old, carried) {
            (Some(old), carried)
                if is_here && (asking.making == Making::Missing || carried.is_err()) && !moves =>
            {
                Ok(old.clone())
            }
            (_, Err(error)) => Err(error),
            (_, Ok(bytes)) => {
                let sha256 = context.store.put(&path, &bytes).map_err(SourceError::of)?;
                Ok(locked(sha256, bytes.len() as u64))
            }
        };
    }
    let offline = context.network() == Network::Offline;
    match old {
        Some(old) if offline || (asking.making == Making::Missing && !moves) => return Ok(old.clone()),
        None if offline => return Err(SourceError::of(BuildError::Offline { path })),
        _ => {}
    }
    context.reporter.note(&format!(
        "note: {} is run on this machine, outside of any sandbox, to build `{path}` for {platform}",
        build.made
    ));
    let made = make::make(context, project, build, platform)?;
    let Some(made) = made else { return Err(SourceError::not_locked(path, platform)) };
    if let Some(old) = old.filter(|old| old.sha256 != made.sha256 && !is_here && !moves) {
        let locked = old.sha256.clone();
        return Err(SourceError::of(BuildError::Differs { path, platform, locked, built: made.sha256 }));
    }
    notes.extend(made.note.filter(|note| !notes.contains(note)));
    Ok(locked(made.sha256, made.size))
}

/// What nothing is run for: what this pinfold carries, or is.
fn given(context: &Context, by: By, platform: Platform) -> Result<Cow<'static, [u8]>, SourceError> {
    match by {
        By::Pinfold => itself::program(context, platform).map(Cow::Owned).map_err(SourceError::of),
        _ => carried::worker(context, platform).map_err(SourceError::of),
    }
}

fn holds(context: &Context, build: &LockedBuild) -> bool {
    context.store.holds(&Expected { digest: build.sha256.clone(), size: Some(build.size) })
}

/// A program that was built, or is carried.
struct Built<'a> {
    build: &'a LockedBuild,
    platform: Platform,
}

impl Built<'_> {
    fn absent(&self) -> SourceError {
        SourceError::of(BuildError::Absent {
            path: self.build.path.clone(),
            platform: self.platform,
            by: match self.build.by {
                By::Worker | By::Pinfold => "pinfold",
                By::Cargo => "cargo",
                By::Go => "go",
                By::Command => "a command",
            },
            sha256: self.build.sha256.clone(),
        })
    }

    fn carried(&self, context: &Context) -> Result<(), SourceError> {
        let bytes = given(context, self.build.by, self.platform)?;
        let (platform, locked) = (self.platform, self.build.sha256.clone());
        let carried = Digest::sha256(&bytes);
        if carried != locked {
            return Err(match self.build.by {
                By::Pinfold => SourceError::of(itself::ItselfError::Other { platform, locked, own: carried }),
                _ => SourceError::of(carried::WorkerError::Other { platform, locked, carried }),
            });
        }
        context.store.put(&self.build.path, &bytes).map(drop).map_err(SourceError::of)
    }
}

impl Locate for Built<'_> {
    fn locate(&self, _: &Remotes<'_>) -> Result<Vec<http::Source>, SourceError> {
        Err(self.absent())
    }

    fn bring(&self, remotes: &Remotes<'_>, _: &str, _: &dyn Reporter) -> Option<Result<(), SourceError>> {
        Some(match self.build.by {
            By::Worker | By::Pinfold => self.carried(remotes.context),
            By::Cargo | By::Go | By::Command => Err(self.absent()),
        })
    }
}
