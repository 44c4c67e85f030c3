//! One request of any method, its answer a value whatever its status: for protocols that say things with statuses.
//!
//! Also the one loop over redirects ([`Client::hops`]), which the rest of this room uses, too.
//!
//! **Guarantees**: content can be sent again, since it is opened anew for each attempt and each hop; exactly as many bytes are sent
//! as were announced, or the request fails; credentials go to the origin of the address only; what an answer holds is read up to a
//! bound that the caller gives, and an answer that ends early is an error.
//!
//! **Refuses**: redirects from `https` down to `http`, 301, 302 and 303 for anything but `GET` and `HEAD` (what was sent would be
//! lost), redirects to files, more than ten of them.

use std::io;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use ureq::Body;
use ureq::SendBody;
use ureq::http::Request;
use ureq::http::Response;
use ureq::http::header;

use super::Auth;
use super::Client;
use super::HttpError;
use super::MAX_REDIRECTS;
use super::Named;
use super::Options;
use super::Reach;
use super::Refused;
use super::SafeUrl;
use super::Scheme;
use super::Secret;
use super::Source;
use super::connection_error;
use super::patience::Attempts;
use super::patience::Pace;
use super::patience::Paced;
use super::patience::Until;
use super::reach;
use super::reach::Inward;
use super::read_error;
use super::secrets::Secrets;
use super::text;
use crate::store::StoreError;
use crate::time;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The headers of what `GET` would give.
    Head,
    /// A representation.
    Get,
    /// To process content.
    Post,
    /// To store content.
    Put,
    /// To change what is stored.
    Patch,
    /// To remove it.
    Delete,
}

impl Method {
    fn of_library(self) -> ureq::http::Method {
        match self {
            Self::Head => ureq::http::Method::HEAD,
            Self::Get => ureq::http::Method::GET,
            Self::Post => ureq::http::Method::POST,
            Self::Put => ureq::http::Method::PUT,
            Self::Patch => ureq::http::Method::PATCH,
            Self::Delete => ureq::http::Method::DELETE,
        }
    }

    /// Whether servers expect to be told the length of its content, even of none.
    fn has_content(self) -> bool {
        matches!(self, Self::Post | Self::Put | Self::Patch)
    }

    /// Whether it asks for something and changes nothing.
    pub fn is_reading(self) -> bool {
        matches!(self, Self::Head | Self::Get)
    }
}

/// What is sent.
#[derive(Clone, Copy)]
pub enum Content<'a> {
    /// Nothing.
    None,
    /// These bytes.
    Bytes(&'a [u8]),
    /// Text that no other origin may see: a redirect to one is refused.
    Secret(&'a Secret),
    /// What a reader gives.
    Stream {
        /// Opens it at its beginning: once for each attempt, and for each redirect that keeps the content.
        open: &'a dyn Fn() -> io::Result<Box<dyn Read + Send>>,
        /// How many bytes it has. A reader that ends before is a failed request.
        length: u64,
        /// Whether the server is asked first.
        expect: Expect,
    },
}

impl std::fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bytes(bytes) => write!(f, "{} bytes", bytes.len()),
            Self::Secret(text) => write!(f, "{text}"),
            Self::Stream { length, .. } => write!(f, "a stream of {length} bytes"),
        }
    }
}

/// Whether a server is asked before content is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// It is not.
    Nothing,
    /// By `Expect: 100-continue`. An answer is read only after all content was written, so that of a server which refuses early is
    /// lost as a broken connection, unless it was asked. One that knows nothing of this costs a second.
    Continue,
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// What is asked for.
    pub method: Method,
    /// Of what.
    pub url: &'a SafeUrl,
    /// Who named that address.
    pub named: Named,
    /// The address whose server led to this one, where one did: then it may be what a redirect may lead to.
    pub led_by: Option<&'a SafeUrl>,
    /// Credentials, for the origin of the address only.
    pub auth: &'a Auth,
    /// Further headers, which no secret may be in: they go where redirects lead, too.
    pub headers: &'a [(&'static str, &'a str)],
    /// What is sent.
    pub content: Content<'a>,
}

/// An answer.
pub struct Reply {
    response: Response<Body>,
    url: SafeUrl,
    method: Method,
    /// When all of it has to be there.
    until: Until,
    /// Over how long its pace is measured.
    over: Duration,
    secrets: Arc<Secrets>,
}

impl std::fmt::Debug for Reply {
    // Headers may hold cookies and signed addresses.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reply")
            .field("url", &self.url)
            .field("status", &self.status())
            .finish_non_exhaustive()
    }
}

impl Reply {
    /// Its status.
    pub fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    /// Whose answer it is: where redirects ended.
    pub fn url(&self) -> &SafeUrl {
        &self.url
    }

    /// The first header of this name that is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.response.headers().get(name)?.to_str().ok()
    }

    /// All headers of this name, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.response.headers().get_all(name).iter().filter_map(|value| value.to_str().ok()).collect()
    }

    /// How many bytes it has, where that is told. An answer to `HEAD` tells of those that are not sent.
    pub fn length(&self) -> Option<u64> {
        self.header("content-length")?.trim().parse().ok()
    }

    /// Where its `Location` leads; see [`Reply::resolve`].
    pub fn location(&self) -> Result<SafeUrl, HttpError> {
        match self.header("location") {
            Some(location) => self.resolve(location),
            None => Err(self.refused("the server does not say where to go on")),
        }
    }

    /// The address that a text of this answer means. A server behind a TLS proxy may not know that it is asked by `https`: on its own
    /// host it is.
    pub fn resolve(&self, text: &str) -> Result<SafeUrl, HttpError> {
        let next = self.url.redirect(text).map_err(|error| {
            self.refused(&format!("the server leads on: {}", self.secrets.told(&error.to_string())))
        })?;
        if leads_with_secret(&self.secrets, &self.url, &next) {
            return Err(self.refused(WITH_SECRET));
        }
        if self.url.scheme() == Scheme::Https && next.scheme() == Scheme::Http {
            let refused = || self.refused(&format!("the server leads from https down to `{next}`"));
            return next.secured_as(&self.url).ok_or_else(refused);
        }
        Ok(next)
    }

    /// Whether words of this answer may be shown: not where they hold a secret that this client has sent, to whomever.
    pub fn may_show(&self, words: &str) -> bool {
        !self.secrets.are_in(words)
    }

    fn refused(&self, reason: &str) -> HttpError {
        HttpError::Redirect { url: self.url.without_secrets(), reason: reason.into() }
    }

    /// How long the server wants to be left alone: seconds, or a date, counted from the server's own clock where it tells that.
    pub fn retry_after(&self) -> Option<Duration> {
        let value = self.header("retry-after")?.trim();
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let until = time::http_date(value)?;
        let now = self.header("date").and_then(time::http_date).or_else(|| {
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).ok().map(|since| since.as_secs())
        })?;
        Some(Duration::from_secs(until.saturating_sub(now)))
    }

    /// All of its content, at most `limit` bytes. It has to be there [in time](super::Options::whole_timeout).
    pub fn bytes(mut self, limit: u64) -> Result<Vec<u8>, HttpError> {
        self.content(limit)
    }

    /// The same, and the answer without it.
    pub fn with_bytes(mut self, limit: u64) -> Result<(Self, Vec<u8>), HttpError> {
        let bytes = self.content(limit)?;
        Ok((self, bytes))
    }

    fn content(&mut self, limit: u64) -> Result<Vec<u8>, HttpError> {
        let url = self.url.without_secrets();
        let too_long = || HttpError::TooLong { url: url.clone(), limit };
        let expected = self.content_length();
        if expected.is_some_and(|expected| expected > limit) {
            return Err(too_long());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(expected.unwrap_or(0)).unwrap_or(0));
        let body = self.response.body_mut().with_config().limit(u64::MAX).reader();
        let body = Paced::new(body, self.over).until(self.until);
        body.take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| read_error(&url, &error))?;
        let got = bytes.len() as u64;
        if got > limit {
            return Err(too_long());
        }
        match expected {
            Some(expected) if expected != got => Err(HttpError::Truncated { url, got, expected }),
            _ => Ok(bytes),
        }
    }

    /// Its content as it comes. Ending before what was announced is an error of kind `UnexpectedEof`, hardly coming any more one of
    /// kind `TimedOut`.
    pub fn reader(self) -> Box<dyn Read + Send> {
        let length = self.content_length();
        let body = self.response.into_body().into_with_config().limit(u64::MAX).reader();
        let body = Paced::new(body, self.over);
        match length {
            Some(length) => Box::new(Exact::new(body, length)),
            None => Box::new(body),
        }
    }

    pub(super) fn into_body(self) -> Body {
        self.response.into_body()
    }

    /// How many bytes come.
    fn content_length(&self) -> Option<u64> {
        let none = self.method == Method::Head || matches!(self.status(), 204 | 304);
        if none { None } else { self.length() }
    }
}

/// A reader that gives exactly so many bytes: an early end is an error, not an end. (The HTTP library would wait for the rest of a
/// body for ever.)
pub struct Exact<R> {
    inner: R,
    length: u64,
    left: u64,
}

impl<R> std::fmt::Debug for Exact<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exact")
            .field("length", &self.length)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}

impl<R: Read> Exact<R> {
    /// Expects `length` bytes. What the reader has beyond them is left in it.
    pub fn new(inner: R, length: u64) -> Self {
        Self { inner, length, left: length }
    }
}

impl<R: Read> Read for Exact<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(buf.len(), |left| left.min(buf.len()));
        if most == 0 {
            // The end is asked for, so that a reader that checks what it gave does so.
            return if self.left == 0 && !buf.is_empty() { self.end() } else { Ok(0) };
        }
        let n = self.inner.read(&mut buf[..most])?;
        if n == 0 {
            let reason = format!("it ended after {} of {} bytes", self.length - self.left, self.length);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, reason));
        }
        self.left -= n as u64;
        Ok(n)
    }
}

impl<R: Read> Exact<R> {
    fn end(&mut self) -> io::Result<usize> {
        match self.inner.read(&mut [0])? {
            0 => Ok(0),
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("it is longer than its {} bytes", self.length),
            )),
        }
    }
}

/// Content being sent, which remembers why it could not be read. Between two reads the server takes what the first gave.
struct Sending<'a> {
    inner: Exact<Box<dyn Read + Send + 'a>>,
    failed: Option<io::Error>,
    pace: Pace,
    /// When how much was given.
    given: Option<(Instant, u64)>,
}

impl Read for Sending<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Some((when, bytes)) = self.given.take() {
            self.pace.step(when.elapsed(), bytes)?;
        }
        let n = self.content(buf)?;
        self.given = Some((Instant::now(), n as u64));
        Ok(n)
    }
}

impl Sending<'_> {
    fn content(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.inner.read(buf) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let told = io::Error::new(error.kind(), "what is sent cannot be read");
                    self.failed = Some(error);
                    return Err(told);
                }
                read => return read,
            }
        }
    }
}

/// A request whose redirects are to be followed.
pub(super) struct Asked<'a> {
    pub(super) method: Method,
    pub(super) url: &'a SafeUrl,
    pub(super) auth: &'a Auth,
    pub(super) headers: &'a [(&'a str, &'a str)],
    pub(super) content: Content<'a>,
    pub(super) led_by: Option<&'a SafeUrl>,
    /// How far the first address reaches.
    pub(super) reach: Reach,
}

impl Client {
    /// Makes a request once, its redirects followed. Whatever the server answers is a value.
    pub fn exchange(&self, exchange: &Exchange<'_>) -> Result<Reply, HttpError> {
        let url = exchange.url;
        let named = Source { url: url.clone(), auth: Auth::None, named: exchange.named };
        self.options(&url.to_string())?;
        let reach = match exchange.led_by {
            Some(first) if !reach::is_same_place(first, url) => self.led_from(first)?,
            _ => named.reach(),
        };
        self.hops(&Asked {
            method: exchange.method,
            url,
            auth: exchange.auth,
            headers: exchange.headers,
            content: exchange.content,
            led_by: exchange.led_by,
            reach,
        })
    }

    /// Attempts at one thing, none of which has failed yet.
    pub fn attempts(&self) -> Attempts {
        Attempts::new(self.shared.options.as_ref())
    }

    /// Keeps a text from being shown that is sent within another.
    pub fn confide(&self, secret: &Secret) {
        self.shared.secrets.keep(secret);
    }

    /// One request, its redirects followed.
    pub(super) fn hops(&self, asked: &Asked<'_>) -> Result<Reply, HttpError> {
        let url = asked.url;
        let options = self.options(&url.to_string())?;
        let (begun, secrets) = (Instant::now(), &self.shared.secrets);
        secrets.sent(asked.auth);
        secrets.sent(&url.auth());
        if let Content::Secret(text) = asked.content {
            secrets.keep(text);
        }
        let mut at = url.clone();
        let mut reach = asked.reach;
        for hop in 0..=MAX_REDIRECTS {
            // Credentials belong to the origin they were given for; the URL's own go before.
            let auth = match (at.auth(), url.auth()) {
                (Auth::None, own) if at.same_origin(url) => own.header().or_else(|| asked.auth.header()),
                (own, _) => own.header(),
            };
            let inward = |found: Inward| HttpError::Inward {
                url: url.without_secrets(),
                next: (hop > 0).then(|| at.without_secrets().into()),
                address: found.place.into(),
                what: found.what,
            };
            let here = if reach::is_same_place(url, &at) { asked.reach } else { reach };
            let here = self.exempted(&at, here)?;
            let agent = self.agent(&at, here).map_err(|error| match error {
                Refused::Inward(found) => inward(found),
                Refused::Other(error) => error,
            })?;
            let mut request = Request::builder()
                .method(asked.method.of_library())
                .uri(at.request_text().expose())
                .header(header::ACCEPT_ENCODING, "identity");
            for (name, value) in asked.headers {
                request = request.header(*name, *value);
            }
            if let Some(auth) = auth {
                request = request.header(header::AUTHORIZATION, auth.expose());
            }
            tracing::debug!(method = ?asked.method, url = %at, "request");
            let failed = |error: &ureq::Error| {
                connection_error(&at, error, options, answer_within(asked.content, options))
            };
            let response = send(&agent, request, asked, &at, options)?.map_err(|error| match &error {
                ureq::Error::Other(other) if other.is::<Inward>() => {
                    other.downcast_ref::<Inward>().cloned().map_or_else(|| failed(&error), &inward)
                }
                _ => failed(&error),
            })?;
            let status = response.status().as_u16();
            tracing::debug!(url = %at, status, "answer");
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                let until = Until { begun, whole: options.whole_timeout };
                let (over, secrets) = (options.idle_timeout, secrets.clone());
                return Ok(Reply { response, url: at, method: asked.method, until, over, secrets });
            }
            let refused = |reason: String| HttpError::Redirect { url: url.clone(), reason: reason.into() };
            if matches!(status, 301..=303) && !asked.method.is_reading() {
                return Err(refused(format!("the server answers {status}, which would lose what is sent")));
            }
            let location = text(&response, &header::LOCATION)
                .ok_or_else(|| refused("the server redirects without saying where to".into()))?;
            let next = at.redirect(&location).map_err(|error| {
                refused(format!("redirect refused: {}", secrets.told(&error.to_string())))
            })?;
            if leads_with_secret(secrets, url, &next) {
                return Err(refused(WITH_SECRET.into()));
            }
            secrets.sent(&next.auth());
            if at.scheme() == Scheme::Https && next.scheme() == Scheme::Http {
                return Err(refused(format!("redirect from https down to `{next}` refused")));
            }
            if hop == 0 {
                reach = self.led_from(asked.led_by.unwrap_or(url))?;
            }
            if matches!(asked.content, Content::Secret(_)) && !next.same_origin(url) {
                return Err(refused(format!("redirect to `{next}` refused, since a secret is sent")));
            }
            at = next;
        }
        Err(HttpError::Redirect {
            url: url.clone(),
            reason: format!("more than {MAX_REDIRECTS} redirects").into(),
        })
    }
}

/// What is said of an address that a server made of what it was given.
const WITH_SECRET: &str = "the server leads to an address that shows a secret it was given";

/// Whether a server leads to where it shows a secret that the address did not show that was asked for.
fn leads_with_secret(secrets: &Secrets, from: &SafeUrl, next: &SafeUrl) -> bool {
    secrets.are_in_address(&next.to_string()) && !secrets.are_in_address(&from.to_string())
}

/// How fast what is sent is looked through and put away before there is an answer, at the least, in bytes per second.
const DIGESTED: u64 = 8 << 20;

/// Time in which the head of an answer must come.
fn answer_within(content: Content<'_>, options: &Options) -> Duration {
    let length = if let Content::Stream { length, .. } = content { length } else { 0 };
    options.idle_timeout + Duration::from_secs(length / DIGESTED)
}

/// One request over the network. The outer error is of this machine: the content could not be read.
fn send(
    agent: &ureq::Agent,
    request: ureq::http::request::Builder,
    asked: &Asked<'_>,
    at: &SafeUrl,
    options: &Options,
) -> Result<Result<Response<Body>, ureq::Error>, HttpError> {
    let (open, length, expect) = match asked.content {
        Content::None if !asked.method.has_content() => {
            return Ok(request.body(()).map_err(ureq::Error::from).and_then(|request| agent.run(request)));
        }
        Content::None => (None, 0, Expect::Nothing),
        Content::Bytes(bytes) => {
            (Some(Box::new(bytes) as Box<dyn Read + Send>), bytes.len() as u64, Expect::Nothing)
        }
        Content::Secret(text) => {
            let bytes = text.expose().as_bytes();
            (Some(Box::new(bytes) as Box<dyn Read + Send>), bytes.len() as u64, Expect::Nothing)
        }
        Content::Stream { open, length, expect } => (Some(open().map_err(StoreError::from)?), length, expect),
    };
    let mut request = request.header(header::CONTENT_LENGTH, length);
    if expect == Expect::Continue && length > 0 {
        request = request.header(header::EXPECT, "100-continue");
    }
    let inner = Exact::new(open.unwrap_or_else(|| Box::new(io::empty())), length);
    let answer = answer_within(asked.content, options);
    let mut sending = Sending { inner, failed: None, pace: Pace::new(options.idle_timeout), given: None };
    let sent = request
        .body(SendBody::from_reader(&mut sending))
        .map_err(ureq::Error::from)
        .map(|request| agent.configure_request(request).timeout_recv_response(Some(answer)).build())
        .and_then(|request| agent.run(request));
    match sending.failed {
        Some(error) => {
            tracing::debug!(url = %at, %error, "what is sent cannot be read");
            Err(StoreError::Io(error).into())
        }
        None => Ok(sent),
    }
}
