//! Any bytes as the beginning of TLS, with and without a record around them: see `pinfold_fuzzing::proxy_hello`. Seeds are in `seeds/proxy_hello`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::proxy_hello(bytes));
