//! Packages and the directories they stand in, while the tree grows.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use deno_semver::Version;
use pinfold_base::Platform;

use super::super::collate;
use super::Chosen;
use super::Release;
use super::Spec;

/// A package in the arena. Never used again once it is removed.
pub(super) type NodeId = usize;

/// Why one package looks for another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum EdgeKind {
    Needed,
    Optional,
    Peer,
    OptionalPeer,
}

impl EdgeKind {
    /// Whether it is looked for beside the package, not below it.
    pub(super) fn is_peer(self) -> bool {
        matches!(self, Self::Peer | Self::OptionalPeer)
    }
}

/// One dependency of a package.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Edge {
    pub(super) name: String,
    /// The request as written.
    pub(super) text: String,
    pub(super) spec: Spec,
    pub(super) kind: EdgeKind,
    /// It comes in the package's own tarball.
    pub(super) bundled: bool,
    /// It is optional and cannot be had.
    pub(super) given_up: bool,
}

impl Edge {
    /// Whether this package in this version is what the edge asks for.
    pub(super) fn accepts(&self, package: &str, version: &Version) -> bool {
        if self.spec.package(&self.name) != package {
            return false;
        }
        match self.spec.inner() {
            // A tag was resolved once; whatever stands there came of it.
            Spec::Tag(_) => true,
            Spec::Range(range) => matches!(range.version_text().trim(), "" | "*") || range.matches(version),
            Spec::Alias { .. } => false,
        }
    }
}

struct Node {
    name: String,
    package: String,
    version: Version,
    release: Release,
    parent: Option<NodeId>,
    children: BTreeMap<String, NodeId>,
    edges: Vec<Edge>,
    there: bool,
    /// A shrinkwrap says that it stands there.
    fixed: bool,
}

/// The order in which packages are looked at: by depth, then by directory.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Key {
    depth: usize,
    dir: String,
    pub(super) node: NodeId,
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.depth
            .cmp(&other.depth)
            .then_with(|| collate::compare(&self.dir, &other.dir))
            .then_with(|| self.node.cmp(&other.node))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// All packages of a tree.
pub(super) struct Arena {
    nodes: Vec<Node>,
    /// Name → nodes that have an edge of that name.
    users: BTreeMap<String, BTreeSet<NodeId>>,
}

impl Arena {
    /// What holds the requests.
    pub(super) const ROOT: NodeId = 0;

    pub(super) fn new() -> Self {
        let root = Node {
            name: String::new(),
            package: String::new(),
            version: Version::default(),
            release: Release::default(),
            parent: None,
            children: BTreeMap::new(),
            edges: Vec::new(),
            there: true,
            fixed: false,
        };
        Self { nodes: vec![root], users: BTreeMap::new() }
    }

    /// How many packages were ever placed.
    pub(super) fn len(&self) -> usize {
        self.nodes.len() - 1
    }

    pub(super) fn is_there(&self, node: NodeId) -> bool {
        self.nodes[node].there
    }

    pub(super) fn parent(&self, node: NodeId) -> Option<NodeId> {
        self.nodes[node].parent
    }

    pub(super) fn child(&self, node: NodeId, name: &str) -> Option<NodeId> {
        self.nodes[node].children.get(name).copied()
    }

    pub(super) fn edges(&self, node: NodeId) -> &[Edge] {
        &self.nodes[node].edges
    }

    pub(super) fn edge(&self, node: NodeId, index: usize) -> &Edge {
        &self.nodes[node].edges[index]
    }

    pub(super) fn name(&self, node: NodeId) -> &str {
        &self.nodes[node].name
    }

    pub(super) fn version(&self, node: NodeId) -> &Version {
        &self.nodes[node].version
    }

    pub(super) fn release(&self, node: NodeId) -> (&str, &Release) {
        (&self.nodes[node].package, &self.nodes[node].release)
    }

    /// `name@version`.
    pub(super) fn id(&self, node: NodeId) -> String {
        let Node { package, release, .. } = &self.nodes[node];
        format!("{package}@{}", release.version)
    }

    /// Its directory below the one that holds the tree.
    pub(super) fn dir(&self, node: NodeId) -> String {
        match self.parent(node) {
            None => String::new(),
            Some(Self::ROOT) => format!("node_modules/{}", self.name(node)),
            Some(parent) => format!("{}/node_modules/{}", self.dir(parent), self.name(node)),
        }
    }

    pub(super) fn key(&self, node: NodeId) -> Key {
        let depth = std::iter::successors(Some(node), |&node| self.parent(node)).count();
        Key { depth, dir: self.dir(node), node }
    }

    /// Who needs a package, outermost first and itself last; empty for the root.
    pub(super) fn chain(&self, node: NodeId) -> Vec<String> {
        let mut chain = Vec::new();
        let mut seen = BTreeSet::new();
        let mut at = node;
        while at != Self::ROOT && seen.insert(at) {
            chain.push(self.id(at));
            let users = self.users(self.name(at)).filter(|(user, edge)| self.to(*user, edge) == Some(at));
            at = users.map(|(user, _)| user).min().unwrap_or(Self::ROOT);
        }
        chain.reverse();
        chain
    }

    /// Who needs a package, without itself.
    pub(super) fn users_of(&self, node: NodeId) -> Vec<String> {
        let mut chain = self.chain(node);
        chain.pop();
        chain
    }

    pub(super) fn add_edge(&mut self, node: NodeId, edge: Edge) {
        self.users.entry(edge.name.clone()).or_default().insert(node);
        self.nodes[node].edges.push(edge);
    }

    pub(super) fn give_up(&mut self, node: NodeId, index: usize) {
        self.nodes[node].edges[index].given_up = true;
    }

    /// The edges called `name` of all packages.
    pub(super) fn users(&self, name: &str) -> impl Iterator<Item = (NodeId, &Edge)> {
        let users = self.users.get(name).into_iter().flatten().copied().filter(|&node| self.is_there(node));
        let name = name.to_owned();
        users.flat_map(move |node| {
            let name = name.clone();
            self.edges(node).iter().filter(move |edge| edge.name == name).map(move |edge| (node, edge))
        })
    }

    /// What node would find for `name` from inside a package.
    pub(super) fn resolve(&self, node: NodeId, name: &str) -> Option<NodeId> {
        std::iter::successors(Some(node), |&node| self.parent(node)).find_map(|node| self.child(node, name))
    }

    /// Whether a node was asked for, or holds what was.
    pub(super) fn is_top(&self, node: NodeId) -> bool {
        self.parent(node).is_none_or(|parent| parent == Self::ROOT)
    }

    /// Whether a package has a peer of this name.
    pub(super) fn has_peer(&self, node: NodeId, name: &str) -> bool {
        self.edges(node).iter().any(|edge| edge.name == name && edge.kind.is_peer())
    }

    /// The innermost directory that something for `node` may stand in: its own, or for a peer, that of the first package above
    /// without such a peer. What was asked for has its peers inside.
    pub(super) fn deepest(&self, node: NodeId, name: &str) -> NodeId {
        let mut up = std::iter::successors(Some(node), |&node| self.parent(node));
        up.find(|&at| self.is_top(at) || !self.has_peer(at, name)).unwrap_or(node)
    }

    /// Where an edge leads.
    pub(super) fn to(&self, node: NodeId, edge: &Edge) -> Option<NodeId> {
        let beside = edge.kind.is_peer() && !self.is_top(node);
        let start = if beside { self.parent(node).unwrap_or(node) } else { node };
        self.resolve(start, &edge.name)
    }

    pub(super) fn satisfies(&self, node: NodeId, edge: &Edge) -> bool {
        edge.accepts(&self.nodes[node].package, &self.nodes[node].version)
    }

    /// Whether a node stands below `top`, or is it.
    pub(super) fn is_below(&self, node: NodeId, top: NodeId) -> bool {
        std::iter::successors(Some(node), |&node| self.parent(node)).any(|at| at == top)
    }

    pub(super) fn is_same(&self, node: NodeId, chosen: &Chosen) -> bool {
        self.nodes[node].package == chosen.package && self.nodes[node].version == chosen.version
    }

    /// Whether everybody who uses a node would be content with `chosen`, those that only it brings along excepted.
    pub(super) fn can_replace(&self, node: NodeId, chosen: &Chosen) -> bool {
        if self.nodes[node].package != chosen.package {
            return false;
        }
        self.users(&chosen.name).all(|(user, edge)| {
            self.to(user, edge) != Some(node)
                || !self.satisfies(node, edge)
                || (user != Self::ROOT && self.is_below(user, node))
                || chosen.satisfies(edge)
        })
    }

    /// Users of a name whose edge does not lead where it should.
    pub(super) fn broken_users(&self, name: &str) -> Vec<NodeId> {
        let broken = self.users(name).filter(|(user, edge)| {
            !edge.bundled && self.to(*user, edge).is_some_and(|to| !self.satisfies(to, edge))
        });
        broken.map(|(user, _)| user).collect()
    }

    /// Places a package in a directory, instead of what stands there.
    pub(super) fn put(&mut self, target: NodeId, chosen: Chosen, edges: Vec<Edge>) -> NodeId {
        let node = self.nodes.len();
        let Chosen { name, package, version, release } = chosen;
        let old = self.nodes[target].children.insert(name.clone(), node);
        self.nodes.push(Node {
            name,
            package,
            version,
            release,
            parent: Some(target),
            children: BTreeMap::new(),
            edges: Vec::new(),
            there: true,
            fixed: false,
        });
        for edge in edges {
            self.add_edge(node, edge);
        }
        if let Some(old) = old {
            self.remove_below(old);
            self.remove_unused();
        }
        node
    }

    /// Places a package where a shrinkwrap says.
    pub(super) fn fix(&mut self, target: NodeId, chosen: Chosen, edges: Vec<Edge>) -> NodeId {
        let node = self.put(target, chosen, edges);
        self.nodes[node].fixed = true;
        node
    }

    /// Whether a shrinkwrap says that it stands there.
    pub(super) fn is_fixed(&self, node: NodeId) -> bool {
        self.nodes[node].fixed
    }

    /// Exchanges what is known of a package.
    pub(super) fn describe(&mut self, node: NodeId, release: Release) {
        self.nodes[node].release = release;
    }

    /// Removes packages below the directory of `placed` that it makes superfluous.
    pub(super) fn remove_duplicates(&mut self, placed: NodeId) {
        let (Some(target), name) = (self.parent(placed), self.name(placed).to_owned()) else { return };
        let same: Vec<NodeId> = (1..self.nodes.len())
            .filter(|&node| {
                node != placed
                    && self.is_there(node)
                    && self.name(node) == name
                    && self.is_below(node, target)
            })
            .collect();
        for node in same {
            if !self.is_there(node) {
                continue;
            }
            let Some(parent) = self.parent(node) else { continue };
            let above = self.parent(parent).and_then(|above| self.resolve(above, &name));
            let Some(above) = above else { continue };
            let content = self
                .users(&name)
                .filter(|(user, edge)| self.to(*user, edge) == Some(node))
                .all(|(_, edge)| self.satisfies(above, edge));
            if content {
                self.nodes[parent].children.remove(&name);
                self.remove_below(node);
                self.remove_unused();
            }
        }
    }

    fn remove_below(&mut self, node: NodeId) {
        self.nodes[node].there = false;
        for child in std::mem::take(&mut self.nodes[node].children).into_values() {
            self.remove_below(child);
        }
    }

    /// Removes what nobody needs any more after a package has gone. What was just placed for an edge is found by it.
    fn remove_unused(&mut self) {
        let mut needed = BTreeSet::from([Self::ROOT]);
        let mut pending = vec![Self::ROOT];
        while let Some(node) = pending.pop() {
            for edge in self.edges(node) {
                if let Some(to) = self.to(node, edge).filter(|&to| !needed.contains(&to)) {
                    needed.insert(to);
                    pending.push(to);
                }
            }
        }
        for node in 1..self.nodes.len() {
            if self.is_there(node) && !needed.contains(&node) {
                // A directory that holds something needed stays.
                let holds = needed.iter().any(|&inner| self.is_below(inner, node));
                if !holds && let Some(parent) = self.parent(node) {
                    let name = self.name(node).to_owned();
                    self.nodes[parent].children.remove(&name);
                    self.remove_below(node);
                }
            }
        }
    }

    /// The packages that a platform needs. An optional package that does not fit it is left out, with everything that cannot
    /// do without it; the error is a package that the requests cannot do without.
    pub(super) fn needed_on(&self, platform: Platform) -> Result<BTreeSet<NodeId>, NodeId> {
        let mut unfit: BTreeSet<NodeId> = (1..self.nodes.len())
            .filter(|&node| self.is_there(node) && !self.nodes[node].release.fits(platform))
            .filter(|&node| !self.is_fixed(node))
            .collect();
        let first = unfit.clone();
        loop {
            let more: Vec<NodeId> = (0..self.nodes.len())
                .filter(|&node| self.is_there(node) && !unfit.contains(&node))
                .filter(|&node| {
                    self.edges(node).iter().any(|edge| {
                        matches!(edge.kind, EdgeKind::Needed | EdgeKind::Peer)
                            && !edge.bundled
                            && self.to(node, edge).is_some_and(|to| unfit.contains(&to))
                    })
                })
                .collect();
            if more.contains(&Self::ROOT) {
                return Err(first.into_iter().next().unwrap_or(Self::ROOT));
            }
            if more.is_empty() {
                break;
            }
            unfit.extend(more);
        }
        let mut needed = BTreeSet::new();
        let mut pending = vec![Self::ROOT];
        while let Some(node) = pending.pop() {
            for edge in self.edges(node).iter().filter(|edge| !edge.bundled) {
                if let Some(to) = self.to(node, edge)
                    && !unfit.contains(&to)
                    && needed.insert(to)
                {
                    pending.push(to);
                }
            }
        }
        Ok(needed)
    }
}
