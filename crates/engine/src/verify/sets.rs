//! Sets of checks that other people's tables ask for, by the numbers that they have there.

use pinfold_base::Platform;

use super::report::Outcome;
use super::report::Report;
use super::report::Verdict;

/// One row of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its number there.
    pub number: &'static str,
    /// What it asks for.
    pub says: &'static str,
    /// The checks that answer it.
    pub checks: &'static [&'static str],
    /// The platform that it is about.
    pub platform: Option<Platform>,
    /// The word of a finding that is about this row alone, where a check answers several.
    pub about: Option<&'static str>,
}

const fn row(number: &'static str, says: &'static str, checks: &'static [&'static str]) -> Row {
    Row { number, says, checks, platform: None, about: None }
}

impl Row {
    const fn on(self, platform: Platform) -> Self {
        Self { platform: Some(platform), ..self }
    }

    const fn of(self, about: &'static str) -> Self {
        Self { about: Some(about), ..self }
    }
}

/// A table by its name.
#[derive(Clone, Copy, Debug)]
pub struct Set {
    /// Its name.
    pub name: &'static str,
    /// Its rows.
    pub rows: &'static [Row],
}

/// All that are known.
pub const SETS: &[Set] = &[Set { name: "iteron", rows: ITERON }];

const BUILT: &[&str] = &["oci.blobs", "oci.layers", "oci.documents", "oci.tar"];

/// The table of the IterOn sandbox image, and its specification SBD-001 to 008.
const ITERON: &[Row] = &[
    row("1", "the image is built for linux/amd64", BUILT).on(Platform::ALL[0]),
    row("2", "the image is built for linux/arm64", BUILT).on(Platform::ALL[1]),
    row("3", "claude --version prints a version", &["run.version"]).of("claude-code"),
    row("4", "codex --version prints a version", &["run.version"]).of("codex-cli"),
    row("5", "gemini --version prints a version", &["run.version"]).of("gemini-cli"),
    row("6", "opencode --version prints a version", &["run.version"]).of("opencode"),
    row("7", "tini --version prints a version", &["run.tools"]).of("tini"),
    row("8", "tmux -V prints tmux 3.x", &["run.tools"]).of("tmux"),
    row("9", "id is uid=1000(iteron) gid=1000(iteron)", &["run.user"]),
    row("10", "touch /usr/local/test fails: read-only file system", &["run.read-only"]),
    row("11", "touch /tmp/test works", &["run.tmp"]),
    row("12", "~/.claude.json has hasCompletedOnboarding", &["agents.config"]).of("/.claude.json"),
    row("13", "~/.claude/settings.json lets every tool run", &["agents.autonomy"])
        .of("/.claude/settings.json"),
    row("14", "no file has a set-id bit", &["hardening.set-id", "run.set-id"]),
    row("15", "less than 1 GB compressed", &["size.budget"]),
    row("SBD-001", "on Debian bookworm, with Node.js 22", &["origin.base"]),
    row("SBD-002", "the agents come pinned from npm", &["agents.present", "origin.lock"]),
    row(
        "SBD-003",
        "claude-code is claude, codex-cli codex, gemini-cli gemini, opencode opencode",
        &["agents.present"],
    ),
    row(
        "SBD-004",
        "user iteron (1000:1000), tini as process 1, bash by default",
        &["closure.user", "closure.commands", "run.user", "run.init"],
    ),
    row(
        "SBD-005",
        "no set-id bits; configurations of agents and tmux",
        &["hardening.set-id", "agents.config"],
    ),
    row("SBD-006", "native builds are images", BUILT),
    row("SBD-007", "published for amd64 and arm64 in one index", &["oci.documents"]),
    row("SBD-008", "at most 700 MiB of compressed layers on each platform", &["size.budget"]),
];

/// A row's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The row.
    pub row: Row,
    /// How it came out: as the worst of what answers it.
    pub verdict: Verdict,
    /// What was seen, or found wrong.
    pub evidence: String,
}

/// The answers of a report to a set.
pub fn answers(set: &Set, report: &Report) -> Vec<Answer> {
    set.rows.iter().map(|row| answer(row, report)).collect()
}

fn answer(row: &Row, report: &Report) -> Answer {
    let of = |outcome: &&Outcome| {
        row.checks.contains(&outcome.check.as_str())
            && row.platform.is_none_or(|platform| outcome.platform == Some(platform))
    };
    let outcomes: Vec<&Outcome> = report.outcomes.iter().filter(of).collect();
    let about = |text: &str| row.about.is_none_or(|word| text.contains(word));
    let found = outcomes.iter().flat_map(|outcome| &outcome.findings);
    let found: Vec<String> = found
        .map(|finding| format!("{}: {}", finding.at, finding.problem))
        .filter(|text| about(text))
        .collect();
    let looked = |verdict: Verdict| outcomes.iter().any(|outcome| outcome.verdict == verdict);
    let missing = row.checks.iter().any(|check| outcomes.iter().all(|outcome| outcome.check != *check));
    let (verdict, evidence) = match found.first() {
        Some(first) => (Verdict::Failed, first.clone()),
        // A check that ended early because of something else says nothing of this row.
        None if row.about.is_some()
            && looked(Verdict::Failed)
            && !outcomes.iter().any(|one| about(&one.evidence)) =>
        {
            (Verdict::NotRun, "the check failed for another reason before it came to this".into())
        }
        None if row.about.is_none() && looked(Verdict::Failed) => (Verdict::Failed, "it failed".into()),
        None if missing || !(looked(Verdict::Passed) || looked(Verdict::Failed)) => {
            let why = outcomes.iter().find(|outcome| outcome.verdict == Verdict::NotRun);
            (
                Verdict::NotRun,
                why.map_or_else(|| "it was not looked at".to_owned(), |why| why.evidence.clone()),
            )
        }
        None => {
            let passed = outcomes
                .iter()
                .find(|outcome| outcome.verdict == Verdict::Passed && about(&outcome.evidence));
            let passed =
                passed.or_else(|| outcomes.iter().find(|outcome| outcome.verdict == Verdict::Passed));
            (Verdict::Passed, passed.map(|outcome| outcome.evidence.clone()).unwrap_or_default())
        }
    };
    Answer { row: *row, verdict, evidence }
}
