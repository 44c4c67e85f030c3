//! Process 1 of a pod, started as one in namespaces of its own: as root with a user of its own, and as an ordinary user.
//!
//! ```text
//!   pod                       every row, in namespaces that unshare(1) makes for it
//!   pod FILTER                rows whose name contains FILTER
//!   pod row NAME              in those namespaces: sets the stage, and plays
//!   pod run FILE [GUARD…]     process 1, without the guards that are named
//!   pod attach | verify FILE | probe NAME …     what is started beside it, and by it
//! ```
//!
//! The network is loopback alone, with more addresses: those of public servers, of name servers, of the proxy. What listens there is
//! open, everything else is closed. The proxy is a stub that knows the wire's first bytes (`stage.rs`).
//!
//! What cannot be played here is printed with its reason.

#![expect(clippy::unwrap_used, reason = "a panic is a failed row, as in any test")]
#![expect(clippy::print_stdout, reason = "a test program without the standard harness reports for itself")]
#![expect(clippy::disallowed_methods, reason = "rows start processes")]
#![expect(clippy::unnecessary_wraps, reason = "all probes have one type")]
#![expect(clippy::exit, reason = "exit codes are the result of rows and probes")]

mod probe;
mod rows;
mod stage;

use std::collections::BTreeSet;
use std::os::fd::AsFd as _;
use std::process::Command;

use pinfold_base::Diagnose as _;
use pinfold_base::error::one_line;
use pinfold_sandbox::pod;
use pinfold_sandbox::session::Detached;
use pinfold_sandbox::terminal::escape::Filter;
use pinfold_sandbox::terminal::escape::Showing;
use pinfold_sandbox::weaken::Weaken;

/// An id nobody has.
const ORDINARY: u32 = 48_124;

fn main() {
    pinfold_sandbox::dispatch(None);
    let args: Vec<String> = std::env::args().skip(1).collect();
    let word = |index: usize| args.get(index).map(String::as_str).unwrap_or_default();
    let code = match word(0) {
        "run" => run(word(1), &args[2..]),
        "attach" => attach(),
        "verify" => verify(word(1)),
        "probe" => probe::main(word(1), &args[2..]),
        "row" => rows::play(word(1)),
        "inside-gvisor" => rows::in_gvisor(),
        _ => all(args.iter().find(|arg| !arg.starts_with('-')).map_or("", String::as_str)),
    };
    std::process::exit(code);
}

fn run(config: &str, guards: &[String]) -> i32 {
    let taken: BTreeSet<Weaken> =
        guards.iter().map(|guard| serde_json::from_value(guard.as_str().into()).unwrap()).collect();
    match pod::run(config.as_ref(), &taken) {
        Ok(code) => code.into(),
        Err(error) => {
            let text = format!("error: {}\nhint: {}\n", one_line(&error), error.hint().unwrap_or_default());
            rustix::io::write(rustix::stdio::stderr(), text.as_bytes()).unwrap();
            pod::REFUSED.into()
        }
    }
}

fn attach() -> i32 {
    let (input, output) = (std::io::stdin(), std::io::stdout());
    match pod::attach(input.as_fd(), output.as_fd(), Filter::new(Showing::Replay)) {
        Ok(Detached::Ended(exit)) => exit.code().into(),
        Ok(Detached::ByUser) => 40,
        Ok(Detached::Lost) => 41,
        Err(error) => {
            println!("{}; {}", one_line(&error), error.hint().unwrap_or_default());
            42
        }
    }
}

fn verify(config: &str) -> i32 {
    let report = pod::verify(config.as_ref());
    println!("{}", serde_json::to_string(&report).unwrap());
    i32::from(report.failed())
}

/// What starts this program in namespaces of its own, where it is root; and why it cannot be had.
fn apart(identity: Option<u32>) -> Result<Command, String> {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() || identity.is_some() {
        command.args(["--user", "--map-root-user"]);
    }
    if let Some(id) = identity {
        command.uid(id).gid(id);
    }
    command.args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]);
    for tool in ["unshare", "setpriv", "ip", "mount"] {
        if Command::new(tool).arg("--version").output().is_err()
            && Command::new(tool).arg("-V").output().is_err()
        {
            return Err(format!("`{tool}` is not installed"));
        }
    }
    Ok(command)
}

fn all(filter: &str) -> i32 {
    let root = rustix::process::geteuid().is_root();
    let identities: &[Option<u32>] = if root { &[None, Some(ORDINARY)] } else { &[None] };
    if !root {
        println!("skip  all rows as root: not started as root");
    }
    let own = stage::Copy::make();
    let mut failed = 0;
    for identity in identities {
        let who = if root && identity.is_none() { "as root" } else { "as an ordinary user" };
        let tried = apart(*identity).map(|mut command| command.arg("true").output().unwrap());
        match tried {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                println!("skip  all rows {who}: no namespaces can be made here: {said}");
                failed += i32::from(std::env::var_os("CI").is_some());
                continue;
            }
            Err(reason) => {
                println!("skip  all rows {who}: {reason}");
                failed += i32::from(std::env::var_os("CI").is_some());
                continue;
            }
        }
        for (name, _) in rows::ROWS.iter().filter(|(name, _)| name.contains(filter)) {
            let output = apart(*identity).unwrap().arg(own.path()).args(["row", name]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            match output.status.code() {
                Some(0) => println!("pass  {name} {who}"),
                Some(77) => println!("skip  {name} {who}: {said}"),
                code => {
                    failed += 1;
                    let more = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                    println!("FAIL  {name} {who}: {said} {more} ({code:?})");
                }
            }
        }
    }
    failed += gvisor(&own, filter);
    i32::from(failed > 0)
}

/// The one row in gVisor's kernel, where there is one.
fn gvisor(own: &stage::Copy, filter: &str) -> i32 {
    const NAME: &str = "it_starts_in_gvisor";
    if !NAME.contains(filter) {
        return 0;
    }
    if !rustix::process::geteuid().is_root() || Command::new("runsc").arg("--version").output().is_err() {
        println!("skip  {NAME}: `runsc` is not installed, or this is not root");
        return 0;
    }
    let mut command = Command::new("runsc");
    command.args(["--platform=ptrace", "--network=none", "--ignore-cgroups", "do"]);
    let output = command.arg(own.path()).arg("inside-gvisor").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() {
        println!("pass  {NAME}");
        return 0;
    }
    println!("FAIL  {NAME}: {said} {}", String::from_utf8_lossy(&output.stderr).trim());
    1
}
