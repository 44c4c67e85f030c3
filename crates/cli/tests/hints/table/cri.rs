//! Of container runtimes that are asked for pods.

use super::Row;
use super::row;
use crate::table::Held::Elsewhere;
use crate::table::Held::Untried;

const NODE: &str = "it takes containerd and root; the end-to-end part `99-kube-node.sh` runs pods there";

pub(super) const ROWS: &[Row] = &[
    row(
        "cri/src/error.rs",
        "start containerd (`systemctl start containerd`), or name its socket with `--cri-socket` or `{SOCKET_VARIABLE}`",
        Elsewhere("cri/tests/runtime.rs", "what_does_not_listen_or_does_not_speak_is_told_apart"),
    ),
    row(
        "cri/src/error.rs",
        "run this as root, or as a user that the socket's group lets in: whoever may connect to it is root on this machine",
        Elsewhere("cri/tests/runtime.rs", "what_does_not_listen_or_does_not_speak_is_told_apart"),
    ),
    row(
        "cri/src/error.rs",
        "name it as `unix:///run/containerd/containerd.sock`, or as an absolute path",
        Elsewhere("cri/src/socket.rs", "a_socket_is_what_was_named_first"),
    ),
    row(
        "cri/src/error.rs",
        "use containerd 1.6 or newer, with its CRI plugin on (`disabled_plugins` in its config.toml)",
        Elsewhere("cri/tests/runtime.rs", "a_runtime_without_the_interface_is_too_old"),
    ),
    row(
        "cri/src/error.rs",
        "is it the socket of a container runtime? `--cri-socket` and `{SOCKET_VARIABLE}` name another",
        Elsewhere("cri/tests/runtime.rs", "what_does_not_listen_or_does_not_speak_is_told_apart"),
    ),
    row(
        "cri/src/error.rs",
        "look at the runtime's log (`journalctl -u containerd`); a machine under load may need a second try",
        Elsewhere("cri/tests/runtime.rs", "silence_ends"),
    ),
    row(
        "cri/src/error.rs",
        "load it with `pinfold load {name} --to containerd`",
        Elsewhere("cri/tests/runtime.rs", "an_image_that_is_not_there_is_named"),
    ),
    row(
        "cri/src/error.rs",
        "look whether the runtime is still starting, or at its log (`journalctl -u containerd`)",
        Untried(NODE),
    ),
    row(
        "cri/src/error.rs",
        "it needs a CNI configuration that gives pods an address, in /etc/cni/net.d, and its plugins",
        Elsewhere("cri/tests/runtime.rs", "an_error_of_the_runtime_is_told_in_its_words"),
    ),
    row(
        "cri/src/error.rs",
        "it needs its `sandbox_image` (see its config.toml), which is pulled at the first pod; load one where it may not pull",
        Untried(NODE),
    ),
    row("sandbox/src/error.rs", "leave `--runtime containerd` out", Untried(NODE)),
    row(
        "sandbox/src/error.rs",
        "start it as root on the machine that containerd runs on: a pod's network is deleted from its namespace before the program starts; or say `--network host`",
        Untried(NODE),
    ),
    row(
        "sandbox/src/error.rs",
        "look at the runtime's log (`journalctl -u containerd`), or leave `--runtime containerd` out",
        Untried(NODE),
    ),
    row(
        "sandbox/src/oci/config.rs",
        "containerd shows a directory with the owner it has: `chown -R {uid} {}`, or leave `--runtime containerd` out",
        Untried(NODE),
    ),
];
