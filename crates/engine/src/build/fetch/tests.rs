use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_sources::debian::locked::Indexed;
use pinfold_sources::debian::locked::LockedDeb;
use pinfold_sources::debian::locked::LockedSuite;
use pinfold_testkit::http::Response;
use pinfold_testkit::http::Server;

use super::*;
use crate::sources::debian::LockedDebian;
use crate::sources::testing::World;
use crate::sources::testing::agreed;
use crate::sources::testing::told;

const GOOD: &[u8] = b"a package";

/// 2023-11-14T22:13:20Z.
const DATE: u64 = 1_700_000_000;

fn serving(bytes: Option<&'static [u8]>) -> Server {
    Server::start(move |request| {
        bytes.map_or(Response::status(404), |bytes| Response::ranged(request, bytes))
    })
}

fn paths(server: &Server) -> Vec<String> {
    server.requests().into_iter().map(|request| request.path).collect()
}

/// A lock of one package for both platforms.
fn locked() -> Lock {
    let deb = LockedDeb {
        name: "a".into(),
        version: "1".into(),
        arch: "all".into(),
        source: "a".into(),
        sha256: Digest::sha256(GOOD),
        size: GOOD.len() as u64,
        path: "pool/main/a.deb".into(),
        suite: "bookworm".into(),
        archive: None,
        manual: true,
        indexed: Indexed::default(),
    };
    let suite = LockedSuite {
        name: "bookworm".into(),
        codename: "bookworm".into(),
        archive: "debian".into(),
        inrelease: Digest::sha256(b""),
        date: DATE,
    };
    let packages = Platform::ALL.into_iter().map(|platform| (platform, vec![deb.clone()])).collect();
    Lock { debian: Some(LockedDebian { suites: vec![suite], packages }), ..Lock::default() }
}

fn project(world: &World, mirror: &Server, snapshot: Option<&Server>) -> Project {
    let snapshot = snapshot
        .map_or(String::new(), |server| format!("snapshot = '{}'\n", server.url("/{archive}/{timestamp}")));
    let mirror = mirror.url("/debian");
    world.project(&format!("name = 'x'\n[debian]\nsuites = ['bookworm']\nmirror = '{mirror}'\n{snapshot}"))
}

#[test]
fn vendored_inputs_come_first_then_the_mirror_then_the_snapshot_archive() {
    // What each gives, and who is asked in the end. The last row is what nobody has.
    let bad: Option<&'static [u8]> = Some(b"another one");
    for (vendored, mirror, snapshot, asked, ends) in [
        (Some(GOOD), Some(GOOD), Some(GOOD), (0, 0), true),
        (bad, Some(GOOD), Some(GOOD), (1, 0), true),
        (None, Some(GOOD), Some(GOOD), (1, 0), true),
        (None, None, Some(GOOD), (1, 1), true),
        (None, bad, Some(GOOD), (1, 1), true),
        (bad, None, None, (1, 1), false),
        (None, None, bad, (1, 1), false),
    ] {
        let world = World::new();
        let (mirror, snapshot) = (serving(mirror), serving(snapshot));
        let project = project(&world, &mirror, Some(&snapshot));
        let mut context = world.online();
        let digest = Digest::sha256(GOOD);
        if let Some(bytes) = vendored {
            world.write(&format!("kept/sha256/{}", digest.hex()), std::str::from_utf8(bytes).unwrap());
            context.vendor = vec![world.folder().join("kept")];
        }
        let fetched = fetch(&context, &agreed(&context, &project), &locked(), &Platform::ALL);
        assert_eq!(fetched.is_ok(), ends, "{fetched:?}");
        assert_eq!(context.store.contains(&digest), ends);
        let count = |server: &Server| paths(server).into_iter().collect::<BTreeSet<_>>().len();
        assert_eq!((count(&mirror), count(&snapshot)), asked);
        if asked.1 == 1 {
            // snapshot.debian.org's form of a time.
            assert_eq!(paths(&snapshot)[0], "/debian/20231114T221320Z/pool/main/a.deb");
        }
        if let Err(error) = fetched {
            assert!(error.to_string().contains("a 1 (all)"), "{error}");
        }
    }
}

#[test]
fn each_archive_is_fetched_once_and_not_again() {
    let world = World::new();
    let mirror = serving(Some(GOOD));
    let (context, project) = (world.online(), project(&world, &mirror, None));
    let count = |fetched: Fetched| (fetched.total, fetched.fetched, fetched.bytes);
    let first = fetch(&context, &agreed(&context, &project), &locked(), &Platform::ALL).unwrap();
    assert_eq!(count(first), (1, 1, 9), "both platforms name the same one");
    assert_eq!(paths(&mirror), ["/debian/pool/main/a.deb"]);
    assert_eq!(
        count(fetch(&context, &agreed(&context, &project), &locked(), &Platform::ALL).unwrap()),
        (1, 0, 0)
    );
    assert_eq!(count(fetch(&context, &agreed(&context, &project), &locked(), &[]).unwrap()), (0, 0, 0));
    assert_eq!(mirror.requests().len(), 1);
}

#[test]
fn another_digest_is_an_integrity_error_and_what_is_gone_says_where_to_look() {
    let world = World::new();
    let mirror = serving(Some(b"A package"));
    let error = fetch(
        &world.online(),
        &agreed(&world.online(), &project(&world, &mirror, None)),
        &locked(),
        &Platform::ALL,
    )
    .unwrap_err();
    assert_eq!(error.kind(), Kind::Integrity, "{}", told(&error));
    let mirror = serving(None);
    let error = fetch(
        &world.online(),
        &agreed(&world.online(), &project(&world, &mirror, None)),
        &locked(),
        &Platform::ALL,
    )
    .unwrap_err();
    assert_eq!(error.kind(), Kind::Network, "{}", told(&error));
    assert!(error.hint().unwrap().contains("debian.snapshot"));
    // Of a further archive nobody keeps snapshots.
    let uri = mirror.url("/apt");
    let name = uri.strip_prefix("http://").unwrap();
    world.write("keys.asc", "not read");
    let project = world.project(&format!(
        "name = 'x'\n[debian]\nsuites = ['bookworm']\nmirror = '{}'\nsnapshot = '{}'\n[[debian.archive]]\nuri = '{uri}'\n\
         suite = 'vended'\nkeyring = 'keys.asc'\n",
        mirror.url("/debian"),
        mirror.url("/{archive}/{timestamp}")
    ));
    let mut lock = locked();
    let debian = lock.debian.as_mut().unwrap();
    debian.suites[0].name = "vended".into();
    debian.suites[0].archive = name.into();
    for deb in debian.packages.values_mut().flatten() {
        (deb.suite, deb.archive) = ("vended".into(), Some(name.into()));
    }
    let error =
        fetch(&world.online(), &agreed(&world.online(), &project), &lock, &Platform::ALL).unwrap_err();
    assert_eq!(error.kind(), Kind::Network, "{}", told(&error));
    let hint = error.hint().unwrap();
    assert!(hint.contains("`pinfold lock` takes what is") && !hint.contains("snapshot"), "{hint}");
}

#[test]
fn without_a_network_nothing_is_asked_and_the_hint_says_how() {
    let world = World::new();
    let mirror = serving(Some(GOOD));
    let offline = world.context("home", Network::Offline);
    let error =
        fetch(&offline, &agreed(&offline, &project(&world, &mirror, None)), &locked(), &Platform::ALL)
            .unwrap_err();
    assert_eq!(error.kind(), Kind::Network);
    assert!(error.hint().unwrap().contains("--vendor DIR"), "{}", told(&error));
    assert!(mirror.requests().is_empty());
}

#[test]
fn a_lock_with_a_suite_it_does_not_have_asks_nobody() {
    let world = World::new();
    let mirror = serving(Some(GOOD));
    let mut lock = locked();
    lock.debian.as_mut().unwrap().suites.clear();
    fetch(&world.online(), &agreed(&world.online(), &project(&world, &mirror, None)), &lock, &Platform::ALL)
        .unwrap_err();
    assert!(mirror.requests().is_empty());
}

#[test]
fn what_is_kept_is_named_by_its_digest_and_written_once() {
    let world = World::new();
    let mirror = serving(Some(GOOD));
    let (context, project) = (world.online(), project(&world, &mirror, None));
    let kept = world.dir.path().join("kept");
    let first = vendor(&context, &agreed(&context, &project), &locked(), &kept).unwrap();
    assert_eq!((first.total, first.fetched, first.bytes), (1, 1, 9));
    // sha256sum's name for the bytes.
    let file = kept.join("sha256").join(Digest::sha256(GOOD).hex());
    assert_eq!(fs::read(&file).unwrap(), GOOD);
    let inode = || std::os::unix::fs::MetadataExt::ino(&fs::metadata(&file).unwrap());
    let written = inode();
    vendor(&context, &agreed(&context, &project), &locked(), &kept).unwrap();
    assert_eq!(inode(), written, "what is there is not written again");
    fs::write(&file, "cut").unwrap();
    vendor(&context, &agreed(&context, &project), &locked(), &kept).unwrap();
    assert_eq!(fs::read(&file).unwrap(), GOOD, "what is cut is");
}

#[test]
fn configuration_is_looked_for_once_however_many_ask() {
    let world = World::new();
    let (context, project) = (world.online(), world.project("name = 'x'\n"));
    let agreed = agreed(&context, &project);
    let remotes = Remotes::new(&context, &agreed);
    let looked = AtomicUsize::new(0);
    let find = || {
        looked.fetch_add(1, Ordering::Relaxed);
        Ok::<_, ()>(7_u8)
    };
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(*remotes.kept(find).unwrap(), 7));
        }
    });
    assert_eq!(looked.load(Ordering::Relaxed), 1);
    // A failure is not kept.
    assert_eq!(remotes.kept(|| Err::<u16, _>("no")).unwrap_err(), "no");
    assert_eq!(*remotes.kept(|| Ok::<_, ()>(8_u16)).unwrap(), 8);
}
