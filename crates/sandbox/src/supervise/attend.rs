//! The attendant of a sealed sandbox: work on its queues that the program above this crate brings along, done by the supervisor for
//! as long as it lives.
//!
//! **Guarantees**: the end of a sandbox does not wait for the attendant longer than [`PATIENCE`]; without one, everything else
//! works.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::mpsc;
use std::time::Duration;
use std::time::Instant;

use rustix::event::EventfdFlags;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::io::Errno;

/// What is done about the queues of the sandbox of this name, in this folder (`DATA/sandboxes/NAME/queue`). It returns soon after
/// [`Stop`] says so, and has no error to give: what goes wrong it notes itself.
pub type Attend = fn(folder: &Path, name: &str, stop: &Stop);

/// How long an attendant may take to end.
const PATIENCE: Duration = Duration::from_millis(500);
/// Its stack. Pages of it that are not used cost nothing.
const STACK: usize = 512 << 10;

static ATTEND: OnceLock<Attend> = OnceLock::new();

/// Names the attendant of every supervisor of this process. Once.
pub(crate) fn install(attend: Attend) {
    let _ = ATTEND.set(attend);
}

/// Says when to end. Readable from then on, for who polls.
#[derive(Clone, Debug)]
pub struct Stop(Arc<OwnedFd>);

impl Stop {
    /// One that does not say so yet.
    pub fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(Arc::new(rustix::event::eventfd(0, flags)?)))
    }

    /// From now on it does.
    pub fn ask(&self) {
        // Fails only when the counter is full: it was asked before.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }

    /// Whether it is time to end.
    pub fn is_asked(&self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// Waits at most so long; whether it is time to end.
    pub fn wait(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            };
            match rustix::event::poll(&mut [PollFd::new(&*self.0, PollFlags::IN)], Some(&timeout)) {
                Err(Errno::INTR) => {}
                Ok(ready) => return ready > 0,
                // Nothing can be waited for any more.
                Err(_) => return true,
            }
        }
    }
}

impl AsFd for Stop {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// An attendant at work. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Attendant {
    stop: Stop,
    ended: mpsc::Receiver<()>,
}

impl Attendant {
    /// Starts the one that there is; `None` without one.
    pub(crate) fn start(folder: &Path, name: &str) -> io::Result<Option<Self>> {
        ATTEND.get().map(|attend| Self::with(*attend, folder, name)).transpose()
    }

    fn with(attend: Attend, folder: &Path, name: &str) -> io::Result<Self> {
        let stop = Stop::new()?;
        let (end, ended) = mpsc::channel();
        let (folder, name, told) = (folder.to_owned(), name.to_owned(), stop.clone());
        std::thread::Builder::new().name("attendant".into()).stack_size(STACK).spawn(move || {
            attend(&folder, &name, &told);
            drop(end);
        })?;
        Ok(Self { stop, ended })
    }
}

impl Drop for Attendant {
    fn drop(&mut self) {
        self.stop.ask();
        // Nothing is sent: it is closed by the end of the thread.
        let _ = self.ended.recv_timeout(PATIENCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attendant_ends_when_it_is_told_and_is_not_waited_for_otherwise() {
        fn good(folder: &Path, name: &str, stop: &Stop) {
            assert!(!stop.is_asked() && !stop.wait(Duration::from_millis(1)));
            fs_err::write(folder.join(name), "begun").unwrap();
            while !stop.wait(Duration::from_secs(60)) {}
            fs_err::write(folder.join(name), "ended").unwrap();
        }
        fn deaf(_: &Path, _: &str, _: &Stop) {
            std::thread::sleep(Duration::from_secs(60));
        }
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let attendant = Attendant::with(good, dir.path(), "a").unwrap();
        while !path.exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        drop(attendant);
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "ended");
        let begun = Instant::now();
        drop(Attendant::with(deaf, dir.path(), "a").unwrap());
        assert!((PATIENCE..PATIENCE * 20).contains(&begun.elapsed()));
    }
}
