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
            b"both" => Some(Sum::Both),
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
        .file("both", "hello\n")
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
    assert_eq!(facts(&survey, "both").sum, Some(Summed::Both(md5, Digest::sha256(b"hello\n"))));
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

/// Tools do not agree whose mode, owner and attributes the file gets, so that each name has what any of them may give it.
#[test]
fn names_that_say_different_things_of_one_file_are_seen_as_all_of_them() {
    let tar = RawTar::new()
        .pax(&[("uid", "7")])
        .raw(b'0', b"f", b"", 0o755, b"x")
        .hardlink("same", "f")
        .pax(&[("SCHILY.xattr.security.capability", "c"), ("SCHILY.xattr.user.note", "n")])
        .raw(b'1', b"l", b"f", 0o4002, b"")
        .end();
    let (survey, _, found) = surveyed(&[tar]);
    let seen = |path: &str| survey.get(&ImagePath::new(path).unwrap()).unwrap();
    assert_eq!(["f", "l"].map(|path| seen(path).mode), [0o4757, 0o4757]);
    assert_eq!(["f", "l"].map(|path| seen(path).uid), [7, 0]);
    for name in ["f", "l"] {
        assert_eq!(facts(&survey, name).xattrs, [(Box::from(*b"security.capability"), Box::from(*b"c"))]);
    }
    assert_eq!(found.findings.len(), 2, "{:?}", found.findings);
}

#[test]
fn names_of_one_file_share_what_is_known_of_it() {
    let tar = RawTar::new()
        .pax(&[("SCHILY.xattr.user.big", &"x".repeat(60_000)), ("SCHILY.xattr.security.capability", "c")])
        .file("f", "x")
        .hardlink("l", "f")
        .end();
    let (survey, _, _) = surveyed(&[tar]);
    assert!(std::ptr::eq(facts(&survey, "f"), facts(&survey, "l")));
    // What nobody looks at is not kept.
    assert_eq!(facts(&survey, "f").xattrs.len(), 1);
}

#[test]
fn the_root_is_what_the_uppermost_layer_says_of_it() {
    let lower = RawTar::new().pax(&[("uid", "1000")]).raw(b'5', b"./", b"", 0o2777, b"").end();
    let upper = RawTar::new().dir("./").end();
    let root = |tars: &[Vec<u8>]| surveyed(tars).0.root.map(|root| (root.layer, root.mode, root.uid));
    assert_eq!(root(std::slice::from_ref(&lower)), Some((0, 0o2777, 1000)));
    assert_eq!(root(&[lower, upper]), Some((1, 0o755, 0)));
    assert_eq!(root(&[RawTar::new().file("a", "").end()]), None);
    let (survey, _, _) = surveyed(&[RawTar::new().dir("./").file("a", "").end()]);
    assert_eq!(survey.all().map(|(path, _)| path.is_root()).collect::<Vec<_>>(), [true, false]);
}

#[test]
fn a_carriage_return_counts_to_the_interpreters_name() {
    let tar = RawTar::new().file("dos", "#! /bin/sh\r\nexit\r\n").file("blank", "#!\t \n").end();
    let (survey, _, _) = surveyed(&[tar]);
    assert_eq!(facts(&survey, "dos").script.as_deref(), Some(&b"/bin/sh\r"[..]));
    assert_eq!(facts(&survey, "blank").script.as_deref(), Some(&b""[..]));
}

#[test]
fn a_list_that_is_full_is_told() {
    let long = |layer: usize| {
        let mut tar = RawTar::new();
        for number in 0..10 {
            tar = tar.file(&format!("{layer}-{number}-{}", "x".repeat(90)), "");
        }
        tar.end()
    };
    let within = |listed: u64, tars: &[Vec<u8>]| {
        let source = Memory::default().both(tars, LayerEncoding::Tar);
        let image = source.image(AMD64).unwrap();
        let running = Running::begin(&Silent, pinfold_base::report::Stage::Verify, "image", None);
        let mut told = Vec::new();
        let mut looking = Looking::keeping(&|_| false);
        let room = Room { listed, ..Room::default() };
        let survey = survey(&source, &image, &mut looking, room, &running, &mut |_, passed| {
            told.push(passed.refused);
            Ok(())
        });
        (survey.unwrap().paths.len(), told)
    };
    let (paths, told) = within(10 << 10, &[long(1), long(2), long(3)]);
    assert_eq!((paths, told.len(), told.iter().flatten().count()), (30, 3, 0));
    let (paths, told) = within(3 << 10, &[long(1), long(2), long(3)]);
    assert!(paths < 20, "{paths}");
    assert!(told[0].is_none() && told[1..].iter().all(Option::is_some), "{told:?}");
    // What is gone gives its room back.
    let mut hiding = RawTar::new();
    for number in 0..10 {
        hiding = hiding.file(&format!(".wh.1-{number}-{}", "x".repeat(90)), "");
    }
    let (paths, told) = within(3 << 10, &[long(1), hiding.end(), long(2)]);
    assert_eq!((paths, told.iter().flatten().count()), (10, 0));
}
