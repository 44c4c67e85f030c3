//! The relay alone: what it announces, what it says when nobody is there, whom it gives up.

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
    assert!(matches!(Relay::bind(&long, &[], RelayLimits::default()), Err(RelayError::SocketPath { .. })));
}
