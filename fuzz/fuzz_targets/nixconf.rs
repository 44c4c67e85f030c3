//! Nix's configuration: see `pinfold_fuzzing::nixconf`. Seeds are in `seeds/nixconf`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::nixconf(bytes));
