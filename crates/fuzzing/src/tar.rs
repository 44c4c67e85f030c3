//! The tar reader.

use std::io::Read;

use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::Node;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_archive::tar;
use pinfold_archive::tar::EntryKind;
use pinfold_archive::tree::InlineOnly;

/// The tar reader: never panics, and what it accepts as a package can be written and read again.
pub fn tar(bytes: &[u8]) {
    let limits = tar::Limits { entries: 1000, total: 1 << 20, ..tar::Limits::default() };
    let mut layer = tar::Reader::new(bytes, tar::Strictness::LAYER, limits);
    while let Ok(Some(_)) = layer.next_entry() {}

    let mut tree = Tree::new();
    let owner = Component::generated("fuzz");
    let mut reader = tar::Reader::new(bytes, tar::Strictness::PACKAGE, limits);
    loop {
        let entry = match reader.next_entry() {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            Err(_) => return,
        };
        let Ok(path) = entry.path() else { return };
        let mut content = Vec::new();
        if reader.read_to_end(&mut content).is_err() {
            return;
        }
        let kind = match entry.kind {
            EntryKind::Directory => NodeKind::Directory,
            EntryKind::File => NodeKind::File(Content::inline(content)),
            EntryKind::Symlink(target) => NodeKind::Symlink(target),
            EntryKind::Hardlink(_) | EntryKind::Special(_) => continue,
        };
        tree.insert(path, Node { kind, meta: entry.meta, owner: owner.clone() });
    }
    let mut once = Vec::new();
    if tar::write::write(&tree, &InlineOnly, &mut once).is_ok() {
        let mut again = tar::Reader::new(&once[..], tar::Strictness::PACKAGE, tar::Limits::default());
        while let Some(entry) = again.next_entry().expect("what we write is readable") {
            let path = entry.path().expect("what we write has names");
            assert_eq!(tree.get(&path).map(|node| &node.meta), Some(&entry.meta));
        }
    }
}
