//! Debian's control files: see `pinfold_fuzzing::stanza`. Seeds are in `seeds/stanza`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::stanza(bytes));
