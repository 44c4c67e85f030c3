//! Narinfos: what a binary cache says of one store path.
//!
//! ```text
//! StorePath: /nix/store/HASH-NAME
//! URL: nar/FILEHASH.nar.xz            below the cache
//! Compression: xz                     xz, zstd, none, bzip2; bzip2 where it is not said
//! FileHash: sha256:…                  of the compressed file, not signed, may be absent
//! FileSize: 268
//! NarHash: sha256:…
//! NarSize: 664
//! References: HASH-NAME HASH-NAME     base names, itself possibly among them
//! Deriver: HASH-NAME.drv              may be absent, or `unknown-deriver`
//! Sig: NAME:BASE64                    may come several times
//! CA: fixed:r:sha256:…                may be absent
//! ```
//!
//! What is signed: `1;STOREPATH;NARHASH;NARSIZE;REFERENCE,REFERENCE`, whole paths, sorted. So the URL, the file's hash and size, the
//! deriver and `CA` are anybody's: the URL must stay below the cache, and what counts of a file is the NAR in it.
//!
//! **Guarantees**: a [`Verified`] was signed by a trusted key for the very path that was asked for.
//! **Refuses**: fields twice (`Sig` excepted), other hosts, `..`, sizes beyond the limits, a `CA` of another path, a narinfo of
//! another path than was asked for. Fields that are not known are passed over.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use pinfold_base::Digest;
use pinfold_base::Shown;
use pinfold_base::http::ParseUrlError;
use pinfold_base::http::SafeUrl;
use pinfold_base::shown;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de;

use super::content_address;
use super::content_address::Standing;
use super::hash;
use super::key::KeyError;
use super::key::PublicKey;
use super::key::Signature;
use super::key::TrustedKeys;
use super::store_path::StorePath;
use super::store_path::StorePathError;

/// The longest narinfo that is read, in bytes.
pub const MAX_NARINFO: u64 = 4 << 20;
/// The most references of one path.
pub const MAX_REFERENCES: usize = 16_384;
/// The largest NAR and file, in bytes: what is read of a NAR.
pub const MAX_NAR: u64 = pinfold_archive::nar::Limits::ACCEPTED.total;
/// The most signatures of one path.
const MAX_SIGNATURES: usize = 64;
/// The longest URL, in bytes.
const MAX_URL: usize = 1024;

/// What is wrong with a narinfo.
#[derive(Debug, thiserror::Error)]
pub enum NarInfoError {
    /// It is not UTF-8.
    #[error("it is not text")]
    NotText,
    /// It is longer than may be.
    #[error("it is longer than {MAX_NARINFO} bytes")]
    TooLong,
    /// A line has no colon and blank.
    #[error("line {0} is not `FIELD: VALUE`")]
    Line(usize),
    /// A field twice.
    #[error("it has `{0}` twice")]
    Twice(&'static str),
    /// A field is missing.
    #[error("it has no `{0}`")]
    Absent(&'static str),
    /// A value is not what it should be.
    #[error("its `{field}` is `{value}`: {reason}")]
    Value {
        /// The field.
        field: &'static str,
        /// Its value, shortened.
        value: Shown,
        /// What is wrong.
        reason: &'static str,
    },
    /// A store path is none.
    #[error("its `{field}` has something else than store paths")]
    Path {
        /// The field.
        field: &'static str,
        /// What is wrong.
        source: StorePathError,
    },
    /// Not a signature.
    #[error("its `Sig` cannot be read")]
    Signature(#[from] KeyError),
    /// More than may be.
    #[error("its `{field}` has more than {limit}")]
    TooMany {
        /// The field.
        field: &'static str,
        /// The limit.
        limit: usize,
    },
    /// The content address is another path's.
    #[error("its `CA` is not that of its path")]
    ContentAddress,
    /// It is about another path.
    #[error("it is about `{found}`")]
    OtherPath {
        /// Which.
        found: StorePath,
    },
    /// Nobody who is trusted signed it.
    #[error("{}", unsigned(.signed, .trusted))]
    Unsigned {
        /// The names of the keys that it is signed with.
        signed: Vec<Shown>,
        /// The names of the keys that are trusted.
        trusted: Vec<String>,
    },
    /// A key's name is a trusted one's, and the signature is not.
    #[error("the signature by `{key}` is not of what it says")]
    Forged {
        /// The name.
        key: String,
    },
}

fn unsigned(signed: &[Shown], trusted: &[String]) -> String {
    let by = match signed {
        [] => "it is not signed".to_owned(),
        names => {
            let names: Vec<&str> = names.iter().map(Shown::as_str).collect();
            format!("it is signed by `{}`", names.join("`, `"))
        }
    };
    match trusted {
        [] => format!("{by}, and no key is trusted"),
        names => format!("{by}; trusted is `{}`", names.join("`, `")),
    }
}

/// How a NAR is compressed in a cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// xz.
    Xz,
    /// Zstandard.
    Zstd,
    /// bzip2.
    Bzip2,
}

impl Compression {
    /// As a narinfo spells it.
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "none" => Self::None,
            "xz" => Self::Xz,
            "zstd" => Self::Zstd,
            "bzip2" => Self::Bzip2,
            _ => return None,
        })
    }

    /// Who decodes it.
    pub fn codec(self) -> pinfold_archive::codec::Compression {
        use pinfold_archive::codec::Compression as Codec;
        match self {
            Self::None => Codec::None,
            Self::Xz => Codec::Xz,
            Self::Zstd => Codec::Zstd,
            Self::Bzip2 => Codec::Bzip2,
        }
    }
}

/// Where a file is, below its cache.
#[derive(Clone, PartialEq, Eq)]
pub struct NarUrl(Box<str>);

impl NarUrl {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its address at a cache.
    pub fn at(&self, cache: &SafeUrl) -> Result<SafeUrl, ParseUrlError> {
        let (path, query) = self.0.split_once('?').unwrap_or((&self.0, ""));
        let pairs: Vec<(&str, &str)> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .filter_map(|pair| pair.split_once('='))
            .collect();
        let own = cache.join(path)?;
        Ok(if pairs.is_empty() { own } else { own.and_query(&pairs) })
    }
}

impl FromStr for NarUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let (path, query) = text.split_once('?').unwrap_or((text, "k=v"));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._=".contains(&byte);
        if text.len() > MAX_URL {
            return Err("it is longer than 1024 bytes");
        }
        if !path.bytes().all(|byte| plain(byte) || byte == b'/') {
            return Err("expected a path below the cache, of letters, digits, `+`, `-`, `.`, `_` and `=`");
        }
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err("it leads out of the cache");
        }
        let pair = |pair: &str| pair.split_once('=').is_some_and(|(key, _)| !key.is_empty());
        if !query.split('&').all(|part| pair(part) && part.bytes().all(plain)) {
            return Err("expected `?KEY=VALUE`");
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for NarUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NarUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for NarUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NarUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// What is known of a store path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathInfo {
    /// The path.
    pub path: StorePath,
    /// SHA-256 of its NAR.
    pub nar_hash: Digest,
    /// Size of its NAR, in bytes.
    pub nar_size: u64,
    /// What it refers to, itself possibly among it.
    pub references: BTreeSet<StorePath>,
    /// What it was built by.
    pub deriver: Option<StorePath>,
    /// Its content address. It holds, or is of a kind that is not known here.
    pub ca: Option<String>,
    /// Its signatures, in the order of their text.
    pub signatures: Vec<Signature>,
}

impl PathInfo {
    /// What is signed.
    pub fn fingerprint(&self) -> String {
        let references: Vec<String> = self.references.iter().map(ToString::to_string).collect();
        let hash = hash::written(&self.nar_hash);
        format!("1;{};{hash};{};{}", self.path, self.nar_size, references.join(","))
    }

    /// The trusted key that signed it.
    pub(super) fn signer<'a>(&self, keys: &'a TrustedKeys) -> Result<&'a PublicKey, NarInfoError> {
        let signatures = &self.signatures;
        keys.signer(self.fingerprint().as_bytes(), signatures).ok_or_else(|| {
            let forged = keys.names().find(|name| signatures.iter().any(|by| by.name() == *name));
            match forged {
                Some(key) => NarInfoError::Forged { key: key.to_owned() },
                None => NarInfoError::Unsigned {
                    signed: signatures.iter().map(|signature| Shown::new(signature.name())).collect(),
                    trusted: keys.names().map(str::to_owned).collect(),
                },
            }
        })
    }
}

/// A NAR as a cache has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NarFile {
    /// Where, below the cache.
    pub url: NarUrl,
    /// How it is compressed.
    pub compression: Compression,
    /// SHA-256 of the file.
    pub hash: Option<Digest>,
    /// Size of the file, in bytes.
    pub size: Option<u64>,
}

/// A narinfo, of which nothing is proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NarInfo {
    info: PathInfo,
    file: NarFile,
}

/// Who stands for what is known of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Voucher {
    /// A trusted key, by its name.
    Key(String),
    /// A store of this machine: its database, or Nix to a build.
    LocalStore,
}

/// What is known of a store path by somebody who is trusted.
#[derive(Clone, Debug)]
pub struct Verified {
    info: PathInfo,
    file: Option<NarFile>,
    voucher: Voucher,
}

impl Verified {
    /// What this machine's own store says.
    pub(super) fn of_local_store(info: PathInfo) -> Self {
        Self { info, file: None, voucher: Voucher::LocalStore }
    }

    /// What is known.
    pub fn info(&self) -> &PathInfo {
        &self.info
    }

    /// Where its NAR is in the cache; none for a path of a local store.
    pub fn file(&self) -> Option<&NarFile> {
        self.file.as_ref()
    }

    /// Who stands for it.
    pub fn voucher(&self) -> &Voucher {
        &self.voucher
    }
}

const FIELDS: [&str; 10] = [
    "StorePath",
    "URL",
    "Compression",
    "FileHash",
    "FileSize",
    "NarHash",
    "NarSize",
    "References",
    "Deriver",
    "CA",
];

impl NarInfo {
    /// Reads a narinfo.
    pub fn parse(bytes: &[u8]) -> Result<Self, NarInfoError> {
        if bytes.len() as u64 > MAX_NARINFO {
            return Err(NarInfoError::TooLong);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| NarInfoError::NotText)?;
        let mut fields: BTreeMap<&'static str, &str> = BTreeMap::new();
        let mut signatures: BTreeMap<String, Signature> = BTreeMap::new();
        for (number, line) in text.lines().enumerate() {
            let (name, value) = match line.split_once(':') {
                Some((name, "")) => (name, ""),
                Some((name, rest)) => (name, rest.strip_prefix(' ').ok_or(NarInfoError::Line(number + 1))?),
                None => return Err(NarInfoError::Line(number + 1)),
            };
            if name == "Sig" {
                let signature: Signature = value.parse()?;
                signatures.insert(signature.to_string(), signature);
                if signatures.len() > MAX_SIGNATURES {
                    return Err(NarInfoError::TooMany { field: "Sig", limit: MAX_SIGNATURES });
                }
            } else if let Some(field) = FIELDS.into_iter().find(|field| *field == name)
                && fields.insert(field, value).is_some()
            {
                return Err(NarInfoError::Twice(field));
            }
        }
        let get = |field: &'static str| fields.get(field).copied().filter(|value| !value.is_empty());
        let need = |field| get(field).ok_or(NarInfoError::Absent(field));
        let sized = |field, value| size(value).map_err(|reason| wrong(field, value, reason));
        let hashed = |field, value| {
            hash::parse(value).ok_or_else(|| wrong(field, value, "expected `sha256:` and a hash"))
        };
        let optional = |field| get(field).map(|value| (field, value));

        let path = StorePath::parse(need("StorePath")?)
            .map_err(|source| NarInfoError::Path { field: "StorePath", source })?;
        let references = references(get("References").unwrap_or_default())?;
        let deriver = get("Deriver").filter(|deriver| *deriver != "unknown-deriver");
        let deriver = deriver.map(StorePath::of_base_name).transpose();
        let deriver = deriver.map_err(|source| NarInfoError::Path { field: "Deriver", source })?;
        let ca = match get("CA").map(|ca| (ca, content_address::judge(ca, &path, &references))) {
            Some((_, Standing::Other)) => return Err(NarInfoError::ContentAddress),
            Some((ca, Standing::Holds)) => Some(ca.to_owned()),
            // Nobody signed it, and nothing can be said of it: it is not handed on.
            Some((_, Standing::Unknown)) | None => None,
        };
        let info = PathInfo {
            path,
            nar_hash: hashed("NarHash", need("NarHash")?)?,
            nar_size: sized("NarSize", need("NarSize")?)?,
            references,
            deriver,
            ca,
            signatures: signatures.into_values().collect(),
        };
        let url = need("URL")?;
        let compression = get("Compression").unwrap_or("bzip2");
        let file = NarFile {
            url: url.parse().map_err(|reason| wrong("URL", url, reason))?,
            compression: Compression::parse(compression).ok_or_else(|| {
                wrong("Compression", compression, "expected `xz`, `zstd`, `bzip2` or `none`")
            })?,
            hash: optional("FileHash").map(|(field, value)| hashed(field, value)).transpose()?,
            size: optional("FileSize").map(|(field, value)| sized(field, value)).transpose()?,
        };
        Ok(Self { info, file })
    }

    /// What it says of the path. Nothing of it is proven.
    pub fn claims(&self) -> &PathInfo {
        &self.info
    }

    /// What it says of the file. Nothing of it is proven.
    pub fn claimed_file(&self) -> &NarFile {
        &self.file
    }

    /// Holds it to the path that was asked for, and to the keys that are trusted.
    pub fn verify(self, asked: &StorePath, keys: &TrustedKeys) -> Result<Verified, NarInfoError> {
        if self.info.path != *asked {
            return Err(NarInfoError::OtherPath { found: self.info.path });
        }
        let voucher = Voucher::Key(self.info.signer(keys)?.name().to_owned());
        Ok(Verified { info: self.info, file: Some(self.file), voucher })
    }
}

/// Reads base names. One twice is one, as for Nix.
fn references(text: &str) -> Result<BTreeSet<StorePath>, NarInfoError> {
    let mut all = BTreeSet::new();
    for name in text.split(' ').filter(|name| !name.is_empty()) {
        let path = StorePath::of_base_name(name)
            .map_err(|source| NarInfoError::Path { field: "References", source })?;
        all.insert(path);
        if all.len() > MAX_REFERENCES {
            return Err(NarInfoError::TooMany { field: "References", limit: MAX_REFERENCES });
        }
    }
    Ok(all)
}

/// A size of something that is there, in decimal.
fn size(text: &str) -> Result<u64, &'static str> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) || text.starts_with('0') {
        return Err("expected a number of bytes");
    }
    match text.parse() {
        Ok(size) if size <= MAX_NAR => Ok(size),
        _ => Err("more than 8 GiB are not taken"),
    }
}

fn wrong(field: &'static str, value: &str, reason: &'static str) -> NarInfoError {
    let short: String = value.chars().take(120).collect();
    NarInfoError::Value { field, value: shown!("{short}"), reason }
}

#[cfg(test)]
mod tests;
