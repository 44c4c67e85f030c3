//! What was typed: every key optional, unknown keys refused, and one manifest laid over another.
//!
//! Overlaying (a preset by the user's file): tables merge key by key, plain values and arrays replace, arrays of tables
//! (`[[file]]`, `[[dir]]`, `[[link]]`, `[[binary]]`) add up, where an entry for a path that the preset has replaces it.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Platform;
use pinfold_sources::debian::lock::Freshness;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use super::AbsolutePath;
use super::Age;
use super::Base;
use super::Binary;
use super::Compression;
use super::Debian;
use super::Dir;
use super::File;
use super::Image;
use super::Layers;
use super::Link;
use super::Manifest;
use super::ManifestError;
use super::Mirrors;
use super::Npm;
use super::NpmPackage;
use super::PlatformName;
use super::Policy;
use super::Run;
use super::SetId;
use super::User;

/// Largest manifest accepted, in bytes.
const MAX_SIZE: usize = 1 << 20;

/// An agent asked for: a built-in recipe's name, a path to a recipe file, or either with a version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
}

impl AgentRequest {
    /// Recipe name or path.
    pub fn name(&self) -> &str {
        match self {
            Self::Name(name) | Self::Versioned { name, .. } => name,
        }
    }

    /// The version asked for, if any.
    pub fn version(&self) -> Option<&str> {
        match self {
            Self::Name(_) => None,
            Self::Versioned { version, .. } => Some(version),
        }
    }
}

/// `[debian]` as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DebianFile {
    /// Release name. Its `-updates` and `-security` suites come along.
    suite: Option<String>,
    /// The exact suites, instead of `suite`.
    suites: Option<Vec<String>>,
    /// Archive components; `["main"]` unless said.
    components: Option<Vec<String>>,
    /// `minbase`, `essential` or `none`.
    base: Option<Base>,
    /// Packages, as `name` or `name=version`.
    packages: Option<Vec<String>>,
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
}

/// One npm package: a range, or a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum NpmPackageFile {
    /// Only the version range.
    Version(String),
    /// With details.
    Detailed(NpmPackage),
}

/// `[npm]` as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct NpmFile {
    /// `["name", "name@range"]`.
    packages: Option<Vec<String>>,
    /// Packages with details: `name = "range"` or `name = { version, bin, scripts }`.
    package: BTreeMap<String, NpmPackageFile>,
    /// Address of an npm registry, instead of the machine's own.
    registry: Option<String>,
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
    /// `strip` (default) or `keep`.
    set_id: Option<SetId>,
}

/// A manifest as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[schemars(title = "pinfold.toml")]
pub struct ManifestFile {
    /// A built-in manifest to start from: `iteron`, `solo` or `sealed`.
    pub preset: Option<String>,
    /// Name of the image.
    name: Option<String>,
    /// Platforms; both unless said.
    platforms: Option<Vec<PlatformName>>,
    /// Agents: recipe names, or paths of recipe files beginning with `./`, `../` or `/`.
    agents: Option<Vec<AgentRequest>>,
    /// Debian packages.
    debian: Option<DebianFile>,
    /// npm packages.
    npm: Option<NpmFile>,
    /// Programs by URL.
    binary: Vec<Binary>,
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
    /// Install scripts to skip: `PACKAGE = "skip: reason"`.
    scripts: BTreeMap<String, String>,
    /// Sandbox defaults.
    run: Option<Run>,
}

impl ManifestFile {
    /// Reads TOML. Errors carry line, column and the line's text.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ManifestError> {
        if text.len() > MAX_SIZE {
            return Err(ManifestError::value("(file)", "it is larger than 1 MiB"));
        }
        toml::from_str(text).map_err(|error| ManifestError::from_toml(&error, file, text))
    }

    /// `self` with `over` laid on top.
    #[must_use]
    pub fn overlaid_by(self, over: Self) -> Self {
        Self {
            preset: over.preset,
            name: over.name.or(self.name),
            platforms: over.platforms.or(self.platforms),
            agents: over.agents.or(self.agents),
            debian: merged(self.debian, over.debian, |base, over| DebianFile {
                suite: if over.suites.is_some() { over.suite } else { over.suite.or(base.suite) },
                suites: over.suites.or(base.suites),
                components: over.components.or(base.components),
                base: over.base.or(base.base),
                packages: over.packages.or(base.packages),
                recommends: over.recommends.or(base.recommends),
                slim: over.slim.or(base.slim),
                mirror: over.mirror.or(base.mirror),
                security_mirror: over.security_mirror.or(base.security_mirror),
                snapshot: over.snapshot.or(base.snapshot),
                keyring: over.keyring.or(base.keyring),
                check_valid_until: over.check_valid_until.or(base.check_valid_until),
            }),
            npm: merged(self.npm, over.npm, |base, over| NpmFile {
                packages: over.packages.or(base.packages),
                package: union(base.package, over.package),
                registry: over.registry.or(base.registry),
            }),
            binary: added(self.binary, over.binary, |a, b| a.name == b.name),
            file: added(self.file, over.file, |a, b| a.path == b.path),
            dir: added(self.dir, over.dir, |a, b| a.path == b.path),
            link: added(self.link, over.link, |a, b| a.path == b.path),
            user: over.user.or(self.user),
            image: merged(self.image, over.image, |base, over| ImageFile {
                entrypoint: over.entrypoint.or(base.entrypoint),
                cmd: over.cmd.or(base.cmd),
                workdir: over.workdir.or(base.workdir),
                env: union(base.env, over.env),
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
            }),
            scripts: union(self.scripts, over.scripts),
            run: over.run.or(self.run),
        }
    }

    /// Fills in defaults and checks what only makes sense together.
    pub fn meaning(self, directory: &Path) -> Result<Manifest, ManifestError> {
        let name =
            self.name.ok_or_else(|| ManifestError::value("name", "it is missing: every image has a name"))?;
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-/".contains(&byte);
        if name.is_empty() || name.len() > 128 || !name.bytes().all(fits) {
            return Err(ManifestError::value(
                "name",
                format!(
                    "`{name}` is no image name: lower-case letters, digits and `.`, `_`, `-`, `/` are allowed"
                ),
            ));
        }
        let mut platforms: Vec<Platform> = match self.platforms {
            Some(names) => names.into_iter().map(|name| name.0).collect(),
            None => Platform::ALL.to_vec(),
        };
        platforms.sort_unstable();
        platforms.dedup();
        if platforms.is_empty() {
            return Err(ManifestError::value("platforms", "the list is empty: name at least one platform"));
        }
        let mut mirrors = Mirrors::default();
        let debian = match self.debian {
            None => None,
            Some(typed) => {
                mirrors.debian.clone_from(&typed.mirror);
                mirrors.debian_security.clone_from(&typed.security_mirror);
                mirrors.snapshot.clone_from(&typed.snapshot);
                mirrors.keyring = typed.keyring.as_ref().map(|file| directory.join(file));
                if typed.check_valid_until == Some(false) {
                    mirrors.freshness = Freshness::Unchecked;
                }
                Some(debian(typed)?)
            }
        };
        let npm = self.npm.unwrap_or_default();
        mirrors.npm.clone_from(&npm.registry);
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
            || self.dir.iter().any(|dir| dir.owner == super::Owner::User);
        if owned_by_user && self.user.is_none() {
            return Err(ManifestError::value("user", "`owner = \"user\"` is used, but there is no `[user]`"));
        }
        let image = self.image.unwrap_or_default();
        for name in image.env.keys() {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(ManifestError::value("image.env", format!("`{name}` is no variable name")));
            }
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
        let mut scripts = BTreeMap::new();
        for (package, answer) in self.scripts {
            let reason = answer.strip_prefix("skip:").map(str::trim).filter(|reason| !reason.is_empty());
            let reason = reason.ok_or_else(|| {
                ManifestError::value(
                    format!("scripts.{package}"),
                    format!("`{answer}` is not understood: write \"skip: \" and the reason"),
                )
            })?;
            scripts.insert(package, reason.to_owned());
        }
        Ok(Manifest {
            name,
            platforms,
            agents: self.agents.unwrap_or_default(),
            debian,
            npm: npm_meaning(npm)?,
            binaries: self.binary,
            files: self.file,
            dirs: self.dir,
            links: self.link,
            user: self.user,
            compression: image.compression.unwrap_or_default(),
            image: Image {
                entrypoint: image.entrypoint.unwrap_or_default(),
                cmd: image.cmd.unwrap_or_default(),
                workdir: image.workdir,
                env: image.env,
                labels: image.labels,
                annotations: image.annotations,
                volumes: image.volumes.unwrap_or_default(),
            },
            layers: Layers { max, alone: layers.alone.unwrap_or_default() },
            policy: Policy {
                min_age: policy.min_age.unwrap_or(Age(3 * 86_400)),
                size_budget,
                set_id: policy.set_id.unwrap_or_default(),
            },
            scripts,
            mirrors,
            run: self.run.unwrap_or_default(),
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

fn added<T>(mut base: Vec<T>, over: Vec<T>, same: impl Fn(&T, &T) -> bool) -> Vec<T> {
    base.retain(|old| !over.iter().any(|new| same(old, new)));
    base.extend(over);
    base
}

fn debian(typed: DebianFile) -> Result<Debian, ManifestError> {
    let suites = match (typed.suites, typed.suite) {
        (Some(suites), _) if !suites.is_empty() => suites,
        (_, Some(suite)) if suite == "sid" || suite == "unstable" => vec![suite],
        (_, Some(suite)) => {
            vec![suite.clone(), format!("{suite}-updates"), format!("{suite}-security")]
        }
        _ => return Err(ManifestError::value("debian.suite", "it is missing: write `suite = \"bookworm\"`")),
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
    let packages = typed.packages.unwrap_or_default();
    for package in &packages {
        let name = package.split('=').next().unwrap_or_default();
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
        // Debian Policy 5.6.1
        if name.len() < 2 || !name.bytes().all(fits) || !name.as_bytes()[0].is_ascii_alphanumeric() {
            return Err(ManifestError::value(
                "debian.packages",
                format!("`{package}` is no package name: expected `name` or `name=version`"),
            ));
        }
    }
    Ok(Debian {
        suites,
        components: typed.components.unwrap_or_else(|| vec!["main".into()]),
        base: typed.base.unwrap_or_default(),
        packages,
        recommends: typed.recommends.unwrap_or(false),
        slim: typed.slim.unwrap_or(true),
    })
}

fn npm_meaning(typed: NpmFile) -> Result<Npm, ManifestError> {
    let mut packages = BTreeMap::new();
    for request in typed.packages.unwrap_or_default() {
        // The first character may be the `@` of a scope.
        let at = request.get(1..).and_then(|rest| rest.find('@')).map(|at| at + 1);
        let (name, version) = match at {
            Some(at) => (&request[..at], &request[at + 1..]),
            None => (request.as_str(), "latest"),
        };
        packages
            .insert(name.to_owned(), NpmPackage { version: version.to_owned(), bin: None, scripts: None });
    }
    for (name, package) in typed.package {
        let package = match package {
            NpmPackageFile::Version(version) => NpmPackage { version, bin: None, scripts: None },
            NpmPackageFile::Detailed(package) => package,
        };
        packages.insert(name, package);
    }
    for (name, package) in &packages {
        if name.is_empty() || name.contains(char::is_whitespace) || package.version.is_empty() {
            return Err(ManifestError::value(
                "npm.packages",
                format!("`{name}@{}` is no package", package.version),
            ));
        }
    }
    Ok(Npm { packages })
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
