//! The filter between a program and the terminal: see `pinfold_fuzzing::escape`. Seeds are in `seeds/escape`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::escape(bytes));
