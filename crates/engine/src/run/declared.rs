//! What a manifest or an image says about the sandboxes of an image: its `[run]`, and the label that carries it along.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::project::manifest::ManifestError;
use crate::project::manifest::Run;

/// The image label that holds what of `[run]` concerns every machine, as JSON.
pub const LABEL: &str = "dev.pinfold.run";

/// Declared, and not yet agreed to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Declared {
    /// `none`, `proxy` or `host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Rules of the proxy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Bytes, processors and processes, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<String>,
    /// Processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<u64>,
    /// Mounts; only of a manifest, because they name paths of one machine.
    #[serde(skip)]
    pub mounts: Vec<String>,
    /// Variables; only of a manifest.
    #[serde(skip)]
    pub pass_env: Vec<String>,
    /// Where keys come from; only of a manifest.
    #[serde(skip)]
    pub credentials: BTreeMap<String, String>,
}

impl Declared {
    /// Of a manifest.
    pub fn of(run: &Run) -> Self {
        Self {
            network: run.network.clone(),
            allow: run.allow.clone(),
            memory: run.memory.clone(),
            cpus: run.cpus.clone(),
            pids: run.pids,
            mounts: run.mounts.clone(),
            pass_env: run.pass_env.clone(),
            credentials: run.credentials.clone(),
        }
    }

    /// Of an image's labels. A label that cannot be read is an error: it might have asked for less.
    pub fn from_labels(labels: &BTreeMap<String, String>) -> Result<Self, ManifestError> {
        let Some(text) = labels.get(LABEL) else { return Ok(Self::default()) };
        serde_json::from_str(text)
            .map_err(|error| ManifestError::value(format!("image label {LABEL}"), error.to_string()))
    }

    /// The label's value; `None` when there is nothing to say.
    pub fn label(run: &Run) -> Option<String> {
        let declared = Self::of(run);
        let json = serde_json::to_string(&declared).ok()?;
        (json != "{}").then_some(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_keys_of_this_machine_are_not_carried() {
        let run = Run {
            network: Some("none".into()),
            mounts: vec!["/a".into()],
            pass_env: vec!["B".into()],
            credentials: BTreeMap::from([("c".into(), "file:/d".into())]),
            ..Run::default()
        };
        assert_eq!(Declared::label(&run).unwrap(), r#"{"network":"none"}"#);
        assert_eq!(Declared::label(&Run::default()), None);
        let labels = BTreeMap::from([(LABEL.to_owned(), Declared::label(&run).unwrap())]);
        assert_eq!(Declared::from_labels(&labels).unwrap().network.as_deref(), Some("none"));
    }

    #[test]
    fn a_label_from_elsewhere_is_not_guessed_at() {
        let labels = BTreeMap::from([(LABEL.to_owned(), r#"{"netwrok":"none"}"#.to_owned())]);
        assert!(Declared::from_labels(&labels).is_err());
    }
}
