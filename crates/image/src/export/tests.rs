use fs_err as fs;
use pinfold_base::Digest;
use pinfold_base::report::Silent;

use super::*;
use crate::memory::AMD64;
use crate::memory::ARM64;
use crate::memory::Memory;
use crate::model::LayerEncoding;
use pinfold_testkit::raw_tar::RawTar;

fn tars() -> Vec<Vec<u8>> {
    vec![
        RawTar::new().dir("usr/").file("usr/a", &"lower ".repeat(2_000)).end(),
        RawTar::new().dir("usr/").file("usr/.wh.a", "").file("usr/b", "upper").end(),
    ]
}

fn place(text: &str) -> Location {
    text.parse().unwrap()
}

fn places(dir: &Path) -> [Location; 3] {
    let dir = dir.display();
    [
        place(&format!("oci:{dir}/layout:v1")),
        place(&format!("oci-archive:{dir}/a.tar:v1")),
        place(&format!("docker-archive:{dir}/d.tar:team/x:v1")),
    ]
}

#[test]
fn what_is_written_is_read_back() {
    for encoding in [LayerEncoding::Tar, LayerEncoding::Gzip, LayerEncoding::Zstd] {
        let dir = tempfile::tempdir().unwrap();
        let source = Memory::default().both(&tars(), encoding);
        for place in places(dir.path()) {
            let selection = match place.kind {
                LocationKind::DockerArchive => Selection::One(ARM64),
                _ => Selection::All,
            };
            let written = export(&source, selection, &place, None, &Silent).unwrap();
            let read = ImageSource::from_location(&place).unwrap();
            // For a Docker archive a manifest is made when it is read.
            if place.kind != LocationKind::DockerArchive {
                assert_eq!(read.root().digest, written.digest, "{place}");
            }
            let original = source.image(ARM64).unwrap();
            let image = read.image(ARM64).unwrap();
            assert_eq!(image.config, original.config);
            let ids = |image: &crate::Image| {
                image.layers.iter().map(|layer| layer.diff_id.clone()).collect::<Vec<_>>()
            };
            assert_eq!(ids(&image), ids(&original));
            let result = crate::verify::verify(&read, &Silent).unwrap();
            assert_eq!(result.findings, [], "{place}");
            // Without the tag, too: there is one image. Another tag is an error that names the right one.
            let untagged = Location { tag: None, ..place.clone() };
            assert_eq!(ImageSource::from_location(&untagged).unwrap().root().digest, read.root().digest);
            let other = Location { tag: Some("other:tag".into()), ..place.clone() };
            assert!(matches!(ImageSource::from_location(&other), Err(ImageError::NotFound { .. })));
        }
        // A Docker archive is an OCI archive, too.
        let both = place(&format!("oci-archive:{}/d.tar", dir.path().display()));
        assert_eq!(ImageSource::from_location(&both).unwrap().platforms().unwrap().len(), 1);
    }
}

#[test]
fn zstd_is_plain_in_docker_archives() {
    let dir = tempfile::tempdir().unwrap();
    let source = Memory::default().both(&tars(), LayerEncoding::Zstd);
    let [.., docker] = places(dir.path());
    export(&source, Selection::One(AMD64), &docker, None, &Silent).unwrap();
    let image = ImageSource::from_location(&docker).unwrap().image(AMD64).unwrap();
    assert!(image.layers.iter().all(|layer| layer.encoding == LayerEncoding::Tar));
    assert!(image.layers.iter().all(|layer| layer.descriptor.digest == layer.diff_id));
}

#[test]
fn equal_images_give_equal_archives() {
    let digests = |encoding| {
        let dir = tempfile::tempdir().unwrap();
        let source = Memory::default().both(&tars(), encoding);
        let [_, oci, docker] = places(dir.path());
        export(&source, Selection::All, &oci, None, &Silent).unwrap();
        export(&source, Selection::One(AMD64), &docker, None, &Silent).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no temporary file is left");
        [oci, docker].map(|place| Digest::sha256(&fs::read(place.path).unwrap()).hex())
    };
    // Recorded: whoever pinned an exported archive by its digest finds it again.
    for (encoding, oci, docker) in [
        (
            LayerEncoding::Gzip,
            "e02b9e8ec151b35fa1cb3e692d690ccbe6b5dab92e7a08893bf7b148626a1a43",
            "e4f7cb5a6eea197477a942dd0e894e153f03f1d35e6dd0c7dc97b206420b1158",
        ),
        (
            LayerEncoding::Zstd,
            "14e987c8a80d6448fae49841a498de118cd771b0d733ff53bb969837db936899",
            "2e16a9ed5ed92fffa29792dd6e6c68bc55cb214f114c14a4e7d6d1f784413cf3",
        ),
    ] {
        assert_eq!(digests(encoding), [oci, docker]);
    }
}

#[test]
fn a_layout_takes_several_images() {
    let dir = tempfile::tempdir().unwrap();
    let one = Memory::default().both(&tars(), LayerEncoding::Gzip);
    let two = Memory::default().both(&tars()[..1], LayerEncoding::Gzip);
    let at = |tag: &str| place(&format!("oci:{}/l:{tag}", dir.path().display()));
    export(&one, Selection::All, &at("one"), None, &Silent).unwrap();
    export(&two, Selection::All, &at("two"), None, &Silent).unwrap();
    export(&two, Selection::All, &at("two"), None, &Silent).unwrap();
    assert_eq!(ImageSource::from_location(&at("one")).unwrap().root().digest, one.root().digest);
    assert_eq!(ImageSource::from_location(&at("two")).unwrap().root().digest, two.root().digest);
    let layout = place(&format!("oci:{}/l", dir.path().display()));
    assert!(
        matches!(ImageSource::from_location(&layout), Err(ImageError::Ambiguous { tags, .. }) if tags == ["one", "two"])
    );
    // What is no layout is left alone.
    fs::create_dir(dir.path().join("other")).unwrap();
    fs::write(dir.path().join("other/mine"), "").unwrap();
    assert!(
        export(&one, Selection::All, &place(&format!("oci:{}/other", dir.path().display())), None, &Silent)
            .is_err()
    );
    assert_eq!(fs::read_dir(dir.path().join("other")).unwrap().count(), 1);
}

#[test]
fn a_docker_archive_needs_one_platform() {
    let dir = tempfile::tempdir().unwrap();
    let source = Memory::default().both(&tars(), LayerEncoding::Gzip);
    let [.., docker] = places(dir.path());
    let error = export(&source, Selection::All, &docker, None, &Silent).unwrap_err();
    assert!(error.to_string().contains("linux/amd64, linux/arm64"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn damaged_blobs_are_not_exported() {
    let dir = tempfile::tempdir().unwrap();
    let mut memory = Memory::default();
    let root = memory.both(&tars(), LayerEncoding::Gzip).root().clone();
    let layer = memory.0.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap().0.clone();
    memory.0.get_mut(&layer).unwrap()[20] ^= 1;
    let source = ImageSource::new("memory", root, Box::new(memory));
    for place in places(dir.path()) {
        assert!(export(&source, Selection::One(AMD64), &place, None, &Silent).is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "{place}");
    }
}

#[test]
fn hostile_archives_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let saved = |layers: &str| format!(r#"[{{"Config":"c","RepoTags":null,"Layers":[{layers}]}}]"#);
    let config = r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
    for (tar, words) in [
        (RawTar::new().file("x", "").end(), "no `manifest.json`"),
        (RawTar::new().file("manifest.json", "[]").file("manifest.json", "[]").end(), "twice"),
        (RawTar::new().file("../manifest.json", "[]").end(), "`..`"),
        (RawTar::new().symlink("manifest.json", "manifest.json").end(), "no `manifest.json`"),
        (RawTar::new().file("manifest.json", "[]").end(), "no image"),
        (RawTar::new().file("manifest.json", &saved("")).end(), "no `c`"),
        (
            RawTar::new().file("manifest.json", &saved("").replace("[]}", "[],\"layers\":[]}")).end(),
            "`manifest.json` cannot be read",
        ),
        (RawTar::new().file("manifest.json", &saved("").replace("Layers", "layers")).end(), "unusual case"),
        (RawTar::new().file("manifest.json", &saved("\"l\"")).file("c", config).end(), "1 layers for 0"),
        (vec![0x1f, 0x8b, 8, 0], "compressed"),
        (RawTar::new().file("manifest.json", "x").end()[..600].to_vec(), "ends early"),
    ] {
        let path = dir.path().join("x.tar");
        fs::write(&path, tar).unwrap();
        let error =
            ImageSource::from_location(&place(&format!("docker-archive:{}", path.display()))).unwrap_err();
        assert!(error.to_string().contains(words), "expected `{words}`, got `{error}`");
    }
}

/// kubernetes looks an image up by a name with a registry, which containerd takes from this annotation.
#[test]
fn what_is_written_has_the_name_that_containerd_wants() {
    let dir = tempfile::tempdir().unwrap();
    let source = Memory::default().both(&tars(), LayerEncoding::Gzip);
    for (tag, called, full, short) in [
        (":box:1", None, Some("localhost/box:1"), Some("box:1")),
        (
            ":registry.example/team/box:1",
            Some("other:2"),
            Some("registry.example/team/box:1"),
            Some("registry.example/team/box:1"),
        ),
        (":v1", Some("box:latest"), Some("localhost/box:v1"), Some("v1")),
        ("", Some("registry.example/box:2"), Some("registry.example/box:2"), None),
        (":v1", None, None, Some("v1")),
        ("", None, None, None),
    ] {
        for kind in ["oci", "oci-archive"] {
            let path = tempfile::tempdir_in(dir.path()).unwrap().keep().join("made");
            let place = place(&format!("{kind}:{}{tag}", path.display()));
            export(&source, Selection::All, &place, called, &Silent).unwrap();
            let root = ImageSource::from_location(&place).unwrap().root().clone();
            let says = |name: &str| root.annotations.get(name).map(String::as_str);
            assert_eq!(
                (says(annotation::CONTAINERD_NAME), says(annotation::REF_NAME)),
                (full, short),
                "{place}"
            );
            assert_eq!(known_name(&root).as_deref(), full, "{place}");
            // Given on, it has neither.
            let again = Selection::All.root(&ImageSource::from_location(&place).unwrap()).unwrap();
            assert!(again.annotations.is_empty(), "{again:?}");
        }
    }
}

#[test]
fn a_stream_is_the_archive_that_a_file_would_be() {
    let dir = tempfile::tempdir().unwrap();
    for encoding in [LayerEncoding::Gzip, LayerEncoding::Zstd] {
        let source = Memory::default().both(&tars(), encoding);
        let root = Selection::One(AMD64).root(&source).unwrap();
        for (kind, word) in [(Archive::Oci, "oci-archive"), (Archive::Docker, "docker-archive")] {
            let file = dir.path().join("a.tar");
            let place = place(&format!("{word}:{}:team/x:v1", file.display()));
            export(&source, Selection::One(AMD64), &place, None, &Silent).unwrap();
            let mut bytes = Vec::new();
            stream(&source, &root, kind, Some("team/x:v1"), dir.path(), &mut bytes).unwrap();
            assert!(bytes == fs::read(&file).unwrap(), "{word}");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
        }
    }
}

#[test]
fn what_is_no_file_stays_what_it_is() {
    use rustix::fs::FileType;
    let dir = tempfile::tempdir().unwrap();
    let source = Memory::default().both(&tars(), LayerEncoding::Gzip);
    let at = |name: &str| dir.path().join(name);
    rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), FileType::Fifo, 0o600.into(), 0).unwrap();
    fs::create_dir(at("folder")).unwrap();
    std::os::unix::fs::symlink(at("nowhere"), at("dangling")).unwrap();
    std::os::unix::fs::symlink("/dev/null", at("device")).unwrap();
    fs::write(at("real"), "before").unwrap();
    std::os::unix::fs::symlink(at("real"), at("link")).unwrap();
    let kind = |name: &str| fs::symlink_metadata(at(name)).unwrap().file_type();
    for name in ["pipe", "folder", "dangling", "device"] {
        let before = kind(name);
        for form in ["oci-archive", "docker-archive"] {
            let place = place(&format!("{form}:{}", at(name).display()));
            let error = export(&source, Selection::One(AMD64), &place, Some("x:1"), &Silent).unwrap_err();
            assert!(matches!(error, ImageError::Archive { .. }), "{name}: {error}");
            assert_eq!(kind(name), before);
            // Nor is a pipe waited for when it is read.
            assert!(ImageSource::from_location(&place).is_err(), "{name}");
        }
    }
    // A link to a file stays one.
    let place = place(&format!("oci-archive:{}", at("link").display()));
    export(&source, Selection::All, &place, Some("x:1"), &Silent).unwrap();
    assert!(kind("link").is_symlink() && fs::metadata(at("real")).unwrap().len() > 6);
    let left = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, 6, "nothing is left beside them");
}
