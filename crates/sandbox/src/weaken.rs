//! Guards that tests take away, one at a time, to see the test of that guard fail. Not in the released program: the
//! module exists only with the cargo feature `weaken`.

use std::path::Path;

use pinfold_network::LoopbackForTests;
use pinfold_network::ProxyConfig;
use serde::Deserialize;
use serde::Serialize;

use crate::plan::Guard;
use crate::plan::MountKind;
use crate::plan::Namespace;
use crate::plan::Plan;
use crate::plan::PlannedMount;
use crate::spec::Access;
use crate::spec::Spec;

/// One guard taken away.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weaken {
    /// The root file system is writable (the test gives a scratch copy).
    WritableRoot,
    /// A memory file system nobody asked for, at this path.
    ExtraMount(String),
    /// A directory of the host is visible at its own path.
    HostTree(String),
    /// The host's processes are visible.
    HostProcesses,
    /// The host's network is shared.
    HostNetwork,
    /// The host's System V objects and queues are shared.
    HostIpc,
    /// The host's name is shared.
    HostName,
    /// One more device node of the host, by name.
    MoreDevices(String),
    /// These variables of the starting process are passed on.
    HostEnvironment(Vec<String>),
    /// No masked or read-only paths in `/proc`.
    ProcMasks,
    /// Capabilities are kept.
    Capabilities,
    /// Id 0 inside.
    RootUser,
    /// The program stays in the user namespace that owns the mounts.
    OneUserNamespace,
    /// More user namespaces may be made.
    NestedUserNamespaces,
    /// `no_new_privs` is not set.
    NewPrivileges,
    /// No system-call filter.
    Seccomp,
    /// No Landlock domain.
    Landlock,
    /// The limits of [`crate::spec::Limits`] and the core limit are not set.
    Limits,
    /// Descriptors above 2 stay open.
    Descriptors,
    /// The program stays in the caller's session.
    Session,
    /// Process 1 can be traced, and its files in `/proc` read.
    DumpableInit,
    /// Process 1 runs from the program's own file as it is.
    PlainProgram,
    /// `/tmp` has no size.
    UnboundedTmp,
    /// The user's terminal gets everything the program writes.
    Escapes,
    /// The log of a session is not turned over.
    UnboundedLog,
    /// A mount's source may lead through links that the sandbox made.
    LinksInSources,
    /// What a killed supervisor left is not cleared.
    Leftovers,
    /// The proxy reaches this machine's loopback.
    ProxyLoopback,
}

impl Weaken {
    /// The step that is left out, where it is one.
    pub(crate) fn guard(&self) -> Option<Guard> {
        Some(match self {
            Self::Capabilities => Guard::Capabilities,
            Self::OneUserNamespace => Guard::InnerUserNamespace,
            Self::NestedUserNamespaces => Guard::NestedNamespaces,
            Self::NewPrivileges => Guard::NoNewPrivileges,
            Self::Seccomp => Guard::Seccomp,
            Self::Descriptors => Guard::Descriptors,
            Self::Session => Guard::Session,
            Self::DumpableInit => Guard::HiddenInit,
            Self::PlainProgram => Guard::ProtectedProgram,
            _ => return None,
        })
    }
}

/// The proxy without a guard.
pub(crate) fn proxy(spec: &Spec, mut config: ProxyConfig) -> ProxyConfig {
    if spec.weaken.contains(&Weaken::ProxyLoopback) {
        config.dialer = config.dialer.with_loopback(LoopbackForTests);
    }
    config
}

/// Takes guards away that are values of the plan.
pub(crate) fn edit(plan: &mut Plan) {
    for weaken in plan.weaken.clone() {
        match weaken {
            Weaken::WritableRoot => plan.root_access = Access::ReadWrite,
            Weaken::ExtraMount(path) => plan.mounts.push(PlannedMount {
                target: path.into(),
                kind: MountKind::Memory { bytes: 1 << 20, mode: 0o755 },
                access: Access::ReadWrite,
            }),
            Weaken::HostTree(path) => plan.mounts.push(PlannedMount {
                target: path.clone().into(),
                kind: MountKind::Host(path.into()),
                access: Access::ReadWrite,
            }),
            Weaken::HostProcesses => {
                plan.namespaces.remove(&Namespace::Pid);
                replace(plan, "/proc");
            }
            Weaken::MoreDevices(name) => plan.mounts.push(PlannedMount {
                target: Path::new("/dev").join(&name),
                kind: MountKind::Device(Path::new("/dev").join(&name)),
                access: Access::ReadWrite,
            }),
            Weaken::HostNetwork => {
                plan.namespaces.remove(&Namespace::Network);
                plan.listens.clear();
            }
            Weaken::HostIpc => {
                plan.namespaces.remove(&Namespace::Ipc);
                plan.mounts.retain(|mount| mount.kind != MountKind::Queues);
            }
            Weaken::HostName => {
                plan.namespaces.remove(&Namespace::Uts);
            }
            Weaken::ProcMasks => {
                plan.mounts.retain(|mount| !matches!(mount.kind, MountKind::Mask | MountKind::Protect));
            }
            Weaken::RootUser => plan.ids.uid = 0,
            Weaken::Landlock => plan.landlock = None,
            Weaken::Limits => {
                plan.rlimits.clear();
                plan.cgroup = None;
            }
            Weaken::UnboundedTmp => {
                for mount in &mut plan.mounts {
                    if let MountKind::Memory { bytes, .. } = &mut mount.kind
                        && mount.target == Path::new("/tmp")
                    {
                        *bytes = 0;
                    }
                }
            }
            _ => {}
        }
    }
}

/// The host's own tree at `path` in place of everything planned there.
fn replace(plan: &mut Plan, path: &str) {
    plan.mounts.retain(|mount| !mount.target.starts_with(path));
    plan.mounts.insert(
        0,
        PlannedMount { target: path.into(), kind: MountKind::Host(path.into()), access: Access::ReadWrite },
    );
}
