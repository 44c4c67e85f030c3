//! `cargo xtask npm`: what is placed of npm packages, against `npm install --global` of the same versions, path by path.
//!
//! The packages are those of `tests/e2e/npm-packages`, or those named; `tests/e2e/npm-compare.py` says how they are compared.
//! Needs npm, Python and the machine's registry.

use std::path::PathBuf;
use std::process::Command;

use fs_err as fs;

/// Arguments of the chore.
#[derive(Debug, clap::Args)]
pub(crate) struct NpmArgs {
    /// The program to try
    #[arg(long, value_name = "FILE", default_value = "target/x86_64-unknown-linux-gnu/release/pinfold")]
    program: PathBuf,
    /// Where to install; several GiB
    #[arg(long, value_name = "DIR", default_value = "target/npm")]
    work: PathBuf,
    /// These packages instead of the list: `name`, `name@range`, or several joined with `+`
    #[arg(value_name = "PACKAGE")]
    packages: Vec<String>,
}

/// Compares all packages. An error when any differs.
#[expect(clippy::disallowed_methods, reason = "xtask runs the tools of the project")]
pub(crate) fn run(args: &NpmArgs) -> Result<(), String> {
    let folder = crate::root().join("tests/e2e");
    let listed = fs::read_to_string(folder.join("npm-packages")).map_err(|error| error.to_string())?;
    let listed = listed.lines().map(str::to_owned).collect();
    let packages: Vec<String> = if args.packages.is_empty() { listed } else { args.packages.clone() };
    let work = std::path::absolute(&args.work).map_err(|error| error.to_string())?;
    let mut compare = Command::new("python3");
    compare.arg(folder.join("npm-compare.py")).arg(&args.program).arg(&work).args(packages);
    compare.env("PINFOLD_HOME", work.join("home"));
    let status = compare.status().map_err(|error| format!("python3: {error}"))?;
    if status.success() { Ok(()) } else { Err("npm places something else".into()) }
}
