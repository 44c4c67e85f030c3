//! What is in an image, as one value for tables and `--json`. Documents are read, layers are not.

use std::collections::BTreeMap;

use pinfold_base::Digest;
use pinfold_base::Platform;
use serde::Serialize;

use crate::Image;
use crate::ImageError;
use crate::ImageSource;
use crate::compose::annotation;
use crate::model::RuntimeSection;

/// An image with all platforms that pinfold knows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ImageSummary {
    /// What it was asked for as.
    pub name: String,
    /// Digest of its index or manifest.
    pub digest: Digest,
    /// Media type of that.
    pub media_type: String,
    /// Annotations of the index; those of the manifest when there is no index.
    pub annotations: BTreeMap<String, String>,
    /// Its platforms.
    pub platforms: Vec<PlatformSummary>,
    /// Entries of the index that are for other platforms or no images.
    pub others: usize,
}

/// One platform of an image.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlatformSummary {
    /// The platform.
    pub platform: Platform,
    /// Digest of the image manifest.
    pub manifest: Digest,
    /// Digest of the configuration, which Docker calls the image's id.
    pub config: Digest,
    /// When it was made, RFC 3339.
    pub created: Option<String>,
    /// Bytes of all layer blobs.
    pub size: u64,
    /// Bytes of all layer tars, where every layer says.
    pub uncompressed: Option<u64>,
    /// Its layers, lowest first.
    pub layers: Vec<LayerSummary>,
    /// How it is run.
    pub runtime: RuntimeSection,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerSummary {
    /// Digest of the blob.
    pub digest: Digest,
    /// Digest of the tar.
    pub diff_id: Digest,
    /// `tar`, `gzip` or `zstd`.
    pub encoding: &'static str,
    /// Bytes of the blob.
    pub size: u64,
    /// Bytes of the tar, where the layer says.
    pub uncompressed: Option<u64>,
    /// Bytes of the blob that were taken over compressed.
    pub reused: u64,
    /// The encoder, where the layer says.
    pub encoder: Option<String>,
    /// What is in it, where the layer says.
    pub components: Vec<String>,
    /// What the history says of it.
    pub created_by: String,
}

impl PlatformSummary {
    /// The sizes of components that have a layer of their own: bytes of tar (where known) and of the blob.
    pub fn component_sizes(&self) -> BTreeMap<&str, (Option<u64>, u64)> {
        let alone = self.layers.iter().filter_map(|layer| match &layer.components[..] {
            [only] => Some((only.as_str(), (layer.uncompressed, layer.size))),
            _ => None,
        });
        alone.collect()
    }
}

/// Describes an image.
pub fn inspect(source: &ImageSource) -> Result<ImageSummary, ImageError> {
    let mut platforms = Vec::new();
    let mut manifest_annotations = BTreeMap::new();
    for (platform, descriptor) in source.platforms()? {
        let image = source.image_of(&descriptor)?;
        manifest_annotations.clone_from(&image.manifest.value().annotations);
        platforms.push(self::platform(platform, &image));
    }
    let (annotations, entries) = match source.index()? {
        Some(index) => (index.value().annotations.clone(), index.value().manifests.len()),
        None => (manifest_annotations, 1),
    };
    Ok(ImageSummary {
        name: source.name().into(),
        digest: source.root().digest.clone(),
        media_type: source.root().media_type.clone(),
        annotations,
        others: entries.saturating_sub(platforms.len()),
        platforms,
    })
}

/// Describes one platform's image.
pub fn platform(platform: Platform, image: &Image) -> PlatformSummary {
    let config = image.config.value();
    let steps: Vec<&str> =
        config.history.iter().filter(|step| !step.empty_layer).map(|step| step.created_by.as_str()).collect();
    let layers: Vec<LayerSummary> = image
        .layers
        .iter()
        .enumerate()
        .map(|(at, layer)| {
            let note = |name: &str| layer.descriptor.annotations.get(name);
            let number = |name: &str| note(name).and_then(|text| text.parse().ok());
            LayerSummary {
                digest: layer.descriptor.digest.clone(),
                diff_id: layer.diff_id.clone(),
                encoding: layer.encoding.word(),
                size: layer.descriptor.size,
                uncompressed: number(annotation::UNCOMPRESSED),
                reused: number(annotation::REUSED).unwrap_or_default(),
                encoder: note(annotation::ENCODER).cloned(),
                components: note(annotation::COMPONENTS)
                    .map(|text| text.split_ascii_whitespace().map(Into::into).collect())
                    .unwrap_or_default(),
                created_by: steps.get(at).copied().unwrap_or_default().into(),
            }
        })
        .collect();
    PlatformSummary {
        platform,
        manifest: image.manifest.digest().clone(),
        config: image.config.digest().clone(),
        created: config.created.clone(),
        // Sizes from outside are only shown; their sum must not overflow.
        size: layers.iter().fold(0, |sum: u64, layer| sum.saturating_add(layer.size)),
        uncompressed: layers.iter().try_fold(0_u64, |sum, layer| sum.checked_add(layer.uncompressed?)),
        layers,
        runtime: config.config.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LayerEncoding;
    use crate::memory::Memory;
    use pinfold_testkit::raw_tar::RawTar;

    #[test]
    fn an_index_is_described() {
        let tars = [RawTar::new().file("a", "1").end(), RawTar::new().file("b", "2").end()];
        let source = Memory::default().both(&tars, LayerEncoding::Gzip);
        let summary = inspect(&source).unwrap();
        let names: Vec<String> = summary.platforms.iter().map(|found| found.platform.to_string()).collect();
        assert_eq!(names, ["linux/amd64", "linux/arm64"]);
        let amd64 = &summary.platforms[0];
        assert_eq!((amd64.layers.len(), amd64.uncompressed), (2, Some(2 * 2048)));
        assert_eq!(amd64.size, amd64.layers.iter().map(|layer| layer.size).sum::<u64>());
        assert_eq!(amd64.created.as_deref(), Some("2023-11-14T22:13:20Z"));
        assert_eq!(amd64.runtime.cmd, ["sh"]);
        assert_eq!(amd64.layers[0].created_by, "pinfold test");
        assert_eq!(amd64.component_sizes().keys().copied().collect::<Vec<_>>(), ["debian/base-files"]);
        assert_eq!(summary.others, 0);
        serde_json::to_string(&summary).unwrap();
    }
}
