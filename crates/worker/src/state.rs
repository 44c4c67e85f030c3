//! What the worker knows from one start to the next: `out/state`, sealed for itself, replaced as a whole. No I/O here.
//!
//! **Guarantees**: the file says what is about to be published before it is (write ahead); its size is bounded ([`SEEN`], [`HISTORY`],
//! [`TURN`]), so that it always fits.

use std::collections::VecDeque;

use pinfold_queue::Message;
use pinfold_queue::MessageId;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

use crate::conversation::Brought;
use crate::conversation::Entry;
use crate::conversation::History;
use crate::conversation::size;
use crate::provider::Usage;

/// Ids of messages that were acted on, kept.
pub(crate) const SEEN: usize = 2048;
/// Bytes of the turns before this one.
pub(crate) const HISTORY: usize = 256 << 10;
/// Bytes of a turn; more, and it ends.
pub(crate) const TURN: usize = 1536 << 10;

/// The state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct State {
    /// The sequence of the next message.
    pub(crate) next: u64,
    /// Ids that were acted on, the newest last.
    pub(crate) seen: VecDeque<MessageId>,
    /// Messages that may not be published yet.
    pub(crate) pending: Vec<Pending>,
    /// The turns before.
    pub(crate) history: History,
    /// The turn that is not finished.
    pub(crate) turn: Option<Turn>,
    /// All tokens.
    pub(crate) usage: Usage,
    /// Turns that were finished.
    pub(crate) turns: u64,
}

/// A message with its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pending {
    /// Its sequence.
    pub(crate) seq: u64,
    /// Its body.
    pub(crate) body: Value,
}

/// A task that is being worked on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Turn {
    /// The task's id.
    pub(crate) id: MessageId,
    /// What is replied to: the task, or the answer that it went on with.
    pub(crate) answering: MessageId,
    /// Files of the host that are dealt with once the turn is finished: the task's, and those of answers.
    pub(crate) acks: Vec<u64>,
    /// What was said, the task first.
    pub(crate) entries: Vec<Entry>,
    /// Rounds of tools so far.
    pub(crate) rounds: u32,
    /// Tokens so far.
    pub(crate) usage: Usage,
    /// What is done next.
    pub(crate) step: Step,
}

/// Where a turn is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Step {
    /// The model is asked.
    Model,
    /// The calls of the last entry are made; so many are.
    Tools {
        /// What they brought.
        results: Vec<Brought>,
        /// The next call.
        call: Next,
    },
}

/// How far a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Next {
    /// It was not begun.
    New,
    /// It was begun, and would do something twice.
    Begun,
    /// It waits for the answer to this question.
    Asked(MessageId),
}

impl Turn {
    /// The turn of a task that lies in this file.
    pub(crate) fn new(id: MessageId, seq: u64, text: &str) -> Self {
        Self {
            id,
            answering: id,
            acks: vec![seq],
            entries: vec![Entry::User(text.to_owned())],
            rounds: 0,
            usage: Usage::default(),
            step: Step::Model,
        }
    }

    /// The question that it waits for.
    pub(crate) fn waits_for(&self) -> Option<MessageId> {
        match &self.step {
            Step::Tools { call: Next::Asked(id), .. } => Some(*id),
            _ => None,
        }
    }

    /// An id for its next message: the same after an end in the middle.
    pub(crate) fn derived(&self, what: &str) -> MessageId {
        let done = if let Step::Tools { results, .. } = &self.step { results.len() } else { 0 };
        MessageId::derived(&format!("{what} {} {} {done}", self.id, self.rounds))
    }

    /// Whether it exceeds [`TURN`].
    pub(crate) fn is_large(&self) -> bool {
        self.entries.iter().map(size).sum::<usize>() > TURN
    }
}

impl State {
    /// Notes that a message was acted on.
    pub(crate) fn saw(&mut self, id: MessageId) {
        self.seen.push_back(id);
        while self.seen.len() > SEEN {
            self.seen.pop_front();
        }
    }

    /// Whether it was.
    pub(crate) fn has_seen(&self, id: MessageId) -> bool {
        self.seen.iter().rev().any(|seen| *seen == id)
    }

    /// Gives a message its place; it is published once this state is kept. One whose text does not fit is shortened by who made it.
    /// Gives its bytes.
    pub(crate) fn put(&mut self, message: &Message) -> Result<usize, pinfold_queue::message::MessageError> {
        let body = message.to_body()?;
        let seq = self.next.max(1);
        self.pending.push(Pending { seq, body: serde_json::from_slice(&body)? });
        self.next = seq + 1;
        Ok(body.len())
    }
}

#[cfg(test)]
mod tests {
    use pinfold_queue::Content;

    use super::*;

    #[test]
    fn a_state_comes_back_as_it_was() {
        let id = MessageId::derived("task");
        let mut state = State::default();
        let mut turn = Turn::new(id, 7, "do");
        turn.step = Step::Tools { results: vec![], call: Next::Asked(turn.derived("ask")) };
        state.turn = Some(turn);
        for acks in [vec![1], vec![]] {
            let message = Message::new(Content::Ack).unwrap().acknowledging(acks);
            assert_eq!(state.put(&message).unwrap(), message.to_body().unwrap().len());
        }
        assert_eq!(state.pending.iter().map(|one| one.seq).collect::<Vec<_>>(), [1, 2]);
        let text = serde_json::to_vec(&state).unwrap();
        assert_eq!(serde_json::from_slice::<State>(&text).unwrap(), state);
    }

    #[test]
    fn ids_are_kept_up_to_their_number() {
        let mut state = State::default();
        let id = |number: usize| MessageId::derived(&number.to_string());
        for number in 0..=SEEN {
            state.saw(id(number));
        }
        assert!(!state.has_seen(id(0)) && state.has_seen(id(1)) && state.has_seen(id(SEEN)));
    }

    /// The largest state that the bounds allow fits into a file, whatever its characters cost in JSON.
    #[test]
    fn the_largest_state_fits() {
        let text = "\u{1}".repeat(1000);
        let mut state = State::default();
        for number in 0..SEEN {
            state.saw(MessageId::derived(&number.to_string()));
        }
        let mut turn = Turn::new(MessageId::derived("t"), 1, &text);
        while !turn.is_large() {
            turn.entries.push(Entry::User(text.clone()));
        }
        state.history.add(turn.entries.clone(), HISTORY);
        state.turn = Some(turn);
        for _ in 0..2 {
            state.pending.push(Pending { seq: 1, body: "a".repeat(pinfold_queue::format::BODY_MAX).into() });
        }
        let size = serde_json::to_vec(&state).unwrap().len();
        assert!(size < pinfold_queue::Direction::State.body_max(), "{size}");
    }
}
