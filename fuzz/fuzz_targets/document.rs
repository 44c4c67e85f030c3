//! Manifests, indexes and configurations: see `pinfold_fuzzing::document`. Seeds are in `seeds/document`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::document(bytes));
