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
//! and last, so a crash leaves either the old or the new set of images. A blob that is there already is believed by its size and
//! its stamp ([`stamp`]), and hashed when it is in doubt; a wrong one is replaced.

use std::io;
use std::io::Read;
use std::io::Write;

use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use fs_err::File;
use pinfold_base::Digest;
use pinfold_base::Reporter;
use pinfold_base::Store;
use pinfold_base::file::regular;
use pinfold_base::store::DAMAGED;
use pinfold_base::store::Damage;
use pinfold_base::store::Expected;
use pinfold_base::store::persist;
use pinfold_base::store::stamp;
use pinfold_base::store::stamp::Looked;
use pinfold_base::store::temporary;

use crate::ImageError;
use crate::blobs::BlobRead;
use crate::blobs::Blobs;
use crate::blobs::OnDamage;
use crate::blobs::VerifiedReader;
use crate::blobs::open_verified;
use crate::blobs::unwrap_io;
use crate::model::Descriptor;
use crate::model::Document;
use crate::model::Index;
use crate::model::MAX_DOCUMENT;
use crate::model::Raw;
use crate::sink::several;

/// The content of `oci-layout`.
pub(crate) const LAYOUT_FILE: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
/// Name of the version file.
pub(crate) const LAYOUT_NAME: &str = "oci-layout";
/// Name of the index.
pub(crate) const INDEX_NAME: &str = "index.json";
/// Longest `oci-layout` that is read.
const MAX_LAYOUT_FILE: u64 = 4 << 10;

/// Blobs that come in at once.
const PARALLEL: usize = 4;

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
    /// Where damage is reported, when the layout is ours: its wrong blobs are set aside as soon as they are seen.
    damage: Option<Damage>,
}

impl Layout {
    /// Opens an existing layout.
    pub fn open(root: &Path) -> Result<Self, ImageError> {
        let layout = Self { root: root.to_owned(), damage: None };
        layout.check()?;
        Ok(layout)
    }

    /// Opens a layout, making an empty one where nothing is.
    pub fn create(root: &Path) -> Result<Self, ImageError> {
        let layout = Self { root: root.to_owned(), damage: None };
        layout.make_folders()?;
        if !root.join(INDEX_NAME).exists() {
            layout.write_index(&Raw::compose(Index::new(Vec::new()))?)?;
        }
        if !root.join(LAYOUT_NAME).exists() {
            layout.write_small(LAYOUT_NAME, LAYOUT_FILE)?;
        }
        layout.check()?;
        Ok(layout)
    }

    /// Opens the layout of a store, which has an index of its own making. The caller holds its lock.
    pub(crate) fn kept(root: &Path, damage: &Damage) -> Result<Self, ImageError> {
        let layout = Self { root: root.to_owned(), damage: Some(damage.clone()) };
        layout.make_folders()?;
        match layout.check() {
            Err(ImageError::Io(error)) => return Err(error.into()),
            Ok(()) => {}
            Err(_) => {
                if root.join(LAYOUT_NAME).exists() {
                    damage.report("the version file of the image store".into());
                }
                layout.write_small(LAYOUT_NAME, LAYOUT_FILE)?;
            }
        }
        Ok(layout)
    }

    fn make_folders(&self) -> io::Result<()> {
        ["blobs/sha256", "tmp"].into_iter().try_for_each(|dir| fs::create_dir_all(self.root.join(dir)))
    }

    fn check(&self) -> Result<(), ImageError> {
        check_version(&self.read_small(LAYOUT_NAME, MAX_LAYOUT_FILE)?, &self.location())
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
            self.keep(file, &digest)?;
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
        self.keep(file, content.digest())
    }

    /// Takes those of several blobs that `has` does not know, a few at once. What can be downloaded is, into this very layout: it
    /// becomes a blob by being renamed.
    pub(crate) fn take(
        &self,
        from: &dyn Blobs,
        blobs: &[Descriptor],
        has: impl Fn(&Descriptor) -> Result<bool, ImageError> + Sync,
        reporter: &dyn Reporter,
    ) -> Result<(), ImageError> {
        let downloads = Store::into_folder(&self.root, &self.damage.clone().unwrap_or_default())?;
        several(blobs, PARALLEL, |blob| {
            if has(blob)? {
                return Ok(());
            }
            // What is there and wrong is no download that is done already: it is written anew in its place.
            let wrong = self.blob_path(&blob.digest).symlink_metadata().is_ok();
            if !wrong && from.deliver(blob, &downloads, reporter)? {
                return Ok(());
            }
            self.put_verified(open_verified(from, blob)?)
        })
    }

    /// Gives verified bytes their name.
    fn keep(&self, file: tempfile::NamedTempFile, digest: &Digest) -> Result<(), ImageError> {
        let path = self.blob_path(digest);
        persist(file, &path)?;
        Ok(stamp::stamp(&path)?)
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
        // Another file system, or one without hard links: copying gives the same result. So it does where the name is taken, by a
        // wrong blob or by another process that was faster.
        if fs::hard_link(source, &path).is_ok() {
            sync_parent(&path)?;
            // Hard links keep the time of the file, and a young blob must look young to `gc`.
            let right = self.refresh(&Expected { digest: digest.clone(), size: Some(size) })?;
            let wrong = || ImageError::MissingBlob { digest: digest.clone(), place: self.location() };
            return right.then_some(()).ok_or_else(wrong);
        }
        let clone = self.temporary()?;
        if rustix::fs::ioctl_ficlone(clone.as_file(), file.file()).is_ok() {
            return self.keep(clone, digest);
        }
        self.put_verified(VerifiedReader::new(file, digest.clone(), size))
    }

    /// Whether the blob is here and what is expected; if so, it is made young, so that `gc` leaves it to whoever is about to name
    /// it.
    pub(crate) fn refresh(&self, expected: &Expected) -> Result<bool, ImageError> {
        let right = self.holds(expected)?;
        if right {
            stamp::touch(&self.blob_path(&expected.digest))?;
        }
        Ok(right)
    }

    /// Whether the blob is here and what is expected: hashed when it is in doubt. One that is right and has another size than
    /// expected is [`ImageError::WrongSize`].
    pub(crate) fn holds(&self, expected: &Expected) -> Result<bool, ImageError> {
        let path = self.blob_path(&expected.digest);
        let looked = stamp::look(&path, expected)?;
        if looked == Looked::Wrong {
            let Expected { digest, size } = expected;
            // A size may be what a document from outside claims. Nothing but its digest speaks against a blob.
            if let Some(expected) = *size
                && stamp::look(&path, &Expected { digest: digest.clone(), size: None })? == Looked::Right
            {
                let actual = fs::metadata(&path)?.len();
                return Err(ImageError::WrongSize { what: format!("blob {digest}"), expected, actual });
            }
            self.set_aside(digest)?;
        }
        Ok(looked == Looked::Right)
    }

    /// Hashes a blob that was read and seemed wrong: whether it is right.
    pub(crate) fn check_blob(&self, digest: &Digest) -> Result<bool, ImageError> {
        // All names of the file are in doubt with it, so that it does not come back from the layer cache.
        stamp::doubt(&self.blob_path(digest))?;
        self.holds(&Expected { digest: digest.clone(), size: None })
    }

    /// Takes a wrong blob away from its name where the layout is ours; elsewhere it is replaced by whoever has the right one.
    fn set_aside(&self, digest: &Digest) -> Result<(), ImageError> {
        if self.damage.is_some() {
            self.put_away(&self.blob_path(digest), &digest.hex())?;
            self.report(&format!("blob {digest} of the image store"));
        }
        Ok(())
    }

    /// Moves a file to where `gc` removes it.
    pub(crate) fn put_away(&self, path: &Path, name: &str) -> Result<(), ImageError> {
        let folder = self.root.join(DAMAGED);
        fs::create_dir_all(&folder)?;
        let aside = folder.join(name);
        // Renaming over another name of the same file would do nothing.
        let _ = fs::remove_file(&aside);
        match fs::rename(path, aside) {
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => Ok(result?),
        }
    }

    pub(crate) fn report(&self, what: &str) {
        self.damage.iter().for_each(|damage| damage.report(what.to_owned()));
    }

    pub(crate) fn temporary(&self) -> Result<tempfile::NamedTempFile, ImageError> {
        let dir = self.root.join("tmp");
        fs::create_dir_all(&dir)?;
        Ok(temporary::file(&dir)?)
    }

    pub(crate) fn read_small(&self, name: &str, limit: u64) -> Result<Vec<u8>, ImageError> {
        let path = self.root.join(name);
        let mut bytes = Vec::new();
        match regular(&path) {
            Ok(file) => file.take(limit + 1).read_to_end(&mut bytes)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A mistyped name is no broken layout.
                if !self.root.exists() {
                    let text = format!("oci:{}", self.root.display());
                    return Err(ImageError::Location { text, reason: "there is no such directory" });
                }
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

    pub(crate) fn write_small(&self, name: &str, bytes: &[u8]) -> Result<(), ImageError> {
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
        let path = self.blob_path(digest);
        match regular(&path) {
            Ok(file) => {
                let size = file.metadata()?.len();
                Ok((Box::new(file), size))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(ImageError::MissingBlob { digest: digest.clone(), place: self.location() })
            }
            // Sockets and some devices cannot even be opened.
            Err(_) if fs::metadata(&path).is_ok_and(|meta| !meta.is_file()) => {
                Err(ImageError::NoFile { digest: digest.clone(), place: self.location() })
            }
            Err(error) => Err(error.into()),
        }
    }

    fn on_damage(&self) -> Option<OnDamage> {
        self.damage.is_some().then(|| {
            let layout = self.clone();
            // A blob that cannot be taken away stays wrong, which is what the reader is told.
            Box::new(move |digest: &Digest| drop(layout.check_blob(digest))) as OnDamage
        })
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
        // A bare name lies in the current directory.
        Some(parent) if parent.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}
