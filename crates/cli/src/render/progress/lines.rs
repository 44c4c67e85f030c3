//! Progress where no terminal is: one line when a stage begins, then one every few seconds about what is running.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::Reporter;
use pinfold_base::Shown;
use pinfold_base::report::Change;
use pinfold_base::report::Stage;
use pinfold_base::shown;

use super::Amount;
use super::word;
use crate::render;
use pinfold_base::units;

/// Items with fewer bytes are told only when they take longer than they should.
const SMALL: u64 = 4 << 20;
/// How long nothing more is said of a stage.
const PAUSE: Duration = Duration::from_secs(5);

/// Lines; with `quiet` warnings only.
pub(super) struct Lines {
    quiet: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: BTreeMap<String, (Stage, Amount)>,
    last: Option<(Stage, Instant)>,
}

impl State {
    /// Whether something is said about this stage now.
    fn is_due(&mut self, stage: Stage, now: Instant) -> bool {
        let due =
            self.last.is_none_or(|(last, at)| last != stage || now.saturating_duration_since(at) >= PAUSE);
        if due {
            self.last = Some((stage, now));
        }
        due
    }

    fn begin(&mut self, stage: Stage, id: &str, total: Option<u64>, now: Instant) -> Option<Shown> {
        self.running.insert(id.to_owned(), (stage, Amount::of(total)));
        let due = self.is_due(stage, now);
        // What is over at once is not worth a line.
        (due && total.is_none_or(|total| total >= SMALL)).then(|| match total {
            Some(total) => shown!("{}: {id} ({})", word(stage), units::bytes(total)),
            None => shown!("{}: {id}", word(stage)),
        })
    }

    fn advance(&mut self, id: &str, bytes: u64, now: Instant) -> Option<Shown> {
        let (stage, amount) = self.running.get_mut(id)?;
        amount.advance(bytes);
        let (stage, amount) = (*stage, *amount);
        self.is_due(stage, now).then(|| match (amount.percent(), amount.total) {
            (Some(percent), Some(total)) => {
                shown!("{}: {id}: {percent}% ({})", word(stage), units::share(amount.done, total))
            }
            _ => shown!("{}: {id}: {}", word(stage), units::bytes(amount.done)),
        })
    }
}

impl Lines {
    pub(super) fn new(quiet: bool) -> Self {
        Self { quiet, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn say(&self, line: Option<Shown>) {
        if let Some(line) = line.filter(|_| !self.quiet) {
            render::note(line);
        }
    }
}

impl Reporter for Lines {
    fn begin(&self, stage: Stage, id: &str, total: Option<u64>) {
        let line = self.state().begin(stage, id, total, Instant::now());
        self.say(line);
    }

    fn grow(&self, id: &str, bytes: u64) {
        if let Some((_, amount)) = self.state().running.get_mut(id) {
            amount.grow(bytes);
        }
    }

    fn advance(&self, id: &str, bytes: u64) {
        let line = self.state().advance(id, bytes, Instant::now());
        self.say(line);
    }

    fn end(&self, id: &str) {
        self.state().running.remove(id);
    }

    fn changes(&self, changes: &[Change]) {
        if !self.quiet {
            render::tell(&render::changes::table(changes));
        }
    }

    fn note(&self, text: &str) {
        if !self.quiet {
            render::note(text);
        }
    }

    fn warn(&self, text: &str) {
        render::note(shown!("warning: {text}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said, the clock being the table's.
    #[test]
    fn a_stage_is_told_at_once_and_then_every_few_seconds() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut state = State::default();
        let said = |line: Option<Shown>| line.map_or_else(String::new, |line| line.to_string());
        assert_eq!(
            said(state.begin(Stage::Resolve, "Debian bookworm", None, at(0))),
            "resolve: Debian bookworm"
        );
        // Another item of the same stage says nothing new.
        assert_eq!(said(state.begin(Stage::Resolve, "Claude Code", None, at(1))), "");
        let mib = 1 << 20;
        assert_eq!(
            said(state.begin(Stage::Fetch, "62 archives", Some(100 * mib), at(1))),
            "fetch: 62 archives (100.0 MiB)"
        );
        assert_eq!(said(state.advance("62 archives", 10 * mib, at(2))), "");
        assert_eq!(
            said(state.advance("62 archives", 10 * mib, at(6))),
            "fetch: 62 archives: 20% (20.0/100.0 MiB)"
        );
        assert_eq!(said(state.advance("62 archives", 10 * mib, at(10))), "");
        assert_eq!(
            said(state.advance("62 archives", 70 * mib, at(60))),
            "fetch: 62 archives: 100% (100.0/100.0 MiB)"
        );
        // What nobody began, such as a part.
        assert_eq!(said(state.advance("curl", 1, at(99))), "");
        assert_eq!(said(state.begin(Stage::Place, "files", Some(0), at(99))), "");
        assert_eq!(said(state.advance("files", 0, at(100))), "");
        assert_eq!(said(state.begin(Stage::Unpack, "box", Some(mib), at(120))), "");
        assert_eq!(said(state.advance("box", mib / 2, at(121))), "");
        assert_eq!(said(state.advance("box", mib / 4, at(125))), "unpack: box: 75% (0.8/1.0 MiB)");
    }
}
