//! The task of process 1 in a pod: see `pinfold_fuzzing::pod`. Seeds are in `seeds/pod`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::pod(bytes));
