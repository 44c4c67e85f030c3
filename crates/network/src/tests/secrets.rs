//! The rows about keys: where they go, and all the places where they must not be found.

use std::io::Read;
use std::io::Write;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

use rustls::StreamOwned;

use super::world::Authority;
use super::world::CANARY;
use super::world::PLACEHOLDER;
use super::world::Plan;
use super::world::Server;
use super::world::World;
use super::world::canary;
use super::world::command;
use super::world::read_request;
use super::world::route;
use crate::Credential;
use crate::Surroundings;

const PROVIDER: &str = "api.provider.example";

/// A provider over TLS and a world with a route to it.
fn provided(answer: &'static str) -> (World, Server) {
    let plan = Plan::new(&[]);
    let server = Server::http(Some((&plan.authority, PROVIDER)), answer);
    (routed(plan, &server), server)
}

fn routed(mut plan: Plan, server: &Server) -> World {
    plan.routes.push((route(1, &format!("https://{PROVIDER}:{}", server.port)), canary()));
    let world = plan.build();
    world.names.set(PROVIDER, &["127.0.0.1"]);
    world
}

/// A route whose key is a bearer, with the headers that the recipe of Claude Code names.
fn bearer(mut plan: Plan, server: &Server) -> World {
    let mut spec = serde_json::to_value(route(1, &format!("https://{PROVIDER}:{}", server.port))).unwrap();
    spec["header"] = "bearer".into();
    spec["request"]["headers"] =
        ["anthropic-dangerous-direct-browser-access", "x-app", "x-claude-code-session-id"].to_vec().into();
    plan.routes.push((serde_json::from_value(spec).unwrap(), canary()));
    let world = plan.build();
    world.names.set(PROVIDER, &["127.0.0.1"]);
    world
}

fn post(body: &str) -> String {
    format!(
        "POST /v1/messages?beta=true HTTP/1.1\r\nHost: 127.0.0.1:3129\r\nX-Api-Key: {PLACEHOLDER}\r\n\
         Authorization: Bearer {PLACEHOLDER}\r\nAccept-Encoding: gzip, br\r\n{body}"
    )
}

fn assert_clean(world: &World, answer: &str) {
    assert!(!answer.contains(CANARY), "{answer}");
    let journal = fs_err::read_to_string(&world.journal).unwrap();
    assert!(!journal.contains(CANARY) && !journal.contains("beta=true"), "{journal}");
}

/// A Unix socket leads to the same route, and judges as it does; an alias wants the provider's host named besides.
#[test]
fn a_socket_is_a_route_and_an_alias_is_for_its_host_only() {
    let (world, server) = provided("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    let ask = |socket: &str, target: &str, host: &str| {
        let text = format!("POST {target} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 2\r\n\r\n{{}}");
        world.say_at(socket, text.as_bytes())
    };
    let own = format!("{PROVIDER}:{}", server.port);
    let url = format!("http://{own}/v1/messages");
    for (socket, target, host) in [
        ("model1", "/v1/messages", "anything"),
        ("model1", "/v1/messages", "other.example"),
        ("alias1", "/v1/messages", PROVIDER),
        ("alias1", "/v1/messages", "API.Provider.example."),
        ("alias1", "/v1/messages", &*own),
        ("alias1", &*url, &*own),
    ] {
        let answer = ask(socket, target, host);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{socket} {target} {host}: {answer}");
        assert_clean(&world, &answer);
    }
    let reached = server.connections();
    for (socket, target, host, status) in [
        // The path is judged at either.
        ("model1", "/elsewhere", "x", 403),
        ("alias1", "/elsewhere", PROVIDER, 403),
        ("alias1", "/v1/messages", "other.example", 403),
        ("alias1", "/v1/messages", "api.provider.example:1", 403),
        ("alias1", "/v1/messages", "x@api.provider.example", 403),
        ("alias1", "/v1/messages", "api.provider.example.other.example", 403),
        ("alias1", "http://other.example/v1/messages", "other.example", 403),
        // Nor is it a proxy.
        ("model1", &*url, &*own, 400),
    ] {
        let answer = ask(socket, target, host);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{socket} {target} {host}: {answer}");
    }
    assert_eq!(server.connections(), reached, "nothing of it left");
    let journal = fs_err::read_to_string(&world.journal).unwrap();
    assert!(journal.contains("this socket leads to `api.provider.example` only"), "{journal}");
}

#[test]
fn s1_the_key_is_added_outside_and_the_dummy_removed() {
    let (world, server) = provided("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
    let answer = world.say(1, post("Content-Length: 2\r\n\r\n{}").as_bytes());
    assert_eq!(answer, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
    assert_eq!(
        server.heard(0),
        format!(
            "POST /v1/messages?beta=true HTTP/1.1\r\nHost: {PROVIDER}:{}\r\nx-api-key: {CANARY}\r\n\
             Accept-Encoding: identity\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{{}}",
            server.port
        )
    );
    assert_clean(&world, &answer);
    let journal = world.journal();
    assert_eq!(journal[0]["event"], "route");
    assert_eq!(journal[0]["target"], "claude-code");
    assert_eq!(journal[0]["path"], "/v1/messages");
    assert_eq!(journal[1]["status"], 200);
}

#[test]
fn s2_a_placeholder_sent_elsewhere_leaves_as_placeholder() {
    let plan = Plan::new(&[]);
    let provider =
        Server::http(Some((&plan.authority, PROVIDER)), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let plain = Server::http(None, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let tunnelled = Server::echo(Some((&plan.authority, "other.example")));
    let plan = plan.rule("other.example", &plain).rule("other.example", &tunnelled);
    let world = routed(plan, &provider);
    world.names.set("other.example", &["127.0.0.1"]);
    let host = format!("other.example:{}", plain.port);
    let answer = world.say(
        0,
        format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\nX-Api-Key: {PLACEHOLDER}\r\n\r\n").as_bytes(),
    );
    assert!(answer.contains(" 200 OK"));
    assert!(plain.heard(0).contains(&format!("X-Api-Key: {PLACEHOLDER}\r\n")));
    let stream = world.tunnel(&format!("other.example:{}", tunnelled.port)).unwrap();
    let mut tls = StreamOwned::new(world.authority.client("other.example"), stream);
    tls.write_all(PLACEHOLDER.as_bytes()).unwrap();
    let mut echo = [0; PLACEHOLDER.len()];
    tls.read_exact(&mut echo).unwrap();
    drop(tls);
    assert_eq!(tunnelled.heard(0), PLACEHOLDER);
    // The provider itself is not on the list: only the route leads there.
    assert!(world.tunnel(&format!("{PROVIDER}:{}", provider.port)).unwrap_err().contains(" 403 "));
    assert_eq!(provider.connections(), 0);
}

#[test]
fn s3_the_key_is_not_echoed() {
    let (world, server) = provided(
        "HTTP/1.1 401 bad key sk-canary-7f3a9c51d2e8\r\nX-Debug: got sk-canary-7f3a9c51d2e8\r\nX-Fine: yes\r\n\
         Content-Length: 41\r\n\r\n{\"error\":\"key sk-canary-7f3a9c51d2e8 no\"}",
    );
    let answer = world.say(1, post("Content-Length: 2\r\n\r\n{}").as_bytes());
    assert!(server.heard(0).contains(CANARY), "control: the provider did get it");
    assert!(answer.starts_with("HTTP/1.1 401 \r\n") && answer.contains("X-Fine: yes\r\n"), "{answer}");
    assert!(!answer.contains("X-Debug"));
    assert!(answer.ends_with("{\"error\":\"key ********************** no\"}"), "{answer}");
    assert_clean(&world, &answer);
    for method in ["TRACE", "TRACK", "CONNECT"] {
        let request = format!("{method} /v1/messages HTTP/1.1\r\nHost: x\r\n\r\n");
        let answer = world.say(1, request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 40"), "{method}: {answer}");
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn s3_the_key_is_found_in_chunks_however_they_are_cut() {
    let plan = Plan::new(&[]);
    let server = Server::raw(Some((&plan.authority, PROVIDER)), |stream, heard| {
        read_request(stream, heard);
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        for piece in ["data: ", "sk-can", "ary-7f3a9c5", "1d2e8", " and sk-can", "not"] {
            write!(stream, "{:x}\r\n{piece}\r\n", piece.len()).unwrap();
            stream.flush().unwrap();
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
        stream.flush().unwrap();
    });
    let world = routed(plan, &server);
    let answer = world.say(1, post("\r\n").as_bytes());
    assert!(!answer.contains("ary-7f3a9c5"), "{answer}");
    assert!(answer.contains("**********************") && answer.ends_with("0\r\n\r\n"), "{answer}");
    assert_clean(&world, &answer);
}

#[test]
fn s4_a_key_that_cannot_be_had_is_an_error_without_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(file.path(), format!("{CANARY}\n")).unwrap();
    let exposed = Credential::file(file.path(), &Surroundings::default()).unwrap();
    // Since it was found, others may read it.
    fs_err::set_permissions(file.path(), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    for credential in [
        Credential::Env("PINFOLD_TEST_NO_SUCH_KEY".into()),
        exposed,
        command(&["sh", "-c", &format!("echo {CANARY}; echo {CANARY} >&2; exit 1")]),
        command(&["sh", "-c", &format!("echo two {CANARY}")]),
    ] {
        let mut plan = Plan::new(&[]);
        let server =
            Server::http(Some((&plan.authority, PROVIDER)), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        plan.routes.push((route(1, &format!("https://{PROVIDER}:{}", server.port)), credential));
        let world = plan.build();
        world.names.set(PROVIDER, &["127.0.0.1"]);
        let answer = world.say(1, post("\r\n").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("route `claude-code`"), "{answer}");
        assert_clean(&world, &answer);
        assert_eq!(server.connections(), 0);
    }
}

#[test]
fn s4_a_provider_without_a_trusted_certificate_gets_no_key() {
    for (authority, name) in [(None, PROVIDER), (Some(()), "other.example")] {
        let plan = Plan::new(&[]);
        let stranger = Authority::new();
        let signer = if authority.is_some() { &*plan.authority } else { &stranger };
        let server = Server::raw(Some((signer, name)), |stream, heard| {
            read_request(stream, heard);
        });
        let world = routed(plan, &server);
        let answer = world.say(1, post("\r\n").as_bytes());
        assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("TLS to"), "{answer}");
        assert_eq!(server.heard(0), "");
        assert_clean(&world, &answer);
    }
}

#[test]
fn s5_a_key_that_is_no_longer_taken_is_asked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut plan = Plan::new(&[]);
    let server = Server::http(
        Some((&plan.authority, PROVIDER)),
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
    );
    let script = format!("echo x >> {0}; echo sk-canary-$(wc -l < {0})", dir.path().join("n").display());
    let credential = command(&["sh", "-c", &script]);
    plan.routes.push((route(1, &format!("https://{PROVIDER}:{}", server.port)), credential));
    let world = plan.build();
    world.names.set(PROVIDER, &["127.0.0.1"]);
    for number in 0..2 {
        assert!(world.say(1, post("\r\n").as_bytes()).starts_with("HTTP/1.1 401 "));
        assert!(server.heard(number).contains(&format!("x-api-key: sk-canary-{}\r\n", number + 1)));
    }
}

#[test]
fn s8_a_program_that_changed_between_two_requests_is_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let (ran, program) = (dir.path().join("ran"), dir.path().join("getkey.sh"));
    let script = |line: &str| format!("#!/bin/sh\necho x >> {}\n{line}\n", ran.display());
    fs_err::write(&program, script(&format!("echo {CANARY}"))).unwrap();
    fs_err::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut plan = Plan::new(&[]);
    // The provider takes no key, so that the next request asks for another at once.
    let server = Server::http(
        Some((&plan.authority, PROVIDER)),
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
    );
    let credential = command(&[program.to_str().unwrap()]);
    plan.routes.push((route(1, &format!("https://{PROVIDER}:{}", server.port)), credential));
    let world = plan.build();
    world.names.set(PROVIDER, &["127.0.0.1"]);
    assert!(world.say(1, post("\r\n").as_bytes()).starts_with("HTTP/1.1 401 "));
    assert!(server.heard(0).contains(CANARY), "control: it is run as it was found");
    let runs = || fs_err::read_to_string(&ran).unwrap().lines().count();
    assert_eq!(runs(), 1);

    fs_err::write(&program, script("echo sk-of-an-agent")).unwrap();
    let answer = world.say(1, post("\r\n").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.contains("has changed since it was found for a key"), "{answer}");
    assert_eq!((runs(), server.connections()), (1, 1), "nothing was run and nobody was asked");
    let journal = world.journal();
    let told = |line: &&serde_json::Value| {
        line["reason"].as_str().is_some_and(|reason| reason.contains("has changed"))
    };
    assert_eq!(journal.iter().filter(told).count(), 1, "{journal:?}");
    assert_clean(&world, &answer);
}

#[test]
fn s6_a_redirect_to_another_host_is_followed_without_the_key() {
    let other = Server::http(None, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let location = format!("http://other.example:{}/v1/messages", other.port);
    let plan = Plan::new(&[]).rule("other.example", &other);
    let answer: &'static str = Box::leak(
        format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n")
            .into(),
    );
    let provider = Server::http(Some((&plan.authority, PROVIDER)), answer);
    let world = routed(plan, &provider);
    world.names.set("other.example", &["127.0.0.1"]);
    let answer = world.say(1, post("\r\n").as_bytes());
    assert!(
        answer.starts_with("HTTP/1.1 307 ") && answer.contains(&format!("Location: {location}\r\n")),
        "{answer}"
    );
    assert_eq!(other.connections(), 0, "the supervisor must not follow it");
    // As an agent follows it: through the proxy, with what it has.
    let request = format!(
        "GET {location} HTTP/1.1\r\nHost: other.example:{}\r\nX-Api-Key: {PLACEHOLDER}\r\n\r\n",
        other.port
    );
    assert!(world.say(0, request.as_bytes()).contains(" 200 OK"));
    assert!(!other.heard(0).contains(CANARY) && other.heard(0).contains(PLACEHOLDER));
}

#[test]
fn s7_bodies_pass_whole_or_break() {
    let (world, server) = provided("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let answer = world.say(
        1,
        post("Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: z\r\n\r\n")
            .as_bytes(),
    );
    assert!(answer.contains(" 200 OK"), "{answer}");
    let heard = server.heard(0);
    let (head, body) = heard.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Transfer-Encoding: chunked") && !head.contains("Content-Length"));
    assert!(body == "5\r\nabcde\r\n0\r\n\r\n" || body == "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "{body:?}");
    // Cut short or malformed: the provider never sees an end.
    for body in
        ["Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nX\r\n", "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd"]
    {
        let answer = world.say(1, post(body).as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    let mut stream = world.connect(1);
    stream.write_all(post("Content-Length: 10\r\n\r\nabc").as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    for number in 1..4 {
        assert!(!server.heard(number).ends_with("0\r\n\r\n"));
    }
    // HTTP/2 with prior knowledge, and a second transfer coding.
    assert!(world.say(1, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert!(
        world
            .say(1, post("Transfer-Encoding: gzip, chunked\r\n\r\n").as_bytes())
            .starts_with("HTTP/1.1 400 ")
    );
    assert_eq!(server.connections(), 4);
}

#[test]
fn s7_an_answer_that_cannot_be_searched_is_refused() {
    let (world, _server) =
        provided("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc");
    let answer = world.say(1, post("\r\n").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("compressed"), "{answer}");
}

/// What is asked of the provider is a whole answer in plain bytes; what comes otherwise is not passed on.
#[test]
fn s3_no_part_of_the_key_comes_in_another_form() {
    let (world, server) = provided("HTTP/1.1 206 Partial Content\r\nContent-Length: 3\r\n\r\nsk-");
    let ranged = "Range: bytes=0-2\r\nIf-Range: \"x\"\r\nTE: trailers, gzip\r\nAccept-Encoding: gzip\r\n\r\n";
    let answer = world.say(1, post(ranged).as_bytes());
    assert!(answer.starts_with("HTTP/1.1 502 ") && answer.contains("a part"), "{answer}");
    let heard = server.heard(0);
    assert!(
        !heard.contains("ange") && !heard.contains("gzip") && heard.contains("Accept-Encoding: identity"),
        "{heard}"
    );
    // As `printf "Bearer KEY" | base64` and `jq -rR @uri` write it; in trailers and chunk extensions, which are dropped.
    let (world, _server) = provided(
        "HTTP/1.1 200 %73k-canary-7f3a9c51d2e8\r\nX-A: QmVhcmVyIHNrLWNhbmFyeS03ZjNhOWM1MWQyZTg=\r\n\
         X-sk-canary-7f3a9c51d2e8: 1\r\nX-B: SK-CANARY-7F3A9C51D2E8\r\nX-Fine: yes\r\nTransfer-Encoding: chunked\r\n\r\n\
         1c;sk-canary-7f3a9c51d2e8\r\n{\"k\":\"\\u0073k-canary-7f3a9c5\r\n7\r\n1d2e8\"}\r\n\
         0\r\nX-T: sk-canary-7f3a9c51d2e8\r\n\r\n",
    );
    let answer = world.say(1, post("\r\n").as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert_eq!(head, "HTTP/1.1 200 \r\nX-Fine: yes\r\nTransfer-Encoding: chunked\r\nConnection: close");
    let body: String = body.lines().filter(|line| line.starts_with(['{', '*'])).collect();
    assert_eq!(body, format!("{{\"k\":\"{}\"}}", "*".repeat(27)));
}

#[test]
fn s7_an_answer_cut_short_is_seen_as_such() {
    for answer in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
    ] {
        let (world, _server) = provided(answer);
        let answer = world.say(1, post("\r\n").as_bytes());
        assert!(answer.contains("hello") && !answer.ends_with("0\r\n\r\n"), "{answer}");
    }
    // Control: without a length the end of the connection is the end, and becomes a last chunk.
    let (world, _server) = provided("HTTP/1.1 200 OK\r\n\r\nhello");
    assert!(world.say(1, post("\r\n").as_bytes()).ends_with("5\r\nhello\r\n0\r\n\r\n"));
}

#[test]
fn events_stream_as_they_come() {
    let plan = Plan::new(&[]);
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let server = Server::raw(Some((&plan.authority, PROVIDER)), move |stream, heard| {
        read_request(stream, heard);
        stream
            .write_all(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
            )
            .unwrap();
        for number in 0..3 {
            let event = format!("data: {number}\n\n");
            write!(stream, "{:x}\r\n{event}\r\n", event.len()).unwrap();
            stream.flush().unwrap();
            // The next event is sent only after the client has seen this one.
            wait.lock().unwrap().recv_timeout(Duration::from_secs(10)).unwrap();
        }
        stream.write_all(b"0\r\n\r\n").unwrap();
        stream.flush().unwrap();
    });
    let world = routed(plan, &server);
    let mut stream = world.connect(1);
    stream.write_all(post("\r\n").as_bytes()).unwrap();
    let mut text = String::new();
    for number in 0..3 {
        while !text.contains(&format!("data: {number}\n\n")) {
            let mut buffer = [0; 1024];
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "{text}");
            text.push_str(str::from_utf8(&buffer[..count]).unwrap());
        }
        go.send(()).unwrap();
    }
    stream.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("0\r\n\r\n"));
    assert!(text.contains("Content-Type: text/event-stream\r\n"));
}

#[test]
fn a_client_that_leaves_ends_the_request_at_the_provider() {
    let plan = Plan::new(&[]);
    let server = Server::raw(Some((&plan.authority, PROVIDER)), |stream, heard| {
        read_request(stream, heard);
        // Thinks until the connection ends.
        let _ = stream.read(&mut [0; 8]);
        heard.extend_from_slice(b"<gone>");
    });
    let world = routed(plan, &server);
    let mut stream = world.connect(1);
    stream.write_all(post("\r\n").as_bytes()).unwrap();
    while server.connections() == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(50));
    drop(stream);
    assert!(server.heard(0).ends_with("<gone>"));
}

#[test]
fn a_route_is_for_its_paths_only() {
    let (world, server) = provided("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    for path in [
        "/v1/files",
        "/v1/messages/../files",
        "/v1/messages%2f..%2ffiles",
        "/",
        "http://evil.example/v1/messages",
    ] {
        let request = format!("POST {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n");
        let answer = world.say(1, request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 40"), "{path}: {answer}");
    }
    assert_eq!(server.connections(), 0);
    let expecting = post("Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}");
    let answer = world.say(1, expecting.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(!server.heard(0).contains("Expect"));
}

/// Row S8: what a provider would take for a second credential, another method or another address.
#[test]
fn s8_nothing_travels_beside_the_key() {
    let (world, server) = provided("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let foreign = "foreign-9d41c7";
    let names = [
        "Authorization",
        "X-Api-Key",
        "X_Api_Key",
        "x-api_key",
        "Api-Key",
        "X-Goog-Api-Key",
        "x_goog_api_key",
        "X-Goog-User-Project",
        "OpenAI-Organization",
        "OpenAI-Project",
        "Anthropic-Workspace-Id",
        "Cookie",
        "X-HTTP-Method-Override",
        "X-Original-URL",
        "X-Rewrite-URL",
        "Forwarded",
        "X-Forwarded-Host",
        "Range",
        "If-Range",
        "X-Whatever",
    ];
    let fields = names.map(|name| format!("{name}: {foreign}\r\n")).concat();
    // Trailers as well, and a chunk's extension.
    let body = format!(
        "{fields}Trailer: X-Api-Key\r\nTransfer-Encoding: chunked\r\n\r\n2;k={foreign}\r\n{{}}\r\n0\r\nX-Api-Key: \
         {foreign}\r\n\r\n"
    );
    assert!(world.say(1, post(&body).as_bytes()).starts_with("HTTP/1.1 200 "));
    assert_eq!(
        server.heard(0),
        format!(
            "POST /v1/messages?beta=true HTTP/1.1\r\nHost: {PROVIDER}:{}\r\nx-api-key: {CANARY}\r\n\
             Accept-Encoding: identity\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n",
            server.port
        )
    );
    for query in [
        "key=F",
        "access_token=F",
        "$key=F",
        "%24key=F",
        "beta=true&key=F",
        "beta=true;key=F",
        "Beta=true&KEY=F",
    ] {
        let query = query.replace('F', foreign);
        let request = format!("POST /v1/messages?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        let answer = world.say(1, request.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("the query"), "{query}: {answer}");
        assert!(!answer.contains(foreign), "{answer}");
    }
    let form = format!(
        "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 27\r\n\r\naccess_token={foreign}"
    );
    assert!(world.say(1, post(&form).as_bytes()).contains("the content type"));
    assert_eq!(server.connections(), 1);
    // Control: the same forms with nothing foreign in them arrive, as they were written.
    let plain = "Accept: a\r\ncontent-type: application/json\r\nContent-Length: 2\r\n\r\n{}";
    assert!(world.say(1, post(plain).as_bytes()).starts_with("HTTP/1.1 200 "));
    assert!(server.heard(1).contains("\r\nAccept: a\r\ncontent-type: application/json\r\nx-api-key: "));
}

/// What `claude setup-token` prints is a bearer, and the program says in a beta of its own that it is one of a subscription
/// (as recorded in `engine::project::recipe`). All of that arrives, with the token for the dummy and nothing added.
#[test]
fn the_token_of_a_subscription_travels_as_the_program_sends_it() {
    let plan = Plan::new(&[]);
    let server =
        Server::http(Some((&plan.authority, PROVIDER)), "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let world = bearer(plan, &server);
    let passed = "Accept: application/json\r\nContent-Type: application/json\r\n\
                  User-Agent: claude-cli/2.1.332 (external, sdk-cli)\r\n\
                  X-Claude-Code-Session-Id: 00000000-0000-4000-8000-000000000000\r\nX-Stainless-Lang: js\r\n\
                  anthropic-beta: claude-code-20250219,oauth-2025-04-20,effort-2025-11-24\r\n\
                  anthropic-dangerous-direct-browser-access: true\r\nanthropic-version: 2023-06-01\r\nx-app: cli\r\n";
    let sent = |authorization: &str| {
        world.say(
            1,
            format!(
                "POST /v1/messages?beta=true HTTP/1.1\r\n{authorization}{passed}Connection: keep-alive\r\n\
                 Host: 127.0.0.1:3129\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nContent-Length: 2\r\n\r\n{{}}"
            )
            .as_bytes(),
        )
    };
    // The second and third hold what is not ours: another's credential never leaves beside or instead of the token.
    let dummies = [PLACEHOLDER, "foreign-9d41c7"].map(|key| format!("Authorization: Bearer {key}\r\n"));
    let own = format!("X-Api-Key: foreign-9d41c7\r\n{}", dummies[0]);
    for (index, authorization) in [&dummies[0], &dummies[1], &own].into_iter().enumerate() {
        let answer = sent(authorization);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert_eq!(
            server.heard(index),
            format!(
                "POST /v1/messages?beta=true HTTP/1.1\r\nHost: {PROVIDER}:{}\r\n{passed}\
                 Authorization: Bearer {CANARY}\r\nAccept-Encoding: identity\r\nContent-Length: 2\r\n\
                 Connection: close\r\n\r\n{{}}",
                server.port
            )
        );
        assert_clean(&world, &answer);
    }
}

#[test]
fn a_preamble_of_a_route_that_is_not_there_is_refused() {
    let world = Plan::new(&["good.example"]).build();
    let socket = world.journal.with_file_name("egress.sock");
    let none = "HTTP/1.1 400 ";
    for (preamble, expected) in [([1, 9], none), ([2, 9], none), ([3, 0], ""), ([0, 0], "")] {
        let mut stream = std::os::unix::net::UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(&preamble).unwrap();
        stream.write_all(b"GET /v1/messages HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            answer.starts_with(expected) && (answer.is_empty() == expected.is_empty()),
            "{preamble:?}: {answer}"
        );
    }
}
