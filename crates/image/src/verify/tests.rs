use pinfold_base::report::Silent;

use super::*;
use crate::LayerEncoding;
use crate::memory::AMD64;
use crate::memory::Memory;
use crate::model::Raw;
use pinfold_testkit::raw_tar::RawTar;

fn tar() -> RawTar {
    RawTar::new()
}

fn good() -> Vec<u8> {
    tar().dir("a/").file("a/b", "1").hardlink("a/c", "a/b").symlink("l", "a").file(".wh.old", "").end()
}

fn check(tars: &[Vec<u8>]) -> Verification {
    verify(&Memory::default().both(tars, LayerEncoding::Gzip), &Silent).unwrap()
}

#[test]
fn a_good_image_has_no_findings() {
    for encoding in [LayerEncoding::Tar, LayerEncoding::Gzip, LayerEncoding::Zstd] {
        let result = verify(&Memory::default().both(&[good()], encoding), &Silent).unwrap();
        assert_eq!(result.findings, [], "{encoding:?}");
        // Both platforms share the layer.
        assert_eq!((result.platforms.len(), result.layers), (2, 1));
    }
}

#[test]
fn rules_for_tars() {
    for (tar, words) in [
        (tar().file("a", "").file("./a", "").end(), "twice"),
        (tar().file("a/b", "").end(), "its directory is not"),
        (tar().file("a/b", "").dir("a").end(), "its directory is not"),
        (tar().raw(b'3', b"null", b"", 0o666, b"").end(), "device"),
        (tar().file("/a", "").end(), "absolute"),
        (tar().file("../a", "").end(), "leads out"),
        (tar().hardlink("h", "a").file("a", "").end(), "hard link"),
        (tar().file("a", "").hardlink("h", "/a").end(), "absolute"),
        (tar().file("a", "").raw(b'1', b"h", b"a", 0o4644, b"").end(), "another mode"),
        (tar().file("a", "").pax(&[("uid", "7")]).hardlink("h", "a").end(), "another mode, owner"),
        (tar().file(".wh.", "").end(), "whiteout"),
        (tar().file(".wh..wh.plnk", "").end(), "whiteout"),
        (tar().raw(b'S', b"s", b"", 0, b"").end(), "sparse"),
    ] {
        let result = check(&[good(), tar]);
        assert_eq!(result.findings.len(), 1, "{words}: {:?}", result.findings);
        let finding = &result.findings[0];
        assert!(finding.problem.contains(words), "{words}: {finding:?}");
        assert_eq!((finding.level, finding.object.as_str()), (Level::Tar, "linux/amd64, layer 2"));
        // Structure is wrong, the bytes are what they claim to be.
        assert!(result.holds(Level::Blob) && result.holds(Level::DiffId));
    }
}

#[test]
fn the_three_levels_are_told_apart() {
    let mut memory = Memory::default();
    let mut layer = memory.layer(&good(), LayerEncoding::Gzip);
    // Another encoder: same tar, other blob. Nothing is wrong with that.
    let stored = memory.layer(&good(), LayerEncoding::Zstd);
    let image = |layers: &[crate::LayerBlob], memory: &mut Memory| {
        let runtime = crate::RuntimeConfig::default();
        let image =
            crate::compose::image(AMD64, &runtime, layers, &std::collections::BTreeMap::new(), 0).unwrap();
        memory.document(&image.config);
        memory.document(&image.manifest);
        let root = image.manifest.descriptor();
        verify(&ImageSource::new("memory", root, Box::new(memory.clone())), &Silent).unwrap()
    };
    assert_eq!(image(&[stored], &mut memory).findings, []);
    let levels = |result: &Verification| {
        [Level::Blob, Level::DiffId, Level::Structure].map(|level| result.holds(level))
    };
    let right = layer.clone();
    layer.diff_id = Digest::sha256(b"other");
    assert_eq!(levels(&image(&[layer], &mut memory)), [true, false, true]);
    let bytes = memory.0[&right.digest].clone();
    let mut damaged = bytes.clone();
    // A header of the gzip member that no decoder looks at: only the blob is wrong.
    damaged[4] ^= 1;
    memory.0.insert(right.digest.clone(), damaged);
    assert_eq!(levels(&image(std::slice::from_ref(&right), &mut memory)), [false, true, true]);
    memory.0.remove(&right.digest);
    assert_eq!(levels(&image(&[right], &mut memory)), [false, true, true]);
}

#[test]
fn findings_do_not_pile_up() {
    let mut builder = tar();
    for number in 0..100 {
        builder = builder.file(&format!("missing/{number}"), "");
    }
    assert_eq!(check(&[builder.end()]).findings.len(), pass::MAX_BROKEN);
}

#[test]
fn an_index_that_promises_another_platform_is_found() {
    let mut memory = Memory::default();
    let image = memory.image(AMD64, &[good()], LayerEncoding::Tar);
    let index =
        crate::compose::index(&[(crate::memory::ARM64, &image)], &std::collections::BTreeMap::new(), 0);
    let index = index.unwrap();
    memory.document(&index);
    let source = ImageSource::new("memory", index.descriptor(), Box::new(memory));
    let result = verify(&source, &Silent).unwrap();
    assert!(result.findings[0].problem.contains("promises linux/arm64"), "{:?}", result.findings);
}

#[test]
fn a_variant_that_is_not_said_is_the_usual_one() {
    for (listed, configured, fine) in [
        (Some("v8"), None, true),
        (None, Some("v8"), true),
        (None, None, true),
        (Some("v8"), Some("v7"), false),
    ] {
        let mut memory = Memory::default();
        let image = memory.image(crate::memory::ARM64, &[good()], LayerEncoding::Tar);
        let value = |bytes: &[u8]| serde_json::from_slice::<serde_json::Value>(bytes).unwrap();
        let mut put = |value: &serde_json::Value| {
            let bytes = serde_json::to_vec(value).unwrap();
            (bytes.len(), memory.put(bytes).to_string())
        };
        let (mut config, mut manifest) = (value(image.config.bytes()), value(image.manifest.bytes()));
        config["variant"] = configured.into();
        let (size, digest) = put(&config);
        (manifest["config"]["size"], manifest["config"]["digest"]) = (size.into(), digest.into());
        let (size, digest) = put(&manifest);
        let mut platform = serde_json::json!({"os": "linux", "architecture": "arm64"});
        if let Some(listed) = listed {
            platform["variant"] = listed.into();
        }
        let entry = serde_json::json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "size": size, "digest": digest, "platform": platform,
        });
        let index = serde_json::json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry],
        });
        let index: Raw<crate::model::Index> = Raw::parse(serde_json::to_vec(&index).unwrap()).unwrap();
        memory.document(&index);
        let source = ImageSource::new("memory", index.descriptor(), Box::new(memory));
        let result = verify(&source, &Silent).unwrap();
        assert_eq!(result.findings.is_empty(), fine, "{listed:?} {configured:?}: {:?}", result.findings);
    }
}

/// A source of an index with these entries.
fn listing(memory: &mut Memory, entries: Vec<Descriptor>) -> ImageSource {
    let index = crate::model::Raw::compose(crate::model::Index::new(entries)).unwrap();
    memory.document(&index);
    ImageSource::new("memory", index.descriptor(), Box::new(memory.clone()))
}

#[test]
fn manifests_that_are_not_looked_at_are_named() {
    let mut memory = Memory::default();
    let image = memory.image(AMD64, &[good()], LayerEncoding::Tar).manifest.descriptor();
    let other =
        memory.image(AMD64, &[tar().file("other", "").end()], LayerEncoding::Tar).manifest.descriptor();
    let of = |entry: &Descriptor, architecture: &str, variant: Option<&str>| {
        let mut entry = entry.clone().on(AMD64);
        let platform = entry.platform.as_mut().unwrap();
        platform.architecture = architecture.into();
        platform.variant = variant.map(Into::into);
        entry
    };
    let mut attestation = of(&other, "unknown", None);
    attestation.annotations.insert(REFERENCE_TYPE.into(), ATTESTATION.into());
    let nested = listing(&mut memory, vec![image.clone().on(AMD64)]).root().clone();
    let good = vec![
        image.clone().on(AMD64),
        image.clone().on(AMD64),
        of(&other, "amd64", Some("v3")),
        attestation,
        nested,
    ];
    let (found, images) = documents(&listing(&mut memory, good.clone())).unwrap();
    assert_eq!((found.findings, images.len()), (vec![], 1));
    let told: Vec<&str> = found.beside.iter().map(|name| name.rsplit_once(' ').unwrap().0).collect();
    assert_eq!(told, ["linux/amd64/v3", "an attestation", "an index"]);

    let with = |entry: Descriptor, memory: &mut Memory| {
        let entries = [good.clone(), vec![entry]].concat();
        let found = documents(&listing(memory, entries)).unwrap().0;
        assert_eq!(found.findings.len(), 1, "{:?}", found.findings);
        let Finding { level, object, problem } = found.findings[0].clone();
        (level, format!("{object}: {problem}"))
    };
    let (level, text) = with(other.clone().on(AMD64), &mut memory);
    assert!(level == Level::Structure && text.contains("index, linux/amd64: another image"), "{text}");
    let missing = Descriptor::new(&other.media_type, Digest::sha256(b"missing"), 7);
    let (level, text) = with(of(&missing, "s390x", None), &mut memory);
    assert!(level == Level::Blob && text.contains("linux/s390x") && text.contains("is missing"), "{text}");
    let (level, text) = with(of(&Descriptor { size: 5, ..other }, "s390x", None), &mut memory);
    assert!(level == Level::Blob && text.contains("wrong size"), "{text}");
}

/// What is no file in a blob's place is not waited for, and is a finding and no failure of looking.
#[test]
fn blobs_that_are_no_files_are_found() {
    let mut memory = Memory::default();
    let image = memory.image(AMD64, &[good()], LayerEncoding::Tar);
    let dir = tempfile::tempdir().unwrap();
    let place: crate::Location = format!("oci:{}", dir.path().display()).parse().unwrap();
    let layout = crate::layout::Layout::create(dir.path()).unwrap();
    drop(layout);
    for (digest, bytes) in &memory.0 {
        let path = dir.path().join("blobs/sha256").join(digest.hex());
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, bytes).unwrap();
    }
    let index =
        crate::model::Raw::compose(crate::model::Index::new(vec![image.manifest.descriptor()])).unwrap();
    fs_err::write(dir.path().join("index.json"), index.bytes()).unwrap();
    let source = ImageSource::from_location(&place).unwrap();
    assert_eq!(verify(&source, &Silent).unwrap().findings, []);
    let layer = &image.manifest.value().layers[0].digest;
    let path = dir.path().join("blobs/sha256").join(layer.hex());
    let found = || {
        let found = verify(&source, &Silent).unwrap().findings;
        assert_eq!((found.len(), found[0].level), (1, Level::Blob), "{found:?}");
        assert!(found[0].problem.contains("is no regular file"), "{found:?}");
        fs_err::remove_file(&path).or_else(|_| fs_err::remove_dir(&path)).unwrap();
    };
    fs_err::remove_file(&path).unwrap();
    fs_err::create_dir(&path).unwrap();
    found();
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    found();
    std::os::unix::net::UnixListener::bind(&path).unwrap();
    found();
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    found();
}
