//! Where a server may lead, and where a project's names may turn out to be: never to this machine or its network. Each
//! refusal is tried again with the exemption for tests, so that it is the rule that refuses.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::Mutex;

use pinfold_base::Algorithm;
use pinfold_base::Diagnose as _;
use pinfold_base::Store;
use pinfold_base::address::LoopbackForTests;
use pinfold_base::address::Resolve;
use pinfold_base::authority::Host;
use pinfold_base::http::Client;
use pinfold_base::http::Get;
use pinfold_base::http::HttpError;
use pinfold_base::http::Options;
use pinfold_base::http::Proxies;
use pinfold_base::http::SafeUrl;
use pinfold_base::http::Source;
use pinfold_base::report::Silent;
use pinfold_testkit::http::Response;
use pinfold_testkit::http::Server;

/// Names and the addresses each question finds, in turn; the last answer is repeated.
#[derive(Debug)]
struct Names(Mutex<Vec<(&'static str, Vec<&'static str>)>>, Mutex<Vec<String>>);

impl Names {
    fn new(names: &[(&'static str, &[&'static str])]) -> Arc<Self> {
        let names = names.iter().map(|(name, addresses)| (*name, addresses.to_vec())).collect();
        Arc::new(Self(Mutex::new(names), Mutex::default()))
    }
}

impl Resolve for Names {
    fn resolve(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        self.1.lock().unwrap().push(name.to_owned());
        let mut names = self.0.lock().unwrap();
        let found = names.iter().position(|(known, _)| *known == name).ok_or(io::ErrorKind::NotFound)?;
        let addresses = names[found].1.iter().map(|address| address.parse().unwrap()).collect();
        if names.iter().filter(|(known, _)| *known == name).count() > 1 {
            names.remove(found);
        }
        Ok(addresses)
    }
}

fn client(names: &Arc<Names>, loopback: Option<LoopbackForTests>) -> Client {
    let names: Arc<dyn Resolve> = names.clone();
    Client::with(Options { retries: 0, names: Some(names), loopback, ..Options::default() })
}

fn url(text: &str) -> SafeUrl {
    SafeUrl::parse(text).unwrap()
}

const KNOWN: &[(&str, &[&str])] = &[
    ("registry.example", &["127.0.0.1"]),
    ("inner.example", &["127.0.0.1"]),
    ("inner6.example", &["::1"]),
    ("private.example", &["10.255.255.1"]),
    ("metadata.example", &["169.254.169.254"]),
    ("mixed.example", &["10.255.255.1", "127.0.0.1", "fd00::1"]),
];

#[test]
fn a_registry_leads_nowhere_inside() {
    for (target, exempted) in [
        ("http://127.0.0.1:PORT/x", true),
        ("http://inner.example:PORT/x", true),
        ("http://INNER.example.:PORT/x", true),
        ("//inner.example:PORT/x", true),
        ("http://mixed.example:PORT/x", true),
        ("http://someone:else@127.0.0.1:PORT/x", true),
        ("http://inner6.example:PORT/x", false),
        ("http://private.example:PORT/x", false),
        ("http://metadata.example/latest/meta-data/", false),
        ("http://169.254.169.254/latest/meta-data/", false),
        ("http://[fd00:ec2::254]/latest/meta-data/", false),
        ("http://10.255.255.1/x", false),
        ("http://[::ffff:127.0.0.1]:PORT/x", false),
        ("http://0.0.0.0:PORT/x", false),
        ("file:///etc/passwd", false),
    ] {
        for status in [301, 302, 303, 307, 308] {
            let inner = Server::start(|_| Response::ok("inside"));
            let location = target.replace("PORT", &inner.port().to_string());
            let registry = Server::start(move |_| Response::redirect(status, &location));
            let start = url(&format!("http://registry.example:{}/p", registry.port()));
            let error = client(&Names::new(KNOWN), None).get(&start, &Get::default()).unwrap_err();
            assert!(
                matches!(error, HttpError::Inward { .. } | HttpError::Redirect { .. }),
                "{target}: {error:?}"
            );
            assert_eq!((registry.requests().len(), inner.connections()), (1, 0), "{target}");
            // Negative control: with the exemption for loopback the same answer is followed there.
            let led = client(&Names::new(KNOWN), exempted.then_some(LoopbackForTests));
            assert_eq!(led.get(&start, &Get::default()).is_ok(), exempted, "{target}");
            assert_eq!(inner.connections(), usize::from(exempted), "{target}");
        }
    }
}

#[test]
fn numbers_that_only_a_resolver_reads_as_loopback_are_seen_through() {
    for host in ["2130706433", "127.1", "0x7f.0.0.1", "0177.0.0.1", "localhost", "localhost.", "LOCALHOST"] {
        let inner = Server::start(|_| Response::ok("inside"));
        let location = format!("http://{host}:{}/x", inner.port());
        let registry = Server::start(move |_| Response::redirect(302, &location));
        let client = Client::with(Options { retries: 0, ..Options::default() });
        assert!(client.get(&url(&registry.url("/p")), &Get::default()).is_err(), "{host}");
        assert_eq!(inner.connections(), 0, "{host}");
    }
}

#[test]
fn the_place_that_was_named_may_be_led_to_again() {
    let registry = Server::start(|request| match request.path.as_str() {
        "/p" => Response::redirect(302, "/q"),
        _ => Response::ok("here"),
    });
    for host in ["127.0.0.1", "registry.example"] {
        let start = url(&format!("http://{host}:{}/p", registry.port()));
        assert_eq!(client(&Names::new(KNOWN), None).get(&start, &Get::default()).unwrap(), b"here");
    }
}

#[test]
fn a_name_that_changes_its_mind_is_not_asked_twice_for_one_connection() {
    let inner = Server::start(|_| Response::ok("inside"));
    let location = format!("http://rebind.example:{}/x", inner.port());
    let registry = Server::start(move |_| Response::redirect(302, &location));
    let start = url(&format!("http://registry.example:{}/p", registry.port()));
    // What was looked at is what is connected to: there is no second question, whose answer nobody would look at.
    for (answers, loopback, reached) in [
        (["127.0.0.1", "10.255.255.1"], Some(LoopbackForTests), 1),
        (["127.0.0.1", "10.255.255.1"], None, 0),
        (["10.255.255.1", "127.0.0.1"], Some(LoopbackForTests), 0),
    ] {
        let names = Names::new(&[
            ("registry.example", &["127.0.0.1"]),
            ("rebind.example", &answers[..1]),
            ("rebind.example", &answers[1..]),
        ]);
        let before = inner.connections();
        let led = client(&names, loopback).get(&start, &Get::default());
        assert_eq!((led.is_ok(), inner.connections() - before), (reached == 1, reached), "{answers:?}");
        let asked = names.1.lock().unwrap().iter().filter(|name| **name == "rebind.example").count();
        assert_eq!(asked, 1, "{answers:?}");
    }
}

#[test]
fn a_name_of_a_project_is_outside_and_what_is_written_as_inside_was_asked_for() {
    let server = Server::start(|_| Response::ok("x"));
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let fetch = |source: Source, loopback| {
        let client = client(&Names::new(KNOWN), loopback);
        client.download_unknown(&source, "x", &store, 10, Algorithm::Sha256, &Silent)
    };
    let named = url(&format!("http://inner.example:{}/x", server.port()));
    let error = fetch(Source::of_project(named.clone()), None).unwrap_err();
    assert!(matches!(&error, HttpError::Inward { next: None, .. }), "{error:?}");
    assert!(error.to_string().contains("127.0.0.1, a loopback address"), "{error}");
    assert!(error.hint().unwrap().contains("PINFOLD_PRIVATE_HOSTS"));
    assert_eq!(server.connections(), 0);
    fetch(Source::of_project(named.clone()), Some(LoopbackForTests)).unwrap();
    fetch(Source::open(named), None).unwrap();
    fetch(Source::of_project(url(&server.url("/x"))), None).unwrap();
    // What nobody reaches.
    for never in ["http://metadata.example/x", "http://169.254.169.254/x"] {
        for source in [Source::open(url(never)), Source::of_project(url(never))] {
            assert!(matches!(fetch(source, None), Err(HttpError::Inward { .. })), "{never}");
        }
    }
}

#[test]
fn a_host_that_the_machine_calls_private_may_be_led_to() {
    let inner = Server::start(|_| Response::ok("inside"));
    let location = format!("http://inner.example:{}/x", inner.port());
    let registry = Server::start(move |_| Response::redirect(302, &location));
    let names: Arc<dyn Resolve> = Names::new(KNOWN);
    let private_hosts = vec![Host::parse(b"inner.example").unwrap()];
    let client =
        Client::with(Options { retries: 0, names: Some(names), private_hosts, ..Options::default() });
    let start = url(&format!("http://registry.example:{}/p", registry.port()));
    assert_eq!(client.get(&start, &Get::default()).unwrap(), b"inside");
}

/// A proxy that connects everything to one answer, and what it was asked to connect to.
fn proxy(answer: &'static str) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = || {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if stream.read(&mut byte).unwrap_or(0) == 0 {
                        return None;
                    }
                    head.push(byte[0]);
                }
                Some((String::from_utf8(head).unwrap(), stream.try_clone().unwrap()))
            };
            let Some((connect, mut to)) = head() else { continue };
            seen.lock().unwrap().push(connect.split(' ').nth(1).unwrap().to_owned());
            to.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            if let Some((_, mut to)) = head() {
                to.write_all(answer.as_bytes()).unwrap();
            }
        }
    });
    (address, asked)
}

#[test]
fn through_a_proxy_names_of_this_machine_are_not_asked_for() {
    for (location, followed) in [
        ("http://localhost:1/x", false),
        ("http://metadata.google.internal/x", false),
        ("http://169.254.169.254/x", false),
        ("http://[::1]/x", false),
        ("http://files.example/x", true),
    ] {
        let answer = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
        let (address, asked) = proxy(Box::leak(answer.into_boxed_str()));
        let proxies = Proxies::from_env(|name| (name == "http_proxy").then(|| address.clone())).unwrap();
        let client = Client::with(Options { retries: 0, proxies, ..Options::default() });
        client.get(&url("http://registry.example/p"), &Get::default()).unwrap_err();
        let asked = asked.lock().unwrap().clone();
        assert_eq!(asked[0], "registry.example:80");
        assert_eq!(asked.len() > 1, followed, "{location}: {asked:?}");
    }
}
