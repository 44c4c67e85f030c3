//! Caches: the fixture's, served and as a directory, and others that are not as they should be.

use pinfold_base::Diagnose as _;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::report::Silent;
use pinfold_testkit::http::Response;
use pinfold_testkit::http::Server;
use pinfold_testkit::nix;

use super::*;
use crate::nix::closure::Closure;
use crate::nix::closure::Limits;
use crate::nix::testing;
use crate::nix::testing::cache;
use crate::nix::testing::caches;
use crate::nix::testing::changed;
use crate::nix::testing::field;
use crate::nix::testing::files;
use crate::nix::testing::keys;
use crate::nix::testing::narinfo;
use crate::nix::testing::root;

fn asked(caches: &Caches, attribute: &str) -> Answer {
    caches.ask(&[root(attribute)]).remove(0)
}

fn info_of(text: &str) -> BTreeFiles {
    let mut files = files();
    files.insert("nix-cache-info".into(), text.as_bytes().to_vec());
    files
}

type BTreeFiles = std::collections::BTreeMap<String, Vec<u8>>;

#[test]
fn a_server_is_asked_what_nix_asks_and_no_more() {
    let server = testing::serve(files());
    let caches = caches(&[&server.url("")]);
    assert!(matches!(asked(&caches, "hello"), Answer::Has(_)));
    assert!(matches!(asked(&caches, "odd"), Answer::Has(_)));
    let paths: Vec<String> = server.requests().into_iter().map(|request| request.path).collect();
    let of = |attribute: &str| format!("/{}.narinfo", root(attribute).hash());
    assert_eq!(paths, ["/nix-cache-info".to_owned(), of("hello"), of("odd")]);
}

#[test]
fn caches_are_asked_by_priority_and_the_next_where_one_has_not() {
    let empty = |priority: u32| {
        let info = format!("StoreDir: /nix/store\nPriority: {priority}\n");
        testing::serve(BTreeFiles::from([("nix-cache-info".to_owned(), info.into_bytes())]))
    };
    let (late, first) = (testing::serve(files()), empty(10));
    let both = caches(&[&late.url(""), &first.url("")]);
    assert!(matches!(asked(&both, "hello"), Answer::Has(_)));
    assert_eq!((late.requests().len(), first.requests().len()), (2, 2), "the one that says 10 was first");
    // What is configured counts more than what it says.
    let (late, first) = (testing::serve(files()), empty(10));
    let own = Cache { priority: Some(5), ..cache(&late.url("")) };
    let both = Caches::new(vec![cache(&first.url("")), own], keys(), testing::client()).unwrap();
    assert!(matches!(asked(&both, "hello"), Answer::Has(_)));
    assert_eq!(first.requests().len(), 1, "never asked for the path");
    // Nobody has it.
    let none = caches(&[&first.url("")]);
    assert!(matches!(asked(&none, "hello"), Answer::HasNot));
    // An object store hides what is not there.
    let hiding = Server::start(|request| match request.path.as_str() {
        "/nix-cache-info" => Response::ok("StoreDir: /nix/store\n"),
        _ => Response::status(403),
    });
    assert!(matches!(asked(&caches(&[&hiding.url("")]), "hello"), Answer::HasNot));
}

#[test]
fn a_cache_that_fails_or_lies_is_no_reason_not_to_ask_the_next() {
    let replaying = {
        let mut files = files();
        let odd = narinfo("odd").into_bytes();
        files.insert(format!("{}.narinfo", root("hello").hash()), odd);
        testing::serve(files)
    };
    let failing = Server::start(|request| match request.path.as_str() {
        "/nix-cache-info" => Response::ok("StoreDir: /nix/store\nPriority: 1\n"),
        _ => Response::status(503),
    });
    let good = testing::serve(files());
    for bad in [&replaying, &failing] {
        let both = caches(&[&bad.url(""), &good.url("")]);
        assert!(matches!(asked(&both, "hello"), Answer::Has(_)));
        assert!(matches!(asked(&caches(&[&bad.url("")]), "hello"), Answer::Refused(_)));
    }
    assert!(failing.requests().len() > 3, "and it was asked again");
}

#[test]
fn what_is_no_cache_of_this_store_is_refused() {
    for (info, said) in [
        ("StoreDir: /gnu/store\n", "for the store `/gnu/store`"),
        ("StoreDir: /nix/store/\n", "for the store `/nix/store/`"),
        ("Priority: 40\n", "no `StoreDir`"),
        ("StoreDir: /nix/store\nStoreDir: /nix/store\n", "`StoreDir` twice"),
        ("StoreDir: /nix/store\nPriority: high\n", "`Priority` is no number"),
        ("<html>\n", "other lines"),
    ] {
        let server = testing::serve(info_of(info));
        let Answer::Refused(error) = asked(&caches(&[&server.url("")]), "hello") else { panic!("{info}") };
        assert!(error.to_string().contains(said), "{error}");
        assert!(error.hint().unwrap().contains("nix-cache-info"));
    }
    for info in ["StoreDir: /nix/store\n", "StoreDir: /nix/store\n\nFuture: 1\nPriority: 0"] {
        let server = testing::serve(info_of(info));
        assert!(matches!(asked(&caches(&[&server.url("")]), "hello"), Answer::Has(_)), "the control: {info}");
    }
    let nothing = Server::start(|_| Response::status(404));
    let Answer::Refused(error) = asked(&caches(&[&nothing.url("")]), "hello") else { panic!() };
    assert!(matches!(error, NixError::NotACache { .. }), "{error}");
}

#[test]
fn a_directory_is_a_cache_too_and_an_offline_client_knows_what_was_said() {
    let folder = format!("file://{}", nix::cache().display());
    let offline = |url: &str, client: Client| Caches::new(vec![cache(url)], keys(), client).unwrap();
    assert!(matches!(asked(&offline(&folder, Client::offline()), "hello"), Answer::Has(_)));
    assert!(matches!(Place::from_str(nix::cache().to_str().unwrap()), Ok(Place::Cache { .. })));

    let scratch = tempfile::tempdir().unwrap();
    let store = Store::open(scratch.path()).unwrap();
    let server = testing::serve(files());
    let url = server.url("");
    let online = offline(&url, testing::client().keeping(&store, "answers"));
    assert!(matches!(asked(&online, "hello"), Answer::Has(_)));
    let later = offline(&url, Client::offline().keeping(&store, "answers"));
    assert!(matches!(asked(&later, "hello"), Answer::Has(_)));
    let Answer::Refused(error) = asked(&later, "odd") else { panic!("it was never asked for") };
    assert_eq!(error.kind(), Kind::Network);
}

#[test]
fn answers_come_in_the_order_of_the_paths_however_many_there_are() {
    let server = testing::serve(files());
    let caches = caches(&[&server.url("")]);
    let paths: Vec<StorePath> =
        nix::closure().iter().map(|path| StorePath::parse(&path.path).unwrap()).collect();
    let many: Vec<StorePath> = paths.iter().cycle().take(100).cloned().collect();
    for (path, answer) in many.iter().zip(caches.ask(&many)) {
        assert!(matches!(answer, Answer::Has(verified) if verified.info().path == *path));
    }
}

#[test]
fn files_come_from_the_caches_as_they_are_set_up_and_lies_about_them_are_noticed() {
    let server = testing::serve(files());
    let scratch = tempfile::tempdir().unwrap();
    let store = Store::open(scratch.path()).unwrap();
    let here = caches(&[&server.url("")]);
    let closure = Closure::of(&[root("hello")], &here, &Limits::default()).unwrap();
    let locked = here.lock(&closure.paths()[&root("hello")], &store, &Silent).unwrap();
    assert_eq!(locked.file, Digest::sha256(&nix::root("hello").nar()));
    assert!(server.requests().iter().all(|request| !request.path.contains("/nar/")), "nothing was fetched");
    // From a mirror, below another path.
    let other = format!("file://{}", nix::cache().display());
    let sources = caches(&[&other]).sources(&locked).unwrap();
    Client::offline().download(sources, &locked.expected(), "hello", &store, &Silent).unwrap();

    // A file that is longer than was said, and one with another content.
    let url = locked.url.as_ref().unwrap().to_string();
    for bytes in [[nix::root("hello").nar(), b"x".to_vec()].concat(), nix::root("odd").nar()[..268].to_vec()]
    {
        let mut files = files();
        files.insert(url.clone(), bytes);
        let bad = testing::serve(files);
        let scratch = tempfile::tempdir().unwrap();
        let store = Store::open(scratch.path()).unwrap();
        let sources = caches(&[&bad.url("")]).sources(&locked).unwrap();
        let error =
            testing::client().download(sources, &locked.expected(), "hello", &store, &Silent).unwrap_err();
        assert_eq!(error.kind(), Kind::Integrity, "{error}");
    }
}

#[test]
fn a_file_that_its_narinfo_does_not_name_is_fetched_to_be_locked() {
    let mut files = files();
    let hello = narinfo("hello");
    let line = format!("FileHash: {}\n", field(&hello, "FileHash"));
    let name = format!("{}.narinfo", root("hello").hash());
    files.insert(name.clone(), changed(&hello, &line, "").into_bytes());
    let server = testing::serve(files);
    let scratch = tempfile::tempdir().unwrap();
    let store = Store::open(scratch.path()).unwrap();
    let here = caches(&[&server.url("")]);
    let Answer::Has(verified) = asked(&here, "hello") else { panic!() };
    let locked = here.lock(&verified, &store, &Silent).unwrap();
    assert_eq!(locked.file, Digest::sha256(&nix::root("hello").nar()));
    assert!(store.contains(&locked.file));
}

#[test]
fn places_are_written_as_substituters_are() {
    let read = |text: &str| Place::from_str(text);
    let Place::Cache { url, priority } = read("https://cache.example/x?priority=7&trusted=1").unwrap() else {
        panic!()
    };
    assert_eq!((url.to_string().as_str(), priority), ("https://cache.example/x", Some(7)));
    assert_eq!(read("local").unwrap(), Place::Local { root: "/".into(), list: None });
    assert_eq!(read("daemon").unwrap(), Place::Local { root: "/".into(), list: None });
    assert_eq!(read("local?root=/srv/s").unwrap(), Place::Local { root: "/srv/s".into(), list: None });
    let listed = Place::Local { root: "/".into(), list: Some("/build/.attrs.json".into()) };
    assert_eq!(read("local?list=/build/.attrs.json").unwrap(), listed);
    assert!(matches!(read("/srv/cache").unwrap(), Place::Cache { .. }));
    for text in ["ssh://host.example", "s3://bucket", "cache", "", "local?root=s", "file://host.example/x"] {
        let error = read(text).expect_err(text);
        assert!(error.hint().unwrap().contains("expected"), "{error}");
    }
}

#[test]
fn without_a_cache_or_a_key_it_is_said_where_they_are_set() {
    let error = Caches::new(Vec::new(), keys(), testing::client()).unwrap_err();
    assert!(error.hint().unwrap().contains("`caches` with `url` and `keys`"), "{error}");
    let server = testing::serve(files());
    let error =
        Caches::new(vec![cache(&server.url(""))], TrustedKeys::default(), testing::client()).unwrap_err();
    assert!(error.hint().unwrap().contains("`trusted-public-keys`"), "{error}");
    // As the hints say.
    assert!(matches!(asked(&caches(&[&server.url("")]), "hello"), Answer::Has(_)));
    // A key that is not trusted is told with those that are.
    let other = TrustedKeys::parse(["other-1:PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw="]).unwrap();
    let caches = Caches::new(vec![cache(&server.url(""))], other, testing::client()).unwrap();
    let Answer::Refused(error) = asked(&caches, "hello") else { panic!() };
    assert!(error.hint().unwrap().contains("add the key"), "{error}");
}

#[test]
fn a_login_of_a_cache_goes_to_it_and_is_told_nowhere() {
    let server = Server::start(|request| match request.header("authorization") {
        Some("Basic dXNlcjpzM2NyZXQ=") => match files().get(request.path.trim_start_matches("/c/")) {
            Some(body) => Response::ok(body.clone()),
            None => Response::status(404),
        },
        _ => Response::status(401),
    });
    let url = server.url("/c").replace("http://", "http://user:s3cret@");
    assert!(matches!(asked(&caches(&[&url]), "hello"), Answer::Has(_)));
    assert!(!format!("{:?} {:?}", caches(&[&url]).names(), caches(&[&url])).contains("s3cret"));
}
