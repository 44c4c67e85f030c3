use std::time::Duration;

use pinfold_base::address::LoopbackForTests;
use pinfold_base::http;
use pinfold_testkit::http::Fault;
use pinfold_testkit::http::Response;
use pinfold_testkit::raw_tar::RawTar;
use pinfold_testkit::registry::Quirks;
use pinfold_testkit::registry::Registry;

use super::*;
use crate::ImageSource;
use crate::LayerEncoding;
use crate::memory::AMD64;
use crate::memory::Memory;
use crate::registry::Endpoint;
use crate::registry::Nobody;
use crate::sink::parts;

fn client(registry: &Registry) -> Client {
    let http = http::Client::with(http::Options {
        retries: 2,
        pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(1),
        loopback: Some(LoopbackForTests),
        ..http::Options::default()
    });
    Client::new(http, Endpoint::of(&registry.host(), false).unwrap(), "box", Arc::new(Nobody))
}

fn image() -> (Memory, Descriptor) {
    let mut memory = Memory::default();
    let root = memory.both(&[RawTar::new().file("a", &"a".repeat(5000)).end()], LayerEncoding::Gzip);
    let root = root.root().clone();
    (memory, root)
}

/// A registry with some parts of an image.
fn with(memory: &Memory, root: &Descriptor, has: impl Fn(&Descriptor) -> bool, quirks: Quirks) -> Registry {
    let registry = Registry::start(quirks);
    registry.with(|kept| {
        for part in parts(memory, root).unwrap().iter().filter(|part| has(part)) {
            if is_document(part) {
                kept.put_manifest("box", None, &part.media_type, &memory.0[&part.digest]);
            } else {
                kept.put_blob("box", &memory.0[&part.digest]);
            }
        }
    });
    registry
}

fn read(mut content: BlobRead) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    content.read_to_end(&mut bytes).map(|_| bytes)
}

#[test]
fn a_document_is_asked_for_once_and_a_layer_when_it_is_read() {
    let (memory, root) = image();
    let registry = with(&memory, &root, |_| true, Quirks::default());
    let blobs = RegistryBlobs::new(vec![client(&registry)]);
    assert_eq!(blobs.location(), format!("docker://{}/box", registry.host()));
    assert!(registry.asked().is_empty());
    let source = ImageSource::new("box", root.clone(), Box::new(blobs));
    assert_eq!(source.images().unwrap().len(), 2);
    let image = source.image(AMD64).unwrap();
    assert_eq!(registry.asked().len(), 5, "an index, two manifests, two configurations");
    source.open(&image.layers[0].descriptor).unwrap().finish().unwrap();
    // By a digest alone, as blobs only.
    let layer = &image.layers[0].descriptor;
    let (content, size) = source.blobs().open(&layer.digest).unwrap();
    assert_eq!((read(content).unwrap(), size), (memory.0[&layer.digest].clone(), layer.size));
    assert_eq!(registry.asked().len(), 8);
}

#[test]
fn the_first_repository_that_has_something_gives_it() {
    let (memory, root) = image();
    let documents = with(&memory, &root, is_document, Quirks::default());
    let whole = with(&memory, &root, |_| true, Quirks::default());
    let broken = Registry::start(Quirks {
        instead: Some(Arc::new(|_| Some(Response::status(403)))),
        ..Quirks::default()
    });
    let source = |registries: &[&Registry]| {
        let clients = registries.iter().map(|registry| client(registry)).collect();
        ImageSource::new("box", root.clone(), Box::new(RegistryBlobs::new(clients)))
    };
    source(&[&documents, &whole]).images().unwrap();
    assert!(whole.asked().iter().all(|line| line.contains("/blobs/")), "{:?}", whole.asked());
    source(&[&broken, &whole]).images().unwrap();
    // Of one that has not all and one that says no, the refusal is told; of one that has not all, that.
    let error = source(&[&documents, &broken]).images().unwrap_err();
    assert!(error.to_string().contains("denies"), "{error}");
    assert!(matches!(source(&[&documents]).images().unwrap_err(), ImageError::MissingBlob { .. }));
}

#[test]
fn a_line_that_breaks_is_taken_up_again_and_not_for_ever() {
    let (memory, root) = image();
    let of = memory.clone();
    let quirks = |step: usize| {
        let of = of.clone();
        Quirks {
            instead: Some(Arc::new(move |request| {
                let digest: Digest = request.path.rsplit('/').next()?.parse().ok()?;
                let bytes = of.0.get(&digest).filter(|bytes| bytes.len() > 4000)?;
                Some(Response::ranged(request, bytes).fault(Fault::CutAfter(step)))
            })),
            ..Quirks::default()
        }
    };
    let layer = parts(&memory, &root).unwrap().into_iter().find(|part| part.size > 4000).unwrap();
    for (step, whole) in [(1000, true), (0, false)] {
        let registry = with(&memory, &root, |_| true, quirks(step));
        let blobs = RegistryBlobs::new(vec![client(&registry)]);
        let (content, _) = blobs.open_part(&layer).unwrap();
        let read = read(content);
        assert_eq!(read.is_ok(), whole, "{read:?}");
        assert_eq!(read.is_ok_and(|bytes| bytes == memory.0[&layer.digest]), whole);
    }
}

#[test]
fn documents_have_a_limit() {
    let registry = Registry::start(Quirks::default());
    let blobs = RegistryBlobs::new(vec![client(&registry)]);
    for kind in [media::OCI_INDEX, media::OCI_MANIFEST, media::OCI_CONFIG] {
        let part = Descriptor::new(kind, Digest::sha256(b""), MAX_DOCUMENT + 1);
        assert!(matches!(blobs.open_part(&part), Err(ImageError::TooLarge { .. })));
    }
    assert!(registry.asked().is_empty());
}
