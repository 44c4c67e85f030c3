//! Image → root file system, beside umoci; and what a second sandbox of the same image copies.

use std::path::Path;

use fs_err as fs;

use super::Bench;
use super::Goal;
use super::installed;
use super::measure;
use super::median;
use crate::bench::Cost;

/// The median by CPU time, and the largest peak.
fn typical(costs: &[Cost]) -> Cost {
    Cost {
        cpu: median(costs.iter().map(|cost| cost.cpu).collect()),
        wall: median(costs.iter().map(|cost| cost.wall).collect()),
        peak: costs.iter().map(|cost| cost.peak).fold(0.0, f64::max),
    }
}

fn said(cost: Cost) -> String {
    format!("{:.2} s wall, {:.0} MiB peak", cost.wall, cost.peak)
}

pub(super) fn figures(bench: &mut Bench) -> Result<(), String> {
    let scratch = bench.scratch.path().to_owned();
    let layout = scratch.join("layout");
    let image = format!("oci:{}:latest", layout.display());
    // umoci reads manifests and no index of platforms.
    let single = scratch.join("single");
    let peer = installed("umoci") && installed("skopeo");
    if peer {
        let to = format!("oci:{}:latest", single.display());
        measure(&scratch, &[], &["skopeo", "copy", "--quiet", &image, &to])?;
    }
    let (mut floor, mut ours, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..bench.runs {
        // Nothing is removed in between: a file system may look long for numbers of files that were just removed.
        floor.push(bench.pinfold(&["verify", "--quiet", &image])?);
        let target = scratch.join(format!("ours-{run}")).display().to_string();
        ours.push(bench.pinfold(&["unpack", "--quiet", &image, &target])?);
        if peer {
            let target = scratch.join(format!("theirs-{run}")).display().to_string();
            let from = format!("{}:latest", single.display());
            theirs.push(measure(&scratch, &[], &["umoci", "unpack", "--image", &from, &target])?);
        }
    }
    let (floor, ours) = (typical(&floor), typical(&ours));
    bench.push("unpack floor: the same digests, nothing written", floor.cpu, "s CPU", None, said(floor));
    bench.push("unpack: a root file system from a local gzip image", ours.cpu, "s CPU", None, said(ours));
    bench.push("  unpack: peak memory", ours.peak, "MiB", Some(Goal::AtMost(200.0)), String::new());
    if peer {
        let theirs = typical(&theirs);
        bench.push("unpack: umoci unpack", theirs.cpu, "s CPU", None, said(theirs));
        let ratio = ours.cpu / theirs.cpu;
        bench.push("  unpack: pinfold / umoci", ratio, "x", Some(Goal::AtMost(0.35)), String::new());
    }
    Ok(())
}

/// Bytes of regular files below `path`, links not followed.
fn bytes(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else { return 0 };
    entries
        .filter_map(Result::ok)
        .map(|entry| match entry.metadata() {
            Ok(data) if data.is_dir() => bytes(&entry.path()),
            Ok(data) if data.is_file() => data.len(),
            _ => 0,
        })
        .sum()
}

pub(super) fn second(bench: &mut Bench) -> Result<(), String> {
    let data = bench.home.join("data");
    let names = ["bench-first", "bench-second"];
    for name in names {
        // Left by a run that was broken off.
        let _ = bench.pinfold(&["rm", name]);
    }
    let run = |name: &str| bench.pinfold(&["run", "--quiet", "--name", name, "--", "true"]);
    run(names[0])?;
    let before = bytes(&bench.home);
    run(names[1])?;
    let grown = bytes(&bench.home) - before;
    let own = data.join("sandboxes").join(names[1]);
    let (whole, seed) = (bytes(&own), bytes(&own.join("home")));
    for name in names {
        bench.pinfold(&["rm", name])?;
    }
    let copied = kib(grown.saturating_sub(whole)) / 1024.0;
    let note = format!("its home {:.1} KiB, its records {:.1} KiB", kib(seed), kib(whole - seed));
    bench.push("second sandbox of an image: content copied", copied, "MiB", Some(Goal::AtMost(0.0)), note);
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "printed with one digit")]
fn kib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0
}
