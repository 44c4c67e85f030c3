#!/usr/bin/env python3
"""Makes binary caches of Nix out of packages of Debian 13, which stand for nixpkgs where there is none.

    make-debian-cache.py OUT PROFILE/SYSTEM…        such as base/x86_64-linux base/aarch64-linux rust/x86_64-linux

Needs apt, dpkg-deb, patchelf and nix-bin, and a mirror of Debian among the sources of this machine's apt; neither root nor a /nix.

Each package is a store path of its own, with the file system of Nix instead of Debian's: `/usr/bin` and `/sbin` become `bin`, libraries lie in
`lib`, programs start by the dynamic linker of a store path and find libraries in store paths alone, scripts begin with store paths, and links
lead into the store. What cannot be moved in this way (Perl) is left out. Names of store paths follow from the packages that they are made
of. Nix itself hashes, registers, signs and copies them.

    OUT/root/nix/{store,var}    local store
    OUT/cache/                  binary cache, zstd
    OUT/nixpkgs/flake.nix       legacyPackages.SYSTEM.NAME, for the names of the profiles
    OUT/keys/public             the RFC 8032 test key 1: publicly known, test only

Debian lacks some of what the profiles name, or has it in a form that does not fit: STAND_IN says what is there instead.
"""
import collections, concurrent.futures, hashlib, json, os, re, shutil, struct, subprocess, sys

SUITE = "trixie"
PARTS = 8
DEBIAN = {"x86_64-linux": "amd64", "aarch64-linux": "arm64"}
TRIPLET = {"x86_64-linux": "x86_64-linux-gnu", "aarch64-linux": "aarch64-linux-gnu"}
LOADER = {"x86_64-linux": "ld-linux-x86-64.so.2", "aarch64-linux": "ld-linux-aarch64.so.1"}

# Store paths that are made of several packages, since these look for each other beside themselves.
GROUPS = {
    "glibc": ["libc6", "libgcc-s1", "libc-bin"],
    "python3": ["python3.13", "python3-minimal", "python3.13-minimal", "libpython3.13-stdlib", "libpython3.13-minimal"],
    "yq": ["yq", "python3-yaml", "python3-xmltodict", "python3-tomlkit", "python3-argcomplete"],
    "pyflakes": ["pyflakes3", "python3-pyflakes"],
    "pycodestyle": ["pycodestyle", "python3-pycodestyle"],
    "pip": ["python3-pip"],
    "file": ["file", "libmagic1t64", "libmagic-mgc"],
    "gcc": ["gcc-14-x86-64-linux-gnu", "cpp-14-x86-64-linux-gnu", "libgcc-14-dev"],
    "binutils": ["binutils-x86-64-linux-gnu"],
    "glibc-dev": ["libc6-dev", "linux-libc-dev", "libcrypt-dev"],
    "rustc": ["rustc", "libstd-rust-1.85", "libstd-rust-dev"],
    "openssl": ["openssl", "libssl3t64"],
    "openssl-dev": ["libssl-dev"],
    "nss-cacert": ["ca-certificates"],
}
# Names of the profiles, by the store path that they are. What is not here is called as in Debian.
NAMES = {
    "base": """bashInteractive=bash cacert=nss-cacert coreutils curl diffutils fd=fd-find file findutils gawk gh git gnugrep=grep gnused=sed
        gnutar=tar gzip iproute2 iputils=iputils-ping jq less lsof man=man-db netcat=netcat-openbsd nix=nix-bin openssh=openssh-client patch
        prek procps ripgrep rsync shellcheck tini tmux tree treefmt=shfmt unzip util-linux vim=vim-tiny which=gnu-which xz=xz-utils yq zip""",
    "rust": "cargo clippy=rust-clippy gcc openssl pkg-config=pkgconf-bin rust-analyzer rustc rustfmt sccache",
    "python": "python3 ruff=pyflakes ty=pycodestyle uv=pip",
}
# What is no program of that name: prek has git run the hook, as it does; the others are of the same kind.
STAND_IN = {"prek": "a script", "treefmt": "shfmt", "ruff": "pyflakes", "ty": "pycodestyle", "uv": "pip"}
OUTPUTS = {"openssl": {"out": "openssl", "dev": "openssl-dev"}}
PREK = '[ "$1" != --version ] || exec @git@/bin/git --version\nexec @git@/bin/git hook run --ignore-missing pre-commit "$@"\n'
# More names of commands.
LINKS = {
    "bash": {"bin/sh": "bash"}, "fd-find": {"bin/fd": "fdfind"}, "vim-tiny": {"bin/vim": "vim.tiny"}, "netcat-openbsd": {"bin/nc": "nc.openbsd"},
    "gnu-which": {"bin/which": "which.gnu"}, "pkgconf-bin": {"bin/pkg-config": "pkgconf"}, "python3": {"bin/python": "python3.13"},
    "gcc": {"bin/gcc": "x86_64-linux-gnu-gcc-14", "bin/cc": "gcc"}, "pyflakes": {"bin/ruff": "pyflakes3"}, "pycodestyle": {"bin/ty": "pycodestyle"},
    "pip": {"bin/uv": "pip3"}, "shfmt": {"bin/treefmt": "shfmt"},
    "binutils": {f"bin/{name}": f"x86_64-linux-gnu-{name}" for name in ["ar", "as", "ld", "nm", "objcopy", "ranlib", "strip"]},
}
# Programs that need to be told where something is: variables and first words. `@NAME@` is a store path.
WRAPPED = {
    ("git", "git"): ("GIT_EXEC_PATH=@git@/lib/git-core GIT_TEMPLATE_DIR=@git@/share/git-core/templates", ""),
    ("file", "file"): ("MAGIC=@file@/lib/file/magic.mgc", ""),
    ("tmux", "tmux"): ("TERMINFO_DIRS=@ncurses-base@/lib/terminfo LOCPATH=@glibc@/lib/locale", ""),
    ("yq", "yq"): ("PYTHONPATH=@yq@/lib/python3/dist-packages PATH=@jq@/bin:$PATH", ""),
    ("pyflakes", "pyflakes3"): ("PYTHONPATH=@pyflakes@/lib/python3/dist-packages", ""),
    ("pycodestyle", "pycodestyle"): ("PYTHONPATH=@pycodestyle@/lib/python3/dist-packages", ""),
    ("pip", "pip3"): ("PYTHONPATH=@pip@/lib/python3/dist-packages", ""),
    ("gcc", "x86_64-linux-gnu-gcc-14"): (
        "", "-B@binutils@/bin -B@glibc-dev@/lib -isystem @glibc-dev@/include -isystem @glibc-dev@/include/x86_64-linux-gnu "
        "-L@glibc-dev@/lib -L@glibc@/lib -Wl,-dynamic-linker=@glibc@/lib/ld-linux-x86-64.so.2 -Wl,-rpath,@glibc@/lib"),
}
LEFT_OUT = re.compile(
    r"(usr/)?(share/(doc|locale|man|info|lintian|bash-completion|zsh|fish|bug|menu|applications|icons|pixmaps|apport|doc-base|perl5?|i18n|gitweb)"
    r"|lib/(systemd|udev|tmpfiles\.d|sysctl\.d|sysusers\.d|pcrlock\.d|[^/]*-linux-gnu/(gconv|perl|perl5|engines-3|pam|audit))"
    r"|lib/python3\.13/(test|idlelib|turtledemo|lib2to3|ensurepip)|libexec/gcc/.*/(lto1|lto-dump|g\+\+-mapper-server))(/|$)"
    r"|etc/(alternatives|init\.d|default|cron[^/]*|pam\.d|apt|logrotate\.d|bash_completion\.d|profile\.d|xdg|security)(/|$)|(.*/)?[^/]*\.a\.debug$")
ALPHABET = "0123456789abcdfghijklmnpqrsvwxyz"
SECRET = "fixture-1:nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2DXWpgBgrEKt9VL/tPJZAc6DuFy89qmIyWvAhpo9wdRGg=="
# A certificate in PEM form that is among the authorities as well.
OTHER = open(os.environ["AUTHORITY"], "rb").read() if "AUTHORITY" in os.environ else b""
PUBLIC = "fixture-1:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="


def run(*words, **more):
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
    if done.returncode:
        sys.exit(f"make-debian-cache: {' '.join(words)[:300]}: {done.stderr.decode(errors='replace').strip()[-2000:]}")
    return done.stdout.decode()


class Archive:
    """Debian's packages, with an apt of their own."""

    def __init__(self, at, architectures):
        self.at = at
        for folder in ["lists/partial", "cache/archives/partial", "debs"]:
            os.makedirs(f"{at}/{folder}")
        open(f"{at}/status", "w").close()
        known = run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian").split()
        mirrors = [uri for uri in known if "security" not in uri] or sys.exit("make-debian-cache: apt has no mirror of Debian")
        with open(f"{at}/sources.list", "w") as file:
            file.write(f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {mirrors[0]} {SUITE} main\n")
        names = " ".join(f'"{name}";' for name in architectures)
        with open(f"{at}/apt.conf", "w") as file:
            file.write(f'''Dir::State "{at}"; Dir::State::Lists "{at}/lists"; Dir::State::status "{at}/status"; Dir::Cache "{at}/cache";
Dir::Etc::SourceList "{at}/sources.list"; Dir::Etc::SourceParts "-"; APT::Architectures {{ {names} }}; Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false"; Acquire::IndexTargets::deb::DEP-11-icons-small::DefaultEnabled "false";
Acquire::IndexTargets::deb::DEP-11-icons::DefaultEnabled "false"; APT::Sandbox::User "root"; Acquire::Retries "3";\n''')
        self.apt = {**os.environ, "APT_CONFIG": f"{at}/apt.conf"}
        run("apt-get", "update", "-q", env=self.apt)
        self.about = {name: self.read(name) for name in architectures}

    def read(self, architecture):
        files = run("apt-get", "indextargets", "--format", "$(FILENAME)", "Created-By: Packages", f"Architecture: {architecture}", env=self.apt)
        text = run("/usr/lib/apt/apt-helper", "cat-file", files.split()[0], env=self.apt)
        about = {}
        for stanza in text.split("\n\n"):
            fields = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", stanza, re.M))
            if fields:
                about[fields["Package"]] = fields
        return about

    def closure(self, names, architecture):
        """With the libraries that they need."""
        known, found, next = self.about[architecture], {}, list(names)
        while next:
            name = next.pop()
            if name in found or name not in known:
                continue
            found[name] = known[name]
            fields = known[name].get("Depends", "") + "," + known[name].get("Pre-Depends", "")
            for one in fields.split(","):
                first = re.split(r"[ (:|]", one.strip(), maxsplit=1)[0]
                if re.match(r"lib(?!.*-perl$|perl|pam-)|zlib1g|ncurses-base|rust-", first):
                    next.append(first)
        return found

    def download(self, wanted, pool):
        words = {fields["Package"] + ("" if fields["Architecture"] == "all" else ":" + architecture) + "=" + fields["Version"] for architecture, fields in wanted}
        # One apt has one connection.
        parts = [sorted(words)[begin::PARTS] for begin in range(PARTS)]
        list(pool.map(lambda part: part and run("apt-get", "download", "-q", *part, env=self.apt, cwd=f"{self.at}/debs"), parts))
        return {tuple(name[:-4].split("_")[::2]): f"{self.at}/debs/{name}" for name in os.listdir(f"{self.at}/debs")}


class Elf:
    """What the dynamic linker reads of a file of 64 bits: `interpreter`, `needed`; `is_dynamic` is false for all others."""

    def __init__(self, path):
        self.is_dynamic, self.interpreter, self.needed = False, False, []
        with open(path, "rb") as file:
            head = file.read(64)
            if len(head) < 64 or head[:5] != b"\x7fELF\x02" or head[16] not in (2, 3):
                return
            offset, size, count = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
            file.seek(offset)
            table = file.read(size * count)
            segments = [struct.unpack_from("<IIQQQQQQ", table, size * index) for index in range(count)]
            self.interpreter = any(kind == 3 for kind, *_ in segments)
            for kind, _, start, _, _, length, _, _ in segments:
                if kind == 2:
                    self.is_dynamic = True
                    file.seek(start)
                    entries = list(struct.iter_unpack("<QQ", file.read(length)))
                    strings = next((value for tag, value in entries if tag == 5), 0)
                    at = next((strings - where + begin for type, _, begin, where, _, bytes, _, _ in segments if type == 1 and where <= strings < where + bytes), None)
                    for tag, value in entries:
                        if tag == 1:
                            file.seek(at + value)
                            self.needed.append(file.read(200).split(b"\0")[0].decode())


class System:
    """The store paths of one system."""

    def __init__(self, system, packages, debs, store, scratch):
        self.system, self.store, self.scratch = system, store, scratch
        of = {deb: group for group, members in GROUPS.items() for deb in members}
        self.members = collections.defaultdict(list)
        for name in sorted(packages):
            self.members[of.get(name, name)].append(packages[name])
        if "git" in self.members:
            self.members["prek"] = []
        self.path, self.debs, self.owner = {}, debs, {}
        for group, members in self.members.items():
            main = next((one for one in members if one["Package"] == GROUPS.get(group, [group])[0]), members[0] if members else None)
            version = re.sub(r"^\d+:|[+~-].*", "", main["Version"]) if main else "1"
            other = OTHER if group == "nss-cacert" else b""
            digest = hashlib.sha256(repr((4, system, group, [one["SHA256"] for one in members], other)).encode()).digest()
            number = int.from_bytes(digest[:20], "big")
            hash = "".join(ALPHABET[number >> 5 * place & 31] for place in range(32))
            self.path[group] = f"/nix/store/{hash}-{group}-{version}"

    def real(self, group):
        return self.store + self.path[group]

    def place(self, path):
        """Where a file of Debian is in its store path."""
        path = re.sub(rf"^(usr/)?lib/{TRIPLET[self.system]}(/|$)", r"lib\2", path)
        path = re.sub(r"^usr/(local/)?", "", path)
        path = re.sub(r"^sbin/", "bin/", path)
        return re.sub(r"^lib64/", "lib/", path)

    def unpack(self, group):
        """Moves the files of its packages; gives (place in Debian, group, place in the store path) of each, and links for later."""
        files, links = [], []
        for member in self.members[group]:
            name = member["Package"]
            file = self.debs.get((name, DEBIAN[self.system])) or self.debs[(name, "all")]
            top = f"{self.scratch}/{self.system}/{name}"
            os.makedirs(top)
            run("dpkg-deb", "-x", file, top)
            for folder, folders, names in os.walk(top):
                inside = os.path.relpath(folder, top)
                for one in list(folders):
                    if os.path.islink(f"{folder}/{one}"):
                        names.append(one)
                        folders.remove(one)
                for one in names:
                    old = os.path.normpath(f"{inside}/{one}")
                    if LEFT_OUT.match(old):
                        continue
                    new = self.place(old)
                    # Scripts of the C library would lead back to a shell.
                    if group == "glibc" and new.startswith("bin/"):
                        continue
                    files.append((old, group, new))
                    if os.path.islink(f"{folder}/{one}"):
                        links.append((group, old, new, os.readlink(f"{folder}/{one}")))
                    else:
                        os.makedirs(os.path.dirname(f"{self.real(group)}/{new}"), exist_ok=True)
                        os.rename(f"{folder}/{one}", f"{self.real(group)}/{new}")
        return files, links

    def make(self, pool):
        done = list(pool.map(self.unpack, self.members))
        where = {}
        for files, _ in done:
            for old, group, new in files:
                where.setdefault(re.sub(r"^(usr/)?(s?bin|lib|lib64)/", r"usr/\2/", old), (group, new))
        for links in [links for _, links in done]:
            for group, old, new, target in links:
                at = os.path.normpath(os.path.join("/", os.path.dirname(old), target)).lstrip("/")
                there = where.get(re.sub(r"^(usr/)?(s?bin|lib|lib64)/", r"usr/\2/", at))
                if there and there != (group, new):
                    os.makedirs(os.path.dirname(f"{self.real(group)}/{new}"), exist_ok=True)
                    if os.path.lexists(f"{self.real(group)}/{new}"):
                        os.unlink(f"{self.real(group)}/{new}")
                    os.symlink(f"{self.path[there[0]]}/{there[1]}", f"{self.real(group)}/{new}")
        self.own_files()
        self.libraries = {}
        for name, group in self.each():
            inside = os.path.relpath(name, self.real(group))
            if re.fullmatch(r"lib/[^/]+\.so(\.[^/]*)?", inside):
                self.libraries.setdefault(os.path.basename(inside), group)
        self.patch(pool)

    def each(self):
        for group in self.members:
            for folder, folders, names in os.walk(self.real(group)):
                for one in names + [one for one in folders if os.path.islink(f"{folder}/{one}")]:
                    yield f"{folder}/{one}", group

    def text(self, text):
        return re.sub(r"@([a-z0-9.-]+)@", lambda found: self.path[found[1]], text)

    def own_files(self):
        """What install scripts would have made, further names, and scripts that start programs."""
        for group, links in LINKS.items():
            for name, target in links.items():
                folder = os.path.dirname(name)
                if group in self.members and not os.path.lexists(f"{self.real(group)}/{name}") and os.path.lexists(f"{self.real(group)}/{folder}/{target}"):
                    os.symlink(target, f"{self.real(group)}/{name}")
        if "nss-cacert" in self.members:  # The other authority is of a server that tests start.
            top = self.real("nss-cacert")
            certificates = f"{top}/share/ca-certificates/mozilla"
            bundle = b"".join(open(f"{certificates}/{name}", "rb").read() for name in sorted(os.listdir(certificates))) + OTHER
            shutil.rmtree(top)
            os.makedirs(f"{top}/etc/ssl/certs")
            with open(f"{top}/etc/ssl/certs/ca-bundle.crt", "wb") as file:
                file.write(bundle)
        if "prek" in self.members:
            self.script(f"{self.real('prek')}/bin/prek", PREK)
        for (group, name), (variables, words) in WRAPPED.items():
            if group in self.members:
                at = f"{self.real(group)}/bin"
                os.rename(f"{at}/{name}", f"{at}/.{name}-wrapped")
                export = f"export {variables}\n" if variables else ""
                self.script(f"{at}/{name}", f'{export}exec -a "$0" {self.path[group]}/bin/.{name}-wrapped {words} "$@"\n')

    def script(self, at, text):
        os.makedirs(os.path.dirname(at), exist_ok=True)
        with open(at, "w") as file:
            file.write(f"#!{self.path['bash']}/bin/bash\n" + self.text(text))
        os.chmod(at, 0o755)

    def patch(self, pool):
        """Programs and libraries find each other in the store alone; scripts begin with what is there."""
        interpreters = {"sh": "bash", "bash": "bash", "python3": "python3"}
        jobs = collections.defaultdict(list)
        for name, group in list(self.each()):
            if os.path.islink(name):
                continue
            os.chmod(name, os.stat(name).st_mode & 0o777 | 0o600)
            elf = Elf(name)
            if elf.is_dynamic:
                if os.path.basename(name) == LOADER[self.system]:
                    self.look_at_home(name)
                if os.path.basename(name) in ("libc.so.6", LOADER[self.system]):
                    continue
                folders, missing = [], []
                for one in elf.needed:
                    if one == LOADER[self.system]:
                        continue
                    beside = os.path.dirname(name)
                    if os.path.lexists(f"{beside}/{one}"):
                        folder = beside[len(self.store):]
                    elif one in self.libraries:
                        folder = self.path[self.libraries[one]] + "/lib"
                    else:
                        own = next((where for where, other in self.each_of(group) if os.path.basename(where) == one), None)
                        if own is None:
                            missing.append(one)
                            continue
                        folder = os.path.dirname(own)[len(self.store):]
                    if folder not in folders:
                        folders.append(folder)
                if missing:
                    print(f"make-debian-cache: {name[len(self.store):]} is left out: no {', '.join(missing)}", file=sys.stderr)
                    os.unlink(name)
                    continue
                jobs[(elf.interpreter, ":".join(folders))].append(name)
                continue
            with open(name, "rb") as file:
                head = file.read(300)
            if b"GNU ld script" in head:
                with open(name) as file:
                    text = file.read()
                change = lambda found: next((f"{self.path[group]}/lib/{found[1]}" for group in ("glibc", "glibc-dev") if os.path.lexists(f"{self.real(group)}/lib/{found[1]}")), found[0])
                with open(name, "w") as file:
                    file.write(re.sub(rf"(?:/usr)?/lib(?:/{TRIPLET[self.system]}|64)/([^ )]+)", change, text))
            elif head.startswith(b"#!"):
                line = head.split(b"\n")[0].decode(errors="replace")
                found = re.match(r"#! *(?:/usr)?/bin/(?:env +)?([a-z0-9.]+)(.*)", line)
                group = interpreters.get(re.sub(r"^python.*", "python3", found[1])) if found else None
                if line.startswith("#!/nix/store/"):
                    pass
                elif group and group in self.members:
                    with open(name, "rb") as file:
                        rest = file.read().split(b"\n", 1)[1]
                    program = "python3.13" if group == "python3" else "bash"
                    with open(name, "wb") as file:
                        file.write(f"#!{self.path[group]}/bin/{program}{found[2]}\n".encode() + rest)
                elif os.stat(name).st_mode & 0o111:
                    os.unlink(name)

        def one(job):
            (interpreter, folders), names = job
            words = ["--set-rpath", folders] if folders else ["--remove-rpath"]
            if interpreter:
                words += ["--set-interpreter", f"{self.path['glibc']}/lib/{LOADER[self.system]}"]
            for begin in range(0, len(names), 50):
                run("patchelf", *words, *names[begin:begin + 50])
        list(pool.map(one, jobs.items()))
        for name, _ in list(self.each()):
            target = os.readlink(name) if os.path.islink(name) else ""
            at = self.store + target if target.startswith("/") else os.path.join(os.path.dirname(name), target)
            if target and not os.path.lexists(at):
                os.unlink(name)

    def look_at_home(self, loader):
        """A loader of Nix has the directory that it is in compiled in, which agents' programs start by: here instead of the second of
        Debian's. The first stays, since its length is a part of instructions; others' are in a table, the longest in an instruction. Only
        where it runs."""
        if self.system != "x86_64-linux":
            return
        home = f"{self.path['glibc']}/lib/".encode()
        sizes, texts = struct.pack("<4Q", 22, 26, 5, 9), b"/lib/x86_64-linux-gnu/\0/usr/lib/x86_64-linux-gnu/\0/lib/\0/usr/lib/\0"
        new = struct.pack("<4Q", 22, len(home), 1, 1) + b"/lib/x86_64-linux-gnu/\0" + home + b"\0/\0/\0"
        with open(loader, "rb") as file:
            bytes = file.read()
        old = (sizes + texts).ljust(len(new), b"\0")
        longest = re.findall(rb"\x48\xc7\x05.{4}\x1a\0\0\0", bytes, re.S)
        if bytes.count(old) != 1 or len(longest) != 1:
            sys.exit(f"make-debian-cache: {loader} is not as expected")
        with open(loader, "wb") as file:
            file.write(bytes.replace(old, new).replace(longest[0], longest[0][:7] + struct.pack("<I", 200)))

    def each_of(self, group):
        for folder, _, names in os.walk(self.real(group)):
            for one in names:
                yield f"{folder}/{one}", group

    def references(self, group):
        """Store paths that are named in its files and links, as Nix would find them."""
        known = {path[11:43].encode(): other for other, path in self.path.items()}
        found = set()
        for name, _ in [(self.real(group), group)] + [(name, group) for name, other in self.files[group]]:
            if os.path.islink(name):
                bytes = os.readlink(name).encode()
            elif os.path.isfile(name):
                with open(name, "rb") as file:
                    bytes = file.read()
            else:
                continue
            found.update(known[hash] for hash in re.findall(rb"/nix/store/([0-9a-z]{32})", bytes) if hash in known)
        return group, found

    def closure(self, roots, pool):
        self.files = collections.defaultdict(list)
        for name, group in self.each():
            self.files[group].append((name, group))
        references = dict(pool.map(self.references, self.members))
        found, next = set(), list(roots)
        while next:
            group = next.pop()
            if group not in found:
                found.add(group)
                next.extend(references[group])
        for group in self.members:
            if group not in found and os.path.lexists(self.real(group)):
                shutil.rmtree(self.real(group))
        return {self.path[group]: sorted(self.path[other] for other in references[group]) for group in found}


def still(path):
    """Makes a path what it is in a store; gives hash and size of its NAR."""
    for folder, folders, names in os.walk(path, topdown=False):
        for one in [f"{folder}/{name}" for name in folders + names] + [folder]:
            if not os.path.islink(one):
                os.chmod(one, 0o555 if os.stat(one).st_mode & 0o111 else 0o444)
            os.utime(one, (1, 1), follow_symlinks=False)
    dump = subprocess.Popen(["nix-store", "--dump", path], stdout=subprocess.PIPE)
    digest, size = hashlib.sha256(), 0
    while part := dump.stdout.read(1 << 20):
        digest.update(part)
        size += len(part)
    if dump.wait():
        sys.exit(f"make-debian-cache: {path} has no NAR")
    return digest.hexdigest(), size


def main():
    out, wanted = os.path.abspath(sys.argv[1]), [one.split("/") for one in sys.argv[2:]]
    os.umask(0o022)
    os.makedirs(f"{out}/keys")
    scratch = f"{out}/scratch"
    os.makedirs(f"{scratch}/home")
    systems = collections.defaultdict(set)
    attributes = collections.defaultdict(dict)
    for profile, system in wanted:
        for word in NAMES[profile].split():
            name, _, group = word.partition("=")
            outputs = OUTPUTS.get(name, {"out": group or name})
            attributes[system][name] = outputs
            systems[system].update(outputs.values())
    pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())
    archive = Archive(f"{scratch}/apt", [DEBIAN[system] for system in systems])
    packages = {}
    for system, groups in systems.items():
        # What programs start, and scripts begin with.
        more = {"glibc", "bash"} | ({"python3", "ncurses-base"} if "yq" in groups else set()) | ({"binutils", "glibc-dev"} if "gcc" in groups else set())
        names = [name for group in groups | more if group != "prek" for name in GROUPS.get(group, [group])]
        packages[system] = archive.closure(names, DEBIAN[system])
    debs = archive.download([(DEBIAN[system], fields) for system, found in packages.items() for fields in found.values()], concurrent.futures.ThreadPoolExecutor(PARTS))
    registration, paths = "", {}
    for system, found in packages.items():
        made = System(system, found, debs, f"{out}/root", scratch)
        made.make(pool)
        closure = made.closure(systems[system], pool)
        paths[system] = {group: made.path[group] for group in made.members}
        for path, (hash, size) in pool.map(lambda path: (path, still(f"{out}/root{path}")), sorted(closure)):
            registration += "\n".join([path, hash, str(size), "", str(len(closure[path])), *closure[path]]) + "\n"
    os.makedirs(f"{scratch}/conf")
    with open(f"{scratch}/conf/nix.conf", "w") as file:
        file.write("experimental-features = nix-command flakes\nbuild-users-group =\nsubstituters =\nfsync-metadata = false\n")
    with open(f"{out}/keys/secret", "w") as file:
        file.write(SECRET)
    with open(f"{out}/keys/public", "w") as file:
        file.write(PUBLIC)
    nix = {**os.environ, "NIX_CONF_DIR": f"{scratch}/conf", "NIX_USER_CONF_FILES": "/dev/null", "HOME": f"{scratch}/home", "NIX_REMOTE": ""}
    store = f"local?root={out}/root"
    run("nix-store", "--store", store, "--load-db", env=nix, input=registration.encode())
    names = [line for line in registration.split("\n") if line.startswith("/nix/store/")]
    every = sorted(set(names))
    run("nix", "store", "sign", "--store", store, "-k", f"{out}/keys/secret", *every, env=nix)
    run("nix", "copy", "--quiet", "--from", store, "--to", f"file://{out}/cache?compression=zstd", *every, env=nix)
    os.makedirs(f"{out}/nixpkgs")
    each = {system: {name: {output: paths[system][group] for output, group in outputs.items()} for name, outputs in found.items()}
            for system, found in attributes.items()}
    with open(f"{out}/nixpkgs/packages.json", "w") as file:
        json.dump(each, file, indent=1, sort_keys=True)
    with open(f"{out}/nixpkgs/flake.nix", "w") as file:
        file.write("""{
  outputs = { self }: with builtins; let
    package = name: paths: mapAttrs (_: outPath: { inherit outPath; }) paths // {
      inherit name;
      type = "derivation";
      outPath = paths.out;
      outputs = attrNames paths;
      meta.outputsToInstall = [ "out" ];
    };
  in { legacyPackages = mapAttrs (_: mapAttrs package) (fromJSON (readFile ./packages.json)); };
}
""")
    shutil.rmtree(scratch)
    print(f"make-debian-cache: {len(every)} store paths", file=sys.stderr)


main()
