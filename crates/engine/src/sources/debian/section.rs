//! `[debian]` of the manifest and of the lock.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Platform;
use pinfold_base::text::nearest;
use pinfold_sources::debian::lock::Freshness;
use pinfold_sources::debian::locked::LockedDeb;
use pinfold_sources::debian::locked::LockedSuite;
use pinfold_sources::debian::place::DebconfAnswer;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde::de::value::SeqAccessDeserializer;

use super::Debian;
use crate::project::manifest::ManifestError;
use crate::sources::Section;

/// How much of Debian is there before the packages asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Base {
    /// Essential, Priority: required and apt: what `debootstrap --variant=minbase` makes.
    #[default]
    Minbase,
    /// The Essential set without apt.
    Essential,
    /// Only the packages asked for and what they need; package metadata in `status.d`, no dpkg.
    None,
}

/// An answer to a question of debconf: a text, `true` or `false`, or a list of choices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Answer {
    /// A text.
    Text(String),
    /// Yes or no.
    Truth(bool),
    /// Several choices.
    List(Vec<String>),
}

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Forms;

        impl<'de> Visitor<'de> for Forms {
            type Value = Answer;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, `true`, `false` or a list of texts")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Answer, E> {
                Ok(Answer::Text(text.to_owned()))
            }

            fn visit_bool<E: serde::de::Error>(self, truth: bool) -> Result<Answer, E> {
                Ok(Answer::Truth(truth))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Answer, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(list)).map(Answer::List)
            }
        }

        deserializer.deserialize_any(Forms)
    }
}

impl Answer {
    /// As the crate of sources reads it.
    pub(super) fn meant(&self) -> DebconfAnswer {
        match self {
            Self::Text(text) => DebconfAnswer::Text(text.clone()),
            Self::Truth(truth) => DebconfAnswer::Text(truth.to_string()),
            Self::List(list) => DebconfAnswer::List(list.clone()),
        }
    }
}

/// `[debian]` as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DebianFile {
    /// Release name. Its `-updates` and `-security` suites come along, where it has them.
    suite: Option<String>,
    /// The exact suites, instead of `suite`.
    suites: Option<Vec<String>>,
    /// Whether the `-backports` suite of `suite` is there too: for packages asked for as `name/SUITE-backports`, and for those
    /// that are nowhere else.
    backports: Option<bool>,
    /// Archive components; `["main"]` unless said.
    components: Option<Vec<String>>,
    /// `minbase`, `essential` or `none`.
    base: Option<Base>,
    /// Packages, as `name`, `name=version` or `name/suite`.
    packages: Option<Vec<String>>,
    /// Packages besides those of the preset or of `packages`; a version asked for here replaces theirs.
    add: Option<Vec<String>>,
    /// Packages of the preset, by name, that are left out.
    remove: Option<Vec<String>>,
    /// Whether Recommends are installed too.
    recommends: Option<bool>,
    /// Whether documentation and translations are left out (default true).
    slim: Option<bool>,
    /// Address of a Debian archive, instead of the machine's own.
    mirror: Option<String>,
    /// Address of a Debian security archive, instead of the machine's own.
    security_mirror: Option<String>,
    /// Template of a snapshot archive: `https://…/{archive}/{timestamp}`.
    snapshot: Option<String>,
    /// The keys that may sign, in a file beside the manifest, instead of the machine's.
    keyring: Option<PathBuf>,
    /// Whether metadata past its `Valid-Until` is refused (default true).
    check_valid_until: Option<bool>,
    /// Answers to questions of debconf: `"PACKAGE/QUESTION" = "value"`.
    debconf: BTreeMap<String, Answer>,
}

/// What `[debian]` means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DebianRequest {
    /// Suites to take packages from, in order: `bookworm`, `bookworm-updates`, `bookworm-security`.
    pub suites: Vec<String>,
    /// Archive components.
    pub components: Vec<String>,
    /// What is there before `packages`.
    pub base: Base,
    /// Packages asked for, in order.
    pub packages: Vec<String>,
    /// Packages that were taken out of a preset's. What is asked of archives is in `packages`.
    #[serde(skip)]
    pub removed: Vec<String>,
    /// Whether Recommends are followed.
    pub recommends: bool,
    /// Whether documentation and translations are left out as in Debian's slim images.
    pub slim: bool,
    /// Answers to debconf's questions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub debconf: BTreeMap<String, Answer>,
    /// Where they are fetched from. Not part of what an image is made of.
    #[serde(skip)]
    pub mirrors: DebianMirrors,
}

/// Where packages are fetched from when the machine's own configuration shall not decide. Not part of the request: the
/// lock holds no addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DebianMirrors {
    /// Debian archive.
    pub archive: Option<String>,
    /// Debian security archive.
    pub security: Option<String>,
    /// Template of a snapshot archive for superseded packages, with `{archive}` and `{timestamp}`.
    pub snapshot: Option<String>,
    /// Keys that may sign for the archives, instead of the machine's: a file, seen from the project's directory.
    pub keyring: Option<PathBuf>,
    /// Whether the archives' metadata must be recent.
    pub freshness: Freshness,
}

/// `[debian]` of the lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedDebian {
    /// Provenance of the metadata.
    pub suites: Vec<LockedSuite>,
    /// Packages per platform, by name.
    pub packages: BTreeMap<Platform, Vec<LockedDeb>>,
}

/// Suites that are the newest of their kind at any time, and stand alone.
const MOVING: [&str; 4] = ["experimental", "rc-buggy", "sid", "unstable"];

impl Section for Debian {
    type Typed = Option<DebianFile>;
    type Request = Option<DebianRequest>;
    type Locked = Option<LockedDebian>;

    fn overlaid(preset: Self::Typed, over: Self::Typed) -> Self::Typed {
        let (Some(base), Some(over)) = (preset.clone(), over.clone()) else { return over.or(preset) };
        Some(DebianFile {
            suite: if over.suites.is_some() { over.suite } else { over.suite.or(base.suite) },
            suites: over.suites.or(base.suites),
            backports: over.backports.or(base.backports),
            components: over.components.or(base.components),
            base: over.base.or(base.base),
            packages: over.packages.or(base.packages),
            add: Some([base.add, over.add].into_iter().flatten().flatten().collect()),
            remove: Some([base.remove, over.remove].into_iter().flatten().flatten().collect()),
            recommends: over.recommends.or(base.recommends),
            slim: over.slim.or(base.slim),
            mirror: over.mirror.or(base.mirror),
            security_mirror: over.security_mirror.or(base.security_mirror),
            snapshot: over.snapshot.or(base.snapshot),
            keyring: over.keyring.or(base.keyring),
            check_valid_until: over.check_valid_until.or(base.check_valid_until),
            debconf: base.debconf.into_iter().chain(over.debconf).collect(),
        })
    }

    fn meaning(typed: Self::Typed, _: &Path) -> Result<Self::Request, ManifestError> {
        typed.map(DebianFile::meaning).transpose()
    }
}

impl DebianFile {
    fn meaning(self) -> Result<DebianRequest, ManifestError> {
        let backports = self.backports.unwrap_or(false);
        let none = |suite: &str| {
            ManifestError::value("debian.backports", format!("`{suite}` has no backports: leave the key out"))
        };
        let suites = match (self.suites, self.suite) {
            (Some(suites), _) if !suites.is_empty() => {
                if backports {
                    let message = "it goes with `suite`: name the suite of backports among `suites`";
                    return Err(ManifestError::value("debian.backports", message));
                }
                suites
            }
            // What moves all the time has no updates and no security suite beside it.
            (_, Some(suite)) if MOVING.contains(&suite.as_str()) => {
                if backports {
                    return Err(none(&suite));
                }
                match suite.as_str() {
                    "experimental" | "rc-buggy" => vec!["sid".to_owned(), suite],
                    _ => vec![suite],
                }
            }
            (_, Some(suite)) => {
                if backports && ["testing", "forky"].contains(&suite.as_str()) {
                    return Err(none(&suite));
                }
                let derived = ["updates", "security", "backports"].into_iter();
                let derived = derived.filter(|kind| *kind != "backports" || backports);
                let derived: Vec<String> = derived.map(|kind| format!("{suite}-{kind}")).collect();
                [vec![suite], derived].concat()
            }
            _ => {
                return Err(ManifestError::value(
                    "debian.suite",
                    "it is missing: write `suite = \"bookworm\"`",
                ));
            }
        };
        for suite in &suites {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
            if suite.is_empty()
                || !suite.bytes().all(fits)
                || suite.split('/').any(|part| matches!(part, "" | "." | ".."))
            {
                return Err(ManifestError::value("debian.suite", format!("`{suite}` is no suite name")));
            }
        }
        let mut packages = self.packages.unwrap_or_default();
        let removed = self.remove.unwrap_or_default();
        for wanted in &removed {
            let before = packages.len();
            packages.retain(|package| name_of(package) != wanted);
            if packages.len() == before {
                let near = nearest(wanted, packages.iter().map(|package| name_of(package)));
                let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                let message = format!("`{wanted}` is not among the packages of the preset{near}");
                return Err(ManifestError::value("debian.remove", message));
            }
        }
        for package in self.add.unwrap_or_default() {
            packages.retain(|old| name_of(old) != name_of(&package));
            packages.push(package);
        }
        for package in &packages {
            let name = name_of(package);
            let fits =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
            // Debian Policy 5.6.1
            if name.len() < 2 || !name.bytes().all(fits) || !name.as_bytes()[0].is_ascii_alphanumeric() {
                return Err(ManifestError::value(
                    "debian.packages",
                    format!(
                        "`{package}` is no package name: expected `name`, `name=version` or `name/suite`"
                    ),
                ));
            }
        }
        let recent = self.check_valid_until.unwrap_or(true);
        Ok(DebianRequest {
            suites,
            components: self.components.unwrap_or_else(|| vec!["main".into()]),
            base: self.base.unwrap_or_default(),
            packages,
            removed,
            recommends: self.recommends.unwrap_or(false),
            slim: self.slim.unwrap_or(true),
            debconf: self.debconf,
            mirrors: DebianMirrors {
                archive: self.mirror,
                security: self.security_mirror,
                snapshot: self.snapshot,
                keyring: self.keyring,
                freshness: if recent { Freshness::Checked } else { Freshness::Unchecked },
            },
        })
    }
}

/// The name in `name`, `name=version` or `name/suite`.
pub(super) fn name_of(package: &str) -> &str {
    package.split(['=', '/']).next().unwrap_or_default()
}
