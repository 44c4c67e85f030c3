//! NARs read and written; one thing wrong at a time.

use std::io::BufReader;
use std::io::Cursor;
use std::io::Read;

use pinfold_base::Diagnose;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use proptest::prelude::*;

use super::*;
use crate::Component;
use crate::Content;
use crate::Metadata;
use crate::Node;
use crate::NodeKind;
use crate::Tree;
use crate::tree::InlineOnly;

/// A string of the format, by Nix's own rule: length, bytes, zeros.
fn string(bytes: &[u8]) -> Vec<u8> {
    let mut string = (bytes.len() as u64).to_le_bytes().to_vec();
    string.extend_from_slice(bytes);
    while !string.len().is_multiple_of(8) {
        string.push(0);
    }
    string
}

/// Strings one after the other, `words` cut at blanks; what begins with `=` is a text in which `_` is a blank.
fn strings(words: &str) -> Vec<u8> {
    let word = |word: &str| match word.strip_prefix('=') {
        Some(text) => string(text.replace('_', " ").as_bytes()),
        None => string(word.as_bytes()),
    };
    words.split_whitespace().flat_map(word).collect()
}

/// A NAR of a node that is given in words.
fn nar(node: &str) -> Vec<u8> {
    [string(MAGIC), strings(node)].concat()
}

/// An entry as the tests name it, with its content.
type Listed = (String, String);

fn list(bytes: &[u8]) -> Result<Vec<Listed>, NarError> {
    list_within(bytes, Limits::ACCEPTED)
}

fn list_within(bytes: &[u8], limits: Limits) -> Result<Vec<Listed>, NarError> {
    let mut reader = Reader::new(bytes, limits)?;
    let mut listed = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let what = match &entry.kind {
            EntryKind::Directory => "directory".to_owned(),
            EntryKind::Symlink(target) => format!("-> {}", target.escape_ascii()),
            EntryKind::File { permission, offset, size } => {
                let mut content = Vec::new();
                reader.read_to_end(&mut content)?;
                assert_eq!(content.len() as u64, *size);
                let at = usize::try_from(*offset).unwrap();
                assert_eq!(bytes[at..at + content.len()], content);
                format!("{permission:?} {}", content.escape_ascii())
            }
        };
        listed.push((entry.path.to_string(), what));
    }
    assert_eq!(reader.position(), bytes.len() as u64);
    Ok(listed)
}

/// The words that a refusal ends with, and the path that it names.
fn refusal(bytes: &[u8]) -> (String, String) {
    match list(bytes) {
        Err(NarError::Format { path, reason, .. }) => (path.to_string(), reason.to_owned()),
        Err(NarError::Limit { path, what, limit }) => (path.to_string(), format!("more than {limit} {what}")),
        other => panic!("{other:?}"),
    }
}

/// A file `=one`, a program, a directory with a link, an empty file: each as what stands between `node` and the end of its entry.
const FILE: &str = "( type regular contents =one )";
const GOOD: &str = "( type directory \
    entry ( name a node ( type regular contents =one ) ) \
    entry ( name b node ( type directory \
        entry ( name in node ( type symlink target =../a ) ) ) ) \
    entry ( name c node ( type regular executable = contents =#!/bin/sh_x ) ) \
    entry ( name d node ( type regular contents = ) ) )";

#[test]
fn entries_come_in_order_with_their_bytes() {
    let expected = [
        ("/", "directory"),
        ("/a", "Plain one"),
        ("/b", "directory"),
        ("/b/in", "-> ../a"),
        ("/c", "Executable #!/bin/sh x"),
        ("/d", "Plain "),
    ];
    let bytes = nar(GOOD);
    let listed = list(&bytes).unwrap();
    assert_eq!(listed, expected.map(|(path, what)| (path.to_owned(), what.to_owned())));
    // Contents that nobody reads are skipped, and whatever pieces the stream comes in mean the same.
    let mut reader = Reader::new(BufReader::with_capacity(3, &bytes[..]), Limits::ACCEPTED).unwrap();
    let mut modes = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        modes.push((entry.path.to_string(), entry.kind.mode()));
    }
    let expected =
        [("/", 0o555), ("/a", 0o444), ("/b", 0o555), ("/b/in", 0o777), ("/c", 0o555), ("/d", 0o444)];
    assert_eq!(modes, expected.map(|(path, mode)| (path.to_owned(), mode)));
    assert!(reader.next_entry().unwrap().is_none());
    assert_eq!(reader.position(), bytes.len() as u64);
}

#[test]
fn a_store_path_is_a_file_or_a_link_too() {
    for (node, what) in [
        (FILE, "Plain one"),
        ("( type regular executable = contents =x )", "Executable x"),
        ("( type symlink target =/nix/store/x )", "-> /nix/store/x"),
        ("( type directory )", "directory"),
    ] {
        assert_eq!(list(&nar(node)).unwrap(), [("/".to_owned(), what.to_owned())], "{node}");
    }
}

/// Names that Linux has and that no rule of the format is against.
#[test]
fn odd_names_are_names() {
    let names: [&[u8]; 10] = [
        b"\x01",
        b" x",
        b"-",
        b"...",
        b"Readme",
        b"Readme~nix~case~hack~1",
        b"new\nline",
        b"readme",
        b"~nix~case~hack~1",
        b"\xff\xfe",
    ];
    let entries =
        names.map(|name| [strings("entry ( name"), string(name), strings("node ( type directory ) )")]);
    let bytes = [nar("( type directory"), entries.concat().concat(), string(b")")].concat();
    let mut reader = Reader::new(&bytes[..], Limits::ACCEPTED).unwrap();
    let mut found = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        found.push(entry.path.as_bytes().to_vec());
    }
    assert_eq!(found[0], b"");
    assert_eq!(found[1..], names);
}

/// What is wrong, the part of the good NAR that is replaced, by what, and what is said of which path.
type Row<'a> = (&'a str, &'a str, &'a str, &'a str, &'a str);

#[test]
fn one_wrong_thing_is_refused_with_its_path() {
    let rows: [Row<'_>; 38] = [
        ("no order", "name b node", "name a! node", "", ""),
        ("equal names", "name b node", "name a node", "/", "the names in a directory do not increase"),
        ("decreasing names", "name c node", "name A node", "/", "the names in a directory do not increase"),
        ("an empty name", "name a node", "name = node", "/", "a name is empty"),
        ("a dot", "name a node", "name . node", "/", "a name is `.` or `..`"),
        ("two dots", "name in node", "name .. node", "/b", "a name is `.` or `..`"),
        ("a slash", "name in node", "name i/n node", "/b", "a name holds a slash"),
        ("a leading slash", "name a node", "name /a node", "/", "a name holds a slash"),
        ("NUL in a name", "name a node", "name a\0b node", "/", "a name holds a NUL byte"),
        ("an empty target", "target =../a", "target =", "/b/in", "the target of a link is empty"),
        ("NUL in a target", "target =../a", "target =a\0", "/b/in", "the target of a link holds a NUL byte"),
        ("an unknown type", "type symlink", "type socket", "/b/in", "a node is of an unknown type"),
        ("a type in capitals", "type symlink", "type Symlink", "/b/in", "a node is of an unknown type"),
        ("a long type", "type symlink", "type symbolic-links", "/b/in", "a node is of an unknown type"),
        (
            "no type",
            "( type regular contents =one",
            "( regular contents =one",
            "/a",
            "`type` is expected in a node",
        ),
        (
            "the type twice",
            "type symlink target",
            "type symlink type symlink target",
            "/b/in",
            "`target` is expected in a link",
        ),
        ("no target", "target =../a", "", "/b/in", "`target` is expected in a link"),
        (
            "two targets",
            "target =../a",
            "target =../a target =../a",
            "/b/in",
            "`)` is expected at the end of a link",
        ),
        (
            "a link with content",
            "target =../a",
            "target =../a contents =x",
            "/b/in",
            "`)` is expected at the end of a link",
        ),
        ("no contents", "contents =one", "", "/a", "`executable` or `contents` is expected in a file"),
        (
            "contents twice",
            "contents =one",
            "contents =one contents =one",
            "/a",
            "`)` is expected at the end of a file",
        ),
        (
            "executable twice",
            "executable =",
            "executable = executable =",
            "/c",
            "`contents` is expected in a file",
        ),
        ("executable with a value", "executable =", "executable =1", "/c", "`executable` has a value"),
        (
            "executable behind the contents",
            "contents =one",
            "contents =one executable =",
            "/a",
            "`)` is expected at the end of a file",
        ),
        (
            "executable without contents",
            "executable = contents =#!/bin/sh_x",
            "executable =",
            "/c",
            "`contents` is expected in a file",
        ),
        (
            "an executable link",
            "target =../a",
            "executable = target =../a",
            "/b/in",
            "`target` is expected in a link",
        ),
        ("no name", "( name a node", "( node", "/", "`name` is expected in an entry"),
        (
            "the node before the name",
            "name a node ( type regular contents =one )",
            "node ( type regular contents =one ) name a",
            "/",
            "`name` is expected in an entry",
        ),
        ("the name twice", "name a node", "name a name a node", "/a", "`node` is expected behind a name"),
        (
            "no node",
            "name a node ( type regular contents =one )",
            "name a",
            "/a",
            "`node` is expected behind a name",
        ),
        (
            "two nodes",
            "contents =one )",
            "contents =one ) node ( type regular contents =one )",
            "/a",
            "`)` is expected at the end of an entry",
        ),
        ("no bracket behind entry", "entry ( name a", "entry name a", "/", "`(` is expected after `entry`"),
        (
            "no bracket behind node",
            "node ( type symlink",
            "node type symlink",
            "/b/in",
            "`(` is expected at the start of a node",
        ),
        (
            "a word that is none",
            "entry ( name a",
            "entri ( name a",
            "/",
            "`entry` or `)` is expected in a directory",
        ),
        (
            "content in a directory",
            "( type directory entry ( name a",
            "( type directory contents =x entry ( name a",
            "/",
            "`entry` or `)` is expected in a directory",
        ),
        ("a bracket too few", "contents = ) ) )", "contents = ) )", "/", "it ends early"),
        ("a bracket too many", "contents = ) ) )", "contents = ) ) ) )", "/", "it goes on behind its end"),
        (
            "two NARs",
            "contents = ) ) )",
            "contents = ) ) ) nix-archive-1 ( type directory )",
            "/",
            "it goes on behind its end",
        ),
    ];
    let good = GOOD.split_whitespace().collect::<Vec<_>>().join(" ");
    for (what, from, to, path, reason) in rows {
        assert_eq!(good.matches(from).count(), 1, "{what}");
        let bytes = nar(&good.replace(from, to));
        if reason.is_empty() {
            // The control: the same place, changed to something right.
            assert!(list(&bytes).is_ok(), "{what}");
            continue;
        }
        let (told, said) = refusal(&bytes);
        assert_eq!((&told[..], &said[..]), (path, reason), "{what}");
        let error = list(&bytes).unwrap_err();
        assert_eq!(error.kind(), Kind::Integrity, "{what}");
        assert!(error.to_string().contains(&format!("in `{path}`: {reason}")), "{error}");
    }
}

#[test]
fn a_magic_of_another_version_is_refused() {
    for magic in ["nix-archive-2", "nix-archive-1x", "nix-archive", "Nix-archive-1", ""] {
        let bytes = [string(magic.as_bytes()), strings(FILE)].concat();
        assert_eq!(refusal(&bytes), ("/".into(), "it does not begin with `nix-archive-1`".into()), "{magic}");
    }
    assert_eq!(refusal(b""), ("/".into(), "it ends early".into()));
    assert_eq!(refusal(b"!<arch>\n"), ("/".into(), "it does not begin with `nix-archive-1`".into()));
}

/// Every byte of padding, one at a time.
#[test]
fn padding_is_zero() {
    let good = nar(GOOD);
    let mut at = 0;
    let mut count = 0;
    while at < good.len() {
        let length = usize::try_from(u64::from_le_bytes(*good[at..].first_chunk().unwrap())).unwrap();
        let end = (at + 8 + length).next_multiple_of(8);
        for byte in at + 8 + length..end {
            let mut bytes = good.clone();
            bytes[byte] = 1;
            assert_eq!(refusal(&bytes).1, "padding is not zero", "byte {byte}");
            // Also where the content before is skipped.
            let Ok(mut reader) = Reader::new(&bytes[..], Limits::ACCEPTED) else { continue };
            let failed = loop {
                match reader.next_entry() {
                    Ok(Some(_)) => {}
                    Ok(None) => break false,
                    Err(_) => break true,
                }
            };
            assert!(failed);
            count += 1;
        }
        at = end;
    }
    assert!(count > 100, "{count}");
}

#[test]
fn what_ends_early_is_refused() {
    let good = nar(GOOD);
    for cut in 0..good.len() {
        assert!(list(&good[..cut]).is_err(), "cut at {cut}");
        // Contents that are not read do not hide it.
        let mut entries = 0;
        let error = Reader::new(&good[..cut], Limits::ACCEPTED).and_then(|mut reader| {
            while reader.next_entry()?.is_some() {
                entries += 1;
            }
            Ok(())
        });
        assert!(
            matches!(error, Err(NarError::Format { reason: "it ends early", .. })),
            "cut at {cut}: {error:?}"
        );
    }
    for behind in [&b"\0"[..], b"\0\0\0\0\0\0\0\0", b"x"] {
        assert_eq!(refusal(&[&good, behind].concat()), ("/".into(), "it goes on behind its end".into()));
    }
}

/// Lengths that lie cost neither memory nor time.
#[test]
fn lengths_are_not_believed() {
    let content = memchr::memmem::find(&nar(FILE), b"contents").unwrap() + 8;
    for (length, reason) in [
        (1 << 32, "it ends early"),
        (1 << 34, "more than 8589934592 bytes"),
        (u64::MAX, "more than 8589934592 bytes"),
        (u64::MAX - 200, "more than 8589934592 bytes"),
    ] {
        let mut bytes = nar(FILE);
        bytes[content..content + 8].copy_from_slice(&u64::to_le_bytes(length));
        let mut reader = Reader::new(&bytes[..], Limits::ACCEPTED).unwrap();
        let error = reader.next_entry().and_then(|_| reader.next_entry()).unwrap_err().to_string();
        assert!(error.contains(reason), "{length}: {error}");
    }
    // The control: one more, and a byte of padding is content, which is right.
    let mut bytes = nar(FILE);
    bytes[content] += 1;
    assert_eq!(list(&bytes).unwrap()[0].1, "Plain one\\x00");
    // A word, a name, a target: any of them as long as nothing can be.
    let good = nar(GOOD);
    let mut at = 0;
    while at < good.len() {
        let length = u64::from_le_bytes(*good[at..].first_chunk().unwrap());
        for lie in [u64::MAX, 1 << 40, 5000] {
            let mut bytes = good.clone();
            bytes[at..at + 8].copy_from_slice(&lie.to_le_bytes());
            assert!(list(&bytes).is_err(), "byte {at}");
        }
        at = usize::try_from((at as u64 + 8 + length).next_multiple_of(8)).unwrap();
    }
}

#[test]
fn names_targets_and_paths_are_as_long_as_linux_allows() {
    let name = |length: usize| "n".repeat(length);
    let one = |name: &str| nar(&format!("( type directory entry ( name {name} node {FILE} ) )"));
    assert!(list(&one(&name(255))).is_ok());
    assert_eq!(refusal(&one(&name(256))), ("/".into(), "a name is longer than 255 bytes".into()));
    let link = |length: usize| nar(&format!("( type symlink target {} )", name(length)));
    assert!(list(&link(4095)).is_ok());
    assert_eq!(refusal(&link(4096)).1, "the target of a link is longer than 4095 bytes");
    // Sixteen times 255 and fifteen slashes are 4,095.
    let deep = |levels: usize| {
        let open = format!("( type directory entry ( name {} node ", name(255)).repeat(levels);
        nar(&format!("{open} {FILE} {}", ") ) ".repeat(levels)))
    };
    assert_eq!(list(&deep(16)).unwrap().len(), 17);
    assert_eq!(refusal(&deep(17)).1, "its path is longer than 4095 bytes");
}

#[test]
fn there_is_a_most_of_everything() {
    let deep = |levels: usize| {
        let open = "( type directory entry ( name d node ".repeat(levels);
        nar(&format!("{open} ( type directory ) {}", ") ) ".repeat(levels)))
    };
    let most = Limits::ACCEPTED.depth;
    assert_eq!(list(&deep(most)).unwrap().len(), most + 1);
    assert!(refusal(&deep(most + 1)).1.starts_with("more than 256 levels"));
    // Far deeper, it is refused at the same place.
    assert!(refusal(&deep(100_000)).1.starts_with("more than 256 levels"));

    let good = nar(GOOD);
    let limits = |entries, total| Limits { entries, total, ..Limits::ACCEPTED };
    let size = good.len() as u64;
    assert!(list_within(&good, limits(6, size)).is_ok());
    let error = list_within(&good, limits(5, size)).unwrap_err();
    assert_eq!(error.to_string(), "NAR is larger than allowed, in `/d`: more than 5 entries");
    let error = list_within(&good, limits(6, 600)).unwrap_err();
    assert!(error.to_string().ends_with("more than 600 bytes"), "{error}");
}

#[test]
fn after_a_refusal_there_is_nothing_more() {
    let bytes = nar(
        "( type directory entry ( name b node ( type directory ) ) entry ( name a node ( type directory ) ) )",
    );
    let mut reader = Reader::new(&bytes[..], Limits::ACCEPTED).unwrap();
    assert!(reader.next_entry().unwrap().is_some() && reader.next_entry().unwrap().is_some());
    for _ in 0..3 {
        assert!(reader.next_entry().is_err());
    }
    // Whatever is wrong, and wherever.
    let good = nar(GOOD);
    for at in 0..good.len() {
        let mut bytes = good.clone();
        bytes[at] ^= 0x20;
        let Ok(mut reader) = Reader::new(&bytes[..], Limits::ACCEPTED) else { continue };
        let mut ended = false;
        while !ended {
            match reader.next_entry() {
                Ok(entry) => ended = entry.is_none(),
                Err(_) => break,
            }
        }
        assert_eq!(reader.next_entry().is_ok(), ended, "byte {at}");
    }
}

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

/// What [`GOOD`] says, by the writer.
#[test]
fn the_writer_writes_what_the_format_says() {
    let mut writer = Writer::new(Vec::new());
    writer.directory(&path("")).unwrap();
    writer.file(&path("a"), Permission::Plain, 3, &mut &b"one"[..]).unwrap();
    writer.directory(&path("b")).unwrap();
    writer.symlink(&path("b/in"), b"../a").unwrap();
    writer.file(&path("c"), Permission::Executable, 11, &mut &b"#!/bin/sh x"[..]).unwrap();
    writer.file(&path("d"), Permission::Plain, 0, &mut &b""[..]).unwrap();
    assert_eq!(writer.finish().unwrap(), nar(GOOD));

    let mut writer = Writer::new(Vec::new());
    writer.file(&path(""), Permission::Plain, 3, &mut &b"one"[..]).unwrap();
    assert_eq!(writer.finish().unwrap(), nar(FILE));
}

/// One call of a writer: a path, and `d`, `-> TARGET`, or the size that is announced and the content.
enum Call {
    Directory(&'static str),
    Symlink(&'static str, &'static [u8]),
    File(&'static str, u64, &'static [u8]),
}

#[test]
fn a_writer_refuses_what_a_reader_would() {
    use Call::Directory;
    use Call::File;
    use Call::Symlink;
    let cases: [(&str, Vec<Call>, &str); 14] = [
        ("nothing", vec![], "there is no root"),
        ("no root", vec![Directory("a")], "the root comes first"),
        ("two roots", vec![Directory(""), Directory("")], "there is one root"),
        ("a root beside a file", vec![File("", 0, b""), Directory("")], "there is one root"),
        ("below a file", vec![File("", 0, b""), Directory("a")], "its directory is not there"),
        (
            "below a link",
            vec![Directory(""), Symlink("a", b"b"), Directory("a/b")],
            "its directory is not there",
        ),
        ("no directory", vec![Directory(""), Directory("a/b")], "its directory is not there"),
        ("a name twice", vec![Directory(""), Directory("a"), File("a", 0, b"")], "each once"),
        ("names backwards", vec![Directory(""), Directory("b"), Directory("a")], "each once"),
        (
            "back again",
            vec![Directory(""), Directory("a"), Directory("b"), Directory("a/c")],
            "its directory is not there",
        ),
        ("an empty target", vec![Directory(""), Symlink("a", b"")], "the target of a link is empty"),
        ("NUL in a target", vec![Directory(""), Symlink("a", b"\0")], "holds a NUL byte"),
        ("a file that shrinks", vec![File("", 3, b"on")], "failed to read the content"),
        ("a file that grows", vec![File("", 3, b"ones")], "failed to read the content"),
    ];
    for (what, calls, expected) in cases {
        let mut writer = Writer::new(Vec::new());
        let mut call = |call: &Call| match call {
            Directory(at) => writer.directory(&path(at)),
            Symlink(at, target) => writer.symlink(&path(at), target),
            File(at, size, content) => writer.file(&path(at), Permission::Plain, *size, &mut { *content }),
        };
        let failed = calls.iter().find_map(|one| call(one).err());
        // Nothing goes on, and there is no end, behind what was refused.
        assert!(failed.is_none() || call(&Directory("z")).is_err(), "{what}");
        let end = writer.finish();
        let error = failed.unwrap_or_else(|| end.unwrap_err());
        assert!(error.to_string().contains(expected), "{what}: {error}");
    }
    let mut writer = Writer::new(Vec::new());
    writer.directory(&path("")).unwrap();
    writer.directory(&path("b")).unwrap();
    assert!(writer.directory(&path("a")).is_err());
    assert!(writer.finish().is_err());
}

#[test]
fn a_writer_stops_where_a_layer_would() {
    let deep = |levels: usize| {
        let mut writer = Writer::new(Vec::new());
        let mut at = ImagePath::root();
        writer.directory(&at).unwrap();
        for _ in 0..levels {
            at = at.join("d").unwrap();
            writer.directory(&at)?;
        }
        writer.finish()
    };
    let most = Limits::WRITTEN.depth;
    assert_eq!(list(&deep(most).unwrap()).unwrap().len(), most + 1);
    assert!(matches!(deep(most + 1), Err(NarError::Limit { .. })));
}

/// Whole paths would have `a-b` before `a/c`.
#[test]
fn a_tree_is_written_in_the_order_of_names() {
    let owner = Component::from("x/y");
    let mut tree = Tree::new();
    let file = |mode| Node::file(&owner, Metadata::root(mode, 7), Content::inline(&b"x"[..]));
    tree.insert(path("a/c"), file(0o644));
    tree.insert(path("a-b"), file(0o755));
    tree.insert(path("a0"), Node { kind: NodeKind::Hardlink(path("a-b")), ..file(0o755) });
    tree.insert(path("l"), Node::symlink(&owner, 3, "a"));
    tree.complete(&owner, 0).unwrap();
    let mut bytes = Vec::new();
    write::write(&tree, &InlineOnly, &mut bytes).unwrap();
    let listed = list(&bytes).unwrap();
    let listed: Vec<_> = listed.iter().map(|(path, what)| (&path[..], &what[..])).collect();
    let expected = [
        ("/", "directory"),
        ("/a", "directory"),
        ("/a/c", "Plain x"),
        ("/a-b", "Executable x"),
        ("/a0", "Executable x"),
        ("/l", "-> a"),
    ];
    assert_eq!(listed, expected);
    tree.insert(path("m"), Node { kind: NodeKind::Hardlink(path("none")), ..file(0o644) });
    assert!(write::write(&tree, &InlineOnly, &mut Vec::new()).is_err());
}

/// What a reader lists, written again.
fn again(bytes: &[u8]) -> Result<Vec<u8>, NarError> {
    let mut reader = Reader::new(bytes, Limits::ACCEPTED)?;
    let mut writer = Writer::new(Vec::new());
    while let Some(entry) = reader.next_entry()? {
        match entry.kind {
            EntryKind::Directory => writer.directory(&entry.path)?,
            EntryKind::Symlink(target) => writer.symlink(&entry.path, &target)?,
            EntryKind::File { permission, size, .. } => {
                writer.file(&entry.path, permission, size, &mut reader)?;
            }
        }
    }
    writer.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_written_is_read(
        files in proptest::collection::btree_map("[a-c.]{0,2}[-~x](/[a-b]{1,2}[-\u{e9}]){0,3}", (proptest::collection::vec(any::<u8>(), 0..20), any::<bool>()), 0..9),
    ) {
        let owner = Component::from("x/y");
        let mut tree = Tree::new();
        for (name, (content, executable)) in &files {
            let mode = if *executable { 0o755 } else { 0o600 };
            tree.insert(path(name), Node::file(&owner, Metadata::root(mode, 0), Content::inline(&content[..])));
        }
        prop_assume!(tree.complete(&owner, 0).is_ok());
        let mut bytes = Vec::new();
        write::write(&tree, &InlineOnly, &mut bytes).unwrap();
        let mut listed: Vec<String> = list(&bytes).unwrap().into_iter().map(|(path, _)| path).collect();
        listed.sort();
        let mut expected: Vec<String> = tree.iter().map(|(path, _)| path.to_string()).collect();
        expected.sort();
        prop_assert_eq!(listed, expected);
        prop_assert_eq!(&again(&bytes).unwrap(), &bytes);
    }

    /// One byte changed, and it is refused, or another tree that has exactly this NAR.
    #[test]
    fn what_is_accepted_is_canonical(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = nar(GOOD);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(same) = again(&bytes) {
            prop_assert_eq!(same, bytes);
        }
    }

    #[test]
    fn any_bytes_never_panic(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = list(&tail);
        let _ = list(&[nar("( type directory entry ( name"), tail].concat());
    }
}

/// An error of the stream is one, not an early end.
#[test]
fn errors_of_the_stream_are_passed_on() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::PermissionDenied.into())
        }
    }
    let bytes = nar(GOOD);
    let stream = Cursor::new(&bytes[..bytes.len() / 2]).chain(BufReader::new(Broken));
    let mut reader = Reader::new(stream, Limits::ACCEPTED).unwrap();
    let error = loop {
        if let Err(error) = reader.next_entry() {
            break error;
        }
    };
    assert!(matches!(&error, NarError::Io(_)) && error.kind() != Kind::Integrity, "{error:?}");

    let mut writer = Writer::new(Vec::new());
    let error = writer.file(&path(""), Permission::Plain, 3, &mut Broken).unwrap_err();
    assert!(matches!(error, NarError::Content { .. }), "{error:?}");
}
