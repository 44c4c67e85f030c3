//! The reader against tars made by hand: what each strictness takes, and what none does.

use std::io::BufReader;
use std::io::Cursor;

use pinfold_testkit::raw_tar::RawTar;
use pinfold_testkit::raw_tar::header;
use pinfold_testkit::raw_tar::seal;

use super::*;

fn tar() -> RawTar {
    RawTar::new()
}

/// Entries with their contents. The whole stream has to be read.
fn read(tar: &[u8], strictness: Strictness) -> Result<Vec<(Entry, Vec<u8>)>, TarError> {
    let mut reader = Reader::new(tar, strictness, Limits::default());
    let mut all = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut content = Vec::new();
        reader.read_to_end(&mut content)?;
        all.push((entry, content));
    }
    assert_eq!(reader.position(), tar.len() as u64, "the whole stream is read");
    Ok(all)
}

fn layer(tar: &[u8]) -> Vec<(Entry, Vec<u8>)> {
    read(tar, Strictness::LAYER).unwrap()
}

#[test]
fn plain_entries_come_with_their_content() {
    let found = layer(
        &tar().dir("etc/").file("etc/x", "hello").symlink("l", "etc/x").hardlink("/h", "../etc/x").end(),
    );
    let kinds: Vec<_> = found.iter().map(|(entry, _)| entry.kind.clone()).collect();
    let hardlink = EntryKind::Hardlink((*b"../etc/x").into());
    assert_eq!(
        kinds,
        [EntryKind::Directory, EntryKind::File, EntryKind::Symlink((*b"etc/x").into()), hardlink]
    );
    assert_eq!(found[1].1, b"hello");
    assert_eq!((found[1].0.meta.mode, found[1].0.meta.mtime), (0o644, 1_700_000_000));
    // Names are given as they are; whoever uses them asks for a path.
    assert_eq!(*found[3].0.name, *b"/h");
    assert_eq!(found[3].0.path(), Err(NameError::Absolute(b"/h".into())));
}

#[test]
fn names_are_judged_alike_for_all() {
    for (name, expected) in [
        ("a/./b//c/", Ok("/a/b/c")),
        ("./", Ok("/")),
        ("/", Ok("/")),
        ("//", Ok("/")),
        ("/a", Err("absolute")),
        ("//a", Err("absolute")),
        ("/.", Err("absolute")),
        ("a/../b", Err("`..`")),
        ("..", Err("`..`")),
    ] {
        match (path_of(name.as_bytes()), expected) {
            (Ok(path), Ok(expected)) => assert_eq!(path.to_string(), expected, "{name}"),
            (Err(error), Err(words)) => assert!(error.to_string().contains(words), "{name}: {error}"),
            (found, _) => panic!("{name}: {found:?}"),
        }
    }
}

#[test]
fn pax_records_override_the_header_of_one_entry() {
    let long = "d/".repeat(80) + "file";
    let found = layer(
        &tar()
            .pax(&[("path", &long), ("mtime", "1.25"), ("uid", "70000"), ("SCHILY.xattr.user.a", "b=c\n")])
            .file("short", "x")
            .file("next", "")
            .end(),
    );
    let (first, second) = (&found[0].0, &found[1].0);
    assert_eq!(*first.name, *long.as_bytes());
    assert_eq!((first.meta.mtime, first.nanoseconds, first.meta.uid), (1, 250_000_000, 70_000));
    assert_eq!(first.meta.xattrs[&b"user.a"[..]], b"b=c\n");
    assert_eq!((&second.name[..], second.nanoseconds, second.meta.uid), (&b"next"[..], 0, 0));
}

#[test]
fn numbers_in_base_256_are_read() {
    let mut block = header(b'0', b"big", b"", 0o644, 0);
    block[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
    seal(&mut block);
    let limits = Limits { total: 9 << 30, ..Limits::default() };
    let entry = Reader::new(&block[..], Strictness::LAYER, limits).next_entry().unwrap().unwrap();
    assert_eq!(entry.size, 8 << 30);
    // A negative time counts as the epoch.
    let mut block = header(b'0', b"old", b"", 0o644, 0);
    block[136..148].fill(0xff);
    seal(&mut block);
    assert_eq!(layer(&tar().block(&block).end())[0].0.meta.mtime, 0);
}

/// The rows of the table in the documentation of [`super::super::strictness`], each with what both take.
#[test]
fn packages_and_layers_differ_in_three_things() {
    let two = || tar().file("a", "1").file("b", "2");
    let rows: [(&str, Vec<u8>, bool, bool); 11] = [
        ("type 0 with a slash", tar().raw(b'0', b"d/", b"", 0o644, b"").end(), true, false),
        ("type NUL with a slash", tar().raw(0, b"d/", b"", 0o644, b"").end(), true, true),
        ("type 7 with a slash", tar().raw(b'7', b"d/", b"", 0o644, b"").end(), false, false),
        ("no end", two().bytes(), false, true),
        ("half an end", [two().bytes(), vec![0; 512]].concat(), false, true),
        ("nothing at all", Vec::new(), false, true),
        ("an end and a record of zeros", [two().end(), vec![0; 9000]].concat(), true, true),
        ("half an end, then more", [two().bytes(), vec![0; 512], two().end()].concat(), false, false),
        ("owners for all", tar().global(&[("uid", "7")]).file("a", "").end(), true, false),
        ("times for all", tar().global(&[("mtime", "7")]).file("a", "").end(), true, false),
        ("a comment for all", tar().global(&[("comment", "0123")]).file("a", "").end(), true, true),
    ];
    for (what, bytes, package, layer) in rows {
        for (strictness, expected) in [(Strictness::PACKAGE, package), (Strictness::LAYER, layer)] {
            let result = read(&bytes, strictness);
            assert_eq!(result.is_ok(), expected, "{what}, {strictness:?}: {result:?}");
        }
    }
    let read = read(&tar().global(&[("uid", "7")]).file("a", "").end(), Strictness::PACKAGE).unwrap();
    assert_eq!(read[0].0.meta.uid, 7);
}

#[test]
fn what_readers_disagree_about_is_refused_to_all() {
    let with = |key: &str, value: &str| tar().pax(&[(key, value)]).file("a", "x").end();
    let good = || tar().file("a", "x");
    let nines = "9".repeat(20);
    let attribute = format!("SCHILY.xattr.user.{}", "n".repeat(251));
    let damaged = {
        let mut tar = good().end();
        tar[0] = b'b';
        tar
    };
    let odd_magic = {
        let mut block = header(b'0', b"a", b"", 0o644, 0);
        block[263] = b'1';
        seal(&mut block);
        tar().block(&block).end()
    };
    for (tar, words) in [
        (with("GNU.sparse.major", "1"), "sparse"),
        (with("SCHILY.realsize", "1"), "sparse"),
        (tar().raw(b'S', b"a", b"", 0, b"").end(), "sparse"),
        (tar().global(&[("GNU.sparse.major", "1")]).file("a", "x").end(), "belongs to one entry"),
        (tar().global(&[("path", "x")]).file("a", "x").end(), "belongs to one entry"),
        (tar().global(&[("size", "1")]).file("a", "x").end(), "belongs to one entry"),
        (tar().global(&[("SCHILY.xattr.user.a", "1")]).file("a", "x").end(), "belongs to one entry"),
        (tar().raw(b'g', b"g", b"", 0, b"10 size=10\n").file("a", "").end(), "malformed"),
        (with("size", "2"), "different sizes"),
        (tar().pax(&[("size", "1")]).raw(b'0', b"a", b"", 0, b"").end(), "different sizes"),
        (tar().pax(&[("size", "0")]).dir("a").end(), "no file has content"),
        (tar().pax(&[("path", "a"), ("path", "b")]).file("a", "").end(), "given twice"),
        (tar().pax(&[("path", "a")]).pax(&[("uid", "1")]).file("a", "").end(), "another header"),
        (tar().pax(&[("path", "a")]).global(&[]).file("a", "").end(), "another header"),
        (tar().long(b'L', "l").pax(&[("uid", "1")]).file("a", "").end(), "another header"),
        (tar().pax(&[("uid", "1")]).long(b'L', "l").file("a", "").end(), "follows a PAX header"),
        (tar().long(b'L', "l").long(b'L', "m").file("a", "").end(), "given twice"),
        (tar().long(b'L', "").file("a", "").end(), "empty"),
        (tar().long(b'K', "a\0b").symlink("a", "b").end(), "NUL"),
        (tar().pax(&[("uid", "1")]).end(), "ends after"),
        (tar().long(b'K', "x").end(), "ends after"),
        (tar().raw(b'5', b"d/", b"", 0o755, b"x").end(), "no file has content"),
        (tar().raw(b'1', b"h", b"a", 0o644, b"x").end(), "no file has content"),
        (tar().raw(b'Z', b"z", b"", 0o644, b"").end(), "unknown"),
        (tar().raw(b'2', b"l", b"", 0o777, b"").end(), "target of a link is empty"),
        (tar().raw(b'1', b"l", b"", 0o777, b"").end(), "target of a link is empty"),
        (tar().symlink("./", "x").end(), "root is a directory"),
        (tar().file("", "x").end(), "name is empty"),
        (with("path", ""), "empty"),
        (with("path", "a\0b"), "NUL"),
        (with("linkpath", "a\0b"), "NUL"),
        (with("uid", "4294967296"), "32 bits"),
        (with("gid", &nines), "malformed"),
        (with("uid", ""), "malformed"),
        (with("mtime", "soon"), "malformed"),
        (with("hdrcharset", "EBCDIC"), "character set"),
        (with(&attribute, ""), "extended attribute"),
        (with("SCHILY.xattr.", "x"), "extended attribute"),
        (with("SCHILY.xattr.user.a", &"x".repeat(256 << 10)), "extended attribute"),
        (with("comment", &"x".repeat(1 << 20)), "larger than allowed"),
        (with("path", &("x/".repeat(2049) + "x")), "larger than allowed"),
        ([good().end(), good().end()].concat(), "follows the end"),
        (damaged, "checksum"),
        (odd_magic, "neither"),
    ] {
        for strictness in [Strictness::PACKAGE, Strictness::LAYER] {
            let found = read(&tar, strictness).expect_err(words).to_string();
            assert!(found.contains(words), "expected `{words}`, got `{found}`");
        }
    }
    // Negative controls: what differs from the above only in being right.
    for tar in [
        with("size", "1"),
        with("hdrcharset", "BINARY"),
        with(&attribute[..attribute.len() - 1], ""),
        with("path", &("x/".repeat(2047) + "x")),
        tar().long(b'K', "l").long(b'L', "m").symlink("a", "b").end(),
        tar().raw(b'2', b"./l", b"x", 0o777, b"").end(),
        tar().raw(b'6', b"fifo", b"", 0o777, b"").end(),
    ] {
        for strictness in [Strictness::PACKAGE, Strictness::LAYER] {
            read(&tar, strictness).unwrap();
        }
    }
}

#[test]
fn a_layer_may_end_between_entries_and_nowhere_else() {
    let tar = tar().file("a", &"x".repeat(700)).file("b", "y").end();
    for length in 0..tar.len() - 1024 {
        let boundary = [0, 512 + 1024].contains(&length);
        let result = read(&tar[..length], Strictness::LAYER);
        assert_eq!(result.is_ok(), boundary, "cut at {length}");
        if let Err(error) = result {
            let early = matches!(&error, TarError::Truncated { .. })
                || matches!(&error, TarError::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof);
            assert!(early, "{error}");
        }
    }
}

#[test]
fn nothing_is_read_after_an_error() {
    // A file that holds a tar, behind a header that is refused.
    let inner = tar().file("inner", "x").bytes();
    let bytes = tar().raw(b'Z', b"z", b"", 0o644, &inner).file("b", "").end();
    let mut reader = Reader::new(&bytes[..], Strictness::LAYER, Limits::default());
    assert!(reader.next_entry().is_err() && reader.next_entry().is_err() && reader.next_entry().is_err());
}

#[test]
fn content_is_lent_out_of_the_stream_and_passed_over_by_seeking() {
    let large = "0123456789".repeat(1000);
    let bytes = tar().file("a", &large).file("b", "y").file("c", "").end();
    let mut reader = Reader::new(Cursor::new(&bytes[..]), Strictness::LAYER, Limits::default());
    let entry = reader.next_entry().unwrap().unwrap();
    let piece = reader.fill_buf().unwrap();
    // All of it at once, at its place in the input: nothing was copied.
    assert_eq!((piece.len(), piece.as_ptr()), (large.len(), bytes[512..].as_ptr()));
    assert_eq!(entry.offset, 512);
    reader.consume(100);
    reader.seek_content().unwrap();
    assert_eq!(*reader.next_entry().unwrap().unwrap().name, *b"b");
    reader.seek_content().unwrap();
    assert_eq!(*reader.next_entry().unwrap().unwrap().name, *b"c");
    reader.seek_content().unwrap();
    assert!(reader.next_entry().unwrap().is_none());
    assert_eq!(reader.position(), bytes.len() as u64);
    // A file that was cut short is noticed though it was not read.
    let cut = BufReader::new(Cursor::new(&bytes[..9000]));
    let mut reader = Reader::new(cut, Strictness::LAYER, Limits::default());
    reader.next_entry().unwrap().unwrap();
    reader.seek_content().unwrap();
    assert!(matches!(reader.next_entry(), Err(TarError::Truncated { .. })));
}

#[test]
fn limits_hold_before_anything_is_read_or_reserved() {
    let limits = Limits { entries: 3, name: 20, pax: 100, total: 1 << 20 };
    let big = tar().block(&header(b'0', b"big", b"", 0o644, 1 << 21)).bytes();
    for (tar, what) in [
        (tar().dir("a").dir("b").dir("c").dir("d").end(), "3 entries"),
        (tar().global(&[]).global(&[]).global(&[]).global(&[]).end(), "3 entries"),
        (tar().long(b'L', &"n".repeat(21)).file("a", "").end(), "bytes in a name"),
        (tar().long(b'K', &"n".repeat(21)).symlink("a", "b").end(), "bytes in a name"),
        (tar().pax(&[("path", &"n".repeat(21))]).file("a", "").end(), "20 bytes in a name"),
        (tar().pax(&[("comment", &"n".repeat(100))]).file("a", "").end(), "100 bytes of PAX"),
        (big, "1048576 bytes"),
    ] {
        let mut reader = Reader::new(&tar[..], Strictness::LAYER, limits);
        let error = loop {
            match reader.next_entry() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("{what} were taken"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, TarError::Limit { .. }) && error.to_string().contains(what), "{error}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..4096), seals in 0..4_usize) {
        // Sealed headers get past the checksum, where the other checks are.
        for at in 0..seals.min(bytes.len() / BLOCK) {
            let mut block: [u8; BLOCK] = bytes[at * BLOCK..][..BLOCK].try_into().unwrap();
            block[124..136].copy_from_slice(b"00000000100\x00");
            block[100..124].copy_from_slice(b"0000644\x000000000\x000000000\x00");
            block[136..148].copy_from_slice(b"00000000000\x00");
            block[257..265].copy_from_slice(b"ustar\x0000");
            block[156] = b"x0LKg512S"[usize::from(block[156]) % 9];
            seal(&mut block);
            bytes[at * BLOCK..][..BLOCK].copy_from_slice(&block);
        }
        for strictness in [Strictness::PACKAGE, Strictness::LAYER] {
            let _ = read(&bytes, strictness);
        }
    }
}
