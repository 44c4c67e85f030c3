use std::collections::BTreeMap;
use std::io::Cursor;

use pinfold_base::Diagnose as _;
use pinfold_base::Digest;
use pinfold_base::Home;
use pinfold_base::Kind;
use pinfold_base::report::Silent;
use pinfold_image::ImageError;
use pinfold_image::Reference;
use pinfold_image::blobs::BlobRead;
use pinfold_image::blobs::Blobs;
use pinfold_image::compose::annotation;
use pinfold_image::model::DescriptorPlatform;
use pinfold_image::model::media;
use serde_json::json;

use super::*;
use crate::context::Context;
use crate::context::Network;
use crate::ship::push;

const MIB: u64 = 1 << 20;

/// Documents without layers: nothing here may be read but manifests.
#[derive(Clone, Default)]
struct Documents(BTreeMap<Digest, Vec<u8>>);

impl Blobs for Documents {
    fn location(&self) -> String {
        "here".into()
    }

    fn open(&self, digest: &Digest) -> Result<(BlobRead, u64), ImageError> {
        let missing = || ImageError::MissingBlob { digest: digest.clone(), place: self.location() };
        let bytes = self.0.get(digest).cloned().ok_or_else(missing)?;
        let size = bytes.len() as u64;
        Ok((Box::new(Cursor::new(bytes)), size))
    }
}

impl Documents {
    fn put(&mut self, media_type: &str, value: &serde_json::Value) -> Descriptor {
        let bytes = serde_json::to_vec(value).unwrap();
        let descriptor = Descriptor::new(media_type, Digest::sha256(&bytes), bytes.len() as u64);
        self.0.insert(descriptor.digest.clone(), bytes);
        descriptor
    }

    /// A manifest whose layers have these sizes, and say that these components are in them.
    fn manifest(&mut self, architecture: &str, layers: &[(u64, &str)]) -> Descriptor {
        let layer = |(at, (size, components)): (usize, &(u64, &str))| {
            json!({
                "mediaType": media::OCI_LAYER_GZIP,
                "digest": Digest::sha256(format!("{architecture} {at}").as_bytes()),
                "size": size,
                "annotations": { annotation::COMPONENTS: components },
            })
        };
        let layers: Vec<_> = layers.iter().enumerate().map(layer).collect();
        let config = json!({ "mediaType": media::OCI_CONFIG, "digest": Digest::sha256(b"{}"), "size": 2 });
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media::OCI_MANIFEST, "config": config, "layers": layers,
        });
        let platform: DescriptorPlatform =
            serde_json::from_value(json!({ "os": "linux", "architecture": architecture })).unwrap();
        Descriptor { platform: Some(platform), ..self.put(media::OCI_MANIFEST, &manifest) }
    }

    fn index(mut self, manifests: &[Descriptor]) -> ImageSource {
        let index = json!({ "schemaVersion": 2, "mediaType": media::OCI_INDEX, "manifests": manifests });
        let root = self.put(media::OCI_INDEX, &index);
        ImageSource::new("x", root, Box::new(self))
    }
}

fn image(amd64: &[(u64, &str)], arm64: &[(u64, &str)]) -> ImageSource {
    let mut documents = Documents::default();
    let manifests = [documents.manifest("amd64", amd64), documents.manifest("arm64", arm64)];
    documents.index(&manifests)
}

#[test]
fn every_platform_is_weighed_by_itself() {
    let ok = image(&[(400 * MIB, "a"), (300 * MIB, "b")], &[(700 * MIB, "a")]);
    check(&ok, ok.root(), DEFAULT).unwrap();
    for (amd64, arm64, platform) in [
        (vec![(400 * MIB, "a"), (300 * MIB + 1, "b")], vec![(1, "a")], "linux/amd64"),
        (vec![(1, "a")], vec![(701 * MIB, "a")], "linux/arm64"),
        (vec![(i64::MAX.unsigned_abs(), "a"); 3], vec![(1, "a")], "linux/amd64"),
    ] {
        let source = image(&amd64, &arm64);
        let error = check(&source, source.root(), DEFAULT).unwrap_err();
        let found = matches!(&error, ShipError::OverBudget { platform: found, .. } if found == platform);
        assert!(found, "{error}");
        assert_eq!(error.kind(), Kind::Refused);
    }
}

#[test]
fn the_layers_that_weigh_most_are_named_first() {
    let source = image(&[(MIB, "debian/a"), (9 * MIB, "npm/a npm/b npm/c npm/d npm/e"), (MIB / 2, "")], &[]);
    let error = check(&source, source.root(), 10 * MIB).unwrap_err();
    let lines: Vec<String> = error.lines().iter().map(ToString::to_string).collect();
    assert!(lines[0].ends_with("its compressed layers are 512.0 KiB over the budget of 10 MiB"), "{lines:?}");
    assert_eq!(lines[1].trim(), "9.0 MiB  npm/a, npm/b, npm/c and 2 more");
    assert_eq!(lines[2].trim(), "1.0 MiB  debian/a");
    assert!(lines[3].contains("512.0 KiB  layer "), "{lines:?}");
    assert!(error.hint().unwrap().contains("`--budget 11MiB` allows it"));
}

#[test]
fn what_is_too_large_is_refused_before_a_registry_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let context = Context::at(Home::under(dir.path()), Network::Offline, Box::new(Silent)).unwrap();
    let destination: Reference = "registry.example/team/x:1".parse().unwrap();
    let destination = push::Destination::of(destination).unwrap();
    let push = |size: u64, budget: Option<u64>| {
        let source = image(&[(size, "a")], &[(1, "a")]);
        let options = push::Options { budget, ..push::Options::default() };
        push::push(&context, &pinfold_image::trust::made(source), &destination, &options).unwrap_err()
    };
    assert!(matches!(push(701 * MIB, None), ShipError::OverBudget { .. }));
    assert!(matches!(push(2, Some(1)), ShipError::OverBudget { .. }));
    // Nobody can be asked here: what is small enough gets as far as that.
    for (size, budget) in [(700 * MIB, None), (701 * MIB, Some(701 * MIB))] {
        assert_eq!(push(size, budget).kind(), Kind::Network);
    }
}
