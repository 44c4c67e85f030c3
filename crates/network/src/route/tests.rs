use super::*;
use crate::wire::head::parse_request;

fn spec() -> RouteSpec {
    serde_json::from_str(
        r#"{"id":1,"name":"claude-code","listen-port":3129,"upstream":"https://api.provider.example",
            "header":"x-api-key","placeholder":"placeholder-key","paths":["/v1/messages","/v1beta/models/"]}"#,
    )
    .unwrap()
}

fn route(change: impl FnOnce(&mut RouteSpec)) -> Route {
    let mut spec = spec();
    change(&mut spec);
    Route::new(spec, Credential::Env("KEY".into())).unwrap()
}

fn rewritten(route: &Route, text: &str) -> String {
    let (head, _) = parse_request(text.as_bytes()).unwrap().unwrap();
    let crate::wire::head::RequestTarget::Origin(path) = &head.target else { panic!("origin form") };
    let key = Secret::new(b"sk-canary").unwrap();
    String::from_utf8(route.rewrite(&head, path, &key)).unwrap()
}

#[test]
fn the_dummy_goes_and_the_key_comes() {
    let text = rewritten(
        &route(|_| {}),
        "POST /v1/messages?beta=true HTTP/1.1\r\nHost: 127.0.0.1:3129\r\nX-API-Key: placeholder-key\r\n\
         Authorization: Bearer placeholder-key\r\nx-goog-api-key: other\r\nCookie: a=b\r\n\
         Accept-Encoding: gzip\r\nUser-Agent: agent/1\r\nConnection: keep-alive, X-Drop\r\nX-Drop: 1\r\n\
         Expect: 100-continue\r\nContent-Length: 2\r\n\r\n",
    );
    assert_eq!(
        text,
        "POST /v1/messages?beta=true HTTP/1.1\r\nHost: api.provider.example\r\nUser-Agent: agent/1\r\n\
         x-api-key: sk-canary\r\nAccept-Encoding: identity\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
    );
}

#[test]
fn each_provider_has_its_header() {
    for (header, expected) in [
        (KeyHeader::XApiKey, "\r\nx-api-key: sk-canary\r\n"),
        (KeyHeader::Bearer, "\r\nAuthorization: Bearer sk-canary\r\n"),
        (KeyHeader::XGoogApiKey, "\r\nx-goog-api-key: sk-canary\r\n"),
    ] {
        let text =
            rewritten(&route(|spec| spec.header = header), "GET /v1/messages HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(text.contains(expected), "{text}");
        assert_eq!(text.matches("sk-canary").count(), 1);
    }
}

#[test]
fn base_paths_ports_and_further_headers() {
    let route = route(|spec| {
        spec.upstream = "https://gateway.example:8443/llm/".parse().unwrap();
        spec.request.query.insert("alt=sse".parse().unwrap());
        spec.set_headers.insert("anthropic-version".into(), "2023-06-01".into());
        spec.append_headers.insert("anthropic-beta".into(), "oauth".into());
    });
    let text = rewritten(
        &route,
        "GET /v1/messages?alt=sse HTTP/1.1\r\nHost: x\r\nAnthropic-Version: 1999\r\n\
         anthropic-beta: tools\r\n\r\n",
    );
    assert!(
        text.starts_with("GET /llm/v1/messages?alt=sse HTTP/1.1\r\nHost: gateway.example:8443\r\n"),
        "{text}"
    );
    assert!(!text.contains("1999") && text.contains("anthropic-version: 2023-06-01\r\n"));
    assert!(text.contains("anthropic-beta: tools\r\n") && text.contains("anthropic-beta: oauth\r\n"));
}

#[test]
fn a_key_goes_without_tls_to_loopback_only() {
    for url in
        ["http://127.0.0.1:8080", "http://localhost:8080/v1", "http://[::1]:1", "https://a.example/x/y"]
    {
        assert_eq!(url.parse::<BaseUrl>().unwrap().to_string(), url);
    }
    for url in [
        "http://api.provider.example",
        "http://10.0.0.1",
        "http://localhost.evil.example",
        "ftp://a.example",
        "https://u:p@a.example",
        "https://a.example/../x",
        "https://a.example/x?y",
        "https://",
        "a.example",
    ] {
        assert!(url.parse::<BaseUrl>().is_err(), "{url}");
    }
    assert_eq!("https://A.example:443/".parse::<BaseUrl>().unwrap().to_string(), "https://a.example");
    assert_eq!(
        route(|spec| spec.upstream = "http://127.0.0.1:1".parse().unwrap()).reach(),
        Addresses::Configured
    );
    assert_eq!(route(|_| {}).reach(), Addresses::Public);
}

#[test]
fn impossible_routes_are_refused() {
    let build = |change: fn(&mut RouteSpec)| {
        let mut spec = spec();
        change(&mut spec);
        Route::new(spec, Credential::Env("KEY".into()))
    };
    assert!(matches!(build(|spec| spec.id = RouteId::PROXY), Err(RouteError::Id { .. })));
    assert!(matches!(build(|spec| spec.paths.clear()), Err(RouteError::Paths { .. })));
    assert!(matches!(build(|spec| spec.paths.push("v1".into())), Err(RouteError::Paths { .. })));
    for (name, value) in [("Host", "x"), ("authorization", "x"), ("X Y", "x"), ("X", "a\r\nY: b"), ("", "x")]
    {
        let mut spec = spec();
        spec.set_headers.insert(name.into(), value.into());
        assert!(matches!(Route::new(spec, Credential::Env("KEY".into())), Err(RouteError::Header { .. })));
    }
    let unknown = r#"{"id":1,"name":"x","listen-port":1,"upstream":"https://a.example","header":"cookie","placeholder":"p","paths":["/"]}"#;
    assert!(serde_json::from_str::<RouteSpec>(unknown).is_err());
}
