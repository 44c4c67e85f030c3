//! How values look to people and programs: the only room that writes to stdout and stderr.

pub(crate) mod diagnostic;
pub(crate) mod log;
pub(crate) mod progress;
pub(crate) mod table;
pub(crate) mod units;

use std::io::Write as _;

/// Writes a result to stdout. A closed pipe (`pinfold images | head -1`) is no error.
pub(crate) fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}

/// Writes one line to stderr.
pub(crate) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Writes a value as one JSON document to stdout.
pub(crate) fn json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => out(&format!("{text}\n")),
        Err(error) => note(&format!("warning: the result cannot be written as JSON: {error}")),
    }
}
