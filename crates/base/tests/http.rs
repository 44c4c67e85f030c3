//! The HTTP client against a server that misbehaves on request. What must be asked and stored follows from RFC 9110 and from
//! the promises in `http`'s own documentation.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::Algorithm;
use pinfold_base::Diagnose as _;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::Reporter;
use pinfold_base::Store;
use pinfold_base::address::LoopbackForTests;
use pinfold_base::http::Auth;
use pinfold_base::http::Client;
use pinfold_base::http::Get;
use pinfold_base::http::HttpError;
use pinfold_base::http::Options;
use pinfold_base::http::Proxies;
use pinfold_base::http::SafeUrl;
use pinfold_base::http::Secret;
use pinfold_base::http::Source;
use pinfold_base::http::Step;
use pinfold_base::report::Silent;
use pinfold_base::report::Stage;
use pinfold_base::store::Expected;
use pinfold_testkit::http::Fault;
use pinfold_testkit::http::Request;
use pinfold_testkit::http::Response;
use pinfold_testkit::http::Server;

fn quick() -> Options {
    Options {
        retries: 2,
        pause: Duration::from_millis(5),
        idle_timeout: Duration::from_millis(300),
        connect_timeout: Duration::from_secs(5),
        ..Options::default()
    }
}

fn client() -> Client {
    Client::with(quick())
}

fn url(server: &Server, path: &str) -> SafeUrl {
    SafeUrl::parse(&server.url(path)).unwrap()
}

fn get(server: &Server, path: &str) -> Result<Vec<u8>, HttpError> {
    client().get(&url(server, path), &Get::default())
}

type Answer = Box<dyn Fn(&Request) -> Response + Send + Sync>;

/// A server whose n-th answer is the n-th of these; the last one is repeated.
fn in_turn(answers: Vec<Answer>) -> Server {
    let next = AtomicUsize::new(0);
    Server::start(move |request| {
        let turn = next.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        answers[turn](request)
    })
}

macro_rules! answers {
    ($($answer:expr),+ $(,)?) => {{
        let answers: Vec<Answer> = vec![$(Box::new($answer)),+];
        in_turn(answers)
    }};
}

#[test]
fn a_request_says_who_asks_for_what() {
    let server = Server::start(|_| Response::ok("hello"));
    let auth = Auth::Bearer(Secret::new("t0ken"));
    let get = Get { accept: Some("application/json"), auth, limit: 5 };
    assert_eq!(client().get(&url(&server, "/a/b?c"), &get).unwrap(), b"hello");
    let request = &server.requests()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", "/a/b?c"));
    assert_eq!(request.header("accept"), Some("application/json"));
    assert_eq!(request.header("authorization"), Some("Bearer t0ken"));
    assert!(request.header("user-agent").unwrap().starts_with("pinfold/"));
}

/// The answer, found right.
fn kept(client: &Client, at: &SafeUrl, get: &Get<'_>) -> Result<Vec<u8>, HttpError> {
    client.current(at, get)?.judge(|bytes| Ok(bytes.to_vec()))
}

#[test]
fn a_kept_answer_is_asked_about_and_used_only_when_it_is_still_right() {
    // RFC 9110: 304 where the validator that was given is still that of the resource (sections 13.1.2, 13.1.3).
    for (header, condition, tag) in [
        ("ETag", "if-none-match", |version: usize| format!("\"v{version}\"")),
        ("ETag", "if-none-match", |version: usize| format!("W/\"v{version}\"")),
        ("Last-Modified", "if-modified-since", |version: usize| {
            format!("Sat, 11 Jul 2026 10:16:3{version} GMT")
        }),
    ] as [(&'static str, &'static str, fn(usize) -> String); 3]
    {
        let version = std::sync::Arc::new(AtomicUsize::new(1));
        let now = version.clone();
        let server = Server::start(move |request| {
            let now = now.load(Ordering::SeqCst);
            if request.header(condition) == Some(&tag(now)) {
                return Response::status(304);
            }
            Response::ok(format!("text {now}")).header(header, &tag(now))
        });
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let online = || client().keeping(&store, "kept");
        let offline = Client::offline().keeping(&store, "kept");
        let keep = Get::default();
        let at = url(&server, "/x");
        assert!(matches!(kept(&offline, &at, &keep), Err(HttpError::Offline { .. })));
        for _ in 0..2 {
            assert_eq!(kept(&online(), &at, &keep).unwrap(), b"text 1");
        }
        assert_eq!(server.requests()[1].header(condition), Some(tag(1).as_str()));
        version.store(2, Ordering::SeqCst);
        assert_eq!(kept(&online(), &at, &keep).unwrap(), b"text 2");
        assert_eq!(kept(&online(), &at, &keep).unwrap(), b"text 2");
        let asked = server.requests().len();
        assert_eq!(kept(&offline, &at, &keep).unwrap(), b"text 2");
        // What is not to be kept is neither written nor taken; other media types and addresses are other answers.
        assert!(offline.get(&at, &Get::default()).is_err());
        assert!(kept(&offline, &at, &Get { accept: Some("text/plain"), ..keep.clone() }).is_err());
        assert!(kept(&offline, &url(&server, "/y"), &keep).is_err());
        assert!(kept(&offline, &at, &Get { limit: 3, ..keep.clone() }).is_err());
        assert_eq!(server.requests().len(), asked);
        // A changed byte on the disk is not believed: the server is asked as if there were nothing.
        let file = fs_err::read_dir(dir.path().join("kept")).unwrap().next().unwrap().unwrap().path();
        let text = fs_err::read_to_string(&file).unwrap();
        fs_err::write(&file, text.replace("text 2", "text 9")).unwrap();
        assert!(kept(&offline, &at, &keep).is_err());
        assert_eq!(kept(&online(), &at, &keep).unwrap(), b"text 2");
        assert_eq!(server.requests().last().unwrap().header(condition), None);
    }
}

#[test]
fn a_login_is_not_written_beside_a_kept_answer() {
    let server = Server::start(|_| Response::ok("x").header("ETag", "\"1\""));
    let dir = tempfile::tempdir().unwrap();
    let client = client().keeping(&Store::open(dir.path()).unwrap(), "kept");
    let text = server.url("/x").replace("http://", "http://me:s3cret@");
    let get = Get { auth: Auth::Bearer(Secret::new("t0ken")), ..Get::default() };
    kept(&client, &SafeUrl::parse(&text).unwrap(), &get).unwrap();
    let file = fs_err::read_dir(dir.path().join("kept")).unwrap().next().unwrap().unwrap().path();
    let text = fs_err::read_to_string(file).unwrap();
    assert!(text.ends_with("\nx") && !text.contains("s3cret") && !text.contains("t0ken"), "{text}");
}

#[test]
fn an_answer_is_kept_only_when_it_was_right() {
    let says = std::sync::Arc::new(std::sync::Mutex::new("right 1"));
    let now = says.clone();
    // It calls everything by one name, as a portal does that has caught the line.
    let server = Server::start(move |request| match request.header("if-none-match") {
        Some(_) => Response::status(304),
        None => Response::ok(*now.lock().unwrap()).header("ETag", "\"1\""),
    });
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (online, offline) = (client().keeping(&store, "kept"), Client::offline().keeping(&store, "kept"));
    let at = url(&server, "/x");
    let judged = |client: &Client, right: &str| {
        let answer = client.current(&at, &Get::default())?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Ok::<_, HttpError>(
            answer
                .judge(|bytes| if text(bytes).contains(right) { Ok(text(bytes)) } else { Err(text(bytes)) }),
        )
    };
    // The page of a portal: it is read, and not kept.
    *says.lock().unwrap() = "pay first";
    assert_eq!(judged(&online, "right").unwrap(), Err("pay first".to_owned()));
    assert!(judged(&offline, "right").is_err(), "nothing was kept");
    *says.lock().unwrap() = "right 1";
    assert_eq!(judged(&online, "right").unwrap(), Ok("right 1".to_owned()));
    assert_eq!(server.requests().last().unwrap().header("if-none-match"), None);
    assert_eq!(judged(&offline, "right").unwrap(), Ok("right 1".to_owned()));
    // What was right once and is not any more: offline it stays, since nobody could bring another; else it is forgotten.
    assert_eq!(judged(&offline, "2").unwrap(), Err("right 1".to_owned()));
    assert_eq!(
        judged(&online, "2").unwrap(),
        Err("right 1".to_owned()),
        "the server says that nothing has changed"
    );
    *says.lock().unwrap() = "right 2";
    assert_eq!(judged(&online, "2").unwrap(), Ok("right 2".to_owned()));
}

#[test]
fn what_one_login_was_told_no_other_is_given() {
    let server = Server::start(|request| {
        let who = request.header("authorization").unwrap_or("nobody").to_owned();
        let response =
            if request.header("if-none-match").is_some() { Response::status(304) } else { Response::ok(who) };
        response.header("ETag", "\"1\"")
    });
    let dir = tempfile::tempdir().unwrap();
    let client = client().keeping(&Store::open(dir.path()).unwrap(), "kept");
    let plain = server.url("/x");
    let told = |text: &str, auth: Auth| {
        let get = Get { auth, ..Get::default() };
        String::from_utf8(kept(&client, &SafeUrl::parse(text).unwrap(), &get).unwrap()).unwrap()
    };
    let bearer = |token: &str| Auth::Bearer(Secret::new(token));
    for _ in 0..2 {
        assert_eq!(told(&plain, bearer("one")), "Bearer one");
        assert_eq!(told(&plain, bearer("two")), "Bearer two");
        assert_eq!(told(&plain, Auth::None), "nobody");
        // RFC 7617: `a:b` and `a:c` in Base64.
        assert_eq!(told(&plain.replace("//", "//a:b@"), Auth::None), "Basic YTpi");
        assert_eq!(told(&plain.replace("//", "//a:c@"), Auth::None), "Basic YTpj");
    }
    assert_eq!(
        server.requests().iter().filter(|request| request.header("if-none-match").is_some()).count(),
        5
    );
}

#[test]
fn connections_are_kept() {
    let server = Server::start(|_| Response::ok("x"));
    let client = client();
    for _ in 0..5 {
        client.get(&url(&server, "/"), &Get::default()).unwrap();
    }
    assert_eq!((server.requests().len(), server.connections()), (5, 1));
}

#[test]
fn passing_failures_are_retried_and_final_ones_are_not() {
    for status in [408, 429, 500, 502, 503, 504] {
        let server = answers![move |_| Response::status(status), |_| Response::ok("x")];
        assert_eq!(get(&server, "/").unwrap(), b"x", "{status}");
    }
    let server = answers![|_| Response::ok("x").fault(Fault::HangUp), |_| Response::ok("x")];
    assert_eq!(get(&server, "/").unwrap(), b"x");
    for status in [400, 401, 403, 404, 410, 501] {
        let server = answers![move |_| Response::status(status), |_| Response::ok("x")];
        let error = get(&server, "/").unwrap_err();
        assert!(matches!(error, HttpError::Status { status: found, .. } if found == status), "{error}");
        assert_eq!(server.requests().len(), 1);
        assert_eq!(error.is_not_found(), matches!(status, 404 | 410));
    }
    let server = Server::start(|_| Response::status(503));
    assert_eq!(get(&server, "/").unwrap_err().kind(), Kind::Network);
    assert_eq!(server.requests().len(), 3, "one request and two retries");
}

#[test]
fn the_pause_that_a_server_asks_for_is_kept() {
    let asks = |_: &Request| Response::status(429).header("Retry-After", "1");
    let server = answers![asks, |_| Response::ok("x")];
    let started = Instant::now();
    get(&server, "/").unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));
    // Up to a limit.
    let server = answers![|_| Response::status(429).header("Retry-After", "3600"), |_| Response::ok("x")];
    let impatient = Client::with(Options { longest_pause: Duration::from_millis(10), ..quick() });
    let started = Instant::now();
    impatient.get(&url(&server, "/"), &Get::default()).unwrap();
    assert!(started.elapsed() < Duration::from_secs(60));
}

#[test]
fn answers_are_bounded_and_whole() {
    for fault in [Fault::None, Fault::NoLength] {
        let server = Server::start(move |_| Response::ok("123456").fault(fault));
        let get = |limit| client().get(&url(&server, "/"), &Get { limit, ..Get::default() });
        assert!(matches!(get(5).unwrap_err(), HttpError::TooLong { limit: 5, .. }), "{fault:?}");
        assert_eq!(get(6).unwrap(), b"123456");
    }
    let server = answers![|_| Response::ok("123456").fault(Fault::CutAfter(3)), |_| Response::ok("123456")];
    assert_eq!(get(&server, "/").unwrap(), b"123456");
    let server = Server::start(|_| Response::ok("123456").fault(Fault::CutAfter(3)));
    assert_eq!(get(&server, "/").unwrap_err().kind(), Kind::Network);
    assert_eq!(server.requests().len(), 3);
    let server = Server::start(|_| Response::ok("123456").fault(Fault::StallAfter(3)));
    let error = get(&server, "/").unwrap_err();
    assert!(matches!(error, HttpError::Connection { step: Step::Wait, .. }), "{error:?}");
}

#[test]
fn credentials_stay_with_their_origin() {
    let other = Server::start(|_| Response::ok("other"));
    let elsewhere = other.url("/x");
    let server = Server::start(move |request| match request.path.as_str() {
        "/near" => Response::redirect(302, "there?secret"),
        "/there?secret" => Response::ok("near"),
        _ => Response::redirect(307, &elsewhere),
    });
    let get = Get { auth: Auth::Bearer(Secret::new("t0ken")), ..Get::default() };
    assert_eq!(client().get(&url(&server, "/near"), &get).unwrap(), b"near");
    let led = Client::with(Options { loopback: Some(LoopbackForTests), ..quick() });
    assert_eq!(led.get(&url(&server, "/far"), &get).unwrap(), b"other");
    assert!(server.requests().iter().all(|request| request.header("authorization").is_some()));
    assert_eq!(other.requests()[0].header("authorization"), None);
    // Those in the address itself are sent as well, and not shown.
    let own = server.url("/near").replace("http://", "http://me:s3cret@");
    let own = SafeUrl::parse(&own).unwrap();
    client().get(&own, &Get::default()).unwrap();
    assert_eq!(server.requests()[3].header("authorization"), Some("Basic bWU6czNjcmV0"));
    let down = Server::start(|_| Response::status(404));
    let own = SafeUrl::parse(&down.url("/x?s3cret").replace("http://", "http://me:s3cret@")).unwrap();
    let error = client().get(&own, &Get::default()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
}

#[test]
fn redirects_end() {
    let server = Server::start(|_| Response::redirect(302, "/again"));
    assert!(matches!(get(&server, "/").unwrap_err(), HttpError::Redirect { .. }));
    assert_eq!(server.requests().len(), 11);
    for bad in ["file:///etc/passwd", "ftp://x/", ""] {
        let server = Server::start(move |request| match request.path.as_str() {
            "/" if bad.is_empty() => Response::status(302),
            "/" => Response::redirect(302, bad),
            _ => Response::ok("no"),
        });
        assert!(matches!(get(&server, "/").unwrap_err(), HttpError::Redirect { .. }), "{bad}");
    }
}

#[test]
fn what_cannot_be_reached_is_said_with_a_hint() {
    let port = Server::start(|_| Response::ok("")).port();
    std::thread::sleep(Duration::from_millis(50));
    // The variable is the one that counts for such an address.
    for (scheme, variable) in [("http", "`HTTP_PROXY`"), ("https", "`HTTPS_PROXY`")] {
        let url = SafeUrl::parse(&format!("{scheme}://127.0.0.1:{port}/x")).unwrap();
        let error = client().get(&url, &Get::default()).unwrap_err();
        assert!(matches!(error, HttpError::Connection { step: Step::Connect, .. }), "{error:?}");
        assert!(error.hint().unwrap().contains(variable), "{error:?}");
    }
    // A server that speaks no TLS.
    let server = Server::start(|_| Response::ok(""));
    let tls = SafeUrl::parse(&server.url("/x").replace("http:", "https:")).unwrap();
    let error = client().get(&tls, &Get::default()).unwrap_err();
    assert!(matches!(error, HttpError::Connection { .. } | HttpError::TrustStore { .. }), "{error:?}");
}

#[test]
fn proxies_are_asked() {
    let proxy = Server::start(|_| Response::status(403));
    let address = proxy.url("");
    let proxies = Proxies::from_env(|name| (name == "http_proxy").then(|| address.clone())).unwrap();
    let client = Client::with(Options { proxies, retries: 0, ..quick() });
    let error = client.get(&SafeUrl::parse("http://host.invalid/x").unwrap(), &Get::default()).unwrap_err();
    assert_eq!(proxy.requests()[0].method, "CONNECT", "{error:?}");
    assert!(matches!(error, HttpError::Connection { step: Step::Proxy, .. }), "{error:?}");
}

#[test]
fn offline_means_offline() {
    let server = Server::start(|_| Response::ok("x"));
    let (_dir, store) = store();
    let client = Client::offline();
    let error = client.get(&url(&server, "/"), &Get::default()).unwrap_err();
    assert!(matches!(error, HttpError::Offline { .. }));
    let wanted = expected(b"x");
    let error = client.download([source(&server, "/")], &wanted, "x", &store, &Silent).unwrap_err();
    assert!(matches!(&error, HttpError::Offline { what } if what == "x"));
    assert!(error.hint().unwrap().contains("pinfold vendor"));
    assert_eq!(server.connections(), 0);
    // A directory of this machine is no network.
    let dir = tempfile::tempdir().unwrap();
    fs_err::write(dir.path().join("a b"), b"x").unwrap();
    let vendor = SafeUrl::from_path(dir.path()).unwrap().join("a b").unwrap();
    client.download([source(&server, "/"), Source::open(vendor)], &wanted, "x", &store, &Silent).unwrap();
    assert!(store.contains(&wanted.digest));
}

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn source(server: &Server, path: &str) -> Source {
    Source::open(url(server, path))
}

fn expected(bytes: &[u8]) -> Expected {
    Expected { digest: Digest::sha256(bytes), size: Some(bytes.len() as u64) }
}

fn body() -> Vec<u8> {
    (0..300_000).flat_map(u32::to_le_bytes).collect()
}

fn fetch(servers: &[&Server], wanted: &Expected, store: &Store) -> Result<(), HttpError> {
    let sources: Vec<_> = servers.iter().map(|server| source(server, "/blob")).collect();
    client().download(sources.iter().cloned(), wanted, "blob", store, &Silent)
}

fn is_clean(store: &Store) -> bool {
    let count = |dir: &str| fs_err::read_dir(store.root().join(dir)).unwrap().count();
    count("partial") == 0 && count("tmp") == 0
}

fn stored(store: &Store, wanted: &Expected) -> Vec<u8> {
    fs_err::read(store.path(&wanted.digest)).unwrap()
}

#[test]
fn a_download_is_stored_once() {
    let server = Server::start(|request| Response::ranged(request, &body()));
    let ((_dir, store), wanted) = (store(), expected(&body()));
    fetch(&[&server], &wanted, &store).unwrap();
    fetch(&[&server], &wanted, &store).unwrap();
    assert_eq!((stored(&store, &wanted), server.requests().len()), (body(), 1));
    assert!(is_clean(&store));
}

#[test]
fn a_cut_transfer_goes_on_where_it_stopped() {
    for fault in [Fault::CutAfter(400_000), Fault::StallAfter(400_000)] {
        let server = answers![
            move |request| Response::ranged(request, &body()).fault(fault),
            move |request| Response::ranged(request, &body()).fault(fault),
            |request| Response::ranged(request, &body()),
        ];
        let ((_dir, store), wanted) = (store(), expected(&body()));
        fetch(&[&server], &wanted, &store).unwrap();
        let requests = server.requests();
        let ranges: Vec<_> = requests.iter().map(Request::range).collect();
        assert_eq!(ranges, [None, Some(400_000), Some(800_000)], "{fault:?}");
        assert_eq!(requests[1].header("if-range"), Some("\"1200000\""));
        assert_eq!(stored(&store, &wanted), body());
        assert!(is_clean(&store));
    }
}

#[test]
fn another_run_goes_on_too() {
    let ((_dir, store), wanted) = (store(), expected(&body()));
    let broken = Server::start(|request| {
        let whole = Response::ranged(request, &body());
        if request.range().is_some() { Response::status(500) } else { whole.fault(Fault::CutAfter(500_000)) }
    });
    let error = fetch(&[&broken], &wanted, &store).unwrap_err();
    assert_eq!(error.kind(), Kind::Network);
    assert_eq!(fs_err::metadata(store.partial_path(&wanted.digest)).unwrap().len(), 500_000);
    let server = Server::start(|request| Response::ranged(request, &body()));
    fetch(&[&server], &wanted, &store).unwrap();
    assert_eq!(server.requests()[0].range(), Some(500_000));
    assert_eq!(stored(&store, &wanted), body());
}

#[test]
fn what_an_earlier_run_left_is_not_trusted() {
    // Wrong bytes, as many as there are, too many.
    for length in [1_000, body().len(), body().len() + 5] {
        let ((_dir, store), wanted) = (store(), expected(&body()));
        fs_err::write(store.partial_path(&wanted.digest), vec![7; length]).unwrap();
        let server = Server::start(|request| Response::ranged(request, &body()));
        fetch(&[&server], &wanted, &store).unwrap();
        assert_eq!(stored(&store, &wanted), body());
        assert!(is_clean(&store));
    }
    // All the right bytes need no request at all.
    let ((_dir, store), wanted) = (store(), expected(&body()));
    fs_err::write(store.partial_path(&wanted.digest), body()).unwrap();
    let server = Server::start(|_| Response::status(500));
    fetch(&[&server], &wanted, &store).unwrap();
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn servers_that_answer_other_ranges_are_asked_anew() {
    let cut = |request: &Request| Response::ranged(request, &body()).fault(Fault::CutAfter(400_000));
    let lies = |request: &Request| {
        let mut response = Response::ranged(request, &body());
        for (_, value) in response.headers.iter_mut().filter(|(name, _)| name == "Content-Range") {
            *value = value.replace("bytes 400000-", "bytes 300000-");
        }
        response
    };
    for second in [
        Box::new(|_: &Request| Response::ok(body())) as Answer,
        Box::new(lies),
        Box::new(|_: &Request| Response::status(416)),
        Box::new(|_: &Request| Response { status: 206, ..Response::ok(body()) }),
    ] {
        let ((_dir, store), wanted) = (store(), expected(&body()));
        let server =
            in_turn(vec![Box::new(cut), second, Box::new(|request| Response::ranged(request, &body()))]);
        fetch(&[&server], &wanted, &store).unwrap();
        assert_eq!(stored(&store, &wanted), body());
    }
}

#[test]
fn wrong_bytes_are_refused_and_the_next_source_is_asked() {
    let ((_dir, store), wanted) = (store(), expected(&body()));
    let mut other = body();
    other[700_000] ^= 1;
    let tampered = Server::start(move |request| Response::ranged(request, &other));
    let error = fetch(&[&tampered], &wanted, &store).unwrap_err();
    assert_eq!(error.kind(), Kind::Integrity, "{error}");
    assert!(is_clean(&store) && !store.contains(&wanted.digest));
    let gone = Server::start(|_| Response::status(404));
    let error = fetch(&[&gone, &tampered], &wanted, &store).unwrap_err();
    assert_eq!((error.kind(), error.is_not_found()), (Kind::Integrity, false));
    let right = Server::start(|request| Response::ranged(request, &body()));
    fetch(&[&tampered, &gone, &right], &wanted, &store).unwrap();
    assert_eq!(stored(&store, &wanted), body());
}

#[test]
fn wrong_sizes_are_refused_early() {
    let ((_dir, store), wanted) = (store(), expected(&body()));
    for other in [body().len() - 1, body().len() + 1] {
        let server = Server::start(move |_| Response::ok(vec![0; other]));
        let error = fetch(&[&server], &wanted, &store).unwrap_err();
        assert!(matches!(error, HttpError::WrongSize { .. }), "{error}");
        assert_eq!(error.kind(), Kind::Integrity);
        let server = Server::start(move |_| Response::ok(vec![0; other]).fault(Fault::NoLength));
        let error = fetch(&[&server], &wanted, &store).unwrap_err();
        assert!(matches!(error, HttpError::TooLong { .. } | HttpError::Truncated { .. }), "{error}");
        assert!(!store.contains(&wanted.digest));
    }
}

#[test]
fn what_is_gone_everywhere_names_the_ways_out() {
    let ((_dir, store), wanted) = (store(), expected(&body()));
    let gone = Server::start(|_| Response::status(404));
    let error = fetch(&[&gone, &gone], &wanted, &store).unwrap_err();
    assert!(error.is_not_found() && error.kind() == Kind::Network);
    let hint = error.hint().unwrap();
    for way in ["pinfold lock --upgrade", "pinfold vendor", "snapshot"] {
        assert!(hint.contains(way), "{hint}");
    }
    assert!(is_clean(&store));
    let closed = Server::start(|_| Response::status(401));
    assert!(fetch(&[&closed], &wanted, &store).unwrap_err().hint().unwrap().contains("credentials"));
}

#[test]
fn many_at_once_make_one_download() {
    let server = Server::start(|request| {
        std::thread::sleep(Duration::from_millis(50));
        Response::ranged(request, &body())
    });
    let (dir, wanted) = (tempfile::tempdir().unwrap(), expected(&body()));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            // Locks belong to open files, so each thread stands for a process.
            scope.spawn(|| fetch(&[&server], &wanted, &Store::open(dir.path()).unwrap()).unwrap());
        }
    });
    let store = Store::open(dir.path()).unwrap();
    assert_eq!((stored(&store, &wanted), server.requests().len()), (body(), 1));
    assert!(is_clean(&store));
}

#[test]
fn a_blob_of_unknown_digest_is_named_by_what_came() {
    let (_dir, store) = store();
    let server =
        answers![|request| Response::ranged(request, &body()).fault(Fault::CutAfter(400_000)), |request| {
            Response::ranged(request, &body())
        },];
    let get = |limit| {
        client().download_unknown(&source(&server, "/"), "tool", &store, limit, Algorithm::Sha256, &Silent)
    };
    let (digest, size) = get(2_000_000).unwrap();
    assert_eq!((&digest, size), (&Digest::sha256(&body()), body().len() as u64));
    assert_eq!(fs_err::read(store.path(&digest)).unwrap(), body());
    assert!(matches!(get(1_000).unwrap_err(), HttpError::TooLong { .. }));
    assert!(is_clean(&store));
    // Without a validator the rest could be of another file: everything is asked for again.
    let server = answers![|_| Response::ok(body()).fault(Fault::CutAfter(400_000)), |_| Response::ok(body())];
    client()
        .download_unknown(&source(&server, "/"), "tool", &store, 2_000_000, Algorithm::Sha512, &Silent)
        .unwrap();
    assert_eq!(server.requests()[1].range(), None);
}

#[derive(Default)]
struct Counting(Mutex<(u64, Vec<String>)>);

impl Reporter for Counting {
    fn begin(&self, stage: Stage, id: &str, total: Option<u64>) {
        self.0.lock().unwrap().1.push(format!("{stage:?} {id} {total:?}"));
    }
    fn advance(&self, _: &str, bytes: u64) {
        self.0.lock().unwrap().0 += bytes;
    }
    fn end(&self, id: &str) {
        self.0.lock().unwrap().1.push(format!("end {id}"));
    }
    fn note(&self, _: &str) {}
    fn warn(&self, _: &str) {}
}

#[test]
fn progress_counts_every_byte_once() {
    let ((_dir, store), wanted) = (store(), expected(&body()));
    // The second answer starts from nothing, which must not count again.
    let server = answers![|_| Response::ok(body()).fault(Fault::CutAfter(400_000)), |_| Response::ok(body())];
    let seen = Counting::default();
    client().download([source(&server, "/")], &wanted, "blob", &store, &seen).unwrap();
    let (bytes, events) = seen.0.into_inner().unwrap();
    assert_eq!(bytes, body().len() as u64);
    assert_eq!(events, ["Fetch blob Some(1200000)", "end blob"]);
}

#[test]
fn a_full_or_missing_store_is_not_the_servers_fault() {
    let (dir, store) = store();
    let server = Server::start(|request| Response::ranged(request, &body()));
    pinfold_base::directory::remove(&dir.path().join("partial")).unwrap();
    let error = fetch(&[&server], &expected(&body()), &store).unwrap_err();
    assert_eq!((error.kind(), Path::new("partial").exists()), (Kind::System, false));
}
