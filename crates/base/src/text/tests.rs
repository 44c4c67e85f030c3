//! What is hidden according to Unicode's own lists, and what shells make of a quoted word.

use std::os::unix::ffi::OsStringExt as _;

use proptest::prelude::*;

use super::*;

#[test]
fn what_is_not_seen_is_written_out() {
    for (text, shown) in [
        ("plain text, Größe, 日本語, שלום, 👍", "plain text, Größe, 日本語, שלום, 👍"),
        ("", ""),
        ("\x1b[2J\x1b]0;title\x07", "\\x1b[2J\\x1b]0;title\\x07"),
        ("a\nhint: run this", "a\\nhint: run this"),
        ("a\r\tb\0\x7f", "a\\r\\tb\\x00\\x7f"),
        ("\u{9b}2J\u{85}\u{90}", "\\u{9b}2J\\u{85}\\u{90}"),
        ("gpj\u{202e}exe.", "gpj\\u{202e}exe."),
        ("\u{2066}a\u{2069}\u{200e}\u{61c}", "\\u{2066}a\\u{2069}\\u{200e}\\u{61c}"),
        ("a\u{200b}\u{200c}\u{200d}\u{2060}\u{feff}b", "a\\u{200b}\\u{200c}\\u{200d}\\u{2060}\\u{feff}b"),
        ("so\u{ad}ft", "so\\u{ad}ft"),
        ("a\u{2028}b\u{2029}c", "a\\u{2028}b\\u{2029}c"),
        ("a\u{a0}b\u{3000}c\u{2003}", "a\\u{a0}b\\u{3000}c\\u{2003}"),
        ("x\u{e0041}\u{e007f}", "x\\u{e0041}\\u{e007f}"),
        ("❤\u{fe0f}\u{e0100}", "❤\\u{fe0f}\\u{e0100}"),
        ("\u{3164}\u{115f}\u{ffa0}\u{2800}", "\\u{3164}\\u{115f}\\u{ffa0}\\u{2800}"),
        ("\u{fff9}a\u{fffa}", "\\u{fff9}a\\u{fffa}"),
        ("\u{e000}\u{10ffff}\u{378}", "\\u{e000}\\u{10ffff}\\u{378}"),
        ("e\u{301}", "e\u{301}"),
        ("\u{301}e", "\\u{301}e"),
        ("a\u{202e}\u{301}", "a\\u{202e}\\u{301}"),
        ("C:\\x1b", "C:\\x1b"),
    ] {
        assert_eq!(Shown::new(text).as_str(), shown, "{text:?}");
    }
}

#[test]
fn marks_do_not_pile_up() {
    let shown = Shown::new(&format!("a{}b", "\u{301}".repeat(6)));
    assert_eq!(shown.as_str(), "a\u{301}\u{301}\u{301}\u{301}\\u{301}\\u{301}b");
}

#[test]
fn bytes_that_are_no_text_are_told_from_characters() {
    assert_eq!(Shown::bytes(b"caf\xe9 \xff\x9b2J \xc2\x9b").as_str(), "caf\\xe9 \\xff\\x9b2J \\u{9b}");
    // A surrogate, and the overlong form of a separator.
    assert_eq!(Shown::bytes(b"\xed\xa0\x80\xc0\xaf").as_str(), "\\xed\\xa0\\x80\\xc0\\xaf");
    assert_eq!(Shown::from(Path::new(OsStr::from_bytes(b"/a\n\xffb"))).as_str(), "/a\\n\\xffb");
}

/// Ranges of UnicodeData.txt, 15.0: general categories Cc, Cf, Zl, Zp, and Zs without the blank.
const NOT_PRINTED: &[(u32, u32)] = &[
    (0x00, 0x1f),
    (0x7f, 0xa0),
    (0xad, 0xad),
    (0x600, 0x605),
    (0x61c, 0x61c),
    (0x6dd, 0x6dd),
    (0x70f, 0x70f),
    (0x890, 0x891),
    (0x8e2, 0x8e2),
    (0x1680, 0x1680),
    (0x180e, 0x180e),
    (0x2000, 0x200f),
    (0x2028, 0x202f),
    (0x205f, 0x2064),
    (0x2066, 0x206f),
    (0x3000, 0x3000),
    (0xfeff, 0xfeff),
    (0xfff9, 0xfffb),
    (0x110bd, 0x110bd),
    (0x110cd, 0x110cd),
    (0x13430, 0x1343f),
    (0x1bca0, 0x1bca3),
    (0x1d173, 0x1d17a),
    (0xe0001, 0xe0001),
    (0xe0020, 0xe007f),
];

/// Default_Ignorable_Code_Point of DerivedCoreProperties.txt, 15.0.
const IGNORABLE: &[(u32, u32)] = &[
    (0xad, 0xad),
    (0x34f, 0x34f),
    (0x61c, 0x61c),
    (0x115f, 0x1160),
    (0x17b4, 0x17b5),
    (0x180b, 0x180f),
    (0x200b, 0x200f),
    (0x202a, 0x202e),
    (0x2060, 0x206f),
    (0x3164, 0x3164),
    (0xfe00, 0xfe0f),
    (0xfeff, 0xfeff),
    (0xffa0, 0xffa0),
    (0xfff0, 0xfff8),
    (0x1bca0, 0x1bca3),
    (0x1d173, 0x1d17a),
    (0xe0000, 0xe0fff),
];

#[test]
fn everything_that_unicode_does_not_print_or_ignores_is_hidden() {
    for (first, last) in NOT_PRINTED.iter().chain(IGNORABLE) {
        for c in (*first..=*last).filter_map(char::from_u32) {
            assert!(is_hidden(c), "{c:?}");
        }
    }
}

/// The negative control: letters, digits, signs and marks of many scripts are not hidden.
#[test]
fn what_people_write_is_not_hidden() {
    for (first, last) in [
        (0x20, 0x7e),
        (0xa1, 0xac),
        (0xae, 0x34e),
        (0x5d0, 0x5ea),
        (0x620, 0x6dc),
        (0x905, 0x939),
        (0x3041, 0x3096),
        (0x4e00, 0x9fff),
        (0xac00, 0xd7a3),
        (0x1f600, 0x1f64f),
    ] {
        for c in (first..=last).filter_map(char::from_u32) {
            assert!(!is_hidden(c), "{c:?}");
        }
    }
}

#[test]
fn a_cell_is_measured_in_columns_and_gives_way_in_the_middle() {
    for (text, columns, shown) in [
        ("short", 5, "short"),
        ("abcdefgh", 5, "ab…gh"),
        ("abcdefgh", 4, "ab…h"),
        ("abcdefgh", 1, "…"),
        ("abcdefgh", 0, ""),
        ("日本語日本語", 12, "日本語日本語"),
        ("日本語日本語", 7, "日…語"),
        ("ae\u{301}iouae\u{301}", 5, "ae\u{301}…ae\u{301}"),
    ] {
        let cell = Shown::new(text).within(columns);
        assert_eq!(cell.as_str(), shown, "{text:?} in {columns}");
        assert!(cell.columns() <= columns, "{text:?}");
    }
    assert_eq!(Shown::new("日本").columns(), 4);
    assert_eq!(Shown::new("e\u{301}\u{1b}").columns(), 5);
}

#[test]
fn a_word_for_the_shell_is_quoted_where_it_must_be() {
    for (text, quoted) in [
        ("claude-code@main", "claude-code@main"),
        ("./a/b.c", "./a/b.c"),
        ("", "''"),
        ("a b", "'a b'"),
        ("$(rm -rf ~)", "'$(rm -rf ~)'"),
        ("it's", "'it'\\''s'"),
        ("~", "'~'"),
        ("=cat", "'=cat'"),
        ("a\\b", "'a\\b'"),
        ("Größe", "'Größe'"),
        ("a\n\x1b'\\\u{202e}", "$'a\\012\\033\\'\\\\\\342\\200\\256'"),
    ] {
        assert_eq!(word(text).as_str(), quoted, "{text:?}");
    }
    assert_eq!(word(OsStr::from_bytes(b"\xff1")).as_str(), "$'\\3771'");
}

#[test]
fn json_stays_the_same_value_with_nothing_hidden_in_it() {
    let text = "{\n  \"a\u{202e}\": \"b\u{7f}\u{e0041}Größe\"\n}";
    assert_eq!(json(text), "{\n  \"a\\u202e\": \"b\\u007f\\udb40\\udc41Größe\"\n}");
    assert!(matches!(json("{\"a\": \"é\"}\n"), Cow::Borrowed(_)));
}

proptest! {
    #[test]
    fn nothing_hidden_is_ever_shown(bytes in proptest::collection::vec(any::<u8>(), 0..64), text in ".*", columns in 0_usize..40) {
        for shown in [Shown::bytes(&bytes), Shown::new(&text), word(&text), Shown::bytes(&bytes).within(columns)] {
            prop_assert!(!shown.as_str().chars().any(is_hidden), "{shown:?}");
            // Escaped once is escaped.
            prop_assert_eq!(Shown::new(shown.as_str()), shown);
        }
    }
}

/// bash is the judge of `word`. It cannot hold NUL.
#[test]
#[expect(clippy::disallowed_methods, reason = "another program is asked")]
fn a_shell_reads_the_same_bytes() {
    let words: Vec<Vec<u8>> = vec![
        (1..=255).collect(),
        b"a b".to_vec(),
        b"$HOME `id` $(id) !! ~ * ? [a] {a,b} | & ; < > ( ) # \" ' \\".to_vec(),
        b"-n".to_vec(),
        b"".to_vec(),
        "\u{202e}1\u{9b}f\n7".into(),
    ];
    for expected in words {
        let text = std::ffi::OsString::from_vec(expected.clone());
        let script = format!("printf %s {}", word(&text));
        let output = match std::process::Command::new("bash").args(["-c", &script]).output() {
            Ok(output) => output,
            Err(error) => {
                assert!(std::env::var_os("CI").is_none(), "bash: {error}");
                return;
            }
        };
        assert_eq!(output.stdout, expected, "{script}");
    }
}

/// Keys of the TOML specification, "Keys", and of packages as their registries name them.
#[test]
fn a_key_of_toml_is_quoted_unless_it_is_bare() {
    for (key, written) in [
        ("key", "key"),
        ("bare_key", "bare_key"),
        ("bare-key", "bare-key"),
        ("1234", "1234"),
        ("127.0.0.1", r#""127.0.0.1""#),
        ("", r#""""#),
        ("ʎǝʞ", r#""ʎǝʞ""#),
        ("libglib2.0-0", r#""libglib2.0-0""#),
        ("g++", r#""g++""#),
        ("@scope/name", r#""@scope/name""#),
        ("a\"b\\c", r#""a\"b\\c""#),
        ("a\nb\u{202e}", r#""a\u000ab\u202e""#),
        ("\u{e0041}", r#""\U000e0041""#),
    ] {
        assert_eq!(toml_key(key).as_str(), written, "{key:?}");
    }
}

#[test]
fn a_misspelt_word_has_a_nearest_one_unless_it_is_another() {
    let words = ["claude-code", "codex-cli", "gemini-cli", "opencode", "packages", "path"];
    for (word, near) in [
        ("claud-code", Some("claude-code")),
        ("cluade-code", Some("claude-code")),
        ("claude", None),
        ("packges", Some("packages")),
        ("pakcages", Some("packages")),
        ("packagess", Some("packages")),
        ("paht", Some("path")),
        ("opencode", None),
        ("x", None),
        ("", None),
        ("aider", None),
    ] {
        assert_eq!(nearest(word, words), near, "{word}");
    }
    assert_eq!(nearest("ab1", ["ab2", "ab3"]), Some("ab2"), "the first of equals");
}
