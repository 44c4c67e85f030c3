//! Relations between packages: the values of `Depends`, `Conflicts`, `Provides` and their kin (Debian Policy 7.1).
//!
//! ```text
//! Depends: libc6 (>= 2.34), debconf (>= 0.5) | debconf-2.0, python3:any [linux-any] <!nocheck>
//!          └── group ────┘  └── group of two alternatives ┘
//! ```
//!
//! **Guarantees**: everything borrowed from the text; every byte belongs to a group or the whole value is refused.
//! **Refuses**: unknown operators, missing versions, names with odd characters, empty alternatives, over 4096 groups.
//! The old operators `<` and `>` mean `<=` and `>=`, as dpkg has them.

use std::cmp::Ordering;
use std::fmt;

use crate::debian::version;

/// Most groups of one field.
const MAX_GROUPS: usize = 4096;

/// How a version must compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Less,
    /// `<=`
    LessEqual,
    /// `=`
    Equal,
    /// `>=`
    GreaterEqual,
    /// `>>`
    Greater,
}

impl Operator {
    /// Whether `version` stands to `bound` as this operator demands.
    pub fn holds(self, version: &[u8], bound: &[u8]) -> bool {
        let order = version::compare(version, bound);
        match self {
            Self::Less => order == Ordering::Less,
            Self::LessEqual => order != Ordering::Greater,
            Self::Equal => order == Ordering::Equal,
            Self::GreaterEqual => order != Ordering::Less,
            Self::Greater => order == Ordering::Greater,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Less => "<<",
            Self::LessEqual => "<=",
            Self::Equal => "=",
            Self::GreaterEqual => ">=",
            Self::Greater => ">>",
        }
    }
}

/// One alternative: a package name, with what else is asked of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relation<'a> {
    /// The package or virtual package.
    pub name: &'a str,
    /// What stands behind the colon: `any`, `native` or an architecture.
    pub qualifier: Option<&'a str>,
    /// The version it must have.
    pub version: Option<(Operator, &'a str)>,
    /// The architectures between brackets, as written (`amd64 arm64`, `!i386`).
    pub arches: Option<&'a str>,
    /// Whether build profiles stand between angle brackets; such a relation never holds for a binary package.
    pub profiled: bool,
}

impl<'a> Relation<'a> {
    /// The one that a name alone makes.
    pub const fn to(name: &'a str) -> Self {
        Self { name, qualifier: None, version: None, arches: None, profiled: false }
    }

    /// Whether the bracketed list, if any, includes `arch`.
    pub fn applies_to(&self, arch: &str) -> bool {
        let Some(list) = self.arches else { return !self.profiled };
        let hit = |word: &str| {
            // From behind: cpu, system, library, ABI; `any` may stand for each (dpkg-architecture(1), "Wildcards").
            let mut parts = word.rsplit('-');
            let cpu = parts.next().unwrap_or_default();
            (cpu == "any" || cpu == arch)
                && parts.next().is_none_or(|system| matches!(system, "any" | "linux"))
                && parts.next().is_none_or(|library| matches!(library, "any" | "gnu"))
                && parts.next().is_none_or(|abi| abi == "any")
                && parts.next().is_none()
        };
        let mut words = list.split_ascii_whitespace().peekable();
        let listed = if words.peek().is_some_and(|word| word.starts_with('!')) {
            !words.any(|word| word.strip_prefix('!').is_some_and(hit))
        } else {
            words.any(hit)
        };
        listed && !self.profiled
    }
}

impl fmt::Display for Relation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(qualifier) = self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        if let Some((operator, version)) = self.version {
            write!(f, " ({} {version})", operator.text())?;
        }
        Ok(())
    }
}

/// Text that is not a list of relations.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a relation between packages: {reason}")]
pub struct RelationError {
    text: String,
    reason: &'static str,
}

fn wrong(text: &str, reason: &'static str) -> RelationError {
    RelationError { text: text.chars().take(120).collect(), reason }
}

/// Reads the groups of a field; the alternatives of a group are to be tried in their order. Empty groups between commas
/// are passed over, as dpkg does.
pub fn groups(value: &str) -> Result<Vec<Vec<Relation<'_>>>, RelationError> {
    let mut groups = Vec::new();
    for group in value.split(',') {
        if group.trim_ascii().is_empty() {
            continue;
        }
        if groups.len() == MAX_GROUPS {
            return Err(wrong(group, "there are too many"));
        }
        groups.push(group.split('|').map(relation).collect::<Result<Vec<_>, _>>()?);
    }
    Ok(groups)
}

/// Reads a field without alternatives: `Conflicts`, `Breaks`, `Provides`.
pub fn list(value: &str) -> Result<Vec<Relation<'_>>, RelationError> {
    let groups = groups(value)?;
    let mut all = Vec::with_capacity(groups.len());
    for group in groups {
        let [one] = group[..] else { return Err(wrong(value, "alternatives are not allowed here")) };
        all.push(one);
    }
    Ok(all)
}

/// Whether `name` may be the name of a package (Policy 5.6.1; two characters at least, lower case, digits, `+-.`). Upper
/// case is let through: third-party archives have it.
pub fn is_name(name: &str) -> bool {
    name.len() >= 2
        && name.len() <= 200
        && name.as_bytes()[0].is_ascii_alphanumeric()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
}

/// Reads one alternative.
pub fn relation(text: &str) -> Result<Relation<'_>, RelationError> {
    let text = text.trim_ascii();
    let end = text.find(|c: char| c.is_ascii_whitespace() || "([<".contains(c)).unwrap_or(text.len());
    let (head, mut rest) = text.split_at(end);
    let (name, qualifier) = match head.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (head, None),
    };
    // dpkg knows names of one letter, too.
    if !(is_name(name) || name.len() == 1 && name.as_bytes()[0].is_ascii_alphanumeric()) {
        return Err(wrong(text, "the name holds odd characters"));
    }
    if qualifier
        .is_some_and(|word| word.is_empty() || !word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
    {
        return Err(wrong(text, "the architecture behind the colon is odd"));
    }
    let mut found = Relation { name, qualifier, version: None, arches: None, profiled: false };
    loop {
        rest = rest.trim_ascii_start();
        let (open, close) = match rest.bytes().next() {
            None => return Ok(found),
            Some(b'(') => ('(', ')'),
            Some(b'[') => ('[', ']'),
            Some(b'<') => ('<', '>'),
            Some(_) => return Err(wrong(text, "something odd stands behind the name")),
        };
        let Some(end) = rest.find(close) else { return Err(wrong(text, "a bracket is not closed")) };
        let inside = rest[1..end].trim_ascii();
        rest = &rest[end + 1..];
        match open {
            '(' if found.version.is_none() => found.version = Some(bound(text, inside)?),
            '[' if found.arches.is_none() => found.arches = Some(inside),
            '<' => found.profiled = true,
            _ => return Err(wrong(text, "a bracket is there twice")),
        }
    }
}

fn bound<'a>(text: &str, inside: &'a str) -> Result<(Operator, &'a str), RelationError> {
    let split = inside.find(|c: char| !"<>=".contains(c)).unwrap_or(inside.len());
    let (operator, version) = inside.split_at(split);
    let operator = match operator {
        "<<" => Operator::Less,
        "<=" | "<" => Operator::LessEqual,
        "=" => Operator::Equal,
        ">=" | ">" => Operator::GreaterEqual,
        ">>" => Operator::Greater,
        _ => return Err(wrong(text, "expected one of `<< <= = >= >>`")),
    };
    let version = version.trim_ascii();
    version::check(version.as_bytes()).map_err(|_| wrong(text, "the version is not one of Debian"))?;
    Ok((operator, version))
}

#[cfg(test)]
mod policy_tests;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_field_of_every_kind() {
        let value = "libc6 (>= 2.34), debconf (>= 0.5) | debconf-2.0 ,\n python3:any (<< 3.12~),\n xz [amd64 any-arm64] <!nocheck>";
        let groups = groups(value).unwrap();
        let shown: Vec<Vec<String>> =
            groups.iter().map(|group| group.iter().map(Relation::to_string).collect()).collect();
        assert_eq!(
            shown,
            [
                vec!["libc6 (>= 2.34)"],
                vec!["debconf (>= 0.5)", "debconf-2.0"],
                vec!["python3:any (<< 3.12~)"],
                vec!["xz"]
            ]
        );
        assert_eq!(groups[3][0].arches, Some("amd64 any-arm64"));
        assert!(groups[3][0].profiled);
    }

    #[test]
    fn tight_spellings_and_old_operators() {
        assert_eq!(relation("a1(=1)").unwrap().version, Some((Operator::Equal, "1")));
        // deb-control(5): `<` and `>` are `<=` and `>=`.
        assert_eq!(relation("a1 (< 1)").unwrap().version, Some((Operator::LessEqual, "1")));
        assert_eq!(relation("a1 (>1)").unwrap().version, Some((Operator::GreaterEqual, "1")));
        assert_eq!(groups("").unwrap(), Vec::<Vec<Relation<'_>>>::new());
        assert_eq!(groups("a1, , b1,").unwrap().len(), 2);
    }

    #[test]
    fn nonsense_is_refused() {
        let bad = [
            "+",
            "A b",
            "a1 (1)",
            "a1 (>= )",
            "a1 (=> 1)",
            "a1 (>= 1",
            "a1 (>= 1) (<< 2)",
            "a1 |",
            "| a1",
            "a1:",
            "a1: any",
            "a1 b1",
            "../x",
            "a1 (>= x)",
            "a1 [amd64",
            "a1 [x] [y]",
            "a1;b1",
            "é1",
        ];
        for text in bad {
            assert!(groups(text).is_err(), "{text}");
        }
        assert!(list("a1 | b1").is_err());
        assert!(groups(&"a1,".repeat(MAX_GROUPS + 1)).is_err());
    }

    #[test]
    fn brackets_select_architectures() {
        let applies = |text: &str, arch: &str| relation(text).unwrap().applies_to(arch);
        assert!(applies("a1 [amd64 i386]", "amd64"));
        assert!(!applies("a1 [amd64 i386]", "arm64"));
        assert!(applies("a1 [!i386]", "arm64"));
        assert!(!applies("a1 [!i386 !arm64]", "arm64"));
        assert!(applies("a1 [linux-any]", "arm64"));
        assert!(applies("a1 [any-arm64]", "arm64"));
        assert!(!applies("a1 <!nocheck>", "arm64"));
    }

    #[test]
    fn operators_hold_as_they_say() {
        let holds = |text: &str, version: &str| {
            let (operator, bound) = relation(text).unwrap().version.unwrap();
            operator.holds(version.as_bytes(), bound.as_bytes())
        };
        for (text, below, equal, above) in [
            ("a1 (<< 2)", true, false, false),
            ("a1 (<= 2)", true, true, false),
            ("a1 (= 2)", false, true, false),
            ("a1 (>= 2)", false, true, true),
            ("a1 (>> 2)", false, false, true),
        ] {
            assert_eq!(
                [holds(text, "1"), holds(text, "2-0"), holds(text, "3")],
                [below, equal, above],
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-c1 ,|()\\[\\]<>=:!.~\n\u{e9}-]{0,60}") {
            let _ = groups(&text);
            let _ = list(&text);
        }

        #[test]
        fn what_is_shown_is_read(name in "[a-z][a-z0-9+.-]{1,8}", version in prop::option::of("[0-9][0-9a-z.]{0,5}")) {
            let version = version.as_deref().map(|version| (Operator::GreaterEqual, version));
            let relation = Relation { name: &name, qualifier: None, version, arches: None, profiled: false };
            let text = relation.to_string();
            prop_assert_eq!(super::relation(&text).unwrap(), relation);
        }
    }
}
