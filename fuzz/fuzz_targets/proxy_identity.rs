//! Any bytes as what tells sandboxes apart: see `pinfold_fuzzing::proxy_identity`. Seeds are in `seeds/proxy_identity`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::proxy_identity(bytes));
