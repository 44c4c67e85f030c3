//! Copying what is in one directory into another.
//!
//! Links are copied as links and never followed; devices, sockets and FIFOs are left out; set-id bits are dropped. A copy is no
//! second name (hard link) of a file: whoever changes one leaves the other as it is.

use std::io;
use std::path::Path;

use rustix::fs::AtFlags;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Stat;
use rustix::fs::Timespec;
use rustix::fs::Timestamps;
use rustix::io::Errno;

use super::Entry;
use super::Mounts;
use super::Next;
use super::Seen;
use super::Trail;
use super::walk;

/// How files and directories are opened.
const READ: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// What a copy has of its original beside the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// Its mode, and whoever owns the copy may change it and what is in it.
    Changeable,
    /// Its mode and its time.
    Exact,
}

/// Copies what is in `from` into `to`, a directory that is there, at any depth. What is there already is left as it is.
pub fn copy(from: &Path, to: &Path, likeness: Likeness) -> io::Result<()> {
    let open = |path: &Path| rustix::fs::open(path, OFlags::DIRECTORY | READ, Mode::empty());
    let mut target = Trail::begin(open(to)?)?;
    let mut entered = Vec::new();
    walk(open(from)?, Mounts::Cross, |seen| {
        match seen {
            Seen::Entry(entry) => {
                one(&entry, &target, likeness).map_err(|error| named(entry.path, &error))?;
            }
            Seen::Entering(entry) => {
                entered.push(stat(&entry).map_err(|errno| named(entry.path, &errno.into()))?);
                target.enter(entry.name).map_err(|error| named(entry.path, &error))?;
            }
            Seen::Leaving(_) => {
                if let Some(original) = entered.pop() {
                    match likeness {
                        Likeness::Changeable => {
                            rustix::fs::fchmod(target.here(), mode(&original) | Mode::RWXU)?;
                        }
                        Likeness::Exact => {
                            rustix::fs::fchmod(target.here(), mode(&original))?;
                            rustix::fs::futimens(target.here(), &times(&original))?;
                        }
                    }
                }
                target.leave()?;
            }
            Seen::Unreadable(entry, errno) => return Err(named(entry.path, &errno.into())),
        }
        Ok(Next::On)
    })
}

/// Copies a file or a link, or makes a directory. What was copied before is left as it is.
fn one(entry: &Entry<'_>, target: &Trail, likeness: Likeness) -> io::Result<()> {
    let to = target.here();
    let made = match entry.kind {
        FileType::Directory => rustix::fs::mkdirat(to, entry.name, Mode::RWXU),
        FileType::Symlink => rustix::fs::readlinkat(entry.parent, entry.name, Vec::new())
            .and_then(|link| rustix::fs::symlinkat(&*link, to, entry.name))
            .and_then(|()| match likeness {
                Likeness::Changeable => Ok(()),
                Likeness::Exact => {
                    let times = times(&stat(entry)?);
                    rustix::fs::utimensat(to, entry.name, &times, AtFlags::SYMLINK_NOFOLLOW)
                }
            }),
        FileType::RegularFile => {
            let source =
                rustix::fs::openat(entry.parent, entry.name, READ | OFlags::NONBLOCK, Mode::empty())?;
            let original = rustix::fs::fstat(&source)?;
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            match rustix::fs::openat(to, entry.name, flags, Mode::RUSR | Mode::WUSR) {
                Ok(copy) => {
                    let [source, copy] =
                        [source, copy].map(|fd| fs_err::File::from_parts(fd.into(), entry.path));
                    io::copy(&mut source.file(), &mut copy.file())?;
                    match likeness {
                        Likeness::Changeable => {
                            rustix::fs::fchmod(&copy, mode(&original) | Mode::RUSR | Mode::WUSR)
                        }
                        Likeness::Exact => rustix::fs::fchmod(&copy, mode(&original))
                            .and_then(|()| rustix::fs::futimens(&copy, &times(&original))),
                    }
                }
                Err(errno) => Err(errno),
            }
        }
        _ => Ok(()),
    };
    match made {
        Err(Errno::EXIST) => Ok(()),
        result => Ok(result?),
    }
}

fn stat(entry: &Entry<'_>) -> rustix::io::Result<Stat> {
    rustix::fs::statat(entry.parent, entry.name, AtFlags::SYMLINK_NOFOLLOW)
}

fn mode(original: &Stat) -> Mode {
    Mode::from_raw_mode(original.st_mode & 0o777)
}

fn times(original: &Stat) -> Timestamps {
    let time = Timespec {
        tv_sec: original.st_mtime,
        // Nanoseconds are below 10⁹.
        tv_nsec: i64::try_from(original.st_mtime_nsec).unwrap_or_default(),
    };
    Timestamps { last_access: time, last_modification: time }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::fs::symlink;

    use super::*;

    /// As a store path of Nix is: nothing may be written to, and the time is 1.
    #[test]
    fn an_exact_copy_has_modes_and_times_and_is_no_second_name() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs_err::create_dir_all(from.join("a/bin")).unwrap();
        fs_err::create_dir(&to).unwrap();
        fs_err::write(from.join("a/bin/run"), "text").unwrap();
        symlink("run", from.join("a/bin/link")).unwrap();
        let set = |name: &str, mode: u32| {
            let path = from.join(name);
            fs_err::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let one = Timespec { tv_sec: 1, tv_nsec: 0 };
            let times = Timestamps { last_access: one, last_modification: one };
            rustix::fs::utimensat(rustix::fs::CWD, &path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        };
        let one = Timespec { tv_sec: 1, tv_nsec: 0 };
        let times = Timestamps { last_access: one, last_modification: one };
        rustix::fs::utimensat(rustix::fs::CWD, from.join("a/bin/link"), &times, AtFlags::SYMLINK_NOFOLLOW)
            .unwrap();
        for (name, mode) in [("a/bin/run", 0o4555), ("a/bin", 0o555), ("a", 0o555)] {
            set(name, mode);
        }
        copy(&from, &to, Likeness::Exact).unwrap();
        for (name, mode) in [("a/bin/run", 0o555), ("a/bin", 0o555), ("a", 0o555)] {
            let data = fs_err::metadata(to.join(name)).unwrap();
            assert_eq!((data.mode() & 0o7777, data.mtime()), (mode, 1), "{name}");
        }
        let link = fs_err::symlink_metadata(to.join("a/bin/link")).unwrap();
        assert!(link.is_symlink() && link.mtime() == 1);
        let of = |root: &Path| fs_err::metadata(root.join("a/bin/run")).unwrap();
        assert_ne!(of(&from).ino(), of(&to).ino());
        assert_eq!((of(&to).nlink(), fs_err::read(to.join("a/bin/run")).unwrap()), (1, b"text".to_vec()));
        // What drops this folder would not manage as an ordinary user.
        for root in [&from, &to] {
            super::super::remove(&root.join("a")).unwrap();
        }
    }
}
