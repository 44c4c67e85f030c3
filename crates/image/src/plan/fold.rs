//! Getting down to the number of layers that is allowed, giving up as little as possible.

use std::collections::BTreeMap;

use super::Group;
use super::Key;
use super::Tier;

/// Joins layers until there are at most `max`: the smallest joins the next smaller one of its tier, in tiers from the lowest
/// up, so that what the manifest calls volatile stays apart longest. Generated files are joined last of all.
pub(super) fn to_at_most(groups: &mut BTreeMap<Key, Group>, max: usize) {
    while groups.len() > max {
        let Some(tier) = tier_to_shrink(groups) else {
            fold_across_tiers(groups);
            continue;
        };
        let mut members: Vec<(u64, Key)> = groups
            .iter()
            .filter(|(key, _)| key.tier == tier)
            .map(|(key, group)| (group.bytes, key.clone()))
            .collect();
        // Singles are folded before bins: joining two bins would move many components for one layer.
        members.sort_by_key(|(bytes, key)| (is_bin(key), *bytes, key.name.clone()));
        let [(_, first), (_, second), ..] = &members[..] else { return };
        join(groups, first, second, tier);
    }
}

/// The lowest tier that has more than one layer; the volatile one only when no other has.
fn tier_to_shrink(groups: &BTreeMap<Key, Group>) -> Option<Tier> {
    let several = |tier: Tier| groups.keys().filter(|key| key.tier == tier).count() > 1;
    [Tier::Stable, Tier::Weekly, Tier::Volatile].into_iter().find(|&tier| several(tier))
}

/// Each tier is down to one layer: the lowest two become one.
fn fold_across_tiers(groups: &mut BTreeMap<Key, Group>) {
    let keys: Vec<Key> = groups.keys().take(2).cloned().collect();
    if let [first, second] = &keys[..] {
        join(groups, first, second, first.tier);
    }
}

fn is_bin(key: &Key) -> bool {
    Tier::of_layer(&key.name).is_some()
}

fn join(groups: &mut BTreeMap<Key, Group>, first: &Key, second: &Key, tier: Tier) {
    let mut joined = Group::default();
    for key in [first, second] {
        if let Some(group) = groups.remove(key) {
            joined.bytes = joined.bytes.saturating_add(group.bytes);
            joined.components.extend(group.components);
        }
    }
    let name = match [first, second].into_iter().find(|key| is_bin(key) && key.tier == tier) {
        Some(bin) => bin.name.clone(),
        None => format!("{}-joined", tier.word()),
    };
    let key = Key { tier, name };
    let target = groups.entry(key).or_default();
    target.bytes = target.bytes.saturating_add(joined.bytes);
    target.components.extend(joined.components);
}
