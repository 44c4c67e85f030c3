//! The part of Perl's expressions (`grep -P`) that means the same to the crate `regex`.
//!
//! **Refuses** everything else: what looks around, references, possessive and named things, `\K`, `\Q`, `\h`, flags, braces that
//! count nothing, sets with `[`, `&&`, `--` or `~~` in them, and what is not ASCII.

use super::regex::Translated;

const REFUSED: &str = "this expression of Perl is not evaluated";

/// The expression, where the crate has it as Perl does.
pub(super) fn translate(pattern: &[u8]) -> Result<Translated, String> {
    let refused = || Err(REFUSED.to_owned());
    if !pattern.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
        return refused();
    }
    let text = String::from_utf8_lossy(pattern).into_owned();
    let mut rest = &text[..];
    // Whether something stands before that can be repeated.
    let mut repeatable = false;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[1..];
        match letter {
            '\\' => {
                let Some(escaped) = rest.chars().next() else { return refused() };
                if escaped.is_ascii_alphanumeric() && !"dDwWsSbBtn".contains(escaped) {
                    return refused();
                }
                rest = &rest[1..];
                repeatable = !matches!(escaped, 'b' | 'B');
            }
            '[' => {
                rest = set(rest).ok_or_else(|| REFUSED.to_owned())?;
                repeatable = true;
            }
            '(' => {
                rest = rest.strip_prefix("?:").unwrap_or(rest);
                if rest.starts_with(['?', '*']) {
                    return refused();
                }
                repeatable = false;
            }
            '*' | '+' | '?' | '{' => {
                if !repeatable {
                    return refused();
                }
                if letter == '{' {
                    let Some((count, after)) = rest.split_once('}') else { return refused() };
                    let (least, most) = count.split_once(',').unwrap_or((count, "1"));
                    let number = |text: &str| {
                        !text.is_empty() && text.len() < 4 && text.bytes().all(|byte| byte.is_ascii_digit())
                    };
                    if !number(least) || !most.is_empty() && !number(most) {
                        return refused();
                    }
                    rest = after;
                }
                rest = rest.strip_prefix('?').unwrap_or(rest);
                // `++` is possessive to Perl.
                if rest.starts_with(['*', '+', '?', '{']) {
                    return refused();
                }
            }
            '}' => return refused(),
            '|' | '^' | '$' => repeatable = false,
            _ => repeatable = true,
        }
    }
    Ok(Translated { text, ambiguous: false })
}

/// What follows a set.
fn set(text: &str) -> Option<&str> {
    let mut rest = text.strip_prefix('^').unwrap_or(text);
    // A bracket that stands first is one of the set; the crate reads it so too.
    rest = rest.strip_prefix(']').unwrap_or(rest);
    loop {
        let letter = rest.chars().next()?;
        if ["&&", "--", "~~"].iter().any(|both| rest.starts_with(both)) {
            return None;
        }
        if let Some(class) = rest.strip_prefix("[:") {
            let (name, after) = class.split_once(":]")?;
            let known = [
                "alpha", "digit", "alnum", "upper", "lower", "space", "blank", "punct", "print", "graph",
                "cntrl", "xdigit", "word",
            ];
            if !known.contains(&name) {
                return None;
            }
            rest = after;
            continue;
        }
        rest = &rest[1..];
        match letter {
            ']' => return Some(rest),
            '[' => return None,
            '\\' => {
                let escaped = rest.chars().next()?;
                if escaped.is_ascii_alphanumeric() && !"dDwWsStn".contains(escaped) {
                    return None;
                }
                rest = &rest[1..];
            }
            _ => {}
        }
    }
}
