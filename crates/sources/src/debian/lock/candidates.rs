//! The one version of each name that can be chosen, and what relations mean by it.
//!
//! **Guarantees**: what roots, walk and its explanations take for a candidate is the same: the version that is asked for or
//! kept from the lock, else apt's.

use std::collections::BTreeMap;

use super::index::Id;
use super::index::Universe;
use super::relation::Relation;

/// The candidates of all names.
#[derive(Clone, Debug)]
pub struct Candidates<'u> {
    universe: &'u Universe,
    fixed: BTreeMap<&'u str, Id>,
}

impl<'u> Candidates<'u> {
    /// Those of apt.
    pub fn new(universe: &'u Universe) -> Self {
        Self { universe, fixed: BTreeMap::new() }
    }

    /// The packages that they are among.
    pub fn universe(&self) -> &'u Universe {
        self.universe
    }

    /// Has this version be the candidate of its name. Whether it was not fixed before.
    pub fn fix(&mut self, id: Id) -> bool {
        self.fixed.insert(self.universe.name(id), id) != Some(id)
    }

    /// The version of a name that was fixed.
    pub fn fixed(&self, name: &str) -> Option<Id> {
        self.fixed.get(name).copied()
    }

    /// The candidate of a name.
    pub fn of(&self, name: &str) -> Option<Id> {
        self.fixed(name).or_else(|| self.universe.candidate(name))
    }

    /// The candidates that a relation means, in no order: that of the name, and those that provide it.
    pub fn meant(&self, relation: &Relation<'_>) -> Vec<Id> {
        self.meant_of(relation, |name| self.of(name))
    }

    /// The same where `candidate` says what can be chosen of a name.
    pub fn meant_of(&self, relation: &Relation<'_>, candidate: impl Fn(&str) -> Option<Id>) -> Vec<Id> {
        let universe = self.universe;
        let real = candidate(relation.name).filter(|&id| universe.meets(relation, id));
        let providers = universe.providers(relation.name).filter(|&(id, version)| {
            candidate(universe.name(id)) == Some(id) && universe.provides(relation, id, version)
        });
        real.into_iter().chain(providers.map(|(id, _)| id)).collect()
    }
}
