//! One 512-byte header: numbers, names, checksum.

use super::Entry;
use super::EntryKind;
use super::pax::Records;

/// Size of a block.
pub(super) const BLOCK: usize = 512;

/// Sizes below this fit the octal field, and a PAX record may not say otherwise.
const OCTAL_LIMIT: u64 = 1 << 33;

/// A header as it is written; extensions may override it.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) kind: u8,
    pub(super) name: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) size: u64,
    mode: u32,
    uid: u64,
    gid: u64,
    mtime: i64,
}

impl Header {
    pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Self, &'static str> {
        let sum: u64 = block
            .iter()
            .enumerate()
            .map(|(at, &byte)| if (148..156).contains(&at) { u64::from(b' ') } else { u64::from(byte) })
            .sum();
        if number(&block[148..156])? != i64::try_from(sum).unwrap_or(-1) {
            return Err("the checksum of a header is wrong");
        }
        let posix = &block[257..265] == b"ustar\x0000";
        let mut name = text(&block[..100]);
        let prefix = text(&block[345..500]);
        // GNU headers keep times where ustar has the prefix.
        if posix && !prefix.is_empty() {
            name = [&prefix[..], &name].join(&b'/');
        }
        let unsigned = |field: &[u8]| u64::try_from(number(field)?).map_err(|_| "a number is negative");
        Ok(Self {
            kind: block[156],
            name,
            link: text(&block[157..257]),
            size: unsigned(&block[124..136])?,
            mode: u32::try_from(unsigned(&block[100..108])? & 0o7777).unwrap_or_default(),
            uid: unsigned(&block[108..116])?,
            gid: unsigned(&block[116..124])?,
            mtime: number(&block[136..148])?,
        })
    }

    /// The entry that this header and its extensions describe.
    pub(super) fn entry(
        &self,
        name: Vec<u8>,
        link: Vec<u8>,
        records: Records,
    ) -> Result<Entry, &'static str> {
        let slash = name.ends_with(b"/");
        let kind = match self.kind {
            b'\0' if slash => EntryKind::Directory,
            b'0' | b'7' if slash => return Err("a regular file whose name ends with a slash"),
            b'0' | b'\0' | b'7' => EntryKind::File,
            b'1' => EntryKind::Hardlink,
            b'2' => EntryKind::Symlink,
            b'3' | b'4' | b'6' => EntryKind::Special,
            b'5' => EntryKind::Directory,
            b'S' => return Err("sparse files are not accepted"),
            _ => return Err("an entry of a type that is not known"),
        };
        if name.is_empty() {
            return Err("an entry without a name");
        }
        if matches!(kind, EntryKind::Hardlink | EntryKind::Symlink) && link.is_empty() {
            return Err("a link without a target");
        }
        let size = match records.size {
            Some(size) if size != self.size && (size < OCTAL_LIMIT || self.size != 0) => {
                return Err("PAX and header give different sizes");
            }
            Some(size) => size,
            None => self.size,
        };
        if kind != EntryKind::File && size != 0 {
            return Err("content in an entry that cannot have any");
        }
        // Content and padding are added up later.
        if size > i64::MAX as u64 - BLOCK as u64 {
            return Err("a size that no file has");
        }
        let id = |value: u64| u32::try_from(value).map_err(|_| "an owner beyond 32 bits");
        let (mtime, nanoseconds) = records.mtime.unwrap_or((self.mtime, 0));
        Ok(Entry {
            name,
            kind,
            link,
            mode: self.mode,
            uid: id(records.uid.unwrap_or(self.uid))?,
            gid: id(records.gid.unwrap_or(self.gid))?,
            mtime: u64::try_from(mtime).unwrap_or_default(),
            nanoseconds: if mtime < 0 { 0 } else { nanoseconds },
            size,
            xattrs: records.xattrs,
        })
    }
}

/// A field up to its first NUL.
fn text(field: &[u8]) -> Vec<u8> {
    field.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()
}

/// An octal number, or GNU's big-endian one when the top bit of the first byte is set.
fn number(field: &[u8]) -> Result<i64, &'static str> {
    if let [first, rest @ ..] = field
        && first & 0x80 != 0
    {
        // Sign extension of bit 6 of the first byte.
        let start = if first & 0x40 == 0 { i64::from(first & 0x3f) } else { i64::from(first | 0x80) - 256 };
        return rest.iter().try_fold(start, |value, &byte| {
            value
                .checked_mul(256)
                .and_then(|value| value.checked_add(i64::from(byte)))
                .ok_or("a number is too large")
        });
    }
    let digits = field.iter().skip_while(|&&byte| byte == b' ');
    let mut value = 0_i64;
    let mut ended = false;
    for &byte in digits {
        match byte {
            b'0'..=b'7' if !ended => value = value << 3 | i64::from(byte - b'0'),
            b' ' | 0 => ended = true,
            _ => return Err("a number is not octal"),
        }
    }
    Ok(value)
}
