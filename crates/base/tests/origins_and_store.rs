//! Where credentials go when servers send a request elsewhere, and what the store holds after each way of going wrong.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::io::Write as _;

use pinfold_base::Algorithm;
use pinfold_base::Diagnose as _;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::Store;
use pinfold_base::address::LoopbackForTests;
use pinfold_base::http::Auth;
use pinfold_base::http::Client;
use pinfold_base::http::Get;
use pinfold_base::http::Options;
use pinfold_base::http::SafeUrl;
use pinfold_base::http::Secret;
use pinfold_base::store::Expected;
use pinfold_testkit::http::Response;
use pinfold_testkit::http::Server;

/// What `Authorization` each request came with.
fn seen(server: &Server) -> Vec<String> {
    let requests = server.requests();
    requests.iter().map(|one| one.header("authorization").unwrap_or("none").to_owned()).collect()
}

#[test]
fn each_hop_gets_the_credentials_of_its_own_origin() {
    // RFC 9110, section 15.4: whether to send credentials to the target of a redirect is for the client to judge. Those of
    // the first address stay at its origin (RFC 6454: scheme, host and port), those in a target are the target's.
    const BEARER: &str = "Bearer t0ken";
    const OWN: &str = "Basic bWU6czNjcmV0"; // printf me:s3cret | base64
    const OTHER: &str = "Basic eW91OnB3"; // printf you:pw | base64
    for (login, location, here, there) in [
        (None, "/end", &[BEARER, BEARER][..], &[][..]),
        (None, "end?x", &[BEARER, BEARER], &[]),
        (None, "THERE/end", &[BEARER], &["none"]),
        (None, "LOGIN/end", &[BEARER], &[OTHER]),
        (Some("me:s3cret@"), "/end", &[OWN, OWN], &[]),
        (Some("me:s3cret@"), "../end", &[OWN, OWN], &[]),
        (Some("me:s3cret@"), "THERE/end", &[OWN], &["none"]),
        (Some("me:s3cret@"), "LOGIN/end", &[OWN], &[OTHER]),
        // Away and back again: the origin is the first one's once more.
        (None, "THERE/back", &[BEARER, BEARER], &["none"]),
        (Some("me:s3cret@"), "THERE/back", &[OWN, OWN], &["none"]),
    ] {
        let (home_send, home_receive) = std::sync::mpsc::channel::<String>();
        let home_receive = std::sync::Mutex::new(home_receive);
        let other = Server::start(move |request| match request.path.as_str() {
            "/back" => Response::redirect(302, &home_receive.lock().unwrap().recv().unwrap()),
            _ => Response::ok("there"),
        });
        let target = location
            .replace("THERE", other.url("").as_str())
            .replace("LOGIN", &other.url("").replace("://", "://you:pw@"));
        let server = Server::start(move |request| match request.path.as_str() {
            "/start" => Response::redirect(302, &target),
            _ => Response::ok("here"),
        });
        home_send.send(server.url("/end")).unwrap();
        let url = server.url("/start").replace("://", &format!("://{}", login.unwrap_or_default()));
        let get = Get { auth: Auth::Bearer(Secret::new("t0ken")), ..Get::default() };
        let client =
            Client::with(Options { retries: 0, loopback: Some(LoopbackForTests), ..Options::default() });
        client.get(&SafeUrl::parse(&url).unwrap(), &get).unwrap();
        assert_eq!(
            (seen(&server).as_slice(), seen(&other).as_slice()),
            (&map(here)[..], &map(there)[..]),
            "{location}"
        );
    }
}

fn map(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn waiting(store: &Store) -> usize {
    fs_err::read_dir(store.root().join("tmp")).unwrap().count()
}

#[test]
fn two_writers_of_one_blob_both_succeed_and_one_that_gives_up_leaves_nothing() {
    let (_dir, store) = store();
    let digest = Digest::sha256(b"hello");
    let expected = || Expected { digest: digest.clone(), size: Some(5) };
    let (mut one, mut two) = (store.writer("x", expected()).unwrap(), store.writer("x", expected()).unwrap());
    one.write_all(b"hel").unwrap();
    two.write_all(b"hello").unwrap();
    assert!(!store.contains(&digest), "nothing is there before it is whole");
    assert_eq!(two.finish().unwrap(), (digest.clone(), 5));
    let mut open = store.read(&digest).unwrap();
    one.write_all(b"lo").unwrap();
    assert_eq!(one.finish().unwrap().0, digest);
    // Who had it open before the second one came still reads the same bytes.
    let mut text = String::new();
    std::io::Read::read_to_string(&mut open, &mut text).unwrap();
    assert_eq!(text, "hello");
    let mut third = store.writer("x", expected()).unwrap();
    third.write_all(b"he").unwrap();
    assert_eq!(waiting(&store), 1);
    drop(third);
    assert_eq!(waiting(&store), 0);
}

#[test]
fn what_a_crash_left_is_neither_read_nor_in_the_way() {
    let (dir, store) = store();
    let digest = Digest::sha256(b"hello");
    fs_err::write(dir.path().join("tmp/w-abandoned"), b"hel").unwrap();
    fs_err::write(dir.path().join("tmp").join(digest.hex()), b"evil").unwrap();
    fs_err::write(store.partial_path(&digest), b"hel").unwrap();
    assert!(!store.contains(&digest) && store.read(&digest).is_err());
    assert_eq!(store.put("x", b"hello").unwrap(), digest);
    assert_eq!(fs_err::read(store.path(&digest)).unwrap(), b"hello");
    // A folder of that name is no blob, and gives way to one.
    let other = Digest::sha256(b"other");
    fs_err::create_dir(store.path(&other)).unwrap();
    assert!(!store.contains(&other));
    assert_eq!(store.put("x", b"other").unwrap(), other);
}

#[test]
fn every_difference_to_what_was_promised_is_an_integrity_failure() {
    let (_dir, store) = store();
    let promised = |text: &[u8], size| Expected { digest: Digest::sha256(text), size };
    for (written, expected, message) in [
        (&b"hellO"[..], promised(b"hello", Some(5)), "wrong digest"),
        (b"hellO", promised(b"hello", None), "wrong digest"),
        (b"hell", promised(b"hello", Some(5)), "wrong size"),
        (b"", promised(b"hello", Some(5)), "wrong size"),
        (b"hello", promised(b"hello", Some(6)), "wrong size"),
        (b"", promised(b"hello", None), "wrong digest"),
    ] {
        let mut writer = store.writer("x", expected.clone()).unwrap();
        writer.write_all(written).unwrap();
        let error = writer.finish().unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
        assert_eq!(error.kind(), Kind::Integrity);
        assert!(!store.contains(&expected.digest) && !store.contains(&Digest::sha256(written)));
    }
    // Too much is refused before it is written, in one piece or in many.
    for piece in [6, 1] {
        let mut writer = store.writer("x", promised(b"hello", Some(5))).unwrap();
        let written = b"hello!".chunks(piece).try_for_each(|piece| writer.write_all(piece));
        assert!(written.unwrap_err().to_string().contains("longer than the 5 bytes"));
    }
    // An empty blob is a blob, and each hash has a folder of its own.
    let mut writer = store.writer_unknown("x", Algorithm::Sha512).unwrap();
    writer.write_all(b"hello").unwrap();
    let (digest, _) = writer.finish().unwrap();
    assert!(store.path(&digest).starts_with(store.root().join("blobs/sha512")));
    assert!(!store.contains(&Digest::sha256(b"hello")));
    assert!(store.contains(&store.put("x", b"").unwrap()));
    assert_eq!(waiting(&store), 0);
}

#[test]
fn a_file_in_the_way_of_the_cache_is_the_machines_failure() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs_err::write(&file, b"").unwrap();
    for cache in [file.join("cache"), file] {
        let error = Store::open(&cache).unwrap_err();
        assert_eq!(error.kind(), Kind::System);
        assert!(error.to_string().contains("file"), "{error}");
    }
}
