//! Archives in their seekable form: decoded once, read by range.
//!
//! ```text
//! CACHE/decoded/ALG-HEX          the decoded bytes; may be evicted at any time, they are made again when needed (last used: ctime)
//! CACHE/decoded/ALG-HEX.index    what is in it (see `index`); enough for everything but reading content
//! CACHE/decoded/ALG-HEX.blocks   boundaries of deflate blocks (see [`crate::deflate::Blocks`]); of a tar and a zip
//! ```
//!
//! ALG-HEX is the digest of the archive as it was downloaded. Offsets count in the decoded bytes:
//!
//! | format | decoded bytes |
//! |---|---|
//! | [`Format::Tar`], [`Format::Layer`] | the tar stream |
//! | [`Format::Nar`] | the NAR |
//! | [`Format::Deb`] | the stream of control.tar, then that of data.tar |
//! | [`Format::Zip`] | the contents of the files, in the order of the central directory |
//! | [`Format::Raw`] | the download itself, not copied |
//! | [`Format::File`] | the file |
//!
//! An archive has one format: asked for as another, it is decoded again and its files replaced.
//!
//! **Guarantees**: a listing comes from an archive that was read to its end and found whole. Files appear under their names
//! complete (written beside, then renamed), so any number of threads and processes may decode the same archive; two that do
//! write the same bytes. **Refuses** what the readers of [`crate::tar`], [`crate::zip`], [`crate::nar`] and [`crate::ar`] refuse, hard
//! links to something that is no earlier file of the archive, more than [`decode::MAX_ENTRIES`] entries, more than
//! [`decode::MAX_TOTAL`] bytes, and bombs: more than 64 MiB plus 250 times the size of the download.
//! Of several entries of one name the last counts (`names`). Layers of images stay strict: what [`crate::layer`] refuses is refused,
//! hard links may name files of lower layers, and whiteouts stand in the listing as the files they are.

pub mod decode;
pub mod index;

mod check;
mod names;
mod sources;

pub use self::check::Damaged;

use std::collections::HashMap;
use std::collections::HashSet;
use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use fs_err as fs;
use fs_err::File;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::Shown;
use pinfold_base::Store;
use pinfold_base::store::StoreError;
use pinfold_base::store::stamp;

use self::check::Known;
use self::index::Index;
use crate::Content;
use crate::Contents;
use crate::Metadata;
use crate::ar::ArError;
use crate::codec::Compression;
use crate::deflate::Blocks;
use crate::nar::NarError;
use crate::tar::TarError;
use crate::tar::is_damage;
use crate::zip::ZipError;

/// Where they are, below the cache folder.
pub const FOLDER: &str = "decoded";

/// What kind of archive a download is. Its compression is told from its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// A Debian package.
    Deb,
    /// A tar, plain or compressed.
    Tar,
    /// A layer of an image: a tar, plain or compressed by gzip or zstd.
    Layer,
    /// A zip.
    Zip,
    /// A store path of Nix, plain or compressed.
    Nar,
    /// One file, taken as it is.
    Raw,
    /// One file that is compressed.
    File,
    /// A tar, one compressed file, or one file as it is: told from its bytes.
    Auto,
}

/// What an archive holds.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Listing {
    /// The members of control.tar, for a .deb.
    pub control: Vec<Member>,
    /// The files, in the order of the archive. For [`Format::Raw`] and [`Format::File`] one file whose path is the root.
    pub data: Vec<Member>,
    /// Names that came more than once, and what became of them.
    pub shadowed: Vec<Shadowed>,
    /// The decoded bytes as a whole, of a [`Format::Layer`] and a [`Format::Nar`].
    pub whole: Option<Whole>,
}

/// Digest and size of decoded bytes: of a layer its diff_id, of a NAR the `NarHash` and `NarSize` of a narinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// SHA-256.
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
}

/// A name that came more than once, or whose hard link outlived it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shadowed {
    /// The name.
    pub path: ImagePath,
    /// What was lost.
    pub loss: Loss,
}

/// What was lost with an entry that does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loss {
    /// Nothing: all entries of the name are equal.
    Same,
    /// They are not; the last one counts.
    Differs,
    /// The name is a hard link in the archive, and a file here: the first name of its file was given to something else.
    FirstName,
    /// Something came over a directory that has something in it; the directory stays.
    Directory,
}

impl Shadowed {
    /// What a user should know of it; nothing where nothing was lost.
    pub fn note(&self) -> Option<String> {
        match self.loss {
            Loss::Same | Loss::FirstName => None,
            Loss::Differs => Some(format!(
                "`{}` is in it more than once, differently: the last one counts, as for tar and npm",
                self.path
            )),
            Loss::Directory => Some(format!(
                "`{}` is a directory with files and something else: the directory stays",
                self.path
            )),
        }
    }
}

/// One entry of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name, normalised.
    pub path: ImagePath,
    /// Its name as the archive has it.
    pub raw_name: Box<[u8]>,
    /// What it is.
    pub kind: MemberKind,
    /// Mode, owner, time, attributes.
    pub meta: Metadata,
    /// Name of the owner; empty when the archive gives none.
    pub uname: Arc<[u8]>,
    /// Name of the group; empty when the archive gives none.
    pub gname: Arc<[u8]>,
}

impl Member {
    /// The one file of a download that is no archive.
    fn alone(archive: &Digest, size: u64) -> Self {
        let content = Content::Range { archive: archive.clone(), offset: 0, size };
        Self {
            path: ImagePath::root(),
            raw_name: Box::default(),
            kind: MemberKind::File { content },
            meta: Metadata::root(0o644, 0),
            uname: Arc::default(),
            gname: Arc::default(),
        }
    }
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberKind {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Its content, always a [`Content::Range`].
        content: Content,
    },
    /// A symbolic link; the target is kept as it was written.
    Symlink(Box<[u8]>),
    /// Another name of an earlier file of the same archive.
    Hardlink(ImagePath),
}

/// What is wrong with an archive.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// A tar, or the tar in a .deb.
    #[error(transparent)]
    Tar(#[from] TarError),
    /// The ar around a .deb.
    #[error(transparent)]
    Ar(#[from] ArError),
    /// A zip.
    #[error(transparent)]
    Zip(#[from] ZipError),
    /// A NAR.
    #[error(transparent)]
    Nar(#[from] NarError),
    /// A kind of archive that is not understood.
    #[error("it is {0}, which is not understood")]
    Unsupported(&'static str),
    /// Members that no Debian package has.
    #[error("it is no Debian package: {0}")]
    Deb(&'static str),
    /// An entry that no honest layer has.
    #[error("`{path}`: {reason}")]
    Layer {
        /// Its name.
        path: Shown,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A directory with something in it, and something else of its name.
    #[error("`{0}` is in it twice, as a directory and as something else")]
    Duplicate(ImagePath),
    /// A hard link to nothing.
    #[error("`{path}` is a hard link to `{target}`, which is no earlier file of the archive")]
    Hardlink {
        /// The link.
        path: ImagePath,
        /// What it names.
        target: ImagePath,
    },
    /// Reading the download or writing the decoded form failed.
    #[error("failed to decode it")]
    Io(#[from] io::Error),
}

/// Why an archive has no seekable form.
#[derive(Debug, thiserror::Error)]
pub enum DecodedError {
    /// The download is not in the store or cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The archive is damaged or refused.
    #[error("failed to decode archive {archive}")]
    Archive {
        /// The archive.
        archive: Digest,
        /// What is wrong with it.
        source: Refusal,
    },
    /// The download is not what its name says. It was set aside.
    #[error("archive {0} has changed on the disk")]
    Damaged(Digest),
    /// A file of the cache could not be read or written.
    #[error("failed to read or write the decoded form of {archive}")]
    Cache {
        /// The archive.
        archive: Digest,
        /// Why.
        source: io::Error,
    },
}

impl Diagnose for DecodedError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Store(error) => Diagnosis::Inner(error),
            Self::Cache { source, .. } => Diagnosis::Inner(source),
            Self::Damaged(_) => Diagnosis::Own(Kind::Integrity),
            Self::Archive { source, .. } => match source {
                Refusal::Tar(error) => Diagnosis::Inner(error),
                Refusal::Ar(error) => Diagnosis::Inner(error),
                Refusal::Zip(error) => Diagnosis::Inner(error),
                Refusal::Nar(error) => Diagnosis::Inner(error),
                Refusal::Io(error) if !is_damage(error) => Diagnosis::Inner(error),
                Refusal::Unsupported(_) => Diagnosis::Own(Kind::Usage),
                _ => Diagnosis::Own(Kind::Integrity),
            },
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Archive { source: Refusal::Unsupported(_), .. } => {
                Some("take another form of it, or say `format = \"raw\"` to have the file as it is".into())
            }
            Self::Damaged(_) => Some(
                "it was set aside: `pinfold fetch` brings it back, or name kept inputs with `--vendor DIR`"
                    .into(),
            ),
            _ => None,
        }
    }
}

/// Files kept open. More would only save opening them again.
const MAX_OPEN: usize = 64;

/// Decodes archives of a store and gives their bytes. Safe for several threads and processes at once.
#[derive(Debug)]
pub struct DecodedStore {
    store: Store,
    dir: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The archives listed so far.
    known: HashMap<Digest, Known>,
    /// Open files, the one used last at the end.
    open: Vec<(Digest, Arc<File>)>,
    /// Held while an archive is decoded, so that threads wait instead of doing it again.
    busy: HashMap<Digest, Arc<Mutex<()>>>,
    /// The deflate blocks asked for so far.
    blocks: HashMap<Digest, Arc<Blocks>>,
    /// Files (archive, offset) that were found whole, so that their parts can be read.
    looked_at: HashSet<(Digest, u64)>,
}

impl DecodedStore {
    /// The seekable forms below the cache folder of `store`.
    pub fn new(store: &Store) -> Self {
        Self { store: store.clone(), dir: store.root().join(FOLDER), state: Mutex::default() }
    }

    /// What `archive` holds. Decodes it when that was never done; else only the index is read.
    pub fn decode(&self, archive: &Digest, format: Format) -> Result<Arc<Listing>, DecodedError> {
        self.decode_watched(archive, format, &|_| ())
    }

    /// The same; `watch` is told of the bytes of the archive that were read meanwhile.
    pub fn decode_watched(
        &self,
        archive: &Digest,
        format: Format,
        watch: &dyn Fn(u64),
    ) -> Result<Arc<Listing>, DecodedError> {
        let format = match format {
            Format::Auto => decode::tell(self.store.read(archive)?)
                .map_err(|source| DecodedError::Archive { archive: archive.clone(), source })?,
            known => known,
        };
        if format == Format::Raw {
            return self.raw(archive);
        }
        let index = if let Some(index) = self.index(archive, format) {
            index
        } else {
            let busy = self.busy(archive);
            let _guard = busy.lock().unwrap_or_else(PoisonError::into_inner);
            match self.index(archive, format) {
                Some(index) => index,
                None => self.make(archive, format, watch)?.0,
            }
        };
        self.state().known.insert(archive.clone(), Known::of(&index));
        // It is in use: what keeps the cache within bounds goes by this. Where it cannot be said it may be made again.
        let _ = stamp::touch(&self.path(archive, ""));
        Ok(Arc::new(index.listing))
    }

    /// Removes the decoded bytes of `archive`; its listing stays. Readers that are open keep their bytes.
    pub fn evict(&self, archive: &Digest) -> Result<(), DecodedError> {
        self.state().open.retain(|(digest, _)| digest != archive);
        match fs::remove_file(self.path(archive, "")) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(DecodedError::Cache { archive: archive.clone(), source })
            }
            _ => Ok(()),
        }
    }

    /// Where a file about `archive` is: the decoded bytes (""), `.index` or `.blocks`.
    pub fn path(&self, archive: &Digest, suffix: &str) -> PathBuf {
        self.dir.join(format!("{}-{}{suffix}", archive.algorithm().name(), archive.hex()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn busy(&self, archive: &Digest) -> Arc<Mutex<()>> {
        Arc::clone(self.state().busy.entry(archive.clone()).or_default())
    }

    fn raw(&self, archive: &Digest) -> Result<Arc<Listing>, DecodedError> {
        let cache = |source| DecodedError::Cache { archive: archive.clone(), source };
        let size = self.store.read(archive)?.metadata().map_err(cache)?.len();
        self.state().known.insert(archive.clone(), Known::raw(size));
        Ok(Arc::new(Listing { data: vec![Member::alone(archive, size)], ..Listing::default() }))
    }

    fn index(&self, archive: &Digest, format: Format) -> Option<Index> {
        let bytes = fs::read(self.path(archive, ".index")).ok()?;
        index::read(&bytes, archive).filter(|index| index.format == format)
    }

    /// Decodes `archive`, and gives bytes and index their names. The bytes can be read from the file also when they are
    /// evicted at once.
    fn make(
        &self,
        archive: &Digest,
        format: Format,
        watch: &dyn Fn(u64),
    ) -> Result<(Index, File), DecodedError> {
        let mut blob = self.store.read(archive)?;
        let cache = |source| DecodedError::Cache { archive: archive.clone(), source };
        // What this process fetched it has hashed, and a gzip checks all of its content itself. Everything else is hashed before it is
        // believed: once, since the decoded form stays.
        let sure = self.store.is_checked(archive)
            || format == Format::Tar && is_gzip(&mut blob).map_err(cache)?
            || self.store.check(archive)?;
        if !sure {
            return Err(DecodedError::Damaged(archive.clone()));
        }
        fs::create_dir_all(&self.dir).map_err(cache)?;
        let (out, name) = self.store.temporary()?.into_parts();
        let mut out = File::from_parts(out, &name);
        let (index, blocks) = match decode::decode(blob, archive, format, &mut out, watch) {
            Ok(decoded) => decoded,
            Err(_) if !self.store.is_checked(archive) && !self.store.check(archive)? => {
                return Err(DecodedError::Damaged(archive.clone()));
            }
            Err(source) => return Err(DecodedError::Archive { archive: archive.clone(), source }),
        };
        let keep = |name: tempfile::TempPath, suffix| {
            name.persist(self.path(archive, suffix)).map_err(|error| cache(error.error))
        };
        keep(name, "")?;
        let write = |bytes: &[u8], suffix| {
            let (file, name) = self.store.temporary()?.into_parts();
            // Open until it has its name: the lock on it says that it is being written.
            let mut file = File::from_parts(file, &name);
            io::Write::write_all(&mut file, bytes).map_err(cache)?;
            keep(name, suffix)
        };
        if matches!(format, Format::Tar | Format::Zip) {
            write(&blocks.to_bytes(), ".blocks")?;
        }
        write(&index::write(&index), ".index")?;
        self.state().open.retain(|(digest, _)| digest != archive);
        Ok((index, out))
    }

    /// What is known of an archive that has been decoded.
    fn known(&self, archive: &Digest) -> io::Result<Known> {
        let known = self.state().known.get(archive).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let bytes = fs::read(self.path(archive, ".index")).ok();
        let index = bytes.and_then(|bytes| index::read(&bytes, archive)).ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("archive {archive} was never decoded"))
        })?;
        let known = Known::of(&index);
        self.state().known.insert(archive.clone(), known.clone());
        Ok(known)
    }

    /// The decoded bytes of `archive`, made again if they are gone.
    fn file(&self, archive: &Digest) -> io::Result<Arc<File>> {
        if let Some(file) = self.opened(archive) {
            return Ok(file);
        }
        let Known { format, size, .. } = self.known(archive)?;
        let path = match format {
            Format::Raw => self.store.path(archive),
            _ => self.path(archive, ""),
        };
        let whole = |file: &File| file.metadata().is_ok_and(|meta| meta.len() == size);
        let mut found = File::open(&path).ok().filter(whole);
        if found.is_none() && format != Format::Raw {
            let busy = self.busy(archive);
            let _guard = busy.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(file) = self.opened(archive) {
                return Ok(file);
            }
            found = File::open(&path).ok().filter(whole);
            if found.is_none() {
                let (index, file) = self.make(archive, format, &|_| ()).map_err(io::Error::other)?;
                self.state().known.insert(archive.clone(), Known::of(&index));
                found = Some(file).filter(whole);
            }
        }
        let file = Arc::new(found.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("archive {archive} is gone or has changed"))
        })?);
        let mut state = self.state();
        if state.open.len() >= MAX_OPEN {
            state.open.remove(0);
        }
        state.open.push((archive.clone(), Arc::clone(&file)));
        Ok(file)
    }

    fn opened(&self, archive: &Digest) -> Option<Arc<File>> {
        let open = &mut self.state().open;
        let at = open.iter().rposition(|(digest, _)| digest == archive)?;
        let last = open.len() - 1;
        open[at..].rotate_left(usize::from(at != last));
        open.last().map(|(_, file)| Arc::clone(file))
    }
}

impl Contents for DecodedStore {
    fn open<'a>(&'a self, content: &'a Content) -> io::Result<Box<dyn Read + Send + 'a>> {
        match content {
            Content::Inline(bytes) => Ok(Box::new(&bytes[..])),
            Content::Range { archive, offset, size } => Ok(Box::new(self.range(archive, *offset, *size)?)),
        }
    }

    fn read(&self, content: &Content, limit: u64) -> io::Result<Vec<u8>> {
        if content.size() > limit {
            return Err(io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("a file of {} bytes where at most {limit} are expected", content.size()),
            ));
        }
        match content {
            Content::Inline(bytes) => Ok(bytes.to_vec()),
            Content::Range { archive, offset, size } => {
                let mut bytes = vec![0; usize::try_from(*size).map_err(io::Error::other)?];
                self.range(archive, *offset, *size)?.read_exact(&mut bytes)?;
                Ok(bytes)
            }
        }
    }
}

/// Whether a download begins as a gzip does.
fn is_gzip(blob: &mut File) -> io::Result<bool> {
    let (compression, _) = Compression::peek(&mut *blob)?;
    blob.seek(SeekFrom::Start(0))?;
    Ok(compression == Compression::Gzip)
}

#[cfg(test)]
mod tests;
