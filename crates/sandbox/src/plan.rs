//! From [`Spec`] and [`Probe`] to a [`Plan`]: every mount, id, limit and wall of one sandbox, as a value that can be
//! printed and compared with what the kernel then shows.
//!
//! **Guarantees**: a plan that is returned asks only for what the probe found. No mount target passes through a symbolic
//! link of the image, every mount of the host is read-only unless the specification says otherwise, and none shows a Unix
//! socket the user did not name.
//!
//! **Refuses** ([`Refusal`]): a wall that is required and missing, names that are paths, id 0, targets in `/proc`, `/dev`
//! and `/sys`, a working directory in `/proc` (CVE-2024-21626), images whose mount points are links (CVE-2026-41579).

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fmt;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::layers::Layer;
use crate::layers::Wall;
use crate::limits::CgroupPlan;
use crate::limits::Rlimit;
use crate::probe::Probe;
use crate::refusal::Refusal;
use crate::rootfs;
use crate::rootfs::Found;
use crate::rootfs::RootDirectory;
use crate::source::Linked;
use crate::spec::Access;
use crate::spec::Debug as Debugging;
use crate::spec::EGRESS_SOCKET;
use crate::spec::Keep;
use crate::spec::MountSource;
use crate::spec::Need;
use crate::spec::Network;
use crate::spec::PROXY_PORT;
use crate::spec::RoutePort;
use crate::spec::Sockets;
use crate::spec::Spec;

/// Files and directories of a fresh `/proc` that tell about, or act on, the machine: covered.
pub const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/kmsg",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
];

/// Parts of `/proc` that can be read but not written.
pub const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Device nodes of `/dev`, bound from the host.
pub const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Size of `/dev/shm`.
const SHM_BYTES: u64 = 256 << 20;
/// Size of the memory file systems that hold only our own few entries.
const SMALL_BYTES: u64 = 1 << 20;

/// Everything one sandbox is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The sandbox's name.
    pub name: String,
    /// The image on the host.
    pub rootfs: PathBuf,
    /// Directories and files the image lacks as mount points; laid over it by a read-only overlay, parents first.
    pub skeleton: Vec<SkeletonEntry>,
    /// Whether the image may be written to; always read-only but in negative controls.
    pub root_access: Access,
    /// Mounts in the order in which they are made.
    pub mounts: Vec<PlannedMount>,
    /// Namespaces that are new.
    pub namespaces: BTreeSet<Namespace>,
    /// Ids.
    pub ids: Ids,
    /// Name of the machine.
    pub hostname: String,
    /// Program and arguments.
    pub args: Vec<String>,
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
    /// Ports that the relay listens on; empty without a proxy.
    pub listens: Vec<RoutePort>,
    /// Where the home directory is, and what becomes of it.
    pub home: PathBuf,
    /// What is on, and what is not.
    pub layers: Vec<Layer>,
    /// Guards taken away, for negative controls.
    #[cfg(feature = "weaken")]
    pub weaken: BTreeSet<crate::weaken::Weaken>,
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

/// Ids outside and inside. Both outer namespace and sandbox map one id: the caller's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    /// The caller's user id on the host.
    pub host_uid: u32,
    /// The caller's group id on the host.
    pub host_gid: u32,
    /// The user id inside.
    pub uid: u32,
    /// The group id inside.
    pub gid: u32,
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
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountKind {
    /// A path of the host, with what is mounted below; `nosuid,nodev`.
    Host(PathBuf),
    /// The sandbox's own home on the host; `nosuid,nodev`.
    Home,
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
    /// Makes a path read-only, where it exists.
    Protect,
}

/// The second wall.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LandlockPlan {
    /// Trees that may be written to; everything may be read and executed.
    pub writable: Vec<PathBuf>,
    /// TCP ports that may be connected to; `None` for all.
    pub connect_ports: Option<Vec<u16>>,
}

impl fmt::Display for PlannedMount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match self.access {
            Access::ReadOnly => "ro",
            Access::ReadWrite => "rw",
        };
        write!(f, "{} ", self.target.display())?;
        match &self.kind {
            MountKind::Host(source) => write!(f, "{access},nosuid,nodev from {}", source.display()),
            MountKind::Home => write!(f, "{access},nosuid,nodev the sandbox's own home"),
            MountKind::Memory { bytes, mode } => write!(f, "{access},nosuid,nodev memory {bytes} {mode:04o}"),
            MountKind::Proc => write!(f, "rw,nosuid,nodev,noexec proc"),
            MountKind::Terminals => write!(f, "rw,nosuid,noexec devpts"),
            MountKind::Queues => write!(f, "rw,nosuid,nodev,noexec mqueue"),
            MountKind::Device(source) => write!(f, "nosuid,noexec device {}", source.display()),
            MountKind::Egress => write!(f, "nosuid,nodev,noexec socket to the supervisor"),
            MountKind::Mask => write!(f, "masked"),
            MountKind::Protect => write!(f, "ro"),
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
        for layer in &self.layers {
            writeln!(f, "  {layer}")?;
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
        if spec.args.first().is_none_or(String::is_empty) {
            return Err(Refusal::NoProgram);
        }
        check_strings(spec)?;
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
        crate::source::refuse_links(spec, &layout.links, &layout.mounts)?;
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
        let listens = match &spec.network {
            Network::None => Vec::new(),
            Network::Proxy(egress) => egress.listens(),
            Network::Host => {
                namespaces.remove(&Namespace::Network);
                Vec::new()
            }
        };
        let mut layers: Vec<Layer> = vec![Layer::user_namespaces(probe.uid), Layer::on(Wall::Capabilities)];
        layers.push(Layer::on(Wall::ReadOnlyRoot));
        layers.push(Layer::on(Wall::Seccomp));
        layers.push(match spec.network {
            Network::Host => Layer::off(Wall::Network, "the host's network was asked for"),
            _ => Layer::on(Wall::Network),
        });
        let landlock = plan_landlock(spec, probe, &mounts, &mut layers)?;
        let cgroup = crate::limits::plan_cgroup(spec, probe, &mut layers)?;
        #[cfg_attr(not(feature = "weaken"), expect(unused_mut, reason = "changed by negative controls"))]
        let mut plan = Self {
            name: spec.name.clone(),
            rootfs,
            root_access: Access::ReadOnly,
            skeleton: skeleton.into_iter().map(|(path, kind)| SkeletonEntry { path, kind }).collect(),
            mounts,
            namespaces,
            ids: Ids { host_uid: probe.uid, host_gid: probe.gid, uid: spec.user.uid, gid: spec.user.gid },
            hostname: spec.hostname.clone(),
            args: spec.args.clone(),
            env: plan_env(spec),
            cwd,
            rlimits: crate::limits::plan_rlimits(&spec.limits),
            cgroup,
            landlock,
            debug: spec.policy.debug,
            listens,
            home,
            layers,
            #[cfg(feature = "weaken")]
            weaken: spec.weaken.clone(),
        };
        #[cfg(feature = "weaken")]
        crate::weaken::edit(&mut plan);
        Ok(plan)
    }

    /// Whether a mount of this kind is planned.
    pub fn has(&self, kind: &MountKind) -> bool {
        self.mounts.iter().any(|mount| mount.kind == *kind)
    }

    /// Whether a guard is in force: always, but in negative controls.
    #[cfg_attr(not(feature = "weaken"), expect(clippy::unused_self, reason = "read by negative controls"))]
    pub(crate) fn guarded(&self, guard: Guard) -> bool {
        #[cfg(feature = "weaken")]
        return !self.weaken.iter().any(|weaken| weaken.guard() == Some(guard));
        #[cfg(not(feature = "weaken"))]
        {
            let _ = guard;
            true
        }
    }
}

/// A guard that is a step of the start rather than a value of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    Capabilities,
    InnerUserNamespace,
    NestedNamespaces,
    NoNewPrivileges,
    Seccomp,
    Descriptors,
    Session,
    HiddenInit,
    ProtectedProgram,
}

/// A sandbox's name: it is a directory, a part of a socket's path and of a cgroup's.
pub fn check_name(name: &str) -> Result<(), Refusal> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"@._-".contains(&byte);
    let good = (1..=64).contains(&name.len())
        && name.as_bytes()[0].is_ascii_alphanumeric()
        && name.bytes().all(allowed);
    if good { Ok(()) } else { Err(Refusal::Name(name.chars().take(80).collect())) }
}

/// No NUL may reach `execve`, and a variable's name has no `=`.
fn check_strings(spec: &Spec) -> Result<(), Refusal> {
    let bad = |text: &str| text.contains('\0');
    if spec.args.iter().any(|arg| bad(arg)) {
        return Err(Refusal::Nul("argument"));
    }
    if spec.env.iter().any(|(name, value)| name.is_empty() || name.contains('=') || bad(name) || bad(value)) {
        return Err(Refusal::Nul("variable"));
    }
    let host = &spec.hostname;
    if !(1..=64).contains(&host.len())
        || !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
    {
        return Err(Refusal::Hostname(host.chars().take(80).collect()));
    }
    Ok(())
}

/// An absolute path of plain names; the form in which paths are compared.
fn clean(what: &'static str, path: &Path) -> Result<PathBuf, Refusal> {
    let wrong = || Refusal::Path { what, path: path.to_owned() };
    if path.to_str().is_none_or(|text| text.contains('\0')) || !path.is_absolute() {
        return Err(wrong());
    }
    let mut out = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::RootDir => {}
            Component::Normal(name) => out.push(name),
            _ => return Err(wrong()),
        }
    }
    Ok(out)
}

/// The specification's variables, and the proxy's where they are not set.
fn plan_env(spec: &Spec) -> BTreeMap<String, String> {
    let mut env = spec.env.clone();
    if matches!(spec.network, Network::Proxy(_)) {
        let proxy = format!("http://127.0.0.1:{PROXY_PORT}");
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
            env.entry(name.into()).or_insert_with(|| proxy.clone());
        }
        for name in ["NO_PROXY", "no_proxy"] {
            env.entry(name.into()).or_insert_with(|| "127.0.0.1,localhost,::1".into());
        }
    }
    #[cfg(feature = "weaken")]
    for guard in &spec.weaken {
        if let crate::weaken::Weaken::HostEnvironment(names) = guard {
            env.extend(names.iter().filter_map(|name| Some((name.clone(), std::env::var(name).ok()?))));
        }
    }
    env
}

fn plan_landlock(
    spec: &Spec,
    probe: &Probe,
    mounts: &[PlannedMount],
    layers: &mut Vec<Layer>,
) -> Result<Option<LandlockPlan>, Refusal> {
    match (spec.policy.landlock, probe.landlock_abi) {
        (Need::Off, _) => {
            layers.push(Layer::off(Wall::Landlock, "switched off by the policy"));
            return Ok(None);
        }
        (Need::Required, None) => return Err(Refusal::NoLandlock),
        (Need::IfAvailable, None) => {
            layers.push(Layer::off(Wall::Landlock, "this kernel has none"));
            return Ok(None);
        }
        (_, Some(abi)) => {
            if spec.policy.connect_ports.is_some() && abi < 4 {
                return Err(Refusal::NoLandlockPorts { abi });
            }
            layers.push(Layer::graded(Wall::Landlock, format!("ABI {abi}")));
        }
    }
    let writable = mounts
        .iter()
        .filter(|mount| mount.access == Access::ReadWrite)
        .filter(|mount| !matches!(mount.kind, MountKind::Egress | MountKind::Protect | MountKind::Mask))
        .map(|mount| mount.target.clone())
        .collect();
    Ok(Some(LandlockPlan { writable, connect_ports: spec.policy.connect_ports.clone() }))
}

/// The mounts while they are collected.
struct Layout<'a> {
    root: &'a RootDirectory,
    mounts: Vec<PlannedMount>,
    skeleton: BTreeMap<PathBuf, SkeletonKind>,
    links: Vec<Linked>,
}

impl Layout<'_> {
    fn add(&mut self, target: impl Into<PathBuf>, kind: MountKind, access: Access) {
        self.mounts.push(PlannedMount { target: target.into(), kind, access });
    }

    /// What every sandbox has.
    fn standard(&mut self, spec: &Spec, home: &Path) -> Result<(), Refusal> {
        let memory = |bytes, mode| MountKind::Memory { bytes, mode };
        self.add("/dev", memory(SMALL_BYTES, 0o755), Access::ReadOnly);
        for name in DEVICES {
            self.add(
                Path::new("/dev").join(name),
                MountKind::Device(Path::new("/dev").join(name)),
                Access::ReadWrite,
            );
        }
        self.add("/dev/pts", MountKind::Terminals, Access::ReadWrite);
        self.add("/dev/shm", memory(SHM_BYTES, 0o1777), Access::ReadWrite);
        self.add("/dev/mqueue", MountKind::Queues, Access::ReadWrite);
        self.add("/proc", MountKind::Proc, Access::ReadWrite);
        for path in READ_ONLY {
            self.add(path, MountKind::Protect, Access::ReadOnly);
        }
        for path in MASKED {
            self.add(path, MountKind::Mask, Access::ReadOnly);
        }
        self.add("/tmp", memory(spec.tmp_bytes, 0o1777), Access::ReadWrite);
        self.add("/run", memory(SMALL_BYTES, 0o755), Access::ReadOnly);
        if matches!(spec.network, Network::Proxy(_)) {
            self.add(EGRESS_SOCKET, MountKind::Egress, Access::ReadWrite);
        }
        reserved("home directory", home)?;
        let kind = match spec.home.keep {
            Keep::Home | Keep::Run => MountKind::Home,
            Keep::Nothing => memory(spec.tmp_bytes, 0o700),
        };
        self.add(home, kind, Access::ReadWrite);
        Ok(())
    }

    /// One mount of the specification.
    fn user(&mut self, mount: &crate::spec::Mount) -> Result<(), Refusal> {
        let target = clean("mount target", &mount.target)?;
        reserved("mount target", &target)?;
        if self.mounts.iter().any(|other| other.target == target) {
            return Err(Refusal::Twice(target));
        }
        let kind = match &mount.source {
            MountSource::Memory(bytes) => MountKind::Memory { bytes: *bytes, mode: 0o755 },
            MountSource::Host(path) => {
                clean("mount source", path)?;
                let failed = |source| Refusal::Source { path: path.clone(), source };
                let resolved = crate::source::resolve(path).map_err(failed)?;
                self.links.extend(resolved.links.into_iter().map(|link| Linked { path: path.clone(), link }));
                let source = resolved.real;
                clean("mount source", &source)?;
                if source == Path::new("/") {
                    return Err(Refusal::Reserved { what: "mount source", path: source });
                }
                if mount.sockets == Sockets::Refuse
                    && let Some(socket) = rootfs::first_socket(&source)
                        .map_err(|error| Refusal::Scan { path: source.clone(), source: error })?
                {
                    return Err(Refusal::Socket { mount: source, socket });
                }
                MountKind::Host(source)
            }
        };
        self.add(target, kind, mount.access);
        Ok(())
    }

    /// Outer mounts before inner ones; otherwise the order of the list.
    fn sort(&mut self) {
        self.mounts.sort_by_key(|mount| mount.target.components().count());
    }

    /// Looks at each target and notes what the image lacks.
    fn skeleton(&mut self) -> Result<(), Refusal> {
        for (index, mount) in self.mounts.iter().enumerate() {
            let covered = self.mounts[..index].iter().any(|outer| mount.target.starts_with(&outer.target));
            if covered {
                continue;
            }
            let wants = match &mount.kind {
                MountKind::Host(source) if !source.is_dir() => SkeletonKind::File,
                _ => SkeletonKind::Directory(0o755),
            };
            let found = self.root.look(&mount.target)?;
            match (found, wants) {
                (Found::Directory(_), SkeletonKind::Directory(_)) | (Found::File, SkeletonKind::File) => {}
                (Found::Missing, _) => {
                    for parent in mount.target.ancestors().skip(1) {
                        let mode = match self.root.look(parent)? {
                            Found::Directory(mode) => mode,
                            _ => 0o755,
                        };
                        self.skeleton.insert(parent.to_owned(), SkeletonKind::Directory(mode));
                    }
                    self.skeleton.insert(mount.target.clone(), wants);
                }
                _ => return Err(Refusal::TargetKind(mount.target.clone())),
            }
        }
        Ok(())
    }
}

/// Places that are the sandbox's own.
fn reserved(what: &'static str, path: &Path) -> Result<(), Refusal> {
    let below = ["/proc", "/dev", "/sys", "/run/pinfold"].iter().any(|taken| path.starts_with(taken));
    if below || ["/", "/run", "/tmp"].iter().any(|taken| path == Path::new(taken)) {
        return Err(Refusal::Reserved { what, path: path.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Cgroups;
    use crate::spec::Mount;

    struct Image(tempfile::TempDir);

    impl Image {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            for name in ["dev", "proc", "tmp", "run", "home/agent", "usr"] {
                fs_err::create_dir_all(dir.path().join(name)).unwrap();
            }
            Self(dir)
        }

        fn link(&self, name: &str, target: &str) {
            let path = self.0.path().join(name);
            let _ = fs_err::remove_dir(&path);
            std::os::unix::fs::symlink(target, path).unwrap();
        }

        fn spec(&self) -> Spec {
            Spec::new("a", self.0.path(), vec!["true".into()])
        }

        fn plan(&self, change: impl FnOnce(&mut Spec)) -> Result<Plan, Refusal> {
            let mut spec = self.spec();
            change(&mut spec);
            Plan::new(&spec, &probe())
        }
    }

    fn probe() -> Probe {
        Probe {
            kernel: String::new(),
            uid: 1001,
            gid: 1001,
            user_namespaces: Ok(()),
            landlock_abi: Some(6),
            cgroups: Cgroups::None("test".into()),
            tun: false,
        }
    }

    /// Row U2, CVE-2026-41579.
    #[test]
    fn links_at_mount_points_are_refused() {
        for name in ["dev", "proc", "tmp", "run", "home"] {
            let image = Image::new();
            let _ = fs_err::remove_dir(image.0.path().join("home/agent"));
            image.link(name, "/etc");
            let refusal = image.plan(|_| ()).unwrap_err();
            let expected = Path::new("/").join(name);
            assert!(
                matches!(&refusal, Refusal::LinkInImage { link, .. } if *link == expected),
                "{name}: {refusal}"
            );
        }
        let image = Image::new();
        image.link("work", "/tmp");
        let refusal =
            image.plan(|spec| spec.mounts.push(Mount::read_only("/usr", "/work/deep"))).unwrap_err();
        assert!(matches!(refusal, Refusal::LinkInImage { .. }));
    }

    /// Row P12, CVE-2024-21626.
    #[test]
    fn a_working_directory_in_proc_is_refused() {
        for cwd in ["/proc/self/fd/7", "/proc/1/cwd", "/dev/fd/7", "relative", "/a/../proc"] {
            let refusal = Image::new().plan(|spec| spec.cwd = cwd.into()).unwrap_err();
            assert!(matches!(refusal, Refusal::Reserved { .. } | Refusal::Path { .. }), "{cwd}: {refusal}");
        }
    }

    #[test]
    fn places_of_the_sandbox_are_refused_as_targets() {
        for target in [
            "/",
            "/proc",
            "/proc/sys",
            "/dev/shm",
            "/sys/fs",
            "/run/pinfold/x",
            "/run",
            "/tmp",
            "a",
            "/a/../b",
        ] {
            let plan = Image::new().plan(|spec| spec.mounts.push(Mount::read_only("/usr", target)));
            assert!(matches!(plan, Err(Refusal::Reserved { .. } | Refusal::Path { .. })), "{target}");
        }
        let twice = Image::new().plan(|spec| {
            spec.mounts.extend([Mount::read_only("/usr", "/a"), Mount::read_only("/etc", "/a")]);
        });
        assert!(matches!(twice, Err(Refusal::Twice(_))));
        let whole = Image::new().plan(|spec| spec.mounts.push(Mount::read_only("/", "/host")));
        assert!(matches!(whole, Err(Refusal::Reserved { .. })));
    }

    #[test]
    fn missing_mount_points_become_a_skeleton() {
        let source = tempfile::tempdir().unwrap();
        let file = source.path().join("file");
        fs_err::write(&file, "").unwrap();
        let plan = Image::new()
            .plan(|spec| {
                spec.mounts.push(Mount::writable(source.path(), "/home/me/project"));
                spec.mounts.push(Mount::read_only(&file, "/opt/tool"));
                // Below memory and below another mount nothing is missing in the image.
                spec.mounts.push(Mount::read_only(source.path(), "/tmp/inner"));
                spec.mounts.push(Mount::read_only(source.path(), "/home/agent/inner"));
            })
            .unwrap();
        let made: Vec<_> = plan.skeleton.iter().map(|entry| entry.path.to_str().unwrap()).collect();
        assert_eq!(made, ["/", "/home", "/home/me", "/home/me/project", "/opt", "/opt/tool"]);
        assert_eq!(plan.skeleton[5].kind, SkeletonKind::File);
    }

    #[test]
    fn inner_mounts_come_after_outer_ones() {
        let plan = Image::new()
            .plan(|spec| {
                spec.mounts.push(Mount::read_only("/usr", "/work/a/b"));
                spec.mounts.push(Mount::read_only("/etc", "/work"));
            })
            .unwrap();
        for (index, mount) in plan.mounts.iter().enumerate() {
            let later = &plan.mounts[index + 1..];
            assert!(
                later.iter().all(|other| !mount.target.starts_with(&other.target)),
                "{}",
                mount.target.display()
            );
        }
    }

    /// Row M1: a wall that is required and missing is a refusal.
    #[test]
    fn a_missing_wall_is_a_refusal_or_stated() {
        let image = Image::new();
        let mut weak = probe();
        weak.landlock_abi = None;
        let mut spec = image.spec();
        assert!(matches!(Plan::new(&spec, &weak), Err(Refusal::NoLandlock)));
        spec.policy.landlock = Need::IfAvailable;
        let plan = Plan::new(&spec, &weak).unwrap();
        assert!(plan.layers.iter().any(|layer| layer.wall == Wall::Landlock && !layer.on));
        weak.user_namespaces = Err(crate::probe::NamespaceProblem::AppArmor);
        let refusal = Plan::new(&spec, &weak).unwrap_err();
        let hint = pinfold_base::Diagnose::hint(&refusal).unwrap();
        assert!(hint.contains("profile pinfold") && hint.contains("userns,"), "{hint}");
    }

    #[test]
    fn nobody_is_root_inside() {
        assert!(matches!(Image::new().plan(|spec| spec.user.uid = 0), Err(Refusal::RootInside)));
        assert!(matches!(Image::new().plan(|spec| spec.user.gid = 0), Err(Refusal::RootInside)));
    }

    #[test]
    fn strings_the_kernel_cannot_pass_on_are_refused() {
        assert!(matches!(Image::new().plan(|spec| spec.args.push("a\0b".into())), Err(Refusal::Nul(_))));
        let name = Image::new().plan(|spec| drop(spec.env.insert("A=B".into(), "c".into())));
        assert!(matches!(name, Err(Refusal::Nul(_))));
        assert!(matches!(Image::new().plan(|spec| spec.args.clear()), Err(Refusal::NoProgram)));
        assert!(matches!(Image::new().plan(|spec| spec.hostname = "a/b".into()), Err(Refusal::Hostname(_))));
    }

    #[test]
    fn the_proxy_is_in_the_environment_unless_set() {
        let plan = Image::new().plan(|spec| drop(spec.env.insert("NO_PROXY".into(), "x".into()))).unwrap();
        assert_eq!(plan.env["HTTPS_PROXY"], "http://127.0.0.1:3128");
        assert_eq!(plan.env["NO_PROXY"], "x");
        let plan = Image::new().plan(|spec| spec.network = Network::None).unwrap();
        assert!(!plan.env.contains_key("HTTPS_PROXY") && plan.listens.is_empty());
    }

    #[test]
    fn every_mount_of_the_host_is_read_only_unless_said() {
        let plan = Image::new().plan(|spec| spec.mounts.push(Mount::read_only("/usr", "/work"))).unwrap();
        let host: Vec<_> = plan
            .mounts
            .iter()
            .filter(|mount| matches!(mount.kind, MountKind::Host(_)))
            .map(ToString::to_string)
            .collect();
        assert_eq!(host, ["/work ro,nosuid,nodev from /usr"]);
    }
}
