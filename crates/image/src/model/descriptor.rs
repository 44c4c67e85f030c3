//! Descriptors: how one document names another blob (image-spec, descriptor.md).

use std::collections::BTreeMap;

use pinfold_base::Arch;
use pinfold_base::Digest;
use pinfold_base::Platform;
use serde::Deserialize;
use serde::Serialize;

use crate::ImageError;
use crate::json;
use crate::json::Unknown;
use crate::json::null_as_default;

/// Names a blob by digest and size, and says what it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: String,
    /// Digest of its bytes.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Where else it can be had; kept, never followed.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Further information by name.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// For an entry of an index: what it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<DescriptorPlatform>,
    /// For a manifest that is no image: what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Fields pinfold does not know.
    #[serde(flatten)]
    pub other: Unknown,
}

/// The platform of an entry of an index (image-spec, image-index.md).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescriptorPlatform {
    /// `GOARCH`.
    pub architecture: String,
    /// `GOOS`.
    pub os: String,
    /// The version of the architecture, `v8` for arm64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Version and features of the operating system and whatever else.
    #[serde(flatten)]
    pub other: Unknown,
}

impl Descriptor {
    /// A descriptor with the three required fields.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
            artifact_type: None,
            other: Unknown::new(),
        }
    }

    /// The same for an entry of an index.
    #[must_use]
    pub fn on(mut self, platform: Platform) -> Self {
        self.platform = Some(platform.into());
        self
    }

    /// The rules for a descriptor from outside.
    pub(crate) fn check(&self, what: &str) -> Result<(), ImageError> {
        const KNOWN: [&str; 7] =
            ["mediaType", "digest", "size", "urls", "annotations", "platform", "artifactType"];
        json::refuse_lookalikes(what, &self.other, &KNOWN)?;
        if let Some(platform) = &self.platform {
            const KNOWN: [&str; 5] = ["architecture", "os", "os.version", "os.features", "variant"];
            let unknown = platform.other.iter().filter(|(key, _)| !KNOWN[2..4].contains(&key.as_str()));
            let unknown = unknown.map(|(key, value)| (key.clone(), value.clone())).collect();
            json::refuse_lookalikes(&format!("the platform of {what}"), &unknown, &KNOWN)?;
        }
        if i64::try_from(self.size).is_err() {
            return Err(ImageError::rule(what, format!("size {} does not fit 63 bits", self.size)));
        }
        // RFC 6838, section 4.2: type/subtype.
        let shape =
            self.media_type.split_once('/').is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty());
        if !shape
            || self.media_type.len() > 255
            || !self.media_type.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return Err(ImageError::rule(
                what,
                format!("`{}` is no media type", self.media_type.escape_debug()),
            ));
        }
        Ok(())
    }
}

impl DescriptorPlatform {
    /// Which of our platforms it is. A missing variant of arm64 means v8 (image-spec, "Platform Variants").
    pub fn platform(&self) -> Option<Platform> {
        platform_of(&self.os, &self.architecture, self.variant.as_deref())
    }
}

/// The platform behind the words of an index entry or a configuration, if it is one of ours.
pub(crate) fn platform_of(os: &str, architecture: &str, variant: Option<&str>) -> Option<Platform> {
    match (os, architecture, variant.unwrap_or_default()) {
        ("linux", "amd64", "" | "v1") => Some(Platform { arch: Arch::Amd64 }),
        ("linux", "arm64", "" | "v8") => Some(Platform { arch: Arch::Arm64 }),
        _ => None,
    }
}

impl From<Platform> for DescriptorPlatform {
    fn from(platform: Platform) -> Self {
        Self {
            architecture: platform.arch.oci().into(),
            os: platform.os().into(),
            variant: platform.variant().map(Into::into),
            other: Unknown::new(),
        }
    }
}
