use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pinfold_base::Diagnose;
use pinfold_base::Home;
use pinfold_base::Kind;
use pinfold_base::address::LoopbackForTests;
use pinfold_base::http;
use pinfold_base::report::Silent;
use pinfold_image::model::Found;
use pinfold_image::model::Index;
use pinfold_image::model::media;
use pinfold_image::registry::Endpoint;
use pinfold_image::registry::Nobody;
use pinfold_image::registry::attach::Artifact;
use pinfold_image::registry::attach::attach;
use pinfold_image::sign::Bundle;
use pinfold_image::sign::SecretKey;
use pinfold_image::sign::Signer as _;
use pinfold_image::sign::Statement;
use pinfold_image::trust::Rule;
use pinfold_image::trust::Rules;
use pinfold_image::trust::TrustError;
use pinfold_image::trust::Why;
use pinfold_image::trust::admit;
use pinfold_testkit::http::Response;
use pinfold_testkit::registry::Instead;
use pinfold_testkit::registry::Quirks;
use pinfold_testkit::registry::Referrers;
use pinfold_testkit::registry::Registry;

use super::*;
use crate::context::Network;

const REPOSITORY: &str = "team/name";
const NAME: &str = "registry.example/team/name";

fn client(registry: &Registry) -> Client {
    let http = http::Client::with(http::Options {
        retries: 1,
        pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(2),
        loopback: Some(LoopbackForTests),
        ..http::Options::default()
    });
    Client::new(http, Endpoint::of(&registry.host(), false).unwrap(), REPOSITORY, Arc::new(Nobody))
}

fn listing() -> Quirks {
    Quirks { referrers: Referrers::Listed, ..Quirks::default() }
}

fn image(registry: &Registry) -> Found {
    let bytes = Raw::compose(Index::new(Vec::new())).unwrap().bytes().to_vec();
    let digest = registry.with(|kept| kept.put_manifest(REPOSITORY, Some("1"), media::OCI_INDEX, &bytes));
    Found { descriptor: Descriptor::new(media::OCI_INDEX, digest, bytes.len() as u64), bytes }
}

fn rules(key: &SecretKey) -> Rules {
    let rule = Rule::new("*".parse().unwrap(), vec![key.public().clone()], BTreeSet::new()).unwrap();
    Rules::new(vec![rule]).unwrap()
}

fn signed(key: &SecretKey, of: &Digest) -> Vec<u8> {
    Bundle::make(&Statement::signature(of.clone()), key).unwrap().to_bytes().to_vec()
}

fn artifact(kind: &str, bytes: &[u8]) -> Artifact {
    Artifact {
        artifact_type: kind.into(),
        media_type: kind.into(),
        bytes: bytes.into(),
        annotations: BTreeMap::new(),
    }
}

/// Attaches these to an image.
fn attached(registry: &Registry, image: &Found, artifacts: &[Artifact]) {
    let client = client(registry);
    for artifact in artifacts {
        attach(&client, &image.descriptor, artifact).unwrap();
    }
}

/// Whether an image is admitted by what its registry has, or why not.
fn judged(registry: &Registry, image: &Found, key: &SecretKey) -> Result<Vec<Vec<u8>>, TrustError> {
    let found = Found { descriptor: image.descriptor.clone(), bytes: image.bytes.clone() };
    admit(&rules(key), &NAME.parse().unwrap(), found, &RegistryProofs(&client(registry)))
        .map(|(_, counted)| counted)
}

fn why(error: &TrustError) -> Why {
    match error {
        TrustError::Refused { why, .. } => *why,
        other => panic!("{other}"),
    }
}

#[test]
fn a_signature_is_found_among_what_others_attached_with_and_without_the_api() {
    let (key, other) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
    for quirks in [listing(), Quirks::default()] {
        let registry = Registry::start(quirks);
        let image = image(&registry);
        let digest = &image.descriptor.digest;
        assert_eq!(why(&judged(&registry, &image, &key).unwrap_err()), Why::Missing);
        let right = signed(&key, digest);
        attached(
            &registry,
            &image,
            &[
                artifact("application/vnd.example", b"an SBOM"),
                artifact(MEDIA_TYPE, b"no bundle"),
                artifact(MEDIA_TYPE, &signed(&other, digest)),
                artifact(MEDIA_TYPE, &signed(&key, &Digest::sha256(b"another"))),
                artifact(MEDIA_TYPE, &right),
            ],
        );
        assert_eq!(judged(&registry, &image, &key).unwrap(), [right]);
        assert_eq!(
            why(&judged(&registry, &image, &SecretKey::generate().unwrap()).unwrap_err()),
            Why::OtherKey
        );
    }
}

/// Older tools wrote entries without type and annotations, and listed what is gone by now.
#[test]
fn an_entry_of_the_tag_that_says_nothing_is_opened_and_what_is_gone_does_not_hinder() {
    let key = SecretKey::generate().unwrap();
    let registry = Registry::start(Quirks::default());
    let image = image(&registry);
    let right = signed(&key, &image.descriptor.digest);
    attached(&registry, &image, &[artifact(MEDIA_TYPE, &right), artifact(MEDIA_TYPE, b"gone")]);
    let tag = format!("sha256-{}", image.descriptor.digest.hex());
    registry.with(|kept| {
        let there = kept.tags[&(REPOSITORY.to_owned(), tag.clone())].clone();
        let (_, bytes) = kept.manifests[&(REPOSITORY.to_owned(), there)].clone();
        let mut index = Raw::<Index>::parse(bytes).unwrap().value().clone();
        for entry in &mut index.manifests {
            entry.artifact_type = None;
            entry.annotations.clear();
        }
        // Of the other one the blob is gone, and of a third all.
        kept.blobs.remove(&(REPOSITORY.to_owned(), Digest::sha256(b"gone").to_string()));
        index.manifests.insert(0, Descriptor::new(media::OCI_MANIFEST, Digest::sha256(b"nothing"), 7));
        let index = Raw::compose(index).unwrap();
        kept.put_manifest(REPOSITORY, Some(&tag), media::OCI_INDEX, index.bytes());
    });
    assert_eq!(judged(&registry, &image, &key).unwrap(), [right]);
}

#[test]
fn what_hinders_reading_is_no_missing_signature() {
    let key = SecretKey::generate().unwrap();
    for (part, status) in [("/referrers/", 500), ("/manifests/sha256:", 500), ("/blobs/sha256:", 403)] {
        let instead: Instead = Arc::new(move |request| {
            let hindered = request.method == "GET" && request.path.contains(part);
            hindered.then(|| Response::status(status))
        });
        let registry = Registry::start(listing());
        let image = image(&registry);
        attached(&registry, &image, &[artifact(MEDIA_TYPE, &signed(&key, &image.descriptor.digest))]);
        assert!(judged(&registry, &image, &key).is_ok(), "the control");
        let ill = Registry::start(Quirks { instead: Some(instead), ..listing() });
        registry.with(|from| {
            ill.with(|to| {
                to.blobs.clone_from(&from.blobs);
                to.manifests.clone_from(&from.manifests);
                to.tags.clone_from(&from.tags);
            });
        });
        let error = judged(&ill, &image, &key).unwrap_err();
        assert!(matches!(error, TrustError::Image(_)), "{part}: {error}");
    }
    // Nor a bundle of another digest than the one that it goes by.
    let registry = Registry::start(listing());
    let image = image(&registry);
    let right = signed(&key, &image.descriptor.digest);
    attached(&registry, &image, &[artifact(MEDIA_TYPE, &right)]);
    registry.with(|kept| {
        let blob = (REPOSITORY.to_owned(), Digest::sha256(&right).to_string());
        *kept.blobs.get_mut(&blob).unwrap().last_mut().unwrap() ^= 1;
    });
    assert_eq!(judged(&registry, &image, &key).unwrap_err().kind(), Kind::Integrity);
}

#[test]
fn of_a_crowd_bundles_are_looked_at_first_and_no_more_than_so_many() {
    let key = SecretKey::generate().unwrap();
    let registry = Registry::start(listing());
    let image = image(&registry);
    let others: Vec<Artifact> =
        (0..MAX_PROOFS).map(|n| artifact("application/vnd.example", n.to_string().as_bytes())).collect();
    attached(&registry, &image, &others);
    let right = signed(&key, &image.descriptor.digest);
    attached(&registry, &image, &[artifact(MEDIA_TYPE, &right)]);
    assert_eq!(judged(&registry, &image, &key).unwrap(), std::slice::from_ref(&right));
    let opened = |registry: &Registry| {
        let asked = registry.asked();
        asked.iter().filter(|line| line.starts_with("GET") && line.contains("/manifests/sha256:")).count()
    };
    assert!(opened(&registry) <= MAX_PROOFS, "{}", opened(&registry));
}

#[test]
fn what_was_kept_proves_the_same_without_the_registry() {
    let dir = tempfile::tempdir().unwrap();
    let context = Context::at(Home::under(dir.path()), Network::Offline, Box::new(Silent)).unwrap();
    let key = SecretKey::generate().unwrap();
    let kept = Kept::of(&context);
    let (image, other) = (Digest::sha256(b"image"), Digest::sha256(b"other"));
    assert!(kept.bundles(&image).unwrap().is_empty());
    let (one, two) = (signed(&key, &image), signed(&SecretKey::generate().unwrap(), &image));
    kept.keep(&image, std::slice::from_ref(&one)).unwrap();
    kept.keep(&image, &[one.clone(), two.clone()]).unwrap();
    let mut found = kept.bundles(&image).unwrap();
    found.sort();
    let mut expected = vec![one, two];
    expected.sort();
    assert_eq!(found, expected);
    assert!(kept.bundles(&other).unwrap().is_empty());
    // What a killed process left is none.
    fs::write(dir.path().join("data/proofs").join(image.hex()).join(".newxyz"), "half").unwrap();
    assert_eq!(kept.bundles(&image).unwrap().len(), 2);
    kept.keep(&other, &[b"x".to_vec()]).unwrap();
    kept.sweep(Duration::from_secs(60), |_| false).unwrap();
    assert_eq!(kept.bundles(&image).unwrap().len(), 2, "it is young");
    kept.sweep(Duration::ZERO, |hex| hex == image.hex()).unwrap();
    assert_eq!(kept.bundles(&image).unwrap().len(), 2);
    assert!(kept.bundles(&other).unwrap().is_empty());
}

/// What is large is looked at last, and not all of it: it would be in memory together.
#[test]
fn of_large_bundles_no_more_are_fetched_than_fit_and_small_ones_come_first() {
    let key = SecretKey::generate().unwrap();
    let registry = Registry::start(listing());
    let image = image(&registry);
    registry.with(|kept| {
        for n in 0..20_u8 {
            // They are gone by the time that they are asked for, which does not hinder.
            let layer = Descriptor::new(MEDIA_TYPE, Digest::sha256(&[n]), MAX_BUNDLE);
            let value = serde_json::json!({
                "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "artifactType": MEDIA_TYPE,
                "config": Descriptor::new(media::OCI_EMPTY, Digest::sha256(b"{}"), 2),
                "layers": [layer], "subject": image.descriptor,
            });
            kept.put_manifest(REPOSITORY, None, media::OCI_MANIFEST, value.to_string().as_bytes());
        }
    });
    let right = signed(&key, &image.descriptor.digest);
    attached(&registry, &image, &[artifact(MEDIA_TYPE, &right)]);
    let before = registry.requests().len();
    assert_eq!(judged(&registry, &image, &key).unwrap(), [right]);
    let fetched = registry
        .asked()
        .split_off(before)
        .iter()
        .filter(|line| line.contains("GET /v2/team/name/blobs/"))
        .count();
    assert_eq!(fetched as u64, 1 + (MAX_TOGETHER - 1) / MAX_BUNDLE);
}
