//! In which order packages are unpacked and configured: that of dpkg and apt when they install into an empty directory.
//!
//! ```text
//! Essential and what it needs   files of all, each preinst, each postinst         as bootstrap tools do it
//! all others                    preinst and files of each, then each postinst     as `apt-get install` of them all
//! ```
//!
//! Files come after those of the packages that are needed, the ones that apt takes first: Essential, with `Pre-Depends`, of
//! high priority, by name. A package whose `Pre-Depends` is not configured waits until it is. A `postinst` waits for all that
//! its package depends on; dpkg takes what waits in the order of its table of names, and where nothing is left but circles it
//! breaks one at a package without `postinst`, else where it began (`dep_check.c: findbreakcycle`).
//!
//! **Guarantees**: the order depends on the packages alone, not on how they are given; it has every package once.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;

use super::PlaceError;
use super::control::Opened;
use crate::debian::lock::relation;

/// How many bins dpkg's table of packages has (`pkg-hash.c`).
const BINS: u32 = 65_521;
/// And its table of files.
const FILE_BINS: u32 = 262_139;

/// What is done with the package of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Its files are put into the tree.
    Files(usize),
    /// Its `preinst` runs.
    Preinst(usize),
    /// The `postinst` of these run, as [`Queue`] says.
    Configure(Vec<usize>),
    /// What is waiting for triggers gets them.
    Triggers,
}

/// What the order depends on.
#[derive(Debug, Default)]
pub(super) struct Facts {
    name: String,
    essential: bool,
    /// Whether the image below has it.
    present: bool,
    priority: i32,
    has_postinst: bool,
    /// For each group of `Pre-Depends`, then of `Depends`: its alternatives, each with the packages that satisfy it.
    groups: Vec<Vec<Vec<usize>>>,
    /// How many of the groups are of `Pre-Depends`.
    before: usize,
}

/// Reads what the order depends on.
pub(super) fn facts(packages: &[Opened<'_>]) -> Result<Vec<Facts>, PlaceError> {
    let mut names: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (index, package) in packages.iter().enumerate() {
        names.entry(package.name().to_owned()).or_default().insert(0, index);
        for provided in package.field("Provides")?.split(',') {
            let name = provided.split(['(', ':']).next().unwrap_or_default().trim();
            if name != package.name() {
                names.entry(name.to_owned()).or_default().push(index);
            }
        }
    }
    let mut all = Vec::with_capacity(packages.len());
    for package in packages {
        let [essential, priority, before, needed] =
            package.fields(["Essential", "Priority", "Pre-Depends", "Depends"])?;
        let mut facts = Facts {
            name: package.name().to_owned(),
            essential: essential == "yes",
            present: package.is_present(),
            has_postinst: package.member("postinst").is_some(),
            priority: match priority.as_str() {
                "important" => 5,
                "required" => 4,
                "standard" => 3,
                "optional" => 1,
                _ => 0,
            },
            ..Facts::default()
        };
        for (field, value) in [("Pre-Depends", before), ("Depends", needed)] {
            // What dpkg would not read was refused when the packages were chosen.
            for group in relation::groups(&value).unwrap_or_default() {
                let alternative = |relation: &relation::Relation<'_>| names.get(relation.name).cloned();
                facts.groups.push(group.iter().filter_map(alternative).collect());
            }
            if field == "Pre-Depends" {
                facts.before = facts.groups.len();
            }
        }
        all.push(facts);
    }
    Ok(all)
}

/// The steps of an installation into an empty directory, or of one into an image that has packages.
pub(super) fn steps(facts: &[Facts]) -> Vec<Step> {
    let mut plan = Plan {
        facts,
        needs: facts.iter().map(|facts| facts.groups.concat().concat()).collect(),
        configured: facts.iter().map(|facts| facts.present).collect(),
        unpacked: facts.iter().map(|facts| facts.present).collect(),
        steps: Vec::new(),
    };
    // Bootstrap tools are for empty directories: on an image there is dpkg already.
    let begun = facts.iter().any(|facts| facts.present);
    let unpack = plan.unpacking(|facts| facts.essential && !begun);
    plan.steps.extend(unpack.iter().map(|&package| Step::Files(package)));
    plan.steps.extend(unpack.iter().map(|&package| Step::Preinst(package)));
    for &package in &unpack {
        plan.unpacked[package] = true;
    }
    plan.configure(unpack);
    plan.steps.push(Step::Triggers);
    for package in plan.unpacking(|_| true) {
        if plan.unpacked[package] {
            continue;
        }
        let needed = plan.needed_before(package);
        plan.configure(needed);
        plan.steps.extend([Step::Preinst(package), Step::Files(package)]);
        plan.unpacked[package] = true;
    }
    let mut rest: Vec<usize> = (0..facts.len()).filter(|&package| !plan.configured[package]).collect();
    rest.sort_by_key(|&package| (bin(&facts[package].name), package));
    plan.configure(rest);
    plan.steps.push(Step::Triggers);
    plan.steps
}

/// The bin of a name in dpkg's table.
pub(super) fn bin(name: &str) -> u32 {
    fnv(name.to_ascii_lowercase().as_bytes()) % BINS
}

/// The place of a path in dpkg's table of files (`fsys-hash.c`), in which order it writes what it has about them.
pub(super) fn place_of_path(path: &str) -> u32 {
    fnv(path.trim_start_matches('/').as_bytes()) % FILE_BINS
}

/// FNV-1a.
fn fnv(bytes: &[u8]) -> u32 {
    bytes.iter().fold(2_166_136_261, |hash: u32, byte| (hash ^ u32::from(*byte)).wrapping_mul(16_777_619))
}

/// An alternative of a package's group, by their places.
type Possibility = (usize, usize, usize);
/// An alternative, and a package that satisfies it.
type Lead = (Possibility, usize);

struct Plan<'a> {
    facts: &'a [Facts],
    /// For each package all that satisfies one of its dependencies, in their order.
    needs: Vec<Vec<usize>>,
    unpacked: Vec<bool>,
    configured: Vec<bool>,
    steps: Vec<Step>,
}

impl Plan<'_> {
    /// These packages and what they need, each behind what it needs.
    fn unpacking(&self, wanted: impl Fn(&Facts) -> bool) -> Vec<usize> {
        let mut roots: Vec<usize> =
            (0..self.facts.len()).filter(|&package| wanted(&self.facts[package])).collect();
        let score = |facts: &Facts| {
            200 * i32::from(facts.essential) + 50 * i32::from(facts.before > 0) + facts.priority
        };
        roots.sort_by_key(|&package| (-score(&self.facts[package]), &self.facts[package].name));
        self.closure(&roots, false)
    }

    /// Depth first without recursion: a package comes once all that it needs has come.
    fn closure(&self, roots: &[usize], unconfigured: bool) -> Vec<usize> {
        let mut begun = vec![false; self.facts.len()];
        let mut order = Vec::new();
        for &root in roots {
            let mut stack = vec![(root, 0)];
            while let Some((package, need)) = stack.pop() {
                if need == 0 && std::mem::replace(&mut begun[package], true) {
                    continue;
                }
                if let Some(&needed) = self.needs[package].get(need) {
                    stack.push((package, need + 1));
                    if !(begun[needed] || unconfigured && self.configured[needed]) {
                        stack.push((needed, 0));
                    }
                } else {
                    order.push(package);
                }
            }
        }
        order
    }

    /// What must be configured before the package may be unpacked, in the order in which it can be.
    fn needed_before(&self, package: usize) -> Vec<usize> {
        let facts = &self.facts[package];
        let waiting = facts.groups[..facts.before].iter().filter(|group| {
            !group.is_empty() && !group.iter().flatten().any(|&needed| self.configured[needed])
        });
        let first =
            waiting.filter_map(|group| group.iter().flatten().copied().find(|&needed| self.unpacked[needed]));
        let roots: Vec<usize> = first.collect();
        if roots.is_empty() {
            return roots;
        }
        let mut all = self.closure(&roots, true);
        all.retain(|&needed| self.unpacked[needed] && !self.configured[needed]);
        all
    }

    /// Something configures these, in an order that does not matter for what comes after them.
    fn configure(&mut self, queue: Vec<usize>) {
        for &package in &queue {
            self.configured[package] = true;
        }
        if !queue.is_empty() {
            self.steps.push(Step::Configure(queue));
        }
    }
}

/// How far a package is, for those that need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its `postinst` has not run.
    Waiting,
    /// It has, and the package waits until this one's triggers have been processed.
    Awaits(usize),
    /// It can be used.
    Configured,
}

/// What comes next in a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// A package's `postinst` runs.
    Configure(usize),
    /// A package's triggers are processed, for which others wait.
    Triggers(usize),
}

/// Whether all that the package needs can be used.
pub(super) fn is_satisfied(facts: &Facts, standing: &dyn Fn(usize) -> Standing) -> bool {
    let usable = |needed: &usize| standing(*needed) == Standing::Configured;
    facts.groups.iter().all(|group| group.is_empty() || group.iter().flatten().any(usable))
}

/// What is tried when nothing has come of a whole round, in this order (`enum dependtry`).
const CIRCLES: usize = 1;
const TRIGGERS: usize = 2;
const REGARDLESS: usize = 4;

/// dpkg's queue of what is to be configured (`packages.c: process_queue`).
pub(super) struct Queue<'a> {
    facts: &'a [Facts],
    waiting: VecDeque<usize>,
    /// Dependencies that no longer count.
    broken: BTreeSet<Possibility>,
    /// How often nothing has come of a package, and what is tried.
    nothing: usize,
    tried: usize,
    /// A package whose triggers, once processed, would let another be configured.
    helps: Option<usize>,
}

impl<'a> Queue<'a> {
    /// These wait.
    pub(super) fn new(facts: &'a [Facts], waiting: Vec<usize>) -> Self {
        let waiting = waiting.into();
        Self { facts, waiting, broken: BTreeSet::new(), nothing: 0, tried: 0, helps: None }
    }

    /// What is next, which the caller then does.
    pub(super) fn next(&mut self, standing: &dyn Fn(usize) -> Standing) -> Option<Turn> {
        while let Some(package) = self.waiting.pop_front() {
            let before = self.nothing;
            self.nothing += 1;
            let length = self.waiting.len();
            if before > length * 3 + 2 {
                (self.nothing, self.tried) = (0, self.tried + 1);
            } else if self.nothing > length * 2 + 2 {
                if let Some(helps) = self.helps.take().filter(|_| self.tried >= TRIGGERS) {
                    self.waiting.push_back(package);
                    return Some(Turn::Triggers(helps));
                }
                (self.nothing, self.tried) = (0, self.tried + 1);
            }
            if self.tried >= REGARDLESS || self.is_ready(package, standing) {
                self.nothing = 0;
                return Some(Turn::Configure(package));
            }
            if self.tried >= CIRCLES && self.break_circle(package) {
                self.nothing = 0;
            }
            self.waiting.push_back(package);
        }
        None
    }

    /// Something has come of it.
    pub(super) fn progress(&mut self) {
        self.nothing = 0;
    }

    /// Whether all that the package needs can be used. Where only triggers stand in the way, whose is noted.
    fn is_ready(&mut self, package: usize, standing: &dyn Fn(usize) -> Standing) -> bool {
        let (mut ready, mut by_triggers, mut helps) = (true, true, None);
        for (at, group) in self.facts[package].groups.iter().enumerate() {
            let satisfied = group.is_empty()
                || group.iter().enumerate().any(|(choice, found)| {
                    self.broken.contains(&(package, at, choice))
                        || found.iter().any(|&needed| standing(needed) == Standing::Configured)
                });
            if satisfied {
                continue;
            }
            ready = false;
            let awaited = group.iter().flatten().find_map(|&needed| match standing(needed) {
                Standing::Awaits(pending) => Some(pending),
                _ => None,
            });
            by_triggers &= awaited.is_some();
            helps = awaited.or(helps);
        }
        if !ready && by_triggers {
            self.helps = helps;
        }
        ready
    }

    /// Finds a circle that the package leads to, and breaks it: whether there was one.
    fn break_circle(&mut self, package: usize) -> bool {
        // The way from the package: a package, the dependency that is looked at, and which of its packages is next.
        let mut seen = vec![false; self.facts.len()];
        let mut way: Vec<(usize, Vec<Lead>, usize)> = Vec::new();
        let leads = |package: usize, broken: &BTreeSet<Possibility>| {
            let mut leads = Vec::new();
            for (at, group) in self.facts[package].groups.iter().enumerate() {
                for (choice, found) in group.iter().enumerate() {
                    if !broken.contains(&(package, at, choice)) {
                        leads.extend(found.iter().map(|&needed| ((package, at, choice), needed)));
                    }
                }
            }
            leads
        };
        seen[package] = true;
        way.push((package, leads(package, &self.broken), 0));
        while let Some((_, all, next)) = way.last() {
            let needed = all.get(*next).map(|(_, needed)| *needed);
            let Some(needed) =
                needed.filter(|needed| !seen[*needed] || way.iter().any(|(earlier, ..)| earlier == needed))
            else {
                if needed.is_none() {
                    way.pop();
                }
                if let Some((_, _, next)) = way.last_mut() {
                    *next += 1;
                }
                continue;
            };
            if let Some(start) = way.iter().position(|(earlier, ..)| *earlier == needed) {
                // From the last link back to where the circle began; the first without a `postinst` gives way.
                let circle = &way[start..];
                let without = circle.iter().rev().find(|(package, ..)| !self.facts[*package].has_postinst);
                if let Some((_, all, next)) = without.or(circle.first()) {
                    let (possibility, _) = all[*next];
                    self.broken.insert(possibility);
                }
                return true;
            }
            seen[needed] = true;
            way.push((needed, leads(needed, &self.broken), 0));
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `NAME[!] [: NEEDED…] [; PRE-NEEDED…]`; `!` has a postinst, a capital first letter is Essential.
    fn order(lines: &[&str]) -> String {
        let name = |line: &str| line.split([' ', '!']).next().unwrap_or_default().to_owned();
        let names: Vec<String> = lines.iter().map(|line| name(line)).collect();
        let all: Vec<Facts> = lines
            .iter()
            .map(|line| {
                let (rest, before) = line.split_once(" ;").unwrap_or((line, ""));
                let (head, needs) = rest.split_once(" :").unwrap_or((rest, ""));
                let groups = |text: &str| -> Vec<Vec<Vec<usize>>> {
                    let find = |word: &str| names.iter().position(|name| name == word).unwrap();
                    text.split_whitespace().map(|word| vec![vec![find(word)]]).collect()
                };
                let pre = groups(before);
                Facts {
                    name: name(head),
                    essential: head.starts_with(char::is_uppercase),
                    has_postinst: head.contains('!'),
                    before: pre.len(),
                    groups: [pre, groups(needs)].concat(),
                    ..Facts::default()
                }
            })
            .collect();
        let mut words = Vec::new();
        let mut configured = BTreeSet::new();
        for step in steps(&all) {
            match step {
                Step::Files(package) => words.push(format!("{}.files", names[package])),
                Step::Preinst(package) => words.push(format!("{}.pre", names[package])),
                Step::Configure(packages) => {
                    let mut queue = Queue::new(&all, packages);
                    loop {
                        let standing = |package| {
                            if configured.contains(&package) {
                                Standing::Configured
                            } else {
                                Standing::Waiting
                            }
                        };
                        let Some(Turn::Configure(package)) = queue.next(&standing) else { break };
                        configured.insert(package);
                        words.push(format!("{}.post", names[package]));
                    }
                }
                Step::Triggers => words.push("/".into()),
            }
        }
        words.join(" ")
    }

    #[test]
    fn files_come_before_the_scripts_of_essential_packages_and_behind_the_preinst_of_others() {
        assert_eq!(
            order(&["b : a", "a", "E : l", "l"]),
            "l.files E.files l.pre E.pre l.post E.post / a.pre a.files b.pre b.files a.post b.post /"
        );
    }

    #[test]
    fn what_is_needed_before_the_unpack_is_configured_then() {
        assert_eq!(
            order(&["a ; p", "p : q", "q"]),
            "/ q.pre q.files p.pre p.files q.post p.post a.pre a.files a.post /"
        );
    }

    // As dpkg 1.21 does it with --install of such packages in this order.
    #[test]
    fn a_circle_is_broken_at_the_package_without_a_script() {
        for (lines, configured) in
            [(["A! : B", "B : A"], "B.post A.post"), (["A : B", "B! : A"], "A.post B.post")]
        {
            let order = order(&lines);
            assert!(order.contains(configured), "{order}");
        }
    }

    // The bins of dpkg 1.22 order these names so, which a log of `dpkg --configure --pending` tells.
    #[test]
    fn what_waits_comes_in_the_order_of_dpkgs_table() {
        let logged =
            ["libexpat1", "libkeyutils1", "libgdbm6t64", "libbrotli1", "libnghttp2-14", "libcom-err2"];
        assert!(logged.is_sorted_by_key(|name| bin(name)));
    }

    // `/var/lib/dpkg/diversions` as dpkg 1.22 left it.
    #[test]
    fn paths_come_in_the_order_of_dpkgs_table_of_files() {
        let written = [
            "/lib/x86_64-linux-gnu/libreadline.so.8",
            "/usr/bin/pg_config",
            "/lib64/ld-linux-x86-64.so.2",
            "/libx32",
            "/lib32",
            "/libo32",
        ];
        assert!(written.is_sorted_by_key(|path| place_of_path(path)));
    }

    #[test]
    fn a_package_that_needs_itself_or_nothing_is_there_once() {
        assert_eq!(order(&["a : a"]), "/ a.pre a.files a.post /");
    }
}
