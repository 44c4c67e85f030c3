//! `[[debian.archive]]`: further Debian archives, each with its own keys.
//!
//! **Refuses**: logins in addresses, components of a flat archive, priority 0, which apt does not have either.

use std::path::PathBuf;

use pinfold_base::Arch;
use pinfold_base::http::Auth;
use pinfold_sources::debian::lock::AskedSuite;
use pinfold_sources::debian::lock::mirrors;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::project::manifest::ManifestError;

/// A table of `[[debian.archive]]` as typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ArchiveFile {
    /// Where it is: an address, or what this machine calls it: `debian`, `debian-security`, or the name of a file of apt's
    /// sources.
    uri: String,
    /// The suite. One that ends in a slash is a directory: a flat archive.
    suite: String,
    /// Components; `["main"]` unless said, none of a flat archive.
    components: Option<Vec<String>>,
    /// The keys that alone may sign for it, in a file beside the manifest, instead of `Signed-By` of the machine's apt source.
    keyring: Option<PathBuf>,
    /// How apt pins its packages: 500 unless said or its Release file says otherwise; below zero nothing comes by itself, from
    /// 1000 on it replaces what is locked.
    priority: Option<i64>,
    /// Architectures it is read for; all unless said.
    architectures: Option<Vec<Architecture>>,
}

/// An architecture by Debian's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// x86-64
    Amd64,
    /// AArch64
    Arm64,
}

/// What it means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DebianArchive {
    /// Where it is, as written.
    pub uri: String,
    /// Its name in lock and messages.
    pub name: String,
    /// The suite.
    pub suite: String,
    /// Components.
    pub components: Vec<String>,
    /// apt's pin.
    pub priority: Option<i16>,
    /// Architectures; all where there is none.
    pub architectures: Vec<Architecture>,
    /// The file of its keys, seen from the project's directory. What a lock answers is what is in it.
    #[serde(skip)]
    pub keyring: Option<PathBuf>,
}

impl ArchiveFile {
    pub(super) fn meaning(self) -> Result<DebianArchive, ManifestError> {
        let wrong =
            |key: &str, message: String| ManifestError::value(format!("debian.archive.{key}"), message);
        let flat = self.suite.ends_with('/');
        let name = mirrors::name_of(&self.uri).map_err(|error| wrong("uri", error.to_string()))?;
        if mirrors::is_address(&self.uri) {
            if self.uri.contains(['?', '#'])
                || mirrors::address(&self.uri).is_ok_and(|url| url.auth() != Auth::None)
            {
                let message =
                    "it holds a login or a query: write the login to apt's `auth.conf`, which is read";
                return Err(wrong("uri", message.into()));
            }
        } else if !is_word(&self.uri) {
            return Err(wrong("uri", format!("`{}` is neither an address nor a name", self.uri)));
        }
        let directory =
            if flat { self.suite.trim_start_matches("./").trim_matches('/') } else { self.suite.as_str() };
        if !(is_path(directory) || flat && matches!(directory, "" | ".")) {
            return Err(wrong("suite", format!("`{}` is no suite name", self.suite)));
        }
        let components = match (self.components, flat) {
            (Some(components), true) if !components.is_empty() => {
                return Err(wrong(
                    "components",
                    format!("`{}` is a flat archive, which has none", self.suite),
                ));
            }
            (_, true) => Vec::new(),
            (components, false) => components.unwrap_or_else(|| vec!["main".into()]),
        };
        if let Some(odd) = components.iter().find(|component| !is_path(component)) {
            return Err(wrong("components", format!("`{odd}` is no component")));
        }
        let priority = match self.priority.map(i16::try_from) {
            None => None,
            Some(Ok(priority)) if priority != 0 => Some(priority),
            Some(_) => {
                return Err(wrong("priority", "expected a number from -32768 to 32767, but 0".into()));
            }
        };
        let architectures = self.architectures.unwrap_or_default();
        let (uri, suite, keyring) = (self.uri, self.suite, self.keyring);
        Ok(DebianArchive { uri, name, suite, components, priority, architectures, keyring })
    }
}

impl DebianArchive {
    /// As the crate of sources reads it.
    pub(super) fn asked(&self) -> AskedSuite {
        let arch = |architecture: &Architecture| match architecture {
            Architecture::Amd64 => Arch::Amd64,
            Architecture::Arm64 => Arch::Arm64,
        };
        AskedSuite {
            archive: self.name.clone(),
            name: self.suite.clone(),
            components: self.components.clone(),
            priority: self.priority,
            arches: self.architectures.iter().map(arch).collect(),
        }
    }
}

/// Whether a text can be the name of something in a path.
fn is_word(text: &str) -> bool {
    !matches!(text, "" | "." | "..")
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

/// Whether a text is the name of a suite or a component, which may have several parts.
pub(super) fn is_path(text: &str) -> bool {
    text.split('/').all(is_word)
}
