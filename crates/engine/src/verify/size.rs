//! What an image weighs, as a registry's manifest lists it, and what of it weighs most.

use pinfold_base::units::bytes;
use pinfold_image::weight;
use pinfold_image::weight::BLAMED;
use pinfold_image::weight::Over;

use super::checks::SIZE_BUDGET;
use super::report::Finding;
use super::report::Outcome;
use super::subject::Subject;

/// Layers that are named where nothing is wrong.
const NAMED: usize = 4;

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
