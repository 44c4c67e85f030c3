//! What sandboxes are to have.

use std::collections::BTreeMap;

use pinfold_network::Credential;

use crate::project::manifest::Run;
use crate::project::recipe::Recipe;

/// What a project or an image says about its sandboxes.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// `[run]`.
    pub declared: Run,
    /// The agents, and what they need.
    pub recipes: Vec<Recipe>,
    /// The keys that `[run]` names, by agent, with the files that each hangs on: found once, agreed to and used as found.
    pub keys: BTreeMap<String, Credential>,
}
