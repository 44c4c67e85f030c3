use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pinfold_base::http;
use pinfold_base::report::Silent;
use pinfold_testkit::http::Fault;
use pinfold_testkit::http::Request;
use pinfold_testkit::http::Response;
use pinfold_testkit::http::Server;
use pinfold_testkit::raw_tar::RawTar;

use super::*;
use crate::LayerEncoding;
use crate::blobs::BlobRead;
use crate::memory::Memory;
use crate::registry::Endpoint;
use crate::registry::Nobody;
use crate::sink::copy;

/// What a registry has: blobs by `REPOSITORY@DIGEST`, documents by `REPOSITORY@DIGEST` and `REPOSITORY:TAG`.
#[derive(Default)]
struct Has {
    blobs: Mutex<BTreeMap<String, Vec<u8>>>,
    documents: Mutex<BTreeMap<String, (String, Vec<u8>)>>,
    sessions: AtomicU64,
}

type Fail = dyn Fn(&Request) -> Option<Response> + Send + Sync;

/// A registry that does what the distribution specification says, unless `fail` has another answer.
struct Registry {
    server: Server,
    has: Arc<Has>,
}

impl Registry {
    fn start(fail: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static) -> Self {
        Self::with(Arc::default(), fail)
    }

    fn with(has: Arc<Has>, fail: impl Fn(&Request) -> Option<Response> + Send + Sync + 'static) -> Self {
        let (fail, of_server): (Arc<Fail>, _) = (Arc::new(fail), has.clone());
        let server = Server::start(move |request| fail(request).unwrap_or_else(|| of_server.answer(request)));
        Self { server, has }
    }

    fn client(&self, repository: &str) -> Client {
        let options = http::Options {
            retries: 2,
            pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(1),
            ..http::Options::default()
        };
        let endpoint = Endpoint::of(&format!("127.0.0.1:{}", self.server.port()), false).unwrap();
        Client::new(http::Client::with(options), endpoint, repository, Arc::new(Nobody))
    }

    /// Sends an image, one blob after the other.
    fn push(
        &self,
        repository: &str,
        tag: &str,
        from: &dyn Blobs,
        root: &Descriptor,
    ) -> Result<Sent, ImageError> {
        self.push_with(repository, tag, &[], from, root)
    }

    fn push_with(
        &self,
        repository: &str,
        tag: &str,
        mount_from: &[&str],
        from: &dyn Blobs,
        root: &Descriptor,
    ) -> Result<Sent, ImageError> {
        let client = self.client(repository);
        let how = Sending {
            tag: Some(tag.into()),
            mount_from: mount_from.iter().map(|name| (*name).to_owned()).collect(),
            parallel: 1,
        };
        let sink = RegistrySink::new(&client, &how, &Silent);
        let told = sink.told();
        copy(from, root, sink)?;
        let sent = told.lock().unwrap().clone();
        Ok(sent)
    }

    /// The requests since the `from`th: methods, and what they are made to.
    fn asked(&self, from: usize) -> Vec<String> {
        let short = |request: &Request| {
            let path = request.path.split('?').next().unwrap_or_default();
            let kind = path.trim_end_matches('/').rsplit('/').nth(usize::from(!path.ends_with('/')));
            let which = path.rsplit('/').next().unwrap_or_default();
            let query = if request.path.contains("mount=") { " mount" } else { "" };
            let of = if which.starts_with("sha256:") { "@" } else { "" };
            let tag = if kind == Some("manifests") && of.is_empty() { which } else { "" };
            format!("{} {}{of}{tag}{query}", request.method, kind.unwrap_or_default())
        };
        self.server.requests().iter().skip(from).map(short).collect()
    }

    fn count(&self) -> usize {
        self.server.requests().len()
    }

    fn tags(&self) -> Vec<String> {
        self.has.documents.lock().unwrap().keys().filter(|name| !name.contains('@')).cloned().collect()
    }
}

impl Has {
    fn answer(&self, request: &Request) -> Response {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let value = |name: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.replace("%3A", ":").replace("%2F", "/"))
        };
        let rest = path.strip_prefix("/v2/").unwrap();
        if let Some((repository, _)) = rest.split_once("/blobs/uploads/") {
            let mut blobs = self.blobs.lock().unwrap();
            return match request.method.as_str() {
                "POST" => {
                    if let (Some(digest), Some(from)) = (value("mount"), value("from"))
                        && let Some(bytes) = blobs.get(&format!("{from}@{digest}")).cloned()
                    {
                        blobs.insert(format!("{repository}@{digest}"), bytes);
                        return Response::status(201);
                    }
                    let session = self.sessions.fetch_add(1, Ordering::Relaxed);
                    let location = format!("/v2/{repository}/blobs/uploads/{session}?_state=s");
                    Response::status(202).header("Location", &location)
                }
                "PUT" => {
                    let digest = value("digest").unwrap();
                    if value("_state").as_deref() != Some("s")
                        || Digest::sha256(&request.body).to_string() != digest
                    {
                        return Response::status(400);
                    }
                    blobs.insert(format!("{repository}@{digest}"), request.body.clone());
                    Response::status(201)
                }
                _ => Response::status(204),
            };
        }
        if let Some((repository, digest)) = rest.split_once("/blobs/") {
            return match self.blobs.lock().unwrap().get(&format!("{repository}@{digest}")) {
                Some(bytes) => Response::status(200).header("Content-Length", &bytes.len().to_string()),
                None => Response::status(404),
            };
        }
        let (repository, which) = rest.split_once("/manifests/").unwrap();
        let name = |which: &str| {
            let mark = if which.contains(':') { '@' } else { ':' };
            format!("{repository}{mark}{which}")
        };
        let mut documents = self.documents.lock().unwrap();
        if request.method == "PUT" {
            let media_type = request.header("content-type").unwrap().to_owned();
            let value: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
            let of = |key: &str| value[key].as_array().cloned().unwrap_or_default();
            let blobs = self.blobs.lock().unwrap();
            let text = |part: &serde_json::Value| part["digest"].as_str().map(name);
            let parts = of("layers").into_iter().chain([value["config"].clone()]);
            let there = parts.filter_map(|part| text(&part)).all(|part| blobs.contains_key(&part))
                && of("manifests").iter().filter_map(text).all(|child| documents.contains_key(&child));
            if !there {
                return Response::status(400);
            }
            let document = (media_type, request.body.clone());
            documents.insert(format!("{repository}@{}", Digest::sha256(&request.body)), document.clone());
            documents.insert(name(which), document);
            return Response::status(201);
        }
        match documents.get(&name(which)) {
            Some((media_type, bytes)) => Response::status(200)
                .header("Content-Type", media_type)
                .header("Content-Length", &bytes.len().to_string())
                .header("Docker-Content-Digest", &Digest::sha256(bytes).to_string()),
            None => Response::status(404),
        }
    }
}

fn never(_: &Request) -> Option<Response> {
    None
}

/// An image of both platforms: one layer, two configurations, two manifests, an index.
pub(super) fn image() -> (Memory, Descriptor) {
    let mut memory = Memory::default();
    let tar = RawTar::new().file("a", &"a ".repeat(3_000)).end();
    let root = memory.both(&[tar], LayerEncoding::Gzip).root().clone();
    (memory, root)
}

fn layer(memory: &Memory) -> Digest {
    memory.0.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap().0.clone()
}

#[test]
fn each_push_asks_for_what_it_needs_and_no_more() {
    let (memory, root) = image();
    let registry = Registry::start(never);
    let sent = registry.push("team/x", "1", &memory, &root).unwrap();
    assert_eq!((sent.sent.len(), sent.there, sent.unchanged), (3, 0, false));
    assert_eq!(sent.bytes, sent.sent.iter().map(|blob| blob.size).sum::<u64>());
    let blob = ["HEAD blobs@", "POST uploads", "PUT uploads", "HEAD blobs@"];
    let documents = ["PUT manifests@", "PUT manifests@", "PUT manifests@"];
    let tag = ["PUT manifests1", "HEAD manifests1"];
    assert_eq!(registry.asked(0), [&["HEAD manifests1"][..], &blob, &blob, &blob, &documents, &tag].concat());
    // Children before the index, by what was sent.
    let put: Vec<Vec<u8>> = registry
        .server
        .requests()
        .into_iter()
        .filter(|request| request.method == "PUT" && request.path.contains("/manifests/"))
        .map(|request| request.body)
        .collect();
    assert_eq!(put[2..], [memory.0[&root.digest].clone(), memory.0[&root.digest].clone()]);
    // The same again: two requests, and nothing is read.
    let at = registry.count();
    let sent = registry.push("team/x", "1", &Memory::default(), &root).unwrap();
    assert!(sent.unchanged && sent.sent.is_empty());
    assert_eq!(registry.asked(at), ["HEAD manifests1", "HEAD manifests@"]);
    // Another tag: what is there is not sent.
    let at = registry.count();
    let sent = registry.push("team/x", "2", &memory, &root).unwrap();
    assert_eq!((sent.sent.len(), sent.there), (0, 3));
    let blob = ["HEAD blobs@"];
    let tag = ["PUT manifests2", "HEAD manifests2"];
    assert_eq!(
        registry.asked(at),
        [&["HEAD manifests2"][..], &blob, &blob, &blob, &documents, &tag].concat()
    );
    // Another repository: the registry takes them over, and what it took is looked at.
    let at = registry.count();
    let sent = registry.push_with("team/y", "2", &["team/x"], &memory, &root).unwrap();
    assert_eq!((sent.sent.len(), sent.mounted.len()), (0, 3));
    let blob = ["HEAD blobs@", "POST uploads mount", "HEAD blobs@"];
    assert_eq!(
        registry.asked(at),
        [&["HEAD manifests2"][..], &blob, &blob, &blob, &documents, &tag].concat()
    );
    assert_eq!(registry.tags(), ["team/x:1", "team/x:2", "team/y:2"]);
}

#[test]
fn several_blobs_go_at_once_and_come_whole() {
    let (memory, root) = image();
    let registry = Registry::start(never);
    let client = registry.client("x");
    let how = Sending { tag: Some("1".into()), ..Sending::default() };
    copy(&memory, &root, RegistrySink::new(&client, &how, &Silent)).unwrap();
    let blobs = registry.has.blobs.lock().unwrap();
    assert_eq!(blobs.len(), 3);
    for (name, bytes) in &*blobs {
        assert_eq!(*name, format!("x@{}", Digest::sha256(bytes)));
    }
}

#[test]
fn what_a_registry_has_against_a_mount_is_no_reason_to_stop_and_is_heard_once() {
    for status in [400, 401, 403, 404, 405] {
        let (memory, root) = image();
        let registry =
            Registry::start(move |request| request.path.contains("mount=").then(|| Response::status(status)));
        let sent = registry.push_with("x", "1", &["other"], &memory, &root).unwrap();
        assert_eq!((sent.sent.len(), sent.mounted.len()), (3, 0), "{status}");
        let mounts = registry.asked(0).iter().filter(|asked| asked.ends_with("mount")).count();
        assert_eq!(mounts, 1, "{status}");
    }
    // A repository that does not have the blob: the session that was begun is used.
    let (memory, root) = image();
    let registry = Registry::start(never);
    registry.push_with("x", "1", &["other"], &memory, &root).unwrap();
    assert_eq!(registry.asked(0)[1..4], ["HEAD blobs@", "POST uploads mount", "PUT uploads"]);
    // It is asked for each blob: it may have the next.
    assert_eq!(registry.asked(0).iter().filter(|asked| asked.ends_with("mount")).count(), 3);
}

/// Answers the first `times` requests that send a blob by `response`.
fn failing(times: u64, response: Response) -> impl Fn(&Request) -> Option<Response> + Send + Sync {
    let failed = AtomicU64::new(0);
    move |request| {
        let sends = request.method == "PUT" && request.path.contains("/uploads/");
        (sends && failed.fetch_add(1, Ordering::Relaxed) < times).then(|| response.clone())
    }
}

#[test]
fn a_session_that_broke_is_begun_anew_and_not_for_ever() {
    for response in [
        Response::status(500),
        Response::status(503),
        // The registry does not know the session, or has bytes of it already.
        Response::status(404),
        Response::status(416),
        Response::status(201).fault(Fault::HangUp),
    ] {
        let (memory, root) = image();
        let registry = Registry::start(failing(2, response.clone()));
        registry.push("x", "1", &memory, &root).unwrap();
        // The second and the third time it is asked before anything is sent.
        let expects: Vec<bool> = registry
            .server
            .requests()
            .iter()
            .filter(|request| request.method == "PUT" && request.path.contains("/uploads/"))
            .map(|request| request.header("expect").is_some())
            .collect();
        assert_eq!(expects, [false, true, true, false, false], "{response:?}");
        let sessions = registry.asked(0).iter().filter(|asked| *asked == "POST uploads").count();
        assert_eq!(sessions, 5);
        assert_eq!(registry.tags(), ["x:1"]);
        // One failure more is the end, and nothing has a name.
        let registry = Registry::start(failing(3, response));
        assert!(registry.push("x", "1", &memory, &root).is_err());
        assert!(registry.tags().is_empty() && registry.has.documents.lock().unwrap().is_empty());
    }
}

#[test]
fn what_is_too_large_or_forbidden_is_not_tried_again() {
    for (status, words) in [(413, "too large"), (403, "denies"), (401, "denies"), (400, "400")] {
        let (memory, root) = image();
        let registry = Registry::start(failing(u64::MAX, Response::status(status)));
        let error = registry.push("x", "1", &memory, &root).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        let sends = registry.asked(0).iter().filter(|asked| *asked == "PUT uploads").count();
        assert_eq!(sends, 1, "{status}");
        assert!(registry.asked(0).contains(&"DELETE uploads".to_owned()), "the session is cancelled");
        assert!(registry.tags().is_empty());
    }
}

#[test]
fn a_registry_that_keeps_another_size_is_found_out() {
    // Only what came last is kept, or nothing at all.
    let (memory, root) = image();
    for (answer, words) in [(Some("3"), "3 bytes"), (None, "does not have it")] {
        let sent = AtomicU64::new(0);
        let registry = Registry::start(move |request| {
            if request.method == "PUT" && request.path.contains("/uploads/") {
                sent.fetch_add(1, Ordering::Relaxed);
            }
            let lies = request.method == "HEAD" && request.path.contains("/blobs/");
            (lies && sent.load(Ordering::Relaxed) > 0).then(|| match answer {
                Some(length) => Response::status(200).header("Content-Length", length),
                None => Response::status(404),
            })
        });
        let error = registry.push("x", "1", &memory, &root).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert!(registry.tags().is_empty());
    }
}

#[test]
fn a_tag_that_moved_meanwhile_is_told() {
    let (memory, root) = image();
    let other = Digest::sha256(b"other");
    let put = AtomicU64::new(0);
    let registry = Registry::start(move |request| {
        let of_tag = request.path.ends_with("/manifests/1");
        if of_tag && request.method == "PUT" {
            put.fetch_add(1, Ordering::Relaxed);
        }
        (of_tag && request.method == "HEAD" && put.load(Ordering::Relaxed) > 0).then(|| {
            Response::status(200)
                .header("Content-Type", "application/vnd.oci.image.index.v1+json")
                .header("Content-Length", "9")
                .header("Docker-Content-Digest", &other.to_string())
        })
    });
    let error = registry.push("x", "1", &memory, &root).unwrap_err();
    assert!(error.to_string().contains("was moved meanwhile"), "{error}");
}

#[test]
fn wrong_content_does_not_leave_and_nothing_gets_a_name() {
    let (memory, root) = image();
    let digest = layer(&memory);
    let mut damaged = memory.clone();
    *damaged.0.get_mut(&digest).unwrap().last_mut().unwrap() ^= 1;
    let registry = Registry::start(never);
    let error = registry.push("x", "1", &damaged, &root).unwrap_err();
    assert!(matches!(error, ImageError::WrongDigest { ref expected, .. } if *expected == digest), "{error}");
    assert!(registry.has.blobs.lock().unwrap().is_empty() && registry.tags().is_empty());
    // What ends early, or not where it should, is noticed as well.
    for length in [10, memory.0[&digest].len() + 1] {
        let mut other = memory.clone();
        other.0.get_mut(&digest).unwrap().resize(length, 0);
        let error = registry.push("x", "1", &other, &root).unwrap_err();
        assert!(matches!(error, ImageError::WrongSize { .. }), "{error}");
    }
    assert!(registry.tags().is_empty());
}

/// Vouches for what it has, wrongly.
struct Believed(Memory);

impl Blobs for Believed {
    fn location(&self) -> String {
        "memory".into()
    }

    fn open(&self, digest: &Digest) -> Result<(BlobRead, u64), ImageError> {
        let bytes = self.0.0[digest].clone();
        let size = bytes.len() as u64;
        Ok((Box::new(Cursor::new(bytes)), size))
    }

    fn is_checked(&self, _: &Descriptor) -> Result<bool, ImageError> {
        Ok(true)
    }
}

#[test]
fn what_was_believed_and_is_wrong_is_told_as_what_it_is() {
    let (memory, root) = image();
    let digest = layer(&memory);
    let registry = Registry::start(never);
    registry.push("right", "1", &Believed(memory.clone()), &root).unwrap();
    let mut damaged = memory;
    *damaged.0.get_mut(&digest).unwrap().last_mut().unwrap() ^= 1;
    // The registry hashes what it takes; its refusal is looked into.
    let error = registry.push("x", "1", &Believed(damaged), &root).unwrap_err();
    assert!(matches!(error, ImageError::WrongDigest { ref expected, .. } if *expected == digest), "{error}");
    assert_eq!(registry.tags(), ["right:1"]);
}

#[test]
fn a_plan_changes_nothing() {
    let (memory, root) = image();
    let registry = Registry::start(never);
    let missing = |registry: &Registry| {
        let plan = would_send(&registry.client("x"), &memory, &root, &Sending::default()).unwrap();
        plan.iter().filter(|(_, would)| *would == Would::Send).count()
    };
    assert_eq!(missing(&registry), 6);
    assert!(registry.asked(0).iter().all(|asked| asked.starts_with("HEAD")), "{:?}", registry.asked(0));
    registry.push("x", "1", &memory, &root).unwrap();
    assert_eq!(missing(&registry), 0);
}

/// What a registry has of a session that broke, and does with the rest.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Rest {
    /// It appends it.
    Appended,
    /// Quirk 1: it takes it and drops it.
    Dropped,
    /// Quirk 4: so much at once is 416.
    TooMuch,
    /// Quirk 5: what it says that it has is counted from the beginning of the rest.
    Relative,
    /// As Debian's does: it does not know the session any more.
    Unknown,
    /// It has nothing.
    Nothing,
}

/// A connection that breaks in the middle of one blob, twice.
#[test]
fn the_rest_is_sent_after_what_arrived_when_it_broke_twice() {
    let bytes: Vec<u8> = (0..100_000_u32).map(|at| at.to_be_bytes()[2]).collect();
    let mut from = Memory::default();
    let digest = from.put(bytes.clone());
    let blob = Descriptor::new(crate::model::media::OCI_LAYER, digest.clone(), bytes.len() as u64);
    for rest in [Rest::Appended, Rest::Dropped, Rest::TooMuch, Rest::Relative, Rest::Unknown, Rest::Nothing] {
        let (puts, kept) = (AtomicU64::new(0), Mutex::new(Vec::new()));
        let fake: Arc<Has> = Arc::default();
        let (of_fake, of_digest) = (fake.clone(), digest.clone());
        let registry = Registry::with(fake, move |request: &Request| {
            let mut kept = kept.lock().unwrap();
            let range = |kept: &[u8]| format!("0-{}", kept.len().saturating_sub(1));
            match request.method.as_str() {
                "PUT" if request.path.contains("uploads") && !request.body.is_empty() => {
                    if puts.fetch_add(1, Ordering::Relaxed) < 2 {
                        let arrived = if rest == Rest::Nothing { 0 } else { 60_000 };
                        *kept = request.body[..arrived].to_vec();
                        return Some(Response::status(500).fault(Fault::HangUp));
                    }
                    None
                }
                // The end of a session that was gone on with.
                "PUT" if request.path.contains("uploads") => {
                    of_fake.blobs.lock().unwrap().insert(format!("a/b@{of_digest}"), kept.clone());
                    Some(Response::status(201))
                }
                "GET" if request.path.contains("uploads") && rest == Rest::Unknown => {
                    Some(Response::status(404))
                }
                "GET" if request.path.contains("uploads") => {
                    Some(Response::status(204).header("Range", &range(&kept)))
                }
                "PATCH" => {
                    assert_eq!(request.header("content-range"), Some("60000-99999"));
                    if rest == Rest::TooMuch {
                        return Some(Response::status(416));
                    }
                    if matches!(rest, Rest::Appended | Rest::Relative) {
                        kept.extend(&request.body);
                    }
                    let place = request.path.clone();
                    let has = if rest == Rest::Relative { range(&request.body) } else { range(&kept) };
                    Some(Response::status(202).header("Range", &has).header("Location", &place))
                }
                _ => None,
            }
        });
        assert_eq!(
            upload::upload(&registry.client("a/b"), &from, &blob, &Mounts::default(), &Arc::default())
                .unwrap(),
            Came::Sent,
            "{rest:?}"
        );
        let whole =
            registry.server.requests().iter().filter(|request| request.body.len() == bytes.len()).count();
        assert_eq!(whole, if rest == Rest::Appended { 2 } else { 3 }, "{rest:?}");
        assert_eq!(registry.has.blobs.lock().unwrap()[&format!("a/b@{digest}")], bytes, "{rest:?}");
    }
}

/// Answers the first `times` requests that put a document by what a registry says when it stumbles over another who sends the same.
fn stumbling(
    times: u64,
    code: &'static str,
    what: &'static str,
) -> impl Fn(&Request) -> Option<Response> + Send + Sync {
    let stumbled = AtomicU64::new(0);
    move |request| {
        let puts =
            request.method == "PUT" && request.path.ends_with(what) && !request.path.contains("/uploads/");
        (puts && stumbled.fetch_add(1, Ordering::Relaxed) < times)
            .then(|| pinfold_testkit::registry::error(400, code))
    }
}

#[test]
fn a_document_that_is_right_is_sent_again_when_the_registry_finds_it_wrong() {
    let (memory, root) = image();
    let index = root.digest.hex().clone();
    let index: &'static str = Box::leak(index.into_boxed_str());
    for code in ["DIGEST_INVALID", "MANIFEST_BLOB_UNKNOWN"] {
        for what in [index, "/manifests/1"] {
            let registry = Registry::start(stumbling(2, code, what));
            registry.push("x", "1", &memory, &root).unwrap();
            assert_eq!(registry.tags(), ["x:1"]);
            // Not for ever, and not where something else is said.
            let registry = Registry::start(stumbling(u64::MAX, code, what));
            let error = registry.push("x", "1", &memory, &root).unwrap_err();
            assert!(error.to_string().contains(code), "{error}");
            assert!(registry.tags().is_empty());
        }
    }
    let registry = Registry::start(stumbling(1, "MANIFEST_INVALID", index));
    assert!(registry.push("x", "1", &memory, &root).unwrap_err().to_string().contains("MANIFEST_INVALID"));
}

#[test]
fn a_document_that_another_client_has_put_meanwhile_is_there() {
    let (memory, root) = image();
    let other: Arc<Has> = Arc::default();
    let (of_other, stumbles) = (other.clone(), AtomicU64::new(0));
    let registry = Registry::with(other, move |request| {
        let puts = request.method == "PUT" && request.path.contains("/manifests/sha256:");
        (puts && stumbles.fetch_add(1, Ordering::Relaxed) == 0).then(|| {
            of_other.answer(request);
            pinfold_testkit::registry::error(400, "DIGEST_INVALID")
        })
    });
    registry.push("x", "1", &memory, &root).unwrap();
    let puts = registry.asked(0).iter().filter(|asked| *asked == "PUT manifests@").count();
    assert_eq!(puts, 3, "none is sent twice");
}

#[test]
fn a_tag_that_cannot_be_moved_is_told_with_what_helps() {
    use pinfold_base::Diagnose as _;
    let (memory, root) = image();
    let mut other = Memory::default();
    let other_root = other.both(&[RawTar::new().file("b", "b").end()], LayerEncoding::Gzip).root().clone();
    for status in [400, 403, 409, 412] {
        let stays = AtomicU64::new(0);
        let registry = Registry::start(move |request| {
            let of_tag = request.method == "PUT" && request.path.ends_with("/manifests/1");
            (of_tag && stays.fetch_add(1, Ordering::Relaxed) > 0)
                .then(|| pinfold_testkit::registry::error(status, "TAG_INVALID"))
        });
        registry.push("x", "1", &memory, &root).unwrap();
        let error = registry.push("x", "1", &other, &other_root).unwrap_err();
        assert!(
            error.to_string().contains("does not let tag `1` lead to something else"),
            "{status}: {error}"
        );
        assert_eq!(error.hint().as_deref(), Some("tags cannot be moved there: push to another tag"));
        // Where the tag is not there, it is another refusal.
        let registry = Registry::start(move |request| {
            let of_tag = request.method == "PUT" && request.path.ends_with("/manifests/1");
            of_tag.then(|| pinfold_testkit::registry::error(status, "TAG_INVALID"))
        });
        let error = registry.push("x", "1", &memory, &root).unwrap_err();
        assert!(!error.to_string().contains("does not let tag"), "{status}: {error}");
    }
}

#[test]
fn an_image_that_is_not_believed_to_be_there_is_sent_where_it_is_not() {
    let (memory, root) = image();
    let registry = Registry::start(never);
    registry.push("x", "1", &memory, &root).unwrap();
    let child = registry
        .has
        .documents
        .lock()
        .unwrap()
        .keys()
        .find(|name| name.contains('@') && !name.ends_with(&root.digest.to_string()))
        .cloned()
        .unwrap();
    registry.has.documents.lock().unwrap().remove(&child);
    let client = registry.client("x");
    assert_eq!(standing(&client, Some("1"), &root).unwrap(), Standing::There);
    let send = |known| {
        let how = Sending { tag: Some("1".into()), ..Sending::default() };
        copy(&memory, &root, RegistrySink::new(&client, &how, &Silent).knowing(known)).unwrap();
    };
    send(Standing::There);
    assert!(!registry.has.documents.lock().unwrap().contains_key(&child), "the control");
    let at = registry.count();
    send(Standing::Named);
    assert!(registry.has.documents.lock().unwrap().contains_key(&child));
    assert!(!registry.asked(at).contains(&"PUT manifests1".to_owned()), "the tag is right");
}

#[test]
fn a_plan_tells_what_would_be_mounted() {
    let (memory, root) = image();
    let registry =
        Registry::start(|request: &Request| request.path.contains("/secret/").then(|| Response::status(403)));
    registry.push("team/base", "1", &memory, &root).unwrap();
    let plan = |mount_from: &[&str]| {
        let mount_from = mount_from.iter().map(|name| (*name).to_owned()).collect();
        let how = Sending { mount_from, ..Sending::default() };
        let at = registry.count();
        let plan = would_send(&registry.client("x"), &memory, &root, &how).unwrap();
        assert!(registry.asked(at).iter().all(|asked| asked.starts_with("HEAD")));
        [Would::Send, Would::Mount, Would::Stay]
            .map(|what| plan.iter().filter(|(_, would)| *would == what).count())
    };
    assert_eq!(plan(&[]), [6, 0, 0]);
    assert_eq!(plan(&["team/none", "team/base"]), [3, 3, 0]);
    assert_eq!(plan(&["secret/x"]), [6, 0, 0]);
    let secret =
        registry.server.requests().iter().filter(|request| request.path.contains("/secret/")).count();
    assert_eq!(secret, 1, "one question, however many blobs");
}
