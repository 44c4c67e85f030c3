//! zip archives, read strictly by their central directory.
//!
//! ```text
//! local header, name, extra, data [, data descriptor]     once per file
//! central header, name, extra, comment                    once per file
//! [zip64 end, zip64 locator,] end                         the end names place, size and number of the central headers
//! ```
//!
//! Stored and deflated entries, zip64, Unix modes and symbolic links, UTC times (APPNOTE.TXT 6.3).
//!
//! **Guarantees**: an entry is what both its headers say, and its bytes have the size and CRC-32 that they promise.
//! **Refuses** encryption, other methods, several disks, bytes before or between the parts above that would let two readers
//! see two archives, overlapping entries, absolute names and `..`, a second name in an extra field.

use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::image_path::PathError;

use crate::deflate::Block;
use crate::deflate::Decoder;
use crate::tar::is_damage;

/// Most bytes of central directory of a package.
pub const MAX_DIRECTORY: u64 = 256 << 20;
/// Longest target of a symbolic link accepted.
pub const MAX_TARGET: u64 = 4095;

/// What is wrong with a zip.
#[derive(Debug, thiserror::Error)]
pub enum ZipError {
    /// The archive as a whole.
    #[error("zip is refused: {0}")]
    Archive(&'static str),
    /// One entry.
    #[error("zip entry `{}` is refused: {reason}", .name.escape_ascii())]
    Entry {
        /// Its name.
        name: Box<[u8]>,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A name that cannot be a path of an image.
    #[error("zip entry is refused")]
    Name(#[from] PathError),
    /// More than the caller allows.
    #[error("zip is larger than allowed: more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
    /// It could not be read, or its content not be written.
    #[error("failed to read a zip")]
    Io(#[from] io::Error),
}

impl Diagnose for ZipError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Io(error) if !is_damage(error) => Diagnosis::Inner(error),
            _ => Diagnosis::Own(Kind::Integrity),
        }
    }
}

/// How much a caller takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most entries.
    pub entries: u64,
    /// Most bytes of all contents together, decompressed.
    pub total: u64,
    /// Most bytes of central directory, which is held in memory.
    pub directory: u64,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemberKind {
    /// A directory (its name ends with a slash).
    Directory,
    /// A regular file.
    File,
    /// A symbolic link; its content is the target.
    Symlink,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name, normalised.
    pub path: ImagePath,
    /// Its name as the zip has it.
    pub raw_name: Box<[u8]>,
    /// What it is.
    pub kind: MemberKind,
    /// Permission bits; 0755 or 0644 when the zip was not made on Unix.
    pub mode: u32,
    /// Seconds since the epoch. A DOS time, which has no zone, is taken as UTC.
    pub mtime: u64,
    /// Bytes of content, decompressed.
    pub size: u64,
    compressed: u64,
    deflated: bool,
    flags: u16,
    crc: u32,
    header: u64,
    data: u64,
}

/// A zip whose structure has been checked.
#[derive(Debug)]
pub struct Archive<R> {
    inner: R,
    entries: Vec<Member>,
}

impl<R: Read + Seek> Archive<R> {
    /// Reads the central directory and all local headers, and checks them against each other.
    pub fn new(mut inner: R, limits: Limits) -> Result<Self, ZipError> {
        let length = inner.seek(SeekFrom::End(0))?;
        let end = End::find(&mut inner, length)?;
        if end.entries > limits.entries {
            return Err(ZipError::Limit { what: "entries", limit: limits.entries });
        }
        if end.size > limits.directory {
            return Err(ZipError::Limit { what: "bytes of central directory", limit: limits.directory });
        }
        let directory = read_at(&mut inner, end.offset, end.size)?;
        let mut rest = Fields(&directory);
        let mut entries = Vec::new();
        for _ in 0..end.entries {
            entries.push(central(&mut rest)?);
        }
        if !rest.0.is_empty() {
            return Err(ZipError::Archive("its central directory is longer than its entries"));
        }
        let mut total = 0_u64;
        for entry in &mut entries {
            total = total.saturating_add(entry.size);
            if total > limits.total {
                return Err(ZipError::Limit { what: "bytes", limit: limits.total });
            }
            local(&mut inner, end.offset, entry)?;
        }
        let mut order: Vec<&Member> = entries.iter().collect();
        order.sort_by_key(|entry| entry.header);
        for pair in order.windows(2) {
            if pair[0].data + pair[0].compressed > pair[1].header {
                return Err(pair[1].refuse("it overlaps another entry"));
            }
        }
        Ok(Self { inner, entries })
    }

    /// All entries in the order of the central directory.
    pub fn entries(&self) -> &[Member] {
        &self.entries
    }

    /// Writes the content of entry number `index` to `out`, and checks its size and CRC-32.
    pub fn copy(&mut self, index: usize, out: &mut dyn Write) -> Result<(), ZipError> {
        self.copy_noting(index, out, &mut |_| {})
    }

    /// The same, and gives the deflate blocks of the entry to `note`; their bits are counted in the archive, their output in
    /// the entry.
    pub fn copy_noting(
        &mut self,
        index: usize,
        out: &mut dyn Write,
        note: &mut dyn FnMut(&Block),
    ) -> Result<(), ZipError> {
        let Some(entry) = self.entries.get(index) else { return Ok(()) };
        self.inner.seek(SeekFrom::Start(entry.data))?;
        let mut raw = self.inner.by_ref().take(entry.compressed);
        let mut check = Check { out, crc: crc32fast::Hasher::new(), left: entry.size };
        if entry.deflated {
            let mut end = 0;
            let noting = |block: &Block| {
                end = block.bits.end;
                note(block);
            };
            Decoder::bare(raw, entry.data).run(noting, |piece| check.write_all(piece))?;
            if end.div_ceil(8) != entry.data + entry.compressed {
                return Err(entry.refuse("its compressed size is wrong"));
            }
        } else {
            io::copy(&mut raw, &mut check)?;
        }
        if check.left != 0 {
            return Err(entry.refuse("its content is shorter than announced"));
        }
        if check.crc.finalize() != entry.crc {
            return Err(entry.refuse("its CRC-32 is wrong"));
        }
        Ok(())
    }

    /// The target of the symbolic link that is entry number `index`.
    pub fn target(&mut self, index: usize) -> Result<Box<[u8]>, ZipError> {
        let mut target = Vec::new();
        if let Some(entry) = self.entries.get(index) {
            if entry.size == 0 || entry.size > MAX_TARGET {
                return Err(entry.refuse("the target of the link is empty or too long"));
            }
            self.copy(index, &mut target)?;
            if target.contains(&0) {
                return Err(self.entries[index].refuse("the target of the link holds a NUL byte"));
            }
        }
        Ok(target.into())
    }
}

impl Member {
    fn refuse(&self, reason: &'static str) -> ZipError {
        refuse(&self.raw_name, reason)
    }
}

fn refuse(name: &[u8], reason: &'static str) -> ZipError {
    ZipError::Entry { name: name.into(), reason }
}

/// Passes content on, counting and checking it. More bytes than announced are an error before they are written.
struct Check<'a> {
    out: &'a mut dyn Write,
    crc: crc32fast::Hasher,
    left: u64,
}

impl Write for Check<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.left {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a zip entry is longer than announced"));
        }
        self.out.write_all(bytes)?;
        self.crc.update(bytes);
        self.left -= bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Little-endian fields, taken one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn bytes(&mut self, length: usize) -> Result<&'a [u8], ZipError> {
        let (bytes, rest) =
            self.0.split_at_checked(length).ok_or(ZipError::Archive("a header is cut short"))?;
        self.0 = rest;
        Ok(bytes)
    }

    fn number(&mut self, length: usize) -> Result<u64, ZipError> {
        Ok(self.bytes(length)?.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    fn short(&mut self) -> Result<u16, ZipError> {
        Ok(self.number(2)? as u16)
    }

    fn long(&mut self) -> Result<u64, ZipError> {
        self.number(4)
    }

    fn signature(&mut self, expected: [u8; 4], reason: &'static str) -> Result<(), ZipError> {
        if self.bytes(4)? == expected { Ok(()) } else { Err(ZipError::Archive(reason)) }
    }
}

fn read_at(inner: &mut (impl Read + Seek), at: u64, length: u64) -> Result<Vec<u8>, ZipError> {
    inner.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    inner.by_ref().take(length).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < length {
        return Err(ZipError::Archive("it ends inside a header"));
    }
    Ok(bytes)
}

/// Where the central directory is.
struct End {
    entries: u64,
    size: u64,
    offset: u64,
}

impl End {
    const LENGTH: u64 = 22;
    const LOCATOR: u64 = 20;

    fn find(inner: &mut (impl Read + Seek), length: u64) -> Result<Self, ZipError> {
        let window = length.min(Self::LENGTH + u64::from(u16::MAX));
        let tail = read_at(inner, length - window, window)?;
        let mut found = memchr::memmem::find_iter(&tail, b"PK\x05\x06").filter(|&at| {
            tail[at..].get(20..22).is_some_and(|comment| {
                let comment = usize::from(u16::from_le_bytes([comment[0], comment[1]]));
                at + Self::LENGTH as usize + comment == tail.len()
            })
        });
        let at = found.next().ok_or(ZipError::Archive("it has no end record"))?;
        if found.next().is_some() {
            return Err(ZipError::Archive("it has two end records"));
        }
        let start = length - window + at as u64;
        let mut fields = Fields(&tail[at + 4..]);
        let (disk, first_disk) = (fields.short()?, fields.short()?);
        let (here, entries) = (fields.short()?, fields.short()?);
        let (size, offset) = (fields.long()?, fields.long()?);
        let mut end = Self { entries: entries.into(), size, offset };
        let mut limit = start;
        let wide = [disk, first_disk, here, entries].contains(&u16::MAX)
            || [size, offset].contains(&u64::from(u32::MAX));
        if wide {
            (end, limit) = Self::find_wide(inner, start)?;
        } else if disk != 0 || first_disk != 0 || here != entries {
            return Err(ZipError::Archive("it spans several disks"));
        }
        if end.offset.checked_add(end.size) != Some(limit) {
            return Err(ZipError::Archive("its central directory is not where its end record says"));
        }
        Ok(end)
    }

    /// The zip64 records before the end record at `start`.
    fn find_wide(inner: &mut (impl Read + Seek), start: u64) -> Result<(Self, u64), ZipError> {
        const WRONG: &str = "its zip64 end records are malformed";
        let at = start.checked_sub(Self::LOCATOR).ok_or(ZipError::Archive(WRONG))?;
        let locator = read_at(inner, at, Self::LOCATOR)?;
        let mut fields = Fields(&locator);
        fields.signature(*b"PK\x06\x07", WRONG)?;
        let (disk, record, disks) = (fields.long()?, fields.number(8)?, fields.long()?);
        if disk != 0 || disks != 1 || at.checked_sub(56) != Some(record) {
            return Err(ZipError::Archive(WRONG));
        }
        let bytes = read_at(inner, record, 56)?;
        let mut fields = Fields(&bytes);
        fields.signature(*b"PK\x06\x06", WRONG)?;
        let length = fields.number(8)?;
        fields.bytes(4)?;
        let (disk, first_disk) = (fields.long()?, fields.long()?);
        let (here, entries) = (fields.number(8)?, fields.number(8)?);
        let (size, offset) = (fields.number(8)?, fields.number(8)?);
        if length != 44 || disk != 0 || first_disk != 0 || here != entries {
            return Err(ZipError::Archive(WRONG));
        }
        Ok((Self { entries, size, offset }, record))
    }
}

/// What extra fields say.
#[derive(Default)]
struct Extra {
    wide: Option<Vec<u8>>,
    mtime: Option<u64>,
}

fn extra(bytes: &[u8], name: &[u8]) -> Result<Extra, ZipError> {
    let mut extra = Extra::default();
    let mut fields = Fields(bytes);
    // Some writers pad with fewer than four bytes.
    while fields.0.len() >= 4 {
        let (id, length) = (fields.short()?, fields.short()?);
        let body = fields
            .bytes(length.into())
            .map_err(|_| refuse(name, "an extra field is longer than its header"))?;
        match id {
            0x0001 if extra.wide.is_some() => return Err(refuse(name, "it has two zip64 fields")),
            0x0001 => extra.wide = Some(body.into()),
            0x5455 if body.len() >= 5 && body[0] & 1 == 1 => {
                let time = i32::from_le_bytes([body[1], body[2], body[3], body[4]]);
                extra.mtime = Some(u64::try_from(time).unwrap_or(0));
            }
            0x7075 => return Err(refuse(name, "it has a second name in an extra field")),
            _ => {}
        }
    }
    Ok(extra)
}

/// Replaces sizes that are all ones by those of the zip64 field, in the order of the specification (4.5.3).
fn widen(values: &mut [&mut u64], wide: Option<&[u8]>, name: &[u8]) -> Result<(), ZipError> {
    let mut fields = Fields(wide.unwrap_or_default());
    for value in values {
        if **value == u64::from(u32::MAX) {
            **value =
                fields.number(8).map_err(|_| refuse(name, "its zip64 field is missing or too short"))?;
        }
    }
    Ok(())
}

/// Reads one central header.
fn central(fields: &mut Fields<'_>) -> Result<Member, ZipError> {
    fields.signature(*b"PK\x01\x02", "its central directory has fewer entries than announced")?;
    let made_by = fields.short()?;
    fields.short()?;
    let (flags, method) = (fields.short()?, fields.short()?);
    let (time, date) = (fields.short()?, fields.short()?);
    let crc = fields.long()? as u32;
    let (mut compressed, mut size) = (fields.long()?, fields.long()?);
    let (name, extras, comment) = (fields.short()?, fields.short()?, fields.short()?);
    let disk = fields.short()?;
    fields.short()?;
    let attributes = fields.long()? as u32;
    let mut header = fields.long()?;
    let name = fields.bytes(name.into())?;
    let extra = extra(fields.bytes(extras.into())?, name)?;
    fields.bytes(comment.into())?;
    widen(&mut [&mut size, &mut compressed, &mut header], extra.wide.as_deref(), name)?;

    // Bits 0, 6 and 13: encryption in its three forms; bit 5: patches.
    if flags & 0b10_0000_0110_0001 != 0 {
        return Err(refuse(name, "it is encrypted or a patch"));
    }
    if !matches!(method, 0 | 8) {
        return Err(refuse(name, "it is neither stored nor deflated"));
    }
    if disk != 0 {
        return Err(refuse(name, "it is on another disk"));
    }
    if method == 0 && compressed != size {
        return Err(refuse(name, "it is stored, but its two sizes differ"));
    }
    if name.starts_with(b"/") || name.is_empty() {
        return Err(refuse(name, "its name is absolute or empty"));
    }
    let path = ImagePath::new(name)?;
    // 3 is Unix, 19 macOS: the upper half of the attributes is `st_mode`.
    let unix = if matches!(made_by >> 8, 3 | 19) { attributes >> 16 } else { 0 };
    let kind = match (unix & 0o170_000, name.ends_with(b"/")) {
        (0 | 0o040_000, true) => MemberKind::Directory,
        (0 | 0o100_000, false) => MemberKind::File,
        (0o120_000, false) => MemberKind::Symlink,
        _ => return Err(refuse(name, "its mode is not that of a file, a directory or a symbolic link")),
    };
    if kind == MemberKind::Directory && size != 0 {
        return Err(refuse(name, "it is a directory with content"));
    }
    if path.is_root() && kind != MemberKind::Directory {
        return Err(refuse(name, "its name is empty"));
    }
    let default = if kind == MemberKind::Directory { 0o755 } else { 0o644 };
    let mode = Some(unix & 0o7777).filter(|&mode| mode != 0).unwrap_or(default);
    let mtime = extra.mtime.unwrap_or_else(|| dos_time(date, time));
    Ok(Member {
        path,
        raw_name: name.into(),
        kind,
        mode,
        mtime,
        size,
        compressed,
        deflated: method == 8,
        flags,
        crc,
        header,
        data: 0,
    })
}

/// Reads the local header of `entry`, compares it, and finds where the data starts.
fn local(inner: &mut (impl Read + Seek), limit: u64, entry: &mut Member) -> Result<(), ZipError> {
    const LENGTH: u64 = 30;
    const PLACE: &str = "its place is outside the archive";
    if entry.header.checked_add(LENGTH).is_none_or(|end| end > limit) {
        return Err(entry.refuse(PLACE));
    }
    let header = read_at(inner, entry.header, LENGTH)?;
    let mut fields = Fields(&header);
    fields.signature(*b"PK\x03\x04", "an entry has no local header")?;
    fields.short()?;
    let (flags, method) = (fields.short()?, fields.short()?);
    fields.bytes(4)?;
    let crc = fields.long()? as u32;
    let (mut compressed, mut size) = (fields.long()?, fields.long()?);
    let (name, extras) = (fields.short()?, fields.short()?);
    let tail = read_at(inner, entry.header + LENGTH, u64::from(name) + u64::from(extras))?;
    let (name, extras) = tail.split_at(name.into());
    let extra = extra(extras, name)?;
    widen(&mut [&mut size, &mut compressed], extra.wide.as_deref(), name)?;
    // With bit 3 sizes and CRC follow the data, and the header may leave them 0.
    let later = flags & 8 != 0;
    let same = |local: u64, central: u64| local == central || later && local == 0;
    if *name != *entry.raw_name
        || flags != entry.flags
        || (method == 8) != entry.deflated
        || !same(crc.into(), entry.crc.into())
        || !same(compressed, entry.compressed)
        || !same(size, entry.size)
    {
        return Err(entry.refuse("its two headers differ"));
    }
    entry.data = entry.header + LENGTH + tail.len() as u64;
    if entry.data.checked_add(entry.compressed).is_none_or(|end| end > limit) {
        return Err(entry.refuse(PLACE));
    }
    Ok(())
}

/// A DOS date and time as seconds since the epoch, taken as UTC. Impossible dates give 1980-01-01, where DOS time begins.
fn dos_time(date: u16, time: u16) -> u64 {
    const DAYS: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let (years, month, day) = (u64::from(date >> 9), u64::from(date >> 5 & 15), u64::from(date & 31));
    let before = usize::try_from(month).ok().and_then(|month| DAYS.get(month.checked_sub(1)?));
    let (Some(before), Some(day)) = (before, day.checked_sub(1)) else { return 315_532_800 };
    // 1980 is a leap year. DOS time ends in 2107, so 2100 is the only exception to the rule of four.
    let leaps =
        years.div_ceil(4) - u64::from(years > 120) + u64::from(years % 4 == 0 && years != 120 && month > 2);
    let days = 3652 + years * 365 + leaps + before + day;
    let (hour, minute, second) = (u64::from(time >> 11), u64::from(time >> 5 & 63), u64::from(time & 31) * 2);
    days * 86400 + hour * 3600 + minute * 60 + second
}

#[cfg(test)]
mod tests;
