//! Keys through the program: where one may come from, what the user agrees to, and what is run for it.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "these tests run the program, say what they skip, and may fail"
)]

use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc;

const KEY: &str = "sk-canary-7f3a9c51d2e8";

/// A caller with a project that agents work in, and folders of their own.
/// The exit code of a verb that fails: `run` has one for everything that is not its program's.
fn own(line: &str, code: i32) -> i32 {
    if line.starts_with("run ") { 125 } else { code }
}

struct Machine {
    dir: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

impl Machine {
    fn new() -> Self {
        let machine = Self { dir: tempfile::tempdir().unwrap(), variables: Vec::new() };
        for folder in ["me/project", "me/own", "me/other", "me/loose"] {
            fs_err::create_dir_all(machine.path(folder)).unwrap();
            machine.chmod(folder, 0o755);
        }
        machine.chmod("me", 0o755);
        for folder in ["me/project", "me/own", "me/other", "me/loose"] {
            machine.write(&format!("{folder}/getkey.sh"), &machine.script(KEY), 0o755);
            machine.write(&format!("{folder}/key"), KEY, 0o600);
            machine.write(&format!("{folder}/login.json"), &format!("{{\"a\":\"{KEY}\"}}"), 0o600);
        }
        machine.write("me/other/pinfold.toml", "name = 'other'\n", 0o644);
        machine.chmod("me/loose", 0o777);
        machine
    }

    /// A program that leaves a trace of being run.
    fn script(&self, key: &str) -> String {
        format!("#!/bin/sh\necho x >> {}\necho {key}\n", self.path("ran").display())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str, mode: u32) {
        fs_err::write(self.path(name), text).unwrap();
        self.chmod(name, mode);
    }

    fn chmod(&self, name: &str, mode: u32) {
        fs_err::set_permissions(self.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// How often a key's program was run.
    fn runs(&self) -> usize {
        fs_err::read_to_string(self.path("ran")).map_or(0, |text| text.lines().count())
    }

    /// Exit code, stdout and stderr; `@` is the caller's home.
    fn outcome(&self, line: &str) -> (i32, String, String) {
        let line = line.replace('@', self.path("me").to_str().unwrap());
        let output = Command::new(env!("CARGO_BIN_EXE_pinfold"))
            .args(line.split_whitespace())
            .current_dir(self.path("me/project"))
            .env_clear()
            .env("HOME", self.path("me"))
            .env("PATH", format!("bin::{}:/usr/bin:/bin", self.path("me/project").display()))
            .env("PINFOLD_HOME", self.path("home"))
            .env("npm_config_registry", "http://127.0.0.1:9/")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .output()
            .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// The user agrees to what `policy show` shows.
    fn agree(&self) {
        let (_, _, told) = self.outcome("policy show");
        let digest = told.split_once("--digest ").unwrap().1.split('`').next().unwrap();
        let (code, _, told) = self.outcome(&format!("policy accept --digest {digest}"));
        assert_eq!(code, 0, "{told}");
    }

    fn manifest(&self, source: &str) {
        let source = source.replace('@', self.path("me").to_str().unwrap());
        let text =
            format!("name = 'x'\nagents = ['claude-code']\n[run.credentials]\nclaude-code = '{source}'\n");
        self.write("me/project/pinfold.toml", &text, 0o644);
    }
}

/// Sources that are refused wherever they are named, and why.
const REFUSED: [(&str, &str); 19] = [
    ("command:./getkey.sh", "may write to the"),
    ("command:@/project/getkey.sh", "may write to the"),
    ("command:~/project/getkey.sh", "may write to the"),
    ("command:getkey.sh", "may write to the"),
    ("command:sh getkey.sh", "may write to the"),
    ("command:sh ./getkey.sh", "may write to the"),
    ("command:env sh ./getkey.sh", "may write to the"),
    ("command:sh -c @/project/getkey.sh", "may write to the"),
    ("command:cat --show-all ./key", "may write to the"),
    ("command:@/link", "may write to the"),
    ("file:@/project/key", "may write to the"),
    ("file:~/project/key", "may write to the"),
    ("file:@/link-to-key", "may write to the"),
    ("json:@/project/login.json#/a", "may write to the"),
    ("command:@/other/getkey.sh", "may write to the project"),
    ("file:@/other/key", "may write to the project"),
    ("command:@/loose/getkey.sh", "can be written to by others"),
    ("file:@/loose/key", "can be written to by others"),
    ("file:@/own/twin", "has a second name"),
];

fn trap(machine: &Machine) {
    symlink(machine.path("me/project/getkey.sh"), machine.path("me/link")).unwrap();
    symlink(machine.path("me/project/key"), machine.path("me/link-to-key")).unwrap();
    fs_err::hard_link(machine.path("me/project/key"), machine.path("me/own/twin")).unwrap();
}

#[test]
fn no_word_is_taken_for_a_key_that_an_agent_can_write() {
    let machine = Machine::new();
    trap(&machine);
    for (source, reason) in REFUSED {
        machine.manifest(source);
        for verb in [
            "policy show",
            "policy accept",
            "policy check x.example",
            "run --offline claude-code",
            "open --offline",
        ] {
            let (code, stdout, stderr) = machine.outcome(verb);
            assert_eq!((code, stdout.as_str()), (own(verb, 5), ""), "{source} {verb}: {stderr}");
            assert!(
                stderr.contains(reason) && stderr.contains("run.credentials"),
                "{source} {verb}: {stderr}"
            );
            assert!(!stderr.contains(KEY), "{stderr}");
        }
    }
    assert_eq!(machine.runs(), 0);
}

#[test]
fn the_users_own_word_for_a_key_is_held_to_the_same() {
    let machine = Machine::new();
    trap(&machine);
    fs_err::create_dir(machine.path("me/shared")).unwrap();
    machine.write("me/shared/key", KEY, 0o600);
    let sources = REFUSED.iter().map(|&(source, reason)| (source, reason, ""));
    let more = [
        ("file:@/shared/key", "may write to the mount", "-v @/shared:/s:rw"),
        ("file:@/shared/key", "can read the mount", "-v @/shared:/s"),
        ("file:@/own/key", "may write to the home", "--mode mirror"),
        ("command:cat @/own/key", "may write to the home", "--mode mirror"),
        ("command:true", "may write to the home", "--mode mirror"),
        ("command:true @/../home/data/x", "pinfold's own folder", ""),
    ];
    for (source, reason, rest) in sources.chain(more) {
        // Words of a command need quotes, which this test's lines do not have.
        let line = format!("run --offline {rest} --key \u{1} claude-code");
        let source = source.replace('@', machine.path("me").to_str().unwrap());
        let line = line.replace('@', machine.path("me").to_str().unwrap());
        let words = line.split_whitespace().map(|word| if word == "\u{1}" { source.as_str() } else { word });
        let output = Command::new(env!("CARGO_BIN_EXE_pinfold"))
            .args(words)
            .current_dir(machine.path("me/project"))
            .env_clear()
            .env("HOME", machine.path("me"))
            .env("PATH", format!("bin:{}:/usr/bin:/bin", machine.path("me/project").display()))
            .env("PINFOLD_HOME", machine.path("home"))
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(125), "{source} {rest}: {stderr}");
        assert!(stderr.contains(reason) && stderr.contains("(`--key`)"), "{source} {rest}: {stderr}");
    }
    assert_eq!(machine.runs(), 0);
}

#[test]
fn the_word_covers_the_program_and_every_file_of_it() {
    let machine = Machine::new();
    machine.write("me/own/settings", "a = b\n", 0o644);
    machine.manifest("command:@/own/getkey.sh --config=@/own/settings show");
    let (code, stdout, stderr) = machine.outcome("policy show --quiet");
    assert_eq!(code, 0, "{stderr}");
    for part in ["own/getkey.sh` (SHA-256 ", "own/settings` (SHA-256 ", "sh` (the system's)"] {
        assert!(stdout.contains(part), "{stdout}");
    }
    let check = "policy check x.example";
    assert_eq!(machine.outcome(check).0, 5);
    machine.agree();
    assert_eq!(machine.outcome(check).0, 1, "agreed: not allowed, but looked at");
    for name in ["me/own/getkey.sh", "me/own/settings"] {
        let before = fs_err::read_to_string(machine.path(name)).unwrap();
        fs_err::write(machine.path(name), format!("{before}# changed\n")).unwrap();
        let (code, _, stderr) = machine.outcome(check);
        assert_eq!(code, 5, "{name}: {stderr}");
        assert!(
            stderr.contains("; you agreed to: ") && stderr.matches("SHA-256").count() == 4,
            "old and new: {stderr}"
        );
        let (_, stdout, _) = machine.outcome("policy show --quiet");
        assert!(stdout.starts_with("open:   take the key of claude-code from "), "{stdout}");
        assert!(stdout.contains("; you agreed to: ") && stdout.matches("SHA-256").count() == 4, "{stdout}");
        let json = machine.outcome("policy show --json").1;
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        let ask = &json["asks"][0];
        assert_eq!((&json["open"], &ask["agreed"]), (&true.into(), &false.into()), "{json}");
        let (now, then) = (ask["text"].as_str().unwrap(), ask["before"].as_str().unwrap());
        assert!(now.matches("SHA-256").count() == 2 && then.matches("SHA-256").count() == 2, "{json}");
        assert!(!now.contains(then), "{json}");
        assert_eq!(machine.outcome("run --offline claude-code").0, 125);
        fs_err::write(machine.path(name), before).unwrap();
        assert_eq!(machine.outcome(check).0, 1);
    }
    // A secret is known by path and owner: a new one needs no new word.
    machine.manifest("file:@/own/key");
    machine.agree();
    machine.write("me/own/key.new", "sk-of-today", 0o600);
    fs_err::rename(machine.path("me/own/key.new"), machine.path("me/own/key")).unwrap();
    assert_eq!(machine.outcome(check).0, 1);
    assert_eq!(machine.runs(), 0, "asking is not running");
}

/// One that cannot be used hides neither the others nor what else is asked for.
#[test]
fn all_keys_that_cannot_be_used_are_told_with_all_that_is_asked_for() {
    let machine = Machine::new();
    let manifest = |keys: &str| {
        let text = format!(
            "name = 'x'\nagents = ['opencode']\n[run]\nallow = ['one.example', 'two.example']\n[run.credentials]\n{keys}"
        );
        machine.write("me/project/pinfold.toml", &text, 0o644);
    };
    manifest("'opencode/anthropic' = 'file:~/project/key'\n'opencode/openai' = 'file:~/loose/key'\n");
    for verb in ["policy show", "policy accept", "run --offline opencode", "open --offline opencode"] {
        let (code, _, told) = machine.outcome(verb);
        assert_eq!(code, own(verb, 5), "{verb}: {told}");
        for part in [
            "keys cannot be used:",
            "  opencode/anthropic (`run.credentials`): ",
            "  opencode/openai (`run.credentials`): ",
            "this needs your word besides:",
            "  reach `one.example`",
            "  reach `two.example`",
            "hint: ",
        ] {
            assert!(told.contains(part), "{verb} misses `{part}`: {told}");
        }
    }
    // The user's own beside the project's.
    let (code, _, told) = machine.outcome("run --offline --key google=file:~/other/key opencode");
    assert_eq!(code, 125, "{told}");
    for part in ["opencode/openai (`run.credentials`)", "opencode/google (`--key`)", "reach `one.example`"] {
        assert!(told.contains(part), "{told}");
    }
    // What is agreed to is not told again, and one alone needs no list.
    manifest("");
    machine.agree();
    manifest("'opencode/openai' = 'file:~/loose/key'\n");
    let (code, _, told) = machine.outcome("policy show");
    assert!(
        code == 5 && !told.contains("reach") && told.contains("error: the key for opencode/openai"),
        "{told}"
    );
    // Nor are keys that are missing told one at a time.
    manifest("'opencode/openai' = 'file:~/none'\n'opencode/google' = 'file:~/no'\n");
    let (code, _, told) = machine.outcome("run --offline opencode");
    assert!(code == 125 && told.contains("me/none`") && told.contains("me/no`"), "{told}");
    assert_eq!(told.matches("No such file").count(), 2, "each reason once: {told}");
}

#[test]
fn a_key_is_looked_at_before_anything_is_built() {
    let machine = Machine::new();
    machine.write("me/own/open", KEY, 0o644);
    machine.write("me/own/odd", "two words", 0o600);
    for (key, reason) in [
        ("file:@/own/none", "cannot read"),
        ("file:@/own/open", "may be read by others"),
        ("file:@/own/odd", "is not a key"),
        ("file:@/own/odd", "for claude-code (`--key`)"),
        ("file:/proc/self/environ", "is made by the kernel"),
        ("ANTHROPIC_AUTH_TOKEN=file:@/own/odd", "is not a key"),
        ("NOBODYS_TOKEN=file:@/own/key", "claude-code knows `claude-code`"),
        ("json:@/own/login.json#/b", "has no text at `/b`"),
        ("env:NOT_SET", "the variable `NOT_SET` is not set"),
        ("command:no-such-program", "there is no program `no-such-program` in the PATH"),
        ("openai=env:HOME", "claude-code knows `claude-code`"),
        ("file:./key", "`--key`: the path of the key's file is relative"),
        ("json:key#/a", "hint: write it from `/` or `~/` on"),
        ("=env:HOME", "`--key`: where the key comes from is not understood"),
        ("sk-canary", "`--key`: where the key comes from is not understood"),
        // Control: with a key there is nothing to say, and the build goes on to what is missing offline.
        ("file:@/own/key", "the network is switched off"),
        ("json:@/own/login.json#/a", "the network is switched off"),
        ("command:@/own/getkey.sh", "the network is switched off"),
    ] {
        let (found, _, stderr) = machine.outcome(&format!("run --offline --key {key} claude-code"));
        assert_eq!(found, 125, "{key}: {stderr}");
        assert!(stderr.contains(reason), "{key}: {stderr}");
        assert!(!stderr.contains("canary"), "{key}: {stderr}");
    }
    let (_, _, stderr) = machine.outcome("run --offline --env ANTHROPIC_API_KEY=canary claude-code");
    assert!(
        stderr.contains("the key in `ANTHROPIC_API_KEY` is visible inside") && !stderr.contains("canary"),
        "{stderr}"
    );
    let (_, _, stderr) = machine.outcome("run --offline --env OTHER=x claude-code");
    assert!(!stderr.contains("visible inside"), "{stderr}");
    let (code, _, stderr) = machine.outcome("run --offline --key env:HOME -- true");
    assert_eq!(code, 125, "{stderr}");
    let (code, _, stderr) = machine.outcome("run -e =sk-canary -- true");
    assert!(code == 125 && stderr.contains("`--env`") && !stderr.contains("canary"), "{stderr}");
    assert_eq!(machine.runs(), 0);
}

/// A provider on loopback: what it heard of one request.
fn provider() -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (send, heard) = mpsc::channel();
    std::thread::spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else { return };
        let mut text = Vec::new();
        let mut buffer = [0; 4096];
        while !text.windows(4).any(|end| end == b"\r\n\r\n") {
            match stream.read(&mut buffer) {
                Ok(count @ 1..) => text.extend_from_slice(&buffer[..count]),
                _ => break,
            }
        }
        let body = "{\"hello\":1}";
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n";
        let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
        let _ = send.send(String::from_utf8_lossy(&text).into_owned());
    });
    (port, heard)
}

/// From the command line to a provider: the program is run outside, and its answer is only seen there.
#[test]
fn a_key_that_a_program_prints_reaches_the_provider_and_not_the_sandbox() {
    let mut machine = Machine::new();
    if !Path::new("/usr/bin/busybox").exists() {
        assert!(std::env::var_os("CI").is_none(), "busybox-static is needed");
        eprintln!("skipped: `busybox` is not installed");
        return;
    }
    fs_err::create_dir(machine.path("me/tool")).unwrap();
    fs_err::copy("/usr/bin/busybox", machine.path("me/tool/busybox")).unwrap();
    let agent = "#!/usr/bin/busybox sh\n/usr/bin/busybox wget -Y off -q -O - --header 'Content-Type: application/json' \
                 --post-data '{}' $ANTHROPIC_BASE_URL/v1/messages\n/usr/bin/busybox env\n";
    let manifest = format!(
        "name = 'tool'\n[image.labels]\n'dev.pinfold.agent.claude-code' = '1'\n\
         [[file]]\npath = '/usr/bin/busybox'\nsource = 'busybox'\nmode = '0755'\n\
         [[file]]\npath = '/usr/bin/claude'\nmode = '0755'\ncontent = '''{agent}'''\n"
    );
    machine.write("me/tool/pinfold.toml", &manifest, 0o644);
    let (code, _, stderr) = machine.outcome("build --file ../tool/pinfold.toml");
    assert_eq!(code, 0, "{stderr}");
    let (port, heard) = provider();
    machine.variables.push(("ANTHROPIC_BASE_URL", format!("http://127.0.0.1:{port}")));
    let (code, stdout, stderr) =
        machine.outcome("run --image tool --key command:@/own/getkey.sh claude-code");
    assert_eq!(code, 0, "{stdout} {stderr}");
    let heard = heard.recv_timeout(std::time::Duration::from_secs(10)).unwrap();
    assert!(heard.contains(&format!("x-api-key: {KEY}\r\n")), "{heard}");
    assert!(stdout.contains("{\"hello\":1}") && !stdout.contains(KEY), "{stdout}");
    assert_eq!(machine.runs(), 1);
    // The image has another project's key program: refused before anything is started, for this run as for the next.
    let (code, _, stderr) = machine.outcome("run --image tool --key command:@/tool/busybox claude-code");
    assert!(code == 125 && stderr.contains("may write to the project"), "{stderr}");
}
