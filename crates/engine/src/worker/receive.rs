//! Receiving from a worker.

use std::os::fd::AsFd as _;
use std::time::Duration;
use std::time::Instant;

use pinfold_queue::Content;
use pinfold_queue::Message;
use pinfold_queue::MessageId;
use pinfold_queue::Watch;
use rustix::fs::FlockOperation;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::Serialize;
use serde_json::Value;

use super::dead::Letter;
use super::error::WorkerError;
use super::queue::Queue;

/// Whether what is received is let go of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taking {
    /// It is acknowledged once it was told.
    Take,
    /// It stays.
    Peek,
}

/// A message for somebody to read.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Delivery {
    /// Its sequence.
    pub seq: u64,
    /// Its id.
    pub id: String,
    /// The message that it answers.
    pub in_reply_to: Option<String>,
    /// Its kind.
    pub kind: &'static str,
    /// When it was written, in milliseconds since the epoch, by the worker's clock.
    pub created: u64,
    /// What it says.
    pub content: Value,
    /// The message.
    #[serde(skip)]
    pub message: Message,
}

/// What came while a reply was waited for.
#[derive(Debug)]
pub enum Waited {
    /// Said on the way: it goes on.
    Meanwhile(Delivery),
    /// The reply, or a question that has to be answered first.
    End(Delivery),
}

impl Queue {
    /// Hands on what waits to be received, in the order of the worker, and then lets go of it. `tell` says whether it could: what it
    /// did not tell is received again. Gives how many there were, and dead letters that nobody was told of.
    pub fn receive(
        &self,
        taking: Taking,
        mut tell: impl FnMut(&Delivery) -> bool,
    ) -> Result<(usize, Vec<Letter>), WorkerError> {
        // Two who receive at once get each message once.
        let _alone = self.receiving()?;
        let mut waiting = Vec::new();
        let mut letters = Vec::new();
        {
            let mut open = self.open()?;
            open.settle(|arrived| {
                waiting.push(delivery(arrived.header.seq, arrived.header.created, arrived.message));
            })?;
            let told = open.state.told;
            letters.extend(open.letters()?.into_iter().filter(|letter| letter.number > told));
        }
        // Nobody is kept from the queue while somebody reads.
        let told: Vec<&Delivery> = waiting.iter().take_while(|one| tell(one)).collect();
        if taking == Taking::Take && (!told.is_empty() || !letters.is_empty()) {
            let rest = waiting.get(told.len()).map(|one| one.seq);
            let last = letters.last().map(|letter| letter.number);
            self.let_go(&told, rest, last)?;
        }
        // The worker's own word on what it could not do is among the messages.
        letters.retain(|letter| !letter.is_undone());
        Ok((told.len(), letters))
    }

    /// Notes what was told, and acknowledges it.
    fn let_go(
        &self,
        told: &[&Delivery],
        waiting: Option<u64>,
        letter: Option<u64>,
    ) -> Result<(), WorkerError> {
        let mut open = self.open()?;
        open.state.waiting = waiting;
        for one in told {
            open.state.note_seen(one.message.id, one.seq);
            if let (Content::Reply(_) | Content::Error(_), Some(id)) =
                (&one.message.content, one.message.in_reply_to)
            {
                open.state.note_answered(id);
            }
        }
        open.state.told = open.state.told.max(letter.unwrap_or_default());
        let seqs: Vec<u64> = told.iter().map(|one| one.seq).collect();
        open.acknowledge(&seqs)?;
        open.keep_state()
    }

    /// Waits for the reply to a message, and lets go of what it hands on. `lives` says whether somebody is there who will reply.
    pub fn wait(
        &self,
        id: MessageId,
        most: Duration,
        mut lives: impl FnMut() -> bool,
        mut tell: impl FnMut(Waited) -> bool,
    ) -> Result<(), WorkerError> {
        let until = Instant::now() + most;
        let outward = self.outward()?;
        let mut watch = Watch::new([outward.as_fd()]);
        let mut looked: Option<Vec<u64>> = None;
        loop {
            // A reply that was written before its worker ended is found after that.
            let lived = lives();
            let now = outward.list(super::queue::OWN_FILES)?.messages;
            if looked.as_ref() != Some(&now) {
                let mut found = Vec::new();
                let mut open = self.open()?;
                let seen = open.settle(|arrived| {
                    if arrived.message.in_reply_to == Some(id) {
                        found.push(delivery(arrived.header.seq, arrived.header.created, arrived.message));
                    }
                })?;
                let waiting = open.state.waiting;
                drop(open);
                looked = Some(seen);
                for one in found {
                    let ends = matches!(
                        one.message.content,
                        Content::Reply(_) | Content::Error(_) | Content::Ask(_) | Content::ProbeResult(_)
                    );
                    let keep = one.clone();
                    if !tell(if ends { Waited::End(one) } else { Waited::Meanwhile(one) }) {
                        return Ok(());
                    }
                    self.let_go(&[&keep], waiting, None)?;
                    if ends {
                        return Ok(());
                    }
                }
            }
            if !lived {
                return Err(WorkerError::NotRunning(self.name.clone()));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(WorkerError::Late { name: self.name.clone(), seconds: most.as_secs() });
            }
            watch.wait(left, None);
        }
    }

    /// Whether a message of this id neither waits for the worker nor has a reply that waits: who sent it before has received that.
    pub fn is_over(&self, id: MessageId) -> Result<bool, WorkerError> {
        let mut open = self.open()?;
        let mut replied = false;
        open.settle(|arrived| replied |= arrived.message.in_reply_to == Some(id))?;
        Ok(!replied && open.state.answered.contains(&id))
    }

    /// Waits until something may have come; `most` at most.
    pub fn watch(&self) -> Result<impl FnMut(Duration), WorkerError> {
        let outward = self.outward()?;
        let mut watch = Watch::new([outward.as_fd()]);
        Ok(move |most| {
            let _ = &outward;
            watch.wait(most, None);
        })
    }

    /// Holds the right to receive.
    fn receiving(&self) -> Result<rustix::fd::OwnedFd, WorkerError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let path = self.folder.join("receiving");
        let file = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR).map_err(std::io::Error::from)?;
        let begun = Instant::now();
        loop {
            match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(file),
                Err(Errno::WOULDBLOCK | Errno::INTR) if begun.elapsed() < Duration::from_secs(20) => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(Errno::WOULDBLOCK | Errno::INTR) => return Err(WorkerError::Busy(self.name.clone())),
                Err(errno) => return Err(std::io::Error::from(errno).into()),
            }
        }
    }
}

/// A message as it is told.
pub(super) fn delivery(seq: u64, created: u64, message: Message) -> Delivery {
    let content = message.content.to_value().unwrap_or_default();
    Delivery {
        seq,
        id: message.id.to_string(),
        in_reply_to: message.in_reply_to.map(|id| id.to_string()),
        kind: message.content.kind(),
        created,
        content,
        message,
    }
}
