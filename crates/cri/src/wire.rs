//! gRPC on HTTP/2: one message there, one message back.
//!
//! ```text
//!   POST /runtime.v1.RuntimeService/NAME     content-type: application/grpc   te: trailers
//!   0, length (4 bytes big-endian), message          an answer the same, then `grpc-status` and `grpc-message`
//! ```
//!
//! **Guarantees**: an answer is read to [`ANSWER_MAX`] bytes and not further; what is no gRPC is an error that says so.
//! **Refuses** compressed messages, which were not asked for.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use h2::client::SendRequest;
use http::HeaderMap;
use http::Request;
use prost::Message;
use prost::bytes::BufMut;
use prost::bytes::Bytes;
use prost::bytes::BytesMut;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

use crate::error::CriError;

/// The largest answer: what a kubelet takes.
pub const ANSWER_MAX: usize = 16 << 20;
/// How long connecting may take.
const CONNECTING: Duration = Duration::from_secs(5);

/// How a call failed, by gRPC's own list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// What was asked for is not there.
    NotFound,
    /// It is there already.
    AlreadyExists,
    /// The runtime is not ready.
    Unavailable,
    /// There is no such call.
    Unimplemented,
    /// Another one, by its number.
    Other(u8),
}

impl Code {
    fn of(number: u8) -> Self {
        match number {
            5 => Self::NotFound,
            6 => Self::AlreadyExists,
            12 => Self::Unimplemented,
            14 => Self::Unavailable,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("not found"),
            Self::AlreadyExists => f.write_str("already exists"),
            Self::Unavailable => f.write_str("unavailable"),
            Self::Unimplemented => f.write_str("unimplemented"),
            Self::Other(number) => write!(f, "code {number}"),
        }
    }
}

/// A connection. It moves only while a call is made.
pub(crate) struct Wire {
    runtime: Runtime,
    requests: SendRequest<Bytes>,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

impl Wire {
    pub(crate) fn connect(path: &Path) -> Result<Self, CriError> {
        let failed = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused => {
                CriError::NoSocket(path.to_owned())
            }
            std::io::ErrorKind::PermissionDenied => CriError::Denied(path.to_owned()),
            _ => CriError::Connect { path: path.to_owned(), source },
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let call = "the greeting";
        let requests = runtime.block_on(async {
            let greet = async {
                let stream = UnixStream::connect(path).await.map_err(failed)?;
                let (requests, connection) = h2::client::Builder::new()
                    .max_header_list_size(64 << 10)
                    .initial_window_size(1 << 20)
                    .handshake(stream)
                    .await
                    .map_err(|error| CriError::Foreign { call, problem: error.to_string() })?;
                // Its end is seen by the call that needs it.
                drop(tokio::spawn(async { drop(connection.await) }));
                requests.ready().await.map_err(|error| CriError::Foreign { call, problem: error.to_string() })
            };
            let silent = |_| CriError::Silent { call, patience: CONNECTING };
            tokio::time::timeout(CONNECTING, greet).await.map_err(silent)?
        })?;
        Ok(Self { runtime, requests })
    }

    /// Makes a call and decodes its answer.
    pub(crate) fn call<A: Message + Default>(
        &self,
        service: &str,
        call: &'static str,
        asked: &impl Message,
        patience: Duration,
    ) -> Result<A, CriError> {
        let path = format!("/runtime.v1.{service}/{call}");
        let exchange = exchange(self.requests.clone(), path, call, framed(asked));
        let answer = self.runtime.block_on(async {
            tokio::time::timeout(patience, exchange).await.map_err(|_| CriError::Silent { call, patience })?
        })?;
        A::decode(answer).map_err(|error| CriError::Foreign { call, problem: error.to_string() })
    }
}

/// A message as it is sent.
fn framed(message: &impl Message) -> Bytes {
    let body = message.encode_to_vec();
    let mut out = BytesMut::with_capacity(body.len() + 5);
    out.put_u8(0);
    out.put_u32(body.len() as u32);
    out.put_slice(&body);
    out.freeze()
}

async fn exchange(
    requests: SendRequest<Bytes>,
    path: String,
    call: &'static str,
    body: Bytes,
) -> Result<Bytes, CriError> {
    let foreign = |problem: String| CriError::Foreign { call, problem };
    let broken = |error: h2::Error| CriError::Foreign { call, problem: error.to_string() };
    // Servers of this kind want an authority, and take no path of a socket for one.
    let request = Request::post(format!("http://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .map_err(|error| foreign(error.to_string()))?;
    let (response, mut stream) =
        requests.ready().await.map_err(broken)?.send_request(request, false).map_err(broken)?;
    stream.send_data(body, true).map_err(broken)?;
    let response = response.await.map_err(broken)?;
    if response.status() != http::StatusCode::OK {
        return Err(foreign(format!("HTTP status {}", response.status().as_u16())));
    }
    // An error without an answer has everything in its first headers.
    if let Some(status) = status(response.headers()) {
        judge(call, status, response.headers())?;
    }
    let mut body = response.into_body();
    let mut held = BytesMut::new();
    while let Some(part) = body.data().await {
        let part = part.map_err(broken)?;
        if held.len() + part.len() > ANSWER_MAX + 5 {
            return Err(foreign(format!("it is over {ANSWER_MAX} bytes")));
        }
        held.put_slice(&part);
        body.flow_control().release_capacity(part.len()).map_err(broken)?;
    }
    let trailers = body.trailers().await.map_err(broken)?.unwrap_or_default();
    let status = status(&trailers).ok_or_else(|| foreign("it has no `grpc-status`".into()))?;
    judge(call, status, &trailers)?;
    unframed(&held.freeze()).map_err(foreign)
}

/// The message in a body that has exactly one.
fn unframed(body: &Bytes) -> Result<Bytes, String> {
    let Some((head, rest)) = body.split_first_chunk::<5>() else { return Err("it has no message".into()) };
    if head[0] != 0 {
        return Err("it is compressed".into());
    }
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if length != rest.len() {
        return Err(format!("a message of {length} bytes comes in {}", rest.len()));
    }
    Ok(body.slice(5..))
}

fn status(headers: &HeaderMap) -> Option<u8> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

fn judge(call: &'static str, status: u8, headers: &HeaderMap) -> Result<(), CriError> {
    match Code::of(status) {
        Code::Other(0) => Ok(()),
        Code::Unimplemented => Err(CriError::Unknown { call }),
        code => {
            let message = headers.get("grpc-message").map_or(&b""[..], |value| value.as_bytes());
            Err(CriError::Status { call, code, message: percent_decoded(message) })
        }
    }
}

/// A `grpc-message`: percent-encoded UTF-8, of which the first two thousand characters are kept.
fn percent_decoded(bytes: &[u8]) -> String {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%'
            && let [high, low, after @ ..] = tail
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            out.push((high << 4) | low);
            rest = after;
        } else {
            out.push(*first);
        }
    }
    String::from_utf8_lossy(&out).chars().take(2000).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_one_message_and_nothing_else() {
        let body = |bytes: &'static [u8]| unframed(&Bytes::from_static(bytes));
        assert_eq!(body(b"\0\0\0\0\x02hi").unwrap(), "hi");
        assert_eq!(body(b"\0\0\0\0\0").unwrap(), "");
        for wrong in [&b""[..], b"\0\0\0\0", b"\x01\0\0\0\x02hi", b"\0\0\0\0\x03hi", b"\0\0\0\0\x01hi"] {
            assert!(body(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_message_of_an_error_is_decoded() {
        assert_eq!(percent_decoded(b"no image \"x%22 50%25 %C3%A9 100%"), "no image \"x\" 50% \u{e9} 100%");
        assert_eq!(percent_decoded(b"%zz%4"), "%zz%4");
        assert_eq!(percent_decoded(b"%ff"), "\u{fffd}");
    }
}
