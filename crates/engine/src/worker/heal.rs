//! Putting a state of the worker's aside that ends it at each start.
//!
//! The worker's state says what it has acted on, what it is about to publish, and what was said. One that cannot be opened ends the
//! worker with 65 each time, and nothing mends it: the worker goes on without. What came out of it is applied first, so that a task
//! with a reply is not done again.
//!
//! **Guarantees**: the file is kept as a dead letter. A worker that runs has its state in memory and writes it anew, so nothing is
//! taken from it. **Refuses** a state that opens, unless that is meant.

use std::ffi::CStr;

use pinfold_queue::Direction;
use pinfold_queue::format;
use pinfold_queue::spool::ReadError;
use serde::Serialize;

use super::dead::Cause;
use super::error::WorkerError;
use super::list::Shelf;
use super::queue::Open;
use super::queue::Queue;

/// The worker's state, among its messages.
const STATE: &str = "state";
const STATE_NAME: &CStr = c"state";

/// Which state is put aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Healing {
    /// One that cannot be opened.
    Damaged,
    /// Any: a worker of another version may know better.
    Any,
}

/// What was put aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Healed {
    /// The dead letter that it is now.
    pub letter: u64,
    /// What was wrong with it; nothing where it could be opened.
    pub reason: Option<String>,
    /// Tasks that wait, one of which may have been begun.
    pub waiting: usize,
}

impl Queue {
    /// Puts the worker's state aside, running or not.
    pub fn heal(&self, healing: Healing) -> Result<Healed, WorkerError> {
        let mut open = self.open()?;
        open.settle(|_| ())?;
        let reason = open.damage()?;
        if reason.is_none() && healing == Healing::Damaged {
            return Err(WorkerError::Whole(self.name.clone()));
        }
        let told = reason.as_deref().unwrap_or("it was put aside by `pinfold queue`");
        let letter = open.next_letter()?;
        if !open.bury(&open.outward, Shelf::Out, STATE_NAME, Cause::Integrity, told)? {
            return Err(WorkerError::NoRoom(self.name.clone()));
        }
        rustix::fs::fsync(&open.outward).map_err(std::io::Error::from)?;
        let acks: Vec<u64> = open.state.acks.iter().map(|(seq, _)| *seq).collect();
        let waiting = open.inward.list(&[])?.messages.iter().filter(|seq| !acks.contains(seq)).count();
        Ok(Healed { letter, reason, waiting })
    }
}

impl Open<'_> {
    /// Why the worker's state cannot be opened; nothing where it can.
    fn damage(&self) -> Result<Option<String>, WorkerError> {
        match self.outward.read_named(STATE, Direction::State.file_max()) {
            Ok(None) => Err(self.no_message(format!("{}/{STATE}", Shelf::Out))),
            Ok(Some(file)) => {
                let opened = format::open(&self.key, &self.sandbox, Direction::State, None, file);
                Ok(opened.err().map(|error| error.to_string()))
            }
            Err(ReadError::Refused(refusal)) => Ok(Some(refusal.to_string())),
            Err(ReadError::Failed(failed)) => Err(failed.into()),
        }
    }
}
