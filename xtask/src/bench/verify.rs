//! What proving an image costs, beside what nobody can go below who reads it: its layers decompressed and hashed once, by the same
//! libraries on one thread. The four-agent image, one platform, its blobs in the store and in the page cache.

use std::io::Read;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;

use fs_err as fs;
use pinfold_archive::codec::Compression;
use pinfold_archive::codec::decoder;
use pinfold_base::Algorithm;
use pinfold_base::digest::HashingReader;
use rustix::time::ClockId;
use rustix::time::clock_gettime;
use serde_json::Value;

use super::BenchArgs;
use super::Cost;
use super::Row;
use super::build::median;
use super::command;
use super::line;
use super::measure;
use super::write;
use crate::say;

/// How many times the floor looking may cost.
const SHARE: f64 = 1.3;

/// Measures everything.
pub(super) fn rows(args: &BenchArgs, folder: &Path, pinfold: &str) -> Result<Vec<Row>, String> {
    let project = folder.join("verify-project");
    fs::create_dir_all(&project).map_err(|error| error.to_string())?;
    write(&project.join("pinfold.toml"), "preset = \"iteron\"\nname = \"bench\"\n")?;
    let home = folder.join("home");
    let env = [("PINFOLD_HOME", home.display().to_string())];
    say("preparing: building the image for both platforms");
    measure(&project, &env, &[pinfold, "build", "--quiet"])?;
    let layers = layers(pinfold, &project, &home)?;
    say(&format!("{:<46} {:>8} {:>8} {:>8}", "what", "CPU s", "wall s", "peak MiB"));
    let runs = args.runs.max(1);
    let mut rows = Vec::new();
    let mut tell = |name: &str, cost: Cost, note: String| {
        let Cost { cpu, wall, peak } = cost;
        let row = Row { name: name.into(), cpu, wall, peak, note, target: None };
        say(&line(&row));
        rows.push(row);
        cpu
    };
    let floors: Vec<Cost> = (0..runs).map(|_| floor(&layers)).collect::<Result<_, _>>()?;
    let floor = tell("floor: its layers decompressed and hashed", median(floors), String::new());
    let check = [pinfold, "verify", "bench", "--platform", "linux/amd64", "--static", "--quiet"];
    let mut costs = Vec::new();
    for _ in 0..runs {
        forget(&home)?;
        costs.push(measure(&project, &env, &check)?);
    }
    let cost = median(costs);
    let note = format!("{:.2} × the floor (goal ≤ {SHARE}), peak ≤ 200", cost.cpu / floor);
    tell("verify --static, never looked at", cost, note);
    let again: Vec<Cost> = (0..runs).map(|_| measure(&project, &env, &check)).collect::<Result<_, _>>()?;
    let cost = median(again);
    tell("the same again", cost, format!("{:.0} ms wall (goal ≤ 50)", cost.wall * 1000.0));
    Ok(rows)
}

/// The blobs of the image's layers on amd64.
fn layers(pinfold: &str, project: &Path, home: &Path) -> Result<Vec<std::path::PathBuf>, String> {
    let output = command(pinfold)
        .args(["inspect", "bench", "--json"])
        .current_dir(project)
        .env("PINFOLD_HOME", home)
        .output()
        .map_err(|error| error.to_string())?;
    let value: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let platforms = value["platforms"].as_array().ok_or("inspect tells of no platforms")?;
    let amd64 = platforms.iter().find(|one| one["platform"] == "linux/amd64").ok_or("it is not for amd64")?;
    let blob = |layer: &Value| {
        let digest = layer["digest"].as_str()?.strip_prefix("sha256:")?;
        Some(home.join("data/images/blobs/sha256").join(digest))
    };
    amd64["layers"]
        .as_array()
        .into_iter()
        .flatten()
        .map(blob)
        .collect::<Option<_>>()
        .ok_or("a layer has no digest".into())
}

/// Decompresses and hashes blobs once, on this thread.
fn floor(layers: &[std::path::PathBuf]) -> Result<Cost, String> {
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
    let (begin, wall) = (now(), Instant::now());
    for layer in layers {
        let failed = |error: std::io::Error| error.to_string();
        let file = std::io::BufReader::with_capacity(1 << 20, fs::File::open(layer).map_err(failed)?);
        let blob = HashingReader::new(Algorithm::Sha256, file);
        let tar = decoder(Compression::Gzip, blob).map_err(failed)?;
        let mut tar = HashingReader::new(Algorithm::Sha256, tar);
        let mut chunk = vec![0; 128 << 10];
        while tar.read(&mut chunk).map_err(failed)? > 0 {}
    }
    Ok(Cost { cpu: now().saturating_sub(begin).as_secs_f64(), wall: wall.elapsed().as_secs_f64(), peak: 0.0 })
}

/// Takes away what is remembered of earlier looks.
fn forget(home: &Path) -> Result<(), String> {
    let folder = home.join("cache/metadata");
    for entry in fs::read_dir(&folder).map_err(|error| error.to_string())?.flatten() {
        if entry.file_name().to_string_lossy().starts_with("verdict-") {
            fs::remove_file(entry.path()).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}
