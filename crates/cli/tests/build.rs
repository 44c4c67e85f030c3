//! `pinfold build` as a program: what it starts, and what it leaves when it is stopped. Servers are on loopback; every run has
//! a home of its own.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "these tests run the program, and may fail"
)]

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use pinfold_image::ImageStore;
use pinfold_image::store::GcMode;
use pinfold_testkit::debian;
use pinfold_testkit::debian::Archive;
use pinfold_testkit::npm::NpmRegistry;
use pinfold_testkit::npm::Package;
use pinfold_testkit::openpgp::Shape;
use pinfold_testkit::openpgp::TestKey;
use pinfold_testkit::sample;

/// A directory with a project, a home, and a `npm` on the PATH that notes that it was started.
struct Machine {
    dir: tempfile::TempDir,
    /// The user's own programs. They are not in the project: an agent could have put them there.
    programs: tempfile::TempDir,
}

impl Machine {
    fn new(manifest: &str) -> Self {
        let machine = Self { dir: tempfile::tempdir().unwrap(), programs: tempfile::tempdir().unwrap() };
        fs_err::write(machine.path().join("pinfold.toml"), manifest).unwrap();
        let npm = machine.programs.path().join("npm");
        let note = machine.path().join("npm-was-started");
        fs_err::write(&npm, format!("#!/bin/sh\necho >{}\nexit 1\n", note.display())).unwrap();
        fs_err::set_permissions(&npm, PermissionsExt::from_mode(0o755)).unwrap();
        machine
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// A machine with the sample project, and the archive that it is built from.
    fn sample() -> (Self, Archive) {
        let key = TestKey::new(&Shape::default());
        let archive = Archive::start(debian::publish(&sample::suites(), &key));
        let machine = Self::new(&sample::manifest(&archive.url));
        fs_err::write(machine.path().join("key.asc"), key.armoured()).unwrap();
        (machine, archive)
    }

    /// The user agrees to what the project asks for: its archive is this test's.
    fn agree(&self, home: &str) {
        let shown = text(&self.pinfold(home, &[], &["policy", "show"]));
        let digest = shown.split_once("--digest ").unwrap().1.split('`').next().unwrap();
        let output = self.pinfold(home, &[], &["policy", "accept", "--digest", digest]);
        assert!(output.status.success(), "{}", text(&output));
    }

    fn command(&self, home: &str, args: &[&str]) -> Command {
        self.by(Command::new(env!("CARGO_BIN_EXE_pinfold")), home, args)
    }

    /// The same by a program that starts it.
    fn by(&self, mut command: Command, home: &str, args: &[&str]) -> Command {
        command
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("PINFOLD_HOME", self.path().join(home))
            .env("PATH", self.programs.path());
        command
    }

    fn pinfold(&self, home: &str, env: &[(&str, &str)], args: &[&str]) -> Output {
        self.command(home, args).envs(env.iter().copied()).output().unwrap()
    }

    /// The digest that a build gives.
    fn built(&self, home: &str) -> String {
        self.agree(home);
        digest(&self.pinfold(home, &[], &["build", "--json"]))
    }

    fn npm_was_started(&self) -> bool {
        self.path().join("npm-was-started").exists()
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn digest(output: &Output) -> String {
    assert!(output.status.success(), "{}", text(output));
    let built: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    built["index"].as_str().unwrap().to_owned()
}

/// Files below `folder` by their path; none while it is not there.
fn files(folder: &Path) -> BTreeSet<String> {
    fn walk(folder: &Path, name: &str, found: &mut BTreeSet<String>) {
        for entry in fs_err::read_dir(folder).into_iter().flatten().flatten() {
            let name = format!("{name}/{}", entry.file_name().display());
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => walk(&entry.path(), &name, found),
                _ => drop(found.insert(name)),
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(folder, "", &mut found);
    found
}

/// Whether a file is one being written, which a crash may leave and the next build removes.
fn is_temporary(name: &str) -> bool {
    ["/cache/tmp/", "/cache/partial/", "/data/images/tmp/"].iter().any(|folder| name.starts_with(folder))
}

#[test]
fn what_killed_builds_left_is_gone_after_the_next_one() {
    const KILLS: usize = 12;
    let (machine, _archive) = Machine::sample();
    let expected = machine.built("undisturbed");
    // A second build reads the lock that the first has made, and keeps what it says: as the builds below do.
    assert_eq!(machine.built("undisturbed"), expected);
    let made: BTreeSet<String> = files(&machine.path().join("undisturbed"));
    let finished = |home: &Path| files(home).iter().filter(|name| !is_temporary(name)).count();
    let lock = machine.path().join("pinfold.lock");
    fs_err::remove_file(&lock).unwrap();

    // Each build goes on with what the one before has left, and is killed when it has made a little more.
    let home = machine.path().join("killed");
    machine.agree("killed");
    let mut killed = 0;
    for kill in 1..=KILLS {
        let enough = made.len() * kill / (KILLS + 1);
        let mut child = machine
            .command("killed", &["build", "--quiet"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begin = Instant::now();
        while finished(&home) < enough && begin.elapsed() < Duration::from_secs(60) {
            if child.try_wait().unwrap().is_some() {
                break;
            }
        }
        child.kill().unwrap();
        killed += usize::from(child.wait().unwrap().code().is_none());
    }
    assert!(killed >= KILLS / 2, "only {killed} of {KILLS} builds were caught at work");

    // Something to do, so that the last build is one that works.
    let half = home.join("cache/tmp/.pinfold-own-half");
    fs_err::write(&half, "half").unwrap();
    let output = machine.pinfold("killed", &[], &["build", "--force", "--json"]);
    assert_eq!(digest(&output), expected);
    assert!(!half.exists());
    let verified = machine.pinfold("killed", &[], &["verify", "--only", "oci", "sample"]);
    assert!(verified.status.success(), "{}", text(&verified));
    // The record of the build is keyed by the place of the manifest's files, which is the same here: all names are equal. Young or
    // not, nothing of the killed ones is left; only blobs that nothing names are younger than `gc` takes.
    // What `verify` remembers is its own.
    let new = || -> BTreeSet<String> {
        let now = files(&home);
        now.difference(&made).filter(|name| !name.starts_with("/cache/metadata/verdict-")).cloned().collect()
    };
    let left = new();
    assert!(left.iter().all(|name| name.starts_with("/data/images/blobs/")), "{left:?}");
    ImageStore::open(&home.join("data")).unwrap().gc(Duration::ZERO, GcMode::Delete).unwrap();
    assert_eq!(new().len(), 0);
    assert_eq!(machine.built("killed"), expected);
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn a_full_disk_is_an_error_and_the_next_build_works() {
    let (machine, _archive) = Machine::sample();
    let expected = machine.built("roomy");
    // A disk of its own in a mount namespace, larger each time; the last has room.
    let script = "set -e; mkdir -p small; mount -t tmpfs -o size=100k none small\n\
                  \"$PINFOLD\" policy show >shown 2>digest\n\
                  \"$PINFOLD\" policy accept --digest \"$(grep -o 'sha256:[0-9a-f]*' digest)\" >accepted\n\
                  for size in 100k 300k 500k 700k 900k 1100k 1300k 1500k 1700k 1900k 64m; do\n\
                  mount -o remount,size=$size small\n\
                  code=0; \"$PINFOLD\" build --json >\"out-$size\" 2>\"err-$size\" || code=$?\n\
                  echo \"$size $code\"; done";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .current_dir(machine.path())
        .env("PINFOLD", env!("CARGO_BIN_EXE_pinfold"))
        .env("PINFOLD_HOME", machine.path().join("small"))
        .output();
    let output = match output {
        Ok(output) if output.status.success() => output,
        failed => {
            eprintln!("skipped: no mount namespace can be had: {failed:?}");
            assert!(std::env::var_os("CI").is_none(), "nothing is skipped in CI");
            return;
        }
    };
    let lines = String::from_utf8(output.stdout).unwrap();
    let read = |name: String| fs_err::read_to_string(machine.path().join(name)).unwrap();
    let mut full = 0;
    for (size, code) in lines.lines().filter_map(|line| line.split_once(' ')) {
        let told = read(format!("out-{size}")) + &read(format!("err-{size}"));
        if code == "0" {
            let built: serde_json::Value = serde_json::from_str(&read(format!("out-{size}"))).unwrap();
            assert_eq!(built["index"], expected.as_str(), "{size}");
        } else {
            full += 1;
            assert_eq!(code, "1", "{size}: {told}");
            assert!(told.contains("No space left on device"), "{size}: {told}");
            assert!(told.contains("the disk is full"), "{size}: {told}");
        }
    }
    assert!(full >= 3, "{lines}");
    assert!(lines.ends_with("64m 0\n"), "{lines}");
}

#[test]
fn a_build_that_has_everything_asks_nobody_where_mirrors_are() {
    let registry =
        NpmRegistry::new().package(Package::new("tool", "1.0.0").file("bin.js", 0o755, b"hello")).start();
    let machine = Machine::new("name = \"x\"\n[npm]\npackages = [\"tool\"]\n");
    let configured = [("npm_config_registry", registry.url.as_str())];
    for args in [&["lock"][..], &["vendor", "kept"]] {
        let output = machine.pinfold("home", &configured, args);
        assert!(output.status.success(), "{args:?}: {}", text(&output));
    }

    // Vendored, then out of the store: no registry is configured any more.
    for args in [
        &["build", "--vendor", "kept"][..],
        &["build", "--vendor", "kept", "--offline"],
        &["build", "--tag", "y"],
    ] {
        let built = machine.pinfold("other", &[], args);
        assert!(built.status.success(), "{args:?}: {}", text(&built));
        assert!(!machine.npm_was_started(), "{args:?}");
    }

    // Without the network there is nothing to ask for either.
    let offline = machine.pinfold("empty", &[], &["build", "--offline"]);
    assert_eq!(offline.status.code(), Some(3), "{}", text(&offline));
    assert!(text(&offline).contains("the network is switched off"), "{}", text(&offline));
    assert!(!machine.npm_was_started());

    // With it, and nothing configured, npm is asked: the note above can be written.
    let online = machine.pinfold("empty", &[], &["build"]);
    assert!(text(&online).contains("no npm registry is known"), "{}", text(&online));
    assert!(machine.npm_was_started());
}

#[test]
fn who_interrupts_a_build_is_told_what_that_leaves() {
    // A registry that takes a connection and says nothing: the build waits for it.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let registry = format!("http://{}/", silent.local_addr().unwrap());
    let machine = Machine::new("name = 'x'\nplatforms = ['linux/amd64']\n[npm]\npackages = ['tool']\n");
    // Who runs the tests in the background may have SIGINT ignored, and what is ignored is inherited.
    let mut heard = Command::new("/usr/bin/env");
    heard.args(["--default-signal=INT", env!("CARGO_BIN_EXE_pinfold")]);
    let mut child = machine
        .by(heard, "interrupted", &["build"])
        .env("npm_config_registry", &registry)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (_connection, _) = silent.accept().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    // The shell says 130 of it, and ends a loop that it is part of.
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(2), "{status}");
    let mut errors = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut errors).unwrap();
    let words = "interrupted: nothing half done counts, and what was fetched is kept for the next time\n";
    assert!(errors.ends_with(words) && !errors.contains('\x1b'), "{errors}");
    assert!(!machine.path().join("pinfold.lock").exists());
}
