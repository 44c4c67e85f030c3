//! Expected values are those of node's own `semver` (7, as npm 11 brings it).

use super::*;

/// Ranges that node takes in its loose mode and that are refused here. None was found in a published package (519 ranges out of
/// real ones are all read as node does), and being refused is safer than being guessed.
const REFUSED: &[&str] = &["==1.2.3", "node >=1", "v 1.2.3", "1.0.0 - "];

#[test]
fn ranges_mean_what_node_says() {
    let table = include_str!("ranges.txt");
    let mut lines = table.lines();
    let versions: Vec<Version> =
        lines.next().unwrap().split(' ').map(|text| Version::parse_from_npm(text).unwrap()).collect();
    let mut wrong = Vec::new();
    let mut checked = 0;
    for line in lines {
        let (range, expected) = line.rsplit_once('\t').unwrap();
        let range = range.replace("\\t", "\t");
        let spec = Spec::parse(&range);
        if REFUSED.contains(&range.as_str()) {
            assert!(spec.is_err(), "{range} is read by now: take it from the list");
            continue;
        }
        if expected == "invalid" {
            if let Ok(Spec::Range(_)) = spec {
                wrong.push(format!("{range}: node refuses it"));
            }
            continue;
        }
        let Ok(spec @ Spec::Range(_)) = spec else {
            wrong.push(format!("{range}: not read as a range: {spec:?}"));
            continue;
        };
        for (version, expected) in versions.iter().zip(expected.bytes()) {
            checked += 1;
            if spec.matches(version) != (expected == b'1') {
                wrong.push(format!("{range} {version}: node says {}", char::from(expected)));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(checked > 5000, "{checked}");
}

fn packument(latest: &str, releases: &[(&str, u64, bool)]) -> Packument {
    let releases = releases.iter().map(|(version, published, deprecated)| {
        let release = Release {
            version: (*version).into(),
            published: Some(*published),
            deprecated: deprecated.then(|| "old".into()),
            ..Release::default()
        };
        (Version::parse_from_npm(version).unwrap(), release)
    });
    Packument {
        name: "p".into(),
        tags: [("latest".to_owned(), latest.to_owned())].into(),
        releases: releases.collect(),
        notes: Vec::new(),
    }
}

fn picked(packument: &Packument, spec: &str, now: u64) -> Result<String, String> {
    let age = AgeRule { min_age: 10, now, missing: super::super::MissingTime::Refuse };
    pick(packument, &Spec::parse(spec).unwrap(), &age).map(|release| release.version.clone())
}

#[test]
fn picking_follows_npm() {
    let p = packument(
        "1.2.0",
        &[
            ("1.0.0", 0, false),
            ("1.1.0", 5, false),
            ("1.2.0", 10, false),
            ("1.3.0", 20, true),
            ("2.0.0-rc.1", 30, false),
            ("2.0.0", 40, false),
        ],
    );
    // The tag's version goes before newer ones of the range; outside it the newest counts.
    assert_eq!(picked(&p, "^1.0.0", 100).unwrap(), "1.2.0");
    assert_eq!(picked(&p, "*", 100).unwrap(), "1.2.0");
    assert_eq!(picked(&p, "latest", 100).unwrap(), "1.2.0");
    assert_eq!(picked(&p, "2", 100).unwrap(), "2.0.0");
    assert_eq!(picked(&p, "1.3.0", 100).unwrap(), "1.3.0");
    // A deprecated version only when there is no other.
    assert_eq!(
        picked(&p, ">1.1.0 <2", 15).unwrap_err(),
        "1.3.0 is 0 minutes old and must be at least 0 minutes"
    );
    assert_eq!(picked(&p, ">1.2.0 <2.0.0", 100).unwrap(), "1.3.0");
    // What is too young does not count, and a tag falls back.
    assert_eq!(picked(&p, "latest", 19).unwrap(), "1.1.0");
    assert_eq!(picked(&p, "2", 49).unwrap_err(), "2.0.0 is 0 minutes old and must be at least 0 minutes");
    assert_eq!(picked(&p, "3", 100).unwrap_err(), "the newest there is 2.0.0");
    assert_eq!(picked(&p, "beta", 100).unwrap_err(), "there is no tag `beta`, only latest");
}

#[test]
fn aliases_and_refusals() {
    let spec = Spec::parse("npm:@openai/codex@0.169.0-linux-x64").unwrap();
    assert_eq!(spec.package("x"), "@openai/codex");
    assert!(spec.matches(&Version::parse_from_npm("0.169.0-linux-x64").unwrap()));
    assert!(!spec.matches(&Version::parse_from_npm("0.169.0").unwrap()));
    assert_eq!(Spec::parse("npm:plain").unwrap().package("x"), "plain");
    for bad in [
        "git+ssh://h/x",
        "github:u/r",
        "u/r",
        "file:../x",
        "link:x",
        "workspace:*",
        "https://h/x.tgz",
        "npm:a@npm:b@1",
        "npm:",
        "npm:../x@1",
    ] {
        assert!(Spec::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn lengths_of_time() {
    let texts = [0, 60, 3599, 3600, 172_799, 172_800, 259_200].map(duration);
    assert_eq!(texts, ["0 minutes", "1 minute", "59 minutes", "1 hour", "47 hours", "2 days", "3 days"]);
}

proptest::proptest! {
    #[test]
    fn no_request_panics(text in "([0-9xX*.^~<>= |v-]|[ -~]){0,30}") {
        if let Ok(spec) = Spec::parse(&text) {
            let _ = spec.matches(&Version::parse_from_npm("1.2.3").unwrap());
        }
    }
}
