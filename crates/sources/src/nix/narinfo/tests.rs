//! Narinfos, held to those that Nix wrote and to what its database says of the same paths.

use pinfold_testkit::nix;
use proptest::prelude::*;

use super::*;
use crate::nix::testing::changed;
use crate::nix::testing::field;
use crate::nix::testing::keys;
use crate::nix::testing::narinfo;
use crate::nix::testing::root;
use crate::nix::testing::signed;

#[test]
fn narinfos_say_what_the_database_says_and_verify() {
    for known in nix::closure() {
        let path = StorePath::parse(&known.path).unwrap();
        let narinfo = NarInfo::parse(known.narinfo().as_bytes()).unwrap();
        let verified = narinfo.verify(&path, &keys()).unwrap();
        let info = verified.info();
        assert_eq!((&info.nar_hash, info.nar_size), (&known.nar_hash, known.nar_size));
        assert_eq!(info.deriver.as_ref().map(ToString::to_string), known.deriver);
        let references: Vec<String> = info.references.iter().map(ToString::to_string).collect();
        let mut expected = known.references.clone();
        expected.sort();
        assert_eq!(references, expected);
        assert_eq!(*verified.voucher(), Voucher::Key("fixture-1".into()));
        let file = verified.file().unwrap();
        assert_eq!(file.compression, Compression::Xz);
        assert_eq!(file.hash, Some(Digest::sha256(&known.nar())));
        assert_eq!(file.size, Some(known.nar().len() as u64));
    }
    let of = |name| NarInfo::parse(narinfo(name).as_bytes()).unwrap().info;
    assert!(of("text").ca.unwrap().starts_with("text:sha256:"), "with a reference");
    assert!(of("source").ca.unwrap().starts_with("fixed:r:sha256:"));
    assert!(of("lib").references.contains(&root("lib")), "itself");
}

/// A change, and what is said of it.
type Row = (&'static str, fn(&str) -> String, &'static str);

#[test]
fn each_bad_narinfo_is_refused_for_its_own_reason() {
    let rows: &[Row] = &[
        ("another host", |text| url(text, "https://evil.example/x.nar.xz"), "`URL`"),
        ("another host without scheme", |text| url(text, "//evil.example/x.nar"), "`URL`"),
        ("an absolute path", |text| url(text, "/etc/passwd"), "leads out of the cache"),
        ("a file", |text| url(text, "file:///etc/passwd"), "`URL`"),
        ("dots", |text| url(text, "nar/../../x.nar"), "leads out of the cache"),
        ("dots, encoded", |text| url(text, "nar/%2e%2e/x.nar"), "`URL`"),
        ("a backslash", |text| url(text, "nar\\x"), "`URL`"),
        ("an odd query", |text| url(text, "nar/x?a=/../b"), "expected `?KEY=VALUE`"),
        ("a field twice", |text| format!("{text}NarSize: 664\n"), "it has `NarSize` twice"),
        ("the path twice", |text| format!("{text}StorePath: /nix/store/x\n"), "`StorePath` twice"),
        ("references twice", |text| format!("{text}References: \n"), "`References` twice"),
        ("no path", |text| without(text, "StorePath"), "no `StorePath`"),
        ("no hash", |text| without(text, "NarHash"), "no `NarHash`"),
        ("no size", |text| without(text, "NarSize"), "no `NarSize`"),
        ("no address", |text| without(text, "URL"), "no `URL`"),
        ("another store", |text| changed(text, "/nix/store/", "/gnu/store/"), "`StorePath`"),
        ("a wrong hash", |text| changed(text, "NarHash: sha256:", "NarHash: sha256:a"), "`NarHash`"),
        ("a weak hash", |text| changed(text, "NarHash: sha256:", "NarHash: sha1:"), "`NarHash`"),
        ("a size of nothing", |text| changed(text, "NarSize: ", "NarSize: 0"), "a number of bytes"),
        ("a negative size", |text| changed(text, "NarSize: ", "NarSize: -"), "a number of bytes"),
        ("a size beyond u64", |text| changed(text, "NarSize: ", "NarSize: 99999999999999999999"), "8 GiB"),
        ("a size beyond the limit", |text| changed(text, "NarSize: 664", "NarSize: 8589934593"), "8 GiB"),
        ("an odd size of the file", |text| changed(text, "FileSize: ", "FileSize: x"), "`FileSize`"),
        ("a reference outside of the store", |text| refers(text, "../etc/passwd"), "`References`"),
        ("a whole path as reference", |text| refers(text, "/nix/store/x"), "`References`"),
        ("an odd deriver", |text| changed(text, "Deriver: ", "Deriver: ../"), "`Deriver`"),
        ("unknown compression", |text| changed(text, ": xz\n", ": lzip\n"), "`Compression`"),
        ("no field", |text| format!("{text}garbage\n"), "line 11"),
        ("no blank", |text| changed(text, "URL: ", "URL:"), "line 2"),
        ("an odd signature", |text| format!("{text}Sig: fixture-1:AAAA\n"), "`Sig`"),
        ("another path's content address", |text| format!("{text}CA: {}\n", ca()), "`CA`"),
        ("not text", |text| changed(text, ": xz\n", ": x\u{0}z\n"), "`Compression`"),
    ];
    for (what, change, said) in rows {
        let text = change(&narinfo("hello"));
        let error = NarInfo::parse(text.as_bytes()).expect_err(what);
        let chain = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
        let told: Vec<String> = chain.map(ToString::to_string).collect();
        assert!(told.join(": ").contains(said), "{what}: {told:?}");
    }
    assert!(matches!(NarInfo::parse(b"StorePath: \xff"), Err(NarInfoError::NotText)));
    let long = vec![b'a'; usize::try_from(MAX_NARINFO).unwrap() + 1];
    assert!(matches!(NarInfo::parse(&long), Err(NarInfoError::TooLong)));
    let hello = root("hello");
    let many: Vec<String> = (0..=MAX_REFERENCES).map(|at| format!("{}-x{at}", hello.hash())).collect();
    assert!(matches!(
        NarInfo::parse(refers(&narinfo("hello"), &many.join(" ")).as_bytes()),
        Err(NarInfoError::TooMany { field: "References", .. })
    ));
}

fn url(text: &str, to: &str) -> String {
    changed(text, field(text, "URL"), to)
}

fn without(text: &str, name: &str) -> String {
    let start = format!("{name}: ");
    text.split_inclusive('\n').filter(|line| !line.starts_with(&start)).collect()
}

fn refers(text: &str, to: &str) -> String {
    changed(text, "References: ", &format!("References: {to}"))
}

/// The content address of another path.
fn ca() -> String {
    field(&narinfo("source"), "CA").to_owned()
}

#[test]
fn what_no_trusted_key_signed_is_not_verified() {
    let hello = narinfo("hello");
    let verify = |text: &str, keys: &TrustedKeys| {
        NarInfo::parse(text.as_bytes()).unwrap().verify(&root("hello"), keys)
    };
    assert!(verify(&hello, &keys()).is_ok());
    // What is not signed may change.
    assert!(verify(&url(&hello, "elsewhere/x.nar.xz"), &keys()).is_ok());
    assert!(verify(&changed(&hello, "FileSize: ", "FileSize: 9"), &keys()).is_ok());
    // What is signed may not.
    let other = field(&narinfo("odd"), "NarHash").to_owned();
    for text in [
        changed(&hello, "NarSize: 664", "NarSize: 665"),
        changed(&hello, field(&hello, "NarHash"), &other),
        refers(&hello, root("odd").base_name()),
    ] {
        assert!(matches!(verify(&text, &keys()), Err(NarInfoError::Forged { .. })), "{text}");
        assert!(verify(&signed(&text, "fixture-1"), &keys()).is_ok(), "the control");
    }
    // Replayed: what is signed for another path.
    let replayed = NarInfo::parse(narinfo("odd").as_bytes()).unwrap().verify(&root("hello"), &keys());
    assert!(matches!(replayed, Err(NarInfoError::OtherPath { found }) if found == root("odd")));
    // And the same with the path that was asked for written into it.
    let renamed = changed(&narinfo("odd"), &root("odd").to_string(), &root("hello").to_string());
    assert!(matches!(verify(&renamed, &keys()), Err(NarInfoError::Forged { .. })));
    // Wrong keys.
    let another = "fixture-1:PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=";
    assert!(matches!(
        verify(&hello, &TrustedKeys::parse([another]).unwrap()),
        Err(NarInfoError::Forged { .. })
    ));
    let public = nix::public_key();
    let both = TrustedKeys::parse([another, public.trim()]).unwrap();
    assert!(verify(&hello, &both).is_ok(), "two keys of one name");
    let renamed = public.trim().replace("fixture-1", "fixture-2");
    let error = verify(&hello, &TrustedKeys::parse([renamed.as_str()]).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "it is signed by `fixture-1`; trusted is `fixture-2`");
    let error = verify(&without(&hello, "Sig"), &keys()).unwrap_err();
    assert_eq!(error.to_string(), "it is not signed; trusted is `fixture-1`");
    // One good signature of several is enough, wherever it stands.
    let several = signed(&hello, "other-1") + hello.lines().last().unwrap() + "\n";
    assert!(verify(&several, &keys()).is_ok());
}

#[test]
fn fields_may_be_absent_where_nix_lets_them() {
    let hello = narinfo("hello");
    let read = |text: &str| NarInfo::parse(text.as_bytes()).unwrap();
    assert_eq!(read(&without(&hello, "Compression")).file.compression, Compression::Bzip2);
    assert_eq!(read(&without(&hello, "FileHash")).file.hash, None);
    assert_eq!(read(&without(&hello, "Deriver")).info.deriver, None);
    let unknown = changed(&hello, field(&hello, "Deriver"), "unknown-deriver");
    assert_eq!(read(&unknown).info.deriver, None);
    assert_eq!(read(&format!("{hello}FutureField: x\nFutureField: y\n")), read(&hello));
    let hexadecimal = format!("sha256:{}", nix::root("hello").nar_hash.hex());
    assert_eq!(read(&changed(&hello, field(&hello, "NarHash"), &hexadecimal)), read(&hello));
    let text = format!("{hello}CA: future:sha256:x\n");
    assert_eq!(read(&text).info.ca, None, "nobody signed it, and nothing can be said of it");
    let queried = read(&url(&hello, "nar/x.nar?hash=abc"));
    let base = SafeUrl::parse("https://u:p@cache.example/a").unwrap();
    let at = queried.file.url.at(&base).unwrap();
    assert_eq!(at.expose().expose(), "https://u:p@cache.example/a/nar/x.nar?hash=abc");
}

proptest! {
    #[test]
    fn no_narinfo_is_too_odd(bytes: Vec<u8>, cut in 0..700_usize, byte: u8) {
        let _ = NarInfo::parse(&bytes);
        let mut text = narinfo("env").into_bytes();
        let at = cut % text.len();
        text[at] = byte;
        if let Ok(narinfo) = NarInfo::parse(&text) {
            let asked = narinfo.claims().path.clone();
            let fingerprint = narinfo.claims().fingerprint();
            if narinfo.verify(&asked, &keys()).is_ok() {
                let original = NarInfo::parse(crate::nix::testing::narinfo("env").as_bytes()).unwrap();
                prop_assert_eq!(fingerprint, original.claims().fingerprint());
            }
        }
    }
}
