//! HTTP as pinfold needs it: small answers in memory ([`Client::get`], [`Client::current`]) and downloads into the store ([`Client::download`]).
//!
//! **Guarantees**: answers are bounded; the system's trust store decides about TLS (`SSL_CERT_FILE` and `SSL_CERT_DIR` are
//! honoured); credentials go to the origin they were given for and are dropped when a redirect leaves it; failures that
//! may pass (no connection, 408, 425, 429, 5xx, a transfer cut short) are retried with growing pauses, or the pause the
//! server asks for; no error and no log shows a secret. The proxy variables `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and
//! `NO_PROXY` (either case) are honoured.
//!
//! **Plain `http`** is spoken because Debian mirrors do: content fetched by it is trusted only for the signature or digest
//! it is checked against, as is content fetched by `https`. A redirect from `https` down to `http` is refused.
//!
//! **Refuses**: answers longer than announced or allowed, redirects to files, more than ten redirects, redirects to addresses of
//! this machine and its network (`reach.rs` says which), everything but `file` addresses on an offline client.

mod answers;
mod download;
mod error;
mod exchange;
mod patience;
mod proxy;
mod reach;
mod resolver;
mod secrets;
mod url;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use ureq::Agent;
use ureq::Body;
use ureq::http::Response;
use ureq::http::header;

pub use answers::Unjudged;
pub use download::Named;
pub use download::Source;
pub use error::HttpError;
pub use error::Step;
pub use exchange::Content;
pub use exchange::Exact;
pub use exchange::Exchange;
pub use exchange::Expect;
pub use exchange::Method;
pub use exchange::Reply;
pub use patience::Attempts;
pub use proxy::Proxies;
pub use url::Auth;
pub use url::Filled;
pub use url::ParseUrlError;
pub use url::SafeUrl;
pub use url::Scheme;
pub use url::Secret;

use self::answers::Place;
use self::answers::Validators;
use self::exchange::Asked;
use self::patience::Paced;
use self::patience::seconds;
use self::reach::Inward;
use self::reach::Reach;
use self::reach::Reaching;
use self::resolver::NoAddress;
use self::resolver::Remembering;
use self::secrets::Secrets;
use crate::address::LoopbackForTests;
use crate::address::Resolve;
use crate::authority::Host;
use crate::store::Store;

/// Name and version that servers see.
const USER_AGENT: &str = concat!("pinfold/", env!("CARGO_PKG_VERSION"));
/// Redirects followed for one request.
const MAX_REDIRECTS: usize = 10;

/// A small answer that is wanted in memory.
#[derive(Clone, Debug)]
pub struct Get<'a> {
    /// Media types to ask for.
    pub accept: Option<&'a str>,
    /// Credentials, for the origin of the address only.
    pub auth: Auth,
    /// Longest answer accepted, in bytes.
    pub limit: u64,
}

impl Default for Get<'_> {
    fn default() -> Self {
        Self { accept: None, auth: Auth::None, limit: 64 << 20 }
    }
}

/// What a server says to a request, its content left aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Greeting {
    /// The status of its answer.
    pub status: u16,
    /// What time it is there, as HTTP writes dates.
    pub date: Option<String>,
}

/// How patient a client is.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often a request that failed in a passing way is made again. A download counts anew when bytes have come.
    pub retries: u32,
    /// The pause before the first retry; doubled for each further one.
    pub pause: Duration,
    /// The longest pause, also when the server asks for more.
    pub longest_pause: Duration,
    /// Time for a connection, TLS included.
    pub connect_timeout: Duration,
    /// Time in which at least one byte must come or go, and all of an answer's head (longer after much was sent, which whoever takes it
    /// looks through first). Over this time content must move at 1 KiB a
    /// second, or the line counts as broken.
    pub idle_timeout: Duration,
    /// Time in which a document must be there whole, from its request on: an answer of [`Client::exchange`] that is read whole.
    pub whole_timeout: Duration,
    /// How long attempts that brought nothing may take together before there is no further one.
    pub patience: Duration,
    /// Proxies to use.
    pub proxies: Proxies,
    /// Hosts that others may lead to though they are private. Named by the machine, never by a project.
    pub private_hosts: Vec<Host>,
    /// Who turns names into addresses, instead of the machine's own resolver.
    pub names: Option<Arc<dyn Resolve>>,
    /// Lets servers lead to loopback addresses.
    pub loopback: Option<LoopbackForTests>,
    /// Authorities that are trusted beside those of the system.
    pub roots: Vec<rustls_pki_types::CertificateDer<'static>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            retries: 4,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(60),
            whole_timeout: Duration::from_secs(60),
            patience: Duration::from_secs(100),
            proxies: Proxies::default(),
            private_hosts: Vec::new(),
            names: None,
            loopback: None,
            roots: Vec::new(),
        }
    }
}

/// A client, cheap to clone; connections are kept and shared between its clones and threads.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

struct Shared {
    /// `None` for an offline client.
    options: Option<Options>,
    names: Arc<Remembering>,
    /// Where answers are kept: a folder of a store.
    answers: Option<(Store, PathBuf)>,
    /// What was sent in confidence.
    secrets: Arc<Secrets>,
    /// By whether TLS is spoken, whether a proxy is used, and how far they reach. Made at their first use, since reading the
    /// trust store takes milliseconds.
    agents: Mutex<BTreeMap<(bool, bool, Reach), Agent>>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("options", &self.shared.options).finish_non_exhaustive()
    }
}

/// What is asked of a server, redirects included.
struct Ask<'a> {
    accept: Option<&'a str>,
    auth: &'a Auth,
    /// First byte wanted, and the validator the rest must still have.
    range: Option<(u64, Option<&'a str>)>,
    /// What the server may know its last answer by.
    known: Option<&'a Validators>,
    /// How far the first address reaches.
    reach: Reach,
}

/// The parts of an answer that matter here.
struct Answer {
    status: u16,
    length: Option<u64>,
    content_range: Option<String>,
    etag: Option<String>,
    date: Option<String>,
    validators: Validators,
    body: Body,
}

impl Client {
    /// A client with the usual patience and the proxies of the environment.
    pub fn new() -> Result<Self, HttpError> {
        Self::patient(Options::default())
    }

    /// The same for a look at what is there: each request is made once, and nobody waits long.
    pub fn impatient() -> Result<Self, HttpError> {
        let short = Duration::from_secs(5);
        Self::patient(Options {
            retries: 0,
            connect_timeout: short,
            idle_timeout: short,
            whole_timeout: short,
            ..Options::default()
        })
    }

    /// With the proxies and the private hosts that the environment names.
    pub fn patient(options: Options) -> Result<Self, HttpError> {
        let variable = |name: &str| std::env::var(name).ok();
        let proxies = Proxies::from_env(variable)?;
        let private_hosts = reach::private_hosts(variable(reach::PRIVATE_HOSTS).as_deref())?;
        Ok(Self::with(Options { proxies, private_hosts, ..options }))
    }

    /// A client with options of one's own.
    pub fn with(options: Options) -> Self {
        Self::build(Some(options))
    }

    /// A client for which every request is [`HttpError::Offline`], `file` addresses excepted.
    pub fn offline() -> Self {
        Self::build(None)
    }

    fn build(options: Option<Options>) -> Self {
        let names = Arc::new(Remembering::new(options.as_ref().and_then(|options| options.names.clone())));
        let (secrets, agents) = (Arc::default(), Mutex::new(BTreeMap::new()));
        let shared = Shared { options, names, answers: None, secrets, agents };
        Self { shared: Arc::new(shared) }
    }

    /// The same client, with a folder below the root of `store` for answers that are to be kept.
    #[must_use]
    pub fn keeping(self, store: &Store, folder: &str) -> Self {
        let shared = Shared {
            options: self.shared.options.clone(),
            names: self.shared.names.clone(),
            answers: Some((store.clone(), store.root().join(folder))),
            secrets: self.shared.secrets.clone(),
            agents: Mutex::new(BTreeMap::new()),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Fetches a small answer whole. Nothing is kept of it.
    pub fn get(&self, url: &SafeUrl, get: &Get<'_>) -> Result<Vec<u8>, HttpError> {
        self.answer(url, get, None).map(|answer| answer.bytes)
    }

    /// Fetches a small answer whole that is kept when it turns out right ([`Client::keeping`]): the next time the server is asked
    /// whether it has changed, and an offline client takes it as it is.
    pub fn current(&self, url: &SafeUrl, get: &Get<'_>) -> Result<Unjudged, HttpError> {
        let place = |answers| Place::new(answers, url, get.accept, &get.auth);
        self.answer(url, get, self.shared.answers.as_ref().map(place))
    }

    fn answer(&self, url: &SafeUrl, get: &Get<'_>, place: Option<Place>) -> Result<Unjudged, HttpError> {
        if let Some(path) = url.file_path() {
            return read_file(url, &path, get.limit).map(Unjudged::new);
        }
        let kept = place.as_ref().and_then(|place| answers::read(place, get.limit));
        let options = match (self.options(&url.to_string()), kept) {
            (Ok(options), kept) => (options, kept),
            (Err(HttpError::Offline { .. }), Some(kept)) => return Ok(Unjudged::new(kept.body)),
            (Err(error), _) => return Err(error),
        };
        let (options, kept) = options;
        let known = kept.as_ref().map(|kept| &kept.validators);
        let ask = Ask { accept: get.accept, auth: &get.auth, range: None, known, reach: Reach::Named };
        let mut attempts = Attempts::new(Some(options));
        loop {
            let begun = Instant::now();
            let failure = match self.get_once(url, &ask, get.limit) {
                // Some servers know no conditions: what they send again is not written again.
                Ok(Some((bytes, validators)))
                    if kept
                        .as_ref()
                        .is_some_and(|kept| kept.validators == validators && kept.body == bytes) =>
                {
                    return Ok(Unjudged::confirmed(bytes, place));
                }
                Ok(Some((bytes, validators))) => return Ok(Unjudged::came(bytes, validators, place)),
                Ok(None) => {
                    return Ok(Unjudged::confirmed(kept.map(|kept| kept.body).unwrap_or_default(), place));
                }
                Err(failure) => failure,
            };
            tracing::info!(error = %failure.error, "an attempt failed");
            if !failure.error.is_passing() || !attempts.again(begun.elapsed(), 0, failure.wait) {
                return Err(failure.error);
            }
        }
    }

    /// Asks for an address once, and reads nothing of what is there.
    pub fn greet(&self, url: &SafeUrl, auth: &Auth) -> Result<Greeting, HttpError> {
        if let Some(path) = url.file_path() {
            let found = fs_err::metadata(path).map_err(|error| HttpError::File { url: url.clone(), error });
            return found.map(|_| Greeting { status: 200, date: None });
        }
        let ask = Ask { accept: None, auth, range: None, known: None, reach: Reach::Named };
        let answer = self.ask(url, &ask).map_err(|failure| failure.error)?;
        Ok(Greeting { status: answer.status, date: answer.date })
    }

    /// One answer; none where the server says that what was kept is still right.
    fn get_once(
        &self,
        url: &SafeUrl,
        ask: &Ask<'_>,
        limit: u64,
    ) -> Result<Option<(Vec<u8>, Validators)>, Failure> {
        let answer = self.ask(url, ask)?;
        if answer.status == 304 && ask.known.is_some_and(|known| *known != Validators::default()) {
            return Ok(None);
        }
        if answer.status != 200 {
            return Err(HttpError::Status { url: url.clone(), status: answer.status }.into());
        }
        let too_long = || HttpError::TooLong { url: url.clone(), limit };
        if answer.length.is_some_and(|length| length > limit) {
            return Err(too_long().into());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(answer.length.unwrap_or(0)).unwrap_or(0));
        let body = answer.body.into_with_config().limit(u64::MAX).reader();
        let body = Paced::new(body, self.options(&url.to_string())?.idle_timeout);
        body.take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| read_error(url, &error))?;
        if bytes.len() as u64 > limit {
            return Err(too_long().into());
        }
        match answer.length {
            Some(expected) if expected != bytes.len() as u64 => {
                Err(HttpError::Truncated { url: url.clone(), got: bytes.len() as u64, expected }.into())
            }
            _ => Ok(Some((bytes, answer.validators))),
        }
    }

    fn options(&self, what: &str) -> Result<&Options, HttpError> {
        self.shared.options.as_ref().ok_or_else(|| HttpError::Offline { what: what.to_owned() })
    }

    /// One request, its redirects followed. Any status but a passing one and a redirect is an answer.
    fn ask(&self, url: &SafeUrl, ask: &Ask<'_>) -> Result<Answer, Failure> {
        let range = ask.range.map(|(start, _)| format!("bytes={start}-"));
        let headers: Vec<(&str, &str)> = [
            ("accept", ask.accept),
            ("range", range.as_deref()),
            ("if-range", ask.range.and_then(|(_, validator)| validator)),
            ("if-none-match", ask.known.and_then(|known| known.etag.as_deref())),
            ("if-modified-since", ask.known.and_then(|known| known.last_modified.as_deref())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
        let reply = self.hops(&Asked {
            method: Method::Get,
            url,
            auth: ask.auth,
            headers: &headers,
            content: Content::None,
            led_by: None,
            reach: ask.reach,
        })?;
        let status = reply.status();
        if error::is_passing_status(status) {
            let wait = reply.retry_after();
            return Err(Failure { error: HttpError::Status { url: url.clone(), status }, wait });
        }
        let owned = |name| reply.header(name).map(str::to_owned);
        let validators = Validators { etag: owned("etag"), last_modified: owned("last-modified") };
        Ok(Answer {
            status,
            length: reply.length(),
            content_range: owned("content-range"),
            // Only a strong validator promises equal bytes (RFC 9110, section 8.8.1).
            etag: validators.etag.clone().filter(|tag| tag.starts_with('"')),
            date: owned("date"),
            validators,
            body: reply.into_body(),
        })
    }

    /// Where the server of an address that was asked for may lead.
    fn led_from(&self, url: &SafeUrl) -> Result<Reach, HttpError> {
        let options = self.options(&url.to_string())?;
        Ok(match (reach::host(url), options.proxies.for_url(url)) {
            (Some(Host::Address(address)), _) => Reach::led_from([address]),
            (_, Some(_)) => Reach::Public,
            (_, None) => Reach::led_from(self.shared.names.known(url)),
        })
    }

    /// What the machine's user allows beyond.
    fn exempted(&self, url: &SafeUrl, reach: Reach) -> Result<Reach, HttpError> {
        let options = self.options(&url.to_string())?;
        let host = reach::host(url);
        let named = host.is_some_and(|host| options.private_hosts.contains(&host));
        Ok(if named { Reach::Named } else { reach })
    }

    fn agent(&self, url: &SafeUrl, reach: Reach) -> Result<Agent, Refused> {
        let options = self.options(&url.to_string())?;
        let proxy = options.proxies.for_url(url);
        // The proxy resolves; this machine only looks for the proxy.
        let reach = match (proxy, reach::host(url)) {
            (Some(_), Some(host)) => {
                if let Some(what) = reach.refusal_by_name(&host) {
                    return Err(Refused::Inward(Inward { place: host.to_string(), what }));
                }
                Reach::Named
            }
            _ => reach,
        };
        let key = (url.scheme() == Scheme::Https, proxy.is_some(), reach);
        let mut agents = self.shared.agents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = agents.get(&key) {
            return Ok(agent.clone());
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(USER_AGENT)
            .proxy(proxy.cloned())
            .timeout_resolve(Some(options.connect_timeout))
            .timeout_connect(Some(options.connect_timeout))
            .timeout_recv_response(Some(options.idle_timeout))
            .timeout_per_read(Some(options.idle_timeout))
            .timeout_per_write(Some(options.idle_timeout))
            .input_buffer_size(128 << 10)
            .max_idle_connections(32)
            .max_idle_connections_per_host(16);
        if url.scheme() == Scheme::Https || proxy.is_some() {
            config = config.tls_config(tls(&options.roots)?);
        }
        let config = config.build();
        let connector = ureq::unversioned::transport::DefaultConnector::default();
        let resolver = Reaching { names: self.shared.names.clone(), reach, loopback: options.loopback };
        Ok(agents.entry(key).or_insert(Agent::with_parts(config, connector, resolver)).clone())
    }
}

/// Why there is no agent for an address.
enum Refused {
    Inward(Inward),
    Other(HttpError),
}

impl From<HttpError> for Refused {
    fn from(error: HttpError) -> Self {
        Self::Other(error)
    }
}

/// The system's trust store and further authorities, with ring as the cryptography.
fn tls(further: &[rustls_pki_types::CertificateDer<'static>]) -> Result<ureq::tls::TlsConfig, HttpError> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() && further.is_empty() {
        let reason =
            found.errors.first().map_or_else(|| "the system has none".to_owned(), ToString::to_string);
        return Err(HttpError::TrustStore { reason });
    }
    let roots: Vec<_> = found
        .certs
        .iter()
        .chain(further)
        .map(|der| ureq::tls::Certificate::from_der(der).to_owned())
        .collect();
    Ok(ureq::tls::TlsConfig::builder()
        .provider(ureq::tls::TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(ureq::tls::RootCerts::new_with_certs(&roots))
        .build())
}

/// A failed attempt, and how long the server wants to be left alone.
struct Failure {
    error: HttpError,
    wait: Option<Duration>,
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        Self { error, wait: None }
    }
}

impl From<crate::store::StoreError> for Failure {
    fn from(error: crate::store::StoreError) -> Self {
        HttpError::from(error).into()
    }
}

fn text(response: &Response<Body>, name: &header::HeaderName) -> Option<String> {
    response.headers().get(name)?.to_str().ok().map(str::to_owned)
}

/// What did not come in time.
fn waited_for(timeout: ureq::Timeout, options: &Options, answer: Duration) -> String {
    let idle = seconds(options.idle_timeout);
    match timeout {
        ureq::Timeout::Resolve => {
            format!("the name of the host had no address within {}", seconds(options.connect_timeout))
        }
        ureq::Timeout::Connect => format!("no connection within {}", seconds(options.connect_timeout)),
        ureq::Timeout::PerWrite | ureq::Timeout::SendRequest | ureq::Timeout::SendBody => {
            format!("the server took nothing of what is sent for {idle}")
        }
        ureq::Timeout::RecvBody => format!("nothing more came for {idle}"),
        _ => format!("no answer came within {}", seconds(answer)),
    }
}

/// A request failed; `answer` is how long the answer to it was waited for.
fn connection_error(url: &SafeUrl, error: &ureq::Error, options: &Options, answer: Duration) -> HttpError {
    let step = match error {
        ureq::Error::HostNotFound => Step::Resolve,
        ureq::Error::Timeout(_) => Step::Wait,
        ureq::Error::ConnectProxyFailed(_) | ureq::Error::InvalidProxyUrl => Step::Proxy,
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::Pem(_) | ureq::Error::TlsRequired => {
            Step::Tls
        }
        ureq::Error::Protocol(_)
        | ureq::Error::LargeResponseHeader(..)
        | ureq::Error::BadUri(_)
        | ureq::Error::Http(_) => Step::Protocol,
        ureq::Error::Io(error) => io_step(error),
        _ => Step::Connect,
    };
    // The library's message may repeat the address, so only messages without one are passed on.
    let reason = match error {
        ureq::Error::HostNotFound => format!("the host `{}` is not known", url.told_host()),
        ureq::Error::ConnectProxyFailed(_) => "the proxy did not connect".into(),
        ureq::Error::BadUri(_) | ureq::Error::Http(_) => "the address or a header is not usable".into(),
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Timeout(timeout) => waited_for(*timeout, options, answer),
        other => other.to_string(),
    };
    HttpError::Connection { url: url.without_secrets(), step, reason: reason.into() }
}

/// TLS failures come as I/O errors of kind `InvalidData` with a rustls error inside.
fn io_step(error: &io::Error) -> Step {
    let inner = error.get_ref();
    if inner.is_some_and(|inner| inner.downcast_ref::<rustls::Error>().is_some()) {
        Step::Tls
    } else if inner.is_some_and(|inner| inner.downcast_ref::<NoAddress>().is_some()) {
        Step::Resolve
    } else if error.kind() == io::ErrorKind::TimedOut {
        Step::Wait
    } else {
        Step::Connect
    }
}

/// Reading a body failed in the middle.
fn read_error(url: &SafeUrl, error: &io::Error) -> HttpError {
    let timeout = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<ureq::Error>())
        .is_some_and(|inner| matches!(inner, ureq::Error::Timeout(_)));
    let step = if timeout { Step::Wait } else { io_step(error) };
    HttpError::Connection {
        url: url.without_secrets(),
        step,
        reason: format!("the transfer broke: {error}").into(),
    }
}

fn read_file(url: &SafeUrl, path: &std::path::Path, limit: u64) -> Result<Vec<u8>, HttpError> {
    let failed = |error| HttpError::File { url: url.clone(), error };
    let mut bytes = Vec::new();
    crate::file::regular(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(HttpError::TooLong { url: url.clone(), limit });
    }
    Ok(bytes)
}
