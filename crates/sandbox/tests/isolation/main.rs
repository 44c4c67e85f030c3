//! The list of attacks, tried inside started sandboxes, as root and as an ordinary user, each with its negative control:
//! the same probe in a sandbox without the guard must fail.
//!
//! ```text
//!   isolation                 as root: both identities in turn; otherwise the ordinary user's only
//!   isolation FILTER          rows whose name contains FILTER
//!   isolation --write         all rows, and what docs/isolation.md says of lists and results
//!   isolation probe NAME …    what runs inside (the image holds a copy of this file and nothing else)
//! ```
//!
//! What was skipped is printed with its reason; a skip whose reason is not in `tests/isolation/skips.txt` is a failure.

#![expect(clippy::unwrap_used, reason = "a panic is a failed row, as in any test")]
#![expect(clippy::cast_sign_loss, reason = "arguments of raw calls are words")]
#![expect(clippy::unnecessary_wraps, reason = "all probes have one type")]
#![expect(clippy::print_stdout, reason = "a test program without the standard harness reports for itself")]
#![expect(clippy::disallowed_methods, reason = "the suites are started as processes of another user")]
#![expect(clippy::exit, reason = "exit codes are the result of suites and probes")]

mod egress;
mod host;
mod keys;
mod lists;
mod outside;
#[expect(
    clippy::disallowed_types,
    reason = "probes judge the kernel's own error numbers, which `fs_err` wraps"
)]
mod probe;
mod protect;
mod rows;
mod sealed;
mod sessions;
mod streams;
mod suite;
mod written;

use std::ffi::OsString;
use std::io::BufRead;
use std::io::BufReader;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::process::Stdio;

use fs_err as fs;

/// An id nobody has: an ordinary user needs no entry in any file.
const ORDINARY: u32 = 48_123;

/// The page, the line after which it is written from the lists, and the one after which the table stands.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/isolation.md");
const MARK: &str = "<!-- from here on written by `cargo xtask isolation --write` -->\n";
const TABLE: &str = "<!-- results of the rows -->\n";

/// Starts this program again with the default action of signals that whoever started it had ignored (nohup(1), a shell's
/// background job): rows send them and expect them to be heard, and they stay ignored across execve(2).
fn with_default_signals() {
    use std::os::unix::process::CommandExt as _;
    const AGAIN: &str = "PINFOLD_ISOLATION_AGAIN";
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    // Bit 0 is signal 1: HUP 1, INT 2, QUIT 3, TERM 15.
    if ignored & 0x4007 == 0 || std::env::var_os(AGAIN).is_some() {
        return;
    }
    // It comes back only when there is no env(1) that can; the rows about these signals will say so.
    let _ = std::process::Command::new("env")
        .arg("--default-signal=HUP,INT,QUIT,TERM")
        .arg(std::env::current_exe().unwrap_or_default())
        .args(std::env::args_os().skip(1))
        .env(AGAIN, "1")
        .exec();
}

fn main() {
    pinfold_sandbox::dispatch(None);
    let args: Vec<String> = std::env::args().skip(1).collect();
    let word = |index: usize| args.get(index).map(String::as_str);
    let code = match word(0) {
        Some("probe") => probe::main(word(1).unwrap_or_default(), &args[2..]),
        Some("suite") => suite::run(word(1).unwrap_or_default(), word(2).unwrap_or_default()),
        Some("foreground") => host::foreground(&args[1..]),
        Some("hold") => host::hold(word(1).unwrap_or_default(), word(2).unwrap_or_default()),
        // What cargo passes on: options of the standard harness are accepted and ignored.
        _ => {
            with_default_signals();
            let filter = args.iter().find(|arg| !arg.starts_with('-')).map_or("", String::as_str);
            both(filter, args.iter().any(|arg| arg == "--write"))
        }
    };
    std::process::exit(code);
}

/// Runs the suite for each identity this process can take.
fn both(filter: &str, write: bool) -> i32 {
    let image = host::Image::make();
    let mut failed = false;
    let root = rustix::process::geteuid().is_root();
    let identities: &[Option<u32>] = if root { &[None, Some(ORDINARY)] } else { &[None] };
    if !root {
        println!("skip  all rows as root: not started as root");
    }
    let trap = image.path().join("trap");
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/sbin:/usr/bin:/sbin:/bin".into());
    let path: OsString =
        std::env::join_paths([trap].into_iter().chain(std::env::split_paths(&path))).unwrap();
    let mut table = suite::Table::default();
    let mut missing = !filter.is_empty() || !root;
    for identity in identities {
        let mut command = Command::new("/proc/self/exe");
        command.args(["suite", image.path().to_str().unwrap(), filter]).env("PATH", &path);
        // Variables of a desktop session, and a key: none may be seen inside.
        for (name, value) in host::CANARIES {
            command.env(name, value);
        }
        if let Some(id) = identity {
            command.uid(*id).gid(*id);
        }
        let as_root = root && identity.is_none();
        println!("as {}:", if as_root { "root" } else { "an ordinary user" });
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
            println!("{line}");
            missing |= line.starts_with("skip  all rows");
            table.take(&line, usize::from(as_root));
        }
        failed |= !child.wait().unwrap().success();
    }
    let table = (!missing && !failed).then(|| table.markdown());
    // The lists are judged, and with `--write` written, whatever rows have run.
    i32::from(!page(table.as_deref(), write) || failed)
}

/// Compares the lists and, where there is one, the table on the page with this run's, or writes them.
fn page(table: Option<&str>, write: bool) -> bool {
    let text = fs::read_to_string(PAGE).unwrap_or_default();
    let Some((prose, found)) = text.split_once(MARK) else {
        println!("FAIL  docs/isolation.md: the line {MARK:?} is missing");
        return false;
    };
    let (lists, rows) = found.split_once(TABLE).unwrap_or(("", found));
    let (new_lists, new_rows) = (lists::markdown(), table.unwrap_or(rows));
    if write {
        let rows = new_rows.trim();
        fs::write(PAGE, format!("{prose}{MARK}\n{}\n\n{TABLE}\n{rows}\n", new_lists.trim())).unwrap();
        return true;
    }
    let mut current = true;
    for (name, found, new) in [("lists", lists, new_lists.as_str()), ("table", rows, new_rows)] {
        if found.trim() != new.trim() {
            current = false;
            println!(
                "FAIL  docs/isolation.md: the {name} are not this run's; `cargo xtask isolation --write` writes them"
            );
            for line in new.lines().filter(|line| !found.contains(line)) {
                println!("      {line}");
            }
        }
    }
    current
}
