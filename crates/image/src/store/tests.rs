use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::ComposedImage;
use crate::ImageSource;
use crate::LayerEncoding;
use crate::memory::AMD64;
use crate::memory::ARM64;
use crate::memory::Memory;
use pinfold_base::store::stamp;
use pinfold_testkit::raw_tar::RawTar;

fn store() -> (tempfile::TempDir, ImageStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = ImageStore::open(dir.path()).unwrap();
    (dir, store)
}

/// Stores an image with one file of this content, unnamed.
fn put(store: &ImageStore, content: &str) -> ComposedImage {
    let mut memory = Memory::default();
    let image = memory.image(AMD64, &[RawTar::new().file("a", content).end()], LayerEncoding::Gzip);
    for (digest, bytes) in &memory.0 {
        store.put_reader(&bytes[..], digest, bytes.len() as u64).unwrap();
    }
    image
}

fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

fn blobs(store: &ImageStore) -> usize {
    fs::read_dir(store.layout().root().join("blobs/sha256")).unwrap().count()
}

#[test]
fn names_lead_to_images() {
    let (_dir, store) = store();
    let (one, two) = (put(&store, "1"), put(&store, "2"));
    store.tag(&name("x"), &one.manifest.descriptor(), None).unwrap();
    store.tag(&name("team/y:v1"), &two.manifest.descriptor(), None).unwrap();
    assert_eq!(store.resolve(&name("x:latest")).unwrap().digest, *one.manifest.digest());
    let by_digest = format!("team/y@{}", two.manifest.digest());
    assert_eq!(store.resolve(&name(&by_digest)).unwrap().digest, *two.manifest.digest());
    // The digest of an image under another name is not found, and neither is a name without its tag.
    assert!(store.resolve(&name(&format!("x@{}", two.manifest.digest()))).is_err());
    let error = store.resolve(&name("team/y")).unwrap_err();
    assert_eq!(error.to_string(), "image `team/y:latest` is not in the store");
    assert!(matches!(error, ImageError::NotFound { known, .. } if known == ["team/y:v1", "x:latest"]));
    // A name moves.
    store.tag(&name("x"), &two.manifest.descriptor(), None).unwrap();
    assert_eq!(store.resolve(&name("x")).unwrap().digest, *two.manifest.digest());
    let listed: Vec<_> =
        store.list().unwrap().into_iter().map(|entry| entry.reference.unwrap().to_string()).collect();
    assert_eq!(listed, ["team/y:v1", "x:latest"]);
    assert_eq!(store.untag(&name("x")).unwrap().digest, *two.manifest.digest());
    assert!(store.untag(&name("x")).is_err());
    assert_eq!(store.list().unwrap().len(), 1);
}

#[test]
fn an_index_is_named_with_all_its_parts() {
    let (_dir, store) = store();
    let mut memory = Memory::default();
    let source = memory.both(&[RawTar::new().file("a", "1").end()], LayerEncoding::Zstd);
    let arm64 = source.platforms().unwrap()[&ARM64].clone();
    for (digest, bytes) in &memory.0 {
        if *digest != arm64.digest {
            store.put_reader(&bytes[..], digest, bytes.len() as u64).unwrap();
        }
    }
    // A name never leads to half an image.
    assert!(matches!(store.tag(&name("x"), source.root(), None), Err(ImageError::MissingBlob { .. })));
    assert!(store.list().unwrap().is_empty());
    store.put_reader(&memory.0[&arm64.digest][..], &arm64.digest, arm64.size).unwrap();
    store.tag(&name("x"), source.root(), None).unwrap();
    // The manifest of one platform is found by its digest.
    assert_eq!(store.resolve(&name(&format!("x@{}", arm64.digest))).unwrap().digest, arm64.digest);
    let found = ImageSource::from_store(&store, &name("x")).unwrap();
    assert_eq!(found.platforms().unwrap().len(), 2);
}

#[test]
fn wrong_blobs_are_not_stored() {
    let (dir, store) = store();
    let digest = Digest::sha256(b"right");
    assert!(matches!(store.put_reader(&b"wrong"[..], &digest, 5), Err(ImageError::WrongDigest { .. })));
    assert!(matches!(store.put_reader(&b"righ"[..], &digest, 5), Err(ImageError::WrongSize { .. })));
    let path = dir.path().join("file");
    fs::write(&path, "wrong").unwrap();
    assert!(store.put_file(&path, &digest, 5, Custody::Elsewhere).is_err());
    assert!(store.put_file(&path, &digest, 4, Custody::Store).is_err());
    assert_eq!(blobs(&store), 0);
    assert!(fs::read_dir(store.layout().root().join("tmp")).unwrap().next().is_none());
    fs::write(&path, "right").unwrap();
    store.put_file(&path, &digest, 5, Custody::Elsewhere).unwrap();
    // A copy: changing the file later does not change the blob.
    fs::write(&path, "wrong").unwrap();
    assert_eq!(fs::read(store.blob_path(&digest)).unwrap(), b"right");
    // A blob that was cut short is replaced.
    fs::remove_file(store.blob_path(&digest)).unwrap();
    fs::write(store.blob_path(&digest), "rig").unwrap();
    store.put_reader(&b"right"[..], &digest, 5).unwrap();
    assert_eq!(fs::read(store.blob_path(&digest)).unwrap(), b"right");
}

#[test]
fn layers_of_the_cache_are_shared() {
    use std::os::unix::fs::MetadataExt;
    let (dir, store) = store();
    let path = dir.path().join("cached");
    fs::write(&path, "layer").unwrap();
    let digest = Digest::sha256(b"layer");
    store.put_file(&path, &digest, 5, Custody::Store).unwrap();
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    assert_eq!(inode(&path), inode(&store.blob_path(&digest)));
    // Such a blob frees nothing.
    let report = store.gc(Duration::ZERO, GcMode::Delete).unwrap();
    assert_eq!((report.blobs.len(), report.bytes), (1, 0));
    assert!(path.exists());
}

#[test]
fn gc_keeps_what_is_named_or_young() {
    let (_dir, store) = store();
    let (kept, dropped) = (put(&store, "kept"), put(&store, "dropped"));
    store.tag(&name("kept"), &kept.manifest.descriptor(), None).unwrap();
    store.tag(&name("dropped"), &dropped.manifest.descriptor(), None).unwrap();
    assert!(store.gc(Duration::ZERO, GcMode::Delete).unwrap().blobs.is_empty());
    store.untag(&name("dropped")).unwrap();
    fs::write(store.layout().root().join("tmp/w-abandoned"), "half").unwrap();
    let young = store.gc(Duration::from_secs(3600), GcMode::Delete).unwrap();
    assert_eq!((young.blobs.len(), young.young, young.temporary), (0, 3, 0));
    let dry = store.gc(Duration::ZERO, GcMode::DryRun).unwrap();
    assert_eq!((dry.blobs.len(), dry.temporary, blobs(&store)), (3, 1, 6));
    assert_eq!(store.gc(Duration::ZERO, GcMode::Delete).unwrap(), dry);
    assert_eq!(blobs(&store), 3);
    ImageSource::from_store(&store, &name("kept")).unwrap().image(AMD64).unwrap();
}

#[test]
fn gc_removes_no_blob_when_it_cannot_see() {
    let (_dir, store) = store();
    let image = put(&store, "1");
    store.tag(&name("x"), &image.manifest.descriptor(), None).unwrap();
    put(&store, "2");
    fs::write(store.blob_path(image.manifest.digest()), "damaged").unwrap();
    let report = store.gc(Duration::ZERO, GcMode::Delete).unwrap();
    assert_eq!((report.unreadable, report.blobs), (vec!["x:latest".to_owned()], vec![]));
    // All but the damaged one, which does not lie under its name any more.
    assert_eq!(blobs(&store), 5);
    assert!(!store.contains(image.manifest.digest()));
    // The image comes back whole, and then the other goes.
    put(&store, "1");
    assert_eq!(store.gc(Duration::ZERO, GcMode::Delete).unwrap().blobs.len(), 3);
}

/// Ways to damage a file: a bit, the end, all of it, the file.
fn harmed(bytes: &[u8]) -> [Option<Vec<u8>>; 4] {
    let mut flipped = bytes.to_vec();
    flipped[bytes.len() / 2] ^= 4;
    [Some(flipped), Some(bytes[..bytes.len() - 1].to_vec()), Some(Vec::new()), None]
}

fn replace(path: &std::path::Path, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => fs::write(path, bytes).unwrap(),
        None => fs::remove_file(path).unwrap(),
    }
}

#[test]
fn a_damaged_blob_is_not_there_and_is_taken_anew() {
    let (dir, store) = store();
    let damage = Damage::default();
    let (digest, cached) = (Digest::sha256(b"layer"), dir.path().join("cached"));
    let expected = Expected { digest: digest.clone(), size: Some(5) };
    let path = store.blob_path(&digest);
    for harm in harmed(b"layer") {
        let store = ImageStore::reporting(dir.path(), &damage).unwrap();
        store.put_reader(&b"layer"[..], &digest, 5).unwrap();
        assert!(store.holds(&expected).unwrap() && damage.take().is_empty());
        replace(&path, harm.as_deref());
        assert!(!store.holds(&expected).unwrap() && !path.exists());
        assert_eq!(damage.take().len(), usize::from(harm.is_some()));
        // A file takes the place of a wrong blob that nobody has seen yet.
        store.put_reader(&b"layer"[..], &digest, 5).unwrap();
        replace(&path, harm.as_deref());
        fs::write(&cached, "layer").unwrap();
        store.put_file(&cached, &digest, 5, Custody::Store).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"layer");
        fs::remove_file(&path).unwrap();
        fs::remove_file(&cached).unwrap();
        damage.take();
    }
}

#[test]
fn what_a_disk_changed_is_found_by_reading_and_does_not_come_back() {
    let (dir, store) = store();
    let (digest, cached) = (Digest::sha256(b"layer"), dir.path().join("cached"));
    fs::write(&cached, "layer").unwrap();
    store.put_file(&cached, &digest, 5, Custody::Store).unwrap();
    // Behind the file system's back: the time stays as it was.
    fs::write(&cached, "lazer").unwrap();
    stamp::stamp(&cached).unwrap();
    let expected = Expected { digest: digest.clone(), size: Some(5) };
    assert!(store.holds(&expected).unwrap());
    let descriptor = Descriptor::new("application/octet-stream", digest.clone(), 5);
    let reader = crate::blobs::open_verified(&store, &descriptor).unwrap();
    assert!(matches!(reader.finish(), Err(ImageError::WrongDigest { .. })));
    assert!(!store.contains(&digest));
    // The file that shares its bytes is in doubt now, and refused.
    assert!(store.put_file(&cached, &digest, 5, Custody::Store).is_err());
    assert!(!store.contains(&digest));
}

#[test]
fn damaged_names_come_back_from_their_copy() {
    let (dir, store) = store();
    let image = put(&store, "1");
    store.tag(&name("x"), &image.manifest.descriptor(), None).unwrap();
    store.tag(&name("y:v2"), &image.manifest.descriptor(), None).unwrap();
    let digest_in = |bytes: &[u8]| {
        let at = bytes.windows(7).position(|part| part == b"sha256:").unwrap() + 10;
        let mut other = bytes.to_vec();
        other[at] = if other[at] == b'0' { b'1' } else { b'0' };
        Some(other)
    };
    for file in ["index.json", "names.json", "oci-layout"] {
        let path = dir.path().join("images").join(file);
        let right = fs::read(&path).unwrap();
        let mut harm = harmed(&right).to_vec();
        // JSON that can be read, and leads nowhere or has another name.
        harm.extend((file != "oci-layout").then(|| digest_in(&right)));
        let renamed = String::from_utf8(right.clone()).unwrap().replace("x:latest", "z:latest");
        harm.extend((file != "oci-layout").then(|| Some(renamed.into_bytes())));
        for bytes in harm {
            replace(&path, bytes.as_deref());
            let damage = Damage::default();
            let store = ImageStore::reporting(dir.path(), &damage).unwrap();
            let names: Vec<_> =
                store.list().unwrap().into_iter().map(|entry| entry.reference.unwrap()).collect();
            assert_eq!(names, [name("x"), name("y:v2")], "{file}");
            assert_eq!(store.resolve(&name("x")).unwrap().digest, *image.manifest.digest(), "{file}");
            store.tag(&name("x"), &image.manifest.descriptor(), None).unwrap();
            assert_eq!(fs::read(&path).unwrap(), right);
            // Whose copy was damaged nobody has to know; what was gone and is made as it always is neither.
            let quiet = file == "names.json" || file == "oci-layout" && bytes.is_none();
            assert_eq!(damage.take().is_empty(), quiet, "{file}");
        }
    }
    // Both: the images are there without names.
    for file in ["index.json", "names.json"] {
        fs::write(dir.path().join("images").join(file), "{").unwrap();
    }
    let store = ImageStore::open(dir.path()).unwrap();
    assert!(store.list().unwrap().is_empty());
    store.tag(&name("x"), &image.manifest.descriptor(), None).unwrap();
}

#[test]
fn a_project_keeps_what_it_runs_and_what_it_ran_before() {
    let (_dir, store) = store();
    let images: Vec<_> = ["1", "2", "3"].map(|text| put(&store, text).manifest.descriptor()).into();
    let kept =
        |owner| -> Vec<Digest> { store.kept(owner).unwrap().into_iter().map(|kept| kept.digest).collect() };
    // What earlier versions named is let go of; what the user named so is not.
    store.tag(&name("x:run"), &images[0], None).unwrap();
    store.tag(&name("y:run"), &images[0], Some("/y")).unwrap();
    for image in &images {
        store.keep("/x", image, &name("x:run")).unwrap();
        store.keep("/y", image, &name("y:run")).unwrap();
    }
    let digests: Vec<Digest> = images.iter().map(|image| image.digest.clone()).collect();
    assert_eq!((kept("/x"), kept("/y")), (digests[1..].to_vec(), digests[1..].to_vec()));
    store.keep("/x", &images[1], &name("x:run")).unwrap();
    assert_eq!(kept("/x"), [digests[2].clone(), digests[1].clone()]);
    let named: Vec<_> = store.list().unwrap().into_iter().filter_map(|entry| entry.reference).collect();
    assert_eq!(named, [name("y:run")]);
    // Found by a digest under any name, and without what is said of projects.
    let found = store.resolve(&name(&format!("x@{}", digests[1]))).unwrap();
    assert_eq!(found, images[1]);
    store.forget(&digests[1]).unwrap();
    assert_eq!((kept("/x").len(), kept("/y").len()), (1, 1));
    assert_eq!(store.tag(&name("y:run"), &images[2], Some("/x")).unwrap().as_deref(), Some("/y"));
}

#[test]
fn names_of_another_tool_are_taken() {
    let (dir, store) = store();
    let image = put(&store, "1");
    store.tag(&name("x"), &image.manifest.descriptor(), None).unwrap();
    let path = dir.path().join("images/index.json");
    let changed = fs::read_to_string(&path).unwrap().replace("x:latest", "zed:latest");
    fs::write(&path, &changed).unwrap();
    assert!(store.resolve(&name("zed")).is_ok());
    assert_eq!(fs::read_to_string(&path).unwrap(), changed);
}

#[test]
fn a_tool_gives_a_name_to_another_image_without_a_change_of_length() {
    let (dir, store) = store();
    let [one, two] = ["1", "2"].map(|text| put(&store, text).manifest.descriptor());
    store.tag(&name("a"), &one, None).unwrap();
    store.tag(&name("b"), &two, None).unwrap();
    let path = dir.path().join("images/index.json");
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(one.size, two.size);
    let moved = text.replace(&one.digest.to_string(), &two.digest.to_string());
    fs::write(&path, &moved).unwrap();
    assert_eq!(store.resolve(&name("a")).unwrap().digest, two.digest);
    assert_eq!(fs::read_to_string(&path).unwrap(), moved);
    // It can fail: a digest that leads nowhere, and another name with the digest that was there, are damage.
    store.tag(&name("a"), &one, None).unwrap();
    let text = fs::read_to_string(&path).unwrap();
    let nowhere = Digest::sha256(b"nowhere").to_string();
    for damaged in [text.replace(&one.digest.to_string(), &nowhere), text.replace("a:latest", "c:latest")] {
        assert_eq!(damaged.len(), text.len());
        fs::write(&path, damaged).unwrap();
        assert_eq!(store.resolve(&name("a")).unwrap().digest, one.digest);
    }
}

#[test]
fn a_crash_leaves_the_old_names() {
    let (dir, store) = store();
    let image = put(&store, "1");
    store.tag(&name("x"), &image.manifest.descriptor(), None).unwrap();
    // As if killed while writing: half a blob, half an index, a held lock that died with its process.
    let root = store.layout().root();
    fs::write(root.join("tmp/w-blob"), "ha").unwrap();
    fs::write(root.join("tmp/w-index"), "{\"schemaVersion\":2,\"mani").unwrap();
    let store = ImageStore::open(dir.path()).unwrap();
    assert_eq!(store.resolve(&name("x")).unwrap().digest, *image.manifest.digest());
    assert_eq!(store.gc(Duration::ZERO, GcMode::Delete).unwrap().temporary, 2);
    store.tag(&name("y"), &image.manifest.descriptor(), None).unwrap();
    assert_eq!(store.list().unwrap().len(), 2);
}

#[test]
fn many_can_name_at_once() {
    let (dir, store) = store();
    let image = put(&store, "1");
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let (dir, image) = (&dir, &image);
            scope.spawn(move || {
                // Each its own handle and lock, as separate processes have.
                let store = ImageStore::open(dir.path()).unwrap();
                for round in 0..10 {
                    put(&store, &format!("{worker}-{round}"));
                    store
                        .tag(&name(&format!("w{worker}:r{round}")), &image.manifest.descriptor(), None)
                        .unwrap();
                    store.gc(Duration::from_secs(600), GcMode::Delete).unwrap();
                }
            });
        }
    });
    assert_eq!(store.list().unwrap().len(), 80);
    let layout: BTreeMap<String, String> =
        serde_json::from_slice(&fs::read(dir.path().join("images/oci-layout")).unwrap()).unwrap();
    assert_eq!(layout["imageLayoutVersion"], "1.0.0");
}

/// A document from elsewhere may name any blob, and claim any size for it.
#[test]
fn a_claimed_size_takes_no_blob_away() {
    let (_dir, store) = store();
    let bytes = b"a layer of another image";
    let (digest, size) = (Digest::sha256(bytes), bytes.len() as u64);
    store.put_reader(&bytes[..], &digest, size).unwrap();
    let expected = |size| Expected { digest: digest.clone(), size: Some(size) };
    for claimed in [0, 5, size + 1, u64::MAX] {
        let error = store.holds(&expected(claimed)).unwrap_err();
        assert!(matches!(error, ImageError::WrongSize { .. }), "{error}");
        assert!(store.put_reader(&bytes[..], &digest, claimed).is_err());
        assert!(store.holds(&expected(size)).unwrap(), "{claimed}");
    }
    // The control: one that really is shorter than it was.
    let path = store.blob_path(&digest);
    replace(&path, Some(&bytes[..5]));
    assert!(!store.holds(&expected(size)).unwrap() && !path.exists());
}

#[test]
fn what_a_project_runs_has_no_name_of_a_registry() {
    let (_dir, store) = store();
    let image = put(&store, "content");
    store.keep("/a/project", &image.manifest.descriptor(), &name("project:run")).unwrap();
    let digest = image.manifest.digest();
    assert!(store.resolve(&name(&format!("project@{digest}"))).is_ok(), "the control");
    assert!(store.resolve(&name(&format!("registry.example/team/x@{digest}"))).is_err());
}
