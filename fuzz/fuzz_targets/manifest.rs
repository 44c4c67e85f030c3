//! The manifest of a project: see `pinfold_fuzzing::manifest`. Seeds are in `seeds/manifest`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::manifest(bytes));
