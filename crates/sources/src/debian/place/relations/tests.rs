//! Sets of packages that go together or do not.

use super::*;
use crate::debian::place::tests::made;
use crate::debian::place::tests::options;
use crate::debian::place::tests::placed;

/// The refusal of `a`, whose fields these are, beside `b` with those; nothing where both are placed.
fn refused(a: &str, b: &str) -> Option<String> {
    let set = [made("a", a, &[], Vec::new()), made("b", b, &[], Vec::new())];
    placed(&set, &options()).err().map(|error| error.to_string())
}

// `dpkg --root=R -i b.deb a.deb`, dpkg 1.21.22: these are installed (the one with `Pre-Depends` after `b`), those below refused.
#[test]
fn what_dpkg_installs_together_is_placed() {
    for (a, b) in [
        ("", ""),
        ("Depends: b\n", ""),
        ("Depends: b\n", "Depends: a\n"),
        ("Pre-Depends: b (>= 1.0), b (<< 2)\n", ""),
        ("Depends: c | b (= 1.0-1)\n", ""),
        ("Depends: c\n", "Provides: c\n"),
        ("Depends: c (>= 2)\n", "Provides: c (= 2.1)\n"),
        ("Depends: c\n", "Provides: c (= 2.1)\n"),
        ("Depends: b:any\n", "Multi-Arch: allowed\n"),
        ("Depends: b:amd64\n", ""),
        ("Depends: a\n", ""),
        ("Conflicts: b (<< 1)\n", ""),
        ("Breaks: b (>> 1.0-1)\n", ""),
        ("Conflicts: c (<< 1)\n", "Provides: c\n"),
        ("Conflicts: c\nProvides: c\n", ""),
        ("Conflicts: a\n", ""),
        ("Breaks: c (>= 3)\n", "Provides: c (= 2)\n"),
        ("Replaces: b\n", ""),
    ] {
        assert_eq!(refused(a, b), None, "{a}{b}");
    }
}

#[test]
fn what_dpkg_refuses_together_is_refused() {
    for (a, b, words) in [
        (
            "Depends: c\n",
            "",
            "package `a`: `Depends` of its control file is `c`, which no package of the image is",
        ),
        ("Pre-Depends: b (>= 2)\n", "", "`Pre-Depends` of its control file is `b (>= 2)`, which no package"),
        ("Depends: c | b (<< 1)\n", "", "`c | b (<< 1)`"),
        ("Depends: c (>= 2)\n", "Provides: c\n", "`c (>= 2)`"),
        ("Depends: c (>= 2)\n", "Provides: c (= 1)\n", "`c (>= 2)`"),
        ("Depends: b:any\n", "", "`b:any`"),
        ("Depends: b:arm64\n", "", "`b:arm64`"),
        (
            "Conflicts: b\n",
            "",
            "package `a`: `Conflicts` of its control file is `b`, and `b` 1.0-1 is in the image",
        ),
        ("", "Conflicts: a (<= 1.0-1)\n", "package `b`: `Conflicts` of its control file is `a (<= 1.0-1)`"),
        ("Breaks: b (<< 2)\n", "", "`Breaks` of its control file is `b (<< 2)`"),
        ("Conflicts: c\n", "Provides: c\n", "`c`, and `b`"),
        ("Conflicts: c\nProvides: c\n", "Provides: c\n", "`c`, and `b`"),
        ("Breaks: c (<< 3)\n", "Provides: c (= 2)\n", "`c (<< 3)`, and `b`"),
        ("Depends: b (!! 1)\n", "", "`Depends` of its control file cannot be used"),
    ] {
        let told = refused(a, b).unwrap_or_else(|| panic!("{a}{b} is placed"));
        assert!(told.contains(words), "{told}");
    }
}

/// Of a long field what the other has not is shown, and no more than fits.
#[test]
fn long_fields_are_shown_by_what_differs() {
    let many = |more: &str| groups(&format!("long-name-of-a-package, {more}"), "amd64");
    let long = |more: &str| {
        let all: Vec<String> = (0..100).map(|number| format!("package-{number}")).collect();
        groups(&format!("{}, {more}", all.join(", ")), "amd64")
    };
    assert_eq!(shown(&many("x"), &many("")), "`long-name-of-a-package, x`");
    assert_eq!(shown(&many(""), &many("x")), "`long-name-of-a-package`");
    assert_eq!(shown(&groups(" ,", "amd64"), &many("x")), "nothing");
    assert_eq!(shown(&long("evil (>= 2)"), &long("good")), "`…, evil (>= 2)`");
    assert_eq!(shown(&long(""), &long("good")), "the same without that");
    assert!(shown(&long(""), &many("")).len() < 320);
}
