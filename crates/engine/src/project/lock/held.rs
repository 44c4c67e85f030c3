//! A project's lock as it was opened: its text, read once, and what it says, read when it is needed.
//!
//! Most of an unchanged build and of a start went into reading a lock that is what it was the last time. What these need of
//! it is little ([`Gist`]), and is kept:
//!
//! ```text
//!   DATA/locks/HEX.json     HEX: SHA-256 of the lock's text and of the program that read it
//! ```
//!
//! **Guarantees**: a gist is a function of the text alone: another text, and another program, has another record. Records lie
//! in the user's data folder, beside the user's own word, where no workspace is. What is fetched, placed and composed comes of
//! the lock itself, which is given out only when it says what its record said.
//! **Refuses**: records that are damaged, are of another form, or belong to another text: the lock is read instead.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::OnceLock;

use fs_err as fs;
use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_base::store::persist;
use pinfold_base::store::recall;
use pinfold_base::store::summed;
use pinfold_base::store::temporary;
use serde::Deserialize;
use serde::Serialize;

use super::COMPAT;
use super::Lock;
use super::LockError;

/// Where records are, below the data folder.
pub const RECORDS: &str = "locks";

/// Raised whenever a record of equal name could mean something else than before.
const VERSION: u32 = 3;

/// What an unchanged build and a start need of a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gist {
    /// [`Lock::digest`]: what a build is keyed by.
    pub digest: Digest,
    /// The parts of the request that it answers.
    pub request: BTreeMap<String, String>,
    /// Its compat level.
    pub compat: u32,
    /// Who compresses its layers.
    pub encoders: BTreeMap<String, String>,
    /// Addresses that stand in it, which the user is asked about.
    pub addresses: Vec<String>,
}

impl Gist {
    /// Of a lock that was read.
    pub fn of(lock: &Lock) -> Self {
        let archives = Platform::ALL.into_iter().flat_map(|platform| lock.archives(platform));
        Self {
            digest: lock.digest(),
            request: lock.request.clone(),
            compat: lock.compat,
            encoders: lock.encoders.clone(),
            addresses: archives.filter_map(|archive| archive.origin.address().map(str::to_owned)).collect(),
        }
    }
}

/// A record: the gist with whose it is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    version: u32,
    /// Digest of the text.
    text: Digest,
    gist: Gist,
}

/// A lock that was opened.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    text: Arc<str>,
    /// As it was named, for messages.
    file: PathBuf,
    lock: OnceLock<Result<Arc<Lock>, Arc<LockError>>>,
    gist: OnceLock<Known>,
}

/// A gist, and the record that it was taken from.
#[derive(Clone, Debug)]
struct Known {
    gist: Gist,
    record: Option<PathBuf>,
}

impl Held {
    pub(crate) fn new(text: String, file: &Path) -> Self {
        let (lock, gist) = (OnceLock::new(), OnceLock::new());
        Self { text: text.into(), file: file.to_owned(), lock, gist }
    }

    /// The lock.
    pub(crate) fn lock(&self) -> Result<&Lock, LockError> {
        match self.lock.get_or_init(|| self.read().map(Arc::new).map_err(Arc::new)) {
            Ok(lock) => Ok(lock),
            Err(error) => Err(LockError::Read(error.clone())),
        }
    }

    fn read(&self) -> Result<Lock, LockError> {
        let lock = Lock::parse(&self.text, &self.file)?;
        match self.gist.get() {
            Some(Known { gist, record: Some(record) }) if *gist != Gist::of(&lock) => {
                let _ = fs::remove_file(record);
                Err(LockError::Record { record: record.clone() })
            }
            _ => Ok(lock),
        }
    }

    /// What a start needs of it.
    pub(crate) fn gist(&self) -> Result<&Gist, LockError> {
        if let Some(known) = self.gist.get() {
            return Ok(&known.gist);
        }
        let gist = Gist::of(self.lock()?);
        Ok(&self.gist.get_or_init(|| Known { gist, record: None }).gist)
    }

    /// Takes the gist from its record below `data`, where there is one.
    pub(crate) fn recall(&self, data: &Path) {
        if self.gist.get().is_none()
            && let Some((path, text)) = self.record(data)
            && let Some(bytes) = recall(&path)
            && let Ok(record) = serde_json::from_slice::<Record>(&bytes)
            && record.version == VERSION
            && record.text == text
        {
            let _ = self.gist.set(Known { gist: record.gist, record: Some(path) });
        }
    }

    /// Keeps the gist of a lock that was read for the next time. It is only saving time: failures are no matter.
    pub(crate) fn remember(&self, data: &Path) {
        if let Some(Known { gist, record: None }) = self.gist.get()
            && let Some((path, text)) = self.record(data)
        {
            let _ = write(&path, &Record { version: VERSION, text, gist: gist.clone() });
        }
    }

    /// The record's place and the digest of the text. `None` where it cannot be said which program this is.
    fn record(&self, data: &Path) -> Option<(PathBuf, Digest)> {
        let text = Digest::sha256(self.text.as_bytes());
        let all = (VERSION, program()?, &text);
        let name = Digest::sha256(&serde_json::to_vec(&all).ok()?);
        Some((data.join(RECORDS).join(format!("{}.json", name.hex())), text))
    }
}

/// Which program this is: what it keeps for itself, another must not find. `None` where it cannot be said.
pub(crate) fn program() -> Option<impl Serialize> {
    let file = fs::metadata("/proc/self/exe").ok()?;
    let file = (file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec());
    Some((env!("CARGO_PKG_VERSION"), COMPAT, file))
}

fn write(path: &Path, record: &Record) -> Result<(), std::io::Error> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)?;
    let mut temporary = temporary::file(folder)?;
    temporary.write_all(&summed(&serde_json::to_vec(record)?))?;
    persist(temporary, path).map_err(std::io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str =
        "version = 1\ncompat = 6\nepoch = 1\n\n[encoders]\ngzip = \"g\"\n\n[request]\nnpm = \"00\"\n";

    fn held(text: &str) -> Held {
        Held::new(text.to_owned(), Path::new("pinfold.lock"))
    }

    /// The only record below `data`.
    fn only(data: &Path) -> PathBuf {
        let mut all = fs::read_dir(data.join(RECORDS)).unwrap().map(|entry| entry.unwrap().path());
        let one = all.next().unwrap();
        assert!(all.next().is_none());
        one
    }

    #[test]
    fn a_lock_that_was_read_is_not_read_again() {
        let data = tempfile::tempdir().unwrap();
        let first = held(LOCK);
        first.recall(data.path());
        let gist = first.gist().unwrap().clone();
        first.remember(data.path());
        let second = held(LOCK);
        second.recall(data.path());
        assert_eq!((second.gist().unwrap(), second.lock.get().is_some()), (&gist, false));
        // It can fail: without the record it is read.
        let third = held(LOCK);
        third.recall(&data.path().join("elsewhere"));
        assert_eq!((third.gist().unwrap(), third.lock.get().is_some()), (&gist, true));
    }

    #[test]
    fn another_lock_is_never_served_from_the_record_of_the_one_before() {
        let data = tempfile::tempdir().unwrap();
        let first = held(LOCK);
        first.gist().unwrap();
        first.remember(data.path());
        // Even one that says the same in other words, and one whose record lies under its name.
        for text in [LOCK.replace("00", "01"), LOCK.replace("\"g\"", "\"h\""), format!("{LOCK}\n# More.\n")] {
            let other = held(&text);
            other.recall(data.path());
            assert!(other.gist.get().is_none(), "{text}");
            fs::copy(only(data.path()), other.record(data.path()).unwrap().0).unwrap();
            other.recall(data.path());
            assert!(other.gist.get().is_none(), "{text}");
            assert_eq!(*other.gist().unwrap(), Gist::of(&Lock::parse(&text, Path::new("")).unwrap()));
            fs::remove_file(other.record(data.path()).unwrap().0).unwrap();
        }
    }

    #[test]
    fn a_record_that_is_damaged_is_none() {
        let data = tempfile::tempdir().unwrap();
        let first = held(LOCK);
        first.gist().unwrap();
        first.remember(data.path());
        let path = only(data.path());
        let whole = fs::read_to_string(&path).unwrap();
        let json = String::from_utf8(recall(&path).unwrap()).unwrap();
        let summed = |text: String| String::from_utf8(summed(text.as_bytes())).unwrap();
        for broken in [
            String::new(),
            summed(json.replace("\"version\":3", "\"version\":0")),
            summed(json.replace("\"addresses\"", "\"address\"")),
            whole.replace("\"00\"", "\"01\""),
        ] {
            assert_ne!(broken, whole);
            fs::remove_file(&path).unwrap();
            fs::write(&path, broken).unwrap();
            let again = held(LOCK);
            again.recall(data.path());
            assert!(again.gist.get().is_none());
        }
        fs::remove_file(&path).unwrap();
        fs::write(&path, whole).unwrap();
        let again = held(LOCK);
        again.recall(data.path());
        assert!(again.gist.get().is_some(), "it can fail");
    }

    #[test]
    fn what_a_record_says_holds_only_while_the_lock_says_it_too() {
        let data = tempfile::tempdir().unwrap();
        let first = held(LOCK);
        first.gist().unwrap();
        first.remember(data.path());
        let path = only(data.path());
        let again = held(LOCK);
        again.recall(data.path());
        again.lock().unwrap();
        let lied = String::from_utf8(recall(&path).unwrap()).unwrap().replace("\"00\"", "\"01\"");
        fs::remove_file(&path).unwrap();
        fs::write(&path, summed(lied.as_bytes())).unwrap();
        let again = held(LOCK);
        again.recall(data.path());
        let Err(LockError::Read(error)) = again.lock() else { panic!("a lock of another gist") };
        assert!(matches!(*error, LockError::Record { .. }));
        assert!(!path.exists(), "the next time it is read");
    }

    #[test]
    fn nothing_is_kept_of_a_lock_that_cannot_be_read() {
        let data = tempfile::tempdir().unwrap();
        let broken = held("version = 9\n");
        broken.recall(data.path());
        assert!(broken.gist().is_err());
        broken.remember(data.path());
        assert!(!data.path().join(RECORDS).exists());
    }
}
