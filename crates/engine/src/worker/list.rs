//! What lies in a queue.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use pinfold_queue::Direction;
use pinfold_queue::Message;
use pinfold_queue::Spool;
use pinfold_queue::format;
use pinfold_queue::spool;
use serde::Deserialize;
use serde::Serialize;

use super::dead::Letter;
use super::error::WorkerError;
use super::queue::OWN_FILES;
use super::queue::Open;
use super::queue::Queue;
use super::queue::now_ms;
use super::receive::Delivery;
use super::receive::delivery;
use super::send::Sent;
use super::state::Scheduled;

/// A directory of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shelf {
    /// To the worker.
    In,
    /// From it.
    Out,
    /// Dead letters.
    Dead,
    /// The host's own files.
    Host,
}

impl fmt::Display for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::In => "in",
            Self::Out => "out",
            Self::Dead => "dead",
            Self::Host => "host",
        })
    }
}

/// One message of a queue: `in/3`, `out/4`, `dead/1`; a number alone where only one directory has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Where {
    shelf: Option<Shelf>,
    number: u64,
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.shelf {
            Some(shelf) => write!(f, "{shelf}/{}", self.number),
            None => write!(f, "{}", self.number),
        }
    }
}

impl FromStr for Where {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "it is written as `pinfold queue` shows it: in/3, out/4 or dead/1";
        let (shelf, number) = match text.split_once('/') {
            Some(("in", number)) => (Some(Shelf::In), number),
            Some(("out", number)) => (Some(Shelf::Out), number),
            Some(("dead", number)) => (Some(Shelf::Dead), number),
            Some(_) => return Err(WRONG),
            None => (None, text),
        };
        let number = number.parse().map_err(|_| WRONG)?;
        Ok(Self { shelf, number })
    }
}

/// What `ps` says of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Glance {
    /// Messages that wait for the worker.
    pub waiting: usize,
    /// Messages from it that nobody received.
    pub unread: usize,
    /// Age of the oldest of both, in seconds.
    pub oldest: Option<u64>,
    /// Seconds since the worker last said that it lives.
    pub heartbeat: Option<u64>,
    /// Dead letters.
    pub dead: usize,
}

/// A message that waits.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Waiting {
    /// Which directory.
    pub shelf: Shelf,
    /// Its sequence.
    pub seq: u64,
    /// Its id; nothing where it cannot be read.
    pub id: Option<String>,
    /// Its kind, or why it cannot be read.
    pub kind: String,
    /// When it was made, in milliseconds since the epoch.
    pub created: Option<u64>,
    /// Bytes of the file.
    pub size: usize,
}

/// All of a queue.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Listed {
    /// Messages that wait for the worker.
    #[serde(rename = "in")]
    pub inward: Vec<Waiting>,
    /// Messages from it that nobody received.
    #[serde(rename = "out")]
    pub outward: Vec<Waiting>,
    /// What cannot be used.
    pub dead: Vec<Letter>,
    /// Tasks for later.
    pub schedules: Vec<Scheduled>,
    /// Seconds since the worker last said that it lives.
    pub heartbeat: Option<u64>,
    /// Names in the worker's directory that are no messages and were not put aside, for there is no room.
    pub strange: usize,
}

/// What `ps` says of the queue in a sandbox's folder; nothing where it has none. Nobody is waited for, and nothing is changed.
pub fn glance(folder: &Path, name: &str) -> Option<Glance> {
    let queue = Queue::at(&folder.join("queue"), name).ok()?;
    let (inward, outward) = (Spool::open(&queue.folder.join("in")).ok()?, queue.outward().ok()?);
    let state = queue.read_only_state().unwrap_or_default();
    let acks: Vec<u64> = state.acks.iter().map(|(seq, _)| *seq).collect();
    let acknowledged = state.acknowledged();
    let (to, from) = (inward.list(&[]).ok()?, outward.list(OWN_FILES).ok()?);
    let now = now_ms() / 1000;
    let age = |spool: &Spool, name: &str| {
        spool.changed(name).map(|at| now.saturating_sub(u64::try_from(at).unwrap_or_default()))
    };
    let first = |spool: &Spool, seqs: &[u64], not: &dyn Fn(&u64) -> bool| {
        let seq = seqs.iter().find(|seq| !not(seq))?;
        age(spool, &spool::name(*seq))
    };
    let (is_ack, is_done) = (|seq: &u64| acks.contains(seq), |seq: &u64| acknowledged.contains(seq));
    Some(Glance {
        waiting: to.count.saturating_sub(to.messages.iter().filter(|seq| is_ack(seq)).count()),
        unread: from.count.saturating_sub(from.messages.iter().filter(|seq| is_done(seq)).count()),
        oldest: first(&inward, &to.messages, &is_ack).max(first(&outward, &from.messages, &is_done)),
        heartbeat: age(&outward, "alive"),
        dead: Spool::open(&queue.folder.join("dead"))
            .and_then(|dead| dead.list(&[]))
            .map_or(0, |dead| dead.count),
    })
}

impl Queue {
    /// All that lies there.
    pub fn list(&self) -> Result<Listed, WorkerError> {
        let mut open = self.open()?;
        open.inward.sweep()?;
        open.own.sweep()?;
        open.settle(|_| ())?;
        let acks: Vec<u64> = open.state.acks.iter().map(|(seq, _)| *seq).collect();
        let acknowledged = open.state.acknowledged();
        let outside = open.outward.list(OWN_FILES)?;
        let inward = open.inward.list(&[])?.messages.into_iter().filter(|seq| !acks.contains(seq));
        let outward = outside.messages.into_iter().filter(|seq| !acknowledged.contains(seq));
        let now = now_ms() / 1000;
        let alive = open.outward.changed("alive");
        Ok(Listed {
            inward: inward.map(|seq| open.waiting(Shelf::In, seq)).collect(),
            outward: outward.map(|seq| open.waiting(Shelf::Out, seq)).collect(),
            dead: open.letters()?,
            schedules: open.state.schedules.clone(),
            heartbeat: alive.map(|at| now.saturating_sub(u64::try_from(at).unwrap_or_default())),
            strange: outside.strange_count,
        })
    }

    /// One message, which stays; of a dead letter also why it is one.
    pub fn show(&self, place: Where) -> Result<(Option<Letter>, Option<Delivery>), WorkerError> {
        let open = self.open()?;
        let (shelf, seq) = open.find(place)?;
        if shelf == Shelf::Dead {
            let letter = open.letter_of(seq)?;
            let message = open.letter_message(&letter).ok();
            return Ok((Some(letter), message.map(|(seq, message)| delivery(seq, 0, message))));
        }
        let (created, message) = open.message(shelf, seq)?;
        Ok((None, Some(delivery(seq, created, message))))
    }

    /// Sends again what the worker could not do, or lets in what can be read by now.
    pub fn requeue(&self, place: Where) -> Result<Option<Sent>, WorkerError> {
        let mut open = self.open()?;
        match open.find(place)? {
            (Shelf::Dead, number) => open.requeue(number),
            (shelf, seq) => Err(WorkerError::NotAgain {
                place: format!("{shelf}/{seq}"),
                problem: "it waits, and is no dead letter".into(),
            }),
        }
    }

    /// Takes out a message, unread.
    pub fn drop_message(&self, place: Where) -> Result<(), WorkerError> {
        let mut open = self.open()?;
        match open.find(place)? {
            (Shelf::Dead, number) => open.drop_letter(number),
            (Shelf::Out, seq) => {
                if let Ok((_, message)) = open.message(Shelf::Out, seq) {
                    open.state.note_seen(message.id, seq);
                }
                open.acknowledge(&[seq])
            }
            (_, seq) => {
                if let Ok((_, message)) = open.message(Shelf::In, seq) {
                    // It may be sent again under its id.
                    open.state.sent.retain(|sent| *sent != message.id);
                }
                open.inward.remove(seq)?;
                open.keep_state()
            }
        }
    }

    /// Removes dead letters that are older, and says how many.
    pub fn prune(&self, older: Duration) -> Result<usize, WorkerError> {
        self.open()?.prune(older)
    }
}

impl Open<'_> {
    fn spool_of(&self, shelf: Shelf) -> (&Spool, Direction) {
        match shelf {
            Shelf::Out => (&self.outward, Direction::FromWorker),
            Shelf::In | Shelf::Dead | Shelf::Host => (&self.inward, Direction::ToWorker),
        }
    }

    /// Which message is meant.
    fn find(&self, place: Where) -> Result<(Shelf, u64), WorkerError> {
        let name = spool::name(place.number);
        let dead = self.dead()?;
        let places = [(Shelf::In, &self.inward), (Shelf::Out, &self.outward), (Shelf::Dead, &dead)];
        let wanted = places.into_iter().filter(|(shelf, _)| place.shelf.is_none_or(|asked| asked == *shelf));
        let found: Vec<Shelf> =
            wanted.filter(|(_, spool)| spool.changed(&name).is_some()).map(|(shelf, _)| shelf).collect();
        match found[..] {
            [shelf] => Ok((shelf, place.number)),
            _ => Err(self.no_message(place.to_string())),
        }
    }

    fn message(&self, shelf: Shelf, seq: u64) -> Result<(u64, Message), WorkerError> {
        let what = || format!("{shelf}/{seq}");
        let (spool, direction) = self.spool_of(shelf);
        let file = spool
            .read(seq, direction.file_max())
            .map_err(|error| WorkerError::Unusable { what: what(), problem: error.to_string() })?
            .ok_or_else(|| self.no_message(what()))?;
        let (header, body) = format::open(&self.key, &self.sandbox, direction, Some(seq), file)
            .map_err(WorkerError::sealed(what()))?;
        let message = Message::parse(direction, &body)
            .map_err(|error| WorkerError::Unusable { what: what(), problem: error.to_string() })?;
        Ok((header.created, message))
    }

    fn waiting(&self, shelf: Shelf, seq: u64) -> Waiting {
        let (spool, _) = self.spool_of(shelf);
        let size = rustix::fs::statat(spool, spool::name(seq), rustix::fs::AtFlags::SYMLINK_NOFOLLOW)
            .map_or(0, |stat| usize::try_from(stat.st_size).unwrap_or_default());
        match self.message(shelf, seq) {
            Ok((created, message)) => Waiting {
                shelf,
                seq,
                id: Some(message.id.to_string()),
                kind: message.content.kind().to_owned(),
                created: Some(created),
                size,
            },
            Err(error) => Waiting { shelf, seq, id: None, kind: error.to_string(), created: None, size },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_written_as_it_is_shown() {
        for text in ["in/3", "out/4", "dead/1", "12"] {
            assert_eq!(text.parse::<Where>().unwrap().to_string(), text);
        }
        for text in ["", "host/1", "in/", "in/x", "/1", "in/1/2", "-1"] {
            assert!(text.parse::<Where>().is_err(), "{text}");
        }
    }
}
