//! Which of the generated components of a layer a path is of: they share one, and each has its own places.

use std::collections::BTreeSet;

use pinfold_base::ImagePath;

use crate::project::recipe::Recipe;

/// The component of a path that no package has, among those of its layer; `target` is where it leads as a link.
pub(super) fn of<'a>(path: &ImagePath, target: Option<&[u8]>, here: &BTreeSet<&'a str>) -> Option<&'a str> {
    let named = |name: &str| here.get(name).copied();
    let place = place(&path.to_string(), target).and_then(named);
    let rest = || ["generated/files", "generated/effects", "generated/base"].into_iter().find_map(named);
    place.or_else(rest).or_else(|| here.iter().copied().find(|name| name.starts_with("generated/")))
}

fn place(path: &str, target: Option<&[u8]>) -> Option<&'static str> {
    const ACCOUNTS: [&str; 6] =
        ["/etc/passwd", "/etc/group", "/etc/shadow", "/etc/gshadow", "/etc/subuid", "/etc/subgid"];
    let below = |dir: &str| path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'));
    let configuration = |file: &str| path.strip_suffix(file).is_some_and(|rest| rest.ends_with('/'));
    Some(match path {
        "/etc/ld.so.cache" => "generated/ld.so.cache",
        path if ACCOUNTS.contains(&path.trim_end_matches('-')) => "generated/accounts",
        _ if below("/etc/alternatives") || below("/var/lib/dpkg/alternatives") => "generated/alternatives",
        _ if target.is_some_and(|target| target.starts_with(b"/etc/alternatives/")) => {
            "generated/alternatives"
        }
        _ if below("/etc/ssl/certs") || path == "/etc/ca-certificates.conf" => "generated/certificates",
        _ if below("/var/lib/dpkg") || below("/var/lib/apt") => "generated/dpkg",
        _ if Recipe::built_in_agents()
            .flat_map(|recipe| &recipe.home)
            .any(|file| configuration(&file.path)) =>
        {
            "generated/agent-config"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_places_and_the_rest_is_files() {
        let here = BTreeSet::from([
            "debian/curl",
            "generated/accounts",
            "generated/agent-config",
            "generated/alternatives",
            "generated/dpkg",
            "generated/files",
        ]);
        for (path, target, component) in [
            ("etc/passwd", None, "generated/accounts"),
            ("etc/shadow-", None, "generated/accounts"),
            ("usr/bin/awk", Some("/etc/alternatives/awk"), "generated/alternatives"),
            ("usr/bin/sh", Some("dash"), "generated/files"),
            ("var/lib/dpkg/alternatives/awk", None, "generated/alternatives"),
            ("var/lib/dpkg/status", None, "generated/dpkg"),
            ("home/me/.codex/config.toml", None, "generated/agent-config"),
            ("home/me/.bashrc", None, "generated/files"),
            // The layer has no such component.
            ("etc/ld.so.cache", None, "generated/files"),
        ] {
            let found = of(&ImagePath::new(path).unwrap(), target.map(str::as_bytes), &here);
            assert_eq!(found, Some(component), "{path}");
        }
        assert_eq!(
            of(&ImagePath::new("hello").unwrap(), None, &BTreeSet::from(["debian/a", "debian/b"])),
            None
        );
    }
}
