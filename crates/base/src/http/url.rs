//! URLs and secrets that are safe to print.
//!
//! ```text
//! https://user:password@host:8443/path/?query#fragment
//!         └─ Secret ──┘                └Secret┘└ dropped
//! ```
//!
//! **Guarantees**: neither `Display` nor `Debug` shows user information or the query, nor what a variable was filled in with
//! ([`Filled`]); [`SafeUrl::join`] never leaves the prefix it starts from; a host is read as everywhere else
//! ([`crate::authority`]). **Refuses**: schemes other than `https`,
//! `http` and `file`, control characters, spaces, bytes that are not ASCII (they must be percent-encoded), backslashes, NUL.

use std::borrow::Cow;
use std::fmt;
use std::hash::Hash;
use std::hash::Hasher;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::authority::Authority;
use crate::authority::Grammar;
use crate::text::Shown;

/// Longest URL accepted, in bytes.
const MAX_URL: usize = 8192;

/// Text that must never be seen: a password, a token, a signed query.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Secret(Box<str>);

impl Secret {
    /// Wraps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into().into())
    }

    /// The text itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("****")
    }
}

/// Variables that were filled into an address. Any of them may be a secret: what is shown has `${NAME}` where the value stands.
#[derive(Clone, Debug, Default)]
pub struct Filled(Arc<[(Secret, Box<str>)]>);

impl Filled {
    /// Names with their values. The longest is looked for first, since one value can be part of another.
    pub fn new<'a>(variables: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let filled = variables.into_iter().filter(|(_, value)| !value.is_empty());
        let mut filled: Vec<(Secret, Box<str>)> =
            filled.map(|(name, value)| (Secret::new(value), name.into())).collect();
        filled.sort_by_key(|(value, _)| std::cmp::Reverse(value.expose().len()));
        Self(filled.into())
    }

    /// The text as it may be shown. Case counts for nothing, because that of hosts is lost.
    pub fn told(&self, text: &str) -> String {
        let mut told = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let begins =
                |value: &str| rest.get(..value.len()).is_some_and(|start| start.eq_ignore_ascii_case(value));
            if let Some((value, name)) = self.0.iter().find(|(value, _)| begins(value.expose())) {
                told.extend(["${", name, "}"]);
                rest = &rest[value.expose().len()..];
            } else {
                told.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        told
    }
}

/// How an address is told is no part of which one it is.
impl PartialEq for Filled {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Filled {}

impl Hash for Filled {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

/// How a request proves who asks.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Auth {
    /// Not at all.
    #[default]
    None,
    /// `Authorization: Basic` (RFC 7617).
    Basic {
        /// Name of the user.
        user: String,
        /// Password.
        password: Secret,
    },
    /// `Authorization: Bearer` (RFC 6750).
    Bearer(Secret),
}

impl Auth {
    /// The value of the `Authorization` header; `None` when there is nothing to send.
    pub fn header(&self) -> Option<Secret> {
        match self {
            Self::None => None,
            Self::Basic { user, password } => Some(Secret::new(format!(
                "Basic {}",
                STANDARD.encode(format!("{user}:{}", password.expose()))
            ))),
            Self::Bearer(token) => Some(Secret::new(format!("Bearer {}", token.expose()))),
        }
    }
}

/// The schemes pinfold speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP over TLS.
    Https,
    /// Plain HTTP: for content that is verified by a digest or a signature afterwards, and never with credentials that
    /// were not written for that very address.
    Http,
    /// A file of this machine.
    File,
}

impl Scheme {
    /// Its name in a URL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
            Self::File => "file",
        }
    }

    const fn port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
            Self::File => 0,
        }
    }
}

/// Text that is not a URL pinfold can use. The text is not repeated where it could hold a secret.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[error("`{shown}` is not a usable URL: {reason}")]
pub struct ParseUrlError {
    shown: Shown,
    reason: Cow<'static, str>,
}

impl ParseUrlError {
    /// What of the text can be shown.
    pub fn shown(&self) -> &Shown {
        &self.shown
    }
}

/// A URL whose secrets never print.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct SafeUrl {
    scheme: Scheme,
    userinfo: Option<Secret>,
    /// Lower case, with brackets when it is an IPv6 address; empty for files.
    host: Box<str>,
    port: Option<u16>,
    /// Begins with a slash, percent-encoded.
    path: Box<str>,
    query: Option<Secret>,
    filled: Filled,
}

impl SafeUrl {
    /// Reads a URL into which variables were filled: neither it nor the error shows what they hold.
    pub fn with(text: &str, filled: &Filled) -> Result<Self, ParseUrlError> {
        match Self::parse(text) {
            Ok(url) => Ok(Self { filled: filled.clone(), ..url }),
            Err(ParseUrlError { reason, .. }) => Err(ParseUrlError {
                // As long as it is: of a value that is cut, the rest would not be known again.
                shown: shown(&filled.told(&masked(text))),
                reason: filled.told(&reason).into(),
            }),
        }
    }

    /// Reads a URL. A fragment is dropped.
    pub fn parse(text: &str) -> Result<Self, ParseUrlError> {
        let wrong =
            |reason: &'static str| ParseUrlError { shown: shown(&masked(text)), reason: reason.into() };
        if text.len() > MAX_URL {
            return Err(wrong("it is longer than 8192 bytes"));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return Err(wrong("spaces, control characters and letters beyond ASCII must be percent-encoded"));
        }
        let text_only = text.split('#').next().unwrap_or(text);
        let (scheme, rest) =
            text_only.split_once("://").ok_or_else(|| wrong("a scheme such as `https://` is missing"))?;
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            "file" => Scheme::File,
            _ => return Err(wrong("expected `https`, `http` or `file`")),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        let (path, query) = match tail.split_once('?') {
            Some((path, query)) => (path, Some(Secret::new(query))),
            None => (tail, None),
        };
        let path = if path.is_empty() { "/".to_owned() } else { path.to_owned() };
        if path.split('/').any(is_dots) {
            return Err(wrong("`..` in the path"));
        }
        if path.contains("%00") {
            return Err(wrong("a NUL byte in the path"));
        }
        if scheme == Scheme::File {
            if !matches!(authority, "" | "localhost") {
                return Err(wrong("a `file` URL has no host: `file:///path`"));
            }
            return Ok(Self {
                scheme,
                userinfo: None,
                host: "".into(),
                port: None,
                path: path.into(),
                query: None,
                filled: Filled::default(),
            });
        }
        let (userinfo, address) = match authority.rsplit_once('@') {
            Some((userinfo, address)) => (Some(Secret::new(userinfo)), address),
            None => (None, authority),
        };
        let Authority { host, port } =
            Authority::read(address.as_bytes(), Grammar::Uri).map_err(|error| ParseUrlError {
                shown: shown(&masked(text)),
                reason: error.to_string().into(),
            })?;
        let port = port.filter(|&port| port != scheme.port());
        let (host, path) = (host.to_string().into(), path.into());
        Ok(Self { scheme, userinfo, host, port, path, query, filled: Filled::default() })
    }

    /// A file of this machine. `path` must be absolute.
    pub fn from_path(path: &std::path::Path) -> Result<Self, ParseUrlError> {
        use std::os::unix::ffi::OsStrExt as _;
        let wrong = |reason: Cow<'static, str>| ParseUrlError { shown: path.into(), reason };
        if !path.is_absolute() {
            return Err(wrong("expected an absolute path".into()));
        }
        Self::parse(&format!("file://{}", encode(path.as_os_str().as_bytes(), false)))
            .map_err(|error| wrong(error.reason))
    }

    /// The scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host, lower case; empty for files.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The host as it may be shown.
    pub fn told_host(&self) -> String {
        self.filled.told(&self.host)
    }

    /// The port that is connected to.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(self.scheme.port())
    }

    /// The path, percent-encoded, beginning with a slash.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path of a `file` URL on this machine.
    pub fn file_path(&self) -> Option<std::path::PathBuf> {
        use std::os::unix::ffi::OsStringExt as _;
        (self.scheme == Scheme::File)
            .then(|| std::ffi::OsString::from_vec(decode(self.path.as_bytes())).into())
    }

    /// Credentials written into the URL itself.
    pub fn auth(&self) -> Auth {
        match &self.userinfo {
            None => Auth::None,
            Some(userinfo) => {
                let (user, password) = userinfo.expose().split_once(':').unwrap_or((userinfo.expose(), ""));
                let text = |part: &str| String::from_utf8_lossy(&decode(part.as_bytes())).into_owned();
                Auth::Basic { user: text(user), password: Secret::new(text(password)) }
            }
        }
    }

    /// The same place without user information and query, for the lock and for messages.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        Self { userinfo: None, query: None, ..self.clone() }
    }

    /// What goes to the HTTP library: everything but the user information.
    pub(super) fn request_text(&self) -> Secret {
        let mut text = self.place();
        if let Some(query) = &self.query {
            text.push('?');
            text.push_str(query.expose());
        }
        Secret::new(text)
    }

    /// The URL as it was written, secrets included, for asking a proxy or writing a user's own file.
    pub fn expose(&self) -> Secret {
        let mut text = self.request_text().0.into_string();
        if let Some(userinfo) = &self.userinfo {
            text = text.replacen("://", &format!("://{}@", userinfo.expose()), 1);
        }
        Secret::new(text)
    }

    /// `path` below this URL, which is taken as a folder. The result stays on the same host and below the same prefix:
    /// absolute paths, other hosts, `..` (also percent-encoded) and queries are refused. Bytes that a path cannot hold are
    /// percent-encoded; `%` is kept, so that encoded names stay as they are.
    pub fn join(&self, path: &str) -> Result<Self, ParseUrlError> {
        let before = || path.split(['?', '#']).next().unwrap_or_default();
        let wrong = |reason: &'static str| ParseUrlError { shown: shown(before()), reason: reason.into() };
        if path.is_empty() || path.starts_with('/') {
            return Err(wrong("expected a path relative to the source"));
        }
        if path.split('/').any(is_dots) {
            return Err(wrong("`..` leads out of the source"));
        }
        if path.split('/').next().is_some_and(|first| first.contains(':') && first.ends_with(':')) {
            return Err(wrong("expected a path relative to the source, not a URL"));
        }
        let odd = |byte: u8| byte.is_ascii_control() || matches!(byte, b'\\' | b'?' | b'#');
        if path.bytes().any(odd) || path.contains("%00") {
            return Err(wrong("control characters, backslashes, `?` and `#` have no place in it"));
        }
        let mut joined = self.path.trim_end_matches('/').to_owned();
        joined.push('/');
        joined.push_str(&encode(path.as_bytes(), true));
        if joined.len() > MAX_URL {
            return Err(wrong("it is too long"));
        }
        Ok(Self { path: joined.into(), query: None, ..self.clone() })
    }

    /// The same with these pairs at the end of its query, encoded.
    #[must_use]
    pub fn and_query(&self, pairs: &[(&str, &str)]) -> Self {
        let mut query = self.query.as_ref().map(|query| query.expose().to_owned()).unwrap_or_default();
        for (name, value) in pairs {
            if !query.is_empty() && !query.ends_with('&') {
                query.push('&');
            }
            query.extend([&encode_query(name), "=", &encode_query(value)]);
        }
        let query = (!query.is_empty()).then(|| Secret::new(query));
        Self { query, ..self.clone() }
    }

    /// The same by `https`, if it is the host of `other`, which is asked by `https`, and names no port but its own.
    pub(super) fn secured_as(&self, other: &Self) -> Option<Self> {
        let same = self.host == other.host && (self.port.is_none() || self.port() == other.port());
        same.then(|| Self { scheme: Scheme::Https, port: other.port, ..self.clone() })
    }

    /// Whether both are the same scheme, host and port.
    pub fn same_origin(&self, other: &Self) -> bool {
        self.scheme == other.scheme && self.host == other.host && self.port() == other.port()
    }

    /// Whether both are one place, however it is written: the scheme's and the host's case, the usual port, a slash at the end. An
    /// address with a login or a query is no other's place.
    pub fn same_place(&self, other: &Self) -> bool {
        let plain = |url: &Self| url.userinfo.is_none() && url.query.is_none();
        let path = |url: &'_ Self| url.path.strip_suffix('/').unwrap_or(&url.path).to_owned();
        plain(self) && plain(other) && self.same_origin(other) && path(self) == path(other)
    }

    /// The path of this URL relative to `base`, if it stands below it on the same host (the scheme may differ: registries
    /// behind a TLS proxy name themselves by `http`).
    pub fn relative_to(&self, base: &Self) -> Option<&str> {
        if self.host != base.host {
            return None;
        }
        let prefix = base.path.trim_end_matches('/');
        self.path.strip_prefix(prefix)?.strip_prefix('/')
    }

    /// Where a `Location` header leads (RFC 3986, section 5.2). Files can never be led to.
    pub(super) fn redirect(&self, location: &str) -> Result<Self, ParseUrlError> {
        // A message must see all of it, to know what to hide.
        let whole = location;
        let location = whole.split('#').next().unwrap_or_default();
        let target = if location.split(['/', '?']).next().is_some_and(|first| first.contains(':')) {
            Self::with(whole, &self.filled)?
        } else {
            let origin = Self { path: "".into(), query: None, ..self.without_secrets() }.place();
            let (path, query) = match (location.split_once('?'), &self.query) {
                (Some((path, query)), _) => (path, format!("?{query}")),
                // The same document: only this reference keeps the query.
                (None, Some(query)) if location.is_empty() => ("", format!("?{}", query.expose())),
                (None, _) => (location, String::new()),
            };
            let text = if path.starts_with("//") {
                format!("{}:{location}", self.scheme.name())
            } else if path.starts_with('/') {
                format!("{origin}{}{query}", without_dots(path))
            } else if path.is_empty() {
                format!("{origin}{}{query}", self.path)
            } else {
                let folder = &self.path[..=self.path.rfind('/').unwrap_or(0)];
                format!("{origin}{}{query}", without_dots(&format!("{folder}{path}")))
            };
            Self::with(&text, &self.filled)?
        };
        if target.scheme == Scheme::File {
            return Err(ParseUrlError {
                shown: Shown::of(&target),
                reason: "a server cannot lead to a local file".into(),
            });
        }
        Ok(target)
    }

    fn place(&self) -> String {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{}{port}{}", self.scheme.name(), self.host, self.path)
    }
}

impl fmt::Display for SafeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.place();
        if self.userinfo.is_some() {
            text = text.replacen("://", "://****@", 1);
        }
        if self.query.is_some() {
            text.push_str("?****");
        }
        f.write_str(&self.filled.told(&text))
    }
}

impl fmt::Debug for SafeUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for SafeUrl {
    type Err = ParseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// What of a broken URL can be shown: everything between a scheme and the last `@`, and everything after `?`, is hidden. An
/// `@` behind a `?` or `#` may end a password in which they were not encoded: then nothing is shown but the scheme.
fn masked(text: &str) -> String {
    let (head, tail) = text.split_at(text.find(['?', '#']).unwrap_or(text.len()));
    let scheme = head.split_once("://").map(|(scheme, _)| format!("{scheme}://")).unwrap_or_default();
    match head.rsplit_once('@') {
        _ if tail.contains('@') => format!("{scheme}****"),
        Some((_, rest)) => format!("{scheme}****@{rest}"),
        None => head.to_owned(),
    }
}

/// The beginning of a text, with everything in it seen.
fn shown(text: &str) -> Shown {
    Shown::from(text.chars().take(200).collect::<String>())
}

/// Whether a path segment means `..`, also in its percent-encoded spellings. An encoded slash separates names, too, for a
/// file of this machine and for servers that decode before they look.
fn is_dots(segment: &str) -> bool {
    decode(segment.as_bytes()).split(|&byte| byte == b'/').any(|name| name == b"..")
}

fn without_dots(path: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    let mut last_is_folder = false;
    for name in path.split('/').skip(1) {
        last_is_folder = matches!(name, "" | "." | "..");
        match name {
            "." => {}
            _ if is_dots(name) => drop(names.pop()),
            _ => names.push(name),
        }
    }
    let mut text = format!("/{}", names.join("/"));
    if last_is_folder && !text.ends_with('/') {
        text.push('/');
    }
    text
}

fn encode(bytes: &[u8], keep_percent: bool) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len()), |mut text, &byte| {
        let plain = byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/".contains(&byte);
        if plain || (keep_percent && byte == b'%') {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

/// What stands for a name or a value in a query.
fn encode_query(text: &str) -> String {
    use fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut query, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~/:@".contains(&byte) {
            query.push(char::from(byte));
        } else {
            let _ = write!(query, "%{byte:02X}");
        }
        query
    })
}

fn decode(bytes: &[u8]) -> Vec<u8> {
    let digit = |at: usize| bytes.get(at).and_then(|&byte| char::from(byte).to_digit(16));
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%'
            && let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2))
        {
            decoded.push((high << 4 | low) as u8);
            at += 3;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    decoded
}

#[cfg(test)]
mod attack_tests;

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> SafeUrl {
        SafeUrl::parse(text).unwrap()
    }

    #[test]
    fn pairs_are_added_to_the_query_that_is_there() {
        // RFC 3986, section 3.4: what separates pairs must be encoded in them.
        for (before, after) in [
            ("https://h.example/a", "https://h.example/a?digest=sha256:ab&n=a%26b%3D%2B%20%25%C3%A9"),
            ("https://h.example/a?", "https://h.example/a?digest=sha256:ab&n=a%26b%3D%2B%20%25%C3%A9"),
            (
                "https://h.example/a?_state=x%3D",
                "https://h.example/a?_state=x%3D&digest=sha256:ab&n=a%26b%3D%2B%20%25%C3%A9",
            ),
        ] {
            let added = url(before).and_query(&[("digest", "sha256:ab"), ("n", "a&b=+ %é")]);
            assert_eq!(added.request_text().expose(), after);
        }
        assert_eq!(url("https://h.example/a").and_query(&[]), url("https://h.example/a"));
    }

    #[test]
    fn a_server_behind_a_tls_proxy_is_asked_by_https_on_its_own_host() {
        for (asked, named, secured) in [
            ("https://h.example/v2/", "http://h.example/up?x", Some("https://h.example/up?x")),
            ("https://h.example:8443/v2/", "http://h.example:8443/up", Some("https://h.example:8443/up")),
            ("https://h.example:8443/v2/", "http://h.example/up", Some("https://h.example:8443/up")),
            ("https://h.example/v2/", "http://h.example:5000/up", None),
            ("https://h.example/v2/", "http://other.example/up", None),
        ] {
            assert_eq!(url(named).secured_as(&url(asked)), secured.map(url), "{asked} {named}");
        }
    }

    #[test]
    fn secrets_never_print() {
        let url = url("https://me:s3cret@host.example:8443/a/b?token=s3cret#top");
        assert_eq!(url.to_string(), "https://****@host.example:8443/a/b?****");
        assert_eq!(format!("{url:?}"), url.to_string());
        assert_eq!(url.request_text().expose(), "https://host.example:8443/a/b?token=s3cret");
        assert_eq!(url.expose().expose(), "https://me:s3cret@host.example:8443/a/b?token=s3cret");
        assert_eq!(
            format!("{:?} {}", url.auth(), Secret::new("s3cret")),
            r#"Basic { user: "me", password: **** } ****"#
        );
        // A broken URL is shown without them, too.
        for broken in [
            "https://me:s3cret@/x",
            "https://me:s3cret@host:port/x?s3cret",
            "me:s3cret@host",
            "gopher://s3cret@x",
        ] {
            let error = SafeUrl::parse(broken).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }

    #[test]
    fn a_variable_is_told_by_its_name_wherever_its_value_stands() {
        let filled = Filled::new([("TOKEN", "Canary"), ("LONGER", "canary-2"), ("EMPTY", "")]);
        let with = |text: &str| SafeUrl::with(text, &filled);
        let url = with("https://canary.example/a/Canary/canary-2/").unwrap();
        assert_eq!(url.to_string(), "https://${TOKEN}.example/a/${TOKEN}/${LONGER}/");
        assert_eq!(format!("{url:?} {}", url.told_host()), format!("{url} ${{TOKEN}}.example"));
        assert_eq!(url.request_text().expose(), "https://canary.example/a/Canary/canary-2/", "it is sent");
        assert_eq!(url, self::url("https://canary.example/a/Canary/canary-2/"));
        for next in [url.join("b").unwrap(), url.redirect("b").unwrap(), url.without_secrets()] {
            assert!(next.to_string().starts_with("https://${TOKEN}.example/a/${TOKEN}/${LONGER}/"), "{next}");
        }
        for broken in [
            "gopher://canary/",
            "canary",
            "https://canary:port/",
            "https://h/canary/../x",
            "https://h/\u{e9}canary",
            "https://x.example:canary/",
        ] {
            let error = with(broken).unwrap_err().to_string();
            assert!(error.contains("${TOKEN}") && !error.contains("canary"), "{error}");
        }
        // Where a text is cut, a value may be as well.
        let error = with(&format!("gopher://{}canary", "x".repeat(188))).unwrap_err().to_string();
        assert!(!error.contains("cana"), "{error}");
        assert!(url.redirect("file:///canary").unwrap_err().to_string().contains("${TOKEN}"));
    }

    #[test]
    fn what_is_not_seen_in_a_broken_address_is_shown() {
        let error = SafeUrl::parse("https://h/\x1b[2J\u{202e}x\n").unwrap_err();
        assert_eq!(error.shown().as_str(), "https://h/\\x1b[2J\\u{202e}x\\n");
    }

    #[test]
    fn basic_header_is_that_of_rfc_7617() {
        // RFC 7617, section 2: Aladdin and "open sesame".
        let auth = url("http://Aladdin:open%20sesame@h/").auth();
        assert_eq!(auth.header().unwrap().expose(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(Auth::Bearer(Secret::new("t")).header().unwrap().expose(), "Bearer t");
        assert_eq!(Auth::None.header(), None);
    }

    #[test]
    fn join_stays_below_its_prefix() {
        let base = url("https://host/debian/");
        assert_eq!(
            base.join("pool/a_1+b~2:3.deb").unwrap().to_string(),
            "https://host/debian/pool/a_1+b~2:3.deb"
        );
        assert_eq!(url("https://host/r").join("@s%2fn").unwrap().path(), "/r/@s%2fn");
        assert_eq!(base.join("a b\u{e9}").unwrap().path(), "/debian/a%20b%C3%A9");
        assert_eq!(url("https://host?x=1").join("a").unwrap().to_string(), "https://host/a");
        for bad in [
            "",
            "/etc",
            "//evil/x",
            "https://evil/x",
            "a/../../b",
            "..",
            "a/%2e%2E/b",
            "a?b",
            "a#b",
            "a\\b",
            "a\nb",
            ".%2e",
        ] {
            assert!(base.join(bad).is_err(), "{bad}");
        }
        assert!(base.join("a/..b/c").is_ok());
    }

    // The cases of RFC 3986, section 5.4, that can occur in a Location header.
    #[test]
    fn redirects_resolve_as_in_rfc_3986() {
        let base = url("http://a/b/c/d;p?q");
        for (reference, expected) in [
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("g;x", "http://a/b/c/g;x"),
            ("", "http://a/b/c/d;p?****"),
            (".", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../../../g", "http://a/g"),
            ("https://h:1/x", "https://h:1/x"),
        ] {
            assert_eq!(base.redirect(reference).unwrap().to_string(), expected, "{reference}");
        }
        assert_eq!(base.redirect("g?y").unwrap().request_text().expose(), "http://a/b/c/g?y");
        assert!(base.redirect("file:///etc/passwd").is_err());
        assert!(base.redirect("ftp://x/y").is_err());
    }

    #[test]
    fn origins_and_relative_paths() {
        assert!(url("https://HOST/a").same_origin(&url("https://host:443/b")));
        assert!(!url("https://host/").same_origin(&url("http://host/")));
        assert_eq!(url("http://h/npm/p/-/p.tgz").relative_to(&url("https://h/npm/")), Some("p/-/p.tgz"));
        assert_eq!(url("https://h/npmx/p").relative_to(&url("https://h/npm/")), None);
        assert_eq!(url("https://other/npm/p").relative_to(&url("https://h/npm/")), None);
        assert_eq!(url("http://[::1]:8080/x").port(), 8080);
        assert_eq!(url("http://[::1]:8080/x").host(), "[::1]");
    }

    #[test]
    fn files_round_trip() {
        let path = std::path::Path::new("/a b/%41/c#d");
        assert_eq!(SafeUrl::from_path(path).unwrap().file_path().unwrap(), path);
        assert!(SafeUrl::parse("file://host/x").is_err());
    }

    proptest::proptest! {
        #[test]
        fn parsing_never_panics_and_what_parses_prints_a_url(text in "(https?|file)?(://)?[ -~]{0,40}") {
            if let Ok(parsed) = SafeUrl::parse(&text) {
                proptest::prop_assert_eq!(SafeUrl::parse(parsed.expose().expose()).unwrap(), parsed.clone());
                let _ = parsed.redirect(&text);
                if let Ok(joined) = parsed.join(&text) {
                    proptest::prop_assert!(joined.relative_to(&parsed).is_some());
                }
            }
        }
    }
}
