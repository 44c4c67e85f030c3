//! `push --sign` and `verify --key`, with openssl as the judge of what lies in the registry. The image is of busybox.
#![expect(clippy::unwrap_used, reason = "these tests run the program, and may fail")]
#![expect(clippy::disallowed_methods, reason = "the tests compare with another tool")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pinfold_base::Digest;
use pinfold_testkit::docker_registry::Auth;
use pinfold_testkit::docker_registry::DockerRegistry;
use pinfold_testkit::machine::Machine;
use pinfold_testkit::registry::Instead;
use pinfold_testkit::registry::Quirks;
use pinfold_testkit::registry::Referrers;
use pinfold_testkit::registry::Registry;
use pinfold_testkit::registry::error;
use serde_json::Value;

const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const REPOSITORY: &str = "team/box";

/// Exit code, stdout and stderr.
fn told(machine: &Machine, words: &[&str]) -> (i32, String, String) {
    let output = machine.pinfold(words).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn done(machine: &Machine, words: &[&str]) -> Value {
    let (code, stdout, stderr) = told(machine, &[words, &["--json"]].concat());
    assert_eq!(code, 0, "{words:?}: {stderr}");
    serde_json::from_str(&stdout).unwrap()
}

/// Makes a key; its file, and that of its public part.
fn key(machine: &Machine, name: &str) -> (String, String) {
    let file = machine.path(&format!("me/{name}.pem"));
    let (code, public, stderr) = told(machine, &["key", "generate", file.to_str().unwrap()]);
    assert_eq!(code, 0, "{stderr}");
    let public_file = machine.path(&format!("me/{name}.pub"));
    fs_err::write(&public_file, public).unwrap();
    (file.display().to_string(), public_file.display().to_string())
}

/// Whether openssl says that a signature is a key's.
fn openssl(dir: &Path, public: &str, signature: &[u8], message: &[u8]) -> bool {
    fs_err::write(dir.join("sig"), signature).unwrap();
    fs_err::write(dir.join("message"), message).unwrap();
    let words = ["dgst", "-sha256", "-verify", public, "-signature", "sig", "message"];
    Command::new("openssl").args(words).current_dir(dir).output().unwrap().status.success()
}

/// The bundles that are attached to something, by what the registry keeps.
fn bundles(registry: &Registry, of: &str) -> Vec<Value> {
    registry.with(|kept| {
        let documents: Vec<Value> =
            kept.manifests.values().filter_map(|(_, bytes)| serde_json::from_slice(bytes).ok()).collect();
        let attached = documents
            .iter()
            .filter(|document| document["artifactType"] == BUNDLE && document["subject"]["digest"] == of);
        attached
            .map(|document| {
                let blob = document["layers"][0]["digest"].as_str().unwrap().to_owned();
                serde_json::from_slice(&kept.blobs[&(REPOSITORY.to_owned(), blob)]).unwrap()
            })
            .collect()
    })
}

fn tags(registry: &Registry) -> Vec<String> {
    registry.with(|kept| kept.tags.keys().map(|(_, tag)| tag.clone()).collect())
}

/// Judges a bundle as its readers do: DSSE's encoding, and the digest that is named.
fn judge(dir: &Path, public: &str, bundle: &Value, of: &str) -> bool {
    let envelope = &bundle["dsseEnvelope"];
    let decoded = |value: &Value| STANDARD.decode(value.as_str().unwrap()).unwrap();
    let payload = decoded(&envelope["payload"]);
    let kind = envelope["payloadType"].as_str().unwrap();
    let mut message = format!("DSSEv1 {} {kind} {} ", kind.len(), payload.len()).into_bytes();
    message.extend_from_slice(&payload);
    let statement: Value = serde_json::from_slice(&payload).unwrap();
    let named = statement["subject"].as_array().unwrap().iter();
    let named = named.map(|one| format!("sha256:{}", one["digest"]["sha256"].as_str().unwrap()));
    named.into_iter().any(|digest| digest == of)
        && openssl(dir, public, &decoded(&envelope["signatures"][0]["sig"]), &message)
}

#[test]
fn an_image_is_signed_before_it_has_its_name_and_openssl_agrees() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let (secret, public) = key(&machine, "team");
    let (_, other) = key(&machine, "other");
    let scratch = tempfile::tempdir().unwrap();
    for referrers in [Referrers::Listed, Referrers::Refused(404)] {
        let registry = Registry::start(Quirks { referrers, ..Quirks::default() });
        let name = format!("{}/{REPOSITORY}:1", registry.host());
        let pushed = done(&machine, &["push", &name, "--sign", &secret]);
        let digest = pushed["digest"].as_str().unwrap().to_owned();
        let signed: Vec<&str> =
            pushed["signed"]["digests"].as_array().unwrap().iter().map(|one| one.as_str().unwrap()).collect();
        assert_eq!(signed.len(), 1 + pushed["platforms"].as_array().unwrap().len());
        assert_eq!(signed[0], digest);
        for of in &signed {
            let bundles = bundles(&registry, of);
            // Of a platform also its bill of materials.
            let expected = if *of == digest { 2 } else { 3 };
            assert_eq!(bundles.len(), expected, "{of}: a signature, and what it was built of");
            for bundle in &bundles {
                assert!(judge(scratch.path(), &public, bundle, of), "{bundle}");
                assert!(!judge(scratch.path(), &other, bundle, of), "the control");
            }
        }
        // The tag is the last thing that is written.
        let asked = registry.asked();
        let written: Vec<&String> =
            asked.iter().filter(|line| !line.starts_with("GET") && !line.starts_with("HEAD")).collect();
        assert_eq!(
            written.last().unwrap().as_str(),
            format!("PUT /v2/{REPOSITORY}/manifests/1"),
            "{asked:#?}"
        );
        // The same again writes nothing.
        let before = registry.requests().len();
        let again = done(&machine, &["push", &name, "--sign", &secret]);
        assert_eq!((&again["unchanged"], &again["signed"]["new"]), (&true.into(), &0.into()));
        let asked = &registry.asked()[before..];
        assert!(asked.iter().all(|line| line.starts_with("GET") || line.starts_with("HEAD")), "{asked:#?}");
        // What is there under its name already can be signed by one more key.
        let (second, second_public) =
            key(&machine, if referrers == Referrers::Listed { "two" } else { "three" });
        assert_ne!(done(&machine, &["push", &name, "--sign", &second])["signed"]["new"], 0);
        for public in [&public, &second_public] {
            let proved = done(&machine, &["verify", "--key", public, &name]);
            assert_eq!(proved["digest"], digest.as_str());
            assert_eq!(proved["proofs"][0]["predicate"], "signature");
        }
        let (code, _, stderr) = told(&machine, &["verify", "--key", &other, &name]);
        assert_eq!(code, 1);
        assert!(stderr.contains("its signature is by another key"), "{stderr}");
    }
}

#[test]
fn what_an_image_was_built_of_is_signed_and_is_the_same_for_the_same_lock() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let (secret, public) = key(&machine, "team");
    let registry = Registry::start(Quirks { referrers: Referrers::Listed, ..Quirks::default() });
    let name = |tag: &str| format!("{}/{REPOSITORY}:{tag}", registry.host());
    let pushed = done(&machine, &["push", &name("1"), "--sign", &secret]);
    assert_eq!(pushed["signed"]["provenance"], true);
    let digest = pushed["digest"].as_str().unwrap().to_owned();
    let statements = |of: &str| -> Vec<Value> {
        let payload =
            |bundle: &Value| STANDARD.decode(bundle["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
        bundles(&registry, of)
            .iter()
            .map(|bundle| serde_json::from_slice(&payload(bundle)).unwrap())
            .collect()
    };
    let found = statements(&digest);
    let built = found.iter().find(|one| one["predicateType"] == "https://slsa.dev/provenance/v1").unwrap();
    let definition = &built["predicate"]["buildDefinition"];
    assert_eq!(definition["buildType"], "https://pinfold.dev/build/v1");
    assert_eq!(definition["externalParameters"]["platforms"], pushed["platforms"]);
    assert!(definition["internalParameters"]["lock"].as_str().unwrap().starts_with("sha256:"));
    assert!(built["predicate"]["runDetails"]["builder"]["id"].is_string());
    assert!(!built.to_string().contains(machine.path("").to_str().unwrap()), "nothing of this machine");
    let subjects: Vec<String> = built["subject"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| format!("sha256:{}", one["digest"]["sha256"].as_str().unwrap()))
        .collect();
    assert_eq!(serde_json::json!(subjects), pushed["signed"]["digests"]);
    for words in [&["--require", "provenance"][..], &["--require", "provenance", "--require", "signature"]] {
        assert_eq!(told(&machine, &[&["verify", "--key", &public, &name("1")][..], words].concat()).0, 0);
    }
    // Built anew on a machine where nothing is, it is the same to the byte, and so attached once.
    let before = registry.with(|kept| kept.manifests.len());
    for folder in ["home/cache", "home/data"] {
        fs_err::remove_dir_all(machine.path(folder)).unwrap();
    }
    assert_eq!(done(&machine, &["push", &name("2"), "--sign", &secret])["signed"]["new"], 0);
    assert_eq!(registry.with(|kept| kept.manifests.len()), before);
    // Provenance is no signature, and of an image from elsewhere none is known.
    let (code, _, stderr) = told(&machine, &["pull", &name("1")]);
    assert_eq!(code, 0, "{stderr}");
    fs_err::remove_dir_all(machine.path("home/data/provenance")).unwrap();
    let elsewhere =
        done(&machine, &["push", &name("1"), &format!("{}/other/box:1", registry.host()), "--sign", &secret]);
    assert_eq!(elsewhere["signed"]["provenance"], false);
}

/// What is attached to something as a bill of materials: the manifest's annotations and the document.
fn bills(registry: &Registry, of: &str) -> Vec<(Value, Vec<u8>)> {
    registry.with(|kept| {
        let documents: Vec<Value> =
            kept.manifests.values().filter_map(|(_, bytes)| serde_json::from_slice(bytes).ok()).collect();
        let attached = documents.into_iter().filter(|document| {
            document["artifactType"] == "application/spdx+json" && document["subject"]["digest"] == of
        });
        let content = |document: Value| {
            let blob = document["layers"][0]["digest"].as_str().unwrap().to_owned();
            (document["annotations"].clone(), kept.blobs[&(REPOSITORY.to_owned(), blob)].clone())
        };
        attached.map(content).collect()
    })
}

#[test]
fn each_platform_has_its_bill_of_materials_once_and_signed_where_the_image_is() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let (secret, public) = key(&machine, "team");
    let scratch = tempfile::tempdir().unwrap();
    for referrers in [Referrers::Listed, Referrers::Refused(404)] {
        let registry = Registry::start(Quirks { referrers, ..Quirks::default() });
        let name = |tag: &str| format!("{}/{REPOSITORY}:{tag}", registry.host());
        let left_out = done(&machine, &["push", &name("0"), "--no-sbom"]);
        assert!(left_out["sbom"].is_null());
        let platforms: Vec<String> = left_out["platforms"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_str().unwrap().to_owned())
            .collect();
        let of = |platform: &String| {
            let summary = done(&machine, &["inspect", &name("0"), "--platform", platform]);
            summary["platforms"][0]["manifest"].as_str().unwrap().to_owned()
        };
        let manifests: Vec<String> = platforms.iter().map(of).collect();
        for manifest in &manifests {
            assert_eq!(bills(&registry, manifest).len(), 0, "the control");
        }
        let planned = done(&machine, &["push", &name("1"), "--sign", &secret, "--dry-run"]);
        assert_eq!(planned["sbom"]["new"], platforms.len());
        // Signature and provenance of the index and of each platform, and the bill of each platform.
        assert_eq!(planned["signed"]["new"], 2 + 3 * platforms.len());
        assert_eq!(done(&machine, &["push", &name("1")])["sbom"]["new"], platforms.len());
        // The same again is two requests, and nothing is looked for beside the image.
        let before = registry.requests().len();
        let again = done(&machine, &["push", &name("1")]);
        assert_eq!((&again["unchanged"], &again["sbom"]), (&true.into(), &Value::Null));
        let asked = registry.asked();
        let methods: Vec<&str> = asked[before..].iter().map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(methods, ["HEAD", "HEAD"]);
        // What was left out, or is gone since, is there after a repair.
        assert_eq!(done(&machine, &["push", &name("0")])["sbom"], Value::Null);
        assert_eq!(done(&machine, &["push", &name("1"), "--repair"])["sbom"]["new"], 0);
        assert_eq!(done(&machine, &["push", &name("2"), "--sign", &secret])["sbom"]["new"], 0);
        let again = done(&machine, &["push", &name("2"), "--sign", &secret]);
        assert_eq!((&again["sbom"]["new"], &again["signed"]["new"]), (&0.into(), &0.into()));
        for (platform, manifest) in platforms.iter().zip(&manifests) {
            let found = bills(&registry, manifest);
            assert_eq!(found.len(), 1, "{platform}");
            let (annotations, document) = &found[0];
            let (code, printed, stderr) = told(&machine, &["sbom", "box", "--platform", platform]);
            assert_eq!((code, printed.as_bytes()), (0, &document[..]), "{stderr}");
            let read: Value = serde_json::from_slice(document).unwrap();
            assert_eq!(annotations["dev.pinfold.sbom"], read["documentNamespace"]);
            // The same is signed of this manifest alone.
            let signed = bundles(&registry, manifest);
            let statement = |bundle: &&Value| {
                let payload = STANDARD.decode(bundle["dsseEnvelope"]["payload"].as_str().unwrap()).unwrap();
                let statement: Value = serde_json::from_slice(&payload).unwrap();
                statement["predicateType"] == "https://spdx.dev/Document" && statement["predicate"] == read
            };
            let signed: Vec<&Value> = signed.iter().filter(statement).collect();
            assert_eq!(signed.len(), 1, "{platform}");
            assert!(judge(scratch.path(), &public, signed[0], manifest));
        }
    }
}

#[test]
fn a_registry_that_takes_no_bill_of_materials_has_the_image_all_the_same() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let instead: Instead = Arc::new(|request| {
        let body = String::from_utf8_lossy(&request.body);
        (request.method == "PUT" && body.contains("\"subject\"")).then(|| error(400, "MANIFEST_INVALID"))
    });
    let registry = Registry::start(Quirks { instead: Some(instead), ..Quirks::default() });
    let (code, _, stderr) = told(&machine, &["push", &format!("{}/{REPOSITORY}:1", registry.host())]);
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("no bill of materials is attached to sha256:"), "{stderr}");
    assert_eq!(tags(&registry), ["1"]);
}

/// A registry that fails while a bill of materials is attached: now and then, and for good.
#[test]
fn a_registry_that_fails_to_take_a_bill_of_materials_is_asked_again_and_gets_no_tag_without_it() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    for (failures, code) in [(1, 0), (usize::MAX, 3)] {
        let failed = AtomicUsize::new(0);
        let instead: Instead = Arc::new(move |request| {
            let is_bill =
                request.method == "PUT" && String::from_utf8_lossy(&request.body).contains("\"spdxVersion\"");
            (is_bill && failed.fetch_add(1, Ordering::Relaxed) < failures).then(|| error(500, "UNKNOWN"))
        });
        let registry = Registry::start(Quirks { instead: Some(instead), ..Quirks::default() });
        let name = format!("{}/{REPOSITORY}:1", registry.host());
        let (ended, _, stderr) = told(&machine, &["push", &name]);
        assert_eq!(ended, code, "{stderr}");
        assert_eq!(tags(&registry).contains(&"1".to_owned()), code == 0, "{stderr}");
    }
}

/// What somebody has deleted from the registry is not noticed by two requests.
#[test]
fn a_platform_that_is_gone_from_the_registry_is_sent_again_by_a_repair() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let registry = Registry::start(Quirks::default());
    let name = format!("{}/{REPOSITORY}:1", registry.host());
    let pushed = done(&machine, &["push", &name, "--no-sbom"]);
    let gone = registry.with(|kept| {
        let root = pushed["digest"].as_str().unwrap();
        let key = kept.manifests.keys().find(|(_, digest)| digest != root).unwrap().clone();
        kept.manifests.remove(&key);
        key
    });
    assert_eq!(done(&machine, &["push", &name])["unchanged"], true);
    assert!(registry.with(|kept| !kept.manifests.contains_key(&gone)), "the control");
    let repaired = done(&machine, &["push", &name, "--repair"]);
    assert_eq!((&repaired["unchanged"], &repaired["digest"]), (&false.into(), &pushed["digest"]));
    assert!(registry.with(|kept| kept.manifests.contains_key(&gone)));
    assert!(repaired["sbom"]["new"].as_u64().unwrap() > 0, "what was left out is attached");
}

#[test]
fn an_image_that_cannot_be_signed_gets_no_name() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let (secret, public) = key(&machine, "team");
    let instead: Instead = Arc::new(|request| {
        let body = String::from_utf8_lossy(&request.body);
        (request.method == "PUT" && body.contains("\"subject\"")).then(|| error(403, "DENIED"))
    });
    let registry = Registry::start(Quirks { instead: Some(instead), ..Quirks::default() });
    let name = format!("{}/{REPOSITORY}:1", registry.host());
    let (code, _, stderr) = told(&machine, &["push", &name, "--sign", &secret]);
    assert_ne!(code, 0, "{stderr}");
    assert_eq!(tags(&registry), [""; 0]);
    let (code, _, stderr) = told(&machine, &["verify", "--key", &public, &name]);
    assert_ne!(code, 0, "{stderr}");
    // Without a signature it gets it, and is found to have none.
    assert_eq!(told(&machine, &["push", &name]).0, 0);
    let (code, _, stderr) = told(&machine, &["verify", "--key", &public, &name]);
    assert_eq!(code, 1);
    assert!(stderr.contains("it has no signature"), "{stderr}");
}

/// A script that signs with a key of openssl's own.
fn signer(machine: &Machine, script: &str) -> PathBuf {
    let file = machine.path("me/sign");
    fs_err::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    file
}

#[test]
fn a_program_signs_and_what_it_gives_counts_when_its_key_made_it() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let registry = Registry::start(Quirks { referrers: Referrers::Listed, ..Quirks::default() });
    let name = format!("{}/{REPOSITORY}:1", registry.host());
    let (secret, public) = key(&machine, "team");
    let (_, other) = key(&machine, "other");
    let openssl = format!("exec openssl dgst -sha256 -sign '{secret}'");
    let command = format!("command:{}", signer(&machine, &openssl).display());
    let push = |public: &str| told(&machine, &["push", &name, "--sign", &command, "--sign-public", public]);
    let (code, _, stderr) = push(&other);
    assert_eq!(code, 4, "{stderr}");
    assert!(stderr.contains("does not verify with the public key"), "{stderr}");
    assert_eq!(tags(&registry), [""; 0], "nothing was sent");
    assert_eq!(push(&public).0, 0);
    done(&machine, &["verify", "--key", &public, &name]);
    // Its signatures differ each time: what is there is not signed again.
    let before = registry.with(|kept| kept.manifests.len());
    assert_eq!(push(&public).0, 0);
    assert_eq!(registry.with(|kept| kept.manifests.len()), before);
    for (script, said) in [
        ("echo s3cret; echo s3cret >&2; exit 3", "has signed nothing"),
        ("echo s3cret", "does not verify"),
        ("true", "does not verify"),
    ] {
        signer(&machine, script);
        let name = format!("{}/{REPOSITORY}2:1", registry.host());
        let words = ["push", &name, "--sign", &command, "--sign-public", &public];
        let (code, stdout, stderr) = told(&machine, &words);
        assert_ne!(code, 0);
        assert!(stderr.contains(said), "{stderr}");
        assert!(!stderr.contains("s3cret") && !stdout.contains("s3cret"), "{stderr}");
    }
    // One that lies where a sandbox may have written is not run.
    let here = machine.path("project/sign");
    fs_err::copy(machine.path("me/sign"), &here).unwrap();
    let here = format!("command:{}", here.display());
    let (code, _, stderr) = told(&machine, &["push", &name, "--sign", &here, "--sign-public", &public]);
    assert_ne!(code, 0);
    assert!(stderr.contains("the project"), "{stderr}");
}

#[test]
fn the_older_form_is_what_its_readers_expect() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let registry = Registry::start(Quirks::default());
    let repository = format!("{}/{REPOSITORY}", registry.host());
    let name = format!("{repository}:1");
    let (secret, public) = key(&machine, "team");
    let (second, second_public) = key(&machine, "second");
    let scratch = tempfile::tempdir().unwrap();
    let push = |key: &str| done(&machine, &["push", &name, "--sign", key, "--sign-format", "legacy"]);
    let pushed = push(&secret);
    let digest = pushed["digest"].as_str().unwrap().to_owned();
    let layers = |registry: &Registry| {
        registry.with(|kept| {
            let tag = format!("{}.sig", digest.replace(':', "-"));
            let of = &kept.tags[&(REPOSITORY.to_owned(), tag)];
            let (_, bytes) = &kept.manifests[&(REPOSITORY.to_owned(), of.clone())];
            let manifest: Value = serde_json::from_slice(bytes).unwrap();
            manifest["layers"].as_array().unwrap().clone()
        })
    };
    let expected = format!(
        "{{\"critical\":{{\"identity\":{{\"docker-reference\":\"{repository}\"}},\"image\":{{\"docker-manifest-digest\":\"{digest}\"}},\"type\":\"cosign container image signature\"}},\"optional\":null}}"
    );
    let first = layers(&registry);
    assert_eq!(first.len(), 1);
    assert_eq!(first[0]["digest"], Digest::sha256(expected.as_bytes()).to_string());
    let signature = |layer: &Value| {
        STANDARD.decode(layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap()).unwrap()
    };
    assert!(openssl(scratch.path(), &public, &signature(&first[0]), expected.as_bytes()));
    assert!(!openssl(scratch.path(), &second_public, &signature(&first[0]), expected.as_bytes()));
    // A second key's stands beside the first's, and neither is written twice.
    push(&second);
    assert_eq!(push(&secret)["signed"]["new"], 0);
    let both = layers(&registry);
    assert_eq!(both.len(), 2);
    assert_eq!(both[0], first[0]);
    assert!(openssl(scratch.path(), &second_public, &signature(&both[1]), expected.as_bytes()));
    let (code, stdout, _) = told(&machine, &["verify", "--key", &second_public, &name]);
    assert_eq!(code, 0);
    assert!(stdout.contains("signature (in the older form alone)"), "{stdout}");
    let (_, other) = key(&machine, "other");
    let (code, _, stderr) = told(&machine, &["verify", "--key", &other, &name]);
    assert_eq!(code, 1);
    assert!(stderr.contains("its signature is by another key"), "{stderr}");
    assert_eq!(told(&machine, &["verify", "--key", &public, "--require", "provenance", &name]).0, 1);
}

#[test]
fn the_configuration_signs_where_nothing_is_said_and_debians_registry_keeps_it() {
    let Some(machine) = Machine::new(env!("CARGO_BIN_EXE_pinfold")) else { return };
    let Some(registry) = DockerRegistry::start(Auth::Open) else { return };
    let (_, public) = key(&machine, "team");
    fs_err::create_dir_all(machine.path("home/config")).unwrap();
    let config = machine.path("home/config/config.toml");
    fs_err::write(&config, "[sign]\nkey = '~/team.pem'\nformat = 'both'\n").unwrap();
    let name = |tag: &str| format!("{}/{REPOSITORY}:{tag}", registry.host());
    assert!(done(&machine, &["push", &name("1")])["signed"]["new"].as_u64().unwrap() >= 4);
    let proved = done(&machine, &["verify", "--key", &public, &name("1")]);
    assert_eq!(proved["proofs"][0]["form"], "bundle");
    let (code, _, stderr) = told(&machine, &["verify", "--key", &public, "oci:somewhere"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("name it as its registry has it"), "{stderr}");
    // Not signed when that is said, and never by a configuration that cannot be read.
    machine.project("project", "[[file]]\npath = '/other'\ncontent = 'x'\n");
    assert!(done(&machine, &["push", &name("2"), "--no-sign"])["signed"].is_null());
    assert_eq!(told(&machine, &["verify", "--key", &public, &name("2")]).0, 1);
    fs_err::write(&config, "[sign]\nkeys = 1\n").unwrap();
    let (code, _, stderr) = told(&machine, &["push", &name("3")]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("config.toml:2:1"), "{stderr}");
    fs_err::remove_file(&config).unwrap();
    for (words, said) in [
        (vec!["--sign-format", "both"], "nobody signs"),
        (vec!["--sign", "command:sign"], "the public key of the program that signs is not said"),
        (vec!["--sign", "key.pem", "--sign-public", "x"], "is the key of a program"),
    ] {
        let name = name("3");
        let (code, _, stderr) = told(&machine, &[&["push", &name][..], &words].concat());
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains(said), "{stderr}");
    }
}
