//! Expected modes follow from the table of the module; capabilities are the attribute of `capabilities(7)`.

use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::Metadata;

use super::*;
use crate::sources::testing::World;

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

/// Files of a package with a set-id bit, a second name, a capability, and a directory; `/bin` leads to `/usr/bin`.
fn tree() -> Tree {
    let owner = Component::new("debian", "x");
    let file = |mode| Node::file(&owner, Metadata::root(mode, 0), Content::inline(*b""));
    let mut capable = file(0o755);
    capable.meta.xattrs.insert(CAPABILITY.into(), vec![1, 0, 0, 2]);
    capable.meta.xattrs.insert(b"user.note".into(), vec![]);
    let mut second = file(0o4755);
    second.kind = NodeKind::Hardlink(path("usr/bin/sudo"));
    let mut tree = Tree::new();
    for (name, node) in [
        ("bin", Node::symlink(&owner, 0, "usr/bin")),
        ("usr/bin/su", file(0o4755)),
        ("usr/bin/sudo", file(0o4755)),
        ("usr/bin/sudoedit", second),
        ("usr/bin/ping", capable),
        ("usr/bin/ls", file(0o755)),
        ("var/mail", Node::directory(&owner, Metadata::root(0o2775, 0))),
        ("tmp", Node::directory(&owner, Metadata::root(0o1777, 0))),
    ] {
        tree.insert(path(name), node);
    }
    tree.complete(&owner, 0).unwrap();
    tree
}

/// What has bits or capabilities afterwards, and what is told.
fn settled(more: &str) -> Result<(Vec<String>, Vec<String>), BitsError> {
    let world = World::new();
    let project = world.project(&format!("name = 'x'\n{more}"));
    let mut tree = tree();
    let notes = settle(&mut tree, &project.manifest)?;
    let with = tree.iter().filter(|(_, node)| has_any(node) || node.meta.mode & 0o1000 != 0);
    Ok((with.map(|(path, node)| format!("{path} {:o}", node.meta.mode)).collect(), notes))
}

#[test]
fn bits_and_capabilities_stay_where_the_policy_keeps_them_and_are_named_elsewhere() {
    let all = [
        "/tmp 1777",
        "/usr/bin/ping 755",
        "/usr/bin/su 4755",
        "/usr/bin/sudo 4755",
        "/usr/bin/sudoedit 4755",
        "/var/mail 2775",
    ];
    let of = |names: &[&str]| -> Vec<&str> {
        all.into_iter().filter(|line| names.iter().any(|name| line.starts_with(name))).collect()
    };
    for (policy, kept) in [
        ("", of(&["/tmp"])),
        ("set-id = 'strip'", of(&["/tmp"])),
        ("set-id = 'keep'", all.to_vec()),
        ("set-id = { keep = [] }", of(&["/tmp"])),
        ("set-id = { keep = ['/bin/su'] }", of(&["/tmp", "/usr/bin/su "])),
        // One file has one mode, whichever of its names is kept.
        ("set-id = { keep = ['/usr/bin/sudo'] }", of(&["/tmp", "/usr/bin/sudo"])),
        ("set-id = { keep = ['/usr/bin/sudoedit'] }", of(&["/tmp", "/usr/bin/sudo"])),
        ("set-id = { keep = ['/usr/bin/ping', '/var/mail'] }", of(&["/tmp", "/usr/bin/ping", "/var/mail"])),
    ] {
        assert_eq!(settled(&format!("[policy]\n{policy}\n")).unwrap().0, kept, "{policy}");
    }
    assert_eq!(
        settled("").unwrap().1,
        [
            "set-id bits are taken off `/usr/bin/su`, `/usr/bin/sudo`, `/usr/bin/sudoedit` and a directory; `[policy] set-id` \
             can keep them",
            "capabilities are taken off `/usr/bin/ping`; `[policy] set-id` can keep them",
        ]
    );
    assert_eq!(settled("[policy]\nset-id = 'keep'\n").unwrap().1, Vec::<String>::new());
}

#[test]
fn what_is_asked_for_with_bits_is_kept_or_refused_and_the_hint_can_be_pasted() {
    let entries = "[[file]]\npath = '/opt/\"s'\ncontent = ''\nmode = '4755'\n[[dir]]\npath = '/srv'\nmode = '2775'\n\
                   [[file]]\npath = '/opt/plain'\ncontent = ''\nmode = '1755'\n";
    let error = settled(entries).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`/opt/\"s`, `/srv` are asked for with set-id bits, and the policy takes them off"
    );
    assert_eq!(error.kind(), Kind::Refused);
    let world = World::new();
    let block: Vec<String> = error.block().iter().map(ToString::to_string).collect();
    let project = world.project(&format!("name = 'x'\n{entries}{}\n", block.join("\n")));
    let mut tree = tree();
    let owner = Component::generated("files");
    for (name, mode) in [("opt/\"s", 0o4755), ("opt/other", 0o4755)] {
        tree.insert(path(name), Node::file(&owner, Metadata::root(mode, 0), Content::inline(*b"")));
    }
    tree.insert(path("srv"), Node::directory(&owner, Metadata::root(0o2775, 0)));
    settle(&mut tree, &project.manifest).unwrap();
    assert_eq!(tree.get(&path("opt/\"s")).unwrap().meta.mode, 0o4755);
    assert_eq!(tree.get(&path("srv")).unwrap().meta.mode, 0o2775);
    assert_eq!(tree.get(&path("opt/other")).unwrap().meta.mode, 0o755);
}

#[test]
fn a_path_that_keeps_nothing_is_refused() {
    for at in ["/usr/bin/ls", "/nowhere", "/tmp", "/bin"] {
        let error = settled(&format!("[policy]\nset-id = {{ keep = ['{at}', '/bin/su'] }}\n")).unwrap_err();
        let expected =
            format!("`[policy] set-id` keeps nothing at `{at}`: there is no set-id bit and no capability");
        assert_eq!(error.to_string(), expected);
    }
}
