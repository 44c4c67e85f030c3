//! A directory in the OCI image layout (image-spec, image-layout.md).
//!
//! ```text
//! DIR/oci-layout                 {"imageLayoutVersion":"1.0.0"}
//! DIR/index.json                 an index; `org.opencontainers.image.ref.name` names its entries
//! DIR/blobs/sha256/HEX           whole and verified, read-only
//! DIR/tmp/                       files being written (only where pinfold writes; other tools ignore it)
//! ```
//!
//! **Guarantees**: a blob appears under its final name only when it is whole and synced; `index.json` is replaced in one step
//! and last, so a crash leaves either the old or the new set of images.

use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use fs_err::File;
use pinfold_base::Digest;
use pinfold_base::store::Expected;
use pinfold_base::store::persist;

use crate::ImageError;
use crate::blobs::BlobRead;
use crate::blobs::Blobs;
use crate::blobs::VerifiedReader;
use crate::blobs::unwrap_io;
use crate::model::Document;
use crate::model::Index;
use crate::model::MAX_DOCUMENT;
use crate::model::Raw;

/// The content of `oci-layout`.
pub(crate) const LAYOUT_FILE: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// Name of the version file.
pub(crate) const LAYOUT_NAME: &str = "oci-layout";
/// Name of the index.
pub(crate) const INDEX_NAME: &str = "index.json";
/// Longest `oci-layout` that is read.
const MAX_LAYOUT_FILE: u64 = 4 << 10;

/// Whose hands a file was in before it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Custody {
    /// A store of ours, which verified it and never changes it: it may be shared by a hard link.
    Store,
    /// Anywhere else: it is copied and verified on the way.
    Elsewhere,
}

/// An image layout on disk.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Opens an existing layout.
    pub fn open(root: &Path) -> Result<Self, ImageError> {
        let layout = Self { root: root.to_owned() };
        check_version(&layout.read_small(LAYOUT_NAME, MAX_LAYOUT_FILE)?, &layout.location())?;
        Ok(layout)
    }

    /// Opens a layout, making an empty one where nothing is.
    pub fn create(root: &Path) -> Result<Self, ImageError> {
        for dir in ["blobs/sha256", "tmp"] {
            fs::create_dir_all(root.join(dir))?;
        }
        let layout = Self { root: root.to_owned() };
        if !root.join(INDEX_NAME).exists() {
            layout.write_index(&Raw::compose(Index::new(Vec::new()))?)?;
        }
        if !root.join(LAYOUT_NAME).exists() {
            layout.write_small(LAYOUT_NAME, LAYOUT_FILE)?;
        }
        Self::open(root)
    }

    /// Its directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a blob is or would be.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    /// The names of its images.
    pub fn read_index(&self) -> Result<Raw<Index>, ImageError> {
        Raw::parse(self.read_small(INDEX_NAME, MAX_DOCUMENT)?)
    }

    /// Replaces the names of its images. Callers that share a layout hold its lock.
    pub(crate) fn write_index(&self, index: &Raw<Index>) -> Result<(), ImageError> {
        self.write_small(INDEX_NAME, index.bytes())
    }

    /// Stores a small blob.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Digest, ImageError> {
        let digest = Digest::sha256(bytes);
        if !self.refresh(&Expected { digest: digest.clone(), size: Some(bytes.len() as u64) })? {
            let mut file = self.temporary()?;
            file.write_all(bytes)?;
            persist(file, &self.blob_path(&digest))?;
        }
        Ok(digest)
    }

    /// Stores a document.
    pub fn put_document<T: Document>(&self, document: &Raw<T>) -> Result<(), ImageError> {
        self.put_bytes(document.bytes()).map(drop)
    }

    /// Stores what a reader gives, verified.
    pub fn put_reader(&self, reader: impl Read, digest: &Digest, size: u64) -> Result<(), ImageError> {
        if self.refresh(&Expected { digest: digest.clone(), size: Some(size) })? {
            return Ok(());
        }
        self.put_verified(VerifiedReader::new(reader, digest.clone(), size))
    }

    /// Stores a blob that is verified while it is read.
    pub(crate) fn put_verified(&self, mut content: VerifiedReader<impl Read>) -> Result<(), ImageError> {
        let mut file = self.temporary()?;
        io::copy(&mut content, &mut file).map_err(unwrap_io)?;
        persist(file, &self.blob_path(content.digest()))?;
        Ok(())
    }

    /// Stores a file: shared by a hard link or by extents where its origin allows, else copied and verified.
    pub fn put_file(
        &self,
        source: &Path,
        digest: &Digest,
        size: u64,
        origin: Custody,
    ) -> Result<(), ImageError> {
        if self.refresh(&Expected { digest: digest.clone(), size: Some(size) })? {
            return Ok(());
        }
        let file = File::open(source)?;
        if origin == Custody::Elsewhere {
            return self.put_reader(file, digest, size);
        }
        let actual = file.metadata()?.len();
        if actual != size {
            let what = format!("`{}`", source.display());
            return Err(ImageError::WrongSize { what, expected: size, actual });
        }
        let path = self.blob_path(digest);
        match fs::hard_link(source, &path) {
            Ok(()) => {
                sync_parent(&path)?;
                // Hard links keep the time of the file, and a young blob must look young to `gc`.
                self.refresh(&Expected { digest: digest.clone(), size: Some(size) })?;
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
            // Another file system, or one without hard links: copying gives the same result.
            Err(_) => {}
        }
        let clone = self.temporary()?;
        if rustix::fs::ioctl_ficlone(clone.as_file(), file.file()).is_ok() {
            persist(clone, &path)?;
            return Ok(());
        }
        self.put_reader(file, digest, size)
    }

    /// Whether the blob is here with the expected size; if so, it is made young, so that `gc` leaves it to whoever is about
    /// to name it. A blob of another size was damaged and is replaced.
    pub(crate) fn refresh(&self, expected: &Expected) -> Result<bool, ImageError> {
        let path = self.blob_path(&expected.digest);
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_file() && expected.size.is_none_or(|size| size == found.len()) => {
                touch(&path)?;
                Ok(true)
            }
            Ok(_) => Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn temporary(&self) -> Result<tempfile::NamedTempFile, ImageError> {
        let dir = self.root.join("tmp");
        fs::create_dir_all(&dir)?;
        Ok(tempfile::Builder::new().prefix("w-").tempfile_in(dir)?)
    }

    fn read_small(&self, name: &str, limit: u64) -> Result<Vec<u8>, ImageError> {
        let path = self.root.join(name);
        let mut bytes = Vec::new();
        match File::open(&path) {
            Ok(file) => file.take(limit + 1).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let reason = format!("`{}` has no `{name}`", self.root.display());
                return Err(ImageError::rule("the image layout", reason));
            }
            Err(error) => return Err(error.into()),
        };
        if bytes.len() as u64 > limit {
            let what = format!("`{}`", path.display());
            return Err(ImageError::TooLarge { what, size: bytes.len() as u64, limit });
        }
        Ok(bytes)
    }

    fn write_small(&self, name: &str, bytes: &[u8]) -> Result<(), ImageError> {
        let mut file = self.temporary()?;
        file.write_all(bytes)?;
        persist(file, &self.root.join(name))?;
        Ok(())
    }
}

impl Blobs for Layout {
    fn location(&self) -> String {
        format!("oci:{}", self.root.display())
    }

    fn open(&self, digest: &Digest) -> Result<(BlobRead, u64), ImageError> {
        match File::open(self.blob_path(digest)) {
            Ok(file) => {
                let size = file.metadata()?.len();
                Ok((Box::new(file), size))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(ImageError::MissingBlob { digest: digest.clone(), place: self.location() })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Checks the content of an `oci-layout` file.
pub(crate) fn check_version(bytes: &[u8], place: &str) -> Result<(), ImageError> {
    #[derive(serde::Deserialize)]
    struct Version {
        #[serde(rename = "imageLayoutVersion")]
        version: String,
    }
    let found: Version = crate::json::read("`oci-layout`", bytes, MAX_LAYOUT_FILE)?;
    if found.version == "1.0.0" {
        return Ok(());
    }
    let reason = format!("its version is `{}`, only `1.0.0` is known", found.version.escape_debug());
    Err(ImageError::rule(format!("the layout of {place}"), reason))
}

pub(crate) fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

fn touch(path: &Path) -> io::Result<()> {
    use rustix::fs::Timespec;
    use rustix::fs::UTIME_NOW;
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
    match rustix::fs::utimensat(rustix::fs::CWD, path, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW) {
        // Another user's file: its age is then its own, and that user's `gc` decides.
        Ok(()) | Err(rustix::io::Errno::PERM | rustix::io::Errno::ACCESS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
