//! Triggers: who is interested in which names and paths, what waits for them, and who waits for that (deb-triggers(5)).
//!
//! As dpkg does it (`triglib.c`, `trigproc.c`): a trigger is noted for each package that is interested and configured, as often
//! as it is activated; one that is not configured yet needs none, since its `postinst` then does everything. What a script activates
//! counts when it has ended, for its own package too. Who activates with an interest or an activation that awaits is not
//! usable for others until what is noted has been processed.
//!
//! **Guarantees**: processing comes to an end. Where packages wake each other without getting further dpkg gives one of them up
//! (`check_trigger_cycle`), and so does this.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::sync::Arc;

use pinfold_archive::Contents;

use super::PlaceError;
use super::control::Opened;
use super::order::Standing;

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
    Activate {
        /// `-noawait`
        noawait: bool,
    },
}

/// Longest list of a package (the longest of Debian 13 has about a dozen lines).
const MAX_LINES: usize = 10_000;

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
            "activate" | "activate-await" => LineKind::Activate { noawait: false },
            "activate-noawait" => LineKind::Activate { noawait: true },
            _ => return Err(wrong("the directive is not known")),
        };
        let path = name.starts_with('/');
        if !path && (name.contains('/') || name.starts_with('.') || name.chars().any(char::is_control)) {
            return Err(wrong("it is no name of a trigger"));
        }
        if found.len() == MAX_LINES {
            return Err(wrong("the list is too long"));
        }
        found.push(Line { name: name.to_owned(), kind });
    }
    Ok(found)
}

/// Most times that triggers are processed before it is taken for a circle, whatever the names of the triggers are.
const MAX_ROUNDS: usize = 2_000;

/// A package that is interested in a trigger.
#[derive(Clone, Copy, Debug)]
struct Interest {
    package: usize,
    noawait: bool,
}

/// What waits at a time, for each package.
type Pending = BTreeMap<usize, Arc<Names>>;

/// Names of triggers that wait for a package.
#[derive(Clone, Default)]
struct Names {
    /// In the order in which they came.
    order: Vec<String>,
    known: BTreeSet<String>,
}

impl Names {
    fn add(&mut self, name: &str) {
        if self.known.insert(name.to_owned()) {
            self.order.push(name.to_owned());
        }
    }

    /// As the script is told, the newest first.
    fn told(&self) -> String {
        self.order.iter().rev().map(String::as_str).collect::<Vec<_>>().join(" ")
    }
}

/// Who is interested, and what waits.
#[derive(Clone, Default)]
pub(super) struct Triggers {
    /// The lines of each package.
    lines: Arc<BTreeMap<usize, Vec<Line>>>,
    /// By name or path, in the order in which dpkg goes through them.
    interested: BTreeMap<String, Vec<Interest>>,
    configured: BTreeSet<usize>,
    /// Those of them that cannot be triggered: their script runs, or they were given up.
    deaf: BTreeSet<usize>,
    pending: Pending,
    /// For each package those that it awaits.
    awaits: BTreeMap<usize, Vec<usize>>,
    deferred: VecDeque<usize>,
    /// What waited each time that triggers were processed, since a package was configured.
    rounds: Vec<Pending>,
}

/// What is to be done for a package whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing waits.
    Nothing,
    /// It is told these names.
    Run(String),
    /// It was given up with these names, since all goes round in a circle.
    GivenUp(String),
}

/// Whether `path` is `other` or a directory on the way to it.
fn is_at_or_above(path: &[u8], other: &[u8]) -> bool {
    other.strip_prefix(path).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
}

impl Triggers {
    /// Reads the lists of all packages.
    pub(super) fn read(packages: &[Opened<'_>], contents: &dyn Contents) -> Result<Self, PlaceError> {
        let mut all = BTreeMap::new();
        for (index, package) in packages.iter().enumerate() {
            let lines = lines(package, contents)?;
            if !lines.is_empty() {
                all.insert(index, lines);
            }
        }
        Ok(Self { lines: Arc::new(all), ..Self::default() })
    }

    /// A trigger is activated; `by` is who would await what comes of it.
    pub(super) fn activate(&mut self, name: &str, by: Option<usize>) {
        let Some(interested) = self.interested.get(name) else { return };
        for interest in interested {
            let pend = interest.package;
            if !self.configured.contains(&pend) || self.deaf.contains(&pend) {
                continue;
            }
            Arc::make_mut(self.pending.entry(pend).or_default()).add(name);
            if !self.deferred.contains(&pend) {
                self.deferred.push_back(pend);
            }
            if let Some(by) = by.filter(|_| !interest.noawait) {
                let awaits = self.awaits.entry(by).or_default();
                if !awaits.contains(&pend) {
                    awaits.push(pend);
                }
            }
        }
    }

    /// The files of a package were put into the tree.
    pub(super) fn files(&mut self, index: usize, packages: &[Opened<'_>]) {
        self.own(index);
        let useful = |interests: &[Interest]| {
            interests.iter().any(|interest| self.configured.contains(&interest.package))
        };
        let paths: BTreeSet<&[u8]> = self
            .interested
            .iter()
            .filter(|(name, interests)| name.starts_with('/') && useful(interests))
            .map(|(name, _)| &name.as_bytes()[1..])
            .collect();
        let mut touched: Vec<String> = Vec::new();
        if !paths.is_empty() {
            let mut last: &[u8] = b"";
            for entry in &packages[index].listing.data {
                // The path itself, then what is above it, as far as the one before has not told already.
                let mut path = entry.path.as_bytes();
                while !(path.is_empty() || is_at_or_above(path, last)) {
                    if paths.contains(path) {
                        touched.push(format!("/{}", String::from_utf8_lossy(path)));
                    }
                    path = &path[..path.iter().rposition(|&byte| byte == b'/').unwrap_or(0)];
                }
                last = entry.path.as_bytes();
            }
        }
        for path in touched {
            self.activate(&path, Some(index));
        }
        self.interest(index);
    }

    /// From now on a package is interested in what its list says.
    fn interest(&mut self, index: usize) {
        let lines = Arc::clone(&self.lines);
        for line in lines.get(&index).into_iter().flatten() {
            let LineKind::Interest { noawait } = line.kind else { continue };
            let interested = self.interested.entry(line.name.clone()).or_default();
            interested.retain(|interest| interest.package != index);
            let interest = Interest { package: index, noawait };
            // dpkg has a list of names, and a chain for each path that grows at its front.
            if line.name.starts_with('/') {
                interested.insert(0, interest);
            } else {
                interested.push(interest);
            }
        }
    }

    /// A package was there before: it is interested, and can be triggered.
    pub(super) fn present(&mut self, index: usize) {
        self.interest(index);
        self.configured(index);
    }

    /// A package is about to be configured: what was noted for it is forgotten.
    pub(super) fn configuring(&mut self, index: usize) {
        self.rounds.clear();
        self.own(index);
    }

    /// A package is configured: from now on it can be triggered.
    pub(super) fn configured(&mut self, index: usize) {
        self.configured.insert(index);
    }

    /// The script that processed a package's triggers has ended.
    pub(super) fn processed(&mut self, index: usize) {
        self.deaf.remove(&index);
    }

    fn own(&mut self, index: usize) {
        let lines = Arc::clone(&self.lines);
        for line in lines.get(&index).into_iter().flatten() {
            if let LineKind::Activate { noawait } = line.kind {
                self.activate(&line.name, (!noawait).then_some(index));
            }
        }
    }

    /// How far a package is, for those that need it.
    pub(super) fn standing(&self, index: usize) -> Standing {
        match self.awaits.get(&index).and_then(|awaits| awaits.first()) {
            _ if !self.configured.contains(&index) => Standing::Waiting,
            Some(&pend) => Standing::Awaits(pend),
            None => Standing::Configured,
        }
    }

    /// The next package that waits.
    pub(super) fn next(&mut self) -> Option<usize> {
        self.deferred.pop_front()
    }

    /// A package waits once more.
    pub(super) fn defer(&mut self, index: usize) {
        if !self.deferred.contains(&index) {
            self.deferred.push_back(index);
        }
    }

    /// A package's turn. While its script runs it is not triggered; [`Self::processed`] says when that is over. Another may
    /// be given up for it, with the names that waited.
    pub(super) fn due(
        &mut self,
        index: usize,
        places: &dyn Fn(usize) -> u32,
    ) -> (Due, Option<(usize, String)>) {
        self.deferred.retain(|waiting| *waiting != index);
        if !self.pending.contains_key(&index) {
            self.release(index);
            return (Due::Nothing, None);
        }
        let given_up = self.circle(places).map(|package| (package, self.take(package)));
        match given_up {
            Some((package, names)) if package == index => (Due::GivenUp(names), None),
            other => (Due::Run(self.take(index)), other),
        }
    }

    /// The names that wait for a package, which from now on is not triggered, and nobody awaits it.
    fn take(&mut self, index: usize) -> String {
        let names = self.pending.remove(&index).map(|names| names.told()).unwrap_or_default();
        self.deaf.insert(index);
        self.release(index);
        names
    }

    fn release(&mut self, pend: usize) {
        self.awaits.retain(|_, awaits| {
            awaits.retain(|awaited| *awaited != pend);
            !awaits.is_empty()
        });
    }

    /// The package to give up where nothing comes of it: all that waited half as many rounds ago waits still. dpkg takes the one
    /// that is last in its table.
    fn circle(&mut self, places: &dyn Fn(usize) -> u32) -> Option<usize> {
        self.rounds.push(self.pending.clone());
        let now = self.rounds.len() - 1;
        if now == 0 {
            return None;
        }
        let then = &self.rounds[now / 2];
        let still = then.iter().all(|(package, names)| {
            let waits = self.pending.get(package);
            waits.is_some_and(|waits| names.known.is_subset(&waits.known))
        });
        if !still && now < MAX_ROUNDS {
            return None;
        }
        let last = then.keys().filter(|package| self.pending.contains_key(package)).copied();
        last.max_by_key(|&package| (places(package), std::cmp::Reverse(package)))
    }
}
