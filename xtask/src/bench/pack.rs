//! What one file costs that runs an agent: to make, to start for the first time (unpacked, verified), to start again. The image is
//! `solo` with Claude Code, for this machine, its layers as they are (gzip) and compressed anew with zstd. Beside the first start what
//! other tools take to put the same tree there verified: `unsquashfs` of a squashfs compressed with zstd, and skopeo hashing the image's
//! blobs; the fair comparison is zstd's. Beside the second `pinfold run`.
//!
//! Each first start, of ours and of others, has a folder of its own, and all go at the end: ext4 looks for inodes that were freed a short
//! time ago before it gives out others, which costs more than all the rest.

use std::path::Path;

use fs_err as fs;
use pinfold_base::directory;

use super::BenchArgs;
use super::Cost;
use super::Row;
use super::build::median;
use super::command;
use super::line;
use super::measure;
use super::write;
use crate::say;

/// CPU seconds and MiB that packing may take.
const PACK: f64 = 1.0;
const PACK_PEAK: f64 = 40.0;
/// KiB that a file may have beside image and program.
const BESIDE: u64 = 64;
/// CPU seconds of a first start, for each 250 MiB of layers.
const FIRST: f64 = 2.5;
/// What a first start may take of what other tools do.
const SHARE: f64 = 0.5;
/// What a second start may take of `pinfold run`.
const SECOND: f64 = 1.2;
/// Starts whose median is taken: they are short.
const STARTS: usize = 11;
/// How layers are compressed anew.
const ZSTD: &str = "zstd";

/// Measures everything.
pub(super) fn rows(args: &BenchArgs, folder: &Path, pinfold: &str) -> Result<Vec<Row>, String> {
    let failed = |error: std::io::Error| error.to_string();
    let place = folder.join("pack");
    let project = place.join("project");
    fs::create_dir_all(&project).map_err(failed)?;
    write(&project.join("pinfold.toml"), "preset = \"solo\"\nname = \"solo\"\nagents = [\"claude-code\"]\n")?;
    let home = [("PINFOLD_HOME", folder.join("home").display().to_string())];
    say("preparing: building the image");
    measure(&project, &home, &[pinfold, "build", "--quiet"])?;
    say(&format!("{:<46} {:>8} {:>8} {:>8}", "what", "CPU s", "wall s", "peak MiB"));
    let runs = args.runs.max(1);
    let mut rows = Vec::new();
    let mut tell = |name: &str, cost: Cost, note: String, target: Option<f64>| {
        let Cost { cpu, wall, peak } = cost;
        let row = Row { name: name.into(), cpu, wall, peak, note, target };
        say(&line(&row));
        rows.push(row);
        cost
    };
    let file = place.join("solo.AppImage");
    let name = file.display().to_string();
    let pack = [pinfold, "pack", "solo", "--quiet", "-o", &name];
    let several = |env: &[(&str, String)], args: &[&str], count: usize| -> Result<Cost, String> {
        Ok(median((0..count).map(|_| measure(&project, env, args)).collect::<Result<_, _>>()?))
    };
    let cost = several(&home, &pack, runs)?;
    tell("pack", cost, format!("peak goal ≤ {PACK_PEAK:.0}"), Some(PACK));
    let tar = place.join("solo.tar.gz").display().to_string();
    let cost = several(&home, &[pinfold, "pack", "solo", "--quiet", "-o", &tar], runs)?;
    tell("pack, a .tar.gz", cost, String::new(), Some(PACK));
    fs::remove_file(&tar).map_err(failed)?;
    let small = place.join("zstd.AppImage").display().to_string();
    measure(&project, &home, &[pinfold, "pack", "solo", "--quiet", "--compress", ZSTD, "-o", &small])?;

    // Its files as they are: layers by their size, then all that is neither layer nor program.
    let tree = place.join("tree");
    let new = |path: &Path| match directory::remove(path) {
        Err(error) if path.exists() => Err(error.to_string()),
        _ => Ok(()),
    };
    new(&tree)?;
    let extracted = tree.display().to_string();
    measure(&project, &[], &[&name, "--pinfold-extract", &extracted])?;
    let blobs = directory::size(&tree.join("oci/blobs")).bytes;
    let program = fs::metadata(pinfold).map_err(failed)?.len();
    let whole = fs::metadata(&file).map_err(failed)?.len();
    let layers = f64::from(u32::try_from(blobs >> 20).unwrap_or(u32::MAX));
    let beside = whole.saturating_sub(blobs + program) >> 10;
    say(&format!("the file: {} MiB, {beside} KiB beside image and program (goal ≤ {BESIDE})", whole >> 20));

    let fresh = place.join("fresh");
    new(&fresh)?;
    let image = format!("appimage:{name}");
    let words = |file: &str| {
        let image = format!("appimage:{file}");
        [file, "--pinfold", "run", "--quiet", "--image", &image, "--network", "none", "--", "true"]
            .map(str::to_owned)
    };
    let env = [("PINFOLD_HOME", fresh.join("0").display().to_string())];
    let mut count = 0;
    let mut first = |file: &str| -> Result<Cost, String> {
        let words = words(file);
        let mut costs = Vec::new();
        for _ in 0..runs {
            let env = [("PINFOLD_HOME", fresh.join(count.to_string()).display().to_string())];
            costs.push(measure(&project, &env, &words.each_ref().map(String::as_str))?);
            count += 1;
        }
        Ok(median(costs))
    };
    let target = Some(FIRST * layers / 250.0);
    let gzip = tell("first start", first(&name)?, String::new(), target);
    let zstd = tell("first start, --compress zstd", first(&small)?, String::new(), target);

    let peers = peers(&place, &tree, &fresh.join("0"), runs)?;
    let share = |first: Cost| first.cpu / peers.cpu;
    let note =
        format!("the first start is {:.2} ×, with zstd {:.2} × (goal ≤ {SHARE})", share(gzip), share(zstd));
    tell("peers: unsquashfs (zstd), skopeo copy", peers, note, None);

    let run = [pinfold, "run", "--quiet", "--image", "solo", "--network", "none", "--", "true"];
    measure(&project, &home, &run)?;
    let installed = several(&home, &run, STARTS)?;
    tell("pinfold run -- true", installed, String::new(), None);
    let start = [&*name, "--pinfold", "run", "--quiet", "--image", &image, "--network", "none", "--", "true"];
    let second = several(&env, &start, STARTS)?;
    let note = format!(
        "{:.2} × the CPU, {:.2} × the wall of that (goal ≤ {SECOND})",
        second.cpu / installed.cpu,
        second.wall / installed.wall
    );
    tell("second start", second, note, None);
    new(&fresh)?;
    Ok(rows)
}

/// The same tree by other tools: out of a squashfs, and its blobs hashed on the way from layout to layout.
fn peers(place: &Path, tree: &Path, fresh: &Path, runs: usize) -> Result<Cost, String> {
    let squashfs = place.join("root.squashfs").display().to_string();
    let roots = fs::read_dir(fresh.join("data/rootfs")).map_err(|error| error.to_string())?;
    let root = roots
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.join("etc").is_dir())
        .ok_or("the first start has unpacked nothing")?;
    let root = root.display().to_string();
    let made = command("mksquashfs")
        .args([
            &*root,
            &squashfs,
            "-noappend",
            "-quiet",
            "-no-progress",
            "-comp",
            "zstd",
            "-Xcompression-level",
            "3",
        ])
        .output()
        .map_err(|error| format!("cannot run mksquashfs (it is in squashfs-tools): {error}"))?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).into_owned());
    }
    let from = format!("oci:{}/oci", tree.display());
    let made = place.join("peers");
    if made.exists() {
        directory::remove(&made).map_err(|error| error.to_string())?;
    }
    fs::create_dir(&made).map_err(|error| error.to_string())?;
    let mut costs = Vec::new();
    for run in 0..runs {
        let out = made.join(format!("unpacked-{run}")).display().to_string();
        let to = format!("oci:{}", made.join(format!("copied-{run}")).display());
        let one = measure(place, &[], &["unsquashfs", "-no-progress", "-quiet", "-d", &out, &squashfs])?;
        let other = measure(place, &[], &["skopeo", "copy", "--quiet", &from, &to])?;
        costs.push(Cost {
            cpu: one.cpu + other.cpu,
            wall: one.wall + other.wall,
            peak: one.peak.max(other.peak),
        });
    }
    directory::remove(&made).map_err(|error| error.to_string())?;
    Ok(median(costs))
}
