//! The proxy's objects, in a namespace of their own: whoever may make pods beside agents cannot mount its Secrets.

use super::PROGRAM;
use super::PROXY;
use super::export::Export;
use super::kinds::Deployment;
use super::kinds::Disruptions;
use super::kinds::Rolling;
use super::kinds::Service;
use super::kinds::ServicePort;
use super::kinds::Strategy;
use super::meta::Metadata;
use super::meta::Named;
use super::meta::Selector;
use super::meta::Strings;
use super::meta::Template;
use super::meta::labels;
use super::meta::strings;
use super::pod::Affinity;
use super::pod::AntiAffinity;
use super::pod::Before;
use super::pod::Container;
use super::pod::Get;
use super::pod::Lifecycle;
use super::pod::Mount;
use super::pod::PodSecurity;
use super::pod::PodSpec;
use super::pod::Port;
use super::pod::Preferred;
use super::pod::Probe;
use super::pod::Projection;
use super::pod::Resources;
use super::pod::Security;
use super::pod::Sleep;
use super::pod::Source;
use super::pod::Spread;
use super::pod::Term;
use super::pod::Volume;

/// The user of the proxy's image.
const USER: u32 = 65532;
/// Seconds in which a Service's changes reach the nodes.
const SETTLE: u16 = 5;
const NODE: &str = "kubernetes.io/hostname";
const ZONE: &str = "topology.kubernetes.io/zone";

/// Labels of the proxy's pods.
pub(super) fn pod_labels() -> Strings {
    labels(PROXY)
}

fn selector() -> Selector {
    Selector::of(strings([("app.kubernetes.io/name", PROXY)]))
}

fn probe(path: &'static str, period_seconds: u16, failure_threshold: u16) -> Probe {
    let http_get = Get { path, port: "health" };
    Probe { http_get, period_seconds, timeout_seconds: 3, failure_threshold }
}

fn container(export: &Export) -> Container {
    let resources = Resources {
        requests: strings([("cpu", "500m"), ("memory", "256Mi")]),
        limits: strings([("cpu", "4"), ("memory", "2Gi")]),
    };
    Container {
        name: "proxy".into(),
        image: export.proxy.image.clone(),
        image_pull_policy: "IfNotPresent",
        command: [PROGRAM, "proxy", "--config", "/etc/pinfold/proxy/proxy.toml"].map(str::to_owned).to_vec(),
        ports: vec![
            Port { name: "proxy", container_port: super::PROXY_PORT },
            Port { name: "health", container_port: super::HEALTH_PORT },
        ],
        resources,
        startup_probe: Some(probe("/healthz", 1, 60)),
        readiness_probe: Some(probe("/readyz", 5, 2)),
        liveness_probe: Some(probe("/healthz", 10, 6)),
        // While it sleeps, it is taken from the Service's addresses and goes on as before.
        lifecycle: Some(Lifecycle { pre_stop: Before { sleep: Sleep { seconds: SETTLE } } }),
        security_context: Security::default(),
        volume_mounts: vec![
            Mount::read_only("config", "/etc/pinfold/proxy"),
            Mount::read_only("tls", "/etc/pinfold/tls"),
            Mount::read_only("identities", "/etc/pinfold/identities"),
            Mount::read_only("keys", "/etc/pinfold/keys"),
        ],
        ..Container::default()
    }
}

fn secret(name: &str, secret: &str) -> Volume {
    let source = Source::Secret { secret_name: secret.to_owned(), default_mode: 0o440 };
    Volume { name: name.to_owned(), source }
}

/// Lists of identities. One Secret holds a mebibyte, about six thousand lines.
fn identities() -> Volume {
    let part = |index: usize| Projection::Secret {
        name: super::secrets::identities_name(index),
        // Pods wait for the first.
        optional: (index > 0).then_some(true),
    };
    let sources = (0..super::secrets::IDENTITY_PARTS).map(part).collect();
    let source = Source::Projected { default_mode: Some(0o440), sources };
    Volume { name: "identities".into(), source }
}

fn pod(export: &Export) -> PodSpec {
    let spread = |topology_key| Spread {
        max_skew: 1,
        topology_key,
        when_unsatisfiable: "ScheduleAnyway",
        label_selector: selector(),
    };
    let apart =
        Preferred { weight: 100, pod_affinity_term: Term { label_selector: selector(), topology_key: NODE } };
    PodSpec {
        service_account_name: PROXY.into(),
        restart_policy: "Always",
        termination_grace_period_seconds: u32::from(SETTLE + export.proxy.drain) + 10,
        affinity: Some(Affinity {
            pod_anti_affinity: AntiAffinity {
                preferred_during_scheduling_ignored_during_execution: vec![apart],
            },
        }),
        topology_spread_constraints: vec![spread(NODE), spread(ZONE)],
        image_pull_secrets: export.pull_secrets.iter().map(|name| Named { name: name.clone() }).collect(),
        security_context: PodSecurity::of(USER, USER),
        containers: vec![container(export)],
        volumes: vec![
            Volume {
                name: "config".into(),
                source: Source::ConfigMap { name: super::PROXY_CONFIG.into(), items: Vec::new() },
            },
            secret("tls", super::PROXY_TLS),
            identities(),
            secret("keys", super::PROXY_KEYS),
        ],
        ..PodSpec::default()
    }
}

pub(super) fn deployment(export: &Export) -> Deployment {
    // Another configuration is another pod; keys and identities are read again where they are.
    let digest = pinfold_base::Digest::sha256(export.proxy.config.as_bytes());
    let metadata = Metadata {
        labels: pod_labels(),
        annotations: strings([("dev.pinfold.config", &digest.hex())]),
        ..Metadata::default()
    };
    Deployment {
        replicas: export.proxy.replicas,
        revision_history_limit: 5,
        selector: selector(),
        strategy: Strategy {
            kind: "RollingUpdate",
            rolling_update: Rolling { max_surge: 1, max_unavailable: 0 },
        },
        template: Template { metadata, spec: pod(export) },
    }
}

pub(super) fn service(export: &Export) -> Service {
    Service {
        kind: "ClusterIP",
        cluster_ip: export.proxy.address.to_string(),
        ip_family_policy: "SingleStack",
        selector: strings([("app.kubernetes.io/name", PROXY)]),
        ports: vec![ServicePort {
            name: "proxy",
            protocol: "TCP",
            port: super::PROXY_PORT,
            target_port: "proxy",
        }],
    }
}

pub(super) fn disruptions() -> Disruptions {
    Disruptions { max_unavailable: 1, selector: selector() }
}
