#!/usr/bin/env python3
"""npm-compare.py PINFOLD WORK PACKAGE...: what `pinfold` places of each npm package, against `npm install --global`.

The judge is npm itself. It sees what the lock was made of: a registry on loopback passes on what the machine's own registry says,
without what was published since. (With the versions of the lock alone npm would place some packages elsewhere: those that it tries
on the way, and that do not stay, keep others from their places.) Then `lib/node_modules` and `bin` are compared path by path: kind,
mode, target of links, content. `npm ls --global` must know exactly what was asked for.

    PACKAGE is `name` or `name@range`; several joined with `+` are asked for together.

Prints a line for each: `same NAME: N paths`, `neither NAME` where npm cannot resolve it either (a registry can lack a version that
another package needs), `DIFFERENT NAME` with the paths, or `FAILED NAME` with what was said.
"""
import datetime
import hashlib
import http.server
import json
import os
import pathlib
import platform
import shutil
import stat
import subprocess
import sys
import threading
import tomllib
import urllib.error
import urllib.parse
import urllib.request

pinfold, work = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
machine = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}[platform.machine()]
upstream = subprocess.run(["npm", "config", "get", "registry"], check=True, capture_output=True, text=True).stdout.strip()
upstream = upstream.rstrip("/") + "/"
os.umask(0o022)


FLAGS = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--prefer-online"]


class Failure(Exception):
    """A step that did not do what it should."""


class Neither(Exception):
    """Packages that npm cannot resolve either, in npm's words."""


def run(command, **options):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        raise Failure(f"{' '.join(str(word) for word in command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


class Registry(http.server.BaseHTTPRequestHandler):
    """The machine's registry, as it was when the lock was made."""

    locked = datetime.datetime.max.replace(tzinfo=datetime.timezone.utc)

    def do_GET(self):
        path = self.path.lstrip("/")
        name = urllib.parse.unquote(path)
        tarball = "/-/" in name
        try:
            asked = urllib.request.Request(upstream + path, headers={"Accept": self.headers.get("Accept", "*/*")})
            with urllib.request.urlopen(asked, timeout=300) as answer:
                body = answer.read()
        except urllib.error.HTTPError as error:
            self.send_error(error.code)
            return
        except OSError:
            self.send_error(503)
            return
        if not tarball:
            body = self.cut(json.loads(body))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def cut(self, packument):
        here = f"http://127.0.0.1:{self.server.server_address[1]}/"
        times = packument.get("time", {})
        there = lambda version: version not in times or datetime.datetime.fromisoformat(times[version]) <= self.locked
        kept = {version: release for version, release in packument["versions"].items() if there(version)}
        for release in kept.values():
            # npm leaves optional packages out that are not for the Node it runs on; the image's is another.
            release.pop("engines", None)
            path = urllib.parse.urlsplit(release["dist"]["tarball"]).path
            name = packument["name"]
            start = max(path.find(f"/{one}/-/") for one in (name, name.replace("/", "%2f"), name.replace("/", "%2F")))
            release["dist"]["tarball"] = here + path[start + 1 :]
        packument["versions"] = kept
        tags = {tag: version for tag, version in packument["dist-tags"].items() if version in kept}
        packument["dist-tags"] = tags
        return json.dumps(packument).encode()

    def log_message(self, *_):
        pass


def lock(folder, packages):
    """Locks the packages; scripts that need an answer are answered as the hint says."""
    names = ", ".join(f'"{package}"' for package in packages)
    manifest = f'name = "compared"\nplatforms = ["{machine}"]\n[policy]\nmin-age = "0"\n[npm]\npackages = [{names}]\n'
    answers = []
    for _ in range(20):
        scripts = "[scripts]\n" + "\n".join(answers) + "\n" if answers else ""
        (folder / "pinfold.toml").write_text(manifest + scripts)
        done = subprocess.run([str(pinfold), "lock"], cwd=folder, capture_output=True, text=True)
        if done.returncode == 0:
            return tomllib.loads((folder / "pinfold.lock").read_text())
        if done.returncode == 2:
            (folder / "judge/lib").mkdir(parents=True)
            where = ["--prefix", folder / "judge", "--cache", folder / "cache"]
            command = ["npm", "install", "--global", "--dry-run", *FLAGS, *where, *packages]
            judged = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True, text=True)
            if judged.returncode != 0 and "ETARGET" in judged.stderr:
                raise Neither(next(line for line in judged.stderr.splitlines() if "notarget" in line))
        asked = [line.strip() for line in done.stderr.splitlines() if ' = "skip: ' in line]
        if done.returncode != 5 or not asked:
            raise Failure(f"pinfold lock: exit {done.returncode}\n{done.stderr}")
        answers += asked
    raise Failure("pinfold lock asks for answers without end")


def entries(top, folders):
    """Path -> what is there."""
    found = {}
    for folder in folders:
        for at, directories, files in os.walk(top / folder):
            for name in directories + files + ([""] if at == str(top / folder) else []):
                path = pathlib.Path(at, name)
                state = path.lstat()
                line = f"{stat.filemode(state.st_mode)}"
                if path.is_symlink():
                    line += f" -> {os.readlink(path)}"
                elif path.is_file():
                    line += f" {hashlib.sha256(path.read_bytes()).hexdigest()}"
                found[str(path.relative_to(top))] = line
    return found


def compare(packages):
    folder = work / "npm-compared"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    Registry.locked = datetime.datetime.now(datetime.timezone.utc)
    placements = lock(folder, packages)["npm"][machine]
    run([pinfold, "build"], cwd=folder)
    run([pinfold, "unpack", "compared", folder / "root"], cwd=folder)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        asked = []
        for placement in placements:
            if placement.get("requested"):
                name, package = placement["dir"].removeprefix("node_modules/"), placement["package"]
                alias = "" if name == package["name"] else f"npm:{package['name']}@"
                asked.append(f"{name}@{alias}{package['version']}")
        here = ["--registry", f"http://127.0.0.1:{server.server_address[1]}/", "--cache", folder / "cache"]
        run(["npm", "install", "--global", *FLAGS, *here, "--prefix", folder / "npm", *asked], cwd=folder)
    finally:
        server.shutdown()
        server.server_close()

    own = entries(folder / "root/usr/local", ["lib/node_modules", "bin"])
    theirs = entries(folder / "npm", ["lib/node_modules", "bin"])
    different = sorted(path for path in own.keys() | theirs.keys() if own.get(path) != theirs.get(path))
    listed = json.loads(run(["npm", "ls", "--global", "--json", "--prefix", folder / "root/usr/local"], cwd=folder))
    wanted = sorted(entry.rsplit("@", 1)[0] if ":" not in entry else entry.split("@npm:")[0] for entry in asked)
    if sorted(listed.get("dependencies", {})) != wanted:
        raise Failure(f"npm ls --global knows {sorted(listed.get('dependencies', {}))}, asked for {wanted}")
    return len(own), [f"{path}\n    own: {own.get(path)}\n    npm: {theirs.get(path)}" for path in different]


def main():
    failed = False
    for packages in sys.argv[3:]:
        try:
            count, different = compare(packages.split("+"))
        except Neither as words:
            print(f"neither {packages}: {words}", flush=True)
            continue
        except Failure as failure:
            print(f"FAILED {packages}: {failure}", flush=True)
            failed = True
            continue
        if different:
            failed = True
            more = f"\n  and {len(different) - 20} more" if len(different) > 20 else ""
            print(f"DIFFERENT {packages}: {len(different)} of {count} paths\n  " + "\n  ".join(different[:20]) + more, flush=True)
        else:
            print(f"same {packages}: {count} paths", flush=True)
    sys.exit(failed)


main()
