//! Putting limits in force: of each process by rlimits, of the whole sandbox by control groups.
//!
//! **Guarantees**: a hard limit is never raised (that needs a capability which even a container's root may lack); groups
//! that were made are removed when the value that stands for them goes.

use std::path::Path;
use std::path::PathBuf;

use rustix::process::Resource;

use crate::plan::limits::CgroupPlan;
use crate::plan::limits::Limited;
use crate::plan::limits::Rlimit;

const fn resource(limited: Limited) -> Resource {
    match limited {
        Limited::Core => Resource::Core,
        Limited::Files => Resource::Nofile,
        Limited::Processes => Resource::Nproc,
    }
}

impl Rlimit {
    /// The value that can be had: a hard limit is not raised.
    pub(crate) fn reachable(self) -> u64 {
        let hard = rustix::process::getrlimit(resource(self.resource)).maximum;
        hard.map_or(self.value, |hard| hard.min(self.value))
    }

    /// Sets it for this process and its children, lowered to the present hard limit.
    pub(crate) fn apply(self) -> rustix::io::Result<()> {
        let kind = resource(self.resource);
        let value = rustix::process::getrlimit(kind).maximum.map_or(self.value, |hard| hard.min(self.value));
        rustix::process::setrlimit(
            kind,
            rustix::process::Rlimit { current: Some(value), maximum: Some(value) },
        )
    }
}

/// A step on a group that failed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} the control group `{}`", path.display())]
pub struct CgroupError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// Groups that exist, removed when this value goes.
#[derive(Debug, Default)]
pub(crate) struct Groups(Vec<PathBuf>);

impl Groups {
    /// Makes the groups, sets their limits and moves process `pid` in. What was made before a failure is in `made`.
    pub(crate) fn create(plan: &CgroupPlan, pid: u32, made: &mut Self) -> Result<(), CgroupError> {
        for group in &plan.groups {
            let path = &group.path;
            let failed = |action| move |source| CgroupError { action, path: path.clone(), source };
            match fs_err::create_dir(path) {
                Ok(()) => {}
                // What a killed supervisor left; empty, or it is in use and the limits are the same name's.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed("make")(error)),
            }
            made.0.push(path.clone());
            for (file, value) in &group.values {
                let optional = file.ends_with("swap.max") || file.ends_with("memsw.limit_in_bytes");
                match fs_err::write(path.join(file), value) {
                    Err(error) if optional && error.kind() == std::io::ErrorKind::NotFound => {}
                    // On version 1 the file exists but says EOPNOTSUPP without swap accounting.
                    Err(error) if optional && error.kind() == std::io::ErrorKind::Unsupported => {}
                    result => result.map_err(failed("limit"))?,
                }
            }
            fs_err::write(path.join("cgroup.procs"), pid.to_string()).map_err(failed("enter"))?;
        }
        Ok(())
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for path in &self.0 {
            remove_group(path);
        }
    }
}

/// Removes a group. The kernel lets go of it a moment after its last process is reaped, on a busy machine a long one.
pub(crate) fn remove_group(path: &Path) {
    for _ in 0..1000 {
        match rustix::fs::rmdir(path) {
            Err(rustix::io::Errno::BUSY | rustix::io::Errno::INTR) => {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            _ => return,
        }
    }
}
