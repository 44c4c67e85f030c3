//! Any bytes as heads and chunked bodies: see `pinfold_fuzzing::proxy_head`. Seeds are in `seeds/proxy_head`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::proxy_head(bytes));
