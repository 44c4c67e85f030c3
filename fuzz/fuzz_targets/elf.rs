//! The ELF reader: see `pinfold_fuzzing::elf`. Seeds are in `seeds/elf`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::elf(bytes));
