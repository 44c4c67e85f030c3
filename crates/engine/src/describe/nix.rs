//! Packages of Nix: by the names of store paths, which say package and version. No file tells of them.

use std::collections::BTreeMap;

use pinfold_base::ImagePath;
use pinfold_image::contents::Contents;
use pinfold_sources::nix::StorePath;

use crate::sources::nix::Named;

/// Where store paths are.
const STORE: &[u8] = b"nix/store/";

/// The store paths that an image has, by their base names.
pub(super) fn store_paths(contents: &Contents) -> BTreeMap<Vec<u8>, StorePath> {
    let mut found = BTreeMap::new();
    for name in contents.paths.keys().filter_map(base_name) {
        if !found.contains_key(name)
            && let Some(path) =
                std::str::from_utf8(name).ok().and_then(|name| StorePath::of_base_name(name).ok())
        {
            found.insert(name.to_vec(), path);
        }
    }
    found
}

/// The base name of the store path that a path is in.
pub(super) fn base_name(path: &ImagePath) -> Option<&[u8]> {
    path.as_bytes().strip_prefix(STORE)?.split(|&byte| byte == b'/').next()
}

/// The component of a store path, as the source names it.
pub(super) fn component(path: &StorePath) -> String {
    format!("nix/{}", Named::of(path).name)
}
