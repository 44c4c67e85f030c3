//! The content store: downloads named by the digest of their bytes, shared by all projects and processes.
//!
//! ```text
//! CACHE/blobs/sha256/HEX     complete, verified, read-only
//! CACHE/blobs/sha512/HEX
//! CACHE/tmp/NAME             being written; what a killed process left goes with the next build ([`temporary`])
//! CACHE/partial/ALG-HEX      a download cut short, to be resumed (owned by `http`)
//! CACHE/damaged/ALG-HEX      a blob that did not match its name any more, set aside (removed by `gc`)
//! ```
//!
//! **Invariants**: a file under `blobs` is whole and matches its name, because it is hashed while written to `tmp`,
//! synced, and renamed. Two processes that store the same blob both succeed; the rename is atomic and the bytes are equal.
//! What happens to the disk afterwards is another matter: whoever doubts a blob asks [`Store::check`], which sets aside what is
//! damaged, so that it is fetched again. Only this process's own writing is believed without looking ([`Store::is_checked`]); a
//! blob that was written to since it was hashed is noticed without reading it ([`stamp`]).
//! **Refuses**: bytes that do not match the digest or exceed the size they were announced with.

pub mod bounded;
pub mod stamp;
pub mod temporary;

use std::collections::HashSet;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use fs_err as fs;
use fs_err::File;

use self::stamp::Looked;
use crate::digest::Algorithm;
use crate::digest::Digest;
use crate::digest::Hasher;
use crate::error::Diagnose;
use crate::error::Diagnosis;
use crate::error::Kind;

/// Whole downloads, below the cache folder.
pub const DOWNLOADS: [&str; 2] = ["blobs/sha256", "blobs/sha512"];
/// Files being written, below the cache folder.
pub const TEMPORARY: &str = "tmp";
/// Downloads cut short, below the cache folder.
pub const PARTIAL: &str = "partial";
/// Blobs that were set aside, below the cache folder.
pub const DAMAGED: &str = "damaged";

/// Younger than this, a file that nothing names yet may be another process's work under way.
pub const GRACE: Duration = Duration::from_secs(3600);

/// What can go wrong in the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The bytes written are not those that were promised.
    #[error("`{what}` has the wrong digest: expected {expected}, got {actual}")]
    WrongDigest {
        /// What was being stored, for people.
        what: String,
        /// The digest promised.
        expected: Digest,
        /// The digest of what came.
        actual: Digest,
    },
    /// Fewer or more bytes came than were promised.
    #[error("`{what}` has the wrong size: expected {expected} bytes, got {actual}")]
    WrongSize {
        /// What was being stored, for people.
        what: String,
        /// Bytes promised.
        expected: u64,
        /// Bytes that came (at least).
        actual: u64,
    },
    /// A file operation failed; the message of `fs_err` names the path.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Diagnose for StoreError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::WrongDigest { .. } | Self::WrongSize { .. } => Diagnosis::Own(Kind::Integrity),
            Self::Io(error) => Diagnosis::Inner(error),
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::WrongDigest { .. } | Self::WrongSize { .. } => Some(
                "the server sent something else than what is locked; try again, or use another mirror".into(),
            ),
            Self::Io(_) => None,
        }
    }
}

/// What is known of a blob before its bytes come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes, where the lock says.
    pub size: Option<u64>,
}

/// The store below one cache folder.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    /// Blobs whose bytes were hashed by this process, when they were written or later; shared by all clones of a store.
    checked: Arc<Mutex<HashSet<Digest>>>,
    damage: Damage,
}

/// What was found damaged, and is out of the way: for people, until somebody takes it. Shared by all clones.
#[derive(Clone, Debug, Default)]
pub struct Damage(Arc<Mutex<Vec<String>>>);

impl Damage {
    /// Notes that something was damaged and is out of the way now: what it is, for people.
    pub fn report(&self, what: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    /// What was found since this was asked last. Whoever failed and gets something here may try again.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store {
    /// Opens the store below `cache`, creating its folders.
    pub fn open(cache: &Path) -> Result<Self, StoreError> {
        for dir in DOWNLOADS.iter().chain([&TEMPORARY, &PARTIAL]) {
            fs::create_dir_all(cache.join(dir))?;
        }
        Ok(Self { root: cache.to_owned(), checked: Arc::default(), damage: Damage::default() })
    }

    /// Downloads into a folder that keeps whole blobs as this store does, and that somebody else looks after: an image layout.
    pub fn into_folder(root: &Path, damage: &Damage) -> Result<Self, StoreError> {
        for dir in [TEMPORARY, PARTIAL] {
            fs::create_dir_all(root.join(dir))?;
        }
        Ok(Self { root: root.to_owned(), checked: Arc::default(), damage: damage.clone() })
    }

    /// The cache folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where a blob is or would be.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    /// How many bytes the blob has; 0 where it is not here.
    pub fn size(&self, digest: &Digest) -> u64 {
        fs::metadata(self.path(digest)).map_or(0, |meta| meta.len())
    }

    /// Where a download that was cut short waits to be resumed.
    pub fn partial_path(&self, digest: &Digest) -> PathBuf {
        self.root.join(PARTIAL).join(format!("{}-{}", digest.algorithm().name(), digest.hex()))
    }

    /// Whether the blob is here.
    pub fn contains(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// Whether the blob is here and what is expected: of that size, and hashed when it is in doubt. One that is not is set aside.
    pub fn holds(&self, expected: &Expected) -> bool {
        match stamp::look(&self.path(&expected.digest), expected) {
            Ok(Looked::Right) => true,
            Ok(Looked::Missing) | Err(_) => false,
            Ok(Looked::Wrong) => {
                // A size may be what somebody claims. Nothing but its digest speaks against a blob.
                let alone = Expected { digest: expected.digest.clone(), size: None };
                if !matches!(stamp::look(&self.path(&expected.digest), &alone), Ok(Looked::Right)) {
                    let _ = self.set_aside(&expected.digest);
                }
                false
            }
        }
    }

    /// All blobs that are here, in order of digest.
    pub fn blobs(&self) -> Result<Vec<Digest>, StoreError> {
        let mut found = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            for entry in fs::read_dir(self.root.join("blobs").join(algorithm.name()))? {
                let name = entry?.file_name();
                found.extend(name.to_str().and_then(|hex| Digest::from_hex(algorithm, hex).ok()));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Whether this process has hashed the blob itself.
    pub fn is_checked(&self, digest: &Digest) -> bool {
        self.checked().contains(digest)
    }

    /// Hashes the blob: whether it is what its name says. One that is not is set aside, so that it is fetched again.
    pub fn check(&self, digest: &Digest) -> Result<bool, StoreError> {
        let right = match matches(&self.path(digest), digest) {
            // Another process has set it aside meanwhile.
            Err(StoreError::Io(error)) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            right => right?,
        };
        if right {
            stamp::stamp(&self.path(digest))?;
            self.checked().insert(digest.clone());
        } else {
            self.set_aside(digest)?;
        }
        Ok(right)
    }

    /// Takes a blob away from its name. Readers that have it open keep it.
    pub fn set_aside(&self, digest: &Digest) -> Result<(), StoreError> {
        let folder = self.root.join(DAMAGED);
        fs::create_dir_all(&folder)?;
        let aside = folder.join(format!("{}-{}", digest.algorithm().name(), digest.hex()));
        match fs::rename(self.path(digest), aside) {
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result?,
        }
        self.checked().remove(digest);
        self.report_damage(format!("the download {digest}"));
        Ok(())
    }

    /// Notes that something below the cache folder was damaged and is out of the way now: what it is, for people.
    pub fn report_damage(&self, what: String) {
        self.damage.report(what);
    }

    /// What was found damaged since this was asked last. Whoever failed and gets something here may try again.
    pub fn take_damage(&self) -> Vec<String> {
        self.damage.take()
    }

    /// Where damage is reported, for others that keep files of the same user.
    pub fn damage(&self) -> &Damage {
        &self.damage
    }

    fn checked(&self) -> MutexGuard<'_, HashSet<Digest>> {
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a blob for reading.
    pub fn read(&self, digest: &Digest) -> Result<File, StoreError> {
        Ok(File::open(self.path(digest))?)
    }

    /// Begins a blob whose digest is known; [`BlobWriter::finish`] checks it.
    pub fn writer(&self, what: &str, expected: Expected) -> Result<BlobWriter, StoreError> {
        let algorithm = expected.digest.algorithm();
        self.begin(what, algorithm, Some(expected))
    }

    /// Begins a blob whose digest is only found by writing it (a binary that is locked for the first time).
    pub fn writer_unknown(&self, what: &str, algorithm: Algorithm) -> Result<BlobWriter, StoreError> {
        self.begin(what, algorithm, None)
    }

    /// Stores a small value at once and says its digest.
    pub fn put(&self, what: &str, bytes: &[u8]) -> Result<Digest, StoreError> {
        let digest = Digest::sha256(bytes);
        if !self.holds(&Expected { digest: digest.clone(), size: Some(bytes.len() as u64) }) {
            let mut writer = self.writer_unknown(what, Algorithm::Sha256)?;
            writer.write_all(bytes)?;
            writer.finish()?;
        }
        Ok(digest)
    }

    /// A temporary file in the folder of the store, so that it can be renamed to anywhere below [`Store::root`].
    pub fn temporary(&self) -> Result<tempfile::NamedTempFile, StoreError> {
        Ok(temporary::file(&self.root.join(TEMPORARY))?)
    }

    /// Writes a small file below [`Store::root`], whole or not at all.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        let mut file = self.temporary()?;
        file.write_all(bytes)?;
        persist(file, path)
    }

    /// Writes a small file like [`Store::write`], with a sum by which [`recall`] knows it again.
    pub fn remember(&self, path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        self.write(path, &summed(bytes))
    }

    fn begin(
        &self,
        what: &str,
        algorithm: Algorithm,
        expected: Option<Expected>,
    ) -> Result<BlobWriter, StoreError> {
        Ok(BlobWriter {
            store: self.clone(),
            what: what.to_owned(),
            file: self.temporary()?,
            hasher: Hasher::new(algorithm),
            size: 0,
            expected,
        })
    }
}

/// Bytes with their digest before them, for files that have no name to be checked by.
pub fn summed(bytes: &[u8]) -> Vec<u8> {
    [Digest::sha256(bytes).hex().as_bytes(), b"\n", bytes].concat()
}

/// What [`Store::remember`] or [`summed`] wrote; nothing where the file is gone or damaged.
pub fn recall(path: &Path) -> Option<Vec<u8>> {
    let mut file = fs::read(path).ok()?;
    let end = file.iter().position(|&byte| byte == b'\n')?;
    let bytes = file.split_off(end + 1);
    (Digest::sha256(&bytes).hex().as_bytes() == &file[..end]).then_some(bytes)
}

/// Whether the bytes of a file are those that `digest` names.
pub fn matches(path: &Path, digest: &Digest) -> Result<bool, StoreError> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::new(digest.algorithm());
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish() == *digest),
            Ok(n) => hasher.update(&buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Gives a finished temporary file its final name: synced, made read-only, renamed, and its folder synced.
/// An existing file of that name is replaced; readers that hold it open keep the old one.
pub fn persist(file: tempfile::NamedTempFile, path: &Path) -> Result<(), StoreError> {
    file.as_file().sync_all()?;
    rustix::fs::fchmod(file.as_file(), rustix::fs::Mode::from_raw_mode(0o644)).map_err(io::Error::from)?;
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        fs::create_dir_all(parent)?;
    }
    file.persist(path).map_err(|error| {
        io::Error::new(
            error.error.kind(),
            format!("failed to rename to `{}`: {}", path.display(), error.error),
        )
    })?;
    if let Some(parent) = path.parent() {
        // A bare name lies in the current directory.
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// A blob being written. Dropped before [`BlobWriter::finish`], it leaves nothing behind.
#[derive(Debug)]
pub struct BlobWriter {
    store: Store,
    what: String,
    file: tempfile::NamedTempFile,
    hasher: Hasher,
    size: u64,
    expected: Option<Expected>,
}

impl BlobWriter {
    /// Checks digest and size, and gives the blob its final name.
    pub fn finish(self) -> Result<(Digest, u64), StoreError> {
        let digest = self.hasher.finish();
        if let Some(expected) = &self.expected {
            if let Some(size) = expected.size.filter(|&size| size != self.size) {
                return Err(StoreError::WrongSize { what: self.what, expected: size, actual: self.size });
            }
            if expected.digest != digest {
                return Err(StoreError::WrongDigest {
                    what: self.what,
                    expected: expected.digest.clone(),
                    actual: digest,
                });
            }
        }
        let path = self.store.path(&digest);
        persist(self.file, &path)?;
        stamp::stamp(&path)?;
        self.store.checked().insert(digest.clone());
        Ok((digest, self.size))
    }
}

impl Write for BlobWriter {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if let Some(limit) = self.expected.as_ref().and_then(|expected| expected.size)
            && self.size + buf.len() as u64 > limit
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("`{}` is longer than the {limit} bytes that were announced", self.what),
            ));
        }
        let n = self.file.write(buf)?;
        self.hasher.update(&buf[..n]);
        self.size += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        (dir, store)
    }

    fn files_in(dir: &Path) -> usize {
        fs::read_dir(dir).unwrap().count()
    }

    #[test]
    fn a_blob_appears_under_its_digest_only() {
        let (_dir, store) = store();
        let digest = store.put("greeting", b"hello").unwrap();
        assert!(store.contains(&digest));
        assert_eq!(fs::read(store.path(&digest)).unwrap(), b"hello");
        assert_eq!(files_in(&store.root().join("tmp")), 0);
    }

    #[test]
    fn what_does_not_match_its_name_is_set_aside() {
        let (_dir, store) = store();
        let digest = store.put("greeting", b"hello").unwrap();
        let right = Expected { digest: digest.clone(), size: Some(5) };
        assert!(store.is_checked(&digest) && store.holds(&right) && store.check(&digest).unwrap());
        assert!(store.take_damage().is_empty());
        // Of the right size, and changed by the disk itself: only hashing finds it.
        fs::write(store.path(&digest), b"hallo").unwrap();
        stamp::stamp(&store.path(&digest)).unwrap();
        assert!(store.holds(&right));
        assert!(!store.check(&digest).unwrap());
        assert!(!store.contains(&digest) && !store.is_checked(&digest));
        assert_eq!(store.take_damage().len(), 1);
        // It can be had again, and one of another size is noticed by looking.
        store.put("greeting", b"hello").unwrap();
        fs::write(store.path(&digest), b"hell").unwrap();
        assert!(!store.holds(&right) && !store.contains(&digest));
        assert!(store.take_damage()[0].contains(&digest.to_string()));
        // One that was written to is hashed.
        store.put("greeting", b"hello").unwrap();
        fs::write(store.path(&digest), b"hallo").unwrap();
        assert!(!store.holds(&right) && !store.contains(&digest));
        assert_eq!(files_in(&store.root().join(DAMAGED)), 1);
    }

    #[test]
    fn a_record_is_recalled_only_as_it_was_written() {
        let (_dir, store) = store();
        let path = store.root().join("record");
        store.remember(&path, b"{\n}").unwrap();
        assert_eq!(recall(&path).as_deref(), Some(&b"{\n}"[..]));
        let right = fs::read(&path).unwrap();
        for at in 0..right.len() {
            let mut wrong = right.clone();
            wrong[at] ^= 1;
            fs::write(&path, &wrong).unwrap();
            assert_eq!(recall(&path), None, "byte {at}");
            fs::write(&path, &right[..at]).unwrap();
            assert_eq!(recall(&path), None, "{at} bytes");
        }
        fs::remove_file(&path).unwrap();
        assert_eq!(recall(&path), None);
    }

    #[test]
    fn wrong_bytes_leave_nothing() {
        let (_dir, store) = store();
        let expected = Expected { digest: Digest::sha256(b"hello"), size: Some(5) };
        let mut writer = store.writer("greeting", expected.clone()).unwrap();
        writer.write_all(b"HELLO").unwrap();
        assert!(matches!(writer.finish(), Err(StoreError::WrongDigest { .. })));
        let mut writer = store.writer("greeting", expected.clone()).unwrap();
        writer.write_all(b"hell").unwrap();
        assert!(matches!(writer.finish(), Err(StoreError::WrongSize { .. })));
        let mut writer = store.writer("greeting", expected.clone()).unwrap();
        assert!(writer.write_all(b"hello world").is_err());
        drop(writer);
        assert!(!store.contains(&expected.digest));
        assert_eq!(files_in(&store.root().join("tmp")), 0);
    }
}
