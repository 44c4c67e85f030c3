//! Dead letters: what cannot be read, or was not done, kept with the reason until somebody looks.
//!
//! `dead/N` is the file as it was, whatever it is; `dead/N.reason` says where it came from and why. The reason is written first. There
//! are at most [`LETTERS_MAX`]; what more is bad stays where it is.

use std::ffi::CStr;
use std::ffi::CString;
use std::os::fd::AsFd as _;
use std::time::Duration;

use pinfold_base::directory;
use pinfold_queue::Content;
use pinfold_queue::Direction;
use pinfold_queue::Message;
use pinfold_queue::MessageId;
use pinfold_queue::Spool;
use pinfold_queue::format;
use pinfold_queue::spool;
use pinfold_queue::spool::ReadError;
use rustix::fs::RenameFlags;
use rustix::io::Errno;
use serde::Deserialize;
use serde::Serialize;

use super::error::WorkerError;
use super::list::Shelf;
use super::queue::Open;
use super::queue::now_ms;
use super::send::Sent;

/// Most letters that are kept.
pub(super) const LETTERS_MAX: usize = 1000;
/// Longest reason that is read, in bytes.
const REASON_MAX: usize = 16 << 10;
/// Characters of a foreign name that are kept.
const NAME_MAX: usize = 300;

/// How a letter came to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Cause {
    /// It is no sealed message of this place.
    Integrity,
    /// It is nothing that is read.
    Refused,
    /// The worker could not do it.
    Failed,
}

/// A dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Letter {
    /// Its number.
    #[serde(default)]
    pub number: u64,
    /// The directory that it was in.
    pub from: Shelf,
    /// The name that it had there.
    pub name: String,
    pub(super) cause: Cause,
    /// Why.
    pub reason: String,
    /// When, in seconds since the epoch.
    pub at: u64,
}

impl Letter {
    /// Whether a tag or a format did not hold.
    pub fn is_damaged(&self) -> bool {
        self.cause == Cause::Integrity
    }

    /// Whether the worker said that it could not do it, which it has told in a message, too.
    pub fn is_undone(&self) -> bool {
        self.cause == Cause::Failed
    }
}

fn reason_name(number: u64) -> String {
    format!("{}.reason", spool::name(number))
}

impl Open<'_> {
    pub(super) fn dead(&self) -> Result<Spool, WorkerError> {
        Ok(Spool::open(&self.queue.folder.join("dead"))?)
    }

    /// Moves a file to the dead letters; whether there was room.
    pub(super) fn bury(
        &self,
        from: &Spool,
        shelf: Shelf,
        name: &CStr,
        cause: Cause,
        reason: &str,
    ) -> Result<bool, WorkerError> {
        let dead = self.dead()?;
        if dead.list(&[])?.count >= LETTERS_MAX {
            return Ok(false);
        }
        let mut number = self.next_letter()?;
        let shown: String =
            pinfold_base::Shown::bytes(name.to_bytes()).as_str().chars().take(NAME_MAX).collect();
        loop {
            let letter = Letter {
                number,
                from: shelf,
                name: shown.clone(),
                cause,
                reason: reason.to_owned(),
                at: now_ms() / 1000,
            };
            let text = serde_json::to_vec(&letter).map_err(std::io::Error::from)?;
            dead.replace(&reason_name(number), &text)?;
            let to = spool::name(number);
            match rustix::fs::renameat_with(from, name, &dead, to.as_str(), RenameFlags::NOREPLACE) {
                Ok(()) => {
                    let _ = rustix::fs::fsync(&dead);
                }
                Err(Errno::NOENT) => dead.remove_named(&reason_name(number))?,
                Err(Errno::EXIST) => {
                    number += 1;
                    continue;
                }
                Err(Errno::NOSPC | Errno::DQUOT | Errno::IO) => return Ok(false),
                // A directory that may not be moved. It held no message; its reason stays, with an empty letter.
                Err(_) => {
                    let _ = directory::remove_at(from.as_fd(), name);
                    let _ = dead.publish(number, b"")?;
                }
            }
            return Ok(true);
        }
    }

    /// The number that the next letter has.
    pub(super) fn next_letter(&self) -> Result<u64, WorkerError> {
        // Reasons have names of their own, which are not messages.
        let listing = self.dead()?.list(&[])?;
        let stray = listing.strange.iter().filter_map(|name| number_of_reason(name));
        let number = listing.messages.last().copied().into_iter().chain(stray).max().unwrap_or(0);
        Ok(number.max(self.state.told) + 1)
    }

    /// The same for one of the host's own files.
    pub(super) fn bury_own(&self, name: &str, reason: &str) -> Result<(), WorkerError> {
        let c_name = CString::new(name).map_err(std::io::Error::from)?;
        if !self.bury(&self.own, Shelf::Host, &c_name, Cause::Integrity, reason)? {
            self.own.remove_named(name)?;
        }
        Ok(())
    }

    /// The letters, oldest first.
    pub(super) fn letters(&self) -> Result<Vec<Letter>, WorkerError> {
        let dead = self.dead()?;
        let numbers = dead.list(&[])?.messages;
        Ok(numbers.into_iter().map(|number| letter(&dead, number)).collect())
    }

    /// One letter.
    pub(super) fn letter_of(&self, number: u64) -> Result<Letter, WorkerError> {
        let dead = self.dead()?;
        if dead.changed(&spool::name(number)).is_none() {
            return Err(self.no_message(format!("dead/{number}")));
        }
        Ok(letter(&dead, number))
    }

    pub(super) fn no_message(&self, place: String) -> WorkerError {
        WorkerError::NoMessage { name: self.queue.name.clone(), place }
    }

    /// What a letter says, where that can be read.
    pub(super) fn letter_message(&self, letter: &Letter) -> Result<(u64, Message), WorkerError> {
        let what = format!("dead/{}", letter.number);
        let direction = match letter.from {
            Shelf::In => Direction::ToWorker,
            Shelf::Out => Direction::FromWorker,
            Shelf::Host | Shelf::Dead => {
                return Err(WorkerError::NotAgain { place: what, problem: "it was no message".into() });
            }
        };
        let bytes = match self.dead()?.read(letter.number, direction.file_max()) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(self.no_message(what)),
            Err(ReadError::Refused(refusal)) => {
                return Err(WorkerError::NotAgain { place: what, problem: refusal.to_string() });
            }
            Err(ReadError::Failed(failed)) => return Err(failed.into()),
        };
        let seq = spool::sequence(letter.name.as_bytes());
        let (header, body) = format::open(&self.key, &self.sandbox, direction, seq, bytes)
            .map_err(WorkerError::sealed(what.as_str()))?;
        let message = Message::parse(direction, &body)
            .map_err(|error| WorkerError::Unusable { what, problem: error.to_string() })?;
        Ok((header.seq, message))
    }

    /// Sends again what the worker could not do, as a new message; lets in again what can be read now.
    pub(super) fn requeue(&mut self, number: u64) -> Result<Option<Sent>, WorkerError> {
        let letter = self.letter_of(number)?;
        let (seq, message) = self.letter_message(&letter)?;
        let dead = self.dead()?;
        let sent = if letter.from == Shelf::In {
            // The worker does nothing twice for one id.
            let id = MessageId::derived(&format!("pinfold again {} {number}", message.id));
            let again = Message { id, acks: Vec::new(), ..message };
            if !matches!(again.content, Content::Task(_) | Content::Answer(_)) {
                return Err(WorkerError::NotAgain {
                    place: format!("dead/{number}"),
                    problem: format!("it is of kind `{}`", again.content.kind()),
                });
            }
            let sent = self.send(&again)?;
            dead.remove(number)?;
            Some(sent)
        } else {
            let (from, to) = (spool::name(number), spool::name(seq));
            rustix::fs::renameat_with(&dead, &from, &self.outward, &to, RenameFlags::NOREPLACE).map_err(
                |errno| WorkerError::NotAgain {
                    place: format!("dead/{number}"),
                    problem: std::io::Error::from(errno).to_string(),
                },
            )?;
            None
        };
        dead.remove_named(&reason_name(number))?;
        Ok(sent)
    }

    /// Removes a letter, whatever it is.
    pub(super) fn drop_letter(&self, number: u64) -> Result<(), WorkerError> {
        self.letter_of(number)?;
        let dead = self.dead()?;
        let name = CString::new(spool::name(number)).map_err(std::io::Error::from)?;
        directory::remove_at(dead.as_fd(), &name)
            .map_err(|remains| WorkerError::Io(std::io::Error::other(remains.to_string())))?;
        Ok(dead.remove_named(&reason_name(number))?)
    }

    /// Removes letters that are older, and says how many.
    pub(super) fn prune(&self, older: Duration) -> Result<usize, WorkerError> {
        let since = (now_ms() / 1000).saturating_sub(older.as_secs());
        let mut count = 0;
        for letter in self.letters()? {
            if letter.at <= since {
                self.drop_letter(letter.number)?;
                count += 1;
            }
        }
        // Of a letter that nobody lived to put aside.
        let dead = self.dead()?;
        for name in dead.list(&[])?.strange {
            if let Some(number) = number_of_reason(&name)
                && dead.changed(&spool::name(number)).is_none()
            {
                dead.remove_named(&reason_name(number))?;
            }
        }
        Ok(count)
    }
}

/// A letter with its reason.
fn letter(dead: &Spool, number: u64) -> Letter {
    let text = dead.read_named(&reason_name(number), REASON_MAX).ok().flatten();
    let known = text.and_then(|text| serde_json::from_slice::<Letter>(&text).ok());
    known.map_or_else(
        || Letter {
            number,
            from: Shelf::Host,
            name: spool::name(number),
            cause: Cause::Refused,
            reason: "its reason is gone".into(),
            at: 0,
        },
        |letter| Letter { number, ..letter },
    )
}

fn number_of_reason(name: &CStr) -> Option<u64> {
    spool::sequence(name.to_bytes().strip_suffix(b".reason")?)
}
