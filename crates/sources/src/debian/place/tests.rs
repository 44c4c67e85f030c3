//! Whole sets of small hand-made packages.

use pinfold_archive::Content;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::NodeKind;
use pinfold_archive::decoded::Member;
use pinfold_archive::decoded::MemberKind;
use pinfold_archive::tree::InlineOnly;
use pinfold_base::Diagnose;
use pinfold_base::ImagePath;
use pinfold_base::Kind;

use super::*;
use crate::debian::locked::Indexed;

/// A package from a few words.
pub(super) struct Made {
    locked: LockedDeb,
    listing: Listing,
}

pub(super) fn entry(name: &str, kind: MemberKind, mode: u32) -> Member {
    Member {
        path: ImagePath::new(name).unwrap(),
        raw_name: name.as_bytes().into(),
        kind,
        meta: Metadata::root(mode, 5_000),
        uname: b"root"[..].into(),
        gname: b"root"[..].into(),
    }
}

pub(super) fn file(name: &str, text: &str) -> Member {
    entry(name, MemberKind::File { content: Content::inline(text.as_bytes()) }, 0o644)
}

pub(super) fn made(name: &str, fields: &str, control: &[(&str, &str)], data: Vec<Member>) -> Made {
    let text = format!("Package: {name}\nVersion: 1.0-1\nArchitecture: amd64\n{fields}Description: x\n");
    let mut listing = Listing { control: vec![file("./control", &text)], data, ..Listing::default() };
    listing.control.extend(control.iter().map(|(name, text)| file(name, text)));
    let locked = LockedDeb {
        name: name.into(),
        version: "1.0-1".into(),
        arch: "amd64".into(),
        source: format!("src-{name}"),
        sha256: Digest::sha256(name.as_bytes()),
        size: 1,
        path: format!("pool/{name}.deb"),
        suite: "bookworm".into(),
        archive: None,
        manual: name != "auto",
        indexed: Indexed::default(),
    };
    Made { locked, listing }
}

pub(super) fn options() -> Options {
    Options {
        arch: Arch::Amd64,
        epoch: 1_000,
        slim: Slim::Full,
        database: Database::Dpkg,
        answers: BTreeMap::new(),
        debconf: BTreeMap::new(),
        extra_certificates: Vec::new(),
        accounts: Vec::new(),
        below: None,
    }
}

pub(super) fn placed(made: &[Made], options: &Options) -> Result<Placed, PlaceError> {
    let packages: Vec<Package<'_>> = made
        .iter()
        .map(|made| Package { locked: &made.locked, listing: Arc::new(made.listing.clone()) })
        .collect();
    place(&packages, options, &InlineOnly)
}

pub(super) fn text(tree: &Tree, path: &str) -> String {
    let content = tree.content(&ImagePath::new(path).unwrap()).unwrap_or_else(|| panic!("no file {path}"));
    String::from_utf8(InlineOnly.read(content, 1 << 20).unwrap()).unwrap()
}

#[test]
fn usr_is_merged_and_lists_keep_the_shipped_names() {
    let data = vec![
        entry("./", MemberKind::Directory, 0o755),
        entry("./bin", MemberKind::Directory, 0o755),
        file("./bin/tool", "x"),
        entry("./bin/tool2", MemberKind::Hardlink(ImagePath::new("bin/tool").unwrap()), 0o644),
        entry("./lib64/ld.so", MemberKind::Symlink(b"../lib/ld.so"[..].into()), 0o777),
        file("./var/run/x", ""),
    ];
    let tree = placed(&[made("tool", "", &[], data)], &options()).unwrap().tree;
    let kind = |path: &str| tree.get(&ImagePath::new(path).unwrap()).map(|node| node.kind.clone());
    assert_eq!(kind("bin"), Some(NodeKind::Symlink(b"usr/bin"[..].into())));
    assert_eq!(kind("lib64"), Some(NodeKind::Symlink(b"usr/lib64"[..].into())));
    assert_eq!(kind("lib32"), None);
    assert_eq!(kind("usr/bin/tool2"), Some(NodeKind::Hardlink(ImagePath::new("usr/bin/tool").unwrap())));
    assert_eq!(kind("usr/lib64/ld.so"), Some(NodeKind::Symlink(b"../lib/ld.so"[..].into())));
    assert_eq!(text(&tree, "run/x"), "");
    let list = text(&tree, "var/lib/dpkg/info/tool.list");
    assert_eq!(list, "/.\n/bin\n/bin/tool\n/bin/tool2\n/lib64/ld.so\n/var/run/x\n");
    let node = tree.get(&ImagePath::new("usr/bin/tool").unwrap()).unwrap();
    assert_eq!((node.owner.as_str(), node.meta.mtime), ("debian/src-tool", 1_000));
}

// The order of fields is dpkg's; the sum is md5sum's of "hello\n".
#[test]
fn status_is_what_dpkg_writes() {
    let fields = "Homepage: h\nMulti-Arch: same\nSection: misc \nPriority: optional\n";
    let control =
        [("conffiles", "/etc/x\nremove-on-upgrade /etc/y\n"), ("triggers", "interest-noawait /usr/x # y\n")];
    let set =
        [made("b", fields, &control, vec![file("etc/x", "hello\n")]), made("auto", "", &[], Vec::new())];
    let tree = placed(&set, &options()).unwrap().tree;
    assert_eq!(
        text(&tree, "var/lib/dpkg/status"),
        "Package: auto\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.0-1\nDescription: x\n\n\
         Package: b\nStatus: install ok installed\nPriority: optional\nSection: misc \nArchitecture: amd64\n\
         Multi-Arch: same\nVersion: 1.0-1\nConffiles:\n /etc/x b1946ac92492d2347c6235b4d2611184\n \
         /etc/y newconffile remove-on-upgrade\nDescription: x\nHomepage: h\n\n"
    );
    assert_eq!(text(&tree, "var/lib/dpkg/info/b:amd64.list"), "/etc/x\n");
    assert_eq!(text(&tree, "var/lib/dpkg/info/b:amd64.triggers"), control[1].1);
    assert_eq!(text(&tree, "var/lib/dpkg/triggers/File"), "/usr/x b:amd64/noawait\n");
    assert_eq!(
        text(&tree, "var/lib/apt/extended_states"),
        "Package: auto\nArchitecture: amd64\nAuto-Installed: 1\n\n"
    );
    let distroless = placed(&set, &Options { database: Database::StatusD, ..options() }).unwrap().tree;
    assert!(text(&distroless, "var/lib/dpkg/status.d/b").starts_with("Package: b\nVersion: 1.0-1\n"));
    assert!(!distroless.contains(&ImagePath::new("var/lib/dpkg/status").unwrap()));
}

#[test]
fn the_order_of_packages_does_not_matter() {
    let dir = || entry("usr/share/x", MemberKind::Directory, 0o755);
    let mut set = [
        made("a", "", &[], vec![dir(), file("usr/share/x/a", "a"), file("usr/share/same", "s")]),
        made(
            "b",
            "",
            &[],
            vec![entry("usr/share/x", MemberKind::Directory, 0o700), file("usr/share/x/b", "s")],
        ),
        made("base-files", "", &[], vec![dir()]),
    ];
    let first = placed(&set, &options()).unwrap();
    set.reverse();
    let second = placed(&set, &options()).unwrap();
    assert_eq!(first.tree, second.tree);
    assert_eq!(first.ledger, second.ledger);
}

#[test]
fn two_packages_at_one_path_must_declare_it() {
    let set = |fields: &str, text: &str| {
        [made("a", "", &[], vec![file("bin/x", "1")]), made("b", fields, &[], vec![file("usr/bin/x", text)])]
    };
    let error = placed(&set("", "2"), &options()).unwrap_err();
    assert!(
        matches!(&error, PlaceError::Overwrite { first, second, .. } if first == "a" && second == "b"),
        "{error}"
    );
    assert_eq!(error.kind(), Kind::Integrity);
    assert!(placed(&set("", "1"), &options()).is_ok());
    assert!(placed(&set("Replaces: a (<< 1.0)\n", "2"), &options()).is_err());
    let tree = placed(&set("Replaces: c, a (<< 2)\n", "2"), &options()).unwrap().tree;
    assert_eq!(text(&tree, "usr/bin/x"), "2");
    assert_eq!(text(&tree, "var/lib/dpkg/info/a.list"), "");
    assert_eq!(text(&tree, "var/lib/dpkg/info/b.list"), "/usr/bin/x\n");
    // The other way round: the package that comes first in the alphabet replaces the second.
    let set = [
        made("a", "Replaces: b\n", &[], vec![file("bin/x", "1")]),
        made("b", "", &[], vec![file("usr/bin/x", "2")]),
    ];
    assert_eq!(text(&placed(&set, &options()).unwrap().tree, "bin/x"), "1");
}

#[test]
fn unknown_scripts_stop_and_can_be_answered() {
    let set = [made("x", "", &[("postinst", "#!/bin/sh\nset -e\nmkdir --odd /x\n")], Vec::new())];
    let error = placed(&set, &options()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "package `x`: postinst line 3 is not understood: `mkdir --odd /x`: the option `--odd` is not known"
    );
    assert_eq!(error.kind(), Kind::Refused);
    let quoted = [made("libx2.0-0", "", &[("postinst", "#!/bin/sh\nmkdir --odd /x\n")], Vec::new())];
    let block = placed(&quoted, &options()).unwrap_err().block();
    let block: Vec<String> = block.iter().map(ToString::to_string).collect();
    assert_eq!(block, ["[scripts]", "\"libx2.0-0\" = \"skip: REASON\""], "a dot is no letter of a bare key");
    let mut answered = options();
    answered.answers.insert("x".into(), Answer::Skip { reason: "no devices here".into() });
    let ledger = placed(&set, &answered).unwrap().ledger;
    assert_eq!(
        (ledger[0].class, ledger[0].what.as_slice()),
        (ScriptClass::Skipped, &["no devices here".to_owned()][..])
    );
    let json = serde_json::to_string(&ledger).unwrap();
    assert!(json.starts_with("[{\"package\":\"x\",\"script\":\"postinst\",\"sha256\":\"sha256:"), "{json}");
    assert_eq!(serde_json::from_str::<Vec<LedgerEntry>>(&json).unwrap(), ledger);
}

#[test]
fn one_script_of_a_package_is_skipped_and_the_others_are_evaluated() {
    let scripts = [("preinst", "#!/bin/sh\nmkdir /made\n"), ("postinst", "#!/bin/sh\nmkdir --odd /x\n")];
    let set = [made("x", "", &scripts, Vec::new())];
    let mut answered = options();
    let why = [("postinst".to_owned(), "no need".to_owned())];
    answered.answers.insert("x".into(), Answer::Scripts(BTreeMap::from(why.clone())));
    let found = placed(&set, &answered).unwrap();
    assert!(found.tree.contains(&ImagePath::new("made").unwrap()));
    let skipped = |entry: &&LedgerEntry| entry.class == ScriptClass::Skipped;
    let skipped: Vec<_> =
        found.ledger.iter().filter(skipped).map(|entry| (&*entry.script, &entry.what)).collect();
    assert_eq!(skipped, [("postinst", &vec!["no need".to_owned()])]);
    // Another script's name answers nothing here.
    let other = [("preinst".to_owned(), "no need".to_owned())];
    answered.answers.insert("x".into(), Answer::Scripts(BTreeMap::from(other)));
    assert_eq!(placed(&set, &answered).unwrap_err().kind(), Kind::Refused);
}

#[test]
fn answers_of_the_manifest_reach_scripts_and_count_as_seen() {
    let postinst = "#!/bin/sh\nset -e\n. /usr/share/debconf/confmodule\ndb_get x/zone\necho \"$RET\" > /zone\n\
        db_fget x/zone seen\necho \"$RET\" >> /zone\ndb_fget x/other seen\necho \"$RET\" >> /zone\n";
    let templates = "Template: x/zone\nType: select\nChoices: Berlin, Oslo\nDefault: Oslo\n\nTemplate: x/other\nType: string\n";
    let set = [made("x", "", &[("postinst", postinst), ("templates", templates)], Vec::new())];
    let mut answered = options();
    let answer = |text: &str| DebconfAnswer::Text(text.to_owned());
    let zone = |options: &Options| text(&placed(&set, options).unwrap().tree, "zone");
    assert_eq!(zone(&answered), "Oslo\nfalse\nfalse\n");
    answered.debconf.insert("x/zone".into(), answer("Berlin"));
    assert_eq!(zone(&answered), "Berlin\ntrue\nfalse\n");
    for (question, value, error, hint) in [
        (
            "x/zone",
            "Berlim",
            "`Berlim` is no answer to `x/zone`, which `[debian.debconf]` answers",
            "did you mean `Berlin`?",
        ),
        (
            "x/zones",
            "Berlin",
            "no package of the image asks `x/zones`, which `[debian.debconf]` answers",
            "did you mean `x/zone`?",
        ),
        (
            "elsewhere/entirely",
            "Berlin",
            "no package of the image asks `elsewhere/entirely`, which `[debian.debconf]` answers",
            "leave it out, or add the package that asks it to `packages`",
        ),
    ] {
        let odd = Options { debconf: BTreeMap::from([(question.into(), answer(value))]), ..options() };
        let found = placed(&set, &odd).unwrap_err();
        assert_eq!((found.to_string().as_str(), found.hint().as_deref()), (error, Some(hint)));
        assert_eq!(found.kind(), Kind::Usage);
    }
}

#[test]
fn a_slim_tree_has_licences_and_its_rules() {
    let man = ImagePath::new("usr/share/man/man1/x.1").unwrap();
    let data = vec![
        file("usr/share/doc/dpkg/copyright", "c"),
        file("usr/share/doc/dpkg/README", "r"),
        file("usr/share/man/man1/x.1", "m"),
        entry("usr/share/x.1", MemberKind::Hardlink(man), 0o644),
    ];
    let slim = Options { slim: Slim::Slim, ..options() };
    let tree = placed(&[made("dpkg", "", &[], data)], &slim).unwrap().tree;
    let documents: Vec<String> = tree
        .iter()
        .map(|(path, _)| path.to_string())
        .filter(|path| path.contains("/doc/") || path.contains("/man"))
        .collect();
    assert_eq!(documents, ["/usr/share/doc/dpkg", "/usr/share/doc/dpkg/copyright"]);
    // The file was left out, so its bytes are where the link is.
    assert_eq!(text(&tree, "usr/share/x.1"), "m");
    assert!(text(&tree, "etc/dpkg/dpkg.cfg.d/docker").contains("\npath-exclude /usr/share/man/*\n"));
    // dpkg lists what it left out.
    assert!(text(&tree, "var/lib/dpkg/info/dpkg.list").contains("/usr/share/man/man1/x.1\n"));
}

#[test]
fn users_have_homes() {
    let user = accounts::NewUser {
        name: "me".into(),
        uid: 1000,
        gid: 1000,
        gecos: String::new(),
        home: ImagePath::new("home/me").unwrap(),
        home_mode: 0o750,
        shell: "/bin/sh".into(),
    };
    let tree = placed(&[made("x", "", &[], Vec::new())], &Options { accounts: vec![user], ..options() })
        .unwrap()
        .tree;
    let home = &tree.get(&ImagePath::new("home/me").unwrap()).unwrap().meta;
    assert_eq!((home.mode, home.uid, home.gid), (0o750, 1000, 1000));
    assert_eq!(tree.get(&ImagePath::new("home").unwrap()).unwrap().meta.uid, 0);
    assert!(text(&tree, "etc/passwd").ends_with("me:*:1000:1000::/home/me:/bin/sh\n"));
}

#[test]
fn packages_that_lie_or_break_are_refused() {
    let error = |made: Made| placed(&[made], &options()).unwrap_err().to_string();
    let mut other = made("x", "", &[], Vec::new());
    other.locked.version = "2".into();
    assert_eq!(error(other), "package `x` 2: the archive holds `x 1.0-1 amd64`");
    let mut none = made("x", "", &[], Vec::new());
    none.listing.control.clear();
    assert_eq!(error(none), "package `x` 1.0-1: the archive holds `no control file`");
    for (member, text, what) in [
        ("conffiles", "etc/x\n", "`conffiles` line 1: the path does not begin with a slash"),
        ("conffiles", "/etc/gone\n", "`conffiles` line 1: the package has no such file"),
        (
            "conffiles",
            "forget /etc/x\n",
            "`conffiles` line 1: it is neither a path nor `remove-on-upgrade` and a path",
        ),
        ("triggers", "\ninterest ../x\n", "`triggers` line 2: it is no name of a trigger"),
        ("triggers", "await x\n", "`triggers` line 1: the directive is not known"),
        ("triggers", "interest x y\n", "`triggers` line 1: it is not a directive and a name"),
    ] {
        assert_eq!(error(made("x", "", &[(member, text)], Vec::new())), format!("package `x`: {what}"));
    }
    let dangling = entry("usr/x", MemberKind::Hardlink(ImagePath::new("usr/y").unwrap()), 0o644);
    assert!(error(made("x", "", &[], vec![dangling])).contains("hard link to `/usr/y`"));
    let under_a_file = vec![file("usr/x", ""), file("usr/x/y", "")];
    assert!(error(made("x", "", &[], under_a_file)).contains("/usr/x"));
    let twice = [made("x", "", &[], Vec::new()), made("x", "", &[], Vec::new())];
    assert_eq!(placed(&twice, &options()).unwrap_err().to_string(), "package `x` is there twice");
}

#[test]
fn who_may_overwrite_whom_is_decided_as_by_dpkg() {
    // `dpkg --root=R -i a.deb b.deb`, dpkg 1.21.22: both ship /usr/x, `b` comes second and has these fields.
    for (fields, may) in [
        ("", false),
        ("Replaces: a\n", true),
        ("Replaces: a (<< 2)\n", true),
        ("Replaces: a (<< 1)\n", false),
        ("Replaces: a (= 1.0-1)\n", true),
        ("Replaces: a:any\n", true),
        ("Replaces: x, a (>= 1)\n", true),
        ("Replaces: a (<= 1.0-1)\nBreaks: a (<= 1)\n", true),
        ("Replaces: v\n", false),
        ("Provides: a\n", false),
        ("Conflicts: a (<< 1)\n", false),
    ] {
        let set = [
            made("a", "Provides: v\n", &[], vec![file("usr/x", "one"), file("usr/a", "")]),
            made("b", fields, &[], vec![file("usr/x", "two")]),
        ];
        match placed(&set, &options()) {
            Ok(found) => {
                assert!(may, "{fields}");
                assert_eq!(text(&found.tree, "usr/x"), "two");
                assert_eq!(text(&found.tree, "var/lib/dpkg/info/a.list"), "/usr/a\n");
                assert_eq!(text(&found.tree, "var/lib/dpkg/info/b.list"), "/usr/x\n");
            }
            Err(error) => assert!(!may && matches!(error, PlaceError::Overwrite { .. }), "{fields}: {error}"),
        }
    }
}

#[test]
fn a_whole_stanza_is_that_of_dpkg() {
    // The package was built with dpkg-deb and installed with `dpkg --root=R -i`, dpkg 1.21.22; this is its `status`.
    const WRITTEN: &str = "Package: p\nStatus: install ok installed\nPriority: optional\nSection: misc\nInstalled-Size: 5\n\
        Maintainer: T <t@example.org>\nArchitecture: amd64\nMulti-Arch: foreign\nVersion: 1.0-1\nReplaces: r2\n\
        Provides: v1\nDepends: dash\nRecommends: r1\nSuggests: s1\nBreaks: b1\nConflicts: c1\nEnhances: e1\nConffiles:\n \
        /etc/x/one b1946ac92492d2347c6235b4d2611184\n /etc/x/with space c193497a1a06b2c72230e6146ff47080\n \
        /etc/empty d41d8cd98f00b204e9800998ecf8427e\nDescription: x\nHomepage: https://h.example/\nBuilt-Using: bu (= 1)\n\
        X-Odd: odd\n\n";
    let fields = "Maintainer: T <t@example.org>\nInstalled-Size: 5\nSection: misc\nPriority: optional\n\
        Homepage: https://h.example/\nDepends: dash\nRecommends: r1\nSuggests: s1\nConflicts: c1\nReplaces: r2\n\
        Provides: v1\nBreaks: b1\nEnhances: e1\nBuilt-Using: bu (= 1)\nX-Odd: odd\nMulti-Arch: foreign\n";
    let control = [("conffiles", "/etc/x/one\n/etc/x/with space\n/etc/empty\n")];
    let data = vec![file("etc/x/one", "hello\n"), file("etc/x/with space", "two\n"), file("etc/empty", "")];
    let set = [made("dash", "", &[], Vec::new()), made("p", fields, &control, data)];
    let Placed { tree, conffiles, .. } = placed(&set, &options()).unwrap();
    let status = text(&tree, "var/lib/dpkg/status");
    assert_eq!(status.split_inclusive("\n\n").nth(1), Some(WRITTEN));
    assert_eq!(text(&tree, "var/lib/dpkg/info/p.conffiles"), control[0].1);
    // What gives way to the user's own entries.
    let found: Vec<_> = conffiles.iter().map(ToString::to_string).collect();
    assert_eq!(found, ["/etc/empty", "/etc/x/one", "/etc/x/with space"]);
}

/// Recorded: `dpkg --root=R -i` of bookworm of the same four packages, in this order, then `find R/usr`.
#[test]
fn a_directory_over_a_link_goes_through_it_and_a_link_over_a_directory_is_left_out() {
    let dir = |name: &str| entry(name, MemberKind::Directory, 0o755);
    let link = |name: &str, to: &str| entry(name, MemberKind::Symlink(to.as_bytes().into()), 0o777);
    let hard = |name: &str, to: &str| entry(name, MemberKind::Hardlink(ImagePath::new(to).unwrap()), 0o644);
    let share = |more: Vec<Member>| [vec![dir("usr"), dir("usr/share")], more].concat();
    let first = || {
        let data =
            vec![dir("usr/share/real"), file("usr/share/real/one", "one"), link("usr/share/xkb", "real")];
        made("xa", "", &[], share(data))
    };
    let packages = [
        first(),
        made(
            "xb",
            "",
            &[],
            share(vec![
                dir("usr/share/xkb"),
                file("usr/share/xkb/again", "two"),
                hard("usr/share/xkb/two", "usr/share/xkb/again"),
            ]),
        ),
        made("ya", "", &[], share(vec![dir("usr/share/q"), file("usr/share/q/d", "d")])),
        made(
            "yz",
            "",
            &[],
            share(vec![link("usr/share/q", "qreal"), dir("usr/share/qreal"), file("usr/share/qreal/r", "r")]),
        ),
    ];
    let mut options = options();
    options.database = Database::StatusD;
    let tree = placed(&packages, &options).unwrap().tree;
    let line = |(path, node): (&ImagePath, &Node)| match &node.kind {
        NodeKind::Directory => format!("{path} d"),
        NodeKind::File(_) => format!("{path} f"),
        NodeKind::Hardlink(target) => format!("{path} = {target}"),
        NodeKind::Symlink(target) => format!("{path} l {}", target.escape_ascii()),
    };
    let top = ImagePath::new("usr/share").unwrap();
    let found: Vec<String> = tree.below(&top).map(line).filter(|line| !line.contains("doc")).collect();
    assert_eq!(
        found,
        [
            "/usr/share d",
            "/usr/share/q d",
            "/usr/share/q/d f",
            "/usr/share/qreal d",
            "/usr/share/qreal/r f",
            "/usr/share/real d",
            "/usr/share/real/again f",
            "/usr/share/real/one f",
            "/usr/share/real/two = /usr/share/real/again",
            "/usr/share/xkb l real",
        ]
    );
    // Files that differ are refused there too, and both packages named.
    let other = made("xc", "", &[], share(vec![dir("usr/share/xkb"), file("usr/share/xkb/one", "another")]));
    let error = placed(&[first(), other], &options).unwrap_err();
    assert!(
        matches!(&error, PlaceError::Overwrite { first, second, .. } if first == "xa" && second == "xc"),
        "{error}"
    );
}

/// What dpkg 1.21 leaves of such packages: the diverter has the path, the other's file is where it said.
#[test]
fn a_diverted_file_lands_where_the_diversion_says() {
    let divert =
        "#!/bin/sh\nset -e\ndpkg-divert --package b --add --rename --divert /usr/bin/x.a /usr/bin/x\n";
    for other in ["a", "c"] {
        let needs = if other == "a" { "Depends: a\n" } else { "" };
        let set = [
            made(
                other,
                if other == "c" { "Depends: b\n" } else { "" },
                &[],
                vec![file("usr/bin/x", "theirs")],
            ),
            made("b", needs, &[("preinst", divert)], vec![file("usr/bin/x", "mine")]),
        ];
        let tree = placed(&set, &options()).unwrap().tree;
        assert_eq!(text(&tree, "usr/bin/x"), "mine", "{other}");
        assert_eq!(text(&tree, "usr/bin/x.a"), "theirs", "{other}");
        assert_eq!(text(&tree, "var/lib/dpkg/diversions"), "/usr/bin/x\n/usr/bin/x.a\nb\n");
        assert_eq!(text(&tree, &format!("var/lib/dpkg/info/{other}.list")), "/usr/bin/x\n");
    }
}

#[test]
fn an_override_holds_for_files_that_come_later_and_is_in_the_database() {
    let script = "#!/bin/sh\ndpkg-statoverride --add root root 4750 /usr/bin/x\n";
    let set = [made("a", "", &[("preinst", script)], vec![file("usr/bin/x", "")])];
    let tree = placed(&set, &options()).unwrap().tree;
    assert_eq!(tree.get(&ImagePath::new("usr/bin/x").unwrap()).unwrap().meta.mode, 0o4750);
    assert_eq!(text(&tree, "var/lib/dpkg/statoverride"), "root root 4750 /usr/bin/x\n");
}

#[test]
fn a_postinst_sees_what_it_depends_on_configured() {
    let asks =
        "#!/bin/sh\nset -e\ndpkg-query -W -f '${Package} ${Status}\\n' a z >/state\ncat /made >>/state\n";
    let set = [
        made("a", "Depends: z\n", &[("postinst", asks)], Vec::new()),
        made("z", "", &[("postinst", "#!/bin/sh\necho by z >/made\n")], Vec::new()),
    ];
    let tree = placed(&set, &options()).unwrap().tree;
    assert_eq!(text(&tree, "state"), "a install ok unpacked\nz install ok installed\nby z\n");
}

/// A package whose `postinst` says how it is called, and then does this.
fn telling(name: &str, fields: &str, triggers: &str, then: &str) -> Made {
    let script = format!("#!/bin/sh\necho \"$DPKG_MAINTSCRIPT_PACKAGE $*\" >>/seen\n{then}\n");
    let control = [("triggers", triggers), ("postinst", script.as_str())];
    made(name, fields, &control, vec![file(&format!("usr/share/{name}/y/z"), "")])
}

/// Recorded: `dpkg --root=R --unpack` of such packages, then `--configure --pending`, dpkg 1.21.22. Where it stopped because of
/// a circle, its last words name the package that it gave up.
#[test]
fn triggers_are_processed_when_and_as_often_as_dpkg_does_it() {
    let looks = |what: &str| format!("[ $1 = configure ] || dpkg-trigger {what}");
    let chain = |first: (&str, &str), second: (&str, &str), third: (&str, &str)| {
        vec![
            telling("aa", "", first.0, first.1),
            telling("bb", "Depends: aa\n", second.0, second.1),
            telling(third.0, "Depends: bb\n", "", third.1),
        ]
    };
    let asks = "dpkg-trigger one";
    for (set, seen, given_up) in [
        (
            vec![
                telling("aa", "", "interest one\ninterest-noawait two\ninterest /usr/share/cc\n", ""),
                telling("bb", "Depends: aa\n", "", "dpkg-trigger one; dpkg-trigger two; dpkg-trigger one"),
                telling("cc", "Depends: bb\n", "activate-noawait two\n", ""),
            ],
            "aa configure ;bb configure ;aa triggered two one;cc configure ;aa triggered two;",
            &[][..],
        ),
        // What needs a package that awaits something comes behind that, else triggers come last.
        (
            chain(("interest one\n", ""), ("", asks), ("dd", "")),
            "aa configure ;bb configure ;aa triggered one;dd configure ;",
            &[],
        ),
        (
            chain(("interest-noawait one\n", ""), ("", asks), ("dd", "")),
            "aa configure ;bb configure ;dd configure ;aa triggered one;",
            &[],
        ),
        (
            chain(("interest one\n", ""), ("", "dpkg-trigger --no-await one"), ("dd", "")),
            "aa configure ;bb configure ;dd configure ;aa triggered one;",
            &[],
        ),
        (
            chain(("interest one\n", ""), ("activate one\n", ""), ("dd", "")),
            "aa configure ;bb configure ;aa triggered one;dd configure ;",
            &[],
        ),
        // A package can wake itself, when it is configured and when it is triggered, and may not stop.
        (
            chain(
                ("interest one\ninterest own\n", "case $* in *one*) dpkg-trigger own;; esac"),
                ("", asks),
                ("cc", ""),
            ),
            "aa configure ;bb configure ;aa triggered one;cc configure ;aa triggered own;",
            &[],
        ),
        (
            chain(("interest own\n", "[ $1 = triggered ] || dpkg-trigger own"), ("", ""), ("dd", "")),
            "aa configure ;aa triggered own;bb configure ;dd configure ;",
            &[],
        ),
        (
            chain(("interest one\ninterest own\n", &looks("own")), ("", asks), ("cc", "")),
            "aa configure ;bb configure ;aa triggered one;cc configure ;aa triggered own;",
            &["aa own"],
        ),
        (
            vec![
                telling("aa", "", "interest one\n", &looks("two")),
                telling("bb", "", "interest two\n", &looks("one")),
                telling("cc", "Depends: aa, bb\n", "", asks),
            ],
            "bb configure ;aa configure ;cc configure ;aa triggered one;bb triggered two;aa triggered one;",
            &["bb two"],
        ),
        (
            vec![
                telling("aa", "", "interest one\n", &looks("two")),
                telling("bb", "", "interest two\n", &looks("three")),
                telling("ee", "", "interest three\n", &looks("--no-await one")),
                telling("cc", "Depends: aa, bb, ee\n", "", "dpkg-trigger one; dpkg-trigger two"),
            ],
            "bb configure ;aa configure ;ee configure ;cc configure ;aa triggered one;bb triggered two;ee triggered three;\
             aa triggered one;bb triggered two;",
            &["ee three"],
        ),
    ] {
        let found = placed(&set, &options()).unwrap();
        assert_eq!(text(&found.tree, "seen").replace('\n', ";"), seen);
        let lost = found.ledger.iter().flat_map(|entry| {
            entry.what.iter().filter_map(|what| {
                let names = what.strip_prefix("not done: triggered by ")?.split_once(':')?.0;
                Some(format!("{} {names}", entry.package))
            })
        });
        let lost: BTreeSet<String> = lost.collect();
        assert_eq!(lost, given_up.iter().map(|&one| one.to_owned()).collect(), "{seen}");
    }
}

#[test]
fn what_fails_for_a_trigger_or_a_question_leaves_nothing_half_done() {
    let triggered =
        "#!/bin/sh\nset -e\n[ \"$1\" = configure ] || { echo x >/half; frobnicate --odd; false; }\n";
    // What fails by what is half done does not stop the image.
    let asks =
        "#!/bin/sh\n. /usr/share/debconf/confmodule\n[ ! -e /half ] || frobnicate --odd\necho $1 >/asked\n";
    let config = "#!/bin/sh\necho half >/half\nmkdir --odd /x\n";
    let set = [
        made("a", "", &[("triggers", "interest look\n"), ("postinst", triggered)], Vec::new()),
        made("b", "Depends: a\n", &[("triggers", "activate look\n")], Vec::new()),
        made(
            "c",
            "",
            &[("postinst", asks), ("config", config)],
            vec![file("usr/share/debconf/confmodule", "")],
        ),
    ];
    let found = placed(&set, &options()).unwrap();
    assert!(!found.tree.contains(&ImagePath::new("half").unwrap()));
    assert_eq!(text(&found.tree, "asked"), "configure\n");
    let what: Vec<&str> = found.ledger.iter().flat_map(|entry| &entry.what).map(String::as_str).collect();
    assert!(what.iter().any(|what| what.starts_with("not done: triggered by look: ")), "{what:?}");
    assert!(what.contains(&"not done: questions of debconf; their defaults stand"), "{what:?}");
}

#[test]
fn the_ledger_of_an_older_lock_is_read() {
    let entry = |class: &str| {
        format!(
            "{{\"package\":\"x\",\"script\":\"postinst\",\"sha256\":\"{}\",\"class\":\"{class}\",\"warning\":\"w\"}}",
            Digest::sha256(b"")
        )
    };
    for (old, new) in [
        ("matched-snippets", ScriptClass::Evaluated),
        ("recipe", ScriptClass::Evaluated),
        ("skipped-by-manifest", ScriptClass::Skipped),
        ("nothing", ScriptClass::Nothing),
    ] {
        let read: LedgerEntry = serde_json::from_str(&entry(old)).unwrap();
        assert_eq!(read.class, new);
        assert!(!serde_json::to_string(&read).unwrap().contains("warning"));
    }
}

/// Twenty packages, each with a script that does a little.
fn twenty(script: &str) -> Vec<Made> {
    (0..20).map(|number| made(&format!("p{number:02}"), "", &[("postinst", script)], Vec::new())).collect()
}

fn placed_within(made: &[Made], budget: Budget) -> Result<Placed, PlaceError> {
    let packages: Vec<Package<'_>> = made
        .iter()
        .map(|made| Package { locked: &made.locked, listing: Arc::new(made.listing.clone()) })
        .collect();
    place_within(&packages, &options(), &InlineOnly, budget)
}

#[test]
fn scripts_that_are_each_within_bounds_are_not_together() {
    const WORKS: &str =
        "#!/bin/sh\nfor i in 1 2 3 4 5 6 7 8 9; do for j in 1 2 3 4 5 6 7 8 9; do : $i$j; done; done\n";
    const KEEPS: &str = "#!/bin/sh\nfor i in 1 2 3 4 5 6 7 8 9; do printf '%1000s' x; done >/made-by-$DPKG_MAINTSCRIPT_PACKAGE\n";
    let budget = |steps, bytes| Budget { steps, bytes };
    for (script, little, much, what) in [
        (WORKS, budget(2_000_000, 1 << 20), budget(20_000_000, 1 << 20), Exhausted::Steps),
        (KEEPS, budget(1 << 30, 100_000), budget(1 << 30, 300_000), Exhausted::Bytes),
    ] {
        assert!(placed_within(&twenty(script), much).is_ok(), "the control");
        let error = placed_within(&twenty(script), little).unwrap_err();
        let PlaceError::Budget { package, what: found, .. } = &error else { panic!("{error}") };
        assert!(*found == what && package.starts_with('p') && error.kind() == Kind::Refused, "{error}");
    }
    // Who used most is told, whoever comes last.
    let mut set = twenty("#!/bin/sh\n:\n");
    set.push(made("glutton", "", &[("preinst", &WORKS.repeat(4))], Vec::new()));
    let error = placed_within(&set, budget(1_200_000, 1 << 20)).unwrap_err();
    assert!(error.to_string().contains("those of `glutton` use most"), "{error}");
    assert_eq!(error.block()[1].to_string(), "glutton = \"skip: REASON\"");
}

#[test]
fn what_is_removed_or_written_again_is_kept_once() {
    let script = "#!/bin/sh\nset -e\nfor i in 1 2 3 4 5 6 7 8 9; do\nprintf '%1000s' x >/f; cp /f /g; rm /g; mkdir /d; rmdir /d\n\
                  ln /f /h; rm /f; mv /h /f\ndone\n";
    let set = [made("p", "", &[("postinst", script)], Vec::new())];
    placed_within(&set, Budget { steps: 1 << 30, bytes: 12_000 }).unwrap();
}

#[test]
fn each_new_attempt_draws_on_the_same_steps() {
    // Where it fails when it is triggered the image is begun anew without that.
    let set = |last: &str| {
        let works = format!(
            "#!/bin/sh\nfor i in 1 2 3 4 5 6 7 8 9; do eval ': $i'; done\n[ $1 = configure ] || {last}\n"
        );
        [
            made("a", "", &[("triggers", "interest look\n"), ("postinst", &works)], Vec::new()),
            made("b", "Depends: a\n", &[("triggers", "activate look\n")], Vec::new()),
        ]
    };
    let needed = |set: &[Made]| {
        let (mut little, mut much) = (0, 1 << 30);
        while much - little > 1 {
            let steps = little + (much - little) / 2;
            let enough = placed_within(set, Budget { steps, bytes: 1 << 20 }).is_ok();
            (little, much) = if enough { (little, steps) } else { (steps, much) };
        }
        much
    };
    let (once, anew) = (needed(&set("mkdir /x")), needed(&set("mkdir --odd /x")));
    assert!(anew > once * 5 / 4, "{once} units, and {anew} where it is begun anew");
}

/// Recorded with dpkg 1.21.22: `--force-confold -i` of such a package alone.
#[test]
fn what_a_preinst_made_is_overwritten_but_for_a_conffile_which_is_kept() {
    let preinst = "#!/bin/sh\nset -e\nmkdir -p /etc\nfor i in kept same plain; do echo mine >/etc/$i; done\n";
    let control = [("conffiles", "/etc/kept\n/etc/same\n/etc/new\n"), ("preinst", preinst)];
    let data = vec![
        entry("etc", MemberKind::Directory, 0o755),
        file("etc/kept", "shipped\n"),
        file("etc/same", "mine\n"),
        file("etc/new", "shipped\n"),
        file("etc/plain", "shipped\n"),
    ];
    let tree = placed(&[made("pp", "", &control, data)], &options()).unwrap().tree;
    for (path, expected) in [
        ("etc/kept", "mine\n"),
        ("etc/kept.dpkg-dist", "shipped\n"),
        ("etc/same", "mine\n"),
        ("etc/new", "shipped\n"),
        ("etc/plain", "shipped\n"),
    ] {
        assert_eq!(text(&tree, path), expected, "{path}");
    }
    let beside = tree.iter().filter(|(path, _)| path.as_bytes().ends_with(b".dpkg-dist")).count();
    assert_eq!(beside, 1, "none where nothing differs");
}

/// Recorded with dpkg 1.21.22: `-i` of such packages.
#[test]
fn two_links_to_one_directory_are_one() {
    let link = |name: &str, to: &str| entry(name, MemberKind::Symlink(to.as_bytes().into()), 0o777);
    let dir = |name: &str| entry(name, MemberKind::Directory, 0o755);
    let data = |to: &str, name: &str| {
        vec![dir("usr"), dir("usr/real"), link("usr/alias", to), file(&format!("usr/real/{name}"), "")]
    };
    let set = |to: &str| [made("aa", "", &[], data("real", "a")), made("bb", "", &[], data(to, "b"))];
    let tree = placed(&set("../usr/real"), &options()).unwrap().tree;
    let alias = tree.get(&ImagePath::new("usr/alias").unwrap()).unwrap();
    assert_eq!(alias.kind, NodeKind::Symlink(b"real"[..].into()));
    assert!(
        matches!(placed(&set("elsewhere"), &options()), Err(PlaceError::Overwrite { .. })),
        "the control"
    );
}

/// The first are all that 1,088 packages of Debian 12 and 13 use; the others ask for less than the whole image, or for another.
#[test]
fn programs_that_work_at_the_end_know_the_options_that_scripts_use() {
    for (line, known) in [
        ("ldconfig", true),
        ("ldconfig -r \"$DPKG_ROOT/\"", true),
        ("ldconfig --verbose -r \"$DPKG_ROOT/\"", true),
        ("pam-auth-update --package", true),
        ("pam-auth-update --root \"$DPKG_ROOT\" --package --force", true),
        ("shadowconfig on", true),
        ("update-ca-certificates --fresh", true),
        ("update-ca-certificates --hooksdir '' --fresh", true),
        ("ldconfig -r /elsewhere", false),
        ("ldconfig -n /usr/lib/x", false),
        ("ldconfig /usr/lib/x", false),
        ("pam-auth-update --remove x", false),
        ("shadowconfig off", false),
    ] {
        let set = [made("pp", "", &[("postinst", &format!("#!/bin/sh\n{line}\n"))], Vec::new())];
        assert_eq!(placed(&set, &options()).is_ok(), known, "{line}");
    }
}
