//! `pinfold login` and `logout` with Debian's docker-registry, and what skopeo makes of the same file. The image is of busybox.
#![expect(clippy::unwrap_used, reason = "these tests run the program, and may fail")]
#![expect(clippy::disallowed_methods, reason = "the tests compare with another tool")]

use std::io::Write as _;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use pinfold_testkit::docker_registry::Auth;
use pinfold_testkit::docker_registry::DockerRegistry;
use pinfold_testkit::machine::Machine;
use pinfold_testkit::registry::USER;

/// The program, whose logins are in `me/auth.json`.
fn pinfold(machine: &Machine, line: &str) -> Command {
    let mut command = machine.pinfold(&line.split_whitespace().collect::<Vec<_>>());
    command.env("REGISTRY_AUTH_FILE", machine.path("me/auth.json"));
    command.env("CONTAINERS_REGISTRIES_CONF", "/dev/null");
    command
}

fn with_stdin(mut command: Command, text: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// Exit code and stderr.
fn told(output: &Output) -> (i32, String) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!said.contains("s3cret"), "{said}");
    (output.status.code().unwrap(), said)
}

fn skopeo(machine: &Machine, words: &[&str]) -> Output {
    Command::new("skopeo")
        .args(words)
        .env("REGISTRY_AUTH_FILE", machine.path("me/auth.json"))
        .output()
        .unwrap()
}

#[test]
fn a_login_serves_pinfold_and_skopeo_until_it_is_taken_away() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let Some(registry) = DockerRegistry::start(Auth::Htpasswd) else { return };
    let host = registry.host();
    let push = || told(&pinfold(&machine, &format!("push {host}/box:1")).output().unwrap());
    let (code, said) = push();
    assert_eq!(code, 5, "{said}");
    let hint = format!("log in with `pinfold login {host}`");
    assert!(said.contains(&hint), "{said}");
    let login = format!("login --user {} --password-stdin {host}", USER.0);
    let (code, said) = told(&with_stdin(pinfold(&machine, &login), "s3cret-wrong\n"));
    assert!(code == 5 && said.contains("denies the login"), "{code} {said}");
    assert!(!machine.path("me/auth.json").exists());
    let (code, said) = told(&with_stdin(pinfold(&machine, &login), &format!("{}\n", USER.1)));
    assert!(code == 0 && said.contains("auth.json"), "{code} {said}");
    assert_eq!(push().0, 0);
    let who = skopeo(&machine, &["login", "--get-login", &host]);
    assert_eq!(String::from_utf8_lossy(&who.stdout).trim(), USER.0);
    let name = format!("docker://{host}/box:1");
    assert!(skopeo(&machine, &["inspect", "--tls-verify=false", "--raw", &name]).status.success());
    let out = pinfold(&machine, &format!("logout {host}")).output().unwrap();
    assert_eq!(told(&out).0, 0);
    assert!(!skopeo(&machine, &["login", "--get-login", &host]).status.success());
    assert_eq!(push().0, 5);
    let (code, said) = told(&pinfold(&machine, &format!("logout {host}")).output().unwrap());
    assert!(code == 2 && said.contains("by the name of the part"), "{code} {said}");
    // And what skopeo keeps serves pinfold.
    let words = ["login", "--tls-verify=false", "--username", USER.0, "--password", USER.1, &host];
    assert!(skopeo(&machine, &words).status.success());
    assert_eq!(push().0, 0);
}

#[test]
fn who_cannot_be_asked_says_it_on_stdin() {
    let Some(machine) = Machine::empty(env!("CARGO_BIN_EXE_pinfold")) else { return };
    fs_err::create_dir(machine.path("project")).unwrap();
    let (code, said) = told(&pinfold(&machine, "login r.example").output().unwrap());
    assert!(code == 2 && said.contains("`--password-stdin`"), "{code} {said}");
    let login = "login -u me --password-stdin r.example";
    for text in ["", "\n", "one\ntwo\n", "a\0b"] {
        let (code, said) = told(&with_stdin(pinfold(&machine, login), text));
        assert!(code == 2 && said.contains("one line is wanted"), "{text:?}: {code} {said}");
    }
    for line in ["login --password-stdin r.example", "login", "login -u me team", "login -p x r.example"] {
        assert_eq!(told(&pinfold(&machine, line).output().unwrap()).0, 2, "{line}");
    }
}

/// Types into a terminal that the program sits at: each text when the words before it have come.
fn typed(mut command: Command, keys: &[(&str, &str)]) -> (i32, String) {
    use rustix::pty::OpenptFlags;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags).unwrap();
    rustix::pty::grantpt(&master).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).unwrap();
    let before = rustix::termios::tcgetattr(&slave).unwrap();
    command.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap());
    let mut child = command.stderr(slave.try_clone().unwrap()).spawn().unwrap();
    let mut seen = String::new();
    let wait = rustix::time::Timespec { tv_sec: 60, tv_nsec: 0 };
    let mut read = |until: &str| {
        let mut buffer = [0; 4096];
        while !seen.contains(until) {
            let mut poll = [rustix::event::PollFd::new(&master, rustix::event::PollFlags::IN)];
            assert!(rustix::event::poll(&mut poll, Some(&wait)).unwrap() > 0, "nothing comes: {seen}");
            let count = rustix::io::read(&master, &mut buffer).unwrap();
            seen.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
        seen.clone()
    };
    for (until, text) in keys {
        read(until);
        rustix::io::write(&master, text.as_bytes()).unwrap();
    }
    let code = child.wait().unwrap().code().unwrap();
    let seen = read("\n");
    let after = rustix::termios::tcgetattr(&slave).unwrap();
    assert_eq!(after.local_modes, before.local_modes, "the terminal stays as it is left");
    (code, seen)
}

#[test]
fn a_password_is_typed_unseen() {
    let Some(machine) = Machine::empty(env!("CARGO_BIN_EXE_pinfold")) else { return };
    fs_err::create_dir(machine.path("project")).unwrap();
    let Some(registry) = DockerRegistry::start(Auth::Htpasswd) else { return };
    let line = format!("login {}", registry.host());
    let password = format!("{}\r", USER.1);
    let asked = format!("User name for {}: ", registry.host());
    let (code, seen) = typed(pinfold(&machine, &line), &[(&asked, "me\r"), ("Password: ", &password)]);
    assert_eq!(code, 0, "{seen}");
    assert!(!seen.contains("s3cret"), "{seen}");
    assert!(machine.path("me/auth.json").exists());
    fs_err::remove_file(machine.path("me/auth.json")).unwrap();
    let (code, seen) = typed(pinfold(&machine, &line), &[(&asked, "me\r"), ("Password: ", "s3cret\x03")]);
    assert!(code == 130 && !seen.contains("s3cret"), "{code} {seen}");
    assert!(!machine.path("me/auth.json").exists());
}
