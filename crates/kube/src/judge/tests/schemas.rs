//! Schemas: fields, types, words, versions.

use super::*;

fn pod(spec: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\nspec:\n  containers:\n  - name: c\n    image: i\n{spec}"
    )
}

/// What the schema says of a text: path, line, message.
fn said(report: &Report) -> Vec<(String, u32, String)> {
    let schema = report.findings.iter().filter(|finding| finding.rule == "schema");
    schema.map(|finding| (finding.path.clone(), finding.line, finding.message.clone())).collect()
}

#[test]
fn every_line_of_the_tables_means_something() {
    assert_eq!(schema::unread(), [""; 0]);
    assert!(schema::kinds().len() > 35, "{:?}", schema::kinds());
}

#[test]
fn a_misspelt_field_is_told_with_its_line_and_what_was_meant() {
    let report = judged(&pod("  automountServiceAcountToken: false\n"));
    let [(path, line, message)] = &said(&report)[..] else { panic!("{report:?}") };
    assert_eq!((path.as_str(), *line), ("spec.automountServiceAcountToken", 9));
    assert!(message.contains("did you mean `automountServiceAccountToken`?"), "{message}");
    let report = judged(&pod("  containerz: []\n  x: 1\n"));
    assert_eq!(said(&report).len(), 2);
}

#[test]
fn types_are_told() {
    for (spec, path) in [
        ("  hostUsers: 'false'\n", "spec.hostUsers"),
        ("  priority: '1'\n", "spec.priority"),
        ("  priority: 3000000000\n", "spec.priority"),
        ("  volumes: {}\n", "spec.volumes"),
        ("  nodeSelector: {a: 1}\n", "spec.nodeSelector.a"),
        ("  nodeSelector: [a]\n", "spec.nodeSelector"),
        ("  nodeName: 1\n", "spec.nodeName"),
        ("  overhead: {cpu: 1x}\n", "spec.overhead.cpu"),
        ("  overhead: {\"a/b\": [1]}\n", "spec.overhead[\"a/b\"]"),
        ("  volumes: [{name: v, emptyDir: 1}]\n", "spec.volumes[0].emptyDir"),
        ("  restartPolicy: Allways\n", "spec.restartPolicy"),
        ("  tolerations: [{operator: Like}]\n", "spec.tolerations[0].operator"),
    ] {
        let found = said(&judged(&pod(spec)));
        assert_eq!(found.len(), 1, "{spec}: {found:?}");
        assert_eq!(found[0].0, path);
    }
    for spec in [
        "  hostUsers: false\n  priority: 1\n  nodeSelector: {a: '1'}\n  overhead: {cpu: 1, memory: 1.5Gi, x: 0.5}\n",
        "  volumes:\n  securityContext: null\n  restartPolicy: ''\n",
        "  terminationGracePeriodSeconds: 3000000000\n",
    ] {
        assert_eq!(said(&judged(&pod(spec))), [], "{spec}");
    }
}

#[test]
fn what_is_required_is_told_as_missing() {
    let report =
        judged("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {volumes: [{emptyDir: {}}]}\n");
    let found: Vec<(String, u32)> = said(&report).into_iter().map(|(path, line, _)| (path, line)).collect();
    assert_eq!(found, [("spec.containers".to_owned(), 4), ("spec.volumes[0].name".to_owned(), 4)]);
    let null = judged("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers:\n");
    assert_eq!(said(&null)[0].0, "spec.containers");
}

#[test]
fn fields_of_some_versions_are_told_with_them() {
    let spec = pod("  workloadRef: {name: a, podGroup: b}\n");
    assert_eq!(said(&judged_by(35, &spec)), []);
    for minor in [34, 36, 37] {
        let found = said(&judged_by(minor, &spec));
        assert!(found[0].2.contains("only a field of Kubernetes 1.35"), "{found:?}");
    }
    let newer = pod("  schedulingGroup: {}\n");
    assert!(said(&judged(&newer))[0].2.contains("1.36 and newer, and 1.34 to 1.37 is asked for"));
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n";
    assert_eq!(said(&judged_by(36, deployment)), []);
    assert_eq!(said(&judged_by(37, deployment))[0].0, "spec");
    assert!(said(&judged(deployment))[0].2.contains("required in Kubernetes 1.37 and newer"));
}

#[test]
fn what_a_secret_holds_is_not_repeated() {
    let report = judged("apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata: {a: 'hunter2!'}\n");
    assert_eq!(said(&report)[0].0, "data.a");
    assert!(!format!("{report:?}").contains("hunter2"));
}

#[test]
fn kinds_of_agent_sandbox_are_known() {
    let claim = "apiVersion: extensions.agents.x-k8s.io/v1beta1\nkind: SandboxClaim\nmetadata: {name: a}\nspec:\n  warmPoolRef: {name: p}\n  lifecycle: {shutdownPolicy: Delete, ttlSecondsAfterFinished: 60}\n";
    assert_eq!(judged(claim).findings, []);
    for (from, to, path) in [
        ("warmPoolRef", "warmPool", "spec.warmPoolRef"),
        ("Delete", "Remove", "spec.lifecycle.shutdownPolicy"),
        ("60", "-1", "spec.lifecycle.ttlSecondsAfterFinished"),
        ("{name: p}", "{}", "spec.warmPoolRef.name"),
        ("ttlSecondsAfterFinished: 60", "shutdownTime: tomorrow", "spec.lifecycle.shutdownTime"),
    ] {
        let report = judged(&changed(claim, from, to));
        assert!(said(&report).iter().any(|(at, ..)| at == path), "{to}: {report:?}");
    }
    let template = "apiVersion: extensions.agents.x-k8s.io/v1beta1\nkind: SandboxTemplate\nmetadata: {name: a}\nspec: {podTemplate: {spec: {containers: [], hostUser: true}}}\n";
    let found = said(&judged(template));
    assert_eq!(found[0].0, "spec.podTemplate.spec.hostUser", "a template's pod is a pod");
}

#[test]
fn kustomizations_are_known() {
    let text = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [a.yaml]\nsortOptions: {order: fifo}\n";
    assert_eq!(judged(text).findings, []);
    assert_eq!(said(&judged(&changed(text, "resources", "resource")))[0].0, "resource");
}

#[test]
fn names_and_references_are_checked() {
    for (from, to, path) in [
        ("name: a", "name: A_b", "metadata.name"),
        ("name: a", "labels: {'a b': c}", "metadata.name"),
        ("name: c", "name: c.d", "spec.containers[0].name"),
        (
            "image: i",
            "image: i\n    volumeMounts: [{name: v, mountPath: /v}]",
            "spec.containers[0].volumeMounts[0].name",
        ),
        ("image: i", "image: i\n  - name: c\n    image: i", "spec.containers[1].name"),
    ] {
        let report = judged(&changed(&pod(""), from, to));
        assert!(report.findings.iter().any(|at| at.rule == "names" && at.path == path), "{to}: {report:?}");
    }
    let mounted = pod("    volumeMounts: [{name: v, mountPath: /v}]\n  volumes: [{name: v, emptyDir: {}}]\n");
    assert_eq!(rules(&judged(&mounted), "names"), [""; 0]);
    let large = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{a: {}}}\n",
        "x".repeat(1 << 20)
    );
    assert_eq!(rules(&judged(&large), ""), ["names"]);
}

#[test]
fn makers_of_pods_take_what_they_make() {
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec:\n  selector: {matchLabels: {a: b}}\n  template: {metadata: {labels: {a: b}}, spec: {containers: []}}\n";
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: a}\nspec: {template: {spec: {restartPolicy: Never, containers: []}}}\n";
    let names = |text: &str| rules(&judged(text), "names").len();
    assert_eq!((names(deployment), names(job)), (0, 0));
    assert_eq!(names(&changed(deployment, "labels: {a: b}", "labels: {a: c}")), 1);
    assert_eq!(names(&changed(deployment, "containers", "restartPolicy: Never, containers")), 1);
    assert_eq!(names(&changed(job, "restartPolicy: Never, ", "")), 1);
    assert_eq!(names(&changed(job, "restartPolicy: Never", "restartPolicy: Always")), 1);
}
