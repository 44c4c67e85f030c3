//! `proxy.toml`: what is typed, and whether it can be meant. Pure: bytes to a value and back.
//!
//! ```text
//!   listen = "0.0.0.0:8443"                    or "unix:/path": one sandbox, whose policy is the only one
//!   health = "0.0.0.0:8080"                    /healthz /readyz /metrics; nowhere unless said
//!   certificate, key, identities = "PATH"      needed at TCP, senseless at a Unix socket
//!   journal = "-"                              JSON lines on the standard output, or a file
//!   drain = "30s"                              how long connections may go on after SIGTERM
//!
//!   [limits]          connections, per-sandbox, requests, requests-per-sandbox
//!   [policy.NAME]     allow = the grammar of `[run] allow`
//!   [[policy.NAME.route]]   id, name, upstream, header, key, paths, …: as a recipe's route
//! ```
//!
//! Names of files count from the folder of `proxy.toml`.
//!
//! **Guarantees**: a file that was read can be served: rules, routes and limits were checked. **Refuses** unknown keys, TCP without
//! TLS and identities, routes of one policy with one number, more than [`POLICIES_MAX`] policies.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_network::BaseUrl;
use pinfold_network::KeyHeader;
use pinfold_network::RequestRules;
use pinfold_network::RouteAddresses;
use pinfold_network::RouteId;
use pinfold_network::RouteSpec;
use pinfold_network::Rule;
use pinfold_network::identity::is_policy_name;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::Error as _;

use crate::syntax::Position;
use crate::syntax::near;

/// The most policies of a file.
pub const POLICIES_MAX: usize = 1_000;
/// The most rules of a policy.
const RULES_MAX: usize = 10_000;
/// The most connections of a replica, whatever is asked for.
const CONNECTIONS_MAX: usize = 1_000_000;
/// The most requests at once; each has a thread.
const REQUESTS_MAX: usize = 20_000;
/// The longest drain.
const DRAIN_MAX: Duration = Duration::from_secs(24 * 3600);

/// The file as typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[schemars(title = "pinfold proxy")]
pub struct ProxyFile {
    /// Where sandboxes connect to: `ADDRESS:PORT`, or `unix:PATH` for one sandbox.
    pub listen: ListenAt,
    /// Where /healthz, /readyz and /metrics are answered, without TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub health: Option<SocketAddr>,
    /// The certificate of the proxy with those between it and the authority, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// The certificate's private key, in PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// A folder whose files are lists of identities, or one such file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identities: Option<PathBuf>,
    /// Where decisions are recorded: `-` for lines of JSON on the standard output, or a file.
    pub journal: String,
    /// How long connections may go on after SIGTERM.
    pub drain: Pause,
    /// Numbers.
    #[serde(skip_serializing_if = "LimitsFile::is_default")]
    pub limits: LimitsFile,
    /// What sandboxes of each policy may reach.
    pub policy: BTreeMap<String, PolicyFile>,
}

impl Default for ProxyFile {
    fn default() -> Self {
        Self {
            listen: ListenAt::Tcp(SocketAddr::from(([0, 0, 0, 0], 8443))),
            health: None,
            certificate: None,
            key: None,
            identities: None,
            journal: "-".into(),
            drain: Pause(Duration::from_secs(30)),
            limits: LimitsFile::default(),
            policy: BTreeMap::new(),
        }
    }
}

/// Where the proxy is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAt {
    /// TCP with TLS, for all sandboxes that have an identity.
    Tcp(SocketAddr),
    /// A Unix socket, for one.
    Unix(PathBuf),
}

impl FromStr for ListenAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("unix:") {
            Some(path) if !path.is_empty() && !path.contains('\0') => Ok(Self::Unix(path.into())),
            Some(_) => Err("`unix:` needs a path".into()),
            None => text.parse().map(Self::Tcp).map_err(|_| {
                format!(
                    "`{}` is neither `ADDRESS:PORT` nor `unix:PATH`",
                    text.chars().take(100).collect::<String>()
                )
            }),
        }
    }
}

impl fmt::Display for ListenAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A length of time: `30s`, `5m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause(pub Duration);

impl FromStr for Pause {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || "a time is written `30s` or `5m`".to_owned();
        let (digits, unit) = match (text.strip_suffix('s'), text.strip_suffix('m')) {
            (Some(digits), _) => (digits, 1),
            (_, Some(digits)) => (digits, 60),
            (None, None) => return Err(wrong()),
        };
        if digits.is_empty() || digits.len() > 6 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong());
        }
        let number: u64 = digits.parse().map_err(|_| wrong())?;
        Ok(Self(Duration::from_secs(number * unit)))
    }
}

impl fmt::Display for Pause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0.as_secs())
    }
}

/// Text in the file that is a value of its own: serde and schema by `FromStr` and `Display`.
macro_rules! as_text {
    ($name:ident, $schema:literal, $pattern:literal) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                $schema.into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

as_text!(ListenAt, "Listen", "^(unix:.+|.+:[0-9]+)$");
as_text!(Pause, "Pause", "^[0-9]{1,6}[sm]$");

/// `[limits]` as typed. What is not said is decided by the proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LimitsFile {
    /// Connections at once; lowered to what the limit of open files allows, two for each. 40,000 unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<usize>,
    /// Connections of one sandbox. 256 unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub per_sandbox: Option<usize>,
    /// Requests passed on at once; each has a thread. 2,048 unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests: Option<usize>,
    /// Requests of one sandbox that are passed on at once; others of it wait. 32 unless said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_sandbox: Option<usize>,
}

impl LimitsFile {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// `[policy.NAME]` as typed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct PolicyFile {
    /// Hosts that may be reached, as in `[run] allow` of a manifest. Nothing unless said.
    #[schemars(with = "Vec<String>")]
    pub allow: Vec<Rule>,
    /// Routes to providers, each with a key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub route: Vec<RouteFile>,
}

/// `[[policy.NAME.route]]` as typed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RouteFile {
    /// The number by which the relay of the sandbox asks for it, 1 to 255.
    pub id: u8,
    /// A name for journal and messages, as the provider's.
    pub name: String,
    /// Base address of the provider.
    #[schemars(with = "String")]
    pub upstream: BaseUrl,
    /// How the key is sent.
    pub header: KeyHeader,
    /// The file that holds the key and nothing else.
    pub key: PathBuf,
    /// Path prefixes that may be asked for, each ending at a segment's edge.
    pub paths: Vec<String>,
    /// Which addresses the provider may have: `public`, or `private` for a gateway in a network of one's own.
    #[serde(default, skip_serializing_if = "is_public")]
    #[schemars(with = "String")]
    pub reach: RouteAddresses,
    /// What of a request is passed on: methods, headers, query parameters, escapes, media types.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub request: RequestRules,
    /// Headers to set, in place of the sandbox's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set_headers: BTreeMap<String, String>,
    /// Headers added to every request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub append_headers: BTreeMap<String, String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_public(reach: &RouteAddresses) -> bool {
    *reach == RouteAddresses::Public
}

fn is_usual(rules: &RequestRules) -> bool {
    *rules == RequestRules::default()
}

impl RouteFile {
    /// The route as the proxy knows it.
    pub fn spec(&self) -> RouteSpec {
        RouteSpec {
            id: RouteId(self.id),
            name: self.name.clone(),
            // Where clients find it is the business of the sandbox's relay, and so is what they say for a key.
            listen_port: 0,
            placeholder: String::new(),
            upstream: self.upstream.clone(),
            header: self.header,
            paths: self.paths.clone(),
            request: self.request.clone(),
            reach: self.reach,
            set_headers: self.set_headers.clone(),
            append_headers: self.append_headers.clone(),
        }
    }
}

/// Why a configuration is not used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Not TOML, an unknown key, or a value that cannot be read.
    #[error("{message}\n  --> {position}")]
    Syntax {
        /// What is wrong.
        message: String,
        /// Where.
        position: Position,
        /// The word that was most likely meant, after the one that was written.
        near: Option<(String, String)>,
    },
    /// A key that is missing, or a value that cannot be meant.
    #[error("`{key}` of `{}` {problem}", file.display())]
    Value {
        /// The file.
        file: PathBuf,
        /// The key, `policy.NAME.allow`.
        key: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: Option<String>,
    },
}

impl Diagnose for ConfigError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn lines(&self) -> Vec<Shown> {
        match self {
            Self::Syntax { message, position, .. } => {
                let [place, excerpt @ ..] = position.lines();
                [message.into(), shown!("  --> {place}")].into_iter().chain(excerpt).collect()
            }
            Self::Value { .. } => vec![Shown::of(self)],
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Syntax { near: Some((word, near)), .. } => {
                Some(format!("write `{near}` instead of `{word}`"))
            }
            Self::Syntax { .. } => None,
            Self::Value { hint, .. } => hint.clone(),
        }
    }
}

impl ProxyFile {
    /// Reads and checks a file; `file` is its name in errors.
    pub fn parse(file: &Path, bytes: &[u8]) -> Result<Self, ConfigError> {
        let typed = Self::read(file, bytes)?;
        typed.check(file)?;
        Ok(typed)
    }

    /// Reads a file that is not checked yet.
    pub fn read(file: &Path, bytes: &[u8]) -> Result<Self, ConfigError> {
        let text = String::from_utf8_lossy(bytes);
        if let Some(at) = text.find('\u{fffd}') {
            let position = Position::of(file, &text, at..at);
            return Err(ConfigError::Syntax { message: "it is not UTF-8".into(), position, near: None });
        }
        toml::from_str(&text).map_err(|error| ConfigError::Syntax {
            message: error.message().trim_end().replace('\n', ", "),
            position: Position::of(file, &text, error.span().unwrap_or(0..0)),
            near: near(error.message()),
        })
    }

    /// The text of a file that means this.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("every value of the type can be written in TOML")
    }

    /// Whether all of it can be meant; `file` is its name in errors.
    pub fn check(&self, file: &Path) -> Result<(), ConfigError> {
        let wrong = |key: &str, problem: &str, hint: Option<&str>| ConfigError::Value {
            file: file.to_owned(),
            key: key.to_owned(),
            problem: problem.to_owned(),
            hint: hint.map(str::to_owned),
        };
        if self.policy.is_empty() {
            let hint = "write what sandboxes may reach: `[policy.NAME]` with `allow = [\"host\"]`";
            return Err(wrong("policy", "is missing: nobody could reach anything", Some(hint)));
        }
        if self.policy.len() > POLICIES_MAX {
            return Err(wrong("policy", "has more than 1,000 tables", None));
        }
        match &self.listen {
            ListenAt::Tcp(_) => {
                let needed = [
                    ("certificate", &self.certificate, "name the proxy's certificate in PEM"),
                    ("key", &self.key, "name the private key of the certificate, in PEM"),
                    (
                        "identities",
                        &self.identities,
                        "name a folder of lists: lines `NAME SHA256 POLICY [ADDRESS]`",
                    ),
                ];
                for (key, value, hint) in needed {
                    if value.is_none() {
                        let problem = "is missing: at TCP there is no proxy without TLS and identities";
                        return Err(wrong(key, problem, Some(hint)));
                    }
                }
            }
            ListenAt::Unix(_) => {
                let senseless = [
                    ("certificate", &self.certificate),
                    ("key", &self.key),
                    ("identities", &self.identities),
                ];
                for (key, value) in senseless {
                    if value.is_some() {
                        let problem = "has no meaning at a Unix socket, which is one sandbox's";
                        return Err(wrong(key, problem, Some("leave it out, or listen at `ADDRESS:PORT`")));
                    }
                }
                if self.policy.len() != 1 {
                    let problem = "has several tables, and a Unix socket is one sandbox's";
                    return Err(wrong("policy", problem, Some("keep the one that is meant")));
                }
            }
        }
        if self.journal.is_empty() || self.journal.contains('\0') {
            return Err(wrong("journal", "names no file", Some("write `-` for the standard output")));
        }
        if self.drain.0 > DRAIN_MAX {
            return Err(wrong("drain", "is longer than a day", None));
        }
        let LimitsFile { connections, per_sandbox, requests, requests_per_sandbox } = &self.limits;
        for (key, value, most) in [
            ("limits.connections", connections, CONNECTIONS_MAX),
            ("limits.per-sandbox", per_sandbox, CONNECTIONS_MAX),
            ("limits.requests", requests, REQUESTS_MAX),
            ("limits.requests-per-sandbox", requests_per_sandbox, REQUESTS_MAX),
        ] {
            if value.is_some_and(|value| value == 0 || value > most) {
                return Err(wrong(key, &format!("is not a number from 1 to {most}"), None));
            }
        }
        for (name, policy) in &self.policy {
            let key = |rest: &str| format!("policy.{name}{rest}");
            if !is_policy_name(name) {
                let hint = "a policy's name is 1 to 100 of `A-Za-z0-9._-`";
                return Err(wrong(&key(""), "has a name that no identity can name", Some(hint)));
            }
            if policy.allow.len() > RULES_MAX {
                return Err(wrong(&key(".allow"), "has more than 10,000 rules", None));
            }
            let mut names: BTreeMap<u8, &str> = BTreeMap::new();
            for route in &policy.route {
                if route.key.as_os_str().is_empty() {
                    let hint = "name the file that holds the provider's key";
                    return Err(wrong(&key(".route.key"), "names no file", Some(hint)));
                }
                if let Some(first) = names.insert(route.id, &route.name) {
                    let problem = format!("of `{first}` and of `{}` is the same number", route.name);
                    return Err(wrong(
                        &key(".route.id"),
                        &problem,
                        Some("give each route a number of its own"),
                    ));
                }
                if let Err(error) = route.spec().check() {
                    let hint = error.own_hint();
                    return Err(wrong(&key(".route"), &format!("cannot be used: {error}"), hint.as_deref()));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
listen = "0.0.0.0:8443"
health = "0.0.0.0:8080"
certificate = "/etc/pinfold/tls/tls.crt"
key = "/etc/pinfold/tls/tls.key"
identities = "/etc/pinfold/identities"
journal = "-"
drain = "2m"

[limits]
connections = 40000
per-sandbox = 256

[policy.claude-code]
allow = ["example.com", "*.example.org"]

[[policy.claude-code.route]]
id = 1
name = "anthropic"
upstream = "https://api.anthropic.example"
header = "x-api-key"
key = "/etc/pinfold/keys/ANTHROPIC_API_KEY"
paths = ["/v1/messages"]
append-headers = { anthropic-beta = "x" }

[policy.claude-code.route.request]
query = ["beta=true"]

[policy."b.c"]
allow = []
"#;

    fn parse(text: &str) -> Result<ProxyFile, ConfigError> {
        ProxyFile::parse(Path::new("proxy.toml"), text.as_bytes())
    }

    #[test]
    fn what_is_written_is_what_was_read() {
        let file = parse(WHOLE).unwrap();
        assert_eq!(file.drain.0, Duration::from_secs(120));
        assert_eq!(file.policy["claude-code"].allow[1].to_string(), "*.example.org");
        let spec = file.policy["claude-code"].route[0].spec();
        assert_eq!((spec.id, spec.name.as_str()), (RouteId(1), "anthropic"));
        assert_eq!(parse(&file.to_toml()).unwrap(), file);
        let unix = "listen = \"unix:/run/x.sock\"\n[policy.p]\nallow = [\"a.example\"]\n";
        let file = parse(unix).unwrap();
        assert_eq!(file.listen, ListenAt::Unix("/run/x.sock".into()));
        assert_eq!(parse(&file.to_toml()).unwrap(), file);
    }

    #[test]
    fn what_cannot_be_meant_is_named_with_its_place() {
        for (from, to, said, hint) in [
            ("drain = ", "drian = ", "unknown field `drian`", "write `drain` instead"),
            ("\"2m\"", "\"2h\"", "`30s` or `5m`", ""),
            ("\"2m\"", "\"9999m\"", "longer than a day", ""),
            ("0.0.0.0:8443", "8443", "neither `ADDRESS:PORT` nor `unix:PATH`", ""),
            ("certificate = ", "# ", "`certificate` of `proxy.toml` is missing", "PEM"),
            ("\nkey = \"/etc/pinfold/tls", "\n# \"", "`key` of `proxy.toml` is missing", "private key"),
            ("identities = ", "# ", "no proxy without TLS and identities", "SHA256"),
            ("0.0.0.0:8443", "unix:/x", "no meaning at a Unix socket", "leave it out"),
            ("connections = 40000", "connections = 0", "from 1 to 1000000", ""),
            ("per-sandbox = 256", "per-sandbox = -1", "invalid value", ""),
            ("\"example.com\"", "\"*.com\"", "too wide", ""),
            ("https://api", "http://api", "without TLS to loopback only", ""),
            ("id = 1", "id = 0", "number 0", ""),
            ("id = 1", "id = 256", "invalid value", ""),
            ("[\"/v1/messages\"]", "[]", "no path prefix", ""),
            ("\"b.c\"", "\"b c\"", "no identity can name", "A-Za-z0-9._-"),
            ("x-api-key", "x-api-kei", "unknown variant `x-api-kei`", "write `x-api-key`"),
            ("anthropic-beta = \"x\"", "cookie = \"x\"", "cannot set the header `cookie`", ""),
        ] {
            let text = WHOLE.replacen(from, to, 1);
            assert_ne!(text, WHOLE, "{from}");
            let error = parse(&text).unwrap_err();
            assert!(error.to_string().contains(said), "{to}: {error}");
            assert!(error.own_hint().unwrap_or_default().contains(hint), "{to}: {:?}", error.own_hint());
        }
        let error = parse("listen = \"unix:/x\"\n[policy.a]\n[policy.b]\n").unwrap_err();
        assert!(error.to_string().contains("one sandbox's"), "{error}");
        assert!(parse("").unwrap_err().to_string().contains("`policy` of `proxy.toml` is missing"));
        let twice = WHOLE.split("[[policy").nth(1).unwrap().split("[policy.\"").next().unwrap();
        let error = parse(&format!("{WHOLE}\n[[policy{twice}")).unwrap_err();
        assert!(error.to_string().contains("the same number"), "{error}");
    }
}
