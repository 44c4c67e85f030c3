//! What sealed workers cost: a task until its reply, messages through one worker, memory of many that wait, sizes, and a start beside
//! gVisor's own of the same bundle. The provider is the stand-in of `testkit` on this machine's loopback: it answers at once.
//!
//! The workers are those of `cargo xtask worker`.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use fs_err as fs;
use pinfold_engine::worker::Queue;
use pinfold_queue::Content;
use pinfold_queue::Message;
use pinfold_queue::message::Text;
use pinfold_queue::spool::sequence;
use pinfold_sandbox::Sandboxes;
use pinfold_testkit::model::Model;

use super::command;
use super::run::Figure;
use super::run::Goal;
use super::run::median;
use super::run::memory;
use crate::say;

/// Milliseconds from `send` to the reply, with an instant provider.
const REPLY_BUILTIN: f64 = 50.0;
const REPLY_RUNSC: f64 = 300.0;
/// Messages a second through one worker.
const RATE: f64 = 500.0;
/// MiB of all processes of one worker that waits.
const IDLE: f64 = 6.0;
/// MB of the program, and of an image.
const WORKER: f64 = 2.0;
const IMAGE: f64 = 3.0;
/// What a start may take of gVisor's own.
const START: f64 = 1.1;
/// Workers that wait at once.
const WAITING: usize = 200;
/// Messages whose rate is measured.
const MESSAGES: usize = 2000;
/// Of each short thing, for one of `--runs`.
const TIMES: usize = 10;

struct Bench {
    pinfold: String,
    home: PathBuf,
    project: PathBuf,
    workers: PathBuf,
    base: String,
    runs: usize,
    figures: Vec<Figure>,
}

/// Names of rows, as `--only` looks for them.
const REPLIES: [(&str, &str, f64); 2] = [
    ("send --wait until its reply, builtin", "builtin", REPLY_BUILTIN),
    ("send --wait until its reply, runsc", "runsc", REPLY_RUNSC),
];
const RATES: &str = "messages a second, one worker";
const STARTS: &str = "start and end in gVisor ÷ `runsc run`";
const WAITERS: &str = "a worker that waits";

/// Measures the rows whose name contains `only`; sizes always, for an image is made for them that the others use.
pub(super) fn figures(runs: usize, only: &str, root: &Path, pinfold: &str) -> Result<Vec<Figure>, String> {
    let text = |error: std::io::Error| error.to_string();
    let workers =
        std::env::var_os("PINFOLD_WORKERS").map_or_else(|| root.join("target/workers"), PathBuf::from);
    if !workers.is_dir() {
        return Err("there are no workers: `cargo xtask worker` makes them".into());
    }
    let scratch = tempfile::Builder::new().prefix("pinfold-sealed-").tempdir().map_err(text)?;
    let (_model, address) = Model::on_loopback().map_err(text)?;
    let mut bench = Bench {
        pinfold: pinfold.to_owned(),
        home: scratch.path().join("home"),
        project: scratch.path().join("project"),
        workers,
        base: format!("http://{address}"),
        runs: runs.max(1),
        figures: Vec::new(),
    };
    fs::create_dir_all(&bench.project).map_err(text)?;
    bench.sizes()?;
    for (name, runtime, goal) in REPLIES {
        if name.contains(only) {
            bench.reply(name, runtime, goal)?;
        }
    }
    if RATES.contains(only) {
        bench.rate()?;
    }
    if STARTS.contains(only) {
        bench.start(scratch.path())?;
    }
    if WAITERS.contains(only) {
        bench.idle()?;
    }
    Ok(bench.figures)
}

impl Bench {
    fn push(&mut self, name: &str, got: f64, unit: &'static str, goal: Goal, note: String) {
        let figure = Figure::new(name, got, unit, Some(goal), note);
        say(&figure.line());
        self.figures.push(figure);
    }

    /// Runs pinfold to its end; what it printed.
    fn pinfold(&self, args: &[&str]) -> Result<String, String> {
        let output = command(&self.pinfold)
            .args(args)
            .current_dir(&self.project)
            .env("PINFOLD_HOME", &self.home)
            .env("PINFOLD_WORKERS", &self.workers)
            .env("ANTHROPIC_API_KEY", "sk-ant-api-bench")
            .env("ANTHROPIC_BASE_URL", &self.base)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(format!(
                "`pinfold {}` failed: {}",
                args.join(" "),
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn detach(&self, name: &str, runtime: &str) -> Result<(), String> {
        let words =
            ["run", "--quiet", "--preset", "sealed", "--runtime", runtime, "--detach", "--name", name];
        self.pinfold(&[&words[..], &["claude-code-model"]].concat()).map(drop)
    }

    fn remove(&self, name: &str) -> Result<(), String> {
        self.pinfold(&["rm", "--force", name]).map(drop)
    }

    fn sizes(&mut self) -> Result<(), String> {
        for arch in ["amd64", "arm64"] {
            let path = self.workers.join(format!("linux-{arch}/sandbox"));
            let bytes = fs::metadata(&path).map_err(|error| error.to_string())?.len();
            self.push(&format!("worker, linux/{arch}"), mb(bytes), "MB", Goal::AtMost(WORKER), String::new());
        }
        self.pinfold(&["build", "--quiet", "--preset", "sealed"])?;
        let output = self.home.join("image.tar");
        let place = format!("oci-archive:{}", output.display());
        self.pinfold(&["copy", "--quiet", "sealed", &place])?;
        let bytes = fs::metadata(&output).map_err(|error| error.to_string())?.len();
        fs::remove_file(&output).map_err(|error| error.to_string())?;
        let note = "both platforms in one archive".into();
        self.push("image, a platform", mb(bytes) / 2.0, "MB", Goal::AtMost(IMAGE), note);
        Ok(())
    }

    /// From the first instruction of `pinfold send` to the end of it.
    fn reply(&mut self, name: &str, runtime: &str, goal: f64) -> Result<(), String> {
        self.detach("reply", runtime)?;
        self.pinfold(&["send", "reply", "begin", "--wait=60"])?;
        let mut times = Vec::new();
        for _ in 0..self.runs * TIMES {
            let since = Instant::now();
            self.pinfold(&["send", "reply", "hello", "--wait=60"])?;
            times.push(since.elapsed().as_secs_f64() * 1e3);
        }
        self.push(name, median(times), "ms", Goal::AtMost(goal), "the whole of `pinfold send`".into());
        self.remove("reply")
    }

    /// Tasks wait before the worker starts; the clock runs from the first reply to the last.
    fn rate(&mut self) -> Result<(), String> {
        self.detach("rate", "builtin")?;
        self.pinfold(&["stop", "rate"])?;
        let sandboxes = Sandboxes::new(self.home.join("data/sandboxes"));
        let queue = Queue::of(&sandboxes, "rate").map_err(|error| error.to_string())?;
        for number in 0..MESSAGES {
            let task = Content::Task(Text { text: format!("echo {number}") });
            let message = Message::new(task).map_err(|error| error.to_string())?;
            queue.send(&message).map_err(|error| error.to_string())?;
        }
        self.detach("rate", "builtin")?;
        // Counted and not opened, and seldom: on a small machine who counts is measured, too.
        let folder = self.home.join("data/sandboxes/rate/queue/out");
        let replies = || {
            let names = fs::read_dir(&folder).into_iter().flatten().flatten();
            names.filter(|entry| sequence(entry.file_name().as_bytes()).is_some()).count()
        };
        let (mut begun, begin) = (None, Instant::now());
        let seconds = loop {
            let now = replies();
            if now > 0 && begun.is_none() {
                begun = Some((Instant::now(), now));
            }
            if let Some((since, first)) = begun
                && now >= MESSAGES
            {
                let passed = since.elapsed().as_secs_f64();
                #[expect(clippy::cast_precision_loss, reason = "some thousand")]
                break (MESSAGES - first) as f64 / passed;
            }
            if begin.elapsed() > Duration::from_secs(120) {
                return Err(format!("after 120 s there are {now} replies of {MESSAGES}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let note = format!("{MESSAGES} that wait, each with a turn of the provider");
        self.push(RATES, seconds, "/s", Goal::AtLeast(RATE), note);
        self.remove("rate")
    }

    /// Start and end of the worker's program, in gVisor by pinfold and by `runsc run` alone.
    fn start(&mut self, scratch: &Path) -> Result<(), String> {
        let bundle = scratch.join("bundle").display().to_string();
        self.pinfold(&["unpack", "--quiet", "--bundle=runsc", "sealed", &bundle])?;
        let config = Path::new(&bundle).join("config.json");
        let json = fs::read_to_string(&config).map_err(|error| error.to_string())?;
        let mut json: serde_json::Value = serde_json::from_str(&json).map_err(|error| error.to_string())?;
        json["process"]["args"] = serde_json::json!(["/sandbox", "--version"]);
        json["process"]["terminal"] = false.into();
        super::write(&config, &json.to_string())?;
        let state = scratch.join("runsc").display().to_string();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for number in 0..self.runs * TIMES {
            let since = Instant::now();
            self.pinfold(&[
                "run",
                "--quiet",
                "--preset",
                "sealed",
                "--runtime",
                "runsc",
                "--",
                "/sandbox",
                "--version",
            ])?;
            ours.push(since.elapsed().as_secs_f64() * 1e3);
            let since = Instant::now();
            let output = command("runsc")
                .args(["--root", &state, "--platform=ptrace", "--network=none", "--ignore-cgroups", "run"])
                .args(["--bundle", &bundle, &format!("bench-{number}")])
                .stdin(Stdio::null())
                .output()
                .map_err(|error| format!("runsc: {error}"))?;
            theirs.push(since.elapsed().as_secs_f64() * 1e3);
            if !output.status.success() {
                return Err(format!("`runsc run` failed: {}", String::from_utf8_lossy(&output.stderr)));
            }
        }
        let (ours, theirs) = (median(ours), median(theirs));
        let note = format!("{ours:.0} ms against {theirs:.0} ms");
        self.push(STARTS, ours / theirs, "×", Goal::AtMost(START), note);
        Ok(())
    }

    /// Proportional memory of supervisor, process 1 and worker, once nothing happens any more.
    fn idle(&mut self) -> Result<(), String> {
        if !rustix::process::geteuid().is_root() {
            // Process 1 is hidden from its own user.
            say("idle: can be measured by root only");
            return Ok(());
        }
        let names: Vec<String> = (0..WAITING).map(|number| format!("idle-{number}")).collect();
        let measured = names
            .iter()
            .try_for_each(|name| self.detach(name, "builtin"))
            .and_then(|()| self.memory_of(&names));
        let removed: Result<(), String> = names.iter().try_for_each(|name| self.remove(name));
        let note = format!("{WAITING} at once: supervisors, process 1 of each, workers");
        self.push(WAITERS, measured?, "MiB", Goal::AtMost(IDLE), note);
        removed
    }

    fn memory_of(&self, names: &[String]) -> Result<f64, String> {
        std::thread::sleep(Duration::from_secs(5));
        let mut sum = 0.0;
        for name in names {
            let state = fs::read_to_string(self.home.join("data/sandboxes").join(name).join("state.json"));
            let state: serde_json::Value = serde_json::from_str(&state.map_err(|error| error.to_string())?)
                .map_err(|error| error.to_string())?;
            let pid = |field: &str| state[field].as_u64().and_then(|pid| u32::try_from(pid).ok());
            let (Some(supervisor), Some(init)) = (pid("supervisor"), pid("init")) else {
                return Err(format!("{name} does not run"));
            };
            let all = [supervisor, init].into_iter().chain(super::run::children(init));
            for pid in all {
                sum += memory(pid)?.1;
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "some hundred")]
        Ok(sum / names.len() as f64)
    }
}

fn mb(bytes: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "some million")]
    let bytes = bytes as f64;
    bytes / 1e6
}
