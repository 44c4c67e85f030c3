//! What was typed: every key optional, unknown keys refused, and one manifest laid over another.
//!
//! Overlaying (a preset by the user's file): tables merge key by key, plain values and arrays replace, arrays of tables
//! (`[[file]]`, `[[dir]]`, `[[link]]`, `[[build]]`, `[[binary]]`) add up, where an entry for a path that the preset has replaces it, whatever
//! kind either is of; a `[[test]]` replaces that of its name. What a source reads is typed in the source's folder ([`crate::sources`]).

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;

use pinfold_base::Platform;
use pinfold_base::text::nearest;
use pinfold_image::Reference;
use pinfold_sources::npm::AgeRule;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use super::AbsolutePath;
use super::Age;
use super::Compression;
use super::Dir;
use super::File;
use super::Image;
use super::Layers;
use super::Link;
use super::Manifest;
use super::ManifestError;
use super::MissingTime;
use super::PlatformName;
use super::Policy;
use super::Run;
use super::SetId;
use super::Skipped;
use super::User;
use super::environment;
use super::test;
use super::test::TestFile;
use super::value::TextOr;
use crate::sources::Section;
use crate::sources::each_source;
use crate::sources::nix::RootFile;
use crate::sources::nix::set::ReadFile;
use crate::sources::nix::set::Set;

/// Largest manifest accepted, in bytes.
pub(in crate::project) const MAX_SIZE: u64 = 1 << 20;

/// The refusal of a manifest beyond [`MAX_SIZE`].
pub(in crate::project) fn too_long() -> ManifestError {
    ManifestError::value("(file)", "it is larger than 1 MiB")
}

/// An agent asked for: a built-in recipe's name, a path to a recipe file, or either with a version, or from the store of Nix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum AgentRequest {
    /// `"claude-code"` or `"./my-agent.toml"`.
    Name(String),
    /// The same with a version of one's own.
    Versioned {
        /// Recipe name or path.
        name: String,
        /// npm range, tag or exact version.
        version: String,
    },
    /// The same with its program from the store of Nix.
    Nix {
        /// Recipe name or path.
        name: String,
        /// Its package or store path, as a root of `[nix]`.
        nix: RootFile,
    },
}

/// An agent with details.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AgentTable {
    name: String,
    version: Option<String>,
    nix: Option<RootFile>,
}

impl<'de> Deserialize<'de> for AgentRequest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let AgentTable { name, version, nix } = match TextOr::deserialize(deserializer)? {
            TextOr::Text(name) => return Ok(Self::Name(name)),
            TextOr::Table(table) => table,
        };
        match (version, nix) {
            (Some(version), None) => Ok(Self::Versioned { name, version }),
            (None, Some(nix)) => Ok(Self::Nix { name, nix }),
            _ => Err(serde::de::Error::custom(
                "beside `name` stands either `version`, or `nix` with a package or a store path",
            )),
        }
    }
}

impl AgentRequest {
    /// Recipe name or path.
    pub fn name(&self) -> &str {
        match self {
            Self::Name(name) | Self::Versioned { name, .. } | Self::Nix { name, .. } => name,
        }
    }

    /// The version asked for, if any.
    pub fn version(&self) -> Option<&str> {
        match self {
            Self::Name(_) | Self::Nix { .. } => None,
            Self::Versioned { version, .. } => Some(version),
        }
    }

    /// What its program is in the store of Nix, if it comes from there.
    pub fn root(&self) -> Option<&RootFile> {
        match self {
            Self::Name(_) | Self::Versioned { .. } => None,
            Self::Nix { nix, .. } => Some(nix),
        }
    }
}

/// `[image]` as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct ImageFile {
    /// Entry point.
    entrypoint: Option<Vec<String>>,
    /// Default arguments.
    cmd: Option<Vec<String>>,
    /// Working directory.
    workdir: Option<AbsolutePath>,
    /// Environment.
    env: BTreeMap<String, String>,
    /// Labels.
    labels: BTreeMap<String, String>,
    /// Annotations.
    annotations: BTreeMap<String, String>,
    /// Volumes.
    volumes: Option<Vec<AbsolutePath>>,
    /// `gzip` or `zstd`.
    compression: Option<Compression>,
}

/// `[layers]` as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LayersFile {
    /// At most so many layers (default 60, at most 100).
    max: Option<usize>,
    /// Components to keep alone: `debian/perl`, `npm/typescript`.
    alone: Option<Vec<String>>,
}

/// `[policy]` as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PolicyFile {
    /// How long an npm version must have been public (default `3d`).
    min_age: Option<Age>,
    /// Largest compressed size per platform, such as `"700MiB"`.
    size_budget: Option<String>,
    /// `strip` (default), `keep`, or `{ keep = ["/path"] }`: set-id bits of these alone.
    set_id: Option<SetId>,
    /// `refuse` (default) or `accept`: versions of npm packages whose registry does not say when they were published.
    missing_time: Option<MissingTime>,
}

/// What is typed under a package in `[scripts]`: `"skip: REASON"`, or each script by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ScriptsFile {
    /// `"skip: REASON"`: all scripts of the package.
    Whole(String),
    /// `preinst`, `config` or `postinst`, each `"skip: REASON"` or `{ skip = "REASON" }`.
    Each(BTreeMap<String, ScriptFile>),
}

/// What is typed for one script.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum ScriptFile {
    /// `"skip: REASON"`.
    Text(String),
    /// `{ skip = "REASON" }`.
    Table(Skip),
}

/// The table of [`ScriptFile::Table`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Skip {
    /// Why the image can do without it.
    skip: String,
}

impl<'de> Deserialize<'de> for Skip {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut keys = BTreeMap::<String, toml::Value>::deserialize(deserializer)?;
        let skip = keys.remove("skip");
        if let Some((other, _)) = keys.first_key_value() {
            // `libssl1.1.postinst` is a table in a table in a table.
            let told = if SCRIPTS.contains(&other.as_str()) || skip.is_none() {
                format!(
                    "`{other}` stands too deep: a package's name with a dot stands in quotes, as in `\"libssl1.1\".postinst`"
                )
            } else {
                format!("unknown field `{other}`, expected `skip`")
            };
            return Err(serde::de::Error::custom(told));
        }
        match skip {
            Some(toml::Value::String(skip)) => Ok(Self { skip }),
            Some(_) => Err(serde::de::Error::custom("`skip` is the reason, in quotes")),
            None => Err(serde::de::Error::missing_field("skip")),
        }
    }
}

impl<'de> Deserialize<'de> for ScriptsFile {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match TextOr::deserialize(deserializer)? {
            TextOr::Text(text) => Self::Whole(text),
            TextOr::Table(each) => Self::Each(each),
        })
    }
}

impl<'de> Deserialize<'de> for ScriptFile {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match TextOr::deserialize(deserializer)? {
            TextOr::Text(text) => Self::Text(text),
            TextOr::Table(table) => Self::Table(table),
        })
    }
}

impl ScriptsFile {
    fn meaning(self, package: &str) -> Result<Skipped, ManifestError> {
        let key = |script: &str| format!("scripts.{package}.{script}");
        match self {
            Self::Whole(text) => Ok(Skipped::All(reason(&format!("scripts.{package}"), &text)?)),
            Self::Each(each) => {
                let mut some = BTreeMap::new();
                for (script, answer) in each {
                    if !SCRIPTS.contains(&script.as_str()) {
                        let quoted = match (&answer, nearest(&script, SCRIPTS)) {
                            (_, Some(near)) => format!("did you mean `{near}`?"),
                            (ScriptFile::Text(_), None) => {
                                format!(
                                    "a package's name with a dot stands in quotes: `\"{package}.{script}\"`"
                                )
                            }
                            _ => format!("expected one of `{}`", SCRIPTS.join("`, `")),
                        };
                        return Err(ManifestError::value(
                            key(&script),
                            format!("`{script}` is no install script: {quoted}"),
                        ));
                    }
                    let why = match answer {
                        ScriptFile::Text(text) => reason(&key(&script), &text)?,
                        ScriptFile::Table(Skip { skip }) => skip.trim().to_owned(),
                    };
                    if why.is_empty() {
                        return Err(ManifestError::value(key(&script), "write the reason behind `skip`"));
                    }
                    some.insert(script, why);
                }
                Ok(Skipped::Some(some))
            }
        }
    }
}

/// The reason in `skip: REASON`.
fn reason(key: &str, text: &str) -> Result<String, ManifestError> {
    let reason = text.strip_prefix("skip:").map(str::trim).filter(|reason| !reason.is_empty());
    reason.map(str::to_owned).ok_or_else(|| {
        ManifestError::value(key, format!("`{text}` is not understood: write \"skip: \" and the reason"))
    })
}

/// Install scripts that can be skipped alone.
const SCRIPTS: [&str; 3] = ["preinst", "config", "postinst"];

/// Writes the parts of a manifest that belong to sources, from their list.
macro_rules! manifest {
    ($($(#[cfg($when:meta)])? $key:ident => $section:ident: $room:ident::$source:ident, $about:tt;)*) => {
        /// A manifest as typed.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
        #[schemars(title = "pinfold.toml")]
        pub struct ManifestFile {
            /// A built-in manifest to start from: `iteron`, `solo`, `sealed`, `sealed-debian`, `proxy` or `nix`.
            pub preset: Option<String>,
            /// Name of the image.
            name: Option<String>,
            /// Platforms; both unless said.
            platforms: Option<Vec<PlatformName>>,
            $($(#[cfg($when)])?
            #[doc = $about]
            $key: <crate::sources::$room::$source as Section>::Typed,)*
            /// Files.
            file: Vec<File>,
            /// Directories.
            dir: Vec<Dir>,
            /// Symbolic links.
            link: Vec<Link>,
            /// The image's user.
            user: Option<User>,
            /// Image configuration.
            image: Option<ImageFile>,
            /// Layering.
            layers: Option<LayersFile>,
            /// Policy.
            policy: Option<PolicyFile>,
            /// Install scripts to skip: `PACKAGE = "skip: reason"`, or `PACKAGE.postinst = { skip = "reason" }`.
            scripts: BTreeMap<String, ScriptsFile>,
            /// Sandbox defaults.
            run: Option<Run>,
            /// Tests of the image, for `verify`.
            #[serde(skip_serializing_if = "Vec::is_empty")]
            test: Vec<TestFile>,
        }

        /// What a manifest asks of each source.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        pub struct Requests {
            $($(#[cfg($when)])?
            #[doc = $about]
            pub $key: <crate::sources::$room::$source as Section>::Request,)*
        }

        impl ManifestFile {
            /// What sources read of `preset`, with `over` laid on top; nothing else.
            fn overlaid_sources(preset: &mut Self, over: &mut Self) -> Self {
                Self {
                    $($(#[cfg($when)])?
                    $key: crate::sources::$room::$source::overlaid(
                        std::mem::take(&mut preset.$key),
                        std::mem::take(&mut over.$key),
                    ),)*
                    ..Self::default()
                }
            }

            /// What is asked of the sources, for these platforms.
            fn requests(
                &mut self,
                directory: &Path,
                platforms: &[Platform],
            ) -> Result<Requests, ManifestError> {
                let requests = Requests {
                    $($(#[cfg($when)])?
                    $key: crate::sources::$room::$source::meaning(
                        std::mem::take(&mut self.$key),
                        directory,
                    )?,)*
                };
                $($(#[cfg($when)])?
                crate::sources::$room::$source::fits(&requests.$key, platforms)?;)*
                Ok(requests)
            }
        }
    };
}
each_source!(manifest);

impl ManifestFile {
    /// Reads TOML. Errors carry line, column and the line's text.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ManifestError> {
        if text.len() as u64 > MAX_SIZE {
            return Err(too_long());
        }
        toml::from_str(text).map_err(|error| ManifestError::from_toml(&error, file, text))
    }

    /// `self` with `over` laid on top.
    #[must_use]
    pub fn overlaid_by(mut self, mut over: Self) -> Self {
        let own = over.paths();
        self.build.retain(|old| !own.contains(&old.path));
        let sources = Self::overlaid_sources(&mut self, &mut over);
        self.file.retain(|old| !own.contains(&old.path));
        self.dir.retain(|old| !own.contains(&old.path));
        self.link.retain(|old| !own.contains(&old.path));
        self.test.retain(|old| over.test.iter().all(|new| new.name != old.name));
        Self {
            preset: over.preset,
            name: over.name.or(self.name),
            platforms: over.platforms.or(self.platforms),
            file: self.file.into_iter().chain(over.file).collect(),
            dir: self.dir.into_iter().chain(over.dir).collect(),
            link: self.link.into_iter().chain(over.link).collect(),
            user: over.user.or(self.user),
            image: merged(self.image, over.image, |base, over| ImageFile {
                entrypoint: over.entrypoint.or(base.entrypoint),
                cmd: over.cmd.or(base.cmd),
                workdir: over.workdir.or(base.workdir),
                env: environment::overlaid(base.env, over.env),
                labels: union(base.labels, over.labels),
                annotations: union(base.annotations, over.annotations),
                volumes: over.volumes.or(base.volumes),
                compression: over.compression.or(base.compression),
            }),
            layers: merged(self.layers, over.layers, |base, over| LayersFile {
                max: over.max.or(base.max),
                alone: over.alone.or(base.alone),
            }),
            policy: merged(self.policy, over.policy, |base, over| PolicyFile {
                min_age: over.min_age.or(base.min_age),
                size_budget: over.size_budget.or(base.size_budget),
                set_id: over.set_id.or(base.set_id),
                missing_time: over.missing_time.or(base.missing_time),
            }),
            scripts: union(self.scripts, over.scripts),
            run: over.run.or(self.run),
            test: self.test.into_iter().chain(over.test).collect(),
            ..sources
        }
    }

    /// Puts the set of `[nix]` that is named in its place: what is typed comes before what the set says.
    pub(crate) fn with_set(mut self, read: ReadFile<'_>) -> Result<Self, ManifestError> {
        let Some(nix) = &mut self.nix else { return Ok(self) };
        let Some(name) = nix.take_profile() else { return Ok(self) };
        let set = Set::find(&name, read)?;
        nix.add_roots(&set);
        let image = self.image.get_or_insert_default();
        image.env = environment::overlaid(set.env, std::mem::take(&mut image.env));
        if !set.mounts.is_empty() {
            self.run.get_or_insert_default().mounts.extend(set.mounts);
        }
        Ok(self)
    }

    /// Paths of the entries.
    fn paths(&self) -> BTreeSet<AbsolutePath> {
        let files = self.file.iter().map(|file| &file.path);
        let dirs = self.dir.iter().map(|dir| &dir.path);
        let links = self.link.iter().map(|link| &link.path);
        let builds = self.build.iter().map(|build| &build.path);
        files.chain(dirs).chain(links).chain(builds).cloned().collect()
    }

    /// Fills in defaults and checks what only makes sense together.
    pub fn meaning(mut self, directory: &Path) -> Result<Manifest, ManifestError> {
        let missing = || ManifestError::value("name", "it is missing: every image has a name");
        let name = self.name.take().ok_or_else(missing)?;
        check_name(&name)?;
        let mut platforms: Vec<Platform> = match self.platforms.take() {
            Some(names) => names.into_iter().map(|name| name.0).collect(),
            None => Platform::ALL.to_vec(),
        };
        platforms.sort_unstable();
        platforms.dedup();
        if platforms.is_empty() {
            return Err(ManifestError::value("platforms", "the list is empty: name at least one platform"));
        }
        let sources = self.requests(directory, &platforms)?;
        if let Some(user) = &self.user {
            check_user(user)?;
        }
        for file in &self.file {
            let sources = usize::from(file.source.is_some())
                + usize::from(!file.source_platform.is_empty())
                + usize::from(file.content.is_some());
            if sources != 1 {
                return Err(ManifestError::value(
                    format!("file `{}`", file.path),
                    "exactly one of `source`, `source-platform` and `content` is needed",
                ));
            }
        }
        let owned_by_user = self.file.iter().any(|file| file.owner == super::Owner::User)
            || self.dir.iter().any(|dir| dir.owner == super::Owner::User)
            || sources.build.iter().any(|build| build.owner == super::Owner::User);
        if owned_by_user && self.user.is_none() {
            return Err(ManifestError::value("user", "`owner = \"user\"` is used, but there is no `[user]`"));
        }
        let image = self.image.unwrap_or_default();
        for name in image.env.keys() {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(ManifestError::value("image.env", format!("`{name}` is no variable name")));
            }
        }
        // Not shown: somebody may have put the key there.
        let names = self.run.iter().flat_map(|run| run.credentials.keys());
        if names.flat_map(|name| name.split('/')).any(|part| part.trim().is_empty()) {
            let expected = "the name of an agent, or `AGENT/PROVIDER`, stands before each `=`";
            return Err(ManifestError::value("run.credentials", format!("a name is empty: {expected}")));
        }
        let layers = self.layers.unwrap_or_default();
        let max = layers.max.unwrap_or(60);
        if !(2..=100).contains(&max) {
            return Err(ManifestError::value("layers.max", format!("{max} is not between 2 and 100")));
        }
        let policy = self.policy.unwrap_or_default();
        let size_budget = match policy.size_budget {
            None => None,
            Some(text) => Some(parse_size(&text).ok_or_else(|| {
                ManifestError::value("policy.size-budget", format!("`{text}` is no size such as \"700MiB\""))
            })?),
        };
        let tests = test::meaning(self.test, self.user.as_ref())?;
        let mut scripts = BTreeMap::new();
        for (package, answer) in self.scripts {
            let skipped = answer.meaning(&package)?;
            scripts.insert(package, skipped);
        }
        Ok(Manifest {
            name,
            platforms,
            sources,
            files: self.file,
            dirs: self.dir,
            links: self.link,
            user: self.user,
            compression: image.compression.unwrap_or_default(),
            image: Image {
                entrypoint: image.entrypoint,
                cmd: image.cmd,
                workdir: image.workdir,
                env: image.env,
                labels: image.labels,
                annotations: image.annotations,
                volumes: image.volumes.unwrap_or_default(),
            },
            layers: Layers { max, alone: layers.alone.unwrap_or_default() },
            policy: Policy {
                min_age: policy.min_age.unwrap_or(Age(AgeRule::DEFAULT_MIN_AGE)),
                size_budget,
                set_id: policy.set_id.unwrap_or_default(),
                missing_time: policy.missing_time.unwrap_or_default(),
            },
            scripts,
            run: self.run.unwrap_or_default(),
            tests,
            directory: directory.to_owned(),
        })
    }
}

fn merged<T>(base: Option<T>, over: Option<T>, merge: impl FnOnce(T, T) -> T) -> Option<T> {
    match (base, over) {
        (Some(base), Some(over)) => Some(merge(base, over)),
        (base, over) => over.or(base),
    }
}

fn union<V>(mut base: BTreeMap<String, V>, over: BTreeMap<String, V>) -> BTreeMap<String, V> {
    base.extend(over);
    base
}

/// Whether an image can be named so.
pub fn check_name(name: &str) -> Result<(), ManifestError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-/".contains(&byte);
    // As a build will name it; a letter or digit on each side of a separator, say.
    let names_an_image = format!("{name}:latest").parse::<Reference>().is_ok();
    if name.len() <= 128 && name.bytes().all(fits) && names_an_image {
        return Ok(());
    }
    let message = format!(
        "`{name}` is no image name: lower-case letters, digits and, only between those, one `.`, `_`, `__` or `-`; parts \
         are separated by `/`"
    );
    Err(ManifestError::value("name", message))
}

fn check_user(user: &User) -> Result<(), ManifestError> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    // useradd(8), CAVEATS
    let begins = user.name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if !begins || user.name.len() > 32 || !user.name.bytes().all(fits) {
        return Err(ManifestError::value("user.name", format!("`{}` is no login name", user.name)));
    }
    for (key, id) in [("user.uid", user.uid), ("user.gid", user.gid)] {
        if !(1..=65533).contains(&id) {
            return Err(ManifestError::value(key, format!("{id} is not between 1 and 65533")));
        }
    }
    if !user.shell.starts_with('/') || user.shell.contains([':', '\n']) {
        return Err(ManifestError::value("user.shell", format!("`{}` is not an absolute path", user.shell)));
    }
    if user.home.0.as_bytes().iter().any(|byte| b":\n".contains(byte)) || user.home.0.is_root() {
        return Err(ManifestError::value("user.home", "it may not be `/` or hold `:`"));
    }
    Ok(())
}

/// Bytes of `"700MiB"`, `"4096B"`: a size with its unit, without which 700 would be less than any image has.
pub fn parse_budget(text: &str) -> Option<u64> {
    parse_size(text).filter(|_| text.ends_with(|last: char| last.is_ascii_alphabetic()))
}

/// Bytes of `"700MiB"`, `"1.5GB"`, `"4096"`.
pub fn parse_size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit: f64 = match &text[digits.len()..] {
        "" | "B" => 1.0,
        "kB" => 1e3,
        "MB" => 1e6,
        "GB" => 1e9,
        "KiB" | "k" | "K" => 1024.0,
        "MiB" | "m" | "M" => 1_048_576.0,
        "GiB" | "g" | "G" => 1_073_741_824.0,
        _ => return None,
    };
    let value: f64 = digits.trim().parse().ok()?;
    let bytes = value * unit;
    #[expect(clippy::cast_sign_loss, reason = "checked to be positive and below 2^53")]
    (bytes.is_finite() && (1.0..9e15).contains(&bytes)).then_some(bytes as u64)
}
