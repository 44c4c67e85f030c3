use super::*;

const EMPTY: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

fn manifest(edit: impl FnOnce(&mut serde_json::Value)) -> Result<Raw<Manifest>, ImageError> {
    let mut value = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_MANIFEST,
        "config": { "mediaType": media::OCI_CONFIG, "digest": EMPTY, "size": 2 },
        "layers": [{ "mediaType": media::OCI_LAYER_GZIP, "digest": EMPTY, "size": 2 }],
    });
    edit(&mut value);
    Raw::parse(serde_json::to_vec(&value).unwrap())
}

fn reason<T: std::fmt::Debug>(result: Result<T, ImageError>) -> String {
    let error = result.unwrap_err();
    match std::error::Error::source(&error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[test]
fn bytes_are_kept_as_they_came() {
    // The empty object's digest is printed in image-spec, manifest.md, "Guidance for an Empty Descriptor".
    assert_eq!(Digest::sha256(b"{}").to_string(), EMPTY);
    let text = format!(
        "{{ \"schemaVersion\": 2,\n \"config\": {{\"mediaType\":\"{}\",\"digest\":\"{EMPTY}\",\"size\":2}}, \"layers\": null, \"x.y\": [1] }}\n",
        media::OCI_CONFIG
    );
    let raw: Raw<Manifest> = Raw::parse(text.clone().into_bytes()).unwrap();
    assert_eq!(raw.bytes(), text.as_bytes());
    assert_eq!(*raw.digest(), Digest::sha256(text.as_bytes()));
    assert_eq!(raw.value().other["x.y"], serde_json::json!([1]));
    assert!(raw.value().layers.is_empty(), "null counts as absent");
    assert_eq!(raw.descriptor().media_type, media::OCI_MANIFEST);
}

#[test]
fn unknown_fields_are_written_back() {
    let raw = manifest(|value| value["layers"][0]["x-custom"] = "kept".into()).unwrap();
    let again = Raw::compose(raw.value().clone()).unwrap();
    assert!(String::from_utf8_lossy(again.bytes()).contains(r#""x-custom":"kept""#));
}

#[test]
fn ambiguous_manifests_are_refused() {
    type Edit = fn(&mut serde_json::Value);
    let edits: [(Edit, &str); 14] = [
        (|value| value["schemaVersion"] = 1.into(), "schemaVersion"),
        (|value| value["mediaType"] = media::OCI_INDEX.into(), "not its media type"),
        (|value| value["manifests"] = serde_json::json!([]), "also has the field `manifests`"),
        (|value| value["fsLayers"] = serde_json::json!([]), "also has the field `fsLayers`"),
        (|value| value["Layers"] = serde_json::json!([]), "in another case"),
        (|value| value["layers"][0]["Digest"] = EMPTY.into(), "in another case"),
        (|value| value["layers"][0]["mediaType"] = media::DOCKER_LAYER_GZIP.into(), "mixes the types"),
        (|value| value["mediaType"] = media::DOCKER_MANIFEST.into(), "mixes the types"),
        (|value| value["config"]["mediaType"] = media::OCI_EMPTY.into(), "artifactType"),
        (|value| value["config"]["size"] = (5 << 20).into(), "announced with"),
        (|value| value["layers"][0]["size"] = (-1).into(), "invalid value"),
        (|value| value["layers"][0]["size"] = u64::MAX.into(), "63 bits"),
        (|value| value["layers"][0]["digest"] = "sha256:AA".into(), "is not a digest"),
        (|value| value["layers"][0]["mediaType"] = "tar".into(), "no media type"),
    ];
    for (edit, words) in edits {
        let found = reason(manifest(edit));
        assert!(found.contains(words), "expected `{words}`, got `{found}`");
    }
    // Negative controls: what is unusual but clear.
    manifest(|_| {}).unwrap();
    manifest(|value| value["manifests"] = serde_json::Value::Null).unwrap();
    manifest(|value| value["layers"][0]["mediaType"] = "application/x-unknown".into()).unwrap();
    manifest(|value| {
        value["config"]["mediaType"] = media::OCI_EMPTY.into();
        value["artifactType"] = "application/x-sbom".into();
    })
    .unwrap();
    manifest(|value| {
        value["mediaType"] = media::DOCKER_MANIFEST.into();
        value["config"]["mediaType"] = media::DOCKER_CONFIG.into();
        value["layers"][0]["mediaType"] = media::DOCKER_LAYER_GZIP.into();
    })
    .unwrap();
}

#[test]
fn the_claimed_media_type_binds() {
    let raw = manifest(|_| {}).unwrap();
    let again = |claimed| Raw::<Manifest>::parse_as(raw.bytes().to_vec(), Some(claimed));
    assert!(again(media::OCI_MANIFEST).is_ok());
    assert!(
        reason(again(media::DOCKER_MANIFEST)).contains("it says it is")
            || reason(again(media::DOCKER_MANIFEST)).contains("announced")
    );
    assert!(reason(again(media::OCI_INDEX)).contains("not its media type"));
    let index = Raw::compose(Index::new(Vec::new())).unwrap();
    assert!(Raw::<Manifest>::parse(index.bytes().to_vec()).is_err());
    assert!(Raw::<Index>::parse(raw.bytes().to_vec()).is_err());
}

#[test]
fn two_limits_for_layers() {
    let with = |count: usize| {
        manifest(|value| {
            let layer = value["layers"][0].clone();
            value["layers"] = vec![layer; count].into();
        })
    };
    let accepted = with(MAX_LAYERS_ACCEPTED).unwrap();
    assert!(reason(with(MAX_LAYERS_ACCEPTED + 1)).contains("at most 500"));
    assert!(reason(Raw::compose(accepted.value().clone())).contains("at most 125 are written"));
    assert!(Raw::compose(with(MAX_LAYERS_WRITTEN).unwrap().value().clone()).is_ok());
    assert!(reason(Raw::compose(with(0).unwrap().value().clone())).contains("at least one layer"));
}

#[test]
fn large_documents_are_refused_unread() {
    let mut bytes = manifest(|_| {}).unwrap().bytes().to_vec();
    bytes.resize(usize::try_from(MAX_DOCUMENT).unwrap(), b' ');
    assert!(Raw::<Manifest>::parse(bytes.clone()).is_ok());
    bytes.push(b' ');
    assert!(matches!(Raw::<Manifest>::parse(bytes), Err(ImageError::TooLarge { .. })));
}

fn config(edit: impl FnOnce(&mut serde_json::Value)) -> Result<Raw<ImageConfiguration>, ImageError> {
    let mut value = serde_json::json!({
        "architecture": "arm64", "os": "linux", "variant": "v8",
        "config": { "Cmd": null, "Env": ["A=1"], "Healthcheck": { "Test": ["NONE"] } },
        "rootfs": { "type": "layers", "diff_ids": [EMPTY] },
        "history": [{ "created_by": "x" }, { "created_by": "y", "empty_layer": true }],
        "container_config": {},
    });
    edit(&mut value);
    Raw::parse(serde_json::to_vec(&value).unwrap())
}

#[test]
fn configurations() {
    let raw = config(|_| {}).unwrap();
    assert_eq!(raw.value().platform().unwrap().to_string(), "linux/arm64");
    let section = raw.value().config.as_ref().unwrap();
    assert_eq!((section.cmd.len(), section.env.len()), (0, 1));
    assert!(section.other.contains_key("Healthcheck"));
    // A missing variant of arm64 is v8; another one is another platform.
    assert!(config(|value| value["variant"] = serde_json::Value::Null).unwrap().value().platform().is_some());
    assert!(config(|value| value["variant"] = "v9".into()).unwrap().value().platform().is_none());
    assert!(reason(config(|value| value["rootfs"]["type"] = "tree".into())).contains("expected `layers`"));
    assert!(reason(config(|value| value["rootfs"]["diff_ids"] = serde_json::json!([]))).contains("history"));
    assert!(reason(config(|value| value["RootFS"] = serde_json::json!({}))).contains("in another case"));
    for edit in [
        (|value| value["config"]["user"] = "0".into()) as fn(&mut serde_json::Value),
        |value| value["config"]["eNTRYPOINT"] = serde_json::json!([]),
        |value| value["history"][0]["Empty_Layer"] = true.into(),
        |value| value["config"]["u\u{17f}er"] = "0".into(),
    ] {
        assert!(reason(config(edit)).contains("unusual case"));
    }
    // Docker leaves the history out of some images.
    assert!(config(|value| value["history"] = serde_json::json!([])).is_ok());
}

#[test]
fn platforms_of_an_index_have_no_other_spelling() {
    let index = |platform: serde_json::Value| {
        let entry = serde_json::json!({
            "mediaType": media::OCI_MANIFEST, "digest": EMPTY, "size": 2, "platform": platform,
        });
        let index = serde_json::json!({ "schemaVersion": 2, "manifests": [entry] });
        Raw::<Index>::parse(serde_json::to_vec(&index).unwrap())
    };
    let platform = |more: &str| {
        let mut platform = serde_json::json!({ "architecture": "s390x", "os": "linux", "os.version": "1" });
        platform[more] = "amd64".into();
        platform
    };
    index(platform("features")).unwrap();
    assert!(reason(index(platform("Architecture"))).contains("twice, maybe in another case"));
    let found = reason(index(platform("Variant")));
    assert!(found.contains("the platform of entry 1") && found.contains("unusual case"), "{found}");
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..512)) {
        let _ = Raw::<Manifest>::parse(bytes.clone());
        let _ = Raw::<Index>::parse(bytes.clone());
        let _ = Raw::<ImageConfiguration>::parse(bytes);
    }

    /// One byte of a good document changed: mostly still JSON, so the rules behind the parser are met.
    #[test]
    fn no_changed_byte_makes_it_panic(at in 0..400_usize, byte in proptest::num::u8::ANY) {
        let mut bytes = manifest(|_| {}).unwrap().bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(raw) = Raw::<Manifest>::parse(bytes.clone()) {
            assert_eq!(raw.bytes(), bytes);
        }
    }
}
