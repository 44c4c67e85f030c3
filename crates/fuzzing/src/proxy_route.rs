//! What of a request takes a credential route.

use std::collections::BTreeSet;

use pinfold_network::RequestRules;
use pinfold_network::wire::head::RequestTarget;
use pinfold_network::wire::head::parse_request;

/// Any bytes as a head, as a target, as a header and as a type of body: what passes has one reading, byte by byte, and holds
/// nothing that was not named.
pub fn proxy_route(bytes: &[u8]) {
    let rest = b" HTTP/1.1\r\nHost: x\r\nX-App: a\r\n\r\n";
    judge(bytes);
    judge(&[b"POST ", bytes, rest].concat());
    judge(&[b"POST /v1/", bytes, rest].concat());
    judge(&[b"POST /v1?", bytes, rest].concat());
    judge(&[b"POST /v1 HTTP/1.1\r\nHost: x\r\n", bytes, b"\r\n\r\n"].concat());
    judge(&[b"POST /v1 HTTP/1.1\r\nHost: x\r\nContent-Type: ", bytes, b"\r\n\r\n"].concat());
}

fn judge(bytes: &[u8]) {
    let rules = r#"{"headers": ["x-app"], "query": ["alt=sse", "limit"], "escapes": ["%2F", "%3a"]}"#;
    let Ok(rules) = serde_json::from_str::<RequestRules>(rules) else { unreachable!("these are rules") };
    let Ok(Some((head, _))) = parse_request(bytes) else { return };
    let RequestTarget::Origin(target) = &head.target else { return };
    if rules.judge(&head, target, &["/v1".to_owned()]).is_err() {
        return;
    }
    assert!(matches!(&*head.method, "GET" | "HEAD" | "POST"));
    let (path, query) = target.split_once('?').unwrap_or((target, "limit"));
    let decoded = path.replace("%2F", "/").replace("%3a", ":");
    assert!(decoded == "/v1" || decoded.starts_with("/v1/"));
    assert!(
        !decoded.contains(['%', '\\', ';', '?', '#', '&', '"', '<', '>', '|']) && !decoded.contains("//")
    );
    assert!(decoded.split('/').all(|segment| segment != "." && segment != ".."));
    let mut names = BTreeSet::new();
    for parameter in query.split('&') {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        assert!(name == "limit" || parameter == "alt=sse");
        assert!(names.insert(name) && !value.contains([';', '=', '?', '#', '[']));
    }
    let mut names = BTreeSet::new();
    for field in head.fields.iter().filter(|field| rules.passes(field, &head.fields)) {
        let name = field.name.to_ascii_lowercase();
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'));
        assert!(
            !["key", "auth", "token", "cookie", "host", "range", "forward"]
                .iter()
                .any(|part| name.contains(part))
        );
        if name == "content-type" {
            let value = field.value.to_ascii_lowercase();
            assert!(value.starts_with(b"application/json") && !value.contains(&b','));
        }
        assert!(names.insert(name));
    }
}
