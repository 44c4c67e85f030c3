//! Waiting until a directory may have changed.
//!
//! inotify wakes where it works; it does not across gVisor's gofer or on network file systems, and not for mounts that it cannot
//! watch. So each wait also ends by itself: after 250 ms at first, and up to 2 s where nothing happens.

use std::mem::MaybeUninit;
use std::os::fd::AsRawFd as _;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::fs::inotify;
use rustix::fs::inotify::CreateFlags;
use rustix::fs::inotify::WatchFlags;
use rustix::io::Errno;

/// The first wait.
const SHORTEST: Duration = Duration::from_millis(250);
/// The longest.
const LONGEST: Duration = Duration::from_secs(2);

/// Waits for changes of some directories.
#[derive(Debug)]
pub struct Watch {
    inotify: Option<OwnedFd>,
    next: Duration,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// Something changed in a directory.
    Changed,
    /// The other descriptor has something to say.
    Other,
    /// It is time to look.
    Time,
}

impl Watch {
    /// Of these directories. One that cannot be watched is looked at in time.
    pub fn new<'a>(directories: impl IntoIterator<Item = BorrowedFd<'a>>) -> Self {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok();
        if let Some(inotify) = &inotify {
            let flags =
                WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM | WatchFlags::DELETE | WatchFlags::ONLYDIR;
            for directory in directories {
                let path = format!("/proc/self/fd/{}", directory.as_raw_fd());
                // Without /proc there is time.
                let _ = inotify::add_watch(inotify, path.as_str(), flags);
            }
        }
        Self { inotify, next: SHORTEST }
    }

    /// Waits until something changed, `other` can be read (or has hung up), it is time to look again, or `most` has passed. What
    /// happened since the wait before ends it at once.
    pub fn wait(&mut self, most: Duration, other: Option<BorrowedFd<'_>>) -> Woken {
        let time = self.next.min(most);
        let timeout = Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() };
        let mut polled = Vec::with_capacity(2);
        polled.extend(other.map(|other| PollFd::from_borrowed_fd(other, PollFlags::IN)));
        polled.extend(self.inotify.as_ref().map(|inotify| PollFd::new(inotify, PollFlags::IN)));
        let woken = match rustix::event::poll(&mut polled, Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => Woken::Time,
            Ok(_) if other.is_some() && !polled[0].revents().is_empty() => Woken::Other,
            Ok(_) => Woken::Changed,
            Err(_) => {
                std::thread::sleep(time);
                Woken::Time
            }
        };
        self.next = match woken {
            Woken::Changed => SHORTEST,
            Woken::Other => self.next,
            Woken::Time => (self.next * 2).min(LONGEST),
        };
        if woken == Woken::Changed {
            self.drain();
        }
        woken
    }

    /// Looks soon again: there was something to do.
    pub fn hurry(&mut self) {
        self.next = SHORTEST;
    }

    fn drain(&self) {
        let Some(inotify) = &self.inotify else { return };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        // Bounded, for somebody may change the directory all the time.
        for _ in 0..64 {
            if !matches!(rustix::io::read(inotify, &mut buffer), Ok((read, _)) if !read.is_empty()) {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd as _;
    use std::time::Instant;

    use super::*;
    use crate::spool::Published;
    use crate::spool::Spool;

    #[test]
    fn a_new_message_wakes_at_once_and_nothing_wakes_in_time() {
        let dir = tempfile::tempdir().unwrap();
        let spool = Spool::open(dir.path()).unwrap();
        let mut watch = Watch::new([spool.as_fd()]);
        assert_eq!(watch.wait(Duration::from_millis(1), None), Woken::Time);
        assert_eq!(spool.publish(1, b"x").unwrap(), Published::New);
        let begun = Instant::now();
        assert_eq!(watch.wait(Duration::from_secs(60), None), Woken::Changed);
        assert!(begun.elapsed() < SHORTEST, "{:?}", begun.elapsed());
        assert_eq!(watch.wait(Duration::from_millis(1), None), Woken::Time, "once");
    }

    #[test]
    fn another_descriptor_wakes() {
        let (read, write) = rustix::pipe::pipe().unwrap();
        let mut watch = Watch::new([]);
        assert_eq!(watch.wait(Duration::from_millis(1), Some(read.as_fd())), Woken::Time);
        drop(write);
        assert_eq!(watch.wait(Duration::from_secs(60), Some(read.as_fd())), Woken::Other);
    }

    #[test]
    fn waits_grow_to_two_seconds() {
        let mut watch = Watch::new([]);
        let mut next = || {
            watch.wait(Duration::ZERO, None);
            watch.next.as_millis()
        };
        assert_eq!([next(), next(), next(), next()], [500, 1000, 2000, 2000]);
    }
}
