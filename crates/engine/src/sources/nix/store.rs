//! Store paths out of their NARs, below `/nix/store`.
//!
//! Files have the time 1, as in every store: programs compare times with what they have written down of a store (bytecode of
//! Python, caches of fonts), and all bytes that Nix gives are made for that one.
//!
//! **Guarantees**: what is in a [`Placed`] is what was vouched for, path by path. There is no other way to one.
//! **Refuses**: NARs of other bytes, whose decoded form is removed again; programs of another machine in a root's `bin`.

use std::fmt::Write as _;
use std::path::PathBuf;

use pinfold_archive::Content;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_archive::decoded::Format;
use pinfold_archive::decoded::MemberKind;
use pinfold_archive::elf;
use pinfold_archive::nar::MTIME;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::store;
use pinfold_sources::nix::LockedNix;
use pinfold_sources::nix::LockedPath;
use pinfold_sources::nix::NixError;
use pinfold_sources::nix::StorePath;

use super::owner;
use crate::context::Context;
use crate::context::METADATA;
use crate::sources::Placing;
use crate::sources::SourceError;

/// A root with a program that does not run on its platform.
#[derive(Debug, thiserror::Error)]
#[error("`{program}` is no program for {platform}: it is for the ELF machine {machine}, not {expected}")]
struct Foreign {
    program: ImagePath,
    platform: Platform,
    machine: u16,
    expected: u16,
}

impl Diagnose for Foreign {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(Kind::Usage)
    }

    fn own_hint(&self) -> Option<String> {
        Some(
            "a store path is for one system: give the root one for each platform, or name in `platforms` only those that it is for"
                .into(),
        )
    }
}

/// A file of a store path cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read `{path}`")]
struct Unread {
    path: ImagePath,
    source: std::io::Error,
}

impl Diagnose for Unread {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Inner(&self.source)
    }
}

/// The store paths of one platform.
#[derive(Debug)]
pub(super) struct Placed(Tree);

impl Placed {
    /// All that is locked for the platform, in a tree that has `/nix/store`.
    pub(super) fn of(mut tree: Tree, placing: &Placing<'_>, locked: &LockedNix) -> Result<Self, SourceError> {
        for path in &locked.paths {
            add(&mut tree, placing, path)?;
        }
        let placed = Self(tree);
        for root in &locked.roots {
            placed.check_programs(placing, &root.path)?;
        }
        Ok(placed)
    }

    /// What is in it.
    pub(super) fn tree(&self) -> &Tree {
        &self.0
    }

    /// The same, to go on with.
    pub(super) fn into_tree(self) -> Tree {
        self.0
    }

    /// What was found right once is not read again: see [`looked_at`].
    fn check_programs(&self, placing: &Placing<'_>, root: &StorePath) -> Result<(), SourceError> {
        let Placing { context, platform, .. } = *placing;
        let expected = platform.arch.elf_machine();
        let Some(folder) = self.0.resolve(&place(root)?.join("bin")?) else { return Ok(()) };
        let programs = self.0.children(&folder);
        let programs: Vec<(&ImagePath, &Content)> =
            programs.filter_map(|(program, _)| Some((program, self.0.content(program)?))).collect();
        let record = looked_at(context, expected, &programs);
        if programs.is_empty() || store::recall(&record).is_some() {
            return Ok(());
        }
        for (program, content) in programs {
            let read = elf::read(&context.decoded, content);
            let read = read.map_err(|source| SourceError::of(Unread { path: program.clone(), source }))?;
            if let Some(machine) = read.map(|elf| elf.machine).filter(|machine| *machine != expected) {
                let program = program.clone();
                return Err(SourceError::of(Foreign { program, platform, machine, expected }));
            }
        }
        // It is only saving time: failures are no matter.
        let _ = context.store.remember(&record, b"");
        Ok(())
    }
}

/// The file that is there once none of `programs` was for another machine than `expected`, so that a root need not be decoded to see it
/// at every build: `CACHE/metadata/nix-HEX`, HEX being the SHA-256 of the machine and of where the content of each comes from.
fn looked_at(context: &Context, expected: u16, programs: &[(&ImagePath, &Content)]) -> PathBuf {
    let mut text = format!("machine {expected}\n");
    for (_, content) in programs {
        let _ = match content {
            Content::Inline(bytes) => writeln!(text, "{}", Digest::sha256(bytes)),
            Content::Range { archive, offset, size } => writeln!(text, "{size} {archive}@{offset}"),
        };
    }
    let name = format!("nix-{}", Digest::sha256(text.as_bytes()).hex());
    context.home.cache().join(METADATA).join(name)
}

/// Where a store path is in an image.
pub(super) fn place(path: &StorePath) -> Result<ImagePath, SourceError> {
    Ok(ImagePath::new(format!("nix/store/{}", path.base_name()))?)
}

/// Adds one store path, once its NAR is known to be the one that was vouched for.
fn add(tree: &mut Tree, placing: &Placing<'_>, locked: &LockedPath) -> Result<(), SourceError> {
    let listing = placing.listing(locked.path.base_name(), &locked.file, Format::Nar)?;
    let checked = match &listing.whole {
        Some(whole) => locked.check_nar(&whole.digest, whole.size),
        None => Err(NixError::Lock(format!("`{}` is no NAR", locked.path))),
    };
    if let Err(error) = checked {
        // Nothing of it is to be found by anyone.
        if let Err(error) = placing.context.decoded.remove(&locked.file) {
            tracing::debug!(path = %locked.path, %error, "decoded form");
        }
        return Err(SourceError::of(error));
    }
    let (top, owner) = (place(&locked.path)?, owner(&locked.path));
    for member in &listing.data {
        let path = if member.path.is_root() { top.clone() } else { top.join(member.path.as_bytes())? };
        let meta = Metadata::root(member.meta.mode, MTIME);
        let node = match &member.kind {
            MemberKind::Directory => Node::directory(&owner, meta),
            MemberKind::File { content } => Node::file(&owner, meta, content.clone()),
            MemberKind::Symlink(target) => Node::symlink(&owner, MTIME, target),
            // A NAR has none.
            MemberKind::Hardlink { .. } => continue,
        };
        tree.add(path, node)?;
    }
    Ok(())
}

/// Whether a node is a directory, for those that merge.
pub(super) fn is_directory(node: Option<&Node>) -> bool {
    node.is_some_and(|node| matches!(node.kind, NodeKind::Directory))
}
