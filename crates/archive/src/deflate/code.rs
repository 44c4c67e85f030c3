//! Huffman codes as tables (RFC 1951, section 3.2).
//!
//! ```text
//! entry of a table (32 bits)
//!   31       literal
//!   16..=30  literal: its value · length or distance: the base value · link: first entry of the second table
//!   15       exception: link (14), end of block (13) or no code at all (neither)
//!   8..=12   bits of the code alone · link: bits that index the second table
//!   0..=7    bits to pass over, with the extra bits
//! ```
//!
//! A table is looked up with as many bits as the root has; longer codes go on in a second table.
//!
//! **Refuses**, as zlib does: over-subscribed sets of lengths; incomplete ones, but for a single code of one bit among the
//! literals and lengths or the distances (and no distance code at all). Codes that such a set leaves free, the lengths
//! 286 and 287 and the distances 30 and 31 are refused when they are used.

/// Longest code in bits.
const MAX_BITS: usize = 15;
/// Bits that index the table of literals and lengths.
pub(super) const LITERAL_ROOT: u32 = 11;
/// Bits that index the table of distances.
pub(super) const DISTANCE_ROOT: u32 = 8;
/// Bits that index the table of code lengths: all of them, the codes have at most 7.
pub(super) const LENGTHS_ROOT: u32 = 7;
/// Room for the worst set of 288 codes of 15 bits under a root of 11 (2342 entries), as a power of two.
pub(super) const LITERAL_TABLE: usize = 4096;
/// Room for the worst set of 32 codes of 15 bits under a root of 8 (402 entries), as a power of two.
pub(super) const DISTANCE_TABLE: usize = 512;

/// The entry stands for a literal.
pub(super) const LITERAL: u32 = 1 << 31;
/// The entry is none of literal, length and distance.
pub(super) const EXCEPTION: u32 = 1 << 15;
/// The code goes on in a second table.
pub(super) const LINK: u32 = 1 << 14;
/// The block ends.
pub(super) const END: u32 = 1 << 13;

/// First length of each code from 257 on, and its extra bits (section 3.2.5).
#[rustfmt::skip]
const LENGTHS: [(u16, u8); 29] = [
    (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 0), (11, 1), (13, 1), (15, 1), (17, 1),
    (19, 2), (23, 2), (27, 2), (31, 2), (35, 3), (43, 3), (51, 3), (59, 3), (67, 4), (83, 4), (99, 4),
    (115, 4), (131, 5), (163, 5), (195, 5), (227, 5), (258, 0),
];

/// First distance of each code, and its extra bits (section 3.2.5).
#[rustfmt::skip]
const DISTANCES: [(u16, u8); 30] = [
    (1, 0), (2, 0), (3, 0), (4, 0), (5, 1), (7, 1), (9, 2), (13, 2), (17, 3), (25, 3), (33, 4), (49, 4),
    (65, 5), (97, 5), (129, 6), (193, 6), (257, 7), (385, 7), (513, 8), (769, 8), (1025, 9), (1537, 9),
    (2049, 10), (3073, 10), (4097, 11), (6145, 11), (8193, 12), (12289, 12), (16385, 13), (24577, 13),
];

/// Both codes of a block.
#[derive(Debug)]
pub(super) struct Codes {
    pub(super) literals: [u32; LITERAL_TABLE],
    pub(super) distances: [u32; DISTANCE_TABLE],
}

impl Codes {
    /// Room for codes, all of them invalid.
    pub(super) fn new() -> Box<Self> {
        Box::new(Self { literals: [EXCEPTION; LITERAL_TABLE], distances: [EXCEPTION; DISTANCE_TABLE] })
    }

    /// The codes of fixed blocks (section 3.2.6).
    pub(super) fn fixed() -> Box<Self> {
        let mut lengths = [8; 288];
        lengths[144..256].fill(9);
        lengths[256..280].fill(7);
        let mut codes = Self::new();
        // Both sets are complete, which a test holds.
        let _ = codes.set_literals(&lengths);
        let _ = codes.set_distances(&[5; 32]);
        codes
    }

    /// Takes over the lengths of up to 288 codes for literals and lengths.
    pub(super) fn set_literals(&mut self, lengths: &[u8]) -> Result<(), BadCode> {
        build(&mut self.literals, LITERAL_ROOT, lengths, Incomplete::SingleBit, |symbol| match symbol {
            0..=255 => LITERAL | (symbol as u32) << 16,
            256 => EXCEPTION | END,
            _ => valued(LENGTHS.get(symbol - 257)),
        })
    }

    /// Takes over the lengths of up to 32 codes for distances.
    pub(super) fn set_distances(&mut self, lengths: &[u8]) -> Result<(), BadCode> {
        build(&mut self.distances, DISTANCE_ROOT, lengths, Incomplete::SingleBit, |symbol| {
            valued(DISTANCES.get(symbol))
        })
    }
}

/// Builds the code that the lengths of the two others are written in. Its entries hold a symbol as their base value.
pub(super) fn set_code_lengths(
    table: &mut [u32; 1 << LENGTHS_ROOT],
    lengths: &[u8; 19],
) -> Result<(), BadCode> {
    build(table, LENGTHS_ROOT, lengths, Incomplete::Refused, |symbol| (symbol as u32) << 16)
}

fn valued(value: Option<&(u16, u8)>) -> u32 {
    value.map_or(EXCEPTION, |&(base, extra)| u32::from(base) << 16 | u32::from(extra))
}

/// The lengths of a code leave codes free, or want more than there are.
#[derive(Debug)]
pub(super) struct BadCode;

/// Which incomplete sets are let through.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Incomplete {
    Refused,
    /// None at all, or one code of one bit.
    SingleBit,
}

/// Fills `table`. `entry` gives a symbol's entry with its extra bits in the lowest byte and no lengths yet.
fn build(
    table: &mut [u32],
    root: u32,
    lengths: &[u8],
    incomplete: Incomplete,
    entry: impl Fn(usize) -> u32,
) -> Result<(), BadCode> {
    let mut count = [0_u16; MAX_BITS + 1];
    for &length in lengths {
        count[usize::from(length)] += 1;
    }
    count[0] = 0;
    let longest = count.iter().rposition(|&n| n > 0).unwrap_or(0);
    let mut free = 1_i32;
    for &n in &count[1..] {
        free = free * 2 - i32::from(n);
        if free < 0 {
            return Err(BadCode);
        }
    }
    if free > 0 && (longest > 1 || incomplete == Incomplete::Refused) {
        return Err(BadCode);
    }
    if free > 0 {
        table[..1 << root].fill(EXCEPTION);
    }

    // Symbols by length, then by value: the order in which codes are given out.
    let mut start = [0_u16; MAX_BITS + 2];
    for length in 1..=MAX_BITS {
        start[length + 1] = start[length] + count[length];
    }
    let mut sorted = [0_u16; 288];
    for (symbol, &length) in lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
        let place = &mut start[usize::from(length)];
        sorted[usize::from(*place)] = symbol as u16;
        *place += 1;
    }

    // Codes are kept with their first bit lowest, as they come out of the stream.
    let root_mask = (1_usize << root) - 1;
    let (mut code, mut link, mut sub_bits) = (0_usize, usize::MAX, 0_u32);
    let (mut sub_start, mut free_entry) = (0_usize, 1_usize << root);
    let total = usize::from(count.iter().sum::<u16>());
    for &symbol in &sorted[..total] {
        let symbol = usize::from(symbol);
        let length = u32::from(lengths[symbol]);
        let full = match entry(symbol) {
            exception if exception & (LITERAL | EXCEPTION) == EXCEPTION => exception | length,
            // Literals have no extra bits, so their lowest byte is free.
            plain => (plain + length) | (if plain & LITERAL == 0 { length << 8 } else { 0 }),
        };
        if length <= root {
            let mut at = code;
            while at <= root_mask {
                table[at] = full;
                at += 1 << length;
            }
        } else {
            if code & root_mask != link {
                link = code & root_mask;
                sub_bits = length - root;
                let mut room = 1_i32 << sub_bits;
                loop {
                    room -= i32::from(count[(root + sub_bits) as usize]);
                    if room <= 0 || (root + sub_bits) as usize >= longest {
                        break;
                    }
                    sub_bits += 1;
                    room <<= 1;
                }
                sub_start = free_entry;
                free_entry += 1 << sub_bits;
                table[link] = EXCEPTION | LINK | (sub_start as u32) << 16 | sub_bits << 8 | root;
            }
            let mut at = code >> root;
            while at < 1 << sub_bits {
                table[sub_start + at] = full;
                at += 1 << (length - root);
            }
        }
        count[length as usize] -= 1;
        // The next code of this length: add one at the far end. A longer code goes on with zeros.
        let mut bit = 1_usize << (length - 1);
        while code & bit != 0 {
            bit >>= 1;
        }
        code = if bit == 0 { 0 } else { code & (bit - 1) | bit };
    }
    Ok(())
}
