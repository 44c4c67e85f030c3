//! What components are built on, with all that those are built on.

use std::collections::BTreeMap;

use pinfold_archive::Component;

use super::ComponentSize;

/// What each component is built on, itself among it.
pub(super) struct Origins<'a> {
    numbers: BTreeMap<&'a str, usize>,
    all: Vec<Bits>,
}

impl<'a> Origins<'a> {
    pub(super) fn of(sizes: &BTreeMap<&'a str, &'a ComponentSize>) -> Self {
        let some = || sizes.values().filter(|size| size.moves_with_others());
        let numbers: BTreeMap<&str, usize> = some().map(|size| size.component.as_str()).zip(0..).collect();
        let direct: Vec<Vec<usize>> = some()
            .map(|size| size.built_on.iter().filter_map(|on| numbers.get(on.as_str()).copied()).collect())
            .collect();
        let mut all: Vec<Bits> = (0..direct.len()).map(|at| Bits::only(at, direct.len())).collect();
        // Circles are legal: until nothing is new.
        let mut grew = true;
        while grew {
            grew = false;
            for (at, on) in direct.iter().enumerate() {
                let mut own = std::mem::take(&mut all[at]);
                let before = own.count();
                for &other in on.iter().filter(|&&other| other != at) {
                    own.add(&all[other]);
                }
                grew |= own.count() > before;
                all[at] = own;
            }
        }
        Self { numbers, all }
    }

    pub(super) fn all<'b>(&self, components: impl IntoIterator<Item = &'b Component>) -> Bits {
        let mut union = Bits::none(self.all.len());
        for at in components.into_iter().filter_map(|component| self.numbers.get(component.as_str())) {
            union.add(&self.all[*at]);
        }
        union
    }
}

/// A set of numbers.
#[derive(Clone, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    fn none(length: usize) -> Self {
        Self(vec![0; length.div_ceil(64)])
    }

    fn only(at: usize, length: usize) -> Self {
        let mut bits = Self::none(length);
        bits.0[at / 64] |= 1 << (at % 64);
        bits
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (word, other) in self.0.iter_mut().zip(&other.0) {
            *word |= other;
        }
    }

    pub(super) fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(super) fn count_with(&self, other: &Self) -> usize {
        self.0.iter().zip(&other.0).map(|(one, other)| (one | other).count_ones() as usize).sum()
    }

    /// How many numbers there can be at most.
    pub(super) fn room(&self) -> usize {
        self.0.len() * 64
    }
}
