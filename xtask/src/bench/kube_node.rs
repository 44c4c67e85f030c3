//! What a pod costs on a Kubernetes node: containerd, runc and CNI in namespaces of their own, asked through CRI by the client of the
//! end-to-end run (`tests/e2e/node.py`).
//!
//! Each of two pods of one image is started in turn with the other, so that both meet the same machine. What a node pays for a pull is
//! containerd's CPU, client and all; beside it podman's own pull of the same image from the same registry. An image in zstd has a node of
//! its own: its layers mean the same as those in gzip, and a node that has these would not unpack them again.

use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use fs_err as fs;

use super::command;
use super::measure;
use super::run::Figure;
use super::run::Goal;
use super::run::children;
use super::run::median;
use super::write;
use crate::say;

/// What a hardened pod's start may take of a plain one's.
const START: f64 = 1.1;
/// What pulling and unpacking may take of podman's CPU.
const PULL: f64 = 0.5;
/// Pods of each kind, in rounds.
const PODS: usize = 20;
const ROUND: usize = 5;
/// How long a node may take to be ready.
const READY: Duration = Duration::from_secs(60);
/// Ticks in a second (`USER_HZ`), which is 100 on every machine of Linux that runs Debian.
const TICKS: f64 = 100.0;
/// Where the image is for the node, and the same with layers in zstd.
const IMAGE: &str = "127.0.0.1:5000/team/bench:1";
const IN_ZSTD: &str = "127.0.0.1:5000/team/bench-zstd:1";

/// A node, which ends with this value.
struct Node {
    child: Child,
    first: String,
    folder: PathBuf,
    client: PathBuf,
}

impl Node {
    fn start(root: &Path, folder: PathBuf) -> Result<Self, String> {
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let script = root.join("tests/e2e/node.sh");
        let log = fs::File::create(folder.join("log")).map_err(|error| error.to_string())?;
        let child = command("unshare")
            .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "bash"])
            .arg(script)
            .arg(&folder)
            .stdin(Stdio::null())
            .stdout(log.into_parts().0)
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("cannot run unshare: {error}"))?;
        let mut node = Self { child, first: String::new(), folder, client: root.join("tests/e2e/node.py") };
        let begin = Instant::now();
        while !node.folder.join("ready").exists() {
            if begin.elapsed() > READY || node.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return Err(format!("the node is not ready; see {}", node.folder.display()));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        node.first = children(node.child.id()).first().ok_or("the node has no process")?.to_string();
        Ok(node)
    }

    /// The words that run a program on the node.
    fn on<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        let enter = ["nsenter", "--target", &self.first, "--net", "--mount", "--pid", "--"];
        [&enter[..], words].concat()
    }

    fn run(&self, words: &[&str]) -> Result<String, String> {
        let all = self.on(words);
        let output = command(all[0])
            .args(&all[1..])
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("cannot run nsenter: {error}"))?;
        if !output.status.success() {
            return Err(format!("`{}` failed: {}", words.join(" "), String::from_utf8_lossy(&output.stderr)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Asks containerd.
    fn ask(&self, words: &[&str]) -> Result<String, String> {
        let (client, folder) = (self.client.display().to_string(), self.folder.display().to_string());
        self.run(&[&["/usr/bin/python3", &client, &folder], words].concat())
    }

    /// CPU seconds that containerd takes for pulling and unpacking an image.
    fn pull(&self, image: &str) -> Result<f64, String> {
        let before = self.cpu()?;
        self.ask(&["pull", image])?;
        Ok(self.cpu()? - before)
    }

    /// CPU seconds that podman takes for the same, into a storage of its own.
    fn podman(&self, scratch: &Path, name: &str, image: &str) -> Result<f64, String> {
        let below = |what: &str| scratch.join(format!("{name}-{what}")).display().to_string();
        let (storage, run) = (below("storage"), below("run"));
        let words =
            ["podman", "--root", &storage, "--runroot", &run, "pull", "--quiet", "--tls-verify=false", image];
        Ok(measure(scratch, &[], &self.on(&words))?.cpu)
    }

    /// CPU seconds of containerd and its children so far (proc_pid_stat(5)).
    fn cpu(&self) -> Result<f64, String> {
        let wanted = format!("{}/containerd.toml", self.folder.display());
        let processes = fs::read_dir("/proc").map_err(|error| error.to_string())?;
        for entry in processes.filter_map(Result::ok) {
            let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            if !words.starts_with(b"containerd\0") || !String::from_utf8_lossy(&words).contains(&wanted) {
                continue;
            }
            let stat = fs::read_to_string(entry.path().join("stat")).map_err(|error| error.to_string())?;
            let (_, fields) = stat.rsplit_once(')').ok_or("a stat without a name")?;
            // utime, stime, cutime, cstime are fields 14 to 17; the first here is the third.
            let ticks = fields.split_whitespace().skip(11).take(4);
            return Ok(ticks.filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS);
        }
        Err("containerd is not there".into())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Everything of it goes with its first process, and that with this one.
        let _ = self.child.kill();
        let _ = self.child.wait();
        for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            let _ = fs::remove_dir(hierarchy.path().join("pinfold-node"));
        }
    }
}

/// What holds a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// What containerd gives every pod.
    Plain,
    /// What Kubernetes' standard *restricted* wants.
    Restricted,
}

/// A pod's object.
fn pod(words: &str, held: Held) -> String {
    let (pod, container) = match held {
        Held::Plain => ("", ""),
        Held::Restricted => (
            "  securityContext: {runAsNonRoot: true, runAsUser: 1000, runAsGroup: 1000, seccompProfile: {type: RuntimeDefault}}\n",
            "    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}\n    \
             volumeMounts: [{name: tmp, mountPath: /tmp}, {name: home, mountPath: /home/iteron}]\n  \
             volumes: [{name: tmp, emptyDir: {}}, {name: home, emptyDir: {}}]\n",
        ),
    };
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: bench, namespace: pinfold}}\nspec:\n{pod}  containers:\n  - name: bench\n    \
         image: {IMAGE}\n    command: {words}\n{container}"
    )
}

/// Measures everything.
pub(super) fn figures(root: &Path, folder: &Path, pinfold: &str) -> Result<Vec<Figure>, String> {
    for program in ["containerd", "runc", "nft", "docker-registry", "podman"] {
        if !command(program).arg("--version").output().is_ok_and(|output| output.status.success()) {
            return Err(format!("`{program}` is not installed: `.ci/setup` does it"));
        }
    }
    let home = folder.join("home").display().to_string();
    say("preparing: building the image in gzip and in zstd, pushing it to the node's registry");
    for (name, more) in [("bench", ""), ("bench-zstd", "[image]\ncompression = \"zstd\"\n")] {
        let project = folder.join(format!("node-{name}"));
        fs::create_dir_all(&project).map_err(|error| error.to_string())?;
        write(&project.join("pinfold.toml"), &format!("preset = \"iteron\"\nname = \"{name}\"\n{more}"))?;
        measure(&project, &[("PINFOLD_HOME", home.clone())], &[pinfold, "build", "--quiet"])?;
    }
    let scratch = tempfile::Builder::new()
        .prefix("pinfold-node-")
        .tempdir_in(folder)
        .map_err(|error| error.to_string())?;
    let set = format!("PINFOLD_HOME={home}");
    let pushed = |node: &Node, name: &str, image: &str| {
        node.run(&["env", &set, pinfold, "push", "--quiet", name, image]).map(|_| ())
    };
    let mut figures = Vec::new();
    let mut figure = |figure: Figure| {
        say(&figure.line());
        figures.push(figure);
    };

    let (zstd, zstd_peer) = {
        let node = Node::start(root, scratch.path().join("z"))?;
        pushed(&node, "bench-zstd", IN_ZSTD)?;
        (node.pull(IN_ZSTD)?, node.podman(scratch.path(), "zstd", IN_ZSTD)?)
    };
    let node = Node::start(root, scratch.path().join("n"))?;
    pushed(&node, "bench", IMAGE)?;
    let (own, peer) = (node.pull(IMAGE)?, node.podman(scratch.path(), "gzip", IMAGE)?);
    for (what, own, peer) in [
        ("pull and unpack on the node ÷ podman pull, CPU", own, peer),
        ("the same in zstd ÷ podman pull of what is in gzip, CPU", zstd, peer),
    ] {
        let told = format!("{own:.1} s, podman {peer:.1} s");
        figure(Figure::new(what, own / peer, "", Some(Goal::AtMost(PULL)), told));
    }
    figure(Figure::new(
        "the same in zstd ÷ podman pull of it, CPU",
        zstd / zstd_peer,
        "",
        None,
        format!("{zstd:.1} s, podman {zstd_peer:.1} s"),
    ));

    let kinds = [
        ("plain", "[sleep, infinity]", Held::Plain),
        ("waiting", "[sleep, infinity]", Held::Restricted),
        ("own", "[/usr/bin/tini, --, sleep, infinity]", Held::Restricted),
    ];
    let files =
        kinds.map(|(name, words, held)| (scratch.path().join(format!("{name}.yaml")), pod(words, held)));
    for (path, text) in &files {
        write(path, text)?;
    }
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for round in 0..=PODS / ROUND {
        for ((path, _), times) in files.iter().zip(&mut times) {
            let said = node.ask(&["times", &path.display().to_string(), &ROUND.to_string()])?;
            // The first round warms caches.
            if round > 0 {
                times.extend(said.split_whitespace().filter_map(|word| word.parse::<f64>().ok()));
            }
        }
    }
    let [plain, waiting, own] = times.map(median);
    let milliseconds =
        |own: f64, other: f64| format!("{:.0} ms, beside {:.0} ms", own * 1000.0, other * 1000.0);
    figure(Figure::new(
        "a pod with the image's process 1 ÷ one that waits, restricted",
        own / waiting,
        "",
        Some(Goal::AtMost(START)),
        milliseconds(own, waiting),
    ));
    figure(Figure::new(
        "a restricted pod ÷ a plain one: runc compiles two filters",
        waiting / plain,
        "",
        None,
        milliseconds(waiting, plain),
    ));
    let left = node.ask(&["left"])?;
    if !left.is_empty() {
        return Err(format!("the pods left: {left}"));
    }
    drop(node);
    // What is mounted went with the node.
    pinfold_base::directory::remove(scratch.path()).map_err(|error| error.to_string())?;
    Ok(figures)
}
