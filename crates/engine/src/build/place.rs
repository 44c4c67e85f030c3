//! From a lock and fetched archives to one tree per platform, every node owned by one component.

use std::collections::BTreeMap;
use std::sync::Arc;

use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_archive::decoded::DecodedError;
use pinfold_archive::decoded::Format;
use pinfold_archive::decoded::Listing;
use pinfold_archive::tree::ConflictError;
use pinfold_base::Diagnose;
use pinfold_base::Digest;
use pinfold_base::ImagePath;
use pinfold_base::Kind;
use pinfold_base::Platform;
use pinfold_base::report::Stage;
use pinfold_sources::accounts;
use pinfold_sources::binary;
use pinfold_sources::debian::place as debian;
use pinfold_sources::npm;

use crate::build::local;
use crate::build::local::LocalError;
use crate::context::Context;
use crate::project::lock::Lock;
use crate::project::manifest;
use crate::project::manifest::Manifest;
use crate::project::manifest::SetId;
use crate::project::recipe::Recipe;

/// The time of every directory and of files out of npm packages: the instant npm itself stamps into packages
/// (1985-10-26T08:15:00Z). A time that moved with the lock would give every layer that shares a parent directory a new digest.
pub const STILL: u64 = 499_162_500;

/// Why a tree cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// An archive cannot be decoded.
    #[error("cannot decode `{what}`")]
    Decode {
        /// The package.
        what: String,
        /// What happened.
        #[source]
        source: DecodedError,
    },
    /// Debian packages cannot be placed.
    #[error(transparent)]
    Debian(#[from] debian::PlaceError),
    /// An npm package cannot be placed.
    #[error(transparent)]
    Npm(#[from] npm::PlaceError),
    /// A binary cannot be placed.
    #[error(transparent)]
    Binary(#[from] binary::BinaryError),
    /// A file of the user's cannot be placed.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// Two components claim one path.
    #[error(transparent)]
    Conflict(#[from] ConflictError),
    /// An account cannot be added.
    #[error(transparent)]
    Account(#[from] accounts::AccountError),
    /// A path cannot be.
    #[error(transparent)]
    Path(#[from] pinfold_base::image_path::PathError),
    /// The lock lacks a platform that the manifest wants.
    #[error("the lock has nothing for `{component}` on {platform}")]
    NotLocked {
        /// The component.
        component: String,
        /// The platform.
        platform: Platform,
    },
}

impl Diagnose for PlaceError {
    fn kind(&self) -> Kind {
        match self {
            Self::Decode { source, .. } => source.kind(),
            Self::Debian(error) => error.kind(),
            Self::Npm(error) => error.kind(),
            Self::Binary(error) => error.kind(),
            Self::Local(error) => error.kind(),
            Self::Account(error) => error.kind(),
            Self::Conflict(_) | Self::Path(_) | Self::NotLocked { .. } => Kind::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Decode { source, .. } => source.hint(),
            Self::Debian(error) => error.hint(),
            Self::Npm(error) => error.hint(),
            Self::Binary(error) => error.hint(),
            Self::Local(error) => error.hint(),
            Self::Account(error) => error.hint(),
            Self::Conflict(_) => {
                Some("leave one of the two components out, or place the file elsewhere".into())
            }
            Self::NotLocked { .. } => Some("`pinfold lock` brings the lock up to date".into()),
            Self::Path(_) => None,
        }
    }
}

/// What placing gave for one platform.
#[derive(Debug)]
pub struct Placed {
    /// The whole image's tree, root and parents included.
    pub tree: Tree,
    /// What stands for each install script.
    pub ledger: Vec<debian::LedgerEntry>,
}

/// The archives a lock names for one platform, each with its format.
fn archives<'a>(lock: &'a Lock, recipes: &[Recipe], platform: Platform) -> Vec<(String, &'a Digest, Format)> {
    let mut found = Vec::new();
    for deb in lock.debian.iter().filter_map(|debian| debian.packages.get(&platform)).flatten() {
        found.push((format!("{} {}", deb.name, deb.version), &deb.sha256, Format::Deb));
    }
    for agent in lock.agents.iter().filter(|agent| recipes.iter().any(|recipe| recipe.name == agent.name)) {
        if let Some(package) = agent.packages.get(&platform) {
            found.push((format!("{} {}", agent.name, agent.version), &package.integrity, Format::Tar));
        }
    }
    for placement in lock.npm.get(&platform).into_iter().flatten() {
        let package = &placement.package;
        found.push((format!("{} {}", package.name, package.version), &package.integrity, Format::Tar));
    }
    for binary in lock.binaries.get(&platform).into_iter().flatten() {
        found.push((format!("{} {}", binary.name, binary.version), &binary.sha256, binary.decode_as()));
    }
    found
}

/// Decodes every archive of a platform that is not decoded yet, on all threads.
pub fn decode(
    context: &Context,
    lock: &Lock,
    recipes: &[Recipe],
    platform: Platform,
) -> Result<(), PlaceError> {
    let all = archives(lock, recipes, platform);
    crate::build::parallel::each(context.threads, &all, |(what, digest, format)| {
        listing(context, what, digest, *format).map(drop)
    })
}

fn listing(
    context: &Context,
    what: &str,
    digest: &Digest,
    format: Format,
) -> Result<Arc<Listing>, PlaceError> {
    context
        .decoded
        .decode(digest, format)
        .map_err(|source| PlaceError::Decode { what: what.to_owned(), source })
}

/// The whole tree of one platform.
pub fn place(
    context: &Context,
    lock: &Lock,
    recipes: &[Recipe],
    manifest: &Manifest,
    platform: Platform,
) -> Result<Placed, PlaceError> {
    let item = format!("files of {platform}");
    context.reporter.begin(Stage::Place, &item, None);
    decode(context, lock, recipes, platform)?;
    let user = manifest.user.as_ref().map(|user| accounts::User {
        name: user.name.clone(),
        uid: user.uid,
        gid: user.gid,
        gecos: String::new(),
        home: user.home.0.clone(),
        home_mode: 0o755,
        shell: user.shell.clone(),
    });
    let placed = match (&manifest.debian, &lock.debian) {
        (Some(request), Some(locked)) => {
            let packages = locked
                .packages
                .get(&platform)
                .ok_or_else(|| PlaceError::NotLocked { component: "debian".into(), platform })?;
            let packages = packages
                .iter()
                .map(|locked| {
                    let what = format!("{} {}", locked.name, locked.version);
                    let listing = listing(context, &what, &locked.sha256, Format::Deb)?;
                    Ok(debian::Package { locked, listing })
                })
                .collect::<Result<Vec<_>, PlaceError>>()?;
            let options = debian::Options {
                arch: platform.arch,
                epoch: lock.epoch,
                slim: if request.slim { debian::Slim::Slim } else { debian::Slim::Full },
                database: match request.base {
                    manifest::Base::None => debian::Database::StatusD,
                    manifest::Base::Minbase | manifest::Base::Essential => debian::Database::Dpkg,
                },
                answers: answers(manifest),
                extra_certificates: Vec::new(),
                accounts: user.into_iter().collect(),
                set_id: match manifest.policy.set_id {
                    SetId::Strip => debian::SetId::Strip,
                    SetId::Keep => debian::SetId::Keep,
                },
            };
            let placed = debian::place(&packages, &options, &context.decoded)?;
            Placed { tree: placed.tree, ledger: placed.ledger }
        }
        _ => Placed { tree: bare(user.as_ref(), lock.epoch)?, ledger: Vec::new() },
    };
    let Placed { mut tree, ledger } = placed;
    for recipe in recipes {
        tree.merge(agent(context, lock, recipe, platform)?)?;
    }
    for placement in lock.npm.get(&platform).into_iter().flatten() {
        tree.merge(npm_package(context, manifest, placement)?)?;
    }
    for wanted in &manifest.binaries {
        tree.merge(binary(context, lock, wanted, platform)?)?;
    }
    // The user's own files win over directories of packages, never over their files.
    for (path, node) in local::tree(manifest, recipes, platform, lock.epoch, &context.store)? {
        if let NodeKind::File(Content::Range { archive, .. }) = &node.kind {
            listing(context, &path.to_string(), archive, Format::Raw)?;
        }
        match tree.get(&path) {
            Some(old) if old.is_directory() && node.is_directory() => {
                tree.insert(path, node);
            }
            _ => tree.add(path, node)?,
        }
    }
    tree.complete(&Component::generated("base"), STILL)?;
    for (_, node) in tree.iter_mut() {
        if node.is_directory() {
            node.meta.mtime = STILL;
        }
        if manifest.policy.set_id == SetId::Strip {
            node.meta.mode &= !0o6000;
        }
    }
    context.reporter.end(&item);
    Ok(Placed { tree, ledger })
}

/// The files of an image without Debian: root, nobody and the manifest's user; an empty `/tmp`.
fn bare(user: Option<&accounts::User>, epoch: u64) -> Result<Tree, PlaceError> {
    const SHADOW: u32 = 42;
    let owner = Component::generated("etc");
    let mut tree = Tree::new();
    let mut accounts = accounts::Accounts::minimal();
    if let Some(user) = user {
        accounts.add_user(user)?;
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

/// `[scripts]` as the Debian source reads it.
pub fn answers(manifest: &Manifest) -> BTreeMap<String, debian::Answer> {
    manifest
        .scripts
        .iter()
        .map(|(package, reason)| (package.clone(), debian::Answer::Skip { reason: reason.clone() }))
        .collect()
}

/// What one recipe brings.
fn agent(context: &Context, lock: &Lock, recipe: &Recipe, platform: Platform) -> Result<Tree, PlaceError> {
    let missing = || PlaceError::NotLocked { component: recipe.name.clone(), platform };
    let locked = lock.agents.iter().find(|agent| agent.name == recipe.name).ok_or_else(missing)?;
    let package = locked.packages.get(&platform).ok_or_else(missing)?;
    let listing =
        listing(context, &format!("{} {}", recipe.name, locked.version), &package.integrity, Format::Tar)?;
    let component = recipe.component();
    let mut rules = Vec::new();
    for place in &recipe.place {
        rules.push(npm::FileRule {
            from: ImagePath::new(Recipe::member(&place.from, platform))?,
            to: place.to.0.clone(),
            mode: place.mode.map(|mode| mode.0),
            drop: place.drop.iter().map(ImagePath::new).collect::<Result<_, _>>()?,
        });
    }
    let placed = npm::place::place_files(&package.id(), &listing, &rules, &component, STILL)?;
    let mut tree = placed.tree;
    for link in &recipe.link {
        tree.add(link.path.0.clone(), Node::symlink(&component, STILL, &link.target))?;
    }
    Ok(tree)
}

/// One npm package and the commands it brings.
fn npm_package(
    context: &Context,
    manifest: &Manifest,
    placement: &npm::Placement,
) -> Result<Tree, PlaceError> {
    let package = &placement.package;
    let listing = listing(context, &package.id(), &package.integrity, Format::Tar)?;
    let component = Component::new("npm", &package.name);
    let lib = ImagePath::new("usr/local/lib")?;
    let dir = placement.path(&lib)?;
    // Commands of packages that were only pulled in stay off the PATH, as npm has it for global packages.
    let wanted = manifest.npm.packages.get(&package.name).and_then(|wanted| wanted.bin.as_ref());
    let bins: BTreeMap<String, String> = placement
        .bins
        .iter()
        .filter(|(command, _)| wanted.is_none_or(|wanted| wanted.contains(command)))
        .map(|(command, file)| (command.clone(), file.clone()))
        .collect();
    let links = ImagePath::new("usr/local/bin")?;
    let links = placement.requested.then_some(&links);
    Ok(npm::place::place_package(&package.id(), &listing, &dir, &bins, links, &component, STILL)?.tree)
}

/// One program by URL.
fn binary(
    context: &Context,
    lock: &Lock,
    wanted: &manifest::Binary,
    platform: Platform,
) -> Result<Tree, PlaceError> {
    if !wanted.url.contains_key(&manifest::PlatformName(platform)) {
        return Ok(Tree::new());
    }
    let locked = lock.binaries.get(&platform).into_iter().flatten().find(|binary| binary.name == wanted.name);
    let locked = locked
        .ok_or_else(|| PlaceError::NotLocked { component: format!("binary/{}", wanted.name), platform })?;
    let what = format!("{} {}", wanted.name, wanted.version);
    let format = locked.decode_as();
    let listing = listing(context, &what, &locked.sha256, format)?;
    let members = wanted
        .members
        .iter()
        .map(|(from, to)| Ok(binary::Member { from: ImagePath::new(from)?, to: to.0.clone(), mode: None }))
        .collect::<Result<Vec<_>, PlaceError>>()?;
    let owner = Component::new("binary", &wanted.name);
    Ok(binary::place(&what, &listing, format, &members, &owner, STILL)?)
}
