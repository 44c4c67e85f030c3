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

#[test]
fn what_is_to_be_mapped_lies_in_the_file_or_not() {
    for whole in [LIBRARY, PROGRAM, NARROW] {
        assert_eq!(parse(whole).unwrap().load, ElfLoad::Whole);
    }
    let mut program = build(2, 62, None);
    let size = program.len() as u64;
    // `p_filesz` of the first header.
    for (filesz, expected) in
        [(size, ElfLoad::Whole), (size + 1, ElfLoad::CutOff), (u64::MAX, ElfLoad::CutOff)]
    {
        program[64 + 32..64 + 40].copy_from_slice(&filesz.to_le_bytes());
        assert_eq!(parse(&program).unwrap().load, expected, "{filesz}");
    }
    // No header at all.
    program[56] = 0;
    assert_eq!(parse(&program).unwrap().load, ElfLoad::Nothing);
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
            load: ElfLoad::Whole,
            interpreter: None,
            soname: Some((*b"libfixture.so.2").into()),
            needed: vec![(*b"libbase.so.1").into(), (*b"libm.so.6").into()],
            order: ElfOrder::Little,
            os_abi: 0,
            rpath: None,
            runpath: Some((*b"$ORIGIN/../lib").into()),
            no_default_directories: false,
            position_independent: false,
            versions_needed: Vec::new(),
            versions_defined: Vec::new(),
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

/// A library of 64 bits with one table of needed and one of defined versions, whose dynamic section is at its end. Built by
/// hand, so that a test can harm what it wants; that the reader finds it as it should is judged by `readelf` on real ones.
struct Versioned {
    bytes: Vec<u8>,
    needs: usize,
    defines: usize,
}

fn versioned(gap: usize) -> Versioned {
    let strings = b"\0libc.so.6\0GLIBC_2.34\0GLIBC_2.2\0libx.so.1\0X_1\0";
    let (needs, defines) = (64 + 2 * 56, 64 + 2 * 56 + 48);
    let names = defines + 56;
    let dynamic = names + strings.len() + gap;
    let size = dynamic + 16 * 7;
    let mut out = build(3, 62, None)[..64].to_vec();
    for (kind, start, length) in [(1_u32, 0, size), (2, dynamic, 16 * 7)] {
        out.extend([kind, 5].into_iter().flat_map(u32::to_le_bytes));
        out.extend(
            [start, start, start, length, length, 8].into_iter().flat_map(|n| (n as u64).to_le_bytes()),
        );
    }
    // Verneed with two Vernaux, two Verdef with one Verdaux each: halves and words in the order of the specification.
    let mut put = |halves: &[u16], words: &[u32]| {
        out.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
        out.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    };
    put(&[1, 2], &[1, 16, 0]);
    put(&[0, 0, 0, 0], &[11, 16]);
    put(&[0, 0, 2, 0], &[22, 0]);
    put(&[1, 1, 1, 1], &[0, 20, 28]);
    put(&[], &[32, 0]);
    put(&[1, 0, 2, 1], &[0, 20, 0]);
    put(&[], &[42, 0]);
    out.extend_from_slice(strings);
    out.resize(dynamic, 0);
    for (tag, value) in [
        (1, 1),
        (14, 32),
        (5, names),
        (10, strings.len()),
        (0x6fff_fffe, needs),
        (0x6fff_fffc, defines),
        (0, 0),
    ] {
        out.extend([tag, value as u64].into_iter().flat_map(u64::to_le_bytes));
    }
    Versioned { bytes: out, needs, defines }
}

/// Loaders do not ask for the table's size: glibc 2.36 starts a program without it.
#[test]
fn names_are_read_without_the_size_of_their_table_and_asked_for_where_there_is_none() {
    let tag = |tag: u64| tag.to_le_bytes();
    let without = |gone: u64| {
        let mut bytes = versioned(0).bytes;
        let at = bytes.len() - 16 * 7;
        let pair = bytes[at..].chunks_exact(16).position(|pair| pair[..8] == tag(gone)).unwrap();
        // DT_DEBUG says nothing.
        bytes[at + 16 * pair..][..8].copy_from_slice(&tag(21));
        bytes
    };
    assert_eq!(parse(&without(10)), parse(&versioned(0).bytes));
    assert_eq!(pass(&without(10), 70, 50).1, pass(&versioned(0).bytes, 70, 50).1);
    match pass(&without(5), HEAD, 4096).0 {
        Passed::Malformed(why) => assert_eq!(why, "it has names and no table of them"),
        other => panic!("{other:?}"),
    }
}

/// Names that share their bytes are kept one by one: a small file would fill the memory.
#[test]
fn names_that_overlap_are_bounded_taken_together() {
    let overlapping = |count: u64| {
        let strings = [vec![b'n'; 4000], vec![0]].concat();
        let mut out = build(3, 62, None)[..64].to_vec();
        let (dynamic, names) = (64 + 2 * 56, 64 + 2 * 56 + 16 * (count + 3));
        let size = names + strings.len() as u64;
        for (kind, start, length) in [(1_u32, 0, size), (2, dynamic, 16 * (count + 3))] {
            out.extend([kind, 5].into_iter().flat_map(u32::to_le_bytes));
            out.extend([start, start, start, length, length, 8].into_iter().flat_map(u64::to_le_bytes));
        }
        let tags = [(5, names), (10, strings.len() as u64)].into_iter().chain((0..count).map(|_| (1, 0)));
        for (tag, value) in tags.chain([(0, 0)]) {
            out.extend([tag, value].into_iter().flat_map(u64::to_le_bytes));
        }
        out.extend_from_slice(&strings);
        out
    };
    assert_eq!(parse(&overlapping(200)).unwrap().needed.len(), 200);
    match pass(&overlapping(300), HEAD, 4096).0 {
        Passed::Malformed(why) => assert_eq!(why, "its names are too long, taken together"),
        other => panic!("{other:?}"),
    }
}

/// Feeds a file until it is settled; how often it passed by.
fn pass(bytes: &[u8], head: u64, chunk: usize) -> (Passed, u32) {
    let mut partial = Partial::with_head(bytes.len() as u64, head);
    for passes in 1.. {
        bytes.chunks(chunk).for_each(|chunk| partial.feed(chunk));
        match partial.end() {
            Passed::Again(again) => {
                assert!(!again.missing().is_empty());
                partial = again;
            }
            other => return (other, passes),
        }
    }
    unreachable!()
}

#[test]
fn versions_are_read() {
    let library = versioned(0);
    let elf = parse(&library.bytes).unwrap();
    assert_eq!(elf.soname.as_deref(), Some(&b"libx.so.1"[..]));
    assert_eq!(elf.versions_defined, [Box::from(*b"libx.so.1"), Box::from(*b"X_1")]);
    let version = |name: &[u8], weak| Version { name: name.into(), weak };
    let versions = vec![version(b"GLIBC_2.34", false), version(b"GLIBC_2.2", true)];
    assert_eq!(elf.versions_needed, [VersionsNeeded { library: (*b"libc.so.6").into(), versions }]);
}

#[test]
fn tables_that_lead_astray_are_refused() {
    let harmed = |at: fn(&Versioned) -> usize, value: u32| {
        let mut library = versioned(0);
        let at = at(&library);
        library.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        match pass(&library.bytes, HEAD, 7).0 {
            Passed::Malformed(why) => {
                assert_eq!(parse(&library.bytes), None);
                why
            }
            other => panic!("{other:?}"),
        }
    };
    // The next needed library, the next needed version, the next defined version: outside of the file.
    assert_eq!(harmed(|library| library.needs + 12, 0xffff_fff0), "a table ends early");
    assert_eq!(harmed(|library| library.needs + 28, 0xffff_fff0), "a table ends early");
    assert_eq!(harmed(|library| library.defines + 16, 0xffff_fff0), "a table ends early");
    assert_eq!(harmed(|library| library.needs + 4, 0x7fff_ffff), "a name is outside of the table of names");
    // Each entry's versions are all entries after it.
    let mut library = versioned(1 << 17);
    library.bytes.truncate(library.bytes.len() - 16 * 7);
    let start = library.bytes.len() as u64;
    library.bytes.extend((0..1 << 12).flat_map(|_| [0x1_0001, 1, 16, 16]).flat_map(u32::to_le_bytes));
    let end = library.bytes.len() - 4;
    library.bytes[end..].fill(0);
    let section = library.bytes.len() as u64;
    for (tag, value) in [(5, 0), (10, 64), (0x6fff_fffe, start), (0, 0_u64)] {
        library.bytes.extend([tag, value].into_iter().flat_map(u64::to_le_bytes));
    }
    let size = library.bytes.len() as u64;
    for (at, value) in [(64 + 32, size), (64 + 56 + 8, section), (64 + 56 + 32, 64)] {
        library.bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    match pass(&library.bytes, HEAD, 4096).0 {
        Passed::Malformed(why) => assert_eq!(why, "it has too many versions"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_that_passes_by_says_what_a_whole_one_says() {
    for bytes in [LIBRARY, PROGRAM, NARROW, &versioned(9000).bytes] {
        let whole = parse(bytes).unwrap();
        for (head, chunk) in [(HEAD, 1), (HEAD, 1 << 20), (0, 1), (300, 13), (200, 4096), (300, 1)] {
            match pass(bytes, head, chunk) {
                (Passed::Elf(elf), passes) => {
                    assert_eq!(*elf, whole);
                    assert!(head < HEAD || passes == 1);
                    assert!(head < 200 || passes <= 2, "{passes} passes with {head} bytes of head");
                }
                (other, _) => panic!("{other:?} with {head}, {chunk}"),
            }
        }
    }
    assert!(matches!(pass(b"#!/bin/sh -e\nexit 0\n", HEAD, 3), (Passed::NotElf, 1)));
    let mut partial = Partial::new(LIBRARY.len() as u64);
    partial.feed(&LIBRARY[..100]);
    assert!(matches!(partial.end(), Passed::Malformed("it ends early")));
}

/// Program headers, dynamic section, versions and names, each before the one that leads there: no pass finds more than one.
#[test]
fn a_file_is_asked_for_no_more_than_three_times() {
    let library = versioned(0).bytes;
    let whole = parse(&library).unwrap();
    let (headers, rest) = (library[64..64 + 112].to_vec(), library[64 + 112..].to_vec());
    let shift = 64 + 112_u64;
    let mut moved = library[..64].to_vec();
    moved.resize(64 + 112, 0);
    moved.extend_from_slice(&rest);
    moved.extend_from_slice(&headers);
    moved[32..40].copy_from_slice(&(shift + rest.len() as u64).to_le_bytes());
    assert_eq!(parse(&moved).as_ref(), Some(&whole));
    match pass(&moved, 64, 10) {
        (Passed::Malformed(why), passes) => {
            assert_eq!((why, passes), ("its tables lie so that they cannot be followed", PASSES));
        }
        (Passed::Elf(elf), passes) => assert!(*elf == whole && passes <= PASSES),
        (other, _) => panic!("{other:?}"),
    }
}

proptest! {
    #[test]
    fn harmed_files_never_panic(changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..6)) {
        for original in [LIBRARY, PROGRAM, NARROW, &versioned(0).bytes] {
            let mut bytes = original.to_vec();
            // Mostly in the headers, where harm matters.
            for (at, value) in &changes {
                let reach = if at % 2 == 0 { bytes.len() } else { 400.min(bytes.len()) };
                bytes[at % reach] = *value;
            }
            let whole = parse(&bytes);
            let passed = match pass(&bytes, HEAD, 97).0 {
                Passed::Elf(elf) => Some(*elf),
                Passed::NotElf | Passed::Malformed(_) | Passed::Again(_) => None,
            };
            prop_assert_eq!(passed, whole);
            if let (Passed::Elf(elf), _) = pass(&bytes, 70, 50) {
                prop_assert_eq!(Some(*elf), parse(&bytes));
            }
        }
    }
}
