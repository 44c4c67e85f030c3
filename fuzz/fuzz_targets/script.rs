//! Install scripts, evaluated: see `pinfold_fuzzing::script`. Seeds are in `seeds/script`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::script(bytes));
