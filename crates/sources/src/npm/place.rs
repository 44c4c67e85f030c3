//! Turns an npm tarball into a tree.
//!
//! npm's rules: the first component of every name is dropped whatever it is called; files are at least 0644 and directories
//! 0755; everything belongs to root; links and devices do not exist in packages and are left out. Times are those the
//! caller gives, since npm's own (1985-10-26) say nothing. Of several files of one name the last counts; where one name is a
//! file and a directory, what came first stays. A `.gitignore` is called `.npmignore`, unless the package has one.
//!
//! A [`Package`] is a tarball that was held against the lock. Two ways to place it: whole, with the rest of its tree and
//! everybody's commands ([`install`]), or chosen files of it ([`Package::chosen`]) as recipes do.
//!
//! **Refuses**: a tarball whose `package.json` is missing or is about another package or version, names that overlay file systems would take for
//! deletions (`.wh.`), rules that match nothing.

mod bundled;
mod commands;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io;

use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::Contents;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::Tree;
use pinfold_archive::decoded::Listing;
use pinfold_archive::decoded::Loss;
use pinfold_archive::decoded::MemberKind;
use pinfold_archive::tree::ConflictError;
use pinfold_base::Algorithm;
use pinfold_base::Diagnose;
use pinfold_base::Diagnosis;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::Shown;
use pinfold_base::digest::HashingWriter;
use pinfold_base::image_path::PathError;

pub use self::commands::Installed;
pub use self::commands::install;

use self::bundled::Bundled;
use super::LockedNpm;
use super::identity::Identity;
use super::identity::MAX_MANIFEST;

/// Why a package cannot be placed.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// It calls itself something else.
    #[error("the tarball that is locked as `{locked}` says that it is `{found}`")]
    NotTheLocked {
        /// What the lock says.
        locked: String,
        /// What its `package.json` says.
        found: Shown,
    },
    /// It does not say what it is.
    #[error(
        "the tarball that is locked as `{locked}` does not say what it is: its `package.json` cannot be read: {reason}"
    )]
    NoIdentity {
        /// What the lock says.
        locked: String,
        /// What is wrong with it.
        reason: Shown,
    },
    /// A name of the archive means something else inside an image layer.
    #[error("`{path}` in `{package}` is refused: names that begin with `.wh.` delete files in image layers")]
    Whiteout {
        /// The package.
        package: String,
        /// The name.
        path: ImagePath,
    },
    /// A rule selects nothing.
    #[error("`{package}` has no `{from}`")]
    NoMatch {
        /// The package.
        package: String,
        /// What the rule asks for.
        from: String,
    },
    /// A mode for several files at once.
    #[error("`{from}` of `{package}` is a directory, so it cannot have the mode of a file")]
    ModeOfDirectory {
        /// The package.
        package: String,
        /// What the rule asks for.
        from: String,
    },
    /// A script that would have to be rewritten is too large for that.
    #[error("`{path}` of `{package}` is a script with line ends of Windows and larger than {limit} bytes")]
    LargeScript {
        /// The package.
        package: String,
        /// The script.
        path: ImagePath,
        /// The most that is rewritten.
        limit: u64,
    },
    /// More commands than are linked.
    #[error("the packages up to `{package}` have more than {limit} commands together")]
    Commands {
        /// The package with which it was too much.
        package: String,
        /// The most.
        limit: usize,
    },
    /// More to rewrite than is.
    #[error("the scripts with line ends of Windows up to `{package}` are larger than {limit} bytes together")]
    Scripts {
        /// The package with which it was too much.
        package: String,
        /// The most.
        limit: u64,
    },
    /// A file cannot be read.
    #[error("cannot read `{path}` of `{package}`")]
    Read {
        /// The package.
        package: String,
        /// The file.
        path: ImagePath,
        /// Why.
        source: io::Error,
    },
    /// A path of a rule is no path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// Rules that put two things at one path.
    #[error(transparent)]
    Conflict(#[from] ConflictError),
}

impl Diagnose for PlaceError {
    fn diagnosis(&self) -> Diagnosis<'_> {
        Diagnosis::Own(match self {
            Self::NotTheLocked { .. } | Self::NoIdentity { .. } | Self::Whiteout { .. } => Kind::Integrity,
            Self::NoMatch { .. }
            | Self::ModeOfDirectory { .. }
            | Self::LargeScript { .. }
            | Self::Commands { .. }
            | Self::Scripts { .. }
            | Self::Path(_)
            | Self::Conflict(_) => Kind::Usage,
            Self::Read { .. } => Kind::System,
        })
    }

    fn own_hint(&self) -> Option<String> {
        match self {
            Self::NotTheLocked { .. } | Self::NoIdentity { .. } => Some(
                "do not use it: whoever published it sent another package than the registry describes. Ask for another version, \
                 and tell the registry"
                    .into(),
            ),
            Self::LargeScript { .. } => {
                Some("take another version of the package, or tell its publisher".into())
            }
            Self::NoMatch { .. } => Some(
                "the package's layout has changed: correct `from` in the recipe, or ask for an older version"
                    .into(),
            ),
            _ => None,
        }
    }
}

/// A tree, and what of the archive is not in it.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Placed {
    /// The files, with the directories they stand in.
    pub tree: Tree,
    /// Links that were left out, by their name in the package.
    pub left_out: Vec<String>,
    /// What the user should know.
    pub notes: Vec<String>,
}

/// Files of a package to place somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRule {
    /// A file or directory of the package; the root for all of it.
    pub from: ImagePath,
    /// Where it stands in the image.
    pub to: ImagePath,
    /// Mode of a single file; as npm would have it when `None`.
    pub mode: Option<u32>,
    /// Files and directories below `from` to leave out, relative to `from`.
    pub drop: Vec<ImagePath>,
}

/// A file of a package: mode as npm would set it, and content.
#[derive(Clone)]
struct PackedFile {
    mode: u32,
    content: Content,
}

/// A tarball that is what the lock says.
pub struct Package {
    id: String,
    /// By their name inside it.
    files: BTreeMap<ImagePath, PackedFile>,
    /// What it brings along in its own `node_modules`.
    bundled: Vec<Bundled>,
    left_out: Vec<String>,
    notes: Vec<String>,
}

impl std::fmt::Debug for Package {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Package")
            .field("id", &self.id)
            .field("files", &self.files.len())
            .finish_non_exhaustive()
    }
}

impl Package {
    /// Holds what a tarball says of itself against the lock. An alias stands in another directory; its package keeps its name.
    pub fn open(locked: &LockedNpm, listing: &Listing, contents: &dyn Contents) -> Result<Self, PlaceError> {
        let id = locked.id();
        let Unpacked { files, left_out, notes } = unpacked(&id, listing, contents)?;
        let unknown =
            |reason: &str| PlaceError::NoIdentity { locked: id.clone(), reason: Shown::new(reason) };
        let manifest = files.get(&ImagePath::new("package.json")?).ok_or_else(|| unknown("there is none"))?;
        let bytes =
            contents.read(&manifest.content, MAX_MANIFEST).map_err(|error| unknown(&error.to_string()))?;
        let found = Identity::parse(&bytes).map_err(|reason| unknown(&reason))?;
        if !found.matches(&locked.name, &locked.version) {
            return Err(PlaceError::NotTheLocked { locked: id, found: Shown::of(&found) });
        }
        let bundled = bundled::find(&bytes, &files, contents);
        Ok(Self { id, files, bundled, left_out, notes })
    }
}

/// What npm would unpack of a tarball.
struct Unpacked {
    /// By their name inside the package.
    files: BTreeMap<ImagePath, PackedFile>,
    left_out: Vec<String>,
    notes: Vec<String>,
}

/// Unpacks in the order of the archive.
fn unpacked(package: &str, listing: &Listing, contents: &dyn Contents) -> Result<Unpacked, PlaceError> {
    let mut files: BTreeMap<ImagePath, PackedFile> = BTreeMap::new();
    let mut directories: BTreeSet<ImagePath> = BTreeSet::new();
    let mut ignores: BTreeSet<ImagePath> = BTreeSet::new();
    let (mut left_out, mut notes) = (Vec::new(), Vec::new());
    let of_links = listing.shadowed.iter().filter(|lost| lost.loss == Loss::FirstName);
    let of_links: BTreeSet<&ImagePath> = of_links.map(|lost| &lost.path).collect();
    for entry in &listing.data {
        let mut names = entry.path.components();
        names.next();
        let names: Vec<&[u8]> = names.collect();
        if names.is_empty() {
            continue;
        }
        let mut path = ImagePath::new(names.join(&b'/'))?;
        if path.components().any(|name| name.starts_with(b".wh.")) {
            return Err(PlaceError::Whiteout { package: package.to_owned(), path });
        }
        let content = match &entry.kind {
            MemberKind::File { content } if !of_links.contains(&entry.path) => content,
            MemberKind::File { .. } | MemberKind::Symlink(_) | MemberKind::Hardlink(_) => {
                left_out.push(path.to_string());
                continue;
            }
            MemberKind::Directory => continue,
        };
        // As in a checkout (`pacote`): what git shall not see, npm shall not publish either.
        if path.name() == b".npmignore" {
            ignores.insert(path.clone());
        } else if path.name() == b".gitignore" {
            path = path.parent().unwrap_or_else(ImagePath::root).join(".npmignore")?;
            if ignores.contains(&path) {
                continue;
            }
        }
        let parents = || std::iter::successors(path.parent(), ImagePath::parent).filter(|at| !at.is_root());
        if directories.contains(&path) || parents().any(|parent| files.contains_key(&parent)) {
            notes
                .push(format!("`{path}` of `{package}` is left out: a name of it is a file and a directory"));
            continue;
        }
        directories.extend(parents());
        // npm takes the mode of the archive, set-id bits included, and adds 0644 (`fmode` 0666 without umask 022).
        let file = PackedFile { mode: (entry.meta.mode & 0o6755) | 0o644, content: content.clone() };
        let Some(before) = files.insert(path.clone(), file) else { continue };
        if !same(contents, &before.content, content).unwrap_or(false) {
            notes
                .push(format!("`{path}` is in `{package}` more than once, differently: the last one counts"));
        }
    }
    Ok(Unpacked { files, left_out, notes })
}

/// Whether two files have the same content.
fn same(contents: &dyn Contents, one: &Content, other: &Content) -> io::Result<bool> {
    if one.size() != other.size() {
        return Ok(false);
    }
    let digest = |content: &Content| {
        let mut hashed = HashingWriter::new(Algorithm::Sha256, io::sink());
        io::copy(&mut contents.open(content)?, &mut hashed)?;
        Ok::<_, io::Error>(hashed.finish().1)
    };
    Ok(digest(one)? == digest(other)?)
}

impl Package {
    /// The bytes of one of its files, if it has it.
    pub fn read(
        &self,
        name: &str,
        limit: u64,
        contents: &dyn Contents,
    ) -> Result<Option<Vec<u8>>, PlaceError> {
        let path = ImagePath::new(name)?;
        let Some(file) = self.files.get(&path) else { return Ok(None) };
        let failed = |source| PlaceError::Read { package: self.id.clone(), path, source };
        contents.read(&file.content, limit).map(Some).map_err(failed)
    }

    /// Places chosen files of it.
    pub fn chosen(self, rules: &[FileRule], owner: &Component, mtime: u64) -> Result<Placed, PlaceError> {
        let Self { id, files, left_out, notes, .. } = self;
        let mut placed = Placed { tree: Tree::new(), left_out, notes };
        for rule in rules {
            let nothing = || PlaceError::NoMatch { package: id.clone(), from: rule.from.to_string() };
            if let Some(file) = files.get(&rule.from) {
                let meta = Metadata::root(rule.mode.unwrap_or(file.mode), mtime);
                placed.tree.add(rule.to.clone(), Node::file(owner, meta, file.content.clone()))?;
                continue;
            }
            for drop in &rule.drop {
                let whole = rule.from.join(drop.as_bytes())?;
                if !files.keys().any(|path| path.starts_with(&whole)) {
                    let from = whole.to_string();
                    return Err(PlaceError::NoMatch { package: id.clone(), from });
                }
            }
            let mut any = false;
            for (path, file) in &files {
                let Some(rest) = path.strip_prefix(&rule.from) else { continue };
                any = true;
                let inner = ImagePath::new(rest)?;
                if rule.drop.iter().any(|drop| inner.starts_with(drop)) {
                    continue;
                }
                let node = Node::file(owner, Metadata::root(file.mode, mtime), file.content.clone());
                add(&mut placed.tree, rule.to.join(rest)?, node, &rule.to, owner, mtime)?;
            }
            if !any {
                return Err(nothing());
            }
            if rule.mode.is_some() {
                return Err(PlaceError::ModeOfDirectory { package: id.clone(), from: rule.from.to_string() });
            }
        }
        Ok(placed)
    }
}

/// Adds a file with the directories between it and `top`, that one included.
fn add(
    tree: &mut Tree,
    path: ImagePath,
    node: Node,
    top: &ImagePath,
    owner: &Component,
    mtime: u64,
) -> Result<(), PlaceError> {
    let mut at = path.parent();
    while let Some(parent) = at.filter(|parent| parent.starts_with(top) && !parent.is_root()) {
        if tree.contains(&parent) {
            break;
        }
        at = parent.parent();
        tree.add(parent, Node::directory(owner, Metadata::root(0o755, mtime)))?;
    }
    Ok(tree.add(path, node)?)
}

#[cfg(test)]
mod tests;
