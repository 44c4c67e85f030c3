//! What is near a path that an image does not have.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ops::Bound;

use pinfold_base::ImagePath;
use pinfold_base::text::nearest;
use pinfold_image::contents::Contents;
use pinfold_image::contents::Found;
use serde::Serialize;

use super::Earlier;
use super::earlier;

/// Similar names that are told.
const MAX: usize = 5;

/// What is near a path that is not there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The nearest directory above it that is there.
    pub parent: String,
    /// Paths that may have been meant: a name much like it in that directory, then the same name elsewhere.
    pub similar: Vec<String>,
    /// What layers had there before others took it away, the lowest first.
    pub before: Vec<Earlier>,
}

pub(super) fn missing(contents: &Contents, path: &ImagePath) -> Missing {
    let paths = &contents.paths;
    let mut parent = path.parent().unwrap_or_default();
    let mut wanted = path.clone();
    while !parent.is_root() && below(paths, &parent).next().is_none() && !paths.contains_key(&parent) {
        wanted = parent.clone();
        parent = parent.parent().unwrap_or_default();
    }
    let name = String::from_utf8_lossy(wanted.name()).into_owned();
    let siblings: BTreeSet<String> = below(paths, &parent)
        .filter_map(|other| other.strip_prefix(&parent)?.split(|&byte| byte == b'/').next())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect();
    let near = nearest(&name, siblings.iter().map(String::as_str)).and_then(|near| parent.join(near).ok());
    let elsewhere = paths.keys().filter(|other| other.name() == path.name());
    let mut similar: Vec<String> = near.iter().chain(elsewhere).map(ToString::to_string).collect();
    similar.truncate(MAX);
    let before = contents.before.get(path).into_iter().flatten();
    Missing {
        parent: parent.to_string(),
        similar,
        before: before.map(|one| earlier(&one.was, one.by)).collect(),
    }
}

/// What stands below a directory, which need not have an entry of its own.
fn below<'a>(
    paths: &'a BTreeMap<ImagePath, Found>,
    directory: &'a ImagePath,
) -> impl Iterator<Item = &'a ImagePath> {
    let mut start = directory.as_bytes().to_vec();
    if !directory.is_root() {
        start.push(b'/');
    }
    let from = paths.range::<[u8], _>((Bound::Included(&start[..]), Bound::Unbounded));
    from.map(|(path, _)| path).take_while(|path| path.starts_with(directory))
}
