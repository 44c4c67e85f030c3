//! Regular expressions as Go's `regexp` reads them (RE2's syntax), which is what people have written for images. They are
//! translated to those of the `regex` crate, which has the same power and other signs for a part of it.
//!
//! | Go | here |
//! |---|---|
//! | `\d` `\w` `\s` `\b` are ASCII | likewise, though the crate's are Unicode's |
//! | `{` that begins no count is itself | `\{` |
//! | `\<` and other escaped signs are themselves | their code |
//! | `\Q…\E` | each letter escaped |
//! | `[` `&` `~` `-` in a class are themselves | escaped: the crate has nested classes and sets |
//!
//! **Guarantees**: time is linear in the text. **Refuses** what Go refuses, and programs beyond [`SIZE`] bytes.

use std::fmt;

use regex::bytes::Regex;
use regex::bytes::RegexBuilder;
use serde::Serialize;
use serde::Serializer;

/// Bytes that a compiled expression may take.
const SIZE: usize = 4 << 20;
/// Letters of an expression.
const LENGTH: usize = 16 << 10;
/// Highest count in braces that Go takes.
const COUNT: u32 = 1000;

/// An expression, compiled.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    /// Compiles it; the error is a sentence.
    pub fn new(text: &str) -> Result<Self, String> {
        let translated = translate(text)?;
        let built = RegexBuilder::new(&translated).size_limit(SIZE).dfa_size_limit(SIZE).octal(true).build();
        let regex = built.map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
            // Of several lines the last says it; those before it draw.
            error => {
                error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
            }
        })?;
        Ok(Self { text: text.to_owned(), regex })
    }

    /// Whether it is found anywhere in `text`.
    pub fn is_in(&self, text: &[u8]) -> bool {
        self.regex.is_match(text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// What a count could stand behind.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Something,
    Count,
}

/// Appends a letter as itself.
fn literal(out: &mut String, letter: char) {
    if letter.is_ascii_punctuation() || letter.is_ascii_control() || letter == ' ' {
        out.push_str(&format!("\\x{{{:X}}}", u32::from(letter)));
    } else {
        out.push(letter);
    }
}

/// The count at the start of `rest`, `{n}`, `{n,}` or `{n,m}`: its length.
fn count(rest: &str) -> Result<Option<usize>, String> {
    let Some(end) = rest.find('}') else { return Ok(None) };
    let inner = &rest[1..end];
    let (low, high) = inner.split_once(',').map_or((inner, None), |(low, high)| (low, Some(high)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // Go takes no leading zero but zero's.
    let number = |text: &str| digits(text) && (text.len() == 1 || !text.starts_with('0'));
    if !number(low) || !high.is_none_or(|high| high.is_empty() || number(high)) {
        return Ok(None);
    }
    let value = |text: &str| text.parse::<u32>().ok().filter(|value| *value <= COUNT);
    let least = value(low).ok_or_else(|| format!("`{{{inner}}}` counts beyond {COUNT}"))?;
    let most = match high {
        None | Some("") => least,
        Some(high) => value(high).ok_or_else(|| format!("`{{{inner}}}` counts beyond {COUNT}"))?,
    };
    if most < least {
        return Err(format!("`{{{inner}}}` counts backwards"));
    }
    Ok(Some(end + 1))
}

/// An escape at the start of `rest`, outside of a class or in one: its length.
fn escape(rest: &str, in_class: bool, out: &mut String) -> Result<usize, String> {
    let mut letters = rest.chars();
    letters.next();
    let Some(letter) = letters.next() else { return Err("it ends in `\\`".into()) };
    let two = 1 + letter.len_utf8();
    match letter {
        'd' => out.push_str(if in_class { "0-9" } else { "[0-9]" }),
        'D' => out.push_str("[^0-9]"),
        'w' => out.push_str(if in_class { "0-9A-Za-z_" } else { "[0-9A-Za-z_]" }),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        's' => out.push_str(if in_class { r"\t\n\x0C\r " } else { r"[\t\n\x0C\r ]" }),
        'S' => out.push_str(r"[^\t\n\x0C\r ]"),
        'b' if !in_class => out.push_str(r"(?-u:\b)"),
        'B' if !in_class => out.push_str(r"(?-u:\B)"),
        'A' | 'z' if !in_class => {
            out.push('\\');
            out.push(letter);
        }
        'a' | 'f' | 't' | 'n' | 'r' | 'v' => {
            out.push('\\');
            out.push(letter);
        }
        'p' | 'P' | 'x' => {
            let tail = &rest[two..];
            let length = if tail.starts_with('{') {
                tail.find('}').map(|end| end + 1)
            } else {
                let wanted = if letter == 'x' { 2 } else { 1 };
                tail.char_indices().nth(wanted).map_or(Some(tail.len()), |(end, _)| Some(end))
            };
            let length = length.ok_or_else(|| format!("`\\{letter}{{` has no end"))?;
            out.push_str(&rest[..two + length]);
            return Ok(two + length);
        }
        '0'..='7' => {
            let digits = rest[1..].bytes().take(3).take_while(|byte| (b'0'..=b'7').contains(byte)).count();
            // One digit but zero would be a reference back.
            if digits == 1 && letter != '0' {
                return Err(format!("`\\{letter}` refers back, which is not possible"));
            }
            let value = u32::from_str_radix(&rest[1..=digits], 8).unwrap_or_default();
            out.push_str(&format!("\\x{{{value:X}}}"));
            return Ok(1 + digits);
        }
        letter if letter.is_ascii_punctuation() => literal(out, letter),
        _ => return Err(format!("`\\{letter}` is no escape")),
    }
    Ok(two)
}

/// One letter of a class at the start of `rest`, and its length; `None` where a set stands there.
fn member(rest: &str) -> Result<Option<(char, usize)>, String> {
    let Some(first) = rest.chars().next() else { return Err("a `[` has no `]`".into()) };
    if first != '\\' {
        return Ok(Some((first, first.len_utf8())));
    }
    if rest[1..].starts_with(['d', 'D', 'w', 'W', 's', 'S', 'p', 'P']) {
        return Ok(None);
    }
    let mut written = String::new();
    let length = escape(rest, true, &mut written)?;
    // What `escape` writes for a letter is the letter, its name, or its code.
    let code = |digits: &str| u32::from_str_radix(digits, 16).ok().and_then(char::from_u32);
    let letter = match written.as_bytes() {
        [b'\\', b'x', b'{', ..] => code(&written[3..written.len() - 1]),
        [b'\\', b'x', ..] => code(&written[2..]),
        b"\\a" => Some('\x07'),
        b"\\f" => Some('\x0C'),
        b"\\t" => Some('\t'),
        b"\\n" => Some('\n'),
        b"\\r" => Some('\r'),
        b"\\v" => Some('\x0B'),
        _ => None,
    };
    letter.map(|letter| Some((letter, length))).ok_or_else(|| format!("`{}` is no letter", &rest[..length]))
}

/// A class at the start of `rest`: its length.
fn class(rest: &str, out: &mut String) -> Result<usize, String> {
    out.push('[');
    let mut at = 1;
    if rest[at..].starts_with('^') {
        out.push('^');
        at += 1;
    }
    let mut first = true;
    while first || !rest[at..].starts_with(']') {
        first = false;
        let tail = &rest[at..];
        if let Some(end) = tail.find(":]").filter(|_| tail.starts_with("[:")) {
            out.push_str(&tail[..end + 2]);
            at += end + 2;
            continue;
        }
        let Some((low, length)) = member(tail)? else {
            at += escape(tail, true, out)?;
            continue;
        };
        at += length;
        literal(out, low);
        let tail = &rest[at..];
        if tail.starts_with('-') && !tail.starts_with("-]") && tail.len() > 1 {
            let (high, length) = member(&tail[1..])?.ok_or("a range in a class ends in a set")?;
            if high < low {
                return Err(format!("`{low}-{high}` counts backwards"));
            }
            out.push('-');
            literal(out, high);
            at += 1 + length;
        }
    }
    out.push(']');
    Ok(at + 1)
}

/// The opening of a group at the start of `rest`: its length. Go knows the flags `imsU`, and names.
fn group(rest: &str, out: &mut String) -> Result<usize, String> {
    if !rest.starts_with("(?") {
        out.push('(');
        return Ok(1);
    }
    let tail = &rest[2..];
    if tail.starts_with("P<") || (tail.starts_with('<') && !tail.starts_with("<=") && !tail.starts_with("<!"))
    {
        let end = tail.find('>').ok_or("a group's name has no `>`")?;
        out.push_str(&rest[..=2 + end]);
        return Ok(2 + end + 1);
    }
    let end = tail.find([':', ')']).ok_or("`(?` has no end")?;
    if tail[..end].is_empty() && tail.starts_with(')')
        || !tail[..end].chars().all(|flag| "imsU-".contains(flag))
    {
        return Err(format!("`(?{}` is no group", &tail[..end]));
    }
    out.push_str(&rest[..=2 + end]);
    Ok(2 + end + 1)
}

fn translate(text: &str) -> Result<String, String> {
    if text.len() > LENGTH {
        return Err(format!("it is longer than {LENGTH} bytes"));
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut before = Before::Nothing;
    let mut at = 0;
    while let Some(letter) = text[at..].chars().next() {
        let rest = &text[at..];
        let was = std::mem::replace(&mut before, Before::Something);
        at += match letter {
            '\\' if rest.starts_with("\\Q") => {
                let quoted = rest[2..].split_once("\\E").map_or(&rest[2..], |(quoted, _)| quoted);
                quoted.chars().for_each(|letter| literal(&mut out, letter));
                if quoted.is_empty() {
                    before = was;
                }
                (2 + quoted.len() + 2).min(rest.len())
            }
            '\\' => escape(rest, false, &mut out)?,
            '[' => class(rest, &mut out)?,
            '(' => {
                let length = group(rest, &mut out)?;
                // Flags alone are no group that could be counted.
                before = Before::Nothing;
                length
            }
            '|' => {
                out.push('|');
                before = Before::Nothing;
                1
            }
            '*' | '+' | '?' | '{' => {
                let length = if letter == '{' { count(rest)? } else { Some(1) };
                let Some(mut length) = length else {
                    out.push_str("\\{");
                    at += 1;
                    continue;
                };
                match was {
                    Before::Nothing => return Err(format!("`{letter}` stands behind nothing")),
                    Before::Count => return Err(format!("`{letter}` stands behind another count")),
                    Before::Something => {}
                }
                if rest[length..].starts_with('?') {
                    length += 1;
                }
                out.push_str(&rest[..length]);
                before = Before::Count;
                length
            }
            _ => {
                out.push(letter);
                letter.len_utf8()
            }
        };
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each as Go 1.19's `regexp` answers: pattern, text, whether it matches; `None` where it does not compile.
    #[test]
    fn expressions_match_what_go_matches() {
        for (pattern, text, expected) in [
            ("^go version go1", "go version go1.19\n", Some(true)),
            ("1.19$", "go1.19\n", Some(false)),
            ("(?m)1.19$", "go1.19\n", Some(true)),
            (r#"{"private": true}"#, "{\"private\": true}", Some(true)),
            ("a{,3}", "a{,3}", Some(true)),
            ("a{2}", "aa", Some(true)),
            ("a{2,1}", "aa", None),
            ("a{1001}", "", None),
            ("a{02}", "a{02}", Some(true)),
            ("a**", "a", None),
            ("a*?", "a", Some(true)),
            ("*a", "a", None),
            ("(*a)", "a", None),
            ("a|*", "a", None),
            ("^*", "a", Some(true)),
            (r"\d", "٣", Some(false)),
            (r"\w", "ä", Some(false)),
            (r"\bä", "ä", Some(false)),
            (r"^\s$", "\u{a0}", Some(false)),
            (r"^\s$", "\u{b}", Some(false)),
            ("(?i)ÄPFEL", "äpfel", Some(true)),
            (r"\pL", "ä", Some(true)),
            (r"\p{Greek}+", "λ", Some(true)),
            (r"\p{Nope}", "", None),
            ("^.{1}$", "ä", Some(true)),
            (r"\<x\>", "<x>", Some(true)),
            (r"\Qa.b*\E+", "a.b**", Some(true)),
            (r"\Qa.b", "axb", Some(false)),
            ("[[]", "[", Some(true)),
            ("[a&&b]", "&", Some(true)),
            ("[a--]", "-", None),
            ("[+--]", ",", Some(true)),
            ("^[a-z-9]+$", "b-9", Some(true)),
            (r"[\n-a]", "A", Some(true)),
            ("[~~x]", "~", Some(true)),
            ("[]a]", "]", Some(true)),
            ("[^]a]", "]", Some(false)),
            ("[a-]", "-", Some(true)),
            (r"[\d.]+$", "1.2", Some(true)),
            (r"[^\W]", "-", Some(false)),
            ("[[:alpha:]]", "x", Some(true)),
            ("[a", "", None),
            ("(a", "", None),
            ("a)", "", None),
            ("a]", "a]", Some(true)),
            ("a}", "a}", Some(true)),
            (r"\1", "", None),
            (r"\012", "\n", Some(true)),
            (r"\x41", "A", Some(true)),
            (r"\x{1F600}", "😀", Some(true)),
            (r"\y", "", None),
            (r"\", "", None),
            ("(?P<n>a)", "a", Some(true)),
            ("(?=a)", "", None),
            ("(?<=a)", "", None),
            ("(?x) a", "", None),
            ("(?U)a+", "aa", Some(true)),
            ("a.b", "a\nb", Some(false)),
            ("(?s)a.b", "a\nb", Some(true)),
            ("", "anything", Some(true)),
        ] {
            let found = Pattern::new(pattern).ok().map(|pattern| pattern.is_in(text.as_bytes()));
            assert_eq!(found, expected, "{pattern}");
        }
    }

    #[test]
    fn what_is_too_large_is_refused() {
        assert!(Pattern::new(&"a".repeat(LENGTH + 1)).is_err());
        assert!(Pattern::new("(((a{1000}){1000}){1000})").is_err());
    }
}
