//! The heartbeat, the end by a signal, and waiting for a descriptor with both.
//!
//! **Guarantees**: `alive` is touched every two seconds whatever is waited for; SIGTERM, SIGINT and SIGHUP end a wait at once.

use std::os::fd::AsFd as _;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use pinfold_queue::Spool;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::io::Errno;
use signal_hook::consts::SIGHUP;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;

/// Time between two beats.
const BEAT: Duration = Duration::from_secs(2);
/// The file that is touched.
pub(crate) const ALIVE: &str = "alive";

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// The descriptor is ready.
    Ready,
    /// The time is over.
    Deadline,
    /// The worker is to stop.
    Stop,
}

/// Keeps the worker's sign of life.
#[derive(Debug)]
pub(crate) struct Pulse {
    signals: UnixStream,
    alive: Option<Spool>,
    next: Instant,
}

impl Pulse {
    /// Waits for signals from now on; the first beat is made by [`Pulse::begin`].
    pub(crate) fn new() -> std::io::Result<Self> {
        let (signals, write) = UnixStream::pair()?;
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
        }
        signals.set_nonblocking(true)?;
        Ok(Self { signals, alive: None, next: Instant::now() })
    }

    /// Touches `alive` in this directory from now on.
    pub(crate) fn begin(&mut self, alive: Spool) {
        self.alive = Some(alive);
        self.next = Instant::now();
        self.beat();
    }

    /// Touches `alive` where it is time. A full disk is no end.
    pub(crate) fn beat(&mut self) {
        let now = Instant::now();
        if now >= self.next {
            if let Some(alive) = &self.alive {
                let _ = alive.touch(ALIVE);
            }
            self.next = now + BEAT;
        }
    }

    /// How long the next beat can wait.
    pub(crate) fn rest(&self) -> Duration {
        self.next.saturating_duration_since(Instant::now())
    }

    /// What can be read once the worker is to stop.
    pub(crate) fn signals(&self) -> BorrowedFd<'_> {
        self.signals.as_fd()
    }

    /// Whether the worker is to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        let mut polled = [PollFd::new(&self.signals, PollFlags::IN)];
        matches!(rustix::event::poll(&mut polled, Some(&Timespec::default())), Ok(count) if count > 0)
    }

    /// Waits for a descriptor.
    pub(crate) fn wait(&mut self, fd: BorrowedFd<'_>, flags: PollFlags, until: Instant) -> Woken {
        self.wait_for(Some((fd, flags)), until)
    }

    /// Waits for the time to pass.
    pub(crate) fn pause(&mut self, time: Duration) -> Woken {
        self.wait_for(None, Instant::now() + time)
    }

    fn wait_for(&mut self, fd: Option<(BorrowedFd<'_>, PollFlags)>, until: Instant) -> Woken {
        loop {
            self.beat();
            let left = until.saturating_duration_since(Instant::now()).min(self.rest());
            let timeout =
                Timespec { tv_sec: left.as_secs().cast_signed(), tv_nsec: left.subsec_nanos().into() };
            let mut polled = vec![PollFd::new(&self.signals, PollFlags::IN)];
            polled.extend(fd.map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)));
            match rustix::event::poll(&mut polled, Some(&timeout)) {
                Ok(0) | Err(Errno::INTR) => {}
                Ok(_) if !polled[0].revents().is_empty() => return Woken::Stop,
                Ok(_) => return Woken::Ready,
                // No memory, or no such descriptor: not in a circle.
                Err(_) => std::thread::sleep(left.min(Duration::from_millis(100))),
            }
            if Instant::now() >= until {
                return Woken::Deadline;
            }
        }
    }

    /// Seconds since the epoch.
    pub(crate) fn now() -> u64 {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_secs())
    }
}
