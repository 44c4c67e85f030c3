//! The effects of scripts, put into the tree in the one order in which they can be.

use pinfold_archive::Component;
use pinfold_archive::Contents;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::NodeKind;
use pinfold_archive::elf;
use pinfold_base::ImagePath;
use std::collections::BTreeSet;

use super::Database;
use super::LedgerEntry;
use super::Options;
use super::PlaceError;
use super::Scripts;
use super::Slim;
use super::alternatives;
use super::ca_certificates;
use super::control::Opened;
use super::dpkg_database;
use super::dpkg_database::Facts;
use super::effect::Effect;
use super::effect::Native;
use super::evaluate;
use super::image::Image;
use super::image::known;
use super::java_keystore;
use super::merge;
use super::pam;
use super::shells;
use super::slim;
use crate::accounts::Accounts;
use crate::accounts::Passwords;

/// Owner of what scripts make here and there.
const BASE: &str = "base";

/// The users and groups of the package that brings them.
pub(super) fn accounts(packages: &[Opened<'_>], contents: &dyn Contents) -> Result<Accounts, PlaceError> {
    let Some(package) = packages.iter().find(|package| package.name() == "base-passwd") else {
        return Ok(Accounts::minimal());
    };
    let read = |name: &str| -> Result<Vec<u8>, PlaceError> {
        let path = known(&format!("usr/share/base-passwd/{name}.master"));
        let content = package.listing.data.iter().find_map(|entry| match &entry.kind {
            pinfold_archive::decoded::MemberKind::File { content } if entry.path == path => Some(content),
            _ => None,
        });
        let failed =
            |source| PlaceError::Read { package: package.name().into(), member: path.to_string(), source };
        let content = content.ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
        contents.read(content, 1 << 20).map_err(failed)
    };
    Ok(Accounts::from_masters(&read("passwd")?, &read("group")?)?)
}

/// Composes the image from merged packages and their scripts; the ledger of all scripts.
pub(super) fn compose(
    packages: &[Opened<'_>],
    scripts: Scripts,
    accounts: Accounts,
    options: &Options,
    contents: &dyn Contents,
) -> Result<(pinfold_archive::Tree, Vec<LedgerEntry>), PlaceError> {
    let Scripts { mut ledger, effects, waiting } = scripts;
    let merged = merge::merge(packages, &accounts, options.slim, options.epoch, contents)?;
    let mut image = Image { tree: merged.tree, accounts, epoch: options.epoch, contents };
    let base = Component::generated(BASE);
    image.tree.complete(&base, options.epoch)?;

    let mut later = Later::default();
    for (index, effect) in &effects {
        apply(&mut image, packages[*index].name(), effect, &mut later).map_err(|what| {
            PlaceError::Effect { package: packages[*index].name().into(), effect: effect.to_string(), what }
        })?;
    }
    let shadow = later.natives.contains(&Native::Shadow);
    write_accounts(&mut image, options, shadow)?;
    image.tree.complete(&base, options.epoch)?;
    if !waiting.is_empty() {
        ledger.extend(evaluate::evaluate(&mut image, packages, waiting, options.arch, &mut later)?);
        write_accounts(&mut image, options, shadow)?;
        image.tree.complete(&base, options.epoch)?;
    }
    ledger.sort();

    let dpkg = options.database == Database::Dpkg;
    alternatives::install(&mut image, &later.alternatives, dpkg).map_err(|what| PlaceError::Effect {
        package: "dpkg".into(),
        effect: "update-alternatives".into(),
        what,
    })?;
    let certificates = later.natives.contains(&Native::Certificates);
    if certificates {
        ca_certificates::write(&mut image, &options.extra_certificates, certificates)?;
    }
    if later.natives.contains(&Native::JavaCertificates) {
        java_keystore::write(&mut image)?;
    }
    if later.natives.contains(&Native::Pam) {
        pam::write(&mut image)?;
    }
    if later.natives.contains(&Native::Shells) {
        let essential = essential_declarations(packages)?;
        shells::write(&mut image, &|name| essential.contains(name), &later.shells)?;
    }
    if options.slim == Slim::Slim && packages.iter().any(|package| package.name() == "dpkg") {
        image.put("dpkg", &known(slim::RULES_FILE), slim::rules_file());
    }
    match options.database {
        Database::Dpkg => {
            let facts = Facts {
                packages,
                replaced: &merged.replaced,
                diversions: &later.diversions,
                arch: options.arch,
            };
            dpkg_database::write(&mut image, &facts)?;
        }
        Database::StatusD => dpkg_database::write_status_d(&mut image, packages)?,
    }
    if options.slim == Slim::Slim {
        slim::sweep(&mut image.tree);
    }
    image.tree.complete(&base, options.epoch)?;
    if later.natives.contains(&Native::LoaderCache) {
        loader_cache(&mut image, packages, options)?;
    }
    image.tree.complete(&base, options.epoch)?;
    Ok((image.tree, ledger))
}

/// What can only be made when all effects are known.
#[derive(Default)]
pub(super) struct Later {
    pub(super) alternatives: Vec<super::effect::Alternative>,
    pub(super) diversions: Vec<[String; 3]>,
    pub(super) shells: Vec<String>,
    pub(super) natives: BTreeSet<Native>,
}

fn apply(image: &mut Image<'_>, package: &str, effect: &Effect, later: &mut Later) -> Result<(), String> {
    match effect {
        Effect::Directory { path, mode, group } => {
            let path = image.at(path)?;
            match image.tree.get(&path).map(|node| &node.kind) {
                Some(NodeKind::File(_) | NodeKind::Hardlink(_)) => return Err("a file is in the way".into()),
                Some(_) => {}
                None => {
                    let meta = Metadata::root(mode.0, image.epoch).owned_by(0, group_id(image, group)?);
                    image.directory(BASE, &path, meta);
                }
            }
        }
        Effect::Copy { from, to } => {
            let (from, to) = (image.at(from)?, image.at(to)?);
            let real = image.tree.resolve(&from).ok_or("there is nothing to copy")?;
            let node = image.tree.get(&real).ok_or("there is nothing to copy")?;
            let NodeKind::File(content) = &node.kind else { return Err("it is not a file".into()) };
            let copy = Node::file(&Component::generated(BASE), node.meta.clone(), content.clone());
            if !image.tree.contains(&to) {
                image.insert(&to, copy);
            }
        }
        Effect::File { path, text, mode, group } => {
            let path = image.at(path)?;
            let meta = Metadata::root(mode.0, image.epoch).owned_by(0, group_id(image, group)?);
            if !image.tree.contains(&path) {
                image.put_with(BASE, &path, text, meta);
            }
        }
        Effect::Link { path, target } => {
            let path = image.at(path)?;
            if !image.tree.contains(&path) {
                image.link(BASE, &path, target);
            }
        }
        Effect::ReplaceByLink { path, target } => {
            // The directory itself is meant, so the path is taken as it is.
            let path = ImagePath::new(path).map_err(|error| error.to_string())?;
            if image.tree.below(&path).any(|(inside, _)| *inside != path) {
                return Err("the directory is not empty".into());
            }
            image.link(BASE, &path, target);
        }
        Effect::Permissions { path, mode, group } => {
            let path = image.at(path)?;
            let gid = group_id(image, group)?;
            let node = image.tree.get_mut(&path).ok_or("there is no such file")?;
            node.meta.mode = mode.0;
            (node.meta.uid, node.meta.gid) = (0, gid);
        }
        Effect::Alternative(alternative) => {
            alternatives::check(alternative)?;
            later.alternatives.push(alternative.clone());
        }
        Effect::Divert { path, to } => {
            let at = image.at(path)?;
            if at.parent().is_some_and(|parent| image.tree.contains(&parent)) {
                later.diversions.push([path.clone(), to.clone(), package.to_owned()]);
            }
        }
        Effect::SystemGroup { name } => {
            image.accounts.add_system_group(name).map_err(|error| error.to_string())?;
        }
        Effect::SystemUser { name, home, gecos, group } => {
            let group = group.as_deref();
            image.accounts.add_system_user(name, home, gecos, group).map_err(|error| error.to_string())?;
        }
        Effect::Shell { path } => later.shells.push(path.clone()),
        Effect::Native { what } => {
            later.natives.insert(*what);
        }
        Effect::NotDone { .. } => {}
    }
    Ok(())
}

fn group_id(image: &Image<'_>, name: &str) -> Result<u32, String> {
    image.accounts.gid(name).ok_or_else(|| format!("there is no group `{name}`"))
}

/// passwd, group, shadow, gshadow, and the homes of the users that the manifest adds.
fn write_accounts(image: &mut Image<'_>, options: &Options, shadow: bool) -> Result<(), PlaceError> {
    const OWNER: &str = "accounts";
    for user in &options.accounts {
        image.accounts.add_user(user)?;
        let meta = Metadata::root(user.home_mode, options.epoch).owned_by(user.uid, user.gid);
        // Parents such as /home belong to root.
        image.directory(OWNER, &user.home, meta);
    }
    let passwords = if shadow { Passwords::Shadow } else { Passwords::InPlace };
    let files = image.accounts.files_with(options.epoch, passwords);
    image.put(OWNER, &known("etc/passwd"), files.passwd);
    image.put(OWNER, &known("etc/group"), files.group);
    if shadow {
        let gid = image.accounts.gid("shadow").unwrap_or(0);
        let meta = Metadata::root(0o640, options.epoch).owned_by(0, gid);
        image.put_with(OWNER, &known("etc/shadow"), files.shadow, meta.clone());
        image.put_with(OWNER, &known("etc/gshadow"), files.gshadow, meta);
    }
    Ok(())
}

/// File names in shells.d that Essential packages ship.
fn essential_declarations(packages: &[Opened<'_>]) -> Result<BTreeSet<Vec<u8>>, PlaceError> {
    let directory = known("usr/share/debianutils/shells.d");
    let mut found = BTreeSet::new();
    for package in packages {
        if package.field("Essential")? == "yes" {
            let shipped = package.listing.data.iter().map(|entry| &entry.path);
            let declared = shipped.filter(|path| path.parent().as_ref() == Some(&directory));
            found.extend(declared.map(|path| path.name().to_vec()));
        }
    }
    Ok(found)
}

fn loader_cache(image: &mut Image<'_>, packages: &[Opened<'_>], options: &Options) -> Result<(), PlaceError> {
    let failed = |error: elf::LdSoCacheError| PlaceError::LoaderCache(error.to_string());
    let links = elf::soname_links(&image.tree, image.contents, options.arch).map_err(failed)?;
    for (path, target) in links {
        image.link(BASE, &path, target);
    }
    let version = packages.iter().find(|package| package.name() == "libc-bin");
    let version = version.map_or("", |package| package.locked.version.as_str());
    // `2.36-9+deb12u10` is release 2.36.
    let release = version.split('-').next().unwrap_or(version);
    let generator = format!("ldconfig (Debian GLIBC {version}) stable release version {release}");
    let bytes = elf::ld_so_cache(&image.tree, image.contents, options.arch, &generator).map_err(failed)?;
    image.put("ld.so.cache", &known("etc/ld.so.cache"), bytes);
    Ok(())
}
