//! Packuments as registries and mirrors of the world give them: half of a release missing, fields of other types, versions
//! taken back. One broken release must not take the others with it, and no flaw may become a different package.

use super::*;

const SRI: &str =
    "sha512-3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw==";

fn release(fields: &str) -> Release {
    let text = format!(r#"{{"name":"@s/p","versions":{{"1.0.0":{{"name":"@s/p",{fields}"x":0}}}}}}"#);
    let packument = Packument::parse("@s/p", text.as_bytes()).unwrap();
    assert_eq!(packument.notes, Vec::<String>::new(), "{fields}");
    packument.releases.into_values().next().unwrap()
}

#[test]
fn what_is_no_packument_of_the_package_is_an_error() {
    for (text, reason) in [
        ("", "EOF"),
        ("[]", "invalid"),
        ("null", "invalid"),
        ("\"p\"", "invalid"),
        ("<html>", "expected value"),
        ("{\"name\":\"q\"}", "it is about `q`"),
        ("{\"name\":\"P\"}", "it is about `P`"),
        ("{\"name\":\"p \"}", "it is about `p `"),
        ("{\"name\":7}", "invalid type"),
        ("{\"versions\":[]}", "invalid type"),
        ("{} {}", "trailing"),
    ] {
        let error = Packument::parse("p", text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
    // What npm's registry leaves of a package that was taken back: a time, and no versions.
    let gone = r#"{"_id":"p","name":"p","time":{"created":"2020-01-01T00:00:00.000Z",
        "unpublished":{"time":"2021-01-01T00:00:00.000Z","versions":["1.0.0"]}}}"#;
    let gone = Packument::parse("p", gone.as_bytes()).unwrap();
    assert_eq!((gone.releases.len(), gone.tags.len()), (0, 0));
    assert_eq!(Packument::parse("p", b"{}").unwrap().releases.len(), 0);
}

#[test]
fn a_broken_release_is_left_out_by_itself_and_told() {
    for (version, body, why) in [
        ("2.0", r#""name":"p""#, "it is not a version"),
        ("latest", r#""name":"p""#, "it is not a version"),
        ("2.0.0", r#""name":"q""#, "it describes another package"),
        ("2.0.0", r#""name":7"#, "it describes another package"),
        ("2.0.0", r#""dependencies":["a"]"#, "cannot be read"),
        ("2.0.0", r#""dependencies":{"a":1}"#, "cannot be read"),
        ("2.0.0", r#""peerDependencies":"a""#, "cannot be read"),
        ("2.0.0", r#""optionalDependencies":7"#, "cannot be read"),
    ] {
        let text = format!(r#"{{"name":"p","versions":{{"1.0.0":{{"name":"p"}},"{version}":{{{body}}}}}}}"#);
        let found = Packument::parse("p", text.as_bytes()).unwrap();
        assert_eq!(found.releases.len(), 1, "{body}");
        assert!(found.release("1.0.0").is_some());
        assert_eq!(found.notes.len(), 1, "{body}");
        let expected = format!("version `{version}` of `p` is left out");
        assert!(found.notes[0].starts_with(&expected) && found.notes[0].contains(why), "{:?}", found.notes);
    }
}

#[test]
fn only_a_strong_hash_counts_and_a_missing_one_is_none() {
    for (dist, strong) in [
        (format!(r#""dist":{{"integrity":"{SRI}"}},"#), true),
        (format!(r#""dist":{{"integrity":"sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J0= {SRI}"}},"#), true),
        (r#""dist":{"integrity":"sha1-qZk+NkcGgWq6PiVxeFDCbJzQ2J0="},"#.into(), false),
        (r#""dist":{"shasum":"a9993e364706816aba3e25717850c26c9cd0d89d"},"#.into(), false),
        (r#""dist":{"integrity":""},"#.into(), false),
        (r#""dist":{"integrity":null},"#.into(), false),
        (r#""dist":{"integrity":["x"]},"#.into(), false),
        (r#""dist":{},"#.into(), false),
        (r#""dist":null,"#.into(), false),
        (r#""dist":"x","#.into(), false),
        (String::new(), false),
    ] {
        assert_eq!(release(&dist).integrity.is_some(), strong, "{dist}");
    }
}

#[test]
fn commands_and_scripts_are_those_that_npm_would_run() {
    // The answers of `npm-normalize-package-bin`, as npm 11 brings it.
    for (bin, expected) in [
        (r#""bin":"./cli.js","#, &[("p", "cli.js")][..]),
        (r#""bin":{"a":"x.js","b":"./y/../z.js"},"#, &[("a", "x.js"), ("b", "z.js")]),
        (r#""bin":{"@s/p":"x.js"},"#, &[("p", "x.js")]),
        (r#""bin":{"../../evil":"x.js"},"#, &[("evil", "x.js")]),
        (r#""bin":{"a":"/etc/passwd"},"#, &[("a", "etc/passwd")]),
        (r#""bin":{"a":"..\\..\\x"},"#, &[("a", "x")]),
        (r#""bin":{"a":7,"b":"y"},"#, &[("b", "y")]),
        (r#""bin":{"a":"."},"#, &[]),
        (r#""bin":{"a":""},"#, &[]),
        (r#""bin":{"..":"x"},"#, &[]),
        (r#""bin":{"a\nb":"x"},"#, &[]),
        (r#""bin":{"a":"x\u0000"},"#, &[]),
        (r#""bin":7,"#, &[]),
        (r#""bin":[],"#, &[]),
        (r#""bin":["x.js","./lib/y.js"],"#, &[("x.js", "x.js"), ("y.js", "lib/y.js")]),
    ] {
        let found: Vec<_> = release(bin).bins.into_iter().collect();
        let expected: Vec<_> =
            expected.iter().map(|&(name, path)| (name.to_owned(), path.to_owned())).collect();
        assert_eq!(found, expected, "{bin}");
    }
    for (fields, expected) in [
        (
            r#""scripts":{"preinstall":"a","install":"b","postinstall":"c"},"#,
            &["install", "postinstall", "preinstall"][..],
        ),
        (r#""scripts":{"prepare":"a","test":"b","prepublish":"c","uninstall":"d"},"#, &[]),
        (r#""scripts":{"install":" "},"#, &[]),
        (r#""scripts":{"install":7},"#, &[]),
        (r#""scripts":"make","#, &[]),
        (r#""hasInstallScript":true,"#, &["install"]),
        (r#""hasInstallScript":"yes","#, &[]),
        (r#""gypfile":true,"scripts":{"postinstall":"x"},"#, &["install", "postinstall"]),
        (r#""gypfile":true,"scripts":{"install":"x"},"#, &["install"]),
    ] {
        assert_eq!(release(fields).install_scripts.keys().collect::<Vec<_>>(), expected, "{fields}");
    }
}

#[test]
fn dependencies_are_told_apart_as_in_npm() {
    let found = release(
        r#""dependencies":{"a":"1","both":"1"},"optionalDependencies":{"both":"2","o":"1"},
           "peerDependencies":{"p1":"1","p2":"2"},"peerDependenciesMeta":{"p1":{"optional":true},"p3":{"optional":true}},
           "bundledDependencies":["a"],"devDependencies":{"d":"1"},"deprecated":"use q","#,
    );
    let names = |map: &BTreeMap<String, String>| map.keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!((names(&found.dependencies).as_str(), names(&found.optional).as_str()), ("a", "both o"));
    assert_eq!(found.optional["both"], "2");
    let peers: Vec<_> = found.peers.iter().map(|(name, peer)| (name.as_str(), peer.optional)).collect();
    assert_eq!(peers, [("p1", true), ("p2", false)]);
    assert_eq!((found.bundled, found.deprecated), (vec!["a".to_owned()], Some("use q".to_owned())));
    for (deprecated, expected) in [("false", None), ("true", None), ("\"\"", None), ("null", None)] {
        assert_eq!(release(&format!(r#""deprecated":{deprecated},"#)).deprecated, expected);
    }
}

#[test]
fn platforms_are_judged_as_by_npm_install_checks() {
    // `checkPlatform` of the copy in npm 11, for linux and x64.
    for (fields, fits) in [
        ("", true),
        (r#""os":[],"cpu":[],"#, true),
        (r#""os":"linux","#, true),
        (r#""os":["any"],"#, true),
        (r#""os":["linux","darwin"],"cpu":["x64"],"#, true),
        (r#""os":["!darwin","!win32"],"#, true),
        (r#""os":["!linux"],"#, false),
        (r#""os":["linux","!linux"],"#, false),
        (r#""os":["Linux"],"#, false),
        (r#""cpu":["arm64"],"#, false),
        (r#""cpu":["!arm64"],"#, true),
        (r#""cpu":["x86_64"],"#, false),
        (r#""libc":["glibc"],"#, true),
        (r#""libc":["musl"],"#, false),
        (r#""libc":"musl","#, false),
        (r#""os":7,"cpu":{},"#, true),
    ] {
        assert_eq!(release(fields).fits(pinfold_base::Platform::ALL[0]), fits, "{fields}");
    }
}

#[test]
fn times_are_those_of_date_and_nothing_else() {
    // `date -u -d TIME +%s` of GNU coreutils 9.1.
    for (text, expected) in [
        ("2026-08-15T04:09:53.008Z", Some(1_786_766_993)),
        ("2026-08-15T04:09:53Z", Some(1_786_766_993)),
        ("2026-08-15T06:09:53+02:00", Some(1_786_766_993)),
        ("2026-08-14T23:39:53-04:30", Some(1_786_766_993)),
        ("2024-02-29T00:00:00Z", Some(1_709_164_800)),
        ("2026-08-15", None),
        ("2026-08-15T04:09Z", None),
        ("2026-08-15T04:09:53", None),
        ("2026-08-15T24:09:53Z", None),
        ("2026-08-00T04:09:53Z", None),
        ("2026-8-15T04:09:53Z", None),
        ("2026-08-15T04:09:53Zx", None),
        ("2026-08-15T04:09:53+0200", None),
        ("-026-08-15T04:09:53Z", None),
        ("Sat Aug 15 2026", None),
    ] {
        assert_eq!(seconds(text), expected, "{text}");
    }
}
