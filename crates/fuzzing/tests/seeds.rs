//! All seeds through the functions that the fuzzer calls.

use std::collections::BTreeSet;
use std::path::Path;

use fs_err as fs;
use pinfold_fuzzing::TARGETS;

fn fuzz() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

#[test]
fn every_seed_of_every_target_holds() {
    for (name, run) in TARGETS {
        let mut count = 0;
        for seed in fs::read_dir(fuzz().join("seeds").join(name)).unwrap() {
            let path = seed.unwrap().path();
            let bytes = fs::read(&path).unwrap();
            let outcome = std::panic::catch_unwind(|| run(&bytes));
            assert!(outcome.is_ok(), "`{}` breaks a promise", path.display());
            count += 1;
        }
        assert!(count > 0, "`{name}` has no seeds");
    }
}

#[test]
fn targets_seeds_and_programs_are_the_same() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let seeds: BTreeSet<String> = fs::read_dir(fuzz().join("seeds"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(seeds, names);
    for name in &names {
        let program = fs::read_to_string(fuzz().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        assert!(program.contains(&format!("pinfold_fuzzing::{name}(")), "`{name}` calls something else");
    }
}
