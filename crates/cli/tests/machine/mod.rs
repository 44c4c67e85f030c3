//! A machine for tests that start sandboxes through the program: an image of busybox, a project, and a workspace beside it.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

const BUSYBOX: &str = "/bin/busybox";

/// A project with an image of busybox, and a workspace beside it.
pub(crate) struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    /// `None`, with a word, where the machine misses what is needed. In CI nothing may be missing.
    pub(crate) fn new() -> Option<Self> {
        if !Path::new(BUSYBOX).exists() {
            println!("skip: {BUSYBOX} is not installed");
            assert!(std::env::var_os("CI").is_none(), "nothing is skipped in CI");
            return None;
        }
        let machine = Self { dir: tempfile::tempdir().unwrap() };
        for name in ["project", "w", "me"] {
            fs_err::create_dir(machine.path(name)).unwrap();
        }
        fs_err::copy(BUSYBOX, machine.path("project/busybox")).unwrap();
        fs_err::write(
            machine.path("project/pinfold.toml"),
            "name = 'box'\n[user]\nname = 'u'\nuid = 1000\ngid = 1000\nhome = '/home/u'\n\
             [[file]]\npath = '/bin/busybox'\nsource = 'busybox'\nmode = '0755'\n",
        )
        .unwrap();
        let built = machine.pinfold(&["build", "--offline"]).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        Some(machine)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        fs_err::canonicalize(self.dir.path()).unwrap().join(name)
    }

    pub(crate) fn pinfold(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pinfold"));
        command
            .args(args)
            .current_dir(self.path("project"))
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.path("me"))
            .env("PINFOLD_HOME", self.path("home"))
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// A script of the shell on the workspace, without a network unless `verb` says so.
    pub(crate) fn script(&self, verb: &[&str], script: &str) -> Command {
        let workspace = self.path("w");
        let network: &[&str] = if verb.contains(&"--network") { &[] } else { &["--network", "none"] };
        let place = ["--offline", "--unprotect", ".git", "-w", workspace.to_str().unwrap()];
        let command = ["--", "/bin/busybox", "sh", "-c", script];
        self.pinfold(&[verb, network, &place, &command].concat())
    }
}
