//! One file that is an agent in its sandbox: this program, an AppImage (type 2) and an OCI layout at once.
//!
//! ```text
//! program         pinfold, with `AI\x02` at byte 8 (AppImageSpec, "Type 2") and these sections behind it ([`pinfold_archive::elf::extend`]):
//!   .upd_info       1024   where updates are, zeros unless said; of the AppImage specification
//!   .sha256_sig     1024   zeros; likewise
//!   .pinfold        4096   the record, JSON, then zeros: what the program was before, and where the index is
//! squashfs        from the program's end, a multiple of 4096; nothing in it is compressed ([`pinfold_archive::squashfs`])
//!   AppRun  NAME.desktop  .DirIcon  NAME.png  usr/share/metainfo/…   what AppImages have
//!   oci/                                                            the image of one platform, in the OCI image layout
//!   pinfold.json                                                    the index: which image, which agents, where each file is
//! ```
//!
//! The same image and program are also written as a directory in a tar (`tarball`), for who wants no AppImage:
//!
//! ```text
//! NAME/
//!   pinfold.json   the index, first; it says where the other files are in the tar
//!   run.sh         starts what is beside it
//!   pinfold        the program, as it was
//!   oci/           the image, as above
//! ```
//!
//! The file, the tar and the directory that was in it are one [`Portable`].
//!
//! So it is mounted and listed by tools for AppImages, its `oci/` is read by tools for images, and it itself reads blobs by their place,
//! without a reader of squashfs. Layers are those of the image, byte for byte.
//!
//! **Guarantees**: same program, image and words ([`About`]) give the same bytes: no clock, no owner, no thread count is in them. What is
//! read is held to the record's digests ([`Portable::open`]) and, blob by blob, to the image's.
//! **Refuses**: records and indexes of another format or beyond their limits, places outside of the file.
//! A file cannot vouch for itself: who made it is said from outside, by its digest, the image's, or a signature.

mod appdir;
mod appimage;
mod file;
mod folder;
mod head;
mod pack;
mod program;
mod tarball;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::Kind;
use pinfold_base::Platform;
use serde::Deserialize;
use serde::Serialize;

use crate::model::Descriptor;

pub use file::Form;
pub use file::Portable;
pub use head::HeadError;
pub use head::head;
pub use pack::About;
pub use pack::Packed;
pub use pack::pack;
pub use program::ReadAgain;
pub use program::is_marked;
pub use tarball::FOLDER;
pub use tarball::pack_tar;

/// What byte 8 of an AppImage begins.
pub const MAGIC: [u8; 3] = *b"AI\x02";
/// Where it stands.
pub const MAGIC_AT: u64 = 8;
/// The section of the record.
const RECORD: &str = ".pinfold";
/// Bytes of it.
const RECORD_SIZE: usize = 4096;
/// Sections of the AppImage specification, and their bytes.
const UPDATES: (&str, usize) = (".upd_info", 1024);
const SIGNATURE: (&str, usize) = (".sha256_sig", 1024);
/// The squashfs begins at a multiple of this, so that a loop device can have it.
const MULTIPLE: u64 = 4096;
/// Name of the index.
const INDEX: &str = "pinfold.json";
/// The layout's directory.
const LAYOUT: &str = "oci";
/// Longest index read. One written has a line for each file, a few dozen.
const MAX_INDEX: u64 = 1 << 20;
/// Most files of an index read.
const MAX_FILES: usize = 4096;
/// The version of record and index; programs that know it say so ([`is_marked`]).
const FORMAT: u32 = 1;

/// What the section `.pinfold` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    format: u32,
    program: ProgramRecord,
    /// Bytes of the squashfs; nothing is behind it.
    squashfs: u64,
    index: IndexRecord,
}

/// The program as it was, in an AppImage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ProgramRecord {
    /// Bytes of it; what comes behind was added.
    size: u64,
    digest: Digest,
    /// Its first bytes, in hexadecimal digits: they were changed.
    header: String,
}

/// Where the index is, from the beginning of the squashfs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct IndexRecord {
    offset: u64,
    size: u64,
    digest: Digest,
}

/// What is in a file, `pinfold.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Index {
    format: u32,
    /// What the image is called.
    pub name: String,
    /// The image's manifest.
    pub image: Descriptor,
    /// What it runs on.
    pub platform: Platform,
    /// The agents in it, the one that is meant unless another is named first.
    pub agents: Vec<String>,
    /// Bytes of it unpacked, about.
    pub unpacked: u64,
    /// The program in a directory; an AppImage has it in its record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    program: Option<IndexProgram>,
    files: Vec<IndexFile>,
}

/// A program that stands beside the image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct IndexProgram {
    size: u64,
    digest: Digest,
}

/// Where a file is: from the beginning of the squashfs, or from the end of the index in the tar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct IndexFile {
    path: String,
    offset: u64,
    size: u64,
    mode: u16,
}

/// Why a file is none of ours, or is not made.
#[derive(Debug, thiserror::Error)]
pub enum PortableError {
    /// It is a plain program, another AppImage, archive or directory.
    #[error("`{file}` is nothing that `pinfold pack` made")]
    Other {
        /// The file.
        file: String,
    },
    /// It says of itself what is not so.
    #[error("`{file}` is damaged: {reason}")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The program cannot carry an image.
    #[error("`{program}` cannot carry an image: {reason}")]
    Program {
        /// The program's file.
        program: String,
        /// Why.
        reason: String,
    },
    /// Words that do not fit.
    #[error("{what} is too long: {size} bytes, and there is room for {limit}")]
    Long {
        /// What.
        what: &'static str,
        /// Its size.
        size: usize,
        /// The room.
        limit: usize,
    },
}

impl Diagnose for PortableError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::Damaged { .. } => Kind::Integrity,
            Self::Other { .. } | Self::Program { .. } | Self::Long { .. } => Kind::Usage,
        })
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Other { .. } => Some("`pinfold pack IMAGE -o FILE` makes one".into()),
            Self::Damaged { .. } => Some("copy it once more from where it came".into()),
            Self::Program { .. } | Self::Long { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
