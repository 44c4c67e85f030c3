//! Any bytes through a running relay, both ways.

use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::sync::OnceLock;

use pinfold_network::Endpoint;
use pinfold_network::Listen;
use pinfold_network::Relay;
use pinfold_network::RelayLimits;
use pinfold_network::RouteId;

/// Any bytes through a running relay, both ways: they arrive as they were, after the two bytes of the preamble.
pub fn proxy_relay(bytes: &[u8]) {
    let (address, supervisor) = RELAY.get_or_init(start);
    let mut client = TcpStream::connect(address).expect("the relay listens");
    let (mut stream, _) = supervisor.accept().expect("the relay connects");
    client.write_all(bytes).expect("written");
    client.shutdown(Shutdown::Write).expect("ended");
    let mut there = Vec::new();
    stream.read_to_end(&mut there).expect("read");
    assert_eq!(there[..2], [1, 7]);
    assert_eq!(&there[2..], bytes);
    stream.write_all(bytes).expect("written");
    drop(stream);
    let mut back = Vec::new();
    client.read_to_end(&mut back).expect("read");
    assert_eq!(back, bytes);
}

static RELAY: OnceLock<(SocketAddr, UnixListener)> = OnceLock::new();

fn start() -> (SocketAddr, UnixListener) {
    let path = std::env::temp_dir().join(format!("pinfold-fuzz-relay-{}", std::process::id()));
    let _ = fs_err::remove_file(&path);
    let supervisor = UnixListener::bind(&path).expect("a socket");
    let listen = [Listen { route: RouteId(7), at: Endpoint::Port(0) }];
    let relay = Relay::bind(&path, &listen, RelayLimits::default()).expect("a relay");
    let address = relay.addresses().expect("an address")[0].1;
    relay.spawn().expect("a thread");
    (address, supervisor)
}
