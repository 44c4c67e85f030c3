//! What of a client's request may take a credential route: its method, its target, its headers, the kind of its body.
//!
//! The real key is added to what is passed on. A second credential beside it, or a header that makes the provider read the
//! request as another one, would act with that key or spend it for somebody else. So nothing is passed on that was not
//! named:
//!
//! ```text
//!   method   one of `methods`                                        else refused
//!   path     unreserved characters, `/`, and `!$'()*+,:=@`           else refused
//!   %XX      exactly as in `escapes`, in path and query              else refused
//!   query    NAME or NAME=VALUE of `query`, each at most once        else refused
//!   header   one of `headers` or of the built-in ones                else dropped;  one of them twice: refused
//!   body     a media type of `types`, when it says its type          else refused
//! ```
//!
//! **Guarantees**: what was judged is what is sent, byte for byte. Names of the query are compared as they stand, case and
//! all; names of headers without regard to case, and `_` is not `-`.
//!
//! **Refuses**, whatever a recipe declares: escapes of unreserved characters, of `%`, of `\`, of control characters and of
//! bytes above ASCII (two spellings, and the doubled and over-long ones); dot and empty segments, with a declared `%2F`
//! counted as the separator it may become; headers and query names that hold credentials, change the method or the
//! address, speak of other hops, or ask for a part of an answer.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use schemars::Schema;
use schemars::SchemaGenerator;
use schemars::json_schema;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::Error as _;

use crate::wire::head::Field;
use crate::wire::head::RequestHead;
use crate::wire::head::is_hop_by_hop;

/// Headers any client sends that say what the request is and nothing of who sends it.
const PLAIN_HEADERS: [&str; 18] = [
    "accept",
    "accept-language",
    "content-encoding",
    "content-type",
    "user-agent",
    // Versions of the providers' interfaces.
    "anthropic-beta",
    "anthropic-version",
    "openai-beta",
    "x-goog-api-client",
    // Of the generated client libraries that most agents use.
    "x-stainless-arch",
    "x-stainless-helper-method",
    "x-stainless-lang",
    "x-stainless-os",
    "x-stainless-package-version",
    "x-stainless-retry-count",
    "x-stainless-runtime",
    "x-stainless-runtime-version",
    "x-stainless-timeout",
];

/// Headers that no recipe can let through: the route's own, those of one connection, other readings of the request, words
/// about other hops, parts of answers.
const NEVER_HEADERS: [&str; 28] = [
    "accept-encoding",
    "client-ip",
    "connection",
    "content-length",
    "expect",
    "from",
    "host",
    "http2-settings",
    "if-range",
    "keep-alive",
    "max-forwards",
    "origin",
    "range",
    "referer",
    "request-range",
    "te",
    "trailer",
    "transfer-encoding",
    "true-client-ip",
    "upgrade",
    "via",
    "x-client-ip",
    "x-host",
    "x-http-method",
    "x-real-ip",
    "x-url",
    "x-url-scheme",
    "x-uri",
];
/// The same by a part of their name, credentials first.
const NEVER_IN_HEADERS: [&str; 15] = [
    "auth",
    "token",
    "api-key",
    "apikey",
    "cookie",
    "credential",
    "passw",
    "secret",
    "signature",
    "assertion",
    "proxy-",
    "forward",
    "override",
    "x-original",
    "x-rewrite",
];

/// Query names that no recipe can let through: where credentials are put, and what changes the method.
const NEVER_QUERY: [&str; 4] = ["_method", "key", "sig", "token"];
/// The same by a part of their name. (`token` is not among them: it also stands for a place in a list.)
const NEVER_IN_QUERY: [&str; 13] = [
    "auth",
    "access_token",
    "access-token",
    "accesstoken",
    "api_key",
    "api-key",
    "apikey",
    "bearer",
    "credential",
    "override",
    "passw",
    "secret",
    "signature",
];

/// The most text of a client's that a refusal repeats.
const SHOWN: usize = 60;

/// Text that is one of a kind: read strictly, written as it was read.
macro_rules! spelt {
    ($(#[$doc:meta])* $name:ident, $schema:literal, $pattern:literal, $read:expr, $wanted:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(String);

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let read: fn(&str) -> Option<String> = $read;
                let wrong = || format!(concat!("`{}` is not ", $wanted), shown(text));
                read(text).map(Self).ok_or_else(wrong)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                $schema.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
}

spelt!(
    /// The name of a header a route passes on, in small letters.
    HeaderName,
    "RequestHeader",
    "^[A-Za-z0-9-]+$",
    read_header,
    "a header that a route can pass on: letters, digits and `-`, and none that holds a credential, changes the \
     method or the address, or is the route's own"
);
spelt!(
    /// A parameter of the query that a route passes on: `NAME` with any value, or `NAME=VALUE` with this one.
    QueryParameter,
    "QueryParameter",
    "^[A-Za-z0-9_.-]+(=[A-Za-z0-9_.~-]+)?$",
    read_query,
    "a query parameter that a route can pass on: letters, digits, `_`, `.`, `-`, perhaps `=` and one value, and no \
     name under which credentials are sent"
);
spelt!(
    /// An escape that a route takes, in exactly this spelling: `%2F` or `%2f`.
    Escape,
    "Escape",
    "^%[2-7][0-9A-Fa-f]$",
    read_escape,
    "an escape that a route can take: `%` and two digits, of a visible ASCII character that must be escaped in some \
     place, and neither `%25` nor `%5C`"
);
spelt!(
    /// The media type of a body that a route passes on, in small letters and without parameters.
    MediaType,
    "MediaType",
    "^[a-z0-9.+-]+/[a-z0-9.+-]+$",
    read_media_type,
    "a media type that a route can pass on: small letters as in `application/json`, and none whose body is a form or \
     holds requests of its own"
);

/// A method that a route may pass on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Reads the head.
    Head,
    /// Asks for work.
    Post,
    /// Replaces.
    Put,
    /// Changes.
    Patch,
    /// Removes.
    Delete,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// What of a request is passed on. All else is dropped (headers) or refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[schemars(rename = "Request")]
pub struct RequestRules {
    /// Methods; GET, HEAD and POST unless said.
    pub methods: BTreeSet<Method>,
    /// Headers, beside the built-in ones that any client sends.
    pub headers: BTreeSet<HeaderName>,
    /// Parameters of the query: `NAME`, or `NAME=VALUE` for one value only.
    pub query: BTreeSet<QueryParameter>,
    /// Escapes in path and query, as `%2F`; none unless said.
    pub escapes: BTreeSet<Escape>,
    /// Media types of bodies; `application/json` unless said.
    pub types: BTreeSet<MediaType>,
}

impl Default for RequestRules {
    fn default() -> Self {
        Self {
            methods: [Method::Get, Method::Head, Method::Post].into(),
            headers: BTreeSet::new(),
            query: BTreeSet::new(),
            escapes: BTreeSet::new(),
            types: [MediaType("application/json".into())].into(),
        }
    }
}

/// Why a request is not passed on by a route.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RouteRefusal {
    /// Not a listed method; TRACE, for one, would send the key back.
    #[error("the method is not allowed on a credential route")]
    Method,
    /// Not under a prefix.
    #[error("the path is not one this credential is for")]
    Path,
    /// Two readings.
    #[error("the path has dot or empty segments, or a character that must be escaped")]
    AmbiguousPath,
    /// An escape that was not declared.
    #[error("the escape `{0}` is not one this credential route takes")]
    Escape(String),
    /// A parameter that was not declared.
    #[error("the query parameter `{0}` is not one this credential route passes on")]
    Query(String),
    /// A parameter that stands twice.
    #[error("the query parameter `{0}` stands twice")]
    QueryTwice(String),
    /// An empty parameter, or a character that must be escaped.
    #[error("the query is malformed")]
    AmbiguousQuery,
    /// A header that stands twice.
    #[error("the header `{0}` stands twice")]
    HeaderTwice(String),
    /// A body of a kind that was not declared.
    #[error("the content type `{0}` is not one this credential route passes on")]
    Type(String),
}

impl RequestRules {
    /// Whether a request may take a route whose paths are below `prefixes`; `target` is its path with its query.
    pub fn judge(&self, head: &RequestHead, target: &str, prefixes: &[String]) -> Result<(), RouteRefusal> {
        if !self.methods.iter().any(|method| method.name() == head.method) {
            return Err(RouteRefusal::Method);
        }
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        self.judge_path(path)?;
        let under = |prefix: &String| {
            let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
            path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if !prefixes.iter().any(under) {
            return Err(RouteRefusal::Path);
        }
        if let Some(query) = query {
            self.judge_query(query)?;
        }
        self.judge_fields(&head.fields)
    }

    /// Refuses what two servers may read as different paths.
    pub(super) fn judge_path(&self, path: &str) -> Result<(), RouteRefusal> {
        let segments = path.strip_prefix('/').ok_or(RouteRefusal::AmbiguousPath)?;
        let plain = |byte| is_unreserved(byte) || b"/!$'()*+,:=@".contains(&byte);
        self.judge_text(path, plain, RouteRefusal::AmbiguousPath)?;
        // A provider that decodes before it splits sees a separator where a declared escape stands.
        let split = segments.replace("%2F", "/").replace("%2f", "/");
        // A final slash leaves one empty segment, which is harmless.
        let inner = if segments.ends_with('/') { &split[..split.len() - 1] } else { &split };
        let odd = |segment: &str| matches!(segment, "" | "." | "..");
        if !segments.is_empty() && inner.split('/').any(odd) {
            return Err(RouteRefusal::AmbiguousPath);
        }
        Ok(())
    }

    fn judge_query(&self, query: &str) -> Result<(), RouteRefusal> {
        let mut seen = BTreeSet::new();
        for parameter in query.split('&') {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let declared = self.query.iter().any(|known| match known.0.split_once('=') {
                Some(_) => known.0 == parameter,
                None => known.0 == name,
            });
            if name.is_empty() {
                return Err(RouteRefusal::AmbiguousQuery);
            }
            if !declared {
                return Err(RouteRefusal::Query(shown(name)));
            }
            let plain = |byte| is_unreserved(byte) || b"!$'()*+,/:@".contains(&byte);
            self.judge_text(value, plain, RouteRefusal::AmbiguousQuery)?;
            if !seen.insert(name) {
                return Err(RouteRefusal::QueryTwice(shown(name)));
            }
        }
        Ok(())
    }

    /// Every byte stands for itself, or belongs to a declared escape.
    fn judge_text(
        &self,
        text: &str,
        plain: impl Fn(u8) -> bool,
        odd: RouteRefusal,
    ) -> Result<(), RouteRefusal> {
        let mut rest = text.as_bytes();
        while let Some((&byte, after)) = rest.split_first() {
            if byte == b'%' {
                let escape = &rest[..rest.len().min(3)];
                if !self.escapes.iter().any(|known| known.0.as_bytes() == escape) {
                    return Err(RouteRefusal::Escape(shown(&String::from_utf8_lossy(escape))));
                }
                rest = &rest[3..];
            } else if plain(byte) {
                rest = after;
            } else {
                return Err(odd);
            }
        }
        Ok(())
    }

    fn judge_fields(&self, fields: &[Field]) -> Result<(), RouteRefusal> {
        let mut seen = BTreeSet::new();
        for field in fields.iter().filter(|field| self.passes(field, fields)) {
            let name = field.name.to_ascii_lowercase();
            if name == "content-type" {
                let text = String::from_utf8_lossy(&field.value);
                let mut parts = text.split(';');
                let kind = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
                // A comma would make it a list, of which another parser may take the second.
                if !self.types.iter().any(|known| known.0 == kind) || text.contains(',') {
                    return Err(RouteRefusal::Type(shown(&text)));
                }
            }
            if !seen.insert(name) {
                return Err(RouteRefusal::HeaderTwice(shown(&field.name)));
            }
        }
        Ok(())
    }

    /// Whether a header of the client's is passed on.
    pub fn passes(&self, field: &Field, fields: &[Field]) -> bool {
        let known = PLAIN_HEADERS.iter().any(|name| field.is(name))
            || self.headers.iter().any(|name| field.is(&name.0));
        known && !is_hop_by_hop(field, fields)
    }
}

/// Whether no recipe and no client decides about a header of this name.
pub(super) fn is_never_passed(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    NEVER_HEADERS.contains(&&*name) || NEVER_IN_HEADERS.iter().any(|part| name.contains(part))
}

fn read_header(text: &str) -> Option<String> {
    let name = text.to_ascii_lowercase();
    let well_formed =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (well_formed && !is_never_passed(&name)).then_some(name)
}

fn read_query(text: &str) -> Option<String> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let well_formed = !name.is_empty()
        && name.bytes().all(is_name)
        && value.is_none_or(|value| !value.is_empty() && value.bytes().all(is_unreserved));
    let name = name.to_ascii_lowercase();
    let never = NEVER_QUERY.contains(&&*name) || NEVER_IN_QUERY.iter().any(|part| name.contains(part));
    (well_formed && !never).then(|| text.to_owned())
}

fn read_escape(text: &str) -> Option<String> {
    let digits = text.strip_prefix('%').filter(|digits| digits.len() == 2)?;
    let byte = u8::from_str_radix(digits, 16).ok()?;
    let hexadecimal = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let takes = (b' '..=b'~').contains(&byte) && !is_unreserved(byte) && !b"%\\".contains(&byte);
    (hexadecimal && takes).then(|| text.to_owned())
}

fn read_media_type(text: &str) -> Option<String> {
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".+-".contains(&byte);
    let (kind, name) = text.split_once('/')?;
    let well_formed = [kind, name].iter().all(|part| !part.is_empty() && part.bytes().all(is_name));
    // A form may hold an access token (RFC 6750, section 2.2); parts and messages may be requests with keys of their own.
    let form = name == "x-www-form-urlencoded" || kind == "message";
    let parts = kind == "multipart" && name != "form-data";
    (well_formed && !form && !parts).then(|| text.to_owned())
}

/// RFC 3986, section 2.3.
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

/// The beginning of what a client wrote, for a refusal.
fn shown(text: &str) -> String {
    text.chars().take(SHOWN).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

#[cfg(test)]
mod tests;
