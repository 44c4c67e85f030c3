//! What dpkg makes of two packages that want one path.

use pinfold_archive::NodeKind;
use pinfold_archive::decoded::Member;
use pinfold_archive::decoded::MemberKind;
use pinfold_base::ImagePath;

use crate::debian::place::PlaceError;
use crate::debian::place::tests::entry;
use crate::debian::place::tests::file;
use crate::debian::place::tests::made;
use crate::debian::place::tests::options;
use crate::debian::place::tests::placed;
use crate::debian::place::tests::text;

/// `usr/x/` is a directory, `usr/x=1` a file, `usr/x>y` a link.
fn entries(words: &str) -> Vec<Member> {
    let entry = |word: &str| match (word.strip_suffix('/'), word.split_once('='), word.split_once('>')) {
        (Some(path), ..) => entry(path, MemberKind::Directory, 0o755),
        (_, Some((path, bytes)), _) => file(path, bytes),
        (_, _, Some((path, target))) => entry(path, MemberKind::Symlink(target.as_bytes().into()), 0o777),
        _ => panic!("{word}"),
    };
    format!("usr/ {words}").split_ascii_whitespace().map(entry).collect()
}

/// What is below `usr` once `a` and then `b` are there, as `find` and the two lists have it; else the refusal.
fn outcome(a: (&str, &str), b: (&str, &str)) -> Result<String, PlaceError> {
    let set = [made("a", a.0, &[], entries(a.1)), made("b", b.0, &[], entries(b.1))];
    let tree = placed(&set, &options())?.tree;
    let inside = |path: &ImagePath| path.as_bytes().starts_with(b"usr/x");
    let kind = |kind: &NodeKind| match kind {
        NodeKind::Directory => "d",
        NodeKind::File(_) => "f",
        NodeKind::Symlink(_) => "l",
        NodeKind::Hardlink(_) => "h",
    };
    let found = tree.iter().filter(|(path, _)| inside(path));
    let found: Vec<String> = found.map(|(path, node)| format!("{path} {}", kind(&node.kind))).collect();
    let list = |name: &str| {
        let list = text(&tree, &format!("var/lib/dpkg/info/{name}.list"));
        list.lines().filter(|line| line.starts_with("/usr/x")).collect::<Vec<_>>().join(" ")
    };
    Ok(format!("{}; a: {}; b: {}", found.join(", "), list("a"), list("b")))
}

// `dpkg --root=R -i a.deb b.deb`, dpkg 1.21.22; each has a file of its own beside, since dpkg forgets packages that are replaced whole.
#[test]
fn what_dpkg_takes_is_placed_as_by_dpkg() {
    let replaces = "Replaces: a\n";
    for (a, b, expected) in [
        // Equal files are taken over as others are.
        (("", "usr/x=1"), (replaces, "usr/x=1"), "/usr/x f; a: ; b: /usr/x"),
        (("Replaces: b\n", "usr/x=1"), ("", "usr/x=1"), "/usr/x f; a: /usr/x; b: "),
        (("", "usr/y/ usr/x>y"), ("", "usr/y/ usr/x>y"), "/usr/x l; a: /usr/x; b: /usr/x"),
        (("", "usr/y/ usr/x>y"), ("", "usr/y/ usr/x>/usr/y"), "/usr/x l; a: /usr/x; b: /usr/x"),
        // A directory goes with what is in it.
        (("", "usr/x/ usr/x/c=1"), (replaces, "usr/x=2"), "/usr/x f; a: /usr/x/c; b: /usr/x"),
        (("", "usr/x/"), (replaces, "usr/x=2"), "/usr/x f; a: ; b: /usr/x"),
        (
            ("Replaces: b\n", "usr/x/ usr/x/c=1"),
            ("", "usr/x=2"),
            "/usr/x d, /usr/x/c f; a: /usr/x /usr/x/c; b: ",
        ),
        (("", "usr/x=1"), (replaces, "usr/x/ usr/x/c=2"), "/usr/x d, /usr/x/c f; a: ; b: /usr/x /usr/x/c"),
        (("", "usr/x/ usr/x/c=1"), ("", "usr/x>y"), "/usr/x d, /usr/x/c f; a: /usr/x /usr/x/c; b: /usr/x"),
    ] {
        assert_eq!(outcome(a, b).map_err(|error| error.to_string()).as_deref(), Ok(expected), "{a:?} {b:?}");
    }
}

#[test]
fn what_dpkg_refuses_at_one_path_is_refused() {
    for (a, b) in [
        ("usr/x=1", "usr/x=1"),
        ("usr/x=1", "usr/x=2"),
        ("usr/x>y", "usr/x>y"),
        ("usr/x>y", "usr/x=1"),
        ("usr/x/ usr/x/c=1", "usr/x=1"),
        ("usr/x/", "usr/x=1"),
        ("usr/x=1", "usr/x/ usr/x/c=1"),
    ] {
        let error = outcome(("", a), ("", b)).unwrap_err();
        let said =
            matches!(&error, PlaceError::Overwrite { first, second, .. } if first == "a" && second == "b");
        assert!(said, "{a} {b}: {error}");
    }
}

/// dpkg sees names, so two names of one directory are no conflict to it; what would be lost by that is refused here.
#[test]
fn two_names_of_one_path_may_hold_the_same() {
    assert_eq!(
        outcome(("", "usr/lib/x=1"), ("", "lib/x=1")).map_err(|error| error.to_string()).as_deref(),
        Ok("; a: ; b: ")
    );
    assert!(matches!(outcome(("", "usr/lib/x=1"), ("", "lib/x=2")), Err(PlaceError::Overwrite { .. })));
}

/// dpkg stops at the first two, "No such file or directory" and "Not a directory".
#[test]
fn no_package_has_a_path_in_two_kinds() {
    for own in ["usr/x=1 usr/x/ usr/x/c=1", "usr/x/ usr/x/c=1 usr/x=1", "lib/x/ usr/lib/x=1"] {
        let error = outcome(("", "usr/a=1"), ("", own)).unwrap_err();
        assert!(matches!(&error, PlaceError::TwoKinds { package, .. } if package == "b"), "{own}: {error}");
    }
    assert!(outcome(("", "usr/a=1"), ("", "usr/x/ usr/x/")).is_ok());
}

/// Every package that has the directory must be replaced: dpkg names the one that is not.
#[test]
fn a_directory_of_several_is_replaced_only_with_all_of_them() {
    let set = |fields: &str| {
        [
            made("a", "", &[], entries("usr/x/ usr/x/c=1")),
            made("b", "", &[], entries("usr/x/ usr/x/d=1")),
            made("c", fields, &[], entries("usr/x=1")),
        ]
    };
    let error = placed(&set("Replaces: a\n"), &options()).unwrap_err();
    assert!(matches!(&error, PlaceError::Overwrite { first, .. } if first == "b"), "{error}");
    let tree = placed(&set("Replaces: a, b\n"), &options()).unwrap().tree;
    assert_eq!(text(&tree, "usr/x"), "1");
    assert_eq!(text(&tree, "var/lib/dpkg/info/a.list"), "/usr\n/usr/x/c\n");
    assert_eq!(text(&tree, "var/lib/dpkg/info/b.list"), "/usr\n/usr/x/d\n");
}

/// What only a script has made goes, but a conffile does not take a directory's place.
#[test]
fn a_directory_of_nobody_gives_way() {
    let set = |path: &str, control: &[(&str, &str)]| {
        let script = format!("#!/bin/sh\nmkdir -p /{path}/z\n");
        let control: Vec<(&str, &str)> = [&[("preinst", script.as_str())][..], control].concat();
        [made("b", "", &control, entries(&format!("{path}=1")))]
    };
    let tree = placed(&set("usr/x", &[]), &options()).unwrap().tree;
    assert_eq!(text(&tree, "usr/x"), "1");
    assert!(!tree.contains(&ImagePath::new("usr/x/z").unwrap()));
    let error = placed(&set("etc/x", &[("conffiles", "/etc/x\n")]), &options()).unwrap_err();
    assert!(matches!(&error, PlaceError::TwoKinds { .. }), "{error}");
}

/// dpkg has no bound; here it is high enough for anybody, and such a list is quick.
#[test]
fn lists_of_triggers_may_be_long() {
    let lines = |count: usize, word: &str| {
        let all: Vec<String> = (0..count).map(|at| format!("{word} t{at}\n")).collect();
        all.concat()
    };
    let list = |count: usize| lines(count, "interest-noawait");
    let script = "#!/bin/sh\nif [ \"$1\" = triggered ]; then echo \"$2\" | wc -w >/count; fi\n";
    let activate = |count: usize| lines(count, "activate-noawait");
    let set = |count: usize| {
        [
            made("a", "", &[("triggers", &list(count)), ("postinst", script)], Vec::new()),
            made(
                "b",
                "Depends: a\n",
                &[("triggers", &activate(count)), ("postinst", "#!/bin/sh\n")],
                Vec::new(),
            ),
        ]
    };
    let tree = placed(&set(1_200), &options()).unwrap().tree;
    assert_eq!(text(&tree, "count"), "1200\n");
    assert!(placed(&set(10_000), &options()).is_ok());
    let error = placed(&set(10_001), &options()).unwrap_err();
    assert!(error.to_string().contains("the list is too long"), "{error}");
}
