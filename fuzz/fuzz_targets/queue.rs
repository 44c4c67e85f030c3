//! Files of a queue: see `pinfold_fuzzing::queue`. Seeds are in `seeds/queue`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::queue(bytes));
