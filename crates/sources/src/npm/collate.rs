//! The order in which npm takes names: that of `localeCompare` in English.
//!
//! Reduced to the characters that package names can have, this is the root collation of CLDR: punctuation before digits before
//! letters, and case only where everything else is equal, small letters first.

use std::cmp::Ordering;

/// Compares two names.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let primary = a.bytes().map(weight).cmp(b.bytes().map(weight));
    // Swapped case: ASCII has capitals first.
    primary.then_with(|| b.cmp(a))
}

fn weight(byte: u8) -> (u8, u8) {
    const PUNCTUATION: &[u8] = b"_-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$";
    match PUNCTUATION.iter().position(|&known| known == byte) {
        Some(at) => (0, at as u8),
        None if byte.is_ascii_digit() => (1, byte),
        None => (2, byte.to_ascii_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_in_node() {
        // node -e 'console.log([...].sort((a,b)=>a.localeCompare(b,"en")))' on the reversed list, node 20 with full ICU.
        let sorted = [
            "_x",
            "-x",
            ".x",
            "@a-b/c",
            "@a/b",
            "@z/a",
            "1a",
            "a",
            "a_b",
            "a-b",
            "a.b",
            "a/b",
            "a~b",
            "a1",
            "ab",
            "aB",
            "Ab",
            "abc",
            "b",
            "JSONStream",
            "jsonstream2",
            "k",
        ];
        let mut names = sorted;
        names.reverse();
        names.sort_by(|a, b| compare(a, b));
        assert_eq!(names, sorted);
    }
}
