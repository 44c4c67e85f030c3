//! The tables of a squashfs, behind its data, and the superblock that says where they are. Numbers are little-endian.

use super::BLOCK;
use super::BLOCK_LOG;
use super::Names;
use super::Place;
use super::Placed;
use super::SUPERBLOCK;
use super::SquashfsError;

const MAGIC: u32 = 0x7371_7368;
const VERSION: (u16, u16) = (4, 0);
/// Of the compressors, gzip, which every reader has; nothing is compressed.
const COMPRESSOR: u16 = 1;
/// Inodes, data, fragments and ids are stored; there are no fragments and no extended attributes.
const FLAGS: u16 = 0x0001 | 0x0002 | 0x0008 | 0x0010 | 0x0200 | 0x0800;
/// Says of a block of data that it is stored.
const STORED: u32 = 1 << 24;
/// Says of a metadata block that it is stored.
const METADATA_STORED: u16 = 1 << 15;
/// Bytes of a metadata block.
const METADATA: usize = 8192;
/// Where a table would be that is not there; and no fragment, no attributes.
const NONE: u64 = u64::MAX;
const NOTHING: u32 = u32::MAX;
/// Most names behind one header of a directory.
const RUN: usize = 256;

/// Kinds of inodes; a directory's names have the first of the two where there are two.
const DIRECTORY: u16 = 1;
const FILE: u16 = 2;
const SYMLINK: u16 = 3;
const LONG_DIRECTORY: u16 = 8;
const LONG_FILE: u16 = 9;

/// What is written before and behind the data.
pub(super) struct Tables {
    pub(super) superblock: Vec<u8>,
    pub(super) behind: Vec<u8>,
}

/// Where something begins in a table: in which metadata block (by its place among the blocks as written), and where in it.
#[derive(Clone, Copy)]
struct Reference {
    block: u32,
    offset: u16,
}

/// Bytes that are written in metadata blocks.
#[derive(Default)]
struct Metadata(Vec<u8>);

impl Metadata {
    /// Where what comes next begins.
    fn here(&self) -> Result<Reference, SquashfsError> {
        let (block, offset) = (self.0.len() / METADATA, self.0.len() % METADATA);
        let block = u32::try_from(block * (METADATA + 2)).map_err(|_| too_many())?;
        Ok(Reference { block, offset: u16::try_from(offset).unwrap_or_default() })
    }

    fn put16(&mut self, number: u16) {
        self.0.extend(number.to_le_bytes());
    }

    fn put32(&mut self, number: u32) {
        self.0.extend(number.to_le_bytes());
    }

    fn put64(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    fn blocks(&self, out: &mut Vec<u8>) {
        for block in self.0.chunks(METADATA) {
            let length = u16::try_from(block.len()).unwrap_or_default();
            out.extend((length | METADATA_STORED).to_le_bytes());
            out.extend(block);
        }
    }
}

fn too_many() -> SquashfsError {
    SquashfsError::Limit { what: "bytes of tables", limit: u64::from(u32::MAX) }
}

/// An inode that a directory names.
struct Named<'a> {
    name: &'a [u8],
    kind: u16,
    number: u32,
    at: Reference,
}

#[derive(Default)]
struct Writer {
    inodes: Metadata,
    directories: Metadata,
    /// The number that was given last.
    number: u32,
}

impl Writer {
    fn next(&mut self) -> u32 {
        self.number += 1;
        self.number
    }

    fn begin(&mut self, kind: u16, mode: u16, number: u32) {
        for part in [kind, mode, 0, 0] {
            self.inodes.put16(part);
        }
        self.inodes.put32(0);
        self.inodes.put32(number);
    }

    /// What is in a directory, then the directory.
    fn directory(&mut self, names: &Names, number: u32, parent: u32) -> Result<Reference, SquashfsError> {
        let numbers: Vec<u32> = names.iter().map(|_| self.next()).collect();
        let mut found = Vec::with_capacity(names.len());
        for ((name, placed), own) in names.iter().zip(numbers) {
            let (kind, at) = match placed {
                Placed::Directory(inside) => (DIRECTORY, self.directory(inside, own, number)?),
                Placed::File { place, mode } => (FILE, self.file(*place, *mode, own)?),
                Placed::Symlink(target) => (SYMLINK, self.symlink(target, own)?),
            };
            found.push(Named { name, kind, number: own, at });
        }
        let (at, size) = self.listing(&found)?;
        let below = found.iter().filter(|named| named.kind == DIRECTORY).count();
        let links = u32::try_from(below + 2).map_err(|_| too_many())?;
        let here = self.inodes.here()?;
        // The size of a listing has three bytes more, for `.` and `..`.
        if let Ok(short) = u16::try_from(size + 3) {
            self.begin(DIRECTORY, 0o755, number);
            self.inodes.put32(at.block);
            self.inodes.put32(links);
            self.inodes.put16(short);
            self.inodes.put16(at.offset);
            self.inodes.put32(parent);
        } else {
            self.begin(LONG_DIRECTORY, 0o755, number);
            self.inodes.put32(links);
            self.inodes.put32(size + 3);
            self.inodes.put32(at.block);
            self.inodes.put32(parent);
            self.inodes.put16(0);
            self.inodes.put16(at.offset);
            self.inodes.put32(NOTHING);
        }
        Ok(here)
    }

    /// The names of a directory, in runs whose inodes begin in one metadata block. Says where they are, and how long.
    fn listing(&mut self, found: &[Named<'_>]) -> Result<(Reference, u32), SquashfsError> {
        let here = self.directories.here()?;
        let before = self.directories.0.len();
        let mut rest = found;
        while let Some(first) = rest.first() {
            let near = |named: &Named<'_>| {
                named.at.block == first.at.block && i16::try_from(named.number - first.number).is_ok()
            };
            let run = rest.iter().take(RUN).take_while(|named| near(named)).count();
            let (names, behind) = rest.split_at(run);
            rest = behind;
            self.directories.put32(u32::try_from(run - 1).unwrap_or_default());
            self.directories.put32(first.at.block);
            self.directories.put32(first.number);
            for named in names {
                self.directories.put16(named.at.offset);
                self.directories.put16(u16::try_from(named.number - first.number).unwrap_or_default());
                self.directories.put16(named.kind);
                self.directories.put16(u16::try_from(named.name.len() - 1).unwrap_or_default());
                self.directories.0.extend(named.name);
            }
        }
        let size = u32::try_from(self.directories.0.len() - before).map_err(|_| too_many())?;
        Ok((here, size))
    }

    fn file(&mut self, place: Place, mode: u16, number: u32) -> Result<Reference, SquashfsError> {
        let here = self.inodes.here()?;
        let Place { offset, size } = place;
        if let (Ok(start), Ok(short)) = (u32::try_from(offset), u32::try_from(size)) {
            self.begin(FILE, mode, number);
            for part in [start, NOTHING, 0, short] {
                self.inodes.put32(part);
            }
        } else {
            self.begin(LONG_FILE, mode, number);
            for part in [offset, size, 0] {
                self.inodes.put64(part);
            }
            for part in [1, NOTHING, 0, NOTHING] {
                self.inodes.put32(part);
            }
        }
        let mut left = size;
        while left > 0 {
            let block = left.min(BLOCK);
            self.inodes.put32(u32::try_from(block).unwrap_or_default() | STORED);
            left -= block;
        }
        Ok(here)
    }

    fn symlink(&mut self, target: &[u8], number: u32) -> Result<Reference, SquashfsError> {
        let here = self.inodes.here()?;
        self.begin(SYMLINK, 0o777, number);
        self.inodes.put32(1);
        self.inodes.put32(u32::try_from(target.len()).map_err(|_| too_many())?);
        self.inodes.0.extend(target);
        Ok(here)
    }
}

impl Tables {
    /// Of a root whose data ends at `data`.
    pub(super) fn of(root: &Names, data: u64) -> Result<Self, SquashfsError> {
        let mut writer = Writer::default();
        let number = writer.next();
        // The root's parent is a number that no inode has.
        let parent = u32::try_from(super::MAX_ENTRIES + 1).unwrap_or(u32::MAX);
        let at = writer.directory(root, number, parent)?;
        let mut behind = Vec::new();
        let place = |behind: &Vec<u8>| data + behind.len() as u64;
        let inodes = place(&behind);
        writer.inodes.blocks(&mut behind);
        let directories = place(&behind);
        writer.directories.blocks(&mut behind);
        let id = place(&behind);
        let mut ids = Metadata::default();
        ids.put32(0);
        ids.blocks(&mut behind);
        let table = place(&behind);
        behind.extend(id.to_le_bytes());
        let mut head = Metadata::default();
        head.put32(MAGIC);
        head.put32(writer.number);
        head.put32(0);
        head.put32(u32::try_from(BLOCK).unwrap_or_default());
        head.put32(0);
        for part in [COMPRESSOR, BLOCK_LOG, FLAGS, 1, VERSION.0, VERSION.1] {
            head.put16(part);
        }
        let root = (u64::from(at.block) << 16) | u64::from(at.offset);
        for part in [root, place(&behind), table, NONE, inodes, directories, NONE, NONE] {
            head.put64(part);
        }
        debug_assert_eq!(head.0.len() as u64, SUPERBLOCK);
        Ok(Self { superblock: head.0, behind })
    }
}
