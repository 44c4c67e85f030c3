//! ELF files, whole and harmed.

use proptest::prelude::*;

use super::*;

const LIBRARY: &[u8] = include_bytes!("../../tests/fixtures/libfixture64.so");
const PROGRAM: &[u8] = include_bytes!("../../tests/fixtures/program64");
const NARROW: &[u8] = include_bytes!("../../tests/fixtures/libfixture32.so");

/// An ELF file of 64 bits, little-endian, with one loaded segment and the names given. A second opinion on it is that of
/// the real `ldconfig` (in the tests of the cache).
pub(super) fn build(kind: u16, machine: u16, soname: Option<&str>) -> Vec<u8> {
    let mut strings = vec![0];
    strings.extend_from_slice(soname.unwrap_or_default().as_bytes());
    strings.push(0);
    let (table, dynamic) = (64_u64, 64 + 2 * 56_u64);
    let mut tags: Vec<(u64, u64)> = Vec::new();
    if soname.is_some() {
        tags.push((14, 1));
    }
    let at = dynamic + 16 * (tags.len() as u64 + 3);
    tags.extend([(5, at), (10, strings.len() as u64), (0, 0)]);
    let size = at + strings.len() as u64;

    let mut out = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    for half in [kind, machine, 1, 0] {
        out.extend_from_slice(&half.to_le_bytes());
    }
    for word in [0, table, 0] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for half in [0_u16, 0, 64, 56, 2, 64, 0, 0] {
        out.extend_from_slice(&half.to_le_bytes());
    }
    for (kind, start, length) in [(1_u32, 0, size), (2, dynamic, size - dynamic - strings.len() as u64)] {
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&5_u32.to_le_bytes());
        for word in [start, start, start, length, length, 8] {
            out.extend_from_slice(&word.to_le_bytes());
        }
    }
    for (tag, value) in tags {
        out.extend_from_slice(&tag.to_le_bytes());
        out.extend_from_slice(&value.to_le_bytes());
    }
    out.extend_from_slice(&strings);
    out
}

/// Linked with gcc and binutils; the expectations are those of `readelf -ld`.
#[test]
fn what_readelf_says() {
    let library = parse(LIBRARY).unwrap();
    assert_eq!(
        library,
        Elf {
            machine: 62,
            class: ElfClass::Elf64,
            kind: ElfKind::Dynamic,
            interpreter: None,
            soname: Some((*b"libfixture.so.2").into()),
            needed: vec![(*b"libbase.so.1").into(), (*b"libm.so.6").into()],
            runpath: Some((*b"$ORIGIN/../lib").into()),
        }
    );
    let program = parse(PROGRAM).unwrap();
    assert_eq!(program.interpreter.as_deref(), Some(&b"/lib64/ld-linux-x86-64.so.2"[..]));
    assert_eq!(program.needed, [Box::from(*b"libbase.so.1")]);
    assert_eq!((program.kind, program.soname), (ElfKind::Dynamic, None));
    let narrow = parse(NARROW).unwrap();
    assert_eq!((narrow.machine, narrow.class), (3, ElfClass::Elf32));
    assert_eq!(narrow.soname.as_deref(), Some(&b"libfixture.so.2"[..]));
}

#[test]
fn other_files_are_no_elf() {
    assert_eq!(parse(b""), None);
    assert_eq!(parse(b"\x7fELF"), None);
    assert_eq!(
        parse(b"#!/bin/sh\necho a script that is long enough for a header of sixty-four bytes\n"),
        None
    );
    let mut harmed = build(3, 62, Some("libx.so.1"));
    assert!(parse(&harmed).is_some());
    harmed[56..58].copy_from_slice(&[0xff, 0xff]);
    assert_eq!(parse(&harmed), None);
    let whole = build(3, 62, Some("libx.so.1"));
    for cut in 0..whole.len() {
        assert_eq!(parse(&whole[..cut]), None, "cut at {cut}");
    }
}

proptest! {
    #[test]
    fn harmed_files_never_panic(changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6)) {
        for original in [LIBRARY, PROGRAM, NARROW] {
            let mut bytes = original.to_vec();
            // Mostly in the headers, where harm matters.
            for (at, value) in &changes {
                let reach = if at % 2 == 0 { bytes.len() } else { 400.min(bytes.len()) };
                bytes[at % reach] = *value;
            }
            let _ = parse(&bytes);
        }
    }
}
