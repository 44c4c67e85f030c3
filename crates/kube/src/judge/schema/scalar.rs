//! Whether texts are what a field of text is to hold.

/// A quantity: `500m`, `1.5Gi`, `1e3`.
pub(super) fn is_quantity(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (digits, dots) = (number.bytes().filter(u8::is_ascii_digit).count(), number.matches('.').count());
    if digits == 0 || dots > 1 {
        return false;
    }
    match suffix {
        "" | "n" | "u" | "m" | "k" | "M" | "G" | "T" | "P" | "E" | "Ki" | "Mi" | "Gi" | "Ti" | "Pi"
        | "Ei" => true,
        _ => suffix.strip_prefix(['e', 'E']).is_some_and(|power| {
            let power = power.strip_prefix(['+', '-']).unwrap_or(power);
            !power.is_empty() && power.len() <= 3 && power.bytes().all(|byte| byte.is_ascii_digit())
        }),
    }
}

/// A moment of RFC 3339: `2026-12-01T08:00:00Z`.
pub(super) fn is_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<u32> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    let sign = |at: usize, of: &[u8]| bytes.get(at).is_some_and(|byte| of.contains(byte));
    let within = |value: Option<u32>, least: u32, most: u32| {
        value.is_some_and(|value| (least..=most).contains(&value))
    };
    let leap = |year: u32| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match (number(0, 4), number(5, 7)) {
        (Some(_), Some(1 | 3 | 5 | 7 | 8 | 10 | 12)) => 31,
        (Some(_), Some(4 | 6 | 9 | 11)) => 30,
        (Some(year), Some(2)) => 28 + u32::from(leap(year)),
        _ => return false,
    };
    let date = sign(4, b"-") && sign(7, b"-") && within(number(8, 10), 1, days) && sign(10, b"Tt");
    let time =
        sign(13, b":") && sign(16, b":") && within(number(11, 13), 0, 23) && within(number(14, 16), 0, 59);
    if !date || !time || !within(number(17, 19), 0, 60) {
        return false;
    }
    let mut rest = &text[19..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let end = fraction.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(fraction.len());
        if end == 0 {
            return false;
        }
        rest = &fraction[end..];
    }
    let zone = rest.as_bytes();
    matches!(rest, "Z" | "z")
        || zone.len() == 6
            && matches!(zone[0], b'+' | b'-')
            && zone[3] == b':'
            && [1, 2, 4, 5].into_iter().all(|at| zone[at].is_ascii_digit())
}

/// Base 64 with its padding; line ends do not count.
pub(super) fn is_base64(text: &str) -> bool {
    let (mut letters, mut padding) = (0_usize, 0_usize);
    for byte in text.bytes() {
        match byte {
            b'\r' | b'\n' => {}
            b'=' => padding += 1,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => letters += 1,
            _ => return false,
        }
    }
    padding <= 2 && (letters + padding).is_multiple_of(4) && (padding == 0 || letters > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_told_from_what_is_none() {
        for text in ["0", "1", "500m", "1.5Gi", ".5", "5.", "+1", "-1k", "1e3", "1E-3", "100Ki", "3E"] {
            assert!(is_quantity(text), "{text}");
        }
        for text in ["", "m", "1 Gi", "1GB", "1gi", "1K", "1.2.3", "1e", "0x10", "1Mi ", "."] {
            assert!(!is_quantity(text), "{text}");
        }
    }

    #[test]
    fn moments_are_told_from_what_is_none() {
        for text in ["2026-12-01T08:00:00Z", "2024-02-29t23:59:60.123+01:00", "2026-01-31T00:00:00-12:30"] {
            assert!(is_time(text), "{text}");
        }
        for text in [
            "2026-12-01",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-12-01 08:00:00Z",
            "2026-12-01T08:00:00",
            "2026-12-01T24:00:00Z",
            "2026-12-01T08:00:00.Z",
            "ä026-12-01T08:00:00Z",
            "",
        ] {
            assert!(!is_time(text), "{text}");
        }
    }

    #[test]
    fn base_64_is_told_from_what_is_none() {
        for text in ["", "YQ==", "YWI=", "YWJj", "YWJj\nYWJj\n"] {
            assert!(is_base64(text), "{text}");
        }
        for text in ["YQ", "Y===", "====", "YQ==YQ==", "a b=", "key-"] {
            assert!(!is_base64(text), "{text}");
        }
    }
}
