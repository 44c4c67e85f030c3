use pinfold_archive::Component;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::encode::Reuse;
use pinfold_base::ImagePath;

use super::*;
use crate::sources::testing::World;

const BELIEVED: Writing = Writing { encoding: GZIP, records: Records::Believed };
const GZIP: Encoding = Encoding::Gzip { level: 6, reuse: Reuse::Never };

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

fn sample() -> Tree {
    let owner = Component::from("debian/a");
    let mut tree = Tree::new();
    tree.insert(path("a"), Node::directory(&owner, Metadata::root(0o755, 1)));
    tree.insert(path("a/f"), Node::file(&owner, Metadata::root(0o644, 1), Content::inline(*b"text")));
    tree.insert(path("a/l"), Node::symlink(&owner, 1, "f"));
    tree
}

#[test]
fn the_key_is_another_for_everything_that_decides_bytes_and_for_nothing_else() {
    type Edit = fn(&mut Tree);
    let edits: [(&str, bool, Edit); 12] = [
        ("nothing", true, |_| {}),
        ("who owns a component", true, |tree| tree.get_mut(&path("a/f")).unwrap().owner = "npm/b".into()),
        ("a mode", false, |tree| tree.get_mut(&path("a")).unwrap().meta.mode = 0o700),
        ("an owner", false, |tree| tree.get_mut(&path("a")).unwrap().meta.uid = 1),
        ("a group", false, |tree| tree.get_mut(&path("a")).unwrap().meta.gid = 1),
        ("a time", false, |tree| tree.get_mut(&path("a")).unwrap().meta.mtime = 2),
        ("an attribute", false, |tree| {
            tree.get_mut(&path("a/f")).unwrap().meta.xattrs.insert(b"user.x".to_vec(), b"y".to_vec());
        }),
        ("a byte", false, |tree| {
            tree.get_mut(&path("a/f")).unwrap().kind = NodeKind::File(Content::inline(*b"tExt"));
        }),
        ("a target", false, |tree| {
            tree.get_mut(&path("a/l")).unwrap().kind = NodeKind::Symlink((*b"g").into());
        }),
        ("a kind", false, |tree| tree.get_mut(&path("a/l")).unwrap().kind = NodeKind::Hardlink(path("f"))),
        ("a name", false, |tree| {
            let node = tree.remove(&path("a/l")).unwrap();
            tree.insert(path("a/m"), node);
        }),
        ("a node less", false, |tree| drop(tree.remove(&path("a/l")))),
    ];
    for (what, same, edit) in edits {
        let mut tree = sample();
        edit(&mut tree);
        assert_eq!(key(&tree, &GZIP) == key(&sample(), &GZIP), same, "{what}");
    }
    assert_ne!(key(&sample(), &GZIP), key(&sample(), &Encoding::Zstd { level: 3 }));
    assert_ne!(key(&sample(), &GZIP), key(&sample(), &Encoding::Gzip { level: 6, reuse: Reuse::Publisher }));
}

#[test]
fn names_cannot_be_made_to_look_like_two() {
    let owner = Component::from("debian/a");
    let tree = |names: &[&[u8]]| {
        let mut tree = Tree::new();
        for name in names {
            tree.insert(ImagePath::new(name).unwrap(), Node::directory(&owner, Metadata::root(0o755, 0)));
        }
        key(&tree, &GZIP)
    };
    assert_ne!(tree(&[b"a 755 0 0 0 dir\n1:b"]), tree(&[b"a", b"b"]));
}

#[test]
fn a_layer_is_written_once_and_again_when_its_blob_is_gone_or_cut() {
    let world = World::new();
    let context = world.online();
    let tree = sample();
    let (first, work) = layer(&context, "l", &tree.clone().into(), &BELIEVED).unwrap();
    assert_eq!(work, Work::Encoded);
    let blob = blob_path(&context, &first.digest);
    let bytes = fs::read(&blob).unwrap();
    assert_eq!((Digest::sha256(&bytes), bytes.len() as u64), (first.digest.clone(), first.size));
    let again = |expected| {
        let (layer, work) = layer(&context, "l", &tree.clone().into(), &BELIEVED).unwrap();
        assert_eq!((layer, work), (first.clone(), expected));
    };
    again(Work::Cached);
    fs::remove_file(&blob).unwrap();
    again(Work::Encoded);
    fs::write(&blob, &bytes[1..]).unwrap();
    again(Work::Encoded);
    let record = record_path(&context, &key(&tree, &GZIP));
    fs::write(&record, "{}").unwrap();
    again(Work::Encoded);
    again(Work::Cached);
}
