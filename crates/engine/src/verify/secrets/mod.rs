//! Whether an image holds keys, tokens or logins: in its files, and in its configuration.
//!
//! ```text
//! bytes of a file ─► literals that tokens begin with, all at once   (scan.rs)
//!                      └► a token's form, its checksum, a key's body   (tokens.rs, keys.rs)
//! files by name   ─► logins of programs: `.npmrc`, `.netrc`, …   (logins.rs)
//! variables, labels, annotations, history ─► the same, and values that look drawn at random   (pairs.rs)
//! ```
//!
//! **Guarantees**: pure; a file is seen once, in chunks, and held only where its name is that of a login. What is found is never
//! told, only its kind and place. **Not looked into**: members of compressed archives that are files of the image.
//!
//! A rule says little and is right: a key has a body that parses, a token its length, its alphabet and its checksum where the
//! issuer has one. What is a key and no secret is in `known.rs`, with its reason.

mod keys;
mod known;
mod logins;
mod pairs;
mod scan;
mod tokens;

use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::units;
use pinfold_image::Image;
use pinfold_image::model::ImageConfiguration;
use pinfold_image::survey::Watch;

pub use self::scan::Scan;
pub use self::scan::Scanner;
use super::checks::SECRETS_CONFIG;
use super::checks::SECRETS_FILES;
use super::report::Finding;
use super::report::Outcome;

/// Most secrets that are told of all files.
const SECRETS_MAX: usize = 1000;

/// A secret: what kind it is, and where in its file or text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Secret {
    /// From which byte on.
    pub offset: u64,
    /// What it is: `a token of GitHub`.
    pub what: &'static str,
}

/// The files of an image as they pass by, and the secrets in them.
#[derive(Debug)]
pub struct Files<'a> {
    scan: Scan<'a>,
    at: Option<(usize, ImagePath)>,
    found: Vec<Finding>,
    more: usize,
    /// Secrets that are known to be none.
    known: usize,
    count: usize,
    bytes: u64,
}

impl<'a> Files<'a> {
    /// Before the first.
    pub fn new(scanner: &'a Scanner) -> Self {
        Self { scan: scanner.scan(), at: None, found: Vec::new(), more: 0, known: 0, count: 0, bytes: 0 }
    }

    /// What came of it.
    pub fn outcome(self) -> Outcome {
        let mut evidence = format!("{} files of all layers, {}", self.count, units::bytes(self.bytes));
        if self.known > 0 {
            evidence.push_str(&format!("; {} known keys that protect nothing", self.known));
        }
        let mut outcome = Outcome::looked(SECRETS_FILES, evidence, self.found);
        outcome.more += self.more;
        outcome
    }
}

impl Watch for Files<'_> {
    fn begin(&mut self, layer: usize, path: &ImagePath, _size: u64) {
        self.scan.begin(path);
        self.count += 1;
        self.at = Some((layer, path.clone()));
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.scan.feed(bytes);
    }

    fn end(&mut self) {
        let secrets = self.scan.end();
        let Some((layer, path)) = self.at.take() else { return };
        for secret in secrets {
            if known::file(&path, secret.what).is_some() {
                self.known += 1;
            } else if self.found.len() < SECRETS_MAX {
                let problem = format!("{} at byte {}, in layer {}", secret.what, secret.offset, layer + 1);
                self.found.push(Finding { at: path.to_string(), problem });
            } else {
                self.more += 1;
            }
        }
    }
}

/// Checks environment, labels, arguments and history of the configuration, and annotations of the manifest and its layers.
pub fn config(scanner: &Scanner, image: &Image) -> Outcome {
    let (manifest, configuration) = (image.manifest.value(), image.config.value());
    let of_layers = manifest.layers.iter().flat_map(|layer| &layer.annotations);
    let annotations = manifest.annotations.iter().chain(of_layers).chain(&manifest.config.annotations);
    pairs_of(scanner, configuration, annotations.map(|(name, value)| (name.as_str(), value.as_str())))
}

fn pairs_of<'a>(
    scanner: &Scanner,
    configuration: &ImageConfiguration,
    annotations: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Outcome {
    let mut found = Vec::new();
    let mut looked = 0;
    let mut look = |at: String, name: &str, value: &str, judge: pairs::Judge| {
        looked += 1;
        found.extend(judge(scanner, name, value).map(|what| Finding { at, problem: what.to_owned() }));
    };
    let section = configuration.config.as_ref();
    for pair in section.iter().flat_map(|section| &section.env) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        look(format!("Env {name}"), name, value, pairs::variable);
    }
    for (name, value) in section.iter().flat_map(|section| &section.labels) {
        look(format!("label {name}"), name, value, pairs::variable);
    }
    for (name, value) in annotations {
        look(format!("annotation {name}"), name, value, pairs::variable);
    }
    for (index, word) in
        section.iter().flat_map(|section| section.entrypoint.iter().chain(&section.cmd)).enumerate()
    {
        look(format!("argument {index}"), "", word, pairs::text);
    }
    for (index, step) in configuration.history.iter().enumerate() {
        look(format!("history {}", index + 1), "", &step.created_by, pairs::text);
        look(format!("history {}", index + 1), "", &step.comment, pairs::text);
    }
    Outcome::looked(
        SECRETS_CONFIG,
        format!("{looked} variables, labels, annotations and steps of history"),
        found,
    )
}

/// How evenly the bytes of a text are spread: bits of a byte, 0 for one letter repeated.
fn entropy(text: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in text {
        counts[usize::from(*byte)] += 1;
    }
    let length = f64::from(u32::try_from(text.len()).unwrap_or(u32::MAX));
    let part = |count: &u32| {
        let share = f64::from(*count) / length;
        -share * share.log2()
    };
    counts.iter().filter(|count| **count > 0).map(part).sum()
}

/// Whether a text is a digest of the two algorithms of images.
fn is_digest(text: &str) -> bool {
    text.parse::<Digest>().is_ok()
}

#[cfg(test)]
mod tests;
