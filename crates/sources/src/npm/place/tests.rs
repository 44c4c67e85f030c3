//! Expected modes follow npm 11 (`(mode | 0666) & ~022`, set-id bits kept, what is linked 0755); targets of links follow from POSIX.

use pinfold_archive::NodeKind;
use pinfold_archive::decoded::Member;
use pinfold_archive::decoded::Shadowed;
use pinfold_archive::tree::InlineOnly;

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

/// A package whose identity is not looked at.
fn open(listing: &Listing) -> Result<Package, PlaceError> {
    let Unpacked { files, left_out, notes } = unpacked("p", listing, &InlineOnly)?;
    Ok(Package { id: "p".into(), files, bundled: Vec::new(), left_out, notes })
}

/// All of a package, pulled in by another one.
fn whole(listing: &Listing) -> Result<Placed, PlaceError> {
    let (dir, bins) = (path("d"), BTreeMap::new());
    let installed = Installed { package: open(listing)?, dir, bins, requested: false, owner: owner() };
    install(vec![installed], &path("usr/local/bin"), &InlineOnly, 0)
}

fn owner() -> Component {
    Component::new("npm", "p")
}

fn lines(tree: &Tree) -> Vec<String> {
    format!("{tree:?}").lines().map(str::to_owned).collect()
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
    let installed = Installed {
        package: open(&listing).unwrap(),
        dir: path("usr/local/lib/node_modules/@s/p"),
        bins: BTreeMap::from([("p".into(), "bin/cli.js".into())]),
        requested: true,
        owner: owner(),
    };
    let placed = install(vec![installed], &path("usr/local/bin"), &InlineOnly, 7).unwrap();
    assert_eq!(
        lines(&placed.tree),
        [
            "0777 0:0 /usr/local/bin/p [npm/p] -> ../lib/node_modules/@s/p/bin/cli.js",
            "0755 0:0 /usr/local/lib/node_modules/@s/p [npm/p] dir",
            "0755 0:0 /usr/local/lib/node_modules/@s/p/bin [npm/p] dir",
            "0755 0:0 /usr/local/lib/node_modules/@s/p/bin/cli.js [npm/p] inline 18 bytes",
            "0755 0:0 /usr/local/lib/node_modules/@s/p/odd [npm/p] dir",
            "0644 0:0 /usr/local/lib/node_modules/@s/p/odd/data [npm/p] inline 16 bytes",
            "6755 0:0 /usr/local/lib/node_modules/@s/p/odd/tool [npm/p] inline 16 bytes",
            "0644 0:0 /usr/local/lib/node_modules/@s/p/package.json [npm/p] inline 20 bytes",
        ]
    );
    assert!(placed.tree.iter().all(|(_, node)| node.meta.mtime == 7));
    assert_eq!(placed.left_out, ["/link", "/hard"]);
}

#[test]
fn the_first_component_is_dropped_whatever_it_is_called() {
    let listing = listing(vec![file("react-v1/index.js", 0o644), file("stray", 0o644)]);
    let placed = whole(&listing).unwrap();
    assert_eq!(
        lines(&placed.tree),
        ["0755 0:0 /d [npm/p] dir", "0644 0:0 /d/index.js [npm/p] inline 17 bytes"]
    );
}

#[test]
fn hostile_packages_are_refused() {
    let place = |data| whole(&listing(data));
    assert!(matches!(place(vec![file("package/a/.wh.b", 0o644)]), Err(PlaceError::Whiteout { .. })));
    assert!(matches!(place(vec![file("package/.wh..wh..opq", 0o644)]), Err(PlaceError::Whiteout { .. })));
}

/// As `tar.x({ strip: 1 })` of node-tar leaves them, which npm unpacks with.
#[test]
fn the_last_entry_of_a_name_counts() {
    let place = |data, shadowed| whole(&Listing { data, shadowed, ..Listing::default() }).unwrap();
    let named = |name: &str, text: &str| {
        entry(name, 0o644, MemberKind::File { content: Content::inline(text.as_bytes()) })
    };
    let texts = |placed: &Placed| -> Vec<String> {
        let files = placed.tree.iter().filter_map(|(path, node)| match &node.kind {
            NodeKind::File(Content::Inline(bytes)) => Some(format!("{path} {}", bytes.escape_ascii())),
            _ => None,
        });
        files.collect()
    };
    let placed = place(vec![named("package/a", "one"), named("other/a", "two")], vec![]);
    assert_eq!(texts(&placed), ["/d/a two"]);
    assert_eq!(placed.notes, ["`/a` is in `p` more than once, differently: the last one counts"]);
    let placed = place(vec![named("package/a", "one"), named("other/a", "one")], vec![]);
    assert_eq!((texts(&placed), placed.notes), (vec!["/d/a one".to_owned()], vec![]));
    // What came first stays, where one of them would have to be a directory.
    for (first, second, expected) in
        [("package/a", "package/a/b", "/d/a 1"), ("package/a/b", "other/a", "/d/a/b 1")]
    {
        let placed = place(vec![named(first, "1"), named(second, "2")], vec![]);
        assert_eq!((texts(&placed), placed.notes.len()), (vec![expected.to_owned()], 1));
    }
    // A hard link is left out, also when the archive gave its first name to something else.
    let lost = vec![Shadowed { path: path("package/l"), loss: Loss::FirstName }];
    let placed = place(vec![named("package/l", "one"), named("package/x", "two")], lost);
    assert_eq!((texts(&placed), placed.left_out), (vec!["/d/x two".to_owned()], vec!["/l".to_owned()]));
}

/// Recorded from `npm install --global` of npm 11.19.1.
#[test]
fn what_git_ignores_is_called_as_npm_calls_it() {
    let named =
        |name: &str| entry(name, 0o644, MemberKind::File { content: Content::inline(name.as_bytes()) });
    let placed = whole(&listing(vec![
        named("package/.gitignore"),
        named("package/first/.npmignore"),
        named("package/first/.gitignore"),
        named("package/last/.gitignore"),
        named("package/last/.npmignore"),
        named("package/x.gitignore"),
    ]));
    let texts = placed.unwrap().tree.into_iter().filter_map(|(path, node)| match node.kind {
        NodeKind::File(Content::Inline(bytes)) => Some(format!("{path} {}", bytes.escape_ascii())),
        _ => None,
    });
    assert_eq!(
        texts.collect::<Vec<_>>(),
        [
            "/d/.npmignore package/.gitignore",
            "/d/first/.npmignore package/first/.npmignore",
            "/d/last/.npmignore package/last/.npmignore",
            "/d/x.gitignore package/x.gitignore",
        ]
    );
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
    let place = |rules: &[FileRule]| open(&listing).and_then(|package| package.chosen(rules, &owner(), 0));
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
fn only_what_calls_itself_by_the_locked_name_is_a_package() {
    let manifest = |name: &str, text: &str| {
        entry(name, 0o644, MemberKind::File { content: Content::inline(text.as_bytes()) })
    };
    let link = |name: &str| entry(name, 0o777, MemberKind::Symlink(b"other.json".as_slice().into()));
    const GOOD: &str = r#"{"name":"@s/p","version":"1.0.0"}"#;
    const EVIL: &str = r#"{"name":"evil","version":"6.6.6"}"#;
    let locked = LockedNpm {
        name: "@s/p".into(),
        version: "1.0.0".into(),
        integrity: pinfold_base::Digest::sha256(b""),
        path: "@s/p/-/p-1.0.0.tgz".into(),
        size: None,
        published: None,
    };
    let open = |data: Vec<Member>| {
        let opened = Package::open(&locked, &listing(data), &InlineOnly);
        opened.map(drop).map_err(|error| error.to_string())
    };
    for good in [
        vec![manifest("package/package.json", GOOD)],
        vec![manifest("p-1.0.0/package.json", GOOD)],
        vec![manifest("package/sub/package.json", EVIL), manifest("package/package.json", GOOD)],
        vec![manifest("package/node_modules/q/package.json", EVIL), manifest("package/package.json", GOOD)],
        vec![manifest("package.json", EVIL), manifest("package/package.json", GOOD)],
        // The last one is what is unpacked.
        vec![manifest("other/package.json", EVIL), manifest("package/package.json", GOOD)],
        vec![manifest("package/PACKAGE.JSON", EVIL), manifest("package/package.json", GOOD)],
        vec![manifest("package/package.json", "\u{feff}{\"name\":\"@s/p\",\"version\":\"v1.0.0+linux\"}")],
    ] {
        assert_eq!(open(good), Ok(()));
    }
    let unsaid = "the tarball that is locked as `@s/p@1.0.0` does not say what it is";
    for (bad, expected) in [
        (vec![manifest("package/package.json", EVIL)], "locked as `@s/p@1.0.0` says that it is `evil@6.6.6`"),
        (vec![manifest("other/package.json", EVIL)], "says that it is `evil@6.6.6`"),
        (vec![manifest("package/package.json", r#"{"name":"p","version":"1.0.0"}"#)], "it is `p@1.0.0`"),
        (
            vec![manifest("package/package.json", r#"{"name":"@s/p","version":"1.0.1"}"#)],
            "it is `@s/p@1.0.1`",
        ),
        (
            vec![manifest("package/package.json", r#"{"name":"x\u001b[2Jy","version":"1.0.0"}"#)],
            r"it is `x\x1b[2Jy@1.0.0`",
        ),
        (
            vec![manifest("package/package.json", GOOD), manifest("other/package.json", EVIL)],
            "locked as `@s/p@1.0.0` says that it is `evil@6.6.6`",
        ),
        (vec![manifest("package/index.js", "")], unsaid),
        (vec![manifest("package.json", GOOD)], unsaid),
        (vec![manifest("package/sub/package.json", GOOD)], unsaid),
        (vec![manifest("package/Package.json", GOOD)], unsaid),
        (vec![link("package/package.json"), manifest("package/other.json", GOOD)], unsaid),
        (vec![manifest("package/package.json", "")], unsaid),
        (vec![manifest("package/package.json", &GOOD.replace("1.0.0", &" ".repeat(9 << 20)))], unsaid),
    ] {
        let error = open(bad).unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}
