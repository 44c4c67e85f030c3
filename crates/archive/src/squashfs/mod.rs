//! A squashfs (4.0) whose files are stored as they are: what mounts it sees files, what has it open reads each at one place.
//!
//! ```text
//! superblock      96 bytes
//! data            every file's bytes, one file after the other in the order in which they were given
//! inodes          in metadata blocks of 8 KiB, what is in a directory before the directory
//! directories     likewise: of each directory its names in order, with where their inodes are
//! ids             a metadata block with the one id, 0, then where that block is
//! zeros           up to a multiple of 4096
//! ```
//!
//! All of it is a function of the names, sizes, modes and targets: no clock, no owner, no threads. A file may therefore hold the places
//! of those that come before it ([`Plan::place`]).
//! The format is as Linux reads it (`fs/squashfs/squashfs_fs.h`, Documentation/filesystems/squashfs.rst): blocks of 1 MiB, no
//! fragments, no extended attributes, no table for NFS; everything is of uid 0 and gid 0, and of time 0.
//!
//! **Guarantees**: equal entries give equal bytes; a file's bytes are contiguous; memory is bounded by the number of entries.
//! **Refuses**: a name twice or below a file (an [`ImagePath`]'s names all fit); more than [`MAX_ENTRIES`] entries; permission bits beyond 0777;
//! targets that are empty or longer than [`MAX_TARGET`]; content that is not as long as was planned.

use std::collections::BTreeMap;
use std::io;
use std::io::Read;
use std::io::Write;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::ImagePath;
use pinfold_base::Kind;

mod tables;

use tables::Tables;

/// Bytes of a block of data.
const BLOCK: u64 = 1 << BLOCK_LOG;
const BLOCK_LOG: u16 = 20;
/// What a squashfs is padded to, so that a loop device has all of it.
const PAGE: u64 = 4096;
/// Bytes of a superblock, behind which the first file lies.
const SUPERBLOCK: u64 = 96;

/// Longest target of a symbolic link written.
pub const MAX_TARGET: usize = 4095;
/// Most entries written.
pub const MAX_ENTRIES: usize = 1 << 16;

/// Why a squashfs is not written.
#[derive(Debug, thiserror::Error)]
pub enum SquashfsError {
    /// An entry that cannot be in one.
    #[error("`{path}` cannot be put in a squashfs: {reason}")]
    Entry {
        /// Its path.
        path: ImagePath,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// More than is written.
    #[error("a squashfs of more than {limit} {what} is not written")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much is written.
        limit: u64,
    },
    /// The content could not be read, or the squashfs not be written.
    #[error("failed to write a squashfs")]
    Io(#[from] io::Error),
}

impl Diagnose for SquashfsError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Io(error) => Diagnosis::Inner(error),
            Self::Entry { .. } | Self::Limit { .. } => Diagnosis::Own(Kind::Internal),
        }
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A regular file.
    File {
        /// Bytes of it.
        size: u64,
        /// Permission bits.
        mode: u16,
    },
    /// A symbolic link.
    Symlink {
        /// Where it leads, as written.
        target: Box<[u8]>,
    },
}

/// Where a file's bytes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bytes before it, from the beginning of the squashfs.
    pub offset: u64,
    /// Bytes of it.
    pub size: u64,
}

/// What is in a directory: names in order.
type Names = BTreeMap<Box<[u8]>, Placed>;

#[derive(Debug)]
enum Placed {
    Directory(Names),
    File { place: Place, mode: u16 },
    Symlink(Box<[u8]>),
}

/// A squashfs that is all decided, and not written.
#[derive(Debug)]
pub struct Plan {
    root: Names,
    /// In the order of the data.
    files: Vec<(ImagePath, Place)>,
    entries: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self::new()
    }
}

impl Plan {
    /// Nothing but a root.
    pub fn new() -> Self {
        Self { root: Names::new(), files: Vec::new(), entries: 1 }
    }

    /// Puts a file or a link in it; its directories (0755) come with it. A file's bytes come after those of the files before it.
    pub fn add(&mut self, path: &ImagePath, entry: Entry) -> Result<(), SquashfsError> {
        let refuse = |reason| SquashfsError::Entry { path: path.clone(), reason };
        let placed = match entry {
            Entry::File { mode, .. } if mode & !0o777 != 0 => {
                return Err(refuse("its mode is not of 0 to 0777"));
            }
            Entry::File { size, mode } => {
                let offset = self.data();
                offset.checked_add(size).ok_or(refuse("it is too large"))?;
                Placed::File { place: Place { offset, size }, mode }
            }
            Entry::Symlink { target } if target.is_empty() || target.len() > MAX_TARGET => {
                return Err(refuse("its target is empty or too long"));
            }
            Entry::Symlink { target } => Placed::Symlink(target),
        };
        let place = if let Placed::File { place, .. } = &placed { Some(*place) } else { None };
        let mut names = &mut self.root;
        for name in path.parent().iter().flat_map(ImagePath::components) {
            let entry = names.entry(name.into()).or_insert_with(|| {
                self.entries += 1;
                Placed::Directory(Names::new())
            });
            let Placed::Directory(inside) = entry else { return Err(refuse("it is below a file")) };
            names = inside;
        }
        if path.is_root() || names.contains_key(path.name()) {
            return Err(refuse("it is there already"));
        }
        names.insert(path.name().into(), placed);
        self.files.extend(place.map(|place| (path.clone(), place)));
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(SquashfsError::Limit { what: "entries", limit: MAX_ENTRIES as u64 });
        }
        Ok(())
    }

    /// Where the bytes of a file lie.
    pub fn place(&self, path: &ImagePath) -> Option<Place> {
        self.files.iter().find(|(known, _)| known == path).map(|(_, place)| *place)
    }

    /// Bytes of all of it.
    pub fn length(&self) -> Result<u64, SquashfsError> {
        let data = self.data();
        Ok((data + Tables::of(&self.root, data)?.behind.len() as u64).next_multiple_of(PAGE))
    }

    /// Where the data ends.
    fn data(&self) -> u64 {
        self.files.last().map_or(SUPERBLOCK, |(_, last)| last.offset + last.size)
    }

    /// Writes it, and says how long it is. `content` is asked for each file in the order in which they were given.
    pub fn write<R: Read>(
        &self,
        mut out: impl Write,
        mut content: impl FnMut(&ImagePath) -> io::Result<R>,
    ) -> Result<u64, SquashfsError> {
        let data = self.data();
        let tables = Tables::of(&self.root, data)?;
        out.write_all(&tables.superblock)?;
        for (path, place) in &self.files {
            let mut content = content(path)?;
            let copied = io::copy(&mut (&mut content).take(place.size), &mut out)?;
            let reason = match (copied == place.size, content.read(&mut [0])?) {
                (true, 0) => continue,
                (true, _) => "its content is longer than was planned",
                (false, _) => "its content is shorter than was planned",
            };
            return Err(SquashfsError::Entry { path: path.clone(), reason });
        }
        out.write_all(&tables.behind)?;
        let length = data + tables.behind.len() as u64;
        let padded = length.next_multiple_of(PAGE);
        io::copy(&mut io::repeat(0).take(padded - length), &mut out)?;
        Ok(padded)
    }
}

#[cfg(test)]
mod tests;
