//! What the host runs by itself in a workspace: present, not yet present, what leads there, and what is left after a kill.

use std::os::unix::fs::PermissionsExt as _;
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
fn not_there() -> [(&'static str, StandIn); 7] {
    [
        (".kiro/hooks", StandIn::Directory),
        (".vscode", StandIn::Directory),
        (".mcp.json", StandIn::Directory),
        (".agent/settings.json", StandIn::Directory),
        ("agent.json", StandIn::File),
        (".git/commondir", StandIn::Text(".\n".into())),
        (".hg/hgrc", StandIn::File),
    ]
}

impl Work {
    fn new(host: &Host, name: &str) -> Self {
        let path = host.scratch.join(format!("protected-{name}"));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join(".git/hooks")).unwrap();
        for name in [".kiro", ".hg"] {
            fs::create_dir(path.join(name)).unwrap();
        }
        fs::write(path.join(".git/config"), "[core]\n").unwrap();
        fs::write(path.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::write(path.join(".envrc"), "true\n").unwrap();
        Self { path, sandboxes: sessions::sandboxes(host) }
    }

    fn spec(&self, host: &Host, name: &str, probe: &str, args: &[&str], runtime: Runtime) -> Spec {
        let mut spec = sessions::spec(host, name, probe);
        spec.args.extend(args.iter().map(Into::into));
        spec.network = Network::None;
        spec.mounts.push(Mount::writable(&self.path, "/workspace"));
        let there = [".git/hooks", ".git/config", ".envrc"].map(|name| (name, StandIn::Directory));
        spec.protect = there
            .into_iter()
            .chain(not_there())
            .map(|(name, missing)| Protected::new(self.path.join(name), missing))
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

    /// Starts it, kills its supervisor once stand-ins are there, and lets whoever looks next clear up after `meanwhile`.
    fn kill(&self, spec: &Spec, runtime: Runtime, meanwhile: impl FnOnce()) -> Result<(), String> {
        let before = self.seen();
        let mut child = host::foreground_command(&self.sandboxes, spec, runtime, "null").spawn().unwrap();
        let folder = self.sandboxes.directory().join(&spec.name);
        let started = || folder.join("state.json").exists() && self.seen().len() > before.len();
        let started = soon("it did not start", started);
        child.kill().unwrap();
        child.wait().unwrap();
        started?;
        if self.seen() == before {
            return Err("nothing was left that could be cleared".into());
        }
        meanwhile();
        // A child that the supervisor left between fork(2) and execve(2) still has its locks.
        let let_go = || {
            let listed = self.sandboxes.list();
            listed.is_ok_and(|all| all.iter().all(|one| one.status != Status::Running))
        };
        soon("the killed supervisor's locks are still held", let_go)
    }

    /// Runs a probe that must fail to do anything and leave the workspace as it was; without the guard it must do something.
    fn hold(&self, mut spec: Spec, runtime: Runtime, guard: Weaken) -> Result<(), String> {
        let before = self.seen();
        let mut command = host::foreground_command(&self.sandboxes, &spec, runtime, "own");
        let ran = command.stdin(Stdio::null()).output().unwrap();
        if !ran.status.success() {
            let text = [ran.stdout, ran.stderr].concat();
            return Err(String::from_utf8_lossy(&text).into_owned());
        }
        if self.seen() != before {
            return Err(format!("the workspace was {before:?} and is {:?}", self.seen()));
        }
        spec.weaken.insert(guard);
        if self.run(&spec, runtime)? {
            return Err("the control without the guard is green".into());
        }
        Ok(())
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

/// A probe with its control in a workspace of its own.
fn tried(
    host: &Host,
    runtime: Runtime,
    (name, probe): (&str, &str),
    args: &[&str],
    guard: Weaken,
) -> Result<(), String> {
    let work = Work::new(host, name);
    work.hold(work.spec(host, name, probe, args, runtime), runtime, guard)
}

/// Git obeys more than the repository at the top of a workspace: the one around it, whose checkout it is a part of, submodules
/// of that, of its linked worktrees too, what says where a submodule's repository is, and repositories below.
pub(crate) fn repositories(host: &Host, runtime: Runtime) -> Result<(), String> {
    let there = [
        "config",
        "hooks/",
        "modules/sub/config",
        "modules/sub/hooks/",
        "worktrees/tree/config.worktree",
        "worktrees/tree/modules/sub/hooks/",
    ];
    let there = there.map(|name| (format!(".git/{name}"), format!("/mnt/agent/{name}"))).into_iter().chain(
        ["sub/.git", "nested/.git/config", "nested/.git/hooks/"]
            .map(|name| (format!("front/{name}"), format!("/workspace/{name}"))),
    );
    let there: Vec<(String, String)> = there.collect();
    // `core.hooksPath = front/.husky`, and what leads from a repository to another one.
    let missing = [("front/.husky", "/workspace/.husky"), (".git/commondir", "/mnt/agent/commondir")];
    let targets = |present: bool| -> Vec<String> {
        if present {
            return there.iter().map(|(_, target)| target.trim_end_matches('/').to_owned()).collect();
        }
        missing.iter().map(|(_, target)| (*target).to_owned()).collect()
    };
    for (probe, present) in [("protected", true), ("unmade", false)] {
        let work = Work::new(host, "repositories");
        for (name, _) in &there {
            let path = work.path.join(name);
            if name.ends_with('/') {
                fs::create_dir_all(path).unwrap();
            } else {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "[core]\n").unwrap();
            }
        }
        let mut spec = work.spec(host, "repositories", probe, &[], runtime);
        spec.args.extend(targets(present).into_iter().map(Into::into));
        // As a run has it: the part that is worked on, and the repository that git needs for it.
        spec.mounts = vec![
            Mount::writable(work.path.join("front"), "/workspace"),
            Mount::writable(work.path.join(".git"), "/mnt/agent"),
        ];
        let names =
            there.iter().map(|(name, _)| name.trim_end_matches('/')).chain(missing.map(|(name, _)| name));
        spec.protect = names.map(|name| Protected::new(work.path.join(name), StandIn::Directory)).collect();
        work.hold(spec, runtime, Weaken::UnprotectedNames).map_err(|text| format!("{probe}: {text}"))?;
    }
    Ok(())
}

/// A file of hooks with another name in the workspace: a mount holds a name, so both are protected. In the control only the
/// first one is, and the hook is changed by the other.
pub(crate) fn second_name(host: &Host, runtime: Runtime) -> Result<(), String> {
    let work = Work::new(host, "second-name");
    fs::create_dir(work.path.join("tools")).unwrap();
    let (hook, other) = (work.path.join(".git/hooks/post-commit"), work.path.join("tools/post-commit"));
    fs::write(&hook, "true\n").unwrap();
    fs::hard_link(&hook, &other).unwrap();
    let before = work.seen();
    let mut spec = work.spec(host, "second-name", "protected", &["/workspace/tools/post-commit"], runtime);
    let first = spec.protect.clone();
    spec.protect.push(Protected::new(other, StandIn::Directory));
    if !work.run(&spec, runtime)? || work.seen() != before {
        return Err(format!("the workspace was {before:?} and is {:?}", work.seen()));
    }
    spec.protect = first;
    let changed = !work.run(&spec, runtime)? && fs::read_to_string(hook).unwrap() != "true\n";
    if changed { Ok(()) } else { Err("the control left the hook as it was".into()) }
}

/// A directory that is protected, or leads to what is, taken away and made anew by the agent.
pub(crate) fn remade(host: &Host, runtime: Runtime) -> Result<(), String> {
    let paths = ["/workspace/.kiro/hooks", "/workspace/.vscode", "/workspace/.git/hooks"];
    tried(host, runtime, ("remade", "remade"), &paths, Weaken::UnprotectedNames)
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
        "/workspace/.hg/hgrc",
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

/// `core.hooksPath = a/b/../../c/d`: the hooks are kept, and so are the places of `a` and `a/b`, which the kernel goes through and
/// which can be worked in. In the control they are moved away.
pub(crate) fn left(host: &Host, runtime: Runtime) -> Result<(), String> {
    let made = |name: &str| {
        let work = Work::new(host, name);
        for directory in ["a/b", "c/d"] {
            fs::create_dir_all(work.path.join(directory)).unwrap();
        }
        work
    };
    let spec = |work: &Work, probe: &str, args: &[&str]| {
        let mut spec = work.spec(host, "left", probe, args, runtime);
        let hooks = Protected::new(work.path.join("c/d"), StandIn::Directory);
        spec.protect.push(hooks);
        // `missing/../hooks` too leads where an agent wants once there is such a directory.
        spec.hold = ["a", "a/b", "missing"].map(|name| work.path.join(name)).into();
        spec
    };
    for (probe, args, guard) in [
        ("held", &["/workspace/a/b", "/workspace/a"][..], Weaken::LooseParents),
        ("unmade", &["/workspace/missing"], Weaken::UnprotectedNames),
    ] {
        let work = made("left");
        work.hold(spec(&work, probe, args), runtime, guard).map_err(|text| format!("{probe}: {text}"))?;
    }
    let work = made("left");
    for directory in ["/workspace/a", "/workspace/a/b"] {
        if !work.run(&spec(&work, "around", &[directory]), runtime)? {
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
        work.kill(&spec, runtime, || {})?;
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

/// A directory that an agent closes keeps nothing of ours: it is opened for the moment, and closed again. In the control nobody
/// clears what a killed supervisor left there.
pub(crate) fn closed(host: &Host, runtime: Runtime) -> Result<(), String> {
    let closed = [".kiro", ""];
    let set = |work: &Work, mode| {
        // The inner one first, and the outer one first again.
        let mut all: Vec<PathBuf> = closed.iter().map(|name| work.path.join(name)).collect();
        if mode != 0o555 {
            all.reverse();
        }
        for path in all {
            fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    let is_closed = |work: &Work| {
        closed.iter().all(|name| {
            let data = fs::metadata(work.path.join(name));
            data.is_ok_and(|data| data.permissions().mode() & 0o777 == 0o555)
        })
    };
    let work = Work::new(host, "closed");
    let before = work.seen();
    let spec = work.spec(host, "closed", "close", &["/workspace/.kiro", "/workspace"], runtime);
    if !work.run(&spec, runtime)? || !is_closed(&work) || work.seen() != before {
        let was = is_closed(&work);
        set(&work, 0o755);
        return Err(format!("closed {was}: the workspace was {before:?} and is {:?}", work.seen()));
    }
    set(&work, 0o755);
    for guarded in [true, false] {
        let mut spec = work.spec(host, "closed", "sleep", &[], runtime);
        if !guarded {
            spec.weaken.insert(Weaken::Leftovers);
        }
        work.kill(&spec, runtime, || set(&work, 0o555))?;
        let (seen, was) = (work.seen(), is_closed(&work));
        set(&work, 0o755);
        if !was || (seen == before) != guarded {
            return Err(format!(
                "guarded {guarded}, closed {was}: the workspace was {before:?} and is {seen:?}"
            ));
        }
        let _ = work.sandboxes.remove(&spec.name);
    }
    Ok(())
}

/// What the user puts in the place of a stand-in is the user's and stays, an empty directory too; so does a full one that has a
/// stand-in's time. In the control nobody made it their own, and it goes.
pub(crate) fn users_own(host: &Host, runtime: Runtime) -> Result<(), String> {
    let work = Work::new(host, "own");
    let before = work.seen();
    let spec = work.spec(host, "own", "sleep", &[], runtime);
    let made = |name: &str| work.path.join(name);
    let mut time = None;
    work.kill(&spec, runtime, || {
        time = fs::metadata(made(".vscode")).and_then(|data| data.modified()).ok();
        fs::remove_dir(made(".vscode")).unwrap();
        fs::create_dir(made(".vscode")).unwrap();
        fs::remove_dir(made(".agent")).unwrap();
        fs::create_dir(made(".agent")).unwrap();
        fs::write(made(".agent/settings.json"), "mine").unwrap();
        fs::write(made("agent.json"), "mine").unwrap();
    })?;
    let _ = work.sandboxes.remove(&spec.name);
    let mut expected = before.clone();
    expected.extend(
        [".agent/", ".agent/settings.json \"mine\"", ".vscode/", "agent.json \"mine\""].map(str::to_owned),
    );
    expected.sort();
    if work.seen() != expected {
        return Err(format!("after a kill: {:?}, expected {expected:?}", work.seen()));
    }
    let time = time.ok_or("the stand-in has no time")?;
    for full in [true, false] {
        if full {
            fs::write(made(".vscode/tasks.json"), "mine").unwrap();
        } else {
            fs::remove_file(made(".vscode/tasks.json")).unwrap();
        }
        fs::File::open(made(".vscode")).unwrap().file().set_modified(time).unwrap();
        let spec = work.spec(host, "own", "absent", &["/workspace/.vscode/tasks.json"], runtime);
        let hidden = work.run(&spec, runtime)?;
        let there = made(".vscode").exists();
        if (hidden, there) != (!full, full) {
            return Err(format!("full {full}: hidden {hidden}, there afterwards {there}"));
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
