"""Messages of the container runtime interface (`runtime.v1`) and their bytes: of each the fields that node.py uses, by their numbers
in the interface's definition."""

# Messages of runtime/v1: a field's number and type. `*` is repeated, `map` is of strings.
MESSAGES = {
    "Nothing": {},
    "VersionReply": {"runtime_name": (2, "string"), "runtime_version": (3, "string")},
    "Int64": {"value": (1, "int")},
    "Profile": {"profile_type": (1, "int"), "localhost_ref": (2, "string")},
    "Namespaces": {"network": (1, "int"), "pid": (2, "int"), "ipc": (3, "int")},
    "SandboxSecurity": {"namespace_options": (1, "Namespaces"), "run_as_user": (3, "Int64"), "readonly_rootfs": (4, "int"),
                        "supplemental_groups": (5, "*int"), "run_as_group": (8, "Int64"), "seccomp": (9, "Profile")},
    "LinuxSandbox": {"cgroup_parent": (1, "string"), "security_context": (2, "SandboxSecurity"), "sysctls": (3, "map")},
    "SandboxMetadata": {"name": (1, "string"), "uid": (2, "string"), "namespace": (3, "string"), "attempt": (4, "int")},
    "Dns": {"servers": (1, "*string"), "searches": (2, "*string"), "options": (3, "*string")},
    "SandboxConfig": {"metadata": (1, "SandboxMetadata"), "hostname": (2, "string"), "log_directory": (3, "string"),
                      "dns_config": (4, "Dns"), "labels": (6, "map"), "annotations": (7, "map"), "linux": (8, "LinuxSandbox")},
    "RunSandbox": {"config": (1, "SandboxConfig"), "runtime_handler": (2, "string")},
    "SandboxId": {"pod_sandbox_id": (1, "string")},
    "Ip": {"ip": (1, "string")},
    "SandboxStatus": {"id": (1, "string"), "state": (3, "int"), "network": (5, "Ip")},
    "SandboxStatusReply": {"status": (1, "SandboxStatus"), "info": (2, "map")},
    "Image": {"image": (1, "string"), "annotations": (2, "map")},
    "ImageAsk": {"image": (1, "Image")},
    "ImageReply": {"image_ref": (1, "string")},
    "Key": {"key": (1, "string"), "value": (2, "string")},
    "Mount": {"container_path": (1, "string"), "host_path": (2, "string"), "readonly": (3, "int"), "propagation": (5, "int")},
    "Resources": {"cpu_period": (1, "int"), "cpu_quota": (2, "int"), "cpu_shares": (3, "int"), "memory_limit_in_bytes": (4, "int"),
                  "oom_score_adj": (5, "int")},
    "Capabilities": {"add_capabilities": (1, "*string"), "drop_capabilities": (2, "*string")},
    "Security": {"capabilities": (1, "Capabilities"), "privileged": (2, "int"), "namespace_options": (3, "Namespaces"),
                 "run_as_user": (5, "Int64"), "readonly_rootfs": (7, "int"), "supplemental_groups": (8, "*int"),
                 "no_new_privs": (11, "int"), "run_as_group": (12, "Int64"), "masked_paths": (13, "*string"),
                 "readonly_paths": (14, "*string"), "seccomp": (15, "Profile")},
    "LinuxContainer": {"resources": (1, "Resources"), "security_context": (2, "Security")},
    "ContainerMetadata": {"name": (1, "string"), "attempt": (2, "int")},
    "ContainerConfig": {"metadata": (1, "ContainerMetadata"), "image": (2, "Image"), "command": (3, "*string"), "args": (4, "*string"),
                        "working_dir": (5, "string"), "envs": (6, "*Key"), "mounts": (7, "*Mount"), "labels": (9, "map"),
                        "annotations": (10, "map"), "log_path": (11, "string"), "stdin": (12, "int"), "stdin_once": (13, "int"),
                        "tty": (14, "int"), "linux": (15, "LinuxContainer")},
    "CreateContainer": {"pod_sandbox_id": (1, "string"), "config": (2, "ContainerConfig"), "sandbox_config": (3, "SandboxConfig")},
    "ContainerId": {"container_id": (1, "string"), "timeout": (2, "int")},
    "StatusAsk": {"container_id": (1, "string"), "verbose": (2, "int")},
    "SandboxStatusAsk": {"pod_sandbox_id": (1, "string"), "verbose": (2, "int")},
    "ContainerStatus": {"id": (1, "string"), "state": (3, "int"), "exit_code": (7, "int"), "reason": (10, "string"), "message": (11, "string")},
    "ContainerStatusReply": {"status": (1, "ContainerStatus"), "info": (2, "map")},
    "Exec": {"container_id": (1, "string"), "cmd": (2, "*string"), "timeout": (3, "int")},
    "ExecReply": {"stdout": (1, "bytes"), "stderr": (2, "bytes"), "exit_code": (3, "int")},
    "Sandboxes": {"items": (1, "*SandboxStatus")},
}
CALLS = {
    "Version": ("Nothing", "VersionReply"), "RunPodSandbox": ("RunSandbox", "SandboxId"), "StopPodSandbox": ("SandboxId", "Nothing"),
    "RemovePodSandbox": ("SandboxId", "Nothing"), "PodSandboxStatus": ("SandboxStatusAsk", "SandboxStatusReply"),
    "ListPodSandbox": ("Nothing", "Sandboxes"), "CreateContainer": ("CreateContainer", "ContainerId"),
    "StartContainer": ("ContainerId", "Nothing"), "StopContainer": ("ContainerId", "Nothing"),
    "ContainerStatus": ("StatusAsk", "ContainerStatusReply"), "ExecSync": ("Exec", "ExecReply"), "PullImage": ("ImageAsk", "ImageReply"),
}
EXITED = 2


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def encode(kind, value):
    out = bytearray()
    fields = MESSAGES[kind]
    for name, held in value.items():
        number, of = fields[name]
        if of == "map":
            rows = [encode("Key", {"key": key, "value": text}) for key, text in held.items()]
        elif of.startswith("*"):
            rows, of = held, of[1:]
        else:
            rows = [held]
        for row in rows:
            if of == "int":
                out += varint(number << 3) + varint(int(row))
                continue
            data = row if isinstance(row, bytes) else row.encode() if isinstance(row, str) else encode(of, row)
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return bytes(out)


def decode(kind, data):
    fields = {number: (name, of) for name, (number, of) in MESSAGES[kind].items()}
    out = {name: [] if of.startswith("*") else {} if of == "map" else 0 if of == "int" else "" if of == "string" else b"" if of == "bytes" else {}
           for name, of in fields.values()}
    at = 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        tag = number()
        if tag & 7 == 0:
            value = number()
            value -= (value >> 63) << 64
        elif tag & 7 == 2:
            length = number()
            value = data[at:at + length]
            at += length
        else:
            raise ValueError(f"a field of wire type {tag & 7}")
        if tag >> 3 not in fields:
            continue
        name, of = fields[tag >> 3]
        if of == "map":
            pair = decode("Key", value)
            out[name][pair["key"]] = pair["value"]
            continue
        one = of.lstrip("*")
        value = value if one in ("int", "bytes") else value.decode() if one == "string" else decode(one, value)
        if of.startswith("*"):
            out[name].append(value)
        else:
            out[name] = value
    return out
