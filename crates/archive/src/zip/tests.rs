//! Zips made by others, and hostile ones.

use std::io::Cursor;

use super::*;

const LIMITS: Limits = Limits { entries: 100, total: 1 << 20, directory: 1 << 20 };

/// A zip as its parts, so that each can be made wrong.
#[derive(Clone)]
struct Part {
    local_name: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    size: u32,
    method: u16,
    flags: u16,
    crc: u32,
    mode: u32,
    extra: Vec<u8>,
}

fn stored(name: &str, data: &[u8]) -> Part {
    Part {
        local_name: name.into(),
        name: name.into(),
        data: data.into(),
        size: data.len() as u32,
        method: 0,
        flags: 0,
        crc: crc32fast::hash(data),
        mode: if name.ends_with('/') { 0o040_755 } else { 0o100_644 },
        extra: Vec::new(),
    }
}

fn deflated(name: &str, data: &[u8]) -> Part {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    Part {
        data: encoder.finish().unwrap(),
        method: 8,
        ..Part { size: data.len() as u32, ..stored(name, data) }
    }
}

fn build(parts: &[Part]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for part in parts {
        let at = out.len() as u32;
        let mut sizes = Vec::new();
        sizes.extend_from_slice(&part.flags.to_le_bytes());
        sizes.extend_from_slice(&part.method.to_le_bytes());
        sizes.extend_from_slice(&[0, 0, 0x21, 0x00]);
        for value in [part.crc, part.data.len() as u32, part.size] {
            sizes.extend_from_slice(&value.to_le_bytes());
        }
        out.extend_from_slice(b"PK\x03\x04\x14\0");
        out.extend_from_slice(&sizes);
        out.extend_from_slice(&(part.local_name.len() as u16).to_le_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&part.local_name);
        out.extend_from_slice(&part.data);
        directory.extend_from_slice(b"PK\x01\x02\x14\x03\x14\0");
        directory.extend_from_slice(&sizes);
        directory.extend_from_slice(&(part.name.len() as u16).to_le_bytes());
        directory.extend_from_slice(&(part.extra.len() as u16).to_le_bytes());
        directory.extend_from_slice(&[0; 6]);
        directory.extend_from_slice(&(part.mode << 16).to_le_bytes());
        directory.extend_from_slice(&at.to_le_bytes());
        directory.extend_from_slice(&part.name);
        directory.extend_from_slice(&part.extra);
    }
    let at = out.len() as u32;
    out.extend_from_slice(&directory);
    out.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    for _ in 0..2 {
        out.extend_from_slice(&(parts.len() as u16).to_le_bytes());
    }
    out.extend_from_slice(&(directory.len() as u32).to_le_bytes());
    out.extend_from_slice(&at.to_le_bytes());
    out.extend_from_slice(&[0, 0]);
    out
}

fn read_all(bytes: &[u8]) -> Result<Vec<(Member, Vec<u8>)>, ZipError> {
    let mut archive = Archive::new(Cursor::new(bytes), LIMITS)?;
    let mut all = Vec::new();
    for index in 0..archive.entries().len() {
        let mut content = Vec::new();
        archive.copy(index, &mut content)?;
        all.push((archive.entries()[index].clone(), content));
    }
    Ok(all)
}

/// Info-ZIP 3.0: `zip -X -y infozip.zip dir dir/stored dir/deflated dir/link` on files of 2024-02-29 12:34:56 UTC, then
/// `zip -fz -X` for the zip64 form of the same.
#[test]
fn zips_of_info_zip_are_read() {
    for bytes in [
        &include_bytes!("../../tests/fixtures/infozip.zip")[..],
        include_bytes!("../../tests/fixtures/infozip64.zip"),
        include_bytes!("../../tests/fixtures/python.zip"),
    ] {
        let entries = read_all(bytes).unwrap();
        let short: Vec<_> = entries
            .iter()
            .map(|(entry, content)| (entry.path.to_string(), entry.kind, entry.mode, content.len()))
            .collect();
        assert_eq!(
            short,
            [
                ("/dir".into(), MemberKind::Directory, 0o750, 0),
                ("/dir/stored".into(), MemberKind::File, 0o755, 7),
                ("/dir/deflated".into(), MemberKind::File, 0o640, 5000),
                ("/dir/link".into(), MemberKind::Symlink, 0o777, 6),
            ]
        );
        assert_eq!(entries[1].0.mtime, 1_709_210_096);
        assert_eq!(entries[1].1, b"stored\n");
        assert!(entries[2].1.iter().all(|&byte| byte == b'x'));
        assert_eq!(entries[3].1, b"stored");
        for cut in 0..bytes.len() {
            assert!(read_all(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }
}

#[test]
fn hostile_zips_are_refused() {
    let good = || vec![stored("a", b"one"), deflated("b", &[b'x'; 5000]), stored("d/", b"")];
    assert_eq!(read_all(&build(&good())).unwrap().len(), 3);
    assert_eq!(read_all(&build(&[])).unwrap().len(), 0);
    type Change = fn(&mut Vec<Part>);
    let cases: [(&str, Change, &str); 16] = [
        ("absolute", |parts| *parts = vec![stored("/a", b"")], "absolute"),
        ("`..`", |parts| *parts = vec![stored("a/../../b", b"")], "refused"),
        ("another local name", |parts| parts[0].local_name = b"z".into(), "differ"),
        ("encrypted", |parts| parts[0].flags = 1, "encrypted"),
        ("masked", |parts| parts[0].flags = 1 << 13, "encrypted"),
        ("another method", |parts| parts[0].method = 14, "neither"),
        ("wrong CRC", |parts| parts[0].crc ^= 1, "CRC"),
        ("wrong CRC of deflated", |parts| parts[1].crc ^= 1, "CRC"),
        ("stored with another size", |parts| parts[0].size = 4, "sizes differ"),
        ("longer than announced", |parts| parts[1].size = 4999, "failed to read"),
        ("shorter than announced", |parts| parts[1].size = 5001, "shorter"),
        ("more than the limit", |parts| parts[1].size = 2 << 20, "larger"),
        ("bytes behind deflate", |parts| parts[1].data.push(0), "compressed size"),
        ("a device", |parts| parts[0].mode = 0o020_644, "mode"),
        ("a directory with content", |parts| *parts = vec![stored("d/", b"x")], "with content"),
        ("a second name", |parts| parts[0].extra = b"\x75\x70\x01\0z".into(), "second name"),
    ];
    for (what, change, expected) in cases {
        let mut parts = good();
        change(&mut parts);
        match read_all(&build(&parts)) {
            Ok(_) => panic!("{what} was accepted"),
            Err(error) => assert!(error.to_string().contains(expected), "{what}: {error}"),
        }
    }
}

#[test]
fn ambiguous_structure_is_refused() {
    let good = build(&[stored("a", b"one"), stored("b", b"two")]);
    let refused = |what: &str, bytes: &[u8]| assert!(read_all(bytes).is_err(), "{what}");
    refused("bytes in front", &[b"#!/bin/sh\n", &good[..]].concat());
    refused("bytes behind", &[&good[..], b"x"].concat());
    refused("two archives", &[&good[..], &good[..]].concat());
    let mut comment = good.clone();
    let at = comment.len() - 2;
    comment[at] = 22;
    comment.extend_from_slice(b"PK\x05\x06");
    comment.extend_from_slice(&[0; 18]);
    refused("an end record in the comment", &comment);
    // The second entry points at the first one's header: names differ. With equal names they overlap.
    let mut overlap = build(&[stored("a", b"one"), stored("a", b"one")]);
    let central = overlap.windows(4).rposition(|bytes| bytes == b"PK\x01\x02").unwrap();
    overlap[central + 42..central + 46].fill(0);
    let error = read_all(&overlap).unwrap_err().to_string();
    assert!(error.contains("overlaps"), "{error}");
    let limits = Limits { entries: 1, total: 1 << 20, directory: 1 << 20 };
    assert!(matches!(Archive::new(Cursor::new(&good), limits), Err(ZipError::Limit { what: "entries", .. })));
}

#[test]
fn dos_times_are_utc() {
    let at = |years: u16, month: u16, day: u16, time: [u16; 3]| {
        dos_time(years << 9 | month << 5 | day, time[0] << 11 | time[1] << 5 | (time[2] / 2))
    };
    // `date -u -d '2024-02-29 12:34:56' +%s` and so on; the last but one is the end of DOS time.
    assert_eq!(at(44, 2, 29, [12, 34, 56]), 1_709_210_096);
    assert_eq!(at(0, 1, 1, [0, 0, 0]), 315_532_800);
    assert_eq!(at(120, 3, 1, [0, 0, 0]), 4_107_542_400);
    assert_eq!(at(127, 12, 31, [23, 59, 58]), 4_354_819_198);
    assert_eq!(dos_time(0, 0), 315_532_800);
    assert_eq!(at(0, 15, 1, [0, 0, 0]), 315_532_800);
}

proptest::proptest! {
    #[test]
    fn harmed_zips_never_panic(changes in proptest::collection::vec((proptest::num::usize::ANY, proptest::num::u8::ANY), 1..5)) {
        let mut bytes = build(&[stored("a", b"one"), deflated("b", &[b'x'; 500]), stored("d/", b"")]);
        let length = bytes.len();
        for (at, value) in changes {
            bytes[at % length] = value;
        }
        let _ = read_all(&bytes);
    }
}
