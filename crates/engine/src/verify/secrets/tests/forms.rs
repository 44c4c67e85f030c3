//! Forms that keys and logins have beside their first one, and what is near to them and is none.

use std::time::Duration;
use std::time::Instant;

use super::*;
use crate::verify::secrets::logins;

fn bytes(path: &str, content: &[u8]) -> Vec<&'static str> {
    let scanner = Scanner::new();
    let mut scan = scanner.scan();
    let mut of = |chunk: usize| {
        scan.begin(&ImagePath::new(path).unwrap());
        content.chunks(chunk).for_each(|chunk| scan.feed(chunk));
        scan.end().into_iter().map(|secret| secret.what).collect::<Vec<_>>()
    };
    let found = of(1 << 20);
    assert_eq!(of(7), found, "in small chunks");
    found
}

const KEY: &[&str] = &["a private key"];
const NONE: &[&str] = &[];

#[test]
fn the_last_line_of_a_key_may_lie_where_looking_ends() {
    let key = key();
    let (body, end) = key.split_at(key.find("-----END").unwrap());
    for at in 4040..4110 {
        let padded = format!("{body}{}\n{end}{}", " ".repeat(at - body.len() - 1), "x\n".repeat(50));
        assert_eq!(bytes("root/k", padded.as_bytes()), KEY, "{at}");
    }
    // Without a last line, of which some could be seen.
    let other = format!("{body}-----END CERTIFICATE-----\n{}", "x\n".repeat(5000));
    assert_eq!(bytes("root/k", other.as_bytes()), NONE);
}

#[test]
fn keys_are_found_in_other_texts() {
    let key = key();
    let json = |text: &str| serde_json::to_string(text).unwrap();
    let wide =
        |text: &str, order: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(order).collect::<Vec<u8>>();
    let coded = ssh_body(&key);
    let mut wrapped = coded.clone();
    wrapped.insert(76, '\n');
    for text in [
        key.replace('\n', " ").into_bytes(),
        key.replace('\n', "").into_bytes(),
        json(&key).into_bytes(),
        json(&json(&key)).into_bytes(),
        json(&json(&json(&key.replace('\n', "\r\n")))).into_bytes(),
        format!("tls.key: {coded}\n").into_bytes(),
        wrapped.into_bytes(),
        wide(&key, u16::to_le_bytes),
        wide(&format!("\u{feff}{key}"), u16::to_be_bytes),
        wide(&format!("\u{feff}a key of ours:\r\n{key}"), u16::to_le_bytes),
    ] {
        assert_eq!(bytes("srv/x", &text), KEY, "{}", String::from_utf8_lossy(&text));
    }
    let certificate = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let certificate = pem("CERTIFICATE", certificate.cert.der());
    for text in [
        ssh_body(&certificate).into_bytes(),
        wide(&certificate, u16::to_le_bytes),
        wide("BEGIN PRIVATE KEY", u16::to_le_bytes),
    ] {
        assert_eq!(bytes("srv/x", &text), NONE);
    }
    let sigstore = pem("ENCRYPTED SIGSTORE PRIVATE KEY", drawn(500, ALL).as_bytes());
    assert_eq!(bytes("root/cosign.key", sigstore.as_bytes()), KEY);
}

#[test]
fn files_that_are_a_key_are_found_by_their_first_bytes() {
    let key = rcgen::KeyPair::generate().unwrap();
    let public = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
    let sequence =
        |content: &[u8]| [&[0x30, 0x82], &(content.len() as u16).to_be_bytes()[..], content].concat();
    // PKCS#1 of 2048 bits: version, and the modulus.
    let rsa = sequence(&[&[2, 1, 0, 2, 0x82, 1, 1, 0][..], &[0xc5; 900]].concat());
    // SEC 1.
    let sec1 = [&[0x30, 0x25, 2, 1, 1, 4, 0x20][..], &[0x5c; 32]].concat();
    let encrypted = sequence(
        &[&[0x30, 0x40, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 0x0d][..], &[0x11; 300]].concat(),
    );
    let bag =
        |kind: u8| [&[6, 11, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 0x0c, 0x0a, 1][..], &[kind]].concat();
    let pkcs12 = |kind: u8| {
        sequence(&[&[2, 1, 3, 0x30, 0x82, 4, 0][..], &[0x11; 900], &bag(kind), &[0x22; 99]].concat())
    };
    for file in [key.serialize_der(), rsa.clone(), sec1, encrypted, pkcs12(1), pkcs12(2)] {
        assert_eq!(bytes("srv/k", &file), KEY, "{:02x?}", &file[..16]);
    }
    // A certificate, its public key, certificates in PKCS#12, and a key that has more behind it or is cut off.
    let longer = [&rsa[..], b"x"].concat();
    for file in [
        public.cert.der().to_vec(),
        rcgen::PublicKeyData::subject_public_key_info(&key),
        pkcs12(3),
        longer,
        rsa[..700].to_vec(),
        rsa[..5].to_vec(),
    ] {
        assert_eq!(bytes("srv/k", &file), NONE, "{:02x?}", &file[..5]);
    }
}

#[test]
fn logins_are_read_as_their_programs_do() {
    let word = drawn(23, ALL);
    let coded = ssh_body(&drawn(25, ALL));
    assert!(coded.ends_with('='), "a value that has a separator in it");
    let hash = format!("$6$abc${}", drawn(86, ALL));
    let secrets = [
        ("root/.kube/config", format!("users:\n- user:\n    client-key-data: {coded}\n")),
        ("root/.kube/config", format!("{{\"users\":[{{\"user\":{{\"token\":\"{word}\"}}}}]}}")),
        ("root/.yarnrc.yml", format!("npmAuthIdent: \"{coded}\"\n")),
        ("root/.npmrc", format!("//registry.example:8080/:_auth={coded}\n")),
        ("root/.pypirc", format!("[pypi]\npassword: {word}\n")),
        ("root/.netrc", format!("{}machine h login u password {word}\n", "# x\n".repeat(100_000))),
        ("root/.netrc", "machine h login u password password\n".into()),
        ("etc/shadow-", format!("root:{hash}:1:0:99999:7:::\n")),
        ("etc/shadow", format!("root:!{hash}:1:0:99999:7:::\n")),
        ("etc/shadow", "root:abJnggxhB/yWI:1:0:99999:7:::\n".into()),
        ("etc/gshadow", format!("staff:{hash}::\n")),
        ("root/.git-credentials", format!("https://user:p%40{word}@git.example\n")),
        (
            "root/.pip/pip.conf",
            format!("[global]\nextra-index-url =\n    https://user:{word}@pypi.example/simple\n"),
        ),
        ("etc/pip.conf", format!("[global]\nindex-url=https://user:{word}@pypi.example/simple\n")),
        (
            "root/.docker/config.json",
            format!("{{\"auths\":{{\"h\":{{\"auth\":\"{word}\",\"auth\":\"\"}}}}}}"),
        ),
        (
            "root/.docker/config.json",
            format!("\u{feff}{{\"auths\":{{\"h\":{{\"auth\":\"{word}\"}}}}}} and more"),
        ),
        ("root/.config/composer/auth.json", format!("{{\"github-oauth\":{{\"github.com\":\"{word}\"}}}}")),
        ("root/.config/rclone/rclone.conf", format!("[a]\ntoken = {{\"access_token\":\"{word}\"}}\n")),
        (
            "root/.gnupg/private-keys-v1.d/AB12.key",
            "Key: (private-key (ecc (curve Ed25519)(d #00#)))\n".into(),
        ),
        ("root/.gnupg/private-keys-v1.d/AB12.key", "(21:protected-private-key(3:rsa".into()),
        ("etc/wireguard/wg0.conf", format!("[Interface]\nPrivateKey = {coded}\n")),
    ];
    for (path, content) in &secrets {
        assert_eq!(bytes(path, content.as_bytes()).len(), 1, "{path}: {content:.200}");
        assert_eq!(bytes("usr/share/other", content.as_bytes()), NONE, "{path}");
    }
    let none = [
        ("root/.kube/config", "users:\n- user:\n    tokenFile: /run/token\n    client-key: /srv/key.pem\n"),
        ("root/.yarnrc.yml", "npmAuthToken: \"${NPM_TOKEN}\"\n# npmAuthIdent: abc\n"),
        ("root/.netrc", "machine h login u\n"),
        ("etc/shadow-", "root:*:1:0:99999:7:::\ndaemon:!*:1::::::\nme:!:1::::::\n"),
        ("etc/gshadow", "staff:!::\nroot:*::\n"),
        (
            "etc/pip.conf",
            "[global]\n# https://user:word@pypi.example\nextra-index-url =\n    https://pypi.example/simple\n",
        ),
        ("root/.docker/config.json", "{\"auths\":{\"h\":{\"auth\":\"\"}},\"psFormat\":\"auth\"}"),
        (
            "root/.config/composer/auth.json",
            "{\"github-oauth\":{},\"http-basic\":{\"h\":{\"username\":\"me\"}}}",
        ),
        ("root/.gnupg/private-keys-v1.d/AB12.key", "Key: (shadowed-private-key (rsa (n #00#)))\n"),
        ("root/.gnupg/private-keys-v1.d/readme", "(private-key"),
        ("etc/wireguard/wg0.conf", "[Interface]\nPrivateKey = ${KEY}\n[Peer]\nPublicKey = abc=\n"),
    ];
    for (path, content) in none {
        assert_eq!(bytes(path, content.as_bytes()), NONE, "{path}: {content}");
    }
    let large = "# x\n".repeat(logins::SIZE_MAX / 4 + 1);
    assert_eq!(bytes("root/.netrc", large.as_bytes()), [logins::TOO_LARGE]);
}

/// A text that is nothing but beginnings costs some times what another costs, whatever it has: seconds, where rules look at all that follows.
#[test]
fn beginnings_without_an_end_take_no_time() {
    let coded = ssh_body("-----BEGIN PRIVATE KEY-----");
    let literals = RULES.iter().map(|rule| rule.literal);
    for text in literals.chain([
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\n:",
        "glpat-glrt-",
        &coded,
    ]) {
        let large = text.repeat((1 << 20) / text.len());
        let start = Instant::now();
        assert_eq!(found("srv/x", &large), NONE, "{text}");
        let spent = start.elapsed();
        assert!(spent < Duration::from_millis(1500), "{text}: {spent:?}");
    }
}
