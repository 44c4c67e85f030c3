//! HTTP/1.1 as a client reads it (RFC 9112): a status line, fields, and a body by chunks, by its length or to the end.
//!
//! Pure: bytes go in, bytes of the body come out; nothing is read or written here.
//!
//! **Refuses** a body that is told in two ways, a field over more than one line, and whatever exceeds [`HEAD`], [`LINE`] or [`BODY`].

use std::fmt;

/// Bytes of a status line with its fields.
pub const HEAD: usize = 16 << 10;
/// Bytes of the line before a chunk.
const LINE: usize = 256;
/// Bytes of a body.
pub const BODY: u64 = 16 << 20;

/// What an answer's head says that matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The status, 100 to 999.
    pub status: u16,
    /// `Content-Type`, in lower case, without parameters.
    pub kind: String,
    /// `Retry-After` in seconds; a date is not read.
    pub retry_after: Option<u64>,
}

/// Why an answer is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// The head is not what RFC 9112 has.
    Head,
    /// Head, chunk line or body exceeds its limit.
    Large,
    /// The length of the body is not clear.
    Length,
    /// A chunk is not what RFC 9112 has.
    Chunk,
    /// It ended before its end.
    Cut,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Head => "the answer is not HTTP/1.1",
            Self::Large => "the answer exceeds a limit",
            Self::Length => "the answer tells its length in two ways",
            Self::Chunk => "the answer has a chunk that is none",
            Self::Cut => "the answer was cut off",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Head,
    /// Bytes that are left; `None` is to the end of the connection.
    Plain(Option<u64>),
    ChunkLine,
    Chunk(u64),
    ChunkEnd,
    Trailer,
    Done,
}

/// One answer, as it comes in.
#[derive(Clone, Debug)]
pub struct Answer {
    head: Option<Head>,
    at: At,
    kept: Vec<u8>,
    body: u64,
}

impl Default for Answer {
    fn default() -> Self {
        Self { head: None, at: At::Head, kept: Vec::new(), body: 0 }
    }
}

impl Answer {
    /// Takes bytes, and appends those of the body to `body`.
    pub fn take(&mut self, mut bytes: &[u8], body: &mut Vec<u8>) -> Result<(), Wrong> {
        while !bytes.is_empty() {
            match self.at {
                At::Done => return Ok(()),
                At::Plain(left) => {
                    let now = left.map_or(bytes.len(), |left| shorter(left, bytes.len()));
                    self.put(&bytes[..now], body)?;
                    bytes = &bytes[now..];
                    self.at = match left.map(|left| left - now as u64) {
                        Some(0) => At::Done,
                        left => At::Plain(left),
                    };
                }
                At::Chunk(left) => {
                    let now = shorter(left, bytes.len());
                    self.put(&bytes[..now], body)?;
                    bytes = &bytes[now..];
                    self.at = match left - now as u64 {
                        0 => At::ChunkEnd,
                        left => At::Chunk(left),
                    };
                }
                At::Head | At::ChunkLine | At::ChunkEnd | At::Trailer => {
                    let limit = if matches!(self.at, At::Head | At::Trailer) { HEAD } else { LINE };
                    let (line, rest) = match bytes.iter().position(|byte| *byte == b'\n') {
                        Some(end) => (&bytes[..=end], &bytes[end + 1..]),
                        None => (bytes, &bytes[bytes.len()..]),
                    };
                    if self.kept.len() + line.len() > limit {
                        return Err(Wrong::Large);
                    }
                    self.kept.extend_from_slice(line);
                    bytes = rest;
                    if self.kept.last() == Some(&b'\n') {
                        self.line()?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The head, once it is complete.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Whether all of it is here.
    pub fn is_done(&self) -> bool {
        self.at == At::Done
    }

    /// The connection has ended: whether the answer has, too.
    pub fn end(&self) -> Result<(), Wrong> {
        match self.at {
            At::Done | At::Plain(None) => Ok(()),
            _ => Err(Wrong::Cut),
        }
    }

    fn put(&mut self, bytes: &[u8], body: &mut Vec<u8>) -> Result<(), Wrong> {
        self.body += bytes.len() as u64;
        if self.body > BODY {
            return Err(Wrong::Large);
        }
        body.extend_from_slice(bytes);
        Ok(())
    }

    /// A line has ended: `kept` ends in it.
    fn line(&mut self) -> Result<(), Wrong> {
        match self.at {
            At::Head => {
                let ends = self.kept.ends_with(b"\r\n\r\n") || self.kept.ends_with(b"\n\n");
                if ends {
                    let (head, length) = head(&std::mem::take(&mut self.kept))?;
                    if (100..200).contains(&head.status) {
                        // An interim answer; the final one follows.
                        if head.status == 101 {
                            return Err(Wrong::Head);
                        }
                    } else {
                        self.at = match length {
                            _ if matches!(head.status, 204 | 304) => At::Done,
                            Length::Chunks => At::ChunkLine,
                            Length::Bytes(0) => At::Done,
                            Length::Bytes(bytes) if bytes > BODY => return Err(Wrong::Large),
                            Length::Bytes(bytes) => At::Plain(Some(bytes)),
                            Length::ToTheEnd => At::Plain(None),
                        };
                        self.head = Some(head);
                    }
                }
                return Ok(());
            }
            At::ChunkLine => {
                let size = self.kept.split(|byte| matches!(byte, b';' | b'\r' | b'\n')).next();
                let size = std::str::from_utf8(size.unwrap_or_default()).map_err(|_| Wrong::Chunk)?;
                let size = size.trim_end_matches([' ', '\t']);
                if size.is_empty() || size.len() > 15 || !size.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err(Wrong::Chunk);
                }
                let size = u64::from_str_radix(size, 16).map_err(|_| Wrong::Chunk)?;
                self.at = if size == 0 { At::Trailer } else { At::Chunk(size) };
            }
            At::ChunkEnd => {
                if !matches!(self.kept.as_slice(), b"\r\n" | b"\n") {
                    return Err(Wrong::Chunk);
                }
                self.at = At::ChunkLine;
            }
            At::Trailer => {
                if matches!(self.kept.as_slice(), b"\r\n" | b"\n") {
                    self.at = At::Done;
                }
            }
            At::Plain(_) | At::Chunk(_) | At::Done => {}
        }
        self.kept.clear();
        Ok(())
    }
}

fn shorter(left: u64, here: usize) -> usize {
    usize::try_from(left).map_or(here, |left| left.min(here))
}

enum Length {
    Chunks,
    Bytes(u64),
    ToTheEnd,
}

/// Reads a head that ends in an empty line.
fn head(bytes: &[u8]) -> Result<(Head, Length), Wrong> {
    let text = std::str::from_utf8(bytes).map_err(|_| Wrong::Head)?;
    let mut lines = text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
    let rest = lines.next().and_then(|line| line.strip_prefix("HTTP/1.")).ok_or(Wrong::Head)?;
    let status = rest.strip_prefix(['0', '1']).and_then(|rest| rest.strip_prefix(' ')).ok_or(Wrong::Head)?;
    let status = status.split(' ').next().filter(|text| text.len() == 3).ok_or(Wrong::Head)?;
    if !status.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Wrong::Head);
    }
    let status = status.parse().ok().filter(|status| *status >= 100).ok_or(Wrong::Head)?;
    let mut head = Head { status, ..Head::default() };
    let (mut bytes, mut chunks) = (None, false);
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or(Wrong::Head)?;
        if name.is_empty() || name.contains([' ', '\t']) {
            return Err(Wrong::Head);
        }
        let value = value.trim_matches([' ', '\t']);
        match name.to_ascii_lowercase().as_str() {
            "content-length" => {
                let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
                let number = value.parse().ok().filter(|_| digits).ok_or(Wrong::Length)?;
                if bytes.is_some_and(|before| before != number) {
                    return Err(Wrong::Length);
                }
                bytes = Some(number);
            }
            "transfer-encoding" => {
                if chunks || !value.eq_ignore_ascii_case("chunked") {
                    return Err(Wrong::Length);
                }
                chunks = true;
            }
            "content-type" => {
                head.kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
            }
            "retry-after" => head.retry_after = value.parse().ok(),
            _ => {}
        }
    }
    let length = match (chunks, bytes) {
        (true, Some(_)) => return Err(Wrong::Length),
        (true, None) => Length::Chunks,
        (false, Some(bytes)) => Length::Bytes(bytes),
        (false, None) => Length::ToTheEnd,
    };
    Ok((head, length))
}

/// A request with a body of JSON.
pub fn request(host: &str, path: &str, fields: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\n\
         Connection: close\r\nContent-Length: {}\r\n",
        body.len()
    );
    for (name, value) in fields {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The outcome of bytes that come in pieces of `size`.
    fn read(bytes: &[u8], size: usize) -> Result<(Head, Vec<u8>, bool), Wrong> {
        let (mut answer, mut body) = (Answer::default(), Vec::new());
        for piece in bytes.chunks(size) {
            answer.take(piece, &mut body)?;
        }
        let done = answer.is_done();
        answer.end()?;
        Ok((answer.head().cloned().ok_or(Wrong::Cut)?, body, done))
    }

    #[test]
    fn bodies_of_each_kind_are_read_in_pieces_of_any_size() {
        let answers: [&[u8]; 4] = [
            b"HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\nTrailer: 1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nContent-Length: 7\r\n\r\nabcdefg",
            b"HTTP/1.0 200 OK\r\nContent-Type:text/event-stream\r\n\r\nabcdefg",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\nContent-Type: text/event-stream\nContent-Length: 7\n\nabcdefg",
        ];
        for bytes in answers {
            for size in 1..=bytes.len() {
                let (head, body, _) = read(bytes, size).unwrap();
                assert_eq!(
                    (head.status, head.kind.as_str(), body.as_slice()),
                    (200, "text/event-stream", &b"abcdefg"[..])
                );
            }
        }
        let (head, _, done) =
            read(b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", 9).unwrap();
        assert_eq!((head.status, head.retry_after, done), (429, Some(7), true));
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let large = [b"HTTP/1.1 200 OK\r\n".as_slice(), &vec![b'a'; HEAD]].concat();
        let cases: [(&[u8], Wrong); 13] = [
            (b"SSH-2.0-x\r\n\r\n", Wrong::Head),
            (b"HTTP/2 200\r\n\r\n", Wrong::Head),
            (b"HTTP/1.1 2x0 OK\r\n\r\n", Wrong::Head),
            (b"HTTP/1.1 200 OK\r\nA: b\r\n folded: x\r\n\r\n", Wrong::Head),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", Wrong::Length),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", Wrong::Length),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Wrong::Length),
            (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", Wrong::Length),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", Wrong::Large),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n", Wrong::Chunk),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", Wrong::Chunk),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nabc", Wrong::Cut),
            (&large, Wrong::Large),
        ];
        for (bytes, wrong) in cases {
            assert_eq!(
                read(bytes, 5).unwrap_err(),
                wrong,
                "{}",
                String::from_utf8_lossy(&bytes[..bytes.len().min(80)])
            );
        }
    }
}
