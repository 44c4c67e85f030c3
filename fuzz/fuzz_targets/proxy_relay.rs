//! Any bytes through a running relay, both ways: see `pinfold_fuzzing::proxy_relay`. Seeds are in `seeds/proxy_relay`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::proxy_relay(bytes));
