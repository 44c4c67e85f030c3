"""Objects of Kubernetes, good and broken: by pinfold's judge and by PyPI's kubernetes-validate, verdict by verdict.

    kube-judge.py mutants OBJECTS.yaml OUT         good objects, and each broken in each of its fields, one a line
    kube-judge.py compare PINFOLD MUTANTS VERSION [OTHER]  exit 1 where the two do not say the same of a line (the other by another version)
    kube-judge.py crds PINFOLD CRDS                the same of agent-sandbox's kinds, by the schemas that it publishes
    kube-judge.py many COUNT OUT                   sandboxes, for measuring
    kube-judge.py peer FILE VERSION                judge a file by kubernetes-validate alone

Where pinfold is stricter on purpose (words, numbers of 32 bits, quantities, times, base 64) nothing is broken here.
"""

import copy
import json
import subprocess
import sys
import tempfile

import yaml

CHUNK = 600


def walk(value, at=()):
    yield at, value
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from walk(inner, at + (key,))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from walk(inner, at + (index,))


def changed(obj, at, change):
    new = copy.deepcopy(obj)
    holder = new
    for key in at[:-1]:
        holder = holder[key]
    change(holder, at[-1])
    return new


def put(value):
    return lambda holder, key: holder.__setitem__(key, value)


def delete(holder, key):
    del holder[key]


def rename(holder, key):
    holder[key + "X"] = holder.pop(key)


def mutants(obj):
    yield obj
    for at, value in walk(obj):
        if isinstance(value, dict):
            new = copy.deepcopy(obj)
            holder = new
            for key in at:
                holder = holder[key]
            holder["notThere"] = 1
            yield new
        if not at or at[0] in ("apiVersion", "kind"):
            continue
        wrong = []
        if isinstance(value, bool):
            wrong = ["true", 1]
        elif isinstance(value, (int, float)):
            wrong = [True, [1]] if str(at[-1]).endswith(("cpu", "memory")) else ["no", True]
        elif isinstance(value, str):
            wrong = [True, {"a": "b"}]
        elif isinstance(value, list):
            wrong = [{"a": "b"}, "a"]
        elif isinstance(value, dict):
            wrong = [["a"], "a", 1]
        # Of fields of the object itself that are required, the published schemas take null in one place and refuse it in another.
        for other in wrong + [None] * (len(at) > 1):
            yield changed(obj, at, put(other))
        yield changed(obj, at, delete)
        if isinstance(at[-1], str):
            yield changed(obj, at, rename)


def of_pinfold(pinfold, lines, *options):
    """What the schema says, by the number of the line; not too many objects at once, so that no finding is left out."""
    found = {}
    for start in range(0, len(lines), CHUNK):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("\n".join(lines[start:start + CHUNK]) + "\n")
            file.flush()
            ran = subprocess.run([pinfold, "kube", "--check", file.name, "--json", *options], capture_output=True, text=True)
        if ran.returncode not in (0, 1):
            sys.exit(f"pinfold: exit {ran.returncode}: {ran.stderr}")
        report = json.loads(ran.stdout)
        if report["more"]:
            sys.exit("there are more findings than are kept")
        of_schema = (finding for finding in report["findings"] if finding["rule"] == "schema")
        found.update((start + finding["line"], finding["message"]) for finding in of_schema)
    return found


def validators(version):
    import referencing
    from jsonschema.validators import Draft202012Validator
    from kubernetes_validate import utils
    folder = f"kubernetes-json-schema/v{version}.0-local-strict"
    definitions = referencing.Resource.from_contents(utils.schema_contents(f"{folder}/_definitions.json", version))
    known = {}

    def of(obj):
        api, kind = obj["apiVersion"], obj["kind"].lower()
        group, _, name = api.rpartition("/")
        file = f"{kind}-{group.split('.')[0]}-{name}.json" if group else f"{kind}-{name}.json"
        if file not in known:
            schema = referencing.Resource.from_contents(utils.schema_contents(f"{folder}/{file}", version))
            registry = definitions @ (schema @ referencing.Registry())
            known[file] = Draft202012Validator(schema.contents, registry=registry)
        return known[file]

    return of


def compare(lines, ours, judge):
    differ = refused = 0
    for number, line in enumerate(lines, 1):
        if line.startswith("---"):
            continue
        obj = json.loads(line)
        errors = list(judge(obj))
        refused += bool(errors)
        if bool(errors) != (number in ours):
            differ += 1
            if differ <= 20:
                theirs = f"{list(errors[0].absolute_path)}: {errors[0].message[:160]}" if errors else "nothing"
                print(f"line {number}: {line[:200]}\n  pinfold: {ours.get(number, 'nothing')}\n  schema:  {theirs}")
    total = sum(not line.startswith("---") for line in lines)
    print(f"{total} objects, {refused} refused by the schema, {differ} judged otherwise")
    # Verdicts that are all the same prove nothing.
    return 1 if differ or not 0 < refused < total else 0


def write(objects, out):
    with open(out, "w") as file:
        for obj in objects:
            file.write("---\n" + json.dumps(obj) + "\n")


def closed(schema):
    """An OpenAPI schema of a custom resource as a strict JSON schema."""
    if not isinstance(schema, dict):
        return schema
    schema = dict(schema)
    if schema.pop("x-kubernetes-int-or-string", False):
        return {"type": ["integer", "string", "null"]}
    schema.pop("format", None)
    if "properties" in schema:
        schema["properties"] = {name: closed(inner) for name, inner in schema["properties"].items()}
        schema["additionalProperties"] = False
    for name in ("items", "additionalProperties"):
        if name in schema:
            schema[name] = closed(schema[name])
    return schema


def crds(pinfold, folder):
    import os
    from jsonschema.validators import Draft202012Validator
    judges = {}
    for name in sorted(os.listdir(folder)):
        crd = yaml.safe_load(open(os.path.join(folder, name)))
        for version in crd["spec"]["versions"]:
            if version["name"] == "v1beta1":
                schema = closed(version["schema"]["openAPIV3Schema"])
                schema["properties"]["metadata"] = {"type": "object"}
                schema["properties"].pop("status", None)
                judges[crd["spec"]["names"]["kind"]] = Draft202012Validator(schema)
    pod = {"metadata": {"labels": {"a": "b"}, "annotations": {"a": "b"}}, "spec": {
        "containers": [{"name": "c", "image": "i", "command": ["x"], "ports": [{"containerPort": 1}], "resources": {"limits": {"cpu": "1", "memory": 5}},
                        "securityContext": {"capabilities": {"drop": ["ALL"]}}, "volumeMounts": [{"name": "v", "mountPath": "/v"}]}],
        "volumes": [{"name": "v", "emptyDir": {}}], "tolerations": [{"key": "k"}], "runtimeClassName": "gvisor", "hostUsers": False}}
    claims = [{"metadata": {"name": "v", "labels": {"a": "b"}}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}]
    time = "2026-12-01T08:00:00Z"
    specs = {
        "Sandbox": {"podTemplate": pod, "operatingMode": "Running", "service": True, "shutdownPolicy": "Delete", "shutdownTime": time, "volumeClaimTemplates": claims},
        "SandboxTemplate": {"podTemplate": pod, "networkPolicyManagement": "Unmanaged", "envVarsInjectionPolicy": "Allowed", "service": False,
                            "networkPolicy": {"ingress": [{"from": [{"podSelector": {"matchLabels": {"a": "b"}}}], "ports": [{"port": 1}]}],
                                              "egress": [{"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}], "ports": [{"port": "p", "protocol": "TCP"}]}]},
                            "volumeClaimTemplates": claims, "volumeClaimTemplatesPolicy": "Allowed"},
        "SandboxWarmPool": {"replicas": 3, "sandboxTemplateRef": {"name": "t"}, "updateStrategy": {"type": "Recreate"}},
        "SandboxClaim": {"warmPoolRef": {"name": "p"}, "lifecycle": {"shutdownPolicy": "Delete", "shutdownTime": time, "ttlSecondsAfterFinished": 5},
                         "env": [{"name": "A", "value": "b", "containerName": "c"}], "additionalPodMetadata": {"labels": {"a": "b"}}, "volumeClaimTemplates": claims},
    }
    objects = []
    for kind, spec in specs.items():
        group = "agents.x-k8s.io" if kind == "Sandbox" else "extensions.agents.x-k8s.io"
        for mutant in mutants(spec):
            # Null is dropped by some versions of a server and refused by others: it is not asked about.
            if not any(value is None for _, value in walk(mutant)):
                objects.append({"apiVersion": f"{group}/v1beta1", "kind": kind, "metadata": {"name": "a"}, "spec": mutant})
    lines = [line for obj in objects for line in ("---", json.dumps(obj))]
    return compare(lines, of_pinfold(pinfold, lines), lambda obj: judges[obj["kind"]].iter_errors(obj))


def sandboxes(count):
    for index in range(count):
        pod = {"automountServiceAccountToken": False, "runtimeClassName": "gvisor", "restartPolicy": "Never",
               "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
               "containers": [{"name": "agent", "image": "registry.example/agent@sha256:" + f"{index:064x}",
                               "command": ["/usr/local/libexec/pinfold/pinfold", "pod", "run"],
                               "env": [{"name": f"VARIABLE_{number}", "value": f"value {number}"} for number in range(12)],
                               "resources": {"limits": {"cpu": "2", "memory": "4Gi"}, "requests": {"cpu": "250m", "memory": "1Gi"}},
                               "securityContext": {"allowPrivilegeEscalation": False, "privileged": False, "readOnlyRootFilesystem": True, "runAsNonRoot": True,
                                                   "capabilities": {"drop": ["ALL"]}, "seccompProfile": {"type": "RuntimeDefault"}},
                               "volumeMounts": [{"name": name, "mountPath": "/" + name} for name in ("home", "tmp", "workspace", "run", "token")]}],
               "volumes": [{"name": name, "emptyDir": {"sizeLimit": "4Gi"}} for name in ("home", "tmp", "workspace", "run", "token")]}
        labels = {"app.kubernetes.io/name": "pinfold-sandbox", "app.kubernetes.io/instance": f"a{index}"}
        if index % 2:
            pod["activeDeadlineSeconds"] = 28800
            yield {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"a{index}", "namespace": "pinfold", "labels": labels}, "spec": pod}
        else:
            spec = {"ttlSecondsAfterFinished": 60, "activeDeadlineSeconds": 28800, "template": {"metadata": {"labels": labels}, "spec": pod}}
            yield {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": f"a{index}", "namespace": "pinfold", "labels": labels}, "spec": spec}


def main(words):
    match words:
        case ["mutants", objects, out]:
            good = [obj for obj in yaml.safe_load_all(open(objects)) if obj]
            write([mutant for obj in good for mutant in mutants(obj)], out)
        case ["compare", pinfold, file, version, *other]:
            judge = validators(other[0] if other else version)
            lines = open(file).read().splitlines()
            ours = of_pinfold(pinfold, lines, "--kubernetes", version)
            return compare(lines, ours, lambda obj: judge(obj).iter_errors(obj))
        case ["crds", pinfold, folder]:
            return crds(pinfold, folder)
        case ["many", count, out]:
            with open(out, "w") as file:
                yaml.safe_dump_all(sandboxes(int(count)), file)
        case ["peer", file, version]:
            judge = validators(version)
            found = sum(not judge(obj).is_valid(obj) for obj in yaml.safe_load_all(open(file)) if obj)
            print(f"{found} refused")
        case _:
            print(__doc__)
            return 2
    return 0


sys.exit(main(sys.argv[1:]))
