//! One blob into a repository.
//!
//! ```text
//! HEAD ─ there ─► nothing        POST ?mount&from ─ 201 ─► HEAD (its size)        POST ─► PUT (all of it) ─► HEAD (its size)
//! ```
//!
//! Content goes in one piece, since sending in chunks is what registries get wrong most. A session that broke is not gone on with:
//! a new one is begun, and the second time the registry is asked before it is sent anything, so that its reason for refusing is heard.
//! Only when that breaks as well, on a bad line say, the rest is sent after what has arrived, where the registry says how much that is:
//!
//! ```text
//! GET session ─ Range: 0-N ─► PATCH (from N + 1) ─ Range: 0-END ─► PUT (nothing more) ─► HEAD (its size)
//! ```
//!
//! **Guarantees**: a blob counts as sent when the registry says that it has as many bytes as it should; wrong content is noticed
//! before the last of its bytes leave; a session that failed is cancelled where the registry knows how.
//! **Refuses**: a fourth session for one blob, and a registry whose blob has another size afterwards.

use std::io;
use std::io::Cursor;
use std::io::Read;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use pinfold_base::Digest;
use pinfold_base::http::Content;
use pinfold_base::http::Expect;
use pinfold_base::http::HttpError;
use pinfold_base::http::Method;
use pinfold_base::http::Reply;
use pinfold_base::http::SafeUrl;
use pinfold_base::http::Step;

use super::client::Access;
use super::client::Again;
use super::client::Call;
use super::client::Client;
use super::client::To;
use super::error::RegistryError;
use super::put::apart;
use crate::ImageError;
use crate::blobs::BlobRead;
use crate::blobs::Blobs;
use crate::blobs::open_verified;
use crate::blobs::unwrap_io;
use crate::model::Descriptor;

/// Sessions begun for one blob.
const SESSIONS: u32 = 3;
/// What a session that fell silent counts for at most: what it took before that was no waste.
const SILENCE: Duration = Duration::from_secs(60);

/// How many bytes of a blob have been given away, at most so far.
pub(super) type Moved = Arc<AtomicU64>;

/// How a blob came to be in the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// It was there.
    There,
    /// From another repository of the same registry.
    Mounted,
    /// It was sent.
    Sent,
}

/// Sees to it that the repository has a blob.
pub(super) fn upload(
    client: &Client,
    from: &dyn Blobs,
    blob: &Descriptor,
    mounts: &Mounts,
    moved: &Moved,
) -> Result<Came, RegistryError> {
    if is_there(client, blob)? {
        return Ok(Came::There);
    }
    let mut begun = None;
    for source in &mounts.0 {
        match source.ask(client, blob)? {
            // What the other repository has under the digest is looked at like what is sent.
            Mount::Done if is_there(client, blob)? => return Ok(Came::Mounted),
            Mount::Begun(session) => {
                begun = Some(session);
                break;
            }
            Mount::Done | Mount::Refused => {}
        }
    }
    let mut attempts = client.attempts();
    for attempt in 1..=SESSIONS {
        let begun_at = Instant::now();
        let session = match begun.take() {
            Some(session) => session,
            None => begin(client)?,
        };
        let expect = if attempt == 1 { Expect::Nothing } else { Expect::Continue };
        match send(client, from, blob, &session, expect, moved) {
            Ok(()) => break,
            Err(error) => {
                let broken = matches!(&error, RegistryError::Http(error) if error.is_passing());
                // Who takes nothing any more would not answer to a farewell either.
                let silent =
                    matches!(&error, RegistryError::Http(HttpError::Connection { step: Step::Wait, .. }));
                let took = if silent { begun_at.elapsed().min(SILENCE) } else { Duration::ZERO };
                let further =
                    attempt < SESSIONS && may_pass(&error) && attempts.again(took, 0, retry_after(&error));
                if broken && further && attempt + 1 == SESSIONS {
                    match resume(client, from, blob, &session, moved) {
                        Ok(true) => break,
                        Ok(false) => {}
                        Err(error) => {
                            tracing::info!(%error, blob = %blob.digest, "it cannot be gone on with");
                        }
                    }
                }
                if !silent {
                    cancel(client, &session);
                }
                if !further {
                    return Err(error);
                }
                tracing::info!(%error, blob = %blob.digest, "a new session");
            }
        }
    }
    // Another client that sends the same may be just writing that it is there.
    if is_there(client, blob)? || (apart(&mut client.attempts(), None) && is_there(client, blob)?) {
        return Ok(Came::Sent);
    }
    Err(lied(client, blob, "it took the blob and does not have it".into()))
}

/// Sees to it that the repository has a blob of a few bytes.
pub(super) fn send_bytes(client: &Client, blob: &Descriptor, bytes: &[u8]) -> Result<(), RegistryError> {
    let from = Bytes(bytes.to_vec());
    upload(client, &from, blob, &Mounts::default(), &Moved::default()).map(drop)
}

/// One blob to be sent.
struct Bytes(Vec<u8>);

impl Blobs for Bytes {
    fn location(&self) -> String {
        "what is attached".into()
    }

    fn open(&self, _: &Digest) -> Result<(BlobRead, u64), ImageError> {
        Ok((Box::new(Cursor::new(self.0.clone())), self.0.len() as u64))
    }
}

/// Whether the repository has the blob, whole.
pub(super) fn is_there(client: &Client, blob: &Descriptor) -> Result<bool, RegistryError> {
    match client.head_blob(&blob.digest)? {
        None => Ok(false),
        Some(size) if size == blob.size => Ok(true),
        Some(size) => Err(lied(client, blob, format!("it has {size} bytes there instead of {}", blob.size))),
    }
}

/// Repositories of the same registry that may have blobs, for all of one image.
#[derive(Debug, Default)]
pub(super) struct Mounts(Vec<MountSource>);

/// One of them.
#[derive(Debug)]
struct MountSource {
    repository: String,
    standing: Mutex<MountStanding>,
}

/// What is known of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MountStanding {
    Unknown,
    Open,
    /// Nothing may be taken from it: for none of the further blobs it is asked.
    Refused,
}

impl Mounts {
    pub(super) fn of(repositories: &[String]) -> Self {
        let source = |repository: &String| MountSource {
            repository: repository.clone(),
            standing: Mutex::new(MountStanding::Unknown),
        };
        Self(repositories.iter().map(source).collect())
    }
}

impl MountSource {
    fn ask(&self, client: &Client, blob: &Descriptor) -> Result<Mount, RegistryError> {
        // Blobs that are sent at the same time wait for the answer to the first.
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        match *standing {
            MountStanding::Refused => return Ok(Mount::Refused),
            MountStanding::Open => drop(standing),
            MountStanding::Unknown => {
                let asked = mount(client, blob, &self.repository)?;
                *standing = match asked {
                    Mount::Refused => MountStanding::Refused,
                    Mount::Done | Mount::Begun(_) => MountStanding::Open,
                };
                return Ok(asked);
            }
        }
        mount(client, blob, &self.repository)
    }
}

enum Mount {
    Done,
    /// The registry does not have it there, and waits for the content.
    Begun(SafeUrl),
    Refused,
}

/// Asks the registry to take the blob from another repository of its own. Whatever it has against that is no reason to stop.
fn mount(client: &Client, blob: &Descriptor, source: &str) -> Result<Mount, RegistryError> {
    let digest = blob.digest.to_string();
    let call = Call {
        method: Method::Post,
        to: To::Path("blobs/uploads/", &[("mount", &digest), ("from", source)]),
        accept: &[],
        headers: &[],
        content: Content::None,
        access: Access::PushFrom(source),
    };
    let reply = match client.call(&call, Again::Yes) {
        Ok(reply) => reply,
        Err(RegistryError::Denied { .. }) => return Ok(Mount::Refused),
        Err(error) => return Err(error),
    };
    Ok(match reply.status() {
        201 => Mount::Done,
        202 => Mount::Begun(reply.location()?),
        _ => Mount::Refused,
    })
}

/// Begins a session, and says where its content goes.
fn begin(client: &Client) -> Result<SafeUrl, RegistryError> {
    let call = Call {
        method: Method::Post,
        to: To::Path("blobs/uploads/", &[]),
        accept: &[],
        headers: &[],
        content: Content::None,
        access: Access::Push,
    };
    let reply = client.call(&call, Again::Yes)?;
    match reply.status() {
        202 => Ok(reply.location()?),
        _ => Err(client.refused("an upload", reply)),
    }
}

/// Sends all of the content to a session.
fn send(
    client: &Client,
    from: &dyn Blobs,
    blob: &Descriptor,
    session: &SafeUrl,
    expect: Expect,
    moved: &Moved,
) -> Result<(), RegistryError> {
    let digest = blob.digest.to_string();
    let wrong: Arc<Mutex<Option<ImageError>>> = Arc::default();
    let open = || {
        let content = content(from, blob).map_err(|error| note(&wrong, error))?;
        Ok(Box::new(Judged::new(content, blob, &wrong, moved)) as BlobRead)
    };
    let call = Call {
        method: Method::Put,
        to: To::Url(&session.and_query(&[("digest", &digest)])),
        accept: &[],
        headers: &[("content-type", "application/octet-stream")],
        content: Content::Stream { open: &open, length: blob.size, expect },
        access: Access::Push,
    };
    let reply = client.call(&call, Again::Never);
    if let Some(error) = wrong.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(error.into());
    }
    let reply = reply?;
    match reply.status() {
        201 | 204 => Ok(()),
        413 => {
            let size = blob.size;
            Err(RegistryError::TooLarge { what: what(blob), host: client.place(), size, limit: None })
        }
        400 => {
            // The registry says so of content that is not what its digest says, too. What was believed by its stamp is then hashed.
            open_verified(from, blob)?.finish()?;
            Err(client.refused(&what(blob), reply))
        }
        _ => Err(client.refused(&what(blob), reply)),
    }
}

/// Sends the rest of the content to a session that has some of it, and says whether that was all. Registries err in many ways here
/// (they drop what is sent, or keep only the last of it), so that what they say they have is compared with what they should.
fn resume(
    client: &Client,
    from: &dyn Blobs,
    blob: &Descriptor,
    session: &SafeUrl,
    moved: &Moved,
) -> Result<bool, RegistryError> {
    let call = |method, at| Call {
        method,
        to: To::Url(at),
        accept: &[],
        headers: &[],
        content: Content::None,
        access: Access::Push,
    };
    let reply = client.call(&call(Method::Get, session), Again::Yes)?;
    let Some(there) = arrived(&reply).filter(|there| reply.status() == 204 && *there < blob.size) else {
        return Ok(false);
    };
    let place = reply.location().unwrap_or_else(|_| session.clone());
    let wrong: Arc<Mutex<Option<ImageError>>> = Arc::default();
    let open = || {
        let content = content(from, blob).map_err(|error| note(&wrong, error))?;
        let mut judged = Judged::new(content, blob, &wrong, moved);
        io::copy(&mut (&mut judged).take(there), &mut io::sink())?;
        Ok(Box::new(judged) as BlobRead)
    };
    let range = format!("{there}-{}", blob.size - 1);
    let headers = [("content-type", "application/octet-stream"), ("content-range", range.as_str())];
    let content = Content::Stream { open: &open, length: blob.size - there, expect: Expect::Nothing };
    let reply =
        client.call(&Call { headers: &headers, content, ..call(Method::Patch, &place) }, Again::Never);
    if let Some(error) = wrong.lock().unwrap_or_else(PoisonError::into_inner).take() {
        return Err(error.into());
    }
    let reply = reply?;
    if !matches!(reply.status(), 202 | 204) || arrived(&reply) != Some(blob.size) {
        return Ok(false);
    }
    let place = reply.location()?.and_query(&[("digest", &blob.digest.to_string())]);
    let reply = client.call(&call(Method::Put, &place), Again::Never)?;
    Ok(matches!(reply.status(), 201 | 204))
}

/// How many bytes a session has, by what the registry says. `0-0` may mean one byte or none, and counts as none.
fn arrived(reply: &Reply) -> Option<u64> {
    let range = reply.header("range")?.trim();
    let last: u64 = range.strip_prefix("bytes=").unwrap_or(range).strip_prefix("0-")?.parse().ok()?;
    last.checked_add(1).filter(|_| last > 0)
}

/// The content of a blob: hashed on the way, unless it is known to be right.
fn content(from: &dyn Blobs, blob: &Descriptor) -> Result<BlobRead, ImageError> {
    if !from.is_checked(blob)? {
        return Ok(Box::new(open_verified(from, blob)?));
    }
    let (content, size) = from.open_part(blob)?;
    if size != blob.size {
        let what = format!("blob {} of {}", blob.digest, from.location());
        return Err(ImageError::WrongSize { what, expected: blob.size, actual: size });
    }
    Ok(content)
}

/// Asks content for its end before it gives away the last of it: whoever sends so many bytes does not ask for more.
struct Judged {
    inner: BlobRead,
    size: u64,
    left: u64,
    wrong: Arc<Mutex<Option<ImageError>>>,
    moved: Moved,
}

impl Judged {
    fn new(
        inner: BlobRead,
        blob: &Descriptor,
        wrong: &Arc<Mutex<Option<ImageError>>>,
        moved: &Moved,
    ) -> Self {
        Self { inner, size: blob.size, left: blob.size, wrong: wrong.clone(), moved: moved.clone() }
    }
}

impl Read for Judged {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf).and_then(|n| {
            self.left = self.left.saturating_sub(n as u64);
            self.moved.fetch_max(self.size - self.left, Ordering::Relaxed);
            if n > 0 && self.left == 0 {
                // What is longer than it should be is an error of its own.
                self.inner.read(&mut [0])?;
            }
            Ok(n)
        });
        read.map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => note(&self.wrong, unwrap_io(error)),
        })
    }
}

/// Keeps what is wrong with content for whoever sends it; the HTTP client only needs to know that there is no more.
fn note(wrong: &Mutex<Option<ImageError>>, error: ImageError) -> io::Error {
    let told = io::Error::new(io::ErrorKind::InvalidData, error.to_string());
    *wrong.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    told
}

/// Lets go of a session. Some registries do not know how, and all forget it in time.
fn cancel(client: &Client, session: &SafeUrl) {
    let call = Call {
        method: Method::Delete,
        to: To::Url(session),
        accept: &[],
        headers: &[],
        content: Content::None,
        access: Access::Push,
    };
    if let Err(error) = client.call(&call, Again::Never) {
        tracing::debug!(%error, "an upload is not cancelled");
    }
}

/// How long the registry wants to be left alone.
pub(super) fn retry_after(error: &RegistryError) -> Option<Duration> {
    match error {
        RegistryError::Status { retry_after, .. } => *retry_after,
        _ => None,
    }
}

/// Whether a new session may do better.
fn may_pass(error: &RegistryError) -> bool {
    match error {
        RegistryError::Http(error) => error.is_passing(),
        // The registry does not know the session any more, or wants it to be gone on with.
        RegistryError::Missing { .. } => true,
        RegistryError::Status { status, .. } => matches!(status, 404 | 408 | 416 | 425 | 429 | 500..=599),
        _ => false,
    }
}

fn lied(client: &Client, blob: &Descriptor, reason: String) -> RegistryError {
    RegistryError::Lied { what: what(blob), host: client.place(), reason }
}

fn what(blob: &Descriptor) -> String {
    format!("blob {}", blob.digest)
}
