//! What stands below a package that was published with a shrinkwrap: what that file says, as npm reads it when it installs.
//!
//! Of the packages in the file those are taken that something needs. They are not moved, not exchanged, and not left out
//! for their platform; their releases are the registry's, held to the age and to the digest that the file has.

use std::collections::BTreeMap;

use deno_semver::Version;

use super::super::range::pick;
use super::super::shrinkwrap;
use super::super::shrinkwrap::Entry;
use super::Arena;
use super::Builder;
use super::Chosen;
use super::EdgeKind;
use super::LockedNpm;
use super::MAX_PACKAGES;
use super::NpmError;
use super::Release;
use super::Spec;
use super::arena::NodeId;
use super::new_edge;
use crate::npm::packument::Peer;

impl Builder<'_> {
    /// A needed package with a shrinkwrap that is not read yet, and what its tarball is.
    pub(super) fn unread(&self) -> Result<Option<(NodeId, LockedNpm)>, NpmError> {
        let needed = self.needed()?;
        let unread = needed.into_iter().find(|&node| {
            self.arena.release(node).1.shrinkwrap && !self.arena.is_fixed(node) && !self.read.contains(&node)
        });
        let Some(node) = unread else { return Ok(None) };
        let (package, release) = self.arena.release(node);
        Ok(Some((node, LockedNpm::new(self.registry, package, release)?)))
    }

    /// Places what a shrinkwrap says below its package; `None` when the tarball has no such file.
    pub(super) fn expand(&mut self, top: NodeId, file: Option<&[u8]>) -> Result<(), NpmError> {
        self.read.insert(top);
        let id = self.arena.id(top);
        let Some(file) = file else {
            self.notes.push(format!(
                "`{id}` has no `npm-shrinkwrap.json`, though its registry says so: nothing is placed below it"
            ));
            return Ok(());
        };
        let wrong = |reason: String| NpmError::Shrinkwrap { package: id.clone(), reason };
        let entries = shrinkwrap::parse(file).map_err(wrong)?;
        if self.arena.len() + entries.len() > MAX_PACKAGES {
            return Err(NpmError::TooMany { package: id, limit: MAX_PACKAGES });
        }
        let mut nodes: BTreeMap<Vec<String>, NodeId> = BTreeMap::from([(Vec::new(), top)]);
        let mut written: BTreeMap<NodeId, Entry> = BTreeMap::new();
        for entry in entries {
            let Some((name, above)) = entry.path.split_last() else { continue };
            let (Some(&above), Ok(version)) = (nodes.get(above), Version::parse_from_npm(&entry.version))
            else {
                continue;
            };
            let release = described(&entry);
            let mut edges = Vec::new();
            for (kind, names) in [
                (EdgeKind::Needed, &entry.dependencies),
                (EdgeKind::Optional, &entry.optional),
                (EdgeKind::OptionalPeer, &entry.peers),
            ] {
                // What cannot be read leads nowhere.
                edges.extend(names.iter().filter_map(|(name, spec)| new_edge(name, spec, kind, &[]).ok()));
            }
            let chosen = Chosen { name: name.clone(), package: entry.package.clone(), version, release };
            let node = self.arena.fix(above, chosen, edges);
            nodes.insert(entry.path.clone(), node);
            written.insert(node, entry);
        }
        let needed = self.needed()?;
        written.retain(|node, _| needed.contains(node));
        let names = written.values().map(|entry| entry.package.clone()).collect();
        self.registry.prefetch(&names);
        for (node, entry) in written {
            let release = self.release_of(&id, &entry).map_err(|error| self.with_chain(error, top))?;
            self.arena.describe(node, release);
        }
        Ok(())
    }

    /// The registry's release of an entry, with what the file says of it.
    fn release_of(&self, of: &str, entry: &Entry) -> Result<Release, NpmError> {
        let Entry { package, version, .. } = entry;
        let no_version = |reason| NpmError::NoVersion {
            package: package.clone(),
            spec: version.clone(),
            reason,
            chain: Vec::new(),
        };
        let packument = self.registry.packument(package)?;
        let spec = Spec::parse(version).map_err(|reason| no_version(reason.to_string()))?;
        let release = pick(&packument, &spec, &self.request.age).map_err(no_version)?;
        if let (Some(written), Some(found)) = (&entry.integrity, &release.integrity)
            && written.algorithm() == found.algorithm()
            && written != found
        {
            let reason = format!("`{package}` {version} is {found} in the registry, and {written} there");
            return Err(NpmError::Shrinkwrap { package: of.to_owned(), reason });
        }
        Ok(Release {
            version: release.version.clone(),
            published: release.published,
            tarball: release.tarball.clone(),
            integrity: release.integrity.clone(),
            install_scripts: release.install_scripts.clone(),
            deprecated: release.deprecated.clone(),
            ..described(entry)
        })
    }

    /// What is needed on any platform.
    fn needed(&self) -> Result<std::collections::BTreeSet<NodeId>, NpmError> {
        let mut needed = std::collections::BTreeSet::new();
        for &platform in self.request.platforms {
            needed.extend(self.needed_on(platform)?);
        }
        needed.remove(&Arena::ROOT);
        Ok(needed)
    }
}

/// What the file says of a package.
fn described(entry: &Entry) -> Release {
    let peer = |(name, spec): (&String, &String)| (name.clone(), Peer { spec: spec.clone(), optional: true });
    Release {
        version: entry.version.clone(),
        dependencies: entry.dependencies.clone(),
        optional: entry.optional.clone(),
        peers: entry.peers.iter().map(peer).collect(),
        bins: entry.bins.clone(),
        ..Release::default()
    }
}
