//! Signatures of archives: a cleartext-signed file, a keyring, and the rules by which one vouches for the other.
//!
//! ```text
//! -----BEGIN PGP SIGNED MESSAGE-----
//! Hash: SHA256
//!                                         empty line
//! Origin: Debian                          the text, lines beginning with `-` written as `- -`
//! -----BEGIN PGP SIGNATURE-----
//! iQIz...                                 one or more signatures, armoured
//! -----END PGP SIGNATURE-----
//! ```
//!
//! or, beside a text that stays as it is, a file of armoured blocks of signatures and nothing else.
//!
//! Form: RFC 9580, sections 7 (cleartext) and 5.2 (signatures). Only cryptography and packets come from the `pgp` crate; which
//! key may speak for an archive is decided here, strictly:
//! - a signature counts when a certificate of the keyring holds its issuer, as primary key or as subkey, it is of type text (beside
//!   a text: of type text or binary), not made in the future, not expired, hashed with SHA-256 or better, by RSA of 2048 bits or more, ECDSA or EdDSA, and
//!   holds no critical subpacket that nobody here understands;
//! - its key must have been valid when the signature was made: created before, not expired, allowed to sign, never revoked
//!   (a revocation counts from the beginning of time); for a subkey the primary key too, and the subkey must be bound by the
//!   primary and bind itself back;
//! - [`Expiry::Now`] also wants the keys unexpired today, as apt does.
//!
//! **Guarantees**: the text of [`verify`] is rebuilt from the very bytes that were hashed; nothing outside the signed part
//! survives. At least one signature counts, and none of a known key is wrong.
//! **Refuses**: text before or behind the signed message, unescaped dashes, unknown armour headers, over 32 signatures, files
//! over 16 MiB.

use std::io::Cursor;

use pgp::armor::BlockType;
use pgp::armor::Dearmor;
use pgp::composed::Deserializable as _;
use pgp::composed::SignedPublicKey;
use pgp::composed::SignedPublicSubKey;
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::Packet;
use pgp::packet::PacketParser;
use pgp::packet::Signature;
use pgp::packet::SignatureType;
use pgp::packet::SubpacketData;
use pgp::ser::Serialize as _;
use pgp::types::Fingerprint;
use pgp::types::KeyDetails;
use pgp::types::KeyId;
use pgp::types::PublicParams;
use pgp::types::Tag;

/// Longest signed file, in bytes (a Release file of all architectures has 150 kB to 1.5 MB).
pub const MAX_SIGNED: usize = 16 << 20;
const MAX_SIGNATURES: usize = 32;
const MAX_CERTIFICATES: usize = 512;
/// How far a signature may lie in the future, in seconds: clocks differ.
const TOLERANCE: u64 = 3600;

/// Why a file is not vouched for.
#[derive(Debug, thiserror::Error)]
pub enum OpenPgpError {
    /// The file is not one cleartext-signed message.
    #[error("not a signed message: {0}")]
    Form(&'static str),
    /// The block of signatures cannot be read.
    #[error("the signatures cannot be read")]
    Armor(#[source] pgp::errors::Error),
    /// None of the keys that signed is in the keyring.
    #[error("signed by keys that are not trusted: {}", .signers.join(", "))]
    UnknownKeys {
        /// Fingerprints or key numbers of the signers.
        signers: Vec<String>,
    },
    /// A trusted key is said to have signed, and it did not sign this.
    #[error("the signature of key {key} does not match the text")]
    Wrong {
        /// Fingerprint of the key.
        key: String,
    },
    /// Trusted keys signed, and none of the signatures counts.
    #[error("no signature counts: {}", .reasons.join("; "))]
    NoneCounts {
        /// Key and reason of each.
        reasons: Vec<String>,
    },
    /// A keyring cannot be read.
    #[error("keyring `{name}` cannot be read: {reason}")]
    Keyring {
        /// What to call it.
        name: String,
        /// Why.
        reason: String,
    },
}

/// Which moment decides whether a key has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// The keys must be valid now, and when they signed.
    Now,
    /// The keys must have been valid when they signed (an old state of an archive, taken on purpose).
    AtSignature,
}

/// Certificates that may speak for an archive.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    certificates: Vec<SignedPublicKey>,
}

impl Keyring {
    /// Reads a keyring: binary, or one or several armoured blocks. Certificates of forms nobody reads any more are passed
    /// over; a keyring without any certificate is an error. `name` is for messages.
    pub fn read(name: &str, bytes: &[u8]) -> Result<Self, OpenPgpError> {
        let wrong = |reason: &str| OpenPgpError::Keyring { name: name.to_owned(), reason: reason.to_owned() };
        if bytes.len() > MAX_SIGNED {
            return Err(wrong("it is too large"));
        }
        if bytes.get(8..12) == Some(b"KBXf") {
            return Err(wrong("it is a GnuPG keybox; export it with `gpg --export`"));
        }
        let mut keyring = Self::default();
        if bytes.first().is_some_and(|byte| byte & 0x80 != 0) {
            keyring.add_packets(bytes);
        } else {
            for block in armoured_blocks(bytes) {
                let mut packets = Vec::new();
                let mut armor = Dearmor::new(Cursor::new(block));
                std::io::Read::read_to_end(&mut armor, &mut packets)
                    .map_err(|_| wrong("its armour is damaged"))?;
                if armor.typ != Some(BlockType::PublicKey) {
                    return Err(wrong("it holds something else than public keys"));
                }
                keyring.add_packets(&packets);
            }
        }
        if keyring.certificates.is_empty() {
            return Err(wrong("there is no key in it"));
        }
        Ok(keyring)
    }

    fn add_packets(&mut self, bytes: &[u8]) {
        if let Ok(all) = SignedPublicKey::from_bytes_many(Cursor::new(bytes)) {
            self.certificates.extend(all.take(MAX_CERTIFICATES).filter_map(Result::ok));
        }
    }

    /// Adds all certificates of another keyring. Two copies of one certificate stay two: a revocation in either counts.
    pub fn add(&mut self, other: Self) {
        self.certificates.extend(other.certificates);
    }

    /// Adds the certificates whose primary keys are not here yet.
    pub fn add_missing(&mut self, other: Self) {
        for certificate in other.certificates {
            if !self.certificates.iter().any(|here| here.fingerprint() == certificate.fingerprint()) {
                self.certificates.push(certificate);
            }
        }
    }

    /// Keeps the certificates that have one of these fingerprints (hexadecimal), as primary key or subkey.
    pub fn keep_only(&mut self, fingerprints: &[String]) {
        let wanted = |key: &dyn KeyDetails| {
            let own = key.fingerprint().to_string();
            fingerprints.iter().any(|one| one.trim_end_matches('!').eq_ignore_ascii_case(&own))
        };
        self.certificates.retain(|certificate| {
            wanted(&certificate.primary_key)
                || certificate.public_subkeys.iter().any(|subkey| wanted(&subkey.key))
        });
    }

    /// How many certificates there are.
    pub fn len(&self) -> usize {
        self.certificates.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }
}

/// Text that a trusted key signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The signed text, with `\n` at the end of every line and no blanks before them.
    pub text: Vec<u8>,
    /// Fingerprints of the keys whose signatures count, in lower-case hexadecimal.
    pub signers: Vec<String>,
}

/// Checks a cleartext-signed file. `now` is in seconds since the epoch.
pub fn verify(file: &[u8], keyring: &Keyring, now: u64, expiry: Expiry) -> Result<Verified, OpenPgpError> {
    let Cleartext { mut text, block } = Cleartext::read(file)?;
    let mut hashed = Vec::with_capacity(text.len() + text.len() / 32);
    for (number, line) in text.split(|&byte| byte == b'\n').enumerate() {
        if number > 0 {
            hashed.extend_from_slice(b"\r\n");
        }
        hashed.extend_from_slice(line);
    }
    let rules = Rules { now, expiry, types: &[SignatureType::Text] };
    let signers = rules.signers(&signatures(block)?, keyring, &hashed)?;
    text.push(b'\n');
    Ok(Verified { text, signers })
}

/// Checks a file whose signatures stand in another, as `Release` and `Release.gpg`. All of the text is what was signed.
pub fn verify_beside(
    text: &[u8],
    beside: &[u8],
    keyring: &Keyring,
    now: u64,
    expiry: Expiry,
) -> Result<Verified, OpenPgpError> {
    if text.len() > MAX_SIGNED || beside.len() > MAX_SIGNED {
        return Err(OpenPgpError::Form("it is too large"));
    }
    let mut found = Vec::new();
    for block in signature_blocks(beside)? {
        found.extend(signatures(block)?);
        if found.len() > MAX_SIGNATURES {
            return Err(OpenPgpError::Form("there are too many signatures"));
        }
    }
    let rules = Rules { now, expiry, types: &[SignatureType::Binary, SignatureType::Text] };
    let signers = rules.signers(&found, keyring, text)?;
    Ok(Verified { text: text.to_vec(), signers })
}

/// The blocks of a file that has nothing else, as apt reads it.
fn signature_blocks(file: &[u8]) -> Result<Vec<&[u8]>, OpenPgpError> {
    let mut lines = Lines { text: file, at: 0 };
    let (mut blocks, mut begin) = (Vec::new(), None);
    loop {
        let at = lines.at;
        match (lines.next(), begin) {
            (None, None) => return Ok(blocks),
            (Some(SIGNATURE), None) => begin = Some(at),
            (Some(END), Some(from)) => {
                blocks.push(&file[from..lines.at]);
                begin = None;
            }
            (Some(line), None) if line.trim_ascii().is_empty() => {}
            (Some(line), Some(_)) if line.first() != Some(&b'-') => {}
            (None, Some(_)) => return Err(OpenPgpError::Form("the signature is cut short")),
            _ => return Err(OpenPgpError::Form("the file of signatures has something else in it")),
        }
    }
}

const SIGNATURE: &[u8] = b"-----BEGIN PGP SIGNATURE-----";
const END: &[u8] = b"-----END PGP SIGNATURE-----";

/// The two parts of a cleartext-signed file.
struct Cleartext<'a> {
    /// Unescaped, without blanks at line ends, lines joined by `\n`, no line end behind the last.
    text: Vec<u8>,
    /// The armoured block of signatures.
    block: &'a [u8],
}

impl<'a> Cleartext<'a> {
    fn read(file: &'a [u8]) -> Result<Self, OpenPgpError> {
        const BEGIN: &[u8] = b"-----BEGIN PGP SIGNED MESSAGE-----";
        let wrong = |reason| Err(OpenPgpError::Form(reason));
        if file.len() > MAX_SIGNED {
            return wrong("it is too large");
        }
        let mut lines = Lines { text: file, at: 0 };
        if lines.next() != Some(BEGIN) {
            return wrong("it does not begin with `-----BEGIN PGP SIGNED MESSAGE-----`");
        }
        loop {
            match lines.next() {
                Some(b"") => break,
                Some(line) if line.starts_with(b"Hash: ") => {}
                _ => return wrong("an odd header stands before the text"),
            }
        }
        let mut text = Vec::with_capacity(file.len());
        let mut first = true;
        let begin = loop {
            let begin = lines.at;
            let Some(line) = lines.next() else { return wrong("the signature is missing") };
            if line == SIGNATURE {
                break begin;
            }
            let line = match line.strip_prefix(b"- ") {
                Some(line) => line,
                None if line.first() == Some(&b'-') => return wrong("a line begins with an unescaped dash"),
                None => line,
            };
            if !first {
                text.push(b'\n');
            }
            first = false;
            text.extend_from_slice(line);
            let blanks = text.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            text.truncate(text.len() - blanks);
        };
        loop {
            match lines.next() {
                Some(END) => break,
                Some(line) if line.first() == Some(&b'-') => return wrong("the signature is not closed"),
                Some(_) => {}
                None => return wrong("the signature is cut short"),
            }
        }
        let block = &file[begin..lines.at];
        if !file[lines.at..].trim_ascii().is_empty() {
            return wrong("something stands behind the signature");
        }
        Ok(Self { text, block })
    }
}

/// Lines without their ends (LF or CR LF).
struct Lines<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = self.text.get(self.at..).filter(|rest| !rest.is_empty())?;
        let end = memchr::memchr(b'\n', rest);
        self.at += end.map_or(rest.len(), |end| end + 1);
        let line = &rest[..end.unwrap_or(rest.len())];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

fn armoured_blocks(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines = Lines { text: bytes, at: 0 };
    let (mut blocks, mut begin) = (Vec::new(), None);
    loop {
        let at = lines.at;
        match lines.next() {
            None => return blocks,
            Some(line) if line.starts_with(b"-----BEGIN ") => begin = Some(at),
            Some(line) if line.starts_with(b"-----END ") => {
                blocks.extend(begin.take().map(|begin| &bytes[begin..lines.at]));
            }
            Some(_) => {}
        }
    }
}

fn signatures(block: &[u8]) -> Result<Vec<Signature>, OpenPgpError> {
    let mut armor = Dearmor::new(Cursor::new(block));
    let mut packets = Vec::new();
    std::io::Read::read_to_end(&mut armor, &mut packets)
        .map_err(|error| OpenPgpError::Armor(pgp::errors::Error::from(error)))?;
    let mut signatures = Vec::new();
    for packet in PacketParser::new(Cursor::new(&packets[..])).take(MAX_SIGNATURES + 1) {
        match packet {
            Ok(Packet::Signature(signature)) => signatures.push(signature),
            Ok(_) => return Err(OpenPgpError::Form("something else stands among the signatures")),
            Err(error) => return Err(OpenPgpError::Armor(error)),
        }
    }
    if signatures.len() > MAX_SIGNATURES {
        return Err(OpenPgpError::Form("there are too many signatures"));
    }
    Ok(signatures)
}

fn issuer_name(signature: &Signature) -> String {
    match (signature.issuer_fingerprint().first(), signature.issuer_key_id().first()) {
        (Some(fingerprint), _) => fingerprint.to_string(),
        (None, Some(id)) => id.to_string(),
        (None, None) => "unnamed".into(),
    }
}

/// A key of the keyring that a signature names.
struct Key<'a> {
    certificate: &'a SignedPublicKey,
    subkey: Option<&'a SignedPublicSubKey>,
}

impl Key<'_> {
    fn fingerprint(&self) -> String {
        match self.subkey {
            Some(subkey) => subkey.key.fingerprint().to_string(),
            None => self.certificate.primary_key.fingerprint().to_string(),
        }
    }
}

impl Keyring {
    fn issuers(&self, signature: &Signature) -> Vec<Key<'_>> {
        let fingerprints: Vec<&Fingerprint> = signature.issuer_fingerprint();
        let ids: Vec<&KeyId> = signature.issuer_key_id();
        let named = |key: &dyn KeyDetails| {
            if fingerprints.is_empty() {
                ids.contains(&&key.legacy_key_id())
            } else {
                fingerprints.contains(&&key.fingerprint())
            }
        };
        let mut keys = Vec::new();
        for certificate in &self.certificates {
            if named(&certificate.primary_key) {
                keys.push(Key { certificate, subkey: None });
            }
            for subkey in certificate.public_subkeys.iter().filter(|subkey| named(&subkey.key)) {
                keys.push(Key { certificate, subkey: Some(subkey) });
            }
        }
        keys
    }
}

enum Verdict {
    Counts,
    Wrong,
    Ignored(&'static str),
}

struct Rules {
    now: u64,
    expiry: Expiry,
    /// Which types of signatures count.
    types: &'static [SignatureType],
}

impl Rules {
    /// The keys whose signatures count; an error where there is none, or where one of a known key is wrong.
    fn signers(
        &self,
        signatures: &[Signature],
        keyring: &Keyring,
        hashed: &[u8],
    ) -> Result<Vec<String>, OpenPgpError> {
        let (mut signers, mut unknown, mut reasons) = (Vec::new(), Vec::new(), Vec::new());
        for signature in signatures {
            let keys = keyring.issuers(signature);
            if keys.is_empty() {
                unknown.push(issuer_name(signature));
                continue;
            }
            // Two copies of one certificate: the stricter one decides.
            let mut verdicts = keys.iter().map(|key| self.judge(signature, key, hashed));
            match verdicts.find(|verdict| !matches!(verdict, Verdict::Counts)).unwrap_or(Verdict::Counts) {
                Verdict::Counts => signers.push(keys[0].fingerprint()),
                Verdict::Wrong => return Err(OpenPgpError::Wrong { key: keys[0].fingerprint() }),
                Verdict::Ignored(reason) => reasons.push(format!("key {}: {reason}", keys[0].fingerprint())),
            }
        }
        if signers.is_empty() {
            return Err(match (reasons.is_empty(), unknown.is_empty()) {
                (false, _) => OpenPgpError::NoneCounts { reasons },
                (true, false) => OpenPgpError::UnknownKeys { signers: unknown },
                (true, true) => OpenPgpError::Form("there is no signature in it"),
            });
        }
        Ok(signers)
    }

    fn judge(&self, signature: &Signature, key: &Key<'_>, hashed: &[u8]) -> Verdict {
        let right = match key.subkey {
            Some(subkey) => signature.verify(&subkey.key, hashed).is_ok(),
            None => signature.verify(&key.certificate.primary_key, hashed).is_ok(),
        };
        if !right {
            return Verdict::Wrong;
        }
        match self.check(signature, key) {
            Ok(()) => Verdict::Counts,
            Err(reason) => Verdict::Ignored(reason),
        }
    }

    fn check(&self, signature: &Signature, key: &Key<'_>) -> Result<(), &'static str> {
        if !signature.typ().is_some_and(|typ| self.types.contains(&typ)) {
            return Err("the signature is not one of text");
        }
        check_form(signature)?;
        let made = created(signature).ok_or("the signature does not say when it was made")?;
        if made > self.now + TOLERANCE {
            return Err("the signature was made in the future");
        }
        if let Some(expires) = signature.signature_expiration_time().filter(|after| after.as_secs() > 0)
            && made + u64::from(expires.as_secs()) < self.now
        {
            return Err("the signature has expired");
        }
        let mut moments = vec![made];
        if self.expiry == Expiry::Now {
            moments.push(self.now.max(made));
        }
        for moment in moments {
            self.check_primary(key.certificate, key.subkey.is_none(), moment)?;
            if let Some(subkey) = key.subkey {
                self.check_subkey(key.certificate, subkey, moment)?;
            }
        }
        Ok(())
    }

    /// Whether the primary key was valid at a moment; `signs` when it made the signature itself.
    fn check_primary(
        &self,
        certificate: &SignedPublicKey,
        signs: bool,
        moment: u64,
    ) -> Result<(), &'static str> {
        let primary = &certificate.primary_key;
        check_strength(primary.public_params())?;
        if certificate.details.revocation_signatures.iter().any(|one| one.verify_key(primary).is_ok()) {
            return Err("the key was revoked");
        }
        let counts = |one: &&Signature| check_form(one).is_ok() && self.is_past(one);
        let newest_direct = certificate
            .details
            .direct_signatures
            .iter()
            .filter(|one| one.typ() == Some(SignatureType::Key) && one.verify_key(primary).is_ok())
            .filter(counts)
            .max_by_key(|one| created(one));
        let users = certificate.details.users.iter().filter_map(|user| {
            let own = user.signatures.iter().filter(|one| {
                is_by(one, primary) && one.verify_certification(primary, Tag::UserId, &user.id).is_ok()
            });
            // The newest word on a user name decides; when it is a revocation the name says nothing.
            own.max_by_key(|one| created(one)).filter(|one| one.typ() != Some(SignatureType::CertRevocation))
        });
        let newest_user = users.filter(counts).max_by_key(|one| created(one));
        // Direct signatures often hold nothing but a designated revoker: what the key may do and for how long stands with
        // the user name then. Where both set an end, both hold.
        let decisive =
            newest_user.or(newest_direct).ok_or("the key carries no valid signature of its own")?;
        for one in [Some(decisive), newest_direct].into_iter().flatten() {
            check_lifetime(primary.created_at().as_secs(), one, moment)?;
        }
        if signs && !decisive.key_flags().sign() {
            return Err("the key is not allowed to sign");
        }
        Ok(())
    }

    fn check_subkey(
        &self,
        certificate: &SignedPublicKey,
        subkey: &SignedPublicSubKey,
        moment: u64,
    ) -> Result<(), &'static str> {
        let primary = &certificate.primary_key;
        check_strength(subkey.key.public_params())?;
        let own =
            subkey.signatures.iter().filter(|one| one.verify_subkey_binding(primary, &subkey.key).is_ok());
        let (revocations, bindings): (Vec<_>, Vec<_>) =
            own.partition(|one| one.typ() == Some(SignatureType::SubkeyRevocation));
        if !revocations.is_empty() {
            return Err("the subkey was revoked");
        }
        let newest = bindings
            .into_iter()
            .filter(|one| check_form(one).is_ok() && self.is_past(one))
            .max_by_key(|one| created(one))
            .ok_or("the subkey is not bound to its primary key")?;
        check_lifetime(subkey.key.created_at().as_secs(), newest, moment)?;
        if !newest.key_flags().sign() {
            return Err("the subkey is not allowed to sign");
        }
        let back = newest.embedded_signature().ok_or("the subkey does not bind itself to its primary key")?;
        if check_form(back).is_err() || back.verify_primary_key_binding(&subkey.key, primary).is_err() {
            return Err("the subkey does not bind itself to its primary key");
        }
        Ok(())
    }

    fn is_past(&self, signature: &Signature) -> bool {
        created(signature).is_some_and(|made| made <= self.now + TOLERANCE)
            && signature.signature_expiration_time().is_none_or(|after| {
                after.as_secs() == 0
                    || created(signature).unwrap_or(0) + u64::from(after.as_secs()) >= self.now
            })
    }
}

fn created(signature: &Signature) -> Option<u64> {
    signature.created().map(|time| u64::from(time.as_secs()))
}

fn is_by(signature: &Signature, key: &impl KeyDetails) -> bool {
    signature.issuer_key_id().contains(&&key.legacy_key_id())
        || signature.issuer_fingerprint().contains(&&key.fingerprint())
}

fn check_lifetime(born: u32, binding: &Signature, moment: u64) -> Result<(), &'static str> {
    let born = u64::from(born);
    if moment < born {
        return Err("the signature is older than its key");
    }
    match binding.key_expiration_time() {
        Some(after) if after.as_secs() > 0 && born + u64::from(after.as_secs()) <= moment => {
            Err("the key has expired")
        }
        _ => Ok(()),
    }
}

/// What every signature must have, of whatever kind: a strong hash, and no critical demand that is not understood.
fn check_form(signature: &Signature) -> Result<(), &'static str> {
    let strong = [
        HashAlgorithm::Sha256,
        HashAlgorithm::Sha384,
        HashAlgorithm::Sha512,
        HashAlgorithm::Sha3_256,
        HashAlgorithm::Sha3_512,
    ];
    if !signature.hash_alg().is_some_and(|hash| strong.contains(&hash)) {
        return Err("its hash is too weak");
    }
    let config = signature.config().ok_or("its form is not known")?;
    let odd = config.hashed_subpackets().any(|one| {
        one.is_critical
            && matches!(
                one.data,
                SubpacketData::Other(..) | SubpacketData::Experimental(..) | SubpacketData::Notation(..)
            )
    });
    if odd { Err("it makes a critical demand that is not understood") } else { Ok(()) }
}

fn check_strength(params: &PublicParams) -> Result<(), &'static str> {
    match params {
        PublicParams::RSA(rsa) => {
            // The modulus is written first, as a multi-precision integer: its length in bits, in two bytes.
            let written = rsa.to_bytes().map_err(|_| "the key cannot be read")?;
            let bits = written.first_chunk::<2>().map_or(0, |two| u16::from_be_bytes(*two));
            if bits < 2048 { Err("its RSA key is shorter than 2048 bits") } else { Ok(()) }
        }
        PublicParams::ECDSA(_)
        | PublicParams::EdDSALegacy(_)
        | PublicParams::Ed25519(_)
        | PublicParams::Ed448(_) => Ok(()),
        _ => Err("its algorithm is not trusted"),
    }
}

#[cfg(test)]
mod tests;
