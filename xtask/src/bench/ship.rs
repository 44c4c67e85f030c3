//! What shipping an image costs the client, beside skopeo and podman with the same docker-registry on loopback: the four-agent image of
//! both platforms, its blobs in the store and in the page cache. Each row is the median of `--runs` runs.

use std::path::Path;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_base::directory;
use pinfold_testkit::docker_registry::Auth;
use pinfold_testkit::docker_registry::DockerRegistry;

use super::BenchArgs;
use super::Cost;
use super::Row;
use super::build::median;
use super::command;
use super::line;
use super::measure;
use super::write;
use crate::say;

/// The image's name in every registry.
const NAME: &str = "bench/iteron:1";

struct Bench<'a> {
    pinfold: &'a str,
    folder: &'a Path,
    home: PathBuf,
    project: PathBuf,
    runs: usize,
    only: &'a str,
    rows: Vec<Row>,
}

/// What a run starts from.
struct Fresh {
    /// An empty registry, or one that has the image.
    registry: DockerRegistry,
    /// An empty folder.
    folder: PathBuf,
}

/// What is measured, from that beginning.
type Step<'a> = &'a dyn Fn(&Bench<'_>, &Fresh) -> Result<Cost, String>;

impl Bench<'_> {
    fn own(&self, home: &Path, args: &[&str]) -> Result<Cost, String> {
        let all: Vec<&str> = std::iter::once(self.pinfold).chain(args.iter().copied()).collect();
        measure(&self.project, &[("PINFOLD_HOME", home.display().to_string())], &all)
    }

    fn push(&self, registry: &DockerRegistry) -> Result<Cost, String> {
        self.own(&self.home, &["push", "--quiet", "bench", &format!("{}/{NAME}", registry.host())])
    }

    /// skopeo reads the same blobs: the store is an OCI layout.
    fn skopeo_push(&self, registry: &DockerRegistry) -> Result<Cost, String> {
        let from = format!("oci:{}:bench:latest", self.home.join("data/images").display());
        let to = format!("docker://{}/{NAME}", registry.host());
        measure(
            self.folder,
            &[],
            &[
                "skopeo",
                "copy",
                "--quiet",
                "--all",
                "--preserve-digests",
                "--dest-tls-verify=false",
                &from,
                &to,
            ],
        )
    }

    fn fresh(&self, pushed: bool) -> Result<Fresh, String> {
        let registry = DockerRegistry::start(Auth::Open).ok_or("docker-registry is not installed")?;
        if pushed {
            self.push(&registry)?;
        }
        let folder = self.folder.join("ship");
        if folder.exists() {
            directory::remove(&folder).map_err(|error| error.to_string())?;
        }
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        Ok(Fresh { registry, folder })
    }

    /// The peer's cost and ours, in turn, each from the same beginning. The goal is a share of the peer's.
    fn pair(
        &mut self,
        names: [&str; 2],
        share: f64,
        of: fn(&Cost) -> f64,
        pushed: bool,
        runs: [Step<'_>; 2],
    ) -> Result<(), String> {
        if !names.iter().any(|name| name.contains(self.only)) {
            return Ok(());
        }
        let mut costs = [Vec::new(), Vec::new()];
        for _ in 0..self.runs {
            for (run, costs) in runs.iter().zip(&mut costs) {
                let fresh = self.fresh(pushed)?;
                costs.push(run(self, &fresh)?);
            }
        }
        let [peer, own] = costs.map(median);
        for (name, cost, note) in [
            (names[0], peer, String::new()),
            (names[1], own, format!("{:.2} × the peer (goal ≤ {share})", of(&own) / of(&peer))),
        ] {
            let Cost { cpu, wall, peak } = cost;
            let row = Row { name: name.into(), cpu, wall, peak, note, target: None };
            say(&line(&row));
            self.rows.push(row);
        }
        Ok(())
    }
}

/// Measures everything.
pub(super) fn rows(args: &BenchArgs, folder: &Path, pinfold: &str) -> Result<Vec<Row>, String> {
    for program in ["skopeo", "podman"] {
        if !command(program).arg("--version").output().is_ok_and(|output| output.status.success()) {
            return Err(format!("`{program}` is not installed: `.ci/setup` does it"));
        }
    }
    let project = folder.join("ship-project");
    fs::create_dir_all(&project).map_err(|error| error.to_string())?;
    write(&project.join("pinfold.toml"), "preset = \"iteron\"\nname = \"bench\"\n")?;
    let (home, only) = (folder.join("home"), args.only.as_str());
    let mut bench = Bench { pinfold, folder, home, project, runs: args.runs.max(1), only, rows: Vec::new() };
    say("preparing: building the image for both platforms");
    bench.own(&bench.home, &["build", "--quiet"])?;
    say(&format!("{:<46} {:>8} {:>8} {:>8}", "what (client alone)", "CPU s", "wall s", "peak MiB"));
    bench.pair(
        ["skopeo copy --all, first push", "first push, both platforms"],
        0.6,
        |cost| cost.cpu,
        false,
        [&|bench, fresh| bench.skopeo_push(&fresh.registry), &|bench, fresh| bench.push(&fresh.registry)],
    )?;
    bench.pair(
        ["skopeo copy --all, the same again", "the same push again (wall)"],
        0.1,
        |cost| cost.wall,
        true,
        [&|bench, fresh| bench.skopeo_push(&fresh.registry), &|bench, fresh| bench.push(&fresh.registry)],
    )?;
    bench.pair(
        ["skopeo copy to a layout, amd64", "pull into the store, amd64"],
        0.6,
        |cost| cost.cpu,
        true,
        [
            &|bench, fresh| {
                let from = format!("docker://{}/{NAME}", fresh.registry.host());
                let to = format!("oci:{}:1", fresh.folder.join("layout").display());
                let copy =
                    ["skopeo", "--override-arch", "amd64", "copy", "--quiet", "--src-tls-verify=false"];
                measure(bench.folder, &[], &[&copy[..], &[&from, &to]].concat())
            },
            &|bench, fresh| {
                let name = format!("{}/{NAME}", fresh.registry.host());
                bench.own(&fresh.folder, &["pull", "--quiet", "--platform", "linux/amd64", &name])
            },
        ],
    )?;
    bench.pair(
        ["podman run of `true`, nothing there before", "run --image of `true`, nothing there before"],
        0.25,
        |cost| cost.cpu,
        true,
        [
            &|bench, fresh| {
                let (root, state) = (fresh.folder.join("root"), fresh.folder.join("state"));
                let name = format!("{}/{NAME}", fresh.registry.host());
                // As root it takes other limits than the machine's.
                let script = format!(
                    "podman --root {} --runroot {} --runtime runc run --rm --quiet --tls-verify=false --network none \
                     --ulimit nofile=1024:20000 --ulimit nproc=4096:4096 {name} true",
                    root.display(),
                    state.display(),
                );
                measure(bench.folder, &[], &["bash", "-c", &script])
            },
            &|bench, fresh| {
                let name = format!("{}/{NAME}", fresh.registry.host());
                bench.own(&fresh.folder, &["run", "--quiet", "--network", "none", "--image", &name, "--", "true"])
            },
        ],
    )?;
    Ok(bench.rows)
}
