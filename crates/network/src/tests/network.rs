//! The network rows: what may be reached, by which name, and what happens under load and when the proxy is gone.

use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use rustls::StreamOwned;

use super::world::Plan;
use super::world::Server;
use super::world::World;
use super::world::read_request;
use crate::ProxyLimits;
use crate::wire::greeting::tests::Flights;
use crate::wire::greeting::tests::openssl;
use crate::wire::greeting::tests::renamed;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

fn assert_closed(stream: &mut TcpStream) {
    let mut rest = [0; 64];
    assert!(stream.read(&mut rest).map_or(true, |count| count == 0), "{rest:?}");
}

#[test]
fn n6_a_listed_host_is_reached_over_tls() {
    let plan = Plan::new(&[]);
    let server = Server::echo(Some((&plan.authority, "good.example")));
    let world = plan.rule("good.example", &server).build();
    world.names.set("good.example", &["127.0.0.1"]);
    let stream = world.tunnel(&format!("good.example:{}", server.port)).unwrap();
    let mut tls = StreamOwned::new(world.authority.client("good.example"), stream);
    tls.write_all(b"through the tunnel").unwrap();
    let mut answer = [0; 18];
    tls.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"through the tunnel");
    assert_eq!(world.names.asked(), 1);
    drop(tls);
    assert_eq!(server.heard(0), "through the tunnel");
    let journal = world.journal();
    assert_eq!(journal[0]["event"], "connect");
    assert_eq!(journal[0]["allowed"], true);
    assert_eq!(journal[0]["address"], format!("127.0.0.1:{}", server.port));
}

#[test]
fn n6_an_unlisted_host_is_refused_with_a_reason_and_never_looked_up() {
    let world = Plan::new(&["good.example"]).build();
    world.names.set("evil.example", &["127.0.0.1"]);
    for target in ["evil.example:443", "good.example:22", "good.example.evil.example:443"] {
        let answer = world.tunnel(target).unwrap_err();
        assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{answer}");
        assert!(answer.contains("no rule allows"), "{answer}");
    }
    assert_eq!(world.names.asked(), 0);
    let journal = world.journal();
    assert_eq!(journal.len(), 3);
    assert!(journal.iter().all(|line| line["allowed"] == false));
    assert_eq!(journal[0]["target"], "evil.example:443");
}

#[test]
fn n7_hostile_names_are_never_looked_up() {
    let mut plan = Plan::new(&["good.example", "*.good.example", "127.0.0.1", "[::1]", "0.0.0.0"]);
    plan.loopback = false;
    let world = plan.build();
    world.names.set("good.example", &["127.0.0.1"]);
    let long = format!("{}.good.example:443", "a".repeat(300));
    let longer = format!("{}.good.example:443", "a.".repeat(20_000));
    for target in [
        "evil.example\0.good.example:443",
        "evil.example\r\n.good.example:443",
        "good.example\r\nX: y:443",
        "evil.example%00.good.example:443",
        "%67ood.example:443",
        "good.example..:443",
        ".good.example:443",
        "evil.example@good.example:443",
        "good.example:443@evil.example:443",
        "göod.example:443",
        "good。example:443",
        "2130706433:443",
        "0x7f000001:443",
        "0177.0.0.1:443",
        "127.1:443",
        "[::ffff:127.0.0.1]:443",
        "[::]:443",
        "0.0.0.0:443",
        "127.0.0.1:443",
        "[::1]:443",
        "good.example:0443",
        "good.example:65979",
        "good.example:443:443",
        "good.example",
        "good.example:",
        long.as_str(),
        longer.as_str(),
    ] {
        let mut request = b"CONNECT ".to_vec();
        request.extend_from_slice(target.as_bytes());
        request.extend_from_slice(b" HTTP/1.1\r\n\r\n");
        let answer = world.say(0, &request);
        assert!(answer.starts_with("HTTP/1.1 4"), "{target:?}: {answer:?}");
        let request = String::from_utf8_lossy(&request).replace("CONNECT ", "GET http://").into_bytes();
        let answer = world.say(0, &request);
        assert!(answer.starts_with("HTTP/1.1 4"), "{target:?}: {answer:?}");
    }
    assert_eq!(world.names.asked(), 0);
}

#[test]
fn n7_upper_case_and_a_final_dot_are_the_same_name() {
    let plan = Plan::new(&[]);
    let server = Server::http(None, OK);
    let world = plan.rule("good.example", &server).build();
    world.names.set("good.example", &["127.0.0.1"]);
    let port = server.port;
    let answer = world.say(
        0,
        format!("GET http://GOOD.Example.:{port}/ HTTP/1.1\r\nHost: good.EXAMPLE:{port}\r\n\r\n").as_bytes(),
    );
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
}

#[test]
fn n8_a_listed_name_at_an_inner_address_is_refused() {
    let mut plan = Plan::new(&[]);
    let server = Server::http(None, OK);
    plan.loopback = false;
    let world = plan.rule("inner.example", &server).build();
    for address in ["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", "fd00:ec2::254", "::ffff:127.0.0.1"] {
        world.names.set("inner.example", &[address]);
        let answer = world.tunnel(&format!("inner.example:{}", server.port)).unwrap_err();
        assert!(answer.starts_with("HTTP/1.1 403 "), "{address}: {answer}");
        let request =
            format!("GET http://inner.example:{0}/ HTTP/1.1\r\nHost: inner.example:{0}\r\n\r\n", server.port);
        assert!(world.say(0, request.as_bytes()).starts_with("HTTP/1.1 403 "));
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn n10_the_tls_name_must_be_the_host() {
    let plan = Plan::new(&[]);
    let server = Server::echo(None);
    let world = plan.rule("good.example", &server).build();
    world.names.set("good.example", &["127.0.0.1"]);
    let target = format!("good.example:{}", server.port);
    for name in ["evil.example", "www.good.example", "1.2.3.4"] {
        let mut stream = world.tunnel(&target).unwrap();
        let mut hello = Vec::new();
        world.authority.client(name).write_tls(&mut hello).unwrap();
        stream.write_all(&hello).unwrap();
        let mut alert = [0; 7];
        stream.read_exact(&mut alert).unwrap();
        // A fatal alert, access_denied.
        assert_eq!(alert, [0x15, 3, 3, 0, 2, 2, 49], "{name}");
        assert_closed(&mut stream);
    }
    for bytes in
        [&b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"[..], b"SSH-2.0-x\r\n", b"PRI * HTTP/2.0\r\n\r\n"]
    {
        let mut stream = world.tunnel(&target).unwrap();
        stream.write_all(bytes).unwrap();
        assert_closed(&mut stream);
    }
    for number in 0..6 {
        assert_eq!(server.heard(number), "", "a refused tunnel sent something");
    }
    let reasons: Vec<String> =
        world.journal().iter().map(|line| line["reason"].as_str().unwrap().to_owned()).collect();
    assert!(reasons[0].contains("`evil.example`, not the host of the tunnel"), "{reasons:?}");
    assert!(reasons.iter().any(|reason| reason.contains("tcp:good.example:")), "{reasons:?}");
    // Negative control: the right name passes, and so does anything under a `tcp:` rule.
    let mut stream = world.tunnel(&target).unwrap();
    let mut hello = Vec::new();
    world.authority.client("good.example").write_tls(&mut hello).unwrap();
    for byte in hello.chunks(7) {
        stream.write_all(byte).unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    // The echo is no answer in TLS, so it ends there.
    stream.read_exact(&mut [0; 7]).unwrap();
    assert_closed(&mut stream);
    assert_eq!(server.heard(6), String::from_utf8_lossy(&hello));
}

/// A server that asks for another key share, as recorded, and notes what it is told; it does not look at names.
fn asking_again() -> Server {
    Server::raw(None, |stream, heard| {
        let mut buffer = [0; 4096];
        let flights = openssl();
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            heard.extend_from_slice(&buffer[..count]);
            if heard.len() == flights[0].1.len() {
                stream.write_all(&flights[1].1).unwrap();
            }
            if heard.len() == flights[0].1.len() + flights[2].1.len() {
                stream.write_all(&flights[3].1).unwrap();
                break;
            }
        }
    })
}

/// Says the client's flights in a tunnel, each after the server's answer; what came back after the last.
fn greet(world: &World, target: &str, flights: &Flights) -> Vec<u8> {
    let mut stream = world.tunnel(target).unwrap();
    stream.write_all(&flights[0].1).unwrap();
    let mut asked = vec![0; flights[1].1.len()];
    stream.read_exact(&mut asked).unwrap();
    assert_eq!(asked, flights[1].1);
    stream.write_all(&flights[2].1).unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    rest
}

/// Row N10, when the server asks for a second hello (RFC 8446, section 4.1.4): that one is judged as well.
#[test]
fn n10_a_second_hello_must_name_the_host_too() {
    let honest = openssl();
    let evil = renamed(openssl(), 2);
    let first = honest[0].1.clone();
    let said = |last: &[u8]| String::from_utf8_lossy(&[&first[..], last].concat()).into_owned();
    let server = asking_again();
    let world = Plan::new(&[]).rule("good.example", &server).build();
    world.names.set("good.example", &["127.0.0.1"]);
    let target = format!("good.example:{}", server.port);
    assert_eq!(greet(&world, &target, &evil), [0x15, 3, 3, 0, 2, 2, 49]);
    // The record before it is the CCS of the middlebox mode, which says nothing; it may have gone by itself.
    assert!([said(b""), said(&evil[2].1[..6])].contains(&server.heard(0)));
    let journal = world.journal();
    assert_eq!((&journal[0]["event"], &journal[0]["allowed"]), (&"connect".into(), &true.into()));
    assert_eq!((&journal[1]["event"], &journal[1]["allowed"]), (&"connect".into(), &false.into()));
    let reason = journal[1]["reason"].as_str().unwrap();
    assert_eq!(reason, "the server name of TLS is `evil.example`, not the host of the tunnel");
    // A hello that nobody asked for, whatever its name.
    let mut stream = world.tunnel(&target).unwrap();
    stream.write_all(&[&first[..], &first[..]].concat()).unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert_eq!(rest, [0x15, 3, 3, 0, 2, 2, 49]);
    assert_eq!(server.heard(1), "");
    // Negative control: the right name passes and is answered; and without the guard the wrong one does too.
    assert_eq!(greet(&world, &target, &honest), honest[3].1);
    assert_eq!(server.heard(2), said(&honest[2].1));
    let unguarded = asking_again();
    let world = Plan::new(&[&format!("tcp:good.example:{}", unguarded.port)]).build();
    world.names.set("good.example", &["127.0.0.1"]);
    let target = format!("good.example:{}", unguarded.port);
    assert_eq!(greet(&world, &target, &evil), honest[3].1);
    assert_eq!(unguarded.heard(0), said(&evil[2].1));
}

/// What a real client and a real server agree on with a second hello is a tunnel as any other.
#[test]
fn a_handshake_with_a_second_hello_is_passed_on() {
    let plan = Plan::new(&[]);
    let mut provider = rustls::crypto::ring::default_provider();
    provider.kx_groups = vec![rustls::crypto::ring::kx_group::SECP384R1];
    let config = plan.authority.server_config("good.example", provider);
    let server = Server::raw(None, move |mut stream, heard| {
        let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut tls = rustls::Stream::new(&mut connection, &mut stream);
        let mut bytes = [0; 5];
        tls.read_exact(&mut bytes).unwrap();
        tls.write_all(&bytes).unwrap();
        heard.extend_from_slice(&bytes);
    });
    let world = plan.rule("good.example", &server).build();
    world.names.set("good.example", &["127.0.0.1"]);
    let stream = world.tunnel(&format!("good.example:{}", server.port)).unwrap();
    let mut tls = StreamOwned::new(world.authority.client("good.example"), stream);
    tls.write_all(b"hello").unwrap();
    let mut echo = [0; 5];
    tls.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"hello");
    assert_eq!(tls.conn.handshake_kind(), Some(rustls::HandshakeKind::FullWithHelloRetryRequest));
    drop(tls);
    assert_eq!(server.heard(0), "hello");
    let closed = world.closed();
    // Both hellos and the answers count.
    assert!(closed["sent"].as_u64().unwrap() > 400 && closed["received"].as_u64().unwrap() > 400, "{closed}");
}

/// A server that refuses in the open, or goes, is seen as such.
#[test]
fn a_server_that_refuses_tls_is_heard() {
    let server = Server::raw(None, |stream, heard| {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).unwrap();
        heard.extend_from_slice(&buffer[..count]);
        stream.write_all(&[0x15, 3, 3, 0, 2, 2, 40]).unwrap();
    });
    let world = Plan::new(&[]).rule("good.example", &server).build();
    world.names.set("good.example", &["127.0.0.1"]);
    let mut stream = world.tunnel(&format!("good.example:{}", server.port)).unwrap();
    stream.write_all(&openssl()[0].1).unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert_eq!(rest, [0x15, 3, 3, 0, 2, 2, 40]);
    world.closed();
    assert_eq!(world.journal().len(), 2);
}

#[test]
fn n10_a_tcp_rule_lets_anything_be_spoken() {
    let server = Server::echo(None);
    let world = Plan::new(&[&format!("tcp:git.example:{}", server.port)]).build();
    world.names.set("git.example", &["127.0.0.1"]);
    let mut stream = world.tunnel(&format!("git.example:{}", server.port)).unwrap();
    stream.write_all(b"SSH-2.0-x\r\n").unwrap();
    let mut echo = [0; 11];
    stream.read_exact(&mut echo).unwrap();
    assert_eq!(&echo, b"SSH-2.0-x\r\n");
}

#[test]
fn n10_host_must_be_the_target_and_http2_is_not_spoken() {
    let plan = Plan::new(&[]);
    let server = Server::http(None, OK);
    let world = plan.rule("good.example", &server).build();
    world.names.set("good.example", &["127.0.0.1"]);
    let target = format!("good.example:{}", server.port);
    for request in [
        format!("GET http://{target}/ HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
        format!("GET http://{target}/ HTTP/1.1\r\n\r\n"),
        format!("GET http://{target}/ HTTP/1.1\r\nHost: {target}\r\nHost: evil.example\r\n\r\n"),
        format!("CONNECT {target} HTTP/1.1\r\nHost: evil.example:443\r\n\r\n"),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        format!("GET / HTTP/1.1\r\nHost: {target}\r\n\r\n"),
    ] {
        let answer = world.say(0, request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400 "), "{request:?}: {answer}");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn n11_plain_http_is_filtered_like_tls_and_rewritten() {
    let plan = Plan::new(&[]);
    let server = Server::http(None, OK);
    let world = plan.rule("good.example", &server).build();
    world.names.set("good.example", &["127.0.0.1"]);
    let port = server.port;
    let answer = world.say(
        0,
        format!(
            "POST http://good.example:{port}/a?b HTTP/1.1\r\nHost: good.example:{port}\r\nProxy-Connection: keep-alive\r\n\
             Proxy-Authorization: Basic eA==\r\nConnection: X-One\r\nX-One: 1\r\nX-Two: 2\r\nUpgrade: h2c\r\n\
             Content-Length: 3\r\n\r\nabc"
        )
        .as_bytes(),
    );
    assert_eq!(answer, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello");
    assert_eq!(
        server.heard(0),
        format!(
            "POST /a?b HTTP/1.1\r\nHost: good.example:{port}\r\nX-Two: 2\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc"
        )
    );
    let answer = world.say(0, b"GET http://evil.example/secret?q=1 HTTP/1.1\r\nHost: evil.example\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    let answer = world.say(
        0,
        format!("TRACE http://good.example:{port}/ HTTP/1.1\r\nHost: good.example:{port}\r\n\r\n").as_bytes(),
    );
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    // No path and no query of plain requests in the journal.
    let text = fs_err::read_to_string(&world.journal).unwrap();
    assert!(!text.contains("secret") && !text.contains("q=1") && !text.contains("/a"), "{text}");
}

#[test]
fn n13_when_the_proxy_is_gone_nothing_leaves_and_the_sandbox_is_told() {
    let server = Server::echo(None);
    let mut world = Plan::new(&[&format!("tcp:git.example:{}", server.port)]).build();
    world.names.set("git.example", &["127.0.0.1"]);
    let target = format!("git.example:{}", server.port);
    let mut stream = world.tunnel(&target).unwrap();
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    world.proxy.take().unwrap().stop().unwrap();
    assert_closed(&mut stream);
    let answer = world.tunnel(&target).unwrap_err();
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("supervisor's proxy is gone"), "{answer}");
    assert_eq!(server.connections(), 1);
}

#[test]
fn n13_stopping_ends_requests_under_way() {
    let plan = Plan::new(&[]);
    let server = Server::raw(None, |stream, heard| {
        read_request(stream, heard);
        // Never answers.
        let _ = stream.read(&mut [0; 8]);
    });
    let mut world = plan.rule("slow.example", &server).build();
    world.names.set("slow.example", &["127.0.0.1"]);
    let mut stream = world.connect(0);
    let host = format!("slow.example:{}", server.port);
    write!(stream, "GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
    while server.connections() == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    world.proxy.take().unwrap().stop().unwrap();
    assert_closed(&mut stream);
    assert!(server.heard(0).starts_with("GET / "));
}

#[test]
fn n14_an_empty_list_allows_nothing() {
    let world = Plan::new(&[]).build();
    let answer = world.tunnel("good.example:443").unwrap_err();
    assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("allow-list is empty"), "{answer}");
    assert!(
        world.say(0, b"GET http://good.example/ HTTP/1.1\r\nHost: good.example\r\n\r\n").contains(" 403 ")
    );
    assert_eq!(world.names.asked(), 0);
}

#[test]
fn n15_a_wildcard_needs_a_label_edge() {
    let server = Server::http(None, OK);
    let world = Plan::new(&[&format!("*.good.example:{}", server.port)]).build();
    let get = |name: &str| {
        world.names.set(name, &["127.0.0.1"]);
        let host = format!("{name}:{}", server.port);
        world.say(0, format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())
    };
    assert!(get("a.good.example").contains(" 200 OK"));
    assert!(get("a.b.good.example").contains(" 200 OK"));
    for name in ["good.example", "evilgood.example", "good.example.evil.example"] {
        assert!(get(name).contains(" 403 "), "{name}");
    }
}

#[test]
fn n17_what_follows_a_request_reaches_nobody() {
    let plan = Plan::new(&[]);
    let server = Server::http(None, OK);
    let world = plan.rule("good.example", &server).build();
    world.names.set("good.example", &["127.0.0.1"]);
    let host = format!("good.example:{}", server.port);
    let second = "GET http://evil.example/second HTTP/1.1\r\nHost: evil.example\r\n\r\n";
    for body in
        ["Content-Length: 3\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "\r\n"]
    {
        let request = format!("POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{body}{second}");
        let answer = world.say(0, request.as_bytes());
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
    // In the order in which the connections ended, which is not that of the requests.
    let heard: Vec<String> = (0..3).map(|number| server.heard(number)).collect();
    assert!(heard.iter().all(|one| !one.contains("second")), "{heard:?}");
    for (end, count) in [("\r\n\r\nabc", 1), ("\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 1), ("\r\n\r\n", 2)] {
        assert_eq!(heard.iter().filter(|one| one.ends_with(end)).count(), count, "{end:?}: {heard:?}");
    }
}

#[test]
fn n17_ambiguous_answers_are_not_passed_on() {
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
        "HTTP/2 200\r\n\r\n",
        "hello",
    ] {
        let plan = Plan::new(&[]);
        let server = Server::http(None, answer);
        let world = plan.rule("good.example", &server).build();
        world.names.set("good.example", &["127.0.0.1"]);
        let host = format!("good.example:{}", server.port);
        let got = world.say(0, format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes());
        assert!(got.starts_with("HTTP/1.1 502 "), "{answer:?}: {got:?}");
    }
}

fn crowd_world(connections: usize) -> (World, Server) {
    let mut plan = Plan::new(&[]);
    plan.limits = ProxyLimits { connections, head: Duration::from_secs(5), ..plan.limits };
    let server = Server::http(None, OK);
    let world = plan.rule("good.example", &server).build();
    world.names.set("good.example", &["127.0.0.1"]);
    (world, server)
}

fn is_served(world: &World, server: &Server) -> bool {
    let host = format!("good.example:{}", server.port);
    let request = format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
    world.say(0, request.as_bytes()).starts_with("HTTP/1.1 200 OK")
}

#[test]
fn n18_slow_clients_do_not_stop_the_proxy() {
    let (world, server) = crowd_world(64);
    let mut slow = Vec::new();
    for number in 0..200 {
        let mut stream = world.connect(0);
        let bytes: &[u8] = match number % 3 {
            0 => b"",
            1 => b"GET http://good.ex",
            _ => b"GET http://good.example/ HTTP/1.1\r\nHost: good.example\r\nX-Slow: ",
        };
        stream.write_all(bytes).unwrap();
        slow.push(stream);
    }
    assert!(is_served(&world, &server));
    // Those that were not pushed out are ended by the clock.
    let since = Instant::now();
    for mut stream in slow {
        assert_closed(&mut stream);
    }
    assert!(since.elapsed() < Duration::from_secs(15));
    assert!(is_served(&world, &server));
    assert!(world.proxy.as_ref().unwrap().connections() < 10);
}

#[test]
fn n18_ten_thousand_connections_do_not_stop_the_proxy() {
    let (world, server) = crowd_world(512);
    let mut open = std::collections::VecDeque::new();
    for number in 0..10_000 {
        let mut stream = world.connect(0);
        let _ = stream.write_all(b"CONNECT good.ex");
        open.push_back(stream);
        if open.len() > 700 {
            open.pop_front();
        }
        if number % 2500 == 2499 {
            assert!(is_served(&world, &server), "after {number}");
        }
    }
    drop(open);
    assert!(is_served(&world, &server));
}

#[test]
fn n18_long_heads_do_not_fill_the_memory() {
    let (world, server) = crowd_world(2000);
    let long = [b"GET http://good.example/ HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; 30_000]].concat();
    let mut slow = Vec::new();
    // 700 x 30 000 bytes are more than the 16 MiB that are held.
    for _ in 0..700 {
        let mut stream = world.connect(0);
        let _ = stream.write_all(&long);
        slow.push(stream);
    }
    assert!(is_served(&world, &server));
    let held = world.proxy.as_ref().unwrap().connections();
    assert!(held <= 600, "{held} connections with 30 000 bytes each");
    let mut first = slow.swap_remove(0);
    assert_closed(&mut first);
}

#[test]
fn half_closed_tunnels_carry_the_other_half() {
    let server = Server::raw(None, |stream, heard| {
        let mut buffer = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            heard.extend_from_slice(&buffer[..count]);
        }
        stream.write_all(b"after the end").unwrap();
    });
    let world = Plan::new(&[&format!("tcp:git.example:{}", server.port)]).build();
    world.names.set("git.example", &["127.0.0.1"]);
    let mut stream = world.tunnel(&format!("git.example:{}", server.port)).unwrap();
    stream.write_all(&vec![b'q'; 300_000]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "after the end");
    assert_eq!(server.heard(0).len(), 300_000);
    // The end is recorded with what passed.
    drop(stream);
    let closed = world.closed();
    assert_eq!(closed["sent"], 300_000);
    assert_eq!(closed["received"], 13);
}

#[test]
fn a_decision_that_cannot_be_recorded_is_a_refusal() {
    let server = Server::http(None, OK);
    let mut plan = Plan::new(&[]).rule("good.example", &server);
    // Each line turns the file over, which fails once its folder is gone.
    plan.journal_max = 10;
    let world = plan.build();
    world.names.set("good.example", &["127.0.0.1"]);
    assert!(is_served(&world, &server));
    assert_eq!(server.connections(), 1);
    fs_err::remove_file(&world.journal).unwrap();
    let host = format!("good.example:{}", server.port);
    let request = format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let answer = world.say(0, request.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("cannot be recorded"), "{answer}");
    assert!(server.heard(1).is_empty(), "the request was passed on");
    let mut stream = world.tunnel(&host).unwrap();
    let mut hello = Vec::new();
    world.authority.client("good.example").write_tls(&mut hello).unwrap();
    stream.write_all(&hello).unwrap();
    stream.read_exact(&mut [0; 7]).unwrap();
    assert_closed(&mut stream);
}
