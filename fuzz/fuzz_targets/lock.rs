//! The lock of a project: see `pinfold_fuzzing::lock`. Seeds are in `seeds/lock`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::lock(bytes));
