//! What a cache of libraries says, of whatever `ldconfig` wrote it.

use super::ENTRY;
use super::HEADER;
use super::MAGIC;
use super::MAX_LIBRARIES;

/// What a cache begins with that holds the older form before the newer one (`CACHEMAGIC`), up to glibc 2.31.
const OLDER: &[u8; 11] = b"ld.so-1.7.0";
/// Bytes of the older form's header, and of one entry.
const OLDER_HEADER: usize = 16;
const OLDER_ENTRY: usize = 12;

/// One library of a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedLibrary {
    /// The name that it is looked for under.
    pub name: Box<[u8]>,
    /// Where it is.
    pub path: Box<[u8]>,
}

/// The libraries of `/etc/ld.so.cache` in its order, without those that the linker takes on some processors alone (an entry with hardware
/// capabilities: of a `glibc-hwcaps` directory, say); `None` where the bytes are no cache, or one that leads outside of itself.
pub fn cached_libraries(bytes: &[u8]) -> Option<Vec<CachedLibrary>> {
    let number = |at: usize| {
        let four = bytes.get(at..at.checked_add(4)?)?;
        Some(u32::from_le_bytes(four.try_into().ok()?) as usize)
    };
    let start = if bytes.starts_with(OLDER) {
        // The newer form follows at a multiple of eight.
        let entries = number(OLDER_HEADER - 4)?.checked_mul(OLDER_ENTRY)?;
        entries.checked_add(OLDER_HEADER)?.next_multiple_of(8)
    } else {
        0
    };
    if !bytes.get(start..)?.starts_with(MAGIC) {
        return None;
    }
    let count = number(start + MAGIC.len())?;
    if count > MAX_LIBRARIES {
        return None;
    }
    // Strings are counted from the start of the newer form.
    let text = |at: usize| {
        let text = bytes.get(start.checked_add(at)?..)?;
        let text = &text[..text.len().min(4096)];
        Some(Box::from(&text[..memchr::memchr(0, text)?]))
    };
    (0..count)
        .filter_map(|index| {
            let entry = start + HEADER + index * ENTRY;
            let library = || {
                let everywhere = number(entry + 16)? == 0 && number(entry + 20)? == 0;
                let library =
                    CachedLibrary { name: text(number(entry + 4)?)?, path: text(number(entry + 8)?)? };
                Some((everywhere, library))
            };
            match library() {
                Some((false, _)) => None,
                found => Some(found.map(|(_, library)| library)),
            }
        })
        .collect()
}
