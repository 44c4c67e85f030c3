//! What an npm registry says of a package: see `pinfold_fuzzing::packument`. Seeds are in `seeds/packument`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::packument(bytes));
