//! `cargo xtask debian`: which of the packages that people ask for can be locked and placed, each alone, by suite.
//!
//! The names are those of `tests/e2e/debian-packages`, or those named. A lock evaluates all install scripts of a set for both
//! platforms, so a name whose lock is written is one whose image can be made. Names that a suite does not have are not counted.
//! The output is a table in Markdown; the chore fails below its bar. Needs the machine's archive; a few GiB come from there.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Instant;

use fs_err as fs;

use crate::say;

/// Arguments of the chore.
#[derive(Debug, clap::Args)]
pub(crate) struct DebianArgs {
    /// The program to try
    #[arg(long, value_name = "FILE", default_value = "target/x86_64-unknown-linux-gnu/release/pinfold")]
    program: PathBuf,
    /// Where to work; tens of GiB
    #[arg(long, value_name = "DIR", default_value = "target/debian")]
    work: PathBuf,
    /// Suites, each with the percentage of its names that must lock
    #[arg(long, value_name = "SUITE=PERCENT", value_parser = bar, default_values = ["bookworm=97", "trixie=95"])]
    suite: Vec<(String, usize)>,
    /// Platforms that each lock is for
    #[arg(long, value_name = "PLATFORM", default_values = ["linux/amd64", "linux/arm64"])]
    platform: Vec<String>,
    /// Locks at a time
    #[arg(long, value_name = "N", default_value_t = 2)]
    jobs: usize,
    /// These names instead of the list
    #[arg(value_name = "PACKAGE")]
    packages: Vec<String>,
}

/// A suite and its bar.
fn bar(typed: &str) -> Result<(String, usize), String> {
    let (suite, percent) = typed.split_once('=').unwrap_or((typed, "100"));
    Ok((suite.to_owned(), percent.parse().map_err(|_| format!("`{percent}` is no percentage"))?))
}

/// What came of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Outcome {
    Locked,
    /// The suite has no package of that name.
    Missing,
    /// The first error.
    Refused(String),
}

/// Locks each name in each suite. An error when a suite falls below its bar.
pub(crate) fn run(args: &DebianArgs) -> Result<(), String> {
    let listed = fs::read_to_string(crate::root().join("tests/e2e/debian-packages")).map_err(told)?;
    let names: Vec<String> = if args.packages.is_empty() {
        listed.lines().map(str::to_owned).collect()
    } else {
        args.packages.clone()
    };
    let program = fs::canonicalize(&args.program).map_err(told)?;
    let work = std::path::absolute(&args.work).map_err(told)?;
    let (mut below, mut rows, mut refused) = (Vec::new(), String::new(), String::new());
    for (suite, percent) in &args.suite {
        let begin = Instant::now();
        let one = |name: &String| lock(&program, &work, suite, name, &args.platform);
        let outcomes = side_by_side(&names, args.jobs, one)?;
        let count = |wanted: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| wanted(outcome)).count();
        let locked = count(|outcome| *outcome == Outcome::Locked);
        let there = names.len() - count(|outcome| *outcome == Outcome::Missing);
        let share = (locked * 1000).checked_div(there).unwrap_or_default();
        rows.push_str(&format!(
            "| {suite} | {there} of {} | {locked} | {}.{} % | {percent} % | {:.0} s |\n",
            names.len(),
            share / 10,
            share % 10,
            begin.elapsed().as_secs_f64()
        ));
        for (name, outcome) in names.iter().zip(&outcomes) {
            if let Outcome::Refused(why) = outcome {
                refused.push_str(&format!("| {suite} | {name} | {} |\n", why.replace('|', "\\|")));
            }
        }
        if locked * 100 < there * percent {
            below.push(suite.as_str());
        }
    }
    say(&format!("\n| suite | exist | lock | share | bar | wall |\n|---|---|---|---|---|---|\n{rows}"));
    if !refused.is_empty() {
        say(&format!("| suite | refused | why |\n|---|---|---|\n{refused}"));
    }
    if below.is_empty() { Ok(()) } else { Err(format!("too few packages lock: {}", below.join(", "))) }
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// What `one` says of each name, in their order; `jobs` at a time.
fn side_by_side(
    names: &[String],
    jobs: usize,
    one: impl Fn(&String) -> Result<Outcome, String> + Sync,
) -> Result<Vec<Outcome>, String> {
    let (next, all) = (AtomicUsize::new(0), Mutex::new(vec![None; names.len()]));
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(name) = names.get(index) else { return };
                    let outcome = one(name);
                    all.lock().unwrap_or_else(std::sync::PoisonError::into_inner)[index] = Some(outcome);
                }
            });
        }
    });
    let all = all.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    all.into_iter().flatten().collect()
}

/// Locks one name alone in a project of its own.
#[expect(clippy::disallowed_methods, reason = "xtask runs the tools of the project")]
fn lock(
    program: &Path,
    work: &Path,
    suite: &str,
    name: &str,
    platforms: &[String],
) -> Result<Outcome, String> {
    let project = work.join(suite).join(name);
    fs::create_dir_all(&project).map_err(told)?;
    let manifest = format!(
        "name = \"one\"\nplatforms = {platforms:?}\n[debian]\nsuite = {suite:?}\nbase = \"essential\"\npackages = [{name:?}]\n"
    );
    fs::write(project.join("pinfold.toml"), manifest).map_err(told)?;
    let _ = fs::remove_file(project.join("pinfold.lock"));
    let begin = Instant::now();
    let mut command = Command::new(program);
    command.args(["--quiet", "lock"]).current_dir(&project).env("PINFOLD_HOME", work.join("home"));
    let output = command.output().map_err(|error| format!("{}: {error}", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    fs::write(project.join("said"), &said).map_err(told)?;
    let outcome = judge(output.status.success(), name, &said);
    let word = match &outcome {
        Outcome::Locked => "ok".to_owned(),
        Outcome::Missing => "not in the suite".to_owned(),
        Outcome::Refused(why) => why.clone(),
    };
    say(&format!("{suite:<10} {name:<28} {:>6.1} s  {word}", begin.elapsed().as_secs_f64()));
    Ok(outcome)
}

/// Tells a name that does not exist from one that was refused.
fn judge(success: bool, name: &str, said: &str) -> Outcome {
    if success {
        return Outcome::Locked;
    }
    let mut lines = said.lines().skip_while(|line| !line.starts_with("error:"));
    let first = lines.next().unwrap_or(said).trim_start_matches("error:").trim();
    if first.starts_with(&format!("package `{name}` does not exist")) {
        return Outcome::Missing;
    }
    // A list of scripts, or a cause: the line after says which.
    let cause = lines.next().filter(|line| line.starts_with("  ")).map(str::trim).unwrap_or_default();
    Outcome::Refused(format!("{first} {cause}").trim().chars().take(300).collect())
}

#[cfg(test)]
mod tests {
    use super::Outcome;
    use super::judge;
    use super::side_by_side;

    #[test]
    fn a_name_that_does_not_exist_is_told_from_one_that_is_refused() {
        let missing =
            "error: package `x` does not exist for `amd64` in the suites\nhint: check the spelling\n";
        let several =
            "warning: w\nerror: 2 install scripts are not understood:\n  package `y`: postinst line 3\n";
        assert_eq!(judge(true, "x", ""), Outcome::Locked);
        assert_eq!(judge(false, "x", missing), Outcome::Missing);
        // Another package that does not exist is a refusal.
        assert!(matches!(judge(false, "z", missing), Outcome::Refused(_)));
        let why = "2 install scripts are not understood: package `y`: postinst line 3";
        assert_eq!(judge(false, "x", several), Outcome::Refused(why.to_owned()));
    }

    #[test]
    fn each_name_keeps_its_place() {
        let names: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        let outcomes = side_by_side(&names, 3, |name| Ok(Outcome::Refused(name.clone()))).unwrap();
        let places: Vec<String> = outcomes
            .into_iter()
            .map(|outcome| match outcome {
                Outcome::Refused(name) => name,
                other => format!("{other:?}"),
            })
            .collect();
        assert_eq!(places, names);
    }
}
