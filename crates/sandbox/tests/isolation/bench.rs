//! Figures: start of a program that does nothing, side by side with bubblewrap on the same image, and resident memory of an
//! idle sandbox. Meaningful in a release build only.

use std::fs;
use std::process::Command;
use std::process::Stdio as ProcessStdio;
use std::time::Duration;
use std::time::Instant;

use pinfold_sandbox::Plan;
use pinfold_sandbox::Probe;
use pinfold_sandbox::Sandbox;
use pinfold_sandbox::Stdio;

use crate::host;

const ROUNDS: usize = 60;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// One start and end.
pub(crate) fn once(base: &str) -> i32 {
    let command = ["/bin/probe", "probe", "nothing"].map(str::to_owned).to_vec();
    let mut spec = pinfold_sandbox::Spec::new("once", std::path::Path::new(base).join("root"), command);
    spec.network = pinfold_sandbox::spec::Network::None;
    spec.cwd = "/".into();
    spec.policy.cgroup = pinfold_sandbox::spec::Need::Off;
    let plan = Plan::new(&spec, &Probe::run()).unwrap();
    i32::from(Sandbox::new(plan).spawn(Stdio::Null).unwrap().wait().unwrap().code())
}

pub(crate) fn main() -> i32 {
    let image = host::Image::make();
    let host = host::Host::new(image.path());
    let mut spec = host.spec("nothing", &[]);
    spec.policy.cgroup = pinfold_sandbox::spec::Need::Off;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let root = host.root.to_str().unwrap();
    // Taken in turn, so that the machine's other load falls on both.
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let plan = Plan::new(&spec, &Probe::run()).unwrap();
        Sandbox::new(plan).spawn(Stdio::Null).unwrap().wait().unwrap();
        ours.push(start.elapsed());
        let start = Instant::now();
        let status = Command::new("bwrap")
            .args([
                "--unshare-all",
                "--ro-bind",
                root,
                "/",
                "--proc",
                "/proc",
                "--dev",
                "/dev",
                "--tmpfs",
                "/tmp",
            ])
            .args(["/bin/probe", "probe", "nothing"])
            .stdout(ProcessStdio::null())
            .status();
        if status.is_ok_and(|status| status.success()) {
            theirs.push(start.elapsed());
        }
    }
    // A process of its own each time, as a command line is: the program is copied to memory anew.
    let mut whole = Vec::new();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let status = Command::new("/proc/self/exe").args(["once", image.path().to_str().unwrap()]).status();
        assert!(status.is_ok_and(|status| status.success()));
        whole.push(start.elapsed());
    }
    println!("start of a program that does nothing, median of {ROUNDS}:");
    println!("  built-in, from a new process {:?}", median(whole));
    println!("  built-in  {:?}", median(ours));
    if theirs.is_empty() {
        println!("  bubblewrap is not installed");
    } else {
        println!("  bwrap     {:?}", median(theirs));
    }
    let plan = Plan::new(&host.spec("sleep", &[]), &Probe::run()).unwrap();
    let running = Sandbox::new(plan).spawn(Stdio::Null).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    for line in status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("Rss")) {
        println!("  process 1 {line}");
    }
    0
}
