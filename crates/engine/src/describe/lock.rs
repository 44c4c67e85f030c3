//! The lock that an image was built of.
//!
//! An image does not carry its lock. What was noted when it was built here (`DATA/provenance`) has the lock's digest, and a file
//! with that digest is it, wherever it lies: beside the project's manifest, in our own folder of projects, in the current directory.
//!
//! **Guarantees**: a lock that was not named by the user is the image's, by digest; its ledger is what the file has.

use std::path::Path;
use std::path::PathBuf;

use pinfold_base::Digest;
use pinfold_image::ImageSource;

use super::origins::noted_as;
use crate::build::provenance;
use crate::context::Context;
use crate::project::lock::FILE_NAME;
use crate::project::lock::Lock;
use crate::project::lock::LockError;

/// The lock that an image was built of: the file that the user names, or one that is known to be it.
pub fn find(
    context: &Context,
    source: &ImageSource,
    named: Option<&Path>,
) -> Result<Option<Lock>, LockError> {
    if let Some(file) = named {
        let missing = || LockError::Missing { file: file.to_owned() };
        return Lock::load(file)?.ok_or_else(missing).map(Some);
    }
    let image = noted_as(context, source);
    let Some(digest) = noted(context, &image) else { return Ok(None) };
    let is_it = |lock: &Lock| lock.digest() == digest;
    // What cannot be read is not it.
    Ok(places(context, &image).iter().find_map(|file| Lock::load(file).ok().flatten().filter(is_it)))
}

/// Digest of the lock, as noted when the image was built.
fn noted(context: &Context, image: &Digest) -> Option<Digest> {
    let predicate = provenance::of(context, image).ok().flatten()?;
    predicate["buildDefinition"]["internalParameters"]["lock"].as_str()?.parse().ok()
}

/// Where it may be.
fn places(context: &Context, image: &Digest) -> Vec<PathBuf> {
    // What runs a preset is called by it and its lock.
    let beside = |project: &String| {
        let file = project.strip_prefix("preset ").and_then(|rest| rest.split_once(" in "));
        let file = Path::new(file.map_or(project.as_str(), |(_, lock)| lock));
        file.parent().map(|folder| folder.join(FILE_NAME))
    };
    let entries = context.images().and_then(|store| store.list()).unwrap_or_default();
    let entries = entries.iter().filter(|entry| entry.descriptor.digest == *image);
    let mut found: Vec<PathBuf> = entries.filter_map(|entry| beside(entry.owner.as_ref()?)).collect();
    found.push(FILE_NAME.into());
    let own = fs_err::read_dir(context.home.data().join("projects")).into_iter().flatten().flatten();
    let mut own: Vec<PathBuf> = own.map(|entry| entry.path().join(FILE_NAME)).collect();
    own.sort_unstable();
    found.extend(own);
    found
}
