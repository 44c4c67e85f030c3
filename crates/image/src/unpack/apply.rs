//! One layer after the other onto the root: entries, whiteouts, metadata.
//!
//! An entry replaces what lower layers have at its path, except that a directory over a directory keeps what is inside.
//! What entries mean, whiteouts among them, and which are refused whatever is below them, [`pinfold_archive::layer`] says.

use std::ffi::CString;
use std::io;
use std::io::BufRead;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use pinfold_archive::layer::Change;
use pinfold_archive::layer::Rules;
use pinfold_archive::tar::Entry;
use pinfold_archive::tar::EntryKind;
use pinfold_archive::tar::Limits;
use pinfold_archive::tar::Reader;
use pinfold_archive::tar::Strictness;
use pinfold_archive::tar::TarError;
use pinfold_base::ImagePath;
use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Gid;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Timespec;
use rustix::fs::Timestamps;
use rustix::fs::Uid;
use rustix::fs::XattrFlags;
use rustix::io::Errno;

use super::Cause;
use super::Ids;
use super::Options;
use super::Report;
use super::SetId;
use super::directories::Directories;
use super::directories::Meta;
use super::remove;
use super::root::Links;
use super::root::Root;
use super::stream::Blocks;

/// Set-user-id and set-group-id.
const SET_ID: u32 = 0o6000;

/// The root and what is known about it.
#[derive(Debug)]
pub(super) struct State<'a> {
    root: Root,
    options: &'a Options,
    report: Report,
    directories: Directories,
    /// The rules for the current layer, and what it brought so far.
    rules: Rules,
    /// Whether there is nothing below the current layer that could be replaced or removed.
    lowest: bool,
}

impl<'a> State<'a> {
    pub(super) fn new(root: Root, options: &'a Options) -> Self {
        Self {
            root,
            options,
            report: Report::default(),
            directories: Directories::default(),
            rules: Rules::default(),
            lowest: true,
        }
    }

    /// Applies a layer and checks that it was the one that was promised.
    pub(super) fn layer(&mut self, blocks: Blocks, lowest: bool) -> Result<(), Cause> {
        (self.rules, self.lowest) = (Rules::default(), lowest);
        let most = self.options.limits;
        let limits = Limits { entries: most.entries, total: most.bytes, ..Limits::default() };
        let mut tar = Reader::new(blocks, Strictness::LAYER, limits);
        while let Some(entry) = tar.next_entry()? {
            self.report.entries += 1;
            if self.report.entries > most.entries {
                return Err(Cause::Limit { what: "entries", limit: most.entries });
            }
            if self.report.bytes + tar.position() + entry.size > most.bytes {
                return Err(Cause::Limit { what: "bytes", limit: most.bytes });
            }
            self.entry(&entry, &mut tar)?;
        }
        self.report.bytes += tar.into_inner().finish()?;
        Ok(())
    }

    /// Sets what could not be set before: metadata of directories.
    pub(super) fn finish(mut self) -> Result<Report, Cause> {
        let directories = std::mem::take(&mut self.directories);
        for (path, meta) in directories.into_deepest_first() {
            let handle = match self.root.open_directory(&path) {
                Ok(handle) => handle,
                // An upper layer put something else there.
                Err(error) if is_gone(&error) => continue,
                Err(error) => return Err(step("open", &path, error)),
            };
            let owner = Owner { uid: meta.uid, gid: meta.gid };
            self.metadata(&handle, &path, owner, meta.mode, &meta.xattrs)?;
            let times = times(meta.mtime, meta.nanoseconds);
            rustix::fs::futimens(&handle, &times).map_err(|error| step("set the time of", &path, error))?;
        }
        Ok(self.report)
    }

    fn entry(&mut self, entry: &Entry, content: &mut Reader<Blocks>) -> Result<(), Cause> {
        let (path, target) = match self.rules.judge(entry).map_err(|reason| refuse(entry, reason))? {
            Change::Root => {
                self.directories.describe(&ImagePath::root(), meta_of(entry));
                return Ok(());
            }
            Change::Hide(path) => return self.hide(entry, &path),
            Change::Clear(dir) => return self.clear_lower(entry, &dir),
            Change::Put(path) => (path, None),
            Change::Link { path, target } => (path, Some(target)),
        };
        let parent = self.parent(entry, &path)?;
        let name = c_name(path.name());
        match (&entry.kind, target) {
            (_, Some(target)) => self.hardlink(entry, &path, &target, &parent, &name),
            (EntryKind::Directory, None) => self.directory(entry, &path, &parent, &name),
            (EntryKind::Symlink(target), None) => self.symlink(entry, &path, target, &parent, &name),
            _ => self.file(entry, &path, &parent, &name, content),
        }
    }

    /// The directory an entry goes to; missing ones are made.
    fn parent(&mut self, entry: &Entry, path: &ImagePath) -> Result<Rc<OwnedFd>, Cause> {
        let dir = path.parent().unwrap_or_default();
        match self.root.parent_of(path) {
            Ok(handle) => Ok(handle),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.make_parents(entry, &dir)?;
                self.root.parent_of(path).map_err(|error| step("open the directory of", path, error))
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                Err(refuse(entry, "something above it is no directory"))
            }
            Err(error) if is_loop(&error) => Err(refuse(entry, "links above it lead in a circle")),
            Err(error) => Err(step("open the directory of", path, error)),
        }
    }

    fn make_parents(&mut self, entry: &Entry, dir: &ImagePath) -> Result<(), Cause> {
        let mut missing = vec![dir.clone()];
        while let Some(above) = missing.last().and_then(ImagePath::parent) {
            match self.root.directory(&above, Links::InRoot) {
                Ok(_) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound => missing.push(above),
                Err(error) => return Err(step("open", &above, error)),
            }
        }
        for dir in missing.into_iter().rev() {
            let parent =
                self.root.parent_of(&dir).map_err(|error| step("open the directory of", &dir, error))?;
            match rustix::fs::mkdirat(&*parent, c_name(dir.name()), Mode::from_raw_mode(0o700)) {
                Ok(()) => self.directories.imply(&dir),
                Err(Errno::EXIST) => return Err(refuse(entry, "a link above it leads nowhere")),
                Err(error) => return Err(step("make the directory", &dir, error)),
            }
        }
        Ok(())
    }

    fn directory(
        &mut self,
        entry: &Entry,
        path: &ImagePath,
        parent: &OwnedFd,
        name: &CString,
    ) -> Result<(), Cause> {
        match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700)) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                if kind_at(parent, name).map_err(|error| step("look at", path, error))? != FileType::Directory
                {
                    self.clear(path, parent, name)?;
                    rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o700))
                        .map_err(|error| step("make the directory", path, error))?;
                }
            }
            Err(error) => return Err(step("make the directory", path, error)),
        }
        self.directories.describe(path, meta_of(entry));
        Ok(())
    }

    fn file(
        &mut self,
        entry: &Entry,
        path: &ImagePath,
        parent: &OwnedFd,
        name: &CString,
        content: &mut Reader<Blocks>,
    ) -> Result<(), Cause> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let create = || rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600));
        let file = self.replacing(path, parent, name, "create", create)?;
        loop {
            let piece = content.fill_buf().map_err(TarError::from)?;
            if piece.is_empty() {
                break;
            }
            let n = rustix::io::write(&file, piece).map_err(|error| step("write", path, error))?;
            content.consume(n);
        }
        let mut mode = entry.meta.mode;
        if mode & SET_ID != 0 {
            match self.options.set_id {
                SetId::Keep => {}
                SetId::Strip => {
                    mode &= !SET_ID;
                    self.report.set_id_stripped += 1;
                }
                SetId::Refuse => return Err(refuse(entry, "it has a set-user-id or set-group-id bit")),
            }
        }
        self.metadata(&file, path, owner_of(entry), mode, &entry.meta.xattrs)?;
        rustix::fs::futimens(&file, &times(entry.meta.mtime, entry.nanoseconds))
            .map_err(|error| step("set the time of", path, error))
    }

    fn symlink(
        &mut self,
        entry: &Entry,
        path: &ImagePath,
        target: &[u8],
        parent: &OwnedFd,
        name: &CString,
    ) -> Result<(), Cause> {
        let target = c_name(target);
        self.replacing(path, parent, name, "make the link", || rustix::fs::symlinkat(&target, parent, name))?;
        self.report.xattrs_skipped += entry.meta.xattrs.len() as u64;
        if let Some((uid, gid)) = self.chown_to(owner_of(entry)) {
            rustix::fs::chownat(parent, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
                .map_err(|error| step("set the owner of", path, error))?;
        }
        let times = times(entry.meta.mtime, entry.nanoseconds);
        rustix::fs::utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| step("set the time of", path, error))
    }

    fn hardlink(
        &mut self,
        entry: &Entry,
        path: &ImagePath,
        target: &ImagePath,
        parent: &OwnedFd,
        name: &CString,
    ) -> Result<(), Cause> {
        let absent = |error: io::Error| {
            if is_gone(&error) {
                refuse(entry, "its target does not exist")
            } else {
                step("open", target, error)
            }
        };
        let dir = target.parent().unwrap_or_default();
        let dir = self.root.directory(&dir, Links::InRoot).map_err(absent)?;
        let target_name = c_name(target.name());
        if kind_at(&dir, &target_name).map_err(absent)? != FileType::RegularFile {
            return Err(refuse(entry, "its target is no file"));
        }
        self.replacing(path, parent, name, "link", || {
            rustix::fs::linkat(&dir, &target_name, parent, name, AtFlags::empty())
        })
    }

    fn hide(&mut self, entry: &Entry, path: &ImagePath) -> Result<(), Cause> {
        let dir = path.parent().unwrap_or_default();
        match self.lower(entry, &dir)? {
            Some(handle) => self.remove_lower(handle.as_fd(), &c_name(path.name()), path),
            None => Ok(()),
        }
    }

    fn clear_lower(&mut self, entry: &Entry, dir: &ImagePath) -> Result<(), Cause> {
        let Some(handle) = self.lower(entry, dir)? else { return Ok(()) };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let listed = rustix::fs::openat(&handle, ".", flags, Mode::empty())
            .map_err(|error| step("open", dir, error))?;
        for (name, _) in remove::children(&listed).map_err(|error| step("list", dir, error))? {
            self.remove_lower(handle.as_fd(), &name, &join(dir, name.to_bytes()))?;
        }
        Ok(())
    }

    /// The directory a whiteout works in; `None` when nothing of lower layers can be in it.
    fn lower(&mut self, entry: &Entry, dir: &ImagePath) -> Result<Option<OwnedFd>, Cause> {
        let handle = match self.root.directory(dir, Links::Never) {
            Ok(handle) => handle,
            Err(error) if is_loop(&error) => return Err(refuse(entry, "a whiteout behind a symbolic link")),
            Err(error) if is_gone(&error) => return Ok(None),
            Err(error) => return Err(step("open", dir, error)),
        };
        if self.lowest {
            return Ok(None);
        }
        self.root.forget();
        Ok(Some(handle))
    }

    /// Removes what lower layers have at a path; what this layer brought stays. Nothing there is no error.
    fn remove_lower(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &CString,
        path: &ImagePath,
    ) -> Result<(), Cause> {
        let kind = match kind_at(parent, name) {
            Ok(kind) => kind,
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) => return Err(step("look at", path, error)),
        };
        let brought = self.rules.brought(path);
        let fail = |error| step("remove", path, error);
        if kind == FileType::Directory && (brought || self.rules.brought_below(path)) {
            let dir = remove::open(parent, name).map_err(fail)?;
            for (child, _) in remove::children(&dir).map_err(fail)? {
                self.remove_lower(dir.as_fd(), &child, &join(path, child.to_bytes()))?;
            }
            return Ok(());
        }
        if !brought {
            remove::entry(parent, name).map_err(fail)?;
            self.directories.remove(path);
        }
        Ok(())
    }

    /// Makes something that must not exist; what lower layers have there is removed first.
    fn replacing<T>(
        &mut self,
        path: &ImagePath,
        parent: &OwnedFd,
        name: &CString,
        what: &'static str,
        make: impl Fn() -> rustix::io::Result<T>,
    ) -> Result<T, Cause> {
        match make() {
            Err(Errno::EXIST) => {
                self.clear(path, parent, name)?;
                make().map_err(|error| step(what, path, error))
            }
            result => result.map_err(|error| step(what, path, error)),
        }
    }

    fn clear(&mut self, path: &ImagePath, parent: &OwnedFd, name: &CString) -> Result<(), Cause> {
        if remove::entry(parent.as_fd(), name).map_err(|error| step("remove", path, error))? {
            self.root.forget();
            self.directories.remove(path);
        }
        Ok(())
    }

    /// Owner, then mode (changing the owner clears set-id bits), then attributes (changing it clears capabilities).
    fn metadata(
        &mut self,
        file: &OwnedFd,
        path: &ImagePath,
        owner: Owner,
        mode: u32,
        xattrs: &std::collections::BTreeMap<Vec<u8>, Vec<u8>>,
    ) -> Result<(), Cause> {
        if let Some((uid, gid)) = self.chown_to(owner) {
            rustix::fs::fchown(file, Some(uid), Some(gid))
                .map_err(|error| step("set the owner of", path, error))?;
        }
        rustix::fs::fchmod(file, Mode::from_raw_mode(mode))
            .map_err(|error| step("set the mode of", path, error))?;
        for (name, value) in xattrs {
            let possible = name.starts_with(b"user.")
                || name == b"security.capability"
                    && self.options.ids == Ids::Keep
                    && self.options.set_id == SetId::Keep;
            let result = if possible {
                rustix::fs::fsetxattr(file, c_name(name), value, XattrFlags::empty())
            } else {
                Err(Errno::PERM)
            };
            match result {
                Ok(()) => {}
                Err(Errno::PERM | Errno::OPNOTSUPP | Errno::ACCESS | Errno::INVAL) => {
                    self.report.xattrs_skipped += 1;
                }
                Err(error) => return Err(step("set an attribute of", path, error)),
            }
        }
        Ok(())
    }

    /// Whom to give something to; `None` when it already belongs to them.
    fn chown_to(&mut self, owner: Owner) -> Option<(Uid, Gid)> {
        match self.options.ids {
            // Made by root below directories without set-group-id, so it belongs to 0:0.
            Ids::Keep if owner == (Owner { uid: 0, gid: 0 }) => None,
            Ids::Keep => Some((Uid::from_raw(owner.uid), Gid::from_raw(owner.gid))),
            Ids::ToSelf => {
                self.report.owners_mapped += 1;
                None
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    uid: u32,
    gid: u32,
}

fn owner_of(entry: &Entry) -> Owner {
    Owner { uid: entry.meta.uid, gid: entry.meta.gid }
}

fn meta_of(entry: &Entry) -> Meta {
    Meta {
        // Set-id bits of directories make no program privileged, but nothing in an image needs them either.
        mode: entry.meta.mode & !SET_ID,
        uid: entry.meta.uid,
        gid: entry.meta.gid,
        mtime: entry.meta.mtime,
        nanoseconds: entry.nanoseconds,
        xattrs: entry.meta.xattrs.clone(),
    }
}

fn times(seconds: u64, nanoseconds: u32) -> Timestamps {
    let time =
        Timespec { tv_sec: i64::try_from(seconds).unwrap_or(i64::MAX), tv_nsec: i64::from(nanoseconds) };
    Timestamps { last_access: time, last_modification: time }
}

fn kind_at(dir: impl AsFd, name: &CString) -> io::Result<FileType> {
    let found = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(found.st_mode))
}

/// Names and targets were checked for NUL when they were read.
fn c_name(name: &[u8]) -> CString {
    CString::new(name).unwrap_or_default()
}

/// A name that the file system gave; it cannot be wrong.
fn join(dir: &ImagePath, name: &[u8]) -> ImagePath {
    dir.join(name).unwrap_or_default()
}

fn refuse(entry: &Entry, reason: &'static str) -> Cause {
    Cause::Refused { path: entry.name.to_vec(), reason }
}

fn step(step: &'static str, path: &ImagePath, error: impl Into<io::Error>) -> Cause {
    Cause::Step { step, path: path.clone(), source: error.into() }
}

fn is_loop(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) || is_loop(error)
}
