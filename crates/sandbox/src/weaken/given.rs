//! With the cargo feature `weaken`: the guards by name, and what taking each away means.

use std::collections::BTreeSet;
use std::path::Path;

use pinfold_network::Endpoint;
use pinfold_network::LoopbackForTests;
use pinfold_network::ProxyConfig;
use serde::Deserialize;
use serde::Serialize;

use crate::plan::LandlockPlan;
use crate::plan::MountKind;
use crate::plan::Namespace;
use crate::plan::Parts;
use crate::plan::PlannedMount;
use crate::plan::guards::Guard;
use crate::plan::guards::Guards;
use crate::plan::ids::Outside;
use crate::spec::Access;

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
    /// Nobody looks whether a sealed sandbox has a network.
    NetworkProof,
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
    /// Directories that could not be looked into are not covered.
    ClosedDirectories,
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
    /// The caller's own streams are handed in.
    CallersStreams,
    /// Mounts of a sandbox of root's keep the ids that they have.
    PlainMounts,
    /// A sandbox of root's has root's ids outside.
    RootIds,
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
    /// What the host runs by itself may be changed and made.
    UnprotectedNames,
    /// Directories on the way to it may be exchanged.
    LooseParents,
}

/// What a guard that is down carries. Made here only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Power(());

/// The guards, without those that are named.
pub(crate) fn guards(taken: &BTreeSet<Weaken>) -> Guards {
    let mut guards = Guards::default();
    for weaken in taken {
        let guard = match weaken {
            Weaken::WritableRoot => &mut guards.read_only_root,
            Weaken::Capabilities => &mut guards.capabilities,
            Weaken::OneUserNamespace => &mut guards.inner_user_namespace,
            Weaken::NestedUserNamespaces => &mut guards.nested_namespaces,
            Weaken::NewPrivileges => &mut guards.no_new_privileges,
            Weaken::Seccomp => &mut guards.seccomp,
            Weaken::Descriptors => &mut guards.descriptors,
            Weaken::CallersStreams => &mut guards.streams,
            Weaken::PlainMounts => &mut guards.mapped_mounts,
            Weaken::Session => &mut guards.session,
            Weaken::DumpableInit => &mut guards.hidden_init,
            Weaken::PlainProgram => &mut guards.protected_program,
            Weaken::NetworkProof => &mut guards.network_proof,
            Weaken::LinksInSources => &mut guards.plain_sources,
            Weaken::UnprotectedNames => &mut guards.protected_names,
            Weaken::LooseParents => &mut guards.held_parents,
            Weaken::Escapes => &mut guards.shown_output,
            Weaken::UnboundedLog => &mut guards.bounded_log,
            Weaken::Leftovers => &mut guards.cleared_leftovers,
            // Values of the plan or of the proxy.
            _ => continue,
        };
        *guard = Guard::Down(Power(()));
    }
    guards
}

/// The proxy without a guard.
pub(crate) fn proxy(taken: &BTreeSet<Weaken>, mut config: ProxyConfig) -> ProxyConfig {
    if taken.contains(&Weaken::ProxyLoopback) {
        config.dialer = config.dialer.with_loopback(LoopbackForTests);
    }
    config
}

/// Takes the domain of a pod's program away.
pub(crate) fn landlock(taken: &BTreeSet<Weaken>, plan: &mut Option<LandlockPlan>) {
    if taken.contains(&Weaken::Landlock) {
        *plan = None;
    }
}

/// Takes guards away that are values of the plan.
pub(crate) fn plan(taken: &BTreeSet<Weaken>, plan: &mut Parts) {
    for weaken in taken.iter().cloned() {
        match weaken {
            Weaken::ExtraMount(path) => {
                let memory = MountKind::Memory { bytes: 1 << 20, mode: 0o755 };
                plan.mounts.push(PlannedMount::new(path, memory, Access::ReadWrite));
            }
            Weaken::HostTree(path) => {
                let tree = MountKind::Host(path.clone().into());
                plan.mounts.push(PlannedMount::new(path, tree, Access::ReadWrite));
            }
            Weaken::HostProcesses => {
                plan.namespaces.remove(&Namespace::Pid);
                replace(plan, "/proc");
            }
            Weaken::MoreDevices(name) => {
                let node = Path::new("/dev").join(&name);
                let device = MountKind::Device(node.clone());
                plan.mounts.push(PlannedMount::new(node, device, Access::ReadWrite));
            }
            Weaken::HostNetwork => {
                plan.namespaces.remove(&Namespace::Network);
                plan.listens.retain(|listen| !matches!(listen.at, Endpoint::Port(_)));
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
            Weaken::ClosedDirectories => {
                plan.mounts.retain(|mount| {
                    !matches!(mount.kind, MountKind::Closed { .. } | MountKind::Socket { .. })
                });
            }
            Weaken::HostEnvironment(names) => {
                let host =
                    names.into_iter().filter_map(|name| Some((name.clone(), std::env::var(name).ok()?)));
                plan.env.extend(host);
            }
            Weaken::RootUser => plan.ids.uid = 0,
            Weaken::RootIds if plan.ids.outside != Outside::Caller => plan.ids = plan.ids.as_root(),
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
fn replace(plan: &mut Parts, path: &str) {
    plan.mounts.retain(|mount| !mount.target.starts_with(path));
    plan.mounts.insert(0, PlannedMount::new(path, MountKind::Host(path.into()), Access::ReadWrite));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::never;
    use super::*;
    use crate::Plan;
    use crate::Probe;
    use crate::Spec;

    /// Every word for a guard that the tests have is none to a release: not in a specification, not in a plan.
    #[test]
    fn a_release_cannot_read_a_weakened_specification() {
        for weaken in [Weaken::Seccomp, Weaken::HostTree("/".into()), Weaken::ProxyLoopback] {
            let text = serde_json::to_string(&BTreeSet::from([weaken.clone()])).unwrap();
            // Control: here it is read.
            assert_eq!(serde_json::from_str::<BTreeSet<Weaken>>(&text).unwrap(), BTreeSet::from([weaken]));
            assert!(serde_json::from_str::<BTreeSet<never::Weaken>>(&text).is_err(), "{text}");
        }
        assert_eq!(serde_json::from_str::<BTreeSet<never::Weaken>>("[]").unwrap(), BTreeSet::new());
        assert_eq!(never::guards(&BTreeSet::new()), Guards::default());
    }

    /// The released program's functions change nothing, where these would.
    #[test]
    fn a_release_gives_back_what_it_was_given() {
        let none = BTreeSet::new();
        let dir = tempfile::tempdir().unwrap();
        let spec = Spec::new("a", dir.path(), vec!["true".into()]);
        let before = Plan::new(&spec, &Probe::for_start()).unwrap();
        let mut after = before.clone();
        never::plan(&none, &mut after.0);
        assert_eq!(after, before);
        plan(&BTreeSet::from([Weaken::HostNetwork]), &mut after.0);
        assert_ne!(after, before, "the control is edited");
        let domain = LandlockPlan { writable: vec![], sockets: vec![], connect_ports: None, hidden: vec![] };
        let mut kept = Some(domain);
        never::landlock(&none, &mut kept);
        assert!(kept.is_some());
        landlock(&BTreeSet::from([Weaken::Landlock]), &mut kept);
        assert!(kept.is_none(), "the control is edited");
        let config = format!("{:?}", ProxyConfig::default());
        assert_eq!(format!("{:?}", never::proxy(&none, ProxyConfig::default())), config);
        let taken = BTreeSet::from([Weaken::ProxyLoopback]);
        assert_ne!(format!("{:?}", proxy(&taken, ProxyConfig::default())), config, "the control is edited");
    }

    /// What a guard that is down carries, in whatever spelling, is nothing a release can read.
    #[test]
    fn a_release_cannot_read_a_plan_with_a_guard_down() {
        let down = guards(&BTreeSet::from([Weaken::Seccomp]));
        assert!(!down.seccomp.holds() && down.capabilities.holds());
        let text = serde_json::to_string(&down).unwrap();
        assert_eq!(serde_json::from_str::<Guards>(&text).unwrap(), down);
        for power in ["null", "[]", "{}", "\"down\"", "0", "{\"down\":null}"] {
            assert!(serde_json::from_str::<never::Power>(power).is_err(), "{power}");
        }
    }
}
