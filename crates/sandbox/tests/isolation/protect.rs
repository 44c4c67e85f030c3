//! What the host runs by itself in a workspace: present, not yet present, what leads there, and what is left after a kill.

use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;

use fs_err as fs;
use pinfold_sandbox::OciRuntime;
use pinfold_sandbox::Runtime;
use pinfold_sandbox::Sandboxes;
use pinfold_sandbox::Spec;
use pinfold_sandbox::Status;
use pinfold_sandbox::spec::Mount;
use pinfold_sandbox::spec::Network;
use pinfold_sandbox::spec::Protected;
use pinfold_sandbox::spec::StandIn;
use pinfold_sandbox::weaken::Weaken;

use crate::host;
use crate::host::Host;
use crate::outside::soon;
use crate::sessions;

/// A workspace of its own with a repository's names in it.
struct Work {
    path: PathBuf,
    sandboxes: Sandboxes,
}

/// What is not there, and what stands in for it.
fn not_there() -> [(&'static str, StandIn); 5] {
    [
        (".vscode", StandIn::Directory),
        (".mcp.json", StandIn::Directory),
        (".agent/settings.json", StandIn::Directory),
        ("agent.json", StandIn::File),
        (".git/commondir", StandIn::Text(".\n".into())),
    ]
}

impl Work {
    fn new(host: &Host, name: &str) -> Self {
        let path = host.scratch.join(format!("protected-{name}"));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join(".git/hooks")).unwrap();
        fs::write(path.join(".git/config"), "[core]\n").unwrap();
        fs::write(path.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::write(path.join(".envrc"), "true\n").unwrap();
        Self { path, sandboxes: sessions::sandboxes(host) }
    }

    fn spec(&self, host: &Host, name: &str, probe: &str, args: &[&str], runtime: Runtime) -> Spec {
        let mut spec = sessions::spec(host, name, probe);
        spec.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        spec.network = Network::None;
        spec.mounts.push(Mount::writable(&self.path, "/workspace"));
        let there = [".git/hooks", ".git/config", ".envrc"].map(|name| (name, StandIn::Directory));
        spec.protect = there
            .into_iter()
            .chain(not_there())
            .map(|(name, missing)| Protected { path: self.path.join(name), missing })
            .collect();
        if runtime == Runtime::Oci(OciRuntime::Runsc) {
            spec.env.insert(crate::probe::OTHER_KERNEL.into(), "1".into());
        }
        spec
    }

    /// Runs it to the end: what it said, and whether the probe passed.
    fn run(&self, spec: &Spec, runtime: Runtime) -> Result<bool, String> {
        let mut command = host::foreground_command(&self.sandboxes, spec, runtime, "own");
        let output = command.stdin(Stdio::null()).output().unwrap();
        let text =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        match output.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(text.trim().to_owned()),
        }
    }

    /// All names below it, with what files hold.
    fn seen(&self) -> Vec<String> {
        fn walk(base: &Path, path: &Path, seen: &mut Vec<String>) {
            for entry in fs::read_dir(path).unwrap().flatten() {
                let path = entry.path();
                let name = path.strip_prefix(base).unwrap().display().to_string();
                if path.is_dir() && !path.is_symlink() {
                    seen.push(format!("{name}/"));
                    walk(base, &path, seen);
                } else {
                    seen.push(format!("{name} {:?}", fs::read_to_string(&path).unwrap_or_default()));
                }
            }
        }
        let mut seen = Vec::new();
        walk(&self.path, &self.path, &mut seen);
        seen.sort();
        seen
    }
}

/// The probe must fail to do anything and leave the workspace as it was; without the guard it must do something.
fn tried(
    host: &Host,
    runtime: Runtime,
    (name, probe): (&str, &str),
    args: &[&str],
    guard: Weaken,
) -> Result<(), String> {
    let work = Work::new(host, name);
    let before = work.seen();
    let mut spec = work.spec(host, name, probe, args, runtime);
    let ran = host::foreground_command(&work.sandboxes, &spec, runtime, "own").stdin(Stdio::null()).output();
    let ran = ran.unwrap();
    if !ran.status.success() {
        return Err(format!(
            "{}{}",
            String::from_utf8_lossy(&ran.stdout),
            String::from_utf8_lossy(&ran.stderr)
        ));
    }
    if work.seen() != before {
        return Err(format!("the workspace was {before:?} and is {:?}", work.seen()));
    }
    spec.weaken.insert(guard);
    if work.run(&spec, runtime)? {
        return Err("the control without the guard is green".into());
    }
    Ok(())
}

pub(crate) fn present(host: &Host, runtime: Runtime) -> Result<(), String> {
    let paths = ["/workspace/.git/hooks", "/workspace/.git/config", "/workspace/.envrc"];
    tried(host, runtime, ("present", "protected"), &paths, Weaken::UnprotectedNames)
}

pub(crate) fn missing(host: &Host, runtime: Runtime) -> Result<(), String> {
    let paths = [
        "/workspace/.vscode",
        "/workspace/.mcp.json",
        "/workspace/.agent",
        "/workspace/agent.json",
        "/workspace/.git/commondir",
    ];
    tried(host, runtime, ("missing", "unmade"), &paths, Weaken::UnprotectedNames)
}

pub(crate) fn parents(host: &Host, runtime: Runtime) -> Result<(), String> {
    tried(host, runtime, ("parents", "held"), &["/workspace/.git"], Weaken::LooseParents)?;
    // What is not protected is worked with as ever.
    let work = Work::new(host, "around");
    for directory in ["/workspace", "/workspace/.git"] {
        let spec = work.spec(host, "around", "around", &[directory], runtime);
        if !work.run(&spec, runtime)? {
            return Err(format!("nothing can be done in {directory}"));
        }
    }
    Ok(())
}

/// A killed supervisor leaves stand-ins, and whoever looks next removes them.
pub(crate) fn killed(host: &Host, runtime: Runtime) -> Result<(), String> {
    for guarded in [true, false] {
        let work = Work::new(host, "killed");
        let before = work.seen();
        let mut spec = work.spec(host, "killed", "sleep", &[], runtime);
        if !guarded {
            spec.weaken.insert(Weaken::Leftovers);
        }
        let mut child = host::foreground_command(&work.sandboxes, &spec, runtime, "null").spawn().unwrap();
        let folder = work.sandboxes.directory().join(&spec.name);
        let started = || folder.join("state.json").exists() && work.seen().len() > before.len();
        let started = soon("it did not start", started);
        child.kill().unwrap();
        child.wait().unwrap();
        started?;
        if work.seen() == before {
            return Err("nothing was left that could be cleared".into());
        }
        // A child that the supervisor left between fork(2) and execve(2) still has its locks.
        let let_go = || {
            let listed = work.sandboxes.list();
            listed.is_ok_and(|all| all.iter().all(|one| one.status != Status::Running))
        };
        soon("the killed supervisor's locks are still held", let_go)?;
        if (work.seen() == before) != guarded {
            return Err(format!("guarded {guarded}: the workspace was {before:?} and is {:?}", work.seen()));
        }
        let _ = work.sandboxes.remove(&spec.name);
        if work.seen() != before {
            return Err(format!("removed, and yet there is {:?}", work.seen()));
        }
    }
    Ok(())
}

/// The end of one sandbox leaves the other's protection in place, and the last one leaves nothing. In the control
/// nothing stands in for the second, as it would be if the first took away at its end what both need.
pub(crate) fn two(host: &Host, runtime: Runtime) -> Result<(), String> {
    for guarded in [true, false] {
        let work = Work::new(host, "two");
        let before = work.seen();
        let args =
            ["/workspace/word", "/workspace/.vscode", "/workspace/agent.json", "/workspace/.git/commondir"];
        let mut spec = work.spec(host, "second", "unmade-later", &args, runtime);
        if !guarded {
            spec.weaken.insert(Weaken::UnprotectedNames);
        }
        let first = work.spec(host, "first", "nothing", &[], runtime);
        let mut second = host::foreground_command(&work.sandboxes, &spec, runtime, "null")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let ready = soon("the second did not start", || work.path.join("word.ready").exists());
        let ran = ready.and_then(|()| work.run(&first, runtime));
        fs::write(work.path.join("word"), "").unwrap();
        let code = second.wait().unwrap().code();
        if !ran? || code != Some(i32::from(!guarded)) {
            return Err(format!("guarded {guarded}: the second ended with {code:?}"));
        }
        for name in ["word", "word.ready"] {
            fs::remove_file(work.path.join(name)).unwrap();
        }
        if guarded && work.seen() != before {
            return Err(format!("left: {:?}", work.seen()));
        }
    }
    Ok(())
}
