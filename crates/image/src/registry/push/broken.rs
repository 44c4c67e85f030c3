//! Lines that break while an image is pushed and something is attached to it.
//!
//! Each connection is cut after every `STEP`th byte of either direction, so that no request and no answer is left out. Cut once, a push
//! ends well; cut for ever, nothing has a name that is not whole, and the next push ends well.

use std::collections::BTreeMap;
use std::time::Duration;

use pinfold_base::address::LoopbackForTests;
use pinfold_base::http;
use pinfold_base::report::Silent;
use pinfold_testkit::cut::Cut;
use pinfold_testkit::cut::How;
use pinfold_testkit::cut::Line;
use pinfold_testkit::cut::Way;
use pinfold_testkit::registry::Quirks;
use pinfold_testkit::registry::Referrers;
use pinfold_testkit::registry::Registry;
use serde_json::Value;

use super::tests::image;
use super::*;
use crate::memory::Memory;
use crate::registry::Endpoint;
use crate::registry::Nobody;
use crate::registry::attach::Artifact;
use crate::registry::attach::Attaching;
use crate::registry::attach::Sent as Attached;
use crate::registry::legacy;
use crate::registry::legacy::Signature;
use crate::registry::referrers;
use crate::sign::SecretKey;
use crate::sign::Signer as _;
use crate::sink::copy;

/// Bytes from one cut to the next: less than a request or an answer has.
const STEP: usize = 211;
/// The same where each push waits for what it wrote under tags to stay: what is sent before is cut closely where nothing is written so.
const WIDE: usize = 421;

fn client(port: u16, repository: &str) -> Client {
    let http = http::Client::with(http::Options {
        retries: 4,
        pause: Duration::from_micros(100),
        longest_pause: Duration::from_millis(1),
        loopback: Some(LoopbackForTests),
        ..http::Options::default()
    });
    let endpoint = Endpoint::of(&format!("127.0.0.1:{port}"), false).unwrap();
    Client::new(http, endpoint, repository, Arc::new(Nobody))
}

/// In which forms something is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forms {
    Bundle,
    Both,
}

/// An image with something that is attached to it.
struct Signed {
    memory: Memory,
    root: Descriptor,
    artifact: Artifact,
    key: SecretKey,
    signature: Signature,
}

impl Signed {
    fn new() -> Self {
        let (memory, root) = image();
        let key = SecretKey::generate().unwrap();
        let artifact = Artifact {
            artifact_type: "application/vnd.example".into(),
            media_type: "application/vnd.example+json".into(),
            bytes: b"about it".into(),
            annotations: BTreeMap::new(),
        };
        let signature = legacy::make("registry.example/x", &root.digest, &key).unwrap();
        Self { memory, root, artifact, key, signature }
    }

    fn push(&self, client: &Client, forms: Forms) -> Result<(), ImageError> {
        let how = Sending { tag: Some("1".into()), parallel: 1, ..Sending::default() };
        let attach = || {
            let listed = referrers::list(client, &self.root.digest)?;
            let mut attaching = Attaching::new(client);
            if let Attached::New(entry) = attaching.send(&self.root, &listed, &self.artifact)? {
                attaching.list(&self.root.digest, vec![entry])?;
            }
            if forms == Forms::Both {
                attaching.sign(&self.root.digest, &self.signature)?;
            }
            attaching.settle()
        };
        copy(&self.memory, &self.root, RegistrySink::new(client, &how, &Silent).before_tag(&attach))
    }

    /// Whether the image has its name. Then all of it is there, and what is attached as well.
    fn is_named(&self, registry: &Registry, repository: &str, forms: Forms) -> bool {
        let named = registry.with(|kept| {
            let has = |digest: &str| {
                let key = (repository.to_owned(), digest.to_owned());
                kept.manifests.contains_key(&key) || kept.blobs.contains_key(&key)
            };
            // Nothing that is there names what is not.
            for ((of, digest), (_, bytes)) in &kept.manifests {
                let document: Value = serde_json::from_slice(bytes).unwrap();
                let parts =
                    ["manifests", "layers"].iter().filter_map(|field| document[field].as_array()).flatten();
                for part in parts.chain([&document["config"]].into_iter().filter(|config| config.is_object()))
                {
                    let part = part["digest"].as_str().unwrap();
                    assert!(of != repository || has(part), "{digest} names {part}, which is not there");
                }
            }
            kept.tags.contains_key(&(repository.to_owned(), "1".to_owned()))
        });
        if named {
            let direct = client(registry.host().rsplit(':').next().unwrap().parse().unwrap(), repository);
            assert_eq!(referrers::list(&direct, &self.root.digest).unwrap().len(), 1, "what is attached");
            let keys = [self.key.public().clone()];
            let signed = legacy::verify(&direct, &self.root.digest, &keys).unwrap();
            assert_eq!(matches!(signed, legacy::Verdict::By(_)), forms == Forms::Both, "the older form");
        }
        named
    }
}

fn cut_everywhere(referrers: Referrers, forms: Forms, step: usize) {
    let registry = Registry::start(Quirks { referrers, ..Quirks::default() });
    let port: u16 = registry.host().rsplit(':').next().unwrap().parse().unwrap();
    let signed = Signed::new();
    for way in [Way::There, Way::Back] {
        let line = Line::start(port, Cut { way, after: 0, how: How::Never });
        let repository = format!("whole/{way:?}").to_lowercase();
        signed.push(&client(line.port(), &repository), forms).unwrap();
        assert!(signed.is_named(&registry, &repository, forms));
        let all = line.bytes();
        assert!(all > 4_000, "the control: {all} bytes pass");
        let (mut cuts, mut failed) = (0, 0);
        for after in (0..all).step_by(step) {
            let repository = format!("once/{way:?}/{after}").to_lowercase();
            let line = Line::start(port, Cut { way, after, how: How::Once });
            signed
                .push(&client(line.port(), &repository), forms)
                .unwrap_or_else(|error| panic!("{way:?} cut once after {after} of {all} bytes: {error}"));
            assert!(signed.is_named(&registry, &repository, forms), "{way:?} {after}");
            cuts += usize::from(line.is_cut());
            let repository = format!("ever/{way:?}/{after}").to_lowercase();
            let line = Line::start(port, Cut { way, after, how: How::Ever });
            let ended = signed.push(&client(line.port(), &repository), forms);
            let named = signed.is_named(&registry, &repository, forms);
            assert!(named || ended.is_err(), "{way:?} {after}");
            failed += usize::from(ended.is_err());
            signed.push(&client(port, &repository), forms).unwrap();
            assert!(signed.is_named(&registry, &repository, forms), "{way:?} {after}: the next push");
        }
        assert!(
            cuts > all / step / 2 && failed > all / step / 2,
            "the control: {cuts} cuts, {failed} failed"
        );
    }
}

#[test]
fn a_line_that_breaks_anywhere_leaves_no_half_image_where_the_registry_lists_what_is_attached() {
    cut_everywhere(Referrers::Listed, Forms::Bundle, STEP);
}

#[test]
fn a_line_that_breaks_anywhere_leaves_no_half_image_where_a_tag_lists_it() {
    cut_everywhere(Referrers::Refused(404), Forms::Both, WIDE);
}
