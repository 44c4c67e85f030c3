//! apt's choice of packages on an empty system, without search.
//!
//! ```text
//! choose all roots
//! for each root, and depth first for each package chosen on the way:
//!     for each group of Pre-Depends, then Depends (then Recommends), in order:
//!         already satisfied ─► nothing      else ─► choose its first possible package, and go on with that one's groups
//! ```
//!
//! Possible are, alternative by alternative, the candidate of that name and then the candidates that provide it (essential
//! first, then by priority, then by name), as far as nothing chosen conflicts with them. The order matters and was measured:
//! for `Depends: a | b, b` apt installs `a` too, for `Depends: b, a | b` it does not; and what a package needs comes before
//! what its sibling needs. With Recommends the order is a little different in apt: about one package in ten ends with another
//! choice among alternatives. What is recommended and cannot be had is left out.
//!
//! **Guarantees**: every `Pre-Depends` and `Depends` of a chosen package is satisfied by chosen packages, and no chosen
//! package conflicts with or breaks another. **Refuses**, rather than searches: what meets a conflict; the error shows who
//! asked for both sides.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::fmt;

use super::Recommends;
use super::index::Id;
use super::index::IndexError;
use super::index::Universe;
use super::relation::Relation;

/// Why a package is among the roots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It belongs to the base.
    Base,
    /// The user asked for it.
    Asked,
}

/// The way from a root to a package: `curl (asked for) → libcurl4 → …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain(Vec<String>);

impl fmt::Display for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" → "))
    }
}

/// Why there is no set of packages.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// No package can satisfy a relation.
    #[error("`{relation}` cannot be satisfied: {why}; needed by {chain}")]
    Unsatisfied {
        /// The group, as in the index.
        relation: String,
        /// What there is instead.
        why: String,
        /// Who needs it.
        chain: Chain,
    },
    /// Two packages exclude each other.
    #[error("two packages exclude each other ({rule}): {left}, and {right}")]
    Conflict {
        /// The relation that excludes, as in the index, with its owner.
        rule: String,
        /// Who asked for the one.
        left: Chain,
        /// Who asked for the other.
        right: Chain,
    },
    /// The index is damaged.
    #[error(transparent)]
    Index(#[from] IndexError),
}

/// The chosen packages, each with whether it is a root.
pub type Chosen<'u> = BTreeMap<&'u str, (Id, Option<Reason>)>;

/// Walks from `roots`. `fixed` names packages whose candidate is not the best version.
pub fn walk<'u>(
    universe: &'u Universe,
    fixed: &BTreeMap<&'u str, Id>,
    roots: &[(Id, Reason)],
    recommends: Recommends,
) -> Result<Chosen<'u>, WalkError> {
    let mut walk = Walk {
        universe,
        fixed,
        chosen: HashMap::new(),
        provided: HashMap::new(),
        against: HashMap::new(),
        recommends,
    };
    for &(id, reason) in roots {
        walk.choose(id, Origin::Root(reason))?;
    }
    for &(id, _) in roots {
        walk.follow(id)?;
    }
    let chosen = walk.chosen.into_iter();
    Ok(chosen
        .map(|(name, (id, origin))| match origin {
            Origin::Root(reason) => (name, (id, Some(reason))),
            Origin::Needed(_) => (name, (id, None)),
        })
        .collect())
}

#[derive(Clone, Copy, Debug)]
enum Origin {
    Root(Reason),
    Needed(Id),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Must,
    May,
}

/// A chosen package whose relations are being satisfied.
struct Open<'u, 'f> {
    by: Id,
    groups: VecDeque<(Vec<Relation<'u>>, Need)>,
    /// The state before it was chosen, where it is only recommended.
    before: Option<Walk<'u, 'f>>,
}

/// A relation of a chosen package that forbids others.
#[derive(Clone, Copy)]
struct Ban<'u> {
    owner: Id,
    field: &'static str,
    relation: Relation<'u>,
}

/// What stands against choosing a package: a ban, and the package on its other side.
struct Clash<'u> {
    ban: Ban<'u>,
    other: Id,
}

#[derive(Clone)]
struct Walk<'u, 'f> {
    universe: &'u Universe,
    fixed: &'f BTreeMap<&'u str, Id>,
    chosen: HashMap<&'u str, (Id, Origin)>,
    /// Virtual names that chosen packages provide.
    provided: HashMap<&'u str, Vec<(Id, Option<&'u str>)>>,
    /// Bans of chosen packages by the name they are against.
    against: HashMap<&'u str, Vec<Ban<'u>>>,
    recommends: Recommends,
}

impl<'u, 'f> Walk<'u, 'f> {
    /// Satisfies a root's relations and theirs, depth first. The stack is a value: an index cannot exhaust ours.
    fn follow(&mut self, root: Id) -> Result<(), WalkError> {
        let mut open = vec![self.open(root)?];
        while let Some(top) = open.last_mut() {
            let by = top.by;
            let Some((group, need)) = top.groups.pop_front() else {
                open.pop();
                continue;
            };
            if self.is_satisfied(&group) {
                continue;
            }
            match self.pick(&group, by) {
                Ok(id) => {
                    let before = (need == Need::May).then(|| self.clone());
                    self.choose(id, Origin::Needed(by))?;
                    open.push(Open { before, ..self.open(id)? });
                }
                Err(WalkError::Index(error)) => return Err(error.into()),
                Err(_) if need == Need::May => {}
                // A recommendation whose own needs cannot be met is given up, with all that came with it.
                Err(error) => {
                    let Some(at) = open.iter().rposition(|one| one.before.is_some()) else {
                        return Err(error);
                    };
                    if let Some(before) = open.drain(at..).next().and_then(|one| one.before) {
                        *self = before;
                    }
                }
            }
        }
        Ok(())
    }

    /// The best package for a group that nothing chosen excludes.
    fn pick(&self, group: &[Relation<'u>], by: Id) -> Result<Id, WalkError> {
        let mut clash = None;
        for id in self.options(group) {
            match self.clash(id)? {
                None => return Ok(id),
                Some(found) => {
                    clash.get_or_insert((id, found));
                }
            }
        }
        Err(match clash {
            Some((id, clash)) => self.conflict(id, Origin::Needed(by), &clash),
            None => self.unsatisfied(group, by),
        })
    }

    fn open(&self, by: Id) -> Result<Open<'u, 'f>, WalkError> {
        let universe = self.universe;
        let fields: &[_] = match self.recommends {
            Recommends::Skip => &[("Pre-Depends", Need::Must), ("Depends", Need::Must)],
            Recommends::Install => {
                &[("Pre-Depends", Need::Must), ("Depends", Need::Must), ("Recommends", Need::May)]
            }
        };
        let mut groups = VecDeque::new();
        for &(field, need) in fields {
            groups.extend(universe.relations(by, field)?.into_iter().map(|group| (group, need)));
        }
        Ok(Open { by, groups, before: None })
    }

    /// Makes `id` part of the set, if nothing is against it.
    fn choose(&mut self, id: Id, origin: Origin) -> Result<(), WalkError> {
        let universe = self.universe;
        let name = universe.name(id);
        if self.chosen.contains_key(name) {
            return Ok(());
        }
        if let Some(clash) = self.clash(id)? {
            return Err(self.conflict(id, origin, &clash));
        }
        self.chosen.insert(name, (id, origin));
        for (name, version) in provides(universe, id)? {
            self.provided.entry(name).or_default().push((id, version));
        }
        for ban in bans(universe, id)? {
            self.against.entry(ban.relation.name).or_default().push(ban);
        }
        Ok(())
    }

    /// What stands between `id` and the chosen packages, if anything.
    fn clash(&self, id: Id) -> Result<Option<Clash<'u>>, IndexError> {
        let universe = self.universe;
        let name = universe.name(id);
        let own = std::iter::once((name, Some(universe.version(id)))).chain(provides(universe, id)?);
        for (name, version) in own {
            for &ban in self.against.get(name).into_iter().flatten() {
                if universe.name(ban.owner) != universe.name(id) && meets(&ban.relation, version) {
                    return Ok(Some(Clash { ban, other: ban.owner }));
                }
            }
        }
        for ban in bans(universe, id)? {
            let real = self.chosen.get(ban.relation.name).map(|&(id, _)| (id, Some(universe.version(id))));
            let provided = self.provided.get(ban.relation.name).into_iter().flatten().copied();
            for (other, version) in real.into_iter().chain(provided) {
                if universe.name(other) != name && meets(&ban.relation, version) {
                    return Ok(Some(Clash { ban, other }));
                }
            }
        }
        Ok(None)
    }

    fn is_satisfied(&self, group: &[Relation<'u>]) -> bool {
        group.iter().any(|relation| {
            let real = self.chosen.get(relation.name).is_some_and(|&(id, _)| self.is_met_by(relation, id));
            let provided = self.provided.get(relation.name).into_iter().flatten();
            real || provided.into_iter().any(|&(id, version)| self.is_met_by_provider(relation, id, version))
        })
    }

    /// The packages that could satisfy a group, best first, each once.
    fn options(&self, group: &[Relation<'u>]) -> Vec<Id> {
        let mut options = Vec::new();
        for relation in group {
            let real = self.candidate(relation.name).filter(|&id| self.is_met_by(relation, id));
            let mut providers: Vec<Id> = self
                .universe
                .providers(relation.name)
                .filter(|&(id, version)| {
                    self.candidate(self.universe.name(id)) == Some(id)
                        && self.is_met_by_provider(relation, id, version)
                })
                .map(|(id, _)| id)
                .collect();
            providers.sort_by(|&left, &right| self.universe.rank(left).cmp(&self.universe.rank(right)));
            for id in real.into_iter().chain(providers) {
                if !options.contains(&id) {
                    options.push(id);
                }
            }
        }
        options
    }

    fn candidate(&self, name: &str) -> Option<Id> {
        self.fixed.get(name).or_else(|| self.universe.named(name).first()).copied()
    }

    fn is_met_by(&self, relation: &Relation<'_>, id: Id) -> bool {
        self.fits_qualifier(relation, id) && meets(relation, Some(self.universe.version(id)))
    }

    fn is_met_by_provider(&self, relation: &Relation<'_>, id: Id, version: Option<&str>) -> bool {
        self.fits_qualifier(relation, id) && meets(relation, version)
    }

    fn fits_qualifier(&self, relation: &Relation<'_>, id: Id) -> bool {
        match relation.qualifier {
            None | Some("native") => true,
            Some("any") => self.universe.any(id),
            Some(arch) => arch == self.universe.arch(),
        }
    }

    fn unsatisfied(&self, group: &[Relation<'u>], by: Id) -> WalkError {
        let mut why = Vec::new();
        for relation in group {
            why.push(match self.candidate(relation.name) {
                Some(id) => format!("`{}` is there in version {}", relation.name, self.universe.version(id)),
                None if self.universe.providers(relation.name).next().is_some() => {
                    format!("no provider of `{}` fits", relation.name)
                }
                None => format!("there is no `{}`", relation.name),
            });
        }
        let relation = group.iter().map(Relation::to_string).collect::<Vec<_>>().join(" | ");
        WalkError::Unsatisfied { relation, why: why.join(", "), chain: self.chain(by, None) }
    }

    fn conflict(&self, id: Id, origin: Origin, clash: &Clash<'u>) -> WalkError {
        WalkError::Conflict {
            rule: format!(
                "`{}` has `{}: {}`",
                self.universe.name(clash.ban.owner),
                clash.ban.field,
                clash.ban.relation
            ),
            left: self.chain(id, Some(origin)),
            right: self.chain(clash.other, None),
        }
    }

    /// The way to `id`; `origin` where it is not chosen yet.
    fn chain(&self, id: Id, origin: Option<Origin>) -> Chain {
        let mut names = Vec::new();
        let (mut at, mut origin) = (id, origin);
        loop {
            let name = self.universe.name(at);
            let known = origin.take().or_else(|| self.chosen.get(name).map(|&(_, origin)| origin));
            match known {
                Some(Origin::Needed(by)) => {
                    names.push(name.to_owned());
                    at = by;
                }
                Some(Origin::Root(Reason::Asked)) => {
                    names.push(format!("{name} (asked for)"));
                    break;
                }
                Some(Origin::Root(Reason::Base)) => {
                    names.push(format!("{name} (base)"));
                    break;
                }
                None => {
                    names.push(name.to_owned());
                    break;
                }
            }
        }
        names.reverse();
        Chain(names)
    }
}

/// Whether something of this version (`None`: provided without one) meets a relation.
fn meets(relation: &Relation<'_>, version: Option<&str>) -> bool {
    match (relation.version, version) {
        (None, _) => true,
        (Some((operator, bound)), Some(version)) => operator.holds(version.as_bytes(), bound.as_bytes()),
        (Some(_), None) => false,
    }
}

fn provides(universe: &Universe, id: Id) -> Result<Vec<(&str, Option<&str>)>, IndexError> {
    let groups = universe.relations(id, "Provides")?;
    Ok(groups.into_iter().flatten().map(|one| (one.name, one.version.map(|(_, version)| version))).collect())
}

fn bans(universe: &Universe, id: Id) -> Result<Vec<Ban<'_>>, IndexError> {
    let mut bans = Vec::new();
    for field in ["Conflicts", "Breaks"] {
        for relation in universe.relations(id, field)?.into_iter().flatten() {
            // `libc6-x32:i386`: of another architecture, none of which is here.
            if relation
                .qualifier
                .is_some_and(|word| !matches!(word, "any" | "native") && word != universe.arch())
            {
                continue;
            }
            bans.push(Ban { owner: id, field, relation });
        }
    }
    Ok(bans)
}
