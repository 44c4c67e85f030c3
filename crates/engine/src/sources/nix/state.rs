//! What Nix in the image finds: its database with every path, roots for its garbage collector, its settings.
//!
//! `/nix/store` and `/nix/var` are the image's user's, so that Nix can add paths as that user without a daemon; what is in the store
//! stays root's. Without the roots, `nix-collect-garbage` in the image would remove the image's own programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::Tree;
use pinfold_base::ImagePath;
use pinfold_sources::nix::LockedNix;
use pinfold_sources::nix::NixError;
use pinfold_sources::nix::database;

use super::resolve;
use super::section::NixRequest;
use super::under::Under;
use crate::sources::Placing;
use crate::sources::SourceError;

/// Settings without which Nix does not work in a container; each can be set otherwise by the manifest.
///
/// A sandbox for builds needs namespaces, which a container has not. There are no users to build as.
const SETTINGS: [(&str, &str); 3] =
    [("build-users-group", ""), ("experimental-features", "nix-command flakes"), ("sandbox", "false")];

/// Directories of the image's user, parents first: all that Nix would make when it opens the store, which it does even where nothing
/// can be written to.
const FOLDERS: [&str; 11] = [
    "nix/store",
    "nix/store/.links",
    "nix/var",
    "nix/var/nix",
    "nix/var/nix/db",
    "nix/var/nix/gcroots",
    "nix/var/nix/gcroots/image",
    "nix/var/nix/gcroots/per-user",
    "nix/var/nix/profiles",
    "nix/var/nix/profiles/per-user",
    "nix/var/nix/temproots",
];

/// The component of all of it.
pub(super) fn component() -> Component {
    Component::generated("nix")
}

/// Who Nix in the image works as.
pub(super) fn owner(placing: &Placing<'_>) -> (u32, u32) {
    placing.project.manifest.user.as_ref().map_or((0, 0), |user| (user.uid, user.gid))
}

/// All of it for one platform.
pub(super) fn of(
    locked: &LockedNix,
    wanted: &NixRequest,
    placing: &Placing<'_>,
    under: Option<Under<'_>>,
) -> Result<Tree, SourceError> {
    let (uid, gid) = owner(placing);
    let owner = component();
    let epoch = placing.lock.epoch;
    let meta = |mode: u32| Metadata::root(mode, epoch).owned_by(uid, gid);
    let mut tree = Tree::new();
    for folder in FOLDERS {
        tree.add(ImagePath::new(folder)?, Node::directory(&owner, meta(0o755)))?;
    }
    // One database tells of all.
    let others = under.map(|under| under.registered()).transpose()?.unwrap_or_default();
    let others = others.iter().filter(|other| locked.path(&other.path).is_none());
    let database = database::write(locked.paths.iter().chain(others));
    let database = database.map_err(|error| SourceError::of(NixError::from(error)))?;
    let folder = ImagePath::new(database::FOLDER)?;
    for (name, bytes) in [("db.sqlite", database), ("schema", database::SCHEMA_VERSION.into())] {
        let node = Node::file(&owner, meta(0o644), Content::inline(bytes));
        tree.add(folder.join(name)?, node)?;
    }
    for (title, path) in resolve::titles(&locked.roots) {
        let mut link = Node::symlink(&owner, epoch, path.to_string());
        link.meta = link.meta.owned_by(uid, gid);
        let is_other = under.map(|under| under.has_root(title, path)).transpose()?.unwrap_or_default();
        let title = if is_other { path.base_name() } else { title };
        tree.add(ImagePath::new(format!("nix/var/nix/gcroots/image/{title}"))?, link)?;
    }
    let lower = under.map(|under| under.settings()).transpose()?.unwrap_or_default();
    let mut settings: BTreeMap<&str, &str> = SETTINGS.into();
    for (name, value) in lower.iter().chain(&wanted.conf) {
        settings.insert(name, value);
    }
    let mut text = String::new();
    for (name, value) in settings {
        let _ = writeln!(text, "{}", format!("{name} = {value}").trim_end());
    }
    let node = Node::file(&owner, Metadata::root(0o644, epoch), Content::inline(text.into_bytes()));
    tree.add(ImagePath::new("etc/nix/nix.conf")?, node)?;
    Ok(tree)
}
