//! Names that act on a terminal, through every verb that shows names: nothing of them but what is seen gets out. Offline; every
//! run has a home of its own.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "these tests run the program, and may fail"
)]

use std::ffi::OsStr;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use serde_json::json;

/// Clears the screen, begins a hint, turns the direction, draws in C1, and goes on in tags and marks.
const NAME: &str = "a\u{1b}[2J\nhint: b\r\u{202e}c\u{9b}1m\u{2028}\u{200b}\u{e0041}\u{fe0f}\u{ad}z";

/// What of it must be seen wherever it is shown: where it is cut in its middle, the beginning.
const SEEN: &str = "a\\x1b[2J\\nhint: b\\r\\u{202e}c";

struct Machine {
    dir: tempfile::TempDir,
}

impl Machine {
    /// Everything lies below a directory of that name.
    fn new() -> Self {
        let machine = Self { dir: tempfile::tempdir().unwrap() };
        fs_err::create_dir_all(machine.path()).unwrap();
        machine
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join(NAME)
    }

    fn path(&self) -> PathBuf {
        self.root().join("project")
    }

    fn write(&self, name: impl AsRef<Path>, text: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }

    /// Both outputs.
    fn pinfold(&self, args: &[&OsStr]) -> (String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_pinfold"))
            .args(args)
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.root().join("me"))
            .env("PINFOLD_HOME", self.root().join("home"))
            .env("npm_config_registry", "http://127.0.0.1:9/")
            .output()
            .unwrap();
        assert_ne!(output.status.code(), Some(101), "{output:?}");
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    fn line(&self, line: &str) -> (String, String) {
        self.pinfold(&line.split_whitespace().map(OsStr::new).collect::<Vec<_>>())
    }

    /// A verb that shows the name: it is seen, and does nothing else.
    fn shows(&self, args: &[&OsStr]) -> String {
        let (stdout, stderr) = self.pinfold(args);
        let both = stdout + &stderr;
        assert_eq!(acts(&both), None, "{args:?}: {both:?}");
        assert!(both.contains(SEEN), "{args:?} does not show it: {both:?}");
        assert!(!both.lines().any(|line| line.starts_with("hint: b")), "{args:?}: {both}");
        both
    }

    fn shows_line(&self, line: &str) -> String {
        self.shows(&line.split_whitespace().map(OsStr::new).collect::<Vec<_>>())
    }
}

/// The first character that does anything but being seen. By Unicode's tables, not by what the program takes them for.
fn acts(text: &str) -> Option<char> {
    text.chars().find(|&c| {
        c != '\n'
            && (c.is_control()
                || matches!(c,
                    '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                    | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0000}'..='\u{e0fff}'))
    })
}

/// The control: the name as it is would be found.
#[test]
fn the_name_itself_acts() {
    for c in NAME.chars().filter(|c| !c.is_ascii_graphic() && !" \n".contains(*c)) {
        assert_eq!(acts(&format!("x{c}y")), Some(c));
    }
    assert!(NAME.lines().any(|line| line.starts_with("hint: b")));
}

/// A string of TOML: those of JSON are.
fn toml(text: &str) -> String {
    Value::from(text).to_string()
}

#[test]
fn sandboxes() {
    let machine = Machine::new();
    let spec = json!({
        "name": "s", "rootfs": "/x", "args": [NAME], "cwd": "/", "home": { "target": "/h", "keep": "home" },
        "labels": { "agent": NAME, "workspace": NAME },
    });
    machine.write("../home/data/sandboxes/s/spec.json", spec.to_string());
    let table = machine.shows_line("ps");
    assert_eq!(table.lines().count(), 2, "{table}");
    let (text, _) = machine.line("ps --json");
    assert_eq!(acts(&text), None, "{text:?}");
    let value: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value[0]["labels"]["agent"], NAME, "exactly");
    for verb in ["attach", "logs", "stop", "rm"] {
        machine.shows(&[verb.as_ref(), NAME.as_ref()]);
    }
    let event = json!({ "host": NAME }).to_string();
    machine.write("../home/data/sandboxes/s/network.log", format!("{event}\n\u{1b}[2J{{cut"));
    let (text, _) = machine.line("logs s --network");
    assert_eq!(acts(&text), None, "{text:?}");
    assert_eq!(serde_json::from_str::<Value>(text.lines().next().unwrap()).unwrap()["host"], NAME);
}

#[test]
fn images() {
    let machine = Machine::new();
    let manifest = format!(
        "name = 'x'\n[[file]]\npath = '/f'\ncontent = 'x'\nmode = '0755'\n[image]\nentrypoint = ['/f']\ncmd = [{}]\n",
        toml(NAME)
    );
    machine.write("pinfold.toml", manifest);
    let (_, stderr) = machine.line("build --offline --output oci:out");
    assert!(machine.root().join("home/data/images").exists(), "{stderr}");
    machine.shows_line("inspect x");
    let (text, _) = machine.line("inspect x --json");
    assert_eq!(acts(&text), None, "{text:?}");
    assert!(text.contains("\\u202e"), "{text}");
    // A name in the index of a layout, and in one of our own.
    for index in ["out/index.json", "../home/data/images/index.json"] {
        let path = machine.path().join(index);
        let mut value: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
        value["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] = NAME.into();
        fs_err::write(path, value.to_string()).unwrap();
    }
    machine.shows_line("inspect oci:out:other");
    for line in ["images", "images --json", "inspect oci:out", "verify oci:out", "gc", "gc --json"] {
        let (stdout, stderr) = machine.line(line);
        assert_eq!(acts(&(stdout + &stderr)), None, "{line}");
    }
    for verb in ["inspect", "verify"] {
        machine.shows(&[verb.as_ref(), NAME.as_ref()]);
    }
    machine.shows(&["unpack".as_ref(), "oci:out".as_ref(), NAME.as_ref()]);
}

#[test]
fn projects() {
    let machine = Machine::new();
    for text in [
        format!("[run]\nmounts = [{}]", toml(&format!("/{NAME}:/x"))),
        format!("[run]\nallow = [{}]", toml(NAME)),
        format!("[run]\npass-env = [{}]", toml(NAME)),
        format!("[run.credentials]\nclaude-code = {}", toml(&format!("file:/{NAME}"))),
        format!("[[file]]\npath = '/p'\nsource = {}", toml(&format!("/{NAME}"))),
        format!("[npm]\nregistry = {}", toml(&format!("https://r.example/{NAME}"))),
        format!("{} = 1", toml(NAME)),
        format!("agents = [{}]", toml(NAME)),
        format!("[debian]\nsuite = {}", toml(NAME)),
        format!("[debian]\nsuite = 'x'\nmirror = 'https://d.example'\npackages = [{}]", toml(NAME)),
        // Not even TOML: the line is shown.
        format!("x = \"{}", NAME.replace('\n', " ")),
    ] {
        machine.write("pinfold.toml", format!("name = 'x'\n{text}\n"));
        for line in
            ["policy show", "policy show --json", "policy accept", "build --offline", "run --offline -- true"]
        {
            let (stdout, stderr) = machine.line(line);
            assert_eq!(acts(&(stdout.clone() + &stderr)), None, "{line} {text:?}: {stdout:?} {stderr:?}");
            let hint = stderr.lines().any(|line| line.starts_with("hint: b"));
            assert!(!hint, "{line} {text:?}: {stderr}");
        }
    }
    let lock = format!("version = 1\ncompat = 6\n{} = 1\n", toml(NAME));
    machine.write("pinfold.toml", "name = 'x'\n");
    machine.write("pinfold.lock", lock);
    let (_, stderr) = machine.line("build");
    assert_eq!(acts(&stderr), None, "{stderr:?}");
    assert!(stderr.contains("a\\x1b[2J, hint: b"), "{stderr}");
}

#[test]
fn what_was_typed() {
    let machine = Machine::new();
    machine.write("pinfold.toml", "name = 'x'\n");
    let name: OsString = NAME.into();
    for words in [
        vec![name.clone()],
        vec!["build".into(), "--preset".into(), name.clone()],
        vec!["build".into(), "--file".into(), name.clone()],
        vec!["build".into(), "--tag".into(), name.clone()],
        vec!["build".into(), "--platform".into(), name.clone()],
        vec!["images".into(), name.clone()],
        vec!["run".into(), name.clone()],
        vec!["run".into(), "--workspace".into(), name.clone(), "--".into(), "true".into()],
        vec!["run".into(), "--env".into(), name.clone(), "--".into(), "true".into()],
        vec!["man".into(), name.clone()],
        vec!["init".into(), name.clone()],
        vec!["init".into(), name.clone()],
    ] {
        let words: Vec<&OsStr> = words.iter().map(OsString::as_os_str).collect();
        let (stdout, stderr) = machine.pinfold(&words);
        let both = stdout + &stderr;
        assert_eq!(acts(&both), None, "{words:?}: {both:?}");
        assert!(!both.lines().any(|line| line.starts_with("hint: b")), "{words:?}: {both}");
        assert!(both.contains("\\u{202e}"), "{words:?}: {both:?}");
    }
    // Said without repeating it.
    let (stdout, _) = machine.pinfold(&["policy".as_ref(), "check".as_ref(), NAME.as_ref()]);
    assert_eq!(acts(&stdout), None, "{stdout:?}");
    let (_, stderr) = machine.pinfold(&["inspect".as_ref(), OsStr::from_bytes(b"\xff\x9b\x1b[2J")]);
    assert_eq!(acts(&stderr), None, "{stderr:?}");
}

#[test]
fn the_machine() {
    let machine = Machine::new();
    machine.shows_line("doctor --offline");
    machine.shows_line("build");
    machine.write("pinfold.toml", "name = 'x'\n");
    machine.line("lock --offline");
    let (_, stderr) = machine.pinfold(&["vendor".as_ref(), NAME.as_ref(), "--offline".as_ref()]);
    assert_eq!(acts(&stderr), None);
    assert!(
        stderr.contains("--vendor $'a\\033[2J\\012hint: b\\015"),
        "what is to be pasted is quoted: {stderr}"
    );
    let (_, stderr) = machine.line("lock --offline --verbose --verbose --verbose");
    assert_eq!(acts(&stderr), None, "traces");
}
