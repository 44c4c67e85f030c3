use serde_json::json;

use super::*;
use crate::model::media;

fn layer(kind: &str, number: usize) -> BaseLayer {
    let name = |what: &str| Digest::sha256(format!("{what} {number}").as_bytes());
    BaseLayer { descriptor: Descriptor::new(kind, name("blob"), 9), diff_id: name("tar") }
}

fn config(layers: &[BaseLayer], run: &serde_json::Value, history: usize) -> Raw<ImageConfiguration> {
    let ids: Vec<String> = layers.iter().map(|layer| layer.diff_id.to_string()).collect();
    let text = json!({
        "architecture": "amd64", "os": "linux", "config": run, "rootfs": { "type": "layers", "diff_ids": ids },
        "history": vec![json!({ "created_by": "step" }); history],
    });
    Raw::parse(serde_json::to_vec(&text).unwrap()).unwrap()
}

fn base(run: &serde_json::Value) -> Base {
    let layers = vec![layer(media::OCI_LAYER, 0)];
    Base::new("x", layers.clone(), config(&layers, run, 1)).unwrap()
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

// As `FROM` of a Dockerfile does it: an ENTRYPOINT puts the base's CMD away, a CMD alone keeps the ENTRYPOINT.
#[test]
fn entry_point_and_command_are_inherited_as_in_a_dockerfile() {
    let base = base(&json!({ "Entrypoint": ["e"], "Cmd": ["c"] }));
    for (own, expected) in [
        ((None, None), (Some(words("e")), Some(words("c")))),
        ((Some(words("E")), None), (Some(words("E")), None)),
        ((Some(words("E")), Some(words("C"))), (Some(words("E")), Some(words("C")))),
        ((None, Some(words("C"))), (Some(words("e")), Some(words("C")))),
        ((Some(words("")), None), (Some(words("")), None)),
    ] {
        let own = RuntimeConfig { entrypoint: own.0, cmd: own.1, ..RuntimeConfig::default() };
        let all = base.inherited(own);
        assert_eq!((all.entrypoint, all.cmd), expected);
    }
}

#[test]
fn the_rest_is_inherited_where_nothing_is_said() {
    let base = base(&json!({
        "User": "node", "WorkingDir": "/w", "StopSignal": "SIGINT", "Env": ["B=1", "A=2", "=odd", "B=3"],
        "Labels": { "a": "1", "b": "1" }, "Volumes": { "/v": {} }, "ExposedPorts": { "1/tcp": {} },
        "OnBuild": ["RUN x"], "Shell": ["/bin/bash"],
    }));
    let all = base.inherited(RuntimeConfig::default());
    assert_eq!(
        (all.user.as_str(), all.workdir.as_str(), all.stop_signal.as_deref()),
        ("node", "/w", Some("SIGINT"))
    );
    assert_eq!(all.env, ["B=3", "A=2"]);
    assert_eq!((all.volumes, all.exposed), (vec!["/v".to_owned()], vec!["1/tcp".to_owned()]));
    assert_eq!(all.other.keys().collect::<Vec<_>>(), ["Shell"]);
    let own = RuntimeConfig {
        user: "0".into(),
        workdir: "/".into(),
        stop_signal: Some("SIGTERM".into()),
        env: vec!["A=own".into(), "C=own".into()],
        labels: [("a".into(), "own".into())].into(),
        volumes: vec!["/own".into()],
        ..RuntimeConfig::default()
    };
    let all = base.inherited(own);
    assert_eq!(
        (all.user.as_str(), all.workdir.as_str(), all.stop_signal.as_deref()),
        ("0", "/", Some("SIGTERM"))
    );
    assert_eq!(all.env, ["B=3", "A=own", "C=own"]);
    assert_eq!(all.labels, [("a".into(), "own".into()), ("b".into(), "1".into())].into());
    assert_eq!(all.volumes, ["/own", "/v"]);
}

#[test]
fn a_history_that_does_not_fit_the_layers_is_made_anew() {
    let layers = vec![layer(media::DOCKER_LAYER_GZIP, 0), layer(media::DOCKER_LAYER, 1)];
    for (steps, expected) in [(2, "step"), (0, "the base image")] {
        let base = Base::new("x", layers.clone(), config(&layers, &json!({}), steps)).unwrap();
        let history = base.history();
        assert_eq!((history.len(), history[0].created_by.as_str()), (2, expected));
        let kinds: Vec<&str> =
            base.layers().iter().map(|layer| layer.descriptor.media_type.as_str()).collect();
        assert_eq!(kinds, [media::OCI_LAYER_GZIP, media::OCI_LAYER]);
    }
}

#[test]
fn layers_that_nothing_can_be_built_on_are_refused_by_name() {
    let refused = |layers: Vec<BaseLayer>| {
        let config = config(&layers, &json!({}), 0);
        Base::new("b", layers, config).unwrap_err().to_string()
    };
    let foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    for (kind, expected) in
        [(foreign, "which is not to be passed on"), ("text/plain", "no layer pinfold can read")]
    {
        let error = refused(vec![layer(kind, 0)]);
        assert!(error.contains(kind) && error.contains(expected), "{error}");
    }
    let many = (0..MAX_LAYERS_WRITTEN - 1).map(|number| layer(media::OCI_LAYER, number)).collect();
    assert!(refused(many).contains("at most 123"));
    let layers = vec![layer(media::OCI_LAYER, 0)];
    let other = config(&[layer(media::OCI_LAYER, 1)], &json!({}), 1);
    assert!(Base::new("b", layers, other).unwrap_err().to_string().contains("names other layers"));
}
