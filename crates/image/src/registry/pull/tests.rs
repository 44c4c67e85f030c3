//! Pulling from a registry with the quirks of real ones. After every failure the store holds nothing that is not what its name says,
//! no name, and what a healthy registry then needs to go on.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fs_err as fs;
use pinfold_base::Diagnose as _;
use pinfold_base::Kind;
use pinfold_base::address::LoopbackForTests;
use pinfold_base::http;
use pinfold_base::report::Silent;
use pinfold_testkit::http::Fault;
use pinfold_testkit::http::Request;
use pinfold_testkit::http::Response;
use pinfold_testkit::http::Server;
use pinfold_testkit::raw_tar::RawTar;
use pinfold_testkit::registry::Asks;
use pinfold_testkit::registry::Bearer;
use pinfold_testkit::registry::Head;
use pinfold_testkit::registry::Quirks;
use pinfold_testkit::registry::Registry;

use super::*;
use crate::LayerEncoding;
use crate::memory::AMD64;
use crate::memory::ARM64;
use crate::memory::Memory;
use crate::model::Index;
use crate::model::Manifest;
use crate::model::Raw;
use crate::model::media;
use crate::registry::Endpoint;
use crate::registry::Nobody;
use crate::store::RESOLVED;
use crate::trust::Rules;
use crate::trust::admit;

const REPOSITORY: &str = "team/box";
const TIME: &str = "2026-01-02T03:04:05Z";

/// An image of both platforms: two layers, the larger one of several kilobytes.
fn image() -> (Memory, Descriptor) {
    let tars = ["etc/hostname", "usr/bin/tool"].map(|name| RawTar::new().file(name, &name.repeat(300)).end());
    let mut memory = Memory::default();
    let root = memory.both(&tars, LayerEncoding::Gzip).root().clone();
    (memory, root)
}

/// Puts an image where a registry has it.
fn keep(registry: &Registry, memory: &Memory, root: &Descriptor, tag: Option<&str>) {
    registry.with(|kept| {
        for part in parts(memory, root).unwrap() {
            let bytes = &memory.0[&part.digest];
            if crate::sink::is_document(&part) {
                let tag = tag.filter(|_| part.digest == root.digest);
                kept.put_manifest(REPOSITORY, tag, &part.media_type, bytes);
            } else {
                kept.put_blob(REPOSITORY, bytes);
            }
        }
    });
}

fn client(registry: &Registry) -> Client {
    let http = http::Client::with(http::Options {
        retries: 2,
        pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(5),
        idle_timeout: Duration::from_millis(500),
        loopback: Some(LoopbackForTests),
        ..http::Options::default()
    });
    Client::new(http, Endpoint::of(&registry.host(), false).unwrap(), REPOSITORY, Arc::new(Nobody))
}

/// A machine with an empty store.
struct Here {
    dir: tempfile::TempDir,
    store: ImageStore,
}

impl Here {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = ImageStore::open(dir.path()).unwrap();
        Self { dir, store }
    }

    fn name(registry: &Registry, rest: &str) -> Reference {
        format!("{}/{REPOSITORY}{rest}", registry.host()).parse().unwrap()
    }

    fn pull(&self, registry: &Registry, rest: &str, wanted: Wanted) -> Result<Pulled, ImageError> {
        let (clients, name) = ([client(registry)], Self::name(registry, rest));
        match look(&clients, &self.store, &name, wanted, true)? {
            Looked::Here(pulled) => Ok(pulled),
            Looked::Found(found) => {
                let none: BTreeMap<Digest, Vec<Vec<u8>>> = BTreeMap::new();
                let (found, _) = admit(&Rules::default(), &name, found, &none).unwrap();
                take(&clients, &self.store, &name, &found, wanted, TIME, &Silent)
            }
        }
    }

    /// Nothing has a name, and every blob that is here is what it is called.
    fn is_clean(&self) {
        assert_eq!(self.store.list().unwrap(), []);
        for digest in self.store.blobs().unwrap() {
            assert_eq!(Digest::sha256(&fs::read(self.store.blob_path(&digest)).unwrap()), digest);
        }
        let own = |folder: &str| fs::read_dir(self.dir.path().join("images").join(folder)).unwrap().count();
        assert_eq!(own("tmp"), 0, "no file is left half written");
    }

    fn partial(&self) -> usize {
        let folder = self.dir.path().join("images/partial");
        if folder.is_dir() { fs::read_dir(folder).unwrap().count() } else { 0 }
    }
}

fn lines(registry: &Registry, from: usize) -> Vec<String> {
    registry.asked().into_iter().skip(from).collect()
}

#[test]
fn one_platform_of_a_tag_is_kept_as_it_came_and_found_by_every_digest_that_names_it() {
    let (memory, root) = image();
    let registry = Registry::start(Quirks::default());
    keep(&registry, &memory, &root, Some("1"));
    let here = Here::new();
    let pulled = here.pull(&registry, ":1", Wanted::Host(AMD64)).unwrap();
    assert_eq!((&pulled.digest, pulled.platforms.as_slice()), (&root.digest, &[AMD64][..]));
    assert_eq!((pulled.fetched, pulled.there, pulled.unchanged), (4, 0, false));
    // The one document that leads to all comes first; layers of the other platform not at all.
    let asked = lines(&registry, 0);
    assert_eq!(asked.len(), 1 + 1 + 1 + 2, "index, manifest, configuration, layers: {asked:?}");
    assert!(asked.iter().all(|line| line.starts_with("GET ")), "{asked:?}");
    for part in parts(&here.store, &here.store.resolve(&Here::name(&registry, ":1")).unwrap()).unwrap() {
        let path = here.store.blob_path(&part.digest);
        assert_eq!(fs::read(&path).unwrap(), memory.0[&part.digest]);
        assert_eq!(fs::metadata(&path).unwrap().nlink(), 1, "it is nowhere else");
    }
    assert_eq!(here.partial(), 0);
    let found = here.store.find(&Here::name(&registry, ":1")).unwrap();
    assert_eq!(found.upstream.index.as_ref(), Some(&root.digest));
    assert_eq!(found.upstream.resolved.as_deref(), Some(TIME));
    assert_eq!(found.descriptor.annotations.len(), 1, "notes of the store are not given away");
    for digest in [&root.digest, &pulled.kept] {
        let by = here.store.resolve(&Here::name(&registry, &format!("@{digest}"))).unwrap();
        assert_eq!(by.digest, pulled.kept);
    }
    // By a digest that is here nobody is asked, and by the tag once.
    let before = registry.asked().len();
    for digest in [&root.digest, &pulled.kept] {
        let again = here.pull(&registry, &format!("@{digest}"), Wanted::Platform(AMD64)).unwrap();
        assert!(again.unchanged && again.there == 4);
    }
    assert!(here.pull(&registry, ":1", Wanted::Platform(AMD64)).unwrap().unchanged);
    assert_eq!(lines(&registry, before), ["HEAD /v2/team/box/manifests/1"]);
    // The other platform is another image, and all of them a third one: what is here is not fetched again.
    let other = here.pull(&registry, ":1", Wanted::Platform(ARM64)).unwrap();
    assert_eq!((other.unchanged, other.fetched), (false, 2), "layers are the same");
    let all = here.pull(&registry, ":1", Wanted::All).unwrap();
    assert_eq!((all.platforms.len(), &all.kept, all.fetched), (2, &root.digest, 1));
    for wanted in [Wanted::All, Wanted::Platform(AMD64), Wanted::Host(ARM64)] {
        assert!(here.pull(&registry, ":1", wanted).unwrap().unchanged, "{wanted:?}");
    }
}

#[test]
fn an_image_by_its_digest_alone_has_that_for_a_name() {
    let (memory, root) = image();
    let registry = Registry::start(Quirks::default());
    keep(&registry, &memory, &root, None);
    let here = Here::new();
    let by = format!("@{}", root.digest);
    let pulled = here.pull(&registry, &by, Wanted::Host(AMD64)).unwrap();
    let entries = here.store.list().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!(
        entries[0].reference.as_ref().unwrap().to_string(),
        format!("{}/{REPOSITORY}{by}", registry.host())
    );
    assert_eq!(here.store.resolve(&Here::name(&registry, &by)).unwrap().digest, pulled.kept);
    assert!(matches!(here.store.resolve(&Here::name(&registry, ":1")), Err(ImageError::NotFound { .. })));
    assert!(matches!(here.pull(&registry, ":1", Wanted::All), Err(ImageError::Registry(_))));
}

#[test]
fn what_a_document_from_outside_says_is_no_note_of_the_store() {
    let (mut memory, root) = image();
    let mut index: Index = serde_json::from_slice(&memory.0[&root.digest]).unwrap();
    for entry in &mut index.manifests {
        for note in crate::store::NOTES {
            entry.annotations.insert(note.into(), "theirs".into());
        }
        entry.annotations.insert(crate::compose::annotation::REF_NAME.into(), "other:1".into());
    }
    let index = Raw::compose(index).unwrap();
    memory.document(&index);
    let registry = Registry::start(Quirks::default());
    keep(&registry, &memory, &index.descriptor(), Some("1"));
    let here = Here::new();
    here.pull(&registry, ":1", Wanted::Host(AMD64)).unwrap();
    let entries = here.store.list().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].owner.as_deref(), entries[0].upstream.resolved.as_deref()), (None, Some(TIME)));
    assert_eq!(
        entries[0].reference.as_ref().unwrap().to_string(),
        format!("{}/{REPOSITORY}:1", registry.host())
    );
    let text = fs::read_to_string(here.dir.path().join("images/index.json")).unwrap();
    assert!(!text.contains("theirs") && text.contains(RESOLVED), "{text}");
}

/// Docker's own vocabulary stays as it is, and its digest with it.
#[test]
fn a_docker_image_keeps_its_bytes() {
    let (mut memory, root) = image();
    let index: Index = serde_json::from_slice(&memory.0[&root.digest]).unwrap();
    let manifest: Manifest = serde_json::from_slice(&memory.0[&index.manifests[0].digest]).unwrap();
    let part = |kind: &str, part: &Descriptor| {
        format!(r#"{{"mediaType":"{kind}","digest":"{}","size":{}}}"#, part.digest, part.size)
    };
    let layers: Vec<String> =
        manifest.layers.iter().map(|layer| part(media::DOCKER_LAYER_GZIP, layer)).collect();
    let docker = format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]}}"#,
        media::DOCKER_MANIFEST,
        part(media::DOCKER_CONFIG, &manifest.config),
        layers.join(",")
    );
    let docker =
        Descriptor::new(media::DOCKER_MANIFEST, memory.put(docker.clone().into_bytes()), docker.len() as u64);
    let registry = Registry::start(Quirks::default());
    keep(&registry, &memory, &docker, Some("1"));
    let here = Here::new();
    let pulled = here.pull(&registry, ":1", Wanted::Platform(AMD64)).unwrap();
    assert_eq!((&pulled.digest, &pulled.kept), (&docker.digest, &docker.digest));
    let source = ImageSource::from_store(&here.store, &Here::name(&registry, ":1")).unwrap();
    let image = source.image(AMD64).unwrap();
    image.layers.iter().for_each(|layer| source.open(&layer.descriptor).unwrap().finish().unwrap());
    // Of another platform than the one that is asked for it is refused; without asking it is the one there is.
    for wanted in [Wanted::Platform(ARM64), Wanted::Host(ARM64)] {
        let other = Here::new();
        assert_eq!(other.pull(&registry, ":1", wanted).is_ok(), wanted == Wanted::Host(ARM64));
    }
}

/// An answer in place of the registry's own to requests for a path.
fn instead(
    of: &'static str,
    answer: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static,
) -> Quirks {
    let answer = move |request: &Request| {
        let meant = request.method == "GET" && request.path.contains(of);
        meant.then(|| answer(request)).flatten()
    };
    Quirks { instead: Some(Arc::new(answer)), ..Quirks::default() }
}

#[test]
fn what_is_no_image_is_refused_and_nothing_is_kept() {
    let (memory, root) = image();
    let nested = Raw::compose(Index::new(vec![root.clone()])).unwrap();
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(4 << 20));
    let document = |kind: &'static str, body: String| {
        instead("/manifests/1", move |_| Some(Response::ok(body.clone()).header("Content-Type", kind)))
    };
    let old = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    let nested_text = String::from_utf8(nested.bytes().to_vec()).unwrap();
    for (quirks, words) in [
        (document(media::OCI_INDEX, large), "too large"),
        (document(old, "{\"schemaVersion\":1}".into()), "schema 1"),
        (document(media::OCI_INDEX, nested_text), "has no linux/amd64"),
        (document(media::OCI_INDEX, "{}".into()), "cannot be read"),
        (document(media::OCI_MANIFEST, "[]".into()), "cannot be read"),
        (document("text/html", "<html>".into()), "no image but"),
        (instead("/manifests/1", |_| Some(Response::status(404))), "has no"),
        (instead("/manifests/1", |_| Some(Response::status(403))), "denies"),
        (instead("/manifests/1", |_| Some(Response::status(418))), "answered 418"),
        (instead("/manifests/sha256", |_| Some(Response::status(404))), "is missing from docker://"),
    ] {
        let registry = Registry::start(quirks);
        keep(&registry, &memory, &root, Some("1"));
        let here = Here::new();
        let error = here.pull(&registry, ":1", Wanted::Host(AMD64)).unwrap_err();
        assert!(error.to_string().contains(words), "expected `{words}`: {error}");
        here.is_clean();
        assert!(here.store.blobs().unwrap().is_empty() && here.partial() == 0, "{words}");
        assert!(
            !lines(&registry, 0).iter().any(|line| line.contains("/blobs/")),
            "no blob is fetched: {words}"
        );
    }
    // An index of an index is copied whole, as it is no image of a platform.
    let registry = Registry::start(Quirks::default());
    let mut memory = memory;
    memory.document(&nested);
    keep(&registry, &memory, &nested.descriptor(), Some("1"));
    assert_eq!(Here::new().pull(&registry, ":1", Wanted::All).unwrap().kept, *nested.digest());
}

#[test]
fn wrong_and_endless_layers_are_never_kept() {
    let (memory, root) = image();
    let digest_of = |request: &Request| request.path.rsplit('/').next().unwrap().to_owned();
    let layer = Arc::new(move |memory: &Memory, request: &Request| {
        let bytes = memory.0[&digest_of(request).parse::<Digest>().unwrap()].clone();
        // Configurations are short.
        (bytes.len() > 2000).then_some(bytes)
    });
    type Wrong = fn(Vec<u8>) -> Response;
    let ways: [(Wrong, &str, Kind); 5] = [
        (
            |mut bytes| {
                bytes[1500] ^= 1;
                Response::ok(bytes)
            },
            "wrong digest",
            Kind::Integrity,
        ),
        (|bytes| Response::ok([&bytes[..], b"x"].concat()), "bytes come instead of", Kind::Integrity),
        (|bytes| Response::ok(bytes[..bytes.len() - 1].to_vec()), "bytes come instead of", Kind::Integrity),
        (
            |bytes| Response::ok([bytes, vec![0; 1 << 20]].concat()).fault(Fault::NoLength),
            "longer than",
            Kind::Integrity,
        ),
        (|_| Response::status(404), "missing", Kind::Integrity),
    ];
    for (wrong, words, kind) in ways {
        let (of, layer) = (memory.clone(), layer.clone());
        let registry = Registry::start(instead("/blobs/", move |request| layer(&of, request).map(wrong)));
        keep(&registry, &memory, &root, Some("1"));
        let here = Here::new();
        let error = here.pull(&registry, ":1", Wanted::Host(AMD64)).unwrap_err();
        assert!(error.to_string().contains(words), "expected `{words}`: {error}");
        assert_eq!(error.kind(), kind, "{words}");
        here.is_clean();
        assert_eq!(here.partial(), 0, "what is wrong is not gone on with: {words}");
        // The control: the same machine, from a registry without the fault.
        let healthy = Registry::start(Quirks::default());
        keep(&healthy, &memory, &root, Some("1"));
        here.pull(&healthy, ":1", Wanted::Host(AMD64)).unwrap();
    }
}

#[test]
fn what_a_cut_left_is_gone_on_with() {
    let (memory, root) = image();
    let of = memory.clone();
    let registry = Registry::start(instead("/blobs/", move |request| {
        let digest: Digest = request.path.rsplit('/').next().unwrap().parse().unwrap();
        let bytes = &of.0[&digest];
        let from = request.range().unwrap_or(0);
        if bytes.len() < 2000 {
            return None;
        }
        if from >= 1000 {
            return Some(Response::ok("").fault(Fault::HangUp));
        }
        Some(Response::ranged(request, bytes).fault(Fault::CutAfter(1000)))
    }));
    keep(&registry, &memory, &root, Some("1"));
    let here = Here::new();
    let error = here.pull(&registry, ":1", Wanted::Host(AMD64)).unwrap_err();
    assert_eq!(error.kind(), Kind::Network, "{error}");
    here.is_clean();
    assert!(here.partial() > 0);
    let healthy = Registry::start(Quirks::default());
    keep(&healthy, &memory, &root, Some("1"));
    here.pull(&healthy, ":1", Wanted::Host(AMD64)).unwrap();
    let resumed = healthy.requests().iter().filter(|request| request.range() == Some(1000)).count();
    assert!(resumed > 0, "a download begins where the last one ended");
    assert_eq!(here.partial(), 0);
    // A server without ranges, and one that says that there is none left, give it from the beginning.
    for status in [200, 416] {
        let here = Here::new();
        assert!(here.pull(&registry, ":1", Wanted::Host(AMD64)).is_err());
        let of = memory.clone();
        let strange = Registry::start(instead("/blobs/", move |request| {
            request.range()?;
            let digest: Digest = request.path.rsplit('/').next().unwrap().parse().unwrap();
            Some(if status == 200 { Response::ok(of.0[&digest].clone()) } else { Response::status(416) })
        }));
        keep(&strange, &memory, &root, Some("1"));
        here.pull(&strange, ":1", Wanted::Host(AMD64)).unwrap();
    }
}

/// The whole protocol of a small image, cut at every byte of every answer.
#[test]
fn a_connection_that_ends_at_any_byte_leaves_nothing_half_stored() {
    let mut memory = Memory::default();
    let composed = memory.image(AMD64, &[RawTar::new().file("a", "x").end()], LayerEncoding::Zstd);
    let root = composed.manifest.descriptor();
    for (kind, step) in [("/manifests/1", 13), ("/blobs/", 17)] {
        let mut at = 0;
        loop {
            let (of, cut) = (memory.clone(), at);
            let registry = Registry::start(instead(kind, move |request| {
                let name = request.path.rsplit('/').next().unwrap();
                let bytes = name
                    .parse::<Digest>()
                    .map_or_else(|_| of.0[&root_of(&of)].clone(), |name| of.0[&name].clone());
                let answer = Response::ok(bytes);
                let answer = if kind == "/blobs/" {
                    answer
                } else {
                    answer.header("Content-Type", media::OCI_MANIFEST)
                };
                Some(answer.fault(Fault::CutAt(cut)))
            }));
            keep(&registry, &memory, &root, Some("1"));
            let here = Here::new();
            match here.pull(&registry, ":1", Wanted::Host(AMD64)) {
                Ok(_) => break,
                Err(error) => {
                    assert_eq!(error.kind(), Kind::Network, "at {at} of {kind}: {error}");
                    here.is_clean();
                }
            }
            at += step;
        }
        assert!(at > 200, "the answers of {kind} have headers and a body");
    }
}

fn root_of(memory: &Memory) -> Digest {
    let is_root =
        |bytes: &[u8]| bytes.windows(8).any(|part| part == b"\"layers\"") && bytes.starts_with(b"{\"schema");
    memory.0.iter().find(|(_, bytes)| is_root(bytes)).unwrap().0.clone()
}

#[test]
fn a_tag_that_moves_meanwhile_gives_one_image_or_the_other() {
    let (memory, root) = image();
    let mut newer = Memory::default();
    let new = newer.both(&[RawTar::new().file("new", "new").end()], LayerEncoding::Gzip).root().clone();
    for gone in [false, true] {
        let registry = Registry::start(Quirks::default());
        keep(&registry, &memory, &root, Some("1"));
        let here = Here::new();
        here.pull(&registry, ":1", Wanted::Host(AMD64)).unwrap();
        // HEAD tells of an image that the tag does not lead to any more, and that may be gone.
        let mut third = Memory::default();
        let between = third.both(&[RawTar::new().file("b", "b").end()], LayerEncoding::Gzip).root().clone();
        let told = between.clone();
        let moving = Registry::start(Quirks {
            instead: Some(Arc::new(move |request| {
                let head = request.method == "HEAD" && request.path.ends_with("/manifests/1");
                head.then(|| {
                    Response::ok(vec![b' '; usize::try_from(told.size).unwrap()])
                        .header("Content-Type", &told.media_type)
                        .header("Docker-Content-Digest", &told.digest.to_string())
                })
            })),
            ..Quirks::default()
        });
        keep(&moving, &newer, &new, Some("1"));
        if !gone {
            keep(&moving, &third, &between, None);
        }
        let name = Here::name(&registry, ":1");
        let clients = [client(&moving)];
        let Looked::Found(found) = look(&clients, &here.store, &name, Wanted::Host(AMD64), true).unwrap()
        else {
            panic!("it is not what is here")
        };
        assert_eq!(found.descriptor.digest, if gone { new.digest.clone() } else { between.digest });
    }
}

#[test]
fn a_busy_registry_is_waited_for_and_a_token_may_die_on_the_way() {
    let (memory, root) = image();
    let busy = Arc::new(AtomicUsize::new(0));
    let counted = busy.clone();
    let quirks = instead("/v2/", move |_| {
        let first = counted.fetch_add(1, Ordering::SeqCst).is_multiple_of(2);
        first.then(|| Response::status(429).header("Retry-After", "0"))
    });
    let registry = Registry::start(quirks);
    keep(&registry, &memory, &root, Some("1"));
    Here::new().pull(&registry, ":1", Wanted::Host(AMD64)).unwrap();
    assert!(busy.load(Ordering::SeqCst) >= 10, "every request was made twice");
    for lives in [1, 2, 3] {
        let asks = Asks::Bearer(Bearer { lives, ..Bearer::default() });
        let registry = Registry::start(Quirks { asks, ..Quirks::default() });
        keep(&registry, &memory, &root, Some("1"));
        let here = Here::new();
        here.pull(&registry, ":1", Wanted::Host(AMD64)).unwrap();
        here.pull(&registry, ":1", Wanted::All).unwrap();
    }
    // Registries that do not answer HEAD, or not all of it, are asked for the document.
    for head in [Head::NoDigest, Head::Refused(405)] {
        let registry = Registry::start(Quirks { head, ..Quirks::default() });
        keep(&registry, &memory, &root, Some("1"));
        let here = Here::new();
        here.pull(&registry, ":1", Wanted::Host(AMD64)).unwrap();
        assert!(here.pull(&registry, ":1", Wanted::Host(AMD64)).unwrap().unchanged, "{head:?}");
    }
}

#[test]
fn blobs_that_are_elsewhere_are_fetched_there_without_the_login() {
    let (memory, root) = image();
    let of = memory.clone();
    let elsewhere = Server::start(move |request| {
        let name = request.path.split('?').next().unwrap().trim_start_matches('/');
        match name.parse::<Digest>().ok().and_then(|digest| of.0.get(&digest).cloned()) {
            Some(bytes) => Response::ranged(request, &bytes),
            None => Response::status(404),
        }
    });
    let asks = Asks::Bearer(Bearer::default());
    let blobs_at = Some(elsewhere.url("").trim_end_matches('/').to_owned());
    let registry = Registry::start(Quirks { asks, blobs_at, ..Quirks::default() });
    keep(&registry, &memory, &root, Some("1"));
    Here::new().pull(&registry, ":1", Wanted::Host(AMD64)).unwrap();
    let requests = elsewhere.requests();
    assert_eq!(requests.len(), 3, "a configuration and two layers");
    assert!(requests.iter().all(|request| request.header("authorization").is_none()));
    assert!(registry.requests().iter().any(|request| request.header("authorization").is_some()));
}

#[test]
fn several_at_once_share_what_comes() {
    let (memory, root) = image();
    let registry = Registry::start(Quirks::default());
    keep(&registry, &memory, &root, Some("1"));
    let here = Here::new();
    std::thread::scope(|scope| {
        let pulls: Vec<_> =
            (0..4).map(|_| scope.spawn(|| here.pull(&registry, ":1", Wanted::Host(AMD64)))).collect();
        for pull in pulls {
            pull.join().unwrap().unwrap();
        }
    });
    let layers = memory.0.values().filter(|bytes| bytes.len() > 2000).count();
    let blobs = registry.requests().iter().filter(|request| request.path.contains("/blobs/")).count();
    assert!(blobs <= layers + 4, "layers come once, configurations for each: {blobs}");
    assert_eq!(here.store.list().unwrap().len(), 1);
    assert_eq!(here.partial(), 0);
}

/// Of the blobs of a store that was damaged only the damaged ones are fetched again.
#[test]
fn damage_here_is_fetched_again() {
    let (memory, root) = image();
    let registry = Registry::start(Quirks::default());
    keep(&registry, &memory, &root, Some("1"));
    let here = Here::new();
    here.pull(&registry, ":1", Wanted::Host(AMD64)).unwrap();
    let layer = here.store.blobs().unwrap().into_iter().max_by_key(|digest| memory.0[digest].len()).unwrap();
    fs::write(here.store.blob_path(&layer), "damaged").unwrap();
    let again = here.pull(&registry, ":1", Wanted::Host(AMD64)).unwrap();
    assert_eq!((again.unchanged, again.fetched, again.there), (false, 1, 3));
    assert_eq!(Digest::sha256(&fs::read(here.store.blob_path(&layer)).unwrap()), layer);
}

#[test]
fn mirrors_are_asked_first_and_are_passed_over_where_they_fail() {
    let (memory, root) = image();
    let whole = Registry::start(Quirks::default());
    keep(&whole, &memory, &root, Some("1"));
    let broken = Registry::start(Quirks {
        instead: Some(Arc::new(|_| Some(Response::status(403)))),
        ..Quirks::default()
    });
    // Knows the documents and has no layers.
    let poor = Registry::start(instead("/blobs/", |_| Some(Response::status(404))));
    keep(&poor, &memory, &root, Some("1"));
    let name = Here::name(&whole, ":1");
    let found = |mirror: &Registry, here: &Here| {
        let clients = [client(mirror), client(&whole)];
        let Looked::Found(found) = look(&clients, &here.store, &name, Wanted::Host(AMD64), true)? else {
            panic!("nothing is here")
        };
        let none: BTreeMap<Digest, Vec<Vec<u8>>> = BTreeMap::new();
        let (found, _) = admit(&Rules::default(), &name, found, &none).unwrap();
        take(&clients, &here.store, &name, &found, Wanted::Host(AMD64), TIME, &Silent)
    };
    let before = whole.asked().len();
    found(&poor, &Here::new()).unwrap();
    assert!(whole.asked()[before..].iter().all(|line| line.contains("/blobs/")), "{:?}", whole.asked());
    found(&broken, &Here::new()).unwrap();
    // The registry itself has the last word.
    let clients = [client(&whole), client(&broken)];
    assert!(
        look(&clients, &Here::new().store, &Here::name(&whole, ":2"), Wanted::Host(AMD64), true).is_err()
    );
}

/// Another image that shares a layer is removed while this one comes: what it took along is fetched again.
#[test]
fn what_is_removed_beside_a_pull_is_fetched_again() {
    let (memory, root) = image();
    let here = Here::new();
    let source = ImageSource::new("x", root.clone(), Box::new(memory.clone()));
    let mut layers = source.images().unwrap()[&AMD64].manifest.value().layers.clone();
    layers.sort_by_key(|layer| std::cmp::Reverse(layer.size));
    // The large layer is there already, and gone when the small one comes.
    let path = here.store.blob_path(&layers[0].digest);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, &memory.0[&layers[0].digest]).unwrap();
    let (small, large) = (layers[1].digest.to_string(), path.clone());
    let removes = instead("/blobs/", move |request: &Request| {
        if request.method == "GET" && request.path.ends_with(&small) && large.exists() {
            std::thread::sleep(Duration::from_millis(100));
            fs::remove_file(&large).unwrap();
        }
        None
    });
    let registry = Registry::start(removes);
    keep(&registry, &memory, &root, Some("1"));
    let pulled = here.pull(&registry, ":1", Wanted::Host(AMD64)).unwrap();
    assert_eq!(pulled.platforms, [AMD64]);
    assert!(path.exists());
    let fetched =
        lines(&registry, 0).iter().filter(|line| line.ends_with(&layers[0].digest.to_string())).count();
    assert_eq!(fetched, 1, "it was there, went, and came again");
}
