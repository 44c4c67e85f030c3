//! Every hint of the code base, and that it can be followed word by word.
//!
//! ```text
//!   scan     which hints the sources have
//!   table    a row for each: an input that leads to it and what is done then, the test that does so elsewhere, or why nobody can
//!   case     does it
//! ```
//!
//! A hint without a row, and a row without a hint, fail the test.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "these tests run the program, and may fail"
)]

mod case;
mod scan;
mod table;

use std::collections::BTreeSet;
use std::path::Path;

use pinfold_testkit::npm::NpmRegistry;
use pinfold_testkit::npm::Package;

use self::case::Follow;
use self::case::TRIAL;
use self::case::Trial;
use self::table::Held;

#[test]
fn every_hint_has_a_row_and_every_row_a_hint() {
    let hints: BTreeSet<(String, String)> =
        scan::all().into_iter().map(|hint| (hint.file, hint.text)).collect();
    assert!(hints.len() > 100, "the sources are found: {}", hints.len());
    let rows: Vec<(String, String)> =
        table::rows().map(|row| (row.file.to_owned(), row.hint.to_owned())).collect();
    let known: BTreeSet<(String, String)> = rows.iter().cloned().collect();
    assert_eq!(known.len(), rows.len(), "a hint has one row");
    let without: Vec<_> = hints.difference(&known).collect();
    assert!(without.is_empty(), "hints without a row in `tests/hints/table.rs`: {without:#?}");
    let gone: Vec<_> = known.difference(&hints).collect();
    assert!(gone.is_empty(), "rows whose hint is not in the sources any more: {gone:#?}");
}

#[test]
fn every_hint_that_is_tried_elsewhere_is() {
    for row in table::rows() {
        match row.held {
            Held::Elsewhere(file, test) => {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
                let source = fs_err::read_to_string(path).unwrap();
                assert!(source.contains(&format!("fn {test}(")), "`{test}` in `{file}`, for `{}`", row.hint);
            }
            Held::Untried(reason) => assert!(reason.len() > 10, "`{}` has a reason", row.hint),
            Held::Tried(trials) => assert!(!trials.is_empty(), "`{}` is tried", row.hint),
        }
    }
}

/// It can fail: what does not help is noticed, and so are words that the hint does not say.
#[test]
fn a_hint_that_does_not_help_fails() {
    let registry = NpmRegistry::new().start();
    let manifest = &[("project/pinfold.toml", "name = 'x'\nagents = ['claud-code']\n")];
    let trial = |follow: &'static [Follow]| Trial {
        files: manifest,
        words: "policy show",
        error: "there is no agent `claud-code`",
        hint: "did you mean `claude-code`?",
        follow,
        ..TRIAL
    };
    let fails = |trial: &Trial| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case::follow(trial, &registry))).is_err()
    };
    let of = |to: &'static str| Follow::Write("project/pinfold.toml", "claud-code", to);
    assert!(!fails(&trial(Box::leak(Box::new([of("claude-code")])))), "the control");
    assert!(fails(&trial(Box::leak(Box::new([of("opencode")])))), "not what the hint says");
    assert!(fails(&trial(&[Follow::Mean("project/pinfold.toml", "'x'", "'y'")])), "it does not help");
    assert!(fails(&trial(&[Follow::Say])), "there is no command in it");
    assert!(fails(&Trial { error: "another error", ..trial(&[]) }));
}

#[test]
fn every_hint_that_is_followed_does_away_with_its_error() {
    let registry = NpmRegistry::new()
        .package(Package::new("tool", "1.0.0"))
        .package(Package::new("scripted", "1.0.0").field("scripts", serde_json::json!({ "install": "make" })))
        .start();
    let mut failed = Vec::new();
    for row in table::rows() {
        let Held::Tried(trials) = row.held else { continue };
        for trial in trials {
            let outcome =
                std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case::follow(trial, &registry)));
            if outcome.is_err() {
                failed.push(format!("{}: `{}` with `{}`", row.file, row.hint, trial.words));
            }
        }
    }
    assert!(failed.is_empty(), "{failed:#?}");
}
