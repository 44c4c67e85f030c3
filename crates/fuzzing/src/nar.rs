//! The NAR reader and writer.

use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;

use pinfold_archive::nar::Entry;
use pinfold_archive::nar::EntryKind;
use pinfold_archive::nar::Limits;
use pinfold_archive::nar::NarError;
use pinfold_archive::nar::Reader;
use pinfold_archive::nar::Writer;

const LIMITS: Limits = Limits { entries: 1000, total: 1 << 20, ..Limits::ACCEPTED };

/// The words of the format, in the order in which a file of them is likely.
const WORDS: [&[u8]; 13] = [
    b"nix-archive-1",
    b"(",
    b")",
    b"type",
    b"directory",
    b"entry",
    b"name",
    b"node",
    b"regular",
    b"contents",
    b"executable",
    b"",
    b"symlink",
];

/// Any bytes as a NAR, and as the words of one: reading it in small pieces or without its contents changes nothing, paths stay inside
/// and come once, after their directory, and what is accepted is what the writer writes.
pub fn nar(bytes: &[u8]) {
    judge(bytes);
    judge(&spelled(bytes));
}

fn judge(bytes: &[u8]) {
    let whole = read(bytes, true);
    let skipped = read(BufReader::with_capacity(7, bytes), false);
    assert!(whole.0 == skipped.0, "skipping contents shows other entries");
    assert_eq!(whole.1, skipped.1, "skipping contents ends otherwise");
    let mut above: Vec<&Entry> = Vec::new();
    for entry in &whole.0 {
        assert!(entry.path.components().all(|name| name != b".." && name != b"."));
        let parent = entry.path.parent();
        while above.last().is_some_and(|last| Some(&last.path) != parent.as_ref()) {
            above.pop();
        }
        assert_eq!(above.is_empty(), entry.path.is_root(), "an entry without its directory");
        if entry.kind == EntryKind::Directory {
            above.push(entry);
        }
        if let EntryKind::File { offset, size, .. } = entry.kind {
            assert!(!whole.1 || offset + size <= bytes.len() as u64);
        }
    }
    if whole.1 {
        match again(bytes) {
            Ok(same) => assert!(same == bytes, "another NAR of the same tree was accepted"),
            // Less is written than is accepted.
            Err(error) => assert!(matches!(error, NarError::Limit { .. }), "{error}"),
        }
    }
}

/// All entries, and whether the NAR came to its end.
fn read(nar: impl BufRead, contents: bool) -> (Vec<Entry>, bool) {
    let mut entries = Vec::new();
    let Ok(mut reader) = Reader::new(nar, LIMITS) else { return (entries, false) };
    while let Ok(Some(entry)) = reader.next_entry() {
        if let (true, EntryKind::File { size, .. }) = (contents, &entry.kind) {
            let mut content = Vec::new();
            let read = reader.read_to_end(&mut content);
            assert!(read.is_err() || content.len() as u64 == *size);
        }
        entries.push(entry);
    }
    let ended = matches!(reader.next_entry(), Ok(None));
    (entries, ended)
}

fn again(bytes: &[u8]) -> Result<Vec<u8>, NarError> {
    let mut reader = Reader::new(bytes, LIMITS)?;
    let mut writer = Writer::new(Vec::new());
    while let Some(Entry { path, kind }) = reader.next_entry()? {
        match kind {
            EntryKind::Directory => writer.directory(&path)?,
            EntryKind::Symlink(target) => writer.symlink(&path, &target)?,
            EntryKind::File { permission, size, .. } => {
                writer.file(&path, permission, size, &mut reader)?;
            }
        }
    }
    writer.finish()
}

/// Each byte as a word, or, from 128 on, as the length of a text that follows: so a fuzzer finds the grammar.
fn spelled(mut bytes: &[u8]) -> Vec<u8> {
    let mut nar = Vec::new();
    while let Some((&byte, rest)) = bytes.split_first() {
        bytes = rest;
        let text = match byte.checked_sub(128) {
            None => WORDS[usize::from(byte) % WORDS.len()],
            Some(length) => {
                let (text, rest) = bytes.split_at(usize::from(length).min(bytes.len()));
                bytes = rest;
                text
            }
        };
        nar.extend_from_slice(&(text.len() as u64).to_le_bytes());
        nar.extend_from_slice(text);
        nar.resize(nar.len().next_multiple_of(8), 0);
    }
    nar
}
