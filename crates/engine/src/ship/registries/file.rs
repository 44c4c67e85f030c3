//! `registries.conf` of containers tools, version 2 (containers-registries.conf(5)): where the images of a name are.
//!
//! ```text
//! unqualified-search-registries = ["registry.example"]
//! [aliases]
//! "node" = "registry.example/library/node"
//! [[registry]]
//! prefix = "registry.example/team"      # or "*.example"; the location where it is missing
//! location = "mirror.example/team"
//! insecure = false
//! blocked = false
//! mirror-by-digest-only = false
//! [[registry.mirror]]
//! location = "near.example/team"
//! pull-from-mirror = "all"              # digest-only, tag-only
//! ```
//!
//! Pure: text to a value. Keys that say nothing here (`short-name-mode`, `credential-helpers`) are passed over.
//!
//! **Refuses**: version 1 of the format (`[registries.search]`), places that are none.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::place::Prefix;
use super::place::Spot;

/// The longest file that is read, in bytes.
pub(super) const MAX: u64 = 1 << 20;

/// One such file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct RegistriesFile {
    /// Where names without a registry are looked for.
    pub(super) unqualified_search_registries: Option<Vec<String>>,
    /// What some of these names mean.
    pub(super) aliases: BTreeMap<String, String>,
    /// What is said of registries.
    #[serde(rename = "registry")]
    pub(super) registries: Vec<Entry>,
    /// Version 1.
    #[serde(rename = "registries")]
    old: Option<serde::de::IgnoredAny>,
}

/// What is said of one registry, or of a part of one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct Entry {
    pub(super) prefix: Option<Prefix>,
    pub(super) location: Option<Spot>,
    pub(super) insecure: Option<bool>,
    pub(super) blocked: bool,
    pub(super) mirror_by_digest_only: bool,
    #[serde(rename = "mirror")]
    pub(super) mirrors: Vec<Mirror>,
}

/// Where else its images are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Mirror {
    pub(super) location: Spot,
    #[serde(default)]
    pub(super) insecure: Option<bool>,
    #[serde(default, rename = "pull-from-mirror")]
    pub(super) asked: From,
}

/// What is asked of a mirror.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum From {
    #[default]
    All,
    DigestOnly,
    TagOnly,
}

impl RegistriesFile {
    /// Reads a file.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        // The longer message of the parser shows lines of the file, which is the user's own.
        let file: Self = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        if file.old.is_some() {
            return Err("it is in version 1 of the format, which nobody reads any more".into());
        }
        for entry in &file.registries {
            match (&entry.prefix, &entry.location) {
                (None, None) => return Err("a `[[registry]]` has neither `prefix` nor `location`".into()),
                (Some(Prefix::Below(domain)), Some(_)) => {
                    return Err(format!(
                        "`*.{domain}` covers several registries, and one `location` does not"
                    ));
                }
                _ => {}
            }
        }
        Ok(file)
    }
}

impl Entry {
    /// What it is about.
    pub(super) fn prefix(&self) -> Option<Prefix> {
        self.prefix.clone().or_else(|| self.location.clone().map(Prefix::Spot))
    }
}
