//! What a proxy has done, in numbers that only grow, for whoever watches it.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use super::journal::Event;
use super::journal::Note;

/// What became of something.
#[derive(Debug, Default)]
struct Results {
    allowed: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

impl Results {
    fn figures(&self) -> ResultFigures {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        ResultFigures { allowed: of(&self.allowed), refused: of(&self.refused), failed: of(&self.failed) }
    }
}

/// The counts of one policy.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    tunnels: Results,
    requests: Results,
    routes: Results,
    malformed: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Counts {
    /// Counts what a line of the journal is about.
    pub(crate) fn count(&self, note: &Note) {
        let results = match note.event {
            Event::Connect => &self.tunnels,
            Event::Http => &self.requests,
            Event::Route => &self.routes,
            Event::Malformed => {
                self.malformed.fetch_add(1, Ordering::Relaxed);
                return;
            }
            Event::Closed | Event::Unknown => return,
        };
        let result = match note.status {
            _ if note.allowed => &results.allowed,
            Some(500..) => &results.failed,
            _ => &results.refused,
        };
        result.fetch_add(1, Ordering::Relaxed);
    }

    /// Bytes that went to servers, and that came from them.
    pub(crate) fn add_bytes(&self, sent: u64, received: u64) {
        self.sent.fetch_add(sent, Ordering::Relaxed);
        self.received.fetch_add(received, Ordering::Relaxed);
    }

    pub(crate) fn figures(&self) -> PolicyFigures {
        PolicyFigures {
            tunnels: self.tunnels.figures(),
            requests: self.requests.figures(),
            routes: self.routes.figures(),
            malformed: self.malformed.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
        }
    }
}

/// How many were let through, were refused, and were let through but came to nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResultFigures {
    /// Let through.
    pub allowed: u64,
    /// Not let through.
    pub refused: u64,
    /// Not reached.
    pub failed: u64,
}

/// What sandboxes of one policy did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PolicyFigures {
    /// Tunnels.
    pub tunnels: ResultFigures,
    /// Plain requests.
    pub requests: ResultFigures,
    /// Requests at credential routes.
    pub routes: ResultFigures,
    /// What could not be read, or found no room.
    pub malformed: u64,
    /// Bytes to servers.
    pub sent: u64,
    /// Bytes from servers.
    pub received: u64,
}

/// A proxy in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Connections now.
    pub connections: usize,
    /// Of these, tunnels.
    pub tunnels: usize,
    /// Of these, in the hands of threads.
    pub requests: usize,
    /// Tokens that are known.
    pub identities: usize,
    /// Connections that were taken, ever.
    pub accepted: u64,
    /// Hand-shakes that came to nothing, ever.
    pub shakes_failed: u64,
    /// Connections whose token was not known, or came from elsewhere, ever.
    pub unknown: u64,
    /// Connections of a sandbox that had too many, ever.
    pub crowded: u64,
    /// By policy.
    pub policies: BTreeMap<String, PolicyFigures>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_counted_once() {
        let counts = Counts::default();
        for (event, allowed, status) in [
            (Event::Connect, true, None),
            (Event::Closed, true, None),
            (Event::Connect, false, Some(403)),
            (Event::Connect, false, Some(502)),
            (Event::Route, true, None),
            (Event::Http, false, Some(403)),
            (Event::Malformed, false, None),
        ] {
            counts.count(&Note { status, ..Note::new(event, &"a.example:443", allowed) });
        }
        counts.add_bytes(3, 4);
        let figures = counts.figures();
        assert_eq!(figures.tunnels, ResultFigures { allowed: 1, refused: 1, failed: 1 });
        assert_eq!((figures.routes.allowed, figures.requests.refused, figures.malformed), (1, 1, 1));
        assert_eq!((figures.sent, figures.received), (3, 4));
    }
}
