//! Places a tree of packages, and links its commands as `npm install --global` does.
//!
//! | package | where the links to its commands stand |
//! |---|---|
//! | asked for | in the folder of programs |
//! | pulled in, or bundled | in `.bin` of the `node_modules` that it stands in; of two with one name, the first in npm's order of directories |
//!
//! What is linked gets mode 0755, and where it is a script whose first line ends as on Windows, that line ends in a newline.
//! A command whose file is missing gets no link.
//!
//! **Refuses**: two packages that were asked for with one command, scripts to rewrite that are larger than 64 MiB or together larger
//! than 256 MiB, more than 50,000 commands.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::io::Read as _;

use pinfold_archive::Component;
use pinfold_archive::Content;
use pinfold_archive::Contents;
use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::Tree;
use pinfold_base::ImagePath;

use super::super::collate;
use super::Package;
use super::PackedFile;
use super::PlaceError;
use super::Placed;
use super::add;

/// Largest script whose first line is put right, in bytes.
const MAX_SCRIPT: u64 = 64 << 20;
/// The most bytes of scripts that are put right in one tree.
const MAX_SCRIPTS: u64 = 256 << 20;
/// The most commands of one tree.
const MAX_COMMANDS: usize = 50_000;
/// How far npm looks for the end of the first line.
const FIRST_LINE: u64 = 2048;

/// A package of a tree, and where it stands.
#[derive(Debug)]
pub struct Installed {
    /// The package.
    pub package: Package,
    /// Its directory in the image: `usr/local/lib/node_modules/NAME`.
    pub dir: ImagePath,
    /// Its commands: name → path inside it.
    pub bins: BTreeMap<String, String>,
    /// Whether it was asked for.
    pub requested: bool,
    /// The component that it belongs to.
    pub owner: Component,
}

/// A package whose commands are linked: one of the tree, or one that it bundles.
struct Linked {
    /// Which of the tree.
    of: usize,
    dir: ImagePath,
    bins: BTreeMap<String, String>,
    requested: bool,
}

/// Places all packages of a tree. `programs` is the folder for the commands of those that were asked for; `mtime` is
/// everybody's time, in seconds since the epoch.
pub fn install(
    mut packages: Vec<Installed>,
    programs: &ImagePath,
    contents: &dyn Contents,
    mtime: u64,
) -> Result<Placed, PlaceError> {
    let mut placed = Placed::default();
    let mut links = Tree::new();
    let mut taken: BTreeSet<ImagePath> = BTreeSet::new();
    let dirs: BTreeMap<ImagePath, usize> =
        packages.iter().enumerate().map(|(of, package)| (package.dir.clone(), of)).collect();
    let (mut commands, mut rewritten) = (0, 0);
    for linked in in_order(&packages)? {
        commands += linked.bins.len();
        if commands > MAX_COMMANDS {
            let package = packages[linked.of].package.id.clone();
            return Err(PlaceError::Commands { package, limit: MAX_COMMANDS });
        }
        let owner = packages[linked.of].owner.clone();
        let folder = if linked.requested { programs.clone() } else { beside(&linked.dir)? };
        for (command, file) in &linked.bins {
            let link = folder.join(command)?;
            if !linked.requested && !taken.insert(link.clone()) {
                continue;
            }
            let target = linked.dir.join(file)?;
            let Some((of, path)) = holder(&packages, &dirs, &target) else {
                if linked.requested {
                    let id = &packages[linked.of].package.id;
                    placed.notes.push(format!("`{command}` of `{id}` is left out: it has no `{file}`"));
                }
                continue;
            };
            let package = &mut packages[of].package;
            if let Some(file) = package.files.get_mut(&path) {
                rewritten += make_executable(&package.id, &path, file, contents)?;
                if rewritten > MAX_SCRIPTS {
                    let package = package.id.clone();
                    return Err(PlaceError::Scripts { package, limit: MAX_SCRIPTS });
                }
            }
            let node = Node::symlink(&owner, mtime, relative(&folder, &target));
            if linked.requested {
                links.add(link, node)?;
            } else {
                add(&mut links, link, node, &folder, &owner, mtime)?;
            }
        }
    }
    for Installed { package, dir, owner, .. } in packages {
        placed.left_out.extend(package.left_out);
        placed.notes.extend(package.notes);
        for (path, file) in package.files {
            let at = dir.join(path.as_bytes())?;
            if taken.contains(&at) {
                continue;
            }
            let node = Node::file(&owner, Metadata::root(file.mode, mtime), file.content);
            add(&mut placed.tree, at, node, &dir, &owner, mtime)?;
        }
    }
    placed.tree.merge(links)?;
    Ok(placed)
}

/// Everybody with commands, in the order in which npm links them: by depth, then by directory.
fn in_order(packages: &[Installed]) -> Result<Vec<Linked>, PlaceError> {
    let mut all = Vec::new();
    for (of, installed) in packages.iter().enumerate() {
        let Installed { dir, bins, requested, package, .. } = installed;
        let own = Linked { of, dir: dir.clone(), bins: bins.clone(), requested: *requested };
        all.push(own);
        for bundled in &package.bundled {
            let dir = dir.join(bundled.dir.as_bytes())?;
            all.push(Linked { of, dir, bins: bundled.bins.clone(), requested: false });
        }
    }
    let depth = |dir: &ImagePath| dir.components().filter(|name| *name == b"node_modules").count();
    all.sort_by(|a, b| {
        let by_name = || collate::compare(&a.dir.to_string(), &b.dir.to_string());
        depth(&a.dir).cmp(&depth(&b.dir)).then_with(by_name)
    });
    Ok(all)
}

/// The package that has a file or a directory at `path`, and where inside. A command may be a file of another package, which
/// stands in the `node_modules` of the one that names it.
fn holder(
    packages: &[Installed],
    dirs: &BTreeMap<ImagePath, usize>,
    path: &ImagePath,
) -> Option<(usize, ImagePath)> {
    let above = std::iter::successors(path.parent(), ImagePath::parent);
    above.filter_map(|dir| Some((*dirs.get(&dir)?, path.strip_prefix(&dir)?))).find_map(|(of, inside)| {
        let inside = ImagePath::new(inside).ok()?;
        let has = packages[of].package.files.keys().any(|file| file.starts_with(&inside));
        has.then_some((of, inside))
    })
}

/// `.bin` of the `node_modules` that a package stands in.
fn beside(dir: &ImagePath) -> Result<ImagePath, PlaceError> {
    let mut above = std::iter::successors(dir.parent(), ImagePath::parent);
    let modules = above.find(|above| above.name() == b"node_modules").unwrap_or_else(ImagePath::root);
    Ok(modules.join(".bin")?)
}

/// What npm does to a file that it links (`bin-links`). Gives the bytes that were written anew.
fn make_executable(
    package: &str,
    path: &ImagePath,
    file: &mut PackedFile,
    contents: &dyn Contents,
) -> Result<u64, PlaceError> {
    let failed = |source| PlaceError::Read { package: package.to_owned(), path: path.clone(), source };
    file.mode = 0o755;
    let mut first = Vec::new();
    let mut reader = contents.open(&file.content).map_err(failed)?;
    reader.by_ref().take(FIRST_LINE).read_to_end(&mut first).map_err(failed)?;
    drop(reader);
    let Some(end) = windows_line(&first) else { return Ok(0) };
    if file.content.size() > MAX_SCRIPT {
        let (package, path) = (package.to_owned(), path.clone());
        return Err(PlaceError::LargeScript { package, path, limit: MAX_SCRIPT });
    }
    let mut bytes = contents.read(&file.content, MAX_SCRIPT).map_err(failed)?;
    bytes.remove(end);
    // npm reads the script as text and writes that.
    file.content = Content::inline(String::from_utf8_lossy(&bytes).as_bytes());
    Ok(file.content.size())
}

/// Where the carriage return stands that ends the first line of a script: npm's `/^#![^\n]+\r\n/`.
fn windows_line(first: &[u8]) -> Option<usize> {
    let end = first.iter().position(|byte| *byte == b'\n')?;
    (end >= 4 && first.starts_with(b"#!") && first[end - 1] == b'\r').then_some(end - 1)
}

/// `target` as seen from the directory `from`.
fn relative(from: &ImagePath, target: &ImagePath) -> Vec<u8> {
    let (from, target): (Vec<_>, Vec<_>) = (from.components().collect(), target.components().collect());
    let common = from.iter().zip(&target).take_while(|(a, b)| a == b).count();
    let mut names: Vec<&[u8]> = vec![b".."; from.len() - common];
    names.extend(&target[common..]);
    names.join(&b'/')
}

#[cfg(test)]
mod tests;
