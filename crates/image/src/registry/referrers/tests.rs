use std::sync::Arc;
use std::time::Duration;

use pinfold_base::address::LoopbackForTests;
use pinfold_base::http;
use pinfold_testkit::docker_registry::Auth;
use pinfold_testkit::docker_registry::DockerRegistry;
use pinfold_testkit::registry::Quirks;
use pinfold_testkit::registry::Referrers;
use pinfold_testkit::registry::Registry;

use super::*;
use crate::registry::Endpoint;
use crate::registry::Nobody;

const REPOSITORY: &str = "team/name";

fn client(registry: &Registry) -> Client {
    let http = http::Client::with(http::Options {
        retries: 5,
        pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(2),
        loopback: Some(LoopbackForTests),
        ..http::Options::default()
    });
    Client::new(http, Endpoint::of(&registry.host(), false).unwrap(), REPOSITORY, Arc::new(Nobody))
}

fn image(registry: &Registry) -> Descriptor {
    let bytes = Raw::compose(Index::new(Vec::new())).unwrap().bytes().to_vec();
    let digest = registry.with(|kept| kept.put_manifest(REPOSITORY, Some("1"), media::OCI_INDEX, &bytes));
    Descriptor::new(media::OCI_INDEX, digest, bytes.len() as u64)
}

fn artifact(content: &str) -> Artifact {
    Artifact {
        artifact_type: "application/vnd.example".into(),
        media_type: "application/vnd.example+json".into(),
        bytes: content.into(),
        annotations: BTreeMap::from([("key".into(), content.into())]),
    }
}

fn digest(attached: Attached) -> Digest {
    match attached {
        Attached::New(digest) => digest,
        Attached::There(digest) => panic!("{digest} was there"),
    }
}

#[test]
fn what_is_attached_is_listed_whatever_the_registry_knows_of_referrers() {
    let tagged = |registry: &Registry| {
        registry.with(|kept| kept.tags.keys().any(|(_, tag)| tag.starts_with("sha256-")))
    };
    for (referrers, subject_header, by_tag) in [
        (Referrers::Listed, true, false),
        (Referrers::Refused(404), false, true),
        (Referrers::Refused(400), false, true),
        (Referrers::Refused(401), false, true),
        (Referrers::Refused(403), false, true),
        (Referrers::Refused(405), false, true),
        // It says that it keeps the subject, and lists nothing.
        (Referrers::Refused(404), true, true),
    ] {
        let registry = Registry::start(Quirks { referrers, subject_header, ..Quirks::default() });
        let (client, image) = (client(&registry), image(&registry));
        assert_eq!(list(&client, &image.digest).unwrap(), [], "{referrers:?}");
        let one = digest(attach(&client, &image, &artifact("one")).unwrap());
        let two = digest(attach(&client, &image, &artifact("two")).unwrap());
        let again = attach(&client, &image, &artifact("one")).unwrap();
        assert_eq!(again, Attached::There(one.clone()), "{referrers:?}");
        let mut listed = list(&client, &image.digest).unwrap();
        listed.sort_by_key(|entry| entry.digest != one);
        assert_eq!(listed.len(), 2, "{referrers:?}");
        for (entry, digest, content) in [(&listed[0], &one, "one"), (&listed[1], &two, "two")] {
            assert_eq!(entry.digest, *digest);
            assert_eq!(entry.artifact_type.as_deref(), Some("application/vnd.example"));
            assert_eq!(entry.annotations["key"], content);
            let found = client.get_manifest(&Which::Digest(digest.clone()), Some(entry)).unwrap().unwrap();
            let manifest = Raw::<Manifest>::parse(found.bytes).unwrap();
            assert_eq!(manifest.value().subject.as_ref(), Some(&image));
            assert_eq!(manifest.value().layers[0].digest, Digest::sha256(content.as_bytes()));
        }
        assert_eq!(tagged(&registry), by_tag, "{referrers:?}");
    }
}

/// A registry that learnt the API after something was attached.
#[test]
fn what_the_api_does_not_list_is_listed_by_the_tag_too() {
    let registry = Registry::start(Quirks { referrers: Referrers::Listed, ..Quirks::default() });
    let (client, image) = (client(&registry), image(&registry));
    let new = digest(attach(&client, &image, &artifact("new")).unwrap());
    let before = Descriptor::new(media::OCI_MANIFEST, Digest::sha256(b"before"), 6);
    let both = manifest(&image, &artifact("new")).unwrap().descriptor();
    let index = Raw::compose(Index::new(vec![before.clone(), both])).unwrap();
    let Which::Tag(tag) = tag(&image.digest) else { panic!() };
    registry.with(|kept| kept.put_manifest(REPOSITORY, Some(&tag), media::OCI_INDEX, index.bytes()));
    let listed: Vec<Digest> =
        list(&client, &image.digest).unwrap().into_iter().map(|entry| entry.digest).collect();
    assert_eq!(listed, [new, before.digest]);
}

#[test]
fn a_registry_that_denies_the_image_itself_is_no_registry_without_the_api() {
    let registry = Registry::start(Quirks { referrers: Referrers::Refused(403), ..Quirks::default() });
    let there = image(&registry);
    assert!(list(&client(&registry), &there.digest).is_ok(), "the control");
    let error = list(&client(&registry), &Digest::sha256(b"not there")).unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error}");
}

/// Another writer has read the tag before ours is in it, and writes it afterwards.
#[test]
fn an_entry_that_another_writer_overwrote_is_attached_again_beside_theirs() {
    let registry = Registry::start(Quirks::default());
    let (client, image) = (client(&registry), image(&registry));
    let attached = manifest(&image, &artifact("theirs")).unwrap();
    registry.with(|kept| kept.put_manifest(REPOSITORY, None, media::OCI_MANIFEST, attached.bytes()));
    let mut theirs = attached.descriptor();
    theirs.annotations.insert("of".into(), "others".into());
    let index = Raw::compose(Index::new(vec![theirs.clone()])).unwrap();
    let Which::Tag(tag) = tag(&image.digest) else { panic!() };
    // They have written before: their entry stays as it is.
    registry.with(|kept| kept.put_manifest(REPOSITORY, Some(&tag), media::OCI_INDEX, index.bytes()));
    let ours = digest(attach(&client, &image, &artifact("ours")).unwrap());
    // And write once more what they had read: ours is gone, and attached again beside theirs.
    registry.with(|kept| kept.put_manifest(REPOSITORY, Some(&tag), media::OCI_INDEX, index.bytes()));
    assert_eq!(list(&client, &image.digest).unwrap(), [theirs.clone()]);
    assert_eq!(digest(attach(&client, &image, &artifact("ours")).unwrap()), ours);
    let listed = list(&client, &image.digest).unwrap();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0], theirs);
    assert_eq!(listed[1].digest, ours);
}

#[test]
fn a_tag_that_keeps_losing_what_is_written_to_it_is_an_error() {
    let instead = |request: &pinfold_testkit::http::Request| {
        (request.method == "PUT" && request.path.contains("/manifests/sha256-"))
            .then(|| pinfold_testkit::http::Response::status(201))
    };
    let registry = Registry::start(Quirks { instead: Some(Arc::new(instead)), ..Quirks::default() });
    let (client, image) = (client(&registry), image(&registry));
    let error = attach(&client, &image, &artifact("ours")).unwrap_err();
    assert!(matches!(error, RegistryError::Half { .. }), "{error}");
    let written = registry
        .requests()
        .iter()
        .filter(|request| request.method == "PUT" && request.path.contains("sha256-"))
        .count();
    assert_eq!(written, 5);
}

#[test]
fn what_several_attach_at_once_is_all_there() {
    let Some(registry) = DockerRegistry::start(Auth::Open) else { return };
    // A busy machine may hold a writer for longer than the others wait for it: that is no promise, so one of three rounds has to hold.
    let all: std::collections::BTreeSet<String> = ["one", "two", "three"].map(str::to_owned).into();
    let mut rounds = (1..=3).map(|round| attached_at_once(&registry, &format!("{REPOSITORY}/{round}"), &all));
    assert!(rounds.any(|there| there == all));
}

/// What is listed of an image once each of `all` was attached, all at the same time.
fn attached_at_once(
    registry: &DockerRegistry,
    repository: &str,
    all: &std::collections::BTreeSet<String>,
) -> std::collections::BTreeSet<String> {
    let client = || {
        let endpoint = Endpoint::of(&registry.host(), false).unwrap();
        Client::new(http::Client::with(http::Options::default()), endpoint, repository, Arc::new(Nobody))
    };
    let index = Raw::compose(Index::new(Vec::new())).unwrap();
    client().put_manifest(&Which::Tag("1".into()), media::OCI_INDEX, index.bytes()).unwrap();
    let image = index.descriptor();
    std::thread::scope(|scope| {
        for who in all {
            let (client, image) = (client(), &image);
            scope.spawn(move || attach(&client, image, &artifact(who)).unwrap());
        }
    });
    let listed = list(&client(), &image.digest).unwrap();
    listed.iter().map(|entry| entry.annotations["key"].clone()).collect()
}
