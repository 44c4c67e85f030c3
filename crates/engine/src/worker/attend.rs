//! What the supervisor of a sealed sandbox does for its queue while it lives.

use std::os::fd::AsFd as _;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::Shown;
use pinfold_base::error::one_line;
use pinfold_queue::Content;
use pinfold_queue::Message;
use pinfold_queue::Watch;
use pinfold_queue::message::Text;
use pinfold_queue::watch::Woken;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;

use super::error::WorkerError;
use super::queue::OWN_FILES;
use super::queue::Open;
use super::queue::Queue;
use super::queue::now_ms;

/// Longest wait.
const LONGEST: Duration = Duration::from_secs(2);
/// Shortest time between two looks.
const SHORTEST: Duration = Duration::from_millis(10);

/// Applies what the worker acknowledges, puts aside what cannot be read, and sends tasks when they are due, until `stop` can be read.
/// What fails is said once and tried again.
pub fn attend(folder: &Path, name: &str, stop: BorrowedFd<'_>) {
    let Ok(queue) = Queue::at(folder, name) else { return };
    let mut attendant = Attendant { queue, looked: None, due: None };
    let mut said = String::new();
    let Ok(outward) = attendant.queue.outward() else { return };
    let mut watch = Watch::new([outward.as_fd()]);
    loop {
        let begun = Instant::now();
        let pause = match attendant.step() {
            Ok(()) => {
                said.clear();
                // A worker that changes its directory all the time gets a fifth of this thread at most.
                (begun.elapsed() * 4).clamp(SHORTEST, LONGEST)
            }
            Err(error) => {
                let text = one_line(&error);
                if text != said {
                    tracing::warn!("the queue of `{name}`: {}", Shown::of(&text));
                    said = text;
                }
                LONGEST
            }
        };
        if is_asked_within(pause, stop) {
            return;
        }
        let until_due = attendant.due.map(|due| Duration::from_secs(due.saturating_sub(now_ms() / 1000)));
        let most = until_due.map_or(LONGEST, |until| until.min(LONGEST));
        if watch.wait(most, Some(stop)) == Woken::Other {
            return;
        }
    }
}

/// Waits so long, or until `stop` can be read.
fn is_asked_within(time: Duration, stop: BorrowedFd<'_>) -> bool {
    let timeout = Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() };
    rustix::event::poll(&mut [PollFd::from_borrowed_fd(stop, PollFlags::IN)], Some(&timeout))
        .is_ok_and(|ready| ready > 0)
}

/// An attendant between two looks.
#[derive(Debug)]
pub(super) struct Attendant {
    pub(super) queue: Queue,
    /// What lay in the worker's directory.
    pub(super) looked: Option<Vec<u64>>,
    /// When the next task is due, in seconds since the epoch.
    pub(super) due: Option<u64>,
}

impl Attendant {
    /// One look; the queue is opened where there is something to do.
    pub(super) fn step(&mut self) -> Result<(), WorkerError> {
        let listing = self.queue.outward()?.list(OWN_FILES)?;
        let now = now_ms() / 1000;
        let is_due = self.due.is_some_and(|due| due <= now);
        if self.looked.as_ref() == Some(&listing.messages) && listing.strange.is_empty() && !is_due {
            return Ok(());
        }
        let mut open = self.queue.open()?;
        let looked = open.settle(|_| ())?;
        open.send_due(now)?;
        self.due = open.state.schedules.iter().map(|one| one.next).min();
        // Last: what failed is looked at again.
        self.looked = Some(looked);
        Ok(())
    }
}

impl Open<'_> {
    /// Sends what is due. The id of a task follows from its time, so that a kill after it was sent sends no second.
    pub(super) fn send_due(&mut self, now: u64) -> Result<(), WorkerError> {
        let due: Vec<_> = self.state.schedules.iter().filter(|one| one.next <= now).cloned().collect();
        for one in due {
            let content = Content::Task(Text { text: one.text.clone() });
            self.send(&Message { id: one.task_id(), in_reply_to: None, acks: Vec::new(), content })?;
            let place = self
                .state
                .schedules
                .iter()
                .position(|other| other.asked == one.asked && other.name == one.name);
            if let Some(place) = place {
                match one.after(now) {
                    Some(next) => self.state.schedules[place] = next,
                    None => drop(self.state.schedules.remove(place)),
                }
            }
            self.write_state()?;
        }
        Ok(())
    }
}
