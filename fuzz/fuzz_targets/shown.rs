//! Text from outside as a person sees it: see `pinfold_fuzzing::shown`. Seeds are in `seeds/shown`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::shown(bytes));
