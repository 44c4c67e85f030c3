//! What is written here is read by the programs of others: each that is installed decodes the layers, and must give the
//! bytes that were encoded. Programs that are missing are named on standard error.
#![expect(clippy::disallowed_methods, reason = "foreign programs are the point of this test")]
#![expect(clippy::print_stderr, reason = "skipped programs are named")]
#![expect(clippy::unwrap_used, reason = "a test")]

use std::io;
use std::io::Read;
use std::io::Write;
use std::num::NonZeroUsize;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;

use flate2::GzBuilder;
use flate2::write::GzEncoder;
use pinfold_archive::Content;
use pinfold_archive::Contents;
use pinfold_archive::deflate::Blocks;
use pinfold_archive::deflate::Decoder;
use pinfold_archive::deflate::DeflateSources;
use pinfold_archive::deflate::Recorder;
use pinfold_archive::encode::Encoding;
use pinfold_archive::encode::Reuse;
use pinfold_archive::encode::encode;
use pinfold_archive::tar::Piece;
use pinfold_base::Digest;
use pinfold_base::ImagePath;

const PYTHON: &str = "import gzip,sys; sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))";
const PERL: &str = "use IO::Uncompress::Gunzip; IO::Uncompress::Gunzip::gunzip('-' => '-', MultiStream => 0)";
const NODE: &str = "process.stdin.pipe(require('zlib').createGunzip()).pipe(process.stdout)";

const GUNZIP: [&[&str]; 9] = [
    &["gzip", "-dc"],
    &["zcat"],
    &["pigz", "-dc"],
    &["busybox", "gunzip", "-c"],
    &["7z", "x", "-tgzip", "-si", "-so"],
    &["igzip", "-dc"],
    &["python3", "-c", PYTHON],
    &["perl", "-e", PERL],
    &["node", "-e", NODE],
];
const UNZSTD: [&[&str]; 1] = [&["zstd", "-dc"]];

/// Text and noise; which of them changes every 50,000 bytes.
fn sample(len: usize, mut seed: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + 16);
    while bytes.len() < len {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        if bytes.len() / 50_000 % 4 == 3 {
            bytes.extend_from_slice(&seed.to_le_bytes());
        } else {
            bytes.extend_from_slice(format!("{:x} ", seed % 5000).as_bytes());
        }
    }
    bytes.truncate(len);
    bytes
}

/// One archive in memory.
struct Archive {
    digest: Digest,
    compressed: Vec<u8>,
    decoded: Vec<u8>,
    blocks: Arc<Blocks>,
}

impl Archive {
    /// In members of two million bytes, the first with everything a header can have.
    fn new(decoded: Vec<u8>) -> Self {
        let mut compressed = Vec::new();
        let mut header = GzBuilder::new().filename("x").comment("y").extra(&b"zz"[..]).mtime(7);
        for part in decoded.chunks(2_000_000) {
            let mut encoder: GzEncoder<Vec<u8>> = header.write(Vec::new(), flate2::Compression::best());
            encoder.write_all(part).unwrap();
            compressed.extend(encoder.finish().unwrap());
            header = GzBuilder::new();
        }
        let mut recorder = Recorder::new(Decoder::gzip(&compressed[..]));
        io::copy(&mut recorder, &mut io::sink()).unwrap();
        let blocks = Arc::new(recorder.finish());
        Self { digest: Digest::sha256(&compressed), compressed, decoded, blocks }
    }
}

impl Contents for Archive {
    fn open<'a>(&'a self, content: &'a Content) -> io::Result<Box<dyn Read + Send + 'a>> {
        let Content::Range { offset, size, .. } = content else { unreachable!() };
        let start = usize::try_from(*offset).unwrap();
        Ok(Box::new(&self.decoded[start..start + usize::try_from(*size).unwrap()]))
    }
}

impl DeflateSources for Archive {
    fn blocks(&self, _: &Digest) -> io::Result<Option<Arc<Blocks>>> {
        Ok(Some(self.blocks.clone()))
    }

    fn read_at(&self, _: &Digest, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        buffer.copy_from_slice(&self.compressed[start..start + buffer.len()]);
        Ok(())
    }
}

/// The layer of two files of an archive, and its tar.
fn layer(encoding: Encoding) -> (Vec<u8>, Vec<u8>) {
    let archive = Archive::new(sample(6_000_000, 11));
    let path = ImagePath::new("bin/agent").unwrap();
    let files = [(3_000_000, 2_900_001), (512, 2_000_000)].map(|(offset, size)| Content::Range {
        archive: archive.digest.clone(),
        offset,
        size,
    });
    let (mut tar, mut pieces) = (Vec::new(), Vec::new());
    for content in &files {
        let header = sample(700_000, content.size());
        tar.extend_from_slice(&header);
        archive.open(content).unwrap().read_to_end(&mut tar).unwrap();
        pieces.extend([Ok(Piece::Bytes(header)), Ok(Piece::File { path: &path, content })]);
    }
    let mut blob = Vec::new();
    let encoded =
        encode(pieces, &archive, &archive, &encoding, NonZeroUsize::new(2).unwrap(), &mut blob).unwrap();
    let reuses = matches!(encoding, Encoding::Gzip { reuse: Reuse::Publisher, .. });
    assert_eq!(encoded.reused > encoded.size / 2, reuses);
    (blob, tar)
}

/// What a program makes of `input`; `None` when there is no such program.
fn run(command: &[&str], input: &[u8]) -> Option<Result<Vec<u8>, String>> {
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    // A program that gives up early closes the pipe.
    let _ = writer.join().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    // A shim or a busybox without the applet.
    if output.status.code() == Some(127) || stderr.contains("applet not found") {
        return None;
    }
    Some(if output.status.success() { Ok(output.stdout) } else { Err(stderr) })
}

fn check(programs: &[&[&str]], blob: &[u8], tar: &[u8]) {
    let mut ran = 0;
    for command in programs {
        match run(command, blob) {
            None => eprintln!("skipped: `{}` is not installed", command[0]),
            Some(Err(stderr)) => panic!("`{}` refuses the layer: {stderr}", command[0]),
            Some(Ok(bytes)) => {
                assert!(bytes == tar, "`{}` reads something else", command[0]);
                ran += 1;
            }
        }
    }
    eprintln!("{ran} programs read the layer");
}

#[test]
fn foreign_programs_read_gzip_layers_with_copied_blocks() {
    let (blob, tar) = layer(Encoding::Gzip { level: 6, reuse: Reuse::Publisher });
    check(&GUNZIP, &blob, &tar);
    // A control: one changed bit in the middle of a copied block must not pass anywhere.
    let mut broken = blob;
    let middle = broken.len() / 2;
    broken[middle] ^= 1;
    for command in &GUNZIP[..1] {
        assert!(run(command, &broken).is_none_or(|result| result.is_err()));
    }
}

#[test]
fn foreign_programs_read_gzip_layers() {
    let (blob, tar) = layer(Encoding::Gzip { level: 6, reuse: Reuse::Never });
    check(&GUNZIP, &blob, &tar);
}

#[test]
fn foreign_programs_read_zstd_layers() {
    let (blob, tar) = layer(Encoding::Zstd { level: 3 });
    check(&UNZSTD, &blob, &tar);
}
