//! Compiled settings against those of `glib-compile-schemas`, and what is left out.

use pinfold_base::Digest;

use super::variant::Type;
use super::*;

/// All that the format has: ranges, choices, aliases, enumerations, flags, translations, children, lists, overrides for all and
/// for one desktop, each type; and a file that is wrong.
const SAMPLES: [(&str, &str); 6] = [
    ("10.gschema.override", include_str!("samples/10.gschema.override")),
    ("20.gschema.override", include_str!("samples/20.gschema.override")),
    ("a.enums.xml", include_str!("samples/a.enums.xml")),
    ("b.gschema.xml", include_str!("samples/b.gschema.xml")),
    ("c.gschema.xml", include_str!("samples/c.gschema.xml")),
    ("d.gschema.xml", include_str!("samples/d.gschema.xml")),
];
/// SHA-256 of what `glib-compile-schemas` 2.74 made of the samples.
const COMPILED: &str = "sha256:b679cde24637c67c581081cb665ae12c8f2e8d2f460f5c1a12369d9159ea47c3";

fn compiled(files: &[(&str, &str)]) -> Compiled {
    compile(files.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec())).collect())
}

#[test]
fn the_bytes_are_those_of_glib_compile_schemas() {
    let found = compiled(&SAMPLES);
    assert_eq!(found.left_out, [("c.gschema.xml".to_owned(), "a default does not fit its type")]);
    assert_eq!(Digest::sha256(&found.bytes.unwrap()).to_string(), COMPILED);
    // In whatever order the files are given.
    let mut turned = SAMPLES;
    turned.reverse();
    assert_eq!(Digest::sha256(&compiled(&turned).bytes.unwrap()).to_string(), COMPILED);
}

#[test]
fn without_schemas_there_is_no_cache() {
    assert_eq!(compiled(&[("x.gschema.override", "[a]\nb=1\n")]).bytes, None);
}

/// `glib-compile-schemas --strict` 2.74 refuses each of these too.
#[test]
fn a_file_that_is_wrong_is_left_out_and_named() {
    let key = |inner: &str| format!("<schemalist><schema id='s'>{inner}</schema></schemalist>");
    for (text, why) in [
        ("<schemalist>".to_owned(), "it is no well-formed XML"),
        ("<schemalist></schema>".to_owned(), "it is no well-formed XML"),
        ("<schemalist>&x;</schemalist>".to_owned(), "it is no well-formed XML"),
        ("<schemalist>text</schemalist>".to_owned(), "there is text where none may be"),
        ("<other/>".to_owned(), "it has an element where none of its name may be"),
        (key("<key name='K' type='s'><default>''</default></key>"), "a name is none"),
        (key("<key name='k' type='z'><default>''</default></key>"), "a type is none"),
        (key("<key name='k' type='s'/>"), "a key has no default"),
        (
            key("<key name='k' type='s' odd=''><default>''</default></key>"),
            "it has an attribute that is not known",
        ),
        (key("<key name='k' enum='e'><default>''</default></key>"), "an enumeration is not there"),
        (key("<key name='k' type='y'><default>256</default></key>"), "a default does not fit its type"),
        (
            key("<key name='k' type='s'><default l10n='messages'>''</default></key>"),
            "a default is translated without a domain",
        ),
        (
            key("<key name='k' type='i'><range max='4'/><default>5</default></key>"),
            "a default is not in its range or among its choices",
        ),
        (key("<override name='k'>1</override>"), "an override is of nothing"),
    ] {
        let found = compiled(&[("x.gschema.xml", &text)]);
        assert_eq!(found.left_out, [("x.gschema.xml".to_owned(), why)], "{text}");
    }
}

/// Each was the default of a key of this type for `glib-compile-schemas` 2.74.
#[test]
fn values_are_read_as_glib_reads_them() {
    for (of, text, good) in [
        ("s", "'a'", true),
        ("s", "a", false),
        ("s", "'a", false),
        ("s", "'a' 'b'", false),
        ("s", "'\\u0000'", false),
        ("i", "-0x10", true),
        ("i", "08", false),
        ("i", "uint32 1", true),
        ("u", "uint32 1", true),
        ("ai", "[1, 2,]", false),
        ("(i)", "(1,)", true),
        ("(i)", "(1)", false),
        ("(ii)", "(1,2,)", false),
        ("a{si}", "{'a': 1, 'b': 2}", true),
        ("a{si}", "[{'a', 1}]", true),
        ("{si}", "{'a': 1}", false),
        ("mi", "1", true),
        ("v", "1", false),
        ("v", "<1>", true),
        ("v", "<[]>", false),
        ("v", "<[1, 'a']>", false),
        ("v", "<[1, 2.5, byte 3]>", false),
        ("o", "'/a//b'", false),
        ("g", "'a'", false),
        ("b", "TRUE", false),
    ] {
        let found = text::parse(&Type::read(of).unwrap(), text).is_some();
        assert_eq!(found, good, "{of} {text}");
    }
}

#[test]
fn depth_and_width_are_bounded() {
    let deep = format!("{}1{}", "[".repeat(5000), "]".repeat(5000));
    assert!(text::parse(&Type::read("v").unwrap(), &format!("<{deep}>")).is_none());
    assert!(Type::read(&"a".repeat(5000)).is_none());
    assert!(Type::read(&format!("({})", "i".repeat(63))).is_some());
    assert!(Type::read(&format!("({})", "i".repeat(64))).is_none());
    for (width, good) in [(50, true), (300, false)] {
        let wide = format!("[(just ({}1),), (nothing,)]", "1,".repeat(width));
        let found = text::parse(&Type::read("v").unwrap(), &format!("<{wide}>"));
        assert_eq!(found.is_some(), good, "{width}");
    }
}

/// What a name of an enumeration costs it costs with every key that is of it.
#[test]
fn names_of_an_enumeration_are_bounded_for_all_keys_together() {
    let source = |nick: &str, names: usize, keys: usize| {
        let values = |at: usize| format!("<value nick='{nick}{at}' value='{at}'/>");
        let values: String = (0..names).map(values).collect();
        let key = |at: usize| format!("<key name='k{at}' enum='e'><default>'{nick}0'</default></key>");
        let keys: String = (0..keys).map(key).collect();
        format!(
            "<schemalist><enum id='e'>{values}</enum><schema id='s' path='/s/'>{keys}</schema></schemalist>"
        )
    };
    for (nick, names, keys, good) in
        [("name", 900, 200, true), ("name", 900, 2_000, false), (&*"n".repeat(2_000), 1, 1, false)]
    {
        let found = compile(vec![("x.gschema.xml".to_owned(), source(nick, names, keys).into_bytes())]);
        assert_eq!(found.left_out.is_empty(), good, "{names} names and {keys} keys: {:?}", found.left_out);
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_survived(text in "[<>/a-z='\" \\[\\](){}@,:0-9.&;#!-]{0,120}") {
        let _ = compiled(&[("x.gschema.xml", &text), ("y.gschema.override", &text)]);
        let wrapped = format!("<schemalist><schema id='s'><key name='k' type='v'><default><![CDATA[{text}]]></default></key></schema></schemalist>");
        let _ = compiled(&[("x.gschema.xml", &wrapped)]);
    }
}
