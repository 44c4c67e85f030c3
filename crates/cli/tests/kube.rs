//! `pinfold kube`: objects of an image in a registry, what is secret of them, and a cluster that a stand-in for kubectl plays.
#![expect(clippy::unwrap_used, reason = "these tests run the program, and may fail")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;

use pinfold_base::Digest;
use pinfold_testkit::docker_registry::Auth;
use pinfold_testkit::docker_registry::DockerRegistry;
use pinfold_testkit::machine::Machine;
use serde_json::Value;

/// What no object may hold.
const CANARY: &str = "sk-ant-canary-0123456789";

/// A machine whose project is pushed, and the registry.
struct Case {
    machine: Machine,
    registry: DockerRegistry,
}

impl Case {
    fn new() -> Option<Self> {
        let machine = Machine::new(env!("CARGO_BIN_EXE_pinfold"))?;
        let registry = DockerRegistry::start(Auth::Open)?;
        let case = Self { machine, registry };
        case.run(&["push", &case.name()]);
        Some(case)
    }

    fn name(&self) -> String {
        format!("{}/team/box:1", self.registry.host())
    }

    fn output(&self, words: &[&str]) -> Output {
        let path = format!("{}:/usr/bin:/bin", self.machine.path("me/bin").display());
        let mut command = self.machine.pinfold(words);
        command.env("PATH", path).env("ANTHROPIC_API_KEY", CANARY).output().unwrap()
    }

    fn run(&self, words: &[&str]) -> String {
        let output = self.output(words);
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The exit code and what is said on stderr.
    fn told(&self, words: &[&str]) -> (i32, String) {
        let output = self.output(words);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    /// Words that export the image, with `more`.
    fn words<'a>(image: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let fixed = [
            "kube",
            "--image",
            image,
            "--proxy-image",
            image,
            "--proxy-address",
            "10.96.0.80",
            "--program",
            "copy",
            "--allow",
            "example.com",
        ];
        // Pods and jobs have seconds in the place of a time.
        let timed = !more.iter().any(|word| ["--pod", "--job", "--until", "--lifetime"].contains(word));
        let until = if timed { &["--until", "2999-12-31T18:00:00Z"][..] } else { &[] };
        let more = [until, more].concat();
        fixed.into_iter().chain(more).chain(["--", "/bin/busybox", "sh"]).collect()
    }

    /// Puts a stand-in for kubectl into the `PATH`: it notes its words and what it reads, and answers by them.
    fn kubectl(&self, script: &str) {
        let bin = self.machine.path("me/bin");
        fs_err::create_dir_all(&bin).unwrap();
        let log = self.machine.path("me/kubectl.log");
        let text = format!("#!/bin/sh\nprintf '%s\\n' \"$*\" >>{log}\n{script}\n", log = log.display());
        fs_err::write(bin.join("kubectl"), text).unwrap();
        fs_err::set_permissions(bin.join("kubectl"), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs_err::read_to_string(self.machine.path(path)).unwrap()
    }
}

/// All files of a directory, one after another.
fn all(directory: &Path) -> String {
    let mut names: Vec<_> = fs_err::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names.iter().map(|path| fs_err::read_to_string(path).unwrap()).collect()
}

#[test]
fn an_export_names_its_image_by_the_digest_that_the_registry_has() {
    let Some(case) = Case::new() else { return };
    let image = case.name();
    let pushed: Value = serde_json::from_str(&case.run(&["push", &image, "--json"])).unwrap();
    let pinned = format!("{}/team/box@{}", case.registry.host(), pushed["digest"].as_str().unwrap());
    let out: Value =
        serde_json::from_str(&case.run(&Case::words(&image, &["-o", "k8s", "--name", "one", "--json"])))
            .unwrap();
    assert_eq!(out["image"], pinned);
    let directory = case.machine.path("project/k8s");
    let text = all(&directory);
    assert!(text.contains(&format!("image: \"{pinned}\"")) && !text.contains("box:1"), "{text}");
    assert!(text.contains("runAsUser: 1000") && text.contains("kind: Sandbox\n"));
    // The same again is the same, whatever was there.
    case.run(&Case::words(&image, &["-o", "again", "--name", "one"]));
    assert_eq!(all(&case.machine.path("project/again")), text);
    case.run(&Case::words(&image, &["-o", "k8s", "--name", "one", "--pod"]));
    assert!(!directory.join("sandbox.yaml").exists() && directory.join("pod.yaml").exists());
    // On stdout it is one stream of what is applied.
    let stream = case.run(&Case::words(&image, &["-o", "-", "--name", "one"]));
    assert!(text.contains(stream.lines().last().unwrap()) && !stream.contains("kind: Secret"));
    // What is somebody else's stays.
    fs_err::write(directory.join("mine.yaml"), "kind: X\n").unwrap();
    let (code, said) = case.told(&Case::words(&image, &["-o", "k8s", "--name", "one"]));
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("has `mine.yaml` in it"), "{said}");
    assert!(directory.join("pod.yaml").exists());
}

#[test]
fn what_a_cluster_would_not_have_is_refused_with_what_to_do() {
    let Some(case) = Case::new() else { return };
    let image = case.name();
    let refused = |words: &[&str], told: &str, hint: &str| {
        let (code, said) = case.told(words);
        assert!(code != 0 && said.contains(told) && said.contains(hint), "{words:?}: {said}");
    };
    let command = ["--", "/bin/busybox", "sh"];
    let with = |words: &[&'static str]| [words, &command].concat();
    refused(&with(&["kube", "-o", "k8s"]), "at which address", "--proxy-address");
    refused(
        &with(&["kube", "-o", "k8s", "--proxy-address", "10.96.0.80"]),
        "which image the proxy has",
        "--preset proxy",
    );
    let proxy = ["kube", "-o", "k8s", "--proxy-address", "10.96.0.80", "--proxy-image", &image];
    let words = |more: &[&'static str]| [&proxy[..], more, &command].concat();
    // A project's image is here alone, and so is one of the store.
    refused(&words(&[]), "`box` is in no registry", "--push HOST/REPOSITORY:TAG");
    refused(&words(&["--image", "box"]), "`box` is in no registry", "`pinfold push box HOST/REPOSITORY:TAG`");
    let there = [&proxy[..], &["--image", &image], &command].concat();
    refused(&there, "process 1 of its pods", "--program copy");
    for (more, told, hint) in [
        (&["--name", "A"][..], "cannot be the name of the sandbox", "--name claude-code-1"),
        (&["--namespace", "A"], "cannot be the name of the namespace", "called like"),
        (&["--namespace", "kube-system"], "is the cluster's own", "--namespace agents"),
        (&["--namespace", "default"], "is the cluster's own", "--namespace agents"),
        (&["--job", "nope.txt"], "the tasks cannot be read", "a task in each line"),
        (&["--pull-secret", "a/b"], "cannot be the name of a Secret", "kubectl get secrets"),
        (&["--runtime-class", "Kata"], "cannot be the name of a class", "runtimeclasses"),
        (&["--gke", "--runtime-class", "kata"], "is not `gvisor`", ""),
        (&["--pool", "0"], "`--pool` is 0", ""),
        (&["--until", "2026-01-01T00:00:00Z"], "`--until` is over", ""),
        (&["--until", "2999-01-01T00:00:00Z", "--pod"], "cannot be used with", ""),
        (&["--until", "2999-01-01T00:00:00Z", "--lifetime", "1h"], "cannot be used with", ""),
        (&["--policy", "x"], "cannot be used with", ""),
        (&["--kubernetes", "1.35"], "cannot be used with", ""),
        (&["--only", "keys"], "cannot be used with", ""),
        (&["--max", "3", "--pod"], "cannot be used with", ""),
        (&["--workspace", "git:https://10.0.0.1/b"], "public network", "without a login"),
        (&["--replicas", "0"], "`--replicas`", ""),
        (&["--workspace", "git:https://a.example/b"], "has no `git`", "--workspace empty"),
        (&["--workspace", "git:http://a.example/b"], "no workspace can be cloned", "without a login"),
        (
            &["--workspace", "git:https://a.example/b", "--pool", "2"],
            "before it is claimed",
            "let the agent clone",
        ),
        (&["--pool", "3", "--max", "2"], "`--max`", ""),
        (&["--network", "host"], "cannot be in a cluster", "pinfold run"),
        (&["--env", "HOME"], "`HOME` has no value here", "--env HOME=VALUE"),
    ] {
        refused(&Case::words(&image, &[&["-o", "k8s"], more].concat()), told, hint);
    }
    let volume = ["--image", &image, "--program", "volume", "--runtime-class", "gvisor"];
    refused(&[&proxy[..], &volume, &command].concat(), "mounts no image", "say `copy`");
    let until = [&proxy[..], &["--image", &image, "--until", "soon"], &command].concat();
    refused(&until, "`--until` is no time", "");
    let address = ["kube", "-o", "k8s", "--proxy-address", "127.0.0.1", "--proxy-image", &image];
    refused(&[&address[..], &command].concat(), "no Service can have it", "a free address");
    let (code, said) = case.told(&Case::words(&image, &["-o", "k8s", "--job", "nope.txt"]));
    assert_eq!(code, 2, "{said}");
    fs_err::write(case.machine.path("project/tasks.jsonl"), "{\"tsak\":1}\n").unwrap();
    refused(
        &Case::words(&image, &["-o", "k8s", "--job", "tasks.jsonl"]),
        "line 1 of `tasks.jsonl`",
        "in JSON",
    );
    fs_err::write(case.machine.path("project/tasks.txt"), "one\n").unwrap();
    refused(
        &Case::words(&image, &["-o", "k8s", "--job", "tasks.txt"]),
        "no word of the command has `{task}`",
        "{task}",
    );
    assert!(!case.machine.path("project/k8s").exists());
}

#[test]
fn what_is_told_after_an_export_is_what_comes_next() {
    let Some(case) = Case::new() else { return };
    let image = case.name();
    let said = case.run(&Case::words(&image, &["-o", "k8s", "--name", "one", "--namespace", "team-a"]));
    for told in [
        "pinfold kube --secrets k8s | kubectl apply --server-side --field-manager=pinfold-one -f -\n",
        "`pinfold kube --secrets k8s --only token` or `--only keys`",
        "team-a-proxy are for this export alone",
    ] {
        assert!(said.contains(told), "{told}: {said}");
    }
    // What looks like a key is told by its place, and the objects are written all the same.
    let token = "glpat-aB3dE5fG7hJ9kL1mN2pQ";
    let setting = format!("SETTING={token}");
    let told = |words: &[&str]| {
        let (code, said) =
            case.told(&Case::words(&image, &[&["-o", "k8s", "--name", "one"], words].concat()));
        assert!(code == 0 && !said.contains(token), "{code} {said}");
        said
    };
    assert!(!told(&["--env", "SETTING=blue"]).contains("whoever may read the objects"));
    let said = told(&["--env", &setting]);
    assert!(said.contains("whoever may read the objects reads it: sandbox.yaml:"), "{said}");
}

#[test]
fn what_an_export_was_asked_with_is_not_asked_of_it_again() {
    let Some(case) = Case::new() else { return };
    let image = case.name();
    case.run(&Case::words(&image, &["-o", "k8s", "--name", "one"]));
    let told = |words: &[&str]| case.told(&[&["kube"], words].concat());
    for mode in
        [&["--secrets", "k8s"][..], &["--verify", "k8s"], &["--claim", "one-1", "k8s"], &["--check", "k8s"]]
    {
        for option in [
            &["--pool", "3"][..],
            &["--pod"],
            &["--sandbox"],
            &["--parallelism", "2", "--job", "tasks.txt"],
            &["--name", "two"],
            &["--namespace", "other"],
            &["--lifetime", "8h"],
            &["--push", "a.example/b"],
            &["--proxy-image", "a.example/b"],
            &["--proxy-address", "10.96.0.80"],
            &["--replicas", "2"],
            &["--program", "image"],
            &["--pull-secret", "a"],
            &["--probe", "10.0.0.1:1"],
            &["--accept", "10.0.0.1:1"],
            &["--runtime-class", "gvisor"],
            &["--user-namespace"],
            &["--workspace", "empty"],
            &["--env", "A=b"],
            &["--memory", "4g"],
            &["--cpus", "2"],
            &["--image", &image],
            &["--preset", "solo"],
            &["--file", "pinfold.toml"],
            &["--platform", "linux/amd64"],
            &["--network", "proxy"],
            &["--allow", "a.example"],
            &["--frozen"],
            &["--", "claude"],
        ] {
            let (code, said) = told(&[mode, option].concat());
            let named = if option[0] == "--" { "COMMAND" } else { option[0] };
            let is_told =
                said.contains("cannot be used with") && said.contains(named) && said.contains(mode[0]);
            assert!(code == 2 && is_told, "{mode:?} {option:?}: {code} {said}");
        }
    }
    for (words, fits) in [
        (&["--secrets", "k8s", "--key", "A=env:B"][..], true),
        (&["--check", "k8s", "--gke"], true),
        (&["--check", "k8s", "--key", "A=env:B"], false),
        (&["--verify", "k8s", "--key", "A=env:B"], false),
        (&["--secrets", "k8s", "--gke"], false),
        (&["--claim", "one-1", "k8s", "--gke"], false),
    ] {
        let (_, said) = told(words);
        assert_eq!(!said.contains("cannot be used with"), fits, "{words:?}: {said}");
    }
}

#[test]
fn the_image_of_a_project_is_pushed_on_the_way() {
    let Some(case) = Case::new() else { return };
    let (image, to) = (case.name(), format!("{}/team/other:1", case.registry.host()));
    let words =
        ["kube", "-o", "k8s", "--proxy-address", "10.96.0.80", "--proxy-image", &image, "--push", &to];
    let words = [&words[..], &["--program", "copy", "--", "/bin/busybox", "sh"]].concat();
    case.run(&words);
    let digest: Value = serde_json::from_str(&case.run(&["push", &to, "--json"])).unwrap();
    assert_eq!(digest["unchanged"], true);
    let text = all(&case.machine.path("project/k8s"));
    assert!(text.contains(&format!("team/other@{}", digest["digest"].as_str().unwrap())), "{text}");
}

#[test]
fn an_image_of_roots_is_neither_exported_nor_pushed() {
    let Some(case) = Case::new() else { return };
    let (image, to) = (case.name(), format!("{}/team/rooted:1", case.registry.host()));
    let manifest = case.machine.path("project/pinfold.toml");
    let text = fs_err::read_to_string(&manifest).unwrap();
    let (head, rest) = text.split_once("[user]").unwrap();
    let rooted = format!("{head}{}", &rest[rest.find("[[file]]").unwrap()..]);
    fs_err::write(&manifest, rooted).unwrap();
    let words =
        ["kube", "-o", "k8s", "--proxy-address", "10.96.0.80", "--proxy-image", &image, "--push", &to];
    let words = [&words[..], &["--program", "copy", "--", "/bin/busybox", "sh"]].concat();
    let (code, said) = case.told(&words);
    assert!(code == 5 && said.contains("runs as root") && said.contains("`[user]`"), "{code} {said}");
    assert_ne!(case.told(&["pull", &to]).0, 0);
    fs_err::write(&manifest, text).unwrap();
    case.run(&words);
}

#[test]
fn what_is_secret_goes_through_a_pipe_alone() {
    let Some(case) = Case::new() else { return };
    let image = case.name();
    case.run(&Case::words(&image, &["-o", "k8s", "--name", "one"]));
    let first = case.run(&["kube", "--secrets", "k8s"]);
    let second = case.run(&["kube", "--secrets", "k8s"]);
    assert_ne!(first, second, "each call makes them anew");
    for name in [
        "pinfold-proxy-ca",
        "pinfold-proxy-tls",
        "pinfold-proxy-identities",
        "pinfold-proxy-keys",
        "one-token",
    ] {
        assert!(first.contains(&format!("name: {name}\n")), "{name}: {first}");
    }
    let only = case.run(&["kube", "--secrets", "k8s", "--only", "keys"]);
    assert!(only.contains("pinfold-proxy-keys") && !only.contains("one-token"), "{only}");
    // Nothing of it was kept, and the key of the caller is nowhere.
    let token = first.split("token: ").nth(1).unwrap().lines().next().unwrap();
    assert!(token.len() > 80, "{token}");
    for folder in ["project/k8s", "project"] {
        let names = fs_err::read_dir(case.machine.path(folder)).unwrap().map(|entry| entry.unwrap().path());
        for path in names.filter(|path| path.is_file()) {
            let bytes = fs_err::read(&path).unwrap();
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains(CANARY) && !text.contains(token.trim_matches('"')), "{}", path.display());
        }
    }
    let (code, said) = case.told(&["kube", "--secrets", "k8s", "--key", "NO_SUCH=env:ANTHROPIC_API_KEY"]);
    assert!(code != 0 && said.contains("names no key of this export") && !said.contains(CANARY), "{said}");
    let (code, said) = case.told(&["kube", "--secrets", "nowhere"]);
    assert!(code != 0 && said.contains("`nowhere` is no export"), "{said}");
}

#[test]
fn a_key_of_the_proxy_is_found_where_a_run_finds_it() {
    let Some(case) = Case::new() else { return };
    let image = case.name();
    case.run(&Case::words(&image, &["-o", "k8s", "--name", "one"]));
    // As an agent's export has it: the proxy's configuration names a key.
    let file = case.machine.path("project/k8s/proxy.yaml");
    let text = fs_err::read_to_string(&file).unwrap();
    let route = "    [[policy.one.route]]\n    id = 1\n    name = \"claude-code\"\n    upstream = \"https://api.anthropic.com\"\n    \
                 header = \"x-api-key\"\n    key = \"/etc/pinfold/keys/ANTHROPIC_API_KEY\"\n    paths = [\"/v1\"]\n---\n";
    let changed = text.replacen(
        "---\napiVersion: v1\nkind: Service\n",
        &format!("{route}apiVersion: v1\nkind: Service\n"),
        1,
    );
    assert_ne!(changed, text);
    fs_err::write(&file, changed).unwrap();
    let stream = case.run(&["kube", "--secrets", "k8s", "--only", "keys"]);
    // printf sk-ant-canary-0123456789 | base64
    assert!(stream.contains("c2stYW50LWNhbmFyeS0wMTIzNDU2Nzg5"), "{stream}");
    assert!(!all(&case.machine.path("project/k8s")).contains("c2stYW50LWNhbmFyeS0wMTIzNDU2Nzg5"));
    let (_, said) = case.told(&["kube", "--secrets", "k8s", "--only", "keys"]);
    assert_eq!(said, "ANTHROPIC_API_KEY goes to https://api.anthropic.com:443\n");
    let (code, said) =
        case.told(&["kube", "--secrets", "k8s", "--key", "ANTHROPIC_API_KEY=env:NOT_SET_ANYWHERE"]);
    assert!(code != 0 && said.contains("the key `ANTHROPIC_API_KEY` cannot be used"), "{said}");
    let output = case.machine.pinfold(&["kube", "--secrets", "k8s"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("there is no key `ANTHROPIC_API_KEY` here")
            && said.contains("--key ANTHROPIC_API_KEY=file:PATH"),
        "{said}"
    );
    // Who can write to the directory does not choose what is read of its user, nor where it goes.
    let honest = fs_err::read_to_string(&file).unwrap();
    for (from, to, name) in [
        ("https://api.anthropic.com", "https://thief.example", "ANTHROPIC_API_KEY"),
        ("https://api.anthropic.com", "https://api.anthropic.com:8443", "ANTHROPIC_API_KEY"),
        ("https://api.anthropic.com", "https://api.openai.com", "ANTHROPIC_API_KEY"),
        ("keys/ANTHROPIC_API_KEY", "keys/OTHER_SECRET", "OTHER_SECRET"),
    ] {
        fs_err::write(&file, honest.replace(from, to)).unwrap();
        let words = ["kube", "--secrets", "k8s", "--only", "keys"];
        let ask = |more: &[&str]| {
            let mut command = case.machine.pinfold(&[&words[..], more].concat());
            command.env("ANTHROPIC_API_KEY", CANARY).env("OTHER_SECRET", CANARY).output().unwrap()
        };
        let output = ask(&[]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{to}");
        assert!(said.contains("where no built-in recipe sends it"), "{said}");
        let key = format!("{name}=env:{name}");
        assert!(said.contains(&format!("--key {key}")), "{said}");
        let output = ask(&["--key", &key]);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success() && said.contains(&format!("{name} goes to http")), "{said}");
    }
}

#[test]
fn every_pod_is_asked_for_its_proof() {
    let Some(case) = Case::new() else { return };
    let image = case.name();
    case.run(&Case::words(&image, &["-o", "k8s", "--name", "one"]));
    let pods = |second: &str| {
        format!(
            "case \"$*\" in\n\
             'get pods '*) echo '{{\"items\":[{{\"metadata\":{{\"name\":\"one\"}},\"status\":{{\"phase\":\"Running\"}}}},{{\"metadata\":{{\"name\":\"two\"}},\"status\":{{\"phase\":\"Running\"}}}},{{\"metadata\":{{\"name\":\"old\"}},\"status\":{{\"phase\":\"Failed\"}}}}]}}';;\n\
             *' one -c agent '*) echo '{{\"rows\":[{{\"name\":\"egress\",\"verdict\":\"pass\",\"seen\":\"\"}}]}}';;\n\
             *' two -c agent '*) {second};;\n\
             *) exit 9;;\nesac"
        )
    };
    case.kubectl(&pods(
        "echo '{\"rows\":[{\"name\":\"egress\",\"verdict\":\"gap\",\"seen\":\"10.0.0.1:53\"}]}'",
    ));
    let said = case.run(&["kube", "--verify", "k8s"]);
    assert!(said.contains("2 pods, 0 not proved"), "{said}");
    let log = case.read("me/kubectl.log");
    assert!(
        log.contains("exec -n pinfold one -c agent -- /usr/local/libexec/pinfold/pinfold pod verify --json"),
        "{log}"
    );
    assert!(!log.contains(" old "), "{log}");
    for (second, told) in [
        ("echo '{\"rows\":[{\"name\":\"egress\",\"verdict\":\"fail\"}]}'; exit 1", "two: fails in egress"),
        ("echo '{\"rows\":[{\"name\":\"egress\",\"verdict\":\"pass\"}]}'; exit 1", "two: fails in"),
        ("echo '{\"rows\":[]}'", "two: fails in"),
        ("echo 'no such container' >&2; exit 1", "no such container"),
        ("echo nothing", "two: not proved"),
    ] {
        case.kubectl(&pods(second));
        let output = case.output(&["kube", "--verify", "k8s"]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.code() == Some(1) && said.contains(told), "{second}: {said}");
    }
    case.kubectl("echo '{\"items\":[]}'");
    assert!(case.told(&["kube", "--verify", "k8s"]).1.contains("none of its 0 pods runs"));
    case.kubectl("echo 'connection refused' >&2; exit 1");
    let (code, said) = case.told(&["kube", "--verify", "k8s"]);
    assert!(
        code == 1 && said.contains("connection refused") && said.contains("reaches the cluster"),
        "{said}"
    );
    case.kubectl(
        "echo '{\"items\":[{\"metadata\":{\"name\":\"-oyaml\"},\"status\":{\"phase\":\"Running\"}}]}'",
    );
    assert!(case.told(&["kube", "--verify", "k8s"]).1.contains("is no name"));
}

#[test]
fn a_claimed_sandbox_gets_a_token_that_its_address_alone_can_use() {
    let Some(case) = Case::new() else { return };
    let image = case.name();
    case.run(&Case::words(&image, &["-o", "k8s", "--name", "one", "--pool", "3"]));
    let folder = case.machine.path("me").display().to_string();
    case.kubectl(&format!(
        "case \"$*\" in\n\
         wait*) ;;\n\
         *sandboxclaim/one-1*) echo '{{\"status\":{{\"sandbox\":{{\"name\":\"one-x7\"}}}}}}';;\n\
         *sandbox/one-x7*) echo '{{\"status\":{{\"selector\":\"agents.x-k8s.io/sandbox=one-x7\"}}}}';;\n\
         'get pods '*) echo '{{\"items\":[{{\"metadata\":{{\"name\":\"one-x7\"}},\"status\":{{\"phase\":\"Running\",\"podIP\":\"10.244.1.7\"}}}}]}}';;\n\
         apply*) cat >{folder}/applied;;\n\
         exec*) cat >{folder}/handed;;\n\
         *) exit 9;;\nesac"
    ));
    let said = case.run(&["kube", "--claim", "one-1", "k8s"]);
    assert!(
        said.contains(
            "kubectl exec -it -n pinfold one-x7 -c agent -- /usr/local/libexec/pinfold/pinfold pod attach"
        ),
        "{said}"
    );
    let token = case.read("me/handed");
    let digits = token.trim();
    assert!(digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()), "{}", token.len());
    let bytes: Vec<u8> =
        (0..32).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap()).collect();
    let applied = case.read("me/applied");
    let encoded =
        applied.split("claim.one-1: ").nth(1).unwrap().lines().next().unwrap().trim_matches('"').to_owned();
    let line = base64(&encoded);
    assert_eq!(line, format!("one-1 {} one 10.244.1.7\n", Digest::sha256(&bytes).hex()));
    let log = case.read("me/kubectl.log");
    let order: Vec<&str> = log.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(order, ["wait", "get", "get", "get", "apply", "exec"]);
    assert!(log.contains("apply --server-side --field-manager=pinfold-claim-one-1 -f -"), "{log}");
    assert!(!log.contains(digits) && !said.contains(digits) && !applied.contains(digits));
    // An export without a pool has none to claim.
    case.run(&Case::words(&image, &["-o", "k8s", "--name", "one"]));
    assert!(case.told(&["kube", "--claim", "one-1", "k8s"]).1.contains("it has no pool"));
}

/// RFC 4648, for what is written here.
fn base64(text: &str) -> String {
    let value = |byte: u8| {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        alphabet.iter().position(|known| *known == byte)
    };
    let (mut bits, mut count, mut bytes) = (0_usize, 0, Vec::new());
    for digit in text.bytes().filter_map(value) {
        bits = bits << 6 | digit;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from(bits >> count & 255).unwrap());
        }
    }
    String::from_utf8(bytes).unwrap()
}
