//! The index of a decoded archive: see `pinfold_fuzzing::index`. Seeds are in `seeds/index`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::index(bytes));
