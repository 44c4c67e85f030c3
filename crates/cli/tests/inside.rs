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
