//! Files of a real program and an image in memory. What other tools see in them is in `tests/e2e/99-pack.sh`, directories in [`directory`].
#![expect(clippy::disallowed_methods, reason = "the program is started")]

use std::io::Cursor;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use fs_err as fs;
use pinfold_base::report::Silent;
use pinfold_testkit::raw_tar::RawTar;

use super::*;
use crate::ImageError;
use crate::ImageSource;
use crate::blobs::Blobs as _;
use crate::memory::AMD64;
use crate::memory::Memory;
use crate::model::LayerEncoding;

mod directory;

/// A program of this machine.
fn program() -> Vec<u8> {
    fs::read("/bin/true").unwrap()
}

fn source() -> ImageSource {
    let tars = [
        RawTar::new().dir("usr/").file("usr/a", &"lower ".repeat(2_000)).end(),
        RawTar::new().dir("usr/").file("usr/b", "upper").end(),
    ];
    Memory::default().both(&tars, LayerEncoding::Gzip)
}

fn about() -> About {
    About {
        name: "solo-sandbox".into(),
        platform: AMD64,
        agents: vec!["claude-code".into()],
        unpacked: 12_345,
        updates: String::new(),
    }
}

fn packed(program: &[u8], about: &About) -> Result<Vec<u8>, ImageError> {
    let source = source();
    let mut out = Vec::new();
    let packed = pack(&mut Cursor::new(program), source.blobs(), &source.image(AMD64)?, about, &mut out)?;
    assert_eq!((packed.size, packed.digest), (out.len() as u64, Digest::sha256(&out)));
    assert_eq!(packed.program % MULTIPLE, 0);
    Ok(out)
}

struct Opened {
    scratch: tempfile::TempDir,
    portable: Result<Portable, ImageError>,
}

fn opened(bytes: &[u8]) -> Opened {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("a b.AppImage");
    fs::write(&file, bytes).unwrap();
    let portable = Portable::open(&file);
    Opened { scratch, portable }
}

#[test]
fn a_file_holds_the_image_and_is_the_program() {
    let bytes = packed(&program(), &about()).unwrap();
    assert_eq!(packed(&program(), &about()).unwrap(), bytes, "the same from the same");
    let Opened { scratch, portable } = opened(&bytes);
    let portable = portable.unwrap();
    assert_eq!(portable.index().agents, ["claude-code"]);
    assert_eq!(bytes[usize::try_from(portable.offset().unwrap()).unwrap()..][..4], *b"hsqs");
    let mut before = Vec::new();
    portable.program().unwrap().read_to_end(&mut before).unwrap();
    assert!(before == program() && *portable.program_digest() == Digest::sha256(&before));
    // The image is the one it was, all of it verified.
    let place = format!("appimage:{}/a b.AppImage", scratch.path().display());
    let read = ImageSource::from_location(&place.parse().unwrap()).unwrap();
    let original = source().image(AMD64).unwrap();
    assert_eq!(read.image(AMD64).unwrap().manifest.digest(), original.manifest.digest());
    assert_eq!(crate::verify::verify(&read, &Silent).unwrap().findings, []);
    // Its layout is one by itself.
    for file in portable.files() {
        let (path, mode, mut content) = file.unwrap();
        let at = scratch.path().join("root").join(path.to_string().trim_start_matches('/'));
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).unwrap();
        fs::write(&at, bytes).unwrap();
        fs::set_permissions(&at, std::fs::Permissions::from_mode(mode.into())).unwrap();
    }
    let layout = format!("oci:{}/root/oci:solo-sandbox", scratch.path().display());
    let layout = ImageSource::from_location(&layout.parse().unwrap()).unwrap();
    assert_eq!(crate::verify::verify(&layout, &Silent).unwrap().findings, []);
    // It starts: a program with more behind it is a program.
    let file = scratch.path().join("a b.AppImage");
    fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert!(Command::new(&file).status().unwrap().success());
}

#[test]
fn damage_is_seen_wherever_it_is() {
    let bytes = packed(&program(), &about()).unwrap();
    let portable = opened(&bytes).portable.unwrap();
    let start = usize::try_from(portable.offset().unwrap()).unwrap();
    let flipped = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        opened(&bytes)
    };
    let damaged = |result: Result<Portable, ImageError>| {
        let error = result.unwrap_err();
        assert!(
            matches!(
                &error,
                ImageError::Portable(PortableError::Damaged { .. }) | ImageError::WrongDigest { .. }
            ),
            "{error}"
        );
    };
    let find = |text: &[u8]| bytes.windows(text.len()).position(|window| window == text).unwrap();
    damaged(flipped(find(b"{\"format\":1,\"program\"") + 3).portable);
    damaged(flipped(find(b"{\"format\":1,\"name\"") + 12).portable);
    for file in &portable.index().files {
        let at = start + usize::try_from(file.offset).unwrap();
        let Opened { portable, .. } = flipped(at);
        let portable = portable.unwrap();
        let root = portable.index().image.clone();
        let source = ImageSource::new("x", root, Box::new(portable));
        let found = crate::verify::verify(&source, &Silent).map(|result| result.findings.len());
        let is_blob = file.path.contains("/blobs/");
        assert_eq!(!matches!(found, Ok(0)), is_blob, "{}: {found:?}", file.path);
    }
    let mut reader = flipped(1_000).portable.unwrap().program().unwrap();
    assert!(reader.read_to_end(&mut Vec::new()).is_err(), "the program");
    // Whatever it is: files of the AppDir, tables, sections, padding, the header.
    assert_eq!(portable.verify().unwrap(), Digest::sha256(&bytes));
    for at in (24..bytes.len()).step_by(997).chain([start + 4, bytes.len() - 1]) {
        assert!(flipped(at).portable.and_then(|portable| portable.verify()).is_err(), "byte {at}");
    }
    for length in [bytes.len() - 4096, start + 200, start, start - 1] {
        let Opened { portable, .. } = opened(&bytes[..length]);
        damaged(portable);
    }
}

#[test]
fn what_is_none_of_ours_is_told_from_what_is_damaged() {
    let mut magic = program();
    magic[8..11].copy_from_slice(&MAGIC);
    for bytes in [&b""[..], b"#!/bin/sh\n", &program(), &magic] {
        let error = opened(bytes).portable.unwrap_err();
        assert!(matches!(&error, ImageError::Portable(PortableError::Other { .. })), "{error}");
    }
    // A file of another version says so.
    let bytes = packed(&program(), &about()).unwrap();
    let at = bytes.windows(10).position(|window| window == b"{\"format\":").unwrap();
    let mut other = bytes;
    other[at + 10] = b'2';
    let error = opened(&other).portable.unwrap_err().to_string();
    assert!(error.contains("another version"), "{error}");
}

#[test]
fn what_cannot_be_said_in_one_is_refused() {
    for about in [
        About { name: "a b".into(), ..about() },
        About { name: "../x".into(), ..about() },
        About { name: String::new(), ..about() },
        About { updates: "u".repeat(1024), ..about() },
    ] {
        assert!(packed(&program(), &about).is_err(), "{about:?}");
    }
    // What is no name is not believed when it is read, either.
    let agents = vec!["../../bin/x".to_owned()];
    let error = opened(&packed(&program(), &About { agents, ..about() }).unwrap()).portable.unwrap_err();
    assert!(error.to_string().contains("names that are none"), "{error}");
    assert!(packed(b"#!/bin/sh\n", &about()).is_err());
    assert!(packed(&program(), &About { updates: "zsync|u".into(), ..about() }).is_ok(), "the control");
    let portable = opened(&packed(&program(), &about()).unwrap()).portable.unwrap();
    let missing = Digest::sha256(b"nothing");
    assert!(matches!(portable.open(&missing), Err(ImageError::MissingBlob { .. })));
}
