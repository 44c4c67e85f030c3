//! Files of structure tests: see `pinfold_fuzzing::structure`. Seeds are in `seeds/structure`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::structure(bytes));
