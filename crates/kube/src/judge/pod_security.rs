//! Pod Security *restricted*, which includes *baseline*, as Kubernetes 1.34 to 1.37 enforces it for pods.
//!
//! One function a control; each looks at the whole pod and names every field that breaks it. Where versions differ, the
//! strictest that is asked for decides: since 1.35 a pod with `hostUsers: false` may run as root, which is not taken here,
//! because a namespace that is pinned to an older version refuses it.

use std::ops::RangeInclusive;

use super::pods::Container;
use super::pods::Pod;
use super::pods::below;
use super::sink::Path;
use super::sink::Sink;
use super::text::short;
use super::types::Minor;
use super::value::Node;
use super::value::Value;

/// Capabilities that *baseline* lets containers add.
const ADDABLE: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Parameters of the kernel that a pod may set, and since which version.
const SYSCTLS: [(&str, u8); 14] = [
    ("kernel.shm_rmid_forced", 0),
    ("net.ipv4.ip_local_port_range", 0),
    ("net.ipv4.ip_local_reserved_ports", 27),
    ("net.ipv4.ip_unprivileged_port_start", 22),
    ("net.ipv4.ping_group_range", 18),
    ("net.ipv4.tcp_fin_timeout", 29),
    ("net.ipv4.tcp_keepalive_intvl", 29),
    ("net.ipv4.tcp_keepalive_probes", 29),
    ("net.ipv4.tcp_keepalive_time", 29),
    ("net.ipv4.tcp_notsent_lowat", 37),
    ("net.ipv4.tcp_rmem", 32),
    ("net.ipv4.tcp_slow_start_after_idle", 37),
    ("net.ipv4.tcp_syncookies", 0),
    ("net.ipv4.tcp_wmem", 32),
];

/// Volumes that *restricted* takes.
const VOLUMES: [&str; 9] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// Types of SELinux that containers may have.
const SELINUX: [&str; 5] = ["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"];

/// The annotation that AppArmor was asked for by, before it had a field; behind it stands the container's name.
const APPARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";

/// A pod being judged.
struct Judged<'a, 'b> {
    pod: &'a Pod<'a>,
    spec: &'a Path<'a>,
    sink: &'a mut Sink<'b>,
}

/// Judges a pod by all controls.
pub(super) fn judge(pod: &Pod<'_>, versions: &RangeInclusive<Minor>, sink: &mut Sink<'_>) {
    pod.within(|spec| {
        let mut judged = Judged { pod, spec, sink };
        let linux = pod.spec.at(&["os", "name"]).and_then(Node::text) != Some("windows");
        judged.host_process();
        judged.host_namespaces();
        judged.privileged();
        judged.host_path();
        judged.host_ports();
        judged.host_probes();
        judged.app_armor();
        judged.selinux();
        judged.proc_mount();
        judged.sysctls(*versions.start());
        judged.volumes();
        judged.run_as_non_root();
        judged.run_as_user();
        if linux {
            judged.privilege_escalation();
            judged.capabilities();
        } else {
            judged.added_capabilities();
        }
        judged.seccomp(linux);
    });
}

impl<'a> Judged<'a, '_> {
    /// A finding about something of the pod.
    fn pod(&mut self, names: &[&str], line: u32, rule: &str, message: impl Into<String>) {
        let object = self.pod.object;
        below(self.spec, names, |path| self.sink.put(object, path, line, rule, message));
    }

    /// A finding about something of a container.
    fn container(
        &mut self,
        container: Container<'_>,
        names: &[&str],
        line: u32,
        rule: &str,
        message: impl Into<String>,
    ) {
        let object = self.pod.object;
        container.within(self.spec, |path| {
            below(path, names, |path| self.sink.put(object, path, line, rule, message));
        });
    }

    fn containers(&self) -> impl Iterator<Item = Container<'a>> + use<'a> {
        self.pod.containers()
    }

    fn host_process(&mut self) {
        const RULE: &str = "pod-security/host-process";
        const MESSAGE: &str = "a process of the host must not be asked for: leave it out, or set it to false";
        let asked = |options: &Node| {
            options.get("hostProcess").filter(|node| node.truth() == Some(true)).map(|node| node.line)
        };
        if let Some(line) = self.pod.security("windowsOptions").and_then(asked) {
            self.pod(&["securityContext", "windowsOptions", "hostProcess"], line, RULE, MESSAGE);
        }
        for container in self.containers() {
            if let Some(line) = container.security("windowsOptions").and_then(asked) {
                self.container(
                    container,
                    &["securityContext", "windowsOptions", "hostProcess"],
                    line,
                    RULE,
                    MESSAGE,
                );
            }
        }
    }

    fn host_namespaces(&mut self) {
        for name in ["hostNetwork", "hostPID", "hostIPC"] {
            let Some(node) = self.pod.spec.get(name).filter(|node| node.truth() == Some(true)) else {
                continue;
            };
            let message = "the namespaces of the host are not shared: leave it out, or set it to false";
            self.pod(&[name], node.line, "pod-security/host-namespaces", message);
        }
    }

    fn privileged(&mut self) {
        for container in self.containers() {
            let Some(node) = container.security("privileged").filter(|node| node.truth() == Some(true))
            else {
                continue;
            };
            let message = "a container must not be privileged: leave it out, or set it to false";
            let names = ["securityContext", "privileged"];
            self.container(container, &names, node.line, "pod-security/privileged", message);
        }
    }

    fn host_path(&mut self) {
        self.each_volume(|judged, index, volume| {
            if let Some(node) = volume.get("hostPath") {
                let message = "directories of the host are not mounted: use an `emptyDir` or a claim";
                judged.volume(index, "hostPath", node.line, "pod-security/host-path-volumes", message);
            }
        });
    }

    fn volumes(&mut self) {
        self.each_volume(|judged, index, volume| {
            let kinds = volume.map().into_iter().flatten().filter(|entry| entry.name != "name");
            for entry in kinds.filter(|entry| entry.node.value != Value::Null) {
                if !VOLUMES.contains(&entry.name.as_str()) {
                    let message =
                        format!("volumes of this kind are not taken; these are: {}", VOLUMES.join(", "));
                    let rule = "pod-security/restricted-volumes";
                    judged.volume(index, &entry.name, entry.line, rule, &message);
                }
            }
        });
    }

    fn each_volume(&mut self, mut call: impl FnMut(&mut Self, usize, &Node)) {
        for (index, volume) in self.pod.spec.items_at("volumes").iter().enumerate() {
            call(self, index, volume);
        }
    }

    fn volume(&mut self, index: usize, name: &str, line: u32, rule: &str, message: &str) {
        let volumes = self.spec.name("volumes");
        self.sink.put(self.pod.object, &volumes.index(index).name(name), line, rule, message);
    }

    fn host_ports(&mut self) {
        for container in self.containers() {
            for (index, port) in container.node.items_at("ports").iter().enumerate() {
                let Some(node) = port.get("hostPort").filter(|node| node.int() != Some(0)) else { continue };
                let message = "ports of the host are not taken: leave it out";
                let object = self.pod.object;
                container.within(self.spec, |path| {
                    let ports = path.name("ports");
                    let path = ports.index(index);
                    self.sink.put(
                        object,
                        &path.name("hostPort"),
                        node.line,
                        "pod-security/host-ports",
                        message,
                    );
                });
            }
        }
    }

    fn host_probes(&mut self) {
        const PROBES: [&[&str]; 5] = [
            &["livenessProbe"],
            &["readinessProbe"],
            &["startupProbe"],
            &["lifecycle", "postStart"],
            &["lifecycle", "preStop"],
        ];
        for container in self.containers() {
            for probe in PROBES {
                for action in ["httpGet", "tcpSocket"] {
                    let Some(host) = container.node.at(probe).and_then(|node| node.at(&[action, "host"]))
                    else {
                        continue;
                    };
                    if host.text() == Some("") {
                        continue;
                    }
                    let names: Vec<&str> = probe.iter().copied().chain([action, "host"]).collect();
                    let message = "a probe asks the pod itself: leave the host out";
                    self.container(container, &names, host.line, "pod-security/host-probes", message);
                }
            }
        }
    }

    fn app_armor(&mut self) {
        const RULE: &str = "pod-security/app-armor";
        const MESSAGE: &str = "AppArmor is not turned off: `RuntimeDefault` or `Localhost`";
        let names = ["securityContext", "appArmorProfile", "type"];
        let bad = |profile: &Node| {
            let of = profile.get("type")?;
            (!matches!(of.text(), Some("RuntimeDefault" | "Localhost"))).then_some(of.line)
        };
        if let Some(line) = self.pod.security("appArmorProfile").and_then(bad) {
            self.pod(&names, line, RULE, MESSAGE);
        }
        for container in self.containers() {
            if let Some(line) = container.security("appArmorProfile").and_then(bad) {
                self.container(container, &names, line, RULE, MESSAGE);
            }
        }
        for entry in self.pod.metadata("annotations").and_then(Node::map).into_iter().flatten() {
            let value = entry.node.text().unwrap_or_default();
            let taken = matches!(value, "" | "runtime/default") || value.starts_with("localhost/");
            if entry.name.starts_with(APPARMOR) && !taken {
                let message = format!("{MESSAGE} (the annotation `{}`)", short(&entry.name));
                self.pod(&[], entry.line, RULE, message);
            }
        }
    }

    fn selinux(&mut self) {
        const RULE: &str = "pod-security/selinux";
        let bad = |options: &Node| {
            let of = |name: &'static str, taken: &[&str]| {
                let node = options.get(name)?;
                let bad = node.text().is_some_and(|text| !taken.contains(&text));
                bad.then_some((name, node.line))
            };
            [of("type", &SELINUX), of("user", &[""]), of("role", &[""])]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
        };
        let message = |name: &str| match name {
            "type" => "a type of SELinux that is not one of containers: `container_t`, or leave it out",
            _ => "user and role of SELinux are not chosen: leave it out",
        };
        for (name, line) in self.pod.security("seLinuxOptions").map_or_else(Vec::new, bad) {
            self.pod(&["securityContext", "seLinuxOptions", name], line, RULE, message(name));
        }
        for container in self.containers() {
            for (name, line) in container.security("seLinuxOptions").map_or_else(Vec::new, bad) {
                self.container(
                    container,
                    &["securityContext", "seLinuxOptions", name],
                    line,
                    RULE,
                    message(name),
                );
            }
        }
    }

    fn proc_mount(&mut self) {
        for container in self.containers() {
            let Some(node) = container.security("procMount").filter(|node| node.text() != Some("Default"))
            else {
                continue;
            };
            let message = "/proc stays masked: `Default`, or leave it out";
            let names = ["securityContext", "procMount"];
            self.container(container, &names, node.line, "pod-security/proc-mount", message);
        }
    }

    fn sysctls(&mut self, oldest: Minor) {
        let list = self.pod.security("sysctls").map_or(&[][..], Node::items);
        for (index, node) in list.iter().enumerate() {
            let name = node.text_at("name").unwrap_or_default();
            let since = SYSCTLS.iter().find(|(known, _)| *known == name).map(|(_, since)| *since);
            let message = match since {
                Some(since) if since <= oldest.number() => continue,
                Some(since) => {
                    format!("`{name}` may be set since Kubernetes 1.{since}, and {oldest} is asked for")
                }
                None => format!("`{}` is none of the parameters that a pod may set", short(name)),
            };
            let object = self.pod.object;
            below(self.spec, &["securityContext", "sysctls"], |path| {
                self.sink.put(object, &path.index(index), node.line, "pod-security/sysctls", message);
            });
        }
    }

    fn run_as_non_root(&mut self) {
        const RULE: &str = "pod-security/run-as-non-root";
        const MESSAGE: &str =
            "nothing may run as root: set `runAsNonRoot: true`, at the pod or at each container";
        let of_pod = self.pod.security("runAsNonRoot");
        let pod = of_pod.and_then(Node::truth);
        let names = ["securityContext", "runAsNonRoot"];
        let mut missing = false;
        for container in self.containers() {
            match container.security("runAsNonRoot").map(|node| (node.truth(), node.line)) {
                Some((Some(true), _)) => {}
                Some((_, line)) => self.container(container, &names, line, RULE, MESSAGE),
                None => missing = true,
            }
        }
        match of_pod {
            Some(node) if pod != Some(true) && missing => self.pod(&names, node.line, RULE, MESSAGE),
            None if missing => self.pod(&names, self.pod.spec.line, RULE, MESSAGE),
            _ => {}
        }
    }

    fn run_as_user(&mut self) {
        const RULE: &str = "pod-security/run-as-user";
        const MESSAGE: &str = "nothing may run as user 0: leave it out, or name another";
        let names = ["securityContext", "runAsUser"];
        let root = |node: &&Node| node.int() == Some(0);
        if let Some(node) = self.pod.security("runAsUser").filter(root) {
            self.pod(&names, node.line, RULE, MESSAGE);
        }
        for container in self.containers() {
            if let Some(node) = container.security("runAsUser").filter(root) {
                self.container(container, &names, node.line, RULE, MESSAGE);
            }
        }
    }

    fn privilege_escalation(&mut self) {
        for container in self.containers() {
            let node = container.security("allowPrivilegeEscalation");
            if node.and_then(Node::truth) != Some(false) {
                let line = node.map_or(container.node.line, |node| node.line);
                let names = ["securityContext", "allowPrivilegeEscalation"];
                let message = "set `allowPrivilegeEscalation: false`";
                self.container(container, &names, line, "pod-security/privilege-escalation", message);
            }
        }
    }

    fn capabilities(&mut self) {
        const RULE: &str = "pod-security/capabilities";
        for container in self.containers() {
            let capabilities = container.security("capabilities");
            let drops = capabilities.map_or(&[][..], |node| node.items_at("drop"));
            if !drops.iter().any(|node| node.text() == Some("ALL")) {
                let line = capabilities.map_or(container.node.line, |node| node.line);
                let names = ["securityContext", "capabilities", "drop"];
                self.container(container, &names, line, RULE, "drop all capabilities: `drop: [ALL]`");
            }
            let adds = capabilities.map_or(&[][..], |node| node.items_at("add"));
            for node in adds.iter().filter(|node| node.text() != Some("NET_BIND_SERVICE")) {
                let name = short(node.text().unwrap_or_default());
                let names = ["securityContext", "capabilities", "add"];
                let message = format!("`{name}` may not be added: only `NET_BIND_SERVICE` may");
                self.container(container, &names, node.line, RULE, message);
            }
        }
    }

    /// What *baseline* says of a pod for Windows, which *restricted* does not ask to drop anything.
    fn added_capabilities(&mut self) {
        for container in self.containers() {
            let adds = container.security("capabilities").map_or(&[][..], |node| node.items_at("add"));
            for node in adds.iter().filter(|node| !node.text().is_some_and(|text| ADDABLE.contains(&text))) {
                let name = short(node.text().unwrap_or_default());
                let names = ["securityContext", "capabilities", "add"];
                let message = format!("`{name}` may not be added");
                self.container(container, &names, node.line, "pod-security/capabilities", message);
            }
        }
    }

    fn seccomp(&mut self, linux: bool) {
        const RULE: &str = "pod-security/seccomp";
        const MESSAGE: &str =
            "set a seccomp profile, `RuntimeDefault` or `Localhost`, at the pod or at each container";
        let names = ["securityContext", "seccompProfile", "type"];
        let taken = |text: Option<&str>| matches!(text, Some("RuntimeDefault" | "Localhost"));
        let of_pod = self.pod.security("seccompProfile").and_then(|node| node.get("type"));
        let mut missing = false;
        for container in self.containers() {
            match container.security("seccompProfile").and_then(|node| node.get("type")) {
                Some(node) if !taken(node.text()) => {
                    self.container(container, &names, node.line, RULE, MESSAGE);
                }
                Some(_) => {}
                None => missing = true,
            }
        }
        match of_pod {
            Some(node) if !taken(node.text()) => self.pod(&names, node.line, RULE, MESSAGE),
            None if missing && linux => self.pod(&names, self.pod.spec.line, RULE, MESSAGE),
            _ => {}
        }
    }
}
