//! Rows about sealed sandboxes: their key, their queues, their one way out, and being started again.

use std::io::Read;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use fs_err as fs;
use pinfold_base::error::one_line;
use pinfold_network::Credential;
use pinfold_network::RouteSpec;
use pinfold_sandbox::Exit;
use pinfold_sandbox::OciRuntime;
use pinfold_sandbox::Runtime;
use pinfold_sandbox::Sandboxes;
use pinfold_sandbox::Spec;
use pinfold_sandbox::Status;
use pinfold_sandbox::Stdio;
use pinfold_sandbox::spec::CredentialRoute;
use pinfold_sandbox::spec::Exec;
use pinfold_sandbox::spec::Keep;
use pinfold_sandbox::spec::Mount;
use pinfold_sandbox::spec::Network;
use pinfold_sandbox::spec::Restart;
use pinfold_sandbox::spec::Seal;
use pinfold_sandbox::weaken::Weaken;

use crate::host;
use crate::host::CANARIES;
use crate::host::Host;
use crate::outside::soon;
use crate::sessions;
use crate::sessions::by_name;
use crate::sessions::sandboxes;

/// The key of every row: bytes that are in nothing else.
const KEY: &[u8; 32] = b"\x93pinfold-isolation-session-key\xc2\x01";

/// In hexadecimal, as somebody would put it into a variable.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// Queues of a sealed sandbox, on the host.
fn queue(host: &Host, name: &str) -> PathBuf {
    let folder = host.scratch.join(format!("queue-{name}"));
    for directory in ["in", "out"] {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder.join(directory)).unwrap();
    }
    let key = folder.join("key");
    let _ = fs::remove_file(&key);
    fs::write(&key, KEY).unwrap();
    fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    folder
}

/// A sealed sandbox without a route.
fn sealed(host: &Host, name: &str, probe: &str, runtime: Runtime) -> Spec {
    let mut spec = sessions::spec(host, name, probe);
    let folder = queue(host, &spec.name);
    spec.network = Network::None;
    spec.seal = Some(Seal { key: folder.join("key") });
    spec.mounts.push(Mount { exec: Exec::Denied, ..Mount::read_only(folder.join("in"), "/queue/in") });
    spec.mounts.push(Mount { exec: Exec::Denied, ..Mount::writable(folder.join("out"), "/queue/out") });
    if runtime == Runtime::Oci(OciRuntime::Runsc) {
        spec.env.insert(crate::probe::OTHER_KERNEL.into(), "1".into());
    }
    spec
}

fn out(host: &Host, spec: &Spec) -> PathBuf {
    host.scratch.join(format!("queue-{}", spec.name)).join("out")
}

/// The key is in memory for the worker alone, and once that has taken it, nowhere.
pub(crate) fn key(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let mut spec = sealed(host, "key", "sealed-key", runtime);
    by_name(&sandboxes, &spec, runtime, 0)?;
    // Controls: a variable, and a file of the host, have it.
    spec.env.insert("SESSION".into(), hex(KEY));
    by_name(&sandboxes, &spec, runtime, 1)?;
    spec.env.remove("SESSION");
    let copy = host.scratch.join("linked/copy");
    fs::write(&copy, KEY).unwrap();
    spec.mounts.push(Mount::read_only(host.scratch.join("linked"), "/outside"));
    let told = by_name(&sandboxes, &spec, runtime, 1);
    fs::remove_file(copy).unwrap();
    told
}

/// The files that are kept of a sealed sandbox while it runs, and what its runtime is told, have no key.
pub(crate) fn key_outside(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let mut spec = sealed(host, "key-outside", "sealed-steady", runtime);
    spec.home.keep = Keep::Home;
    let found = |spec: &Spec| -> Result<bool, String> {
        sandboxes.open(spec, runtime, 24, 80).map_err(|error| one_line(&error))?;
        soon("the worker does not begin", || out(host, spec).join("began").exists())?;
        let mut places = vec![sandboxes.directory().join(&spec.name)];
        let mut found = false;
        while let Some(place) = places.pop() {
            for entry in fs::read_dir(&place).into_iter().flatten().flatten() {
                let kind = entry.file_type().unwrap();
                if kind.is_dir() {
                    places.push(entry.path());
                } else if kind.is_file() {
                    found |= holds(&fs::read(entry.path()).unwrap_or_default());
                }
            }
        }
        // Of all processes: the supervisor, the runtime, process 1, the program.
        for process in fs::read_dir("/proc").unwrap().flatten() {
            for file in ["cmdline", "environ"] {
                found |= holds(&fs::read(process.path().join(file)).unwrap_or_default());
            }
        }
        sandboxes.stop(&spec.name, Duration::from_secs(10)).map_err(|error| one_line(&error))?;
        sandboxes.remove(&spec.name).map_err(|error| one_line(&error))?;
        fs::remove_file(out(host, spec).join("began")).unwrap();
        Ok(found)
    };
    if found(&spec)? {
        return Err("the key is found outside".into());
    }
    // Control: what is in the specification is found.
    spec.env.insert("SESSION".into(), hex(KEY));
    if found(&spec)? { Ok(()) } else { Err("the control finds nothing".into()) }
}

fn holds(bytes: &[u8]) -> bool {
    let hex = hex(KEY);
    bytes.windows(KEY.len()).any(|window| window == KEY)
        || bytes.windows(hex.len()).any(|window| window.eq_ignore_ascii_case(hex.as_bytes()))
}

/// What comes in cannot be changed, and what goes out is no program.
pub(crate) fn queues(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let mut spec = sealed(host, "queues", "sealed-queues", runtime);
    by_name(&sandboxes, &spec, runtime, 0)?;
    // Controls: each without its flag.
    for index in 0..2 {
        let kept = spec.mounts[index].clone();
        spec.mounts[index] =
            Mount { exec: Exec::Allowed, access: pinfold_sandbox::spec::Access::ReadWrite, ..kept.clone() };
        by_name(&sandboxes, &spec, runtime, 1)?;
        spec.mounts[index] = kept;
    }
    Ok(())
}

/// Another sandbox's queues and key cannot be seen.
pub(crate) fn sibling(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let other = queue(host, "sibling");
    let mut spec = sealed(host, "one", "absent", runtime);
    for name in ["key", "in", "out"] {
        spec.args.push(other.join(name).into());
    }
    spec.args.push("/queue/key".into());
    by_name(&sandboxes, &spec, runtime, 0)?;
    // Control: where its folder is mounted too. Other runtimes make no mount point in the image.
    let inside = if runtime == Runtime::Builtin { other.clone() } else { PathBuf::from("/outside") };
    if runtime != Runtime::Builtin {
        spec.args.push("/outside/key".into());
    }
    spec.mounts.push(Mount::read_only(&other, inside));
    by_name(&sandboxes, &spec, runtime, 1)
}

/// There is no network at all, not even a listener of ours.
pub(crate) fn network(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let mut spec = sealed(host, "network", "sealed-network", runtime);
    spec.network = routes("http://127.0.0.1:1")?;
    by_name(&sandboxes, &spec, runtime, 0)?;
    // Control: a proxy listens.
    spec.seal = None;
    spec.network = Network::Proxy(pinfold_sandbox::spec::Egress::default());
    by_name(&sandboxes, &spec, runtime, 1)
}

/// A network that is there after all is seen from inside, and nothing is started.
pub(crate) fn proof(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let mut spec = sealed(host, "proof", "sealed-steady", runtime);
    spec.home.keep = Keep::Home;
    spec.weaken.insert(Weaken::HostNetwork);
    let begun = |spec: &Spec| {
        let started = sandboxes.open(spec, runtime, 24, 80).map_err(|error| one_line(&error));
        // Another runtime runs process 1 before that has looked.
        let began = started.is_ok() && soon("", || out(host, spec).join("began").exists()).is_ok();
        let told =
            sandboxes.logs(&spec.name).map(|logs| fs::read_to_string(&logs.session[1]).unwrap_or_default());
        let _ = sandboxes.stop(&spec.name, Duration::from_secs(10));
        let _ = sandboxes.remove(&spec.name);
        let _ = fs::remove_file(out(host, spec).join("began"));
        (began, format!("{}{}", started.err().unwrap_or_default(), told.unwrap_or_default()))
    };
    let (began, told) = begun(&spec);
    if began || !told.contains("cannot prove that no network leads out") || !told.contains("is up") {
        return Err(format!("began: {began}, told: {told}"));
    }
    // Control: it is the proof that refuses.
    spec.weaken.insert(Weaken::NetworkProof);
    match begun(&spec) {
        (true, _) => Ok(()),
        (false, told) => Err(format!("the control does not start: {told}")),
    }
}

/// A route to `upstream`.
fn routes(upstream: &str) -> Result<Network, String> {
    let route: RouteSpec = serde_json::from_value(serde_json::json!({
        "id": 1, "name": "sample", "listen-port": 0, "upstream": upstream, "header": "x-api-key",
        "placeholder": "placeholder", "paths": ["/v1/messages"],
    }))
    .map_err(|error| error.to_string())?;
    Ok(Network::Routes(vec![CredentialRoute { route, key: Credential::Env(CANARIES[0].0.into()) }]))
}

/// Answers with what it was asked, but for the key.
fn provider() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
            let mut heard = Vec::new();
            let mut buffer = [0; 4096];
            while !heard.ends_with(b"{}") {
                match stream.read(&mut buffer) {
                    Ok(count @ 1..) => heard.extend_from_slice(&buffer[..count]),
                    _ => break,
                }
            }
            let has = String::from_utf8_lossy(&heard).contains(&format!("x-api-key: {}", CANARIES[0].1));
            let body = if has { "with the key" } else { "without the key" };
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        }
    });
    port
}

/// The model's socket leads to the provider with the key, by the paths that were named; its alias for its host only; nothing else
/// leads anywhere.
pub(crate) fn model(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let mut spec = sealed(host, "model", "sealed-model", runtime);
    let port = provider();
    spec.args.push(format!("127.0.0.1:{port}").into());
    spec.network = routes(&format!("http://127.0.0.1:{port}"))?;
    by_name(&sandboxes, &spec, runtime, 0)?;
    // Control: without the route there is no socket.
    spec.network = Network::None;
    by_name(&sandboxes, &spec, runtime, 1)
}

/// The image is read-only, with a key and queues as without.
pub(crate) fn root(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let mut spec = sealed(host, "root", "sealed-root", runtime);
    by_name(&sandboxes, &spec, runtime, 0)?;
    // Control: a file system in memory, over a directory of the image.
    spec.mounts.push(Mount {
        source: pinfold_sandbox::spec::MountSource::Memory(1 << 20),
        ..Mount::writable("/", "/usr")
    });
    by_name(&sandboxes, &spec, runtime, 1)
}

/// What ends as it may is started again, by a supervisor that has the lock meanwhile and can be stopped.
pub(crate) fn respawn(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let before = host::left_over();
    let mut spec = sealed(host, "respawn", "sealed-fails", runtime);
    spec.home.keep = Keep::Home;
    spec.restart = Restart::OnFailure;
    let lives = |spec: &Spec| fs::read(out(host, spec).join("lives")).unwrap_or_default().len();
    let failed = |error: pinfold_sandbox::SandboxError| one_line(&error);
    // Another runtime's row was here before.
    let _ = fs::remove_file(out(host, &spec).join("lives"));
    // Twice, and then it stays.
    spec.args.extend(["75".into(), "2".into()]);
    sandboxes.open(&spec, runtime, 24, 80).map_err(failed)?;
    soon("it does not wait", || sandboxes.status(&spec.name).is_ok_and(|now| now == Status::Restarting))?;
    let waiting = sandboxes.summary(&spec.name).map_err(failed)?;
    let told = waiting.last.map(|life| (life.exit, life.said));
    if told != Some((Some(Exit::Code(75)), "the provider is away".into())) {
        return Err(format!("{told:?}"));
    }
    if !matches!(sandboxes.remove(&spec.name), Err(pinfold_sandbox::SandboxError::InUse(_))) {
        return Err("it can be removed while it waits".into());
    }
    soon("it is not started again", || lives(&spec) == 3)?;
    soon("it does not run", || sandboxes.status(&spec.name).is_ok_and(|now| now == Status::Running))?;
    let log = fs::read_to_string(&sandboxes.logs(&spec.name).unwrap().session[1]).unwrap_or_default();
    if log.matches("the provider is away").count() != 2 {
        return Err(format!("the log is {log:?}"));
    }
    sandboxes.stop(&spec.name, Duration::from_secs(10)).map_err(failed)?;
    if !matches!(sandboxes.status(&spec.name), Ok(Status::Ended(_))) {
        return Err(format!("{:?} after it was stopped", sandboxes.status(&spec.name)));
    }
    soon("processes are left", || host::left_over().is_subset(&before))?;
    // It can be stopped while it waits, at once.
    fs::remove_file(out(host, &spec).join("lives")).unwrap();
    sandboxes.open(&spec, runtime, 24, 80).map_err(failed)?;
    soon("it does not wait", || sandboxes.status(&spec.name).is_ok_and(|now| now == Status::Restarting))?;
    let begun = Instant::now();
    sandboxes.stop(&spec.name, Duration::from_secs(10)).map_err(failed)?;
    if begun.elapsed() > Duration::from_secs(5) || lives(&spec) > 2 {
        return Err(format!("{:?} and {} lives", begun.elapsed(), lives(&spec)));
    }
    // Controls: what nothing mends ends it, and so does not being asked to go on.
    for (code, restart) in [("77", Restart::OnFailure), ("75", Restart::Never)] {
        fs::remove_file(out(host, &spec).join("lives")).unwrap();
        spec.args.truncate(3);
        spec.args.extend([code.into(), "2".into()]);
        spec.restart = restart;
        sandboxes.open(&spec, runtime, 24, 80).map_err(failed)?;
        let wanted = Status::Ended(Exit::Code(code.parse().unwrap()));
        soon("it does not end", || sandboxes.status(&spec.name).is_ok_and(|now| now == wanted))?;
        if lives(&spec) != 1 {
            return Err(format!("{code}: {} lives", lives(&spec)));
        }
    }
    sandboxes.remove(&spec.name).map_err(failed)
}

/// After five lives that ended at once nothing is started any more.
pub(crate) fn breaker(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let mut spec = sealed(host, "breaker", "sealed-fails", runtime);
    spec.home.keep = Keep::Home;
    spec.restart = Restart::OnFailure;
    spec.args.extend(["75".into(), "100".into()]);
    sandboxes.open(&spec, runtime, 24, 80).map_err(|error| one_line(&error))?;
    let start = Instant::now();
    while sandboxes.status(&spec.name).is_ok_and(Status::is_live) && start.elapsed().as_secs() < 60 {
        std::thread::sleep(Duration::from_millis(50));
    }
    let ended = sandboxes.summary(&spec.name).map_err(|error| one_line(&error))?;
    let lives = fs::read(out(host, &spec).join("lives")).unwrap_or_default().len();
    sandboxes.remove(&spec.name).map_err(|error| one_line(&error))?;
    let failures = ended.last.map(|life| life.failures);
    if (ended.status, lives, failures) == (Status::Ended(Exit::Code(75)), 5, Some(5)) {
        return Ok(());
    }
    Err(format!("{:?}, {lives} lives, {failures:?} failures", ended.status))
}

/// A supervisor that is killed leaves neither its program nor its waiting.
pub(crate) fn killed(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let before = host::left_over();
    let mut spec = sealed(host, "sealed-killed", "sealed-steady", runtime);
    spec.home.keep = Keep::Home;
    spec.restart = Restart::OnFailure;
    let pid = sessions::supervisor_of(|| sandboxes.open(&spec, runtime, 24, 80))?;
    soon("the worker does not begin", || out(host, &spec).join("began").exists())?;
    sessions::signal(pid, rustix::process::Signal::KILL);
    soon("the sandbox outlives its supervisor", || host::left_over().is_subset(&before))?;
    soon("it is not told as killed", || {
        sandboxes.status(&spec.name).is_ok_and(|status| status == Status::Killed)
    })?;
    // Queues and key are as they were, and it can be started anew.
    let key = &spec.seal.as_ref().unwrap().key;
    if fs::read(key).unwrap() != KEY {
        return Err("the key is another".into());
    }
    fs::remove_file(out(host, &spec).join("began")).unwrap();
    sandboxes.open(&spec, runtime, 24, 80).map_err(|error| one_line(&error))?;
    soon("the worker does not begin again", || out(host, &spec).join("began").exists())?;
    sandboxes.stop(&spec.name, Duration::from_secs(10)).map_err(|error| one_line(&error))?;
    sandboxes.remove(&spec.name).map_err(|error| one_line(&error))
}

/// A key that is none, or not the user's alone, starts nothing.
pub(crate) fn bad_key(host: &Host, runtime: Runtime) -> Result<(), String> {
    let sandboxes = sandboxes(host);
    let spec = sealed(host, "bad-key", "sealed-key", runtime);
    let key = spec.seal.as_ref().unwrap().key.clone();
    let refused = |sandboxes: &Sandboxes, key: &Path| match sandboxes.run(&spec, runtime, Stdio::Null) {
        Err(error) if one_line(&error).contains("session key") => Ok(()),
        other => Err(format!("{}: {other:?}", key.display())),
    };
    fs::set_permissions(&key, PermissionsExt::from_mode(0o640)).unwrap();
    refused(&sandboxes, &key)?;
    fs::set_permissions(&key, PermissionsExt::from_mode(0o600)).unwrap();
    fs::write(&key, &KEY[..31]).unwrap();
    refused(&sandboxes, &key)?;
    fs::write(&key, KEY).unwrap();
    // Control: as it was, it starts.
    by_name(&sandboxes, &spec, runtime, 0)
}
