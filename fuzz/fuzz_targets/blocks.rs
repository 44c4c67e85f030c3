//! Any bytes as a list of blocks: see `pinfold_fuzzing::blocks`. Seeds are in `seeds/blocks`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::blocks(bytes));
