//! `pinfold push` to Debian's docker-registry, and what skopeo makes of what is there then. The image is of busybox.
#![expect(clippy::unwrap_used, reason = "these tests run the program, and may fail")]
#![expect(clippy::disallowed_methods, reason = "the tests compare with another tool")]

use std::process::Command;
use std::process::Output;

use pinfold_base::Digest;
use pinfold_testkit::docker_registry::Auth;
use pinfold_testkit::docker_registry::DockerRegistry;
use pinfold_testkit::machine::Machine;
use serde_json::Value;

/// A machine with a built project, and words for the program.
fn pinfold(machine: &Machine, line: &str) -> Output {
    machine.pinfold(&line.split_whitespace().collect::<Vec<_>>()).output().unwrap()
}

fn json(machine: &Machine, line: &str) -> Value {
    let output = pinfold(machine, &format!("{line} --json"));
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The exit code and what is said on stderr.
fn told(machine: &Machine, line: &str) -> (i32, String) {
    let output = pinfold(machine, line);
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn skopeo(words: &[&str]) -> Vec<u8> {
    let output = Command::new("skopeo").args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn a_project_is_pushed_as_its_index_and_others_find_it() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let Some(registry) = DockerRegistry::start(Auth::Open) else { return };
    let name = format!("{}/team/box:1", registry.host());
    let planned = json(&machine, &format!("push --dry-run {name}"));
    assert_eq!(planned["there"], 0);
    let first = json(&machine, &format!("push {name}"));
    let platforms = first["platforms"].as_array().unwrap().len();
    assert!(platforms > 0 && first["unchanged"] == false);
    assert_eq!(
        planned["missing"].as_array().unwrap().len(),
        first["sent"].as_array().unwrap().len() + platforms + 1,
        "blobs, a manifest for each platform, the index"
    );
    // The same again is nothing to do, and another tag sends no blob; neither does a repository that may take them over.
    assert_eq!(json(&machine, &format!("push {name}"))["unchanged"], true);
    let other = json(&machine, &format!("push {}/team/box:2", registry.host()));
    assert_eq!((other["sent"].as_array().unwrap().len(), &other["digest"]), (0, &first["digest"]));
    let planned =
        json(&machine, &format!("push --dry-run --mount-from team/box {}/other/box:1", registry.host()));
    assert_eq!(planned["mounted"].as_array().unwrap().len(), first["sent"].as_array().unwrap().len());
    assert_eq!(planned["missing"].as_array().unwrap().len(), platforms + 1, "manifests and the index");
    let moved = json(&machine, &format!("push --mount-from team/box {}/other/box:1", registry.host()));
    assert_eq!(moved["mounted"].as_array().unwrap().len(), first["sent"].as_array().unwrap().len());
    assert_eq!(json(&machine, &format!("push --dry-run {name}"))["missing"], Value::Array(Vec::new()));
    // skopeo finds the very bytes, and all that they name.
    let there = format!("docker://{name}");
    let index = skopeo(&["inspect", "--raw", "--tls-verify=false", &there]);
    assert_eq!(first["digest"], Digest::sha256(&index).to_string());
    let copied = format!("oci:{}:copied", machine.path("copied").display());
    skopeo(&["copy", "--all", "--preserve-digests", "--src-tls-verify=false", &there, &copied]);
    assert_eq!(told(&machine, &format!("verify --only oci {copied}")).0, 0);
    // One platform alone is its manifest.
    let one = first["platforms"][0].as_str().unwrap();
    let name = format!("{}/team/one:1", registry.host());
    let alone = json(&machine, &format!("push --platform {one} box:latest {name}"));
    assert_eq!(alone["platforms"], serde_json::json!([one]));
    let manifest: Value = serde_json::from_slice(&skopeo(&[
        "inspect",
        "--raw",
        "--tls-verify=false",
        &format!("docker://{name}"),
    ]))
    .unwrap();
    assert!(manifest["layers"].is_array());
}

#[test]
fn what_is_too_large_is_refused_before_anything_is_asked() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    // There is no such registry: whoever asked it would say so.
    let (code, said) = told(&machine, "push --budget 1KiB registry.example/box:1");
    assert_eq!(code, 5, "{said}");
    assert!(said.contains("over the budget of 1 KiB") && said.contains("generated/base"), "{said}");
    let allowed = said.split("`--budget ").nth(1).unwrap().split('`').next().unwrap();
    let Some(registry) = DockerRegistry::start(Auth::Open) else { return };
    let (code, said) = told(&machine, &format!("push --budget {allowed} {}/box:1", registry.host()));
    assert_eq!(code, 0, "{said}");
}

#[test]
fn an_image_goes_only_under_its_own_digest() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let Some(registry) = DockerRegistry::start(Auth::Open) else { return };
    let name = format!("{}/box", registry.host());
    let (code, said) = told(&machine, &format!("push box {name}@sha256:{}", "0".repeat(64)));
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("leave the digest out"), "{said}");
    let pushed = json(&machine, &format!("push box {name}:1"));
    let digest = pushed["digest"].as_str().unwrap();
    assert_eq!(json(&machine, &format!("push box {name}@{digest}"))["unchanged"], true);
}

#[test]
fn a_destination_is_in_a_registry() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let (code, said) = told(&machine, "push box other:1");
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("names no registry"), "{said}");
}
