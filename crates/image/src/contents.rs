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
use crate::survey::Looking;
use crate::survey::MAX_KEPT;

pub use crate::survey::Seen as Found;
pub use crate::survey::Survey as Contents;
pub use crate::survey::What;

/// Reads all layers of `image`. Files for which `keep` says so are kept.
pub fn read(
    source: &ImageSource,
    image: &Image,
    keep: &dyn Fn(&ImagePath) -> bool,
    reporter: &dyn Reporter,
) -> Result<Contents, ImageError> {
    read_within(MAX_KEPT, source, image, keep, reporter)
}

fn read_within(
    room: u64,
    source: &ImageSource,
    image: &Image,
    keep: &dyn Fn(&ImagePath) -> bool,
    reporter: &dyn Reporter,
) -> Result<Contents, ImageError> {
    let total = image.layers.iter().map(|layer| layer.descriptor.size).sum();
    let running = Running::begin(reporter, Stage::Read, source.name(), Some(total));
    let mut looking = Looking::keeping(keep);
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

    fn contents(tars: &[Vec<u8>]) -> Result<Contents, ImageError> {
        contents_within(MAX_KEPT, tars)
    }

    fn contents_within(room: u64, tars: &[Vec<u8>]) -> Result<Contents, ImageError> {
        let source = Memory::default().both(tars, LayerEncoding::Gzip);
        let image = source.image(AMD64).unwrap();
        read_within(room, &source, &image, &|path| matches!(path.name(), b"kept" | b"name"), &Silent)
    }

    #[test]
    fn what_is_kept_has_room_by_each_of_its_names() {
        let tar = RawTar::new().file("kept", "second").dir("a/").hardlink("a/name", "kept").end();
        for (room, kept) in [(12, 2), (11, 1), (5, 0)] {
            assert_eq!(contents_within(room, std::slice::from_ref(&tar)).unwrap().kept.len(), kept, "{room}");
        }
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
