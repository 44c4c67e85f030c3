//! Tars against GNU tar and the `tar` crate, round trips, and a table of hostile ones.

use std::collections::BTreeMap;
use std::io::Read;

use pinfold_base::Digest;
use pinfold_base::ImagePath;
use proptest::prelude::*;

use super::header::Header;
use super::read::path_of;
use super::*;
use crate::Component;
use crate::Content;
use crate::Metadata;
use crate::Node;
use crate::NodeKind;
use crate::Tree;
use crate::tree::InlineOnly;

const TIME: u64 = 1_700_000_000;

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

fn owner() -> Component {
    Component::generated("test")
}

fn dir(mode: u32) -> Node {
    Node::directory(&owner(), Metadata::root(mode, TIME))
}

fn file(mode: u32, content: &[u8]) -> Node {
    Node::file(&owner(), Metadata::root(mode, TIME), Content::inline(content))
}

fn link(target: &str) -> Node {
    Node::symlink(&owner(), TIME, target)
}

fn hardlink(target: &str, meta: Metadata) -> Node {
    Node { kind: NodeKind::Hardlink(path(target)), meta, owner: owner() }
}

fn written(tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    write::write(tree, &InlineOnly, &mut bytes).unwrap();
    bytes
}

/// The part that both samples share.
fn sample() -> Tree {
    let mut tree = Tree::new();
    let mut put = |name: &str, node: Node| drop(tree.insert(path(name), node));
    put("", dir(0o700));
    put("bin", dir(0o755));
    // The tree calls the later name the file; in the tar the earlier one has to be it.
    put("bin/dash", file(0o4755, b"dash\n"));
    put("bin/ash", hardlink("bin/dash", Metadata::root(0o4755, TIME)));
    put("bin/sh", link("dash"));
    put("etc", dir(0o755));
    put("tmp", dir(0o1777));
    let thousand = file(0o644, &[b'x'; 1000]);
    put("tmp/thousand", Node { meta: thousand.meta.clone().owned_by(1000, 100_000), ..thousand });
    let empty = file(0o640, b"");
    put("etc/empty", Node { meta: empty.meta.clone().owned_by(0, 42), ..empty });
    tree
}

#[test]
fn a_plain_tree_is_written_as_gnu_tar_writes_it() {
    // GNU tar 1.34, on the same files listed in order of their bytes:
    // tar -c --format=ustar --numeric-owner --no-recursion -b 1 -T LIST | sha256sum
    let mut tree = sample();
    let deep = "a".repeat(90);
    for name in ["usr".into(), format!("usr/{deep}"), format!("usr/{deep}/{deep}")] {
        tree.insert(path(&name), dir(0o755));
    }
    tree.insert(path(&format!("usr/{deep}/{deep}/file")), file(0o644, b"deep\n"));
    assert_eq!(
        Digest::sha256(&written(&tree)).hex(),
        "75e66639b6932e93191a15e060c34cbdfb9edfcaa9513372f2d036ed994d32c7"
    );
}

/// What a ustar header cannot hold: long and non-ASCII names, a large owner and time, an attribute.
fn large() -> Tree {
    let mut tree = sample();
    let mut put = |name: &str, node: Node| drop(tree.insert(path(name), node));
    put(&format!("tmp/{}", "l".repeat(120)), file(0o644, b"long\n"));
    put("tmp/link", link(&"t".repeat(130)));
    let umlaut = file(0o644, b"umlaut\n");
    put("tmp/ä", Node { meta: umlaut.meta.clone().owned_by(3_000_000, 0), ..umlaut });
    put("tmp/é", dir(0o755));
    if let Some(node) = tree.get_mut(&path("etc/empty")) {
        node.meta.mtime = 9_000_000_000;
    }
    if let Some(node) = tree.get_mut(&path("tmp/thousand")) {
        node.meta.xattrs.insert(b"user.note".into(), b"x=y".into());
    }
    tree
}

#[test]
fn a_large_tree_is_written_as_gnu_tar_writes_it() {
    // tar -c --format=pax --pax-option=exthdr.name=PaxHeaders/0,exthdr.mtime=0,delete=atime,delete=ctime --xattrs \
    //     --numeric-owner --no-recursion -b 1 -T LIST | sha256sum
    assert_eq!(
        Digest::sha256(&written(&large())).hex(),
        "6a08b0fc3148baf1ac43642c0da01ee23ee568f9f87215cd9067134a53a54c39"
    );
}

/// Everything a reader says about an archive, contents included
/// and names judged.
fn listed(bytes: &[u8], strictness: Strictness) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
    let mut reader = Reader::new(bytes, strictness, Limits::default());
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut content = Vec::new();
        reader.read_to_end(&mut content)?;
        let refuse = |source| TarError::Name { offset: entry.offset, source };
        entry.path().map_err(refuse)?;
        if let EntryKind::Hardlink(target) = &entry.kind {
            path_of(target).map_err(refuse)?;
        }
        let start = usize::try_from(entry.offset).unwrap();
        assert_eq!(bytes[start..start + content.len()], content);
        assert_eq!(content.len() as u64, entry.size);
        entries.push((entry, content));
    }
    assert_eq!(reader.position(), bytes.len() as u64);
    Ok(entries)
}

/// The tree an archive holds, as far as a tar can say.
fn unpacked(bytes: &[u8]) -> Tree {
    let entries = listed(bytes, Strictness::PACKAGE).unwrap();
    let mut tree = Tree::new();
    for (entry, content) in entries {
        let path = entry.path().unwrap();
        let kind = match entry.kind {
            EntryKind::Directory => NodeKind::Directory,
            EntryKind::File => NodeKind::File(Content::inline(content)),
            EntryKind::Symlink(target) => NodeKind::Symlink(target),
            EntryKind::Hardlink(target) => NodeKind::Hardlink(path_of(&target).unwrap()),
            EntryKind::Special(_) => unreachable!(),
        };
        tree.insert(path, Node { kind, meta: entry.meta, owner: owner() });
    }
    tree
}

#[test]
fn what_is_written_is_read_and_the_tar_crate_agrees() {
    let tree = large();
    let bytes = written(&tree);
    let ours = listed(&bytes, Strictness::PACKAGE).unwrap();
    assert_eq!(ours.len(), tree.len() - 1);
    let mut theirs = ::tar::Archive::new(&bytes[..]);
    for (entry, (our, content)) in theirs.entries().unwrap().zip(&ours) {
        let mut entry = entry.unwrap();
        assert_eq!(*entry.path_bytes(), *our.name);
        assert_eq!(entry.raw_file_position(), our.offset);
        let header = entry.header();
        assert_eq!(header.mode().unwrap(), our.meta.mode);
        let target = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
        match &our.kind {
            EntryKind::Symlink(link) | EntryKind::Hardlink(link) => {
                assert_eq!(target.as_deref(), Some(&link[..]));
            }
            _ => {}
        }
        let mut read = Vec::new();
        entry.read_to_end(&mut read).unwrap();
        assert_eq!(read, *content);
    }
    let find = |name: &str| &ours.iter().find(|(entry, _)| entry.path() == Ok(path(name))).unwrap().0;
    assert_eq!(find("bin/ash").kind, EntryKind::File);
    assert_eq!(find("bin/dash").kind, EntryKind::Hardlink((*b"bin/ash").into()));
    assert_eq!(find("tmp/ä").meta.uid, 3_000_000);
    assert_eq!(find("etc/empty").meta.mtime, 9_000_000_000);
    assert_eq!(find("tmp/thousand").meta.xattrs[&b"user.note"[..]], b"x=y");
}

#[test]
fn a_member_of_8_gib_has_its_size_in_a_pax_record() {
    let header = write::member(b"blobs/sha256/large", 8 << 30).unwrap();
    let limits = Limits { total: 16 << 30, ..Limits::default() };
    let entry = Reader::new(&header[..], Strictness::LAYER, limits).next_entry().unwrap().unwrap();
    assert_eq!((entry.size, entry.meta, header.len()), (8 << 30, Metadata::root(0o644, 0), 3 * BLOCK));
    // One byte less needs none.
    assert_eq!(write::member(b"blobs/sha256/large", (8 << 30) - 1).unwrap().len(), BLOCK);
}

#[test]
fn pieces_are_grouped_by_entry() {
    let tree = sample();
    let mut kinds = Vec::new();
    for piece in pieces(&tree) {
        kinds.push(match piece.unwrap() {
            Piece::Bytes(bytes) | Piece::Dense(bytes) => bytes.len().to_string(),
            Piece::File { path, .. } => path.to_string(),
        });
    }
    // bin, bin/ash with content, bin/dash as a link, bin/sh, etc, etc/empty, tmp, tmp/thousand, end.
    let expected =
        "512 512 /bin/ash 507 512 512 512 512 512 512 /tmp/thousand 24 1024".split(' ').collect::<Vec<_>>();
    assert_eq!(kinds, expected);
}

#[test]
fn trees_that_make_no_good_tar_are_refused() {
    let cases: [(&str, Node, &str); 8] = [
        ("a/.wh.b", file(0o644, b""), "deletions"),
        (".wh..wh..opq", file(0o644, b""), "deletions"),
        ("missing/x", file(0o644, b""), "parent"),
        ("file/x", file(0o644, b""), "parent"),
        ("a/link", hardlink("a", Metadata::default()), "hard link"),
        ("a/link", hardlink("nowhere", Metadata::default()), "hard link"),
        ("a/link", link(""), "empty"),
        ("a/odd", file(0o100_644, b""), "mode"),
    ];
    for (name, node, reason) in cases {
        let mut tree = Tree::new();
        tree.insert(path("a"), dir(0o755));
        tree.insert(path("file"), file(0o644, b""));
        assert!(write::write(&tree, &InlineOnly, std::io::sink()).is_ok());
        tree.insert(path(name), node);
        let error = write::write(&tree, &InlineOnly, std::io::sink()).unwrap_err().to_string();
        assert!(error.contains(reason), "{name}: {error}");
    }
    let mut tree = Tree::new();
    let mut odd = file(0o644, b"");
    odd.meta.xattrs.insert(b"user.a=b".into(), Vec::new());
    tree.insert(path("x"), odd);
    assert!(write::write(&tree, &InlineOnly, std::io::sink()).is_err());
}

/// One header with its content, padded.
fn entry(kind: u8, name: &str, content: &[u8], change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    let mut header = Header::new(kind);
    header.text(0, 100, name.as_bytes());
    header.octal(100, 8, 0o644);
    header.octal(124, 12, content.len() as u64);
    let mut block = header.finish();
    change(&mut block);
    block[148..156].copy_from_slice(b"        ");
    let sum = format!("{:06o}\0 ", header::checksum(&block));
    block[148..156].copy_from_slice(sum.as_bytes());
    let mut bytes = block.to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn plain(kind: u8, name: &str, content: &[u8]) -> Vec<u8> {
    entry(kind, name, content, |_| {})
}

fn pax_header(records: &[(&str, &str)]) -> Vec<u8> {
    let body: Vec<u8> =
        records.iter().flat_map(|(key, value)| pax::record(key.as_bytes(), value.as_bytes())).collect();
    plain(b'x', "x", &body)
}

fn archive(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), vec![0; 1024]].concat()
}

fn linking(kind: u8, target: &str) -> Vec<u8> {
    entry(kind, "link", b"", |block| block[157..157 + target.len()].copy_from_slice(target.as_bytes()))
}

#[test]
fn hostile_archives_are_refused() {
    let file = || plain(b'0', "file", b"x");
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("absolute name", archive(&[plain(b'0', "/etc/passwd", b"x")]), "absolute"),
        ("`..`", archive(&[plain(b'0', "a/../../b", b"x")]), "`..`"),
        ("`..` by PAX", archive(&[pax_header(&[("path", "../b")]), file()]), "`..`"),
        ("absolute by PAX", archive(&[pax_header(&[("path", "/b")]), file()]), "absolute"),
        ("NUL by PAX", archive(&[pax_header(&[("path", "a\0b")]), file()]), "NUL"),
        ("`..` by GNU", archive(&[plain(b'L', "L", b"../b\0"), file()]), "`..`"),
        ("hard link out", archive(&[linking(b'1', "../x")]), "`..`"),
        ("absolute hard link", archive(&[linking(b'1', "/x")]), "absolute"),
        ("empty symbolic link", archive(&[linking(b'2', "")]), "empty"),
        ("no name", archive(&[plain(b'0', "", b"x")]), "empty"),
        ("a file as the root", archive(&[plain(b'0', "./.", b"x")]), "root is a directory"),
        ("negative size", archive(&[entry(b'0', "f", b"", |b| b[124..136].fill(0xff))]), "negative"),
        (
            "minus in octal",
            archive(&[entry(b'0', "f", b"", |b| b[124..127].copy_from_slice(b"-01"))]),
            "octal",
        ),
        (
            "base-256 beyond 63 bits",
            archive(&[entry(b'0', "f", b"", |b| {
                b[124..136].fill(0);
                (b[124], b[127], b[128]) = (0x80, 0, 0x80);
            })]),
            "63 bits",
        ),
        (
            "a huge size",
            archive(&[entry(b'0', "f", b"", |b| {
                b[124..136].fill(0);
                (b[124], b[129]) = (0x80, 0xff);
            })]),
            "larger than allowed",
        ),
        ("negative size by PAX", archive(&[pax_header(&[("size", "-1")]), file()]), "malformed"),
        (
            "huge size by PAX",
            archive(&[pax_header(&[("size", "9999999999999")]), plain(b'0', "f", b"")]),
            "larger",
        ),
        ("another size by PAX", archive(&[pax_header(&[("size", "2")]), file()]), "different sizes"),
        ("no number by PAX", archive(&[pax_header(&[("uid", "")]), file()]), "malformed"),
        (
            "PAX size of a directory",
            archive(&[pax_header(&[("size", "0")]), plain(b'5', "d/", b"")]),
            "no file",
        ),
        ("a directory with content", archive(&[plain(b'5', "d/", b"x")]), "no file has content"),
        (
            "PAX before a long name",
            archive(&[pax_header(&[("size", "9")]), plain(b'L', "L", b"n\0"), file()]),
            "PAX",
        ),
        (
            "PAX after a long name",
            archive(&[plain(b'L', "L", b"n\0"), pax_header(&[("size", "9")]), file()]),
            "PAX",
        ),
        ("PAX twice", archive(&[pax_header(&[]), pax_header(&[]), file()]), "PAX"),
        ("PAX and then the end", archive(&[file(), pax_header(&[("path", "x")])]), "ends after"),
        ("two long names", archive(&[plain(b'L', "L", b"n\0"), plain(b'L', "L", b"m\0"), file()]), "twice"),
        ("long name with NUL", archive(&[plain(b'L', "L", b"n\0m\0"), file()]), "NUL"),
        ("global path", archive(&[plain(b'g', "g", &pax::record(b"path", b"x")), file()]), "global"),
        ("a wide owner", archive(&[pax_header(&[("uid", "4294967296")]), file()]), "32 bits"),
        ("odd character set", archive(&[pax_header(&[("hdrcharset", "EBCDIC")]), file()]), "character"),
        ("GNU sparse", archive(&[plain(b'S', "f", b"")]), "sparse"),
        ("PAX sparse", archive(&[pax_header(&[("GNU.sparse.major", "1")]), file()]), "sparse"),
        ("star sparse", archive(&[pax_header(&[("SCHILY.realsize", "9")]), file()]), "sparse"),
        ("unknown type", archive(&[plain(b'Z', "f", b"")]), "unknown"),
        ("unknown magic", archive(&[entry(b'0', "f", b"", |b| b[257] = b'U')]), "neither"),
        ("something after the end", [archive(&[file()]), vec![0; 512], vec![1]].concat(), "follows the end"),
        ("one block of zeros", [file(), vec![0; 512], file()].concat(), "single block"),
        ("no end", file(), "ends early"),
        ("half an end", [file(), vec![0; 512]].concat(), "ends early"),
        ("nothing", Vec::new(), "ends early"),
        ("a long component", archive(&[pax_header(&[("path", &"n".repeat(256))]), file()]), "255"),
        (
            "a long name",
            archive(&[pax_header(&[("path", &("n/".repeat(3000) + "n"))]), file()]),
            "larger than allowed",
        ),
        ("a long PAX header", archive(&[pax_header(&[("comment", &"n".repeat(2 << 20))]), file()]), "larger"),
    ];
    assert!(listed(&archive(&[file()]), Strictness::PACKAGE).is_ok());
    for (what, bytes, expected) in cases {
        match listed(&bytes, Strictness::PACKAGE) {
            Ok(entries) => panic!("{what} was accepted: {entries:?}"),
            Err(error) => assert!(error.to_string().contains(expected), "{what}: {error}"),
        }
    }
    let mut bytes = archive(&[file()]);
    bytes[0] ^= 1;
    assert!(listed(&bytes, Strictness::PACKAGE).unwrap_err().to_string().contains("checksum"));
    for cut in 0..bytes.len() {
        assert!(listed(&bytes[..cut], Strictness::PACKAGE).is_err());
    }
}

#[test]
fn dialects_are_understood() {
    let bytes = archive(&[
        // git-archive begins with such a header.
        plain(b'g', "pax_global_header", &pax::record(b"comment", b"0123")),
        plain(b'g', "g", &[pax::record(b"uname", b"all"), pax::record(b"mtime", b"7.9")].concat()),
        pax_header(&[("uname", "one"), ("SCHILY.xattr.user.a", "")]),
        plain(b'0', "a", b"1"),
        plain(b'L', "././@LongLink", b"long/name\0"),
        plain(b'K', "././@LongLink", b"long/target\0"),
        plain(b'2', "short", b""),
        // V7: no magic, a slash makes the directory.
        entry(0, "v7/", b"", |block| block[257..265].fill(0)),
        entry(b'7', "contiguous", b"2", |block| block[136..148].fill(0xff)),
        entry(b'0', "gnu", b"3", |block| {
            block[257..265].copy_from_slice(b"ustar  \0");
            block[345..350].copy_from_slice(b"atime");
            block[108..116].copy_from_slice(b"\x80\0\0\0\0\x10\0\0");
        }),
    ]);
    let entries = listed(&bytes, Strictness::PACKAGE).unwrap();
    let short: Vec<_> = entries
        .iter()
        .map(|(entry, _)| (String::from_utf8_lossy(&entry.name).into_owned(), entry.meta.mtime))
        .collect();
    let expected = [("a", 7), ("long/name", 7), ("v7/", 7), ("contiguous", 7), ("gnu", 7)];
    assert_eq!(short, expected.map(|(name, time)| (name.to_owned(), time)));
    assert_eq!(*entries[0].0.uname, *b"one");
    assert_eq!(*entries[1].0.uname, *b"all");
    assert_eq!(entries[0].0.meta.xattrs, BTreeMap::from([(b"user.a".to_vec(), Vec::new())]));
    assert_eq!(entries[1].0.kind, EntryKind::Symlink((*b"long/target").into()));
    assert_eq!(entries[2].0.kind, EntryKind::Directory);
    assert_eq!(entries[4].0.meta.uid, 0x10_0000);
}

/// The same header, over and over, made while it is read.
struct Endless(Vec<u8>, usize);

impl Read for Endless {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = buffer.len().min(self.0.len() - self.1);
        buffer[..n].copy_from_slice(&self.0[self.1..self.1 + n]);
        self.1 = (self.1 + n) % self.0.len();
        Ok(n)
    }
}

#[test]
fn a_million_entries_are_too_many() {
    for header in [plain(b'5', "d/", b""), plain(b'g', "g", b"")] {
        let stream = std::io::BufReader::new(Endless(header, 0).take(1_000_000 * BLOCK as u64));
        let mut reader = Reader::new(stream, Strictness::PACKAGE, Limits::default());
        let mut count = 0_u64;
        let error = loop {
            match reader.next_entry() {
                Ok(entry) => count += u64::from(entry.is_some()),
                Err(error) => break error,
            }
        };
        assert!(count <= 400_000);
        assert!(matches!(error, TarError::Limit { what: "entries", limit: 400_000 }), "{error}");
    }
}

fn any_tree() -> impl Strategy<Value = Tree> {
    let name = proptest::collection::vec("[a-c\u{e4}\\\\ ]{1,3}|[x-z]{60,120}", 1..5);
    let xattrs = proptest::collection::btree_map(
        "user\\.[a-z]{1,3}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..6),
        0..2,
    );
    let meta = (0_u32..0o10000, any::<u32>(), any::<u32>(), 0_u64..1 << 40, xattrs)
        .prop_map(|(mode, uid, gid, mtime, xattrs)| Metadata { mode, uid, gid, mtime, xattrs });
    let kind = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..1200)
            .prop_map(|bytes| NodeKind::File(Content::inline(bytes))),
        proptest::collection::vec(1_u8.., 1..130).prop_map(|target| NodeKind::Symlink(target.into())),
    ];
    proptest::collection::vec((name, kind, meta), 0..8).prop_map(|nodes| {
        let mut tree = Tree::new();
        for (names, kind, meta) in nodes {
            let mut parent = ImagePath::root();
            for name in &names[..names.len() - 1] {
                parent = parent.join(name).unwrap();
                tree.insert(parent.clone(), dir(0o755));
            }
            let path = parent.join(&names[names.len() - 1]).unwrap();
            if !tree.contains(&path) {
                tree.insert(path, Node { kind, meta, owner: owner() });
            }
        }
        // A file may have become a directory, and what was below a directory is then below a file.
        let directories: Vec<_> =
            tree.iter().filter(|(_, node)| node.is_directory()).map(|(path, _)| path.clone()).collect();
        tree.retain(|path, _| path.parent().is_none_or(|up| up.is_root() || directories.contains(&up)));
        tree
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn trees_survive_a_round_trip(tree in any_tree()) {
        let bytes = written(&tree);
        prop_assert_eq!(bytes.len() % BLOCK, 0);
        let back = unpacked(&bytes);
        prop_assert_eq!(&back, &tree);
        prop_assert_eq!(written(&back), bytes);
    }

    #[test]
    fn any_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = listed(&bytes, Strictness::PACKAGE);
    }

    #[test]
    fn harmed_archives_never_panic(changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4)) {
        // With the checksums put right again, so that the harm gets past them.
        let mut bytes = written(&large());
        let length = bytes.len();
        for (at, value) in changes {
            bytes[at % length] = value;
        }
        for block in bytes.chunks_exact_mut(BLOCK).filter(|block| block[257..262] == *b"ustar") {
            let sum = header::checksum(block[..].try_into().unwrap());
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
        for strictness in [Strictness::PACKAGE, Strictness::LAYER] {
            let mut reader = Reader::new(&bytes[..], strictness, Limits::default());
            while let Ok(Some(_)) = reader.next_entry() {}
        }
    }
}
