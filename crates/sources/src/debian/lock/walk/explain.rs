//! Why there is no set of packages, with the way from the roots to both sides.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::fmt;
use std::io;

use super::Ban;
use super::Id;
use super::IndexError;
use super::Need;
use super::Origin;
use super::Reason;
use super::Relation;
use super::Walk;

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
        /// What would satisfy it and was not taken, as it can be asked for.
        other: Option<String>,
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
    /// The machine has no room for the walk.
    #[error("cannot start to choose packages")]
    Thread(#[source] io::Error),
}

impl<'u> Walk<'u, '_> {
    /// What is wrong among the needed packages, if anything.
    pub(super) fn fault(
        &mut self,
        roots: &[(Id, Reason)],
        needed: &BTreeMap<&'u str, Id>,
    ) -> Result<Option<WalkError>, IndexError> {
        // In the order of the roots: what the user reads first is what was asked for first.
        let mut order: Vec<Id> = roots.iter().map(|&(id, _)| id).collect();
        order.extend(needed.values());
        let mut seen = HashSet::new();
        for id in order {
            let relations = self.relations(id)?;
            // What the base lacks itself is the base's matter.
            let own = self.present.contains(&id);
            for (group, _) in relations.needs.iter().filter(|(_, need)| *need == Need::Must && !own) {
                if !self.is_satisfied(group) {
                    return self.reason(group, &mut vec![id], &mut seen).map(Some);
                }
            }
            for ban in &relations.bans {
                let mut hit = self.hit(&ban.relation, id);
                let among = |other: Id| {
                    let both = own && self.present.contains(&other);
                    needed.contains_key(self.universe.name(other)) && !both
                };
                if let Some(other) = hit.find(|&other| among(other)) {
                    let (left, right) = (self.chain(&[other]), self.chain(&[id]));
                    return Ok(Some(WalkError::Conflict { rule: self.rule(id, ban), left, right }));
                }
            }
        }
        Ok(None)
    }

    /// Why nothing satisfies a group that the last of `path` needs: followed down to what is really missing.
    fn reason(
        &mut self,
        group: &[Relation<'u>],
        path: &mut Vec<Id>,
        seen: &mut HashSet<Id>,
    ) -> Result<WalkError, IndexError> {
        // What would satisfy it if nothing were in the way.
        let options: Vec<Id> = group.iter().flat_map(|relation| self.candidates.meant(relation)).collect();
        for &option in &options {
            if let Some((owner, ban, other)) = self.clash(option)? {
                path.push(option);
                let (left, right) = (self.chain(path), self.chain(&[other]));
                return Ok(WalkError::Conflict { rule: self.rule(owner, &ban), left, right });
            }
        }
        for &option in &options {
            if !seen.insert(option) || seen.len() > super::MAX_DEPTH {
                continue;
            }
            let relations = self.relations(option)?;
            for (inner, _) in relations.needs.iter().filter(|(_, need)| *need == Need::Must) {
                if !self.is_satisfied(inner) {
                    path.push(option);
                    return self.reason(inner, path, seen);
                }
            }
        }
        Ok(self.unsatisfied(group, path))
    }

    /// What stands between `id` and the marked packages: whose relation, which, and the package on its other side.
    fn clash(&mut self, id: Id) -> Result<Option<(Id, Ban<'u>, Id)>, IndexError> {
        let (universe, own) = (self.universe, self.relations(id)?);
        let marked: BTreeMap<&str, Id> = self.marked.iter().map(|(&name, &id)| (name, id)).collect();
        for (_, other) in marked.into_iter().filter(|&(name, _)| name != universe.name(id)) {
            for ban in &self.relations(other)?.bans {
                let real = ban.relation.name == universe.name(id) && universe.meets(&ban.relation, id);
                let provided = own.provides.iter().any(|&(name, version)| {
                    name == ban.relation.name && universe.provides(&ban.relation, id, version)
                });
                if real || provided {
                    return Ok(Some((other, *ban, other)));
                }
            }
        }
        for ban in &own.bans {
            if let Some(other) = self.hit(&ban.relation, id).next() {
                return Ok(Some((id, *ban, other)));
            }
        }
        Ok(None)
    }

    fn rule(&self, owner: Id, ban: &Ban<'u>) -> String {
        format!("`{}` has `{}: {}`", self.universe.name(owner), ban.field, ban.relation)
    }

    fn unsatisfied(&self, group: &[Relation<'u>], path: &[Id]) -> WalkError {
        let universe = self.universe;
        let (mut why, mut other) = (Vec::new(), None);
        for relation in group {
            let name = relation.name;
            let of = |id: Id| match universe.suite_name(id) {
                "" => universe.version(id).to_owned(),
                suite => format!("{} of `{suite}`", universe.version(id)),
            };
            let taken = self.candidates.of(name);
            let fits = universe
                .named(name)
                .iter()
                .copied()
                .find(|&id| universe.meets(relation, id) && Some(id) != taken);
            why.push(match (taken, fits) {
                (Some(id), _) if universe.meets(relation, id) => {
                    format!("`{name}` {} would satisfy it, and cannot be there", of(id))
                }
                (Some(id), Some(fits)) => {
                    other.get_or_insert_with(|| format!("{name}/{}", universe.suite_name(fits)));
                    format!("of `{name}` {} is taken, and {} would satisfy it", of(id), of(fits))
                }
                (Some(id), None) => format!("`{name}` is there in version {}", universe.version(id)),
                (None, _) if universe.providers(name).next().is_some() => {
                    format!("no provider of `{name}` fits")
                }
                (None, _) => format!("there is no `{name}`"),
            });
        }
        // What was asked for in another version is not asked for in two.
        let other = other.filter(|other| {
            let name = other.split('/').next().unwrap_or_default();
            self.candidates.fixed(name).is_none()
        });
        let relation = group.iter().map(Relation::to_string).collect::<Vec<_>>().join(" | ");
        WalkError::Unsatisfied { relation, why: why.join(", "), other, chain: self.chain(path) }
    }

    /// The way from a root to the first of `path`, and along it.
    fn chain(&self, path: &[Id]) -> Chain {
        let mut names: Vec<String> =
            path.iter().skip(1).rev().map(|&id| self.universe.name(id).to_owned()).collect();
        let mut at = path.first().copied();
        let mut seen = HashSet::new();
        while let Some(id) = at.filter(|&id| seen.insert(id)) {
            let name = self.universe.name(id);
            let (shown, next) = match self.origins.get(name) {
                Some(Origin::Needed(by)) => (name.to_owned(), Some(*by)),
                Some(Origin::Root(Reason::Asked)) => (format!("{name} (asked for)"), None),
                Some(Origin::Root(Reason::Base)) => (format!("{name} (base)"), None),
                None => (name.to_owned(), None),
            };
            names.push(shown);
            at = next;
        }
        names.reverse();
        Chain(names)
    }
}
