//! What a sandbox asked for and the proxy refused, at the end of a run, with the flag that allows it: on stderr, since stdout is
//! the program's.

use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_base::text;
use pinfold_sandbox::Refusals;
use pinfold_sandbox::Refused;

use super::page::Page;
use crate::args::Global;

/// How many targets are named.
const NAMED: usize = 10;

/// Tells it, if there is anything to tell and the user did not ask for quiet.
pub(crate) fn tell(refusals: &Refusals, global: Global) {
    if global.quiet || *refusals == Refusals::default() {
        return;
    }
    if global.json {
        super::event(&serde_json::json!({ "event": "refused", "found": refusals }));
    } else {
        super::tell(&page(refusals));
    }
}

fn page(refusals: &Refusals) -> Page {
    let mut page = Page::default();
    page.line("refused by the proxy while the sandbox ran:");
    for Refused { target, reason, times, rule } in refusals.targets.iter().take(NAMED) {
        let times = if *times > 1 { format!(" ({times} times)") } else { String::new() };
        let why = match rule {
            Some(rule) => shown!("`--allow {}` lets it", text::word(rule)),
            None => Shown::from(reason),
        };
        page.line(shown!("  {}{times}: {why}", Shown::from(target)));
    }
    let further: u64 = refusals.targets.iter().skip(NAMED).map(|refused| refused.times).sum();
    let more = refusals.more + further;
    if more > 0 {
        page.line(shown!("  and {more} more requests to others"));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_told_with_what_allows_it() {
        let one = |target: &str, times: u64, rule: Option<&str>| Refused {
            target: target.into(),
            reason: "it is at 10.0.0.1, a private address".into(),
            times,
            rule: rule.map(str::to_owned),
        };
        let mut targets =
            vec![one("a.example:443", 12, Some("a.example")), one("p.example\u{1b}:443", 1, None)];
        let text = page(&Refusals { targets: targets.clone(), more: 0 }).as_str().to_owned();
        let expected = "refused by the proxy while the sandbox ran:\n  a.example:443 (12 times): `--allow a.example` lets it\n  \
                        p.example\\x1b:443: it is at 10.0.0.1, a private address\n";
        assert_eq!(text, expected);
        targets.resize(NAMED + 3, one("x.example:443", 2, None));
        let text = page(&Refusals { targets, more: 5 }).as_str().to_owned();
        assert!(text.ends_with("\n  and 11 more requests to others\n"), "{text}");
    }
}
