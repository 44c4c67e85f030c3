//! `pinfold load`: into podman and containerd where they are installed, and into a Docker daemon that is played here.
#![expect(clippy::unwrap_used, reason = "these tests run the program, and may fail")]
#![expect(clippy::disallowed_methods, reason = "the tests run the tools that images are loaded into")]
#![expect(clippy::print_stdout, reason = "a skipped test must say so")]

use std::io::Read as _;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use fs_err as fs;
use pinfold_base::Platform;
use pinfold_testkit::docker_registry::Auth;
use pinfold_testkit::docker_registry::DockerRegistry;
use pinfold_testkit::machine::Machine;
use serde_json::Value;

fn load(machine: &Machine, line: &str, variables: &[(&str, String)]) -> (i32, String) {
    let mut command = machine.pinfold(&line.split_whitespace().collect::<Vec<_>>());
    let output = command.envs(variables.iter().map(|(name, value)| (name, value))).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

fn installed(program: &str) -> bool {
    let there =
        ["/usr/bin", "/usr/sbin", "/usr/local/bin"].iter().any(|dir| Path::new(dir).join(program).exists());
    if !there {
        println!("skip: {program} is not installed");
        assert!(std::env::var_os("CI").is_none(), "nothing is skipped in CI");
    }
    there
}

/// A daemon that takes one image and answers so: what it was sent.
fn daemon(socket: &Path, answer: &'static str) -> std::thread::JoinHandle<Vec<u8>> {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut came, mut buffer) = (Vec::new(), vec![0; 64 << 10]);
        while !came.ends_with(b"\r\n0\r\n\r\n") {
            match stream.read(&mut buffer).unwrap() {
                0 => break,
                n => came.extend_from_slice(&buffer[..n]),
            }
        }
        let _ = stream.write_all(answer.as_bytes());
        came
    })
}

/// The body of a request in chunks.
fn body(request: &[u8]) -> Vec<u8> {
    let start = request.windows(4).position(|part| part == b"\r\n\r\n").unwrap() + 4;
    let (mut rest, mut body) = (&request[start..], Vec::new());
    loop {
        let end = rest.windows(2).position(|part| part == b"\r\n").unwrap();
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
}

const LOADED: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
                      22\r\n{\"stream\":\"Loaded image: box:1\\n\"}\r\n0\r\n\r\n";

#[test]
fn a_docker_daemon_gets_an_archive_that_others_read() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let socket = machine.path("docker.sock");
    let docker = daemon(&socket, LOADED);
    let host = [("DOCKER_HOST", format!("unix://{}", socket.display()))];
    let (code, said) = load(&machine, "load box --to docker", &host);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("docker has box:latest") && said.contains("as box:latest"), "{said}");
    let request = docker.join().unwrap();
    assert!(request.starts_with(b"POST /images/load?quiet=1 HTTP/1.1\r\n"));
    let archive = machine.path("sent.tar");
    fs::write(&archive, body(&request)).unwrap();
    // It is the archive that is written to a file.
    let file = machine.path("file.tar");
    let line = format!("copy box docker-archive:{}:box:latest", file.display());
    assert_eq!(load(&machine, &line, &[]).0, 0);
    assert_eq!(fs::read(&archive).unwrap(), fs::read(&file).unwrap());
    if installed("skopeo") {
        let place = format!("docker-archive:{}:box:latest", archive.display());
        let output = Command::new("skopeo").args(["inspect", &place]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            format!("linux/{}", found["Architecture"].as_str().unwrap()),
            Platform::host().unwrap().to_string()
        );
    }
}

#[test]
fn what_a_docker_daemon_has_against_it_is_told() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let answers = [
        (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"errorDetail\":{},\"error\":\"no space left\"}",
            "no space left",
        ),
        ("HTTP/1.1 500 Internal Server Error\r\n\r\n{\"message\":\"broken\"}", "500 broken"),
        ("HTTP/1.1 404 Not Found\r\n\r\npage not found", "404"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n22\r\n{", "ends early"),
        ("HTTP/1.1 200 OK\r\n\r\n", "does not say that the image was loaded"),
        ("HTTP/1.1 200 OK\r\n\r\n<html>Loaded image: no</html>", "does not say that the image was loaded"),
        (
            "HTTP/1.1 200 OK\r\n\r\n{\"stream\":\"Loading layer\"}\n{\"stre",
            "does not say that the image was loaded",
        ),
        ("SSH-2.0-x\r\n", "no HTTP"),
        ("", "no HTTP"),
    ];
    for (number, (answer, words)) in answers.into_iter().enumerate() {
        let socket = machine.path(&format!("docker{number}.sock"));
        let docker = daemon(&socket, answer);
        let host = [("DOCKER_HOST", format!("unix://{}", socket.display()))];
        let (code, said) = load(&machine, "load box --to docker", &host);
        assert_ne!(code, 0);
        assert!(said.contains(words), "expected `{words}`: {said}");
        docker.join().unwrap();
    }
    let host = [("DOCKER_HOST", format!("unix://{}", machine.path("none").display()))];
    let (code, said) = load(&machine, "load box --to docker", &host);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("there is no Docker daemon") && said.contains("docker-archive:FILE"), "{said}");
    let (code, said) =
        load(&machine, "load box --to docker", &[("DOCKER_HOST", "tcp://192.0.2.1:2375".into())]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("docker load -i FILE"), "{said}");
}

#[test]
fn a_program_is_found_in_the_path_and_nowhere_else() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let fake = machine.path("project/podman");
    fs::write(&fake, "#!/bin/sh\necho canary >&2; exit 1\n").unwrap();
    fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).unwrap();
    for path in [String::new(), ".".into(), "/nowhere".into(), machine.path("project").display().to_string()]
    {
        let (code, said) = load(&machine, "load box --to podman", &[("PATH", path)]);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains("`podman` cannot be run") && said.contains("oci-archive:FILE"), "{said}");
        assert!(!said.contains("canary"), "{said}");
    }
    // The control: one that is the user's own, and what it says.
    let own = machine.path("me/bin");
    fs::create_dir(&own).unwrap();
    fs::rename(&fake, own.join("podman")).unwrap();
    let (code, said) = load(&machine, "load box --to podman", &[("PATH", own.display().to_string())]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("failed") && said.contains("canary"), "{said}");
}

#[test]
fn podman_reads_the_store_in_place() {
    if !installed("podman") {
        return;
    }
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    // A storage of its own.
    let storage = machine.path("storage.conf");
    let at = |name: &str| machine.path(name).display().to_string();
    fs::write(
        &storage,
        format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = \"{}\"\nrunroot = \"{}\"\n",
            at("graph"),
            at("run")
        ),
    )
    .unwrap();
    let own = [("CONTAINERS_STORAGE_CONF", at("storage.conf"))];
    let podman = |words: &[&str]| {
        let output = Command::new("podman").args(words).envs(own.iter().cloned()).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let names = || {
        let text = podman(&["images", "--format", "{{.Repository}}:{{.Tag}}"]);
        let mut names: Vec<String> = text.lines().map(str::to_owned).collect();
        names.sort();
        names
    };
    let config = |name: &str| podman(&["image", "inspect", "--format", "{{.Id}}", name]).trim().to_owned();
    let (code, said) = load(&machine, "load box --to podman", &own);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("as localhost/box:latest"), "{said}");
    assert_eq!(names(), ["localhost/box:latest"], "and no name by the path that it came by");
    let id = config("localhost/box:latest");
    // From other places the same image, under the names that they know.
    let archive = at("image.tar");
    assert_eq!(load(&machine, &format!("copy box oci-archive:{archive}:other:2"), &[]).0, 0);
    assert_eq!(load(&machine, &format!("copy box oci:{}:third:3", at("layout")), &[]).0, 0);
    assert_eq!(load(&machine, &format!("load oci-archive:{archive} --to podman"), &own).0, 0);
    assert_eq!(load(&machine, &format!("load oci:{}:third:3 --to podman", at("layout")), &own).0, 0);
    assert_eq!(names(), ["localhost/box:latest", "localhost/other:2", "localhost/third:3"]);
    for name in ["localhost/other:2", "localhost/third:3"] {
        assert_eq!(config(name), id);
    }
    // An image in Docker's words, which podman finds in no layout.
    if let Some(registry) = DockerRegistry::start(Auth::Open).filter(|_| installed("skopeo")) {
        let from = format!("oci:{}:third:3", at("layout"));
        let there = format!("docker://{}/docker/box:4", registry.host());
        let words = ["copy", "--format", "v2s2", "--dest-tls-verify=false", &from, &there];
        assert!(Command::new("skopeo").args(words).output().unwrap().status.success());
        let name = there.strip_prefix("docker://").unwrap();
        let (code, said) = load(&machine, &format!("load {name} --to podman"), &own);
        assert_eq!(code, 0, "{said}");
        assert_eq!(config(name), id);
    }
    // The project here, built first.
    let (code, said) = load(&machine, "load --to podman", &own);
    assert_eq!(code, 0, "{said}");
    assert_eq!(config("localhost/box:latest"), id);
    let _ = Command::new("podman")
        .args(["unshare", "rm", "-rf", &at("graph")])
        .envs(own.iter().cloned())
        .output();
}

/// containerd with folders of its own.
struct Containerd {
    child: Child,
}

impl Containerd {
    /// Nothing where it does not start, as without root.
    fn start(machine: &Machine) -> Option<Self> {
        if !installed("containerd") || !installed("ctr") {
            return None;
        }
        if !rustix::process::geteuid().is_root() {
            println!("skip: containerd needs root");
            return None;
        }
        let at = |name: &str| machine.path(name).display().to_string();
        let off = [
            "grpc.v1.cri",
            "internal.v1.opt",
            "snapshotter.v1.aufs",
            "snapshotter.v1.btrfs",
            "snapshotter.v1.devmapper",
            "snapshotter.v1.zfs",
        ];
        let off: Vec<String> = off.iter().map(|name| format!("\"io.containerd.{name}\"")).collect();
        let config = format!(
            "version = 2\nroot = \"{}\"\nstate = \"{}\"\ndisabled_plugins = [{}]\n[grpc]\naddress = \"{}\"\n",
            at("containerd"),
            at("state"),
            off.join(", "),
            at("c.sock")
        );
        fs::write(machine.path("containerd.toml"), config).unwrap();
        let child = Command::new("containerd")
            .args(["--config", &at("containerd.toml")])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(60);
        while std::os::unix::net::UnixStream::connect(machine.path("c.sock")).is_err() {
            assert!(Instant::now() < end, "containerd answers");
            std::thread::sleep(Duration::from_millis(50));
        }
        Some(Self { child })
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn containerd_knows_the_image_by_a_full_name() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let Some(_containerd) = Containerd::start(&machine) else { return };
    // `native` copies files: it works on every file system.
    let own = [
        ("CONTAINERD_ADDRESS", machine.path("c.sock").display().to_string()),
        ("CONTAINERD_SNAPSHOTTER", "native".to_owned()),
        ("CONTAINERD_NAMESPACE", "k8s.io".to_owned()),
    ];
    let (code, said) = load(&machine, "load box --to containerd", &own);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("containerd has box:latest") && said.contains("as localhost/box:latest"), "{said}");
    let output = Command::new("ctr").args(["images", "ls", "-q"]).envs(own.iter().cloned()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "localhost/box:latest\n");
    // Whatever it says against an image is told.
    let gone = [("CONTAINERD_ADDRESS", machine.path("none.sock").display().to_string())];
    let mut line = vec!["load", "box", "--to", "containerd"];
    line.push("--quiet");
    let (code, said) = load(&machine, &line.join(" "), &gone);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("there is no containerd at") && said.contains("none.sock"), "{said}");
    assert!(said.contains("CONTAINERD_ADDRESS"), "{said}");
    // One that lies in the project is an agent's, and no other one is taken in its place.
    let inner = machine.path("project/c.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&inner).unwrap();
    let (code, said) =
        load(&machine, &line.join(" "), &[("CONTAINERD_ADDRESS", inner.display().to_string())]);
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("`CONTAINERD_ADDRESS` leads to a place"), "{said}");
    // An image that nobody has named is given no name here: by the file that `docker save` writes of one.
    let unnamed = machine.path("unnamed.tar").display().to_string();
    assert_eq!(load(&machine, &format!("copy box docker-archive:{unnamed}"), &[]).0, 0);
    let (code, said) = load(&machine, &format!("load docker-archive:{unnamed} --to containerd"), &own);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("pinfold copy IMAGE NAME"), "{said}");
    // What the hint says.
    assert_eq!(load(&machine, &format!("copy docker-archive:{unnamed} other:1"), &[]).0, 0);
    let (code, said) = load(&machine, "load other:1 --to containerd", &own);
    assert_eq!(code, 0, "{said}");
}
