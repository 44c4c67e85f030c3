//! Which messages lie in a directory that somebody else may fill.

use std::collections::BinaryHeap;
use std::ffi::CString;
use std::mem::MaybeUninit;

use rustix::fs::Mode;
use rustix::fs::RawDir;

use super::DIRECTORY;
use super::FILES_MAX;
use super::Spool;
use super::SpoolError;
use super::TEMPORARY;
use super::sequence;

/// Names of a directory that are looked at.
pub const SCAN_MAX: usize = 250_000;
/// Other names that are told.
pub const STRANGE_MAX: usize = 64;
/// Unfinished files that are told.
const UNFINISHED_MAX: usize = 1024;

/// What a directory holds. Its size is bounded whatever that is.
#[derive(Debug, Default)]
pub struct Listing {
    /// Sequences of messages, the first [`FILES_MAX`], ascending.
    pub messages: Vec<u64>,
    /// Messages that are there; more than `messages` has where somebody floods.
    pub count: usize,
    /// Names that none of ours is, the first [`STRANGE_MAX`] that were met, and how many there are.
    pub strange: Vec<CString>,
    /// How many there are of them.
    pub strange_count: usize,
    /// Whether there are more than [`SCAN_MAX`] names, so that messages may be missing above.
    pub is_cut: bool,
    /// Files that are being written.
    pub(super) unfinished: Vec<String>,
}

impl Spool {
    /// The messages that are there now; `known` are the other names that belong there.
    pub fn list(&self, known: &[&str]) -> Result<Listing, SpoolError> {
        // A descriptor of its own: each has one position.
        let directory = rustix::fs::openat(&self.directory, c".", DIRECTORY, Mode::empty())
            .map_err(SpoolError::at("list", "."))?;
        let mut listing = Listing::default();
        // The largest is on top, to be dropped for a smaller one.
        let mut first = BinaryHeap::new();
        let mut buffer = vec![MaybeUninit::uninit(); 32 << 10];
        let mut entries = RawDir::new(directory, &mut buffer);
        let mut scanned = 0;
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(SpoolError::at("list", "."))?;
            let name = entry.file_name();
            let bytes = name.to_bytes();
            if matches!(bytes, b"." | b"..") || known.iter().any(|known| known.as_bytes() == bytes) {
                continue;
            }
            scanned += 1;
            if scanned > SCAN_MAX {
                listing.is_cut = true;
                break;
            }
            if let Some(seq) = sequence(bytes) {
                listing.count += 1;
                first.push(seq);
                if first.len() > FILES_MAX {
                    first.pop();
                }
            } else if bytes.starts_with(TEMPORARY.as_bytes()) {
                if let Ok(name) = name.to_str()
                    && listing.unfinished.len() < UNFINISHED_MAX
                {
                    listing.unfinished.push(name.to_owned());
                }
            } else {
                listing.strange_count += 1;
                if listing.strange.len() < STRANGE_MAX {
                    listing.strange.push(name.to_owned());
                }
            }
        }
        listing.messages = first.into_sorted_vec();
        listing.strange.sort();
        Ok(listing)
    }
}
