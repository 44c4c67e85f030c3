//! The image configuration (image-spec, config.md). Its shape is Docker's, hence the capital letters inside `config`.

use std::collections::BTreeMap;

use pinfold_base::Digest;
use pinfold_base::Platform;
use serde::Deserialize;
use serde::Serialize;

use super::Document;
use super::MAX_LAYERS_ACCEPTED;
use super::media;
use crate::ImageError;
use crate::json;
use crate::json::Unknown;
use crate::json::null_as_default;

/// What an image is made of and how it is run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ImageConfiguration {
    /// RFC 3339 time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// `GOARCH`.
    pub architecture: String,
    /// The version of the architecture, `v8` for arm64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// `GOOS`.
    pub os: String,
    /// How it is run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<RuntimeSection>,
    /// The layers, uncompressed.
    pub rootfs: RootFs,
    /// What was done, one entry per step.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<History>,
    /// Fields pinfold does not know.
    #[serde(flatten)]
    pub other: Unknown,
}

/// Defaults for running the image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RuntimeSection {
    /// User, or `user:group`, by name or number.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub user: String,
    /// `port/protocol` as keys, empty objects as values.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub exposed_ports: BTreeMap<String, Unknown>,
    /// `NAME=value`, in order.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// The program and its first arguments.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub entrypoint: Vec<String>,
    /// The arguments a user may replace.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "Vec::is_empty")]
    pub cmd: Vec<String>,
    /// Paths as keys, empty objects as values.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub volumes: BTreeMap<String, Unknown>,
    /// Where it starts.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub working_dir: String,
    /// Further information by name.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks it to end.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub stop_signal: String,
    /// Fields pinfold does not know.
    #[serde(flatten)]
    pub other: Unknown,
}

/// The layers by the digests of their uncompressed bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Lowest first.
    #[serde(default, deserialize_with = "null_as_default")]
    pub diff_ids: Vec<Digest>,
    /// Fields pinfold does not know.
    #[serde(flatten)]
    pub other: Unknown,
}

/// One step of an image's making.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// RFC 3339 time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The command or tool.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub created_by: String,
    /// Anything else.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// Whether the step made no layer.
    #[serde(default, deserialize_with = "null_as_default", skip_serializing_if = "std::ops::Not::not")]
    pub empty_layer: bool,
    /// Fields pinfold does not know.
    #[serde(flatten)]
    pub other: Unknown,
}

impl RuntimeSection {
    const KNOWN: [&str; 9] =
        ["User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal"];
}

impl History {
    const KNOWN: [&str; 4] = ["created", "created_by", "comment", "empty_layer"];
}

impl ImageConfiguration {
    /// Which of our platforms it is for.
    pub fn platform(&self) -> Option<Platform> {
        super::descriptor::platform_of(&self.os, &self.architecture, self.variant.as_deref())
    }
}

impl Document for ImageConfiguration {
    const WHAT: &'static str = "the image configuration";

    fn media_type(&self) -> &str {
        media::OCI_CONFIG
    }

    fn check_accepted(&self, _claimed: Option<&str>) -> Result<(), ImageError> {
        const KNOWN: [&str; 8] =
            ["created", "author", "architecture", "variant", "os", "config", "rootfs", "history"];
        let rule = |reason: String| Err(ImageError::rule(Self::WHAT, reason));
        json::refuse_lookalikes(Self::WHAT, &self.other, &KNOWN)?;
        json::refuse_lookalikes(Self::WHAT, &self.rootfs.other, &["type", "diff_ids"])?;
        if let Some(section) = &self.config {
            json::refuse_lookalikes(Self::WHAT, &section.other, &RuntimeSection::KNOWN)?;
        }
        for step in &self.history {
            json::refuse_lookalikes(Self::WHAT, &step.other, &History::KNOWN)?;
        }
        if self.rootfs.kind != "layers" {
            return rule(format!(
                "`rootfs.type` is `{}`, expected `layers`",
                self.rootfs.kind.escape_debug()
            ));
        }
        if self.rootfs.diff_ids.len() > MAX_LAYERS_ACCEPTED {
            return rule(format!("it lists {} layers", self.rootfs.diff_ids.len()));
        }
        let made = self.history.iter().filter(|step| !step.empty_layer).count();
        if !self.history.is_empty() && made != self.rootfs.diff_ids.len() {
            return rule(format!(
                "its history tells of {made} layers and `rootfs` of {}",
                self.rootfs.diff_ids.len()
            ));
        }
        Ok(())
    }

    fn check_written(&self) -> Result<(), ImageError> {
        let rule = |reason: &str| Err(ImageError::rule(Self::WHAT, reason));
        if self.platform().is_none() {
            return rule("its platform is none that is built");
        }
        if self.created.is_none() {
            return rule("`created` is missing");
        }
        // Lambda and others count history entries (facts: OCI strictness).
        if self.history.iter().filter(|step| !step.empty_layer).count() != self.rootfs.diff_ids.len() {
            return rule("it needs one history entry per layer");
        }
        Ok(())
    }
}
