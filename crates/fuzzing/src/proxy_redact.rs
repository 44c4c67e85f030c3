//! Keys in what providers answer.

use pinfold_network::Secret;
use pinfold_network::secret::redact::Redactor;

fn redact(secret: &Secret, body: &[u8], size: usize) -> Vec<u8> {
    let (mut redactor, mut out) = (Redactor::new(secret), Vec::new());
    for piece in body.chunks(size) {
        redactor.feed(piece, &mut out);
    }
    redactor.finish(&mut out);
    out
}

/// One spelling of a character.
fn spelling(byte: u8, choice: u8) -> Vec<u8> {
    let text = match choice % 9 {
        0 => format!("%{byte:02x}"),
        1 => format!("%{byte:02X}"),
        2 => format!("\\u00{byte:02x}"),
        3 => format!("\\\\u00{byte:02X}"),
        4 => format!("\\x{byte:02x}"),
        5 => format!("&#{byte:03};"),
        6 => format!("&#X{byte:x};"),
        7 => return vec![byte.to_ascii_uppercase()],
        _ => return vec![byte],
    };
    text.into_bytes()
}

/// Any body around any spelling of any key: cut elsewhere the same comes out, as long as what went in, without the key.
pub fn proxy_redact(bytes: &[u8]) {
    let [length, form, rest @ ..] = bytes else { return };
    let (seed, rest) = rest.split_at(rest.len().min(usize::from(*length % 40)));
    let key: Vec<u8> = seed.iter().map(|byte| b'!' + byte % 94).collect();
    let Some(secret) = Secret::new(&key) else { return };
    let (choices, rest) = rest.split_at(rest.len().min(seed.len()));
    let (before, after) = rest.split_at(rest.len() / 2);
    let hexadecimal = || key.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect();
    let plain: Vec<u8> = if form & 1 == 1 { hexadecimal() } else { key.clone() };
    let spelt: Vec<u8> = plain
        .iter()
        .enumerate()
        .flat_map(|(place, &byte)| {
            spelling(byte, choices.get(place % choices.len().max(1)).copied().unwrap_or(8))
        })
        .collect();
    let body = [before, &spelt, after].concat();
    let out = redact(&secret, &body, usize::MAX);
    assert_eq!(out, redact(&secret, &body, 1));
    assert_eq!(out, redact(&secret, &body, 1 + usize::from(form >> 1)));
    assert_eq!(out.len(), body.len());
    if key.len() >= 8 {
        assert_ne!(out, body);
        assert!(!Redactor::new(&secret).finds(&out));
        assert!(!out.windows(key.len()).any(|window| window.eq_ignore_ascii_case(&key)));
    } else {
        assert_eq!(out, body);
    }
}
