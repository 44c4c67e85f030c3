//! deb822 stanzas: the text form of Debian's control files, package indexes, Release files and apt sources.
//!
//! ```text
//! Package: curl                 a field: name, colon, value
//! Depends: libc6 (>= 2.34),     the value goes on ...
//!  zlib1g (>= 1:1.1.4)          ... in lines that begin with a blank or a tab
//!                               an empty line ends the stanza
//! ```
//!
//! Form: deb822(5) and Debian Policy 5.1. Nothing is copied: names and values are slices of the text. A value is everything
//! after the colon and the blanks behind it, up to the last line's end; trailing blanks and the blanks before continuation
//! lines stay, because dpkg's own database keeps them.
//!
//! **Guarantees**: every byte of the text belongs to a field, a separator or (in [`Form::Handwritten`]) a comment; one pass,
//! one small allocation per stanza.
//!
//! **Refuses**: a field named twice in a stanza (names compare without regard to case), a line without a colon, a
//! continuation with nothing to continue, a line of blanks only (readers disagree on what it means; it is a separator in
//! [`Form::Handwritten`] only), empty or odd names, NUL bytes, lines over 1 MiB, stanzas over 16 MiB or 256 fields.

use memchr::memchr;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Kind;

/// Longest line that is read, in bytes.
pub const MAX_LINE: usize = 1 << 20;
/// Longest stanza that is read, in bytes (a Release file is one stanza).
pub const MAX_STANZA: usize = 16 << 20;
/// Most fields of one stanza.
pub const MAX_FIELDS: usize = 256;

/// Who wrote the text, which decides how much is forgiven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A program: `Packages`, `Release`, `control`. No comments.
    Machine,
    /// A person: `*.sources` of apt. Lines that begin with `#` are comments anywhere, a line of blanks only separates, and
    /// lines may end in CR LF.
    Handwritten,
}

/// One field of a stanza.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as it is spelled.
    pub name: &'a str,
    /// The value: first line without leading blanks, then `\n` and each further line with its leading blank.
    pub value: &'a [u8],
}

impl<'a> Field<'a> {
    /// The lines of the value, without their leading and trailing blanks; comments of a hand-written file are left out.
    pub fn lines(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let lines = self.value.split(|&byte| byte == b'\n').enumerate();
        lines
            .filter(|(number, line)| *number == 0 || line.first() != Some(&b'#'))
            .map(|(_, line)| line.trim_ascii())
    }

    /// The words of the value, split at blanks and line ends.
    pub fn words(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.lines().flat_map(|line| {
            line.split(|byte: &u8| byte.is_ascii_whitespace()).filter(|word| !word.is_empty())
        })
    }
}

/// A group of fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stanza<'a> {
    fields: Vec<Field<'a>>,
    line: usize,
}

impl<'a> Stanza<'a> {
    /// The fields in their order.
    pub fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }

    /// The number (from 1) of the line the stanza begins on.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The field of this name, whatever its case.
    pub fn field(&self, name: &str) -> Option<Field<'a>> {
        self.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name)).copied()
    }

    /// The value of the field of this name.
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.field(name).map(|field| field.value)
    }

    /// The value as text without surrounding blanks; an error when it is not UTF-8.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>, StanzaError> {
        let Some(field) = self.field(name) else { return Ok(None) };
        match str::from_utf8(field.value) {
            Ok(text) => Ok(Some(text.trim_ascii())),
            Err(_) => Err(StanzaError { line: self.line, what: Fault::NotUtf8(field.name.to_owned()) }),
        }
    }

    /// Like [`Stanza::text`], and an error when the field is missing or empty.
    pub fn require(&self, name: &'static str) -> Result<&'a str, StanzaError> {
        self.text(name)?
            .filter(|text| !text.is_empty())
            .ok_or(StanzaError { line: self.line, what: Fault::Missing(name) })
    }
}

/// Text that is not a row of stanzas.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct StanzaError {
    line: usize,
    what: Fault,
}

impl StanzaError {
    /// The number (from 1) of the line at fault.
    pub fn line(&self) -> usize {
        self.line
    }
}

impl Diagnose for StanzaError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Integrity)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("a NUL byte")]
    Nul,
    #[error("the line is longer than {MAX_LINE} bytes")]
    LongLine,
    #[error("the stanza is longer than {MAX_STANZA} bytes")]
    LongStanza,
    #[error("the stanza has more than {MAX_FIELDS} fields")]
    ManyFields,
    #[error("expected `Name: value`")]
    NoColon,
    #[error("a field name may hold only visible ASCII and not begin with `-` or `#`")]
    BadName,
    #[error("a continuation line with nothing to continue")]
    Dangling,
    #[error("a line of blanks only")]
    Blank,
    #[error("field `{0}` is there twice")]
    Twice(String),
    #[error("field `{0}` is not UTF-8")]
    NotUtf8(String),
    #[error("field `{0}` is missing")]
    Missing(&'static str),
    #[error("expected one stanza, found {0}")]
    Count(&'static str),
}

/// The stanzas of a text, one after the other. After an error there is nothing more.
pub fn stanzas(text: &[u8], form: Form) -> Stanzas<'_> {
    Stanzas { text, at: 0, line: 1, form, failed: false }
}

/// The one stanza of a text (a `control` file, a `Release` file); none or several are an error.
pub fn single(text: &[u8]) -> Result<Stanza<'_>, StanzaError> {
    let mut all = stanzas(text, Form::Machine);
    let first = all.next().ok_or(StanzaError { line: 1, what: Fault::Count("none") })??;
    match all.next() {
        None => Ok(first),
        Some(Ok(more)) => Err(StanzaError { line: more.line, what: Fault::Count("several") }),
        Some(Err(error)) => Err(error),
    }
}

/// Iterator over the stanzas of a text; see [`stanzas`].
#[derive(Clone, Debug)]
pub struct Stanzas<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
    form: Form,
    failed: bool,
}

impl Stanzas<'_> {
    /// How many bytes of the text are behind us.
    pub fn offset(&self) -> usize {
        self.at
    }

    fn fail(&mut self, what: Fault) -> StanzaError {
        self.failed = true;
        StanzaError { line: self.line, what }
    }
}

impl<'a> Iterator for Stanzas<'a> {
    type Item = Result<Stanza<'a>, StanzaError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let mut open = Open::new(self.line);
        let mut begin = self.at;
        while self.at < self.text.len() {
            let rest = &self.text[self.at..];
            let end = memchr(b'\n', rest);
            let length = end.unwrap_or(rest.len());
            if length > MAX_LINE {
                return Some(Err(self.fail(Fault::LongLine)));
            }
            let next = self.at + length + usize::from(end.is_some());
            let mut line = &rest[..length];
            if self.form == Form::Handwritten {
                line = line.strip_suffix(b"\r").unwrap_or(line);
            }
            let (empty, blanks) = (line.is_empty(), line.trim_ascii().is_empty());
            if empty || blanks && self.form == Form::Handwritten {
                self.at = next;
                self.line += 1;
                if open.fields.is_empty() {
                    begin = next;
                    continue;
                }
                return Some(Ok(Stanza { fields: open.fields, line: open.line }));
            }
            if next - begin > MAX_STANZA {
                return Some(Err(self.fail(Fault::LongStanza)));
            }
            let outcome = match line[0] {
                b'#' if self.form == Form::Handwritten => Ok(()),
                b' ' | b'\t' if blanks => Err(Fault::Blank),
                b' ' | b'\t' => open.extend(self.text, self.at + line.len()),
                _ => open.begin(self.at, line, self.line),
            };
            if let Err(what) = outcome {
                return Some(Err(self.fail(what)));
            }
            self.at = next;
            self.line += 1;
        }
        (!open.fields.is_empty()).then_some(Ok(Stanza { fields: open.fields, line: open.line }))
    }
}

/// A stanza being read.
struct Open<'a> {
    fields: Vec<Field<'a>>,
    /// Where the value of the last field begins.
    value_at: usize,
    /// One bit per (length, first, last) of the names so far: most new names need no comparison at all.
    seen: u64,
    line: usize,
}

impl<'a> Open<'a> {
    fn new(line: usize) -> Self {
        Self { fields: Vec::new(), value_at: 0, seen: 0, line }
    }

    fn begin(&mut self, at: usize, line: &'a [u8], number: usize) -> Result<(), Fault> {
        let colon = memchr(b':', line).ok_or(Fault::NoColon)?;
        let name = &line[..colon];
        if name.is_empty() || name[0] == b'-' || name[0] == b'#' || !name.iter().all(u8::is_ascii_graphic) {
            return Err(Fault::BadName);
        }
        let name = str::from_utf8(name).map_err(|_| Fault::BadName)?;
        let bit = 1u64 << (fingerprint(name.as_bytes()) % 64);
        if self.seen & bit != 0 && self.fields.iter().any(|field| field.name.eq_ignore_ascii_case(name)) {
            return Err(Fault::Twice(name.to_owned()));
        }
        self.seen |= bit;
        match self.fields.len() {
            0 => {
                self.line = number;
                self.fields.reserve(24);
            }
            MAX_FIELDS => return Err(Fault::ManyFields),
            _ => {}
        }
        let behind = &line[colon + 1..];
        let blanks = behind.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
        let value = &behind[blanks..];
        if memchr(0, value).is_some() {
            return Err(Fault::Nul);
        }
        self.value_at = at + colon + 1 + blanks;
        self.fields.push(Field { name, value });
        Ok(())
    }

    fn extend(&mut self, text: &'a [u8], end: usize) -> Result<(), Fault> {
        let field = self.fields.last_mut().ok_or(Fault::Dangling)?;
        let old = self.value_at + field.value.len();
        if memchr(0, &text[old..end]).is_some() {
            return Err(Fault::Nul);
        }
        field.value = &text[self.value_at..end];
        Ok(())
    }
}

fn fingerprint(name: &[u8]) -> usize {
    let (first, last) = (name.first().copied().unwrap_or(0) | 0x20, name.last().copied().unwrap_or(0) | 0x20);
    name.len().wrapping_mul(31) ^ usize::from(first).wrapping_mul(7) ^ usize::from(last)
}

#[cfg(test)]
mod deb822_tests;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Vec<Stanza<'_>>, StanzaError> {
        stanzas(text.as_bytes(), Form::Machine).collect()
    }

    fn fault(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn values_keep_what_dpkg_keeps() {
        let text =
            "Package: curl\nDepends: libc6 (>= 2.34),  \n zlib1g\nEmpty:\nDescription: tool\n .\n  more\n";
        let stanza = single(text.as_bytes()).unwrap();
        assert_eq!(stanza.get("depends"), Some(&b"libc6 (>= 2.34),  \n zlib1g"[..]));
        assert_eq!(stanza.get("Empty"), Some(&b""[..]));
        assert_eq!(stanza.get("Description"), Some(&b"tool\n .\n  more"[..]));
        let names: Vec<&str> = stanza.fields().iter().map(|field| field.name).collect();
        assert_eq!(names, ["Package", "Depends", "Empty", "Description"]);
        assert_eq!(stanza.require("Package").unwrap(), "curl");
        assert_eq!(stanza.require("Empty").unwrap_err().to_string(), "line 1: field `Empty` is missing");
    }

    #[test]
    fn stanzas_are_separated_by_empty_lines_only() {
        let all = read("\n\nA: 1\n\n\nA: 2\nB: 3").unwrap();
        assert_eq!(all.iter().map(Stanza::line).collect::<Vec<_>>(), [3, 6]);
        assert_eq!(all[1].get("B"), Some(&b"3"[..]));
        assert!(read("").unwrap().is_empty());
        assert_eq!(
            single(b"A: 1\n\nB: 2\n").unwrap_err().to_string(),
            "line 3: expected one stanza, found several"
        );
    }

    #[test]
    fn damage_is_named_with_its_line() {
        assert_eq!(fault("A: 1\nno colon\n"), "line 2: expected `Name: value`");
        assert_eq!(fault(" A: 1\n"), "line 1: a continuation line with nothing to continue");
        assert_eq!(fault("A: 1\n\n b\n"), "line 3: a continuation line with nothing to continue");
        assert_eq!(fault("A: 1\nB: 2\na: 3\n"), "line 3: field `a` is there twice");
        assert_eq!(fault("A: 1\n \nB: 2\n"), "line 2: a line of blanks only");
        assert_eq!(fault("A: x\0y\n"), "line 1: a NUL byte");
        assert_eq!(fault("A: x\n y\0\n"), "line 2: a NUL byte");
        assert_eq!(fault("# comment\nA: 1\n"), "line 1: expected `Name: value`");
        assert_eq!(
            fault("#A: 1\n"),
            "line 1: a field name may hold only visible ASCII and not begin with `-` or `#`"
        );
        assert_eq!(
            fault(": 1\n"),
            "line 1: a field name may hold only visible ASCII and not begin with `-` or `#`"
        );
        assert_eq!(
            fault("Ä: 1\n"),
            "line 1: a field name may hold only visible ASCII and not begin with `-` or `#`"
        );
        let many: Vec<String> = (0..=MAX_FIELDS).map(|n| format!("F{n}: x\n")).collect();
        assert_eq!(fault(&many.concat()), "line 257: the stanza has more than 256 fields");
        assert!(fault(&format!("A: {}\n", "x".repeat(MAX_LINE))).contains("longer than"));
        // Nothing comes after an error.
        let mut broken = stanzas(b"A: 1\nB\n\nC: 3\n", Form::Machine);
        assert!(broken.next().unwrap().is_err());
        assert!(broken.next().is_none());
    }

    #[test]
    fn people_may_comment_and_end_lines_as_they_like() {
        let text = "# mine\r\nTypes: deb\r\nSuites: a\r\n# between\r\n b\r\n \t\r\nTypes: deb-src\r\n";
        let all: Vec<_> = stanzas(text.as_bytes(), Form::Handwritten).map(Result::unwrap).collect();
        assert_eq!(all.len(), 2);
        let suites: Vec<&[u8]> = all[0].field("Suites").unwrap().words().collect();
        assert_eq!(suites, [b"a", b"b"]);
        // A value may begin with `#`; only whole lines are comments.
        let stanza = stanzas(b"A: #1\n", Form::Handwritten).next().unwrap().unwrap();
        assert_eq!(stanza.field("A").unwrap().words().collect::<Vec<_>>(), [b"#1"]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            written in prop::collection::vec(
                prop::collection::btree_map("[A-Z][a-z-]{0,12}", "[!-~][ -~]{0,30}(\n [!-~][ -~]{0,20}){0,3}", 1..20),
                1..6,
            )
        ) {
            let text = written
                .iter()
                .map(|stanza| stanza.iter().map(|(name, value)| format!("{name}: {value}\n")).collect::<Vec<_>>().concat())
                .collect::<Vec<_>>()
                .join("\n");
            // Names that differ in case only are one name.
            prop_assume!(written.iter().all(|stanza| {
                let lower: std::collections::BTreeSet<String> = stanza.keys().map(|name| name.to_lowercase()).collect();
                lower.len() == stanza.len()
            }));
            let read = read(&text).unwrap();
            prop_assert_eq!(read.len(), written.len());
            for (stanza, fields) in read.iter().zip(&written) {
                prop_assert_eq!(stanza.fields().len(), fields.len());
                for (name, value) in fields {
                    prop_assert_eq!(stanza.get(name), Some(value.as_bytes()));
                }
            }
        }

        #[test]
        fn no_bytes_make_it_panic(text in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b' '), Just(b':'), Just(b'#'), any::<u8>()], 0..300)) {
            for form in [Form::Machine, Form::Handwritten] {
                for stanza in stanzas(&text, form).flatten() {
                    prop_assert!(!stanza.fields().is_empty());
                    for field in stanza.fields() {
                        prop_assert!(field.lines().count() >= 1);
                    }
                }
            }
        }
    }
}
