//! The order of Debian versions: deb-version(7), as `dpkg --compare-versions` has it.
//!
//! ```text
//! [epoch:]upstream[-revision]        1:2.36-9+deb12u10    0~rc1-1    5.2.15-2+b10
//! ```
//!
//! Epochs compare as numbers, then upstream versions, then revisions (a missing one is like `0`). Within each, runs of
//! non-digits and runs of digits take turns: non-digits by `~` < end < letters < everything else, digits as numbers of any
//! length.
//!
//! **Guarantees**: [`compare`] is a total order up to equivalence for *any* bytes, valid or not, and never allocates.
//! **Refuses** (in [`check`]): what dpkg's strict parser refuses.

use std::cmp::Ordering;

/// Compares two versions. `Equal` is equivalence, not identity: `1.0`, `0:1.0` and `1.0-0` are equal.
pub fn compare(left: &[u8], right: &[u8]) -> Ordering {
    let (left, right) = (Parts::of(left), Parts::of(right));
    compare_part(left.epoch, right.epoch)
        .then_with(|| compare_part(left.upstream, right.upstream))
        .then_with(|| compare_part(left.revision, right.revision))
}

/// Text that is not a Debian version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{version}` is not a Debian version: {reason}")]
pub struct VersionError {
    version: String,
    reason: &'static str,
}

/// Longest version that is accepted, in bytes (the longest in Debian has about 80).
pub const MAX_VERSION: usize = 512;

/// Whether dpkg would take `version`: an epoch of digits that fits 31 bits, an upstream version that begins with a digit
/// and holds letters, digits and `. + - ~ :`, a revision of letters, digits and `+ . ~`.
pub fn check(version: &[u8]) -> Result<(), VersionError> {
    let wrong = |reason| {
        let version = String::from_utf8_lossy(&version[..version.len().min(80)]).into_owned();
        Err(VersionError { version, reason })
    };
    if version.len() > MAX_VERSION {
        return wrong("it is too long");
    }
    let (epoch, rest) = match memchr::memchr(b':', version) {
        Some(at) => (Some(&version[..at]), &version[at + 1..]),
        None => (None, version),
    };
    if let Some(epoch) = epoch {
        let number = str::from_utf8(epoch).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        if number.and_then(|text| text.parse::<i32>().ok()).is_none() {
            return wrong("the epoch is not a number");
        }
    }
    let (upstream, revision) = match memchr::memrchr(b'-', rest) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    if !upstream.first().is_some_and(u8::is_ascii_digit) {
        return wrong("it does not begin with a digit");
    }
    if !upstream.iter().all(|byte| byte.is_ascii_alphanumeric() || b".+-~:".contains(byte)) {
        return wrong("the upstream version holds an odd character");
    }
    match revision {
        Some([]) => wrong("the revision is empty"),
        Some(text) if !text.iter().all(|byte| byte.is_ascii_alphanumeric() || b".+~".contains(byte)) => {
            wrong("the revision holds an odd character")
        }
        _ => Ok(()),
    }
}

/// `version` without the suffix of a binary rebuild (`+b1`), which may differ between architectures of one source.
pub fn without_rebuild(version: &str) -> &str {
    match version.rsplit_once("+b") {
        Some((front, number)) if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) => {
            front
        }
        _ => version,
    }
}

struct Parts<'a> {
    epoch: &'a [u8],
    upstream: &'a [u8],
    revision: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(version: &'a [u8]) -> Self {
        // An epoch that is not a number is no epoch: the order stays total for text that `check` refuses.
        let (epoch, rest) = match memchr::memchr(b':', version) {
            Some(at) if version[..at].iter().all(u8::is_ascii_digit) => (&version[..at], &version[at + 1..]),
            _ => (&b""[..], version),
        };
        let (upstream, revision) = match memchr::memrchr(b'-', rest) {
            Some(at) => (&rest[..at], &rest[at + 1..]),
            None => (rest, &b""[..]),
        };
        Self { epoch, upstream, revision }
    }
}

fn compare_part(mut left: &[u8], mut right: &[u8]) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        loop {
            let (a, b) = (weight(left), weight(right));
            match a.cmp(&b) {
                Ordering::Equal if a == 0 => break,
                Ordering::Equal => (left, right) = (&left[1..], &right[1..]),
                order => return order,
            }
        }
        let (a, b) = (take_number(&mut left), take_number(&mut right));
        let order = a.len().cmp(&b.len()).then_with(|| a.cmp(b));
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// The weight of the first byte in a run of non-digits; 0 for a digit and for the end.
fn weight(text: &[u8]) -> i32 {
    match text.first() {
        None => 0,
        Some(byte) if byte.is_ascii_digit() => 0,
        Some(b'~') => -1,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}

/// Cuts the run of digits in front off and gives it without leading zeros.
fn take_number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, rest) = text.split_at(digits);
    *text = rest;
    let zeros = number.iter().take_while(|&&byte| byte == b'0').count();
    &number[zeros..]
}

#[cfg(test)]
mod dpkg_tests;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    // Answers of `dpkg --compare-versions LEFT lt|eq|gt RIGHT`, dpkg 1.21.23.
    const TABLE: &[(&str, Ordering, &str)] = &[
        ("1.0", Ordering::Equal, "0:1.0"),
        ("1.0", Ordering::Equal, "1.0-0"),
        ("1.0", Ordering::Equal, "1.00"),
        ("1.0", Ordering::Less, "1.0-1"),
        ("1:0.1", Ordering::Greater, "9.9"),
        ("2:1", Ordering::Less, "10:1"),
        ("1.0~rc1", Ordering::Less, "1.0"),
        ("1.0~~", Ordering::Less, "1.0~"),
        ("1.0~", Ordering::Less, "1.0"),
        ("1.0~rc1-1", Ordering::Less, "1.0-1"),
        ("1.0a", Ordering::Greater, "1.0"),
        ("1.0a", Ordering::Less, "1.0+"),
        ("1.0a", Ordering::Less, "1.0."),
        ("1.0+-1", Ordering::Greater, "1.0-1"),
        ("1.9", Ordering::Less, "1.10"),
        ("1.010", Ordering::Equal, "1.10"),
        ("1.2.3-1+b1", Ordering::Greater, "1.2.3-1"),
        ("1.2.3-1+deb12u1", Ordering::Greater, "1.2.3-1+b1"),
        ("2.36-9+deb12u10", Ordering::Greater, "2.36-9+deb12u9"),
        ("5.36.0-7+deb12u4", Ordering::Less, "5.36.0-10"),
        ("0~20230101", Ordering::Less, "0"),
        ("1-2-3", Ordering::Less, "1-3-2"),
        ("1-2-3", Ordering::Greater, "1-2-2"),
        ("99999999999999999999999", Ordering::Less, "100000000000000000000000"),
        ("1.0Z", Ordering::Less, "1.0a"),
    ];

    #[test]
    fn the_order_is_dpkgs() {
        for &(left, order, right) in TABLE {
            assert_eq!(compare(left.as_bytes(), right.as_bytes()), order, "{left} {right}");
            assert_eq!(compare(right.as_bytes(), left.as_bytes()), order.reverse(), "{right} {left}");
        }
    }

    #[test]
    fn validity_is_dpkgs() {
        // dpkg says "error" or "warning: bad syntax" for those of the second row.
        for good in ["1", "1.0-1", "0:1", "2147483647:1", "1:2:3-4", "1-2-3", "1.0~rc+1-1.2~x+y"] {
            assert_eq!(check(good.as_bytes()), Ok(()), "{good}");
        }
        let bad = [
            "",
            "a",
            "-1",
            "1-",
            ":1",
            "a:1",
            "-1:1",
            "2147483648:1",
            "1:",
            "1 2",
            "1_2",
            "1.0-1_2",
            "1:-1",
            "~1",
            "1\u{e9}",
        ];
        for bad in bad {
            assert!(check(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(check("1".repeat(MAX_VERSION + 1).as_bytes()).is_err());
    }

    #[test]
    fn rebuilds_are_cut_off() {
        assert_eq!(without_rebuild("5.2.15-2+b13"), "5.2.15-2");
        assert_eq!(without_rebuild("1.0-1+deb12u1"), "1.0-1+deb12u1");
        assert_eq!(without_rebuild("1.0-1+b"), "1.0-1+b");
        assert_eq!(without_rebuild("1.0-1+b1+b2"), "1.0-1+b1");
    }

    fn versions() -> impl Strategy<Value = String> {
        "([0-2]:)?[0-2][0-2.a~+-]{0,6}(-[0-2a~+.]{1,3})?"
    }

    proptest! {
        #[test]
        fn it_is_an_order(a in versions(), b in versions(), c in versions()) {
            let [a, b, c] = [a.as_bytes(), b.as_bytes(), c.as_bytes()];
            prop_assert_eq!(compare(a, a), Ordering::Equal);
            prop_assert_eq!(compare(a, b), compare(b, a).reverse());
            if compare(a, b) != Ordering::Greater && compare(b, c) != Ordering::Greater {
                prop_assert_ne!(compare(a, c), Ordering::Greater);
            }
        }

        #[test]
        fn any_bytes_have_a_place(a in prop::collection::vec(any::<u8>(), 0..40), b in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(compare(&a, &b), compare(&b, &a).reverse());
            let _ = check(&a);
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "dpkg is the oracle; nothing of ours runs it")]
    #[expect(clippy::print_stderr, reason = "a skipped oracle should be seen")]
    fn dpkg_agrees_where_it_is_installed() {
        use std::process::Command;
        if Command::new("dpkg").arg("--version").output().is_err() {
            eprintln!("skipped: dpkg is not installed");
            return;
        }
        let ask = |left: &str, right: &str| {
            let holds = |operator: &str| {
                Command::new("dpkg")
                    .args(["--compare-versions", left, operator, right])
                    .status()
                    .unwrap()
                    .success()
            };
            if holds("lt") {
                Ordering::Less
            } else if holds("gt") {
                Ordering::Greater
            } else {
                Ordering::Equal
            }
        };
        for &(left, _, right) in TABLE {
            assert_eq!(compare(left.as_bytes(), right.as_bytes()), ask(left, right), "{left} {right}");
        }
        let config = ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() };
        proptest!(config, |(a in versions(), b in versions())| {
            prop_assume!(check(a.as_bytes()).is_ok() && check(b.as_bytes()).is_ok());
            prop_assert_eq!(compare(a.as_bytes(), b.as_bytes()), ask(&a, &b));
        });
    }
}
