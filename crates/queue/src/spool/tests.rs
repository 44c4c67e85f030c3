//! What a hostile directory may hold.

use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use rustix::fs::FileType;

use super::*;

struct Place {
    dir: tempfile::TempDir,
    spool: Spool,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path()).unwrap();
    Place { dir, spool }
}

impl Place {
    fn path(&self, seq: u64) -> PathBuf {
        self.dir.path().join(name(seq))
    }

    fn names(&self) -> Vec<String> {
        let entries = fs_err::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn refusal(&self, seq: u64) -> Refusal {
        match self.spool.read(seq, 100) {
            Err(ReadError::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_message_is_there_whole_under_its_number_and_never_in_the_place_of_another() {
    let place = place();
    assert_eq!(place.spool.publish(7, b"seven").unwrap(), Published::New);
    assert_eq!(place.spool.publish(7, b"other").unwrap(), Published::Taken);
    assert_eq!(place.names(), ["00000000000000000007"], "and nothing beside it");
    assert_eq!(place.spool.read(7, 100).unwrap().unwrap(), b"seven");
    assert_eq!(fs_err::metadata(place.path(7)).unwrap().permissions().mode() & 0o777, 0o600);
    place.spool.remove(7).unwrap();
    place.spool.remove(7).unwrap();
    assert!(place.spool.read(7, 100).unwrap().is_none());
}

#[test]
fn many_messages_are_published_as_one_is_and_after_the_file_that_names_them() {
    let place = place();
    let files: Vec<(u64, Vec<u8>)> = (1..=300).map(|seq| (seq, seq.to_string().into_bytes())).collect();
    assert_eq!(place.spool.publish(2, b"before").unwrap(), Published::New);
    place.spool.replace_and_publish("state", b"names them", &files).unwrap();
    place.spool.publish_all(&files).unwrap();
    place.spool.publish_all(&[]).unwrap();
    assert_eq!(place.names().len(), 301, "and nothing beside them: {:?}", place.names());
    for (seq, file) in &files {
        let expected = if *seq == 2 { b"before".as_slice() } else { file };
        assert_eq!(place.spool.read(*seq, 100).unwrap().unwrap(), expected);
    }
    // Where the state cannot be replaced, nothing that it would name is there, under no name.
    let place = self::place();
    fs_err::create_dir(place.dir.path().join("state")).unwrap();
    let error = place.spool.replace_and_publish("state", b"x", &files).unwrap_err();
    assert_eq!((error.step, error.name.as_str()), ("replace", "state"));
    assert_eq!(place.names(), ["state"]);
}

#[test]
fn a_state_takes_the_place_of_the_one_before() {
    let place = place();
    place.spool.replace("state", b"one").unwrap();
    place.spool.replace("state", b"two").unwrap();
    assert_eq!(place.spool.read_named("state", 3).unwrap().unwrap(), b"two");
    assert_eq!(place.names(), ["state"]);
    for name in ["", ".", "..", "a/b", "../x", "a\0b"] {
        assert!(place.spool.replace(name, b"x").is_err(), "{name:?}");
        assert!(place.spool.read_named(name, 1).is_err(), "{name:?}");
    }
}

#[test]
fn only_twenty_digits_are_a_message() {
    for (name, seq) in [
        (&b"00000000000000000000"[..], Some(0)),
        (b"18446744073709551615", Some(u64::MAX)),
        (b"18446744073709551616", None),
        (b"99999999999999999999", None),
        (b"0000000000000000001", None),
        (b"000000000000000000001", None),
        (b"0000000000000000000a", None),
        (b"+0000000000000000001", None),
        (b"0000000000000000001\n", None),
        (b"", None),
    ] {
        assert_eq!(sequence(name), seq, "{name:?}");
    }
}

#[test]
fn what_is_no_plain_file_is_refused_at_once() {
    let place = place();
    let begun = Instant::now();
    rustix::fs::mknodat(CWD, place.path(1), FileType::Fifo, Mode::RUSR, 0).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", place.path(2)).unwrap();
    std::os::unix::fs::symlink(place.path(2), place.path(3)).unwrap();
    fs_err::write(place.path(4), "x").unwrap();
    fs_err::hard_link(place.path(4), place.path(5)).unwrap();
    let _socket = UnixListener::bind(place.path(6)).unwrap();
    fs_err::create_dir(place.path(7)).unwrap();
    fs_err::File::create(place.path(8)).unwrap().set_len(1 << 40).unwrap();
    fs_err::write(place.path(9), [0; 101]).unwrap();
    assert_eq!(place.refusal(1), Refusal::Kind("a pipe"));
    assert_eq!(place.refusal(2), Refusal::Kind("a link"));
    assert_eq!(place.refusal(3), Refusal::Kind("a link"));
    assert_eq!(place.refusal(4), Refusal::Names);
    assert_eq!(place.refusal(5), Refusal::Names);
    assert_eq!(place.refusal(6), Refusal::Kind("a socket"));
    assert_eq!(place.refusal(7), Refusal::Kind("a directory"));
    assert_eq!(place.refusal(8), Refusal::Size { size: 1 << 40, max: 100 });
    assert_eq!(place.refusal(9), Refusal::Size { size: 101, max: 100 });
    fs_err::write(place.path(10), [0; 100]).unwrap();
    assert_eq!(place.spool.read(10, 100).unwrap().unwrap().len(), 100, "the control");
    assert_eq!(place.spool.list(&[]).unwrap().messages, (1..=10).collect::<Vec<_>>());
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

/// A file that is opened while its writer removes it has no name left. It is gone, not suspicious; and where another took its
/// name, that one is read.
#[test]
fn what_its_writer_removes_or_replaces_meanwhile_is_gone_or_the_next() {
    let place = place();
    place.spool.replace("state", b"0").unwrap();
    let reader = Spool::open(place.dir.path()).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut met = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                assert!(reader.read_named("state", 100).unwrap().is_some(), "there is a state at all times");
                met += usize::from(reader.read(1, 100).unwrap().is_some());
            }
            assert!(met > 0, "the reader met no message");
        });
        let end = Instant::now() + Duration::from_secs(2);
        for number in 0_u32.. {
            place.spool.replace("state", number.to_string().as_bytes()).unwrap();
            assert_eq!(place.spool.publish(1, b"one").unwrap(), Published::New);
            place.spool.remove(1).unwrap();
            if Instant::now() > end {
                break;
            }
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_directory_that_is_a_link_is_no_spool() {
    let place = place();
    let link = place.dir.path().join("link");
    std::os::unix::fs::symlink(place.dir.path(), &link).unwrap();
    assert!(Spool::open(&link).is_err());
    assert!(Spool::open_at(place.spool.as_fd(), "link").is_err());
    fs_err::create_dir(place.dir.path().join("in")).unwrap();
    Spool::open_at(place.spool.as_fd(), "in").unwrap();
}

#[test]
fn a_heartbeat_does_not_go_through_a_link() {
    let place = place();
    let (outside, alive) = (place.dir.path().join("outside"), place.dir.path().join("alive"));
    std::os::unix::fs::symlink(&outside, &alive).unwrap();
    assert!(place.spool.touch("alive").is_err() && !outside.exists());
    fs_err::remove_file(&alive).unwrap();
    assert_eq!(place.spool.changed("alive"), None);
    place.spool.touch("alive").unwrap();
    let first = place.spool.changed("alive").unwrap();
    let earlier = rustix::fs::Timespec { tv_sec: first - 60, tv_nsec: 0 };
    let times = rustix::fs::Timestamps { last_access: earlier, last_modification: earlier };
    rustix::fs::utimensat(CWD, &alive, &times, AtFlags::empty()).unwrap();
    assert_eq!(place.spool.changed("alive"), Some(first - 60), "the control");
    place.spool.touch("alive").unwrap();
    assert!(place.spool.changed("alive").unwrap() >= first);
}

/// Files with names of newlines, and more of them than anybody should list.
#[test]
fn a_flood_is_counted_and_takes_bounded_room() {
    let place = place();
    const FLOOD: usize = 100_000;
    for number in 0..FLOOD / 2 {
        let path = place.dir.path().join(format!("\n{number}\nx"));
        rustix::fs::openat(CWD, &path, OFlags::WRONLY | OFlags::CREATE, Mode::RUSR).unwrap();
    }
    // The smallest were made last.
    for seq in (0..FLOOD as u64 / 2).rev() {
        rustix::fs::openat(CWD, place.path(seq), OFlags::WRONLY | OFlags::CREATE, Mode::RUSR).unwrap();
    }
    fs_err::write(place.dir.path().join("state"), "x").unwrap();
    fs_err::write(place.dir.path().join(".tmp-1-1"), "x").unwrap();
    let begun = Instant::now();
    let listing = place.spool.list(&["state"]).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(listing.messages, (0..FILES_MAX as u64).collect::<Vec<_>>(), "the first of them");
    assert_eq!((listing.count, listing.strange_count), (FLOOD / 2, FLOOD / 2));
    assert_eq!(listing.strange.len(), STRANGE_MAX);
    assert!(!listing.is_cut);
}

#[test]
fn what_a_killed_writer_left_goes_and_messages_stay() {
    let place = place();
    assert_eq!(place.spool.publish(1, b"x").unwrap(), Published::New);
    fs_err::write(place.dir.path().join(".tmp-1-0"), "half").unwrap();
    fs_err::write(place.dir.path().join("state"), "x").unwrap();
    assert_eq!(place.spool.list(&["state"]).unwrap().strange_count, 0);
    place.spool.sweep().unwrap();
    assert_eq!(place.names(), ["00000000000000000001", "state"]);
}

#[test]
fn a_name_that_a_killed_writer_left_is_not_in_the_way() {
    let place = place();
    let process = rustix::process::getpid().as_raw_nonzero();
    for number in 0..2000 {
        fs_err::write(place.dir.path().join(format!(".tmp-{process}-{number}")), "half").unwrap();
    }
    assert_eq!(place.spool.publish(1, b"x").unwrap(), Published::New);
}
