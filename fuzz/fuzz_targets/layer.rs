//! The reader of tars in the strictness of layers, and the rules of layers: see `pinfold_fuzzing::layer`. Seeds are in `seeds/layer`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::layer(bytes));
