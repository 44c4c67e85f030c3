//! `pinfold build` as a program: what it starts, and what it leaves when it is stopped. Servers are on loopback; every run has
//! a home of its own.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "these tests run the program, and may fail"
)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::process::Output;

use pinfold_testkit::npm::NpmRegistry;
use pinfold_testkit::npm::Package;

/// A directory with a project, a home, and a `npm` on the PATH that notes that it was started.
struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    fn new(manifest: &str) -> Self {
        let machine = Self { dir: tempfile::tempdir().unwrap() };
        fs_err::write(machine.path().join("pinfold.toml"), manifest).unwrap();
        let bin = machine.path().join("bin");
        fs_err::create_dir(&bin).unwrap();
        let note = machine.path().join("npm-was-started");
        fs_err::write(bin.join("npm"), format!("#!/bin/sh\necho >{}\nexit 1\n", note.display())).unwrap();
        fs_err::set_permissions(bin.join("npm"), PermissionsExt::from_mode(0o755)).unwrap();
        machine
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    fn pinfold(&self, home: &str, env: &[(&str, &str)], args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_pinfold"))
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("PINFOLD_HOME", self.path().join(home))
            .env("PATH", self.path().join("bin"))
            .envs(env.iter().copied())
            .output()
            .unwrap()
    }

    fn npm_was_started(&self) -> bool {
        self.path().join("npm-was-started").exists()
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
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
