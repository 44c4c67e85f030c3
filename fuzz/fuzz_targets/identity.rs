//! What a package.json calls itself: see `pinfold_fuzzing::identity`. Seeds are in `seeds/identity`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::identity(bytes));
