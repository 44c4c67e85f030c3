//! An image that others are built on: its layers as they are, and what its configuration passes on.
//!
//! | of the base | in an image on it |
//! |---|---|
//! | layers | first, each by its own digest; a Docker media type has the OCI name of the same encoding |
//! | history | first; where there is none, one entry for each layer |
//! | variables | where the image does not set them itself, in their order |
//! | entry point, command | where the image says nothing; its own entry point puts both away, as in a Dockerfile |
//! | user, working directory, stop signal | where the image says nothing |
//! | labels, volumes, ports, health check, shell | added to the image's own, which win |
//! | `ONBUILD` | nothing: it is for builders that execute things |
//!
//! **Refuses**: layers that are not to be passed on (foreign ones) or are of an unknown type, each by its name; digests that
//! registries rename; more layers than leave room for others.

use std::collections::BTreeSet;

use pinfold_base::Algorithm;
use pinfold_base::Digest;

use crate::Image;
use crate::ImageError;
use crate::RuntimeConfig;
use crate::compose::annotation;
use crate::model::Descriptor;
use crate::model::History;
use crate::model::ImageConfiguration;
use crate::model::LayerEncoding;
use crate::model::MAX_LAYERS_WRITTEN;
use crate::model::Raw;
use crate::model::RuntimeSection;

/// Layers of its own that an image on a base needs at least: one for what changes of the base, and one for the rest.
const ROOM: usize = 2;
/// What is not passed on of a configuration: instructions for another kind of builder.
const NOT_INHERITED: [&str; 1] = ["OnBuild"];

/// A layer of a base.
#[derive(Clone, Debug, PartialEq)]
pub struct BaseLayer {
    /// The blob, by an OCI media type.
    pub descriptor: Descriptor,
    /// Digest of the tar inside.
    pub diff_id: Digest,
}

/// What an image for one platform is built on.
#[derive(Clone, Debug, PartialEq)]
pub struct Base {
    layers: Vec<BaseLayer>,
    config: Raw<ImageConfiguration>,
}

impl Base {
    /// From an image that was read.
    pub fn of(name: &str, image: Image) -> Result<Self, ImageError> {
        let layers = image
            .layers
            .into_iter()
            .map(|layer| BaseLayer { descriptor: layer.descriptor, diff_id: layer.diff_id });
        Self::new(name, layers.collect(), image.config)
    }

    /// From its parts; `name` is for messages.
    pub fn new(
        name: &str,
        mut layers: Vec<BaseLayer>,
        config: Raw<ImageConfiguration>,
    ) -> Result<Self, ImageError> {
        let refuse = |reason: String| Err(ImageError::rule(format!("the base `{name}`"), reason));
        let most = MAX_LAYERS_WRITTEN - ROOM;
        if layers.len() > most {
            return refuse(format!(
                "it has {} layers, and an image can be built on at most {most}",
                layers.len()
            ));
        }
        let told = config.value().rootfs.diff_ids.iter();
        if !told.eq(layers.iter().map(|layer| &layer.diff_id)) {
            return refuse("its configuration names other layers".into());
        }
        for BaseLayer { descriptor, diff_id } in &mut layers {
            let kind = &descriptor.media_type;
            let Some(encoding) = LayerEncoding::of(kind) else {
                let foreign = kind.contains("foreign") || kind.contains("nondistributable");
                let why = if foreign {
                    "which is not to be passed on"
                } else {
                    "which is no layer pinfold can read"
                };
                return refuse(format!("it has a layer `{}`, {why}", kind.escape_debug()));
            };
            for digest in [&descriptor.digest, &*diff_id] {
                if digest.algorithm() != Algorithm::Sha256 {
                    return refuse(format!("it names a layer by {digest}, and only SHA-256 is understood"));
                }
            }
            descriptor.media_type = encoding.media_type().into();
            // Where else it can be had says nothing about it.
            descriptor.urls.clear();
        }
        Ok(Self { layers, config })
    }

    /// Its layers, lowest first.
    pub fn layers(&self) -> &[BaseLayer] {
        &self.layers
    }

    /// Its configuration.
    pub fn config(&self) -> &Raw<ImageConfiguration> {
        &self.config
    }

    fn runtime(&self) -> RuntimeSection {
        self.config.value().config.clone().unwrap_or_default()
    }

    /// Its variables, in their order.
    pub fn variables(&self) -> Vec<(String, String)> {
        let each = self.runtime().env.into_iter().filter_map(|entry| {
            let (name, value) = entry.split_once('=')?;
            (!name.is_empty()).then(|| (name.to_owned(), value.to_owned()))
        });
        each.collect()
    }

    /// The user that it starts programs as; empty for root.
    pub fn user(&self) -> String {
        self.runtime().user
    }

    /// Where its programs start; empty for `/`.
    pub fn workdir(&self) -> String {
        self.runtime().working_dir
    }

    /// One entry for each layer, and those of steps that made none.
    pub(crate) fn history(&self) -> Vec<History> {
        let config = self.config.value();
        let steps = config.history.iter().filter(|step| !step.empty_layer).count();
        if steps == self.layers.len() {
            return config.history.clone();
        }
        let entry = History {
            created: config.created.clone(),
            created_by: "the base image".into(),
            ..History::default()
        };
        vec![entry; self.layers.len()]
    }

    /// The descriptors of its layers; each says which component it is.
    pub(crate) fn descriptors(&self, component: &str) -> impl Iterator<Item = Descriptor> {
        self.layers.iter().map(move |layer| {
            let mut descriptor = layer.descriptor.clone();
            descriptor.annotations.insert(annotation::COMPONENTS.into(), component.into());
            descriptor
        })
    }

    /// What an image on it comes to that says `own` itself.
    #[must_use]
    pub fn inherited(&self, own: RuntimeConfig) -> RuntimeConfig {
        let base = self.runtime();
        let or = |own: String, base: String| if own.is_empty() { base } else { own };
        let union = |own: Vec<String>, base: Vec<String>| {
            let all: BTreeSet<String> = base.into_iter().chain(own).collect();
            all.into_iter().collect()
        };
        let mut env: Vec<String> = Vec::new();
        let name = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
        // Of a variable that is set twice the last counts, as when a process is given both.
        let theirs = base.env.into_iter().filter(|entry| entry.find('=').is_some_and(|at| at > 0));
        for entry in theirs.chain(own.env) {
            match env.iter_mut().find(|known| name(known) == name(&entry)) {
                Some(known) => *known = entry,
                None => env.push(entry),
            }
        }
        let (entrypoint, cmd) = match (own.entrypoint, own.cmd) {
            (None, None) => (Some(base.entrypoint), Some(base.cmd)),
            (None, cmd) => (Some(base.entrypoint), cmd),
            own => own,
        };
        let mut other = base.other;
        other.retain(|name, _| !NOT_INHERITED.contains(&name.as_str()));
        RuntimeConfig {
            user: or(own.user, base.user),
            entrypoint,
            cmd,
            env,
            workdir: or(own.workdir, base.working_dir),
            labels: base.labels.into_iter().chain(own.labels).collect(),
            volumes: union(own.volumes, base.volumes.into_keys().collect()),
            stop_signal: own.stop_signal.or(Some(base.stop_signal).filter(|signal| !signal.is_empty())),
            exposed: union(own.exposed, base.exposed_ports.into_keys().collect()),
            other: other.into_iter().chain(own.other).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
