//! Any bytes as a bare deflate stream: see `pinfold_fuzzing::inflate`. Seeds are in `seeds/inflate`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::inflate(bytes));
