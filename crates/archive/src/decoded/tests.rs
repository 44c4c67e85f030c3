//! Archives decoded, forgotten and decoded again.

use std::io::Write;

use super::*;
use crate::Component;
use crate::Node;
use crate::Tree;
use crate::tree::InlineOnly;

const DEBS: [&[u8]; 3] = [
    include_bytes!("../../tests/fixtures/sample-xz.deb"),
    include_bytes!("../../tests/fixtures/sample-zst.deb"),
    include_bytes!("../../tests/fixtures/sample-gz.deb"),
];

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    (dir, store)
}

fn tree(files: &[(&str, &[u8])]) -> Tree {
    let owner = Component::generated("test");
    let mut tree = Tree::new();
    for (name, content) in files {
        let node = Node::file(&owner, Metadata::root(0o644, 7), Content::inline(*content));
        tree.insert(ImagePath::new(name).unwrap(), node);
    }
    tree.complete(&owner, 7).unwrap();
    tree
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    crate::tar::write::write(&tree(files), &InlineOnly, &mut bytes).unwrap();
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn content<'a>(listing: &'a Listing, name: &str) -> &'a Content {
    let find = |entry: &&Member| entry.path.to_string() == name;
    match &listing.data.iter().chain(&listing.control).find(find).unwrap().kind {
        MemberKind::File { content } => content,
        other => panic!("{name} is {other:?}"),
    }
}

fn text(decoded: &DecodedStore, content: &Content) -> String {
    let mut text = String::new();
    decoded.open(content).unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(decoded.read(content, 1 << 20).unwrap(), text.as_bytes());
    text
}

/// Made by `dpkg-deb --root-owner-group -Z{xz,zstd,gzip}`; the listing is that of `dpkg-deb -c`.
#[test]
fn packages_of_dpkg_are_listed() {
    for deb in DEBS {
        let (_dir, store) = store();
        let digest = store.put("sample.deb", deb).unwrap();
        let decoded = DecodedStore::new(&store);
        let listing = decoded.decode(&digest, Format::Deb).unwrap();
        let control: Vec<_> = listing.control.iter().map(|entry| entry.path.to_string()).collect();
        assert_eq!(control, ["/", "/control", "/postinst"]);
        let data: Vec<_> = listing
            .data
            .iter()
            .map(|entry| (entry.raw_name.escape_ascii().to_string(), entry.meta.mode, entry.meta.mtime))
            .collect();
        let expected = [
            ("./", 0o755),
            ("./usr/", 0o755),
            ("./usr/bin/", 0o755),
            ("./usr/bin/sample", 0o755),
            ("./usr/bin/twin", 0o755),
            ("./usr/share/", 0o755),
            ("./usr/share/doc/", 0o755),
            ("./usr/share/doc/sample/", 0o755),
            ("./usr/share/doc/sample/README", 0o644),
            ("./usr/bin/alias", 0o777),
        ];
        assert_eq!(data, expected.map(|(name, mode)| (name.to_owned(), mode, 1_700_000_000)));
        assert!(listing.data.iter().all(|entry| *entry.uname == *b"root" && *entry.gname == *b"root"));
        assert_eq!(listing.data[4].kind, MemberKind::Hardlink(ImagePath::new("usr/bin/sample").unwrap()));
        assert_eq!(listing.data[9].kind, MemberKind::Symlink((*b"sample").into()));
        assert_eq!(text(&decoded, content(&listing, "/usr/bin/sample")), "#!/bin/sh\necho sample\n");
        assert!(text(&decoded, content(&listing, "/control")).starts_with("Package: sample\n"));
        // Two streams of 10,240 bytes, by `xz -dc | wc -c`.
        assert_eq!(fs::metadata(decoded.path(&digest, "")).unwrap().len(), 20_480);
    }
}

#[test]
fn a_listing_needs_no_bytes_and_bytes_come_back() {
    let (_dir, store) = store();
    let digest = store.put("t.tgz", &gzip(&tar(&[("a/b", b"one"), ("c", b"two")]))).unwrap();
    let first = DecodedStore::new(&store).decode(&digest, Format::Tar).unwrap();
    let decoded = DecodedStore::new(&store);
    decoded.evict(&digest).unwrap();
    decoded.evict(&digest).unwrap();
    assert_eq!(decoded.decode(&digest, Format::Tar).unwrap(), first);
    assert!(!decoded.path(&digest, "").exists());
    assert_eq!(text(&decoded, content(&first, "/a/b")), "one");
    assert!(decoded.path(&digest, "").exists());
    // Evicted while a reader is open, and read again afterwards.
    let mut reader = decoded.open(content(&first, "/c")).unwrap();
    decoded.evict(&digest).unwrap();
    let mut left = String::new();
    reader.read_to_string(&mut left).unwrap();
    assert_eq!(left, "two");
    assert_eq!(text(&decoded, content(&first, "/c")), "two");
    // A process that never listed the archive can read it too.
    assert_eq!(text(&DecodedStore::new(&store), content(&first, "/c")), "two");
    // Without the download there is nothing to decode again, but what is decoded stays readable.
    fs::remove_file(store.path(&digest)).unwrap();
    let offline = DecodedStore::new(&store);
    assert_eq!(text(&offline, content(&offline.decode(&digest, Format::Tar).unwrap(), "/c")), "two");
    offline.evict(&digest).unwrap();
    assert!(offline.open(content(&first, "/c")).is_err());
    // Nothing is left over.
    assert_eq!(fs::read_dir(store.root().join("tmp")).unwrap().count(), 0);
}

#[test]
fn harmed_files_of_the_cache_are_made_again() {
    let (_dir, store) = store();
    let digest = store.put("t.tar", &tar(&[("a", b"one")])).unwrap();
    let first = DecodedStore::new(&store).decode(&digest, Format::Tar).unwrap();
    let path = DecodedStore::new(&store).path(&digest, "");
    for harm in [&b""[..], b"short"] {
        fs::write(&path, harm).unwrap();
        let decoded = DecodedStore::new(&store);
        assert_eq!(text(&decoded, content(&decoded.decode(&digest, Format::Tar).unwrap(), "/a")), "one");
    }
    let index = DecodedStore::new(&store).path(&digest, ".index");
    for harm in [&b""[..], b"pfidx\x01\x01\0 something else"] {
        fs::write(&index, harm).unwrap();
        assert_eq!(DecodedStore::new(&store).decode(&digest, Format::Tar).unwrap(), first);
    }
}

#[test]
fn raw_files_and_zips() {
    let (_dir, store) = store();
    let decoded = DecodedStore::new(&store);
    let digest = store.put("tool", b"a program").unwrap();
    let listing = decoded.decode(&digest, Format::Raw).unwrap();
    assert_eq!(text(&decoded, content(&listing, "/")), "a program");
    assert!(!decoded.path(&digest, "").exists());

    let zip = include_bytes!("../../tests/fixtures/infozip.zip");
    let digest = store.put("t.zip", zip).unwrap();
    let listing = decoded.decode(&digest, Format::Zip).unwrap();
    assert_eq!(text(&decoded, content(&listing, "/dir/stored")), "stored\n");
    assert_eq!(text(&decoded, content(&listing, "/dir/deflated")), "x".repeat(5000));
    assert_eq!(listing.data[3].kind, MemberKind::Symlink((*b"stored").into()));
    let again = DecodedStore::new(&store).decode(&digest, Format::Zip).unwrap();
    assert_eq!(again, listing);
    // Asked for as something else, it is that or an error, never the old listing.
    assert!(decoded.decode(&digest, Format::Tar).is_err());
    assert_eq!(decoded.decode(&digest, Format::Zip).unwrap(), listing);
}

#[test]
fn what_a_download_is_is_told_from_its_bytes() {
    let (_dir, store) = store();
    let decoded = DecodedStore::new(&store);
    let gzip = |bytes: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut gzip, bytes).unwrap();
        gzip.finish().unwrap()
    };
    // `printf 'hello\n' | bzip2`, printed by `xxd -i`.
    let bzip2 = *b"BZh91AY&SY\xc1\xc0\x80\xe2\0\0\x01A\0\0\x10\x02D\xa0\x000\xcd\0\xc3F)\x97\x17rE8P\x90\xc1\xc0\x80\xe2";
    let tar = [header(b'0', "a", ""), vec![0; 1024]].concat();
    for (what, bytes, path, expected) in [
        ("a program", b"\x7fELF program".to_vec(), "/", "\x7fELF program"),
        ("a short text", b"x".to_vec(), "/", "x"),
        ("nothing", Vec::new(), "/", ""),
        ("a program that begins as a zip", b"PK\x03\x04 and more".to_vec(), "/", "PK\x03\x04 and more"),
        ("zeros", vec![0; 2048], "/", &"\0".repeat(2048)),
        ("one file of gzip", gzip(b"hello\n"), "/", "hello\n"),
        ("one file of bzip2", bzip2.to_vec(), "/", "hello\n"),
        ("a file that is compressed twice", gzip(&bzip2[..3]), "/", "BZh"),
        ("a tar", tar.clone(), "/a", ""),
        ("a tar of gzip", gzip(&tar), "/a", ""),
    ] {
        let digest = store.put(what, &bytes).unwrap();
        let listing = decoded.decode(&digest, Format::Auto).unwrap();
        assert_eq!(listing.data.len(), 1, "{what}");
        assert_eq!(text(&decoded, content(&listing, path)), expected, "{what}");
        // It is found again, and made again when it is gone.
        decoded.evict(&digest).unwrap();
        let again = DecodedStore::new(&store);
        assert_eq!(again.decode(&digest, Format::Auto).unwrap(), listing, "{what}");
        assert_eq!(text(&again, content(&listing, path)), expected, "{what}");
    }
    for (bytes, kind) in [
        (&b"\x1f\x9d\x90x"[..], "a file of `compress` (.Z)"),
        (b"7z\xbc\xaf\x27\x1c\0\x04", "a 7-Zip archive"),
        (b"Rar!\x1a\x07\x01\0", "a RAR archive"),
        (b"\x04\x22\x4d\x18x", "a file of lz4"),
    ] {
        let digest = store.put(kind, bytes).unwrap();
        let error = decoded.decode(&digest, Format::Auto).unwrap_err();
        let DecodedError::Archive { source, .. } = &error else { panic!("{error}") };
        assert_eq!(source.to_string(), format!("it is {kind}, which is not understood"));
        assert!(error.own_hint().unwrap().contains("format = \"raw\""));
        let raw = decoded.decode(&digest, Format::Raw).unwrap();
        assert_eq!(content(&raw, "/").size(), bytes.len() as u64);
    }
    // A compressed file that ends early is damaged, not another kind of file.
    let digest = store.put("cut", &gzip(b"hello\n")[..12]).unwrap();
    assert!(decoded.decode(&digest, Format::Auto).is_err());
}

/// One tar header with nothing behind it.
fn header(kind: u8, name: &str, target: &str) -> Vec<u8> {
    let mut header = ::tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
    header.set_entry_type(::tar::EntryType::new(kind));
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    header.set_cksum();
    header.as_bytes().to_vec()
}

#[test]
fn archives_that_contradict_themselves_are_refused() {
    let end = vec![0; 1024];
    let file = || header(b'0', "f", "");
    let cases = [
        ("a link to nothing", vec![header(b'1', "l", "f")], "no earlier file"),
        ("a link to later", vec![header(b'1', "l", "f"), file()], "no earlier file"),
        ("a link to a directory", vec![header(b'5', "d", ""), header(b'1', "l", "d")], "no earlier file"),
        ("a link to itself", vec![header(b'1', "l", "l")], "no earlier file"),
        ("a device", vec![header(b'3', "null", "")], "character device"),
    ];
    let (_dir, store) = store();
    let decoded = DecodedStore::new(&store);
    for (what, parts, expected) in cases {
        let digest = store.put(what, &[parts.concat(), end.clone()].concat()).unwrap();
        let error = decoded.decode(&digest, Format::Tar).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(expected), "{what}: {source}");
        assert_eq!(error.kind(), Kind::Integrity);
        assert!(!decoded.path(&digest, "").exists() && !decoded.path(&digest, ".index").exists());
    }
    // A link to a link means the same file.
    let chain = [file(), header(b'1', "l", "f"), header(b'1', "m", "l"), end].concat();
    let listing = decoded.decode(&store.put("chain", &chain).unwrap(), Format::Tar).unwrap();
    assert_eq!(listing.data[2].kind, MemberKind::Hardlink(ImagePath::new("f").unwrap()));
    assert_eq!(fs::read_dir(store.root().join("tmp")).unwrap().count(), 0);
}

/// Headers with content; the size is the content's.
fn entry(kind: u8, name: &str, target: &str, content: &[u8]) -> Vec<u8> {
    let mut header = ::tar::Header::from_byte_slice(&header(kind, name, target)).clone();
    header.set_size(content.len() as u64);
    header.set_cksum();
    let mut bytes = [header.as_bytes(), content].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// A name, the entries, what is listed, and what lost.
type Repeated<'a> = (&'a str, Vec<Vec<u8>>, &'a [&'a str], &'a [(&'a str, Loss)]);

/// What each path is, as `tar -xf` leaves it: expected values are those of GNU tar 1.34, and of node-tar for files.
#[test]
fn of_entries_of_one_name_the_last_counts() {
    let file = |name: &str, text: &str| entry(b'0', name, "", text.as_bytes());
    let directory = |name: &str| entry(b'5', name, "", b"");
    let link = |name: &str, target: &str| entry(b'1', name, target, b"");
    let symlink = |name: &str, target: &str| entry(b'2', name, target, b"");
    let cases: [Repeated<'_>; 11] = [
        ("files", vec![file("x", "one"), file("x", "two")], &["/x two"], &[("/x", Loss::Differs)]),
        ("equal files", vec![file("x", "one"), file("./x", "one")], &["/x one"], &[("/x", Loss::Same)]),
        (
            "three",
            vec![file("x", "one"), file("y", "-"), file("x", "two"), file("x", "one")],
            &["/y -", "/x one"],
            &[("/x", Loss::Differs)],
        ),
        (
            "directories",
            vec![directory("d"), file("d/f", "1"), directory("./d/")],
            &["/d/f 1", "/d dir"],
            &[("/d", Loss::Same)],
        ),
        (
            "a link, then a file",
            vec![file("x", "two"), symlink("s", "x"), file("s", "three")],
            &["/x two", "/s three"],
            &[("/s", Loss::Differs)],
        ),
        (
            "a file, then a directory",
            vec![file("x", "one"), directory("x"), file("x/y", "in")],
            &["/x dir", "/x/y in"],
            &[("/x", Loss::Differs)],
        ),
        (
            "an empty directory, then a file",
            vec![directory("x"), file("x", "one")],
            &["/x one"],
            &[("/x", Loss::Differs)],
        ),
        (
            "a directory, then a file",
            vec![directory("x"), file("x/y", "in"), file("x", "two")],
            &["/x dir", "/x/y in"],
            &[("/x", Loss::Directory)],
        ),
        (
            "a hard link keeps what it was made of",
            vec![file("x", "one"), link("l", "x"), link("m", "l"), file("x", "two"), link("n", "x")],
            &["/l one", "/m = /l", "/x two", "/n = /x"],
            &[("/l", Loss::FirstName), ("/x", Loss::Differs)],
        ),
        (
            "hard links whose names are given away one after the other",
            vec![file("x", "one"), link("l", "x"), link("m", "x"), file("x", "two"), file("l", "two")],
            &["/m one", "/x two", "/l two"],
            &[("/l", Loss::Differs), ("/m", Loss::FirstName), ("/x", Loss::Differs)],
        ),
        ("a link to itself", vec![file("x", "one"), link("x", "x")], &["/x one"], &[]),
    ];
    let (_dir, store) = store();
    let decoded = DecodedStore::new(&store);
    for (what, parts, expected, lost) in cases {
        let digest = store.put(what, &[parts.concat(), vec![0; 1024]].concat()).unwrap();
        let listing = decoded.decode(&digest, Format::Tar).unwrap();
        let told = |member: &Member| match &member.kind {
            MemberKind::Directory => format!("{} dir", member.path),
            MemberKind::File { content } => format!("{} {}", member.path, text(&decoded, content)),
            MemberKind::Symlink(target) => format!("{} -> {}", member.path, target.escape_ascii()),
            MemberKind::Hardlink(target) => format!("{} = {target}", member.path),
        };
        assert_eq!(listing.data.iter().map(told).collect::<Vec<_>>(), expected, "{what}");
        let shadowed = listing.shadowed.iter().map(|lost| (lost.path.to_string(), lost.loss));
        let lost: Vec<_> = lost.iter().map(|(path, loss)| ((*path).to_owned(), *loss)).collect();
        assert_eq!(shadowed.collect::<Vec<_>>(), lost, "{what}");
    }
}

/// By `unzip -o`: the later of two.
#[test]
fn of_two_files_of_a_zip_the_last_counts() {
    let (_dir, store) = store();
    let decoded = DecodedStore::new(&store);
    let digest = store.put("twice.zip", include_bytes!("../../tests/fixtures/twice.zip")).unwrap();
    let listing = decoded.decode(&digest, Format::Zip).unwrap();
    assert_eq!(listing.data.len(), 1);
    assert_eq!(text(&decoded, content(&listing, "/x")), "two");
    assert_eq!(listing.shadowed, [Shadowed { path: ImagePath::new("x").unwrap(), loss: Loss::Differs }]);
}

#[test]
fn things_that_are_no_packages_are_refused() {
    let (_dir, store) = store();
    let decoded = DecodedStore::new(&store);
    let deb = DEBS[0];
    let member = |at: &[u8]| memchr::memmem::find(deb, at).unwrap();
    let (control, data) = (member(b"control.tar"), member(b"data.tar"));
    let swapped = [&deb[..control], &deb[data..], &deb[control..data]].concat();
    let mut version = deb.to_vec();
    version[68] = b'3';
    let cases = [
        ("two members", deb[..data].to_vec()),
        (
            "four members",
            [deb, &b"_extra          0           0     0     100644  0         `\n"[..]].concat(),
        ),
        ("swapped", swapped),
        ("version 3", version),
        ("cut", deb[..deb.len() - 9].to_vec()),
        ("a tar", tar(&[("a", b"one")])),
        ("nothing", Vec::new()),
    ];
    for (what, bytes) in cases {
        let digest = store.put(what, &bytes).unwrap();
        let error = decoded.decode(&digest, Format::Deb).unwrap_err();
        assert_eq!(error.kind(), Kind::Integrity, "{what}: {error:?}");
    }
    let missing = Digest::sha256(b"not here");
    assert!(matches!(decoded.decode(&missing, Format::Deb), Err(DecodedError::Store(_))));
    assert!(matches!(decoded.decode(&missing, Format::Raw), Err(DecodedError::Store(_))));
}

/// A compressed tar of one file of so many MiB of zeros.
fn zeros(mebibytes: u64) -> Vec<u8> {
    let mut header = ::tar::Header::new_ustar();
    header.set_path("zeros").unwrap();
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(mebibytes << 20);
    header.set_cksum();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(header.as_bytes()).unwrap();
    std::io::copy(&mut std::io::repeat(0).take((mebibytes << 20) + 1024), &mut encoder).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn bombs_are_refused_early() {
    let (_dir, store) = store();
    let decoded = DecodedStore::new(&store);
    let decode = |bytes: &[u8]| decoded.decode(&store.put("zeros", bytes).unwrap(), Format::Tar);
    // A thousand to one, which is within gzip's powers and beyond any honest package's: 64 MiB are free, and for every
    // byte of the download 250 more.
    assert!(decode(&zeros(63)).is_ok());
    let bomb = zeros(96);
    assert!((64 << 20) + 250 * bomb.len() < 96 << 20);
    let error = decode(&bomb).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("larger than allowed"), "{source}");
    assert_eq!(fs::read_dir(store.root().join("tmp")).unwrap().count(), 0);
}

#[test]
fn threads_and_processes_may_decode_at_once() {
    let files: Vec<(String, Vec<u8>)> =
        (0..300).map(|n| (format!("dir{}/file{n}", n % 7), vec![n as u8; n * 13])).collect();
    let files: Vec<_> = files.iter().map(|(name, bytes)| (&name[..], &bytes[..])).collect();
    let (_dir, store) = store();
    let digests: Vec<_> =
        (0..3).map(|n| store.put("t", &gzip(&tar(&files[n * 50..])).clone()).unwrap()).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            // One store each, as processes have, shared by two threads.
            let decoded = Arc::new(DecodedStore::new(&store));
            for _ in 0..2 {
                let (decoded, digests) = (Arc::clone(&decoded), &digests);
                scope.spawn(move || {
                    for digest in digests {
                        let listing = decoded.decode(digest, Format::Tar).unwrap();
                        let bytes = decoded.read(content(&listing, "/dir4/file298"), 1 << 20).unwrap();
                        assert_eq!(bytes, vec![298_u32 as u8; 298 * 13]);
                        decoded.evict(digest).unwrap();
                    }
                });
            }
        }
    });
    assert_eq!(fs::read_dir(store.root().join("tmp")).unwrap().count(), 0);
}

#[test]
fn many_archives_need_few_open_files() {
    let (_dir, store) = store();
    let decoded = DecodedStore::new(&store);
    let listings: Vec<_> = (0..MAX_OPEN + 9)
        .map(|n| {
            let digest = store.put("t", &tar(&[("f", n.to_string().as_bytes())])).unwrap();
            decoded.decode(&digest, Format::Tar).unwrap()
        })
        .collect();
    for _ in 0..2 {
        for (n, listing) in listings.iter().enumerate() {
            assert_eq!(text(&decoded, content(listing, "/f")), n.to_string());
            assert!(decoded.state().open.len() <= MAX_OPEN);
        }
    }
}

/// Changes one bit in the middle of `part` in a file.
fn flip(path: &std::path::Path, part: &[u8]) {
    let mut bytes = fs::read(path).unwrap();
    let at = bytes.windows(part.len()).position(|window| window == part).unwrap() + part.len() / 2;
    bytes[at] ^= 0x04;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_changed_byte_of_the_decoded_form_is_not_believed() {
    let files: &[(&str, &[u8])] = &[("a", b"the first file"), ("b", b"the second file"), ("empty", b"")];
    for (bytes, format) in [(tar(files), Format::Tar), (gzip(&tar(files)), Format::Tar)] {
        let (_dir, store) = store();
        let digest = store.put("t", &bytes).unwrap();
        let listing = DecodedStore::new(&store).decode(&digest, format).unwrap();
        flip(&DecodedStore::new(&store).path(&digest, ""), b"the second file");
        let decoded = DecodedStore::new(&store);
        // What is not damaged reads on; that is the control.
        assert_eq!(text(&decoded, content(&listing, "/a")), "the first file");
        let second = content(&listing, "/b");
        let mut given = Vec::new();
        let error = decoded.open(second).unwrap().read_to_end(&mut given).unwrap_err();
        assert!(matches!(error.get_ref(), Some(source) if source.is::<Damaged>()), "{error}");
        assert_eq!(store.take_damage(), [format!("the decoded form of {digest}")]);
        // It is out of the way, and made again.
        assert!(!decoded.path(&digest, "").exists());
        let again = DecodedStore::new(&store);
        assert_eq!(again.decode(&digest, format).unwrap(), listing);
        assert_eq!(text(&again, second), "the second file");
    }
}

#[test]
fn a_part_of_a_file_is_believed_only_with_the_whole() {
    let (_dir, store) = store();
    let digest = store.put("t.tar", &tar(&[("a", b"begin, middle and end")])).unwrap();
    let decoded = DecodedStore::new(&store);
    let listing = decoded.decode(&digest, Format::Tar).unwrap();
    let Content::Range { offset, .. } = *content(&listing, "/a") else { panic!() };
    let part = |offset, size| Content::Range { archive: digest.clone(), offset, size };
    assert_eq!(decoded.read(&part(offset, 5), 9).unwrap(), b"begin");
    // The end is damaged, the begin is asked for.
    flip(&decoded.path(&digest, ""), b"end");
    let other = DecodedStore::new(&store);
    assert!(other.read(&part(offset, 5), 9).is_err());
    // What is no file of the archive is not given at all.
    let again = DecodedStore::new(&store);
    again.decode(&digest, Format::Tar).unwrap();
    assert_eq!(again.read(&part(offset, 5), 9).unwrap(), b"begin");
    assert!(again.read(&part(offset, 512), 512).is_err());
    assert!(again.read(&part(0, 5), 9).is_err());
}

#[test]
fn a_download_is_believed_by_its_name_when_it_is_decoded_or_read() {
    let files: &[(&str, &[u8])] = &[("a", b"the only file of the archive")];
    let raw = b"the only file of the archive";
    let deb = DEBS[0];
    let cases: [(Vec<u8>, Format, &[u8]); 4] = [
        (tar(files), Format::Tar, b"the only file of the archive"),
        // The time in the header, which no checksum of the tar is about.
        (tar(files), Format::Tar, b"00000000007\0"),
        (raw.to_vec(), Format::Raw, raw),
        // The name of the member's owner.
        (deb.to_vec(), Format::Deb, b"debian-binary   1"),
    ];
    for (bytes, format, part) in cases {
        let (_dir, first) = store();
        let digest = first.put("t", &bytes).unwrap();
        flip(&first.path(&digest), part);
        // Another process, which did not write it.
        let store = Store::open(first.root()).unwrap();
        let decoded = DecodedStore::new(&store);
        match decoded.decode(&digest, format) {
            Err(error) => {
                assert!(format != Format::Raw && matches!(error, DecodedError::Damaged(_)), "{error}");
            }
            Ok(listing) => assert!(
                format == Format::Raw && decoded.read(content(&listing, "/"), 1 << 20).is_err(),
                "{format:?}"
            ),
        }
        assert!(!store.contains(&digest));
        assert_eq!(store.take_damage(), [format!("the download {digest}")]);
        // The control: the right bytes come back and are believed.
        store.put("t", &bytes).unwrap();
        DecodedStore::new(&store).decode(&digest, format).unwrap();
        assert!(store.take_damage().is_empty());
    }
}

/// A NAR of one file.
fn nar(content: &[u8]) -> Vec<u8> {
    let mut writer = crate::nar::Writer::new(Vec::new());
    let size = content.len() as u64;
    writer.file(&ImagePath::root(), crate::nar::Permission::Plain, size, &mut &content[..]).unwrap();
    writer.finish().unwrap()
}

/// An xz is in `tests/nar.rs`: nothing here writes one.
#[test]
fn a_nar_is_decoded_whatever_compressed_it() {
    let plain = nar(b"one");
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    bzip2.write_all(&plain).unwrap();
    for (what, bytes) in [
        ("none", plain.clone()),
        ("gzip", gzip(&plain)),
        ("zstd", zstd::encode_all(&plain[..], 1).unwrap()),
        ("bzip2", bzip2.finish().unwrap()),
    ] {
        let (_dir, store) = store();
        let digest = store.put(what, &bytes).unwrap();
        let decoded = DecodedStore::new(&store);
        let listing = decoded.decode(&digest, Format::Nar).unwrap();
        let whole = Whole { digest: Digest::sha256(&plain), size: plain.len() as u64 };
        assert_eq!(listing.whole, Some(whole), "{what}");
        assert_eq!(text(&decoded, content(&listing, "/")), "one", "{what}");
        assert_eq!(fs::read(decoded.path(&digest, "")).unwrap(), plain, "{what}");
        // The index says the same, also of digest and size, and the bytes come back.
        let again = DecodedStore::new(&store);
        again.evict(&digest).unwrap();
        assert_eq!(again.decode(&digest, Format::Nar).unwrap(), listing, "{what}");
        assert_eq!(text(&again, content(&listing, "/")), "one", "{what}");
        // A changed byte of it is noticed.
        flip(&again.path(&digest, ""), b"one");
        let mut range = again.open(content(&listing, "/")).unwrap();
        assert!(range.read_to_end(&mut Vec::new()).is_err(), "{what}");
        // What is behind the NAR, inside and outside of the compression, is refused.
        let digest = store.put(what, &[&bytes[..], b"\0\0\0\0\0\0\0\0"].concat()).unwrap();
        assert_eq!(decoded.decode(&digest, Format::Nar).unwrap_err().kind(), Kind::Integrity, "{what}");
    }
}

#[test]
fn things_that_are_no_nars_are_refused() {
    let (_dir, store) = store();
    let decoded = DecodedStore::new(&store);
    let good = nar(b"one");
    let mut padding = good.clone();
    *padding.last_mut().unwrap() = 1;
    let cases = [
        ("nothing", Vec::new(), "it ends early"),
        ("a tar", tar(&[("a", b"one")]), "it does not begin with `nix-archive-1`"),
        ("cut", gzip(&good[..good.len() - 8]), "it ends early"),
        ("two", gzip(&[&good[..], &good].concat()), "it goes on behind its end"),
        ("padding", padding, "padding is not zero"),
    ];
    for (what, bytes, expected) in cases {
        let digest = store.put(what, &bytes).unwrap();
        let error = decoded.decode(&digest, Format::Nar).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.ends_with(expected), "{what}: {source}");
        assert_eq!(error.kind(), Kind::Integrity);
        assert!(!decoded.path(&digest, "").exists() && !decoded.path(&digest, ".index").exists());
    }
    // A bomb: 96 MiB of zeros.
    let bomb = gzip(&nar(&vec![0; 96 << 20]));
    let error = decoded.decode(&store.put("bomb", &bomb).unwrap(), Format::Nar).unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("larger than allowed"), "{source}");
    // The control, and no other form of it.
    let digest = store.put("good", &good).unwrap();
    assert_eq!(decoded.decode(&digest, Format::Nar).unwrap().data.len(), 1);
    assert!(decoded.decode(&digest, Format::Tar).is_err());
    assert_eq!(fs::read_dir(store.root().join("tmp")).unwrap().count(), 0);
}
