//! `copy`: an image from any place to any other.
//!
//! **Guarantees**: digests stay what they were, except in a Docker archive, which holds one platform under a configuration's digest and
//! zstd layers as plain tars; the image has its name at the other place when all of it is there.
//! **Refuses**: what a push refuses, where the other place is a registry.

use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_image::Place;
use pinfold_image::Reference;
use pinfold_image::export::Selection;
use pinfold_image::export::export;
use pinfold_image::export::known_name;
use pinfold_image::export::selection;
use pinfold_image::location::LocationKind;
use pinfold_image::model::media::Family;
use pinfold_image::registry::push::Sent;
use pinfold_image::sink;
use pinfold_image::store::Upstream;
use serde::Serialize;

use super::error::ShipError;
use super::find::Finding;
use super::find::Pull;
use super::find::find;
use super::pull::Platforms;
use super::push;
use super::push::Destination;
use crate::context::Context;

/// What of an image is copied, and under which conditions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// This platform alone; all of them unless said.
    pub platform: Option<Platform>,
    /// What a platform may weigh in a registry, in bytes.
    pub budget: Option<u64>,
}

/// What was copied.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Copied {
    /// Where from.
    pub from: String,
    /// Where to.
    pub to: String,
    /// Its index or manifest there.
    pub digest: Digest,
    /// The platforms of that.
    pub platforms: Vec<Platform>,
    /// What was sent, where the other place is a registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sent: Option<Sent>,
}

/// Copies an image.
pub fn copy(context: &Context, from: &Place, to: &Place, options: Options) -> Result<Copied, ShipError> {
    let finding = Finding { pull: Pull::Never, platforms: Platforms::All };
    let source = find(context, &from.to_string(), finding)?;
    // Before anything has a name: this may be refused.
    let platforms = match options.platform {
        Some(platform) => vec![platform],
        None => source.carried()?,
    };
    let copied =
        |digest, sent| Copied { from: from.to_string(), to: to.to_string(), digest, platforms, sent };
    match to {
        Place::Store(reference) => {
            let chosen = options.platform.map_or(Selection::All, Selection::One);
            let root = chosen.root(&source)?;
            let whole = source.root().digest.clone();
            let upstream = Upstream { index: (whole != root.digest).then_some(whole), resolved: None };
            let store = context.images()?;
            sink::copy(source.blobs(), &root, store.receive(reference, upstream, &*context.reporter))?;
            Ok(copied(root.digest, None))
        }
        Place::Location(location) => {
            let chosen = selection(&source, location, options.platform)?;
            let called = known_name(source.root());
            let mut location = location.clone();
            if location.tag.is_none() && location.kind != LocationKind::Oci {
                // `podman load` and `docker load` name what they load after this.
                location.tag.clone_from(&called);
            }
            if location.kind != LocationKind::DockerArchive
                && Family::of(&source.root().media_type) == Some(Family::Docker)
            {
                context.reporter.note(
                    "the image is in Docker's words, which podman and skopeo find in a `docker-archive:` and not here",
                );
            }
            let root = export(&source, chosen, &location, called.as_deref(), &*context.reporter)?;
            let of = copied(root.digest, None);
            Ok(match chosen {
                Selection::One(platform) => Copied { platforms: vec![platform], ..of },
                Selection::All => of,
            })
        }
        Place::Registry(reference) => {
            let destination = Destination::of(reference.clone())?;
            let options = push::Options {
                platform: options.platform,
                budget: options.budget,
                mount_from: mount_from(from, reference),
                // It stays whoever's it was: signing is for `push`.
                sign: None,
                bill: push::Bill::Leave,
                repeat: push::Repeat::Leave,
            };
            let pushed = push::push(context, &source, &destination, &options)?;
            Ok(copied(pushed.digest, Some(pushed.sent)))
        }
    }
}

/// The repository that has the blobs already, where both are of one registry.
fn mount_from(from: &Place, to: &Reference) -> Vec<String> {
    match from {
        Place::Registry(from) if from.registry() == to.registry() => {
            vec![from.repository().to_owned()]
        }
        _ => Vec::new(),
    }
}
