use pinfold_archive::Content;
use pinfold_archive::Metadata;

use super::*;

fn path(text: &str) -> ImagePath {
    ImagePath::new(text).unwrap()
}

/// A tree of lines `OWNER PATH WHAT`: `/` a directory, `-> X` a link, `= X` a hard link, else the text of a file.
fn tree(lines: &str) -> Tree {
    let mut tree = Tree::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (owner, rest) = line.split_once(' ').unwrap();
        let (at, what) = rest.split_once(' ').unwrap();
        let owner = Component::from(owner);
        let meta = Metadata::root(0o755, 1);
        let node = match what.split_once(' ') {
            Some(("->", target)) => Node::symlink(&owner, 1, target),
            Some(("=", target)) => Node { kind: NodeKind::Hardlink(path(target)), meta, owner },
            _ if what == "/" => Node::directory(&owner, meta),
            _ => Node::file(&owner, meta, Content::inline(what.as_bytes())),
        };
        tree.insert(path(at), node);
    }
    tree
}

const SYSTEM: &str = "
    debian/bash /etc/bash.bashrc shipped
    debian/base-files /var/run -> /run
    debian/coreutils /usr/bin/cat cat
    debian/coreutils /usr/bin/kitten = /usr/bin/cat
    debian/coreutils /usr/bin/tiger = /usr/bin/cat
    debian/ncurses /usr/bin/clear -> /bin/cat
    debian/ncurses /usr/share/tabset/std std
    generated/base /bin -> usr/bin
    generated/base /lib -> usr/lib
    generated/base /run /
    generated/base /usr/lib /
    generated/accounts /etc/passwd root";

fn system() -> Tree {
    let mut tree = tree(SYSTEM);
    tree.complete(&Component::generated("base"), 1).unwrap();
    tree
}

fn laid(own: &str, replace: &[&str]) -> Result<(Tree, Vec<String>), OverlayError> {
    let mut made = system();
    let replace = replace.iter().map(|name| path(name)).collect();
    let replaced = lay(&mut made, tree(own), &replace, &[path("/etc/bash.bashrc")].into())?;
    made.complete(&Component::generated("base"), 1).unwrap();
    Ok((made, replaced.into_iter().map(|one| format!("{} {}", one.path, one.of)).collect()))
}

/// What differs from the system, as lines of [`tree`].
fn differs(made: &Tree) -> Vec<String> {
    let before = system();
    let shown = |path: &ImagePath, node: &Node| match &node.kind {
        NodeKind::Directory => format!("{} {path} /", node.owner),
        NodeKind::File(Content::Inline(bytes)) => {
            format!("{} {path} {}", node.owner, String::from_utf8_lossy(bytes))
        }
        NodeKind::File(_) => unreachable!(),
        NodeKind::Symlink(target) => format!("{} {path} -> {}", node.owner, String::from_utf8_lossy(target)),
        NodeKind::Hardlink(target) => format!("{} {path} = {target}", node.owner),
    };
    let gone = before.iter().filter(|(path, _)| !made.contains(path)).map(|(path, _)| format!("- {path}"));
    let new = made.iter().filter(|(path, node)| before.get(path) != Some(*node));
    gone.chain(new.map(|(path, node)| shown(path, node))).collect()
}

/// Right values: `mkdir -p`, `cp --remove-destination` and `ln -sfn` into a root with the same files.
#[test]
fn own_entries_stand_where_links_lead_and_take_what_gives_way() {
    type Lines = &'static [&'static str];
    let table: &[(&str, Lines, Lines, Lines)] = &[
        ("generated/files /lib/mylib x", &[], &["generated/files /usr/lib/mylib x"], &[]),
        ("generated/files /var/run/x x", &[], &["generated/files /run/x x"], &[]),
        (
            "generated/files /opt/cur -> v1
             generated/files /opt/cur/f x",
            &[],
            &[
                "generated/base /opt /",
                "generated/files /opt/cur -> v1",
                "generated/base /opt/v1 /",
                "generated/files /opt/v1/f x",
            ],
            &[],
        ),
        ("generated/files /lib /", &[], &["generated/files /usr/lib /"], &[]),
        (
            "generated/files /etc/bash.bashrc x",
            &[],
            &["generated/files /etc/bash.bashrc x"],
            &["/etc/bash.bashrc debian/bash"],
        ),
        (
            "generated/files /etc/bash.bashrc -> x",
            &[],
            &["generated/files /etc/bash.bashrc -> x"],
            &["/etc/bash.bashrc debian/bash"],
        ),
        (
            "generated/files /etc/passwd x",
            &[],
            &["generated/files /etc/passwd x"],
            &["/etc/passwd generated/accounts"],
        ),
        (
            "generated/files /bin/cat x",
            &["/bin/cat"],
            &[
                "generated/files /usr/bin/cat x",
                "debian/coreutils /usr/bin/kitten cat",
                "debian/coreutils /usr/bin/tiger = /usr/bin/kitten",
            ],
            &["/usr/bin/cat debian/coreutils"],
        ),
        (
            "generated/files /usr/bin/kitten x",
            &["/usr/bin/kitten"],
            &["generated/files /usr/bin/kitten x"],
            &["/usr/bin/kitten debian/coreutils"],
        ),
        (
            "generated/files /usr/share/tabset -> x",
            &["/usr/share/tabset"],
            &["- /usr/share/tabset/std", "generated/files /usr/share/tabset -> x"],
            &["/usr/share/tabset generated/base"],
        ),
        (
            "generated/files /usr/share/tabset /
             generated/files /usr/share/tabset/mine -> x",
            &["/usr/share/tabset"],
            &[
                "- /usr/share/tabset/std",
                "generated/files /usr/share/tabset /",
                "generated/files /usr/share/tabset/mine -> x",
            ],
            &["/usr/share/tabset generated/base"],
        ),
    ];
    for (own, replace, expected, replaced) in table {
        let (made, told) = laid(own, replace).unwrap_or_else(|error| panic!("{own}: {error}"));
        assert_eq!(differs(&made), *expected, "{own}");
        assert_eq!(told, *replaced, "{own}");
    }
}

#[test]
fn what_a_package_has_is_taken_only_when_that_is_said() {
    for (own, expected) in [
        (
            "generated/files /bin/cat x",
            "`/bin/cat` is claimed by two components: file of `debian/coreutils` and file of `generated/files`",
        ),
        (
            "generated/files /usr/bin/clear -> x",
            "`/usr/bin/clear` is claimed by two components: symbolic link of `debian/ncurses` and symbolic link of `generated/files`",
        ),
        (
            "generated/files /usr/share/tabset x",
            "`/usr/share/tabset` is claimed by two components: directory of `debian/ncurses` and file of `generated/files`",
        ),
        (
            "generated/files /etc/passwd /",
            "`/etc/passwd` is claimed by two components: file of `generated/accounts` and directory of `generated/files`",
        ),
        (
            "generated/files /lib x",
            "`/lib` is claimed by two components: symbolic link of `generated/base` and file of `generated/files`",
        ),
        (
            "generated/agent-config /etc/passwd x",
            "`/etc/passwd` is claimed by two components: file of `generated/accounts` and file of `generated/agent-config`",
        ),
    ] {
        let error = laid(own, &[]).unwrap_err();
        assert_eq!(error.to_string(), expected);
        let at = own.split(' ').nth(1).unwrap();
        assert!(
            error
                .own_hint()
                .unwrap()
                .contains(&format!("add `replace = true` to the manifest's entry for `{at}`"))
        );
        laid(own, &[at]).unwrap_or_else(|error| panic!("{own}: the hint does not help: {error}"));
    }
    let error = laid("generated/files /lib/x 1\ngenerated/files /usr/lib/x 2", &[]).unwrap_err();
    assert_eq!(error.to_string(), "`/lib/x` and `/usr/lib/x` are one path in the image, `/usr/lib/x`");
}
