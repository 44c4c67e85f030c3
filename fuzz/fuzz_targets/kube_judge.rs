//! Objects of Kubernetes: see `pinfold_fuzzing::kube_judge`. Seeds are in `seeds/kube_judge`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| pinfold_fuzzing::kube_judge(bytes));
