use std::io::Read as _;

use pinfold_base::Diagnose as _;
use pinfold_testkit::nix;

use super::*;
use crate::nix::testing;
use crate::nix::testing::root;

#[test]
fn what_is_locked_is_read_back_and_sorted() {
    let locked = testing::locked();
    let text = toml::to_string(&locked).unwrap();
    assert_eq!(toml::from_str::<LockedNix>(&text).unwrap(), locked);
    assert!(text.contains("path = \"s3zc23mfbdjaczxaagdzk9g112hazri7-tiny-hello-1.0\""), "{text}");
    assert!(!text.contains("127.0.0.1") && !text.contains("file://"), "no address of a cache");
    let paths: Vec<String> = locked.paths.iter().map(|path| path.path.to_string()).collect();
    assert_eq!(paths, nix::closure().into_iter().map(|path| path.path).collect::<Vec<_>>());
    assert_eq!(testing::locked(), locked);
    assert_eq!(system(Platform::ALL[0]), "x86_64-linux");
    assert_eq!(system(Platform::ALL[1]), "aarch64-linux");
    // lib, itself and odd.
    assert_eq!(locked.closure_sizes()[&root("lib")], 944 + 950_696);
}

#[test]
fn each_lock_that_does_not_fit_is_refused() {
    type Row = (&'static str, fn(&mut LockedNix), &'static str);
    let rows: &[Row] = &[
        ("a path twice", |lock| lock.paths.insert(0, lock.paths[0].clone()), "or twice"),
        ("another order", |lock| lock.paths.swap(0, 1), "comes after"),
        ("no odd", |lock| lock.paths.retain(|path| path.path != root("odd")), "refers to"),
        ("no env", |lock| lock.paths.retain(|path| path.path != root("env")), "asked for and not there"),
        ("too large", |lock| lock.paths[3].nar_size = MAX_NAR + 1, "is larger than"),
    ];
    for (what, change, said) in rows {
        let mut lock = testing::locked();
        lock.check().unwrap();
        change(&mut lock);
        let error = lock.check().expect_err(what);
        assert!(error.to_string().contains(said), "{what}: {error}");
        assert_eq!(error.hint().unwrap(), "lock again: `pinfold lock`");
    }
    for (from, to) in [("path = \"", "path = \"../"), ("compression = \"xz\"", "compression = \"rar\"")] {
        let text = toml::to_string(&testing::locked()).unwrap().replacen(from, to, 1);
        assert!(toml::from_str::<LockedNix>(&text).is_err(), "{to}");
    }
}

#[test]
fn what_counts_is_the_nar() {
    for known in nix::closure() {
        let locked = testing::locked();
        let path = locked.path(&StorePath::parse(&known.path).unwrap()).unwrap();
        let mut nar = Vec::new();
        let file = known.nar();
        let mut decoder = pinfold_archive::codec::decoder(path.compression.codec(), &file[..]).unwrap();
        decoder.read_to_end(&mut nar).unwrap();
        path.check_nar(&Digest::sha256(&nar), nar.len() as u64).unwrap();
        for (digest, size) in
            [(Digest::sha256(b""), nar.len() as u64), (Digest::sha256(&nar), nar.len() as u64 + 8)]
        {
            let error = path.check_nar(&digest, size).unwrap_err();
            assert!(error.hint().unwrap().contains("use another"), "{error}");
        }
    }
}

#[test]
fn a_lock_that_was_changed_is_not_what_was_signed() {
    type Row = (&'static str, fn(&mut LockedPath));
    let keys = testing::keys();
    let lock = testing::locked();
    assert!(lock.paths.iter().all(|path| path.vouched(&keys).is_ok()));
    let greet = || lock.path(&root("greet")).unwrap().clone();
    let changes: &[Row] = &[
        ("another NAR", |path| path.nar = Digest::sha256(b"x")),
        ("another size", |path| path.nar_size += 1),
        ("fewer references", |path| drop(path.references.pop_first())),
        ("another path", |path| path.path = root("hello")),
    ];
    for (what, change) in changes {
        let mut path = greet();
        change(&mut path);
        let error = path.vouched(&keys).expect_err(what);
        assert!(error.hint().unwrap().contains("pinfold lock --upgrade"), "{what}: {error}");
    }
    let mut path = greet();
    path.signatures.clear();
    let error = path.vouched(&keys).unwrap_err();
    assert!(error.hint().unwrap().contains("add the key"), "{error}");
    assert!(NixError::NoStore(root("hello")).hint().unwrap().contains("name the store in `caches`"));
    // What is not signed does not count: the file that is downloaded is held to the NAR.
    let mut path = greet();
    (path.file, path.deriver) = (Digest::sha256(b"x"), None);
    assert!(path.vouched(&keys).is_ok());
}
