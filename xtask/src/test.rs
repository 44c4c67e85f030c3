//! `cargo xtask test`: everything, in the order in which it fails fastest.
//!
//! What failed is said again at the end: the step before it prints some thousand lines, and who reads a log that was cut
//! sees its end.

use std::io::BufRead;
use std::io::BufReader;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
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
    // The tests wait more than they work, so what the end-to-end run needs is made meanwhile.
    std::thread::scope(|scope| {
        let made = (!args.offline).then(|| scope.spawn(release));
        let tests = step_of_tests("tests", "cargo", &["test", "--workspace", "--no-fail-fast"]);
        let made = made.map(|made| made.join().unwrap_or_else(|_| Err("the release build panicked".into())));
        tests.and(made.unwrap_or(Ok(())))
    })?;
    if args.offline {
        say("xtask: the end-to-end run is left out, as asked (--offline)");
        return Ok(());
    }
    step_of_tests("end to end", "bash", &["tests/e2e/run"])
}

/// The program as it is shipped, with the workers that it carries. Others go first where there is not enough of the machine.
fn release() -> Result<(), String> {
    say("== workers of sealed images");
    crate::worker::run(&crate::worker::WorkerArgs::default())?;
    if std::env::var_os("CI").is_some() {
        // The compiler that was unpacked for them: nobody needs it again there, and what follows needs the disk.
        pinfold_base::directory::remove(&crate::root().join("target/heads"))
            .map_err(|error| error.to_string())?;
    }
    let workers = format!("PINFOLD_WORKERS={}", crate::root().join("target/workers").display());
    let words =
        ["-n", "10", "env", &workers, "cargo", "build", "--release", "--quiet", "--package", "pinfold"];
    step("release build", "nice", &words)
}

/// Failures that are said again, at most; the first are the ones to look at.
const SAID_AGAIN: usize = 60;

/// Whether a line of a test program's output names a failure: a row of the isolation suite or of the end-to-end run, a test
/// of the standard harness, or where one of these panicked.
fn names_a_failure(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("FAIL ")
        || (line.starts_with("test ") && line.ends_with("FAILED"))
        || (line.starts_with("thread '") && line.contains("panicked at"))
}

/// A step that runs tests: what it prints is passed on, and the failures are repeated after it.
fn step_of_tests(what: &str, program: &str, args: &[&str]) -> Result<(), String> {
    let mut failures = Vec::new();
    let result = timed(what, program, args, |command| {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        // The line after `panicked at` is the message.
        let mut message = false;
        for line in child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).split(b'\n')) {
            let line = String::from_utf8_lossy(&line?).into_owned();
            say(&line);
            let names = names_a_failure(&line);
            if (names || message) && failures.len() < SAID_AGAIN {
                failures.push(line.clone());
            }
            message = names && line.contains("panicked at");
        }
        child.wait()
    });
    if result.is_err() && !failures.is_empty() {
        say(&format!("== {what}: what failed, again:"));
        for line in &failures {
            say(line);
        }
    }
    result
}

/// Runs one program and says how long it took.
pub(crate) fn step(what: &str, program: &str, args: &[&str]) -> Result<(), String> {
    timed(what, program, args, Command::status)
}

/// Says what is run, runs it with `run` in the project's folder, and says how it ended.
#[expect(clippy::disallowed_methods, reason = "xtask runs the tools of the project")]
fn timed(
    what: &str,
    program: &str,
    args: &[&str],
    run: impl FnOnce(&mut Command) -> std::io::Result<ExitStatus>,
) -> Result<(), String> {
    say(&format!("== {what}: {program} {}", args.join(" ")));
    let begin = Instant::now();
    let status = run(Command::new(program).args(args).current_dir(crate::root()))
        .map_err(|error| format!("{what}: cannot run `{program}`: {error}"))?;
    say(&format!(
        "== {what}: {} after {:.0} s",
        if status.success() { "ok" } else { "FAILED" },
        begin.elapsed().as_secs_f64()
    ));
    if status.success() { Ok(()) } else { Err(format!("{what} failed")) }
}

#[cfg(test)]
mod tests {
    use super::names_a_failure;

    #[test]
    fn what_failed_is_told_from_what_did_not() {
        for (line, names) in [
            ("FAIL  runc G6 a key's program that the agent rewrites: it ran", true),
            ("FAIL  build twice", true),
            ("test lock::tests::one_line ... FAILED", true),
            ("thread 'main' (28658) panicked at crates/sandbox/tests/isolation/rows.rs:387:68:", true),
            ("pass  F1 root read-only", false),
            ("test lock::tests::one_line ... ok", false),
            ("test result: FAILED. 3 passed; 1 failed", false),
            ("skip  all rows in runsc: it is not installed", false),
        ] {
            assert_eq!(names_a_failure(line), names, "{line}");
        }
    }
}
