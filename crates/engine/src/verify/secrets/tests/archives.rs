//! Archives with a secret in them, of each form and in each other; those that cannot be looked at, each for its reason.

use std::path::Path;

use pinfold_testkit::debian::Deb;
use pinfold_testkit::tar::Tar;
use pinfold_testkit::tar::gzip;

use super::super::archives::Limits;
use super::*;

fn secret() -> Vec<u8> {
    format!("key = ghp_{}\n", checked()).into_bytes()
}

/// A zip as APPNOTE.TXT has it: members stored or deflated.
fn zip(members: &[(&str, &[u8])], method: u16, flags: u16) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in members {
        let packed = gzip(content);
        // Without the header and the trailer of gzip it is what zip calls deflated.
        let data = if method == 8 { &packed[10..packed.len() - 8] } else { content };
        let mut fields = [20_u16, flags, method, 0, 0x21].map(u16::to_le_bytes).concat();
        for number in [crc32fast::hash(content), data.len() as u32, content.len() as u32] {
            fields.extend(number.to_le_bytes());
        }
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend([0, 0]);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&fields);
        directory.extend([0; 10]);
        directory.extend((out.len() as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        out.extend(b"PK\x03\x04");
        out.extend(&fields);
        out.extend(name.as_bytes());
        out.extend(data);
    }
    let (at, size, count) = (out.len() as u32, directory.len() as u32, (members.len() as u16).to_le_bytes());
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([count, count].concat());
    out.extend([size.to_le_bytes(), at.to_le_bytes()].concat());
    out.extend([0, 0]);
    out
}

fn tar_gz(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = Tar::new(7);
    for (name, content) in members {
        tar.file(name, 0o644, content);
    }
    tar.gzip()
}

fn unpacked(gzip: &[u8]) -> Vec<u8> {
    use std::io::Read as _;
    let mut out = Vec::new();
    let compression = pinfold_archive::codec::Compression::Gzip;
    pinfold_archive::codec::decoder(compression, gzip).unwrap().read_to_end(&mut out).unwrap();
    out
}

/// A frame of one raw block (RFC 8878, 3.1.1).
fn zstd(content: &[u8]) -> Vec<u8> {
    let block = (content.len() << 3 | 1).to_le_bytes();
    [&[0x28, 0xb5, 0x2f, 0xfd, 0x20, content.len() as u8][..], &block[..3], content].concat()
}

fn deb(content: &[u8]) -> Vec<u8> {
    Deb::new("tool", "1", "all").file("etc/tool.conf", 0o644, content).bytes()
}

/// What comes of one file, fed in chunks.
fn chunked(path: &str, bytes: &[u8], chunk: usize, limits: Limits) -> [Outcome; 2] {
    let scanner = Scanner::new();
    let folder = tempfile::tempdir().unwrap();
    let mut files = Files::new(&scanner, folder.path());
    files.archives.limits = limits;
    files.begin(0, &ImagePath::new(path).unwrap(), bytes.len() as u64);
    bytes.chunks(chunk).for_each(|chunk| files.feed(chunk));
    files.end();
    let outcomes = files.outcomes();
    assert_eq!(fs_err::read_dir(folder.path()).unwrap().count(), 0);
    outcomes
}

/// What comes of one archive, and where secrets were found.
fn looked(path: &str, bytes: &[u8]) -> (Verdict, Vec<String>, String) {
    let [files, archives] = chunked(path, bytes, 1 << 16, Limits::default());
    assert_eq!(
        files.verdict,
        Verdict::Passed,
        "{path}: what is in an archive is told of it alone: {files:?}"
    );
    (archives.verdict, archives.findings.into_iter().map(|finding| finding.at).collect(), archives.evidence)
}

type Make = fn(&[u8]) -> Vec<u8>;

#[test]
fn members_are_looked_at_whatever_form_an_archive_has() {
    let forms: [(&str, &str, Make); 14] = [
        ("srv/a.tar", "/srv/a.tar!x/app.conf", |text| unpacked(&tar_gz(&[("x/app.conf", text)]))),
        ("srv/a.tgz", "/srv/a.tgz!x/app.conf", |text| tar_gz(&[("./x/app.conf", text)])),
        ("srv/a.zip", "/srv/a.zip!app.conf", |text| zip(&[("app.conf", text)], 8, 0)),
        ("srv/a.jar", "/srv/a.jar!app.conf", |text| zip(&[("b", b"b"), ("app.conf", text)], 0, 0)),
        ("srv/a.jmod", "/srv/a.jmod!app.conf", |text| {
            [b"JM\x01\x00", &zip(&[("app.conf", text)], 8, 0)[..]].concat()
        }),
        ("srv/dump.sql.gz", "/srv/dump.sql.gz!dump.sql", gzip),
        ("srv/dump.zst", "/srv/dump.zst!dump", zstd),
        ("srv/a.deb", "/srv/a.deb!data.tar.gz!etc/tool.conf", deb),
        ("srv/a.tgz", "/srv/a.tgz!b.zip!app.conf", |text| {
            tar_gz(&[("b.zip", &zip(&[("app.conf", text)], 8, 0))])
        }),
        ("srv/a.zip", "/srv/a.zip!b.tgz!c.gz!c", |text| {
            zip(&[("b.tgz", &tar_gz(&[("c.gz", &gzip(text))]))], 0, 0)
        }),
        // Names that lead elsewhere, or are none.
        ("srv/a.tgz", "/srv/a.tgz!etc/x", |text| tar_gz(&[("../../etc/x", text)])),
        ("srv/a.tgz", "/srv/a.tgz!etc/x", |text| tar_gz(&[("/etc/x", text)])),
        ("srv/a.tgz", "/srv/a.tgz!a\\nb", |text| tar_gz(&[("a\nb", text)])),
        // The name does not say what it is.
        ("srv/blob", "/srv/blob!x", |text| tar_gz(&[("x", text)])),
    ];
    for (path, at, make) in forms {
        let (verdict, found, evidence) = looked(path, &make(&secret()));
        assert_eq!((verdict, found), (Verdict::Failed, vec![at.to_owned()]), "{path}: {evidence}");
        let (verdict, found, evidence) = looked(path, &make(b"key = none\n"));
        assert_eq!((verdict, found.len()), (Verdict::Passed, 0), "{path}: {evidence}");
        assert!(evidence.contains("archives, "), "{path}: {evidence}");
    }
}

#[test]
fn logins_and_known_keys_are_told_by_their_members_names() {
    let npmrc = format!("//registry.example/:_authToken={}\n", drawn(24, ALL));
    let of = |name: &str| looked("root/home.tgz", &tar_gz(&[(name, npmrc.as_bytes())])).1;
    assert_eq!(of("home/me/.npmrc"), ["/root/home.tgz!home/me/.npmrc"]);
    assert_eq!(of("home/me/notes"), [""; 0]);
    let of = |path: &str| looked(path, &zip(&[("test/key.pem", key().as_bytes())], 8, 0));
    assert_eq!(
        of("usr/lib/python3.11/x.zip").2,
        "1 archives, 1 members, 241 B; 1 known keys that protect nothing"
    );
    assert_eq!(of("srv/x.zip").0, Verdict::Failed);
}

#[test]
fn chunks_and_files_aside_change_nothing() {
    let large = [&vec![b'x'; 5 << 20][..], &secret()].concat();
    for (bytes, chunks) in
        [(zip(&[("a", &secret())], 8, 0), [1, 7, 511]), (zip(&[("a", &large)], 0, 0), [513, 4096, 1 << 20])]
    {
        for chunk in chunks {
            let [_, archives] = chunked("srv/a.zip", &bytes, chunk, Limits::default());
            assert_eq!(archives.findings.len(), 1, "{chunk}: {archives:?}");
        }
    }
}

#[test]
fn what_is_no_archive_is_none() {
    for bytes in [&b"\x1f\x8b is no gzip"[..], b"PK", b"", b"#!/bin/sh\n", b"!<arch>\nlibc.o/", &[0; 600]] {
        let (verdict, _, evidence) = looked("srv/x", bytes);
        assert_eq!((verdict, evidence.as_str()), (Verdict::Passed, "none of 1 files is an archive"));
    }
    // Python's zipapp: the first line is part of the archive, and places are counted from it.
    let line = b"#!/usr/bin/env python3\n";
    let mut app = zip(&[("app.py", &secret())], 8, 0);
    let end = app.len();
    let central = u32::from_le_bytes(app[end - 6..end - 2].try_into().unwrap());
    app[end - 6..end - 2].copy_from_slice(&(central + line.len() as u32).to_le_bytes());
    app[central as usize + 42..central as usize + 46].copy_from_slice(&(line.len() as u32).to_le_bytes());
    assert_eq!(looked("usr/bin/app", &[line, &app[..]].concat()).1, ["/usr/bin/app!app.py"]);
}

#[test]
fn what_was_not_looked_at_is_told_and_does_not_pass() {
    let small =
        Limits { kept: 1 << 20, members: 4, bytes: 3 << 20, all: 5 << 20, swells: 100, swells_from: 1 << 20 };
    let zeros = vec![0; 2 << 20];
    let bomb = gzip(&zeros);
    let deep = (0..4).fold(secret(), |inner, _| gzip(&inner));
    let many: Vec<(&str, &[u8])> = ["a", "b", "c", "d", "e"].map(|name| (name, &b"x"[..])).into();
    let cut = tar_gz(&[("a", &drawn(5000, ALL).into_bytes())]);
    let cases: [(&str, Vec<u8>, &str); 10] = [
        ("srv/a.gz", bomb.clone(), "`/srv/a.gz` was not looked at: it holds more than 100 times its size"),
        (
            "srv/a.zip",
            zip(&[("a.gz", &bomb)], 0, 0),
            "`/srv/a.zip` was not looked at: it holds more than 100 times",
        ),
        (
            "srv/a.zip",
            zip(&[("a", &zeros), ("b", &zeros)], 8, 0),
            "`/srv/a.zip` was not looked at: zip is larger than allowed",
        ),
        (
            "srv/a.tgz",
            tar_gz(&many),
            "`/srv/a.tgz` was not looked at: tar is larger than allowed: more than 4 entries",
        ),
        (
            "srv/a.tgz",
            tar_gz(&[("z", &drawn(1 << 21, ALL).into_bytes())]),
            "was not looked at: it has more than 1.0 MiB",
        ),
        ("srv/a.gz", deep, "`/srv/a.gz!a!a!a` was not looked at: it lies deeper than 3 archives"),
        (
            "srv/a.zip",
            zip(&[("a", b"x")], 8, 1),
            "`/srv/a.zip` was not looked at: zip entry `a` is refused: it is encrypted",
        ),
        ("srv/a.tgz", cut[..cut.len() / 2].to_vec(), "`/srv/a.tgz` was not looked at: "),
        (
            "srv/a.7z",
            b"7z\xbc\xaf\x27\x1c and so on".to_vec(),
            "`/srv/a.7z` was not looked at: nothing here reads 7-Zip",
        ),
        (
            "srv/a.zip",
            zip(&[("a", b"x")], 8, 0)[..50].to_vec(),
            "`/srv/a.zip` was not looked at: zip is refused",
        ),
    ];
    for (path, bytes, expected) in &cases {
        let [_, archives] = chunked(path, bytes, 1 << 16, small);
        assert_eq!(archives.verdict, Verdict::NotRun, "{expected}: {archives:?}");
        assert!(archives.evidence.contains(expected), "{expected}: {archives:?}");
    }
    // Of an image with many only the first are told by name; all of them count.
    let scanner = Scanner::new();
    let mut files = Files::new(&scanner, Path::new("/nowhere"));
    files.archives.limits = Limits { swells: 10_000, ..small };
    for number in 0..9 {
        files.begin(0, &ImagePath::new(format!("srv/{number}.gz")).unwrap(), 0);
        files.feed(&bomb);
        files.end();
    }
    let [_, archives] = files.outcomes();
    assert_eq!(archives.verdict, Verdict::NotRun);
    assert!(
        archives
            .evidence
            .contains("`/srv/2.gz` was not looked at: archives of this image hold more than 5.0 MiB")
    );
    assert!(archives.evidence.ends_with("; and 2 more"), "{}", archives.evidence);
}

#[test]
fn a_damaged_archive_is_looked_at_up_to_there_and_those_of_tests_are_counted() {
    let filler = drawn(60_000, ALL).into_bytes();
    let mut tar = tar_gz(&[("app.conf", &secret()), ("filler", &filler)]);
    tar.truncate(tar.len() / 2);
    assert_eq!(looked("srv/a.tgz", &tar).1, ["/srv/a.tgz!app.conf"]);
    // A wrong checksum hides neither its member nor the next.
    let mut zip = zip(&[("a", b"one"), ("app.conf", &secret())], 0, 0);
    let at = zip.windows(3).position(|bytes| bytes == b"one").unwrap();
    zip[at] = b'O';
    let (verdict, found, evidence) = looked("srv/a.zip", &zip);
    assert_eq!((verdict, found), (Verdict::Failed, vec!["/srv/a.zip!app.conf".to_owned()]));
    assert!(
        evidence.contains("`/srv/a.zip` was not looked at: zip entry `a` is refused: its CRC-32 is wrong"),
        "{evidence}"
    );
    let broken = gzip(&filler)[..1000].to_vec();
    assert_eq!(looked("srv/x.gz", &broken).0, Verdict::NotRun);
    let (verdict, _, evidence) = looked("usr/lib/go/src/testdata/x.gz", &broken);
    assert_eq!(verdict, Verdict::Passed);
    assert!(evidence.contains("1 damaged ones that are data of tests"), "{evidence}");
}
