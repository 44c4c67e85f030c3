//! The image manifest (image-spec, manifest.md; Docker distribution, manifest v2 schema 2).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use super::Descriptor;
use super::Document;
use super::LayerEncoding;
use super::MAX_DOCUMENT;
use super::MAX_LAYERS_ACCEPTED;
use super::MAX_LAYERS_WRITTEN;
use super::media;
use super::media::Family;
use crate::ImageError;
use crate::json;
use crate::json::Unknown;
use crate::json::null_as_default;

/// One image for one platform: a configuration and layers, lowest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// Always 2.
    pub schema_version: u64,
    /// What this document is; older writers leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What an artifact is that has no image configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, lowest first.
    #[serde(default, deserialize_with = "null_as_default")]
    pub layers: Vec<Descriptor>,
    /// Another manifest that this one is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// Further information by name.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Fields pinfold does not know.
    #[serde(flatten)]
    pub other: Unknown,
}

impl Manifest {
    /// Whether it describes an image (and not a signature, an SBOM or another artifact).
    pub fn is_image(&self) -> bool {
        [media::OCI_CONFIG, media::DOCKER_CONFIG].contains(&self.config.media_type.as_str())
    }

    fn check_families(&self) -> Result<(), ImageError> {
        let types = self.media_type.iter().chain([&self.config.media_type]);
        let mut found: Option<(Family, &str)> = None;
        for name in types.chain(self.layers.iter().map(|layer| &layer.media_type)) {
            let Some(family) = Family::of(name) else { continue };
            match found {
                Some((first, other)) if first != family => {
                    return Err(ImageError::rule(
                        Self::WHAT,
                        format!("it mixes the types of OCI and Docker: `{other}` and `{name}`"),
                    ));
                }
                _ => found = Some((family, name)),
            }
        }
        Ok(())
    }
}

impl Document for Manifest {
    const WHAT: &'static str = "the image manifest";

    fn media_type(&self) -> &str {
        match &self.media_type {
            Some(own) => own,
            None if self.config.media_type == media::DOCKER_CONFIG => media::DOCKER_MANIFEST,
            None => media::OCI_MANIFEST,
        }
    }

    fn check_accepted(&self, claimed: Option<&str>) -> Result<(), ImageError> {
        const KNOWN: [&str; 7] =
            ["schemaVersion", "mediaType", "artifactType", "config", "layers", "subject", "annotations"];
        let rule = |reason: String| Err(ImageError::rule(Self::WHAT, reason));
        super::check_schema(Self::WHAT, self.schema_version)?;
        let allowed = [media::OCI_MANIFEST, media::DOCKER_MANIFEST];
        super::check_media_type(Self::WHAT, self.media_type.as_deref(), claimed, &allowed)?;
        json::refuse_lookalikes(Self::WHAT, &self.other, &KNOWN)?;
        super::check_absent(Self::WHAT, &self.other, &["manifests", "fsLayers", "history", "signatures"])?;
        if self.layers.len() > MAX_LAYERS_ACCEPTED {
            return rule(format!(
                "it has {} layers, at most {MAX_LAYERS_ACCEPTED} are accepted",
                self.layers.len()
            ));
        }
        self.config.check("the descriptor of the configuration")?;
        if self.is_image() && self.config.size > MAX_DOCUMENT {
            return rule(format!("its configuration is announced with {} bytes", self.config.size));
        }
        if self.config.media_type == media::OCI_EMPTY
            && self.artifact_type.as_deref().unwrap_or_default().is_empty()
        {
            return rule("an empty configuration needs `artifactType`".into());
        }
        for (number, layer) in self.layers.iter().enumerate() {
            layer.check(&format!("the descriptor of layer {}", number + 1))?;
        }
        if let Some(subject) = &self.subject {
            subject.check("the descriptor of the subject")?;
        }
        self.check_families()
    }

    fn check_written(&self) -> Result<(), ImageError> {
        let rule = |reason: String| Err(ImageError::rule(Self::WHAT, reason));
        if self.media_type.as_deref() != Some(media::OCI_MANIFEST) {
            return rule(format!("`mediaType` must be `{}` when written", media::OCI_MANIFEST));
        }
        if !self.is_image() {
            return Ok(());
        }
        if self.layers.is_empty() {
            return rule("an image needs at least one layer".into());
        }
        if self.layers.len() > MAX_LAYERS_WRITTEN {
            return rule(format!(
                "it has {} layers, at most {MAX_LAYERS_WRITTEN} are written",
                self.layers.len()
            ));
        }
        let written = |name: &str| LayerEncoding::of(name).is_some() || name == media::SIGNED_PAYLOAD;
        match self.layers.iter().find(|layer| !written(&layer.media_type)) {
            Some(layer) => rule(format!("`{}` is no type of layer we write", layer.media_type)),
            None => Ok(()),
        }
    }
}
