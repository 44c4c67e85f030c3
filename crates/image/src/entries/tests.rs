use super::*;

/// Hand-made tars: each part is exactly what a test says, right or wrong.
#[derive(Default)]
pub(crate) struct TarBuilder {
    pub(crate) bytes: Vec<u8>,
}

impl TarBuilder {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn raw(mut self, kind: u8, name: &[u8], link: &[u8], mode: u32, content: &[u8]) -> Self {
        self.bytes.extend_from_slice(&block(kind, name, link, mode, content.len() as u64));
        self.data(content)
    }

    pub(crate) fn data(mut self, content: &[u8]) -> Self {
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        self
    }

    pub(crate) fn file(self, name: &str, content: &str) -> Self {
        self.raw(b'0', name.as_bytes(), b"", 0o644, content.as_bytes())
    }

    pub(crate) fn dir(self, name: &str) -> Self {
        self.raw(b'5', name.as_bytes(), b"", 0o755, b"")
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        self.raw(b'2', name.as_bytes(), target.as_bytes(), 0o777, b"")
    }

    pub(crate) fn hardlink(self, name: &str, target: &str) -> Self {
        self.raw(b'1', name.as_bytes(), target.as_bytes(), 0o644, b"")
    }

    pub(crate) fn pax(self, records: &[(&str, &str)]) -> Self {
        let body: String = records.iter().map(|(key, value)| pax_record(key, value)).collect();
        self.raw(b'x', b"PaxHeaders/x", b"", 0o644, body.as_bytes())
    }

    pub(crate) fn end(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&[0; 1024]);
        self.bytes
    }
}

fn pax_record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length = length.to_string().len() + rest;
    }
    format!("{length} {key}={value}\n")
}

pub(crate) fn block(kind: u8, name: &[u8], link: &[u8], mode: u32, size: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..name.len()].copy_from_slice(name);
    let mut put = |at: usize, text: String| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(100, format!("{mode:07o}"));
    put(108, format!("{:07o}", 0));
    put(116, format!("{:07o}", 0));
    put(124, format!("{size:011o}"));
    put(136, format!("{:011o}", 1_700_000_000));
    put(148, "        ".into());
    put(257, "ustar\x0000".into());
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link);
    seal(&mut block);
    block
}

pub(crate) fn seal(block: &mut [u8; BLOCK]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}

fn read(tar: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, EntryError> {
    let mut entries = Entries::new(tar);
    let mut all = Vec::new();
    while let Some(entry) = entries.next_entry()? {
        let content = entries.content(1 << 20)?;
        all.push((entry, content));
    }
    assert_eq!(entries.position(), tar.len() as u64, "the whole stream is read");
    Ok(all)
}

fn reason(tar: &[u8]) -> String {
    read(tar).unwrap_err().to_string()
}

#[test]
fn plain_entries() {
    let tar = TarBuilder::new()
        .dir("etc/")
        .file("etc/x", "hello")
        .symlink("l", "etc/x")
        .hardlink("h", "etc/x")
        .end();
    let found = read(&tar).unwrap();
    let kinds: Vec<_> = found.iter().map(|(entry, _)| entry.kind).collect();
    assert_eq!(kinds, [EntryKind::Directory, EntryKind::File, EntryKind::Symlink, EntryKind::Hardlink]);
    assert_eq!(found[1].1, b"hello");
    assert_eq!((found[1].0.mode, found[1].0.mtime), (0o644, 1_700_000_000));
    assert_eq!(found[2].0.link, b"etc/x");
}

#[test]
fn pax_records_override_the_header() {
    let long = "d/".repeat(80) + "file";
    let tar = TarBuilder::new()
        .pax(&[("path", &long), ("mtime", "1.25"), ("uid", "70000"), ("SCHILY.xattr.user.a", "b=c\n")])
        .file("short", "x")
        .file("next", "")
        .end();
    let found = read(&tar).unwrap();
    assert_eq!(found[0].0.name, long.as_bytes());
    assert_eq!((found[0].0.mtime, found[0].0.nanoseconds, found[0].0.uid), (1, 250_000_000, 70_000));
    assert_eq!(found[0].0.xattrs[&b"user.a"[..]], b"b=c\n");
    // The records count for one entry only.
    assert_eq!((&found[1].0.name[..], found[1].0.uid), (&b"next"[..], 0));
}

#[test]
fn gnu_long_names() {
    let long = "n".repeat(200);
    let body = format!("{long}\0");
    let tar = TarBuilder::new().raw(b'L', b"././@LongLink", b"", 0, body.as_bytes()).file("cut", "x").end();
    assert_eq!(read(&tar).unwrap()[0].0.name, long.as_bytes());
}

#[test]
fn base_256_numbers() {
    let mut header = block(b'0', b"big", b"", 0o644, 0);
    header[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
    seal(&mut header);
    let mut entries = Entries::new(&header[..]);
    assert_eq!(entries.next_entry().unwrap().unwrap().size, 8 << 30);
    // A negative time counts as the epoch.
    let mut header = block(b'0', b"old", b"", 0o644, 0);
    header[136..148].fill(0xff);
    seal(&mut header);
    assert_eq!(Entries::new(&header[..]).next_entry().unwrap().unwrap().mtime, 0);
}

#[test]
fn what_readers_disagree_about_is_refused() {
    let good = || TarBuilder::new().file("a", "x");
    let with = |key: &str, value: &str| TarBuilder::new().pax(&[(key, value)]).file("a", "x").end();
    for (tar, expected) in [
        (with("GNU.sparse.major", "1"), "sparse"),
        (TarBuilder::new().raw(b'S', b"a", b"", 0, b"").end(), "sparse"),
        (with("size", "2"), "different sizes"),
        (TarBuilder::new().pax(&[("path", "a"), ("path", "b")]).file("a", "").end(), "there twice"),
        (TarBuilder::new().pax(&[("path", "a")]).pax(&[("uid", "1")]).file("a", "").end(), "two extensions"),
        (TarBuilder::new().raw(b'g', b"g", b"", 0, b"9 path=x\n").file("a", "").end(), "global header"),
        (TarBuilder::new().raw(b'g', b"g", b"", 0, b"10 size=10\n").file("a", "").end(), "malformed"),
        (TarBuilder::new().pax(&[("uid", "1")]).end(), "without an entry"),
        (TarBuilder::new().raw(b'5', b"d/", b"", 0o755, b"x").end(), "content in an entry"),
        (TarBuilder::new().raw(b'1', b"h", b"a", 0o644, b"x").end(), "content in an entry"),
        (TarBuilder::new().raw(b'0', b"d/", b"", 0o644, b"").end(), "ends with a slash"),
        (TarBuilder::new().raw(b'Z', b"z", b"", 0o644, b"").end(), "not known"),
        (TarBuilder::new().raw(b'2', b"l", b"", 0o777, b"").end(), "without a target"),
        (with("path", ""), "empty"),
        (with("path", "a\0b"), "NUL"),
        (with("uid", "4294967296"), "32 bits"),
        (with("uid", "99999999999999999999"), "too large"),
        ([good().end(), good().end()].concat(), "follows the end"),
        (
            {
                let mut tar = good().end();
                tar[0] = b'b';
                tar
            },
            "checksum",
        ),
    ] {
        let found = reason(&tar);
        assert!(found.contains(expected), "expected `{expected}`, got `{found}`");
    }
    // Negative controls: what differs from the above only in being right.
    assert!(read(&with("size", "1")).is_ok());
    assert!(read(&TarBuilder::new().raw(b'g', b"g", b"", 0, b"13 comment=x\n").file("a", "").end()).is_ok());
}

#[test]
fn truncation_is_an_error_everywhere_but_between_entries() {
    let tar = TarBuilder::new().file("a", &"x".repeat(700)).file("b", "y").end();
    for length in 0..tar.len() - 1024 {
        let boundary = [0, 512 + 1024].contains(&length);
        let result = std::panic::catch_unwind(|| {
            let mut entries = Entries::new(&tar[..length]);
            while entries.next_entry()?.is_some() {
                entries.content(1 << 20)?;
            }
            Ok::<(), EntryError>(())
        });
        assert_eq!(result.unwrap().is_ok(), boundary, "cut at {length}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..4096), seals in 0..4_usize) {
        // Sealed headers get past the checksum, where the other checks are.
        for at in 0..seals.min(bytes.len() / BLOCK) {
            let mut header: [u8; BLOCK] = bytes[at * BLOCK..][..BLOCK].try_into().unwrap();
            header[124..136].copy_from_slice(b"00000000100\x00");
            header[100..124].copy_from_slice(b"0000644\x000000000\x000000000\x00");
            header[136..148].copy_from_slice(b"00000000000\x00");
            header[156] = b"x0LKg512S"[usize::from(header[156]) % 9];
            seal(&mut header);
            bytes[at * BLOCK..][..BLOCK].copy_from_slice(&header);
        }
        let mut entries = Entries::new(&bytes[..]);
        while let Ok(Some(_)) = entries.next_entry() {
            if entries.content(1 << 16).is_err() { break; }
        }
    }
}
