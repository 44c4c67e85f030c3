//! Stand-ins on the host, in the place of protected paths that are missing: made before the sandbox starts, gone after it.
//!
//! ```text
//!   sandboxes/NAME/stand-ins.json    which, written before the first is made
//!   each of them                     locked (flock, shared) by every sandbox that has a mount on it
//! ```
//!
//! The mount inside ends when its place on the host is removed, so whoever ends removes a stand-in only when nobody else
//! has it locked: the last one does. The kernel lets go of the locks of a supervisor that was killed; what it made is then
//! removed by whoever starts, lists or removes next, from the record. So is what could not be taken away at the end: of a
//! directory that was closed from inside (`chmod 555 .`) nothing is kept waiting, it is opened for the moment ([`Way`]).
//!
//! Directories are kept for the next run instead of being removed, where they can be ([`Spare`]).
//!
//! **Guarantees**: no data is removed. What goes has the time it was made with ([`MARK`]): a directory by rmdir(2), which takes
//! empty ones only, a file only with its text, and after it was put aside under a name that nobody can know. What the user has
//! put there meanwhile is the user's and stays, an empty directory too. What cannot be removed now stays in the record.

use std::ffi::OsStr;
use std::hash::BuildHasher as _;
use std::hash::Hasher as _;
use std::hash::RandomState;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use rustix::fs::Access;
use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::FlockOperation;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::RenameFlags;
use rustix::fs::ResolveFlags;
use rustix::fs::Timespec;
use rustix::fs::Timestamps;
use rustix::io::Errno;

use super::spare;
use super::spare::Spare;
use crate::error::SandboxError;
use crate::plan::MARK;
use crate::plan::PlannedStandIn;
use crate::spec::StandIn;

/// Name of the record in a sandbox's folder.
const RECORD: &str = "stand-ins.json";

/// How often a stand-in that is being removed by another sandbox is tried again.
const TRIES: u32 = 100;
/// How long stand-ins of a sandbox whose supervisor is gone may still be locked before another sandbox is taken to have them.
/// A supervisor that was killed between fork(2) and execve(2) has left its locks to the child, which keeps them until it
/// executes.
const HANDED_DOWN: Duration = Duration::from_millis(500);

/// Stand-ins that this sandbox has mounts on. Dropping it removes those that nobody else has.
#[derive(Debug)]
pub(crate) struct StandIns {
    folder: PathBuf,
    locks: Vec<(PlannedStandIn, OwnedFd)>,
    spare: Spare,
    /// Whether the record names what an earlier sandbox could not remove.
    older: bool,
}

impl StandIns {
    /// Writes down what is planned, makes what is not there, and locks all of it.
    pub(crate) fn make(folder: &Path, planned: &[PlannedStandIn]) -> Result<Self, SandboxError> {
        let record = folder.join(RECORD);
        let mut all = planned.to_vec();
        let kept: Vec<PlannedStandIn> = fs_err::read(&record)
            .ok()
            .and_then(|json| serde_json::from_slice(&json).ok())
            .unwrap_or_default();
        all.extend(kept.into_iter().filter(|one| !planned.contains(one)));
        let older = all.len() > planned.len();
        let mut made = Self { folder: folder.to_owned(), locks: Vec::new(), spare: Spare::default(), older };
        if planned.is_empty() {
            return Ok(made);
        }
        made.spare = Spare::beside(folder);
        let json = serde_json::to_vec(&all)
            .map_err(|error| SandboxError::Damaged { path: record.clone(), problem: error.to_string() })?;
        let part = record.with_extension("part");
        fs_err::write(&part, json)
            .and_then(|()| fs_err::rename(&part, &record))
            .map_err(SandboxError::file("write", &record))?;
        for one in planned {
            let lock = one.make(&made.spare).map_err(|errno| {
                SandboxError::file("keep the place of", &one.path)(io::Error::from(errno))
            })?;
            made.locks.push((one.clone(), lock));
        }
        Ok(made)
    }
}

impl Drop for StandIns {
    fn drop(&mut self) {
        let mut left = false;
        for (one, lock) in self.locks.drain(..).rev() {
            // Of several sandboxes that have it, the last one removes it.
            left |= !matches!(one.remove(&lock, &self.spare), Ok(()) | Err(Errno::WOULDBLOCK));
        }
        // What could not be removed is tried again by who comes next.
        if self.older {
            let _ = clear(&self.folder);
        } else if !left {
            let _ = fs_err::remove_file(self.folder.join(RECORD));
        }
    }
}

/// Removes what the record in `folder` names and nobody has locked. What may not be removed now is returned, the first of it,
/// and the record is kept.
pub(crate) fn clear(folder: &Path) -> Result<Option<PathBuf>, SandboxError> {
    let record = folder.join(RECORD);
    let Ok(json) = fs_err::read(&record) else { return Ok(None) };
    let planned: Vec<PlannedStandIn> = serde_json::from_slice(&json)
        .map_err(|error| SandboxError::Damaged { path: record.clone(), problem: error.to_string() })?;
    let patience = Instant::now() + HANDED_DOWN;
    let none = Spare::default();
    let mut stays = None;
    for one in planned.iter().rev() {
        loop {
            match one.reach_and_remove(&none) {
                Err(Errno::WOULDBLOCK) if Instant::now() < patience => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Ok(()) => break,
                Err(errno) if is_settled(errno) => break,
                // An agent can close the directory around it, and the user can open it again.
                Err(Errno::ACCESS | Errno::PERM | Errno::ROFS) => {
                    stays.get_or_insert_with(|| one.path.clone());
                    break;
                }
                Err(errno) => return Err(SandboxError::file("remove", &one.path)(errno.into())),
            }
        }
    }
    if stays.is_none() {
        fs_err::remove_file(&record).map_err(SandboxError::file("remove", record))?;
    }
    Ok(stays)
}

/// Whether any are recorded in a sandbox's folder.
pub(crate) fn are_recorded(folder: &Path) -> bool {
    folder.join(RECORD).exists()
}

/// Gone, somebody's own by now, another sandbox's, or with nothing of ours in its place.
fn is_settled(errno: Errno) -> bool {
    matches!(errno, Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO | Errno::WOULDBLOCK)
}

impl PlannedStandIn {
    fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    /// The directory it is in, reached through no link.
    fn parent(&self) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = self.path.parent().unwrap_or(Path::new("/"));
        rustix::fs::openat2(rustix::fs::CWD, parent, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS)
    }

    fn open(&self, parent: &OwnedFd) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let kind = if self.kind == StandIn::Directory { OFlags::DIRECTORY } else { OFlags::empty() };
        rustix::fs::openat(parent, self.name(), flags | kind, Mode::empty())
    }

    fn text(&self) -> &[u8] {
        match &self.kind {
            StandIn::Text(text) => text.as_bytes(),
            _ => b"",
        }
    }

    /// Makes it, or takes the one of another sandbox, and locks it.
    fn make(&self, spare: &Spare) -> rustix::io::Result<OwnedFd> {
        let parent = self.parent()?;
        for _ in 0..TRIES {
            match self.create(&parent, spare) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
            let found = match self.open(&parent) {
                // Removed in this moment.
                Err(Errno::NOENT) => continue,
                result => result?,
            };
            if !self.is_one(&found)? {
                return Err(Errno::EXIST);
            }
            match rustix::fs::flock(&found, FlockOperation::NonBlockingLockShared) {
                Ok(()) if self.is_there(&parent, &found)? => return Ok(found),
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(2)),
                // A file system without locks: nobody else can be told of it.
                Err(Errno::NOLCK | Errno::OPNOTSUPP | Errno::BADF | Errno::NOSYS) => return Ok(found),
                Err(errno) => return Err(errno),
            }
        }
        Err(Errno::BUSY)
    }

    fn create(&self, parent: &OwnedFd, spare: &Spare) -> rustix::io::Result<()> {
        let time = Timespec { tv_sec: MARK, tv_nsec: 0 };
        let times = Timestamps { last_access: time, last_modification: time };
        if self.kind == StandIn::Directory {
            if spare.take(parent, &self.path)? {
                return Ok(());
            }
            let (part, mode) = (part(self.name()), Mode::from_raw_mode(spare::MODE));
            rustix::fs::mkdirat(parent, &part, mode)?;
            let made =
                rustix::fs::utimensat(parent, &part, &times, AtFlags::SYMLINK_NOFOLLOW).and_then(|()| {
                    rustix::fs::renameat_with(parent, &part, parent, self.name(), RenameFlags::NOREPLACE)
                });
            if made.is_err() {
                let _ = rustix::fs::unlinkat(parent, &part, AtFlags::REMOVEDIR);
            }
            return made;
        }
        // Under another name first: a stand-in is whole or absent.
        let part = part(self.name());
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(parent, &part, flags, Mode::from_raw_mode(0o644))?;
        let written =
            write_all(&file, self.text()).and_then(|()| rustix::fs::futimens(&file, &times)).and_then(|()| {
                rustix::fs::renameat_with(parent, &part, parent, self.name(), RenameFlags::NOREPLACE)
            });
        if written.is_err() {
            let _ = rustix::fs::unlinkat(parent, &part, AtFlags::empty());
        }
        written
    }

    /// Whether an open file is a stand-in of this kind as it was made.
    fn is_one(&self, found: &OwnedFd) -> rustix::io::Result<bool> {
        let data = rustix::fs::fstat(found)?;
        let kind = FileType::from_raw_mode(data.st_mode);
        if self.kind == StandIn::Directory {
            return Ok(kind == FileType::Directory && data.st_mtime == MARK && crate::plan::is_empty(found));
        }
        if kind != FileType::RegularFile || data.st_mtime != MARK {
            return Ok(false);
        }
        let mut bytes = vec![0; self.text().len() + 1];
        let read = rustix::io::pread(found, &mut bytes, 0)?;
        Ok(bytes[..read] == *self.text())
    }

    /// Whether the name still leads to the open file.
    fn is_there(&self, parent: &OwnedFd, found: &OwnedFd) -> rustix::io::Result<bool> {
        let (open, named) = (rustix::fs::fstat(found)?, at(parent, self.name()));
        Ok(named.is_ok_and(|named| (named.st_dev, named.st_ino) == (open.st_dev, open.st_ino)))
    }

    /// Removes it, unless somebody has made it their own; `WOULDBLOCK` when another sandbox has it.
    fn remove(&self, lock: &OwnedFd, spare: &Spare) -> rustix::io::Result<()> {
        // Any other answer is that of a file system without locks, or without exclusive ones for who cannot write.
        if rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
            return Err(Errno::WOULDBLOCK);
        }
        if !self.is_one(lock)? {
            return Ok(());
        }
        match self.parent().and_then(|parent| self.take_away(&parent, lock, spare)) {
            Err(Errno::ACCESS | Errno::PERM) => {
                let way = Way::open(&self.path)?;
                self.take_away(&way.parent, lock, spare)
            }
            result => result,
        }
    }

    /// The same of one that nobody has opened yet.
    fn reach_and_remove(&self, spare: &Spare) -> rustix::io::Result<()> {
        let reached = self.parent().and_then(|parent| self.open(&parent));
        let lock = match reached {
            Err(Errno::ACCESS | Errno::PERM) => self.open(&Way::open(&self.path)?.parent)?,
            result => result?,
        };
        self.remove(&lock, spare)
    }

    /// Takes it out of the directory it is in.
    fn take_away(&self, parent: &OwnedFd, lock: &OwnedFd, spare: &Spare) -> rustix::io::Result<()> {
        if !self.is_there(parent, lock)? {
            return Ok(());
        }
        if self.kind == StandIn::Directory {
            if spare.keep(parent, &self.path, lock) {
                return Ok(());
            }
            return match rustix::fs::unlinkat(parent, self.name(), AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOTEMPTY | Errno::EXIST | Errno::NOENT) => Ok(()),
                Err(errno) => Err(errno),
            };
        }
        let part = part(self.name());
        rustix::fs::renameat_with(parent, self.name(), parent, &part, RenameFlags::NOREPLACE)?;
        let aside = at(parent, OsStr::new(&part))?;
        let open = rustix::fs::fstat(lock)?;
        if (aside.st_dev, aside.st_ino) == (open.st_dev, open.st_ino) && self.is_one(lock)? {
            return rustix::fs::unlinkat(parent, &part, AtFlags::empty());
        }
        // Somebody's own after all.
        rustix::fs::renameat_with(parent, &part, parent, self.name(), RenameFlags::NOREPLACE)
    }
}

/// The directory of a stand-in, with all that was closed on the way there opened for as long as this lives: what an agent may
/// do to its workspace's mode, its user may undo. Afterwards each has the mode that it was given.
struct Way {
    parent: OwnedFd,
    opened: Vec<(OwnedFd, Mode)>,
}

impl Way {
    fn open(path: &Path) -> rustix::io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let parent = rustix::fs::open("/", flags, Mode::empty())?;
        let mut way = Self { parent, opened: Vec::new() };
        for part in path.parent().unwrap_or(path).components().filter(|part| *part != Component::RootDir) {
            let next = match rustix::fs::openat(&way.parent, part.as_os_str(), flags, Mode::empty()) {
                Err(Errno::ACCESS) => {
                    way.loosen()?;
                    rustix::fs::openat(&way.parent, part.as_os_str(), flags, Mode::empty())
                }
                result => result,
            };
            way.parent = next?;
        }
        way.loosen()?;
        Ok(way)
    }

    /// Lets this user do everything in the directory it has come to, if it is the user's and that is not so.
    fn loosen(&mut self) -> rustix::io::Result<()> {
        let all = Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK;
        if rustix::fs::accessat(&self.parent, ".", all, AtFlags::EACCESS).is_ok() {
            return Ok(());
        }
        let mode = Mode::from_raw_mode(rustix::fs::fstat(&self.parent)?.st_mode);
        // By its descriptor, which was opened without rights.
        rustix::fs::chmod(format!("/proc/self/fd/{}", self.parent.as_raw_fd()), mode | Mode::RWXU)?;
        self.opened.push((self.parent.try_clone().map_err(|_| Errno::MFILE)?, mode));
        Ok(())
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        // Inner ones first: they are reached by their descriptors.
        for (directory, mode) in self.opened.drain(..).rev() {
            let _ = rustix::fs::chmod(format!("/proc/self/fd/{}", directory.as_raw_fd()), mode);
        }
    }
}

fn at(parent: impl AsFd, name: &OsStr) -> rustix::io::Result<rustix::fs::Stat> {
    rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
}

/// A name beside `name` that nobody else has, and that nobody can take before: who writes there may be an agent.
fn part(name: &OsStr) -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{}.pinfold-{:016x}{:016x}", name.to_string_lossy(), random(), random())
}

fn write_all(file: impl AsFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(&file, bytes) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        dir: tempfile::TempDir,
        planned: Vec<PlannedStandIn>,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let base = fs_err::canonicalize(dir.path()).unwrap();
            for name in ["sandboxes/a", "sandboxes/b", "work"] {
                fs_err::create_dir_all(base.join(name)).unwrap();
            }
            let one = |name: &str, kind| PlannedStandIn { path: base.join("work").join(name), kind };
            let planned = vec![
                one("directory", StandIn::Directory),
                one("file", StandIn::File),
                one("text", StandIn::Text(".\n".into())),
            ];
            Self { dir, planned }
        }

        fn make(&self, folder: &str) -> StandIns {
            StandIns::make(&self.folder(folder), &self.planned).unwrap()
        }

        fn folder(&self, name: &str) -> PathBuf {
            self.dir.path().join("sandboxes").join(name)
        }

        fn there(&self) -> Vec<String> {
            let entries = fs_err::read_dir(self.dir.path().join("work")).unwrap();
            let mut names: Vec<_> =
                entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    #[test]
    fn they_are_there_for_the_run_and_gone_after_it() {
        let place = Place::new();
        let made = place.make("a");
        assert_eq!(place.there(), ["directory", "file", "text"]);
        assert_eq!(fs_err::read_to_string(place.dir.path().join("work/text")).unwrap(), ".\n");
        drop(made);
        assert!(place.there().is_empty());
        assert!(!place.folder("a").join(RECORD).exists());
    }

    #[test]
    fn the_last_of_two_sandboxes_removes_them() {
        let place = Place::new();
        let (first, second) = (place.make("a"), place.make("b"));
        drop(first);
        assert_eq!(place.there().len(), 3, "the second has mounts on them");
        drop(second);
        assert!(place.there().is_empty());
    }

    #[test]
    fn what_a_killed_supervisor_left_is_cleared_from_its_record() {
        let place = Place::new();
        let folder = place.folder("a");
        let mut killed = place.make("a");
        // Its locks go with it; nothing else does.
        killed.locks.clear();
        killed.folder = place.dir.path().join("nowhere");
        drop(killed);
        assert_eq!(place.there().len(), 3);
        let other = place.make("b");
        clear(&folder).unwrap();
        assert_eq!(place.there().len(), 3, "another sandbox has them");
        drop(other);
        assert!(place.there().is_empty());
        clear(&folder).unwrap();
    }

    #[test]
    fn locks_that_a_killed_supervisor_left_to_a_child_are_waited_for() {
        let place = Place::new();
        let folder = place.folder("a");
        let mut killed = place.make("a");
        let handed_down: Vec<_> = killed.locks.drain(..).collect();
        killed.folder = place.dir.path().join("nowhere");
        drop(killed);
        let executes = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            drop(handed_down);
        });
        clear(&folder).unwrap();
        assert!(place.there().is_empty());
        executes.join().unwrap();
    }

    #[test]
    fn what_the_user_put_there_stays() {
        let place = Place::new();
        let work = place.dir.path().join("work");
        let made = place.make("a");
        fs_err::write(work.join("directory/settings"), "mine").unwrap();
        fs_err::write(work.join("file"), "mine").unwrap();
        fs_err::remove_file(work.join("text")).unwrap();
        fs_err::write(work.join("text"), ".\n").unwrap();
        drop(made);
        assert_eq!(place.there(), ["directory", "file", "text"]);
        assert_eq!(fs_err::read_to_string(work.join("file")).unwrap(), "mine");
    }

    #[test]
    fn an_empty_directory_that_the_user_made_stays() {
        let place = Place::new();
        let mut killed = place.make("a");
        killed.locks.clear();
        killed.folder = place.dir.path().join("nowhere");
        drop(killed);
        let path = place.dir.path().join("work/directory");
        fs_err::remove_dir(&path).unwrap();
        fs_err::create_dir(&path).unwrap();
        assert_eq!(clear(&place.folder("a")).unwrap(), None);
        // The others, which are as they were made, are gone.
        assert_eq!(place.there(), ["directory"]);
        // It is nobody's stand-in from then on.
        assert!(StandIns::make(&place.folder("b"), &place.planned).is_err());
        assert_eq!(place.there(), ["directory"]);
    }

    #[test]
    fn what_may_not_be_removed_is_kept_in_the_record() {
        for (errno, settled) in [
            (Errno::NOENT, true),
            (Errno::WOULDBLOCK, true),
            (Errno::ACCESS, false),
            (Errno::PERM, false),
            (Errno::ROFS, false),
        ] {
            assert_eq!(is_settled(errno), settled, "{errno}");
        }
    }

    /// An agent can close the directory around them. It stays closed, and they go, at the end and when who comes next clears.
    #[test]
    fn a_closed_directory_is_opened_for_the_moment() {
        use std::os::unix::fs::PermissionsExt as _;
        for (mode, killed) in [(0o555, false), (0o555, true), (0o000, false), (0o000, true), (0o311, false)] {
            let mut place = Place::new();
            let deep = place.dir.path().join("work/deep");
            fs_err::create_dir(&deep).unwrap();
            place.planned.push(PlannedStandIn { path: deep.join("hooks"), kind: StandIn::Directory });
            let mut made = place.make("a");
            if killed {
                made.locks.clear();
                made.folder = place.dir.path().join("nowhere");
            }
            let work = place.dir.path().join("work");
            let set = |path: &Path, mode| {
                fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
            };
            set(&deep, mode);
            set(&work, mode);
            drop(made);
            if killed {
                assert_eq!(clear(&place.folder("a")).unwrap(), None);
            }
            assert!(!are_recorded(&place.folder("a")));
            assert_eq!(
                fs_err::metadata(&work).unwrap().permissions().mode() & 0o7777,
                mode,
                "{mode:o} {killed}"
            );
            set(&work, 0o755);
            assert_eq!(
                fs_err::metadata(&deep).unwrap().permissions().mode() & 0o7777,
                mode,
                "{mode:o} {killed}"
            );
            set(&deep, 0o755);
            assert_eq!(place.there(), ["deep"], "{mode:o} {killed}");
            assert!(!deep.join("hooks").exists());
        }
    }

    #[test]
    fn a_name_beside_a_stand_in_cannot_be_taken_before() {
        assert_ne!(part(OsStr::new("a")), part(OsStr::new("a")));
        let place = Place::new();
        let taken = format!("text.pinfold-{}", std::process::id());
        fs_err::write(place.dir.path().join("work").join(&taken), "").unwrap();
        let made = place.make("a");
        assert_eq!(place.there(), ["directory", "file", "text", taken.as_str()]);
        drop(made);
        assert_eq!(place.there(), [taken]);
    }

    #[test]
    fn what_is_there_already_is_nobodys_stand_in() {
        let place = Place::new();
        let work = place.dir.path().join("work");
        fs_err::write(work.join("file"), "mine").unwrap();
        assert!(StandIns::make(&place.folder("a"), &place.planned).is_err());
        assert_eq!(fs_err::read_to_string(work.join("file")).unwrap(), "mine");
        assert_eq!(place.there(), ["file"], "what was made before is removed");
        // A link in its place is not followed.
        fs_err::remove_file(work.join("file")).unwrap();
        std::os::unix::fs::symlink("/etc", work.join("directory")).unwrap();
        assert!(StandIns::make(&place.folder("a"), &place.planned).is_err());
    }

    /// The inode of the stand-in that is a directory.
    fn inode(place: &Place) -> u64 {
        std::os::unix::fs::MetadataExt::ino(
            &fs_err::metadata(place.dir.path().join("work/directory")).unwrap(),
        )
    }

    /// What is kept, by name.
    fn kept(place: &Place) -> Vec<PathBuf> {
        let entries = fs_err::read_dir(place.dir.path().join("stand-ins")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn a_directory_comes_back_to_its_own_place_and_to_no_other() {
        let mut place = Place::new();
        let made = place.make("a");
        let first = inode(&place);
        drop(made);
        assert!(place.there().is_empty());
        assert_eq!(kept(&place).len(), 1);
        let made = place.make("b");
        assert_eq!((inode(&place), kept(&place).len()), (first, 0));
        drop(made);
        // Whoever has it open would reach another place by it.
        let other = place.dir.path().join("work").join("other");
        place.planned[0].path = fs_err::canonicalize(other.parent().unwrap()).unwrap().join("other");
        let made = place.make("a");
        let now = std::os::unix::fs::MetadataExt::ino(&fs_err::metadata(&other).unwrap());
        assert_ne!(now, first);
        drop(made);
        assert_eq!(kept(&place).len(), 2);
        // Another workspace at the same path.
        let work = place.dir.path().join("work");
        fs_err::rename(&work, place.dir.path().join("before")).unwrap();
        fs_err::create_dir(&work).unwrap();
        let made = place.make("b");
        assert_eq!(kept(&place).len(), 2, "neither is used");
        drop(made);
        assert_eq!(kept(&place).len(), 3);
    }

    #[test]
    fn only_what_is_empty_and_as_it_was_made_is_kept_or_used() {
        use std::os::unix::fs::PermissionsExt as _;
        let marked = |path: &Path| {
            let time = Timespec { tv_sec: MARK, tv_nsec: 0 };
            let times = Timestamps { last_access: time, last_modification: time };
            rustix::fs::utimensat(rustix::fs::CWD, path, &times, AtFlags::empty()).unwrap();
        };
        // Changed while it stands in the workspace.
        for (change, stays) in [
            (
                &(|path: &Path| {
                    fs_err::write(path.join("settings"), "mine").unwrap();
                    marked(path);
                }) as &dyn Fn(&Path),
                true,
            ),
            (
                &|path: &Path| fs_err::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap(),
                false,
            ),
        ] {
            let place = Place::new();
            let made = place.make("a");
            let path = place.dir.path().join("work/directory");
            change(&path);
            drop(made);
            assert_eq!((path.exists(), kept(&place).len()), (stays, 0));
        }
        // Changed by who had it open, while it is kept.
        let place = Place::new();
        drop(place.make("a"));
        let path = kept(&place).remove(0);
        let first = std::os::unix::fs::MetadataExt::ino(&fs_err::metadata(&path).unwrap());
        fs_err::write(path.join("settings"), "planted").unwrap();
        marked(&path);
        let made = place.make("b");
        assert_ne!(inode(&place), first);
        assert_eq!(fs_err::read_dir(place.dir.path().join("work/directory")).unwrap().count(), 0);
        drop(made);
        assert!(place.there().is_empty());
        assert!(path.join("settings").exists(), "nothing that holds anything is removed");
    }
}
