//! Images of busybox that are run to be judged: one that does everything, and for each check one that fails it alone. The agent is a
//! script that speaks its provider's protocol.
#![expect(clippy::unwrap_used, reason = "these tests run the program, and may fail")]

use std::process::Output;

use pinfold_testkit::machine::Machine;
use serde_json::Value;

/// The agent: its version, its opinion of its configuration, and a turn in which it does what its model asks for.
const AGENT: &str = r#"#!/bin/sh
case "$1" in
--version) echo '1.2.3 (a script)'; exit ;;
doctor) echo 'all well'; exit ;;
esac
ask() { wget -q -Y off -O - --header 'Content-Type: application/json' --post-data "$1" "$ANTHROPIC_BASE_URL/v1/messages"; }
answer=$(ask '{"stream":true,"tools":[{"name":"Bash"}],"messages":[]}') || exit 1
line=$(printf '%s\n' "$answer" | grep partial_json)
command=${line#*command\\\":\\\"}
command=${command%%\\\",*}
output=$(sh -c "$command")
ask '{"stream":true,"tools":[],"messages":[{"content":[{"type":"tool_result","content":"'"$output"'"}]}]}'
"#;

const TINI: &str = r#"#!/bin/sh
[ "$1" = --version ] && { echo 'tini version 0.19.0 - script'; exit; }
shift
"$@"
"#;

const TMUX: &str = "#!/bin/sh\necho 'tmux 3.3a'\n";

/// Commands of busybox that the image has by their names.
const APPLETS: [&str; 10] =
    ["sh", "id", "touch", "find", "cat", "chmod", "mkdir", "grep", "wget", "ssl_client"];

/// A script of the image.
fn file(path: &str, content: &str, mode: &str) -> String {
    format!("[[file]]\npath = '{path}'\nmode = '{mode}'\ncontent = '''\n{content}'''\n")
}

/// Commands of busybox by their names.
fn links(names: &[&str]) -> String {
    let link = |name: &&str| format!("[[link]]\npath = '/bin/{name}'\ntarget = 'busybox'\n");
    names.iter().map(link).collect::<Vec<_>>().concat()
}

/// The parts of a manifest behind that of the machine's.
struct Parts {
    path: &'static str,
    agent: String,
    tini: String,
    tmux: String,
    applets: Vec<&'static str>,
    more: String,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            path: "/home/u/.local/bin:/usr/local/bin:/usr/bin:/bin",
            agent: AGENT.into(),
            tini: TINI.into(),
            tmux: TMUX.into(),
            applets: APPLETS.to_vec(),
            more: String::new(),
        }
    }
}

impl Parts {
    fn manifest(&self) -> String {
        let applets = links(&self.applets);
        let files = [
            file("/usr/local/bin/claude", &self.agent, "0755"),
            file("/usr/bin/tini", &self.tini, "0755"),
            file("/usr/bin/tmux", &self.tmux, "0755"),
        ];
        format!(
            "{}{applets}{}[image]\nentrypoint = ['/usr/bin/tini', '--']\ncmd = ['sh']\n[image.env]\nPATH = '{}'\n\
             [image.labels]\n'dev.pinfold.agent.claude-code' = '1.2.3'\n",
            files.concat(),
            self.more,
            self.path
        )
    }
}

/// Builds an image and runs it; the outcomes by their checks.
fn outcomes(machine: &Machine, parts: &Parts, arguments: &[&str]) -> (Output, Vec<Value>) {
    machine.project("project", &parts.manifest());
    let built = machine.pinfold(&["build", "--offline"]).output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let verify = ["verify", "box", "--run", "--json", "--offline", "--platform", host()];
    let output = machine.pinfold(&[&verify, arguments].concat()).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let found = report["outcomes"].as_array().unwrap().iter();
    let is_ours = |outcome: &&Value| {
        outcome["check"].as_str().is_some_and(|check| check.starts_with("run.") || check.starts_with("test:"))
    };
    (output, found.filter(is_ours).cloned().collect())
}

fn host() -> &'static str {
    if cfg!(target_arch = "x86_64") { "linux/amd64" } else { "linux/arm64" }
}

/// `run.user passed`, one line a check.
fn verdicts(outcomes: &[Value]) -> Vec<String> {
    let word = |value: &Value| value.as_str().unwrap().to_owned();
    outcomes
        .iter()
        .map(|outcome| format!("{} {}", word(&outcome["check"]), word(&outcome["verdict"])))
        .collect()
}

#[test]
fn an_image_that_does_everything_passes_and_each_flaw_is_named_alone() {
    let Some(machine) = Machine::empty(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let (_, good) = outcomes(&machine, &Parts::default(), &["--only", "run"]);
    let mut expected: Vec<String> = [
        "start",
        "version",
        "user",
        "init",
        "tools",
        "read-only",
        "tmp",
        "set-id",
        "path",
        "config",
        "tool-call",
    ]
    .map(|check| format!("run.{check} passed"))
    .to_vec();
    // Busybox judges no certificate, and speaks a TLS of its own.
    expected.push("run.ca failed".into());
    assert_eq!(verdicts(&good), expected, "{good:#?}");
    let ca = good.last().unwrap()["findings"][0]["problem"].as_str().unwrap();
    assert!(ca.contains("the authority"), "{ca}");

    let agent = |from: &str, to: &str| {
        assert!(AGENT.contains(from));
        Parts { agent: AGENT.replace(from, to), ..Parts::default() }
    };
    let without =
        |name: &str| -> Vec<&'static str> { APPLETS.into_iter().filter(|applet| *applet != name).collect() };
    let script = |name: &str, text: &str| file(&format!("/bin/{name}"), text, "0755");
    for (check, parts, evidence) in [
        ("version", agent("1.2.3 (", "1.2.4 ("), "the image's label says 1.2.3"),
        (
            "user",
            Parts {
                applets: without("id"),
                more: script("id", "#!/bin/sh\necho 'uid=0(root) gid=0(root)'\n"),
                ..Parts::default()
            },
            "uid=1000(u) gid=1000(u)",
        ),
        ("init", Parts { tini: TINI.replace("\"$@\"", "exec \"$@\""), ..Parts::default() }, "parent"),
        ("tools", Parts { tmux: "#!/bin/sh\necho 'tmux 2.9'\n".into(), ..Parts::default() }, "tmux 2.9"),
        (
            "read-only",
            Parts {
                applets: without("touch"),
                more: script("touch", "#!/bin/sh\nexit 0\n"),
                ..Parts::default()
            },
            "a file was made",
        ),
        (
            "set-id",
            Parts {
                more: format!("{}[policy]\nset-id = 'keep'\n", file("/usr/bin/su", "x\n", "4755")),
                ..Parts::default()
            },
            "has a set-user-id",
        ),
        ("path", Parts { path: "/usr/local/bin:/usr/bin:/bin", ..Parts::default() }, "/home/u/.local/bin"),
        ("config", agent("all well'; exit", "no such key'; exit 1"), "no such key"),
        ("tool-call", agent("output=$(sh -c \"$command\")", "output='may I?'"), "did not run"),
        ("tool-call", agent("answer=$(ask", "exit 0; answer=$(ask"), "asked no model"),
    ] {
        let only = format!("run.{check}");
        let (output, found) = outcomes(&machine, &parts, &["--only", &only]);
        assert_eq!(verdicts(&found), [format!("{only} failed")], "{found:#?}");
        assert!(found[0]["findings"].to_string().contains(evidence), "{evidence}: {}", found[0]);
        assert_eq!(output.status.code(), Some(1));
    }
}

/// What is not there is not passed.
#[test]
fn an_image_without_programs_is_not_said_to_hold() {
    let Some(machine) = Machine::empty(env!("CARGO_BIN_EXE_pinfold")) else { return };
    machine.project("project", "[image]\ncmd = ['/bin/busybox', 'true']\n");
    let run = |arguments: &[&str]| machine.pinfold(arguments).output().unwrap();
    assert!(run(&["build", "--offline"]).status.success());
    let output =
        run(&["verify", "box", "--run", "--json", "--offline", "--platform", host(), "--only", "run"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let of = |check: &str| {
        let mut outcomes = report["outcomes"].as_array().unwrap().iter();
        outcomes.find(|outcome| outcome["check"] == check).unwrap()["verdict"].clone()
    };
    for (check, verdict) in [
        ("run.start", "passed"),
        ("run.version", "not-run"),
        ("run.user", "passed"),
        ("run.init", "not-run"),
        ("run.tools", "not-run"),
        ("run.config", "not-run"),
        ("run.tool-call", "not-run"),
        ("run.ca", "not-run"),
        ("run.set-id", "passed"),
    ] {
        assert_eq!(of(check), verdict, "{check}");
    }
    // A command that cannot be executed is one failure, that of the start.
    let none = file("/bin/none", "no program\n", "0755");
    machine.project("project", &format!("{none}[image]\ncmd = ['/bin/none']\n"));
    assert!(run(&["build", "--offline"]).status.success());
    let output =
        run(&["verify", "box", "--run", "--json", "--offline", "--platform", host(), "--only", "run.start"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("`/bin/none` cannot be executed"));
    assert_eq!(output.status.code(), Some(1));
}

const STRUCTURE: &str = r#"
schemaVersion: 2.0.0
globalEnvVars: [{key: GREETING, value: "hello $WHO"}]
commandTests:
- {name: env, command: /bin/busybox, args: [sh, -c, 'echo "$GREETING"'], expectedOutput: ['^hello world\n$']}
- {name: global, command: /bin/busybox, args: [env], expectedOutput: ['(?m)^GREETING=hello world$']}
- {name: setup, setup: [[touch, /tmp/x], [false]], command: ls, args: [/tmp/x], expectedOutput: [/tmp/x]}
- {name: code, command: sh, args: ['-c', 'echo oops >&2; exit 3'], exitCode: 3, expectedError: [oops], excludedOutput: ['.']}
- {name: wrong, command: sh, args: ['-c', 'exit 3']}
- {name: none, command: nothing-there}
fileExistenceTests:
- {name: box, path: /bin/busybox, permissions: '-rwxr-xr-x', uid: 0, gid: 0, isExecutableBy: other}
- {name: link, path: /bin/sh, permissions: Lrwxrwxrwx}
- {name: gone, path: /etc/shadow-of-nobody, shouldExist: no}
- {name: bad, path: /bin/busybox, permissions: '-rw-r--r--'}
fileContentTests:
- {name: passwd, path: /etc/passwd, expectedContents: ['(?m)^u:x:1000:1000:'], excludedContents: ['^$']}
metadataTest:
  envVars: [{key: WHO, value: '^w.*d$', isRegex: true}]
  cmd: [sh]
licenseTests: [{debian: true}]
"#;

/// Each test of the manifest and of a file has one line with its own verdict, and none of them moves the image's digest.
#[test]
fn an_owners_tests_are_judged_and_change_no_digest() {
    let Some(machine) = Machine::empty(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let links = links(&["sh", "ls", "touch", "false"]);
    let base = format!("{links}[image]\ncmd = ['sh']\n[image.env]\nWHO = 'world'\nPATH = '/bin'\n");
    let tests = "[[test]]\nname = 'runs'\ncommand = ['sh', '-c', 'echo $WHO']\nstdout = ['^world\\n$']\n\
                 [[test]]\nname = 'fails'\ncommand = ['sh', '-c', 'exit 1']\n\
                 [[test]]\nname = 'file'\npath = '/bin/busybox'\ntype = 'file'\nmode = '0755'\nowner = 'root'\n\
                 [[test]]\nname = 'link'\npath = '/bin/sh'\ntype = 'file'\n\
                 [[test]]\nname = 'says'\nimage = { cmd = ['sh'], user = '1000:1000' }\n";
    let folder = machine.path("project");
    let run = |arguments: &[&str]| machine.pinfold(arguments).output().unwrap();
    let digest = || {
        let built = run(&["build", "--offline", "--json"]);
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let inspected: Value = serde_json::from_slice(&run(&["inspect", "box", "--json"]).stdout).unwrap();
        (inspected["digest"].clone(), fs_err::read_to_string(folder.join("pinfold.lock")).unwrap())
    };
    machine.project("project", &base);
    let before = digest();
    machine.project("project", &format!("{tests}{base}"));
    assert_eq!(digest(), before);
    assert!(before.0.is_string());

    fs_err::write(folder.join("tests.yaml"), STRUCTURE).unwrap();
    let output = run(&[
        "verify",
        "--run",
        "--json",
        "--offline",
        "--platform",
        host(),
        "--only",
        "test",
        "--structure-test",
        "tests.yaml",
    ]);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let outcomes: Vec<Value> = report["outcomes"].as_array().unwrap().clone();
    let tests: Vec<Value> = outcomes
        .into_iter()
        .filter(|outcome| outcome["check"].as_str().unwrap().starts_with("test:"))
        .collect();
    assert_eq!(
        verdicts(&tests),
        [
            "test: runs passed",
            "test: fails failed",
            "test: file passed",
            "test: link failed",
            "test: says passed",
            "test: command: env passed",
            "test: command: global passed",
            "test: command: setup passed",
            "test: command: code passed",
            "test: command: wrong failed",
            "test: command: none failed",
            "test: file existence: box passed",
            "test: file existence: link passed",
            "test: file existence: gone passed",
            "test: file existence: bad failed",
            "test: file content: passwd passed",
            "test: licenses not-run",
            "test: metadata passed",
        ],
        "{tests:#?}"
    );
    assert_eq!(output.status.code(), Some(1));
}
