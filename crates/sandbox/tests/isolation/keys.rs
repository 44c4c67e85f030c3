//! What the host runs, for a key or as a runtime, while an agent can write to it.

use std::ffi::OsStr;
use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use fs_err as fs;
use pinfold_base::error::one_line;
use pinfold_network::Credential;
use pinfold_network::CredentialError;
use pinfold_network::Place;
use pinfold_network::Surroundings;
use pinfold_sandbox::Exit;
use pinfold_sandbox::Runtime;
use pinfold_sandbox::Spec;
use pinfold_sandbox::Stdio;
use pinfold_sandbox::spec::CredentialRoute;
use pinfold_sandbox::spec::Egress;
use pinfold_sandbox::spec::Mount;
use pinfold_sandbox::spec::Network;

use crate::host;
use crate::host::Host;
use crate::probe::keys;
use crate::sessions;

/// A provider that takes no key, so that each request asks for another one.
fn provider() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            // The whole head: a connection that is closed on what was not read takes the answer along.
            let mut head = Vec::new();
            let mut buffer = [0; 4096];
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(length @ 1..) => head.extend_from_slice(&buffer[..length]),
                    _ => break,
                }
            }
            let _ = stream
                .write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    port
}

/// What a provider says of a key, and the proxy where there is none.
const TAKEN: &str = "401";
const NO_KEY: &str = "403";

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// A workspace with the program of a key that tells when the agent's form of it is run.
struct Keyed {
    work: PathBuf,
    program: PathBuf,
    mark: PathBuf,
}

impl Keyed {
    fn new(host: &Host, name: &str) -> Self {
        let work = host.scratch.join(name);
        let _ = fs::remove_dir_all(&work);
        fs::create_dir(&work).unwrap();
        Self { program: work.join("getkey.sh"), mark: host.scratch.join(format!("{name}-mark")), work }
    }

    /// Another process writes it: what this one has open for writing, children of its other rows have too until they start
    /// their programs, and a file that anybody has open for writing cannot be executed.
    fn write(&self) {
        let _ = fs::remove_file(&self.mark);
        let text = "printf '#!/bin/sh\\necho sk-canary\\n' > \"$0\" && chmod 755 \"$0\"";
        let status = std::process::Command::new("sh").args(["-c", text]).arg(&self.program).status();
        assert!(status.unwrap().success());
    }

    /// Whether two requests of an agent, which rewrites the program in between, end with these.
    fn ask(&self, host: &Host, key: Credential, answers: [&str; 2], runtime: Runtime) -> Result<(), String> {
        let mut spec = sessions::spec(host, "keyed", "rekey");
        spec.args.push(self.mark.clone().into());
        spec.args.extend(words(&answers).into_iter().map(Into::into));
        spec.mounts.push(Mount::writable(&self.work, "/workspace"));
        let upstream = format!("http://127.0.0.1:{}", provider());
        let route = serde_json::from_value(serde_json::json!({
            "id": 1, "name": "provider", "listen-port": 3180, "upstream": upstream, "header": "x-api-key",
            "placeholder": "placeholder", "paths": ["/v1/"], "reach": "private",
        }));
        let routes = vec![CredentialRoute { route: route.unwrap(), key }];
        spec.network = Network::Proxy(Egress { allow: Vec::new(), routes });
        match sessions::sandboxes(host).run(&spec, runtime, Stdio::Null) {
            Ok(Exit::Code(0)) => Ok(()),
            other => {
                let complaint = fs::read_to_string(self.work.join(keys::COMPLAINT)).unwrap_or_default();
                Err(format!("{answers:?}: {other:?} {complaint}"))
            }
        }
    }
}

/// A key's program in the workspace. Where places of a sandbox are known it is not taken at all; where one came to be
/// agreed to, the agent rewrites it between two requests, and its new form is not run.
pub(crate) fn rewritten(host: &Host, runtime: Runtime) -> Result<(), String> {
    let keyed = Keyed::new(host, "keyed");
    let held = words(&[keyed.program.to_str().unwrap()]);
    // The shell looks for the program when it runs: nothing holds it. It is read and not executed, because a runtime may
    // still have it open for writing.
    let unheld = words(&["sh", "-c", &format!(". {}", keyed.program.display())]);
    let nowhere = Surroundings { path: "/usr/bin:/bin".into(), ..Surroundings::default() };
    let known =
        Surroundings { places: vec![Place::writable(&keyed.work, "the workspace")], ..nowhere.clone() };
    for (command, is_held) in [(&held, true), (&unheld, false)] {
        keyed.write();
        match Credential::command(command, &known) {
            Err(CredentialError::Within { .. }) => {}
            other => return Err(format!("taken from the workspace: {other:?}")),
        }
        let key = Credential::command(command, &nowhere).map_err(|error| one_line(&error))?;
        keyed.ask(host, key, [TAKEN, if is_held { NO_KEY } else { TAKEN }], runtime)?;
        if keyed.mark.exists() == is_held {
            return Err(format!(
                "held {is_held}: the agent's form was {}run",
                if is_held { "" } else { "not " }
            ));
        }
    }
    Ok(())
}

/// A folder of the user's own programs has a link to one in the workspace, and what prints the key looks for it by itself. Where
/// places of a sandbox are known the folder is none for it; where they are not, the agent's program is run, and, by those that
/// nobody could look into, in its new form too.
pub(crate) fn linked(host: &Host, runtime: Runtime) -> Result<(), String> {
    let keyed = Keyed::new(host, "linked-key");
    let own = host.scratch.join("own-programs");
    let _ = fs::remove_dir_all(&own);
    fs::create_dir(&own).unwrap();
    fs::set_permissions(&own, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink(&keyed.program, own.join("mykey")).unwrap();
    let nowhere =
        Surroundings { path: format!("{}:/usr/bin:/bin", own.display()).into(), ..Surroundings::default() };
    let known =
        Surroundings { places: vec![Place::writable(&keyed.work, "the workspace")], ..nowhere.clone() };
    // Of a program that is known to start another, that one is held to. Read by a shell it is not executed, because a runtime
    // may still have it open for writing.
    for (command, second) in [
        (&["timeout", "30", "mykey"][..], NO_KEY),
        (&["env", "timeout", "30", "mykey"], NO_KEY),
        (&["sh", "-c", ". mykey"], TAKEN),
        (&["find", "/etc/passwd", "-exec", "sh", "-c", ". mykey", ";"], TAKEN),
    ] {
        let command = words(command);
        keyed.write();
        // Refused at once, or without a key when it is asked.
        if let Ok(key) = Credential::command(&command, &known) {
            keyed.ask(host, key, [NO_KEY, NO_KEY], runtime).map_err(|text| format!("{command:?}: {text}"))?;
        }
        if keyed.mark.exists() {
            return Err(format!("{command:?}: the agent's program was run"));
        }
        keyed.write();
        let key = Credential::command(&command, &nowhere).map_err(|error| one_line(&error))?;
        let control = keyed.ask(host, key, [TAKEN, second], runtime);
        control.map_err(|text| format!("the control of {command:?}: {text}"))?;
        if keyed.mark.exists() != (second == TAKEN) {
            return Err(format!(
                "the control of {command:?} left {} mark",
                if second == TAKEN { "no" } else { "a" }
            ));
        }
    }
    Ok(())
}

/// The workspace's own folder of programs is first in `PATH`, as environments of projects have it, with programs in it that
/// tell on whoever runs them. They are passed over; where `PATH` has nothing else a runtime is refused.
pub(crate) fn programs(host: &Host, runtime: Runtime) -> Result<(), String> {
    let work = host.scratch.join("programs");
    let _ = fs::remove_dir_all(&work);
    fs::create_dir_all(work.join("bin")).unwrap();
    let mark = work.join("ran");
    for name in ["runc", "runsc", "newuidmap", "newgidmap", "git", "npm", "sh"] {
        let program = work.join("bin").join(name);
        fs::write(&program, format!("#!/bin/sh\n: > {}\n", mark.display())).unwrap();
        fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let sandboxes = sessions::sandboxes(host);
    let usual = std::env::var_os("PATH").unwrap_or_default();
    let bin = work.join("bin");
    let before =
        std::env::join_paths([bin.clone()].into_iter().chain(std::env::split_paths(&usual))).unwrap();
    let mut spec = sessions::spec(host, "programs", "nothing");
    let run = |spec: &Spec, path: &OsStr| {
        let mut command = host::foreground_command(&sandboxes, spec, runtime, "null");
        let output = command.env("PATH", path).stdin(std::process::Stdio::null()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    spec.mounts.push(Mount::writable(&work, "/workspace"));
    match run(&spec, &before) {
        (Some(0), _) => {}
        other => return Err(format!("with others after it: {other:?}")),
    }
    match (runtime, run(&spec, bin.as_os_str())) {
        (Runtime::Builtin, (Some(0), _)) => {}
        (Runtime::Oci(_), (Some(125), text)) if text.contains("a sandbox may write to") => {}
        (_, other) => return Err(format!("with nothing after it: {other:?}")),
    }
    if mark.exists() {
        return Err("a program of the workspace was run".into());
    }
    // Control: of a directory that no sandbox is given they are run, and the built-in runtime, which runs none, would tell.
    spec.mounts.clear();
    if runtime == Runtime::Builtin {
        let status = std::process::Command::new(bin.join("newuidmap")).status();
        status.map_err(|error| format!("the control: {error}"))?;
    } else {
        run(&spec, bin.as_os_str());
    }
    if mark.exists() { Ok(()) } else { Err("the control left no mark".into()) }
}
