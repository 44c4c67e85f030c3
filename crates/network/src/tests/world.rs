//! A small world: servers with names, a certificate authority, a proxy, and a relay in front of it.

use std::collections::BTreeMap;
use std::io;
use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use rcgen::CertificateParams;
use rcgen::Issuer;
use rcgen::KeyPair;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::ServerConnection;
use rustls::StreamOwned;
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::ServerName;

use crate::AllowList;
use crate::Credential;
use crate::Dialer;
use crate::Endpoint;
use crate::JournalConfig;
use crate::Listen;
use crate::LoopbackForTests;
use crate::Proxy;
use crate::ProxyConfig;
use crate::ProxyHandle;
use crate::ProxyLimits;
use crate::Relay;
use crate::RelayError;
use crate::RelayLimits;
use crate::RelayStop;
use crate::Resolve;
use crate::RouteId;
use crate::RouteSpec;
use crate::Surroundings;
use crate::Trust;

/// The key no test may find where it does not belong.
pub(crate) const CANARY: &str = "sk-canary-7f3a9c51d2e8";
pub(crate) const PLACEHOLDER: &str = "placeholder-key";

const PATIENCE: Duration = Duration::from_secs(20);

/// Names and their addresses, and how often anybody asked.
#[derive(Debug, Default)]
pub(crate) struct Names {
    addresses: Mutex<BTreeMap<String, Vec<IpAddr>>>,
    pub(crate) questions: AtomicUsize,
}

impl Names {
    pub(crate) fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
        self.addresses.lock().unwrap().insert(name.into(), addresses);
    }

    pub(crate) fn asked(&self) -> usize {
        self.questions.load(Ordering::SeqCst)
    }
}

impl Resolve for Names {
    fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        self.addresses.lock().unwrap().get(name).cloned().ok_or(io::ErrorKind::NotFound.into())
    }
}

/// A certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) certificate: CertificateDer<'static>,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    pub(crate) fn pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }

    /// A certificate for a key.
    pub(crate) fn sign(&self, params: &CertificateParams, key: &KeyPair) -> CertificateDer<'static> {
        params.clone().signed_by(key, &self.issuer).unwrap().der().clone()
    }

    pub(crate) fn server_config(&self, name: &str, provider: CryptoProvider) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &self.issuer).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
        Arc::new(config)
    }

    pub(crate) fn client(&self, name: &'static str) -> ClientConnection {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        ClientConnection::new(Arc::new(config), ServerName::try_from(name).unwrap()).unwrap()
    }
}

/// A block of PEM (RFC 7468).
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in der.chunks(3) {
        let group =
            three.iter().fold(0u32, |group, byte| group << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = usize::try_from(group >> (18 - 6 * place) & 63).unwrap();
            text.push(if place <= three.len() { char::from(DIGITS[digit]) } else { '=' });
        }
    }
    format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
}

/// A connection, plain or not.
pub(crate) trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A server on loopback that keeps what each connection sent.
pub(crate) struct Server {
    pub(crate) port: u16,
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// `handle` is called with each connection, and with a place to note what it heard.
    pub(crate) fn raw(
        tls: Option<(&Authority, &str)>,
        handle: impl Fn(&mut dyn Stream, &mut Vec<u8>) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let connections: Arc<AtomicUsize> = Arc::default();
        let config = tls.map(|(authority, name)| authority.server_config(name, default_provider()));
        let (notes, count, handle) = (Arc::clone(&heard), Arc::clone(&connections), Arc::new(handle));
        // Ends with the process; each test has servers of its own.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                count.fetch_add(1, Ordering::SeqCst);
                let (config, notes, handle) = (config.clone(), Arc::clone(&notes), Arc::clone(&handle));
                std::thread::spawn(move || {
                    let mut bytes = Vec::new();
                    match config {
                        None => handle(&mut { stream }, &mut bytes),
                        Some(config) => {
                            let connection = ServerConnection::new(config).unwrap();
                            let mut stream = StreamOwned::new(connection, stream);
                            handle(&mut stream, &mut bytes);
                            stream.conn.send_close_notify();
                            let _ = stream.flush();
                        }
                    }
                    notes.lock().unwrap().push(bytes);
                });
            }
        });
        Self { port, heard, connections }
    }

    /// Answers each request with `answer`, after reading its head and counted or chunked body.
    pub(crate) fn http(tls: Option<(&Authority, &str)>, answer: &'static str) -> Self {
        Self::raw(tls, move |stream, heard| {
            if read_request(stream, heard) {
                let _ = stream.write_all(answer.as_bytes());
                let _ = stream.flush();
            }
        })
    }

    /// Sends back what it gets.
    pub(crate) fn echo(tls: Option<(&Authority, &str)>) -> Self {
        Self::raw(tls, |stream, heard| {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                heard.extend_from_slice(&buffer[..count]);
                if stream.write_all(&buffer[..count]).and_then(|()| stream.flush()).is_err() {
                    break;
                }
            }
        })
    }

    /// Connections so far.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// What connection `number` sent, once it has ended.
    pub(crate) fn heard(&self, number: usize) -> String {
        for _ in 0..2000 {
            if let Some(bytes) = self.heard.lock().unwrap().get(number) {
                return String::from_utf8_lossy(bytes).into_owned();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("connection {number} did not end");
    }
}

/// Reads one request; false when it was cut short.
pub(crate) fn read_request(stream: &mut dyn Stream, heard: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(heard).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            let whole = if head.contains("transfer-encoding: chunked") {
                body.ends_with("0\r\n\r\n")
            } else {
                body.len() >= length.unwrap_or(0)
            };
            if whole {
                return true;
            }
        }
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => heard.extend_from_slice(&buffer[..count]),
            _ => return false,
        }
    }
}

/// Proxy and relay.
pub(crate) struct World {
    pub(crate) names: Arc<Names>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) proxy: Option<ProxyHandle>,
    pub(crate) journal: PathBuf,
    addresses: Vec<SocketAddr>,
    relay: Option<(RelayStop, JoinHandle<Result<(), RelayError>>)>,
    dir: tempfile::TempDir,
}

/// What a world is made from.
pub(crate) struct Plan {
    pub(crate) authority: Arc<Authority>,
    pub(crate) rules: Vec<String>,
    pub(crate) routes: Vec<(RouteSpec, Credential)>,
    pub(crate) limits: ProxyLimits,
    pub(crate) journal_max: u64,
    /// Whether upstream servers on loopback may be reached.
    pub(crate) loopback: bool,
}

impl Plan {
    pub(crate) fn new(rules: &[&str]) -> Self {
        Self {
            authority: Arc::new(Authority::new()),
            rules: rules.iter().map(|&rule| rule.to_owned()).collect(),
            routes: Vec::new(),
            limits: ProxyLimits { answer: PATIENCE, ..ProxyLimits::default() },
            journal_max: 1 << 20,
            loopback: true,
        }
    }

    /// Adds `name:port` to the list.
    pub(crate) fn rule(mut self, name: &str, server: &Server) -> Self {
        self.rules.push(format!("{name}:{}", server.port));
        self
    }

    pub(crate) fn build(self) -> World {
        let dir = tempfile::tempdir().unwrap();
        let names = Arc::new(Names::default());
        let mut dialer =
            Dialer::new(Arc::clone(&names) as Arc<dyn Resolve>).with_timeout(Duration::from_millis(500));
        if self.loopback {
            dialer = dialer.with_loopback(LoopbackForTests);
        }
        let journal = dir.path().join("network.jsonl");
        let socket = dir.path().join("egress.sock");
        let listens: Vec<Listen> = std::iter::once(RouteId::PROXY)
            .chain(self.routes.iter().map(|(spec, _)| spec.id))
            .map(|route| Listen { route, at: Endpoint::Port(0) })
            .chain(self.routes.iter().flat_map(|(spec, _)| {
                let at = |name: &str| dir.path().join(format!("{name}{}.sock", spec.id.0));
                [Endpoint::Socket(at("model")), Endpoint::Alias(at("alias"))]
                    .map(|at| Listen { route: spec.id, at })
            }))
            .collect();
        let config = ProxyConfig {
            allow: AllowList::parse(self.rules.iter().map(String::as_str)).unwrap(),
            routes: self.routes,
            journal: Some(JournalConfig { path: journal.clone(), size_max: self.journal_max }),
            limits: self.limits,
            dialer,
            trust: Trust::Only(vec![self.authority.certificate.clone()]),
        };
        let proxy = Proxy::bind(&socket, config).unwrap().spawn().unwrap();
        let relay = Relay::bind(&socket, &listens, RelayLimits::default()).unwrap();
        let addresses = relay.addresses().unwrap().into_iter().map(|(_, address)| address).collect();
        let stop = relay.stopper();
        World {
            names,
            authority: self.authority,
            proxy: Some(proxy),
            journal,
            addresses,
            relay: Some((stop, relay.spawn().unwrap())),
            dir,
        }
    }
}

impl World {
    /// A connection to the proxy (0) or to a credential route, as an agent makes it.
    pub(crate) fn connect(&self, listener: usize) -> TcpStream {
        let stream = TcpStream::connect(self.addresses[listener]).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The same at a socket by its name: `model` or `alias`, and the number of the route.
    pub(crate) fn say_at(&self, name: &str, bytes: &[u8]) -> String {
        let mut stream = UnixStream::connect(self.dir.path().join(format!("{name}.sock"))).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    /// Sends bytes and reads all that comes back.
    pub(crate) fn say(&self, listener: usize, bytes: &[u8]) -> String {
        let mut stream = self.connect(listener);
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        // A reset ends the answer as well.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Opens a tunnel: the stream when it was opened, else the answer.
    pub(crate) fn tunnel(&self, target: &str) -> Result<TcpStream, String> {
        let mut stream = self.connect(0);
        write!(stream, "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n").unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if stream.read(&mut byte).unwrap_or(0) == 0 {
                break;
            }
            head.push(byte[0]);
        }
        if head.starts_with(b"HTTP/1.1 200 ") {
            return Ok(stream);
        }
        let _ = stream.read_to_end(&mut head);
        Err(String::from_utf8_lossy(&head).into_owned())
    }

    /// The lines of the journal.
    pub(crate) fn journal(&self) -> Vec<serde_json::Value> {
        let text = fs_err::read_to_string(&self.journal).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The journal's line about the end of a tunnel, which the proxy may write after both ends have seen it.
    pub(crate) fn closed(&self) -> serde_json::Value {
        for _ in 0..2000 {
            if let Some(line) = self.journal().into_iter().find(|line| line["event"] == "closed") {
                return line;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the end of the tunnel was not recorded");
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.relay.take() {
            stop.stop();
            thread.join().unwrap().unwrap();
        }
    }
}

/// A route to `upstream` whose key is in a file.
pub(crate) fn route(id: u8, upstream: &str) -> RouteSpec {
    serde_json::from_value(serde_json::json!({
        "id": id, "name": "claude-code", "listen-port": 3129, "upstream": upstream, "header": "x-api-key",
        "placeholder": PLACEHOLDER, "paths": ["/v1/messages"],
        "request": { "query": ["beta=true"] },
    }))
    .unwrap()
}

/// A program that prints the canary.
pub(crate) fn canary() -> Credential {
    command(&["printf", CANARY])
}

/// What a program of the system prints.
pub(crate) fn command(words: &[&str]) -> Credential {
    let around = Surroundings { path: "/usr/bin:/bin".into(), ..Surroundings::default() };
    Credential::command(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>(), &around).unwrap()
}
