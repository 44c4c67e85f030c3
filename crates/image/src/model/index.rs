//! The image index (image-spec, image-index.md) and Docker's manifest list.

use std::collections::BTreeMap;

use pinfold_base::Platform;
use serde::Deserialize;
use serde::Serialize;

use super::Descriptor;
use super::Document;
use super::MAX_INDEX_ENTRIES;
use super::media;
use crate::ImageError;
use crate::json;
use crate::json::Unknown;
use crate::json::null_as_default;

/// Several manifests, usually one per platform. Also the shape of a layout's `index.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// Always 2.
    pub schema_version: u64,
    /// What this document is; older writers leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What an artifact is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The manifests.
    #[serde(default, deserialize_with = "null_as_default")]
    pub manifests: Vec<Descriptor>,
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

impl Index {
    /// An index of these manifests.
    pub fn new(manifests: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(media::OCI_INDEX.into()),
            artifact_type: None,
            manifests,
            subject: None,
            annotations: BTreeMap::new(),
            other: Unknown::new(),
        }
    }

    /// The first entry for a platform.
    pub fn find(&self, platform: Platform) -> Option<&Descriptor> {
        self.manifests
            .iter()
            .find(|entry| entry.platform.as_ref().is_some_and(|found| found.platform() == Some(platform)))
    }
}

impl Document for Index {
    const WHAT: &'static str = "the index";

    fn media_type(&self) -> &str {
        self.media_type.as_deref().unwrap_or(media::OCI_INDEX)
    }

    fn check_accepted(&self, claimed: Option<&str>) -> Result<(), ImageError> {
        const KNOWN: [&str; 6] =
            ["schemaVersion", "mediaType", "artifactType", "manifests", "subject", "annotations"];
        super::check_schema(Self::WHAT, self.schema_version)?;
        let allowed = [media::OCI_INDEX, media::DOCKER_LIST];
        super::check_media_type(Self::WHAT, self.media_type.as_deref(), claimed, &allowed)?;
        json::refuse_lookalikes(Self::WHAT, &self.other, &KNOWN)?;
        super::check_absent(Self::WHAT, &self.other, &["config", "layers", "fsLayers", "history"])?;
        if self.manifests.len() > MAX_INDEX_ENTRIES {
            let reason =
                format!("it has {} entries, at most {MAX_INDEX_ENTRIES} are accepted", self.manifests.len());
            return Err(ImageError::rule(Self::WHAT, reason));
        }
        for (number, entry) in self.manifests.iter().enumerate() {
            entry.check(&format!("entry {} of the index", number + 1))?;
        }
        if let Some(subject) = &self.subject {
            subject.check("the descriptor of the subject")?;
        }
        Ok(())
    }

    fn check_written(&self) -> Result<(), ImageError> {
        if self.media_type.as_deref() != Some(media::OCI_INDEX) {
            let reason = format!("`mediaType` must be `{}` when written", media::OCI_INDEX);
            return Err(ImageError::rule(Self::WHAT, reason));
        }
        Ok(())
    }
}
