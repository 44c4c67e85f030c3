//! What a pod is, as far as pods of ours have it.

use serde::Serialize;

use super::meta::Metadata;
use super::meta::Named;
use super::meta::Selector;
use super::meta::Spec;
use super::meta::Strings;

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodSpec {
    pub(super) service_account_name: String,
    pub(super) automount_service_account_token: bool,
    pub(super) enable_service_links: bool,
    pub(super) share_process_namespace: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) host_users: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) runtime_class_name: Option<String>,
    pub(super) restart_policy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) active_deadline_seconds: Option<u64>,
    pub(super) termination_grace_period_seconds: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hostname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dns_policy: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dns_config: Option<Dns>,
    #[serde(skip_serializing_if = "Strings::is_empty")]
    pub(super) node_selector: Strings,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) tolerations: Vec<Toleration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) affinity: Option<Affinity>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) topology_spread_constraints: Vec<Spread>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) image_pull_secrets: Vec<Named>,
    pub(super) security_context: PodSecurity,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) init_containers: Vec<Container>,
    pub(super) containers: Vec<Container>,
    pub(super) volumes: Vec<Volume>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Dns {
    pub(super) nameservers: Vec<&'static str>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Toleration {
    pub(super) key: &'static str,
    pub(super) operator: &'static str,
    pub(super) value: &'static str,
    pub(super) effect: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Affinity {
    pub(super) pod_anti_affinity: AntiAffinity,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AntiAffinity {
    pub(super) preferred_during_scheduling_ignored_during_execution: Vec<Preferred>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Preferred {
    pub(super) weight: u8,
    pub(super) pod_affinity_term: Term,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Term {
    pub(super) label_selector: Selector,
    pub(super) topology_key: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Spread {
    pub(super) max_skew: u8,
    pub(super) topology_key: &'static str,
    pub(super) when_unsatisfiable: &'static str,
    pub(super) label_selector: Selector,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodSecurity {
    pub(super) run_as_non_root: bool,
    pub(super) run_as_user: u32,
    pub(super) run_as_group: u32,
    pub(super) fs_group: u32,
    pub(super) fs_group_change_policy: &'static str,
    pub(super) seccomp_profile: Kind,
}

impl PodSecurity {
    /// A user that is not root, with the files of volumes readable for its group.
    pub(super) fn of(uid: u32, gid: u32) -> Self {
        Self {
            run_as_non_root: true,
            run_as_user: uid,
            run_as_group: gid,
            fs_group: gid,
            fs_group_change_policy: "OnRootMismatch",
            seccomp_profile: Kind { kind: "RuntimeDefault" },
        }
    }
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Kind {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) image_pull_policy: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) command: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) working_dir: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) env: Vec<Variable>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ports: Vec<Port>,
    pub(super) resources: Resources,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) startup_probe: Option<Probe>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) readiness_probe: Option<Probe>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) liveness_probe: Option<Probe>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) lifecycle: Option<Lifecycle>,
    pub(super) security_context: Security,
    pub(super) volume_mounts: Vec<Mount>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Variable {
    pub(super) name: String,
    pub(super) value: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Port {
    pub(super) name: &'static str,
    pub(super) container_port: u16,
}

#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Resources {
    pub(super) requests: Strings,
    pub(super) limits: Strings,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Probe {
    pub(super) http_get: Get,
    pub(super) period_seconds: u16,
    pub(super) timeout_seconds: u16,
    pub(super) failure_threshold: u16,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Get {
    pub(super) path: &'static str,
    pub(super) port: &'static str,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Lifecycle {
    pub(super) pre_stop: Before,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Before {
    pub(super) sleep: Sleep,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Sleep {
    pub(super) seconds: u16,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Security {
    pub(super) allow_privilege_escalation: bool,
    pub(super) privileged: bool,
    pub(super) read_only_root_filesystem: bool,
    pub(super) run_as_non_root: bool,
    pub(super) capabilities: Capabilities,
    pub(super) seccomp_profile: Kind,
}

impl Default for Security {
    /// What every container of ours has.
    fn default() -> Self {
        Self {
            allow_privilege_escalation: false,
            privileged: false,
            read_only_root_filesystem: true,
            run_as_non_root: true,
            capabilities: Capabilities { drop: vec!["ALL"] },
            seccomp_profile: Kind { kind: "RuntimeDefault" },
        }
    }
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Capabilities {
    pub(super) drop: Vec<&'static str>,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "it is called so")]
pub(super) struct Mount {
    pub(super) name: String,
    pub(super) mount_path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sub_path: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) read_only: Option<bool>,
}

impl Mount {
    pub(super) fn writable(name: &str, at: &str) -> Self {
        Self { name: name.to_owned(), mount_path: at.to_owned(), ..Self::default() }
    }

    pub(super) fn read_only(name: &str, at: &str) -> Self {
        Self { read_only: Some(true), ..Self::writable(name, at) }
    }
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Volume {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) source: Source,
}

/// What a volume is; the key in front of it is the kind.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Source {
    #[serde(rename_all = "camelCase")]
    EmptyDir {
        #[serde(skip_serializing_if = "Option::is_none")]
        medium: Option<&'static str>,
        size_limit: String,
    },
    #[serde(rename_all = "camelCase")]
    PersistentVolumeClaim { claim_name: String },
    #[serde(rename_all = "camelCase")]
    Ephemeral { volume_claim_template: Spec<ClaimSpec> },
    #[serde(rename_all = "camelCase")]
    ConfigMap {
        name: String,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        items: Vec<Item>,
    },
    #[serde(rename_all = "camelCase")]
    Secret { secret_name: String, default_mode: u16 },
    #[serde(rename_all = "camelCase")]
    Projected {
        #[serde(skip_serializing_if = "Option::is_none")]
        default_mode: Option<u16>,
        sources: Vec<Projection>,
    },
    #[serde(rename_all = "camelCase")]
    Image { reference: String, pull_policy: &'static str },
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct Item {
    pub(super) key: String,
    pub(super) path: String,
}

/// One of the objects whose files are in a directory together.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Projection {
    ConfigMap(Named),
    Secret {
        name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        optional: Option<bool>,
    },
}

/// A volume that a cluster's storage is asked for.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClaimSpec {
    pub(super) access_modes: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) storage_class_name: Option<String>,
    pub(super) resources: ClaimResources,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct ClaimResources {
    pub(super) requests: Strings,
}

/// A claim in a template of sandboxes.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ClaimTemplate {
    pub(super) metadata: Metadata,
    pub(super) spec: ClaimSpec,
}
