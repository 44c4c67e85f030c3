//! What kinds other than pods have, as far as objects of ours have it.

use serde::Serialize;

use super::meta::Metadata;
use super::meta::Named;
use super::meta::Selector;
use super::meta::Strings;
use super::meta::Template;
use super::pod::ClaimTemplate;
use super::pod::PodSpec;

/// A kind that has nothing but a head.
#[derive(Debug, Serialize)]
pub(super) struct Nothing {}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Account {
    pub(super) automount_service_account_token: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct Data {
    pub(super) data: Strings,
}

#[derive(Debug, Serialize)]
pub(super) struct SecretData {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    #[serde(skip_serializing_if = "Strings::is_empty")]
    pub(super) data: Strings,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NetworkPolicy {
    pub(super) pod_selector: Selector,
    pub(super) policy_types: Vec<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) ingress: Vec<Ingress>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) egress: Vec<Egress>,
}

#[derive(Debug, Serialize)]
pub(super) struct Ingress {
    pub(super) from: Vec<Peer>,
    pub(super) ports: Vec<PolicyPort>,
}

#[derive(Debug, Serialize)]
pub(super) struct Egress {
    pub(super) to: Vec<Peer>,
    pub(super) ports: Vec<PolicyPort>,
}

#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Peer {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) namespace_selector: Option<Selector>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) pod_selector: Option<Selector>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ip_block: Option<Block>,
}

#[derive(Debug, Serialize)]
pub(super) struct Block {
    pub(super) cidr: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) except: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct PolicyPort {
    pub(super) protocol: &'static str,
    pub(super) port: u16,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Service {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    #[serde(rename = "clusterIP")]
    pub(super) cluster_ip: String,
    pub(super) ip_family_policy: &'static str,
    pub(super) selector: Strings,
    pub(super) ports: Vec<ServicePort>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServicePort {
    pub(super) name: &'static str,
    pub(super) protocol: &'static str,
    pub(super) port: u16,
    pub(super) target_port: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Deployment {
    pub(super) replicas: u32,
    pub(super) revision_history_limit: u8,
    pub(super) selector: Selector,
    pub(super) strategy: Strategy,
    pub(super) template: Template<PodSpec>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Strategy {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) rolling_update: Rolling,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rolling {
    pub(super) max_surge: u8,
    pub(super) max_unavailable: u8,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Disruptions {
    pub(super) max_unavailable: u8,
    pub(super) selector: Selector,
}

#[derive(Debug, Serialize)]
pub(super) struct Quota {
    pub(super) hard: Strings,
}

#[derive(Debug, Serialize)]
pub(super) struct Ranges {
    pub(super) limits: Vec<Range>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Range {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) max: Strings,
    pub(super) default: Strings,
    pub(super) default_request: Strings,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Job {
    pub(super) completions: usize,
    pub(super) parallelism: usize,
    pub(super) completion_mode: &'static str,
    pub(super) backoff_limit_per_index: u32,
    pub(super) pod_replacement_policy: &'static str,
    pub(super) pod_failure_policy: FailurePolicy,
    pub(super) ttl_seconds_after_finished: u64,
    pub(super) template: Template<PodSpec>,
}

#[derive(Debug, Serialize)]
pub(super) struct FailurePolicy {
    pub(super) rules: Vec<FailureRule>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FailureRule {
    pub(super) action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) on_exit_codes: Option<ExitCodes>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) on_pod_conditions: Vec<Condition>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ExitCodes {
    pub(super) operator: &'static str,
    pub(super) values: Vec<u8>,
}

#[derive(Debug, Serialize)]
pub(super) struct Condition {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) status: &'static str,
}

/// A sandbox of agent-sandbox.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sandbox {
    pub(super) operating_mode: &'static str,
    pub(super) shutdown_policy: &'static str,
    pub(super) shutdown_time: String,
    pub(super) pod_template: Template<PodSpec>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SandboxTemplate {
    pub(super) network_policy_management: &'static str,
    pub(super) env_vars_injection_policy: &'static str,
    pub(super) volume_claim_templates_policy: &'static str,
    pub(super) pod_template: Template<PodSpec>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) volume_claim_templates: Vec<ClaimTemplate>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WarmPool {
    pub(super) replicas: u32,
    pub(super) sandbox_template_ref: Named,
    pub(super) update_strategy: super::pod::Kind,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Claim {
    pub(super) warm_pool_ref: Named,
    pub(super) lifecycle: ClaimLifecycle,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClaimLifecycle {
    pub(super) shutdown_policy: &'static str,
    pub(super) shutdown_time: String,
    pub(super) ttl_seconds_after_finished: u64,
}

/// What `kubectl apply -k` reads.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Kustomization {
    pub(super) api_version: &'static str,
    pub(super) kind: &'static str,
    pub(super) sort_options: SortOptions,
    pub(super) resources: Vec<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct SortOptions {
    pub(super) order: &'static str,
}

/// Its head's labels in a template.
pub(super) fn labelled(labels: Strings) -> Metadata {
    Metadata { labels, ..Metadata::default() }
}
