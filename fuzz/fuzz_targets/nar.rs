//! The NAR reader and writer: see `pinfold_fuzzing::nar`. Seeds are in `seeds/nar`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::nar(bytes));
