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
        let mut all: Vec<Bits> = vec![Bits::default(); direct.len()];
        for circle in circles(&direct) {
            let mut union = Bits::none(direct.len());
            for &at in &circle {
                union.put(at);
                // What is in the circle has nothing yet, all else has everything.
                for &on in &direct[at] {
                    union.add(&all[on]);
                }
            }
            for at in circle {
                all[at] = union.clone();
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

/// Circles of what is built on each other, most of them of one alone; each behind all that it is built on. (Tarjan, Depth-first search
/// and linear graph algorithms, 1972; without recursion, since chains may be long.)
fn circles(direct: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut circles = Vec::new();
    // The earliest that each leads back to, counted from 1: 0 was not met yet, `DONE` is in a circle that is found.
    const DONE: usize = usize::MAX;
    let mut earliest = vec![0; direct.len()];
    let mut met = 0;
    let mut open = Vec::new();
    for start in 0..direct.len() {
        // How the walk came here: each with its number, and how many of those that it is built on were looked at.
        let mut way: Vec<(usize, usize, usize)> = Vec::new();
        let mut enter = (earliest[start] == 0).then_some(start);
        loop {
            if let Some(at) = enter.take() {
                met += 1;
                earliest[at] = met;
                open.push(at);
                way.push((at, met, 0));
            }
            let Some((at, number, looked_at)) = way.last_mut() else { break };
            if let Some(&on) = direct[*at].get(*looked_at) {
                *looked_at += 1;
                if earliest[on] == 0 {
                    enter = Some(on);
                } else {
                    earliest[*at] = earliest[*at].min(earliest[on]);
                }
                continue;
            }
            let (at, number) = (*at, *number);
            way.pop();
            if let Some(&(above, ..)) = way.last() {
                earliest[above] = earliest[above].min(earliest[at]);
            }
            if earliest[at] == number {
                let begin = open.iter().rposition(|&other| other == at).unwrap_or(0);
                let circle = open.split_off(begin);
                for &at in &circle {
                    earliest[at] = DONE;
                }
                circles.push(circle);
            }
        }
    }
    circles
}

/// A set of numbers.
#[derive(Clone, Default)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    fn none(length: usize) -> Self {
        Self(vec![0; length.div_ceil(64)])
    }

    fn put(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::super::super::Sharing;
    use super::super::super::Volatility;
    use super::*;

    fn all_of(built_on: &[Vec<usize>]) -> Vec<Bits> {
        let name = |at: usize| Component::from(format!("nix/{at:04}").as_str());
        let size = |(at, on): (usize, &Vec<usize>)| ComponentSize {
            component: name(at),
            bytes: 1,
            volatility: Volatility::Stable,
            sharing: Sharing::Auto,
            built_on: on.iter().chain([&at]).map(|&on| name(on)).collect(),
        };
        let sizes: Vec<ComponentSize> = built_on.iter().enumerate().map(size).collect();
        Origins::of(&sizes.iter().map(|size| (size.component.as_str(), size)).collect()).all
    }

    fn numbers(bits: &Bits) -> BTreeSet<usize> {
        (0..bits.room()).filter(|at| bits.0[at / 64] >> (at % 64) & 1 == 1).collect()
    }

    proptest! {
        /// Compared with walking from each.
        #[test]
        fn all_that_can_be_reached_is_there_and_no_more(
            pairs in prop::collection::vec((0_usize..70, 0_usize..70), 0..140),
            count in 70_usize..90,
        ) {
            let mut built_on = vec![Vec::new(); count];
            for (from, on) in pairs {
                built_on[from].push(on);
            }
            let reached = |from: usize| {
                let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
                while let Some(at) = open.pop() {
                    if reached.insert(at) {
                        open.extend(&built_on[at]);
                    }
                }
                reached
            };
            let expected: Vec<_> = (0..count).map(reached).collect();
            prop_assert_eq!(all_of(&built_on).iter().map(numbers).collect::<Vec<_>>(), expected);
        }
    }

    /// Whichever way the names run.
    #[test]
    fn a_long_chain_is_walked_once() {
        const LENGTH: usize = 9_999;
        let down: Vec<Vec<usize>> = (0..LENGTH).map(|at| at.checked_sub(1).into_iter().collect()).collect();
        let up: Vec<Vec<usize>> =
            (1..=LENGTH).map(|on| Some(on).filter(|&on| on < LENGTH).into_iter().collect()).collect();
        assert_eq!(all_of(&down)[LENGTH - 1].count(), LENGTH);
        assert_eq!(all_of(&up)[0].count(), LENGTH);
    }
}
