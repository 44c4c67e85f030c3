//! The requests of one repository.
//!
//! ```text
//! request ─► 401 ─► way in ─► again, once more with a fresh token
//!        └─► 408, 425, 429, 5xx, no connection ─► a pause ─► again, where that does no harm
//! ```
//!
//! **Guarantees**: the first request is the one that is wanted; a manifest is given out with the digest of its bytes; four media types
//! are always asked for, since registries deny what they have when one is missing; a host that the registry led to is given a login for
//! reading only, since what it could do with one that writes is nothing that was asked for.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::io::Read;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::Algorithm;
use pinfold_base::Digest;
use pinfold_base::Reporter;
use pinfold_base::Shown;
use pinfold_base::Store;
use pinfold_base::http;
use pinfold_base::http::Attempts;
use pinfold_base::http::Auth;
use pinfold_base::http::Content;
use pinfold_base::http::Exact;
use pinfold_base::http::Exchange;
use pinfold_base::http::HttpError;
use pinfold_base::http::Method;
use pinfold_base::http::Reply;
use pinfold_base::http::SafeUrl;
use pinfold_base::http::Scheme;
use pinfold_base::http::Source;
use pinfold_base::http::Step;
use pinfold_base::store::Expected;
use serde::Deserialize;

use super::Endpoint;
use super::Keyring;
use super::RegistryError;
use super::WITHHELD;
use super::Which;
use super::endpoint::host_of;
use super::endpoint::is_here;
use super::endpoint::place;
use super::said;
use super::token::Asker;
use super::token::Scopes;
use super::token::Tokens;
use super::token::is_passing;
use super::token::scope;
use crate::ImageError;
use crate::blobs::wrap;
use crate::model::Descriptor;
use crate::model::Found;
use crate::model::Index;
use crate::model::MAX_DOCUMENT;
use crate::model::Manifest;
use crate::model::Raw;
use crate::model::media;
use crate::reference::is_tag;

/// What manifests are asked for as, always all of it.
const ACCEPT: [&str; 4] = [media::OCI_INDEX, media::OCI_MANIFEST, media::DOCKER_LIST, media::DOCKER_MANIFEST];
/// Manifests of the old format.
const SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+";
/// Most pages and tags of a list.
const MAX_PAGES: usize = 100;
const MAX_TAGS: usize = 10_000;
/// The longest page of a list, in bytes.
const MAX_PAGE: u64 = 4 << 20;
/// Tokens taken for one blob.
const MAX_RENEWALS: u32 = 20;
/// A download that is refused sooner than this had no time for its token to die.
const AT_ONCE: Duration = Duration::from_secs(5);

/// What a request wants to do, for its token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access<'a> {
    /// To read.
    Pull,
    /// To see whether a login is right.
    Login,
    /// To read and write.
    Push,
    /// The same, and to read another repository that blobs are mounted from.
    PushFrom(&'a str),
}

/// Whether a request is made again after a failure that may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It does no harm.
    Yes,
    /// The caller decides.
    Never,
}

/// What a request is made to.
#[derive(Clone, Copy, Debug)]
pub enum To<'a> {
    /// A path below that of the repository, with a query.
    Path(&'a str, &'a [(&'a str, &'a str)]),
    /// Where the registry said to go on.
    Url(&'a SafeUrl),
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// How it is asked.
    pub method: Method,
    /// Of what.
    pub to: To<'a>,
    /// Media types to ask for.
    pub accept: &'a [&'a str],
    /// Further headers, without secrets.
    pub headers: &'a [(&'static str, &'a str)],
    /// What is sent.
    pub content: Content<'a>,
    /// What it wants to do.
    pub access: Access<'a>,
}

/// A client for one repository, cheap to clone; clones share connections and tokens.
#[derive(Clone)]
pub struct Client {
    http: http::Client,
    endpoint: Endpoint,
    repository: String,
    tokens: Arc<Tokens>,
    /// What was not answered, of one that is not asked for ever.
    silent: Option<Arc<Mutex<Option<Silent>>>>,
}

/// Where somebody did not answer, and how.
type Silent = (SafeUrl, Step, Box<str>);

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.endpoint)
            .field("repository", &self.repository)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client that asks nobody yet.
    pub fn new(http: http::Client, endpoint: Endpoint, repository: &str, keyring: Arc<dyn Keyring>) -> Self {
        let tokens = Arc::new(Tokens::new(keyring));
        Self { http, endpoint, repository: repository.to_owned(), tokens, silent: None }
    }

    /// The same for a place beside which there is another: when it has not answered once, it is not asked again.
    #[must_use]
    pub fn asked_until_silent(self) -> Self {
        Self { silent: Some(Arc::default()), ..self }
    }

    /// Fails where it is known to be silent.
    fn answers(&self) -> Result<(), RegistryError> {
        let silent = self.silent.as_ref().and_then(|silent| locked(silent).clone());
        silent.map_or(Ok(()), |(url, step, reason)| Err(HttpError::Connection { url, step, reason }.into()))
    }

    /// Notes that it is, where that is what an error says.
    fn heard<T>(&self, result: Result<T, HttpError>) -> Result<T, HttpError> {
        if let (Some(silent), Err(HttpError::Connection { url, step, reason })) = (&self.silent, &result) {
            locked(silent).get_or_insert_with(|| (url.clone(), *step, reason.clone()));
        }
        result
    }

    /// The registry, for people.
    pub fn host(&self) -> String {
        host_of(&self.endpoint.base)
    }

    /// The repository.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The repository with its registry, for people.
    pub fn place(&self) -> String {
        place(&self.host(), &self.repository)
    }

    /// Attempts at something of several requests.
    pub fn attempts(&self) -> Attempts {
        self.http.attempts()
    }

    /// The same for another repository of the registry.
    #[must_use]
    pub fn in_repository(&self, repository: &str) -> Self {
        Self { repository: repository.to_owned(), ..self.clone() }
    }

    /// What an answer means that should not have come.
    pub fn refused(&self, what: &str, reply: Reply) -> RegistryError {
        let own = reply.url().same_origin(&self.endpoint.base);
        let (what, status, retry_after) = (what.to_owned(), reply.status(), reply.retry_after());
        let host = if own { self.place() } else { host_of(reply.url()) };
        match status {
            401 | 403 => RegistryError::Denied { what, host, said: said(reply) },
            404 => RegistryError::Missing { what, host },
            _ => RegistryError::Status { what, host, status, retry_after, said: said(reply) },
        }
    }

    pub(super) fn lied(&self, what: &str, reason: impl Into<String>) -> RegistryError {
        RegistryError::Lied { what: what.to_owned(), host: self.place(), reason: reason.into() }
    }

    fn scopes(&self, access: Access<'_>) -> Scopes {
        match access {
            Access::Login => Scopes::new(),
            Access::Pull => [scope(&self.repository, &["pull"])].into(),
            Access::Push => [scope(&self.repository, &["pull", "push"])].into(),
            Access::PushFrom(other) => {
                let mut scopes: Scopes = [scope(other, &["pull"])].into();
                scopes.extend([scope(&self.repository, &["pull", "push"])]);
                scopes
            }
        }
    }

    fn asker(&self) -> Asker<'_> {
        Asker {
            http: &self.http,
            registry: &self.endpoint.base,
            named: self.endpoint.named,
            key: &self.endpoint.key,
            repository: &self.repository,
        }
    }

    fn url(&self, path: &str) -> Result<SafeUrl, RegistryError> {
        let url = self.endpoint.base.join(&format!("v2/{}/{path}", self.repository));
        Ok(url.map_err(HttpError::from)?)
    }

    /// Whether who answers may be given a login at all: another host than the registry's own only to read from, and not where others
    /// listen.
    fn may_log_in(&self, method: Method, at: &SafeUrl) -> bool {
        at.same_origin(&self.endpoint.base)
            || (method.is_reading()
                && (at.scheme() == Scheme::Https || (is_here(at) && is_here(&self.endpoint.base))))
    }

    /// Makes a request with what the registry wants to know of who asks. 401 and 403 are errors, any other status is a value.
    pub fn call(&self, call: &Call<'_>, again: Again) -> Result<Reply, RegistryError> {
        self.call_within(call, again, &mut self.attempts())
    }

    fn call_within(
        &self,
        call: &Call<'_>,
        again: Again,
        attempts: &mut Attempts,
    ) -> Result<Reply, RegistryError> {
        self.answers()?;
        let (asker, wanted, accept) = (self.asker(), self.scopes(call.access), call.accept.join(", "));
        let mut headers = call.headers.to_vec();
        if !accept.is_empty() {
            headers.push(("accept", &accept));
        }
        let mut at = match call.to {
            To::Path(path, query) => self.url(path)?.and_query(query),
            To::Url(url) => url.clone(),
        };
        // Another host gets nothing that it has not asked for.
        let mut auth = if at.same_origin(&self.endpoint.base) {
            self.tokens.known(&asker, &at, &wanted)?
        } else {
            Auth::None
        };
        let (mut challenges, mut at_once) = (0, true);
        loop {
            let begun = Instant::now();
            let reply = self.http.exchange(&Exchange {
                method: call.method,
                url: &at,
                named: self.endpoint.named,
                led_by: Some(&self.endpoint.base),
                auth: &auth,
                headers: &headers,
                content: call.content,
            });
            let reply = match reply {
                // The server has closed a connection that was kept: that is no sign of trouble.
                Err(HttpError::Connection { step: Step::Connect, .. })
                    if again == Again::Yes && std::mem::take(&mut at_once) =>
                {
                    continue;
                }
                Err(error)
                    if again == Again::Yes
                        && error.is_passing()
                        && attempts.again(begun.elapsed(), 0, None) =>
                {
                    continue;
                }
                reply => self.heard(reply)?,
            };
            match reply.status() {
                401 if challenges < 2 && self.may_log_in(call.method, reply.url()) => {
                    challenges += 1;
                    // What was said was for the origin of `at`, and another may answer.
                    let used = if reply.url().same_origin(&at) { &auth } else { &Auth::None };
                    match self.tokens.challenged(&asker, &reply, &wanted, used)? {
                        Some(better) => {
                            at = reply.url().clone();
                            auth = better;
                        }
                        None => return Err(self.refused(&told(call), reply)),
                    }
                }
                401 | 403 => return Err(self.refused(&told(call), reply)),
                status
                    if again == Again::Yes
                        && is_passing(status)
                        && attempts.again(begun.elapsed(), 0, reply.retry_after()) => {}
                _ => return Ok(reply),
            }
        }
    }

    /// The same for an answer that is wanted whole; read again where it breaks.
    pub(super) fn read(
        &self,
        what: &str,
        call: &Call<'_>,
        limit: u64,
    ) -> Result<(Reply, Vec<u8>), RegistryError> {
        let mut attempts = self.attempts();
        loop {
            let reply = self.call_within(call, Again::Yes, &mut attempts)?;
            if reply.status() != 200 {
                return Ok((reply, Vec::new()));
            }
            let begun = Instant::now();
            match reply.with_bytes(limit) {
                Err(HttpError::TooLong { .. }) => return Err(self.too_large(what, limit + 1)),
                Err(error) if error.is_passing() && attempts.again(begun.elapsed(), 0, None) => {}
                whole => return Ok(self.heard(whole)?),
            }
        }
    }

    fn manifest_call(method: Method, path: &str) -> Call<'_> {
        Call {
            method,
            to: To::Path(path, &[]),
            accept: &ACCEPT,
            headers: &[],
            content: Content::None,
            access: Access::Pull,
        }
    }

    /// Whether the registry takes what its keyring has for it; an error where it does not.
    pub fn log_in(&self) -> Result<(), RegistryError> {
        let base = self.endpoint.base.join("v2/").map_err(HttpError::from)?;
        let call = Call { to: To::Url(&base), access: Access::Login, ..Self::manifest_call(Method::Get, "") };
        match self.call(&call, Again::Yes) {
            Ok(reply) if reply.status() == 200 => Ok(()),
            // A registry has nothing else there.
            Ok(reply) => Err(RegistryError::Status {
                what: "the login".into(),
                host: self.host(),
                status: reply.status(),
                retry_after: reply.retry_after(),
                said: said(reply),
            }),
            Err(RegistryError::Denied { host, said, .. }) => {
                Err(RegistryError::Denied { what: "the login".into(), host, said })
            }
            Err(error) => Err(error),
        }
    }

    /// What a tag or digest leads to; `None` where there is nothing. Registries that do not answer such a question, or not all of
    /// it, are asked for the manifest.
    pub fn head_manifest(&self, which: &Which) -> Result<Option<Descriptor>, RegistryError> {
        let (what, path) = (manifest(which), format!("manifests/{which}"));
        let reply = match self.call(&Self::manifest_call(Method::Head, &path), Again::Yes) {
            Err(RegistryError::Denied { .. }) => None,
            reply => Some(reply?),
        };
        let descriptor = match &reply {
            Some(reply) if reply.status() == 404 => return Ok(None),
            Some(reply) if reply.status() == 200 => {
                let media_type = reply.header("content-type").map(media_type);
                if let Some(media_type) = &media_type {
                    refuse_schema_1(&what, media_type)?;
                }
                let digest = digest_header(reply);
                if let (Which::Digest(wanted), Some(told)) = (which, &digest)
                    && wanted != told
                {
                    return Err(self.lied(&what, format!("the registry calls it {told}")));
                }
                media_type.filter(|name| ACCEPT.contains(&name.as_str())).zip(digest).zip(reply.length())
            }
            _ => None,
        };
        match descriptor {
            Some(((media_type, digest), size)) if size > 0 => {
                if size > MAX_DOCUMENT {
                    return Err(self.too_large(&what, size));
                }
                Ok(Some(Descriptor::new(&media_type, digest, size)))
            }
            _ => Ok(self.get_manifest(which, None)?.map(|found| found.descriptor)),
        }
    }

    fn too_large(&self, what: &str, size: u64) -> RegistryError {
        RegistryError::TooLarge { what: what.into(), host: self.place(), size, limit: Some(MAX_DOCUMENT) }
    }

    /// A manifest or index, with the digest of its bytes; `None` where there is none. `expected` is what led to it.
    pub fn get_manifest(
        &self,
        which: &Which,
        expected: Option<&Descriptor>,
    ) -> Result<Option<Found>, RegistryError> {
        let (what, path) = (manifest(which), format!("manifests/{which}"));
        let (reply, bytes) = self.read(&what, &Self::manifest_call(Method::Get, &path), MAX_DOCUMENT)?;
        match reply.status() {
            200 => {}
            404 => return Ok(None),
            _ => return Err(self.refused(&what, reply)),
        }
        let digest = Digest::sha256(&bytes);
        let promised = [
            if let Which::Digest(digest) = which { Some(digest.clone()) } else { None },
            expected.map(|expected| expected.digest.clone()),
            digest_header(&reply),
        ];
        if let Some(promised) = promised.into_iter().flatten().find(|promised| *promised != digest) {
            return Err(self.lied(&what, format!("it should be {promised} and is {digest}")));
        }
        if let Some(expected) = expected.filter(|expected| expected.size != bytes.len() as u64) {
            return Err(
                self.lied(&what, format!("it should have {} bytes and has {}", expected.size, bytes.len()))
            );
        }
        let media_type = self.kind(&what, &reply, &bytes)?;
        let checked = if matches!(media_type.as_str(), media::OCI_INDEX | media::DOCKER_LIST) {
            Raw::<Index>::parse_as(bytes, Some(&media_type)).map(Raw::into_bytes)
        } else {
            Raw::<Manifest>::parse_as(bytes, Some(&media_type)).map(Raw::into_bytes)
        };
        let bytes = checked.map_err(|error| self.unshown(&what, &reply, error))?;
        let descriptor = Descriptor::new(&media_type, digest, bytes.len() as u64);
        Ok(Some(Found { descriptor, bytes }))
    }

    /// What is wrong with a document, unless that repeats a secret.
    pub(super) fn unshown(&self, what: &str, reply: &Reply, error: ImageError) -> RegistryError {
        let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        if reply.may_show(&format!("{error} {source}")) {
            return error.into();
        }
        self.lied(what, "what is wrong with it is not shown, since a secret is in it")
    }

    /// What kind of document it is: what the registry says, and where that says nothing, the document itself.
    fn kind(&self, what: &str, reply: &Reply, bytes: &[u8]) -> Result<String, RegistryError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Peek {
            schema_version: Option<u64>,
            media_type: Option<String>,
            manifests: Option<serde::de::IgnoredAny>,
        }
        let told = reply.header("content-type").map(media_type).filter(|told| {
            !matches!(told.as_str(), "" | "application/json" | "application/octet-stream" | "text/plain")
        });
        let media_type = if let Some(told) = told {
            told
        } else {
            let peek: Peek = serde_json::from_slice(bytes)
                .map_err(|_| self.lied(what, "it is no document of an image"))?;
            if peek.schema_version == Some(1) {
                return Err(RegistryError::Schema1 { what: what.to_owned() });
            }
            let shape = if peek.manifests.is_some() { media::OCI_INDEX } else { media::OCI_MANIFEST };
            peek.media_type.unwrap_or_else(|| shape.to_owned())
        };
        refuse_schema_1(what, &media_type)?;
        if !ACCEPT.contains(&media_type.as_str()) {
            let media_type = if reply.may_show(&media_type) { &media_type } else { WITHHELD };
            let media_type = Shown::new(media_type).within(100);
            return Err(RegistryError::Kind { what: what.to_owned(), media_type });
        }
        Ok(media_type)
    }

    /// The size of a blob; `None` where it is not.
    pub fn head_blob(&self, digest: &Digest) -> Result<Option<u64>, RegistryError> {
        let what = format!("blob {digest}");
        let path = format!("blobs/{digest}");
        let reply = self.call(&blob_call(Method::Head, &path, &[]), Again::Yes)?;
        match reply.status() {
            200 => match reply.length() {
                Some(size) => Ok(Some(size)),
                None => Err(self.lied(&what, "the registry does not say how long it is")),
            },
            404 => Ok(None),
            _ => Err(self.refused(&what, reply)),
        }
    }

    /// The bytes of a blob from `from` on, unverified: an early end is an error, and there are no more than its size.
    pub fn get_blob(&self, blob: &Descriptor, from: u64) -> Result<Box<dyn Read + Send>, RegistryError> {
        let what = format!("blob {}", blob.digest);
        let (path, range) = (format!("blobs/{}", blob.digest), format!("bytes={from}-"));
        let left = blob.size.saturating_sub(from);
        if left == 0 && from > 0 {
            return Ok(Box::new(io::empty()));
        }
        let headers = [("range", range.as_str())];
        let headers = if from > 0 { &headers[..] } else { &[] };
        let reply = self.call(&blob_call(Method::Get, &path, headers), Again::Yes)?;
        let skipped = match reply.status() {
            // A server without ranges: what is here already comes once more.
            200 => from,
            206 if from > 0 => {
                let begins = reply.header("content-range").is_some_and(|range| {
                    range
                        .trim()
                        .strip_prefix("bytes ")
                        .is_some_and(|range| range.starts_with(&format!("{from}-")))
                });
                if !begins {
                    return Err(self.lied(&what, "the registry sends another part than the one asked for"));
                }
                0
            }
            _ => return Err(self.refused(&what, reply)),
        };
        let expected = left + skipped;
        if let Some(length) = reply.length().filter(|&length| length != expected) {
            return Err(self.lied(&what, format!("{length} bytes come instead of {expected}")));
        }
        let (client, size) = (self.clone(), blob.size);
        let inner = Exact::new(reply.reader(), expected);
        let mut reader = Told { inner, lied: move || client.lied(&what, too_long(size)) };
        io::copy(&mut (&mut reader).take(skipped), &mut io::sink())?;
        Ok(Box::new(reader))
    }

    /// Puts a blob into a store, verified; goes on where an earlier download stopped. `what` names it to people. False where the registry
    /// leads to another host that wants a login of its own: then it is to be [read](Client::get_blob).
    pub fn download(
        &self,
        blob: &Descriptor,
        what: &str,
        store: &Store,
        reporter: &dyn Reporter,
    ) -> Result<bool, RegistryError> {
        let (path, name) = (format!("blobs/{}", blob.digest), format!("blob {}", blob.digest));
        let (url, asker, wanted) = (self.url(&path)?, self.asker(), self.scopes(Access::Pull));
        let expected = Expected { digest: blob.digest.clone(), size: Some(blob.size) };
        let missing = || RegistryError::Missing { what: name.clone(), host: self.place() };
        let mut at_once = 0;
        for _ in 0..MAX_RENEWALS {
            let begun = Instant::now();
            let auth = self.tokens.known(&asker, &url, &wanted)?;
            let source = Source { url: url.clone(), auth: auth.clone(), named: self.endpoint.named };
            self.answers()?;
            match self.heard(self.http.download([source], &expected, what, store, reporter)) {
                // What was taken a moment ago is not refused by who gave it, again and again.
                Err(HttpError::Status { status: 401, .. }) if at_once >= 2 => return Ok(false),
                // The token's life is over, or there was none yet: a way in is found, and the download goes on.
                Err(HttpError::Status { status: 401, .. }) => {
                    at_once = if begun.elapsed() < AT_ONCE { at_once + 1 } else { 0 };
                    if !self.tokens.forget(&auth) && self.head_blob(&blob.digest)?.is_none() {
                        return Err(missing());
                    }
                }
                Err(error) if error.is_not_found() => return Err(missing()),
                Err(HttpError::Status { status: 403, .. }) => {
                    let said = Shown::new("");
                    return Err(RegistryError::Denied { what: name.clone(), host: self.place(), said });
                }
                Err(HttpError::WrongSize { expected, actual, .. }) => {
                    return Err(self.lied(&name, format!("{actual} bytes come instead of {expected}")));
                }
                Err(HttpError::TooLong { limit, .. }) => return Err(self.lied(&name, too_long(limit))),
                result => return Ok(result.map(|()| true)?),
            }
        }
        Ok(false)
    }

    /// All tags of the repository, in order.
    pub fn tags(&self) -> Result<Vec<String>, RegistryError> {
        #[derive(Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let what = format!("the tags of `{}`", self.repository);
        let mut next: Option<SafeUrl> = None;
        let mut tags = BTreeSet::new();
        for _ in 0..MAX_PAGES {
            let to = next.as_ref().map_or(To::Path("tags/list", &[("n", "1000")]), To::Url);
            let call = Call {
                method: Method::Get,
                to,
                accept: &["application/json"],
                headers: &[],
                content: Content::None,
                access: Access::Pull,
            };
            let (reply, bytes) = self.read(&what, &call, MAX_PAGE)?;
            if reply.status() != 200 {
                return Err(self.refused(&what, reply));
            }
            let page: Page =
                serde_json::from_slice(&bytes).map_err(|_| self.lied(&what, "they cannot be read"))?;
            tags.extend(page.tags.unwrap_or_default().into_iter().filter(|tag| is_tag(tag)));
            if tags.len() > MAX_TAGS {
                return Err(self.lied(&what, "there are more than 10000"));
            }
            next = match reply.header("link").and_then(next_page) {
                None => return Ok(tags.into_iter().collect()),
                Some(link) => Some(reply.resolve(link)?),
            };
            if next.as_ref().is_some_and(|next| !next.same_origin(&self.endpoint.base)) {
                return Err(self.lied(&what, "the next page is on another host"));
            }
        }
        Err(self.lied(&what, "they have no end"))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn too_long(size: u64) -> String {
    format!("it is longer than its {size} bytes")
}

/// Content of which is told whose it is when there is more than there should be.
struct Told<R, F> {
    inner: R,
    lied: F,
}

impl<R: Read, F: Fn() -> RegistryError> Read for Told<R, F> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buf).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => wrap((self.lied)().into()),
            _ => error,
        })
    }
}

/// What of a request is told in an error.
fn told(call: &Call<'_>) -> String {
    match call.to {
        To::Path(path, _) => path.to_owned(),
        To::Url(url) => url.without_secrets().path().to_owned(),
    }
}

pub(super) fn manifest(which: &Which) -> String {
    format!("manifest `{which}`")
}

fn blob_call<'a>(method: Method, path: &'a str, headers: &'a [(&'static str, &'a str)]) -> Call<'a> {
    Call {
        method,
        to: To::Path(path, &[]),
        accept: &[],
        headers,
        content: Content::None,
        access: Access::Pull,
    }
}

/// A media type without its parameters.
fn media_type(header: &str) -> String {
    header.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn refuse_schema_1(what: &str, media_type: &str) -> Result<(), RegistryError> {
    if media_type.starts_with(SCHEMA_1) {
        return Err(RegistryError::Schema1 { what: what.to_owned() });
    }
    Ok(())
}

/// The digest that a registry says a manifest has; others than SHA-256 say nothing here.
pub(super) fn digest_header(reply: &Reply) -> Option<Digest> {
    let digest: Digest = reply.header("docker-content-digest")?.trim().parse().ok()?;
    (digest.algorithm() == Algorithm::Sha256).then_some(digest)
}

/// The next page of a list (RFC 8288, as the distribution specification uses it).
pub(super) fn next_page(link: &str) -> Option<&str> {
    let (target, parameters) = link.trim().strip_prefix('<')?.split_once('>')?;
    parameters.split(';').any(|one| matches!(one.trim(), "rel=\"next\"" | "rel=next")).then_some(target)
}
