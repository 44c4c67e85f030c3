//! Locks that came out of a resolve on this machine, so that an unchanged one need not be placed again to say so.
//!
//! ```text
//! CACHE/metadata/lock-HEX.json     HEX: SHA-256 of the lock's text, of the project's meaning and of this program
//!   { "notes": [ … ] }             what placing told the user
//! ```
//!
//! **Guarantees**: what is known of a lock is a function of its whole text: one that was edited, or that another machine wrote,
//! is unknown, and is resolved and placed in full. Archives and registries are asked in any case.

use std::path::PathBuf;

use fs_err as fs;
use pinfold_base::Digest;
use serde::Deserialize;
use serde::Serialize;

use super::local;
use crate::context::Context;
use crate::context::METADATA;
use crate::project::Project;
use crate::project::folder::Source;
use crate::project::lock::Lock;
use crate::project::lock::held;

/// What is known of a lock.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Known {
    /// What placing told the user.
    pub(super) notes: Vec<String>,
}

/// What is known of a project's lock.
pub(super) fn recall(context: &Context, project: &Project, lock: &Lock) -> Option<Known> {
    serde_json::from_slice(&fs::read(record(context, project, lock)?).ok()?).ok()
}

/// Keeps it for the next time. It is only saving time: failures are no matter.
pub(super) fn remember(context: &Context, project: &Project, lock: &Lock, notes: &[String]) {
    let known = Known { notes: notes.to_vec() };
    if let (Some(path), Ok(text)) = (record(context, project, lock), serde_json::to_vec(&known)) {
        let _ = context.store.write(&path, &text);
    }
}

fn record(context: &Context, project: &Project, lock: &Lock) -> Option<PathBuf> {
    let Project { manifest, recipes, inputs, .. } = project;
    let mut sources = Vec::new();
    for file in &manifest.files {
        for &platform in &manifest.platforms {
            sources.push(local::source(file, inputs, platform).ok()?.map(Source::mark));
        }
    }
    let all = (held::program()?, Digest::sha256(lock.render().as_bytes()), manifest, recipes, sources);
    let name = Digest::sha256(&serde_json::to_vec(&all).ok()?);
    Some(context.home.cache().join(METADATA).join(format!("lock-{}.json", name.hex())))
}
