//! What has the form of a secret and is none, each with the reason.

const KEY: &str = "a private key";
const GOOGLE: &str = "a key of Google";
const CLIENT: &str = "a client secret of Google";

/// Parts of its path in their order, what was found there, and why it protects nothing.
const FILES: [(&[&str], &str, &str); 16] = [
    (&["/libgnutls."], KEY, "keys of its self-tests, which every copy has"),
    (
        &["/@google/gemini-cli/bundle/"],
        CLIENT,
        "an installed application's, which cannot be one (RFC 8252, 8.5)",
    ),
    (&["/google-cloud-sdk/"], GOOGLE, "of the program itself, which every copy has"),
    (&["/etc/chromium.d/apikeys"], GOOGLE, "of Debian's build, which every copy has"),
    (&["/go", "/src/crypto/tls/testdata/"], KEY, "keys of Go's own tests, which every copy has"),
    (
        &["/go", "/src/crypto/tls/example_test.go"],
        KEY,
        "an example in Go's own sources, which every copy has",
    ),
    (&["/lib/python", "/test/"], KEY, "keys of Python's tests, which every copy has"),
    (&["/node_modules/", "/test/"], KEY, "keys of tests, published with the package"),
    (&["/node_modules/", "/tests/"], KEY, "keys of tests, published with the package"),
    (&["/registry/src/", "/tests/"], KEY, "keys of tests, published with the crate"),
    (&["-packages/", "/tests/"], KEY, "keys of tests, published with the package"),
    (&["/google-cloud-sdk/", "/tests/"], KEY, "keys of tests, published with the program"),
    (&["/urllib3/dummyserver/"], KEY, "keys of tests, published with the package"),
    (&["-packages/awscli/examples/"], KEY, "examples of documentation"),
    (&["-packages/moto/moto_proxy/"], KEY, "of a server for tests, published with the package"),
    (&["/usr/share/doc/"], KEY, "examples of documentation"),
];

/// Directories of data of tests: archives there are damaged on purpose.
const TESTS: [&str; 4] = ["/testdata/", "/test/", "/tests/", "/fixtures/"];

/// Whether an archive is data of tests.
pub(super) fn is_of_tests(path: &str) -> bool {
    let path = path.replace('!', "/");
    TESTS.iter().any(|part| path.contains(part))
}

/// The reason why what was found in a file (or in a member: `/FILE!MEMBER`) is no secret.
pub(super) fn file(path: &str, what: &str) -> Option<&'static str> {
    let path = path.replace('!', "/");
    let fits = |parts: &[&str]| {
        let mut left = Some(path.as_str());
        for part in parts {
            // A part begins with the slash that the one before it may end with.
            left = left.and_then(|text| text.find(part).map(|at| &text[at + part.len() - 1..]));
        }
        left.is_some()
    };
    FILES.iter().find(|(parts, found, _)| *found == what && fits(parts)).map(|(.., reason)| *reason)
}
