//! The ELF reader.

/// The ELF reader: never panics.
pub fn elf(bytes: &[u8]) {
    let _ = pinfold_archive::elf::parse(bytes);
}
