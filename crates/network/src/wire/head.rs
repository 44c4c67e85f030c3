//! Heads of HTTP/1.1 messages (RFC 9112), read strictly from bytes and without any other input.
//!
//! ```text
//!   request  = method SP target SP "HTTP/1." ("0" | "1") CRLF *field CRLF
//!   response = "HTTP/1." DIGIT SP 3DIGIT [SP reason] CRLF *field CRLF
//!   field    = name ":" OWS value OWS CRLF
//!   target   = host ":" port            of CONNECT
//!            | "http://" host [":" port] [path]
//!            | path                     beginning with "/", for a credential route
//! ```
//!
//! The proxy stands between two parsers and must not be read differently by them. So there is one way to write things:
//! lines end in CRLF and nothing else, no line is folded, no space stands before a colon, no message has both a length and
//! a transfer coding or two of either, the only transfer coding is `chunked`, and `Host` stands once and agrees with the
//! target. Everything else is an error, never a guess. What goes on is written anew from the parsed value.
//!
//! **Limits**: [`HEAD_MAX`] bytes, [`FIELDS_MAX`] fields.

use pinfold_base::authority::AuthorityError;
use pinfold_base::authority::Target;

/// The longest head that is accepted, in bytes.
pub const HEAD_MAX: usize = 32 << 10;
/// The most fields of a head.
pub const FIELDS_MAX: usize = 100;
/// The longest method.
const METHOD_MAX: usize = 24;

/// Why bytes are not the head of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Over [`HEAD_MAX`] bytes.
    #[error("the head is longer than 32 KiB")]
    TooLong,
    /// Over [`FIELDS_MAX`] fields.
    #[error("the head has more than 100 fields")]
    TooManyFields,
    /// CR or LF alone, or NUL and the like.
    #[error("a line of the head has a control character or does not end in CRLF")]
    Control,
    /// The first line.
    #[error("the first line is malformed")]
    FirstLine,
    /// The preface of HTTP/2, HTTP/0.9, …
    #[error("only HTTP/1.1 and HTTP/1.0 are spoken here")]
    Version,
    /// A field without a name or with a space in front of its colon.
    #[error("a field of the head is malformed")]
    Field,
    /// A line that begins with white space.
    #[error("a field is folded over several lines")]
    Folded,
    /// The target is none of the three forms.
    #[error("the request target is malformed")]
    Target,
    /// `https://…` sent to the proxy in the open.
    #[error("the scheme of the target is not `http`; tunnels are opened with CONNECT")]
    Scheme,
    /// The host of the target or of `Host`.
    #[error(transparent)]
    Host(#[from] AuthorityError),
    /// `Host` is missing or stands twice.
    #[error("`Host` must stand exactly once")]
    HostCount,
    /// `Host` names another host than the target.
    #[error("`Host` is not the host of the target")]
    HostDiffers,
    /// Content-Length twice, malformed, or together with Transfer-Encoding; or a transfer coding other than chunked.
    #[error("the length of the body is ambiguous")]
    Length,
    /// CONNECT with a body.
    #[error("CONNECT cannot have a body")]
    ConnectBody,
}

/// A field as it was written, its surrounding white space removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The name, as written.
    pub name: String,
    /// The value.
    pub value: Vec<u8>,
}

impl Field {
    /// Whether the field has this name.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// How the body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked,
    /// All until the connection is closed; responses only.
    UntilClose,
}

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestTarget {
    /// CONNECT: a tunnel.
    Tunnel(Target),
    /// Absolute form: a request to be forwarded. The path begins with `/` and holds the query.
    Forward {
        /// The server.
        target: Target,
        /// Path and query.
        path: String,
    },
    /// Origin form: path and query, for a credential route.
    Origin(String),
}

/// The version of a message, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0: no chunks.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The method, as written: methods are case-sensitive.
    pub method: String,
    /// What it is for.
    pub target: RequestTarget,
    /// Its version.
    pub version: Version,
    /// Its fields in order.
    pub fields: Vec<Field>,
    /// How its body is delimited.
    pub body: Body,
}

/// The head of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status code, 100 to 599.
    pub status: u16,
    /// The reason phrase.
    pub reason: String,
    /// Its fields in order.
    pub fields: Vec<Field>,
    /// How its body is delimited, before the method of the request is considered.
    pub body: Body,
}

/// Reads a request's head from the start of `bytes`: the head and its length, or `None` when more bytes are needed.
pub fn parse_request(bytes: &[u8]) -> Result<Option<(RequestHead, usize)>, HeadError> {
    let Some((lines, length)) = split_head(bytes)? else { return Ok(None) };
    let (first, fields) = lines.split_first().ok_or(HeadError::FirstLine)?;
    let mut words = first.split(|&byte| byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(HeadError::FirstLine);
    };
    if method.is_empty() || method.len() > METHOD_MAX || !method.iter().copied().all(is_token) {
        return Err(HeadError::FirstLine);
    }
    let version = parse_version(version)?;
    let fields = parse_fields(fields)?;
    let method = text(method);
    let target = parse_target(&method, target)?;
    check_host(&target, version, &fields)?;
    let body = match length_of(&fields, version)? {
        Body::UntilClose => Body::None,
        body => body,
    };
    if matches!(target, RequestTarget::Tunnel(_)) && !matches!(body, Body::None | Body::Length(0)) {
        return Err(HeadError::ConnectBody);
    }
    Ok(Some((RequestHead { method, target, version, fields, body }, length)))
}

/// Reads a response's head from the start of `bytes`, as [`parse_request`] does.
pub fn parse_response(bytes: &[u8]) -> Result<Option<(ResponseHead, usize)>, HeadError> {
    let Some((lines, length)) = split_head(bytes)? else { return Ok(None) };
    let (first, fields) = lines.split_first().ok_or(HeadError::FirstLine)?;
    let (version, rest) = first.split_at_checked(8).ok_or(HeadError::FirstLine)?;
    let version = parse_version(version)?;
    let (code, reason) = match rest {
        [b' ', a, b, c] => ([a, b, c], &b""[..]),
        [b' ', a, b, c, b' ', reason @ ..] => ([a, b, c], reason),
        _ => return Err(HeadError::FirstLine),
    };
    if !code.iter().all(|digit| digit.is_ascii_digit()) || !(b'1'..=b'5').contains(code[0]) {
        return Err(HeadError::FirstLine);
    }
    let status = code.iter().fold(0, |value, digit| value * 10 + u16::from(**digit - b'0'));
    let fields = parse_fields(fields)?;
    let body = match status {
        100..=199 | 204 | 304 => Body::None,
        _ => length_of(&fields, version)?,
    };
    Ok(Some((ResponseHead { status, reason: text(reason), fields, body }, length)))
}

/// Whether a field is about one connection only and is not passed on (RFC 9110, section 7.6.1), or says how the body is
/// delimited, which is written anew.
pub fn is_hop_by_hop(field: &Field, fields: &[Field]) -> bool {
    const NAMES: [&str; 11] = [
        "Connection",
        "Keep-Alive",
        "Proxy-Connection",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "Content-Length",
        "Upgrade",
        "Expect",
    ];
    NAMES.iter().any(|name| field.is(name))
        || fields.iter().filter(|other| other.is("Connection")).any(|connection| {
            connection
                .value
                .split(|&byte| byte == b',')
                .any(|name| name.trim_ascii().eq_ignore_ascii_case(field.name.as_bytes()))
        })
}

/// Lines without their CRLF, and the length of the whole head.
type Lines<'a> = (Vec<&'a [u8]>, usize);

fn split_head(bytes: &[u8]) -> Result<Option<Lines<'_>>, HeadError> {
    let mut lines = Vec::new();
    let mut start = 0;
    loop {
        let rest = &bytes[start..bytes.len().min(HEAD_MAX)];
        // Only visible characters, spaces, tabs and bytes above ASCII stand in a line; the rest is refused as it comes,
        // without waiting for an end.
        let wrong = rest.iter().position(|&byte| (byte < b' ' && byte != b'\t') || byte == 0x7f);
        let Some(end) = wrong else {
            return if bytes.len() >= HEAD_MAX { Err(HeadError::TooLong) } else { Ok(None) };
        };
        match rest[end..] {
            [b'\r', b'\n', ..] => {}
            [b'\r'] if bytes.len() < HEAD_MAX => return Ok(None),
            [b'\r'] => return Err(HeadError::TooLong),
            _ => return Err(HeadError::Control),
        }
        start += end + 2;
        if end == 0 {
            return Ok(Some((lines, start)));
        }
        lines.push(&rest[..end]);
        if lines.len() > FIELDS_MAX + 1 {
            return Err(HeadError::TooManyFields);
        }
    }
}

fn parse_version(text: &[u8]) -> Result<Version, HeadError> {
    match text {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        _ if text.starts_with(b"HTTP/") => Err(HeadError::Version),
        _ => Err(HeadError::FirstLine),
    }
}

fn parse_fields(lines: &[&[u8]]) -> Result<Vec<Field>, HeadError> {
    lines
        .iter()
        .map(|line| {
            if line.starts_with(b" ") || line.starts_with(b"\t") {
                return Err(HeadError::Folded);
            }
            let colon = line.iter().position(|&byte| byte == b':').ok_or(HeadError::Field)?;
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            if name.is_empty() || !name.iter().copied().all(is_token) {
                return Err(HeadError::Field);
            }
            Ok(Field { name: text(name), value: value.trim_ascii().to_vec() })
        })
        .collect()
}

fn parse_target(method: &str, target: &[u8]) -> Result<RequestTarget, HeadError> {
    if method == "CONNECT" {
        return Ok(RequestTarget::Tunnel(Target::parse(target, None)?));
    }
    if !target.iter().all(u8::is_ascii_graphic) || target.contains(&b'#') {
        return Err(HeadError::Target);
    }
    if target.starts_with(b"/") {
        return Ok(RequestTarget::Origin(text(target)));
    }
    let scheme = target.windows(3).position(|window| window == b"://").ok_or(HeadError::Target)?;
    if !target[..scheme].eq_ignore_ascii_case(b"http") {
        return Err(HeadError::Scheme);
    }
    let rest = &target[scheme + 3..];
    let end = rest.iter().position(|byte| b"/?".contains(byte)).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let path = if path.starts_with(b"/") { text(path) } else { format!("/{}", text(path)) };
    Ok(RequestTarget::Forward { target: Target::parse(authority, Some(80))?, path })
}

fn check_host(target: &RequestTarget, version: Version, fields: &[Field]) -> Result<(), HeadError> {
    let mut hosts = fields.iter().filter(|field| field.is("Host"));
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host,
        // Some clients leave it out of CONNECT, and HTTP/1.0 does not have it.
        (None, None) if version == Version::Http10 || matches!(target, RequestTarget::Tunnel(_)) => {
            return Ok(());
        }
        _ => return Err(HeadError::HostCount),
    };
    let agrees = match target {
        RequestTarget::Tunnel(target) => Target::parse(&host.value, Some(target.port))? == *target,
        RequestTarget::Forward { target, .. } => Target::parse(&host.value, Some(80))? == *target,
        // The relay's own address; it is replaced.
        RequestTarget::Origin(_) => true,
    };
    if agrees { Ok(()) } else { Err(HeadError::HostDiffers) }
}

/// `UntilClose` when the head says nothing about the length.
fn length_of(fields: &[Field], version: Version) -> Result<Body, HeadError> {
    let mut body = Body::UntilClose;
    for field in fields {
        let said = if field.is("Content-Length") {
            Body::Length(parse_length(&field.value)?)
        } else if field.is("Transfer-Encoding") {
            if version == Version::Http10 || !field.value.eq_ignore_ascii_case(b"chunked") {
                return Err(HeadError::Length);
            }
            Body::Chunked
        } else {
            continue;
        };
        if body != Body::UntilClose {
            return Err(HeadError::Length);
        }
        body = said;
    }
    Ok(body)
}

fn parse_length(digits: &[u8]) -> Result<u64, HeadError> {
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(HeadError::Length);
    }
    Ok(digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0')))
}

/// `tchar` of RFC 9110, section 5.6.2.
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(text: &str) -> Result<RequestHead, HeadError> {
        parse_request(text.as_bytes()).map(|found| found.expect("a whole head").0)
    }

    fn error(text: &str) -> HeadError {
        request(text).expect_err(text)
    }

    #[test]
    fn the_three_forms() {
        let head = request("CONNECT Example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n").unwrap();
        assert_eq!(head.target, RequestTarget::Tunnel(Target::parse(b"example.com:443", None).unwrap()));
        assert_eq!(head.body, Body::None);
        let head = request("GET HTTP://example.com?a=b HTTP/1.1\r\nhost:\texample.com:80 \r\nX-A: \r\n\r\n")
            .unwrap();
        let target = Target::parse(b"example.com:80", None).unwrap();
        assert_eq!(head.target, RequestTarget::Forward { target, path: "/?a=b".into() });
        assert_eq!(head.fields[1], Field { name: "X-A".into(), value: vec![] });
        let head = request(
            "POST /v1/messages?beta=true HTTP/1.1\r\nHost: 127.0.0.1:3129\r\nContent-Length: 2\r\n\r\n",
        );
        let head = head.unwrap();
        assert_eq!(head.target, RequestTarget::Origin("/v1/messages?beta=true".into()));
        assert_eq!(head.body, Body::Length(2));
        // As Python's http.client opens tunnels.
        assert!(request("CONNECT example.com:443 HTTP/1.0\r\n\r\n").is_ok());
    }

    #[test]
    fn what_follows_the_head_is_left() {
        let bytes = b"GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\nrest";
        let (_, length) = parse_request(bytes).unwrap().unwrap();
        assert_eq!(&bytes[length..], b"rest");
        for end in 0..length {
            assert_eq!(parse_request(&bytes[..end]), Ok(None), "{end}");
        }
    }

    /// Row N17: ways to be read differently by two parsers.
    #[test]
    fn smuggling_is_refused() {
        use HeadError as E;
        let post =
            |fields: &str| format!("POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n\r\n");
        for (fields, expected) in [
            ("Content-Length: 1\r\nContent-Length: 1", E::Length),
            ("Content-Length: 1, 1", E::Length),
            ("Content-Length: +1", E::Length),
            ("Content-Length: -1", E::Length),
            ("Content-Length: 0x1", E::Length),
            ("Content-Length: 1 1", E::Length),
            ("Content-Length:", E::Length),
            ("Content-Length: 99999999999999999999", E::Length),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked", E::Length),
            ("Transfer-Encoding: chunked\r\nContent-Length: 5", E::Length),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", E::Length),
            ("Transfer-Encoding: chunked, chunked", E::Length),
            ("Transfer-Encoding: gzip, chunked", E::Length),
            ("Transfer-Encoding: identity", E::Length),
            ("Transfer-Encoding: xchunked", E::Length),
            ("Transfer-Encoding: \x0bchunked", E::Control),
            ("Transfer-Encoding : chunked", E::Field),
            ("Transfer-Encoding\t: chunked", E::Field),
            (" Transfer-Encoding: chunked", E::Folded),
            ("X: a\r\n Transfer-Encoding: chunked", E::Folded),
            ("X: a\r\n\tb", E::Folded),
            ("X: a\nTransfer-Encoding: chunked", E::Control),
            ("X: a\rTransfer-Encoding: chunked", E::Control),
            ("X: a\0b", E::Control),
            ("X", E::Field),
            (": a", E::Field),
            ("X Y: a", E::Field),
            ("X\u{e9}: a", E::Field),
            ("Host: a.example", E::HostCount),
            ("Host: b.example", E::HostCount),
        ] {
            assert_eq!(error(&post(fields)), expected, "{fields:?}");
        }
        assert_eq!(error("POST http://a.example/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), E::Length);
        // Negative control: the same request without any of it.
        assert!(request(&post("X: a")).is_ok());
        assert!(request(&post("Transfer-Encoding: Chunked")).is_ok());
    }

    #[test]
    fn first_lines_have_one_form() {
        use HeadError as E;
        for (line, expected) in [
            ("PRI * HTTP/2.0", E::Version),
            ("GET http://a.example/", E::FirstLine),
            ("GET http://a.example/ HTTP/1.2", E::Version),
            ("GET http://a.example/ http/1.1", E::FirstLine),
            ("GET  http://a.example/ HTTP/1.1", E::FirstLine),
            ("GET http://a.example/ HTTP/1.1 ", E::FirstLine),
            ("GET http://a.example/ x HTTP/1.1", E::FirstLine),
            ("G(T http://a.example/ HTTP/1.1", E::FirstLine),
            (" http://a.example/ HTTP/1.1", E::FirstLine),
            ("GET * HTTP/1.1", E::Target),
            ("GET a.example HTTP/1.1", E::Target),
            ("GET //a.example HTTP/1.1", E::HostCount),
            ("GET https://a.example/ HTTP/1.1", E::Scheme),
            ("GET ftp://a.example/ HTTP/1.1", E::Scheme),
            ("GET http://a.example/#x HTTP/1.1", E::Target),
            ("GET http:///x HTTP/1.1", E::Host(AuthorityError::Empty)),
            ("GET http://u@a.example/ HTTP/1.1", E::Host(AuthorityError::UserInfo)),
            ("GET http://b.example\\@a.example/ HTTP/1.1", E::Host(AuthorityError::UserInfo)),
            ("CONNECT a.example HTTP/1.1", E::Host(AuthorityError::NoPort)),
            ("CONNECT /a HTTP/1.1", E::Host(AuthorityError::Character)),
            ("CONNECT http://a.example:443 HTTP/1.1", E::Host(AuthorityError::Port)),
            ("CONNECT [::ffff:127.0.0.1]:443 HTTP/1.1", E::Host(AuthorityError::MappedIpv4)),
        ] {
            assert_eq!(error(&format!("{line}\r\n\r\n")), expected, "{line:?}");
        }
        assert_eq!(error("\r\nGET http://a.example/ HTTP/1.1\r\n\r\n"), E::FirstLine);
        assert_eq!(parse_request(b"\x16\x03\x01\x02\x00"), Err(E::Control));
    }

    /// Row N10, the part that can be read here.
    #[test]
    fn host_and_target_must_agree() {
        use HeadError as E;
        let forward = |host: &str| format!("GET http://a.example/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert!(request(&forward("A.example.:80")).is_ok());
        assert_eq!(error(&forward("b.example")), E::HostDiffers);
        assert_eq!(error(&forward("a.example:8080")), E::HostDiffers);
        assert_eq!(error(&forward("")), E::Host(AuthorityError::Empty));
        assert_eq!(error(&forward("a.example, b.example")), E::Host(AuthorityError::Character));
        let tunnel = |host: &str| format!("CONNECT a.example:443 HTTP/1.1\r\nHost: {host}\r\n\r\n");
        assert!(request(&tunnel("a.example")).is_ok());
        assert_eq!(error(&tunnel("b.example:443")), E::HostDiffers);
        assert_eq!(error(&tunnel("a.example:80")), E::HostDiffers);
        assert_eq!(error("GET http://a.example/ HTTP/1.1\r\n\r\n"), E::HostCount);
        assert_eq!(error("CONNECT a.example:443 HTTP/1.1\r\nContent-Length: 5\r\n\r\n"), E::ConnectBody);
    }

    #[test]
    fn heads_are_bounded() {
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}", "X: y\r\n".repeat(FIELDS_MAX));
        assert_eq!(parse_request(many.as_bytes()), Err(HeadError::TooManyFields));
        let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(HEAD_MAX));
        assert_eq!(parse_request(long.as_bytes()), Err(HeadError::TooLong));
        let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(HEAD_MAX));
        assert_eq!(parse_request(long.as_bytes()), Err(HeadError::TooLong));
        let split = format!("GET / HTTP/1.1\r\nX: {}\r", "x".repeat(HEAD_MAX - 20));
        assert_eq!(split.len(), HEAD_MAX);
        assert_eq!(parse_request(split.as_bytes()), Err(HeadError::TooLong));
    }

    #[test]
    fn responses() {
        let response =
            |text: &str| parse_response(text.as_bytes()).map(|found| found.expect("a whole head").0);
        let head = response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n").unwrap();
        assert_eq!((head.status, head.body, head.reason.as_str()), (200, Body::Length(3), "OK"));
        assert_eq!(response("HTTP/1.0 404\r\n\r\n").unwrap().body, Body::UntilClose);
        assert_eq!(response("HTTP/1.1 204 \r\nContent-Length: 3\r\n\r\n").unwrap().body, Body::None);
        for text in
            ["HTTP/1.1 99 x\r\n\r\n", "HTTP/1.1 600 x\r\n\r\n", "HTTP/1.1 2000 x\r\n\r\n", "HTTP/1.1\r\n\r\n"]
        {
            assert_eq!(response(text), Err(HeadError::FirstLine), "{text:?}");
        }
        assert_eq!(
            response("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Err(HeadError::Length)
        );
    }

    #[test]
    fn fields_of_one_connection_are_known() {
        let head = request(
            "GET http://a.example/ HTTP/1.1\r\nHost: a.example\r\nConnection: close, X-Inner\r\n\
             x-inner: 1\r\nProxy-Authorization: Basic abc\r\nX-Outer: 2\r\n\r\n",
        )
        .unwrap();
        let kept: Vec<&str> = head
            .fields
            .iter()
            .filter(|field| !is_hop_by_hop(field, &head.fields))
            .map(|field| field.name.as_str())
            .collect();
        assert_eq!(kept, ["Host", "X-Outer"]);
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse_request(&bytes);
            let _ = parse_response(&bytes);
        }

        /// A head that is accepted has its CRLF CRLF where it says, no bare CR or LF, and stays the same when bytes
        /// follow it; and no part of it is accepted.
        #[test]
        fn likely_bytes(text in "(GET|CONNECT) (http://)?[a-c.:0-9/@\\r\\n ]{1,12} HTTP/1.1(\r\n|\n|\r)(Host: [a-c.]{1,4}(\r\n|\n))?([A-Z-]{1,3}:? ?[a-z\r\n]{0,4}(\r\n|\n)){0,3}\r\n", tail in "[a-z\r\n]{0,4}") {
            if let Ok(Some((head, length))) = parse_request(text.as_bytes()) {
                prop_assert!(text[..length].ends_with("\r\n\r\n"));
                let inner = text[..length].replace("\r\n", "");
                prop_assert!(!inner.contains(['\r', '\n']));
                let longer = format!("{}{tail}", &text[..length]);
                prop_assert_eq!(parse_request(longer.as_bytes()), Ok(Some((head, length))));
                for end in 0..length {
                    prop_assert_eq!(parse_request(&text.as_bytes()[..end]), Ok(None));
                }
            }
        }
    }
}
