//! What may stay on the disk only to be quicker next time: decoded archives, and composed layers that no image has.
//!
//! Both can be made again from the downloads. The decoded form of Debian packages is three to four times their size, so that it
//! would fill a home that many images were built in.
//!
//! **Guarantees**: each of the two takes at most [`MOST`], and never more than the disk has left besides; what was used
//! in the last minutes stays, so that nothing is taken away from a build under way.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use pinfold_archive::decoded;
use pinfold_base::directory::Size;
use pinfold_base::store::bounded;
use pinfold_base::store::bounded::Bound;

use super::layers;
use crate::context::Context;

/// The most bytes of either that stay: some ten large images.
pub const MOST: u64 = 4 << 30;

/// What a build under way may have looked at last: a quarter of an hour.
const IDLE: Duration = Duration::from_secs(900);

/// What is over the bounds, removed if `remove` says so: decoded archives, then layers.
pub fn over(context: &Context, remove: bool) -> io::Result<(Size, Size)> {
    let cache = context.home.cache();
    let bound = Bound { bytes: MOST.min(left(cache)), idle: IDLE };
    // Beside the bytes lie their index and their blocks, which are small.
    let bytes = |path: &Path, _: &Metadata| path.extension().is_none();
    let decoded = bounded::bound(&cache.join(decoded::FOLDER), bytes, bound, remove)?;
    // A layer of an image takes no room of its own here.
    let alone = |_: &Path, metadata: &Metadata| metadata.nlink() == 1;
    let layers = bounded::bound(&cache.join(layers::BLOBS), alone, bound, remove)?;
    Ok((decoded, layers))
}

/// Keeps the cache within its bounds, after work. Failures are no matter: `gc` tells of them.
pub(super) fn keep(context: &Context) {
    if let Err(error) = over(context, true) {
        tracing::debug!("the cache stays as it is: {error}");
    }
}

/// Bytes that the disk of a folder has left for this user.
fn left(folder: &Path) -> u64 {
    rustix::fs::statvfs(folder).map_or(MOST, |disk| disk.f_bavail.saturating_mul(disk.f_frsize))
}
