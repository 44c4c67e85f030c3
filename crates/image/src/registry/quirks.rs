//! Pushes to registries with the quirks of real ones (facts of the field: what some do wrong, and a client has to survive), each with
//! what comes of it.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use pinfold_base::Digest;
use pinfold_base::report::Silent;
use pinfold_testkit::http::Fault;
use pinfold_testkit::http::Request;
use pinfold_testkit::http::Response;
use pinfold_testkit::registry::Asks;
use pinfold_testkit::registry::Bearer;
use pinfold_testkit::registry::Mount;
use pinfold_testkit::registry::Patch;
use pinfold_testkit::registry::Place;
use pinfold_testkit::registry::Quirks;
use pinfold_testkit::registry::Registry;

use super::tests::REPOSITORY;
use super::tests::client_as;
use super::tests::me;
use super::tests::without_secrets;
use super::*;
use crate::LayerEncoding;
use crate::memory::AMD64;
use crate::memory::Memory;
use crate::model::Descriptor;
use crate::registry::push::RegistrySink;
use crate::registry::push::Sending;
use crate::registry::push::Sent;
use crate::sink::copy;

/// An image of one layer and its configuration.
fn image() -> (Memory, Descriptor) {
    let mut memory = Memory::default();
    let root = memory.image(AMD64, &[b"tar ".repeat(50_000)], LayerEncoding::Tar).manifest.descriptor();
    (memory, root)
}

fn push(registry: &Registry, mount_from: &[&str]) -> Result<Sent, RegistryError> {
    let (memory, root) = image();
    let client = client_as(&registry.host(), me());
    let how = Sending {
        tag: Some("1".into()),
        mount_from: mount_from.iter().map(|name| (*name).to_owned()).collect(),
        parallel: 1,
    };
    let sink = RegistrySink::new(&client, &how, &Silent);
    let told = sink.told();
    copy(&memory, &root, sink)?;
    let sent = told.lock().unwrap().clone();
    let there = registry.with(|kept| kept.tags.get(&(REPOSITORY.to_owned(), "1".to_owned())).cloned());
    assert_eq!(there, Some(root.digest.to_string()));
    registry.with(|kept| {
        for blob in sent.sent.iter().chain(&sent.mounted) {
            let bytes = &kept.blobs[&(REPOSITORY.to_owned(), blob.digest.to_string())];
            assert_eq!(Digest::sha256(bytes), blob.digest);
        }
    });
    Ok(sent)
}

/// Quirks 7 and 8: no mount, be it that the registry refuses it or that no token is given for the other repository.
#[test]
fn what_cannot_be_mounted_is_sent() {
    let bearer = |denied: &[&str]| {
        let denied = denied.iter().map(|name| format!("repository:{name}")).collect();
        Asks::Bearer(Bearer { anonymous: false, denied, ..Bearer::default() })
    };
    for (asks, mount, mounted) in [
        (bearer(&[]), Mount::Done, 2),
        (bearer(&["other"]), Mount::Done, 0),
        (bearer(&[]), Mount::Missed, 0),
        (bearer(&[]), Mount::Refused(400), 0),
        (bearer(&[]), Mount::Refused(401), 0),
        (Asks::Basic, Mount::Refused(405), 0),
    ] {
        let registry = Registry::start(Quirks { asks: asks.clone(), mount, ..Quirks::default() });
        let (memory, _) = image();
        registry.with(|kept| memory.0.values().for_each(|bytes| drop(kept.put_blob("other", bytes))));
        let sent = push(&registry, &["other"]).unwrap();
        assert_eq!((sent.mounted.len(), sent.sent.len()), (mounted, 2 - mounted), "{asks:?} {mount:?}");
    }
}

/// Quirk 9: a token that dies at any request of a push, its content among them.
#[test]
fn a_token_that_dies_while_content_is_sent_is_renewed_and_the_content_sent_again() {
    let mut twice = 0;
    for lives in 1..9 {
        let asks = Asks::Bearer(Bearer { lives, anonymous: false, ..Bearer::default() });
        let registry = Registry::start(Quirks { asks, ..Quirks::default() });
        assert_eq!(push(&registry, &[]).unwrap().sent.len(), 2, "{lives}");
        let put = |request: &&Request| request.method == "PUT" && request.path.contains("/uploads/");
        twice += usize::from(registry.requests().iter().filter(put).count() > 2);
    }
    assert!(twice > 0, "the control: in none of them a token died while content was sent");
}

/// Relative places, places that stay good, uploads that cannot be cancelled, 413 before the content was read.
#[test]
fn a_push_goes_by_what_a_registry_says_of_its_uploads() {
    for quirks in [
        Quirks { place: Place::Relative, ..Quirks::default() },
        Quirks { old_places: true, ..Quirks::default() },
        Quirks { exact_accept: false, ..Quirks::default() },
        Quirks { body_limit: Some(10 << 20), ..Quirks::default() },
    ] {
        assert_eq!(push(&Registry::start(quirks), &[]).unwrap().sent.len(), 2);
    }
    let registry = Registry::start(Quirks { body_limit: Some(100_000), ..Quirks::default() });
    let error = push(&registry, &[]).unwrap_err();
    assert!(matches!(error, RegistryError::TooLarge { size: 200_000, limit: None, .. }), "{error}");
    assert!(error.to_string().contains(&format!("{}/{REPOSITORY}", registry.host())), "{error}");
    assert!(registry.with(|kept| kept.tags.is_empty()));
    // Another host that content is to go to gets no login, and what it cannot take without one is not sent.
    let other = Registry::start(Quirks { asks: Asks::Basic, ..Quirks::default() });
    let place = Place::Other(format!("http://{}", other.host()));
    let registry = Registry::start(Quirks { asks: Asks::Basic, place, ..Quirks::default() });
    without_secrets(&push(&registry, &[]).unwrap_err());
    assert!(other.requests().iter().all(|request| request.header("authorization").is_none()));
    assert!(registry.with(|kept| kept.tags.is_empty()));
}

/// Quirks 1 to 4 on a line that breaks twice: what the session has is gone on with where the registry can, else it is begun anew.
#[test]
fn a_line_that_breaks_twice_is_survived_with_every_way_of_resuming() {
    for (patch, cancel_refused) in [
        (Patch::Appends, false),
        (Patch::Appends, true),
        (Patch::Drops, false),
        (Patch::KeepsLast, false),
        (Patch::AtMost(1000), false),
        (Patch::Unknown, true),
    ] {
        let puts = AtomicUsize::new(0);
        let breaks = move |request: &Request| {
            let content = request.method == "PUT" && request.path.contains("/uploads/");
            let breaks = content && request.body.len() > 1000 && puts.fetch_add(1, Ordering::SeqCst) < 2;
            breaks.then(|| Response::status(500).fault(Fault::HangUp))
        };
        let instead: pinfold_testkit::registry::Instead = Arc::new(breaks);
        let quirks = Quirks { patch, cancel_refused, instead: Some(instead), ..Quirks::default() };
        assert_eq!(push(&Registry::start(quirks), &[]).unwrap().sent.len(), 2, "{patch:?}");
    }
}

/// A tag that cannot be moved.
#[test]
fn a_tag_that_stays_is_an_error_and_the_image_is_there_by_its_digest() {
    let registry = Registry::start(Quirks { immutable_tags: true, ..Quirks::default() });
    let other = b"{\"schemaVersion\":2,\"manifests\":[]}";
    registry.with(|kept| kept.put_manifest(REPOSITORY, Some("1"), crate::model::media::OCI_INDEX, other));
    let error = push(&registry, &[]).unwrap_err();
    assert!(matches!(error, RegistryError::TagStays { .. }), "{error}");
    let (_, root) = image();
    assert!(registry.with(|kept| kept.manifests.contains_key(&(REPOSITORY.into(), root.digest.to_string()))));
}
