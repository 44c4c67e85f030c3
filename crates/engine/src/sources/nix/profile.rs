//! `/nix/profile`: what programs look for in all roots, as one environment of links; and the few places outside of it that an image
//! without anything else needs.
//!
//! It is a directory of its own, first on PATH, and not `/usr/local`: there Debian's dynamic linker would look for libraries, and
//! commands of agents are there already. So nothing of Debian or of a base is in its way.
//!
//! | a name is in | it is |
//! |---|---|
//! | one root | a link to it |
//! | several, as directories | a directory, with all of theirs |
//! | several, and it is the same | a link to it |
//! | several, otherwise | a link to that of the first root; a note names both |

use pinfold_archive::Metadata;
use pinfold_archive::Node;
use pinfold_archive::NodeKind;
use pinfold_archive::Tree;
use pinfold_base::Arch;
use pinfold_base::ImagePath;
use pinfold_base::Platform;
use pinfold_sources::nix::LockedNix;

use super::names;
use super::state;
use super::store;
use super::store::Placed;
use super::under::Under;
use crate::sources::Placing;
use crate::sources::STILL;
use crate::sources::SourceError;

/// Where it is.
pub(super) const TOP: &str = "nix/profile";

/// Folders of packages that are joined.
const FOLDERS: [&str; 5] = ["bin", "etc", "lib", "sbin", "share"];

/// How deep directories may be joined.
const DEPTH: usize = 64;

/// What scripts are begun with, in an image that has it from nowhere else: where, and what it may be.
const PROGRAMS: [(&str, &[&str]); 3] = [
    ("bin/sh", &["bin/sh", "bin/bash", "bin/dash"]),
    ("bin/bash", &["bin/bash"]),
    ("usr/bin/env", &["bin/env"]),
];

/// Where programs that are not of Nix look for their dynamic linker, by the C library that it is a part of. Agents are such programs.
fn loader(platform: Platform) -> [&'static str; 2] {
    match platform.arch {
        Arch::Amd64 => ["lib64", "ld-linux-x86-64.so.2"],
        Arch::Arm64 => ["lib", "ld-linux-aarch64.so.1"],
    }
}

/// The package that has the dynamic linker.
const LIBRARY: &str = "glibc";

/// What runtimes mount on; runc makes none in an image that others use too.
const MOUNTED: [&str; 4] = ["dev", "proc", "run", "sys"];

/// Where programs look for authorities, in an image that has none from elsewhere.
const AUTHORITIES: [&str; 3] =
    ["etc/ssl/certs/ca-bundle.crt", "etc/ssl/certs/ca-certificates.crt", "etc/pki/tls/certs/ca-bundle.crt"];

/// The environment.
#[derive(Debug)]
pub(super) struct Profile {
    /// Its links.
    pub(super) tree: Tree,
    /// Names that more than one root has.
    pub(super) notes: Vec<String>,
}

impl Profile {
    fn empty() -> Self {
        Self { tree: Tree::new(), notes: Vec::new() }
    }
}

/// Whether programs and authorities are there from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    /// Debian, or what stands below, has them.
    Others,
    /// There is nothing else.
    Nothing,
}

/// That of one platform.
pub(super) fn of(
    store: &Placed,
    locked: &LockedNix,
    placing: &Placing<'_>,
    under: Option<Under<'_>>,
) -> Result<Profile, SourceError> {
    let roots = locked.roots.iter().filter(|root| root.agent.is_none());
    let roots = roots.map(|root| store::place(&root.path)).collect::<Result<Vec<_>, _>>()?;
    // A base of store paths is as they are.
    let others =
        placing.project.manifest.sources.debian.is_some() || (placing.below.is_some() && under.is_none());
    let beside = if others { Beside::Others } else { Beside::Nothing };
    let all = under.map(|under| under.with_store(store.tree())).transpose()?;
    let all = all.as_ref().unwrap_or_else(|| store.tree());
    let mut profile = joined(all, &roots, under, beside)?;
    if beside == Beside::Nothing {
        link_loader(store.tree(), locked, placing.platform, &mut profile)?;
    }
    if under.is_some() {
        let top = ImagePath::new(TOP)?;
        let is_there = |path: &ImagePath| placing.before.contains(&placing.before.landing(path));
        profile.tree.retain(|path, _| path.starts_with(&top) || !is_there(path));
    }
    Ok(profile)
}

/// Links the dynamic linker of the closure, of several the newest, where programs of others look for it: its own libraries it finds
/// beside itself.
fn link_loader(
    store: &Tree,
    locked: &LockedNix,
    platform: Platform,
    profile: &mut Profile,
) -> Result<(), SourceError> {
    let [folder, name] = loader(platform);
    let mut found: Option<(Vec<u64>, ImagePath)> = None;
    for path in locked.paths.iter().map(|locked| &locked.path).filter(|path| names::package(path) == LIBRARY)
    {
        let there = store::place(path)?.join(format!("lib/{name}"))?;
        let version = names::numbers(path);
        if store.content(&there).is_some() && found.as_ref().is_none_or(|(other, _)| *other < version) {
            found = Some((version, there));
        }
    }
    let Some((_, there)) = found else { return Ok(()) };
    let mut join = Join { store, under: None, profile: std::mem::replace(profile, Profile::empty()) };
    join.link(&ImagePath::new(format!("{folder}/{name}"))?, &there)?;
    *profile = join.profile;
    Ok(())
}

fn joined(
    store: &Tree,
    roots: &[ImagePath],
    under: Option<Under<'_>>,
    beside: Beside,
) -> Result<Profile, SourceError> {
    let mut join = Join { store, under, profile: Profile::empty() };
    let top = ImagePath::new(TOP)?;
    join.directory(&top)?;
    for folder in FOLDERS {
        let found = roots.iter().map(|root| root.join(folder)).collect::<Result<Vec<_>, _>>()?;
        join.name(&top.join(folder)?, found, 0)?;
    }
    if beside == Beside::Nothing {
        for folder in MOUNTED {
            join.directory(&ImagePath::new(folder)?)?;
        }
        for (place, names) in PROGRAMS {
            join.outside(place, names, roots)?;
        }
        for place in AUTHORITIES {
            join.outside(place, &AUTHORITIES[..1], roots)?;
        }
    }
    Ok(join.profile)
}

/// Joins folders.
struct Join<'a> {
    store: &'a Tree,
    /// A base whose own environment goes on behind the roots.
    under: Option<Under<'a>>,
    profile: Profile,
}

impl Join<'_> {
    fn directory(&mut self, at: &ImagePath) -> Result<(), SourceError> {
        let node = Node::directory(&state::component(), Metadata::root(0o755, STILL));
        Ok(self.profile.tree.add(at.clone(), node)?)
    }

    fn link(&mut self, at: &ImagePath, to: &ImagePath) -> Result<(), SourceError> {
        let target = [b"/", to.as_bytes()].concat();
        Ok(self.profile.tree.add(at.clone(), Node::symlink(&state::component(), STILL, target))?)
    }

    /// Puts what is at `found`, as far as it is, to `at`.
    fn name(&mut self, at: &ImagePath, mut found: Vec<ImagePath>, depth: usize) -> Result<(), SourceError> {
        let below = self.under.and_then(|under| under.profile(at)).map(|node| &node.kind);
        if let Some(NodeKind::Symlink(target)) = below {
            found.extend(at.link_target(target));
        }
        let is_open = matches!(below, Some(NodeKind::Directory));
        let mut there: Vec<(ImagePath, ImagePath)> = Vec::new();
        for path in found {
            let Some(real) = self.store.resolve(&path) else { continue };
            if self.store.contains(&real) && !there.iter().any(|(_, other)| *other == real) {
                there.push((path, real));
            }
        }
        let directories = there.iter().all(|(_, real)| store::is_directory(self.store.get(real)));
        match there.split_first() {
            None if !is_open || depth == DEPTH => return Ok(()),
            Some(((first, _), [])) if !is_open => return self.link(at, first),
            Some(((first, _), others)) if !directories || depth == DEPTH => {
                let second =
                    others.first().map_or_else(|| "the base".to_owned(), |(second, _)| format!("`{second}`"));
                self.profile.notes.push(format!("`{at}` is that of `{first}`; {second} has one too"));
                return self.link(at, first);
            }
            _ => {}
        }
        self.directory(at)?;
        let mut names: Vec<Vec<u8>> = Vec::new();
        for (_, real) in &there {
            names.extend(self.store.children(real).map(|(child, _)| child.name().to_vec()));
        }
        if is_open {
            names.extend(self.under.iter().flat_map(|under| under.names(at)));
        }
        names.sort_unstable();
        names.dedup();
        for name in names {
            let below = there.iter().map(|(path, _)| path.join(&name)).collect::<Result<Vec<_>, _>>()?;
            self.name(&at.join(&name)?, below, depth + 1)?;
        }
        Ok(())
    }

    /// Links what the first root has that has one of the names.
    fn outside(&mut self, place: &str, names: &[&str], roots: &[ImagePath]) -> Result<(), SourceError> {
        for name in names {
            for root in roots {
                let path = root.join(name)?;
                if self.store.content(&path).is_some() {
                    return self.link(&ImagePath::new(place)?, &path);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use pinfold_archive::Content;

    use super::*;

    /// Links of the environment, as `PATH -> TARGET`; directories as `PATH/`.
    fn lines(profile: &Profile) -> Vec<String> {
        let line = |(path, node): (&ImagePath, &Node)| match &node.kind {
            NodeKind::Symlink(target) => {
                format!("{path} -> {}", String::from_utf8_lossy(target))
            }
            _ => format!("{path}/"),
        };
        profile.tree.iter().map(line).collect()
    }

    fn store(files: &[&str], links: &[(&str, &str)]) -> Tree {
        let owner = "nix/a".into();
        let mut tree = Tree::new();
        let path = |name: &str| ImagePath::new(format!("nix/store/{name}")).unwrap();
        for name in files {
            let node = Node::file(&owner, Metadata::root(0o555, 1), Content::inline(name.as_bytes()));
            tree.add(path(name), node).unwrap();
        }
        for (name, target) in links {
            tree.add(path(name), Node::symlink(&owner, 1, target)).unwrap();
        }
        tree.complete(&owner, 1).unwrap();
        tree
    }

    #[test]
    fn names_of_several_roots_are_joined_and_clashes_are_named() {
        let store = store(
            &[
                "a/bin/sh",
                "a/share/man/a.1",
                "b/bin/tool",
                "b/bin/env",
                "b/share/man/b.1",
                "b/share/x",
                "c/bin/tool",
            ],
            &[("c/bin/sh", "/nix/store/a/bin/sh"), ("c/share", "/nix/store/b/share"), ("c/lib", "/nowhere")],
        );
        let roots = ["a", "b", "c"].map(|name| ImagePath::new(format!("nix/store/{name}")).unwrap());
        let profile = joined(&store, &roots, None, Beside::Nothing).unwrap();
        assert_eq!(
            lines(&profile),
            [
                "/bin/sh -> /nix/store/a/bin/sh",
                "/dev/",
                "/nix/profile/",
                "/nix/profile/bin/",
                "/nix/profile/bin/env -> /nix/store/b/bin/env",
                "/nix/profile/bin/sh -> /nix/store/a/bin/sh",
                "/nix/profile/bin/tool -> /nix/store/b/bin/tool",
                "/nix/profile/share/",
                "/nix/profile/share/man/",
                "/nix/profile/share/man/a.1 -> /nix/store/a/share/man/a.1",
                "/nix/profile/share/man/b.1 -> /nix/store/b/share/man/b.1",
                "/nix/profile/share/x -> /nix/store/b/share/x",
                "/proc/",
                "/run/",
                "/sys/",
                "/usr/bin/env -> /nix/store/b/bin/env",
            ]
        );
        assert_eq!(
            profile.notes,
            [
                "`/nix/profile/bin/tool` is that of `/nix/store/b/bin/tool`; `/nix/store/c/bin/tool` has one too"
            ]
        );
        // Beside Debian nothing is outside; one root alone is not opened.
        let profile = joined(&store, &roots[..1], None, Beside::Others).unwrap();
        assert_eq!(
            lines(&profile),
            [
                "/nix/profile/",
                "/nix/profile/bin -> /nix/store/a/bin",
                "/nix/profile/share -> /nix/store/a/share"
            ]
        );
    }
}
