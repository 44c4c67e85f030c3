//! The list of attacks, tried inside started sandboxes, as root and as an ordinary user, each with its negative control:
//! the same probe in a sandbox without the guard must fail.
//!
//! ```text
//!   isolation                 as root: both identities in turn; otherwise the ordinary user's only
//!   isolation FILTER          rows whose name contains FILTER
//!   isolation bench           start of `true` against bubblewrap, resident memory
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

mod bench;
mod host;
mod probe;
mod rows;
mod sessions;

use std::os::unix::process::CommandExt;
use std::process::Command;

/// An id nobody has: an ordinary user needs no entry in any file.
const ORDINARY: u32 = 48_123;

fn main() {
    pinfold_sandbox::dispatch();
    let args: Vec<String> = std::env::args().skip(1).collect();
    let word = |index: usize| args.get(index).map(String::as_str);
    let code = match word(0) {
        Some("probe") => probe::main(word(1).unwrap_or_default(), &args[2..]),
        Some("suite") => rows::suite(word(1).unwrap_or_default(), word(2).unwrap_or_default()),
        Some("hold") => host::hold(word(1).unwrap_or_default(), word(2)),
        Some("once") => bench::once(word(1).unwrap_or_default()),
        Some("bench") => bench::main(),
        // What cargo passes on: options of the standard harness are accepted and ignored.
        _ => both(args.iter().find(|arg| !arg.starts_with('-')).map_or("", String::as_str)),
    };
    std::process::exit(code);
}

/// Runs the suite for each identity this process can take.
fn both(filter: &str) -> i32 {
    let image = host::Image::make();
    let mut failed = false;
    let root = rustix::process::geteuid().is_root();
    let identities: &[Option<u32>] = if root { &[None, Some(ORDINARY)] } else { &[None] };
    if !root {
        println!("skip  all rows as root: not started as root");
    }
    for identity in identities {
        let mut command = Command::new("/proc/self/exe");
        command.args(["suite", image.path().to_str().unwrap(), filter]);
        // Variables of a desktop session, and a key: none may be seen inside.
        for (name, value) in host::CANARIES {
            command.env(name, value);
        }
        if let Some(id) = identity {
            command.uid(*id).gid(*id);
        }
        println!("as {}:", if root && identity.is_none() { "root" } else { "an ordinary user" });
        failed |= !command.status().unwrap().success();
    }
    i32::from(failed)
}
