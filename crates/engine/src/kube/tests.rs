use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use pinfold_base::Diagnose as _;
use pinfold_kube::objects;
use pinfold_kube::objects::export::Export;
use pinfold_kube::objects::export::Workspace;
use pinfold_network::KeyHeader;
use pinfold_network::RouteAddresses;
use pinfold_network::RouteId;
use pinfold_network::RouteSpec;
use pinfold_sandbox::pod::PodTask;
use pinfold_sandbox::spec::Ids;

use super::clone::Clone as Repository;
use super::export::Parts;
use super::export::is_time;
use super::*;
use crate::proxy::ProxyFile;
use crate::run::Request;
use crate::run::cluster::Described;
use crate::run::cluster::Route;

pub(super) const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

pub(super) fn wish() -> Wish {
    Wish {
        request: Request { agent: Some("claude-code@demo".into()), ..Request::default() },
        name: None,
        namespace: "pinfold".into(),
        form: FormWish::Sandbox,
        push: None,
        proxy_image: Some(format!("registry.example/proxy@{DIGEST}")),
        proxy_address: Some("10.96.0.80".parse().unwrap()),
        replicas: 2,
        isolation: Isolation::default(),
        workspace: WorkspaceWish::Empty(None),
        program: Program::Image,
        pull_secrets: Vec::new(),
        lifetime: Duration::from_secs(3600),
        until: Some("2026-12-31T18:00:00Z".into()),
        probes: vec!["10.1.2.3:5432".parse().unwrap()],
        accept: Vec::new(),
    }
}

fn described() -> Described {
    let spec = RouteSpec {
        id: RouteId(1),
        name: "claude-code".into(),
        listen_port: 3180,
        upstream: "https://api.anthropic.com".parse().unwrap(),
        header: KeyHeader::XApiKey,
        placeholder: "placeholder".into(),
        paths: vec!["/v1".into()],
        request: pinfold_network::RequestRules::default(),
        reach: RouteAddresses::Public,
        set_headers: BTreeMap::new(),
        append_headers: BTreeMap::new(),
    };
    Described {
        root: PathBuf::from("/nowhere"),
        user: Ids { uid: 1000, gid: 1000 },
        home: "/home/agent".into(),
        env: BTreeMap::from([("HOME".into(), "/home/agent".into())]),
        args: vec!["claude".into(), "-p".into(), "{task}".into()],
        allow: vec!["*.example.org".into(), "tcp:git.example:22".into(), "a.example:8443".into()],
        routes: vec![Route { spec, variable: "ANTHROPIC_API_KEY".into(), key: None }],
        home_files: BTreeMap::new(),
        notes: Vec::new(),
        volumes: BTreeSet::from(["/var/tmp".into()]),
        memory: None,
        cpu_milli: Some(500),
    }
}

pub(super) fn exported(wish: &Wish, form: Form) -> Export {
    let name = wish.name().unwrap();
    let clone = match &wish.workspace {
        WorkspaceWish::Git(url) => Some(Repository::of(url).unwrap()),
        _ => None,
    };
    let described = described();
    let address = wish.proxy_address.unwrap();
    let parts = Parts { wish, described: &described, address, name: &name, clone: clone.as_ref() };
    Export {
        agent: parts.agent(format!("registry.example/agents@{DIGEST}"), &form).unwrap(),
        proxy: parts.proxy(wish.proxy_image.clone().unwrap()).unwrap(),
        namespace: wish.namespace.clone(),
        form,
        isolation: wish.isolation.clone(),
        pull_secrets: Vec::new(),
        lifetime: wish.lifetime.as_secs(),
        name,
    }
}

fn sandbox() -> Form {
    Form::Sandbox { until: "2026-12-31T18:00:00Z".into() }
}

#[test]
fn process_1_and_the_proxy_take_what_is_written_for_them() {
    let export = exported(&wish(), sandbox());
    assert_eq!(export.name, "claude-code-demo");
    let task = PodTask::parse(export.agent.pod.as_bytes()).unwrap();
    assert_eq!(task.proxy.addresses, ["10.96.0.80:8443".parse().unwrap()]);
    assert!(task.terminal && task.tasks.is_none());
    assert_eq!(task.listens.len(), 2);
    assert!(task.probes.connect.contains(&"10.1.2.3:5432".parse().unwrap()));
    let paths: Vec<&Path> = task.writable.iter().map(PathBuf::as_path).collect();
    for path in ["/home/agent", "/run/pinfold/run", "/tmp", "/var/tmp", "/workspace"] {
        assert!(paths.contains(&Path::new(path)), "{path}");
    }
    let file = ProxyFile::parse(Path::new("proxy.toml"), export.proxy.config.as_bytes()).unwrap();
    let policy = &file.policy["claude-code-demo"];
    assert_eq!(policy.route[0].key, Path::new("/etc/pinfold/keys/ANTHROPIC_API_KEY"));
    let rules: Vec<String> = policy.allow.iter().map(ToString::to_string).collect();
    assert_eq!(rules, ["*.example.org", "a.example:8443", "tcp:git.example:22"]);
    assert_eq!(export.proxy.ports, BTreeSet::from([22, 80, 443, 8443]));
    assert_eq!((export.agent.memory, export.agent.cpu_milli), (4 << 30, 500));
}

#[test]
fn a_job_gives_each_pod_its_task() {
    let form = Form::Job { tasks: vec!["one".into(), "two".into()], parallelism: 1 };
    let task = PodTask::parse(exported(&wish(), form).agent.pod.as_bytes()).unwrap();
    assert!(!task.terminal && task.program.is_empty());
    assert_eq!(task.tasks.unwrap().words, ["claude", "-p", "{task}"]);
}

#[test]
fn a_sandbox_of_a_pool_waits_for_its_token() {
    let form = Form::Pool { warm: 1, most: 2, until: "2026-12-31T18:00:00Z".into() };
    let waits = |form| {
        let task = PodTask::parse(exported(&wish(), form).agent.pod.as_bytes()).unwrap();
        task.proxy.token_wait_seconds
    };
    assert_eq!((waits(form), waits(sandbox())), (7 * 86_400, 0));
}

#[test]
fn a_repository_is_cloned_through_the_proxy() {
    let url = "https://git.example/team/project.git";
    let wish = Wish { workspace: WorkspaceWish::Git(url.into()), ..wish() };
    let export = exported(&wish, sandbox());
    let Workspace::Git { clone, .. } = &export.agent.content else { panic!("{:?}", export.agent.content) };
    let clone = PodTask::parse(clone.as_bytes()).unwrap();
    assert_eq!(clone.program, ["git", "clone", "--", url, "project"]);
    assert!(!clone.terminal && clone.workspace == Path::new("/workspace"));
    let task = PodTask::parse(export.agent.pod.as_bytes()).unwrap();
    assert_eq!(task.workspace, Path::new("/workspace/project"));
    assert!(export.proxy.config.contains("\"git.example\""), "{}", export.proxy.config);
    for (url, told) in [
        ("http://git.example/a", "no `https://` address"),
        ("https://git.example", "no path"),
        ("https://me:secret@git.example/a", "a login"),
        ("https://git.example/a?b", "a query"),
        ("https://git.example/", "no name of a directory"),
        ("https://git.example/..", "no name of a directory"),
        ("https://git.example/--upload-pack=x", "no name of a directory"),
        ("https://*/a", "host is none"),
        ("https://10.0.0.1/a", "public network"),
        ("https://127.0.0.1:8443/a", "public network"),
        ("https://localhost/a", "public network"),
        ("https://git.localhost.:443/a", "public network"),
    ] {
        let error = Repository::of(url).err().unwrap();
        assert!(error.to_string().contains(told), "{url}: {error}");
        assert!(!error.to_string().contains("secret"));
    }
}

#[test]
fn what_no_cluster_would_do_is_refused() {
    let now = 1_798_740_000; // 2026-12-31T18:00:00Z
    let at = |text: &str| Wish { until: Some(text.into()), ..wish() }.until_from(now);
    assert!(
        at("2026-12-31T18:00:00Z").unwrap_err().to_string().contains("is over: it is 2026-12-31T18:00:00Z")
    );
    assert_eq!(at("2026-12-31T18:00:01Z").unwrap(), "2026-12-31T18:00:01Z");
    for (name, fits) in
        [("default", false), ("kube-system", false), ("kube-x", false), ("kube", true), ("a", true)]
    {
        assert_eq!(Wish { namespace: name.into(), ..wish() }.namespace().is_ok(), fits, "{name}");
    }
    for (address, fits) in [
        ("0.0.0.0", false),
        ("127.0.0.2", false),
        ("169.254.1.1", false),
        ("224.0.0.1", false),
        ("255.255.255.255", false),
        ("::", false),
        ("::1", false),
        ("fe80::1", false),
        ("ff02::1", false),
        ("::ffff:127.0.0.1", false),
        ("10.43.0.80", true),
        ("34.118.224.9", true),
        ("fd00::80", true),
    ] {
        assert_eq!(super::export::service_address(address.parse().unwrap()).is_ok(), fits, "{address}");
    }
    let isolated = |class: Option<&str>, nodes, program| {
        let isolation = Isolation { runtime_class: class.map(str::to_owned), nodes, ..Isolation::default() };
        Wish { isolation, program, ..wish() }.isolation().is_ok()
    };
    assert!(isolated(Some("gvisor"), Nodes::GkeSandbox, Program::Copy));
    assert!(isolated(Some("kata.v-2"), Nodes::Any, Program::Copy));
    assert!(isolated(Some("nvidia"), Nodes::Any, Program::Volume));
    for class in ["gvisor", "runsc", "gvisor-kvm", "kata", "kata-qemu", "kata.v-2"] {
        assert!(isolated(Some(class), Nodes::Any, Program::Copy), "{class}");
        assert!(!isolated(Some(class), Nodes::Any, Program::Volume), "{class}");
    }
    assert!(!isolated(Some("kata"), Nodes::GkeSandbox, Program::Copy));
    assert!(!isolated(None, Nodes::GkeSandbox, Program::Volume));
    assert!(
        !isolated(Some("Kata"), Nodes::Any, Program::Copy)
            && !isolated(Some("a..b"), Nodes::Any, Program::Copy)
    );
}

#[test]
fn a_secret_in_what_is_written_is_told_by_its_place() {
    let token = format!("glpat-{}", "aB3dE5fG7hJ9kL1mN2pQ");
    let files = |env: &str, task: &str| {
        let mut export = exported(&wish(), Form::Job { tasks: vec![task.into()], parallelism: 1 });
        export.agent.env.insert("SETTING".into(), env.into());
        objects::files(&export)
    };
    assert_eq!(super::export::spotted(&files("blue", "Say no")), Vec::<String>::new());
    for (env, task, place) in [(&*token, "Say no", "job.yaml:"), ("blue", &*token, "agent.yaml:")] {
        let told = super::export::spotted(&files(env, task)).join("\n");
        assert!(told.contains(place) && !told.contains(&token), "{told}");
    }
}

#[test]
fn equal_wishes_give_equal_bytes() {
    let text = |export: &Export| objects::stream(&objects::files(export));
    let first = exported(&wish(), sandbox());
    assert_eq!(text(&first), text(&exported(&wish(), sandbox())));
    // The comparison sees what differs.
    let other = Wish { replicas: 3, ..wish() };
    assert_ne!(text(&first), text(&exported(&other, sandbox())));
}

#[test]
fn names_are_those_of_clusters() {
    for (agent, name, expected) in [
        (Some("claude-code@my_project"), None, Some("claude-code-my-project")),
        (Some("./tools/own.toml"), None, Some("own")),
        (None, None, Some("sandbox")),
        (None, Some("a-1"), Some("a-1")),
        (None, Some("A"), None),
        (None, Some("a-"), None),
        (None, Some(""), None),
        (Some("claude-code@Fix"), None, None),
        (None, Some("a234567890123456789012345678901234567890x"), None),
    ] {
        let wish = Wish {
            name: name.map(str::to_owned),
            request: Request { agent: agent.map(str::to_owned), ..Request::default() },
            ..wish()
        };
        assert_eq!(wish.name().ok().as_deref(), expected, "{agent:?} {name:?}");
    }
    let error = Wish { name: Some("A".into()), ..wish() }.name().unwrap_err();
    assert!(error.hint().unwrap().contains("--name claude-code-1"), "{:?}", error.hint());
}

#[test]
fn a_time_is_to_the_second_and_in_utc() {
    assert!(is_time("2026-12-31T18:00:00Z"));
    for text in [
        "",
        "2026-12-31",
        "2026-13-31T18:00:00Z",
        "2026-12-31T18:00:00+01:00",
        "2026-12-31 18:00:00Z",
        "2026-12-31T24:00:00Z",
    ] {
        assert!(!is_time(text), "{text}");
    }
}
