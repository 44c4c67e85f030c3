//! What pinfold exports keeps all rules, and each change of it that matters breaks the one that it should.

use super::*;

/// The exports that were reviewed, each as one text of all its files.
const EXPORTS: [(&str, &str); 5] = [
    ("gke", include_str!("../../objects/reviewed/gke.yaml")),
    ("job", include_str!("../../objects/reviewed/job.yaml")),
    ("pod", include_str!("../../objects/reviewed/pod.yaml")),
    ("pool", include_str!("../../objects/reviewed/pool.yaml")),
    ("sandbox", include_str!("../../objects/reviewed/sandbox.yaml")),
];

fn export(name: &str) -> &'static str {
    EXPORTS.iter().find(|(known, _)| *known == name).unwrap().1
}

#[test]
fn exports_keep_all_rules() {
    let since_images = Minor::new(35).unwrap()..=Minor::NEWEST;
    for (name, text) in EXPORTS {
        // The pod mounts an image, which 1.34 does not.
        let versions = if name == "pod" { since_images.clone() } else { Minor::OLDEST..=Minor::NEWEST };
        let report = judge(&[document(text)], &Judging { versions, ..Judging::new(seeker) });
        assert_eq!(report.findings, [], "{name}: {report:#?}");
        assert!(report.objects > 15, "{name}");
    }
    let gke = Judging { nodes: Nodes::Gke, ..Judging::new(seeker) };
    assert_eq!(judge(&[document(export("gke"))], &gke).findings, []);
    assert_eq!(rules(&judged(export("pod")), ""), ["pinfold/image-volume"]);
    assert_eq!(
        rules(&judge(&[document(export("sandbox"))], &gke), ""),
        ["sandbox-policy/01", "sandbox-policy/15", "sandbox-policy/16"]
    );
}

/// The policy that numbered the rules, where it is at hand: it takes what is exported for GKE.
#[test]
fn a_policy_of_others_takes_what_is_exported_for_it() {
    let Some(files) = data("policy") else { return };
    let of = files.into_iter().filter(|(_, text)| text.contains("kind: ValidatingAdmissionPolicy\n"));
    let policies: Vec<Document> =
        of.map(|(path, text)| Document { file: path.display().to_string(), text: text.into() }).collect();
    let by = |name: &str| {
        let judging = Judging { policies: policies.clone(), ..Judging::new(seeker) };
        rules(&judge(&[document(export(name))], &judging), "policy/")
    };
    assert_eq!(by("gke"), [""; 0]);
    assert_eq!(by("sandbox").len(), 3);
    assert_eq!(by("pool").len(), 3, "a template is asked about as what is made of it");
}

#[test]
fn changes_of_an_export_break_the_rule_that_they_should() {
    for (name, file, from, to, rule) in [
        ("sandbox", "sandbox.yaml", "  shutdownTime: \"2026-12-01T18:00:00Z\"\n", "", "lifecycle"),
        ("sandbox", "sandbox.yaml", "  shutdownPolicy: Delete\n", "", "lifecycle"),
        ("sandbox", "sandbox.yaml", "@sha256:aaaa", ":latest@sha256:", "digest"),
        (
            "sandbox",
            "sandbox.yaml",
            "readOnlyRootFilesystem: true",
            "readOnlyRootFilesystem: false",
            "read-only",
        ),
        ("sandbox", "sandbox.yaml", "- pod\n        - run\n", "- claude\n", "process-1"),
        (
            "sandbox",
            "sandbox.yaml",
            "secretName: claude-code-demo-token",
            "secretName: pinfold-proxy-keys",
            "proxy-secrets",
        ),
        (
            "sandbox",
            "sandbox.yaml",
            "value: http://127.0.0.1:3128",
            "value: http://sk-ant-1@127.0.0.1:3128",
            "secret",
        ),
        (
            "pool",
            "pool.yaml",
            "networkPolicyManagement: Unmanaged",
            "networkPolicyManagement: Managed",
            "network-management",
        ),
        ("pool", "quota.yaml", "    pods: \"200\"\n", "", "quota"),
        ("pool", "claim.example.yaml", "shutdownPolicy: Delete", "shutdownPolicy: Retain", "lifecycle"),
        ("pod", "pod.yaml", "  activeDeadlineSeconds: 28800\n", "", "lifecycle"),
        ("job", "job.yaml", "  ttlSecondsAfterFinished: 86400\n", "", "lifecycle"),
        (
            "pod",
            "network.yaml",
            "  name: pinfold-nothing\n  namespace: pinfold\n",
            "  name: pinfold-nothing\n  namespace: elsewhere\n",
            "network-policy",
        ),
        ("pod", "network.yaml", "  egress:\n", "  egress:\n  - {}\n", "network-policy"),
        ("pod", "proxy.yaml", "  replicas: 2\n", "  replicas: 1\n", "disruptions"),
        (
            "pod",
            "proxy.yaml",
            "kind: PodDisruptionBudget\nmetadata:\n  name: pinfold-proxy\n  namespace: pinfold-proxy\n",
            "kind: PodDisruptionBudget\nmetadata:\n  name: pinfold-proxy\n  namespace: elsewhere\n",
            "disruptions",
        ),
        ("pod", "proxy.yaml", "  proxy.toml: |", "  sk-ant-1: |", "secret"),
        ("pod", "proxy.yaml", "@sha256:", "@sha512:", "digest"),
        (
            "pod",
            "namespaces.yaml",
            "pod-security.kubernetes.io/enforce: restricted",
            "pod-security.kubernetes.io/enforce: privileged",
            "restricted",
        ),
        (
            "pod",
            "secrets.template.yaml",
            "  name: pinfold-proxy-keys\n  namespace: pinfold-proxy\n",
            "  name: pinfold-proxy-keys\n  namespace: pinfold\n",
            "proxy-secrets",
        ),
    ] {
        let (before, after) = export(name).split_once(&format!("## {file}\n")).unwrap();
        let text = format!("{before}{}", changed(after, from, to));
        assert_eq!(rules(&judged_by(37, &text), ""), [format!("pinfold/{rule}")], "{name}, {file}: {to}");
    }
    // What others ask for as well.
    for (from, to, rule) in [
        ("automountServiceAccountToken: false", "automountServiceAccountToken: true", "token"),
        ("            cpu: \"1500m\"\n", "", "limits"),
    ] {
        let (before, after) = export("sandbox").split_once("## sandbox.yaml\n").unwrap();
        let text = format!("{before}{}", after.replace(from, to));
        assert_eq!(rules(&judged(&text), "pinfold/"), [format!("pinfold/{rule}")], "{to}");
    }
}
