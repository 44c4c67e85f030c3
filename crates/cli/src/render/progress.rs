//! Progress: bars on a terminal, a line now and then when stderr is no terminal, JSON events with `--json`, nothing with `--quiet`.
//!
//! **Guarantees**: a bar is never wider than the terminal ([`bar`]); without one, the first line of a stage comes at once, and then
//! one at most every few seconds ([`lines`]).

mod bar;
mod bars;
mod lines;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::Reporter;
use pinfold_base::report::Change;
use pinfold_base::report::Stage;
use serde_json::json;

/// The reporter that fits where stderr goes.
pub(crate) fn reporter(quiet: bool, json: bool) -> Box<dyn Reporter> {
    if json {
        Box::new(Events::default())
    } else if !quiet && rustix::termios::isatty(rustix::stdio::stderr()) {
        Box::new(bars::Bars::new())
    } else {
        Box::new(lines::Lines::new(quiet))
    }
}

fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Resolve => "resolve",
        Stage::Build => "build",
        Stage::Fetch => "fetch",
        Stage::Place => "place",
        Stage::Compose => "compose",
        Stage::Verify => "verify",
        Stage::Unpack => "unpack",
        Stage::Send => "send",
        Stage::Read => "read",
        Stage::Try => "try",
    }
}

/// How far an item is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Amount {
    done: u64,
    total: Option<u64>,
}

impl Amount {
    fn of(total: Option<u64>) -> Self {
        Self { done: 0, total }
    }

    fn grow(&mut self, bytes: u64) {
        self.total = Some(self.total.unwrap_or_default().saturating_add(bytes));
    }

    fn advance(&mut self, bytes: u64) {
        self.done = self.done.saturating_add(bytes);
    }

    /// Of a hundred; never a hundred before all is done, and nothing where nobody knows.
    fn percent(self) -> Option<u64> {
        let total = self.total.filter(|total| *total > 0)?;
        u64::try_from(u128::from(self.done.min(total)) * 100 / u128::from(total)).ok()
    }
}

/// How often an item's advance is told as an event.
const TELL: Duration = Duration::from_millis(500);

/// One JSON object a line on stderr: `{"event":"begin","stage":"fetch","item":"…","total":123}`, then
/// `{"event":"advance","item":"…","done":12,"total":123}` at most twice a second, then `{"event":"end","item":"…"}`.
#[derive(Default)]
struct Events {
    running: Mutex<BTreeMap<String, (Amount, Option<Instant>)>>,
}

impl Events {
    fn began(&self, stage: Stage, id: &str, total: Option<u64>, part: bool) {
        let mut event = json!({"event": "begin", "stage": word(stage), "item": id, "total": total});
        if part {
            event["part"] = true.into();
        }
        super::event(&event);
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert(id.to_owned(), (Amount::of(total), None));
    }
}

impl Reporter for Events {
    fn begin(&self, stage: Stage, id: &str, total: Option<u64>) {
        self.began(stage, id, total, false);
    }

    fn part(&self, stage: Stage, id: &str, total: Option<u64>) {
        self.began(stage, id, total, true);
    }

    fn grow(&self, id: &str, bytes: u64) {
        if let Some((amount, _)) = self.running.lock().unwrap_or_else(PoisonError::into_inner).get_mut(id) {
            amount.grow(bytes);
        }
    }

    fn advance(&self, id: &str, bytes: u64) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((amount, told)) = running.get_mut(id) else { return };
        amount.advance(bytes);
        if told.is_none_or(|told| told.elapsed() >= TELL) {
            *told = Some(Instant::now());
            let Amount { done, total } = *amount;
            super::event(&json!({"event": "advance", "item": id, "done": done, "total": total}));
        }
    }

    fn end(&self, id: &str) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        super::event(&json!({"event": "end", "item": id}));
    }

    fn changes(&self, changes: &[Change]) {
        super::event(&json!({"event": "changes", "changes": changes}));
    }

    fn note(&self, text: &str) {
        super::event(&json!({"event": "note", "text": text}));
    }

    fn warn(&self, text: &str) {
        super::event(&json!({"event": "warning", "text": text}));
    }
}
