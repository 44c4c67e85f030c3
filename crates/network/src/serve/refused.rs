//! What a proxy has refused, summed up for whoever started the sandbox.
//!
//! ```text
//!   Note (a tunnel or request, not allowed) ──► Tally, at most KEPT targets ──► Refusals: by how often, with the rule
//! ```
//!
//! **Guarantees**: bounded, whatever the sandbox asks for; a rule is named only where the list was the reason, and then lets
//! just that target pass. **Leaves** the whole record to the journal.

use std::collections::BTreeMap;

use pinfold_base::address::Reachability;
use pinfold_base::address::classify;
use pinfold_base::authority::Host;
use pinfold_base::authority::Target;
use serde::Serialize;

use super::journal::Event;
use super::journal::Note;
use crate::rules;
use crate::rules::AllowList;

/// So many targets are told apart; of others only their number is known.
const KEPT: usize = 100;

/// A target that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Host and port, as understood. It came from the sandbox.
    pub target: String,
    /// Why, the first time.
    pub reason: String,
    /// How often.
    pub times: u64,
    /// The rule that would allow it, where one would.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Refusals {
    /// The most frequent first.
    pub targets: Vec<Refused>,
    /// Requests to further targets.
    pub more: u64,
}

/// Whether `note` says that a target was refused. One that was allowed and could not be reached (5xx) was not.
pub(super) fn is_refusal(note: &Note) -> bool {
    !note.allowed
        && matches!(note.event, Event::Connect | Event::Http)
        && note.status.is_none_or(|status| status < 500)
}

/// What was refused so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    seen: BTreeMap<String, (String, u64)>,
    more: u64,
}

impl Tally {
    /// Counts a refusal.
    pub(super) fn count(&mut self, note: &Note) {
        if let Some((_, times)) = self.seen.get_mut(&note.target) {
            *times += 1;
        } else if self.seen.len() < KEPT {
            self.seen.insert(note.target.clone(), (note.reason.clone(), 1));
        } else {
            self.more += 1;
        }
    }

    /// The sum, seen from the list that judged. What a route leads to (`routed`) is on no list on purpose: beside the route no
    /// key is added.
    pub(super) fn sum(&self, allow: &AllowList, routed: &[&Target]) -> Refusals {
        let rule = |target: &str| {
            let target = Target::parse(target.as_bytes(), None).ok()?;
            if routed.iter().any(|route| route.host == target.host) {
                return None;
            }
            let public = match &target.host {
                Host::Address(address) => classify(*address) == Reachability::Public,
                Host::Name(name) => &**name != "localhost" && !name.ends_with(".localhost"),
            };
            (public && allow.admits(&target).is_none()).then(|| rules::allowing(&target))
        };
        let refused = |(target, (reason, times)): (&String, &(String, u64))| Refused {
            target: target.clone(),
            reason: reason.clone(),
            times: *times,
            rule: rule(target),
        };
        let mut targets: Vec<Refused> = self.seen.iter().map(refused).collect();
        targets.sort_by_key(|refused| std::cmp::Reverse(refused.times));
        Refusals { targets, more: self.more }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(target: &str) -> Note {
        Note { reason: format!("no rule allows `{target}`"), ..Note::new(Event::Connect, &target, false) }
    }

    #[test]
    fn the_rule_that_is_named_lets_the_target_pass() {
        let allow = AllowList::parse(["private.example"]).unwrap();
        let mut tally = Tally::default();
        for (target, times) in [
            ("a.example:443", 2),
            ("a.example:8443", 1),
            ("git.example:22", 1),
            ("[2606:4700::1111]:443", 1),
            // No rule lets these be reached.
            ("127.0.0.1:2375", 1),
            ("169.254.169.254:80", 1),
            ("localhost:8080", 1),
            ("provider.example:443", 1),
            // Allowed, and at a private address.
            ("private.example:443", 3),
        ] {
            (0..times).for_each(|_| tally.count(&of(target)));
        }
        let provider = Target::parse(b"provider.example:443", None).unwrap();
        let sum = tally.sum(&allow, &[&provider]);
        let first: Vec<_> = sum.targets.iter().map(|one| (one.target.as_str(), one.times)).take(2).collect();
        assert_eq!(first, [("private.example:443", 3), ("a.example:443", 2)]);
        assert_eq!((sum.targets.len(), sum.more), (9, 0));
        let mut without = Vec::new();
        for one in sum.targets {
            let Some(rule) = one.rule else {
                without.push(one.target);
                continue;
            };
            let allow = AllowList::parse([rule.as_str()]).unwrap();
            assert!(allow.check(&one.target).allowed, "{rule} for {}", one.target);
        }
        without.sort();
        let expected = [
            "127.0.0.1:2375",
            "169.254.169.254:80",
            "localhost:8080",
            "private.example:443",
            "provider.example:443",
        ];
        assert_eq!(without, expected);
    }

    #[test]
    fn what_could_not_be_reached_was_not_refused() {
        let with = |event, allowed, status| {
            is_refusal(&Note { status, ..Note::new(event, &"a.example:443", allowed) })
        };
        assert!(with(Event::Connect, false, Some(403)) && with(Event::Http, false, Some(403)));
        // A hello of another name has no answer.
        assert!(with(Event::Connect, false, None));
        for (event, allowed, status) in [
            (Event::Connect, true, None),
            (Event::Closed, true, None),
            (Event::Connect, false, Some(502)),
            (Event::Connect, false, Some(503)),
            (Event::Malformed, false, Some(400)),
            (Event::Route, false, Some(403)),
        ] {
            assert!(!with(event, allowed, status), "{event:?} {status:?}");
        }
    }

    #[test]
    fn a_sandbox_that_asks_for_ever_more_fills_no_memory() {
        let mut tally = Tally::default();
        (0..KEPT + 7).for_each(|number| tally.count(&of(&format!("h{number}.example:443"))));
        tally.count(&of("h1.example:443"));
        let sum = tally.sum(&AllowList::default(), &[]);
        assert_eq!((sum.targets.len(), sum.more, sum.targets[0].times), (KEPT, 7, 2));
    }
}
