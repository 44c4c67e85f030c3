//! What hostile archives cost: each is decoded in a process of its own, whose peak of memory the kernel tells (`VmHWM`). The
//! inputs are written by hand after RFC 8878 (zstd), RFC 1952 (gzip) and the specification of xz, and made up while they are
//! read, so that what is measured is the decoder.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests, which start themselves and tell what they measured"
)]

use std::io;
use std::io::BufReader;
use std::io::Read;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use pinfold_archive::codec::Compression;
use pinfold_archive::codec::decoder;
use pinfold_archive::decoded::DecodedStore;
use pinfold_archive::decoded::Format;
use pinfold_archive::layer::Rules;
use pinfold_archive::tar;
use pinfold_base::Store;

/// What a process of this test needs before it decodes anything, and buffers.
const BASE: u64 = 24 << 20;
const WINDOW: u64 = 128 << 20;

/// Bytes that come again and again between a beginning and an end.
struct Again {
    begin: Vec<u8>,
    piece: Vec<u8>,
    times: u64,
    end: Vec<u8>,
    at: usize,
}

impl Again {
    fn new(begin: &[u8], piece: &[u8], times: u64, end: &[u8]) -> Self {
        Self { begin: begin.into(), piece: piece.into(), times, end: end.into(), at: 0 }
    }
}

impl Read for Again {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            let (part, last) = match (self.begin.is_empty(), self.times) {
                (false, _) => (&self.begin, false),
                (true, 0) => (&self.end, true),
                (true, _) => (&self.piece, false),
            };
            let n = (part.len() - self.at).min(buffer.len() - filled);
            buffer[filled..filled + n].copy_from_slice(&part[self.at..self.at + n]);
            (filled, self.at) = (filled + n, self.at + n);
            if self.at < part.len() {
                break;
            }
            if last {
                break;
            }
            self.at = 0;
            if self.begin.is_empty() {
                self.times -= 1;
            } else {
                self.begin.clear();
            }
        }
        Ok(filled)
    }
}

fn crc(bytes: &[u8]) -> [u8; 4] {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum().to_le_bytes()
}

/// The beginning of an xz stream whose only filter, LZMA2, has a dictionary of this size code (section 5.3.1).
fn xz(dictionary: u8) -> Vec<u8> {
    let block = [2, 0, 0x21, 1, dictionary, 0, 0, 0];
    [b"\xfd7zXZ\0", &[0, 0][..], &crc(&[0, 0]), &block, &crc(&block)].concat()
}

/// The header of an lzma stream of unknown length with a dictionary of this size.
fn lzma(dictionary: u32) -> Vec<u8> {
    [&[0x5d][..], &dictionary.to_le_bytes(), &[0xff; 8]].concat()
}

const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";

/// 128 KiB of one byte, as a block that another follows.
fn rle() -> Vec<u8> {
    let header = (128_u32 << 10) << 3 | 1 << 1;
    [&header.to_le_bytes()[..3], b"x"].concat()
}

/// The header of an empty file: POSIX.1-1988, `ustar`.
fn entry(name: &[u8]) -> Vec<u8> {
    let mut header = vec![0_u8; 512];
    // A long name is split at a slash: `prefix/name`.
    let cut = if name.len() > 100 { name.iter().rposition(|byte| *byte == b'/').unwrap() } else { 0 };
    let (prefix, rest) = if cut > 0 { (&name[..cut], &name[cut + 1..]) } else { (&b""[..], name) };
    header[..rest.len()].copy_from_slice(rest);
    header[345..345 + prefix.len()].copy_from_slice(prefix);
    header[100..108].copy_from_slice(b"0000644\0");
    header[108..116].copy_from_slice(b"0000000\0");
    header[116..124].copy_from_slice(b"0000000\0");
    header[124..136].copy_from_slice(b"00000000000\0");
    header[136..148].copy_from_slice(b"00000000000\0");
    header[148..156].copy_from_slice(b"        ");
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// A tar of as many empty files as wanted, each with the name that `name` gives it.
struct Files<F> {
    name: F,
    next: u64,
    count: u64,
    left: Vec<u8>,
}

impl<F: Fn(u64) -> String> Read for Files<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left.is_empty() {
            if self.next > self.count {
                return Ok(0);
            }
            self.left = if self.next == self.count {
                vec![0; 1024]
            } else {
                entry((self.name)(self.next).as_bytes())
            };
            self.next += 1;
        }
        let n = buffer.len().min(self.left.len());
        buffer[..n].copy_from_slice(&self.left[..n]);
        self.left.drain(..n);
        Ok(n)
    }
}

fn drain(compression: Compression, input: impl Read + Send) -> Result<u64, String> {
    let mut reader = decoder(compression, input).map_err(|error| error.to_string())?;
    io::copy(&mut reader, &mut io::sink()).map_err(|error| error.to_string())
}

/// Judges a layer as verifying and unpacking do.
fn judge(count: u64, limit: u64, name: impl Fn(u64) -> String) -> Result<u64, String> {
    let files = BufReader::new(Files { name, next: 0, count, left: Vec::new() });
    let limits = tar::Limits { entries: limit, total: 32 << 30, ..tar::Limits::default() };
    let mut reader = tar::Reader::new(files, tar::Strictness::LAYER, limits);
    let (mut rules, mut judged) = (Rules::default(), 0);
    while let Some(entry) = reader.next_entry().map_err(|error| error.to_string())? {
        rules.judge(&entry).map_err(ToString::to_string)?;
        judged += 1;
    }
    Ok(judged)
}

fn deb(extension: &str, data: &[u8]) -> Vec<u8> {
    let member = |name: &str, bytes: &[u8]| {
        let mut text =
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, bytes.len()).into_bytes();
        text.extend_from_slice(bytes);
        text.resize(text.len().next_multiple_of(2), b'\n');
        text
    };
    let control = [entry(b"./control"), vec![0; 1024]].concat();
    [
        b"!<arch>\n".to_vec(),
        member("debian-binary", b"2.0\n"),
        member("control.tar", &control),
        member(&format!("data.tar.{extension}"), data),
    ]
    .concat()
}

fn stored(format: Format, bytes: &[u8]) -> Result<u64, String> {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let digest = store.put("x", bytes).unwrap();
    let decoded = DecodedStore::new(&store);
    let error = |error: &dyn std::error::Error| {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source();
        }
        text
    };
    decoded.decode(&digest, format).map(|listing| listing.data.len() as u64).map_err(|failed| error(&failed))
}

/// What a hostile input is, what comes of it, and how much memory it may take beyond [`BASE`].
struct Case {
    name: &'static str,
    run: fn() -> Result<u64, String>,
    expected: Result<u64, &'static str>,
    memory: u64,
}

const MILLION: u64 = 1_000_000;
const FIFTEEN_DEEP: &str = "d/d/d/d/d/d/d/d/d/d/d/d/d/d/d";
const WINDOW_OF_ZSTD: &str = "the zstd frame asks for a window of more than 128 MiB";
const DICTIONARY_OF_LZMA: &str = "the lzma stream asks for a dictionary of more than 128 MiB";
const DICTIONARY_OF_XZ: &str = "the xz stream asks for a dictionary of more than 128 MiB";

const CASES: &[Case] = &[
    Case {
        // Window descriptor: exponent 21, that is 2^(10 + 21) bytes.
        name: "a zstd frame with a window of 2 GiB",
        run: || drain(Compression::Zstd, Again::new(&[ZSTD, &[0, 21 << 3]].concat(), &rle(), 20_000, &[])),
        expected: Err(WINDOW_OF_ZSTD),
        memory: 0,
    },
    Case {
        name: "a zstd frame in one segment of 2 GiB",
        run: || {
            drain(
                Compression::Zstd,
                Again::new(&[ZSTD, &[0xa0, 0, 0, 0, 0x80]].concat(), &rle(), 20_000, &[]),
            )
        },
        expected: Err(WINDOW_OF_ZSTD),
        memory: 0,
    },
    Case {
        name: "a sound zstd frame first, then one with a window of 2 GiB",
        run: || {
            let sound = [ZSTD, &[0x20, 0, 1, 0, 0]].concat();
            drain(Compression::Zstd, Again::new(&sound, &[ZSTD, &[0, 21 << 3]].concat(), 1, &rle()))
        },
        expected: Err(WINDOW_OF_ZSTD),
        memory: 0,
    },
    Case {
        // Negative control: the largest window that is kept, and four times as many bytes.
        name: "a zstd frame with a window of 128 MiB",
        run: || {
            let begin = [ZSTD, &[0, 17 << 3]].concat();
            drain(Compression::Zstd, Again::new(&begin, &rle(), 4096, &[1, 0, 0]))
        },
        expected: Ok(512 << 20),
        memory: WINDOW + (4 << 20),
    },
    Case {
        name: "a million empty zstd frames",
        run: || {
            drain(Compression::Zstd, Again::new(&[], &[ZSTD, &[0x20, 0, 1, 0, 0]].concat(), MILLION, &[]))
        },
        expected: Ok(0),
        memory: 0,
    },
    Case {
        name: "a million skippable zstd frames",
        run: || drain(Compression::Zstd, Again::new(&[], b"\x50\x2a\x4d\x18\x04\0\0\0skip", MILLION, &[])),
        expected: Ok(0),
        memory: 0,
    },
    Case {
        name: "a skippable zstd frame of 4 GiB that ends early",
        run: || {
            drain(Compression::Zstd, Again::new(b"\x50\x2a\x4d\x18\xff\xff\xff\xff", b"skip", MILLION, &[]))
        },
        expected: Err("incomplete frame"),
        memory: 0,
    },
    Case {
        name: "an xz dictionary of 4 GiB",
        run: || drain(Compression::Xz, Again::new(&xz(40), b"\x01\x00\x00x", MILLION, &[])),
        expected: Err(DICTIONARY_OF_XZ),
        memory: 0,
    },
    Case {
        name: "an xz dictionary of 192 MiB",
        run: || drain(Compression::Xz, Again::new(&xz(31), b"\x01\x00\x00x", MILLION, &[])),
        expected: Err(DICTIONARY_OF_XZ),
        memory: 0,
    },
    Case {
        // Negative control: `xz -9` asks for 64 MiB. The stream is cut, so that it is the end that is told.
        name: "an xz dictionary of 64 MiB",
        run: || drain(Compression::Xz, Again::new(&xz(28), b"\x01\x00\x00x", 1000, &[])),
        expected: Err("failed to fill whole buffer"),
        memory: 72 << 20,
    },
    Case {
        name: "a million empty gzip members",
        run: || {
            let member = [b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0", &[0; 8][..]].concat();
            drain(Compression::Gzip, Again::new(&[], &member, MILLION, &[]))
        },
        expected: Ok(0),
        memory: 0,
    },
    Case {
        name: "an lzma dictionary of 4 GiB",
        run: || drain(Compression::Lzma, Again::new(&lzma(u32::MAX), b"\0", MILLION, &[])),
        expected: Err(DICTIONARY_OF_LZMA),
        memory: 0,
    },
    Case {
        name: "an lzma dictionary of 192 MiB",
        run: || drain(Compression::Lzma, Again::new(&lzma(192 << 20), b"\0", MILLION, &[])),
        expected: Err(DICTIONARY_OF_LZMA),
        memory: 0,
    },
    Case {
        // Negative control: `xz -9`, cut.
        name: "an lzma dictionary of 64 MiB",
        run: || drain(Compression::Lzma, Again::new(&lzma(64 << 20), &[], 0, &[])),
        expected: Err("unexpected end of LZMA input"),
        memory: 72 << 20,
    },
    Case {
        // Coded 29: 2^29 bytes.
        name: "an lzip dictionary of 512 MiB",
        run: || drain(Compression::Lzip, Again::new(b"LZIP\x01\x1d", b"\0", MILLION, &[])),
        expected: Err("the lzip member asks for a dictionary of more than 128 MiB"),
        memory: 0,
    },
    Case {
        // Negative control: 2^26 bytes, cut.
        name: "an lzip dictionary of 64 MiB",
        run: || drain(Compression::Lzip, Again::new(b"LZIP\x01\x1a", &[], 0, &[])),
        expected: Err("unexpected end of LZMA input"),
        memory: 72 << 20,
    },
    Case {
        // An empty stream of the largest blocks: its end, and a sum of nothing.
        name: "a hundred thousand empty bzip2 streams",
        run: || {
            let empty = b"BZh9\x17\x72\x45\x38\x50\x90\0\0\0\0";
            drain(Compression::Bzip2, Again::new(&[], empty, MILLION / 10, &[]))
        },
        expected: Ok(0),
        memory: 8 << 20,
    },
    Case {
        name: "a tarball with an lzma dictionary of 4 GiB",
        run: || stored(Format::Tar, &[lzma(u32::MAX), vec![0; 64]].concat()),
        expected: Err(DICTIONARY_OF_LZMA),
        memory: 0,
    },
    Case {
        name: "a package with a window of 2 GiB",
        run: || stored(Format::Deb, &deb("zst", &[ZSTD, &[0, 21 << 3], &rle()].concat())),
        expected: Err(WINDOW_OF_ZSTD),
        memory: 0,
    },
    Case {
        name: "a package with a dictionary of 4 GiB",
        run: || stored(Format::Deb, &deb("xz", &xz(40))),
        expected: Err(DICTIONARY_OF_XZ),
        memory: 0,
    },
    Case {
        name: "a tarball with a window of 2 GiB",
        run: || stored(Format::Tar, &[ZSTD, &[0, 21 << 3], &rle()].concat()),
        expected: Err(WINDOW_OF_ZSTD),
        memory: 0,
    },
    Case {
        // One file of 512 MiB of zeros in 16 KiB: more than 64 MiB, and more than 250 times its size.
        name: "a package that grows beyond measure",
        run: || {
            let mut header = entry(b"./zeros");
            header[124..136].copy_from_slice(b"04000000000\0");
            header[148..156].copy_from_slice(b"        ");
            let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
            header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            let raw = [&(512_u32 << 3).to_le_bytes()[..3], &header].concat();
            let zeros = [&rle()[..3], &[0]].concat().repeat(4097);
            stored(Format::Deb, &deb("zst", &[ZSTD, &[0, 0x50], &raw, &zeros, &[1, 0, 0]].concat()))
        },
        expected: Err("bytes"),
        memory: 0,
    },
    Case {
        name: "a layer of a million files less one",
        run: || judge(MILLION - 1, MILLION - 1, |number| format!("d/{number}")),
        expected: Ok(MILLION - 1),
        memory: 64 << 20,
    },
    Case {
        name: "a layer of a million files",
        run: || judge(MILLION, MILLION - 1, |number| format!("d/{number}")),
        expected: Err("more than 999999 entries"),
        memory: 64 << 20,
    },
    Case {
        // Directories that take turns: nothing that is remembered of the last one helps.
        name: "a layer of a million files in two deep directories",
        run: || {
            judge(MILLION - 1, MILLION - 1, |number| {
                format!("{}/{FIFTEEN_DEEP}/{FIFTEEN_DEEP}/{FIFTEEN_DEEP}/{FIFTEEN_DEEP}/{number}", number % 2)
            })
        },
        expected: Ok(MILLION - 1),
        memory: 64 << 20,
    },
    Case {
        name: "a layer in which every file has directories of its own",
        run: || judge(MILLION - 1, MILLION - 1, |number| format!("{number}/a/b/c/d/e/f")),
        expected: Err("the layer has too many paths"),
        memory: 256 << 20,
    },
];

/// The peak of this process, in bytes (proc_pid_status(5)).
fn peak() -> u64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}

/// Runs one case and tells its peak; does nothing in an ordinary run.
#[test]
fn child() {
    let Ok(name) = std::env::var("PINFOLD_LIMITS_CASE") else { return };
    let case = CASES.iter().find(|case| case.name == name).unwrap();
    let outcome = (case.run)();
    match case.expected {
        Ok(bytes) => assert_eq!(outcome, Ok(bytes), "{name}"),
        Err(words) => {
            assert!(outcome.as_ref().is_err_and(|error| error.contains(words)), "{name}: {outcome:?}");
        }
    }
    println!("PEAK {}", peak());
}

#[test]
fn hostile_archives_stay_within_their_limits() {
    for case in CASES {
        let started = Instant::now();
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["child", "--exact", "--nocapture", "--test-threads=1"])
            .env("PINFOLD_LIMITS_CASE", case.name)
            .output()
            .unwrap();
        let (said, took) = (String::from_utf8_lossy(&child.stdout), started.elapsed());
        assert!(child.status.success(), "{}: {said}{}", case.name, String::from_utf8_lossy(&child.stderr));
        let peak = said.split("PEAK ").nth(1).and_then(|text| text.split_whitespace().next()).unwrap();
        let peak: u64 = peak.parse().unwrap();
        println!("{:>5} MiB {:>6.2} s  {}", peak >> 20, took.as_secs_f64(), case.name);
        assert!(peak <= BASE + case.memory, "{}: {} MiB", case.name, peak >> 20);
        assert!(took < Duration::from_secs(60), "{}: {took:?}", case.name);
    }
}
