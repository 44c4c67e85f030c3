//! Sending to a worker.

use pinfold_queue::Direction;
use pinfold_queue::Message;
use pinfold_queue::MessageId;
use pinfold_queue::spool;
use pinfold_queue::spool::BYTES_MAX;
use pinfold_queue::spool::FILES_MAX;
use pinfold_queue::spool::Published;
use rustix::fs::AtFlags;

use super::error::WorkerError;
use super::queue::Open;
use super::queue::Queue;

/// What became of a message that was to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It waits for the worker.
    New {
        /// Its id.
        id: MessageId,
        /// Its sequence.
        seq: u64,
    },
    /// A message of this id was sent before; nothing was done.
    Before {
        /// The id.
        id: MessageId,
    },
}

impl Sent {
    /// The message's id.
    pub fn id(self) -> MessageId {
        match self {
            Self::New { id, .. } | Self::Before { id } => id,
        }
    }
}

impl Queue {
    /// Sends a message; the same id is sent once. It waits where the worker does not run.
    pub fn send(&self, message: &Message) -> Result<Sent, WorkerError> {
        self.open()?.send(message)
    }
}

impl Open<'_> {
    /// Sends a message once.
    pub(super) fn send(&mut self, message: &Message) -> Result<Sent, WorkerError> {
        if self.state.was_sent(message.id) {
            return Ok(Sent::Before { id: message.id });
        }
        let body = message.to_body()?;
        self.check_room()?;
        loop {
            let seq = self.state.take();
            // Found out by whoever opens the queue next, should this process end here.
            self.state.unsure = Some((message.id, seq));
            self.write_state()?;
            let file = self.seal(Direction::ToWorker, seq, &body)?;
            if self.inward.publish(seq, &file)? == Published::New {
                // On the disk with the next step; until then the file itself says it.
                self.state.unsure = None;
                self.state.note_sent(message.id);
                return Ok(Sent::New { id: message.id, seq });
            }
        }
    }

    /// Refuses what would be more than a direction may have.
    fn check_room(&self) -> Result<(), WorkerError> {
        let listing = self.inward.list(&[])?;
        let size = |seq: &u64| {
            let stat = rustix::fs::statat(&self.inward, spool::name(*seq), AtFlags::SYMLINK_NOFOLLOW);
            stat.map_or(0, |stat| stat.st_size.unsigned_abs())
        };
        // Fewer cannot have as many bytes.
        let bytes = if listing.count < 60 { 0 } else { listing.messages.iter().map(size).sum() };
        if listing.count >= FILES_MAX || bytes > BYTES_MAX {
            return Err(WorkerError::Full { name: self.queue.name.clone(), count: listing.count });
        }
        Ok(())
    }
}
