//! The only way to touch the tree that is being unpacked: names are resolved from one directory handle and stay below it.
//!
//! The kernel does this with `openat2` and `RESOLVE_IN_ROOT` (Linux 5.6): absolute links and `..` count from the root, as in
//! a chroot. Where the call is missing or filtered (some sandboxes), the same is done by opening each component with
//! `O_PATH | O_NOFOLLOW` and reading links from their own handles; no step depends on a name staying what it was.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::rc::Rc;

use pinfold_base::ImagePath;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::ResolveFlags;
use rustix::io::Errno;

/// Links followed for one name (Linux's limit).
const MAX_LINKS: usize = 40;
/// How often a resolution that raced with a rename is tried again.
const RETRIES: usize = 16;

/// Whether symbolic links in the directories of a name are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Links {
    /// Yes, inside the root.
    InRoot,
    /// They are an error (`ELOOP`).
    Never,
}

/// How names are resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resolver {
    /// By the kernel.
    Openat2,
    /// Component by component.
    Walk,
}

/// The directory that is being filled.
#[derive(Debug)]
pub(super) struct Root {
    handle: OwnedFd,
    resolver: Resolver,
    /// The directory used last: entries of a layer come in order, so most have the same one as their predecessor.
    last: Option<(ImagePath, Rc<OwnedFd>)>,
}

impl Root {
    /// Opens a directory as root.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::open(path, flags, Mode::empty())?;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let resolver =
            match rustix::fs::openat2(&handle, ".", OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve) {
                Ok(_) => Resolver::Openat2,
                Err(_) => Resolver::Walk,
            };
        Ok(Self { handle, resolver, last: None })
    }

    /// The same with a resolver of the caller's choice.
    #[cfg(test)]
    pub(super) fn with_resolver(path: &Path, resolver: Resolver) -> io::Result<Self> {
        Ok(Self { resolver, ..Self::open(path)? })
    }

    /// A handle (`O_PATH`) of a directory.
    pub(super) fn directory(&self, path: &ImagePath, links: Links) -> io::Result<OwnedFd> {
        self.resolve(path, OFlags::PATH | OFlags::DIRECTORY, links)
    }

    /// A handle of a directory whose metadata can be set; the directory itself is never a link.
    pub(super) fn open_directory(&self, path: &ImagePath) -> io::Result<OwnedFd> {
        self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW, Links::InRoot)
    }

    /// The directory that `path` stands in, links followed inside the root.
    pub(super) fn parent_of(&mut self, path: &ImagePath) -> io::Result<Rc<OwnedFd>> {
        let parent = path.parent().unwrap_or_default();
        if let Some((last, handle)) = &self.last
            && *last == parent
        {
            return Ok(Rc::clone(handle));
        }
        let handle = Rc::new(self.directory(&parent, Links::InRoot)?);
        self.last = Some((parent, Rc::clone(&handle)));
        Ok(handle)
    }

    /// To be called when a directory or link was removed, since its name may now mean something else.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }

    fn resolve(&self, path: &ImagePath, flags: OFlags, links: Links) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        match self.resolver {
            Resolver::Openat2 => {
                let mut how = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
                if links == Links::Never {
                    how |= ResolveFlags::NO_SYMLINKS;
                }
                let name = if path.is_root() { b"." } else { path.as_bytes() };
                let mut tries = 0;
                loop {
                    match rustix::fs::openat2(
                        &self.handle,
                        OsStr::from_bytes(name),
                        flags,
                        Mode::empty(),
                        how,
                    ) {
                        Err(Errno::AGAIN | Errno::INTR) if tries < RETRIES => tries += 1,
                        result => return Ok(result?),
                    }
                }
            }
            Resolver::Walk => self.walk(path, flags, links),
        }
    }

    fn walk(&self, path: &ImagePath, flags: OFlags, links: Links) -> io::Result<OwnedFd> {
        let step = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut above: Vec<OwnedFd> = Vec::new();
        let mut pending: VecDeque<Vec<u8>> = path.components().map(<[u8]>::to_vec).collect();
        let mut budget = MAX_LINKS;
        while let Some(name) = pending.pop_front() {
            if name == b".." {
                above.pop();
                continue;
            }
            let at = above.last().map_or(self.handle.as_fd(), AsFd::as_fd);
            let found = rustix::fs::openat(at, OsStr::from_bytes(&name), step, Mode::empty())?;
            match FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) {
                FileType::Directory => above.push(found),
                FileType::Symlink => {
                    let last = pending.is_empty() && flags.contains(OFlags::NOFOLLOW);
                    if links == Links::Never || last || budget == 0 {
                        return Err(Errno::LOOP.into());
                    }
                    budget -= 1;
                    let target = rustix::fs::readlinkat(&found, "", Vec::new())?.into_bytes();
                    if target.starts_with(b"/") {
                        above.clear();
                    }
                    let names = target.split(|&byte| byte == b'/');
                    for name in names.filter(|name| !matches!(*name, b"" | b".")).rev() {
                        pending.push_front(name.to_vec());
                    }
                }
                _ => return Err(Errno::NOTDIR.into()),
            }
        }
        // Opening `.` of a handle turns it into one with the wanted rights, without going through a name.
        let at: BorrowedFd<'_> = above.last().map_or(self.handle.as_fd(), AsFd::as_fd);
        Ok(rustix::fs::openat(at, ".", flags, Mode::empty())?)
    }
}
