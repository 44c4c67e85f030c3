//! Sets of checks that other people's tables ask for, by the numbers that they have there.
//!
//! A row holds where each check that it asks has passed on every platform that was looked at, and has seen what the row claims: a check
//! that passes says that nothing is wrong, which is no answer to "tmux 3.x" for an image without tmux.

mod iteron;
#[cfg(test)]
mod tests;

use pinfold_base::Platform;
use pinfold_base::units::bytes;

use super::report::Finding;
use super::report::Outcome;
use super::report::Report;
use super::report::Verdict;

/// A table by its name.
#[derive(Clone, Copy, Debug)]
pub struct Set {
    /// Its name.
    pub name: &'static str,
    rows: &'static [Row],
}

/// All that are known.
pub const SETS: &[Set] = &[Set { name: "iteron", rows: iteron::ROWS }];

/// One row of a table.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// Its number there.
    number: &'static str,
    /// What it claims.
    says: &'static str,
    /// The checks that answer it, all of them.
    asks: &'static [Ask],
    on: On,
}

/// Which platforms a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    /// Those that were looked at.
    Each,
    /// One.
    One(Platform),
    /// The image as a whole: nothing is said of a part of it.
    Whole,
}

/// What a row asks of one check.
#[derive(Clone, Copy, Debug)]
struct Ask {
    check: &'static str,
    /// What must have been seen where it passes.
    seen: &'static [&'static str],
    /// The word of findings that are about this row, where the check looks at more.
    about: Option<&'static str>,
    /// The most that it may have measured, in bytes.
    most: Option<u64>,
}

const fn row(number: &'static str, says: &'static str, asks: &'static [Ask]) -> Row {
    Row { number, says, asks, on: On::Each }
}

const fn ask(check: &'static str) -> Ask {
    Ask { check, seen: &[], about: None, most: None }
}

/// How an ask was answered, and what was seen.
struct Said {
    verdict: Verdict,
    seen: String,
    finding: Option<Finding>,
}

impl Said {
    fn passed(seen: impl Into<String>) -> Self {
        Self { verdict: Verdict::Passed, seen: seen.into(), finding: None }
    }

    fn not_run(why: impl Into<String>) -> Self {
        Self { verdict: Verdict::NotRun, seen: why.into(), finding: None }
    }

    fn failed(at: impl Into<String>, problem: String) -> Self {
        let finding = Finding { at: at.into(), problem };
        Self { verdict: Verdict::Failed, seen: String::new(), finding: Some(finding) }
    }
}

/// The answers to a set: its rows by their numbers, and behind them what failed beside. `only` has the platforms that alone were to
/// be looked at; none where all were.
pub fn answers(set: &Set, report: &Report, only: &[Platform]) -> Report {
    let asks = |check: &str| set.rows.iter().flat_map(|row| row.asks).any(|ask| ask.check == check);
    let failed = report.outcomes.iter().filter(|outcome| outcome.verdict == Verdict::Failed);
    let beside = failed.filter(|outcome| !asks(&outcome.check)).cloned();
    let rows = set.rows.iter().map(|row| row.answer(report, only));
    Report { outcomes: rows.chain(beside).collect(), ..report.clone() }
}

impl Row {
    const fn on(self, on: On) -> Self {
        Self { on, ..self }
    }

    fn answer(&self, report: &Report, only: &[Platform]) -> Outcome {
        let said = if self.on == On::Whole && !only.is_empty() {
            vec![Said::not_run("`--platform` leaves a part of the image out")]
        } else {
            self.asks.iter().flat_map(|ask| self.said(ask, report)).collect()
        };
        let has = |verdict| said.iter().any(|said: &Said| said.verdict == verdict);
        let verdict = [Verdict::Failed, Verdict::NotRun].into_iter().find(|verdict| has(*verdict));
        let verdict = verdict.unwrap_or(Verdict::Passed);
        // What was seen of the rest says nothing of what failed, or was not looked at.
        let mut seen: Vec<&str> = Vec::new();
        for said in said.iter().filter(|said| said.verdict == verdict && !said.seen.is_empty()) {
            if !seen.contains(&said.seen.as_str()) {
                seen.push(&said.seen);
            }
        }
        let separator = if seen.is_empty() { "" } else { ": " };
        Outcome {
            check: self.number.into(),
            platform: None,
            verdict,
            evidence: format!("{}{separator}{}", self.says, seen.join("; ")),
            findings: said.iter().filter_map(|said| said.finding.clone()).collect(),
            more: 0,
            bytes: None,
        }
    }

    /// What each outcome of a check says.
    fn said(&self, ask: &Ask, report: &Report) -> Vec<Said> {
        let is_of = |outcome: &&Outcome| {
            outcome.check == ask.check
                && match self.on {
                    On::Each => true,
                    On::One(platform) => outcome.platform == Some(platform),
                    On::Whole => outcome.platform.is_none(),
                }
        };
        let said: Vec<Said> =
            report.outcomes.iter().filter(is_of).map(|outcome| ask.judge(outcome)).collect();
        match (said.is_empty(), ask.check.starts_with("run.")) {
            (false, _) => said,
            (true, true) => vec![Said::not_run("`--run` was not said")],
            (true, false) => vec![Said::not_run(format!("`{}` did not look at it", ask.check))],
        }
    }
}

impl Ask {
    const fn seen(self, seen: &'static [&'static str]) -> Self {
        Self { seen, ..self }
    }

    const fn about(self, about: &'static str) -> Self {
        Self { about: Some(about), ..self }
    }

    const fn most(self, most: u64) -> Self {
        Self { most: Some(most), ..self }
    }

    /// How a check answers it.
    fn judge(&self, outcome: &Outcome) -> Said {
        let on = outcome.platform.map_or_else(|| "the image".to_owned(), |platform| platform.to_string());
        let unseen = self.seen.iter().find(|word| !outcome.evidence.contains(**word));
        match (outcome.verdict, self.most, outcome.bytes) {
            (Verdict::NotRun, ..) => Said::not_run(&outcome.evidence),
            // The table's own limit counts, not the one that was asked for.
            (_, Some(most), Some(size)) if size > most => {
                Said::failed(on, format!("{} where at most {} are asked for", bytes(size), bytes(most)))
            }
            (_, Some(_), Some(size)) => Said::passed(format!("{} on {on}", bytes(size))),
            (_, Some(_), None) => Said::not_run("its size is not known"),
            (Verdict::Passed, ..) => match unseen {
                Some(word) => {
                    Said::failed(on, format!("no `{}` was seen: {}", word.trim(), outcome.evidence))
                }
                None => Said::passed(&outcome.evidence),
            },
            (Verdict::Failed, ..) => {
                let about = |finding: &&Finding| {
                    self.about.is_none_or(|word| finding.at.contains(word) || finding.problem.contains(word))
                };
                match outcome.findings.iter().find(about) {
                    Some(finding) => Said::failed(&finding.at, finding.problem.clone()),
                    // It failed for something else, and saw this.
                    None if unseen.is_none() && !self.seen.is_empty() => Said::passed(&outcome.evidence),
                    None => Said::not_run(format!("`{}` failed for another reason", outcome.check)),
                }
            }
        }
    }
}
