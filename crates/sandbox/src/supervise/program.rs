//! The program of another runtime: a program of the host that is found through `PATH`, in the environment of whoever works in
//! a directory that agents write to.
//!
//! **Guarantees**: it is found and held to as the program of a key is ([`HeldCommand`]): each directory of its real path is
//! root's or the user's and writable to nobody else, no sandbox may write there, and each call is made to the same file, with
//! a `PATH` of such folders only and no variable but those of [`KEPT`]: gVisor's kernel, which the program attacks first, has the
//! environment of its call in its memory, and a key may stand there. A folder of `PATH` that is not so is passed over. **Refuses** to start where nothing else is found.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use pinfold_network::CredentialError;
use pinfold_network::HeldCommand;
use pinfold_network::Place;
use pinfold_network::Surroundings;

use crate::error::SandboxError;
use crate::spec::Access;
use crate::spec::Kept;
use crate::spec::MountSource;
use crate::spec::Spec;
use crate::spec::Written;
use crate::types::OciRuntime;

/// Where programs are where nothing says so.
const USUAL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables that reach a runtime.
const KEPT: [&str; 4] = ["PATH", "HOME", "TMPDIR", "XDG_RUNTIME_DIR"];

/// Those of `variables` that reach one.
fn kept(variables: impl Iterator<Item = (OsString, OsString)>) -> impl Iterator<Item = (OsString, OsString)> {
    variables.filter(|(name, _)| KEPT.iter().any(|kept| name == kept))
}

/// A runtime's program, found and held to.
#[derive(Clone, Debug)]
pub struct Program {
    runtime: OciRuntime,
    held: HeldCommand,
}

impl Program {
    /// Finds it through the caller's `PATH`, outside of `places`.
    pub fn find(runtime: OciRuntime, places: Vec<Place>) -> Result<Self, SandboxError> {
        Self::within(runtime, std::env::var_os("PATH").unwrap_or_else(|| USUAL_PATH.into()), places)
    }

    fn within(runtime: OciRuntime, path: OsString, places: Vec<Place>) -> Result<Self, SandboxError> {
        // Of files in the home neither runtime obeys any.
        let around = Surroundings { directory: "/".into(), home: None, path, places };
        let held = HeldCommand::find(&[runtime.program().to_owned()], &around)
            .map_err(|error| refused(runtime, &error))?;
        Ok(Self { runtime, held })
    }

    /// Which runtime it is.
    pub fn runtime(&self) -> OciRuntime {
        self.runtime
    }

    /// A call of it, with what each one is told. `folder` holds its state.
    pub(crate) fn command(&self, folder: &Path) -> Result<Command, SandboxError> {
        let mut command =
            self.held.command(kept(std::env::vars_os())).map_err(|error| refused(self.runtime, &error))?;
        command.arg("--root").arg(folder.join("state"));
        if self.runtime == OciRuntime::Runsc {
            // Its own kernel is a few dozen threads, which a limit meant for the program would end.
            command.args(["--network=none", "--host-uds=open", "--ignore-cgroups"]);
            if !rustix::process::geteuid().is_root() {
                command.arg("--rootless");
            }
        }
        Ok(command)
    }
}

fn refused(runtime: OciRuntime, error: &CredentialError) -> SandboxError {
    let program = runtime.program().to_owned();
    let reason = match error {
        CredentialError::NoProgram { .. } => return SandboxError::NoRuntime(program),
        CredentialError::Within { path, place, doing } => {
            format!("a sandbox {doing} {place}, where `{}` is found", path.display())
        }
        CredentialError::Exposed { path, problem } => format!("`{}` {problem}", path.display()),
        CredentialError::Loose { path, at, problem } => {
            format!("`{}`, on the way to `{}`, {problem}", at.display(), path.display())
        }
        CredentialError::Changed { path, .. } => format!("`{}` has changed since the start", path.display()),
        CredentialError::Command { problem, .. } => problem.clone(),
        other => other.to_string(),
    };
    SandboxError::LooseRuntime { program, reason }
}

/// What sandboxes below `directory` may write to: their folders, and what their specifications have mounted.
pub(crate) fn places(directory: &Path) -> Vec<Place> {
    let mut places = vec![Place::writable(directory, "the sandboxes' folder")];
    for entry in fs_err::read_dir(directory).into_iter().flatten().flatten() {
        let Some(spec) = fs_err::read(entry.path().join("spec.json"))
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Spec>(&bytes).ok())
        else {
            continue;
        };
        for mount in spec.mounts.iter().filter(|mount| mount.access == Access::ReadWrite) {
            match &mount.source {
                MountSource::Host(path) => places.push(Place::writable(path, "the mount")),
                MountSource::Image(Written { kept: Kept::Shared(path), .. }) => {
                    places.push(Place::writable(path, "what sandboxes of an image share"));
                }
                // In memory, or in the sandboxes' folder.
                MountSource::Memory(_) | MountSource::Image(_) => {}
            }
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use pinfold_base::Diagnose;

    use super::*;

    /// A folder with a `runc` in it that is a script.
    fn folder(mode: u32) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("runc");
        fs_err::write(&program, "#!/bin/sh\n").unwrap();
        fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        fs_err::set_permissions(dir.path(), std::fs::Permissions::from_mode(mode)).unwrap();
        dir
    }

    #[test]
    fn a_runtime_is_started_only_from_where_no_sandbox_and_no_other_user_writes() {
        let (own, shared, within) = (folder(0o755), folder(0o777), folder(0o755));
        let places = vec![Place::writable(within.path(), "the mount")];
        let find = |folders: &[&Path]| {
            Program::within(OciRuntime::Runc, std::env::join_paths(folders).unwrap(), places.clone())
        };
        let program = |found: Result<Program, SandboxError>| {
            found.unwrap().command(Path::new("/folder")).unwrap().get_program().to_owned()
        };
        let real = |dir: &tempfile::TempDir| fs_err::canonicalize(dir.path().join("runc")).unwrap();
        // The control: the same script is taken where it is the user's alone.
        assert_eq!(program(find(&[own.path()])), real(&own));
        // What comes first and is not is passed over.
        assert_eq!(program(find(&[within.path(), shared.path(), own.path()])), real(&own));
        for (dir, why) in
            [(&within, "a sandbox may write to the mount"), (&shared, "can be written to by others")]
        {
            let error = find(&[dir.path()]).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
            assert!(error.hint().unwrap().contains("only root or you can write"), "{error}");
        }
        // Nothing is looked for where a relative folder would be.
        assert!(matches!(find(&[Path::new("."), Path::new("")]), Err(SandboxError::NoRuntime(_))));
    }

    #[test]
    fn a_runtime_that_was_exchanged_is_not_called_again() {
        let own = folder(0o755);
        let found = Program::within(OciRuntime::Runc, own.path().into(), Vec::new()).unwrap();
        assert!(found.command(Path::new("/folder")).is_ok());
        fs_err::write(own.path().join("runc"), "#!/bin/sh\nexit 1\n").unwrap();
        let error = found.command(Path::new("/folder")).unwrap_err();
        assert!(error.to_string().contains("has changed"), "{error}");
    }

    #[test]
    fn variables_that_load_code_or_hold_keys_do_not_reach_a_runtime() {
        let own = folder(0o755);
        let found = Program::within(OciRuntime::Runc, own.path().into(), Vec::new()).unwrap();
        let command = found.command(Path::new("/folder")).unwrap();
        let path = command.get_envs().find(|(name, _)| *name == "PATH").unwrap().1.unwrap();
        assert_eq!(path, own.path());
        assert!(command.get_envs().all(|(name, _)| !name.to_string_lossy().starts_with("LD_")));
        let all = ["ANTHROPIC_API_KEY", "HOME", "LD_PRELOAD", "PATH"].map(|name| (name.into(), "x".into()));
        let kept: Vec<_> = kept(all.into_iter()).map(|(name, _)| name).collect();
        assert_eq!(kept, ["HOME", "PATH"]);
    }

    #[test]
    fn what_a_recorded_sandbox_has_mounted_is_a_place() {
        let (sandboxes, given) = (tempfile::tempdir().unwrap(), folder(0o755));
        let mut spec = Spec::new("one".to_owned(), Path::new("/"), vec!["true".into()]);
        spec.mounts.push(crate::spec::Mount::writable(given.path(), "/workspace"));
        fs_err::create_dir(sandboxes.path().join("one")).unwrap();
        let record = serde_json::to_string(&spec).unwrap();
        fs_err::write(sandboxes.path().join("one/spec.json"), record).unwrap();
        let find = |places| Program::within(OciRuntime::Runc, given.path().into(), places);
        assert!(matches!(find(places(sandboxes.path())), Err(SandboxError::LooseRuntime { .. })));
        // The control: without the record nothing says so.
        pinfold_base::directory::remove(&sandboxes.path().join("one")).unwrap();
        find(places(sandboxes.path())).unwrap();
    }
}
