use std::io;

use pinfold_base::report::Silent;
use pinfold_testkit::raw_tar::RawTar;

use super::*;
use crate::ImageSource;
use crate::ImageStore;
use crate::LayerEncoding;
use crate::Reference;
use crate::memory::AMD64;
use crate::memory::Memory;

/// Notes what it is asked for.
#[derive(Default)]
struct Noting<'a> {
    order: Option<Order>,
    there: bool,
    has: Vec<Digest>,
    calls: Option<&'a mut Vec<(&'static str, Digest)>>,
}

impl Noting<'_> {
    fn note(&mut self, call: &'static str, part: &Descriptor) {
        if let Some(calls) = &mut self.calls {
            calls.push((call, part.digest.clone()));
        }
    }
}

impl Sink for Noting<'_> {
    fn order(&self) -> Order {
        self.order.unwrap_or(Order::ChildrenFirst)
    }

    fn has(&mut self, blob: &Descriptor) -> Result<bool, ImageError> {
        Ok(self.has.contains(&blob.digest))
    }

    fn is_there(&mut self, root: &Descriptor) -> Result<bool, ImageError> {
        self.note("there", root);
        Ok(self.there)
    }

    fn put_blob(&mut self, from: &dyn Blobs, blob: &Descriptor) -> Result<(), ImageError> {
        self.note("blob", blob);
        io::copy(&mut open_verified(from, blob)?, &mut io::sink()).map_err(unwrap_io)?;
        Ok(())
    }

    fn put_manifest(&mut self, manifest: &Descriptor, bytes: &[u8]) -> Result<(), ImageError> {
        assert_eq!(Digest::sha256(bytes), manifest.digest);
        self.note("manifest", manifest);
        Ok(())
    }

    fn finish(mut self, root: &Descriptor) -> Result<(), ImageError> {
        self.note("name", root);
        Ok(())
    }
}

fn image() -> (Memory, ImageSource) {
    let mut memory = Memory::default();
    let tars = [RawTar::new().file("a", "1").end(), RawTar::new().file("b", "2").end()];
    let source = memory.both(&tars, LayerEncoding::Gzip);
    (memory, source)
}

fn copied(source: &ImageSource, order: Order, has: Vec<Digest>) -> Vec<(&'static str, Digest)> {
    let mut calls = Vec::new();
    let sink = Noting { order: Some(order), has, calls: Some(&mut calls), there: false };
    copy(source.blobs(), source.root(), sink).unwrap();
    assert_eq!(calls.remove(0), ("there", source.root().digest.clone()));
    calls
}

#[test]
fn children_come_before_parents_and_the_name_last() {
    let (_, source) = image();
    let calls = copied(&source, Order::ChildrenFirst, Vec::new());
    // Two layers that both platforms share, two configurations, two manifests, the index, the name.
    let kinds: Vec<_> = calls.iter().map(|(call, _)| *call).collect();
    assert_eq!(kinds, ["blob", "blob", "blob", "blob", "manifest", "manifest", "manifest", "name"]);
    let at = |digest: &Digest| calls.iter().position(|(_, found)| found == digest).unwrap();
    for platform in source.platforms().unwrap().into_keys() {
        let image = source.image(platform).unwrap();
        let manifest = at(image.manifest.digest());
        assert!(at(image.config.digest()) < manifest && manifest < at(&source.root().digest));
        assert!(image.layers.iter().all(|layer| at(&layer.descriptor.digest) < manifest));
    }
    assert_eq!(calls.last().unwrap().1, source.root().digest);
}

#[test]
fn what_a_sink_has_is_not_sent() {
    let (_, source) = image();
    let layer = source.image(AMD64).unwrap().layers[0].descriptor.digest.clone();
    let calls = copied(&source, Order::ChildrenFirst, vec![layer.clone()]);
    assert!(calls.iter().all(|(_, digest)| *digest != layer));
    assert_eq!(calls.len(), 7);
}

#[test]
fn nothing_is_read_for_a_sink_that_has_the_image() {
    let (_, source) = image();
    let mut calls = Vec::new();
    let sink = Noting { there: true, calls: Some(&mut calls), ..Noting::default() };
    // There is nothing to be read here.
    copy(&Memory::default(), source.root(), sink).unwrap();
    assert_eq!(calls, [("there", source.root().digest.clone())]);
}

#[test]
fn only_a_store_of_ours_vouches_for_its_blobs() {
    let (memory, source) = image();
    let dir = tempfile::tempdir().unwrap();
    let store = ImageStore::open(dir.path()).unwrap();
    let name: Reference = "x:1".parse().unwrap();
    copy(source.blobs(), source.root(), store.sink(&name, &Silent)).unwrap();
    let layer = source.image(AMD64).unwrap().layers[0].descriptor.clone();
    assert!(store.is_checked(&layer).unwrap());
    assert!(!memory.is_checked(&layer).unwrap());
    assert!(!store.layout().is_checked(&layer).unwrap());
    // Neither for one that is not there nor for one of another size nor for one that was changed.
    assert!(!store.is_checked(&Descriptor { digest: Digest::sha256(b"none"), ..layer.clone() }).unwrap());
    let path = store.blob_path(&layer.digest);
    let mut bytes = fs_err::read(&path).unwrap();
    bytes[20] ^= 1;
    fs_err::remove_file(&path).unwrap();
    fs_err::write(&path, bytes).unwrap();
    assert!(!store.is_checked(&layer).unwrap());
}

#[test]
fn an_order_by_digest_is_one() {
    let (_, source) = image();
    let mut calls = copied(&source, Order::ByDigest, Vec::new());
    assert_eq!(calls.pop().unwrap().0, "name");
    assert!(calls.is_sorted_by(|a, b| a.1 < b.1));
}

#[test]
fn a_damaged_part_stops_the_copy_before_the_name() {
    let (memory, source) = image();
    let all = memory.0.keys().cloned().collect::<Vec<_>>();
    for damaged in all {
        let mut memory = memory.clone();
        *memory.0.get_mut(&damaged).unwrap().last_mut().unwrap() ^= 1;
        let mut calls = Vec::new();
        let sink = Noting { calls: Some(&mut calls), ..Noting::default() };
        assert!(copy(&memory, source.root(), sink).is_err());
        assert!(calls.iter().all(|(call, _)| *call != "name"), "{damaged}");
        // A store has no name for it then, and not the damaged blob.
        let dir = tempfile::tempdir().unwrap();
        let store = ImageStore::open(dir.path()).unwrap();
        let name: Reference = "x:1".parse().unwrap();
        assert!(copy(&memory, source.root(), store.sink(&name, &Silent)).is_err());
        assert!(store.list().unwrap().is_empty() && !store.contains(&damaged));
    }
}

#[test]
fn a_store_takes_an_image_from_anywhere() {
    let (memory, source) = image();
    let dir = tempfile::tempdir().unwrap();
    let store = ImageStore::open(dir.path()).unwrap();
    let name: Reference = "team/x:1".parse().unwrap();
    for _ in 0..2 {
        copy(source.blobs(), source.root(), store.sink(&name, &Silent)).unwrap();
    }
    assert_eq!(store.resolve(&name).unwrap().digest, source.root().digest);
    assert!(memory.0.keys().all(|digest| store.contains(digest)));
    // Without a tag it is called by its own digest, and by no other.
    let untagged: Reference = format!("x@{}", source.root().digest).parse().unwrap();
    copy(source.blobs(), source.root(), store.sink(&untagged, &Silent)).unwrap();
    assert_eq!(store.resolve(&untagged).unwrap().digest, source.root().digest);
    let other: Reference = format!("x@{}", Digest::sha256(b"other")).parse().unwrap();
    let error = copy(source.blobs(), source.root(), store.sink(&other, &Silent)).unwrap_err();
    assert!(matches!(error, ImageError::WrongDigest { .. }), "{error}");
}

#[test]
fn a_blob_that_is_named_as_two_things_is_no_part() {
    use crate::model::media;
    let mut memory = Memory::default();
    let empty = memory.put(b"{}".to_vec());
    let manifest = |media_type: &str, size: u64| {
        let part = |media_type: &str, size: u64| {
            serde_json::to_value(Descriptor::new(media_type, empty.clone(), size)).unwrap()
        };
        let value = serde_json::json!({
            "schemaVersion": 2, "mediaType": media::OCI_MANIFEST,
            "config": part(media::OCI_CONFIG, 2), "layers": [part(media_type, size)],
        });
        serde_json::to_vec(&value).unwrap()
    };
    for (size, right) in [(2, true), (5, false)] {
        let bytes = manifest(media::OCI_LAYER, size);
        let length = bytes.len() as u64;
        let root = Descriptor::new(media::OCI_MANIFEST, memory.put(bytes), length);
        assert_eq!(parts(&memory, &root).is_ok(), right, "{size}");
    }
    // What is passed over under one type must not be left out under the other.
    let bytes = manifest(media::OCI_LAYER, 2);
    let length = bytes.len() as u64;
    let image = Descriptor::new(media::OCI_MANIFEST, memory.put(bytes), length);
    let other = Descriptor { media_type: "application/octet-stream".into(), ..image.clone() };
    for (entries, right) in [(vec![image.clone(), image.clone()], true), (vec![other, image], false)] {
        let index = Raw::compose(Index::new(entries)).unwrap();
        memory.document(&index);
        assert_eq!(parts(&memory, &index.descriptor()).is_ok(), right);
    }
}

/// A chain of two thousand indexes was walked to its end, for seconds.
#[test]
fn indexes_are_nested_to_a_bound() {
    use crate::model::media;
    let nested = |depth: usize| {
        let mut memory = Memory::default();
        let image = memory.image(AMD64, &[b"tar".to_vec()], LayerEncoding::Tar);
        let mut root = image.manifest.descriptor();
        for _ in 0..depth {
            let index = Raw::compose(Index::new(vec![root])).unwrap();
            memory.document(&index);
            root = index.descriptor();
        }
        assert_eq!(root.media_type, media::OCI_INDEX);
        parts(&memory, &root)
    };
    assert_eq!(nested(8).unwrap().len(), 8 + 3);
    let error = nested(9).unwrap_err();
    assert!(error.to_string().ends_with("its indexes are nested more than 8 deep"), "{error}");
}

/// Whoever only hands an image on needs to know which platform it is for, and not what its layers are.
#[test]
fn an_image_with_layers_of_another_kind_has_its_platform() {
    let mut memory = Memory::default();
    let image = memory.image(AMD64, &[b"tar".to_vec()], LayerEncoding::Tar);
    let mut manifest = image.manifest.value().clone();
    manifest.layers[0].media_type = "application/x-other".into();
    let bytes = serde_json::to_vec(&manifest).unwrap();
    let length = bytes.len() as u64;
    let root = Descriptor::new(manifest.media_type.as_deref().unwrap(), memory.put(bytes), length);
    let source = ImageSource::new("x", root.clone(), Box::new(memory));
    assert_eq!(source.carried().unwrap(), [AMD64]);
    let error = source.image_of(&root).unwrap_err();
    assert!(error.to_string().contains("`application/x-other` is no layer"), "{error}");
}
