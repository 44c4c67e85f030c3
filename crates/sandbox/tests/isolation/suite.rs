//! Runs the rows in each runtime as the present user, and makes the table of both users' results.
//!
//! ```text
//!   pass  NAME            skip  NAME: reason            FAIL  NAME: what was found
//!   NAME   = [ "runc " | "runsc " ] row [ ", control" ]
//! ```
//!
//! These lines are what one suite says to the process that started it, and what a person reads.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use pinfold_sandbox::OciRuntime;
use pinfold_sandbox::Runtime;

use crate::host::Host;
use crate::outside;
use crate::outside::Scope;
use crate::rows;

/// Why a row is skipped: by its name, or by its name and `as an ordinary user` or `as root`.
fn reason(name: &str) -> Option<&'static str> {
    let who = if rustix::process::geteuid().is_root() { "as root" } else { "as an ordinary user" };
    let qualified = format!("{name} {who}");
    include_str!("skips.txt").lines().find_map(|line| {
        let (listed, reason) = line.split_once(": ")?;
        (listed == name || listed == qualified).then_some(reason)
    })
}

/// Whether a program is installed.
fn installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|directory| directory.join(program).exists()))
}

/// Counts and prints.
#[derive(Default)]
struct Tally {
    failed: usize,
    passed: usize,
}

impl Tally {
    fn row(&mut self, name: &str, test: impl FnOnce() -> Result<(), String>) {
        if let Some(reason) = reason(name) {
            println!("skip  {name}: {reason}");
            return;
        }
        match test() {
            Ok(()) => {
                self.passed += 1;
                println!("pass  {name}");
            }
            Err(text) => {
                self.failed += 1;
                println!("FAIL  {name}: {}", text.replace('\n', " "));
            }
        }
    }
}

/// Runs all rows whose name contains `filter` as the present user.
pub(crate) fn run(base: &str, filter: &str) -> i32 {
    let host = Host::new(Path::new(base));
    let mut tally = Tally::default();
    for runtime in std::iter::once(Runtime::Builtin).chain(OciRuntime::ALL.map(Runtime::Oci)) {
        let prefix = match runtime {
            Runtime::Builtin => String::new(),
            Runtime::Oci(runtime) => format!("{} ", runtime.program()),
            // Not among these: it takes containerd (`tests/e2e/99-kube-node.sh`).
            Runtime::Containerd => continue,
        };
        if let Runtime::Oci(runtime) = runtime
            && !installed(runtime.program())
        {
            println!("skip  all rows in {}: it is not installed", runtime.program());
            // Where everything is to be tested, what cannot be is a failure.
            tally.failed += usize::from(std::env::var_os("CI").is_some());
            continue;
        }
        for row in rows::ROWS {
            let name = format!("{prefix}{}", row.name);
            if !name.contains(filter) {
                continue;
            }
            tally.row(&name, || rows::check(row, &host, runtime));
            if reason(&name).is_none() {
                tally.row(&format!("{name}, control"), || rows::control(row, &host, runtime));
            }
        }
        for (name, scope, test) in outside::ROWS {
            let name = format!("{prefix}{name}");
            if name.contains(filter) && (runtime == Runtime::Builtin || *scope == Scope::Every) {
                tally.row(&name, || test(&host, runtime));
            }
        }
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    i32::from(tally.failed > 0)
}

/// Results of all suites: row, column, and what is in the cell.
#[derive(Default)]
pub(crate) struct Table {
    order: Vec<String>,
    cells: BTreeMap<(String, usize), String>,
    reasons: Vec<String>,
}

/// Headings; each runtime as an ordinary user, then as root.
const COLUMNS: [&str; 6] =
    ["built-in, user", "built-in, root", "runc, user", "runc, root", "runsc, user", "runsc, root"];

impl Table {
    /// Takes one line of a suite's output. `user` is 0 for an ordinary user and 1 for root.
    pub(crate) fn take(&mut self, line: &str, user: usize) {
        let Some((verdict, rest)) = line.split_once("  ") else { return };
        if !matches!(verdict, "pass" | "skip" | "FAIL") {
            return;
        }
        let (name, reason) = rest.split_once(": ").unwrap_or((rest, ""));
        let (runtime, name) = match (name.strip_prefix("runc "), name.strip_prefix("runsc ")) {
            (Some(name), _) => (1, name),
            (_, Some(name)) => (2, name),
            _ => (0, name),
        };
        let (name, control) = name.strip_suffix(", control").map_or((name, false), |name| (name, true));
        if !self.order.iter().any(|known| known == name) {
            self.order.push(name.to_owned());
        }
        let cell = self.cells.entry((name.to_owned(), 2 * runtime + user)).or_default();
        match (verdict, control) {
            ("pass", false) => cell.push_str("yes"),
            ("pass", true) => {}
            ("skip", _) => {
                let number = self.reasons.iter().position(|known| known == reason).unwrap_or_else(|| {
                    self.reasons.push(reason.to_owned());
                    self.reasons.len() - 1
                });
                let word = if control { "" } else { "no" };
                let _ = write!(cell, "{word} [{}]", number + 1);
            }
            _ => *cell = "FAILS".into(),
        }
    }

    /// As Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("| row | {} |\n|---|{}\n", COLUMNS.join(" | "), "---|".repeat(COLUMNS.len()));
        let mut order: Vec<&String> = self.order.iter().collect();
        order.sort_by_key(|name| key(name));
        for name in order {
            let cells: Vec<&str> = (0..COLUMNS.len())
                .map(|column| self.cells.get(&(name.clone(), column)).map_or("", |cell| cell.trim()))
                .collect();
            let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
        }
        text.push('\n');
        for (number, reason) in self.reasons.iter().enumerate() {
            let _ = writeln!(text, "{}. {reason}", number + 1);
        }
        text
    }
}

/// Rows by letter in the order of the list, then by number.
fn key(name: &str) -> (usize, u32, String) {
    let letter = name.chars().next().and_then(|letter| "FHPITNLGQS".find(letter)).unwrap_or(usize::MAX);
    let digits: String = name.chars().skip(1).take_while(char::is_ascii_digit).collect();
    (letter, digits.parse().unwrap_or(0), name.to_owned())
}
