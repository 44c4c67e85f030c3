//! apt's choice of packages on an empty system.
//!
//! ```text
//! mark all roots, protected; then for each root, and depth first for each package marked on the way:
//!     everything marked that it conflicts with is unmarked          where that is protected it fails itself
//!     for each group of Pre-Depends, then Depends (then Recommends), in order:
//!         satisfied ─► nothing      else ─► mark its first possible package; what fails leaves it to the next
//!     a group of a protected package with one possible package protects that one too
//! at last: what nothing needs any more is dropped
//! ```
//!
//! Possible are, alternative by alternative, the candidate of that name and then the candidates that provide it (essential
//! first, then by priority, then the one that the indexes speak of last). A package that failed is no candidate any more, nor is what a protected one
//! conflicts with. The order matters and was measured: for `Depends: a | b, b` apt installs `a` too, for `Depends: b, a | b`
//! it does not. What is recommended and cannot be had is left out. These are the rules of apt 2.6 (`MarkInstall`). Its
//! search among what is broken in the end is simpler here: of two that exclude each other then, the one that fewer need gives
//! way, and those who needed it choose again.
//!
//! **Guarantees**: every `Pre-Depends` and `Depends` of a chosen package is satisfied by chosen packages, and no chosen
//! package conflicts with or breaks another. **Refuses** what does not come out so; the error shows who asked for both sides.

mod explain;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::rc::Rc;

use super::Recommends;
use super::candidates::Candidates;
use super::index::Id;
use super::index::IndexError;
use super::index::Mention;
use super::index::Universe;
use super::relation::Relation;

pub use explain::Chain;
pub use explain::WalkError;

/// How deep packages may need each other, as in apt.
const MAX_DEPTH: usize = 3000;
/// Room for that depth: it is touched as far as it is needed.
const STACK: usize = 256 << 20;
/// How often two that exclude each other in the end are parted.
const MAX_ROUNDS: usize = 10;

/// Why a package is among the roots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It belongs to the base.
    Base,
    /// The user asked for it.
    Asked,
}

/// The chosen packages, each with whether it is a root.
pub type Chosen<'u> = BTreeMap<&'u str, (Id, Option<Reason>)>;

/// Walks from `roots` over the candidates.
pub fn walk<'u>(
    candidates: &Candidates<'u>,
    roots: &[(Id, Reason)],
    recommends: Recommends,
) -> Result<Chosen<'u>, WalkError> {
    walk_over(candidates, &[], roots, recommends)
}

/// The same where `present` is installed already: it stays, whatever it needs itself, and is among what is chosen.
pub fn walk_over<'u>(
    candidates: &Candidates<'u>,
    present: &[Id],
    roots: &[(Id, Reason)],
    recommends: Recommends,
) -> Result<Chosen<'u>, WalkError> {
    let walk = || {
        let mut walk = Walk::new(candidates, recommends);
        walk.present = present.iter().copied().collect();
        walk.run(roots)?;
        walk.chosen(roots)
    };
    std::thread::scope(|scope| {
        let deep = std::thread::Builder::new().stack_size(STACK);
        match deep.spawn_scoped(scope, walk) {
            Ok(running) => running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(error) => Err(WalkError::Thread(error)),
        }
    })
}

#[derive(Clone, Copy, Debug)]
enum Origin {
    Root(Reason),
    Needed(Id),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Need {
    Must,
    May,
}

/// A relation that forbids others.
#[derive(Clone, Copy, Debug)]
struct Ban<'u> {
    field: &'static str,
    relation: Relation<'u>,
}

/// The relations of one version.
#[derive(Debug)]
struct Relations<'u> {
    needs: Vec<(Vec<Relation<'u>>, Need)>,
    bans: Vec<Ban<'u>>,
    provides: Vec<(&'u str, Option<&'u str>)>,
}

struct Walk<'u, 'f> {
    universe: &'u Universe,
    candidates: &'f Candidates<'u>,
    recommends: Recommends,
    read: HashMap<Id, Rc<Relations<'u>>>,
    /// What is recommended and suggested, read once.
    weak: HashMap<Id, Rc<Vec<Relation<'u>>>>,
    marked: HashMap<&'u str, Id>,
    /// Virtual names that marked packages provide.
    provided: HashMap<&'u str, Vec<(Id, Option<&'u str>)>>,
    /// What stays as it is, marked or not.
    protected: HashSet<&'u str>,
    /// Names without a candidate any more.
    discarded: HashSet<&'u str>,
    /// What is installed already.
    present: HashSet<Id>,
    /// Who first had a package marked, for messages.
    origins: HashMap<&'u str, Origin>,
    /// Where names are first spoken of: looked for where it decides.
    mentions: RefCell<HashMap<&'u str, Option<Mention>>>,
}

impl<'u, 'f> Walk<'u, 'f> {
    fn new(candidates: &'f Candidates<'u>, recommends: Recommends) -> Self {
        Self {
            universe: candidates.universe(),
            candidates,
            recommends,
            read: HashMap::new(),
            weak: HashMap::new(),
            marked: HashMap::new(),
            provided: HashMap::new(),
            protected: HashSet::new(),
            discarded: HashSet::new(),
            present: HashSet::new(),
            origins: HashMap::new(),
            mentions: RefCell::default(),
        }
    }

    fn run(&mut self, roots: &[(Id, Reason)]) -> Result<(), IndexError> {
        let present: BTreeSet<Id> = self.present.iter().copied().collect();
        for id in present {
            self.protected.insert(self.universe.name(id));
            self.mark(id, Origin::Root(Reason::Base))?;
        }
        for &(id, reason) in roots {
            self.protected.insert(self.universe.name(id));
            self.mark(id, Origin::Root(reason))?;
        }
        for &(id, reason) in roots {
            self.settle(id, Origin::Root(reason), 0)?;
        }
        for _ in 0..MAX_ROUNDS {
            if !self.part(roots)? && !self.mend(roots)? {
                break;
            }
        }
        Ok(())
    }

    /// What is marked and needed, if that fits together.
    fn chosen(&mut self, roots: &[(Id, Reason)]) -> Result<Chosen<'u>, WalkError> {
        let needed = self.needed(roots)?;
        let mut chosen: Chosen<'u> = needed.iter().map(|(&name, &id)| (name, (id, None))).collect();
        for &(id, reason) in roots {
            if let Some(entry) = chosen.get_mut(self.universe.name(id)) {
                entry.1.get_or_insert(reason);
            }
        }
        match self.fault(roots, &needed)? {
            None => Ok(chosen),
            Some(error) => Err(error),
        }
    }

    /// Marks a package with all it needs. Whether that went well.
    fn install(&mut self, id: Id, by: Id, depth: usize) -> Result<bool, IndexError> {
        let name = self.universe.name(id);
        if depth > MAX_DEPTH || self.is_kept_out(name) || self.candidate(name) != Some(id) {
            return Ok(false);
        }
        if !self.protected.contains(name) && self.marked.contains_key(name) && !self.is_broken(id)? {
            return Ok(true);
        }
        self.settle(id, Origin::Needed(by), depth)
    }

    /// Makes room for a package, marks it, and marks what it needs.
    fn settle(&mut self, id: Id, origin: Origin, depth: usize) -> Result<bool, IndexError> {
        let name = self.universe.name(id);
        let protected = self.protected.contains(name);
        let relations = self.relations(id)?;
        if !self.is_possible(&relations) {
            if !protected {
                self.unmark(name)?;
                self.discarded.insert(name);
            }
            return Ok(false);
        }
        let root = matches!(origin, Origin::Root(_));
        let strict = !protected && !root;
        let mut open = Vec::new();
        for (group, need) in &relations.needs {
            if protected || !self.is_satisfied(group) {
                open.push((group, *need));
            }
        }
        let room = self.make_room(id, &relations.bans, protected, root)?;
        if !room && strict {
            return Ok(false);
        }
        self.mark(id, origin)?;
        // As long as it is being seen to, nobody may unmark it.
        self.protected.insert(name);
        let satisfied = self.satisfy(id, &open, protected, root, depth)?;
        if !protected {
            self.protected.remove(name);
        }
        if !satisfied && strict {
            self.unmark(name)?;
            self.discarded.insert(name);
        }
        Ok(room && satisfied)
    }

    /// Unmarks what the package must not have beside it.
    fn make_room(
        &mut self,
        id: Id,
        bans: &[Ban<'u>],
        protected: bool,
        root: bool,
    ) -> Result<bool, IndexError> {
        let mut room = true;
        for ban in bans {
            let mut hit = self.candidates(&ban.relation);
            hit.retain(|&other| self.universe.name(other) != self.universe.name(id));
            for other in hit {
                let name = self.universe.name(other);
                let marked = self.marked.contains_key(name);
                if marked && self.protected.contains(name) {
                    room = false;
                    if !protected && !root {
                        return Ok(false);
                    }
                    continue;
                }
                // What only might come later is left alone: something protected may need it.
                if marked {
                    self.unmark(name)?;
                }
                if protected {
                    self.discarded.insert(name);
                    self.protected.insert(name);
                }
            }
        }
        Ok(room)
    }

    fn satisfy(
        &mut self,
        by: Id,
        groups: &[(&Vec<Relation<'u>>, Need)],
        protected: bool,
        root: bool,
        depth: usize,
    ) -> Result<bool, IndexError> {
        let mut all = true;
        for &(group, need) in groups {
            if self.is_satisfied(group) {
                if !protected || need == Need::May {
                    continue;
                }
                // The only way to satisfy what a protected package needs stays too.
                let only: BTreeSet<Id> = group.iter().flat_map(|one| self.candidates(one)).collect();
                if let Some(&id) = only.first().filter(|_| only.len() == 1)
                    && self.protected.insert(self.universe.name(id))
                {
                    all &= self.install(id, by, depth + 1)?;
                }
                continue;
            }
            let options = self.options(group);
            let only = protected && need == Need::Must && options.len() == 1;
            let mut found = false;
            for id in options {
                let name = self.universe.name(id);
                if only && !self.is_kept_out(name) && self.candidate(name) == Some(id) {
                    self.mark(id, Origin::Needed(by))?;
                    self.protected.insert(name);
                }
                if self.install(id, by, depth + 1)? {
                    found = true;
                    break;
                }
            }
            if !found && need == Need::Must {
                all = false;
                if !protected && !root {
                    break;
                }
            }
        }
        Ok(all)
    }

    /// Parts two marked packages that exclude each other. Whether there was something to do.
    fn part(&mut self, roots: &[(Id, Reason)]) -> Result<bool, IndexError> {
        let needed = self.needed(roots)?;
        let mut away = None;
        for (&name, &id) in &needed {
            for ban in &self.relations(id)?.bans {
                let Some(other) =
                    self.hit(&ban.relation, id).find(|&id| needed.contains_key(self.universe.name(id)))
                else {
                    continue;
                };
                let other = self.universe.name(other);
                let stays = (self.protected.contains(name), self.protected.contains(other));
                let first = match stays {
                    (true, true) => continue,
                    (true, false) => false,
                    (false, true) => true,
                    (false, false) => self.dependants(name, &needed)? <= self.dependants(other, &needed)?,
                };
                away = Some(if first { name } else { other });
                break;
            }
            if away.is_some() {
                break;
            }
        }
        let Some(away) = away else { return Ok(false) };
        self.unmark(away)?;
        self.discarded.insert(away);
        Ok(true)
    }

    /// Chooses again for those who have lost what they need. Whether that helped one of them.
    fn mend(&mut self, roots: &[(Id, Reason)]) -> Result<bool, IndexError> {
        let mut helped = false;
        for (name, id) in self.needed(roots)? {
            let origin = self.origins.get(name).copied();
            if let Some(origin) = origin.filter(|_| self.marked.contains_key(name))
                && self.is_broken(id)?
            {
                self.settle(id, origin, 0)?;
                helped |= !self.is_broken(id)?;
            }
        }
        Ok(helped)
    }

    /// How many of `among` need a package by its name.
    fn dependants(&mut self, name: &str, among: &BTreeMap<&'u str, Id>) -> Result<usize, IndexError> {
        let mut number = 0;
        for &id in among.values() {
            let relations = self.relations(id)?;
            let needs = |(group, need): &(Vec<Relation<'u>>, Need)| {
                *need == Need::Must && group.iter().any(|relation| relation.name == name)
            };
            number += usize::from(relations.needs.iter().any(needs));
        }
        Ok(number)
    }

    /// What is marked and reached from the roots: by what they need, and by what they recommend or suggest, too.
    fn needed(&mut self, roots: &[(Id, Reason)]) -> Result<BTreeMap<&'u str, Id>, IndexError> {
        let mut needed = BTreeMap::new();
        let roots = roots.iter().map(|&(id, _)| id).chain(self.present.iter().copied());
        let names = roots.map(|id| self.universe.name(id));
        let mut open: Vec<Id> = names.filter_map(|name| self.marked.get(name)).copied().collect();
        while let Some(id) = open.pop() {
            if needed.insert(self.universe.name(id), id).is_some() {
                continue;
            }
            let (relations, weak) = (self.relations(id)?, self.weak(id)?);
            let musts = relations.needs.iter().filter(|(_, need)| *need == Need::Must);
            for relation in musts.flat_map(|(group, _)| group).chain(weak.iter()) {
                open.extend(
                    self.hit(relation, id).filter(|&id| !needed.contains_key(self.universe.name(id))),
                );
            }
        }
        Ok(needed)
    }

    fn mark(&mut self, id: Id, origin: Origin) -> Result<(), IndexError> {
        let name = self.universe.name(id);
        if self.marked.insert(name, id).is_none() {
            self.origins.insert(name, origin);
            for &(name, version) in &self.relations(id)?.provides {
                self.provided.entry(name).or_default().push((id, version));
            }
        }
        Ok(())
    }

    fn unmark(&mut self, name: &'u str) -> Result<(), IndexError> {
        let Some(id) = self.marked.remove(name) else { return Ok(()) };
        for (name, _) in &self.relations(id)?.provides {
            if let Some(by) = self.provided.get_mut(name) {
                by.retain(|&(other, _)| other != id);
            }
        }
        Ok(())
    }

    /// Whether a name must stay unmarked.
    fn is_kept_out(&self, name: &str) -> bool {
        self.protected.contains(name) && !self.marked.contains_key(name)
    }

    /// Whether something marked lacks what it needs, or has beside it what it excludes.
    fn is_broken(&mut self, id: Id) -> Result<bool, IndexError> {
        let relations = self.relations(id)?;
        let lacks = relations.needs.iter().any(|(group, _)| !self.is_satisfied(group));
        Ok(lacks || relations.bans.iter().any(|ban| self.hit(&ban.relation, id).next().is_some()))
    }

    /// Whether each of the needs can be met by what is marked or may still be.
    fn is_possible(&self, relations: &Relations<'u>) -> bool {
        let possible = |group: &[Relation<'u>]| {
            self.is_satisfied(group) || group.iter().any(|one| !self.candidates(one).is_empty())
        };
        let mut needs = relations.needs.iter().filter(|(_, need)| *need == Need::Must);
        needs.all(|(group, _)| possible(group))
    }

    fn is_satisfied(&self, group: &[Relation<'u>]) -> bool {
        group.iter().any(|relation| self.hits(relation).next().is_some())
    }

    /// The marked packages that a relation means.
    fn hits<'s>(&'s self, relation: &'s Relation<'u>) -> impl Iterator<Item = Id> + use<'s, 'u, 'f> {
        let real = self.marked.get(relation.name).copied().filter(|&id| self.universe.meets(relation, id));
        let provided = self.provided.get(relation.name).into_iter().flatten();
        let provided = provided
            .filter(|&&(id, version)| self.universe.provides(relation, id, version))
            .map(|&(id, _)| id);
        real.into_iter().chain(provided)
    }

    /// The same without the relation's owner, whom it cannot mean.
    fn hit<'s>(
        &'s self,
        relation: &'s Relation<'u>,
        owner: Id,
    ) -> impl Iterator<Item = Id> + use<'s, 'u, 'f> {
        let owner = self.universe.name(owner);
        self.hits(relation).filter(move |&id| self.universe.name(id) != owner)
    }

    /// The candidates that a relation means, in no order: that of the name, and those that provide it.
    fn candidates(&self, relation: &Relation<'u>) -> Vec<Id> {
        self.candidates.meant_of(relation, |name| self.candidate(name))
    }

    fn mention(&self, id: Id) -> Option<Mention> {
        let name = self.universe.name(id);
        *self.mentions.borrow_mut().entry(name).or_insert_with(|| self.universe.mention(name))
    }

    /// The packages that could satisfy a group, best first.
    fn options(&self, group: &[Relation<'u>]) -> Vec<Id> {
        let mut options = Vec::new();
        for relation in group {
            let mut some = self.candidates(relation);
            let rank = |id: Id| {
                let name = self.universe.name(id);
                (!self.protected.contains(name), name != relation.name, self.universe.weight(id))
            };
            // Of equal ones the last that the indexes speak of, as apt has it.
            some.sort_by(|&left, &right| {
                rank(left).cmp(&rank(right)).then_with(|| self.mention(right).cmp(&self.mention(left)))
            });
            options.extend(some);
        }
        options.retain(|&id| !self.is_kept_out(self.universe.name(id)));
        options.dedup();
        options
    }

    fn candidate(&self, name: &str) -> Option<Id> {
        if self.discarded.contains(name) {
            return self.marked.get(name).copied();
        }
        self.candidates.of(name)
    }

    /// What a version recommends and suggests.
    fn weak(&mut self, id: Id) -> Result<Rc<Vec<Relation<'u>>>, IndexError> {
        if let Some(known) = self.weak.get(&id) {
            return Ok(known.clone());
        }
        let mut weak = Vec::new();
        for field in ["Recommends", "Suggests"] {
            weak.extend(self.universe.relations(id, field)?.into_iter().flatten());
        }
        let weak = Rc::new(weak);
        self.weak.insert(id, weak.clone());
        Ok(weak)
    }

    /// The relations of a version, read once.
    fn relations(&mut self, id: Id) -> Result<Rc<Relations<'u>>, IndexError> {
        if let Some(known) = self.read.get(&id) {
            return Ok(known.clone());
        }
        let universe = self.universe;
        let mut needs = Vec::new();
        for (field, need) in [("Pre-Depends", Need::Must), ("Depends", Need::Must), ("Recommends", Need::May)]
        {
            if need == Need::Must || self.recommends == Recommends::Install {
                needs.extend(universe.relations(id, field)?.into_iter().map(|group| (group, need)));
            }
        }
        let mut bans = Vec::new();
        for field in ["Conflicts", "Breaks"] {
            for relation in universe.relations(id, field)?.into_iter().flatten() {
                // `libc6-x32:i386`: of another architecture, none of which is here.
                let other = |word: &str| !matches!(word, "any" | "native") && word != universe.arch();
                if !relation.qualifier.is_some_and(other) {
                    // `any` excludes whatever has the name.
                    bans.push(Ban { field, relation: Relation { qualifier: None, ..relation } });
                }
            }
        }
        let provides = universe.relations(id, "Provides")?.into_iter().flatten();
        let provides = provides.map(|one| (one.name, one.version.map(|(_, version)| version))).collect();
        let relations = Rc::new(Relations { needs, bans, provides });
        self.read.insert(id, relations.clone());
        Ok(relations)
    }
}
