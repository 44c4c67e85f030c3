//! A store of this machine, read through its database or by a list of its paths, without Nix.
//!
//! ```text
//! ROOT/nix/store/HASH-NAME        the paths
//! ROOT/nix/var/nix/db/schema      "10"
//! ROOT/nix/var/nix/db/db.sqlite   what is known of them; with db.sqlite-wal, where that is not written back yet
//! ```
//!
//! Inside of a build of Nix there is no database. There Nix lists the build's inputs in a file ([`listed`]), which stands for it.
//!
//! What was built here is not signed as a rule: who may write to the store of a machine is trusted by it.
//!
//! **Guarantees**: nothing of the store is written to or locked: the database is copied, with its log, and the copy is read. A copy
//! is taken only if neither changed meanwhile. What is read of a path is its NAR, held to the hash in the database
//! ([`LocalStore::dump`]); files that Nix has linked to each other are files.
//! **Refuses**: databases of another schema, rows that Nix would not write.

mod dump;
pub mod listed;

use std::collections::BTreeMap;
use std::io;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use fs_err as fs;
use pinfold_archive::nar::NarError;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;
use pinfold_base::Shown;
use pinfold_base::file;
use rusqlite::Connection;
use rusqlite::OpenFlags;
use rusqlite::OptionalExtension as _;

use super::NixError;
use super::closure::Answer;
use super::closure::Origin;
use super::content_address;
use super::content_address::Standing;
use super::database::FOLDER;
use super::database::SCHEMA_VERSION;
use super::hash;
use super::key::Signature;
use super::narinfo::MAX_NAR;
use super::narinfo::MAX_REFERENCES;
use super::narinfo::PathInfo;
use super::narinfo::Verified;
use super::store_path::StorePath;
use listed::MAX_LIST;

/// How often a database is copied that is being written to.
const TRIES: u32 = 5;
/// The pause between them.
const PAUSE: Duration = Duration::from_millis(100);
/// How long ago the last change must be: file systems count time in steps, and two changes of one step look like one.
const STILL: Duration = Duration::from_millis(50);

/// Why a store cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// There is no database.
    #[error("`{root}` has no Nix store: there is no `{FOLDER}/db.sqlite` that can be read")]
    NoStore {
        /// The directory.
        root: Shown,
        /// What the system says.
        source: io::Error,
    },
    /// The database is another Nix's.
    #[error(
        "the database of the Nix store in `{root}` has schema `{found}`; only {SCHEMA_VERSION} can be read"
    )]
    Schema {
        /// The directory.
        root: Shown,
        /// What there is.
        found: Shown,
    },
    /// Somebody writes to it.
    #[error("the database of the Nix store in `{root}` changed while it was copied, {TRIES} times")]
    Busy {
        /// The directory.
        root: Shown,
    },
    /// The database does not answer.
    #[error("failed to read the database of the Nix store in `{root}`")]
    Sqlite {
        /// The directory.
        root: Shown,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// What it says of a path is not what Nix writes.
    #[error("what the database of the Nix store in `{root}` says of `{path}` cannot be used: {reason}")]
    Row {
        /// The directory.
        root: Shown,
        /// Of which path.
        path: StorePath,
        /// What is wrong.
        reason: String,
    },
    /// A list of a store's paths cannot be used.
    #[error("what `{file}` lists of a Nix store cannot be used: {reason}")]
    List {
        /// The file.
        file: Shown,
        /// What is wrong.
        reason: String,
    },
    /// A path cannot be read.
    #[error("failed to read `{path}` of the Nix store in `{root}`")]
    Dump {
        /// The directory.
        root: Shown,
        /// Which path.
        path: StorePath,
        /// Why.
        source: Box<NarError>,
    },
    /// A path is another than the database says.
    #[error(
        "`{path}` of the Nix store in `{root}` was changed: it has {found}, and its database says {expected}"
    )]
    Changed {
        /// The directory.
        root: Shown,
        /// Which path.
        path: StorePath,
        /// What its NAR is.
        found: String,
        /// What it should be.
        expected: String,
    },
    /// A file cannot be copied or read.
    #[error("failed to read the Nix store in `{root}`")]
    Read {
        /// The directory.
        root: Shown,
        /// What the system says.
        source: io::Error,
    },
}

impl Diagnose for LocalError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::NoStore { .. } | Self::Schema { .. } | Self::List { .. } => Diagnosis::Own(Kind::Usage),
            Self::Dump { source, .. } => Diagnosis::Inner(&**source),
            Self::Busy { .. } | Self::Read { .. } => Diagnosis::Own(Kind::System),
            Self::Sqlite { .. } | Self::Row { .. } | Self::Changed { .. } => Diagnosis::Own(Kind::Integrity),
        }
    }

    fn own_hint(&self) -> Option<String> {
        Some(match self {
            Self::NoStore { .. } => {
                "name the directory that has `nix/store` in it, or a directory that `nix copy --to file://` filled".into()
            }
            Self::Schema { .. } => {
                "copy what is needed with that Nix (`nix copy --to file:///DIRECTORY PATH`), and name the directory as a cache".into()
            }
            Self::List { .. } => {
                "name the `.attrs.json` of a build with `exportReferencesGraph.closure`, or what `nix path-info --json --recursive PATH` printed".into()
            }
            Self::Changed { .. } | Self::Dump { .. } => {
                "`nix-store --verify --check-contents --repair` there says what else is wrong, and mends it; or name a cache that has the path".into()
            }
            Self::Busy { .. } => "wait until Nix is done there, and run the same command again".into(),
            _ => return None,
        })
    }
}

/// A store of this machine.
#[derive(Debug)]
pub struct LocalStore {
    root: PathBuf,
    known: Known,
}

/// Who says what is in a store.
#[derive(Debug)]
enum Known {
    /// Its database.
    Database {
        connection: Mutex<Connection>,
        /// The copy that is read.
        _copy: tempfile::TempDir,
    },
    /// A list.
    Listed(BTreeMap<StorePath, PathInfo>),
}

impl LocalStore {
    /// Opens the store in `root`, the directory that `nix/store` is in. The database is copied to `scratch`.
    pub fn open(root: &Path, scratch: &Path) -> Result<Self, LocalError> {
        let shown = || Shown::from(root);
        let folder = root.join(FOLDER);
        let schema = fs::read(folder.join("schema"))
            .map_err(|source| LocalError::NoStore { root: shown(), source })?;
        if schema.trim_ascii() != SCHEMA_VERSION.as_bytes() {
            let found = Shown::bytes(&schema[..schema.len().min(40)]);
            return Err(LocalError::Schema { root: shown(), found });
        }
        let failed = |source| LocalError::Read { root: shown(), source };
        let copy = tempfile::tempdir_in(scratch).map_err(failed)?;
        let mut tries = 0;
        while !copied(&folder, copy.path(), &mut || ()).map_err(failed)? {
            tries += 1;
            if tries == TRIES {
                return Err(LocalError::Busy { root: shown() });
            }
            std::thread::sleep(PAUSE);
        }
        let unreadable = |source| LocalError::Sqlite { root: shown(), source };
        // The copy's log is written back into the copy.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(copy.path().join("db.sqlite"), flags).map_err(unreadable)?;
        let checks = "pragma trusted_schema = off; pragma cell_size_check = on; pragma query_only = on;";
        connection.execute_batch(checks).map_err(unreadable)?;
        let known = Known::Database { connection: Mutex::new(connection), _copy: copy };
        Ok(Self { root: root.to_owned(), known })
    }

    /// The store in `root`, of which `list` says what is in it.
    pub fn listed(root: &Path, list: &Path) -> Result<Self, LocalError> {
        let wrong = |reason: String| LocalError::List { file: Shown::from(list), reason };
        let mut bytes = Vec::new();
        let read = file::regular(list).and_then(|file| file.take(MAX_LIST + 1).read_to_end(&mut bytes));
        read.map_err(|error| wrong(error.to_string()))?;
        if bytes.len() as u64 > MAX_LIST {
            return Err(wrong(format!("it is longer than {MAX_LIST} bytes")));
        }
        let paths = listed::parse(&bytes).map_err(wrong)?;
        Ok(Self { root: root.to_owned(), known: Known::Listed(paths) })
    }

    /// Where a path is on this machine.
    pub fn place(&self, path: &StorePath) -> PathBuf {
        self.root.join("nix/store").join(path.base_name())
    }

    /// What is known of a path; nothing where it is not registered.
    pub fn info(&self, path: &StorePath) -> Result<Option<Verified>, LocalError> {
        let connection = match &self.known {
            Known::Listed(paths) => return Ok(paths.get(path).cloned().map(Verified::of_local_store)),
            Known::Database { connection, .. } => connection,
        };
        let root = || Shown::from(self.root.as_path());
        let wrong = |reason: String| LocalError::Row { root: root(), path: path.clone(), reason };
        let unreadable = |source| LocalError::Sqlite { root: root(), source };
        let Some(row) = Row::read(connection, path).map_err(unreadable)? else { return Ok(None) };
        if row.references.len() > MAX_REFERENCES {
            return Err(wrong(format!("it has more than {MAX_REFERENCES} references")));
        }
        let of = |text: &String| StorePath::parse(text).map_err(|error| wrong(error.to_string()));
        let signed = row.signatures.as_deref().unwrap_or_default().split(' ').filter(|word| !word.is_empty());
        let signatures = signed.map(str::parse::<Signature>).collect::<Result<Vec<_>, _>>();
        let mut info = PathInfo {
            path: path.clone(),
            nar_hash: hash::parse(&row.hash).ok_or_else(|| wrong("its hash is no SHA-256".into()))?,
            nar_size: u64::try_from(row.size.unwrap_or(0))
                .ok()
                .filter(|size| (1..=MAX_NAR).contains(size))
                .ok_or_else(|| wrong("its size is missing or out of bounds".into()))?,
            references: row.references.iter().map(of).collect::<Result<_, _>>()?,
            deriver: row.deriver.as_ref().map(of).transpose()?,
            ca: row.ca,
            signatures: signatures.map_err(|error| wrong(error.to_string()))?,
        };
        info.signatures.sort_by_key(Signature::to_string);
        if let Some(ca) = &info.ca
            && content_address::judge(ca, path, &info.references) == Standing::Other
        {
            return Err(wrong("its content address is another path's".into()));
        }
        Ok(Some(Verified::of_local_store(info)))
    }
}

/// What the database says.
struct Row {
    hash: String,
    size: Option<i64>,
    deriver: Option<String>,
    signatures: Option<String>,
    ca: Option<String>,
    references: Vec<String>,
}

impl Row {
    fn read(connection: &Mutex<Connection>, path: &StorePath) -> rusqlite::Result<Option<Self>> {
        let connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut valid = connection
            .prepare("select id, hash, narSize, deriver, sigs, ca from ValidPaths where path = ?1")?;
        let found = valid.query_row([path.to_string()], |row| {
            let id: i64 = row.get(0)?;
            let row = Self {
                hash: row.get(1)?,
                size: row.get(2)?,
                deriver: row.get(3)?,
                signatures: row.get(4)?,
                ca: row.get(5)?,
                references: Vec::new(),
            };
            Ok((id, row))
        });
        let Some((id, row)) = found.optional()? else { return Ok(None) };
        let mut refers = connection.prepare(
            "select path from Refs join ValidPaths on ValidPaths.id = reference where referrer = ?1",
        )?;
        let references = refers.query_map([id], |row| row.get(0))?.take(MAX_REFERENCES + 1);
        Ok(Some(Self { references: references.collect::<Result<_, _>>()?, ..row }))
    }
}

impl Origin for LocalStore {
    fn names(&self) -> Vec<String> {
        vec![format!("the store in `{}`", Shown::from(self.root.as_path()))]
    }

    fn ask(&self, paths: &[StorePath]) -> Vec<Answer> {
        let answer = |path| match self.info(path) {
            Ok(Some(verified)) => Answer::Has(Box::new(verified)),
            Ok(None) => Answer::HasNot,
            Err(error) => Answer::Refused(NixError::Local(error)),
        };
        paths.iter().map(answer).collect()
    }
}

/// What tells that a file was written to.
#[derive(PartialEq, Eq)]
struct Written {
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

fn written(path: &Path) -> io::Result<Option<Written>> {
    match fs::metadata(path) {
        Ok(meta) => Ok(Some(Written {
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
        })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Written {
    /// Whether it was written to just now, by either clock.
    fn just_now(&self) -> bool {
        let (seconds, nanoseconds) = self.modified;
        let since = u64::try_from(seconds).ok().zip(u32::try_from(nanoseconds).ok());
        let modified = since.map(|(seconds, nanoseconds)| UNIX_EPOCH + Duration::new(seconds, nanoseconds));
        modified.is_some_and(|modified| match SystemTime::now().duration_since(modified) {
            Ok(ago) => ago < STILL,
            Err(ahead) => ahead.duration() < STILL,
        })
    }
}

/// Copies database and log; says whether both stayed as they were. `meanwhile` is called between the two.
fn copied(from: &Path, to: &Path, meanwhile: &mut dyn FnMut()) -> io::Result<bool> {
    const FILES: [&str; 2] = ["db.sqlite", "db.sqlite-wal"];
    let standing = || FILES.map(|file| written(&from.join(file)));
    let [database, log] = standing();
    let (database, log) = (database?, log?);
    if [&database, &log].into_iter().flatten().any(Written::just_now) {
        return Ok(false);
    }
    fs::copy(from.join(FILES[0]), to.join(FILES[0]))?;
    meanwhile();
    let copy = to.join(FILES[1]);
    match &log {
        None if copy.exists() => fs::remove_file(&copy)?,
        None => {}
        Some(_) => match fs::copy(from.join(FILES[1]), &copy) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        },
    }
    let [database_now, log_now] = standing();
    Ok(database == database_now? && log == log_now?)
}

#[cfg(test)]
mod tests;
