//! `cargo xtask bench`: what building and running cost, beside the floor of the stages and, where installed, beside peers,
//! in one run.
//!
//! ```text
//!   bench build    rows of CPU seconds, wall seconds and peak memory of whole processes, with CPU goals
//!   bench scripts  what hostile install scripts cost until they are stopped
//!   bench run      figures with goals: starts, unpacking, the proxy, resident memory
//!   bench verify   rows of looking at an image, beside decompressing and hashing its layers
//!   bench nix      rows of layers made of a closure of Nix, beside decompressing, hashing and compressing it, and beside Nix
//!   bench layers   what upgrades of closures of Nix cost to pull again, by our plan and by the rules of others
//!   bench pack     rows of one file that runs an agent: making it, its first and second start, beside other tools and `run`
//!   bench sealed   figures with goals: workers, their messages, memory and sizes
//!   bench kube-node  figures with goals: pods on a node of containerd's, and what pulling costs it
//!   bench kube-check rows of judging objects of Kubernetes, beside a judge of schemas
//!   bench proxy    figures with goals: bytes through `pinfold proxy`, stalled tunnels, ten thousand identities
//!   bench ship     rows of the client alone beside skopeo and podman with one registry, goals as a share of theirs
//! ```
//!
//! CPU seconds (user + system) and peak memory are those of the whole process, as the kernel counts them for a finished
//! child. Downloads are in the store before anything is measured.

mod build;
mod floor;
mod kube_check;
mod kube_node;
mod layers;
mod nix;
mod pack;
mod peers;
mod proxy;
pub(crate) mod run;
mod scripts;
mod sealed;
mod ship;
mod verify;

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use fs_err as fs;
use serde::Serialize;

use crate::say;

/// Arguments of the chore.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// What to measure; all unless said
    #[arg(value_enum)]
    groups: Vec<Group>,
    /// Runs of each row; the median is shown
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Write the tables as JSON to this file
    #[arg(long, default_value = "target/bench.json")]
    json: PathBuf,
    /// Measure buildah and mmdebstrap too, where installed (peers of running are measured always)
    #[arg(long)]
    peers: bool,
    /// Only rows whose name contains this
    #[arg(long, default_value = "")]
    only: String,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Group {
    /// Building images
    Build,
    /// Stopping install scripts that never end
    Scripts,
    /// Running sandboxes
    Run,
    /// Proving what an image is
    Verify,
    /// Making layers of store paths of Nix
    Nix,
    /// Cutting closures of Nix into layers
    Layers,
    /// Making and starting one file that runs an agent
    Pack,
    /// Workers in sealed sandboxes and their queues
    Sealed,
    /// Judging objects of Kubernetes
    KubeCheck,
    /// Sending images to registries and getting them from there
    Ship,
    /// Pods on a Kubernetes node
    KubeNode,
    /// The proxy of many sandboxes
    Proxy,
}

/// Everything measured.
#[derive(Debug, Default, Serialize)]
struct Tables {
    /// What building costs.
    build: Vec<Row>,
    /// What hostile scripts cost.
    scripts: Vec<Row>,
    /// What running costs.
    run: Vec<run::Figure>,
    /// What proving costs.
    verify: Vec<Row>,
    /// What layers of store paths cost.
    nix: Vec<Row>,
    /// What upgrades of closures cost to pull.
    layers: Vec<layers::Pulled>,
    /// What one file costs.
    pack: Vec<Row>,
    /// What sealed workers cost.
    sealed: Vec<run::Figure>,
    /// What judging objects costs.
    kube_check: Vec<Row>,
    /// What shipping costs.
    ship: Vec<Row>,
    /// What pods cost on a node.
    kube_node: Vec<run::Figure>,
    /// What the proxy of many costs.
    proxy: Vec<run::Figure>,
}

/// One measured row.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) name: String,
    /// CPU seconds, user and system.
    pub(crate) cpu: f64,
    /// Wall seconds.
    pub(crate) wall: f64,
    /// Peak resident memory in MiB.
    pub(crate) peak: f64,
    /// Anything else worth printing: sizes, the target.
    pub(crate) note: String,
    /// CPU seconds to reach, where the project has a target.
    pub(crate) target: Option<f64>,
}

/// A finished child's cost: CPU seconds, wall seconds, peak MiB.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    cpu: f64,
    wall: f64,
    peak: f64,
}

// rusage of one child is not to be had from safe Rust; the four lines of Python are the whole dependency.
const WAIT: &str = "import os,sys,time\nt=time.monotonic()\np=os.posix_spawnp(sys.argv[1],sys.argv[1:],os.environ)\n\
_,s,r=os.wait4(p,0)\nprint(r.ru_utime+r.ru_stime,time.monotonic()-t,r.ru_maxrss/1024,file=open(os.environ['PINFOLD_COST'],'w'))\nsys.exit(os.waitstatus_to_exitcode(s))";

#[expect(clippy::disallowed_methods, reason = "a bench runs the programs it measures")]
pub(crate) fn command(program: &str) -> Command {
    Command::new(program)
}

/// Runs a program to its end and says what it cost.
pub(crate) fn measure(dir: &Path, env: &[(&str, String)], args: &[&str]) -> Result<Cost, String> {
    let cost = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    let output = command("python3")
        .args(["-c", WAIT])
        .args(args)
        .current_dir(dir)
        .envs(env.iter().map(|(name, value)| (name, value)))
        .env("PINFOLD_COST", cost.path())
        .output()
        .map_err(|error| format!("cannot run python3: {error}"))?;
    if !output.status.success() {
        return Err(format!("`{}` failed: {}", args.join(" "), String::from_utf8_lossy(&output.stderr)));
    }
    let text = fs::read_to_string(cost.path()).map_err(|error| error.to_string())?;
    let mut numbers = text.split_whitespace().filter_map(|word| word.parse::<f64>().ok());
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(cpu), Some(wall), Some(peak)) => Ok(Cost { cpu, wall, peak }),
        _ => Err("the cost of a run could not be read".into()),
    }
}

fn line(row: &Row) -> String {
    let target = row.target.map_or(String::new(), |target| format!("≤ {target}"));
    format!(
        "{:<46} {:>8.2} {:>8.2} {:>8.0}  {:<8} {}",
        row.name, row.cpu, row.wall, row.peak, target, row.note
    )
}

/// Measures what was asked for.
pub(crate) fn run(args: &BenchArgs) -> Result<(), String> {
    let root = crate::root();
    let folder = root.join("target/bench");
    fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
    let wanted = |group| args.groups.is_empty() || args.groups.contains(&group);
    let mut tables = Tables::default();
    if wanted(Group::Layers) {
        tables.layers = layers::rows(&root)?;
    }
    if args.groups == [Group::Layers] {
        return keep(&root, args, &tables);
    }
    let status = command("cargo")
        .args(["build", "--release", "--quiet", "--package", "pinfold"])
        .current_dir(&root)
        .status()
        .map_err(|error| error.to_string())?;
    if !status.success() {
        return Err("the program does not build".into());
    }
    let pinfold = newest_binary(&root)?.display().to_string();
    if wanted(Group::Build) {
        tables.build = build::rows(args, &folder, &pinfold)?;
    }
    if wanted(Group::Scripts) {
        tables.scripts = scripts::rows(args, &folder)?;
    }
    if wanted(Group::Run) {
        tables.run = run::figures(args.runs.max(1), &args.only, &folder, &pinfold)?;
    }
    if wanted(Group::Verify) {
        tables.verify = verify::rows(args, &folder, &pinfold)?;
    }
    if wanted(Group::Nix) {
        tables.nix = nix::rows(args, &folder, &pinfold)?;
    }
    if wanted(Group::Pack) {
        tables.pack = pack::rows(args, &folder, &pinfold)?;
    }
    if wanted(Group::Sealed) {
        tables.sealed = sealed::figures(args.runs, &args.only, &root, &pinfold)?;
    }
    if wanted(Group::KubeCheck) {
        tables.kube_check = kube_check::rows(args, &folder, &pinfold)?;
    }
    if wanted(Group::Ship) {
        tables.ship = ship::rows(args, &folder, &pinfold)?;
    }
    if wanted(Group::KubeNode) {
        tables.kube_node = kube_node::figures(&root, &folder, &pinfold)?;
    }
    if wanted(Group::Proxy) {
        tables.proxy = proxy::figures(args.runs, &pinfold)?;
    }
    keep(&root, args, &tables)
}

/// Writes the tables where they are wanted.
fn keep(root: &Path, args: &BenchArgs, tables: &Tables) -> Result<(), String> {
    let path = root.join(&args.json);
    let json = serde_json::to_string_pretty(tables).map_err(|error| error.to_string())?;
    write(&path, &(json + "\n"))?;
    say(&format!("written to {}", path.display()));
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| error.to_string())
}

fn newest_binary(root: &Path) -> Result<PathBuf, String> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let candidates = fs::read_dir(&target).map_err(|error| error.to_string())?;
    let candidates = candidates.filter_map(Result::ok).map(|entry| entry.path().join("release/pinfold"));
    let all = candidates.chain([target.join("release/pinfold")]);
    let dated = all.filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)));
    dated.max().map(|(_, path)| path).ok_or_else(|| "no release build of pinfold was found".into())
}
