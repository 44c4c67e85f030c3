//! PAX records: `LENGTH KEY=VALUE\n`, where LENGTH counts the whole record, itself included.

use std::collections::BTreeMap;

/// The prefix of extended attributes.
pub(super) const XATTR: &[u8] = b"SCHILY.xattr.";

/// Writes one record.
pub(super) fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    // The length counts its own digits, so adding a digit may add another.
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

/// Reads all records of a PAX header. A key that comes twice is refused: readers disagree about which one counts.
pub(super) fn parse(mut bytes: &[u8]) -> Result<BTreeMap<&[u8], &[u8]>, &'static str> {
    const ODD: &str = "a PAX record is malformed";
    let mut records = BTreeMap::new();
    while !bytes.is_empty() {
        let space = bytes.iter().take(9).position(|&byte| byte == b' ').ok_or(ODD)?;
        let length = decimal(&bytes[..space]).and_then(|length| usize::try_from(length).ok()).ok_or(ODD)?;
        let record = bytes.get(space + 1..length).ok_or(ODD)?;
        bytes = &bytes[length..];
        let record = record.strip_suffix(b"\n").ok_or(ODD)?;
        let equals = record.iter().position(|&byte| byte == b'=').ok_or(ODD)?;
        if equals == 0 {
            return Err(ODD);
        }
        if records.insert(&record[..equals], &record[equals + 1..]).is_some() {
            return Err("a PAX key is given twice");
        }
    }
    Ok(records)
}

/// Plain decimal digits, as sizes and ids are given.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Seconds with an optional sign and fraction, as seconds and nanoseconds; what is finer is cut off. Times before the epoch become
/// the epoch.
pub(super) fn time(text: &[u8]) -> Option<(u64, u32)> {
    let (negative, digits) = match text.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let mut parts = digits.splitn(2, |&byte| byte == b'.');
    let seconds = decimal(parts.next()?)?;
    let fraction = parts.next().unwrap_or_default();
    if i64::try_from(seconds).is_err() || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction.iter().chain(std::iter::repeat(&b'0')).take(9);
    let nanoseconds = digits.fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    Some(if negative { (0, 0) } else { (seconds, nanoseconds) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_its_own_digits() {
        // Counted by hand, on both sides of the step from one digit to two.
        assert_eq!(record(b"path", b"x"), b"9 path=x\n");
        assert_eq!(record(b"path", b"xx"), b"11 path=xx\n");
        for size in 0..2000 {
            let value = vec![b'v'; size];
            let bytes = record(b"key", &value);
            assert_eq!(parse(&bytes).unwrap()[&b"key"[..]], &value[..]);
            assert!(bytes.starts_with(format!("{} ", bytes.len()).as_bytes()));
        }
    }

    #[test]
    fn malformed_records_are_refused() {
        for bad in [
            &b"x"[..],
            b"10 path=x",
            b"11 path=x\n",
            b"8 path=x\n",
            b"6 path\n",
            b"+9 path=x\n",
            b"5 =x\n",
            b"99999999999999999999 path=x\n",
            b"0 a=b\n",
            b" 9 path=x\n",
            b"9 path=x\n9 path=y\n",
        ] {
            assert!(parse(bad).is_err(), "{}", bad.escape_ascii());
        }
        assert_eq!(parse(b"").unwrap().len(), 0);
    }

    #[test]
    fn times_are_cut_to_nanoseconds_and_the_epoch() {
        for (text, expected) in [
            ("12", (12, 0)),
            ("12.", (12, 0)),
            ("1.25", (1, 250_000_000)),
            ("12.9999999999", (12, 999_999_999)),
            ("-1.5", (0, 0)),
            ("9223372036854775807", (i64::MAX as u64, 0)),
        ] {
            assert_eq!(time(text.as_bytes()), Some(expected), "{text}");
        }
        for bad in ["", "1e9", "--1", "1.-2", ".", "1.1234567890x", "9223372036854775808"] {
            assert_eq!(time(bad.as_bytes()), None, "{bad}");
        }
    }
}
