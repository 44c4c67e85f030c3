//! What differs between two images.

use std::collections::BTreeMap;

use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::contents::Detail;
use pinfold_image::inspect;
use pinfold_image::inspect::LayerSummary;
use pinfold_image::inspect::PlatformSummary;
use pinfold_image::model::RuntimeSection;
use serde::Serialize;

use super::Change;
use super::Folded;
use super::Pair;
use super::Script;
use super::Setting;
use super::files;
use super::files::Files;
use super::folded;
use super::pairs;
use super::scripts;
use super::settings;
use super::versions;
use crate::context::Context;
use crate::describe::side::Side;
use crate::describe::side::origins;
use crate::project::lock::Lock;
use crate::run::LABEL;
use crate::verify::secrets;

/// One of the two images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    /// What it was asked for as.
    pub name: String,
    /// Digest of its index or manifest.
    pub digest: Digest,
}

/// What differs between two images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The first.
    pub from: Named,
    /// The second.
    pub to: Named,
    /// Platforms that the first has alone.
    pub removed: Vec<Platform>,
    /// Platforms that the second has alone.
    pub added: Vec<Platform>,
    /// What differs on platforms that both have; nothing of those that are equal.
    pub platforms: Vec<Folded<PlatformDifference>>,
}

impl Difference {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty() && self.platforms.is_empty()
    }
}

/// What differs on one platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlatformDifference {
    /// Digests of the image manifests.
    pub manifest: Pair<Digest>,
    /// Packages by version.
    pub packages: Vec<Change>,
    /// How it is run.
    pub configuration: Vec<Setting>,
    /// What it asks of its sandbox (`[run]`), key by key.
    pub contract: Vec<Setting>,
    /// Its files.
    pub files: Files,
    /// What weighs more or less.
    pub sizes: Sizes,
    /// Install scripts that did something else, where the locks of both are known.
    pub scripts: Vec<Script>,
}

/// Bytes on both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sizes {
    /// Of all layer blobs.
    pub compressed: Pair<u64>,
    /// Of all layer tars, where every layer says.
    pub uncompressed: Pair<u64>,
    /// Of the files of components that weigh another amount.
    pub components: Vec<ComponentSize>,
    /// Layers that differ.
    pub layers: Vec<LayerChange>,
}

/// What the files of a component weigh.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComponentSize {
    /// Its name.
    pub component: String,
    /// Bytes of its files.
    pub unpacked: Pair<u64>,
    /// Bytes of its layer's blob, where it has one of its own.
    pub compressed: Pair<u64>,
}

/// One layer on both sides, known by what is in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerChange {
    /// What its history says of it.
    pub created_by: String,
    /// What it was and is.
    #[serde(flatten)]
    pub sides: Pair<LayerSide>,
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerSide {
    /// Digest of its blob.
    pub digest: Digest,
    /// Bytes of the blob.
    pub size: u64,
    /// Bytes of the tar, where the layer says.
    pub uncompressed: Option<u64>,
}

/// How much is told of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paths {
    /// Their number.
    Counted,
    /// Each path.
    Listed,
}

/// An image, and its lock where that is known.
#[derive(Clone, Copy, Debug)]
pub struct Of<'a> {
    /// The image.
    pub source: &'a ImageSource,
    /// Its lock.
    pub lock: Option<&'a Lock>,
}

/// Compares two images on `only`, or on all their platforms.
pub fn images(
    context: &Context,
    from: Of<'_>,
    to: Of<'_>,
    only: Option<Platform>,
    paths: Paths,
) -> Result<Difference, ImageError> {
    let platforms = |source: &ImageSource| -> Result<Vec<Platform>, ImageError> {
        match only {
            // The error for a platform that it does not have names those that it has.
            Some(platform) => source.image(platform).map(|_| vec![platform]),
            None => Ok(source.platforms()?.into_keys().collect()),
        }
    };
    let (before, after) = (platforms(from.source)?, platforms(to.source)?);
    let mut each = Vec::new();
    for &platform in before.iter().filter(|platform| after.contains(platform)) {
        let summary = |source: &ImageSource| -> Result<PlatformSummary, ImageError> {
            Ok(inspect::platform(platform, &source.image(platform)?))
        };
        let documents = (summary(from.source)?, summary(to.source)?);
        if documents.0.manifest == documents.1.manifest {
            continue;
        }
        let (one, other) = match &documents {
            // Other blobs of the same tars: files need no reading.
            (one, other) if diff_ids(one).eq(diff_ids(other)) => (Side::unread(one), Side::unread(other)),
            _ => {
                let read = |of: Of<'_>| {
                    let origins = origins(context, of.source, of.lock, platform);
                    Side::read(context, of.source, platform, &origins, Detail::Close)
                };
                (read(from)?, read(to)?)
            }
        };
        let mut difference = sides(&one, &other, paths);
        let ledger = |lock: Option<&'_ Lock>| lock.and_then(|lock| lock.ledger.get(&platform).cloned());
        difference.scripts = scripts(ledger(from.lock).as_deref(), ledger(to.lock).as_deref());
        each.push((platform, difference));
    }
    let named =
        |source: &ImageSource| Named { name: source.name().into(), digest: source.root().digest.clone() };
    Ok(Difference {
        from: named(from.source),
        to: named(to.source),
        removed: before.iter().filter(|platform| !after.contains(platform)).copied().collect(),
        added: after.iter().filter(|platform| !before.contains(platform)).copied().collect(),
        platforms: folded(each),
    })
}

fn diff_ids(summary: &PlatformSummary) -> impl Iterator<Item = &Digest> {
    summary.layers.iter().map(|layer| &layer.diff_id)
}

/// Compares two sides, whatever their platforms are.
pub fn sides(from: &Side, to: &Side, paths: Paths) -> PlatformDifference {
    let changes = files::files(&from.files, &to.files);
    let (one, other) = (&from.said.runtime, &to.said.runtime);
    // Two secrets of one kind differ, and neither is told.
    let hidden = |mut settings: Vec<Setting>| {
        settings.iter_mut().for_each(Setting::hide);
        settings
    };
    PlatformDifference {
        manifest: Pair { from: Some(from.summary.manifest.clone()), to: Some(to.summary.manifest.clone()) },
        packages: versions(&from.versions, &to.versions),
        configuration: hidden(settings(&configuration(one), &configuration(other))),
        contract: hidden(settings(&contract(one), &contract(other))),
        files: Files {
            components: files::counted(&changes),
            rights: changes.iter().filter(|change| change.is_of_rights()).cloned().collect(),
            paths: if paths == Paths::Listed { changes } else { Vec::new() },
        },
        sizes: sizes(from, to),
        scripts: Vec::new(),
    }
}

/// The configuration as names and values.
fn configuration(runtime: &RuntimeSection) -> BTreeMap<String, String> {
    let list = |words: &Vec<String>| serde_json::to_string(words).unwrap_or_default();
    let mut found = BTreeMap::new();
    for (key, value) in [
        ("user", runtime.user.clone()),
        ("working directory", runtime.working_dir.clone()),
        ("stop signal", runtime.stop_signal.clone()),
    ] {
        found.insert(key.to_owned(), value);
    }
    found.insert("entrypoint".into(), list(&runtime.entrypoint));
    found.insert("command".into(), list(&runtime.cmd));
    for variable in &runtime.env {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        found.insert(format!("env {name}"), value.to_owned());
    }
    for (name, value) in runtime.labels.iter().filter(|(name, _)| *name != LABEL) {
        found.insert(format!("label {name}"), value.clone());
    }
    for port in runtime.exposed_ports.keys() {
        found.insert(format!("port {port}"), "exposed".into());
    }
    for volume in runtime.volumes.keys() {
        found.insert(format!("volume {volume}"), "declared".into());
    }
    found
}

/// What its label says of its sandboxes; all of it under one name where it is no object.
fn contract(runtime: &RuntimeSection) -> BTreeMap<String, String> {
    let Some(text) = runtime.labels.get(LABEL) else { return BTreeMap::new() };
    match serde_json::from_str::<BTreeMap<String, serde_json::Value>>(text) {
        Ok(keys) => keys.into_iter().map(|(key, value)| (key, value.to_string())).collect(),
        Err(_) => BTreeMap::from([(LABEL.to_owned(), text.clone())]),
    }
}

fn sizes(from: &Side, to: &Side) -> Sizes {
    let weights = |side: &Side| -> BTreeMap<String, (u64, Option<u64>)> {
        let alone = side.summary.component_sizes();
        let alone: BTreeMap<String, u64> =
            alone.into_iter().map(|(name, (_, compressed))| (name.to_owned(), compressed)).collect();
        let each = side.components.iter();
        each.map(|one| (one.name.clone(), (one.size, alone.get(&one.name).copied()))).collect()
    };
    let (before, after) = (weights(from), weights(to));
    let component = |(name, pair): (&String, Pair<&(u64, Option<u64>)>)| ComponentSize {
        component: name.clone(),
        unpacked: Pair { from: pair.from.map(|one| one.0), to: pair.to.map(|one| one.0) },
        compressed: Pair { from: pair.from.and_then(|one| one.1), to: pair.to.and_then(|one| one.1) },
    };
    Sizes {
        compressed: Pair { from: Some(from.summary.size), to: Some(to.summary.size) },
        uncompressed: Pair { from: from.summary.uncompressed, to: to.summary.uncompressed },
        components: pairs(&before, &after).into_iter().map(component).collect(),
        layers: layers(&from.said.layers, &to.said.layers),
    }
}

/// Layers that differ. Those that say the same of themselves are one layer on both sides, in their order.
fn layers(from: &[LayerSummary], to: &[LayerSummary]) -> Vec<LayerChange> {
    let keyed = |layers: &[LayerSummary]| -> BTreeMap<(String, usize), LayerSide> {
        let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
        let mut found = BTreeMap::new();
        for layer in layers {
            let number = seen.entry(&layer.created_by).or_default();
            let side = LayerSide {
                digest: layer.digest.clone(),
                size: layer.size,
                uncompressed: layer.uncompressed,
            };
            found.insert((layer.created_by.clone(), *number), side);
            *number += 1;
        }
        found
    };
    let (from, to) = (keyed(from), keyed(to));
    let change = |(key, pair): (&(String, usize), Pair<&LayerSide>)| LayerChange {
        created_by: secrets::hidden::text(&key.0).into_owned(),
        sides: Pair { from: pair.from.cloned(), to: pair.to.cloned() },
    };
    pairs(&from, &to).into_iter().map(change).collect()
}
