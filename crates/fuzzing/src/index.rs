//! The index of a decoded archive.

use pinfold_archive::decoded::index;
use pinfold_base::Digest;

/// The index of a decoded archive: never panics, and what is accepted is written back as an equal index.
pub fn index(body: &[u8]) {
    let archive = Digest::sha256(b"fuzz");
    let _ = index::read(body, &archive);
    // With the right header and checksum, so that the body is looked at.
    let checksum = index::checksum(body);
    let bytes = [&b"pfidx"[..], &[index::VERSION, 1, 0], &checksum.to_le_bytes(), body].concat();
    if let Some(found) = index::read(&bytes, &archive) {
        assert_eq!(index::read(&index::write(&found), &archive), Some(found));
    }
}
