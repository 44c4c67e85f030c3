//! Components that move with others: which of them share a layer.
//!
//! Where a component's name on disk follows from all that it is built on (a store path of Nix), a move of one moves all that build on it.
//! Components of the same origin then move together, and may share a layer at no cost; a leaf that moves often may not share one with
//! what stays.
//!
//! ```text
//! share of a component   1 − (1 − 1/64)^n      how likely it moves at an upgrade, n being itself and all that it is built on
//! cost of a layer        (bytes + LAYER) × share of the union of its components
//! ```
//!
//! Every component begins alone. While there are too many layers, or two of them cost less as one, the two are joined whose joining
//! costs least.
//!
//! **Guarantees**: integers alone, ties by name: the same on every machine. Layers that there were are joined with each other
//! only when there are too many.

mod origins;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use pinfold_archive::Component;

use super::ComponentSize;
use super::Group;
use super::Key;
use super::Tier;
use origins::Bits;
use origins::Origins;

/// What a layer costs beside its content, in bytes: a request, its part of manifest and configuration.
const LAYER: u64 = 4 << 10;
/// Layers that are weighed against each other. Of more, the smallest are put in rows first.
const MOST: usize = 512;
/// Such rows in each tier.
const ROWS: usize = 64;
/// What `share` counts in.
const ONE: i128 = 1 << 40;

/// A layer to be.
struct Part {
    tier: Tier,
    /// As it was called, where it was one.
    name: Option<String>,
    components: BTreeSet<Component>,
    bytes: u64,
    /// What moves it, and how many that are.
    moved_by: Bits,
    movers: usize,
}

/// Gives each of `loose` a layer, so that there are at most `max` with those that `groups` has; layers of `groups` that hold
/// nothing but components of this kind can take more.
pub(super) fn share(
    groups: &mut BTreeMap<Key, Group>,
    loose: &[&ComponentSize],
    sizes: &BTreeMap<&str, &ComponentSize>,
    max: usize,
) {
    if loose.is_empty() {
        return;
    }
    let origins = Origins::of(sizes);
    let joins = |component: &Component| {
        sizes.get(component.as_str()).is_some_and(|size| size.moves_with_others() && !size.must_be_alone())
    };
    let kept: Vec<Key> = groups
        .iter()
        .filter(|(_, group)| group.components.iter().all(joins))
        .map(|(key, _)| key.clone())
        .collect();
    let mut parts: Vec<Part> = Vec::new();
    for key in kept {
        let Some(group) = groups.remove(&key) else { continue };
        let moved_by = origins.all(&group.components);
        let Group { bytes, components } = group;
        parts.push(Part::new(key.tier, Some(key.name), components, bytes, moved_by));
    }
    parts.extend(in_rows(loose, &origins, MOST.saturating_sub(parts.len())));
    let room = max.saturating_sub(groups.len()).max(1);
    let mut number = next_number(&parts);
    for part in Joining::new(parts).down_to(room) {
        let name = match (&part.name, part.components.first()) {
            (Some(name), _) if Tier::of_layer(name).is_some() || part.components.len() == 1 => name.clone(),
            (_, Some(only)) if part.components.len() == 1 => only.to_string(),
            _ => {
                number += 1;
                format!("{}-{TOGETHER}{number}", part.tier.word())
            }
        };
        let group = groups.entry(Key { tier: part.tier, name }).or_default();
        group.bytes = group.bytes.saturating_add(part.bytes);
        group.components.extend(part.components);
    }
}

/// How the names of shared layers go on behind their tier.
const TOGETHER: &str = "together-";

/// The highest number that a shared layer has.
fn next_number(parts: &[Part]) -> u32 {
    let number = |part: &Part| part.name.as_ref()?.split_once(TOGETHER)?.1.parse().ok();
    parts.iter().filter_map(number).max().unwrap_or(0)
}

/// Each alone; the smallest in rows of what moves about as often, where there are more than `most`.
fn in_rows(loose: &[&ComponentSize], origins: &Origins, most: usize) -> Vec<Part> {
    let alone = |size: &&ComponentSize| {
        let moved_by = origins.all([&size.component]);
        Part::new(size.tier(), None, BTreeSet::from([size.component.clone()]), size.bytes, moved_by)
    };
    let mut parts: Vec<Part> = loose.iter().map(alone).collect();
    if parts.len() <= most {
        return parts;
    }
    parts.sort_by(|one, other| (other.bytes, &one.components).cmp(&(one.bytes, &other.components)));
    let mut small = parts.split_off(most.saturating_sub(2 * ROWS));
    small.sort_by(|one, other| {
        let by = |part: &Part| (part.tier, part.movers);
        by(one).cmp(&by(other)).then_with(|| one.components.cmp(&other.components))
    });
    let longest = small.len().div_ceil(ROWS).max(1);
    let mut rows: Vec<Part> = Vec::new();
    for part in small {
        match rows.last_mut() {
            Some(row) if row.tier == part.tier && row.components.len() < longest => row.add(part),
            _ => rows.push(part),
        }
    }
    parts.extend(rows);
    parts
}

impl Part {
    fn new(
        tier: Tier,
        name: Option<String>,
        components: BTreeSet<Component>,
        bytes: u64,
        moved_by: Bits,
    ) -> Self {
        let movers = moved_by.count();
        Self { tier, name, components, bytes, moved_by, movers }
    }

    fn add(&mut self, other: Self) {
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.components.extend(other.components);
        self.moved_by.add(&other.moved_by);
        self.movers = self.moved_by.count();
        self.name = match (self.name.take(), other.name) {
            // A name of a shared layer outlasts that of a component.
            (Some(one), Some(other)) if Tier::of_layer(&one).is_none() => Some(other),
            (one, other) => one.or(other),
        };
    }

    fn cost(&self, shares: &[i128]) -> i128 {
        cost(self.bytes, self.movers, shares)
    }
}

fn cost(bytes: u64, movers: usize, shares: &[i128]) -> i128 {
    i128::from(bytes.saturating_add(LAYER)) * shares.get(movers).or(shares.last()).copied().unwrap_or(ONE)
}

/// Parts that are joined two by two; each knows the one that it is joined with best.
struct Joining {
    parts: Vec<Option<Part>>,
    best: Vec<Option<Best>>,
    shares: Vec<i128>,
    /// Whether two that were layers before may become one.
    crowded: bool,
}

/// With which one a part is joined best.
#[derive(Clone, Copy)]
struct Best {
    /// What that costs more; where it is not `exact`, it does not cost less.
    more: i128,
    with: usize,
    /// Not any more, once the other was joined with a third.
    exact: bool,
}

impl Joining {
    fn new(mut parts: Vec<Part>) -> Self {
        parts.sort_by(|one, other| one.components.cmp(&other.components));
        let movers = parts.first().map_or(0, |part| part.moved_by.room());
        let stays = std::iter::successors(Some(ONE), |stays| Some(stays * 63 / 64));
        let shares = stays.take(movers + 1).map(|stays| ONE - stays).collect();
        let best = parts.iter().map(|_| None).collect();
        Self { parts: parts.into_iter().map(Some).collect(), best, shares, crowded: false }
    }

    /// Joins until no more than `room` are left, and then what costs less as one.
    fn down_to(mut self, room: usize) -> Vec<Part> {
        let mut left = self.parts.len();
        for crowded in [true, false] {
            self.crowded = crowded;
            for at in 0..self.parts.len() {
                self.best[at] = self.look(at);
            }
            while !crowded || left > room {
                let some = self.best.iter().enumerate().filter_map(|(at, best)| Some((at, (*best)?)));
                let Some((at, best)) = some.min_by_key(|(at, best)| (best.more, *at, best.with)) else {
                    break;
                };
                if !crowded && best.more >= 0 {
                    break;
                }
                if best.exact {
                    self.join(at.min(best.with), at.max(best.with));
                    left -= 1;
                } else {
                    self.best[at] = self.look(at);
                }
            }
        }
        self.parts.into_iter().flatten().collect()
    }

    /// What it costs more to have these two as one; nothing where they may not be.
    fn more(&self, one: usize, other: usize) -> Option<i128> {
        let (one, other) = (self.parts.get(one)?.as_ref()?, self.parts.get(other)?.as_ref()?);
        if one.tier != other.tier || (!self.crowded && one.name.is_some() && other.name.is_some()) {
            return None;
        }
        let movers = one.moved_by.count_with(&other.moved_by);
        let joined = cost(one.bytes.saturating_add(other.bytes), movers, &self.shares);
        Some(joined - one.cost(&self.shares) - other.cost(&self.shares))
    }

    fn look(&self, at: usize) -> Option<Best> {
        let others = (0..self.parts.len()).filter(|&other| other != at);
        let (more, with) = others.filter_map(|other| Some((self.more(at, other)?, other))).min()?;
        Some(Best { more, with, exact: true })
    }

    fn join(&mut self, one: usize, other: usize) {
        let Some(taken) = self.parts[other].take() else { return };
        if let Some(part) = &mut self.parts[one] {
            part.add(taken);
        }
        self.best[other] = None;
        self.best[one] = self.look(one);
        for at in (0..self.parts.len()).filter(|&at| at != one) {
            let Some(best) = self.best[at] else { continue };
            let lost = best.with == one || best.with == other;
            self.best[at] = match self.more(at, one) {
                Some(more) if more <= best.more => Some(Best { more, with: one, exact: true }),
                // All others cost as much as before: not less than this.
                _ => Some(Best { exact: best.exact && !lost, ..best }),
            };
        }
    }
}

#[cfg(test)]
mod tests;
