//! What packages say of their licences, as one SPDX expression (SPDX 2.3, annex D).
//!
//! ```text
//! package.json   "(MIT OR Apache-2.0)"                      ─► MIT OR Apache-2.0
//!                "SEE LICENSE IN README.md"                 ─► LicenseRef-SEE-LICENSE-IN-README.md
//! copyright      License: GPL-2+ and Expat   (each of them) ─► GPL-2.0-or-later AND MIT
//! ```
//!
//! Debian's short names are those of its machine-readable copyright files (version 1.0, "License specification"). Nothing is guessed
//! from a licence's text.
//!
//! **Guarantees**: an expression has only ids of the list (`license/ids.txt`: SPDX 3.28, as far as CycloneDX 1.6 knows them too) and
//! references that stand in [`License::others`].

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::OnceLock;

use pinfold_sources::debian::stanza;
use pinfold_sources::debian::stanza::Form;
use serde::Serialize;

/// Licences, an empty line, exceptions.
const IDS: &str = include_str!("license/ids.txt");
/// Longest text that is read as an expression, in bytes.
const MAX_TEXT: usize = 1_000;
/// Most different expressions of one package.
const MAX_PARTS: usize = 100;
/// How deep parentheses are read.
const MAX_DEPTH: usize = 20;
/// How a reference to a licence begins that is not of the list.
const REFERENCE: &str = "LicenseRef-";

/// What a package says that its licence is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct License {
    /// An SPDX expression.
    pub expression: String,
    /// Licences in it that SPDX does not list, by their reference: the name that the package has for them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub others: BTreeMap<String, String>,
}

impl License {
    /// What a program's own metadata says: an SPDX expression, or a name of its own. `None` of nothing.
    pub fn declared(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_TEXT {
            return None;
        }
        match spdx(text) {
            Some(expression) => Some(Self { expression, others: BTreeMap::new() }),
            None => Self::named(text),
        }
    }

    /// A licence that SPDX does not list.
    fn named(name: &str) -> Option<Self> {
        let reference = reference(name)?;
        Some(Self { expression: reference.clone(), others: BTreeMap::from([(reference, name.to_owned())]) })
    }

    /// Any of these may be chosen.
    pub(super) fn any(choices: Vec<Self>) -> Option<Self> {
        let mut others = BTreeMap::new();
        let mut expressions = BTreeSet::new();
        for choice in choices.into_iter().take(MAX_PARTS) {
            others.extend(choice.others);
            expressions.insert(choice.expression);
        }
        let expressions: Vec<String> = expressions.into_iter().collect();
        (!expressions.is_empty()).then(|| Self { expression: expressions.join(" OR "), others })
    }

    /// What all of these together come to: each holds for a part of the package.
    pub(super) fn all(parts: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut others = BTreeMap::new();
        let mut expressions = BTreeSet::new();
        for part in parts.into_iter().take(MAX_PARTS) {
            others.extend(part.others);
            // Of a choice nothing is taken apart.
            match apart(&part.expression, " OR ").len() {
                1 => expressions.extend(apart(&part.expression, " AND ").into_iter().map(str::to_owned)),
                _ => drop(expressions.insert(format!("({})", part.expression))),
            }
        }
        let expressions: Vec<String> = expressions.into_iter().collect();
        let expression = match &expressions[..] {
            [] => return None,
            // Alone it needs no parentheses.
            [one] => one.strip_prefix('(').and_then(|one| one.strip_suffix(')')).unwrap_or(one).to_owned(),
            several => several.join(" AND "),
        };
        Some(Self { expression, others })
    }

    /// Of a `copyright` file; `None` where it is not of the machine-readable form.
    pub fn of_copyright(bytes: &[u8]) -> Option<Self> {
        let mut stanzas = stanza::stanzas(bytes, Form::Handwritten);
        let head = stanzas.next()?.ok()?;
        let format = head.get("Format").or_else(|| head.get("Format-Specification"))?;
        String::from_utf8_lossy(format).to_ascii_lowercase().contains("copyright").then_some(())?;
        let mut parts: Vec<Self> = short(head.get("License")).into_iter().collect();
        for stanza in stanzas {
            let Ok(stanza) = stanza else { return None };
            if stanza.get("Files").is_some() {
                parts.extend(short(stanza.get("License")));
            }
        }
        Self::all(parts)
    }
}

/// The parts of an expression between words that stand outside of parentheses.
fn apart<'a>(expression: &'a str, word: &str) -> Vec<&'a str> {
    let (mut parts, mut from, mut depth) = (Vec::new(), 0, 0_usize);
    for (at, c) in expression.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ' ' if depth == 0 && expression[at..].starts_with(word) && at >= from => {
                parts.push(&expression[from..at]);
                from = at + word.len();
            }
            _ => {}
        }
    }
    parts.push(&expression[from..]);
    parts
}

/// The first line of a `License` field, in Debian's short names.
fn short(value: Option<&[u8]>) -> Option<License> {
    let line = String::from_utf8_lossy(value?.split(|&byte| byte == b'\n').next()?).into_owned();
    let line = line.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() || line.len() > MAX_TEXT {
        return None;
    }
    // A comma before a conjunction ends a group that binds closer.
    let groups = line.split(", and ").map(|group| either(&group.replace(", or ", " or ")));
    License::all(groups.collect::<Option<Vec<_>>>()?)
}

/// `A and B or C`: `and` binds closer.
fn either(text: &str) -> Option<License> {
    let mut others = BTreeMap::new();
    let mut choices: Vec<String> = Vec::new();
    for choice in text.split(" or ") {
        let all = License::all(choice.split(" and ").map(debian).collect::<Option<Vec<_>>>()?)?;
        others.extend(all.others);
        if !choices.contains(&all.expression) {
            choices.push(all.expression);
        }
    }
    Some(License { expression: choices.join(" OR "), others })
}

/// One of Debian's short names.
fn debian(name: &str) -> Option<License> {
    let name = name.trim().trim_end_matches(',');
    let spdx = match name.to_ascii_lowercase().as_str() {
        "expat" => Some("MIT".to_owned()),
        "apache-2" => Some("Apache-2.0".to_owned()),
        "artistic" => Some("Artistic-1.0".to_owned()),
        "artistic-2" => Some("Artistic-2.0".to_owned()),
        "cc0" => Some("CC0-1.0".to_owned()),
        "mpl-2" => Some("MPL-2.0".to_owned()),
        _ => gnu(name).or_else(|| spdx(name)),
    };
    match spdx {
        Some(expression) => Some(License { expression, others: BTreeMap::new() }),
        None => License::named(name),
    }
}

/// `GPL-2+`, `LGPL-2.1`, `GFDL-NIV-1.3+`, and SPDX's own older names for them.
fn gnu(name: &str) -> Option<String> {
    let (name, later) = match name.strip_suffix('+') {
        Some(name) => (name, "or-later"),
        None => (name, "only"),
    };
    let upper = name.to_ascii_uppercase();
    let (family, version) = upper.rsplit_once('-')?;
    let (family, invariants) = match family.strip_suffix("-NIV") {
        Some("GFDL") => ("GFDL", "no-invariants-"),
        _ => (family, ""),
    };
    matches!(family, "GPL" | "LGPL" | "AGPL" | "GFDL").then_some(())?;
    let version = if version.contains('.') { version.to_owned() } else { format!("{version}.0") };
    listed(&format!("{family}-{version}-{invariants}{later}"), Of::Licenses)
}

/// What a list is of.
#[derive(Clone, Copy)]
enum Of {
    Licenses,
    Exceptions,
}

/// An id as the list spells it, whatever its case.
fn listed(id: &str, of: Of) -> Option<String> {
    type Ids = BTreeMap<String, &'static str>;
    static LISTS: OnceLock<(Ids, Ids)> = OnceLock::new();
    let (licenses, exceptions) = LISTS.get_or_init(|| {
        let (licenses, exceptions) = IDS.split_once("\n\n").unwrap_or((IDS, ""));
        let ids = |text: &'static str| -> Ids {
            text.split_ascii_whitespace().map(|id| (id.to_ascii_lowercase(), id)).collect()
        };
        (ids(licenses), ids(exceptions))
    });
    let list = match of {
        Of::Licenses => licenses,
        Of::Exceptions => exceptions,
    };
    list.get(&id.to_ascii_lowercase()).map(|id| (*id).to_owned())
}

/// An SPDX expression in the list's spelling; `None` where it is none, or has an id that is not of the list.
fn spdx(text: &str) -> Option<String> {
    let spaced = text.replace('(', " ( ").replace(')', " ) ");
    let tokens: Vec<&str> = spaced.split_ascii_whitespace().collect();
    let mut rest = &tokens[..];
    let expression = choices(&mut rest, 0)?;
    rest.is_empty().then_some(expression)
}

fn next<'a>(rest: &mut &[&'a str], word: &str) -> Option<&'a str> {
    let (first, after) = rest.split_first()?;
    first.eq_ignore_ascii_case(word).then(|| {
        *rest = after;
        *first
    })
}

fn choices(rest: &mut &[&str], depth: usize) -> Option<String> {
    let mut text = all_of(rest, depth)?;
    while next(rest, "OR").is_some() {
        text = format!("{text} OR {}", all_of(rest, depth)?);
    }
    Some(text)
}

fn all_of(rest: &mut &[&str], depth: usize) -> Option<String> {
    let mut parts = vec![one_of(rest, depth)?];
    while next(rest, "AND").is_some() {
        parts.push(one_of(rest, depth)?);
    }
    let several = parts.len() > 1;
    let bound = parts
        .into_iter()
        .map(|part| if several && part.contains(" OR ") { format!("({part})") } else { part });
    Some(bound.collect::<Vec<_>>().join(" AND "))
}

fn one_of(rest: &mut &[&str], depth: usize) -> Option<String> {
    if next(rest, "(").is_some() {
        let inner = if depth < MAX_DEPTH { choices(rest, depth + 1)? } else { return None };
        next(rest, ")")?;
        return Some(inner);
    }
    let (first, after) = rest.split_first()?;
    *rest = after;
    let license = gnu(first).or_else(|| listed(first, Of::Licenses)).or_else(|| {
        let earlier = listed(first.strip_suffix('+')?, Of::Licenses)?;
        Some(format!("{earlier}+"))
    })?;
    if next(rest, "WITH").is_none() {
        return Some(license);
    }
    let (exception, after) = rest.split_first()?;
    *rest = after;
    Some(format!("{license} WITH {}", listed(exception, Of::Exceptions)?))
}

/// A reference for a name: its letters and digits, and what else may stand in one.
fn reference(name: &str) -> Option<String> {
    let mut text = String::from(REFERENCE);
    for c in name.chars().take(100) {
        if c.is_ascii_alphanumeric() || c == '.' {
            text.push(c);
        } else if !text.ends_with('-') {
            text.push('-');
        }
    }
    let text = text.trim_end_matches('-');
    (text.len() > REFERENCE.len()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn declared(text: &str) -> String {
        License::declared(text).map(|license| license.expression).unwrap_or_default()
    }

    #[test]
    fn expressions_are_written_as_the_list_spells_them() {
        for (text, expression) in [
            ("MIT", "MIT"),
            ("apache-2.0", "Apache-2.0"),
            ("(MIT OR Apache-2.0)", "MIT OR Apache-2.0"),
            ("MIT and (BSD-2-Clause or ISC)", "MIT AND (BSD-2-Clause OR ISC)"),
            ("GPL-2.0", "GPL-2.0-only"),
            ("GPL-2.0+ WITH Classpath-exception-2.0", "GPL-2.0-or-later WITH Classpath-exception-2.0"),
            ("EPL-1.0+", "EPL-1.0+"),
            ("SEE LICENSE IN README.md", "LicenseRef-SEE-LICENSE-IN-README.md"),
            ("UNLICENSED", "LicenseRef-UNLICENSED"),
            ("MIT WITH nothing", "LicenseRef-MIT-WITH-nothing"),
            ("MIT)", "LicenseRef-MIT"),
            ("\u{1b}[2J", "LicenseRef-2J"),
            ("  ", ""),
            ("\u{1b}", ""),
        ] {
            assert_eq!(declared(text), expression, "{text}");
        }
        let own = License::declared("UNLICENSED").unwrap();
        assert_eq!(own.others["LicenseRef-UNLICENSED"], "UNLICENSED");
        assert!(License::declared("(MIT OR ISC)").unwrap().others.is_empty());
    }

    #[test]
    fn copyright_files_of_debian_are_read() {
        let copyright = |rest: &str| {
            let text =
                format!("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n{rest}");
            License::of_copyright(text.as_bytes()).map(|license| license.expression).unwrap_or_default()
        };
        for (rest, expression) in [
            ("\nFiles: *\nCopyright: x\nLicense: GPL-2+\n Text of it.\n", "GPL-2.0-or-later"),
            (
                "\nFiles: *\nLicense: GPL-2+\n\nFiles: b\nLicense: Expat\n\nLicense: BSD\n All.\n",
                "GPL-2.0-or-later AND MIT",
            ),
            (
                "\nFiles: *\nLicense: GPL-1+ or Artistic, and BSD-3-clause\n",
                "(GPL-1.0-or-later OR Artistic-1.0) AND BSD-3-Clause",
            ),
            (
                "\nFiles: *\nLicense: GFDL-NIV-1.3+ or LGPL-2.1\n",
                "GFDL-1.3-no-invariants-or-later OR LGPL-2.1-only",
            ),
            ("\nFiles: *\nLicense: public-domain\n", "LicenseRef-public-domain"),
            (
                "\nFiles: *\nLicense: Expat or ISC\n\nFiles: b\nLicense: Expat or ISC, and Zlib\n\nFiles: c\nLicense: Zlib and ISC\n",
                "(MIT OR ISC) AND ISC AND Zlib",
            ),
            (
                "\nFiles: *\nLicense: GPL-2+ with OpenSSL exception\n",
                "LicenseRef-GPL-2-with-OpenSSL-exception",
            ),
            ("License: ISC\n\nFiles: *\nLicense: ISC\n", "ISC"),
            ("\nFiles: *\nCopyright: nobody\n", ""),
            ("\nFiles: *\nno colon\n", ""),
        ] {
            assert_eq!(copyright(rest), expression, "{rest}");
        }
        assert_eq!(License::of_copyright(b"This is free.\n\nFiles: *\nLicense: MIT\n"), None, "no form");
    }

    #[test]
    fn the_list_is_whole() {
        for id in ["MIT", "Apache-2.0", "GPL-2.0-or-later", "curl", "Zlib", "LicenseRef-x"] {
            assert_eq!(listed(id, Of::Licenses).is_some(), id != "LicenseRef-x", "{id}");
        }
        assert!(
            listed("LLVM-exception", Of::Exceptions).is_some() && listed("MIT", Of::Exceptions).is_none()
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(MIT|GPL-2\\+|AND|OR|WITH|[() ,+]|\u{e9}|x){0,20}") {
            if let Some(license) = License::declared(&text) {
                // What is written is read as the same, but for names of our own.
                if license.others.is_empty() {
                    prop_assert_eq!(License::declared(&license.expression), Some(license));
                }
            }
            let _ = License::of_copyright(format!("Format: copyright\n\nFiles: *\nLicense: {text}\n").as_bytes());
        }
    }
}
