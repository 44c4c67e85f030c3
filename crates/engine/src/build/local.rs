//! The user's own files, directories and links, and the configuration that recipes bring, as a tree.

use std::collections::BTreeSet;
use std::io;

use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::Tree;
use pinfold_archive::tree::ConflictError;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::Store;
use pinfold_base::digest::Algorithm;
use pinfold_base::store::StoreError;

use crate::project::Project;
use crate::project::folder::Directory;
use crate::project::folder::EntryKind;
use crate::project::folder::OpenError;
use crate::project::folder::Opened;
use crate::project::folder::Source;
use crate::project::inputs::Inputs;
use crate::project::manifest;
use crate::project::manifest::Manifest;
use crate::project::manifest::Owner;
use crate::sources::STILL;

/// Files up to this size are held in memory; larger ones go through the store.
const INLINE: u64 = 256 << 10;

/// Why a file of the user's cannot be placed.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// It cannot be read.
    #[error("cannot read the source of `{path}`")]
    Read {
        /// Path in the image.
        path: String,
        /// What happened; names the file.
        #[source]
        source: io::Error,
    },
    /// It is no regular file and no directory.
    #[error("the source of `{path}` is not a regular file")]
    NotAFile {
        /// Path in the image.
        path: String,
        /// What it is.
        #[source]
        source: OpenError,
    },
    /// Permissions for a directory with all that is in it.
    #[error(
        "`mode` of `{path}` is for one file, and its source is a directory: there, what may be executed is 0755 and other files are \
         0644; what shall have another mode gets an entry of its own"
    )]
    Mode {
        /// Path in the image.
        path: String,
    },
    /// There is no source for a platform.
    #[error("`{path}` has no source for {platform}")]
    NoSource {
        /// Path in the image.
        path: String,
        /// The platform.
        platform: Platform,
    },
    /// Two entries want one path.
    #[error(transparent)]
    Conflict(#[from] ConflictError),
    /// Two entries of the manifest are for one path.
    #[error("two entries of the manifest are for `{0}`")]
    Twice(ImagePath),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A path cannot be.
    #[error(transparent)]
    Path(#[from] pinfold_base::image_path::PathError),
}

impl Diagnose for LocalError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        match self {
            Self::Store(error) => Diagnosis::Inner(error),
            _ => Diagnosis::Own(Kind::Usage),
        }
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::Read { .. } => Some("sources count from the folder of the manifest".into()),
            Self::NoSource { platform, .. } => Some(format!(
                "add `source-platform = {{ \"{platform}\" = \"…\" }}`, or leave the platform out"
            )),
            Self::Twice(_) => Some("leave one of the two out".into()),
            _ => None,
        }
    }
}

/// What the bytes of `file` come from on `platform`; `None` for inline text.
pub fn source<'a>(
    file: &manifest::File,
    inputs: &'a Inputs,
    platform: Platform,
) -> Result<Option<&'a Source>, LocalError> {
    let path = || file.path.to_string();
    match inputs.source(file, platform) {
        None if file.source_platform.is_empty() => Ok(None),
        None => Err(LocalError::NoSource { path: path(), platform }),
        Some(Ok(source)) => Ok(Some(source)),
        Some(Err(error @ OpenError::Kind { .. })) => {
            Err(LocalError::NotAFile { path: path(), source: error.clone() })
        }
        Some(Err(error)) => Err(LocalError::Read { path: path(), source: error.clone().into() }),
    }
}

/// The manifest's `[[dir]]`, `[[link]]` and `[[file]]`, and the recipes' configuration in the user's home.
pub fn tree(project: &Project, platform: Platform, epoch: u64, store: &Store) -> Result<Tree, LocalError> {
    let Project { manifest, recipes, inputs, .. } = project;
    let mut tree = Tree::new();
    let owner = Component::generated("files");
    let twice = |conflict: ConflictError| LocalError::Twice(conflict.path);
    for dir in &manifest.dirs {
        let (uid, gid) = dir.owner.ids(manifest.user.as_ref());
        let mode = dir.mode.map_or(0o755, |mode| mode.0);
        // Parents inside the home belong to the user too, or `~/.local` would be root's.
        if dir.owner == Owner::User {
            home_parents(&mut tree, &owner, manifest, &dir.path.0, epoch);
        }
        tree.insert(
            dir.path.0.clone(),
            Node::directory(&owner, Metadata::root(mode, epoch).owned_by(uid, gid)),
        );
    }
    for link in &manifest.links {
        tree.add(link.path.0.clone(), Node::symlink(&owner, epoch, &link.target)).map_err(twice)?;
    }
    for file in &manifest.files {
        let content = match (source(file, inputs, platform)?, &file.content) {
            (Some(Source::Directory(_)), _) => continue, // below, since entries for what is in it come first
            (Some(Source::File(opened)), _) => read(opened, &file.path.to_string(), store)?,
            (None, Some(text)) => Content::inline(text.as_bytes()),
            (None, None) => return Err(LocalError::NoSource { path: file.path.to_string(), platform }),
        };
        if file.owner == Owner::User {
            home_parents(&mut tree, &owner, manifest, &file.path.0, epoch);
        }
        let (uid, gid) = file.owner.ids(manifest.user.as_ref());
        let mode = file.mode.map_or(0o644, |mode| mode.0);
        tree.add(
            file.path.0.clone(),
            Node::file(&owner, Metadata::root(mode, epoch).owned_by(uid, gid), content),
        )
        .map_err(twice)?;
    }
    let mut taken = BTreeSet::new();
    for file in &manifest.files {
        if let Some(Source::Directory(directory)) = source(file, inputs, platform)? {
            if file.mode.is_some() {
                return Err(LocalError::Mode { path: file.path.to_string() });
            }
            if file.owner == Owner::User {
                home_parents(&mut tree, &owner, manifest, &file.path.0, epoch);
            }
            let meta = Metadata::root(0o755, epoch);
            let (uid, gid) = file.owner.ids(manifest.user.as_ref());
            contents(&mut tree, &mut taken, file, directory, &owner, &meta.owned_by(uid, gid), store)?;
        }
    }
    if let Some(user) = &manifest.user {
        let owner = Component::generated("agent-config");
        for file in recipes.iter().flat_map(|recipe| &recipe.home) {
            let path = user.home.0.join(&file.path)?;
            if tree.contains(&path) {
                continue; // the manifest's own file for this path
            }
            home_parents(&mut tree, &owner, manifest, &path, epoch);
            let mode = file.mode.map_or(0o644, |mode| mode.0);
            let meta = Metadata::root(mode, epoch).owned_by(user.uid, user.gid);
            tree.add(path, Node::file(&owner, meta, Content::inline(file.content.as_bytes())))?;
        }
    }
    Ok(tree)
}

/// A directory of the user's with all that is in it. An entry of the manifest for something in it wins. `taken` is what came out of
/// directories so far, `meta` what a directory has.
fn contents(
    tree: &mut Tree,
    taken: &mut BTreeSet<ImagePath>,
    file: &manifest::File,
    directory: &Directory,
    owner: &Component,
    meta: &Metadata,
    store: &Store,
) -> Result<(), LocalError> {
    let root = Node::directory(owner, meta.clone());
    match tree.get(&file.path.0) {
        Some(there) if there.is_directory() => {}
        Some(_) => return Err(LocalError::Twice(file.path.0.clone())),
        None => {
            tree.insert(file.path.0.clone(), root.clone());
        }
    }
    let mut gone: Option<ImagePath> = None;
    for entry in directory.entries() {
        let path = file.path.0.join(entry.path.as_bytes())?;
        if gone.as_ref().is_some_and(|gone| path.starts_with(gone)) {
            continue;
        }
        if let Some(there) = tree.get(&path) {
            let directories = there.is_directory() && entry.kind == EntryKind::Directory;
            if taken.contains(&path) && !directories {
                return Err(LocalError::Twice(path));
            }
            if !there.is_directory() {
                gone = Some(path);
            }
            continue;
        }
        let node = match &entry.kind {
            EntryKind::Directory => root.clone(),
            EntryKind::Link(target) => {
                let mut link = Node::symlink(owner, meta.mtime, target);
                (link.meta.uid, link.meta.gid) = (meta.uid, meta.gid);
                link
            }
            EntryKind::File { executable } => {
                let shown = path.to_string();
                let opened = directory
                    .open(entry)
                    .map_err(|error| LocalError::Read { path: shown.clone(), source: error.into() })?;
                let mode = if *executable { 0o755 } else { 0o644 };
                let meta = Metadata { mode, ..meta.clone() };
                Node::file(owner, meta, read(&opened, &shown, store)?)
            }
        };
        tree.insert(path.clone(), node);
        taken.insert(path);
    }
    Ok(())
}

/// The names of this machine, where there is an `/etc` without them: Debian's installer writes this file, so that no package
/// has it. Without it programs find no `localhost` in a sandbox, where there is no resolver that they could ask.
pub fn hosts(tree: &mut Tree, owner: &Component, name: &str) -> Result<(), LocalError> {
    let path = ImagePath::new("etc/hosts")?;
    if !tree.contains(&path)
        && path.parent().is_some_and(|etc| tree.get(&etc).is_some_and(Node::is_directory))
    {
        let text = format!("127.0.0.1 localhost\n::1 localhost\n127.0.0.1 {name}\n");
        tree.insert(path, Node::file(owner, Metadata::root(0o644, STILL), Content::inline(text.as_bytes())));
    }
    Ok(())
}

/// Keeps the image's `PATH` in login shells: Debian's `/etc/profile` sets its own, and reads `/etc/profile.d/*.sh` after that.
pub fn login_path(tree: &mut Tree, owner: &Component, value: &str) -> Result<(), LocalError> {
    let folder = tree.landing(&ImagePath::new("etc/profile.d")?);
    let path = folder.join("pinfold.sh")?;
    if !tree.contains(&path) && tree.get(&folder).is_some_and(Node::is_directory) {
        // Nothing has a meaning between single quotes but the quote itself (POSIX, Shell Command Language 2.2.2).
        let text = format!("export PATH='{}'\n", value.replace('\'', "'\\''"));
        tree.insert(path, Node::file(owner, Metadata::root(0o644, STILL), Content::inline(text.as_bytes())));
    }
    Ok(())
}

/// Paths, as they are written, of entries that take the place of what a package has there. Of a directory it is each of its files:
/// a directory of a package keeps what else is in it.
pub fn replacing(project: &Project, platform: Platform) -> BTreeSet<ImagePath> {
    let Project { manifest, inputs, .. } = project;
    let mut inside = BTreeSet::new();
    let is_directory =
        |file: &manifest::File| matches!(inputs.source(file, platform), Some(Ok(Source::Directory(_))));
    for file in manifest.files.iter().filter(|file| file.replace) {
        if let Some(Ok(Source::Directory(directory))) = inputs.source(file, platform) {
            let files = directory.entries().iter().filter(|entry| entry.kind != EntryKind::Directory);
            inside.extend(files.filter_map(|entry| file.path.0.join(entry.path.as_bytes()).ok()));
        }
    }
    let files = manifest.files.iter().map(|file| (&file.path, file.replace && !is_directory(file)));
    let dirs = manifest.dirs.iter().map(|dir| (&dir.path, dir.replace));
    let links = manifest.links.iter().map(|link| (&link.path, link.replace));
    let all = files.chain(dirs).chain(links);
    all.filter(|(_, replace)| *replace).map(|(path, _)| path.0.clone()).chain(inside).collect()
}

/// Directories between the user's home and `path`, owned by the user.
fn home_parents(tree: &mut Tree, owner: &Component, manifest: &Manifest, path: &ImagePath, epoch: u64) {
    let Some(user) = &manifest.user else { return };
    let meta = Metadata::root(0o755, epoch).owned_by(user.uid, user.gid);
    let mut at = path.parent();
    while let Some(parent) = at {
        if parent == user.home.0 || !parent.starts_with(&user.home.0) {
            break;
        }
        if !tree.contains(&parent) {
            tree.insert(parent.clone(), Node::directory(owner, meta.clone()));
        }
        at = parent.parent();
    }
}

/// The bytes of a file of the user's: small ones in memory, larger ones copied into the store.
fn read(opened: &Opened, shown: &str, store: &Store) -> Result<Content, LocalError> {
    let failed = |source| LocalError::Read { path: shown.to_owned(), source };
    if opened.size() <= INLINE {
        // It may have grown since; then it is no small one any more.
        match opened.bytes(INLINE) {
            Err(OpenError::TooLong { .. }) => {}
            bytes => return Ok(Content::inline(bytes.map_err(|error| failed(error.into()))?)),
        }
    }
    let mut writer = store.writer_unknown(shown, Algorithm::Sha256)?;
    io::copy(&mut opened.reader(), &mut writer).map_err(failed)?;
    let (archive, size) = writer.finish()?;
    Ok(Content::Range { archive, offset: 0, size })
}

#[cfg(test)]
mod tests;
