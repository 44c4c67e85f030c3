//! What came of checking an image: a line for each check with what was seen, and below a failed one what is wrong.

use pinfold_base::Platform;
use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_engine::verify::report::Outcome;
use pinfold_engine::verify::report::Report;
use pinfold_engine::verify::report::Verdict;

use super::page::Page;

/// Columns of a verdict.
const VERDICT: usize = 8;

/// All of a report; where it should be quiet, what failed alone.
pub(crate) fn page(report: &Report, quiet: bool) -> Page {
    let mut page = Page::default();
    let shown: Vec<&Outcome> =
        report.outcomes.iter().filter(|outcome| !quiet || outcome.verdict == Verdict::Failed).collect();
    let width = shown.iter().map(|outcome| Shown::new(&outcome.check).columns()).max().unwrap_or_default();
    let mut platforms: Vec<Option<Platform>> = Vec::new();
    for outcome in &shown {
        if !platforms.contains(&outcome.platform) {
            platforms.push(outcome.platform);
        }
    }
    for platform in platforms {
        if let Some(platform) = platform {
            page.blank();
            page.line(shown!("{platform}"));
        }
        for outcome in shown.iter().filter(|outcome| outcome.platform == platform) {
            line(&mut page, outcome, width);
        }
    }
    if !quiet {
        page.blank();
        page.fitted(shown!("{} {}", report.image, report.digest));
    }
    page.line(summary(report));
    page
}

fn line(page: &mut Page, outcome: &Outcome, width: usize) {
    let Outcome { check, verdict, evidence, findings, more, .. } = outcome;
    let verdict = verdict.to_string();
    let heading = shown!("{verdict:VERDICT$}  {:width$}  ", Shown::new(check).as_str());
    page.wrapped(heading, Shown::new(evidence));
    for finding in findings {
        page.wrapped(shown!("{:VERDICT$}  ", ""), shown!("{}: {}", finding.at, finding.problem));
    }
    if *more > 0 {
        page.line(shown!("{:VERDICT$}  and {more} more", ""));
    }
}

/// How many checks came out how.
fn summary(report: &Report) -> Shown {
    let count = |verdict| report.outcomes.iter().filter(|outcome| outcome.verdict == verdict).count();
    let mut parts = vec![format!("{} passed", count(Verdict::Passed))];
    for verdict in [Verdict::Failed, Verdict::NotRun] {
        if count(verdict) > 0 {
            parts.push(format!("{} {}", count(verdict), verdict.to_string().to_lowercase()));
        }
    }
    Shown::new(&parts.join(", "))
}
