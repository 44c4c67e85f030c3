//! Keys are made by the tests, sound ones and one of each flaw; the framing of messages and the real archive's signatures
//! are checked against the OpenPGP crate and recorded answers of `gpgv`.

use pgp::composed::CleartextSignedMessage;
use pgp::composed::KeyType;
use pgp::crypto::hash::HashAlgorithm;
use proptest::prelude::*;

use super::*;
use pinfold_testkit::openpgp::BORN;
use pinfold_testkit::openpgp::Shape;
use pinfold_testkit::openpgp::TestKey;
use pinfold_testkit::openpgp::sign;
use pinfold_testkit::openpgp::sign_with;

const MADE: u32 = BORN + 1_000_000;
const NOW: u64 = MADE as u64 + 1000;
const TEXT: &str = "Origin: Test\nSuite: x\n-dash\n  indented\nblanks  \nlast";

fn keyring(keys: &[&TestKey]) -> Keyring {
    let bytes: Vec<u8> = keys.iter().flat_map(|key| key.binary()).collect();
    Keyring::read("test", &bytes).unwrap()
}

fn verdict(shape: &Shape) -> Result<Vec<String>, String> {
    verdict_at(shape, NOW, Expiry::Now)
}

fn verdict_at(shape: &Shape, now: u64, expiry: Expiry) -> Result<Vec<String>, String> {
    let key = TestKey::new(shape);
    let file = sign(TEXT, &[&key], MADE);
    let verified = verify(file.as_bytes(), &keyring(&[&key]), now, expiry);
    verified.map(|verified| verified.signers).map_err(|error| error.to_string())
}

#[track_caller]
fn refused(shape: &Shape, reason: &str) {
    let error = verdict(shape).unwrap_err();
    assert!(error.contains(reason), "{error}");
}

#[test]
fn a_sound_signature_counts_and_its_text_is_the_signed_one() {
    let key = TestKey::new(&Shape::default());
    let file = sign(TEXT, &[&key], MADE);
    let verified = verify(file.as_bytes(), &keyring(&[&key]), NOW, Expiry::Now).unwrap();
    assert_eq!(verified.signers.len(), 1);
    // The crate's own reading of the same file, with its line ends put back.
    let (theirs, _) = CleartextSignedMessage::from_string(&file).unwrap();
    assert_eq!(verified.text, (theirs.signed_text().replace("\r\n", "\n") + "\n").into_bytes());
    assert_eq!(verified.text, b"Origin: Test\nSuite: x\n-dash\n  indented\nblanks\nlast\n");
    // Carriage returns on the way do not matter, they are not part of what is signed.
    let windows = file.replace('\n', "\r\n");
    assert_eq!(verify(windows.as_bytes(), &keyring(&[&key]), NOW, Expiry::Now).unwrap(), verified);
}

#[test]
fn primary_keys_and_other_algorithms_sign_too() {
    for kind in [
        KeyType::Ed25519Legacy,
        KeyType::Ed25519,
        KeyType::Rsa(2048),
        KeyType::ECDSA(pgp::crypto::ecc_curve::ECCCurve::P256),
    ] {
        let alone = Shape { has_subkey: false, primary_signs: true, kind, ..Shape::default() };
        assert!(verdict(&alone).is_ok(), "{:?}: {:?}", alone.kind, verdict(&alone));
    }
}

#[test]
fn every_flaw_of_a_key_is_refused() {
    let sound = Shape::default();
    assert!(verdict(&sound).is_ok());
    refused(&Shape { subkey_binds_back: false, ..sound.clone() }, "does not bind itself");
    refused(&Shape { subkey_signs: false, ..sound.clone() }, "the subkey is not allowed to sign");
    refused(&Shape { subkey_revoked: true, ..sound.clone() }, "the subkey was revoked");
    refused(&Shape { primary_revoked: true, ..sound.clone() }, "the key was revoked");
    refused(&Shape { subkey_ends: Some(999_999), ..sound.clone() }, "the key has expired");
    refused(&Shape { primary_ends: Some(999_999), ..sound.clone() }, "the key has expired");
    refused(&Shape { born: MADE + 10, ..sound.clone() }, "older than its key");
    // The crate itself makes no EdDSA signature of SHA-1, so this one is RSA.
    let weak = Shape { hash: HashAlgorithm::Sha1, kind: KeyType::Rsa(2048), ..sound.clone() };
    refused(&weak, "no valid signature of its own");
    refused(&Shape { has_subkey: false, ..sound.clone() }, "the key is not allowed to sign");
    let short = Shape { kind: KeyType::Rsa(1024), ..sound };
    refused(&short, "shorter than 2048 bits");
}

#[test]
fn expiry_counts_when_signed_and_unless_an_old_state_is_wanted_now() {
    // Expires 100 seconds after the signature was made; it is 1000 seconds later now.
    for shape in [
        Shape { subkey_ends: Some(1_000_100), ..Shape::default() },
        Shape { primary_ends: Some(1_000_100), ..Shape::default() },
    ] {
        refused(&shape, "the key has expired");
        assert!(verdict_at(&shape, NOW, Expiry::AtSignature).is_ok());
        assert!(verdict_at(&shape, u64::from(MADE) + 50, Expiry::Now).is_ok());
    }
}

#[test]
fn signatures_of_the_future_and_of_weak_hashes_do_not_count() {
    let key = TestKey::new(&Shape::default());
    let ring = keyring(&[&key]);
    let file = sign(TEXT, &[&key], MADE);
    let early = verify(file.as_bytes(), &ring, u64::from(MADE) - 2 * TOLERANCE, Expiry::Now).unwrap_err();
    assert!(early.to_string().contains("in the future"), "{early}");
    let key = TestKey::new(&Shape { kind: KeyType::Rsa(2048), ..Shape::default() });
    let ring = keyring(&[&key]);
    assert!(verify(sign(TEXT, &[&key], MADE).as_bytes(), &ring, NOW, Expiry::Now).is_ok());
    for hash in [HashAlgorithm::Sha1, HashAlgorithm::Sha224] {
        let weak = sign_with(TEXT, &[&key], MADE, hash);
        let error = verify(weak.as_bytes(), &ring, NOW, Expiry::Now).unwrap_err();
        assert!(error.to_string().contains("too weak"), "{error}");
    }
}

#[test]
fn of_two_signers_one_known_is_enough_and_a_wrong_one_too_much() {
    let (one, two) = (TestKey::new(&Shape::default()), TestKey::new(&Shape { seed: 2, ..Shape::default() }));
    let file = sign(TEXT, &[&one, &two], MADE);
    let both = verify(file.as_bytes(), &keyring(&[&one, &two]), NOW, Expiry::Now).unwrap();
    assert_eq!(both.signers.len(), 2);
    assert_eq!(verify(file.as_bytes(), &keyring(&[&two]), NOW, Expiry::Now).unwrap().signers.len(), 1);
    let stranger = TestKey::new(&Shape { seed: 3, ..Shape::default() });
    let error = verify(file.as_bytes(), &keyring(&[&stranger]), NOW, Expiry::Now).unwrap_err();
    assert!(matches!(&error, OpenPgpError::UnknownKeys { signers } if signers.len() == 2), "{error}");
    // The second signature is of another text.
    let message = CleartextSignedMessage::new_many(TEXT, |text| {
        let other = two.signature("another text", MADE, HashAlgorithm::Sha256);
        let text = text.replace("blanks  ", "blanks");
        Ok(vec![one.signature(&text, MADE, HashAlgorithm::Sha256), other])
    });
    let mixed = message.unwrap().to_armored_string(pgp::composed::ArmorOptions::default()).unwrap();
    let error = verify(mixed.as_bytes(), &keyring(&[&one, &two]), NOW, Expiry::Now).unwrap_err();
    assert!(matches!(error, OpenPgpError::Wrong { .. }), "{error}");
    assert!(verify(mixed.as_bytes(), &keyring(&[&one]), NOW, Expiry::Now).is_ok());
}

#[test]
fn a_revocation_in_either_copy_of_a_certificate_counts() {
    let (fresh, revoked) = (Shape::default(), Shape { subkey_revoked: true, ..Shape::default() });
    let (fresh, revoked) = (TestKey::new(&fresh), TestKey::new(&revoked));
    let file = sign(TEXT, &[&fresh], MADE);
    for keys in [[&fresh, &revoked], [&revoked, &fresh]] {
        let error = verify(file.as_bytes(), &keyring(&keys), NOW, Expiry::Now).unwrap_err();
        assert!(error.to_string().contains("revoked"), "{error}");
    }
}

#[test]
fn one_changed_word_is_noticed() {
    let key = TestKey::new(&Shape::default());
    let ring = keyring(&[&key]);
    let file = sign(TEXT, &[&key], MADE);
    for (from, to) in
        [("Suite: x", "Suite: y"), ("  indented", " indented"), ("last", "last\n"), ("- -dash", "- - -dash")]
    {
        let changed = file.replacen(from, to, 1);
        assert_ne!(changed, file);
        let error = verify(changed.as_bytes(), &ring, NOW, Expiry::Now).unwrap_err();
        assert!(matches!(error, OpenPgpError::Wrong { .. }), "{from}: {error}");
    }
}

#[test]
fn text_outside_the_message_is_refused() {
    let key = TestKey::new(&Shape::default());
    let ring = keyring(&[&key]);
    let file = sign(TEXT, &[&key], MADE);
    let form = |file: &str| match verify(file.as_bytes(), &ring, NOW, Expiry::Now) {
        Err(OpenPgpError::Form(reason)) => reason,
        other => panic!("{other:?}"),
    };
    assert!(form(&format!("Suite: evil\n{file}")).contains("does not begin"));
    assert!(form(&format!("{file}Suite: evil\n")).contains("behind the signature"));
    assert!(form(&format!("{file}{file}")).contains("behind the signature"));
    assert!(form(&file.replacen("Hash: ", "Comment: ", 1)).contains("odd header"));
    assert!(form(&file.replacen("- -dash", "-dash", 1)).contains("unescaped dash"));
    let (message, signature) = file.split_once("-----BEGIN PGP SIGNATURE").unwrap();
    assert!(form(message).contains("the signature is missing"));
    assert!(form(&format!("{message}-----BEGIN PGP SIGNATURE{}", &signature[..100])).contains("cut short"));
    assert!(form("").contains("does not begin"));
}

#[test]
fn only_what_was_signed_is_ever_the_text() {
    // Ways to smuggle lines into a clear-signed file (RFC 9580, section 7): each is refused, or is not part of the text.
    let key = TestKey::new(&Shape::default());
    let ring = keyring(&[&key]);
    let file = sign(TEXT, &[&key], MADE);
    let sound = verify(file.as_bytes(), &ring, NOW, Expiry::Now).unwrap();
    let (head, armour) = file.split_once("-----BEGIN PGP SIGNATURE-----\n").unwrap();
    let signature = format!("-----BEGIN PGP SIGNATURE-----\n{armour}");
    let (begin, body) = file.split_once("\n\n").unwrap();
    let refused = [
        // Before, behind and between.
        format!("\n{file}"),
        format!(" {file}"),
        format!("\u{feff}{file}"),
        format!("{file}\n\nSuite: evil\n"),
        format!("{file}{signature}"),
        format!("{head}{signature}{head}{signature}"),
        // As a header.
        format!("{begin}\nSuite: evil\n\n{body}"),
        format!("{begin}\nHash:SHA256\n\n{body}"),
        format!("{begin}\n \n\n{body}"),
        // As a line of the text, escaped or not.
        format!("{begin}\n\nSuite: evil\n{body}"),
        format!("{begin}\n\n- Suite: evil\n{body}"),
        format!("{begin}\n\n\n{body}"),
        format!("{head}\n{signature}"),
        format!("{head}Suite: evil\n{signature}"),
        // Another message inside.
        format!("{begin}\n\n-----BEGIN PGP SIGNED MESSAGE-----\n\nSuite: evil\n{body}"),
        file.replacen("Suite: x", "Suite: x\rSuite: evil", 1),
        file.replacen("Suite: x", "Suite: x\0", 1),
        // Among the signatures.
        format!("{head}-----BEGIN PGP MESSAGE-----\n{armour}"),
        format!("{head}{}", signature.replacen("\n\n", "\n\nU3VpdGU6IGV2aWw=\n", 1)),
        format!("{head}-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----\n"),
    ];
    for (number, file) in refused.iter().enumerate() {
        assert!(verify(file.as_bytes(), &ring, NOW, Expiry::Now).is_err(), "{number}: {file}");
    }
    // What no signature covers may change, and the text stays what it was.
    for file in [
        format!("{file}\n \n\t\n"),
        format!("{begin}\nHash: SHA512\n\n{body}"),
        file.replacen("Suite: x", "Suite: x \t ", 1),
        file.replacen("Suite: x", "- Suite: x", 1),
        file.replace('\n', "\r\n"),
    ] {
        assert_eq!(verify(file.as_bytes(), &ring, NOW, Expiry::Now).unwrap(), sound, "{file}");
    }
}

#[test]
fn limits_of_size_and_number_hold() {
    let key = TestKey::new(&Shape::default());
    let ring = keyring(&[&key]);
    let with = |count: usize| sign(TEXT, &vec![&key; count], MADE);
    assert_eq!(verify(with(32).as_bytes(), &ring, NOW, Expiry::Now).unwrap().signers.len(), 32);
    let many = verify(with(33).as_bytes(), &ring, NOW, Expiry::Now).unwrap_err();
    assert_eq!(many.to_string(), "not a signed message: there are too many signatures");
    let long = vec![b'x'; MAX_SIGNED + 1];
    assert!(verify(&long, &ring, NOW, Expiry::Now).unwrap_err().to_string().contains("too large"));
    assert!(Keyring::read("x", &long).unwrap_err().to_string().contains("too large"));
    // An empty keyring trusts nobody.
    let nobody = verify(with(1).as_bytes(), &Keyring::default(), NOW, Expiry::Now).unwrap_err();
    assert!(matches!(nobody, OpenPgpError::UnknownKeys { .. }), "{nobody}");
}

#[test]
fn keyrings_of_every_form_are_read() {
    let (one, two) = (TestKey::new(&Shape::default()), TestKey::new(&Shape { seed: 2, ..Shape::default() }));
    let armour = format!("a comment\n{}\nanother\n{}", one.armoured(), two.armoured());
    assert_eq!(Keyring::read("x", armour.as_bytes()).unwrap().len(), 2);
    assert_eq!(keyring(&[&one, &two]).len(), 2);
    assert!(Keyring::read("x", b"").is_err());
    assert!(Keyring::read("x", b"hello").is_err());
    assert!(Keyring::read("x", b"\0\0\0\x20\x01\x01\0\x02KBXf").unwrap_err().to_string().contains("keybox"));

    let mut ring = keyring(&[&one, &two]);
    ring.add_missing(keyring(&[&one]));
    assert_eq!(ring.len(), 2);
    let subkey = two.certificate.public_subkeys[0].key.fingerprint().to_string().to_uppercase();
    ring.keep_only(&[format!("{subkey}!")]);
    assert_eq!(ring.len(), 1);
    let file = sign(TEXT, &[&one], MADE);
    assert!(matches!(
        verify(file.as_bytes(), &ring, NOW, Expiry::Now),
        Err(OpenPgpError::UnknownKeys { .. })
    ));
}

/// InRelease of bookworm-security as the archive published it. `gpgv` with Debian's keyring: good signatures of RSA keys
/// ED541312A33F1128F10B1C6C54404762BBB6E853 (Debian 11, not among the shipped ones) and B0CAB9266E8C3929798B3EEEBDE6D2B9216EC7A8.
const REAL: &[u8] = include_bytes!("../../../../tests/data/bookworm-security.InRelease");
/// Its `Date`, by `date -u +%s`, and a minute.
const REAL_DATE: u64 = 1_795_040_261 + 60;
const REAL_SIGNERS: [&str; 1] = ["b0cab9266e8c3929798b3eeebde6d2b9216ec7a8"];
const SHIPPED: &[u8] = include_bytes!("../../../../data/debian-archive-keys.asc");

#[test]
fn the_archives_own_signatures_count_with_the_shipped_keys() {
    let ring = Keyring::read("shipped", SHIPPED).unwrap();
    assert_eq!(ring.len(), 6);
    let verified = verify(REAL, &ring, REAL_DATE, Expiry::Now).unwrap();
    assert_eq!(verified.signers, REAL_SIGNERS);
    let changed =
        String::from_utf8(REAL.to_vec()).unwrap().replacen("Codename: bookworm", "Codename: bookwork", 1);
    assert!(matches!(
        verify(changed.as_bytes(), &ring, REAL_DATE, Expiry::Now),
        Err(OpenPgpError::Wrong { .. })
    ));
    // The keys end in 2031 and 2035.
    assert!(verify(REAL, &ring, 2_100_000_000, Expiry::Now).is_err());
    assert!(verify(REAL, &ring, 2_100_000_000, Expiry::AtSignature).is_ok());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(at in 0..REAL.len(), length in 0..200usize, with in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut file = REAL.to_vec();
        let end = (at + length).min(file.len());
        let same = REAL[at..end] == with;
        file.splice(at..end, with);
        let ring = Keyring::read("shipped", SHIPPED).unwrap();
        if let Ok(verified) = verify(&file, &ring, REAL_DATE, Expiry::Now) {
            // Only what is not signed may change without notice: armour, line ends, blanks.
            let untouched = verify(REAL, &ring, REAL_DATE, Expiry::Now).unwrap();
            prop_assert!(same || verified.text == untouched.text);
        }
        let _ = Keyring::read("x", &file);
    }
}
