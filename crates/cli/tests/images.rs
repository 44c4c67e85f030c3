//! Images as the user has them, through the program: names that are given, taken and moved, what a run leaves, and what goes by
//! itself. The image is of busybox; every test has a home of its own.
#![expect(clippy::unwrap_used, reason = "these tests run the program, and may fail")]

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use pinfold_testkit::machine::Machine;
use serde_json::Value;

/// Projects with images of busybox.
struct Projects(Machine);

impl Projects {
    fn new() -> Option<Self> {
        let projects = Self(Machine::empty(env!("CARGO_BIN_EXE_pinfold"))?);
        projects.project("one", "1");
        Some(projects)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    /// A project in a folder, whose image is called `box` and has this text in it.
    fn project(&self, folder: &str, text: &str) {
        self.0.project(folder, &format!("[[file]]\npath = '/text'\ncontent = '{text}'\n"));
    }

    fn command(&self, folder: &str, line: &str) -> Command {
        let mut command = self.0.pinfold(&line.split_whitespace().collect::<Vec<_>>());
        command.current_dir(self.path(folder));
        command
    }

    fn pinfold(&self, line: &str) -> Output {
        self.command("one", line).output().unwrap()
    }

    /// What a verb says on stderr, and its exit code.
    fn told(&self, line: &str) -> (i32, String) {
        let output = self.pinfold(line);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    fn json(&self, line: &str) -> Value {
        let output = self.pinfold(&format!("{line} --json"));
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// `name:tag` of each image that is listed.
    fn images(&self, line: &str) -> Vec<String> {
        let images = self.json(line);
        let word = |image: &Value, key: &str| image[key].as_str().unwrap().to_owned();
        let rows = images.as_array().unwrap().iter();
        rows.map(|image| format!("{}:{}", word(image, "repository"), word(image, "tag"))).collect()
    }

    fn built(&self) -> String {
        self.json("build --offline")["index"].as_str().unwrap().to_owned()
    }

    /// How many entries `folder` below the home has, apart from folders with names.
    fn count(&self, folder: &str) -> usize {
        let names =
            fs_err::read_dir(self.path("home").join(folder)).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.len() == 64).count()
    }
}

const RUN: &str = "run --offline --network none -- /bin/busybox";

#[test]
fn images_are_tagged_and_removed() {
    let Some(machine) = Projects::new() else { return };
    let digest = machine.built();
    machine.json("tag box mine team/box:v1");
    assert_eq!(machine.images("images"), ["box:latest", "mine:latest", "team/box:v1"]);
    assert_eq!(machine.json("inspect team/box:v1")["digest"], digest.as_str());

    // A name goes, the image stays; several at once, and one that is not there.
    assert_eq!(machine.json("rmi mine")[0]["untagged"], serde_json::json!(["mine:latest"]));
    let (code, told) = machine.told("rmi nowhere team/box:v1");
    assert_eq!((code, machine.images("images")), (2, vec!["box:latest".to_owned()]), "{told}");
    assert!(told.contains("`nowhere:latest` is not in the store"), "{told}");

    // One platform of it is no image of its own.
    let built = machine.json("build --offline");
    let part = built["platforms"][0]["manifest"].as_str().unwrap();
    let (code, told) = machine.told(&format!("rmi box@{part}"));
    assert_eq!(code, 2, "{told}");
    assert!(told.contains("is one platform of the image `box:latest`"), "{told}");
    assert!(told.contains("`pinfold rmi box:latest` removes all of it"), "{told}");
    assert_eq!(machine.images("images"), ["box:latest"]);

    // By its digest: all names at once only when that is forced.
    let begins = &digest["sha256:".len()..][..12];
    machine.json(&format!("tag {begins} mine"));
    let (code, told) = machine.told(&format!("rmi {begins}"));
    assert_eq!(code, 2);
    assert!(told.contains("has several names: box:latest, mine:latest"), "{told}");
    assert_eq!(machine.json(&format!("rmi --force {digest}"))[0]["deleted"], digest.as_str());
    assert!(machine.images("images --all").is_empty());
    assert_eq!(machine.count("data/images/blobs/sha256"), 0);
    // The next build makes it again, and nothing else changed.
    assert_eq!(machine.built(), digest);
    assert_eq!(machine.told("verify --only oci box").0, 0);
}

#[test]
fn a_run_leaves_no_name_and_finds_what_it_ran() {
    let Some(machine) = Projects::new() else { return };
    machine.built();
    assert_eq!(machine.told(&format!("{RUN} true")).0, 0);
    assert_eq!(machine.images("images"), ["box:latest"]);
    let all = machine.json("images --all");
    assert_eq!(machine.images("images --all"), ["<none>:<none>", "box:latest"]);
    let project = machine.path("one/pinfold.toml");
    for image in all.as_array().unwrap() {
        assert_eq!(image["project"].as_str().unwrap(), project.to_str().unwrap());
    }
    // It is called by the project's name and its digest, and goes with that.
    let digest = all[0]["digest"].as_str().unwrap();
    assert_eq!(machine.json(&format!("inspect box@{digest}"))["digest"], digest);
    machine.json(&format!("rmi box@{digest}"));
    assert_eq!(machine.images("images --all"), ["box:latest"]);
    assert_eq!(machine.count("data/rootfs"), 1, "the named image has the same");
    machine.json("rmi box");
    assert_eq!(machine.count("data/rootfs"), 0);
    machine.built();
    assert_eq!(machine.told(&format!("{RUN} true")).0, 0);
    // What the store says of projects does not leave it.
    let output = machine.path("out");
    assert_eq!(machine.told(&format!("build --offline --output oci:{}:x", output.display())).0, 0);
    let index = fs_err::read_to_string(output.join("index.json")).unwrap();
    assert!(!index.contains("dev.pinfold.project"), "{index}");
}

#[test]
fn a_tag_that_moves_from_another_project_is_told() {
    let Some(machine) = Projects::new() else { return };
    machine.built();
    machine.project("two", "2");
    let output = machine.command("two", "build --offline").output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    let one = machine.path("one/pinfold.toml");
    assert!(output.status.success() && told.contains("`box:latest` was the image of"), "{told}");
    assert!(told.contains(one.to_str().unwrap()), "{told}");
    // Again in the same project nothing moves; back in the other it does.
    machine.project("two", "3");
    let again = machine.command("two", "build --offline").output().unwrap();
    assert!(!String::from_utf8(again.stderr).unwrap().contains("was the image of"));
    assert!(machine.told("build --offline").1.contains("was the image of"));
    // A run takes no name.
    let run = machine.command("two", &format!("{RUN} true")).output().unwrap();
    assert!(!String::from_utf8(run.stderr).unwrap().contains("was the image of"));
    machine.project("two", "4");
    machine.command("two", "build --offline --tag other").output().unwrap();
    assert!(machine.told("tag box other").1.contains("was the image of"));
}

#[test]
fn what_a_running_sandbox_stands_on_is_not_removed() {
    let Some(machine) = Projects::new() else { return };
    let script = [
        &RUN.split_whitespace().collect::<Vec<_>>()[..],
        &["sh", "-c", "echo up; read line; /bin/busybox cat /text"],
    ]
    .concat();
    let mut child = machine
        .command("one", "")
        .args(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "up\n");
    let digest = machine.json("images --all")[0]["digest"].as_str().unwrap().to_owned();
    let (code, told) = machine.told(&format!("rmi {digest}"));
    assert_eq!(code, 5, "{told}");
    assert!(told.contains("runs on the image") && told.contains("pinfold stop"), "{told}");
    assert_eq!(machine.images("images --all").len(), 1);
    // By force it loses its names and blobs; the sandbox goes on.
    machine.json(&format!("rmi --force {digest}"));
    assert!(machine.images("images --all").is_empty());
    assert_eq!(machine.count("data/rootfs"), 1);
    drop(child.stdin.take());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "1");
    assert!(child.wait().unwrap().success());
}

#[test]
fn the_last_two_roots_of_a_project_stay() {
    let Some(machine) = Projects::new() else { return };
    for text in ["1", "2", "3", "4"] {
        machine.project("one", text);
        let output = machine.pinfold(&format!("{RUN} cat /text"));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
    }
    assert_eq!((machine.count("data/rootfs"), machine.images("images --all").len()), (2, 2));
    // The one before is still there, and counts as the newest from now on.
    let before = machine.json("images --all");
    machine.project("one", "3");
    assert_eq!(machine.pinfold(&format!("{RUN} cat /text")).stdout, b"3");
    assert_eq!(machine.count("data/rootfs"), 2);
    machine.project("one", "5");
    assert_eq!(machine.pinfold(&format!("{RUN} cat /text")).stdout, b"5");
    let after = machine.json("images --all");
    assert_eq!(after[0]["digest"], before[0]["digest"], "that of 3");
    // Another project has its own.
    machine.project("two", "2");
    assert!(machine.command("two", &format!("{RUN} true")).status().unwrap().success());
    assert_eq!(machine.count("data/rootfs"), 3);
}

#[test]
fn two_builds_at_once_mention_each_other() {
    let Some(machine) = Projects::new() else { return };
    let digest = machine.built();
    // As if another process were building: it holds the project's turn.
    let folder = machine.path("home/cache/turns");
    let turn = fs_err::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let held = fs_err::File::open(&turn).unwrap();
    rustix::fs::flock(&held, rustix::fs::FlockOperation::LockExclusive).unwrap();
    fs_err::write(&turn, "4711\n").unwrap();
    // What is up to date waits for nobody.
    assert_eq!(machine.built(), digest);
    let mut child = machine
        .command("one", "build --offline --force")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "another `pinfold` (process 4711) builds `box` right now; waiting for it\n");
    drop(held);
    assert!(child.wait().unwrap().success());
    assert_eq!(machine.built(), digest);
}

#[test]
fn what_is_in_an_image_is_listed() {
    let Some(machine) = Projects::new() else { return };
    let text = |line: &str| {
        let output = machine.pinfold(line);
        assert!(output.status.success(), "{line}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(text("build --offline").contains("\nbuilt box:latest in "));
    let told = text("inspect box --platform linux/arm64");
    assert!(told.contains("\nlinux/arm64  ") && !told.contains("linux/amd64"), "{told}");
    assert!(told.contains("\nuser        1000:1000\n") && told.contains("\nenv         PATH="), "{told}");
    let (code, error) = machine.told("inspect box --platform linux/riscv64");
    assert_eq!(code, 2, "{error}");

    let files = machine.json("inspect box --files");
    let files = files["files"].as_array().unwrap();
    let file = |path: &str| files.iter().find(|file| file["path"] == path).unwrap();
    assert_eq!(
        (file("/text")["mode"].as_str(), file("/text")["size"].as_u64()),
        (Some("-rw-r--r--"), Some(1))
    );
    assert_eq!(file("/bin/busybox")["mode"], "-rwxr-xr-x");
    let shown = text("inspect box --files");
    assert!(
        shown.lines().any(|line| line.starts_with("-rw-r--r--  0:0") && line.ends_with("  /text")),
        "{shown}"
    );
    let components = machine.json("inspect box --components");
    let components = components["components"].as_array().unwrap();
    assert!(components.iter().any(|component| component["name"] == "generated/etc"), "{components:?}");
    let (code, error) = machine.told("inspect box --component curl");
    assert!(
        code == 2
            && error.contains("no component `curl`")
            && error.contains("`pinfold inspect box --components`"),
        "{error}"
    );

    // What the word means is told with it; an unchanged build has no table.
    machine.project("one", "2");
    let told = text("build --offline");
    assert!(told.contains("\nCACHED: layers that were there already\n"), "{told}");
    assert!(!told.contains("COPIED:"), "nothing came compressed: {told}");
    assert_eq!(text("build --offline"), "");
}
