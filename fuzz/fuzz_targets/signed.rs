//! Signed files of archives: see `pinfold_fuzzing::signed`. Seeds are in `seeds/signed`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::signed(bytes));
