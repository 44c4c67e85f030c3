//! Process 1 of a sandbox that another runtime started: runs the relay, starts the program, reaps, ends with it.
//!
//! All walls but Landlock are the runtime's to put up; this process only does what no runtime does.

use std::convert::Infallible;
use std::ffi::CString;
use std::path::Path;

use rustix::io::Errno;
use rustix::process::WaitOptions;
use serde::Deserialize;
use serde::Serialize;

use crate::error::At;
use crate::error::Step;
use crate::error::StepError;
use crate::plan::LandlockPlan;
use crate::proxy::Listen;
use crate::proxy::Relay;
use crate::proxy::RelayLimits;
use crate::sandbox::Exit;
use crate::spec::EGRESS_SOCKET;
use crate::spec::RoutePort;
use crate::sys;
use crate::sys::Forked;

/// First argument by which the program knows that it is this process.
pub(crate) const GUEST_WORD: &str = "pinfold-guest";

/// Second argument, as JSON; the program and its arguments follow.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) listens: Vec<RoutePort>,
    pub(crate) landlock: Option<LandlockPlan>,
}

/// Never returns.
pub(super) fn main(arguments: Vec<String>) -> ! {
    let error = match start(arguments) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    let text = format!("pinfold: the sandbox did not start: {error}\n");
    let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
    sys::exit_now(125)
}

fn start(mut arguments: Vec<String>) -> Result<Infallible, StepError> {
    if arguments.len() < 2 {
        return Err(StepError::new(Step::ReadPlan, "", Errno::INVAL));
    }
    let program = arguments.split_off(1);
    let task: Task = serde_json::from_str(&arguments[0])
        .map_err(|error| StepError::new(Step::ReadPlan, error.to_string(), Errno::INVAL))?;
    let listens: Vec<Listen> =
        task.listens.iter().map(|listen| Listen { route: listen.route, port: listen.port }).collect();
    let relay = if listens.is_empty() {
        None
    } else {
        Some(
            Relay::bind(Path::new(EGRESS_SOCKET), &listens, RelayLimits::default())
                .map_err(|error| StepError::new(Step::Relay, error.to_string(), Errno::ADDRNOTAVAIL))?,
        )
    };
    let child = match sys::fork_single_threaded().at(Step::Fork)? {
        Forked::Child => {
            let error = match execute(&task, &program) {
                Ok(never) => match never {},
                Err(error) => error,
            };
            let text = format!("pinfold: {error}\n");
            let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
            sys::exit_now(126)
        }
        Forked::Parent(pid) => pid,
    };
    // Newer than what a runtime's kernel may have; not being looked at is the other wall.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    if let Some(relay) = relay {
        relay.spawn().map_err(|error| StepError::new(Step::Relay, error.to_string(), Errno::AGAIN))?;
    }
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == child => {
                sys::exit_now(i32::from(Exit::from_status(status).code()));
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => sys::exit_now(125),
        }
    }
}

fn execute(task: &Task, program: &[String]) -> Result<Infallible, StepError> {
    sys::reset_all();
    // With a terminal the runtime has made the session, and leaving it would lose the terminal.
    if !rustix::termios::isatty(rustix::stdio::stdin()) {
        sys::new_session().at(Step::Session)?;
    }
    if let Some(landlock) = &task.landlock {
        crate::landlock::enter(landlock).at(Step::Landlock)?;
    }
    crate::fds::keep_standard_streams().at(Step::Descriptors)?;
    let variables: Vec<(String, String)> = std::env::vars().collect();
    let path = variables.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_str());
    let env: Vec<CString> =
        variables.iter().filter_map(|(name, value)| CString::new(format!("{name}={value}")).ok()).collect();
    super::program::execute(program, path, &env)
}
