//! Which versions a request means: ranges, exact versions, tags and aliases, as npm reads them.
//!
//! Ranges are those of node's `semver`; the table in `range/ranges.txt` holds its own answers.

use deno_semver::Version;
use deno_semver::VersionReq;

use super::AgeRule;
use super::packument::Packument;
use super::packument::Release;
use super::packument::check_name;

/// A request as written in a manifest or under `dependencies`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spec {
    /// A range or an exact version.
    Range(VersionReq),
    /// A `dist-tag`, such as `latest`.
    Tag(String),
    /// `npm:NAME@SPEC`: another package under this name.
    Alias {
        /// The package that is meant.
        name: String,
        /// Which of its versions.
        spec: Box<Self>,
    },
}

impl Spec {
    /// Reads a request. The error says in words what is wrong.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.trim();
        if text.len() > 4096 {
            return Err("it is too long");
        }
        if let Some(alias) = text.strip_prefix("npm:") {
            let at = alias.char_indices().skip(1).find(|(_, c)| *c == '@').map(|(at, _)| at);
            let (name, spec) = at.map_or((alias, "*"), |at| (&alias[..at], &alias[at + 1..]));
            check_name(name).map_err(|_| "the alias does not name a package")?;
            return match Self::parse(spec)? {
                Self::Alias { .. } => Err("an alias of an alias"),
                spec => Ok(Self::Alias { name: name.to_owned(), spec: Box::new(spec) }),
            };
        }
        if text.contains([':', '/']) || text.starts_with("./") {
            return Err("packages by URL, git, file or workspace are not supported");
        }
        // An empty alternative allows everything, also at the end, where the parser drops it.
        let text = if text.ends_with("||") { "*" } else { text };
        let request = VersionReq::parse_from_npm(text).map_err(|_| "it is no range, version or tag")?;
        Ok(match request.tag() {
            Some(tag) => Self::Tag(tag.to_owned()),
            None => Self::Range(request),
        })
    }

    /// Whether a version satisfies a range. A tag is satisfied by nothing but what it points to, which is not known here.
    pub fn matches(&self, version: &Version) -> bool {
        match self {
            Self::Range(range) => range.matches(version),
            Self::Tag(_) => false,
            Self::Alias { spec, .. } => spec.matches(version),
        }
    }

    /// The package that is meant by a request for `name`.
    pub fn package<'a>(&'a self, name: &'a str) -> &'a str {
        match self {
            Self::Alias { name, .. } => name,
            _ => name,
        }
    }

    /// The request without its alias.
    pub fn inner(&self) -> &Self {
        match self {
            Self::Alias { spec, .. } => spec,
            other => other,
        }
    }
}

/// What npm would take (`npm-pick-manifest` with `before`): the version a tag points to; for a range the `latest` tag's version
/// when it fits, else the newest that is not deprecated, else the newest. What is too young does not count; a tag that
/// points to something too young gives the newest older version.
/// The error says why nothing fits.
pub fn pick<'a>(packument: &'a Packument, spec: &Spec, age: &AgeRule) -> Result<&'a Release, String> {
    if packument.releases.is_empty() {
        return Err("it has no versions".into());
    }
    let old = |release: &Release| age.allows(release.published);
    let latest = packument.tags.get("latest").and_then(|tag| packument.release(tag));
    let mut young: Option<&Release> = None;
    let candidates: Vec<(&Version, &Release)> = match spec.inner() {
        Spec::Tag(tag) => {
            let Some(target) = packument.tags.get(tag) else {
                let known: Vec<_> = packument.tags.keys().map(String::as_str).take(8).collect();
                return Err(format!("there is no tag `{tag}`, only {}", known.join(", ")));
            };
            let Some(release) = packument.release(target) else {
                return Err(format!("its tag `{tag}` points to {target}, which is not there"));
            };
            if old(release) {
                return Ok(release);
            }
            young = Some(release);
            let Ok(limit) = Version::parse_from_npm(target) else {
                return Err(format!("its tag `{tag}` points to {target}, which is no version"));
            };
            packument.releases.range(..limit).filter(|(version, _)| version.pre.is_empty()).collect()
        }
        Spec::Range(range) => {
            if let Some(latest) = latest.filter(|latest| old(latest))
                && Version::parse_from_npm(&latest.version).is_ok_and(|version| range.matches(&version))
            {
                return Ok(latest);
            }
            let found: Vec<_> =
                packument.releases.iter().filter(|(version, _)| range.matches(version)).collect();
            if found.is_empty() && range.version_text().trim() == "*" {
                // npm falls back to prereleases when there is nothing else.
                packument.releases.iter().collect()
            } else {
                found
            }
        }
        Spec::Alias { .. } => return Err("an alias of an alias".into()),
    };
    let newest = |deprecated: bool| {
        candidates
            .iter()
            .rev()
            .map(|(_, release)| *release)
            .find(|release| old(release) && release.deprecated.is_some() == deprecated)
    };
    newest(false).or_else(|| newest(true)).ok_or_else(|| {
        match young.or_else(|| candidates.last().map(|(_, release)| *release)) {
            Some(release) => too_young(release, age),
            None => match packument.releases.last_key_value() {
                Some((_, newest)) => format!("the newest there is {}", newest.version),
                None => "it has no versions".into(),
            },
        }
    })
}

/// Why a release is held back.
pub(super) fn too_young(release: &Release, age: &AgeRule) -> String {
    let least = duration(age.min_age);
    match release.published {
        Some(time) => {
            format!(
                "{} is {} old and must be at least {least}",
                release.version,
                duration(age.now.saturating_sub(time))
            )
        }
        None => format!(
            "the registry does not say when {} was published, and it must be at least {least} old",
            release.version
        ),
    }
}

/// A length of time for people: the largest unit that fits.
fn duration(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..3600 => (seconds / 60, "minute"),
        3600..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
