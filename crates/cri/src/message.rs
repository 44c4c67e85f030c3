//! Messages of `runtime.v1`: of each the fields that are used, by the numbers that the interface gives them. What else an answer
//! has is passed over.

use std::collections::HashMap;

use prost::Message;

/// Nothing is asked for, or nothing is answered.
#[derive(Clone, PartialEq, Message)]
pub struct Nothing {}

/// What the runtime is.
#[derive(Clone, PartialEq, Message)]
pub struct Version {
    /// Name: `containerd`.
    #[prost(string, tag = "2")]
    pub runtime_name: String,
    /// Its version.
    #[prost(string, tag = "3")]
    pub runtime_version: String,
}

/// A number that may be missing.
#[derive(Clone, PartialEq, Message)]
pub struct Int64 {
    /// The number.
    #[prost(int64, tag = "1")]
    pub value: i64,
}

/// Which seccomp profile.
#[derive(Clone, PartialEq, Message)]
pub struct Profile {
    /// 0 the runtime's own, 1 none, 2 a file of the node.
    #[prost(int32, tag = "1")]
    pub kind: i32,
    /// The file.
    #[prost(string, tag = "2")]
    pub file: String,
}

impl Profile {
    /// The runtime's own.
    pub const RUNTIME: i32 = 0;
    /// A file of the node.
    pub const FILE: i32 = 2;
}

/// Which namespaces are shared with whom: 0 the pod, 1 the container, 2 the node.
#[derive(Clone, PartialEq, Message)]
pub struct Namespaces {
    /// Network.
    #[prost(int32, tag = "1")]
    pub network: i32,
    /// Processes.
    #[prost(int32, tag = "2")]
    pub processes: i32,
    /// System V memory and queues.
    #[prost(int32, tag = "3")]
    pub ipc: i32,
}

impl Namespaces {
    /// One of the container's own.
    pub const CONTAINER: i32 = 1;
    /// The node's.
    pub const NODE: i32 = 2;
}

/// What holds the sandbox's own process.
#[derive(Clone, PartialEq, Message)]
pub struct SandboxSecurity {
    /// Its namespaces.
    #[prost(message, optional, tag = "1")]
    pub namespaces: Option<Namespaces>,
    /// Its user.
    #[prost(message, optional, tag = "3")]
    pub user: Option<Int64>,
    /// Its group.
    #[prost(message, optional, tag = "8")]
    pub group: Option<Int64>,
    /// Whether its root is read-only.
    #[prost(bool, tag = "4")]
    pub read_only_root: bool,
    /// Its system calls.
    #[prost(message, optional, tag = "9")]
    pub seccomp: Option<Profile>,
}

/// A sandbox on Linux.
#[derive(Clone, PartialEq, Message)]
pub struct LinuxSandbox {
    /// The control group that it is put into.
    #[prost(string, tag = "1")]
    pub cgroup_parent: String,
    /// What holds it.
    #[prost(message, optional, tag = "2")]
    pub security: Option<SandboxSecurity>,
    /// Settings of its kernel's namespaces.
    #[prost(map = "string, string", tag = "3")]
    pub sysctls: HashMap<String, String>,
}

/// A sandbox's name.
#[derive(Clone, PartialEq, Message)]
pub struct SandboxName {
    /// The pod.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What it is told from pods of the same name by.
    #[prost(string, tag = "2")]
    pub uid: String,
    /// Kubernetes' namespace.
    #[prost(string, tag = "3")]
    pub namespace: String,
}

/// Who answers for names.
#[derive(Clone, PartialEq, Message)]
pub struct Dns {
    /// Servers.
    #[prost(string, repeated, tag = "1")]
    pub servers: Vec<String>,
}

/// A sandbox: what containers are started in.
#[derive(Clone, PartialEq, Message)]
pub struct SandboxConfig {
    /// Its name.
    #[prost(message, optional, tag = "1")]
    pub name: Option<SandboxName>,
    /// The host name inside.
    #[prost(string, tag = "2")]
    pub hostname: String,
    /// Where logs go.
    #[prost(string, tag = "3")]
    pub log_directory: String,
    /// Who answers for names.
    #[prost(message, optional, tag = "4")]
    pub dns: Option<Dns>,
    /// What it is found by.
    #[prost(map = "string, string", tag = "6")]
    pub labels: HashMap<String, String>,
    /// What Linux is asked for.
    #[prost(message, optional, tag = "8")]
    pub linux: Option<LinuxSandbox>,
}

/// Start a sandbox.
#[derive(Clone, PartialEq, Message)]
pub struct RunSandbox {
    /// Which.
    #[prost(message, optional, tag = "1")]
    pub config: Option<SandboxConfig>,
    /// In which of the runtime's handlers.
    #[prost(string, tag = "2")]
    pub handler: String,
}

/// A sandbox, by its id.
#[derive(Clone, PartialEq, Message)]
pub struct SandboxId {
    /// The id.
    #[prost(string, tag = "1")]
    pub id: String,
}

/// Ask for a sandbox's state.
#[derive(Clone, PartialEq, Message)]
pub struct SandboxStatusAsk {
    /// The id.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Whether all that is known is told.
    #[prost(bool, tag = "2")]
    pub verbose: bool,
}

/// What is told of it.
#[derive(Clone, PartialEq, Message)]
pub struct SandboxStatusAnswer {
    /// All that is known: JSON under `info`.
    #[prost(map = "string, string", tag = "2")]
    pub info: HashMap<String, String>,
}

/// Which sandboxes.
#[derive(Clone, PartialEq, Message)]
pub struct SandboxFilter {
    /// Those that have these labels.
    #[prost(map = "string, string", tag = "3")]
    pub labels: HashMap<String, String>,
}

/// List sandboxes.
#[derive(Clone, PartialEq, Message)]
pub struct ListSandboxes {
    /// Which.
    #[prost(message, optional, tag = "1")]
    pub filter: Option<SandboxFilter>,
}

/// One of a list.
#[derive(Clone, PartialEq, Message)]
pub struct Sandbox {
    /// The id.
    #[prost(string, tag = "1")]
    pub id: String,
    /// What it is found by.
    #[prost(map = "string, string", tag = "5")]
    pub labels: HashMap<String, String>,
}

/// The list.
#[derive(Clone, PartialEq, Message)]
pub struct Sandboxes {
    /// Those there are.
    #[prost(message, repeated, tag = "1")]
    pub sandboxes: Vec<Sandbox>,
}

/// An image's name.
#[derive(Clone, PartialEq, Message)]
pub struct ImageName {
    /// With registry, and tag or digest.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// Ask for an image's state, or pull it.
#[derive(Clone, PartialEq, Message)]
pub struct ImageAsk {
    /// Which.
    #[prost(message, optional, tag = "1")]
    pub image: Option<ImageName>,
}

/// An image.
#[derive(Clone, PartialEq, Message)]
pub struct Image {
    /// The digest of its configuration.
    #[prost(string, tag = "1")]
    pub id: String,
}

/// What is told of an image.
#[derive(Clone, PartialEq, Message)]
pub struct ImageAnswer {
    /// Nothing where it is not there.
    #[prost(message, optional, tag = "1")]
    pub image: Option<Image>,
}

/// A variable.
#[derive(Clone, PartialEq, Message)]
pub struct Variable {
    /// Name.
    #[prost(string, tag = "1")]
    pub key: String,
    /// Value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A mount from the node.
#[derive(Clone, PartialEq, Message)]
pub struct Mount {
    /// Where it goes.
    #[prost(string, tag = "1")]
    pub target: String,
    /// What is mounted.
    #[prost(string, tag = "2")]
    pub source: String,
    /// Whether it can only be read.
    #[prost(bool, tag = "3")]
    pub read_only: bool,
}

/// Limits.
#[derive(Clone, PartialEq, Message)]
pub struct Resources {
    /// Microseconds.
    #[prost(int64, tag = "1")]
    pub cpu_period: i64,
    /// Microseconds of each period.
    #[prost(int64, tag = "2")]
    pub cpu_quota: i64,
    /// Bytes.
    #[prost(int64, tag = "4")]
    pub memory: i64,
    /// Bytes with swap.
    #[prost(int64, tag = "10")]
    pub memory_with_swap: i64,
    /// Values of the second version of control groups.
    #[prost(map = "string, string", tag = "9")]
    pub unified: HashMap<String, String>,
}

/// Capabilities that are taken.
#[derive(Clone, PartialEq, Message)]
pub struct Capabilities {
    /// Those that go: `ALL`.
    #[prost(string, repeated, tag = "2")]
    pub drop: Vec<String>,
}

/// What holds a container.
#[derive(Clone, PartialEq, Message)]
pub struct ContainerSecurity {
    /// Capabilities.
    #[prost(message, optional, tag = "1")]
    pub capabilities: Option<Capabilities>,
    /// Namespaces.
    #[prost(message, optional, tag = "3")]
    pub namespaces: Option<Namespaces>,
    /// User.
    #[prost(message, optional, tag = "5")]
    pub user: Option<Int64>,
    /// Group.
    #[prost(message, optional, tag = "12")]
    pub group: Option<Int64>,
    /// Whether its root is read-only.
    #[prost(bool, tag = "7")]
    pub read_only_root: bool,
    /// Whether programs can gain nothing.
    #[prost(bool, tag = "11")]
    pub no_new_privileges: bool,
    /// Paths that cannot be seen.
    #[prost(string, repeated, tag = "13")]
    pub masked: Vec<String>,
    /// Paths that can only be read.
    #[prost(string, repeated, tag = "14")]
    pub protected: Vec<String>,
    /// System calls.
    #[prost(message, optional, tag = "15")]
    pub seccomp: Option<Profile>,
}

/// A container on Linux.
#[derive(Clone, PartialEq, Message)]
pub struct LinuxContainer {
    /// Limits.
    #[prost(message, optional, tag = "1")]
    pub resources: Option<Resources>,
    /// What holds it.
    #[prost(message, optional, tag = "2")]
    pub security: Option<ContainerSecurity>,
}

/// A container's name.
#[derive(Clone, PartialEq, Message)]
pub struct ContainerName {
    /// In its sandbox.
    #[prost(string, tag = "1")]
    pub name: String,
}

/// A container.
#[derive(Clone, PartialEq, Message)]
pub struct ContainerConfig {
    /// Its name.
    #[prost(message, optional, tag = "1")]
    pub name: Option<ContainerName>,
    /// Its image.
    #[prost(message, optional, tag = "2")]
    pub image: Option<ImageName>,
    /// Its program and words, in place of the image's.
    #[prost(string, repeated, tag = "3")]
    pub command: Vec<String>,
    /// Its working directory.
    #[prost(string, tag = "5")]
    pub directory: String,
    /// Its variables, beside the image's.
    #[prost(message, repeated, tag = "6")]
    pub variables: Vec<Variable>,
    /// Its mounts.
    #[prost(message, repeated, tag = "7")]
    pub mounts: Vec<Mount>,
    /// What it is found by.
    #[prost(map = "string, string", tag = "9")]
    pub labels: HashMap<String, String>,
    /// Its log, in the sandbox's folder for them.
    #[prost(string, tag = "11")]
    pub log: String,
    /// What Linux is asked for.
    #[prost(message, optional, tag = "15")]
    pub linux: Option<LinuxContainer>,
}

/// Make a container.
#[derive(Clone, PartialEq, Message)]
pub struct CreateContainer {
    /// In which sandbox.
    #[prost(string, tag = "1")]
    pub sandbox: String,
    /// Which.
    #[prost(message, optional, tag = "2")]
    pub config: Option<ContainerConfig>,
    /// The sandbox again.
    #[prost(message, optional, tag = "3")]
    pub sandbox_config: Option<SandboxConfig>,
}

/// A container, by its id.
#[derive(Clone, PartialEq, Message)]
pub struct ContainerId {
    /// The id.
    #[prost(string, tag = "1")]
    pub id: String,
}

/// What is told of a container.
#[derive(Clone, PartialEq, Message)]
pub struct ContainerStatusAnswer {
    /// Its state.
    #[prost(message, optional, tag = "1")]
    pub status: Option<ContainerStatus>,
}

/// A container's state.
#[derive(Clone, PartialEq, Message)]
pub struct ContainerStatus {
    /// 0 made, 1 runs, 2 has ended, 3 unknown.
    #[prost(int32, tag = "3")]
    pub state: i32,
    /// The code it ended with.
    #[prost(int32, tag = "7")]
    pub exit_code: i32,
    /// A word: why it is so.
    #[prost(string, tag = "10")]
    pub reason: String,
    /// Words about it.
    #[prost(string, tag = "11")]
    pub message: String,
}

impl ContainerStatus {
    /// It has ended.
    pub const ENDED: i32 = 2;
}
