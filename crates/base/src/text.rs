//! Text from outside on its way to a person's terminal: names, paths, addresses, what servers and images say.
//!
//! **Guarantees**: a [`Shown`] is one line of characters that are seen where they stand. It can only be made by escaping, so
//! whatever takes a [`Shown`] (tables, errors, notes, questions) cannot be handed anything else:
//!
//! ```text
//!   \n \r \t   as these two characters                     \x1b \x00   other control characters below 0x80
//!   \x9b       a byte that is no UTF-8                     \u{9b}      everything else that is not seen:
//!                controls of C1, of direction (UAX #9), of format; separators of lines and paragraphs; blanks other than
//!                the blank; tags, variation selectors, fillers (Default_Ignorable_Code_Point); what has no or a private
//!                meaning; marks that would stand on what is ours, or pile up
//! ```
//!
//! A backslash stays one: what is shown is for reading. What a person is to paste into a shell is made by [`word`], and JSON,
//! which keeps the exact text, by [`json`].
//!
//! **Refuses**: nothing. Any bytes can be shown.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;

use unicode_width::UnicodeWidthChar as _;
use unicode_width::UnicodeWidthStr as _;

/// Marks that may stand on one character: more than any script needs, and too few to cover the lines above.
const MARKS_MAX: usize = 4;

/// One line of text that shows what it is made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shown(String);

impl Shown {
    /// Escapes what is not seen.
    pub fn new(text: &str) -> Self {
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return Self(text.to_owned());
        }
        let mut shown = String::with_capacity(text.len() + 16);
        let mut marks = MARKS_MAX;
        for c in text.chars() {
            if is_hidden(c) {
                escape(&mut shown, c);
                marks = MARKS_MAX;
            } else if c.width() == Some(0) {
                if marks == MARKS_MAX {
                    escape(&mut shown, c);
                } else {
                    marks += 1;
                    shown.push(c);
                }
            } else {
                marks = 0;
                shown.push(c);
            }
        }
        Self(shown)
    }

    /// What a value says of itself.
    pub fn of(value: &(impl fmt::Display + ?Sized)) -> Self {
        Self::new(&value.to_string())
    }

    /// Bytes that should be UTF-8.
    pub fn bytes(bytes: &[u8]) -> Self {
        let mut shown = String::new();
        for chunk in bytes.utf8_chunks() {
            shown.push_str(&Self::new(chunk.valid()).0);
            for byte in chunk.invalid() {
                let _ = write!(shown, "\\x{byte:02x}");
            }
        }
        Self(shown)
    }

    /// The same in at most this many columns: the middle gives way, since names differ at both ends.
    #[must_use]
    pub fn within(self, columns: usize) -> Self {
        if self.columns() <= columns {
            return self;
        }
        let Some(kept) = columns.checked_sub(1) else { return Self::default() };
        let end = fitting(self.0.chars().rev(), kept / 2).collect::<Vec<_>>();
        let start = fitting(self.0.chars(), kept - kept / 2);
        // A mark at the cut would stand on the ellipsis.
        let end = end.into_iter().rev().skip_while(|c| c.width() == Some(0));
        Self(start.chain(['…']).chain(end).collect())
    }

    /// The columns that it takes on a terminal.
    pub fn columns(&self) -> usize {
        self.0.width()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The characters that fit into `columns`.
fn fitting(chars: impl Iterator<Item = char>, mut columns: usize) -> impl Iterator<Item = char> {
    chars.take_while(move |c| {
        let left = columns.checked_sub(c.width().unwrap_or_default());
        columns = left.unwrap_or_default();
        left.is_some()
    })
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Shown {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Shown {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl From<&String> for Shown {
    fn from(text: &String) -> Self {
        Self::new(text)
    }
}

impl From<String> for Shown {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<&OsStr> for Shown {
    fn from(text: &OsStr) -> Self {
        Self::bytes(text.as_bytes())
    }
}

impl From<&Path> for Shown {
    fn from(path: &Path) -> Self {
        Self::bytes(path.as_os_str().as_bytes())
    }
}

impl From<&PathBuf> for Shown {
    fn from(path: &PathBuf) -> Self {
        Self::from(path.as_path())
    }
}

/// `format!` for one line that is shown: everything in it is escaped.
#[macro_export]
macro_rules! shown {
    ($($arguments:tt)*) => {
        $crate::text::Shown::of(&::std::format_args!($($arguments)*))
    };
}

fn escape(shown: &mut String, c: char) {
    let _ = match c {
        '\n' => shown.write_str("\\n"),
        '\r' => shown.write_str("\\r"),
        '\t' => shown.write_str("\\t"),
        '\0'..='\x7f' => write!(shown, "\\x{:02x}", u32::from(c)),
        _ => write!(shown, "\\u{{{:x}}}", u32::from(c)),
    };
}

/// Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties, without those that are Cf as well; and the blank of Braille,
/// which has a width and no dots.
const IGNORED: [RangeInclusive<char>; 11] = [
    '\u{34f}'..='\u{34f}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{2065}'..='\u{2065}',
    '\u{2800}'..='\u{2800}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{fff0}'..='\u{fff8}',
    '\u{e0000}'..='\u{e0fff}',
];

/// Whether a character is not seen where it stands, or acts instead of being seen.
pub fn is_hidden(c: char) -> bool {
    match c {
        ' '..='~' => false,
        '\0'..='\u{9f}' => true,
        _ if IGNORED.iter().any(|range| range.contains(&c)) => true,
        // The standard library knows the categories that are not printed (Cc Cf Cn Co Cs Zl Zp, Zs but the blank). After another
        // character, because it escapes a mark that has nothing to stand on, too.
        _ => {
            let mut buffer = [b'a'; 5];
            let length = 1 + c.encode_utf8(&mut buffer[1..]).len();
            std::str::from_utf8(&buffer[..length]).is_ok_and(|pair| pair.escape_debug().nth(2).is_some())
        }
    }
}

/// One word of a command that a person is to paste into a shell: as it is where that is safe, else quoted. It is seen whole, and
/// the shell gives exactly these bytes to the program (`$'…'` of POSIX.1-2024 where some are not seen).
pub fn word(text: impl AsRef<OsStr>) -> Shown {
    let bytes = text.as_ref().as_bytes();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./:@%+,".contains(byte);
    let shown = Shown::bytes(bytes);
    if !bytes.is_empty() && bytes.iter().all(plain) {
        return shown;
    }
    if shown.0.as_bytes() == bytes {
        return Shown(format!("'{}'", shown.0.replace('\'', "'\\''")));
    }
    let mut quoted = String::from("$'");
    for &byte in bytes {
        let _ = match byte {
            b'\'' | b'\\' => write!(quoted, "\\{}", char::from(byte)),
            b' '..=b'~' => write!(quoted, "{}", char::from(byte)),
            // In octal, whose length every shell agrees on.
            _ => write!(quoted, "\\{byte:03o}"),
        };
    }
    quoted.push('\'');
    Shown(quoted)
}

/// A key of TOML as it must be written: `libssl3` as it is, `"libglib2.0-0"` and `"@scope/name"` in quotes (a bare key has
/// letters, digits, `_` and `-` only).
pub fn toml_key(key: &str) -> Shown {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    if !key.is_empty() && key.bytes().all(bare) { Shown(key.to_owned()) } else { toml_string(key) }
}

/// A basic string of TOML, in which everything is seen: whoever pastes it writes exactly `text`.
pub fn toml_string(text: &str) -> Shown {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        let _ = match c {
            '"' | '\\' => write!(quoted, "\\{c}"),
            c if is_hidden(c) || c.width() == Some(0) => match u32::from(c) {
                code @ 0..=0xffff => write!(quoted, "\\u{code:04x}"),
                code => write!(quoted, "\\U{code:08x}"),
            },
            c => write!(quoted, "{c}"),
        };
    }
    quoted.push('"');
    Shown(quoted)
}

/// The candidate that `word` was most likely meant to be: the nearest of those that few letters make of it (one, and another
/// for every four; two that changed places count as one), the first of equals.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    let most = (1 + length / 4).min(length.saturating_sub(1));
    let apart = candidates.into_iter().map(|candidate| (self::apart(word, candidate), candidate));
    apart
        .filter(|(apart, _)| (1..=most).contains(apart))
        .min_by_key(|(apart, _)| *apart)
        .map(|(_, near)| near)
}

/// How many letters must be put in, taken out, exchanged, or swapped with their neighbour to make one of the other (optimal string
/// alignment).
pub fn apart(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows = vec![(0..=other.len()).collect::<Vec<_>>()];
    for i in 1..=one.len() {
        let mut row = vec![i];
        for j in 1..=other.len() {
            let exchanged = rows[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
            let mut least = exchanged.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

/// The same JSON, of which nothing is hidden: such characters stand only in strings, where `\u202e` means the same.
pub fn json(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c != '\n' && is_hidden(c)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 64);
    for c in text.chars() {
        if c != '\n' && is_hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests;
