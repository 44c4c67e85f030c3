//! YAML as it is written: the same bytes for the same value, and the same value in every reader.
//!
//! ```text
//!   mapping    key: value          in the value's own order, two spaces deeper
//!   sequence   - value             as deep as its key
//!   text       plain               letters, digits and / . _ : - where no reader could take it for anything but text
//!              "quoted"            all else, with the escapes that YAML shares with JSON
//!              |                   of several lines, each of them as it is
//! ```
//!
//! **Guarantees**: what YAML 1.1 would take for a truth value, a number, a time, a null, a merge or an anchor is quoted, since clusters' tools
//! read both 1.1 and 1.2. There are no anchors, no tags and no lines that are folded.

use serde::Serialize;
use serde_json::Value;

/// Words that some reader takes for something else than text, in lower case.
const WORDS: [&str; 10] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan"];
/// The longest text that is written without quotes.
const PLAIN_MAX: usize = 120;

/// A document's text, without the line that begins one.
///
/// A value that cannot be a JSON value (a map with keys that are no text) has an empty one; objects are made of none.
pub fn document(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    let mut out = String::new();
    match &value {
        Value::Object(map) if !map.is_empty() => mapping(&mut out, map, 0),
        Value::Array(items) if !items.is_empty() => sequence(&mut out, items, 0),
        other => {
            inline(&mut out, other);
            out.push('\n');
        }
    }
    out
}

fn indent(out: &mut String, depth: usize) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

fn mapping(out: &mut String, map: &serde_json::Map<String, Value>, depth: usize) {
    for (index, (key, value)) in map.iter().enumerate() {
        // The first stands where its parent's dash ends.
        if index > 0 || !out.ends_with("- ") {
            indent(out, depth);
        }
        text(out, key);
        out.push(':');
        after_key(out, value, depth);
    }
}

fn after_key(out: &mut String, value: &Value, depth: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            mapping(out, map, depth + 1);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            sequence(out, items, depth);
        }
        Value::String(lines) if is_block(lines) => block(out, lines, depth + 1),
        other => {
            out.push(' ');
            inline(out, other);
            out.push('\n');
        }
    }
}

fn sequence(out: &mut String, items: &[Value], depth: usize) {
    for item in items {
        if !out.ends_with("- ") {
            indent(out, depth);
        }
        out.push_str("- ");
        match item {
            Value::Object(map) if !map.is_empty() => mapping(out, map, depth + 1),
            Value::Array(items) if !items.is_empty() => sequence(out, items, depth + 1),
            other => {
                inline(out, other);
                out.push('\n');
            }
        }
    }
}

fn inline(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(is) => out.push_str(if *is { "true" } else { "false" }),
        Value::Number(number) => out.push_str(&number.to_string()),
        Value::String(value) => text(out, value),
        Value::Array(_) => out.push_str("[]"),
        Value::Object(_) => out.push_str("{}"),
    }
}

/// Text on one line.
fn text(out: &mut String, text: &str) {
    if is_plain(text) {
        out.push_str(text);
    } else {
        quoted(out, text);
    }
}

/// Whether no reader takes it for anything but this text.
fn is_plain(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
    let fits = |c: char| c.is_ascii_alphanumeric() || "/._:-".contains(c);
    begins
        && text.len() <= PLAIN_MAX
        && text.chars().all(fits)
        && !text.ends_with(':')
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

fn quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if is_shown(c) => out.push(c),
            c if c <= '\u{ff}' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c <= '\u{ffff}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push('"');
}

/// Whether it may stand in a document as it is: what every reader has for printable, and no mark that reorders or hides text.
fn is_shown(c: char) -> bool {
    matches!(c, ' '..='~' | '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{2ff}' | '\u{370}'..='\u{5ff}' | '\u{2010}'..='\u{2027}')
}

/// Whether it can stand as lines of its own: the reader gives back each as it is.
fn is_block(text: &str) -> bool {
    let Some(lines) = text.strip_suffix('\n') else { return false };
    // The first line says how deep all are; an open end would need another mark.
    let first = lines.split('\n').next().unwrap_or_default();
    !first.is_empty()
        && !first.starts_with([' ', '\t'])
        && !lines.ends_with('\n')
        && lines.chars().all(|c| c == '\n' || c == '\t' || is_shown(c))
        && lines.split('\n').all(|line| !line.trim().is_empty() || line.is_empty())
}

fn block(out: &mut String, lines: &str, depth: usize) {
    out.push_str(" |\n");
    for line in lines.strip_suffix('\n').unwrap_or(lines).split('\n') {
        if !line.is_empty() {
            indent(out, depth);
            out.push_str(line);
        }
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Value {
        serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    #[test]
    fn a_document_has_one_form() {
        let value = json!({
            "kind": "X",
            "empty": {}, "none": [], "number": 5, "is": true, "nothing": null,
            "list": ["a", {"b": 1, "c": ["d", ["e", "f"]]}, {}],
            "lines": "first: x\n\n  second\n",
            "deep": {"er": {"est": "no"}},
        });
        let expected = "kind: X\nempty: {}\nnone: []\nnumber: 5\nis: true\nnothing: null\nlist:\n- a\n- b: 1\n  c:\n  - d\n  - - e\n    - f\n- {}\n\
                        lines: |\n  first: x\n\n    second\ndeep:\n  er:\n    est: \"no\"\n";
        assert_eq!(document(&value), expected);
        assert_eq!(read(expected), value);
    }

    #[test]
    fn what_a_reader_would_take_for_something_else_is_quoted() {
        for text in [
            "",
            "no",
            "No",
            "YES",
            "y",
            "N",
            "on",
            "off",
            "True",
            "null",
            "~",
            "1e3",
            "0x1",
            "0o7",
            "010",
            "1_000",
            "12:30:45",
            ".5",
            ".inf",
            "-.INF",
            "2026-11-30",
            "2026-11-30T13:00:00Z",
            "=",
            "<<",
            "*a",
            "&a",
            "!a",
            "@a",
            "`a",
            "%a",
            "- a",
            "?",
            "a:",
            "a: b",
            "a #b",
            "#a",
            "[a]",
            "{a}",
            "a,b",
            " a",
            "a ",
            "\ta",
            "'a'",
            "\"a\"",
            "|",
            ">",
            "---",
            "...",
            "\u{feff}a",
            "a\u{2028}b",
            "a\u{85}b",
            "a\u{202e}b",
            "a\\b",
            "a\rb",
            "\u{1f600}",
        ] {
            let document = document(&json!({ "key": text, text: ["value", text] }));
            assert_eq!(read(&document), json!({ "key": text, text: ["value", text] }), "{document}");
            assert!(document.starts_with("key: \""), "{document}");
        }
        for text in [
            "a",
            "sha256:00",
            "/usr/local/libexec/pinfold/pinfold",
            "app.kubernetes.io/name",
            "RuntimeDefault",
            "nano",
        ] {
            assert_eq!(document(&json!({ "key": text })), format!("key: {text}\n"));
        }
    }

    #[test]
    fn lines_that_a_block_could_change_are_quoted() {
        for text in ["a\nb", " a\nb\n", "\na\n", "a\n\n", "a\n \nb\n", "a\r\nb\n", "a\u{2028}\nb\n", "\n"] {
            let document = document(&json!({ "key": text }));
            assert_eq!(read(&document), json!({ "key": text }), "{document}");
            assert!(document.starts_with("key: \""), "{document}");
        }
        for text in ["a\n", "a\n\tb\n", "a: b # c\n'\"\n", "--- \n...\n"] {
            let document = document(&json!({ "key": { "deeper": text } }));
            assert_eq!(read(&document), json!({ "key": { "deeper": text } }), "{document}");
            assert!(document.contains("deeper: |\n"), "{document}");
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "\\PC{0,20}", lines in "([ -~]{0,10}\n){0,4}", odd in any::<String>()) {
            let value = json!({ "a": text, "b": lines, "c": [odd.clone(), { "d": lines }], odd: 1 });
            prop_assert_eq!(read(&document(&value)), value);
        }
    }
}
