//! Install scripts: the evaluator of shell over a tree.

use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_base::ImagePath;
use pinfold_sources::debian::script;

/// Little enough that the fuzzer tries many.
const FUEL: u64 = 20 << 20;
/// Most nodes that so much fuel can make, beside those that are there.
const MAX_NODES: usize = 10_000;

/// Any bytes as an install script over a small tree: it ends, and what it has made is a tree.
pub fn script(bytes: &[u8]) {
    let mut tree = small();
    let before = tree.len();
    let _ = script::try_out(bytes, &mut tree, FUEL);
    assert!(tree.len() <= before + MAX_NODES, "{} nodes", tree.len());
    for (path, node) in tree.iter() {
        let first = path.components().next().unwrap_or_default();
        assert!(!matches!(first, b"proc" | b"sys" | b"dev"), "{path} is outside");
        if let Some(parent) = path.parent() {
            assert!(tree.get(&parent).is_some_and(Node::is_directory), "{path} stands in no directory");
        }
        if let NodeKind::Hardlink(file) = &node.kind {
            let there = tree.get(file).is_some_and(|node| matches!(node.kind, NodeKind::File(_)));
            assert!(there, "{path} is a name of {file}, which is no file");
        }
        assert!(node.meta.mode & !0o7777 == 0, "{path} has the mode {:o}", node.meta.mode);
    }
}

fn small() -> Tree {
    let owner = Component::generated("fuzz");
    let mut tree = Tree::new();
    let path = |name: &str| ImagePath::new(name).unwrap_or_default();
    for name in ["", "a", "a/b", "etc", "tmp", "usr", "usr/bin", "var", "var/lib"] {
        tree.insert(path(name), Node::directory(&owner, Metadata::root(0o755, 0)));
    }
    for (name, text) in [
        ("a/f", "one\ntwo  three\n"),
        ("a/b/g", "k=v\n"),
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        ("usr/bin/x", "#!/bin/sh\necho \"$0\" \"$@\"\n"),
    ] {
        let node = Node::file(&owner, Metadata::root(0o755, 0), Content::inline(text.as_bytes()));
        tree.insert(path(name), node);
    }
    for (name, target) in [("bin", "usr/bin"), ("a/loop", "loop"), ("a/up", "../.."), ("a/none", "/nothing")]
    {
        tree.insert(path(name), Node::symlink(&owner, 0, target));
    }
    let link =
        Node { kind: NodeKind::Hardlink(path("a/f")), ..Node::directory(&owner, Metadata::root(0o755, 0)) };
    tree.insert(path("a/h"), link);
    tree
}
