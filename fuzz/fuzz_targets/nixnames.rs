//! Names of packages of Nix and what Nix answers: see `pinfold_fuzzing::nixnames`. Seeds are in `seeds/nixnames`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::nixnames(bytes));
