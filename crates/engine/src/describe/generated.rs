//! Which of the generated components of a layer a path is of: they share one, and each has its own places; and why each is there, in
//! one sentence.

use std::collections::BTreeSet;

use pinfold_base::ImagePath;

use crate::build::contract;
use crate::project::recipe::Recipe;

/// The component of a path that no package has, among those of its layer; `target` is where it leads as a link.
pub(super) fn of<'a>(path: &ImagePath, target: Option<&[u8]>, here: &BTreeSet<&'a str>) -> Option<&'a str> {
    let named = |name: &str| here.get(name).copied();
    let place = place(&path.to_string(), target);
    // Without Debian, accounts are of the least that an image needs.
    let place = place.and_then(|place| {
        named(place).or_else(|| named("generated/etc").filter(|_| place == "generated/accounts"))
    });
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
        contract::PATH => "generated/contract",
        path if ACCOUNTS.contains(&path.trim_end_matches('-')) => "generated/accounts",
        _ if below("/etc/alternatives") || below("/var/lib/dpkg/alternatives") => "generated/alternatives",
        _ if target.is_some_and(|target| target.starts_with(b"/etc/alternatives/")) => {
            "generated/alternatives"
        }
        "/nix/store" | "/etc/nix/nix.conf" | "/nix/store/.links" => "generated/nix",
        _ if below("/nix/var") || path == "/nix/var" || below("/nix/profile") || path == "/nix/profile" => {
            "generated/nix"
        }
        // What stands there is a link into the store, in an image that has it from nowhere else.
        "/bin/sh" | "/usr/bin/env" if target.is_some_and(|target| target.starts_with(b"/nix/store/")) => {
            "generated/nix"
        }
        _ if below("/etc/ssl/certs") || path == "/etc/ca-certificates.conf" => "generated/certificates",
        _ if below("/var/lib/dpkg") || below("/var/lib/apt") => "generated/dpkg",
        _ if Recipe::built_in_agents()
            .flat_map(|recipe| &recipe.home)
            .any(|file| configuration(&file.path)) =>
        {
            "generated/agent-config"
        }
        // What usrmerge and the oldest scripts lead elsewhere.
        "/bin" | "/sbin" | "/lib" | "/lib32" | "/lib64" | "/libx32" | "/var/run" | "/var/lock" => {
            "generated/base"
        }
        _ => return None,
    })
}

/// Why a component is there, where it is a generated one.
pub(super) fn reason(component: &str) -> Option<&'static str> {
    let name = component.strip_prefix("generated/")?;
    let known = REASONS.iter().find(|(known, _)| *known == name);
    Some(known.map_or("pinfold generated it when the image was built", |(_, reason)| reason))
}

/// Generated components, and why each is there.
const REASONS: &[(&str, &str)] = &[
    (
        "accounts",
        "users and groups: those of Debian's base-passwd, what install scripts add to them, and `[user]` of the manifest",
    ),
    ("agent-config", "settings of an agent, by its recipe"),
    (
        "alternatives",
        "update-alternatives: packages offer programs for one name, and the one of the highest priority has it",
    ),
    (
        "base",
        "install scripts need it or made it, or it holds what packages ship; no package ships it itself",
    ),
    (
        "certificates",
        "trusted authorities, as update-ca-certificates makes them: of the package ca-certificates, and the manifest's",
    ),
    (
        "dpkg",
        "the database of dpkg and apt: which packages are installed, in which version, with which files",
    ),
    (
        "etc",
        "the least that an image without Debian needs: accounts with `[user]` of the manifest, and an empty /tmp",
    ),
    ("files", "a `[[file]]`, `[[dir]]` or `[[link]]` of the manifest"),
    ("gio-modules", "the list of GIO's modules, as gio-querymodules makes it of what packages ship"),
    (
        "input-methods",
        "the list of GTK's input methods, as gtk-query-immodules makes it of what packages ship",
    ),
    (
        "java-certificates",
        "trusted authorities in Java's keystore, as ca-certificates-java makes it of the others",
    ),
    ("ld.so.cache", "where the dynamic linker finds libraries, as ldconfig lists them"),
    (
        "nix",
        "what Nix in the image finds: its database, roots of its garbage collector, its settings, and the roots as one environment",
    ),
    ("settings", "schemas of GSettings in one file, as glib-compile-schemas makes it of what packages ship"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_one_sentence() {
        assert!(REASONS.is_sorted_by(|a, b| a.0 < b.0));
        for (name, sentence) in REASONS {
            assert!(!sentence.ends_with('.') && sentence.len() < 160, "{name}");
        }
        assert_eq!(reason("debian/dpkg"), None);
        assert!(reason("generated/else").is_some_and(|reason| reason.contains("pinfold")));
    }

    #[test]
    fn an_image_without_debian_has_accounts_too() {
        let here = BTreeSet::from(["generated/etc", "generated/files"]);
        let of = |path: &str| of(&ImagePath::new(path).unwrap(), None, &here);
        assert_eq!((of("etc/passwd"), of("bin/busybox")), (Some("generated/etc"), Some("generated/files")));
    }

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
            ("nix/var/nix/db/schema", None, "generated/files"),
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
