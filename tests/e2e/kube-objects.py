# Objects of Kubernetes, judged by others: PyYAML, which reads YAML 1.1 as kubectl's parser does, and the strict schemas of the API.
#
#   kube-objects.py DIR...     every *.yaml of each; `reviewed/*.yaml` hold several files, with lines `## NAME` between them
import json
import pathlib
import re
import sys

import kubernetes_validate
import yaml

VERSIONS = ["1.34", "1.35", "1.36", "1.37"]
OTHERS = ("agents.x-k8s.io/", "extensions.agents.x-k8s.io/", "kustomize.config.k8s.io/")
judged = pods = wrong = 0


def judge(where, value):
    global wrong
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(value, version, strict=True)
        except Exception as error:  # every kind of it says what is wrong
            wrong += 1
            print(f"{where}: {value['kind']}/{value['metadata'].get('name')} in {version}: {str(error)[:500]}")


def texts(value):
    """Every variable's value and every text of a ConfigMap must still be text."""
    if isinstance(value, dict):
        for key, below in value.items():
            if not isinstance(key, str):
                yield f"the key {key!r} is no text"
            yield from texts(below)
            if key in ("labels", "annotations", "data", "matchLabels", "nodeSelector") and isinstance(below, dict):
                yield from (f"{key}: {name} is {text!r}" for name, text in below.items() if not isinstance(text, str))
            if key == "env":
                yield from (f"env: {one['name']!r} is {one['value']!r}" for one in below if not isinstance(one["value"], str) or not isinstance(one["name"], str))
            if key == "command":
                yield from (f"command: {word!r}" for word in below if not isinstance(word, str))
    elif isinstance(value, list):
        for below in value:
            yield from texts(below)


for directory in map(pathlib.Path, sys.argv[1:]):
    files = sorted(directory.glob("*.yaml"))
    if not files:
        wrong += 1
        print(f"{directory}: no objects")
    for path in files:
        text = re.sub(r"^## .*$", "", path.read_text(), flags=re.M)
        for value in filter(None, yaml.safe_load_all(text)):
            judged += 1
            for problem in texts(value):
                wrong += 1
                print(f"{path}: {value['kind']}: {problem}")
            if value["apiVersion"].startswith(OTHERS):
                template = value.get("spec", {}).get("podTemplate")
                if not template:
                    continue
                spec = json.loads(json.dumps(template["spec"]))
                # What a template of sandboxes brings is a volume by the time there is a pod.
                spec["volumes"] += [{"name": claim["metadata"]["name"], "emptyDir": {}} for claim in value["spec"].get("volumeClaimTemplates", [])]
                value = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": value["metadata"]["name"]}, "spec": spec}
            pods += value["kind"] in ("Pod", "Job", "Deployment")
            judge(path, value)

# The judge judges: a misspelt key is refused.
try:
    kubernetes_validate.validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": [{"name": "x", "image": "x", "comand": []}]}}, "1.37", strict=True)
    print("the schemas take a misspelt key")
    wrong += 1
except Exception:
    pass
print(f"{judged} objects, {pods} with pods, {wrong} wrong")
sys.exit(bool(wrong or not pods))
