//! What was checked.

use pinfold_base::Platform;
use pinfold_base::shown;

use super::html::Html;
use super::names;
use crate::verify::checks::CHECKS;
use crate::verify::report::Outcome;
use crate::verify::report::Report;
use crate::verify::report::Verdict;

/// How many checks ended how.
pub(super) fn badges(html: &mut Html, report: &Report) {
    let count = |verdict| report.outcomes.iter().filter(|outcome| outcome.verdict == verdict).count();
    let kinds: [(Verdict, &'static str, &'static str); 3] = [
        (Verdict::Failed, "<li class=\"badge bad\">", " failed"),
        (Verdict::Passed, "<li class=\"badge ok\">", " passed"),
        (Verdict::NotRun, "<li class=\"badge\">", " not run"),
    ];
    for (verdict, open, word) in kinds {
        let number = count(verdict);
        if number > 0 {
            html.element(open, shown!("{number}{word}"), "</li>");
        }
    }
}

/// The table of checks.
pub(super) fn section(html: &mut Html, report: Option<&Report>) {
    html.raw("<section id=\"checks\"><h2>Checks</h2>");
    let Some(report) = report else {
        html.raw("<p>Nothing was checked for this page.</p></section>\n");
        return;
    };
    html.raw("<p>What holds of the image, and what was looked at to say so. A check that did not look has no verdict.</p>");
    html.raw("<table class=\"checks\"><thead><tr><th>Check<th>Verdict<th>Evidence</tr></thead><tbody>");
    // In the order of the report; all platforms of one check are one row.
    let mut rows: Vec<(&str, Vec<&Outcome>)> = Vec::new();
    for outcome in &report.outcomes {
        match rows.iter_mut().find(|(id, _)| *id == outcome.check) {
            Some((_, outcomes)) => outcomes.push(outcome),
            None => rows.push((&outcome.check, vec![outcome])),
        }
    }
    for (id, outcomes) in rows {
        row(html, id, &outcomes);
    }
    html.raw("</tbody></table></section>\n");
}

/// What several platforms say alike.
type Said<'a> = (Verdict, &'a str);

fn row(html: &mut Html, id: &str, outcomes: &[&Outcome]) {
    let says = CHECKS.iter().find(|check| check.id == id).map(|check| check.says);
    html.element("<tr><td class=\"key\"><code>", id, "</code>");
    if let Some(says) = says {
        html.element("<p class=\"soft\">", says, "</p>");
    }
    html.raw("</td>");
    // In the order of platforms, those that say the same together.
    let mut said: Vec<(Said<'_>, Vec<Platform>)> = Vec::new();
    for outcome in outcomes {
        let one = (outcome.verdict, outcome.evidence.as_str());
        match said.iter_mut().find(|(known, _)| *known == one) {
            Some((_, platforms)) => platforms.extend(outcome.platform),
            None => said.push((one, outcome.platform.into_iter().collect())),
        }
    }
    html.open_cell("Verdict");
    let mut verdicts: Vec<Verdict> = outcomes.iter().map(|outcome| outcome.verdict).collect();
    verdicts.sort_unstable();
    verdicts.dedup();
    // The worst, where platforms do not agree; each has its own beside its evidence.
    let worst =
        [Verdict::Failed, Verdict::NotRun, Verdict::Passed].into_iter().find(|one| verdicts.contains(one));
    if let Some(worst) = worst {
        badge(html, worst);
    }
    if verdicts.len() > 1 {
        html.raw("<p class=\"soft\">not alike on all platforms</p>");
    }
    html.raw("</td>").open_cell("Evidence");
    for ((verdict, evidence), platforms) in &said {
        html.raw("<p>");
        if said.len() > 1 {
            let whole = if platforms.is_empty() { "all of it".into() } else { names(platforms) };
            html.element("<span class=\"soft\">", whole, ": </span>");
        }
        if verdicts.len() > 1 {
            badge(html, *verdict);
        }
        html.text(*evidence).raw("</p>");
    }
    for outcome in outcomes.iter().filter(|outcome| !outcome.findings.is_empty()) {
        findings(html, outcome, outcomes.len() > 1);
    }
    html.raw("</td></tr>\n");
}

fn badge(html: &mut Html, verdict: Verdict) {
    let open = match verdict {
        Verdict::Passed => "<span class=\"badge ok\">",
        Verdict::Failed => "<span class=\"badge bad\">",
        Verdict::NotRun => "<span class=\"badge\">",
    };
    html.element(open, shown!("{verdict}"), "</span>");
}

fn findings(html: &mut Html, outcome: &Outcome, several: bool) {
    let count = outcome.findings.len() + outcome.more;
    let on =
        outcome.platform.filter(|_| several).map(|platform| format!(" on {platform}")).unwrap_or_default();
    html.element("<details open><summary>", shown!("{count} found{on}"), "</summary><ul>");
    for finding in &outcome.findings {
        html.element("<li><code>", &finding.at, "</code> ").text(&finding.problem).raw("</li>");
    }
    if outcome.more > 0 {
        html.element("<li>", shown!("and {} more", outcome.more), "</li>");
    }
    html.raw("</ul></details>");
}
