//! The ar reader.

use std::io::Read;

use pinfold_archive::ar::Reader;

/// The ar reader: never panics, and contents have the size that was announced.
pub fn ar(bytes: &[u8]) {
    let Ok(mut reader) = Reader::new(bytes) else { return };
    while let Ok(Some(member)) = reader.next_member() {
        let mut content = Vec::new();
        if reader.read_to_end(&mut content).is_err() {
            return;
        }
        assert_eq!(content.len() as u64, member.size);
    }
}
