//! Layers as rows of compressed segments.
//!
//! ```text
//! gzip   header | segment | segment | … | 03 00 | CRC-32 | ISIZE        one member (RFC 1952)
//! zstd   frame | frame | …                                             one frame per segment (RFC 8878)
//! none   the tar itself
//! ```
//!
//! A gzip segment is a piece of the tar deflated with an empty window and ended by a sync flush, so it stands on byte
//! boundaries and depends on nothing but its own bytes; or it is a *run*: deflate blocks that a publisher's archive
//! already holds, copied as they are (modules `plan` and `splice`); or it is stored, where its bytes are compressed already
//! ([`Piece::Dense`]). Each segment carries its own CRC-32; they are combined at
//! the end. The closing `03 00` is an empty final block.
//!
//! **Guarantees**: one streaming pass (tar → diff_id → segments → digest of the blob); the bytes depend on the tar, the
//! archives its files came in and the [`Encoding`] alone, never on the number of threads, on buffer sizes, the clock or the
//! machine. Segments are cut every MiB (zstd: 4 MiB) counted from the start of the tar, the end of a run, or where a gzip begins or ends
//! to store. At most
//! [`IN_FLIGHT`] bytes are held.
//!
//! **Refuses**: levels the encoder does not have, contents that are shorter or longer than the tree says.

mod gzip;
mod lanes;
mod plan;
mod splice;
mod stream;
mod zstandard;

use std::io;
use std::io::Write;
use std::num::NonZeroUsize;

use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::Kind;

use stream::File;
use stream::Tar;

use crate::deflate::DeflateSources;
use crate::tar::Piece;
use crate::tar::TarError;
use crate::tree::Content;
use crate::tree::Contents;

/// Bytes of segments (raw and compressed together) that one [`encode`] holds at most, whatever the number of threads. Two
/// threads come to half of it for zstd, to a sixth for gzip.
pub const IN_FLIGHT: usize = 64 << 20;

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Encoding {
    /// Not at all: the blob is the tar.
    None,
    /// gzip, one member.
    Gzip {
        /// 1 (fast) to 9 (small); 6 is the default of every gzip.
        level: u8,
        /// Whether blocks of publishers' archives are copied.
        reuse: Reuse,
    },
    /// zstd, one frame per segment.
    Zstd {
        /// 1 (fast) to 22 (small); 3 is zstd's default.
        level: u8,
    },
}

/// Whether a gzip layer takes over blocks that a publisher already deflated. The diff_id is the same either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reuse {
    /// Copy the blocks of big files out of the archives they came in.
    Publisher,
    /// Compress everything here.
    Never,
}

impl Encoding {
    /// Names everything that decides the compressed bytes, for the lock: format, level, encoder with its revision, segment
    /// size and the version of the rules for re-use. Two encodings with equal ids give equal bytes for equal input.
    pub fn id(&self) -> String {
        match self {
            Self::None => "none".into(),
            Self::Gzip { level, reuse } => {
                let reuse = match reuse {
                    Reuse::Publisher => "reuse-1",
                    Reuse::Never => "reuse-never",
                };
                format!("gzip-{level}/{}/segment-{}/{reuse}", gzip::ENCODER, gzip::SEGMENT)
            }
            Self::Zstd { level } => {
                format!("zstd-{level}/{}/segment-{}", zstandard::encoder(), zstandard::SEGMENT)
            }
        }
    }
}

/// What [`encode`] wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Digest of the uncompressed tar (`rootfs.diff_ids` of an image configuration).
    pub diff_id: Digest,
    /// Its size in bytes.
    pub uncompressed: u64,
    /// Digest of the compressed blob.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Compressed bytes that were copied from publishers' archives.
    pub reused: u64,
}

/// Why a layer could not be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The encoder has no such level.
    #[error("{format} has no level {level}: expected {expected}")]
    Level {
        /// `gzip` or `zstd`.
        format: &'static str,
        /// What was asked for.
        level: u8,
        /// The levels there are.
        expected: &'static str,
    },
    /// The tar could not be laid out.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// A file's bytes could not be had.
    #[error("failed to read the content of `{path}`")]
    Content {
        /// The file.
        path: ImagePath,
        /// Why.
        source: io::Error,
    },
    /// A file has fewer or more bytes than its node says.
    #[error("the content of `{path}` is not the {expected} bytes that its tree promises")]
    Size {
        /// The file.
        path: ImagePath,
        /// What the tree says.
        expected: u64,
    },
    /// An archive whose blocks were to be copied could not be read.
    #[error("failed to read the compressed blocks of archive {archive}")]
    Archive {
        /// Digest of the archive.
        archive: Digest,
        /// Why.
        source: io::Error,
    },
    /// The blocks of an archive are not the content they should be: a damaged cache.
    #[error("the compressed blocks of archive {archive} do not match its decoded form")]
    Mismatch {
        /// Digest of the archive.
        archive: Digest,
    },
    /// A segment could not be compressed.
    #[error("the {0} encoder failed")]
    Encoder(&'static str),
    /// The result could not be written.
    #[error("failed to write the layer")]
    Output(#[source] io::Error),
}

impl Diagnose for EncodeError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Level { .. } => Diagnosis::Own(Kind::Usage),
            Self::Tar(error) => Diagnosis::Inner(error),
            Self::Encoder(_) => Diagnosis::Own(Kind::Internal),
            Self::Content { source, .. } | Self::Archive { source, .. } | Self::Output(source) => {
                Diagnosis::Inner(source)
            }
            Self::Size { .. } | Self::Mismatch { .. } => Diagnosis::Own(Kind::Integrity),
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Content { source, .. } | Self::Archive { source, .. } if source.hint().is_none() => {
                Some("`pinfold fetch` brings missing downloads back".into())
            }
            Self::Size { .. } | Self::Mismatch { .. } => Some(
                "the cache is damaged; remove its `decoded` folder, it is made again from the downloads"
                    .into(),
            ),
            _ => None,
        }
    }
}

/// Writes the pieces of a tar ([`crate::tar::pieces`]) as one compressed layer to `out`.
///
/// `threads` compress; two more, this one and one that writes, read and hash. What was written when an error is returned
/// is of no use.
pub fn encode<'a>(
    pieces: impl IntoIterator<Item = Result<Piece<'a>, TarError>>,
    contents: &dyn Contents,
    sources: &dyn DeflateSources,
    encoding: &Encoding,
    threads: NonZeroUsize,
    out: impl Write + Send,
) -> Result<Encoded, EncodeError> {
    let format = match *encoding {
        Encoding::None => lanes::Format::Tar,
        Encoding::Gzip { level: level @ 1..=9, .. } => lanes::Format::Gzip { level },
        Encoding::Zstd { level: level @ 1..=22 } => lanes::Format::Zstd { level },
        Encoding::Gzip { level, .. } => {
            return Err(EncodeError::Level { format: "gzip", level, expected: "1 to 9" });
        }
        Encoding::Zstd { level } => {
            return Err(EncodeError::Level { format: "zstd", level, expected: "1 to 22" });
        }
    };
    let reuse = match encoding {
        Encoding::Gzip { reuse, .. } => *reuse,
        Encoding::None | Encoding::Zstd { .. } => Reuse::Never,
    };
    let ((diff_id, uncompressed), blob) = lanes::run(format, threads, sources, out, |lanes| {
        let mut tar = Tar::new(lanes);
        for piece in pieces {
            match piece? {
                Piece::Bytes(bytes) => tar.add(&bytes)?,
                Piece::Dense(bytes) => tar.add_dense(&bytes)?,
                Piece::File { content: Content::Inline(bytes), .. } => tar.add(bytes)?,
                Piece::File { path, content: content @ Content::Range { archive, offset, size } } => {
                    let blocks = match reuse {
                        Reuse::Publisher if *size >= plan::MIN_FILE => sources
                            .blocks(archive)
                            .map_err(|source| EncodeError::Archive { archive: archive.clone(), source })?,
                        Reuse::Publisher | Reuse::Never => None,
                    };
                    let end = offset.saturating_add(*size);
                    let run = blocks.as_ref().and_then(|blocks| plan::run(blocks, *offset..end));
                    let reader = contents
                        .open(content)
                        .map_err(|source| EncodeError::Content { path: path.clone(), source })?;
                    tar.add_file(
                        File { path, reader, size: *size, left: *size },
                        archive,
                        *offset,
                        run.as_ref(),
                    )?;
                }
            }
        }
        tar.finish()
    })?;
    Ok(Encoded { diff_id, uncompressed, digest: blob.digest, size: blob.size, reused: blob.copied })
}

#[cfg(test)]
mod reuse_tests;
#[cfg(test)]
mod tests;
