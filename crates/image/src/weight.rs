//! What an image weighs more than it may, and which of its layers weigh most.
//!
//! **Guarantees**: sums that are too large for the machine are its largest number; no layer is read.

use std::fmt;

use pinfold_base::Digest;
use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_base::units;

use crate::compose::annotation;
use crate::model::Descriptor;

/// Layers that are named of an image that weighs too much.
pub const BLAMED: usize = 10;
/// Components of a layer that are named.
const NAMED: usize = 3;

/// An image of one platform that weighs more than it may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Over {
    /// Its compressed layers, in bytes.
    pub size: u64,
    /// The bytes allowed.
    pub budget: u64,
    /// Its layers by what is in them, largest first.
    pub blame: Vec<(String, u64)>,
}

impl Over {
    /// Of layers by what is in them; nothing where they are within the budget.
    pub fn of(layers: impl IntoIterator<Item = (String, u64)>, budget: u64) -> Option<Self> {
        let mut blame: Vec<(String, u64)> = layers.into_iter().collect();
        // Sizes may be of an image from elsewhere.
        let size = blame.iter().fold(0_u64, |sum, (_, size)| sum.saturating_add(*size));
        blame.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        (size > budget).then_some(Self { size, budget, blame })
    }

    /// The layers that weigh most, a line for each.
    pub fn lines(&self) -> Vec<Shown> {
        let named = self.blame.iter().take(BLAMED);
        let mut lines: Vec<Shown> =
            named.map(|(what, size)| shown!("{:>12}  {what}", units::bytes(*size))).collect();
        if let Some(rest) = self.blame.get(BLAMED..).filter(|rest| !rest.is_empty()) {
            let size = rest.iter().fold(0_u64, |sum, (_, size)| sum.saturating_add(*size));
            lines.push(shown!("{:>12}  {} more layers", units::bytes(size), rest.len()));
        }
        lines
    }
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Budgets are mostly whole numbers.
        let budget = units::bytes(self.budget).replacen(".0 ", " ", 1);
        write!(f, "{} over the budget of {budget}", units::bytes(self.size.saturating_sub(self.budget)))
    }
}

/// What is in a layer as its descriptor says, and its compressed bytes.
pub fn of_layer(layer: &Descriptor) -> (String, u64) {
    let told = layer.annotations.get(annotation::COMPONENTS).map(String::as_str).unwrap_or_default();
    (content(told.split_ascii_whitespace(), &layer.digest), layer.size)
}

/// What is in a layer, as far as it says.
pub fn content<'a>(components: impl IntoIterator<Item = &'a str>, digest: &Digest) -> String {
    let components: Vec<&str> = components.into_iter().collect();
    match components.len() {
        0 => format!("layer {}", digest.short()),
        all if all > NAMED => format!("{} and {} more", components[..NAMED].join(", "), all - NAMED),
        _ => components.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_is_told_with_ten_layers_at_most() {
        let layers = |count: u64| (0..count).map(|at| (format!("debian/{at:02}"), (at + 1) << 20));
        assert_eq!(Over::of(layers(3), 6 << 20), None);
        let over = Over::of(layers(12), 70 << 20).unwrap();
        assert_eq!(over.to_string(), "8.0 MiB over the budget of 70 MiB");
        let lines: Vec<String> = over.lines().iter().map(ToString::to_string).collect();
        assert_eq!((lines[0].trim(), lines[9].trim()), ("12.0 MiB  debian/11", "3.0 MiB  debian/02"));
        assert_eq!((lines[10].trim(), lines.len()), ("3.0 MiB  2 more layers", 11));
        let huge = Over::of([("a".into(), u64::MAX), ("b".into(), 1)], 1536).unwrap();
        assert_eq!(huge.to_string(), "16777216.0 TiB over the budget of 1.5 KiB");
    }
}
