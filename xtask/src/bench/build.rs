//! What building an image costs. Each row is the median of `--runs` runs.

use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_base::directory;

use super::BenchArgs;
use super::Cost;
use super::Row;
use super::command;
use super::floor::Floor;
use super::floor::Made;
use super::line;
use super::measure;
use super::peers;
use super::scripts;
use super::write;
use crate::say;

/// The bench's own project and stores.
struct Bench {
    pinfold: String,
    home: PathBuf,
    project: PathBuf,
    runs: usize,
    only: String,
    rows: Vec<Row>,
}

const AMD64: &[&str] = &["--platform", "linux/amd64"];

impl Bench {
    fn env(&self) -> Vec<(&'static str, String)> {
        vec![("PINFOLD_HOME", self.home.display().to_string())]
    }

    fn pinfold(&self, args: &[&str]) -> Result<Cost, String> {
        let all: Vec<&str> = std::iter::once(self.pinfold.as_str()).chain(args.iter().copied()).collect();
        measure(&self.project, &self.env(), &all)
    }

    /// Leaves the downloads and nothing made from them.
    fn cold(&self) -> Result<(), String> {
        for folder in ["cache/layers", "cache/decoded", "cache/builds", "data/images"] {
            let path = self.home.join(folder);
            if path.exists() {
                directory::remove(&path).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    fn row(
        &mut self,
        name: &str,
        target: Option<f64>,
        mut before: impl FnMut(&Self, usize) -> Result<(), String>,
        args: &[&str],
    ) -> Result<Option<Cost>, String> {
        if !name.contains(&self.only) {
            return Ok(None);
        }
        let mut costs = Vec::new();
        for run in 0..self.runs {
            before(self, run)?;
            costs.push(self.pinfold(args)?);
        }
        let cost = median(costs);
        self.push(name, cost, target, self.size_note(args));
        Ok(Some(cost))
    }

    /// Two builds that do the same work, each in its project, in turn: both meet the same caches, and the same memory in the
    /// kernel's hands, which decides what writing a file costs. `before` goes before each.
    fn turns(
        &mut self,
        before: impl Fn(&Self) -> Result<(), String>,
        builds: [(&str, &Path, &[&str]); 2],
    ) -> Result<Option<[Cost; 2]>, String> {
        if !builds.iter().any(|(name, ..)| name.contains(&self.only)) {
            return Ok(None);
        }
        let mut costs = [Vec::new(), Vec::new()];
        for _ in 0..self.runs {
            for ((_, project, args), costs) in builds.iter().zip(&mut costs) {
                before(self)?;
                (*project).clone_into(&mut self.project);
                costs.push(self.pinfold(args)?);
            }
        }
        let costs = costs.map(median);
        for ((name, _, args), cost) in builds.iter().zip(costs) {
            self.push(name, cost, None, self.size_note(args));
        }
        Ok(Some(costs))
    }

    /// The layers of the one build that is recorded, those of all platforms.
    fn made(&self) -> Vec<Made> {
        let mut records = fs::read_dir(self.home.join("cache/builds")).into_iter().flatten().flatten();
        let record = records.find_map(|entry| fs::read(entry.path()).ok()).unwrap_or_default();
        let built: serde_json::Value = serde_json::from_slice(&record).unwrap_or_default();
        let platforms = built["platforms"].as_array().into_iter().flatten();
        let layers = platforms.flat_map(|platform| platform["layers"].as_array().into_iter().flatten());
        // A layer that two platforms share is made once.
        let made = layers.filter(|layer| layer["cached"] == false).map(|layer| {
            let bytes = |name: &str| layer["layer"][name].as_f64().unwrap_or_default();
            Made { plain: bytes("uncompressed"), compressed: bytes("size"), copied: bytes("reused") }
        });
        made.collect()
    }

    /// The floor of the build that was just measured, and of how many bytes.
    fn floor(&self, floor: &Floor) {
        let made = self.made();
        let plain: f64 = made.iter().map(|layer| layer.plain).sum();
        let note = format!("inflate, hash, compress: {:.0} MiB of tar", plain / 1_048_576.0);
        say(&format!("{:<46} {:>8.2} {:>27}{note}", "  floor", floor.layers(&made), ""));
    }

    fn push(&mut self, name: &str, cost: Cost, target: Option<f64>, note: String) {
        let Cost { cpu, wall, peak } = cost;
        let line = line(&Row { name: name.into(), cpu, wall, peak, note: note.clone(), target });
        say(&line);
        self.rows.push(Row { name: name.into(), cpu, wall, peak, note, target });
    }

    /// The compressed size of what a build made, out of the build's own record.
    fn size_note(&self, args: &[&str]) -> String {
        if args.first() != Some(&"build") {
            return String::new();
        }
        let tag = args
            .iter()
            .position(|arg| *arg == "--tag")
            .and_then(|at| args.get(at + 1))
            .copied()
            .unwrap_or("bench");
        let output = command(&self.pinfold)
            .args(["images", "--json"])
            .envs(self.env())
            .current_dir(&self.project)
            .output();
        let Ok(output) = output else { return String::new() };
        let images: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        let image = images.as_array().into_iter().flatten().find(|image| image["repository"] == tag);
        let size = image.and_then(|image| image["size"].as_f64()).unwrap_or_default();
        format!("{:.1} MiB", size / 1_048_576.0)
    }
}

/// The cost in the middle, with the highest peak of all.
pub(super) fn median(mut costs: Vec<Cost>) -> Cost {
    costs.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    let peak = costs.iter().map(|cost| cost.peak).fold(0.0, f64::max);
    Cost { peak, ..costs[costs.len() / 2] }
}

/// Measures everything.
pub(super) fn rows(args: &BenchArgs, folder: &Path, pinfold: &str) -> Result<Vec<Row>, String> {
    let project = folder.join("project");
    fs::create_dir_all(&project).map_err(|error| error.to_string())?;
    let manifest =
        "preset = \"iteron\"\nname = \"bench\"\n[[file]]\npath = \"/etc/bench\"\nsource = \"config\"\n";
    write(&project.join("pinfold.toml"), manifest)?;
    write(&project.join("config"), "0\n")?;
    let mut bench = Bench {
        pinfold: pinfold.to_owned(),
        home: folder.join("home"),
        project: project.clone(),
        runs: args.runs.max(1),
        only: args.only.clone(),
        rows: Vec::new(),
    };
    say("preparing: locking and fetching");
    if !project.join("pinfold.lock").exists() {
        bench.pinfold(&["lock"])?;
    }
    bench.pinfold(&["fetch"])?;
    say(&format!(
        "{:<46} {:>8} {:>8} {:>8}  {:<8} note",
        "what (downloads in the store)", "CPU s", "wall s", "peak MiB", "CPU goal"
    ));
    let cold = |bench: &Bench, _: usize| bench.cold();
    let warm = |_: &Bench, _: usize| Ok(());
    let with = |more: &[&'static str]| -> Vec<&'static str> {
        [&["build", "--offline", "--quiet"][..], AMD64, more].concat()
    };
    let floor = Floor::measure(&bench.home.join("cache"))?;
    let gzip = bench.row("cold build, amd64, gzip", Some(16.0), cold, &with(&[]))?;
    if gzip.is_some() {
        bench.floor(&floor);
    }
    bench.row("cold build, amd64, gzip, plain (--no-reuse)", Some(40.0), cold, &with(&["--no-reuse"]))?;
    bench.row("cold build, amd64, zstd -3", Some(20.0), cold, &with(&["--compression", "zstd"]))?;
    let both = ["build", "--offline", "--quiet"];
    let two = bench.row("cold build, both platforms, gzip", None, cold, &both)?;
    if two.is_some() {
        bench.floor(&floor);
    }
    if let (Some(one), Some(two)) = (gzip, two) {
        say(&format!("{:<46} {:>8.2}            (goal ≤ 2.1)", "  both platforms / one", two.cpu / one.cpu));
    }
    bench.row("unchanged rebuild, both platforms", Some(0.03), warm, &both)?;
    let edit = |bench: &Bench, run: usize| {
        write(&bench.project.join("config"), &format!("{run} {}\n", bench.rows.len()))
    };
    bench.row("one config file changed, both platforms", Some(0.3), edit, &both)?;
    agent_rows(&mut bench)?;
    let lock = bench.project.join("pinfold.lock");
    if "all install scripts of the preset, evaluated".contains(&bench.only) {
        let row = scripts::evaluated(&bench.home.join("cache"), &lock, bench.runs)?;
        say(&line(&row));
        bench.rows.push(row);
    }
    for row in floor.rows() {
        say(&line(&row));
        bench.rows.push(row);
    }
    if args.peers {
        peers::rows(folder, &bench.home, &bench.pinfold, &mut bench.rows)?;
    }
    Ok(bench.rows)
}

/// Claude Code alone: its layer inflating and with remembered blocks, and an upgrade of it in the whole image.
fn agent_rows(bench: &mut Bench) -> Result<(), String> {
    let solo = bench.project.with_file_name("solo");
    fs::create_dir_all(&solo).map_err(|error| error.to_string())?;
    write(&solo.join("pinfold.toml"), "name = \"claude-alone\"\nagents = [\"claude-code\"]\n")?;
    let whole = std::mem::replace(&mut bench.project, solo.clone());
    if !solo.join("pinfold.lock").exists() {
        bench.pinfold(&["lock"])?;
    }
    bench.pinfold(&["fetch"])?;
    let args: Vec<&str> = [&["build", "--offline", "--quiet", "--tag", "claude-alone"][..], AMD64].concat();
    bench.row("layer of Claude Code alone, inflating", Some(2.0), |bench, _| bench.cold(), &args)?;
    let forget = |bench: &Bench, _: usize| {
        for folder in ["cache/layers", "cache/builds", "data/images"] {
            let path = bench.home.join(folder);
            if path.exists() {
                directory::remove(&path).map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    };
    bench.row("layer of Claude Code alone, remembered", Some(0.5), forget, &args)?;
    // An upgrade leaves every layer but the agent's in the cache.
    bench.project.clone_from(&whole);
    bench.cold()?;
    let both: Vec<&str> = [&["build", "--offline", "--quiet"][..], AMD64].concat();
    bench.pinfold(&both)?;
    let lock = fs::read_to_string(whole.join("pinfold.lock")).map_err(|error| error.to_string())?;
    let digest = claude_digest(&lock).ok_or("the lock has no claude-code for amd64")?;
    let forget = |bench: &Bench| {
        for name in ["", ".index", ".blocks"] {
            let _ = fs::remove_file(bench.home.join("cache/decoded").join(format!("{digest}{name}")));
        }
        let _ = directory::remove(&bench.home.join("cache/builds"));
        forget_largest(&bench.home)
    };
    let turns = bench.turns(
        forget,
        [
            ("Claude Code's own work, all else there", &solo, &args),
            ("one agent (Claude Code) upgraded, amd64", &whole, &both),
        ],
    )?;
    bench.project = whole;
    if let Some([own, upgraded]) = turns {
        let ratio = upgraded.cpu / own.cpu;
        say(&format!("{:<46} {ratio:>8.2}            (goal ≤ 1.2)", "  upgrade / that agent's own work"));
    }
    Ok(())
}

/// `sha512-HEX` of Claude Code's amd64 package in a lock's text.
fn claude_digest(lock: &str) -> Option<String> {
    let at = lock.find("claude-code-linux-x64\"")?;
    let line = lock[at..].lines().next()?;
    let digest = line.split("sha512:").nth(1)?;
    Some(format!("sha512-{}", digest.get(..128)?))
}

/// Removes the largest layer, which is an agent's: its records (projects differ in what is around it) and its blobs.
fn forget_largest(home: &Path) -> Result<(), String> {
    let mut records = Vec::new();
    for entry in fs::read_dir(home.join("cache/layers")).map_err(|error| error.to_string())?.flatten() {
        let Ok(text) = fs::read(entry.path()) else { continue };
        let record: serde_json::Value = serde_json::from_slice(&text).unwrap_or_default();
        if let (Some(size), Some(digest)) = (record["size"].as_u64(), record["digest"].as_str()) {
            records.push((size, digest.replace("sha256:", ""), entry.path()));
        }
    }
    let largest = records.iter().map(|(size, ..)| *size).max().unwrap_or_default();
    for (_, hex, path) in records.iter().filter(|(size, ..)| *size > largest / 100 * 99) {
        fs::remove_file(path).map_err(|error| error.to_string())?;
        for folder in ["cache/layers/blobs", "data/images/blobs/sha256"] {
            let _ = fs::remove_file(home.join(folder).join(hex));
        }
    }
    Ok(())
}
