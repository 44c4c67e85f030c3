//! Requests whose answers are values, against a server that misbehaves on request. What must be sent and refused follows from
//! RFC 9110 and from the promises in `http::exchange`.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io;
use std::io::Read;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pinfold_base::Diagnose as _;
use pinfold_base::Kind;
use pinfold_base::address::LoopbackForTests;
use pinfold_base::http::Auth;
use pinfold_base::http::Client;
use pinfold_base::http::Content;
use pinfold_base::http::Exchange;
use pinfold_base::http::Expect;
use pinfold_base::http::HttpError;
use pinfold_base::http::Method;
use pinfold_base::http::Named;
use pinfold_base::http::Options;
use pinfold_base::http::Reply;
use pinfold_base::http::SafeUrl;
use pinfold_base::http::Secret;
use pinfold_testkit::http::Fault;
use pinfold_testkit::http::Response;
use pinfold_testkit::http::Server;

fn client() -> Client {
    Client::with(Options {
        retries: 2,
        pause: Duration::from_millis(1),
        idle_timeout: Duration::from_secs(20),
        loopback: Some(LoopbackForTests),
        ..Options::default()
    })
}

fn url(server: &Server, path: &str) -> SafeUrl {
    SafeUrl::parse(&server.url(path)).unwrap()
}

fn ask(method: Method, url: &SafeUrl, content: Content<'_>) -> Result<Reply, HttpError> {
    let auth = Auth::Bearer(Secret::new("s3cret"));
    let named = Named::ByMachine;
    client().exchange(&Exchange {
        method,
        url,
        named,
        led_by: None,
        auth: &auth,
        headers: &[("accept", "a/b")],
        content,
    })
}

fn stream(open: &dyn Fn() -> io::Result<Box<dyn Read + Send>>, length: u64) -> Content<'_> {
    Content::Stream { open, length, expect: Expect::Nothing }
}

#[test]
fn every_status_is_a_value_and_every_method_sends_what_it_is_given() {
    for status in [200, 201, 202, 204, 400, 401, 404, 405, 413, 416, 429, 500, 503] {
        let server = Server::start(move |_| Response::status(status).header("X-A", "1").header("X-A", "2"));
        let open = || -> io::Result<Box<dyn Read + Send>> { Ok(Box::new(&b"streamed"[..])) };
        for (method, name, content, sent) in [
            (Method::Head, "HEAD", Content::None, None),
            (Method::Get, "GET", Content::None, None),
            (Method::Post, "POST", Content::None, Some(&b""[..])),
            (Method::Post, "POST", Content::Bytes(b"bytes"), Some(b"bytes")),
            (Method::Put, "PUT", stream(&open, 8), Some(b"streamed")),
            (Method::Patch, "PATCH", stream(&open, 8), Some(b"streamed")),
            (Method::Delete, "DELETE", Content::None, None),
        ] {
            let reply = ask(method, &url(&server, "/x"), content).unwrap();
            assert_eq!((reply.status(), reply.all("x-a")), (status, vec!["1", "2"]));
            let request = server.requests().pop().unwrap();
            assert_eq!((request.method.as_str(), &request.body[..]), (name, sent.unwrap_or_default()));
            let length = sent.map(|sent| sent.len().to_string());
            assert_eq!(request.header("content-length"), length.as_deref(), "{name}");
            assert_eq!(request.header("transfer-encoding"), None);
            assert_eq!(request.header("accept-encoding"), Some("identity"));
            assert_eq!(request.header("accept"), Some("a/b"));
        }
    }
}

#[test]
fn content_is_opened_anew_where_a_redirect_keeps_it_and_credentials_stay_behind() {
    for (status, method, followed) in [
        (307, Method::Put, true),
        (308, Method::Post, true),
        (301, Method::Put, false),
        (302, Method::Post, false),
        (303, Method::Patch, false),
        (302, Method::Get, true),
        (303, Method::Head, true),
    ] {
        let other = Server::start(|_| Response::status(201));
        let to = other.url("/there");
        let server = Server::start(move |_| Response::redirect(status, &to));
        let opened = AtomicUsize::new(0);
        let open = || -> io::Result<Box<dyn Read + Send>> {
            opened.fetch_add(1, Ordering::SeqCst);
            Ok(Box::new(&b"body"[..]))
        };
        let reads = matches!(method, Method::Get | Method::Head);
        let content = if reads { Content::None } else { stream(&open, 4) };
        let reply = ask(method, &url(&server, "/x"), content);
        assert_eq!(server.requests()[0].header("authorization"), Some("Bearer s3cret"));
        if !followed {
            assert!(matches!(reply, Err(HttpError::Redirect { .. })), "{status} {method:?}");
            assert_eq!(other.requests().len(), 0);
            continue;
        }
        let reply = reply.unwrap();
        assert_eq!((reply.status(), reply.url().port()), (201, other.port()));
        let request = &other.requests()[0];
        assert_eq!(request.header("authorization"), None, "a port is another origin");
        if !reads {
            assert_eq!((&request.body[..], opened.load(Ordering::SeqCst)), (&b"body"[..], 2));
        }
    }
}

/// A registry on loopback leads nobody to another service of this machine.
#[test]
fn a_server_on_loopback_leads_only_to_itself() {
    let other = Server::start(|_| Response::ok("inner"));
    let to = other.url("/");
    let server = Server::start(move |request| match request.path.as_str() {
        "/out" => Response::redirect(307, &to),
        "/self" => Response::redirect(307, "/end"),
        _ => Response::ok("own"),
    });
    let client = Client::with(Options { retries: 0, ..Options::default() });
    let ask = |path: &str| {
        client.exchange(&Exchange {
            method: Method::Get,
            url: &url(&server, path),
            named: Named::ByMachine,
            led_by: None,
            auth: &Auth::None,
            headers: &[],
            content: Content::None,
        })
    };
    assert_eq!(ask("/self").unwrap().bytes(10).unwrap(), b"own");
    let error = ask("/out").unwrap_err();
    assert!(matches!(error, HttpError::Inward { .. }) && error.kind() == Kind::Refused, "{error}");
    assert_eq!(other.requests().len(), 0);
}

/// What a token server is sent beside `Authorization` must not leave it either (307 repeats content).
#[test]
fn a_secret_is_sent_to_no_other_origin() {
    let other = Server::start(|_| Response::ok("taken"));
    let to = other.url("/");
    let server = Server::start(move |request| match request.path.as_str() {
        "/out" => Response::redirect(307, &to),
        "/self" => Response::redirect(307, "/end"),
        _ => Response::ok("own"),
    });
    let secret = Secret::new("refresh_token=s3cret");
    assert_eq!(ask(Method::Post, &url(&server, "/self"), Content::Secret(&secret)).unwrap().status(), 200);
    assert_eq!(server.requests()[1].body, b"refresh_token=s3cret");
    let error = ask(Method::Post, &url(&server, "/out"), Content::Secret(&secret)).unwrap_err();
    assert!(matches!(error, HttpError::Redirect { .. }), "{error}");
    assert_eq!(other.requests().len(), 0);
    assert!(!format!("{error:?} {:?}", Content::Secret(&secret)).contains("s3cret"));
    // The control: what is no secret goes there.
    assert_eq!(ask(Method::Post, &url(&server, "/out"), Content::Bytes(b"open")).unwrap().status(), 200);
}

/// An address that a server names is reached as a redirect of that server would be.
#[test]
fn who_is_led_by_an_answer_reaches_no_further_than_by_a_redirect() {
    let server = Server::start(|_| Response::ok("own"));
    let other = Server::start(|_| Response::ok("inner"));
    let client = Client::with(Options { retries: 0, ..Options::default() });
    let first = url(&server, "/");
    let ask = |url: &SafeUrl, led_by: Option<&SafeUrl>| {
        let (method, named, auth) = (Method::Get, Named::ByMachine, &Auth::None);
        client.exchange(&Exchange { method, url, named, led_by, auth, headers: &[], content: Content::None })
    };
    assert_eq!(ask(&url(&server, "/x"), Some(&first)).unwrap().status(), 200);
    let error = ask(&url(&other, "/"), Some(&first)).unwrap_err();
    assert!(matches!(error, HttpError::Inward { .. }), "{error}");
    assert_eq!(other.requests().len(), 0);
    assert_eq!(ask(&url(&other, "/"), None).unwrap().status(), 200);
}

#[test]
fn content_that_is_not_what_was_announced_is_this_machines_failure() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let server = Server::start(|_| Response::status(201));
    let short = || -> io::Result<Box<dyn Read + Send>> { Ok(Box::new(&b"only this"[..])) };
    let broken = || -> io::Result<Box<dyn Read + Send>> { Ok(Box::new(Broken)) };
    let closed = || -> io::Result<Box<dyn Read + Send>> { Err(io::Error::other("no such file")) };
    for (content, reason) in [
        (stream(&short, 100_000), "it ended after 9 of 100000 bytes"),
        (stream(&broken, 10), "the disk is gone"),
        (stream(&closed, 10), "no such file"),
    ] {
        let error = ask(Method::Put, &url(&server, "/x"), content).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.kind()), (reason, Kind::System));
    }
    assert_eq!(server.requests().len(), 0, "nothing came whole");
    assert_eq!(ask(Method::Put, &url(&server, "/x"), stream(&short, 9)).unwrap().status(), 201);
}

#[test]
fn who_asks_first_hears_why_it_is_refused() {
    let refuse =
        |request: &pinfold_testkit::http::Request| (request.path == "/large").then(|| Response::status(413));
    let server = Server::asked_first(refuse, |_| Response::status(201));
    let opened = AtomicUsize::new(0);
    let open = || -> io::Result<Box<dyn Read + Send>> {
        opened.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(io::repeat(7).take(5 << 20)))
    };
    let content = Content::Stream { open: &open, length: 5 << 20, expect: Expect::Continue };
    let reply = ask(Method::Put, &url(&server, "/large"), content).unwrap();
    assert_eq!(reply.status(), 413);
    assert_eq!(server.requests()[0].body.len(), 0);
    let reply = ask(Method::Put, &url(&server, "/small"), content).unwrap();
    assert_eq!((reply.status(), server.requests()[1].body.len()), (201, 5 << 20));
}

#[test]
fn what_an_answer_holds_is_bounded_and_whole() {
    let bodies = |fault: Fault| Server::start(move |_| Response::ok(vec![b'x'; 100]).fault(fault));
    let get = |server: &Server| ask(Method::Get, &url(server, "/"), Content::None).unwrap();
    assert_eq!(get(&bodies(Fault::None)).bytes(100).unwrap().len(), 100);
    assert_eq!(get(&bodies(Fault::NoLength)).bytes(100).unwrap().len(), 100);
    for fault in [Fault::None, Fault::NoLength] {
        let error = get(&bodies(fault)).bytes(99).unwrap_err();
        assert!(matches!(error, HttpError::TooLong { limit: 99, .. }), "{error}");
    }
    for cut in [0, 1, 99] {
        let error = get(&bodies(Fault::CutAfter(cut))).bytes(100).unwrap_err();
        assert!(error.is_passing(), "{error}");
        let mut all = Vec::new();
        get(&bodies(Fault::CutAfter(cut))).reader().read_to_end(&mut all).unwrap_err();
        assert_eq!(all.len(), cut);
    }
    let head = ask(Method::Head, &url(&bodies(Fault::None), "/"), Content::None).unwrap();
    assert_eq!((head.length(), head.bytes(0).unwrap().len()), (Some(100), 0));
}

/// An answer that is cut anywhere is an error or, cut behind its end, the answer: never half of it.
#[test]
fn an_answer_cut_at_any_byte_is_no_answer() {
    let whole = "HTTP/1.1 201 Status\r\nLocation: /next\r\nContent-Length: 4\r\n\r\nbody";
    for n in 0..=whole.len() {
        let server = Server::start(move |_| {
            Response { status: 201, ..Response::ok("body") }
                .header("Location", "/next")
                .fault(Fault::CutAt(n))
        });
        let answer = ask(Method::Post, &url(&server, "/"), Content::Bytes(b"x"))
            .and_then(|reply| Ok((reply.location()?, reply.bytes(10)?)));
        match answer {
            Ok((location, body)) => {
                assert_eq!((n, location.path(), &body[..]), (whole.len(), "/next", &b"body"[..]));
            }
            Err(error) => assert!(n < whole.len() && error.is_passing(), "{n}: {error}"),
        }
    }
}

#[test]
fn where_to_go_on_is_resolved_and_its_query_stays_hidden() {
    for (location, path) in [
        ("/v2/a/uploads/1?_state=s3cret", "/v2/a/uploads/1"),
        ("uploads/2?_state=s3cret", "/v2/a/uploads/2"),
        ("http://other.example/up?_state=s3cret", "/up"),
    ] {
        let server = Server::start(move |_| Response::status(202).header("Location", location));
        let reply = ask(Method::Post, &url(&server, "/v2/a/b"), Content::None).unwrap();
        let next = reply.location().unwrap();
        assert_eq!(next.path(), path);
        assert!(next.expose().expose().ends_with("?_state=s3cret"));
        for text in [format!("{next} {next:?}"), format!("{reply:?}")] {
            assert!(!text.contains("s3cret"), "{text}");
        }
    }
    for location in ["file:///etc/passwd", "http://[::1", "ftp://h.example/"] {
        let server = Server::start(move |_| Response::status(202).header("Location", location));
        let reply = ask(Method::Post, &url(&server, "/"), Content::None).unwrap();
        assert!(matches!(reply.location(), Err(HttpError::Redirect { .. })), "{location}");
    }
    let server = Server::start(|_| Response::status(202));
    let reply = ask(Method::Post, &url(&server, "/"), Content::None).unwrap();
    assert!(reply.location().unwrap_err().to_string().contains("where to go on"));
}

#[test]
fn how_long_to_wait_is_told_in_seconds_or_as_a_date() {
    // RFC 9110, section 10.2.3; the date is counted from the server's own.
    for (value, expected) in [
        ("120", Some(120)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some(30)),
        ("Sun, 06 Nov 1994 08:40:00 GMT", Some(0)),
        ("soon", None),
        ("-1", None),
    ] {
        let server = Server::start(move |_| {
            Response::status(429).header("Retry-After", value).header("Date", "Sun, 06 Nov 1994 08:49:07 GMT")
        });
        let reply = ask(Method::Get, &url(&server, "/"), Content::None).unwrap();
        assert_eq!(reply.retry_after(), expected.map(Duration::from_secs), "{value}");
    }
    let client = client();
    let mut attempts = client.attempts();
    let mut again = |asked| attempts.again(Duration::ZERO, 0, asked);
    assert!(again(Some(Duration::ZERO)) && again(None));
    assert!(!again(Some(Duration::from_secs(3600))), "patience has an end, and nobody waits there");
    assert!(!Client::offline().attempts().again(Duration::ZERO, 0, None));
}

#[test]
fn an_offline_client_asks_nobody() {
    let server = Server::start(|_| Response::ok(""));
    let exchange = Exchange {
        method: Method::Get,
        url: &url(&server, "/"),
        named: Named::ByMachine,
        led_by: None,
        auth: &Auth::None,
        headers: &[],
        content: Content::None,
    };
    assert!(matches!(Client::offline().exchange(&exchange), Err(HttpError::Offline { .. })));
    assert_eq!(server.requests().len(), 0);
}
