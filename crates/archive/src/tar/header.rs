//! One ustar header block, built and taken apart. The fields are drawn in the documentation of [`super`].

use std::borrow::Cow;

use super::BLOCK;

/// A header block as the canonical writer makes it: numeric ids, no names of users, zero device numbers.
#[derive(Debug)]
pub(super) struct Header([u8; BLOCK]);

impl Header {
    /// An empty ustar header of this type with empty device numbers, as GNU tar writes those of PAX headers.
    pub(super) fn without_devices(kind: u8) -> Self {
        let mut block = [0; BLOCK];
        block[156] = kind;
        block[257..265].copy_from_slice(b"ustar\x0000");
        Self(block)
    }

    /// An empty ustar header of this type.
    pub(super) fn new(kind: u8) -> Self {
        let mut header = Self::without_devices(kind);
        header.octal(329, 8, 0);
        header.octal(337, 8, 0);
        header
    }

    /// Puts text into a field, as much as fits.
    pub(super) fn text(&mut self, at: usize, width: usize, text: &[u8]) {
        let length = text.len().min(width);
        self.0[at..at + length].copy_from_slice(&text[..length]);
    }

    /// Puts a number into a field as zero-padded octal digits with a NUL. Says whether it fits; the field is zero if not.
    pub(super) fn octal(&mut self, at: usize, width: usize, value: u64) -> bool {
        let digits = width - 1;
        let fits = value >> (3 * digits) == 0;
        let mut rest = if fits { value } else { 0 };
        for byte in self.0[at..at + digits].iter_mut().rev() {
            *byte = b'0' + (rest & 7) as u8;
            rest >>= 3;
        }
        self.0[at + digits] = 0;
        fits
    }

    /// Fills in the checksum and gives the block.
    pub(super) fn finish(mut self) -> [u8; BLOCK] {
        let sum = checksum(&self.0);
        self.octal(148, 7, u64::from(sum));
        self.0[155] = b' ';
        self.0
    }
}

/// Type and size of a header, its checksum checked.
pub(super) fn kind_and_size(block: &[u8; BLOCK]) -> Result<(u8, u64), &'static str> {
    if number(&block[148..156])? != u64::from(checksum(block)) {
        return Err("its checksum is wrong");
    }
    Ok((block[156], number(&block[124..136])?))
}

/// What a header says of an entry, besides its type and size.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    pub(super) name: Cow<'a, [u8]>,
    pub(super) link: &'a [u8],
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    pub(super) mtime: u64,
    pub(super) uname: &'a [u8],
    pub(super) gname: &'a [u8],
}

impl<'a> Fields<'a> {
    /// Of a ustar, GNU or V7 header. Others are refused: whether they have a prefix is seen differently.
    pub(super) fn parse(block: &'a [u8; BLOCK]) -> Result<Self, &'static str> {
        let mut name = Cow::Borrowed(text(&block[..100]));
        match &block[257..265] {
            b"ustar\x0000" => {
                let prefix = text(&block[345..500]);
                if !prefix.is_empty() {
                    name = [prefix, b"/", &name].concat().into();
                }
            }
            // GNU headers keep times where ustar has the prefix.
            b"ustar  \0" | b"\0\0\0\0\0\0\0\0" => {}
            _ => return Err("it is neither a ustar, a GNU nor a V7 header"),
        }
        Ok(Self {
            name,
            link: text(&block[157..257]),
            mode: (number(&block[100..108])? & 0o7777) as u32,
            uid: number(&block[108..116])?,
            gid: number(&block[116..124])?,
            // Times before the epoch, negative in base 256, exist in the wild and carry no meaning here.
            mtime: if block[136] & 0xc0 == 0xc0 { 0 } else { number(&block[136..148])? },
            uname: text(&block[265..297]),
            gname: text(&block[297..329]),
        })
    }
}

/// The sum of all bytes, those of the checksum field taken as spaces.
pub(super) fn checksum(block: &[u8; BLOCK]) -> u32 {
    let all: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    let field: u32 = block[148..156].iter().map(|&byte| u32::from(byte)).sum();
    all - field + 8 * u32::from(b' ')
}

/// Text up to the first NUL.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// A number in octal digits (blanks before, blanks or NULs after), or in base 256 (GNU) when the first bit is set. An empty
/// field is 0. Negative numbers and those above 63 bits are `Err`.
pub(super) fn number(field: &[u8]) -> Result<u64, &'static str> {
    match field.first() {
        Some(0x80) => {
            let mut value: u64 = 0;
            for &byte in &field[1..] {
                if value >> 55 != 0 {
                    return Err("a base-256 number does not fit in 63 bits");
                }
                value = value << 8 | u64::from(byte);
            }
            Ok(value)
        }
        Some(first) if first & 0x80 != 0 => Err("a base-256 number is negative or too large"),
        _ => {
            let field = field.trim_ascii_start();
            let end = field.iter().position(|byte| !(b'0'..=b'7').contains(byte)).unwrap_or(field.len());
            if field[end..].iter().any(|byte| !matches!(byte, 0 | b' ')) {
                return Err("a number is not octal");
            }
            // Twelve digits at most, so 36 bits: no overflow.
            Ok(field[..end].iter().fold(0, |value, digit| value << 3 | u64::from(digit - b'0')))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(number(b"0000644\0"), Ok(0o644));
        assert_eq!(number(b"   644 \0"), Ok(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Ok(0));
        assert_eq!(number(b"777777777777"), Ok((1 << 36) - 1));
        assert_eq!(number(b"\x80\0\0\0\0\0\0\x02\0\0\0\0"), Ok(2 << 32));
        assert_eq!(number(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"), Ok(i64::MAX as u64));
        for bad in [
            &b"-1\0"[..],
            b"12x\0",
            b"0x1\0",
            b"1 2\0",
            b"\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x80\0\0\x01\0\0\0\0\0\0\0\0",
            b"\x80\0\0\0\x80\0\0\0\0\0\0\0",
            b"\x81\0\0\0\0\0\0\0\0\0\0\0",
        ] {
            assert!(number(bad).is_err(), "{}", bad.escape_ascii());
        }
    }
}
