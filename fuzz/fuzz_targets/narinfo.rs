//! Narinfos of binary caches: see `pinfold_fuzzing::narinfo`. Seeds are in `seeds/narinfo`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::narinfo(bytes));
