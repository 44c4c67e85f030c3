//! The released program: nothing can be named, so nothing can be taken away.

use std::collections::BTreeSet;

use pinfold_network::ProxyConfig;
use serde::Deserialize;
use serde::Serialize;

use crate::plan::LandlockPlan;
use crate::plan::Parts;
use crate::plan::guards::Guards;

/// A guard to take away. There is no value of this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Weaken {}

/// What a guard that is down carries. There is no value of this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Power {}

/// All of them.
pub(crate) fn guards(_: &BTreeSet<Weaken>) -> Guards {
    Guards::default()
}

/// Nothing.
pub(crate) fn landlock(_: &BTreeSet<Weaken>, _: &mut Option<LandlockPlan>) {}

/// Nothing.
pub(crate) fn plan(_: &BTreeSet<Weaken>, _: &mut Parts) {}

/// What was given.
pub(crate) fn proxy(_: &BTreeSet<Weaken>, config: ProxyConfig) -> ProxyConfig {
    config
}
