//! What sandboxes are to have.

use crate::project::manifest::Run;
use crate::project::recipe::Recipe;

/// What a project or an image says about its sandboxes.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// `[run]`.
    pub declared: Run,
    /// The agents, and what they need.
    pub recipes: Vec<Recipe>,
}
