use std::collections::BTreeMap;
use std::collections::BTreeSet;

use serde_json::Value;

use super::export::Agent;
use super::export::Isolation;
use super::export::Nodes;
use super::export::Program;
use super::export::Proxy;
use super::export::Users;
use super::*;
use crate::judge;
use crate::judge::Document;
use crate::judge::Judging;

fn export(form: Form) -> Export {
    Export {
        name: "claude-code-demo".into(),
        namespace: "pinfold".into(),
        form,
        agent: Agent {
            image: format!("registry.example/team/agents@sha256:{}", "a".repeat(64)),
            uid: 1000,
            gid: 1000,
            home: "/home/agent".into(),
            env: BTreeMap::from([
                ("HOME".into(), "/home/agent".into()),
                ("NO".into(), "no".into()),
                ("HTTPS_PROXY".into(), "http://127.0.0.1:3128".into()),
            ]),
            writable: BTreeSet::from(["/var/tmp".into()]),
            workspace: "/workspace".into(),
            content: Workspace::Empty { size: 8 << 30 },
            program: Program::Image,
            pod: "{\n  \"version\": 1\n}\n".into(),
            home_files: BTreeMap::new(),
            memory: 4 << 30,
            cpu_milli: 1500,
        },
        proxy: Proxy {
            image: format!("registry.example/team/proxy@sha256:{}", "b".repeat(64)),
            config: "listen = \"0.0.0.0:8443\"\n".into(),
            address: "10.96.0.80".parse().unwrap(),
            replicas: 2,
            ports: BTreeSet::from([443]),
            keys: BTreeSet::from(["ANTHROPIC_API_KEY".into()]),
            drain: 30,
        },
        isolation: Isolation::default(),
        pull_secrets: Vec::new(),
        lifetime: 28_800,
    }
}

fn until() -> String {
    "2026-12-01T18:00:00Z".into()
}

/// The forms whose objects were reviewed.
fn forms() -> Vec<(&'static str, Export)> {
    let sandbox = export(Form::Sandbox { until: until() });
    let mut pool = export(Form::Pool { warm: 100, most: 200, until: until() });
    pool.agent.content = Workspace::Claim { size: 20 << 30 };
    let mut pod = export(Form::Pod);
    pod.agent.content = Workspace::Claim { size: 20 << 30 };
    pod.agent.home_files = BTreeMap::from([(".codex/config.toml".into(), "a = \"b\"\n".into())]);
    pod.pull_secrets = vec!["registry".into()];
    pod.isolation = Isolation { users: Users::Own, ..Isolation::default() };
    pod.agent.program = Program::Volume;
    let tasks = vec!["Say no".into(), "1e3".into(), "Two\nlines".into()];
    let mut job = export(Form::Job { tasks, parallelism: 2 });
    job.agent.program = Program::Copy;
    job.agent.content =
        Workspace::Git { size: 8 << 30, clone: "{\n  \"version\": 1,\n  \"clone\": true\n}\n".into() };
    let mut gke = sandbox.clone();
    gke.isolation = Isolation { nodes: Nodes::GkeSandbox, ..Isolation::default() };
    gke.agent.program = Program::Copy;
    gke.agent.content = Workspace::Claim { size: 20 << 30 };
    vec![("sandbox", sandbox), ("pool", pool), ("pod", pod), ("job", job), ("gke", gke)]
}

fn whole(export: &Export) -> String {
    let parts = files(export).into_iter().flat_map(|file| [format!("## {}\n", file.name), file.text]);
    parts.collect()
}

/// Every document of a text.
fn documents(text: &str) -> Vec<Value> {
    let parts = text.split("---\n").filter(|part| part.lines().any(|line| !line.starts_with('#')));
    parts.map(|part| serde_saphyr::from_str(part).unwrap_or_else(|error| panic!("{error}: {part}"))).collect()
}

/// What was reviewed. `SNAPSHOTS=overwrite` writes it anew.
#[test]
fn objects_are_those_that_were_reviewed() {
    for (name, export) in forms() {
        let path = format!("{}/src/objects/reviewed/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
        let text = whole(&export);
        if std::env::var_os("SNAPSHOTS").is_some_and(|value| value == "overwrite") {
            fs_err::create_dir_all(std::path::Path::new(&path).parent().unwrap()).unwrap();
            fs_err::write(&path, &text).unwrap();
        }
        let reviewed = fs_err::read_to_string(&path).unwrap();
        assert!(reviewed == text, "`{name}` differs from `{path}`:\n{text}");
    }
}

#[test]
fn equal_values_give_equal_bytes() {
    for (first, second) in forms().iter().zip(forms()) {
        assert_eq!(whole(&first.1), whole(&second.1));
    }
}

#[test]
fn a_reader_finds_what_was_meant() {
    let export = export(Form::Sandbox { until: until() });
    let all: Vec<Value> = files(&export).iter().flat_map(|file| documents(&file.text)).collect();
    let kinds: Vec<&str> = all.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        [
            "Namespace",
            "Namespace",
            "NetworkPolicy",
            "NetworkPolicy",
            "NetworkPolicy",
            "NetworkPolicy",
            "ServiceAccount",
            "ConfigMap",
            "Service",
            "PodDisruptionBudget",
            "Deployment",
            "ServiceAccount",
            "ConfigMap",
            "Sandbox",
            "Secret",
            "Secret",
            "Secret",
            "Kustomization",
        ]
    );
    let sandbox = all.iter().find(|object| object["kind"] == "Sandbox").unwrap();
    let container = &sandbox["spec"]["podTemplate"]["spec"]["containers"][0];
    let no = container["env"].as_array().unwrap().iter().find(|variable| variable["name"] == "NO").unwrap();
    assert_eq!(no["value"], "no");
    assert_eq!(sandbox["spec"]["shutdownTime"], until());
    // What is secret is a name here.
    let secrets = all.iter().filter(|object| object["kind"] == "Secret");
    assert!(secrets.clone().count() > 0 && secrets.clone().all(|secret| secret.get("data").is_none()));
    let applied = stream(&files(&export));
    assert!(!applied.contains("kind: Secret") && applied.contains("kind: Sandbox"));
}

#[test]
fn the_judge_finds_nothing_in_what_is_written() {
    for (name, export) in forms() {
        let document = |file: File| Document { file: file.name.into(), text: file.text.into_bytes() };
        let documents: Vec<Document> = files(&export).into_iter().map(document).collect();
        // That which mounts an image is for versions that do.
        let oldest = if name == "pod" { judge::Minor::new(35).unwrap() } else { judge::Minor::OLDEST };
        let judging = Judging {
            nodes: if name == "gke" { judge::Nodes::Gke } else { judge::Nodes::Any },
            versions: oldest..=judge::Minor::NEWEST,
            ..Judging::new(|_, _| None)
        };
        let report = judge::judge(&documents, &judging);
        let told: Vec<String> = report.findings.iter().map(|finding| format!("{finding:?}")).collect();
        assert!(told.is_empty() && report.objects > 10, "{name}: {}", told.join("\n"));
    }
}

/// Every path that a container writes to is a volume, and every mount has one.
#[test]
fn mounts_and_volumes_belong_together() {
    for (name, export) in forms() {
        let pod = serde_json::to_value(agent::pod(&export)).unwrap();
        let names = |of: &Value| -> BTreeSet<String> {
            of.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
        };
        let mut volumes = names(&pod["volumes"]);
        if name == "pool" {
            assert!(volumes.insert("workspace".into()), "the template has it");
        }
        let containers = pod["containers"].as_array().unwrap().iter();
        let all = containers.chain(pod["initContainers"].as_array().unwrap());
        let mounted: BTreeSet<String> = all.flat_map(|container| names(&container["volumeMounts"])).collect();
        assert_eq!(volumes, mounted, "{name}");
        let paths: Vec<&Value> = pod["containers"][0]["volumeMounts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|mount| &mount["mountPath"])
            .collect();
        for path in ["/home/agent", "/tmp", "/workspace", "/var/tmp", "/run/pinfold/run"] {
            assert!(paths.contains(&&Value::from(path)), "{name} {path}");
        }
    }
}

/// Process 1 of the container that clones proves first, and ends with the same code.
#[test]
fn a_job_ends_when_any_container_finds_another_way_out() {
    let (_, job) = forms().into_iter().find(|(name, _)| *name == "job").unwrap();
    let file = files(&job).into_iter().find(|file| file.name == "job.yaml").unwrap();
    let job = &documents(&file.text)[0]["spec"];
    let clones = job["template"]["spec"]["initContainers"].as_array().unwrap().iter();
    assert!(clones.map(|container| &container["name"]).any(|name| name == "clone"));
    let rule = &job["podFailurePolicy"]["rules"][0];
    assert_eq!(rule["action"], "FailJob");
    assert_eq!(rule["onExitCodes"], serde_json::json!({ "operator": "In", "values": [78] }));
}

#[test]
fn tasks_are_in_as_many_objects_as_they_need() {
    let tasks: Vec<String> = (0..1000).map(|number| format!("{number} {}", "x".repeat(2000))).collect();
    let parts = parts(&tasks);
    assert_eq!(parts.len(), 11);
    assert_eq!(parts.iter().map(|(_, texts)| texts.len()).sum::<usize>(), 1000);
    for (first, texts) in &parts {
        assert!(texts[0].starts_with(&format!("{first} ")));
        assert!(texts.iter().map(String::len).sum::<usize>() <= TASKS_BYTES);
    }
    // kubectl notes the whole object in an annotation; the server takes 256 KiB of them.
    let hard: Vec<String> = (0..1000).map(|_| "<\u{1}\"\\&".repeat(100)).collect();
    for (_, texts) in super::parts(&hard) {
        let note = serde_json::to_string(texts).unwrap().replace(['<', '&'], "123456");
        assert!(note.len() < 262_144 - 4096, "{}", note.len());
    }
    let text = whole(&export(Form::Job { tasks, parallelism: 10 }));
    assert!(text.contains("name: claude-code-demo-tasks-10\n") && text.contains("completions: 1000\n"));
}

#[test]
fn secrets_are_in_the_stream_for_a_pipe_and_in_no_debug_output() {
    let secrets = secrets::Secrets {
        namespace: "pinfold".into(),
        proxy_namespace: "pinfold-proxy".into(),
        tls: Some(secrets::Tls {
            authority: "CA".into(),
            certificate: "CERT".into(),
            key: "canary-1".into(),
        }),
        identities: BTreeMap::from([(0, BTreeMap::from([("demo".into(), "demo 00 p\n".into())]))]),
        keys: Some(BTreeMap::from([("ANTHROPIC_API_KEY".into(), "canary-2".into())])),
        tokens: BTreeMap::from([("demo-token".into(), "canary-3".into())]),
    };
    let all = documents(&secrets.stream());
    let found: Vec<(&str, &str, &str)> = all
        .iter()
        .map(|object| {
            let text = |value: &'_ Value| -> String { value.as_str().unwrap_or_default().to_owned() };
            let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
            (
                leak(text(&object["kind"])),
                leak(text(&object["metadata"]["namespace"])),
                leak(text(&object["metadata"]["name"])),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("ConfigMap", "pinfold", "pinfold-proxy-ca"),
            ("Secret", "pinfold-proxy", "pinfold-proxy-tls"),
            ("Secret", "pinfold-proxy", "pinfold-proxy-identities"),
            ("Secret", "pinfold-proxy", "pinfold-proxy-keys"),
            ("Secret", "pinfold", "demo-token"),
        ]
    );
    // base64 of canary-3
    assert_eq!(all[4]["data"]["token"], "Y2FuYXJ5LTM=");
    assert!(!format!("{secrets:?}").contains("canary"));
}
