//! What differs between two locks.

use std::collections::BTreeMap;

use pinfold_base::Platform;
use pinfold_base::time::rfc3339;
use serde::Serialize;

use super::Change;
use super::Folded;
use super::Pair;
use super::Script;
use super::Setting;
use super::folded;
use super::scripts;
use super::settings;
use crate::project::lock::Lock;
use crate::project::lock::diff;
use crate::project::lock::request;

/// What differs between two locks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LockDifference {
    /// Parts of the manifest that another lock answers, by their keys.
    pub manifest: Vec<String>,
    /// What decides about bytes: level of compatibility, time, encoders.
    pub rules: Vec<Setting>,
    /// Platforms that only the first is for.
    pub removed: Vec<Platform>,
    /// Platforms that only the second is for.
    pub added: Vec<Platform>,
    /// What differs on platforms that both are for; nothing of those that are equal.
    pub platforms: Vec<Folded<PlatformDifference>>,
    /// Components of both that go to other layers.
    pub layers: Vec<Setting>,
    /// Whether they differ in something that has no words here.
    pub further: bool,
}

/// What differs on one platform.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PlatformDifference {
    /// Packages by version.
    pub packages: Vec<Change>,
    /// Bytes of all archives whose size is locked.
    pub downloads: Pair<u64>,
    /// Install scripts that do something else.
    pub scripts: Vec<Script>,
}

impl LockDifference {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Compares two locks on `only`, or on all platforms.
pub fn locks(from: &Lock, to: &Lock, only: Option<Platform>) -> LockDifference {
    let platforms = |of: &Lock, without: &Lock| -> Vec<Platform> {
        let is_for = |lock: &Lock, platform| !lock.archives(platform).is_empty();
        let asked = Platform::ALL.into_iter().filter(|platform| only.is_none_or(|only| only == *platform));
        asked.filter(|&platform| is_for(of, platform) && !is_for(without, platform)).collect()
    };
    let (removed, added) = (platforms(from, to), platforms(to, from));
    let both = Platform::ALL.into_iter().filter(|platform| {
        only.is_none_or(|only| only == *platform) && !removed.contains(platform) && !added.contains(platform)
    });
    let each = both.filter_map(|platform| {
        let found = on(from, to, platform);
        (found != PlatformDifference::default()).then_some((platform, found))
    });
    let each = folded(each);
    let rules = |lock: &Lock| {
        let mut rules = lock.encoders.clone();
        rules.insert("compat".into(), lock.compat.to_string());
        rules.insert("epoch".into(), rfc3339(lock.epoch));
        for suite in lock.debian.iter().flat_map(|debian| &debian.suites) {
            rules.insert(format!("suite {} of {}", suite.name, suite.archive), rfc3339(suite.date));
        }
        rules
    };
    let places = |lock: &Lock| -> BTreeMap<String, String> {
        let each = lock.layers.iter().flat_map(|layer| {
            layer.components.iter().map(|component| (component.clone(), layer.name.clone()))
        });
        each.collect()
    };
    let mut layers = settings(&places(from), &places(to));
    layers.retain(|moved| moved.values.from.is_some() && moved.values.to.is_some());
    let told = LockDifference {
        manifest: request::moved(&from.request, &to.request),
        rules: settings(&rules(from), &rules(to)),
        removed,
        added,
        platforms: each,
        layers,
        further: false,
    };
    LockDifference { further: told.is_empty() && only.is_none() && from != to, ..told }
}

fn on(from: &Lock, to: &Lock, platform: Platform) -> PlatformDifference {
    let bytes = |lock: &Lock| -> u64 {
        lock.archives(platform).iter().filter_map(|archive| archive.size).fold(0, u64::saturating_add)
    };
    let (before, after) = (bytes(from), bytes(to));
    let (before, after) = if before == after { (None, None) } else { (Some(before), Some(after)) };
    let ledger = |lock: &'_ Lock| lock.ledger.get(&platform).cloned();
    PlatformDifference {
        packages: diff::changes_on(&[platform], Some(from), to),
        downloads: Pair { from: before, to: after },
        scripts: scripts(ledger(from).as_deref(), ledger(to).as_deref()),
    }
}
