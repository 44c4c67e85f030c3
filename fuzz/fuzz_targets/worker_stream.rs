//! Answers of a model: see `pinfold_fuzzing::worker_stream`. Seeds are in `seeds/worker_stream`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::worker_stream(bytes));
