//! A report as JUnit's XML, which CI systems show: a suite for each platform, a case for each check.

use std::fmt::Write as _;

use super::report::Outcome;
use super::report::Report;
use super::report::Verdict;

/// The XML; what came from the image is escaped, and what XML cannot say is left out.
pub fn xml(report: &Report) -> String {
    let name = |outcome: &Outcome| {
        outcome.platform.map_or_else(|| "image".to_owned(), |platform| platform.to_string())
    };
    let mut suites: Vec<(String, Vec<&Outcome>)> = Vec::new();
    for outcome in &report.outcomes {
        let of = name(outcome);
        match suites.iter_mut().find(|(suite, _)| *suite == of) {
            Some((_, outcomes)) => outcomes.push(outcome),
            None => suites.push((of, vec![outcome])),
        }
    }
    let count =
        |outcomes: &[&Outcome], verdict| outcomes.iter().filter(|outcome| outcome.verdict == verdict).count();
    let all: Vec<&Outcome> = report.outcomes.iter().collect();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">\n",
        escaped(&format!("pinfold verify {}", report.image)),
        all.len(),
        count(&all, Verdict::Failed),
        count(&all, Verdict::NotRun),
    );
    for (suite, outcomes) in &suites {
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">\n    <properties><property name=\"digest\" value=\"{}\"/></properties>",
            escaped(suite),
            outcomes.len(),
            count(outcomes, Verdict::Failed),
            count(outcomes, Verdict::NotRun),
            report.digest,
        );
        for outcome in outcomes {
            case(&mut out, suite, outcome);
        }
        out.push_str("  </testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

fn case(out: &mut String, suite: &str, outcome: &Outcome) {
    let _ =
        write!(out, "    <testcase classname=\"{}\" name=\"{}\">", escaped(suite), escaped(&outcome.check));
    match outcome.verdict {
        Verdict::Passed => {}
        Verdict::NotRun => {
            let _ = write!(out, "<skipped message=\"{}\"/>", escaped(&outcome.evidence));
        }
        Verdict::Failed => {
            let count = outcome.findings.len() + outcome.more;
            let _ = write!(out, "<failure message=\"{count} found\">");
            for finding in &outcome.findings {
                let _ = writeln!(out, "{}: {}", escaped(&finding.at), escaped(&finding.problem));
            }
            out.push_str("</failure>");
        }
    }
    let _ = writeln!(out, "<system-out>{}</system-out></testcase>", escaped(&outcome.evidence));
}

/// Text between tags or quotes (XML 1.0, sections 2.2 and 2.4).
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(char),
            char if char < ' ' || matches!(char, '\u{fffe}' | '\u{ffff}' | '\u{7f}'..='\u{9f}') => {
                out.push('\u{fffd}');
            }
            char => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use pinfold_base::Digest;

    use super::*;
    use crate::verify::checks::HARDENING_SET_ID;
    use crate::verify::checks::OCI_BLOBS;
    use crate::verify::checks::RUN_START;
    use crate::verify::report::Finding;

    #[test]
    fn what_an_image_says_stays_text() {
        let finding = Finding { at: "/a\"><x>\u{1b}[1m".into(), problem: "4755 & more".into() };
        let amd64 = "linux/amd64".parse().unwrap();
        let report = Report {
            image: "a<b>".into(),
            digest: Digest::sha256(b""),
            outcomes: vec![
                Outcome::looked(OCI_BLOBS, "2 layers", []),
                Outcome::looked(HARDENING_SET_ID, "1 file", [finding]).on(amd64),
                Outcome::not_run(RUN_START, "not here").on(amd64),
            ],
        };
        let text = xml(&report);
        assert!(text.contains("tests=\"3\" failures=\"1\" skipped=\"1\">"), "{text}");
        assert!(text.contains("/a&quot;&gt;&lt;x&gt;\u{fffd}[1m: 4755 &amp; more"), "{text}");
        assert!(!text.contains("<x>") && !text.contains("a<b>"));
        assert_eq!(text.matches("<testsuite ").count(), 2);
    }
}
