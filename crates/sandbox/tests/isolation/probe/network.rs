//! Probes of the network: what is there, and what can be reached, with and without the proxy.

use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::net::TcpStream;
use std::net::ToSocketAddrs;
use std::net::UdpSocket;
use std::time::Duration;
use std::time::Instant;

use super::Found;
use super::all;

pub(super) fn interfaces() -> Found {
    let devices = fs::read_to_string("/proc/net/dev").unwrap();
    let names: Vec<&str> =
        devices.lines().skip(2).filter_map(|line| line.split(':').next()).map(str::trim).collect();
    let routes = fs::read_to_string("/proc/net/route").unwrap().lines().count();
    all([
        if names == ["lo"] { Ok(()) } else { Err(format!("interfaces {names:?}")) },
        if routes <= 1 { Ok(()) } else { Err(format!("{routes} lines of routes")) },
        // A server finds its usual port.
        TcpListener::bind("127.0.0.1:80").map(drop).map_err(|error| format!("port 80: {error}")),
    ])
}

/// Connecting a UDP socket sends nothing: it only asks for a route.
pub(super) fn unreachable(addresses: &[String]) -> Found {
    all(addresses.iter().map(|address| {
        let local = if address.starts_with('[') { "[::]:0" } else { "0.0.0.0:0" };
        let socket = UdpSocket::bind(local).map_err(|error| error.to_string())?;
        match socket.connect(address.as_str()) {
            Err(error)
                if matches!(
                    error.raw_os_error(),
                    Some(libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EADDRNOTAVAIL)
                ) =>
            {
                Ok(())
            }
            other => Err(format!("{address}: {other:?}")),
        }
    }))
}

pub(super) fn host_port(port: u16) -> Found {
    match TcpStream::connect(("127.0.0.1", port)) {
        Err(error) if error.raw_os_error() == Some(libc::ECONNREFUSED) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// The host's end sends back what the relay put in front (version 1, route 0) and what follows.
pub(super) fn relay() -> Found {
    let mut stream = TcpStream::connect("127.0.0.1:3128").map_err(|error| error.to_string())?;
    stream.write_all(b"hello").map_err(|error| error.to_string())?;
    let mut answer = [0; 7];
    stream.read_exact(&mut answer).map_err(|error| error.to_string())?;
    if answer == *b"\x01\x00hello" { Ok(()) } else { Err(format!("{answer:?}")) }
}

pub(super) fn relay_without_proxy() -> Found {
    let mut stream = TcpStream::connect("127.0.0.1:3128").map_err(|error| error.to_string())?;
    let _ = stream.write_all(b"CONNECT example.org:443 HTTP/1.1\r\n\r\n");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    if answer.starts_with(b"HTTP/1.1 502") {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&answer).into_owned())
    }
}

/// Arguments: targets, each with what the answer must begin with and hold, separated by tabs.
pub(super) fn asked_proxy(cases: &[String]) -> Found {
    all(cases.iter().map(|case| {
        let parts: Vec<&str> = case.split('\t').collect();
        let [target, status, reason] = parts[..] else { return Err(format!("not a case: {case:?}")) };
        let mut stream = TcpStream::connect("127.0.0.1:3128").map_err(|error| error.to_string())?;
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
        stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
        // A tunnel that was opened says nothing more.
        let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        if answer.starts_with(&format!("HTTP/1.1 {status}")) && answer.contains(reason) {
            Ok(())
        } else {
            Err(format!("{target}: {answer:?}"))
        }
    }))
}

/// The first connection is answered; then the host's end goes, and the next one is told so.
pub(super) fn relay_dies() -> Found {
    relay()?;
    // The host hears the end of the first connection and lets go of the socket, a moment later: until then a connection
    // is taken and nobody answers it. An answer says that the host is still there.
    let start = Instant::now();
    loop {
        match relay_without_proxy() {
            Err(answer) if answer.is_empty() && start.elapsed() < Duration::from_secs(60) => {
                std::thread::sleep(Duration::from_millis(20));
            }
            told => return told,
        }
    }
}

/// No resolver, no server on the usual port, no answer.
pub(super) fn no_names() -> Found {
    let resolver = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    if resolver.lines().any(|line| line.starts_with("nameserver")) {
        return Err(format!("there is a resolver: {resolver}"));
    }
    let question = || {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_secs(2)))?;
        socket.connect("127.0.0.1:53")?;
        socket.send(b"?")?;
        socket.recv(&mut [0; 16])
    };
    let tcp = TcpStream::connect("127.0.0.1:53").map(drop);
    let long = format!("{}.example.invalid:443", "a".repeat(60));
    all([
        question().map_or(Ok(()), |_| Err("UDP port 53 answers".into())),
        tcp.map_or(Ok(()), |()| Err("TCP port 53 answers".into())),
        long.to_socket_addrs().map_or(Ok(()), |_| Err("a name was resolved".into())),
    ])
}
