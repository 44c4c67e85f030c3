//! What a dynamic linker needs to know about an ELF file, and the linker's cache of libraries.
//!
//! ```text
//! ELF header ─► program headers ─► PT_INTERP   path of the dynamic linker
//!                               ├► PT_DYNAMIC  DT_SONAME, DT_NEEDED…, DT_RPATH, DT_RUNPATH, DT_FLAGS_1
//!                               │              DT_STRTAB, DT_VERNEED, DT_VERDEF: where names and symbol versions are
//!                               └► PT_LOAD     says where these addresses are in the file
//! ```
//!
//! Section headers are not used, as a dynamic linker does not use them. Both word sizes and byte orders are read.
//! [`read`] looks at a file by position; [`Partial`] at one that passes by in chunks. Both are one reader (`reader.rs`).
//!
//! **Guarantees**: only these places are read, however large the file is; no more than [`MAX_DYNAMIC`] bytes of dynamic section,
//! [`MAX_TABLE`] of each table of versions, [`MAX_NAMES`] names of [`MAX_NAME_BYTES`] in all.
//! **Refuses** (as "no ELF file" or malformed): headers or tables outside the file, more than these limits, names that do not
//! end.

use std::cell::RefCell;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;

use crate::Content;
use crate::Contents;
use crate::tree::InlineOnly;

pub mod extend;
mod ld_so_cache;
mod partial;
mod reader;

pub use ld_so_cache::CachedLibrary;
pub use ld_so_cache::LdSoCacheError;
pub use ld_so_cache::SonameLink;
pub use ld_so_cache::cached_libraries;
pub use ld_so_cache::ld_so_cache;
pub use ld_so_cache::soname_links;
pub use partial::HEAD;
pub use partial::HELD_MAX;
pub use partial::PASSES;
pub use partial::Partial;
pub use partial::Passed;
use reader::Source;
use reader::Stop;

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

/// Byte order (`EI_DATA`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElfOrder {
    /// `ELFDATA2LSB`.
    Little,
    /// `ELFDATA2MSB`.
    Big,
}

/// Whether what is to be mapped (`PT_LOAD`) lies in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElfLoad {
    /// There is none of it: nothing can be started.
    Nothing,
    /// All of it does.
    Whole,
    /// Some lies after the file's end: it was cut off.
    CutOff,
}

/// An ELF file as the dynamic linker sees it. Names are bytes, as they stand in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elf {
    /// `e_machine`; compare with [`pinfold_base::Arch::elf_machine`].
    pub machine: u16,
    /// Word size.
    pub class: ElfClass,
    /// Byte order.
    pub order: ElfOrder,
    /// `EI_OSABI`: 0 (System V) and 3 (GNU) are what Linux starts.
    pub os_abi: u8,
    /// What it is.
    pub kind: ElfKind,
    /// Whether it is all there.
    pub load: ElfLoad,
    /// `PT_INTERP`: the dynamic linker it asks for; `None` for libraries and static programs.
    pub interpreter: Option<Box<[u8]>>,
    /// `DT_SONAME`.
    pub soname: Option<Box<[u8]>>,
    /// `DT_NEEDED`, in order.
    pub needed: Vec<Box<[u8]>>,
    /// `DT_RPATH`. The loader does not look at it where there is a [`runpath`](Self::runpath).
    pub rpath: Option<Box<[u8]>>,
    /// `DT_RUNPATH`.
    pub runpath: Option<Box<[u8]>>,
    /// `DF_1_NODEFLIB`: the loader's cache and default directories are not for what it needs.
    pub no_default_directories: bool,
    /// `DF_1_PIE`: it is a program, though its kind is that of libraries.
    pub position_independent: bool,
    /// `DT_VERNEED`: which versions of symbols it takes from which library, in order.
    pub versions_needed: Vec<VersionsNeeded>,
    /// `DT_VERDEF`: names of versions that it defines, in order; the first is most often its own name.
    pub versions_defined: Vec<Box<[u8]>>,
}

impl Elf {
    /// All names that it gives: of libraries, of versions, of places to look in.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        let own = [&self.interpreter, &self.soname, &self.rpath, &self.runpath].into_iter().flatten();
        let versions = self.versions_needed.iter().flat_map(|needed| {
            std::iter::once(&needed.library).chain(needed.versions.iter().map(|version| &version.name))
        });
        own.chain(&self.needed).chain(&self.versions_defined).chain(versions).map(|name| &**name)
    }
}

/// The versions that a file takes from one library.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionsNeeded {
    /// The library, as in `DT_NEEDED`.
    pub library: Box<[u8]>,
    /// What is taken from it.
    pub versions: Vec<Version>,
}

/// A version of symbols that a file needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// `GLIBC_2.34`.
    pub name: Box<[u8]>,
    /// `VER_FLG_WEAK`: the loader goes on without it.
    pub weak: bool,
}

/// Most program headers accepted. Linkers write about a dozen.
pub const MAX_PROGRAM_HEADERS: u16 = 256;
/// Most bytes of dynamic section accepted: 65,536 entries of 64 bits.
pub const MAX_DYNAMIC: u64 = 1 << 20;
/// Most bytes of a table of versions accepted: 4,096 needed versions of 16 bytes. libstdc++ defines about fifty.
pub const MAX_TABLE: u64 = 1 << 16;
/// Most names accepted of libraries and of versions together.
pub const MAX_NAMES: usize = 1 << 14;
/// Most bytes accepted of all names taken together: they may overlap in the table of names, and are kept one by one.
pub const MAX_NAME_BYTES: usize = 1 << 20;
/// Longest name accepted.
const MAX_NAME: u64 = 4096;

/// Reads what [`Elf`] holds, and only that, out of a file. `Ok(None)` when it is no ELF file or a malformed one; errors are
/// those of reading.
pub fn read(contents: &dyn Contents, content: &Content) -> io::Result<Option<Elf>> {
    match reader::elf(&File { contents, content }) {
        Ok(elf) => Ok(Some(elf)),
        Err(Stop::NotElf | Stop::Malformed(_) | Stop::Missing(_)) => Ok(None),
        Err(Stop::Io(error)) => Err(error),
    }
}

/// [`read`] for bytes in memory.
pub fn parse(bytes: &[u8]) -> Option<Elf> {
    read(&InlineOnly, &Content::inline(bytes)).ok().flatten()
}

/// [`read`] for a file that is open.
pub fn read_open(file: &mut (impl Read + Seek)) -> io::Result<Option<Elf>> {
    let size = file.seek(SeekFrom::End(0))?;
    match reader::elf(&Open { file: RefCell::new(file), size }) {
        Ok(elf) => Ok(Some(elf)),
        Err(Stop::NotElf | Stop::Malformed(_) | Stop::Missing(_)) => Ok(None),
        Err(Stop::Io(error)) => Err(error),
    }
}

/// An open file.
struct Open<R> {
    file: RefCell<R>,
    size: u64,
}

impl<R: Read + Seek> Source for Open<R> {
    fn size(&self) -> u64 {
        self.size
    }

    fn bytes(&self, offset: u64, size: u64) -> Result<Vec<u8>, Stop> {
        let mut file = self.file.borrow_mut();
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = vec![0; usize::try_from(size).map_err(|_| Stop::Malformed("it ends early"))?];
        file.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

/// A file read by position.
struct File<'a> {
    contents: &'a dyn Contents,
    content: &'a Content,
}

impl Source for File<'_> {
    fn size(&self) -> u64 {
        self.content.size()
    }

    fn bytes(&self, offset: u64, size: u64) -> Result<Vec<u8>, Stop> {
        let part = match self.content {
            Content::Inline(bytes) => {
                let range = usize::try_from(offset).ok().zip(usize::try_from(offset + size).ok());
                let part = range.and_then(|(start, end)| bytes.get(start..end));
                return Ok(part.ok_or(Stop::Malformed("it ends early"))?.to_vec());
            }
            Content::Range { archive, offset: start, .. } => Content::Range {
                archive: archive.clone(),
                offset: start.checked_add(offset).ok_or(Stop::Malformed("it ends early"))?,
                size,
            },
        };
        Ok(self.contents.read(&part, size)?)
    }
}

#[cfg(test)]
mod tests;
