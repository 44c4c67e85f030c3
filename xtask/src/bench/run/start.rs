//! From nothing to the end of `true`: the built-in sandbox beside bubblewrap and podman on the same root file system.
//!
//! Taken in turn, so that the machine's other load falls on all; each time from a new process, as a command line is.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio as ProcessStdio;
use std::time::Instant;

use fs_err as fs;
use pinfold_sandbox::Plan;
use pinfold_sandbox::Probe;
use pinfold_sandbox::Sandbox;
use pinfold_sandbox::Spec;
use pinfold_sandbox::Stdio;
use pinfold_sandbox::spec;

use super::Bench;
use super::Goal;
use super::command;
use super::installed;
use super::median;

/// An id nobody has: an ordinary user needs no entry in any file.
const ORDINARY: u32 = 48_123;
/// Starts of each for one of `--runs`.
const STARTS: usize = 30;
/// Of podman, which takes some fifty times as long.
const PODMAN_STARTS: usize = 4;

const PROGRAM: &str = "/usr/bin/true";

/// One start and end, with every wall that does not depend on the machine's configuration.
pub(super) fn once(rootfs: &Path, program: &str) -> Result<(), String> {
    let mut spec = Spec::new("bench", rootfs, vec![program.into()]);
    spec.network = spec::Network::None;
    spec.cwd = "/".into();
    spec.policy.cgroup = spec::Need::Off;
    let plan = Plan::new(&spec, &Probe::for_start()).map_err(|error| error.to_string())?;
    let exit = Sandbox::new(plan).spawn(Stdio::Null).and_then(pinfold_sandbox::Running::wait);
    match exit {
        Ok(exit) if exit.code() == 0 => Ok(()),
        Ok(exit) => Err(format!("the program ended with {exit}")),
        Err(error) => Err(error.to_string()),
    }
}

/// Something that is started, and how long it took each time in milliseconds.
struct Subject {
    args: Vec<String>,
    times: Vec<f64>,
}

impl Subject {
    fn new<const N: usize>(args: [&str; N]) -> Self {
        Self { args: args.map(str::to_owned).to_vec(), times: Vec::new() }
    }

    fn run(&mut self, bench: &Bench, identity: Option<u32>) -> Result<(), String> {
        let mut command = command(&self.args[0]);
        command.args(&self.args[1..]).envs(bench.env()).current_dir("/");
        command.stdin(ProcessStdio::null()).stdout(ProcessStdio::null()).stderr(ProcessStdio::null());
        if let Some(id) = identity {
            command.uid(id).gid(id);
        } else {
            command.current_dir(&bench.project);
        }
        let since = Instant::now();
        let status = command.status().map_err(|error| error.to_string())?;
        self.times.push(since.elapsed().as_secs_f64() * 1e3);
        if status.success() { Ok(()) } else { Err(format!("`{}` ended with {status}", self.args.join(" "))) }
    }
}

pub(super) fn figures(bench: &mut Bench) -> Result<(), String> {
    let rootfs = bench.scratch.path().join("rootfs").display().to_string();
    let layout = format!("oci:{}:latest", bench.scratch.path().join("layout").display());
    bench.pinfold(&["unpack", "--quiet", &layout, &rootfs])?;
    // Where every user can execute it.
    let own = bench.scratch.path().join("bench");
    let current = std::env::current_exe().map_err(|error| error.to_string())?;
    fs::copy(current, &own).map_err(|error| error.to_string())?;
    let own = own.display().to_string();
    let identities: &[(&str, Option<u32>)] = if rustix::process::geteuid().is_root() {
        &[("ordinary user", Some(ORDINARY)), ("root", None)]
    } else {
        &[("ordinary user", None)]
    };
    for (who, identity) in identities {
        let mut ours = Subject::new([&own, "role", "start", &rootfs, PROGRAM]);
        let mut bwrap = Subject::new([
            "bwrap",
            "--unshare-all",
            "--ro-bind",
            &rootfs,
            "/",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
            "--tmpfs",
            "/tmp",
            PROGRAM,
        ]);
        let mut peer = installed("bwrap");
        for _ in 0..bench.runs * STARTS {
            ours.run(bench, *identity)?;
            if peer && let Err(error) = bwrap.run(bench, *identity) {
                crate::say(&error);
                peer = false;
            }
        }
        let (ours, bwrap) = (median(ours.times), median(bwrap.times));
        bench.push(&format!("start of `true`, built-in, {who}"), ours, "ms", None, String::new());
        if peer {
            bench.push(
                &format!("start of `true`, bwrap --unshare-all, {who}"),
                bwrap,
                "ms",
                None,
                String::new(),
            );
            let name = format!("  start: built-in / bwrap, {who}");
            bench.push(&name, ours / bwrap, "x", Some(Goal::AtMost(2.0)), String::new());
        }
    }
    whole(bench, &own, &rootfs)
}

/// The slower ones: podman, and the whole command line with its image, home and records.
fn whole(bench: &mut Bench, own: &str, rootfs: &str) -> Result<(), String> {
    let pinfold = bench.pinfold.clone();
    let mut none = Subject::new([&pinfold, "run", "--quiet", "--network", "none", "--", "true"]);
    let mut proxy = Subject::new([&pinfold, "run", "--quiet", "--", "true"]);
    // The first one unpacks the image.
    none.run(bench, None)?;
    none.times.clear();
    for _ in 0..bench.runs * STARTS / 3 {
        none.run(bench, None)?;
        proxy.run(bench, None)?;
    }
    bench.push(
        "start of `pinfold run --network none -- true`",
        median(none.times),
        "ms",
        None,
        String::new(),
    );
    bench.push(
        "start of `pinfold run -- true`, with the proxy",
        median(proxy.times),
        "ms",
        None,
        String::new(),
    );
    if !installed("podman") {
        return Ok(());
    }
    let overlay = format!("{rootfs}:O");
    // Limits that a root whose own are lower may set, which podman does not ask for.
    let mut podman = Subject::new([
        "podman",
        "run",
        "--rm",
        "--network",
        "none",
        "--runtime",
        "runc",
        "--ulimit",
        "nofile=1024:20000",
        "--ulimit",
        "nproc=4096:4096",
        "--rootfs",
        &overlay,
        PROGRAM,
    ]);
    let mut ours = Subject::new([own, "role", "start", rootfs, PROGRAM]);
    for _ in 0..bench.runs * PODMAN_STARTS {
        for _ in 0..3 {
            ours.run(bench, None)?;
        }
        if let Err(error) = podman.run(bench, None) {
            crate::say(&error);
            return Ok(());
        }
    }
    let (ours, podman) = (median(ours.times), median(podman.times));
    bench.push("start of `true`, podman run --network none (runc)", podman, "ms", None, String::new());
    let note = format!("built-in {ours:.1} ms in the same turns");
    bench.push("  start: built-in / podman", ours / podman, "x", Some(Goal::AtMost(0.05)), note);
    Ok(())
}
