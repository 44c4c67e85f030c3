//! Nix's own base 32: the digits of hashes in store paths and narinfos.
//!
//! ```text
//! 0123456789abcdfghijklmnpqrsvwxyz      no e, o, t, u: no word is spelt by chance
//! ```
//!
//! A text is read from its end: the last digit holds the lowest five bits of the first byte. 32 digits are 20 bytes (a store path), 52
//! are 32 (SHA-256). It is written here and no crate is used, since strictness is the point: one spelling for each value.
//!
//! **Refuses**: other digits, capitals, lengths that no number of bytes has, bits beyond the last byte.

const DIGITS: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// How many digits so many bytes have.
const fn digits(bytes: usize) -> usize {
    (bytes * 8).div_ceil(5)
}

/// Writes bytes.
pub fn encode(bytes: &[u8]) -> String {
    let five = |digit: usize| {
        let (byte, bit) = (digit * 5 / 8, digit * 5 % 8);
        let pair = u16::from(bytes[byte]) | u16::from(bytes.get(byte + 1).copied().unwrap_or(0)) << 8;
        char::from(DIGITS[usize::from(pair >> bit & 0x1f)])
    };
    (0..digits(bytes.len())).rev().map(five).collect()
}

/// Reads `N` bytes; none where the text is not how they are written.
pub fn decode<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != digits(N) {
        return None;
    }
    let mut bytes = [0; N];
    for (digit, letter) in text.iter().rev().enumerate() {
        let five = u16::try_from(DIGITS.iter().position(|digit| digit == letter)?).ok()?;
        let (byte, bit) = (digit * 5 / 8, digit * 5 % 8);
        let [low, high] = (five << bit).to_le_bytes();
        bytes[byte] |= low;
        match bytes.get_mut(byte + 1) {
            Some(next) => *next |= high,
            None if high != 0 => return None,
            None => {}
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What `nix hash to-base32 --type sha256` says of the empty text's hash, and of one byte.
    #[test]
    fn hashes_are_written_as_nix_writes_them() {
        let empty = pinfold_base::Digest::sha256(b"");
        let text = "0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
        assert_eq!(encode(empty.bytes()), text);
        assert_eq!(decode::<32>(text.as_bytes()).unwrap(), empty.bytes());
        assert_eq!(encode(&[0xff]), "7z");
        assert_eq!(encode(b""), "");
    }

    #[test]
    fn one_value_has_one_spelling() {
        for (text, why) in [
            ("8z", "a bit beyond the byte"),
            ("7Z", "a capital"),
            ("7e", "no digit"),
            ("z", "too short"),
            ("07z", "too long"),
            ("", "nothing"),
        ] {
            assert_eq!(decode::<1>(text.as_bytes()), None, "{why}");
        }
        assert_eq!(decode::<1>(b"7z"), Some([0xff]));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bytes: [u8; 20]) {
            let text = encode(&bytes);
            prop_assert_eq!(text.len(), 32);
            prop_assert_eq!(decode::<20>(text.as_bytes()), Some(bytes));
        }
    }
}
