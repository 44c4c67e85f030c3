//! What one script may use: one number, for time and for memory.
//!
//! Everything whose size a script decides is charged where it is done: a command, a byte that is made or looked at, a step of
//! a match, a node that is visited. A unit is about a nanosecond of an ordinary machine. A byte that is made costs
//! [`PER_BYTE`] units, and what is not known to be gone is never given back, so that what a script can have in memory at once is
//! at most what it can make at all: `FUEL / PER_BYTE`, 102 MiB.
//!
//! **Guarantees**: once it has run out it stays so. A command that does not look ends at the next one that does, and a script
//! that ends without fuel has failed.

use std::cell::Cell;

use super::Errno;

/// What a script has. The one of Debian 12 that needs most, php8.2-common's, runs another script eighty times.
pub(in crate::debian) const FUEL: u64 = 2 << 30;
/// Units for a byte that is made.
const PER_BYTE: u64 = 20;
/// Units for a byte of these that stay spent when it is given back: the time that making it took.
const KEPT: u64 = 2;
/// What every value costs in memory, whatever its length.
const OVERHEAD: u64 = 32;

/// What is left. Shared by all that a script starts: functions, subshells, sourced files, scripts of the tree.
#[derive(Clone, Debug)]
pub(in crate::debian) struct Fuel(Cell<u64>);

impl Default for Fuel {
    fn default() -> Self {
        Self::of(FUEL)
    }
}

impl Fuel {
    /// This many units.
    pub(in crate::debian) fn of(units: u64) -> Self {
        Self(Cell::new(units))
    }

    /// Whether there is none left.
    pub(in crate::debian) fn has_run_out(&self) -> bool {
        self.0.get() == 0
    }

    /// Charges work: bytes that are looked at, steps of a match, nodes that are visited, each with its nanoseconds.
    pub(in crate::debian::script) fn spend(&self, work: u64) -> Result<(), Errno> {
        let left = self.0.get().saturating_sub(work);
        self.0.set(left);
        if left == 0 { Err(Errno::Budget) } else { Ok(()) }
    }

    /// Gives back the memory of a value that was charged and is gone, but not the time.
    pub(in crate::debian::script) fn give_back(&self, bytes: usize) {
        if !self.has_run_out() {
            self.0.set(self.0.get().saturating_add((bytes as u64).saturating_mul(PER_BYTE - KEPT)));
        }
    }

    /// Charges a value of this many bytes, before it is made.
    pub(in crate::debian::script) fn spend_bytes(&self, bytes: usize) -> Result<(), Errno> {
        self.spend((bytes as u64).saturating_add(OVERHEAD).saturating_mul(PER_BYTE))
    }
}
