//! What a dynamic linker needs to know about an ELF file, and the linker's cache of libraries.
//!
//! ```text
//! ELF header ─► program headers ─► PT_INTERP   path of the dynamic linker
//!                               └► PT_DYNAMIC  DT_STRTAB, DT_STRSZ, DT_SONAME, DT_NEEDED…, DT_RUNPATH
//!                               └► PT_LOAD     says where the address in DT_STRTAB is in the file
//! ```
//!
//! Section headers are not used, as a dynamic linker does not use them. Both word sizes and byte orders are read.
//!
//! **Guarantees**: only these places are read, however large the file is, and no more than [`MAX_DYNAMIC`] bytes of them.
//! **Refuses** (as "no ELF file"): headers or tables outside the file, more than [`MAX_PROGRAM_HEADERS`], names that do not end.

use std::io;

use crate::Content;
use crate::Contents;
use crate::tree::InlineOnly;

mod ld_so_cache;

pub use ld_so_cache::LdSoCacheError;
pub use ld_so_cache::SonameLink;
pub use ld_so_cache::ld_so_cache;
pub use ld_so_cache::soname_links;

/// What an ELF file is (`e_type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElfKind {
    /// `ET_EXEC`: a program at a fixed address.
    Executable,
    /// `ET_DYN`: a shared library or a position-independent program.
    Dynamic,
    /// `ET_REL`, `ET_CORE` and others.
    Other(u16),
}

/// Word size (`EI_CLASS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElfClass {
    /// 32 bits.
    Elf32,
    /// 64 bits.
    Elf64,
}

/// An ELF file as the dynamic linker sees it. Names are bytes, as they stand in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elf {
    /// `e_machine`; compare with [`pinfold_base::Arch::elf_machine`].
    pub machine: u16,
    /// Word size.
    pub class: ElfClass,
    /// What it is.
    pub kind: ElfKind,
    /// `PT_INTERP`: the dynamic linker it asks for; `None` for libraries and static programs.
    pub interpreter: Option<Box<[u8]>>,
    /// `DT_SONAME`.
    pub soname: Option<Box<[u8]>>,
    /// `DT_NEEDED`, in order.
    pub needed: Vec<Box<[u8]>>,
    /// `DT_RUNPATH`, or `DT_RPATH` where there is no other.
    pub runpath: Option<Box<[u8]>>,
}

/// Most program headers accepted. Linkers write about a dozen.
pub const MAX_PROGRAM_HEADERS: u16 = 256;
/// Most bytes of dynamic section accepted: 65,536 entries of 64 bits.
pub const MAX_DYNAMIC: u64 = 1 << 20;
/// Longest name accepted.
const MAX_NAME: u64 = 4096;

const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_SONAME: u64 = 14;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// Reads what [`Elf`] holds, and only that, out of a file. `Ok(None)` when it is no ELF file or a malformed one; errors are
/// those of reading.
pub fn read(contents: &dyn Contents, content: &Content) -> io::Result<Option<Elf>> {
    let file = File { contents, content };
    match file.elf() {
        Ok(elf) => Ok(Some(elf)),
        Err(Stop::Malformed) => Ok(None),
        Err(Stop::Io(error)) => Err(error),
    }
}

/// [`read`] for bytes in memory.
pub fn parse(bytes: &[u8]) -> Option<Elf> {
    read(&InlineOnly, &Content::inline(bytes)).ok().flatten()
}

/// Why reading stops.
enum Stop {
    Malformed,
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A file read by position.
struct File<'a> {
    contents: &'a dyn Contents,
    content: &'a Content,
}

/// How numbers are stored.
#[derive(Clone, Copy)]
struct Layout {
    wide: bool,
    big_endian: bool,
}

impl Layout {
    /// The number of `length` bytes at `at`.
    fn number(self, bytes: &[u8], at: usize, length: usize) -> Result<u64, Stop> {
        let bytes = at.checked_add(length).and_then(|end| bytes.get(at..end)).ok_or(Stop::Malformed)?;
        let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Ok(if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) })
    }

    /// The word (4 or 8 bytes) at `at`.
    fn word(self, bytes: &[u8], at: usize) -> Result<u64, Stop> {
        self.number(bytes, at, self.size())
    }

    fn size(self) -> usize {
        if self.wide { 8 } else { 4 }
    }
}

/// A part of the file that has an address.
struct Segment {
    kind: u64,
    offset: u64,
    address: u64,
    size: u64,
}

impl File<'_> {
    fn bytes(&self, offset: u64, size: u64) -> Result<Vec<u8>, Stop> {
        let end =
            offset.checked_add(size).filter(|&end| end <= self.content.size()).ok_or(Stop::Malformed)?;
        let part = match self.content {
            Content::Inline(bytes) => {
                let range = usize::try_from(offset).ok().zip(usize::try_from(end).ok());
                let (start, end) = range.ok_or(Stop::Malformed)?;
                return Ok(bytes.get(start..end).ok_or(Stop::Malformed)?.to_vec());
            }
            Content::Range { archive, offset: start, .. } => Content::Range {
                archive: archive.clone(),
                offset: start.checked_add(offset).ok_or(Stop::Malformed)?,
                size,
            },
        };
        Ok(self.contents.read(&part, size)?)
    }

    fn elf(&self) -> Result<Elf, Stop> {
        let ident = self.bytes(0, 16)?;
        let layout = match (&ident[..4], ident[4], ident[5], ident[6]) {
            (b"\x7fELF", class @ 1..=2, data @ 1..=2, 1) => {
                Layout { wide: class == 2, big_endian: data == 2 }
            }
            _ => return Err(Stop::Malformed),
        };
        let header = self.bytes(0, if layout.wide { 64 } else { 52 })?;
        let half = |at| layout.number(&header, at, 2);
        let kind = match half(16)? as u16 {
            2 => ElfKind::Executable,
            3 => ElfKind::Dynamic,
            other => ElfKind::Other(other),
        };
        let machine = half(18)? as u16;
        let class = if layout.wide { ElfClass::Elf64 } else { ElfClass::Elf32 };
        let (table, sizes) = if layout.wide { (32, 54) } else { (28, 42) };
        let table = layout.word(&header, table)?;
        let (entry, count) = (half(sizes)?, half(sizes + 2)?);
        let expected = if layout.wide { 56 } else { 32 };
        if count > u64::from(MAX_PROGRAM_HEADERS) || count > 0 && entry != expected {
            return Err(Stop::Malformed);
        }
        let table = self.bytes(table, count * entry)?;
        let mut segments = Vec::new();
        for bytes in table.chunks_exact(expected as usize) {
            // The 64-bit form has its flags between type and offset.
            let at = |words: usize| if layout.wide { words * 8 } else { words * 4 };
            segments.push(Segment {
                kind: layout.number(bytes, 0, 4)?,
                offset: layout.word(bytes, at(1))?,
                address: layout.word(bytes, at(2))?,
                size: layout.word(bytes, at(4))?,
            });
        }
        let mut elf =
            Elf { machine, class, kind, interpreter: None, soname: None, needed: Vec::new(), runpath: None };
        if let Some(segment) = segments.iter().find(|segment| segment.kind == PT_INTERP) {
            elf.interpreter = Some(self.name(segment.offset, segment.size)?);
        }
        if let Some(segment) = segments.iter().find(|segment| segment.kind == PT_DYNAMIC) {
            self.dynamic(layout, segment, &segments, &mut elf)?;
        }
        Ok(elf)
    }

    fn dynamic(
        &self,
        layout: Layout,
        segment: &Segment,
        segments: &[Segment],
        elf: &mut Elf,
    ) -> Result<(), Stop> {
        if segment.size > MAX_DYNAMIC {
            return Err(Stop::Malformed);
        }
        let bytes = self.bytes(segment.offset, segment.size)?;
        let mut tags = Vec::new();
        for pair in bytes.chunks_exact(2 * layout.size()) {
            let (tag, value) = (layout.word(pair, 0)?, layout.word(pair, layout.size())?);
            if tag == 0 {
                break;
            }
            tags.push((tag, value));
        }
        let find = |wanted| tags.iter().find(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
        // Separate debug files have a dynamic segment without content; they name nothing.
        let (Some(address), Some(size)) = (find(DT_STRTAB), find(DT_STRSZ)) else { return Ok(()) };
        let strings = segments
            .iter()
            .filter(|segment| segment.kind == PT_LOAD)
            .find_map(|segment| {
                let inside = address.checked_sub(segment.address).filter(|&inside| inside < segment.size)?;
                segment.offset.checked_add(inside)
            })
            .ok_or(Stop::Malformed)?;
        let name = |at: u64| {
            let left = size.checked_sub(at).ok_or(Stop::Malformed)?;
            self.name(strings.checked_add(at).ok_or(Stop::Malformed)?, left)
        };
        elf.soname = find(DT_SONAME).map(&name).transpose()?;
        elf.runpath = find(DT_RUNPATH).or_else(|| find(DT_RPATH)).map(&name).transpose()?;
        for (_, at) in tags.iter().filter(|(tag, _)| *tag == DT_NEEDED) {
            elf.needed.push(name(*at)?);
        }
        Ok(())
    }

    /// The text at `offset` up to its NUL, which must come within `limit` bytes.
    fn name(&self, offset: u64, limit: u64) -> Result<Box<[u8]>, Stop> {
        let left = self.content.size().checked_sub(offset).ok_or(Stop::Malformed)?;
        let bytes = self.bytes(offset, limit.min(left).min(MAX_NAME))?;
        let end = memchr::memchr(0, &bytes).ok_or(Stop::Malformed)?;
        Ok(bytes[..end].into())
    }
}

#[cfg(test)]
mod tests;
