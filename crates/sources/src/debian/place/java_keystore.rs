//! The keystore of ca-certificates-java: the authorities that Java trusts.
//!
//! ```text
//! /etc/ssl/certs/java/cacerts     a JKS file, where each JRE's lib/security/cacerts leads
//!   0xfeedfeed  2  COUNT          numbers are big-endian, of four bytes
//!   2  debian:NAME.pem  TIME  X.509  LENGTH  DER        for each authority; texts have two bytes of length, TIME eight
//!   SHA-1                         over the password in UTF-16, "Mighty Aphrodite" and all that is above
//! ```
//!
//! Java has no other list: without this file no HTTPS connection can be opened. The package's own program, in Java, writes
//! the entries in the order of a hash table and with the time of the clock; here they are in order of their names, with the
//! time of the image.
//!
//! **Guarantees**: the same authorities as in `/etc/ssl/certs`, the image's maker's among them; of a file with several
//! certificates the first, as Java reads it. Where no `java` is in the image, or `/etc/default/cacerts` says so, there is none.
//!
//! **Refuses**: certificates that are broken.

use std::collections::BTreeMap;

use pinfold_archive::NodeKind;
use sha1::Digest as _;
use sha1::Sha1;

use super::PlaceError;
use super::ca_certificates;
use super::image::Image;
use super::image::known;

const OWNER: &str = "java-certificates";
const PACKAGE: &str = "ca-certificates-java";
const CERTIFICATES: &str = "etc/ssl/certs";
const KEYSTORE: &str = "etc/ssl/certs/java/cacerts";
/// What is in `/etc/default/cacerts` unless somebody wrote another.
const PASSWORD: &str = "changeit";
/// Where the package's `find` looks for certificates to lead.
const ROOTS: [&[u8]; 2] = [b"/usr/share/ca-certificates", b"/usr/local/share/ca-certificates"];

/// Writes the keystore, and takes away what the hooks of ca-certificates left to be done. Whether it was written.
pub(super) fn write(image: &mut Image<'_>) -> Result<bool, PlaceError> {
    let settings = Settings::read(image)?;
    let java = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"];
    if !settings.updates || !java.iter().any(|folder| image.exists(&format!("{folder}/java"))) {
        return Ok(false);
    }
    let mut entries = BTreeMap::new();
    for link in image.files_in(&known(CERTIFICATES)) {
        let Some(NodeKind::Symlink(target)) = image.tree.get(&link).map(|node| &node.kind) else { continue };
        if !link.name().ends_with(b".pem") || !ROOTS.iter().any(|root| target.starts_with(root)) {
            continue;
        }
        // Java names files in UTF-8 and finds no other.
        let Ok(name) = str::from_utf8(link.name()) else { continue };
        let Some(file) = image.tree.resolve(&link) else { continue };
        let text = image.read(PACKAGE, &file)?.unwrap_or_default();
        let wrong = |what| PlaceError::Certificate { name: name.escape_debug().take(80).collect(), what };
        let all = ca_certificates::certificates(&text).map_err(wrong)?;
        // `certificates` gives at least one.
        entries.extend(all.into_iter().next().map(|first| (format!("debian:{name}").to_lowercase(), first)));
    }
    image.put(OWNER, &known(KEYSTORE), keystore(&entries, image.epoch, &settings.password));
    for left in ["fresh", "pending"] {
        image.tree.remove(&known(&format!("var/lib/ca-certificates-java/{left}")));
    }
    Ok(true)
}

/// What `/etc/default/cacerts` sets.
struct Settings {
    password: String,
    updates: bool,
}

impl Settings {
    fn read(image: &Image<'_>) -> Result<Self, PlaceError> {
        let text = image.read(PACKAGE, &known("etc/default/cacerts"))?.unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let value = |name: &str| {
            let mut lines = text.lines().filter_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='));
            lines.next_back().map(|value| value.trim_matches(['\'', '"']).to_owned())
        };
        Ok(Self {
            password: value("storepass").unwrap_or_else(|| PASSWORD.into()),
            updates: value("cacerts_updates").as_deref() == Some("yes"),
        })
    }
}

/// A JKS file of trusted certificates.
fn keystore(entries: &BTreeMap<String, Vec<u8>>, epoch: u64, password: &str) -> Vec<u8> {
    let mut out = vec![0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2];
    let length = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    out.extend(length(entries.len()));
    for (alias, certificate) in entries {
        out.extend([0, 0, 0, 2]);
        text(&mut out, alias);
        out.extend((epoch.saturating_mul(1000)).to_be_bytes());
        text(&mut out, "X.509");
        out.extend(length(certificate.len()));
        out.extend(certificate);
    }
    let mut digest = Sha1::new();
    digest.update(password.encode_utf16().flat_map(u16::to_be_bytes).collect::<Vec<u8>>());
    digest.update("Mighty Aphrodite");
    digest.update(&out);
    out.extend(digest.finalize());
    out
}

/// A text as `DataOutputStream.writeUTF` writes it: each half of a surrogate pair has its own three bytes.
fn text(out: &mut Vec<u8>, text: &str) {
    let mut bytes = Vec::with_capacity(text.len());
    for unit in text.encode_utf16() {
        match unit {
            1..=0x7f => bytes.push(unit as u8),
            0 | 0x80..=0x7ff => bytes.extend([0xc0 | (unit >> 6) as u8, 0x80 | (unit & 0x3f) as u8]),
            _ => bytes.extend([
                0xe0 | (unit >> 12) as u8,
                0x80 | (unit >> 6 & 0x3f) as u8,
                0x80 | (unit & 0x3f) as u8,
            ]),
        }
    }
    // File names have 255 bytes at most, so the length always fits.
    out.extend((bytes.len() as u16).to_be_bytes());
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use pinfold_archive::Metadata;
    use pinfold_archive::Tree;
    use pinfold_archive::tree::InlineOnly;
    use pinfold_base::Digest;

    use super::*;
    use crate::accounts::Accounts;
    use crate::debian::place::ca_certificates::tests::ODD;

    /// SHA-256 of the file with this certificate as `debian:a_=1=__b.pem` and `debian:é😀.pem`, at second 7: made by a script in
    /// Python from the format's description, and listed by keytool of OpenJDK 17.
    const TWO: &str = "sha256:708ead0068c233d825d8ea6a4e5f1d088cc4fbe3f571d9ce4894dc161cb0c8e1";

    /// An image with Java, `/etc/default/cacerts` and two authorities, one of them the maker's.
    fn image(settings: &str, java: &str) -> Image<'static> {
        let mut image =
            Image { tree: Tree::new(), accounts: Accounts::minimal(), epoch: 7, contents: &InlineOnly };
        image.put_with("x", &known(java), "", Metadata::root(0o755, 7));
        image.put("x", &known("etc/default/cacerts"), settings);
        image.put("x", &known("var/lib/ca-certificates-java/fresh"), "");
        image.put("x", &known("usr/share/ca-certificates/mozilla/A (1), B.crt"), ODD);
        // Further certificates of a file are not read.
        let extra = [("é😀.crt".to_owned(), format!("{ODD}{ODD}").into_bytes())];
        ca_certificates::write(&mut image, &extra).unwrap();
        // A link that is no authority's.
        image.link("x", &known("etc/ssl/certs/other.pem"), "/etc/ssl/private/other.pem");
        image
    }

    #[test]
    fn the_keystore_is_what_java_reads() {
        let mut image = image("#storepass=''\ncacerts_updates=yes\n", "usr/bin/java");
        assert!(write(&mut image).unwrap());
        let bytes = image.read("", &known(KEYSTORE)).unwrap().unwrap();
        assert_eq!(Digest::sha256(&bytes).to_string(), TWO);
        assert!(!image.tree.contains(&known("var/lib/ca-certificates-java/fresh")));
    }

    #[test]
    fn a_password_of_the_package_guards_it() {
        let mut image = image("storepass='other one'\ncacerts_updates=yes\n", "usr/bin/java");
        assert!(write(&mut image).unwrap());
        let bytes = image.read("", &known(KEYSTORE)).unwrap().unwrap();
        let (data, digest) = bytes.split_at(bytes.len() - 20);
        let mut hash = Sha1::new();
        hash.update(b"\0o\0t\0h\0e\0r\0 \0o\0n\0eMighty Aphrodite");
        hash.update(data);
        assert_eq!(digest, &hash.finalize()[..]);
    }

    #[test]
    fn without_java_or_where_updates_are_off_there_is_none() {
        for (settings, java) in [
            ("cacerts_updates=yes\n", "usr/bin/javac"),
            ("cacerts_updates=no\n", "usr/bin/java"),
            ("#cacerts_updates=yes\n", "usr/bin/java"),
        ] {
            let mut image = image(settings, java);
            assert!(!write(&mut image).unwrap(), "{settings} {java}");
            assert!(!image.tree.contains(&known(KEYSTORE)));
            assert!(image.tree.contains(&known("var/lib/ca-certificates-java/fresh")));
        }
    }
}
