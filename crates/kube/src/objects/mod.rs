//! Objects as they are written.
//!
//! ```text
//!   Export ──► namespaces    both, with Pod Security *restricted*
//!          ──► network       no way but to the proxy; the proxy's own ways
//!          ──► proxy         account, configuration, Service, Deployment, PodDisruptionBudget
//!          ──► quota         what a pool may use
//!          ──► agent         account, pod.json, files of the home, tasks, storage
//!          ──► sandbox | pool | pod | job
//!          ──► claim.example, secrets.template   not applied by kustomization.yaml
//! ```
//!
//! **Guarantees**: equal values give equal bytes; no object here has a key, a token or a certificate ([`secrets`] alone writes those, for
//! a pipe); what a Secret holds is never in an object that is applied again with nothing in it.

mod agent;
pub mod export;
mod kinds;
mod meta;
mod network;
mod pod;
mod proxy;
pub mod secrets;
pub mod yaml;

#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use self::export::Export;
use self::export::Form;
use self::export::TASKS_BYTES;
use self::export::Workspace;
use self::export::written;
use self::kinds::Account;
use self::kinds::Claim;
use self::kinds::ClaimLifecycle;
use self::kinds::Condition;
use self::kinds::Data;
use self::kinds::ExitCodes;
use self::kinds::FailurePolicy;
use self::kinds::FailureRule;
use self::kinds::Job;
use self::kinds::Kustomization;
use self::kinds::Nothing;
use self::kinds::Quota;
use self::kinds::Range;
use self::kinds::Ranges;
use self::kinds::Sandbox;
use self::kinds::SandboxTemplate;
use self::kinds::SecretData;
use self::kinds::SortOptions;
use self::kinds::WarmPool;
use self::meta::Metadata;
use self::meta::Named;
use self::meta::Spec;
use self::meta::Strings;
use self::meta::Template;
use self::meta::labels;
use self::meta::object;
use self::meta::strings;
use self::pod::ClaimTemplate;
use self::pod::Kind;

/// The program in every image of a pod.
pub const PROGRAM: &str = "/usr/local/libexec/pinfold/pinfold";
const PROGRAM_DIRECTORY: &str = "/usr/local/libexec/pinfold";
/// The proxy's Service, Deployment and account, and the name in its certificate.
pub const PROXY: &str = "pinfold-proxy";
/// The port that agents' pods dial.
pub const PROXY_PORT: u16 = 8443;
/// The port with health and metrics.
pub const HEALTH_PORT: u16 = 8080;
/// The ConfigMap with the certificate that the proxy's is checked against.
pub const AUTHORITY: &str = "pinfold-proxy-ca";
/// The proxy's configuration.
const PROXY_CONFIG: &str = "pinfold-proxy-config";
/// The proxy's certificate and its key.
pub const PROXY_TLS: &str = "pinfold-proxy-tls";
/// Who may use the proxy.
pub const PROXY_IDENTITIES: &str = "pinfold-proxy-identities";
/// The providers' keys.
pub const PROXY_KEYS: &str = "pinfold-proxy-keys";
/// The account of agents' pods, which may do nothing.
const AGENT_ACCOUNT: &str = "pinfold-sandbox";
/// The exit code of process 1 when there is another way out.
const NOT_ISOLATED: u8 = 78;
/// Seconds for which a job and a claim are there after their end.
const KEPT: u64 = 86_400;
/// How every file begins.
pub const HEADER: &str = "# Written by `pinfold kube`: what is changed here is gone with the next export.\n";
/// The file that `kubectl apply -k` reads.
pub const KUSTOMIZATION: &str = "kustomization.yaml";
const SANDBOX_VERSION: &str = "agents.x-k8s.io/v1beta1";
const EXTENSIONS_VERSION: &str = "extensions.agents.x-k8s.io/v1beta1";

/// A file of the export.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name in the directory.
    pub name: &'static str,
    /// Its text.
    pub text: String,
    /// Whether `kubectl apply -k` applies it.
    pub use_of: Use,
}

/// What a file is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// It is applied.
    Applied,
    /// It is read by people, or filled in by them.
    Example,
    /// It names those that are applied.
    Kustomization,
}

/// A file that is being written.
struct Writing {
    name: &'static str,
    use_of: Use,
    text: String,
}

impl Writing {
    /// Begins a file with what it is, in lines of comment.
    fn begin(name: &'static str, use_of: Use, about: &str) -> Self {
        let mut text = HEADER.to_owned();
        for line in about.lines() {
            text.push_str(if line.is_empty() { "#" } else { "# " });
            text.push_str(line);
            text.push('\n');
        }
        Self { name, use_of, text }
    }

    fn add(mut self, object: &impl Serialize) -> Self {
        self.text.push_str("---\n");
        self.text.push_str(&yaml::document(object));
        self
    }

    fn end(self) -> File {
        File { name: self.name, text: self.text, use_of: self.use_of }
    }
}

/// All files of an export, in the order in which they are applied.
pub fn files(export: &Export) -> Vec<File> {
    let mut files = vec![namespaces(export), network::file(export), proxy_file(export)];
    if let Form::Pool { most, .. } = export.form {
        files.push(quota(export, most));
    }
    files.push(agent_file(export));
    files.push(form(export));
    if let Form::Pool { until, .. } = &export.form {
        files.push(claim(export, until));
    }
    files.push(secrets::template(export));
    files.push(kustomization(&files));
    files
}

/// All that is applied, as one stream of documents.
pub fn stream(files: &[File]) -> String {
    files.iter().filter(|file| file.use_of == Use::Applied).map(|file| file.text.as_str()).collect()
}

fn kustomization(files: &[File]) -> File {
    let applied = files.iter().filter(|file| file.use_of == Use::Applied);
    let kustomization = Kustomization {
        api_version: "kustomize.config.k8s.io/v1beta1",
        kind: "Kustomization",
        // In this order: policies are there before pods are.
        sort_options: SortOptions { order: "fifo" },
        resources: applied.map(|file| file.name.to_owned()).collect(),
    };
    let about =
        "What `kubectl apply -k .` applies. `*.example.yaml` and `secrets.template.yaml` are not among it.";
    Writing::begin(KUSTOMIZATION, Use::Kustomization, about).add(&kustomization).end()
}

fn namespaces(export: &Export) -> File {
    let namespace = |name: &str, part: &str| {
        let mut all = labels(part);
        for mode in ["enforce", "audit", "warn"] {
            all.insert(format!("pod-security.kubernetes.io/{mode}"), "restricted".into());
            all.insert(format!("pod-security.kubernetes.io/{mode}-version"), "latest".into());
        }
        object("v1", "Namespace", "", name, all, Nothing {})
    };
    let about = "Two namespaces: agents, and the proxy that has the keys. Whoever may make pods beside agents cannot mount its Secrets.\n\
                 Pods that Pod Security `restricted` does not let through are refused in both.";
    Writing::begin("namespaces.yaml", Use::Applied, about)
        .add(&namespace(&export.namespace, AGENT_ACCOUNT))
        .add(&namespace(&export.proxy_namespace(), PROXY))
        .end()
}

fn account(namespace: &str, name: &str) -> impl Serialize {
    let body = Account { automount_service_account_token: false };
    object("v1", "ServiceAccount", namespace, name, labels(name), body)
}

fn proxy_file(export: &Export) -> File {
    let namespace = &export.proxy_namespace();
    let all = || labels(PROXY);
    let config = Data { data: Strings::from([("proxy.toml".into(), export.proxy.config.clone())]) };
    let about = format!(
        "The proxy: what agents may reach, and the keys that it adds outside of their pods.\n\
         Agents dial the Service's address {}, which must be free and among the cluster's addresses for Services.\n\
         Its Secrets come from `pinfold kube --secrets`.",
        export.proxy.address
    );
    Writing::begin("proxy.yaml", Use::Applied, &about)
        .add(&account(namespace, PROXY))
        .add(&object("v1", "ConfigMap", namespace, PROXY_CONFIG, all(), config))
        .add(&object("v1", "Service", namespace, PROXY, all(), Spec { spec: proxy::service(export) }))
        .add(&object(
            "policy/v1",
            "PodDisruptionBudget",
            namespace,
            PROXY,
            all(),
            Spec { spec: proxy::disruptions() },
        ))
        .add(&object(
            "apps/v1",
            "Deployment",
            namespace,
            PROXY,
            all(),
            Spec { spec: proxy::deployment(export) },
        ))
        .end()
}

/// What agents' pods of one name are labelled with.
fn own_labels(export: &Export) -> Strings {
    agent::pod_labels(export)
}

fn quota(export: &Export, most: u32) -> File {
    let agent = &export.agent;
    let (memory, cpu) = agent::requests(export);
    let all = u64::from(most);
    let hard = strings([
        ("limits.cpu", &agent::processors(agent.cpu_milli.saturating_mul(all))),
        ("limits.memory", &agent::quantity(agent.memory.saturating_mul(all))),
        ("pods", &most.to_string()),
        ("requests.cpu", &agent::processors(cpu.saturating_mul(all))),
        ("requests.memory", &agent::quantity(memory.saturating_mul(all))),
    ]);
    let pair =
        |memory, cpu| strings([("cpu", &agent::processors(cpu)), ("memory", &agent::quantity(memory))]);
    let range = Range {
        kind: "Container",
        max: pair(agent.memory, agent.cpu_milli),
        default: pair(agent.memory, agent.cpu_milli),
        default_request: pair(memory, cpu),
    };
    let about = format!(
        "A warm pool has no maximum of its own: {most} pods are the most that this namespace has, waiting and claimed."
    );
    let (namespace, name) = (&export.namespace, &export.name);
    Writing::begin("quota.yaml", Use::Applied, &about)
        .add(&object(
            "v1",
            "ResourceQuota",
            namespace,
            name,
            own_labels(export),
            Spec { spec: Quota { hard } },
        ))
        .add(&object(
            "v1",
            "LimitRange",
            namespace,
            name,
            own_labels(export),
            Spec { spec: Ranges { limits: vec![range] } },
        ))
        .end()
}

/// Texts in groups, each small enough for one object, with the number of the first.
fn parts(tasks: &[String]) -> Vec<(usize, &[String])> {
    let mut parts = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (index, task) in tasks.iter().enumerate() {
        if bytes + written(task) > TASKS_BYTES && index > start {
            parts.push((start, &tasks[start..index]));
            (start, bytes) = (index, 0);
        }
        bytes += written(task) + 16;
    }
    parts.push((start, &tasks[start..]));
    parts
}

fn agent_file(export: &Export) -> File {
    let namespace = &export.namespace;
    let config_map = |name: &str, data: Strings| {
        object("v1", "ConfigMap", namespace, name, own_labels(export), Data { data })
    };
    let mut pod = Strings::from([("pod.json".into(), export.agent.pod.clone())]);
    if let Workspace::Git { clone, .. } = &export.agent.content {
        pod.insert("clone.json".into(), clone.clone());
    }
    let about = "What pods of the agent read: `pod.json` tells process 1 where the proxy is and what must not be reached.";
    let mut file = Writing::begin("agent.yaml", Use::Applied, about)
        .add(&account(namespace, AGENT_ACCOUNT))
        .add(&config_map(&agent::pod_config(export), pod));
    if !export.agent.home_files.is_empty() {
        let texts = export.agent.home_files.values().enumerate();
        let data = texts.map(|(index, text)| (agent::home_key(index), text.clone())).collect();
        file = file.add(&config_map(&agent::home_config(export), data));
    }
    if let Form::Job { tasks, .. } = &export.form {
        for (index, (first, texts)) in parts(tasks).into_iter().enumerate() {
            let numbered = texts.iter().zip(first..);
            let data = numbered.map(|(text, number)| (number.to_string(), text.clone())).collect();
            file = file.add(&config_map(&agent::tasks_config(export, index), data));
        }
    }
    if let (Workspace::Claim { size }, Form::Sandbox { .. } | Form::Pod) =
        (&export.agent.content, &export.form)
    {
        file = file.add(&object(
            "v1",
            "PersistentVolumeClaim",
            namespace,
            &agent::claim(export),
            own_labels(export),
            Spec { spec: agent::claim_spec(*size) },
        ));
    }
    file.end()
}

fn form(export: &Export) -> File {
    let (namespace, name) = (&export.namespace, &export.name);
    let template = || Template { metadata: agent::pod_metadata(export), spec: agent::pod(export) };
    match &export.form {
        Form::Sandbox { until } => {
            let sandbox = Sandbox {
                operating_mode: "Running",
                shutdown_policy: "Delete",
                shutdown_time: until.clone(),
                pod_template: template(),
            };
            let about = "A sandbox of agent-sandbox (0.5.2 or later). It ends, and is deleted, at its time.";
            Writing::begin("sandbox.yaml", Use::Applied, about)
                .add(&object(
                    SANDBOX_VERSION,
                    "Sandbox",
                    namespace,
                    name,
                    own_labels(export),
                    Spec { spec: sandbox },
                ))
                .end()
        }
        Form::Pool { warm, .. } => {
            let claim = |size| ClaimTemplate {
                metadata: Metadata { name: "workspace".into(), ..Metadata::default() },
                spec: agent::claim_spec(size),
            };
            let template = SandboxTemplate {
                // Their own policy would open the public network beside ours.
                network_policy_management: "Unmanaged",
                env_vars_injection_policy: "Disallowed",
                volume_claim_templates_policy: "Disallowed",
                pod_template: template(),
                volume_claim_templates: match export.agent.content {
                    Workspace::Claim { size } => vec![claim(size)],
                    _ => Vec::new(),
                },
            };
            let pool = WarmPool {
                replicas: *warm,
                sandbox_template_ref: Named { name: name.clone() },
                update_strategy: Kind { kind: "OnReplenish" },
            };
            let about = "Sandboxes that wait for a claim (agent-sandbox 0.5.2 or later): each has proved that it has no way out, and\n\
                         starts its agent when `pinfold kube --claim` has handed over its token.";
            let all = || own_labels(export);
            Writing::begin("pool.yaml", Use::Applied, about)
                .add(&object(
                    EXTENSIONS_VERSION,
                    "SandboxTemplate",
                    namespace,
                    name,
                    all(),
                    Spec { spec: template },
                ))
                .add(&object(
                    EXTENSIONS_VERSION,
                    "SandboxWarmPool",
                    namespace,
                    name,
                    all(),
                    Spec { spec: pool },
                ))
                .end()
        }
        Form::Pod => {
            let about = "One pod. It is not started again, and ends after its time.";
            Writing::begin("pod.yaml", Use::Applied, about)
                .add(&object(
                    "v1",
                    "Pod",
                    namespace,
                    name,
                    own_labels(export),
                    Spec { spec: agent::pod(export) },
                ))
                .end()
        }
        Form::Job { tasks, parallelism } => {
            let about = format!(
                "{} tasks, one pod for each. A pod that finds another way out than the proxy ends the job: exit\n\
                 code {NOT_ISOLATED} of any of its containers, since the one that clones looks first.",
                tasks.len()
            );
            let job = job(tasks.len(), *parallelism, template());
            Writing::begin("job.yaml", Use::Applied, &about)
                .add(&object("batch/v1", "Job", namespace, name, own_labels(export), Spec { spec: job }))
                .end()
        }
    }
}

fn job(completions: usize, parallelism: usize, template: Template<pod::PodSpec>) -> Job {
    let not_isolated = FailureRule {
        action: "FailJob",
        // Of any container: process 1 of the one that clones proves it too, and before the agent's.
        on_exit_codes: Some(ExitCodes { operator: "In", values: vec![NOT_ISOLATED] }),
        on_pod_conditions: Vec::new(),
    };
    // A drained node is no fault of the task's.
    let moved = FailureRule {
        action: "Ignore",
        on_exit_codes: None,
        on_pod_conditions: vec![Condition { kind: "DisruptionTarget", status: "True" }],
    };
    Job {
        completions,
        parallelism,
        completion_mode: "Indexed",
        backoff_limit_per_index: 1,
        pod_replacement_policy: "Failed",
        pod_failure_policy: FailurePolicy { rules: vec![not_isolated, moved] },
        ttl_seconds_after_finished: KEPT,
        template,
    }
}

fn claim(export: &Export, until: &str) -> File {
    let claim = Claim {
        warm_pool_ref: Named { name: export.name.clone() },
        lifecycle: ClaimLifecycle {
            shutdown_policy: "Delete",
            shutdown_time: until.to_owned(),
            ttl_seconds_after_finished: 300,
        },
    };
    let about = format!(
        "A claim of one of the pool's sandboxes. Give each its own name and time, then hand over its token:\n\
         \n    kubectl create -f claim.example.yaml\n    pinfold kube --claim {}-1 .",
        export.name
    );
    let name = format!("{}-1", export.name);
    Writing::begin("claim.example.yaml", Use::Example, &about)
        .add(&object(
            EXTENSIONS_VERSION,
            "SandboxClaim",
            &export.namespace,
            &name,
            own_labels(export),
            Spec { spec: claim },
        ))
        .end()
}

/// A Secret with these texts.
fn secret(
    namespace: &str,
    name: &str,
    kind: &'static str,
    all: Strings,
    texts: &Strings,
) -> impl Serialize + use<> {
    let data = texts.iter().map(|(name, text)| (name.clone(), STANDARD.encode(text))).collect();
    object("v1", "Secret", namespace, name, all, SecretData { kind, data })
}
