//! The relay: the only listener inside the sandbox. It takes connections on loopback ports or Unix sockets and passes each to
//! the one Unix socket that leads to the supervisor, with two bytes in front that say where it came in.
//!
//! ```text
//!   agent ── TCP 127.0.0.1:3128 ──┐            ┌─ form:  0x01, or 0x02 at an alias: the host must be named
//!   agent ── TCP 127.0.0.1:3129 ──┼─ relay ──► │  route: 0x00 the proxy, 0x01…0xff a credential route
//!   agent ── /run/…/NAME.sock   ──┘            └─ then the bytes of the connection, both ways
//! ```
//!
//! **The preamble is not a wall.** A program in the sandbox that can open the Unix socket can name any route; it gains
//! nothing that the listeners would not give it. All decisions are made at the other end ([`crate::serve`]).
//!
//! **Guarantees**: one thread, no allocation per byte, memory bounded by the number of connections; when the supervisor is
//! gone a client gets an HTTP 502 that says so, and no byte leaves. When all places are taken, the connection that has
//! waited longest without an answer makes room for the new one.

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
use std::time::Instant;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::net::SendFlags;
use rustix::net::SocketAddrUnix;
use rustix::net::SocketFlags;
use rustix::net::SocketType;
use serde::Deserialize;
use serde::Serialize;

use crate::events::poll::Poller;
use crate::events::poll::Ready;
use crate::events::poll::Slots;
use crate::events::poll::Waker;
use crate::events::pump::Pair;
use crate::events::pump::Progress;
use crate::events::pump::Scratch;

/// First byte of the preamble where the route alone says where a request goes; the other end refuses any value but this and the next.
const BY_ROUTE: u8 = 1;
/// The same where the request must name the route's host too.
const BY_HOST: u8 = 2;

/// Where a connection is to go, the second byte of the preamble.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RouteId(pub u8);

impl RouteId {
    /// The allow-listed proxy.
    pub const PROXY: Self = Self(0);
}

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

/// What stands before a connection's own bytes: where it came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preamble {
    /// The proxy or a credential route.
    pub route: RouteId,
    /// What the request has to say itself.
    pub host: HostNaming,
}

/// Whether a request at a route has to name the provider's host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostNaming {
    /// It says the listener's own address, or anything.
    Free,
    /// It names the host.
    Required,
}

impl Preamble {
    fn of(listen: &Listen) -> Self {
        let host = match listen.at {
            Endpoint::Port(_) | Endpoint::Socket(_) => HostNaming::Free,
            Endpoint::Alias(_) => HostNaming::Required,
        };
        Self { route: listen.route, host }
    }

    /// As it is sent.
    pub const fn encode(self) -> [u8; 2] {
        let form = match self.host {
            HostNaming::Free => BY_ROUTE,
            HostNaming::Required => BY_HOST,
        };
        [form, self.route.0]
    }

    /// Reads one; `None` where it has another form.
    pub const fn decode([form, route]: [u8; 2]) -> Option<Self> {
        let host = match form {
            BY_ROUTE => HostNaming::Free,
            BY_HOST => HostNaming::Required,
            _ => return None,
        };
        Some(Self { route: RouteId(route), host })
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
    /// The event loop could not be set up or failed.
    #[error("the relay's event loop failed")]
    Loop(#[source] io::Error),
}

impl Diagnose for RelayError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Bind { .. } | Self::Loop(_) => Kind::System,
            Self::SocketPath { .. } => Kind::Usage,
        })
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Bind { at: Endpoint::Port(_), .. } => {
                Some("choose another port for the proxy or the route".into())
            }
            Self::SocketPath { .. } => Some("set `PINFOLD_HOME` to a folder with a shorter path".into()),
            Self::Bind { .. } | Self::Loop(_) => None,
        }
    }
}

/// A relay whose listeners are bound and which does not run yet, so that they can be had before privileges are dropped
/// and served after.
#[derive(Debug)]
pub struct Relay {
    listeners: Vec<(Preamble, OwnedFd)>,
    socket: SocketAddrUnix,
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
/// How long a connection may wait for room in the supervisor's queue.
const QUEUE: Duration = Duration::from_secs(5);
/// How often deadlines are looked at.
const TICK: Duration = Duration::from_secs(1);
/// How often a connection that waits for room is tried again.
const RETRY: Duration = Duration::from_millis(10);
/// A connection that had an answer and was silent for so long may be closed to make room.
const STALE: Duration = Duration::from_secs(60);

/// Refused clients kept for a moment; older ones are closed at once.
const PARTING: usize = 128;

const GONE: &[u8] = b"HTTP/1.1 502 Bad Gateway\r\n\
    Content-Type: text/plain\r\nConnection: close\r\nContent-Length: 72\r\n\r\n\
    pinfold: the supervisor's proxy is gone, so nothing leaves this sandbox\n";

impl Relay {
    /// Binds the listeners. `socket` is the path of the supervisor's socket as seen from inside; it is opened anew for each
    /// connection and need not exist yet.
    pub fn bind(socket: &Path, listens: &[Listen], limits: RelayLimits) -> Result<Self, RelayError> {
        let address =
            SocketAddrUnix::new(socket).map_err(|_| RelayError::SocketPath { path: socket.to_owned() })?;
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
        Ok(Self { listeners, socket: address, limits, poller, stop })
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
        let Self { listeners, socket, limits, poller, stop } = self;
        let mut serving = Serving {
            listeners,
            socket,
            limits: RelayLimits { connections: places.max(1), ..limits },
            poller,
            stop,
            pairs: Slots::new(),
            queue: Vec::new(),
            parting: Vec::new(),
            scratch: Scratch::new(),
            runnable: Vec::new(),
        };
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

/// The soft limit of open files, as it is now.
pub(crate) fn open_files() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// How many connections of `each` descriptors fit, with some kept for other uses.
pub(crate) fn connections_of(open_files: usize, each: usize) -> usize {
    open_files.saturating_sub(32) / each
}

/// A client that waits for room in the supervisor's queue.
#[derive(Debug)]
struct Waiting {
    client: OwnedFd,
    preamble: Preamble,
    until: Instant,
}

#[derive(Debug)]
struct Serving {
    listeners: Vec<(Preamble, OwnedFd)>,
    socket: SocketAddrUnix,
    limits: RelayLimits,
    poller: Poller,
    stop: Waker,
    pairs: Slots<Pair>,
    queue: Vec<Waiting>,
    /// Refused clients and when to close them, oldest first.
    parting: Vec<(OwnedFd, Instant)>,
    scratch: Scratch,
    runnable: Vec<usize>,
}

impl Serving {
    fn run(&mut self) -> io::Result<()> {
        let mut ready = Vec::new();
        let mut next_tick = Instant::now() + TICK;
        loop {
            let timeout = if !self.runnable.is_empty() {
                Some(Duration::ZERO)
            } else if !self.queue.is_empty() {
                Some(RETRY)
            } else if self.pairs.len() > 0 || !self.parting.is_empty() {
                Some(TICK)
            } else {
                // Idle: no wake-ups at all.
                None
            };
            ready.clear();
            self.poller.wait(timeout, &mut ready)?;
            let now = Instant::now();
            for event in &ready {
                match event.token {
                    STOP => {
                        self.stop.clear();
                        return Ok(());
                    }
                    token if token >= LISTENERS => self.accept((token - LISTENERS) as usize, now),
                    _ => self.note(*event),
                }
            }
            for slot in std::mem::take(&mut self.runnable) {
                self.drive(slot, now);
            }
            for waiting in std::mem::take(&mut self.queue) {
                self.connect(waiting, now);
            }
            if now >= next_tick {
                next_tick = now + TICK;
                self.close_overdue(now);
            }
        }
    }

    fn note(&mut self, event: Ready) {
        let slot = (event.token / 2) as usize;
        if let Some(pair) = self.pairs.get_mut(slot) {
            pair.ready((event.token % 2) as usize, event.readable, event.writable);
            self.runnable.push(slot);
        }
    }

    fn drive(&mut self, slot: usize, now: Instant) {
        let Some(pair) = self.pairs.get_mut(slot) else { return };
        match pair.drive(&mut self.scratch, now) {
            Progress::Waiting => {}
            Progress::Again => self.runnable.push(slot),
            Progress::Finished => self.close(slot),
        }
    }

    fn close(&mut self, slot: usize) {
        if let Some(mut pair) = self.pairs.remove(slot) {
            pair.release(&mut self.scratch);
        }
    }

    fn accept(&mut self, number: usize, now: Instant) {
        let Some((preamble, listener)) = self.listeners.get(number) else { return };
        let preamble = *preamble;
        // One at a time: the listener is level-triggered, so what is left comes with the next wait, after other work.
        match rustix::net::accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
            Ok(client) => {
                // Small writes of the agent are to leave at once; a failure only costs latency, and a Unix socket does so anyway.
                let _ = rustix::net::sockopt::set_tcp_nodelay(&client, true);
                if self.pairs.len() + self.queue.len() >= self.limits.connections && !self.make_room(now) {
                    return;
                }
                self.connect(Waiting { client, preamble, until: now + QUEUE }, now);
            }
            Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => {
                // Without room for one more the listener would be ready for ever: give one up, or pause.
                if !self.make_room(now) {
                    thread::sleep(RETRY);
                }
            }
            Err(_) => {}
        }
    }

    /// Closes the connection that has waited longest without an answer, or one that is long silent.
    fn make_room(&mut self, now: Instant) -> bool {
        let unanswered = self.pairs.iter().filter(|(_, pair)| pair.bytes()[1] == 0);
        let stale = |pair: &Pair| now.saturating_duration_since(pair.moved()) >= STALE;
        let oldest = unanswered
            .min_by_key(|(_, pair)| pair.moved())
            .or_else(|| {
                self.pairs.iter().filter(|(_, pair)| stale(pair)).min_by_key(|(_, pair)| pair.moved())
            })
            .map(|(slot, _)| slot);
        match oldest {
            Some(slot) => {
                self.close(slot);
                true
            }
            None => false,
        }
    }

    fn connect(&mut self, waiting: Waiting, now: Instant) {
        match self.open() {
            Ok(upstream) => {
                // A new socket has room for two bytes; if they do not fit, the peer is gone.
                let preamble = waiting.preamble.encode();
                if rustix::net::send(&upstream, &preamble, SendFlags::NOSIGNAL) == Ok(2) {
                    self.join(waiting.client, upstream, now);
                } else {
                    self.refuse(waiting.client, now);
                }
            }
            Err(Errno::AGAIN) if now < waiting.until => self.queue.push(waiting),
            Err(_) => self.refuse(waiting.client, now),
        }
    }

    /// The client is told, and kept for a moment: closing a socket at once, with bytes unread, would reset it, and the
    /// answer might be lost.
    fn refuse(&mut self, client: OwnedFd, now: Instant) {
        if tell(&client) {
            if self.parting.len() >= PARTING {
                self.parting.remove(0);
            }
            self.parting.push((client, now + TICK));
        }
    }

    fn open(&self) -> Result<OwnedFd, Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let upstream = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        rustix::net::connect(&upstream, &self.socket)?;
        Ok(upstream)
    }

    fn join(&mut self, client: OwnedFd, upstream: OwnedFd, now: Instant) {
        let slot = self.pairs.next() as u64;
        let watched =
            self.poller.watch(&client, 2 * slot).and_then(|()| self.poller.watch(&upstream, 2 * slot + 1));
        if watched.is_ok() {
            let slot = self.pairs.insert(Pair::new([client, upstream], Default::default(), [0; 2], now));
            self.runnable.push(slot);
        }
    }

    fn close_overdue(&mut self, now: Instant) {
        self.parting.retain(|(_, at)| *at > now);
        let overdue: Vec<usize> = self
            .pairs
            .iter()
            .filter(|(_, pair)| {
                now.saturating_duration_since(pair.moved()) >= self.limits.idle
                    || pair.leave_at().is_some_and(|at| at <= now)
            })
            .map(|(slot, _)| slot)
            .collect();
        for slot in overdue {
            self.close(slot);
        }
    }
}

/// Tells a client that there is no way out. False when it is gone already.
fn tell(client: &OwnedFd) -> bool {
    rustix::net::send(client, GONE, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).is_ok()
        && rustix::net::shutdown(client, rustix::net::Shutdown::Write).is_ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::io::Write;
    use std::net::Shutdown;
    use std::net::TcpStream;
    use std::os::unix::net::UnixListener;
    use std::os::unix::net::UnixStream;

    use super::*;

    struct Running {
        address: Vec<SocketAddr>,
        stop: RelayStop,
        thread: Option<JoinHandle<Result<(), RelayError>>>,
    }

    impl Running {
        fn new(socket: &Path, routes: &[u8], limits: RelayLimits) -> Self {
            let listens: Vec<Listen> =
                routes.iter().map(|&route| Listen { route: RouteId(route), at: Endpoint::Port(0) }).collect();
            let relay = Relay::bind(socket, &listens, limits).unwrap();
            let address = relay.addresses().unwrap().into_iter().map(|(_, address)| address).collect();
            let stop = relay.stopper();
            Self { address, stop, thread: Some(relay.spawn().unwrap()) }
        }

        fn connect(&self, listener: usize) -> TcpStream {
            let stream = TcpStream::connect(self.address[listener]).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            stream
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            self.stop.stop();
            self.thread.take().unwrap().join().unwrap().unwrap();
        }
    }

    fn accept(listener: &UnixListener) -> (UnixStream, [u8; 2]) {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut preamble = [0; 2];
        stream.read_exact(&mut preamble).unwrap();
        (stream, preamble)
    }

    #[test]
    fn each_listener_announces_its_route_and_bytes_pass_both_ways() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("egress.sock");
        let supervisor = UnixListener::bind(&path).unwrap();
        let relay = Running::new(&path, &[0, 3], RelayLimits::default());
        for (listener, route) in [(0, 0), (1, 3)] {
            let mut client = relay.connect(listener);
            let (mut stream, preamble) = accept(&supervisor);
            assert_eq!(preamble, [1, route]);
            client.write_all(b"question").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            assert_eq!(text, "question");
            stream.write_all(b"answer").unwrap();
            drop(stream);
            text.clear();
            client.read_to_string(&mut text).unwrap();
            assert_eq!(text, "answer");
        }
    }

    #[test]
    fn sockets_are_their_owners_alone_and_say_which_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("egress.sock");
        let supervisor = UnixListener::bind(&path).unwrap();
        let at = |name: &str| dir.path().join(name);
        let listens = [
            Listen { route: RouteId(4), at: Endpoint::Socket(at("model.sock")) },
            Listen { route: RouteId(4), at: Endpoint::Alias(at("alias.sock")) },
        ];
        let relay = Relay::bind(&path, &listens, RelayLimits::default()).unwrap();
        assert_eq!(relay.addresses().unwrap(), [], "a path is no port");
        let stop = relay.stopper();
        let _running = Running { address: Vec::new(), stop, thread: Some(relay.spawn().unwrap()) };
        for (name, expected) in [("model.sock", [1, 4]), ("alias.sock", [2, 4])] {
            let mode = fs_err::metadata(at(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
            let mut client = UnixStream::connect(at(name)).unwrap();
            let (mut stream, preamble) = accept(&supervisor);
            assert_eq!(preamble, expected, "{name}");
            client.write_all(b"question").unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            assert_eq!(text, "question");
        }
    }

    #[test]
    fn a_preamble_of_another_form_is_none() {
        for host in [HostNaming::Free, HostNaming::Required] {
            let preamble = Preamble { route: RouteId(9), host };
            assert_eq!(Preamble::decode(preamble.encode()), Some(preamble));
        }
        assert_eq!(Preamble::decode([0, 9]), None);
        assert_eq!(Preamble::decode([3, 9]), None);
    }

    #[test]
    fn without_a_supervisor_a_client_is_told_so_and_nothing_leaves() {
        let dir = tempfile::tempdir().unwrap();
        let relay = Running::new(&dir.path().join("nobody"), &[0], RelayLimits::default());
        let mut client = relay.connect(0);
        client.write_all(b"CONNECT example.com:443 HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())));
    }

    #[test]
    fn a_supervisor_that_dies_ends_its_connections_and_a_new_one_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("egress.sock");
        let supervisor = UnixListener::bind(&path).unwrap();
        let relay = Running::new(&path, &[0], RelayLimits::default());
        let mut client = relay.connect(0);
        drop(accept(&supervisor));
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
        drop(supervisor);
        let mut refused = relay.connect(0);
        let mut answer = String::new();
        refused.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("502"));
        fs_err::remove_file(&path).unwrap();
        let supervisor = UnixListener::bind(&path).unwrap();
        let _client = relay.connect(0);
        assert_eq!(accept(&supervisor).1, [1, 0]);
    }

    #[test]
    fn a_full_relay_gives_up_who_waited_longest_without_an_answer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("egress.sock");
        let supervisor = UnixListener::bind(&path).unwrap();
        let limits = RelayLimits { connections: 3, ..RelayLimits::default() };
        let relay = Running::new(&path, &[0], limits);
        let mut answered = relay.connect(0);
        let (mut stream, _) = accept(&supervisor);
        stream.write_all(b"x").unwrap();
        answered.read_exact(&mut [0]).unwrap();
        let mut silent: Vec<(TcpStream, UnixStream)> = Vec::new();
        for _ in 0..20 {
            let client = relay.connect(0);
            silent.push((client, accept(&supervisor).0));
        }
        // The newest two and the one that was answered are still served.
        let (mut last, mut last_stream) = silent.pop().unwrap();
        last_stream.write_all(b"y").unwrap();
        last.read_exact(&mut [0]).unwrap();
        stream.write_all(b"z").unwrap();
        answered.read_exact(&mut [0]).unwrap();
        let (mut first, _) = silent.swap_remove(0);
        assert!(first.read(&mut [0]).map_or(true, |count| count == 0));
    }

    #[test]
    fn the_limit_of_open_files_bounds_connections() {
        let raised = raise_open_files().unwrap();
        assert_eq!(raised, open_files());
        assert_eq!(connections_of(1024, 2), 496);
        assert_eq!(connections_of(10, 2), 0);
    }

    #[test]
    fn agents_are_sent_to_the_proxy_but_for_loopback() {
        let variables = environment(3128, "here");
        assert!(variables.contains(&("HTTPS_PROXY", "http://127.0.0.1:3128".into())));
        assert!(variables.contains(&("no_proxy", "127.0.0.1,localhost,::1,0.0.0.0,here".into())));
    }

    #[test]
    fn a_taken_port_and_a_long_path_are_errors() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let listen = [Listen { route: RouteId::PROXY, at: Endpoint::Port(port) }];
        let error = Relay::bind(Path::new("/s"), &listen, RelayLimits::default()).unwrap_err();
        assert!(matches!(error, RelayError::Bind { at, .. } if at == Endpoint::Port(port)));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        fs_err::write(&path, "").unwrap();
        let listen = [Listen { route: RouteId(1), at: Endpoint::Socket(path.clone()) }];
        let error = Relay::bind(Path::new("/s"), &listen, RelayLimits::default()).unwrap_err();
        assert_eq!(error.to_string(), format!("cannot listen on `{}` inside the sandbox", path.display()));
        let long = PathBuf::from("/x".repeat(60));
        assert!(matches!(
            Relay::bind(&long, &[], RelayLimits::default()),
            Err(RelayError::SocketPath { .. })
        ));
    }
}
