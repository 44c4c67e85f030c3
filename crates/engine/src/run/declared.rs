//! What a manifest or an image says about the sandboxes of an image: its `[run]`, and the label that carries it along.

use std::collections::BTreeMap;

use pinfold_base::Shown;
use serde::Deserialize;
use serde::Serialize;

use super::error::RunError;
use crate::project::manifest::Run;
use crate::project::manifest::run::AllowRule;
use crate::project::manifest::run::NixStore;
use crate::project::manifest::run::Processes;
use crate::project::manifest::run::Processors;
use crate::project::manifest::run::Reach;
use crate::project::manifest::run::Size;
use crate::project::manifest::run::Spelt;

/// The image label that holds what of `[run]` concerns every machine, as JSON.
pub const LABEL: &str = "dev.pinfold.run";

/// What of `[run]` an image carries. Paths, variables and keys stay behind: they are of one machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Declared {
    #[serde(skip_serializing_if = "is_not")]
    sealed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    network: Option<Reach>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allow: Vec<AllowRule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Spelt<Size>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpus: Option<Spelt<Processors>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pids: Option<Processes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nix_store: Option<NixStore>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_not(said: &bool) -> bool {
    !*said
}

impl Declared {
    /// Of the labels of `image`. A label that cannot be read is an error: it might have asked for less.
    pub fn from_labels(image: &str, labels: &BTreeMap<String, String>) -> Result<Run, RunError> {
        let Some(text) = labels.get(LABEL) else { return Ok(Run::default()) };
        let Self { sealed, network, allow, memory, cpus, pids, nix_store } = serde_json::from_str(text)
            .map_err(|error| RunError::Label { image: Shown::from(image), message: Shown::of(&error) })?;
        Ok(Run { sealed, network, allow, memory, cpus, pids, nix_store, ..Run::default() })
    }

    /// The label's value, numbers as they were written; `None` when there is nothing to say.
    pub fn label(run: &Run) -> Option<String> {
        let Run { sealed, network, allow, memory, cpus, pids, nix_store, .. } = run.clone();
        let said = Self { sealed, network, allow, memory, cpus, pids, nix_store };
        let json = serde_json::to_string(&said).ok()?;
        (json != "{}").then_some(json)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pinfold_base::Diagnose as _;

    use super::*;
    use crate::project::manifest::Manifest;

    #[test]
    fn paths_and_keys_of_this_machine_are_not_carried() {
        let run = Run {
            network: Some(Reach::None),
            mounts: vec!["/a".parse().unwrap()],
            pass_env: vec!["B".parse().unwrap()],
            credentials: BTreeMap::from([("c".into(), "file:/d".parse().unwrap())]),
            ..Run::default()
        };
        assert_eq!(Declared::label(&run).unwrap(), r#"{"network":"none"}"#);
        assert_eq!(Declared::label(&Run::default()), None);
        let sealed = Declared::label(&Run { sealed: true, ..Run::default() }).unwrap();
        assert_eq!(sealed, r#"{"sealed":true}"#);
        assert!(Declared::from_labels("m", &BTreeMap::from([(LABEL.to_owned(), sealed)])).unwrap().sealed);
        let labels = BTreeMap::from([(LABEL.to_owned(), Declared::label(&run).unwrap())]);
        assert_eq!(Declared::from_labels("m", &labels).unwrap().network, Some(Reach::None));
    }

    #[test]
    fn the_label_repeats_what_was_written() {
        let text = "name = 'x'\n[run]\nnetwork = 'proxy'\nallow = ['Example.ORG', 'tcp:h.example:22']\nmemory = '2g'\n\
                    cpus = '1.50'\npids = 100\nnix-store = 'read-only'\n";
        let manifest = Manifest::parse(text, Path::new("pinfold.toml"), Path::new("/")).unwrap();
        assert_eq!(
            Declared::label(&manifest.run).unwrap(),
            r#"{"network":"proxy","allow":["Example.ORG","tcp:h.example:22"],"memory":"2g","cpus":"1.50","pids":100,"nix-store":"read-only"}"#
        );
    }

    #[test]
    fn a_label_from_elsewhere_is_not_guessed_at() {
        for (text, told) in [
            (r#"{"netwrok":"none"}"#, "unknown field `netwrok`"),
            ("{\"a\u{202e}\u{9b}2J\":1}", "unknown field `a\\u{202e}\\u{9b}2J`"),
            ("", "EOF"),
        ] {
            let labels = BTreeMap::from([(LABEL.to_owned(), text.to_owned())]);
            let error = Declared::from_labels("m\u{1b}[2J:latest", &labels).unwrap_err();
            let (said, hint) = (error.to_string(), error.hint().unwrap());
            let begin =
                format!("the label `{LABEL}` of the image `m\\x1b[2J:latest` is not understood: {told}");
            assert!(said.starts_with(&begin), "{said}");
            assert!(hint.contains("build the image again"), "{hint}");
        }
    }
}
