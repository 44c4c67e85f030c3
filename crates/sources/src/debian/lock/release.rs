//! The signed description of a suite: which indexes it has, how old it is, what it is called.
//!
//! ```text
//! Suite: oldstable
//! Codename: bookworm
//! Date: Sat, 11 Jul 2026 10:16:37 UTC
//! Valid-Until: ...                        optional; passed = stale
//! Acquire-By-Hash: yes
//! SHA256:
//!  HEX   SIZE main/binary-amd64/Packages.xz
//! ```
//!
//! Form: the Debian repository format ("Release files"), as apt reads it. Times are seconds since the epoch; the clock is a
//! value that comes from outside.
//!
//! **Guarantees**: the file belongs to the suite asked for, is not from the future, not stale, not older than what the lock
//! saw. **Refuses**: files without SHA-256 sums, malformed sums or dates, one path with two sums.

use std::collections::BTreeMap;

use pinfold_base::Algorithm;
use pinfold_base::Digest;
use pinfold_base::time::rfc3339;

use super::Freshness;
use crate::debian::stanza;
use crate::debian::stanza::StanzaError;

/// Most files of one Release (unstable of all architectures has about 5000).
const MAX_FILES: usize = 200_000;
/// How far `Date` may lie in the future, in seconds: clocks differ.
const TOLERANCE: u64 = 3600;

/// Why a Release file is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// It is not a Release file.
    #[error("the Release file of `{suite}` is damaged")]
    Stanza {
        /// The suite asked for.
        suite: String,
        /// Where and how.
        source: StanzaError,
    },
    /// A field holds something else than it should.
    #[error("the Release file of `{suite}` has a bad field `{field}`: {reason}")]
    Field {
        /// The suite asked for.
        suite: String,
        /// Which field.
        field: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// It describes another suite.
    #[error(
        "the archive answered with another suite: asked for `{suite}`, got `{codename}` (suite `{name}`)"
    )]
    OtherSuite {
        /// The suite asked for.
        suite: String,
        /// `Codename`.
        codename: String,
        /// `Suite`.
        name: String,
    },
    /// `Date` lies ahead.
    #[error("the Release file of `{suite}` is from the future: {date}")]
    Future {
        /// The suite asked for.
        suite: String,
        /// Its `Date`.
        date: String,
    },
    /// `Valid-Until` has passed.
    #[error("the Release file of `{suite}` was valid until {until} only")]
    Stale {
        /// The suite asked for.
        suite: String,
        /// Its `Valid-Until`.
        until: String,
    },
    /// It is older than what was seen before.
    #[error("the archive went back in time: `{suite}` is of {date}, the lock has seen {seen}")]
    Rollback {
        /// The suite asked for.
        suite: String,
        /// Its `Date`.
        date: String,
        /// `Date` of the lock.
        seen: String,
    },
}

impl ReleaseError {
    /// The same of a suite that is called so in messages.
    #[must_use]
    pub fn of(mut self, name: String) -> Self {
        match &mut self {
            Self::Stanza { suite, .. }
            | Self::Field { suite, .. }
            | Self::OtherSuite { suite, .. }
            | Self::Future { suite, .. }
            | Self::Stale { suite, .. }
            | Self::Rollback { suite, .. } => *suite = name,
        }
        self
    }

    /// What the user can do.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Future { .. } => Some("check the clock of this machine".into()),
            Self::Stale { .. } => Some(
                "the mirror is out of date: use another one; to take an old state on purpose, set `check-valid-until` to \
                 false in the manifest's `[debian]` or in the apt source"
                    .into(),
            ),
            Self::Rollback { .. } => Some(
                "the mirror is behind the one used before: use another one; to go back on purpose, remove `pinfold.lock` and say \
                 `pinfold lock`"
                    .into(),
            ),
            Self::OtherSuite { codename, .. } => {
                Some(format!("check the mirror, or ask for `{codename}`"))
            }
            Self::Stanza { .. } | Self::Field { .. } => Some("use another mirror".into()),
        }
    }
}

/// What a Release file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Release {
    /// `Codename`, empty if there is none.
    pub codename: String,
    /// `Suite`, empty if there is none.
    pub suite: String,
    /// `Date`.
    pub date: u64,
    /// `Valid-Until`.
    pub valid_until: Option<u64>,
    /// Whether indexes can be had by their digest.
    pub by_hash: bool,
    /// Whether there are separate indexes of `all` that those of an architecture do not include.
    pub separate_all: bool,
    /// apt's pin: 500, 100 for `ButAutomaticUpgrades`, 1 for `NotAutomatic`.
    pub pin: i16,
    files: BTreeMap<String, (Digest, u64)>,
}

impl Release {
    /// Reads the signed text. `asked` is the suite it is to describe.
    pub fn read(asked: &str, text: &[u8]) -> Result<Self, ReleaseError> {
        let damaged = |source| ReleaseError::Stanza { suite: asked.to_owned(), source };
        let bad = |field, reason: String| ReleaseError::Field { suite: asked.to_owned(), field, reason };
        let stanza = stanza::single(text).map_err(damaged)?;
        let word = |name| Ok(stanza.text(name).map_err(damaged)?.unwrap_or_default());
        let time = |field: &'static str, value: &str| {
            parse_date(value)
                .ok_or_else(|| bad(field, format!("`{}` is not a date in UTC", value.escape_debug())))
        };
        let valid_until = match word("Valid-Until")? {
            "" => None,
            value => Some(time("Valid-Until", value)?),
        };
        let list = |text: &str, wanted: &str| text.split_ascii_whitespace().any(|word| word == wanted);
        let mut release = Self {
            codename: word("Codename")?.to_owned(),
            suite: word("Suite")?.to_owned(),
            date: time("Date", stanza.require("Date").map_err(damaged)?)?,
            valid_until,
            by_hash: word("Acquire-By-Hash")? == "yes",
            separate_all: list(word("Architectures")?, "all")
                && !list(word("No-Support-for-Architecture-all")?, "Packages"),
            pin: match (word("NotAutomatic")?, word("ButAutomaticUpgrades")?) {
                ("yes", "yes") => 100,
                ("yes", _) => 1,
                _ => 500,
            },
            files: BTreeMap::new(),
        };
        let sums = stanza.require("SHA256").map_err(damaged)?;
        for line in sums.lines().map(str::trim_ascii).filter(|line| !line.is_empty()) {
            let wrong =
                || bad("SHA256", format!("`{}`", line.chars().take(120).collect::<String>().escape_debug()));
            let words: Vec<&str> = line.split_ascii_whitespace().collect();
            let [hex, size, path] = words[..] else { return Err(wrong()) };
            let digest = Digest::from_hex(Algorithm::Sha256, hex).map_err(|_| wrong())?;
            let entry = (digest, size.parse().map_err(|_| wrong())?);
            if release.files.len() == MAX_FILES {
                return Err(bad("SHA256", "there are too many files".into()));
            }
            if release.files.insert(path.to_owned(), entry.clone()).is_some_and(|old| old != entry) {
                return Err(bad("SHA256", format!("`{}` is there twice", path.escape_debug())));
            }
        }
        Ok(release)
    }

    /// Digest and size of a file, by its path below the suite's folder.
    pub fn file(&self, path: &str) -> Option<(&Digest, u64)> {
        self.files.get(path).map(|(digest, size)| (digest, *size))
    }

    /// Every file that is listed.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Whether this describes `asked` and may be used at `now`. `seen` is the date of the lock.
    pub fn check(
        &self,
        asked: &str,
        now: u64,
        freshness: Freshness,
        seen: Option<u64>,
    ) -> Result<(), ReleaseError> {
        let suite = || asked.to_owned();
        // Debian's security archive calls both `bookworm-security`; older ones `stable/updates`. A flat archive is named by its
        // directory alone.
        if !asked.ends_with('/') && self.codename != asked && self.suite != asked {
            return Err(ReleaseError::OtherSuite {
                suite: suite(),
                codename: self.codename.clone(),
                name: self.suite.clone(),
            });
        }
        if self.date > now + TOLERANCE {
            return Err(ReleaseError::Future { suite: suite(), date: rfc3339(self.date) });
        }
        match self.valid_until {
            Some(until) if until < now && freshness == Freshness::Checked => {
                return Err(ReleaseError::Stale { suite: suite(), until: rfc3339(until) });
            }
            _ => {}
        }
        match seen {
            Some(seen) if self.date < seen => {
                Err(ReleaseError::Rollback { suite: suite(), date: rfc3339(self.date), seen: rfc3339(seen) })
            }
            _ => Ok(()),
        }
    }
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Reads `Sat, 11 Jul 2026 10:16:37 UTC` (also `GMT`, `Z`, `+0000`), as RFC 5322 has it, from 1970 to 9999.
pub fn parse_date(text: &str) -> Option<u64> {
    let text = text.split_once(',').map_or(text, |(_, rest)| rest);
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let [day, month, year, clock, zone] = words[..] else { return None };
    if !matches!(zone, "UTC" | "GMT" | "Z" | "+0000" | "UT") {
        return None;
    }
    let number = |text: &str, digits: std::ops::RangeInclusive<usize>| {
        (digits.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| text.parse::<u64>().ok())
            .flatten()
    };
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let (day, year) = (number(day, 1..=2)?, number(year, 4..=4)?);
    let clock: Vec<u64> = clock.split(':').map(|part| number(part, 2..=2)).collect::<Option<_>>()?;
    let [hour, minute, second] = clock[..] else { return None };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if year < 1970 || day == 0 || day > length || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    Some(((days_before(year, month) + day - 1) * 24 + hour) * 3600 + minute * 60 + second)
}

/// Days from 1970-01-01 to the first of a month.
fn days_before(year: u64, month: u64) -> u64 {
    // Years that begin in March: the leap day is the last one, and months have a regular length in days.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 - 719_468
}

/// Writes seconds since the epoch as the Debian snapshot archive names its states: `20260711T101637Z`.
pub fn timestamp(seconds: u64) -> String {
    rfc3339(seconds).chars().filter(|c| !matches!(c, '-' | ':')).collect()
}

#[cfg(test)]
mod odd_tests;

#[cfg(test)]
mod tests {
    use super::*;

    // `date -u -d 'Sat, 11 Jul 2026 10:16:37 UTC' +%s`, and so on.
    const DATES: &[(&str, u64, &str)] = &[
        ("Sat, 11 Jul 2026 10:16:37 UTC", 1_783_764_997, "2026-07-11T10:16:37Z"),
        ("Thu, 01 Jan 1970 00:00:00 UTC", 0, "1970-01-01T00:00:00Z"),
        ("Thu, 29 Feb 2024 23:59:59 +0000", 1_709_251_199, "2024-02-29T23:59:59Z"),
        ("Fri, 01 Mar 2024 00:00:00 GMT", 1_709_251_200, "2024-03-01T00:00:00Z"),
        ("Sun, 31 Dec 2000 12:00:00 UTC", 978_264_000, "2000-12-31T12:00:00Z"),
        ("Mon, 1 Mar 2100 00:00:00 UTC", 4_107_542_400, "2100-03-01T00:00:00Z"),
    ];

    fn text(extra: &str) -> String {
        let hex = "0".repeat(64);
        format!(
            "Suite: oldstable\nCodename: bookworm\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n{extra}SHA256:\n {hex}  12 main/binary-amd64/Packages\n"
        )
    }

    const DAY: u64 = 86_400;
    const DATE: u64 = 1_783_764_997;

    #[test]
    fn dates_are_read_and_written() {
        for &(text, seconds, iso) in DATES {
            assert_eq!(parse_date(text), Some(seconds), "{text}");
            assert_eq!(rfc3339(seconds), iso);
        }
        assert_eq!(timestamp(DATE), "20260711T101637Z");
        for bad in [
            "",
            "Sat, 11 Jul 2026 10:16:37",
            "Sat, 11 Jul 2026 10:16:37 CET",
            "Sat, 31 Jun 2026 10:16:37 UTC",
            "Sat, 29 Feb 2023 10:16:37 UTC",
            "Sat, 11 Jul 1969 10:16:37 UTC",
            "Sat, 11 Jul 2026 24:16:37 UTC",
            "2026-07-11T10:16:37Z",
        ] {
            assert_eq!(parse_date(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_round_trips() {
        for day in 0..146_097 {
            let (year, month, date) = pinfold_base::time::date(day);
            assert_eq!(days_before(year, month) + date - 1, day);
            assert!((1..=31).contains(&date));
        }
    }

    #[test]
    fn a_good_file_is_read() {
        let text = text(
            "Acquire-By-Hash: yes\nArchitectures: all amd64\nNo-Support-for-Architecture-all: Packages\n",
        );
        let release = Release::read("bookworm", text.as_bytes()).unwrap();
        assert!(release.by_hash);
        assert!(!release.separate_all);
        assert_eq!(release.pin, 500);
        assert_eq!(release.file("main/binary-amd64/Packages").unwrap().1, 12);
        assert_eq!(release.check("bookworm", DATE + DAY, Freshness::Checked, Some(DATE)), Ok(()));
        // By its other name too.
        assert_eq!(release.check("oldstable", DATE + DAY, Freshness::Checked, None), Ok(()));
    }

    #[test]
    fn pins_follow_the_flags() {
        let pin = |extra: &str| Release::read("x", text(extra).as_bytes()).unwrap().pin;
        assert_eq!(pin("NotAutomatic: yes\n"), 1);
        assert_eq!(pin("NotAutomatic: yes\nButAutomaticUpgrades: yes\n"), 100);
    }

    #[test]
    fn other_suites_wrong_clocks_and_old_states_are_refused() {
        let until = text("Valid-Until: Sat, 18 Jul 2026 10:16:37 UTC\n");
        let release = Release::read("bookworm", until.as_bytes()).unwrap();
        let check = |asked: &str, now, freshness, seen| {
            release.check(asked, now, freshness, seen).err().map(|error| error.to_string())
        };
        let fresh = Freshness::Checked;
        assert_eq!(check("bookworm", DATE + DAY, fresh, None), None);
        assert_eq!(
            check("trixie", DATE + DAY, fresh, None).unwrap(),
            "the archive answered with another suite: asked for `trixie`, got `bookworm` (suite `oldstable`)"
        );
        assert_eq!(
            check("bookworm", DATE - 2 * TOLERANCE, fresh, None).unwrap(),
            "the Release file of `bookworm` is from the future: 2026-07-11T10:16:37Z"
        );
        assert_eq!(
            check("bookworm", DATE + 8 * DAY, fresh, None).unwrap(),
            "the Release file of `bookworm` was valid until 2026-07-18T10:16:37Z only"
        );
        assert_eq!(check("bookworm", DATE + 8 * DAY, Freshness::Unchecked, None), None);
        assert_eq!(
            check("bookworm", DATE + DAY, fresh, Some(DATE + 1)).unwrap(),
            "the archive went back in time: `bookworm` is of 2026-07-11T10:16:37Z, the lock has seen 2026-07-11T10:16:38Z"
        );
    }

    #[test]
    fn weak_or_damaged_sums_are_refused() {
        let hex = "0".repeat(64);
        let read = |body: &str| {
            let text = format!("Codename: x\nDate: Sat, 11 Jul 2026 10:16:37 UTC\n{body}");
            Release::read("x", text.as_bytes()).map(|_| ()).map_err(|error| error.to_string())
        };
        assert!(read("MD5Sum:\n 00 1 main/binary-amd64/Packages\n").is_err());
        assert!(read("SHA256:\n 00 1 a\n").is_err());
        assert!(read(&format!("SHA256:\n {hex} x a\n")).is_err());
        assert!(read(&format!("SHA256:\n {hex} 1\n")).is_err());
        assert!(read(&format!("SHA256:\n {hex} 1 a\n {hex} 2 a\n")).unwrap_err().contains("there twice"));
        assert_eq!(read(&format!("SHA256:\n {hex} 1 a\n {hex} 1 a\n")), Ok(()));
        assert!(Release::read("x", b"Codename: x\nDate: yesterday\nSHA256:\n").is_err());
    }
}
