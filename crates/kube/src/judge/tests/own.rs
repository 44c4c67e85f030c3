//! Rules of ours, each broken by one change of an export that keeps them all.

use super::*;

#[test]
fn an_export_keeps_all_rules() {
    let report = judged(&export::all());
    assert_eq!(report.findings, [], "{report:#?}");
    let gke = Judging { nodes: Nodes::Gke, ..Judging::new(seeker) };
    assert_eq!(judge(&[document(export::all())], &gke).findings, []);
}

/// The rules of ours that a change of an export breaks.
fn broken(text: &str, from: &str, to: &str) -> Vec<String> {
    rules(&judged(&changed(text, from, to)), "")
}

#[test]
fn each_rule_of_a_sandbox_is_broken_by_itself() {
    let text = [export::around(), export::sandbox()].join("---\n");
    let (before, sandbox) = text.split_at(export::around().len());
    for (from, to, rule) in [
        ("  shutdownTime: \"2026-12-01T08:00:00Z\"\n", "", "lifecycle"),
        ("  shutdownPolicy: Delete\n", "", "lifecycle"),
        ("agent@sha256:0", "agent@sha256:", "digest"),
        ("agent@sha256:", "agent:latest#", "digest"),
        ("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "read-only"),
        ("[/usr/local/libexec/pinfold/pinfold, pod, run]", "[claude]", "process-1"),
        ("command: [/usr/local/libexec/pinfold/pinfold, pod, run], ", "", "process-1"),
        ("secretName: a-token", "secretName: other", "proxy-secrets"),
        (
            "secret: {secretName: a-token}",
            "projected: {sources: [{secret: {name: pinfold-proxy-token}}]}",
            "proxy-secrets",
        ),
        (
            "value: http://127.0.0.1:3128",
            "valueFrom: {secretKeyRef: {name: a-token, key: token}}",
            "proxy-secrets",
        ),
        ("value: http://127.0.0.1:3128", "value: sk-ant-1", "secret"),
        (
            "{name: HTTPS_PROXY, value: http://127.0.0.1:3128}",
            "{name: API_KEY, value: abcdefghijklmnopqrstuvwxyz}",
            "secret",
        ),
        ("name: HTTPS_PROXY", "name: sk-ant-1", "secret"),
        (
            "{app.kubernetes.io/name: pinfold-sandbox}",
            "{app.kubernetes.io/name: pinfold-sandbox, a: sk-ant-1}",
            "secret",
        ),
        ("mountPath: /run/pinfold/token", "mountPath: /sk-ant-1", "secret"),
    ] {
        let text = format!("{before}{}", changed(sandbox, from, to));
        assert_eq!(rules(&judged(&text), ""), [format!("pinfold/{rule}")], "{to}");
    }
    // What others ask for as well.
    for (from, to, of_ours) in [
        ("automountServiceAccountToken: false", "automountServiceAccountToken: true", "token"),
        ("automountServiceAccountToken: false, ", "", "token"),
        ("cpu: 500m, ", "", "limits"),
        ("memory: 1Gi", "", "limits"),
        (
            "secret: {secretName: a-token}",
            "projected: {sources: [{serviceAccountToken: {path: t}}]}",
            "token",
        ),
    ] {
        let text = format!("{before}{}", changed(sandbox, from, to));
        assert_eq!(rules(&judged(&text), "pinfold/"), [format!("pinfold/{of_ours}")], "{to}");
    }
}

#[test]
fn each_rule_of_what_is_around_is_broken_by_itself() {
    let text = export::all();
    for (from, to, rule) in [
        ("name: nothing, namespace: pinfold", "name: nothing, namespace: elsewhere", "network-policy"),
        (
            "podSelector: {}, policyTypes: [Ingress, Egress]",
            "podSelector: {}, policyTypes: [Egress]",
            "network-policy",
        ),
        (
            "podSelector: {}, policyTypes: [Ingress, Egress]",
            "podSelector: {matchLabels: {a: b}}, policyTypes: [Ingress, Egress]",
            "network-policy",
        ),
        (
            "podSelector: {}, policyTypes: [Ingress, Egress]",
            "podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}]",
            "network-policy",
        ),
        (
            "policyTypes: [Egress]\n  egress:\n",
            "policyTypes: [Egress]\n  egress:\n  - {}\n",
            "network-policy",
        ),
        (
            "policyTypes: [Egress]\n  egress:\n",
            "policyTypes: [Egress]\n  egress:\n  - to: [{ipBlock: {cidr: 0.0.0.0/0}}]\n",
            "network-policy",
        ),
        (
            "podSelector: {matchLabels: {app.kubernetes.io/name: pinfold-proxy}}\n    ports",
            "podSelector: {}\n    ports",
            "network-policy",
        ),
        (
            "podSelector: {matchLabels: {app.kubernetes.io/name: pinfold-proxy}}\n    ports",
            "podSelector: {matchLabels: {k8s-app: kube-dns}}\n    ports",
            "network-policy",
        ),
        (
            "operator: In, values: [pinfold-proxy]",
            "operator: NotIn, values: [pinfold-proxy]",
            "network-policy",
        ),
        ("replicas: 2", "replicas: 1", "disruptions"),
        ("  replicas: 2\n", "", "disruptions"),
        (
            "spec: {maxUnavailable: 1, selector: {matchLabels: {app.kubernetes.io/name: pinfold-proxy}}}",
            "spec: {maxUnavailable: 1, selector: {matchLabels: {a: b}}}",
            "disruptions",
        ),
        (
            "name: pinfold, labels: {pod-security.kubernetes.io/enforce: restricted}",
            "name: pinfold",
            "restricted",
        ),
        (
            "name: pinfold-proxy, labels: {pod-security.kubernetes.io/enforce: restricted}",
            "name: pinfold-proxy, labels: {pod-security.kubernetes.io/enforce: baseline}",
            "restricted",
        ),
        (
            "name: pinfold-proxy-keys, namespace: pinfold-proxy",
            "name: keys, namespace: pinfold-proxy",
            "secret",
        ),
        (
            "name: a-token, namespace: pinfold}\nstringData: {token: '00112233'}",
            "name: a-token, namespace: pinfold}\ndata: {token: c2stYW50LTE=}",
            "secret",
        ),
        ("networkPolicyManagement: Unmanaged", "networkPolicyManagement: Managed", "network-management"),
        ("  networkPolicyManagement: Unmanaged\n", "", "network-management"),
        ("hard: {pods: '6'}", "hard: {requests.cpu: '6'}", "quota"),
        ("name: q, namespace: pinfold", "name: q, namespace: elsewhere", "quota"),
        ("lifecycle: {shutdownPolicy: Delete, ", "lifecycle: {", "lifecycle"),
        ("lifecycle: {shutdownPolicy: Delete, ", "lifecycle: {shutdownPolicy: Retain, ", "lifecycle"),
        (", shutdownTime: \"2026-12-01T08:00:00Z\"}", "}", "lifecycle"),
        ("  ttlSecondsAfterFinished: 60\n", "", "lifecycle"),
        ("  activeDeadlineSeconds: 3600\n", "", "lifecycle"),
        ("{activeDeadlineSeconds: 3600, ", "{", "lifecycle"),
    ] {
        assert_eq!(broken(&text, from, to), [format!("pinfold/{rule}")], "{to}");
    }
}

#[test]
fn agents_and_the_proxy_stay_apart() {
    let text = export::all();
    let one = text.replace("namespace: pinfold-proxy}", "namespace: pinfold}");
    let found = rules(&judged(&one), "pinfold/");
    assert!(found.contains(&"pinfold/proxy-secrets".to_owned()), "{found:?}");
    // The key's Secret beside agents is told, and so is the key.
    let beside = changed(
        &text,
        "name: pinfold-proxy-keys, namespace: pinfold-proxy",
        "name: pinfold-proxy-keys, namespace: pinfold",
    );
    assert_eq!(rules(&judged(&beside), ""), ["pinfold/proxy-secrets", "pinfold/secret"]);
}

#[test]
fn an_account_of_agents_has_no_rights() {
    let binding = "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: b, namespace: pinfold}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: r}\nsubjects: [{kind: ServiceAccount, name: pinfold-sandbox}]\n";
    let text = format!("{}{binding}", export::all());
    assert_eq!(rules(&judged(&text), ""), ["pinfold/token"]);
    assert_eq!(
        broken(
            &text,
            "subjects: [{kind: ServiceAccount, name: pinfold-sandbox}]",
            "subjects: [{kind: ServiceAccount, name: other}]"
        ),
        [""; 0]
    );
    // The account may say it instead of the pod.
    let account = "---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: pinfold-sandbox, namespace: pinfold}\nautomountServiceAccountToken: false\n";
    let job =
        [export::around(), export::job()].join("---\n").replace("automountServiceAccountToken: false, ", "");
    assert_eq!(rules(&judged(&job), ""), ["pinfold/token"]);
    assert_eq!(rules(&judged(&format!("{job}{account}")), ""), [""; 0]);
}

#[test]
fn many_bindings_and_many_pods_are_told_once_each() {
    let text = |count: usize| {
        let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: n, labels: {app.kubernetes.io/name: pinfold-sandbox}}\nspec: {containers: []}\n";
        let binding = "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: a, namespace: n}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: r}\nsubjects: [{kind: ServiceAccount, name: default}]\n";
        let many = |text: &str| {
            let all = (0..count)
                .map(|index| format!("---\n{}", text.replace("name: a,", &format!("name: a{index},"))));
            all.collect::<String>()
        };
        format!("{}{}", many(pod), many(binding))
    };
    let report = judged(&text(200));
    let rights = report.findings.iter().filter(|finding| finding.message.contains("has rights"));
    assert_eq!((rights.count(), report.more), (200, 0), "one each, and not one for each pair");
}

#[test]
fn only_the_secrets_that_the_proxy_mounts_may_hold_keys() {
    let proxy = |namespace: &str| {
        export::all().replace("namespace: pinfold-proxy}", &format!("namespace: {namespace}}}"))
    };
    let secret = |name: &str, namespace: &str| {
        format!(
            "---\napiVersion: v1\nkind: Secret\nmetadata: {{{name}, namespace: {namespace}}}\nstringData: {{a: sk-ant-1}}\n"
        )
    };
    let found = |text: &str| rules(&judged(text), "pinfold/secret").len();
    for name in ["tls", "keys", "identities", "identities-3"] {
        let secret = secret(&format!("name: pinfold-proxy-{name}"), "team-proxy");
        assert_eq!(found(&secret), 0, "{name}");
    }
    for name in [
        "name: pinfold-proxy",
        "name: pinfold-proxyfoo",
        "name: pinfold-proxy-other",
        "name: pinfold-proxy-identities-x",
        "name: pinfold-proxy-identities-",
        "generateName: pinfold-proxy-keys",
    ] {
        assert_eq!(found(&secret(name, "team-proxy")), 1, "{name}");
    }
    let keys = |namespace: &str| secret("name: pinfold-proxy-keys", namespace);
    assert_eq!(found(&keys("team")), 1, "no proxy is here");
    assert_eq!(found(&format!("{}{}", proxy("edge"), keys("edge"))), 0);
    assert_eq!(found(&format!("{}{}", proxy("edge"), keys("other"))), 1);
    let noted = "name: pinfold-proxy-keys, annotations: {note: sk-ant-2}";
    assert_eq!(found(&secret(noted, "team-proxy")), 1, "everybody who may list them sees what is noted");
}

#[test]
fn an_object_in_an_annotation_is_looked_through_as_one() {
    let applied = |inner: &str| {
        format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  annotations:\n    kubectl.kubernetes.io/last-applied-configuration: '{inner}'\n"
        )
    };
    for (inner, path) in [
        (r#"{"apiVersion": "v1", "kind": "Secret", "data": {"a": "c2stYW50LTE="}}"#, ".data.a"),
        (
            r#"{"kind": "Pod", "spec": {"a": [{"name": "X_KEY", "value": "abcdefghijklmnopqrstuvwxyz"}]}}"#,
            ".spec.a[0].value",
        ),
        (r#"{"kind": "Pod", "spec": "s\u006b-ant-1"}"#, ".spec"),
        // What is no object is a text.
        (r#"{"kind": "Pod", sk-ant-1"#, ""),
    ] {
        let report = judged(&applied(inner));
        let [finding] = &report.findings[..] else { panic!("{inner}: {report:?}") };
        assert_eq!((finding.rule.as_str(), finding.line), ("pinfold/secret", 6), "{finding:?}");
        assert_eq!(
            finding.path,
            format!("metadata.annotations[\"kubectl.kubernetes.io/last-applied-configuration\"]{path}")
        );
    }
    assert_eq!(judged(&applied(r#"{"kind": "Pod", "spec": {"a": "b"}}"#)).findings, []);
}

#[test]
fn what_makes_pods_says_which() {
    for (head, spec) in [
        ("apiVersion: v1\nkind: Pod", ""),
        ("apiVersion: v1\nkind: Pod", "spec: null\n"),
        ("apiVersion: v1\nkind: PodTemplate", "template: {metadata: {labels: {a: b}}}\n"),
        ("apiVersion: apps/v1\nkind: Deployment", ""),
        (
            "apiVersion: apps/v1\nkind: Deployment",
            "spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}}}\n",
        ),
        ("apiVersion: batch/v1\nkind: CronJob", "spec: {schedule: '* * * * *', jobTemplate: {}}\n"),
    ] {
        let report = judged(&format!("{head}\nmetadata: {{name: a}}\n{spec}"));
        assert_eq!(rules(&report, "names"), ["names"], "{head} {spec}: {report:?}");
    }
}

#[test]
fn pods_of_others_are_asked_for_their_images_and_secrets_alone() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}\n  containers: [{name: c, image: nginx, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]\n";
    assert_eq!(rules(&judged(pod), ""), ["pinfold/digest"]);
    let image =
        changed(pod, "containers:", "volumes: [{name: v, image: {reference: r.example/x:1}}]\n  containers:");
    assert_eq!(judged(&image).findings.iter().filter(|finding| finding.rule == "pinfold/digest").count(), 2);
    assert_eq!(rules(&judged_by(34, &image), ""), ["pinfold/digest", "pinfold/image-volume"]);
    assert_eq!(rules(&judged_by(35, &image), ""), ["pinfold/digest"]);
    for (class, told) in
        [("gvisor", true), ("kata-qemu", true), ("kata.v2", true), ("katana", false), ("nvidia", false)]
    {
        let classed = changed(&image, "  volumes:", &format!("  runtimeClassName: {class}\n  volumes:"));
        let found = rules(&judged_by(37, &classed), "pinfold/image-volume");
        assert_eq!(!found.is_empty(), told, "{class}");
        assert_eq!(
            rules(
                &judged_by(37, &changed(&classed, "volumes:", "nodeSelector: {} #")),
                "pinfold/image-volume"
            ),
            [""; 0]
        );
    }
    let named = changed(
        pod,
        "containers:",
        "runtimeClassName: gVisor\n  imagePullSecrets: [{name: a_b}, {name: a.b}]\n  containers:",
    );
    let paths: Vec<String> = judged(&named).findings.into_iter().map(|finding| finding.path).collect();
    assert_eq!(
        paths,
        ["spec.runtimeClassName", "spec.imagePullSecrets[0].name", "spec.containers[0].image"],
        "and not the one that is a name"
    );
}

/// Nanoseconds that this thread has had a processor for (proc(5)): others may have it meanwhile.
fn spent() -> u64 {
    let text = fs_err::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn many_pools_and_proxies_beside_many_quotas_and_budgets_take_no_time() {
    const MANY: usize = 8000;
    let pool = "apiVersion: extensions.agents.x-k8s.io/v1beta1\nkind: SandboxWarmPool\nmetadata: {name: a, namespace: n}\n";
    // Each limits much, and nothing of pods.
    let hard =
        (0..40).map(|index| format!("count/things-{index}.example.org: 1")).collect::<Vec<_>>().join(", ");
    let quota = format!(
        "apiVersion: v1\nkind: ResourceQuota\nmetadata: {{name: a, namespace: n}}\nspec: {{hard: {{{hard}}}}}\n"
    );
    let proxy = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a, namespace: n}\nspec: {replicas: 2, template: {metadata: {labels: {app.kubernetes.io/name: pinfold-proxy, i: a}}, spec: {}}}\n";
    let budget = "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: a, namespace: n}\nspec: {selector: {matchLabels: {app.kubernetes.io/name: pinfold-proxy, i: b}}}\n";
    let many = |text: &str| {
        let numbered = |index| {
            let text = text.replace("name: a,", &format!("name: a{index},"));
            text.replace("i: a", &format!("i: a{index}")).replace("i: b", &format!("i: b{index}"))
        };
        (0..MANY).map(numbered).collect::<Vec<_>>().join("---\n")
    };
    for (text, rule) in [
        ([many(pool), many(&quota)].join("---\n"), "quota"),
        ([many(proxy), many(budget)].join("---\n"), "disruptions"),
    ] {
        let documents = [document(text)];
        let objects = read::objects(&documents[0], 0).unwrap();
        assert_eq!(objects.len(), 2 * MANY);
        let judging = Judging::new(|_, _| None);
        let mut sink = Sink::new(&documents, judging.secrets);
        let begun = spent();
        crate::judge::own::judge(&objects, &judging, &mut sink);
        let took = spent() - begun;
        let report = sink.report(objects.len());
        assert!(report.findings.iter().any(|finding| finding.rule == format!("pinfold/{rule}")), "{rule}");
        assert!(!report.findings.iter().any(|finding| finding.rule == NOT_JUDGED), "{rule}");
        // Each beside each would be 64 million looks.
        assert!(took < 8_000_000_000, "{rule}: {took} ns");
    }
}
