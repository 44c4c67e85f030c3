//! What a base has of Nix, and how an image's own is put to it: `[base]` may itself be an image of store paths.
//!
//! | in the base | in the image |
//! |---|---|
//! | a store path that is locked | as the base has it, where its NAR is the one that was vouched for; otherwise it is refused |
//! | another store path | as it is; the one database has it too |
//! | `/nix/profile` | joined with the own roots, which come first |
//! | settings | the base's; over them what the manifest says |
//! | roots of the garbage collector | beside the own ones |
//! | `/nix/store` itself, what is below `/nix/var` | of the image's user |
//!
//! **Guarantees**: nothing of the base that Nix in the image would miss is lost.
//! **Refuses**: store paths of the base with other content than was vouched for.

use std::collections::BTreeMap;
use std::io;
use std::io::Write;

use pinfold_archive::Component;
use pinfold_archive::Contents as _;
use pinfold_archive::Node;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_archive::nar::NarError;
use pinfold_archive::nar::Permission;
use pinfold_archive::nar::Writer;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::digest::Algorithm;
use pinfold_base::digest::HashingWriter;
use pinfold_sources::nix::LockedNix;
use pinfold_sources::nix::LockedPath;
use pinfold_sources::nix::NixError;
use pinfold_sources::nix::StorePath;
use pinfold_sources::nix::database;
use pinfold_sources::nix::database::DatabaseError;

use super::profile::TOP;
use super::store;
use crate::context::Context;
use crate::sources::Placing;
use crate::sources::SourceError;

/// Where links of the garbage collector's roots are.
const ROOTS: &str = "nix/var/nix/gcroots/image";
/// The settings.
const SETTINGS: &str = "etc/nix/nix.conf";
/// The most that is read of the base's settings, in bytes.
const MAX_SETTINGS: u64 = 1 << 20;

/// A store path of the base that is not the one that was locked.
#[derive(Debug, thiserror::Error)]
#[error("`{path}` of the base `{base}` is not what is locked by that name")]
struct OtherPath {
    path: StorePath,
    base: String,
    source: NixError,
}

impl Diagnose for OtherPath {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Integrity)
    }

    fn own_hint(&self) -> Option<String> {
        Some("one of the two was built elsewhere, or changed: build the base again, from the caches that are named here".into())
    }
}

/// Something of the base that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{path}` of the base")]
struct Unread {
    path: ImagePath,
    source: NarError,
}

impl Diagnose for Unread {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Integrity)
    }
}

/// A base with something of Nix.
#[derive(Clone, Copy, Debug)]
pub(super) struct Under<'a> {
    context: &'a Context,
    tree: &'a Tree,
    owner: &'a Component,
    name: &'a str,
}

impl<'a> Under<'a> {
    /// That of an image, where its base has any.
    pub(super) fn of(placing: &Placing<'a>) -> Result<Option<Self>, SourceError> {
        let nix = ImagePath::new("nix")?;
        let settings = ImagePath::new(SETTINGS)?;
        let below = placing.below.filter(|below| below.tree.contains(&nix) || below.tree.contains(&settings));
        Ok(below.map(|below| Self {
            context: placing.context,
            tree: &below.tree,
            owner: &below.component,
            name: &below.name,
        }))
    }

    /// What is registered there.
    pub(super) fn registered(&self) -> Result<Vec<LockedPath>, SourceError> {
        let folder = ImagePath::new(database::FOLDER)?;
        let of = |error: DatabaseError| SourceError::of(NixError::from(error));
        let Some(content) = self.tree.content(&folder.join("db.sqlite")?) else { return Ok(Vec::new()) };
        let read = |content, most| {
            let read = self.context.decoded.read(content, most);
            read.map_err(|error| of(DatabaseError::Foreign(error.to_string())))
        };
        if let Some(log) = self.tree.content(&folder.join("db.sqlite-wal")?)
            && !read(log, database::MAX_DATABASE)?.is_empty()
        {
            return Err(of(DatabaseError::Foreign(
                "there is a log beside it that was not written back".into(),
            )));
        }
        database::read(read(content, database::MAX_DATABASE)?).map_err(of)
    }

    /// Its settings, as far as they are `NAME = VALUE`.
    pub(super) fn settings(&self) -> Result<BTreeMap<String, String>, SourceError> {
        let path = ImagePath::new(SETTINGS)?;
        let Some(content) = self.tree.content(&path) else { return Ok(BTreeMap::new()) };
        let read = self.context.decoded.read(content, MAX_SETTINGS);
        let read = read.map_err(|error| SourceError::of(Unread { path, source: error.into() }))?;
        let text = String::from_utf8_lossy(&read);
        let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
        let setting = |line: &str| {
            line.split_once('=').map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        };
        Ok(lines.filter_map(setting).filter(|(name, _)| !name.is_empty()).collect())
    }

    /// Whether a link of that title leads to another store path.
    pub(super) fn has_root(&self, title: &str, path: &StorePath) -> Result<bool, SourceError> {
        let node = self.tree.get(&ImagePath::new(ROOTS)?.join(title)?);
        Ok(node.is_some_and(|node| !matches!(&node.kind, NodeKind::Symlink(target) if target[..] == *path.to_string().as_bytes())))
    }

    /// What its environment has at a place.
    pub(super) fn profile(&self, at: &ImagePath) -> Option<&'a Node> {
        self.tree.get(at)
    }

    /// Names in a directory of its environment.
    pub(super) fn names(&self, at: &ImagePath) -> Vec<Vec<u8>> {
        self.tree.children(at).map(|(child, _)| child.name().to_vec()).collect()
    }

    /// A tree of store paths with those that it has beside them.
    pub(super) fn with_store(&self, own: &Tree) -> Result<Tree, SourceError> {
        let mut all = own.clone();
        for (path, node) in self.tree.below(&ImagePath::new("nix/store")?) {
            if !own.contains(path) {
                all.insert(path.clone(), node.clone());
            }
        }
        Ok(all)
    }

    /// Whether it has a store path, which then has to be the locked one.
    fn has(&self, locked: &LockedPath) -> Result<bool, SourceError> {
        let top = store::place(&locked.path)?;
        if !self.tree.contains(&top) {
            return Ok(false);
        }
        let unread = |source| SourceError::of(Unread { path: top.clone(), source });
        let mut writer = Writer::new(HashingWriter::new(Algorithm::Sha256, io::sink()));
        self.dump(&mut writer, &top, &ImagePath::root()).map_err(unread)?;
        let (_, digest, size) = writer.finish().map_err(unread)?.finish();
        locked.check_nar(&digest, size).map_err(|source| {
            SourceError::of(OtherPath { path: locked.path.clone(), base: self.name.to_owned(), source })
        })?;
        Ok(true)
    }

    /// One node and what is in it, by the order of names. Links are not followed.
    fn dump(
        &self,
        writer: &mut Writer<impl Write>,
        path: &ImagePath,
        at: &ImagePath,
    ) -> Result<(), NarError> {
        let file = |content, mode, writer: &mut Writer<_>| {
            let mut bytes = self.context.decoded.open(content)?;
            writer.file(at, Permission::of(mode), content.size(), &mut bytes)
        };
        let missing = || io::Error::other(format!("`{path}` leads nowhere"));
        let node = self.tree.get(path).ok_or_else(missing)?;
        match &node.kind {
            NodeKind::Directory => {
                writer.directory(at)?;
                for (child, _) in self.tree.children(path) {
                    self.dump(writer, child, &at.join(child.name()).map_err(io::Error::other)?)?;
                }
                Ok(())
            }
            NodeKind::Symlink(target) => writer.symlink(at, target),
            NodeKind::File(content) => file(content, node.meta.mode, writer),
            // Nix itself links equal files of a store.
            NodeKind::Hardlink(target) => {
                match self.tree.get(target).map(|node| (&node.kind, node.meta.mode)) {
                    Some((NodeKind::File(content), mode)) => file(content, mode, writer),
                    _ => Err(missing().into()),
                }
            }
        }
    }

    /// What an image has so far, with its own of Nix.
    pub(super) fn laid(
        &self,
        before: &Tree,
        mut own: Tree,
        locked: &LockedNix,
        (uid, gid): (u32, u32),
    ) -> Result<Tree, SourceError> {
        for path in &locked.paths {
            if self.has(path)? {
                let top = store::place(&path.path)?;
                own.retain(|path, _| !path.starts_with(&top));
            }
        }
        let folder = ImagePath::new(database::FOLDER)?;
        let beside = [folder.join("db.sqlite-wal")?, folder.join("db.sqlite-shm")?];
        let (profile, state, settings) =
            (ImagePath::new(TOP)?, ImagePath::new("nix/var")?, ImagePath::new(SETTINGS)?);
        let store = ImagePath::new("nix/store")?;
        let gives_way = |path: &ImagePath, node: &Node| {
            let own = own.contains(path) && (path.starts_with(&state) || *path == settings);
            path.starts_with(&profile) || (!node.is_directory() && (own || beside.contains(path)))
        };
        let mut whole = before.clone();
        whole.retain(|path, node| node.owner != *self.owner || !gives_way(path, node));
        whole.merge(own)?;
        for (path, node) in whole.iter_mut().filter(|(_, node)| node.owner == *self.owner) {
            let links = path.parent().is_some_and(|parent| parent == store) && path.name() == b".links";
            if *path == store || links || path.starts_with(&state) {
                node.meta = node.meta.clone().owned_by(uid, gid);
            }
        }
        Ok(whole)
    }
}

#[cfg(test)]
mod tests;
