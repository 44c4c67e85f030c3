use std::sync::Arc;
use std::sync::Barrier;
use std::time::Duration;

use pinfold_base::Diagnose as _;
use pinfold_base::address::LoopbackForTests;
use pinfold_base::http;
use pinfold_testkit::docker_registry::Auth;
use pinfold_testkit::docker_registry::DockerRegistry;
use pinfold_testkit::http::Fault;
use pinfold_testkit::http::Request;
use pinfold_testkit::http::Response;
use pinfold_testkit::registry::Quirks;
use pinfold_testkit::registry::Referrers;
use pinfold_testkit::registry::Registry;
use pinfold_testkit::registry::error;

use super::*;
use crate::registry::Endpoint;
use crate::registry::Nobody;
use crate::sign::SecretKey;
use crate::sign::Signer as _;

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
    assert_eq!(written, 11, "and no more");
}

/// Rounds of two who sign at once: every second one lost something when a writer rested between reading and writing.
const ROUNDS: usize = 12;

/// What somebody attaches to each of several images, in both forms.
struct Signing {
    key: SecretKey,
    artifacts: Vec<Artifact>,
}

impl Signing {
    fn new(who: &str) -> Self {
        let artifacts = ["signature", "provenance"].map(|what| artifact(&format!("{what} by {who}")));
        Self { key: SecretKey::generate().unwrap(), artifacts: artifacts.into() }
    }

    /// Attaches all of it; what was written, before it has settled.
    fn attach<'a>(&self, client: &'a Client, images: &[Descriptor]) -> Result<Attaching<'a>, RegistryError> {
        let mut attaching = Attaching::new(client);
        for image in images {
            let mut entries = Vec::new();
            for artifact in &self.artifacts {
                let Sent::New(entry) = attaching.send(image, &[], artifact)? else { panic!() };
                entries.push(entry);
            }
            attaching.list(&image.digest, entries)?;
            let signature = legacy::make("registry.example/x", &image.digest, &self.key).unwrap();
            attaching.sign(&image.digest, &signature)?;
        }
        Ok(attaching)
    }

    /// How much of it is not there.
    fn lost(&self, client: &Client, images: &[Descriptor]) -> usize {
        let keys = [self.key.public().clone()];
        let of = |image: &Descriptor| {
            let listed = list(client, &image.digest).unwrap();
            let is_listed = |artifact: &&Artifact| {
                listed.iter().any(|entry| entry.annotations["key"].as_bytes() == artifact.bytes)
            };
            let lost = self.artifacts.iter().filter(|artifact| !is_listed(artifact)).count();
            let signed = legacy::verify(client, &image.digest, &keys).unwrap();
            lost + usize::from(!matches!(signed, legacy::Verdict::By(_)))
        };
        images.iter().map(of).sum()
    }
}

/// How much two who sign at the same moment lose in some rounds, when each ends so.
fn lost_at_once(
    rounds: usize,
    end: impl Fn(Attaching<'_>) -> Result<(), RegistryError> + Sync,
) -> Option<usize> {
    let registry = DockerRegistry::start(Auth::Open)?;
    let mut lost = 0;
    for round in 0..rounds {
        let repository = format!("{REPOSITORY}/{round}");
        let client = || {
            let endpoint = Endpoint::of(&registry.host(), false).unwrap();
            let options = http::Options { pause: Duration::from_millis(200), ..http::Options::default() };
            Client::new(http::Client::with(options), endpoint, &repository, Arc::new(Nobody))
        };
        let images: Vec<Descriptor> = ["one", "two"]
            .into_iter()
            .map(|name| {
                let mut index = Index::new(Vec::new());
                index.annotations.insert("name".into(), name.into());
                let index = Raw::compose(index).unwrap();
                client().put_manifest(&Which::Tag(name.into()), media::OCI_INDEX, index.bytes()).unwrap();
                index.descriptor()
            })
            .collect();
        let who = [Signing::new("me"), Signing::new("you")];
        let at_once = Barrier::new(who.len());
        std::thread::scope(|scope| {
            for one in &who {
                let (client, images, at_once, end) = (client(), &images, &at_once, &end);
                scope.spawn(move || {
                    at_once.wait();
                    end(one.attach(&client, images).unwrap()).unwrap();
                });
            }
        });
        lost += who.iter().map(|one| one.lost(&client(), &images)).sum::<usize>();
    }
    Some(lost)
}

fn settled(attaching: Attaching<'_>) -> Result<(), RegistryError> {
    attaching.settle()
}

#[test]
fn two_who_sign_at_once_lose_nothing_in_either_form() {
    let Some(lost) = lost_at_once(ROUNDS, settled) else { return };
    assert_eq!(lost, 0);
}

/// The control of the test before: they do write at the same time.
#[test]
fn two_who_sign_at_once_and_do_not_look_again_lose_something() {
    let Some(lost) = lost_at_once(ROUNDS, |_| Ok(())) else { return };
    assert_ne!(lost, 0);
}

/// The first that is asked for so fails, in this way.
fn failing_once(is_it: fn(&Request) -> bool, response: Response) -> Quirks {
    let failed = std::sync::atomic::AtomicBool::new(false);
    let instead = move |request: &Request| {
        (is_it(request) && !failed.swap(true, std::sync::atomic::Ordering::Relaxed)).then(|| response.clone())
    };
    Quirks { instead: Some(Arc::new(instead)), ..Quirks::default() }
}

#[test]
fn what_fails_once_while_something_is_attached_is_done_again() {
    let is_blob: fn(&Request) -> bool =
        |request| request.method == "PUT" && request.path.contains("/uploads/");
    let is_manifest: fn(&Request) -> bool =
        |request| request.method == "PUT" && request.path.contains("/manifests/sha256:");
    let passing = [
        Response::status(500),
        Response::status(503),
        Response::status(429),
        Response::status(201).fault(Fault::HangUp),
        Response::status(201).fault(Fault::CutAt(9)),
    ];
    // Of a blob it would be believed: nobody else writes to its session.
    let stumble = [error(400, "DIGEST_INVALID")];
    for (is_it, responses) in [
        (is_blob, &passing[..]),
        (is_manifest, &passing),
        (is_tag_put, &passing),
        (is_manifest, &stumble),
        (is_tag_put, &stumble),
    ] {
        for response in responses.iter().cloned() {
            let registry = Registry::start(failing_once(is_it, response));
            let (client, image) = (client(&registry), image(&registry));
            digest(attach(&client, &image, &artifact("ours")).unwrap());
            assert_eq!(list(&client, &image.digest).unwrap().len(), 1);
        }
    }
    // What is refused is not asked for again.
    let instead = |request: &Request| is_tag_put(request).then(|| Response::status(413));
    let registry = Registry::start(Quirks { instead: Some(Arc::new(instead)), ..Quirks::default() });
    let (client, image) = (client(&registry), image(&registry));
    let error = attach(&client, &image, &artifact("ours")).unwrap_err();
    assert!(matches!(error, RegistryError::TooLarge { .. }), "{error}");
    assert_eq!(registry.requests().iter().filter(|request| is_tag_put(request)).count(), 1);
}

fn is_tag_put(request: &Request) -> bool {
    request.method == "PUT" && request.path.contains("/manifests/sha256-")
}

#[test]
fn all_of_an_image_is_written_to_its_tag_at_once() {
    let registry = Registry::start(Quirks::default());
    let (client, image) = (client(&registry), image(&registry));
    let me = Signing::new("me");
    me.attach(&client, std::slice::from_ref(&image)).unwrap().settle().unwrap();
    assert_eq!(me.lost(&client, std::slice::from_ref(&image)), 0);
    // One writing of each form.
    assert_eq!(registry.requests().iter().filter(|request| is_tag_put(request)).count(), 2);
}

/// Signatures need the tags that stand for what is attached to be moved.
#[test]
fn a_tag_of_what_is_attached_that_cannot_be_moved_is_told() {
    let registry = Registry::start(Quirks { immutable_tags: true, ..Quirks::default() });
    let (client, image) = (client(&registry), image(&registry));
    digest(attach(&client, &image, &artifact("first")).unwrap());
    let error = attach(&client, &image, &artifact("second")).unwrap_err();
    assert!(matches!(error, RegistryError::TagStays { .. }), "{error}");
    assert!(error.is_refusal());
    assert!(
        error.hint().unwrap().contains("let those that begin with `sha256-` be moved"),
        "{:?}",
        error.hint()
    );
}
