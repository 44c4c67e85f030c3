//! `pinfold pull`, images by the names of their registries, and `copy`: against Debian's docker-registry, with skopeo and podman on the
//! other side. The image is of busybox.
#![expect(clippy::unwrap_used, reason = "these tests run the program, and may fail")]
#![expect(clippy::disallowed_methods, reason = "the tests compare with another tool")]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use fs_err as fs;
use pinfold_base::Digest;
use pinfold_base::Platform;
use pinfold_testkit::docker_registry::Auth;
use pinfold_testkit::docker_registry::DockerRegistry;
use pinfold_testkit::http::Fault;
use pinfold_testkit::http::Response;
use pinfold_testkit::machine::Machine;
use pinfold_testkit::registry::Quirks;
use pinfold_testkit::registry::Registry;
use serde_json::Value;

/// The program with another `PINFOLD_HOME`: another user's machine, with nothing on it at first.
fn there(machine: &Machine, home: &str, line: &str) -> Command {
    let mut command = machine.pinfold(&line.split_whitespace().collect::<Vec<_>>());
    command.env("PINFOLD_HOME", machine.path(home));
    command
}

fn output(machine: &Machine, home: &str, line: &str) -> Output {
    there(machine, home, line).output().unwrap()
}

fn json(machine: &Machine, home: &str, line: &str) -> Value {
    let output = output(machine, home, &format!("{line} --json"));
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The exit code and what is said on stderr.
fn told(machine: &Machine, home: &str, line: &str) -> (i32, String) {
    let output = output(machine, home, line);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn skopeo(words: &[&str]) -> Vec<u8> {
    let output = Command::new("skopeo").args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// All blobs of a layout, checked.
fn blobs(layout: &Path) -> BTreeMap<String, Vec<u8>> {
    let blobs = fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        let (name, bytes) =
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap());
        assert_eq!(Digest::sha256(&bytes).hex(), name);
        (name, bytes)
    });
    blobs.collect()
}

/// A machine with a built project of two platforms, and a registry that has it.
fn pushed() -> Option<(Machine, DockerRegistry, String, Value)> {
    let machine = Machine::new(env!("CARGO_BIN_EXE_pinfold"))?;
    let registry = DockerRegistry::start(Auth::Open)?;
    let name = format!("{}/team/box:1", registry.host());
    let pushed = json(&machine, "home", &format!("push {name}"));
    Some((machine, registry, name, pushed))
}

#[test]
fn an_image_is_pulled_on_an_empty_machine_and_run_by_its_name() {
    let Some((machine, registry, name, pushed)) = pushed() else { return };
    let digest = pushed["digest"].as_str().unwrap();
    let pulled = json(&machine, "other", &format!("pull {name}"));
    assert_eq!(pulled["digest"], digest);
    assert_eq!(pulled["platforms"], serde_json::json!([Platform::host().unwrap()]));
    assert_eq!((&pulled["unchanged"], &pulled["there"]), (&Value::Bool(false), &Value::from(0)));
    assert_eq!(json(&machine, "other", &format!("pull {name}"))["unchanged"], true);
    assert_eq!(told(&machine, "other", &format!("verify {name}")).0, 0);
    let repository = name.strip_suffix(":1").unwrap();
    for by in [format!("{repository}@{digest}"), format!("{repository}@{}", pulled["kept"].as_str().unwrap())]
    {
        // Without the network: it is there.
        let run = output(
            &machine,
            "other",
            &format!("run --offline --network none --image {by} -- /bin/busybox echo here"),
        );
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        assert_eq!(run.stdout, b"here\n");
    }
    let listed = json(&machine, "other", "images");
    assert_eq!((&listed[0]["repository"], &listed[0]["tag"]), (&repository.into(), &"1".into()));
    // What is not there is pulled when it is run, unless that is not wanted or cannot be.
    let (code, said) = told(&machine, "third", &format!("run --offline --image {name} -- /bin/busybox true"));
    assert_eq!(code, 125);
    assert!(
        said.contains(&format!("`{name}` is not in the store, and the network is switched off")),
        "{said}"
    );
    let (code, said) =
        told(&machine, "third", &format!("run --pull never --image {name} -- /bin/busybox true"));
    assert_eq!(code, 125);
    assert!(said.contains("is not in the store") && said.contains(&format!("pinfold pull {name}")), "{said}");
    let run =
        output(&machine, "third", &format!("run --network none --image {name} -- /bin/busybox echo pulled"));
    assert!(run.status.success() && run.stdout == b"pulled\n", "{}", String::from_utf8_lossy(&run.stderr));
    // A layer that the disk takes away is brought again.
    let blobs = machine.path("third/data/images/blobs/sha256");
    let largest = fs::read_dir(&blobs)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .max_by_key(|path| fs::metadata(path).unwrap().len());
    fs::write(largest.unwrap(), "damaged").unwrap();
    let run = output(&machine, "third", &format!("run --network none --image {name} -- /bin/busybox true"));
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert_eq!(told(&machine, "third", &format!("verify --only oci {name}")).0, 0);
    // Once it is there, the registry need not be.
    drop(registry);
    assert_eq!(
        told(&machine, "third", &format!("run --network none --image {name} -- /bin/busybox true")).0,
        0
    );
    assert_eq!(
        told(
            &machine,
            "third",
            &format!("run --pull always --network none --image {name} -- /bin/busybox true")
        )
        .0,
        125
    );
}

#[test]
fn other_verbs_take_an_image_by_the_name_of_its_registry() {
    let Some((machine, _registry, name, pushed)) = pushed() else { return };
    let digest = pushed["digest"].as_str().unwrap();
    // It is looked at there, and nothing is kept.
    let remote = format!("docker://{name}");
    let summary = json(&machine, "other", &format!("inspect {remote}"));
    assert_eq!((&summary["digest"], summary["platforms"].as_array().unwrap().len()), (&digest.into(), 2));
    assert_eq!(json(&machine, "other", &format!("inspect {name}"))["digest"], digest);
    assert_eq!(told(&machine, "other", &format!("verify --only oci {remote}")).0, 0);
    assert_eq!(json(&machine, "other", "images"), serde_json::json!([]));
    // What needs its files has it pulled, or reads it there.
    for (number, from) in [&remote, &name].into_iter().enumerate() {
        let to = machine.path(&format!("files{number}"));
        let (code, said) = told(&machine, "other", &format!("unpack {from} {}", to.display()));
        assert_eq!(code, 0, "{said}");
        assert!(to.join("bin/busybox").exists());
        assert_eq!(json(&machine, "other", "images").as_array().unwrap().len(), number);
    }
    // To another repository of the same registry from there.
    let other = name.replace("team/box:1", "other/box:1");
    let again = json(&machine, "fourth", &format!("push {remote} {other}"));
    assert_eq!(again["digest"], digest);
    for line in ["pull box", "pull docker://box", "inspect docker://box"] {
        let (code, said) = told(&machine, "other", line);
        assert_eq!(code, 2, "{line}: {said}");
        assert!(said.contains("names no registry") && said.contains("registry.example/team/name"), "{said}");
    }
    let (code, said) = told(&machine, "other", &format!("pull {}", name.replace(":1", ":2")));
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("check the name and the tag"), "{said}");
    // Nobody listens there (tcpmux, which nobody has).
    let (code, said) = told(&machine, "other", "pull 127.0.0.1:1/team/x:1");
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("can be reached from here") && !said.contains("--offline"), "{said}");
}

#[test]
fn skopeo_and_we_take_each_others_images_byte_for_byte() {
    let Some((machine, registry, name, _)) = pushed() else { return };
    let made = machine.path("made");
    let layout = format!("oci:{}:made", made.display());
    assert_eq!(told(&machine, "home", &format!("copy box {layout}")).0, 0);
    let host = registry.host();
    // What it pushed, we pull.
    let there = format!("docker://{host}/theirs/box:1");
    skopeo(&["copy", "--all", "--preserve-digests", "--dest-tls-verify=false", &layout, &there]);
    let all = json(&machine, "other", &format!("pull --all-platforms {host}/theirs/box:1"));
    assert_eq!(all["platforms"].as_array().unwrap().len(), 2);
    assert_eq!(blobs(&machine.path("other/data/images")), blobs(&made));
    // What we pushed, it pulls.
    let theirs = machine.path("theirs");
    let to = format!("oci:{}:1", theirs.display());
    skopeo(&[
        "copy",
        "--all",
        "--preserve-digests",
        "--src-tls-verify=false",
        &format!("docker://{name}"),
        &to,
    ]);
    assert_eq!(blobs(&theirs), blobs(&made));
    // In Docker's vocabulary, whose bytes and digest stay.
    let docker = format!("docker://{host}/docker/box:1");
    skopeo(&["copy", "--format", "v2s2", "--dest-tls-verify=false", &layout, &docker]);
    let raw = skopeo(&["inspect", "--raw", "--tls-verify=false", &docker]);
    let pulled = json(&machine, "third", &format!("pull {host}/docker/box:1"));
    assert_eq!(pulled["digest"], Digest::sha256(&raw).to_string());
    assert_eq!(told(&machine, "third", &format!("verify {host}/docker/box:1")).0, 0);
    let run = output(
        &machine,
        "third",
        &format!("run --network none --image {host}/docker/box:1 -- /bin/busybox echo docker"),
    );
    assert!(run.status.success() && run.stdout == b"docker\n", "{}", String::from_utf8_lossy(&run.stderr));
    // And back, as it was.
    json(&machine, "third", &format!("push {host}/docker/box:1 {host}/docker/box:2"));
    assert_eq!(skopeo(&["inspect", "--raw", "--tls-verify=false", &docker.replace(":1", ":2")]), raw);
}

#[test]
fn a_tampered_layer_is_refused_by_its_digest() {
    let Some((machine, registry, name, _)) = pushed() else { return };
    let summary = json(&machine, "home", "inspect box");
    let host = Platform::host().unwrap().to_string();
    let of_host = summary["platforms"]
        .as_array()
        .unwrap()
        .iter()
        .find(|platform| platform["platform"] == host.as_str())
        .unwrap();
    let layer =
        of_host["layers"].as_array().unwrap().iter().max_by_key(|layer| layer["size"].as_u64()).unwrap();
    let hex = layer["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
    let file = registry.blob_path(hex);
    let mut bytes = fs::read(&file).unwrap();
    bytes[100] ^= 1;
    fs::write(&file, bytes).unwrap();
    let (code, said) = told(&machine, "other", &format!("pull {name}"));
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("wrong digest") && said.contains(hex), "{said}");
    assert_eq!(json(&machine, "other", "images"), serde_json::json!([]));
    assert!(!machine.path("other/data/images/blobs/sha256").join(hex).exists());
}

#[test]
fn copies_keep_their_digests_from_place_to_place() {
    let Some((machine, registry, name, pushed)) = pushed() else { return };
    let digest = pushed["digest"].as_str().unwrap();
    let path = |name: &str| machine.path(name).display().to_string();
    let host = registry.host();
    let places = [
        format!("docker://{name}"),
        format!("oci:{}", path("layout")),
        format!("oci:{}:v1", path("layout")),
        format!("oci-archive:{}", path("image.tar")),
        format!("docker://{host}/other/box:1"),
        "copied:1".to_owned(),
        format!("docker://{host}/third/box:1"),
    ];
    for pair in places.windows(2) {
        let copied = json(&machine, "other", &format!("copy {} {}", pair[0], pair[1]));
        assert_eq!(
            (&copied["digest"], copied["platforms"].as_array().unwrap().len()),
            (&digest.into(), 2),
            "{pair:?}"
        );
    }
    // Blobs were mounted where both are of one registry.
    let mounted = json(&machine, "other", &format!("copy docker://{name} docker://{host}/fourth/box:1"));
    assert!(!mounted["sent"]["mounted"].as_array().unwrap().is_empty() && mounted["sent"]["bytes"] == 0);
    // One platform alone is its manifest, in a Docker archive as well.
    let one = json(&machine, "other", &format!("copy --platform linux/arm64 copied:1 oci:{}", path("one")));
    assert_eq!(one["platforms"], serde_json::json!(["linux/arm64"]));
    let archive = format!("docker-archive:{}", path("image.docker.tar"));
    let docker = json(&machine, "other", &format!("copy copied:1 {archive}"));
    assert_eq!(docker["platforms"], serde_json::json!([Platform::host().unwrap()]));
    assert_eq!(told(&machine, "other", &format!("verify {archive}")).0, 0);
    let (code, said) =
        told(&machine, "other", &format!("copy --budget 1KiB copied:1 docker://{host}/fifth/box:1"));
    assert_eq!(code, 5, "{said}");
    let (code, said) = told(&machine, "fifth", &format!("copy {name} oci:{}", path("none")));
    assert_eq!(code, 2, "{said}");
    assert!(said.contains(&format!("pinfold pull {name}")), "{said}");
    assert!(!machine.path("none").exists());
}

/// A machine whose registry stalls in the middle of the largest layer until it is told to go on.
fn stalling() -> Option<(Machine, Registry, String, Arc<AtomicBool>)> {
    let machine = Machine::new(env!("CARGO_BIN_EXE_pinfold"))?;
    let stalls = Arc::new(AtomicBool::new(true));
    let (asked, of) = (stalls.clone(), Arc::new(machine.path("home/data/images/blobs/sha256")));
    let registry = Registry::start(Quirks {
        instead: Some(Arc::new(move |request| {
            let hex = request.path.split("/blobs/sha256:").nth(1)?;
            let bytes = fs::read(of.join(hex)).ok().filter(|bytes| bytes.len() > 300_000)?;
            let answer = Response::ranged(request, &bytes);
            (request.method == "GET" && asked.load(Ordering::SeqCst))
                .then(|| answer.fault(Fault::StallAfter(200_000)))
        })),
        ..Quirks::default()
    });
    let name = format!("{}/team/box:1", registry.host());
    json(&machine, "home", &format!("push {name}"));
    Some((machine, registry, name, stalls))
}

#[test]
fn a_pull_that_is_killed_goes_on_where_it_stopped() {
    let Some((machine, registry, name, stalls)) = stalling() else { return };
    let partial = machine.path("other/data/images/partial");
    let mut child = there(&machine, "other", &format!("pull {name}")).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    let size = || -> u64 {
        let Ok(entries) = fs::read_dir(&partial) else { return 0 };
        entries.filter_map(|entry| Some(entry.ok()?.metadata().ok()?.len())).sum()
    };
    while size() < 200_000 {
        assert!(
            Instant::now() < end && child.try_wait().unwrap().is_none(),
            "it is in the middle of a layer"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(json(&machine, "other", "images"), serde_json::json!([]));
    stalls.store(false, Ordering::SeqCst);
    let before = registry.requests().len();
    assert_eq!(json(&machine, "other", &format!("pull {name}"))["unchanged"], false);
    let ranges: Vec<_> =
        registry.requests()[before..].iter().filter_map(pinfold_testkit::http::Request::range).collect();
    assert!(ranges.contains(&200_000), "{ranges:?}");
    assert_eq!(told(&machine, "other", &format!("verify {name}")).0, 0);
    assert_eq!(fs::read_dir(&partial).unwrap().count(), 0);
}

#[test]
fn two_pulls_at_once_do_not_hinder_each_other() {
    let Some((machine, registry, name, stalls)) = stalling() else { return };
    let mut first = there(&machine, "other", &format!("pull {name}")).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    stalls.store(false, Ordering::SeqCst);
    let second = there(&machine, "other", &format!("pull --all-platforms {name}")).spawn().unwrap();
    // The first one waits for what will never come, and has what the second one waits for.
    std::thread::sleep(Duration::from_millis(300));
    first.kill().unwrap();
    first.wait().unwrap();
    let second = second.wait_with_output().unwrap();
    assert!(second.status.success());
    let (mut a, mut b) = (
        there(&machine, "third", &format!("pull {name}")).spawn().unwrap(),
        there(&machine, "third", &format!("pull {name}")).spawn().unwrap(),
    );
    assert!(a.wait().unwrap().success() && b.wait().unwrap().success());
    for home in ["other", "third"] {
        assert_eq!(told(&machine, home, &format!("verify --only oci {name}")).0, 0);
        assert_eq!(json(&machine, home, "images").as_array().unwrap().len(), 1);
    }
    drop(registry);
}

#[test]
fn a_signed_image_is_let_in_by_its_key_and_stays_so_without_its_registry() {
    let Some((machine, registry, name, _)) = pushed() else { return };
    let folder = machine.path("other/config");
    fs::create_dir_all(&folder).unwrap();
    let host = registry.host();
    for team in ["team", "free"] {
        let key = folder.join(format!("{team}.pem"));
        assert_eq!(told(&machine, "other", &format!("key generate {}", key.display())).0, 0);
        let public = output(&machine, "other", &format!("key public {}", key.display()));
        fs::write(folder.join(format!("{team}.pub")), public.stdout).unwrap();
    }
    let rules = ["team", "free"]
        .map(|team| format!("[[trust]]\nimages = \"{host}/{team}/*\"\nkeys = [\"{team}.pub\"]\n"));
    fs::write(folder.join("config.toml"), rules.concat()).unwrap();
    // Both are signed by one team; the other's rule wants another key.
    for team in ["team", "free"] {
        let line = format!("push --sign {} box {host}/{team}/box:1", folder.join("team.pem").display());
        json(&machine, "home", &line);
    }
    let (code, said) = told(&machine, "other", &format!("pull {host}/free/box:1"));
    assert_eq!(code, 5, "{said}");
    assert!(said.contains(&format!("{host}/free/box")) && said.contains("key"), "{said}");
    assert_eq!(json(&machine, "other", "images"), serde_json::json!([]));
    // The index is signed, and one platform of it is kept.
    let pulled = json(&machine, "other", &format!("pull {name}"));
    assert_ne!(pulled["digest"], pulled["kept"]);
    drop(registry);
    let repository = name.strip_suffix(":1").unwrap();
    for by in [name.clone(), format!("{repository}@{}", pulled["digest"].as_str().unwrap())] {
        let (code, said) =
            told(&machine, "other", &format!("run --network none --image {by} -- /bin/busybox true"));
        assert_eq!(code, 0, "{said}");
    }
    // The proof is what lets it in, and not that it is here.
    pinfold_base::directory::remove(&machine.path("other/data/proofs")).unwrap();
    let (code, said) =
        told(&machine, "other", &format!("run --offline --network none --image {name} -- /bin/busybox true"));
    assert_eq!(code, 125, "{said}");
    assert!(said.contains("sign"), "{said}");
}

#[test]
fn an_image_that_nobody_signed_is_refused_where_a_rule_wants_it_signed() {
    let Some((machine, _registry, name, _)) = pushed() else { return };
    let folder = machine.path("other/config");
    fs::create_dir_all(&folder).unwrap();
    let key = folder.join("team.pem");
    assert_eq!(told(&machine, "other", &format!("key generate {}", key.display())).0, 0);
    let public = output(&machine, "other", &format!("key public {}", key.display()));
    fs::write(folder.join("team.pub"), public.stdout).unwrap();
    let host = name.split('/').next().unwrap();
    fs::write(
        folder.join("config.toml"),
        format!("[[trust]]\nimages = \"{host}/team/*\"\nkeys = [\"team.pub\"]\n"),
    )
    .unwrap();
    for line in ["pull", "run --network none --image", "verify --only oci", "copy"] {
        let rest = match line {
            "run --network none --image" => " -- /bin/busybox true",
            "copy" => " copied:1",
            _ => "",
        };
        let from = if line == "copy" { format!("docker://{name}") } else { name.clone() };
        let (code, said) = told(&machine, "other", &format!("{line} {from}{rest}"));
        if line == "verify --only oci" {
            assert_eq!(code, 0, "looking is free: {said}");
            continue;
        }
        assert_eq!(code, if line.starts_with("run") { 125 } else { 5 }, "{said}");
        assert!(said.contains(&name) && said.contains("sign"), "{said}");
    }
    assert_eq!(json(&machine, "other", "images"), serde_json::json!([]));
    assert!(
        !machine.path("other/data/images/partial").exists()
            || fs::read_dir(machine.path("other/data/images/partial")).unwrap().count() == 0
    );
    // The control: another team's images are held to their digests.
    let elsewhere = name.replace("team/box", "free/box");
    json(&machine, "home", &format!("copy docker://{name} docker://{elsewhere}"));
    assert_eq!(told(&machine, "other", &format!("pull {elsewhere}")).0, 0);
}

#[test]
fn registries_are_asked_where_the_configuration_says() {
    let Some((machine, registry, name, pushed)) = pushed() else { return };
    let config = machine.path("registries.conf");
    fs::write(
        &config,
        format!(
            "unqualified-search-registries = ['{0}']\n[aliases]\nbox = '{0}/team/box'\n\
             [[registry]]\nprefix = 'registry.example/team'\n\
             [[registry.mirror]]\nlocation = '127.0.0.1:1/none'\n[[registry.mirror]]\nlocation = '{0}/team'\n\
             [[registry]]\nprefix = 'registry.example/bad'\nblocked = true\n",
            registry.host()
        ),
    )
    .unwrap();
    let pull = |home: &str, words: &str| {
        let mut command = there(&machine, home, words);
        let output = command.env("CONTAINERS_REGISTRIES_CONF", &config).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap(), output.stdout)
    };
    // A mirror that does not answer is passed over; the name stays the one that was said.
    for (home, words, kept) in [
        ("m1", "pull registry.example/team/box:1", "registry.example/team/box"),
        ("m2", "pull box:1", name.strip_suffix(":1").unwrap()),
        ("m3", "pull team/box:1", name.strip_suffix(":1").unwrap()),
    ] {
        let (code, said, _) = pull(home, words);
        assert_eq!(code, 0, "{words}: {said}");
        let images = json(&machine, home, "images");
        assert_eq!(images[0]["repository"], kept, "{words}");
    }
    let by_digest = format!("pull registry.example/team/box@{}", pushed["digest"].as_str().unwrap());
    let (code, said, _) = pull("m4", &by_digest);
    assert_eq!(code, 0, "{said}");
    let (code, said, _) = pull("m5", "pull registry.example/bad/box:1");
    assert!(code == 5 && said.contains("blocked"), "{code} {said}");
    let (code, said) = told(&machine, "m6", "pull no-such-alias:1");
    assert!(code == 2 && said.contains("names no registry"), "{code} {said}");
}

/// Neither another name nor a project of that name is a way around a rule.
#[test]
fn a_rule_holds_for_what_takes_its_names_or_leaves_them() {
    let Some((machine, _registry, name, _)) = pushed() else { return };
    assert_eq!(told(&machine, "other", &format!("pull {name}")).0, 0);
    assert_eq!(told(&machine, "other", &format!("tag {name} before:1")).0, 0, "the control");
    let folder = machine.path("other/config");
    fs::create_dir_all(&folder).unwrap();
    let key = folder.join("team.pem");
    assert_eq!(told(&machine, "other", &format!("key generate {}", key.display())).0, 0);
    let public = output(&machine, "other", &format!("key public {}", key.display()));
    fs::write(folder.join("team.pub"), public.stdout).unwrap();
    let host = name.split('/').next().unwrap();
    let rule = |host: &str| format!("[[trust]]\nimages = \"{host}/team/*\"\nkeys = [\"team.pub\"]\n");
    fs::write(folder.join("config.toml"), rule(host) + &rule("registry.example")).unwrap();
    for what in [name.clone(), images_digest(&machine)] {
        let (code, said) = told(&machine, "other", &format!("tag {what} after:1"));
        assert!(code == 5 && said.contains("team/*"), "{what}: {code} {said}");
    }
    // A project of that name.
    machine.project("project", "");
    let manifest = machine.path("project/pinfold.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let repository = "registry.example/team/box";
    fs::write(&manifest, text.replace("name = 'box'", &format!("name = '{repository}'"))).unwrap();
    let (code, said) = told(&machine, "other", "build --offline");
    assert!(code == 5 && said.contains(&format!("`--tag {repository}:latest`")), "{code} {said}");
    assert_eq!(told(&machine, "other", &format!("build --offline --tag {repository}:latest")).0, 0);
    fs::remove_file(folder.join("config.toml")).unwrap();
    assert_eq!(told(&machine, "other", "build --offline").0, 0, "the control");
}

/// The digest of the only image that is not the project's.
fn images_digest(machine: &Machine) -> String {
    json(machine, "other", "images")[0]["digest"].as_str().unwrap().to_owned()
}
