//! Credential routes: a loopback port of the sandbox that leads to one provider, with the real key added on the way.
//!
//! ```text
//!   agent:       POST http://127.0.0.1:3129/v1/messages     x-api-key: PLACEHOLDER
//!   supervisor:  POST https://api.provider.example/v1/messages     x-api-key: the key
//! ```
//!
//! A route is data ([`RouteSpec`], from a recipe) and a [`Credential`]. Where it leads is fixed: nothing a request says
//! changes the provider's host, and only paths under the listed prefixes are passed on. Every header that carries a
//! credential is dropped, whatever its value, before the key is added, so neither the placeholder nor a key of somebody
//! else's account leaves by a route.
//!
//! **Refuses** paths with dot segments, empty segments, backslashes or percent-encoded separators: the provider might read
//! them as another path than the one that was checked; the methods TRACE and CONNECT; any change of protocol.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::authority::AuthorityError;
use pinfold_base::authority::Host;
use pinfold_base::authority::Target;
use schemars::JsonSchema;
use serde::Deserialize;
use serde::Serialize;

use crate::dial::Addresses;
use crate::relay::RouteId;
use crate::secret::Credential;
use crate::secret::Key;
use crate::secret::Secret;
use crate::wire::head::Body;
use crate::wire::head::RequestHead;
use crate::wire::head::is_hop_by_hop;
use crate::wire::head::is_token;

/// Headers that may hold a credential; none of the client's leaves by a route.
const CREDENTIAL_HEADERS: [&str; 7] = [
    "Authorization",
    "Proxy-Authorization",
    "X-Api-Key",
    "Api-Key",
    "X-Goog-Api-Key",
    "X-Goog-Iam-Authorization-Token",
    "Cookie",
];
/// Headers the route writes itself; a specification cannot set them.
const OWN_HEADERS: [&str; 5] =
    ["Host", "Connection", "Content-Length", "Transfer-Encoding", "Accept-Encoding"];

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
    /// The loopback port inside the sandbox.
    pub listen_port: u16,
    /// The provider.
    pub upstream: BaseUrl,
    /// Where the key goes.
    pub header: KeyHeader,
    /// The dummy key the agent is given. It is also removed from query strings.
    pub placeholder: String,
    /// Prefixes of allowed paths, each ending at a segment's edge: `/v1/messages` allows `/v1/messages/count_tokens`.
    pub paths: Vec<String>,
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

/// Why a request is not passed on by a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteRefusal {
    /// TRACE would send the key back.
    #[error("the method is not allowed on a credential route")]
    Method,
    /// Not under a prefix.
    #[error("the path is not one this credential is for")]
    Path,
    /// Two readings.
    #[error("the path has dot or empty segments, or encoded separators")]
    AmbiguousPath,
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
        if !path.is_empty() && check_path(path).is_err() {
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

/// A route in use.
#[derive(Debug)]
pub(crate) struct Route {
    spec: RouteSpec,
    key: Key,
}

impl Route {
    pub(crate) fn new(spec: RouteSpec, credential: Credential) -> Result<Self, RouteError> {
        let name = || spec.name.clone();
        if spec.id == RouteId::PROXY {
            return Err(RouteError::Id { name: name() });
        }
        if spec.paths.is_empty() || spec.paths.iter().any(|path| path != "/" && check_path(path).is_err()) {
            return Err(RouteError::Paths { name: name() });
        }
        for (header, value) in spec.set_headers.iter().chain(&spec.append_headers) {
            let reserved = OWN_HEADERS
                .iter()
                .chain(&CREDENTIAL_HEADERS)
                .any(|reserved| reserved.eq_ignore_ascii_case(header));
            let well_formed = !header.is_empty()
                && header.bytes().all(is_token)
                && value.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
            if reserved || !well_formed {
                return Err(RouteError::Header { name: name(), header: header.clone() });
            }
        }
        Ok(Self { key: Key::new(credential), spec })
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

    /// Whether a request of this method for this path (with its query) may take the route.
    pub(crate) fn admits(&self, method: &str, path: &str) -> Result<(), RouteRefusal> {
        if !matches!(method, "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") {
            return Err(RouteRefusal::Method);
        }
        let path = path.split('?').next().unwrap_or_default();
        check_path(path)?;
        let under = |prefix: &String| {
            let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':']))
        };
        if self.spec.paths.iter().any(under) { Ok(()) } else { Err(RouteRefusal::Path) }
    }

    /// The head to send to the provider in place of `head`, whose target is `path`.
    pub(crate) fn rewrite(&self, head: &RequestHead, path: &str, key: &Secret) -> Vec<u8> {
        let spec = &self.spec;
        let path = without_placeholder(path, &spec.placeholder);
        let mut out = Vec::with_capacity(1024);
        line(
            &mut out,
            &[head.method.as_bytes(), b" ", spec.upstream.path.as_bytes(), path.as_bytes(), b" HTTP/1.1"],
        );
        line(&mut out, &[b"Host: ", spec.upstream.authority().as_bytes()]);
        for field in &head.fields {
            let dropped = is_hop_by_hop(field, &head.fields)
                || OWN_HEADERS.iter().chain(&CREDENTIAL_HEADERS).any(|name| field.is(name))
                || spec.set_headers.keys().any(|name| field.is(name));
            if !dropped {
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

/// Refuses what two servers may read as different paths.
fn check_path(path: &str) -> Result<(), RouteRefusal> {
    let segments = path.strip_prefix('/').ok_or(RouteRefusal::AmbiguousPath)?;
    let lower = path.to_ascii_lowercase();
    let encoded = ["%2e", "%2f", "%5c", "%00", "%25"].iter().any(|code| lower.contains(code));
    let odd = !path.bytes().all(|byte| byte.is_ascii_graphic()) || path.contains(['\\', '#', '?', ';']);
    // A final slash leaves one empty segment, which is harmless.
    let mut inner = segments.strip_suffix('/').unwrap_or(segments).split('/');
    let segment = !segments.is_empty() && inner.any(|segment| matches!(segment, "" | "." | ".."));
    if encoded || odd || segment { Err(RouteRefusal::AmbiguousPath) } else { Ok(()) }
}

/// The path without those parameters of its query whose value is the placeholder.
fn without_placeholder(path: &str, placeholder: &str) -> String {
    let Some((path, query)) = path.split_once('?') else { return path.to_owned() };
    let kept: Vec<&str> = query
        .split('&')
        .filter(|parameter| {
            placeholder.is_empty() || parameter.split_once('=').is_none_or(|(_, value)| value != placeholder)
        })
        .collect();
    if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::head::parse_request;

    fn spec() -> RouteSpec {
        serde_json::from_str(
            r#"{"id":1,"name":"claude-code","listen-port":3129,"upstream":"https://api.provider.example",
                "header":"x-api-key","placeholder":"placeholder-key","paths":["/v1/messages","/v1beta/models/"]}"#,
        )
        .unwrap()
    }

    fn route(change: impl FnOnce(&mut RouteSpec)) -> Route {
        let mut spec = spec();
        change(&mut spec);
        Route::new(spec, Credential::Env("KEY".into())).unwrap()
    }

    fn rewritten(route: &Route, text: &str) -> String {
        let (head, _) = parse_request(text.as_bytes()).unwrap().unwrap();
        let crate::wire::head::RequestTarget::Origin(path) = &head.target else { panic!("origin form") };
        let key = Secret::new(b"sk-canary").unwrap();
        String::from_utf8(route.rewrite(&head, path, &key)).unwrap()
    }

    #[test]
    fn the_dummy_goes_and_the_key_comes() {
        let text = rewritten(
            &route(|_| {}),
            "POST /v1/messages?beta=true HTTP/1.1\r\nHost: 127.0.0.1:3129\r\nX-API-Key: placeholder-key\r\n\
             Authorization: Bearer placeholder-key\r\nx-goog-api-key: other\r\nCookie: a=b\r\n\
             Accept-Encoding: gzip\r\nUser-Agent: agent/1\r\nConnection: keep-alive, X-Drop\r\nX-Drop: 1\r\n\
             Expect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        );
        assert_eq!(
            text,
            "POST /v1/messages?beta=true HTTP/1.1\r\nHost: api.provider.example\r\nUser-Agent: agent/1\r\n\
             x-api-key: sk-canary\r\nAccept-Encoding: identity\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn each_provider_has_its_header() {
        for (header, expected) in [
            (KeyHeader::XApiKey, "\r\nx-api-key: sk-canary\r\n"),
            (KeyHeader::Bearer, "\r\nAuthorization: Bearer sk-canary\r\n"),
            (KeyHeader::XGoogApiKey, "\r\nx-goog-api-key: sk-canary\r\n"),
        ] {
            let text = rewritten(
                &route(|spec| spec.header = header),
                "GET /v1/messages HTTP/1.1\r\nHost: x\r\n\r\n",
            );
            assert!(text.contains(expected), "{text}");
            assert_eq!(text.matches("sk-canary").count(), 1);
        }
    }

    #[test]
    fn base_paths_ports_and_further_headers() {
        let route = route(|spec| {
            spec.upstream = "https://gateway.example:8443/llm/".parse().unwrap();
            spec.set_headers.insert("anthropic-version".into(), "2023-06-01".into());
            spec.append_headers.insert("anthropic-beta".into(), "oauth".into());
        });
        let text = rewritten(
            &route,
            "GET /v1/messages?key=placeholder-key&alt=sse HTTP/1.1\r\nHost: x\r\nAnthropic-Version: 1999\r\n\
             anthropic-beta: tools\r\n\r\n",
        );
        assert!(
            text.starts_with("GET /llm/v1/messages?alt=sse HTTP/1.1\r\nHost: gateway.example:8443\r\n"),
            "{text}"
        );
        assert!(!text.contains("1999") && text.contains("anthropic-version: 2023-06-01\r\n"));
        assert!(text.contains("anthropic-beta: tools\r\n") && text.contains("anthropic-beta: oauth\r\n"));
    }

    #[test]
    fn only_listed_paths_pass() {
        let route = route(|_| {});
        for path in [
            "/v1/messages",
            "/v1/messages?x=/../",
            "/v1/messages/",
            "/v1/messages/count_tokens",
            "/v1beta/models/gemini:streamGenerateContent?alt=sse",
        ] {
            assert_eq!(route.admits("POST", path), Ok(()), "{path}");
        }
        for path in ["/", "/v1", "/v1/messagesx", "/v1/files", "/V1/messages", "/v1betax/models/a"] {
            assert_eq!(route.admits("POST", path), Err(RouteRefusal::Path), "{path}");
        }
        for path in [
            "/v1/messages/../files",
            "/v1/messages/./x",
            "/v1/messages//x",
            "//v1/messages",
            "/v1/messages/..",
            "/v1/messages/%2e%2e/files",
            "/v1/messages/%2E./files",
            "/v1/messages/..%2ffiles",
            "/v1/messages\\..\\files",
            "/v1/messages/%5cx",
            "/v1/messages/%252e",
            "/v1/messages;x/../files",
            "v1/messages",
            "",
        ] {
            assert_eq!(route.admits("POST", path), Err(RouteRefusal::AmbiguousPath), "{path}");
        }
    }

    /// Row S3.
    #[test]
    fn methods_that_echo_are_refused() {
        let route = route(|_| {});
        for method in ["TRACE", "TRACK", "CONNECT", "get", "PROPFIND"] {
            assert_eq!(route.admits(method, "/v1/messages"), Err(RouteRefusal::Method), "{method}");
        }
    }

    #[test]
    fn a_key_goes_without_tls_to_loopback_only() {
        for url in
            ["http://127.0.0.1:8080", "http://localhost:8080/v1", "http://[::1]:1", "https://a.example/x/y"]
        {
            assert_eq!(url.parse::<BaseUrl>().unwrap().to_string(), url);
        }
        for url in [
            "http://api.provider.example",
            "http://10.0.0.1",
            "http://localhost.evil.example",
            "ftp://a.example",
            "https://u:p@a.example",
            "https://a.example/../x",
            "https://a.example/x?y",
            "https://",
            "a.example",
        ] {
            assert!(url.parse::<BaseUrl>().is_err(), "{url}");
        }
        assert_eq!("https://A.example:443/".parse::<BaseUrl>().unwrap().to_string(), "https://a.example");
        assert_eq!(
            route(|spec| spec.upstream = "http://127.0.0.1:1".parse().unwrap()).reach(),
            Addresses::Configured
        );
        assert_eq!(route(|_| {}).reach(), Addresses::Public);
    }

    #[test]
    fn impossible_routes_are_refused() {
        let build = |change: fn(&mut RouteSpec)| {
            let mut spec = spec();
            change(&mut spec);
            Route::new(spec, Credential::Env("KEY".into()))
        };
        assert!(matches!(build(|spec| spec.id = RouteId::PROXY), Err(RouteError::Id { .. })));
        assert!(matches!(build(|spec| spec.paths.clear()), Err(RouteError::Paths { .. })));
        assert!(matches!(build(|spec| spec.paths.push("v1".into())), Err(RouteError::Paths { .. })));
        for (name, value) in
            [("Host", "x"), ("authorization", "x"), ("X Y", "x"), ("X", "a\r\nY: b"), ("", "x")]
        {
            let mut spec = spec();
            spec.set_headers.insert(name.into(), value.into());
            assert!(matches!(
                Route::new(spec, Credential::Env("KEY".into())),
                Err(RouteError::Header { .. })
            ));
        }
        let unknown = r#"{"id":1,"name":"x","listen-port":1,"upstream":"https://a.example","header":"cookie","placeholder":"p","paths":["/"]}"#;
        assert!(serde_json::from_str::<RouteSpec>(unknown).is_err());
    }
}
