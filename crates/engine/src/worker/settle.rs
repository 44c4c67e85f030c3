//! Applying what came out of the sandbox: what is acknowledged goes, what cannot be read is put aside, schedules are noted.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::ffi::CString;

use pinfold_queue::Content;
use pinfold_queue::Direction;
use pinfold_queue::Header;
use pinfold_queue::Message;
use pinfold_queue::format;
use pinfold_queue::message::ACKS_MAX;
use pinfold_queue::message::Schedule;
use pinfold_queue::spool;
use pinfold_queue::spool::BYTES_MAX;
use pinfold_queue::spool::Published;
use pinfold_queue::spool::ReadError;

use super::dead::Cause;
use super::error::WorkerError;
use super::list::Shelf;
use super::queue::OWN_FILES;
use super::queue::Open;
use super::queue::now_ms;
use super::state::SCHEDULE_MAX;
use super::state::SCHEDULES_MAX;
use super::state::Scheduled;

/// A message from the worker that nobody has dealt with.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) header: Header,
    pub(super) message: Message,
}

/// Files that are put aside at once, at most: each waits for the disk, and nobody else has the queue meanwhile. The rest comes next time.
const BURIED_MAX: usize = 64;

/// What is not to be used, and why.
type Bad = (Cause, String);

impl Open<'_> {
    /// Applies what lies in the worker's directory, and hands on what somebody is to read. Gives the sequences that were looked at.
    pub(super) fn settle(&mut self, mut arrived: impl FnMut(Arrived)) -> Result<Vec<u64>, WorkerError> {
        let listing = self.outward.list(OWN_FILES)?;
        let mut room = BURIED_MAX;
        for name in &listing.strange {
            self.bury_outward(&mut room, name, Cause::Refused, "its name is no number")?;
        }
        let acknowledged = self.state.acknowledged();
        self.state.waiting = None;
        let (mut done, mut failed, mut dealt) = (Vec::new(), Vec::new(), Vec::new());
        let mut bytes = 0;
        for &seq in &listing.messages {
            if bytes >= BYTES_MAX {
                break;
            }
            let (header, message) = match self.read_outward(seq, &mut bytes) {
                Ok(Some(read)) => read,
                Ok(None) => continue,
                Err((cause, reason)) => {
                    self.bury_message(&mut room, seq, cause, &reason)?;
                    continue;
                }
            };
            let acks = message.acks.iter().copied();
            if let Content::Error(failure) = &message.content {
                let reason = format!("the worker failed ({}): {}", failure.code, failure.message);
                failed.extend(acks.map(|ack| (ack, reason.clone())));
            } else {
                done.extend(acks);
            }
            if message.content == Content::Ack || acknowledged.contains(&seq) {
                continue;
            }
            if self.state.was_seen(message.id) {
                // Sent again; it is told no second time.
                dealt.push(seq);
                continue;
            }
            if self.state.is_old(seq) {
                let reason = "it is older than what was dealt with: a replay";
                self.bury_message(&mut room, seq, Cause::Refused, reason)?;
                continue;
            }
            let noted = match &message.content {
                Content::Schedule(schedule) => Some(self.note_schedule(schedule, &message)),
                Content::Unschedule(gone) => {
                    self.state.schedules.retain(|one| one.name != gone.name);
                    Some(Ok(()))
                }
                _ => None,
            };
            match noted {
                Some(Ok(())) => {
                    self.state.note_seen(message.id, seq);
                    dealt.push(seq);
                }
                Some(Err(reason)) => self.bury_message(&mut room, seq, Cause::Refused, &reason)?,
                None => {
                    self.state.waiting = self.state.waiting.or(Some(seq));
                    arrived(Arrived { header, message });
                }
            }
        }
        // What was sent is known by its file until the state says it.
        if !done.is_empty() || !failed.is_empty() {
            self.keep_state()?;
        }
        // What is acknowledged goes before the message that says so is let go of.
        for (seq, reason) in failed {
            if self.inward.changed(&spool::name(seq)).is_some()
                && let Ok(name) = CString::new(spool::name(seq))
                && !self.bury(&self.inward, Shelf::In, &name, Cause::Failed, &reason)?
            {
                done.push(seq);
            }
        }
        self.inward.remove_all(done)?;
        self.settle_acks(&listing.messages.iter().copied().collect())?;
        self.acknowledge(&dealt)?;
        if !self.is_settled() {
            self.write_state()?;
        }
        Ok(listing.messages)
    }

    /// One message from the worker; nothing where it is gone, or the disk fails.
    fn read_outward(&self, seq: u64, bytes: &mut u64) -> Result<Option<(Header, Message)>, Bad> {
        let direction = Direction::FromWorker;
        let file = match self.outward.read(seq, direction.file_max()) {
            Ok(Some(file)) => file,
            Ok(None) => return Ok(None),
            Err(ReadError::Refused(refusal)) => return Err((Cause::Refused, refusal.to_string())),
            Err(ReadError::Failed(error)) => {
                tracing::warn!("{}", pinfold_base::Shown::of(&error));
                return Ok(None);
            }
        };
        *bytes += file.len() as u64;
        let (header, body) = format::open(&self.key, &self.sandbox, direction, Some(seq), file)
            .map_err(|error| (Cause::Integrity, error.to_string()))?;
        match Message::parse(direction, &body) {
            Ok(message) => Ok(Some((header, message))),
            Err(error) => Err((Cause::Refused, error.to_string())),
        }
    }

    /// Puts a file of the worker's aside while there is `room` for more of them this time.
    fn bury_outward(
        &self,
        room: &mut usize,
        name: &CStr,
        cause: Cause,
        reason: &str,
    ) -> Result<(), WorkerError> {
        if *room > 0 {
            // Once there is no place for one there is none for the others.
            *room = if self.bury(&self.outward, Shelf::Out, name, cause, reason)? { *room - 1 } else { 0 };
        }
        Ok(())
    }

    fn bury_message(
        &self,
        room: &mut usize,
        seq: u64,
        cause: Cause,
        reason: &str,
    ) -> Result<(), WorkerError> {
        let name = CString::new(spool::name(seq)).map_err(std::io::Error::from)?;
        self.bury_outward(room, &name, cause, reason)
    }

    fn note_schedule(&mut self, schedule: &Schedule, message: &Message) -> Result<(), String> {
        let now = now_ms() / 1000;
        let size = schedule.name.len() + schedule.text.len();
        if size > SCHEDULE_MAX {
            return Err(format!("a schedule has at most {SCHEDULE_MAX} bytes, this one {size}"));
        }
        let schedules = &mut self.state.schedules;
        schedules.retain(|one| one.name != schedule.name);
        if schedules.len() >= SCHEDULES_MAX {
            return Err(format!("a worker has at most {SCHEDULES_MAX} schedules"));
        }
        let every = schedule.every.map(|every| every.max(1));
        let next = schedule.at.or_else(|| every.map(|every| now.saturating_add(every))).unwrap_or(now);
        schedules.push(Scheduled {
            name: schedule.name.clone(),
            text: schedule.text.clone(),
            next,
            every,
            asked: message.id,
        });
        Ok(())
    }

    /// Removes our acknowledgements of what is gone, and publishes those whose writer was killed before.
    fn settle_acks(&mut self, there: &BTreeSet<u64>) -> Result<(), WorkerError> {
        let acks = std::mem::take(&mut self.state.acks);
        let mut gone = Vec::new();
        for (seq, acked) in acks {
            if !acked.iter().any(|one| there.contains(one)) {
                gone.push(seq);
                continue;
            }
            if self.inward.changed(&spool::name(seq)).is_none() {
                self.publish_ack(seq, &acked)?;
            }
            self.state.acks.push((seq, acked));
        }
        Ok(self.inward.remove_all(gone)?)
    }

    /// Lets go of messages from the worker: written down, then told.
    pub(super) fn acknowledge(&mut self, seqs: &[u64]) -> Result<(), WorkerError> {
        if seqs.is_empty() {
            return Ok(());
        }
        let mut new = Vec::new();
        for some in seqs.chunks(ACKS_MAX) {
            let seq = self.state.take();
            new.push((seq, some.to_vec()));
        }
        self.state.acks.extend(new.iter().cloned());
        self.write_state()?;
        for (seq, acked) in new {
            self.publish_ack(seq, &acked)?;
        }
        Ok(())
    }

    fn publish_ack(&self, seq: u64, acked: &[u64]) -> Result<(), WorkerError> {
        let ack = Message::new(Content::Ack).map_err(WorkerError::sealed("ack"))?;
        let body = ack.acknowledging(acked.to_vec()).to_body()?;
        let file = self.seal(Direction::ToWorker, seq, &body)?;
        match self.inward.publish(seq, &file)? {
            Published::New | Published::Taken => Ok(()),
        }
    }
}
