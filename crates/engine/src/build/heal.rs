//! Making again what has changed on the disk.
//!
//! Whoever reads a file of the cache checks it, and what does not match its name is out of the way when the error comes up. So
//! the work is begun again, as long as something else was found and removed: a download is fetched again, an archive decoded.
//!
//! **Guarantees**: the user is told what it was; a work that fails for the same damage twice, or for any other reason, is an error.

use std::collections::BTreeSet;

use crate::context::Context;

/// Does `work`, and again when something damaged was set aside meanwhile.
pub(super) fn healing<T, E>(context: &Context, mut work: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let mut seen = BTreeSet::new();
    loop {
        let result = work();
        let mut news = false;
        for what in context.store.take_damage() {
            if !seen.contains(&what) {
                context.reporter.note(&format!("note: {what} had changed on the disk; it was set aside"));
                news |= seen.insert(what);
            }
        }
        match result {
            Err(_) if news => {}
            result => return result,
        }
    }
}
