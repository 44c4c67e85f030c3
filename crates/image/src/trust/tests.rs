use std::collections::BTreeMap;
use std::collections::BTreeSet;

use pinfold_base::Diagnose;
use pinfold_base::Kind;

use super::*;
use crate::memory::Memory;
use crate::model::media;
use crate::sign::PROVENANCE;
use crate::sign::PublicKey;
use crate::sign::SIGNATURE;
use crate::sign::SecretKey;
use crate::sign::Signer;
use crate::sign::Statement;

impl Proofs for BTreeMap<Digest, Vec<Vec<u8>>> {
    fn bundles(&self, of: &Digest) -> Result<Vec<Vec<u8>>, ImageError> {
        Ok(self.get(of).cloned().unwrap_or_default())
    }
}

const NAME: &str = "registry.example/team/tool";

fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

fn rule(images: &str, keys: &[&SecretKey], require: &[&str]) -> Rule {
    let keys: Vec<PublicKey> = keys.iter().map(|key| key.public().clone()).collect();
    let require: BTreeSet<String> = require.iter().map(|&uri| uri.to_owned()).collect();
    Rule::new(images.parse().unwrap(), keys, require).unwrap()
}

fn rules(images: &str, keys: &[&SecretKey], require: &[&str]) -> Rules {
    Rules::new(vec![rule(images, keys, require)]).unwrap()
}

fn found() -> Found {
    let bytes = b"{}".to_vec();
    Found { descriptor: Descriptor::new(media::OCI_INDEX, Digest::sha256(&bytes), 2), bytes }
}

fn bundle(key: &SecretKey, predicate: &str, of: &[u8]) -> Vec<u8> {
    let statement =
        Statement { predicate_type: predicate.into(), ..Statement::signature(Digest::sha256(of)) };
    Bundle::make(&statement, key).unwrap().to_bytes().to_vec()
}

/// What is said when these bundles are attached to the image.
fn judged(rules: &Rules, bundles: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, TrustError> {
    let proofs = BTreeMap::from([(found().descriptor.digest, bundles.to_vec())]);
    admit(rules, &name(NAME), found(), &proofs).map(|(_, counted)| counted)
}

#[test]
fn each_way_of_not_being_signed_is_refused_by_its_name() {
    let (key, other) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
    let rules = rules("registry.example/team/*", &[&key], &[]);
    let right = bundle(&key, SIGNATURE, b"{}");
    assert_eq!(
        judged(&rules, std::slice::from_ref(&right)).unwrap(),
        std::slice::from_ref(&right),
        "the control"
    );
    let mut flipped = right.clone();
    let at = String::from_utf8_lossy(&right).find("payload\":\"").unwrap() + 60;
    flipped[at] = if flipped[at] == b'A' { b'B' } else { b'A' };
    for (bundles, why, said) in [
        (vec![], Why::Missing, "it has no signature"),
        (vec![b"{}".to_vec()], Why::Unreadable, "no signature that can be read"),
        (vec![flipped], Why::OtherKey, "only by others"),
        (vec![bundle(&other, SIGNATURE, b"{}")], Why::OtherKey, "no signature by a key of the rule"),
        (vec![bundle(&key, PROVENANCE, b"{}")], Why::OtherPredicate, "signed other statements"),
        (vec![bundle(&key, SIGNATURE, b"other")], Why::OtherDigest, "of another image"),
        // Of several the nearest is told.
        (
            vec![b"{}".to_vec(), bundle(&key, SIGNATURE, b"other"), bundle(&other, SIGNATURE, b"{}")],
            Why::OtherDigest,
            "of another image",
        ),
    ] {
        let error = judged(&rules, &bundles).unwrap_err();
        assert!(matches!(&error, TrustError::Refused { why: found, .. } if *found == why), "{error:?}");
        assert!(error.to_string().contains(said), "{error}");
        assert!(error.to_string().contains("registry.example/team/*"), "{error}");
        assert_eq!(error.kind(), Kind::Refused);
    }
}

#[test]
fn what_others_attach_does_not_hinder() {
    let (key, other) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
    let right = bundle(&key, SIGNATURE, b"{}");
    let junk =
        [b"no json".to_vec(), bundle(&other, SIGNATURE, b"{}"), bundle(&key, SIGNATURE, b"x"), right.clone()];
    let rules = rules(NAME, &[&other, &key], &[]);
    assert_eq!(judged(&rules, &junk).unwrap(), [junk[1].clone()], "one of the keys suffices");
    let only = super::tests::rules(NAME, &[&key], &[]);
    assert_eq!(judged(&only, &junk).unwrap(), std::slice::from_ref(&right));
    // No more than so many are looked at.
    let mut many = vec![b"{}".to_vec(); MAX_PROOFS - 1];
    many.push(right.clone());
    assert!(judged(&only, &many).is_ok());
    many.insert(0, b"{}".to_vec());
    assert!(judged(&only, &many).is_err());
}

#[test]
fn every_predicate_of_a_rule_must_be_proved() {
    let key = SecretKey::generate().unwrap();
    let both = rules(NAME, &[&key], &[SIGNATURE, PROVENANCE]);
    let (signature, provenance) = (bundle(&key, SIGNATURE, b"{}"), bundle(&key, PROVENANCE, b"{}"));
    assert_eq!(judged(&both, &[signature.clone(), provenance.clone()]).unwrap().len(), 2);
    let lacks = |bundles: &[Vec<u8>]| match judged(&both, bundles).unwrap_err() {
        TrustError::Refused { predicate, .. } => predicate,
        other => panic!("{other}"),
    };
    assert_eq!(lacks(std::slice::from_ref(&signature)), PROVENANCE);
    assert_eq!(lacks(std::slice::from_ref(&provenance)), SIGNATURE);
    // A bundle of both digests is about either.
    let one = rules(NAME, &[&key], &[PROVENANCE]);
    assert!(judged(&one, &[provenance]).is_ok());
    assert!(judged(&one, &[signature]).is_err());
}

#[test]
fn bytes_of_another_digest_are_refused_whatever_the_rules() {
    let none = BTreeMap::new();
    assert!(admit(&Rules::default(), &name(NAME), found(), &none).is_ok(), "the control");
    let other = Found { bytes: b"[]".to_vec(), ..found() };
    let error = admit(&Rules::default(), &name(NAME), other, &none).unwrap_err();
    assert!(matches!(error, TrustError::Image(ImageError::WrongDigest { .. })));
    assert_eq!(error.kind(), Kind::Integrity);
    let longer = Found { bytes: b"{} ".to_vec(), ..found() };
    assert!(matches!(
        admit(&Rules::default(), &name(NAME), longer, &none),
        Err(TrustError::Image(ImageError::WrongSize { .. }))
    ));
}

#[test]
fn the_longest_pattern_counts() {
    let key = SecretKey::generate().unwrap();
    let patterns = [
        "*",
        "registry.example/*",
        "registry.example/team/*",
        "registry.example/team/tool",
        "r.example:5000/*",
    ];
    let rules = Rules::new(patterns.map(|pattern| rule(pattern, &[&key], &[])).into()).unwrap();
    let digest = found().descriptor.digest;
    let by_digest = format!("registry.example/team/tool@{digest}");
    let by_both = format!("registry.example/team/tool:1@{digest}");
    for (text, pattern) in [
        ("registry.example/team/tool", "registry.example/team/tool"),
        // Which image of a repository is no matter.
        ("registry.example/team/tool:1", "registry.example/team/tool"),
        ("registry.example:443/team/tool:1", "registry.example/team/tool"),
        (&by_digest, "registry.example/team/tool"),
        (&by_both, "registry.example/team/tool"),
        ("registry.example/team/tool/part", "registry.example/team/*"),
        ("registry.example/team/toolbox", "registry.example/team/*"),
        ("registry.example/teams/tool", "registry.example/*"),
        ("registry.example/team", "registry.example/*"),
        ("other.example/team/tool", "*"),
        ("registry.example.other.example/team/tool", "*"),
        ("tool", "*"),
        // The same registry, written in other ways.
        ("Registry.EXAMPLE/team/tool", "registry.example/team/tool"),
        ("registry.example:443/team/tool", "registry.example/team/tool"),
        ("registry.example:0443/team/tool", "registry.example/team/tool"),
        ("R.example:05000/tool", "r.example:5000/*"),
        // Another port is another registry.
        ("registry.example:5000/team/tool", "*"),
        ("r.example/tool", "*"),
    ] {
        let found = rules.of(Some(&name(text))).map(|rule| rule.images().to_string());
        assert_eq!(found.as_deref(), Some(pattern), "{text}");
    }
    let written: Pattern = "Registry.example:443/team/*".parse().unwrap();
    assert_eq!(written.to_string(), "registry.example/team/*");
    assert_eq!(rules.of(None).unwrap().images().to_string(), "*", "what has no name");
    assert!(Rules::default().of(Some(&name(NAME))).is_none());
    let error = Rules::new(vec![rule("A.example/*", &[&key], &[]), rule("a.example:443/*", &[&key], &[])]);
    assert!(matches!(error, Err(TrustError::Twice { .. })));
}

#[test]
fn patterns_that_could_mean_something_else_are_refused() {
    for text in [
        "",
        "/*",
        "tool",
        "team/tool",
        "registry.example",
        "registry.example/",
        "registry.example/te*",
        "registry.example/*/tool",
        "**",
        "*/tool",
        "registry.example/team/tool:1",
        "registry.example/Team/*",
        "https://registry.example/*",
        "registry.example/team//*",
        " registry.example/*",
    ] {
        assert!(matches!(text.parse::<Pattern>(), Err(TrustError::Pattern { .. })), "{text:?}");
    }
    for text in ["[::1]:5000/*", "registry.example:5000/a", "*"] {
        assert_eq!(text.parse::<Pattern>().unwrap().to_string(), text);
    }
    // This machine has two names.
    for text in ["localhost:5000/*", "127.0.0.1:5000/*"] {
        assert_eq!(text.parse::<Pattern>().unwrap().to_string(), "127.0.0.1:5000/*");
    }
    let empty = Rule::new("*".parse().unwrap(), vec![], BTreeSet::new());
    assert!(matches!(empty, Err(TrustError::NoKey { .. })));
}

#[test]
fn an_image_on_this_machine_is_judged_by_where_it_comes_from() {
    let key = SecretKey::generate().unwrap();
    let source = || {
        let root = found().descriptor;
        ImageSource::new("what was asked for", root, Box::new(Memory::default()))
    };
    let all = rules("*", &[&key], &[]);
    let registry = rules("registry.example/*", &[&key], &[]);
    let nothing = BTreeMap::new();
    let (tool, full) = (name("tool"), name(&format!("{NAME}:1")));
    let proofs = BTreeMap::from([(found().descriptor.digest, vec![bundle(&key, SIGNATURE, b"{}")])]);
    for (rules, origin, without) in [
        (&all, Origin::Made, true),
        (&all, Origin::Place, false),
        (&all, Origin::Name(&tool), false),
        (&registry, Origin::Place, true),
        (&registry, Origin::Name(&tool), true),
        (&registry, Origin::Name(&full), false),
    ] {
        let told = format!("{origin:?}");
        assert_eq!(admit_source(rules, source(), None, origin, &nothing).is_ok(), without, "{told}");
        assert!(admit_source(rules, source(), None, origin, &proofs).is_ok(), "{told}");
    }
}

#[test]
fn what_is_proved_of_an_index_is_proved_of_what_it_names() {
    let key = SecretKey::generate().unwrap();
    let all = rules("*", &[&key], &[]);
    let source = || ImageSource::new("one platform", found().descriptor, Box::new(Memory::default()));
    let index = Digest::sha256(b"index");
    let proofs = BTreeMap::from([(index.clone(), vec![bundle(&key, SIGNATURE, b"index")])]);
    let judged = |index| admit_source(&all, source(), index, Origin::Place, &proofs);
    assert!(judged(Some(&index)).is_ok());
    assert!(judged(None).is_err());
    assert!(judged(Some(&Digest::sha256(b"another"))).is_err());
    // A proof that lies beside the index and is about something else is none of it.
    let proofs = BTreeMap::from([(index.clone(), vec![bundle(&key, SIGNATURE, b"another")])]);
    assert!(admit_source(&all, source(), Some(&index), Origin::Place, &proofs).is_err());
}
