//! What a sandbox in a cluster is to be: plain values, checked by whoever makes them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// All that objects are written of. Equal values give equal bytes.
#[derive(Clone, Debug)]
pub struct Export {
    /// How the sandbox is called: a DNS label of at most [`NAME_MAX`] characters.
    pub name: String,
    /// The namespace of sandboxes; that of the proxy has `-proxy` after it.
    pub namespace: String,
    /// What it becomes.
    pub form: Form,
    /// The agent's container.
    pub agent: Agent,
    /// The way out.
    pub proxy: Proxy,
    /// What runs it.
    pub isolation: Isolation,
    /// Secrets with logins for the registry, in both namespaces.
    pub pull_secrets: Vec<String>,
    /// Seconds after which a pod of it is ended, where the form has no time of its own.
    pub lifetime: u64,
}

/// The longest name of an export: names of its objects have up to 23 more, and 63 are allowed.
pub const NAME_MAX: usize = 40;
/// Bytes of texts in one object of tasks, as kubectl writes them. `kubectl apply` notes an object in an annotation of it, and all
/// annotations of one have 256 KiB at most.
pub const TASKS_BYTES: usize = 180 << 10;

/// Bytes of a text in that annotation: JSON in which control characters and those of HTML are written by their numbers.
pub fn written(text: &str) -> usize {
    let of = |c: char| match c {
        '"' | '\\' => 2,
        '<' | '>' | '&' | '\u{7f}' | '\u{2028}' | '\u{2029}' => 6,
        c if c.is_control() => 6,
        c => c.len_utf8(),
    };
    text.chars().map(of).sum()
}

/// What an export becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// A `Sandbox` of agent-sandbox, until a time in RFC 3339.
    Sandbox {
        /// When it ends.
        until: String,
    },
    /// A template, a warm pool of it, and an example of a claim.
    Pool {
        /// Sandboxes that wait for a claim.
        warm: u32,
        /// Sandboxes of the namespace at most.
        most: u32,
        /// When the claim of the example ends.
        until: String,
    },
    /// A pod alone.
    Pod,
    /// An indexed job, one pod for each text.
    Job {
        /// The texts.
        tasks: Vec<String>,
        /// How many at once.
        parallelism: usize,
    },
}

/// The agent's container, and what belongs to it.
#[derive(Clone, Debug)]
pub struct Agent {
    /// The image, `HOST/REPOSITORY@DIGEST`.
    pub image: String,
    /// The user of the image.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its home directory, which is filled from the image.
    pub home: String,
    /// Variables.
    pub env: BTreeMap<String, String>,
    /// Directories that are writable beside home, `/tmp` and workspace.
    pub writable: BTreeSet<String>,
    /// Where it works.
    pub workspace: String,
    /// What is there.
    pub content: Workspace,
    /// Where process 1 comes from.
    pub program: Program,
    /// `pod.json`.
    pub pod: String,
    /// Files of the home with other texts than the image has, by their path in it.
    pub home_files: BTreeMap<String, String>,
    /// Bytes of memory at most.
    pub memory: u64,
    /// Thousandths of a processor at most.
    pub cpu_milli: u64,
}

/// What is in a workspace at the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Workspace {
    /// Nothing; it goes with the pod.
    Empty {
        /// Bytes at most.
        size: u64,
    },
    /// What a claim of storage holds; it stays.
    Claim {
        /// Bytes.
        size: u64,
    },
    /// A clone that is made through the proxy; it goes with the pod.
    Git {
        /// Bytes at most.
        size: u64,
        /// `clone.json`, what process 1 of the container that clones is to do.
        clone: String,
    },
}

/// Where process 1 comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Program {
    /// It is in the image.
    #[default]
    Image,
    /// A container copies it out of the proxy's image.
    Copy,
    /// The proxy's image is mounted (Kubernetes 1.35 and later).
    Volume,
}

/// The proxy's objects.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// The image, `HOST/REPOSITORY@DIGEST`.
    pub image: String,
    /// `proxy.toml`.
    pub config: String,
    /// The Service's address.
    pub address: IpAddr,
    /// How many.
    pub replicas: u32,
    /// Ports of the world that it reaches.
    pub ports: BTreeSet<u16>,
    /// Names of the provider's keys.
    pub keys: BTreeSet<String>,
    /// Seconds that it waits for connections that are there.
    pub drain: u16,
}

/// What a pod is kept apart by, beside what all have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Isolation {
    /// The RuntimeClass, such as `gvisor`.
    pub runtime_class: Option<String>,
    /// Whose user ids a pod has.
    pub users: Users,
    /// Where it runs.
    pub nodes: Nodes,
}

/// Whether pods of a class have volumes of images: gVisor and Kata mount none. Only their usual names are known.
pub fn mounts_images(class: &str) -> bool {
    let is = |name: &str| {
        class.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.']))
    };
    !["gvisor", "runsc", "kata"].into_iter().any(is)
}

/// Whose user ids a pod has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Users {
    /// As the cluster has it.
    #[default]
    Cluster,
    /// A user namespace of its own.
    Own,
}

/// Where pods of agents run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Nodes {
    /// Anywhere.
    #[default]
    Any,
    /// On nodes of GKE Sandbox.
    GkeSandbox,
}

impl Export {
    /// The namespace of the proxy.
    pub fn proxy_namespace(&self) -> String {
        format!("{}-proxy", self.namespace)
    }
}
