//! What of a request takes a credential route: see `pinfold_fuzzing::proxy_route`. Seeds are in `seeds/proxy_route`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::proxy_route(bytes));
