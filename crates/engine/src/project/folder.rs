//! A project's directory by descriptor, and what is opened in it: once.
//!
//! ```text
//!   name ─► openat2(BENEATH, no magic links), O_PATH ─► its kind ─► opened for reading by that descriptor ─► Opened
//!      leaves the directory ─► by name, and judged by where the descriptor lies
//! ```
//!
//! **Guarantees**: what was judged is what is read: nothing is opened a second time by its name, so that an exchange in
//! between changes nothing. A link that stays inside is followed; what lies outside says so ([`Opened::outside`]). Nothing
//! blocks: what is no regular file is never opened for reading.
//! **Refuses**: directories where no [`Source`] is looked for, named pipes, sockets, devices; files longer than is read of their
//! kind.

mod directory;

use std::fmt;
use std::io;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::os::fd::AsRawFd as _;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use fs_err as fs;
use pinfold_base::Digest;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::fs::Stat;
use rustix::io::Errno;

pub use directory::Directory;
pub use directory::Entry;
pub use directory::EntryKind;

/// How often a resolution is tried that another's renaming has disturbed (openat2(2), `EAGAIN`).
const TRIES: usize = 64;

/// A directory that was opened once.
#[derive(Clone, Debug)]
pub struct Folder {
    directory: Arc<OwnedFd>,
    /// As it was named.
    path: PathBuf,
    /// Where it lies.
    real: PathBuf,
}

/// A file that was opened once: reading it later reads this one, whatever its name means then.
#[derive(Clone)]
pub struct Opened {
    content: Content,
    stat: Stat,
    /// As it was named, for messages.
    path: PathBuf,
    /// Where it lies.
    real: PathBuf,
    outside: bool,
}

#[derive(Clone)]
enum Content {
    /// Of a file that stays open.
    File(Arc<fs::File>),
    /// Of one that was read at once.
    Bytes(Arc<[u8]>),
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened")
            .field("path", &self.path)
            .field("outside", &self.outside)
            .finish_non_exhaustive()
    }
}

/// Why a file cannot be opened or read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OpenError {
    /// The system says so.
    #[error("failed to open `{}`: {}", .path.display(), io::Error::from(*.errno))]
    Io {
        /// As it was named.
        path: PathBuf,
        /// What happened.
        errno: Errno,
    },
    /// It is something else.
    #[error("`{}` is {kind}, not a regular file", .path.display())]
    Kind {
        /// As it was named.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// It is a directory with too much in it.
    #[error("`{}` holds {what}", .path.display())]
    TooMuch {
        /// As it was named.
        path: PathBuf,
        /// The limit.
        what: &'static str,
    },
    /// It is called what no image can have.
    #[error("`{}` has a name that no image can have: {reason}", .path.display())]
    Name {
        /// As it was named.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It was listed with its directory, and is another file now.
    #[error("`{}` has changed since its directory was listed", .path.display())]
    Changed {
        /// As it was named.
        path: PathBuf,
    },
    /// It is longer than is read.
    #[error("`{}` is longer than {max} bytes", .path.display())]
    TooLong {
        /// As it was named.
        path: PathBuf,
        /// The limit.
        max: u64,
    },
}

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        let kind = match &error {
            OpenError::Io { errno, .. } => io::Error::from(*errno).kind(),
            _ => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

impl Folder {
    /// Opens a directory. Its own name may lead anywhere.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let failed = |errno| OpenError::Io { path: path.to_owned(), errno };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty()).map_err(failed)?;
        let real = place(directory.as_fd()).map_err(failed)?;
        Ok(Self { directory: Arc::new(directory), path: path.to_owned(), real })
    }

    /// The file of this name; `None` when there is none.
    pub fn find(&self, name: &Path) -> Result<Option<Opened>, OpenError> {
        match self.file(name) {
            Err(OpenError::Io { errno: Errno::NOENT, .. }) => Ok(None),
            found => found.map(Some),
        }
    }

    /// The file of this name: below the directory, or wherever an absolute name, `..` or a link leads.
    pub fn file(&self, name: &Path) -> Result<Opened, OpenError> {
        let path = self.path.join(name);
        let Found { fd, stat, real, outside } = self.found(name, &path)?;
        opened(fd.as_fd(), stat, path, real, outside)
    }

    /// The file or directory of this name, likewise.
    pub fn source(&self, name: &Path) -> Result<Source, OpenError> {
        let path = self.path.join(name);
        let Found { fd, stat, real, outside } = self.found(name, &path)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Directory::list(fd, path, real, outside).map(Source::Directory),
            _ => opened(fd.as_fd(), stat, path, real, outside).map(Source::File),
        }
    }

    fn found(&self, name: &Path, path: &Path) -> Result<Found, OpenError> {
        let failed = |errno| OpenError::Io { path: path.to_owned(), errno };
        let fd = self.resolve(name).map_err(failed)?;
        let stat = rustix::fs::fstat(&fd).map_err(failed)?;
        let real = place(fd.as_fd()).map_err(failed)?;
        let outside = !real.starts_with(&self.real);
        Ok(Found { fd, stat, real, outside })
    }

    fn resolve(&self, name: &Path) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..TRIES {
            match rustix::fs::openat2(&*self.directory, name, flags, Mode::empty(), inside) {
                Err(Errno::AGAIN) => {}
                // It leaves, or the kernel knows no openat2 (before 5.6, and in gVisor): then by name.
                Err(Errno::XDEV | Errno::NOSYS | Errno::PERM) => break,
                found => return found,
            }
        }
        rustix::fs::openat(&*self.directory, name, flags, Mode::empty())
    }

    /// The name of a file of this directory, for writing: it means this directory whatever has its name by now.
    pub fn place_of(&self, name: &Path) -> PathBuf {
        by_descriptor(self.directory.as_fd()).join(name)
    }
}

/// A name that was resolved.
struct Found {
    fd: OwnedFd,
    stat: Stat,
    real: PathBuf,
    outside: bool,
}

/// What a file of the image is made of.
#[derive(Clone, Debug)]
pub enum Source {
    /// A regular file.
    File(Opened),
    /// A directory with all that is in it.
    Directory(Directory),
}

impl Source {
    /// Where it lies, when that is not below the directory it was looked for in; a directory with a slash behind its name.
    pub fn outside(&self) -> Option<PathBuf> {
        match self {
            Self::File(opened) => opened.outside().map(Path::to_owned),
            Self::Directory(directory) => directory.outside().map(|path| path.join("")),
        }
    }

    /// What changes when its content does.
    pub fn mark(&self) -> String {
        match self {
            Self::File(opened) => opened.mark(),
            Self::Directory(directory) => directory.mark(),
        }
    }
}

/// Opens for reading what a descriptor means, when that is a regular file.
fn opened(
    found: BorrowedFd<'_>,
    stat: Stat,
    path: PathBuf,
    real: PathBuf,
    outside: bool,
) -> Result<Opened, OpenError> {
    let kind = FileType::from_raw_mode(stat.st_mode);
    if kind != FileType::RegularFile {
        return Err(OpenError::Kind { path, kind: word(kind) });
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let file = rustix::fs::open(by_descriptor(found), flags, Mode::empty())
        .map_err(|errno| OpenError::Io { path: path.clone(), errno })?;
    let file = fs::File::from_parts(file.into(), &path);
    Ok(Opened { content: Content::File(Arc::new(file)), stat, path, real, outside })
}

fn word(kind: FileType) -> &'static str {
    match kind {
        FileType::Directory => "a directory",
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something else",
    }
}

/// A name that means what the descriptor means (proc_pid_fd(5)).
fn by_descriptor(fd: BorrowedFd<'_>) -> PathBuf {
    format!("/proc/self/fd/{}", fd.as_raw_fd()).into()
}

/// Where a descriptor leads.
fn place(fd: BorrowedFd<'_>) -> rustix::io::Result<PathBuf> {
    use std::os::unix::ffi::OsStringExt as _;
    let name = rustix::fs::readlink(by_descriptor(fd), Vec::new())?;
    Ok(std::ffi::OsString::from_vec(name.into_bytes()).into())
}

impl Opened {
    /// Where it lies, when that is not below the directory it was looked for in.
    pub fn outside(&self) -> Option<&Path> {
        self.outside.then_some(&*self.real)
    }

    /// Where it lies.
    pub fn real(&self) -> &Path {
        &self.real
    }

    /// As it was named.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size when it was opened.
    pub fn size(&self) -> u64 {
        match &self.content {
            Content::File(_) => u64::try_from(self.stat.st_size).unwrap_or_default(),
            Content::Bytes(bytes) => bytes.len() as u64,
        }
    }

    /// What changes when its content does: size, time and inode, or the content's digest where that was read.
    pub fn mark(&self) -> String {
        match &self.content {
            Content::File(_) => {
                let Stat { st_dev, st_ino, st_mtime, st_mtime_nsec, .. } = self.stat;
                format!("{} {st_mtime}.{st_mtime_nsec} {st_dev}:{st_ino}", self.size())
            }
            Content::Bytes(bytes) => Digest::sha256(bytes).to_string(),
        }
    }

    /// All of it, from the start.
    pub fn reader(&self) -> impl io::Read + '_ {
        Reader { content: &self.content, at: 0 }
    }

    /// All of it, if that is at most `max` bytes.
    pub fn bytes(&self, max: u64) -> Result<Vec<u8>, OpenError> {
        let mut bytes = Vec::new();
        self.reader().take(max + 1).read_to_end(&mut bytes).map_err(|error| OpenError::Io {
            path: self.path.clone(),
            errno: Errno::from_io_error(&error).unwrap_or(Errno::IO),
        })?;
        if bytes.len() as u64 > max {
            return Err(OpenError::TooLong { path: self.path.clone(), max });
        }
        Ok(bytes)
    }

    /// The same with its content read, so that no descriptor is held.
    pub fn read(self, max: u64) -> Result<Self, OpenError> {
        Ok(Self { content: Content::Bytes(self.bytes(max)?.into()), ..self })
    }
}

/// Reads by position, because clones share the file's own.
struct Reader<'a> {
    content: &'a Content,
    at: u64,
}

impl io::Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt as _;
        let count = match self.content {
            Content::File(file) => file.file().read_at(buffer, self.at)?,
            Content::Bytes(bytes) => {
                let left = &bytes[usize::try_from(self.at).unwrap_or(usize::MAX).min(bytes.len())..];
                let count = left.len().min(buffer.len());
                buffer[..count].copy_from_slice(&left[..count]);
                count
            }
        };
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
