//! The ELF reader: never panics.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = pinfold_archive::elf::parse(bytes);
});
