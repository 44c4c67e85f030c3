//! The hook that another runtime executes in a sandbox's mount namespace, once its mounts are made and before its root is
//! entered (runtime-spec, `createContainer`): puts the protected paths in place.
//!
//! The runtime resolves the sources of mounts on the host and follows links there. This resolves them below the sandbox's
//! root, as process 1 of the built-in runtime does.

use std::path::PathBuf;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::Deserialize;
use serde::Serialize;

use crate::plan::PlannedMount;
use crate::start::protect;
use crate::start::step::At;
use crate::start::step::Step;
use crate::start::step::StepError;
use crate::start::sys;

/// First argument by which the program knows that it is this process.
pub(crate) const HOOK_WORD: &str = "pinfold-hook";

/// Second argument, as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Task {
    /// The root, as the bundle names it.
    pub(crate) rootfs: PathBuf,
    /// What to put in place.
    pub(crate) mounts: Vec<PlannedMount>,
}

/// Never returns; a failure ends the runtime's start.
pub(crate) fn main(argument: &str) -> ! {
    let code = match start(argument) {
        Ok(()) => 0,
        Err(error) => {
            let text = format!("pinfold: {error}\n");
            let _ = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
            125
        }
    };
    sys::exit_now(code)
}

fn start(argument: &str) -> Result<(), StepError> {
    let task: Task = serde_json::from_str(argument)
        .map_err(|error| StepError::new(Step::ReadPlan, error.to_string(), Errno::INVAL))?;
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root =
        rustix::fs::open(&task.rootfs, flags, Mode::empty()).on(Step::OpenRoot, task.rootfs.display())?;
    protect::put(&root, task.mounts.iter())
}
