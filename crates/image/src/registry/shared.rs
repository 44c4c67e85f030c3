//! Documents under a tag that several add to, in registries that know no conditional writes.
//!
//! ```text
//! add      read ─► with ours ─► write at once ─┬─ refused or broken ─► a pause ─► read …
//!                                              └─► written
//! settle   a pause ─► read all of them ─┬─ as they were left ─► done
//!                                       ├─ ours is in them, and somebody else's as well ─► a pause, read again
//!                                       └─ ours is not ─► add ─► a pause, read again
//! ```
//!
//! Whoever reads a document before ours is in it and writes it afterwards wipes ours. So nobody may rest between reading and writing, and
//! who has written looks again when those who had read before must have written; where others are at work, once more.
//!
//! **Guarantees**: entries of others are kept with all their fields; what [`settle`] ends well of was there after all had the time to
//! write that others need here.
//! **Refuses**: a document that keeps losing what is written to it, and one that is full.
//! (Somebody who rests for seconds between reading and writing still wipes what came between.)

use std::marker::PhantomData;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::Digest;

use super::RegistryError;
use super::Which;
use super::client::Again;
use super::client::Client;
use super::put::apart;
use super::put::is_stumble;
use super::upload::retry_after;
use crate::model::Descriptor;
use crate::model::Found;

/// How often documents are looked at until they stay as they are.
const LOOKS: u32 = 10;
/// How often writing one is tried, and reading one that is just being written.
const TRIES: u32 = 6;
/// As how many times the reading and writing of a document took others get for theirs: they may have less of a machine or a line.
const FACTOR: u32 = 4;
/// The shortest and the longest pause before a look.
const SHORTEST: Duration = Duration::from_millis(5);
const LONGEST: Duration = Duration::from_secs(5);

/// A document with entries.
pub(super) trait Listing: Sized {
    /// Most entries.
    const MOST: usize;

    /// What stands under a tag, or an empty one.
    fn read(client: &Client, tag: &Which, found: Option<Found>) -> Result<Self, RegistryError>;

    /// Its entries.
    fn entries(&mut self) -> &mut Vec<Descriptor>;

    /// Whether two entries are the same one.
    fn is_same(one: &Descriptor, other: &Descriptor) -> bool;

    /// Its media type and its bytes, after what it names was sent.
    fn compose(self, client: &Client) -> Result<(String, Vec<u8>), RegistryError>;
}

/// Entries of ours in one document, whatever its kind.
pub(super) trait Shared {
    /// Writes them beside what is there.
    fn add(&mut self, client: &Client) -> Result<(), RegistryError>;

    /// How they stand in it now.
    fn look(&mut self, client: &Client) -> Result<Look, RegistryError>;

    /// How long reading and writing took.
    fn took(&self) -> Duration;

    /// What an error says of them.
    fn half(&self) -> RegistryError;
}

/// How entries stand in a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// As it was left.
    Same,
    /// All of ours are in it, and somebody else has written it.
    Busy,
    /// Some of ours are not.
    Lost,
}

/// Entries of ours under a tag.
pub(super) struct Entries<L> {
    tag: Which,
    /// What they are, for people.
    what: String,
    ours: Vec<Descriptor>,
    /// All that stood there when it was last seen.
    seen: Vec<Descriptor>,
    took: Duration,
    kind: PhantomData<L>,
}

impl<L: Listing> Entries<L> {
    pub(super) fn new(tag: Which, what: String, ours: Vec<Descriptor>) -> Self {
        Self { tag, what, ours, seen: Vec::new(), took: Duration::ZERO, kind: PhantomData }
    }

    fn read(&self, client: &Client) -> Result<L, RegistryError> {
        let (mut left, mut attempts) = (TRIES, client.attempts());
        loop {
            match client.get_manifest(&self.tag, None) {
                // It may be just being written.
                Err(RegistryError::Lied { .. }) if left > 0 && apart(&mut attempts, None) => left -= 1,
                found => return L::read(client, &self.tag, found?),
            }
        }
    }

    /// Entries of ours that are not among others.
    fn missing(&self, among: &[Descriptor]) -> Vec<Descriptor> {
        let is_there = |ours: &Descriptor| among.iter().any(|there| L::is_same(there, ours));
        self.ours.iter().filter(|ours| !is_there(ours)).cloned().collect()
    }
}

impl<L: Listing> Shared for Entries<L> {
    fn add(&mut self, client: &Client) -> Result<(), RegistryError> {
        let (mut left, mut attempts) = (TRIES, client.attempts());
        loop {
            let begun = Instant::now();
            let mut document = self.read(client)?;
            let missing = self.missing(document.entries());
            if missing.is_empty() {
                self.seen.clone_from(document.entries());
                return Ok(());
            }
            document.entries().extend(missing);
            if document.entries().len() > L::MOST {
                return Err(self.half());
            }
            let with_ours = document.entries().clone();
            let (media_type, bytes) = document.compose(client)?;
            match client.put_once(&self.tag, &media_type, &bytes, Again::Never) {
                Ok(()) => {
                    self.took = self.took.max(begun.elapsed());
                    self.seen = with_ours;
                    return Ok(());
                }
                // What was read is old after a pause.
                Err(error) if may_pass(&error) && left > 0 && apart(&mut attempts, retry_after(&error)) => {
                    tracing::info!(%error, tag = %self.tag, "written again");
                    left -= 1;
                }
                Err(error) => return Err(client.kept(&self.tag, &Digest::sha256(&bytes), error)),
            }
        }
    }

    fn look(&mut self, client: &Client) -> Result<Look, RegistryError> {
        let now = std::mem::take(self.read(client)?.entries());
        Ok(if !self.missing(&now).is_empty() {
            Look::Lost
        } else if now == self.seen {
            Look::Same
        } else {
            self.seen = now;
            Look::Busy
        })
    }

    fn took(&self) -> Duration {
        self.took
    }

    fn half(&self) -> RegistryError {
        RegistryError::Half { what: self.what.clone(), entries: self.ours.len() }
    }
}

/// Whether writing may do better a moment later.
fn may_pass(error: &RegistryError) -> bool {
    match error {
        RegistryError::Http(error) => error.is_passing(),
        RegistryError::Status { status, .. } => {
            is_stumble(error) || matches!(status, 408 | 425 | 429 | 500..=599)
        }
        _ => false,
    }
}

/// Sees to it that what was added stays.
pub(super) fn settle(client: &Client, documents: &mut [Box<dyn Shared>]) -> Result<(), RegistryError> {
    for _ in 0..LOOKS {
        let took = documents.iter().map(|document| document.took()).max().unwrap_or_default();
        pause(client, took * FACTOR);
        let mut calm = true;
        for document in &mut *documents {
            match document.look(client)? {
                Look::Same => {}
                Look::Busy => calm = false,
                Look::Lost => {
                    calm = false;
                    document.add(client)?;
                }
            }
        }
        if calm {
            return Ok(());
        }
    }
    for document in documents {
        // Others may go on for ever: what counts is ours.
        if document.look(client)? == Look::Lost {
            return Err(document.half());
        }
    }
    Ok(())
}

/// As long as before another attempt, at least.
fn pause(client: &Client, least: Duration) {
    let begun = Instant::now();
    apart(&mut client.attempts(), None);
    let left = least.clamp(SHORTEST, LONGEST).saturating_sub(begun.elapsed());
    std::thread::sleep(left);
}
