//! npm's configuration: see `pinfold_fuzzing::npmrc`. Seeds are in `seeds/npmrc`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::npmrc(bytes));
