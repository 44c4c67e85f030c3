//! Regular expressions as Go reads them: see `pinfold_fuzzing::pattern`. Seeds are in `seeds/pattern`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::pattern(bytes));
