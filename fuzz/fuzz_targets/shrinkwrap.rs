//! What stands below a package by its shrinkwrap: see `pinfold_fuzzing::shrinkwrap`. Seeds are in `seeds/shrinkwrap`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::shrinkwrap(bytes));
