//! Small tars as packagers write them (ustar, POSIX.1-1988).
//!
//! Written here and not by pinfold's own tar writer, so that the two cannot agree on a mistake.

use std::io::Write as _;

const BLOCK: usize = 512;

/// A tar being written. All entries are root's and have one time.
#[derive(Clone, Debug)]
pub struct Tar {
    bytes: Vec<u8>,
    mtime: u64,
}

impl Tar {
    /// An empty one; `mtime` in seconds since the epoch.
    pub fn new(mtime: u64) -> Self {
        Self { bytes: Vec::new(), mtime }
    }

    /// A regular file.
    pub fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entry(b'0', name, mode, "", content.len());
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(BLOCK), 0);
    }

    /// A directory; its name ends with a slash, as in most tars.
    pub fn directory(&mut self, name: &str) {
        self.entry(b'5', name, 0o755, "", 0);
    }

    /// A symbolic link.
    pub fn symlink(&mut self, name: &str, target: &str) {
        self.entry(b'2', name, 0o777, target, 0);
    }

    /// The whole tar, compressed.
    pub fn gzip(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 2 * BLOCK, 0);
        gzip(&self.bytes)
    }

    fn entry(&mut self, kind: u8, name: &str, mode: u32, target: &str, size: usize) {
        let mut header = [0u8; BLOCK];
        let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, &name[..name.len().min(100)]);
        let mtime = self.mtime;
        put(100, &format!("{mode:07o}\0{:07o}\0{:07o}\0{size:011o}\0{mtime:011o}\0        ", 0, 0));
        put(157, &target[..target.len().min(100)]);
        put(257, "ustar\x0000root");
        put(297, "root");
        header[156] = kind;
        let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.bytes.extend_from_slice(&header);
    }
}

/// `bytes` as a gzip file.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(bytes).and_then(|()| gzip.finish()).unwrap_or_default()
}
