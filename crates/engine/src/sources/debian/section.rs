//! `[debian]` of the manifest and of the lock.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Platform;
use pinfold_base::text::nearest;
use pinfold_sources::debian::lock::Freshness;
use pinfold_sources::debian::lock::mirrors::archive_of;
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
use super::further::ArchiveFile;
use super::further::DebianArchive;
use super::further::is_path;
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
    /// Further archives, such as a vendor's.
    archive: Vec<ArchiveFile>,
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
    /// Further archives, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub archives: Vec<DebianArchive>,
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

impl DebianRequest {
    /// Every file of keys that is named.
    pub fn keyrings(&self) -> impl Iterator<Item = &PathBuf> {
        self.mirrors.keyring.iter().chain(self.archives.iter().filter_map(|archive| archive.keyring.as_ref()))
    }
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

impl Section for Debian {
    type Typed = Option<DebianFile>;
    type Request = Option<DebianRequest>;
    type Locked = Option<LockedDebian>;

    fn overlaid(preset: Self::Typed, over: Self::Typed) -> Self::Typed {
        let (Some(base), Some(over)) = (preset.clone(), over.clone()) else { return over.or(preset) };
        let (suite, suites) = match (over.suite, over.suites) {
            (None, None) => (base.suite, base.suites),
            own => own,
        };
        Some(DebianFile {
            suite,
            suites,
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
            archive: [base.archive, over.archive].concat(),
        })
    }

    fn meaning(typed: Self::Typed, _: &Path) -> Result<Self::Request, ManifestError> {
        typed.map(DebianFile::meaning).transpose()
    }
}

impl DebianFile {
    fn meaning(self) -> Result<DebianRequest, ManifestError> {
        let suites = suites(self.suite, self.suites, self.backports.unwrap_or(false))?;
        let components = self.components.unwrap_or_else(|| vec!["main".into()]);
        if let Some(odd) = components.iter().find(|component| !is_path(component)) {
            return Err(ManifestError::value("debian.components", format!("`{odd}` is no component")));
        }
        let archives = self.archive.into_iter().map(ArchiveFile::meaning).collect::<Result<Vec<_>, _>>()?;
        let mut named: BTreeSet<(&str, &str)> =
            suites.iter().map(|suite| (archive_of(suite), suite.as_str())).collect();
        if let Some(twice) = archives.iter().find(|one| !named.insert((&one.name, &one.suite))) {
            let message = format!("`{}` of `{}` is there already", twice.suite, twice.name);
            return Err(ManifestError::value("debian.archive", message));
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
            components,
            base: self.base.unwrap_or_default(),
            packages,
            removed,
            recommends: self.recommends.unwrap_or(false),
            slim: self.slim.unwrap_or(true),
            debconf: self.debconf,
            archives,
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

/// How suites end that stand beside a release.
const BESIDE: [&str; 5] = ["proposed-updates", "backports-sloppy", "backports", "security", "updates"];

/// The suites of Debian's own archives.
fn suites(
    suite: Option<String>,
    suites: Option<Vec<String>>,
    backports: bool,
) -> Result<Vec<String>, ManifestError> {
    let (mut suites, beside) = match (suite, suites.filter(|suites| !suites.is_empty())) {
        (Some(_), Some(_)) => {
            let message =
                "`suite` is there too, which brings its updates and security suites: keep one of the two";
            return Err(ManifestError::value("debian.suites", message));
        }
        (None, Some(suites)) => {
            (suites, Err("it goes with `suite`: name the suite of backports among `suites`".to_owned()))
        }
        (Some(suite), None) => {
            let beside =
                BESIDE.iter().find_map(|end| Some((suite.strip_suffix(end)?.strip_suffix('-')?, *end)));
            if let Some((release, end)) = beside {
                let message = match end {
                    "backports" => format!("write `suite = \"{release}\"` and `backports = true`"),
                    "security" | "updates" => {
                        format!("write `suite = \"{release}\"`, which brings `{suite}` along")
                    }
                    _ => format!(
                        "write `suites = [\"{release}\", \"{release}-updates\", \"{release}-security\", \"{suite}\"]`"
                    ),
                };
                let message = format!("`{suite}` stands beside a release: {message}");
                return Err(ManifestError::value("debian.suite", message));
            }
            let none = format!("`{suite}` has no backports: leave the key out");
            match suite.as_str() {
                "experimental" | "rc-buggy" => (vec!["sid".to_owned(), suite], Err(none)),
                // What moves all the time has no updates and no security suite beside it.
                "sid" | "unstable" => (vec![suite], Err(none)),
                _ => {
                    let [updates, security, backports] =
                        ["updates", "security", "backports"].map(|kind| format!("{suite}-{kind}"));
                    let backports = if ["testing", "forky"].contains(&suite.as_str()) {
                        Err(none)
                    } else {
                        Ok(backports)
                    };
                    (vec![suite, updates, security], backports)
                }
            }
        }
        (None, None) => {
            return Err(ManifestError::value("debian.suite", "it is missing: write `suite = \"bookworm\"`"));
        }
    };
    if backports {
        suites.push(beside.map_err(|message| ManifestError::value("debian.backports", message))?);
    }
    match suites.iter().find(|suite| !is_path(suite)) {
        Some(odd) => Err(ManifestError::value("debian.suite", format!("`{odd}` is no suite name"))),
        None => Ok(suites),
    }
}

/// The name in `name`, `name=version` or `name/suite`.
pub(super) fn name_of(package: &str) -> &str {
    package.split(['=', '/']).next().unwrap_or_default()
}
