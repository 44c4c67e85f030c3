//! Expected sets are apt's own (2.6.1, empty system, one architecture), recorded with `apt-get -s install`:
//! `closures/choices.*` is written by hand, one case a stanza or two; `closures/bookworm.*` are the packages of real
//! closures and all that could have been chosen instead, from bookworm with updates and security of November 2026, cut down
//! to the fields that decide.

use std::io::Read as _;

use pinfold_archive::codec;
use pinfold_archive::codec::Compression;
use proptest::prelude::*;

use super::Base;
use super::Recommends;
use super::Request;
use super::candidates::Candidates;
use super::index::Text;
use super::index::Universe;
use super::roots;
use super::roots::RootError;
use super::walk;

fn data(name: &str) -> Vec<u8> {
    fs_err::read(format!("{}/tests/data/closures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn universe(arch: &str, bytes: &[u8]) -> Universe {
    Universe::read(
        arch,
        vec![Text { bytes: bytes.to_vec(), suite: 0, pin: 500, mixed: false, label: "fixture".into() }],
    )
    .unwrap()
}

fn request(base: Base, recommends: Recommends, packages: &str) -> Request {
    Request {
        suites: Vec::new(),
        base,
        packages: packages.split_ascii_whitespace().map(str::to_owned).collect(),
        recommends,
        platforms: Vec::new(),
        present: std::collections::BTreeMap::new(),
    }
}

fn closure(universe: &Universe, request: &Request) -> Result<Vec<String>, String> {
    let found = roots::roots(Candidates::new(universe), request).map_err(|error| error.to_string())?;
    let chosen = walk::walk(&found.candidates, &found.roots, request.recommends);
    let chosen = chosen.map_err(|error| error.to_string())?;
    let mut all: Vec<String> =
        chosen.iter().map(|(name, (id, _))| format!("{name}={}", universe.version(*id))).collect();
    all.sort();
    Ok(all)
}

#[test]
fn every_choice_is_apts() {
    let universe = universe("amd64", &data("choices.Packages"));
    let expected = String::from_utf8(data("choices.expected")).unwrap();
    let mut wrong = Vec::new();
    for line in expected.lines() {
        let (case, expected) = line.split_once(" => ").unwrap();
        let (base, packages) = case.split_once(':').unwrap();
        let (base, recommends) = match base {
            "essential" => (Base::Essential, Recommends::Skip),
            "recommends" => (Base::None, Recommends::Install),
            _ => (Base::None, Recommends::Skip),
        };
        let ours = closure(&universe, &request(base, recommends, packages));
        let ours = ours.map_or("unsatisfied".to_owned(), |all| all.join(" "));
        if ours != expected {
            wrong.push(format!("{case}: {ours}, apt: {expected}"));
        }
    }
    assert_eq!(expected.lines().count(), 20);
    assert_eq!(wrong, Vec::<String>::new());
}

fn differences_from_apt(universe: &Universe, expected: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for line in expected.lines() {
        let [recommends, packages, expected] = line.split('|').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let recommends = if recommends == "1" { Recommends::Install } else { Recommends::Skip };
        let ours = closure(universe, &request(Base::None, recommends, packages));
        let mut expected: Vec<&str> = expected.split(' ').collect();
        expected.sort_unstable();
        let ours = ours.map_or("unsatisfied".to_owned(), |all| all.join(" "));
        if ours != expected.join(" ") {
            wrong.push(format!("{packages}: {ours}, apt: {}", expected.join(" ")));
        }
    }
    wrong
}

#[test]
fn a_choice_gives_way_to_what_must_be_there_as_in_apt() {
    // `kinds.*`: apt-get -s install of apt 2.6.2, each case on an empty system, as `choices.*`.
    let universe = universe("amd64", &data("kinds.Packages"));
    let expected = String::from_utf8(data("kinds.expected")).unwrap();
    assert!(expected.lines().any(|line| line.contains("|writer|") && !line.contains("core-nogui")));
    assert_eq!(differences_from_apt(&universe, &expected), Vec::<String>::new());
    // apt gives up on these two, where a choice made early excludes a need met later: the other choice fits.
    for (package, expected) in [
        ("turns-late", ["choose-picky=1", "easy=1", "late=1", "turns-late=1"]),
        ("broken-late", ["broken-late=1", "choose-breaks=1", "easy=1", "late=1"]),
    ] {
        let ours = closure(&universe, &request(Base::None, Recommends::Skip, package)).unwrap();
        assert_eq!(ours, expected, "{package}");
    }
}

#[test]
fn packages_that_need_each_other_in_a_long_row_are_followed() {
    let row = |length: usize| {
        let link = |n| format!("Package: p{n:05}\nVersion: 1\nArchitecture: all\nDepends: p{:05}\n\n", n + 1);
        let end = format!("Package: p{length:05}\nVersion: 1\nArchitecture: all\n");
        universe("amd64", ((0..length).map(link).collect::<String>() + &end).as_bytes())
    };
    let walked = |length| closure(&row(length), &request(Base::None, Recommends::Skip, "p00000"));
    // apt follows 3000 and no more; here the rest is mended afterwards, and nobody's stack runs out.
    for length in [2900, 4000] {
        assert_eq!(walked(length).unwrap().len(), length + 1);
    }
}

#[test]
fn circles_virtual_names_and_conflicts_are_resolved_as_apt_does() {
    // `more.*`: apt-get -s install of apt 2.6.2, each case on an empty system, as `choices.*`.
    let universe = universe("amd64", &data("more.Packages"));
    let expected = String::from_utf8(data("more.expected")).unwrap();
    assert_eq!(differences_from_apt(&universe, &expected), Vec::<String>::new());
    // Two answers are not apt's: it takes the provider of `real-one (= 5)` for `real-one:amd64`, and has no order in which
    // to unpack a circle through `Pre-Depends`, which nothing here needs.
    for (package, expected) in
        [("wants-native", ["real-one=1", "wants-native=1"]), ("pre-a", ["pre-a=1", "pre-b=1"])]
    {
        let ours = closure(&universe, &request(Base::None, Recommends::Skip, package)).unwrap();
        assert_eq!(ours, expected, "{package}");
    }
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    codec::decoder(Compression::Xz, bytes).unwrap().read_to_end(&mut text).unwrap();
    text
}

const S1: &str = "tini tmux bash git curl jq ca-certificates";
const S3: &str = "tini tmux bash git curl jq ca-certificates ripgrep fd-find python3 python3-pip python3-venv build-essential \
    openssh-client less procps iproute2 iptables sudo bubblewrap socat locales-all zsh vim-tiny";

#[test]
fn closures_of_bookworm_are_apts() {
    const S0: &str = "base-files netbase tzdata ca-certificates libc6 libssl3";
    const S2: &str = "libssl3 ca-certificates";
    let cases = [
        ("S0-none", Base::None, S0),
        ("S1-minbase", Base::Minbase, S1),
        ("S2-minbase", Base::Minbase, S2),
        ("S3-minbase", Base::Minbase, S3),
        ("S1-essential", Base::Essential, S1),
        ("S2-essential", Base::Essential, S2),
        ("S3-essential", Base::Essential, S3),
    ];
    for arch in ["amd64", "arm64"] {
        let universe = universe(arch, &packed(&data(&format!("bookworm.{arch}.Packages.xz"))));
        for (name, base, packages) in cases {
            let ours = closure(&universe, &request(base, Recommends::Skip, packages)).unwrap();
            let expected = String::from_utf8(data(&format!("{name}.{arch}"))).unwrap();
            assert_eq!(ours, expected.lines().collect::<Vec<_>>(), "{name} {arch}");
        }
    }
}

#[test]
fn two_chains_explain_a_conflict() {
    let text = b"Package: app\nVersion: 1\nArchitecture: amd64\nDepends: lib-one\n\n\
        Package: lib-one\nVersion: 1\nArchitecture: amd64\nConflicts: lib-two (<< 3)\n\n\
        Package: tool\nVersion: 1\nArchitecture: amd64\nDepends: middle\n\n\
        Package: middle\nVersion: 1\nArchitecture: all\nDepends: lib-two\n\n\
        Package: lib-two\nVersion: 2\nArchitecture: amd64\n";
    let universe = universe("amd64", text);
    let error = closure(&universe, &request(Base::None, Recommends::Skip, "app tool")).unwrap_err();
    assert_eq!(
        error,
        "two packages exclude each other (`lib-one` has `Conflicts: lib-two (<< 3)`): tool (asked for) → middle → lib-two, and \
         app (asked for) → lib-one"
    );
    assert!(closure(&universe, &request(Base::None, Recommends::Skip, "tool")).is_ok());
}

#[test]
fn a_recommendation_that_cannot_be_had_leaves_nothing_behind() {
    let text =
        b"Package: app\nVersion: 1\nArchitecture: amd64\nRecommends: extra, good\nConflicts: enemy\n\n\
        Package: extra\nVersion: 1\nArchitecture: amd64\nDepends: deeper\n\n\
        Package: deeper\nVersion: 1\nArchitecture: amd64\nDepends: fine, enemy\n\n\
        Package: fine\nVersion: 1\nArchitecture: amd64\n\n\
        Package: enemy\nVersion: 1\nArchitecture: amd64\n\n\
        Package: good\nVersion: 1\nArchitecture: amd64\n";
    let universe = universe("amd64", text);
    let with = closure(&universe, &request(Base::None, Recommends::Install, "app")).unwrap();
    assert_eq!(with, ["app=1", "good=1"]);
    // Asked for, the same package is an error.
    assert!(closure(&universe, &request(Base::None, Recommends::Install, "app extra")).is_err());
}

#[test]
fn what_is_missing_is_shown_with_its_chain() {
    let text = b"Package: base\nVersion: 1\nArchitecture: amd64\nEssential: yes\nPre-Depends: inner\n\n\
        Package: inner\nVersion: 1\nArchitecture: amd64\nDepends: libc (>= 9) | nothing\n\n\
        Package: libc\nVersion: 2\nArchitecture: amd64\n";
    let universe = universe("amd64", text);
    let error = closure(&universe, &request(Base::Essential, Recommends::Skip, "")).unwrap_err();
    assert_eq!(
        error,
        "`libc (>= 9) | nothing` cannot be satisfied: `libc` is there in version 2, there is no `nothing`; needed by base (base) \
         → inner"
    );
}

#[test]
fn roots_that_are_not_there_are_explained() {
    let universe = universe("amd64", &data("choices.Packages"));
    let error =
        |packages: &str| closure(&universe, &request(Base::None, Recommends::Skip, packages)).unwrap_err();
    assert_eq!(
        error("nosuch"),
        "package `nosuch` does not exist for `amd64` in the suites and components asked for"
    );
    assert_eq!(error("awk"), "`awk` is a virtual package; it is provided by `mawk`, `gawk`, `original-awk`");
    assert_eq!(error("dep-old=3"), "package `dep-old` has no version `3` for `amd64`; there is 1.1, 1");
    assert_eq!(
        error("dep-old=1 dep-old=1.1"),
        "package `dep-old` is asked for as version 1 and as version 1.1"
    );
    assert_eq!(error("dep-old="), "`dep-old=` is not `name`, `name=version` or `name/suite`");
    let near = roots::roots(Candidates::new(&universe), &request(Base::None, Recommends::Skip, "alpa"));
    assert_eq!(near.unwrap_err().hint().unwrap(), "did you mean `alpha`?");
}

#[test]
fn all_wrong_entries_are_told_at_once_each_with_what_to_do() {
    let universe = universe("amd64", &data("choices.Packages"));
    let asked = request(Base::None, Recommends::Skip, "nosuch alpha awk alpa dep-old=3 nosuch");
    let error = roots::roots(Candidates::new(&universe), &asked).unwrap_err();
    assert_eq!(error.to_string(), "4 of the packages asked for cannot be chosen");
    let each: Vec<String> = error.each().iter().map(ToString::to_string).collect();
    for (told, begin) in each.iter().zip([
        "package `nosuch` does not exist",
        "`awk` is a virtual package",
        "package `alpa` does not exist",
        "package `dep-old` has no version `3`",
    ]) {
        assert!(told.starts_with(begin), "{told}");
    }
    assert_eq!(each.len(), 4);
    assert!(error.each().iter().all(|error| error.hint().is_some()));
    // The same name on two platforms is one thing to mend.
    let missing = |arch: &str| RootError::Missing {
        name: "x".into(),
        arches: vec![arch.into()],
        near: Vec::new(),
        elsewhere: None,
    };
    let both = RootError::gather(vec![missing("amd64"), missing("arm64")]).unwrap_err();
    assert!(both.to_string().contains("does not exist for `amd64`, `arm64` in"), "{both}");
}

#[test]
fn a_long_list_of_providers_says_that_it_is_cut() {
    let by = |count: usize| RootError::Virtual {
        name: "x".into(),
        by: (0..count).map(|number| format!("p{number}")).collect(),
    };
    assert!(by(8).to_string().ends_with("`p6`, `p7`"));
    assert!(by(9).to_string().ends_with("`p7`, `p8`"), "one more takes no more room than saying so");
    assert!(by(12).to_string().ends_with("`p7` and 4 more"), "{}", by(12));
}

#[test]
fn an_entry_in_another_programs_spelling_is_told_in_ours() {
    for (entry, hint) in [
        ("curl wget", "write each package by itself: `\"curl\", \"wget\"`"),
        (" curl", "write `curl` without blanks"),
        ("curl:amd64", "write `curl`: for which architectures it comes `platforms` says"),
        ("curl>=7", "write `curl` for the newest version there is, or `curl=VERSION` for one of them"),
        ("curl (>= 7)", "write `curl` for the newest version there is, or `curl=VERSION` for one of them"),
        ("curl@7", "write `curl` for the newest version there is, or `curl=VERSION` for one of them"),
        ("./x.deb", "write `name`, `name=version` or `name/suite`"),
        ("", "write `name`, `name=version` or `name/suite`"),
    ] {
        assert_eq!(roots::spell(entry).unwrap_err().hint().as_deref(), Some(hint), "{entry}");
    }
}

#[test]
fn a_package_of_a_named_suite_brings_what_only_that_suite_has() {
    // apt-get -s install of apt 2.6.2 with the second suite `NotAutomatic: yes`, `ButAutomaticUpgrades: yes`.
    let text = |suite: u16, pin: i16, stanzas: &str| Text {
        bytes: stanzas.as_bytes().to_vec(),
        suite,
        pin,
        mixed: false,
        label: "fixture".into(),
    };
    let old = "Package: app\nVersion: 1\nArchitecture: all\nDepends: lib\n\n\
        Package: lib\nVersion: 1\nArchitecture: all\n\nPackage: other\nVersion: 1\nArchitecture: all\nDepends: lib\n\n\
        Package: alone\nVersion: 1\nArchitecture: all\n";
    let new = "Package: app\nVersion: 2\nArchitecture: all\nDepends: lib (>= 2), other\n\n\
        Package: lib\nVersion: 2\nArchitecture: all\n\nPackage: other\nVersion: 2\nArchitecture: all\n\n\
        Package: only-new\nVersion: 2\nArchitecture: all\n";
    let universe = Universe::read("amd64", vec![text(0, 500, old), text(1, 100, new)]).unwrap();
    let called = [["bookworm", "oldstable"], ["bookworm-backports", "oldstable-backports"]];
    let universe = universe.calling(called.map(|names| names.map(str::to_owned).to_vec()).to_vec());
    let asked = |packages: &str| closure(&universe, &request(Base::None, Recommends::Skip, packages));
    for (packages, expected) in [
        ("app", "app=1 lib=1"),
        ("app/bookworm-backports", "app=2 lib=2 other=1"),
        ("app/oldstable-backports", "app=2 lib=2 other=1"),
        ("app/bookworm-backports other/bookworm-backports", "app=2 lib=2 other=2"),
        ("lib/bookworm-backports", "lib=2"),
        ("app=2 lib=2", "app=2 lib=2 other=1"),
        ("only-new", "only-new=2"),
    ] {
        assert_eq!(asked(packages).unwrap().join(" "), expected, "{packages}");
    }
    for (packages, expected) in [
        (
            "app=2",
            "`lib (>= 2)` cannot be satisfied: of `lib` 1 of `bookworm` is taken, and 2 of `bookworm-backports` would satisfy it; \
             needed by app (asked for)",
        ),
        (
            "alone/bookworm-backports",
            "package `alone` is not in `bookworm-backports` for `amd64`; there is 1 in `bookworm`",
        ),
        (
            "app/bookworm-backport",
            "`app/bookworm-backport`: suite `bookworm-backport` is not among those asked for \
             (bookworm, bookworm-backports, oldstable, oldstable-backports)",
        ),
        ("app/", "`app/` is not `name`, `name=version` or `name/suite`"),
        (
            "app/bookworm app/bookworm-backports",
            "package `app` is asked for as that of `bookworm` and as that of `bookworm-backports`",
        ),
        ("app=3", "package `app` has no version `3` for `amd64`; there is 1, 2"),
    ] {
        assert_eq!(asked(packages).unwrap_err(), expected, "{packages}");
    }
    let hint = |packages: &str| {
        let asked = request(Base::None, Recommends::Skip, packages);
        roots::roots(Candidates::new(&universe), &asked).unwrap_err().hint().unwrap()
    };
    assert_eq!(hint("app/bookworm-backport"), "did you mean `bookworm-backports`?");
    assert_eq!(hint("app/sid"), "add `sid` to `suites` in the manifest's `[debian]`, or leave it out here");
    assert!(
        hint("app/trixie-backports").starts_with("write `backports = true` in the manifest's `[debian]`")
    );
    let without = "ask for it without the suite, or for a version that is there";
    assert_eq!(hint("alone/bookworm-backports"), without);
}

#[test]
fn damaged_indexes_are_refused() {
    let read = |text: &str| {
        let text =
            Text { bytes: text.as_bytes().to_vec(), suite: 0, pin: 500, mixed: false, label: "x".into() };
        Universe::read("amd64", vec![text]).map(|_| ()).map_err(|error| error.to_string())
    };
    assert_eq!(read("Package: ab\nVersion: 1\nArchitecture: all\n"), Ok(()));
    assert!(
        read("Package: ab\nVersion: 1\nArchitecture: arm64\n").unwrap_err().contains("`ab` is for `arm64`")
    );
    assert!(read("Package: ab\nArchitecture: all\n").unwrap_err().contains("`Version` is missing"));
    assert!(
        read("Package: ../ab\nVersion: 1\nArchitecture: all\n")
            .unwrap_err()
            .contains("not the name of a package")
    );
    assert!(
        read("Package: ab\nVersion: x\nArchitecture: all\n").unwrap_err().contains("not a Debian version")
    );
    assert!(
        read("Package: ab\nVersion: 1\nArchitecture: all\nProvides: vv (>= 1)\n")
            .unwrap_err()
            .contains("no exact version")
    );
    assert!(read("Package: ab\nPackage: ab\n").unwrap_err().contains("damaged"));
    for path in ["/etc/passwd", "../x.deb", "pool/../../x", "pool//x", "pool/x?y", ""] {
        assert!(!super::index::is_safe_path(path), "{path}");
    }
    assert!(super::index::is_safe_path("pool/main/g/gcc-12/libstdc++6_12.2.0-14+deb12u1_amd64.deb"));
}

#[test]
fn candidates_go_by_pin_then_version_then_order() {
    let text = |version: &str, suite: u16, pin: i16| Text {
        bytes: format!("Package: ab\nVersion: {version}\nArchitecture: all\nDescription: {suite}\n")
            .into_bytes(),
        suite,
        pin,
        mixed: false,
        label: String::new(),
    };
    let best = |texts: Vec<Text>| {
        let universe = Universe::read("amd64", texts).unwrap();
        let id = universe.named("ab")[0];
        (universe.version(id).to_owned(), universe.suite(id))
    };
    assert_eq!(best(vec![text("1", 0, 500), text("1.1", 1, 500)]), ("1.1".into(), 1));
    assert_eq!(best(vec![text("1", 0, 500), text("9", 1, 100)]), ("1".into(), 0));
    assert_eq!(best(vec![text("1", 0, 500), text("1", 1, 500)]), ("1".into(), 0));
}

#[test]
fn what_would_satisfy_and_was_not_taken_is_told() {
    let text = |suite: u16, version: &str, more: &str| Text {
        bytes: format!(
            "Package: app\nVersion: {version}\nArchitecture: all\nDepends: lib (>= {version})\n\n\
             Package: lib\nVersion: {version}\nArchitecture: all\n{more}"
        )
        .into_bytes(),
        suite,
        pin: 500 - i16::try_from(suite).unwrap(),
        mixed: false,
        label: "fixture".into(),
    };
    let universe = Universe::read("amd64", vec![text(0, "1", ""), text(1, "2", "")]).unwrap();
    let universe = universe.calling(vec![vec!["old".to_owned()], vec!["new".to_owned()]]);
    let other = |packages: &str| {
        let request = request(Base::None, Recommends::Skip, packages);
        let found = roots::roots(Candidates::new(&universe), &request).unwrap();
        match walk::walk(&found.candidates, &found.roots, request.recommends) {
            Err(walk::WalkError::Unsatisfied { other, why, .. }) => (why, other),
            walked => panic!("{packages}: {walked:?}"),
        }
    };
    let why = "of `lib` 1 of `old` is taken, and 2 of `new` would satisfy it";
    assert_eq!(other("app=2"), (why.to_owned(), Some("lib/new".to_owned())));
    // What was asked for so is not to be asked for otherwise.
    assert_eq!(other("app=2 lib=1"), (why.to_owned(), None));
    // Asked for as it is told, it works.
    assert_eq!(
        closure(&universe, &request(Base::None, Recommends::Skip, "app=2 lib/new")).unwrap().join(" "),
        "app=2 lib=2"
    );
}

proptest! {
    // Whatever the relations: what is chosen satisfies them all, and nothing chosen excludes another.
    #[test]
    fn what_is_chosen_fits_together(
        stanzas in prop::collection::vec(
            (0..12u8, prop::collection::vec(prop::collection::vec((0..12u8, 0..4u8), 1..3), 0..4), prop::option::of(0..12u8), prop::option::of(0..12u8)),
            1..14,
        ),
        asked in prop::collection::vec(0..12u8, 1..3),
    ) {
        let mut text = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for (name, depends, provides, conflicts) in &stanzas {
            if !seen.insert(name) {
                continue;
            }
            let alternative = |&(name, version): &(u8, u8)| match version {
                0 | 1 => format!("p{name}"),
                version => format!("p{name} (>= {})", version - 1),
            };
            let group = |group: &Vec<(u8, u8)>| group.iter().map(alternative).collect::<Vec<_>>().join(" | ");
            text.push(format!("Package: p{name}\nVersion: {}\nArchitecture: all\n", name % 3));
            if !depends.is_empty() {
                text.push(format!("Depends: {}\n", depends.iter().map(group).collect::<Vec<_>>().join(", ")));
            }
            if let Some(provides) = provides {
                text.push(format!("Provides: p{provides} (= 2)\n"));
            }
            if let Some(conflicts) = conflicts {
                text.push(format!("Conflicts: p{conflicts}\n"));
            }
            text.push("\n".to_owned());
        }
        let universe = universe("amd64", text.concat().as_bytes());
        let packages = asked.iter().map(|name| format!("p{name}")).collect::<Vec<_>>().join(" ");
        if let Ok(chosen) = closure(&universe, &request(Base::None, Recommends::Skip, &packages)) {
            let ids: Vec<_> = chosen.iter().map(|entry| universe.named(entry.split_once('=').unwrap().0)[0]).collect();
            // An independent reading of the rules: by brute force over all pairs.
            let offers = |id, relation: &super::relation::Relation<'_>| {
                let meets = |version: &str| relation.version.is_none_or(|(op, bound)| op.holds(version.as_bytes(), bound.as_bytes()));
                universe.name(id) == relation.name && meets(universe.version(id))
                    || universe.relations(id, "Provides").unwrap().iter().flatten()
                        .any(|one| one.name == relation.name && meets(one.version.unwrap().1))
            };
            for &id in &ids {
                for group in universe.relations(id, "Depends").unwrap() {
                    prop_assert!(group.iter().any(|relation| ids.iter().any(|&other| offers(other, relation))));
                }
                for relation in universe.relations(id, "Conflicts").unwrap().iter().flatten() {
                    prop_assert!(!ids.iter().any(|&other| other != id && offers(other, relation)));
                }
            }
        }
    }
}
