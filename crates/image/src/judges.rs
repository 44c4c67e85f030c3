//! One table of hostile layers, two judges: what is refused when it is unpacked is found when it is verified.

use fs_err as fs;
use pinfold_base::report::Silent;
use pinfold_testkit::raw_tar::RawTar;

use crate::ImageSource;
use crate::LayerEncoding;
use crate::memory::AMD64;
use crate::memory::Memory;
use crate::trust::made;
use crate::unpack::Options;
use crate::unpack::unpack;
use crate::verify::Level;
use crate::verify::verify;

fn tar() -> RawTar {
    RawTar::new()
}

/// List U1 of the isolation tests: name, layers, words of the refusal. `outside` is a path that must not be touched.
pub(crate) fn hostile_layers(outside: &str) -> Vec<(&'static str, Vec<Vec<u8>>, &'static str)> {
    let device = |kind| tar().raw(kind, b"dev/x", b"", 0o666, b"").end();
    vec![
        ("absolute name", vec![tar().file(&format!("{outside}/canary"), "x").end()], "absolute"),
        ("dot dot", vec![tar().file("../outside/canary", "x").end()], "leads out"),
        ("dot dot inside", vec![tar().file("a/../../outside/canary", "x").end()], "leads out"),
        (
            "absolute link, then through it",
            vec![tar().symlink("evil", outside).file("evil/canary", "x").end()],
            "symbolic link of the same layer",
        ),
        (
            "relative link, then through it",
            vec![tar().symlink("evil", "../outside").file("evil/canary", "x").end()],
            "symbolic link of the same layer",
        ),
        (
            "chain of links, then through it",
            vec![
                tar()
                    .dir("a")
                    .symlink("a/up", "..")
                    .symlink("a/b", "up/../outside")
                    .file("a/b/canary", "x")
                    .end(),
            ],
            "symbolic link of the same layer",
        ),
        ("hard link outside", vec![tar().hardlink("h", "../outside/canary").end()], "leads out"),
        ("absolute hard link", vec![tar().hardlink("h", &format!("{outside}/canary")).end()], "absolute"),
        (
            "hard link through a link",
            vec![tar().symlink("evil", outside).hardlink("h", "evil/canary").end()],
            "symbolic link of the same layer",
        ),
        (
            "hard link to a link",
            vec![tar().symlink("evil", outside).hardlink("h", "evil").end()],
            "is no file",
        ),
        ("hard link to itself", vec![tar().hardlink("h", "h").end()], "itself"),
        ("character device", vec![device(b'3')], "devices"),
        ("block device", vec![device(b'4')], "devices"),
        ("FIFO", vec![device(b'6')], "devices"),
        ("opaque marker that is a link", vec![tar().symlink(".wh..wh..opq", outside).end()], "empty file"),
        ("whiteout of a whiteout", vec![tar().file(".wh..wh.x", "").end()], "reserved"),
        ("AUFS's own", vec![tar().dir(".wh..wh.plnk").end()], "empty file"),
        ("below AUFS's own", vec![tar().file(".wh..wh.plnk/1.2", "").end()], "name of a whiteout"),
        ("whiteout with content", vec![tar().file(".wh.a", "x").end()], "empty file"),
        ("whiteout that is a directory", vec![tar().dir(".wh.a").end()], "empty file"),
        ("whiteout of itself", vec![tar().file("a/.wh..", "").end()], "names nothing"),
        ("bare whiteout", vec![tar().file("a/.wh.", "").end()], "names nothing"),
        ("whiteout of dot dot", vec![tar().file("a/.wh...", "").end()], "names nothing"),
        (
            "PAX name over an innocent one",
            vec![tar().pax(&[("path", "../outside/canary")]).file("innocent", "x").end()],
            "leads out",
        ),
        (
            "PAX link name over an innocent one",
            vec![tar().file("a", "").pax(&[("linkpath", "../outside/canary")]).hardlink("h", "a").end()],
            "leads out",
        ),
        ("duplicate file", vec![tar().file("a", "1").file("a", "2").end()], "twice"),
        ("duplicate in other words", vec![tar().file("a", "1").file("./a", "2").end()], "twice"),
        ("file, then link", vec![tar().file("a", "1").symlink("a", outside).end()], "twice"),
        (
            "directory replaced by a link",
            vec![tar().file("d/x", "1").symlink("d", outside).file("d/canary", "x").end()],
            "entries below it",
        ),
        ("below a file", vec![tar().file("a", "1").file("a/b", "2").end()], "no directory"),
        (
            "sparse bomb",
            vec![
                tar()
                    .pax(&[("GNU.sparse.major", "1"), ("GNU.sparse.realsize", "1099511627776")])
                    .file("s", "x")
                    .end(),
            ],
            "sparse",
        ),
        (
            "attributes for overlayfs",
            vec![tar().pax(&[("SCHILY.xattr.user.overlay.redirect", outside)]).file("a", "x").end()],
            "overlayfs",
        ),
        (
            "attributes for overlayfs on a directory",
            vec![tar().pax(&[("SCHILY.xattr.trusted.overlay.opaque", "y")]).dir("a").end()],
            "overlayfs",
        ),
        ("too deep", vec![tar().pax(&[("path", &"d/".repeat(300))]).dir("d").end()], "levels"),
        ("root that comes twice", vec![tar().dir("./").dir("/").end()], "twice"),
        ("type 0 with a slash", vec![tar().raw(b'0', b"d/", b"", 0o644, b"").end()], "ends with a slash"),
        ("owners for all", vec![tar().global(&[("uid", "0")]).file("a", "").end()], "belongs to one entry"),
        (
            "something after the end",
            vec![[tar().end(), tar().file("a", "").end()].concat()],
            "follows the end",
        ),
        ("root that is a link", vec![tar().symlink("./", outside).end()], "root is a directory"),
    ]
}

/// Layers that look like the hostile ones and are none.
fn honest_layers() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    vec![
        ("a root, spelt three ways", vec![tar().dir("./").end(), tar().dir(".").end(), tar().dir("/").end()]),
        (
            "no end, half an end",
            vec![tar().file("a", "1").bytes(), [tar().dir("b").bytes(), vec![0; 512]].concat()],
        ),
        ("a comment for all", vec![tar().global(&[("comment", "0123")]).file("a", "1").end()]),
        ("a link beside what it names", vec![tar().dir("d").symlink("l", "d").file("d/x", "1").end()]),
        ("a link out", vec![tar().symlink("l", "../../../outside").end()]),
        ("hard links", vec![tar().file("a", "1").hardlink("b", "a").hardlink("c", "./b").end()]),
        (
            "whiteouts",
            vec![
                tar().dir("d").file("d/a", "1").file("d/b", "1").file("c", "1").end(),
                tar().dir("d").file("d/.wh.a", "").file("d/.wh..b", "").file(".wh.c", "").end(),
                tar().dir("d").file("d/.wh..wh..opq", "").file("d/new", "1").end(),
            ],
        ),
        (
            "a whiteout beside what it names",
            vec![tar().file("a", "1").end(), tar().file("a", "2").file(".wh.a", "").end()],
        ),
        ("names that are no whiteouts", vec![tar().file(".wh", "1").file("x.wh.y", "1").dir("wh.").end()]),
        ("attributes", vec![tar().pax(&[("SCHILY.xattr.user.note", "x")]).file("a", "").end()]),
    ]
}

/// Whether both take the layers, and what they say if not.
fn judge(tars: &[Vec<u8>]) -> (Result<(), String>, Vec<String>) {
    let mut memory = Memory::default();
    let composed = memory.image(AMD64, tars, LayerEncoding::Tar);
    let source = made(ImageSource::new("memory", composed.manifest.descriptor(), Box::new(memory)));
    let dir = tempfile::tempdir().unwrap();
    let image = source.image(AMD64).unwrap();
    let unpacked = unpack(&source, &image, &dir.path().join("target"), &Options::default(), &Silent);
    let verified = verify(&source, &Silent).unwrap();
    assert!(
        verified.holds(Level::Blob) && verified.holds(Level::DiffId),
        "the bytes are what they claim to be"
    );
    let findings = verified.findings.into_iter().map(|finding| finding.problem).collect();
    (unpacked.map(drop).map_err(|error| error.to_string()), findings)
}

#[test]
fn both_judges_refuse_for_the_same_reason() {
    let outside = tempfile::tempdir().unwrap();
    for (name, tars, words) in hostile_layers(outside.path().to_str().unwrap()) {
        let (unpacked, findings) = judge(&tars);
        let error = unpacked.expect_err(name);
        assert!(error.contains(words), "{name}, unpacked: {error}");
        assert!(findings.iter().any(|problem| problem.contains(words)), "{name}, verified: {findings:?}");
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn both_judges_take_what_is_honest() {
    for (name, tars) in honest_layers() {
        assert_eq!(judge(&tars), (Ok(()), Vec::new()), "{name}");
    }
}
