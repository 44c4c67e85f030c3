//! Files of logins: see `pinfold_fuzzing::logins`. Seeds are in `seeds/logins`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::logins(bytes));
