//! The tar around an exported image: all numbers are zero but modes and sizes.
//!
//! ```text
//! blobs/  blobs/sha256/  blobs/sha256/HEX …  index.json  [manifest.json]  oci-layout
//! ```

use std::io;
use std::io::BufWriter;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_archive::tar::BLOCK;
use pinfold_archive::tar::write;
use pinfold_base::store::persist;

use super::parent_of;
use crate::ImageError;
use crate::ImageSource;
use crate::blobs::unwrap_io;
use crate::model::Descriptor;

/// An archive being written to a temporary file beside its final name.
pub(super) struct Archive {
    file: BufWriter<tempfile::NamedTempFile>,
    path: PathBuf,
}

impl Archive {
    pub(super) fn create(path: &Path) -> Result<Self, ImageError> {
        let parent = parent_of(path);
        fs::create_dir_all(parent)?;
        let file = tempfile::Builder::new().prefix(".pinfold-").tempfile_in(parent)?;
        let mut archive =
            Self { file: BufWriter::with_capacity(1 << 20, file), path: std::path::absolute(path)? };
        archive.header("blobs/", 0)?;
        archive.header("blobs/sha256/", 0)?;
        Ok(archive)
    }

    /// Adds blobs in order of their digests.
    pub(super) fn blobs(&mut self, source: &ImageSource, blobs: Vec<Descriptor>) -> Result<(), ImageError> {
        self.blobs_of_two((source, blobs), (source, Vec::new()))
    }

    /// The same for blobs out of two places.
    pub(super) fn blobs_of_two(
        &mut self,
        first: (&ImageSource, Vec<Descriptor>),
        second: (&ImageSource, Vec<Descriptor>),
    ) -> Result<(), ImageError> {
        let mut all: Vec<(Descriptor, &ImageSource)> = Vec::new();
        for (source, blobs) in [first, second] {
            all.extend(blobs.into_iter().map(|blob| (blob, source)));
        }
        all.sort_by(|a, b| a.0.digest.cmp(&b.0.digest));
        all.dedup_by(|a, b| a.0.digest == b.0.digest);
        for (blob, source) in all {
            let name = format!("blobs/{}/{}", blob.digest.algorithm().name(), blob.digest.hex());
            self.member(&name, blob.size, source.open(&blob)?)?;
        }
        Ok(())
    }

    pub(super) fn small(&mut self, name: &str, bytes: &[u8]) -> Result<(), ImageError> {
        self.member(name, bytes.len() as u64, bytes)
    }

    /// Ends the archive and gives it its name.
    pub(super) fn finish(mut self) -> Result<(), ImageError> {
        self.file.write_all(&write::END)?;
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        persist(file, &self.path)?;
        Ok(())
    }

    fn member(&mut self, name: &str, size: u64, mut content: impl Read) -> Result<(), ImageError> {
        self.header(name, size)?;
        let copied = io::copy(&mut content, &mut self.file).map_err(unwrap_io)?;
        if copied != size {
            return Err(ImageError::WrongSize { what: format!("`{name}`"), expected: size, actual: copied });
        }
        let padding = size.next_multiple_of(BLOCK as u64) - size;
        self.file.write_all(&[0; BLOCK][..padding as usize])?;
        Ok(())
    }

    fn header(&mut self, name: &str, size: u64) -> Result<(), ImageError> {
        let header = write::member(name.as_bytes(), size).map_err(|reason| ImageError::Archive {
            archive: self.path.display().to_string(),
            reason: format!("`{name}` cannot be written: {reason}"),
        })?;
        Ok(self.file.write_all(&header)?)
    }
}
