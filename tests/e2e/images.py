#!/usr/bin/env python3
"""Images that pinfold did not make, for `verify` to judge.

  images.py break LAYOUT OUT WHAT [FILE]     the image of an OCI layout with one more layer, in which one thing is wrong
  images.py many ARCH BUSYBOX OUT            a layout and a docker-archive (OUT.tar) of 120 layers, as tools for Nix stores make them
  images.py absolute ARCH BUSYBOX OUT        the same with names that begin with `/`, as nixpkgs' own writer leaves them (docker-archive alone)
"""

import base64, hashlib, io, json, os, random, shutil, struct, sys, tarfile

OCI = "application/vnd.oci.image."


class Layout:
    def __init__(self, path):
        self.path = path
        os.makedirs(f"{path}/blobs/sha256", exist_ok=True)

    def blob(self, digest):
        return f"{self.path}/blobs/sha256/{digest.split(':')[1]}"

    def read(self, digest):
        return json.load(open(self.blob(digest)))

    def put(self, data, kind):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        with open(self.blob(digest), "wb") as file:
            file.write(data)
        return {"mediaType": OCI + kind, "digest": digest, "size": len(data)}

    def done(self, config, layers, annotations=None):
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI + "manifest.v1+json",
            "config": self.put(json.dumps(config).encode(), "config.v1+json"),
            "layers": layers,
        }
        if annotations:
            manifest["annotations"] = annotations
        manifest = self.put(json.dumps(manifest).encode(), "manifest.v1+json")
        index = {"schemaVersion": 2, "mediaType": OCI + "index.v1+json", "manifests": [manifest]}
        json.dump(index, open(f"{self.path}/index.json", "w"))
        json.dump({"imageLayoutVersion": "1.0.0"}, open(f"{self.path}/oci-layout", "w"))


class Layer:
    """A tar of which directories that were not asked for are made."""

    def __init__(self, root="", mtime=0):
        self.data = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.data, mode="w", format=tarfile.GNU_FORMAT)
        self.root, self.mtime, self.made = root, mtime, set()

    def add(self, path, mode=0o644, uid=0, data=b"", kind=tarfile.REGTYPE, target="", above=True):
        parts = path.split("/")
        for depth in range(1, len(parts) if above else 0):
            directory = "/".join(parts[:depth])
            if directory not in self.made:
                self.add(directory, 0o755, uid if directory.startswith("home/") else 0, kind=tarfile.DIRTYPE, above=False)
        if kind == tarfile.DIRTYPE:
            self.made.add(path)
        info = tarfile.TarInfo(self.root + path)
        info.mode, info.uid, info.gid, info.mtime = mode, uid, uid, self.mtime
        info.type, info.linkname, info.size = kind, target, len(data)
        self.tar.addfile(info, io.BytesIO(data))

    def done(self):
        self.tar.close()
        return self.data.getvalue()


def foreign(machine):
    """The smallest static program for a machine: its header and one segment."""
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01" + bytes(9), 2, machine, 1, 0x400078, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    return header + struct.pack("<IIQQQQQQ", 1, 5, 0, 0x400000, 0x400000, 124, 124, 4096) + bytes(4)


def key():
    """A private key whose body is one: PKCS #8 as far as its form goes, drawn here so that none is in the repository."""
    body = bytes.fromhex("020100300d06092a864886f70d0101010500") + b"\x04\x82\x01\x00" + random.Random(7).randbytes(256)
    der = b"\x30\x82" + len(body).to_bytes(2, "big") + body
    text = base64.encodebytes(der).replace(b"\n", b"")
    lines = b"\n".join(text[at:at + 64] for at in range(0, len(text), 64))
    return b"-----BEGIN PRIVATE" + b" KEY-----\n" + lines + b"\n-----END PRIVATE" + b" KEY-----\n"


def broken(layer, what, given):
    if what == "library":  # its name that programs ask for; what it leads to is there
        layer.add("usr/lib/x86_64-linux-gnu/.wh.libz.so.1")
    elif what == "set-id":
        layer.add("usr/local/bin/helper", 0o4755, data=b"#!/bin/sh\n")
    elif what == "key":
        layer.add("usr/local/share/deploy.pem", 0o600, data=key())
    elif what == "bundle":
        layer.add("etc/ssl/certs/.wh.ca-certificates.crt")
    elif what == "authority":
        layer.add("usr/local/share/ca-certificates/own.crt", data=open(given, "rb").read())
    elif what == "config":
        text = {"$schema": "https://opencode.ai/config.json", "autoupdate": True, "share": "disabled", "permission": "allow", "lsp": False}
        layer.add("home/agent/.config/opencode/opencode.json", uid=1000, data=json.dumps(text).encode())
    elif what == "foreign":
        layer.add("usr/local/bin/tool", 0o755, data=foreign(183))
    elif what == "size":  # with what is there already more than 700 MiB
        layer.add("usr/local/share/weight", data=random.Random(7).randbytes(1 << 20) * 701)  # more than any window of gzip apart
    elif what != "nothing":
        sys.exit(f"{what}?")


def add(source, out, what, given=None):
    shutil.copytree(source, out, copy_function=os.link)
    os.remove(f"{out}/index.json")
    layout = Layout(out)
    manifest = json.load(open(f"{source}/index.json"))
    while "config" not in manifest:
        manifest = layout.read(manifest["manifests"][0]["digest"])
    config = layout.read(manifest["config"]["digest"])
    layer = Layer(mtime=1)
    broken(layer, what, given)
    data = layer.done()
    blob = layout.put(data, "layer.v1.tar")
    # As if the one that generates files had been wrong: the layer is no stranger.
    blob["annotations"] = {"dev.pinfold.layer.components": "generated/files"}
    config["rootfs"]["diff_ids"].append(blob["digest"])
    config["history"].append({"created": config["created"], "created_by": "a test", "comment": what})
    os.path.exists(f"{out}/oci-layout") and os.remove(f"{out}/oci-layout")
    layout.done(config, manifest["layers"] + [blob], manifest.get("annotations"))


def many(arch, busybox, out, root):
    program = bytearray(open(busybox, "rb").read())
    if arch == "arm64":  # judged, not run
        program[18:20] = struct.pack("<H", 183)
    draw = random.Random(arch)
    name = lambda stem: "".join(draw.choice("0123456789abcdfghijklmnpqrsvwxyz") for _ in range(32)) + "-" + stem
    tars, before = [], None
    shell = name("busybox-1.36.1")
    for number in range(118):
        layer = Layer(root, 1)
        here = f"nix/store/{shell if number == 0 else name(f'part-{number}')}"
        if number == 0:
            layer.add(f"{here}/bin/busybox", 0o555, data=bytes(program))
            for applet in ("sh", "cat", "env"):
                layer.add(f"{here}/bin/{applet}", 0o777, kind=tarfile.SYMTYPE, target="busybox")
        else:
            layer.add(f"{here}/bin/part", 0o555, data=f"#!/nix/store/{shell}/bin/sh\nexec {before}/bin/part\n".encode())
            layer.add(f"{here}/lib/below", 0o777, kind=tarfile.SYMTYPE, target=f"/{before}")
        before = here
        tars.append(layer.done())
    last = Layer("./", 1)
    last.add("bin", 0o777, kind=tarfile.SYMTYPE, target=f"/nix/store/{shell}/bin")
    last.add("etc/passwd", 0o444, data=b"root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/var/empty:/bin/sh\n")
    last.add("etc/group", 0o444, data=b"root:x:0:\nnobody:x:65534:\n")
    last.add("tmp", 0o1777, kind=tarfile.DIRTYPE)
    last.add("var/empty", 0o755, uid=65534, kind=tarfile.DIRTYPE)
    tars += [last.done(), Layer(mtime=1).done()]
    digests = [hashlib.sha256(data).hexdigest() for data in tars]
    config = {
        "created": "1970-01-01T00:00:01+00:00",
        "architecture": arch,
        "os": "linux",
        "config": {"Cmd": [f"/{before}/bin/part"], "Env": ["PATH=/bin"], "User": "nobody"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}" for digest in digests]},
        "history": [{"created": "1970-01-01T00:00:01+00:00", "comment": "store paths: [...]"} for _ in tars],
    }
    if not root:
        layout = Layout(out)
        layout.done(config, [layout.put(data, "layer.v1.tar") for data in tars])
    text = json.dumps(config, indent=4).encode()
    with tarfile.open(f"{out}.tar", "w") as archive:
        def put(path, data):
            info = tarfile.TarInfo(path)
            info.size, info.mtime = len(data), 1
            archive.addfile(info, io.BytesIO(data))
        for digest, data in zip(digests, tars):
            put(f"{digest}/layer.tar", data)
        put(f"{hashlib.sha256(text).hexdigest()}.json", text)
        listed = {"Config": f"{hashlib.sha256(text).hexdigest()}.json", "RepoTags": ["many:1"], "Layers": [f"{digest}/layer.tar" for digest in digests]}
        put("manifest.json", json.dumps([listed]).encode())


command, *rest = sys.argv[1:]
if command == "break":
    add(*rest)
elif command == "many":
    many(*rest, root="")
elif command == "absolute":
    many(*rest, root="/")
else:
    sys.exit(__doc__)
