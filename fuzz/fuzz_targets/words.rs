//! The words of flags and of `[run]`: see `pinfold_fuzzing::words`. Seeds are in `seeds/words`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::words(bytes));
