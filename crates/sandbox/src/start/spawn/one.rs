//! What process 1 does where somebody else has made the sandbox: another runtime, or a node of a cluster. It holds the program at a
//! gate until everything stands, and reaps.
//!
//! **Guarantees**: the program is not executed unless process 1 has said so: when it ends before, so does the program's process.

use std::convert::Infallible;
use std::ffi::CString;

use pinfold_base::shown;
use rustix::io::Errno;
use rustix::process::Pid;
use rustix::process::WaitOptions;

use crate::plan::guards::Guard;
use crate::start::step::At;
use crate::start::step::Step;
use crate::start::step::StepError;
use crate::start::sys;
use crate::start::sys::Forked;
use crate::types::Exit;

/// The program's process, at its gate.
#[derive(Debug)]
pub(crate) struct Waiting {
    program: Pid,
    gate: std::os::fd::OwnedFd,
}

impl Waiting {
    /// Forks it. Behind the gate it does what `becomes` says, whose error is told on the errors that there are now.
    pub(crate) fn fork(becomes: impl FnOnce() -> Result<Infallible, StepError>) -> Result<Self, StepError> {
        let errors = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3).at(Step::Fork)?;
        let (gate, open) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).at(Step::Fork)?;
        match sys::fork_single_threaded().at(Step::Fork)? {
            Forked::Child => {
                drop(open);
                // Until process 1 has its threads: a program that makes processes up to the limit would leave none for them.
                let passed = loop {
                    match rustix::io::read(&gate, &mut [0; 1]) {
                        Err(Errno::INTR) => {}
                        result => break result,
                    }
                };
                if passed != Ok(1) {
                    sys::exit_now(125);
                }
                let error = match becomes() {
                    Ok(never) => match never {},
                    Err(error) => error,
                };
                let text = format!("{}\n", shown!("pinfold: {error}"));
                let _ = rustix::io::write(&errors, text.as_bytes());
                sys::exit_now(126)
            }
            Forked::Parent(program) => Ok(Self { program, gate: open }),
        }
    }

    /// Its id.
    pub(crate) fn program(&self) -> Pid {
        self.program
    }

    /// Lets it pass.
    pub(crate) fn go(self) -> Result<(), StepError> {
        rustix::io::write(&self.gate, b"x").at(Step::Fork).map(drop)
    }
}

/// The program's session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Session {
    /// One of its own, with the terminal that is on its standard input.
    Own,
    /// Process 1's.
    Kept,
}

impl Session {
    /// The program is to have the terminal, and a session needs one that nobody has. To be called before signals are blocked: the
    /// hangup that comes with it is not meant for anybody. gVisor's kernel cannot let go of one: the session stays then.
    pub(crate) fn choose(guard: &Guard) -> Self {
        let terminal = rustix::termios::isatty(rustix::stdio::stdin());
        if !guard.holds() || (terminal && sys::give_up_terminal().is_err()) { Self::Kept } else { Self::Own }
    }

    /// The same where the terminal, if there is one, is nobody's.
    pub(crate) fn free(guard: &Guard) -> Self {
        if guard.holds() { Self::Own } else { Self::Kept }
    }

    /// Enters it.
    pub(crate) fn enter(self) -> Result<(), StepError> {
        if self == Self::Own {
            sys::new_session().at(Step::Session)?;
            let stdin = rustix::stdio::stdin();
            if rustix::termios::isatty(stdin) {
                rustix::process::ioctl_tiocsctty(stdin).at(Step::Terminal)?;
            }
        }
        Ok(())
    }
}

/// Keeps process 1 from being looked at. Newer than what a runtime's kernel may have; what the program may not call is the other wall.
pub(crate) fn hide(guard: &Guard) {
    if guard.holds() {
        let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    }
}

/// A thread with a small stack.
pub(crate) fn thread(name: &str, act: impl FnOnce() + Send + 'static) -> Result<(), StepError> {
    let made = std::thread::Builder::new().name(name.into()).stack_size(64 << 10).spawn(act);
    made.map(drop).at(Step::Fork)
}

/// Signals the program with all of its group, or alone where it has none.
pub(crate) fn signal(program: Pid, number: i32) {
    if let Some(signal) = rustix::process::Signal::from_named_raw(number)
        && rustix::process::kill_process_group(program, signal).is_err()
    {
        let _ = rustix::process::kill_process(program, signal);
    }
}

/// Waits for every process that ends, until the program has; `None` where there is nothing to wait for.
pub(crate) fn reap(program: Pid) -> Option<Exit> {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == program => return Some(Exit::from_status(status)),
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

/// Executes the program in this process's own environment and `more`.
pub(crate) fn execute(program: &[String], more: &[(&str, &str)]) -> Result<Infallible, StepError> {
    let mut variables: Vec<(String, String)> = std::env::vars().collect();
    variables.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let path = variables.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_str());
    let env: Vec<CString> =
        variables.iter().filter_map(|(name, value)| CString::new(format!("{name}={value}")).ok()).collect();
    super::program::execute(program, path, &env)
}
