//! What was most likely meant by a name that no package has.
//!
//! **Guarantees**: the same answer for the same index, at most [`SHOWN`] names, nearest first.

use pinfold_base::text::apart;

use super::index::Universe;

/// The most names that are told.
const SHOWN: usize = 5;

/// Programs and things that people ask for by another name than their package's. Only what can be had is told.
const COMMANDS: [(&str, &str); 30] = [
    ("cc", "gcc"),
    ("composer.phar", "composer"),
    ("dig", "bind9-dnsutils"),
    ("docker", "docker.io"),
    ("fd", "fd-find"),
    ("gcc-c++", "g++"),
    ("go", "golang-go"),
    ("golang", "golang-go"),
    ("gpg2", "gnupg"),
    ("ifconfig", "net-tools"),
    ("ip", "iproute2"),
    ("java", "default-jre-headless"),
    ("javac", "default-jdk-headless"),
    ("jdk", "default-jdk-headless"),
    ("mysql", "default-mysql-client"),
    ("nc", "netcat-openbsd"),
    ("netcat", "netcat-openbsd"),
    ("node", "nodejs"),
    ("nslookup", "bind9-dnsutils"),
    ("pg_dump", "postgresql-client"),
    ("pip", "python3-pip"),
    ("ping", "iputils-ping"),
    ("ps", "procps"),
    ("psql", "postgresql-client"),
    ("python", "python3"),
    ("rg", "ripgrep"),
    ("rust", "rustc"),
    ("ssh", "openssh-client"),
    ("venv", "python3-venv"),
    ("xz", "xz-utils"),
];

/// Names that are close to `name`: the package of a command of that name, names that few letters make of it (also with `_` and
/// capitals read as they are meant), that differ in numbers only, or that it begins.
pub(super) fn near(universe: &Universe, name: &str) -> Vec<String> {
    let meant = name.to_ascii_lowercase().replace('_', "-");
    let most = 1 + meant.len() / 4;
    let shape = shape(&meant);
    let mut close: Vec<(usize, &str)> = universe
        .names()
        .filter_map(|versions| versions.first().map(|&id| universe.name(id)))
        .filter_map(|other| {
            let longer = other.len().abs_diff(meant.len());
            // Only what can be near is compared letter by letter.
            let letters = (longer <= most).then(|| apart(&meant, other)).filter(|&letters| letters <= most);
            if shape.len() > 2 && shape.len() < meant.len() && shape == self::shape(other) {
                Some((1, other))
            } else if let Some(letters) = letters.filter(|&letters| letters < other.len()) {
                Some((letters, other))
            } else if other.starts_with(&meant) || other.len() > 4 && meant.starts_with(other) {
                Some((most + 1 + longer, other))
            } else {
                None
            }
        })
        .collect();
    close.sort_unstable();
    // What is further away by letters is no more than noise beside the nearest.
    let nearest = close.first().map_or(0, |(letters, _)| *letters);
    close.retain(|(letters, _)| *letters == nearest || *letters > most);
    let command = COMMANDS.iter().filter(|(command, _)| *command == meant).map(|(_, package)| *package);
    let mut names: Vec<String> = Vec::new();
    let there = command.filter(|package| !universe.named(package).is_empty());
    for one in there.chain(close.into_iter().map(|(_, name)| name)) {
        if !names.iter().any(|name| name == one) {
            names.push(one.to_owned());
        }
    }
    names.truncate(SHOWN);
    names
}

/// A name without its numbers: `libssl1.1` and `libssl3` are `libssl`, `postgresql-14` is `postgresql`.
fn shape(name: &str) -> String {
    let letters: String = name.chars().filter(|c| !c.is_ascii_digit() && *c != '.').collect();
    letters.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::index::Text;
    use super::*;

    #[test]
    fn what_was_meant_is_told_and_no_more() {
        let names = "nginx nginx-core nginx-full ngircd python3 python3-pip libssl3 libssl-dev openjdk-17-jdk php8.2-cli php-cli \
                     build-essential curl nodejs ripgrep postgresql postgresql-15 zsh";
        let stanzas: String = names
            .split_whitespace()
            .flat_map(|name| ["Package: ", name, "\nVersion: 1\nArchitecture: all\n\n"])
            .collect();
        let text = Text { bytes: stanzas.into_bytes(), suite: 0, pin: 500, mixed: false, label: "x".into() };
        let universe = Universe::read("amd64", vec![text]).unwrap();
        for (name, expected) in [
            ("ngnix", "nginx"),
            ("Nginx", "nginx nginx-core nginx-full"),
            ("ngin", "nginx nginx-core nginx-full"),
            ("crul", "curl"),
            ("python3_pip", "python3-pip python3"),
            ("libssl1.1", "libssl3"),
            ("openjdk-21-jdk", "openjdk-17-jdk"),
            ("php8.1-cli", "php-cli php8.2-cli"),
            ("postgresql-14", "postgresql postgresql-15"),
            ("build-essentials", "build-essential"),
            ("node", "nodejs"),
            ("rg", "ripgrep"),
            ("python", "python3 python3-pip"),
            ("dig", ""),
            ("kubernetes", ""),
        ] {
            assert_eq!(near(&universe, name).join(" "), expected, "{name}");
        }
    }
}
