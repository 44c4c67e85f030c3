//! `[run]`: what a manifest says about the sandboxes of its image, as values that check themselves while they are read.
//!
//! The same values are read from the manifest, from an image's label and from the command line, each by its [`FromStr`].
//!
//! **Guarantees**: whoever has a [`Run`] can start a sandbox from it; a mistake is found when the manifest is read, not when an
//! agent is started. What was written is kept beside what it means ([`Spelt`]), because consent, the label and messages
//! repeat it. **Refuses** to repeat where a key comes from: somebody may have put the key itself there.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;

use pinfold_base::Diagnose;
use pinfold_base::Kind;
use pinfold_base::error::Diagnosis;
use pinfold_network::Credential;
use pinfold_network::CredentialError;
use pinfold_network::Rule;
use pinfold_network::Surroundings;
use pinfold_sandbox::spec::Access;
use schemars::JsonSchema;
use schemars::Schema;
use schemars::SchemaGenerator;
use schemars::json_schema;
use serde::Deserialize;
use serde::Serialize;
use serde::de::Error as _;

use super::file::parse_size;

/// `[run]`: defaults for sandboxes of this image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[schemars(rename = "RunFile")]
pub struct Run {
    /// Its sandboxes are sealed: no network, a queue in and one out, a key of their own, and a socket for the model they ask.
    pub sealed: bool,
    /// `none`, `proxy` or `host`.
    pub network: Option<Reach>,
    /// Hosts the proxy lets through, beside those of the agents: `host`, `*.host`, `host:port`.
    pub allow: Vec<AllowRule>,
    /// Further mounts: `SOURCE[:TARGET][:ro|rw]`.
    pub mounts: Vec<Spelt<Bind>>,
    /// Paths in the workspace that a sandbox neither changes nor makes, beside those that the host is known to run by itself.
    pub protect: Vec<WorkspacePath>,
    /// Names among those that a sandbox may change and make after all, such as `.vscode`.
    pub unprotect: Vec<ProtectedName>,
    /// Environment variables to pass in, by name.
    pub pass_env: Vec<Variable>,
    /// Memory limit, such as `"4GiB"`.
    pub memory: Option<Spelt<Size>>,
    /// Processors, such as `2.0`, as text.
    pub cpus: Option<Spelt<Processors>>,
    /// Processes at most.
    pub pids: Option<Processes>,
    /// `private`, `shared` (with all sandboxes of the image) or `read-only`: whether `/nix` can be written to.
    pub nix_store: Option<NixStore>,
    /// Where keys come from, per agent: `env:NAME`, `file:PATH`, `json:PATH#POINTER` or `command:…`.
    pub credentials: BTreeMap<String, Spelt<KeySource>>,
}

/// A text that does not have the form it should have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// The text is shown.
    #[error("{what} `{text}` is not understood: expected {expected}")]
    Text {
        /// What it was read as.
        what: &'static str,
        /// What was written.
        text: String,
        /// What could have been.
        expected: &'static str,
    },
    /// The text may be a secret, and is not shown.
    #[error("{what} is not understood: expected {expected}")]
    Hidden {
        /// What it was read as.
        what: &'static str,
        /// What could have been.
        expected: &'static str,
    },
    /// The path of a key is relative; it is not shown, because it may be the key.
    #[error("the path of the key's file is relative, and from where it would count is not said")]
    Relative,
    /// What was said with a flag of the command line.
    #[error("`{flag}`: {error}")]
    Flag {
        /// The flag.
        flag: &'static str,
        /// What is wrong.
        error: Box<FormError>,
    },
}

impl FormError {
    /// The same, told with the flag.
    #[must_use]
    pub fn of(self, flag: &'static str) -> Self {
        Self::Flag { flag, error: Box::new(self) }
    }

    fn new(what: &'static str, text: &str, expected: &'static str) -> Self {
        Self::Text { what, text: text.chars().take(200).collect(), expected }
    }
}

impl Diagnose for FormError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Relative => Some("write it from `/` or `~/` on, as in `file:~/.config/pinfold/key`".into()),
            Self::Flag { error, .. } => error.own_hint(),
            _ => None,
        }
    }
}

/// A value with the text it was read from. Written again it is that text, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelt<T> {
    text: String,
    /// What it means.
    pub value: T,
}

impl<T> Spelt<T> {
    /// What was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl<T: FromStr> FromStr for Spelt<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self { text: text.to_owned(), value: text.parse()? })
    }
}

impl<T> Serialize for Spelt<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de, T: FromStr<Err: Diagnose>> Deserialize<'de> for Spelt<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer)
    }
}

impl<T> JsonSchema for Spelt<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// A rule of the proxy's list, read by the proxy's own parser.
pub type AllowRule = Spelt<Rule>;

/// Reads text as a value; what is wrong and what was expected become one message.
fn read<'de, T: FromStr<Err: Diagnose>, D: serde::Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(|error: T::Err| {
        D::Error::custom(match error.hint() {
            Some(hint) => format!("{error}; {hint}"),
            None => error.to_string(),
        })
    })
}

/// How much network a sandbox has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Loopback only.
    None,
    /// The allow-listed proxy.
    Proxy,
    /// The host's network.
    Host,
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Proxy => "proxy",
            Self::Host => "host",
        })
    }
}

impl FromStr for Reach {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        match text {
            "none" => Ok(Self::None),
            "proxy" => Ok(Self::Proxy),
            "host" => Ok(Self::Host),
            _ => Err(FormError::new("network", text, "`none`, `proxy` or `host`")),
        }
    }
}

impl Serialize for Reach {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reach {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer)
    }
}

impl JsonSchema for Reach {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Reach".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": ["none", "proxy", "host"] })
    }
}

/// Whether what an image has in `/nix` can be written to in a sandbox, and where what is written goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NixStore {
    /// It can, and it is kept and removed as the sandbox's home is.
    Private,
    /// It can, and all sandboxes of the image have it.
    Shared,
    /// It cannot.
    ReadOnly,
}

impl fmt::Display for NixStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Private => "private",
            Self::Shared => "shared",
            Self::ReadOnly => "read-only",
        })
    }
}

impl FromStr for NixStore {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        match text {
            "private" => Ok(Self::Private),
            "shared" => Ok(Self::Shared),
            "read-only" => Ok(Self::ReadOnly),
            _ => Err(FormError::new("Nix store", text, "`private`, `shared` or `read-only`")),
        }
    }
}

impl Serialize for NixStore {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NixStore {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer)
    }
}

impl JsonSchema for NixStore {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "NixStore".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "enum": ["private", "shared", "read-only"] })
    }
}

/// A path of the host that is seen inside: `SOURCE[:TARGET][:ro|rw]`, read-only unless said. `~/` is the caller's home on the
/// host, and the sandbox's inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// On the host, absolute or below `~/`.
    pub source: PathBuf,
    /// Inside, absolute or below `~/`.
    pub target: PathBuf,
    /// Whether it may be written to.
    pub access: Access,
}

impl Bind {
    /// The source, where the caller's home is known that it may lie in.
    pub fn source(&self, home: Option<&Path>) -> Option<PathBuf> {
        in_home(&self.source, home)
    }

    /// The same mount with whole paths: `home` is the caller's, `inside` the sandbox's.
    pub fn whole(&self, home: Option<&Path>, inside: &Path) -> Option<Self> {
        let target = in_home(&self.target, Some(inside))?;
        Some(Self { source: self.source(home)?, target, access: self.access })
    }
}

/// A path of which `~/` is filled in.
fn in_home(path: &Path, home: Option<&Path>) -> Option<PathBuf> {
    match path.strip_prefix("~") {
        Ok(rest) => Some(home?.join(rest)),
        Err(_) => Some(path.to_owned()),
    }
}

impl FromStr for Bind {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let (paths, access) = match (text.strip_suffix(":rw"), text.strip_suffix(":ro")) {
            (Some(paths), _) => (paths, Access::ReadWrite),
            (_, Some(paths)) => (paths, Access::ReadOnly),
            _ => (text, Access::ReadOnly),
        };
        let (source, target) = paths.split_once(':').unwrap_or((paths, paths));
        let is_whole = |path: &str| {
            path.starts_with('/') || path.strip_prefix("~/").is_some_and(|rest| !rest.is_empty())
        };
        if !is_whole(source) || !is_whole(target) || target.contains(':') {
            return Err(FormError::new(
                "mount",
                text,
                "SOURCE[:TARGET][:ro|rw] with absolute paths, or such below `~/`",
            ));
        }
        Ok(Self { source: source.into(), target: target.into(), access })
    }
}

/// A variable of the sandbox: `NAME` has the caller's value, `NAME=VALUE` this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its value, unless it is the caller's.
    pub value: Option<String>,
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{}={value}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl FromStr for Variable {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        if name.is_empty() || text.contains('\0') {
            // Its value may be a secret.
            return Err(FormError::Hidden { what: "a variable", expected: "NAME, or NAME=VALUE" });
        }
        Ok(Self { name: name.to_owned(), value })
    }
}

impl Serialize for Variable {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Variable {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer)
    }
}

impl JsonSchema for Variable {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Variable".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// A path in a workspace, relative, of plain names: `.vscode`, `tools/run.sh`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WorkspacePath(String);

impl WorkspacePath {
    /// The path, without `/` at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for WorkspacePath {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let path = text.strip_suffix('/').unwrap_or(text);
        let plain = |name: &str| !matches!(name, "" | "." | "..") && !name.contains('\0');
        if !path.split('/').all(plain) {
            let expected = "one in the workspace such as `tools/run.sh`, without `..`";
            return Err(FormError::new("path", text, expected));
        }
        Ok(Self(path.to_owned()))
    }
}

impl<'de> Deserialize<'de> for WorkspacePath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer)
    }
}

impl JsonSchema for WorkspacePath {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "WorkspacePath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// What a protected path is called: by its path in the workspace, or in full where it lies elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProtectedName(String);

impl ProtectedName {
    /// The name, without `/` at its end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProtectedName {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let path = text.strip_prefix('/').unwrap_or(text);
        let WorkspacePath(path) = path.parse().map_err(|_| {
            let expected = "one such as `.vscode` or `/srv/shared/.envrc`, without `..`";
            FormError::new("name", text, expected)
        })?;
        Ok(Self(if text.starts_with('/') { format!("/{path}") } else { path }))
    }
}

impl<'de> Deserialize<'de> for ProtectedName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read(deserializer)
    }
}

impl JsonSchema for ProtectedName {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ProtectedName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// A number of bytes: `"4GiB"`, `"700MB"`, `"2g"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        parse_size(text).map(Self).ok_or_else(|| FormError::new("size", text, "one such as `4GiB`"))
    }
}

/// Thousandths of a processor, written as a number of processors: `"1.5"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Processors(pub u32);

impl FromStr for Processors {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let milli = text.parse::<f64>().ok().map(|cpus| cpus * 1000.0);
        let milli = milli.filter(|milli| (10.0..10_000_000.0).contains(milli));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
        let milli = milli.map(|milli| Self(milli as u32));
        milli.ok_or_else(|| FormError::new("number of processors", text, "one such as `1.5`, at least 0.01"))
    }
}

/// A number of processes and threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Processes(pub u32);

impl Processes {
    fn new(count: i128) -> Result<Self, FormError> {
        let fits = u32::try_from(count).ok().filter(|count| *count > 0).map(Self);
        fits.ok_or_else(|| {
            FormError::new("number of processes", &count.to_string(), "at least 1, less than 4 billion")
        })
    }
}

impl FromStr for Processes {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let wrong = || FormError::new("number of processes", text, "at least 1, less than 4 billion");
        Self::new(text.parse().map_err(|_| wrong())?)
    }
}

impl<'de> Deserialize<'de> for Processes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(i64::deserialize(deserializer)?.into()).map_err(D::Error::custom)
    }
}

impl JsonSchema for Processes {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Processes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": 1, "maximum": u32::MAX })
    }
}

/// Where a key comes from: `env:NAME`, `file:PATH`, `json:PATH#POINTER` or `command:PROGRAM ARGUMENT…`. Paths are absolute, or
/// begin with `~/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A variable of the caller's.
    Env(String),
    /// A file that holds the key and nothing else.
    File(HostFile),
    /// A value inside a JSON file.
    Json {
        /// The file.
        file: HostFile,
        /// Where in it (RFC 6901).
        pointer: String,
    },
    /// A program that prints the key.
    Command(Vec<String>),
}

/// A file of the caller's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostFile {
    /// An absolute path.
    At(PathBuf),
    /// Below the home directory.
    InHome(PathBuf),
}

impl HostFile {
    fn read(text: &str) -> Option<Self> {
        match text.strip_prefix("~/") {
            Some(rest) if !rest.is_empty() => Some(Self::InHome(rest.into())),
            _ => text.starts_with('/').then(|| Self::At(text.into())),
        }
    }

    fn below(&self, home: Option<&Path>) -> Option<PathBuf> {
        match self {
            Self::At(path) => Some(path.clone()),
            Self::InHome(path) => Some(home?.join(path)),
        }
    }
}

impl KeySource {
    /// For the supervisor: with `~` filled in, and its files found and held to.
    pub fn find(&self, around: &Surroundings) -> Result<Credential, CredentialError> {
        let below = |file: &HostFile| file.below(around.home.as_deref()).ok_or(CredentialError::NoHome);
        match self {
            Self::Env(name) => Ok(Credential::Env(name.clone())),
            Self::File(file) => Credential::file(&below(file)?, around),
            Self::Json { file, pointer } => Credential::json(&below(file)?, pointer, around),
            Self::Command(words) => Credential::command(words, around),
        }
    }
}

impl FromStr for KeySource {
    type Err = FormError;

    fn from_str(text: &str) -> Result<Self, FormError> {
        let wrong = |expected| FormError::Hidden { what: "where the key comes from", expected };
        let path = |text: &str| {
            HostFile::read(text).ok_or(if text.is_empty() { wrong("a path") } else { FormError::Relative })
        };
        match text.split_once(':') {
            Some(("env", name)) if !name.is_empty() => Ok(Self::Env(name.to_owned())),
            Some(("file", text)) => Ok(Self::File(path(text)?)),
            Some(("json", text)) => {
                let expected = "`#/pointer` after the path of a JSON file";
                let (file, pointer) = text.split_once('#').ok_or(wrong(expected))?;
                Ok(Self::Json { file: path(file)?, pointer: pointer.to_owned() })
            }
            Some(("command", words)) if !words.trim().is_empty() => {
                Ok(Self::Command(words.split_whitespace().map(str::to_owned).collect()))
            }
            _ => Err(wrong("`env:NAME`, `file:PATH`, `json:PATH#POINTER` or `command:PROGRAM ARGUMENT…`")),
        }
    }
}
