//! The vectors are not of this program's making: RFC 6979, appendix A.2.5, has the key and two signatures; the bundle in `vectors` was
//! computed from that key by another implementation of RFC 6979 and of JSON (in Python). openssl judges both ways here;
//! `tests/e2e/sigstore-verify` gives the same files to npm's `@sigstore/verify`.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fs_err as fs;
use pinfold_base::Algorithm;
use pinfold_base::Diagnose;
use pinfold_base::Digest;

use super::Bundle;
use super::FileSignature;
use super::MEDIA_TYPE;
use super::PROVENANCE;
use super::PublicKey;
use super::SIGNATURE;
use super::SecretKey;
use super::SignError;
use super::Signer;
use super::Statement;
use super::dsse::pae;

const KEY: &[u8] = include_bytes!("vectors/key.pem");
const PUBLIC: &[u8] = include_bytes!("vectors/public.pem");
const BUNDLE: &[u8] = include_bytes!("vectors/bundle.json");

fn key() -> SecretKey {
    SecretKey::from_pem(KEY).unwrap()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

#[expect(clippy::disallowed_methods, reason = "another program judges")]
fn openssl<I: AsRef<OsStr>>(folder: &Path, arguments: impl IntoIterator<Item = I>) -> Option<bool> {
    match Command::new("openssl").current_dir(folder).args(arguments).output() {
        Ok(output) => Some(output.status.success()),
        Err(_) => skipped(),
    }
}

#[expect(clippy::print_stderr, reason = "a skipped test must say so")]
fn skipped() -> Option<bool> {
    assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "`openssl` is not installed");
    eprintln!("skipped: `openssl` is not installed");
    None
}

/// The words of a command line without quotes.
fn words(line: &str) -> Vec<&str> {
    line.split_ascii_whitespace().collect()
}

#[test]
fn signatures_are_those_of_the_standard() {
    for (message, expected) in [
        (
            "sample",
            "3046022100efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716\
             022100f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
        ),
        (
            "test",
            "3045022100f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367\
             0220019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
        ),
    ] {
        let signature = key().sign(message.as_bytes()).unwrap();
        assert_eq!(hex(&signature), expected);
        assert!(key().public().verifies(message.as_bytes(), &signature));
        assert!(!key().public().verifies(b"another", &signature));
        for at in 0..signature.len() {
            let mut changed = signature.clone();
            changed[at] ^= 1;
            assert!(!key().public().verifies(message.as_bytes(), &changed), "byte {at}");
        }
    }
    assert_eq!(key().public().to_pem().as_bytes(), PUBLIC, "openssl wrote that file");
    assert_eq!(*key().public(), PublicKey::from_pem(PUBLIC).unwrap());
}

#[test]
fn a_bundle_has_the_bytes_that_another_program_computes() {
    // DSSE, "protocol": PAE("http://example.com/HelloWorld", "hello world").
    assert_eq!(
        pae("http://example.com/HelloWorld", b"hello world"),
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    );
    let statement = Statement::signature(Digest::sha256(b""));
    let bundle = Bundle::make(&statement, &key()).unwrap();
    assert_eq!(String::from_utf8_lossy(bundle.to_bytes()), String::from_utf8_lossy(BUNDLE));
    let read = Bundle::parse(BUNDLE).unwrap();
    assert_eq!(read, bundle);
    let other = SecretKey::generate().unwrap();
    let keys = [other.public().clone(), key().public().clone()];
    assert_eq!(read.verify(&keys).unwrap(), statement);
    assert!(matches!(read.verify(&keys[..1]), Err(SignError::Unsigned { keys: 1 })));
    assert!(matches!(read.verify(&[]), Err(SignError::Unsigned { keys: 0 })));
}

#[test]
fn what_is_signed_cannot_be_changed_afterwards() {
    let statement = |of: &[u8], kind: &str| Statement {
        predicate_type: kind.into(),
        ..Statement::signature(Digest::sha256(of))
    };
    let encoded = |statement: &Statement| STANDARD.encode(statement.to_bytes().unwrap());
    let text = String::from_utf8_lossy(BUNDLE);
    let signed = encoded(&statement(b"", SIGNATURE));
    assert!(text.contains(&signed));
    for other in [statement(b"other", SIGNATURE), statement(b"", PROVENANCE)] {
        let forged = text.replace(&signed, &encoded(&other));
        let bundle = Bundle::parse(forged.as_bytes()).unwrap();
        assert!(matches!(bundle.verify(&[key().public().clone()]), Err(SignError::Unsigned { .. })));
    }
}

#[test]
fn bundles_that_readers_could_disagree_about_are_refused() {
    let text = String::from_utf8_lossy(BUNDLE).into_owned();
    assert!(Bundle::parse(text.as_bytes()).is_ok(), "the control");
    let hint = r#""publicKey":{"hint":"Wnp4zKSg9CDZvGK7Zpw8J1njn3I9OuENy+DwgVoH7NQ="}"#;
    let accepted = [
        ("entries of a log", hint, format!(r#"{hint},"tlogEntries":[{{"logIndex":"1"}}]"#)),
        ("a certificate", hint, r#""certificate":{"rawBytes":"AA=="}"#.into()),
        ("a name for the key", r#""sig":"#, r#""keyid":"x","sig":"#.into()),
        ("an empty name for the key", r#""sig":"#, r#""keyid":"","sig":"#.into()),
    ];
    for (what, from, to) in accepted {
        assert!(text.contains(from), "{what}");
        let bundle = Bundle::parse(text.replace(from, &to).as_bytes()).unwrap();
        assert!(bundle.verify(&[key().public().clone()]).is_ok(), "{what}");
    }
    for (what, from, to) in [
        ("another version", "bundle.v0.3+json", "bundle.v0.4+json"),
        ("another payload", "vnd.in-toto+json", "vnd.example+json"),
        ("no version", r#""mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","#, ""),
        ("no material", r#""verificationMaterial""#, r#""material""#),
        ("an unusual case", r#""payload":"#, r#""Payload":"#),
        ("snake case", r#""dsseEnvelope""#, r#""dsse_envelope""#),
        ("an unknown field", r#""payload":"#, r#""extra":1,"payload":"#),
        ("a repeated field", r#""payload":"#, r#""payload":"AAAA","payload":"#),
        ("no signature", r#"[{"sig":"#, r#"[],"x":[{"sig":"#),
        ("two signatures", r#"[{"sig":"#, r#"[{"sig":"AAAA"},{"sig":"#),
        ("a signature of a file", r#""dsseEnvelope""#, r#""messageSignature":{},"dsseEnvelope""#),
        ("base64 with blanks", "\"MEYC", "\" MEYC"),
        ("base64 of another alphabet", "xZ/i", "xZ_i"),
        ("text after it", "]}}", "]}}x"),
    ] {
        let changed = text.replace(from, to);
        assert_ne!(changed, text, "{what} is in the vector");
        assert!(Bundle::parse(changed.as_bytes()).is_err(), "{what}");
    }
    let long = text.replace(hint, &format!(r#""publicKey":{{"hint":"{}"}}"#, "A".repeat(4 << 20)));
    assert!(matches!(
        Bundle::parse(long.as_bytes()),
        Err(SignError::Document(crate::ImageError::TooLarge { .. }))
    ));
}

#[test]
fn base64_that_could_be_written_in_another_way_is_refused() {
    let text = |sig: &str| {
        format!(
            r#"{{"mediaType":"{MEDIA_TYPE}","verificationMaterial":{{}},"dsseEnvelope":{{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[{{"sig":"{sig}"}}]}}}}"#
        )
    };
    assert!(Bundle::parse(text("AAE=").as_bytes()).is_ok(), "the control");
    for sig in ["AAE", "AAF=", "AAE==", "AA E=", "AAE=\\n", "AA==AAE=", "__8="] {
        assert!(Bundle::parse(text(sig).as_bytes()).is_err(), "{sig}");
    }
}

/// Signs whatever bytes it is given as a statement.
fn signed(payload: &str) -> Bundle {
    let signature = key().sign(&pae("application/vnd.in-toto+json", payload.as_bytes())).unwrap();
    let (payload, signature) = (STANDARD.encode(payload), STANDARD.encode(signature));
    let text = format!(
        r#"{{"mediaType":"{MEDIA_TYPE}","verificationMaterial":{{}},"dsseEnvelope":{{"payload":"{payload}","payloadType":"application/vnd.in-toto+json","signatures":[{{"sig":"{signature}"}}]}}}}"#
    );
    Bundle::parse(text.as_bytes()).unwrap()
}

#[test]
fn statements_are_read_as_in_toto_defines_them() {
    let (one, two) = (Digest::sha256(b"1"), Digest::sha256(b"2"));
    let (hex1, hex2) = (one.hex(), two.hex());
    let read = |payload: &str| signed(payload).verify(&[key().public().clone()]);
    for version in ["v1", "v0.1"] {
        let statement = read(&format!(
            r#"{{"_type":"https://in-toto.io/Statement/{version}","predicateType":"u","extra":1,
                "subject":[{{"name":"a","digest":{{"sha512":"?","sha256":"{hex1}"}}}},{{"digest":{{"sha1":"x"}}}},{{"digest":{{"sha256":"{hex2}"}}}}]}}"#
        ))
        .unwrap();
        assert_eq!(statement.subject, [one.clone(), two.clone()]);
        assert!(statement.names(&two) && !statement.names(&Digest::sha256(b"3")));
    }
    let good = format!(
        r#"{{"_type":"https://in-toto.io/Statement/v1","subject":[{{"digest":{{"sha256":"{hex1}"}}}}],"predicateType":"u","predicate":{{}}}}"#
    );
    assert!(read(&good).is_ok(), "the control");
    for (what, from, to) in [
        ("another type", "Statement/v1", "Statement/v2"),
        ("no subject", r#"[{"digest""#, r#"[],"x":[{"digest""#),
        ("a subject in an unusual case", r#""subject""#, r#""Subject":[],"subject""#),
        ("a digest in an unusual case", r#"{"digest""#, r#"{"Digest":{},"digest""#),
        ("a repeated digest", r#"{"sha256":"#, r#"{"sha256":"","sha256":"#),
        ("a digest in capitals", hex1.as_str(), &hex1.to_uppercase()),
        ("a digest of another hash only", "sha256", "sha512"),
        ("no predicate type", r#""predicateType":"u","#, ""),
    ] {
        let changed = good.replace(from, to);
        assert_ne!(changed, good, "{what}");
        assert!(read(&changed).is_err(), "{what}");
    }
    let many = format!(r#"{{"digest":{{"sha256":"{hex1}"}}}}"#);
    let many = vec![many.as_str(); 1_001].join(",");
    assert!(
        read(&good.replace(&format!(r#"[{{"digest":{{"sha256":"{hex1}"}}}}]"#), &format!("[{many}]")))
            .is_err()
    );
}

#[test]
fn what_a_signer_gives_is_checked() {
    struct Wrong(SecretKey, SecretKey);
    impl Signer for Wrong {
        fn public(&self) -> &PublicKey {
            self.0.public()
        }
        fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
            self.1.sign(message)
        }
    }
    let signer = Wrong(key(), SecretKey::generate().unwrap());
    let statement = Statement::signature(Digest::sha256(b"image"));
    assert!(matches!(Bundle::make(&statement, &signer), Err(SignError::Signer)));
    assert!(Bundle::make(&statement, &Wrong(key(), key())).is_ok());
}

#[test]
fn a_secret_key_does_not_show_itself() {
    let key = SecretKey::generate().unwrap();
    let pem = key.to_pem().unwrap();
    let body: String = pem.expose().lines().filter(|line| !line.starts_with('-')).collect();
    let shown = format!("{key:?} {pem:?} {pem}");
    assert!(!shown.contains(&body[40..80]) && shown.contains("****"), "{shown}");
    let broken = pem.expose().replace(&body[40..44], "....");
    let error = SecretKey::from_pem(broken.as_bytes()).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(&body[50..64]));
    // Each is another one.
    assert_ne!(key.public(), SecretKey::generate().unwrap().public());
}

#[test]
fn openssl_and_this_room_read_each_others_keys_and_signatures() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    let ours = SecretKey::generate().unwrap();
    fs::write(folder.join("ours.pem"), ours.to_pem().unwrap().expose()).unwrap();
    fs::write(folder.join("ours.pub"), ours.public().to_pem()).unwrap();
    fs::write(folder.join("message"), b"a message\n").unwrap();
    let Some(there) = openssl(folder, words("pkey -in ours.pem -check -noout")) else {
        return;
    };
    assert!(there);
    assert_eq!(openssl(folder, words("pkey -in ours.pem -pubout -out theirs.pub")), Some(true));
    assert_eq!(fs::read(folder.join("theirs.pub")).unwrap(), fs::read(folder.join("ours.pub")).unwrap());

    fs::write(folder.join("signature"), ours.sign(b"a message\n").unwrap()).unwrap();
    let verify = words("dgst -sha256 -verify ours.pub -signature signature message");
    assert_eq!(openssl(folder, &verify), Some(true));
    fs::write(folder.join("message"), b"a massage\n").unwrap();
    assert_eq!(openssl(folder, &verify), Some(false), "the control");

    let must = |line| assert_eq!(openssl(folder, words(line)), Some(true), "{line}");
    must("dgst -sha256 -sign ours.pem -out signature message");
    let signature = fs::read(folder.join("signature")).unwrap();
    assert!(ours.public().verifies(b"a massage\n", &signature));
    assert!(!ours.public().verifies(b"a message\n", &signature));

    must("genpkey -algorithm ed25519 -out ed.pem");
    must("pkey -in ed.pem -pubout -out ed.pub");
    must("pkeyutl -sign -rawin -inkey ed.pem -in message -out signature");
    let pem = fs::read(folder.join("ed.pub")).unwrap();
    let ed = PublicKey::from_pem(&pem).unwrap();
    assert_eq!(ed.to_pem().as_bytes(), pem);
    let signature = fs::read(folder.join("signature")).unwrap();
    assert!(ed.verifies(b"a massage\n", &signature));
    assert!(!ed.verifies(b"a message\n", &signature));
    assert!(!ours.public().verifies(b"a massage\n", &signature));
}

/// A file is signed by its SHA-256 alone, with the signature that the whole of it would have had.
#[test]
fn files_are_signed_as_openssl_verifies_them() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    let (ours, other) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
    let file = Digest::sha256(b"a file\n");
    let made = FileSignature::make(&file, &ours).unwrap();
    assert_eq!(made, FileSignature::make(&file, &ours).unwrap(), "the same from the same");
    assert_eq!(ours.sign_digest(&file).unwrap(), ours.sign(b"a file\n").unwrap());
    let read = FileSignature::parse(made.to_bytes()).unwrap();
    assert_eq!(read, made);
    let wrong = Digest::sha256(b"another\n");
    assert!(read.is_by(ours.public(), &file) && read.is_about(&file));
    assert!(
        !read.is_by(ours.public(), &wrong) && !read.is_about(&wrong) && !read.is_by(other.public(), &file)
    );
    assert!(!read.is_by(ours.public(), &Digest::from_hex(Algorithm::Sha512, &"0".repeat(128)).unwrap()));
    let bundle: serde_json::Value = serde_json::from_slice(made.to_bytes()).unwrap();
    let signed = &bundle["messageSignature"];
    assert_eq!(signed["messageDigest"]["digest"], STANDARD.encode(file.bytes()));
    fs::write(folder.join("signature"), STANDARD.decode(signed["signature"].as_str().unwrap()).unwrap())
        .unwrap();
    fs::write(folder.join("ours.pub"), ours.public().to_pem()).unwrap();
    fs::write(folder.join("file"), "a file\n").unwrap();
    let verify = words("dgst -sha256 -verify ours.pub -signature signature file");
    assert_ne!(openssl(folder, &verify), Some(false));
    // A statement is no file, and a file no statement.
    assert!(Bundle::parse(made.to_bytes()).is_err());
    let statement = Bundle::make(&Statement::signature(file), &ours).unwrap();
    assert!(FileSignature::parse(statement.to_bytes()).is_err());
    let text = String::from_utf8(made.to_bytes().to_vec()).unwrap();
    for (from, to) in [
        ("v0.3", "v0.2"),
        ("\"signature\":\"", "\"signature\":\"*"),
        ("\"messageSignature\"", "\"message\""),
        ("\"hint\"", "\"hint\":\"\",\"hint\""),
    ] {
        let changed = text.replacen(from, to, 1);
        assert!(changed != text && FileSignature::parse(changed.as_bytes()).is_err(), "{to}");
    }
}

#[test]
fn keys_of_other_forms_and_kinds_are_refused_by_name() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    let run = |line| openssl(folder, words(line));
    if run("ecparam -name prime256v1 -genkey -out sec1.pem").is_none() {
        return;
    }
    for line in [
        "pkcs8 -topk8 -in sec1.pem -passout pass:word -out encrypted.pem",
        "pkey -in sec1.pem -pubout -out public.pem",
        "genpkey -algorithm ed25519 -out ed.pem",
        "genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-384 -out p384.pem",
        "pkey -in p384.pem -pubout -out p384.pub",
        "genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:1024 -out rsa.pem",
    ] {
        assert_eq!(run(line), Some(true), "{line}");
    }
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    for (name, said) in [
        ("sec1.pem", "in the form of SEC 1"),
        ("encrypted.pem", "encrypted"),
        ("public.pem", "it is a public key"),
        ("ed.pem", "for verifying only"),
        ("p384.pem", "not of P-256"),
        ("rsa.pem", "not of P-256"),
    ] {
        let error = SecretKey::from_pem(&read(name)).unwrap_err();
        assert!(error.to_string().contains(said), "{name}: {error}");
    }
    for (name, said) in [
        ("sec1.pem", "it is a private key"),
        ("ed.pem", "it is a private key"),
        ("p384.pub", "neither P-256 nor Ed25519"),
    ] {
        let error = PublicKey::from_pem(&read(name)).unwrap_err();
        assert!(error.to_string().contains(said), "{name}: {error}");
    }
    let public = String::from_utf8(PUBLIC.to_vec()).unwrap();
    let weak = format!(
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA{}=\n-----END PUBLIC KEY-----\n",
        "A".repeat(43)
    );
    for text in [
        String::new(),
        "key".into(),
        public.repeat(2),
        public.replace("MFkw", "MFkx"),
        public.replace("-----END", "----END"),
        "x".repeat(17 << 10),
        weak,
    ] {
        assert!(matches!(PublicKey::from_pem(text.as_bytes()), Err(SignError::Key { .. })), "{text}");
        assert!(SecretKey::from_pem(text.as_bytes()).is_err());
    }
}

/// The hint, word by word.
#[test]
fn a_key_of_another_form_is_read_after_the_command_of_the_hint() {
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path();
    if openssl(folder, words("ecparam -name prime256v1 -genkey -out FILE")).is_none() {
        return;
    }
    let key = |name: &str| SecretKey::from_pem(&fs::read(folder.join(name)).unwrap());
    let hint = key("FILE").unwrap_err().hint().unwrap();
    let command = hint.split('`').nth(1).unwrap().strip_prefix("openssl ").unwrap();
    assert_eq!(openssl(folder, words(command)), Some(true));
    let theirs = words("pkey -in FILE -pubout -out public");
    assert_eq!(openssl(folder, theirs), Some(true));
    assert_eq!(key("NEW").unwrap().public().to_pem().as_bytes(), fs::read(folder.join("public")).unwrap());
}
