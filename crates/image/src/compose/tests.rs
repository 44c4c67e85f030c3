use super::*;
use crate::memory::AMD64;
use crate::memory::ARM64;

fn layer(text: &str, encoding: LayerEncoding) -> LayerBlob {
    LayerBlob {
        diff_id: Digest::sha256(text.as_bytes()),
        digest: Digest::sha256(&[text.as_bytes(), b".gz"].concat()),
        size: 1_234,
        uncompressed: 5_678,
        encoding,
        encoder: "gzip/zlib-rs-6".into(),
        reused: 0,
        components: vec!["debian/bash".into(), "debian/git".into()],
        created_by: "pinfold: debian/bash debian/git".into(),
    }
}

fn runtime() -> RuntimeConfig {
    RuntimeConfig {
        user: "iteron".into(),
        entrypoint: Some(vec!["/usr/bin/tini".into(), "--".into()]),
        cmd: Some(vec!["bash".into()]),
        env: vec!["PATH=/home/iteron/.local/bin:/usr/bin:/bin".into(), "LANG=C.UTF-8".into()],
        workdir: "/home/iteron".into(),
        labels: [("b".into(), "2".into()), ("a".into(), "1".into())].into(),
        volumes: vec!["/workspace".into()],
        stop_signal: Some("SIGINT".into()),
        exposed: vec!["8080/tcp".into()],
        ..RuntimeConfig::default()
    }
}

fn annotations() -> BTreeMap<String, String> {
    [(annotation::TITLE.into(), "sample".into()), (annotation::VERSION.into(), "1".into())].into()
}

fn sample(platform: Platform) -> ComposedImage {
    let mut reused = layer("agent", LayerEncoding::Zstd);
    reused.reused = 99;
    image(platform, &runtime(), &[layer("base", LayerEncoding::Gzip), reused], &annotations(), 1_700_000_000)
        .unwrap()
}

/// The documents themselves, so that a changed digest below can be understood.
#[test]
fn documents_of_the_sample() {
    let sample = sample(ARM64);
    insta::assert_snapshot!(String::from_utf8_lossy(sample.config.bytes()));
    insta::assert_snapshot!(String::from_utf8_lossy(sample.manifest.bytes()));
}

/// Changing one of these is a change of `compat`: equal input gives other digests. The values are SHA-256 of the snapshots
/// above, as `sha256sum` prints them.
#[test]
fn recorded_digests() {
    let images = [AMD64, ARM64].map(|platform| (platform, sample(platform)));
    let entries: Vec<_> = images.iter().map(|(platform, image)| (*platform, image)).collect();
    let index = index(&entries, &annotations(), 1_700_000_000).unwrap();
    assert_eq!(
        images[1].1.config.digest().to_string(),
        "sha256:570c7fff7f264edc6e7d28bcde56d90521a95311afc777f889054a0923e5e7cd"
    );
    assert_eq!(
        images[1].1.manifest.digest().to_string(),
        "sha256:45aa8c614c362ba61339604175aaaf17aa6d46951e57e447ac97d58242088177"
    );
    insta::assert_snapshot!(String::from_utf8_lossy(index.bytes()));
    assert_eq!(
        index.digest().to_string(),
        "sha256:4e15bc162d26ae0579774c0653d9762cd3aae4225103362fb5964828a843ba11"
    );
}

#[test]
fn the_order_of_platforms_does_not_matter() {
    let (amd64, arm64) = (sample(AMD64), sample(ARM64));
    let one = index(&[(AMD64, &amd64), (ARM64, &arm64)], &annotations(), 0).unwrap();
    let other = index(&[(ARM64, &arm64), (AMD64, &amd64)], &annotations(), 0).unwrap();
    assert_eq!(one.bytes(), other.bytes());
    assert!(index(&[(AMD64, &amd64), (AMD64, &amd64)], &annotations(), 0).is_err());
    assert!(index(&[], &annotations(), 0).is_err());
}

#[test]
fn settings_that_break_rules_are_refused() {
    type Edit = fn(&mut RuntimeConfig);
    let edits: [(Edit, &str); 5] = [
        (|runtime| runtime.env.push("NOVALUE".into()), "no `NAME=value`"),
        (|runtime| runtime.env.push("LANG=de".into()), "set twice"),
        (|runtime| runtime.workdir = "home".into(), "no absolute path"),
        (|runtime| runtime.volumes.push("data".into()), "no absolute path"),
        (|runtime| runtime.cmd = Some(vec!["a\0b".into()]), "NUL"),
    ];
    for (edit, words) in edits {
        let mut runtime = runtime();
        edit(&mut runtime);
        let error =
            image(AMD64, &runtime, &[layer("x", LayerEncoding::Gzip)], &annotations(), 0).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    let named = [(annotation::REF_NAME.to_owned(), "x".to_owned())].into();
    assert!(image(AMD64, &runtime(), &[layer("x", LayerEncoding::Gzip)], &named, 0).is_err());
}

#[test]
fn layers_are_counted() {
    let most = crate::model::MAX_LAYERS_WRITTEN;
    let many: Vec<_> = (0..=most).map(|number| layer(&number.to_string(), LayerEncoding::Gzip)).collect();
    assert!(image(AMD64, &runtime(), &many[..most], &annotations(), 0).is_ok());
    assert!(image(AMD64, &runtime(), &many, &annotations(), 0).is_err());
    assert!(image(AMD64, &runtime(), &[], &annotations(), 0).is_err());
}
