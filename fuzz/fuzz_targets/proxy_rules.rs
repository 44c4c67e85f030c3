//! Any text as a rule, a URL and a host: see `pinfold_fuzzing::proxy_rules`. Seeds are in `seeds/proxy_rules`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::proxy_rules(bytes));
