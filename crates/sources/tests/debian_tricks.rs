//! Tricks with the metadata of an archive, one a row: each is served by an archive of the test's own that differs from a sound one in
//! that alone, and what is to come of it. Beside it stands what apt says to the same files (apt 2.6 with gpgv 2.2, recorded; where
//! both are installed the second test asks them again). A dash: apt cannot be asked that.
//!
//! The sound archive is the first row, so that every refusal has its control.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "tests, which compare with apt"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use pinfold_archive::decoded::DecodedStore;
use pinfold_archive::decoded::Format;
use pinfold_base::Arch;
use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_base::Store;
use pinfold_base::http::Client;
use pinfold_base::http::Options;
use pinfold_base::report::Silent;
use pinfold_base::store::Expected;
use pinfold_sources::debian::lock;
use pinfold_sources::debian::lock::AskedSuite;
use pinfold_sources::debian::lock::Base;
use pinfold_sources::debian::lock::Inputs;
use pinfold_sources::debian::lock::Previous;
use pinfold_sources::debian::lock::Recommends;
use pinfold_sources::debian::lock::Request;
use pinfold_sources::debian::lock::mirrors::Declared;
use pinfold_sources::debian::lock::mirrors::Mirrors;
use pinfold_sources::debian::locked::LockedDeb;
use pinfold_sources::debian::locked::LockedSuite;
use pinfold_sources::debian::place;
use pinfold_testkit::debian::Archive;
use pinfold_testkit::debian::DATE;
use pinfold_testkit::debian::Deb;
use pinfold_testkit::debian::Files;
use pinfold_testkit::openpgp::BORN;
use pinfold_testkit::openpgp::Hash;
use pinfold_testkit::openpgp::Shape;
use pinfold_testkit::openpgp::TestKey;
use pinfold_testkit::openpgp::sign_beside;
use pinfold_testkit::openpgp::sign_each;

const DAY: u64 = 86_400;
const MADE: u32 = BORN + 1_000_000;
const AMD64: Platform = Platform { arch: Arch::Amd64 };
const PACKAGES: &str = "main/binary-amd64/Packages";

/// Who signs, and what.
enum Signer {
    /// The key that is trusted.
    Trusted,
    /// A key that nobody knows.
    Stranger,
    /// The trusted key, but another text.
    Forged,
    /// A second key that is trusted.
    Second,
    /// A second key that is trusted, but another text.
    SecondForged,
}

/// What is changed about the sound archive.
struct Trick {
    name: &'static str,
    /// The key of the archive.
    key: Shape,
    hash: Hash,
    made: u32,
    /// Seconds after which the signature ends.
    ends: Option<u32>,
    signers: Vec<Signer>,
    /// The `.deb` of `app`.
    deb: fn(Deb) -> Deb,
    /// A field that the package has, what it says there, and what the index says.
    related: Option<(&'static str, &'static str, &'static str)>,
    /// The text of the index.
    packages: fn(String) -> String,
    /// The text of the Release file.
    release: fn(String) -> String,
    /// The signed file.
    signed: fn(String) -> String,
    /// The signatures in a file of their own, where there is no `InRelease`.
    beside: Option<fn(String) -> String>,
    /// What is served.
    files: fn(&mut Files),
    /// The date that the lock has seen.
    seen: Option<u64>,
    /// What it comes to: words of the refusal.
    refused: Option<&'static str>,
    /// Whether apt takes it.
    apt: Option<bool>,
}

fn trick(name: &'static str) -> Trick {
    Trick {
        name,
        key: Shape::default(),
        hash: Hash::Sha256,
        made: MADE,
        ends: None,
        signers: vec![Signer::Trusted],
        deb: |deb| deb,
        related: None,
        packages: |text| text,
        release: |text| text,
        signed: |text| text,
        beside: None,
        files: |_| (),
        seen: None,
        refused: None,
        apt: Some(true),
    }
}

impl Trick {
    fn refused(self, words: &'static str) -> Self {
        Self { refused: Some(words), apt: Some(false), ..self }
    }

    fn apt(self, apt: Option<bool>) -> Self {
        Self { apt, ..self }
    }
}

fn sha256(bytes: &[u8]) -> String {
    Digest::sha256(bytes).hex()
}

fn app() -> Deb {
    Deb::new("app", "1.0-1", "amd64").field("Source", "app-src (1.0)").file("usr/bin/app", 0o755, b"app")
}

/// The lines of a Release file for these indexes.
fn sums(files: &[(&str, &[u8])]) -> String {
    files.iter().fold(String::new(), |mut text, (path, bytes)| {
        let _ = writeln!(text, " {} {} {path}", sha256(bytes), bytes.len());
        text
    })
}

/// The archive, and the keys that it is to be read with.
fn published(trick: &Trick) -> (Files, String) {
    let (key, second, stranger) = (
        TestKey::new(&trick.key),
        TestKey::new(&Shape { seed: 2, ..Shape::default() }),
        TestKey::new(&Shape { seed: 3, ..Shape::default() }),
    );
    let deb = (trick.deb)(app());
    let (deb, said) = match trick.related {
        Some((name, own, said)) => (deb.field(name, own), format!("{name}: {said}\n")),
        None => (deb, String::new()),
    };
    let (honest, bytes) = (app(), deb.bytes());
    let packages = (trick.packages)(format!(
        "Package: app\nVersion: 1.0-1\nArchitecture: amd64\nSource: app-src (1.0)\nMaintainer: T <t@example.org>\n\
         Description: a test\n{said}Filename: {}\nSize: {}\nSHA256: {}\n\n",
        honest.path(),
        bytes.len(),
        sha256(&bytes)
    ));
    let release = (trick.release)(format!(
        "Origin: Test\nSuite: tested\nCodename: tested\nDate: Sun, 26 Nov 2023 12:00:00 UTC\nArchitectures: amd64\n\
         Components: main\nAcquire-By-Hash: yes\nSHA256:\n{}",
        sums(&[(PACKAGES, packages.as_bytes())])
    ));
    let other = "Origin: Other";
    let signers: Vec<(&TestKey, Option<&str>)> = trick
        .signers
        .iter()
        .map(|signer| match signer {
            Signer::Trusted => (&key, None),
            Signer::Stranger => (&stranger, None),
            Signer::Forged => (&key, Some(other)),
            Signer::Second => (&second, None),
            Signer::SecondForged => (&second, Some(other)),
        })
        .collect();
    let mut files = Files::new();
    files.insert(honest.path(), bytes);
    files.insert(format!("dists/tested/{PACKAGES}"), packages.clone().into_bytes());
    files.insert(
        format!("dists/tested/main/binary-amd64/by-hash/SHA256/{}", sha256(packages.as_bytes())),
        packages.into_bytes(),
    );
    if let Some(beside) = trick.beside {
        let signatures = sign_beside(&release, &signers, trick.made, trick.hash, trick.ends);
        files.insert("dists/tested/Release.gpg".into(), beside(signatures).into_bytes());
        files.insert("dists/tested/Release".into(), release.into_bytes());
    } else {
        let signed = sign_each(release.trim_end(), &signers, trick.made, trick.hash, trick.ends);
        files.insert("dists/tested/InRelease".into(), (trick.signed)(signed).into_bytes());
    }
    (trick.files)(&mut files);
    (files, key.armoured() + &second.armoured())
}

/// Locks, fetches and places `app`; the first refusal, with its causes.
fn outcome(trick: &Trick) -> Result<(), String> {
    fn told(error: &dyn std::error::Error) -> String {
        let cause = error.source().map(|cause| format!(": {}", told(cause)));
        error.to_string() + &cause.unwrap_or_default()
    }
    let (files, keys) = published(trick);
    let archive = Archive::start(files);
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("cache")).unwrap();
    let client = Client::with(Options { retries: 0, ..Options::default() });
    let declared =
        Declared { mirror: Some(archive.url.clone()), keyring: Some(keys.into()), ..Declared::default() };
    let mirrors = Mirrors::find(declared, |_| None, dir.path());
    let request = Request {
        suites: vec![AskedSuite::of_debian("tested", &["main".into()])],
        base: Base::None,
        packages: vec!["app".into()],
        recommends: Recommends::Skip,
        platforms: vec![AMD64],
        present: std::collections::BTreeMap::new(),
    };
    let seen = |date| LockedSuite {
        name: "tested".into(),
        codename: "tested".into(),
        archive: "debian".into(),
        inrelease: Digest::sha256(b""),
        date,
    };
    let previous = Previous { suites: trick.seen.map(seen).into_iter().collect(), ..Previous::default() };
    let inputs =
        Inputs { mirrors: &mirrors, fetch: &client, store: &store, reporter: &Silent, now: DATE + 2 * DAY };
    let resolution = lock::resolve(&request, &previous, &inputs).map_err(|error| told(&error))?;
    let locked: &LockedDeb = &resolution.packages[&AMD64][0];
    let sources = mirrors.archive_paths(locked, &resolution.suites[0]).map_err(|error| told(&error))?;
    let expected = Expected { digest: locked.sha256.clone(), size: Some(locked.size) };
    client.download(sources, &expected, "app", &store, &Silent).map_err(|error| told(&error))?;
    let decoded = DecodedStore::new(&store);
    let listing = decoded.decode(&locked.sha256, Format::Deb).map_err(|error| told(&error))?;
    let options = place::Options {
        arch: Arch::Amd64,
        epoch: DATE,
        slim: place::Slim::Full,
        database: place::Database::StatusD,
        answers: BTreeMap::new(),
        debconf: BTreeMap::new(),
        extra_certificates: Vec::new(),
        accounts: Vec::new(),
        below: None,
    };
    place::place(&[place::Package { locked, listing }], &options, &decoded).map_err(|error| told(&error))?;
    Ok(())
}

/// Takes the first line that begins with `field` out of a text, or replaces it.
fn with(text: &str, field: &str, value: Option<&str>) -> String {
    let lines =
        text.split_inclusive('\n').map(|line| match (line.starts_with(&format!("{field}:")), value) {
            (true, Some(value)) => format!("{field}: {value}\n"),
            (true, None) => String::new(),
            (false, _) => line.to_owned(),
        });
    lines.collect()
}

/// The text of an index with a field more.
fn field(text: &str, name: &str, value: &str) -> String {
    text.replace("Filename:", &format!("{name}: {value}\nFilename:"))
}

/// Another digest of the right length.
const OTHER: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

fn signatures() -> Vec<Trick> {
    use Signer::*;
    let key = |name, key| Trick { key, ..trick(name) };
    let sound = Shape::default;
    vec![
        trick("a sound archive"),
        Trick { signers: vec![Trusted, Second], ..trick("two signatures, both good") },
        Trick { signers: vec![Trusted, Stranger], ..trick("two signatures, one of a stranger") },
        Trick { signers: vec![Stranger, Trusted], ..trick("two signatures, the first of a stranger") },
        Trick { signers: vec![Trusted, SecondForged], ..trick("two signatures, one good and one bad") }
            .refused("does not match the text"),
        Trick { signers: vec![SecondForged, Trusted], ..trick("two signatures, one bad and one good") }
            .refused("does not match the text"),
        Trick { signers: vec![Stranger], ..trick("a stranger's signature") }
            .refused("keys that are not trusted"),
        Trick { signers: vec![Forged], ..trick("a signature of another text") }
            .refused("does not match the text"),
        key("an expired key", Shape { primary_ends: Some(1_000_100), ..sound() })
            .refused("the key has expired"),
        key("an expired subkey", Shape { subkey_ends: Some(1_000_100), ..sound() })
            .refused("the key has expired"),
        key("a key that had expired when it signed", Shape { primary_ends: Some(999_000), ..sound() })
            .refused("the key has expired"),
        key("a revoked key", Shape { primary_revoked: true, ..sound() }).refused("the key was revoked"),
        key("a revoked subkey", Shape { subkey_revoked: true, ..sound() }).refused("the subkey was revoked"),
        key("a subkey that may not sign", Shape { subkey_signs: false, ..sound() })
            .refused("not allowed to sign"),
        key("a key that may not sign", Shape { has_subkey: false, ..sound() }).refused("not allowed to sign"),
        key("a subkey that never agreed", Shape { subkey_binds_back: false, ..sound() })
            .refused("does not bind itself"),
        Trick { ends: Some(3600), ..trick("a signature that has ended") }
            .refused("the signature has expired"),
        Trick { ends: Some(1 << 30), ..trick("a signature that will end") },
        Trick { made: 4_000_000_000, ..trick("a signature of the future") }.refused("made in the future"),
        Trick {
            hash: Hash::Sha1,
            key: Shape { kind: TestKey::RSA, ..sound() },
            ..trick("a signature of SHA-1")
        }
        .refused("too weak"),
        Trick {
            hash: Hash::Sha224,
            key: Shape { kind: TestKey::RSA, ..sound() },
            ..trick("a signature of SHA-224")
        }
        .refused("too weak"),
        Trick { key: Shape { kind: TestKey::RSA, ..sound() }, ..trick("a signature of RSA") },
    ]
}

fn framing() -> Vec<Trick> {
    let signed = |name, signed| Trick { signed, ..trick(name) };
    vec![
        signed("carriage returns", |file| file.replace('\n', "\r\n")),
        signed("blanks at the ends of lines", |file| {
            file.replace("Codename: tested\n", "Codename: tested \t \n")
        }),
        signed("a line that is escaped without need", |file| file.replace("Codename:", "- Codename:")),
        signed("a comment in the armour", |file| {
            file.replacen("SIGNATURE-----\n", "SIGNATURE-----\nComment: Codename\n", 1)
        }),
        signed("empty lines behind", |file| format!("{file}\n\n")),
        signed("no signature", |file| {
            let text = file.split_once("\n\n").unwrap().1.split("-----BEGIN PGP SIGNATURE").next().unwrap();
            text.to_owned()
        })
        .refused("does not begin"),
        signed("text before", |file| format!("Origin: Evil\n{file}")).refused("does not begin"),
        signed("text behind", |file| format!("{file}Origin: Evil\n")).refused("behind the signature"),
        signed("two messages", |file| format!("{file}{file}")).refused("behind the signature"),
        signed("another message before", |file| {
            let evil = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Evil\n";
            format!("{evil}{file}")
        })
        .refused("unescaped dash"),
        signed("a message inside", |file| {
            file.replace("Codename:", "-----BEGIN PGP SIGNED MESSAGE-----\n\nOrigin: Evil\nCodename:")
        })
        .refused("unescaped dash"),
        signed("a message inside, escaped", |file| {
            file.replace("Codename:", "- -----BEGIN PGP SIGNED MESSAGE-----\nCodename:")
        })
        .refused("does not match the text"),
        signed("a header of another name", |file| file.replacen("Hash: ", "Origin: ", 1))
            .refused("odd header"),
        signed("a field among the headers", |file| file.replacen("\n\n", "\nOrigin: Evil\n\n", 1))
            .refused("odd header"),
        signed("one more line", |file| file.replace("Codename:", "Label: Evil\nCodename:"))
            .refused("does not match the text"),
        signed("one empty line more", |file| file.replacen("\n\n", "\n\n\n", 1))
            .refused("does not match the text"),
        signed("a carriage return inside a line", |file| {
            file.replace("Suite: tested", "Suite: tested\rX: y")
        })
        .refused("does not match the text"),
        signed("a NUL at the end of a line", |file| file.replace("Suite: tested", "Suite: tested\0"))
            .refused("does not match the text"),
        signed("a NUL in front", |file| format!("\0{file}")).refused("does not begin"),
        signed("a byte order mark", |file| format!("\u{feff}{file}")).refused("does not begin"),
        signed("the signature is cut", |file| file[..file.len() - 60].to_owned()).refused("cut short"),
        signed("two armoured blocks", |file| {
            let block = file.find("-----BEGIN PGP SIGNATURE").unwrap();
            format!("{file}{}", &file[block..])
        })
        .refused("behind the signature"),
    ]
}

fn releases() -> Vec<Trick> {
    let release = |name, release| Trick { release, ..trick(name) };
    let files = |name, files| Trick { files, ..trick(name) };
    const FUTURE: &str = "Fri, 01 Jan 2100 00:00:00 UTC";
    const PAST: &str = "Mon, 27 Nov 2023 12:00:00 UTC";
    vec![
        release("no Valid-Until", |text| text),
        release("a Valid-Until ahead", |text| format!("Valid-Until: {FUTURE}\n{text}")),
        release("a Valid-Until that has passed", |text| format!("Valid-Until: {PAST}\n{text}"))
            .refused("was valid until 2023-11-27T12:00:00Z only"),
        release("a Valid-Until that is no date", |text| format!("Valid-Until: for ever\n{text}"))
            .refused("is not a date"),
        release("a Date ahead", |text| with(&text, "Date", Some(FUTURE))).refused("from the future"),
        release("no Date", |text| with(&text, "Date", None)).refused("field `Date` is missing"),
        release("two Dates", |text| format!("Date: {PAST}\n{text}")).refused("`Date` is there twice"),
        release("another suite", |text| text.replace("tested\n", "other\n")).refused("got `other`"),
        release("no suite", |text| with(&with(&text, "Suite", None), "Codename", None))
            .refused("another suite"),
        release("only weak sums", |text| {
            let at = text.find("SHA256:").unwrap();
            format!("{}MD5Sum:\n d41d8cd98f00b204e9800998ecf8427e 0 {PACKAGES}\n", &text[..at])
        })
        .refused("field `SHA256` is missing"),
        release("an index with two digests", |text| format!("{text} {OTHER} 7 {PACKAGES}\n"))
            .refused("is there twice"),
        release("an index named twice alike", |text| {
            let last = text.lines().last().unwrap().to_owned();
            format!("{text}{last}\n")
        }),
        release("an index of another size", |text| {
            let last = text.lines().last().unwrap();
            let mut words: Vec<&str> = last.split_whitespace().collect();
            let size = (words[1].parse::<u64>().unwrap() + 1).to_string();
            words[1] = &size;
            text.replace(last, &format!(" {}", words.join(" ")))
        })
        .refused("bytes came instead of"),
        release("no index of the component", |text| text.replace("main/", "contrib/"))
            .refused("main/binary-amd64"),
        release("no index of the architecture", |text| text.replace("binary-amd64", "binary-arm64"))
            .refused("main/binary-amd64"),
        files("a file by hash that is another", |files| {
            for (path, bytes) in files.iter_mut().filter(|(path, _)| path.contains("/by-hash/")) {
                assert!(path.contains("binary-amd64"));
                *bytes = String::from_utf8(bytes.clone()).unwrap().replace("1.0-1", "1.0-2").into_bytes();
            }
            files.retain(|path, _| path.contains("by-hash") || !path.ends_with("Packages"));
        })
        .refused("its digest is"),
        files("an index that is older than its Release", |files| {
            for (_, bytes) in files.iter_mut().filter(|(path, _)| path.contains("binary-amd64")) {
                *bytes = String::from_utf8(bytes.clone()).unwrap().replace("1.0-1", "0.9-1").into_bytes();
            }
        })
        .refused("its digest is"),
        files("an index that is longer than its Release says", |files| {
            for (_, bytes) in files.iter_mut().filter(|(path, _)| path.contains("binary-amd64")) {
                bytes.extend_from_slice(b"\nPackage: evil\n");
            }
        })
        .refused("longer than"),
        files("no index at all", |files| files.retain(|path, _| !path.contains("binary-amd64")))
            .refused("404"),
        files("an index by its name only", |files| files.retain(|path, _| !path.contains("by-hash"))),
        files("a detached signature of something else beside it", |files| {
            files.insert("dists/tested/Release".into(), b"Codename: evil\n".to_vec());
            files.insert("dists/tested/Release.gpg".into(), b"evil".to_vec());
        }),
        files("no InRelease, and a Release without a signature", |files| {
            files.insert("dists/tested/Release".into(), files["dists/tested/InRelease"].clone());
            files.remove("dists/tested/InRelease");
        })
        .refused("nobody has signed it"),
        Trick { seen: Some(DATE + DAY), ..trick("an older state than the lock has seen") }
            .refused("went back in time")
            .apt(None),
        Trick { seen: Some(DATE - DAY), ..trick("a newer state than the lock has seen") }.apt(None),
    ]
}

fn packages() -> Vec<Trick> {
    let packages = |name, packages| Trick { packages, ..trick(name) };
    let deb = |name, deb| Trick { deb, ..trick(name) };
    // apt reads no package before it is fetched.
    let related =
        |name, field, own, said| Trick { related: Some((field, own, said)), ..trick(name) }.apt(None);
    vec![
        packages("a path that leads up", |text| with(&text, "Filename", Some("../../etc/passwd")))
            .refused("could leave the archive"),
        packages("a path that leads up inside", |text| with(&text, "Filename", Some("pool/../../app.deb")))
            .refused("could leave the archive"),
        packages("a path that leads up, encoded", |text| {
            with(&text, "Filename", Some("pool/%2e%2e/%2E%2e/app.deb"))
        })
        .refused("could leave the archive"),
        packages("an absolute path", |text| with(&text, "Filename", Some("/etc/passwd")))
            .refused("could leave the archive"),
        packages("an address as a path", |text| with(&text, "Filename", Some("http://evil.example/app.deb")))
            .refused("could leave the archive"),
        packages("an address without scheme", |text| with(&text, "Filename", Some("//evil.example/app.deb")))
            .refused("could leave the archive"),
        packages("a file as a path", |text| with(&text, "Filename", Some("file:///etc/passwd")))
            .refused("could leave the archive"),
        packages("backslashes", |text| with(&text, "Filename", Some("pool\\..\\..\\app.deb")))
            .refused("could leave the archive"),
        packages("a query", |text| with(&text, "Filename", Some("pool/app.deb?x=../..")))
            .refused("could leave the archive"),
        packages("no path", |text| with(&text, "Filename", None)).refused("field `Filename` is missing"),
        packages("no SHA-256", |text| with(&text, "SHA256", None)).refused("field `SHA256` is missing"),
        packages("MD5 instead of SHA-256", |text| {
            with(&text, "SHA256", None).replace("Size:", "MD5sum: d41d8cd98f00b204e9800998ecf8427e\nSize:")
        })
        .refused("field `SHA256` is missing"),
        packages("another SHA-256", |text| with(&text, "SHA256", Some(OTHER)))
            .refused("wrong digest")
            .apt(None),
        packages("a larger size", |text| with(&text, "Size", Some("999999"))).refused("wrong size").apt(None),
        packages("a smaller size", |text| with(&text, "Size", Some("7"))).refused("wrong size").apt(None),
        packages("a size that is no number", |text| with(&text, "Size", Some("-1")))
            .refused("is not a number"),
        packages("the package twice, alike", |text| text.repeat(2)),
        packages("the package twice, with two digests", |text| {
            format!("{text}{}", with(&text, "SHA256", Some(OTHER)))
        })
        .refused("is there twice, with different digests"),
        packages("its version spelt in two ways, with two digests", |text| {
            let other = with(&with(&text, "SHA256", Some(OTHER)), "Version", Some("0:1.0-1"));
            format!("{text}{other}")
        })
        .refused("is there twice, with different digests"),
        packages("a field twice", |text| text.replace("Filename:", "Filename: pool/evil.deb\nFilename:"))
            .refused("`Filename` is there twice"),
        packages("another architecture", |text| with(&text, "Architecture", Some("arm64")))
            .refused("is for `arm64`"),
        packages("no version", |text| with(&text, "Version", None)).refused("field `Version` is missing"),
        // What the index says of a package, and what the package says.
        deb("another package", |_| Deb::new("evil", "1.0-1", "amd64").field("Source", "app-src"))
            .refused("the archive holds `evil 1.0-1 amd64`")
            .apt(None),
        deb("another version", |_| Deb::new("app", "6.6.6", "amd64").field("Source", "app-src"))
            .refused("the archive holds `app 6.6.6 amd64`")
            .apt(None),
        deb("a version that is equal and spelt otherwise", |_| {
            Deb::new("app", "0:1.0-1", "amd64").field("Source", "app-src")
        })
        .refused("the archive holds `app 0:1.0-1 amd64`")
        .apt(None),
        deb("another architecture in the package", |_| {
            Deb::new("app", "1.0-1", "arm64").field("Source", "app-src")
        })
        .refused("the archive holds `app 1.0-1 arm64`")
        .apt(None),
        deb("its name twice", |deb| deb.field("Package", "evil"))
            .refused("`Package` is there twice")
            .apt(None),
        deb("a need that the index does not know", |deb| deb.field("Depends", "evil"))
            .refused("package `app` 1.0-1: `Depends` is `evil` in its control file, and nothing in the signed index")
            .apt(None),
        packages("a need that the package does not know", |text| field(&text, "Replaces", "other"))
            .refused("`Replaces` is nothing in its control file, and `other` in the signed index")
            .apt(None),
        related("another need before", "Pre-Depends", "app (= 1.0-1)", "app").refused(
            "`Pre-Depends` is `app (= 1.0-1)` in its control file, and `app` in the signed index",
        ).apt(None),
        related("another exclusion", "Conflicts", "other", "other (<< 2)").refused("`Conflicts` is `other` in").apt(None),
        related("another breakage", "Breaks", "other (<< 2)", "other (<= 2)").refused("`Breaks` is").apt(None),
        related("another takeover", "Replaces", "a, b", "a").refused("`Replaces` is `a, b` in").apt(None),
        related("another name", "Provides", "mail (= 2)", "mail (= 1)").refused("`Provides` is `mail (= 2)` in").apt(None),
        related("alternatives in another order", "Depends", "app | mail", "mail | app").refused("`Depends` is").apt(None),
        related("relations in another order and spelling", "Replaces", "b (<< 2) ,a,\n c:any", "a, b(<<2), c:any,"),
        related("old operators", "Breaks", "b (< 2)", "b (<= 2)"),
        related("relations of other architectures", "Replaces", "a, b [arm64]", "a"),
        related("what is no relation, alike", "Replaces", "a (!! 1), b", "b,  a (!!  1)"),
        deb("the database's own field", |deb| deb.field("Status", "deinstall ok config-files"))
            .refused("its control file has the field `Status`, which dpkg refuses in a package")
            .apt(None),
        deb("triggers that wait", |deb| deb.field("triggers-pending", "x"))
            .refused("the field `Triggers-Pending`")
            .apt(None),
        deb("the source's version left out", |_| {
            Deb::new("app", "1.0-1", "amd64").field("Source", "app-src").file("usr/bin/app", 0o755, b"app")
        })
        .apt(None),
    ]
}

/// What apt takes and pinfold refuses: apt warns of another suite, reads the first or last of two fields, and judges paths and
/// digests of packages when it fetches them, which it was not asked to.
const APT_TAKES: &[&str] = &[
    "a signature of the future",
    "a signature beside of the future",
    "another suite, signed beside",
    "a signature of SHA-224",
    "a header of another name",
    "a field among the headers",
    "a NUL at the end of a line",
    "two armoured blocks",
    "no Date",
    "two Dates",
    "another suite",
    "no suite",
    "an index with two digests",
    "a path that leads up",
    "a path that leads up inside",
    "a path that leads up, encoded",
    "an absolute path",
    "an address as a path",
    "an address without scheme",
    "a file as a path",
    "backslashes",
    "a query",
    "no SHA-256",
    "MD5 instead of SHA-256",
    "a size that is no number",
    "the package twice, with two digests",
    "its version spelt in two ways, with two digests",
    "a field twice",
];
/// What apt refuses and pinfold takes: nothing is covered by what stands behind the signature, so empty lines do no harm.
const APT_REFUSES: &[&str] = &["empty lines behind", "empty lines around the signatures"];

/// `Release` with `Release.gpg`, as older archives have them.
fn beside() -> Vec<Trick> {
    use Signer::*;
    let beside = |name| Trick { beside: Some(|text| text), ..trick(name) };
    let framed = |name, change| Trick { beside: Some(change), ..trick(name) };
    let none = |files: &mut Files| {
        files.remove("dists/tested/Release.gpg");
    };
    vec![
        beside("signatures in a file of their own"),
        Trick { signers: vec![Trusted, Second], ..beside("two signatures beside") },
        Trick {
            signers: vec![Stranger, Trusted],
            ..beside("two signatures beside, the first of a stranger")
        },
        Trick { signers: vec![Stranger], ..beside("a stranger's signature beside") }
            .refused("signed by keys that are not trusted"),
        Trick { signers: vec![Forged], ..beside("a signature of another text beside") }
            .refused("does not match the text"),
        Trick { signers: vec![Trusted, SecondForged], ..beside("two signatures beside, the last bad") }
            .refused("does not match the text"),
        Trick { signers: Vec::new(), ..beside("an empty file of signatures") }
            .refused("there is no signature in it"),
        Trick { ends: Some(3600), ..beside("a signature beside that has ended") }.refused("has expired"),
        Trick { made: 4_000_000_000, ..beside("a signature beside of the future") }
            .refused("made in the future"),
        Trick {
            key: Shape { kind: TestKey::RSA, ..Shape::default() },
            hash: Hash::Sha1,
            ..beside("a signature beside of SHA-1")
        }
        .refused("its hash is too weak"),
        Trick { files: none, ..beside("no file of signatures") }.refused("nobody has signed it"),
        Trick { release: |text| text.replace("tested", "other"), ..beside("another suite, signed beside") }
            .refused("the archive answered with another suite"),
        framed("empty lines around the signatures", |text| format!("\n{text}\n\n")),
        framed("a text before the signatures", |text| format!("Origin: Evil\n{text}"))
            .refused("has something else in it"),
        framed("a text behind the signatures", |text| format!("{text}Origin: Evil\n"))
            .refused("has something else in it"),
        framed("a message among the signatures", |text| {
            format!("-----BEGIN PGP SIGNED MESSAGE-----\n{text}")
        })
        .refused("has something else in it"),
        framed("signatures that are cut short", |text| text[..text.len() / 2].to_owned())
            .refused("the signature is cut short"),
        framed("no armour", |_| "\u{88}\u{75}".to_owned()).refused("has something else in it"),
    ]
}

fn all() -> Vec<Trick> {
    let tricks = [signatures(), framing(), beside(), releases(), packages()].into_iter().flatten();
    let recorded = tricks.map(|trick| match trick.apt {
        Some(_) if APT_TAKES.contains(&trick.name) => trick.apt(Some(true)),
        Some(_) if APT_REFUSES.contains(&trick.name) => trick.apt(Some(false)),
        _ => trick,
    });
    recorded.collect()
}

#[test]
fn every_trick_comes_to_what_the_table_says() {
    let mut wrong = Vec::new();
    for trick in all() {
        let outcome = outcome(&trick);
        let fits = match (&outcome, trick.refused) {
            (Ok(()), None) => true,
            (Err(told), Some(words)) => told.contains(words),
            _ => false,
        };
        if !fits {
            wrong.push(format!("{}: {outcome:?}, expected {:?}", trick.name, trick.refused));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Whether apt takes an archive: its lists are updated and the package could be installed.
fn apt_takes(files: &Files, keys: &str) -> bool {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    for folder in ["state/lists/partial", "cache/archives/partial", "etc"] {
        fs_err::create_dir_all(dir.path().join(folder)).unwrap();
    }
    for (name, bytes) in files {
        let file = dir.path().join("archive").join(name);
        fs_err::create_dir_all(file.parent().unwrap()).unwrap();
        fs_err::write(file, bytes).unwrap();
    }
    fs_err::write(dir.path().join("status"), "").unwrap();
    fs_err::write(dir.path().join("key.asc"), keys).unwrap();
    // The machine's own settings must not decide: some switch off the check of `Valid-Until`.
    let config = "Dir::Etc::Parts \"/nonexistent\";\nDir::Etc::Main \"/nonexistent\";\n";
    fs_err::write(dir.path().join("apt.conf"), config).unwrap();
    let line = format!("deb [signed-by={}] file:{} tested main\n", path("key.asc"), path("archive"));
    fs_err::write(dir.path().join("sources.list"), line).unwrap();
    let apt = |verb: &[&str]| {
        let output = Command::new("apt-get")
            .args([
                "-o",
                &format!("Dir::State={}", path("state")),
                "-o",
                &format!("Dir::Cache={}", path("cache")),
            ])
            .args(["-o", &format!("Dir::State::status={}", path("status"))])
            .args(["-o", &format!("Dir::Etc={}", path("etc")), "-o", "Dir::Etc::SourceParts=-"])
            .args(["-o", &format!("Dir::Etc::SourceList={}", path("sources.list"))])
            .args(["-o", "APT::Architecture=amd64", "-o", "APT::Architectures=amd64"])
            .args([
                "-o",
                "Acquire::Languages=none",
                "-o",
                "APT::Sandbox::User=root",
                "-o",
                "Debug::NoLocking=1",
            ])
            .args(["-o", "APT::Update::Error-Mode=any", "-qq"])
            .args(verb)
            .env("LC_ALL", "C")
            .env("APT_CONFIG", path("apt.conf"))
            .output()
            .unwrap();
        output.status.success()
    };
    apt(&["update"]) && apt(&["install", "--print-uris", "-y", "app"])
}

#[test]
fn apt_says_what_is_recorded() {
    let there = |program: &str| {
        std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .any(|folder| folder.join(program).is_file())
    };
    if !there("apt-get") || !there("gpgv") || !Path::new("/usr/lib/apt/methods/gpgv").exists() {
        assert!(std::env::var_os("CI").is_none_or(|value| value != "true"), "apt-get or gpgv is missing");
        eprintln!("skip: apt-get or gpgv is missing");
        return;
    }
    let mut wrong = Vec::new();
    for trick in all() {
        let Some(expected) = trick.apt else { continue };
        let (files, keys) = published(&trick);
        if apt_takes(&files, &keys) != expected {
            wrong.push(format!("{}: recorded {expected}", trick.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
