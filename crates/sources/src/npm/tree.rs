//! The tree of dependencies, placed as npm would place it.
//!
//! That is as `npm install --global` places it: only what was asked for stands at the top, and what it needs in its own
//! `node_modules`, unless something that was asked for will do.
//!
//! Packages are taken breadth first, the dependencies of each by name. One is put as high as it can stand: up from the package
//! that needs it, past every directory where neither another version stands, nor a package needs another version, nor a
//! package below would lose the version it found further up. Peers are looked for, and placed, beside the package that
//! needs them, or higher; those of a package that was asked for, inside it. An older version that everybody could do without
//! makes room for a newer one.
//!
//! Placement does not depend on the platform; what a platform does not need (`os`, `cpu`, `libc` of optional packages) is left
//! out of its list afterwards. So a package stands in the same place everywhere, as in npm's own lock file.
//!
//! **Guarantees**: the order of requests, of threads and of a registry's answers does not matter. **Refuses**: install scripts
//! without an answer, peers that cannot be met, more than 5,000 packages.

mod arena;
mod shrinkwrap;

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use deno_semver::Version;
use pinfold_base::Platform;

use self::arena::Arena;
use self::arena::Edge;
use self::arena::EdgeKind;
use self::arena::NodeId;
use super::AgeRule;
use super::InstallScripts;
use super::LockedNpm;
use super::NpmError;
use super::Packument;
use super::Placement;
use super::Registry;
use super::Release;
use super::Spec;
use super::collate;
use super::error::InstallScript;
use super::range::pick;

/// The most packages in one tree.
const MAX_PACKAGES: usize = 5_000;

/// A package asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The name it is installed under.
    pub name: String,
    /// Range, tag, exact version or `npm:` alias.
    pub spec: String,
    /// Whether its install scripts have been answered for.
    pub scripts: InstallScripts,
}

/// What to resolve.
#[derive(Clone, Debug)]
pub struct TreeRequest<'a> {
    /// The packages asked for.
    pub requests: &'a [Request],
    /// For which platforms.
    pub platforms: &'a [Platform],
    /// How old versions must be.
    pub age: AgeRule,
    /// Answers to install scripts anywhere in the tree: package → why its script need not run.
    pub answers: &'a BTreeMap<String, String>,
    /// The previous lock: versions in it stay where they still fit.
    pub keep: &'a Kept,
}

/// Versions of the previous lock by package.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept(BTreeMap<String, BTreeSet<Version>>);

impl Kept {
    /// Keeps nothing.
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Keeps these; leave out what is to be upgraded.
    pub fn new<'a>(packages: impl IntoIterator<Item = &'a LockedNpm>) -> Self {
        let mut kept = Self::default();
        for package in packages {
            if let Ok(version) = Version::parse_from_npm(&package.version) {
                kept.0.entry(package.name.clone()).or_default().insert(version);
            }
        }
        kept
    }

    fn pick<'a>(&self, packument: &'a Packument, spec: &Spec, age: &AgeRule) -> Option<&'a Release> {
        let limit = match spec.inner() {
            Spec::Tag(tag) => Some(Version::parse_from_npm(packument.tags.get(tag)?).ok()?),
            _ => None,
        };
        let versions = self.0.get(&packument.name)?;
        let fits = |version: &&Version| {
            limit.as_ref().map_or_else(|| spec.matches(version), |limit| *version <= limit)
        };
        versions
            .iter()
            .rev()
            .filter(fits)
            .filter_map(|version| packument.releases.get(version))
            .find(|release| age.allows(release.published))
    }
}

/// A script that is not run, for the ledger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SkippedScript {
    /// The package.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Name of the script.
    pub script: String,
    /// What it would run.
    pub command: String,
    /// Why it need not.
    pub reason: String,
}

/// Packages without a date that are named; there may be as many as there are packages.
const UNDATED: usize = 3;

/// What to place for each platform.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ResolvedTree {
    /// By platform, in order of directory.
    pub placements: BTreeMap<Platform, Vec<Placement>>,
    /// What the user should know.
    pub notes: Vec<String>,
    /// The scripts that were answered for.
    pub scripts: Vec<SkippedScript>,
}

/// Resolves requests and everything they need. `shrinkwrap` looks into a tarball for its `npm-shrinkwrap.json`.
pub fn resolve_tree<E: From<NpmError>>(
    registry: &Registry,
    request: &TreeRequest<'_>,
    shrinkwrap: impl Fn(&LockedNpm) -> Result<Option<Vec<u8>>, E>,
) -> Result<ResolvedTree, E> {
    let (arena, read) = (Arena::new(), BTreeSet::new());
    let mut builder = Builder { registry, request, arena, read, notes: Vec::new(), conflict: None };
    builder.build()?;
    while let Some((node, package)) = builder.unread()? {
        let file = shrinkwrap(&package)?;
        builder.expand(node, file.as_deref())?;
    }
    Ok(builder.finish()?)
}

struct Builder<'a> {
    registry: &'a Registry,
    request: &'a TreeRequest<'a>,
    arena: Arena,
    /// Packages whose shrinkwrap was read.
    read: BTreeSet<NodeId>,
    notes: Vec<String>,
    /// The last peer for which there was no place.
    conflict: Option<NpmError>,
}

/// A release chosen for an edge, not placed yet.
#[derive(Clone)]
pub(super) struct Chosen {
    name: String,
    package: String,
    version: Version,
    release: Release,
}

/// Whether a package can stand in a directory: by itself, and with its peers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Verdict {
    alone: CanPlace,
    with_peers: CanPlace,
}

impl From<CanPlace> for Verdict {
    fn from(both: CanPlace) -> Self {
        Self { alone: both, with_peers: both }
    }
}

/// Whether a package can stand in a directory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum CanPlace {
    Conflict,
    /// Nothing of that name stands there.
    Free,
    /// What stands there can go.
    Replace,
    /// What stands there will do.
    Keep,
}

impl Builder<'_> {
    fn build(&mut self) -> Result<(), NpmError> {
        let mut requests: Vec<_> = self.request.requests.iter().collect();
        requests.sort_by(|a, b| a.name.cmp(&b.name));
        for request in requests {
            super::packument::check_name(&request.name)?;
            let edge = new_edge(&request.name, &request.spec, EdgeKind::Needed, &[])?;
            self.arena.add_edge(Arena::ROOT, edge);
        }
        let mut queue = BTreeSet::from([self.arena.key(Arena::ROOT)]);
        let mut seen = BTreeSet::new();
        while let Some(key) = queue.pop_first() {
            let node = key.node;
            if !self.arena.is_there(node) || !seen.insert(node) {
                continue;
            }
            // What stands below it, its publisher says.
            if self.arena.release(node).1.shrinkwrap {
                continue;
            }
            self.prefetch(node, &queue);
            let mut problems = self.problems(node);
            problems.sort_by(|a, b| {
                collate::compare(&self.arena.edge(node, *a).name, &self.arena.edge(node, *b).name)
            });
            for edge in problems {
                let Some(chosen) = self.choose(node, edge)? else { continue };
                let mut changed = Vec::new();
                self.place(node, edge, chosen, 0, &mut changed)?;
                for node in changed {
                    seen.remove(&node);
                    queue.insert(self.arena.key(node));
                }
            }
        }
        Ok(())
    }

    /// Asks for everything that the next packages in the queue need, at once.
    fn prefetch(&self, node: NodeId, queue: &BTreeSet<arena::Key>) {
        let nodes = std::iter::once(node).chain(queue.iter().map(|key| key.node));
        let mut names = BTreeSet::new();
        for node in nodes.filter(|node| self.arena.is_there(*node)) {
            for edge in self.problems(node) {
                let edge = self.arena.edge(node, edge);
                names.insert(edge.spec.package(&edge.name).to_owned());
            }
        }
        self.registry.prefetch(&names);
    }

    /// The edges of a node that lead nowhere, or to a version that does not fit.
    fn problems(&self, node: NodeId) -> Vec<usize> {
        let arena = &self.arena;
        (0..arena.edges(node).len())
            .filter(|&index| {
                let edge = arena.edge(node, index);
                if edge.bundled || edge.given_up {
                    return false;
                }
                match arena.to(node, edge) {
                    Some(to) => !arena.satisfies(to, edge),
                    None => edge.kind != EdgeKind::OptionalPeer,
                }
            })
            .collect()
    }

    /// The release that an edge asks for. `None` for an optional one that cannot be had.
    fn choose(&mut self, node: NodeId, index: usize) -> Result<Option<Chosen>, NpmError> {
        let edge = self.arena.edge(node, index).clone();
        let package = edge.spec.package(&edge.name).to_owned();
        let result = self.registry.packument(&package).and_then(|packument| {
            let kept = self.request.keep.pick(&packument, &edge.spec, &self.request.age);
            let release = match kept {
                Some(release) => Ok(release),
                None => pick(&packument, &edge.spec, &self.request.age),
            };
            let release = release.map_err(|reason| NpmError::NoVersion {
                package: package.clone(),
                spec: edge.text.clone(),
                reason,
                chain: Vec::new(),
            })?;
            let version = Version::parse_from_npm(&release.version).map_err(|_| NpmError::Packument {
                package: package.clone(),
                reason: format!("`{}` is not a version", release.version),
            })?;
            Ok(Chosen {
                name: edge.name.clone(),
                package: package.clone(),
                version,
                release: release.clone(),
            })
        });
        match result {
            Ok(chosen) => Ok(Some(chosen)),
            Err(NpmError::NotFound { .. } | NpmError::NoVersion { .. })
                if edge.kind == EdgeKind::Optional =>
            {
                self.notes.push(format!(
                    "the optional package `{}` {} is not there and left out",
                    edge.name, edge.text
                ));
                self.arena.give_up(node, index);
                Ok(None)
            }
            Err(error) => Err(self.with_chain(error, node)),
        }
    }

    fn with_chain(&self, mut error: NpmError, node: NodeId) -> NpmError {
        match &mut error {
            NpmError::NotFound { chain, .. }
            | NpmError::NoVersion { chain, .. }
            | NpmError::Spec { chain, .. }
            | NpmError::Peer { chain, .. } => *chain = self.arena.chain(node),
            _ => {}
        }
        error
    }

    /// Puts a release where an edge can find it, and its peers with it. `changed` gets the nodes to look at again.
    fn place(
        &mut self,
        from: NodeId,
        index: usize,
        chosen: Chosen,
        depth: usize,
        changed: &mut Vec<NodeId>,
    ) -> Result<(), NpmError> {
        let edge = self.arena.edge(from, index).clone();
        let mut best: Option<(NodeId, CanPlace)> = None;
        let mut best_alone: Option<(NodeId, CanPlace)> = None;
        let mut target = Some(self.arena.deepest(from, &edge.name));
        self.conflict = None;
        while let Some(at) = target {
            let is_top = self.arena.is_top(at);
            // Nothing that is pulled in stands above the package that was asked for.
            target = self.arena.parent(at).filter(|_| !is_top);
            if !is_top && self.arena.has_peer(at, &edge.name) {
                continue;
            }
            let verdict = self.can_place(from, &edge, &chosen, at, &mut Vec::new())?;
            if verdict.alone != CanPlace::Conflict {
                best_alone = Some((at, verdict.alone));
            }
            if verdict.with_peers == CanPlace::Conflict {
                break;
            }
            best = Some((at, verdict.with_peers));
        }
        if best.is_none() {
            let conflict = self.conflict.take().unwrap_or_else(|| self.no_room(from, &edge));
            let asked_by_root = self.arena.users(self.arena.name(from)).any(|(user, _)| user == Arena::ROOT);
            if from == Arena::ROOT || (edge.kind.is_peer() && asked_by_root) {
                return Err(conflict);
            }
            // Deep in the tree npm only warns: the packages are not the user's to change.
            self.notes.push(conflict.to_string());
            best = best_alone;
        }
        let Some((at, can)) = best else {
            self.arena.give_up(from, index);
            return Ok(());
        };
        if can == CanPlace::Keep {
            return Ok(());
        }
        if self.arena.len() >= MAX_PACKAGES {
            return Err(NpmError::TooMany { package: edge.name, limit: MAX_PACKAGES });
        }
        let edges = self.edges_of(&chosen, from)?;
        let placed = self.arena.put(at, chosen, edges);
        changed.push(placed);
        changed.extend(self.arena.broken_users(&edge.name));
        self.arena.remove_duplicates(placed);
        // Peers follow at once, so that they come to stand beside their package while there is room. Those of what was asked for
        // stand inside it and have their turn with the rest of what it needs.
        if depth < 64 && at != Arena::ROOT {
            let mut peers: Vec<usize> = self
                .problems(placed)
                .into_iter()
                .filter(|&index| self.arena.edge(placed, index).kind.is_peer())
                .collect();
            peers.sort_by(|a, b| {
                collate::compare(&self.arena.edge(placed, *a).name, &self.arena.edge(placed, *b).name)
            });
            for index in peers {
                if let Some(chosen) = self.choose(placed, index)? {
                    self.place(placed, index, chosen, depth + 1, changed)?;
                }
            }
        }
        Ok(())
    }

    /// A peer whose place is taken by a version that must stay there.
    fn no_room(&self, from: NodeId, edge: &Edge) -> NpmError {
        let found = self.arena.to(from, edge);
        let error = NpmError::Peer {
            package: if from == Arena::ROOT { "the request".into() } else { self.arena.id(from) },
            peer: edge.name.clone(),
            spec: edge.text.clone(),
            found: found.map_or_else(|| "nothing".into(), |node| self.arena.id(node).into()),
            chain: Vec::new(),
        };
        self.with_chain(error, self.arena.parent(from).unwrap_or(Arena::ROOT))
    }

    /// Whether `chosen` can stand in `target`'s `node_modules` for the sake of `edge`.
    fn can_place(
        &mut self,
        from: NodeId,
        edge: &Edge,
        chosen: &Chosen,
        target: NodeId,
        path: &mut Vec<String>,
    ) -> Result<Verdict, NpmError> {
        let arena = &self.arena;
        let own = arena.edges(target).iter().find(|own| own.name == chosen.name);
        if !arena.is_top(target) && own.is_some_and(|own| own.kind.is_peer()) {
            return Ok(CanPlace::Conflict.into());
        }
        let Some(current) = arena.child(target, &chosen.name) else {
            let is_own = target == from && own.is_some_and(|own| own == edge);
            if !is_own && own.is_some_and(|own| !chosen.satisfies(own)) {
                return Ok(CanPlace::Conflict.into());
            }
            // Packages below that found their version further up must not lose it.
            if target != from
                && let Some(above) = arena.resolve(target, &chosen.name)
                && arena.users(&chosen.name).any(|(user, edge)| {
                    arena.is_below(user, target)
                        && arena.to(user, edge) == Some(above)
                        && arena.satisfies(above, edge)
                        && !chosen.satisfies(edge)
                })
            {
                return Ok(CanPlace::Conflict.into());
            }
            return self.with_peers(chosen, target, CanPlace::Free, path);
        };
        if arena.is_same(current, chosen) && arena.satisfies(current, edge) {
            return Ok(CanPlace::Keep.into());
        }
        let newer = chosen.version >= *arena.version(current);
        let replaceable = arena.can_replace(current, chosen);
        if newer && replaceable {
            let verdict = self.with_peers(chosen, target, CanPlace::Replace, path)?;
            if verdict.with_peers != CanPlace::Conflict {
                return Ok(verdict);
            }
        }
        if self.arena.satisfies(current, edge) {
            return Ok(CanPlace::Keep.into());
        }
        if edge.kind.is_peer() && !newer && replaceable {
            return self.with_peers(chosen, target, CanPlace::Replace, path);
        }
        // The deepest place there is: what stands there must give way and is placed anew for those who need it.
        if !edge.kind.is_peer() && target == from {
            return self.with_peers(chosen, target, CanPlace::Replace, path);
        }
        Ok(CanPlace::Conflict.into())
    }

    /// `state`, unless the peers of `chosen` could not stand where it would look for them.
    fn with_peers(
        &mut self,
        chosen: &Chosen,
        target: NodeId,
        state: CanPlace,
        path: &mut Vec<String>,
    ) -> Result<Verdict, NpmError> {
        if target == Arena::ROOT || path.contains(&chosen.name) || path.len() > 64 {
            return Ok(state.into());
        }
        path.push(chosen.name.clone());
        let mut result = state;
        for (name, peer) in &chosen.release.peers {
            if peer.optional || path.contains(name) {
                continue;
            }
            let edge = new_edge(name, &peer.spec, EdgeKind::Peer, &[])?;
            if let Some(there) = self.arena.resolve(target, name)
                && self.arena.satisfies(there, &edge)
            {
                continue;
            }
            let Ok(packument) = self.registry.packument(edge.spec.package(name)) else { continue };
            let Ok(release) = pick(&packument, &edge.spec, &self.request.age) else { continue };
            let Ok(version) = Version::parse_from_npm(&release.version) else { continue };
            let package = packument.name.clone();
            let peer = Chosen { name: name.clone(), package, version, release: release.clone() };
            if self.can_place(target, &edge, &peer, target, path)?.with_peers == CanPlace::Conflict {
                let found = self.arena.resolve(target, name);
                let error = NpmError::Peer {
                    package: format!("{}@{}", chosen.package, chosen.release.version),
                    peer: name.clone(),
                    spec: edge.text.clone(),
                    found: found.map_or_else(|| "nothing".into(), |node| self.arena.id(node).into()),
                    chain: self.arena.chain(target),
                };
                // The innermost is the cause.
                self.conflict.get_or_insert(error);
                result = CanPlace::Conflict;
                break;
            }
        }
        path.pop();
        Ok(Verdict { alone: state, with_peers: result })
    }

    fn edges_of(&self, chosen: &Chosen, from: NodeId) -> Result<Vec<Edge>, NpmError> {
        let mut chain = self.arena.chain(from);
        chain.push(format!("{}@{}", chosen.package, chosen.release.version));
        let release = &chosen.release;
        let mut edges: BTreeMap<String, Edge> = BTreeMap::new();
        for (name, peer) in &release.peers {
            let kind = if peer.optional { EdgeKind::OptionalPeer } else { EdgeKind::Peer };
            edges.insert(name.clone(), new_edge(name, &peer.spec, kind, &chain)?);
        }
        for (name, spec) in &release.dependencies {
            edges.insert(name.clone(), new_edge(name, spec, EdgeKind::Needed, &chain)?);
        }
        for (name, spec) in &release.optional {
            // What cannot be read is as good as missing.
            if let Ok(edge) = new_edge(name, spec, EdgeKind::Optional, &chain) {
                edges.insert(name.clone(), edge);
            }
        }
        for name in edges.keys() {
            super::packument::check_name(name)?;
        }
        Ok(edges
            .into_values()
            .map(|edge| Edge { bundled: release.bundled.contains(&edge.name), ..edge })
            .collect())
    }

    fn finish(mut self) -> Result<ResolvedTree, NpmError> {
        let mut tree = ResolvedTree::default();
        let mut used = BTreeSet::new();
        for &platform in self.request.platforms {
            let nodes = self.needed_on(platform)?;
            let mut placements = Vec::new();
            for &node in &nodes {
                let (package, release) = self.arena.release(node);
                placements.push(Placement {
                    dir: self.arena.dir(node),
                    package: LockedNpm::new(self.registry, package, release)?,
                    bins: release.bins.clone(),
                    requested: self
                        .arena
                        .edges(Arena::ROOT)
                        .iter()
                        .any(|edge| self.arena.child(Arena::ROOT, &edge.name) == Some(node)),
                });
            }
            placements.sort_by(|a, b| a.dir.cmp(&b.dir));
            tree.placements.insert(platform, placements);
            used.extend(nodes);
        }
        let mut scripts = BTreeSet::new();
        let mut undated = BTreeSet::new();
        let mut unanswered: Vec<InstallScript> = Vec::new();
        for node in used {
            match self.scripts(node) {
                Ok(skipped) => scripts.extend(skipped),
                Err(wanted) => {
                    // One package may stand at several places.
                    let same =
                        |one: &InstallScript| one.package == wanted.package && one.version == wanted.version;
                    if !unanswered.iter().any(same) {
                        unanswered.push(wanted);
                    }
                }
            }
            let (package, release) = self.arena.release(node);
            if let Some(warning) = &release.deprecated {
                let warning: String = warning.chars().filter(|c| !c.is_control()).take(200).collect();
                self.notes.push(format!("`{package}` {} is deprecated: {warning}", release.version));
            }
            if release.published.is_none() && self.request.age.min_age > 0 {
                undated.insert(format!("`{package}` {}", release.version));
            }
        }
        if !unanswered.is_empty() {
            unanswered.sort_by(|one, other| one.package.cmp(&other.package));
            return Err(NpmError::InstallScripts(unanswered));
        }
        if !undated.is_empty() {
            let named: Vec<&str> = undated.iter().map(String::as_str).take(UNDATED).collect();
            let more = if undated.len() > UNDATED { " and others" } else { "" };
            self.notes.push(format!(
                "the registry does not say when {}{more} were published: their age was not looked at ({} in all)",
                named.join(", "),
                undated.len()
            ));
        }
        self.notes.sort();
        self.notes.dedup();
        tree.notes = self.notes;
        tree.scripts = scripts.into_iter().collect();
        Ok(tree)
    }

    fn needed_on(&self, platform: Platform) -> Result<BTreeSet<NodeId>, NpmError> {
        self.arena.needed_on(platform).map_err(|node| NpmError::NoVersion {
            package: self.arena.id(node),
            spec: platform.to_string(),
            reason: "it is not made for that platform".into(),
            chain: self.arena.chain(node),
        })
    }

    /// The scripts of a package, each answered for; else the first that is not.
    fn scripts(&self, node: NodeId) -> Result<Vec<SkippedScript>, InstallScript> {
        let (package, release) = self.arena.release(node);
        let name = self.arena.name(node);
        let asked = self
            .request
            .requests
            .iter()
            .find(|request| request.name == name)
            .filter(|_| self.arena.parent(node) == Some(Arena::ROOT));
        let answer = match asked.map(|request| &request.scripts) {
            Some(InstallScripts::Answered { reason }) => Some(reason),
            _ => self.request.answers.get(package),
        };
        let mut skipped = Vec::new();
        for (script, command) in &release.install_scripts {
            let Some(reason) = answer else {
                return Err(InstallScript {
                    package: package.to_owned(),
                    version: release.version.clone(),
                    script: script.clone(),
                    command: command.as_str().into(),
                    chain: self.arena.users_of(node),
                });
            };
            skipped.push(SkippedScript {
                package: package.to_owned(),
                version: release.version.clone(),
                script: script.clone(),
                command: command.clone(),
                reason: reason.clone(),
            });
        }
        Ok(skipped)
    }
}

/// A dependency as written in a manifest or a packument.
fn new_edge(name: &str, spec: &str, kind: EdgeKind, chain: &[String]) -> Result<Edge, NpmError> {
    let spec_value = Spec::parse(spec).map_err(|reason| NpmError::Spec {
        package: name.to_owned(),
        spec: spec.to_owned(),
        reason,
        chain: chain.to_vec(),
    })?;
    Ok(Edge {
        name: name.to_owned(),
        text: spec.to_owned(),
        spec: spec_value,
        kind,
        bundled: false,
        given_up: false,
    })
}

impl Chosen {
    fn satisfies(&self, edge: &Edge) -> bool {
        edge.accepts(&self.package, &self.version)
    }
}
