//! The supervisor's end: takes the relay's connections at a Unix socket and decides about each.
//!
//! ```text
//!   preamble ─► head ─► route 0 ─┬─ CONNECT ─► allow-list ─► dial ─► 200 ─► TLS names = host? ─► tunnel
//!                       │        └─ http://  ─► allow-list ─► dial ─► one request
//!                       └ route N ─ path listed? ─► key ─► dial ─► TLS ─► one request with the key
//! ```
//!
//! One thread waits for heads, watches tunnels and closes what is overdue ([`crate::serve::connections`]); resolving, dialling and
//! single requests happen on bounded pools of threads ([`crate::serve::job`]). **Fails closed**: whatever cannot be read, decided,
//! recorded or reached is refused with a reason, and when the proxy stops, every connection stops with it.

pub(crate) mod connections;
mod exchange;
mod greet;
mod job;
pub mod journal;
mod pool;
pub mod refused;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use fs_err as fs;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::authority::Target;
use pinfold_base::socket;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;

use crate::dial::Dialer;
use crate::events::poll::Poller;
use crate::events::poll::Slots;
use crate::events::poll::Waker;
use crate::relay::RouteId;
use crate::relay::connections_of;
use crate::relay::open_files;
use crate::route::Route;
use crate::route::RouteError;
use crate::route::RouteSpec;
use crate::rules::AllowList;
use crate::secret::Credential;
use crate::serve::connections::Handoff;
use crate::serve::connections::Serving;
use crate::serve::journal::Journal;
use crate::serve::journal::Note;
use crate::serve::refused::Refusals;
use crate::serve::refused::Tally;

/// Numbers and times of the proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyLimits {
    /// Connections at once. Lowered to what `RLIMIT_NOFILE` allows: each takes two descriptors.
    pub connections: usize,
    /// Requests passed on at once (plain HTTP and credential routes); each has a thread.
    pub requests: usize,
    /// Tunnels being opened at once; each has a thread while its host is resolved and dialled.
    pub dials: usize,
    /// How long a client may take for its head, and for the first message of TLS.
    pub head: Duration,
    /// How long a client may be silent inside a body.
    pub body: Duration,
    /// How long a server may be silent inside an answer, or before it.
    pub answer: Duration,
    /// How long a tunnel may be silent.
    pub tunnel: Duration,
}

impl Default for ProxyLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            requests: 256,
            dials: 64,
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            answer: Duration::from_secs(600),
            tunnel: Duration::from_secs(3600),
        }
    }
}

/// Whose certificates providers are believed with.
#[derive(Clone, Debug, Default)]
pub enum Trust {
    /// The system's store, or the file `SSL_CERT_FILE` names. Read at the first use.
    #[default]
    System,
    /// These authorities and no others.
    Only(Vec<CertificateDer<'static>>),
}

/// Where decisions are recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalConfig {
    /// The file; the one before it has `.1` added.
    pub path: PathBuf,
    /// Bytes after which the file is turned over.
    pub size_max: u64,
}

/// All that a proxy is made from.
#[derive(Clone, Debug, Default)]
pub struct ProxyConfig {
    /// The allow-list. The default one allows nothing.
    pub allow: AllowList,
    /// Credential routes with where their keys come from.
    pub routes: Vec<(RouteSpec, Credential)>,
    /// Where decisions are recorded; nowhere if `None`.
    pub journal: Option<JournalConfig>,
    /// Numbers and times.
    pub limits: ProxyLimits,
    /// How names become connections.
    pub dialer: Dialer,
    /// Whose certificates providers are believed with.
    pub trust: Trust,
}

/// Why a proxy cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// The socket cannot be made.
    #[error("cannot listen on the socket `{}`", path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The journal cannot be opened.
    #[error("cannot keep the network journal")]
    Journal(#[source] io::Error),
    /// A route cannot be used.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// The event loop or its thread cannot be started.
    #[error("the proxy's event loop cannot be started")]
    Start(#[source] io::Error),
    /// The event loop ended by itself.
    #[error("the proxy's event loop failed")]
    Loop(#[source] io::Error),
}

impl Diagnose for ProxyError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Route(error) => Diagnosis::Inner(error),
            _ => Diagnosis::Own(Kind::System),
        }
    }
}

/// What event loop, jobs and handle share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) allow: AllowList,
    pub(crate) routes: BTreeMap<RouteId, Route>,
    pub(crate) journal: Option<Journal>,
    refused: Mutex<Tally>,
    pub(crate) limits: ProxyLimits,
    pub(crate) dialer: Dialer,
    trust: Trust,
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
    /// Connections that jobs give back to the event loop.
    pub(crate) inbox: Mutex<Vec<Handoff>>,
    pub(crate) waker: Waker,
    pub(crate) stopping: AtomicBool,
    /// Connections in the hands of jobs.
    pub(crate) busy: AtomicUsize,
    /// Connections in the event loop.
    pub(crate) watched: AtomicUsize,
    /// Sockets of requests under way, to be shut when the proxy stops.
    pub(crate) under_way: Mutex<Slots<OwnedFd>>,
}

impl Shared {
    /// Records a line. An error means that what it is about must not happen.
    pub(crate) fn record(&self, note: &Note) -> io::Result<()> {
        if refused::is_refusal(note) {
            self.refused.lock().unwrap_or_else(PoisonError::into_inner).count(note);
        }
        self.journal.as_ref().map_or(Ok(()), |journal| journal.write(note))
    }

    /// Gives a connection to the event loop.
    pub(crate) fn hand_off(&self, connection: Handoff) {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        self.waker.wake();
    }

    /// TLS towards providers: their certificates by the trusted authorities, HTTP/1.1 only.
    pub(crate) fn tls(&self) -> Result<Arc<ClientConfig>, String> {
        self.tls.get_or_init(|| client_config(&self.trust)).clone()
    }
}

fn client_config(trust: &Trust) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    let certificates = match trust {
        Trust::Only(certificates) => certificates.clone(),
        Trust::System => rustls_native_certs::load_native_certs().certs,
    };
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() {
        return Err("no certificate authority is trusted on this machine; install `ca-certificates`".into());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// A proxy whose socket is bound and which does not run yet.
#[derive(Debug)]
pub struct Proxy {
    listener: UnixListener,
    poller: Poller,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Binds a socket at `path`, for the user alone (mode 0600). A socket left there by a proxy that is gone is replaced.
    pub fn bind(path: &Path, config: ProxyConfig) -> Result<Self, ProxyError> {
        let failed = |source| ProxyError::Socket { path: path.to_owned(), source };
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let listener = socket::listen(path).map_err(failed)?;
        fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Self::on(listener, config)
    }

    /// Serves a socket that is bound already.
    pub fn on(listener: UnixListener, config: ProxyConfig) -> Result<Self, ProxyError> {
        let ProxyConfig { allow, routes, journal, limits, dialer, trust } = config;
        let mut table: BTreeMap<RouteId, Route> = BTreeMap::new();
        for (spec, credential) in routes {
            let route = Route::new(spec, credential)?;
            if let Some(first) = table.get(&route.spec().id) {
                return Err(RouteError::Twice {
                    first: first.spec().name.clone(),
                    second: route.spec().name.clone(),
                }
                .into());
            }
            table.insert(route.spec().id, route);
        }
        let journal = journal
            .map(|journal| Journal::open(&journal.path, journal.size_max))
            .transpose()
            .map_err(ProxyError::Journal)?;
        let connections = limits.connections.min(connections_of(open_files(), 2)).max(1);
        let shared = Arc::new(Shared {
            allow,
            routes: table,
            journal,
            refused: Mutex::default(),
            limits: ProxyLimits { connections, ..limits },
            dialer,
            trust,
            tls: OnceLock::new(),
            inbox: Mutex::default(),
            waker: Waker::new().map_err(ProxyError::Start)?,
            stopping: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
            watched: AtomicUsize::new(0),
            under_way: Mutex::new(Slots::new()),
        });
        let poller = Poller::new().map_err(ProxyError::Start)?;
        Ok(Self { listener, poller, shared })
    }

    /// Serves on a thread of its own until the handle is stopped or dropped.
    pub fn spawn(self) -> Result<ProxyHandle, ProxyError> {
        let Self { listener, poller, shared } = self;
        let mut serving = Serving::new(listener, poller, Arc::clone(&shared)).map_err(ProxyError::Start)?;
        let thread = thread::Builder::new()
            .name("proxy".into())
            .stack_size(256 << 10)
            .spawn(move || serving.run())
            .map_err(ProxyError::Start)?;
        Ok(ProxyHandle { shared, thread: Some(thread) })
    }
}

/// A running proxy. Dropping it stops it.
#[derive(Debug)]
pub struct ProxyHandle {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl ProxyHandle {
    /// Connections being served now.
    pub fn connections(&self) -> usize {
        self.shared.busy.load(Ordering::Relaxed) + self.shared.watched.load(Ordering::Relaxed)
    }

    /// What was refused so far.
    pub fn refused(&self) -> Refusals {
        let routed: Vec<&Target> =
            self.shared.routes.values().map(|route| route.spec().upstream.target()).collect();
        self.shared.refused.lock().unwrap_or_else(PoisonError::into_inner).sum(&self.shared.allow, &routed)
    }

    /// Closes the socket and every connection.
    pub fn stop(mut self) -> Result<(), ProxyError> {
        self.end().map_err(ProxyError::Loop)
    }

    fn end(&mut self) -> io::Result<()> {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.waker.wake();
        let result = match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("its thread panicked")),
        };
        let under_way = self.shared.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, socket) in under_way.iter() {
            // It may be closed already.
            let _ = rustix::net::shutdown(socket, rustix::net::Shutdown::Both);
        }
        result
    }
}

impl Drop for ProxyHandle {
    fn drop(&mut self) {
        // Nobody is left to hear how it ended.
        let _ = self.end();
    }
}
