//! Components that move with others.

use super::super::Assignment;
use super::super::Sharing;
use super::super::Volatility;
use super::*;

const MIB: u64 = 1 << 20;

fn size(name: &str, bytes: u64, on: &[&str]) -> ComponentSize {
    ComponentSize {
        component: name.into(),
        bytes,
        volatility: Volatility::Stable,
        sharing: Sharing::Auto,
        built_on: on.iter().chain([&name]).map(|&name| name.into()).collect(),
    }
}

/// Two families that have nothing in common but what all are built on: ten each, and a leaf that is built on everything.
fn families() -> Vec<ComponentSize> {
    let mut all = vec![size("nix/libc", 30 * MIB, &[])];
    for family in ["a", "b"] {
        let base = format!("nix/{family}");
        all.push(size(&base, MIB, &["nix/libc"]));
        all.extend((0..9).map(|number| size(&format!("nix/{family}-{number}"), MIB, &[&base])));
    }
    let names: Vec<String> = all.iter().map(|size| size.component.to_string()).collect();
    all.push(size("nix/leaf", 20 * MIB, &names.iter().map(String::as_str).collect::<Vec<_>>()));
    all
}

fn layer<'a>(assignment: &'a Assignment, component: &str) -> &'a str {
    let at = assignment.layer_of(&component.into()).unwrap();
    &assignment.layers[at].name
}

#[test]
fn what_moves_together_is_together() {
    let assignment = Assignment::new(&families(), None, 6);
    assert!(assignment.layers.len() <= 6, "{assignment}");
    assert_eq!((layer(&assignment, "nix/libc"), layer(&assignment, "nix/leaf")), ("nix/libc", "nix/leaf"));
    assert_ne!(layer(&assignment, "nix/a"), layer(&assignment, "nix/b"));
    // The control: by names alone they are.
    let apart: Vec<_> =
        families().into_iter().map(|size| ComponentSize { built_on: BTreeSet::new(), ..size }).collect();
    let by_name = Assignment::new(&apart, None, 6);
    assert!(by_name.layers.iter().any(|shared| {
        let has = |family: &str| shared.components.iter().any(|name| name.starts_with(family));
        has("nix/a") && has("nix/b")
    }));
}

#[test]
fn with_room_each_is_alone_and_the_order_of_input_does_not_matter() {
    let mut sizes = families();
    let alone = Assignment::new(&sizes, None, 60);
    assert_eq!(alone.layers.len(), sizes.len());
    let few = Assignment::new(&sizes, None, 5);
    sizes.reverse();
    assert_eq!(Assignment::new(&sizes, None, 60), alone);
    assert_eq!(Assignment::new(&sizes, None, 5), few);
    // Some bytes each are not worth a request.
    let small: Vec<_> = sizes.into_iter().map(|size| ComponentSize { bytes: 100, ..size }).collect();
    assert!(Assignment::new(&small, None, 60).layers.len() < small.len());
}

#[test]
fn what_is_in_a_layer_stays_there() {
    let mut sizes = families();
    let before = Assignment::new(&sizes, None, 8);
    assert_eq!(Assignment::new(&sizes, Some(&before), 8), before);
    // All grow, one goes, one is new.
    let gone = sizes.remove(5).component;
    for size in &mut sizes {
        size.bytes *= 3;
    }
    sizes.push(size("nix/b-new", MIB, &["nix/b"]));
    let after = Assignment::new(&sizes, Some(&before), 8);
    assert!(after.layers.len() <= 8 && after.layer_of(&gone).is_none());
    let with = |assignment: &Assignment, component: &Component| -> Vec<String> {
        let at = assignment.layer_of(component).unwrap();
        let others = assignment.layers[at].components.iter();
        others.filter(|name| **name != *gone.as_str() && *name != "nix/b-new").cloned().collect()
    };
    for size in sizes.iter().filter(|size| size.component.as_str() != "nix/b-new") {
        assert_eq!(with(&before, &size.component), with(&after, &size.component), "{before}{after}");
    }
    let beside = with(&after, &"nix/b-new".into());
    assert!(beside.iter().all(|name| name.starts_with("nix/b")), "{after}");
}

#[test]
fn circles_and_what_the_manifest_wants_alone_are_no_trouble() {
    let mut sizes = families();
    // Outputs of one derivation refer to each other.
    sizes.push(size("nix/one", MIB, &["nix/other", "nix/a"]));
    sizes.push(size("nix/other", MIB, &["nix/one"]));
    let origins = {
        let sizes: BTreeMap<&str, &ComponentSize> =
            sizes.iter().map(|size| (size.component.as_str(), size)).collect();
        Origins::of(&sizes).all([&"nix/other".into()]).count()
    };
    assert_eq!(origins, 4, "both, `a` and `libc`");
    let wanted = sizes.iter_mut().find(|size| size.component.as_str() == "nix/a-3").unwrap();
    wanted.sharing = Sharing::Alone;
    for max in [2, 3, 5, 60] {
        let assignment = Assignment::new(&sizes, None, max);
        assert!(assignment.layers.len() <= max, "{assignment}");
        if max > 3 {
            assert_eq!(layer(&assignment, "nix/a-3"), "nix/a-3");
        }
    }
}

/// More than are weighed against each other.
#[test]
fn thousands_are_put_in_rows_first() {
    let sizes: Vec<_> = (0..2_000_u64)
        .map(|number| size(&format!("nix/p{number}"), number * 1_000, &[&format!("nix/p{}", number / 2)]))
        .collect();
    let assignment = Assignment::new(&sizes, None, 40);
    let all: usize = assignment.layers.iter().map(|layer| layer.components.len()).sum();
    assert_eq!((all, assignment.layers.len() <= 40), (sizes.len(), true));
}
