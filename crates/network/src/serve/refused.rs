//! What a proxy has refused, summed up for whoever started the sandbox.
//!
//! ```text
//!   Note (a tunnel or request, not allowed) ──► Tally, at most KEPT targets ──► Refusals: the first first, with the rule
//! ```
//!
//! **Guarantees**: bounded, whatever the sandbox asks for; what came first stays first, however many others are asked for later;
//! a rule is named only where the list was the reason, and then lets just that target pass. **Leaves** the whole record to the journal.

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
    /// The first that was refused first.
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
    /// Each with its place in the row.
    seen: BTreeMap<String, (usize, Refused)>,
    more: u64,
}

impl Tally {
    /// Counts a refusal.
    pub(super) fn count(&mut self, note: &Note) {
        let place = self.seen.len();
        if let Some((_, refused)) = self.seen.get_mut(&note.target) {
            refused.times += 1;
        } else if place < KEPT {
            let (target, reason) = (note.target.clone(), note.reason.clone());
            self.seen.insert(target.clone(), (place, Refused { target, reason, times: 1, rule: None }));
        } else {
            self.more += 1;
        }
    }

    /// The sum, seen from the list that judged. What a route leads to (`routed`) is on no list on purpose: beside the route no
    /// key is added.
    pub(super) fn sum(&self, allow: &AllowList, routed: &[&Target]) -> Refusals {
        let told = |(place, refused): &(usize, Refused)| {
            let mut refused = refused.clone();
            let target = Target::parse(refused.target.as_bytes(), None).ok();
            let target = target.filter(|target| !routed.iter().any(|route| route.host == target.host));
            if let Some(target) = target.filter(|target| allow.admits(target).is_none()) {
                match unreachable(&target.host) {
                    // Whatever the list said: no rule makes it reachable.
                    Some(reason) => refused.reason = reason,
                    None => refused.rule = Some(rules::allowing(&target)),
                }
            }
            (*place, refused)
        };
        let mut targets: Vec<(usize, Refused)> = self.seen.values().map(told).collect();
        targets.sort_by_key(|(place, _)| *place);
        Refusals { targets: targets.into_iter().map(|(_, refused)| refused).collect(), more: self.more }
    }
}

/// Why no rule opens the way to a host.
fn unreachable(host: &Host) -> Option<String> {
    const OWN: &str =
        "this machine's own, inside and out: a client that heeds `no_proxy` reaches the sandbox's";
    let what = match host {
        Host::Name(name) if &**name == "localhost" || name.ends_with(".localhost") => {
            return Some(OWN.into());
        }
        Host::Name(_) => return None,
        Host::Address(address) if address.is_loopback() || address.is_unspecified() => {
            return Some(OWN.into());
        }
        Host::Address(address) => match classify(*address) {
            Reachability::Public => return None,
            Reachability::Private(what) | Reachability::Never(what) => what,
        },
    };
    Some(format!("it is {what}, and the proxy reaches public ones only"))
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
            ("a.example:8443", 1),
            ("a.example:443", 2),
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
        assert_eq!(first, [("a.example:8443", 1), ("a.example:443", 2)]);
        assert_eq!((sum.targets.len(), sum.more), (9, 0));
        let reason = |target: &str| {
            let one = sum.targets.iter().find(|one| one.target == target).unwrap();
            one.reason.clone()
        };
        for own in ["127.0.0.1:2375", "localhost:8080"] {
            assert!(reason(own).contains("`no_proxy`"), "{own}: {}", reason(own));
        }
        let cloud = "it is a cloud metadata address, and the proxy reaches public ones only";
        assert_eq!(reason("169.254.169.254:80"), cloud);
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
        assert_eq!((sum.targets.len(), sum.more, sum.targets[1].times), (KEPT, 7, 2));
        // What was asked for first is not pushed out by what came after it.
        let first: Vec<&str> = sum.targets[..3].iter().map(|one| one.target.as_str()).collect();
        assert_eq!(first, ["h0.example:443", "h1.example:443", "h2.example:443"]);
    }
}
