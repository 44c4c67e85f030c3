//! Making again what has changed on the disk.
//!
//! Whoever reads a file of the cache or of the image store checks it, and what does not match its name is out of the way when the error comes up. So
//! the work is begun again, as long as something else was found and removed: a download is fetched again, an archive
//! decoded, a layer written.
//!
//! What killed processes left of what they were writing is removed by the next build that has work to do.
//!
//! **Guarantees**: the user is told what it was; a work that fails for the same damage twice, or for any other reason, is an error.

use std::collections::BTreeSet;

use pinfold_base::store;
use pinfold_base::store::temporary;
use pinfold_image::unpack;
use pinfold_image::unpack::RootfsStore;

use crate::context::Context;
use crate::project::lock::held;

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

/// Removes what killed processes left of what they were writing. Failures are no matter: `gc` tells of what stays.
pub(super) fn sweep(context: &Context) {
    let _ = temporary::sweep(&context.home.cache().join(store::TEMPORARY), true);
    let _ = temporary::sweep(&context.home.data().join(held::RECORDS), true);
    let _ = context.images().and_then(|images| images.sweep());
    let _ = RootfsStore::open(context.home.data(), unpack::Options::default())
        .and_then(|roots| roots.sweep(true));
}
