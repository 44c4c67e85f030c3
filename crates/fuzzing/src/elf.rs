//! The ELF reader, and that of the loader's cache.

use pinfold_archive::elf::Elf;
use pinfold_archive::elf::HEAD;
use pinfold_archive::elf::PASSES;
use pinfold_archive::elf::Partial;
use pinfold_archive::elf::Passed;

/// The ELF reader: never panics, and says the same of a file that passes by in chunks; of one whose start it may not keep, the
/// same or nothing, after no more passes than it promises.
pub fn elf(bytes: &[u8]) {
    let _ = pinfold_archive::elf::cached_libraries(bytes);
    let whole = pinfold_archive::elf::parse(bytes);
    assert_eq!(pass(bytes, HEAD, 4096), whole);
    let little = pass(bytes, 64, 100);
    assert!(little.is_none() || little == whole);
}

fn pass(bytes: &[u8], head: u64, chunk: usize) -> Option<Elf> {
    let mut partial = Partial::with_head(bytes.len() as u64, head);
    for _ in 0..PASSES {
        bytes.chunks(chunk).for_each(|chunk| partial.feed(chunk));
        match partial.end() {
            Passed::Elf(elf) => return Some(*elf),
            Passed::NotElf | Passed::Malformed(_) => return None,
            Passed::Again(again) => partial = again,
        }
    }
    unreachable!("a file was asked for more than {PASSES} times")
}
