//! `doctor`: what this machine offers, and what to do where it offers too little.
//!
//! **Guarantees**: what is bad is needed; nothing is changed but for folders that are made. Each server that a build would ask is
//! asked once, for a few seconds at most.

mod outside;

use std::collections::BTreeMap;
use std::path::Path;

use pinfold_base::Diagnose;
use pinfold_base::Platform;
use pinfold_sandbox::OciRuntime;
use pinfold_sandbox::Probe;
use pinfold_sandbox::probe::Cgroups;
use serde::Serialize;

use crate::consent::Agreed;
use crate::context::Context;
use crate::context::Environment;
use crate::project::Project;
use crate::project::recipe::Recipe;

/// How good a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Grade {
    /// As it should be.
    Good,
    /// Worth knowing.
    Note,
    /// Something will not work.
    Bad,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What.
    pub what: String,
    /// What was found.
    pub found: String,
    /// How good that is.
    pub grade: Grade,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    /// As it should be.
    pub fn good(what: &str, found: impl Into<String>) -> Self {
        Self { what: what.into(), found: found.into(), grade: Grade::Good, fix: None }
    }

    /// Worth knowing.
    pub fn note(what: &str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), found: found.into(), grade: Grade::Note, fix: Some(fix.into()) }
    }

    /// Something will not work.
    pub fn bad(what: &str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { what: what.into(), found: found.into(), grade: Grade::Bad, fix: Some(fix.into()) }
    }
}

/// Looks at everything. Never fails: what cannot be looked at is a finding. The servers are those of `project`. Starts this program
/// as process 1 of a sandbox (`pinfold_sandbox::dispatch`).
pub fn examine(context: &Context, project: Option<&Agreed<Project>>) -> Vec<Finding> {
    let probe = Probe::run();
    let mut findings = look(context, project, &probe);
    if probe.user_namespaces.is_ok() {
        findings.push(start());
    }
    findings
}

/// Everything that is looked at without starting anything.
fn look(context: &Context, project: Option<&Agreed<Project>>, probe: &Probe) -> Vec<Finding> {
    let mut findings = vec![Finding::good("program", format!("pinfold {}", env!("CARGO_PKG_VERSION")))];
    findings.push(match Platform::host() {
        Some(platform) => Finding::good("platform", platform.to_string()),
        None => Finding::note("platform", "neither amd64 nor arm64", "images can be built here, not run"),
    });
    for (what, folder) in [("cache", context.home.cache()), ("images", context.home.data())] {
        findings.push(folder_finding(what, folder));
    }
    findings.push(match context.http() {
        Ok(_) => Finding::good("certificates", "the system's trust store"),
        Err(error) => {
            Finding::bad("certificates", error.to_string(), "install ca-certificates, or set SSL_CERT_FILE")
        }
    });
    findings.extend(outside::look(context, project));
    findings.push(keys(&context.environment));
    findings.extend(sandbox(probe, &context.environment));
    findings
}

/// For which agents a key is there without a word.
fn keys(environment: &Environment) -> Finding {
    let mut set: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for recipe in Recipe::built_in_agents() {
        let mut variables = recipe.run.route.iter().flat_map(|route| &route.key);
        if let Some(found) = variables.find(|name| environment.filled(name).is_some()) {
            set.entry(found).or_default().push(&recipe.name);
        }
    }
    if set.is_empty() {
        return Finding::note(
            "keys",
            "no agent's variable is set",
            "`export ANTHROPIC_API_KEY=…`, say, or `--key file:PATH`; or log in inside, where the agent can",
        );
    }
    let told = set.iter().map(|(variable, agents)| format!("{variable} ({})", agents.join(", ")));
    Finding::good("keys", told.collect::<Vec<_>>().join("; "))
}

/// What a start would meet: the same steps, without a program.
fn start() -> Finding {
    const WHAT: &str = "a start";
    let folder = match tempfile::tempdir() {
        Ok(folder) => folder,
        Err(error) => {
            return Finding::bad(WHAT, error.to_string(), "set TMPDIR to a folder you can write to");
        }
    };
    match pinfold_sandbox::probe::try_start(folder.path()) {
        Ok(()) => Finding::good(WHAT, "all its steps"),
        Err(error) => {
            let fix = error
                .hint()
                .unwrap_or_else(|| "sandboxes cannot be started here: run on another host".into());
            Finding::bad(WHAT, pinfold_base::error::one_line(&error), fix)
        }
    }
}

/// What sandboxes need, and have here.
fn sandbox(probe: &Probe, environment: &Environment) -> Vec<Finding> {
    let namespaces = match probe.user_namespaces {
        Ok(()) => Finding::good("user namespaces", "two nested, with all others inside"),
        Err(problem) => Finding::bad("user namespaces", problem.to_string(), problem.fix()),
    };
    let landlock = match probe.landlock_abi {
        Some(abi) => Finding::good("Landlock", format!("ABI {abi}")),
        None => Finding::bad(
            "Landlock",
            "this kernel has none, and sandboxes ask for it",
            "boot with `landlock` among the kernel's `lsm=` list (Linux 5.13 or newer)",
        ),
    };
    let limits = match &probe.cgroups {
        Cgroups::V2(path) => Finding::good("limits", format!("cgroup v2, `{}`", path.display())),
        Cgroups::V1 { .. } => Finding::good("limits", "cgroup v1"),
        Cgroups::None(why) => Finding::note(
            "limits",
            format!("per process only: {why}"),
            "for limits of a whole sandbox, with cgroup v2: `systemd-run --user --scope -p Delegate=yes pinfold run …`",
        ),
    };
    let runtimes: Vec<&str> = OciRuntime::ALL
        .map(OciRuntime::program)
        .into_iter()
        .filter(|name| environment.has_program(name))
        .collect();
    let kernel = Finding::good("kernel", format!("{}, seccomp", probe.kernel));
    let other = Finding::good(
        "other runtimes",
        if runtimes.is_empty() { "none; the built-in one needs none".into() } else { runtimes.join(", ") },
    );
    vec![kernel, namespaces, landlock, limits, other]
}

fn folder_finding(what: &str, folder: &Path) -> Finding {
    let fix = "set PINFOLD_HOME to a folder on a disk with some GiB free";
    if let Err(error) = fs_err::create_dir_all(folder) {
        return Finding::bad(what, error.to_string(), fix);
    }
    if let Err(error) = tempfile::tempfile_in(folder) {
        return Finding::bad(what, format!("`{}` cannot be written: {error}", folder.display()), fix);
    }
    let shown = folder.display();
    match rustix::fs::statvfs(folder) {
        Ok(disk) => space(what, &shown.to_string(), disk.f_bavail.saturating_mul(disk.f_frsize)),
        Err(_) => Finding::good(what, shown.to_string()),
    }
}

/// An image of all agents takes about 1 GiB with its downloads, and as much again unpacked.
const WANTED: u64 = 5 << 30;
const NEEDED: u64 = 1 << 30;

/// What a disk has left for a folder.
fn space(what: &str, folder: &str, free: u64) -> Finding {
    let found = format!("{folder}, {}.{} GiB free", free >> 30, (free >> 20) % 1024 * 10 / 1024);
    let fix = "`pinfold gc` says what it would free; or set PINFOLD_HOME to a folder on a larger disk";
    match free {
        0..NEEDED => Finding::bad(what, found, fix),
        NEEDED..WANTED => Finding::note(what, found, fix),
        _ => Finding::good(what, found),
    }
}

#[cfg(test)]
mod tests {
    use pinfold_sandbox::probe::NamespaceProblem;

    use super::*;

    #[test]
    fn what_is_missing_is_bad_and_has_a_fix() {
        let probe = Probe {
            kernel: "6.1".into(),
            uid: 1000,
            gid: 1000,
            user_namespaces: Err(NamespaceProblem::AppArmor),
            landlock_abi: None,
            cgroups: Cgroups::None("not delegated".into()),
            tun: false,
        };
        let found = sandbox(&probe, &Environment::default());
        let of = |what: &str| found.iter().find(|finding| finding.what == what).unwrap();
        assert_eq!(of("user namespaces").grade, Grade::Bad);
        assert!(of("user namespaces").fix.as_ref().unwrap().contains("apparmor_parser"));
        assert_eq!(of("Landlock").grade, Grade::Bad);
        assert_eq!(of("limits").grade, Grade::Note);
        assert!(of("limits").fix.as_ref().unwrap().contains("Delegate=yes"));
        assert!(found.iter().all(|finding| finding.fix.is_some() == (finding.grade != Grade::Good)));
    }

    #[test]
    fn a_machine_that_has_everything_has_nothing_to_fix() {
        let dir = tempfile::tempdir().unwrap();
        fs_err::write(dir.path().join("runsc"), "").unwrap();
        let environment = Environment::from([("PATH", dir.path())]);
        let probe = Probe {
            kernel: "6.12".into(),
            uid: 1000,
            gid: 1000,
            user_namespaces: Ok(()),
            landlock_abi: Some(6),
            cgroups: Cgroups::V2("/sys/fs/cgroup/me".into()),
            tun: true,
        };
        let found = sandbox(&probe, &environment);
        assert!(found.iter().all(|finding| finding.grade == Grade::Good), "{found:?}");
        let of = |what: &str| found.iter().find(|finding| finding.what == what).unwrap().found.as_str();
        assert_eq!(of("Landlock"), "ABI 6");
        assert_eq!(of("limits"), "cgroup v2, `/sys/fs/cgroup/me`");
        assert_eq!(of("other runtimes"), "runsc", "only those on the path");
        let without = sandbox(
            &Probe { cgroups: Cgroups::V1 { memory: "/m".into(), pids: "/p".into(), cpu: None }, ..probe },
            &Environment::default(),
        );
        let told = |what: &str| without.iter().find(|finding| finding.what == what).unwrap().found.clone();
        assert_eq!(told("other runtimes"), "none; the built-in one needs none");
        assert_eq!(told("limits"), "cgroup v1");
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_bad() {
        let dir = tempfile::tempdir().unwrap();
        let (good, file) = (dir.path().join("new/folder"), dir.path().join("file"));
        let found = folder_finding("cache", &good).found;
        assert!(
            found.starts_with(&format!("{}, ", good.display())) && found.ends_with(" GiB free"),
            "{found}"
        );
        assert!(good.is_dir(), "it is made where it can be");
        fs_err::write(&file, "in the way").unwrap();
        let found = folder_finding("cache", &file);
        assert_eq!(found.grade, Grade::Bad);
        assert!(found.found.contains(&file.display().to_string()), "{}", found.found);
        assert_eq!(found.fix.as_deref(), Some("set PINFOLD_HOME to a folder on a disk with some GiB free"));
    }

    #[test]
    fn a_disk_that_is_nearly_full_is_told() {
        for (free, grade, text) in [
            (0, Grade::Bad, "/x, 0.0 GiB free"),
            (NEEDED - 1, Grade::Bad, "/x, 0.9 GiB free"),
            (NEEDED, Grade::Note, "/x, 1.0 GiB free"),
            (WANTED + (1 << 29), Grade::Good, "/x, 5.5 GiB free"),
        ] {
            let found = space("cache", "/x", free);
            assert_eq!((found.grade, found.found.as_str()), (grade, text), "{free}");
        }
    }

    #[test]
    fn keys_are_named_by_their_variables_and_never_told() {
        let with = |name: &str, value: &str| keys(&Environment::from([(name, value)]));
        let found = with("ANTHROPIC_API_KEY", "canary");
        assert_eq!(found, Finding::good("keys", "ANTHROPIC_API_KEY (claude-code, opencode)"));
        assert_eq!(with("ANTHROPIC_API_KEY", "").grade, Grade::Note, "an empty one is none");
        assert_eq!(with("HOME", "/x").grade, Grade::Note);
    }

    #[test]
    fn everything_is_looked_at_even_where_nothing_works() {
        let dir = tempfile::tempdir().unwrap();
        let home = pinfold_base::Home::under(&dir.path().join("home"));
        let silent = Box::new(pinfold_base::report::Silent);
        let context = Context::at(home, crate::context::Network::Offline, silent).unwrap();
        let _ = fs_err::remove_dir(dir.path().join("home/data"));
        fs_err::write(dir.path().join("home/data"), "in the way").unwrap();
        let found = look(&context, None, &Probe::run());
        let grade =
            |what: &str| found.iter().find(|finding| finding.what == what).map(|finding| finding.grade);
        // How much is free is the machine's.
        assert!(grade("cache").is_some());
        assert_eq!(grade("images"), Some(Grade::Bad));
        for what in [
            "program",
            "platform",
            "certificates",
            "clock",
            "network",
            "keys",
            "kernel",
            "user namespaces",
            "Landlock",
            "limits",
        ] {
            assert!(grade(what).is_some(), "{what} was not looked at: {found:?}");
        }
    }
}
