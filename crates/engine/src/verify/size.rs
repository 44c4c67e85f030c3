//! What an image weighs, as a registry's manifest lists it, what of it weighs most, and what it weighs more or less than another.
//!
//! **Guarantees**: manifests alone are read, no layer; a platform that only one of two images has is not compared.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use pinfold_base::Platform;
use pinfold_base::units::bytes;
use pinfold_image::ImageError;
use pinfold_image::ImageSource;
use pinfold_image::weight;
use pinfold_image::weight::BLAMED;
use pinfold_image::weight::Over;

use super::Wanted;
use super::checks::SIZE_BUDGET;
use super::checks::SIZE_CHANGE;
use super::report::Finding;
use super::report::Outcome;
use super::subject::Subject;

/// Layers that are named where nothing is wrong.
const NAMED: usize = 4;

/// What each platform weighs more or less than another image's, and the layers that most of it comes from. No layer is read; a platform
/// that the other does not have is not compared.
pub fn change(
    source: &ImageSource,
    against: &ImageSource,
    wanted: &Wanted,
) -> Result<Vec<Outcome>, ImageError> {
    let others = against.platforms()?;
    let platforms = source.platforms()?.into_keys();
    let platforms = platforms.filter(|one| wanted.platforms.is_empty() || wanted.platforms.contains(one));
    let one = |platform| {
        let outcome = if others.contains_key(&platform) {
            changed(&weights(source, platform)?, &weights(against, platform)?, against.name())
        } else {
            let reason = format!("{} is not for this platform", against.name());
            Outcome::not_run(SIZE_CHANGE, reason)
        };
        Ok(outcome.on(platform))
    };
    platforms.map(one).collect()
}

/// Bytes of layers by what is in them.
fn weights(source: &ImageSource, platform: Platform) -> Result<BTreeMap<String, u64>, ImageError> {
    let mut found = BTreeMap::new();
    for layer in source.image(platform)?.layers {
        let (name, size) = weight::of_layer(&layer.descriptor);
        let sum: &mut u64 = found.entry(name).or_default();
        *sum = sum.saturating_add(size);
    }
    Ok(found)
}

fn changed(now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>, other: &str) -> Outcome {
    let sum = |all: &BTreeMap<String, u64>| all.values().fold(0_u64, |sum, size| sum.saturating_add(*size));
    let difference = |from: u64, to: u64| match to.cmp(&from) {
        Ordering::Less => format!("−{}", bytes(from - to)),
        Ordering::Equal => "nothing".into(),
        Ordering::Greater => format!("+{}", bytes(to - from)),
    };
    let names: BTreeSet<&String> = now.keys().chain(before.keys()).collect();
    let sizes = names.into_iter().map(|name| {
        let of = |all: &BTreeMap<String, u64>| all.get(name).copied().unwrap_or_default();
        (name, of(before), of(now))
    });
    let mut moved: Vec<_> = sizes.filter(|(_, from, to)| from != to).collect();
    moved.sort_by_key(|(_, from, to)| std::cmp::Reverse(from.abs_diff(*to)));
    let named = moved.iter().take(NAMED).map(|(name, from, to)| format!("{name} {}", difference(*from, *to)));
    let (from, to) = (sum(before), sum(now));
    let mut evidence = format!("{} against {other}: {} to {}", difference(from, to), bytes(from), bytes(to));
    for one in named {
        evidence.push_str(&format!(", {one}"));
    }
    if moved.len() > NAMED {
        evidence.push_str(&format!(" and {} more layers", moved.len() - NAMED));
    }
    Outcome { bytes: Some(to), ..Outcome::looked(SIZE_CHANGE, evidence, []) }
}

/// The budget.
pub(super) fn check(subject: &Subject<'_>) -> Outcome {
    let layers = subject.image.layers.iter().map(|layer| weight::of_layer(&layer.descriptor));
    let mut layers: Vec<(String, u64)> = layers.collect();
    if let Some(over) = Over::of(layers.clone(), subject.budget) {
        let found = over.blame.iter().map(|(at, size)| Finding { at: at.clone(), problem: bytes(*size) });
        let mut outcome = Outcome::looked(SIZE_BUDGET, over.to_string(), found.take(BLAMED));
        outcome.more = over.blame.len().saturating_sub(BLAMED);
        outcome.bytes = Some(over.size);
        return outcome;
    }
    let size = layers.iter().fold(0_u64, |sum, (_, size)| sum.saturating_add(*size));
    layers.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let named: Vec<String> =
        layers.iter().take(NAMED).map(|(name, size)| format!("{name} {}", bytes(*size))).collect();
    let evidence = format!("{} of {}: {}", bytes(size), bytes(subject.budget), named.join(", "));
    Outcome { bytes: Some(size), ..Outcome::looked(SIZE_BUDGET, evidence, []) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_moved_most_is_told_first() {
        let of = |all: &[(&str, u64)]| all.iter().map(|(name, size)| ((*name).to_owned(), *size)).collect();
        let before: BTreeMap<String, u64> = of(&[("a", 5 << 20), ("b", 1 << 20), ("same", 7)]);
        let now = of(&[("a", 3 << 20), ("c", 4 << 20), ("same", 7)]);
        assert_eq!(
            changed(&now, &before, "x:1").evidence,
            "+1.0 MiB against x:1: 6.0 MiB to 7.0 MiB, c +4.0 MiB, a −2.0 MiB, b −1.0 MiB"
        );
        assert!(changed(&now, &now, "x:1").evidence.starts_with("nothing against x:1: "));
    }
}
