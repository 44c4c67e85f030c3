//! How a registry asks for a login: see `pinfold_fuzzing::challenge`. Seeds are in `seeds/challenge`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::challenge(bytes));
