//! Layers and settings → configuration, image manifest, index. Pure: nothing is read or written.
//!
//! **Guarantees**: equal arguments give equal bytes; only OCI types are written; times come from the epoch that is passed in;
//! one history entry per layer; `platform.variant` is `v8` on arm64 in the configuration and in the index.
//!
//! What pinfold knows about a layer stands in the annotations of its descriptor, under [`annotation`].

use std::collections::BTreeMap;

use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_base::time::rfc3339;

use crate::ImageError;
use crate::base::Base;
use crate::json::Unknown;
use crate::model::Descriptor;
use crate::model::History;
use crate::model::ImageConfiguration;
use crate::model::Index;
use crate::model::LayerEncoding;
use crate::model::Manifest;
use crate::model::Raw;
use crate::model::RootFs;
use crate::model::RuntimeSection;
use crate::model::media;

/// The names of the annotations that are written and read.
pub mod annotation {
    /// When the image was made, RFC 3339; always the epoch of the lock.
    pub const CREATED: &str = "org.opencontainers.image.created";
    /// The name of the image that this one is built on.
    pub const BASE_NAME: &str = "org.opencontainers.image.base.name";
    /// Digest of its index or manifest.
    pub const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";
    /// The title of the image.
    pub const TITLE: &str = "org.opencontainers.image.title";
    /// The version of what is in the image.
    pub const VERSION: &str = "org.opencontainers.image.version";
    /// On a manifest: the digest of `/usr/share/pinfold/image.json`, what the image tells those inside of it.
    pub const CONTRACT: &str = "dev.pinfold.contract";
    /// On an attached bill of materials: the name of its document, which decides about all of it.
    pub const SBOM: &str = "dev.pinfold.sbom";
    /// In a layout's `index.json` only: the name of an image.
    pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
    /// In `index.json` only: the full name of an image, by which containerd knows it.
    pub const CONTAINERD_NAME: &str = "io.containerd.image.name";
    /// On a layer: its components, separated by spaces.
    pub const COMPONENTS: &str = "dev.pinfold.layer.components";
    /// On a layer: the encoder that compressed it, with its revision and level.
    pub const ENCODER: &str = "dev.pinfold.layer.encoder";
    /// On a layer: bytes of the tar.
    pub const UNCOMPRESSED: &str = "dev.pinfold.layer.uncompressed";
    /// On a layer: bytes of the blob that were taken over from a publisher's compressed stream.
    pub const REUSED: &str = "dev.pinfold.layer.reused";
}

/// A finished layer, as the pipeline hands it over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerBlob {
    /// Digest of the tar.
    pub diff_id: Digest,
    /// Digest of the blob.
    pub digest: Digest,
    /// Bytes of the blob.
    pub size: u64,
    /// Bytes of the tar.
    pub uncompressed: u64,
    /// How the blob is compressed.
    pub encoding: LayerEncoding,
    /// The encoder with revision and level (`gzip/…`), as in the lock; empty for plain tar.
    pub encoder: String,
    /// Bytes of the blob that were taken over compressed.
    pub reused: u64,
    /// What is in it, as `source/name`.
    pub components: Vec<String>,
    /// One line for the history.
    pub created_by: String,
}

/// How the image is run; what `[image]` and `[user]` of the manifest come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuntimeConfig {
    /// User, or `user:group`, by name or number; empty for root.
    pub user: String,
    /// The program and its first arguments, where it is said.
    pub entrypoint: Option<Vec<String>>,
    /// The arguments a user may replace, where they are said.
    pub cmd: Option<Vec<String>>,
    /// `NAME=value`, in the order they are to be set.
    pub env: Vec<String>,
    /// Where it starts; absolute, or empty for `/`.
    pub workdir: String,
    /// Labels of the configuration.
    pub labels: BTreeMap<String, String>,
    /// Absolute paths that are kept outside of the image.
    pub volumes: Vec<String>,
    /// The signal that asks it to end, `SIGTERM` by default.
    pub stop_signal: Option<String>,
    /// `port/protocol`.
    pub exposed: Vec<String>,
    /// What else a base said: a health check, a shell.
    pub other: Unknown,
}

/// The two documents of an image for one platform.
#[derive(Clone, Debug, PartialEq)]
pub struct ComposedImage {
    /// The configuration.
    pub config: Raw<ImageConfiguration>,
    /// The image manifest.
    pub manifest: Raw<Manifest>,
}

/// What an image is built on.
#[derive(Clone, Copy, Debug)]
pub struct On<'a> {
    /// The base.
    pub base: &'a Base,
    /// The component that its layers are, as `source/name`.
    pub component: &'a str,
}

/// Composes the image of one platform. `annotations` go to the manifest; `created` is added from `epoch` (seconds).
/// Fails when the settings break a rule of the specification or there are too many layers.
pub fn image(
    platform: Platform,
    runtime: &RuntimeConfig,
    layers: &[LayerBlob],
    annotations: &BTreeMap<String, String>,
    epoch: u64,
) -> Result<ComposedImage, ImageError> {
    image_on(platform, None, runtime, layers, annotations, epoch)
}

/// The same on a base, whose layers come first. `runtime` is what the base passes on, too ([`Base::inherited`]).
pub fn image_on(
    platform: Platform,
    on: Option<On<'_>>,
    runtime: &RuntimeConfig,
    layers: &[LayerBlob],
    annotations: &BTreeMap<String, String>,
    epoch: u64,
) -> Result<ComposedImage, ImageError> {
    check_annotations(annotations)?;
    let created = rfc3339(epoch);
    let history = layers.iter().map(|layer| History {
        created: Some(created.clone()),
        created_by: if layer.created_by.is_empty() { "pinfold".into() } else { layer.created_by.clone() },
        ..History::default()
    });
    let below = on.map(|on| on.base);
    let below_ids = below.into_iter().flat_map(Base::layers).map(|layer| layer.diff_id.clone());
    let below_layers = on.into_iter().flat_map(|on| on.base.descriptors(on.component));
    let config = Raw::compose(ImageConfiguration {
        created: Some(created.clone()),
        author: None,
        architecture: platform.arch.oci().into(),
        variant: platform.variant().map(Into::into),
        os: platform.os().into(),
        config: Some(section(runtime)?),
        rootfs: RootFs {
            kind: "layers".into(),
            diff_ids: below_ids.chain(layers.iter().map(|layer| layer.diff_id.clone())).collect(),
            other: Unknown::new(),
        },
        history: below.map(Base::history).unwrap_or_default().into_iter().chain(history).collect(),
        other: Unknown::new(),
    })?;
    let manifest = Raw::compose(Manifest {
        schema_version: 2,
        media_type: Some(media::OCI_MANIFEST.into()),
        artifact_type: None,
        config: config.descriptor(),
        layers: below_layers.chain(layers.iter().map(layer_descriptor)).collect(),
        subject: None,
        annotations: with_created(annotations, created),
        other: Unknown::new(),
    })?;
    Ok(ComposedImage { config, manifest })
}

/// Composes the index over several platforms, in the order of [`Platform`].
pub fn index(
    images: &[(Platform, &ComposedImage)],
    annotations: &BTreeMap<String, String>,
    epoch: u64,
) -> Result<Raw<Index>, ImageError> {
    check_annotations(annotations)?;
    let sorted: BTreeMap<Platform, &ComposedImage> = images.iter().copied().collect();
    if sorted.len() != images.len() || sorted.is_empty() {
        return Err(ImageError::rule("the index", "it needs one image for each of its platforms"));
    }
    let entries = sorted.iter().map(|(&platform, image)| image.manifest.descriptor().on(platform)).collect();
    let mut index = Index::new(entries);
    index.annotations = with_created(annotations, rfc3339(epoch));
    Raw::compose(index)
}

fn with_created(annotations: &BTreeMap<String, String>, created: String) -> BTreeMap<String, String> {
    let mut all = annotations.clone();
    all.insert(annotation::CREATED.into(), created);
    all
}

fn layer_descriptor(layer: &LayerBlob) -> Descriptor {
    let mut descriptor = Descriptor::new(layer.encoding.media_type(), layer.digest.clone(), layer.size);
    let mut note = |name: &str, value: String| drop(descriptor.annotations.insert(name.into(), value));
    note(annotation::UNCOMPRESSED, layer.uncompressed.to_string());
    if !layer.components.is_empty() {
        note(annotation::COMPONENTS, layer.components.join(" "));
    }
    if !layer.encoder.is_empty() {
        note(annotation::ENCODER, layer.encoder.clone());
    }
    if layer.reused > 0 {
        note(annotation::REUSED, layer.reused.to_string());
    }
    descriptor
}

/// The keys that the specification gives a meaning which is not the caller's to set.
fn check_annotations(annotations: &BTreeMap<String, String>) -> Result<(), ImageError> {
    match annotations.keys().find(|key| key.is_empty() || *key == annotation::REF_NAME) {
        Some(key) => Err(ImageError::rule("an annotation", format!("`{key}` cannot be set on an image"))),
        None => Ok(()),
    }
}

fn section(runtime: &RuntimeConfig) -> Result<RuntimeSection, ImageError> {
    let rule =
        |reason: String| Err(ImageError::rule(<ImageConfiguration as crate::model::Document>::WHAT, reason));
    let texts = [&runtime.user, &runtime.workdir].into_iter();
    let texts = texts.chain(runtime.entrypoint.iter().flatten()).chain(runtime.cmd.iter().flatten());
    let texts = texts.chain(&runtime.env).chain(&runtime.volumes);
    if let Some(text) = texts.into_iter().find(|text| text.contains('\0')) {
        return rule(format!("`{}` holds a NUL character", text.escape_debug()));
    }
    if let Some(entry) = runtime.env.iter().find(|entry| entry.find('=').is_none_or(|at| at == 0)) {
        return rule(format!("`{}` is no `NAME=value`", entry.escape_debug()));
    }
    let names: Vec<&str> = runtime.env.iter().filter_map(|entry| entry.split('=').next()).collect();
    if let Some(name) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        return rule(format!("the variable `{}` is set twice", name.1));
    }
    let paths = runtime.volumes.iter().chain((!runtime.workdir.is_empty()).then_some(&runtime.workdir));
    if let Some(path) = paths.into_iter().find(|path| !path.starts_with('/')) {
        return rule(format!("`{path}` is no absolute path"));
    }
    let keys = |names: &[String]| names.iter().map(|name| (name.clone(), Unknown::new())).collect();
    Ok(RuntimeSection {
        user: runtime.user.clone(),
        exposed_ports: keys(&runtime.exposed),
        env: runtime.env.clone(),
        entrypoint: runtime.entrypoint.clone().unwrap_or_default(),
        cmd: runtime.cmd.clone().unwrap_or_default(),
        volumes: keys(&runtime.volumes),
        working_dir: runtime.workdir.clone(),
        labels: runtime.labels.clone(),
        stop_signal: runtime.stop_signal.clone().unwrap_or_default(),
        other: runtime.other.clone(),
    })
}

#[cfg(test)]
mod tests;
