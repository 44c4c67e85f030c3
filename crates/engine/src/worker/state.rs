//! What the host remembers of a queue, sealed beside it.

use std::collections::BTreeSet;
use std::collections::VecDeque;

use pinfold_queue::MessageId;
use serde::Deserialize;
use serde::Serialize;

/// Ids that are remembered.
const REMEMBERED: usize = 4096;
/// Schedules of one worker.
pub(super) const SCHEDULES_MAX: usize = 64;
/// Bytes of a schedule's name and text.
pub(super) const SCHEDULE_MAX: usize = 16 << 10;

/// The host's state. A file of the worker has another shape, so that neither is taken for the other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct State {
    /// How often it was written.
    pub(super) version: u64,
    /// The next sequence; numbers below were given away, or may have been.
    pub(super) next: u64,
    /// A message whose number is taken and that may not be published yet.
    pub(super) unsure: Option<(MessageId, u64)>,
    /// Ids of messages that were sent, oldest first.
    pub(super) sent: VecDeque<MessageId>,
    /// Ids of messages whose reply was received, oldest first.
    pub(super) answered: VecDeque<MessageId>,
    /// Messages from the worker that were dealt with, oldest first.
    pub(super) seen: VecDeque<(MessageId, u64)>,
    /// The highest sequence of one that is remembered no more: what is not above it was dealt with.
    pub(super) floor: Option<u64>,
    /// Our acknowledgements, each with what it acknowledges, until that is gone.
    pub(super) acks: Vec<(u64, Vec<u64>)>,
    /// Tasks for later.
    pub(super) schedules: Vec<Scheduled>,
    /// The highest dead letter that was told.
    pub(super) told: u64,
    /// The lowest sequence that waits to be received.
    #[serde(skip)]
    pub(super) waiting: Option<u64>,
}

/// A task for later.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scheduled {
    /// Its name.
    pub name: String,
    /// What the task says.
    pub text: String,
    /// When it is next sent, in seconds since the epoch.
    pub next: u64,
    /// So many seconds apart; nothing when it is sent once.
    pub every: Option<u64>,
    /// The message that asked for it.
    pub asked: MessageId,
}

impl Scheduled {
    /// The id of the task that is due: the same each time that it is sent for this time.
    pub(super) fn task_id(&self) -> MessageId {
        MessageId::derived(&format!("pinfold schedule {} {}", self.asked, self.next))
    }

    /// The same after it was sent at `now`; nothing when that was all. What was missed is not made up for.
    pub(super) fn after(&self, now: u64) -> Option<Self> {
        let every = self.every?.max(1);
        let missed = now.saturating_sub(self.next) / every;
        let next = self.next.saturating_add(every.saturating_mul(missed.saturating_add(1)));
        Some(Self { next, ..self.clone() })
    }
}

impl State {
    /// Of a queue that has none: numbers begin at 1, or above all that a lost one can have given.
    pub(super) fn beginning(next: u64) -> Self {
        Self { next, ..Self::default() }
    }

    /// Whether a message of this id was sent.
    pub(super) fn was_sent(&self, id: MessageId) -> bool {
        self.sent.contains(&id)
    }

    /// Remembers one that was sent.
    pub(super) fn note_sent(&mut self, id: MessageId) {
        if !self.was_sent(id) {
            self.sent.push_back(id);
        }
        while self.sent.len() > REMEMBERED {
            self.sent.pop_front();
        }
    }

    /// Remembers that a reply was received.
    pub(super) fn note_answered(&mut self, id: MessageId) {
        self.answered.push_back(id);
        while self.answered.len() > REMEMBERED {
            self.answered.pop_front();
        }
    }

    /// Whether a message from the worker was dealt with.
    pub(super) fn was_seen(&self, id: MessageId) -> bool {
        self.seen.iter().any(|(seen, _)| *seen == id)
    }

    /// Whether it is so old that it would be remembered no more.
    pub(super) fn is_old(&self, seq: u64) -> bool {
        self.floor.is_some_and(|floor| seq <= floor)
    }

    /// Remembers one that was dealt with.
    pub(super) fn note_seen(&mut self, id: MessageId, seq: u64) {
        if !self.was_seen(id) {
            self.seen.push_back((id, seq));
        }
        while self.seen.len() > REMEMBERED {
            let gone = self.seen.pop_front().map(|(_, seq)| seq);
            // What waits yet is not old.
            let below = self.waiting.map_or(gone, |waiting| gone.min(waiting.checked_sub(1)));
            self.floor = self.floor.max(below);
        }
    }

    /// Sequences of the worker that we have acknowledged and that may still be there.
    pub(super) fn acknowledged(&self) -> BTreeSet<u64> {
        self.acks.iter().flat_map(|(_, acks)| acks.iter().copied()).collect()
    }

    /// Takes a number.
    pub(super) fn take(&mut self) -> u64 {
        let seq = self.next;
        self.next += 1;
        seq
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> MessageId {
        MessageId::derived(&n.to_string())
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_is_older_is_known_as_old() {
        let mut state = State::default();
        for n in 0..REMEMBERED as u64 + 10 {
            assert!(!state.is_old(n));
            state.note_seen(id(n), n);
            state.note_sent(id(n));
        }
        assert_eq!((state.seen.len(), state.sent.len()), (REMEMBERED, REMEMBERED));
        assert!(state.is_old(9) && !state.is_old(10));
        assert!(!state.was_seen(id(9)) && state.was_seen(id(10)));
    }

    #[test]
    fn what_waits_does_not_become_old() {
        let mut state = State { waiting: Some(5), ..State::default() };
        for n in 6..REMEMBERED as u64 + 100 {
            state.note_seen(id(n), n);
        }
        assert!(state.is_old(4) && !state.is_old(5));
    }

    #[test]
    fn what_was_missed_is_sent_once() {
        let asked = id(1);
        let daily = Scheduled { name: "a".into(), text: "b".into(), next: 1000, every: Some(100), asked };
        for (now, next) in [(1000, 1100), (1099, 1100), (1100, 1200), (5555, 5600)] {
            assert_eq!(daily.after(now).unwrap().next, next, "{now}");
        }
        let once = Scheduled { every: None, ..daily.clone() };
        assert_eq!(once.after(1000), None);
        assert_ne!(daily.task_id(), daily.after(1000).unwrap().task_id());
    }
}
