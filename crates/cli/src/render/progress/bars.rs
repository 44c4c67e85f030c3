//! Bars on a terminal: one for each running item, and one for each of its parts that is large enough to be looked at.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use indicatif::MultiProgress;
use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressState;
use indicatif::ProgressStyle;
use pinfold_base::Reporter;
use pinfold_base::Shown;
use pinfold_base::report::Change;
use pinfold_base::report::Stage;
use pinfold_base::shown;

use super::Amount;
use super::bar::Bar;
use super::word;
use crate::render;

/// Parts with fewer bytes are over before one has read their name.
const LARGE: u64 = 4 << 20;
/// How often a bar is drawn, whatever happens.
const TICK: Duration = Duration::from_millis(250);

/// The bars.
pub(super) struct Bars {
    screen: MultiProgress,
    running: Mutex<BTreeMap<String, Item>>,
}

struct Item {
    stage: Stage,
    amount: Amount,
    /// Absent for a part that is small, or of which that is not known yet.
    bar: Option<ProgressBar>,
}

impl Bars {
    pub(super) fn new() -> Self {
        Self {
            screen: MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8)),
            running: Mutex::default(),
        }
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, Item>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn insert(&self, stage: Stage, id: &str, total: Option<u64>, is_shown: bool) {
        let bar = is_shown.then(|| self.draw(stage, id, total));
        if let Some(old) =
            self.running().insert(id.to_owned(), Item { stage, amount: Amount::of(total), bar })
        {
            self.remove(old);
        }
    }

    fn draw(&self, stage: Stage, id: &str, total: Option<u64>) -> ProgressBar {
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::no_length(),
        };
        let name = Shown::new(id);
        let line = move |state: &ProgressState, out: &mut dyn Write| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "three digits are shown"
            )]
            let rate = state.per_sec() as u64;
            let bar = Bar {
                word: word(stage),
                name: &name,
                amount: Amount { done: state.pos(), total: state.len() },
                rate: (rate > 0).then_some(rate),
                elapsed: state.elapsed(),
            };
            // The last column stays free: some terminals go to the next line when it is written.
            let _ = out.write_str(&bar.within(columns().saturating_sub(1)));
        };
        let style = ProgressStyle::with_template("{line}").unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.with_key("line", line));
        let bar = self.screen.add(bar);
        bar.enable_steady_tick(TICK);
        bar
    }

    fn remove(&self, item: Item) {
        if let Some(bar) = item.bar {
            bar.finish_and_clear();
            self.screen.remove(&bar);
        }
    }
}

/// How wide the terminal is now.
fn columns() -> usize {
    render::columns(rustix::stdio::stderr()).unwrap_or(80)
}

impl Reporter for Bars {
    fn begin(&self, stage: Stage, id: &str, total: Option<u64>) {
        self.insert(stage, id, total, true);
    }

    fn part(&self, stage: Stage, id: &str, total: Option<u64>) {
        self.insert(stage, id, total, total.is_some_and(|total| total >= LARGE));
    }

    fn grow(&self, id: &str, bytes: u64) {
        let mut running = self.running();
        let Some(item) = running.get_mut(id) else { return };
        item.amount.grow(bytes);
        let total = item.amount.total;
        match &item.bar {
            Some(bar) => bar.set_length(total.unwrap_or_default()),
            None if total.is_some_and(|total| total >= LARGE) => {
                item.bar = Some(self.draw(item.stage, id, total));
            }
            None => {}
        }
    }

    fn advance(&self, id: &str, bytes: u64) {
        if let Some(item) = self.running().get_mut(id) {
            item.amount.advance(bytes);
            if let Some(bar) = &item.bar {
                bar.set_position(item.amount.done);
            }
        }
    }

    fn end(&self, id: &str) {
        let item = self.running().remove(id);
        if let Some(item) = item {
            self.remove(item);
        }
    }

    fn changes(&self, changes: &[Change]) {
        self.screen.suspend(|| render::tell(&render::changes::table(changes)));
    }

    fn note(&self, text: &str) {
        self.screen.suspend(|| render::note(text));
    }

    fn warn(&self, text: &str) {
        self.screen.suspend(|| render::note(shown!("warning: {text}")));
    }
}
