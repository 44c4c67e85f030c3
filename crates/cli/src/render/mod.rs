//! How values look to people and programs: the only room that writes to stdout and stderr, but for what a session printed.
//!
//! **Guarantees**: what a person reads is made of [`Shown`] and of our own styles ([`page`]); what a program reads is JSON whose
//! strings are exact, and of which nothing is hidden on a terminal either. A result that cannot be written (a full disk) is
//! remembered, and [`lost`] makes a failure of the verb of it, whatever the verb itself says.

pub(crate) mod called;
pub(crate) mod changed;
pub(crate) mod changes;
pub(crate) mod diagnostic;
pub(crate) mod differences;
pub(crate) mod document;
pub(crate) mod log;
pub(crate) mod page;
pub(crate) mod progress;
pub(crate) mod refused;
pub(crate) mod table;
pub(crate) mod typed;
pub(crate) mod verdicts;

use std::ffi::OsStr;
use std::ffi::OsString;
use std::io;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::sync::OnceLock;

use clap::Parser as _;
use pinfold_base::Shown;
use pinfold_base::text;
use pinfold_image::reference::without_login;
use rustix::termios::QueueSelector;
use rustix::termios::isatty;
use rustix::termios::tcflush;
use rustix::termios::tcgetwinsize;

use self::diagnostic::Failure;
use self::page::Page;
use crate::args::Args;

/// What brings a terminal below the bars that are drawn on it (ECMA-48: the line's begin, all behind it taken away).
pub(crate) const UNDER_BARS: &str = "\r\x1b[J";

/// Why a result did not reach stdout; the first reason.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// The failure of a verb whose result could not be written.
pub(crate) fn lost() -> Option<Failure> {
    LOST.get().map(Failure::unwritten)
}

/// Remembers that something did not reach stdout. A closed pipe is the reader's wish.
pub(crate) fn written(result: io::Result<()>) {
    if let Err(error) = result
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        let _ = LOST.set(error);
    }
}

/// Writes a result to stdout. A closed pipe (`pinfold images | head -1`) is no error.
pub(crate) fn out(page: &Page) {
    write_out(page.as_str());
}

/// Writes a text to stdout, and says whether it got there: a reader who is gone has not been told.
pub(crate) fn reached(page: &str) -> bool {
    let result = try_out(page);
    let reached = result.is_ok();
    written(result);
    reached
}

/// The same for lines of JSON.
pub(crate) fn json_reached(line: &str) -> bool {
    reached(&text::json(line))
}

/// Writes one line to stderr.
pub(crate) fn note(line: impl Into<Shown>) {
    write_error(Page::from(called::said(line.into())).as_str());
}

/// Writes lines to stderr.
pub(crate) fn tell(page: &Page) {
    write_error(page.as_str());
}

/// How many columns the terminal has that is there; none where it is no terminal.
pub(crate) fn columns(stream: impl AsFd) -> Option<usize> {
    let size = tcgetwinsize(stream).ok()?;
    Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// Whether somebody sits at a terminal who sees what is printed and can answer.
pub(crate) fn can_ask() -> bool {
    isatty(rustix::stdio::stdin()) && isatty(rustix::stdio::stdout()) && isatty(rustix::stdio::stderr())
}

/// Asks, and waits for a line; anything but a yes is a no.
pub(crate) fn asked(question: &'static str) -> bool {
    // What was typed before the question is no answer to it.
    let _ = tcflush(rustix::stdio::stdin(), QueueSelector::IFlush);
    write_error(question);
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// Asks, and waits for a line of text; none where there is none.
pub(crate) fn line(question: &str) -> Option<String> {
    let _ = tcflush(rustix::stdio::stdin(), QueueSelector::IFlush);
    write_error(Page::from(Shown::new(question)).as_str().trim_end_matches('\n'));
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).ok()?;
    Some(answer.trim().to_owned())
}

/// Writes what clap says: help and versions to stdout, mistakes to stderr. A mistake repeats what was typed, or what the shell
/// found in a directory, so clap is asked again about the words as they are shown.
pub(crate) fn usage(error: &clap::Error, words: impl Iterator<Item = OsString>) {
    let shown: Vec<OsString> = words.map(|word| seen(&word)).collect();
    match Args::try_parse_from(shown) {
        Err(same) if same.kind() == error.kind() => {
            let printed = same.print();
            if same.use_stderr() {
                return;
            }
            written(printed);
        }
        _ => {
            let mut page = Page::default();
            page.lines(&error.to_string());
            tell(&page);
        }
    }
}

/// A word of the command line as it is seen: of a login before a host, `USER:PASSWORD@`, nothing.
fn seen(word: &OsStr) -> OsString {
    let word = Shown::from(word).to_string();
    let host = word.rsplit("://").next().and_then(|rest| rest.split('/').next()).unwrap_or_default();
    match host.rsplit_once('@') {
        Some((login, _)) if login.contains(':') && !login.contains(char::is_whitespace) => {
            without_login(&word).into()
        }
        _ => word.into(),
    }
}

/// What clap says of a mistake, the words shown as they are seen.
pub(crate) fn of_clap(error: &clap::Error, words: impl Iterator<Item = OsString>) -> String {
    let shown: Vec<OsString> = words.map(|word| seen(&word)).collect();
    match Args::try_parse_from(shown) {
        Err(same) if same.kind() == error.kind() => same.to_string(),
        _ => error.to_string(),
    }
}

/// Writes a value as one JSON document to stdout.
pub(crate) fn json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => write_out(&format!("{}\n", text::json(&text))),
        Err(error) => note(pinfold_base::shown!("warning: the result cannot be written as JSON: {error}")),
    }
}

/// Writes lines of JSON, as a journal has them, to stdout.
pub(crate) fn json_lines(lines: &[u8]) {
    write_out(&text::json(&String::from_utf8_lossy(lines)));
}

/// Writes a text that is a document of its own, such as a page, to stdout as it is.
pub(crate) fn text(document: &str) {
    write_out(document);
}

/// Writes an event as one line of JSON to stderr.
pub(crate) fn event(value: &serde_json::Value) {
    write_error(&format!("{}\n", text::json(&value.to_string())));
}

fn write_out(text: &str) {
    written(try_out(text));
}

#[expect(clippy::disallowed_methods, reason = "this room prints")]
fn try_out(text: &str) -> io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

#[expect(clippy::disallowed_methods, reason = "this room prints")]
fn write_error(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
