//! `state.json`: what is recorded of a sandbox besides its specification, and the process it names.

use std::path::PathBuf;
use std::time::SystemTime;

use rustix::process::PidfdFlags;
use rustix::process::Signal;
use serde::Deserialize;
use serde::Serialize;

use super::usage::started_at;
use crate::error::SandboxError;
use crate::plan::Plan;
use crate::plan::wall::Standing;
use crate::types::Exit;
use crate::types::Runtime;

/// One life of a program that may be started again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// How it ended; absent where it did not even begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
    /// The first line of its errors, or why it did not begin. It came from inside.
    pub said: String,
    /// How many before it have failed in a row, with it.
    pub failures: u32,
}

/// What is recorded of a sandbox besides its specification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// Process id of the supervisor.
    pub(super) supervisor: u32,
    /// When that process was started, in ticks since boot: with the id it names one process for ever.
    pub(super) supervisor_started: u64,
    /// Process id of process 1, outside.
    pub(super) init: u32,
    /// Seconds since the epoch.
    pub(super) since: u64,
    /// The walls that are up.
    #[serde(rename = "layers")]
    pub(super) walls: Vec<Standing>,
    /// Control groups, to be removed when the supervisor could not.
    #[serde(default)]
    pub(super) groups: Vec<PathBuf>,
    /// What runs it.
    #[serde(default, skip_serializing_if = "Runtime::is_builtin")]
    pub(super) runtime: Runtime,
    /// Until when it waits to be started again, in seconds since the epoch; absent otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) restarts_at: Option<u64>,
    /// How the life before this one ended, or the one that was the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<Life>,
    /// How it ended; absent while it runs and when the supervisor was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) exit: Option<Exit>,
}

impl State {
    /// Of a sandbox that this process has just started.
    pub(super) fn new(init: u32, plan: &Plan, runtime: Runtime) -> Self {
        let supervisor = rustix::process::getpid().as_raw_nonzero().get().cast_unsigned();
        Self {
            supervisor,
            supervisor_started: started_at(supervisor).unwrap_or_default(),
            init,
            since: now(),
            walls: match runtime {
                Runtime::Builtin => plan.walls.clone(),
                Runtime::Containerd => crate::oci::pod::walls(plan),
                Runtime::Oci(runtime) => crate::oci::config::walls(plan, runtime),
            },
            groups: plan
                .cgroup
                .iter()
                .flat_map(|plan| &plan.groups)
                .map(|group| group.path.clone())
                .collect(),
            runtime,
            restarts_at: None,
            last: None,
            exit: None,
        }
    }
}

/// Seconds since the epoch.
pub(super) fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Kills a supervisor, if the process of that id is still the one that was recorded.
pub(super) fn kill(state: &State) -> Result<(), SandboxError> {
    send(state, Signal::KILL)
}

/// Asks the supervisor to end: one in the foreground listens nowhere, and passes a signal on to its program.
pub(super) fn terminate(state: &State) -> Result<(), SandboxError> {
    send(state, Signal::TERM)
}

fn send(state: &State, signal: Signal) -> Result<(), SandboxError> {
    let Some(pid) = rustix::process::Pid::from_raw(state.supervisor.cast_signed()) else { return Ok(()) };
    // Opened first and looked at then: from here on the descriptor stands for one process, whoever it is.
    let Ok(process) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) else { return Ok(()) };
    if started_at(state.supervisor) != Some(state.supervisor_started) {
        return Ok(());
    }
    rustix::process::pidfd_send_signal(&process, signal)
        .map_err(SandboxError::supervisor("send a signal to the supervisor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_id_is_not_killed() {
        let own = std::process::id();
        let state = State {
            supervisor: own,
            supervisor_started: started_at(own).unwrap() + 1,
            init: 0,
            since: 0,
            walls: Vec::new(),
            groups: Vec::new(),
            runtime: Runtime::Builtin,
            restarts_at: None,
            last: None,
            exit: None,
        };
        kill(&state).unwrap();
        terminate(&state).unwrap();
    }
}
