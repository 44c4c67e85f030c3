//! A recipe: see `pinfold_fuzzing::recipe`. Seeds are in `seeds/recipe`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::recipe(bytes));
