//! Release files that a mirror, an attacker or a broken archive may serve. Forms: the Debian repository format, "Release
//! files"; dates by `date -u -d TEXT +%s` of GNU coreutils 9.1.

use super::*;

const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const DATE: u64 = 1_783_764_997;
const WRITTEN: &str = "Sat, 11 Jul 2026 10:16:37 UTC";

fn read(text: &str) -> Result<Release, String> {
    Release::read("x", text.as_bytes()).map_err(|error| match &error {
        ReleaseError::Stanza { source, .. } => format!("{error}: {source}"),
        _ => error.to_string(),
    })
}

#[test]
fn dates_are_those_of_date_and_no_others() {
    for (text, seconds) in [
        (WRITTEN, Some(DATE)),
        ("11 Jul 2026 10:16:37 UTC", Some(DATE)),
        ("Sat,  11  Jul 2026\t10:16:37 GMT", Some(DATE)),
        ("Sat, 11 Jul 2026 10:16:37 +0000", Some(DATE)),
        ("Sat, 11 Jul 2026 10:16:37 Z", Some(DATE)),
        ("Thu, 1 Jan 1970 00:00:00 UTC", Some(0)),
        ("Tue, 19 Jan 2038 03:14:08 UTC", Some(2_147_483_648)),
        ("Sun, 07 Feb 2106 06:28:16 UTC", Some(4_294_967_296)),
        ("Tue, 29 Feb 2000 00:00:00 UTC", Some(951_782_400)),
        ("Fri, 31 Dec 9999 23:59:59 UTC", Some(253_402_300_799)),
        // Another zone is another moment, and apt refuses it too.
        ("Sat, 11 Jul 2026 10:16:37 +0200", None),
        ("Sat, 11 Jul 2026 10:16:37 CEST", None),
        ("Sat, 11 Jul 2026 10:16:37 -0000", None),
        ("Sat, 11 Jul 2026 10:16:37", None),
        ("Sat, 11 Jul 2026 10:16:37 UTC UTC", None),
        ("Sat, 11 Jul 2026 10:16 UTC", None),
        ("Sat, 11 Jul 2026 10:16:37.5 UTC", None),
        ("Sat, 11 Jul 2026 10:60:37 UTC", None),
        ("Sat, 11 Jul 2026 1:16:37 UTC", None),
        ("Sat, 11 Jul 26 10:16:37 UTC", None),
        ("Sat, 11 jul 2026 10:16:37 UTC", None),
        ("Sat, 11 July 2026 10:16:37 UTC", None),
        ("Sat, 0 Jul 2026 10:16:37 UTC", None),
        ("Sat, 32 Jul 2026 10:16:37 UTC", None),
        ("Sat, 011 Jul 2026 10:16:37 UTC", None),
        ("Sat, +1 Jul 2026 10:16:37 UTC", None),
        ("Sat, -1 Jul 2026 10:16:37 UTC", None),
        ("Thu, 29 Feb 2100 10:16:37 UTC", None),
        ("Sat, 11 Jul 10000 10:16:37 UTC", None),
        ("Wed, 31 Dec 1969 23:59:59 UTC", None),
    ] {
        assert_eq!(parse_date(text), seconds, "{text}");
    }
}

#[test]
fn a_sum_counts_only_as_sha256_with_its_size() {
    let sums = |body: &str| read(&format!("Codename: x\nDate: {WRITTEN}\n{body}"));
    let good = sums(&format!("SHA256:\n {HEX} 7 main/Packages\n {HEX}\t 0  b\n")).unwrap();
    assert_eq!(good.file("main/Packages").map(|(digest, size)| (digest.hex(), size)), Some((HEX.into(), 7)));
    assert_eq!(good.file("b").unwrap().1, 0);
    assert_eq!((good.file("main/packages"), good.file("Packages"), good.file("")), (None, None, None));
    let upper = HEX.to_uppercase();
    for (body, reason) in [
        (String::new(), "field `SHA256` is missing"),
        ("SHA256:\n".into(), "field `SHA256` is missing"),
        (format!("SHA1:\n {} 7 a\n", &HEX[..40]), "field `SHA256` is missing"),
        (format!("MD5Sum:\n {} 7 a\n", &HEX[..32]), "field `SHA256` is missing"),
        (format!("SHA512:\n {HEX}{HEX} 7 a\n"), "field `SHA256` is missing"),
        (format!("SHA256:\n {} 7 a\n", &HEX[1..]), "`SHA256`"),
        (format!("SHA256:\n {upper} 7 a\n"), "`SHA256`"),
        (format!("SHA256:\n {HEX} -7 a\n"), "`SHA256`"),
        (format!("SHA256:\n {HEX} 7.0 a\n"), "`SHA256`"),
        (format!("SHA256:\n {HEX} 18446744073709551616 a\n"), "`SHA256`"),
        (format!("SHA256:\n {HEX} 7\n"), "`SHA256`"),
        (format!("SHA256:\n {HEX} 7 a b\n"), "`SHA256`"),
        (format!("SHA256:\n {HEX} 7 a\n {HEX} 8 a\n"), "`a` is there twice"),
        (format!("SHA256:\n {HEX} 7 a\nSHA256:\n {HEX} 8 a\n"), "`SHA256` is there twice"),
        (format!("SHA256:\n {HEX} 7 a\n\nSHA256:\n {HEX} 7 b\n"), "expected one stanza"),
    ] {
        let error = sums(&body).unwrap_err();
        assert!(error.contains(reason), "{body}: {error}");
    }
}

#[test]
fn no_field_is_guessed() {
    let head = |head: &str| read(&format!("{head}SHA256:\n {HEX} 7 a\n"));
    for (text, reason) in [
        ("Codename: x\n".to_owned(), "field `Date` is missing"),
        ("Codename: x\nDate:\n".into(), "field `Date` is missing"),
        ("Codename: x\nDate: now\n".into(), "`now` is not a date in UTC"),
        (format!("Date: {WRITTEN}\nValid-Until: tomorrow\n"), "`tomorrow` is not a date in UTC"),
        (format!("Date: {WRITTEN}\nDate: {WRITTEN}\n"), "`Date` is there twice"),
        (format!("Date: {WRITTEN}\ndate: {WRITTEN}\n"), "`date` is there twice"),
        (format!("Date: {WRITTEN}\n\nCodename: x\n"), "expected one stanza"),
    ] {
        let error = head(&text).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
    for (extra, by_hash, separate_all, pin) in [
        ("", false, false, 500),
        ("Acquire-By-Hash: yes\n", true, false, 500),
        ("Acquire-By-Hash: no\n", false, false, 500),
        ("Architectures: amd64 arm64\n", false, false, 500),
        ("Architectures: amd64 all arm64\n", false, true, 500),
        ("Architectures: all\nNo-Support-for-Architecture-all: Packages\n", false, false, 500),
        ("Architectures: all\nNo-Support-for-Architecture-all: Contents\n", false, true, 500),
        ("NotAutomatic: yes\n", false, false, 1),
        ("ButAutomaticUpgrades: yes\n", false, false, 500),
        ("NotAutomatic: yes\nButAutomaticUpgrades: yes\n", false, false, 100),
        ("NotAutomatic: no\nButAutomaticUpgrades: yes\n", false, false, 500),
    ] {
        let release = head(&format!("Date: {WRITTEN}\n{extra}")).unwrap();
        assert_eq!(
            (release.by_hash, release.separate_all, release.pin),
            (by_hash, separate_all, pin),
            "{extra}"
        );
    }
}

#[test]
fn a_state_is_used_only_for_its_suite_and_within_its_time() {
    const DAY: u64 = 86_400;
    let until = "Valid-Until: Sat, 18 Jul 2026 10:16:37 UTC\n";
    let release =
        read(&format!("Suite: oldstable\nCodename: x\nDate: {WRITTEN}\n{until}SHA256:\n {HEX} 7 a\n"))
            .unwrap();
    let (strict, lax) = (Freshness::Checked, Freshness::Unchecked);
    for (asked, now, freshness, seen, refused) in [
        ("x", DATE, strict, None, None),
        ("oldstable", DATE, strict, None, None),
        ("x/", DATE, strict, None, None),
        ("X", DATE, strict, None, Some("another suite")),
        ("", DATE, strict, None, Some("another suite")),
        ("x-updates", DATE, strict, None, Some("another suite")),
        ("stable", DATE, strict, None, Some("another suite")),
        // Clocks may differ by an hour, not by a second more.
        ("x", DATE - 3600, strict, None, None),
        ("x", DATE - 3601, strict, None, Some("from the future")),
        ("x", DATE - 3601, lax, None, Some("from the future")),
        // The last second counts.
        ("x", DATE + 7 * DAY, strict, None, None),
        ("x", DATE + 7 * DAY + 1, strict, None, Some("was valid until")),
        ("x", DATE + 7 * DAY + 1, lax, None, None),
        // An older state than the one that was seen: whatever the freshness.
        ("x", DATE, strict, Some(DATE), None),
        ("x", DATE, strict, Some(DATE - DAY), None),
        ("x", DATE, strict, Some(DATE + 1), Some("went back in time")),
        ("x", DATE, lax, Some(DATE + 1), Some("went back in time")),
    ] {
        let found = release.check(asked, now, freshness, seen).err().map(|error| error.to_string());
        let fits = match (&found, refused) {
            (None, None) => true,
            (Some(found), Some(part)) => found.contains(part),
            _ => false,
        };
        assert!(fits, "{asked} {now} {seen:?}: {found:?}");
    }
    // A file that names no suite at all belongs to none.
    let nameless = read(&format!("Date: {WRITTEN}\nSHA256:\n {HEX} 7 a\n")).unwrap();
    assert!(nameless.check("x", DATE, strict, None).is_err());
}
