//! OpenPGP keys and signatures of any shape, sound or not.
#![expect(clippy::unwrap_used, reason = "only for tests, which may fail")]

use pgp::composed::ArmorOptions;
use pgp::composed::CleartextSignedMessage;
use pgp::composed::DetachedSignature;
use pgp::composed::KeyType;
use pgp::composed::SignedKeyDetails;
use pgp::composed::SignedPublicKey;
use pgp::composed::SignedPublicSubKey;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::KeyFlags;
use pgp::packet::PubKeyInner;
use pgp::packet::PublicKey;
use pgp::packet::PublicSubkey;
use pgp::packet::SecretKey;
use pgp::packet::SecretSubkey;
use pgp::packet::Signature;
use pgp::packet::SignatureConfig;
use pgp::packet::SignatureType;
use pgp::packet::Subpacket;
use pgp::packet::SubpacketData;
use pgp::packet::UserId;
use pgp::ser::Serialize as _;
use pgp::types::Duration;
use pgp::types::KeyVersion;
use pgp::types::PacketHeaderVersion;
use pgp::types::Password;
use pgp::types::SignedUser;
use pgp::types::SigningKey;
use pgp::types::Tag;
use pgp::types::Timestamp;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;

/// What a key is like; [`Shape::default`] is a sound one: an Ed25519 primary key that signs through a subkey.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Keys of one seed and kind are equal.
    pub seed: u64,
    /// Algorithm.
    pub kind: KeyType,
    /// When it was made, in seconds since the epoch.
    pub born: u32,
    /// Seconds after birth at which the primary key expires.
    pub primary_ends: Option<u32>,
    /// Whether the primary key may sign.
    pub primary_signs: bool,
    /// Whether the primary key revokes itself.
    pub primary_revoked: bool,
    /// Whether there is a subkey.
    pub has_subkey: bool,
    /// Seconds after birth at which the subkey expires.
    pub subkey_ends: Option<u32>,
    /// Whether the subkey may sign.
    pub subkey_signs: bool,
    /// Whether the subkey signs the primary key.
    pub subkey_binds_back: bool,
    /// Whether the primary key revokes the subkey.
    pub subkey_revoked: bool,
    /// Hash of the signatures that make the certificate.
    pub hash: HashAlgorithm,
}

/// When a sound key was made.
pub const BORN: u32 = 1_700_000_000;

impl Default for Shape {
    fn default() -> Self {
        Self {
            seed: 1,
            kind: KeyType::Ed25519Legacy,
            born: BORN,
            primary_ends: None,
            primary_signs: false,
            primary_revoked: false,
            has_subkey: true,
            subkey_ends: None,
            subkey_signs: true,
            subkey_binds_back: true,
            subkey_revoked: false,
            hash: HashAlgorithm::Sha512,
        }
    }
}

/// A secret key and its certificate.
#[derive(Debug)]
pub struct TestKey {
    primary: SecretKey,
    subkey: Option<SecretSubkey>,
    /// The public half.
    pub certificate: SignedPublicKey,
}

pub use pgp::crypto::hash::HashAlgorithm as Hash;

impl TestKey {
    /// A kind of key that signs with any hash.
    pub const RSA: KeyType = KeyType::Rsa(2048);

    /// Makes a key.
    pub fn new(shape: &Shape) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(shape.seed);
        let born = Timestamp::from_secs(shape.born);
        let mut generate = || {
            let (public, secret) = shape.kind.generate(&mut rng).unwrap();
            (PubKeyInner::new(KeyVersion::V4, shape.kind.to_alg(), born, None, public).unwrap(), secret)
        };
        let (public, secret) = generate();
        let public = PublicKey::from_inner(public).unwrap();
        let primary = SecretKey::new(public.clone(), secret).unwrap();

        let user = UserId::from_str(PacketHeaderVersion::New, "Test <test@example.org>").unwrap();
        let mut config = config(&primary, SignatureType::CertPositive, shape.hash, shape.born);
        push_terms(&mut config, shape.primary_signs, shape.primary_ends);
        let own =
            config.sign_certification(&primary, &public, &Password::empty(), Tag::UserId, &user).unwrap();
        let revocations = if shape.primary_revoked {
            let config =
                self::config(&primary, SignatureType::KeyRevocation, shape.hash, shape.born + 500_000);
            vec![config.sign_key(&primary, &Password::empty(), &public).unwrap()]
        } else {
            Vec::new()
        };

        let mut subkeys = Vec::new();
        let mut subkey = None;
        if shape.has_subkey {
            let (inner, secret) = generate();
            let sub_public = PublicSubkey::from_inner(inner).unwrap();
            let sub_secret = SecretSubkey::new(sub_public.clone(), secret).unwrap();
            let mut config = self::config(&primary, SignatureType::SubkeyBinding, shape.hash, shape.born);
            push_terms(&mut config, shape.subkey_signs, shape.subkey_ends);
            if shape.subkey_binds_back {
                let back = self::config(&sub_secret, SignatureType::KeyBinding, shape.hash, shape.born);
                let back = back
                    .sign_primary_key_binding(&sub_secret, &sub_public, &Password::empty(), &public)
                    .unwrap();
                config
                    .hashed_subpackets
                    .push(Subpacket::regular(SubpacketData::EmbeddedSignature(Box::new(back))).unwrap());
            }
            let mut signatures =
                vec![config.sign_subkey_binding(&primary, &public, &Password::empty(), &sub_public).unwrap()];
            if shape.subkey_revoked {
                let config =
                    self::config(&primary, SignatureType::SubkeyRevocation, shape.hash, shape.born + 500_000);
                signatures.push(
                    config.sign_subkey_binding(&primary, &public, &Password::empty(), &sub_public).unwrap(),
                );
            }
            subkeys.push(SignedPublicSubKey::new(sub_public, signatures));
            subkey = Some(sub_secret);
        }
        let users = vec![SignedUser::new(user, vec![own])];
        let details = SignedKeyDetails::new(revocations, Vec::new(), users, Vec::new());
        Self { primary, subkey, certificate: SignedPublicKey::new(public, details, subkeys) }
    }

    /// The certificate, as `gpg --export` writes it.
    pub fn binary(&self) -> Vec<u8> {
        self.certificate.to_bytes().unwrap()
    }

    /// The certificate as text.
    pub fn armoured(&self) -> String {
        self.certificate.to_armored_string(ArmorOptions::default()).unwrap()
    }

    /// A signature of `text` (line ends as they are hashed), by the subkey where there is one.
    pub fn signature(&self, text: &str, made: u32, hash: HashAlgorithm) -> Signature {
        self.signature_until(text, made, hash, None)
    }

    /// The same, ending so many seconds after it was made.
    pub fn signature_until(
        &self,
        text: &str,
        made: u32,
        hash: HashAlgorithm,
        ends: Option<u32>,
    ) -> Signature {
        match &self.subkey {
            Some(key) => Self::by(key, SignatureType::Text, text, made, hash, ends),
            None => Self::by(&self.primary, SignatureType::Text, text, made, hash, ends),
        }
    }

    fn by(
        key: &impl SigningKey,
        kind: SignatureType,
        text: &str,
        made: u32,
        hash: HashAlgorithm,
        ends: Option<u32>,
    ) -> Signature {
        let mut config = config(key, kind, hash, made);
        if let Some(ends) = ends {
            let ends = SubpacketData::SignatureExpirationTime(Duration::from_secs(ends));
            config.hashed_subpackets.push(Subpacket::regular(ends).unwrap());
        }
        config.sign(key, &Password::empty(), text.as_bytes()).unwrap()
    }
}

/// A cleartext-signed file, framed by the OpenPGP crate.
pub fn sign(text: &str, keys: &[&TestKey], made: u32) -> String {
    sign_with(text, keys, made, HashAlgorithm::Sha256)
}

/// The same with another hash.
pub fn sign_with(text: &str, keys: &[&TestKey], made: u32, hash: HashAlgorithm) -> String {
    let message = CleartextSignedMessage::new_many(text, |text| {
        // Blanks at line ends are not signed (RFC 9580, 7.2); the crate leaves that to its callers.
        let trimmed = text.split("\r\n").map(|line| line.trim_end_matches([' ', '\t'])).collect::<Vec<_>>();
        let trimmed = trimmed.join("\r\n");
        Ok(keys.iter().map(|key| key.signature(&trimmed, made, hash)).collect())
    });
    message.unwrap().to_armored_string(ArmorOptions::default()).unwrap()
}

/// A cleartext-signed file with a signature of each of these keys, of the text or of another one.
pub fn sign_each(
    text: &str,
    keys: &[(&TestKey, Option<&str>)],
    made: u32,
    hash: HashAlgorithm,
    ends: Option<u32>,
) -> String {
    let message = CleartextSignedMessage::new_many(text, |text| {
        let sign = |(key, other): &(&TestKey, Option<&str>)| {
            key.signature_until(other.unwrap_or(text), made, hash, ends)
        };
        Ok(keys.iter().map(sign).collect())
    });
    message.unwrap().to_armored_string(ArmorOptions::default()).unwrap()
}

/// Signatures of `text`, as it is, for a file beside it: an armoured block for each.
pub fn sign_beside(
    text: &str,
    keys: &[(&TestKey, Option<&str>)],
    made: u32,
    hash: HashAlgorithm,
    ends: Option<u32>,
) -> String {
    let sign = |(key, other): &(&TestKey, Option<&str>)| {
        let (text, kind) = (other.unwrap_or(text), SignatureType::Binary);
        let signature = match &key.subkey {
            Some(subkey) => TestKey::by(subkey, kind, text, made, hash, ends),
            None => TestKey::by(&key.primary, kind, text, made, hash, ends),
        };
        DetachedSignature::new(signature).to_armored_string(ArmorOptions::default()).unwrap()
    };
    keys.iter().map(sign).collect()
}

fn config(key: &impl SigningKey, kind: SignatureType, hash: HashAlgorithm, made: u32) -> SignatureConfig {
    let mut config = SignatureConfig::v4(kind, key.algorithm(), hash);
    config.hashed_subpackets = vec![
        Subpacket::regular(SubpacketData::SignatureCreationTime(Timestamp::from_secs(made))).unwrap(),
        Subpacket::regular(SubpacketData::IssuerFingerprint(key.fingerprint())).unwrap(),
    ];
    config.unhashed_subpackets =
        vec![Subpacket::regular(SubpacketData::IssuerKeyId(key.legacy_key_id())).unwrap()];
    config
}

fn push_terms(config: &mut SignatureConfig, signs: bool, ends: Option<u32>) {
    let mut flags = KeyFlags::default();
    flags.set_certify(true);
    flags.set_sign(signs);
    config.hashed_subpackets.push(Subpacket::regular(SubpacketData::KeyFlags(flags)).unwrap());
    if let Some(ends) = ends {
        let ends = SubpacketData::KeyExpirationTime(Duration::from_secs(ends));
        config.hashed_subpackets.push(Subpacket::regular(ends).unwrap());
    }
}
