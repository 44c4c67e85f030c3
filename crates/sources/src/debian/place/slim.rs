//! The path rules of slim images: what is left out of packages, as dpkg's `path-exclude` and `path-include` would.
//!
//! The rules are those of Debian's slim images (debuerreotype): manuals, documentation, translations are left out, copyright
//! files stay. The same rules go into `/etc/dpkg/dpkg.cfg.d/docker`, so that packages installed later agree.
//!
//! **Guarantees**: a file is judged as dpkg judges it (the last rule that matches decides; `*` matches slashes too). At the
//! end nothing below the excluded directories is empty or a link that leads nowhere.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_base::ImagePath;

const EXCLUDED: [&str; 7] = [
    "/usr/share/doc/*",
    "/usr/share/groff/*",
    "/usr/share/info/*",
    "/usr/share/linda/*",
    "/usr/share/lintian/overrides/*",
    "/usr/share/locale/*",
    "/usr/share/man/*",
];

const INCLUDED: [&str; 6] = [
    "/usr/share/doc/*/copyright",
    "/usr/share/locale/all_languages",
    "/usr/share/locale/currency/*",
    "/usr/share/locale/l10n/*",
    "/usr/share/locale/languages",
    "/usr/share/locale/locale.alias",
];

/// Where the rules are written, relative to the root.
pub(super) const RULES_FILE: &str = "etc/dpkg/dpkg.cfg.d/docker";

/// Whether dpkg would leave out a file of this path under the rules. Directories and links are judged by [`excluded_holder`].
pub(super) fn excluded(path: &ImagePath) -> bool {
    let name = absolute(path);
    EXCLUDED.iter().any(|rule| matches(rule.as_bytes(), &name))
        && !INCLUDED.iter().any(|rule| matches(rule.as_bytes(), &name))
}

/// The same for directories and symbolic links, which dpkg keeps where an included path could lie below them.
pub(super) fn excluded_holder(path: &ImagePath) -> bool {
    let name = absolute(path);
    excluded(path)
        && !INCLUDED.iter().any(|rule| {
            let fixed = &rule[..rule.find(['*', '?', '[', '\\']).unwrap_or(rule.len())];
            let directory = &fixed[..fixed.rfind('/').unwrap_or(0)];
            name.starts_with(directory.as_bytes())
        })
}

/// Takes out of a finished tree what the rules exclude, dangling links, and directories that are empty then.
pub(super) fn sweep(tree: &mut Tree) {
    tree.retain(|path, node| match node.kind {
        NodeKind::Directory | NodeKind::Symlink(_) => !excluded_holder(path),
        NodeKind::File(_) | NodeKind::Hardlink(_) => !excluded(path),
    });
    // Links keep directories alive and directories links, so both are looked at until nothing goes any more.
    loop {
        let mut goes: Vec<ImagePath> = tree
            .iter()
            .filter(|(path, node)| matches!(node.kind, NodeKind::Symlink(_)) && excluded(path))
            .filter(|(path, _)| tree.resolve(path).is_none())
            .map(|(path, _)| path.clone())
            .collect();
        // In reverse order children come before their directory, so one pass empties whole branches.
        let mut holding = BTreeSet::new();
        for (path, node) in tree.iter().rev() {
            if node.is_directory() && excluded(path) && !holding.contains(path) {
                goes.push(path.clone());
            } else if let Some(parent) = path.parent() {
                holding.insert(parent);
            }
        }
        if goes.is_empty() {
            return;
        }
        for path in goes {
            tree.remove(&path);
        }
    }
}

/// The rules as dpkg reads them.
pub(super) fn rules_file() -> String {
    let mut text = String::from(
        "# This is a slim image: it was made without these files, and packages that are installed later go without them too.\n",
    );
    for rule in EXCLUDED {
        let _ = writeln!(text, "path-exclude {rule}");
    }
    text.push_str("# Licences must stay.\n");
    for rule in INCLUDED {
        let _ = writeln!(text, "path-include {rule}");
    }
    text
}

fn absolute(path: &ImagePath) -> Vec<u8> {
    [b"/", path.as_bytes()].concat()
}

/// fnmatch(3) without flags, for patterns whose only special character is `*`.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let mut pieces = pattern.split(|&byte| byte == b'*');
    let Some(mut rest) = pieces.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        match memchr::memmem::find(rest, piece) {
            Some(at) => rest = &rest[at + piece.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use pinfold_archive::Component;
    use pinfold_archive::Content;
    use pinfold_archive::Metadata;
    use pinfold_archive::Node;

    use super::*;

    fn path(text: &str) -> ImagePath {
        ImagePath::new(text).unwrap()
    }

    // What dpkg 1.21 leaves out with these rules in its configuration.
    #[test]
    fn files_are_judged_as_dpkg_does() {
        for (name, left_out) in [
            ("usr/share/doc/bash/README.gz", true),
            ("usr/share/doc/bash/copyright", false),
            ("usr/share/doc/bash/examples/copyright", false),
            ("usr/share/doc/copyright", true),
            ("usr/share/doc", false),
            ("usr/share/docs/x", false),
            ("usr/share/locale/de/LC_MESSAGES/bash.mo", true),
            ("usr/share/locale/locale.alias", false),
            ("usr/share/locale/l10n/de/x", false),
            ("usr/share/man/man1/bash.1.gz", true),
            ("usr/share/lintian/overrides/bash", true),
            ("usr/share/lintian/profiles/x", false),
            ("usr/lib/locale/C.utf8/LC_CTYPE", false),
        ] {
            assert_eq!(excluded(&path(name)), left_out, "{name}");
        }
        assert!(!excluded_holder(&path("usr/share/doc/bash")));
        assert!(!excluded_holder(&path("usr/share/locale/de")));
        assert!(excluded_holder(&path("usr/share/man/man1")));
        assert!(!excluded_holder(&path("usr/share/man")));
    }

    #[test]
    fn patterns() {
        for (pattern, name, holds) in [
            ("/a/*", "/a/", true),
            ("/a/*", "/a", false),
            ("/a/*/b", "/a//b", true),
            ("/a/*/b", "/a/b", false),
            ("/a/*/b/*/c", "/a/1/b/2/c", true),
            ("/a/*/b/*/c", "/a/1/b/c", false),
            ("/a", "/a", true),
            ("/a", "/ab", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), holds, "{pattern} {name}");
        }
    }

    #[test]
    fn sweeping_leaves_no_empty_directory_and_no_dangling_link() {
        let owner = Component::from("debian/x");
        let mut tree = Tree::new();
        let file = || Node::file(&owner, Metadata::root(0o644, 0), Content::inline(*b""));
        for name in ["usr/share/doc/a/copyright", "usr/share/doc/b/x/README", "usr/share/locale/de/x.mo"] {
            tree.insert(path(name), file());
        }
        tree.insert(path("usr/share/doc/c"), Node::symlink(&owner, 0, "a"));
        tree.insert(path("usr/share/doc/d"), Node::symlink(&owner, 0, "b"));
        tree.insert(path("opt/dangling"), Node::symlink(&owner, 0, "nowhere"));
        tree.complete(&owner, 0).unwrap();
        tree.insert(path("opt/empty"), Node::directory(&owner, Metadata::root(0o755, 0)));
        sweep(&mut tree);
        // `d` led to a directory that still stood when links were looked at: it must not be left dangling.
        let left: Vec<String> = tree.iter().map(|(path, _)| path.to_string()).collect();
        assert_eq!(
            left,
            [
                "/",
                "/opt",
                "/opt/dangling",
                "/opt/empty",
                "/usr",
                "/usr/share",
                "/usr/share/doc",
                "/usr/share/doc/a",
                "/usr/share/doc/a/copyright",
                "/usr/share/doc/c",
                "/usr/share/locale"
            ]
        );
    }
}
