//! Signatures: see `pinfold_fuzzing::bundle`. Seeds are in `seeds/bundle`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::bundle(bytes));
