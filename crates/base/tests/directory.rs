//! Directories as nobody makes them but an adversary: closed, deep, wide, with long names, changing while they are removed.
//!
//! All of it with 64 descriptors for the process. As root the thread gives up the right to pass over permissions, so that
//! a closed directory is one.

#![expect(clippy::unwrap_used, reason = "in a test it is what fails")]

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::ffi::CString;
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;

use pinfold_base::directory;
use pinfold_base::directory::Entry;
use pinfold_base::directory::Mounts;
use pinfold_base::directory::Next;
use pinfold_base::directory::Seen;
use pinfold_base::directory::Size;
use pinfold_base::directory::Trail;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::Resource;
use rustix::process::Rlimit;
use rustix::thread::CapabilitySet;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// One test at a time, as an ordinary user with few descriptors.
fn ordinary() -> MutexGuard<'static, ()> {
    let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let limit = rustix::process::getrlimit(Resource::Nofile);
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: Some(64), ..limit }).unwrap();
    let mut own = rustix::thread::capabilities(None).unwrap();
    own.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH | CapabilitySet::FOWNER;
    rustix::thread::set_capabilities(None, own).unwrap();
    guard
}

/// A folder for many files: in memory, where there is any.
fn yard() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

fn open(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

/// A chain of so many directories of this name in `top`, and what `at_each` does in each.
fn chain(top: &Path, name: &str, depth: usize, at_each: impl Fn(&OwnedFd)) -> OwnedFd {
    let mut at = open(top);
    for _ in 0..depth {
        rustix::fs::mkdirat(&at, name, Mode::RWXU).unwrap();
        at = rustix::fs::openat(
            &at,
            name,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .unwrap();
        at_each(&at);
    }
    at
}

fn touch(at: &OwnedFd, name: &str) {
    rustix::fs::openat(at, name, OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RWXU).unwrap();
}

fn close(path: &Path, mode: u32) {
    fs_err::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// What it is, and making it of an empty directory.
type Case<'a> = (&'a str, &'a dyn Fn(&Path));

#[test]
fn whatever_its_owner_made_is_removed() {
    let _guard = ordinary();
    let long = "n".repeat(255);
    let cases: [Case<'_>; 9] = [
        ("nothing", &|path| fs_err::remove_dir(path).unwrap()),
        ("an empty directory", &|_| {}),
        ("a closed directory with content", &|path| {
            fs_err::create_dir_all(path.join("closed/inner")).unwrap();
            fs_err::write(path.join("closed/inner/file"), "").unwrap();
            close(&path.join("closed/inner"), 0);
            close(&path.join("closed"), 0);
        }),
        ("a top that is closed", &|path| {
            fs_err::write(path.join("file"), "").unwrap();
            close(path, 0);
        }),
        ("directories that can be listed and not changed", &|path| {
            fs_err::create_dir_all(path.join("a/b/c")).unwrap();
            for closed in ["a/b/c", "a/b", "a"] {
                close(&path.join(closed), 0o500);
            }
        }),
        ("1,500 levels of the longest names", &|path| {
            chain(path, &long, 1500, |at| touch(at, "file"));
        }),
        ("20,000 levels, each closed in its turn", &|path| {
            chain(path, "d", 20_000, |_| {});
            // From the top: whoever comes from below could not go on.
            close(&path.join("d/d/d/d/d"), 0);
        }),
        ("many entries, some of them directories", &|path| {
            for number in 0..20_000 {
                if number % 4 == 0 {
                    fs_err::create_dir(path.join(number.to_string())).unwrap();
                } else {
                    fs_err::write(path.join(number.to_string()), "").unwrap();
                }
            }
        }),
        ("a broad tree below the depth that is held open, with names that are taken", &|path| {
            let at = chain(path, "x", 20, |_| {});
            for number in 0..300 {
                rustix::fs::mkdirat(&at, format!("{number}"), Mode::RWXU).unwrap();
                touch(&open(path), &format!(".pinfold-removed-{number}"));
            }
        }),
    ];
    for (what, make) in cases {
        let dir = yard();
        let path = dir.path().join("top");
        fs_err::create_dir(&path).unwrap();
        make(&path);
        assert_eq!(directory::remove(&path), Ok(()), "{what}");
        assert!(fs_err::symlink_metadata(&path).is_err(), "{what}");
    }
}

/// The control: the standard library's remover has trouble with the same.
#[test]
fn the_standard_remover_leaves_a_closed_directory() {
    let _guard = ordinary();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("top");
    fs_err::create_dir_all(path.join("closed/inner")).unwrap();
    close(&path.join("closed"), 0);
    assert!(std_remove(&path).is_err());
    assert_eq!(directory::remove(&path), Ok(()));
}

#[expect(clippy::disallowed_methods, reason = "what is compared with")]
fn std_remove(path: &Path) -> io::Result<()> {
    std::fs::remove_dir_all(path)
}

#[test]
fn links_are_removed_and_not_followed() {
    let _guard = ordinary();
    let dir = tempfile::tempdir().unwrap();
    let (outside, path) = (dir.path().join("outside"), dir.path().join("top"));
    fs_err::create_dir_all(outside.join("sub")).unwrap();
    fs_err::write(outside.join("sub/file"), "kept").unwrap();
    close(&outside, 0o500);
    fs_err::create_dir(&path).unwrap();
    symlink(&outside, path.join("directory")).unwrap();
    symlink(outside.join("sub/file"), path.join("file")).unwrap();
    symlink("nowhere", path.join("broken")).unwrap();
    directory::remove(&path).unwrap();
    symlink(&outside, &path).unwrap();
    directory::remove(&path).unwrap();
    assert!(fs_err::symlink_metadata(&path).is_err());
    assert_eq!(fs_err::read_to_string(outside.join("sub/file")).unwrap(), "kept");
    assert_eq!(fs_err::metadata(&outside).unwrap().mode() & 0o777, 0o500);
}

/// A directory that only another user may open stays, with all above it and nothing beside it, and is named.
#[expect(clippy::print_stdout, reason = "a skipped test must say so")]
#[test]
fn what_stays_is_told_with_its_reason() {
    if !rustix::process::geteuid().is_root() {
        println!("skip: only root can give a directory away");
        return;
    }
    let _guard = ordinary();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("top");
    for name in ["a/foreign/kept", "a/own", "b"] {
        fs_err::create_dir_all(path.join(name)).unwrap();
    }
    let foreign = path.join("a/foreign");
    rustix::fs::chown(&foreign, rustix::fs::Uid::from_raw(12345).into(), None).unwrap();
    close_as_root(&foreign, 0o700);
    let remains = directory::remove(&path).unwrap_err();
    assert_eq!((remains.count, remains.path.as_path()), (1, path.as_path()));
    assert_eq!(remains.told[0].path, Path::new("a/foreign"));
    assert_eq!(remains.told[0].errno, Errno::ACCESS);
    assert!(pinfold_base::Diagnose::hint(&remains).unwrap().contains("another user"));
    let names = |path: &Path| -> BTreeSet<PathBuf> {
        fs_err::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into()).collect()
    };
    assert_eq!((names(&path), names(&path.join("a"))), (["a".into()].into(), ["foreign".into()].into()));
    // The control: once it can be opened, all goes.
    rustix::fs::chown(&foreign, rustix::fs::Uid::ROOT.into(), None).unwrap();
    directory::remove(&path).unwrap();
    assert!(!path.exists());
}

/// What is mounted is another directory's, on the same file system or not.
#[test]
fn what_is_mounted_below_is_left() {
    let _guard = ordinary();
    let dir = tempfile::tempdir().unwrap();
    let (theirs, path) = (dir.path().join("theirs"), dir.path().join("top"));
    fs_err::create_dir_all(&theirs).unwrap();
    fs_err::write(theirs.join("file"), "kept").unwrap();
    let target = path.join("a/mounted");
    fs_err::create_dir_all(&target).unwrap();
    if rustix::mount::mount_bind(&theirs, &target).is_err() {
        return; // Only root can mount.
    }
    let remains = directory::remove(&path);
    let listed = walked(&path);
    let size = directory::size(&path);
    rustix::mount::unmount(&target, rustix::mount::UnmountFlags::DETACH).unwrap();
    let remains = remains.unwrap_err();
    assert_eq!((remains.count, remains.told[0].errno), (1, Errno::XDEV));
    assert!(pinfold_base::Diagnose::hint(&remains).unwrap().starts_with("unmount"));
    assert!(listed.contains(&("a/mounted/file".into(), 'f')), "a walk may cross: {listed:?}");
    assert_eq!(size.files, 0);
    assert_eq!(fs_err::read_to_string(theirs.join("file")).unwrap(), "kept");
    directory::remove(&path).unwrap();
}

fn close_as_root(path: &Path, mode: u32) {
    let mut own = rustix::thread::capabilities(None).unwrap();
    own.effective |= own.permitted;
    rustix::thread::set_capabilities(None, own).unwrap();
    close(path, mode);
    own.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH | CapabilitySet::FOWNER;
    rustix::thread::set_capabilities(None, own).unwrap();
}

/// Somebody renames directories, puts links to a directory of ours in their place, and makes new ones, while they are
/// removed and walked. Nothing of ours is touched or seen, and it ends.
#[test]
fn a_hostile_renamer_leads_nowhere() {
    let _guard = ordinary();
    let dir = yard();
    let victim = dir.path().join("victim");
    fs_err::create_dir_all(victim.join("a/b")).unwrap();
    for name in ["key", "a/key", "a/b/key"] {
        fs_err::write(victim.join(name), "kept").unwrap();
    }
    close(&victim.join("a"), 0o500);
    for _ in 0..20 {
        let top = dir.path().join("top");
        for number in 0..40 {
            fs_err::create_dir_all(top.join(format!("{number}/a/b/c/d"))).unwrap();
            fs_err::write(top.join(format!("{number}/a/key")), "theirs").unwrap();
            close(&top.join(format!("{number}/a/b")), 0);
        }
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0_usize.. {
                    if done.load(Ordering::Relaxed) {
                        break;
                    }
                    let (one, other) = (top.join((round % 40).to_string()), top.join("swapped"));
                    let _ = fs_err::rename(one.join("a"), &other);
                    let _ = symlink(&victim, one.join("a"));
                    let _ = fs_err::rename(&other, one.join("b"));
                    let _ = symlink(victim.join("a"), top.join(format!("{}/new", (round + 7) % 40)));
                }
            });
            for _ in 0..3 {
                let _ = directory::walk(open(&top), Mounts::Cross, |seen| {
                    if let Seen::Entry(Entry { kind, parent, name, .. }) = seen
                        && kind == FileType::RegularFile
                        && let Ok(file) = rustix::fs::openat(parent, name, OFlags::RDONLY, Mode::empty())
                    {
                        let mut text = [0; 6];
                        let length = rustix::io::read(&file, &mut text).unwrap();
                        assert_ne!(&text[..length], b"kept", "it was led to the victim");
                    }
                    Ok(Next::On)
                });
            }
            let _ = directory::remove(&top);
            done.store(true, Ordering::Relaxed);
        });
        directory::remove(&top).unwrap();
        for name in ["key", "a/key", "a/b/key"] {
            assert_eq!(fs_err::read_to_string(victim.join(name)).unwrap(), "kept");
        }
        assert_eq!(fs_err::metadata(victim.join("a")).unwrap().mode() & 0o777, 0o500);
    }
}

/// Every path below `top` as the walk tells it, with what it is.
fn walked(top: &Path) -> BTreeSet<(PathBuf, char)> {
    let mut found = BTreeSet::new();
    let mut inside = Vec::new();
    directory::walk(open(top), Mounts::Cross, |seen| {
        match seen {
            Seen::Entry(Entry { path, kind, .. }) => {
                let letter = match kind {
                    FileType::Directory => 'd',
                    FileType::Symlink => 'l',
                    FileType::Socket => 's',
                    _ => 'f',
                };
                assert!(found.insert((path.to_owned(), letter)), "{} was told twice", path.display());
            }
            Seen::Entering(Entry { path, .. }) => inside.push(path.to_owned()),
            Seen::Leaving(path) => assert_eq!(inside.pop().as_deref(), Some(path)),
            Seen::Unreadable(Entry { path, name, .. }, errno) => {
                assert_eq!(
                    (errno, Some(name.to_bytes())),
                    (Errno::ACCESS, path.file_name().map(OsStr::as_bytes))
                );
                found.insert((path.to_owned(), '?'));
            }
        }
        Ok(Next::On)
    })
    .unwrap();
    assert!(inside.is_empty());
    found
}

#[test]
fn a_walk_tells_everything_once() {
    let _guard = ordinary();
    let dir = tempfile::tempdir().unwrap();
    let top = dir.path();
    fs_err::create_dir_all(top.join("a/b")).unwrap();
    fs_err::create_dir_all(top.join("closed/inner")).unwrap();
    fs_err::write(top.join("a/file"), "12345").unwrap();
    symlink("a", top.join("link")).unwrap();
    let _listener = UnixListener::bind(top.join("a/b/socket")).unwrap();
    close(&top.join("closed"), 0);
    let expected = [
        ("a", 'd'),
        ("a/b", 'd'),
        ("a/b/socket", 's'),
        ("a/file", 'f'),
        ("closed", '?'),
        ("closed", 'd'),
        ("link", 'l'),
    ];
    assert_eq!(walked(top), expected.map(|(path, kind)| (path.into(), kind)).into());
    assert_eq!(directory::size(&top.join("a")), Size { files: 2, bytes: 5 });
    assert_eq!(directory::size(&top.join("none")), Size::default());
    close(&top.join("closed"), 0o700);
}

/// Deeper than a path can say and than descriptors can be held, and back again each time: what stands beside a deep
/// directory is told after it.
#[test]
fn a_walk_goes_down_and_back() {
    let _guard = ordinary();
    let dir = yard();
    let name = "n".repeat(200);
    chain(dir.path(), &name, 300, |at| {
        for beside in ["a", "b", "z"] {
            rustix::fs::mkdirat(at, beside, Mode::RWXU).unwrap();
            let beside =
                rustix::fs::openat(at, beside, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).unwrap();
            touch(&beside, "file");
        }
    });
    let found = walked(dir.path());
    assert_eq!(found.len(), 300 * 7);
    let longest = found.iter().map(|(path, _)| path.as_os_str().len()).max().unwrap();
    assert_eq!(longest, 300 * 201 + "a/file".len());
    directory::remove(&dir.path().join(&name)).unwrap();
}

/// More names to come back to than are held: some are read again, none is lost.
#[test]
fn a_walk_of_many_long_names_loses_none() {
    let _guard = ordinary();
    let dir = yard();
    let long = "0".repeat(255);
    chain(dir.path(), &long, 700, |at| {
        for number in 1..=120 {
            rustix::fs::mkdirat(at, format!("{number:0255}"), Mode::RWXU).unwrap();
        }
    });
    let (mut levels, mut entered) = (0, 0);
    directory::walk(open(dir.path()), Mounts::Stay, |seen| {
        if let Seen::Entering(entry) = seen {
            levels += usize::from(entry.name.to_bytes() == long.as_bytes());
            entered += 1;
        }
        Ok(Next::On)
    })
    .unwrap();
    assert_eq!((levels, entered), (700, 700 * 121));
    directory::remove(&dir.path().join(&long)).unwrap();
}

#[test]
fn a_visitor_skips_and_stops() {
    let _guard = ordinary();
    let dir = tempfile::tempdir().unwrap();
    for name in ["a/deep", "b/deep"] {
        fs_err::create_dir_all(dir.path().join(name)).unwrap();
    }
    let mut told = Vec::new();
    let visit = |seen: Seen<'_>| {
        let Seen::Entry(Entry { path, name, .. }) = seen else { return Ok(Next::On) };
        told.push(path.to_owned());
        Ok(if name == c"a" { Next::Skip } else { Next::On })
    };
    directory::walk(open(dir.path()), Mounts::Stay, visit).unwrap();
    told.sort();
    assert_eq!(told, ["a", "b", "b/deep"].map(PathBuf::from));
    let mut count = 0;
    let stop = |_: Seen<'_>| {
        count += 1;
        Ok(Next::Stop)
    };
    directory::walk(open(dir.path()), Mounts::Stay, stop).unwrap();
    assert_eq!(count, 1);
    let failing = |_: Seen<'_>| Err(io::Error::other("enough"));
    assert_eq!(directory::walk(open(dir.path()), Mounts::Stay, failing).unwrap_err().to_string(), "enough");
}

/// Going back by `..` ends where it came from, or nowhere.
#[test]
fn a_trail_that_was_moved_is_not_gone_back() {
    let _guard = ordinary();
    let dir = tempfile::tempdir().unwrap();
    for moved in [false, true] {
        let top = dir.path().join(format!("top-{moved}"));
        fs_err::create_dir(&top).unwrap();
        chain(&top, "d", 30, |_| {});
        let mut trail = Trail::begin(open(&top)).unwrap();
        let name: &CStr = &CString::new("d").unwrap();
        for _ in 0..30 {
            trail.enter(name).unwrap();
        }
        if moved {
            fs_err::rename(top.join("d/d/d"), top.join("elsewhere")).unwrap();
        }
        let steps = (0..30).take_while(|_| trail.leave().is_ok()).count();
        // The two directories above the one that was moved are out of reach.
        assert_eq!(steps, if moved { 27 } else { 30 });
        let here = rustix::fs::fstat(trail.here().as_fd()).unwrap().st_ino;
        assert_eq!(here == fs_err::metadata(&top).unwrap().ino(), !moved);
    }
}
