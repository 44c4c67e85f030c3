//! What other tools make of our images: skopeo, umoci and podman, where they are installed. Each test prints what it skips.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::process::Output;

use fs_err as fs;
use pinfold_base::report::Silent;

use crate::ImageSource;
use crate::ImageStore;
use crate::LayerEncoding;
use crate::Location;
use crate::Reference;
use crate::export::Selection;
use crate::export::export;
use crate::memory::AMD64;
use crate::memory::ARM64;
use crate::memory::Memory;
use crate::trust::made;
use crate::unpack::Ids;
use crate::unpack::Options;
use crate::unpack::SetId;
use crate::unpack::unpack;
use pinfold_testkit::raw_tar::RawTar;

#[expect(clippy::disallowed_methods, reason = "the tests compare with other tools")]
fn run<I: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = I>) -> Output {
    Command::new(program).args(arguments).output().unwrap()
}

/// Runs a tool that must succeed.
fn must(program: &str, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    let problem = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {problem}");
    String::from_utf8(output.stdout).unwrap()
}

#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn has(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| dir.join(tool).is_file());
    if !found {
        eprintln!("skipped: `{tool}` is not installed");
    }
    found
}

fn tars() -> Vec<Vec<u8>> {
    let long = format!("usr/{}/file", "deep/".repeat(30));
    let mut lower = RawTar::new().dir("usr/");
    for depth in 1..=30 {
        let dir = format!("usr/{}", "deep/".repeat(depth));
        lower = if dir.len() > 99 { lower.pax(&[("path", &dir)]).dir("d/") } else { lower.dir(&dir) };
    }
    let lower = lower
        .pax(&[("path", &long)])
        .file("f", "long name")
        .raw(b'0', b"usr/run", b"", 0o755, b"#!/bin/sh\n")
        .raw(b'1', b"usr/run2", b"usr/run", 0o755, b"")
        .symlink("bin", "usr")
        .dir("var/")
        .file("var/gone", "1")
        .dir("var/cleared/")
        .file("var/cleared/old", "1")
        .pax(&[("uid", "1000"), ("gid", "1000")])
        .raw(b'5', b"var/home", b"", 0o700, b"")
        .dir("tmp/")
        .raw(b'5', b"var/tmp", b"", 0o1777, b"")
        .file("usr/large", &"0123456789abcdef".repeat(20_000))
        .end();
    let upper = RawTar::new()
        .dir("var/")
        .file("var/.wh.gone", "")
        .dir("var/cleared/")
        .file("var/cleared/.wh..wh..opq", "")
        .file("var/cleared/new", "2")
        .dir("usr/")
        .file("usr/run", "replaced")
        .end();
    vec![lower, upper]
}

fn place(text: &str, dir: &Path) -> Location {
    text.replace("DIR", dir.to_str().unwrap()).parse().unwrap()
}

#[test]
fn skopeo_reads_the_store_and_all_places() {
    if !has("skopeo") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut memory = Memory::default();
    let source = memory.both(&tars(), LayerEncoding::Gzip);
    let store = ImageStore::open(dir.path()).unwrap();
    for (digest, bytes) in &memory.0 {
        store.put_reader(&bytes[..], digest, bytes.len() as u64).unwrap();
    }
    store.tag(&"team/sample:v1".parse::<Reference>().unwrap(), source.root(), None).unwrap();
    let text = |name: &str| place(name, dir.path()).to_string();
    let in_store = text("oci:DIR/images:team/sample:v1");
    let raw = must("skopeo", &["inspect", "--raw", &in_store]);
    assert_eq!(pinfold_base::Digest::sha256(raw.as_bytes()), source.root().digest);
    for (platform, architecture) in [(AMD64, "amd64"), (ARM64, "arm64")] {
        let config =
            must("skopeo", &["--override-arch", architecture, "inspect", "--config", "--raw", &in_store]);
        let ours = source.image(platform).unwrap().config;
        assert_eq!(config.as_bytes(), ours.bytes());
    }
    // Copying reads every blob and checks its digest.
    for (at, name) in ["oci-archive:DIR/a.tar:v1", "docker-archive:DIR/d.tar:team/x:v1"].iter().enumerate() {
        export(&source, Selection::One(AMD64), &place(name, dir.path()), None, &Silent).unwrap();
        let copy = text(&format!("oci:DIR/copy{at}:v1"));
        must("skopeo", &["copy", "--quiet", &text(name), &copy]);
        let read = ImageSource::from_location(&copy.parse().unwrap()).unwrap();
        assert_eq!(crate::verify::verify(&read, &Silent).unwrap().findings, []);
        let image = read.image(AMD64).unwrap();
        let ids =
            |image: &crate::Image| image.layers.iter().map(|layer| layer.diff_id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&image), ids(&source.image(AMD64).unwrap()));
    }
    let copy = text("oci:DIR/all:v1");
    must("skopeo", &["copy", "--quiet", "--all", &in_store, &copy]);
    assert_eq!(
        ImageSource::from_location(&copy.parse().unwrap()).unwrap().root().digest,
        source.root().digest
    );
    // And what skopeo writes as a Docker archive we read.
    must("skopeo", &["copy", "--quiet", &in_store, &text("docker-archive:DIR/theirs.tar:team/x:v2")]);
    let read =
        ImageSource::from_location(&place("docker-archive:DIR/theirs.tar:team/x:v2", dir.path())).unwrap();
    assert_eq!(crate::verify::verify(&read, &Silent).unwrap().findings, []);
}

/// Everything below a directory as GNU tar sees it, sorted: kind, mode, owner, size, time, links.
fn tree_of(dir: &Path) -> Vec<String> {
    let format = "%P|%y|%m|%U:%G|%T@|%l|%n";
    let listed = must("find", &[dir.to_str().unwrap(), "-mindepth", "1", "-printf", &format!("{format}\n")]);
    let mut lines: Vec<String> = listed
        .lines()
        .map(|line| {
            let path = dir.join(line.split('|').next().unwrap());
            let is_file = fs::symlink_metadata(&path).unwrap().is_file();
            // Link counts of directories depend on the file system.
            let line = if line.contains("|d|") {
                line.rsplit_once('|').unwrap().0.to_owned()
            } else {
                line.to_owned()
            };
            if is_file {
                format!("{line}|{}", pinfold_base::Digest::sha256(&fs::read(path).unwrap()))
            } else {
                line
            }
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn umoci_unpacks_the_same_tree() {
    if !has("umoci") || !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let source = Memory::default().both(&tars(), LayerEncoding::Gzip);
    export(&source, Selection::One(AMD64), &place("oci:DIR/layout:v1", dir.path()), None, &Silent).unwrap();
    let (layout, theirs) = (dir.path().join("layout:v1"), dir.path().join("theirs"));
    must("umoci", &["unpack", "--image", layout.to_str().unwrap(), theirs.to_str().unwrap()]);
    let ours = dir.path().join("ours");
    let options = Options { ids: Ids::Keep, set_id: SetId::Keep, ..Options::default() };
    let image = source.image(AMD64).unwrap();
    unpack(&made(source), &image, &ours, &options, &Silent).unwrap();
    similar_lines(&tree_of(&ours), &tree_of(&theirs.join("rootfs")));
}

/// umoci gives directories that a later layer lists without change the time of the later layer, too; all lines must agree.
fn similar_lines(ours: &[String], theirs: &[String]) {
    let difference: Vec<&String> = ours
        .iter()
        .filter(|line| !theirs.contains(line))
        .chain(theirs.iter().filter(|line| !ours.contains(line)))
        .collect();
    assert!(difference.is_empty(), "{difference:#?}");
}

#[test]
fn podman_loads_archives() {
    if !has("podman") {
        return;
    }
    // podman makes an image name out of the path of a layout, so it must be one.
    let name = format!("pinfold-interop-{}", std::process::id());
    let dir = tempfile::Builder::new().prefix(&name).rand_bytes(0).tempdir().unwrap();
    let source = Memory::default().both(&tars(), LayerEncoding::Gzip);
    let root = dir.path().join("podman");
    let storage = [
        "--root",
        root.to_str().unwrap(),
        "--runroot",
        &format!("{}/run", dir.path().display()),
        "--storage-driver",
        "vfs",
    ]
    .map(ToString::to_string);
    let podman = |arguments: &[&str]| {
        let all: Vec<&str> = storage.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        must("podman", &all)
    };
    for (name, load) in [
        ("oci-archive:DIR/a.tar:localhost/sample:oci", vec!["load", "--quiet", "--input", "DIR/a.tar"]),
        ("docker-archive:DIR/d.tar:localhost/sample:docker", vec!["load", "--quiet", "--input", "DIR/d.tar"]),
        ("oci:DIR/layout:v1", vec!["pull", "--quiet", "oci:DIR/layout:v1"]),
    ] {
        export(&source, Selection::One(AMD64), &place(name, dir.path()), None, &Silent).unwrap();
        let arguments: Vec<String> =
            load.iter().map(|text| text.replace("DIR", dir.path().to_str().unwrap())).collect();
        podman(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    }
    let ids = podman(&["images", "--all", "--no-trunc", "--format", "{{.ID}}"]);
    let config = source.image(AMD64).unwrap().config.digest().to_string();
    let ids: std::collections::BTreeSet<&str> = ids.lines().collect();
    assert_eq!(
        ids.into_iter().collect::<Vec<_>>(),
        [config.as_str()],
        "one image, by the digest of its configuration"
    );
}
