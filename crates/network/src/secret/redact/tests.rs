use proptest::prelude::*;

use super::*;

fn redactor(key: &str) -> Redactor {
    Redactor::new(&Secret::new(key.as_bytes()).unwrap())
}

fn redact(key: &str, pieces: &[&[u8]]) -> String {
    let mut redactor = redactor(key);
    let mut out = Vec::new();
    for piece in pieces {
        redactor.feed(piece, &mut out);
    }
    redactor.finish(&mut out);
    String::from_utf8(out).unwrap()
}

/// The key in the forms of `urllib.parse.quote`, `html.escape`, `base64`, `binascii.hexlify`, `json.dumps` and others, each
/// written by Python 3.11; what is left of it when the key is taken out.
#[test]
fn the_key_is_overwritten_in_each_form() {
    let key = "sk-Canary/1234&+~";
    for (form, left) in [
        ("sk-Canary/1234&+~", ""),
        ("SK-CANARY/1234&+~", ""),
        ("sk-Canary%2F1234%26%2B~", ""),
        ("sk-Canary%2f1234%26%2b%7e", ""),
        ("%73%6B%2d%43%61%6e%61%72%79%2F%31%32%33%34%26%2B%7E", ""),
        ("sk-Canary/1234&amp;+~", ""),
        ("sk-Canary&#47;1234&#38;&#x2B;&#x7e;", ""),
        ("&#x000073;k-Canary/1234&#000038;+~", ""),
        ("sk-Canary\\/1234\\u0026+~", ""),
        (
            "\\u0073\\u006B\\u002d\\u0043\\u0061\\u006e\\u0061\\u0072\\u0079\\u002F1234\\u0026\\u002B\\u007e",
            "",
        ),
        ("\\\\u0073\\\\u006b-Canary\\\\\\/1234\\\\\\\\u0026+~", ""),
        ("\\x73k-Canary/1234\\x26+~", ""),
        ("736b2d43616e6172792f31323334262b7e", ""),
        ("736B2D43616E6172792F31323334262B7E", ""),
        ("736b2d43616E6172792f31323334262B7E", ""),
        // Alone, behind one, two and three bytes, behind `Bearer `; with `?>` behind it in the alphabet of URLs.
        ("c2stQ2FuYXJ5LzEyMzQmK34=", "4="),
        ("eHNrLUNhbmFyeS8xMjM0Jit+", "eH"),
        ("eHNrLUNhbmFyeS8xMjM0Jit-Pz4=", "eHPz4="),
        ("eHlzay1DYW5hcnkvMTIzNCYrfg==", "eHlg=="),
        ("eHlzay1DYW5hcnkvMTIzNCYrfj8-", "eHlj8-"),
        ("eHl6c2stQ2FuYXJ5LzEyMzQmK34_Pg==", "eHl64_Pg=="),
        ("QmVhcmVyIHNrLUNhbmFyeS8xMjM0Jit+", "QmVhcmVyIH"),
        // Base64 in a query and in JSON of PHP.
        ("eHNrLUNhbmFyeS8xMjM0Jit%2B", "eH"),
        ("eHNrLUNhbmFyeS8xMjM0Jit\\u002b", "eH"),
    ] {
        let text = format!("<{form}>");
        let clean = redact(key, &[text.as_bytes()]);
        assert_eq!(clean.len(), text.len(), "{form}");
        let rest = clean.replace('*', "");
        assert!(
            rest.len() <= left.len() + 2 && rest.starts_with('<') && rest.ends_with('>'),
            "{form}: {clean}"
        );
        assert!(redactor(key).finds(text.as_bytes()), "{form}");
        assert_eq!(redact(key, &text.as_bytes().chunks(1).collect::<Vec<_>>()), clean, "{form}");
        // Negative control: one character less is no key.
        let less = &text[..clean.rfind('*').unwrap()];
        assert!(!redactor(key).finds(less.as_bytes()), "{less}");
    }
}

/// What the documentation says is not found.
#[test]
fn other_forms_pass() {
    let key = "sk-canary-1234";
    for text in [
        "4321-yranac-ks",
        "73:6b:2d:63:61:6e:61:72:79:2d:31:32:33:34",
        "%2573%256b-canary-1234",
        "c2stY2Fu\nYXJ5LTEyMzQ=",
        "sk-can\",\"ary-1234",
        "YzJzdFkyRnVZWEo1TFRFeU16UT0=",
    ] {
        assert_eq!(redact(key, &[text.as_bytes()]), text);
    }
    assert_eq!(redact("short", &[b"short"]), "short");
}

#[test]
fn the_rest_of_a_text_stays() {
    let key = "sk-canary/1234";
    assert_eq!(redact(key, &[b"sk-canary/123", b"5 sk-sk-canary/1234"]), "sk-canary/1235 sk-**************");
    let all: Vec<u8> = (0..=255).cycle().take(1 << 16).collect();
    let mut out = Vec::new();
    let mut redactor = redactor(key);
    redactor.feed(&all, &mut out);
    redactor.finish(&mut out);
    assert!(out == all);
    for text in ["&amp; \\\\\\ %41 \\u0041 &#65; \\", "100%", "a & b &", "&#", "&#x", "\\u00", "%7"] {
        assert_eq!(redact(key, &[text.as_bytes()]), text);
    }
    // A key of the character that is written over keys.
    assert_eq!(redact("********", &[b"<********>"]), "<########>");
}

#[test]
fn events_are_not_held_back() {
    let mut redactor = redactor("sk-canary-1234");
    let mut out = Vec::new();
    redactor.feed(b"data: {}\n\n", &mut out);
    assert_eq!(out, b"data: {}\n\n");
    redactor.feed(b"data: sk-", &mut out);
    assert_eq!(out.len(), 16);
    redactor.finish(&mut out);
    assert_eq!(out.len(), 19);
}

/// What is held is bounded by the longest spelling, whatever comes.
#[test]
fn little_is_held_back() {
    let key = "sk-canary-1234";
    for text in [
        "\\".repeat(5000),
        "&#0000".repeat(5000),
        "%".repeat(5000),
        "&#x000073;".repeat(5000),
        "s".repeat(5000),
    ] {
        let mut redactor = redactor(key);
        let mut out = Vec::new();
        for byte in text.bytes() {
            redactor.feed(&[byte], &mut out);
            assert!(redactor.held.len() <= 10 * key.len(), "{}", &text[..20]);
        }
        redactor.finish(&mut out);
        assert_eq!(out, text.as_bytes());
    }
}

/// One spelling of a character, chosen by a number.
fn spelling(byte: u8, choice: u8) -> String {
    match choice % 8 {
        0 => format!("%{byte:02x}"),
        1 => format!("%{byte:02X}"),
        2 => format!("\\u00{byte:02x}"),
        3 => format!("\\\\\\x{byte:02X}"),
        4 => format!("&#{byte};"),
        5 => format!("&#x{byte:05x};"),
        6 => char::from(byte).to_ascii_uppercase().to_string(),
        _ => char::from(byte).to_string(),
    }
}

proptest! {
    /// Cut anywhere, the key never comes out, the length stays, and all else is unchanged.
    #[test]
    fn cut_anywhere(before in "[sk-]{0,12}", after in "[sk-]{0,12}", cut in 1usize..12) {
        let key = "sk-sk-canary";
        let text = format!("{before}{key}{after}{key}");
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(cut).collect();
        prop_assert_eq!(redact(key, &pieces), text.replace(key, &"*".repeat(key.len())));
    }

    /// Any mixture of spellings is found, in the key, its hexadecimal and its base64.
    #[test]
    fn any_spelling(
        key in "[ -~&&[^ *]]{8,20}",
        choices in proptest::collection::vec(any::<u8>(), 60),
        before in "[ -~]{0,5}",
        form in 0usize..3,
        cut in 1usize..30,
    ) {
        let plain = match form {
            0 => key.clone(),
            1 => key.bytes().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().concat(),
            _ => {
                let pattern = base64(key.as_bytes(), choices[59] as usize % 3);
                pattern.iter().map(|class| char::from(class.0[0])).collect()
            }
        };
        let spelt: Vec<String> = plain
            .bytes()
            .zip(choices.iter().cycle())
            // Only the key itself is found in another case.
            .map(|(byte, &choice)| spelling(byte, if form == 2 && choice % 8 == 6 { 7 } else { choice }))
            .collect();
        let text = format!("{before}{}|", spelt.concat());
        let clean = redact(&key, &text.as_bytes().chunks(cut).collect::<Vec<_>>());
        prop_assert_eq!(clean.len(), text.len());
        prop_assert!(clean != text, "{} in {}", key, text);
        prop_assert!(!redactor(&key).finds(clean.as_bytes()));
        prop_assert_eq!(clean, redact(&key, &[text.as_bytes()]));
    }
}
