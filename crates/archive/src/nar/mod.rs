//! NARs, the archives of Nix: one store path as bytes. A strict streaming reader ([`read`]) and the canonical writer ([`write`]).
//!
//! ```text
//! archive   "nix-archive-1" node
//! node      "(" "type" "regular" [ "executable" "" ] "contents" BYTES ")"
//!         | "(" "type" "symlink" "target" BYTES ")"
//!         | "(" "type" "directory" ( "entry" "(" "name" BYTES "node" node ")" )* ")"
//! ```
//!
//! Every word and every BYTES is its length as u64, little-endian, then the bytes, then zeros up to a multiple of eight. (Dolstra, *The Purely
//! Functional Software Deployment Model*, figure 5.2; the words are those of Nix.) A store path is often a directory, but a file and
//! a link are store paths too, so the root is any node.
//!
//! One tree has one NAR, and its SHA-256 (`NarHash`) and size (`NarSize`) are what a cache signs. So the reader takes nothing that the
//! writer would write otherwise: what it accepts, written again, is the same bytes.
//!
//! Owners, times and all bits of a mode but one are not in a NAR. What is placed gets [`EntryKind::mode`] and [`MTIME`], as in a store.
//!
//! Names that differ only in case are two names, and a name with Nix's `~nix~case~hack~` is that name: on Linux Nix takes both as
//! they are, they are part of what was hashed and signed, and what is unpacked here goes into images of Linux. (Nix writes the suffix
//! on file systems without case, and takes it off when it reads them.)

pub mod read;
pub mod write;

mod error;

pub use error::NarError;
pub use read::Entry;
pub use read::EntryKind;
pub use read::Reader;
pub use write::Writer;

use pinfold_base::image_path::MAX_PATH;

/// The time of everything in a store, in seconds since the epoch.
pub const MTIME: u64 = 1;

/// Longest target of a link, in bytes (`PATH_MAX` without its NUL).
pub const MAX_TARGET: usize = MAX_PATH;

/// The first word.
const MAGIC: &[u8] = b"nix-archive-1";

/// Length of the numbers and multiple of everything.
const UNIT: usize = 8;

/// Bytes that fill up what is this long.
const fn padding(length: u64) -> usize {
    (length.wrapping_neg() % UNIT as u64) as usize
}

/// Whether a file may be run: all of its mode that a NAR keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Permission {
    /// It is read.
    Plain,
    /// It may be run as well.
    Executable,
}

impl Permission {
    /// What Nix makes of the mode of a file: it goes by the owner's bit.
    pub const fn of(mode: u32) -> Self {
        if mode & 0o100 == 0 { Self::Plain } else { Self::Executable }
    }

    /// The mode that a file has in a store.
    pub const fn mode(self) -> u32 {
        match self {
            Self::Plain => 0o444,
            Self::Executable => 0o555,
        }
    }
}

/// How much there may be. Names and paths are as long as Linux allows ([`pinfold_base::image_path`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most entries, the root counted.
    pub entries: u64,
    /// Most names in a path.
    pub depth: usize,
    /// Most bytes of the whole NAR.
    pub total: u64,
}

impl Limits {
    /// What is accepted: paths as deep as those of a layer, 8 GiB.
    pub const ACCEPTED: Self = Self { entries: 400_000, depth: crate::layer::MAX_DEPTH, total: 8 << 30 };
    /// What is written: no deeper than fits into a layer below `/nix/store/NAME`.
    pub const WRITTEN: Self = Self { depth: Self::ACCEPTED.depth - 3, ..Self::ACCEPTED };
}

/// Why no link has this target.
fn target_refused(target: &[u8]) -> Option<&'static str> {
    match target {
        b"" => Some("the target of a link is empty"),
        _ if target.len() > MAX_TARGET => Some("the target of a link is longer than 4095 bytes"),
        _ if target.contains(&0) => Some("the target of a link holds a NUL byte"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
