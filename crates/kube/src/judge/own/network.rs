//! NetworkPolicies around agents' pods and the proxy.
//!
//! Policies add up: what one of them opens, no other closes. So every policy that selects an agent's pod is looked at, and one
//! of them at least has to isolate it both ways.

use std::collections::BTreeSet;

use super::Around;
use super::NAME;
use super::PROXY;
use super::Role;
use crate::judge::NOT_JUDGED;
use crate::judge::object::Object;
use crate::judge::pods::Pod;
use crate::judge::selector::Selectors;
use crate::judge::selector::selects;
use crate::judge::sink::Path;
use crate::judge::sink::Sink;
use crate::judge::value::Node;

const RULE: &str = "pinfold/network-policy";

/// Whether a policy is about a direction.
fn governs(policy: &Object, direction: &str) -> bool {
    let types = policy.root.at(&["spec", "policyTypes"]);
    match types {
        Some(types) => types.items().iter().any(|node| node.text() == Some(direction)),
        // Without a list it is about what comes in, and about what goes out where it has rules of that.
        None => direction == "Ingress" || policy.root.at(&["spec", "egress"]).is_some(),
    }
}

/// Judges the policies of all pods of ours.
pub(super) fn judge(around: &Around<'_>, sink: &mut Sink<'_>) {
    let ours = around.pods.iter().filter(|(_, role)| *role != Role::Other);
    let mut opened: BTreeSet<*const Object> = BTreeSet::new();
    let of_policies = around.objects.iter().filter(|object| object.is("networking.k8s.io", "NetworkPolicy"));
    let mut selectors =
        Selectors::new(of_policies.filter_map(|policy| {
            Some((policy, policy.namespace(), policy.root.at(&["spec", "podSelector"])?))
        }));
    for (pod, role) in ours {
        let labels = pod.metadata("labels").and_then(Node::map);
        let Some(policies) = selectors.of(pod.namespace(), labels) else {
            let message =
                "there are more policies and pods than are compared with each other: judge fewer at once";
            return pod.within(|path| sink.put(pod.object, path, pod.spec.line, NOT_JUDGED, message));
        };
        let missing: Vec<&str> = ["Ingress", "Egress"]
            .into_iter()
            .filter(|direction| !policies.iter().any(|policy| governs(policy, direction)))
            .collect();
        if !missing.is_empty() {
            let message = format!(
                "no NetworkPolicy among what is judged isolates its pods ({}): one of the namespace has to select them, with `policyTypes: [Ingress, Egress]`",
                missing.join(", ")
            );
            pod.within(|path| sink.put(pod.object, path, pod.spec.line, RULE, message));
        }
        if *role == Role::Agent {
            for policy in policies {
                // Each once, however many pods it selects.
                if opened.insert(policy) {
                    opens(policy, pod, sink);
                }
            }
        }
    }
}

/// Whether a selector takes everything.
fn is_empty(selector: &Node) -> bool {
    let labels = selector.get("matchLabels").and_then(Node::map);
    labels.is_none_or(|labels| labels.iter().next().is_none())
        && selector.items_at("matchExpressions").is_empty()
}

/// What a policy lets in or out that an agent does not need.
fn opens(policy: &Object, pod: &Pod<'_>, sink: &mut Sink<'_>) {
    let title = pod.object.title();
    let spec = Path::Root.name("spec");
    if let Some(rules) = policy
        .root
        .at(&["spec", "ingress"])
        .filter(|rules| governs(policy, "Ingress") && !rules.items().is_empty())
    {
        let message = format!("it lets others reach `{title}`: nobody needs to, leave `ingress` empty");
        sink.put(policy, &spec.name("ingress"), rules.line, RULE, message);
    }
    let egress = spec.name("egress");
    for (index, rule) in policy.root.at(&["spec", "egress"]).map_or(&[][..], Node::items).iter().enumerate() {
        let peers = rule.items_at("to");
        // Of pods of the proxy alone: a selector without anything takes all pods, names by DNS among them.
        let to_proxy = |peer: &Node| {
            let of = peer.get("podSelector").filter(|selector| !is_empty(selector));
            of.is_some_and(|selector| selects(selector, |name| (name == NAME).then_some(PROXY)))
        };
        if peers.is_empty() || !peers.iter().all(to_proxy) {
            let message = format!(
                "it lets `{title}` reach more than pods of the proxy: name them by `podSelector` and `namespaceSelector`"
            );
            sink.put(policy, &egress.index(index), rule.line, RULE, message);
        }
    }
}
