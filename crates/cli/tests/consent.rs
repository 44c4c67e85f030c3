//! What a project asks for, tried from outside: every verb refuses until the user has agreed, and does nothing before. These
//! are rows on the host's side (`docs/isolation.md`): each has its control, the same project after the user's word.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "these tests run the program, and may fail"
)]

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use pinfold_testkit::http::Response;
use pinfold_testkit::http::Server;
use pinfold_testkit::npm::NpmRegistry;
use pinfold_testkit::npm::Package;

/// Every verb that makes the host fetch, read or run something for a project.
const VERBS: [&str; 6] =
    ["lock", "lock --check", "fetch", "vendor kept", "build", "run --workspace . -- true"];

/// A user with a project, a secret beside it, and a canary in the environment.
struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["project", "me", "bin"] {
            fs_err::create_dir(dir.path().join(folder)).unwrap();
        }
        fs_err::write(dir.path().join("secret"), "canary").unwrap();
        Self { dir }
    }

    fn project(&self) -> std::path::PathBuf {
        self.dir.path().join("project")
    }

    fn write(&self, name: &str, text: &str) {
        fs_err::write(self.project().join(name), text).unwrap();
    }

    fn pinfold(&self, words: &str) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_pinfold"))
            .args(words.split_whitespace())
            .current_dir(self.project())
            .env_clear()
            .env("HOME", self.dir.path().join("me"))
            .env("PINFOLD_HOME", self.dir.path().join("home"))
            .env("PATH", self.dir.path().join("bin"))
            .env("SECRET", "canary")
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// The command that a refusal's hint names.
    fn hinted(told: &str) -> &str {
        let (_, command) = told.split_once("say `pinfold ").unwrap_or_else(|| panic!("{told}"));
        command.split('`').next().unwrap()
    }

    /// The digest of what is asked for, as `policy show` prints it.
    fn digest(&self) -> String {
        let (code, told) = self.pinfold("policy show");
        assert_eq!(code, 0, "{told}");
        told.split_once("--digest ").unwrap().1.split('`').next().unwrap().to_owned()
    }

    /// The user agrees to what was just shown.
    fn agree(&self) {
        let (code, told) = self.pinfold(&format!("policy accept --digest {}", self.digest()));
        assert_eq!(code, 0, "{told}");
    }

    /// Each verb is refused, naming what is asked; the hint's command agrees, and then none is refused for it.
    fn refused_until_agreed(&self, asked: &str) {
        let mut hint = String::new();
        for verb in VERBS {
            let (code, told) = self.pinfold(verb);
            assert_eq!(code, 5, "{verb}: {told}");
            assert!(told.contains(asked), "{verb} names `{asked}`: {told}");
            assert!(!told.contains("canary"), "{told}");
            Self::hinted(&told).clone_into(&mut hint);
        }
        assert!(!self.project().join("pinfold.lock").exists() && !self.project().join("kept").exists());
        let (code, told) = self.pinfold(&hint);
        assert_eq!(code, 0, "{hint}: {told}");
        for verb in VERBS {
            let (word, rest) = verb.split_once(' ').unwrap_or((verb, ""));
            let (_, told) = self.pinfold(&format!("{word} --offline {rest}"));
            assert!(!told.contains("needs your word"), "{verb} after `{hint}`: {told}");
        }
    }
}

const EMPTY: &str = "name = 'x'\nplatforms = ['linux/amd64']\n";

#[test]
fn an_ordinary_project_is_asked_nothing() {
    let machine = Machine::new();
    machine.write("own", "own");
    symlink("own", machine.project().join("link")).unwrap();
    machine.write(".npmrc", "save-exact=true\n");
    machine.write("pinfold.toml", &format!("{EMPTY}[[file]]\npath = '/a'\nsource = 'link'\n"));
    for verb in ["lock", "lock --check", "fetch", "vendor kept", "build", "policy show"] {
        let (code, told) = machine.pinfold(verb);
        assert_eq!(code, 0, "{verb}: {told}");
    }
}

#[test]
fn each_ask_has_a_line_of_its_own_and_what_it_names_has_none() {
    let machine = Machine::new();
    fs_err::write(machine.dir.path().join("ho\nst"), "").unwrap();
    let file = |path: &str, source: &str| format!("[[file]]\npath = '{path}'\nsource = \"{source}\"\n");
    let files = file("/a", "/etc/hostname") + &file("/b", "../ho\\nst");
    machine.write("pinfold.toml", &format!("{EMPTY}{files}"));
    let (code, told) = machine.pinfold("build");
    let asks: Vec<&str> = told.lines().filter(|line| line.starts_with("  put ")).collect();
    assert!(code == 5 && asks.len() == 2, "{told}");
    assert!(told.contains("  put `/etc/hostname` into") && told.contains("/ho\\nst` into"), "{told}");
}

#[test]
fn what_makes_the_host_fetch_or_read_elsewhere_is_refused_in_every_verb() {
    let outside = "[[file]]\npath = '/stolen'\nsource = ";
    let binary = |url: &str| {
        format!(
            "[[binary]]\nname = 'b'\nversion = '1'\nplatforms = ['linux/amd64']\nmembers = {{ '.' = '/b' }}\nurl = {{ 'linux/amd64' = '{url}' }}\n"
        )
    };
    for (manifest, npmrc, asked) in [
        (format!("{outside}'../secret'\n"), "", "/secret` into the image as `/stolen`"),
        (format!("{outside}'innocent'\n"), "", "/secret` into the image as `/stolen`"),
        (format!("{outside}'/etc/hostname'\n"), "", "put `/etc/hostname` into the image"),
        (binary("file:///etc/hostname"), "", "a file of this machine"),
        (binary("http://127.0.0.1:9/x"), "", "a loopback address"),
        (binary("http://0x7f.1:9/x"), "", "a loopback address"),
        (binary("http://2130706433:9/x"), "", "a loopback address"),
        (binary("http://[::1]:9/x"), "", "a loopback address"),
        (binary("http://localhost.:9/x"), "", "a loopback address"),
        (binary("http://169.254.169.254/x"), "", "a cloud metadata address"),
        (binary("http://good.example@10.0.0.1/x"), "", "a private address"),
        ("[npm]\nregistry = 'http://127.0.0.1:9/'\n".into(), "", "npm packages; a loopback address"),
        ("[debian]\nsuite = 'sid'\nmirror = 'file:/srv'\n".into(), "", "a file of this machine"),
        ("[debian]\nsuite = 'sid'\nkeyring = 'keys'\n".into(), "", "trust the archive keys in `keys`"),
        ("[debian]\nsuite = 'sid'\ncheck-valid-until = false\n".into(), "", "`Valid-Until`"),
        (String::new(), "registry=http://127.0.0.1:9/${SECRET}/\n", "send your variable `SECRET` there"),
        (String::new(), "@s:registry=http://127.0.0.1:9/\n", "npm packages of @s; a loopback address"),
        (String::new(), "//r.example/:_authToken=${SECRET}\n", "send your variable `SECRET` there"),
        ("agents = ['../outside.toml']\n".into(), "", "outside.toml` as the recipe outside"),
    ] {
        let machine = Machine::new();
        let recipe = "name = 'outside'\ntitle = 'O'\ncommand = 'o'\n[npm]\npackage = 'o'\nversion = '1'\n";
        fs_err::write(machine.dir.path().join("outside.toml"), recipe).unwrap();
        machine.write("keys", "keys");
        symlink("../secret", machine.project().join("innocent")).unwrap();
        if !npmrc.is_empty() {
            machine.write(".npmrc", npmrc);
        }
        machine.write("pinfold.toml", &format!("{EMPTY}{manifest}"));
        machine.refused_until_agreed(asked);
    }
}

#[test]
fn no_variable_leaves_before_the_users_word() {
    let registry = NpmRegistry::new().package(Package::new("tool", "1.0.0")).start();
    let listening = Server::start(|_| Response::status(404));
    let machine = Machine::new();
    machine.write(".npmrc", &format!("registry={}/\n", listening.url("/${SECRET}")));
    machine.write("pinfold.toml", &format!("{EMPTY}[npm]\npackages = ['tool']\n"));
    for verb in VERBS {
        assert_eq!(machine.pinfold(verb).0, 5, "{verb}");
    }
    assert_eq!(listening.requests().len(), 0);
    // It can fail: what would have been sent is sent once the user agrees.
    machine.agree();
    machine.pinfold("lock");
    assert!(listening.requests().iter().any(|request| request.path.contains("canary")));
    // A registry of the machine's own is asked about nowhere.
    fs_err::remove_file(machine.project().join(".npmrc")).unwrap();
    fs_err::write(machine.dir.path().join("me/.npmrc"), format!("registry={}\n", registry.url)).unwrap();
    let (code, told) = machine.pinfold("lock");
    assert_eq!(code, 0, "{told}");
}

#[test]
fn an_address_that_somebody_wrote_into_the_lock_is_asked_for() {
    let machine = Machine::new();
    machine.write("pinfold.toml", EMPTY);
    assert_eq!(machine.pinfold("lock").0, 0);
    let lock = fs_err::read_to_string(machine.project().join("pinfold.lock")).unwrap();
    let sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let entry = format!(
        "\n[binaries]\n\"linux/amd64\" = [ {{ name = \"b\", version = \"1\", url = \"http://127.0.0.1:9/x\", sha256 = \"sha256:{sha256}\", size = 0 }} ]\n"
    );
    machine.write("pinfold.lock", &format!("{lock}{entry}"));
    for verb in VERBS {
        let (code, told) = machine.pinfold(verb);
        assert_eq!(code, 5, "{verb}: {told}");
        assert!(told.contains("http://127.0.0.1:9/x"), "{verb}: {told}");
    }
}

#[test]
fn the_hint_names_the_manifest_or_the_preset_that_was_meant() {
    let machine = Machine::new();
    machine.write("my other.toml", &format!("{EMPTY}[[file]]\npath = '/a'\nsource = '../secret'\n"));
    fs_err::rename(machine.project().join("my other.toml"), machine.project().join("other.toml")).unwrap();
    let (code, told) = machine.pinfold("build -f other.toml");
    let hint = Machine::hinted(&told);
    assert!(code == 5 && hint.starts_with("policy accept --file other.toml --digest sha256:"), "{told}");
    assert_eq!(machine.pinfold(hint).0, 0);
    assert_eq!(machine.pinfold("build -f other.toml").0, 0);

    machine.write(".npmrc", "registry=http://127.0.0.1:9/\n");
    let (code, told) = machine.pinfold("lock --preset sealed --agent opencode");
    let hint = Machine::hinted(&told);
    let words = "policy accept --preset sealed --agent opencode --digest sha256:";
    assert!(code == 5 && hint.starts_with(words), "{told}");
    assert_eq!(machine.pinfold(hint).0, 0);
    assert_ne!(machine.pinfold("lock --preset sealed --agent opencode --offline").0, 5);
}

#[test]
fn a_change_of_what_was_agreed_to_is_a_new_wish() {
    let machine = Machine::new();
    let manifest = |more: &str| format!("{EMPTY}[[file]]\npath = '/a'\nsource = '../secret'\n{more}");
    machine.write("pinfold.toml", &manifest(""));
    machine.agree();
    assert_eq!(machine.pinfold("build").0, 0);
    for more in ["mode = '0666'\n", "owner = '7:7'\n"] {
        machine.write("pinfold.toml", &manifest(more));
        assert_eq!(machine.pinfold("build").0, 5, "{more}");
    }
}

/// An agent may exchange the manifest between the question and the answer.
#[test]
fn what_was_exchanged_after_it_was_shown_is_not_agreed_to() {
    let shown = format!("{EMPTY}[run]\nallow = ['shown.example']\n");
    let other = format!("{EMPTY}[[file]]\npath = '/a'\nsource = '../secret'\n");
    let run = "run --offline --workspace . -- true";
    for exchanged in [
        other.clone(),
        format!("{EMPTY}[run]\nallow = ['other.example']\n"),
        format!("{EMPTY}[run]\nallow = ['shown.example', 'other.example']\n"),
        format!("{EMPTY}[run]\nallow = ['shown.example']\n[[file]]\npath = '/a'\nsource = '../secret'\n"),
    ] {
        let machine = Machine::new();
        machine.write("pinfold.toml", &shown);
        let (_, told) = machine.pinfold(run);
        for accept in
            [format!("policy accept --digest {}", machine.digest()), Machine::hinted(&told).to_owned()]
        {
            machine.write("pinfold.toml", &exchanged);
            let (code, told) = machine.pinfold(&accept);
            assert!(code == 5 && told.contains("it is not what was shown"), "{told}");
            assert!(told.contains("hint: ") && told.contains("`pinfold policy show`"), "{told}");
            assert_eq!(machine.pinfold(run).0, 5);
            // Control: the same word counts where what was shown lies there.
            machine.write("pinfold.toml", &shown);
            assert_eq!(machine.pinfold(&accept).0, 0);
            fs_err::remove_file(consent(&machine)).unwrap();
        }
    }
    // Nobody can be asked here, so a word without a digest is none; where nothing is new it needs none.
    let machine = Machine::new();
    machine.write("pinfold.toml", &other);
    let (code, told) = machine.pinfold("policy accept");
    assert!(code == 5 && Machine::hinted(&told).contains(" --digest sha256:"), "{told}");
    machine.agree();
    assert_eq!(machine.pinfold("policy accept").0, 0);
}

/// The one agreement that is kept.
fn consent(machine: &Machine) -> std::path::PathBuf {
    let folder = machine.dir.path().join("home/data/consent");
    fs_err::read_dir(folder).unwrap().next().unwrap().unwrap().path()
}

/// A named pipe would wait for its writer, a device could do anything.
#[test]
fn special_files_are_refused_and_block_nobody() {
    let dir = Path::new(".");
    for name in ["pinfold.toml", "pinfold.lock", ".npmrc", "own", "mine.toml"] {
        let machine = Machine::new();
        machine.write(
            "pinfold.toml",
            &format!("{EMPTY}agents = ['./mine.toml']\n[[file]]\npath = '/a'\nsource = 'own'\n"),
        );
        machine.write(
            "mine.toml",
            "name = 'm'\ntitle = 'M'\ncommand = 'm'\n[npm]\npackage = 'm'\nversion = '1'\n",
        );
        machine.write("own", "own");
        let path = machine.project().join(dir).join(name);
        let _ = fs_err::remove_file(&path);
        let status = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(status.success());
        // Nothing but the source is needed for it: the lock would ask a registry before.
        let verb = if name == "own" { "policy show" } else { "build --offline" };
        let (code, told) = machine.pinfold(verb);
        if name == "own" {
            assert_eq!(code, 0, "{told}");
        } else {
            assert!(matches!(code, 1 | 2), "{name}: {code} {told}");
            assert!(told.contains("a named pipe, not a regular file"), "{name}: {told}");
        }
    }
}
