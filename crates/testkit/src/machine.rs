//! A machine for tests that run the program: a user's home, projects whose image is busybox, and a workspace beside them.
//!
//! ```text
//!   me/       the user's home          project/   `pinfold.toml`, busybox
//!   home/     `PINFOLD_HOME`           w/         the workspace of `script`
//! ```
//!
//! **Guarantees**: the program sees none of the caller's variables; without the network nothing is missing. Where busybox is not
//! installed the test is skipped with a word, and fails in CI.
#![expect(clippy::disallowed_methods, reason = "it runs the program that is tested")]
#![expect(clippy::print_stdout, reason = "a skipped test must say so")]
#![expect(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

const BUSYBOX: &str = "/bin/busybox";

/// The machine, removed with this.
#[derive(Debug)]
pub struct Machine {
    program: PathBuf,
    dir: tempfile::TempDir,
}

impl Machine {
    /// With the home alone. `program` is the one that is tested (`CARGO_BIN_EXE_…`).
    pub fn empty(program: &str) -> Option<Self> {
        if !Path::new(BUSYBOX).exists() {
            println!("skip: {BUSYBOX} is not installed");
            assert!(std::env::var_os("CI").is_none(), "nothing is skipped in CI");
            return None;
        }
        let machine = Self { program: program.into(), dir: tempfile::tempdir().unwrap() };
        fs_err::create_dir(machine.path("me")).unwrap();
        Some(machine)
    }

    /// With an empty workspace, and a project that was built.
    pub fn new(program: &str) -> Option<Self> {
        let machine = Self::empty(program)?;
        fs_err::create_dir(machine.path("w")).unwrap();
        machine.project("project", "");
        let built = machine.pinfold(&["build", "--offline"]).output().unwrap();
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        Some(machine)
    }

    /// The real path of something on it.
    pub fn path(&self, name: &str) -> PathBuf {
        fs_err::canonicalize(self.dir.path()).unwrap().join(name)
    }

    /// Writes the project in `folder`: an image called `box`, with `more` in its manifest.
    pub fn project(&self, folder: &str, more: &str) {
        let folder = self.path(folder);
        fs_err::create_dir_all(&folder).unwrap();
        fs_err::copy(BUSYBOX, folder.join("busybox")).unwrap();
        let manifest = "name = 'box'\n[user]\nname = 'u'\nuid = 1000\ngid = 1000\nhome = '/home/u'\n\
                        [[file]]\npath = '/bin/busybox'\nsource = 'busybox'\nmode = '0755'\n";
        fs_err::write(folder.join("pinfold.toml"), format!("{manifest}{more}")).unwrap();
    }

    /// The program, in the folder `project`.
    pub fn pinfold(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(args)
            .current_dir(self.path("project"))
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.path("me"))
            .env("PINFOLD_HOME", self.path("home"))
            .stdin(Stdio::null());
        command
    }

    /// A script of the shell in a sandbox on the workspace: `verb` is `run` or `open` with its flags.
    pub fn script(&self, verb: &[&str], script: &str) -> Command {
        let workspace = self.path("w");
        let network: &[&str] = if verb.contains(&"--network") { &[] } else { &["--network", "none"] };
        let place = ["--offline", "-w", workspace.to_str().unwrap()];
        let command = ["--", BUSYBOX, "sh", "-c", script];
        self.pinfold(&[verb, network, &place, &command].concat())
    }
}
