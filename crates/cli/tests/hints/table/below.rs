//! Of the rooms below the engine.

use super::Row;
use super::row;
use crate::case::Follow::Mean;
use crate::case::Follow::MeanWords;
use crate::case::Follow::Say;
use crate::case::Follow::Set;
use crate::case::Follow::Shell;
use crate::case::Follow::Write;
use crate::case::TRIAL;
use crate::case::Trial;
use crate::table::Held::Elsewhere;
use crate::table::Held::Tried;
use crate::table::Held::Untried;

pub(super) const ROWS: &[Row] = &[
    row(
        "archive/src/decoded/mod.rs",
        "take another form of it, or say `format = \"raw\"` to have the file as it is",
        Elsewhere("archive/src/decoded/tests.rs", "what_a_download_is_is_told_from_its_bytes"),
    ),
    row(
        "archive/src/decoded/mod.rs",
        "it was set aside: `pinfold fetch` brings it back, or name kept inputs with `--vendor DIR`",
        Elsewhere("engine/tests/heal.rs", "a_damaged_download_is_fetched_again_and_offline_named"),
    ),
    row(
        "archive/src/encode/mod.rs",
        "`pinfold fetch` brings missing downloads back",
        Elsewhere(
            "engine/tests/heal.rs",
            "every_file_that_layers_are_made_of_is_made_again_when_it_is_damaged",
        ),
    ),
    row(
        "archive/src/encode/mod.rs",
        "the cache is damaged; remove its `decoded` folder, it is made again from the downloads",
        Elsewhere(
            "engine/tests/heal.rs",
            "every_file_that_layers_are_made_of_is_made_again_when_it_is_damaged",
        ),
    ),
    row(
        "archive/src/tar/error.rs",
        "leave the package out, or make the device at run time with a mount",
        Untried("no archive or registry publishes packages with devices in them"),
    ),
    row(
        "base/src/directory/remove.rs",
        "it belongs to another user or was made immutable: as root, `chattr -R -ia {path}` and `rm -r {path}`",
        Untried("it takes mounts, other users' files or a read-only file system"),
    ),
    row(
        "base/src/directory/remove.rs",
        "the file system is read-only; try again when it can be written",
        Untried("it takes mounts, other users' files or a read-only file system"),
    ),
    row(
        "base/src/directory/remove.rs",
        "unmount what is mounted below `{path}`, then try again",
        Untried("it takes mounts, other users' files or a read-only file system"),
    ),
    row(
        "base/src/error.rs",
        "name a place that you may read and write; for pinfold's own files, set `PINFOLD_HOME` to one",
        Untried("the tests run as root too, who may read and write everywhere"),
    ),
    row(
        "base/src/error.rs",
        "the disk is full: make room there; of what pinfold keeps `pinfold gc` says what can be freed, and `PINFOLD_HOME` can name a larger disk for it",
        Elsewhere("cli/tests/build.rs", "a_full_disk_is_an_error_and_the_next_build_works"),
    ),
    row(
        "base/src/http/error.rs",
        "check that the address is that of a registry or archive, not of another service",
        Untried("another's server, or the network on the way to it, decides"),
    ),
    row(
        "base/src/http/error.rs",
        "check that the file exists and can be read",
        Untried("another's server, or the network on the way to it, decides"),
    ),
    row(
        "base/src/http/error.rs",
        "check the address, and the names and versions in it; of what was locked and is gone, `pinfold lock --upgrade` takes a newer version, and a directory that `pinfold vendor` made or a snapshot of the archive still has it",
        Untried("another's server, or the network on the way to it, decides"),
    ),
    row(
        "base/src/http/error.rs",
        "check the network; behind a proxy set `{proxy}` and `NO_PROXY`; what is already fetched can be used with `--offline`",
        Untried("another's server, or the network on the way to it, decides"),
    ),
    row(
        "base/src/http/error.rs",
        "check the variables `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`",
        Untried("another's server, or the network on the way to it, decides"),
    ),
    row(
        "base/src/http/error.rs",
        "expected `HOST,HOST`: names or addresses, without scheme and port",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\n[npm]\npackages = ['tool']\n",
            )],
            set: &[("npm_config_registry", "REGISTRY"), ("PINFOLD_PRIVATE_HOSTS", "http://a.example/")],
            words: "lock",
            error: "is no host",
            hint: "expected `HOST,HOST`",
            follow: &[Set("PINFOLD_PRIVATE_HOSTS", "a.example")],
            ..TRIAL
        }]),
    ),
    row(
        "base/src/http/error.rs",
        "expected `http://HOST:PORT` or `https://HOST:PORT`; SOCKS is not supported",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\n[npm]\npackages = ['tool']\n",
            )],
            set: &[("npm_config_registry", "REGISTRY"), ("HTTP_PROXY", "socks5://127.0.0.1:9")],
            words: "lock",
            error: "does not name a proxy pinfold can use",
            hint: "`http://HOST:PORT`",
            follow: &[Set("HTTP_PROXY", "http://127.0.0.1:9")],
            ..TRIAL
        }]),
    ),
    row(
        "base/src/http/error.rs",
        "give the final address in the manifest",
        Untried("another's server, or the network on the way to it, decides"),
    ),
    row(
        "base/src/http/error.rs",
        "if a company proxy opens TLS, set `SSL_CERT_FILE` to a file that also holds its certificate, or add it to the system's trust store; also check the clock",
        Untried("another's server, or the network on the way to it, decides"),
    ),
    row(
        "base/src/http/error.rs",
        "install the ca-certificates package, or set `SSL_CERT_FILE` to a file of trusted certificates",
        Untried("another's server, or the network on the way to it, decides"),
    ),
    row(
        "base/src/http/error.rs",
        "only what the machine's own configuration names may stand on this machine or its network; if this is meant, set `PINFOLD_PRIVATE_HOSTS=HOST` (metadata and link-local addresses are never reached)",
        Untried("another's server, or the network on the way to it, decides"),
    ),
    row(
        "base/src/http/error.rs",
        "run once without `--offline`, or give a directory made by `pinfold vendor`",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\n[npm]\npackages = ['tool']\n",
            )],
            set: &[("npm_config_registry", "REGISTRY")],
            words: "lock --offline",
            error: "the network is switched off",
            hint: "run once without `--offline`",
            follow: &[MeanWords(" --offline", "")],
            ..TRIAL
        }]),
    ),
    row(
        "base/src/http/error.rs",
        "run the same command again: it goes on where it stopped",
        Untried("another's server, or the network on the way to it, decides"),
    ),
    row(
        "base/src/http/error.rs",
        "the proxy wants credentials: `{proxy}=http://USER:PASSWORD@HOST:PORT`",
        Untried("another's server, or the network on the way to it, decides"),
    ),
    row(
        "base/src/http/error.rs",
        "the server asks for fewer requests; try again in a few minutes",
        Untried("another's server, or the network on the way to it, decides"),
    ),
    row(
        "base/src/http/error.rs",
        "the server has something else than what is locked: use another mirror, or lock again (`pinfold lock --upgrade`)",
        Untried("another's server, or the network on the way to it, decides"),
    ),
    row(
        "base/src/http/error.rs",
        "the server wants credentials or refuses these: for npm, say `npm login` or write `//HOST/:_authToken=…` to `~/.npmrc`; for other servers, write `https://USER:PASSWORD@HOST/…` where this machine names the mirror",
        Untried("another's server, or the network on the way to it, decides"),
    ),
    row(
        "base/src/http/error.rs",
        "try again later, or use another mirror",
        Untried("another's server, or the network on the way to it, decides"),
    ),
    row(
        "base/src/store.rs",
        "the server sent something else than what is locked; try again, or use another mirror",
        Untried("another's server, or the network on the way to it, decides"),
    ),
    row(
        "image/src/portable/mod.rs",
        "`pinfold pack IMAGE -o FILE` makes one",
        Elsewhere("cli/tests/pack.rs", "what_cannot_be_packed_says_what_to_do"),
    ),
    row(
        "image/src/portable/mod.rs",
        "copy it once more from where it came",
        Elsewhere("cli/tests/pack.rs", "what_cannot_be_packed_says_what_to_do"),
    ),
    row(
        "image/src/error.rs",
        "an image name looks like `name`, `name:tag` or `name@sha256:…`",
        Tried(&[Trial {
            words: "inspect ::",
            error: "::",
            hint: "`name:tag`",
            follow: &[MeanWords("::", "name:tag")],
            ..TRIAL
        }]),
    ),
    row(
        "image/src/error.rs",
        "a file is named by its form, `oci-archive:FILE` or `docker-archive:FILE`, a directory as `oci:DIR`",
        Tried(&[Trial {
            files: &[("project/pinfold.toml", "name = 'x'\nplatforms = ['linux/amd64']\n")],
            before: &["build -o oci-archive:out.tar"],
            words: "inspect ./out.tar",
            error: "no image name",
            hint: "named by its form",
            follow: &[MeanWords("./out.tar", "oci-archive:./out.tar")],
            ..TRIAL
        }]),
    ),
    row(
        "image/src/error.rs",
        "append one of the tags: {}",
        Tried(&[Trial {
            files: &[("project/pinfold.toml", "name = 'x'\nplatforms = ['linux/amd64']\n")],
            before: &["build -o oci:out:a", "build -o oci:out:b"],
            words: "inspect oci:out",
            error: "several images",
            hint: "append one of the tags: ",
            follow: &[MeanWords("oci:out", "oci:out:a")],
            ..TRIAL
        }]),
    ),
    row(
        "image/src/error.rs",
        "choose one of these with `--platform`, or build the image for the other platform",
        Tried(&[Trial {
            files: &[("project/pinfold.toml", "name = 'x'\nplatforms = ['linux/amd64']\n")],
            before: &["build"],
            words: "unpack --platform linux/arm64 x out",
            error: "linux/arm64",
            hint: "choose one of these with `--platform`",
            follow: &[MeanWords("linux/arm64", "linux/amd64")],
            ..TRIAL
        }]),
    ),
    row(
        "image/src/error.rs",
        "places are `oci:DIR[:tag]`, `oci-archive:FILE[:tag]`, `docker-archive:FILE[:name:tag]` and `appimage:FILE`",
        Tried(&[Trial {
            files: &[("project/pinfold.toml", "name = 'x'\nplatforms = ['linux/amd64']\n")],
            words: "build -o ocy:out",
            error: "ocy:out",
            hint: "`oci:DIR[:tag]`",
            follow: &[MeanWords("ocy:out", "oci:out")],
            ..TRIAL
        }]),
    ),
    row(
        "image/src/error.rs",
        "the bytes were damaged or changed: build the image again, or copy or pull it once more",
        Untried("it takes an image that was damaged on its way"),
    ),
    row(
        "image/src/error.rs",
        "the image is incomplete: build it again, or copy or pull it once more from where it came",
        Untried("it takes an image that was damaged on its way"),
    ),
    row(
        "image/src/error.rs",
        "there is no image yet; `pinfold build` makes one, and `pinfold pull HOST/NAME` brings one",
        Tried(&[Trial {
            files: &[("project/pinfold.toml", "name = 'x'\nplatforms = ['linux/amd64']\n")],
            words: "inspect x",
            error: "there is no image",
            hint: "`pinfold build` makes one",
            follow: &[Say],
            ..TRIAL
        }]),
    ),
    row(
        "image/src/error.rs",
        "there is {}",
        Tried(&[Trial {
            files: &[("project/pinfold.toml", "name = 'x'\nplatforms = ['linux/amd64']\n")],
            before: &["build"],
            words: "inspect y",
            error: "image `y:latest` is not in the store",
            hint: "there is ",
            follow: &[MeanWords("inspect y", "inspect x")],
            ..TRIAL
        }]),
    ),
    row(
        "image/src/sign/error.rs",
        "write it as PKCS#8: `openssl pkcs8 -topk8 -nocrypt -in FILE -out NEW`",
        Elsewhere("image/src/sign/tests.rs", "a_key_of_another_form_is_read_after_the_command_of_the_hint"),
    ),
    row(
        "image/src/unpack/mod.rs",
        "choose another directory, or remove this one",
        Tried(&[Trial {
            files: &[("project/pinfold.toml", "name = 'x'\nplatforms = ['linux/amd64']\n")],
            before: &["build", "unpack x out"],
            words: "unpack x out",
            error: "out",
            hint: "choose another directory",
            follow: &[MeanWords("x out", "x new")],
            ..TRIAL
        }]),
    ),
    row(
        "image/src/unpack/mod.rs",
        "do not run this image; its author can make a directory there",
        Untried("it takes a hostile or damaged image, which nobody should run"),
    ),
    row(
        "image/src/unpack/mod.rs",
        "the image is malformed or hostile; do not run it",
        Untried("it takes a hostile or damaged image, which nobody should run"),
    ),
    row(
        "image/src/unpack/mod.rs",
        "the layer was exchanged or damaged; copy the image once more from where it came",
        Untried("it takes a hostile or damaged image, which nobody should run"),
    ),
    row(
        "network/src/dial.rs",
        "the proxy reaches public addresses only; a provider on a private network is named by the agent's own variable, such as `OPENAI_BASE_URL`, where pinfold is started",
        Untried("it is told in the journal of a sandbox, whose agent asked for an address"),
    ),
    row(
        "network/src/relay/mod.rs",
        "choose another port for the proxy or the route",
        Untried("the ports and paths are pinfold's own"),
    ),
    row(
        "network/src/relay/mod.rs",
        "set `PINFOLD_HOME` to a folder with a shorter path",
        Untried("the ports and paths are pinfold's own"),
    ),
    row(
        "network/src/route/mod.rs",
        "write `https://host`, `https://host:port/path`, or `http://127.0.0.1:port`",
        Elsewhere("engine/src/run/credentials.rs", "the_callers_gateway_is_the_upstream"),
    ),
    row(
        "network/src/rules.rs",
        "write `host`, `*.host`, `host:port` or `tcp:host:port`",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\n[run]\nallow = ['https://a.example']\n",
            )],
            words: "policy show",
            error: "https://a.example",
            hint: "write `host`, `*.host`, `host:port`",
            follow: &[Mean("project/pinfold.toml", "https://a.example", "a.example")],
            ..TRIAL
        }]),
    ),
    row(
        "network/src/rules.rs",
        "write `tcp:{}`",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\n[run]\nallow = ['https://a.example']\n",
            )],
            words: "policy show",
            error: "https://a.example",
            hint: "write `host`, `*.host`, `host:port`",
            follow: &[Mean("project/pinfold.toml", "https://a.example", "a.example")],
            ..TRIAL
        }]),
    ),
    row(
        "network/src/secret/own.rs",
        "`chmod go-w {}`, when what is in it is yours",
        Elsewhere("engine/src/settings/tests.rs", "what_others_can_write_decides_nothing"),
    ),
    row(
        "network/src/secret/mod.rs",
        "export `{name}` where pinfold is started, not in the image",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\nagents = ['claude-code']\n",
            )],
            words: "run --offline --key env:MY_KEY claude-code",
            error: "the variable `MY_KEY` is not set",
            hint: "export `MY_KEY`",
            follow: &[Set("MY_KEY", "sk-1")],
            ..TRIAL
        }]),
    ),
    row(
        "network/src/secret/mod.rs",
        "look at the file; if the change is yours, start again",
        Elsewhere("network/src/secret/tests.rs", "what_changed_since_it_was_found_is_not_run"),
    ),
    row(
        "network/src/secret/mod.rs",
        "name it with its full path, or put it into a folder of PATH that only you can write to",
        Tried(&[Trial {
            files: &[(
                "project/pinfold.toml",
                "name = 'x'\nplatforms = ['linux/amd64']\nagents = ['claude-code']\n",
            )],
            words: "run --offline --key command:no-such-program claude-code",
            error: "in the PATH",
            hint: "name it with its full path",
            follow: &[MeanWords("no-such-program", "/bin/true")],
            ..TRIAL
        }]),
    ),
    row(
        "network/src/secret/mod.rs",
        "put a copy of its own in its place: `cp -p {path} {copy} && mv {copy} {path}`",
        Tried(&[Trial {
            files: &[
                (
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\nagents = ['claude-code']\n",
                ),
                ("own/key", "sk-1"),
            ],
            before: &["$ chmod 755 '@' '@/own'; chmod 600 '@/own/key'; ln '@/own/key' '@/own/twin'"],
            words: "run --offline --key file:@/own/key claude-code",
            error: "has a second name",
            hint: "put a copy of its own in its place: ",
            follow: &[Shell],
            ..TRIAL
        }]),
    ),
    row(
        "network/src/secret/mod.rs",
        "say `chmod 600 {}`",
        Tried(&[Trial {
            files: &[
                (
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\nagents = ['claude-code']\n",
                ),
                ("my keys/key", "sk-1"),
            ],
            before: &[
                "$ chmod 755 '@' '@/my keys'; chmod 644 '@/my keys/key'; mv '@/my keys' @/own; ln -s own '@/my keys'",
            ],
            words: "run --offline --key file:@/own/key claude-code",
            error: "may be read by others",
            hint: "say `chmod 600 ",
            follow: &[Shell],
            ..TRIAL
        }]),
    ),
    row(
        "network/src/secret/mod.rs",
        "say `chmod go-w {}`",
        Tried(&[Trial {
            files: &[
                (
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\nagents = ['claude-code']\n",
                ),
                ("own/key", "sk-1"),
            ],
            before: &["$ chmod 755 '@'; chmod 777 '@/own'; chmod 600 '@/own/key'"],
            words: "run --offline --key file:@/own/key claude-code",
            error: "can be written to by others",
            hint: "say `chmod go-w ",
            follow: &[Shell],
            ..TRIAL
        }]),
    ),
    row(
        "network/src/secret/mod.rs",
        "what an agent can write it could make the host obey: put the file where only you can write and no sandbox is given it, `~/.local/bin` for a program or `~/.config/pinfold` for a key, and name it with its full path",
        Tried(&[Trial {
            files: &[
                (
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\nagents = ['claude-code']\n",
                ),
                ("project/key", "sk-1"),
                (".config/pinfold/key", "sk-1"),
            ],
            before: &["$ chmod 755 '@'; chmod 600 '@/project/key' '@/.config/pinfold/key'"],
            words: "run --offline --key file:@/project/key claude-code",
            error: "cannot serve for a key",
            hint: "`~/.config/pinfold` for a key",
            follow: &[MeanWords("@/project/key", "~/.config/pinfold/key")],
            ..TRIAL
        }]),
    ),
    row(
        "network/src/secret/mod.rs",
        "make a script of it where only you can write, such as `~/.local/bin/getkey`, and name that: `command:~/.local/bin/getkey`",
        Tried(&[Trial {
            files: &[
                (
                    "project/pinfold.toml",
                    "name = 'x'\nplatforms = ['linux/amd64']\nagents = ['claude-code']\n[run.credentials]\nclaude-code = 'command:sh -c $X/y'\n",
                ),
                (".local/bin/getkey", "#!/bin/sh\necho sk-1\n"),
            ],
            before: &["$ chmod 755 '@' '@/.local' '@/.local/bin' '@/.local/bin/getkey'"],
            words: "policy show",
            error: "is text for `sh`",
            hint: "make a script of it",
            follow: &[Write("project/pinfold.toml", "command:sh -c $X/y", "command:~/.local/bin/getkey")],
            ..TRIAL
        }]),
    ),
    row(
        "network/src/secret/mod.rs",
        "write the file's full path",
        Elsewhere("network/src/secret/tests.rs", "words_that_only_look_like_paths_are_left_alone"),
    ),
    row(
        "sandbox/src/error.rs",
        "`pinfold ps` shows what there is",
        Tried(&[Trial {
            words: "logs nobody",
            error: "nobody",
            hint: "`pinfold ps` shows what there is",
            ..TRIAL
        }]),
    ),
    row(
        "sandbox/src/error.rs",
        "a mount below that directory cannot be copied: name a directory without mounts below it",
        Untried("the kernel, what is mounted or what is installed on the machine decides"),
    ),
    row(
        "sandbox/src/error.rs",
        "attach to it with `pinfold attach {}`, or choose another `--name`",
        Untried("it takes a session that runs"),
    ),
    row(
        "sandbox/src/error.rs",
        "install `{name}`, or leave `--runtime` out",
        Untried("whether a runtime is installed is the machine's"),
    ),
    row(
        "sandbox/src/error.rs",
        "let the output go to a file or pipe that can be written to, and run it again",
        Untried("the kernel, what is mounted or what is installed on the machine decides"),
    ),
    row(
        "sandbox/src/error.rs",
        "make room where the output goes, or let it go elsewhere, and run it again",
        Untried("the kernel, what is mounted or what is installed on the machine decides"),
    ),
    row(
        "sandbox/src/error.rs",
        "pass its bytes through a pipe (`cat FILE | pinfold run …`), or say `< /dev/null`",
        Untried("the rows about streams of the isolation suite hand in such descriptors"),
    ),
    row(
        "sandbox/src/error.rs",
        "root's sandboxes have ids outside that are nobody's, and the file system there cannot show files with them: mount another directory, start as an ordinary user, or say `--allow-root-id`, and the program has root's id outside",
        Untried("the kernel, what is mounted or what is installed on the machine decides"),
    ),
    row(
        "sandbox/src/error.rs",
        "the program must exist inside the image, for this machine's architecture",
        Untried("the kernel, what is mounted or what is installed on the machine decides"),
    ),
    row(
        "sandbox/src/error.rs",
        "use Linux 5.12 or later",
        Untried("the kernel, what is mounted or what is installed on the machine decides"),
    ),
    row(
        "sandbox/src/error.rs",
        "what an agent can write it could make the host run: install `{program}` in a folder of PATH that only root or you can write to and that no sandbox is given, or leave `--runtime` out",
        Untried("the kernel, what is mounted or what is installed on the machine decides"),
    ),
    row(
        "sandbox/src/error.rs",
        "write to a file or through a pipe (`pinfold run … | dd of=FILE`)",
        Untried("the rows about streams of the isolation suite hand in such descriptors"),
    ),
    row(
        "sandbox/src/plan/refusal.rs",
        "boot with `landlock` in the kernel's parameter `lsm=`, or use Linux 5.13 or later",
        Untried(
            "it takes a socket, a link or a kernel of its kind where a sandbox starts; the isolation suite has them",
        ),
    ),
    row(
        "sandbox/src/plan/refusal.rs",
        "build the image with a directory at that place",
        Untried(
            "it takes a socket, a link or a kernel of its kind where a sandbox starts; the isolation suite has them",
        ),
    ),
    row(
        "sandbox/src/plan/refusal.rs",
        "make it readable with `chmod u+rx {}`, or mount a directory without it",
        Untried(
            "it takes a socket, a link or a kernel of its kind where a sandbox starts; the isolation suite has them",
        ),
    ),
    row(
        "sandbox/src/plan/refusal.rs",
        "mount a directory without the socket, or stop the program that made it and remove the socket; a read-only mount does not stop connections",
        Untried(
            "it takes a socket, a link or a kernel of its kind where a sandbox starts; the isolation suite has them",
        ),
    ),
    row(
        "sandbox/src/plan/refusal.rs",
        "mount the directory it leads to by its own path, if that is wanted",
        Untried(
            "it takes a socket, a link or a kernel of its kind where a sandbox starts; the isolation suite has them",
        ),
    ),
    row(
        "sandbox/src/plan/refusal.rs",
        "start it in a systemd user session, as with `systemd-run --user --scope -p Delegate=yes pinfold run …`, or leave out the limits of memory and processors",
        Untried(
            "it takes a socket, a link or a kernel of its kind where a sandbox starts; the isolation suite has them",
        ),
    ),
    row(
        "sandbox/src/plan/refusal.rs",
        "tell git of the directory itself: `rm {link} && git -C {tree} config core.hooksPath {to}`; or let a sandbox change it: `--unprotect {name}`",
        Elsewhere("cli/tests/protect.rs", "a_link_that_is_refused_is_done_away_with_as_the_hint_says"),
    ),
    row(
        "sandbox/src/plan/refusal.rs",
        "use Linux 6.7 or later, or leave the ports to the network namespace",
        Untried(
            "it takes a socket, a link or a kernel of its kind where a sandbox starts; the isolation suite has them",
        ),
    ),
    row(
        "sandbox/src/plan/refusal.rs",
        "write `{to}` where `{link}` is named now, or put it in the place of the link; or let a sandbox change it: `--unprotect {name}`",
        Elsewhere("cli/tests/protect.rs", "a_link_that_is_refused_is_done_away_with_as_the_hint_says"),
    ),
    row(
        "sandbox/src/probe.rs",
        "as root: `sysctl -w kernel.unprivileged_userns_clone=1`, and keep it in `/etc/sysctl.d`",
        Untried("the kernel's configuration decides, and only root changes it"),
    ),
    row(
        "sandbox/src/probe.rs",
        "as root: `sysctl -w user.max_user_namespaces=15000`, and keep it in `/etc/sysctl.d`",
        Untried("the kernel's configuration decides, and only root changes it"),
    ),
    row(
        "sandbox/src/oci/config.rs",
        "work on a directory without it, or leave `--runtime runsc` out",
        Untried(
            "it takes a socket, a link or a kernel of its kind where a sandbox starts; the isolation suite has them",
        ),
    ),
    row(
        "sandbox/src/oci/config.rs",
        "leave `--runtime` out: the built-in one takes every word",
        Elsewhere("cli/tests/pack.rs", "names_and_words_need_not_be_text"),
    ),
    row(
        "sandbox/src/oci/config.rs",
        "show it below the home: `--workspace {0}` for the workspace, `--volume {0}` for another mount",
        Elsewhere("cli/tests/inside.rs", "another_runtime_says_where_the_workspace_can_be_shown"),
    ),
    row(
        "sandbox/src/probe.rs",
        "in a container, give it `--security-opt seccomp=unconfined --security-opt unmask=ALL` (podman), `--security-opt seccomp=unconfined --security-opt systempaths=unconfined` (Docker), or `hostUsers: false`, `procMount: Unmasked` and `seccompProfile: {type: Unconfined}` (Kubernetes); or run on the host",
        Elsewhere("cli/tests/inside.rs", "under_a_masked_proc_the_option_is_named_that_opens_it"),
    ),
    row(
        "sandbox/src/probe.rs",
        "install this AppArmor profile once as root:\ncat > /etc/apparmor.d/pinfold <<'EOF'\nabi <abi/4.0>,\ninclude <tunables/global>\nprofile pinfold {} flags=(unconfined) {{\n  userns,\n}}\nEOF\napparmor_parser -r /etc/apparmor.d/pinfold",
        Untried("the kernel's configuration decides, and only root changes it"),
    ),
    row(
        "sandbox/src/probe.rs",
        "use a kernel with CONFIG_USER_NS",
        Untried("the kernel's configuration decides, and only root changes it"),
    ),
];
