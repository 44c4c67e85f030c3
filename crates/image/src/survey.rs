//! What an image has, path by path, and what its files are: programs, scripts, what they sum up to. Every layer is read once, nothing
//! is unpacked or run.
//!
//! **Guarantees**: what is listed is what [`crate::unpack`] would leave.

use std::collections::BTreeMap;

use pinfold_archive::elf::Elf;
use pinfold_base::ImagePath;

/// An extended attribute: its name and value.
pub type Xattr = (Box<[u8]>, Box<[u8]>);

/// What a file's content is, as far as it is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// It is an ELF file.
    pub elf: Option<Box<Elf>>,
    /// Its first line after `#!`, without its end; at most 256 bytes, as Linux reads.
    pub script: Option<Box<[u8]>>,
    /// Its MD5, where it was asked for.
    pub md5: Option<[u8; 16]>,
    /// Names and values of extended attributes that its entry brings.
    pub xattrs: Vec<Xattr>,
}

/// What a path is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A directory.
    Directory,
    /// A file; names of one file have equal facts.
    File(Box<Facts>),
    /// A symbolic link, and where it leads.
    Link(Box<[u8]>),
    /// A device or a FIFO.
    Other,
}

/// One path of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The layer that it comes from; 0 is the lowest.
    pub layer: usize,
    /// What it is.
    pub what: What,
    /// Permission bits.
    pub mode: u32,
    /// Numeric owner.
    pub uid: u32,
    /// Numeric group.
    pub gid: u32,
    /// Bytes of a file.
    pub size: u64,
}

/// The paths of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// All of them, without the root.
    pub paths: BTreeMap<ImagePath, Seen>,
    /// The content of files that was asked for.
    pub kept: BTreeMap<ImagePath, Vec<u8>>,
}
