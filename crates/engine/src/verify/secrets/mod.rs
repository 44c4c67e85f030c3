//! Whether an image holds keys, tokens or logins: in its files, and in its configuration.
//!
//! ```text
//! bytes of a file ─► literals that tokens begin with, all at once   (scan.rs)
//!                      └► a token's form, its checksum, a key's body   (tokens.rs, keys.rs)
//! files by name   ─► logins of programs: `.npmrc`, `.netrc`, …   (logins.rs)
//! names, links    ─► the same of names, targets and attributes; files once more under other names   (names.rs)
//! archives        ─► the same of their members   (archives.rs)
//! documents       ─► the same of what they say, and values that look drawn at random   (documents.rs, pairs.rs)
//! what is printed ─► the kind of a secret in its place   (hidden.rs)
//! ```
//!
//! **Guarantees**: a file is seen once, in chunks, and held only where its name is that of a login, or set aside where it is an archive.
//! What is found is never told, only its kind and place.
//!
//! A rule says little and is right: a key has a body that parses, a token its length, its alphabet and its checksum where the
//! issuer has one. What is a key and no secret is in `known.rs`, with its reason.

mod archives;
mod documents;
pub mod hidden;
mod keys;
mod known;
mod logins;
mod names;
mod pairs;
mod scan;
mod tokens;

use std::path::Path;
use std::sync::LazyLock;

use pinfold_archive::tar::Entry;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::units;
use pinfold_image::survey::Renamed;
use pinfold_image::survey::Survey;
use pinfold_image::survey::Watch;

use self::archives::Archives;
use self::archives::Aside;
pub use self::documents::config;
use self::names::Names;
pub use self::scan::Scan;
pub use self::scan::Scanner;
use super::checks::Check;
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

/// What was found of files or of members, with what is known to be no secret.
#[derive(Debug, Default)]
struct Found {
    findings: Vec<Finding>,
    more: usize,
    /// Secrets that are known to be none.
    known: usize,
}

impl Found {
    /// Puts what is at a path of a layer, which is counted from 0.
    fn put(&mut self, at: &str, layer: usize, secrets: &[Secret]) {
        for secret in secrets {
            if known::file(at, secret.what).is_some() {
                self.known += 1;
            } else if self.findings.len() < SECRETS_MAX {
                let problem = format!("{} at byte {}, in layer {}", secret.what, secret.offset, layer + 1);
                self.findings.push(Finding { at: at.to_owned(), problem });
            } else {
                self.more += 1;
            }
        }
    }

    /// Tells what is beside the bytes of what is at a path, whose name may be what is not told.
    fn tell(&mut self, path: &ImagePath, problem: String) {
        if self.findings.len() < SECRETS_MAX {
            self.findings.push(Finding { at: hidden::path(path), problem });
        } else {
            self.more += 1;
        }
    }

    fn is_empty(&self) -> bool {
        self.findings.is_empty()
    }

    /// All of them, known ones too.
    fn count(&self) -> usize {
        self.findings.len() + self.more + self.known
    }

    /// For the evidence: how many protect nothing.
    fn known(&self) -> String {
        match self.known {
            0 => String::new(),
            count => format!("; {count} known keys that protect nothing"),
        }
    }

    fn outcome(self, check: Check, evidence: String) -> Outcome {
        let mut outcome = Outcome::looked(check, evidence, self.findings);
        outcome.more += self.more;
        outcome
    }
}

/// The files of an image as they pass by, and the secrets in them.
#[derive(Debug)]
pub struct Files<'a> {
    scan: Scan<'a>,
    scanner: &'a Scanner,
    names: Names,
    archives: Archives<'a>,
    at: Option<(usize, ImagePath, Aside)>,
    found: Found,
    count: usize,
    bytes: u64,
}

impl<'a> Files<'a> {
    /// Before the first; archives that are large are set aside in files of `directory` that have no name.
    pub fn new(scanner: &'a Scanner, directory: &Path) -> Self {
        let archives = Archives::new(scanner, directory);
        let (scan, names, found) = (scanner.scan(), Names::default(), Found::default());
        Self { scan, scanner, names, archives, at: None, found, count: 0, bytes: 0 }
    }

    /// What came of it: of files, and of archives among them.
    pub fn outcomes(self) -> [Outcome; 2] {
        let mut evidence = format!("{} files of all layers, {}", self.count, units::bytes(self.bytes));
        evidence.push_str(&self.found.known());
        [self.found.outcome(SECRETS_FILES, evidence), self.archives.outcome(self.count)]
    }
}

impl Watch for Files<'_> {
    fn entry(&mut self, layer: usize, path: &ImagePath, of: Option<&ImagePath>, entry: &Entry) {
        self.names.entry(self.scanner, (layer, path), of, entry, &mut self.found);
    }

    fn begin(&mut self, layer: usize, path: &ImagePath, _size: u64) {
        self.scan.begin(path);
        self.count += 1;
        self.at = Some((layer, path.clone(), Aside::begin(path)));
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.scan.feed(bytes);
        if let Some((.., aside)) = &mut self.at {
            aside.feed(bytes, &self.archives.directory, &self.archives.limits);
        }
    }

    fn end(&mut self) {
        let secrets = self.scan.end();
        let Some((layer, path, aside)) = self.at.take() else { return };
        let kept = aside.end(&self.archives.directory, &self.archives.limits);
        // What stands in an archive as it is would be told twice.
        if kept.map_or(0, |kept| self.archives.look(kept, &path, layer)) == 0 && !secrets.is_empty() {
            let name = path.to_string();
            for secret in secrets.iter().filter(|secret| known::file(&name, secret.what).is_some()) {
                self.names.known(layer, &path, *secret);
            }
            self.found.put(&name, layer, &secrets);
        }
    }

    fn again(&mut self, survey: &Survey) -> Vec<Renamed> {
        self.names.again(survey, &mut self.found)
    }
}

/// What a text is that is a secret, if it is one; where it is the value of a name, by that too. Never what stands in it.
pub fn spotted(name: &str, text: &[u8]) -> Option<&'static str> {
    static SCANNER: LazyLock<Scanner> = LazyLock::new(Scanner::new);
    match std::str::from_utf8(text) {
        Ok(value) if !name.is_empty() => pairs::named(&SCANNER, name, value),
        _ => SCANNER.text(text).first().map(|secret| secret.what),
    }
}

/// How evenly the bytes of a text are spread: bits of a byte, 0 for one letter repeated.
fn entropy(text: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in text {
        counts[usize::from(*byte)] += 1;
    }
    let length = f64::from(u32::try_from(text.len()).unwrap_or(u32::MAX));
    let mut bits = 0.0;
    for byte in text {
        let count = std::mem::take(&mut counts[usize::from(*byte)]);
        if count > 0 {
            let share = f64::from(count) / length;
            bits -= share * share.log2();
        }
    }
    bits
}

/// Whether a text is a digest of the two algorithms of images.
fn is_digest(text: &str) -> bool {
    text.parse::<Digest>().is_ok()
}

#[cfg(test)]
mod tests;
