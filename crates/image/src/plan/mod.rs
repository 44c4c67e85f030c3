//! Which component goes to which layer: a value that is computed from sizes and names, printed, kept in the lock, and then
//! used to cut the tree ([`split`]).
//!
//! ```text
//! big and stable, alone │ stable-0 … stable-7 │ big and weekly, alone │ weekly-0 … │ agents, alone │ generated
//! ```
//!
//! **Rules** (lowest layer first): what changes least comes first. A component is alone when the manifest says so, when it
//! is volatile, or when it is big: at least the median plus 1.5 times the median absolute deviation, and [`BIG_MIN`]. The rest
//! goes to few bins chosen by a hash of the *name*, so that one component more or less does not move its neighbours. Components of
//! which it is known what moves them share layers with what moves when they do ([`together`]). Generated files form the last layer. A bin above [`SPLIT_BYTES`] (estimated, compressed) is split between components.
//!
//! **Guarantees**: equal input gives equal output, whatever its order; with a previous assignment only new and removed
//! components move (and those that the manifest now wants alone); there are never more layers than allowed.

mod fold;
mod split;
mod together;

pub use split::SplitError;
pub use split::split;
pub use split::split_over;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;

use pinfold_archive::Component;
use serde::Deserialize;
use serde::Serialize;

/// Smallest size at which a component is alone for being big, in uncompressed bytes: a layer costs a request when pulled.
pub const BIG_MIN: u64 = 4 << 20;
/// Largest layer that still takes further components, in estimated compressed bytes.
pub const SPLIT_BYTES: u64 = 256 << 20;
/// Bins per tier for what is not alone. Changing it moves components between layers, so it is part of `compat`.
pub const BINS: u64 = 6;
/// Compressed size is estimated as this share of the uncompressed one, in percent.
pub const COMPRESSED_PERCENT: u64 = 45;
/// Share of the layers that big components may have, in percent.
const BIG_PERCENT: usize = 80;

/// How often a component changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Volatility {
    /// Changes with a point release or a security fix.
    Stable,
    /// Changes about every week.
    Weekly,
    /// Changes daily: agents.
    Volatile,
}

/// Whether a component may share its layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// As the rules have it.
    Auto,
    /// A layer of its own, because the manifest says so.
    Alone,
}

/// What the plan needs to know of a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentSize {
    /// The component.
    pub component: Component,
    /// Its size in the image, in uncompressed bytes (the largest over all platforms, so that they share one plan).
    pub bytes: u64,
    /// How often it changes.
    pub volatility: Volatility,
    /// Whether it may share a layer.
    pub sharing: Sharing,
    /// Itself and what it is directly built on, where it moves whenever that moves; nothing where it moves by itself.
    pub built_on: BTreeSet<Component>,
}

/// One layer of an assignment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerPlan {
    /// A name that stays the same over re-locks: a component, `stable-3`, `weekly-0`, `generated`.
    pub name: String,
    /// Its components as `source/name`, sorted.
    pub components: Vec<String>,
}

/// All layers, lowest first. Kept in the lock.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// The layers, lowest first.
    pub layers: Vec<LayerPlan>,
}

impl Assignment {
    /// The position of the layer that holds a component.
    pub fn layer_of(&self, component: &Component) -> Option<usize> {
        self.layers.iter().position(|layer| layer.components.iter().any(|name| name == component.as_str()))
    }

    /// Assigns components to at most `max` layers (at least 1), keeping what `previous` had.
    pub fn new(sizes: &[ComponentSize], previous: Option<&Self>, max: usize) -> Self {
        let sizes: BTreeMap<&str, &ComponentSize> =
            sizes.iter().map(|size| (size.component.as_str(), size)).collect();
        let mut groups: BTreeMap<Key, Group> = BTreeMap::new();
        let mut placed: BTreeSet<&str> = BTreeSet::new();
        for layer in previous.iter().flat_map(|previous| &previous.layers) {
            let kept: Vec<&ComponentSize> =
                layer.components.iter().filter_map(|name| sizes.get(name.as_str()).copied()).collect();
            // A demand of the manifest outweighs the past: such a component leaves a shared layer.
            let stays = |size: &&ComponentSize| {
                let fits = layer.name == size.component.as_str() || !size.must_be_alone();
                fits && size.is_generated() == (layer.name == GENERATED)
            };
            for size in kept.into_iter().filter(stays) {
                if placed.insert(size.component.as_str()) {
                    let tier = Tier::of_layer(&layer.name).unwrap_or_else(|| size.tier());
                    groups.entry(Key { tier, name: layer.name.clone() }).or_default().add(size);
                }
            }
        }
        let big = big_components(sizes.values().copied().filter(|size| !size.moves_with_others()), max);
        let mut loose = Vec::new();
        for (&name, &size) in &sizes {
            if placed.contains(name) {
                continue;
            }
            let tier = size.tier();
            if size.is_generated() {
                groups.entry(Key { tier, name: GENERATED.into() }).or_default().add(size);
            } else if size.must_be_alone() || big.contains(name) {
                groups.entry(Key { tier, name: name.into() }).or_default().add(size);
            } else if size.moves_with_others() {
                loose.push(size);
            } else {
                let key = first_bin_with_room(&groups, size);
                groups.entry(key).or_default().add(size);
            }
        }
        together::share(&mut groups, &loose, &sizes, max);
        fold::to_at_most(&mut groups, max.max(1));
        let layers = groups.into_iter().map(|(key, group)| LayerPlan {
            name: key.name,
            components: group.components.into_iter().map(|component| component.to_string()).collect(),
        });
        Self { layers: layers.collect() }
    }
}

impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, layer) in self.layers.iter().enumerate() {
            writeln!(f, "{:3} {}: {}", number + 1, layer.name, layer.components.join(" "))?;
        }
        Ok(())
    }
}

const GENERATED: &str = "generated";

/// The order of layers: what changes least is lowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Tier {
    Stable,
    Weekly,
    Volatile,
    Generated,
}

impl Tier {
    /// What the name of a shared layer says; `None` for that of a single component.
    fn of_layer(name: &str) -> Option<Self> {
        match name.split_once('-') {
            _ if name == GENERATED => Some(Self::Generated),
            _ if name.contains('/') => None,
            Some(("stable", _)) => Some(Self::Stable),
            Some(("weekly", _)) => Some(Self::Weekly),
            Some(("volatile", _)) => Some(Self::Volatile),
            _ => None,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Weekly => "weekly",
            Self::Volatile => "volatile",
            Self::Generated => GENERATED,
        }
    }
}

/// Sorts groups into the order of layers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    tier: Tier,
    name: String,
}

#[derive(Clone, Debug, Default)]
struct Group {
    bytes: u64,
    components: BTreeSet<Component>,
}

impl Group {
    fn add(&mut self, size: &ComponentSize) {
        self.bytes = self.bytes.saturating_add(size.bytes);
        self.components.insert(size.component.clone());
    }
}

impl ComponentSize {
    fn is_generated(&self) -> bool {
        self.component.as_str().starts_with("generated/")
    }

    fn must_be_alone(&self) -> bool {
        !self.is_generated() && (self.sharing == Sharing::Alone || self.volatility == Volatility::Volatile)
    }

    fn moves_with_others(&self) -> bool {
        !self.built_on.is_empty()
    }

    fn tier(&self) -> Tier {
        match self.volatility {
            _ if self.is_generated() => Tier::Generated,
            Volatility::Stable => Tier::Stable,
            Volatility::Weekly => Tier::Weekly,
            Volatility::Volatile => Tier::Volatile,
        }
    }
}

fn estimate_compressed(bytes: u64) -> u64 {
    bytes / 100 * COMPRESSED_PERCENT
}

/// The components that are alone for their size: the largest first, as many as there is room for.
fn big_components<'a>(sizes: impl Iterator<Item = &'a ComponentSize>, max: usize) -> BTreeSet<&'a str> {
    let (fixed, free): (Vec<_>, Vec<_>) = sizes.partition(|size| size.is_generated() || size.must_be_alone());
    let alone = fixed.iter().filter(|size| !size.is_generated()).count();
    // One layer is for generated files, and each of the two tiers needs its bins.
    let room = max.saturating_sub(alone + 1 + 2 * BINS as usize) * BIG_PERCENT / 100;
    let threshold = big_threshold(free.iter().map(|size| size.bytes).collect());
    let mut big: Vec<_> = free.into_iter().filter(|size| size.bytes >= threshold).collect();
    big.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.component.cmp(&b.component)));
    big.into_iter().take(room).map(|size| size.component.as_str()).collect()
}

fn big_threshold(mut bytes: Vec<u64>) -> u64 {
    let middle = median(&mut bytes);
    let mut deviations: Vec<u64> = bytes.iter().map(|&size| size.abs_diff(middle)).collect();
    let mut spread = median(&mut deviations);
    // Nearly equal sizes would make everything above the median big.
    if spread < middle / 100 {
        spread = middle;
    }
    middle.saturating_add(spread.saturating_add(spread / 2)).max(BIG_MIN)
}

fn median(values: &mut [u64]) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// The bin of a component by its name, or the next part of that bin (`stable-3.1`) when it is full.
fn first_bin_with_room(groups: &BTreeMap<Key, Group>, size: &ComponentSize) -> Key {
    let tier = size.tier();
    let bin = fnv1a(size.component.as_str().as_bytes()) % BINS;
    let mut part = 0_u32;
    loop {
        let name = match part {
            0 => format!("{}-{bin}", tier.word()),
            part => format!("{}-{bin}.{part}", tier.word()),
        };
        let key = Key { tier, name };
        let held = groups.get(&key).map_or(0, |group| group.bytes);
        if held == 0 || estimate_compressed(held.saturating_add(size.bytes)) <= SPLIT_BYTES {
            return key;
        }
        part += 1;
    }
}

/// FNV-1a, 64 bits: a hash that is the same everywhere and for ever.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests;
