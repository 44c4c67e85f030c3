use proptest::prelude::*;

use super::*;
use crate::wire::head::RequestTarget;
use crate::wire::head::parse_request;

const PREFIXES: [&str; 2] = ["/v1/messages", "/v1beta/models/"];

fn rules(text: &str) -> RequestRules {
    serde_json::from_str(text).unwrap()
}

/// A route like those of the built-in recipes.
fn usual() -> RequestRules {
    rules(r#"{"headers": ["X-App"], "query": ["beta=true", "limit"]}"#)
}

fn judge(rules: &RequestRules, first: &str, fields: &str) -> Result<(), RouteRefusal> {
    let text = format!("{first} HTTP/1.1\r\nHost: 127.0.0.1:3180\r\n{fields}\r\n");
    let (head, _) = parse_request(text.as_bytes()).unwrap().unwrap();
    let RequestTarget::Origin(target) = &head.target else { panic!("origin form") };
    rules.judge(&head, target, &PREFIXES.map(String::from))
}

fn target(rules: &RequestRules, target: &str) -> Result<(), RouteRefusal> {
    judge(rules, &format!("POST {target}"), "")
}

#[test]
fn only_listed_paths_pass() {
    for path in [
        "/v1/messages",
        "/v1/messages/",
        "/v1/messages/count_tokens",
        "/v1/messages/@scope/a~b/x!y",
        "/v1beta/models/gemini-2.5:streamGenerateContent",
    ] {
        assert_eq!(target(&usual(), path), Ok(()), "{path}");
    }
    for path in
        ["/", "/v1", "/v1/messagesx", "/v1/messages:batch", "/v1/files", "/V1/messages", "/v1betax/models/a"]
    {
        assert_eq!(target(&usual(), path), Err(RouteRefusal::Path), "{path}");
    }
    for path in [
        "/v1/messages/../files",
        "/v1/messages/./x",
        "/v1/messages//x",
        "//v1/messages",
        "/v1/messages/..",
        "/v1/messages/.",
        "/v1/messages\\..\\files",
        "/v1/messages;x/../files",
        "/v1/messages/x;y=z",
        "/v1/messages/x&y",
        "/v1/messages/x|y",
        "/v1/messages/\"x\"",
        "/v1/messages/<x>",
        "/v1/messages/[x]",
        "/v1/messages/{x}",
        "/v1/messages/x^y",
        "/v1/messages/`x`",
    ] {
        assert_eq!(target(&usual(), path), Err(RouteRefusal::AmbiguousPath), "{path}");
    }
}

/// RFC 3986, sections 2.1 to 2.3: which bytes an escape can stand for, and in which spellings.
#[test]
fn an_escape_passes_only_as_it_was_declared() {
    let all: Vec<String> =
        (0..=255u8).flat_map(|byte| [format!("%{byte:02X}"), format!("%{byte:02x}")]).collect();
    for escape in
        all.iter().map(String::as_str).chain(["%", "%2", "%%2f", "%u002f", "%zz", "%c0%af", "%e0%80%af"])
    {
        for path in [format!("/v1/messages/a{escape}b"), format!("/v1/messages{escape}..{escape}files")] {
            assert!(matches!(target(&usual(), &path), Err(RouteRefusal::Escape(_))), "{path}");
        }
        let query = format!("/v1/messages?limit=a{escape}b");
        assert!(matches!(target(&usual(), &query), Err(RouteRefusal::Escape(_))), "{query}");
    }
    let scopes = rules(r#"{"escapes": ["%2F", "%3a"], "query": ["limit"]}"#);
    for path in ["/v1/messages/@a%2Fb", "/v1/messages/arn%3aaws%3ax", "/v1/messages?limit=a%2Fb"] {
        assert_eq!(target(&scopes, path), Ok(()), "{path}");
    }
    for path in ["/v1/messages/@a%2fb", "/v1/messages/arn%3Aaws", "/v1/messages/%252F", "/v1/messages/%40a"] {
        assert!(matches!(target(&scopes, path), Err(RouteRefusal::Escape(_))), "{path}");
    }
    // A declared separator is a separator: it hides no segment, and ends no prefix.
    for path in [
        "/v1/messages/..%2Ffiles",
        "/v1/messages/x%2F..%2F..%2Ffiles",
        "/v1/messages/x%2F.",
        "/v1/messages/x%2F%2Fy",
        "/v1/messages/x%2F",
        "/v1/messages/x%2F/y",
        "/v1/messages/%2Fx",
    ] {
        assert_eq!(target(&scopes, path), Err(RouteRefusal::AmbiguousPath), "{path}");
    }
    for path in ["/v1%2Fmessages", "/v1/messages%2Fx"] {
        assert_eq!(target(&scopes, path), Err(RouteRefusal::Path), "{path}");
    }
}

#[test]
fn no_recipe_declares_an_escape_with_two_readings() {
    let declarable: String = (0..=255u8)
        .filter(|byte| {
            let [upper, lower] = [format!("%{byte:02X}"), format!("%{byte:02x}")];
            assert_eq!(upper.parse::<Escape>().is_ok(), lower.parse::<Escape>().is_ok(), "{upper}");
            upper.parse::<Escape>().is_ok()
        })
        .map(char::from)
        .collect();
    // Visible ASCII without RFC 3986's unreserved characters, `%` and `\`.
    assert_eq!(declarable, " !\"#$&'()*+,/:;<=>?@[]^`{|}");
    for text in ["", "%", "%2", "2F", "%2F%2F", "%+F", "% F", "%2G", "%252F"] {
        assert!(text.parse::<Escape>().is_err(), "{text}");
    }
}

#[test]
fn only_named_parameters_pass() {
    for query in ["beta=true", "limit=5", "beta=true&limit=a.b-c_d~e", "limit", "limit="] {
        assert_eq!(target(&usual(), &format!("/v1/messages?{query}")), Ok(()), "{query}");
    }
    for (query, name) in [
        ("key=AIza", "key"),
        ("KEY=AIza", "KEY"),
        ("access_token=x", "access_token"),
        ("$key=x", "$key"),
        ("%24key=x", "%24key"),
        ("%6bey=x", "%6bey"),
        ("key%3Dx", "key%3Dx"),
        ("alt=media", "alt"),
        ("beta=false", "beta"),
        ("beta", "beta"),
        ("beta=true;key=x", "beta"),
        ("Beta=true", "Beta"),
        ("be%74a=true", "be%74a"),
        ("beta=true&key=x", "key"),
        ("limit[]=5", "limit[]"),
        ("limit.=5", "limit."),
        ("+limit=5", "+limit"),
        ("_method=DELETE", "_method"),
        ("quotaUser=x", "quotaUser"),
    ] {
        let expected = Err(RouteRefusal::Query(name.into()));
        assert_eq!(target(&usual(), &format!("/v1/messages?{query}")), expected, "{query}");
    }
    for query in [
        "",
        "&",
        "beta=true&",
        "&beta=true",
        "=",
        "=x",
        "limit=5;key=x",
        "limit=5=6",
        "limit=5?key=x",
        "limit=\"x\"",
    ] {
        let expected = Err(RouteRefusal::AmbiguousQuery);
        assert_eq!(target(&usual(), &format!("/v1/messages?{query}")), expected, "{query}");
    }
    assert_eq!(
        target(&usual(), "/v1/messages?limit=5&limit=6"),
        Err(RouteRefusal::QueryTwice("limit".into()))
    );
    assert_eq!(
        target(&RequestRules::default(), "/v1/messages?beta=true"),
        Err(RouteRefusal::Query("beta".into()))
    );
    let long = format!("/v1/messages?{}=1", "x".repeat(1000));
    assert_eq!(target(&usual(), &long), Err(RouteRefusal::Query("x".repeat(SHOWN))));
}

#[test]
fn methods_that_echo_or_were_not_named_are_refused() {
    for method in ["GET", "HEAD", "POST"] {
        assert_eq!(judge(&usual(), &format!("{method} /v1/messages"), ""), Ok(()), "{method}");
    }
    for method in ["TRACE", "TRACK", "OPTIONS", "PUT", "DELETE", "get", "PROPFIND"] {
        let judged = judge(&usual(), &format!("{method} /v1/messages"), "");
        assert_eq!(judged, Err(RouteRefusal::Method), "{method}");
    }
    let reading = rules(r#"{"methods": ["GET", "DELETE"]}"#);
    assert_eq!(judge(&reading, "DELETE /v1/messages", ""), Ok(()));
    assert_eq!(judge(&reading, "POST /v1/messages", ""), Err(RouteRefusal::Method));
}

fn passed(rules: &RequestRules, fields: &str) -> Vec<String> {
    let text = format!("GET / HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
    let (head, _) = parse_request(text.as_bytes()).unwrap().unwrap();
    head.fields
        .iter()
        .filter(|field| rules.passes(field, &head.fields))
        .map(|field| field.name.clone())
        .collect()
}

#[test]
fn headers_that_were_not_named_are_dropped() {
    for name in [
        "Authorization",
        "Proxy-Authorization",
        "X-Api-Key",
        "x_api_key",
        "X-Api_Key",
        "Api-Key",
        "x-goog-api-key",
        "x_goog_api_key",
        "X-Goog-User-Project",
        "X-Goog-Iam-Authorization-Token",
        "X-Goog-Request-Params",
        "X-Goog-Fieldmask",
        "OpenAI-Organization",
        "OpenAI-Project",
        "ChatGPT-Account-Id",
        "Anthropic-Workspace-Id",
        "X-Organization-Uuid",
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "X-Original-URL",
        "X-Rewrite-URL",
        "Forwarded",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Real-Ip",
        "Via",
        "Cookie",
        "Cookie2",
        "Range",
        "If-Range",
        "If-None-Match",
        "Accept-Encoding",
        "Accept_Encoding",
        "Content_Type",
        "TE",
        "Upgrade",
        "HTTP2-Settings",
        "Origin",
        "Referer",
        "X_App",
        "X-Unheard-Of",
        "Expect",
    ] {
        assert_eq!(passed(&usual(), &format!("{name}: x\r\n")), Vec::<String>::new(), "{name}");
    }
    let all = "Accept: */*\r\nUSER-AGENT: a\r\nContent-Type: application/json\r\nanthropic-beta: a, b\r\n\
               X-Stainless-OS: Linux\r\nx-app: cli\r\n";
    let names = ["Accept", "USER-AGENT", "Content-Type", "anthropic-beta", "X-Stainless-OS", "x-app"];
    assert_eq!(passed(&usual(), all), names);
    assert_eq!(passed(&usual(), "Connection: X-App\r\nX-App: x\r\nAccept: a\r\n"), ["Accept"]);
}

#[test]
fn a_header_that_is_passed_on_stands_once() {
    for (name, other) in [("X-App", "x-app"), ("Accept", "ACCEPT"), ("Content-Type", "content-type")] {
        let fields = format!("{name}: application/json\r\n{other}: application/json\r\n");
        let expected = Err(RouteRefusal::HeaderTwice(other.into()));
        assert_eq!(judge(&usual(), "POST /v1/messages", &fields), expected);
    }
    // Control: what is dropped may stand as often as it likes.
    assert_eq!(judge(&usual(), "POST /v1/messages", "X-Api-Key: a\r\nX-Api-Key: b\r\n"), Ok(()));
}

/// RFC 6750, section 2.2: a form may hold an access token.
#[test]
fn bodies_of_other_kinds_are_refused() {
    let files = rules(r#"{"types": ["application/json", "multipart/form-data"]}"#);
    for (rules, kind) in [
        (&usual(), "application/json"),
        (&usual(), "Application/JSON; charset=utf-8"),
        (&files, "multipart/form-data; boundary=\"a;b\""),
    ] {
        let fields = format!("Content-Type: {kind}\r\n");
        assert_eq!(judge(rules, "POST /v1/messages", &fields), Ok(()), "{kind}");
    }
    for kind in [
        "application/x-www-form-urlencoded",
        "application/json, application/x-www-form-urlencoded",
        "application/json; a=b, application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "multipart/mixed; boundary=x",
        "message/http",
        "application/json/x",
        "text/plain",
        "",
    ] {
        let judged = judge(&usual(), "POST /v1/messages", &format!("Content-Type: {kind}\r\n"));
        assert!(matches!(judged, Err(RouteRefusal::Type(_))), "{kind}");
    }
}

#[test]
fn what_a_recipe_cannot_declare() {
    for (field, texts) in [
        (
            "headers",
            &[
                "authorization",
                "x-api-key",
                "x_app",
                "x app",
                "",
                "cookie",
                "set-cookie",
                "host",
                "x-forwarded-for",
                "forwarded",
                "x-original-url",
                "x-http-method-override",
                "range",
                "if-range",
                "accept-encoding",
                "connection",
                "x-auth-token",
                "private-token",
                "proxy-anything",
            ][..],
        ),
        (
            "query",
            &[
                "key",
                "Key",
                "access_token",
                "api_key",
                "x-auth",
                "a&b",
                "a=b&c",
                "$key",
                "%24key",
                "",
                "=a",
                "a=",
                "a=b=c",
            ],
        ),
        ("escapes", &["%25", "%5C", "%5c", "%00", "%2E", "%41", "%c0", "%C3", "/"]),
        (
            "types",
            &[
                "application/x-www-form-urlencoded",
                "multipart/mixed",
                "message/http",
                "json",
                "Application/JSON",
                "a/b;c",
            ],
        ),
        ("methods", &["TRACE", "CONNECT", "get", "OPTIONS", "*"]),
        ("cookies", &["x"]),
    ] {
        for text in texts {
            let rules = serde_json::json!({ field: [text] });
            assert!(serde_json::from_value::<RequestRules>(rules).is_err(), "{field}: {text}");
        }
    }
    let good = r#"{"methods":["DELETE"],"headers":["X-App"],"query":["alt=sse","pageToken"],"escapes":["%2F"],"types":["multipart/form-data"]}"#;
    let written = serde_json::to_string(&rules(good)).unwrap();
    assert_eq!(written, good.replace("X-App", "x-app"));
}

proptest! {
    /// Independent of how it is judged: a target that passes has one reading. Decoded or not, it stays below its prefix.
    #[test]
    fn any_target(target in "/v1/messages([/?&=;%a.]|%2[FfEe5]|%5[Cc]|\\.\\.|limit|key){0,8}") {
        let rules = rules(r#"{"escapes": ["%2F"], "query": ["limit"]}"#);
        if judge(&rules, &format!("GET {target}"), "").is_ok() {
            let (path, query) = target.split_once('?').unwrap_or((&target, "limit"));
            let decoded = path.replace("%2F", "/");
            prop_assert!(!decoded.contains('%') && !decoded.contains("//") && !decoded.contains(';'));
            prop_assert!(decoded.split('/').all(|segment| segment != "." && segment != ".."));
            prop_assert!(decoded == "/v1/messages" || decoded.starts_with("/v1/messages/"));
            prop_assert!(query == "limit" || query.starts_with("limit=") && !query.contains('&'));
        }
    }
}
