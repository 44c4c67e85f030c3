//! The proxy for many sandboxes as each of them sees it: relay, TLS, token, proxy, server, all on loopback.

use std::collections::BTreeMap;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use rcgen::CertificateParams;
use rcgen::KeyPair;
use rustls::ClientConnection;
use rustls::StreamOwned;

use super::world::Authority;
use super::world::CANARY;
use super::world::Names;
use super::world::Server;
use super::world::pem;
use super::world::route;
use crate::AllowList;
use crate::Dialer;
use crate::Endpoint;
use crate::Figures;
use crate::Identities;
use crate::Identity;
use crate::InForce;
use crate::JournalConfig;
use crate::JournalTo;
use crate::Listen;
use crate::LoopbackForTests;
use crate::PolicySpec;
use crate::ProveError;
use crate::Proxy;
use crate::ProxyHandle;
use crate::ProxyLimits;
use crate::Relay;
use crate::RelayError;
use crate::RelayLimits;
use crate::RelayStop;
use crate::Resolve;
use crate::RouteId;
use crate::Secret;
use crate::ServerTls;
use crate::ServiceConfig;
use crate::Token;
use crate::Trust;
use crate::Upstream;
use crate::tls::ClientTls;
use crate::wire::preamble::HostNaming;
use crate::wire::preamble::Preamble;
use crate::wire::preamble::Proven;

const NAME: &str = "pinfold-proxy";
const PATIENCE: Duration = Duration::from_secs(20);

/// A proxy for many, its authority, and what it believes.
struct Service {
    authority: Arc<Authority>,
    names: Arc<Names>,
    address: SocketAddr,
    handle: Option<ProxyHandle>,
    dir: tempfile::TempDir,
}

/// Certificate and key for the proxy.
fn server_tls(authority: &Authority) -> ServerTls {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    let certificate = authority.sign(&params, &key);
    let key = pem("PRIVATE KEY", &key.serialize_der());
    ServerTls::from_pem(pem("CERTIFICATE", &certificate).as_bytes(), key.as_bytes()).unwrap()
}

impl Service {
    fn new(in_force: InForce, limits: ProxyLimits) -> Self {
        Self::with(Arc::new(Authority::new()), in_force, limits, 2)
    }

    fn with(authority: Arc<Authority>, in_force: InForce, limits: ProxyLimits, loops: usize) -> Self {
        let names = Arc::new(Names::default());
        let dir = tempfile::tempdir().unwrap();
        let dialer = Dialer::new(Arc::clone(&names) as Arc<dyn Resolve>)
            .with_timeout(Duration::from_millis(500))
            .with_loopback(LoopbackForTests);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let path = dir.path().join("journal.jsonl");
        let config = ServiceConfig {
            in_force,
            tls: server_tls(&authority),
            journal: JournalTo::File(JournalConfig { path, size_max: 1 << 20 }),
            limits,
            dialer,
            trust: Trust::Only(vec![authority.certificate.clone()]),
            loops,
        };
        let handle = Proxy::service(listener, config).unwrap().spawn().unwrap();
        Self { authority, names, address, handle: Some(handle), dir }
    }

    fn handle(&self) -> &ProxyHandle {
        self.handle.as_ref().unwrap()
    }

    fn figures(&self) -> Figures {
        self.handle().figures()
    }

    fn journal(&self) -> String {
        fs_err::read_to_string(self.dir.path().join("journal.jsonl")).unwrap()
    }

    /// TLS to the proxy, without a relay and with nothing said yet.
    fn tls(&self) -> StreamOwned<ClientConnection, TcpStream> {
        let tls = ClientTls::new(self.authority.pem().as_bytes(), NAME).unwrap();
        let connection = ClientConnection::new(tls.config, tls.name).unwrap();
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        StreamOwned::new(connection, socket)
    }

    /// The same with a token shown at route `route`, and bytes said; all that comes back.
    fn say(&self, token: &Token, route: u8, bytes: &[u8]) -> String {
        let mut stream = self.tls();
        let preamble = Preamble { route: RouteId(route), host: HostNaming::Free };
        stream.write_all(&Proven { preamble, token: token.clone() }.encode()).unwrap();
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        // A reset ends the answer as well.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn relay(&self, token: &Token) -> Inside {
        Inside::new(&self.authority, vec![self.address], token)
    }

    /// Waits until figures are as wanted.
    fn until(&self, what: &str, wanted: impl Fn(&Figures) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !wanted(&self.figures()) {
            assert!(Instant::now() < deadline, "{what}: {:?}", self.figures());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A relay as in a pod.
struct Inside {
    addresses: Vec<SocketAddr>,
    relay: Option<(RelayStop, JoinHandle<Result<(), RelayError>>)>,
}

impl Inside {
    fn new(authority: &Authority, addresses: Vec<SocketAddr>, token: &Token) -> Self {
        let ca = authority.pem().into_bytes();
        let upstream = Upstream::Tls { addresses, name: NAME.into(), ca, token: token.clone() };
        let listens = [0, 1].map(|route| Listen { route: RouteId(route), at: Endpoint::Port(0) });
        let relay = Relay::bind_with(&upstream, &listens, RelayLimits::default()).unwrap();
        let addresses = relay.addresses().unwrap().into_iter().map(|(_, address)| address).collect();
        let stop = relay.stopper();
        Self { addresses, relay: Some((stop, relay.spawn().unwrap())) }
    }

    fn connect(&self, route: usize) -> TcpStream {
        let stream = TcpStream::connect(self.addresses[route]).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    fn say(&self, route: usize, bytes: &[u8]) -> String {
        let mut stream = self.connect(route);
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// A tunnel, or the answer.
    fn tunnel(&self, target: &str) -> Result<TcpStream, String> {
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
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some((stop, thread)) = self.relay.take() {
            stop.stop();
            thread.join().unwrap().unwrap();
        }
    }
}

/// Sandboxes `a` and `b`, each with a policy of its own: raw tunnels to its own server.
struct Two {
    a: Token,
    b: Token,
    servers: [Server; 2],
}

impl Two {
    fn new() -> Self {
        let [a, b] = [(); 2].map(|()| Token::generate().unwrap());
        Self { a, b, servers: [Server::echo(None), Server::echo(None)] }
    }

    fn target(&self, which: usize) -> String {
        format!("{}.example:{}", ["a", "b"][which], self.servers[which].port)
    }

    fn in_force(&self) -> InForce {
        let policies = [0, 1].map(|which| {
            let rule = format!("tcp:{}", self.target(which));
            let allow = AllowList::parse([rule.as_str()]).unwrap();
            (["p", "q"][which].to_owned(), PolicySpec { allow, routes: Vec::new() })
        });
        let mut identities = Identities::default();
        for (name, token, policy) in [("a", &self.a, "p"), ("b", &self.b, "q")] {
            identities.add(Identity::new(name, token.hash(), policy, None).unwrap()).unwrap();
        }
        InForce { policies: policies.into(), identities }
    }

    fn service(&self, limits: ProxyLimits) -> Service {
        let service = Service::new(self.in_force(), limits);
        Self::name(&service);
        service
    }

    fn name(service: &Service) {
        service.names.set("a.example", &["127.0.0.1"]);
        service.names.set("b.example", &["127.0.0.1"]);
    }
}

/// Bytes go and come back.
fn echoes(stream: &mut TcpStream) -> bool {
    let mut back = [0; 5];
    stream.write_all(b"hello").is_ok() && stream.read_exact(&mut back).is_ok() && back == *b"hello"
}

#[test]
fn each_token_has_its_own_policy_and_no_other() {
    let two = Two::new();
    let service = two.service(ProxyLimits::default());
    let (a, b) = (service.relay(&two.a), service.relay(&two.b));
    for (inside, own, other) in [(&a, 0, 1), (&b, 1, 0)] {
        let mut tunnel = inside.tunnel(&two.target(own)).unwrap();
        assert!(echoes(&mut tunnel));
        // Another's policy is never applied, whatever is asked for.
        let refusal = inside.tunnel(&two.target(other)).unwrap_err();
        assert!(refusal.contains("403 ") && refusal.contains("no rule allows"), "{refusal}");
    }
    assert_eq!([two.servers[0].connections(), two.servers[1].connections()], [1, 1]);
    let stranger = Token::generate().unwrap();
    let answer = service.relay(&stranger).say(0, b"CONNECT a.example:443 HTTP/1.1\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.ends_with("pinfold: this sandbox is not known to the proxy\n"), "{answer}");
    drop((a, b));
    service.until("tunnels end", |figures| figures.tunnels == 0);
    let journal = service.journal();
    let lines: Vec<serde_json::Value> =
        journal.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for name in ["a", "b"] {
        let own: Vec<_> = lines.iter().filter(|line| line["sandbox"] == name).collect();
        assert!(own.iter().any(|line| line["event"] == "connect" && line["allowed"] == true));
        assert!(own.iter().any(|line| line["event"] == "closed" && line["sent"] == 5));
        assert!(own.iter().any(|line| line["allowed"] == false));
    }
    let unknown: Vec<_> = lines.iter().filter(|line| line["event"] == "unknown").collect();
    assert_eq!((unknown.len(), &unknown[0]["address"]), (1, &serde_json::json!("127.0.0.1")));
    let figures = service.figures();
    assert_eq!((figures.unknown, figures.identities), (1, 2));
    assert_eq!((figures.policies["p"].tunnels.allowed, figures.policies["p"].tunnels.refused), (1, 1));
    assert_eq!((figures.policies["q"].sent, figures.policies["q"].received), (5, 5));
    // No token is told anywhere.
    for token in [&two.a, &two.b, &stranger] {
        let said = format!("{journal} {figures:?} {answer}");
        assert!(!said.contains(&token.hash().to_string()));
        let said = format!("{said} {:?}", service.handle());
        assert!(!said.contains(token.reveal().trim()));
    }
}

#[test]
fn a_token_bound_to_an_address_is_refused_from_elsewhere() {
    let two = Two::new();
    let bound = |address: &str| {
        let mut in_force = two.in_force();
        let address = Some(address.parse().unwrap());
        let mut identities = Identities::default();
        identities.add(Identity::new("a", two.a.hash(), "p", address).unwrap()).unwrap();
        in_force.identities = identities;
        in_force
    };
    let service = Service::new(bound("127.0.0.9"), ProxyLimits::default());
    Two::name(&service);
    let connect = format!("CONNECT {} HTTP/1.1\r\n\r\n", two.target(0));
    assert!(service.say(&two.a, 0, connect.as_bytes()).contains("not known to the proxy"));
    // Negative control: from there it is known.
    service.handle().replace(bound("127.0.0.1")).unwrap();
    assert!(service.relay(&two.a).tunnel(&two.target(0)).is_ok());
}

#[test]
fn a_preamble_may_be_cut_anywhere_and_nothing_comes_of_it() {
    let two = Two::new();
    let limits = ProxyLimits { head: Duration::from_secs(1), ..ProxyLimits::default() };
    let service = two.service(limits);
    let preamble = Preamble { route: RouteId::PROXY, host: HostNaming::Free };
    let whole = Proven { preamble, token: two.a.clone() }.encode();
    let mut open = Vec::new();
    for cut in 0..whole.len() {
        let mut stream = service.tls();
        stream.write_all(&whole[..cut]).unwrap();
        stream.flush().unwrap();
        open.push(stream);
        // The same and gone.
        let mut stream = service.tls();
        stream.write_all(&whole[..cut]).unwrap();
        stream.conn.send_close_notify();
        let _ = stream.flush();
    }
    for stream in &mut open {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty());
    }
    for wrong in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[1, 0], &[3, 9], &[0x16, 3, 1]] {
        let mut stream = service.tls();
        stream.write_all(wrong).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty(), "{wrong:?}");
    }
    service.until("all are gone", |figures| figures.connections == 0);
    // Cut into single bytes it is understood.
    let mut stream = service.tls();
    for byte in whole.iter().chain(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") {
        stream.write_all(&[*byte]).unwrap();
        stream.flush().unwrap();
    }
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert!(answer.contains("this is a proxy"), "{answer}");
}

#[test]
fn what_is_no_tls_or_too_slow_holds_no_place() {
    let two = Two::new();
    let limits = ProxyLimits { shakes: 8, head: Duration::from_secs(2), ..ProxyLimits::default() };
    let service = Service::with(Arc::new(Authority::new()), two.in_force(), limits, 1);
    Two::name(&service);
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0; 600], &[0x16, 3, 1, 0xff, 0xff, 1, 2, 3]] {
        let mut stream = TcpStream::connect(service.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(garbage).unwrap();
        // An alert at most, and the end.
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.len() <= 7, "{answer:?}");
    }
    // Who begins and goes on one byte at a time, forty at once.
    let mut slow: Vec<TcpStream> = (0..40)
        .map(|_| {
            let mut stream = TcpStream::connect(service.address).unwrap();
            stream.write_all(&[0x16, 3, 1]).unwrap();
            stream
        })
        .collect();
    service.until("the oldest give way", |figures| figures.shakes_failed >= 32);
    // In the middle of them who means it is served.
    let inside = service.relay(&two.a);
    assert!(echoes(&mut inside.tunnel(&two.target(0)).unwrap()));
    for stream in &mut slow {
        let _ = stream.write_all(&[0]);
    }
    drop(inside);
    service.until("the deadline ends the rest", |figures| figures.connections == 0);
}

#[test]
fn one_sandbox_cannot_take_anothers_places() {
    let two = Two::new();
    let service = two.service(ProxyLimits { per_sandbox: 4, ..ProxyLimits::default() });
    let (a, b) = (service.relay(&two.a), service.relay(&two.b));
    let tunnels: Vec<TcpStream> = (0..4).map(|_| a.tunnel(&two.target(0)).unwrap()).collect();
    let refusal = a.tunnel(&two.target(0)).unwrap_err();
    assert!(refusal.contains("503 ") && refusal.contains("too many connections"), "{refusal}");
    assert!(b.tunnel(&two.target(1)).is_ok());
    assert_eq!(service.figures().crowded, 1);
    // Negative control: a place that is given back is had again.
    drop(tunnels);
    service.until("they end", |figures| figures.tunnels <= 1);
    assert!(a.tunnel(&two.target(0)).is_ok());
}

#[test]
fn who_is_not_known_any_more_loses_what_is_open() {
    let two = Two::new();
    let service = two.service(ProxyLimits::default());
    let (a, b) = (service.relay(&two.a), service.relay(&two.b));
    let mut of_a = a.tunnel(&two.target(0)).unwrap();
    let mut of_b = b.tunnel(&two.target(1)).unwrap();
    assert!(echoes(&mut of_a) && echoes(&mut of_b));
    let mut in_force = two.in_force();
    in_force.identities = Identities::default();
    in_force.identities.add(Identity::new("b", two.b.hash(), "q", None).unwrap()).unwrap();
    service.handle().replace(in_force.clone()).unwrap();
    // It is cut, not ended.
    assert_eq!(of_a.read(&mut [0; 8]).unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert!(a.tunnel(&two.target(0)).unwrap_err().contains("not known to the proxy"));
    // Negative control: who is known keeps what is open.
    assert!(echoes(&mut of_b));
    // A policy that allows it no more ends it as well.
    in_force.policies.insert("q".into(), PolicySpec::default());
    service.handle().replace(in_force.clone()).unwrap();
    assert!(of_b.read(&mut [0; 8]).is_err());
    assert!(service.journal().contains("may not reach it any more"));
    // What cannot be in force changes nothing.
    in_force.policies.remove("q");
    assert!(service.handle().replace(in_force).unwrap_err().to_string().contains("the policy `q`"));
    assert!(b.tunnel(&two.target(1)).unwrap_err().contains("the allow-list is empty"));
}

/// A policy with a route to a provider, with this key.
fn with_route(token: &Token, server: &Server, key: &str) -> InForce {
    let spec = route(1, &format!("https://provider.example:{}", server.port));
    let key = Secret::new(key.as_bytes()).unwrap();
    let mut identities = Identities::default();
    identities.add(Identity::new("a", token.hash(), "p", None).unwrap()).unwrap();
    let policy = PolicySpec { allow: AllowList::default(), routes: vec![(spec, key)] };
    InForce { policies: BTreeMap::from([("p".to_owned(), policy)]), identities }
}

const POST: &[u8] = b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";

/// A provider that begins to answer, and ends when it is told so.
fn streaming(authority: &Authority) -> (Server, std::sync::mpsc::Sender<()>) {
    let (end, ends) = std::sync::mpsc::channel();
    let ends = std::sync::Mutex::new(ends);
    let server = Server::raw(Some((authority, "provider.example")), move |stream, heard| {
        if super::world::read_request(stream, heard) {
            let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n";
            stream.write_all(head.as_bytes()).unwrap();
            stream.flush().unwrap();
            let _ = ends.lock().unwrap().recv_timeout(PATIENCE);
            let _ = stream.write_all(b"4\r\nlast\r\n0\r\n\r\n");
            let _ = stream.flush();
        }
    });
    (server, end)
}

/// Reads until `end` has come.
fn read_up_to(stream: &mut TcpStream, end: &str) -> String {
    let mut text = Vec::new();
    let mut piece = [0; 1024];
    while !String::from_utf8_lossy(&text).contains(end) {
        match stream.read(&mut piece) {
            Ok(count @ 1..) => text.extend_from_slice(&piece[..count]),
            other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&text)),
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn a_key_and_a_certificate_change_while_an_answer_streams() {
    let authority = Arc::new(Authority::new());
    let token = Token::generate().unwrap();
    let (server, end) = streaming(&authority);
    let first = with_route(&token, &server, CANARY);
    let service = Service::with(Arc::clone(&authority), first, ProxyLimits::default(), 1);
    service.names.set("provider.example", &["127.0.0.1"]);
    let inside = service.relay(&token);
    let mut stream = inside.connect(1);
    stream.write_all(POST).unwrap();
    read_up_to(&mut stream, "first");
    service.handle().replace(with_route(&token, &server, "sk-second-key-000")).unwrap();
    service.handle().replace_tls(server_tls(&authority));
    end.send(()).unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("4\r\nlast\r\n0\r\n\r\n"), "{rest}");
    end.send(()).unwrap();
    assert!(inside.say(1, POST).starts_with("HTTP/1.1 200 "));
    // Each is noted when its connection ends, so in no order.
    let heard = [server.heard(0), server.heard(1)];
    let with = |key: &str| heard.iter().filter(|heard| heard.contains(key)).count();
    assert_eq!((with(CANARY), with("sk-second-key-000")), (1, 1), "{heard:?}");
    assert!(!heard.iter().any(|heard| heard.contains(CANARY) && heard.contains("sk-second")));
    let said = format!("{} {:?} {:?}", service.journal(), service.figures(), service.handle());
    assert!(!said.contains(CANARY) && !said.contains("sk-second"));
}

#[test]
fn a_replica_that_dies_cuts_visibly_and_the_other_serves() {
    let authority = Arc::new(Authority::new());
    let token = Token::generate().unwrap();
    let (server, end) = streaming(&authority);
    let replica = || {
        let in_force = with_route(&token, &server, CANARY);
        let service = Service::with(Arc::clone(&authority), in_force, ProxyLimits::default(), 1);
        service.names.set("provider.example", &["127.0.0.1"]);
        service
    };
    let mut replicas = [replica(), replica()];
    let addresses = replicas.iter().map(|replica| replica.address).collect();
    let inside = Inside::new(&authority, addresses, &token);
    // Several streams, over both.
    let mut streams: Vec<TcpStream> = (0..6)
        .map(|_| {
            let mut stream = inside.connect(1);
            stream.write_all(POST).unwrap();
            read_up_to(&mut stream, "first");
            stream
        })
        .collect();
    let on_first = replicas[0].figures().requests;
    assert_eq!((on_first, replicas[1].figures().requests), (3, 3), "both are used");
    replicas[0].handle.take().unwrap().stop().unwrap();
    (0..6).for_each(|_| end.send(()).unwrap_or_default());
    let mut cut = 0;
    for stream in &mut streams {
        let mut rest = Vec::new();
        let ended = stream.read_to_end(&mut rest);
        let whole = String::from_utf8_lossy(&rest).ends_with("0\r\n\r\n");
        // Never an orderly end of half an answer.
        assert_eq!(ended.is_ok(), whole, "{:?}", String::from_utf8_lossy(&rest));
        cut += usize::from(!whole);
    }
    assert_eq!(cut, 3);
    // What is asked for now is answered by the other, also where it is the dead one's turn.
    for _ in 0..4 {
        end.send(()).unwrap();
        let answer = inside.say(1, POST);
        assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("0\r\n\r\n"), "{answer}");
    }
}

#[test]
fn draining_takes_nobody_and_ends_what_is_there() {
    let authority = Arc::new(Authority::new());
    let token = Token::generate().unwrap();
    let (server, end) = streaming(&authority);
    let in_force = with_route(&token, &server, CANARY);
    let service = Service::with(Arc::clone(&authority), in_force, ProxyLimits::default(), 2);
    service.names.set("provider.example", &["127.0.0.1"]);
    let inside = service.relay(&token);
    let mut stream = inside.connect(1);
    stream.write_all(POST).unwrap();
    read_up_to(&mut stream, "first");
    service.handle().drain();
    let refused = (0..400).any(|_| {
        std::thread::sleep(Duration::from_millis(5));
        TcpStream::connect(service.address).is_err()
    });
    assert!(refused, "nobody is taken any more");
    let answer = inside.say(1, POST);
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("the proxy is not reached"), "{answer}");
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("Content-Length: {}", body.len())));
    assert!(service.figures().connections > 0 && !service.handle().has_failed());
    end.send(()).unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "{rest}");
    drop(stream);
    service.until("nothing is left", |figures| figures.connections == 0);
}

#[test]
fn a_proxy_of_another_authority_gets_no_token() {
    let two = Two::new();
    let service = two.service(ProxyLimits::default());
    let other = Authority::new();
    let inside = Inside::new(&other, vec![service.address], &two.a);
    let answer = inside.say(0, b"CONNECT a.example:443 HTTP/1.1\r\n\r\n");
    assert!(answer.contains("the proxy is not reached"), "{answer}");
    assert_eq!(service.figures().unknown, 0);
    assert!(service.figures().shakes_failed > 0);
}

/// What process 1 of a pod relies on before it says that nothing else is reached.
#[test]
fn a_proxy_is_proved_by_its_answer_to_the_token() {
    let two = Two::new();
    let service = two.service(ProxyLimits::default());
    let at = service.address;
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let prove = |addresses: &[SocketAddr], authority: &Authority, token: &Token| {
        let (ca, addresses) = (authority.pem().into_bytes(), addresses.to_vec());
        Upstream::Tls { addresses, name: NAME.into(), ca, token: token.clone() }.prove()
    };
    assert_eq!(prove(&[at], &service.authority, &two.a).unwrap(), Some(at));
    // One replica is enough.
    assert_eq!(prove(&[gone, at], &service.authority, &two.a).unwrap(), Some(at));
    let stranger = Token::generate().unwrap();
    let unknown = prove(&[at, gone], &service.authority, &stranger);
    assert!(matches!(unknown, Err(ProveError::Unknown { .. })), "{unknown:?}");
    let other = prove(&[at], &Authority::new(), &two.a);
    assert!(matches!(other, Err(ProveError::NotKnown { .. })), "{other:?}");
    let none = prove(&[gone], &service.authority, &two.a);
    assert!(matches!(none, Err(ProveError::NotReached { .. })), "{none:?}");
    // What speaks no TLS is no proxy, whatever it says.
    let plain = Server::http(None, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let plain = prove(&[([127, 0, 0, 1], plain.port).into()], &service.authority, &two.a);
    assert!(matches!(plain, Err(ProveError::NotKnown { .. } | ProveError::NotReached { .. })), "{plain:?}");
    assert_eq!(Upstream::Socket("/run/any".into()).prove().unwrap(), None);
}

#[test]
fn much_data_passes_both_ways_and_arrives_as_it_was() {
    let two = Two::new();
    let service = two.service(ProxyLimits::default());
    let inside = service.relay(&two.a);
    let tunnel = inside.tunnel(&two.target(0)).unwrap();
    let block: Vec<u8> = (0..=250).cycle().take(3_000_017).collect();
    let (mut writer, sent) = (tunnel.try_clone().unwrap(), block.clone());
    let writing = std::thread::spawn(move || {
        writer.write_all(&sent).unwrap();
        writer.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let mut back = Vec::new();
    let mut reader = tunnel;
    reader.read_to_end(&mut back).unwrap();
    writing.join().unwrap();
    assert!(back == block, "{} of {} bytes", back.len(), block.len());
    service.until("the tunnel ends", |figures| figures.tunnels == 0);
    let figures = service.figures();
    assert_eq!((figures.policies["p"].sent, figures.policies["p"].received), (3_000_017, 3_000_017));
}

#[test]
#[expect(clippy::print_stdout, reason = "a number for whoever reads the log")]
fn ten_thousand_identities_are_each_their_own() {
    let tokens: Vec<Token> = (0..10_000).map(|_| Token::generate().unwrap()).collect();
    let mut identities = Identities::default();
    for (number, token) in tokens.iter().enumerate() {
        let policy = if number % 2 == 0 { "p" } else { "q" };
        identities.add(Identity::new(&format!("s-{number}"), token.hash(), policy, None).unwrap()).unwrap();
    }
    let two = Two::new();
    let in_force = InForce { identities, ..two.in_force() };
    let before = memory();
    let since = Instant::now();
    let service = Service::new(in_force, ProxyLimits::default());
    println!("10,000 identities: {} KiB, in force after {:?}", memory() - before, since.elapsed());
    Two::name(&service);
    for number in (0..10_000).step_by(999) {
        let inside = service.relay(&tokens[number]);
        assert!(echoes(&mut inside.tunnel(&two.target(number % 2)).unwrap()), "{number}");
        assert!(inside.tunnel(&two.target(1 - number % 2)).unwrap_err().contains("no rule allows"));
    }
    assert!(service.journal().contains("\"sandbox\":\"s-8991\""));
    assert_eq!(service.figures().identities, 10_000);
}

/// What this process has in memory, in KiB.
fn memory() -> i64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
