//! The least an image needs when it has no Debian: root, nobody and the manifest's user; an empty `/tmp`. On a base there is all
//! of that, and only the user may be missing.

use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::Contents;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::Tree;
use pinfold_base::ImagePath;
use pinfold_sources::accounts::Accounts;
use pinfold_sources::accounts::NewUser;
use pinfold_sources::accounts::existing;

use crate::sources::SourceError;
use crate::sources::base::Below;

/// Group `shadow` of base-passwd.
const SHADOW: u32 = 42;

pub(super) fn tree(user: Option<&NewUser>, epoch: u64) -> Result<Tree, SourceError> {
    let owner = Component::generated("etc");
    let mut tree = Tree::new();
    let mut accounts = Accounts::minimal();
    if let Some(user) = user {
        accounts.add_user(user).map_err(SourceError::of)?;
        let meta = Metadata::root(user.home_mode, epoch).owned_by(user.uid, user.gid);
        tree.insert(user.home.clone(), Node::directory(&owner, meta));
    }
    let files = accounts.files(epoch);
    for (name, text, meta) in [
        ("etc/passwd", files.passwd, Metadata::root(0o644, epoch)),
        ("etc/group", files.group, Metadata::root(0o644, epoch)),
        ("etc/shadow", files.shadow, Metadata::root(0o640, epoch).owned_by(0, SHADOW)),
        ("etc/gshadow", files.gshadow, Metadata::root(0o640, epoch).owned_by(0, SHADOW)),
    ] {
        tree.insert(ImagePath::new(name)?, Node::file(&owner, meta, Content::inline(text.into_bytes())));
    }
    tree.insert(ImagePath::new("tmp")?, Node::directory(&owner, Metadata::root(0o1777, epoch)));
    Ok(tree)
}

/// What stands below, with the manifest's user.
pub(super) fn over(
    below: &Below,
    user: Option<&NewUser>,
    epoch: u64,
    contents: &dyn Contents,
) -> Result<Tree, SourceError> {
    let mut tree = below.tree.clone();
    if let Some(user) = user {
        existing::settle(&mut tree, contents, user, epoch).map_err(SourceError::of)?;
    }
    Ok(tree)
}
