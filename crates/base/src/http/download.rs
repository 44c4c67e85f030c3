//! Downloads into the store: hashed while they stream, resumed where they stopped, shared between processes.
//!
//! ```text
//! CACHE/partial/ALG-HEX   locked with flock(2) by the one process that downloads the blob; others wait for it
//!        │  whole and right
//!        ▼  fsync, rename
//! CACHE/blobs/ALG/HEX
//! ```
//!
//! A partial file is only ever appended to, and hashed again when it is resumed, so whatever it holds cannot get past the
//! digest. When the digest is wrong after a resume, the download starts once more from nothing. A server that ignores
//! `Range`, or answers another range than the one asked for, makes the download start from nothing, too.

use std::io;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::io::Write;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use fs_err as fs;
use fs_err::File;
use rustix::fs::FlockOperation;

use super::Ask;
use super::Auth;
use super::Client;
use super::Failure;
use super::HttpError;
use super::Reach;
use super::SafeUrl;
use super::patience::Paced;
use super::reach;
use super::read_error;
use crate::digest::Algorithm;
use crate::digest::Digest;
use crate::digest::Hasher;
use crate::error::Diagnose as _;
use crate::error::Kind;
use crate::report::Reporter;
use crate::report::Stage;
use crate::store::Expected;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::stamp;

/// The most bytes a blob of unknown size may have.
const MAX_BLOB: u64 = 16 << 30;
/// Requests for one blob at one source, however much progress each of them makes.
const MAX_REQUESTS: u32 = 200;

/// A place where a blob may be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its address there.
    pub url: SafeUrl,
    /// Credentials for that origin.
    pub auth: Auth,
    /// Who named the address.
    pub named: Named,
}

/// Who named an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// The machine's configuration: it may be private.
    ByMachine,
    /// A project. An address in numbers, `localhost` and names of a private network are what they are, and the user was asked; any
    /// other name must not turn out to be this machine or its network.
    ByProject,
}

impl Source {
    /// A source that asks for no credentials, named by the machine.
    pub fn open(url: SafeUrl) -> Self {
        Self { url, auth: Auth::None, named: Named::ByMachine }
    }

    /// A source that asks for no credentials, named by a project.
    pub fn of_project(url: SafeUrl) -> Self {
        Self { named: Named::ByProject, ..Self::open(url) }
    }

    pub(super) fn reach(&self) -> Reach {
        match (self.named, reach::host(&self.url)) {
            (Named::ByProject, Some(host)) if !reach::is_plain(&host) => Reach::Public,
            _ => Reach::Named,
        }
    }
}

impl Client {
    /// Puts a blob into the store, from the first source that has the right bytes; a source is asked for only when those
    /// before it failed. Does nothing when the blob is there. `what` names it to people and is the id of its progress. Safe
    /// to call for the same blob in several threads and processes.
    pub fn download(
        &self,
        sources: impl IntoIterator<Item = Source>,
        expected: &Expected,
        what: &str,
        store: &Store,
        reporter: &dyn Reporter,
    ) -> Result<(), HttpError> {
        if store.contains(&expected.digest) {
            return Ok(());
        }
        let mut sink = Sink::resume(store, &expected.digest)?;
        // Another process may have finished while this one waited for the lock.
        if store.contains(&expected.digest) {
            return Ok(sink.discard()?);
        }
        reporter.begin(Stage::Fetch, what, expected.size);
        let result = self.any_source(sources, expected, what, &mut sink, reporter);
        reporter.end(what);
        match result {
            Ok(()) => Ok(sink.keep(&store.path(&expected.digest))?),
            Err(error) => {
                // Bytes that came over a bad line are kept to go on from; wrong ones are not.
                if error.kind() == Kind::Network && sink.have > 0 {
                    sink.sync()?;
                } else {
                    sink.discard()?;
                }
                Err(error)
            }
        }
    }

    /// Puts a blob into the store whose digest is not known yet: a binary that is locked for the first time.
    /// Gives its digest and size; more than `limit` bytes are refused.
    pub fn download_unknown(
        &self,
        source: &Source,
        what: &str,
        store: &Store,
        limit: u64,
        algorithm: Algorithm,
        reporter: &dyn Reporter,
    ) -> Result<(Digest, u64), HttpError> {
        let mut sink = Sink::temporary(store, algorithm)?;
        reporter.begin(Stage::Fetch, what, None);
        let bounds = Bounds { exact: None, limit };
        let result = self.one_source(source, &bounds, what, &mut sink, reporter);
        reporter.end(what);
        if let Err(error) = result {
            sink.discard()?;
            return Err(error);
        }
        let (digest, size) = (sink.hasher.clone().finish(), sink.have);
        sink.keep(&store.path(&digest))?;
        Ok((digest, size))
    }

    fn any_source(
        &self,
        sources: impl IntoIterator<Item = Source>,
        expected: &Expected,
        what: &str,
        sink: &mut Sink,
        reporter: &dyn Reporter,
    ) -> Result<(), HttpError> {
        let bounds = Bounds { exact: expected.size, limit: expected.size.unwrap_or(MAX_BLOB) };
        let mut tried = Vec::new();
        for source in sources {
            let mut resumed = sink.have > 0;
            let error = loop {
                if let Err(error) = self.one_source(&source, &bounds, what, sink, reporter) {
                    break error;
                }
                let actual = sink.hasher.clone().finish();
                if actual == expected.digest {
                    return Ok(());
                }
                sink.restart()?;
                if !std::mem::take(&mut resumed) {
                    let (what, expected) = (what.to_owned(), expected.digest.clone());
                    break StoreError::WrongDigest { what, expected, actual }.into();
                }
            };
            match error {
                // The machine's own failures are not the source's.
                HttpError::Store(StoreError::Io(_)) => return Err(error),
                HttpError::TooLong { .. } => sink.restart()?,
                _ => {}
            }
            tried.push(error);
        }
        match tried.len() {
            0 => Err(HttpError::Offline { what: what.to_owned() }),
            1 => Err(tried.remove(0)),
            _ => Err(HttpError::Sources { what: what.to_owned(), tried }),
        }
    }

    /// Fills the sink from one source, as often as it takes.
    fn one_source(
        &self,
        source: &Source,
        bounds: &Bounds,
        what: &str,
        sink: &mut Sink,
        reporter: &dyn Reporter,
    ) -> Result<(), HttpError> {
        if let Some(path) = source.url.file_path() {
            return copy_file(&source.url, &path, bounds, what, sink, reporter);
        }
        self.options(what)?;
        let mut attempts = self.attempts();
        let mut etag = None;
        for _ in 0..MAX_REQUESTS {
            let (before, begun) = (sink.have, Instant::now());
            let failure = match self.transfer(source, bounds, what, sink, &mut etag, reporter) {
                Ok(Progress::Done) => return Ok(()),
                Ok(Progress::Again) => {
                    sink.restart()?;
                    etag = None;
                    if !attempts.again(begun.elapsed(), 0, Some(Duration::ZERO)) {
                        break;
                    }
                    continue;
                }
                Err(failure) => failure,
            };
            let came = sink.have.saturating_sub(before);
            tracing::info!(error = %failure.error, came, "an attempt failed");
            if !failure.error.is_passing() || !attempts.again(begun.elapsed(), came, failure.wait) {
                return Err(failure.error);
            }
        }
        Err(HttpError::Truncated {
            url: source.url.without_secrets(),
            got: sink.have,
            expected: bounds.limit,
        })
    }

    /// One request for what is still missing.
    fn transfer(
        &self,
        source: &Source,
        bounds: &Bounds,
        what: &str,
        sink: &mut Sink,
        etag: &mut Option<String>,
        reporter: &dyn Reporter,
    ) -> Result<Progress, Failure> {
        if bounds.exact == Some(sink.have) && sink.have > 0 {
            return Ok(Progress::Done);
        }
        if sink.have > bounds.limit
            || (sink.have > 0 && bounds.exact.is_none() && etag.is_none() && !sink.named)
        {
            sink.restart()?;
        }
        let range = (sink.have > 0).then_some((sink.have, etag.as_deref()));
        let answer = self.ask(
            &source.url,
            &Ask { accept: None, auth: &source.auth, range, known: None, reach: source.reach() },
        )?;
        let url = &source.url;
        let whole = match answer.status {
            200 => {
                // Either nothing was there, or the server ignores `Range`, or the file has changed (`If-Range`).
                sink.restart()?;
                answer.length
            }
            206 => match answer.content_range.as_deref().and_then(content_range) {
                Some((start, total)) if range.is_some() && start == sink.have => total,
                _ => return Ok(Progress::Again),
            },
            416 if range.is_some() => return Ok(Progress::Again),
            status => return Err(HttpError::Status { url: url.without_secrets(), status }.into()),
        };
        if let (Some(expected), Some(actual)) = (bounds.exact, whole)
            && expected != actual
        {
            return Err(HttpError::WrongSize { url: url.without_secrets(), expected, actual }.into());
        }
        if whole.is_some_and(|whole| whole > bounds.limit) {
            return Err(HttpError::TooLong { url: url.without_secrets(), limit: bounds.limit }.into());
        }
        *etag = answer.etag;
        if let (None, Some(whole)) = (bounds.exact, whole) {
            sink.announce(whole, what, reporter);
        }
        let body = answer.body.into_with_config().limit(u64::MAX).reader();
        let mut body = Paced::new(body, self.options(what)?.idle_timeout);
        sink.fill(url, &mut body, bounds.limit, what, reporter)?;
        match bounds.exact.or(whole) {
            Some(expected) if sink.have < expected => {
                Err(HttpError::Truncated { url: url.without_secrets(), got: sink.have, expected }.into())
            }
            _ => Ok(Progress::Done),
        }
    }
}

/// How long a blob is, or may be.
struct Bounds {
    exact: Option<u64>,
    limit: u64,
}

enum Progress {
    /// All bytes are there.
    Done,
    /// The server gave another range than the one asked for: start from nothing.
    Again,
}

/// A file being filled: what it holds and the hash of that.
struct Sink {
    file: File,
    path: PathBuf,
    hasher: Hasher,
    algorithm: Algorithm,
    have: u64,
    /// The most that was there and was reported as progress; a restart is not reported again.
    reported: u64,
    /// The length that was told when it was not known before.
    announced: u64,
    /// Whether it is the partial file of a known digest, which may be resumed without a validator.
    named: bool,
}

impl Sink {
    /// The partial file of a blob, locked, with what an earlier run left in it.
    fn resume(store: &Store, digest: &Digest) -> Result<Self, StoreError> {
        let path = store.partial_path(digest);
        loop {
            let file =
                fs::OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
            match rustix::fs::flock(file.file(), FlockOperation::LockExclusive) {
                Ok(()) => {}
                Err(rustix::io::Errno::INTR) => continue,
                // A file system without locks: work alone, without resuming.
                Err(_) => return Self::temporary(store, digest.algorithm()),
            }
            // The one who held the lock has renamed or removed the file that was opened before: look again.
            let opened = file.file().metadata()?;
            let there = match fs::metadata(&path) {
                Ok(there) => there,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            };
            if (opened.dev(), opened.ino()) != (there.dev(), there.ino()) {
                continue;
            }
            let mut sink = Self::begin(file, path, digest.algorithm(), true);
            let mut buffer = vec![0; 256 << 10];
            loop {
                match sink.file.read(&mut buffer)? {
                    0 => return Ok(sink),
                    n => {
                        sink.hasher.update(&buffer[..n]);
                        sink.have += n as u64;
                    }
                }
            }
        }
    }

    fn temporary(store: &Store, algorithm: Algorithm) -> Result<Self, StoreError> {
        // The same open file, whose lock says that it is being written.
        let (file, path) = store.temporary()?.keep().map_err(|error| error.error)?;
        let file = File::from_parts(file, path.clone());
        Ok(Self::begin(file, path, algorithm, false))
    }

    fn begin(file: File, path: PathBuf, algorithm: Algorithm, named: bool) -> Self {
        Self {
            file,
            path,
            hasher: Hasher::new(algorithm),
            algorithm,
            have: 0,
            reported: 0,
            announced: 0,
            named,
        }
    }

    /// Tells how long the blob is, which was not known.
    fn announce(&mut self, length: u64, what: &str, reporter: &dyn Reporter) {
        if length > self.announced {
            reporter.grow(what, length - self.announced);
            self.announced = length;
        }
    }

    /// Throws away what is there.
    fn restart(&mut self) -> Result<(), StoreError> {
        if self.have > 0 {
            self.file.set_len(0)?;
            self.file.seek(SeekFrom::Start(0))?;
            self.hasher = Hasher::new(self.algorithm);
            self.have = 0;
        }
        Ok(())
    }

    /// Appends all of `body`, up to `limit` in total.
    fn fill(
        &mut self,
        url: &SafeUrl,
        body: &mut dyn Read,
        limit: u64,
        what: &str,
        reporter: &dyn Reporter,
    ) -> Result<(), HttpError> {
        let mut buffer = vec![0; 128 << 10];
        loop {
            if self.have > self.reported {
                reporter.advance(what, self.have - self.reported);
                self.reported = self.have;
            }
            let n = match body.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(read_error(url, &error)),
            };
            if n as u64 > limit - self.have.min(limit) {
                return Err(HttpError::TooLong { url: url.without_secrets(), limit });
            }
            self.file.write_all(&buffer[..n]).map_err(StoreError::from)?;
            self.hasher.update(&buffer[..n]);
            self.have += n as u64;
        }
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(self.file.sync_data()?)
    }

    /// Removes the file; whoever waits for its lock sees that and looks again.
    fn discard(&self) -> Result<(), StoreError> {
        Ok(fs::remove_file(&self.path)?)
    }

    /// Gives it its final name.
    fn keep(self, path: &Path) -> Result<(), StoreError> {
        self.file.sync_all()?;
        rustix::fs::fchmod(self.file.file(), rustix::fs::Mode::from_raw_mode(0o644))
            .map_err(io::Error::from)?;
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
            fs::rename(&self.path, path)?;
            File::open(parent)?.sync_all()?;
        }
        Ok(stamp::stamp(path)?)
    }
}

fn copy_file(
    url: &SafeUrl,
    path: &Path,
    bounds: &Bounds,
    what: &str,
    sink: &mut Sink,
    reporter: &dyn Reporter,
) -> Result<(), HttpError> {
    let failed = |error| HttpError::File { url: url.clone(), error };
    sink.restart()?;
    let mut file = crate::file::regular(path).map_err(failed)?;
    if bounds.exact.is_none() {
        sink.announce(file.metadata().map_err(failed)?.len(), what, reporter);
    }
    sink.fill(url, &mut file, bounds.limit, what, reporter)?;
    match bounds.exact {
        Some(expected) if sink.have != expected => {
            Err(HttpError::WrongSize { url: url.clone(), expected, actual: sink.have })
        }
        _ => Ok(()),
    }
}

/// Start and total of `bytes START-END/TOTAL` (RFC 9110, section 14.4).
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (start, end) = range.split_once('-')?;
    let (start, end): (u64, u64) = (start.trim().parse().ok()?, end.trim().parse().ok()?);
    let total = if total == "*" { None } else { Some(total.trim().parse().ok()?) };
    (start <= end && total.is_none_or(|total: u64| end < total)).then_some((start, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges() {
        assert_eq!(content_range("bytes 5-9/10"), Some((5, Some(10))));
        assert_eq!(content_range("bytes 5-9/*"), Some((5, None)));
        for wrong in
            ["bytes 5-9", "bytes 9-5/10", "bytes 5-10/10", "items 1-2/3", "bytes -5/10", "bytes x-y/z", ""]
        {
            assert_eq!(content_range(wrong), None, "{wrong}");
        }
    }
}
