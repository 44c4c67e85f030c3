#!/usr/bin/env python3
"""A kubelet in small, for one node without a cluster: it reads Kubernetes objects and asks containerd for the pods they describe,
through the container runtime interface (CRI). It is the test's own client: nothing of pinfold is in it.

Usage: node.py DIRECTORY VERB ...
  pause PROGRAM ARCHIVE       an image `localhost/pause:1` of one static program, for `ctr images import`
  ready                       waits until containerd answers, prints its version
  pull IMAGE                  prints the image's id
  up FILE... [--pod KIND/NAME] [--name N] [--image OLD=NEW]...   starts one pod of the objects in the files, prints its name
  exec POD [-- WORD...]       in its first container: output, and the command's exit code
  wait POD [SECONDS]          until its first container has ended: its log, its termination message, its exit code
  log POD, ip POD, pid POD
  kill POD                    kills process 1 of its first container, as a node's failure would
  end POD...                  stops and removes
  policy on|off               whether NetworkPolicies are in force from now on: nftables stands in for the cluster's network
  times FILE COUNT            starts and ends COUNT pods, one after the other: seconds each
  many FILE COUNT             starts COUNT pods, ends them all
  left                        what is there of pods: processes, network namespaces, control groups, mounts, leases

What of the objects is obeyed is what `translate` reads; a field that it does not know is refused, so that nothing is proved of a
pod that is not the one described. Services are addresses that nftables translates to the pods that are ready.
"""
import base64
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import io
import time

import grpc
import yaml

from cri import CALLS, EXITED, decode, encode

SERVICES = "10.96.0.1"  # where a cluster's own API would be


class Node:
    """The node whose files are in a directory."""

    def __init__(self, directory):
        self.directory = directory
        self.channel = grpc.insecure_channel("unix:/run/containerd/containerd.sock")
        os.makedirs(self.path("pods"), exist_ok=True)

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def call(self, name, _patience=120, **fields):
        asked, answered = CALLS[name]
        service = "ImageService" if name == "PullImage" else "RuntimeService"
        method = self.channel.unary_unary(
            f"/runtime.v1.{service}/{name}",
            request_serializer=lambda value: encode(asked, value), response_deserializer=lambda data: decode(answered, data))
        return method(fields, timeout=_patience)

    def ready(self, seconds=60):
        end = time.monotonic() + seconds
        while True:
            try:
                return self.call("Version", 2)
            except grpc.RpcError as error:
                if time.monotonic() > end:
                    raise SystemExit(f"node: containerd does not answer: {error.details()}")
                time.sleep(0.1)

    # Pods that are there.

    def pods(self):
        found = {}
        for name in sorted(os.listdir(self.path("pods"))):
            if name.endswith(".json"):
                with open(self.path("pods", name)) as file:
                    found[name[:-5]] = json.load(file)
        return found

    def pod(self, name):
        try:
            return self.pods()[name]
        except KeyError:
            raise SystemExit(f"node: there is no pod `{name}`")

    def keep(self, pod):
        with open(self.path("pods", pod["name"] + ".json"), "w") as file:
            json.dump(pod, file)

    def up(self, objects, chosen=None, name=None, images=()):
        """Starts a pod, its init containers first."""
        pod = Pod(self, objects, choose(objects, chosen), name, dict(image.split("=", 1) for image in images))
        kept = {"name": pod.name, "labels": pod.labels, "namespace": pod.namespace, "containers": {}, "volumes": pod.folder,
                "objects": objects.kept}
        config = pod.sandbox()
        sandbox = self.call("RunPodSandbox", config=config)["pod_sandbox_id"]
        kept["id"] = sandbox
        kept["ip"] = self.call("PodSandboxStatus", pod_sandbox_id=sandbox)["status"]["network"]["ip"]
        self.keep(kept)
        # The network's policy is in force before anything of the pod runs.
        self.enforce()
        pod.address = kept["ip"]
        for kind, container in pod.containers():
            created = self.call("CreateContainer", pod_sandbox_id=sandbox, config=pod.container(container), sandbox_config=config)
            kept["containers"][container["name"]] = created["container_id"]
            self.keep(kept)
            self.call("StartContainer", container_id=created["container_id"])
            if kind == "init":
                code = self.ended(created["container_id"])
                if code != 0:
                    raise SystemExit(f"node: init container `{container['name']}` ended with {code}: {self.log(kept, container['name'])}")
        return kept

    def first(self, pod):
        return list(pod["containers"].values())[-1]

    def ended(self, container, seconds=120):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            status = self.call("ContainerStatus", container_id=container)["status"]
            if status["state"] == EXITED:
                return status["exit_code"]
            time.sleep(0.05)
        raise SystemExit(f"node: it still runs after {seconds} s")

    def pid(self, container):
        return json.loads(self.call("ContainerStatus", container_id=container, verbose=1)["info"]["info"])["pid"]

    def log(self, pod, container=None):
        container = container or list(pod["containers"])[-1]
        try:
            with open(os.path.join(pod["volumes"], "log", container + ".log")) as file:
                # `TIME STREAM TAG TEXT`, TAG is P where a line goes on.
                rows = [line.rstrip("\n").split(" ", 3) for line in file]
        except FileNotFoundError:
            return ""
        return "".join(row[3] + ("" if row[2] == "P" else "\n") for row in rows if len(row) == 4)

    def end(self, name):
        pod = self.pod(name)
        self.call("StopPodSandbox", pod_sandbox_id=pod["id"])
        self.call("RemovePodSandbox", pod_sandbox_id=pod["id"])
        unmount(pod["volumes"])
        shutil.rmtree(pod["volumes"])
        os.unlink(self.path("pods", name + ".json"))
        for controller in groups():
            remove_group(os.path.join(controller, "pinfold-node", name))

    # The network.

    def enforce(self):
        """Writes nftables' rules anew: Services, and NetworkPolicies where they are in force."""
        pods = self.pods()
        objects = {}
        for pod in pods.values():
            for one in pod["objects"]:
                objects[(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"])] = one
        lines = ["table ip node", "delete table ip node", "table ip node {", " chain translate { type nat hook prerouting priority dstnat;"]
        for (kind, _, _), one in objects.items():
            address = one.get("spec", {}).get("clusterIP") if kind == "Service" else None
            if address in (None, "None"):
                continue
            ends = [pod["ip"] for pod in pods.values() if not pod.get("dead") and pod["namespace"] == space(one) and matches(one["spec"].get("selector"), pod["labels"])]
            for port in one["spec"]["ports"] if ends else []:
                to = port.get("targetPort", port["port"])
                rows = ", ".join(f"{row} : {end} . {port_of(to, one, pods)}" for row, end in enumerate(ends))
                lines.append(f"  ip daddr {address} tcp dport {port['port']} dnat to numgen inc mod {len(ends)} map {{ {rows} }}")
        lines.append(" }")
        rules = []
        if os.path.exists(self.path("policy")):
            policies = [one for (kind, _, _), one in objects.items() if kind == "NetworkPolicy"]
            for pod in pods.values():
                mine = [one for one in policies if space(one) == pod["namespace"] and matches(one["spec"].get("podSelector"), pod["labels"])]
                rules += judge("Egress", pod, mine, pods) + judge("Ingress", pod, mine, pods)
        for chain in ("forward", "input"):
            lines += [f" chain to_{chain} {{ type filter hook {chain} priority filter;", "  ct state established,related accept", *rules, " }"]
        lines.append("}")
        subprocess.run(["nft", "-f", "-"], input="\n".join(lines), text=True, check=True)


def space(one):
    return one["metadata"].get("namespace", "default")


def matches(selector, labels):
    """Whether a label selector, or a Service's plain map, chooses these labels."""
    selector = selector or {}
    if "matchExpressions" in selector:
        raise SystemExit("node: matchExpressions are not known here")
    wanted = selector.get("matchLabels", {key: value for key, value in selector.items() if isinstance(value, str)})
    return all(labels.get(key) == value for key, value in wanted.items())


def port_of(port, service, pods):
    if isinstance(port, int):
        return port
    for pod in pods.values():
        for one in pod["objects"]:
            for container in template(one)[1].get("containers", []) if template(one) else []:
                for named in container.get("ports", []):
                    if named.get("name") == port and pod["namespace"] == space(service):
                        return named["containerPort"]
    raise SystemExit(f"node: port `{port}` has no number")


def judge(direction, pod, policies, pods):
    """nftables' rules for one pod and direction; none where no policy chooses it."""
    mine = [one for one in policies if direction in one["spec"].get("policyTypes", ["Ingress"])]
    if not mine:
        return []
    own, other = ("saddr", "daddr") if direction == "Egress" else ("daddr", "saddr")
    head = f"  ip {own} {pod['ip']}"
    rules = []
    for policy in mine:
        for rule in policy["spec"].get(direction.lower(), []):
            ports = [f"{port.get('protocol', 'TCP').lower()} dport {port_of(port['port'], {'metadata': {'namespace': pod['namespace']}}, pods)}{'-' + str(port['endPort']) if 'endPort' in port else ''}"
                     for port in rule.get("ports", [])] or [""]
            peers = rule.get("to" if direction == "Egress" else "from")
            for peer in peers if peers else [None]:
                for where in places(peer, policy, pods, other):
                    rules += [f"{head} {where} {port} accept" for port in ports]
    return rules + [f"{head} drop"]


def places(peer, policy, pods, other):
    if peer is None:
        return [""]
    if "ipBlock" in peer:
        except_ = peer["ipBlock"].get("except", [])
        cut = f" ip {other} != {{ {', '.join(except_)} }}" if except_ else ""
        if ":" in peer["ipBlock"]["cidr"]:
            return []
        return [f"ip {other} {peer['ipBlock']['cidr']}{cut}"]
    found = []
    for pod in pods.values():
        if "namespaceSelector" in peer:
            # A namespace has its name as a label; others are those of its object.
            names = {"kubernetes.io/metadata.name": pod["namespace"]}
            for one in pod["objects"]:
                if one["kind"] == "Namespace" and one["metadata"]["name"] == pod["namespace"]:
                    names |= one["metadata"].get("labels", {})
            near = matches(peer["namespaceSelector"], names)
        else:
            near = pod["namespace"] == space(policy)
        if near and matches(peer.get("podSelector"), pod["labels"]):
            found.append(f"ip {other} {pod['ip']}")
    return found


# Objects.


class Objects:
    KEPT = ("Service", "NetworkPolicy", "Namespace", "Deployment")

    def __init__(self, files):
        self.all = []
        for file in files:
            names = [file]
            if os.path.isdir(file):
                # What `kubectl apply -k` would take.
                with open(os.path.join(file, "kustomization.yaml")) as text:
                    names = [os.path.join(file, name) for name in yaml.safe_load(text)["resources"]]
            for name in names:
                with open(name) as text:
                    self.all += [one for one in yaml.safe_load_all(text) if one and "metadata" in one]
        self.kept = [one for one in self.all if one["kind"] in self.KEPT]

    def find(self, kind, name, namespace, optional=False):
        for one in self.all:
            if one["kind"] == kind and one["metadata"]["name"] == name and space(one) == namespace:
                return one
        if optional:
            return {}
        raise SystemExit(f"node: no {kind} `{name}` in namespace `{namespace}`")


def template(one):
    """The metadata and the specification of the pods that an object makes."""
    kind = one["kind"]
    if kind == "Pod":
        return one["metadata"], one["spec"]
    if kind in ("Deployment", "Job", "DaemonSet"):
        made = one["spec"]["template"]
    elif kind in ("Sandbox", "SandboxTemplate"):
        made = one["spec"]["podTemplate"]
    else:
        return None
    return made.get("metadata", {}), made["spec"]


def choose(objects, chosen):
    fits = [one for one in objects.all if template(one) and (chosen is None or f"{one['kind']}/{one['metadata']['name']}" == chosen)]
    if len(fits) != 1:
        raise SystemExit(f"node: {len(fits)} objects make pods; name one of {[one['kind'] + '/' + one['metadata']['name'] for one in objects.all if template(one)]}")
    return fits[0]


def known(what, value, names):
    unknown = set(value or {}) - set(names.split())
    if unknown:
        raise SystemExit(f"node: {what}: {', '.join(sorted(unknown))} is not known here")


def amount(text):
    match = re.fullmatch(r"([0-9.]+)([a-zA-Z]*)", str(text))
    factor = {"": 1, "m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}[match[2]]
    return float(match[1]) * factor


class Pod:
    """One pod of an object: what CRI is asked for."""

    def __init__(self, node, objects, one, name, images):
        self.node, self.objects, self.images = node, objects, images
        metadata, self.spec = template(one)
        self.namespace = space(one)
        self.name = name or one["metadata"]["name"]
        self.labels = dict(metadata.get("labels", {}))
        self.uid = hashlib.sha256(f"{self.name}{time.time_ns()}".encode()).hexdigest()[:32]
        self.folder = node.path("volumes", self.name)
        self.address = ""
        known("a pod", self.spec, "containers initContainers volumes securityContext hostname hostAliases dnsPolicy dnsConfig restartPolicy "
              "automountServiceAccountToken enableServiceLinks terminationGracePeriodSeconds serviceAccountName runtimeClassName hostUsers "
              "nodeSelector tolerations affinity topologySpreadConstraints priorityClassName activeDeadlineSeconds hostNetwork hostPID hostIPC "
              "setHostnameAsFQDN shareProcessNamespace subdomain os")
        for key in ("hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace"):
            if self.spec.get(key):
                raise SystemExit(f"node: {key} is not what a sandbox has")
        if os.path.exists(self.folder):
            raise SystemExit(f"node: there is a pod `{self.name}` already")
        os.makedirs(os.path.join(self.folder, "log"))
        self.group = self.spec.get("securityContext", {}).get("fsGroup")
        self.places = {}
        for volume in self.spec.get("volumes", []):
            self.places[volume["name"]] = self.volume(volume)

    def volume(self, volume):
        known("a volume", volume, "name emptyDir configMap secret projected persistentVolumeClaim")
        at = os.path.join(self.folder, "volumes", volume["name"])
        os.makedirs(at)
        if "emptyDir" in volume:
            held = volume["emptyDir"] or {}
            known("emptyDir", held, "medium sizeLimit")
            if held.get("medium") == "Memory":
                size = int(amount(held.get("sizeLimit", "64Mi")))
                subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=777", "tmpfs", at], check=True)
            self.give(at, 0o777)
        elif "persistentVolumeClaim" in volume:
            # A directory stands in for a volume.
            self.give(at, 0o777)
        else:
            sources = volume["projected"]["sources"] if "projected" in volume else [volume]
            files = {}
            mode = next((volume[key].get("defaultMode") for key in ("secret", "configMap", "projected") if key in volume), None) or 0o644
            for source in sources:
                files |= self.files(source)
            if "configMap" not in volume:
                subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m,mode=755", "tmpfs", at], check=True)
            # As the kubelet does: files in a folder of their own, links to them.
            os.mkdir(os.path.join(at, "..1"))
            for name, data in files.items():
                path = os.path.join(at, "..1", name)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as file:
                    file.write(data)
                os.chmod(path, mode)
                if self.group is not None:
                    os.chown(path, 0, self.group)
                    os.chmod(path, mode | 0o440)
            os.symlink("..1", os.path.join(at, "..data"))
            for name in {name.split("/")[0] for name in files}:
                os.symlink("..data/" + name, os.path.join(at, name))
        return at

    def give(self, at, mode):
        if self.group is not None:
            os.chown(at, 0, self.group)
            mode |= 0o2000
        os.chmod(at, mode)

    def files(self, source):
        known("a source", source, "name configMap secret")
        if "configMap" in source:
            held = source["configMap"]
            one = self.objects.find("ConfigMap", held["name"], self.namespace, held.get("optional"))
            files = {key: value.encode() for key, value in (one.get("data") or {}).items()}
            files |= {key: base64.b64decode(value) for key, value in (one.get("binaryData") or {}).items()}
        else:
            held = source["secret"]
            files = self.secret(held.get("secretName") or held["name"], held.get("optional"))
        if held.get("items"):
            return {item["path"]: files[item["key"]] for item in held["items"]}
        return files

    def secret(self, name, optional=False):
        one = self.objects.find("Secret", name, self.namespace, optional)
        files = {key: base64.b64decode(value) for key, value in (one.get("data") or {}).items()}
        return files | {key: value.encode() for key, value in (one.get("stringData") or {}).items()}

    def sandbox(self):
        context = self.spec.get("securityContext", {})
        known("a pod's securityContext", context, "runAsNonRoot runAsUser runAsGroup fsGroup fsGroupChangePolicy supplementalGroups seccompProfile")
        security = {"namespace_options": {"pid": 1}, "seccomp": profile(context)}
        if "runAsUser" in context:
            security["run_as_user"] = {"value": context["runAsUser"]}
            if "runAsGroup" in context:
                security["run_as_group"] = {"value": context["runAsGroup"]}
        dns = self.spec.get("dnsConfig", {}) if self.spec.get("dnsPolicy") == "None" else {"nameservers": ["10.96.0.10"]}
        self.config = {
            "metadata": {"name": self.name, "uid": self.uid, "namespace": self.namespace},
            "hostname": self.spec.get("hostname", self.name)[:63], "log_directory": os.path.join(self.folder, "log"),
            "dns_config": {"servers": dns.get("nameservers", []), "searches": dns.get("searches", []),
                           "options": [f"{one['name']}:{one['value']}" if "value" in one else one["name"] for one in dns.get("options", [])]},
            "labels": self.labels, "linux": {"cgroup_parent": f"/pinfold-node/{self.name}", "security_context": security}}
        return self.config

    def containers(self):
        return [("init", one) for one in self.spec.get("initContainers", [])] + [("main", one) for one in self.spec["containers"]]

    def container(self, one):
        known("a container", one, "name image imagePullPolicy command args env envFrom workingDir volumeMounts resources securityContext ports stdin stdinOnce tty "
              "livenessProbe readinessProbe startupProbe lifecycle terminationMessagePath terminationMessagePolicy")
        context = {**{key: value for key, value in self.spec.get("securityContext", {}).items() if key.startswith("runAs") or key == "seccompProfile"},
                   **one.get("securityContext", {})}
        known("a securityContext", context, "runAsNonRoot runAsUser runAsGroup allowPrivilegeEscalation capabilities privileged readOnlyRootFilesystem seccompProfile procMount")
        if context.get("privileged"):
            raise SystemExit("node: a privileged container is not what a sandbox has")
        if context.get("runAsNonRoot") and context.get("runAsUser") == 0:
            raise SystemExit("node: runAsNonRoot and user 0")
        limits = one.get("resources", {}).get("limits", {})
        resources = {"cpu_shares": 102, "oom_score_adj": 1000}
        if "cpu" in limits:
            resources |= {"cpu_period": 100000, "cpu_quota": int(amount(limits["cpu"]) * 100000)}
        if "memory" in limits:
            resources["memory_limit_in_bytes"] = int(amount(limits["memory"]))
        capabilities = context.get("capabilities", {})
        security = {
            "capabilities": {"add_capabilities": capabilities.get("add", []), "drop_capabilities": capabilities.get("drop", [])},
            "namespace_options": {"pid": 1}, "readonly_rootfs": context.get("readOnlyRootFilesystem", False),
            "no_new_privs": not context.get("allowPrivilegeEscalation", True), "seccomp": profile(context),
            "supplemental_groups": self.spec.get("securityContext", {}).get("supplementalGroups", []) + ([self.group] if self.group is not None else []),
            "masked_paths": ["/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
                             "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"],
            "readonly_paths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]}
        if "runAsUser" in context:
            security["run_as_user"] = {"value": context["runAsUser"]}
            if "runAsGroup" in context:
                security["run_as_group"] = {"value": context["runAsGroup"]}
        return {
            "metadata": {"name": one["name"]}, "image": {"image": self.images.get(one["image"], one["image"])},
            "command": one.get("command", []), "args": one.get("args", []), "working_dir": one.get("workingDir", ""),
            "envs": self.variables(one), "mounts": self.mounts(one), "labels": self.labels, "log_path": one["name"] + ".log",
            "stdin": one.get("stdin", False), "stdin_once": one.get("stdinOnce", False), "tty": one.get("tty", False),
            "linux": {"resources": resources, "security_context": security}}

    def variables(self, one):
        found = {"KUBERNETES_SERVICE_HOST": SERVICES, "KUBERNETES_SERVICE_PORT": "443"}
        for source in one.get("envFrom", []):
            known("envFrom", source, "configMapRef")
            found |= self.objects.find("ConfigMap", source["configMapRef"]["name"], self.namespace)["data"]
        for variable in one.get("env", []):
            found[variable["name"]] = variable["value"] if "value" in variable else self.referred(variable.get("valueFrom"))
        return [{"key": key, "value": value} for key, value in found.items()]

    def referred(self, source):
        if source is None:
            return ""
        if "secretKeyRef" in source:
            return self.secret(source["secretKeyRef"]["name"])[source["secretKeyRef"]["key"]].decode()
        if "configMapKeyRef" in source:
            return self.objects.find("ConfigMap", source["configMapKeyRef"]["name"], self.namespace)["data"][source["configMapKeyRef"]["key"]]
        field = source.get("fieldRef", {}).get("fieldPath", "")
        of = {"status.podIP": self.address, "metadata.name": self.name, "metadata.namespace": self.namespace, "metadata.uid": self.uid}
        label = re.fullmatch(r"metadata\.(?:labels|annotations)\['(.*)'\]", field)
        if label:
            return self.labels.get(label[1], "0")
        if field not in of:
            raise SystemExit(f"node: a variable from {source} is not known here")
        return of[field]

    def mounts(self, one):
        hosts, ending = os.path.join(self.folder, "hosts"), os.path.join(self.folder, "termination")
        with open(hosts, "w") as file:
            file.write("127.0.0.1\tlocalhost\n" + f"{self.address}\t{self.name}\n")
            for alias in self.spec.get("hostAliases", []):
                file.write(f"{alias['ip']}\t{' '.join(alias['hostnames'])}\n")
        open(ending, "a").close()
        os.chmod(ending, 0o666)
        rows = [{"container_path": "/etc/hosts", "host_path": hosts},
                {"container_path": one.get("terminationMessagePath", "/dev/termination-log"), "host_path": ending}]
        for mount in one.get("volumeMounts", []):
            known("a mount", mount, "name mountPath readOnly subPath recursiveReadOnly")
            at = self.places[mount["name"]]
            if "subPath" in mount:
                at = os.path.join(at, mount["subPath"])
                if not os.path.lexists(at):
                    os.makedirs(at)
                    self.give(at, 0o777)
            read_only = mount.get("readOnly", False) or os.path.lexists(os.path.join(self.places[mount["name"]], "..data"))
            rows.append({"container_path": mount["mountPath"], "host_path": at, "readonly": read_only})
        return rows


def profile(context):
    named = context.get("seccompProfile", {"type": "Unconfined"})
    return {"profile_type": {"RuntimeDefault": 0, "Unconfined": 1}[named["type"]]}


# What pods leave on a node.


def groups():
    """Where control groups are mounted."""
    with open("/proc/self/mountinfo") as file:
        return [line.split()[4] for line in file if " - cgroup" in line]


def remove_group(at):
    for folder, _, _ in os.walk(at, topdown=False):
        try:
            os.rmdir(folder)
        except OSError:
            pass


def unmount(folder):
    with open("/proc/self/mountinfo") as file:
        points = [line.split()[4] for line in file]
    for point in sorted((point for point in points if point.startswith(folder + "/")), reverse=True):
        subprocess.run(["umount", point], check=True)


def left(node):
    """What is there of pods, a line each."""
    rows = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"containerd-shim-runc-v2") or words[0] in (b"/pause", b"/run/pinfold/init", b"/usr/local/libexec/pinfold/pinfold"):
            rows.append(f"process {pid} {words[0].decode()}")
    rows += [f"network namespace {name}" for name in os.listdir("/run/netns") if name.startswith("cni-")]
    for controller in groups():
        # Where a kubelet puts pods, and where containerd does without being told.
        for parent in ("pinfold-node", "k8s.io"):
            parent = os.path.join(controller, parent)
            rows += [f"control group {folder}" for folder, _, _ in os.walk(parent) if folder != parent]
    with open("/proc/self/mountinfo") as file:
        for line in file:
            at = line.split()[4]
            if at.startswith(("/run/containerd/io.containerd.", node.path("volumes"))):
                rows.append(f"mount {at}")
    leases = node.path("leases", "pods")
    if os.path.isdir(leases):
        rows += [f"lease {name}" for name in os.listdir(leases) if name[0].isdigit()]
    links = json.loads(subprocess.run(["ip", "-j", "link"], capture_output=True, text=True, check=True).stdout)
    rows += [f"interface {link['ifname']}" for link in links if link["ifname"].startswith("veth")]
    rows += [f"sandbox {one['id']}" for one in node.call("ListPodSandbox")["items"]]
    rows += [f"folder {name}" for name in (os.listdir(node.path("volumes")) if os.path.isdir(node.path("volumes")) else [])]
    return rows


def pause(program, archive):
    """An OCI archive of one program, under the name that containerd's CRI looks up."""
    def tarball(files):
        held = io.BytesIO()
        with tarfile.open(fileobj=held, mode="w") as tar:
            for name, data, mode in files:
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(data), mode
                tar.addfile(entry, io.BytesIO(data))
        return held.getvalue()

    with open(program, "rb") as file:
        layer = tarball([("pause", file.read(), 0o755)])
    blobs = {}

    def blob(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    layers = [blob(layer, "layer.v1.tar")]
    config = blob(json.dumps({"architecture": architecture, "os": "linux", "config": {"Entrypoint": ["/pause"]},
                              "rootfs": {"type": "layers", "diff_ids": [layers[0]["digest"]]}}).encode(), "config.v1+json")
    manifest = blob(json.dumps({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config,
                                "layers": layers}).encode(), "manifest.v1+json")
    manifest["annotations"] = {"io.containerd.image.name": "localhost/pause:1", "org.opencontainers.image.ref.name": "1"}
    index = {"schemaVersion": 2, "manifests": [manifest]}
    with open(archive, "wb") as file:
        file.write(tarball([("oci-layout", b'{"imageLayoutVersion":"1.0.0"}', 0o644), ("index.json", json.dumps(index).encode(), 0o644)]
                           + [(name, data, 0o644) for name, data in blobs.items()]))


def main():
    directory, verb, *words = sys.argv[1:]
    if verb == "pause":
        return pause(*words)
    node = Node(directory)

    def option(name, many=False):
        found = []
        while name in words:
            at = words.index(name)
            found.append(words[at + 1])
            del words[at:at + 2]
        return found if many else found[-1] if found else None

    if verb == "ready":
        answer = node.ready()
        print(answer["runtime_name"], answer["runtime_version"])
    elif verb == "pull":
        print(node.call("PullImage", 600, image={"image": words[0]})["image_ref"])
    elif verb == "up":
        chosen, name, images = option("--pod"), option("--name"), option("--image", True)
        print(node.up(Objects(words), chosen, name, images)["name"])
    elif verb == "exec":
        answer = node.call("ExecSync", 300, container_id=node.first(node.pod(words[0])), cmd=[word for word in words[1:] if word != "--"] if words[1] != "--" else words[2:], timeout=280)
        sys.stdout.buffer.write(answer["stdout"])
        sys.stderr.buffer.write(answer["stderr"])
        return answer["exit_code"]
    elif verb == "wait":
        pod = node.pod(words[0])
        code = node.ended(node.first(pod), float(words[1]) if len(words) > 1 else 120)
        print(node.log(pod), end="")
        with open(os.path.join(pod["volumes"], "termination")) as file:
            print("termination:", file.read())
        return code
    elif verb == "log":
        print(node.log(node.pod(words[0])), end="")
    elif verb == "ip":
        print(node.pod(words[0])["ip"])
    elif verb == "pid":
        print(node.pid(node.first(node.pod(words[0]))))
    elif verb == "kill":
        pod = node.pod(words[0])
        os.kill(node.pid(node.first(pod)), signal.SIGKILL)
    elif verb == "dead":
        # As a readiness probe would find: no Service leads there any more.
        pod = node.pod(words[0])
        node.keep(pod | {"dead": True})
        node.enforce()
    elif verb == "end":
        for name in words:
            node.end(name)
        node.enforce()
    elif verb == "policy":
        if words == ["on"]:
            open(node.path("policy"), "w").close()
        elif os.path.exists(node.path("policy")):
            os.unlink(node.path("policy"))
        node.enforce()
    elif verb == "times":
        count = int(words.pop())
        chosen, images = option("--pod"), option("--image", True)
        objects = Objects(words)
        for number in range(count):
            begin = time.monotonic()
            node.up(objects, chosen, f"timed-{number}", images)
            print(f"{time.monotonic() - begin:.4f}", flush=True)
            node.end(f"timed-{number}")
    elif verb == "many":
        count = int(words.pop())
        chosen, images = option("--pod"), option("--image", True)
        objects = Objects(words)
        names = []
        begin = time.monotonic()
        for number in range(count):
            names.append(node.up(objects, chosen, f"many-{number}", images)["name"])
        middle = time.monotonic()
        running = sum(node.call("ContainerStatus", container_id=node.first(node.pod(name)))["status"]["state"] == 1 for name in names)
        ending = time.monotonic()
        for name in names:
            node.end(name)
        node.enforce()
        print(f"{running} of {count} ran at once: started in {middle - begin:.1f} s, ended in {time.monotonic() - ending:.1f} s")
        return 0 if running == count else 1
    elif verb == "left":
        rows = left(node)
        print("\n".join(rows), end="\n" if rows else "")
    else:
        raise SystemExit(__doc__)
    return 0


if __name__ == "__main__":
    sys.exit(main())
