//! What paths an image has, and small files out of it. Every layer is read once, nothing is unpacked.
//!
//! **Guarantees**: what is listed was verified against the image's digests, and is what [`crate::unpack`] would leave.
//! **Refuses**: what [`pinfold_archive::layer`] refuses.

use pinfold_base::ImagePath;
use pinfold_base::Reporter;
use pinfold_base::report::Running;
use pinfold_base::report::Stage;

use crate::ImageError;
use crate::ImageSource;
use crate::source::Image;
use crate::survey;
use crate::survey::Before;
use crate::survey::Looking;
use crate::survey::Room;
use crate::survey::Sum;

pub use crate::survey::Replaced;
pub use crate::survey::Seen as Found;
pub use crate::survey::Survey as Contents;
pub use crate::survey::What;

/// How closely files are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Names, modes, sizes.
    Plain,
    /// Digests of contents too, and what layers replaced of each other.
    Close,
}

/// Reads all layers of `image`. Files for which `keep` says so are kept.
pub fn read(
    source: &ImageSource,
    image: &Image,
    keep: &dyn Fn(&ImagePath) -> bool,
    reporter: &dyn Reporter,
) -> Result<Contents, ImageError> {
    look(source, image, keep, Detail::Plain, reporter)
}

/// The same, as closely as `detail` says.
pub fn look(
    source: &ImageSource,
    image: &Image,
    keep: &dyn Fn(&ImagePath) -> bool,
    detail: Detail,
    reporter: &dyn Reporter,
) -> Result<Contents, ImageError> {
    read_within(Room::default(), source, image, keep, detail, reporter)
}

fn read_within(
    room: Room,
    source: &ImageSource,
    image: &Image,
    keep: &dyn Fn(&ImagePath) -> bool,
    detail: Detail,
    reporter: &dyn Reporter,
) -> Result<Contents, ImageError> {
    let total = image.layers.iter().map(|layer| layer.descriptor.size).sum();
    let running = Running::begin(reporter, Stage::Read, source.name(), Some(total));
    let mut looking = Looking::keeping(keep);
    if detail == Detail::Close {
        looking = Looking { sum: &|_, _| Some(Sum::Sha256), before: Before::Kept, ..looking };
    }
    survey::survey(source, image, &mut looking, room, &running, &mut |number, passed| {
        // Damage is named as what it is before the complaint about it.
        if let Some(error) = passed.blob {
            return Err(error);
        }
        let wrong = |reason: String| {
            ImageError::rule(format!("layer {}", number + 1), format!("cannot be read: {reason}"))
        };
        let layer = &image.layers[number];
        match (passed.undecodable.or(passed.refused), passed.tar) {
            (Some(reason), _) => Err(wrong(reason)),
            (None, Some(digest)) if digest != layer.diff_id => {
                Err(wrong(format!("its tar is {digest}, expected {}", layer.diff_id)))
            }
            (None, _) => Ok(()),
        }
    })
}

#[cfg(test)]
mod tests {
    use pinfold_base::report::Silent;
    use pinfold_testkit::raw_tar::RawTar;

    use super::*;
    use crate::LayerEncoding;
    use crate::memory::AMD64;
    use crate::memory::Memory;

    fn within(kept: u64) -> Room {
        Room { kept, ..Room::default() }
    }

    fn contents(tars: &[Vec<u8>]) -> Result<Contents, ImageError> {
        contents_within(Room::default(), tars)
    }

    fn contents_within(room: Room, tars: &[Vec<u8>]) -> Result<Contents, ImageError> {
        let source = Memory::default().both(tars, LayerEncoding::Gzip);
        let image = source.image(AMD64).unwrap();
        let keep = |path: &ImagePath| matches!(path.name(), b"kept" | b"name");
        read_within(room, &source, &image, &keep, Detail::Close, &Silent)
    }

    #[test]
    fn what_lower_layers_had_is_kept_where_it_is_asked_for() {
        let lower = RawTar::new().dir("a/").file("a/x", "1").file("a/y", "1").file("same", "1").end();
        let middle = RawTar::new().dir("a/").file("a/x", "2").file("a/.wh.y", "").end();
        let upper = RawTar::new().file("a", "no directory now").end();
        let layers = [lower, middle, upper];
        let told = |found: &Contents| -> Vec<String> {
            let each = found.before.iter().flat_map(|(path, all)| all.iter().map(move |one| (path, one)));
            each.map(|(path, one)| format!("{path} {} gone by {}", one.was.layer, one.by)).collect()
        };
        let close = contents(&layers).unwrap();
        assert_eq!(told(&close), ["/a/x 0 gone by 1", "/a/x 1 gone by 2", "/a/y 0 gone by 1"]);
        let source = Memory::default().both(&layers, LayerEncoding::Gzip);
        let plain = read(&source, &source.image(AMD64).unwrap(), &|_| false, &Silent).unwrap();
        assert_eq!((told(&plain), plain.paths.len()), (vec![], close.paths.len()));
    }

    /// `sha256sum` of GNU coreutils 9.1 says the same.
    #[test]
    fn content_is_hashed_by_all_its_names() {
        let tar = RawTar::new().file("kept", "one\n").file("other", "one\n").hardlink("third", "other").end();
        for (path, found) in &contents(&[tar]).unwrap().paths {
            let hex = found.sha256().unwrap().hex();
            assert_eq!(hex, "2c8b08da5ce60398e1f19af0e5dccc744df274b826abe585eaba68c525434806", "{path}");
        }
    }

    #[test]
    fn what_is_kept_has_room_by_each_of_its_names() {
        let tar = RawTar::new().file("kept", "second").dir("a/").hardlink("a/name", "kept").end();
        for (room, kept) in [(12, 2), (11, 1), (5, 0)] {
            let found = contents_within(within(room), std::slice::from_ref(&tar)).unwrap();
            assert_eq!((found.kept.len(), found.left_out.len()), (kept, 2 - kept), "{room}");
        }
    }

    #[test]
    fn what_is_hidden_or_replaced_gives_its_room_back() {
        let lower =
            RawTar::new().dir("a/").file("a/kept", "first").dir("b/").file("b/kept", "too long").end();
        let hiding = RawTar::new().dir("a/").file("a/.wh.kept", "").end();
        let upper = RawTar::new().dir("a/").file("a/kept", "again").end();
        let kept = |tars: &[Vec<u8>]| {
            let found = contents_within(within(5), tars).unwrap();
            let kept: Vec<String> = found.kept.keys().map(ToString::to_string).collect();
            let left_out: Vec<String> = found.left_out.iter().map(ToString::to_string).collect();
            (kept, left_out)
        };
        let (a, b) = (vec!["/a/kept".to_owned()], vec!["/b/kept".to_owned()]);
        assert_eq!(kept(&[lower.clone(), upper.clone()]), (a.clone(), b.clone()));
        assert_eq!(kept(&[lower.clone(), hiding, upper]), (a.clone(), b));
        // What is gone was not left out of anything.
        let gone = RawTar::new().file(".wh.b", "").end();
        assert_eq!(kept(&[lower, gone]), (a, vec![]));
    }

    #[test]
    fn layers_are_laid_over_each_other_as_unpacking_does() {
        let lower = RawTar::new()
            .dir("a/")
            .file("a/kept", "one")
            .file("a/gone", "x")
            .dir("d/")
            .file("d/kept", "under")
            .dir("d-other/")
            .symlink("s", "a/kept")
            .end();
        let upper = RawTar::new()
            .dir("a/")
            .file("a/.wh.gone", "")
            .file("a/kept", "second")
            .hardlink("a/name", "a/kept")
            .file("d", "a file now")
            .end();
        let found = contents(&[lower, upper]).unwrap();
        let told: Vec<String> = found
            .paths
            .iter()
            .map(|(path, found)| {
                let what = match &found.what {
                    What::File(_) => "File".to_owned(),
                    other => format!("{other:?}"),
                };
                format!("{path} {} {what} {}", found.layer, found.size)
            })
            .collect();
        assert_eq!(
            told,
            [
                "/a 1 Directory 0",
                "/a/kept 1 File 6",
                "/a/name 1 File 6",
                "/d 1 File 10",
                "/d-other 0 Directory 0",
                "/s 0 Link([97, 47, 107, 101, 112, 116]) 0",
            ]
        );
        let kept: Vec<_> = found.kept.values().map(|bytes| String::from_utf8_lossy(bytes)).collect();
        assert_eq!(
            kept,
            ["second", "second"],
            "the upper one by both its names, and none of a directory that is gone"
        );
    }

    #[test]
    fn a_layer_that_breaks_the_rules_is_refused() {
        let error = contents(&[RawTar::new().file("../out", "x").end()]).unwrap_err();
        assert!(error.to_string().contains("layer 1"), "{error}");
    }
}
