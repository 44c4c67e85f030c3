//! The tar around an exported image: all numbers are zero but modes and sizes.
//!
//! ```text
//! blobs/  blobs/sha256/  blobs/sha256/HEX …  index.json  [manifest.json]  oci-layout
//! ```
//!
//! **Guarantees**: the file appears whole under its name; its blobs are sorted by their digests, so that equal images give equal
//! archives.

use std::io;
use std::io::BufWriter;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_archive::tar::BLOCK;
use pinfold_archive::tar::write;
use pinfold_base::beside::BesideFile;
use serde::Serialize;

use super::Named;
use super::parent_of;
use crate::ImageError;
use crate::blobs::Blobs;
use crate::blobs::open_verified;
use crate::blobs::unwrap_io;
use crate::json;
use crate::layout::INDEX_NAME;
use crate::layout::LAYOUT_FILE;
use crate::layout::LAYOUT_NAME;
use crate::model::Descriptor;
use crate::model::Index;
use crate::model::Manifest;
use crate::model::Raw;
use crate::sink::Order;
use crate::sink::Sink;
use crate::sink::is_manifest;

/// An archive being written.
pub(super) struct ArchiveSink<'a> {
    out: Out<'a>,
    named: Named,
    /// For a Docker archive: what its `manifest.json` will say.
    saved: Option<Vec<Saved>>,
}

/// Where an archive goes.
enum Out<'a> {
    /// To a temporary file beside its final name.
    File { file: BufWriter<BesideFile>, path: PathBuf },
    /// To whoever reads it.
    Stream(&'a mut dyn Write),
}

/// One image of `manifest.json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Saved {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

impl<'a> ArchiveSink<'a> {
    /// An OCI archive.
    pub(super) fn oci(path: &Path, named: Named) -> Result<Self, ImageError> {
        Self::begin(Out::file(path)?, named, None)
    }

    /// A Docker archive, which is an OCI archive, too. It takes one image manifest.
    pub(super) fn docker(path: &Path, named: Named) -> Result<Self, ImageError> {
        Self::begin(Out::file(path)?, named, Some(Vec::new()))
    }

    /// Either for whoever reads it.
    pub(super) fn stream(
        to: &'a mut dyn Write,
        named: Named,
        saved: Option<Vec<Saved>>,
    ) -> Result<Self, ImageError> {
        Self::begin(Out::Stream(to), named, saved)
    }

    fn begin(out: Out<'a>, named: Named, saved: Option<Vec<Saved>>) -> Result<Self, ImageError> {
        let mut sink = Self { out, named, saved };
        sink.header("blobs/", 0)?;
        sink.header("blobs/sha256/", 0)?;
        Ok(sink)
    }

    fn member(&mut self, name: &str, size: u64, mut content: impl Read) -> Result<(), ImageError> {
        self.header(name, size)?;
        let copied = io::copy(&mut content, self.out.writer()).map_err(unwrap_io)?;
        if copied != size {
            return Err(ImageError::WrongSize { what: format!("`{name}`"), expected: size, actual: copied });
        }
        let padding = size.next_multiple_of(BLOCK as u64) - size;
        self.out.writer().write_all(&[0; BLOCK][..padding as usize])?;
        Ok(())
    }

    fn header(&mut self, name: &str, size: u64) -> Result<(), ImageError> {
        let header = write::member(name.as_bytes(), size).map_err(|reason| ImageError::Archive {
            archive: self.out.to_string(),
            reason: format!("`{name}` cannot be written: {reason}"),
        })?;
        Ok(self.out.writer().write_all(&header)?)
    }
}

impl Out<'_> {
    fn file(path: &Path) -> Result<Self, ImageError> {
        let there = fs::symlink_metadata(path).ok();
        // Whoever links it elsewhere wants it to be there.
        let real = there.as_ref().and_then(|_| fs::canonicalize(path).ok());
        if there.is_some() && !real.as_ref().is_some_and(|real| real.is_file()) {
            let reason = "what is there is no file, and stays what it is".to_owned();
            return Err(ImageError::Archive { archive: path.display().to_string(), reason });
        }
        let path = real.as_deref().unwrap_or(path);
        fs::create_dir_all(parent_of(path))?;
        let file = BesideFile::new(path)?;
        Ok(Self::File { file: BufWriter::with_capacity(1 << 20, file), path: std::path::absolute(path)? })
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::File { file, .. } => file,
            Self::Stream(to) => *to,
        }
    }
}

impl std::fmt::Display for Out<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File { path, .. } => write!(f, "{}", path.display()),
            Self::Stream(_) => f.write_str("a stream"),
        }
    }
}

impl Sink for ArchiveSink<'_> {
    fn order(&self) -> Order {
        Order::ByDigest
    }

    fn has(&mut self, _: &Descriptor) -> Result<bool, ImageError> {
        Ok(false)
    }

    fn put_blob(&mut self, from: &dyn Blobs, blob: &Descriptor) -> Result<(), ImageError> {
        self.member(&name_of(blob), blob.size, open_verified(from, blob)?)
    }

    fn put_manifest(&mut self, descriptor: &Descriptor, bytes: &[u8]) -> Result<(), ImageError> {
        self.member(&name_of(descriptor), bytes.len() as u64, bytes)?;
        if let Some(saved) = &mut self.saved
            && is_manifest(descriptor)
        {
            let manifest: Raw<Manifest> = Raw::parse(bytes.to_vec())?;
            saved.push(Saved {
                config: name_of(&manifest.value().config),
                repo_tags: self.named.tag.iter().cloned().collect(),
                layers: manifest.value().layers.iter().map(name_of).collect(),
            });
        }
        Ok(())
    }

    fn finish(mut self, root: &Descriptor) -> Result<(), ImageError> {
        let mut named = root.clone();
        self.named.write(&mut named);
        let index = Raw::compose(Index::new(vec![named]))?;
        let mut members = vec![(INDEX_NAME, index.bytes().to_vec())];
        if let Some(saved) = &self.saved {
            members.push(("manifest.json", json::write("`manifest.json`", saved)?));
        }
        members.push((LAYOUT_NAME, LAYOUT_FILE.to_vec()));
        for (name, bytes) in members {
            self.member(name, bytes.len() as u64, &bytes[..])?;
        }
        self.out.writer().write_all(&write::END)?;
        match self.out {
            Out::File { file, .. } => {
                Ok(file.into_inner().map_err(io::IntoInnerError::into_error)?.persist()?)
            }
            Out::Stream(to) => Ok(to.flush()?),
        }
    }
}

fn name_of(blob: &Descriptor) -> String {
    format!("blobs/{}/{}", blob.digest.algorithm().name(), blob.digest.hex())
}
