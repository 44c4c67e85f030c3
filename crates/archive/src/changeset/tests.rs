use super::*;
use crate::layer::Change;
use crate::layer::Rules;
use crate::tar;
use crate::tree::InlineOnly;

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

/// `PATH` a directory, `PATH=TEXT` a file, `PATH>TARGET` a link, `PATH~FILE` another name.
fn tree(words: &[&str]) -> Tree {
    let owner = Component::from("x/y");
    let mut tree = Tree::new();
    for word in words {
        let at = word.find(['=', '>', '~']).unwrap_or(word.len());
        let (name, rest) = word.split_at(at);
        let kind = match rest.split_at_checked(1) {
            Some(("=", text)) => NodeKind::File(Content::inline(text.as_bytes())),
            Some((">", target)) => NodeKind::Symlink(target.as_bytes().into()),
            Some(("~", file)) => NodeKind::Hardlink(path(file)),
            _ => NodeKind::Directory,
        };
        let meta = Metadata::root(0o755, 1);
        tree.insert(path(name), Node { kind, meta, owner: owner.clone() });
    }
    tree.complete(&owner, 1).unwrap();
    tree
}

fn told(difference: &Difference) -> String {
    let words =
        |paths: &BTreeSet<ImagePath>| paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    format!("+ {} - {}", words(&difference.come), words(&difference.gone))
}

#[test]
fn what_comes_and_what_goes() {
    let below = tree(&["d/a=1", "d/b=2", "d/e/f=3", "l>d", "h=4", "k~h"]);
    for (now, expected) in [
        (&["d/a=1", "d/b=2", "d/e/f=3", "l>d", "h=4", "k~h"][..], "+  - "),
        (&["d/a=1", "d/e/f=3", "l>d", "h=4", "k~h"], "+  - /d/b"),
        // With a directory goes what is in it.
        (&["d/a=1", "d/b=2", "l>d", "h=4", "k~h"], "+  - /d/e"),
        // What stands in its place hides it by itself.
        (&["d>x", "l>d", "h=4", "k~h"], "+ /d - "),
        (&["d/a=1", "d/b=2", "d/e/f=3", "l/x=1", "h=4", "k~h"], "+ /l /l/x - "),
        (&["d/a/x=1", "d/b=2", "d/e/f=3", "l>d", "h=4", "k~h"], "+ /d/a /d/a/x - "),
        // A file comes with all of its names.
        (&["d/a=1", "d/b=2", "d/e/f=3", "l>d", "h=5", "k~h"], "+ /h /k - "),
        (&["d/a=1", "d/b=2", "d/e/f=3", "l>d", "h=4", "k~h", "m~h"], "+ /h /k /m - "),
        (&["d/a=1", "d/b=2", "d/e/f=3", "l>d", "k=4"], "+ /k - /h"),
    ] {
        assert_eq!(told(&difference(&below, &tree(now))), expected, "{now:?}");
    }
}

#[test]
fn the_time_of_a_directory_is_no_difference_and_its_mode_is() {
    let below = tree(&["d/a=1"]);
    let mut now = below.clone();
    now.get_mut(&path("d")).unwrap().meta.mtime = 9;
    assert_eq!(difference(&below, &now), Difference::default());
    now.get_mut(&path("d")).unwrap().meta.mode = 0o700;
    assert_eq!(told(&difference(&below, &now)), "+ /d - ");
    // And that of a file is one.
    now.get_mut(&path("d/a")).unwrap().meta.mtime = 9;
    assert_eq!(told(&difference(&below, &now)), "+ /d /d/a - ");
}

#[test]
fn whiteouts_are_written_where_a_changeset_has_them_and_nowhere_else() {
    let mut layer = Changeset::from(tree(&["d"]));
    layer.hide(&path("d/b"), &Component::from("x/y"));
    let mut bytes = Vec::new();
    for piece in tar::write::pieces_of(&layer) {
        match piece.unwrap() {
            tar::write::Piece::Bytes(part) | tar::write::Piece::Dense(part) => bytes.extend(part),
            tar::write::Piece::File { .. } => panic!("a whiteout is empty"),
        }
    }
    let mut reader = tar::Reader::new(&bytes[..], tar::Strictness::LAYER, tar::Limits::default());
    let mut rules = Rules::default();
    let mut changes = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        changes.push(rules.judge(&entry).unwrap());
    }
    assert_eq!(changes, [Change::Put(path("d")), Change::Hide(path("d/b"))]);
    // The same tree without the list is refused.
    assert!(tar::write::write(layer.tree(), &InlineOnly, Vec::new()).is_err());
}
