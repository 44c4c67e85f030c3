//! Further archives beside Debian's: whose keys count, where they are, what is told when they are not as they must be.

use pinfold_base::Digest;
use pinfold_base::report::Silent;
use pinfold_testkit::openpgp::Shape;
use pinfold_testkit::openpgp::TestKey;

use super::mirrors::Declared;
use super::mirrors::Further;
use super::mirrors::name_of;
use super::tests::BASE;
use super::tests::DATE;
use super::tests::DAY;
use super::tests::Suite;
use super::tests::World;
use super::tests::failure;
use super::tests::rfc;
use super::tests::stanza;
use super::*;

const VENDOR: &str = "https://apt.example/node";

/// Debian's archive with `app` and `tool`, and the vendor's.
struct Both {
    world: World,
    key: TestKey,
    /// What the manifest says of the vendor's.
    declared: Further,
    asked: AskedSuite,
    now: u64,
}

fn packages(name: &str, version: &str, rest: &str) -> Vec<(&'static str, String)> {
    ["amd64", "arm64"].map(|arch| (arch, stanza(name, version, arch, rest))).into()
}

impl Both {
    fn new() -> Self {
        let mut world = World::new();
        let own = ["amd64", "arm64"]
            .map(|arch| (arch, stanza("app", "1", arch, "Depends: tool\n") + &stanza("tool", "1", arch, "")));
        Suite::new("tested", own.into()).publish(&mut world.memory, &world.key, DATE);
        let key = TestKey::new(&Shape { seed: 7, ..Shape::default() });
        let declared = Further {
            archive: name_of(VENDOR).unwrap(),
            suite: "vended".into(),
            uri: VENDOR.into(),
            keyring: Some(key.armoured().into()),
        };
        let asked = AskedSuite {
            archive: declared.archive.clone(),
            name: "vended".into(),
            components: vec!["main".into()],
            priority: None,
            arches: Vec::new(),
        };
        let mut both = Self { world, key, declared, asked, now: DATE + DAY };
        both.vend("tool", "2", "");
        both
    }

    fn suite(name: &'static str, packages: Vec<(&'static str, String)>) -> Suite<'static> {
        Suite { base: VENDOR, ..Suite::new(name, packages) }
    }

    /// Publishes the vendor's suite with one package.
    fn vend(&mut self, name: &str, version: &str, rest: &str) {
        let suite = Self::suite("vended", packages(name, version, rest));
        suite.publish(&mut self.world.memory, &self.key, DATE);
    }

    fn mirrors(&self) -> Mirrors {
        let declared = Declared {
            mirror: Some(BASE.into()),
            snapshot: Some("https://snapshot.example/{archive}/{timestamp}".into()),
            keyring: Some(self.world.key.armoured().into()),
            further: vec![self.declared.clone()],
            ..Declared::default()
        };
        Mirrors::find(declared, |_| None, self.world.dir.path())
    }

    fn resolve(&self, package: &str, previous: &Previous) -> Result<Resolution, LockError> {
        let request = Request {
            suites: vec![AskedSuite::of_debian("tested", &["main".into()]), self.asked.clone()],
            base: Base::None,
            packages: vec![package.into()],
            recommends: Recommends::Skip,
            platforms: Platform::ALL.to_vec(),
            present: std::collections::BTreeMap::new(),
        };
        let mirrors = self.mirrors();
        let World { memory, store, .. } = &self.world;
        resolve(
            &request,
            previous,
            &Inputs { mirrors: &mirrors, fetch: memory, store, reporter: &Silent, now: self.now },
        )
    }

    /// Which versions are locked, with their archives.
    fn locked(&self, package: &str, previous: &Previous) -> String {
        let resolution = self.resolve(package, previous).unwrap();
        let told = |deb: &LockedDeb| {
            format!(
                "{}={}{}",
                deb.name,
                deb.version,
                deb.archive.as_ref().map(|name| format!("@{name}")).unwrap_or_default()
            )
        };
        resolution.packages[&Platform::ALL[0]].iter().map(told).collect::<Vec<_>>().join(" ")
    }
}

#[test]
fn the_lock_names_the_archive_and_its_files_come_from_there_alone() {
    let both = Both::new();
    let resolution = both.resolve("app", &Previous::default()).unwrap();
    let [app, tool] = &resolution.packages[&Platform::ALL[1]][..] else { panic!("{resolution:?}") };
    assert_eq!((app.archive.as_deref(), tool.archive.as_deref()), (None, Some("apt.example/node")));
    assert_eq!((tool.suite.as_str(), resolution.suites[1].archive.as_str()), ("vended", "apt.example/node"));
    let places = |deb: &LockedDeb| {
        let suite = resolution.suites.iter().find(|suite| suite.has(deb)).unwrap();
        let places = both.mirrors().archive_paths(deb, suite).unwrap();
        places.iter().map(|place| place.url.to_string()).collect::<Vec<_>>()
    };
    // Debian's has the snapshot archive behind it, the vendor's nothing.
    assert_eq!(places(tool), [format!("{VENDOR}/pool/main/tool_2_arm64.deb")]);
    assert_eq!(places(app)[0], format!("{BASE}/pool/main/app_1_arm64.deb"));
    assert_eq!(places(app).len(), 2);
    assert!(!both.world.memory.asked.lock().unwrap().iter().any(|url| url.contains("/debian/dists/vended")));
    // A lock of an archive that the manifest does not have any more.
    let without = Mirrors::find(Declared::default(), |_| None, both.world.dir.path());
    let error = without.archive_paths(tool, &resolution.suites[1]).unwrap_err();
    assert_eq!(error.hint().as_deref(), Some("`pinfold lock` brings the lock up to date"));
}

#[test]
fn two_suites_of_one_name_are_told_apart_by_their_archives() {
    let mut both = Both::new();
    let suite = Both::suite("tested", packages("tool", "2", ""));
    suite.publish(&mut both.world.memory, &both.key, DATE);
    both.declared.suite = "tested".into();
    both.asked.name = "tested".into();
    let resolution = both.resolve("app", &Previous::default()).unwrap();
    for (deb, archive) in resolution.packages[&Platform::ALL[0]].iter().zip(["debian", "apt.example/node"]) {
        let suites: Vec<_> = resolution.suites.iter().filter(|suite| suite.has(deb)).collect();
        assert_eq!((suites.len(), suites[0].archive.as_str()), (1, archive), "{}", deb.name);
    }
    // What the one was seen at says nothing of the other.
    let mut previous = Previous { suites: resolution.suites, ..Previous::default() };
    previous.suites.remove(0);
    assert!(both.resolve("app", &previous).is_ok());
    previous.suites[0].date += 1;
    let (kind, text) = failure(both.resolve("app", &previous));
    assert_eq!(kind, Kind::Integrity);
    assert!(text.contains("went back in time: `apt.example/node tested`"), "{text}");
}

#[test]
fn what_is_locked_stays_until_its_archive_or_another_one_is_pinned_away() {
    let mut both = Both::new();
    let previous = |both: &Both, priority| {
        let mut before = both.asked.clone();
        before.priority = priority;
        let Resolution { suites, packages, .. } =
            Both { asked: before, ..Both::new() }.resolve("app", &Previous::default()).unwrap();
        Previous { suites, packages, ..Previous::default() }
    };
    let (debians, vendors) = (previous(&both, Some(100)), previous(&both, Some(990)));
    let vended = "app=1 tool=2@apt.example/node";
    for (priority, locked, expected) in [
        // Another archive does not move what is locked, however it is pinned below 1000.
        (Some(990), &debians, "app=1 tool=1"),
        (Some(1000), &debians, vended),
        (Some(1001), &debians, vended),
        // What may not come by itself any more does not stay either.
        (Some(100), &vendors, vended),
        (Some(-1), &vendors, "app=1 tool=1"),
    ] {
        both.asked.priority = priority;
        assert_eq!(both.locked("app", locked), expected, "{priority:?}");
    }
}

#[test]
fn the_same_version_with_other_content_stays_that_of_its_archive() {
    let mut both = Both::new();
    let other = Digest::sha256(b"other");
    // The digest of the test's stanzas follows name and version: another one stands in for other content.
    let text = |arch: &str| {
        let stanza = stanza("tool", "1", arch, "");
        let (before, _) = stanza.split_once("SHA256:").unwrap();
        format!("{before}SHA256: {}\n\n", other.hex())
    };
    let suite = Both::suite("vended", ["amd64", "arm64"].map(|arch| (arch, text(arch))).into());
    suite.publish(&mut both.world.memory, &both.key, DATE);
    // Debian's stands first at equal pins; a higher pin decides, and what is locked stays by its digest.
    assert_eq!(both.locked("tool", &Previous::default()), "tool=1");
    both.asked.priority = Some(501);
    assert_eq!(both.locked("tool", &Previous::default()), "tool=1@apt.example/node");
    let resolution = both.resolve("tool", &Previous::default()).unwrap();
    assert_eq!(resolution.packages[&Platform::ALL[0]][0].sha256, other);
    let locked = Previous { packages: resolution.packages, suites: resolution.suites, ..Previous::default() };
    both.asked.priority = Some(100);
    assert_eq!(both.locked("tool", &locked), "tool=1@apt.example/node");
}

#[test]
fn an_archive_is_read_only_for_its_architectures() {
    let mut both = Both::new();
    both.asked.arches = vec![pinfold_base::Arch::Amd64];
    let only = Both::suite("vended", packages("tool", "2", "").into_iter().take(1).collect());
    only.publish(&mut both.world.memory, &both.key, DATE);
    let resolution = both.resolve("tool", &Previous::default()).unwrap();
    let versions = Platform::ALL.map(|platform| resolution.packages[&platform][0].version.clone());
    assert_eq!(versions, ["2", "1"]);
    both.asked.arches.clear();
    let error = both.resolve("tool", &Previous::default()).unwrap_err();
    assert!(error.to_string().contains("`apt.example/node vended/main/binary-arm64/Packages`"), "{error}");
    assert!(error.hint().unwrap().starts_with("it is for `amd64` alone: say so with `architectures`"));
}

#[test]
fn an_archive_that_is_not_as_it_must_be_is_refused_with_what_to_do() {
    type Change = fn(&mut Both);
    let cases: &[(&str, Change, Kind, &str, &str)] = &[
        (
            "another key",
            |both| both.key = TestKey::new(&Shape { seed: 9, ..Shape::default() }),
            Kind::Integrity,
            "keys that are not trusted",
            "`keyring` in the manifest's `[[debian.archive]]` has other keys",
        ),
        (
            "Debian's key, which is no key of the vendor's",
            |both| both.key = TestKey::new(&Shape::default()),
            Kind::Integrity,
            "keys that are not trusted",
            "`keyring` in the manifest's `[[debian.archive]]` has other keys",
        ),
        (
            "no key",
            |both| both.declared.keyring = None,
            Kind::Usage,
            "not said which keys sign for the archive `apt.example/node`",
            "name the file of its keys with `keyring`",
        ),
        (
            "a damaged key",
            |both| both.declared.keyring = Some(b"no key".to_vec()),
            Kind::Integrity,
            "the keys for `apt.example/node vended` cannot be had",
            "check `keyring`",
        ),
        (
            "no such apt source",
            |both| {
                both.declared.uri = "nodesource".into();
                both.declared.archive = "nodesource".into();
                both.asked.archive = "nodesource".into();
            },
            Kind::Usage,
            "no source `nodesource` for suite `vended` with components `main`",
            "write the archive's address as `uri`",
        ),
        (
            "no such suite",
            |both| {
                both.declared.suite = "vendde".into();
                both.asked.name = "vendde".into();
            },
            Kind::Usage,
            "there is no suite `apt.example/node vendde`",
            "check `uri` and `suite` of its `[[debian.archive]]`",
        ),
        (
            "no such component",
            |both| both.asked.components = vec!["mian".into()],
            Kind::Usage,
            "no index `apt.example/node vended/mian/binary-amd64/Packages`",
            "its components are `main`: correct `components` in the manifest's `[[debian.archive]]`",
        ),
    ];
    for (what, change, kind, message, hint) in cases {
        let mut both = Both::new();
        change(&mut both);
        both.vend("tool", "2", "");
        let error = both.resolve("tool", &Previous::default()).unwrap_err();
        let told = error.hint().unwrap_or_default();
        assert!(told.contains(hint), "{what}: {told}");
        let (found, text) = failure(Err(error));
        assert!(found == *kind && text.contains(message), "{what}: {text}");
    }
    // What the vendor's suite says of itself, and what lies beside it.
    let head = |head: String| {
        move |both: &mut Both| {
            let suite = Suite { head: head.clone(), ..Both::suite("vended", packages("tool", "2", "")) };
            suite.publish(&mut both.world.memory, &both.key, DATE);
        }
    };
    let path = |path: &'static str| {
        move |both: &mut Both| {
            let text = |arch| stanza("tool", "2", arch, "").replace("pool/main/", path);
            let suite = Both::suite("vended", ["amd64", "arm64"].map(|arch| (arch, text(arch))).into());
            suite.publish(&mut both.world.memory, &both.key, DATE);
        }
    };
    let change = |part: &'static str, alter: fn(&mut Vec<u8>)| {
        move |both: &mut Both| {
            let files = both.world.memory.files.iter_mut();
            files
                .filter(|(url, _)| url.starts_with(VENDOR) && url.contains(part))
                .for_each(|(_, bytes)| alter(bytes));
        }
    };
    type Changed<'a> = (&'a str, Box<dyn Fn(&mut Both)>, &'a str, &'a str);
    let cases: Vec<Changed<'_>> = vec![
        (
            "expired",
            Box::new(head(format!("Codename: vended\nValid-Until: {}\n", rfc(DATE + 10)))),
            "the Release file of `apt.example/node vended` was valid until",
            "the mirror is out of date",
        ),
        (
            "of another suite",
            Box::new(head("Codename: other\nSuite: stable\n".into())),
            "asked for `apt.example/node vended`, got `other`",
            "ask for `other`",
        ),
        (
            "a changed Release file",
            Box::new(change("InRelease", |bytes| {
                let at = bytes.windows(8).position(|part| part == b"Codename").unwrap();
                bytes[at + 10] ^= 1;
            })),
            "does not match the text",
            "use another mirror",
        ),
        (
            "a changed index",
            Box::new(change("binary-amd64", |bytes| bytes[30] ^= 1)),
            "the index `apt.example/node vended/main/binary-amd64/Packages` is damaged",
            "try again",
        ),
        ("a path upwards", Box::new(path("pool/../../")), "could leave the archive", "use another mirror"),
        ("an absolute path", Box::new(path("/etc/")), "could leave the archive", "use another mirror"),
        (
            "another host",
            Box::new(path("https://evil.example/")),
            "could leave the archive",
            "use another mirror",
        ),
    ];
    for (what, change, message, hint) in cases {
        let mut both = Both::new();
        change(&mut both);
        let error = both.resolve("tool", &Previous::default()).unwrap_err();
        let told = error.hint().unwrap_or_default();
        assert!(told.contains(hint), "{what}: {told}");
        let (found, text) = failure(Err(error));
        assert!(found == Kind::Integrity && text.contains(message), "{what}: {text}");
    }
    // The control.
    assert_eq!(Both::new().locked("tool", &Previous::default()), "tool=2@apt.example/node");
}

#[test]
fn what_only_an_archive_below_zero_has_is_told_and_can_be_asked_for() {
    let mut both = Both::new();
    both.vend("special", "2", "");
    both.asked.priority = Some(-1);
    let error = both.resolve("special", &Previous::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "package `special` is only in archives of a priority below zero: 2 in `vended`"
    );
    assert!(error.hint().unwrap().contains("`name=version` or `name/suite`"));
    for asked in ["special=2", "special/vended"] {
        assert_eq!(both.locked(asked, &Previous::default()), "special=2@apt.example/node", "{asked}");
    }
}

#[test]
fn an_archive_of_the_machines_is_named_by_the_file_of_apts_sources_and_has_its_keys() {
    let mut both = Both::new();
    let etc = both.world.dir.path().join("etc/apt/sources.list.d");
    fs_err::create_dir_all(&etc).unwrap();
    let write = |options: &str| {
        let text = format!("deb {options} {VENDOR} vended main\ndeb {VENDOR} ./\n");
        fs_err::write(etc.join("nodesource.list"), text).unwrap();
    };
    fs_err::write(both.world.dir.path().join("vendor.asc"), both.key.armoured()).unwrap();
    both.declared.keyring = None;
    let named = |both: &mut Both| {
        both.declared.uri = "nodesource".into();
        both.declared.archive = "nodesource".into();
        both.asked.archive = "nodesource".into();
    };
    // By its address: the keys of the source for it.
    write("[signed-by=/vendor.asc]");
    assert_eq!(both.locked("tool", &Previous::default()), "tool=2@apt.example/node");
    named(&mut both);
    assert_eq!(both.locked("tool", &Previous::default()), "tool=2@nodesource");
    // What apt trusts for everything does not sign for it.
    write("");
    fs_err::create_dir_all(both.world.dir.path().join("etc/apt/trusted.gpg.d")).unwrap();
    fs_err::write(both.world.dir.path().join("etc/apt/trusted.gpg.d/x.asc"), both.key.armoured()).unwrap();
    let (kind, text) = failure(both.resolve("tool", &Previous::default()));
    assert_eq!(
        (kind, text.as_str()),
        (Kind::Usage, "it is not said which keys sign for the archive `nodesource`")
    );
}

#[test]
fn debians_own_suites_are_never_read_from_a_vendor_that_has_one_of_the_name() {
    let dir = tempfile::tempdir().unwrap();
    let etc = dir.path().join("etc/apt");
    fs_err::create_dir_all(&etc).unwrap();
    let lines = "deb [signed-by=/v.gpg] https://apt.example/vendor bookworm main\n\
                 deb http://mirror.example/debian bookworm main\ndeb https://apt.example/debian ./\n";
    fs_err::write(etc.join("sources.list"), lines).unwrap();
    let mirrors = Mirrors::find(Declared::default(), |_| None, dir.path());
    for (suite, components) in [("bookworm", &["main".to_owned()][..]), ("bookworm", &[]), ("sid", &[])] {
        let archive = mirrors.archive(mirrors::DEBIAN, suite, components, None).unwrap();
        assert_eq!(archive.bases[0].url.to_string(), "http://mirror.example/debian", "{suite}");
    }
}
