//! Tests that an image's owner wrote: those of the manifest (`[[test]]`), and files that container-structure-test reads.
//!
//! ```text
//!   manifest ─► [[test]] ─┐                ┌─ paths ──► the image's files and configuration: nothing runs
//!                         ├─► Test ─► judge┤
//!   FILE.yaml ─► structure┘                └─ commands ► a sandbox each ([`super::dynamic`])
//! ```
//!
//! **Guarantees**: each test has one outcome, `test: NAME`; what is not looked at here is not run and says why. A command has no
//! network, a home of its own and a read-only root, as in a run.

mod config;
mod expand;
mod paths;
pub mod structure;

use pinfold_base::Platform;
use pinfold_base::error::one_line;
use pinfold_image::Image;
use pinfold_image::ImageSource;
use pinfold_image::trust::Admitted;
use pinfold_sandbox::Ended;
use pinfold_sandbox::Exit;
use pinfold_sandbox::Runtime;
use pinfold_sandbox::Spec;

use self::expand::expand;
use self::paths::Paths;
use super::dynamic;
use super::dynamic::Inside;
use super::dynamic::Said;
use super::dynamic::Why;
use super::report::FINDINGS_MAX;
use super::report::Finding;
use super::report::Outcome;
use super::report::Verdict;
use crate::context::Context;
use crate::project::manifest::test::Asks;
use crate::project::manifest::test::CommandTest;
use crate::project::manifest::test::Patterns;
use crate::project::manifest::test::Test;
use crate::project::manifest::test::Variables;

/// Letters of a text that is shown where it does not match.
const SHOWN: usize = 300;

/// How commands are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commands {
    /// Each in a sandbox of this runtime.
    Run(Runtime),
    /// Not at all: only files and configuration are looked at.
    Skip,
}

/// The outcomes of `tests` on one platform, in their order.
pub fn run(
    context: &Context,
    source: &Admitted<ImageSource>,
    platform: Platform,
    commands: Commands,
    tests: &[Test],
) -> Vec<Outcome> {
    if tests.is_empty() {
        return Vec::new();
    }
    let outcomes: Vec<Outcome> = match source.image(platform) {
        Err(error) => {
            let why = one_line(&error);
            tests.iter().map(|test| not_run(test, why.clone())).collect()
        }
        Ok(image) => {
            let subject = Subject::new(context, source, &image, platform, commands, tests);
            tests.iter().map(|test| subject.outcome(test)).collect()
        }
    };
    outcomes.into_iter().map(|outcome| outcome.on(platform)).collect()
}

/// What all of them are called together.
pub const GROUP: &str = "test";

/// The name of a test's outcome.
pub(super) fn id(test: &Test) -> String {
    format!("{GROUP}: {}", test.name)
}

fn not_run(test: &Test, reason: String) -> Outcome {
    outcome(test, Verdict::NotRun, reason, Vec::new())
}

fn outcome(test: &Test, verdict: Verdict, evidence: String, mut findings: Vec<Finding>) -> Outcome {
    let more = findings.len().saturating_sub(FINDINGS_MAX);
    findings.truncate(FINDINGS_MAX);
    Outcome { check: id(test), platform: None, verdict, evidence, findings, more, bytes: None }
}

fn looked(test: &Test, evidence: String, findings: Vec<Finding>) -> Outcome {
    let verdict = if findings.is_empty() { Verdict::Passed } else { Verdict::Failed };
    outcome(test, verdict, evidence, findings)
}

/// An image that is tested. What it takes to look is had at the first test that asks.
struct Subject<'a> {
    context: &'a Context,
    source: &'a Admitted<ImageSource>,
    image: &'a Image,
    platform: Platform,
    commands: Commands,
    tests: &'a [Test],
    paths: std::cell::OnceCell<Result<Paths, String>>,
    inside: std::cell::OnceCell<Result<Inside, String>>,
}

impl<'a> Subject<'a> {
    fn new(
        context: &'a Context,
        source: &'a Admitted<ImageSource>,
        image: &'a Image,
        platform: Platform,
        commands: Commands,
        tests: &'a [Test],
    ) -> Self {
        let (paths, inside) = (std::cell::OnceCell::new(), std::cell::OnceCell::new());
        Self { context, source, image, platform, commands, tests, paths, inside }
    }

    fn env(&self, name: &str) -> Option<String> {
        let config = self.image.config.value().config.as_ref()?;
        let pair =
            config.env.iter().rev().find_map(|text| text.split_once('=').filter(|(key, _)| *key == name));
        pair.map(|(_, value)| value.to_owned())
    }

    fn text(&self, text: &str, variables: &Variables) -> String {
        let of_image = |name: &str| self.env(name).unwrap_or_default();
        match variables {
            Variables::AsWritten => text.to_owned(),
            Variables::Expanded(further) => {
                expand(text, |name| match further.iter().rev().find(|(known, _)| known == name) {
                    Some((_, value)) => expand(value, of_image),
                    None => of_image(name),
                })
            }
        }
    }

    /// Reads the paths, with the content of all files that a test looks into.
    fn read(&self) -> Result<Paths, String> {
        let contents = self.tests.iter().filter_map(|test| match &test.asks {
            Asks::Path(asked) if asked.content.is_some() => Some(self.text(&asked.path, &asked.variables)),
            _ => None,
        });
        Paths::read(self.source, self.image, &*self.context.reporter, &contents.collect::<Vec<_>>())
    }

    fn outcome(&self, test: &Test) -> Outcome {
        match &test.asks {
            Asks::Nonsense(problem) => looked(
                test,
                "it is written wrongly".into(),
                vec![Finding { at: test.name.clone(), problem: problem.clone() }],
            ),
            Asks::Unsupported(reason) => not_run(test, reason.clone()),
            Asks::Image(asked) => {
                let config = self.image.config.value().config.clone().unwrap_or_default();
                let findings = config::judge(asked, &config);
                looked(test, "the image's configuration was read".into(), findings)
            }
            Asks::Path(asked) => match self.paths.get_or_init(|| self.read()) {
                Err(problem) => not_run(test, problem.clone()),
                Ok(paths) => {
                    let path = self.text(&asked.path, &asked.variables);
                    match paths.judge(asked, &path) {
                        Ok((evidence, findings)) => looked(test, evidence, findings),
                        Err(reason) => not_run(test, reason),
                    }
                }
            },
            Asks::Command(asked) => self.command(test, asked),
        }
    }

    fn command(&self, test: &Test, asked: &CommandTest) -> Outcome {
        let Commands::Run(runtime) = self.commands else {
            return not_run(test, "its command needs `--run`".into());
        };
        if let Err(why) = dynamic::runs_here(self.platform) {
            return not_run(test, format!("{}: {why}", dynamic::NOT_HERE));
        }
        let inside =
            self.inside.get_or_init(|| Inside::new(self.context, self.source, self.platform, runtime));
        let inside = match inside {
            Ok(inside) => inside,
            Err(problem) => {
                return looked(
                    test,
                    "the sandbox did not start".into(),
                    vec![Finding { at: "the sandbox".into(), problem: problem.clone() }],
                );
            }
        };
        let command: Vec<String> =
            asked.command.iter().map(|word| self.text(word, &asked.variables)).collect();
        let shown = asked.command.join(" ");
        let mut spec = inside.spec().clone();
        for (name, value) in &asked.env {
            let value = match asked.variables {
                Variables::AsWritten => value.clone(),
                // A value is made of what the image has, not of its neighbours'.
                Variables::Expanded(_) => expand(value, |name| self.env(name).unwrap_or_default()),
            };
            spec.env.insert(name.clone(), value);
        }
        match attempt(inside, &spec, &asked.setup, &command) {
            Ok(said) => {
                looked(test, format!("`{}` {}", short(&shown), said.how()), judge_command(asked, &said))
            }
            Err(Why::Missing(program)) if !asked.setup.is_empty() && program == "sh" => {
                not_run(test, "the image has no `sh`, which its `setup` needs".into())
            }
            Err(why) => {
                looked(test, "it did not run".into(), vec![Finding { at: shown, problem: why.text() }])
            }
        }
    }
}

/// Runs the setup and the command. Where there is a setup, a shell of the image holds the two together.
fn attempt(inside: &Inside, spec: &Spec, setup: &[Vec<String>], command: &[String]) -> Result<Said, Why> {
    if setup.is_empty() {
        let words: Vec<&str> = command.iter().map(String::as_str).collect();
        return inside.run_as(spec, &words, dynamic::SHORT);
    }
    let line = |words: &[String]| words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
    let mut script = String::new();
    for words in setup {
        script.push_str(&format!("{} </dev/null >/dev/null 2>&1\n", line(words)));
    }
    script.push_str(&format!("exec {}\n", line(command)));
    inside.run_as(spec, &["sh", "-c", &script], dynamic::SHORT)
}

/// A word of a shell's script that is itself.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn short(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// What of a text does not match.
fn mismatches<'a>(at: &'a str, patterns: &'a Patterns, text: &'a [u8]) -> impl Iterator<Item = Finding> + 'a {
    let shown = || short(String::from_utf8_lossy(text).trim_end());
    let missing = patterns.expected.iter().filter(|pattern| !pattern.is_in(text));
    let found = patterns.excluded.iter().filter(|pattern| pattern.is_in(text));
    let missing = missing.map(move |pattern| Finding {
        at: at.to_owned(),
        problem: format!("`{pattern}` is not in `{}`", shown()),
    });
    missing.chain(found.map(move |pattern| Finding {
        at: at.to_owned(),
        problem: format!("`{pattern}`, which must not be there, is in `{}`", shown()),
    }))
}

fn judge_command(asked: &CommandTest, said: &Said) -> Vec<Finding> {
    let mut findings: Vec<Finding> = mismatches("standard error", &asked.stderr, said.errors.as_bytes())
        .chain(mismatches("standard output", &asked.stdout, said.output.as_bytes()))
        .collect();
    let code = match said.ended {
        Ended::Exit(exit) => Some(i64::from(exit.code())),
        Ended::Late | Ended::Enough => None,
    };
    if code != Some(asked.exit_code) {
        let problem = match said.ended {
            Ended::Exit(Exit::Code(code)) => format!("it ended with code {code}, not {}", asked.exit_code),
            _ => format!("it {}, not with code {}", said.how(), asked.exit_code),
        };
        findings.push(Finding { at: "exit code".into(), problem });
    }
    findings
}

#[cfg(test)]
mod tests;
