//! The search for secrets: see `pinfold_fuzzing::secrets`. Seeds are in `seeds/secrets`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::secrets(bytes));
