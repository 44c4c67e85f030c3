//! The tar reader: see `pinfold_fuzzing::tar`. Seeds are in `seeds/tar`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::tar(bytes));
