//! The relay: the only listener inside the sandbox. It takes connections on loopback ports or Unix sockets and passes each to
//! the one Unix socket that leads to the supervisor, or to a proxy over TLS, with a preamble in front that says where it came in
//! ([`crate::wire::preamble`]).
//!
//! ```text
//!   agent ── TCP 127.0.0.1:3128 ──┐            ┌─ form:  0x01, or 0x02 at an alias: the host must be named
//!   agent ── TCP 127.0.0.1:3129 ──┼─ relay ──► │  route: 0x00 the proxy, 0x01…0xff a credential route
//!   agent ── /run/…/NAME.sock   ──┘            └─ then the bytes of the connection, both ways
//!
//!   upstream    the supervisor's socket, or a proxy's addresses in turn      serving    the event loop
//! ```
//!
//! **The preamble is not a wall.** A program in the sandbox that can open the Unix socket can name any route; it gains
//! nothing that the listeners would not give it. All decisions are made at the other end ([`crate::serve`]).
//!
//! **Guarantees**: one thread, no allocation per byte, memory bounded by the number of connections; when the supervisor is
//! gone, or no address of the proxy is reached, a client gets an HTTP 502 that says so, and no byte leaves. When all places are taken, the connection that has
//! waited longest without an answer makes room for the new one.

mod prove;
mod serving;
mod upstream;

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use serde::Deserialize;
use serde::Serialize;

pub use self::prove::ProveError;
use self::serving::Serving;
pub use self::upstream::Upstream;
use self::upstream::Way;
use crate::events::poll::Poller;
use crate::events::poll::Waker;
use crate::tls::TlsError;
pub use crate::wire::preamble::HostNaming;
pub use crate::wire::preamble::Preamble;
pub use crate::wire::preamble::RouteId;

/// One listener of the relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// What connections to it are for.
    pub route: RouteId,
    /// Where clients find it.
    pub at: Endpoint,
}

/// Where clients find a listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Endpoint {
    /// A port on 127.0.0.1; 0 lets the kernel choose ([`Relay::addresses`] says which).
    Port(u16),
    /// A Unix socket at this path, for its owner alone (mode 0600).
    Socket(PathBuf),
    /// The same for clients that name the host they mean, because they know a socket that leads to several: what is for another host
    /// than the route's is refused (403).
    Alias(PathBuf),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => write!(f, "127.0.0.1 port {port}"),
            Self::Socket(path) | Self::Alias(path) => write!(f, "`{}`", path.display()),
        }
    }
}

impl Preamble {
    fn of(listen: &Listen) -> Self {
        let host = match listen.at {
            Endpoint::Port(_) | Endpoint::Socket(_) => HostNaming::Free,
            Endpoint::Alias(_) => HostNaming::Required,
        };
        Self { route: listen.route, host }
    }
}

/// How many connections the relay holds at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayLimits {
    /// Connections at once. Each takes two file descriptors; the number is lowered to what `RLIMIT_NOFILE` allows.
    pub connections: usize,
    /// A connection that moved no byte for so long is closed.
    pub idle: Duration,
}

impl Default for RelayLimits {
    fn default() -> Self {
        Self { connections: 4096, idle: Duration::from_secs(3600) }
    }
}

/// What can go wrong in the relay.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// A port or a path is taken or may not be used.
    #[error("cannot listen on {at} inside the sandbox")]
    Bind {
        /// What was asked for.
        at: Endpoint,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The path of the socket is longer than the 107 bytes the kernel takes.
    #[error("the path of the proxy's socket is too long: `{}`", path.display())]
    SocketPath {
        /// The path.
        path: PathBuf,
    },
    /// A proxy without addresses, or with too many.
    #[error("the proxy has {count} addresses, and it needs 1 to 64")]
    Addresses {
        /// How many there are.
        count: usize,
    },
    /// The proxy cannot be spoken to as the settings say.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The event loop could not be set up or failed.
    #[error("the relay's event loop failed")]
    Loop(#[source] io::Error),
}

impl Diagnose for RelayError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Bind { .. } | Self::Loop(_) => Kind::System,
            Self::SocketPath { .. } | Self::Addresses { .. } => Kind::Usage,
            Self::Tls(error) => return Diagnosis::Inner(error),
        })
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Bind { at: Endpoint::Port(_), .. } => {
                Some("choose another port for the proxy or the route".into())
            }
            Self::SocketPath { .. } => Some("set `PINFOLD_HOME` to a folder with a shorter path".into()),
            Self::Bind { .. } | Self::Addresses { .. } | Self::Tls(_) | Self::Loop(_) => None,
        }
    }
}

/// A relay whose listeners are bound and which does not run yet, so that they can be had before privileges are dropped
/// and served after.
#[derive(Debug)]
pub struct Relay {
    listeners: Vec<(Preamble, OwnedFd)>,
    way: Way,
    limits: RelayLimits,
    poller: Poller,
    stop: Waker,
}

/// Ends a running [`Relay`].
#[derive(Clone, Debug)]
pub struct RelayStop(Waker);

impl RelayStop {
    /// Makes [`Relay::run`] return; connections are closed.
    pub fn stop(&self) {
        self.0.wake();
    }
}

const STOP: u64 = u64::MAX;
/// Tokens of listeners begin here; below are `2 × slot + side` of connections.
const LISTENERS: u64 = 1 << 40;

impl Relay {
    /// Binds the listeners. `socket` is the path of the supervisor's socket as seen from inside; it is opened anew for each
    /// connection and need not exist yet.
    pub fn bind(socket: &Path, listens: &[Listen], limits: RelayLimits) -> Result<Self, RelayError> {
        Self::bind_with(&Upstream::Socket(socket.to_owned()), listens, limits)
    }

    /// Binds the listeners of a relay that leads to `upstream`, which need not be there yet.
    pub fn bind_with(
        upstream: &Upstream,
        listens: &[Listen],
        limits: RelayLimits,
    ) -> Result<Self, RelayError> {
        let way = Way::new(upstream)?;
        let poller = Poller::new().map_err(RelayError::Loop)?;
        let mut listeners = Vec::with_capacity(listens.len());
        for (number, listen) in (0u64..).zip(listens) {
            let bind = || -> io::Result<OwnedFd> {
                let listener = open(&listen.at)?;
                rustix::io::ioctl_fionbio(&listener, true)?;
                // The standard library asks for a short queue; a burst of connections would wait for retransmissions.
                rustix::net::listen(&listener, 1024)?;
                poller.watch_level(&listener, LISTENERS + number)?;
                Ok(listener)
            };
            let listener = bind().map_err(|source| RelayError::Bind { at: listen.at.clone(), source })?;
            listeners.push((Preamble::of(listen), listener));
        }
        let stop = Waker::new().map_err(RelayError::Loop)?;
        poller.watch_level(&stop, STOP).map_err(RelayError::Loop)?;
        Ok(Self { listeners, way, limits, poller, stop })
    }

    /// The addresses of ports that are bound, in the order they were asked for.
    pub fn addresses(&self) -> Result<Vec<(RouteId, SocketAddr)>, RelayError> {
        let mut ports = Vec::new();
        for (preamble, listener) in &self.listeners {
            let own = rustix::net::getsockname(listener).map_err(|errno| RelayError::Loop(errno.into()))?;
            // The others are sockets at paths.
            if let Ok(address) = SocketAddr::try_from(own) {
                ports.push((preamble.route, address));
            }
        }
        Ok(ports)
    }

    /// A handle that ends the relay from another thread.
    pub fn stopper(&self) -> RelayStop {
        RelayStop(self.stop.clone())
    }

    /// Serves until stopped. Blocks; never starts a thread or a process.
    pub fn run(self) -> Result<(), RelayError> {
        let places = self.limits.connections.min(connections_of(open_files(), 2));
        let limits = RelayLimits { connections: places.max(1), ..self.limits };
        let mut serving = Serving::new(Self { limits, ..self });
        serving.run().map_err(RelayError::Loop)
    }

    /// Serves on a thread of its own with a small stack.
    pub fn spawn(self) -> Result<JoinHandle<Result<(), RelayError>>, RelayError> {
        thread::Builder::new()
            .name("relay".into())
            .stack_size(128 << 10)
            .spawn(|| self.run())
            .map_err(RelayError::Loop)
    }
}

/// A listener, of its owner alone where it has a path.
fn open(at: &Endpoint) -> io::Result<OwnedFd> {
    match at {
        Endpoint::Port(port) => Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, *port))?.into()),
        Endpoint::Socket(path) | Endpoint::Alias(path) => {
            let listener = pinfold_base::socket::listen(path)?;
            fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
            Ok(listener.into())
        }
    }
}

/// The variables that send an agent's traffic to the proxy listener on `port`. Loopback is excepted: the credential routes
/// are there, and agents that speak to a server of their own (their terminal interface) must reach it directly, whatever
/// they call this machine: `host` is its own name, and 0.0.0.0 is what a server says that listens everywhere.
pub fn environment(port: u16, host: &str) -> Vec<(&'static str, String)> {
    let proxy = format!("http://127.0.0.1:{port}");
    let except = format!("127.0.0.1,localhost,::1,0.0.0.0,{host}");
    let mut variables = Vec::with_capacity(6);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
        variables.push((name, proxy.clone()));
    }
    variables.extend(["NO_PROXY", "no_proxy"].map(|name| (name, except.clone())));
    variables
}

/// What runtimes that do not look at [`environment`] by themselves must be told: Node.js (from 22.21 and 24 on; its `fetch` and
/// `https`), and Java, which knows no variables of a proxy.
pub fn runtime_environment(port: u16, host: &str) -> [(&'static str, String); 2] {
    let java = ["http", "https"]
        .map(|scheme| format!("-D{scheme}.proxyHost=127.0.0.1 -D{scheme}.proxyPort={port}"))
        .join(" ");
    [
        ("NODE_USE_ENV_PROXY", "1".into()),
        ("JAVA_TOOL_OPTIONS", format!("{java} -Dhttp.nonProxyHosts=localhost|127.*|[::1]|0.0.0.0|{host}")),
    ]
}

/// Raises the soft limit of open files to the hard one and says what it is now. A thousand tunnels take two thousand
/// descriptors, and the usual soft limit is 1024; to be called before [`Relay::run`] or `Proxy::bind`, which lower their
/// connections to what the limit allows.
pub fn raise_open_files() -> io::Result<usize> {
    let resource = rustix::process::Resource::Nofile;
    let limit = rustix::process::getrlimit(resource);
    rustix::process::setrlimit(resource, rustix::process::Rlimit { current: limit.maximum, ..limit })?;
    Ok(open_files())
}

/// How many connections of a proxy the soft limit of open files has room for, as it is now: two files for each.
pub fn connections_within_limit() -> usize {
    connections_of(open_files(), 2)
}

/// The soft limit of open files, as it is now.
pub(crate) fn open_files() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// How many connections of `each` descriptors fit, with some kept for other uses.
pub(crate) fn connections_of(open_files: usize, each: usize) -> usize {
    open_files.saturating_sub(32) / each
}

#[cfg(test)]
mod tests;
