//! Reading the tar, and the directory that was in it.
//!
//! **Guarantees**: a file of a directory is opened without being waited for, and no more of it is read than the index says; a compressed
//! tar is decoded anew for each file, and nothing of it is kept.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::io::BufReader;
use std::io::Read;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use fs_err::File;
use pinfold_archive::codec;
use pinfold_archive::codec::Compression;
use pinfold_archive::tar::BLOCK;
use pinfold_archive::tar::EntryKind;
use pinfold_archive::tar::Limits;
use pinfold_archive::tar::Reader;
use pinfold_archive::tar::Strictness;
use pinfold_archive::tar::TarError;
use pinfold_base::ImagePath;
use pinfold_base::file::regular;

use super::INDEX;
use super::Index;
use super::MAX_INDEX;
use super::PortableError;
use super::file::Part;
use super::file::read_as;
use crate::ImageError;
use crate::blobs::BlobRead;
use crate::blobs::unwrap_io;
use crate::blobs::wrap;

/// Largest window of a compressed tar.
const WINDOW: u64 = 8 << 20;
/// Where a header of a tar says so.
const MAGIC: std::ops::Range<usize> = 257..262;

/// A directory whose index was read.
#[derive(Clone, Debug)]
pub(super) struct Folder {
    path: PathBuf,
    name: String,
}

impl Folder {
    /// Opens a directory. [`PortableError::Other`] where it has no index.
    pub(super) fn open(path: &Path, name: &str) -> Result<(Self, Index), ImageError> {
        let folder = Self { path: std::path::absolute(path)?, name: name.to_owned() };
        if !folder.path.join(INDEX).exists() {
            return Err(PortableError::Other { file: name.to_owned() }.into());
        }
        let index =
            read_as(&folder.small(INDEX)?).map_err(|reason| folder.damaged(format!("its index {reason}")))?;
        Ok((folder, index))
    }

    /// A file of it that is small.
    pub(super) fn small(&self, path: &str) -> Result<Vec<u8>, ImageError> {
        let mut bytes = Vec::new();
        self.opened(path)?.take(MAX_INDEX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_INDEX {
            return Err(self.damaged(format!("`{path}` in it is too long")));
        }
        Ok(bytes)
    }

    /// Something in it that is none of these, nor below one that is none; nothing where there is no more. Only directories that are known
    /// are listed, so that this ends.
    pub(super) fn beyond(&self, known: &BTreeSet<&str>) -> Result<Option<String>, ImageError> {
        let mut listed = vec![String::new()];
        while let Some(inner) = listed.pop() {
            for entry in fs_err::read_dir(self.path.join(&inner))? {
                let entry = entry?;
                let name = entry.file_name();
                let path = match name.to_str() {
                    Some(name) if inner.is_empty() => name.to_owned(),
                    Some(name) => format!("{inner}/{name}"),
                    None => return Ok(Some(Path::new(&inner).join(&name).display().to_string())),
                };
                if !known.contains(&*path) {
                    return Ok(Some(path));
                }
                if entry.file_type()?.is_dir() {
                    listed.push(path);
                }
            }
        }
        Ok(None)
    }

    /// So many bytes of a file, which has no more and no less.
    pub(super) fn part(&self, path: &str, size: u64) -> Result<BlobRead, ImageError> {
        let path =
            ImagePath::new(path).map_err(|_| self.damaged("its index names what is no path".into()))?;
        let inner = path.to_string();
        let inner = inner.trim_start_matches('/');
        let file = self.opened(inner)?;
        let length = file.metadata()?.len();
        if length != size {
            return Err(
                self.damaged(format!("`{inner}` in it has {length} bytes, and not the {size} it should"))
            );
        }
        Ok(Box::new(Part { file: Arc::new(file), at: 0, end: size }))
    }

    fn opened(&self, path: &str) -> Result<File, ImageError> {
        match regular(&self.path.join(OsStr::from_bytes(path.as_bytes()))) {
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidInput) => {
                Err(self.damaged(format!("`{path}` in it is missing, or no file")))
            }
            opened => Ok(opened?),
        }
    }

    fn damaged(&self, reason: String) -> ImageError {
        PortableError::Damaged { file: self.name.clone(), reason }.into()
    }
}

/// A tar whose index was read.
#[derive(Clone, Debug)]
pub(super) struct Tar {
    file: Arc<File>,
    name: String,
    compression: Compression,
    /// Where the index ends, from which places count.
    base: u64,
}

impl Tar {
    /// Reads an open file. [`PortableError::Other`] where it is no such tar.
    pub(super) fn of(file: &Arc<File>, name: &str) -> Result<(Self, Index), ImageError> {
        let other = || PortableError::Other { file: name.to_owned() };
        let mut start = [0; 16];
        let n = file.file().read_at(&mut start, 0)?;
        let compression = Compression::detect(&start[..n]);
        if !matches!(compression, Compression::None | Compression::Gzip | Compression::Zstd) {
            return Err(other().into());
        }
        let tar = Self { file: Arc::clone(file), name: name.to_owned(), compression, base: 0 };
        let mut first = Vec::new();
        tar.decoded()?.take(BLOCK as u64).read_to_end(&mut first).map_err(|error| tar.unsound(error))?;
        // What looks like a tar and is none is a broken one.
        let broken = |error: TarError| match first.get(MAGIC) {
            Some(b"ustar") => tar.damaged(format!("it cannot be read ({error})")),
            _ => other().into(),
        };
        let mut entries = Reader::new(BufReader::new(tar.decoded()?), Strictness::LAYER, Limits::default());
        let folder = entries.next_entry().map_err(broken)?.ok_or_else(other)?;
        let entry = entries.next_entry().map_err(broken)?.ok_or_else(other)?;
        let is_index = entry.name.strip_prefix(&*folder.name) == Some(INDEX.as_bytes());
        if folder.kind != EntryKind::Directory || entry.kind != EntryKind::File || !is_index {
            return Err(other().into());
        }
        if entry.size > MAX_INDEX {
            return Err(tar.damaged("its index is too long".into()));
        }
        let mut bytes = Vec::new();
        entries.read_to_end(&mut bytes).map_err(|error| tar.unsound(error))?;
        let base = entry.offset + entry.size.next_multiple_of(BLOCK as u64);
        let index = read_as(&bytes).map_err(|reason| tar.damaged(format!("its index {reason}")))?;
        Ok((Self { base, ..tar }, index))
    }

    /// The file as it is.
    pub(super) fn file(&self) -> impl Read + use<> {
        Part { file: Arc::clone(&self.file), at: 0, end: u64::MAX }
    }

    /// The tar in it. Where it is broken, that is said of it as damage.
    pub(super) fn stream(&self) -> Result<BlobRead, ImageError> {
        Ok(Box::new(Sound { inner: self.decoded()?, tar: self.clone() }))
    }

    /// So many bytes from a place on.
    pub(super) fn part(&self, offset: u64, size: u64) -> Result<BlobRead, ImageError> {
        let at = self.base.checked_add(offset);
        let (Some(at), Some(end)) = (at, at.and_then(|at| at.checked_add(size))) else {
            return Err(self.damaged("its index says what cannot be".into()));
        };
        if self.compression == Compression::None {
            return Ok(Box::new(Part { file: Arc::clone(&self.file), at, end }));
        }
        let mut stream = self.stream()?;
        io::copy(&mut stream.by_ref().take(at), &mut io::sink()).map_err(unwrap_io)?;
        Ok(Box::new(stream.take(size)))
    }

    fn decoded(&self) -> Result<BlobRead, ImageError> {
        let file = BufReader::with_capacity(256 << 10, self.file());
        Ok(codec::decoder_within(self.compression, file, WINDOW)?)
    }

    fn unsound(&self, error: io::Error) -> ImageError {
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
                self.damaged(format!("it cannot be decompressed ({error})"))
            }
            _ => error.into(),
        }
    }

    fn damaged(&self, reason: String) -> ImageError {
        PortableError::Damaged { file: self.name.clone(), reason }.into()
    }
}

/// What a decoder gives, where its refusals are damage of the tar.
struct Sound {
    inner: BlobRead,
    tar: Tar,
}

impl Read for Sound {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buf).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => wrap(self.tar.unsound(error)),
        })
    }
}
