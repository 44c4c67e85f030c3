//! Digests, paths, platforms, folders and failures: what is read, what is refused, and how it is spelled again. Where a
//! specification has vectors they are copied from it; the comment of each table names the source.

use std::collections::BTreeMap;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;

use pinfold_base::Algorithm;
use pinfold_base::Diagnose as _;
use pinfold_base::Digest;
use pinfold_base::Hasher;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::digest::HashingReader;
use pinfold_base::digest::HashingWriter;
use pinfold_base::home::Home;

/// Messages and digests of NIST's examples to FIPS 180-4 (SHA-256 and SHA-512: one block, two blocks, nothing).
const FIPS: &[(&str, &str, &str)] = &[
    (
        "",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
         47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
    ),
    (
        "abc",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
         2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
    ),
    (
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        "204a8fc6dda82f0a0ced7beb8e08a41657c16ef468b228a8279be331a703c335\
         96fd15c13b1b07f9aa1d3bea57789ca031ad85c7a71dd70354ec631238ca3445",
    ),
    (
        "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
        "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1",
        "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018\
         501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909",
    ),
];

#[test]
fn digests_are_those_of_fips_180_however_the_bytes_are_cut() {
    for &(message, sha256, sha512) in FIPS {
        for (algorithm, expected) in [(Algorithm::Sha256, sha256), (Algorithm::Sha512, sha512)] {
            let expected = Digest::from_hex(algorithm, expected).unwrap();
            for cut in [0, 1, message.len() / 2, message.len()] {
                let (head, tail) = message.as_bytes().split_at(cut.min(message.len()));
                let mut hasher = Hasher::new(algorithm);
                hasher.update(head);
                hasher.update(tail);
                assert_eq!(hasher.finish(), expected, "{message} cut at {cut}");
            }
        }
    }
    // The long one of the same examples: a million times `a`.
    let mut hasher = Hasher::new(Algorithm::Sha256);
    (0..1000).for_each(|_| hasher.update(&[b'a'; 1000]));
    let expected = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0";
    assert_eq!(hasher.finish().hex(), expected);
}

/// Takes and gives three bytes at a time, as a pipe or a slow disk would.
struct Sips<T>(T);

impl Write for Sips<Vec<u8>> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.0.write(&buf[..buf.len().min(3)])
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Sips<&[u8]> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let length = buf.len().min(3);
        self.0.read(&mut buf[..length])
    }
}

#[test]
fn only_bytes_that_really_passed_are_hashed_and_counted() {
    for &(message, sha256, _) in FIPS {
        let length = message.len() as u64;
        let mut writer = HashingWriter::new(Algorithm::Sha256, Sips(Vec::new()));
        writer.write_all(message.as_bytes()).unwrap();
        assert_eq!(writer.written(), length);
        let (inner, digest, written) = writer.finish();
        assert_eq!(
            (inner.0.as_slice(), digest.hex().as_str(), written),
            (message.as_bytes(), sha256, length)
        );
        let mut reader = HashingReader::new(Algorithm::Sha256, Sips(message.as_bytes()));
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        let (_, digest, read) = reader.finish();
        assert_eq!((text.as_str(), digest.hex().as_str(), read), (message, sha256, length));
    }
}

#[test]
fn integrity_strings_are_read_as_the_w3c_has_them() {
    // Subresource Integrity, 3.1 to 3.5; the values by `openssl dgst -sha256 -binary | openssl base64 -A` of the message of
    // its examples, `alert('Hello, world.');`.
    const S256: &str = "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng=";
    const S384: &str = "sha384-H8BRh8j48O9oYatfu5AZzq6A9RINhZO5H16dQZngK7T62em8MUt1FLm52t+eX6xO";
    const S512: &str =
        "sha512-Q2bFTOhEALkN8hOms2FKTDLy7eugP2zFZ1T8LCvX42Fp3WoNr3bjZSAHeOsHrbV1Fu9/A0EzCinRE7Af1ofPrw==";
    let message = b"alert('Hello, world.');";
    let mut hasher = Hasher::new(Algorithm::Sha512);
    hasher.update(message);
    let (sha256, sha512) = (Digest::sha256(message), hasher.finish());
    for (text, expected) in [
        (S256.to_owned(), &sha256),
        (S512.to_owned(), &sha512),
        (format!("  {S256}\n\t"), &sha256),
        (format!("{S256}?ct=text/javascript"), &sha256),
        (format!("{S256} {S384} {S512}"), &sha512),
        (format!("{S512} {S256}"), &sha512),
        (format!("md5-kAFQmDzST7DWlj99KOF/cg== {S256}"), &sha256),
        (format!("{S384} {S256}"), &sha256),
    ] {
        assert_eq!(&Digest::from_sri(&text).unwrap(), expected, "{text}");
    }
    for refused in [
        "",
        " ",
        S384,
        "sha256",
        "sha256-",
        "SHA256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng=",
        // Padding missing, url-safe letters, bits behind the end, one byte less, one byte more.
        "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng",
        "sha256-qznLcsROx4GACP2dm0UCKCzCG-HiZ1guq6ZZDob_Tng=",
        "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tnh=",
        "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tg==",
        "sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/TngA",
        // The right digest under another name.
        "sha512-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng=",
    ] {
        assert!(Digest::from_sri(refused).is_err(), "{refused}");
    }
}

#[test]
fn digests_have_one_spelling_only() {
    let hex = FIPS[1].1;
    let right = format!("sha256:{hex}");
    assert_eq!(right.parse::<Digest>().unwrap().to_string(), right);
    assert_eq!(serde_like(&right).unwrap(), Digest::sha256(b"abc"));
    for refused in [
        hex.to_owned(),
        format!("SHA256:{hex}"),
        format!("sha256:{}", hex.to_uppercase()),
        format!("sha256: {hex}"),
        format!("sha256:{hex}\n"),
        format!("sha256:0x{}", &hex[2..]),
        format!("sha256:+{}", &hex[1..]),
        format!("sha256:{}", &hex[2..]),
        format!("sha256:{hex}00"),
        format!("sha512:{hex}"),
        format!("sha1:{}", &hex[..40]),
        format!("sha256-{hex}"),
        "sha256:".to_owned(),
        format!("sha256:{}é", &hex[2..]),
    ] {
        assert!(refused.parse::<Digest>().is_err(), "{refused}");
    }
    // What is shown of a hostile text has an end.
    let long = "x".repeat(1 << 20).parse::<Digest>().unwrap_err().to_string();
    assert!(long.len() < 300, "{}", long.len());
}

fn serde_like(text: &str) -> Result<Digest, serde::de::value::Error> {
    use serde::Deserialize as _;
    use serde::de::IntoDeserializer as _;
    Digest::deserialize(text.into_deserializer())
}

#[test]
fn paths_are_normalised_or_refused_and_never_repaired() {
    // Names as tar(5) archives of the world have them → what they mean below a root.
    for (raw, expected) in [
        ("", ""),
        ("/", ""),
        (".", ""),
        ("./", ""),
        ("././.", ""),
        ("///", ""),
        ("a", "a"),
        ("/a", "a"),
        ("//a", "a"),
        ("./a/", "a"),
        ("a/./b", "a/b"),
        ("a//b///c//", "a/b/c"),
        ("...", "..."),
        ("..a", "..a"),
        ("a..", "a.."),
        (".a/.b", ".a/.b"),
        (" ", " "),
        ("a\\..\\b", "a\\..\\b"),
        ("a%2f..", "a%2f.."),
        ("C:/x", "C:/x"),
        ("~/x", "~/x"),
    ] {
        assert_eq!(ImagePath::new(raw).unwrap().as_bytes(), expected.as_bytes(), "{raw:?}");
    }
    for raw in
        ["..", "/..", "../a", "a/..", "a/../b", "./../a", "a/b/../../..", "//..//", "\0", "a\0", "a/\0/b"]
    {
        let error = ImagePath::new(raw).unwrap_err().to_string();
        assert!(!error.contains('\0'), "{error:?}");
    }
    // Linux's limits (limits.h): 255 bytes of a name, 4095 of a path; bytes, not letters.
    let name = |length: usize| "x".repeat(length);
    let path = |length: usize| format!("{}{}", "y/".repeat(length / 2), name(length % 2));
    assert!(ImagePath::new(name(255)).is_ok());
    assert!(ImagePath::new(name(256)).is_err());
    assert!(ImagePath::new("ä".repeat(128)).is_err());
    assert!(ImagePath::new(format!("{}/{}", name(255), name(255))).is_ok());
    assert_eq!(ImagePath::new(path(4095)).unwrap().as_bytes().len(), 4095);
    assert!(ImagePath::new(format!("{}xx", path(4094))).is_err(), "4096 bytes");
    // What is dropped does not count.
    assert!(ImagePath::new("./".repeat(5000)).unwrap().is_root());
    // Any other byte is a name.
    assert!((1..=255u8).filter(|byte| !b"/.".contains(byte)).all(|byte| ImagePath::new([byte]).is_ok()));
}

#[test]
fn joining_cannot_leave_and_prefixes_end_at_slashes() {
    let path = |text: &str| ImagePath::new(text).unwrap();
    let base = path("usr/lib");
    for (tail, expected) in
        [("x", "usr/lib/x"), ("/x", "usr/lib/x"), ("./x/", "usr/lib/x"), ("", "usr/lib"), (".", "usr/lib")]
    {
        assert_eq!(base.join(tail).unwrap(), path(expected), "{tail:?}");
    }
    for tail in ["..", "../x", "x/../..", "/../etc", "x\0"] {
        assert!(base.join(tail).is_err(), "{tail:?}");
    }
    assert!(base.join("x".repeat(255)).is_ok() && path(&"y/".repeat(2000)).join("x".repeat(100)).is_err());
    for (whole, dir, rest) in [
        ("usr/lib", "", Some("usr/lib")),
        ("usr/lib", "usr", Some("lib")),
        ("usr/lib", "usr/lib", Some("")),
        ("usr/lib", "usr/li", None),
        ("usr/lib", "lib", None),
        ("usr", "usr/lib", None),
        ("", "", Some("")),
        ("", "usr", None),
    ] {
        assert_eq!(path(whole).strip_prefix(&path(dir)), rest.map(str::as_bytes), "{whole} {dir}");
        assert_eq!(path(whole).starts_with(&path(dir)), rest.is_some());
    }
}

#[test]
fn links_lead_where_a_chroot_would_lead_them() {
    // path_resolution(7): a relative target begins at the link's directory, `..` of the root is the root.
    for (target, expected) in [
        ("x", "a/b/x"),
        ("./x", "a/b/x"),
        ("../x", "a/x"),
        ("../../x", "x"),
        ("../../../../x", "x"),
        ("/x", "x"),
        ("//x", "x"),
        ("/../x", "x"),
        ("/", ""),
        ("..", "a"),
        ("../..", ""),
        ("x/..", "a/b"),
        ("x//y/", "a/b/x/y"),
    ] {
        let link = ImagePath::new("a/b/l").unwrap();
        assert_eq!(link.link_target(target.as_bytes()), Some(ImagePath::new(expected).unwrap()), "{target}");
    }
    let link = ImagePath::new("l").unwrap();
    assert_eq!(link.link_target(b"a\0b"), None);
    assert_eq!(link.link_target("x".repeat(256).as_bytes()), None);
}

#[test]
fn a_path_is_shown_on_one_line_and_without_control_characters() {
    for (raw, shown) in [
        (&b"usr/bin"[..], "/usr/bin"),
        (b"", "/"),
        ("ä b".as_bytes(), "/ä b"),
        (b"a\nb", "/a\\nb"),
        (b"a\x1b[31mb", "/a\\x1b[31mb"),
        (b"\xff\xfe", "/\\xff\\xfe"),
        (b"a\x7f", "/a\\x7f"),
        ("a\u{85}".as_bytes(), "/a\\xc2\\x85"),
    ] {
        assert_eq!(ImagePath::new(raw).unwrap().to_string(), shown);
    }
}

#[test]
fn a_directory_is_sorted_before_what_it_holds() {
    let mut paths = ["a/b/c", "a-b", "a", "a/b", "", "b"].map(|text| ImagePath::new(text).unwrap());
    paths.sort();
    let at = |text: &str| paths.iter().position(|path| path.as_bytes() == text.as_bytes()).unwrap();
    for (directory, inside) in [("", "a"), ("a", "a/b"), ("a/b", "a/b/c")] {
        assert!(at(directory) < at(inside), "{directory} {inside}");
    }
}

#[test]
fn platforms_are_spelled_as_their_specifications_spell_them() {
    // image-spec (`GOARCH`), dpkg-architecture -L and -q DEB_HOST_MULTIARCH, node's `process.arch`, elf.h.
    let shown: Vec<_> = Platform::ALL
        .iter()
        .map(|platform| {
            let arch = platform.arch;
            let words = [platform.os(), arch.oci(), arch.debian(), arch.triplet(), arch.npm()];
            (platform.to_string(), words, platform.variant(), arch.elf_machine())
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("linux/amd64".to_owned(), ["linux", "amd64", "amd64", "x86_64-linux-gnu", "x64"], None, 62),
            (
                "linux/arm64".to_owned(),
                ["linux", "arm64", "arm64", "aarch64-linux-gnu", "arm64"],
                Some("v8"),
                183
            ),
        ]
    );
    assert_eq!("linux/arm64/v8".parse::<Platform>().unwrap(), Platform::ALL[1]);
    for refused in [
        "",
        "linux",
        "amd64",
        "linux/",
        "linux/x86_64",
        "linux/aarch64",
        "linux/amd64/v2",
        "linux/arm64/v9",
        "linux/arm",
        "linux/386",
        "Linux/amd64",
        "linux/AMD64",
        " linux/amd64",
        "linux/amd64 ",
        "linux//amd64",
        "windows/amd64",
        "darwin/arm64",
    ] {
        let error = refused.parse::<Platform>().unwrap_err().to_string();
        assert!(error.contains("expected `linux/amd64` or `linux/arm64`"), "{error}");
    }
}

#[test]
fn folders_follow_the_environment_as_xdg_demands() {
    // XDG Base Directory 0.8: empty is like unset, relative paths are invalid and ignored.
    let home = |vars: &[(&str, &str)]| {
        let vars: BTreeMap<_, _> = vars.iter().copied().collect();
        let home = Home::from_env(|name| vars.get(name).map(|value| (*value).into()))?;
        Some((home.cache().display().to_string(), home.data().display().to_string()))
    };
    let both = |cache: &str, data: &str| Some((cache.to_owned(), data.to_owned()));
    let default = both("/h/.cache/pinfold", "/h/.local/share/pinfold");
    for (vars, expected) in [
        (&[("HOME", "/h")][..], default.clone()),
        (&[("HOME", "/h"), ("XDG_CACHE_HOME", ""), ("XDG_DATA_HOME", "")], default.clone()),
        (&[("HOME", "/h"), ("XDG_CACHE_HOME", "c"), ("XDG_DATA_HOME", "./d")], default.clone()),
        (&[("HOME", "/h"), ("PINFOLD_HOME", "")], default),
        (&[("HOME", "/h"), ("XDG_CACHE_HOME", "/c")], both("/c/pinfold", "/h/.local/share/pinfold")),
        (&[("XDG_CACHE_HOME", "/c"), ("XDG_DATA_HOME", "/d")], both("/c/pinfold", "/d/pinfold")),
        (&[("PINFOLD_HOME", "/p"), ("XDG_CACHE_HOME", "/c")], both("/p/cache", "/p/data")),
        (&[("XDG_CACHE_HOME", "/c")], None),
        (&[("XDG_CACHE_HOME", "c"), ("XDG_DATA_HOME", "d")], None),
        (&[("HOME", "")], None),
    ] {
        assert_eq!(home(vars), expected, "{vars:?}");
    }
    let here = std::env::current_dir().unwrap();
    assert_eq!(
        Home::from_env(|name| (name == "PINFOLD_HOME").then(|| "p".into())),
        Some(Home::under(&here.join(Path::new("p"))))
    );
}

#[test]
fn failures_of_the_machine_say_what_to_do() {
    // Numbers of errno.h on Linux.
    for (errno, hint) in [
        (28, Some("pinfold gc")),
        (122, Some("pinfold gc")),
        (13, Some("PINFOLD_HOME")),
        (1, Some("PINFOLD_HOME")),
        (30, Some("PINFOLD_HOME")),
        (5, None),
        (2, None),
    ] {
        let error = io::Error::from_raw_os_error(errno);
        assert_eq!(pinfold_base::Diagnose::kind(&error), Kind::System);
        let found = error.hint();
        assert_eq!(found.is_some(), hint.is_some(), "{errno}: {found:?}");
        assert!(hint.is_none_or(|part| found.unwrap().contains(part)), "{errno}");
    }
}

#[test]
fn exit_codes_are_the_documented_ones() {
    let codes = [
        Kind::Failed,
        Kind::System,
        Kind::Usage,
        Kind::Network,
        Kind::Integrity,
        Kind::Refused,
        Kind::Internal,
    ]
    .map(Kind::exit_code);
    assert_eq!(codes, [1, 1, 2, 3, 4, 5, 70]);
}
