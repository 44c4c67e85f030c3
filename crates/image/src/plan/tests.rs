use pinfold_archive::Content;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::Tree;
use pinfold_base::ImagePath;

use super::*;

fn size(name: &str, bytes: u64, volatility: Volatility) -> ComponentSize {
    ComponentSize {
        component: name.into(),
        bytes,
        volatility,
        sharing: Sharing::Auto,
        built_on: BTreeSet::new(),
    }
}

const MIB: u64 = 1 << 20;

/// A bookworm-like set: many small packages, some big ones, agents, generated files.
fn many(count: u64) -> Vec<ComponentSize> {
    let mut all: Vec<_> = (0..count)
        .map(|number| {
            // A multiplicative generator: long-tailed sizes between 4 KiB and about 150 MiB.
            let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            let bytes = 4_096 + random % 400_000 * if random % 19 == 0 { 400 } else { 1 };
            let volatility = if number % 50 == 0 { Volatility::Weekly } else { Volatility::Stable };
            size(&format!("debian/p{number}"), bytes, volatility)
        })
        .collect();
    for agent in ["claude-code", "codex", "gemini-cli", "opencode"] {
        all.push(size(&format!("npm/{agent}"), 200 * MIB, Volatility::Volatile));
    }
    all.push(size("generated/passwd", 1_000, Volatility::Stable));
    all.push(size("generated/ld.so.cache", 20_000, Volatility::Stable));
    all
}

fn names(assignment: &Assignment) -> Vec<&str> {
    assignment.layers.iter().map(|layer| layer.name.as_str()).collect()
}

fn placed(assignment: &Assignment) -> BTreeMap<&str, &str> {
    let pairs = assignment
        .layers
        .iter()
        .flat_map(|layer| layer.components.iter().map(|component| (component.as_str(), layer.name.as_str())));
    pairs.collect()
}

#[test]
fn every_component_is_in_exactly_one_layer() {
    for count in [0, 1, 5, 60, 542, 3_000] {
        for max in [1, 2, 3, 7, 20, 64, 100] {
            let sizes = many(count);
            let assignment = Assignment::new(&sizes, None, max);
            assert!(assignment.layers.len() <= max, "{count} components, {max} layers");
            let total: usize = assignment.layers.iter().map(|layer| layer.components.len()).sum();
            assert_eq!((total, placed(&assignment).len()), (sizes.len(), sizes.len()));
            assert!(assignment.layers.iter().all(|layer| !layer.components.is_empty()));
            let mut unique = names(&assignment);
            unique.sort_unstable();
            unique.dedup();
            assert_eq!(unique.len(), assignment.layers.len());
        }
    }
}

#[test]
fn agents_are_alone_and_generated_files_last() {
    let assignment = Assignment::new(&many(542), None, 100);
    let found = names(&assignment);
    assert_eq!(
        found[found.len() - 5..],
        ["npm/claude-code", "npm/codex", "npm/gemini-cli", "npm/opencode", "generated"]
    );
    assert_eq!(assignment.layers.last().unwrap().components, ["generated/ld.so.cache", "generated/passwd"]);
    let first_weekly = found.iter().position(|name| name.starts_with("weekly")).unwrap();
    assert!(found[..first_weekly].iter().any(|name| name.starts_with("stable-")));
}

#[test]
fn the_order_of_input_does_not_matter() {
    let mut sizes = many(542);
    let one = Assignment::new(&sizes, None, 64);
    sizes.reverse();
    assert_eq!(one, Assignment::new(&sizes, None, 64));
}

#[test]
fn only_new_and_removed_components_move() {
    let mut sizes = many(542);
    let before = Assignment::new(&sizes, None, 100);
    let removed = sizes.remove(17).component;
    // Everything else grows beyond what would have put it elsewhere.
    for size in &mut sizes {
        size.bytes *= 3;
    }
    sizes.push(size("debian/new-small", 1_000, Volatility::Stable));
    sizes.push(size("debian/new-big", 90 * MIB, Volatility::Stable));
    sizes.push(size("npm/new-agent", MIB, Volatility::Volatile));
    let after = Assignment::new(&sizes, Some(&before), 100);
    let (old, new) = (placed(&before), placed(&after));
    for (component, layer) in &old {
        if *component != removed.as_str() {
            assert_eq!(new[component], *layer, "{component} moved");
        }
    }
    assert!(!new.contains_key(removed.as_str()));
    assert!(new["debian/new-small"].starts_with("stable-"));
    assert_eq!((new["debian/new-big"], new["npm/new-agent"]), ("debian/new-big", "npm/new-agent"));
    // And again with nothing new: nothing moves at all.
    assert_eq!(Assignment::new(&sizes, Some(&after), 100), after);
}

/// Without the past, a component more or less leaves almost all others where they are, too: bins go by name.
#[test]
fn neighbours_do_not_matter_without_a_past() {
    let sizes = many(542);
    let (one, two) = (Assignment::new(&sizes, None, 100), Assignment::new(&sizes[1..], None, 100));
    let (one, two) = (placed(&one), placed(&two));
    let moved = two.iter().filter(|(component, layer)| one[*component] != **layer).count();
    assert!(moved <= 3, "{moved} of {} moved", two.len());
}

#[test]
fn the_manifest_can_ask_for_a_layer() {
    let mut sizes = many(20);
    let before = Assignment::new(&sizes, None, 100);
    let wanted = &mut sizes[3];
    assert_ne!(placed(&before)[wanted.component.as_str()], wanted.component.as_str());
    wanted.sharing = Sharing::Alone;
    let name = wanted.component.clone();
    for previous in [None, Some(&before)] {
        let after = Assignment::new(&sizes, previous, 100);
        assert_eq!(placed(&after)[name.as_str()], name.as_str());
    }
}

#[test]
fn layers_are_split_between_components() {
    // 64 equal components of 60 MiB: none is big among its equals, so all go to bins.
    let sizes: Vec<_> =
        (0..64).map(|number| size(&format!("x/{number}"), 60 * MIB, Volatility::Stable)).collect();
    let assignment = Assignment::new(&sizes, None, 100);
    for layer in &assignment.layers {
        let bytes = 60 * MIB * layer.components.len() as u64;
        assert!(estimate_compressed(bytes) <= SPLIT_BYTES, "{}", layer.name);
    }
    assert!(names(&assignment).iter().any(|name| name.ends_with(".1")), "{assignment}");
    // One component above the cap stays whole.
    let huge = Assignment::new(&[size("x/huge", 4 << 30, Volatility::Stable)], None, 100);
    assert_eq!(huge.layers.len(), 1);
}

/// The vectors of FNV's authors (draft-eastlake-fnv, 64 bits): empty, `a`, `foobar`.
#[test]
fn the_hash_is_fnv_1a() {
    assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
    assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
}

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

fn file(owner: &str) -> Node {
    Node::file(&owner.into(), Metadata::root(0o644, 1), Content::inline(&b"x"[..]))
}

fn two_layers() -> Assignment {
    let layer = |name: &str| LayerPlan { name: name.into(), components: vec![name.into()] };
    Assignment { layers: vec![layer("a/a"), layer("b/b"), layer("generated/base")] }
}

fn sample() -> Tree {
    let mut tree = Tree::new();
    tree.insert(path("usr/bin/a"), file("a/a"));
    tree.insert(path("usr/bin/b"), file("b/b"));
    tree.insert(path("opt"), Node::directory(&"b/b".into(), Metadata::root(0o700, 5)));
    tree.insert(path("bin"), Node::symlink(&"a/a".into(), 1, "usr/bin"));
    let link = Node { kind: NodeKind::Hardlink(path("usr/bin/a")), ..file("b/b") };
    tree.insert(path("opt/link"), link);
    tree.complete(&"generated/base".into(), 1).unwrap();
    tree
}

use pinfold_archive::NodeKind;

#[test]
fn layers_have_all_parents_and_no_more() {
    let tree = sample();
    let layers = split(&tree, &BTreeSet::new(), &two_layers()).unwrap();
    let paths = |at: usize| layers[at].1.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>();
    // The hard link is where its file is, with the directory of another component above it.
    assert_eq!(paths(0), ["/", "/bin", "/opt", "/opt/link", "/usr", "/usr/bin", "/usr/bin/a"]);
    assert_eq!(paths(1), ["/", "/opt", "/usr", "/usr/bin", "/usr/bin/b"]);
    assert_eq!(paths(2), ["/", "/usr", "/usr/bin"]);
    // Laid over each other they are the tree again: directories are the same everywhere, nothing else is there twice.
    let mut joined = Tree::new();
    for (_, layer) in layers {
        for (path, node) in layer {
            if let Some(old) = joined.insert(path.clone(), node.clone()) {
                assert!(old == node && node.is_directory(), "{path}");
            }
        }
    }
    assert_eq!(joined, tree);
}

#[test]
fn what_is_in_a_store_is_in_the_same_layer_whoever_has_the_store() {
    let layers = |uid: u32| {
        let mut tree = sample();
        let meta = Metadata::root(0o755, 1).owned_by(uid, uid);
        tree.insert(path("usr/bin"), Node::directory(&"b/b".into(), meta));
        let layers = split(&tree, &BTreeSet::from([path("usr/bin")]), &two_layers()).unwrap();
        layers.into_iter().map(|(_, layer)| layer).collect::<Vec<_>>()
    };
    let (one, other) = (layers(0), layers(1000));
    // Only the layer of the directory itself says whose it is.
    assert_eq!(one[0], other[0]);
    assert_ne!(one[1], other[1]);
    assert_eq!(other[0].get(&path("usr/bin")).unwrap().meta.uid, 0);
    assert_eq!(other[1].get(&path("usr/bin")).unwrap().meta.uid, 1000);
}

#[test]
fn a_directory_over_a_link_cannot_happen() {
    let mut tree = sample();
    // usrmerge: `bin` is a link, and somebody placed a file below it (rules_oci#857).
    tree.insert(path("bin/trap"), file("b/b"));
    let error = split(&tree, &BTreeSet::new(), &two_layers()).unwrap_err();
    assert_eq!(error.to_string(), "`/bin` above `/bin/trap` is no directory of the tree");
}

#[test]
fn mistakes_are_named() {
    let mut tree = sample();
    tree.insert(path("usr/c"), file("c/c"));
    assert!(matches!(split(&tree, &BTreeSet::new(), &two_layers()), Err(SplitError::Unassigned { .. })));
    let mut tree = sample();
    tree.insert(path("h"), Node { kind: NodeKind::Hardlink(path("nowhere")), ..file("a/a") });
    assert!(matches!(split(&tree, &BTreeSet::new(), &two_layers()), Err(SplitError::Link { .. })));
}
