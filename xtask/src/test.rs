//! `cargo xtask test`: everything, in the order in which it fails fastest.

use std::process::Command;
use std::time::Instant;

use crate::say;

/// Arguments of the chore.
#[derive(Debug, clap::Args)]
pub(crate) struct TestArgs {
    /// Leave out the end-to-end run, which needs the archives, podman and friends
    #[arg(long)]
    offline: bool,
}

/// Runs all steps; stops at the first that fails.
pub(crate) fn run(args: &TestArgs) -> Result<(), String> {
    step("format", "cargo", &["fmt", "--all", "--check"])?;
    step("lints", "cargo", &["clippy", "--quiet", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    step("tests", "cargo", &["test", "--workspace", "--no-fail-fast"])?;
    if args.offline {
        say("xtask: the end-to-end run is left out, as asked (--offline)");
        return Ok(());
    }
    step("release build", "cargo", &["build", "--release", "--package", "pinfold"])?;
    step("end to end", "bash", &["tests/e2e/run"])
}

/// Runs one program and says how long it took.
#[expect(clippy::disallowed_methods, reason = "xtask runs the tools of the project")]
pub(crate) fn step(what: &str, program: &str, args: &[&str]) -> Result<(), String> {
    say(&format!("== {what}: {program} {}", args.join(" ")));
    let begin = Instant::now();
    let status = Command::new(program)
        .args(args)
        .current_dir(crate::root())
        .status()
        .map_err(|error| format!("{what}: cannot run `{program}`: {error}"))?;
    say(&format!(
        "== {what}: {} after {:.0} s",
        if status.success() { "ok" } else { "FAILED" },
        begin.elapsed().as_secs_f64()
    ));
    if status.success() { Ok(()) } else { Err(format!("{what} failed")) }
}
