//! Parts of registries, as configuration names them.

use std::fmt;
use std::str::FromStr;

use pinfold_base::authority::Authority;
use pinfold_base::authority::Grammar;
use pinfold_image::Reference;
use serde::Deserialize;

/// A registry, with the part of its repositories that is meant: `registry.example[:PORT][/team]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Spot {
    /// The registry.
    pub(super) host: String,
    /// The first parts of repositories; empty for all of them.
    pub(super) path: String,
}

impl Spot {
    /// What follows it in a repository, without a slash before it; `None` where it is about another.
    pub(super) fn rest<'a>(&self, host: &str, repository: &'a str) -> Option<&'a str> {
        if !self.host.eq_ignore_ascii_case(host) {
            return None;
        }
        match (repository.strip_prefix(self.path.as_str())?, self.path.is_empty()) {
            (rest, true) => Some(rest),
            ("", false) => Some(""),
            (rest, false) => rest.strip_prefix('/'),
        }
    }

    /// The repository here that has those last parts.
    pub(super) fn with(&self, rest: &str) -> String {
        match (self.path.is_empty(), rest.is_empty()) {
            (true, _) => rest.to_owned(),
            (false, true) => self.path.clone(),
            (false, false) => format!("{}/{rest}", self.path),
        }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "" => f.write_str(&self.host),
            path => write!(f, "{}/{path}", self.host),
        }
    }
}

impl FromStr for Spot {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{}` is no registry and no part of one", text.chars().take(300).collect::<String>());
        let (host, path) = text.split_once('/').unwrap_or((text, ""));
        Authority::read(host.as_bytes(), Grammar::Uri).map_err(|_| wrong())?;
        // Judged as the name of an image that is in it.
        let whole = format!("{}/x", text.trim_end_matches('/'));
        let reference: Reference = whole.parse().map_err(|_| wrong())?;
        if reference.name() != whole || reference.registry() != Some(host) || text.ends_with('/') {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), path: path.to_owned() })
    }
}

impl<'de> Deserialize<'de> for Spot {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What an entry is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Prefix {
    /// A part of a registry.
    Spot(Spot),
    /// All registries of a domain: `*.example`.
    Below(String),
}

impl Prefix {
    /// How near it comes to a name, for the nearest to win; `None` where it is about another.
    pub(super) fn covers(&self, host: &str, repository: &str) -> Option<Nearness> {
        match self {
            Self::Spot(spot) => {
                spot.rest(host, repository).map(|_| Nearness::Written(spot.to_string().len()))
            }
            Self::Below(domain) => {
                let host = host.rsplit_once(':').map_or(host, |(name, _)| name).to_ascii_lowercase();
                let inner = host.strip_suffix(domain.as_str())?.strip_suffix('.')?;
                (!inner.is_empty()).then_some(Nearness::Domain(domain.len()))
            }
        }
    }
}

/// How near an entry comes to a name: by how much of it is written. A registry that is written whole is nearer than any domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Nearness {
    Domain(usize),
    Written(usize),
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spot(spot) => spot.fmt(f),
            Self::Below(domain) => write!(f, "*.{domain}"),
        }
    }
}

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let Some(domain) = text.strip_prefix("*.") else {
            return text.parse().map(Self::Spot).map_err(serde::de::Error::custom);
        };
        let spot: Spot = domain.parse().map_err(serde::de::Error::custom)?;
        if spot.path.is_empty() {
            return Ok(Self::Below(spot.host.to_ascii_lowercase()));
        }
        Err(serde::de::Error::custom(format!("`{text}` names repositories of no one registry")))
    }
}
