//! Whether a host is asked directly, as curl decides it: rows of its own unit test 1614, and answers of curl 7.88.1 to
//! `no_proxy=LIST http_proxy=http://127.0.0.1:1 curl -v URL`.

use super::*;

fn proxies(vars: &[(&str, &str)]) -> Result<Proxies, HttpError> {
    Proxies::from_env(|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()))
}

#[test]
fn exceptions_are_those_of_curl() {
    let mut wrong = Vec::new();
    for (host, list, direct) in [
        // Unit test 1614.
        ("www.example.com", "localhost,.example.com,.example.de", true),
        ("www.example.com.", "localhost,.example.com,.example.de", true),
        ("example.com", "localhost,.example.com,.example.de", true),
        ("example.com.", "localhost,.example.com,.example.de", true),
        ("www.example.com", "localhost,.example.com.,.example.de", true),
        ("www.example.com", "localhost,www.example.com.,.example.de", true),
        ("example.com", "localhost,example.com,.example.de", true),
        ("example.com.", "localhost,example.com,.example.de", true),
        ("127.0.0.1", "127.0.0.1,localhost", true),
        ("127.0.0.1", "127.0.0.1,localhost,", true),
        ("127.0.0.1", "127.0.0.1/8,localhost,", true),
        ("127.0.0.1", "127.0.0.1/28,localhost,", true),
        ("127.0.0.1", "127.0.0.1/31,localhost,", true),
        ("127.0.0.1", "localhost,127.0.0.1", true),
        ("127.0.0.1", "localhost,127.0.0.1.127.0.0.", false),
        ("localhost", "localhost,127.0.0.1", true),
        ("localhost", "127.0.0.1,localhost", true),
        ("foobar", "barfoo", false),
        ("foobar", "foobar", true),
        ("192.168.0.1", "foobar", false),
        ("192.168.0.1", "192.168.0.0/16", true),
        ("192.168.0.1", "192.168.0.0/24", true),
        ("192.168.0.1", "192.168.0.0/32", false),
        ("192.168.0.1", "192.168.0.0", false),
        ("192.168.1.1", "192.168.0.0/24", false),
        ("192.168.1.1", "foo, bar, 192.168.0.0/24", false),
        ("192.168.1.1", "foo, bar, 192.168.0.0/16", true),
        ("[::1]", "foo, bar, 192.168.0.0/16", false),
        ("[::1]", "foo, bar, ::1/64", true),
        ("bar", "foo, bar, ::1/64", true),
        ("BAr", "foo, bar, ::1/64", true),
        ("BAr", "foo,,,,,              bar, ::1/64", true),
        ("www.example.com", "foo, .example.com", true),
        ("www.example.com", "www2.example.com, .example.net", false),
        ("example.com", ".example.com, .example.net", true),
        ("nonexample.com", ".example.com, .example.net", false),
        // The masks of its tests of single addresses.
        ("192.160.0.1", "192.160.0.1/33", false),
        ("192.160.0.1", "192.160.0.1/20", true),
        ("192.160.0.1", "10.0.0.1/8", false),
        ("[::1]", "0:0::1/128", true),
        ("[::1]", "0:0::1/129", false),
        ("[fe80::ab47:4396:55c9:8474]", "fe80::ab47:4396:55c9:8474/64", true),
        // curl 7.88.1.
        ("10.1.2.3", "10.0.0.0/8", true),
        ("[::1]", "::1", true),
        ("corp", ".corp", true),
        ("a.corp.", "corp", true),
        // A name is no address, and an address no part of a name.
        ("10.evil.example", "10.0.0.0/8", false),
        ("1.10.0.0.1", "10.0.0.0/8", false),
        ("127.0.0.1", "0.0.1", false),
        ("192.168.0.1", "192.168.0.0/x", false),
        ("192.168.0.1", "192.168.0.0/", false),
        ("192.168.0.1", "/8", false),
    ] {
        let found = proxies(&[("http_proxy", "http://p:1"), ("no_proxy", list)]).unwrap();
        if found.for_url(&format!("http://{host}/").parse().unwrap()).is_none() != direct {
            wrong.push(format!("{host} in `{list}` should {}match", if direct { "" } else { "not " }));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
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
