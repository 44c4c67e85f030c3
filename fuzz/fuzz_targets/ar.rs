//! The ar reader: see `pinfold_fuzzing::ar`. Seeds are in `seeds/ar`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::ar(bytes));
