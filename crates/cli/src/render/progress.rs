//! Progress: bars on a terminal, nothing when stderr is no terminal, JSON events with `--json`.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use indicatif::MultiProgress;
use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressStyle;
use pinfold_base::Reporter;
use pinfold_base::Shown;
use pinfold_base::report::Change;
use pinfold_base::report::Stage;
use pinfold_base::shown;
use serde_json::json;

/// The reporter that fits where stderr goes.
pub(crate) fn reporter(quiet: bool, json: bool) -> Box<dyn Reporter> {
    if json {
        Box::new(Events)
    } else if !quiet && rustix::termios::isatty(rustix::stdio::stderr()) {
        Box::new(Bars::new())
    } else {
        Box::new(Lines { quiet })
    }
}

fn word(stage: Stage) -> &'static str {
    match stage {
        Stage::Resolve => "resolve",
        Stage::Fetch => "fetch",
        Stage::Place => "place",
        Stage::Compose => "compose",
        Stage::Verify => "verify",
        Stage::Unpack => "unpack",
    }
}

/// One JSON object a line on stderr: `{"event":"begin","stage":"fetch","item":"…","total":123}`.
struct Events;

impl Reporter for Events {
    fn begin(&self, stage: Stage, id: &str, total: Option<u64>) {
        super::event(&json!({"event": "begin", "stage": word(stage), "item": id, "total": total}));
    }

    fn advance(&self, _: &str, _: u64) {}

    fn end(&self, id: &str) {
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

/// Notes and warnings only.
struct Lines {
    quiet: bool,
}

impl Reporter for Lines {
    fn begin(&self, _: Stage, _: &str, _: Option<u64>) {}

    fn advance(&self, _: &str, _: u64) {}

    fn end(&self, _: &str) {}

    fn changes(&self, changes: &[Change]) {
        if !self.quiet {
            super::tell(&super::changes::table(changes));
        }
    }

    fn note(&self, text: &str) {
        if !self.quiet {
            super::note(text);
        }
    }

    fn warn(&self, text: &str) {
        super::note(shown!("warning: {text}"));
    }
}

/// A bar for the stage as a whole and one for each item that takes longer than a moment.
struct Bars {
    screen: MultiProgress,
    running: Mutex<BTreeMap<String, ProgressBar>>,
}

impl Bars {
    fn new() -> Self {
        Self {
            screen: MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8)),
            running: Mutex::default(),
        }
    }
}

fn style(total: Option<u64>) -> ProgressStyle {
    let template = match total {
        Some(_) => {
            "  {prefix:>8} {wide_msg} {bar:20.cyan/dim} {binary_bytes:>10}/{binary_total_bytes:<10} {binary_bytes_per_sec:>12}"
        }
        None => "  {prefix:>8} {wide_msg} {spinner} {elapsed}",
    };
    ProgressStyle::with_template(template)
        .map_or_else(|_| ProgressStyle::default_bar(), |style| style.progress_chars("━━ "))
}

impl Reporter for Bars {
    fn begin(&self, stage: Stage, id: &str, total: Option<u64>) {
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::new_spinner(),
        };
        let bar = self.screen.add(bar);
        bar.set_style(style(total));
        bar.set_prefix(word(stage));
        bar.set_message(Shown::new(id).to_string());
        if total.is_none() {
            bar.enable_steady_tick(Duration::from_millis(120));
        }
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(old) = running.insert(id.to_owned(), bar) {
            old.finish_and_clear();
        }
    }

    fn advance(&self, id: &str, bytes: u64) {
        if let Some(bar) = self.running.lock().unwrap_or_else(PoisonError::into_inner).get(id) {
            bar.inc(bytes);
        }
    }

    fn end(&self, id: &str) {
        if let Some(bar) = self.running.lock().unwrap_or_else(PoisonError::into_inner).remove(id) {
            bar.finish_and_clear();
            self.screen.remove(&bar);
        }
    }

    fn changes(&self, changes: &[Change]) {
        self.screen.suspend(|| super::tell(&super::changes::table(changes)));
    }

    fn note(&self, text: &str) {
        self.screen.suspend(|| super::note(text));
    }

    fn warn(&self, text: &str) {
        self.screen.suspend(|| super::note(shown!("warning: {text}")));
    }
}
