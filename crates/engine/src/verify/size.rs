//! What an image weighs, as a registry's manifest lists it, and what of it weighs most.

use pinfold_base::units::bytes;
use pinfold_image::compose::annotation;

use super::checks::SIZE_BUDGET;
use super::report::Finding;
use super::report::Outcome;
use super::subject::Subject;

/// Layers that are named where nothing is wrong.
const NAMED: usize = 4;

/// The budget.
pub(super) fn check(subject: &Subject<'_>) -> Outcome {
    let mut layers: Vec<(String, u64)> = subject
        .image
        .layers
        .iter()
        .enumerate()
        .map(|(at, layer)| {
            (content(at, layer.descriptor.annotations.get(annotation::COMPONENTS)), layer.descriptor.size)
        })
        .collect();
    let size = layers.iter().fold(0_u64, |sum, (_, size)| sum.saturating_add(*size));
    layers.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    let named: Vec<String> =
        layers.iter().take(NAMED).map(|(name, size)| format!("{name} {}", bytes(*size))).collect();
    let evidence = format!("{} of {}: {}", bytes(size), bytes(subject.budget), named.join(", "));
    let over = size > subject.budget;
    let found = layers.iter().filter(|_| over).map(|(name, size)| Finding {
        at: name.clone(),
        problem: format!("{} of {} too many", bytes(*size), bytes(size_over(subject, &layers))),
    });
    Outcome { bytes: Some(size), ..Outcome::looked(SIZE_BUDGET, evidence, found.collect::<Vec<_>>()) }
}

fn size_over(subject: &Subject<'_>, layers: &[(String, u64)]) -> u64 {
    layers.iter().fold(0_u64, |sum, (_, size)| sum.saturating_add(*size)).saturating_sub(subject.budget)
}

/// What is in a layer, in few words.
fn content(at: usize, components: Option<&String>) -> String {
    let components: Vec<&str> =
        components.map(|text| text.split_ascii_whitespace().collect()).unwrap_or_default();
    match components[..] {
        [] => format!("layer {}", at + 1),
        [only] => only.to_owned(),
        [first, ..] => format!("{first} and {} more", components.len() - 1),
    }
}
