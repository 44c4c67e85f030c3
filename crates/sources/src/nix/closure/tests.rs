//! Closures of the fixture, held to those that its database gives.

use std::collections::BTreeSet;

use pinfold_base::Diagnose as _;
use pinfold_testkit::nix;

use super::*;
use crate::nix::testing;
use crate::nix::testing::caches;
use crate::nix::testing::changed;
use crate::nix::testing::files;
use crate::nix::testing::root;
use crate::nix::testing::signed;

/// The closure as the database's references give it.
fn expected(attribute: &str) -> BTreeSet<String> {
    let all = nix::closure();
    let mut found = BTreeSet::new();
    let mut open = vec![nix::root(attribute).path];
    while let Some(path) = open.pop() {
        if found.insert(path.clone()) {
            open.extend(all.iter().find(|known| known.path == path).unwrap().references.clone());
        }
    }
    found
}

#[test]
fn closures_are_those_of_the_database() {
    let server = testing::serve(files());
    let caches = caches(&[&server.url("")]);
    for (attribute, _) in nix::roots() {
        let closure = Closure::of(&[root(&attribute)], &caches, &Limits::default()).unwrap();
        let paths: BTreeSet<String> = closure.paths().keys().map(ToString::to_string).collect();
        assert_eq!(paths, expected(&attribute), "{attribute}");
    }
    let roots: Vec<StorePath> = nix::roots().iter().map(|(name, _)| root(name)).collect();
    let closure = Closure::of(&roots, &caches, &Limits::default()).unwrap();
    assert_eq!(closure.paths().len(), 12);
    assert_eq!(closure.bytes(), nix::closure().iter().map(|path| path.nar_size).sum::<u64>());
    assert!(Closure::of(&[], &caches, &Limits::default()).unwrap().paths().is_empty());
}

#[test]
fn a_missing_path_is_told_with_the_chain_that_leads_there() {
    let mut files = files();
    files.remove(&format!("{}.narinfo", root("odd").hash())).unwrap();
    let server = testing::serve(files);
    let url = server.url("");
    let error = Closure::of(&[root("env")], &caches(&[&url]), &Limits::default()).unwrap_err();
    let NixError::Missing { path, chain, .. } = &error else { panic!("{error}") };
    assert_eq!((path, &chain[..]), (&root("odd"), &[root("env"), root("lib")][..]));
    assert!(error.to_string().contains("tiny-env → "), "{error}");
    assert!(error.to_string().contains(&url), "who was asked: {error}");
    // As the hint says: a cache of one's own that has it.
    assert!(error.hint().unwrap().contains("cache of your own"));
    let own = format!("file://{}", nix::cache().display());
    let both = caches(&[&url, &own]);
    assert!(Closure::of(&[root("env")], &both, &Limits::default()).is_ok());
    assert!(Closure::of(&[root("hello")], &caches(&[&url]), &Limits::default()).is_ok(), "the control");
}

#[test]
fn cycles_are_legal() {
    // hello refers to lib, which refers to itself and to odd, which refers to hello.
    let mut files = files();
    for (from, to) in [("hello", "lib"), ("odd", "hello")] {
        let text = changed(
            &testing::narinfo(from),
            "References: ",
            &format!("References: {}", root(to).base_name()),
        );
        files.insert(format!("{}.narinfo", root(from).hash()), signed(&text, "fixture-1").into_bytes());
    }
    let server = testing::serve(files);
    let closure = Closure::of(&[root("hello")], &caches(&[&server.url("")]), &Limits::default()).unwrap();
    let paths: Vec<&StorePath> = closure.paths().keys().collect();
    let mut expected = [root("hello"), root("lib"), root("odd")];
    expected.sort();
    assert_eq!(paths, expected.iter().collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_trusted_is_told_with_its_chain() {
    let mut files = files();
    let text = changed(&testing::narinfo("odd"), "NarSize: 950696", "NarSize: 950704");
    files.insert(format!("{}.narinfo", root("odd").hash()), text.into_bytes());
    let server = testing::serve(files);
    let error = Closure::of(&[root("lib")], &caches(&[&server.url("")]), &Limits::default()).unwrap_err();
    let NixError::Path { chain, source, .. } = &error else { panic!("{error}") };
    assert_eq!(chain[..], [root("lib")]);
    assert!(matches!(**source, NixError::NarInfo { .. }));
    assert_eq!(error.kind(), pinfold_base::Kind::Integrity);
    let hint = error.hint().unwrap();
    assert!(hint.starts_with("use another cache, and tell its operator; or the key `fixture-1`"), "{hint}");
    let own = format!("file://{}", nix::cache().display());
    let both = caches(&[&server.url(""), &own]);
    assert!(Closure::of(&[root("lib")], &both, &Limits::default()).is_ok(), "as the hint says");
    // What is another's is no matter of keys.
    let mut files = self::files();
    files.insert(format!("{}.narinfo", root("odd").hash()), testing::narinfo("lib").into_bytes());
    let server = testing::serve(files);
    let error = Closure::of(&[root("odd")], &caches(&[&server.url("")]), &Limits::default()).unwrap_err();
    assert_eq!(error.hint().unwrap(), "use another cache, and tell its operator");
}

#[test]
fn closures_have_limits() {
    let server = testing::serve(files());
    let caches = caches(&[&server.url("")]);
    let of = |limits| Closure::of(&[root("env")], &caches, &limits);
    let (paths, bytes) = (6, 950_696 + 664 + 520 + 944 + 1152 + 1952);
    assert!(of(Limits { paths, bytes }).is_ok(), "exactly as much");
    for limits in [Limits { paths: paths - 1, bytes }, Limits { paths, bytes: bytes - 1 }] {
        assert!(matches!(of(limits), Err(NixError::TooMuch { .. })), "{limits:?}");
    }
}
