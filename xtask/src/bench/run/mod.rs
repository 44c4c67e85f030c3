//! What running costs: figures with the goals of the project, measured beside peers on the same root file system.

mod idle;
mod proxy;
mod start;
mod unpack;

use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use serde::Serialize;

pub(super) use self::idle::children;
pub(super) use self::idle::memory;
use super::command;
use super::measure;
use super::write;
use crate::say;

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Figure {
    name: String,
    got: f64,
    unit: &'static str,
    goal: Option<Goal>,
    note: String,
}

/// What a figure is to reach.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Figure {
    pub(super) fn new(name: &str, got: f64, unit: &'static str, goal: Option<Goal>, note: String) -> Self {
        Self { name: name.into(), got, unit, goal, note }
    }

    pub(super) fn line(&self) -> String {
        let (goal, verdict) = match self.goal {
            None => (String::new(), ""),
            Some(Goal::AtMost(most)) => {
                (format!("≤ {most:.2}"), if self.got <= most { "ok" } else { "SHORT" })
            }
            Some(Goal::AtLeast(least)) => {
                (format!("≥ {least:.2}"), if self.got >= least { "ok" } else { "SHORT" })
            }
        };
        format!("{:<58} {:>8.2} {:<5} {goal:<8} {verdict:<5} {}", self.name, self.got, self.unit, self.note)
    }
}

/// Processes that take part in a measurement, as this program under another first word.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Role {
    /// Start a program in a sandbox on a root file system and wait for its end
    Start {
        /// The root file system
        rootfs: PathBuf,
        /// The program
        program: String,
    },
    /// An install script that never ends
    Script {
        /// Its number
        index: usize,
    },
    /// The relay of a sandbox
    Relay {
        /// The proxy's socket
        socket: PathBuf,
    },
    /// The proxy of a supervisor
    Proxy {
        /// Its socket
        socket: PathBuf,
        /// The port that is let through
        port: u16,
    },
    /// Who takes part beside the proxy of many sandboxes
    #[command(subcommand)]
    Service(super::proxy::Part),
}

/// Plays a role.
pub(crate) fn play(role: &Role) -> Result<(), String> {
    match role {
        Role::Start { rootfs, program } => start::once(rootfs, program),
        Role::Script { index } => super::scripts::evaluate(*index),
        Role::Relay { socket } => proxy::relay(socket),
        Role::Proxy { socket, port } => proxy::proxy(socket, *port),
        Role::Service(part) => super::proxy::play(part),
    }
}

/// What all measurements share.
struct Bench {
    pinfold: String,
    home: PathBuf,
    /// The project whose image is run.
    project: PathBuf,
    /// Readable by everybody, removed at the end; on the same file system as the temporary directory.
    scratch: tempfile::TempDir,
    runs: usize,
    only: String,
    figures: Vec<Figure>,
}

impl Bench {
    fn env(&self) -> [(&'static str, String); 1] {
        [("PINFOLD_HOME", self.home.display().to_string())]
    }

    fn pinfold(&self, args: &[&str]) -> Result<super::Cost, String> {
        let all: Vec<&str> = std::iter::once(self.pinfold.as_str()).chain(args.iter().copied()).collect();
        measure(&self.project, &self.env(), &all)
    }

    fn wants(&self, name: &str) -> bool {
        name.contains(&self.only)
    }

    fn push(&mut self, name: &str, got: f64, unit: &'static str, goal: Option<Goal>, note: String) {
        let figure = Figure::new(name, got, unit, goal, note);
        say(&figure.line());
        self.figures.push(figure);
    }
}

/// Measures everything.
pub(super) fn figures(runs: usize, only: &str, folder: &Path, pinfold: &str) -> Result<Vec<Figure>, String> {
    use std::os::unix::fs::PermissionsExt as _;
    let text = |error: std::io::Error| error.to_string();
    let project = folder.join("run");
    fs::create_dir_all(&project).map_err(text)?;
    write(
        &project.join("pinfold.toml"),
        "preset = \"solo\"\nname = \"bench-run\"\nagents = [\"claude-code\"]\n",
    )?;
    let scratch = tempfile::Builder::new().prefix("pinfold-bench-").tempdir().map_err(text)?;
    fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o755)).map_err(text)?;
    let mut bench = Bench {
        pinfold: pinfold.to_owned(),
        home: folder.join("home"),
        project,
        scratch,
        runs,
        only: only.to_owned(),
        figures: Vec::new(),
    };
    say("preparing: an image to run");
    let layout = format!("oci:{}:latest", bench.scratch.path().join("layout").display());
    bench.pinfold(&["build", "--quiet", "--platform", host_platform(), "--output", &layout])?;
    say(&format!("load average {}", load()));
    if bench.wants("start") {
        start::figures(&mut bench)?;
    }
    if bench.wants("unpack") {
        unpack::figures(&mut bench)?;
    }
    if bench.wants("second") {
        unpack::second(&mut bench)?;
    }
    if bench.wants("proxy") {
        proxy::figures(&mut bench)?;
    }
    if bench.wants("idle") {
        idle::figures(&mut bench)?;
    }
    say(&format!("load average {}", load()));
    Ok(bench.figures)
}

fn host_platform() -> &'static str {
    if cfg!(target_arch = "aarch64") { "linux/arm64" } else { "linux/amd64" }
}

/// Processes that ran on average in the last minute: with more than one, wall times are those of a busy machine.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

fn installed(program: &str) -> bool {
    let found = command(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !found {
        say(&format!("peer: {program} is not installed"));
    }
    found
}

pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
