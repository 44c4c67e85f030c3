//! A directory of sealed files, held by its descriptor.
//!
//! ```text
//!   00000000000000000007    a message: its sequence in 20 digits
//!   .tmp-PID-N              a file that is being written; its name comes when it is whole
//!   state, alive            files that the directory's owner knows by name
//! ```
//!
//! One side writes to a directory, and removes what the other has dealt with. The other only reads, and trusts nothing there
//! ([`list`](Spool::list), [`read`](Spool::read)).
//!
//! **Guarantees**: a file has its name only once its bytes are on the disk, never in the place of another message; after
//! [`publish`](Spool::publish), [`publish_all`](Spool::publish_all), [`replace`](Spool::replace) and [`remove`](Spool::remove) so is the directory. Names are single
//! components, so nothing outside of the directory is touched.

mod list;
mod read;
mod sync;

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::RenameFlags;
use rustix::io::Errno;

pub use list::Listing;
pub use list::SCAN_MAX;
pub use list::STRANGE_MAX;
pub use read::ReadError;
pub use read::Refusal;

/// Most messages of a direction that are dealt with at once, and that may wait.
pub const FILES_MAX: usize = 10_000;
/// Most bytes of them.
pub const BYTES_MAX: u64 = 64 << 20;
/// Files that are open at once while several messages are written.
const TOGETHER: usize = 128;
/// Digits of a name.
pub const DIGITS: usize = 20;
/// How the name of a file begins that is not whole.
pub const TEMPORARY: &str = ".tmp-";

/// A directory of one direction.
#[derive(Debug)]
pub struct Spool {
    directory: OwnedFd,
}

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {step} `{name}`: {source}")]
pub struct SpoolError {
    /// What was to be done.
    pub step: &'static str,
    /// To which file of the directory, or the directory's path.
    pub name: String,
    /// What the kernel says.
    pub source: io::Error,
}

impl SpoolError {
    fn at(step: &'static str, name: &str) -> impl FnOnce(Errno) -> Self {
        move |errno| Self { step, name: name.to_owned(), source: errno.into() }
    }
}

/// What became of a message that was to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Published {
    /// It is there, on the disk.
    New,
    /// The sequence has a file already; nothing was changed.
    Taken,
}

/// The name of a message's file.
pub fn name(seq: u64) -> String {
    format!("{seq:020}")
}

/// The sequence that a name says.
pub fn sequence(name: &[u8]) -> Option<u64> {
    if name.len() != DIGITS || !name.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(name).ok()?.parse().ok()
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Spool {
    /// The directory of this path; its last component is no link.
    pub fn open(path: &Path) -> Result<Self, SpoolError> {
        let shown = path.display().to_string();
        let directory = rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty())
            .map_err(SpoolError::at("open the directory", &shown))?;
        Ok(Self { directory })
    }

    /// A directory in another one.
    pub fn open_at(parent: BorrowedFd<'_>, name: &str) -> Result<Self, SpoolError> {
        single(name)?;
        let directory = rustix::fs::openat(parent, name, DIRECTORY, Mode::empty())
            .map_err(SpoolError::at("open the directory", name))?;
        Ok(Self { directory })
    }

    /// Writes a message under a number that no file has yet.
    pub fn publish(&self, seq: u64, file: &[u8]) -> Result<Published, SpoolError> {
        let name = name(seq);
        let written = self.write(&name, file)?;
        let published = self.give(written, &name)?;
        if published == Published::New {
            self.sync(&name)?;
        }
        Ok(published)
    }

    /// The same for several messages, which get their names in this order; the disk is waited for twice in all. Where it fails, some
    /// of them are there.
    pub fn publish_all(&self, files: &[(u64, Vec<u8>)]) -> Result<(), SpoolError> {
        for some in files.chunks(TOGETHER) {
            let created = self.create_all(some)?;
            let Some((_, first)) = created.first() else { continue };
            sync::together(created.iter().map(|(file, _)| file))
                .map_err(SpoolError::at("write", &first.name))?;
            self.give_all(some, created)?;
            self.sync(&name(some[0].0))?;
        }
        Ok(())
    }

    /// Replaces a file that names messages, then publishes them; here, too, the disk is waited for twice. A message has its name only
    /// once the file that names it is on the disk. Its own name is there by the next call at the latest, before that file is replaced.
    pub fn replace_and_publish(
        &self,
        name: &str,
        bytes: &[u8],
        files: &[(u64, Vec<u8>)],
    ) -> Result<(), SpoolError> {
        single(name)?;
        let (some, rest) = files.split_at(files.len().min(TOGETHER));
        let (file, written) = self.create(name, bytes)?;
        let created = self.create_all(some)?;
        // The directory with them: names that the call before gave.
        let all = created.iter().map(|(file, _)| file).chain([&file, &self.directory]);
        sync::together(all).map_err(SpoolError::at("write", name))?;
        rustix::fs::renameat(&self.directory, &written.name, &self.directory, name)
            .map_err(SpoolError::at("replace", name))?;
        written.keep();
        self.sync(name)?;
        self.give_all(some, created)?;
        self.publish_all(rest)
    }

    fn create_all(&self, files: &[(u64, Vec<u8>)]) -> Result<Vec<(OwnedFd, Unfinished<'_>)>, SpoolError> {
        files.iter().map(|(seq, file)| self.create(&name(*seq), file)).collect()
    }

    fn give_all(
        &self,
        files: &[(u64, Vec<u8>)],
        created: Vec<(OwnedFd, Unfinished<'_>)>,
    ) -> Result<(), SpoolError> {
        for ((seq, _), (_, written)) in files.iter().zip(created) {
            // Where it is there already, an end in the middle came right after it.
            let (Published::New | Published::Taken) = self.give(written, &name(*seq))?;
        }
        Ok(())
    }

    /// Gives a written file its name, unless another has it. The directory is to be synced.
    fn give(&self, written: Unfinished<'_>, name: &str) -> Result<Published, SpoolError> {
        let named = match rustix::fs::renameat_with(
            &self.directory,
            &written.name,
            &self.directory,
            name,
            RenameFlags::NOREPLACE,
        ) {
            // Not every file system has the flag. One side writes here, so nobody takes the name in between.
            Err(Errno::INVAL | Errno::NOSYS) => {
                if self.is_there(name)? {
                    Err(Errno::EXIST)
                } else {
                    rustix::fs::renameat(&self.directory, &written.name, &self.directory, name)
                }
            }
            result => result,
        };
        match named {
            Ok(()) => {
                written.keep();
                Ok(Published::New)
            }
            Err(Errno::EXIST) => Ok(Published::Taken),
            Err(errno) => Err(SpoolError::at("publish", name)(errno)),
        }
    }

    /// Writes a file that is known by name, in the place of the one before.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), SpoolError> {
        single(name)?;
        let written = self.write(name, bytes)?;
        rustix::fs::renameat(&self.directory, &written.name, &self.directory, name)
            .map_err(SpoolError::at("replace", name))?;
        written.keep();
        self.sync(name)
    }

    /// Removes a message that was dealt with; one that is gone is no error.
    pub fn remove(&self, seq: u64) -> Result<(), SpoolError> {
        self.remove_named(&name(seq))
    }

    /// Removes these messages, and waits for the disk once.
    pub fn remove_all(&self, seqs: impl IntoIterator<Item = u64>) -> Result<(), SpoolError> {
        let mut last = None;
        for seq in seqs {
            let name = name(seq);
            if self.unlink(&name)? {
                last = Some(name);
            }
        }
        last.map_or(Ok(()), |name| self.sync(&name))
    }

    /// Removes a file that is known by name; one that is gone is no error.
    pub fn remove_named(&self, name: &str) -> Result<(), SpoolError> {
        single(name)?;
        if self.unlink(name)? { self.sync(name) } else { Ok(()) }
    }

    /// Makes the time of an empty file now, or makes the file. A link there is not followed.
    pub fn touch(&self, name: &str) -> Result<(), SpoolError> {
        single(name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.directory, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(SpoolError::at("open", name))?;
        let now = rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
        let times = rustix::fs::Timestamps { last_access: now, last_modification: now };
        rustix::fs::futimens(file, &times).map_err(SpoolError::at("touch", name))
    }

    /// When a file was last changed, in seconds since the epoch; a link is not followed. Nothing where there is no such file.
    pub fn changed(&self, name: &str) -> Option<i64> {
        single(name).ok()?;
        rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW).ok().map(|stat| stat.st_mtime)
    }

    /// Removes files that a writer which was killed did not finish. For the one who writes here, while nobody else does.
    pub fn sweep(&self) -> Result<(), SpoolError> {
        for name in self.list(&[])?.unfinished {
            self.unlink(&name)?;
        }
        Ok(())
    }

    fn is_there(&self, name: &str) -> Result<bool, SpoolError> {
        match rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(SpoolError::at("look at", name)(errno)),
        }
    }

    /// Whether there was such a file.
    fn unlink(&self, name: &str) -> Result<bool, SpoolError> {
        match rustix::fs::unlinkat(&self.directory, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(SpoolError::at("remove", name)(errno)),
        }
    }

    fn sync(&self, name: &str) -> Result<(), SpoolError> {
        rustix::fs::fsync(&self.directory).map_err(SpoolError::at("sync the directory of", name))
    }

    /// Writes bytes under a name of their own, to the disk.
    fn write(&self, to: &str, bytes: &[u8]) -> Result<Unfinished<'_>, SpoolError> {
        let (file, written) = self.create(to, bytes)?;
        rustix::fs::fsync(&file).map_err(SpoolError::at("write", to))?;
        Ok(written)
    }

    /// Writes bytes under a name of their own. The file is to be synced.
    fn create(&self, to: &str, bytes: &[u8]) -> Result<(OwnedFd, Unfinished<'_>), SpoolError> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let process = rustix::process::getpid().as_raw_nonzero();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // A worker that was started again has the number that the one before it had, and what that one left is there.
        let (file, written) = loop {
            let name = format!("{TEMPORARY}{process}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
            match rustix::fs::openat(&self.directory, &name, flags, Mode::RUSR | Mode::WUSR) {
                Ok(file) => break (file, Unfinished { spool: self, name }),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(SpoolError::at("write", to)(errno)),
            }
        };
        let mut rest = bytes;
        while !rest.is_empty() {
            match rustix::io::write(&file, rest) {
                Ok(0) => return Err(SpoolError::at("write", to)(Errno::NOSPC)),
                Ok(count) => rest = &rest[count..],
                Err(Errno::INTR) => {}
                Err(errno) => return Err(SpoolError::at("write", to)(errno)),
            }
        }
        Ok((file, written))
    }
}

impl AsFd for Spool {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }
}

/// A file that goes away unless it gets its name.
struct Unfinished<'a> {
    spool: &'a Spool,
    name: String,
}

impl Unfinished<'_> {
    fn keep(mut self) {
        self.name.clear();
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            let _ = self.spool.unlink(&self.name);
        }
    }
}

/// A name that stays in its directory.
fn single(name: &str) -> Result<(), SpoolError> {
    if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) {
        return Err(SpoolError::at("use the name", name)(Errno::INVAL));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
