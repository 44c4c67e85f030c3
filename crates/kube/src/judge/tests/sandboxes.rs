//! The sixteen rules for sandboxes: each broken by one change, and by no other.

use super::*;

/// What breaks each rule, in the order of their numbers.
const CHANGES: [(&str, &str); 16] = [
    ("runtimeClassName: gvisor", "runtimeClassName: runc"),
    ("{automountServiceAccountToken: false", "{hostNetwork: true, automountServiceAccountToken: false"),
    ("automountServiceAccountToken: false", "automountServiceAccountToken: true"),
    ("privileged: false", "privileged: true"),
    ("drop: [ALL]", "drop: [NET_RAW]"),
    ("cpu: 500m, ", ""),
    (
        "privileged: false, readOnlyRootFilesystem: true, runAsNonRoot: true",
        "privileged: false, runAsNonRoot: false",
    ),
    ("secret: {secretName: a-token}", "projected: {sources: [{serviceAccountToken: {path: t}}]}"),
    ("secret: {secretName: a-token}", "hostPath: {path: /}"),
    ("drop: [ALL]", "drop: [ALL], add: [NET_BIND_SERVICE]"),
    ("{automountServiceAccountToken: false", "{hostPID: true, automountServiceAccountToken: false"),
    ("{name: agent, ", "{name: agent, ports: [{containerPort: 1, hostPort: 1}], "),
    ("runAsUser: 1000", "sysctls: [{name: net.ipv4.tcp_rmem, value: '1'}]"),
    ("privileged: false", "procMount: Unmasked"),
    ("nodeSelector: {sandbox.gke.io/runtime: gvisor}", "nodeSelector: {sandbox.gke.io/runtime: other}"),
    (
        "operator: Equal, value: gvisor, effect: NoSchedule",
        "operator: Equal, value: gvisor, effect: NoExecute",
    ),
];

fn gke(text: &str, policies: Vec<Document>) -> Report {
    judge(&[document(text)], &Judging { nodes: Nodes::Gke, policies, ..Judging::new(seeker) })
}

#[test]
fn each_rule_is_broken_by_one_change() {
    let sandbox = export::sandbox();
    assert_eq!(rules(&gke(&sandbox, Vec::new()), "sandbox-policy/"), [""; 0]);
    for (number, (from, to)) in (1..).zip(CHANGES) {
        let report = gke(&changed(&sandbox, from, to), Vec::new());
        assert_eq!(rules(&report, "sandbox-policy/"), [format!("sandbox-policy/{number:02}")], "{to}");
    }
    let more = [
        (
            8,
            "secret: {secretName: a-token}",
            "projected: {sources: [{clusterTrustBundle: {path: t, name: b}}]}",
        ),
        (
            8,
            "secret: {secretName: a-token}",
            "projected: {sources: [{podCertificate: {keyType: k, signerName: s}}]}",
        ),
        (11, "{automountServiceAccountToken: false", "{hostIPC: true, automountServiceAccountToken: false"),
        (3, "automountServiceAccountToken: false, ", ""),
        (1, "runtimeClassName: gvisor, ", ""),
        (6, "resources: {limits: {cpu: 500m, memory: 1Gi}}, ", ""),
        (15, "nodeSelector: {sandbox.gke.io/runtime: gvisor}, ", ""),
    ];
    for (number, from, to) in more {
        let report = gke(&changed(&sandbox, from, to), Vec::new());
        assert_eq!(rules(&report, "sandbox-policy/"), [format!("sandbox-policy/{number:02}")], "{to}");
    }
}

#[test]
fn templates_are_judged_as_what_is_made_of_them() {
    let pool = export::pool();
    for (number, (from, to)) in (1..).zip(CHANGES) {
        let report = gke(&changed(&pool, from, to), Vec::new());
        assert_eq!(rules(&report, "sandbox-policy/"), [format!("sandbox-policy/{number:02}")], "{to}");
    }
}

#[test]
fn nodes_of_others_are_not_asked_for_gke() {
    let sandbox = export::sandbox();
    for (number, (from, to)) in (1..).zip(CHANGES) {
        let found = rules(&judged(&changed(&sandbox, from, to)), "sandbox-policy/");
        let asked = !matches!(number, 1 | 15 | 16);
        assert_eq!(found.len(), usize::from(asked), "{to}: {found:?}");
    }
    let empty = changed(&sandbox, "runtimeClassName: gvisor", "runtimeClassName: ''");
    assert_eq!(rules(&judged(&empty), "sandbox-policy/"), ["sandbox-policy/01"]);
}

/// The policy that numbered the rules, where it is at hand: it says the same of each change.
#[test]
fn the_policy_that_numbered_them_says_the_same() {
    let Some(files) = data("policy") else { return };
    let policies = || -> Vec<Document> {
        let of = files.iter().filter(|(_, text)| text.contains("kind: ValidatingAdmissionPolicy\n"));
        of.map(|(path, text)| Document { file: path.display().to_string(), text: text.clone().into() })
            .collect()
    };
    assert_eq!(policies().len(), 1);
    let name = |number: usize| format!("policy/secure-sandbox-policy/{number:02}");
    for text in [export::sandbox(), export::pool()] {
        let report = gke(&text, policies());
        assert_eq!((rules(&report, "policy/"), rules(&report, "not-judged")), (vec![], vec![]));
        for (number, (from, to)) in (1..).zip(CHANGES) {
            let report = gke(&changed(&text, from, to), policies());
            assert_eq!(rules(&report, "policy/"), [name(number)], "{to}: {report:#?}");
            assert_eq!(rules(&report, "not-judged"), [""; 0]);
        }
    }
}
