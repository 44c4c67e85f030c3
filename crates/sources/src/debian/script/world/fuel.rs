//! What one script may use, and what all scripts of an image may use together: time and memory, in one number.
//!
//! Everything whose size a script decides is charged where it is done: a command, a byte that is made or looked at, a step of
//! a match, a node that is visited. A unit is about a nanosecond of an ordinary machine. A byte that is made costs
//! [`PER_BYTE`] units, and what is not known to be gone is never given back, so that what a script can have in memory at once is
//! at most what it can make at all: `FUEL / PER_BYTE`, 102 MiB.
//!
//! An image has many scripts, and may be begun anew. So each is given its fuel out of a [`Budget`], which also counts what
//! stays when a script has ended: files, nodes, notes, answers.
//!
//! **Guarantees**: once it has run out it stays so. A command that does not look ends at the next one that does, and a script
//! that ends without fuel has failed. Equal images use equal units, on every machine.

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
/// What it takes to begin a script, whatever it does.
const BEGINNING: u64 = 50_000;

/// What all scripts of an image may use together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::debian) struct Budget {
    /// Units of work, of all attempts.
    pub(in crate::debian) steps: u64,
    /// Bytes that are kept until the image is made.
    pub(in crate::debian) bytes: u64,
}

impl Budget {
    /// What an image has.
    pub(in crate::debian) const IMAGE: Self = Self { steps: 24 << 30, bytes: 512 << 20 };

    /// Takes bytes that are kept; whether there were as many.
    pub(in crate::debian) fn keep(&mut self, bytes: usize) -> bool {
        let left = self.bytes.checked_sub(bytes as u64);
        self.bytes = left.unwrap_or(0);
        left.is_some()
    }
}

/// What is left. Shared by all that a script starts: functions, subshells, sourced files, scripts of the tree.
#[derive(Clone, Debug)]
pub(in crate::debian) struct Fuel {
    left: Cell<u64>,
    /// What the script began with.
    given: u64,
    /// Of the image: the units when the script began, and the bytes now.
    steps: u64,
    bytes: Cell<u64>,
}

impl Default for Fuel {
    fn default() -> Self {
        Self::of(FUEL)
    }
}

impl Fuel {
    /// This many units, for one script alone.
    pub(in crate::debian) fn of(units: u64) -> Self {
        Self { left: Cell::new(units), given: units, steps: units, bytes: Cell::new(Budget::IMAGE.bytes) }
    }

    /// That of an image of which no script has begun.
    pub(in crate::debian) fn of_image(budget: Budget) -> Self {
        Self { left: Cell::new(0), given: 0, steps: budget.steps, bytes: Cell::new(budget.bytes) }
    }

    /// What the image has left.
    pub(in crate::debian) fn budget(&self) -> Budget {
        let used = self.given.saturating_sub(self.left.get());
        Budget { steps: self.steps.saturating_sub(used), bytes: self.bytes.get() }
    }

    /// What the script has used.
    pub(in crate::debian) fn used(&self) -> u64 {
        self.given.saturating_sub(self.left.get())
    }

    /// A script begins: it is given what one may have, of what the image has.
    pub(in crate::debian::script) fn refill(&mut self) {
        self.steps = self.budget().steps;
        self.given = self.steps.min(FUEL);
        self.left = Cell::new(self.given.saturating_sub(BEGINNING));
    }

    /// Whether there is none left.
    pub(in crate::debian) fn has_run_out(&self) -> bool {
        self.left.get() == 0 || self.bytes.get() == 0
    }

    /// Charges work: bytes that are looked at, steps of a match, nodes that are visited, each with its nanoseconds.
    pub(in crate::debian::script) fn spend(&self, work: u64) -> Result<(), Errno> {
        let left = self.left.get().saturating_sub(work);
        self.left.set(left);
        if self.has_run_out() { Err(Errno::Budget) } else { Ok(()) }
    }

    /// Gives back the memory of a value that was charged and is gone, but not the time.
    pub(in crate::debian::script) fn give_back(&self, bytes: usize) {
        if !self.has_run_out() {
            let left = self.left.get().saturating_add((bytes as u64).saturating_mul(PER_BYTE - KEPT));
            self.left.set(left.min(self.given));
        }
    }

    /// Charges a value of this many bytes, before it is made.
    pub(in crate::debian::script) fn spend_bytes(&self, bytes: usize) -> Result<(), Errno> {
        self.spend((bytes as u64).saturating_add(OVERHEAD).saturating_mul(PER_BYTE))
    }

    /// Charges the image with bytes that stay. Without any left the script has no fuel either.
    pub(in crate::debian::script) fn keep(&self, bytes: u64) -> Result<(), Errno> {
        self.bytes.set(self.bytes.get().saturating_sub(bytes));
        self.spend(0)
    }

    /// Gives the image back what was kept and is gone.
    pub(in crate::debian::script) fn release(&self, bytes: u64) {
        if self.bytes.get() != 0 {
            self.bytes.set(self.bytes.get().saturating_add(bytes).min(Budget::IMAGE.bytes));
        }
    }
}
