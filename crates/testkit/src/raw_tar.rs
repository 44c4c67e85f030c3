//! Tars made by hand: each part is exactly what a test says, right or wrong.
//!
//! Written here and not by pinfold's own tar writer, so that the two cannot agree on a mistake.

const BLOCK: usize = 512;

/// A tar being made. Nothing is checked; names and targets are at most 100 bytes, longer ones go into a PAX record.
#[derive(Clone, Debug, Default)]
pub struct RawTar {
    bytes: Vec<u8>,
}

impl RawTar {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// An entry of any type with its content.
    #[must_use]
    pub fn raw(self, kind: u8, name: &[u8], link: &[u8], mode: u32, content: &[u8]) -> Self {
        self.block(&header(kind, name, link, mode, content.len() as u64)).data(content)
    }

    /// A header made by [`header`], changed by the test and [`seal`]ed.
    #[must_use]
    pub fn block(mut self, block: &[u8; BLOCK]) -> Self {
        self.bytes.extend_from_slice(block);
        self
    }

    /// Content, padded.
    #[must_use]
    pub fn data(mut self, content: &[u8]) -> Self {
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
        self
    }

    /// A regular file.
    #[must_use]
    pub fn file(self, name: &str, content: &str) -> Self {
        self.raw(b'0', name.as_bytes(), b"", 0o644, content.as_bytes())
    }

    /// A directory.
    #[must_use]
    pub fn dir(self, name: &str) -> Self {
        self.raw(b'5', name.as_bytes(), b"", 0o755, b"")
    }

    /// A symbolic link.
    #[must_use]
    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.raw(b'2', name.as_bytes(), target.as_bytes(), 0o777, b"")
    }

    /// A hard link.
    #[must_use]
    pub fn hardlink(self, name: &str, target: &str) -> Self {
        self.raw(b'1', name.as_bytes(), target.as_bytes(), 0o644, b"")
    }

    /// A PAX header for the next entry.
    #[must_use]
    pub fn pax(self, records: &[(&str, &str)]) -> Self {
        self.raw(b'x', b"PaxHeaders/x", b"", 0o644, pax_body(records).as_bytes())
    }

    /// A PAX header for all later entries.
    #[must_use]
    pub fn global(self, records: &[(&str, &str)]) -> Self {
        self.raw(b'g', b"pax_global_header", b"", 0o644, pax_body(records).as_bytes())
    }

    /// A GNU header (`L` or `K`) that gives the next entry a long name or target.
    #[must_use]
    pub fn long(self, kind: u8, name: &str) -> Self {
        self.raw(kind, b"././@LongLink", b"", 0, format!("{name}\0").as_bytes())
    }

    /// The bytes so far, without an end.
    pub fn bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The whole tar with its end.
    pub fn end(mut self) -> Vec<u8> {
        self.bytes.extend_from_slice(&[0; 2 * BLOCK]);
        self.bytes
    }
}

fn pax_body(records: &[(&str, &str)]) -> String {
    records.iter().map(|(key, value)| pax_record(key, value)).collect()
}

fn pax_record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length.to_string().len() + rest != length {
        length = length.to_string().len() + rest;
    }
    format!("{length} {key}={value}\n")
}

/// A ustar header of root, of 14 November 2023.
pub fn header(kind: u8, name: &[u8], link: &[u8], mode: u32, size: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[..name.len()].copy_from_slice(name);
    let mut put = |at: usize, text: String| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(100, format!("{mode:07o}"));
    put(108, format!("{:07o}", 0));
    put(116, format!("{:07o}", 0));
    put(124, format!("{size:011o}"));
    put(136, format!("{:011o}", 1_700_000_000));
    put(257, "ustar\x0000".into());
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link);
    seal(&mut block);
    block
}

/// Puts the checksum right.
pub fn seal(block: &mut [u8; BLOCK]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
}
