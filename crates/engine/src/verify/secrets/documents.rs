//! What an image's documents say: variables, labels, arguments and history of its configuration, annotations of its index, manifest and
//! descriptors, and fields that pinfold does not know (health checks, triggers, Docker's own).

use std::collections::BTreeMap;

use pinfold_image::Image;
use pinfold_image::model::ImageConfiguration;
use pinfold_image::model::Index;
use pinfold_image::model::Manifest;
use serde_json::Value;

use super::Scanner;
use super::hidden;
use super::pairs;
use crate::verify::checks::SECRETS_CONFIG;
use crate::verify::report::Finding;
use crate::verify::report::Outcome;

/// Checks the documents of one platform, and the index that it is in.
pub fn config(scanner: &Scanner, image: &Image, index: Option<&Index>) -> Outcome {
    let mut said = Said { scanner, found: Vec::new(), looked: 0 };
    if let Some(index) = index {
        said.annotations("index", &index.annotations);
        for entry in index.manifests.iter().chain(&index.subject) {
            said.annotations("index", &entry.annotations);
            said.texts("address (index)", &entry.urls);
            said.unknown("index", &entry.other);
        }
        said.unknown("index", &index.other);
    }
    said.manifest(image.manifest.value());
    said.configuration(image.config.value());
    let evidence =
        format!("{} variables, labels, annotations, steps of history and other fields", said.looked);
    Outcome::looked(SECRETS_CONFIG, evidence, said.found)
}

/// What was said so far.
pub(super) struct Said<'a> {
    pub(super) scanner: &'a Scanner,
    pub(super) found: Vec<Finding>,
    pub(super) looked: usize,
}

impl Said<'_> {
    fn look(&mut self, mut at: String, name: &str, value: &str, judge: pairs::Judge) {
        self.looked += 1;
        // A name may hold one as well, and is told as what it is.
        let found = judge(self.scanner, name, value).or_else(|| pairs::text(self.scanner, "", name));
        hidden::hide(&mut at);
        self.found.extend(found.map(|what| Finding { at, problem: what.to_owned() }));
    }

    fn texts<'a>(&mut self, at: &str, texts: impl IntoIterator<Item = &'a String>) {
        for text in texts {
            self.look(at.to_owned(), "", text, pairs::text);
        }
    }

    fn annotations(&mut self, of: &str, annotations: &BTreeMap<String, String>) {
        for (name, value) in annotations {
            self.look(format!("annotation {name} ({of})"), name, value, pairs::variable);
        }
    }

    fn manifest(&mut self, manifest: &Manifest) {
        self.annotations("manifest", &manifest.annotations);
        for descriptor in [&manifest.config].into_iter().chain(&manifest.layers).chain(&manifest.subject) {
            self.annotations("manifest", &descriptor.annotations);
            self.texts("address (manifest)", &descriptor.urls);
            self.unknown("manifest", &descriptor.other);
        }
        self.unknown("manifest", &manifest.other);
    }

    pub(super) fn configuration(&mut self, configuration: &ImageConfiguration) {
        if let Some(section) = &configuration.config {
            for pair in &section.env {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                self.look(format!("Env {name}"), name, value, pairs::variable);
            }
            for (name, value) in &section.labels {
                self.look(format!("label {name}"), name, value, pairs::variable);
            }
            for (at, text) in [
                ("user", &section.user),
                ("working directory", &section.working_dir),
                ("stop signal", &section.stop_signal),
            ] {
                self.texts(at, [text]);
            }
            self.texts("volume", section.volumes.keys());
            self.texts("port", section.exposed_ports.keys());
            for (index, word) in section.entrypoint.iter().chain(&section.cmd).enumerate() {
                self.look(format!("argument {index}"), "", word, pairs::text);
            }
            self.unknown("config", &section.other);
        }
        for (index, step) in configuration.history.iter().enumerate() {
            let at = || format!("history {}", index + 1);
            self.look(at(), "", &step.created_by, pairs::text);
            self.look(at(), "", &step.comment, pairs::text);
            self.unknown(&at(), &step.other);
        }
        self.texts("author", &configuration.author);
        self.texts("created", &configuration.created);
        self.unknown("configuration", &configuration.other);
    }

    /// Texts of fields that pinfold does not know, by their names.
    fn unknown(&mut self, of: &str, fields: &BTreeMap<String, Value>) {
        let mut left: Vec<(&str, &str, &Value)> =
            fields.iter().map(|(name, value)| (name.as_str(), name.as_str(), value)).collect();
        while let Some((field, name, value)) = left.pop() {
            match value {
                Value::String(text) => {
                    let judge = |scanner: &Scanner, name: &str, text: &str| {
                        pairs::named(scanner, name, text).or_else(|| pairs::text(scanner, name, text))
                    };
                    self.look(format!("{field} ({of})"), name, text, judge);
                }
                Value::Array(values) => left.extend(values.iter().map(|value| (field, name, value))),
                Value::Object(members) => {
                    left.extend(members.iter().map(|(name, value)| (field, name.as_str(), value)));
                }
                _ => {}
            }
        }
    }
}
