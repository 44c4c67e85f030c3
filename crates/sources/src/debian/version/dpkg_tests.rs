//! The whole order at once, and what is no version: answers of dpkg 1.21.22 (`--compare-versions` for every pair,
//! `--validate-version` for each).

use super::*;

/// Least first; the versions of one line are equal to dpkg.
const ORDER: &[&[&str]] = &[
    &["0~~"],
    &["0~"],
    &["0~a"],
    &["0", "00", "0-0", "0:0"],
    &["0-0.0"],
    &["0a", "0a0"],
    &["0+"],
    &["0.", "0.0"],
    &["1~rc1-1"],
    &["1"],
    &["1-1~bpo12+1"],
    &["1-1"],
    &["1-1+b1"],
    &["1-1+deb12u1"],
    &["1.0~~a"],
    &["1.0~"],
    &["1.", "1.0", "1.00"],
    &["1.0-0ubuntu1"],
    &["1.0-1"],
    &["1.0-1.1"],
    &["1.0-9"],
    &["1.0-10"],
    &["1.0a"],
    &["1.0+a"],
    &["1.0-1-1"],
    &["1.0.~"],
    &["1.0.99999999999999999999"],
    &["1.0.100000000000000000000"],
    &["1.9"],
    &["1.10"],
    &["1.A"],
    &["1.a"],
    &["1.+"],
    &["2024.01.01"],
    &["20240101"],
    &["99999999999999999999"],
    &["1:0"],
    &["1:1.0"],
    &["2:0"],
    &["10:0"],
];

#[test]
fn every_pair_of_a_long_row_is_ordered_as_by_dpkg() {
    for (left_rank, left_row) in ORDER.iter().enumerate() {
        for (right_rank, right_row) in ORDER.iter().enumerate() {
            for (left, right) in
                left_row.iter().flat_map(|left| right_row.iter().map(move |right| (left, right)))
            {
                let order = compare(left.as_bytes(), right.as_bytes());
                assert_eq!(order, left_rank.cmp(&right_rank), "{left} {right}");
            }
        }
    }
    assert!(ORDER.iter().flat_map(|row| row.iter()).all(|version| check(version.as_bytes()).is_ok()));
}

#[test]
fn what_dpkg_refuses_or_warns_of_is_refused() {
    for good in ["1:1:1", "1--1", "0x", "1.0-~", "1.0-+", "2147483647:1", "00:1", "1.0-1.1~bpo1+b2"] {
        assert_eq!(check(good.as_bytes()), Ok(()), "{good}");
    }
    for (bad, reason) in [
        ("1.0 -1", "odd character"),
        ("1:", "does not begin with a digit"),
        ("1-", "the revision is empty"),
        ("1-1-", "the revision is empty"),
        ("1.0-", "the revision is empty"),
        ("1.0-1_1", "the revision holds an odd character"),
        ("-", "does not begin with a digit"),
        ("", "does not begin with a digit"),
        ("x0", "does not begin with a digit"),
        ("~1", "does not begin with a digit"),
        ("1:-1", "does not begin with a digit"),
        ("1.:1", "the epoch is not a number"),
        ("1.0-1:2", "the epoch is not a number"),
        ("999999999999:1", "the epoch is not a number"),
        ("2147483648:1", "the epoch is not a number"),
        ("1 :1", "the epoch is not a number"),
        ("1é", "odd character"),
        ("1_0", "odd character"),
        ("1;", "odd character"),
        ("1/2", "odd character"),
        ("1.0\n", "odd character"),
        // dpkg takes these three, as strtol(3) and isspace(3) do; no archive has them.
        ("+1:1", "the epoch is not a number"),
        (" 1.0", "does not begin with a digit"),
        ("1.0 ", "odd character"),
    ] {
        let error = check(bad.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(reason), "{bad}: {error}");
    }
    assert!(check(b"1\xff").is_err() && check(b"1\0").is_err());
    assert!(check("1".repeat(MAX_VERSION).as_bytes()).is_ok());
    // What is shown of a hostile version has an end.
    assert!(check("x".repeat(1 << 16).as_bytes()).unwrap_err().to_string().len() < 200);
}

#[test]
fn only_the_number_of_a_rebuild_is_cut_off() {
    // deb-version(7) and the archive's practice: `+bN` at the end, also behind the suffix of an update.
    for (version, source) in [
        ("1-1+b1", "1-1"),
        ("1-1+b10", "1-1"),
        ("1-1+deb12u1+b2", "1-1+deb12u1"),
        ("1:2.3~rc1-1+b1", "1:2.3~rc1-1"),
        ("1-1", "1-1"),
        ("1-1+b", "1-1+b"),
        ("1-1+b1a", "1-1+b1a"),
        ("1-1+b1.2", "1-1+b1.2"),
        ("1-1b1", "1-1b1"),
        ("1+build2-1", "1+build2-1"),
        ("", ""),
    ] {
        assert_eq!(without_rebuild(version), source, "{version}");
    }
}
