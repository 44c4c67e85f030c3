//! The supervisor's end: takes the relay's connections at a Unix socket and decides about each. The same as a service: takes the
//! connections of many relays at a TCP port with TLS, and decides about each by what its token proves.
//!
//! ```text
//!   preamble ─► head ─► route 0 ─┬─ CONNECT ─► allow-list ─► dial ─► 200 ─► TLS names = host? ─► tunnel
//!                       │        └─ http://  ─► allow-list ─► dial ─► one request
//!                       └ route N ─ path listed? ─► key ─► dial ─► TLS ─► one request with the key
//! ```
//!
//! One thread (a few for many sandboxes) waits for heads, watches tunnels and closes what is overdue
//! ([`crate::serve::connections`]); resolving, dialling and single requests happen on bounded pools of threads ([`crate::serve::job`]). **Fails closed**: whatever cannot be read, decided,
//! recorded or reached is refused with a reason, and when the proxy stops, every connection stops with it.

pub(crate) mod connections;
mod counts;
mod exchange;
mod greet;
mod job;
pub mod journal;
mod members;
mod pool;
mod reading;
pub mod refused;
mod service;

use std::io;
use std::net::IpAddr;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use fs_err as fs;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::authority::Target;
use pinfold_base::socket;
use pinfold_base::socket::TakeError;
use rustls::ClientConfig;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;

pub use self::counts::Figures;
pub use self::counts::PolicyFigures;
pub use self::counts::ResultFigures;
pub use self::members::InForce;
pub use self::members::InForceError;
use self::members::Member;
use self::members::Members;
use self::members::Policy;
pub use self::members::PolicySpec;
use self::pool::Bounds;
use self::pool::Pool;
pub use self::service::JournalTo;
pub use self::service::ServiceConfig;
use crate::dial::Dialer;
use crate::events::poll::Poller;
use crate::events::poll::Slots;
use crate::events::poll::Waker;
use crate::identity::TokenHash;
use crate::relay::connections_within_limit;
use crate::route::Route;
use crate::route::RouteError;
use crate::route::RouteSpec;
use crate::rules::AllowList;
use crate::secret::Credential;
use crate::serve::connections::Handoff;
use crate::serve::connections::Serving;
use crate::serve::journal::Event;
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
    /// Connections of one sandbox at once, where there are several.
    pub per_sandbox: usize,
    /// Requests of one sandbox at once, where there are several; others of it wait.
    pub requests_per_sandbox: usize,
    /// Tunnels of one sandbox being opened at once, where there are several; others of it wait.
    pub dials_per_sandbox: usize,
    /// TLS hand-shakes of sandboxes at once.
    pub shakes: usize,
    /// How long a client may take for its head, for the first message of TLS, and for a hand-shake.
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
            per_sandbox: 256,
            requests_per_sandbox: 32,
            dials_per_sandbox: 16,
            shakes: 1024,
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
    /// What is at the socket's path is not ours to remove.
    #[error("cannot listen on the socket `{}`: {what}", path.display())]
    Taken {
        /// Its path.
        path: PathBuf,
        /// What is there.
        what: TakeError,
    },
    /// The journal cannot be opened.
    #[error("cannot keep the network journal")]
    Journal(#[source] io::Error),
    /// A route cannot be used.
    #[error(transparent)]
    Route(#[from] RouteError),
    /// What is to be in force cannot be.
    #[error(transparent)]
    InForce(#[from] InForceError),
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
            Self::InForce(error) => Diagnosis::Inner(error),
            Self::Taken { .. } => Diagnosis::Own(Kind::Refused),
            _ => Diagnosis::Own(Kind::System),
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Taken { what: TakeError::Listening, .. } => {
                Some("end who listens there, or name another path: `listen = \"unix:PATH\"`".into())
            }
            Self::Taken { .. } => Some("move it away, or name another path: `listen = \"unix:PATH\"`".into()),
            _ => None,
        }
    }
}

/// Tunnels that may wait for a thread; each holds its head.
const DIALS_WAITING: usize = 512;
/// Requests that may wait for a thread.
const REQUESTS_WAITING: usize = 64;
/// Lines about connections of nobody, at most so many in [`UNKNOWN_PERIOD`].
const UNKNOWN_LINES: u32 = 10;
const UNKNOWN_PERIOD: Duration = Duration::from_secs(1);

/// Where connections come from.
#[derive(Debug)]
pub(crate) enum Listener {
    Unix(UnixListener),
    Tcp(TcpListener),
}

impl Listener {
    fn socket(&self) -> BorrowedFd<'_> {
        match self {
            Self::Unix(listener) => listener.as_fd(),
            Self::Tcp(listener) => listener.as_fd(),
        }
    }

    /// Connections that may wait to be taken.
    fn queue(&self) -> i32 {
        match self {
            Self::Unix(_) => 1024,
            Self::Tcp(_) => 4096,
        }
    }
}

/// Threads for what waits.
#[derive(Clone, Debug)]
pub(crate) struct Pools {
    dials: Arc<Pool>,
    requests: Arc<Pool>,
}

impl Pools {
    /// Of one sandbox: all of it is its own.
    fn of_one(limits: &ProxyLimits) -> Self {
        let bounds =
            |threads, waiting| Bounds { threads: [threads; 2], waiting: [waiting, waiting + threads] };
        Self {
            dials: Pool::new("proxy-dial", bounds(limits.dials, DIALS_WAITING)),
            requests: Pool::new("proxy-request", bounds(limits.requests, REQUESTS_WAITING)),
        }
    }

    /// Of many: each has its part.
    fn of_many(limits: &ProxyLimits) -> Self {
        let bounds = |all: usize, each: usize, waiting: usize| Bounds {
            threads: [all, each.min(all)],
            waiting: [waiting, each.saturating_mul(4)],
        };
        Self {
            dials: Pool::new("proxy-dial", bounds(limits.dials, limits.dials_per_sandbox, 8 * DIALS_WAITING)),
            requests: Pool::new(
                "proxy-request",
                bounds(limits.requests, limits.requests_per_sandbox, 16 * REQUESTS_WAITING),
            ),
        }
    }

    fn stop(&self) {
        self.dials.stop();
        self.requests.stop();
    }
}

/// What an event loop is reached by.
#[derive(Debug)]
pub(crate) struct Loop {
    /// Connections that jobs give back.
    inbox: Mutex<Vec<Handoff>>,
    waker: Waker,
    /// Connections in it.
    watched: AtomicUsize,
}

impl Loop {
    fn new() -> io::Result<Self> {
        Ok(Self { inbox: Mutex::default(), waker: Waker::new()?, watched: AtomicUsize::new(0) })
    }

    fn take_inbox(&self) -> Vec<Handoff> {
        std::mem::take(&mut *self.inbox.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct UnderWay {
    /// Its client's socket, to be shut when the proxy stops.
    socket: OwnedFd,
    /// Whose it is, where there are several.
    proof: Option<(TokenHash, IpAddr)>,
}

/// Numbers of the proxy itself.
#[derive(Debug, Default)]
pub(crate) struct OwnCounts {
    accepted: AtomicU64,
    shakes_failed: AtomicU64,
    unknown: AtomicU64,
    crowded: AtomicU64,
    tunnels: AtomicUsize,
}

/// Lines about nobody that were written lately.
#[derive(Debug, Default)]
struct UnknownLines {
    since: Option<Instant>,
    written: u32,
    left_out: u64,
}

/// What event loops, jobs and handle share.
#[derive(Debug)]
pub(crate) struct Shared {
    members: RwLock<Arc<Members>>,
    /// TLS towards sandboxes, where there are several.
    server_tls: RwLock<Option<Arc<ServerConfig>>>,
    journal: Option<Journal>,
    refused: Mutex<Tally>,
    unknown_lines: Mutex<UnknownLines>,
    pub(crate) counts: OwnCounts,
    pub(crate) limits: ProxyLimits,
    pub(crate) dialer: Dialer,
    trust: Trust,
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
    pub(crate) loops: Vec<Loop>,
    pub(crate) stopping: AtomicBool,
    pub(crate) draining: AtomicBool,
    /// Connections in the hands of jobs.
    pub(crate) busy: AtomicUsize,
    pub(crate) under_way: Mutex<Slots<UnderWay>>,
}

impl Shared {
    /// Records a line. An error means that what it is about must not happen.
    pub(crate) fn record(&self, note: &Note, member: &Member) -> io::Result<()> {
        let sandbox = member.sandbox.name.as_deref();
        if sandbox.is_none() && refused::is_refusal(note) {
            self.refused.lock().unwrap_or_else(PoisonError::into_inner).count(note);
        }
        member.policy.counts.count(note);
        self.journal.as_ref().map_or(Ok(()), |journal| journal.write(note, sandbox))
    }

    /// Counts a connection of nobody; of many only some are recorded.
    pub(crate) fn record_unknown(&self, peer: Option<IpAddr>, now: Instant) {
        self.counts.unknown.fetch_add(1, Ordering::Relaxed);
        let mut note = Note::new(Event::Unknown, &"", false);
        note.address = peer.map(|peer| peer.to_string());
        note.status = Some(403);
        {
            let mut lines = self.unknown_lines.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.since.is_none_or(|since| now.saturating_duration_since(since) >= UNKNOWN_PERIOD) {
                (lines.since, lines.written) = (Some(now), 0);
            }
            if lines.written == UNKNOWN_LINES {
                lines.left_out += 1;
                return;
            }
            lines.written += 1;
            note.reason = match std::mem::take(&mut lines.left_out) {
                0 => "the token is not known, or comes from elsewhere".into(),
                more => format!("the token is not known, or comes from elsewhere ({more} more before)"),
            };
        }
        // It is refused whether or not that can be recorded.
        let _ = self.journal.as_ref().map(|journal| journal.write(&note, None));
    }

    /// Who is known now.
    pub(crate) fn members(&self) -> Arc<Members> {
        Arc::clone(&self.members.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// TLS towards sandboxes.
    pub(crate) fn server_tls(&self) -> Option<Arc<ServerConfig>> {
        self.server_tls.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Connections there are.
    pub(crate) fn places_taken(&self) -> usize {
        let watched: usize = self.loops.iter().map(|one| one.watched.load(Ordering::Relaxed)).sum();
        watched + self.busy.load(Ordering::Relaxed)
    }

    /// Gives a connection to an event loop.
    pub(crate) fn hand_off(&self, to: usize, connection: Handoff) {
        let Some(to) = self.loops.get(to) else { return };
        to.inbox.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        to.waker.wake();
    }

    /// Wakes every event loop.
    pub(crate) fn wake(&self) {
        self.loops.iter().for_each(|one| one.waker.wake());
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
    listener: Listener,
    pools: Pools,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Binds a socket at `path`, for the user alone (mode 0600). A socket left there by a proxy that is gone is replaced, and nothing
    /// else is.
    pub fn bind(path: &Path, config: ProxyConfig) -> Result<Self, ProxyError> {
        let failed = |source| ProxyError::Socket { path: path.to_owned(), source };
        let listener = socket::take(path).map_err(|error| match error {
            TakeError::Io(error) => failed(error),
            what @ (TakeError::NoSocket | TakeError::Listening) => {
                ProxyError::Taken { path: path.to_owned(), what }
            }
        })?;
        fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
        Self::on(listener, config)
    }

    /// Serves a socket that is bound already.
    pub fn on(listener: UnixListener, config: ProxyConfig) -> Result<Self, ProxyError> {
        let ProxyConfig { allow, routes, journal, limits, dialer, trust } = config;
        let routes = routes.into_iter().map(|(spec, credential)| Route::new(spec, credential));
        let members = Members::one(Policy::new(allow, routes, Arc::default())?);
        let journal = journal
            .map(|journal| Journal::open(&journal.path, journal.size_max))
            .transpose()
            .map_err(ProxyError::Journal)?;
        let pools = Pools::of_one(&limits);
        let shared = Shared::new(members, None, journal, limits, dialer, trust, 1)?;
        Ok(Self { listener: Listener::Unix(listener), pools, shared: Arc::new(shared) })
    }

    /// Serves on threads of its own until the handle is stopped or dropped.
    pub fn spawn(self) -> Result<ProxyHandle, ProxyError> {
        let Self { listener, pools, shared } = self;
        let mut listener = Some(listener);
        // From here on whatever fails ends what was started.
        let mut handle = ProxyHandle { shared: Arc::clone(&shared), threads: Vec::new() };
        for number in 0..shared.loops.len() {
            let poller = Poller::new().map_err(ProxyError::Start)?;
            let mut serving =
                Serving::new(number, listener.take(), poller, Arc::clone(&shared), pools.clone())
                    .map_err(ProxyError::Start)?;
            let thread = thread::Builder::new()
                .name("proxy".into())
                .stack_size(256 << 10)
                .spawn(move || serving.run())
                .map_err(ProxyError::Start)?;
            handle.threads.push(thread);
        }
        Ok(handle)
    }
}

impl Shared {
    fn new(
        members: Members,
        server_tls: Option<Arc<ServerConfig>>,
        journal: Option<Journal>,
        limits: ProxyLimits,
        dialer: Dialer,
        trust: Trust,
        loops: usize,
    ) -> Result<Self, ProxyError> {
        let connections = limits.connections.min(connections_within_limit()).max(1);
        let loops: io::Result<Vec<Loop>> = (0..loops.max(1)).map(|_| Loop::new()).collect();
        Ok(Self {
            members: RwLock::new(Arc::new(members)),
            server_tls: RwLock::new(server_tls),
            journal,
            refused: Mutex::default(),
            unknown_lines: Mutex::default(),
            counts: OwnCounts::default(),
            limits: ProxyLimits { connections, ..limits },
            dialer,
            trust,
            tls: OnceLock::new(),
            loops: loops.map_err(ProxyError::Start)?,
            stopping: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
            under_way: Mutex::new(Slots::new()),
        })
    }
}

/// A running proxy. Dropping it stops it.
#[derive(Debug)]
pub struct ProxyHandle {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<io::Result<()>>>,
}

impl ProxyHandle {
    /// Connections being served now.
    pub fn connections(&self) -> usize {
        self.shared.places_taken()
    }

    /// What was refused so far, to one sandbox at a Unix socket.
    pub fn refused(&self) -> Refusals {
        let members = self.shared.members();
        let Some(only) = members.only() else { return Refusals::default() };
        let routed: Vec<&Target> =
            only.policy.routes.values().map(|route| route.spec().upstream.target()).collect();
        self.shared.refused.lock().unwrap_or_else(PoisonError::into_inner).sum(&only.policy.allow, &routed)
    }

    /// Closes the socket and every connection.
    pub fn stop(mut self) -> Result<(), ProxyError> {
        self.end().map_err(ProxyError::Loop)
    }

    fn end(&mut self) -> io::Result<()> {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.wake();
        let mut result = Ok(());
        for thread in self.threads.drain(..) {
            let ended = thread.join().unwrap_or_else(|_| Err(io::Error::other("its thread panicked")));
            result = result.and(ended);
        }
        let under_way = self.shared.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        for (_, one) in under_way.iter() {
            // It may be closed already.
            let _ = rustix::net::shutdown(&one.socket, rustix::net::Shutdown::Both);
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
