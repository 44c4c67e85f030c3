//! `cargo xtask fuzz`: every fuzz target in turn, and a table of what was executed and found.
//!
//! ```text
//!   fuzz/seeds/TARGET           in git, small; what starts, and what was found
//!   target/fuzz/corpus/TARGET   what covers more than the seeds; kept from run to run
//!   target/fuzz/findings/TARGET inputs that break a promise, minimised where that is possible
//!   target/fuzz/logs/TARGET     what the fuzzer said
//! ```
//!
//! A finding becomes a seed once it is mended: an ordinary test replays the seeds.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use fs_err as fs;

use crate::say;

/// Arguments of the chore.
#[derive(Debug, clap::Args)]
pub(crate) struct FuzzArgs {
    /// Minutes of all targets together, in equal parts; building is not counted
    #[arg(long, value_name = "N", default_value_t = 10)]
    minutes: u64,
    /// These targets instead of all
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

/// Where everything but the seeds is kept.
const FOLDER: &str = "target/fuzz";

/// Seconds that making a finding smaller may take.
const MINIMISE: &str = "-max_total_time=30";

/// What a target did.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    executions: u64,
    per_second: u64,
    covered: u64,
    corpus: u64,
    findings: Vec<PathBuf>,
}

/// Runs the targets. An error when something was found, or when a target did not run.
pub(crate) fn run(args: &FuzzArgs) -> Result<(), String> {
    let all = targets()?;
    if let Some(unknown) = args.targets.iter().find(|name| !all.contains(*name)) {
        return Err(format!("there is no target `{unknown}`; there are {}", join(&all)));
    }
    let chosen: Vec<&String> =
        all.iter().filter(|name| args.targets.is_empty() || args.targets.contains(name)).collect();
    let seconds = (args.minutes * 60 / chosen.len().max(1) as u64).max(1);
    tool_is_there()?;
    say(&format!("== {} targets, {seconds} s each; the first build takes some minutes", chosen.len()));
    for name in &chosen {
        fuzzer("build", name, &[], &[]).map_err(|said| {
            format!("`{name}` was not built; a sanitizer needs a nightly compiler, or a stable one with RUSTC_BOOTSTRAP=1\n{said}")
        })?;
    }
    let outcomes: Vec<(&str, Result<Outcome, String>)> =
        chosen.iter().map(|name| (name.as_str(), one(name, seconds))).collect();
    report(&outcomes)
}

/// The programs below `fuzz`.
fn targets() -> Result<BTreeSet<String>, String> {
    let folder = crate::root().join("fuzz/fuzz_targets");
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
    let names = entries.flatten().filter_map(|entry| {
        entry.file_name().to_str().and_then(|name| name.strip_suffix(".rs")).map(str::to_owned)
    });
    Ok(names.collect())
}

fn join(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[expect(clippy::disallowed_methods, reason = "xtask runs the tools of the project")]
fn tool_is_there() -> Result<(), String> {
    let found = Command::new("cargo")
        .args(["fuzz", "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match found {
        Ok(status) if status.success() => Ok(()),
        _ => Err("`cargo fuzz` is not there: `cargo install --locked cargo-fuzz`, which needs a C++ compiler to link".into()),
    }
}

/// `cargo fuzz VERB NAME WORDS -- OPTIONS`; gives back what it said, also as an error.
#[expect(clippy::disallowed_methods, reason = "xtask runs the tools of the project")]
fn fuzzer(verb: &str, name: &str, words: &[&Path], options: &[String]) -> Result<String, String> {
    let root = crate::root();
    let output = Command::new("cargo")
        .args(["fuzz", verb, "--target-dir"])
        .arg(root.join(FOLDER).join("build"))
        .arg(name)
        .args(words)
        .args(if verb == "run" { &["--"][..] } else { &[] })
        .args(options)
        .current_dir(root.join("fuzz"))
        // Has no effect on a nightly compiler.
        .env("RUSTC_BOOTSTRAP", "1")
        .output()
        .map_err(|error| format!("cannot run `cargo fuzz`: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(said) } else { Err(said) }
}

/// One target for so many seconds.
fn one(name: &str, seconds: u64) -> Result<Outcome, String> {
    let folder = |kind: &str| {
        let folder = crate::root().join(FOLDER).join(kind).join(name);
        fs::create_dir_all(&folder).map_err(|error| error.to_string()).map(|()| folder)
    };
    let (corpus, findings, logs) = (folder("corpus")?, folder("findings")?, folder("logs")?);
    let seeds = crate::root().join("fuzz/seeds").join(name);
    let before = files(&findings);
    let options = [
        format!("-max_total_time={seconds}"),
        format!("-artifact_prefix={}/", findings.display()),
        "-print_final_stats=1".into(),
        "-timeout=30".into(),
    ];
    let ran = fuzzer("run", name, &[&corpus, &seeds], &options);
    let (Ok(said) | Err(said)) = &ran;
    let log = logs.join("last");
    fs::write(&log, said).map_err(|error| error.to_string())?;
    let new: Vec<PathBuf> = files(&findings).difference(&before).cloned().collect();
    if ran.is_err() && new.is_empty() {
        return Err(format!("`{name}` ended in an error and left no input: `{}`", log.display()));
    }
    let outcome =
        Outcome { findings: new.into_iter().map(|path| smaller(name, path)).collect(), ..counted(said) };
    say(&format!("   {name}: {} executions, {} findings", outcome.executions, outcome.findings.len()));
    Ok(outcome)
}

fn files(folder: &Path) -> BTreeSet<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// A smaller input that ends in the same way, where it is a panic: what takes long or is lost is kept as it is.
fn smaller(name: &str, found: PathBuf) -> PathBuf {
    let file = found.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some(digest) = file.strip_prefix("crash-") else { return found };
    let small = found.with_file_name(format!("small-{digest}"));
    let options =
        ["-minimize_crash=1".into(), MINIMISE.into(), format!("-exact_artifact_path={}", small.display())];
    // It ends in an error even where it went well.
    let _ = fuzzer("run", name, &[&found], &options);
    if small.exists() { small } else { found }
}

/// What libFuzzer says at its end, and in the last of its lines about coverage.
fn counted(said: &str) -> Outcome {
    let number = |text: Option<&str>| text.and_then(|text| text.trim().parse().ok()).unwrap_or_default();
    let stat = |name: &str| {
        let mut lines = said.lines().filter_map(|line| line.strip_prefix("stat::")?.strip_prefix(name));
        number(lines.next().map(|rest| rest.trim_start_matches(':')))
    };
    let word_after = |name: &str| {
        let last = said.lines().rev().find(|line| line.starts_with('#') && line.contains(" cov: "));
        let mut words = last.unwrap_or_default().split_whitespace().skip_while(|word| *word != name);
        number(words.nth(1).and_then(|word| word.split('/').next()))
    };
    Outcome {
        executions: stat("number_of_executed_units"),
        per_second: stat("average_exec_per_sec"),
        covered: word_after("cov:"),
        corpus: word_after("corp:"),
        findings: Vec::new(),
    }
}

fn report(outcomes: &[(&str, Result<Outcome, String>)]) -> Result<(), String> {
    say(&format!(
        "{:<14} {:>12} {:>9} {:>8} {:>7} {:>8}",
        "TARGET", "EXECUTIONS", "A SECOND", "COVERED", "CORPUS", "FINDINGS"
    ));
    let (mut sum, mut wrong) = (0, Vec::new());
    for (name, outcome) in outcomes {
        match outcome {
            Ok(Outcome { executions, per_second, covered, corpus, findings }) => {
                let found = findings.len();
                say(&format!(
                    "{name:<14} {executions:>12} {per_second:>9} {covered:>8} {corpus:>7} {found:>8}"
                ));
                sum += executions;
                wrong.extend(findings.iter().map(|path| format!("finding of `{name}`: {}", path.display())));
            }
            Err(error) => wrong.push(error.clone()),
        }
    }
    say(&format!("{:<14} {sum:>12}", "all"));
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As libFuzzer of LLVM 21 writes it.
    #[test]
    fn the_figures_are_those_at_the_end() {
        let said = "INFO: seed corpus: files: 4 min: 85b max: 5413b total: 6066b rss: 34Mb\n\
                    #5\tINITED cov: 10 ft: 11 corp: 2/10b exec/s: 0 rss: 35Mb\n\
                    #656771\tREDUCE cov: 1434 ft: 5210 corp: 915/1204Kb lim: 4096 exec/s: 4657 rss: 439Mb L: 24/4096\n\
                    Done 656771 runs in 141 second(s)\n\
                    stat::number_of_executed_units: 656771\nstat::average_exec_per_sec:     4657\nstat::peak_rss_mb:              439\n";
        let expected = Outcome {
            executions: 656_771,
            per_second: 4657,
            covered: 1434,
            corpus: 915,
            findings: Vec::new(),
        };
        assert_eq!(counted(said), expected);
        assert_eq!(counted("error: no such target"), Outcome::default());
    }

    #[test]
    fn a_finding_and_a_target_that_did_not_run_are_failures() {
        let found = |findings: &[&str]| {
            Ok(Outcome { findings: findings.iter().map(PathBuf::from).collect(), ..Outcome::default() })
        };
        assert!(report(&[("a", found(&[])), ("b", found(&[]))]).is_ok());
        let error = report(&[("a", found(&["target/fuzz/x"])), ("b", Err("`b` ended".into()))]).unwrap_err();
        assert_eq!(error, "finding of `a`: target/fuzz/x\n`b` ended");
    }

    #[test]
    fn every_program_is_a_target() {
        let names = targets().unwrap();
        assert!(names.contains("planner") && names.len() > 15, "{names:?}");
    }
}
