//! What Nix lists of a build's inputs: see `pinfold_fuzzing::nixlist`. Seeds are in `seeds/nixlist`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::nixlist(bytes));
