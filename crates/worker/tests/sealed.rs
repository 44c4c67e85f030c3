//! The worker's probes inside a real sealed sandbox: no wall is down there. Then each wall is taken away in turn, and the probe of that
//! wall must see it (the negative control).
//!
//! Rows that this machine cannot start are told; as root none may be missing.
#![expect(clippy::unwrap_used, reason = "a test")]
#![expect(
    clippy::disallowed_methods,
    reason = "a test program without the standard harness reports for itself"
)]

mod host;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::time::Duration;
use std::time::Instant;

use fs_err as fs;
use host::Host;
use pinfold_network::Credential;
use pinfold_network::RouteSpec;
use pinfold_queue::Content;
use pinfold_queue::Message;
use pinfold_queue::message::Probe;
use pinfold_sandbox::Runtime;
use pinfold_sandbox::Sandboxes;
use pinfold_sandbox::Spec;
use pinfold_sandbox::spec::CredentialRoute;
use pinfold_sandbox::spec::Exec;
use pinfold_sandbox::spec::HomeDirectory;
use pinfold_sandbox::spec::Keep;
use pinfold_sandbox::spec::Mount;
use pinfold_sandbox::spec::Network;
use pinfold_sandbox::spec::Seal;
use pinfold_sandbox::weaken::Weaken;

/// What the sandbox has mounted.
const MOUNTS: [&str; 11] = [
    "/queue/in",
    "/queue/out",
    "/run/pinfold",
    "/run/ironclaw",
    "/workspace",
    "/memory",
    "/tmp",
    "/run",
    "/run/lock",
    "/sandbox",
    "/run/pinfold/egress.sock",
];

/// What a row came to: its verdict and what was seen.
type Rows = BTreeMap<String, (String, String)>;

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// An image of the worker alone.
fn image(host: &Host) {
    let root = host.path("root");
    for folder in [
        "proc",
        "dev",
        "sys",
        "tmp",
        "etc",
        "queue/in",
        "queue/out",
        "run/pinfold",
        "run/ironclaw",
        "workspace",
        "memory",
    ] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    fs::copy(env!("CARGO_BIN_EXE_pinfold-worker"), root.join("sandbox")).unwrap();
    fs::write(root.join("etc/passwd"), "agent:x:65532:65532::/memory:/sandbox\n").unwrap();
    fs::write(root.join("etc/group"), "agent:x:65532:\n").unwrap();
}

fn spec(host: &Host) -> Spec {
    let words =
        ["/sandbox", "--id", host::NAME, "--provider", "anthropic", "--model", "m", "--route", "sample"];
    let mut spec = Spec::new(host::NAME, host.path("root"), words.iter().map(Into::into).collect());
    let key = host.path("key");
    fs::write(&key, host.key.expose()).unwrap();
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    spec.user = pinfold_sandbox::spec::Ids { uid: 65532, gid: 65532 };
    spec.cwd = "/workspace".into();
    spec.env.clear();
    spec.home = HomeDirectory { target: "/memory".into(), keep: Keep::Run };
    spec.mounts.push(Mount { exec: Exec::Denied, ..Mount::read_only(host.path("queue/in"), "/queue/in") });
    spec.mounts.push(Mount { exec: Exec::Denied, ..Mount::writable(host.path("queue/out"), "/queue/out") });
    spec.mounts.push(Mount { exec: Exec::Denied, ..Mount::writable(host.path("workspace"), "/workspace") });
    spec.seal = Some(Seal { key });
    let route: RouteSpec = serde_json::from_value(serde_json::json!({
        "id": 1, "name": "sample", "listen-port": 0, "upstream": "http://127.0.0.1:1", "header": "x-api-key",
        "placeholder": "placeholder", "paths": ["/v1/messages"],
    }))
    .unwrap();
    spec.network = Network::Routes(vec![CredentialRoute { route, key: Credential::Env("PATH".into()) }]);
    spec
}

/// Starts a sandbox with some walls down, and asks its worker what it sees.
fn rows(weaken: &[Weaken]) -> Result<Rows, String> {
    let mut host = Host::new();
    image(&host);
    fs::create_dir(host.path("sibling")).unwrap();
    fs::write(host.path("sibling/queue"), "x").unwrap();
    let mut spec = spec(&host);
    let own = host.path("sibling").to_string_lossy().into_owned();
    spec.weaken = weaken
        .iter()
        .cloned()
        .map(|one| if let Weaken::HostTree(_) = one { Weaken::HostTree(own.clone()) } else { one })
        .collect();
    let list = serde_json::json!({ "mounts": MOUNTS, "absent": [own] });
    let probe = Message::new(Content::Probe(Probe { list })).unwrap();
    host.put(&probe);
    let sandboxes = Sandboxes::new(host.path("sandboxes"));
    let said = |error: pinfold_sandbox::SandboxError| {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source {
            text.push_str(&format!(": {inner}"));
            source = inner.source();
        }
        text
    };
    sandboxes.open(&spec, Runtime::Builtin, 24, 80).map_err(said)?;
    let until = Instant::now() + Duration::from_secs(60);
    let result = loop {
        let found = host.out().into_values().find(|message| host::ends(message, probe.id));
        if let Some(message) = found {
            break Ok(message.content);
        }
        let status = sandboxes.status(host::NAME).map_err(said)?;
        if Instant::now() > until || status != pinfold_sandbox::Status::Running {
            let log = sandboxes.logs(host::NAME).map_err(said)?;
            let log = log.session.map(|log| fs::read_to_string(log).unwrap_or_default()).concat();
            break Err(format!("{status:?}, no answer: {log}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let _ = sandboxes.stop(host::NAME, Duration::from_secs(5));
    let _ = sandboxes.remove(host::NAME);
    let Content::ProbeResult(result) = result? else { return Err("it answers otherwise".into()) };
    let text = |row: &serde_json::Value, field: &str| row[field].as_str().unwrap_or_default().to_owned();
    Ok(result["probes"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|row| (text(row, "name"), (text(row, "verdict"), text(row, "seen"))))
        .collect())
}

/// Each wall with the row that sees it down.
fn controls() -> Vec<(Vec<Weaken>, &'static str)> {
    vec![
        (vec![Weaken::HostNetwork, Weaken::NetworkProof], "net.interfaces"),
        (vec![Weaken::ExtraMount("/tmp/extra".into())], "mounts.only-those"),
        (vec![Weaken::HostTree(String::new())], "host.paths-absent"),
        // Each of the three sets it.
        (vec![Weaken::NewPrivileges, Weaken::Seccomp, Weaken::Landlock], "process.no-new-privileges"),
        (vec![Weaken::Seccomp], "process.filter"),
        (vec![Weaken::WritableRoot], "root.read-only"),
        (vec![Weaken::MoreDevices("kmsg".into())], "kernel.devices"),
    ]
}

fn main() {
    pinfold_sandbox::dispatch(None);
    let mut wrong = Vec::new();
    match rows(&[]) {
        Err(why) => wrong.push(format!("no sealed sandbox is started: {why}")),
        Ok(rows) => {
            for (name, (verdict, seen)) in &rows {
                say(&format!("{verdict}  {name}: {seen}"));
                if verdict == "fail" {
                    wrong.push(format!("{name} fails without a reason: {seen}"));
                }
            }
            if rows.len() < 30 {
                wrong.push(format!("{} rows", rows.len()));
            }
        }
    }
    for (walls, name) in controls() {
        match rows(&walls) {
            Err(why) => wrong.push(format!("{walls:?}: {why}")),
            Ok(rows) => match rows.get(name) {
                Some((verdict, seen)) if verdict == "fail" => {
                    say(&format!("control  {name} sees {walls:?}: {seen}"));
                }
                other => wrong.push(format!("{name} does not see {walls:?}: {other:?}")),
            },
        }
    }
    for line in &wrong {
        say(&format!("FAIL {line}"));
    }
    assert!(wrong.is_empty(), "{} rows failed", wrong.len());
}
