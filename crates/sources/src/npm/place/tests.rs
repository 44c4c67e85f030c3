//! Expected modes follow npm 11 (`(mode | 0666) & ~022`, commands executable) without set-id bits; targets of links follow from POSIX.

use pinfold_archive::decoded::Member;

use super::*;

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

fn entry(name: &str, mode: u32, kind: MemberKind) -> Member {
    Member {
        path: path(name),
        raw_name: name.as_bytes().into(),
        kind,
        meta: Metadata { mode, uid: 501, gid: 20, mtime: 499_162_500, ..Metadata::default() },
        uname: b"me".as_slice().into(),
        gname: b"me".as_slice().into(),
    }
}

fn file(name: &str, mode: u32) -> Member {
    entry(name, mode, MemberKind::File { content: Content::inline(name.as_bytes()) })
}

fn listing(data: Vec<Member>) -> Listing {
    Listing { data, ..Listing::default() }
}

fn owner() -> Component {
    Component::new("npm", "p")
}

fn lines(tree: &Tree) -> Vec<String> {
    format!("{tree:?}").lines().map(str::to_owned).collect()
}

fn bins(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, path)| ((*name).into(), (*path).into())).collect()
}

#[test]
fn a_package_is_placed_as_npm_would() {
    let listing = listing(vec![
        file("package/package.json", 0o600),
        file("package/bin/cli.js", 0o644),
        entry("package/odd", 0o777, MemberKind::Directory),
        file("package/odd/tool", 0o6777),
        file("package/odd/data", 0o666),
        entry("package/link", 0o777, MemberKind::Symlink(b"/etc/passwd".as_slice().into())),
        entry("package/hard", 0o644, MemberKind::Hardlink(path("package/package.json"))),
    ]);
    let placed = place_package(
        "p@1.0.0",
        &listing,
        &path("usr/local/lib/node_modules/@s/p"),
        &bins(&[("p", "bin/cli.js")]),
        Some(&path("usr/local/bin")),
        &owner(),
        7,
    )
    .unwrap();
    assert_eq!(
        lines(&placed.tree),
        [
            "0777 0:0 /usr/local/bin/p [npm/p] -> ../lib/node_modules/@s/p/bin/cli.js",
            "0755 0:0 /usr/local/lib/node_modules/@s/p [npm/p] dir",
            "0755 0:0 /usr/local/lib/node_modules/@s/p/bin [npm/p] dir",
            "0755 0:0 /usr/local/lib/node_modules/@s/p/bin/cli.js [npm/p] inline 18 bytes",
            "0755 0:0 /usr/local/lib/node_modules/@s/p/odd [npm/p] dir",
            "0644 0:0 /usr/local/lib/node_modules/@s/p/odd/data [npm/p] inline 16 bytes",
            "0755 0:0 /usr/local/lib/node_modules/@s/p/odd/tool [npm/p] inline 16 bytes",
            "0644 0:0 /usr/local/lib/node_modules/@s/p/package.json [npm/p] inline 20 bytes",
        ]
    );
    assert!(placed.tree.iter().all(|(_, node)| node.meta.mtime == 7));
    assert_eq!(placed.left_out, ["/link", "/hard"]);
}

#[test]
fn the_first_component_is_dropped_whatever_it_is_called() {
    let listing = listing(vec![file("react-v1/index.js", 0o644), file("stray", 0o644)]);
    let placed = place_package("p", &listing, &path("d"), &bins(&[]), None, &owner(), 0).unwrap();
    assert_eq!(
        lines(&placed.tree),
        ["0755 0:0 /d [npm/p] dir", "0644 0:0 /d/index.js [npm/p] inline 17 bytes"]
    );
}

#[test]
fn hostile_packages_are_refused() {
    let place = |data| place_package("p", &listing(data), &path("d"), &bins(&[]), None, &owner(), 0);
    assert!(matches!(place(vec![file("package/a/.wh.b", 0o644)]), Err(PlaceError::Whiteout { .. })));
    assert!(matches!(place(vec![file("package/.wh..wh..opq", 0o644)]), Err(PlaceError::Whiteout { .. })));
    assert!(matches!(
        place(vec![file("package/a", 0o644), file("other/a", 0o644)]),
        Err(PlaceError::Twice { .. })
    ));
    assert!(matches!(
        place(vec![file("package/a", 0o644), file("package/a/b", 0o644)]),
        Err(PlaceError::Twice { .. })
    ));
    let missing = place_package(
        "p",
        &listing(vec![file("package/a", 0o644)]),
        &path("d"),
        &bins(&[("x", "b")]),
        None,
        &owner(),
        0,
    );
    assert_eq!(missing.unwrap_err().to_string(), "`p` has no `b`");
}

#[test]
fn rules_take_files_and_directories() {
    let listing = listing(vec![
        file("package/vendor/t/bin/codex", 0o755),
        file("package/vendor/t/codex-resources/voice/a", 0o644),
        file("package/vendor/t/codex-resources/bwrap", 0o755),
        file("package/vendor/tx/other", 0o644),
        file("package/LICENSE", 0o600),
    ]);
    let rule =
        |from: &str, to: &str| FileRule { from: path(from), to: path(to), mode: None, drop: Vec::new() };
    let place = |rules: &[FileRule]| place_files("p@1", &listing, rules, &owner(), 0);
    let rules = [
        FileRule { drop: vec![path("codex-resources/voice")], ..rule("vendor/t", "opt/codex") },
        FileRule { mode: Some(0o444), ..rule("LICENSE", "usr/share/doc/codex/copyright") },
    ];
    assert_eq!(
        lines(&place(&rules).unwrap().tree),
        [
            "0755 0:0 /opt/codex [npm/p] dir",
            "0755 0:0 /opt/codex/bin [npm/p] dir",
            "0755 0:0 /opt/codex/bin/codex [npm/p] inline 26 bytes",
            "0755 0:0 /opt/codex/codex-resources [npm/p] dir",
            "0755 0:0 /opt/codex/codex-resources/bwrap [npm/p] inline 38 bytes",
            "0444 0:0 /usr/share/doc/codex/copyright [npm/p] inline 15 bytes",
        ]
    );
    assert_eq!(
        place(&[rule("", "all")]).unwrap().tree.iter().filter(|(_, node)| !node.is_directory()).count(),
        5
    );
    assert!(matches!(place(&[rule("vendor/none", "x")]), Err(PlaceError::NoMatch { .. })));
    let stale = FileRule { drop: vec![path("voice")], ..rule("vendor/t", "x") };
    assert!(matches!(place(&[stale]), Err(PlaceError::NoMatch { .. })));
    let mode = FileRule { mode: Some(0o755), ..rule("vendor/t", "x") };
    assert!(matches!(place(&[mode]), Err(PlaceError::ModeOfDirectory { .. })));
    assert!(matches!(
        place(&[rule("LICENSE", "x"), rule("vendor/tx/other", "x")]),
        Err(PlaceError::Conflict(_))
    ));
}

#[test]
fn links_are_relative() {
    for (from, target, expected) in
        [("usr/bin", "usr/bin/x", "x"), ("usr/local/bin", "opt/p/x", "../../../opt/p/x"), ("", "a/b", "a/b")]
    {
        assert_eq!(relative(&path(from), &path(target)), expected.as_bytes());
    }
}
