//! Where packages come from: Debian archives, npm registries, Nix caches and stores, binaries by URL.
//!
//! Each source has two halves. *Lock* asks its registry what exists and gives exact versions with digests; *place* takes
//! archives that are already in the store, in decoded form, and gives a [`pinfold_archive::Tree`]. Only the lock half uses the
//! network, and nothing that a package ships is ever run.
//!
//! **Refuses**: metadata without a valid signature or digest, packages that cannot be satisfied (the chain is shown), install
//! scripts whose effect is not known.
#![forbid(unsafe_code)]

pub mod accounts;
pub mod binary;
pub mod debian;
pub mod nix;
pub mod npm;

use std::collections::BTreeSet;

use pinfold_base::Shown;
use pinfold_base::shown;
use pinfold_base::text::toml_key;

/// Lines for the manifest that leave the install scripts of these packages out.
fn skipping<'a>(packages: impl IntoIterator<Item = &'a str>) -> Vec<Shown> {
    let packages: BTreeSet<&str> = packages.into_iter().collect();
    let lines = packages.into_iter().map(|package| shown!("{} = \"skip: REASON\"", toml_key(package)));
    std::iter::once("[scripts]".into()).chain(lines).collect()
}
