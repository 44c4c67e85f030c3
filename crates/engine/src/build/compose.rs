//! From trees to an image: layers by the lock's assignment, one image per platform, one index over them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use pinfold_archive::Changeset;
use pinfold_archive::Contents;
use pinfold_archive::Tree;
use pinfold_archive::changeset::difference;
use pinfold_archive::encode::Encoding;
use pinfold_archive::encode::Reuse;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::Shown;
use pinfold_image::Assignment;
use pinfold_image::ComposedImage;
use pinfold_image::ImageError;
use pinfold_image::ImageStore;
use pinfold_image::LayerBlob;
use pinfold_image::LayerEncoding;
use pinfold_image::LayerPlan;
use pinfold_image::RuntimeConfig;
use pinfold_image::compose::On;
use pinfold_image::compose::annotation;
use pinfold_image::layout;
use pinfold_image::model::Descriptor;
use pinfold_image::plan;
use pinfold_image::weight;
use pinfold_image::weight::Over;
use serde::Deserialize;
use serde::Serialize;

use crate::build::contract;
use crate::build::layers;
use crate::build::layers::LayerError;
use crate::build::layers::Work;
use crate::build::layers::Writing;
use crate::context::Context;
use crate::project::Project;
use crate::project::lock::Lock;
use crate::project::manifest::Compression;
use crate::project::manifest::Manifest;
use crate::project::manifest::ManifestError;
use crate::project::manifest::environment::Under;
use crate::project::manifest::environment::environment;
use crate::project::recipe::AGENT_LABEL;
use crate::sources;
use crate::sources::Placed;
use crate::sources::base::Below;

/// Why an image cannot be composed.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// The tree cannot be cut into layers.
    #[error(transparent)]
    Split(#[from] plan::SplitError),
    /// A layer cannot be written.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The documents break a rule, or the image store failed.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Its environment cannot be.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A name in the image that layers cannot carry.
    #[error("`{path}` begins with `.wh.`, which means a deletion inside a layer")]
    Whiteout {
        /// The path.
        path: ImagePath,
    },
    /// The image is larger than the policy allows.
    #[error("the image for {platform} is {over} (`policy.size-budget`), compressed")]
    Budget {
        /// The platform.
        platform: Platform,
        /// How much too large.
        over: Over,
    },
}

impl Diagnose for ComposeError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Split(error) => Diagnosis::Inner(error),
            Self::Layer(error) => Diagnosis::Inner(error),
            Self::Image(error) => Diagnosis::Inner(error),
            Self::Manifest(error) => Diagnosis::Inner(error),
            Self::Whiteout { .. } => Diagnosis::Own(Kind::Usage),
            Self::Budget { .. } => Diagnosis::Own(Kind::Refused),
        }
    }

    fn lines(&self) -> Vec<Shown> {
        match (self, self.inner()) {
            (Self::Budget { over, .. }, _) => std::iter::once(Shown::of(self)).chain(over.lines()).collect(),
            (_, Some(inner)) if inner.to_string() == self.to_string() => inner.lines(),
            _ => vec![Shown::of(self)],
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Budget { .. } => {
                Some("`image.compression = \"zstd\"`, fewer agents, or a larger `policy.size-budget`".into())
            }
            _ => None,
        }
    }
}

/// A layer of a built image, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltLayer {
    /// Name in the assignment.
    pub name: String,
    /// The blob.
    pub layer: layers::Written,
    /// Whether it was in the cache.
    pub cached: bool,
}

/// One platform of a built image, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuiltPlatform {
    /// The platform.
    pub platform: Platform,
    /// Digest of the image manifest.
    pub manifest: Digest,
    /// Layers, bottom first.
    pub layers: Vec<BuiltLayer>,
    /// Uncompressed bytes of each component, largest first.
    pub components: Vec<(String, u64)>,
    /// Number of paths.
    pub paths: usize,
}

impl BuiltPlatform {
    /// Compressed size of all layers.
    pub fn size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.layer.size).sum()
    }

    /// Uncompressed size of all layers.
    pub fn uncompressed(&self) -> u64 {
        self.layers.iter().map(|layer| layer.layer.uncompressed).sum()
    }
}

/// The encoding of layers.
pub fn encoding(compression: Compression, reuse: Reuse) -> Encoding {
    match compression {
        Compression::Gzip => Encoding::Gzip { level: 6, reuse },
        Compression::Zstd => Encoding::Zstd { level: 3 },
    }
}

/// The ids of this version's encoders, as the lock keeps them.
pub fn encoders() -> BTreeMap<String, String> {
    let id = |compression| encoding(compression, Reuse::Publisher).id();
    BTreeMap::from([("gzip".into(), id(Compression::Gzip)), ("zstd".into(), id(Compression::Zstd))])
}

/// The lock's layers as the image room reads them. Generated components that the lock has not seen (a first `[[file]]`, say)
/// go to the last layer.
pub fn assignment(lock: &Lock, tree: &Tree) -> Assignment {
    let layer = |layer: &crate::project::lock::v1::LockedLayer| LayerPlan {
        name: layer.name.clone(),
        components: layer.components.clone(),
    };
    let mut layers: Vec<LayerPlan> = lock.layers.iter().map(layer).collect();
    let assigned: BTreeSet<&str> =
        lock.layers.iter().flat_map(|layer| &layer.components).map(String::as_str).collect();
    let generated =
        tree.iter().map(|(_, node)| node.owner.as_str()).filter(|name| name.starts_with("generated/"));
    let new: BTreeSet<String> =
        generated.filter(|name| !assigned.contains(name)).map(str::to_owned).collect();
    if !new.is_empty() {
        match layers.last_mut().filter(|last| last.name == "generated") {
            Some(last) => last.components.extend(new),
            None => {
                layers.push(LayerPlan { name: "generated".into(), components: new.into_iter().collect() });
            }
        }
    }
    Assignment { layers }
}

/// Uncompressed bytes of each component of a tree, largest first, then by name.
pub fn component_sizes(tree: &Tree) -> Vec<(String, u64)> {
    let mut sizes: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, node) in tree.iter() {
        *sizes.entry(node.owner.as_str()).or_default() += node.size();
    }
    let mut sizes: Vec<(String, u64)> =
        sizes.into_iter().map(|(name, size)| (name.to_owned(), size)).collect();
    sizes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    sizes
}

/// Composes one platform's image and puts its blobs into the image store.
pub fn platform(
    context: &Context,
    store: &ImageStore,
    project: &Project,
    lock: &Lock,
    writing: &Writing,
    platform: Platform,
    placed: &Placed,
) -> Result<(ComposedImage, BuiltPlatform), ComposeError> {
    let manifest = &project.manifest;
    let tree = &placed.tree;
    let below = placed.below.as_deref();
    if let Some((path, _)) = tree.iter().find(|(path, _)| path.name().starts_with(b".wh.")) {
        return Err(ComposeError::Whiteout { path: path.clone() });
    }
    let mut built = Vec::new();
    let mut blobs = Vec::new();
    if let Some(below) = below {
        built.extend(beneath(context, store, below)?);
    }
    for (plan, layer) in cut(placed, &assignment(lock, tree))? {
        let tree = layer.tree();
        if tree.is_empty() {
            continue;
        }
        let item = format!("{} {}", platform.arch.oci(), plan.name);
        let mut components: Vec<String> = tree.iter().map(|(_, node)| node.owner.to_string()).collect();
        components.sort_unstable();
        components.dedup();
        components.retain(|component| plan.components.contains(component));
        let (layer, work) = layers::layer(context, &item, &layer, writing)?;
        let blob = layers::blob_path(context, &layer.digest);
        if work == Work::Encoded {
            // The store may have one from before, and what made us write it again may have harmed that too.
            store.check(&layer.digest)?;
        }
        store.put_file(&blob, &layer.digest, layer.size, layout::Custody::Store)?;
        blobs.push(LayerBlob {
            diff_id: layer.diff_id.clone(),
            digest: layer.digest.clone(),
            size: layer.size,
            uncompressed: layer.uncompressed,
            encoding: match &writing.encoding {
                Encoding::None => LayerEncoding::Tar,
                Encoding::Gzip { .. } => LayerEncoding::Gzip,
                Encoding::Zstd { .. } => LayerEncoding::Zstd,
            },
            encoder: writing.encoding.id(),
            reused: layer.reused,
            components,
            created_by: format!("pinfold: {}", plan.name),
        });
        built.push(BuiltLayer { name: plan.name, layer, cached: work == Work::Cached });
    }
    let weights = blobs
        .iter()
        .map(|blob| (weight::content(blob.components.iter().map(String::as_str), &blob.digest), blob.size));
    if let Some(over) = manifest.policy.size_budget.and_then(|budget| Over::of(weights, budget)) {
        return Err(ComposeError::Budget { platform, over });
    }
    let mut annotations = annotations(manifest);
    if let Some(digest) = contract::digest(tree) {
        annotations.insert(annotation::CONTRACT.into(), digest.to_string());
    }
    if let Some(below) = below {
        annotations.insert(annotation::BASE_NAME.into(), below.name.clone());
        annotations.insert(annotation::BASE_DIGEST.into(), below.manifest.to_string());
    }
    let image = pinfold_image::compose::image_on(
        platform,
        below.map(|below| On { base: &below.image, component: below.component.as_str() }),
        &runtime(context, project, lock, (platform, placed))?,
        &blobs,
        &annotations,
        lock.epoch,
    )?;
    store.put_document(&image.config)?;
    store.put_document(&image.manifest)?;
    let summary = BuiltPlatform {
        platform,
        manifest: image.manifest.digest().clone(),
        layers: built,
        components: component_sizes(tree),
        paths: tree.len(),
    };
    Ok((image, summary))
}

/// What each layer of an image says.
fn cut(placed: &Placed, assignment: &Assignment) -> Result<Vec<(LayerPlan, Changeset)>, plan::SplitError> {
    let Placed { tree, stores, .. } = placed;
    let Some(below) = placed.below.as_deref() else {
        let layers = plan::split(tree, stores, assignment)?.into_iter();
        return Ok(layers.map(|(plan, tree)| (plan, tree.into())).collect());
    };
    plan::split_over(tree, stores, &difference(&below.tree, tree), &below.component, assignment)
}

/// The layers of a base, as they are, into the image store.
fn beneath(context: &Context, store: &ImageStore, below: &Below) -> Result<Vec<BuiltLayer>, ComposeError> {
    let mut built = Vec::new();
    for (number, layer) in below.image.layers().iter().enumerate() {
        let Descriptor { digest, size, .. } = &layer.descriptor;
        store.put_file(&context.store.path(digest), digest, *size, layout::Custody::Store)?;
        built.push(BuiltLayer {
            name: format!("{} {}", below.component, number + 1),
            layer: layers::Written {
                diff_id: layer.diff_id.clone(),
                uncompressed: fs_err::metadata(context.decoded.path(digest, ""))
                    .map_or_else(|_| context.store.size(digest), |file| file.len()),
                digest: digest.clone(),
                size: *size,
                reused: 0,
            },
            cached: true,
        });
    }
    Ok(built)
}

/// Annotations of manifest and index.
pub fn annotations(manifest: &Manifest) -> BTreeMap<String, String> {
    let mut annotations = manifest.image.annotations.clone();
    annotations
        .entry(pinfold_image::compose::annotation::TITLE.into())
        .or_insert_with(|| manifest.name.clone());
    annotations
}

/// The image configuration: the manifest's `[image]` over what recipes bring, PATH first, the rest by name.
fn runtime(
    context: &Context,
    project: &Project,
    lock: &Lock,
    (platform, placed): (Platform, &Placed),
) -> Result<RuntimeConfig, ManifestError> {
    let Project { manifest, recipes, .. } = project;
    let below = placed.below.as_deref();
    let mut env =
        environment(&manifest.image.env, recipes, &Under::of(below), &sources::folders(&manifest.sources))?;
    let path = env.remove("PATH").map(|value| ("PATH".to_owned(), value));
    let env = path.into_iter().chain(env).map(|(name, value)| format!("{name}={value}")).collect();
    let mut labels = os_release_labels(&placed.tree, &context.decoded);
    let agents = lock.agents.iter().map(|agent| (agent.name.as_str(), agent.version.clone()));
    for (name, version) in agents.chain(sources::nix::versions(project, lock, platform)) {
        labels.insert(format!("{AGENT_LABEL}{name}"), version);
    }
    // What the image asks of whoever runs it: `run --image` lets it narrow freely and widen after the user's word.
    let wishes = crate::run::Declared::label(&manifest.run);
    labels.extend(wishes.clone().map(|json| (crate::run::LABEL.to_owned(), json)));
    labels.extend(manifest.image.labels.clone());
    let own = RuntimeConfig {
        user: manifest.user.as_ref().map(|user| format!("{}:{}", user.uid, user.gid)).unwrap_or_default(),
        entrypoint: manifest.image.entrypoint.clone(),
        cmd: manifest.image.cmd.clone(),
        env,
        workdir: manifest.image.workdir.as_ref().map(ToString::to_string).unwrap_or_default(),
        labels,
        volumes: manifest.image.volumes.iter().map(ToString::to_string).collect(),
        ..RuntimeConfig::default()
    };
    Ok(match below {
        Some(below) => {
            let mut all = below.image.inherited(own);
            // What a sandbox may have is this manifest's word alone.
            if wishes.is_none() {
                all.labels.remove(crate::run::LABEL);
            }
            all
        }
        None => own,
    })
}

/// Labels with what os-release(5) says, for tools that only see the configuration: label, field.
pub(crate) const OS_LABELS: [(&str, &str); 3] = [
    ("dev.pinfold.os.id", "ID"),
    ("dev.pinfold.os.version-id", "VERSION_ID"),
    ("dev.pinfold.os.codename", "VERSION_CODENAME"),
];

/// What they are for a tree.
fn os_release_labels(tree: &Tree, contents: &dyn Contents) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let path = ImagePath::new("etc/os-release").unwrap_or_default();
    let Some(text) = tree.content(&path).and_then(|content| contents.read(content, 64 << 10).ok()) else {
        return labels;
    };
    for line in String::from_utf8_lossy(&text).lines() {
        let Some((key, value)) = line.split_once('=') else { continue };
        if let Some((label, _)) = OS_LABELS.iter().find(|(_, field)| *field == key) {
            labels.insert((*label).to_owned(), value.trim_matches('"').to_owned());
        }
    }
    labels
}

#[cfg(test)]
mod tests;
