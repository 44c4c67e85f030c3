//! Settings that name programs: see `pinfold_fuzzing::settings`. Seeds are in `seeds/settings`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::settings(bytes));
