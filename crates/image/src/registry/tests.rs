//! The client against a registry with the quirks of real ones, each with its control, and against Debian's own.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pinfold_base::Diagnose as _;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::Store;
use pinfold_base::address::LoopbackForTests;
use pinfold_base::http;
use pinfold_base::http::Content;
use pinfold_base::http::Method;
use pinfold_base::http::Secret;
use pinfold_base::report::Silent;
use pinfold_testkit::docker_registry;
use pinfold_testkit::docker_registry::DockerRegistry;
use pinfold_testkit::http::Fault;
use pinfold_testkit::http::Request;
use pinfold_testkit::http::Response;
use pinfold_testkit::http::Server;
use pinfold_testkit::registry::Asks;
use pinfold_testkit::registry::Bearer;
use pinfold_testkit::registry::Head;
use pinfold_testkit::registry::IDENTITY;
use pinfold_testkit::registry::Quirks;
use pinfold_testkit::registry::Registry;
use pinfold_testkit::registry::USER;

use super::*;
use crate::model::Descriptor;
use crate::model::media;

pub(super) const REPOSITORY: &str = "team/name";
/// No error, no log and no `Debug` may have it: all secrets of these tests begin so.
const SECRET: &str = "s3cret";

pub(super) struct Ring(pub(super) Credentials, pub(super) AtomicUsize);

impl Keyring for Ring {
    fn find(&self, _: &str, repository: &str) -> Result<Credentials, RegistryError> {
        assert_eq!(repository, REPOSITORY);
        self.1.fetch_add(1, Ordering::SeqCst);
        Ok(self.0.clone())
    }
}

pub(super) fn me() -> Credentials {
    Credentials::Password { user: USER.0.into(), password: Secret::new(USER.1) }
}

fn http_client(loopback: bool) -> http::Client {
    http::Client::with(http::Options {
        retries: 2,
        pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(5),
        loopback: loopback.then_some(LoopbackForTests),
        ..http::Options::default()
    })
}

pub(super) fn client_as(host: &str, credentials: Credentials) -> Client {
    let ring = Arc::new(Ring(credentials, AtomicUsize::new(0)));
    Client::new(http_client(true), Endpoint::of(host, false).unwrap(), REPOSITORY, ring)
}

fn client(registry: &Registry) -> Client {
    client_as(&registry.host(), Credentials::Anonymous)
}

/// An artifact: a manifest whose parts are one blob.
fn image(registry: &Registry, tag: &str) -> (Descriptor, Descriptor) {
    registry.with(|kept| {
        let blob = b"{}";
        let digest = kept.put_blob(REPOSITORY, blob);
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{digest}","size":2}},"layers":[{{"mediaType":"{}","digest":"{digest}","size":2}}]}}"#,
            media::OCI_MANIFEST, media::OCI_CONFIG, media::OCI_LAYER
        );
        let root = kept.put_manifest(REPOSITORY, Some(tag), media::OCI_MANIFEST, manifest.as_bytes());
        let root = Descriptor::new(media::OCI_MANIFEST, root, manifest.len() as u64);
        (root, Descriptor::new(media::OCI_LAYER, digest, 2))
    })
}

fn tag(name: &str) -> Which {
    Which::Tag(name.into())
}

pub(super) fn without_secrets(error: &RegistryError) {
    let told = format!("{error} {error:?} {:?} {:?}", error.hint(), error.lines());
    assert!(!told.contains(SECRET), "{told}");
}

#[test]
fn a_name_leads_to_a_registry_that_is_written() {
    let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let of = |text: &str| Remote::of(&text.parse().unwrap());
    let remote = of("registry.example:5000/team/name:v1").unwrap();
    assert_eq!((remote.host.as_str(), remote.repository.as_str()), ("registry.example:5000", "team/name"));
    assert_eq!(remote.which, tag("v1"));
    assert_eq!(of("registry.example/name").unwrap().which, tag("latest"));
    let both = of(&format!("registry.example/name:v1@sha256:{hex}")).unwrap();
    assert_eq!(both.which.to_string(), format!("sha256:{hex}"), "a digest says more than a tag");
    for text in ["name", "team/name:v1", &format!("registry.example/name@sha512:{hex}{hex}")] {
        assert_eq!(of(text).unwrap_err().kind(), Kind::Usage, "{text}");
    }
}

#[test]
fn an_image_is_found_by_tag_and_by_digest_and_its_blob_is_read_from_anywhere() {
    let registry = Registry::start(Quirks::default());
    let (root, blob) = image(&registry, "v1");
    let client = client(&registry);
    assert_eq!(client.head_manifest(&tag("v1")).unwrap().unwrap(), root);
    assert_eq!(client.head_manifest(&Which::Digest(root.digest.clone())).unwrap().unwrap(), root);
    assert_eq!(client.head_manifest(&tag("v2")).unwrap(), None);
    let found = client.get_manifest(&tag("v1"), Some(&root)).unwrap().unwrap();
    assert_eq!((&found.descriptor, Digest::sha256(&found.bytes)), (&root, root.digest.clone()));
    assert_eq!(client.get_manifest(&tag("v2"), None).unwrap(), None);
    assert_eq!(client.head_blob(&blob.digest).unwrap(), Some(2));
    assert_eq!(client.head_blob(&Digest::sha256(b"none")).unwrap(), None);
    for (from, rest) in [(0, "{}"), (1, "}"), (2, "")] {
        let mut text = String::new();
        client.get_blob(&blob, from).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, rest);
    }
    let first = &registry.requests()[0];
    assert_eq!((first.method.as_str(), first.path.as_str()), ("HEAD", "/v2/team/name/manifests/v1"));
    image(&registry, "a");
    assert_eq!(client.tags().unwrap(), ["a", "v1"], "in order, though the registry has none");
}

/// Quirks 10 and 11: HEAD without a digest or refused; nothing found unless the very type is accepted.
#[test]
fn a_registry_that_does_not_answer_head_is_asked_for_the_manifest() {
    for (head, requests) in [
        (Head::Full, &["HEAD"][..]),
        (Head::NoDigest, &["HEAD", "GET"]),
        (Head::Refused(400), &["HEAD", "GET"]),
        (Head::Refused(401), &["HEAD", "GET"]),
        (Head::Refused(403), &["HEAD", "GET"]),
        (Head::Refused(405), &["HEAD", "GET"]),
    ] {
        let registry = Registry::start(Quirks { head, ..Quirks::default() });
        let (root, _) = image(&registry, "v1");
        assert_eq!(client(&registry).head_manifest(&tag("v1")).unwrap(), Some(root), "{head:?}");
        let asked: Vec<_> = registry.requests().into_iter().map(|request| request.method).collect();
        assert_eq!(asked, requests, "{head:?}");
        for request in registry.requests() {
            for kind in [media::OCI_INDEX, media::OCI_MANIFEST, media::DOCKER_LIST, media::DOCKER_MANIFEST] {
                assert!(request.header("accept").unwrap().contains(kind));
            }
        }
    }
}

/// Every way in with what it takes, and the control: the same without it.
#[test]
fn who_has_what_a_registry_asks_for_comes_in() {
    let bearer = |bearer: Bearer| Asks::Bearer(Bearer { anonymous: false, ..bearer });
    let identity = || Credentials::Identity(Secret::new(IDENTITY));
    let anonymous = || Credentials::Anonymous;
    let wrong = || Credentials::Password { user: "me".into(), password: Secret::new("s3cret-wrong") };
    for (asks, credentials, comes) in [
        (Asks::Nothing, anonymous(), true),
        (Asks::Basic, me(), true),
        (Asks::Basic, anonymous(), false),
        (Asks::Basic, wrong(), false),
        (Asks::Basic, identity(), false),
        (Asks::Bearer(Bearer::default()), anonymous(), true),
        (bearer(Bearer::default()), anonymous(), false),
        (bearer(Bearer::default()), wrong(), false),
        (bearer(Bearer::default()), me(), true),
        (bearer(Bearer { named_access: true, ..Bearer::default() }), me(), true),
        (bearer(Bearer { expires_in: None, ..Bearer::default() }), me(), true),
        (bearer(Bearer { expires_in: Some(0), ..Bearer::default() }), me(), true),
        (bearer(Bearer::default()), identity(), true),
        (bearer(Bearer { renews: false, ..Bearer::default() }), identity(), true),
        (bearer(Bearer::default()), Credentials::Identity(Secret::new("s3cret-other")), false),
        (bearer(Bearer::default()), Credentials::Token(Secret::new("s3cret-stale")), false),
    ] {
        let registry = Registry::start(Quirks { asks: asks.clone(), ..Quirks::default() });
        let (root, blob) = image(&registry, "v1");
        let client = client_as(&registry.host(), credentials);
        let found = client.get_manifest(&tag("v1"), None);
        assert_eq!(found.is_ok(), comes, "{asks:?}: {found:?}");
        if let Err(error) = found {
            assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
            without_secrets(&error);
            continue;
        }
        client.put_manifest(&tag("v2"), media::OCI_MANIFEST, &found.unwrap().unwrap().bytes).unwrap();
        assert_eq!(client.head_manifest(&tag("v2")).unwrap(), Some(root));
        assert_eq!(client.head_blob(&blob.digest).unwrap(), Some(2));
        assert!(!format!("{client:?}").contains(SECRET));
    }
}

#[test]
fn a_token_is_asked_for_once_for_each_use_and_a_keyring_once() {
    let registry = Registry::start(Quirks { asks: Asks::Bearer(Bearer::default()), ..Quirks::default() });
    let (root, blob) = image(&registry, "v1");
    let ring = Arc::new(Ring(Credentials::Anonymous, AtomicUsize::new(0)));
    let client = Client::new(
        http_client(false),
        Endpoint::of(&registry.host(), false).unwrap(),
        REPOSITORY,
        ring.clone(),
    );
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(client.head_manifest(&tag("v1")).unwrap().unwrap(), root));
        }
    });
    for _ in 0..3 {
        assert_eq!(client.clone().head_blob(&blob.digest).unwrap(), Some(2));
    }
    let tokens = registry.asked().iter().filter(|line| line.ends_with(" /token")).count();
    assert_eq!(tokens, 1, "{:?}", registry.asked());
    let scopes: BTreeSet<_> = registry
        .requests()
        .into_iter()
        .filter(|request| request.path.starts_with("/token"))
        .map(|r| r.path)
        .collect();
    assert_eq!(
        scopes.into_iter().collect::<Vec<_>>(),
        ["/token?service=tests&scope=repository:team/name:pull"]
    );
    assert!(ring.1.load(Ordering::SeqCst) <= 8);
}

/// Quirk 9: a token dies in the middle. What was sent is sent again with a new one.
#[test]
fn a_token_that_dies_is_renewed_and_the_request_made_again() {
    let asks = Asks::Bearer(Bearer { lives: 2, ..Bearer::default() });
    let registry = Registry::start(Quirks { asks, ..Quirks::default() });
    let (root, blob) = image(&registry, "v1");
    let client = client(&registry);
    let bytes = client.get_manifest(&tag("v1"), None).unwrap().unwrap().bytes;
    for n in 0..7 {
        client.put_manifest(&tag(&format!("t{n}")), media::OCI_MANIFEST, &bytes).unwrap();
        assert_eq!(client.head_blob(&blob.digest).unwrap(), Some(2));
    }
    assert_eq!(client.head_manifest(&tag("t6")).unwrap().unwrap(), root);
    // The control: a registry whose tokens are never good ends the matter at once.
    let asks = Asks::Bearer(Bearer { lives: 0, ..Bearer::default() });
    let registry = Registry::start(Quirks { asks, ..Quirks::default() });
    let error = self::client(&registry).head_blob(&blob.digest).unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
    assert!(registry.requests().len() <= 6, "{:?}", registry.asked());
}

#[test]
fn a_download_goes_on_with_a_new_token_and_stores_only_the_right_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let asks = Asks::Bearer(Bearer { lives: 1, ..Bearer::default() });
    let registry = Registry::start(Quirks { asks, ..Quirks::default() });
    let bytes: Vec<u8> = (0..400_000_u32).flat_map(u32::to_le_bytes).collect();
    let digest = registry.with(|kept| kept.put_blob(REPOSITORY, &bytes));
    let blob = Descriptor::new(media::OCI_LAYER, digest.clone(), bytes.len() as u64);
    let client = client(&registry);
    assert!(client.download(&blob, "layer", &store, &Silent).unwrap());
    assert!(store.contains(&digest));
    let wrong = registry.with(|kept| {
        let digest = Digest::sha256(b"promised");
        kept.blobs.insert((REPOSITORY.into(), digest.to_string()), b"PROMISED".to_vec());
        digest
    });
    let blob = Descriptor::new(media::OCI_LAYER, wrong.clone(), 8);
    let error = client.download(&blob, "layer", &store, &Silent).unwrap_err();
    assert_eq!(error.kind(), Kind::Integrity, "{error}");
    assert!(!store.contains(&wrong));
    let blob = Descriptor::new(media::OCI_LAYER, Digest::sha256(b"nowhere"), 8);
    let error = client.download(&blob, "layer", &store, &Silent).unwrap_err();
    assert!(matches!(error, RegistryError::Missing { .. }), "{error}");
}

/// Quirk 14: blobs and uploads on another host get nothing of what the registry is told.
#[test]
fn no_other_host_sees_authorization() {
    for asks in [Asks::Basic, Asks::Bearer(Bearer { anonymous: false, ..Bearer::default() })] {
        let other =
            Server::start(
                |request| {
                    if request.method == "GET" { Response::ok("blob") } else { Response::status(201) }
                },
            );
        let at = other.url("");
        let registry = Registry::start(Quirks { asks, blobs_at: Some(at.clone()), ..Quirks::default() });
        let digest = registry.with(|kept| kept.put_blob(REPOSITORY, b"blob"));
        let client = client_as(&registry.host(), me());
        let blob = Descriptor::new(media::OCI_LAYER, digest, 4);
        client.head_blob(&blob.digest).unwrap();
        let mut text = String::new();
        client.get_blob(&blob, 0).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "blob");
        let dir = tempfile::tempdir().unwrap();
        client.download(&blob, "layer", &Store::open(dir.path()).unwrap(), &Silent).unwrap();
        let place = http::SafeUrl::parse(&format!("{at}/upload?_state=s3cret-state")).unwrap();
        let call = Call {
            method: Method::Put,
            to: To::Url(&place),
            accept: &[],
            headers: &[],
            content: Content::Bytes(b"blob"),
            access: Access::Push,
        };
        assert_eq!(client.call(&call, Again::Yes).unwrap().status(), 201);
        assert_eq!(other.requests().len(), 3);
        for request in other.requests() {
            assert_eq!(request.header("authorization"), None);
            assert!(!format!("{:?}", request.headers).contains("s3cret-token"));
        }
        assert!(registry.requests().iter().any(|request| request.header("authorization").is_some()));
    }
}

/// Quirk 14: another registry that blobs are at asks anew. Who only reads gets in; who writes there was led astray.
#[test]
fn another_host_is_given_a_login_to_read_and_never_to_write() {
    let other = Registry::start(Quirks { asks: Asks::Basic, ..Quirks::default() });
    let at = format!("http://{}/v2/{REPOSITORY}/blobs", other.host());
    let registry = Registry::start(Quirks { blobs_at: Some(at.clone()), ..Quirks::default() });
    for kept in [&registry, &other] {
        kept.with(|kept| kept.put_blob(REPOSITORY, b"blob"));
    }
    let client = client_as(&registry.host(), me());
    let blob = Descriptor::new(media::OCI_LAYER, Digest::sha256(b"blob"), 4);
    let mut text = String::new();
    client.get_blob(&blob, 0).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "blob");
    let logins =
        || other.requests().iter().filter(|request| request.header("authorization").is_some()).count();
    assert_eq!(logins(), 1);
    // A download cannot log in there, and says that it is to be read; what is pulled is.
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let anew = client_as(&registry.host(), me());
    assert!(!anew.download(&blob, "layer", &store, &Silent).unwrap());
    let layout = crate::layout::Layout::create(&dir.path().join("layout")).unwrap();
    let blobs = RegistryBlobs::new(vec![anew]);
    layout.take(&blobs, std::slice::from_ref(&blob), |_| Ok(false), &Silent).unwrap();
    let there = dir.path().join("layout/blobs/sha256").join(blob.digest.hex());
    assert_eq!(fs_err::read(there).unwrap(), b"blob");
    let before = logins();
    let place = http::SafeUrl::parse(&format!("{at}/uploads/")).unwrap();
    for method in [Method::Post, Method::Put, Method::Patch, Method::Delete] {
        let call = Call {
            method,
            to: To::Url(&place),
            accept: &[],
            headers: &[],
            content: Content::None,
            access: Access::Push,
        };
        let error = client.call(&call, Again::Never).unwrap_err();
        assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
    }
    assert_eq!(logins(), before, "the other host saw a login of a request that writes");
}

/// Without the exemption of these tests: a registry on loopback leads to no other service of the machine.
#[test]
fn a_realm_that_is_no_place_for_passwords_is_refused() {
    let inner = Server::start(|_| Response::ok(r#"{"token":"s3cret"}"#));
    for (realm, kind) in [
        ("http://auth.example/token".to_owned(), Kind::Refused),
        ("file:///etc/passwd".to_owned(), Kind::Refused),
        ("http://10.0.0.1/token".to_owned(), Kind::Refused),
        (inner.url("/token"), Kind::Refused),
        ("https://10.0.0.1/token".to_owned(), Kind::Refused),
        ("https://169.254.169.254/token".to_owned(), Kind::Refused),
        ("https://me:s3cret@auth.example/token".to_owned(), Kind::Network),
        ("nowhere".to_owned(), Kind::Network),
    ] {
        let asks = Asks::Bearer(Bearer { realm: Some(realm.clone()), ..Bearer::default() });
        let registry = Registry::start(Quirks { asks, ..Quirks::default() });
        let ring = Arc::new(Ring(me(), AtomicUsize::new(0)));
        let endpoint = Endpoint::of(&registry.host(), false).unwrap();
        let client = Client::new(http_client(false), endpoint, REPOSITORY, ring);
        let error = client.head_blob(&Digest::sha256(b"x")).unwrap_err();
        assert_eq!(error.kind(), kind, "{realm}: {error}");
        without_secrets(&error);
    }
    assert_eq!(inner.requests().len(), 0);
    // The control: the realm of the registry itself is asked.
    let asks = Asks::Bearer(Bearer { anonymous: false, ..Bearer::default() });
    let registry = Registry::start(Quirks { asks, ..Quirks::default() });
    let ring = Arc::new(Ring(me(), AtomicUsize::new(0)));
    let endpoint = Endpoint::of(&registry.host(), false).unwrap();
    let client = Client::new(http_client(false), endpoint, REPOSITORY, ring);
    assert_eq!(client.head_blob(&Digest::sha256(b"x")).unwrap(), None);
}

#[test]
fn a_realm_that_leads_on_gets_no_credentials_there() {
    let other = Server::start(|_| Response::ok(r#"{"token":"s3cret-elsewhere"}"#));
    let to = other.url("/token");
    for credentials in [me(), Credentials::Identity(Secret::new(IDENTITY))] {
        let to = to.clone();
        let instead =
            move |request: &Request| request.path.starts_with("/token").then(|| Response::redirect(307, &to));
        let asks = Asks::Bearer(Bearer::default());
        let registry =
            Registry::start(Quirks { asks, instead: Some(Arc::new(instead)), ..Quirks::default() });
        let error = client_as(&registry.host(), credentials).head_blob(&Digest::sha256(b"x")).unwrap_err();
        without_secrets(&error);
    }
    for request in other.requests() {
        assert_eq!((request.header("authorization"), request.body.len()), (None, 0));
    }
}

fn answering(answer: impl Fn(&Request) -> Response + Send + Sync + 'static) -> (Registry, Client) {
    let instead: pinfold_testkit::registry::Instead = Arc::new(move |request| Some(answer(request)));
    let registry = Registry::start(Quirks { instead: Some(instead), ..Quirks::default() });
    let client = client(&registry);
    (registry, client)
}

#[test]
fn challenges_that_cannot_be_met_end_the_matter() {
    for (challenge, met) in [
        (None, "denies"),
        (Some("Negotiate"), "neither passwords nor tokens"),
        (Some("Bearer service=x"), "where tokens are"),
        (Some("Bearer realm=\"open"), "a quote that does not end"),
        (Some("Basic realm=x"), "denies"),
    ] {
        let (registry, client) = answering(move |_| {
            let refused = Response::status(401);
            challenge.map_or(refused.clone(), |challenge| refused.header("WWW-Authenticate", challenge))
        });
        let error = client.head_blob(&Digest::sha256(b"x")).unwrap_err();
        assert!(error.to_string().contains(met), "{challenge:?}: {error}");
        assert_eq!(registry.requests().len(), 1);
    }
    // Two challenges in one header, of which the token's is taken.
    let registry = Registry::start(Quirks { asks: Asks::Bearer(Bearer::default()), ..Quirks::default() });
    let token = http::SafeUrl::parse(&format!("http://{}/token", registry.host())).unwrap();
    let (_other, client) = answering(move |request| match request.header("authorization") {
        None => Response::status(401)
            .header("WWW-Authenticate", &format!("Basic realm=\"a, b\", Bearer realm=\"{token}\"")),
        Some(_) => Response::ok("ok"),
    });
    assert_eq!(client.head_blob(&Digest::sha256(b"x")).unwrap(), Some(2));
}

/// Quirk 15, and the words of a registry.
#[test]
fn what_a_registry_says_is_told_in_bounds_and_without_pages_of_proxies() {
    let long = "x".repeat(5000);
    for (status, body, expected) in [
        (403, r#"{"errors":[{"code":"DENIED","message":"not yours\u0007"}]}"#.to_owned(), "denies blobs/"),
        (403, r#"{"errors":[{"code":"DENIED","message":"not yours"}]}"#.to_owned(), ": DENIED: not yours"),
        (413, "<html>too large</html>".to_owned(), "answered 413"),
        (405, format!(r#"{{"errors":[{{"code":"{long}","message":""}}]}}"#), "…"),
        (400, "y".repeat(70_000), "answered 400"),
    ] {
        let (_registry, client) = answering(move |_| Response { status, ..Response::ok(body.clone()) });
        let blob = Descriptor::new(media::OCI_LAYER, Digest::sha256(b"x"), 1);
        let error = client.get_blob(&blob, 0).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.len() < 600 && !error.contains("html") && !error.contains('\u{7}'), "{error}");
    }
    let (_registry, client) = answering(|_| Response::status(413));
    let error = client.put_manifest(&tag("v1"), media::OCI_MANIFEST, b"{}").unwrap_err();
    assert!(matches!(error, RegistryError::TooLarge { limit: None, .. }) && error.kind() == Kind::Refused);
}

#[test]
fn documents_that_are_not_what_they_should_be_are_refused() {
    let registry = Registry::start(Quirks::default());
    let (root, _) = image(&registry, "v1");
    let bytes = client(&registry).get_manifest(&tag("v1"), None).unwrap().unwrap().bytes;
    let hex = |n: u8| format!("sha256:{}", format!("{n:02x}").repeat(32));
    let by_digest = Which::Digest(root.digest.clone());
    for (name, media_type, digest, body, which, kind) in [
        (
            "another digest in the header",
            media::OCI_MANIFEST,
            Some(hex(1)),
            bytes.clone(),
            tag("v1"),
            Kind::Integrity,
        ),
        (
            "other bytes",
            media::OCI_MANIFEST,
            None,
            [&bytes[..], b" "].concat(),
            by_digest.clone(),
            Kind::Integrity,
        ),
        ("another type", media::DOCKER_MANIFEST, None, bytes.clone(), by_digest.clone(), Kind::Integrity),
        ("an index that is a manifest", media::OCI_INDEX, None, bytes.clone(), tag("v1"), Kind::Integrity),
        ("no image", "text/html", None, b"<html>".to_vec(), tag("v1"), Kind::Usage),
        ("nothing", "", None, b"".to_vec(), tag("v1"), Kind::Integrity),
        ("no JSON", media::OCI_MANIFEST, None, b"{".to_vec(), tag("v1"), Kind::Integrity),
        (
            "schema 1 by its type",
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            None,
            b"{}".to_vec(),
            tag("v1"),
            Kind::Usage,
        ),
        (
            "schema 1 by itself",
            "application/json",
            None,
            br#"{"schemaVersion":1}"#.to_vec(),
            tag("v1"),
            Kind::Usage,
        ),
    ] {
        let (_registry, client) = answering(move |_| {
            let answer = Response::ok(body.clone()).header("Content-Type", media_type);
            digest.iter().fold(answer, |answer, digest| answer.header("Docker-Content-Digest", digest))
        });
        let error = client.get_manifest(&which, None).unwrap_err();
        assert_eq!(error.kind(), kind, "{name}: {error}");
    }
    // The control, with no usable type: the document says what it is.
    for media_type in
        ["application/json", "text/plain; charset=utf-8", "application/vnd.oci.image.manifest.v1+json; x=y"]
    {
        let (bytes, media_type) = (bytes.clone(), media_type.to_owned());
        let (_registry, client) =
            answering(move |_| Response::ok(bytes.clone()).header("Content-Type", &media_type));
        assert_eq!(client.get_manifest(&by_digest, Some(&root)).unwrap().unwrap().descriptor, root);
    }
}

#[test]
fn answers_have_an_end() {
    let large = |size: usize, fault: Fault| {
        answering(move |request| {
            let blob = request.path.contains("/blobs/");
            let body = vec![b' '; if blob { 10 } else { size }];
            Response::ok(body).header("Content-Type", media::OCI_MANIFEST).fault(fault)
        })
    };
    for fault in [Fault::None, Fault::NoLength] {
        let (_registry, client) = large((4 << 20) + 1, fault);
        let error = client.get_manifest(&tag("v1"), None).unwrap_err();
        assert!(matches!(error, RegistryError::TooLarge { .. }), "{error}");
        let (_registry, client) = large(4 << 20, fault);
        let error = client.get_manifest(&tag("v1"), None).unwrap_err();
        assert_eq!(error.kind(), Kind::Integrity, "as long as may be, and no document: {error}");
        let blob = Descriptor::new(media::OCI_LAYER, Digest::sha256(b"x"), 9);
        let mut bytes = Vec::new();
        let read = client.get_blob(&blob, 0).map(|mut reader| reader.read_to_end(&mut bytes));
        assert!(!matches!(read, Ok(Ok(_))), "ten bytes are not nine");
    }
    let (_registry, client) = answering(|_| {
        Response::ok(r#"{"tags":["a"]}"#).header("Link", "</v2/team/name/tags/list?last=a>; rel=\"next\"")
    });
    assert_eq!(client.tags().unwrap_err().kind(), Kind::Integrity);
    let (_registry, client) = answering(|_| {
        Response::ok(r#"{"tags":["a"]}"#).header("Link", "<http://other.example/tags>; rel=\"next\"")
    });
    assert!(client.tags().unwrap_err().to_string().contains("another host"));
    let (registry, client) = answering(|request| match request.header("authorization") {
        _ if request.path == "/token" => Response::ok(vec![b'x'; 3 << 20]),
        _ => {
            let host = request.header("host").unwrap();
            Response::status(401).header("WWW-Authenticate", &format!("Bearer realm=\"http://{host}/token\""))
        }
    });
    assert!(client.head_blob(&Digest::sha256(b"x")).is_err());
    assert!(registry.requests().len() < 10);
}

#[test]
fn pages_of_tags_are_followed() {
    let (registry, client) = answering(|request| {
        if request.path.contains("last=") {
            return Response::ok(r#"{"tags":["a","!no tag"]}"#);
        }
        Response::ok(r#"{"tags":["c","b"]}"#)
            .header("Link", "</v2/team/name/tags/list?n=2&last=c>; rel=\"next\"")
    });
    assert_eq!(client.tags().unwrap(), ["a", "b", "c"]);
    assert_eq!(registry.requests()[1].path, "/v2/team/name/tags/list?n=2&last=c");
}

/// Whatever comes of it, nothing hangs, nothing half is believed, and no secret is told.
#[test]
fn answers_cut_at_any_byte_are_asked_for_again_or_are_errors() {
    let registry = Registry::start(Quirks::default());
    let (root, blob) = image(&registry, "v1");
    let bytes = client(&registry).get_manifest(&tag("v1"), None).unwrap().unwrap().bytes;
    let digest = root.digest.to_string();
    // Step 7: long answers are long in their heads, too.
    for n in (0..700).step_by(7).chain([1, 2, 3]) {
        for always in [false, true] {
            let (bytes, digest, turn) = (bytes.clone(), digest.clone(), AtomicUsize::new(0));
            let (_registry, client) = answering(move |request| {
                let host = request.header("host").unwrap();
                let answer = match request.header("authorization") {
                    _ if request.path.starts_with("/token") => Response::ok(r#"{"token":"s3cret-token"}"#),
                    None => Response::status(401)
                        .header("WWW-Authenticate", &format!("Bearer realm=\"http://{host}/token\"")),
                    Some(_) if request.method == "PUT" => {
                        Response::status(201).header("Docker-Content-Digest", &digest)
                    }
                    Some(_) if request.path.contains("/blobs/") => Response::ok("{}"),
                    Some(_) => Response::ok(bytes.clone())
                        .header("Content-Type", media::OCI_MANIFEST)
                        .header("Docker-Content-Digest", &digest),
                };
                let cut = always || turn.fetch_add(1, Ordering::SeqCst) % 2 == 0;
                if cut { answer.fault(Fault::CutAt(n)) } else { answer }
            });
            let found = client.get_manifest(&tag("v1"), None).map(|found| found.unwrap().descriptor);
            let head = client.head_manifest(&tag("v1")).map(Option::unwrap);
            let size = client.head_blob(&blob.digest).map(Option::unwrap);
            let put = client.put_manifest(&tag("v1"), media::OCI_MANIFEST, b"{}").map(drop);
            for error in [found.as_ref().err(), head.as_ref().err(), size.as_ref().err(), put.as_ref().err()]
                .into_iter()
                .flatten()
            {
                without_secrets(error);
            }
            assert!(found.is_err() || found.unwrap() == root);
            assert!(head.is_err() || head.unwrap() == root);
            assert!(size.is_err() || size.unwrap() == 2);
        }
    }
}

fn send(client: &Client, method: Method, to: To<'_>, content: Content<'_>) -> http::Reply {
    let call = Call { method, to, accept: &[], headers: &[], content, access: Access::Push };
    client.call(&call, Again::Never).unwrap()
}

/// The judge is a registry that others wrote, with a password and without; what it is given by hand is what is read back.
#[test]
fn debians_registry_gives_back_what_it_was_given() {
    use docker_registry::Auth;
    for (auth, credentials) in [(Auth::Open, Credentials::Anonymous), (Auth::Htpasswd, me())] {
        let Some(registry) = DockerRegistry::start(auth) else { return };
        if auth == Auth::Htpasswd {
            let error = client_as(&registry.host(), Credentials::Anonymous).tags().unwrap_err();
            assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
        }
        let client = client_as(&registry.host(), credentials);
        assert_eq!(client.head_manifest(&tag("v1")).unwrap(), None);
        let content: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
        let blob = Descriptor::new(media::OCI_LAYER, Digest::sha256(&content), content.len() as u64);
        assert_eq!(client.head_blob(&blob.digest).unwrap(), None);
        for (digest, bytes) in [(&blob.digest, &content[..]), (&Digest::sha256(b"{}"), b"{}")] {
            let begun = send(&client, Method::Post, To::Path("blobs/uploads/", &[]), Content::None);
            let place = begun.location().unwrap().and_query(&[("digest", &digest.to_string())]);
            assert_eq!(send(&client, Method::Put, To::Url(&place), Content::Bytes(bytes)).status(), 201);
            assert_eq!(client.head_blob(digest).unwrap(), Some(bytes.len() as u64));
        }
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{}","config":{{"mediaType":"{}","digest":"{}","size":2}},"layers":[{{"mediaType":"{}","digest":"{}","size":{}}}]}}"#,
            media::OCI_MANIFEST,
            media::OCI_CONFIG,
            Digest::sha256(b"{}"),
            media::OCI_LAYER,
            blob.digest,
            blob.size
        );
        for name in ["v2", "v1"] {
            client.put_manifest(&tag(name), media::OCI_MANIFEST, manifest.as_bytes()).unwrap();
        }
        let root = client.head_manifest(&tag("v1")).unwrap().unwrap();
        assert_eq!(root.digest, Digest::sha256(manifest.as_bytes()));
        assert_eq!(client.get_manifest(&tag("v1"), Some(&root)).unwrap().unwrap().bytes, manifest.as_bytes());
        assert_eq!(client.tags().unwrap(), ["v1", "v2"]);
        let mut rest = Vec::new();
        client.get_blob(&blob, 399_000).unwrap().read_to_end(&mut rest).unwrap();
        assert_eq!(rest, &content[399_000..]);
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        client.download(&blob, "layer", &store, &Silent).unwrap();
        assert_eq!(fs_err::read(store.path(&blob.digest)).unwrap(), content);
        // What is damaged on its disk is noticed here.
        fs_err::write(registry.blob_path(blob.digest.hex().as_ref()), vec![0; content.len()]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let error = client.download(&blob, "layer", &store, &Silent).unwrap_err();
        assert_eq!(error.kind(), Kind::Integrity, "{error}");
        assert!(!store.contains(&blob.digest));
    }
}
