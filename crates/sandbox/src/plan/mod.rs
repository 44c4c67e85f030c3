//! From [`Spec`] and [`Probe`] to a [`Plan`]: every mount, id, limit and wall of one sandbox, as a value that can be
//! printed and compared with what the kernel then shows.
//!
//! **Guarantees**: a plan that is returned asks only for what the probe found. No mount target passes through a symbolic
//! link of the image, every mount of the host is read-only unless the specification says otherwise, and none shows a Unix
//! socket the user did not name: what cannot be looked into is covered.
//!
//! **Refuses** ([`Refusal`]): a wall that is required and missing, names that are paths, id 0, targets in `/proc`, `/dev`
//! and `/sys`, a working directory in `/proc` (CVE-2024-21626), images whose mount points are links (CVE-2026-41579).

mod check;
pub mod guards;
pub mod ids;
mod layout;
pub mod limits;
pub mod proc;
mod protect;
pub mod refusal;
mod rootfs;
pub(crate) mod socket;
mod source;
#[cfg(test)]
mod tests;
pub mod wall;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt;
use std::ops::Deref;
use std::path::Path;
use std::path::PathBuf;

use pinfold_network::Endpoint;
use pinfold_network::Listen;
use serde::Deserialize;
use serde::Serialize;

pub use self::check::check_name;
use self::check::check_strings;
use self::check::clean;
use self::guards::Guards;
pub use self::ids::IdMap;
pub use self::layout::DEVICES;
use self::layout::Layout;
use self::limits::CgroupPlan;
use self::limits::Rlimit;
pub(crate) use self::protect::MARK;
pub use self::protect::PlannedStandIn;
pub(crate) use self::protect::is_empty;
pub use self::protect::is_stand_in;
use self::refusal::Refusal;
use self::rootfs::RootDirectory;
use self::wall::Standing;
use self::wall::Wall;
use crate::probe::Probe;
use crate::spec::Access;
use crate::spec::Debug as Debugging;
use crate::spec::Exec;
use crate::spec::MODEL_ALIAS;
use crate::spec::MODEL_SOCKETS;
use crate::spec::Need;
use crate::spec::Network;
use crate::spec::PROXY_PORT;
use crate::spec::SESSION_KEY;
use crate::spec::Sockets;
use crate::spec::Spec;
use crate::spec::StandIn;
use crate::spec::Written;

/// A plan: its [`Parts`], which everybody may read and only this crate makes and changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Plan(pub(crate) Parts);

impl Deref for Plan {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Everything one sandbox is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// The sandbox's name.
    pub name: String,
    /// The image on the host.
    pub rootfs: PathBuf,
    /// Directories and files the image lacks as mount points; laid over it by a read-only overlay, parents first.
    pub skeleton: Vec<SkeletonEntry>,
    /// Mounts in the order in which they are made.
    pub mounts: Vec<PlannedMount>,
    /// What the host is to have for the time of the run, in the place of protected paths that are missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stand_ins: Vec<PlannedStandIn>,
    /// Namespaces that are new.
    pub namespaces: BTreeSet<Namespace>,
    /// Ids outside and inside.
    pub ids: IdMap,
    /// Name of the machine.
    pub hostname: String,
    /// Permission bits that files made inside do not have.
    #[serde(default = "crate::spec::default_umask")]
    pub umask: u32,
    /// Program and arguments.
    #[serde(with = "crate::words")]
    pub args: Vec<OsString>,
    /// The whole environment.
    pub env: BTreeMap<String, String>,
    /// Where it starts.
    pub cwd: PathBuf,
    /// Limits per process.
    pub rlimits: Vec<Rlimit>,
    /// Limits of the whole sandbox.
    pub cgroup: Option<CgroupPlan>,
    /// The second wall.
    pub landlock: Option<LandlockPlan>,
    /// Whether debuggers work.
    pub debug: Debugging,
    /// Where the relay listens; empty without a proxy.
    pub listens: Vec<Listen>,
    /// Where a sealed sandbox's session key is written, inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Whether process 1 proves that nothing leads out before the program runs.
    #[serde(default, skip_serializing_if = "Proof::is_none")]
    pub proof: Proof,
    /// Where the home directory is, and what becomes of it.
    pub home: PathBuf,
    /// What is on, and what is not.
    pub walls: Vec<Standing>,
    /// Guards that are steps of the start or of holding it.
    #[serde(default)]
    pub guards: Guards,
}

/// What process 1 makes sure of before the program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// Nothing.
    #[default]
    None,
    /// That no interface but loopback is up, and no route leaves it.
    NoNetwork,
}

impl Proof {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// One entry of the skeleton.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SkeletonEntry {
    /// Where.
    pub path: PathBuf,
    /// A directory with this mode, or an empty file.
    pub kind: SkeletonKind,
}

/// Kind of a skeleton entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SkeletonKind {
    /// Directory with permission bits.
    Directory(u32),
    /// Empty file to mount on.
    File,
}

/// A namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Namespace {
    /// Mount points.
    Mount,
    /// Processes.
    Pid,
    /// System V objects and message queues.
    Ipc,
    /// Host name.
    Uts,
    /// Control groups.
    Cgroup,
    /// Network.
    Network,
}

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedMount {
    /// Where, inside.
    pub target: PathBuf,
    /// What.
    pub kind: MountKind,
    /// Whether it may be written to once everything is in place.
    pub access: Access,
    /// Whether programs on it can be executed, where its kind leaves that open.
    #[serde(default, skip_serializing_if = "Exec::is_allowed")]
    pub exec: Exec,
}

impl PlannedMount {
    /// One that says nothing against programs.
    pub fn new(target: impl Into<PathBuf>, kind: MountKind, access: Access) -> Self {
        Self { target: target.into(), kind, access, exec: Exec::Allowed }
    }
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountKind {
    /// A path of the host, with what is mounted below; `nosuid,nodev`.
    Host(PathBuf),
    /// The sandbox's own home on the host; `nosuid,nodev`.
    Home,
    /// The image's own directory with what the sandbox has written there, which is on the host; `nosuid,nodev`.
    Written(Written),
    /// Memory of a size, with a mode; `nosuid,nodev`.
    Memory {
        /// Bytes; 0 for no limit.
        bytes: u64,
        /// Permission bits of its root.
        mode: u32,
    },
    /// A fresh `/proc`.
    Proc,
    /// A fresh `/dev/pts`.
    Terminals,
    /// A fresh message queue file system.
    Queues,
    /// A device node of the host; `nosuid,noexec`.
    Device(PathBuf),
    /// The one socket to the supervisor.
    Egress,
    /// Covers a path with nothing, where it exists.
    Mask,
    /// Covers this directory of the host with nothing: it could not be looked into for sockets.
    Closed {
        /// The file system it is on.
        device: u64,
        /// Its number there: nothing else may have taken its place.
        inode: u64,
    },
    /// Covers this socket of the host with nothing: a program of the host's listens on it.
    Socket {
        /// Where it is on the host.
        source: PathBuf,
        /// The file system it is on.
        device: u64,
        /// Its number there: nothing else may have taken its place.
        inode: u64,
    },
    /// Makes a path read-only, where it exists.
    Protect,
    /// A directory of a mount on itself, this path of the host: what is mounted on can be neither renamed nor removed.
    Hold(PathBuf),
    /// A path of a mount on itself, read-only; this path of the host.
    Keep(PathBuf),
    /// Nothing, in the place of a protected path that is missing.
    Missing(StandIn),
}

/// The second wall.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandlockPlan {
    /// Trees that may be written to; everything may be read and executed.
    pub writable: Vec<PathBuf>,
    /// Where sockets of the host may be connected to: the mounts of which the user said so. The sandbox's own may be anywhere.
    #[serde(default)]
    pub sockets: Vec<PathBuf>,
    /// TCP ports that may be connected to; `None` for all.
    pub connect_ports: Option<Vec<u16>>,
    /// Trees of which no file may be read. What is made beside them later, in a directory on the way to one, is not read either.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<PathBuf>,
}

impl fmt::Display for PlannedMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match self.access {
            Access::ReadOnly => "ro",
            Access::ReadWrite => "rw",
        };
        let access = match self.exec {
            Exec::Allowed => access.to_owned(),
            Exec::Denied => format!("{access},noexec"),
        };
        write!(f, "{} ", self.target.display())?;
        match &self.kind {
            MountKind::Host(source) => write!(f, "{access},nosuid,nodev from {}", source.display()),
            MountKind::Home => write!(f, "{access},nosuid,nodev the sandbox's own home"),
            MountKind::Written(_) => {
                write!(f, "{access},nosuid,nodev the image's, and what is written over it")
            }
            MountKind::Memory { bytes, mode } => write!(f, "{access},nosuid,nodev memory {bytes} {mode:04o}"),
            MountKind::Proc => write!(f, "rw,nosuid,nodev,noexec proc"),
            MountKind::Terminals => write!(f, "rw,nosuid,noexec devpts"),
            MountKind::Queues => write!(f, "rw,nosuid,nodev,noexec mqueue"),
            MountKind::Device(source) => write!(f, "nosuid,noexec device {}", source.display()),
            MountKind::Egress => write!(f, "nosuid,nodev,noexec socket to the supervisor"),
            MountKind::Mask => write!(f, "masked"),
            MountKind::Closed { .. } => write!(f, "masked, because it cannot be looked into"),
            MountKind::Socket { .. } => write!(f, "masked, because a program of the host's listens there"),
            MountKind::Protect => write!(f, "ro"),
            MountKind::Hold(_) => write!(f, "held in its place"),
            MountKind::Keep(_) => write!(f, "ro, protected"),
            MountKind::Missing(_) => write!(f, "ro, protected, missing"),
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "sandbox {}", self.name)?;
        writeln!(f, "  / ro,nosuid,nodev from {}", self.rootfs.display())?;
        for entry in &self.skeleton {
            writeln!(f, "  {} made for a mount", entry.path.display())?;
        }
        for mount in &self.mounts {
            writeln!(f, "  {mount}")?;
        }
        for standing in &self.walls {
            writeln!(f, "  {standing}")?;
        }
        Ok(())
    }
}

impl Plan {
    /// Plans a sandbox on this machine. Reads the image's mount points and looks for sockets below mounts; changes
    /// nothing.
    pub fn new(spec: &Spec, probe: &Probe) -> Result<Self, Refusal> {
        check_name(&spec.name)?;
        if spec.user.uid == 0 || spec.user.gid == 0 {
            return Err(Refusal::RootInside);
        }
        if spec.args.first().is_none_or(|program| program.is_empty()) {
            return Err(Refusal::NoProgram);
        }
        check_strings(spec)?;
        if spec.seal.is_some() && !matches!(spec.network, Network::None | Network::Routes(_)) {
            return Err(Refusal::SealedNetwork(spec.network.word()));
        }
        let cwd = clean("working directory", &spec.cwd)?;
        if ["/proc", "/dev", "/sys"].iter().any(|taken| cwd.starts_with(taken)) {
            return Err(Refusal::Reserved { what: "working directory", path: cwd });
        }
        probe.user_namespaces.as_ref().map_err(|problem| Refusal::NoUserNamespaces(*problem))?;

        let rootfs = fs_err::canonicalize(&spec.rootfs)
            .map_err(|source| Refusal::Rootfs { path: spec.rootfs.clone(), source })?;
        let root = RootDirectory::open(&rootfs)
            .map_err(|source| Refusal::Rootfs { path: rootfs.clone(), source: source.into() })?;

        let home = clean("home directory", &spec.home.target)?;
        let mut layout =
            Layout { root: &root, mounts: Vec::new(), skeleton: BTreeMap::new(), links: Vec::new() };
        layout.standard(spec, &home)?;
        for mount in &spec.mounts {
            layout.user(mount)?;
        }
        layout.named_sockets(spec);
        let guards = spec.guards();
        if guards.plain_sources.holds() {
            source::refuse_links(&layout.links, &layout.mounts)?;
        }
        let stand_ins = protect::add(&spec.protect, &spec.hold, &guards, &mut layout.mounts)?;
        layout.sort();
        layout.skeleton()?;
        let Layout { mounts, skeleton, .. } = layout;

        let mut namespaces = BTreeSet::from([
            Namespace::Mount,
            Namespace::Pid,
            Namespace::Ipc,
            Namespace::Uts,
            Namespace::Cgroup,
            Namespace::Network,
        ]);
        if spec.network == Network::Host {
            namespaces.remove(&Namespace::Network);
        }
        let listens = plan_listens(spec, &root)?;
        let (ids, standing) = IdMap::plan(spec, probe);
        let mut walls: Vec<Standing> = vec![standing, Standing::on(Wall::Capabilities)];
        walls.push(Standing::on(Wall::ReadOnlyRoot));
        walls.push(Standing::on(Wall::Seccomp));
        walls.push(match spec.network {
            Network::Host => Standing::off(Wall::Network, "the host's network was asked for"),
            _ => Standing::on(Wall::Network),
        });
        let landlock = plan_landlock(spec, probe, &mounts, &mut walls)?;
        let cgroup = crate::plan::limits::plan_cgroup(spec, probe, &mut walls)?;
        let mut parts = Parts {
            name: spec.name.clone(),
            rootfs,
            skeleton: skeleton.into_iter().map(|(path, kind)| SkeletonEntry { path, kind }).collect(),
            mounts,
            stand_ins,
            namespaces,
            ids,
            hostname: spec.hostname.clone(),
            umask: spec.umask & 0o777,
            args: spec.args.clone(),
            env: plan_env(spec),
            cwd,
            rlimits: crate::plan::limits::plan_rlimits(&spec.limits),
            cgroup,
            landlock,
            debug: spec.policy.debug,
            listens,
            key: spec.seal.as_ref().map(|_| SESSION_KEY.into()),
            proof: if spec.is_sealed() { Proof::NoNetwork } else { Proof::None },
            home,
            walls,
            guards,
        };
        crate::weaken::plan(&spec.weaken, &mut parts);
        Ok(Self(parts))
    }

    /// A plan as its supervisor has written it down for process 1. Not a way in for anybody else: reading one is this crate's
    /// own, and a guard that is down cannot be read by a release.
    pub(crate) fn from_supervisor<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Parts::deserialize(from).map(Self)
    }

    /// With root's own ids outside, and the wall that says so.
    pub(crate) fn with_root_ids(mut self) -> Self {
        self.0.ids = self.0.ids.as_root();
        let standing = self.0.ids.standing();
        for wall in self.0.walls.iter_mut().filter(|wall| wall.wall == standing.wall) {
            *wall = standing.clone();
        }
        self
    }

    /// Where directories of the host are covered because they could not be looked into for sockets.
    pub fn closed(&self) -> impl Iterator<Item = &Path> {
        let closed = |mount: &&PlannedMount| matches!(mount.kind, MountKind::Closed { .. });
        self.mounts.iter().filter(closed).map(|mount| mount.target.as_path())
    }

    /// Sockets of the host that are covered.
    pub fn covered_sockets(&self) -> impl Iterator<Item = &Path> {
        self.mounts.iter().filter_map(|mount| match &mount.kind {
            MountKind::Socket { source, .. } => Some(source.as_path()),
            _ => None,
        })
    }

    /// Leaves those sockets open of which `is_own` says that a program in a sandbox has them.
    pub(crate) fn with_own_sockets(mut self, mut is_own: impl FnMut(&Path) -> bool) -> Self {
        self.0.mounts.retain(|mount| match &mount.kind {
            MountKind::Socket { source, .. } => !is_own(source),
            _ => true,
        });
        self
    }

    /// Whether a mount of this kind is planned.
    pub fn has(&self, kind: &MountKind) -> bool {
        self.mounts.iter().any(|mount| mount.kind == *kind)
    }
}

/// Where the relay listens. The first route has a second place in images that have its directory.
fn plan_listens(spec: &Spec, root: &RootDirectory) -> Result<Vec<Listen>, Refusal> {
    let mut listens = spec.network.listens();
    if let Network::Routes(routes) = &spec.network {
        for route in routes {
            check_name(&route.route.name)?;
        }
        if let Some(first) = listens.first().map(|listen| listen.route)
            && layout::has_alias(root)?
        {
            listens.push(Listen { route: first, at: Endpoint::Alias(MODEL_ALIAS.into()) });
        }
    }
    Ok(listens)
}

/// The specification's variables, and the proxy's where they are not set.
fn plan_env(spec: &Spec) -> BTreeMap<String, String> {
    let mut env = spec.env.clone();
    if matches!(spec.network, Network::Proxy(_)) {
        for (name, value) in pinfold_network::environment(PROXY_PORT, &spec.hostname) {
            env.entry(name.into()).or_insert(value);
        }
    }
    env
}

fn plan_landlock(
    spec: &Spec,
    probe: &Probe,
    mounts: &[PlannedMount],
    walls: &mut Vec<Standing>,
) -> Result<Option<LandlockPlan>, Refusal> {
    match (spec.policy.landlock, probe.landlock_abi) {
        (Need::Off, _) => {
            walls.push(Standing::off(Wall::Landlock, "switched off by the policy"));
            return Ok(None);
        }
        (Need::Required, None) => return Err(Refusal::NoLandlock),
        (Need::IfAvailable, None) => {
            walls.push(Standing::off(Wall::Landlock, "this kernel has none"));
            return Ok(None);
        }
        (_, Some(abi)) => {
            if spec.policy.connect_ports.is_some() && abi < 4 {
                return Err(Refusal::NoLandlockPorts { abi });
            }
            walls.push(Standing::graded(Wall::Landlock, format!("ABI {abi}")));
        }
    }
    let writable = mounts
        .iter()
        .filter(|mount| mount.access == Access::ReadWrite)
        .filter(|mount| {
            !matches!(
                mount.kind,
                MountKind::Egress | MountKind::Protect | MountKind::Mask | MountKind::Hold(_)
            )
        })
        .map(|mount| mount.target.clone())
        .collect();
    let allowed = spec.mounts.iter().filter(|mount| mount.sockets == Sockets::Allow);
    let mut sockets: Vec<PathBuf> = allowed.map(|mount| mount.target.clone()).collect();
    if matches!(spec.network, Network::Routes(_)) {
        // Made by process 1, which is outside of the domain.
        let alias = Path::new(MODEL_ALIAS).parent().map(Path::to_owned);
        let alias = alias.filter(|alias| mounts.iter().any(|mount| mount.target == *alias));
        sockets.extend([Some(MODEL_SOCKETS.into()), alias].into_iter().flatten());
    }
    Ok(Some(LandlockPlan {
        writable,
        sockets,
        connect_ports: spec.policy.connect_ports.clone(),
        hidden: Vec::new(),
    }))
}
