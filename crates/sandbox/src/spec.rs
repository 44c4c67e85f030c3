//! What a sandbox is asked to be: plain data, kept as `spec.json` beside the sandbox.
//!
//! A [`Spec`] names things of the host by path and does no I/O; [`crate::plan`] turns it into steps and refuses what must
//! not be. All defaults are the strict ones: mounts read-only, sockets refused, no network but the proxy, each wall
//! required.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use pinfold_network::AllowList;
use pinfold_network::Credential;
use pinfold_network::Endpoint;
use pinfold_network::JournalConfig;
use pinfold_network::Listen;
use pinfold_network::ProxyConfig;
use pinfold_network::RouteId;
use pinfold_network::RouteSpec;
use pinfold_network::RuleError;
use serde::Deserialize;
use serde::Serialize;

use crate::plan::guards::Guards;
use crate::weaken::Weaken;

/// Port inside the sandbox on which the allow-listed proxy listens.
pub const PROXY_PORT: u16 = 3128;

/// The directory inside that is ours; nothing in it can be changed from there, but in a sealed sandbox, whose program takes its
/// key away there.
pub(crate) const OWN_DIRECTORY: &str = "/run/pinfold";
/// Where the one socket to the supervisor appears inside.
pub const EGRESS_SOCKET: &str = "/run/pinfold/egress.sock";
/// Where the sockets of routes are, `NAME.sock` each ([`Network::Routes`]).
pub const MODEL_SOCKETS: &str = "/run/pinfold/model";
/// Where the first of them is found too, by programs that know this place: in images that have its directory.
pub const MODEL_ALIAS: &str = "/run/ironclaw/modelproxy.sock";
/// Where the session key of a sealed sandbox is, until its program takes it ([`Seal`]).
pub const SESSION_KEY: &str = "/run/pinfold/session.key";

/// One sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// Its name: 1 to 64 of `A-Za-z0-9@._-`, beginning with a letter or digit.
    pub name: String,
    /// The unpacked image on the host; never written to.
    pub rootfs: PathBuf,
    /// The program and its arguments. A name without `/` is looked up in the `PATH` of [`Spec::env`], inside.
    #[serde(with = "crate::words")]
    pub args: Vec<OsString>,
    /// The whole environment: nothing of the caller's is added.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Directory to start in, absolute, inside.
    pub cwd: PathBuf,
    /// Who the program is, inside.
    #[serde(default)]
    pub user: Ids,
    /// Name of the machine, inside.
    #[serde(default = "default_hostname")]
    pub hostname: String,
    /// Permission bits that files made inside do not have (umask(2)).
    #[serde(default = "default_umask")]
    pub umask: u32,
    /// The home directory.
    pub home: HomeDirectory,
    /// Files of a home on the disk that are changed before the start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub home_edits: Vec<HomeEdit>,
    /// Further mounts, the workspace among them.
    #[serde(default)]
    pub mounts: Vec<Mount>,
    /// Paths of the host that stay as they are, wherever a mount shows them writable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protect: Vec<Protected>,
    /// Directories of the host that stay where they are and can be written to all the same: a path of the host leads through
    /// each and up again (`..`), and would lead elsewhere through another one. Absolute, as those of `protect`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hold: Vec<PathBuf>,
    /// Which directories stood where in what can be written to, for whoever looks for changes afterwards. Not interpreted.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stood: String,
    /// Size of `/tmp` in bytes.
    #[serde(default = "default_tmp")]
    pub tmp_bytes: u64,
    /// The way out.
    #[serde(default)]
    pub network: Network,
    /// What it may use up.
    #[serde(default)]
    pub limits: Limits,
    /// Walls that can be chosen.
    #[serde(default)]
    pub policy: Walls,
    /// The session key of a sealed sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<Seal>,
    /// Where and as what a container runtime knows the image, for [`Runtime::Containerd`](crate::Runtime::Containerd).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<Node>,
    /// What happens when its program ends, where a supervisor holds it that nobody attends.
    #[serde(default, skip_serializing_if = "Restart::is_never")]
    pub restart: Restart,
    /// For `ps`: agent, image, workspace. Not interpreted.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Guards taken away, for negative controls. A release has no value to put in here ([`crate::weaken`]).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub weaken: BTreeSet<Weaken>,
}

fn default_hostname() -> String {
    "sandbox".into()
}

pub(crate) const fn default_umask() -> u32 {
    0o022
}

const fn default_tmp() -> u64 {
    1 << 30
}

impl Spec {
    /// A sandbox with every default: home `/home/agent` in memory, start there, no mounts, the proxy with an empty
    /// allow-list.
    pub fn new(name: impl Into<String>, rootfs: impl Into<PathBuf>, args: Vec<OsString>) -> Self {
        Self {
            name: name.into(),
            rootfs: rootfs.into(),
            args,
            env: BTreeMap::from([
                ("PATH".into(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into()),
                ("HOME".into(), "/home/agent".into()),
            ]),
            cwd: "/home/agent".into(),
            user: Ids::default(),
            hostname: default_hostname(),
            umask: default_umask(),
            home: HomeDirectory { target: "/home/agent".into(), keep: Keep::Nothing },
            home_edits: Vec::new(),
            mounts: Vec::new(),
            protect: Vec::new(),
            hold: Vec::new(),
            stood: String::new(),
            tmp_bytes: default_tmp(),
            network: Network::default(),
            limits: Limits::default(),
            policy: Walls::default(),
            seal: None,
            node: None,
            restart: Restart::Never,
            labels: BTreeMap::new(),
            weaken: BTreeSet::new(),
        }
    }

    /// Whether it has a key of its own or routes alone: then nothing but its sockets leads out, which is proved at the start.
    pub const fn is_sealed(&self) -> bool {
        self.seal.is_some() || matches!(self.network, Network::Routes(_))
    }

    /// The guards of whatever is made from this.
    pub(crate) fn guards(&self) -> Guards {
        crate::weaken::guards(&self.weaken)
    }
}

/// A container runtime, and the image there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its socket.
    pub socket: PathBuf,
    /// The image's id.
    pub image: String,
}

/// What a sealed sandbox has that others have not: a key that its program takes away as soon as it has read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    /// The key's file on the host: absolute, the caller's own, mode 0600, [`KEY_LENGTH`] bytes. Read at each start; inside it is at
    /// [`SESSION_KEY`], mode 0400.
    pub key: PathBuf,
}

/// Bytes of a session key.
pub const KEY_LENGTH: usize = 32;

/// What happens when the program of a lasting sandbox ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// The sandbox ends.
    #[default]
    Never,
    /// It is started again after what may pass (codes 65, 69 and 75, other signals than those that were asked for), in growing
    /// intervals and not for ever.
    OnFailure,
}

impl Restart {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    fn is_never(&self) -> bool {
        *self == Self::Never
    }
}

/// Ids inside the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ids {
    /// User id, never 0.
    pub uid: u32,
    /// Group id, never 0.
    pub gid: u32,
}

impl Default for Ids {
    fn default() -> Self {
        Self { uid: 1000, gid: 1000 }
    }
}

/// The home directory, seeded from the image's directory of the same path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HomeDirectory {
    /// Where, inside.
    pub target: PathBuf,
    /// Whether it outlives the run.
    pub keep: Keep,
}

/// A change to a file of the home, made when a sandbox starts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HomeEdit {
    /// The file, relative to the home.
    pub path: PathBuf,
    /// What stands there.
    pub change: Change,
    /// Whether it is to stand there, or to be taken away.
    pub is_there: bool,
}

/// What stands in a file of the home.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Text before and after what else is there.
    Around {
        /// Before.
        before: String,
        /// After.
        after: String,
    },
    /// Keys of a JSON object, among others.
    Keys(serde_json::Value),
    /// What of this text is missing: keys of JSON at every depth, else all of it where there is nothing.
    Missing(String),
    /// A text instead of what is there.
    Whole {
        /// The text.
        text: String,
        /// What takes its place again.
        without: String,
    },
}

/// What happens to the home directory after the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// Kept in the sandbox's folder until the sandbox is removed.
    Home,
    /// Kept in the sandbox's folder for the run; the folder goes with it.
    Run,
    /// In memory (at most [`Spec::tmp_bytes`]), gone with the run, as is the folder. It starts empty.
    Nothing,
}

impl Keep {
    /// Whether the home is a directory of the host, seeded from the image.
    pub const fn on_disk(self) -> bool {
        matches!(self, Self::Home | Self::Run)
    }
}

/// One directory or file of the host, or memory, made visible inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// From where.
    pub source: MountSource,
    /// To where, absolute, inside. No component may be a symbolic link.
    pub target: PathBuf,
    /// Read-only unless said otherwise.
    #[serde(default)]
    pub access: Access,
    /// Whether programs on it can be executed.
    #[serde(default, skip_serializing_if = "Exec::is_allowed")]
    pub exec: Exec,
    /// What to do about Unix sockets below it.
    #[serde(default)]
    pub sockets: Sockets,
    /// Device and inode of what was judged at the source's path, where somebody has: anything else there is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<(u64, u64)>,
}

impl Mount {
    /// A directory or file of the host, read-only.
    pub fn read_only(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self {
            source: MountSource::Host(source.into()),
            target: target.into(),
            access: Access::ReadOnly,
            exec: Exec::Allowed,
            sockets: Sockets::Refuse,
            judged: None,
        }
    }

    /// A directory or file of the host that may be written to.
    pub fn writable(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self { access: Access::ReadWrite, ..Self::read_only(source, target) }
    }
}

/// A path of the host that a sandbox neither changes nor makes, whatever may be written around it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Protected {
    /// Absolute. No component below a mount's source may be a symbolic link.
    pub path: PathBuf,
    /// What stands there while it is missing.
    #[serde(default)]
    pub missing: StandIn,
    /// How the user calls it, to leave it out.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

impl Protected {
    /// One that nobody has to call by a name.
    pub fn new(path: impl Into<PathBuf>, missing: StandIn) -> Self {
        Self { path: path.into(), missing, name: String::new() }
    }
}

/// What stands in the place of a path that is missing for as long as the sandbox runs: a mount needs something to be on.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StandIn {
    /// An empty directory outside, and inside one that holds nothing but a `.gitignore` for everything. Git sees neither.
    #[default]
    Directory,
    /// An empty file, outside and inside. Git sees both.
    File,
    /// A file with this text, outside and inside.
    Text(String),
    /// Nothing: it can be made, and is told at the end with the name of who obeys it. Once it is there it is kept like any other.
    Watched(String),
}

/// Where a mount comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MountSource {
    /// A path of the host, with what is mounted below it.
    Host(PathBuf),
    /// Memory of at most so many bytes, empty.
    Memory(u64),
    /// The image's own directory at the target. What is written there is kept elsewhere, and the image stays as it is.
    Image(Written),
}

/// A directory of the image that is written to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Which image: a name without `/`. What was written over another image's is not shown.
    pub image: String,
    /// Paths below it that are the program's own from the beginning, whoever has them in the image: these with all that is in them.
    pub whole: Vec<PathBuf>,
    /// And these directories without what is in them.
    pub alone: Vec<PathBuf>,
    /// Where what is written goes.
    pub kept: Kept,
}

/// Where what is written over an image's directory is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
    /// In the sandbox's folder, and gone with it: laid over the image's directory where kernel and runtime can, a copy of it otherwise.
    Sandbox,
    /// In this directory of the host: a copy, which further sandboxes may have at the same time.
    Shared(PathBuf),
}

/// Whether a mount may be written to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// No.
    #[default]
    ReadOnly,
    /// Yes.
    ReadWrite,
}

/// Whether programs on a mount can be executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exec {
    /// Yes: compilers and package managers write programs.
    #[default]
    Allowed,
    /// No.
    Denied,
}

impl Exec {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
    pub(crate) fn is_allowed(&self) -> bool {
        *self == Self::Allowed
    }
}

/// What to do about a Unix socket below a mount. A read-only mount does not stop connections to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sockets {
    /// Refuse to start.
    #[default]
    Refuse,
    /// The user named it.
    Allow,
}

/// The way out of the sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// Loopback only.
    None,
    /// Loopback, and the supervisor's proxy behind it.
    Proxy(Egress),
    /// Loopback on which nobody of ours listens, and a Unix socket below [`MODEL_SOCKETS`] for each route, by its name.
    Routes(Vec<CredentialRoute>),
    /// The host's network: no wall at all.
    Host,
}

impl Default for Network {
    fn default() -> Self {
        Self::Proxy(Egress::default())
    }
}

impl Network {
    /// One word for `ps`.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Proxy(_) => "proxy",
            Self::Routes(_) => "routes",
            Self::Host => "host",
        }
    }

    /// What the supervisor lets through, where it does.
    pub fn egress(&self) -> Option<Egress> {
        match self {
            Self::None | Self::Host => None,
            Self::Proxy(egress) => Some(egress.clone()),
            Self::Routes(routes) => Some(Egress { allow: Vec::new(), routes: routes.clone() }),
        }
    }

    /// All that is listened on inside: ports of the proxy and of its routes, or sockets.
    pub fn listens(&self) -> Vec<Listen> {
        match self {
            Self::None | Self::Host => Vec::new(),
            Self::Proxy(egress) => {
                let proxy = Listen { route: RouteId::PROXY, at: Endpoint::Port(PROXY_PORT) };
                let port = |route: &CredentialRoute| Listen {
                    route: route.route.id,
                    at: Endpoint::Port(route.route.listen_port),
                };
                std::iter::once(proxy).chain(egress.routes.iter().map(port)).collect()
            }
            Self::Routes(routes) => {
                let socket = |route: &CredentialRoute| Listen {
                    route: route.route.id,
                    at: Endpoint::Socket(model_socket(&route.route.name)),
                };
                routes.iter().map(socket).collect()
            }
        }
    }
}

/// Where the socket of a route is, inside.
pub fn model_socket(route: &str) -> PathBuf {
    PathBuf::from(MODEL_SOCKETS).join(format!("{route}.sock"))
}

/// What the proxy lets through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Egress {
    /// Rules in the spelling of [`pinfold_network::Rule`]; empty lets nothing through.
    #[serde(default)]
    pub allow: Vec<String>,
    /// Routes that add a key on the way.
    #[serde(default)]
    pub routes: Vec<CredentialRoute>,
}

/// A route to a provider, and where its key comes from. The key itself is never part of a specification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialRoute {
    /// The route.
    pub route: RouteSpec,
    /// Where the supervisor finds the key.
    pub key: Credential,
}

impl Egress {
    /// What the supervisor's proxy is made from; decisions go to `journal`.
    pub fn proxy(&self, journal: JournalConfig) -> Result<ProxyConfig, RuleError> {
        Ok(ProxyConfig {
            allow: AllowList::parse(self.allow.iter().map(String::as_str))?,
            routes: self.routes.iter().map(|route| (route.route.clone(), route.key.clone())).collect(),
            journal: Some(journal),
            ..ProxyConfig::default()
        })
    }
}

/// What a sandbox may use up. `None` leaves the machine's own limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Bytes of memory, swap included.
    #[serde(default)]
    pub memory: Option<u64>,
    /// Thousandths of a processor.
    #[serde(default)]
    pub cpu_milli: Option<u32>,
    /// Processes and threads.
    #[serde(default = "default_processes")]
    pub processes: Option<u32>,
    /// Open files of one process.
    #[serde(default = "default_files")]
    pub open_files: Option<u64>,
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's type")]
const fn default_processes() -> Option<u32> {
    Some(4096)
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's type")]
const fn default_files() -> Option<u64> {
    Some(65536)
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory: None, cpu_milli: None, processes: default_processes(), open_files: default_files() }
    }
}

/// Walls that can be chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Walls {
    /// The second wall around files.
    pub landlock: Need,
    /// Whether limits must be enforced by cgroups.
    pub cgroup: Need,
    /// That a sandbox which root starts has ids outside that are nobody's, not root's. For that, every file system it is
    /// shown must be able to map ids.
    pub stand_in: Need,
    /// Debuggers: `ptrace` and its relatives, among the sandbox's own processes.
    pub debug: Debug,
    /// TCP ports the program may connect to, enforced by Landlock. `None` leaves that to the network namespace: agents
    /// talk to servers of their own on loopback.
    pub connect_ports: Option<Vec<u16>>,
}

impl Default for Walls {
    fn default() -> Self {
        Self {
            landlock: Need::Required,
            cgroup: Need::IfAvailable,
            stand_in: Need::Required,
            debug: Debug::Denied,
            connect_ports: None,
        }
    }
}

/// How much a wall is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// Refuse to start without it.
    Required,
    /// Use it where the machine has it, and report which.
    IfAvailable,
    /// Do without.
    Off,
}

/// Whether debuggers work inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Debug {
    /// `ptrace` and `process_vm_*` are refused.
    #[default]
    Denied,
    /// They work within the sandbox.
    Allowed,
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    #[test]
    fn defaults_are_strict() {
        let spec: Spec = serde_json::from_str(
            r#"{"name":"a","rootfs":"/r","args":["true"],"cwd":"/","home":{"target":"/home/agent","keep":"nothing"},
                "mounts":[{"source":{"host":"/w"},"target":"/w"}]}"#,
        )
        .unwrap();
        assert_eq!(spec.network, Network::Proxy(Egress::default()));
        assert_eq!(spec.mounts[0].access, Access::ReadOnly);
        assert_eq!(spec.mounts[0].sockets, Sockets::Refuse);
        assert_eq!(spec.policy.landlock, Need::Required);
        assert_eq!(spec.user, Ids { uid: 1000, gid: 1000 });
    }

    #[test]
    fn unknown_keys_are_refused() {
        let text = r#"{"name":"a","rootfs":"/r","args":[],"cwd":"/","home":{"target":"/h","keep":"home"},"mount":[]}"#;
        assert!(
            serde_json::from_str::<Spec>(text).unwrap_err().to_string().contains("unknown field `mount`")
        );
    }

    #[test]
    fn json_round_trips() {
        let mut spec = Spec::new("a@b", "/r", vec!["true".into()]);
        spec.mounts.push(Mount::writable("/w", "/workspace"));
        spec.network = Network::Host;
        spec.seal = Some(Seal { key: "/k".into() });
        spec.restart = Restart::OnFailure;
        spec.args.push(OsString::from_vec(vec![b'a', 0xff]));
        let text = serde_json::to_string(&spec).unwrap();
        assert!(text.contains(r#""args":["true",[97,255]]"#), "{text}");
        assert_eq!(serde_json::from_str::<Spec>(&text).unwrap(), spec);
    }
}
