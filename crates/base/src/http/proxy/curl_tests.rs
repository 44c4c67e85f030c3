//! Whether a host is asked directly, as curl decides it: rows of its own unit test 1614, and answers of curl 7.88.1 to
//! `no_proxy=LIST http_proxy=http://127.0.0.1:1 curl -v URL`.

use super::*;

fn proxies(vars: &[(&str, &str)]) -> Result<Proxies, HttpError> {
    Proxies::from_env(|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
}

#[test]
fn an_exception_with_a_port_holds_for_that_port_only() {
    for (url, list, direct) in [
        ("http://h:8080/", "h:8080", true),
        ("http://h:8081/", "h:8080", false),
        ("http://h/", "h:80", true),
        ("https://h/", "h:443", true),
        ("https://h/", "h:80", false),
        ("http://a.corp:81/", ".corp:81", true),
        ("http://a.corp:82/", ".corp:81", false),
        ("http://[::1]:81/", "[::1]:81", true),
        ("http://[::1]:82/", "[::1]:81", false),
        ("http://h:81/", "h:", false),
        ("http://h/", ":80", false),
    ] {
        let proxy = ("all_proxy", "http://p:1");
        let found = proxies(&[proxy, ("NO_PROXY", list)]).unwrap();
        assert_eq!(found.for_url(&url.parse().unwrap()).is_none(), direct, "{url} in `{list}`");
    }
}

#[test]
fn the_variables_are_read_in_the_order_of_curl() {
    let used = |vars: &[(&str, &str)], url: &str| {
        let found = proxies(vars).unwrap();
        found.for_url(&url.parse().unwrap()).map(|proxy| proxy.uri().authority().unwrap().to_string())
    };
    let (https, http) = ("https://x/", "http://x/");
    // Lower case before upper case, the scheme's own before `all_proxy`, empty like unset.
    for (vars, url, expected) in [
        (&[("https_proxy", "http://a:1"), ("HTTPS_PROXY", "http://b:1")][..], https, Some("a:1")),
        (&[("HTTPS_PROXY", "http://b:1")], https, Some("b:1")),
        (&[("https_proxy", ""), ("HTTPS_PROXY", "http://b:1")], https, Some("b:1")),
        (&[("http_proxy", "http://a:1")], https, None),
        (&[("https_proxy", "http://a:1")], http, None),
        (&[("all_proxy", "http://c:1"), ("HTTPS_PROXY", "http://b:1")], https, Some("b:1")),
        (&[("all_proxy", "http://c:1"), ("ALL_PROXY", "http://d:1")], http, Some("c:1")),
        (&[("ALL_PROXY", "d:1")], http, Some("d:1")),
        (&[("ALL_PROXY", "")], http, None),
        (&[("ALL_PROXY", "http://d:1")], "file:///x", None),
        (&[("ALL_PROXY", "http://d:1"), ("no_proxy", ""), ("NO_PROXY", "x")], http, None),
        (&[("ALL_PROXY", "http://d:1"), ("no_proxy", "y"), ("NO_PROXY", "x")], http, Some("d:1")),
    ] {
        assert_eq!(used(vars, url).as_deref(), expected, "{vars:?} {url}");
    }
}

#[test]
fn a_proxy_that_cannot_be_used_is_named_by_its_variable_and_never_by_its_value() {
    for (variable, value) in [
        ("https_proxy", "socks5://me:s3cret@p:1"),
        ("HTTP_PROXY", "socks4a://s3cret"),
        ("ALL_PROXY", "ftp://me:s3cret@p"),
        ("http_proxy", "http://me:s3cret@"),
        ("http_proxy", "http://me:s3cret@p:port"),
        ("http_proxy", "http://me:s3cret@p q"),
        ("http_proxy", "://s3cret"),
    ] {
        let error = proxies(&[(variable, value)]).unwrap_err();
        assert!(
            matches!(&error, HttpError::ProxyVariable { variable: found } if found == variable),
            "{error:?}"
        );
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }
}
