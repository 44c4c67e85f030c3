//! Making again what has changed on the disk.
//!
//! Whoever reads a file of the cache or of the image store checks it, and what does not match its name is out of the way when the error comes up. So
//! the work is begun again, as long as something else was found and removed: a download is fetched again, an archive
//! decoded, a layer written.
//!
//! **Guarantees**: the user is told what it was; a work that fails for the same damage twice, or for any other reason, is an error.

use std::collections::BTreeSet;

use crate::context::Context;

/// Does `work`, and again when something damaged was set aside meanwhile.
pub fn healing<T, E>(context: &Context, mut work: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let mut seen = BTreeSet::new();
    loop {
        let result = work();
        let mut news = false;
        for what in context.tell_damage() {
            news |= seen.insert(what);
        }
        match result {
            Err(_) if news => {}
            result => return result,
        }
    }
}
