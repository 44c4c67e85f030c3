//! What the host runs for a key, while an agent can write to it.

use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use fs_err as fs;
use pinfold_base::error::one_line;
use pinfold_network::Credential;
use pinfold_network::CredentialError;
use pinfold_network::Place;
use pinfold_network::Surroundings;
use pinfold_sandbox::Exit;
use pinfold_sandbox::Runtime;
use pinfold_sandbox::Stdio;
use pinfold_sandbox::spec::CredentialRoute;
use pinfold_sandbox::spec::Egress;
use pinfold_sandbox::spec::Mount;
use pinfold_sandbox::spec::Network;

use crate::host::Host;
use crate::sessions;

/// A provider that takes no key, so that each request asks for another one.
fn provider() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer);
            let _ = stream
                .write_all(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    port
}

/// A key's program in the workspace. Where places of a sandbox are known it is not taken at all; where one came to be
/// agreed to, the agent rewrites it between two requests, and its new form is not run.
pub(crate) fn rewritten(host: &Host, runtime: Runtime) -> Result<(), String> {
    let work = host.scratch.join("keyed");
    let mark = host.scratch.join("keyed-mark");
    let _ = fs::remove_file(&mark);
    let _ = fs::remove_dir_all(&work);
    fs::create_dir(&work).unwrap();
    let program = work.join("getkey.sh");
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
    let held = words(&[program.to_str().unwrap()]);
    // The shell looks for the program when it runs: nothing holds it. It is read and not executed, because a runtime may
    // still have it open for writing.
    let unheld = words(&["sh", "-c", &format!(". {}", program.display())]);
    let nowhere = Surroundings { path: "/usr/bin:/bin".into(), ..Surroundings::default() };
    let known = Surroundings { places: vec![Place::writable(&work, "the workspace")], ..nowhere.clone() };
    for (command, is_held) in [(&held, true), (&unheld, false)] {
        fs::write(&program, "#!/bin/sh\necho sk-canary\n").unwrap();
        fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        match Credential::command(command, &known) {
            Err(CredentialError::Within { .. }) => {}
            other => return Err(format!("taken from the workspace: {other:?}")),
        }
        let key = Credential::command(command, &nowhere).map_err(|error| one_line(&error))?;
        let mut spec = sessions::spec(host, "keyed", "rekey");
        spec.args.extend([mark.display().to_string(), u16::from(is_held).to_string()]);
        spec.mounts.push(Mount::writable(&work, "/workspace"));
        let upstream = format!("http://127.0.0.1:{}", provider());
        let route = serde_json::from_value(serde_json::json!({
            "id": 1, "name": "provider", "listen-port": 3180, "upstream": upstream, "header": "x-api-key",
            "placeholder": "placeholder", "paths": ["/v1/"], "reach": "private",
        }));
        let routes = vec![CredentialRoute { route: route.unwrap(), key }];
        spec.network = Network::Proxy(Egress { allow: Vec::new(), routes });
        match sessions::sandboxes(host).run(&spec, runtime, Stdio::Null) {
            Ok(Exit::Code(0)) => {}
            other => return Err(format!("held {is_held}: {other:?}")),
        }
        if Path::exists(&mark) == is_held {
            return Err(format!(
                "held {is_held}: the agent's form was {}run",
                if is_held { "" } else { "not " }
            ));
        }
    }
    Ok(())
}
