//! Credential routes: a loopback port or a Unix socket of the sandbox that leads to one provider, with the real key added on
//! the way.
//!
//! ```text
//!   agent:       POST http://127.0.0.1:3129/v1/messages     x-api-key: PLACEHOLDER
//!   supervisor:  POST https://api.provider.example/v1/messages     x-api-key: the key
//! ```
//!
//! A route is data ([`RouteSpec`], from a recipe) and a [`Credential`]. Where it leads is fixed: nothing a request says
//! changes the provider's host, and only paths under the listed prefixes are passed on. What else of a request is passed on
//! is named ([`RequestRules`]); the rest is dropped or refused before the key is added, so neither the placeholder nor a key
//! of somebody else's account leaves by a route. The target that was judged is sent byte for byte.
//!
//! **Refuses** a target that the provider might read as another one than was judged; methods, query parameters and media
//! types that were not named; any change of protocol.

mod request;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::authority::Authority;
use pinfold_base::authority::AuthorityError;
use pinfold_base::authority::Host;
use pinfold_base::authority::Target;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

pub use self::request::Escape;
pub use self::request::HeaderName;
pub use self::request::MediaType;
pub use self::request::Method;
pub use self::request::QueryParameter;
pub use self::request::RequestRules;
pub use self::request::RouteRefusal;
use self::request::is_never_passed;
use crate::dial::Addresses;
use crate::relay::RouteId;
use crate::secret::Credential;
use crate::secret::Key;
use crate::secret::Secret;
use crate::wire::head::Body;
use crate::wire::head::RequestHead;
use crate::wire::head::RequestTarget;
use crate::wire::head::is_token;

/// How a request's credential is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Header")]
pub enum KeyHeader {
    /// `x-api-key: KEY`
    XApiKey,
    /// `Authorization: Bearer KEY`
    Bearer,
    /// `x-goog-api-key: KEY`
    XGoogApiKey,
}

/// Which addresses the provider may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteAddresses {
    /// Public ones only.
    #[default]
    Public,
    /// Private and loopback ones too: a gateway in the user's own network.
    Private,
}

/// A provider's base URL: `https://host[:port][/path]`, or `http://` to a loopback host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    target: Target,
    tls: bool,
    /// Empty, or beginning with `/` and not ending with it.
    path: String,
}

/// A credential route as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RouteSpec {
    /// The number in the relay's preamble, 1 to 255.
    pub id: RouteId,
    /// A name for logs and messages, as the agent's or provider's.
    pub name: String,
    /// The loopback port inside the sandbox; 0 where clients find a socket instead.
    pub listen_port: u16,
    /// The provider.
    pub upstream: BaseUrl,
    /// Where the key goes.
    pub header: KeyHeader,
    /// The dummy key the agent is given.
    pub placeholder: String,
    /// Prefixes of allowed paths, each ending at a segment's edge: `/v1/messages` allows `/v1/messages/count_tokens`.
    pub paths: Vec<String>,
    /// What of a request is passed on.
    #[serde(default)]
    pub request: RequestRules,
    /// Which addresses the provider may have.
    #[serde(default)]
    pub reach: RouteAddresses,
    /// Headers to set, in place of the client's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set_headers: BTreeMap<String, String>,
    /// Headers to add to the client's, as a list value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub append_headers: BTreeMap<String, String>,
}

/// Why a route's specification cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RouteError {
    /// Not a base URL.
    #[error("`{url}` is not the base URL of a provider: {problem}")]
    BaseUrl {
        /// The text.
        url: String,
        /// What is wrong.
        problem: String,
    },
    /// Id 0 is the proxy.
    #[error("route `{name}` has the number 0, which is the proxy's")]
    Id {
        /// The route.
        name: String,
    },
    /// A prefix that does not begin with `/`, or no prefix at all.
    #[error("route `{name}` has no path prefix, or one that does not begin with `/`")]
    Paths {
        /// The route.
        name: String,
    },
    /// A header that cannot be set.
    #[error("route `{name}` cannot set the header `{header}`")]
    Header {
        /// The route.
        name: String,
        /// The header.
        header: String,
    },
    /// Two routes share a number.
    #[error("the routes `{first}` and `{second}` have the same number")]
    Twice {
        /// One route.
        first: String,
        /// The other.
        second: String,
    },
}

impl Diagnose for RouteError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::BaseUrl { .. } => {
                Some("write `https://host`, `https://host:port/path`, or `http://127.0.0.1:port`".into())
            }
            _ => None,
        }
    }
}

impl FromStr for BaseUrl {
    type Err = RouteError;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let wrong = |problem: String| RouteError::BaseUrl { url: url.chars().take(300).collect(), problem };
        let (tls, rest) = if let Some(rest) = url.strip_prefix("https://") {
            (true, rest)
        } else if let Some(rest) = url.strip_prefix("http://") {
            (false, rest)
        } else {
            return Err(wrong("it does not begin with `https://`".into()));
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let default_port = if tls { 443 } else { 80 };
        let target = Target::parse(authority.as_bytes(), Some(default_port))
            .map_err(|error: AuthorityError| wrong(error.to_string()))?;
        if !tls && !is_loopback(&target.host) {
            return Err(wrong("a key is sent without TLS to loopback only".into()));
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        if !path.is_empty() && RequestRules::default().judge_path(path).is_err() {
            return Err(wrong("its path is malformed".into()));
        }
        Ok(Self { target, tls, path: path.to_owned() })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

impl Serialize for BaseUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BaseUrl {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl BaseUrl {
    /// Host and port.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Whether the provider is spoken to over TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The value of `Host`: without a port that is the scheme's own.
    fn authority(&self) -> String {
        let own = if self.tls { 443 } else { 80 };
        if self.target.port == own { self.target.host.to_string() } else { self.target.to_string() }
    }
}

impl RouteSpec {
    /// Whether it can be used.
    pub fn check(&self) -> Result<(), RouteError> {
        let name = || self.name.clone();
        if self.id == RouteId::PROXY {
            return Err(RouteError::Id { name: name() });
        }
        let bad = |path: &String| path != "/" && self.request.judge_path(path).is_err();
        if self.paths.is_empty() || self.paths.iter().any(bad) {
            return Err(RouteError::Paths { name: name() });
        }
        for (header, value) in self.set_headers.iter().chain(&self.append_headers) {
            let well_formed = !header.is_empty()
                && header.bytes().all(is_token)
                && value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
            if is_never_passed(header) || !well_formed {
                return Err(RouteError::Header { name: name(), header: header.clone() });
            }
        }
        Ok(())
    }
}

/// A route in use.
#[derive(Debug)]
pub(crate) struct Route {
    spec: RouteSpec,
    key: Key,
}

impl Route {
    pub(crate) fn new(spec: RouteSpec, credential: Credential) -> Result<Self, RouteError> {
        spec.check()?;
        Ok(Self { key: Key::new(credential), spec })
    }

    /// A route whose key is known already.
    pub(crate) fn with_key(spec: RouteSpec, key: Secret) -> Result<Self, RouteError> {
        spec.check()?;
        Ok(Self { key: Key::given(key), spec })
    }

    pub(crate) fn spec(&self) -> &RouteSpec {
        &self.spec
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    pub(crate) fn reach(&self) -> Addresses {
        // A host that is an address or `localhost` was written down by the user as exactly that.
        match self.spec.reach {
            RouteAddresses::Private => Addresses::Configured,
            RouteAddresses::Public if is_loopback(&self.spec.upstream.target.host) => Addresses::Configured,
            RouteAddresses::Public => Addresses::Public,
        }
    }

    /// Whether a request names the provider's host: in its target, or in `Host`, and with its port or none.
    pub(crate) fn is_named_by(&self, head: &RequestHead) -> bool {
        let own = &self.spec.upstream.target;
        match &head.target {
            RequestTarget::Forward { target, .. } => {
                target.host == own.host && (target.port == own.port || target.port == 80)
            }
            RequestTarget::Origin(_) => {
                let said = head.fields.iter().find(|field| field.is("Host"));
                let said = said.and_then(|field| Authority::parse(&field.value).ok());
                said.is_some_and(|said| {
                    said.host == own.host && said.port.is_none_or(|port| port == own.port)
                })
            }
            RequestTarget::Tunnel(_) => false,
        }
    }

    /// Whether a request for this path (with its query) may take the route.
    pub(crate) fn admits(&self, head: &RequestHead, path: &str) -> Result<(), RouteRefusal> {
        self.spec.request.judge(head, path, &self.spec.paths)
    }

    /// The head to send to the provider in place of `head`, whose target is `path`.
    pub(crate) fn rewrite(&self, head: &RequestHead, path: &str, key: &Secret) -> Vec<u8> {
        let spec = &self.spec;
        let mut out = Vec::with_capacity(1024);
        line(
            &mut out,
            &[head.method.as_bytes(), b" ", spec.upstream.path.as_bytes(), path.as_bytes(), b" HTTP/1.1"],
        );
        line(&mut out, &[b"Host: ", spec.upstream.authority().as_bytes()]);
        for field in &head.fields {
            let replaced = spec.set_headers.keys().any(|name| field.is(name));
            if spec.request.passes(field, &head.fields) && !replaced {
                line(&mut out, &[field.name.as_bytes(), b": ", &field.value]);
            }
        }
        for (name, value) in spec.set_headers.iter().chain(&spec.append_headers) {
            line(&mut out, &[name.as_bytes(), b": ", value.as_bytes()]);
        }
        match spec.header {
            KeyHeader::XApiKey => line(&mut out, &[b"x-api-key: ", key.expose()]),
            KeyHeader::Bearer => line(&mut out, &[b"Authorization: Bearer ", key.expose()]),
            KeyHeader::XGoogApiKey => line(&mut out, &[b"x-goog-api-key: ", key.expose()]),
        }
        // What comes back is searched for the key, which cannot be done in compressed bytes.
        line(&mut out, &[b"Accept-Encoding: identity"]);
        end(&mut out, head.body);
        out
    }
}

/// Writes the fields that say how the body is delimited and that one request is all, and the empty line.
pub(crate) fn end(out: &mut Vec<u8>, body: Body) {
    match body {
        Body::None => {}
        Body::Length(length) => line(out, &[b"Content-Length: ", length.to_string().as_bytes()]),
        Body::Chunked | Body::UntilClose => line(out, &[b"Transfer-Encoding: chunked"]),
    }
    line(out, &[b"Connection: close"]);
    line(out, &[]);
}

/// Writes one line of a head.
pub(crate) fn line(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\r\n");
}

fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Name(name) => &**name == "localhost",
        Host::Address(address) => address.is_loopback(),
    }
}

#[cfg(test)]
mod tests;
