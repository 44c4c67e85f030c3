"""Judges bills of materials.

    spdx FILE                    valid SPDX 2.3, by PyPI's spdx-tools (semantically)
    cyclonedx FILE               valid CycloneDX 1.6, by PyPI's cyclonedx-python-lib (its schemas, strictly)
    same FILE SCAN               the same packages as a scanner lists: kind, name, version, architecture
    lock FILE LOCK PLATFORM      every archive that the lock names for the platform
"""
import json
import re
import sys
from urllib.parse import unquote


def key(purl):
    kind, rest = purl.removeprefix("pkg:").split("/", 1)
    rest, _, query = rest.partition("?")
    name, _, version = rest.rpartition("@")
    query = dict(part.split("=", 1) for part in query.split("&") if part)
    version = unquote(version)
    if "epoch" in query:  # as the scanner writes Debian's
        version = query["epoch"] + ":" + version
    return kind, unquote(name), version, query.get("arch", "")


def components(file):
    return [one for one in json.load(open(file))["components"] if one.get("purl")]


def differ(ours, theirs, names):
    for one in sorted(ours - theirs):
        print("only in", names[0], *one)
    for one in sorted(theirs - ours):
        print("only in", names[1], *one)
    print(len(ours), "packages")
    return ours != theirs


def spdx(file):
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    found = validate_full_spdx_document(parse_file(file), "SPDX-2.3")
    for message in found[:20]:
        print(message.validation_message)
    print("valid" if not found else f"{len(found)} are wrong")
    return bool(found)


def cyclonedx(file):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    found = JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(file).read())
    print(found or "valid")
    return bool(found)


def same(file, scan):
    return differ({key(one["purl"]) for one in components(file)}, {key(one["purl"]) for one in components(scan)}, (file, scan))


def lock(file, lock, platform):
    import tomllib

    lock = tomllib.load(open(lock, "rb"))
    hashes = {one["purl"]: {h["content"] for h in one.get("hashes", [])} for one in components(file)}
    found = {key(purl): hashes[purl] for purl in hashes}
    wrong = 0
    for deb in lock["debian"]["packages"][platform]:
        digest = deb["sha256"].removeprefix("sha256:")
        wrong += told(found.get(("deb", "debian/" + deb["name"], deb["version"], deb["arch"])), digest, deb["name"])
    for agent in lock.get("agents", []):
        package = agent["packages"][platform]
        wrong += told(found.get(("npm", package["name"], package["version"], "")), None, package["name"])
    print(len(found), "packages,", wrong, "are missing")
    return bool(wrong)


def told(hashes, digest, name):
    if hashes is None:
        print("missing:", name)
    elif digest and digest not in hashes or not all(re.fullmatch("[0-9a-f]+", one) for one in hashes) or not hashes:
        print("another digest:", name, hashes)
    else:
        return 0
    return 1


sys.exit(globals()[sys.argv[1]](*sys.argv[2:]))
