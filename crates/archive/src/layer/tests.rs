use pinfold_testkit::raw_tar::RawTar;

use super::*;
use crate::tar::Limits;
use crate::tar::Reader;
use crate::tar::Strictness;

fn tar() -> RawTar {
    RawTar::new()
}

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

/// The judgement about each entry, and the rules after the last.
fn judged(tar: &[u8]) -> (Vec<Result<Change, &'static str>>, Rules) {
    let mut reader = Reader::new(tar, Strictness::LAYER, Limits::default());
    let mut rules = Rules::default();
    let mut all = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        all.push(rules.judge(&entry));
    }
    (all, rules)
}

#[test]
fn entries_mean_what_the_specification_says() {
    for (tar, expected) in [
        (tar().dir("./"), Change::Root),
        (tar().dir("/"), Change::Root),
        (tar().file("./a//b", "x"), Change::Put(path("a/b"))),
        (tar().symlink("l", "../../anywhere"), Change::Put(path("l"))),
        (tar().hardlink("h", "./a"), Change::Link { path: path("h"), target: path("a") }),
        (tar().file(".wh.a", ""), Change::Hide(path("a"))),
        (tar().file("d/.wh.a", ""), Change::Hide(path("d/a"))),
        (tar().file("d/.wh..a", ""), Change::Hide(path("d/.a"))),
        (tar().file("d/.wh....", ""), Change::Hide(path("d/..."))),
        (tar().file("d/.wh..wh..opq", ""), Change::Clear(path("d"))),
        (tar().file(".wh..wh..opq", ""), Change::Clear(path(""))),
        // These only look like whiteouts.
        (tar().file(".wh", ""), Change::Put(path(".wh"))),
        (tar().file("a.wh.b", ""), Change::Put(path("a.wh.b"))),
    ] {
        assert_eq!(judged(&tar.end()).0, [Ok(expected)]);
    }
}

/// GNU tar, podman, buildah and umoci write what the file has into each of its names; GNU tar leaves out the attributes.
#[test]
fn a_hard_link_says_what_its_file_says_or_it_is_told() {
    let capable = || tar().pax(&[("SCHILY.xattr.security.capability", "c")]);
    let owned = |tar: RawTar| tar.pax(&[("uid", "1000")]);
    let file = |tar: RawTar| tar.raw(b'0', b"f", b"", 0o755, b"");
    let link = |tar: RawTar, mode| tar.raw(b'1', b"l", b"f", mode, b"");
    for (tar, alike) in [
        (link(file(tar()), 0o755), true),
        (link(file(tar()).pax(&[("mtime", "5")]), 0o755), true),
        (link(file(tar()), 0o4755), false),
        (link(owned(file(tar())), 0o755), false),
        (link(owned(file(owned(tar()))), 0o755), true),
        (link(file(capable()), 0o755), true),
        (link(file(capable()).pax(&[("SCHILY.xattr.security.capability", "c")]), 0o755), true),
        (link(file(capable()).pax(&[("SCHILY.xattr.security.capability", "d")]), 0o755), false),
        (link(file(tar()).pax(&[("SCHILY.xattr.security.capability", "c")]), 0o755), false),
    ] {
        let (all, rules) = judged(&tar.end());
        assert!(all.iter().all(Result::is_ok), "{all:?}");
        assert_eq!(rules.is_described_as(&path("l"), &path("f")), alike);
    }
}

#[test]
fn the_directories_above_entries_count_too() {
    // Two entries, and five paths: a/b/c/d and a/b/x/y share the upper two of each.
    let tar = tar().file("a/b/c/d", "").file("a/b/x/y", "").file("z", "").end();
    let within = |most| {
        let mut reader = Reader::new(&tar[..], Strictness::LAYER, Limits::default());
        let mut rules = Rules { most, ..Rules::default() };
        let mut all = Vec::new();
        while let Some(entry) = reader.next_entry().unwrap() {
            all.push(rules.judge(&entry).is_ok());
        }
        all
    };
    assert_eq!(within(7), [true, true, true]);
    assert_eq!(within(6), [true, true, false], "a, a/b, a/b/c, a/b/c/d, a/b/x, a/b/x/y");
    assert_eq!(within(4), [true, false, false]);
}

/// The last entry of each is refused, all before it are good.
#[test]
fn what_no_honest_layer_has_is_refused() {
    let deep = "d/".repeat(257);
    let long = "t".repeat(4096);
    for (tar, words) in [
        (tar().file("/a", ""), "absolute"),
        (tar().file("a/../../b", ""), "leads out"),
        (tar().pax(&[("path", &"n".repeat(256))]).file("a", ""), "too long"),
        (tar().pax(&[("path", &deep)]).dir("d"), "levels"),
        (tar().file("a", "").file("./a", ""), "twice"),
        (tar().dir("a").dir("a/"), "twice"),
        (tar().dir("./").dir("/"), "twice"),
        (tar().file(".wh.a", "").file(".wh.a", ""), "twice"),
        (tar().symlink("l", "d").file("l/x", ""), "symbolic link of the same layer"),
        (tar().symlink("l", "d").dir("l/x/y"), "symbolic link of the same layer"),
        (tar().symlink("l", "d").file("l/.wh.x", ""), "symbolic link of the same layer"),
        (tar().file("f", "").file("f/x", ""), "no directory"),
        (tar().file("f", "").file("f/.wh.x", ""), "no directory"),
        (tar().file("d/x", "").symlink("d", "e"), "entries below it"),
        (tar().file("d/x/y", "").file("d", ""), "entries below it"),
        (tar().file("d/.wh.x", "").file("d", ""), "entries below it"),
        (tar().raw(b'3', b"dev/null", b"", 0o666, b""), "devices"),
        (tar().raw(b'6', b"fifo", b"", 0o666, b""), "devices"),
        (tar().hardlink("h", "h"), "itself"),
        (tar().hardlink("h", "/a"), "absolute"),
        (tar().hardlink("h", "../a"), "leads out"),
        (tar().symlink("l", "d").hardlink("h", "l/x"), "symbolic link of the same layer"),
        (tar().symlink("l", "d").hardlink("h", "l"), "no file"),
        (tar().dir("d").hardlink("h", "d"), "no file"),
        (tar().file(".wh.a", "").hardlink("h", ".wh.a"), "no file"),
        (tar().pax(&[("linkpath", &long)]).symlink("l", "x"), "no path"),
        (tar().pax(&[("SCHILY.xattr.user.overlay.redirect", "x")]).file("a", ""), "overlayfs"),
        (tar().pax(&[("SCHILY.xattr.trusted.overlay.opaque", "y")]).dir("a"), "overlayfs"),
        (tar().pax(&[("SCHILY.xattr.trusted.overlay.opaque", "y")]).dir("./"), "overlayfs"),
        (tar().file(".wh.a", "x"), "empty file"),
        (tar().dir(".wh.a"), "empty file"),
        (tar().symlink(".wh..wh..opq", "x"), "empty file"),
        (tar().hardlink(".wh.a", "a"), "empty file"),
        (tar().raw(b'3', b".wh.a", b"", 0, b""), "empty file"),
        (tar().file(".wh.", ""), "names nothing"),
        (tar().file("d/.wh..", ""), "names nothing"),
        (tar().file("d/.wh...", ""), "names nothing"),
        (tar().file(".wh..wh.", ""), "reserved"),
        (tar().file(".wh..wh.plnk", ""), "reserved"),
        (tar().file(".wh..wh..opq2", ""), "reserved"),
        (tar().file(".wh.d/x", ""), "name of a whiteout"),
        (tar().dir("d/.wh..wh.plnk/x/y"), "name of a whiteout"),
    ] {
        let (mut all, _) = judged(&tar.end());
        let last = all.pop().unwrap().expect_err(words);
        assert!(last.contains(words), "expected `{words}`, got `{last}`");
        assert!(all.iter().all(Result::is_ok), "{words}: {all:?}");
    }
}

#[test]
fn what_a_layer_brought_is_known() {
    let (all, rules) = judged(
        &tar().dir("d").file("d/e/f", "").hardlink("h", "d/e/f").symlink("l", "h").file("w/.wh.x", "").end(),
    );
    assert!(all.iter().all(Result::is_ok));
    let known = |name: &str| {
        let path = path(name);
        [
            rules.brought(&path),
            rules.brought_directory(&path),
            rules.brought_file(&path),
            rules.brought_below(&path),
        ]
    };
    assert_eq!(known("d"), [true, true, false, true]);
    assert_eq!(known("d/e"), [false, false, false, true]);
    assert_eq!(known("d/e/f"), [true, false, true, false]);
    assert_eq!(known("h"), [true, false, true, false]);
    assert_eq!(known("l"), [true, false, false, false]);
    // A whiteout is an entry, and brings nothing to its directory.
    assert_eq!(known("w/.wh.x"), [true, false, false, false]);
    assert_eq!(known("w"), [false; 4]);
}

#[test]
fn a_judge_goes_on_after_a_refusal() {
    let (all, _) =
        judged(&tar().file("/x", "").file("a", "").file("a", "").symlink("l", "a").file("b", "").end());
    assert_eq!(all.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true, false, true, true]);
}
