//! The zip reader.

use std::io::Cursor;

use pinfold_archive::zip::Archive;
use pinfold_archive::zip::Limits;

/// The zip reader: never panics, never gives more than was announced.
pub fn zip(bytes: &[u8]) {
    let limits = Limits { entries: 1000, total: 1 << 20, directory: 1 << 20 };
    let Ok(mut archive) = Archive::new(Cursor::new(bytes), limits) else { return };
    for index in 0..archive.entries().len() {
        let mut content = Vec::new();
        let outcome = archive.copy(index, &mut content);
        let size = archive.entries()[index].size;
        assert!(content.len() as u64 <= size);
        assert!(outcome.is_err() || content.len() as u64 == size);
    }
}
