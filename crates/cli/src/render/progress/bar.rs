//! One line about a running item, made for a width.
//!
//! **Guarantees**: at most that many columns, whatever the item is called. What goes first where there is little room: the drawn
//! bar, then the rate, then the bytes, then the end of the name; the percentage stays.

use std::time::Duration;

use pinfold_base::Shown;

use super::Amount;
use pinfold_base::units;

/// Columns of the stage's word, and of what stands around it.
const WORD: usize = 8;
/// Columns of a drawn bar.
const DRAWN: usize = 24;
/// Columns that a name is left before something else goes.
const NAME: usize = 22;

/// What is told.
#[derive(Clone, Debug)]
pub(super) struct Bar<'a> {
    pub(super) word: &'a str,
    pub(super) name: &'a Shown,
    pub(super) amount: Amount,
    /// Bytes a second, where that can be said.
    pub(super) rate: Option<u64>,
    pub(super) elapsed: Duration,
}

impl Bar<'_> {
    /// The line.
    pub(super) fn within(&self, width: usize) -> String {
        let begin = format!("{:>WORD$}", self.word);
        let wanted = self.name.columns().min(NAME);
        let fits = |tail: &String| begin.len() + 1 + wanted + 2 + tail.chars().count() <= width;
        let tails = self.tails();
        let tail = tails.iter().find(|tail| fits(tail)).or(tails.last()).cloned().unwrap_or_default();
        // The percentage, or nothing, whatever becomes of the name.
        let room = width.saturating_sub(begin.len() + 1 + 2 + tail.chars().count());
        let name = self.name.clone().within(room.max(1));
        let blanks = " ".repeat(room.saturating_sub(name.columns()));
        if room == 0 {
            let short = format!("{begin} {tail}");
            return short.chars().take(width).collect();
        }
        format!("{begin} {name}{blanks}  {tail}").trim_end().to_owned()
    }

    /// What stands behind the name, the most first.
    fn tails(&self) -> Vec<String> {
        let Some(percent) = self.amount.percent() else {
            let elapsed = format!("{} s", self.elapsed.as_secs());
            return match self.amount.done {
                0 => vec![elapsed, String::new()],
                done => vec![format!("{}  {elapsed}", units::bytes(done)), units::bytes(done), String::new()],
            };
        };
        let Amount { done, total } = self.amount;
        let share = format!("{percent:>3}%");
        let bytes = format!("{share}  {:>17}", units::share(done, total.unwrap_or_default()));
        let mut tails = Vec::new();
        if let Some(rate) = self.rate {
            let rated = format!("{bytes}  {:>11}", format!("{}/s", units::bytes(rate)));
            tails.push(format!("{}  {rated}", drawn(percent)));
            tails.push(rated);
        } else {
            tails.push(format!("{}  {bytes}", drawn(percent)));
        }
        tails.extend([bytes, share]);
        tails
    }
}

fn drawn(percent: u64) -> String {
    let full = usize::try_from(percent).unwrap_or_default() * DRAWN / 100;
    "━".repeat(full) + &"─".repeat(DRAWN - full)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(name: &Shown, amount: Amount) -> Bar<'_> {
        Bar { word: "fetch", name, amount, rate: Some(12_700_000), elapsed: Duration::from_secs(9) }
    }

    #[test]
    fn what_there_is_room_for_is_told() {
        let name = Shown::new("204 archives");
        let amount = Amount { done: 126_091_264, total: Some(246_415_360) };
        let lines = [120, 80, 60, 40, 24, 12].map(|width| bar(&name, amount).within(width));
        insta::assert_snapshot!(lines.join("\n"), @"
          fetch 204 archives                                     ━━━━━━━━━━━━────────────   51%    120.2/235.0 MiB   12.1 MiB/s
          fetch 204 archives                        51%    120.2/235.0 MiB   12.1 MiB/s
          fetch 204 archives    51%    120.2/235.0 MiB   12.1 MiB/s
          fetch 204 archives                51%
          fetch 204 …ives   51%
          fetch  51
        ");
    }

    #[test]
    fn without_a_total_the_bytes_and_the_time_are_told() {
        let name = Shown::new("Debian bookworm");
        let line = |done| bar(&name, Amount { done, total: None }).within(60);
        insta::assert_snapshot!([line(0), line(5 << 20)].join("\n"), @"
          fetch Debian bookworm                                 9 s
          fetch Debian bookworm                        5.0 MiB  9 s
        ");
    }

    /// Every width, names that are long, wide and hostile.
    #[test]
    fn no_line_is_wider_than_it_may_be() {
        let long = "x".repeat(300);
        for name in [
            "",
            "a",
            "@anthropic-ai/claude-code-linux-x64 2.1.332",
            &long,
            "日本語の名前日本語の名前",
            "\x1b[2J",
        ] {
            let name = Shown::new(name);
            for total in [None, Some(0), Some(1), Some(u64::MAX)] {
                for done in [0, 1, 999 << 20, u64::MAX] {
                    for width in 1..140 {
                        let line = bar(&name, Amount { done, total }).within(width);
                        assert!(Shown::new(&line).columns() <= width, "{width}: {line:?}");
                    }
                }
            }
        }
    }
}
