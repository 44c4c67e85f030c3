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
/// The exit code of a verb that fails: `run` has one for everything that is not its program's.
fn own(line: &str, code: i32) -> i32 {
    if line.starts_with("run ") { 125 } else { code }
}

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

    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pinfold"));
        command
            .args(words.split_whitespace())
            .current_dir(self.project())
            .env_clear()
            .env("HOME", self.dir.path().join("me"))
            .env("PINFOLD_HOME", self.dir.path().join("home"))
            .env("PATH", self.dir.path().join("bin"))
            .env("SECRET", "canary");
        command
    }

    fn pinfold(&self, words: &str) -> (i32, String) {
        let output = self.command(words).output().unwrap();
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
            assert_eq!(code, own(verb, 5), "{verb}: {told}");
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
        assert_eq!(machine.pinfold(verb).0, own(verb, 5), "{verb}");
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

/// After the user's word a variable is sent, and told by its name all the same.
#[test]
fn no_error_shows_what_a_variable_holds() {
    let listening = Server::start(|_| Response::status(404));
    for (registry, told) in [
        (listening.url("/${SECRET}/"), "/${SECRET}/"),
        ("gopher://${SECRET}/".to_owned(), "`gopher://${SECRET}/` is not a usable URL"),
        ("${SECRET}".to_owned(), "`${SECRET}` is not a usable URL"),
    ] {
        let machine = Machine::new();
        machine.write(".npmrc", &format!("registry={registry}\n"));
        machine.write("pinfold.toml", &format!("{EMPTY}[npm]\npackages = ['tool']\n"));
        machine.agree();
        for verb in ["lock", "lock --json", "build"] {
            let output = machine.command(verb).output().unwrap();
            let all = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
            assert!(!output.status.success() && all.contains(told), "{registry} {verb}: {all}");
            assert!(!all.contains("canary"), "{registry} {verb}: {all}");
        }
    }
    assert!(listening.requests().iter().any(|request| request.path.contains("canary")), "it was sent");
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
        assert_eq!(code, own(verb, 5), "{verb}: {told}");
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
            assert_eq!(machine.pinfold(run).0, 125);
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

#[test]
fn what_is_open_is_told_apart_from_what_is_agreed_to_and_what_changed_beside_what_it_was() {
    let machine = Machine::new();
    let manifest = |hosts: &str| {
        machine.write(
            "pinfold.toml",
            &format!("{EMPTY}[debian]\nsuite = 'sid'\nkeyring = 'keys'\n[run]\nallow = [{hosts}]\n"),
        );
    };
    let shown = || {
        let output = machine.command("policy show --quiet").output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    machine.write("keys", "one");
    manifest("'one.example'");
    let all = shown();
    assert!(all.lines().count() == 2 && all.lines().all(|line| line.starts_with("open:   ")), "{all}");
    machine.agree();
    let all = shown();
    assert!(all.lines().count() == 2 && all.lines().all(|line| line.starts_with("agreed: ")), "{all}");
    let (_, told) = machine.pinfold("policy show");
    assert!(told.contains("all of it is agreed to"), "{told}");

    machine.write("keys", "two");
    manifest("'one.example', 'two.example'");
    // printf one | sha256sum, printf two | sha256sum
    let keys =
        "trust the archive keys in `keys` (SHA-256 3fc4ccfe7458); you agreed to: (SHA-256 7692c3ad3540)";
    assert_eq!(
        shown().lines().collect::<Vec<_>>(),
        [format!("open:   {keys}").as_str(), "open:   reach `two.example`", "agreed: reach `one.example`"]
    );
    let (code, told) = machine.pinfold("build");
    assert!(code == 5 && told.contains(keys), "{told}");
}

/// What npm asks where nobody says anything is not made an ask by writing it out. npm says which it is.
#[test]
fn the_registry_that_npm_has_built_in_is_no_ask() {
    let machine = Machine::new();
    let nothing = machine.dir.path().join("nothing");
    let mut npm = Command::new("npm");
    npm.args(["config", "get", "registry"]).current_dir(machine.dir.path()).env("HOME", machine.dir.path());
    npm.env("npm_config_userconfig", &nothing).env("npm_config_globalconfig", nothing.with_extension("too"));
    npm.env_remove("npm_config_registry").env_remove("NPM_CONFIG_REGISTRY");
    let Ok(output) = npm.output() else {
        assert!(std::env::var_os("CI").is_none(), "npm is needed");
        return;
    };
    let known = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let count = |npmrc: &str, manifest: &str| {
        machine.write(".npmrc", npmrc);
        machine.write("pinfold.toml", &format!("{EMPTY}{manifest}"));
        let output = machine.command("policy show --quiet").output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap().lines().count()
    };
    for (registry, asks) in [(known.as_str(), 0), (known.trim_end_matches('/'), 0), ("https://r.example/", 1)]
    {
        assert_eq!(count("", &format!("[npm]\nregistry = '{registry}'\n")), asks, "{registry}");
        assert_eq!(count(&format!("registry={registry}\n"), ""), asks, "{registry}");
        assert_eq!(count(&format!("@s:registry={registry}\n"), ""), asks, "{registry}");
    }
    assert_eq!(count(&format!("registry={known}${{SECRET}}\n"), ""), 1, "with a variable it is another");
    // Where the machine has a registry of its own, npm's is another.
    fs_err::write(machine.dir.path().join("me/.npmrc"), "registry=https://r.example/\n").unwrap();
    assert_eq!(count(&format!("registry={known}\n"), ""), 1);
    assert_eq!(count("registry=https://r.example/\n", ""), 0);
}

/// A person at a terminal.
struct Person {
    master: std::os::fd::OwnedFd,
    child: std::process::Child,
    seen: String,
}

impl Person {
    /// Starts the command; `typed` is what was typed before.
    fn start(machine: &Machine, words: &str, typed: &str) -> Self {
        use rustix::pty::OpenptFlags;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = rustix::pty::openpt(flags).unwrap();
        rustix::pty::grantpt(&master).unwrap();
        rustix::pty::unlockpt(&master).unwrap();
        let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).unwrap();
        rustix::io::write(&master, typed.as_bytes()).unwrap();
        let child = machine
            .command(words)
            .stdin(slave.try_clone().unwrap())
            .stdout(slave.try_clone().unwrap())
            .stderr(slave)
            .spawn()
            .unwrap();
        Self { master, child, seen: String::new() }
    }

    /// Reads until the question, or to the end, which is EIO here.
    fn read(&mut self, to_the_question: bool) {
        let wait = rustix::time::Timespec { tv_sec: 60, tv_nsec: 0 };
        let mut buffer = [0; 4096];
        while !(to_the_question && self.seen.contains("[y/N] ")) {
            let mut poll = [rustix::event::PollFd::new(&self.master, rustix::event::PollFlags::IN)];
            assert!(rustix::event::poll(&mut poll, Some(&wait)).unwrap() > 0, "nothing comes: {}", self.seen);
            match rustix::io::read(&self.master, &mut buffer) {
                Ok(count @ 1..) => self.seen.push_str(&String::from_utf8_lossy(&buffer[..count])),
                _ => break,
            }
        }
        assert!(!to_the_question || self.seen.contains("[y/N] "), "{}", self.seen);
    }

    fn answer(mut self, answer: &str) -> (i32, String) {
        rustix::io::write(&self.master, answer.as_bytes()).unwrap();
        self.read(false);
        (self.child.wait().unwrap().code().unwrap(), self.seen)
    }
}

#[test]
fn at_a_terminal_a_yes_agrees_to_what_was_shown_and_nothing_else_does() {
    let open = |machine: &Machine| machine.pinfold("policy check one.example").0 == 5;
    let with = |hosts: &str| format!("{EMPTY}[run]\nallow = [{hosts}]\n");
    for (typed, answer, agrees) in [
        ("", "y\n", true),
        ("", "YES\n", true),
        ("", "n\n", false),
        ("", "\n", false),
        ("", "yes please\n", false),
        // The end of input.
        ("", "\x04", false),
        // What was typed before the question is no answer to it.
        ("y\n", "\n", false),
        ("y\ny\n", "\x04", false),
        ("n\n", "y\n", true),
    ] {
        let machine = Machine::new();
        machine.write("pinfold.toml", &with("'one.example'"));
        let mut person = Person::start(&machine, "policy accept", typed);
        person.read(true);
        let (asks, _) = person.seen.split_once("agree to all of this?").unwrap();
        assert!(asks.contains("open:   reach `one.example`"), "shown before the question: {asks}");
        let (code, seen) = person.answer(answer);
        assert_eq!(code, if agrees { 0 } else { 5 }, "{typed:?} {answer:?}: {seen}");
        assert!(seen.contains(if agrees { "agreed" } else { "nothing was agreed to" }), "{seen}");
        assert_eq!(open(&machine), !agrees, "{typed:?} {answer:?}");
    }
    // What an agent puts there while the user reads is not agreed to.
    let machine = Machine::new();
    machine.write("pinfold.toml", &with("'one.example'"));
    let mut person = Person::start(&machine, "policy accept", "");
    person.read(true);
    machine.write("pinfold.toml", &with("'one.example', 'two.example'"));
    assert_eq!(person.answer("y\n").0, 0);
    assert!(open(&machine));
    machine.write("pinfold.toml", &with("'one.example'"));
    assert!(!open(&machine), "but what was shown is");
    // Where nothing is open nobody is asked.
    let mut person = Person::start(&machine, "policy accept", "");
    person.read(false);
    assert!(person.child.wait().unwrap().success() && !person.seen.contains("[y/N]"), "{}", person.seen);
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
