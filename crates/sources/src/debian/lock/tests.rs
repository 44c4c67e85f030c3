//! The whole lock half against an archive made in memory and signed by a key of the test.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use pinfold_base::Digest;
use pinfold_base::http::Source;
use pinfold_base::report::Silent;

use super::mirrors::Declared;
use super::*;
use crate::debian::locked::Indexed;
use pinfold_testkit::openpgp::BORN;
use pinfold_testkit::openpgp::Shape;
use pinfold_testkit::openpgp::TestKey;
use pinfold_testkit::openpgp::sign;

pub(super) const DATE: u64 = BORN as u64 + 1_000_000;
pub(super) const DAY: u64 = 86_400;

/// Files by URL, and which were asked for.
#[derive(Default)]
pub(super) struct Memory {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) asked: Mutex<Vec<String>>,
}

impl Fetch for Memory {
    fn get(&self, source: &Source, limit: u64) -> Result<Vec<u8>, HttpError> {
        let url = source.url.to_string();
        self.asked.lock().unwrap().push(url.clone());
        match self.files.get(&url) {
            Some(bytes) if bytes.len() as u64 <= limit => Ok(bytes.clone()),
            Some(_) => Err(HttpError::TooLong { url: source.url.clone(), limit }),
            None => Err(HttpError::Status { url: source.url.clone(), status: 404 }),
        }
    }
}

pub(super) const BASE: &str = "https://archive.example/debian";

fn gzip(text: &[u8]) -> Vec<u8> {
    // One stored block: RFC 1951, 3.2.4, in the frame of RFC 1952. The checksum is computed bit by bit.
    let mut crc = u32::MAX;
    for &byte in text {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
        }
    }
    let length = u16::try_from(text.len()).unwrap();
    let mut bytes = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1];
    bytes.extend(length.to_le_bytes());
    bytes.extend((!length).to_le_bytes());
    bytes.extend(text);
    bytes.extend((!crc).to_le_bytes());
    bytes.extend(u32::from(length).to_le_bytes());
    bytes
}

pub(super) fn stanza(name: &str, version: &str, arch: &str, rest: &str) -> String {
    let digest = Digest::sha256(format!("{name}{version}{arch}").as_bytes());
    format!(
        "Package: {name}\nVersion: {version}\nArchitecture: {arch}\nPriority: optional\n{rest}Filename: pool/main/{name}_{version}_{arch}.deb\nSize: 7\nSHA256: {}\n\n",
        digest.hex()
    )
}

/// A suite to be published.
pub(super) struct Suite<'a> {
    pub(super) base: &'a str,
    pub(super) name: &'a str,
    pub(super) head: String,
    pub(super) packages: Vec<(&'a str, String)>,
    pub(super) plain: bool,
}

impl<'a> Suite<'a> {
    pub(super) fn new(name: &'a str, packages: Vec<(&'a str, String)>) -> Self {
        Self {
            base: BASE,
            name,
            head: format!("Codename: {name}\nAcquire-By-Hash: yes\n"),
            packages,
            plain: true,
        }
    }

    pub(super) fn publish(&self, memory: &mut Memory, key: &TestKey, date: u64) {
        let mut sums = Vec::new();
        let sum =
            |bytes: &[u8], path: &str| format!(" {} {} {path}\n", Digest::sha256(bytes).hex(), bytes.len());
        for (arch, text) in &self.packages {
            // `contrib/amd64`, or `amd64` in `main`.
            let (component, arch) = arch.split_once('/').unwrap_or(("main", arch));
            let folder = format!("{component}/binary-{arch}");
            let packed = gzip(text.as_bytes());
            if self.plain {
                sums.push(sum(text.as_bytes(), &format!("{folder}/Packages")));
            }
            sums.push(sum(&packed, &format!("{folder}/Packages.gz")));
            let url = format!(
                "{}/dists/{}/{folder}/by-hash/SHA256/{}",
                self.base,
                self.name,
                Digest::sha256(&packed).hex()
            );
            memory.files.insert(url, packed);
        }
        let sums = sums.concat();
        let text = format!("{}Date: {}\nSHA256:\n{sums}", self.head, rfc(date));
        let signed = sign(text.trim_end(), &[key], u32::try_from(date).unwrap());
        memory.files.insert(format!("{}/dists/{}/InRelease", self.base, self.name), signed.into_bytes());
    }
}

/// `Date:` as archives write it.
pub(super) fn rfc(date: u64) -> String {
    let iso = pinfold_base::time::rfc3339(date);
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month: usize = iso[5..7].parse().unwrap();
    format!("Thu, {} {} {} {} UTC", &iso[8..10], months[month - 1], &iso[..4], &iso[11..19])
}

/// A machine with the archive's key, a cache and a mirror.
pub(super) struct World {
    pub(super) dir: tempfile::TempDir,
    pub(super) store: Store,
    pub(super) key: TestKey,
    pub(super) memory: Memory,
}

impl World {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let key = TestKey::new(&Shape::default());
        fs_err::write(dir.path().join("key.asc"), key.armoured()).unwrap();
        let store = Store::open(&dir.path().join("cache")).unwrap();
        Self { dir, store, key, memory: Memory::default() }
    }

    fn mirrors(&self) -> Mirrors {
        let declared = Declared {
            mirror: Some(BASE.into()),
            security_mirror: Some(BASE.into()),
            keyring: Some(self.key.armoured().into()),
            snapshot: Some("https://snapshot.example/archive/{archive}/{timestamp}/".into()),
            ..Declared::default()
        };
        Mirrors::find(declared, |_| None, self.dir.path())
    }

    fn publish(&mut self, suite: &Suite<'_>, date: u64) {
        suite.publish(&mut self.memory, &self.key, date);
    }

    fn resolve(&self, request: &Request, previous: &Previous) -> Result<Resolution, LockError> {
        self.resolve_at(request, previous, DATE + DAY)
    }

    fn resolve_at(&self, request: &Request, previous: &Previous, now: u64) -> Result<Resolution, LockError> {
        let mirrors = self.mirrors();
        let inputs =
            Inputs { mirrors: &mirrors, fetch: &self.memory, store: &self.store, reporter: &Silent, now };
        resolve(request, previous, &inputs)
    }
}

fn request(packages: &[&str]) -> Request {
    Request {
        suites: ["tested", "tested-security"]
            .map(|name| AskedSuite::of_debian(name, &["main".into()]))
            .into(),
        base: Base::None,
        packages: packages.iter().map(|name| (*name).to_owned()).collect(),
        recommends: Recommends::Skip,
        platforms: Platform::ALL.to_vec(),
        present: std::collections::BTreeMap::new(),
    }
}

fn world() -> World {
    let mut world = World::new();
    let main = |arch| {
        stanza("app", "1.0-1", arch, "Source: app-src (1.0)\nDepends: lib (>= 1)\n")
            + &stanza("lib", "1.0-1", arch, "")
            + &stanza("data", "3", "all", "")
    };
    let security = |arch, version| stanza("lib", version, arch, "");
    world.publish(&Suite::new("tested", vec![("amd64", main("amd64")), ("arm64", main("arm64"))]), DATE);
    let fixed =
        vec![("amd64", security("amd64", "1.0-1+deb1")), ("arm64", security("arm64", "1.0-1+deb1+b1"))];
    world.publish(&Suite::new("tested-security", fixed), DATE + 5);
    world
}

fn names(resolution: &Resolution, platform: usize) -> Vec<String> {
    let debs = &resolution.packages[&Platform::ALL[platform]];
    debs.iter().map(|deb| format!("{}={}", deb.name, deb.version)).collect()
}

#[test]
fn a_request_becomes_exact_packages() {
    let world = world();
    let resolution = world.resolve(&request(&["app", "data"]), &Previous::default()).unwrap();
    assert_eq!(names(&resolution, 0), ["app=1.0-1", "data=3", "lib=1.0-1+deb1"]);
    assert_eq!(names(&resolution, 1), ["app=1.0-1", "data=3", "lib=1.0-1+deb1+b1"]);
    // A rebuild on one architecture is no difference worth a note.
    assert_eq!(resolution.notes, Vec::<String>::new());
    let inrelease = &world.memory.files[&format!("{BASE}/dists/tested/InRelease")];
    let suite = &resolution.suites[0];
    assert_eq!(
        (suite.name.as_str(), suite.date, &suite.inrelease),
        ("tested", DATE, &Digest::sha256(inrelease))
    );
    assert_eq!(resolution.suites[1].archive, "debian-security");
    let debs = &resolution.packages[&Platform::ALL[0]];
    assert_eq!(
        debs[0],
        LockedDeb {
            name: "app".into(),
            version: "1.0-1".into(),
            arch: "amd64".into(),
            source: "app-src".into(),
            sha256: Digest::sha256(b"app1.0-1amd64"),
            size: 7,
            path: "pool/main/app_1.0-1_amd64.deb".into(),
            suite: "tested".into(),
            archive: None,
            manual: true,
            indexed: Indexed::default(),
        }
    );
    assert_eq!(
        (debs[1].arch.as_str(), debs[2].suite.as_str(), debs[2].manual),
        ("all", "tested-security", false)
    );
    // Where to fetch it: the mirror, then the snapshot archive at the date of the suite.
    let places = world.mirrors().archive_paths(&debs[2], &resolution.suites[1]).unwrap();
    let places: Vec<String> = places.iter().map(|place| place.url.to_string()).collect();
    assert_eq!(places[0], format!("{BASE}/pool/main/lib_1.0-1+deb1_amd64.deb"));
    let timestamp = release::timestamp(DATE + 5);
    assert_eq!(
        places[1],
        format!(
            "https://snapshot.example/archive/debian-security/{timestamp}/pool/main/lib_1.0-1+deb1_amd64.deb"
        )
    );
}

#[test]
fn indexes_are_kept_and_trusted_only_by_their_digest() {
    let world = world();
    let first = world.resolve(&request(&["app"]), &Previous::default()).unwrap();
    let asked = |world: &World| std::mem::take(&mut *world.memory.asked.lock().unwrap());
    assert_eq!(asked(&world).len(), 6);
    assert_eq!(world.resolve(&request(&["app"]), &Previous::default()).unwrap(), first);
    let again = asked(&world);
    assert!(again.len() == 2 && again.iter().all(|url| url.ends_with("/InRelease")), "{again:?}");
    // Someone scribbles over the kept files: they are fetched again.
    for entry in fs_err::read_dir(world.store.root().join("metadata")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs_err::read(&path).unwrap();
        bytes[20] ^= 1;
        fs_err::File::create(&path).unwrap().write_all(&bytes).unwrap();
    }
    assert_eq!(world.resolve(&request(&["app"]), &Previous::default()).unwrap(), first);
    assert_eq!(asked(&world).len(), 6);
}

#[test]
fn locked_versions_stay_while_the_archive_has_them() {
    let world = world();
    let fresh = world.resolve(&request(&["app"]), &Previous::default()).unwrap();
    let mut packages = fresh.packages.clone();
    for debs in packages.values_mut() {
        debs.iter_mut().find(|deb| deb.name == "lib").unwrap().version = "1.0-1".into();
    }
    let mut previous =
        Previous { suites: fresh.suites.clone(), packages, upgrade: Upgrade::Keep, settled: false };
    let kept = world.resolve(&request(&["app"]), &previous).unwrap();
    assert_eq!(names(&kept, 0), ["app=1.0-1", "lib=1.0-1"]);
    previous.upgrade = Upgrade::Names(vec!["lib".into()]);
    assert_eq!(world.resolve(&request(&["app"]), &previous).unwrap(), fresh);
    previous.upgrade = Upgrade::All;
    assert_eq!(world.resolve(&request(&["app"]), &previous).unwrap(), fresh);
    // A version that is gone moves by itself.
    previous.upgrade = Upgrade::Keep;
    previous.packages.values_mut().flatten().for_each(|deb| deb.version = "0.9".into());
    assert_eq!(world.resolve(&request(&["app"]), &previous).unwrap(), fresh);
    // And what is asked for by version is not kept back.
    assert_eq!(
        names(&world.resolve(&request(&["app", "lib=1.0-1"]), &Previous::default()).unwrap(), 0)[1],
        "lib=1.0-1"
    );
}

#[test]
fn locked_versions_that_no_longer_fit_move_with_a_note() {
    let mut world = World::new();
    let text = |arch| {
        stanza("app", "2", arch, "Depends: lib (>= 2)\n")
            + &stanza("lib", "1", arch, "")
            + &stanza("lib", "2", arch, "")
    };
    world.publish(&Suite::new("tested", vec![("amd64", text("amd64")), ("arm64", text("arm64"))]), DATE);
    let mut request = request(&["app"]);
    request.suites.truncate(1);
    let fresh = world.resolve(&request, &Previous::default()).unwrap();
    let mut previous = Previous { packages: fresh.packages.clone(), ..Previous::default() };
    previous
        .packages
        .values_mut()
        .flatten()
        .filter(|deb| deb.name == "lib")
        .for_each(|deb| deb.version = "1".into());
    let moved = world.resolve(&request, &previous).unwrap();
    assert_eq!(moved.packages, fresh.packages);
    assert_eq!(moved.notes.len(), 2);
}

#[test]
fn versions_that_differ_between_platforms_are_noted() {
    let mut world = World::new();
    let packages =
        vec![("amd64", stanza("app", "2", "amd64", "")), ("arm64", stanza("app", "1+b2", "arm64", ""))];
    world.publish(&Suite::new("tested", packages), DATE);
    let mut request = request(&["app"]);
    request.suites.truncate(1);
    let resolution = world.resolve(&request, &Previous::default()).unwrap();
    assert_eq!(resolution.notes, ["`app` differs between platforms: 1 for linux/arm64; 2 for linux/amd64"]);
}

/// The error's kind, its message and those of its causes.
pub(super) fn failure(outcome: Result<Resolution, LockError>) -> (Kind, String) {
    let error = outcome.unwrap_err();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    (error.kind(), text)
}

#[test]
fn bad_metadata_is_refused_and_nothing_is_kept() {
    let asked = || request(&["app"]);
    let none = Previous::default();
    let inrelease = format!("{BASE}/dists/tested/InRelease");
    let expect = |world: &World, previous: &Previous, now: u64, kind: Kind, part: &str| {
        let (found, text) = failure(world.resolve_at(&asked(), previous, now));
        assert_eq!(found, kind, "{text}");
        assert!(text.contains(part), "{text}");
    };

    // Tampered with, unsigned, signed by a stranger.
    let mut tampered = world();
    let file = tampered.memory.files.get_mut(&inrelease).unwrap();
    *file = String::from_utf8(file.clone())
        .unwrap()
        .replace("Acquire-By-Hash: yes", "Acquire-By-Hash: no")
        .into_bytes();
    expect(&tampered, &none, DATE + DAY, Kind::Integrity, "does not match the text");
    let mut unsigned = world();
    unsigned.memory.files.insert(inrelease.clone(), b"Codename: tested\n".to_vec());
    expect(&unsigned, &none, DATE + DAY, Kind::Integrity, "not a signed message");
    let mut stranger = world();
    let other = TestKey::new(&Shape { seed: 9, ..Shape::default() });
    Suite::new("tested", vec![("amd64", stanza("app", "1", "amd64", ""))]).publish(
        &mut stranger.memory,
        &other,
        DATE,
    );
    expect(&stranger, &none, DATE + DAY, Kind::Integrity, "keys that are not trusted");

    // Another suite, from the future, stale, rolled back.
    let mut wrong = world();
    let mut suite = Suite::new("tested", vec![("amd64", stanza("app", "1", "amd64", ""))]);
    suite.head = "Codename: other\nSuite: stable\n".into();
    wrong.publish(&suite, DATE);
    expect(&wrong, &none, DATE + DAY, Kind::Integrity, "another suite");
    expect(&world(), &none, DATE - DAY, Kind::Integrity, "in the future");
    let mut stale = world();
    suite.head = format!("Codename: tested\nValid-Until: {}\n", rfc(DATE + DAY));
    stale.publish(&suite, DATE);
    expect(&stale, &none, DATE + 2 * DAY, Kind::Integrity, "was valid until");
    let fresh = world().resolve(&asked(), &none).unwrap();
    let mut previous = Previous { suites: fresh.suites, ..Previous::default() };
    previous.suites[0].date += 1;
    expect(&world(), &previous, DATE + DAY, Kind::Integrity, "went back in time");

    // An index that is not what was signed, is missing, or is not there for a platform.
    let index = |world: &World| {
        world
            .memory
            .files
            .keys()
            .find(|url| url.contains("/tested/") && url.contains("binary-amd64"))
            .unwrap()
            .clone()
    };
    let mut flipped = world();
    let url = index(&flipped);
    flipped.memory.files.get_mut(&url).unwrap()[30] ^= 1;
    expect(&flipped, &none, DATE + DAY, Kind::Integrity, "its digest is");
    assert!(!flipped.store.root().join("metadata").exists());
    let mut short = world();
    short.memory.files.get_mut(&url).unwrap().truncate(40);
    expect(&short, &none, DATE + DAY, Kind::Integrity, "40 bytes came instead of");
    let mut gone = world();
    gone.memory.files.remove(&url);
    expect(&gone, &none, DATE + DAY, Kind::Network, "404");
    let mut narrow = world();
    narrow.publish(&Suite::new("tested", vec![("amd64", stanza("app", "1", "amd64", ""))]), DATE);
    expect(
        &narrow,
        &none,
        DATE + DAY,
        Kind::Usage,
        "the archive has no index `tested/main/binary-arm64/Packages`",
    );
}

#[test]
fn a_suite_that_is_not_there_is_told_with_the_one_that_is_meant() {
    let of = |suite: &str| {
        let suites = vec![AskedSuite::of_debian(suite, &["main".into()])];
        let request = Request { suites, ..request(&["app"]) };
        world().resolve(&request, &Previous::default())
    };
    for (suite, hint) in [
        ("bookwrm", "did you mean `bookworm`?"),
        ("trixie-udpates", "did you mean `trixie-updates`?"),
        ("nothing-of-the-kind", "check the name of the suite, and whether the mirror has it"),
    ] {
        let error = of(suite).unwrap_err();
        assert_eq!((error.kind(), error.hint().as_deref()), (Kind::Usage, Some(hint)), "{suite}");
        assert_eq!(error.to_string(), format!("there is no suite `{suite}`"));
    }
}

#[test]
fn a_package_that_is_elsewhere_is_told_with_its_place() {
    let mut world = World::new();
    let suite = |name, of_main: &str, of_contrib: &str| {
        let both = ["amd64", "arm64"].into_iter();
        let main = both.clone().map(|arch| (arch, stanza(of_main, "1", arch, "")));
        let contrib = ["contrib/amd64", "contrib/arm64"].into_iter();
        let contrib = contrib.zip(both).map(|(key, arch)| (key, stanza(of_contrib, "1", arch, "")));
        Suite::new(name, main.chain(contrib).collect())
    };
    world.publish(&suite("bookworm", "app", "unfree"), DATE);
    world.publish(&suite("bookworm-backports", "fresh", "x1"), DATE);
    world.publish(&suite("trixie", "newer", "x2"), DATE);
    let hint = |packages: &[&str]| {
        let suites = vec![AskedSuite::of_debian("bookworm", &["main".into()])];
        let request = Request { suites, ..request(packages) };
        let error = world.resolve(&request, &Previous::default()).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage, "{error}");
        (error.hint().unwrap(), error.lines())
    };
    assert_eq!(
        hint(&["unfree"]).0,
        "it is in the component `contrib`: add that to `components` in the manifest's `[debian]`"
    );
    assert_eq!(
        hint(&["fresh"]).0,
        "it is in `bookworm-backports`: write `backports = true` in the manifest's `[debian]`"
    );
    let newer = "is in Debian's `trixie`, which `suite` in the manifest's `[debian]` can name";
    assert_eq!(hint(&["newer"]).0, format!("it {newer}"));
    assert_eq!(hint(&["x2"]).0, "check the spelling; the package may be in another suite or component");
    let (told, lines) = hint(&["aqp", "unfree", "app", "newer"]);
    assert_eq!(told, "mend them in `packages` of the manifest's `[debian]`");
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    assert_eq!(lines[0], "3 of the packages asked for cannot be chosen");
    let missing = "does not exist for `amd64`, `arm64` in the suites and components asked for";
    assert_eq!(lines[1], format!("  package `aqp` {missing}: did you mean `app`?"));
    assert!(lines[2].contains("`unfree`") && lines[2].contains("component `contrib`"), "{lines:?}");
    assert!(lines[3].contains("`newer`") && lines[3].contains("`trixie`"), "{lines:?}");
    assert_eq!(lines.len(), 4);
}

#[test]
fn archives_without_by_hash_or_plain_digests_work_too() {
    let mut world = World::new();
    let mut suite = Suite::new(
        "tested",
        vec![("amd64", stanza("app", "1", "amd64", "")), ("arm64", stanza("app", "1", "arm64", ""))],
    );
    suite.head = "Codename: tested\nArchitectures: all amd64\n".into();
    suite.plain = false;
    // `all` has an index of its own here.
    suite.packages.push(("all", stanza("data", "3", "all", "")));
    world.publish(&suite, DATE);
    let files = std::mem::take(&mut world.memory.files);
    world.memory.files = files
        .into_iter()
        .map(|(url, bytes)| match url.split_once("/by-hash/") {
            Some((folder, _)) => (format!("{folder}/Packages.gz"), bytes),
            None => (url, bytes),
        })
        .collect();
    let mut request = request(&["app", "data"]);
    request.suites.truncate(1);
    let resolution = world.resolve(&request, &Previous::default()).unwrap();
    assert_eq!(names(&resolution, 0), ["app=1", "data=3"]);
    assert!(!world.store.root().join("metadata").exists());
}

#[test]
fn requests_without_substance_are_refused() {
    let world = World::new();
    let refused = |change: &dyn Fn(&mut Request)| {
        let mut request = request(&["app"]);
        change(&mut request);
        failure(world.resolve(&request, &Previous::default()))
    };
    assert_eq!(
        refused(&|request| request.suites.clear()),
        (Kind::Usage, "the request names no suite".into())
    );
    assert_eq!(
        refused(&|request| request.suites[0].components.clear()),
        (Kind::Usage, "the request names no component of `tested`".into())
    );
    assert_eq!(refused(&|request| request.packages.push("a b".into())).0, Kind::Usage);
    // The control gets as far as to the archive, which has nothing.
    assert!(refused(&|_| ()).1.starts_with("there is no suite `tested`: "));
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs_err::create_dir_all(path.parent().unwrap()).unwrap();
    fs_err::write(path, text).unwrap();
}

fn url_of(mirrors: &Mirrors, suite: &str) -> Result<String, String> {
    let archive = mirrors.archive(mirrors::archive_of(suite), suite, &["main".into()], None);
    archive.map(|archive| archive.bases[0].url.to_string()).map_err(|error| error.to_string())
}

#[test]
fn mirrors_come_from_manifest_environment_and_apt_in_this_order() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = Mirrors::find(Declared::default(), |_| None, dir.path());
    assert_eq!(
        url_of(&nothing, "bookworm").unwrap_err(),
        "no mirror is known for suite `bookworm` with components `main`"
    );
    write(
        dir.path(),
        "etc/apt/sources.list",
        "# comment\ndeb-src http://src.example/debian bookworm main\n\
         deb [arch=amd64 signed-by=/k/one.gpg] https://tools.example/linux/debian bookworm stable # no main\n\
         deb http://flat.example/x ./\n",
    );
    write(
        dir.path(),
        "etc/apt/sources.list.d/debian.sources",
        "# the archive\nTypes: deb deb-src\nURIs: http://apt.example/debian/ http://second.example/debian\n\
         Suites: bookworm\n bookworm-updates\nComponents: main contrib\nSigned-By: /k/debian.gpg\n\n\
         Enabled: no\nTypes: deb\nURIs: http://off.example/debian-security\nSuites: bookworm-security\nComponents: main\n\n\
         Types: deb\nURIs: http://apt.example/debian-security\nSuites: bookworm-security\nComponents: main\n\
         Check-Valid-Until: no\n",
    );
    write(dir.path(), "etc/apt/sources.list.d/broken.sources", "no colon here\n");
    let apt = Mirrors::find(Declared::default(), |_| None, dir.path());
    assert_eq!(url_of(&apt, "bookworm").unwrap(), "http://apt.example/debian");
    assert_eq!(url_of(&apt, "bookworm-security").unwrap(), "http://apt.example/debian-security");
    // Sister suites are served by the same archive.
    assert_eq!(url_of(&apt, "trixie").unwrap(), "http://apt.example/debian");
    assert_eq!(url_of(&apt, "trixie-security").unwrap(), "http://apt.example/debian-security");
    assert!(
        apt.archive(mirrors::archive_of("bookworm"), "bookworm", &["main".into(), "non-free".into()], None)
            .is_err()
    );
    assert_eq!(apt.odd().len(), 1);
    let archive = apt.archive(mirrors::archive_of("bookworm"), "bookworm", &["main".into()], None).unwrap();
    assert_eq!((archive.bases.len(), archive.freshness), (2, Freshness::Checked));
    assert_eq!(archive.signed_by.files, [Path::new("/k/debian.gpg")]);
    assert_eq!(
        apt.archive(mirrors::archive_of("bookworm-security"), "bookworm-security", &[], None)
            .unwrap()
            .freshness,
        Freshness::Unchecked
    );

    let environment =
        |name: &str| (name == mirrors::MIRROR_VARIABLE).then(|| "https://env.example/debian".to_owned());
    let env = Mirrors::find(Declared::default(), environment, dir.path());
    assert_eq!(url_of(&env, "bookworm").unwrap(), "https://env.example/debian");
    assert_eq!(url_of(&env, "bookworm-security").unwrap(), "http://apt.example/debian-security");
    let declared =
        Declared { mirror: Some("https://manifest.example/debian/".into()), ..Declared::default() };
    let manifest = Mirrors::find(declared, environment, dir.path());
    assert_eq!(url_of(&manifest, "bookworm").unwrap(), "https://manifest.example/debian");
    let declared = Declared { mirror: Some("ftp://x".into()), ..Declared::default() };
    assert!(
        url_of(&Mirrors::find(declared, |_| None, dir.path()), "x")
            .unwrap_err()
            .contains("the mirror of the manifest")
    );
}

#[test]
fn the_snapshot_archive_stands_in_when_nothing_else_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let with = |template: &str| {
        let declared = Declared { snapshot: Some(template.into()), ..Declared::default() };
        Mirrors::find(declared, |_| None, dir.path())
    };
    let mirrors = with("https://snapshot.example/{archive}/{timestamp}");
    assert!(mirrors.archive(mirrors::archive_of("bookworm"), "bookworm", &[], None).is_err());
    let archive =
        mirrors.archive(mirrors::archive_of("bookworm"), "bookworm", &[], Some(1_783_764_997)).unwrap();
    assert_eq!(archive.bases[0].url.to_string(), "https://snapshot.example/debian/20260711T101637Z");
    assert_eq!(archive.freshness, Freshness::Unchecked);
    assert!(matches!(
        with("https://snapshot.example/").archive(mirrors::DEBIAN, "x", &[], Some(1)),
        Err(MirrorError::Template)
    ));
}

#[test]
fn logins_travel_beside_addresses_and_never_print() {
    let dir = tempfile::tempdir().unwrap();
    write(
        dir.path(),
        "etc/apt/auth.conf.d/mirror.conf",
        "# comment\nmachine mirror.example/debian\n  login anna password s3cret\nmachine http://plain.example login bert password hunter2\n",
    );
    let at = |url: &str| {
        let declared = Declared { mirror: Some(url.into()), ..Declared::default() };
        let mirrors = Mirrors::find(declared, |_| None, dir.path());
        let archive = mirrors.archive(mirrors::archive_of("x"), "x", &[], None).unwrap();
        let shown = format!("{mirrors:?} {archive:?} {}", archive.bases[0].url);
        for secret in ["s3cret", "hunter2", "p@ss"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        archive.bases[0].auth.header().map(|header| header.expose().to_owned())
    };
    // `printf anna:s3cret | base64`, and so on.
    assert_eq!(at("https://mirror.example/debian").unwrap(), "Basic YW5uYTpzM2NyZXQ=");
    assert_eq!(at("https://mirror.example/debian/sub").unwrap(), "Basic YW5uYTpzM2NyZXQ=");
    assert_eq!(at("https://mirror.example/debian-security"), None);
    assert_eq!(at("http://mirror.example/debian"), None);
    assert_eq!(at("http://plain.example/debian").unwrap(), "Basic YmVydDpodW50ZXIy");
    assert_eq!(at("https://carl:p%40ss@other.example/debian").unwrap(), "Basic Y2FybDpwQHNz");
}

#[test]
fn keys_come_from_the_source_the_machine_and_what_is_shipped() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (TestKey::new(&Shape::default()), TestKey::new(&Shape { seed: 2, ..Shape::default() }));
    let key = one.armoured();
    let inline: String = key
        .lines()
        .map(|line| if line.is_empty() { " .\n".to_owned() } else { format!(" {line}\n") })
        .collect();
    write(
        dir.path(),
        "etc/apt/sources.list.d/x.sources",
        &format!(
            "Types: deb\nURIs: http://a.example/debian\nSuites: inline\nComponents: main\nSigned-By:\n{inline}"
        ),
    );
    write(dir.path(), "etc/apt/sources.list.d/y.list", "deb http://b.example/debian trusted main\n");
    write(dir.path(), "etc/apt/trusted.gpg.d/two.asc", &two.armoured());
    let mirrors = Mirrors::find(Declared::default(), |_| None, dir.path());
    let count = |suite: &str| {
        let archive = mirrors.archive(mirrors::archive_of(suite), suite, &["main".into()], None).unwrap();
        mirrors.keyring(suite, &archive).unwrap().len()
    };
    assert_eq!(count("inline"), 1);
    assert_eq!(count("trusted"), 6 + 1);
    let declared =
        Declared { mirror: Some(BASE.into()), keyring: Some(b"no keys".to_vec()), ..Declared::default() };
    let damaged = Mirrors::find(declared, |_| None, dir.path());
    let archive = damaged.archive(mirrors::archive_of("x"), "x", &[], None).unwrap();
    assert_eq!(damaged.keyring("x", &archive).unwrap_err().kind(), Kind::Integrity);
    // Nothing named: the machine has none, so the shipped ones, and not what apt trusts.
    let declared = Declared { mirror: Some(BASE.into()), ..Declared::default() };
    let shipped = Mirrors::find(declared, |_| None, dir.path());
    let archive = shipped.archive(mirrors::archive_of("x"), "x", &[], None).unwrap();
    assert_eq!(shipped.keyring("x", &archive).unwrap().len(), 6);
}
