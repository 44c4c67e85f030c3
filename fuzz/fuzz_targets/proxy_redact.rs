//! Keys in what providers answer: see `pinfold_fuzzing::proxy_redact`. Seeds are in `seeds/proxy_redact`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::proxy_redact(bytes));
