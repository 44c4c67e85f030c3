//! The client against registries that mean harm: that repeat what they were given, that keep whoever asks waiting, that have no end. Each
//! with its control, an honest registry that does almost the same.

use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pinfold_base::Diagnose as _;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::Store;
use pinfold_base::address::LoopbackForTests;
use pinfold_base::http;
use pinfold_base::http::Secret;
use pinfold_base::report::Silent;
use pinfold_testkit::http::Fault;
use pinfold_testkit::http::Request;
use pinfold_testkit::http::Response;
use pinfold_testkit::registry::IDENTITY;
use pinfold_testkit::registry::Instead;
use pinfold_testkit::registry::Quirks;
use pinfold_testkit::registry::Registry;
use pinfold_testkit::registry::USER;

use super::tests::REPOSITORY;
use super::tests::Ring;
use super::tests::without_secrets;
use super::*;
use crate::blobs::Blobs as _;
use crate::memory::Memory;
use crate::model::Descriptor;
use crate::model::media;
use crate::registry::push::RegistrySink;
use crate::registry::push::Sending;
use crate::sink::Sink as _;

/// What is waited for in these tests instead of a minute.
const IDLE: Duration = Duration::from_millis(300);

fn client_of(host: &str, credentials: Credentials) -> Client {
    let http = http::Client::with(http::Options {
        retries: 3,
        pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(400),
        idle_timeout: IDLE,
        whole_timeout: IDLE,
        patience: IDLE * 3 / 2,
        loopback: Some(LoopbackForTests),
        ..http::Options::default()
    });
    let ring = Arc::new(Ring(credentials, AtomicUsize::new(0)));
    Client::new(http, Endpoint::of(host, false).unwrap(), REPOSITORY, ring)
}

/// A registry that answers so, and otherwise as it should.
fn registry(answer: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static) -> Registry {
    let instead: Instead = Arc::new(answer);
    Registry::start(Quirks { instead: Some(instead), ..Quirks::default() })
}

fn anonymous(registry: &Registry) -> Client {
    client_of(&registry.host(), Credentials::Anonymous)
}

fn latest() -> Which {
    Which::Tag("latest".into())
}

fn blob(bytes: &[u8]) -> Descriptor {
    Descriptor::new(media::OCI_LAYER, Digest::sha256(bytes), bytes.len() as u64)
}

fn says(status: u16, words: &str) -> Response {
    let body = serde_json::json!({ "errors": [{ "code": "DENIED", "message": words }] });
    Response { status, ..Response::ok(body.to_string()) }
}

/// What a client sends as credentials, as whoever gets it may repeat it.
fn repeated(request: &Request) -> String {
    let given = request.header("authorization").unwrap_or_default();
    let plain = given.strip_prefix("Basic ").and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default();
    format!("{given} {} {}", String::from_utf8_lossy(&plain), String::from_utf8_lossy(&request.body))
}

/// Before the mend the whole message was printed.
#[test]
fn a_registry_that_repeats_what_it_was_given_is_not_quoted() {
    let me = || Credentials::Password { user: USER.0.into(), password: Secret::new(USER.1) };
    let identity = || Credentials::Identity(Secret::new(IDENTITY));
    let token = || Credentials::Token(Secret::new("s3cret-of-the-registry"));
    let basic = |request: &Request| {
        request
            .header("authorization")
            .is_none()
            .then(|| Response::status(401).header("WWW-Authenticate", "Basic realm=\"x\""))
    };
    let bearer = |request: &Request| {
        let host = request.header("host").unwrap_or_default().to_owned();
        Response::status(401).header("WWW-Authenticate", &format!("Bearer realm=\"http://{host}/token\""))
    };
    let refused = |words: String| Some(says(403, &words));
    let by_registry = registry(move |request| {
        basic(request).or_else(|| refused(format!("the header {} is wrong", repeated(request))))
    });
    let by_tokens = registry(move |request| {
        if request.path.starts_with("/token") { refused(repeated(request)) } else { Some(bearer(request)) }
    });
    let with_token = registry(move |request| {
        if request.path.starts_with("/token") {
            return Some(Response::ok(r#"{"token":"s3cret-token-of-the-server"}"#));
        }
        Some(if request.header("authorization").is_some() {
            says(403, &repeated(request))
        } else {
            bearer(request)
        })
    });
    // What the token server got, the registry says.
    let together = || {
        let seen: Mutex<String> = Mutex::default();
        registry(move |request| {
            let mut seen = seen.lock().unwrap();
            if request.path.starts_with("/token") {
                *seen = repeated(request);
                return Some(Response::ok(r#"{"token":"s3cret-token"}"#));
            }
            Some(if seen.is_empty() { bearer(request) } else { says(500, &seen) })
        })
    };
    let elsewhere = registry(move |request| {
        let led = |given: &str| Response::redirect(307, &format!("/v2/{}", given.replace(' ', "/")));
        basic(request).or_else(|| request.header("authorization").map(led))
    });
    let typed = registry(move |request| {
        let given = request.header("authorization").map(str::to_owned);
        basic(request).or_else(|| Some(Response::ok("{}").header("Content-Type", &given?)))
    });
    for (registry, credentials, kind) in [
        (&by_registry, me(), Kind::Refused),
        (&by_registry, token(), Kind::Refused),
        (&by_tokens, me(), Kind::Refused),
        (&by_tokens, identity(), Kind::Refused),
        (&with_token, me(), Kind::Refused),
        (&together(), me(), Kind::Network),
        (&together(), identity(), Kind::Network),
        (&elsewhere, me(), Kind::Network),
        (&typed, me(), Kind::Usage),
    ] {
        let error =
            client_of(&registry.host(), credentials.clone()).get_manifest(&latest(), None).unwrap_err();
        assert_eq!(error.kind(), kind, "{credentials:?}: {error}");
        without_secrets(&error);
        let encoded = STANDARD.encode(format!("{}:{}", USER.0, USER.1));
        let told = format!("{error} {error:?}").to_lowercase();
        assert!(!told.contains(&encoded[..16].to_lowercase()), "{credentials:?}: {error}");
        assert!(kind == Kind::Usage || error.to_string().contains(&registry.host()), "{error}");
    }
    // The control: words without secrets are told.
    let honest = registry(move |request| basic(request).or_else(|| refused("quota exceeded, me".into())));
    let error = client_of(&honest.host(), me()).get_manifest(&latest(), None).unwrap_err();
    assert!(error.to_string().ends_with(": DENIED: quota exceeded, me"), "{error}");
}

/// Each of these held whoever asked for minutes or for ever.
#[test]
fn a_registry_that_keeps_one_waiting_is_given_up() {
    const DRIP: Duration = Duration::from_millis(20);
    const SILENT: Fault = Fault::DripAfter(0, 1, Duration::from_secs(3600));
    let manifest = |fault: Fault| {
        registry(move |request| {
            let slow =
                Response::ok("{ }".repeat(10_000)).header("Content-Type", media::OCI_MANIFEST).fault(fault);
            request.path.contains("/manifests/").then_some(slow)
        })
    };
    let tokens = registry(|request| {
        if request.path.starts_with("/token") {
            return Some(Response::ok("{}").fault(SILENT));
        }
        let host = request.header("host").unwrap_or_default();
        let challenge = format!("Bearer realm=\"http://{host}/token\"");
        Some(Response::status(401).header("WWW-Authenticate", &challenge))
    });
    for (registry, waited) in [
        (&manifest(Fault::DripAfter(130, 200, DRIP)), "it was not there whole after 300 milliseconds"),
        (&manifest(Fault::DripAfter(4, 1, DRIP)), "no answer came within 300 milliseconds"),
        (&manifest(SILENT), "no answer came within 300 milliseconds"),
        (&manifest(Fault::StallAfter(5)), "nothing more came for 300 milliseconds"),
        (&tokens, "no answer came within 300 milliseconds"),
    ] {
        let begun = Instant::now();
        let error = anonymous(registry).get_manifest(&latest(), None).unwrap_err();
        assert!(error.to_string().contains(waited), "{error}");
        assert_eq!(error.kind(), Kind::Network);
        let asked = registry.requests().len();
        assert!((2..=4).contains(&asked), "twice, and not again: {asked}");
        assert!(begun.elapsed() < IDLE * 20, "{waited}");
    }
    // The control: slow, and there in time.
    let slow = registry(|request| {
        let bytes = format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#, media::OCI_INDEX);
        let answer = Response::ok(bytes).header("Content-Type", media::OCI_INDEX);
        request
            .path
            .contains("/manifests/")
            .then(|| answer.fault(Fault::DripAfter(100, 20, Duration::from_millis(5))))
    });
    assert!(anonymous(&slow).get_manifest(&latest(), None).unwrap().is_some());
    assert_eq!(slow.requests().len(), 1);
}

/// A line below the floor of speed counts as broken, and one that was gone on with twice is given up; above it, it may take its time.
#[test]
fn a_blob_that_hardly_comes_is_given_up_and_a_slow_one_is_not() {
    let bytes = vec![7; 20_000];
    let blob = blob(&bytes);
    let dripping = |at_a_time: usize, pause: Duration| {
        let bytes = bytes.clone();
        registry(move |request| {
            let blob = request.path.contains("/blobs/") && request.method == "GET";
            blob.then(|| Response::ranged(request, &bytes).fault(Fault::DripAfter(120, at_a_time, pause)))
        })
    };
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    let hardly = dripping(1, Duration::from_millis(20));
    let client = anonymous(&hardly);
    let blobs = RegistryBlobs::new(vec![client.clone()]);
    let error =
        blobs.open_part(&blob).unwrap().0.read_to_end(&mut Vec::new()).map_err(crate::blobs::unwrap_io);
    let error = error.unwrap_err().to_string();
    assert!(error.contains(&client.place()) && error.contains("bytes moved in 3"), "{error}");
    assert!(hardly.requests().len() <= 3, "{}", hardly.requests().len());
    let error = client.download(&blob, "a blob", &store, &Silent).unwrap_err();
    assert!(error.kind() == Kind::Network && error.to_string().contains("bytes moved in 3"), "{error}");
    assert!(hardly.requests().len() <= 6, "{}", hardly.requests().len());
    let slow = dripping(2000, Duration::from_millis(50));
    let begun = Instant::now();
    let mut all = Vec::new();
    RegistryBlobs::new(vec![anonymous(&slow)]).open_part(&blob).unwrap().0.read_to_end(&mut all).unwrap();
    assert!(all == bytes && begun.elapsed() > IDLE / 2);
    assert_eq!(slow.requests().len(), 1);
}

/// Whoever reads slowly breaks no line: only the time that is waited for the registry counts.
#[test]
fn a_reader_that_takes_its_time_is_no_slow_registry() {
    let registry = Registry::start(Quirks::default());
    let bytes = vec![7; 40];
    registry.with(|kept| kept.put_blob(REPOSITORY, &bytes));
    let blobs = RegistryBlobs::new(vec![anonymous(&registry)]);
    let mut content = blobs.open_part(&blob(&bytes)).unwrap().0;
    for _ in 0..4 {
        std::thread::sleep(IDLE / 2);
        content.read_exact(&mut [0; 10]).unwrap();
    }
    assert_eq!(content.read(&mut [0]).unwrap(), 0);
    assert_eq!(registry.requests().len(), 1);
}

/// A registry that begins uploads and takes nothing of them.
#[test]
fn a_registry_that_does_not_read_what_is_sent_is_given_up() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let host = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let _ = stream.set_read_timeout(Some(Duration::from_millis(50)));
            let mut head = [0; 2048];
            while let Ok(n @ 1..) = stream.read(&mut head) {
                let head = String::from_utf8_lossy(&head[..n]).into_owned();
                let answer = match &head[..4] {
                    "POST" => "202 Accepted\r\nLocation: /v2/team/name/blobs/uploads/1",
                    "PUT " | "PATC" => break,
                    _ => "404 Not Found",
                };
                let _ = write!(stream, "HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n");
            }
            kept.push(stream);
        }
    });
    let mut memory = Memory::default();
    let blob = Descriptor::new(media::OCI_LAYER, memory.put(vec![7; 32 << 20]), 32 << 20);
    let client = client_of(&host, Credentials::Anonymous);
    let how = Sending::default();
    let begun = Instant::now();
    let error = RegistrySink::new(&client, &how, &Silent).put_blob(&memory, &blob).unwrap_err();
    assert!(error.to_string().contains("took nothing of what is sent for 300 milliseconds"), "{error}");
    assert_eq!(error.kind(), Kind::Network);
    assert!(begun.elapsed() < IDLE * 20);
}

/// 429 to the content itself.
#[test]
fn a_registry_that_wants_to_be_left_alone_is_while_content_is_sent() {
    let times: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let noted = times.clone();
    let registry = registry(move |request| {
        if request.method != "PUT" {
            return None;
        }
        let mut times = noted.lock().unwrap();
        times.push(Instant::now());
        (times.len() == 1).then(|| Response::status(429).header("Retry-After", "3600"))
    });
    let mut memory = Memory::default();
    let blob = Descriptor::new(media::OCI_LAYER, memory.put(b"content".to_vec()), 7);
    let (client, how) = (anonymous(&registry), Sending::default());
    RegistrySink::new(&client, &how, &Silent).put_blob(&memory, &blob).unwrap();
    let times = times.lock().unwrap();
    // As long as it says, and no longer than we are patient; without it, it is a millisecond.
    assert!(times.len() == 2 && times[1] - times[0] >= Duration::from_millis(400), "{times:?}");
}

#[test]
fn what_has_no_end_is_told_with_its_name() {
    let small = blob(b"small");
    let registry = registry(|request| match request.path.as_str() {
        path if path.contains("/blobs/") => Some(Response::ok(vec![b'z'; 1 << 20]).fault(Fault::NoLength)),
        path if path.contains("/manifests/") || path.contains("/referrers/") => {
            Some(Response::ok(vec![b' '; (4 << 20) + 1]).header("Content-Type", media::OCI_INDEX))
        }
        _ => None,
    });
    let client = anonymous(&registry);
    let place = format!("{}/{REPOSITORY}", registry.host());
    assert_eq!(client.place(), place);
    let told = |error: RegistryError, what: &str, kind: Kind| {
        let text = error.to_string();
        assert!(text.contains(what) && error.kind() == kind, "{text}");
        text
    };
    let longer = format!("blob {} of {place} is refused: it is longer than its 5 bytes", small.digest);
    let read = || -> Result<Vec<u8>, RegistryError> {
        let mut bytes = Vec::new();
        client.get_blob(&small, 0)?.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    assert_eq!(told(read().unwrap_err(), "blob", Kind::Integrity), longer);
    let mut content = RegistryBlobs::new(vec![client.clone()]).open_part(&small).unwrap().0;
    let error: io::Error = content.read_to_end(&mut Vec::new()).unwrap_err();
    assert_eq!(told(error.into(), "blob", Kind::Integrity), longer);
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path()).unwrap();
    let error = client.download(&small, "x", &store, &Silent).unwrap_err();
    assert_eq!(told(error, "blob", Kind::Integrity), longer);
    let error = client.get_manifest(&latest(), None).unwrap_err();
    told(error, &format!("manifest `latest` of 4194305 bytes from {place} is too large"), Kind::Refused);
    let error = referrers::list(&client, &small.digest).unwrap_err();
    told(
        error,
        &format!("what is attached to the image of 4194305 bytes from {place} is too large"),
        Kind::Refused,
    );
}

#[test]
fn a_token_without_end_is_not_told_as_a_manifest() {
    let registry = registry(|request| {
        if request.path.starts_with("/token") {
            return Some(Response::ok(format!(r#"{{"token":"{}"}}"#, "a".repeat(2_000_000))));
        }
        let host = request.header("host").unwrap_or_default();
        let challenge = format!("Bearer realm=\"http://{host}/token\"");
        Some(Response::status(401).header("WWW-Authenticate", &challenge))
    });
    let error = anonymous(&registry).get_manifest(&latest(), None).unwrap_err();
    assert!(
        error.to_string().starts_with("the answer with a token of 1048577 bytes from 127.0.0.1:"),
        "{error}"
    );
}

/// Ninety-nine pages with one large annotation each were held together; a long list of usual entries is no harm.
#[test]
fn a_list_of_what_is_attached_is_bounded_in_bytes() {
    let paged = |pages: usize, annotation: usize| {
        let next = AtomicUsize::new(0);
        registry(move |request| {
            let path = request.path.split('?').next().unwrap_or_default().to_owned();
            let page = path.contains("/referrers/").then(|| next.fetch_add(1, Ordering::SeqCst))?;
            let entry = serde_json::json!({
                "mediaType": media::OCI_MANIFEST, "digest": Digest::sha256(&page.to_be_bytes()), "size": 2,
                "annotations": { "a": "x".repeat(annotation) },
            });
            let index = serde_json::json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": [entry] });
            let answer = Response::ok(index.to_string()).header("Content-Type", media::OCI_INDEX);
            Some(if page + 1 < pages {
                answer.header("Link", &format!("<{path}?n={page}>; rel=\"next\""))
            } else {
                answer
            })
        })
    };
    let subject = Digest::sha256(b"x");
    let patient = |registry: &Registry| super::tests::client_as(&registry.host(), Credentials::Anonymous);
    let flood = paged(99, 4_000_000);
    let error = referrers::list(&patient(&flood), &subject).unwrap_err();
    assert!(
        error.to_string().contains("more than 8388608 bytes") && error.kind() == Kind::Integrity,
        "{error}"
    );
    assert_eq!(flood.requests().len(), 3);
    let usual = paged(90, 500);
    assert_eq!(referrers::list(&patient(&usual), &subject).unwrap().len(), 90);
}

#[test]
fn an_address_has_one_spelling() {
    for host in [
        "127.1",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "127.0.0.01",
        "1.2.3.4.5",
        "127.0.0.1:05000",
        "registry.example:0443",
    ] {
        let wrong = Remote::of(&format!("{host}/team/name:1").parse().unwrap()).unwrap_err();
        assert_eq!(wrong.kind(), Kind::Usage, "{host}");
        assert!(matches!(Endpoint::of(host, true), Err(RegistryError::Name { .. })), "{host}");
    }
    assert!(Endpoint::of("2130706433", true).is_err());
    for host in
        ["127.0.0.1", "127.0.0.1:5000", "registry.example:443", "1.example", "[::1]:5000", "localhost:5000"]
    {
        assert_eq!(Remote::of(&format!("{host}/team/name:1").parse().unwrap()).unwrap().host, host);
        assert!(Endpoint::of(host, false).is_ok(), "{host}");
    }
}

/// A host that is no registry has no login to be missing.
#[test]
fn a_login_where_there_is_no_registry_is_told_as_that() {
    let registry = registry(|_| Some(Response::status(404)));
    let error = anonymous(&registry).log_in().unwrap_err();
    assert_eq!(error.to_string(), format!("{} answered 404 to the login", registry.host()));
    assert!(anonymous(&Registry::start(Quirks::default())).log_in().is_ok());
}

/// A manifest that understates a layer was let through where the blob came from another repository of the registry.
#[test]
fn what_was_mounted_is_looked_at() {
    let mut memory = Memory::default();
    let blob = Descriptor::new(media::OCI_LAYER, memory.put(b"content".to_vec()), 7);
    let how = Sending { mount_from: vec!["other".into()], ..Sending::default() };
    for (there, right) in [(&b"content"[..], true), (b"much larger", false)] {
        let registry = Registry::start(Quirks::default());
        registry.with(|kept| kept.blobs.insert(("other".into(), blob.digest.to_string()), there.to_vec()));
        let client = anonymous(&registry);
        let mut sink = RegistrySink::new(&client, &how, &Silent);
        let told = sink.told();
        let put = sink.put_blob(&memory, &blob);
        assert_eq!(put.is_ok(), right, "{put:?}");
        assert_eq!(told.lock().unwrap().mounted.len(), usize::from(right));
        if let Err(error) = put {
            assert!(error.to_string().ends_with("it has 11 bytes there instead of 7"), "{error}");
        }
    }
    // A registry that says that it is done and has nothing is sent the content.
    let lying = registry(|request| request.path.contains("mount=").then(|| Response::status(201)));
    let client = anonymous(&lying);
    let mut sink = RegistrySink::new(&client, &how, &Silent);
    let told = sink.told();
    sink.put_blob(&memory, &blob).unwrap();
    assert_eq!(told.lock().unwrap().sent, [blob]);
}

#[test]
fn a_tag_that_stands_for_a_list_and_is_something_else_is_told_by_its_name() {
    let registry = Registry::start(Quirks::default());
    let subject = Digest::sha256(b"x");
    let tag = format!("sha256-{}", subject.hex());
    let list = || referrers::list(&anonymous(&registry), &subject);
    assert_eq!(list().unwrap(), []);
    registry.with(|kept| {
        let blob = Descriptor::new(media::OCI_CONFIG, kept.put_blob(REPOSITORY, b"{}"), 2);
        let manifest = serde_json::json!({ "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": blob, "layers": [] });
        kept.put_manifest(REPOSITORY, Some(&tag), media::OCI_MANIFEST, manifest.to_string().as_bytes());
    });
    let error = list().unwrap_err().to_string();
    assert!(error.contains(&format!("tag `{tag}` of {}/{REPOSITORY}", registry.host())), "{error}");
    assert!(error.ends_with("delete that tag"), "{error}");
}

/// Each part of an image was asked for at a mirror that had been silent for the one before.
#[test]
fn a_mirror_that_is_silent_once_is_not_asked_again() {
    let mirror =
        registry(|_| Some(Response::ok("").fault(Fault::DripAfter(0, 1, Duration::from_secs(3600)))));
    let own = Registry::start(Quirks::default());
    let digests: Vec<Digest> = (0..5_u8).map(|n| own.with(|kept| kept.put_blob(REPOSITORY, &[n]))).collect();
    let silent = anonymous(&mirror).asked_until_silent();
    let blobs = RegistryBlobs::new(vec![silent.clone(), anonymous(&own)]);
    for (n, digest) in digests.into_iter().enumerate() {
        let mut bytes = Vec::new();
        let blob = Descriptor::new(media::OCI_LAYER, digest, 1);
        blobs.open_part(&blob).unwrap().0.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [u8::try_from(n).unwrap()]);
    }
    let asked = mirror.requests().len();
    assert!((1..=3).contains(&asked), "{asked}");
    let error = silent.get_manifest(&latest(), None).unwrap_err();
    assert!(error.to_string().contains("no answer came within"), "{error}");
    assert_eq!(mirror.requests().len(), asked);
    // Without another beside it, one is asked each time.
    let alone = anonymous(&mirror);
    alone.get_manifest(&latest(), None).unwrap_err();
    alone.get_manifest(&latest(), None).unwrap_err();
    assert!(mirror.requests().len() >= asked + 4);
}

/// A break in the middle of a signature was its end.
#[test]
fn a_small_blob_is_gone_on_with_where_the_line_breaks() {
    let bytes = b"a bundle of a signature".to_vec();
    let blob = blob(&bytes);
    let breaking = |times: usize| {
        let (bytes, asked) = (bytes.clone(), AtomicUsize::new(0));
        registry(move |request| {
            let answer = request.path.contains("/blobs/").then(|| Response::ranged(request, &bytes))?;
            let breaks = asked.fetch_add(1, Ordering::SeqCst) < times;
            Some(if breaks { answer.fault(Fault::CutAfter(4)) } else { answer })
        })
    };
    assert_eq!(whole_blob(&anonymous(&breaking(1)), &blob).unwrap(), bytes);
    let broken = registry(|request| {
        let cut = Response::ok(vec![0; 23]).fault(Fault::CutAfter(0));
        request.path.contains("/blobs/").then_some(cut)
    });
    let error = whole_blob(&anonymous(&broken), &blob).unwrap_err();
    assert_eq!(error.kind(), Kind::Network);
    let place = format!("blob {} does not come whole from {}/{REPOSITORY}", blob.digest, broken.host());
    assert!(error.to_string().starts_with(&place), "{error}");
    let other = registry(|request| request.path.contains("/blobs/").then(|| Response::ok(vec![0; 23])));
    assert_eq!(whole_blob(&anonymous(&other), &blob).unwrap_err().kind(), Kind::Integrity);
}
