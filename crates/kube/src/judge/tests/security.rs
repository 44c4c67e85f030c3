//! Pod Security *restricted*: each control, broken at the pod and at each kind of container.

use super::*;

/// A pod that *restricted* takes.
const POD: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: a
  annotations: {x: y}
spec:
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  initContainers:
  - {name: i, image: i, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}
  containers:
  - {name: c, image: i, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}
  volumes: [{name: v, emptyDir: {}}]
";

fn broken(text: &str) -> Vec<String> {
    rules(&judged(text), "pod-security/")
}

#[test]
fn a_restricted_pod_breaks_nothing() {
    assert_eq!(broken(POD), [""; 0]);
}

#[test]
fn each_control_of_a_pod_is_broken_by_itself() {
    for (from, to, rule) in [
        ("spec:\n", "spec:\n  hostNetwork: true\n", "host-namespaces"),
        ("spec:\n", "spec:\n  hostPID: true\n", "host-namespaces"),
        ("spec:\n", "spec:\n  hostIPC: true\n", "host-namespaces"),
        ("{x: y}", "{container.apparmor.security.beta.kubernetes.io/c: unconfined}", "app-armor"),
        ("runAsNonRoot: true", "runAsNonRoot: false", "run-as-non-root"),
        ("runAsNonRoot: true, ", "", "run-as-non-root"),
        ("runAsNonRoot: true", "runAsNonRoot: true, runAsUser: 0", "run-as-user"),
        ("type: RuntimeDefault", "type: Unconfined", "seccomp"),
        (", seccompProfile: {type: RuntimeDefault}", "", "seccomp"),
        ("runAsNonRoot: true", "runAsNonRoot: true, appArmorProfile: {type: Unconfined}", "app-armor"),
        ("runAsNonRoot: true", "runAsNonRoot: true, seLinuxOptions: {type: spc_t}", "selinux"),
        ("runAsNonRoot: true", "runAsNonRoot: true, seLinuxOptions: {user: u}", "selinux"),
        ("runAsNonRoot: true", "runAsNonRoot: true, seLinuxOptions: {role: r}", "selinux"),
        ("runAsNonRoot: true", "runAsNonRoot: true, sysctls: [{name: kernel.msgmax, value: '1'}]", "sysctls"),
        ("runAsNonRoot: true", "runAsNonRoot: true, windowsOptions: {hostProcess: true}", "host-process"),
        ("emptyDir: {}", "nfs: {server: s, path: /p}", "restricted-volumes"),
    ] {
        assert_eq!(broken(&changed(POD, from, to)), [format!("pod-security/{rule}")], "{to}");
    }
    let host = changed(POD, "emptyDir: {}", "hostPath: {path: /}");
    assert_eq!(broken(&host), ["pod-security/host-path-volumes", "pod-security/restricted-volumes"]);
}

#[test]
fn each_control_of_a_container_is_broken_in_all_kinds_of_them() {
    let ephemeral = changed(
        POD,
        "  volumes:",
        "  ephemeralContainers:\n  - {name: e, image: i, securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}\n  volumes:",
    );
    assert_eq!(broken(&ephemeral), [""; 0]);
    for name in ["name: i", "name: c", "name: e"] {
        for (from, to, rule) in [
            ("allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "privilege-escalation"),
            ("allowPrivilegeEscalation: false, ", "", "privilege-escalation"),
            ("{drop: [ALL]}", "{drop: [NET_RAW]}", "capabilities"),
            ("capabilities: {drop: [ALL]}", "x: 1", "capabilities"),
            ("[ALL]", "[ALL], add: [CHOWN]", "capabilities"),
            ("securityContext: {", "securityContext: {privileged: true, ", "privileged"),
            ("securityContext: {", "securityContext: {procMount: Unmasked, ", "proc-mount"),
            ("securityContext: {", "securityContext: {runAsNonRoot: false, ", "run-as-non-root"),
            ("securityContext: {", "securityContext: {runAsUser: 0, ", "run-as-user"),
            ("securityContext: {", "securityContext: {seccompProfile: {type: Unconfined}, ", "seccomp"),
            ("securityContext: {", "securityContext: {appArmorProfile: {type: Unconfined}, ", "app-armor"),
            ("securityContext: {", "securityContext: {seLinuxOptions: {type: spc_t}, ", "selinux"),
            ("securityContext: {", "securityContext: {windowsOptions: {hostProcess: true}, ", "host-process"),
            ("image: i,", "image: i, ports: [{containerPort: 1, hostPort: 2}],", "host-ports"),
            ("image: i,", "image: i, livenessProbe: {httpGet: {port: 1, host: h}},", "host-probes"),
            ("image: i,", "image: i, readinessProbe: {tcpSocket: {port: 1, host: '::1'}},", "host-probes"),
            ("image: i,", "image: i, startupProbe: {httpGet: {port: 1, host: 127.0.0.1}},", "host-probes"),
            ("image: i,", "image: i, lifecycle: {postStart: {httpGet: {port: 1, host: h}}},", "host-probes"),
            ("image: i,", "image: i, lifecycle: {preStop: {tcpSocket: {port: 1, host: h}}},", "host-probes"),
        ] {
            let (before, after) = ephemeral.split_once(&format!("{{{name},")).unwrap();
            let text = format!("{before}{{{name},{}", changed(after, from, to));
            assert_eq!(broken(&text), [format!("pod-security/{rule}")], "{name}: {to}");
        }
    }
}

#[test]
fn what_restricted_takes_is_taken() {
    for (from, to) in [
        ("[ALL]", "[ALL], add: [NET_BIND_SERVICE]"),
        ("image: i,", "image: i, ports: [{containerPort: 1, hostPort: 0}],"),
        (
            "image: i,",
            "image: i, livenessProbe: {httpGet: {port: 1}}, readinessProbe: {tcpSocket: {port: 1, host: ''}},",
        ),
        ("emptyDir: {}", "image: {reference: r}"),
        (", emptyDir: {}", ""),
        ("emptyDir: {}", "csi: {driver: d}"),
        ("runAsNonRoot: true", "runAsNonRoot: true, sysctls: [{name: net.ipv4.tcp_rmem, value: '1 2 3'}]"),
        ("runAsNonRoot: true", "runAsNonRoot: true, seLinuxOptions: {type: container_t, level: l}"),
        ("{x: y}", "{container.apparmor.security.beta.kubernetes.io/c: localhost/p}"),
        ("type: RuntimeDefault", "type: Localhost, localhostProfile: p"),
        ("runAsNonRoot: true", "runAsNonRoot: true, runAsUser: 1000"),
    ] {
        assert_eq!(broken(&changed(POD, from, to)), [""; 0], "{to}");
    }
    // Of each container instead of the pod.
    let context = "securityContext: {allowPrivilegeEscalation: false";
    let own = POD
        .replace("  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}\n", "")
        .replace(
            context,
            &format!("{context}, runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}"),
        );
    assert_eq!(broken(&own), [""; 0]);
    let windows = POD
        .replace("spec:\n", "spec:\n  os: {name: windows}\n")
        .replace("seccompProfile: {type: RuntimeDefault}", "x: 1")
        .replace("allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}", "");
    assert_eq!(broken(&windows), [""; 0]);
}

#[test]
fn what_differs_between_versions_is_judged_by_the_oldest() {
    let text = changed(
        POD,
        "runAsNonRoot: true",
        "runAsNonRoot: true, sysctls: [{name: net.ipv4.tcp_notsent_lowat, value: '1'}]",
    );
    assert_eq!(rules(&judged_by(37, &text), "pod-security/"), [""; 0]);
    assert_eq!(rules(&judged_by(36, &text), "pod-security/"), ["pod-security/sysctls"]);
    assert_eq!(broken(&text), ["pod-security/sysctls"]);
    // Since 1.35 a pod with users of its own may run as root; a namespace that is pinned to 1.34 refuses it.
    let own = changed(&changed(POD, "runAsNonRoot: true, ", ""), "spec:\n", "spec:\n  hostUsers: false\n");
    assert_eq!(rules(&judged_by(37, &own), "pod-security/"), ["pod-security/run-as-non-root"]);
}

#[test]
fn pods_are_found_in_all_that_makes_pods() {
    let (_, spec) = POD.split_once("spec:\n").unwrap();
    let bad = changed(spec, "runAsNonRoot: true", "runAsNonRoot: false");
    let indented = |by: usize| {
        bad.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect::<Vec<_>>().concat()
    };
    let selector = "selector: {matchLabels: {a: b}}";
    for (head, path) in [
        (
            format!(
                "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: a}}\nspec:\n  {selector}\n  template:\n    spec:\n{}",
                indented(4)
            ),
            "spec.template.spec",
        ),
        (
            format!(
                "apiVersion: batch/v1\nkind: Job\nmetadata: {{name: a}}\nspec:\n  template:\n    spec:\n{}",
                indented(4)
            ),
            "spec.template.spec",
        ),
        (
            format!(
                "apiVersion: batch/v1\nkind: CronJob\nmetadata: {{name: a}}\nspec:\n  schedule: x\n  jobTemplate:\n    spec:\n      template:\n        spec:\n{}",
                indented(8)
            ),
            "spec.jobTemplate.spec.template.spec",
        ),
        (
            format!(
                "apiVersion: agents.x-k8s.io/v1beta1\nkind: Sandbox\nmetadata: {{name: a}}\nspec:\n  podTemplate:\n    spec:\n{}",
                indented(4)
            ),
            "spec.podTemplate.spec",
        ),
        (
            format!(
                "apiVersion: v1\nkind: PodTemplate\nmetadata: {{name: a}}\ntemplate:\n  spec:\n{}",
                indented(2)
            ),
            "template.spec",
        ),
    ] {
        let report = judged(&head);
        let found = report.findings.iter().find(|finding| finding.rule == "pod-security/run-as-non-root");
        assert_eq!(
            found.map(|finding| finding.path.clone()),
            Some(format!("{path}.securityContext.runAsNonRoot")),
            "{report:?}"
        );
    }
}

/// Pods that the authors of the controls wrote to be let through or refused, where they are at hand.
#[test]
fn pods_of_the_controls_authors_are_judged_as_they_say() {
    let (Some(pass), Some(fail)) = (data("restricted-v1.37/pass"), data("restricted-v1.37/fail")) else {
        return;
    };
    assert_eq!(pass.len() + fail.len(), 99);
    for (path, text) in pass {
        assert_eq!(rules(&judged_by(37, &text), "pod-security/"), [""; 0], "{}", path.display());
    }
    for (path, text) in fail {
        assert!(!rules(&judged_by(37, &text), "pod-security/").is_empty(), "{}", path.display());
    }
}
