//! Running a plan with `runc` or `runsc`: a bundle in a folder of its own, pipes for the streams, and nothing left behind.
//!
//! The streams are pipes always: `runsc` writes to a regular file at an offset of its own, over what others write there.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio as ProcessStdio;

use crate::bundle;
use crate::bundle::BundlePlaces;
use crate::bundle::Runtime;
use crate::error::SandboxError;
use crate::plan::Plan;
use crate::sandbox::Exit;
use crate::sandbox::Stdio;

/// Runs `plan` to its end with this process's streams. `folder` is a directory for the bundle and the runtime's own state,
/// removed afterwards.
pub fn run(
    plan: &Plan,
    places: &BundlePlaces,
    runtime: Runtime,
    stdio: Stdio,
    folder: &Path,
) -> Result<Exit, SandboxError> {
    if matches!(stdio, Stdio::Terminal { .. } | Stdio::Piped) {
        return Err(SandboxError::NoTerminal(runtime.program().into()));
    }
    let mut child = start(plan, places, runtime, folder)?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let copy = std::thread::spawn(move || {
        if let Some(mut err) = err {
            let _ = io::copy(&mut err, &mut io::stderr());
        }
    });
    if let Some(mut out) = out {
        let _ = io::copy(&mut out, &mut io::stdout());
    }
    let status = child.wait();
    let _ = copy.join();
    finish(plan, runtime, folder, status)
}

/// Writes the bundle and starts the runtime with pipes for its output.
pub fn start(
    plan: &Plan,
    places: &BundlePlaces,
    runtime: Runtime,
    folder: &Path,
) -> Result<Child, SandboxError> {
    let config = bundle::config(plan, places, runtime)?;
    let bundle = folder.join("bundle");
    fs_err::create_dir_all(&bundle).map_err(SandboxError::file("make", &bundle))?;
    let path = bundle.join("config.json");
    fs_err::write(&path, config.to_string()).map_err(SandboxError::file("write", path))?;
    let mut command = command(runtime, folder);
    command.arg("run").arg("--bundle").arg(&bundle).arg(&plan.name);
    command.stdin(ProcessStdio::inherit()).stdout(ProcessStdio::piped()).stderr(ProcessStdio::piped());
    command.spawn().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => SandboxError::NoRuntime(runtime.program().into()),
        _ => SandboxError::Supervisor { action: "start the runtime", source: error },
    })
}

/// Clears up after the runtime and turns its status into the program's.
pub fn finish(
    plan: &Plan,
    runtime: Runtime,
    folder: &Path,
    status: io::Result<ExitStatus>,
) -> Result<Exit, SandboxError> {
    // After a clean end there is nothing to delete, which it says on a stream nobody reads.
    let _ = command(runtime, folder)
        .args(["delete", "--force"])
        .arg(&plan.name)
        .stdin(ProcessStdio::null())
        .stdout(ProcessStdio::null())
        .stderr(ProcessStdio::null())
        .status();
    let removed = fs_err::remove_dir_all(folder);
    let status = status.map_err(SandboxError::supervisor("wait for the runtime"))?;
    removed.map_err(SandboxError::file("remove", folder))?;
    Ok(match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Code(u8::try_from(code).unwrap_or(255)),
        (None, signal) => Exit::Signal(signal.and_then(|signal| signal.try_into().ok()).unwrap_or(9)),
    })
}

#[expect(clippy::disallowed_methods, reason = "this module is where other runtimes are started")]
fn command(runtime: Runtime, folder: &Path) -> Command {
    let mut command = Command::new(runtime.program());
    command.arg("--root").arg(folder.join("state"));
    if runtime == Runtime::Runsc {
        command.args(["--network=none", "--host-uds=open", "--ignore-cgroups"]);
        if !rustix::process::geteuid().is_root() {
            command.arg("--rootless");
        }
    }
    command
}
