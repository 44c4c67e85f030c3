//! A connection before it is served: its preamble, who speaks, and the head of its request.
//!
//! **Guarantees**: what is read before the token is known is the preamble alone; the token is overwritten as soon as it is read.

use std::net::IpAddr;
use std::time::Instant;

use super::Shared;
use super::members::Seat;
use crate::events::end::Came;
use crate::events::end::End;
use crate::relay::Preamble;
use crate::wire::head::HEAD_MAX;
use crate::wire::preamble::Proven;

/// What reading gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// More may come.
    More,
    /// The head is whole, or cannot be right.
    Whole,
    /// The client has gone, or is no relay.
    Gone,
    /// Nobody has this token, or not from there.
    Unknown,
    /// The sandbox has too many connections.
    Crowded,
}

/// A connection whose head is awaited.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) client: End,
    /// Where it comes from, over TCP.
    pub(crate) peer: Option<IpAddr>,
    /// Whose it is, once that is proven.
    pub(crate) seat: Option<Seat>,
    pub(crate) preamble: Option<Preamble>,
    /// What came of the head, or of the preamble before.
    pub(crate) bytes: Vec<u8>,
    pub(crate) until: Instant,
}

impl Reading {
    pub(crate) fn new(client: End, peer: Option<IpAddr>, seat: Option<Seat>, until: Instant) -> Self {
        Self { client, peer, seat, preamble: None, bytes: Vec::new(), until }
    }

    /// Bytes that are held.
    pub(crate) fn held(&self) -> usize {
        self.bytes.len() + self.client.held()
    }

    /// Reads what is there.
    pub(crate) fn advance(&mut self, shared: &Shared) -> Read {
        if self.client.unsent() > 0 {
            self.client.flush();
        }
        let mut piece = [0; 4096];
        loop {
            let before = self.bytes.len();
            let count = match self.client.receive(&mut piece) {
                Came::Bytes(count) => count,
                Came::Nothing => return Read::More,
                Came::Ended | Came::Broken => return Read::Gone,
            };
            self.bytes.extend_from_slice(&piece[..count]);
            piece[..count].fill(0);
            let before = if self.preamble.is_none() {
                match self.introduce(shared) {
                    Read::More if self.preamble.is_none() => continue,
                    Read::More => 0,
                    read => return read,
                }
            } else {
                before
            };
            if self.bytes.len() >= HEAD_MAX || head_is_whole(&self.bytes, before) {
                return Read::Whole;
            }
        }
    }

    /// Reads the preamble, and who speaks where that is not known by the socket.
    fn introduce(&mut self, shared: &Shared) -> Read {
        if self.seat.is_some() {
            let Some((&own, _)) = self.bytes.split_first_chunk() else { return Read::More };
            self.preamble = Preamble::decode(own);
            self.bytes.drain(..Preamble::BYTES);
            return if self.preamble.is_some() { Read::More } else { Read::Gone };
        }
        let proven = match Proven::read(&mut self.bytes) {
            Ok(None) => return Read::More,
            Ok(Some(proven)) => proven,
            Err(_) => return Read::Gone,
        };
        self.bytes.drain(..Proven::BYTES);
        self.preamble = Some(proven.preamble);
        let members = shared.members();
        let member = self.peer.and_then(|peer| members.find(&proven.token.hash(), peer));
        let Some(member) = member else { return Read::Unknown };
        self.seat = Seat::take(member, self.peer, shared.limits.per_sandbox);
        if self.seat.is_some() { Read::More } else { Read::Crowded }
    }
}

/// Whether the head has come, or cannot be right whatever comes. Looks only at what is new.
fn head_is_whole(head: &[u8], before: usize) -> bool {
    if head.first().is_some_and(|byte| !byte.is_ascii_uppercase()) {
        return true;
    }
    let from = before.saturating_sub(3);
    head.get(from..).is_some_and(|new| new.windows(4).any(|window| window == b"\r\n\r\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_head_is_found_at_any_cut() {
        let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody";
        let end = text.len() - 4;
        for cut in 0..text.len() {
            for before in 0..=cut {
                // As if the bytes had come in two pieces, the first without an end.
                if before < end {
                    assert_eq!(head_is_whole(&text[..cut], before), cut >= end, "{before} {cut}");
                }
            }
        }
        assert!(head_is_whole(b"\x16", 0));
        assert!(!head_is_whole(b"", 0));
    }
}
