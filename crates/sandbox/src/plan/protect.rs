//! Paths of the host that a sandbox neither changes nor makes although it may write around them: what the host runs by
//! itself, such as the hooks of a repository.
//!
//! ```text
//!   WORKSPACE/.git/hooks      there: bound on itself, read-only (`Keep`)
//!   WORKSPACE/.git            on the way: bound on itself (`Hold`), for rename(2) and rmdir(2) leave a mount point alone;
//!                             so is a directory that is left again by `..` on the way to what the host obeys
//!   WORKSPACE/.vscode         missing: the host gets a stand-in for the time of the run, covered inside (`Missing`)
//!   WORKSPACE/opencode.json   missing, and a stand-in would be in git's way: nothing; whoever starts it looks afterwards
//! ```
//!
//! A mount is the one thing that keeps a name in a directory that is written to, and it needs something to be on.
//!
//! **Guarantees**: protected is a path of the host, in every mount that shows it writable; what is mounted on is resolved
//! inside the sandbox's own root, so an exchange meanwhile leads nowhere else. **Refuses** symbolic links: their entry
//! cannot be held. What this user may not make is passed over, since the sandbox may not either; so is what lies below
//! a further mount, and what the user mounted by its own path.

use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::Access as May;
use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::RawDir;
use rustix::io::Errno;
use serde::Deserialize;
use serde::Serialize;

use super::MountKind;
use super::PlannedMount;
use super::check::clean;
use super::guards::Guards;
use super::refusal::Refusal;
use crate::spec::Access;
use crate::spec::Protected;
use crate::spec::StandIn;

/// Time of last change of a stand-in, in seconds since the epoch ("pinf"): by it another sandbox on the same directory, and
/// the next run after a crash, know one. Whoever changes it makes it their own.
pub(crate) const MARK: i64 = 0x7069_6e66;

/// The one text that stands in for something: a repository's own directory, where git asks which it shares.
const OWN: &[u8] = b".\n";

/// Something to be made on the host before the start and removed after the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStandIn {
    /// Where, on the host.
    pub path: PathBuf,
    /// What.
    pub kind: StandIn,
}

const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Adds the mounts that protect `paths`, and leave the directories `held` where they are, in all that `mounts` shows writable.
pub(super) fn add(
    paths: &[Protected],
    held: &[PathBuf],
    guards: &Guards,
    mounts: &mut Vec<PlannedMount>,
) -> Result<Vec<PlannedStandIn>, Refusal> {
    if !guards.protected_names.holds() {
        return Ok(Vec::new());
    }
    let kept = paths.iter().map(|one| Wanted {
        path: &one.path,
        missing: &one.missing,
        name: &one.name,
        held: false,
    });
    let held = held.iter().map(|path| Wanted { path, missing: &StandIn::Directory, name: "", held: true });
    // Outer paths before what is below them, and what is kept before it is held only.
    let mut sorted: Vec<Wanted<'_>> = kept.chain(held).collect();
    sorted.sort_by_key(|one| (one.path, one.held));
    let mut stand_ins = BTreeMap::new();
    let mut added = BTreeMap::new();
    for shown in mounts.iter().filter(|mount| mount.access == Access::ReadWrite) {
        let MountKind::Host(source) = &shown.kind else { continue };
        for wanted in &sorted {
            let path = clean("protected path", wanted.path)?;
            let Ok(below) = path.strip_prefix(source) else { continue };
            if below == Path::new("") || covered(mounts, shown, below) {
                continue;
            }
            let shown = Shown { source, target: &shown.target };
            shown.protect(below, wanted, guards, &mut added, &mut stand_ins)?;
        }
    }
    mounts.extend(added.into_iter().map(|(target, kind)| {
        let access = if matches!(kind, MountKind::Hold(_)) { Access::ReadWrite } else { Access::ReadOnly };
        PlannedMount::new(target, kind, access)
    }));
    Ok(stand_ins.into_iter().map(|(path, kind)| PlannedStandIn { path, kind }).collect())
}

/// A path that stays as it is, or only where it is.
struct Wanted<'a> {
    path: &'a Path,
    missing: &'a StandIn,
    name: &'a str,
    held: bool,
}

/// Whether another mount, inside of `shown`, shows something else at `below` or on the way there.
fn covered(mounts: &[PlannedMount], shown: &PlannedMount, below: &Path) -> bool {
    let target = shown.target.join(below);
    let others = mounts.iter().filter(|other| other.target != shown.target);
    let inner = others.filter(|other| other.target.starts_with(&shown.target));
    inner.into_iter().any(|other| target.starts_with(&other.target))
}

/// A directory of the host, and where it is seen.
struct Shown<'a> {
    source: &'a Path,
    target: &'a Path,
}

impl Shown<'_> {
    fn protect(
        &self,
        below: &Path,
        protected: &Wanted<'_>,
        guards: &Guards,
        added: &mut BTreeMap<PathBuf, MountKind>,
        stand_ins: &mut BTreeMap<PathBuf, StandIn>,
    ) -> Result<(), Refusal> {
        let host = self.source.join(below);
        let failed = |errno: Errno| Refusal::Protected { path: host.clone(), source: errno.into() };
        let mut at = rustix::fs::open(self.source, LOOK, Mode::empty()).map_err(failed)?;
        let mut walked = PathBuf::new();
        let mut names = below.components().peekable();
        while let Some(name) = names.next() {
            walked.push(name);
            let (host, target) = (self.source.join(&walked), self.target.join(&walked));
            if matches!(added.get(&target), Some(MountKind::Keep(_) | MountKind::Missing(_))) {
                // Nothing below it can be written to.
                return Ok(());
            }
            let last = names.peek().is_none();
            let wanted = if last { protected.missing } else { &StandIn::Directory };
            let next = match rustix::fs::openat(&at, name.as_os_str(), LOOK, Mode::empty()) {
                Ok(next) => next,
                Err(Errno::NOENT) => {
                    if !matches!(wanted, StandIn::Watched(_)) && may_write(&at) {
                        added.insert(target, MountKind::Missing(wanted.clone()));
                        stand_ins.insert(host, wanted.clone());
                    }
                    return Ok(());
                }
                // The source is a file, or a directory that nobody of this user's can enter.
                Err(Errno::NOTDIR | Errno::ACCESS) => return Ok(()),
                Err(errno) => return Err(failed(errno)),
            };
            let data = rustix::fs::fstat(&next).map_err(failed)?;
            let kind = FileType::from_raw_mode(data.st_mode);
            if kind == FileType::Symlink {
                let leads_to = fs_err::canonicalize(&host).unwrap_or_else(|_| host.clone());
                return Err(Refusal::ProtectedLink { path: host, leads_to, name: protected.name.to_owned() });
            }
            if let Some(found) = stand_in(&next, kind, &data, wanted) {
                // Another sandbox's, or left by a crash: ours too from now on.
                added.insert(target, MountKind::Missing(found.clone()));
                stand_ins.insert(host, found);
                return Ok(());
            }
            if (last && !protected.held) || kind != FileType::Directory {
                added.insert(target, MountKind::Keep(host));
                return Ok(());
            }
            if guards.held_parents.holds() {
                added.entry(target).or_insert(MountKind::Hold(host));
            }
            at = next;
        }
        Ok(())
    }
}

/// Which stand-in an opened path is, if it is one. The time alone, which anybody can set, makes nobody's directory one.
fn stand_in(found: &OwnedFd, kind: FileType, data: &rustix::fs::Stat, wanted: &StandIn) -> Option<StandIn> {
    if data.st_mtime != MARK {
        return None;
    }
    match (kind, wanted, data.st_size) {
        (FileType::Directory, ..) => is_empty(found).then_some(StandIn::Directory),
        (FileType::RegularFile, StandIn::Text(text), size) if usize::try_from(size) == Ok(text.len()) => {
            Some(wanted.clone())
        }
        (FileType::RegularFile, _, 0) => Some(StandIn::File),
        _ => None,
    }
}

/// Whether what `path` names below `parent` only stands in for something, for the time of some sandbox: nobody obeys what is in
/// it, whoever made it, since that is nothing or what git takes for granted.
pub fn is_stand_in(parent: impl AsFd, path: &Path) -> bool {
    let looked = rustix::fs::statat(&parent, path, AtFlags::SYMLINK_NOFOLLOW);
    let Some(data) = looked.ok().filter(|data| data.st_mtime == MARK) else { return false };
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let open = || rustix::fs::openat(&parent, path, flags, Mode::empty());
    match (FileType::from_raw_mode(data.st_mode), data.st_size) {
        (FileType::Directory, _) => open().is_ok_and(|found| is_empty(&found)),
        (FileType::RegularFile, 0) => true,
        (FileType::RegularFile, _) => open().is_ok_and(|found| {
            let mut bytes = [0; OWN.len() + 1];
            rustix::io::pread(&found, &mut bytes[..], 0).is_ok_and(|read| bytes[..read] == *OWN)
        }),
        _ => false,
    }
}

/// Whether a directory can be looked into and holds nothing.
pub(crate) fn is_empty(directory: &OwnedFd) -> bool {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(opened) = rustix::fs::openat(directory, ".", flags, Mode::empty()) else { return false };
    // A start asks this of some twenty directories: two entries fit in here, and one more says enough.
    let mut buffer = [MaybeUninit::uninit(); 512];
    let mut entries = RawDir::new(opened, &mut buffer);
    while let Some(entry) = entries.next() {
        if !entry.is_ok_and(|entry| matches!(entry.file_name().to_bytes(), b"." | b"..")) {
            return false;
        }
    }
    true
}

/// Whether this user, and with it the sandbox, can make names in a directory.
fn may_write(directory: &OwnedFd) -> bool {
    rustix::fs::accessat(directory, ".", May::WRITE_OK | May::EXEC_OK, AtFlags::EACCESS).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::guards::Guard;

    /// What is planned below `/w` for a directory of the host that holds `names` (a directory where the name ends in `/`).
    fn plan(
        names: &[&str],
        protect: &[&str],
        more: &[(&str, &str)],
    ) -> Result<(Vec<String>, Vec<String>), Refusal> {
        plan_held(names, protect, &[], more)
    }

    /// The same, with what is only held.
    fn plan_held(
        names: &[&str],
        protect: &[&str],
        held: &[&str],
        more: &[(&str, &str)],
    ) -> Result<(Vec<String>, Vec<String>), Refusal> {
        let dir = tempfile::tempdir().unwrap();
        let base = fs_err::canonicalize(dir.path()).unwrap();
        for name in names {
            match name.split_once(" -> ") {
                Some((name, to)) => std::os::unix::fs::symlink(to, base.join(name)).unwrap(),
                None if name.ends_with('/') => fs_err::create_dir_all(base.join(name)).unwrap(),
                None => fs_err::write(base.join(name), "x").unwrap(),
            }
        }
        let mount = |source: &str, target: &str| {
            let shown = MountKind::Host(if source.is_empty() { base.clone() } else { base.join(source) });
            PlannedMount::new(target, shown, Access::ReadWrite)
        };
        let mut mounts = vec![mount("", "/w")];
        mounts.extend(more.iter().map(|(source, target)| mount(source, target)));
        let before = mounts.len();
        let protect: Vec<Protected> =
            protect.iter().map(|name| Protected::new(base.join(name), StandIn::Directory)).collect();
        let held: Vec<PathBuf> = held.iter().map(|name| base.join(name)).collect();
        let stand_ins = add(&protect, &held, &Guards::default(), &mut mounts)?;
        let word = |mount: &PlannedMount| {
            let word = match mount.kind {
                MountKind::Hold(_) => "hold",
                MountKind::Keep(_) => "keep",
                MountKind::Missing(_) => "missing",
                _ => "other",
            };
            format!("{word} {}", mount.target.display())
        };
        let made = stand_ins.iter().map(|one| one.path.strip_prefix(&base).unwrap().display().to_string());
        Ok((mounts[before..].iter().map(word).collect(), made.collect()))
    }

    #[test]
    fn what_is_there_is_kept_what_leads_there_is_held_and_what_is_missing_is_stood_in_for() {
        for (names, protect, mounts, made) in [
            (&["a"][..], &["a"][..], &["keep /w/a"][..], &[][..]),
            (&["g/h/"], &["g/h"], &["hold /w/g", "keep /w/g/h"], &[]),
            (&["g/"], &["g/h"], &["hold /w/g", "missing /w/g/h"], &["g/h"]),
            // The first name that is missing is the one that must not appear.
            (&[], &["g/h", "g/i"], &["missing /w/g"], &["g"]),
            // Nothing below what is kept can be written to.
            (&["g/h/"], &["g/h", "g"], &["keep /w/g"], &[]),
            // A file where a directory is expected could be exchanged for one.
            (&["g"], &["g/h"], &["keep /w/g"], &[]),
        ] {
            let found = plan(names, protect, &[]).unwrap();
            assert_eq!((&found.0[..], &found.1[..]), (&owned(mounts)[..], &owned(made)[..]), "{protect:?}");
        }
    }

    /// Another directory in its place would lead `a/b/..` elsewhere; what is in it is everybody's.
    #[test]
    fn a_directory_that_is_held_stays_where_it_is_and_can_be_written_to() {
        for (names, protect, held, mounts, made) in [
            (&["a/b/"][..], &[][..], &["a", "a/b"][..], &["hold /w/a", "hold /w/a/b"][..], &[][..]),
            (&["a/"], &["a/c"], &["a"], &["hold /w/a", "missing /w/a/c"], &["a/c"]),
            // What is kept is held, in whichever order they are named.
            (&["a/b/"], &["a"], &["a", "a/b"], &["keep /w/a"], &[]),
            (&["a/"], &[], &["a/b/c", "x"], &["hold /w/a", "missing /w/a/b", "missing /w/x"], &["a/b", "x"]),
            // Through a file leads nothing, and through what is put in its place anything.
            (&["a"], &[], &["a"], &["keep /w/a"], &[]),
        ] {
            let found = plan_held(names, protect, held, &[]).unwrap();
            assert_eq!((&found.0[..], &found.1[..]), (&owned(mounts)[..], &owned(made)[..]), "{held:?}");
        }
        assert!(matches!(plan_held(&["a -> b"], &[], &["a"], &[]), Err(Refusal::ProtectedLink { .. })));
    }

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    /// A file that git would see has no stand-in unless it is asked for; once it is there it is kept like any other.
    #[test]
    fn what_is_watched_gets_no_stand_in_and_is_kept_once_it_is_there() {
        let watched = StandIn::Watched("somebody".into());
        for (there, missing, mounts, made) in [
            (false, &watched, 0, 0),
            (false, &StandIn::File, 1, 1),
            (true, &watched, 1, 0),
            (true, &StandIn::File, 1, 0),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let base = fs_err::canonicalize(dir.path()).unwrap();
            if there {
                fs_err::write(base.join("a.json"), "x").unwrap();
            }
            let shown = MountKind::Host(base.clone());
            let mut all = vec![PlannedMount::new("/w", shown, Access::ReadWrite)];
            let path = Protected::new(base.join("a.json"), missing.clone());
            let stand_ins = add(&[path], &[], &Guards::default(), &mut all).unwrap();
            assert_eq!((all.len() - 1, stand_ins.len()), (mounts, made), "{there} {missing:?}");
        }
    }

    #[test]
    fn a_directory_with_anything_in_it_is_no_stand_in() {
        let dir = tempfile::tempdir().unwrap();
        let base = fs_err::canonicalize(dir.path()).unwrap();
        for name in ["full/hooks", "empty"] {
            fs_err::create_dir_all(base.join(name)).unwrap();
        }
        let time = rustix::fs::Timespec { tv_sec: MARK, tv_nsec: 0 };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        for (name, expected) in [("full", None), ("empty", Some(StandIn::Directory))] {
            let path = base.join(name);
            rustix::fs::utimensat(rustix::fs::CWD, &path, &times, AtFlags::empty()).unwrap();
            let found = rustix::fs::open(&path, LOOK, Mode::empty()).unwrap();
            let data = rustix::fs::fstat(&found).unwrap();
            assert_eq!(stand_in(&found, FileType::Directory, &data, &StandIn::Directory), expected, "{name}");
        }
    }

    #[test]
    fn a_link_cannot_be_held() {
        for (names, protect) in [(["g -> elsewhere"], ["g"]), (["g -> ."], ["g/h"])] {
            assert!(matches!(plan(&names, &protect, &[]), Err(Refusal::ProtectedLink { .. })), "{names:?}");
        }
    }

    #[test]
    fn a_path_is_protected_wherever_it_is_shown() {
        let (mounts, made) = plan(&["g/h/"], &["g/h", "g/i"], &[("g", "/other")]).unwrap();
        let expected = ["keep /other/h", "missing /other/i", "hold /w/g", "keep /w/g/h", "missing /w/g/i"];
        assert_eq!(mounts, owned(&expected));
        assert_eq!(made, owned(&["g/i"]));
        // What the user mounts by its own path, and what lies below another mount, is another matter.
        let (mounts, _) = plan(&["g/h/"], &["g/h"], &[("g/h", "/other")]).unwrap();
        assert_eq!(mounts, owned(&["hold /w/g", "keep /w/g/h"]));
        let (mounts, _) = plan(&["g/h/", "x/"], &["g/h"], &[("x", "/w/g")]).unwrap();
        assert_eq!(mounts, owned(&[]));
    }

    #[test]
    fn without_the_guard_nothing_is_protected() {
        assert!(Guards::default().protected_names.holds());
        let down = crate::weaken::guards(&[crate::weaken::Weaken::UnprotectedNames].into());
        assert_ne!(down.protected_names, Guard::Up);
        let mut mounts = Vec::new();
        let path = Protected::new("/a", StandIn::Directory);
        assert!(add(&[path], &[], &down, &mut mounts).unwrap().is_empty() && mounts.is_empty());
    }
}
