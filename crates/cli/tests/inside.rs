//! What a program finds in a sandbox, through the program: names of the machine, the caller's umask, what runtimes are told.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "these tests run the program, and may fail"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use pinfold_testkit::machine::Machine;

/// A workspace without a repository is remarked on; that is not what is looked at here.
const RUN: &[&str] = &["run", "--unprotect", ".git"];

/// What a script of the shell says inside.
fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// busybox's `nc` looks names up with getaddrinfo(3), as most programs do; its `nslookup` would ask a server.
#[test]
fn the_machine_knows_its_own_names() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    // A port that nobody listens on: whoever knows the name is refused, and whoever does not says `bad address`.
    let script = "for name in localhost \"$(busybox hostname)\" nobody.invalid; do busybox nc -w 1 $name 9 2>&1; done; true";
    let text = said(&mut machine.script(RUN, script));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    for (line, known) in lines.iter().zip([true, true, false]) {
        assert_eq!(line.contains("onnection refused"), known, "{text}");
    }
}

#[test]
fn files_made_inside_have_the_callers_umask() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let pinfold = machine.script(RUN, "umask; echo x > made");
    for (umask, mode) in [("0077", 0o600), ("0002", 0o664), ("0022", 0o644)] {
        let mut command = Command::new("/bin/sh");
        // The shell's own way to set it, as a user does.
        command.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]);
        command.arg(pinfold.get_program()).args(pinfold.get_args());
        for (name, value) in pinfold.get_envs() {
            command.env(name, value.unwrap());
        }
        command.current_dir(pinfold.get_current_dir().unwrap());
        assert_eq!(said(&mut command), format!("{umask}\n"));
        let made = machine.path("w/made");
        assert_eq!(fs_err::metadata(&made).unwrap().permissions().mode() & 0o777, mode, "{umask}");
        fs_err::remove_file(made).unwrap();
    }
}

/// The names are the runtimes' own: Node.js' command line options, and the JDK's networking properties.
#[test]
fn runtimes_are_told_of_the_proxy_and_the_user_has_the_last_word() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let all = |verb: &[&str]| said(&mut machine.script(verb, "busybox env"));
    let text = all(&[RUN, &["--network", "proxy"]].concat());
    for line in [
        "NODE_USE_ENV_PROXY=1",
        "NO_PROXY=127.0.0.1,localhost,::1,0.0.0.0,pinfold",
        "JAVA_TOOL_OPTIONS=-Dhttp.proxyHost=127.0.0.1 -Dhttp.proxyPort=3128 -Dhttps.proxyHost=127.0.0.1 \
         -Dhttps.proxyPort=3128 -Dhttp.nonProxyHosts=localhost|127.*|[::1]|0.0.0.0|pinfold",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    // An option that older ones refuse is not for a Node.js that came from elsewhere.
    assert!(!text.contains("NODE_OPTIONS"), "{text}");
    let text = all(&[RUN, &["--network", "proxy", "-e", "NODE_USE_ENV_PROXY=0"]].concat());
    assert!(text.contains("NODE_USE_ENV_PROXY=0\n"), "{text}");
    assert!(!all(RUN).contains("PROXY"));
}

#[test]
fn what_the_proxy_refused_is_told_at_the_end_with_the_flag_that_allows_it() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let told = |verb: &[&str], script: &str| {
        let output = machine.script(&[verb, &["--network", "proxy"]].concat(), script).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    let ask = |host: &str| format!("busybox wget -q -O - http://{host}/ 2>/dev/null; ");
    let twice = format!("{0}{0}true", ask("a.example"));
    let text = told(RUN, &twice);
    assert!(text.ends_with("\n  a.example:80 (2 times): `--allow a.example` lets it\n"), "{text}");
    // Where the list is not the reason no flag is named.
    let private = format!("{}true", ask("10.1.2.3"));
    let text = told(&[RUN, &["--allow", "10.1.2.3"]].concat(), &private);
    assert!(text.contains("\n  10.1.2.3:80: ") && !text.contains("--allow"), "{text}");
    // Controls: nothing was asked for, and nobody wants to know.
    assert_eq!(told(RUN, "true"), "");
    assert_eq!(told(&[RUN, &["--quiet"]].concat(), &twice), "");
}

/// The run is over, its sandbox in no list, and the directory has no manifest: what the agent left there is not run for a key.
#[test]
fn a_program_in_the_workspace_of_an_earlier_run_is_not_run_for_a_key() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let program = |place: &str| {
        let program = machine.path(place);
        fs_err::write(&program, "#!/bin/sh\n: > \"$HOME/ran\"\necho sk-1\n").unwrap();
        fs_err::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        program
    };
    let text = "name = 'keyed'\nplatforms = ['linux/amd64']\nagents = ['claude-code']\n";
    fs_err::create_dir(machine.path("keyed")).unwrap();
    fs_err::write(machine.path("keyed/pinfold.toml"), text).unwrap();
    let ask = |program: &std::path::Path| {
        let key = format!("command:{}", program.display());
        let mut command = machine.pinfold(&["run", "--offline", "--key", &key, "claude-code"]);
        let output = command.current_dir(machine.path("keyed")).output().unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    // Control: before a sandbox had it, it is the user's.
    let theirs = program("w/getkey");
    assert!(ask(&theirs).contains("the network is switched off"), "{}", ask(&theirs));
    assert_eq!(said(&mut machine.script(RUN, "echo true")), "true\n");
    let listed = machine.pinfold(&["ps", "--json"]).output().unwrap();
    assert!(!String::from_utf8_lossy(&listed.stdout).contains("/w\""), "{listed:?}");
    let told = ask(&theirs);
    assert!(told.contains("a sandbox may have written to") && told.contains("(`--key`)"), "{told}");
    // What lies beside it does not.
    assert!(ask(&program("me/getkey")).contains("the network is switched off"));
    assert!(!machine.path("me/ran").exists());
}

#[test]
fn the_data_folder_is_the_users_alone_whatever_the_umask() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let pinfold = machine.pinfold(&["policy", "accept", "--json"]);
    let text = "name = 'open'\n[run]\nallow = ['one.example']\n";
    fs_err::create_dir(machine.path("open")).unwrap();
    fs_err::write(machine.path("open/pinfold.toml"), text).unwrap();
    let under_no_umask = |args: &[&str]| {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "umask 0; exec \"$@\"", "sh"]).arg(pinfold.get_program()).args(args);
        command.env_clear().env("HOME", machine.path("me")).env("PINFOLD_HOME", machine.path("fresh"));
        let output = command.current_dir(machine.path("open")).output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let shown = under_no_umask(&["policy", "show"]);
    let digest = shown.split_once("--digest ").unwrap().1.split('`').next().unwrap();
    under_no_umask(&["policy", "accept", "--digest", digest]);
    for folder in ["fresh/data", "fresh/data/consent"] {
        let mode = fs_err::metadata(machine.path(folder)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{folder}");
    }
}

/// The account's own home is looked up by getent(1), as a user would.
#[test]
fn without_the_variable_the_home_is_no_workspace_either() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let Ok(output) = Command::new("sh").args(["-c", "getent passwd \"$(id -u)\""]).output() else { return };
    let account = String::from_utf8(output.stdout).unwrap();
    let Some(home) = account.split(':').nth(5).filter(|home| home.len() > 1) else { return };
    for set in [None, Some("")] {
        let command = machine.script(RUN, "true");
        let mut args: Vec<std::ffi::OsString> = command.get_args().map(std::ffi::OsStr::to_owned).collect();
        let place = args.iter().position(|word| word == "-w").unwrap();
        args[place + 1] = home.into();
        let mut command = Command::new(env!("CARGO_BIN_EXE_pinfold"));
        command.args(args).env_clear().env("PATH", "/usr/bin:/bin").env("PINFOLD_HOME", machine.path("home"));
        if let Some(value) = set {
            command.env("HOME", value);
        }
        let output = command.current_dir(machine.path("project")).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains("it holds the home directory"), "{told}");
    }
}

/// `/proc` as containers have it: partly covered and read-only. What stops a run is found by `doctor` before, and both say what
/// to give the container.
#[test]
fn under_a_masked_proc_the_option_is_named_that_opens_it() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let masked = |mask: &str, pinfold: &Command| {
        let mut command = Command::new("unshare");
        let own: &[&str] =
            if rustix::process::geteuid().is_root() { &[] } else { &["--user", "--map-root-user"] };
        command.args(own).args(["--mount", "sh", "-c"]);
        command
            .arg(format!("{mask} exec \"$@\""))
            .arg("sh")
            .arg(pinfold.get_program())
            .args(pinfold.get_args());
        command.env_clear();
        for (name, value) in pinfold.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        let output = command.current_dir(pinfold.get_current_dir().unwrap_or("/".as_ref())).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.success(), text)
    };
    let cover = "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys &&";
    let (able, _) = masked("true &&", &Command::new("true"));
    if !able {
        return;
    }
    for pinfold in [
        machine.script(&[RUN, &["--allow-root-id"]].concat(), "true"),
        machine.pinfold(&["doctor", "--offline"]),
    ] {
        let (_, told) = masked(cover, &pinfold);
        for option in ["unmask=ALL", "systempaths=unconfined", "procMount: Unmasked"] {
            assert!(told.contains(option), "{option}: {told}");
        }
    }
    // Control: nothing covered, nothing to say.
    let (_, told) = masked("", &machine.pinfold(&["doctor", "--offline"]));
    assert!(!told.contains("unmask=ALL") && told.contains("all its steps"), "{told}");
}

/// runc and runsc would make a missing place in the image that all sandboxes share.
#[test]
fn another_runtime_says_where_the_workspace_can_be_shown() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let found = Command::new("sh").args(["-c", "command -v runc"]).output().unwrap();
    if !found.status.success() {
        assert!(std::env::var_os("CI").is_none(), "nothing is skipped in CI");
        return;
    }
    let folders = ["/dev", "/proc", "/run", "/sys", "/tmp"].map(|path| format!("[[dir]]\npath = '{path}'\n"));
    machine.project("whole", &folders.concat());
    // `/tmp` is memory inside, where any place can be made.
    let elsewhere = tempfile::tempdir_in("/var/tmp").unwrap();
    let elsewhere = fs_err::canonicalize(elsewhere.path()).unwrap();
    let run = |place: &str| {
        let args = [
            "run",
            "--unprotect",
            ".git",
            "--offline",
            "--network",
            "none",
            "--runtime",
            "runc",
            "-w",
            place,
        ];
        let mut command = machine.pinfold(&[&args[..], &["--", "/bin/busybox", "pwd"]].concat());
        let output = command.current_dir(machine.path("whole")).output().unwrap();
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (worked, told) = run(elsewhere.to_str().unwrap());
    assert!(!worked, "{told}");
    let word = told.split_once("`--workspace ").unwrap_or_else(|| panic!("{told}")).1;
    let place = word.split('`').next().unwrap();
    let (worked, told) = run(place);
    assert!(worked, "{told}");
    assert!(told.starts_with("/home/u/"), "{told}");
}

/// A socket of a program of this machine is covered and named, one that nobody has any more is just a file, and what the warning
/// says opens it.
#[test]
fn sockets_of_this_machine_are_covered_unless_they_are_named() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let live = machine.path("w/deep dir/live.sock");
    fs_err::create_dir_all(live.parent().unwrap()).unwrap();
    drop(std::os::unix::net::UnixListener::bind(machine.path("w/dead.sock")).unwrap());
    // A program that another test is starting has it, too, until it is executed.
    let begun = std::time::Instant::now();
    while std::os::unix::net::UnixStream::connect(machine.path("w/dead.sock")).is_ok() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(60), "somebody has the socket");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let run = |more: &[&str]| {
        let script = "for socket in dead.sock 'deep dir/live.sock'; do [ -S \"$socket\" ] && echo \"$socket\"; done; true";
        let output = machine.script(&[RUN, more].concat(), script).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (text(output.stdout), text(output.stderr))
    };
    // Control: as long as nobody listens nothing is said.
    assert_eq!(run(&[]), ("dead.sock\n".into(), String::new()));
    let _listener = std::os::unix::net::UnixListener::bind(&live).unwrap();
    let (seen, told) = run(&[]);
    assert_eq!(seen, "dead.sock\n");
    let named = told.split_once("unless you say `-v '").unwrap_or_else(|| panic!("{told}")).1;
    let named = named.split('\'').next().unwrap();
    assert_eq!(named, live.to_str().unwrap());
    assert_eq!(run(&["-v", named]), ("dead.sock\ndeep dir/live.sock\n".into(), String::new()));
}

/// What tells an agent where its key is stands in a file of its own home, which it can change: a line that it wrote stays, and so
/// does the way to the key. The agent's program is the image's shell, which passes over the flag that an agent is started with.
#[test]
fn an_agents_own_configuration_can_be_written_beside_what_a_key_needs() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    machine.project(
        "agents",
        "[[file]]\npath = '/bin/codex'\nmode = '0755'\n\
         content = \"#!/bin/busybox sh\\nshift\\nexec /bin/busybox sh \\\"$@\\\"\\n\"\n\
         [image.labels]\n'dev.pinfold.agent.codex-cli' = '1'\n",
    );
    let built =
        machine.pinfold(&["build", "--offline"]).current_dir(machine.path("agents")).output().unwrap();
    assert!(built.status.success(), "{built:?}");
    let run = |key: bool, script: &str| {
        let workspace = machine.path("w").display().to_string();
        let args = ["run", "--unprotect", ".git", "--offline", "--image", "box", "-w", &workspace];
        let agent = ["--name", "kept", "codex-cli", "--", "-c", script];
        let mut command = machine.pinfold(&[&args[..], &agent].concat());
        if key {
            command.env("OPENAI_API_KEY", "sk-1");
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let says_where = |text: &str| text.matches("base_url = \"http://127.0.0.1:3180/v1\"").count();
    let first =
        run(true, "busybox cat ~/.codex/config.toml; echo '[mcp_servers.foo]' >> ~/.codex/config.toml");
    assert!(first.contains("model_provider = \"pinfold\"\n") && says_where(&first) == 1, "{first}");
    let second = run(true, "busybox cat ~/.codex/config.toml");
    assert!(says_where(&second) == 1 && second.contains("[mcp_servers.foo]\n"), "{second}");
    // Without a key nothing of it is left, and what the agent wrote is.
    assert_eq!(run(false, "busybox cat ~/.codex/config.toml").trim(), "[mcp_servers.foo]");
}
