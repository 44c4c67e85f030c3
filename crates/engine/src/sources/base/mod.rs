//! The image that this one is built on: `[base]`.
//!
//! ```text
//! manifest   [base] image = "registry.example/team/node:22", or an OCI layout, an OCI or a Docker archive
//! lock       [base] name, digest; for each platform its manifest, its configuration and its layers with their diff_ids
//! image      the base's layers as they are, below ours; its tree is the one that all others are laid on
//! ```
//!
//! It is the first source because everything stands on it. Its layers are archives as others are: fetched, vendored and decoded
//! by the one list.
//!
//! **Guarantees**: the user's rules let the base in before anything of it is unpacked, at a lock and at each build; a tag is looked up when a lock is made and never again; what a layer decodes to has the digest that the base's
//! configuration promises.
//! **Refuses**: what [`pinfold_image::Base`] does, platforms that the base lacks, what [`tree`] refuses.

mod find;
mod section;
mod tree;

use std::collections::BTreeMap;

use pinfold_archive::Component;
use pinfold_archive::Tree;
use pinfold_archive::decoded::Format;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::Reporter;
use pinfold_base::http;
use pinfold_base::report::Running;
use pinfold_base::report::Stage;
use pinfold_base::store::Expected;
use pinfold_image::Base;
use pinfold_image::model::Descriptor;
use pinfold_image::plan::Volatility;

pub use section::BaseFile;
pub use section::BaseRequest;
pub use section::LockedBase;
pub use section::Place;

use self::section::LockedBlob;
use self::section::LockedImage;
use super::Archive;
use super::Asking;
use super::Date;
use super::Locate;
use super::Placed;
use super::Placing;
use super::Remotes;
use super::Source;
use super::SourceError;
use super::Trust;
use super::json;
use crate::context::Environment;
use crate::project::Project;
use crate::project::lock::Lock;

/// How the name of its component begins.
pub(super) const PREFIX: &str = "base";

/// An image to build on.
#[derive(Clone, Copy, Debug)]
pub struct BaseImage;

/// What an image stands on, for one platform.
#[derive(Clone, Debug, PartialEq)]
pub struct Below {
    /// Its layers and its configuration.
    pub image: Base,
    /// What its layers make.
    pub tree: Tree,
    /// The component that all of it is.
    pub component: Component,
    /// As the manifest names it.
    pub name: String,
    /// Digest of its manifest.
    pub manifest: Digest,
}

/// A layer decodes to something else than was promised.
#[derive(Debug, thiserror::Error)]
#[error("{what} decodes to {found}, and its configuration promises {promised}")]
struct WrongDiffId {
    what: String,
    found: String,
    promised: Digest,
}

impl Diagnose for WrongDiffId {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Integrity)
    }

    fn own_hint(&self) -> Option<String> {
        Some("no reader takes such an image: ask whoever publishes the base".into())
    }
}

/// The lock is not of the image that it names.
#[derive(Debug, thiserror::Error)]
#[error("the lock has other parts of the base `{image}` than the base itself")]
struct OtherParts {
    image: String,
}

impl Diagnose for OtherParts {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Integrity)
    }

    fn own_hint(&self) -> Option<String> {
        Some("the lock was changed by hand: `pinfold lock --upgrade` makes it anew".into())
    }
}

/// A layer that cannot be applied.
#[derive(Debug, thiserror::Error)]
#[error("{what} cannot be applied: `{path}`: {reason}")]
struct Unfit {
    what: String,
    path: ImagePath,
    reason: &'static str,
}

impl Diagnose for Unfit {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Integrity)
    }
}

impl Source for BaseImage {
    fn prefix(&self) -> &'static str {
        PREFIX
    }

    fn names(&self, project: &Project) -> Vec<String> {
        project.manifest.sources.base.iter().map(BaseRequest::name).collect()
    }

    fn request(&self, project: &Project) -> Option<String> {
        json(&project.manifest.sources.base.as_ref()?.image)
    }

    fn trusts(&self, project: &Project, _: &Environment) -> Vec<Trust> {
        project.manifest.sources.base.iter().map(|base| Trust::Base(base.image.clone())).collect()
    }

    /// What is locked for the same name stays.
    fn resolve(&self, asking: &Asking<'_>, lock: &mut Lock) -> Result<Vec<String>, SourceError> {
        let Remotes { context, project, .. } = asking.remotes;
        let Some(request) = &project.manifest.sources.base else { return Ok(Vec::new()) };
        let platforms = &project.manifest.platforms;
        let old = asking.old.filter(|old| old.request.get(PREFIX) == lock.request.get(PREFIX));
        let old = old.and_then(|old| old.base.as_ref());
        let kept = old.filter(|old| {
            !asking.upgrade.moves(&request.component())
                && platforms.iter().all(|platform| old.platforms.contains_key(platform))
        });
        if let Some(old) = kept {
            lock.base = Some(old.clone());
            return Ok(Vec::new());
        }
        let running = Running::begin(&*context.reporter, Stage::Resolve, &request.image, None);
        let found = find::image(asking.remotes, request)?;
        let mut locked = LockedBase {
            name: request.name(),
            root: LockedBlob::of(found.root()),
            platforms: BTreeMap::new(),
        };
        for &platform in platforms {
            let image = found.image(platform).map_err(SourceError::of)?;
            let manifest = image.manifest.descriptor();
            let base = Base::of(&request.image, image).map_err(SourceError::of)?;
            locked.platforms.insert(platform, LockedImage::of(&manifest, &base));
        }
        drop(running);
        lock.base = Some(locked);
        Ok(Vec::new())
    }

    /// What changes of it is little, and nobody knows it before it is placed.
    fn bytes(&self, _: &Asking<'_>, lock: &Lock) -> Result<BTreeMap<String, u64>, SourceError> {
        Ok(lock.base.iter().map(|base| (format!("{PREFIX}/{}", base.name), 0)).collect())
    }

    fn archives<'a>(&self, lock: &'a Lock, platform: Platform) -> Vec<Archive<'a>> {
        let Some(base) = &lock.base else { return Vec::new() };
        let Some(image) = base.platforms.get(&platform) else { return Vec::new() };
        let version = base.root.digest.short();
        let archive = |what: String, part: Descriptor, digest: &'a Digest, format| Archive {
            component: format!("{PREFIX}/{}", base.name),
            version: version.clone(),
            what,
            digest,
            size: Some(part.size),
            format,
            origin: Box::new(InImage(part)),
        };
        let documents =
            [(&base.root, "index"), (&image.manifest, "manifest"), (&image.config, "configuration")];
        let documents = documents.into_iter().map(|(blob, kind)| {
            let what = format!("the {kind} of the base {} {version} ({platform})", base.name);
            archive(what, blob.descriptor(), &blob.digest, Format::Raw)
        });
        let layers = image.layers.iter().enumerate().map(|(number, layer)| {
            let part = Descriptor::new(&layer.media_type, layer.digest.clone(), layer.size);
            archive(layer_name(base, number, platform), part, &layer.digest, Format::Layer)
        });
        let mut seen = std::collections::BTreeSet::new();
        documents.chain(layers).filter(|archive| seen.insert(archive.digest)).collect()
    }

    fn date(&self, _: &Lock) -> Option<Date> {
        None
    }

    fn place(&self, placing: &Placing<'_>) -> Result<Placed, SourceError> {
        let Some(request) = &placing.project.manifest.sources.base else { return Ok(Placed::default()) };
        let missing = || SourceError::not_locked(request.component(), placing.platform);
        let locked = placing.lock.base.as_ref().ok_or_else(missing)?;
        let image = locked.platforms.get(&placing.platform).ok_or_else(missing)?;
        let component = Component::new(PREFIX, &locked.name);
        let source = find::locked(placing.context, request, &locked.root.descriptor())?;
        let found = source.image(placing.platform).map_err(SourceError::of)?;
        let manifest = found.manifest.descriptor();
        let base = Base::of(&request.image, found).map_err(SourceError::of)?;
        // What was let in is the index: whatever else the lock says must come of it.
        if LockedImage::of(&manifest, &base) != *image {
            return Err(SourceError::of(OtherParts { image: request.image.clone() }));
        }
        let mut layers = tree::Layers::new(&component);
        for (number, layer) in image.layers.iter().enumerate() {
            let what = layer_name(locked, number, placing.platform);
            let listing = placing.listing(&what, &layer.digest, Format::Layer)?;
            let found = listing.whole.as_ref().map(|whole| &whole.digest);
            if found != Some(&layer.diff_id) {
                let found = found.map(ToString::to_string).unwrap_or_default();
                let promised = layer.diff_id.clone();
                return Err(SourceError::of(WrongDiffId { what, found, promised }));
            }
            layers
                .apply(&listing.data)
                .map_err(|wrong| SourceError::of(Unfit { what, path: wrong.path, reason: wrong.reason }))?;
        }
        let tree = layers.finish();
        let below = Below {
            image: base,
            tree: tree.clone(),
            component,
            name: request.image.clone(),
            manifest: manifest.digest,
        };
        Ok(Placed { tree, below: Some(Box::new(below)), ..Placed::default() })
    }

    fn summary(&self, components: &[(&str, &str)]) -> String {
        let each = components.iter().map(|(name, version)| format!("{name} {version} as the base"));
        each.collect::<Vec<_>>().join(", ")
    }

    fn volatility(&self, _: &Project, _: &str) -> Volatility {
        Volatility::Stable
    }
}

impl Below {
    /// Whether it has a database of dpkg's, and not only what scanners read.
    pub fn has_dpkg(&self) -> bool {
        ImagePath::new("var/lib/dpkg/status").is_ok_and(|status| self.tree.content(&status).is_some())
    }
}

/// What a lock's base is on a platform, for sources that choose by it; fetched where it is not here. `None` without a base.
pub fn below(
    remotes: &Remotes<'_>,
    lock: &Lock,
    platform: Platform,
) -> Result<Option<Box<Below>>, SourceError> {
    let Remotes { context, project, .. } = remotes;
    for archive in BaseImage.archives(lock, platform) {
        let expected = Expected { digest: archive.digest.clone(), size: archive.size };
        if !context.store.holds(&expected) {
            let running = Running::begin(&*context.reporter, Stage::Fetch, &archive.what, archive.size);
            archive.origin.bring(remotes, &archive.what, &*context.reporter).transpose()?;
            drop(running);
        }
    }
    let placing = Placing { context, project, lock, platform, below: None, before: &Tree::new() };
    Ok(BaseImage.place(&placing)?.below)
}

/// What a layer is called in messages.
fn layer_name(base: &LockedBase, number: usize, platform: Platform) -> String {
    format!("layer {} of the base {} {} ({platform})", number + 1, base.name, base.root.digest.short())
}

/// A part of the base.
struct InImage(Descriptor);

impl Locate for InImage {
    fn locate(&self, _: &Remotes<'_>) -> Result<Vec<http::Source>, SourceError> {
        Ok(Vec::new())
    }

    fn bring(
        &self,
        remotes: &Remotes<'_>,
        what: &str,
        reporter: &dyn Reporter,
    ) -> Option<Result<(), SourceError>> {
        let request = remotes.project.manifest.sources.base.as_ref()?;
        Some(find::bring(remotes, request, &self.0, what, reporter))
    }
}

#[cfg(test)]
mod tests;
