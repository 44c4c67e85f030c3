//! The zip reader: see `pinfold_fuzzing::zip`. Seeds are in `seeds/zip`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::zip(bytes));
