//! The tar and the directory in it, unpacked and listed by the system's tar.

use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::path::PathBuf;

use pinfold_archive::encode::Encoding;
use pinfold_archive::encode::Reuse;
use rustix::fs::FileType;

use super::*;

const GZIP: Encoding = Encoding::Gzip { level: 1, reuse: Reuse::Never };

/// Prints its words, each with a zero behind.
const PROGRAM: &[u8] = b"#!/bin/sh\nprintf '%s\\0' \"$@\"\n";

fn tar(encoding: Encoding, threads: usize) -> Vec<u8> {
    let (source, mut out) = (source(), Vec::new());
    let image = source.image(AMD64).unwrap();
    let threads = NonZeroUsize::new(threads).unwrap();
    let packed =
        pack_tar(&mut Cursor::new(PROGRAM), source.blobs(), &image, &about(), (&encoding, threads), &mut out)
            .unwrap();
    assert_eq!((packed.size, packed.digest), (out.len() as u64, Digest::sha256(&out)));
    assert_eq!(packed.program, PROGRAM.len() as u64);
    out
}

/// The directory that the system's tar makes of it, in one of this name.
fn unpacked(tar: &[u8], below: &OsStr) -> (tempfile::TempDir, PathBuf) {
    let scratch = tempfile::tempdir().unwrap();
    let (file, inner) = (scratch.path().join("x.tar"), scratch.path().join(below));
    fs::write(&file, tar).unwrap();
    fs::create_dir_all(&inner).unwrap();
    let made = Command::new("tar").arg("-xf").arg(&file).arg("-C").arg(&inner).output().unwrap();
    assert!(made.status.success() && made.stderr.is_empty(), "{}", String::from_utf8_lossy(&made.stderr));
    let folder = inner.join("solo-sandbox");
    (scratch, folder)
}

fn is_damaged(result: &Result<Digest, ImageError>) -> bool {
    matches!(
        result,
        Err(ImageError::Portable(PortableError::Damaged { .. })
            | ImageError::WrongDigest { .. }
            | ImageError::WrongSize { .. }
            | ImageError::Json { .. }
            | ImageError::MissingBlob { .. })
    )
}

#[test]
fn a_tar_is_a_directory_that_starts_and_a_layout() {
    let plain = tar(Encoding::None, 1);
    let (_scratch, folder) = unpacked(&plain, OsStr::new("here"));
    let listed = |path: &Path| {
        let names =
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    };
    let mut expected = FOLDER.map(ToOwned::to_owned);
    expected.sort();
    assert_eq!(listed(&folder), expected);
    assert_eq!(fs::read(folder.join("pinfold")).unwrap(), PROGRAM);
    let layout = format!("oci:{}/oci:solo-sandbox", folder.display());
    let layout = ImageSource::from_location(&layout.parse().unwrap()).unwrap();
    assert_eq!(crate::verify::verify(&layout, &Silent).unwrap().findings, []);
    let opened = Portable::open(&folder).unwrap();
    assert_eq!((opened.form(), opened.offset()), (Form::Folder, None));
    assert_eq!(opened.verify().unwrap(), Digest::sha256(&plain));
    for (encoding, threads) in [(Encoding::None, 3), (GZIP, 1), (Encoding::Zstd { level: 1 }, 2)] {
        let bytes = tar(encoding, threads);
        assert!(bytes == tar(encoding, 4), "{encoding:?}: the same from the same");
        let (_scratch, other) = unpacked(&bytes, OsStr::new("there"));
        assert_eq!(Portable::open(&other).unwrap().verify().unwrap(), Digest::sha256(&plain));
        // As it is, too, without being unpacked.
        let Opened { portable, .. } = super::opened(&bytes);
        let portable = portable.unwrap();
        assert_eq!((portable.form(), portable.verify().unwrap()), (Form::Tar, Digest::sha256(&bytes)));
        let mut program = Vec::new();
        portable.program().unwrap().read_to_end(&mut program).unwrap();
        assert_eq!(program, PROGRAM);
        let source = ImageSource::new("x", portable.index().image.clone(), Box::new(portable));
        assert_eq!(crate::verify::verify(&source, &Silent).unwrap().findings, []);
    }
}

/// Layers are compressed already: a second time would cost seconds and gain nothing.
#[test]
fn a_gzip_stores_what_is_compressed_already() {
    let made = tar(GZIP, 2);
    let source = source();
    let holds = |part: &[u8]| memchr::memmem::find(&made, part).is_some();
    let image = source.image(AMD64).unwrap();
    assert!(!image.layers.is_empty());
    for layer in &image.layers {
        let mut blob = Vec::new();
        source.open(&layer.descriptor).unwrap().read_to_end(&mut blob).unwrap();
        assert!(blob.len() < 65_535 && holds(&blob));
    }
    assert!(!holds(PROGRAM) && !holds(image.config.bytes()), "the control");
}

#[test]
fn it_starts_from_wherever_it_is_with_its_words_as_they_are() {
    for below in ["here", "a b", "a\nb\n", "-x", "$(x)`'\"", "ü*"] {
        let (scratch, folder) = unpacked(&tar(Encoding::None, 1), OsStr::new(below));
        let folder = fs::canonicalize(folder).unwrap();
        let script = folder.join("run.sh");
        let words: [&[u8]; 7] = [b"-p", b"", b"a b\n", b"--", b"$x", b"\xff", b"-h"];
        let words = words.map(OsStr::from_bytes);
        let printed = |command: &mut Command, called: &str| {
            let made = command.args(words).env_clear().env("PATH", "/usr/bin:/bin").output().unwrap();
            let called = format!("--as={called}");
            let mut expected = Vec::new();
            for word in ["portable".as_ref(), folder.as_os_str(), called.as_ref(), "--".as_ref()]
                .into_iter()
                .chain(words)
            {
                expected.extend([word.as_bytes(), b"\0"].concat());
            }
            assert_eq!(
                (made.stdout.escape_ascii().to_string(), String::from_utf8_lossy(&made.stderr).into_owned()),
                (expected.escape_ascii().to_string(), String::new()),
                "{below:?}"
            );
        };
        printed(&mut Command::new(&script), "run.sh");
        printed(Command::new("sh").arg("run.sh").current_dir(&folder), "run.sh");
        printed(Command::new("./run.sh").current_dir(&folder), "run.sh");
        // Links, to links, relative and with a newline at the end.
        let at = |name: &str| scratch.path().join(name);
        std::os::unix::fs::symlink(&script, at("first\n")).unwrap();
        std::os::unix::fs::symlink("first\n", at("codex-cli")).unwrap();
        printed(&mut Command::new(at("codex-cli")), "codex-cli");
        std::os::unix::fs::symlink(&folder, at("folder")).unwrap();
        printed(Command::new("folder/run.sh").current_dir(scratch.path()), "run.sh");
    }
}

#[test]
fn damage_of_a_tar_is_seen_wherever_it_is() {
    let plain = tar(Encoding::None, 1);
    let verified = |bytes: &[u8]| super::opened(bytes).portable.and_then(|portable| portable.verify());
    assert!(verified(&plain).is_ok(), "the control");
    for at in (0..plain.len()).step_by(97).chain([plain.len() - 1]) {
        let mut bytes = plain.clone();
        bytes[at] ^= 0x10;
        let result = verified(&bytes);
        assert!(result.is_err(), "byte {at}");
        // The first of all is where it says what it is.
        assert!(is_damaged(&result) || at < 512, "byte {at}");
    }
    for length in [plain.len() - 512, plain.len() - 1024, plain.len() / 2, 1024] {
        assert!(is_damaged(&verified(&plain[..length])), "{length} bytes");
    }
    assert!(is_damaged(&verified(&[&plain[..], &[0; 512]].concat())), "more behind it");
    // How it is compressed has bits that mean nothing: they are seen in its digest.
    let packed = tar(GZIP, 1);
    for at in (20..packed.len()).step_by(61) {
        let mut bytes = packed.clone();
        bytes[at] ^= 0x10;
        let same = verified(&bytes).is_ok_and(|digest| digest == Digest::sha256(&packed));
        assert!(!same, "byte {at} of a compressed one");
    }
    assert!(is_damaged(&verified(&packed[..packed.len() - 4])));
}

#[test]
fn damage_of_a_directory_is_seen_and_nothing_is_waited_for() {
    let plain = tar(Encoding::None, 1);
    let (_scratch, folder) = unpacked(&plain, OsStr::new("here"));
    let files = Portable::open(&folder).unwrap().index().files.clone();
    let verified = || Portable::open(&folder).and_then(|portable| portable.verify());
    assert!(verified().is_ok(), "the control");
    for path in files.iter().map(|file| &*file.path).chain(["/pinfold.json"]) {
        let file = folder.join(&path[1..]);
        let right = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        assert!(verified().is_err(), "{path} is gone");
        rustix::fs::mknodat(rustix::fs::CWD, &file, FileType::Fifo, 0o600.into(), 0).unwrap();
        assert!(verified().is_err(), "{path} is a pipe");
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
        assert!(verified().is_err(), "{path} leads to a device");
        fs::remove_file(&file).unwrap();
        let mut wrong = right.clone();
        wrong[right.len() / 2] ^= 1;
        for wrong in [wrong, [&right[..], b"\n"].concat(), right[..right.len() - 1].to_vec(), Vec::new()] {
            fs::write(&file, wrong).unwrap();
            assert!(is_damaged(&verified()), "{path}");
        }
        fs::write(&file, right).unwrap();
    }
    assert!(verified().is_ok());
    // What changes after it was opened is seen when it is read.
    let open = Portable::open(&folder).unwrap();
    let program = folder.join("pinfold");
    fs::write(&program, PROGRAM.to_ascii_uppercase()).unwrap();
    let read = open.program().unwrap().read_to_end(&mut Vec::new());
    assert!(read.is_err());
    // Another directory is none of ours; an index that leads out of its own is damage.
    let error = Portable::open(folder.parent().unwrap()).unwrap_err();
    assert!(matches!(error, ImageError::Portable(PortableError::Other { .. })), "{error}");
    let index = fs::read_to_string(folder.join("pinfold.json")).unwrap();
    for out in ["/../../../../etc/passwd", "/oci/../../x"] {
        fs::write(folder.join("pinfold.json"), index.replace("/pinfold\"", &format!("{out}\""))).unwrap();
        let open = Portable::open(&folder).unwrap();
        assert!(open.files().any(|file| file.is_err()), "{out}");
        assert!(open.program().is_err());
    }
}
