//! Unpacking an image of two layers into a temporary root: see `pinfold_fuzzing::unpack`. Seeds are in `seeds/unpack`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::unpack(bytes));
