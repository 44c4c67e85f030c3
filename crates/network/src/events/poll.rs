//! The event loop's parts: a poller over `epoll(7)`, a way to wake it, and numbered slots for what it watches.
//!
//! File descriptors are registered once, edge-triggered, for both directions; whoever owns a descriptor remembers what it
//! may still do (read, write) until the kernel says `EAGAIN`. A stale event of a slot that was given away is harmless: it
//! only makes the new owner try once.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::EventfdFlags;
use rustix::event::Timespec;
use rustix::event::epoll;

/// What happened to a watched descriptor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ready {
    /// The token it was registered with.
    pub(crate) token: u64,
    /// Reading would do something: bytes, an end, or an error.
    pub(crate) readable: bool,
    /// Writing would do something.
    pub(crate) writable: bool,
}

/// An epoll instance.
#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { epoll: epoll::create(epoll::CreateFlags::CLOEXEC)? })
    }

    /// Watches both directions of `fd`, edge-triggered. Closing the descriptor ends the watch.
    pub(crate) fn watch(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        let flags =
            epoll::EventFlags::IN | epoll::EventFlags::OUT | epoll::EventFlags::RDHUP | epoll::EventFlags::ET;
        Ok(epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token), flags)?)
    }

    /// Watches for something to read or accept, level-triggered: for listeners and wakers.
    pub(crate) fn watch_level(&self, fd: impl AsFd, token: u64) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token), epoll::EventFlags::IN)?)
    }

    /// Ends a watch while the descriptor stays open.
    pub(crate) fn forget(&self, fd: impl AsFd) {
        // The only failure is that it was not watched, which is what is asked for.
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Waits until something happens or `timeout` is over, and appends what happened to `ready`.
    pub(crate) fn wait(&self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let mut events = [const { MaybeUninit::<epoll::Event>::uninit() }; 128];
        let events = match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
            Ok((events, _)) => events,
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let reading = epoll::EventFlags::IN
            | epoll::EventFlags::RDHUP
            | epoll::EventFlags::HUP
            | epoll::EventFlags::ERR;
        let writing = epoll::EventFlags::OUT | epoll::EventFlags::HUP | epoll::EventFlags::ERR;
        ready.extend(events.iter().map(|event| {
            let flags = event.flags;
            Ready {
                token: event.data.u64(),
                readable: flags.intersects(reading),
                writable: flags.intersects(writing),
            }
        }));
        Ok(())
    }
}

/// Wakes a poller from another thread. Cheap to clone; all clones wake the same poller.
#[derive(Clone, Debug)]
pub(crate) struct Waker(Arc<OwnedFd>);

impl Waker {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(Arc::new(rustix::event::eventfd(0, flags)?)))
    }

    /// Makes the next (or the present) wait return.
    pub(crate) fn wake(&self) {
        // Fails only when the counter is full, and then the poller is already due to wake.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }

    /// Takes the wake-up back, after which the poller sleeps again.
    pub(crate) fn clear(&self) {
        let mut count = [0u8; 8];
        // Fails only when nobody woke us.
        let _ = rustix::io::read(&*self.0, &mut count);
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Values in numbered slots; the number is the token of the poller.
#[derive(Debug)]
pub(crate) struct Slots<T> {
    slots: Vec<Option<T>>,
    free: Vec<usize>,
}

impl<T> Slots<T> {
    pub(crate) const fn new() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// The number that the next [`Slots::insert`] will give.
    pub(crate) fn next(&self) -> usize {
        self.free.last().copied().unwrap_or(self.slots.len())
    }

    pub(crate) fn insert(&mut self, value: T) -> usize {
        if let Some(slot) = self.free.pop() {
            self.slots[slot] = Some(value);
            return slot;
        }
        self.slots.push(Some(value));
        self.slots.len() - 1
    }

    pub(crate) fn get_mut(&mut self, slot: usize) -> Option<&mut T> {
        self.slots.get_mut(slot)?.as_mut()
    }

    pub(crate) fn remove(&mut self, slot: usize) -> Option<T> {
        let value = self.slots.get_mut(slot)?.take()?;
        self.free.push(slot);
        Some(value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, &T)> {
        self.slots.iter().enumerate().filter_map(|(slot, value)| Some((slot, value.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_given_again() {
        let mut slots = Slots::new();
        assert_eq!(slots.next(), 0);
        assert_eq!((slots.insert('a'), slots.insert('b'), slots.insert('c')), (0, 1, 2));
        assert_eq!(slots.remove(1), Some('b'));
        assert_eq!(slots.remove(1), None);
        assert_eq!((slots.len(), slots.next()), (2, 1));
        assert_eq!(slots.insert('d'), 1);
        assert_eq!(slots.iter().map(|(_, &value)| value).collect::<String>(), "adc");
        assert!(slots.get_mut(7).is_none());
    }

    #[test]
    fn a_waker_wakes_once() {
        let poller = Poller::new().unwrap();
        let waker = Waker::new().unwrap();
        poller.watch_level(&waker, 7).unwrap();
        waker.clone().wake();
        let mut ready = Vec::new();
        poller.wait(Some(Duration::from_secs(10)), &mut ready).unwrap();
        assert_eq!(ready.len(), 1);
        assert_eq!(ready[0].token, 7);
        waker.clear();
        ready.clear();
        poller.wait(Some(Duration::ZERO), &mut ready).unwrap();
        assert!(ready.is_empty());
    }
}
