use pinfold_base::report::Silent;
use pinfold_testkit::raw_tar::RawTar;

use super::*;
use crate::LayerEncoding;
use crate::memory::AMD64;
use crate::memory::Memory;
use crate::verify::Verification;
use crate::verify::survey as verify_and_survey;

/// Notes what passes by.
#[derive(Default)]
struct Notes(Vec<(usize, String, Vec<u8>)>);

impl Watch for Notes {
    fn begin(&mut self, layer: usize, path: &ImagePath, _: u64) {
        self.0.push((layer, path.to_string(), Vec::new()));
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.0.last_mut().unwrap().2.extend_from_slice(bytes);
    }

    fn end(&mut self) {}
}

fn surveyed(tars: &[Vec<u8>]) -> (Survey, Notes, Verification) {
    let source = Memory::default().both(tars, LayerEncoding::Gzip);
    let image = source.image(AMD64).unwrap();
    let (mut notes, mut found) = (Notes::default(), Verification::default());
    let mut looking = Looking {
        keep: &|path| path.name() == b"kept",
        sum: &|_, path| match path.name() {
            b"md5" => Some(Sum::Md5),
            b"sha" => Some(Sum::Sha256),
            _ => None,
        },
        programs: Programs::Read,
        before: Before::Forgotten,
        watch: Some(&mut notes),
    };
    let survey = verify_and_survey(&source, (AMD64, &image), &mut looking, &mut found, &Silent).unwrap();
    (survey, notes, found)
}

fn facts<'a>(survey: &'a Survey, path: &str) -> &'a Facts {
    match &survey.get(&ImagePath::new(path).unwrap()).unwrap().what {
        What::File(facts) => facts,
        other => panic!("{other:?}"),
    }
}

#[test]
fn files_are_what_their_bytes_are() {
    let tar = RawTar::new()
        .file("script", "#! /bin/sh -e \nexit\n")
        .file("text", "#\n!")
        .file("md5", "hello\n")
        .file("sha", "")
        .file("kept", "bytes")
        .hardlink("name", "script")
        .file("elf", "\x7fELF\x02\x01\x01 and nothing of the kind")
        .end();
    let (survey, _, found) = surveyed(&[tar]);
    assert_eq!(found.findings, []);
    assert_eq!(facts(&survey, "script").script.as_deref(), Some(&b"/bin/sh -e"[..]));
    assert_eq!(facts(&survey, "name"), facts(&survey, "script"));
    assert_eq!(facts(&survey, "text"), &Facts::default());
    // `printf 'hello\n' | md5sum`
    let md5 =
        [0xb1, 0x94, 0x6a, 0xc9, 0x24, 0x92, 0xd2, 0x34, 0x7c, 0x62, 0x35, 0xb4, 0xd2, 0x61, 0x11, 0x84];
    assert_eq!(facts(&survey, "md5").sum, Some(Summed::Md5(md5)));
    assert_eq!(facts(&survey, "sha").sum, Some(Summed::Sha256(Digest::sha256(b""))));
    assert_eq!(survey.kept.values().collect::<Vec<_>>(), [b"bytes"]);
    let elf = facts(&survey, "elf");
    assert!(elf.elf.is_none() && elf.malformed.is_some());
}

#[test]
fn the_program_that_runs_this_is_an_elf_file_under_both_its_names() {
    let path = std::env::current_exe().unwrap();
    let bytes = fs_err::read(path).unwrap();
    let tar = RawTar::new().raw(b'0', b"program", b"", 0o755, &bytes).hardlink("other", "program").end();
    let (survey, _, _) = surveyed(&[tar]);
    let expected = elf::parse(&bytes).unwrap();
    assert_eq!(facts(&survey, "program").elf.as_deref(), Some(&expected));
    assert_eq!(facts(&survey, "other").elf.as_deref(), Some(&expected));
}

#[test]
fn what_an_upper_layer_hides_passes_by_and_is_not_listed() {
    let lower = RawTar::new().dir("a/").file("a/secret", "one").file("a/stays", "two").end();
    let upper = RawTar::new().dir("a/").file("a/.wh.secret", "").file("a/new", "three").end();
    let (survey, notes, _) = surveyed(&[lower, upper]);
    let listed: Vec<String> = survey.paths.keys().map(ToString::to_string).collect();
    assert_eq!(listed, ["/a", "/a/new", "/a/stays"]);
    let passed: Vec<(usize, &str, &[u8])> =
        notes.0.iter().map(|(layer, path, bytes)| (*layer, path.as_str(), &bytes[..])).collect();
    assert_eq!(passed, [(0, "/a/secret", &b"one"[..]), (0, "/a/stays", b"two"), (1, "/a/new", b"three")]);
}

#[test]
fn an_opaque_directory_keeps_what_its_own_layer_brought_before() {
    let lower = RawTar::new().dir("a/").file("a/old", "one").end();
    let upper = RawTar::new().dir("a/").file("a/new", "two").file("a/.wh..wh..opq", "").end();
    let (survey, _, _) = surveyed(&[lower, upper]);
    let listed: Vec<String> = survey.paths.keys().map(ToString::to_string).collect();
    assert_eq!(listed, ["/a", "/a/new"]);
}

#[test]
fn an_entry_that_is_refused_is_told_and_not_listed() {
    let (survey, _, found) = surveyed(&[RawTar::new().file("../out", "x").file("in", "y").end()]);
    assert_eq!(survey.paths.len(), 1);
    assert_eq!(found.findings.len(), 1);
    assert_eq!(survey.partial, [0]);
}

#[test]
fn layers_that_hold_more_than_is_seen_are_told() {
    let whole = || RawTar::new().file("a", "x").end();
    let device = RawTar::new().raw(b'3', b"null", b"", 0o666, b"").end();
    let mut cut = RawTar::new().file("b", "x").file("c", "y").end();
    cut.truncate(1024 + 100);
    let twice = RawTar::new().file("d", "x").file("d", "y").end();
    let (survey, _, found) = surveyed(&[whole(), device, cut, whole(), twice]);
    // Nothing of an image is missing with a device.
    assert_eq!(survey.partial, [2, 4]);
    assert_eq!(found.findings.len(), 3);
}
