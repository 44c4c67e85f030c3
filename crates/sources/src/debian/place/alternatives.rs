//! `update-alternatives --install`, many calls at once: the links and the database of dpkg's alternatives.
//!
//! ```text
//! /usr/bin/awk -> /etc/alternatives/awk -> /usr/bin/mawk          and for each slave the same
//!
//! /var/lib/dpkg/alternatives/awk
//!     auto
//!     /usr/bin/awk                     the generic link
//!     nawk                             slaves of all choices, by name: name,
//!     /usr/bin/nawk                    link
//!                                      (empty line)
//!     /usr/bin/mawk                    choices by path: path,
//!     5                                priority,
//!     /usr/bin/mawk                    one path for each slave, or an empty line
//!                                      (empty line at the end)
//! ```
//!
//! **Guarantees**: the choice of highest priority is selected, of equals the first by path. A choice whose file is not in the
//! image does not exist; a link is only made where its target exists, and never over a file that a package ships.
//!
//! **Refuses**: names with slashes or blanks, relative paths, anything with control characters, a slave named like another
//! group.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use pinfold_archive::NodeKind;

use super::image::Image;
use super::image::known;
use crate::debian::script::world::Choice;

const OWNER: &str = "alternatives";

#[derive(Default)]
struct Group<'a> {
    link: &'a str,
    /// Slave links by name.
    slaves: BTreeMap<&'a str, &'a str>,
    /// Choices by path.
    choices: BTreeMap<&'a str, Targets<'a>>,
}

struct Targets<'a> {
    priority: i32,
    /// Targets by slave name.
    slaves: BTreeMap<&'a str, &'a str>,
}

/// Fails with a word about what is wrong with the call.
fn check(alternative: &Choice) -> Result<(), String> {
    let slaves = alternative.slaves.iter().map(|(link, name, path)| [link, name, path]);
    for [link, name, path] in slaves.chain([[&alternative.link, &alternative.name, &alternative.path]]) {
        let odd = |c: char| c == '/' || c.is_whitespace() || c.is_control();
        if name.is_empty() || name.len() > 200 || name.starts_with('.') || name.contains(odd) {
            return Err(format!("`{}` is no name of an alternative", name.escape_debug()));
        }
        for path in [link, path] {
            if !path.starts_with('/') || path.contains(char::is_control) {
                return Err(format!("`{}` is no absolute path", path.escape_debug()));
            }
        }
    }
    Ok(())
}

/// Makes links and database for all calls, in whatever order they come. Gives what is wrong with the first bad one.
pub(super) fn install(image: &mut Image<'_>, calls: &[Choice], with_database: bool) -> Result<(), String> {
    let mut groups: BTreeMap<&str, Group<'_>> = BTreeMap::new();
    // What an earlier choice links is there for those that come later.
    let mut linked = BTreeSet::new();
    for call in calls {
        check(call)?;
        if !image.exists(&call.path) && !image.at(&call.path).is_ok_and(|path| linked.contains(&path)) {
            continue;
        }
        linked.extend(image.at(&call.link));
        let group = groups.entry(&call.name).or_default();
        group.link = &call.link;
        let mut slaves = BTreeMap::new();
        for (link, name, path) in &call.slaves {
            group.slaves.insert(name, link);
            slaves.insert(name.as_str(), path.as_str());
        }
        group.choices.insert(&call.path, Targets { priority: call.priority, slaves });
    }
    let clash = groups.values().flat_map(|group| group.slaves.keys()).find(|name| groups.contains_key(*name));
    if let Some(name) = clash {
        return Err(format!("`{name}` is both an alternative and the slave of another"));
    }
    for (name, group) in &groups {
        // Paths come in order, so the first of the highest priority is kept.
        let best = group
            .choices
            .iter()
            .reduce(|best, next| if next.1.priority > best.1.priority { next } else { best });
        let Some((path, choice)) = best else { continue };
        link(image, group.link, name, path)?;
        for (slave, slave_link) in &group.slaves {
            if let Some(target) = choice.slaves.get(slave).filter(|target| image.exists(target)) {
                link(image, slave_link, slave, target)?;
            }
        }
        if with_database {
            let path = known("var/lib/dpkg/alternatives").join(name).map_err(|error| error.to_string())?;
            image.put("dpkg", &path, database(group));
        }
    }
    Ok(())
}

fn link(image: &mut Image<'_>, link: &str, name: &str, target: &str) -> Result<(), String> {
    let link = image.at(link)?;
    let middle = known("etc/alternatives").join(name).map_err(|error| error.to_string())?;
    image.link(OWNER, &middle, target);
    // update-alternatives warns and leaves files alone that are not its links.
    if image.tree.get(&link).is_none_or(|node| matches!(node.kind, NodeKind::Symlink(_))) {
        image.link(OWNER, &link, format!("/etc/alternatives/{name}"));
    }
    Ok(())
}

fn database(group: &Group<'_>) -> String {
    use std::fmt::Write as _;
    let mut text = format!("auto\n{}\n", group.link);
    for (name, link) in &group.slaves {
        let _ = write!(text, "{name}\n{link}\n");
    }
    text.push('\n');
    for (path, choice) in &group.choices {
        let _ = write!(text, "{path}\n{}\n", choice.priority);
        for name in group.slaves.keys() {
            let _ = writeln!(text, "{}", choice.slaves.get(name).unwrap_or(&""));
        }
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use pinfold_archive::Tree;
    use pinfold_archive::tree::InlineOnly;
    use pinfold_base::ImagePath;

    use super::*;
    use crate::accounts::Accounts;

    fn image(files: &[&str]) -> Image<'static> {
        let mut image =
            Image { tree: Tree::new(), accounts: Accounts::minimal(), epoch: 7, contents: &InlineOnly };
        image.link("base", &known("bin"), "usr/bin");
        for file in files {
            image.put("x", &known(file), "");
        }
        let owner = pinfold_archive::Component::generated("x");
        image.tree.complete(&owner, 7).unwrap();
        image
    }

    fn call(line: &str) -> Choice {
        let words: Vec<&str> = line.split(' ').collect();
        Choice {
            link: words[0].into(),
            name: words[1].into(),
            path: words[2].into(),
            priority: words[3].parse().unwrap(),
            slaves: words[4..].chunks(3).map(|s| (s[0].into(), s[1].into(), s[2].into())).collect(),
        }
    }

    fn target(image: &Image<'_>, path: &str) -> Option<String> {
        match &image.tree.get(&ImagePath::new(path).unwrap())?.kind {
            NodeKind::Symlink(target) => Some(String::from_utf8_lossy(target).into_owned()),
            other => Some(other.word().into()),
        }
    }

    // The database is what update-alternatives 1.21 writes for these two calls.
    #[test]
    fn the_highest_priority_is_linked() {
        let mut image = image(&["usr/bin/less", "usr/bin/more", "usr/share/man/man1/more.1.gz"]);
        let man = "/usr/share/man/man1";
        let calls = [
            call(&format!(
                "/usr/bin/pager pager /usr/bin/less 77 {man}/pager.1.gz pager.1.gz {man}/less.1.gz"
            )),
            call(&format!(
                "/usr/bin/pager pager /bin/more 50 {man}/pager.1.gz pager.1.gz {man}/more.1.gz /x/y y /x/z"
            )),
        ];
        install(&mut image, &calls, true).unwrap();
        assert_eq!(target(&image, "usr/bin/pager").as_deref(), Some("/etc/alternatives/pager"));
        assert_eq!(target(&image, "etc/alternatives/pager").as_deref(), Some("/usr/bin/less"));
        // The manual of less is not there, so the slave has no link.
        assert_eq!(target(&image, "etc/alternatives/pager.1.gz"), None);
        let database = image.read("", &known("var/lib/dpkg/alternatives/pager")).unwrap().unwrap();
        assert_eq!(
            String::from_utf8(database).unwrap(),
            format!(
                "auto\n/usr/bin/pager\npager.1.gz\n{man}/pager.1.gz\ny\n/x/y\n\n/bin/more\n50\n{man}/more.1.gz\n/x/z\n\
                 /usr/bin/less\n77\n{man}/less.1.gz\n\n\n"
            )
        );
    }

    #[test]
    fn ties_go_to_the_first_path_and_missing_choices_do_not_exist() {
        let mut image = image(&["usr/bin/b", "usr/bin/a"]);
        let calls = [
            "/usr/bin/x x /usr/bin/b 5",
            "/usr/bin/x x /usr/bin/a 5",
            "/usr/bin/x x /usr/bin/c 9",
            "/y y /z 1",
        ];
        install(&mut image, &calls.map(call), false).unwrap();
        assert_eq!(target(&image, "etc/alternatives/x").as_deref(), Some("/usr/bin/a"));
        assert_eq!(target(&image, "etc/alternatives/y"), None);
        assert_eq!(target(&image, "var/lib/dpkg/alternatives/x"), None);
    }

    // As emacs does it: `editor` may be `/usr/bin/emacs`, which is a link of another group.
    #[test]
    fn a_choice_may_be_the_link_of_an_earlier_one() {
        let mut image = image(&["usr/bin/emacs-nox"]);
        let calls = ["/usr/bin/emacs emacs /usr/bin/emacs-nox 28", "/usr/bin/editor editor /usr/bin/emacs 0"];
        install(&mut image, &calls.map(call), true).unwrap();
        assert_eq!(target(&image, "etc/alternatives/editor").as_deref(), Some("/usr/bin/emacs"));
        let turned = [calls[1], calls[0]];
        let mut image = self::image(&["usr/bin/emacs-nox"]);
        install(&mut image, &turned.map(call), true).unwrap();
        assert_eq!(target(&image, "etc/alternatives/editor"), None);
    }

    #[test]
    fn shipped_files_stay() {
        let mut image = image(&["usr/bin/a", "usr/bin/x"]);
        install(&mut image, &[call("/usr/bin/x x /usr/bin/a 1")], true).unwrap();
        assert_eq!(target(&image, "usr/bin/x").as_deref(), Some("file"));
    }

    #[test]
    fn odd_names_are_refused() {
        for line in [
            "/usr/bin/x ../../etc/passwd /usr/bin/a 1",
            "/usr/bin/x .x /usr/bin/a 1",
            "/usr/bin/x  /usr/bin/a 1",
            "usr/bin/x x /usr/bin/a 1",
            "/usr/bin/x x a 1",
            "/usr/bin/x x /usr/bin/a 1 /y y\ny /z",
            "/usr/bin/x\n x /usr/bin/a 1",
            "/usr/bin/x x /usr/bin/a 1 /../../y y z",
        ] {
            assert!(install(&mut image(&["usr/bin/a"]), &[call(line)], true).is_err(), "{line:?}");
        }
        let clash = ["/usr/bin/x x /usr/bin/a 1 /y y /usr/bin/a", "/usr/bin/y y /usr/bin/a 1"];
        assert!(install(&mut image(&["usr/bin/a"]), &clash.map(call), true).is_err());
        // A link that leads out is refused as a path.
        assert!(install(&mut image(&["usr/bin/a"]), &[call("/usr/../../x x /usr/bin/a 1")], true).is_err());
    }
}
