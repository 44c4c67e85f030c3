//! Who may reach whom: agents the proxy and nothing else, the proxy the public network and names.

use super::File;
use super::HEALTH_PORT;
use super::PROXY;
use super::PROXY_PORT;
use super::Use;
use super::Writing;
use super::export::Export;
use super::kinds::Block;
use super::kinds::Egress;
use super::kinds::Ingress;
use super::kinds::NetworkPolicy;
use super::kinds::Peer;
use super::kinds::PolicyPort;
use super::meta::Selector;
use super::meta::Spec;
use super::meta::labels;
use super::meta::object;
use super::meta::strings;

/// What is not the public network, as IPv4 has it (RFC 6890): the cluster's own addresses, and clouds' metadata.
const NOT_PUBLIC: [&str; 8] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "224.0.0.0/3",
];
/// The same of IPv6.
const NOT_PUBLIC_6: [&str; 4] = ["::/96", "fc00::/7", "fe80::/10", "ff00::/8"];
/// Where nodes keep the cluster's names, when they do.
const NODE_NAMES: &str = "169.254.20.10/32";

const fn tcp(port: u16) -> PolicyPort {
    PolicyPort { protocol: "TCP", port }
}

fn namespace(name: &str) -> Selector {
    Selector::of(strings([("kubernetes.io/metadata.name", name)]))
}

fn pods(label: &str, value: &str) -> Selector {
    Selector::of(strings([(label, value)]))
}

fn block(cidr: &'static str, except: &[&'static str]) -> Peer {
    Peer { ip_block: Some(Block { cidr, except: except.to_vec() }), ..Peer::default() }
}

pub(super) fn file(export: &Export) -> File {
    let both = || vec!["Ingress", "Egress"];
    let none = || NetworkPolicy {
        pod_selector: Selector::default(),
        policy_types: both(),
        ingress: Vec::new(),
        egress: Vec::new(),
    };
    let proxy = Peer {
        namespace_selector: Some(namespace(&export.proxy_namespace())),
        pod_selector: Some(pods("app.kubernetes.io/name", PROXY)),
        ..Peer::default()
    };
    let to_proxy = NetworkPolicy {
        pod_selector: Selector::default(),
        policy_types: vec!["Egress"],
        ingress: Vec::new(),
        egress: vec![Egress { to: vec![proxy], ports: vec![tcp(PROXY_PORT)] }],
    };
    let agents = Peer { namespace_selector: Some(namespace(&export.namespace)), ..Peer::default() };
    let names = Peer {
        namespace_selector: Some(namespace("kube-system")),
        pod_selector: Some(pods("k8s-app", "kube-dns")),
        ..Peer::default()
    };
    let of_proxy = NetworkPolicy {
        pod_selector: Selector::of(strings([("app.kubernetes.io/name", PROXY)])),
        policy_types: both(),
        ingress: vec![Ingress { from: vec![agents], ports: vec![tcp(PROXY_PORT)] }],
        egress: vec![
            Egress {
                to: vec![block("0.0.0.0/0", &NOT_PUBLIC), block("::/0", &NOT_PUBLIC_6)],
                ports: export.proxy.ports.iter().map(|port| tcp(*port)).collect(),
            },
            Egress {
                to: vec![names, block(NODE_NAMES, &[])],
                ports: vec![PolicyPort { protocol: "UDP", port: 53 }, tcp(53)],
            },
        ],
    };
    let (inside, outside) = (&export.namespace, &export.proxy_namespace());
    let policy = |namespace: &str, name: &str, part: &str, spec| {
        object("networking.k8s.io/v1", "NetworkPolicy", namespace, name, labels(part), Spec { spec })
    };
    let about = format!(
        "Agents reach the proxy and nothing else; nobody reaches them. The proxy reaches the public network and the cluster's names.\n\
         Where the cluster's network ignores policies, process 1 of a pod finds that out and does not start its agent.\n\
         Monitoring that reads the proxy's port {HEALTH_PORT} needs a policy of its own."
    );
    Writing::begin("network.yaml", Use::Applied, &about)
        .add(&policy(inside, "pinfold-nothing", super::AGENT_ACCOUNT, none()))
        .add(&policy(inside, "pinfold-to-proxy", super::AGENT_ACCOUNT, to_proxy))
        .add(&policy(outside, "pinfold-nothing", PROXY, none()))
        .add(&policy(outside, PROXY, PROXY, of_proxy))
        .end()
}
