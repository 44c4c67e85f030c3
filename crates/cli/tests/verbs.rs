//! Every verb as a user meets it: its help, its mistakes with their exit codes, and the shape of its JSON. Offline; every run
//! has a home of its own.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "these tests run the program, and may fail"
)]

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use serde_json::Value;

/// The verbs of `pinfold --help`, in its order, and those below `policy`.
const VERBS: [&str; 48] = [
    "init",
    "lock",
    "fetch",
    "vendor",
    "build",
    "images",
    "tag",
    "rmi",
    "push",
    "pull",
    "copy",
    "load",
    "login",
    "logout",
    "inspect",
    "diff",
    "explain",
    "report",
    "verify",
    "sbom",
    "unpack",
    "run",
    "open",
    "ps",
    "attach",
    "logs",
    "stop",
    "rm",
    "send",
    "recv",
    "queue",
    "kube",
    "proxy",
    "key",
    "key generate",
    "key public",
    "policy",
    "policy check",
    "policy show",
    "policy accept",
    "gc",
    "doctor",
    "schema",
    "completions",
    "pod",
    "pod run",
    "pod attach",
    "pod verify",
];

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
        fs_err::create_dir_all(dir.path().join("project")).unwrap();
        Self { dir }
    }

    /// With a project whose image is one file, which needs no network.
    fn with_project() -> Self {
        let machine = Self::new();
        machine.write("pinfold.toml", "name = 'files'\n[[file]]\npath = '/hello'\ncontent = 'hello'\n");
        machine
    }

    /// The folder of the project, of the caller's home and of pinfold's own.
    fn root(&self) -> &Path {
        self.dir.path()
    }

    fn path(&self) -> PathBuf {
        self.root().join("project")
    }

    fn write(&self, name: &str, text: &str) {
        fs_err::write(self.path().join(name), text).unwrap();
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pinfold"));
        command
            .args(line.split_whitespace())
            .current_dir(self.path())
            .env_clear()
            .env("HOME", self.root().join("me"))
            .env("PINFOLD_HOME", self.root().join("home"))
            .env("npm_config_registry", "http://127.0.0.1:9/");
        command
    }

    fn pinfold(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    /// Exit code, stdout and stderr.
    fn outcome(&self, line: &str) -> (i32, String, String) {
        let output = self.pinfold(line);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// The result of a verb that succeeds.
    fn json(&self, line: &str) -> Value {
        let (code, stdout, stderr) = self.outcome(&format!("{line} --json"));
        assert_eq!(code, 0, "{line}: {stderr}");
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{line}: {error} in {stdout:?}"))
    }
}

/// The keys of an object, sorted.
fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn the_help_of_every_verb_is_as_reviewed() {
    let machine = Machine::new();
    let mut text = machine.outcome("--help").1;
    for verb in VERBS {
        let (code, help, stderr) = machine.outcome(&format!("{verb} --help"));
        assert_eq!((code, stderr.as_str()), (0, ""), "{verb}");
        text.push_str(&format!("\n# pinfold {verb}\n\n{help}"));
    }
    snapbox::assert_data_eq!(text, snapbox::file!["help.txt"].raw());
}

#[test]
fn the_manifest_above_is_found_and_named() {
    let machine = Machine::with_project();
    let sub = machine.path().join("py/sub");
    fs_err::create_dir_all(&sub).unwrap();
    fs_err::set_permissions(machine.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let below = |line: &str| {
        let output = machine.command(line).current_dir(&sub).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let (code, _, stderr) = below("build");
    assert!(code == 0 && stderr.starts_with("using `../../pinfold.toml`\n"), "{code}: {stderr}");
    assert!(machine.path().join("pinfold.lock").exists() && !sub.join("pinfold.lock").exists());
    let (code, _, stderr) = below("build --quiet");
    assert_eq!((code, stderr.as_str()), (0, ""));
    let (_, _, stderr) = below("policy show");
    assert!(stderr.contains("using `../../pinfold.toml`; the workspace is its folder, `../..`"), "{stderr}");
    // A repository of its own is not a part of it.
    fs_err::create_dir(sub.join(".git")).unwrap();
    let (code, _, stderr) = below("build");
    assert!(code == 2 && stderr.contains("there is no `pinfold.toml`"), "{code}: {stderr}");
    let (_, _, stderr) = below("run --offline -- true");
    assert!(stderr.starts_with("no `pinfold.toml` here or above: using preset `solo`\n"), "{stderr}");
}

#[test]
fn a_manifest_above_that_others_can_write_is_used_only_by_its_name() {
    let machine = Machine::with_project();
    let sub = machine.path().join("sub");
    fs_err::create_dir_all(&sub).unwrap();
    fs_err::set_permissions(machine.path(), std::os::unix::fs::PermissionsExt::from_mode(0o1777)).unwrap();
    let below = |line: &str| {
        let output = machine.command(line).current_dir(&sub).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for (line, code) in [("build", 5), ("run -- true", 125), ("policy show", 5)] {
        let (found, stderr) = below(line);
        assert_eq!(found, code, "{line}: {stderr}");
        assert!(
            stderr.contains("`../pinfold.toml` is the manifest above this directory, and another user"),
            "{stderr}"
        );
        assert!(
            stderr.contains("`--file ../pinfold.toml`") && stderr.contains("`--preset solo`"),
            "{stderr}"
        );
    }
    let (code, stderr) = below("build --file ../pinfold.toml");
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(below("policy show --preset solo").0, 0);
}

#[test]
fn a_quiet_build_prints_the_digest_always() {
    let machine = Machine::with_project();
    let digest = machine.outcome("build --quiet");
    assert_eq!(digest.0, 0, "{}", digest.2);
    assert!(digest.1.starts_with("sha256:") && digest.1.trim_end().len() == 71, "{}", digest.1);
    assert_eq!(machine.outcome("build --quiet"), digest, "up to date too");
    assert_eq!(machine.outcome("build -q --json").1.matches("\"index\"").count(), 1);
}

#[test]
fn errors_are_one_object_with_json() {
    let machine = Machine::with_project();
    for (line, code, kind, message) in [
        ("build --file nope.toml", 2, "usage", "there is no manifest `nope.toml`"),
        ("build --locked", 2, "usage", "there is no lock at"),
        ("lock --bogus", 2, "usage", "unexpected argument '--bogus' found"),
        ("inspect missing", 2, "usage", "image `missing:latest` is not in the store"),
        ("nonsense", 2, "usage", "unrecognized subcommand 'nonsense'"),
        ("lock --preset solo --offline", 3, "network", ""),
    ] {
        for line in [format!("{line} --json"), format!("--json {line}")] {
            let (found, stdout, stderr) = machine.outcome(&line);
            assert_eq!(found, code, "{line}: {stdout} {stderr}");
            assert!(!stderr.contains("error:"), "{line}: {stderr}");
            let value: Value =
                serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{line}: {error}: {stdout:?}"));
            let error = &value["error"];
            assert_eq!(keys(&value), ["error"], "{line}");
            assert_eq!(
                (error["code"].as_i64(), error["kind"].as_str()),
                (Some(code.into()), Some(kind)),
                "{line}"
            );
            assert!(error["message"].as_str().unwrap().contains(message), "{line}: {stdout}");
            assert!(error["causes"].is_array(), "{line}");
        }
    }
    // What a program prints is the program's: `run` tells on stderr.
    for line in ["run --json --image missing -- true", "run --json --bogus -- true"] {
        let (code, stdout, stderr) = machine.outcome(line);
        assert_eq!((code, stdout.as_str()), (125, ""), "{line}: {stderr}");
        let last: Value = serde_json::from_str(stderr.lines().last().unwrap()).unwrap();
        assert_eq!(last["error"]["code"], 125, "{line}");
    }
    let (_, stdout, _) = machine.outcome("lock --help --json");
    assert!(stdout.starts_with("Resolve the manifest"), "{stdout}");
}

#[test]
fn a_missing_manifest_is_a_mistake() {
    let machine = Machine::with_project();
    for verb in ["lock", "fetch", "build", "policy show", "policy accept"] {
        for file in ["nope.toml", "no/such/folder/nope.toml"] {
            let (code, _, stderr) = machine.outcome(&format!("{verb} --file {file}"));
            assert_eq!(code, 2, "{verb}: {stderr}");
            assert!(stderr.contains(&format!("error: there is no manifest `{file}`\nhint: ")), "{stderr}");
        }
    }
}

#[test]
fn mistakes_on_the_command_line_are_told_on_stderr_with_exit_code_2() {
    let machine = Machine::with_project();
    for (line, expected) in [
        ("nonsense", "unrecognized subcommand 'nonsense'"),
        ("init --preset nope", "there is no preset `nope`"),
        ("init a b", "unexpected argument 'b'"),
        ("lock --check --upgrade", "cannot be used with"),
        ("fetch --platform linux/riscv64", "riscv64"),
        ("fetch --locked", "there is no lock"),
        ("vendor", "required arguments were not provided"),
        ("vendor kept --frozen", "there is no lock"),
        ("build --platform windows", "windows"),
        ("build --compression lzma", "possible values: gzip, zstd"),
        ("build --tag Not/A/Name", "Not/A/Name"),
        ("build --output elsewhere:x", "elsewhere:x"),
        ("build --agent claude-code", "`--agent` goes with a preset"),
        ("build --preset solo --file pinfold.toml", "cannot be used with"),
        ("images extra", "unexpected argument 'extra'"),
        ("inspect", "required arguments were not provided"),
        ("inspect missing", "missing:latest"),
        ("verify missing", "missing:latest"),
        ("unpack missing there", "missing:latest"),
        ("run --network hots", "possible values: none, proxy, host"),
        ("run --allow https://example.org", "a rule is a host, not a URL"),
        (
            "run -v relative -- true",
            "expected SOURCE[:TARGET][:ro|rw] with absolute paths, or such below `~/`",
        ),
        ("run --memory much -- true", "size `much` is not understood"),
        ("run --cpus -- true", "a value is required for '--cpus"),
        ("run --cpus zero -- true", "number of processors `zero` is not understood"),
        ("run --pids-limit 0 -- true", "number of processes `0` is not understood"),
        ("run --mode half -- true", "possible values: isolated, mirror"),
        ("run --runtime docker -- true", "possible values: builtin, runc, runsc"),
        ("run -e =x -- true", "a variable is not understood: expected NAME, or NAME=VALUE"),
        ("run --file a.toml --image b -- true", "cannot be used with"),
        ("run claude-code", "the image `files` has no agent `claude-code`"),
        ("run -e UNSET -- true", "the variable `UNSET` is to be passed in, but is not set"),
        ("open --image missing -- true", "missing:latest"),
        ("attach", "required arguments were not provided"),
        ("attach nobody", "nobody"),
        ("logs nobody", "nobody"),
        ("stop nobody", "nobody"),
        ("stop nobody --time soon", "invalid value 'soon'"),
        ("rm nobody", "nobody"),
        ("key", "Usage: pinfold key"),
        ("key generate", "required arguments were not provided"),
        ("policy", "Usage: pinfold policy"),
        ("policy check", "required arguments were not provided"),
        ("policy show --image missing", "missing:latest"),
        ("gc --everything", "unexpected argument '--everything'"),
        ("schema lock", "possible values: manifest, recipe"),
        ("completions tcsh", "possible values: bash"),
        ("man nonsense", "there is no verb `nonsense`"),
    ] {
        let (code, stdout, stderr) = machine.outcome(line);
        assert_eq!((code, stdout.as_str()), (own(line, 2), ""), "{line}: {stderr}");
        assert!(stderr.contains(expected), "{line}: {stderr}");
        assert!(!stderr.contains("panicked"), "{line}: {stderr}");
    }
}

#[test]
fn a_key_on_the_command_line_is_refused_and_not_repeated() {
    let machine = Machine::with_project();
    for line in
        ["run --key sk-canary -- true", "policy check x --key anthropic=sk-canary", "open --key env: -- true"]
    {
        let (code, stdout, stderr) = machine.outcome(line);
        assert_eq!((code, stdout.as_str()), (own(line, 2), ""), "{line}");
        assert!(
            stderr.starts_with("error: `--key`: where the key comes from is not understood"),
            "{line}: {stderr}"
        );
        assert!(!stderr.contains("canary"), "{line}: {stderr}");
    }
}

#[test]
fn verbs_that_need_a_manifest_say_so() {
    let machine = Machine::new();
    for verb in ["lock", "fetch", "vendor kept", "build"] {
        let (code, stdout, stderr) = machine.outcome(verb);
        assert_eq!((code, stdout.as_str()), (2, ""), "{verb}");
        assert!(stderr.starts_with("error: there is no `pinfold.toml` in "), "{verb}: {stderr}");
        assert!(stderr.contains("hint: `pinfold init` writes one"), "{verb}: {stderr}");
    }
}

#[test]
fn without_the_network_what_is_missing_is_exit_code_3() {
    let machine = Machine::new();
    machine.write("pinfold.toml", "name = 'x'\nagents = ['claude-code']\n");
    for line in ["lock --offline", "build --offline", "run --offline claude-code"] {
        let (code, stdout, stderr) = machine.outcome(line);
        assert_eq!((code, stdout.as_str()), (own(line, 3), ""), "{line}: {stderr}");
        assert!(stderr.contains("the network is switched off"), "{line}: {stderr}");
    }
}

#[test]
fn what_was_not_agreed_to_is_exit_code_5_until_the_word_is_given() {
    let machine = Machine::new();
    machine.write("pinfold.toml", "name = 'x'\n[run]\nallow = ['example.org']\n");
    let check = "policy check --offline https://example.org";
    let (code, _, stderr) = machine.outcome(check);
    assert_eq!(code, 5, "{stderr}");
    assert!(stderr.contains("reach `example.org`") && stderr.contains("pinfold policy accept"), "{stderr}");
    assert_eq!(machine.outcome("policy show --quiet").1, "open:   reach `example.org`\n");
    let digest = machine.json("policy show")["digest"].as_str().unwrap().to_owned();
    let accept = format!("policy accept --digest {digest}");
    assert_eq!(machine.outcome(&accept), (0, "agreed: reach `example.org`\n".into(), "agreed\n".into()));
    assert_eq!(machine.outcome("policy show --quiet").1, "agreed: reach `example.org`\n");
    assert_eq!(machine.outcome(check), (0, "allowed: rule `example.org`\n".into(), String::new()));
    // 1: a check that does not hold.
    let refused = "refused: no rule allows `example.com:443`\n";
    let other = "policy check --offline example.com";
    assert_eq!(machine.outcome(other), (1, refused.into(), String::new()));
    machine.write("pinfold.toml", "name = 'x'\n[run]\nallow = ['example.org', 'example.com']\n");
    assert_eq!(machine.outcome(check).0, 5, "one wish more needs a word more");
}

/// A rule is not enough where the proxy would refuse the address, or where nothing could be spoken.
#[test]
fn a_rule_that_cannot_work_is_told_before_the_run() {
    let machine = Machine::new();
    for address in ["10.1.2.3", "192.168.0.7", "127.0.0.1", "169.254.169.254", "[fd00::1]"] {
        let line = format!("policy check http://{address}/ --allow {address}");
        let (code, stdout, stderr) = machine.outcome(&line);
        assert_eq!((code, stderr.as_str()), (1, ""), "{line}");
        let told = stdout.starts_with("refused: rule") && stdout.contains("public addresses only");
        assert!(told, "{line}: {stdout}");
    }
    // Control: RFC 5737's addresses apart, a public one is what the rule says.
    let (code, stdout, _) = machine.outcome("policy check http://1.1.1.1/ --allow 1.1.1.1");
    assert_eq!((code, stdout.as_str()), (0, "allowed: rule `1.1.1.1`\n"));
    for line in ["run --allow github.com:22 -- true", "policy check x --allow github.com:22"] {
        let (code, _, stderr) = machine.outcome(line);
        assert_eq!(code, own(line, 2), "{line}: {stderr}");
        assert!(stderr.contains("needs `tcp:` before it"), "{stderr}");
    }
    let (code, stdout, _) = machine.outcome("policy check --offline github.com:22 --allow tcp:github.com:22");
    assert_eq!((code, stdout.as_str()), (0, "allowed: rule `tcp:github.com:22`\n"));
}

#[test]
fn the_home_and_pinfolds_own_folders_are_no_workspaces() {
    let machine = Machine::with_project();
    fs_err::create_dir_all(machine.root().join("me/project")).unwrap();
    for (workspace, expected) in [
        ("../me", "it holds the home directory"),
        ("..", "it holds the home directory"),
        ("/", "it holds the home directory"),
        ("/etc", "it is a directory of the system"),
        ("pinfold.toml", "it is no directory"),
        ("../home", "pinfold's own folders are there"),
        ("../home/data", "pinfold's own folders are there"),
    ] {
        fs_err::create_dir_all(machine.root().join("home/data")).unwrap();
        let (code, _, stderr) = machine.outcome(&format!("run -w {workspace} -- true"));
        assert_eq!(code, 125, "{workspace}: {stderr}");
        assert!(stderr.contains(expected), "{workspace}: {stderr}");
    }
}

#[test]
fn a_damaged_image_is_exit_code_4_and_a_failed_check_1() {
    let machine = Machine::with_project();
    let built = machine.json("build");
    assert_eq!(machine.outcome("verify --only oci files").0, 0);
    let blob = built["index"].as_str().unwrap().trim_start_matches("sha256:");
    let path = machine.root().join("home/data/images/blobs/sha256").join(blob);
    let mut text = fs_err::read(&path).unwrap();
    text[0] ^= 1;
    fs_err::remove_file(&path).unwrap();
    fs_err::write(&path, text).unwrap();
    assert_eq!(machine.outcome("inspect files").0, 4);
    assert!([1, 4].contains(&machine.outcome("verify files").0));
}

#[test]
fn json_is_one_value_on_stdout() {
    let machine = Machine::with_project();
    assert_eq!(keys(&machine.json("lock")), ["changes", "lock", "notes", "written"]);
    assert_eq!(keys(&machine.json("fetch")), ["bytes", "fetched", "total"]);
    assert_eq!(keys(&machine.json("vendor kept")), ["bytes", "fetched", "total"]);
    let built = machine.json("build");
    assert_eq!(keys(&built), ["index", "platforms", "reference", "seconds", "unchanged", "written"]);
    assert_eq!(built["reference"], "files:latest");
    let images = machine.json("images");
    assert_eq!(keys(&images[0]), ["created", "digest", "platforms", "project", "repository", "size", "tag"]);
    assert_eq!(images[0]["digest"], built["index"]);
    assert_eq!(machine.json("inspect files")["digest"], built["index"]);
    assert_eq!(keys(&machine.json("verify --only oci files")), ["digest", "image", "outcomes"]);
    let unpacked = machine.json("unpack files there --platform linux/amd64");
    assert_eq!(keys(&unpacked), ["bytes", "entries"]);
    assert_eq!(fs_err::read_to_string(machine.path().join("there/hello")).unwrap(), "hello");
    assert_eq!(machine.json("ps"), Value::Array(vec![]));
    assert_eq!(machine.json("policy show")["asks"], Value::Array(vec![]));
    let parts = machine.json("gc");
    assert_eq!(keys(&parts), ["further", "parts"]);
    assert_eq!(keys(&parts["parts"][0]), ["bytes", "files", "what"]);
    let (_, doctor, _) = machine.outcome("doctor --json --offline");
    let findings: Value = serde_json::from_str(&doctor).unwrap();
    assert_eq!(findings[0]["what"], "program");
    for of in ["manifest", "recipe"] {
        assert!(machine.json(&format!("schema {of}"))["properties"].is_object(), "{of}");
    }
    let (_, stdout, stderr) = machine.outcome("init --json new");
    assert_eq!(keys(&serde_json::from_str(&stdout).unwrap()), ["manifest", "preset"]);
    assert_eq!(stderr, "");
}

/// `/dev/full` is the kernel's own full disk. A reader who has seen enough is no failure.
#[test]
fn a_result_that_cannot_be_written_is_a_failure() {
    let machine = Machine::with_project();
    assert!(machine.pinfold("build --offline").status.success());
    for line in [
        "images",
        "images --json",
        "inspect files",
        "--help",
        "--version",
        "schema manifest",
        "completions bash",
    ] {
        let told = |to: Stdio| {
            let output = machine.command(line).stdout(to).output().unwrap();
            (output.status.code(), String::from_utf8(output.stderr).unwrap())
        };
        let (code, text) =
            told(fs_err::OpenOptions::new().write(true).open("/dev/full").unwrap().into_parts().0.into());
        assert_eq!(code, Some(1), "{line}: {text}");
        assert!(
            text.starts_with(
                "error: the result cannot be written to standard output\n  caused by: No space left on device"
            ),
            "{line}: {text}"
        );
        let (reader, pipe) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(told(pipe.into()), (Some(0), String::new()), "{line}");
    }
}

#[test]
fn quiet_leaves_results_and_errors() {
    let machine = Machine::with_project();
    for line in ["lock", "fetch", "vendor kept", "build", "ps", "policy show", "policy accept", "init new"] {
        let (code, stdout, stderr) = machine.outcome(&format!("{line} --quiet"));
        assert_eq!((code, stderr.as_str()), (0, ""), "{line}");
        assert!(stdout.lines().count() <= 1, "{line}: {stdout}");
    }
    assert!(machine.outcome("inspect missing --quiet").2.starts_with("error: "));
}

#[test]
fn scripts_for_shells_and_packagers_are_written_to_stdout() {
    let machine = Machine::new();
    for (line, expected) in [
        ("completions bash", "_clap_complete_pinfold()"),
        ("completions zsh", "#compdef pinfold"),
        ("completions fish", "--command pinfold"),
        ("man", ".TH pinfold 1"),
        ("man run", "AGENT"),
        ("--version", "pinfold "),
    ] {
        let (code, stdout, stderr) = machine.outcome(line);
        assert_eq!((code, stderr.as_str()), (0, ""), "{line}");
        assert!(stdout.contains(expected), "{line}: {stdout:.300}");
    }
}

/// A home as an adversary leaves it: closed directories, and levels deeper than a path can say.
fn hostile_home(home: &Path) {
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY;
    let mode = rustix::fs::Mode::RWXU;
    fs_err::create_dir_all(home.join("closed/inner")).unwrap();
    fs_err::write(home.join("closed/inner/file"), "0123456789").unwrap();
    let mut at = rustix::fs::open(home, flags, mode).unwrap();
    for _ in 0..1500 {
        rustix::fs::mkdirat(&at, "deeper", mode).unwrap();
        at = rustix::fs::openat(&at, "deeper", flags, mode).unwrap();
    }
    for closed in ["closed/inner", "closed"] {
        fs_err::set_permissions(home.join(closed), std::os::unix::fs::PermissionsExt::from_mode(0o000))
            .unwrap();
    }
}

#[expect(clippy::print_stdout, reason = "a skipped test must say so")]
#[test]
fn what_is_left_of_a_sandbox_is_shown_and_removed() {
    let machine = Machine::new();
    let sandboxes = machine.root().join("home/data/sandboxes");
    let states = || -> Vec<(String, String)> {
        let listed = machine.json("ps");
        let text = |one: &Value, key: &str| one[key].as_str().unwrap_or_default().to_owned();
        listed.as_array().unwrap().iter().map(|one| (text(one, "name"), text(one, "status"))).collect()
    };
    for verb in ["rm half", "gc --yes"] {
        fs_err::create_dir_all(sandboxes.join("half/home")).unwrap();
        hostile_home(&sandboxes.join("half/home"));
        assert_eq!(states(), [("half".into(), "leftover".into())]);
        let (code, text, errors) = machine.outcome(verb);
        assert_eq!(code, 0, "{text}{errors}");
        assert_eq!(states(), []);
        assert!(!sandboxes.join("half").exists());
    }
    // What cannot be removed is named, with what to do.
    let mounted = sandboxes.join("half/home/mounted");
    fs_err::create_dir_all(&mounted).unwrap();
    if rustix::mount::mount_bind(machine.root(), &mounted).is_err() {
        println!("skip: only root can mount");
        return;
    }
    let (code, _, errors) = machine.outcome("rm half");
    let (gc_code, _, gc_errors) = machine.outcome("gc --yes");
    let listed = states();
    rustix::mount::unmount(&mounted, rustix::mount::UnmountFlags::DETACH).unwrap();
    for (code, errors) in [(code, errors), (gc_code, gc_errors)] {
        assert_eq!(code, 1, "{errors}");
        assert!(errors.contains("`mounted` stays: something is mounted there"), "{errors}");
        assert!(errors.contains("hint: unmount"), "{errors}");
    }
    assert_eq!(listed, [("half".into(), "leftover".into())]);
    assert_eq!(machine.outcome("rm half").0, 0);
}

#[test]
fn what_is_written_elsewhere_is_told_and_a_missing_vendor_folder_is_a_mistake() {
    let machine = Machine::with_project();
    let (code, _, stderr) = machine.outcome("build -o oci-archive:out.tar -o oci:dir");
    assert_eq!(code, 0, "{stderr}");
    let lines: Vec<&str> = stderr.lines().filter(|line| line.starts_with("wrote ")).collect();
    assert!(
        lines[0].starts_with("wrote oci-archive:out.tar (") && lines[1].starts_with("wrote oci:dir ("),
        "{stderr}"
    );
    // Also when nothing was to be built.
    let written = machine.json("build -o oci-archive:out.tar");
    assert_eq!(
        (&written["unchanged"], &written["written"][0]["place"]),
        (&true.into(), &"oci-archive:out.tar".into())
    );
    let size = fs_err::metadata(machine.path().join("out.tar")).unwrap().len();
    assert_eq!(written["written"][0]["bytes"], size);
    assert!(!machine.outcome("build -q -o oci:dir").2.contains("wrote"));
    for verb in ["build", "fetch"] {
        let (code, _, stderr) = machine.outcome(&format!("{verb} --vendor nowhere"));
        assert!(code == 2 && stderr.contains("there is no such directory"), "{stderr}");
    }
    assert_eq!(machine.outcome("vendor kept").0, 0);
    assert_eq!(machine.outcome("build --vendor kept").0, 0);
}

#[test]
fn man_reads_the_pages() {
    let machine = Machine::new();
    for line in ["man", "man run", "man inspect"] {
        machine.write("page.1", &machine.outcome(line).1);
        let mut groff = Command::new("groff");
        groff.args(["-man", "-ww", "-z", "-Tutf8", "page.1"]).current_dir(machine.path());
        let Ok(output) = groff.output() else {
            // Not installed.
            assert!(std::env::var_os("CI").is_none(), "nothing is skipped in CI");
            return;
        };
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{line}");
    }
    // Control: it complains of what is none.
    machine.write("page.1", ".TH x 1\n.NOSUCH\n");
    let output = Command::new("groff")
        .args(["-man", "-ww", "-z", "-Tutf8", "page.1"])
        .current_dir(machine.path())
        .output();
    assert!(String::from_utf8_lossy(&output.unwrap().stderr).contains("NOSUCH"));
}
