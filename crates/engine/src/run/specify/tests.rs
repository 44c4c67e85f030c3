//! Requests, and the specifications that are expected of them, written by hand.

use std::path::PathBuf;

use fs_err as fs;
use pinfold_base::Home;
use pinfold_base::report::Silent;
use pinfold_network::Surroundings;
use pinfold_sandbox::spec::Access;
use pinfold_sandbox::spec::Egress;
use pinfold_sandbox::spec::Ids;
use pinfold_sandbox::spec::MountSource;
use pinfold_sandbox::spec::Network;

use super::*;
use crate::context;
use crate::run::Reach;
use crate::run::request::Key;

/// A caller's home with a project in it, and an unpacked image.
struct Machine {
    dir: tempfile::TempDir,
    context: Context,
}

impl Machine {
    fn new(variables: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["me/project", "image", "pinfold"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let home = Home::under(&dir.path().join("pinfold"));
        let mut context = Context::at(home, context::Network::Offline, Box::new(Silent)).unwrap();
        let me = dir.path().join("me").display().to_string();
        context.environment = [("HOME", me.as_str())].into_iter().chain(variables.iter().copied()).collect();
        Self { dir, context }
    }

    fn path(&self, name: &str) -> PathBuf {
        fs::canonicalize(self.dir.path()).unwrap().join(name)
    }

    fn ready(&self) -> Ready {
        Ready {
            node: None,
            said_user: "1000".into(),
            reference: "sample:latest".into(),
            root: self.path("image"),
            env: BTreeMap::from([("PATH".into(), "/bin".into()), ("LANG".into(), "C.UTF-8".into())]),
            user: Ids { uid: 1001, gid: 1002 },
            home: "/home/agent".into(),
            command: vec!["image-says".into()],
            volumes: vec![],
        }
    }

    /// The specification of a request on the project, by an image that declares `run`.
    fn spec(&self, request: Request, run: &str) -> Result<Spec, RunError> {
        let request = Request { workspace: self.path("me/project").display().to_string(), ..request };
        let run: Run = toml::from_str(run).unwrap();
        let workspace = Workspace::of(&self.context, &request)?;
        let mut asked = asked(&request, run);
        let declared = asked.declared.credentials.iter();
        asked.keys = declared
            .map(|(name, source)| (name.clone(), source.value.find(&Surroundings::default()).unwrap()))
            .collect();
        let agent = asked.agent.as_ref();
        let requested =
            super::super::credentials::requested(&self.context, &request, None, &asked.declared, agent)?;
        asked.keys.extend(requested.keys);
        let variables = asked.variables(&self.context.environment)?;
        asked.specify(&self.context, "a@b".into(), &workspace, variables, self.ready())
    }
}

fn asked(request: &Request, declared: Run) -> Asked<'_> {
    Asked {
        platform: Platform::ALL[0],
        declared,
        agent: request.agent().map(|name| Recipe::load(name, Path::new("/")).unwrap()),
        keys: BTreeMap::new(),
        recipes: Vec::new(),
        request,
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn command(text: &str) -> Request {
    Request { command: os(words(text)), ..Request::default() }
}

fn agent(name: &str, arguments: &str) -> Request {
    Request { agent: Some(name.into()), ..command(arguments) }
}

/// Source, target and access of the mounts.
fn mounts(spec: &Spec) -> Vec<(String, String, Access)> {
    let host = |source: &MountSource| match source {
        MountSource::Host(path) => path.display().to_string(),
        MountSource::Memory(size) => format!("{size} bytes of memory"),
        MountSource::Image(written) => format!("the image's, {:?}", written.kept),
    };
    spec.mounts
        .iter()
        .map(|mount| (host(&mount.source), mount.target.display().to_string(), mount.access))
        .collect()
}

#[test]
fn a_request_for_nothing_special_gets_the_strict_defaults() {
    let machine = Machine::new(&[("SECRET", "canary"), ("TERM", "unknown-kind")]);
    let spec = machine.spec(command("bash -l"), "").unwrap();
    let project = machine.path("me/project").display().to_string();
    assert_eq!((spec.name.as_str(), &spec.rootfs), ("a@b", &machine.path("image")));
    assert_eq!(spec.args, ["bash", "-l"]);
    assert_eq!(spec.user, Ids { uid: 1001, gid: 1002 });
    assert_eq!(spec.home, HomeDirectory { target: "/home/agent".into(), keep: Keep::Home });
    assert_eq!(spec.cwd, machine.path("me/project"));
    assert_eq!(spec.hostname, "pinfold");
    assert_eq!(mounts(&spec), [(project.clone(), project.clone(), Access::ReadWrite)]);
    assert_eq!(spec.network, Network::Proxy(Egress { allow: vec![], routes: vec![] }));
    assert_eq!(spec.limits, spec::Limits::default());
    assert_eq!((spec.policy.landlock, spec.policy.cgroup), (Need::Required, Need::IfAvailable));
    let labels = [("image", "sample:latest"), ("workspace", project.as_str())];
    assert_eq!(spec.labels, labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into());

    // The image's variables, what the proxy needs, and nothing of the caller's.
    let proxy = ["HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"];
    for (name, value) in &spec.env {
        let expected = match name.as_str() {
            "PATH" => "/bin",
            "LANG" => "C.UTF-8",
            "HOME" => "/home/agent",
            "TERM" => "xterm-256color",
            "NODE_USE_ENV_PROXY" => "1",
            "JAVA_TOOL_OPTIONS" if value.contains("proxyPort=3128") => continue,
            _ if proxy.contains(&name.as_str()) || name.to_lowercase().contains("proxy") => continue,
            _ => panic!("{name}={value} is nobody's"),
        };
        assert_eq!(value, expected, "{name}");
    }
    assert_eq!(spec.env["HTTPS_PROXY"], "http://127.0.0.1:3128");
}

#[test]
fn what_runs_is_the_command_the_agent_or_what_the_image_says() {
    let machine = Machine::new(&[]);
    for (request, expected) in [
        (command("bash -c x"), "bash -c x"),
        (command(""), "image-says"),
        (agent("claude-code", ""), "claude --dangerously-skip-permissions"),
        (agent("claude-code@fix", ""), "claude --dangerously-skip-permissions"),
        (agent("claude-code", "-p hi"), "claude --dangerously-skip-permissions -p hi"),
        (agent("opencode", "run hi"), "opencode run hi"),
    ] {
        let spec = machine.spec(request, "").unwrap();
        assert_eq!(spec.args, os(words(expected)));
    }
    let request = command("");
    let nothing = Ready { command: vec![], ..machine.ready() };
    let workspace = Workspace { source: "/w".into(), target: "/w".into() };
    let asked = asked(&request, Run::default());
    let error =
        asked.specify(&machine.context, "a".into(), &workspace, BTreeMap::new(), nothing).unwrap_err();
    assert_eq!(error.to_string(), "nothing to run: name an agent, or a command after `--`");
}

#[test]
fn limits_are_the_users_then_the_manifests_then_the_usual_ones() {
    let machine = Machine::new(&[]);
    let declared = "memory = '1GiB'\ncpus = '0.5'\npids = 10";
    let user = Request {
        memory: Some(Size(7)),
        cpus: Some(Processors(250)),
        pids: Some(Processes(3)),
        ..command("x")
    };
    for (request, run, memory, cpus, processes, cgroup) in [
        (command("x"), "", None, None, Some(4096), Need::IfAvailable),
        (command("x"), "pids = 10", None, None, Some(10), Need::IfAvailable),
        (command("x"), declared, Some(1 << 30), Some(500), Some(10), Need::Required),
        (user.clone(), declared, Some(7), Some(250), Some(3), Need::Required),
        (Request { memory: None, ..user.clone() }, "", None, Some(250), Some(3), Need::Required),
    ] {
        let spec = machine.spec(request, run).unwrap();
        let limits = spec.limits;
        assert_eq!((limits.memory, limits.cpu_milli, limits.processes), (memory, cpus, processes), "{run}");
        assert_eq!(spec.policy.cgroup, cgroup, "{run}: no limit of single processes stands for these");
        assert_eq!(limits.open_files, Some(65536));
    }
}

#[test]
fn the_network_is_the_users_then_the_manifests_then_the_proxy() {
    let machine = Machine::new(&[]);
    for (said, declared, expected) in [
        (None, None, "proxy"),
        (None, Some("none"), "none"),
        (None, Some("host"), "host"),
        (Some(Reach::None), Some("host"), "none"),
        (Some(Reach::Host), Some("none"), "host"),
        (Some(Reach::Proxy), Some("none"), "proxy"),
    ] {
        let run = declared.map(|network| format!("network = '{network}'")).unwrap_or_default();
        let spec = machine.spec(Request { network: said, ..command("x") }, &run).unwrap();
        assert_eq!(spec.network.word(), expected, "{said:?} {declared:?}");
        let told = spec.env.contains_key("HTTPS_PROXY");
        assert_eq!(told, expected == "proxy", "programs are told of a proxy where there is one");
    }
}

#[test]
fn the_list_is_the_agents_hosts_the_manifests_and_the_users() {
    let machine = Machine::new(&[]);
    let request = Request { allow: vec!["tcp:example.org:22".parse().unwrap()], ..agent("claude-code", "") };
    let spec = machine.spec(request.clone(), "allow = ['Example.com']").unwrap();
    let Network::Proxy(egress) = &spec.network else { panic!("{:?}", spec.network) };
    assert!(egress.routes.is_empty(), "there is no key");
    assert!(egress.allow.contains(&"api.anthropic.com".to_owned()), "{:?}", egress.allow);
    assert!(
        egress.allow.ends_with(&["Example.com".into(), "tcp:example.org:22".into()]),
        "{:?}",
        egress.allow
    );

    // With its key the provider is behind a route, and no tunnel leads there.
    let machine = Machine::new(&[("ANTHROPIC_API_KEY", "canary")]);
    let spec = machine.spec(request, "").unwrap();
    let Network::Proxy(egress) = &spec.network else { panic!("{:?}", spec.network) };
    assert_eq!(egress.routes.len(), 1);
    assert!(!egress.allow.contains(&"api.anthropic.com".to_owned()), "{:?}", egress.allow);
    assert_eq!(spec.env["ANTHROPIC_BASE_URL"], "http://127.0.0.1:3180");
    assert_eq!(spec.labels["agent"], "claude-code");
    assert!(!serde_json::to_string(&spec).unwrap().contains("canary"), "the key is no part of it");
}

#[test]
fn a_key_is_looked_for_where_the_user_says_first() {
    let machine = Machine::new(&[("ANTHROPIC_API_KEY", "k")]);
    let declared = "[credentials]\nclaude-code = 'env:DECLARED'";
    let key = |text: &str| Request { keys: vec![text.parse::<Key>().unwrap()], ..agent("claude-code", "") };
    for (request, run, expected) in [
        (agent("claude-code", ""), "", "ANTHROPIC_API_KEY"),
        (agent("claude-code", ""), declared, "DECLARED"),
        (key("env:SAID"), declared, "SAID"),
        (key("claude-code=env:SAID"), declared, "SAID"),
    ] {
        let spec = machine.spec(request, run).unwrap();
        let Network::Proxy(egress) = &spec.network else { panic!("{:?}", spec.network) };
        assert_eq!(egress.routes[0].key, pinfold_network::Credential::Env(expected.into()), "{run}");
    }
}

#[test]
fn mounts_are_the_workspace_the_manifests_and_the_users() {
    let machine = Machine::new(&[]);
    let request = Request { mounts: vec!["/opt/tools:/tools".parse().unwrap()], ..command("x") };
    let spec = machine.spec(request, "mounts = ['/srv/data:rw', '/srv/other']").unwrap();
    let row = |source: &str, target: &str, access| (source.to_owned(), target.to_owned(), access);
    assert_eq!(
        mounts(&spec)[1..],
        [
            row("/srv/data", "/srv/data", Access::ReadWrite),
            row("/srv/other", "/srv/other", Access::ReadOnly),
            row("/opt/tools", "/tools", Access::ReadOnly),
        ]
    );
}

#[test]
fn volumes_of_the_image_are_in_memory_and_can_be_written_to() {
    let machine = Machine::new(&[]);
    let request = Request { workspace: machine.path("me/project").display().to_string(), ..command("x") };
    let workspace = Workspace::of(&machine.context, &request).unwrap();
    let ready = Ready { volumes: vec!["/var/lib/service".into(), "/tmp".into()], ..machine.ready() };
    let asked = asked(&request, Run::default());
    let spec = asked.specify(&machine.context, "one".into(), &workspace, BTreeMap::new(), ready).unwrap();
    let bytes = format!("{} bytes of memory", spec.tmp_bytes);
    assert_eq!(mounts(&spec)[1..], [(bytes, "/var/lib/service".to_owned(), Access::ReadWrite)]);
}

#[test]
fn variables_are_passed_by_name_or_set_and_must_be_there() {
    let machine = Machine::new(&[("PASSED", "outer"), ("EMPTY", "")]);
    let request = |env: &[&str]| Request {
        env: env.iter().map(|text| text.parse().unwrap()).collect(),
        ..command("x")
    };
    let spec = machine
        .spec(request(&["SET=a=b", "PATH=/opt"]), "pass-env = ['PASSED', 'EMPTY', 'SET=declared']")
        .unwrap();
    for (name, value) in [("PASSED", "outer"), ("EMPTY", ""), ("SET", "a=b"), ("PATH", "/opt")] {
        assert_eq!(spec.env[name], value, "{name}");
    }
    let error = machine.spec(request(&["MISSING"]), "").unwrap_err();
    assert_eq!(error.to_string(), "the variable `MISSING` is to be passed in, but is not set");
}

#[test]
fn the_mirror_shows_the_home_and_nothing_of_it_twice() {
    let machine = Machine::new(&[("ANTHROPIC_API_KEY", "k")]);
    let home = machine.path("me").display().to_string();
    // What the workspace names is inside of the home.
    let spec = machine.spec(Request { view: View::Mirror, ..agent("claude-code", "") }, "").unwrap();
    assert_eq!(mounts(&spec).len(), 1, "{:?}", mounts(&spec));
    assert_eq!(spec.mounts[0].sockets, Sockets::Allow);
    assert!(home.ends_with(&spec.env["HOME"]) || spec.env["HOME"].ends_with("/me"), "{}", spec.env["HOME"]);
    assert_eq!(spec.labels["mode"], "mirror");
    assert_eq!(spec.cwd, machine.path("me/project"));

    // The image's user may have the same home path: the sandbox's own steps aside.
    let request = Request { view: View::Mirror, workspace: "/w".into(), ..command("x") };
    let ready = Ready { home: machine.context.environment.home().unwrap().to_owned(), ..machine.ready() };
    let workspace = Workspace { source: "/w".into(), target: "/w".into() };
    let asked = asked(&request, Run::default());
    let spec = asked.specify(&machine.context, "a".into(), &workspace, BTreeMap::new(), ready).unwrap();
    assert_eq!(spec.home.target, Path::new("/home/.pinfold"));
    assert_eq!(mounts(&spec).len(), 2, "a workspace elsewhere stays");
}

#[test]
fn a_home_in_a_mount_is_the_callers_outside_and_the_sandboxs_inside() {
    let machine = Machine::new(&[]);
    fs::create_dir_all(machine.path("me/.agent/skills")).unwrap();
    fs::write(machine.path("me/.agent/notes.md"), "").unwrap();
    let declared =
        "mounts = ['~/.agent/notes.md', '~/.agent/skills:~/.other/skills:ro', '~/.agent/skills:/skills:rw']";
    let request = Request { mounts: vec!["~/.agent/notes.md:/notes.md".parse().unwrap()], ..command("x") };
    let spec = machine.spec(request, declared).unwrap();
    let (notes, skills) = (machine.path("me/.agent/notes.md"), machine.path("me/.agent/skills"));
    let text = |path: &Path| path.display().to_string();
    let expected = [
        (text(&notes), "/home/agent/.agent/notes.md".to_owned(), Access::ReadOnly),
        (text(&skills), "/home/agent/.other/skills".into(), Access::ReadOnly),
        (text(&skills), "/skills".into(), Access::ReadWrite),
        (text(&notes), "/notes.md".into(), Access::ReadOnly),
    ];
    assert_eq!(mounts(&spec)[1..], expected);
    // Nothing is at `~/` for whom has no home.
    let mut machine = machine;
    machine.context.environment = Environment::default();
    assert!(matches!(machine.spec(command("x"), declared), Err(RunError::NoHomeFor(_))));
}

#[test]
fn the_mirror_needs_a_home() {
    let mut machine = Machine::new(&[]);
    machine.context.environment = Environment::default();
    let error = machine.spec(Request { view: View::Mirror, ..command("x") }, "").unwrap_err();
    assert_eq!(error.to_string(), "`--mode mirror` shows the home directory, and HOME is not set");
}
