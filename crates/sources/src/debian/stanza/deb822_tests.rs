//! Odd forms of deb822(5) and Debian Policy 5.1: what is lawful is kept to the byte; what readers could take in two ways is
//! refused, for then nobody knows what was signed.

use super::*;

fn shown(text: &[u8], form: Form) -> Result<Vec<Vec<(String, String)>>, String> {
    let string = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    stanzas(text, form)
        .map(|stanza| {
            let stanza = stanza.map_err(|error| error.to_string())?;
            Ok(stanza.fields().iter().map(|field| (field.name.to_owned(), string(field.value))).collect())
        })
        .collect()
}

#[test]
fn every_byte_of_a_value_is_kept_and_none_invented() {
    for (text, value) in [
        ("A: x", "x"),
        ("A:x", "x"),
        ("A:\t x", "x"),
        ("A: x  ", "x  "),
        ("A:", ""),
        ("A: ", ""),
        ("A: :", ":"),
        ("A: B: C", "B: C"),
        ("A: # x", "# x"),
        ("A: x\r", "x\r"),
        ("A: x\n y", "x\n y"),
        ("A: x\n\ty", "x\n\ty"),
        ("A: x\n  y  \n .", "x\n  y  \n ."),
        ("A:\n y", "\n y"),
        ("A: x\n B: y", "x\n B: y"),
        ("A: x\n #y", "x\n #y"),
        ("A: \u{e9}\u{1}\u{7f}", "\u{e9}\u{1}\u{7f}"),
    ] {
        for end in ["", "\n", "\n\n", "\n\n\n"] {
            let found = shown(format!("{text}{end}").as_bytes(), Form::Machine).unwrap();
            assert_eq!(found, [[("A".to_owned(), value.to_owned())]], "{text:?}{end:?}");
        }
    }
}

#[test]
fn lines_that_two_readers_would_read_differently_are_refused() {
    for (text, line, reason) in [
        // A line of blanks ends a stanza for some and goes on with a value for others.
        (&b"A: 1\n \nB: 2\n"[..], 2, "blanks only"),
        (b"A: 1\n\t\nB: 2\n", 2, "blanks only"),
        (b"\n \n", 2, "blanks only"),
        (b"A: 1\n\r\nB: 2\n", 2, "expected `Name: value`"),
        // The first or the last of two equal fields.
        (b"Package: a\nVersion: 1\nPackage: b\n", 3, "`Package` is there twice"),
        (b"Package: a\npackage: b\n", 2, "`package` is there twice"),
        (b"A: 1\nB: 1\nC: 1\nb: 2\n", 4, "`b` is there twice"),
        // Comments are for people.
        (b"#A: 1\n", 1, "field name"),
        (b"A: 1\n# c\n", 2, "expected `Name: value`"),
        (b"A: 1\n#c: d\n", 2, "field name"),
        (b" A: 1\n", 1, "nothing to continue"),
        (b"A: 1\n\n B: 2\n", 3, "nothing to continue"),
        (b"A\n", 1, "expected `Name: value`"),
        (b"A B: 1\n", 1, "field name"),
        (b"A\t: 1\n", 1, "field name"),
        (b"A : 1\n", 1, "field name"),
        (b": 1\n", 1, "field name"),
        (b"-A: 1\n", 1, "field name"),
        (b"\xef\xbb\xbfA: 1\n", 1, "field name"),
        (b"A: 1\0\n", 1, "NUL"),
        (b"A\0: 1\n", 1, "field name"),
        (b"A: 1\n 2\0\n", 2, "NUL"),
        (b"A: 1\n\0\n", 2, "expected `Name: value`"),
        (b"-----BEGIN PGP SIGNED MESSAGE-----\nA: 1\n", 1, "expected `Name: value`"),
    ] {
        let error = shown(text, Form::Machine).unwrap_err();
        assert!(error.starts_with(&format!("line {line}: ")) && error.contains(reason), "{text:?}: {error}");
    }
}

#[test]
fn people_may_write_what_machines_may_not_and_no_more() {
    // sources.list(5), deb822 style: comments anywhere, also inside a value; blanks separate.
    let text = b"# top\n\n#Types: off\nTypes: deb\n# inside\n deb-src\nURIs: http://h/ # no comment\n \nTypes: x\r\n\r\n#end";
    let all: Vec<Stanza<'_>> = stanzas(text, Form::Handwritten).map(Result::unwrap).collect();
    let words = |number: usize, name: &str| -> Vec<String> {
        let words = all[number].field(name).unwrap().words();
        words.map(|word| String::from_utf8(word.to_vec()).unwrap()).collect()
    };
    assert_eq!((all.len(), all[0].line(), all[1].line()), (2, 4, 9));
    assert_eq!(words(0, "types"), ["deb", "deb-src"]);
    assert_eq!(words(0, "URIs"), ["http://h/", "#", "no", "comment"]);
    assert_eq!(words(1, "Types"), ["x"]);
    for refused in ["no colon\n", " A: 1\n", "A: 1\nA: 2\n", "A b: 1\n", "A: \0\n", "# c\n B: 1\n"] {
        assert!(shown(refused.as_bytes(), Form::Handwritten).is_err(), "{refused:?}");
    }
}

#[test]
fn limits_hold_at_their_last_byte() {
    let line = |length: usize| format!("A: {}\n", "x".repeat(length - 3));
    assert!(shown(line(MAX_LINE).as_bytes(), Form::Machine).is_ok());
    assert!(shown(line(MAX_LINE + 1).as_bytes(), Form::Machine).unwrap_err().contains("longer than 1048576"));
    let fields = |count: usize| (0..count).map(|n| format!("F{n}: x\n")).collect::<Vec<_>>().concat();
    assert_eq!(shown(fields(MAX_FIELDS).as_bytes(), Form::Machine).unwrap()[0].len(), MAX_FIELDS);
    assert!(shown(fields(MAX_FIELDS + 1).as_bytes(), Form::Machine).unwrap_err().starts_with("line 257: "));
    // One stanza of many lines; two stanzas may have as much each.
    let long = format!("A: x\n{}", " y\n".repeat(MAX_STANZA / 3));
    assert!(shown(long.as_bytes(), Form::Machine).unwrap_err().contains("stanza is longer"));
    let half = format!("A: x\n{}\n", " y\n".repeat(MAX_STANZA / 3 - 10));
    assert_eq!(shown(half.repeat(2).as_bytes(), Form::Machine).unwrap().len(), 2);
}

#[test]
fn a_value_is_asked_for_by_its_name_in_any_case_and_must_be_text() {
    let stanza = single(b"Package:  curl \nBad: \xff\nEmpty: \n").unwrap();
    assert_eq!(stanza.text("PACKAGE"), Ok(Some("curl")));
    assert_eq!(stanza.text("Nothing"), Ok(None));
    for (name, error) in [
        ("Bad", "line 1: field `Bad` is not UTF-8"),
        ("Empty", "line 1: field `Empty` is missing"),
        ("Nothing", "line 1: field `Nothing` is missing"),
    ] {
        assert_eq!(stanza.require(name).unwrap_err().to_string(), error);
    }
    for (text, error) in [
        (&b""[..], "line 1: expected one stanza, found none"),
        (b"\n\n", "line 1: expected one stanza, found none"),
        (b"A: 1\n\n\nB: 2\n", "line 4: expected one stanza, found several"),
        (b"A: 1\n\nB\n", "line 3: expected `Name: value`"),
    ] {
        assert_eq!(single(text).unwrap_err().to_string(), error);
    }
}
