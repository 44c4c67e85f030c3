//! What both sides say before TLS hides it: see `pinfold_fuzzing::proxy_greeting`. Seeds are in `seeds/proxy_greeting`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::proxy_greeting(bytes));
