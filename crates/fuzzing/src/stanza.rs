//! Debian's control files.

use pinfold_sources::debian::stanza::Form;
use pinfold_sources::debian::stanza::MAX_FIELDS;
use pinfold_sources::debian::stanza::Stanza;
use pinfold_sources::debian::stanza::single;
use pinfold_sources::debian::stanza::stanzas;

/// Any bytes as stanzas: fields are looked up by name whatever the case, and what is read is the same once it is written out again.
pub fn stanza(text: &[u8]) {
    for form in [Form::Machine, Form::Handwritten] {
        let mut all = stanzas(text, form);
        let mut good = Vec::new();
        let mut failed = false;
        for found in &mut all {
            assert!(!failed, "there is more after an error");
            match found {
                Ok(stanza) => good.push(stanza),
                Err(error) => {
                    assert!(error.line() > 0);
                    failed = true;
                }
            }
        }
        assert!(failed || all.offset() == text.len(), "bytes were left unread");
        for stanza in &good {
            assert!(!stanza.fields().is_empty() && stanza.fields().len() <= MAX_FIELDS);
            for field in stanza.fields() {
                assert_eq!(stanza.field(&field.name.to_ascii_uppercase()), Some(*field));
                assert!(!field.value.contains(&0) && !field.name.contains([':', '\n', ' ']));
                let _ = (stanza.text(field.name), field.lines().count(), field.words().count());
            }
        }
        if form == Form::Machine {
            let written: Vec<u8> = good.iter().flat_map(written).collect();
            let again: Vec<_> =
                stanzas(&written, form).map(|stanza| stanza.expect("what was read can be written")).collect();
            let fields = |all: &[Stanza<'_>]| {
                all.iter()
                    .map(|stanza| {
                        let fields = stanza.fields().iter();
                        fields.map(|field| (field.name.to_owned(), field.value.to_vec())).collect::<Vec<_>>()
                    })
                    .collect::<Vec<_>>()
            };
            assert_eq!(fields(&again), fields(&good));
            assert_eq!(single(text).is_ok(), !failed && good.len() == 1);
        }
    }
}

fn written(stanza: &Stanza<'_>) -> Vec<u8> {
    let fields = stanza.fields().iter();
    let mut bytes: Vec<u8> =
        fields.flat_map(|field| [field.name.as_bytes(), b": ", field.value, b"\n"].concat()).collect();
    bytes.push(b'\n');
    bytes
}
