//! PAX records: `LENGTH KEY=VALUE\n` (POSIX.1-2008, pax, "pax Extended Header").

use std::collections::BTreeMap;
use std::collections::BTreeSet;

/// Largest sum of extended attributes of one entry, in bytes (Linux allows 64 KiB for one).
const MAX_XATTRS: usize = 256 << 10;
/// Where GNU tar, star and Go put extended attributes.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// The records that matter here.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) linkpath: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Records {
    pub(super) fn parse(mut bytes: &[u8]) -> Result<Self, &'static str> {
        let mut records = Self::default();
        let mut seen = BTreeSet::new();
        let mut xattr_bytes = 0;
        while !bytes.is_empty() {
            let (key, value, rest) = record(bytes).ok_or("a PAX record is malformed")?;
            bytes = rest;
            if !seen.insert(key) {
                return Err("a PAX key is there twice");
            }
            match key {
                b"path" => records.path = Some(name(value)?),
                b"linkpath" => records.linkpath = Some(name(value)?),
                b"size" => records.size = Some(decimal(value)?),
                b"uid" => records.uid = Some(decimal(value)?),
                b"gid" => records.gid = Some(decimal(value)?),
                b"mtime" => records.mtime = Some(time(value)?),
                _ if key.starts_with(b"GNU.sparse.") => return Err("sparse files are not accepted"),
                _ => {
                    if let Some(attribute) = key.strip_prefix(XATTR) {
                        xattr_bytes += attribute.len() + value.len();
                        if attribute.is_empty() || attribute.len() > 255 || xattr_bytes > MAX_XATTRS {
                            return Err("an extended attribute is malformed or too large");
                        }
                        records.xattrs.insert(attribute.to_vec(), value.to_vec());
                    }
                }
            }
        }
        Ok(records)
    }

    /// A global header counts for all later entries; ones that would rename or resize those are an attack.
    pub(super) fn check_global(&self) -> Result<(), &'static str> {
        let harmless = self.path.is_none()
            && self.linkpath.is_none()
            && self.size.is_none()
            && self.uid.is_none()
            && self.gid.is_none()
            && self.mtime.is_none()
            && self.xattrs.is_empty();
        if harmless { Ok(()) } else { Err("a global header that would change all entries") }
    }
}

/// Takes one record off the front: key, value, rest.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|&byte| byte == b' ')?;
    let length = usize::try_from(decimal(&bytes[..space]).ok()?).ok()?;
    if length <= space + 1 || length > bytes.len() {
        return None;
    }
    let (record, rest) = bytes.split_at(length);
    let record = record[space + 1..].strip_suffix(b"\n")?;
    let equals = record.iter().position(|&byte| byte == b'=')?;
    (equals > 0).then(|| (&record[..equals], &record[equals + 1..], rest))
}

fn name(value: &[u8]) -> Result<Vec<u8>, &'static str> {
    if value.is_empty() || value.contains(&0) {
        return Err("a PAX name is empty or holds a NUL");
    }
    Ok(value.to_vec())
}

fn decimal(value: &[u8]) -> Result<u64, &'static str> {
    if value.is_empty() {
        return Err("a PAX number is empty");
    }
    value.iter().try_fold(0_u64, |number, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
        digit
            .and_then(|digit| number.checked_mul(10)?.checked_add(digit))
            .ok_or("a PAX number is no decimal or too large")
    })
}

/// `-1.5`, `1700000000.123456789`: seconds and nanoseconds.
fn time(value: &[u8]) -> Result<(i64, u32), &'static str> {
    let (negative, value) = match value.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, value),
    };
    let mut parts = value.splitn(2, |&byte| byte == b'.');
    let seconds = decimal(parts.next().unwrap_or_default())?;
    let seconds = i64::try_from(seconds).map_err(|_| "a PAX time is too large")?;
    let mut nanoseconds = 0;
    if let Some(fraction) = parts.next() {
        for at in 0..9 {
            let digit = match fraction.get(at) {
                Some(byte) if byte.is_ascii_digit() => u32::from(byte - b'0'),
                Some(_) => return Err("a PAX time is malformed"),
                None => 0,
            };
            nanoseconds = nanoseconds * 10 + digit;
        }
    }
    Ok(if negative { (-seconds, 0) } else { (seconds, nanoseconds) })
}
