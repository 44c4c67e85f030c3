//! The planner: see `pinfold_fuzzing::planner`. Seeds are in `seeds/planner`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::planner(bytes));
