//! Triggers: who is interested in which names and paths, and what waits for them (deb-triggers(5)).
//!
//! A trigger of a package that is not configured yet is forgotten: its `postinst` does everything when it is configured.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;

use pinfold_archive::Contents;

use super::PlaceError;
use super::control::Opened;

/// A line of a package's list of triggers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// A name, or an absolute path.
    pub(super) name: String,
    pub(super) kind: LineKind,
}

/// What a line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineKind {
    /// The package waits for the trigger; who activates it waits for the package, or not.
    Interest {
        /// `-noawait`
        noawait: bool,
    },
    /// What is done to the package activates the trigger.
    Activate,
}

/// Reads the list of a package.
pub(super) fn lines(package: &Opened<'_>, contents: &dyn Contents) -> Result<Vec<Line>, PlaceError> {
    let text = package.read_text("triggers", contents)?.unwrap_or_default();
    let mut found = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default();
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let wrong = |what: &str| PlaceError::Line {
            package: package.name().into(),
            member: "triggers".into(),
            line: at + 1,
            what: what.into(),
        };
        let (directive, name) = match words[..] {
            [] => continue,
            [directive, name] => (directive, name),
            _ => return Err(wrong("it is not a directive and a name")),
        };
        let kind = match directive {
            "interest" | "interest-await" => LineKind::Interest { noawait: false },
            "interest-noawait" => LineKind::Interest { noawait: true },
            "activate" | "activate-await" | "activate-noawait" => LineKind::Activate,
            _ => return Err(wrong("the directive is not known")),
        };
        let path = name.starts_with('/');
        if !path && (name.contains('/') || name.starts_with('.') || name.chars().any(char::is_control)) {
            return Err(wrong("it is no name of a trigger"));
        }
        found.push(Line { name: name.to_owned(), kind });
    }
    Ok(found)
}

/// Who is interested, and what waits.
#[derive(Clone, Default)]
pub(super) struct Triggers {
    interested: BTreeMap<String, Vec<usize>>,
    /// Paths among the interests.
    paths: Vec<String>,
    activates: BTreeMap<usize, Vec<String>>,
    configured: BTreeSet<usize>,
    /// How many of the world's triggers were seen.
    seen: BTreeSet<String>,
    waiting: VecDeque<(usize, Vec<String>)>,
}

impl Triggers {
    /// Reads the lists of all packages.
    pub(super) fn read(packages: &[Opened<'_>], contents: &dyn Contents) -> Result<Self, PlaceError> {
        let mut found = Self::default();
        for (index, package) in packages.iter().enumerate() {
            for line in lines(package, contents)? {
                if line.kind == LineKind::Activate {
                    found.activates.entry(index).or_default().push(line.name);
                } else {
                    found.interested.entry(line.name).or_default().push(index);
                }
            }
        }
        found.paths = found.interested.keys().filter(|name| name.starts_with('/')).cloned().collect();
        Ok(found)
    }

    fn activate(&mut self, name: &str) {
        for &index in self.interested.get(name).into_iter().flatten() {
            if !self.configured.contains(&index) {
                continue;
            }
            let at = self.waiting.iter().position(|(waiting, _)| *waiting == index).unwrap_or_else(|| {
                self.waiting.push_back((index, Vec::new()));
                self.waiting.len() - 1
            });
            let names = &mut self.waiting[at].1;
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    }

    /// The files of a package were put into the tree.
    pub(super) fn files(&mut self, index: usize, packages: &[Opened<'_>]) {
        self.own(index);
        let below = |path: &[u8], directory: &str| {
            let rest =
                directory.as_bytes().strip_prefix(b"/").and_then(|directory| path.strip_prefix(directory));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
        };
        let waits =
            |path: &&String| self.interested[*path].iter().any(|index| self.configured.contains(index));
        let touched: Vec<String> = self
            .paths
            .iter()
            .filter(waits)
            .filter(|path| {
                packages[index].listing.data.iter().any(|entry| below(entry.path.as_bytes(), path))
            })
            .cloned()
            .collect();
        for path in touched {
            self.activate(&path);
        }
    }

    /// A package is configured: from now on it can be triggered.
    pub(super) fn configured(&mut self, index: usize) {
        self.own(index);
        self.configured.insert(index);
    }

    fn own(&mut self, index: usize) {
        for name in self.activates.get(&index).cloned().unwrap_or_default() {
            self.activate(&name);
        }
    }

    /// What scripts have activated, all of it each time.
    pub(super) fn asked(&mut self, names: &[String]) {
        for name in names {
            if self.seen.insert(name.clone()) {
                self.activate(name);
            }
        }
    }

    /// The next package that waits, and the names of its triggers.
    pub(super) fn next(&mut self) -> Option<(usize, String)> {
        let (index, names) = self.waiting.pop_front()?;
        Some((index, names.join(" ")))
    }
}
