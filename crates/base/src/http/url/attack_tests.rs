//! What a hostile archive, registry, redirect or a tired user may write where an address belongs. Expected values: the tables
//! of RFC 3986, section 5.4, and the promises at the head of the module above.

use std::path::Path;

use super::*;

fn url(text: &str) -> SafeUrl {
    SafeUrl::parse(text).unwrap()
}

#[test]
fn references_resolve_as_in_every_row_of_rfc_3986() {
    let base = url("http://a/b/c/d;p?q");
    // 5.4.1 and 5.4.2, whole. Fragments are dropped here, and `g:h` and `http:g` name no scheme and host of ours.
    for (reference, expected) in [
        ("g:h", None),
        ("g", Some("http://a/b/c/g")),
        ("./g", Some("http://a/b/c/g")),
        ("g/", Some("http://a/b/c/g/")),
        ("/g", Some("http://a/g")),
        ("//g", Some("http://g/")),
        ("?y", Some("http://a/b/c/d;p?y")),
        ("g?y", Some("http://a/b/c/g?y")),
        ("#s", Some("http://a/b/c/d;p?q")),
        ("g#s", Some("http://a/b/c/g")),
        ("g?y#s", Some("http://a/b/c/g?y")),
        (";x", Some("http://a/b/c/;x")),
        ("g;x", Some("http://a/b/c/g;x")),
        ("g;x?y#s", Some("http://a/b/c/g;x?y")),
        ("", Some("http://a/b/c/d;p?q")),
        (".", Some("http://a/b/c/")),
        ("./", Some("http://a/b/c/")),
        ("..", Some("http://a/b/")),
        ("../", Some("http://a/b/")),
        ("../g", Some("http://a/b/g")),
        ("../..", Some("http://a/")),
        ("../../", Some("http://a/")),
        ("../../g", Some("http://a/g")),
        ("../../../g", Some("http://a/g")),
        ("../../../../g", Some("http://a/g")),
        ("/./g", Some("http://a/g")),
        ("/../g", Some("http://a/g")),
        ("g.", Some("http://a/b/c/g.")),
        (".g", Some("http://a/b/c/.g")),
        ("g..", Some("http://a/b/c/g..")),
        ("..g", Some("http://a/b/c/..g")),
        ("./../g", Some("http://a/b/g")),
        ("./g/.", Some("http://a/b/c/g/")),
        ("g/./h", Some("http://a/b/c/g/h")),
        ("g/../h", Some("http://a/b/c/h")),
        ("g;x=1/./y", Some("http://a/b/c/g;x=1/y")),
        ("g;x=1/../y", Some("http://a/b/c/y")),
        ("g?y/./x", Some("http://a/b/c/g?y/./x")),
        ("g?y/../x", Some("http://a/b/c/g?y/../x")),
        ("g#s/./x", Some("http://a/b/c/g")),
        ("g#s/../x", Some("http://a/b/c/g")),
        ("http:g", None),
    ] {
        let found = base.redirect(reference).ok();
        let found = found.as_ref().map(SafeUrl::request_text);
        assert_eq!(found.as_ref().map(Secret::expose), expected, "{reference}");
    }
}

#[test]
fn a_redirect_leads_to_no_file_no_other_scheme_and_keeps_no_login() {
    let base = url("https://me:s3cret@host:8443/a/b?token=s3cret");
    for refused in [
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "file://localhost/etc/passwd",
        "file:/etc/passwd",
        "ftp://x/",
        "javascript:alert(1)",
        "data:,x",
        "//",
        "///etc/passwd",
        "https://",
        "https:///x",
        "/a b",
        "/a\\b",
        "/\u{e4}",
        "/a\tb",
        "https://host:99999/",
        "https://[::1/",
        "https://h%6fst/",
    ] {
        assert!(base.redirect(refused).is_err(), "{refused}");
    }
    for (location, expected) in [
        ("/x", "https://host:8443/x"),
        ("x", "https://host:8443/a/x"),
        ("//host/x", "https://host/x"),
        ("http://host:8443/x", "http://host:8443/x"),
    ] {
        let found = base.redirect(location).unwrap();
        assert_eq!((found.expose().expose(), found.auth()), (expected, Auth::None), "{location}");
    }
}

#[test]
fn nothing_joined_leaves_its_folder_on_this_machine_either() {
    // Encoded slashes become slashes where a path of this machine is made of a URL.
    let base = SafeUrl::from_path(Path::new("/vendor/set")).unwrap();
    for hostile in [
        "..%2f..%2fetc/passwd",
        "a/..%2F..%2Fetc%2fpasswd",
        "%2e%2e%2fetc",
        "x%2f..",
        "x%2f%2e%2e%2f..%2fy",
        "%2fetc/../x",
        "..%00",
        "a%00b",
    ] {
        assert!(base.join(hostile).is_err(), "{hostile}");
    }
    for (plain, expected) in [
        ("pool/a_1%3a2.deb", "/vendor/set/pool/a_1:2.deb"),
        ("@s%2fn", "/vendor/set/@s/n"),
        ("a..%2fb", "/vendor/set/a../b"),
        ("%2e.x", "/vendor/set/..x"),
        ("a b", "/vendor/set/a b"),
    ] {
        let joined = base.join(plain).unwrap();
        assert_eq!(joined.file_path().unwrap(), Path::new(expected), "{plain}");
    }
    for hostile in ["file:///a/..%2fb", "file:///a/%2e%2e/b", "file:///a%00", "https://h/a%2f..%2fb"] {
        assert!(SafeUrl::parse(hostile).is_err(), "{hostile}");
    }
}

#[test]
fn what_is_no_address_is_refused_with_a_reason() {
    for (text, reason) in [
        ("", "a scheme"),
        ("host/path", "a scheme"),
        ("//host/path", "a scheme"),
        ("https:/host", "a scheme"),
        ("ftp://host/", "expected `https`"),
        (" https://host/", "percent-encoded"),
        ("https://host/a b", "percent-encoded"),
        ("https://h\u{f6}st/", "percent-encoded"),
        ("https://host/\r\nX: y", "percent-encoded"),
        ("https://host\\@evil/", "percent-encoded"),
        ("https://", "the host"),
        ("https:///path", "the host"),
        ("https://:80/", "the host"),
        ("https://user@/", "the host"),
        ("https://ho%73t/", "the host"),
        ("https://ho,st/", "the host"),
        ("https://[::1/", "the IPv6 address"),
        ("https://[::g]/", "the IPv6 address"),
        ("https://[::1]x/", "the IPv6 address"),
        ("https://::1/", "the IPv6 address"),
        ("https://host:x/", "the port"),
        ("https://host:-1/", "the port"),
        ("https://host:+80/", "the port"),
        ("https://host:65536/", "the port"),
        ("https://host:80:90/", "the port"),
        ("https://host/a/../b", "`..`"),
        ("https://host/%2E%2e", "`..`"),
        ("file://host/x", "no host"),
    ] {
        let error = SafeUrl::parse(text).unwrap_err().to_string();
        assert!(error.contains(reason), "{text}: {error}");
    }
    assert!(SafeUrl::parse(&format!("https://host/{}", "x".repeat(MAX_URL))).is_err());
    assert!(SafeUrl::parse(&format!("https://{}/", "x".repeat(254))).is_err());
    assert!(SafeUrl::from_path(Path::new("relative")).is_err());
    assert!(SafeUrl::from_path(Path::new("/a/../b")).is_err());
}

#[test]
fn one_place_has_one_spelling() {
    for (text, expected) in [
        ("HTTPS://Host.Example/Path", "https://host.example/Path"),
        ("https://host:443/", "https://host/"),
        ("https://host:/", "https://host/"),
        ("https://host:0443/", "https://host/"),
        ("http://host:443/", "http://host:443/"),
        ("http://host:80", "http://host/"),
        ("https://host", "https://host/"),
        ("https://host#top", "https://host/"),
        ("https://host/#a?b@c", "https://host/"),
        ("https://[2001:DB8::1]:8443/x", "https://[2001:db8::1]:8443/x"),
        ("file://localhost/x", "file:///x"),
    ] {
        assert_eq!(url(text).to_string(), expected, "{text}");
    }
}

/// The one word that no message may hold, wherever a user puts it in an address.
const WORD: &str = "s3cret";

#[test]
fn no_message_holds_a_password_however_broken_the_address_is() {
    for text in [
        "https://me:s3cret@host/",
        "https://s3cret@host/",
        "https://me:s3cret@",
        "https://me:s3cret@host:port/",
        "https://me:s3cret@ho st/",
        "https://me:a@s3cret@host:x/",
        // Passwords that should have been percent-encoded.
        "https://me:s3cret?x@host/",
        "https://me:s3cret#x@host/",
        "https://me:s3cret/x@host/",
        "https://me:s3cret\\x@host/",
        "https://me:s3cret x@host/",
        "ftp://me:s3cret#x@host/",
        "me:s3cret@host",
        "me:s3cret?x@host",
        "//me:s3cret#@host",
        "https://host/?token=s3cret",
        "https://host:x/?token=s3cret",
        "https://host:x/?mail=a@s3cret",
        "https://host:x/#s3cret",
        "https://host:x/#a@s3cret",
    ] {
        let shown = match SafeUrl::parse(text) {
            Ok(url) => format!("{url} {url:?} {}", url.without_secrets()),
            Err(error) => format!("{error} {error:?}"),
        };
        assert!(!shown.contains(WORD), "{text}: {shown}");
    }
    let base = url("https://me:s3cret@host/?s3cret");
    for refused in ["a?token=s3cret", "/a?s3cret", "a#s3cret", "\n?s3cret"] {
        let error = base.join(refused).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(WORD), "{refused}: {error}");
    }
    for location in ["https://me:s3cret@host:x/", "https://h:x/?s3cret", "ftp://me:s3cret#@h/"] {
        let error = base.redirect(location).unwrap_err();
        assert!(!format!("{error} {error:?}").contains(WORD), "{location}: {error}");
    }
    // What is harmless is told, or nobody could mend it.
    let error = SafeUrl::parse("https://host:port/debian").unwrap_err().to_string();
    assert!(error.starts_with("`https://host:port/debian`"), "{error}");
}
