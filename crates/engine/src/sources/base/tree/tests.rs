use pinfold_archive::Contents as _;
use pinfold_archive::decoded::DecodedStore;
use pinfold_archive::decoded::Format;
use pinfold_base::Store;
use pinfold_testkit::raw_tar::RawTar;

use super::*;

/// What layers make, a line for each path below the root; or what is wrong with them.
fn applied(layers: &[RawTar]) -> Result<Vec<String>, String> {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let decoded = DecodedStore::new(&store);
    let owner = Component::from("base/x");
    let mut all = Layers::new(&owner);
    for layer in layers {
        let digest = store.put("a layer", &layer.clone().end()).unwrap();
        let listing =
            decoded.decode(&digest, Format::Layer).map_err(|error| pinfold_base::error::one_line(&error))?;
        assert_eq!(listing.whole.as_ref().map(|whole| &whole.digest), Some(&digest), "it is a plain tar");
        all.apply(&listing.data).map_err(|wrong| format!("{}: {}", wrong.path, wrong.reason))?;
    }
    let tree = all.finish();
    let line = |(path, node): (&ImagePath, &Node)| {
        let what = match &node.kind {
            NodeKind::Directory => "/".to_owned(),
            NodeKind::File(content) => {
                format!("={}", String::from_utf8_lossy(&decoded.read(content, 99).unwrap()))
            }
            NodeKind::Symlink(target) => format!(">{}", String::from_utf8_lossy(target)),
            NodeKind::Hardlink(target) => format!("~{target}"),
        };
        format!("{path}{what}")
    };
    Ok(tree.iter().filter(|(path, _)| !path.is_root()).map(line).collect())
}

fn tar() -> RawTar {
    RawTar::new()
}

// The expected trees are what image-spec's layer.md says; `unpack` is held to the same by `crates/image`.
#[test]
fn a_later_layer_replaces_hides_and_keeps() {
    let below = tar().dir("d/").file("d/a", "1").file("d/b", "2").symlink("l", "d").file("f", "3");
    for (upper, expected) in [
        (tar().file("d/a", "9"), vec!["/d/", "/d/a=9", "/d/b=2", "/f=3", "/l>d"]),
        // A directory over a directory keeps what is inside.
        (tar().dir("d/").file("d/c", "9"), vec!["/d/", "/d/a=1", "/d/b=2", "/d/c=9", "/f=3", "/l>d"]),
        (tar().file("d", "9"), vec!["/d=9", "/f=3", "/l>d"]),
        (tar().dir("f/").file("f/x", "9"), vec!["/d/", "/d/a=1", "/d/b=2", "/f/", "/f/x=9", "/l>d"]),
        // An entry behind a link of a lower layer lands where that leads; a directory in its place replaces it.
        (tar().file("l/c", "9"), vec!["/d/", "/d/a=1", "/d/b=2", "/d/c=9", "/f=3", "/l>d"]),
        (tar().dir("l/").file("l/c", "9"), vec!["/d/", "/d/a=1", "/d/b=2", "/f=3", "/l/", "/l/c=9"]),
        (tar().file("d/.wh.a", ""), vec!["/d/", "/d/b=2", "/f=3", "/l>d"]),
        (tar().file(".wh.d", ""), vec!["/f=3", "/l>d"]),
        // What the layer itself brings stays, wherever its whiteout stands.
        (tar().dir("d/").file("d/c", "9").file("d/.wh..wh..opq", ""), vec!["/d/", "/d/c=9", "/f=3", "/l>d"]),
        (tar().file("d/a", "9").file("d/.wh.a", ""), vec!["/d/", "/d/a=9", "/d/b=2", "/f=3", "/l>d"]),
        (tar().file(".wh.nothing", ""), vec!["/d/", "/d/a=1", "/d/b=2", "/f=3", "/l>d"]),
    ] {
        assert_eq!(applied(&[below.clone(), upper]).unwrap(), expected);
    }
}

#[test]
fn names_of_a_file_outlive_each_other() {
    let below = tar().file("b", "1").hardlink("c", "b");
    assert_eq!(applied(std::slice::from_ref(&below)).unwrap(), ["/b=1", "/c~/b"]);
    assert_eq!(applied(&[below.clone(), tar().file(".wh.b", "")]).unwrap(), ["/c=1"]);
    assert_eq!(applied(&[below.clone(), tar().file("b", "9")]).unwrap(), ["/b=9", "/c=1"]);
    // A link to a file of a lower layer; the first name in order is the file.
    assert_eq!(applied(&[below.clone(), tar().hardlink("a", "c")]).unwrap(), ["/a=1", "/b~/a", "/c~/a"]);
    assert_eq!(applied(&[below, tar().hardlink("a", "nope")]).unwrap_err(), "/a: its target is no file");
}

#[test]
fn what_no_honest_layer_has_is_refused_by_its_name() {
    for (layer, expected) in [
        (tar().raw(b'3', b"dev/null", b"", 0o666, b""), "devices and FIFOs do not belong in an image"),
        (tar().file("../x", ""), "leads out"),
        (tar().file("a", "1").file("a", "2"), "the layer has this path twice"),
        (tar().symlink("l", "/etc").file("l/x", ""), "it goes through a symbolic link of the same layer"),
        (tar().file(".wh.a", "text"), "a whiteout is an empty file"),
    ] {
        let error = applied(&[layer]).unwrap_err();
        assert!(error.contains(expected), "{error}");
    }
    let below = tar().symlink("l", "d").dir("d/").file("d/a", "1").symlink("no", "where");
    let error = applied(&[below.clone(), tar().file("l/.wh.a", "")]).unwrap_err();
    assert_eq!(error, "/l/.wh.a: a whiteout behind a symbolic link");
    let error = applied(&[below, tar().file("no/x/y", "")]).unwrap_err();
    assert_eq!(error, "/no/x/y: a link above it leads nowhere");
}
