//! What registries and their files say: challenges, documents, lists of what is attached, bundles, logins.

use std::collections::BTreeSet;

use pinfold_base::Digest;
use pinfold_engine::ship::login::AuthFile;
use pinfold_image::model::Descriptor;
use pinfold_image::model::Document;
use pinfold_image::model::ImageConfiguration;
use pinfold_image::model::Index;
use pinfold_image::model::MAX_DOCUMENT;
use pinfold_image::model::Manifest;
use pinfold_image::model::Raw;
use pinfold_image::model::media;
use pinfold_image::registry::challenge::read;
use pinfold_image::sign::Bundle;
use pinfold_image::sign::PublicKey;

/// The key of the vectors.
const KEY: &[u8] = include_bytes!("../../image/src/sign/vectors/public.pem");
/// What it has signed.
const SIGNED: &[u8] = include_bytes!("../../image/src/sign/vectors/bundle.json");

/// Any text as `WWW-Authenticate`, one header a line: within the bounds, the same from each header alone, and the same again when it
/// is written as the specification has it.
pub fn challenge(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let headers: Vec<&str> = text.lines().collect();
    let Ok(found) = read(&headers) else { return };
    assert!(found.len() <= 16);
    let alone: Result<Vec<_>, _> = headers.iter().map(|header| read(&[header])).collect();
    assert_eq!(alone.map(|all| all.concat()), Ok(found.clone()));
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let written: Vec<String> = found
        .iter()
        .map(|challenge| {
            assert_eq!(challenge.scheme, challenge.scheme.to_ascii_lowercase());
            assert!(challenge.parameters.len() <= 32);
            let pairs = challenge.parameters.iter();
            let pairs: Vec<String> =
                pairs.map(|(name, value)| format!("{name}=\"{}\"", quoted(value))).collect();
            format!("{} {}", challenge.scheme, pairs.join(", "))
        })
        .collect();
    // What is escaped is longer, and may be too long then.
    if written.iter().all(|header| header.len() <= 8 << 10) {
        let written: Vec<&str> = written.iter().map(String::as_str).collect();
        assert_eq!(read(&written), Ok(found));
    }
}

/// Any bytes as manifest, index and configuration: what is accepted keeps its bytes and its digest, is no two of them at once, and
/// what is written of it is accepted and means the same.
pub fn document(bytes: &[u8]) {
    let kinds = [one::<Manifest>(bytes), one::<Index>(bytes)];
    assert!(kinds != [true, true], "a manifest that is an index as well");
    one::<ImageConfiguration>(bytes);
    let Ok(index) = Raw::<Index>::parse_as(bytes.to_vec(), Some(media::OCI_INDEX)) else { return };
    // As a list of what is attached: one more is added, and the others stay with all that they say.
    let (mut more, entry) =
        (index.value().clone(), Descriptor::new(media::OCI_MANIFEST, Digest::sha256(b""), 1));
    more.manifests.push(entry.clone());
    let Ok(more) = Raw::compose(more) else { return };
    let more = Raw::<Index>::parse(more.bytes().to_vec()).expect("what is written is accepted");
    let (last, before) = more.value().manifests.split_last().expect("there is one");
    assert_eq!((last, before), (&entry, &index.value().manifests[..]));
    let names = |index: &Index| -> BTreeSet<String> { index.other.keys().cloned().collect() };
    assert_eq!(names(more.value()), names(index.value()));
}

fn one<T: Document + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> bool {
    let Ok(found) = Raw::<T>::parse(bytes.to_vec()) else { return false };
    assert_eq!((found.bytes(), found.digest()), (bytes, &Digest::sha256(bytes)));
    assert!(bytes.len() as u64 <= MAX_DOCUMENT);
    let written = serde_json::to_vec(found.value()).expect("it was read from JSON");
    let again = Raw::<T>::parse(written).expect("what is written is accepted");
    assert_eq!(again.value(), found.value());
    true
}

/// Any bytes as a bundle: nothing comes out of one but what the key has signed.
pub fn bundle(bytes: &[u8]) {
    let Ok(found) = Bundle::parse(bytes) else { return };
    assert_eq!(found.to_bytes(), bytes);
    let key = PublicKey::from_pem(KEY).expect("the vector's key");
    let Ok(statement) = found.verify(std::slice::from_ref(&key)) else { return };
    let signed = Bundle::parse(SIGNED).and_then(|signed| signed.verify(&[key])).expect("the vector");
    assert_eq!(statement, signed);
}

/// Any bytes as a file of logins: what it gives is for the registry that was asked for, and no error shows what is in it.
pub fn logins(bytes: &[u8]) {
    for parse in [AuthFile::parse, AuthFile::parse_old] {
        match parse(bytes) {
            Ok(file) => {
                let _ = file.find("r.example", "team/app");
                let elsewhere = file.find("no-entry.example", "x").expect("nothing there is wrong");
                assert!(elsewhere.len() <= 2, "a helper for all of them at most, and its default");
            }
            Err(error) => assert!(error.starts_with("it is not the JSON of such a file (line "), "{error}"),
        }
    }
}
