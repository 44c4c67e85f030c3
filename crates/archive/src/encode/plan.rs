//! Which blocks of an archive a layer copies for a file.
//!
//! ```text
//! decoded archive   … header |————————————————— file —————————————————| padding …
//! blocks              |   a    |    b    |    c    |    d    |    e    |    f    |
//! layer             ours ——————————————————>|======= run ======>|—————— ours ———
//!                              ≥ 32 KiB
//! ```
//!
//! A block may refer to the 32 KiB before it, but not to what lies before its stream. So a run begins with the first block
//! that cannot reach out of the file: one that begins 32 KiB into it, or whose stream begins inside it. It ends with the
//! last block that ends inside the file.
//!
//! **Guarantees**: the plan depends on positions alone, so on the archive's bytes alone. What a file's run refers to is in
//! the file, so files may be put in any order and any layer.
//!
//! **Refuses** (the file is then compressed here): files below [`MIN_FILE`], runs below [`MIN_RUN`], and runs that would make
//! the layer larger than our own encoder would: encoders at their fastest level, mostly stored blocks, tiny blocks.

use std::ops::Range;

use crate::deflate::Block;
use crate::deflate::BlockKind;
use crate::deflate::Blocks;
use crate::deflate::Effort;

/// Smallest file whose blocks are copied.
pub(super) const MIN_FILE: u64 = 256 << 10;

/// Fewest bytes a run must stand for.
const MIN_RUN: u64 = 64 << 10;

/// Fewest bytes that the blocks of a run must stand for on average.
const MIN_BLOCK: u64 = 2 << 10;

/// How far back a block may refer (RFC 1951, section 3.2.5).
const REACH: u64 = 32 << 10;

/// Blocks to be copied for one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Run<'a> {
    /// The blocks, in order; never empty.
    pub(super) blocks: &'a [Block],
    /// The bytes they stand for, counted in the decoded archive.
    pub(super) output: Range<u64>,
    /// CRC-32 of these bytes.
    pub(super) crc: u32,
}

/// The run for a file that has these bytes of the decoded archive.
pub(super) fn run(blocks: &Blocks, file: Range<u64>) -> Option<Run<'_>> {
    if file.end.checked_sub(file.start)? < MIN_FILE {
        return None;
    }
    let all = blocks.all();
    let mut first = all.partition_point(|block| block.output.start < file.start);
    let mut stream_is_inside = false;
    loop {
        let block = all.get(first).filter(|block| block.output.end <= file.end)?;
        stream_is_inside |= blocks.opens(first);
        let within_reach = stream_is_inside || block.output.start - file.start >= REACH;
        if within_reach && !block.output.is_empty() {
            break;
        }
        first += 1;
    }
    let mut end = all.partition_point(|block| block.output.end <= file.end);
    // Streams begin on byte boundaries, and the streams of one file follow on each other; where a list says otherwise, the
    // run ends.
    let broken = |&index: &usize| {
        let (before, block) = (&all[index - 1], &all[index]);
        before.last && (!block.bits.start.is_multiple_of(8) || before.output.end != block.output.start)
    };
    end = (first + 1..end).find(broken).unwrap_or(end);
    let run = &all[first..end];
    let output = run.first()?.output.start..run.last()?.output.end;
    worth_copying(run, &output).then(|| Run { blocks: run, crc: checksum(blocks, first..end), output })
}

fn worth_copying(run: &[Block], output: &Range<u64>) -> bool {
    let len = output.end - output.start;
    let stored: u64 = run
        .iter()
        .filter(|block| block.kind == BlockKind::Stored)
        .map(|block| block.output.end - block.output.start)
        .sum();
    len >= MIN_RUN
        && len / run.len() as u64 >= MIN_BLOCK
        && stored <= len / 2
        && run.iter().all(|block| block.effort != Effort::Fastest)
}

/// CRC-32 of what the blocks decode to, out of those of their streams' beginnings:
/// crc(b) = crc(ab) xor crc(a followed by as many zeros as b has bytes, without the complements).
fn checksum(blocks: &Blocks, range: Range<usize>) -> u32 {
    let all = blocks.all();
    let mut total = crc32fast::Hasher::new();
    let mut begin = range.start;
    for index in range.clone() {
        if !(all[index].last || index + 1 == range.end) {
            continue;
        }
        let len = all[index].output.end - all[begin].output.start;
        let before = if blocks.opens(begin) { 0 } else { all[begin - 1].crc };
        let mut shifted = crc32fast::Hasher::new_with_initial_len(before, 0);
        shifted.combine(&crc32fast::Hasher::new_with_initial_len(0, len));
        let part = all[index].crc ^ shifted.finalize();
        total.combine(&crc32fast::Hasher::new_with_initial_len(part, len));
        begin = index + 1;
    }
    total.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list out of `(bits, bytes)`, each block where the one before ended; `0` bits close a stream, and the next one
    /// begins a byte later.
    fn list(blocks: &[(u64, u64)]) -> Blocks {
        let mut list: Vec<Block> = Vec::new();
        let (mut bit, mut byte) = (80, 0);
        for &(bits, bytes) in blocks {
            if bits == 0 {
                if let Some(before) = list.last_mut() {
                    before.last = true;
                }
                bit = (bit + 15) / 8 * 8;
                continue;
            }
            list.push(Block {
                bits: bit..bit + bits,
                output: byte..byte + bytes,
                kind: BlockKind::Dynamic,
                last: false,
                crc: 0,
                effort: Effort::Other,
            });
            (bit, byte) = (bit + bits, byte + bytes);
        }
        Blocks::new(list).unwrap()
    }

    fn planned(blocks: &Blocks, file: Range<u64>) -> Option<Range<u64>> {
        run(blocks, file).map(|run| run.output)
    }

    const K: u64 = 1 << 10;

    #[test]
    fn a_run_begins_where_no_block_reaches_out_of_the_file() {
        // Boundaries every 10 KiB: 32 KiB into the file is passed by the fourth of them, or met exactly.
        let blocks = list(&[(1001, 10 * K); 60]);
        assert_eq!(planned(&blocks, 10 * K..500 * K), Some(50 * K..500 * K));
        assert_eq!(planned(&blocks, 8 * K..500 * K), Some(40 * K..500 * K));
        assert_eq!(planned(&blocks, 8 * K + 1..500 * K), Some(50 * K..500 * K));
        // And it ends with the last block that ends in the file.
        assert_eq!(planned(&blocks, 8 * K..500 * K - 1), Some(40 * K..490 * K));
    }

    #[test]
    fn a_stream_that_opens_in_the_file_may_be_copied_at_once() {
        let blocks = list(&[&[(999, 10 * K); 2][..], &[(0, 0)], &[(999, 10 * K); 50]].concat());
        assert_eq!(planned(&blocks, 20 * K..500 * K), Some(20 * K..500 * K));
        assert_eq!(planned(&blocks, 15 * K..500 * K), Some(20 * K..500 * K));
        assert_eq!(planned(&blocks, 20 * K + 1..500 * K), Some(60 * K..500 * K));
    }

    #[test]
    fn empty_blocks_neither_begin_a_run_nor_hide_its_begin() {
        let blocks = list(&[&[(10, 0); 3][..], &[(999, 50 * K); 10]].concat());
        let all = blocks.all();
        assert_eq!(run(&blocks, 0..500 * K).unwrap().blocks, &all[3..]);
    }

    #[test]
    fn thresholds_are_exact() {
        let blocks = list(&[(1001, 16 * K); 60]);
        assert_eq!(planned(&blocks, 0..MIN_FILE - 1), None);
        assert_eq!(planned(&blocks, 0..MIN_FILE), Some(0..MIN_FILE));
        // A run that would be a byte too short.
        let blocks = list(&[(999, 300 * K), (999, MIN_RUN - 1), (999, 300 * K)]);
        assert_eq!(planned(&blocks, 100 * K..500 * K), None);
        let blocks = list(&[(999, 300 * K), (999, MIN_RUN), (999, 300 * K)]);
        assert_eq!(planned(&blocks, 100 * K..500 * K), Some(300 * K..300 * K + MIN_RUN));
        // Blocks that are too small on average.
        assert_eq!(planned(&list(&[(999, MIN_BLOCK - 1); 500]), 0..900 * K), None);
        assert!(planned(&list(&[(999, MIN_BLOCK); 500]), 0..900 * K).is_some());
    }

    #[test]
    fn ranges_that_no_archive_has_give_no_run() {
        let blocks = list(&[(999, 50 * K); 10]);
        assert_eq!(planned(&blocks, u64::MAX - MIN_FILE..u64::MAX), None);
        assert_eq!(planned(&blocks, Range { start: 9, end: 3 }), None);
        assert_eq!(planned(&Blocks::default(), 0..MIN_FILE), None);
        // A file that goes on where the archive has ended is refused when it is read.
        assert_eq!(planned(&blocks, 0..9000 * K), Some(0..500 * K));
    }

    /// Out of the sums of the streams' beginnings comes that of any part: compared with hashing the part itself.
    #[test]
    fn checksums_of_parts_are_right() {
        let bytes: Vec<u8> = (0..400 * K).map(|at| ((at * at) >> 7) as u8).collect();
        let plain = list(&[&[(999, 50 * K); 4][..], &[(0, 0)], &[(999, 50 * K); 4]].concat());
        let summed = plain.all().iter().map(|block| {
            let start = if block.output.start < 200 * K { 0 } else { 200 * K };
            let crc = crc32fast::hash(&bytes[start as usize..block.output.end as usize]);
            Block { crc, ..block.clone() }
        });
        let blocks = Blocks::new(summed).unwrap();
        for (from, to) in [(0, 1), (0, 4), (1, 3), (2, 6), (4, 8), (0, 8), (5, 7)] {
            let part = &bytes[from * 50 * K as usize..to * 50 * K as usize];
            assert_eq!(checksum(&blocks, from..to), crc32fast::hash(part), "{from}..{to}");
        }
    }
}
