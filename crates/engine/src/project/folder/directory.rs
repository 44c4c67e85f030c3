//! A directory that is a source: what is in it, listed once by descriptor, and read later.
//!
//! **Guarantees**: no link is followed, neither while it is listed nor when a file is read: a file is what was listed, or it is an
//! error, so that nothing from elsewhere comes in by an exchange of names. Entries come parents first, by name.
//! **Refuses**: named pipes, sockets and devices; names that no image can have; more than 20,000 entries, 64 levels or 8 GiB.

use std::ffi::CString;
use std::ffi::OsStr;
use std::os::fd::AsFd as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use pinfold_base::Digest;
use pinfold_base::ImagePath;
use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Stat;
use rustix::io::Errno;

use super::OpenError;
use super::Opened;
use super::opened;

/// The most entries that are listed.
const MAX_ENTRIES: usize = 20_000;
/// The most levels.
const MAX_DEPTH: usize = 64;
/// The most bytes of files together.
const MAX_BYTES: u64 = 8 << 30;

/// A directory that was listed.
#[derive(Clone, Debug)]
pub struct Directory {
    opened: Arc<OwnedFd>,
    /// As it was named, for messages.
    path: PathBuf,
    /// Where it lies.
    real: PathBuf,
    outside: bool,
    entries: Vec<Entry>,
}

/// Something in it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its path below the directory.
    pub path: ImagePath,
    /// What it is.
    pub kind: EntryKind,
    stat: Stat,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A directory.
    Directory,
    /// A regular file.
    File {
        /// Whether anybody may execute it.
        executable: bool,
    },
    /// A symbolic link, and where it leads.
    Link(Vec<u8>),
}

impl Directory {
    pub(super) fn list(
        found: OwnedFd,
        path: PathBuf,
        real: PathBuf,
        outside: bool,
    ) -> Result<Self, OpenError> {
        let mut walk = Walk { path: path.clone(), entries: Vec::new(), bytes: 0 };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let readable = rustix::fs::openat(&found, ".", flags, Mode::empty())
            .map_err(|errno| OpenError::Io { path: path.clone(), errno })?;
        walk.below(&readable, &ImagePath::root(), 1)?;
        Ok(Self { opened: Arc::new(found), path, real, outside, entries: walk.entries })
    }

    /// Where it lies, when that is not below the directory it was looked for in.
    pub fn outside(&self) -> Option<&Path> {
        self.outside.then_some(&*self.real)
    }

    /// What is in it, parents before what is in them.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Opens a file of it.
    pub fn open(&self, entry: &Entry) -> Result<Opened, OpenError> {
        let name = OsStr::from_bytes(entry.path.as_bytes());
        let path = self.path.join(name);
        let failed = |errno| OpenError::Io { path: path.clone(), errno };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let found = rustix::fs::openat(&*self.opened, name, flags, Mode::empty()).map_err(failed)?;
        let stat = rustix::fs::fstat(&found).map_err(failed)?;
        if identity(&stat) != identity(&entry.stat) {
            return Err(OpenError::Changed { path });
        }
        opened(found.as_fd(), stat, path.clone(), self.real.join(name), self.outside)
    }

    /// What changes when anything in it does.
    pub fn mark(&self) -> String {
        let mut text = Vec::new();
        for Entry { path, kind, stat } in &self.entries {
            text.extend_from_slice(path.as_bytes());
            text.extend_from_slice(format!("\0{kind:?}\0").as_bytes());
            // A directory's own time changes with what is in it, which is listed here.
            if *kind != EntryKind::Directory {
                text.extend_from_slice(format!("{:?}", identity(stat)).as_bytes());
            }
            text.push(0);
        }
        format!("directory {}", Digest::sha256(&text))
    }
}

/// What changes when a file is exchanged or written to.
fn identity(stat: &Stat) -> impl PartialEq + std::fmt::Debug + use<> {
    (stat.st_dev, stat.st_ino, stat.st_mode, stat.st_size, stat.st_mtime, stat.st_mtime_nsec)
}

/// A listing in the making.
struct Walk {
    path: PathBuf,
    entries: Vec<Entry>,
    bytes: u64,
}

impl Walk {
    /// A path for messages.
    fn shown(&self, path: &ImagePath) -> PathBuf {
        self.path.join(OsStr::from_bytes(path.as_bytes()))
    }

    fn too_much(&self, what: &'static str) -> OpenError {
        OpenError::TooMuch { path: self.path.clone(), what }
    }

    fn below(&mut self, directory: &OwnedFd, at: &ImagePath, depth: usize) -> Result<(), OpenError> {
        let here = self.shown(at);
        let failed = |errno| OpenError::Io { path: here.clone(), errno };
        if depth > MAX_DEPTH {
            return Err(self.too_much("more than 64 levels of directories"));
        }
        let mut names: Vec<CString> = Vec::new();
        for entry in rustix::fs::Dir::read_from(directory).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_owned();
            if matches!(name.as_bytes(), b"." | b"..") {
                continue;
            }
            names.push(name);
            if self.entries.len() + names.len() > MAX_ENTRIES {
                return Err(self.too_much("more than 20,000 entries"));
            }
        }
        names.sort();
        for name in names {
            let path = at.join(name.as_bytes()).map_err(|error| OpenError::Name {
                path: here.join(OsStr::from_bytes(name.as_bytes())),
                reason: error.to_string(),
            })?;
            let shown = self.shown(&path);
            let failed = |errno: Errno| OpenError::Io { path: shown.clone(), errno };
            let stat = rustix::fs::statat(directory, &*name, AtFlags::SYMLINK_NOFOLLOW).map_err(failed)?;
            let kind = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => EntryKind::Directory,
                FileType::RegularFile => EntryKind::File { executable: stat.st_mode & 0o111 != 0 },
                FileType::Symlink => {
                    let target = rustix::fs::readlinkat(directory, &*name, Vec::new()).map_err(failed)?;
                    EntryKind::Link(target.into_bytes())
                }
                other => return Err(OpenError::Kind { path: shown, kind: super::word(other) }),
            };
            if matches!(kind, EntryKind::File { .. }) {
                self.bytes = self.bytes.saturating_add(u64::try_from(stat.st_size).unwrap_or_default());
            }
            if self.bytes > MAX_BYTES {
                return Err(self.too_much("more than 8 GiB"));
            }
            let inner = kind == EntryKind::Directory;
            self.entries.push(Entry { path: path.clone(), kind, stat });
            if inner {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let inner = rustix::fs::openat(directory, &*name, flags, Mode::empty()).map_err(failed)?;
                self.below(&inner, &path, depth + 1)?;
            }
        }
        Ok(())
    }
}
