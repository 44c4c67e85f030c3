//! What an address is: see `pinfold_fuzzing::address`. Seeds are in `seeds/address`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::address(bytes));
