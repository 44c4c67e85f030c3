//! The same of directories that somebody else made, and how fast it goes over a large file.
#![expect(clippy::print_stdout, reason = "it is there to be read")]
#![expect(clippy::cast_precision_loss, reason = "gigabytes a second, to two digits")]

use std::io::Read;
use std::path::Path;
use std::path::PathBuf;
use std::time::Instant;

use fs_err as fs;

use super::*;

/// Off by default, since no such root comes with the sources: `PINFOLD_ROOT=DIR cargo test … -- --ignored`.
#[test]
#[ignore = "looks at the directory that PINFOLD_ROOT names"]
fn a_root_holds_no_secrets() {
    let root: PathBuf = std::env::var_os("PINFOLD_ROOT").expect("PINFOLD_ROOT names a directory").into();
    let scanner = Scanner::new();
    let mut files = Files::new(&scanner, &std::env::temp_dir());
    let mut left = vec![root.clone()];
    let mut spent = std::time::Duration::ZERO;
    let mut chunk = vec![0; 128 << 10];
    while let Some(directory) = left.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let inside = path.strip_prefix(&root).unwrap();
            let meta = fs::symlink_metadata(&path).unwrap();
            if meta.is_dir() {
                if root != Path::new("/") || inside.starts_with("usr") || inside.starts_with("etc") {
                    left.push(path);
                }
                continue;
            }
            if !meta.is_file() {
                continue;
            }
            let Ok(mut file) = fs::File::open(&path) else { continue };
            files.begin(0, &ImagePath::new(inside.as_os_str().as_encoded_bytes()).unwrap(), meta.len());
            while let Ok(count @ 1..) = file.read(&mut chunk) {
                let start = Instant::now();
                files.feed(&chunk[..count]);
                spent += start.elapsed();
            }
            files.end();
        }
    }
    let seen = files.bytes;
    let speed = seen as f64 / spent.as_secs_f64() / 1e9;
    let outcomes = files.outcomes();
    println!("{speed:.2} GB/s");
    for outcome in &outcomes {
        println!("{}: {}", outcome.check, outcome.evidence);
        for finding in &outcome.findings {
            println!("    {}: {}", finding.at, finding.problem);
        }
        println!("    and {} more", outcome.more);
    }
    assert!(seen > 0, "`{}` holds no file that can be read", root.display());
    assert!(outcomes.iter().all(|outcome| outcome.findings.is_empty()));
}
