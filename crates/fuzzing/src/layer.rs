//! The reader of tars and the rules of layers.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;

use pinfold_archive::layer::Change;
use pinfold_archive::layer::Rules;
use pinfold_archive::layer::is_reserved;
use pinfold_archive::tar::BLOCK;
use pinfold_archive::tar::Entry;
use pinfold_archive::tar::Limits;
use pinfold_archive::tar::Reader;
use pinfold_archive::tar::Strictness;

/// Any bytes as the tar of a layer: reading them in small pieces or without their contents changes nothing, contents are as long as
/// announced, and what the rules let through stays inside and is no whiteout.
pub fn layer(bytes: &[u8]) {
    let bytes = sealed(bytes);
    for strictness in [Strictness::LAYER, Strictness::PACKAGE] {
        let whole = read(&bytes[..], strictness, true);
        let skipped = read(BufReader::with_capacity(7, &bytes[..]), strictness, false);
        // An end inside of the last content is met by a reader of contents, and by one that skips them when it asks for more.
        assert!(whole.0 == skipped.0, "skipping contents shows other entries");
        assert_eq!(whole.1, skipped.1, "skipping contents ends otherwise");
    }
    let mut rules = Rules::default();
    for entry in read(&bytes[..], Strictness::LAYER, true).0 {
        let Ok(change) = rules.judge(&entry) else { continue };
        let Ok(path) = entry.path() else { panic!("a name that leads out was let through") };
        assert!(rules.brought(&path));
        if let Change::Put(path) | Change::Link { path, .. } = change {
            assert!(!path.is_root());
            assert!(path.components().all(|name| name != b".." && !is_reserved(name)));
        }
    }
}

/// All entries, and whether the archive came to its end.
fn read(tar: impl BufRead, strictness: Strictness, contents: bool) -> (Vec<Entry>, bool) {
    let limits = Limits { entries: 1000, total: 1 << 20, ..Limits::default() };
    let mut reader = Reader::new(tar, strictness, limits);
    let mut entries = Vec::new();
    while let Ok(Some(entry)) = reader.next_entry() {
        let size = entry.size;
        entries.push(entry);
        if contents {
            let mut content = Vec::new();
            if reader.read_to_end(&mut content).is_err() {
                return (entries, false);
            }
            assert_eq!(content.len() as u64, size);
        }
    }
    let ended = matches!(reader.next_entry(), Ok(None));
    (entries, ended)
}

/// The bytes with the checksums of what may be headers put right, so that a fuzzer gets past them.
pub(crate) fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for block in bytes.chunks_exact_mut(BLOCK).filter(|block| block[257..262] == *b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
    bytes
}
